"""Which records come in which order, and their bytes: for every reader the same.

Knows: positions, epochs, hosts, shards. Must not know: what is in a record, any framework.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np

from tfrec_cli import crops
from tfrec_cli.crops import Int64s
from tfrec_cli.dataset import discover
from tfrec_cli.dataset.discover import Split
from tfrec_cli.errors import FramingError, RunError, UsageError
from tfrec_cli.reading.buffers import BufferPool
from tfrec_cli.tfrecord.compression import Compression
from tfrec_cli.tfrecord.record import read_places


class Rows:
    """The records of some epochs, cut into chunks: a pure function of seed and epoch.

    In epoch ``e`` position ``p`` holds record ``p``, or with ``shuffle`` the one that
    `crops.order` puts there. Host ``i`` of ``n`` has the positions ``i, i + n, …``.

    Args:
        chunk: records fetched at once; a chunk never spans two epochs.
        start: how many of this host's records to leave out at the start.
        whole_chunks: leave out each epoch's last chunk if it is not full.
    Attributes:
        first_epoch, epochs: those that ``start`` leaves something of.
        chunk_size: how many records every chunk has; None where the last may have fewer.
        is_sequential: chunks have to be fetched one after another (compressed shards).
    Raises:
        UsageError: ``start`` is behind the end, or shuffled compressed shards.
    """

    def __init__(
        self,
        opened: Split,
        *,
        seed: int,
        epoch: int,
        epochs: int,
        chunk: int,
        shuffle: bool,
        shard: tuple[int, int],
        start: int,
        whole_chunks: bool,
    ) -> None:
        self._records: RandomAccess | _Sequential
        if shuffle or _compression(opened) == "none":
            self._records = random_access(opened, "shuffle")
        else:
            self._records = _Sequential(opened)
        self.is_sequential = isinstance(self._records, _Sequential)
        self._seed = seed
        self._chunk = chunk
        self._shuffle = shuffle
        self._shard = shard
        self._whole_chunks = whole_chunks
        self.chunk_size = chunk if whole_chunks else None
        self._own = len(range(shard[0], self._records.count, shard[1]))
        if start > self._own * epochs:
            raise UsageError(f"start: found {start}, expected at most {self._own * epochs} records")
        passed = min(start // self._own, epochs - 1) if self._own else 0
        self._offset = start - passed * self._own
        self.first_epoch = epoch + passed
        self.epochs = epochs - passed
        self._numbers = lru_cache(maxsize=2)(self._draw_numbers)

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "_numbers"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._numbers = lru_cache(maxsize=2)(self._draw_numbers)

    def chunk_counts(self) -> tuple[int, int]:
        """Return how many chunks the first epoch has, and each later one."""
        counts = (self._own - self._offset, self._own)
        if self._whole_chunks:
            return counts[0] // self._chunk, counts[1] // self._chunk
        return -(-counts[0] // self._chunk), -(-counts[1] // self._chunk)

    def record_count(self) -> int:
        """Return how many records all epochs have, where chunks need not be whole."""
        return self._own * self.epochs - self._offset

    def fetch(
        self, number: int, chunk: int, buffers: BufferPool
    ) -> tuple[list[memoryview], Int64s]:
        """Read one chunk of the epoch that is ``number`` behind the first, into ``buffers``.

        Returns:
            The payloads, each checked by both its CRCs, and the records' numbers, int64[n].
        Raises:
            FramingError: a record is damaged.
        """
        begin = (self._offset if number == 0 else 0) + chunk * self._chunk
        numbers = self._numbers(self.first_epoch + number)[begin : begin + self._chunk]
        return self._records.fetch(numbers, buffers), numbers

    def _draw_numbers(self, epoch: int) -> Int64s:
        count = self._records.count
        return numbers_of(
            count, seed=self._seed, epoch=epoch, shuffle=self._shuffle, shard=self._shard
        )


def numbers_of(
    count: int, *, seed: int, epoch: int, shuffle: bool, shard: tuple[int, int]
) -> Int64s:
    """Return the numbers of the records that a host has in an epoch, int64[n], in their order.

    Args:
        count: of all records.
        shard: (i, n) for host i of n.
    """
    positions = np.arange(shard[0], count, shard[1], dtype=np.int64)
    return crops.order(count, seed=seed, epoch=epoch)[positions] if shuffle else positions


def random_access(opened: Split, purpose: str) -> RandomAccess:
    """Open a split to read its records by their numbers.

    Args:
        purpose: what needs that, for the message.
    Raises:
        UsageError: its shards are compressed.
    """
    if _compression(opened) != "none":
        found = f"found compressed shards in {opened.folder}"
        raise UsageError(f"{purpose}: {found}, expected plain ones")
    return RandomAccess(opened)


def _compression(opened: Split) -> Compression:
    try:
        return discover.compression(opened)
    except OSError as error:
        raise RunError(f"{error.filename}: {error.strerror}") from error


class RandomAccess:
    """Records of plain shards, by number. No file stays open, so that processes share none.

    Attributes:
        count: of the records.
    """

    def __init__(self, opened: Split) -> None:
        self._paths = opened.shards
        self._places = discover.places(opened)
        self.count = len(self._places)

    def fetch(self, numbers: Int64s, buffers: BufferPool) -> list[memoryview]:
        """Read the records of these numbers."""
        places = self._places[numbers].tolist()
        rows: dict[int, list[int]] = {}
        for row, (shard, *_) in enumerate(places):
            rows.setdefault(shard, []).append(row)
        payloads = [memoryview(b"")] * len(places)
        for shard, mine in rows.items():
            path, wanted = self._paths[shard], [places[row][1:] for row in mine]
            descriptor = os.open(path, os.O_RDONLY)  # at half the cost of a file object
            try:
                _check_places(path, os.fstat(descriptor).st_size, wanted)
                view = buffers.view(sum(length for _, length in wanted))
                read = read_places(descriptor, wanted, str(path), view)
            finally:
                os.close(descriptor)
            for row, payload in zip(mine, read, strict=True):
                payloads[row] = payload
        return payloads


def _check_places(path: Path, size_bytes: int, places: Sequence[Sequence[int]]) -> None:
    """Refuse records that a file is too short for, before memory is asked for them."""
    for offset, length in places:
        if offset + length > size_bytes:
            raise FramingError(
                f"{path}: at byte {offset}: found {size_bytes} bytes in all, expected a record of "
                f"{length} bytes there: run `tfrec verify`"
            )


class _Sequential:
    """Records of compressed shards, by ascending numbers: a smaller one starts over."""

    def __init__(self, opened: Split) -> None:
        self._opened = opened
        described = opened.manifest
        self.count = described.records if described else sum(1 for _ in discover.payloads(opened))
        self._lock = threading.Lock()
        self._next = 0
        self._payloads = discover.payloads(opened)

    def fetch(self, numbers: Int64s, _buffers: BufferPool) -> list[memoryview]:
        """Read the records of these ascending numbers."""
        payloads = []
        with self._lock:
            for number in numbers.tolist():
                if number < self._next:
                    self._next, self._payloads = 0, discover.payloads(self._opened)
                payload = next(islice(self._payloads, number - self._next, None))
                payloads.append(memoryview(payload))
                self._next = number + 1
        return payloads
