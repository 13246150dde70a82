"""The steps of ``tfrec reshard``.

The same records, in the same order, go into another number of shards.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from tfrec_cli.dataset import discover, records, rejects
from tfrec_cli.dataset.discover import Split
from tfrec_cli.dataset.manifest import Manifest
from tfrec_cli.dataset.names import index_name, shard_name
from tfrec_cli.dataset.records import content_digest
from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.errors import DataError, UsageError
from tfrec_cli.resharding.copy import Task, copy_shards
from tfrec_cli.resharding.runs import Run, between, locate
from tfrec_cli.runtime import pool
from tfrec_cli.runtime.pool import Progress
from tfrec_cli.writing import output, plan, staging
from tfrec_cli.writing.options import default_of, validate
from tfrec_cli.writing.staging import StagedSplit
from tfrec_cli.writing.written_shard import WrittenShard

_PLAIN = ".plain"
"""Folder in the new one that holds decompressed shards while they are copied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of ``tfrec reshard``, named as on the command line.

    Attributes:
        split: None takes all splits.
        shards: number of shards of each split; None chooses it by ``shard_size``.
        shard_size: approximate size of a shard in bytes.
        index: None writes index files if the dataset has some.
    """

    split: str | None = None
    shards: int | None = None
    shard_size: int | None = None
    index: bool | None = None
    jobs: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resharded:
    """What ``tfrec reshard`` did.

    Attributes:
        path: the dataset that was copied.
        out: the new folder.
        before: the old manifest of each split.
        after: the new manifest of each split.
    """

    path: Path
    out: Path
    before: tuple[Manifest, ...]
    after: tuple[Manifest, ...]


def reshard(
    path: Path, out: Path, options: Options, progress: Progress = lambda *_: None
) -> Resharded:
    """Copy the dataset at ``path`` into the new folder ``out``, in other shards.

    Records are copied unchanged. Shards begin at the same records as with `tfrec write`, so the
    same number of shards gives the same files. ``out`` appears when it is complete and on disk;
    after an error it does not exist.

    Raises:
        UsageError: neither or both of ``shards`` and ``shard_size`` are given, there are more
            shards than records, no dataset, no such split, or no manifest.
        DataError: a shard or sidecar file is missing, damaged, or differs from its manifest.
        RunError: ``out`` is not new or cannot be written.
    """
    _check_options(options)
    splits = discover.chosen(path, options.split)
    before = tuple(_described(path, split) for split in splits)
    with ExitStack() as cleaning:
        folder = cleaning.enter_context(output.new_folder(out))
        # entered last: workers must stop before the folder is removed
        run = cleaning.enter_context(pool.local(options.jobs or pool.available_jobs()))
        staged = []
        for split, described in zip(splits, before, strict=True):
            left_out = _rejects(split.folder, described)
            bounds, indexed = _bounds(described, options), _is_indexed(described, options)
            runs = locate(split, described, folder / _PLAIN, run)
            tasks = _tasks(described, bounds, runs, folder, indexed=indexed)
            shards = copy_shards(tasks, described.records, run, progress)
            shutil.rmtree(folder / _PLAIN, ignore_errors=True)
            _check_content(split, described, shards)
            made = _described_after(described, shards, options)
            staged.append(StagedSplit(folder=folder, manifest=made, rejects=left_out))
        staging.describe(staged)
    after = tuple(split.manifest for split in staged)
    return Resharded(path=path, out=out, before=before, after=after)


def _check_options(options: Options) -> None:
    if (options.shards is None) == (options.shard_size is None):
        if options.shards is None:
            raise UsageError("`shards` or `shard_size` is needed")
        raise UsageError("`shards`: cannot be used with `shard_size`")
    for name in ("shards", "shard_size", "jobs"):
        validate(name, getattr(options, name))


def _described(path: Path, split: Split) -> Manifest:
    if split.manifest is None:
        raise UsageError(
            f"{path}: found record files without a manifest, expected a dataset of `tfrec write`"
        )
    return split.manifest


def _rejects(folder: Path, described: Manifest) -> list[Reject]:
    """Read the list of sources that were left out when a split was written."""
    path = folder / described.rejects_file
    with discover.reading(path):
        data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != described.rejects_sha256:
        raise DataError(f"{path}: found another SHA-256, expected that of the manifest")
    return rejects.parse(data, path)


def _shard_bytes(options: Options) -> int:
    size_bytes: int = options.shard_size or default_of("shard_size")
    return size_bytes


def _bounds(described: Manifest, options: Options) -> tuple[int, ...]:
    """Return the number of each new shard's first record, and the number of all records.

    Raises:
        UsageError: there are more shards than records.
    """
    size_bytes = sum(entry.size_bytes for entry in described.shards)
    return plan.cut(described.records, size_bytes, options.shards, _shard_bytes(options))


def _is_indexed(described: Manifest, options: Options) -> bool:
    """Tell whether the new shards get index files.

    Raises:
        UsageError: they should, but are compressed.
    """
    indexed = options.index
    if indexed is None:
        indexed = any(entry.index for entry in described.shards)
    if indexed and described.compression == "gzip":
        raise UsageError("`index`: GZIP shards cannot have index files")
    return indexed


def _tasks(
    described: Manifest, bounds: Sequence[int], runs: Sequence[Run], folder: Path, *, indexed: bool
) -> list[Task]:
    tasks = []
    for number, (start, stop) in enumerate(pairwise(bounds)):
        name = shard_name(described.split, number, len(bounds) - 1, described.compression)
        task = Task(
            number=number,
            path=folder / name,
            index=folder / index_name(name) if indexed else None,
            compression=described.compression,
            key=str(records.NAMES[described.keys].key),
            runs=tuple(between(runs, start, stop)),
        )
        tasks.append(task)
    return tasks


def _check_content(split: Split, described: Manifest, shards: Sequence[WrittenShard]) -> None:
    content = content_digest(digest for shard in shards for digest in shard.digests())
    if content != described.content_sha256:
        raise DataError(
            f"{split.folder}: split {described.split!r}: found content digest {content}, expected "
            f"{described.content_sha256} by the manifest",
            hint="verify",
        )


def _described_after(
    described: Manifest, shards: Sequence[WrittenShard], options: Options
) -> Manifest:
    """Return the manifest of a split with its new shards."""
    requested: dict[str, Any] = {"shards": options.shards, "shard_size": _shard_bytes(options)}
    if options.index is not None:
        requested["index"] = options.index
    return replace(
        described,
        shards=tuple(shard.described() for shard in shards),
        options={**described.options, **requested},
    )
