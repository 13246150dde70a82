"""Damage: a sample of what `make torture` tries, and the public corpus of bad files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import tree
from damage import make
from faults import damage
from test_cli import tfrec

TABLE: list[dict[str, Any]] = json.loads(make.EXPECTED.read_bytes())
by_name = pytest.mark.parametrize("case", TABLE, ids=lambda case: str(case["file"]))


def test_a_sample_of_damaged_datasets_is_found() -> None:
    result = damage.run(400, seed=1)
    assert result["wrong"] == []
    assert sum(result["found"].values()) > 390


# The corpus


def test_the_corpus_is_what_the_code_makes(tmp_path: Path) -> None:
    """Byte for byte, so that nobody needs to run the code to use the files."""
    make.write(tmp_path)
    assert tree(tmp_path) == tree(make.FILES)


def test_the_table_is_what_the_code_says() -> None:
    assert [
        make.expected(case, line["tensorflow"])
        for case, line in zip(make.cases(), TABLE, strict=True)
    ] == TABLE


def test_the_corpus_is_small() -> None:
    assert sum(map(len, tree(make.FILES).values())) < 200_000


@by_name
def test_verify_finds_what_the_table_says(case: dict[str, Any]) -> None:
    path = make.FILES / case["file"]
    ran = tfrec("verify", "--json", path)
    found = json.loads(ran.out)["findings"]
    assert ran.code == case["exit"]
    if case["finding"] is None:
        assert found == []
        return
    place = (case["finding"], str(path / (case["in"] or "")), case["record"], case["offset"])
    messages = [
        one["message"]
        for one in found
        if (one["kind"], one["path"], one["record"], one["offset_bytes"]) == place
    ]
    assert [one for one in messages if one.startswith(case["message"])], found


@by_name
def test_inspect_ends_on_every_file(case: dict[str, Any]) -> None:
    assert tfrec("inspect", make.FILES / case["file"]).code in (0, 1)


def test_tensorflow_reads_what_the_table_says() -> None:
    """All but hostile lengths, which kill the process."""
    tried = [one for one in make.cases() if one.tensorflow != make.NOT_TRIED]
    lines = {line["file"]: line["tensorflow"] for line in TABLE}
    found = {one.name: make.tensorflow_reads(one) for one in tried}
    assert found == {name: lines[name] for name in found}
    assert len(lines) - len(found) == 6
