"""Finds runs of consecutive records in files, and cuts them where new shards begin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tfrec_cli.dataset import discover
from tfrec_cli.dataset.discover import Split
from tfrec_cli.dataset.manifest import Manifest, Shard
from tfrec_cli.errors import DataError
from tfrec_cli.runtime import pool
from tfrec_cli.tfrecord.index import locate_records
from tfrec_cli.tfrecord.record import frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Consecutive records in one uncompressed file.

    Attributes:
        first: number of the first record in its file.
        offset_bytes: where the first record starts.
        lengths: bytes of each record with its framing.
    """

    path: Path
    first: int
    offset_bytes: int
    lengths: npt.NDArray[np.int64]

    def part(self, start: int, stop: int) -> Run:
        """Return the run of its records ``[start, stop)``."""
        return replace(
            self,
            first=self.first + start,
            offset_bytes=self.offset_bytes + int(self.lengths[:start].sum()),
            lengths=self.lengths[start:stop],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """One shard to be read; if it is compressed, ``plain`` is where to decompress it to."""

    number: int
    path: Path
    described: Shard
    plain: Path | None


def locate(split: Split, described: Manifest, plain: Path, run: pool.Map) -> list[Run]:
    """Find all records of a split: those of each shard, in the order of the shards.

    Args:
        plain: a new folder for decompressed shards; only made if shards are compressed.
    Raises:
        DataError: a shard differs from the manifest.
    """
    is_compressed = described.compression != "none"
    if is_compressed:
        plain.mkdir()
    tasks = (
        _Task(
            number=number,
            path=path,
            described=entry,
            plain=plain / entry.name if is_compressed else None,
        )
        for number, (path, entry) in enumerate(zip(split.shards, described.shards, strict=True))
    )
    located = dict(run(_locate, tasks))
    runs = [located[number] for number in range(len(located))]
    count = sum(len(part.lengths) for part in runs)
    if count != described.records:
        raise DataError(
            f"{split.folder}: split {described.split!r}: found {count} records, expected "
            f"{described.records} by the manifest",
            hint="verify",
        )
    return runs


def _locate(task: _Task) -> tuple[int, Run]:
    """Find the records of a shard, after checking its digest against the manifest."""
    discover.check_digest(task.path, task.described)
    path = task.plain or task.path
    if task.plain:
        with task.plain.open("xb") as file:
            for record in discover.whole_records(task.path):
                file.write(frame(record.payload))
    lengths = np.array([length for _, length in locate_records(path)], np.int64)
    discover.check_count(task.path, task.described, len(lengths))
    return task.number, Run(path=path, first=0, offset_bytes=0, lengths=lengths)


def between(runs: Sequence[Run], start: int, stop: int) -> Iterator[Run]:
    """Cut the records ``[start, stop)`` out of consecutive runs."""
    before = 0
    for run in runs:
        low, high = (min(max(edge - before, 0), len(run.lengths)) for edge in (start, stop))
        before += len(run.lengths)
        if low < high:
            yield run.part(low, high)


def pieces(run: Run, most_bytes: int) -> Iterator[Run]:
    """Cut a run into runs of at most ``most_bytes``; a single record may be longer."""
    ends = run.lengths.cumsum()
    low = start = 0
    while low < len(ends):
        high = max(int(np.searchsorted(ends, start + most_bytes, "right")), low + 1)
        yield replace(
            run,
            first=run.first + low,
            offset_bytes=run.offset_bytes + start,
            lengths=run.lengths[low:high],
        )
        low, start = high, int(ends[high - 1])
