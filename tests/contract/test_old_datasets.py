"""Datasets of version 0.1.0 give the same results in every command and reader."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract import old_datasets, record
from contract.cases import Case
from contract.old_datasets import CASES, DATASETS, ENCODERS
from contract.test_golden import compare


def test_every_dataset_is_there_and_small() -> None:
    for name in CASES:
        sizes = [path.stat().st_size for path in (DATASETS / name).iterdir()]
        assert 0 < sum(sizes) < 100_000


@pytest.mark.parametrize("name", CASES)
def test_every_result_for_an_old_dataset_is_as_before(tmp_path: Path, name: str) -> None:
    case = Case(CASES[name], ENCODERS.get(name, "none"))
    found = record.record(case.run, tmp_path / "work")
    compare(case, found, record.load(old_datasets.GOLDEN), name)
