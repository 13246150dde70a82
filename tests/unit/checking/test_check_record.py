"""One record compared with the contract of its manifest, without any file."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import jpeg, photo, png

from tfrec_cli.checking.finding import Finding
from tfrec_cli.checking.record import RecordReader, broken_contract
from tfrec_cli.commands.write import write
from tfrec_cli.dataset import boxes, manifest, records
from tfrec_cli.dataset.boxes import SIDES
from tfrec_cli.dataset.manifest import Manifest
from tfrec_cli.dataset.records import Column, ImageRecord
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.example import Feature
from tfrec_cli.tfrecord.scan import Record
from tfrec_cli.writing.options import WriteOptions

GOOD = ImageRecord(
    image=b"\x80" * 48,
    height_px=4,
    width_px=4,
    label=1,
    key=records.key_of(b"dogs/1.jpg"),
    filename=b"dogs/1.jpg",
)


@pytest.fixture
def described(folder: Path, tmp_path: Path) -> Manifest:
    """Make the manifest of raw 4x4 crops in three classes."""
    write(folder, tmp_path / "out", WriteOptions(crop=(4, 4), jobs=1))
    return manifest.load(tmp_path / "out" / "train.manifest.json")


def test_a_good_record_keeps_the_contract(described: Manifest) -> None:
    assert list(broken_contract(GOOD, described)) == []


@pytest.mark.parametrize(
    ("changes", "messages"),
    [
        (
            {"height_px": None},
            [
                "found no height, expected one",
                "found height None and width 4, expected (4, 4)",
                "found 48 bytes, expected None x 4 x 3 raw values",
            ],
        ),
        (
            {"height_px": 0, "width_px": -1, "image": b""},
            [
                "found height 0 and width -1, expected at least 1",
                "found height 0 and width -1, expected (4, 4)",
                "found 0 bytes, expected 0 x -1 x 3 raw values",
            ],
        ),
        ({"image": b"short"}, ["found 5 bytes, expected 4 x 4 x 3 raw values"]),
        ({"label": None}, ["found label None, expected 0 to 2"]),
        ({"label": 3}, ["found label 3, expected 0 to 2"]),
        ({"label": -1}, ["found label -1, expected 0 to 2"]),
        ({"key": 5}, [f"found key 5, expected {GOOD.key} for b'dogs/1.jpg'"]),
        (
            {"key": None, "filename": None},
            ["found no key, expected one", "found no filename, expected one"],
        ),
    ],
)
def test_each_broken_promise_is_reported(
    described: Manifest, changes: dict[str, Any], messages: list[str]
) -> None:
    assert list(broken_contract(GOOD._replace(**changes), described)) == messages


def test_a_label_without_classes_is_reported(described: Manifest) -> None:
    unlabelled = replace(described, labels=None)
    assert list(broken_contract(GOOD, unlabelled)) == ["found label 1, expected none"]


@pytest.mark.parametrize(
    ("stored", "image", "messages"),
    [
        ("png", png(photo(4, 4)), []),
        ("png", jpeg(photo(4, 4)), ["found jpeg image, expected png"]),
        ("jpeg", png(photo(4, 4)), ["found png image, expected jpeg"]),
        ("jpeg", b"nothing", ["found no image, expected jpeg"]),
        ("png", b"\x80" * 48, ["found raw image, expected png"]),
    ],
)
def test_an_image_in_another_format_is_reported(
    described: Manifest, stored: Any, image: bytes, messages: list[str]
) -> None:
    encoded = replace(described, stored=stored)
    assert list(broken_contract(GOOD._replace(image=image), encoded)) == messages


@pytest.mark.parametrize(
    ("image", "window"),
    [
        (jpeg(photo(4, 4)), 1),
        (jpeg(photo(4, 4), progressive=True), 0),
        (png(photo(4, 4)), 0),
    ],
)
def test_a_wrong_window_of_a_whole_image_is_reported(
    described: Manifest, image: bytes, window: int
) -> None:
    whole = replace(described, stored="whole", crop=None)
    right = GOOD._replace(image=image, window=window)
    assert list(broken_contract(right, whole)) == []
    wrong = right._replace(window=1 - window)
    assert list(broken_contract(wrong, whole)) == [f"found window {1 - window}, expected {window}"]


def exhaust(
    checking: Generator[Finding, None, ImageRecord | None],
) -> tuple[list[str], ImageRecord | None]:
    """Return the kinds of all findings, and the record."""
    returned = []

    def run() -> Iterator[Finding]:
        returned.append((yield from checking))

    kinds = [str(finding.kind) for finding in run()]
    return kinds, returned[0]


def kinds_of(reader: RecordReader, payload: bytes) -> list[str]:
    return exhaust(reader.check(Record(0, 0, payload)))[0]


@pytest.mark.parametrize("parses_all", [False, True])
def test_a_record_of_ours_is_returned(described: Manifest, parses_all: bool) -> None:
    reader = RecordReader(Path("x"), described, parses_all=parses_all)
    payload = records.encode(GOOD, described.keys)
    kinds, record = exhaust(reader.check(Record(0, 0, payload)))
    assert (kinds, record) == ([], GOOD)


def test_a_record_that_breaks_the_contract_is_returned(described: Manifest) -> None:
    """Its image is decoded nevertheless."""
    bad = GOOD._replace(label=9)
    reader = RecordReader(Path("x"), described, parses_all=False)
    payload = records.encode(bad, described.keys)
    assert exhaust(reader.check(Record(0, 0, payload))) == (["contract"], bad)


def test_a_feature_of_another_kind_breaks_the_contract(described: Manifest) -> None:
    features = {"image": GOOD.image, "height": b"4", "width": 4}
    reader = RecordReader(Path("x"), described, parses_all=False)
    kinds, record = exhaust(reader.check(Record(0, 0, example.encode(features))))
    assert (kinds, record, reader.imageless) == (["contract"], None, 0)


def test_the_first_image_gives_the_names_of_foreign_features() -> None:
    reader = RecordReader(Path("x"), None, parses_all=False)
    assert kinds_of(reader, example.encode({"text": b"hello"})) == []
    assert (reader.names, reader.imageless) == (None, 1)
    assert kinds_of(reader, example.encode({"image/encoded": png(photo(4, 4))})) == []
    assert reader.names is not None
    assert (reader.names.image, reader.imageless) == ("image/encoded", 1)
    assert kinds_of(reader, example.encode({"text": b"hello"})) == ["contract"]


SIDES_OF_A_BAD_BOX = dict(zip(SIDES, ([0.5], [1.5], [0.0], [1.0]), strict=True))


def test_boxes_of_foreign_records_are_checked_with_and_without_an_image() -> None:
    reader = RecordReader(Path("x"), None, parses_all=False)
    assert kinds_of(reader, example.encode(SIDES_OF_A_BAD_BOX)) == ["box"]
    image = {"image": png(photo(4, 4))}
    assert kinds_of(reader, example.encode({**image, **SIDES_OF_A_BAD_BOX})) == ["box"]
    assert kinds_of(reader, example.encode(image)) == []
    assert kinds_of(reader, example.encode({**image, SIDES[0]: [7]})) == []
    assert (reader.boxed, reader.unclear) == (2, 1)


def test_boxes_of_ours_are_checked_if_the_manifest_has_columns_of_boxes(
    described: Manifest,
) -> None:
    columns = tuple(
        Column(name=name, kind="float", is_list=True, is_everywhere=True) for name in SIDES
    )
    further = {name: Feature("float", values) for name, values in SIDES_OF_A_BAD_BOX.items()}
    payload = records.encode(GOOD._replace(further=further), described.keys)
    boxed = replace(described, columns=columns)
    reader = RecordReader(Path("x"), boxed, parses_all=False)
    kinds, record = exhaust(reader.check(Record(0, 0, payload)))
    assert (kinds, record, reader.boxed) == (["box"], GOOD, 1)


def test_records_of_ours_without_boxes_are_not_parsed_for_them(
    described: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boxes, "judge", None)
    reader = RecordReader(Path("x"), described, parses_all=False)
    assert kinds_of(reader, records.encode(GOOD, described.keys)) == []


def test_files_of_other_messages_have_no_findings_until_there_is_an_example() -> None:
    reader = RecordReader(Path("x"), None, parses_all=False)
    assert kinds_of(reader, b"\xff") == []
    assert kinds_of(reader, example.encode({"image": png(photo(4, 4))})) == []
    assert kinds_of(reader, b"\xff") == ["example"]
    assert reader.imageless == 2


def test_anything_but_an_example_is_a_finding_in_a_dataset_of_ours(described: Manifest) -> None:
    reader = RecordReader(Path("x"), described, parses_all=False)
    assert (kinds_of(reader, b"\xff"), reader.imageless) == (["example"], 1)
