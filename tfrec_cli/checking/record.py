"""One record checked: it is an Example, has an image, and keeps the contract of its manifest.

Knows: what a manifest promises of each record. Must not know: shards, how images are decoded.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from tfrec_cli.checking.finding import Finding, record_finding
from tfrec_cli.dataset import records
from tfrec_cli.dataset.foreign import guess_names
from tfrec_cli.dataset.manifest import Manifest
from tfrec_cli.dataset.records import (
    BYTES_FIELDS,
    CERTAIN_FIELDS,
    CHECKED_FIELDS,
    ImageRecord,
    Names,
)
from tfrec_cli.errors import DataError, ImageError
from tfrec_cli.imaging import formats, jpeg
from tfrec_cli.imaging.decoder import has_exact_window
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.scan import Record


class RecordReader:
    """Reads and checks the records of one file.

    Args:
        manifest: of the file, None for other people's files.
        parses_all: parse all features of every record; else, of records of ours, what the contract
            names.

    Attributes:
        names: of the features; in other people's files those of the first image.
        imageless: how many records had no image that could be found.
    """

    def __init__(self, path: Path, manifest: Manifest | None, *, parses_all: bool) -> None:
        self.names: Names | None = records.NAMES[manifest.keys] if manifest else None
        self.imageless = 0
        self._path = path
        self._manifest = manifest
        self._examples = 0
        self._single_values: example.SingleValues | None = None
        if self.names and not parses_all:
            self._single_values = example.SingleValues(self.names.by_feature(CHECKED_FIELDS))

    def check(self, item: Record) -> Generator[Finding, None, ImageRecord | None]:
        """Yield what is wrong with one record, but for its pixels.

        Returns:
            The record; None where no image was found in it.
        """
        record: ImageRecord | None = None
        features: dict[str, example.Feature] = {}
        try:
            if self._single_values:
                record = _read_quickly(self._single_values, item.payload)
            if record is None:
                features = example.decode(item.payload)
        except DataError as error:
            if self._manifest or self._examples:  # else a file of other messages, which is fine
                yield record_finding("example", self._path, item, str(error))
            self.imageless += 1
            return None
        self._examples += 1
        self.names = self.names or guess_names(features)
        if self.names is None:
            self.imageless += 1
            return None
        try:
            record = record or records.decode(features, self.names)
        except DataError as error:
            yield record_finding("contract", self._path, item, str(error))
            return None
        if self._manifest:
            for message in broken_contract(record, self._manifest):
                yield record_finding("contract", self._path, item, message)
        return record


def _read_quickly(reader: example.SingleValues, payload: bytes) -> ImageRecord | None:
    """Read a record of ours; None where something is amiss, which takes a closer look."""
    values: dict[str, Any] = dict(reader.read(memoryview(payload)))
    if not values.keys() >= CERTAIN_FIELDS:
        return None
    if {name for name, value in values.items() if not isinstance(value, int)} != BYTES_FIELDS:
        return None
    return ImageRecord(
        image=values["image"],
        height_px=values["height"],
        width_px=values["width"],
        label=values.get("label"),
        key=values["key"],
        filename=bytes(values["filename"]),
        window=values.get("window"),
    )


def broken_contract(record: ImageRecord, described: Manifest) -> Iterator[str]:
    """Say in which ways a record of ours is not what its manifest promises."""
    yield from _broken_identity(record)
    yield from _broken_image(record, described)
    if described.labels is None:
        if record.label is not None:
            yield f"found label {record.label}, expected none"
    elif record.label is None or not 0 <= record.label < len(described.labels):
        yield f"found label {record.label}, expected 0 to {len(described.labels) - 1}"
    if described.stored == "whole":
        yield from _broken_window(record)


def _broken_identity(record: ImageRecord) -> Iterator[str]:
    for name, value in (
        ("height", record.height_px),
        ("width", record.width_px),
        ("key", record.key),
        ("filename", record.filename),
    ):
        if value is None:
            yield f"found no {name}, expected one"
    if record.filename is not None and record.key != (key := records.key_of(record.filename)):
        yield f"found key {record.key}, expected {key} for {record.filename!r}"


def _broken_image(record: ImageRecord, described: Manifest) -> Iterator[str]:
    height, width = record.height_px, record.width_px
    if any(side is not None and side < 1 for side in (height, width)):
        yield f"found height {height} and width {width}, expected at least 1"
    if described.crop and (height, width) != described.crop:
        yield f"found height {height} and width {width}, expected {described.crop}"
    if described.stored == "raw":
        if not record.is_raw:
            yield f"found {len(record.image)} bytes, expected {height} x {width} x 3 raw values"
        return
    stored = "raw" if record.is_raw else formats.image_format(record.image[: formats.HEAD_BYTES])
    allowed = ("jpeg", "png") if described.stored == "whole" else (described.stored,)
    if stored not in allowed:
        yield f"found {stored or 'no'} image, expected {' or '.join(allowed)}"


def _broken_window(record: ImageRecord) -> Iterator[str]:
    try:
        is_jpeg = record.image[:2] == b"\xff\xd8"
        is_exact = is_jpeg and has_exact_window(jpeg.read(record.image))
    except ImageError:  # is found where it is decoded
        return
    if record.window != int(is_exact):
        yield f"found window {record.window}, expected {int(is_exact)}"
