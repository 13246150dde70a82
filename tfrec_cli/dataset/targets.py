"""The labels of a split as one NumPy file, in the order of its records.

Knows: the bytes of SPLIT.targets; no other module does. Must not know: where labels come from.

The file is in version 1.0 of the .npy format: ``numpy.load`` reads or maps it anywhere.
Source: numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
"""

from __future__ import annotations

import hashlib
import os
import sys
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tfrec_cli.dataset.manifest import Targets
from tfrec_cli.dataset.names import TARGETS_SUFFIX
from tfrec_cli.errors import DataError
from tfrec_cli.runtime import values
from tfrec_cli.tfrecord.example import SingleValues

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tfrec_cli.dataset.discover import Split
    from tfrec_cli.dataset.records import Names

_HEAD_BYTES = 128
_LABEL_BYTES = 8


def pieces(labels: array[int]) -> tuple[bytes, memoryview]:
    """Return the file of some labels, in two pieces: no label is copied on most machines."""
    return _head(len(labels)), memoryview(_as_little(labels)).cast("B")


def described(split: str, labels: array[int]) -> Targets:
    """Describe the file of a split's labels for its manifest."""
    digest = hashlib.sha256()
    for piece in pieces(labels):
        digest.update(piece)
    return Targets(name=split + TARGETS_SUFFIX, sha256=digest.hexdigest())


def stored(path: Path, records: int) -> array[int]:
    """Read the labels of a file, without NumPy.

    Raises:
        DataError: it is not the file of as many labels as there are records.
        OSError: it cannot be read.
    """
    _check(path, records)
    labels = array("q")
    with path.open("rb") as file:
        file.seek(_HEAD_BYTES)
        labels.frombytes(file.read(records * _LABEL_BYTES))
    return _as_little(labels)


def load(split: Split) -> npt.NDArray[np.int64] | None:
    """Map the labels of a split's records into memory; it takes no time, however many they are.

    Returns:
        int64[n], which cannot be written to; None if the dataset has no such file, since it is of
        an earlier version or of another program, or has no labels.
    Raises:
        DataError: the file is missing, or is not that of as many labels as there are records.
        RunError: it cannot be read.
    """
    made = split.manifest
    if made is None or made.targets is None:
        return None
    import numpy as np

    from tfrec_cli.dataset import discover

    path = split.folder / made.targets.name
    with discover.reading(path):
        _check(path, made.records)
        if not made.records:  # an empty part of a file cannot be mapped
            return np.frombuffer(b"", np.int64)
        return np.asarray(np.memmap(path, "<i8", "r", _HEAD_BYTES, (made.records,)))


def read(split: Split, names: Names) -> npt.NDArray[np.int64]:
    """Read the label of each record, in order: one pass over the shards, but no image is decoded.

    Args:
        names: what the features of the records are called.
    Returns:
        int64[n].
    Raises:
        DataError: a shard is missing or damaged, has another number of records than the manifest
            says, or a record has no label.
        RunError: a shard cannot be read.
    """
    import numpy as np

    return np.fromiter(_labels(split, names), np.int64)


def _labels(split: Split, names: Names) -> Iterator[int]:
    from tfrec_cli.dataset import discover

    if names.label is None:
        raise DataError(f"{split.folder}: found records without labels, expected one in each")
    reader = SingleValues({names.label: "label"})
    entries = split.manifest.shards if split.manifest else (None,) * len(split.shards)
    for path, entry in zip(split.shards, entries, strict=True):
        count = 0
        for record in discover.whole_records(path):
            found = values_of(reader, memoryview(record.payload), path, count)
            yield label_of(found, path, count)
            count += 1
        if entry:
            discover.check_count(path, entry, count)


def values_of(
    reader: SingleValues, payload: memoryview, path: Path, number: int
) -> dict[str, memoryview | int]:
    """Read values of one record; see `SingleValues.read`.

    Raises:
        DataError: it is no Example; names the record.
    """
    try:
        return reader.read(payload)
    except DataError as error:
        raise DataError(f"{path}: record {number}: {error}") from error


def label_of(found: Mapping[str, memoryview | int], path: Path, number: int) -> int:
    """Return the label among the values of one record, by the names of fields.

    Raises:
        DataError: there is none; names the record.
    """
    label = found.get("label")
    if not isinstance(label, int):
        raise DataError(f"{path}: record {number}: found no label, expected one number")
    return label


def _head(records: int) -> bytes:
    """Return the beginning of the file: magic bytes, version, length of the rest, description."""
    text = f"{{'descr': '<i8', 'fortran_order': False, 'shape': ({records},), }}"
    return b"\x93NUMPY\x01\x00v\x00" + text.encode().ljust(_HEAD_BYTES - 11) + b"\n"


def _check(path: Path, records: int) -> None:
    """Refuse a file that is not that of so many labels, judged by its size and beginning."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        size_bytes = file.seek(0, os.SEEK_END)
    count, rest = divmod(size_bytes - _HEAD_BYTES, _LABEL_BYTES)
    if rest or head != _head(count):
        right_bytes = _HEAD_BYTES + records * _LABEL_BYTES
        raise DataError(
            f"{path}: found {size_bytes} bytes that are no whole list of labels, expected "
            f"{right_bytes} bytes of a NumPy file",
            hint="verify",
        )
    if count != records:
        found = values.plural(count, "label")
        raise DataError(
            f"{path}: found {found}, expected {records:,} by the manifest", hint="verify"
        )


def _as_little(labels: array[int]) -> array[int]:
    """Return labels with the bytes of each in the order of the file, or back again."""
    if sys.byteorder == "little":
        return labels
    swapped = labels[:]
    swapped.byteswap()
    return swapped
