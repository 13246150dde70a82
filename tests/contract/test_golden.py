"""Files, JSON documents and pixels are the same as those of an earlier version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contract import golden, record
from contract.cases import CASES, Case
from contract.golden import PHOTO_CASES


def compare(case: Case, found: record.Values, golden_values: record.Values, name: str) -> None:
    """Fail if a value differs; skip if not all can be compared with other encoders."""
    here, recorded = record.encoders(), golden_values["encoders"]
    encoded = case.encoder != "none" and here != recorded
    options: Any = {"encoded": encoded, "lossy": case.encoder == "lossy"}
    expected = record.comparable(golden_values["cases"][name], **options)
    lines = record.differences(record.comparable(found, **options), expected)
    assert not lines, "\n".join(lines)
    if encoded:
        other = {key: version for key, version in here.items() if version != recorded[key]}
        pytest.skip(f"encoded bytes were not compared: found {other}, expected those of {recorded}")


def test_exactly_these_cases_have_golden_values() -> None:
    assert list(record.load(golden.GOLDEN)["cases"]) == list(CASES)
    assert list(record.load(golden.PHOTOS_GOLDEN)["cases"]) == list(PHOTO_CASES)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_sample_images_give_the_golden_values(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    found = record.record(case.run, tmp_path / "work")
    compare(case, found, record.load(golden.GOLDEN), name)


@pytest.mark.timeout(900)
@pytest.mark.skipif(not golden.photos(), reason=f"{golden.PHOTOS_VARIABLE} names no folder")
@pytest.mark.parametrize("name", PHOTO_CASES)
def test_a_folder_of_photos_gives_the_golden_values(tmp_path: Path, name: str) -> None:
    folder, values = golden.photos(), record.load(golden.PHOTOS_GOLDEN)
    assert folder is not None
    found = golden.identity(folder)
    if found != values["photos"]:
        pytest.skip(f"{folder}: found other photos, {found}, expected {values['photos']}")
    case = PHOTO_CASES[name]
    compare(case, record.record(case.run, tmp_path / "work"), values, name)
