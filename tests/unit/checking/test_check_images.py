"""Images of a shard decoded in parts, and compared with what their records say."""

from __future__ import annotations

import hashlib
from array import array
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import jpeg, photo, png, save
from record_files import record_file

from tfrec_cli import crops
from tfrec_cli.checking import images
from tfrec_cli.checking.images import Crops, Part
from tfrec_cli.dataset import records
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.scan import read_records


def part_of(path: Path, *images_and_heights: tuple[bytes, int], asked: Crops | None = None) -> Part:
    """Write a file of such records, and return the part that decodes all of them."""
    payloads = [
        example.encode({"image": image, "height": height, "width": 40, "key": number + 70})
        for number, (image, height) in enumerate(images_and_heights)
    ]
    record_file(path, *payloads)
    places = array("q")
    for item in read_records(path):
        places.extend((item.index, item.offset_bytes, len(item.payload) + 16, item.index))
    return Part(
        path=path,
        names=records.NAMES["plain"],
        first_number=0,
        max_pixels=10_000,
        is_ours=True,
        crops=asked,
        places=places,
    )


def test_pieces_hold_every_image_once_in_order(tmp_path: Path) -> None:
    part = part_of(tmp_path / "x", *[(b"", 1)] * 130)
    pieces = list(part.pieces())
    assert [piece.images for piece in pieces] == [64, 64, 2]
    assert sum((piece.places for piece in pieces), array("q")) == part.places


def test_images_that_match_their_records_have_no_finding(tmp_path: Path) -> None:
    part = part_of(tmp_path / "x", (png(photo(30, 40)), 30), (jpeg(photo(31, 40)), 31))
    decoded = images.decode(part)
    assert (decoded.findings, decoded.first, decoded.images, decoded.crops) == ([], 0, 2, [])


def test_each_image_that_differs_from_its_record_is_found_with_its_place(tmp_path: Path) -> None:
    part = part_of(
        tmp_path / "x",
        (png(photo(30, 40)), 31),
        (png(photo(30, 40)), 30),
        (b"nothing", 30),
        (png(photo(300, 40)), 300),
    )
    findings = images.decode(part).findings
    assert [(finding.kind, finding.record) for finding in findings] == [
        ("image", 0),
        ("image", 2),
        ("image", 3),
    ]
    assert findings[0].message == "found an image 40 wide, 30 high, expected 40 wide, 31 high"
    assert findings[1].offset_bytes == part.places[2 * 4 + 1]
    assert "10000" in findings[2].message.replace(",", "")


def test_an_image_that_killed_a_worker_is_reported_and_the_others_are_decoded(
    tmp_path: Path,
) -> None:
    part = part_of(tmp_path / "x", (png(photo(30, 40)), 30), (png(photo(30, 40)), 31))
    findings = images.decode(part.without(0, "a decoder that ended with SIGSEGV")).findings
    assert [(finding.record, "SIGSEGV" in finding.message) for finding in findings] == [
        (0, True),
        (1, False),
    ]


def test_crops_depend_on_the_key(tmp_path: Path) -> None:
    pixels = photo(30, 40)
    asked = Crops(size=(8, 9), seed=5, epochs=2)
    decoded = images.decode(part_of(tmp_path / "x", (png(pixels), 30), asked=asked))
    digests = []
    for epoch in (0, 1):
        boxes = crops.random_boxes([(30, 40)], (8, 9), seed=5, epoch=epoch, keys=[70])
        top, left = boxes[0, :2].tolist()
        window = pixels[top : top + 8, left : left + 9]
        digests.append(hashlib.sha256(window.tobytes()).digest())
    assert decoded.crops == [(70, tuple(digests))]
    assert digests[0] != digests[1]


def test_a_record_without_a_key_is_cropped_by_its_number(tmp_path: Path) -> None:
    asked = Crops(size=(8, 9), seed=5, epochs=1)
    part = part_of(tmp_path / "x", (png(photo(30, 40)), 30), asked=asked)
    names = part.names._replace(key=None)
    numbers = [0, 2**56 - 1, 2**56 + 3, 2**63 - 1]
    parts = [replace(part, names=names, first_number=number) for number in numbers]
    keys = [images.decode(part).crops[0][0] for part in parts]
    assert keys == [0, 2**56 - 1, 3, 2**56 - 1]


@pytest.mark.parametrize("size", [(31, 9), (8, 41)])
def test_an_image_smaller_than_the_crop_is_found(tmp_path: Path, size: tuple[int, int]) -> None:
    asked = Crops(size=size, seed=5, epochs=1)
    decoded = images.decode(part_of(tmp_path / "x", (png(photo(30, 40)), 30), asked=asked))
    assert [finding.message for finding in decoded.findings] == [
        f"found 40 wide, 30 high, expected at least the crop: {size[1]} wide, {size[0]} high"
    ]
    assert decoded.crops == []


def test_other_formats_are_counted_only_in_foreign_files(tmp_path: Path) -> None:
    ours = part_of(tmp_path / "x", (save(photo(30, 40), "TIFF"), 30))
    decoded = images.decode(ours)
    assert ([finding.kind for finding in decoded.findings], decoded.unread_formats) == (
        ["image"],
        0,
    )
    decoded = images.decode(replace(ours, is_ours=False))
    assert (decoded.findings, decoded.unread_formats) == ([], 1)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "BMP"])
def test_formats_that_pillow_decodes_are_counted_and_cropped(tmp_path: Path, kind: str) -> None:
    asked = Crops(size=(8, 9), seed=5, epochs=1)
    decoded = images.decode(part_of(tmp_path / "x", (save(photo(30, 40), kind), 30), asked=asked))
    assert (decoded.findings, decoded.unread_formats) == ([], 0)
    assert len(decoded.crops) == 1


def test_a_file_that_disappears_meanwhile_is_a_finding(tmp_path: Path) -> None:
    part = part_of(tmp_path / "x", (png(photo(30, 40)), 30))
    part.path.unlink()
    findings = images.decode(part).findings
    assert [finding.kind for finding in findings] == ["unreadable"]
    assert findings[0].message.startswith("cannot be read again: ")


def test_the_smallest_side_is_that_of_all_images(tmp_path: Path) -> None:
    part = part_of(tmp_path / "x", (png(photo(30, 40)), 30), (jpeg(photo(60, 21)), 60), (b"", 2))
    assert images.smallest_side(part.path) == 21
    assert images.smallest_side(record_file(tmp_path / "y", b"\xff")) is None
