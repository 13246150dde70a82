"""The order in which records are read: epochs, hosts, where to start, chunks.

Knows: numbers of records. Must not know: what is in a record, where it is, any framework.

Each position of an epoch is computed by itself, so that a run can start anywhere, with any number
of hosts, and an epoch of any size needs no memory.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tfrec_cli import crops
from tfrec_cli.crops import Int64s
from tfrec_cli.errors import UsageError
from tfrec_cli.reading.mixture import Mixture
from tfrec_cli.reading.options import ReadOptions
from tfrec_cli.runtime import values

BLOCK = 256
"""Adjacent records that ``shuffle="blocks"`` keeps near each other."""
WINDOW = 64
"""Blocks whose records it mixes."""


class Drawn(NamedTuple):
    """Records that are read, in order.

    Attributes:
        numbers: int64[n].
        epochs: that of each record, int64[n].
        ahead: adjacent records of which many will be read later, but soon.
    """

    numbers: Int64s
    epochs: Int64s
    ahead: tuple[range, ...] = ()


def draw(records: int | Mixture, options: ReadOptions, epoch: int, own: range) -> Drawn:
    """Return the records that this host reads in an epoch.

    Host ``i`` of ``n`` reads positions ``i, i + n, …`` of the epoch. Position ``p`` has record
    ``p``, or with ``shuffle`` the record that `crops.shuffled` puts there. In a mixture the epochs
    go on, each dataset has epochs of its own, and is read in the order that it has alone.

    Args:
        records: how many there are; or several datasets, numbered one after the other.
        own: which of this host's positions, counted from 0, see `host_count`.
    """
    host, hosts = options.host
    positions = host + hosts * np.arange(own.start, own.stop, own.step, dtype=np.int64)
    count = records if isinstance(records, int) else records.count
    if options.even == "repeat":
        positions %= max(count, 1)
    if isinstance(records, int):
        numbers, epochs = _numbers(positions, count, options, epoch), np.full_like(positions, epoch)
        return Drawn(numbers, epochs, _ahead(own, count, options, epoch))
    seed = options.drawn_order_seed if options.shuffle else None
    members, passed = records.members(positions + epoch * count, seed)
    sizes = np.array(records.sizes)
    epochs, places = np.divmod(passed, sizes[members])
    numbers = np.cumsum(sizes)[members] - sizes[members]
    for member, own_epoch in set(zip(members.tolist(), epochs.tolist(), strict=True)):
        rows = np.flatnonzero((members == member) & (epochs == own_epoch))
        numbers[rows] += _numbers(places[rows], records.sizes[member], options, own_epoch)
    return Drawn(numbers, epochs)


def _numbers(positions: Int64s, count: int, options: ReadOptions, epoch: int) -> Int64s:
    """Return the records at positions of an epoch of one dataset."""
    seed = options.drawn_order_seed
    if options.shuffle == "blocks":
        return _in_blocks(positions, count, seed, epoch)
    if options.shuffle:
        return crops.shuffled(positions, count, seed=seed, epoch=epoch)
    return positions


def _in_blocks(positions: Int64s, count: int, seed: int, epoch: int) -> Int64s:
    """Return the records at positions of an epoch that is shuffled by blocks.

    The blocks are shuffled, and in each window of blocks in a row, all records. The last block may
    have fewer records: where it went, all places after it are ``gap`` earlier.
    """
    blocks = -(-count // BLOCK)
    gap = blocks * BLOCK - count
    short = 0
    if gap:
        last = np.array([blocks - 1])
        short = int(crops.shuffled(last, blocks, seed=seed, epoch=epoch, inverse=True)[0])
    records_in_window = BLOCK * WINDOW
    short_window = short // WINDOW
    is_after = positions >= (short_window + 1) * records_in_window - gap
    windows = (positions + gap * is_after) // records_in_window
    places = np.empty_like(positions)
    for window in np.unique(windows).tolist():
        rows = np.flatnonzero(windows == window)
        begin = window * records_in_window
        end = min(begin + records_in_window, blocks * BLOCK) - gap * (window == short_window)
        passed = begin - gap * (window > short_window)
        mixed = crops.shuffled(
            positions[rows] - passed, end - begin, seed=seed, epoch=epoch, part=1 + window
        )
        places[rows] = begin + mixed
    places[(windows == short_window) & (places >= (short + 1) * BLOCK - gap)] += gap
    return crops.shuffled(places // BLOCK, blocks, seed=seed, epoch=epoch) * BLOCK + places % BLOCK


def _ahead(own: range, count: int, options: ReadOptions, epoch: int) -> tuple[range, ...]:
    """Return the blocks of the next window whose turn it is to be read from the disk.

    It is that of one block every `BLOCK` positions, so that reading a window takes as long as
    reading its records. An epoch begins with all blocks of its first window.
    """
    if options.shuffle != "blocks" or not count:
        return ()
    _, hosts = options.host
    blocks = -(-count // BLOCK)
    first = -(-(own.start * hosts) // BLOCK) + WINDOW if own.start else 0
    places = np.arange(first, min(-(-(own.stop * hosts) // BLOCK) + WINDOW, blocks))
    drawn = crops.shuffled(places, blocks, seed=options.drawn_order_seed, epoch=epoch).tolist()
    return tuple(range(block * BLOCK, min((block + 1) * BLOCK, count)) for block in drawn)


def host_count(count: int, options: ReadOptions) -> int:
    """Return how many records this host reads in an epoch, of ``count`` in all.

    Raises:
        UsageError: ``start`` exceeds the records of all epochs, or ``even`` drops all records.
    """
    host, hosts = options.host
    own = len(range(host, count, hosts))
    if options.even == "drop":
        own = count // hosts
        if count and not own:
            raise UsageError(
                f"`even`: found 'drop' with {values.plural(count, 'record')} for {hosts} hosts, "
                "expected at least one for each, or even='repeat'"
            )
    elif options.even == "repeat":
        own = -(-count // hosts)
    most = own * options.epoch_count
    if options.start > most:
        expected = f"at most {values.plural(most, 'record')}"
        raise UsageError(f"`start`: found {options.start}, expected {expected}")
    return own


def own_start(position: int, options: ReadOptions) -> int:
    """Return how many records this host reads before a position of an epoch.

    So it is the ``start`` with which hosts go on where others, of any number, stopped: after
    ``steps`` batches of each of ``n`` hosts, ``position`` is ``steps * batch_size * n``.
    """
    host, hosts = options.host
    return max(-(-(position - host) // hosts), 0)


class ChunkOrder:
    """The epochs that a host reads, cut into chunks: a pure function of the options.

    A chunk is read at once, and never spans two epochs.

    Args:
        records: how many there are, or several datasets.
        chunk_size: records in a chunk; an epoch's last chunk may have fewer.
        full_only: leave out an epoch's last chunk if it has fewer.
    Attributes:
        first_epoch: the first epoch that ``start`` does not skip completely.
        epochs: number of epochs from there on.
    Raises:
        UsageError: ``start`` exceeds the records of all epochs, or there are empty epochs without
            end.
    """

    def __init__(
        self,
        records: int | Mixture,
        options: ReadOptions,
        chunk_size: int,
        *,
        full_only: bool = False,
    ) -> None:
        self._records = records
        self._options = options
        self._chunk_size = chunk_size
        self._full_only = full_only
        count = records if isinstance(records, int) else records.count
        self._own = host_count(count, options)
        passed = min(options.start // self._own, options.epoch_count - 1) if self._own else 0
        self._offset = options.start - passed * self._own
        self.first_epoch = options.epoch + passed
        self.epochs = options.epoch_count - passed
        if options.epochs is None and not self.chunk_counts()[1]:
            raise UsageError("`epochs`: found None, but an epoch has nothing for this host to read")

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

    def chunk(self, epoch_index: int, chunk: int) -> Drawn:
        """Return one chunk's records.

        Args:
            epoch_index: counted from ``first_epoch``.
            chunk: counted from the first one in the epoch that ``start`` does not skip.
        """
        own = self.own_range(epoch_index)
        return self.draw(epoch_index, own[chunk * self._chunk_size :][: self._chunk_size])

    def draw(self, epoch_index: int, own: range) -> Drawn:
        """Return the records at some of this host's positions in an epoch; see `draw`."""
        return draw(self._records, self._options, self.first_epoch + epoch_index, own)

    def own_range(self, epoch_index: int) -> range:
        """Return this host's positions in an epoch that ``start`` does not skip."""
        return range(0 if epoch_index else self._offset, self._own)


def worker_share(files: Int64s, worker: int, workers: int) -> Int64s:
    """Return which records one of several workers reads; together they read each once.

    A worker reads whole files, or shares one with others if there are fewer files than workers.

    Args:
        files: the number of the file of each record, in the order in which they are read.
    Returns:
        int64[n], places in ``files``.
    """
    own = [np.empty(0, np.int64)]
    present = np.unique(files)
    for place, file in enumerate(present.tolist()):
        if place % workers == worker % len(present):
            sharing = len(range(place % workers, workers, len(present)))
            own.append(np.flatnonzero(files == file)[worker // len(present) :: sharing])
    return np.concatenate(own)
