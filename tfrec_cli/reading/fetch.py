"""Reads records by number: by random access, or in sequence from compressed shards.

Knows: shards, and where records are in them. Must not know: what is in a record, any framework.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Protocol

import numpy as np

from tfrec_cli.crops import Int64s
from tfrec_cli.dataset import discover
from tfrec_cli.dataset.discover import Split
from tfrec_cli.errors import DataError, FramingError, RunError, UsageError
from tfrec_cli.reading.buffers import BufferPool
from tfrec_cli.tfrecord.record import read_places

_MOST_PLACES = 8
"""Readers of one compressed split that go on where they are, however they take turns."""


def open_records(split: Split, random_access_for: str | None) -> Records:
    """Open a split to read its records by number.

    Args:
        random_access_for: what needs random access, for the error message; None if nothing does,
            so that the shards may be compressed.
    Raises:
        UsageError: the shards are compressed, and random access is needed.
        DataError: a shard is damaged, or its number of records differs from the manifest.
        RunError: a shard is missing.
    """
    try:
        is_plain = discover.compression(split) == "none"
    except OSError as error:
        raise RunError(f"{error.filename}: {error.strerror}") from error
    if is_plain:
        return RandomAccess(split)
    if random_access_for is None:
        return Sequential(split)
    found = f"found compressed shards in {split.folder}"
    raise UsageError(f"{random_access_for}: {found}, expected plain ones")


class Records(Protocol):
    """Records of a split; both CRCs of each record are checked when it is read.

    Attributes:
        count: number of records.
        is_sequential: whether they are best read in ascending order by a single thread.
    """

    count: int
    is_sequential: bool

    def own_numbers(self, numbers: Int64s) -> Int64s:
        """Return the numbers that records have in their split: the keys of those without a key."""

    def fetch(self, numbers: Int64s, buffers: BufferPool) -> list[memoryview]:
        """Read the payloads of the records with these numbers.

        Args:
            buffers: memory for the payloads; compressed shards do not use it.
        Raises:
            FramingError: a record is damaged.
            DataError: compressed shards have fewer records than the manifest says.
        """


class RandomAccess:
    """Records of uncompressed shards. No file stays open, so that processes share none."""

    is_sequential = False

    def __init__(self, split: Split) -> None:
        self._paths = split.shards
        self._locations = discover.places(split)
        self.count = len(self._locations)

    def own_numbers(self, numbers: Int64s) -> Int64s:
        """Return the numbers as they are."""
        return numbers

    def fetch(self, numbers: Int64s, buffers: BufferPool) -> list[memoryview]:
        """Read the records with these numbers."""
        locations = self._locations[numbers].tolist()
        rows_by_shard: dict[int, list[int]] = {}
        for row, (shard, *_) in enumerate(locations):
            rows_by_shard.setdefault(shard, []).append(row)
        payloads = [memoryview(b"")] * len(locations)
        for shard, rows in rows_by_shard.items():
            path, spans = self._paths[shard], [locations[row][1:] for row in rows]
            descriptor = os.open(path, os.O_RDONLY)  # half the cost of a file object
            try:
                _check_spans(path, os.fstat(descriptor).st_size, spans)
                view = buffers.view(sum(length for _, length in spans))
                read = read_places(descriptor, spans, str(path), view)
            finally:
                os.close(descriptor)
            for row, payload in zip(rows, read, strict=True):
                payloads[row] = payload
        return payloads


def _check_spans(path: Path, size_bytes: int, spans: Sequence[Sequence[int]]) -> None:
    """Refuse records, each (offset, length), beyond a file's end before allocating memory."""
    for offset, length in spans:
        if offset + length > size_bytes:
            raise FramingError(
                f"{path}: at byte {offset}: found {size_bytes} bytes in all, expected a record of "
                f"{length} bytes there",
                hint="verify",
            )


class Sequential:
    """Records of compressed shards, read in ascending order by each of a few readers at once.

    A reader is found again by the number of the record that it reads next.
    """

    is_sequential = True

    def __init__(self, split: Split) -> None:
        self._split = split
        manifest = split.manifest
        self.count = manifest.records if manifest else sum(1 for _ in discover.payloads(split))
        self._lock = threading.Lock()
        self._places: list[tuple[int, Iterator[bytes]]] = []

    def own_numbers(self, numbers: Int64s) -> Int64s:
        """Return the numbers as they are."""
        return numbers

    def fetch(self, numbers: Int64s, buffers: BufferPool) -> list[memoryview]:  # noqa: ARG002
        """Read the records with these numbers, in ascending order."""
        payloads = []
        with self._lock:
            place, found = self._nearest(int(numbers[0]) if len(numbers) else 0)
            for number in numbers.tolist():
                if number < place:
                    place, found = 0, discover.payloads(self._split)
                payload = next(islice(found, number - place, None), None)
                if payload is None:
                    raise DataError(
                        f"{self._split.folder}: found no record {number}, expected {self.count} "
                        "records by the manifest",
                        hint="verify",
                    )
                payloads.append(memoryview(payload))
                place = number + 1
            self._places = [*self._places[1 - _MOST_PLACES :], (place, found)]
        return payloads

    def _nearest(self, number: int) -> tuple[int, Iterator[bytes]]:
        """Take the place that is nearest before a record, or the beginning."""
        before = [place for place in self._places if place[0] <= number]
        if not before:
            return 0, discover.payloads(self._split)
        nearest = max(before, key=itemgetter(0))
        self._places.remove(nearest)
        return nearest


class Selected:
    """Ranges of the records of several splits, one after another."""

    def __init__(self, parts: Sequence[tuple[Records, range]]) -> None:
        self._records = [records for records, _ in parts]
        self._firsts = np.array([numbers.start for _, numbers in parts], np.int64)
        self._ends = np.cumsum([len(numbers) for _, numbers in parts])
        self.count = int(self._ends[-1])
        self.is_sequential = any(records.is_sequential for records in self._records)

    def own_numbers(self, numbers: Int64s) -> Int64s:
        """Return the numbers that records have in their split."""
        parts = self._parts(numbers)
        begins = np.concatenate([[0], self._ends[:-1]])
        own: Int64s = numbers - begins[parts] + self._firsts[parts]
        return own

    def fetch(self, numbers: Int64s, buffers: BufferPool) -> list[memoryview]:
        """Read the records with these numbers."""
        parts, own = self._parts(numbers), self.own_numbers(numbers)
        payloads = [memoryview(b"")] * len(numbers)
        for part in np.unique(parts):
            rows = np.flatnonzero(parts == part)
            read = self._records[part].fetch(own[rows], buffers)
            for row, payload in zip(rows.tolist(), read, strict=True):
                payloads[row] = payload
        return payloads

    def _parts(self, numbers: Int64s) -> Int64s:
        """Return for each record in which part it is."""
        return np.searchsorted(self._ends, numbers, side="right").astype(np.int64)
