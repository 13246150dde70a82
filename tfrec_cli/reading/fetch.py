"""Reads records by number: by random access, or in sequence from compressed shards.

Knows: shards, and where records are in them. Must not know: what is in a record, any framework.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Protocol

import numpy as np

from tfrec_cli.crops import Int64s
from tfrec_cli.dataset import discover
from tfrec_cli.dataset.discover import Split
from tfrec_cli.errors import DataError, FramingError, RunError, UsageError
from tfrec_cli.reading.buffers import BufferPool
from tfrec_cli.runtime import files
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

    def files(self, numbers: Int64s) -> Int64s:
        """Return for each record the number of the file that holds it."""

    def fetch(self, numbers: Int64s, buffers: BufferPool) -> list[memoryview]:
        """Read the payloads of the records with these numbers.

        Args:
            buffers: memory for the payloads; compressed shards do not use it.
        Raises:
            FramingError: a record is damaged.
            DataError: a compressed shard has more or fewer records than the manifest says.
        """

    def read_ahead(self, numbers: range) -> None:
        """Let the system read adjacent records from the disk, without waiting for it."""


class RandomAccess:
    """Records of uncompressed shards. No file stays open, so that processes share none."""

    is_sequential = False

    def __init__(self, split: Split) -> None:
        self._paths = split.shards
        self._places = discover.places(split)
        self._begins = np.cumsum([0, *map(len, self._places)])
        self.count = int(self._begins[-1])

    def own_numbers(self, numbers: Int64s) -> Int64s:
        """Return the numbers as they are."""
        return numbers

    def files(self, numbers: Int64s) -> Int64s:
        """Return for each record the number of its shard."""
        return _ranges(self._begins, numbers)

    def read_ahead(self, numbers: range) -> None:
        """Let the system read adjacent records, where it can; errors are left to `fetch`."""
        first, last = self.files(np.array([numbers.start, numbers.stop - 1])).tolist()
        for shard in range(first, last + 1):
            begin, end = self._begins[shard : shard + 2].tolist()
            with suppress(OSError, DataError, AttributeError):  # macOS has no posix_fadvise
                ends = max(numbers.start, begin) - begin, min(numbers.stop, end) - 1 - begin
                (offset, _), (last_offset, length) = self._places[shard].take(ends)
                files.will_need(self._paths[shard], offset, last_offset + length - offset)

    def fetch(self, numbers: Int64s, buffers: BufferPool) -> list[memoryview]:
        """Read the records with these numbers."""
        shards = self.files(numbers)
        own = (numbers - self._begins[shards]).tolist()
        rows_by_shard: dict[int, list[int]] = {}
        for row, shard in enumerate(shards.tolist()):
            rows_by_shard.setdefault(shard, []).append(row)
        payloads = [memoryview(b"")] * len(own)
        for shard, rows in rows_by_shard.items():
            path, spans = self._paths[shard], self._places[shard].take([own[row] for row in rows])
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


@dataclass(slots=True, eq=False)
class _Place:
    """Where a reader of one compressed shard is: before the record with this number."""

    number: int
    payloads: Iterator[bytes]


class Sequential:
    """Records of compressed shards, read in ascending order by each of a few readers at once.

    A reader reads one shard, and is found again by the number of the record that it reads next.
    Can be pickled; a forked process opens its own files.
    """

    is_sequential = True

    def __init__(self, split: Split) -> None:
        self._split = split
        self._begins = np.cumsum([0, *_counts(split)])
        self.count = int(self._begins[-1])
        self._start()

    def __getstate__(self) -> dict[str, object]:
        return {name: self.__dict__[name] for name in ("_split", "_begins", "count")}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._start()

    def _start(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._places: list[_Place] = []

    def own_numbers(self, numbers: Int64s) -> Int64s:
        """Return the numbers as they are."""
        return numbers

    def files(self, numbers: Int64s) -> Int64s:
        """Return for each record the number of its shard."""
        return _ranges(self._begins, numbers)

    def read_ahead(self, numbers: range) -> None:
        """Do nothing: a compressed shard is read from its beginning."""

    def fetch(self, numbers: Int64s, buffers: BufferPool) -> list[memoryview]:  # noqa: ARG002
        """Read the records with these numbers, in ascending order."""
        if self._process != os.getpid():
            self._start()
        shards = self.files(numbers).tolist()
        with self._lock:
            return [
                memoryview(self._payload(number, shard))
                for number, shard in zip(numbers.tolist(), shards, strict=True)
            ]

    def _payload(self, number: int, shard: int) -> bytes:
        path = self._split.shards[shard]
        begin, end = self._begins[shard : shard + 2].tolist()
        place = self._nearest(begin, number) or _Place(begin, _payloads(path))
        payload = next(islice(place.payloads, number - place.number, None), None)
        if payload is None:
            raise self._wrong(f"found no record {number}")
        place.number = number + 1
        if place.number < end:
            self._places = [*self._places[1 - _MOST_PLACES :], place]
        elif next(place.payloads, None) is not None:
            raise self._wrong(f"found more than {end - begin} records in {path.name}")
        return payload

    def _nearest(self, begin: int, number: int) -> _Place | None:
        """Take the place that is nearest before a record of the shard that begins at ``begin``."""
        before = [place for place in self._places if begin <= place.number <= number]
        if not before:
            return None
        nearest = max(before, key=attrgetter("number"))
        self._places.remove(nearest)
        return nearest

    def _wrong(self, found: str) -> DataError:
        is_described = self._split.manifest is not None
        return DataError(
            f"{self._split.folder}: {found}, expected {self.count} records"
            + " by the manifest" * is_described,
            hint="verify" if is_described else None,
        )


def _counts(split: Split) -> list[int]:
    """Return the number of records of each shard; without a manifest it reads them all."""
    if split.manifest:
        return [shard.records for shard in split.manifest.shards]
    return [sum(1 for _ in _payloads(path)) for path in split.shards]


def _payloads(path: Path) -> Iterator[bytes]:
    return (record.payload for record in discover.whole_records(path))


class Selected:
    """Ranges of the records of several splits, one after another."""

    def __init__(self, parts: Sequence[tuple[Records, range]]) -> None:
        self._records = [records for records, _ in parts]
        self._firsts = np.array([numbers.start for _, numbers in parts], np.int64)
        self._begins = np.cumsum([0, *(len(numbers) for _, numbers in parts)])
        self.count = int(self._begins[-1])
        self.is_sequential = any(records.is_sequential for records in self._records)

    def own_numbers(self, numbers: Int64s) -> Int64s:
        """Return the numbers that records have in their split."""
        own = np.empty_like(numbers)
        for part, rows, inner in self._parts(numbers):
            own[rows] = self._records[part].own_numbers(inner)
        return own

    def files(self, numbers: Int64s) -> Int64s:
        """Return for each record a number of the file that holds it; parts share none."""
        found = np.empty_like(numbers)
        for part, rows, inner in self._parts(numbers):
            found[rows] = self._records[part].files(inner) * len(self._records) + part
        return found

    def fetch(self, numbers: Int64s, buffers: BufferPool) -> list[memoryview]:
        """Read the records with these numbers."""
        payloads = [memoryview(b"")] * len(numbers)
        for part, rows, inner in self._parts(numbers):
            read = self._records[part].fetch(inner, buffers)
            for row, payload in zip(rows.tolist(), read, strict=True):
                payloads[row] = payload
        return payloads

    def read_ahead(self, numbers: range) -> None:
        """Let the system read adjacent records, part by part."""
        for part, *_ in self._parts(np.array([numbers.start, numbers.stop - 1])):
            begin, end = self._begins[part : part + 2].tolist()
            moved = int(self._firsts[part]) - begin
            own = range(max(numbers.start, begin) + moved, min(numbers.stop, end) + moved)
            self._records[part].read_ahead(own)

    def _parts(self, numbers: Int64s) -> Iterator[tuple[int, Int64s, Int64s]]:
        """Yield each part that has some of the records: which they are, and their numbers there."""
        parts = _ranges(self._begins, numbers)
        for part in np.unique(parts).tolist():
            rows = np.flatnonzero(parts == part)
            yield part, rows, numbers[rows] - self._begins[part] + self._firsts[part]


def _ranges(begins: Int64s, numbers: Int64s) -> Int64s:
    """Return for each number in which range it is, by where each range begins and the last ends."""
    found: Int64s = np.searchsorted(begins, numbers, side="right") - 1
    return found
