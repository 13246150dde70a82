"""The order in which records are read: epochs, hosts, where to start, chunks.

Knows: numbers of records. Must not know: what is in a record, where it is, any framework.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tfrec_cli import crops
from tfrec_cli.crops import Int64s
from tfrec_cli.errors import UsageError
from tfrec_cli.reading.options import ReadOptions
from tfrec_cli.runtime import values


def record_numbers(count: int, options: ReadOptions, epoch: int) -> Int64s:
    """Return the numbers of the records that this host reads in an epoch, in order.

    Position ``p`` has record ``p``, or with ``shuffle`` the record that `crops.order` puts there.
    Host ``i`` of ``n`` reads positions ``i, i + n, …``.

    Args:
        count: number of all records.
    Returns:
        int64[n].
    """
    host, hosts = options.host
    positions = np.arange(host, count, hosts, dtype=np.int64)
    if not options.shuffle:
        return positions
    return crops.order(count, seed=options.seed, epoch=epoch)[positions]


def host_count(count: int, options: ReadOptions) -> int:
    """Return how many of ``count`` records this host reads in an epoch.

    Raises:
        UsageError: ``start`` exceeds the records of all epochs.
    """
    host, hosts = options.host
    own = len(range(host, count, hosts))
    if options.start > own * options.epochs:
        most = own * options.epochs
        expected = f"at most {values.plural(most, 'record')}"
        raise UsageError(f"`start`: found {options.start}, expected {expected}")
    return own


class ChunkOrder:
    """The epochs that a host reads, cut into chunks: a pure function of the options.

    A chunk is read at once, and never spans two epochs.

    Args:
        count: number of all records.
        chunk_size: records in a chunk; an epoch's last chunk may have fewer.
        full_only: leave out an epoch's last chunk if it has fewer.
    Attributes:
        first_epoch: the first epoch that ``start`` does not skip completely.
        epochs: number of epochs from there on.
    Raises:
        UsageError: ``start`` exceeds the records of all epochs.
    """

    def __init__(
        self, count: int, options: ReadOptions, chunk_size: int, *, full_only: bool = False
    ) -> None:
        self._count = count
        self._options = options
        self._chunk_size = chunk_size
        self._full_only = full_only
        self._own = host_count(count, options)
        passed = min(options.start // self._own, options.epochs - 1) if self._own else 0
        self._offset = options.start - passed * self._own
        self.first_epoch = options.epoch + passed
        self.epochs = options.epochs - passed
        self._numbers = lru_cache(maxsize=2)(self._draw_numbers)

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "_numbers"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._numbers = lru_cache(maxsize=2)(self._draw_numbers)

    @property
    def fixed_size(self) -> int | None:
        """Number of records in every chunk; None if the last may have fewer."""
        return self._chunk_size if self._full_only else None

    def chunk_counts(self) -> tuple[int, int]:
        """Return the number of chunks in the first epoch, and in each later one."""
        counts = (self._own - self._offset, self._own)
        if self._full_only:
            return counts[0] // self._chunk_size, counts[1] // self._chunk_size
        return -(-counts[0] // self._chunk_size), -(-counts[1] // self._chunk_size)

    def chunk_count(self) -> int:
        """Return the number of chunks in all epochs."""
        first, later = self.chunk_counts()
        return first + later * (self.epochs - 1)

    def record_count(self) -> int:
        """Return the number of records in all epochs, including chunks that are left out."""
        return self._own * self.epochs - self._offset

    def numbers(self, epoch_index: int, chunk: int) -> Int64s:
        """Return the numbers of one chunk's records.

        Args:
            epoch_index: counted from ``first_epoch``.
            chunk: counted from the first one in the epoch that ``start`` does not skip.
        Returns:
            int64[n].
        """
        begin = (0 if epoch_index else self._offset) + chunk * self._chunk_size
        return self._numbers(self.first_epoch + epoch_index)[begin : begin + self._chunk_size]

    def _draw_numbers(self, epoch: int) -> Int64s:
        return record_numbers(self._count, self._options, epoch)


def worker_share(numbers: Int64s, files: Int64s | None, worker: int, workers: int) -> Int64s:
    """Return which records one of several workers reads; together they read each once.

    Without ``files``, worker ``w`` of ``n`` reads positions ``w, w + n, …``. With them it reads
    whole files, or shares one file with others if there are fewer files than workers.

    Args:
        numbers: those of all records, in order.
        files: for each of them the number of its file; None if files need not stay together.
    Returns:
        int64[n].
    """
    if files is None:
        return numbers[worker::workers]
    own = [numbers[:0]]
    present = np.unique(files)
    for place, file in enumerate(present.tolist()):
        if place % workers == worker % len(present):
            sharing = len(range(place % workers, workers, len(present)))
            own.append(numbers[files == file][worker // len(present) :: sharing])
    return np.concatenate(own)
