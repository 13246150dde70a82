"""Finds and selects the records of files, cuts them into new shards, and copies them."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tfrec_cli import crops
from tfrec_cli.dataset import discover, targets
from tfrec_cli.dataset.manifest import Shard
from tfrec_cli.dataset.records import BYTES_FIELDS, CERTAIN_FIELDS
from tfrec_cli.errors import DataError
from tfrec_cli.resharding.select import Condition, met_by
from tfrec_cli.runtime import files as durable
from tfrec_cli.runtime import pool
from tfrec_cli.runtime.pool import Progress
from tfrec_cli.tfrecord.compression import WrittenCompression
from tfrec_cli.tfrecord.example import SingleValues
from tfrec_cli.tfrecord.index import locate_records
from tfrec_cli.tfrecord.record import HEADER_BYTES, OVERHEAD_BYTES, frame, read_places
from tfrec_cli.tfrecord.stream import compression_of
from tfrec_cli.writing import shard
from tfrec_cli.writing.written_shard import WrittenShard

Numbers = npt.NDArray[np.int64]

PIECE_BYTES = 1 << 22
"""Records read at once, except for a single longer one."""

NOTED = tuple(sorted(CERTAIN_FIELDS - BYTES_FIELDS))
"""Fields of each selected record that are noted: numbers that every record of tfrec has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Records of one uncompressed file, in order.

    Attributes:
        numbers: number of each record in its file.
        offsets: where each record starts, in bytes.
        lengths: bytes of each record with its framing.
    """

    path: Path
    numbers: Numbers
    offsets: Numbers
    lengths: Numbers

    def part(self, chosen: slice | npt.NDArray[np.bool_]) -> Run:
        """Return the run of some of its records."""
        return replace(
            self,
            numbers=self.numbers[chosen],
            offsets=self.offsets[chosen],
            lengths=self.lengths[chosen],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is read in each record before it is copied.

    Attributes:
        names: names of the features of `NOTED`; none for records of other programs.
        conditions: only records that meet all of them are selected.
    """

    names: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One record file to be read.

    Attributes:
        described: its entry in the manifest; None for a file of another program.
        is_plain: whether it is uncompressed.
        reading: None reads no record.
    """

    path: Path
    described: Shard | None
    is_plain: bool
    reading: Reading | None

    @classmethod
    def foreign(cls, path: Path, reading: Reading | None) -> File:
        """Return a file of another program.

        Raises:
            DataError: it is missing.
            RunError: it cannot be read.
        """
        with discover.reading(path), path.open("rb") as file:
            is_plain = compression_of(file.read(HEADER_BYTES)) == "none"
        return cls(path=path, described=None, is_plain=is_plain, reading=reading)


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """The records of one file.

    Attributes:
        number: that of the file.
        run: the selected records.
        records: number of all records.
        size_bytes: size of all records, uncompressed.
        noted: a row for each selected record, with its values of `NOTED`, or -1; no rows if they
            were not read.
        having: for each condition, how many records have its feature.
        unmet: for each condition, its words that no record meets.
    """

    number: int
    run: Run
    records: int
    size_bytes: int
    noted: Numbers
    having: tuple[int, ...]
    unmet: tuple[frozenset[str], ...]


def locate(files: Sequence[File], folder: Path, run: pool.Map, progress: Progress) -> list[Located]:
    """Find the records of some files, and read them if that is asked for.

    Args:
        folder: a new folder for decompressed files; it is only made if there are some.
    Raises:
        DataError: a file is damaged, or differs from the manifest.
    """
    if not all(file.is_plain for file in files):
        folder.mkdir()
    tasks = (
        (number, file, file.path if file.is_plain else folder / str(number))
        for number, file in enumerate(files)
    )
    located: dict[int, Located] = {}
    for part in run(_locate, tasks):
        located[part.number] = part
        progress("reading", len(located), len(files))
    return [located[number] for number in range(len(files))]


def _locate(task: tuple[int, File, Path]) -> Located:
    """Find the records of a file, after checking it by its manifest, or else each CRC.

    Args:
        task: number of the file, the file, and where it is uncompressed.
    """
    number, file, plain = task
    if file.described:
        discover.check_digest(file.path, file.described)
    if file.is_plain and file.described:
        pairs = locate_records(plain)
    else:
        pairs = _copied(file.path, None if file.is_plain else plain)
    if file.described:
        discover.check_count(file.path, file.described, len(pairs))
    elif not pairs:
        raise DataError(f"{file.path}: {discover.NO_RECORDS}")
    places = np.array(pairs, np.int64).reshape(-1, 2)
    chosen = whole = Run(
        path=plain, numbers=np.arange(len(pairs)), offsets=places[:, 0], lengths=places[:, 1]
    )
    noted = np.empty((0, len(NOTED)), np.int64)
    having: tuple[int, ...] = ()
    unmet: tuple[frozenset[str], ...] = ()
    if file.reading:
        chosen, noted, having, unmet = _selected(file, whole, file.reading)
    return Located(
        number=number,
        run=chosen,
        records=len(pairs),
        size_bytes=int(whole.lengths.sum()),
        noted=noted,
        having=having,
        unmet=unmet,
    )


def _copied(path: Path, plain: Path | None) -> list[tuple[int, int]]:
    """Check each record, write it uncompressed to ``plain``, and return all places there."""
    pairs = []
    offset = 0
    with plain.open("xb") if plain else nullcontext() as file:
        for record in discover.whole_records(path):
            length = len(record.payload) + OVERHEAD_BYTES
            pairs.append((offset, length))
            offset += length
            if file:
                file.write(frame(record.payload))
    return pairs


def _selected(
    file: File, whole: Run, reading: Reading
) -> tuple[Run, Numbers, tuple[int, ...], tuple[frozenset[str], ...]]:
    """Read all records; return the selected ones, what is noted of them, and what they have.

    That is `Located.having` and `Located.unmet`.
    """
    fields = {name: name for name in reading.names}
    fields |= {condition.feature: condition.feature for condition in reading.conditions}
    reader = SingleValues(fields)
    is_chosen = np.zeros(len(whole.lengths), bool)
    rows = []
    having = [0] * len(reading.conditions)
    unmet = [set(condition.values.values()) for condition in reading.conditions]
    for piece in read_pieces(whole):
        for number, payload in zip(piece.run.numbers.tolist(), piece.payloads, strict=True):
            try:
                values = reader.read(payload)
            except DataError as error:
                raise DataError(f"{file.path}: record {number}: {error}") from error
            found = [values.get(condition.feature) for condition in reading.conditions]
            having = [
                count + (value is not None) for count, value in zip(having, found, strict=True)
            ]
            words = list(map(met_by, reading.conditions, found))
            for lacking, word in zip(unmet, words, strict=True):
                lacking.discard(word or "")
            if None not in words:
                is_chosen[number] = True
                rows += [_numbers(values, reading.names)]
    noted = np.array(rows, np.int64).reshape(len(rows), len(reading.names))
    return whole.part(is_chosen), noted, tuple(having), tuple(map(frozenset, unmet))


def _numbers(values: Mapping[str, memoryview | int], names: Sequence[str]) -> list[int]:
    found = (values.get(name) for name in names)
    return [value if isinstance(value, int) else -1 for value in found]


class Piece(NamedTuple):
    """Some records of a run in memory, valid until the next piece is read.

    Attributes:
        framed: all records with their framing.
    """

    run: Run
    payloads: list[memoryview]
    framed: memoryview


def read_pieces(run: Run) -> Iterator[Piece]:
    """Read the records of a run in pieces, and check their CRCs."""
    memory = memoryview(bytearray(PIECE_BYTES))
    with run.path.open("rb", buffering=0) as file:
        for part in pieces(run, PIECE_BYTES):
            size_bytes = int(part.lengths.sum())
            if size_bytes > len(memory):
                memory = memoryview(bytearray(size_bytes))
            places = list(zip(part.offsets.tolist(), part.lengths.tolist(), strict=True))
            payloads = read_places(file.fileno(), places, str(run.path), memory)
            yield Piece(part, payloads, memory[:size_bytes])


def between(runs: Sequence[Run], start: int, stop: int) -> Iterator[Run]:
    """Cut the records ``[start, stop)`` out of consecutive runs."""
    counts = [len(run.lengths) for run in runs]
    for run, first, count in zip(runs, accumulate(counts, initial=0), counts, strict=False):
        low, high = (min(max(edge - first, 0), count) for edge in (start, stop))
        if low < high:
            yield run.part(slice(low, high))


def pieces(run: Run, most_bytes: int) -> Iterator[Run]:
    """Cut a run into runs of at most ``most_bytes``; a single record may be longer."""
    ends = run.lengths.cumsum()
    low = start = 0
    while low < len(ends):
        high = max(int(np.searchsorted(ends, start + most_bytes, "right")), low + 1)
        yield run.part(slice(low, high))
        low, start = high, int(ends[high - 1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One shard to be made of the records in ``runs``.

    Attributes:
        key: the feature with their keys; None for records of other programs.
        label: the feature with their labels; None if they have none.
    """

    number: int
    path: Path
    index: Path | None
    compression: WrittenCompression
    key: str | None
    label: str | None
    runs: tuple[Run, ...]


@dataclass(slots=True, kw_only=True)
class CopiedShard(WrittenShard):
    """A shard of copied records, with the label of each if they have labels."""

    labels: array[int] = field(default_factory=lambda: array("q"))


def copy_shards(
    tasks: Sequence[Task], records: int, run: pool.Map, progress: Progress
) -> list[CopiedShard]:
    """Make every shard, and wait until all are on the disk.

    Args:
        records: number of records in all shards, for ``progress``.
    Raises:
        DataError: a record is damaged.
    """
    written: list[CopiedShard] = []
    copied = 0
    disk = ThreadPoolExecutor()
    try:
        syncs: list[Future[None]] = []
        for part in run(_copy_shard, tasks):
            syncs += [disk.submit(durable.sync, path) for path in part.paths]
            written.append(part)
            copied += part.records
            progress("copying", copied, records)
        for sync in syncs:
            sync.result()
    finally:
        disk.shutdown(cancel_futures=True)
    return sorted(written, key=lambda part: part.number)


def _copy_shard(task: Task) -> CopiedShard:
    """Make one shard; digest its records if they have keys, and note their labels."""
    paths = [path for path in (task.path, task.index) if path]
    written = CopiedShard(number=task.number, paths=paths)
    wanted = {name: called for name, called in ((task.key, "key"), (task.label, "label")) if name}
    reader = SingleValues(wanted) if wanted else None
    with shard.filled(written, task.path, task.index, task.compression) as put:
        for piece in (piece for run in task.runs for piece in read_pieces(run)):
            put([bytes(piece.framed)], piece.run.lengths.tolist())
            written.records += len(piece.payloads)
            if reader:
                for number, payload in zip(piece.run.numbers.tolist(), piece.payloads, strict=True):
                    values = targets.values_of(reader, payload, piece.run.path, number)
                    if task.key:
                        written.add_digest(_key(values), payload)
                    if task.label:
                        label = targets.label_of(values, piece.run.path, number)
                        written.labels.append(label)
    return written


def _key(values: Mapping[str, memoryview | int]) -> int:
    key = values.get("key")
    return crops.seed_key(key if isinstance(key, int) else None, 0)
