"""``tfrec reshard``: the same records in the same order, in another number of shards.

Knows: where records lie, and how they are divided among shards. Must not know: what a record
holds besides its key, click, terminals.
"""

from __future__ import annotations

import hashlib
import itertools
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tfrec_cli import crops
from tfrec_cli.dataset import discover, manifest
from tfrec_cli.dataset import records as contract
from tfrec_cli.dataset import rejects as rejects_file
from tfrec_cli.dataset.discover import Split
from tfrec_cli.dataset.manifest import Manifest
from tfrec_cli.dataset.names import index_name, shard_name
from tfrec_cli.dataset.records import content_digest
from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.errors import DataError, UsageError
from tfrec_cli.runtime import files, pool
from tfrec_cli.runtime.pool import Progress
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.compression import WrittenCompression
from tfrec_cli.tfrecord.index import locate_records
from tfrec_cli.tfrecord.record import frame, read_places
from tfrec_cli.writing import output, plan, shard, staging
from tfrec_cli.writing.options import default_of, validate
from tfrec_cli.writing.staging import StagedSplit
from tfrec_cli.writing.written_shard import WrittenShard

_RUN_BYTES = 1 << 22
"""Records copied at once, but for a single longer one."""

_PLAIN = ".plain"
"""Folder in the new one where shards lie decompressed while they are copied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What ``tfrec reshard`` can be told; the names are those of the command line.

    Attributes:
        split: None takes all.
        shards: how many each split shall have; else as many as ``shard_size`` (bytes) asks for.
        index: None makes index files where there were some.
    """

    split: str | None = None
    shards: int | None = None
    shard_size: int | None = None
    index: bool | None = None
    jobs: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resharded:
    """What ``tfrec reshard`` made: of each split its manifest ``before`` and ``after``."""

    path: Path
    out: Path
    before: tuple[Manifest, ...]
    after: tuple[Manifest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """One shard to be read; ``plain`` is where it is to lie decompressed, if it is not yet."""

    number: int
    path: Path
    described: manifest.Shard
    plain: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """Records that follow each other in one plain file.

    Attributes:
        first: number of the first record in its file, which starts at ``offset_bytes``.
        lengths: of each whole record, in bytes.
    """

    path: Path
    first: int
    offset_bytes: int
    lengths: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """One shard to be made of the records in ``runs``; ``key`` is the name of their keys."""

    number: int
    path: Path
    index: Path | None
    compression: WrittenCompression
    key: str
    runs: tuple[_Run, ...]


def reshard(
    path: Path, out: Path, options: Options, progress: Progress = lambda *_: None
) -> Resharded:
    """Copy the dataset at ``path`` into the new folder ``out``, in other shards.

    Records are copied as they are. Shards begin where `tfrec write` would let them, so the same
    number of shards gives the same files. ``out`` appears when all of it is there and on the disk;
    after any error there is nothing.

    Raises:
        UsageError: neither or both of ``shards`` and ``shard_size``, more shards than records, no
            dataset, no such split, record files without a manifest.
        DataError: a shard or what lies beside it is missing, damaged, or not what its manifest
            says.
        RunError: ``out`` is not new or cannot be written.
    """
    _check_options(options)
    splits = discover.chosen(path, options.split)
    before = tuple(_described(path, one) for one in splits)
    with ExitStack() as cleaning:
        folder = cleaning.enter_context(output.new_folder(out))
        # entered last, so that no worker still writes when the folder goes
        run = cleaning.enter_context(pool.local(options.jobs or pool.available_jobs()))
        ready = []
        for one, described in zip(splits, before, strict=True):
            left_out = _rejects(one.folder, described)
            made = _copied(one, described, folder, options, run, progress)
            ready.append(StagedSplit(folder=folder, manifest=made, rejects=left_out))
        staging.describe(ready)
    after = tuple(one.manifest for one in ready)
    return Resharded(path=path, out=out, before=before, after=after)


def _check_options(options: Options) -> None:
    if (options.shards is None) == (options.shard_size is None):
        found = "neither" if options.shards is None else "both"
        raise UsageError(f"--shards, --shard-size: found {found}, expected one of the two")
    for name in ("shards", "shard_size", "jobs"):
        validate(name, getattr(options, name))


def _described(path: Path, one: Split) -> Manifest:
    if one.manifest is None:
        raise UsageError(
            f"{path}: found record files without a manifest, expected a dataset of `tfrec write`"
        )
    return one.manifest


def _rejects(folder: Path, described: Manifest) -> list[Reject]:
    """Read the list of what was left out when a split was written."""
    path = folder / described.rejects_file
    with discover.reading(path):
        data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != described.rejects_sha256:
        raise DataError(f"{path}: found another SHA-256, expected that of the manifest")
    return rejects_file.parse(data, path)


def _copied(
    one: Split,
    described: Manifest,
    folder: Path,
    options: Options,
    run: pool.Map,
    progress: Progress,
) -> Manifest:
    """Make the shards of one split, and return their manifest."""
    indexed = any(entry.index for entry in described.shards)
    if options.index is not None:
        indexed = options.index
    if indexed and described.compression == "gzip":
        raise UsageError("--index: found GZIP shards, expected others: no offsets in GZIP")
    size_bytes = sum(entry.size_bytes for entry in described.shards)
    shard_bytes = options.shard_size or default_of("shard_size")
    bounds = plan.cut(described.records, size_bytes, options.shards, shard_bytes)
    runs = _located(one, described, folder, run)
    tasks = []
    for number, (start, stop) in enumerate(itertools.pairwise(bounds)):
        count = len(bounds) - 1
        name = shard_name(described.split, number, count, described.compression)
        task = _Task(
            number=number,
            path=folder / name,
            index=folder / index_name(name) if indexed else None,
            compression=described.compression,
            key=str(contract.NAMES[described.keys].key),
            runs=tuple(_between(runs, start, stop)),
        )
        tasks.append(task)
    done = _made(tasks, described.records, run, progress)
    shutil.rmtree(folder / _PLAIN, ignore_errors=True)
    content = content_digest(digest for part in done for digest in part.digests())
    if content != described.content_sha256:
        raise DataError(
            f"{one.folder}: split {described.split!r}: found content digest {content}, expected "
            f"{described.content_sha256} by the manifest",
            hint="verify",
        )
    told: dict[str, Any] = {"shards": options.shards, "shard_size": shard_bytes}
    if options.index is not None:
        told["index"] = options.index
    return replace(
        described,
        shards=tuple(one.described() for one in done),
        options={**described.options, **told},
    )


def _located(one: Split, described: Manifest, folder: Path, run: pool.Map) -> list[_Run]:
    """Find all records of a split: those of each shard, in the order of the shards.

    Raises:
        DataError: a shard is not what the manifest says.
    """
    compressed = described.compression != "none"
    if compressed:
        (folder / _PLAIN).mkdir()
    found = run(
        _locate,
        (
            _Source(
                number=number,
                path=path,
                described=entry,
                plain=folder / _PLAIN / entry.name if compressed else None,
            )
            for number, (path, entry) in enumerate(zip(one.shards, described.shards, strict=True))
        ),
    )
    runs = [located for _, located in sorted(found, key=lambda pair: pair[0])]
    total = sum(len(located.lengths) for located in runs)
    if total != described.records:
        raise DataError(
            f"{one.folder}: split {described.split!r}: found {total} records, expected "
            f"{described.records} by the manifest",
            hint="verify",
        )
    return runs


def _locate(source: _Source) -> tuple[int, _Run]:
    """Find the records of a shard that is byte for byte what the manifest promises."""
    discover.check_digest(source.path, source.described)
    path = source.plain or source.path
    if source.plain:
        with source.plain.open("xb") as file:
            for record in discover.whole_records(source.path):
                file.write(frame(record.payload))
    lengths = np.array([length for _, length in locate_records(path)], np.int64)
    discover.check_count(source.path, source.described, len(lengths))
    return source.number, _Run(path=path, first=0, offset_bytes=0, lengths=lengths)


def _between(runs: Sequence[_Run], start: int, stop: int) -> Iterator[_Run]:
    """Cut the records ``[start, stop)`` out of files that follow each other."""
    before = 0
    for one in runs:
        low, high = (min(max(edge - before, 0), len(one.lengths)) for edge in (start, stop))
        before += len(one.lengths)
        if low < high:
            offset = int(one.lengths[:low].sum())
            yield _Run(path=one.path, first=low, offset_bytes=offset, lengths=one.lengths[low:high])


def _made(
    tasks: Sequence[_Task], total: int, run: pool.Map, progress: Progress
) -> list[WrittenShard]:
    """Make every shard, and wait until all are on the disk."""
    done: list[WrittenShard] = []
    copied = 0
    disk = ThreadPoolExecutor()
    try:
        lasting: list[Future[None]] = []
        for part in run(_copy, tasks):
            lasting += [disk.submit(files.sync, path) for path in part.paths]
            done.append(part)
            copied += part.records
            progress("copying", copied, total)
        for future in lasting:
            future.result()
    finally:
        disk.shutdown(cancel_futures=True)
    return sorted(done, key=lambda part: part.number)


def _copy(task: _Task) -> WrittenShard:
    """Make one shard, and digest what goes into it."""
    paths = [path for path in (task.path, task.index) if path]
    done = WrittenShard(number=task.number, paths=paths)
    reader = example.SingleValues({task.key: "key"})
    memory = memoryview(bytearray(_RUN_BYTES))
    with shard.filled(done, task.path, task.index, task.compression) as put:
        for one in itertools.chain.from_iterable(map(_pieces, task.runs)):
            lengths = one.lengths.tolist()
            size_bytes = sum(lengths)
            if size_bytes > len(memory):
                memory = memoryview(bytearray(size_bytes))
            with one.path.open("rb", buffering=0) as file:
                offsets = itertools.accumulate(lengths, initial=one.offset_bytes)
                places = list(zip(offsets, lengths, strict=False))
                payloads = read_places(file.fileno(), places, str(one.path), memory)
            put([bytes(memory[:size_bytes])], lengths)
            for number, payload in enumerate(payloads, one.first):
                done.add_digest(_key(reader, payload, one.path, number), payload)
            done.records += len(lengths)
    return done


def _pieces(one: _Run) -> Iterator[_Run]:
    """Cut records into runs that fit into memory; a single record may be longer."""
    ends = one.lengths.cumsum()
    low = start = 0
    while low < len(ends):
        high = max(int(np.searchsorted(ends, start + _RUN_BYTES, "right")), low + 1)
        yield _Run(
            path=one.path,
            first=one.first + low,
            offset_bytes=one.offset_bytes + start,
            lengths=one.lengths[low:high],
        )
        low, start = high, int(ends[high - 1])


def _key(reader: example.SingleValues, payload: memoryview, path: Path, number: int) -> int:
    try:
        key = reader.read(payload).get("key")
    except DataError as error:
        raise DataError(f"{path}: record {number}: {error}") from error
    return crops.seed_key(key if isinstance(key, int) else None, 0)
