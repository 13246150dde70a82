"""Copies runs of records into new shards, and checks and digests them on the way."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tfrec_cli import crops
from tfrec_cli.errors import DataError
from tfrec_cli.resharding.runs import Run, read_pieces
from tfrec_cli.runtime import files, pool
from tfrec_cli.runtime.pool import Progress
from tfrec_cli.tfrecord.compression import WrittenCompression
from tfrec_cli.tfrecord.example import SingleValues
from tfrec_cli.writing import shard
from tfrec_cli.writing.written_shard import WrittenShard


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One shard to be made of the records in ``runs``.

    Attributes:
        key: the feature with their keys; None for records of other programs.
    """

    number: int
    path: Path
    index: Path | None
    compression: WrittenCompression
    key: str | None
    runs: tuple[Run, ...]


def copy_shards(
    tasks: Sequence[Task], records: int, run: pool.Map, progress: Progress
) -> list[WrittenShard]:
    """Make every shard, and wait until all are on the disk.

    Args:
        records: number of records in all shards, for ``progress``.
    Raises:
        DataError: a record is damaged.
    """
    written: list[WrittenShard] = []
    copied = 0
    disk = ThreadPoolExecutor()
    try:
        syncs: list[Future[None]] = []
        for part in run(_copy_shard, tasks):
            syncs += [disk.submit(files.sync, path) for path in part.paths]
            written.append(part)
            copied += part.records
            progress("copying", copied, records)
        for sync in syncs:
            sync.result()
    finally:
        disk.shutdown(cancel_futures=True)
    return sorted(written, key=lambda part: part.number)


def _copy_shard(task: Task) -> WrittenShard:
    """Make one shard, and digest its records if they have keys."""
    paths = [path for path in (task.path, task.index) if path]
    written = WrittenShard(number=task.number, paths=paths)
    reader = SingleValues({task.key: "key"}) if task.key else None
    with shard.filled(written, task.path, task.index, task.compression) as put:
        for piece in (piece for run in task.runs for piece in read_pieces(run)):
            put([bytes(piece.framed)], piece.run.lengths.tolist())
            written.records += len(piece.payloads)
            if reader:
                for number, payload in zip(piece.run.numbers.tolist(), piece.payloads, strict=True):
                    written.add_digest(_key(reader, payload, piece.run.path, number), payload)
    return written


def _key(reader: SingleValues, payload: memoryview, path: Path, number: int) -> int:
    try:
        key = reader.read(payload).get("key")
    except DataError as error:
        raise DataError(f"{path}: record {number}: {error}") from error
    return crops.seed_key(key if isinstance(key, int) else None, 0)
