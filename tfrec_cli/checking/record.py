"""Checks one record: an Example with an image, its boxes, and the contract of its manifest.

Knows: what a manifest promises about each record. Must not know: shards, how images are decoded.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfrec_cli.checking.finding import Finding, record_finding
from tfrec_cli.dataset import boxes, records
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
from tfrec_cli.imaging import formats, png
from tfrec_cli.imaging.jpeg import markers as jpeg_markers
from tfrec_cli.imaging.jpeg.window import has_exact_window
from tfrec_cli.imaging.kinds.samples import DEEP_BITS
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.example import Feature
from tfrec_cli.tfrecord.scan import Record


class RecordReader:
    """Reads and checks the records of one file.

    Args:
        manifest: the manifest of the file; None for foreign files.
        parses_all: parse all features of every record, not just those of the contract; those
            of records with boxes are always parsed.
        described_boxes: the features that hold boxes, if a file of TFDS says so.

    Attributes:
        names: names of the features; in foreign files those in the first record with an image.
        imageless: number of records without a recognizable image.
        boxed: number of records whose boxes were checked.
        unclear: number of records with boxes of which nothing says what the numbers are.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest | None,
        *,
        parses_all: bool,
        described_boxes: Collection[str] | None = None,
    ) -> None:
        self.names: Names | None = records.NAMES[manifest.keys] if manifest else None
        self.imageless = 0
        self.boxed = 0
        self.unclear = 0
        self._described_boxes = described_boxes
        self._path = path
        self._manifest = manifest
        self._examples = 0
        self._single_values: example.SingleValues | None = None
        columns = manifest.columns if manifest else ()
        if self.names and not parses_all and all(one.name not in boxes.SIDES for one in columns):
            self._single_values = example.SingleValues(self.names.by_feature(CHECKED_FIELDS))

    def check(self, item: Record) -> Generator[Finding, None, ImageRecord | None]:
        """Yield what is wrong with one record, apart from its pixels.

        Returns:
            The record; None if no image was found in it.
        """
        record: ImageRecord | None = None
        features: dict[str, Feature] = {}
        try:
            if self._single_values:
                record = _read_quickly(self._single_values, item.payload)
            if record is None:
                features = example.decode(item.payload)
        except DataError as error:
            if self._manifest or self._examples:  # else a file of other messages, which is allowed
                yield record_finding("example", self._path, item, str(error))
            self.imageless += 1
            return None
        self._examples += 1
        if features:
            yield from self._check_boxes(item, features)
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

    def _check_boxes(self, item: Record, features: Mapping[str, Feature]) -> Iterator[Finding]:
        verdicts = [*boxes.judge(features, self._described_boxes)]
        self.boxed += any(verdict.is_certain for verdict in verdicts)
        self.unclear += any(not verdict.is_certain for verdict in verdicts)
        for verdict in verdicts:
            if verdict.message:
                yield record_finding("box", self._path, item, verdict.message)


def _read_quickly(reader: example.SingleValues, payload: bytes) -> ImageRecord | None:
    """Read a record of ours; None if something is unusual, so that it must be parsed strictly."""
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
    """Yield each way in which a record of ours differs from what its manifest promises."""
    height, width, name = record.height_px, record.width_px, record.filename
    if None in (height, width, record.key, name):
        named = (("height", height), ("width", width), ("key", record.key), ("filename", name))
        for field, value in named:
            if value is None:
                yield f"found no {field}, expected one"
    if name is not None and record.key != (key := records.key_of(name)):
        yield f"found key {record.key}, expected {key} for {name!r}"
    if (height is not None and height < 1) or (width is not None and width < 1):
        yield f"found height {height} and width {width}, expected at least 1"
    if described.crop and (height, width) != described.crop:
        yield f"found height {height} and width {width}, expected {described.crop}"
    if message := _wrong_image(record, described):
        yield message
    if message := _wrong_label(record.label, described.labels):
        yield message
    if described.stored == "whole" and (message := _wrong_window(record)):
        yield message


def _wrong_image(record: ImageRecord, described: Manifest) -> str | None:
    if described.stored == "raw":
        if record.is_raw:
            return None
        size = f"{record.height_px} x {record.width_px}"
        return f"found {len(record.image)} bytes, expected {size} x 3 raw values"
    stored = "raw" if record.is_raw else formats.image_format(record.image[: formats.HEAD_BYTES])
    allowed = ("jpeg", "png") if described.stored == "whole" else (described.stored,)
    if stored in allowed:
        if described.crop and described.depth == DEEP_BITS and not png.is_deep(record.image):
            return "found a PNG of 8 bits or fewer, expected 16"
        return None
    return f"found {stored or 'no'} image, expected {' or '.join(allowed)}"


def _wrong_label(label: int | None, labels: Sequence[str] | None) -> str | None:
    if labels is None:
        return None if label is None else f"found label {label}, expected none"
    if label is not None and 0 <= label < len(labels):
        return None
    return f"found label {label}, expected 0 to {len(labels) - 1}"


def _wrong_window(record: ImageRecord) -> str | None:
    try:
        is_jpeg = record.image[:2] == b"\xff\xd8"
        is_exact = is_jpeg and has_exact_window(jpeg_markers.read(record.image))
    except ImageError:  # reported when the image is decoded
        return None
    if record.window == int(is_exact):
        return None
    return f"found window {record.window}, expected {int(is_exact)}"
