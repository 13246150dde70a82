"""Extracts the images of one record file; those of other programs get their names later."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from tfrec_cli.dataset import discover, records
from tfrec_cli.dataset.image_features import find_names, has_image, images_of
from tfrec_cli.dataset.manifest import Manifest, Shard
from tfrec_cli.dataset.names import Missing
from tfrec_cli.dataset.records import ImageRecord, Names
from tfrec_cli.errors import DataError, FramingError
from tfrec_cli.extracting.names import EXTENDED, NO_IMAGE, FileName, file_name
from tfrec_cli.extracting.tree import FileTree
from tfrec_cli.imaging import formats, normalize
from tfrec_cli.imaging.formats import ImageFormat
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.example import Feature
from tfrec_cli.tfrecord.index import locate_records
from tfrec_cli.tfrecord.scan import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One record file, and where its images go.

    Attributes:
        waiting: folder of files without a name yet; they are named by record number.
        described: the manifest of the split, without shards; None for foreign records.
        entry: the file's entry in the manifest.
        first: number of the file's first record in the split.
        image: the feature that holds the images of foreign records; None if it is to be found.
        missing: what to do with a foreign record without an image.
    """

    path: Path
    folder: Path
    waiting: Path
    described: Manifest | None
    entry: Shard | None
    first: int
    image: str | None = None
    missing: Missing = "fail"

    @property
    def has_columns(self) -> bool:
        """Whether the dataset has columns of an image list."""
        return self.described is not None and bool(self.described.columns)

    @property
    def cells_path(self) -> Path:
        """A file for the values of the records in these columns: JSON, one record on each line."""
        return self.waiting / f"{self.first}.jsonl"


@dataclass(slots=True, kw_only=True)
class ExtractedShard:
    """Result of extracting one record file.

    Attributes:
        names: paths of the files, joined by zero bytes, which no path holds; those of foreign
            records are what each record would be called if it were alone.
        numbers: label of each record of ours, if there are class names.
        sources: of foreign records, where each name comes from: see `names.FileName`.
        images: features that held the images of foreign records, each with its number of files.
        other_images: further features of theirs that hold images: name to a word for their format.
        other_values: further features of theirs with other values, and labels that no folder shows.
        by_label: number of files of foreign records in a folder of their label.
        imageless: number of foreign records without an image, which became no file.
    """

    task: Task
    names: bytes = b""
    sources: bytearray = field(default_factory=bytearray)
    size_bytes: int = 0
    records: int = 0
    formats: Counter[str] = field(default_factory=Counter)
    numbers: array[int] = field(default_factory=lambda: array("q"))
    images: Counter[str] = field(default_factory=Counter)
    other_images: dict[str, str] = field(default_factory=dict)
    other_values: set[str] = field(default_factory=set)
    by_label: int = 0
    imageless: int = 0
    renamed: int = 0
    repeated: int = 0
    numbered: int = 0

    def paths(self) -> list[bytes]:
        """Return the path of each record's file."""
        return self.names.split(b"\0") if self.records else []

    def cells(self) -> Iterator[dict[str, Any]]:
        """Iterate the values in the columns of each record, and remove the file that holds them."""
        if not self.task.has_columns:
            yield from ({} for _ in range(self.records))
            return
        with self.task.cells_path.open("rb") as file:
            yield from map(json.loads, file)
        self.task.cells_path.unlink()


def count_records(path: Path) -> tuple[Path, int]:
    """Count the records of a file; return its path too."""
    with suppress(FramingError, OSError):  # compressed or damaged: read below
        return path, len(locate_records(path))
    return path, sum(1 for _ in discover.whole_records(path))


def extract_shard(task: Task) -> ExtractedShard:
    """Write the images of one record file.

    Raises:
        DataError: the file differs from its manifest, or a record has no image or a bad name.
    """
    if task.entry:  # before any name in it is used
        discover.check_digest(task.path, task.entry, by_count=True)
    done = ExtractedShard(task=task)
    with FileTree(task.folder) as tree, ExitStack() as closing:
        cells = closing.enter_context(task.cells_path.open("wb")) if task.has_columns else None
        paths = [_extract(item, done, tree, cells) for item in discover.whole_records(task.path)]
    if task.entry:
        discover.check_count(task.path, task.entry, done.records)
    done.names = b"\0".join(paths)
    return done


def _extract(item: Record, done: ExtractedShard, tree: FileTree, cells: BinaryIO | None) -> bytes:
    """Write the image of one record, and its columns; return the path of the image."""
    try:
        features = example.decode(item.payload)
        if cells:
            cells.write(_dump(features, done.task) + b"\n")
        return _write_image(features, done, tree)
    except DataError as error:
        where = f"{done.task.path}: record {item.index} at byte {item.offset_bytes}"
        raise DataError(f"{where}: {error.args[0]}") from error


def _dump(features: Mapping[str, Feature], task: Task) -> bytes:
    """Return the values in the columns as JSON; a feature that is missing has none."""
    assert task.described
    return json.dumps(records.cells(features, task.described.columns)).encode()


def _write_image(features: Mapping[str, Feature], done: ExtractedShard, tree: FileTree) -> bytes:
    task = done.task
    if task.missing == "skip" and not task.described and not has_image(features, task.image):
        done.sources.append(NO_IMAGE)
        done.imageless += 1
        done.records += 1
        return b""
    names = (
        records.NAMES[task.described.keys] if task.described else find_names(features, task.image)
    )
    record = records.decode(features, names)
    data, image_format = _file_of(record)
    name = file_name(record, image_format, task.described)
    if task.described:
        tree.write(name.path, data)
        done.renamed += name.source == EXTENDED
        if task.described.labels is not None:
            done.numbers.append(_class_number(record.label, task.described.labels))
    else:
        (task.waiting / str(task.first + done.records)).write_bytes(data)
        done.sources.append(name.source)
        _add_features(features, names, done)
        _add_label(record, names, name, done)
    done.records += 1
    done.size_bytes += len(data)
    done.formats[image_format] += 1
    return name.path


def _class_number(label: int | None, names: Sequence[str]) -> int:
    if label is None or not 0 <= label < len(names):
        raise DataError(f"found label {label}, expected one of {len(names)} classes")
    return label


def _add_features(features: Mapping[str, Feature], names: Names, done: ExtractedShard) -> None:
    """Note which feature of a foreign record became a file, and which did not."""
    done.images[names.image] += 1
    size, label = {names.height, names.width}, {names.label, names.class_name}
    used = {names.image, names.filename} | size | label
    rest = {name: feature for name, feature in features.items() if name not in used}
    images = images_of(rest)
    for name, words in images.items():
        done.other_images.setdefault(name, words[0])
    done.other_values.update(name for name in rest if name not in images)


def _add_label(record: ImageRecord, names: Names, name: FileName, done: ExtractedShard) -> None:
    """Note whether a folder shows the label of a foreign record."""
    if name.by_label:
        done.by_label += 1
        return
    if record.label is not None:
        done.other_values.add(str(names.label))
    if record.class_name is not None:
        done.other_values.add(str(names.class_name))


def _file_of(record: ImageRecord) -> tuple[bytes, ImageFormat]:
    """Return the bytes of an image's file, and their format."""
    if record.is_raw:
        return normalize.encode(records.pixels(record), "png"), "png"
    head = record.image[: formats.HEAD_BYTES]
    image_format = formats.image_format(head)
    if image_format is None:
        raise formats.refusal(head, "an image")
    return record.image, image_format
