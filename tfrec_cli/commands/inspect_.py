"""The steps of ``tfrec inspect``.

Knows: record files of any program. Must not know: click, terminals, TensorFlow.
"""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tfrec_cli.dataset import discover, file_splits, manifest, names, tfds
from tfrec_cli.dataset.foreign import guess_names
from tfrec_cli.errors import ExampleError, ManifestError, UsageError
from tfrec_cli.imaging import formats
from tfrec_cli.inspecting.features import Shown, features_of, single
from tfrec_cli.inspecting.tally import ShardSummary, SplitSummary, Summary
from tfrec_cli.runtime import pool, values
from tfrec_cli.tfrecord.example import Feature
from tfrec_cli.tfrecord.scan import Damage, Record, scan
from tfrec_cli.tfrecord.stream import compression_of

_WORTH_PROCESSES_BYTES = 2**25
"""Smaller files are read in less time than it takes to start processes."""


class Found(NamedTuple):
    """The files that some paths name, in order, each once.

    Attributes:
        files: record files.
        skipped: files of datasets that hold no records: manifests, index files…
    """

    files: list[Path]
    skipped: list[Path]


def find(patterns: Sequence[str], split: str | None = None) -> Found:
    """Find the record files of some files, folders and glob patterns.

    Args:
        split: take only files of this split, by a manifest or else by their names.
    Raises:
        MissingPathError: there is no such file or folder.
        UsageError: no file matches a pattern or is of the split, or only files that hold no
            records.
    """
    shards: dict[Path, str] = {}
    skipped: dict[Path, None] = {}
    for pattern in patterns:
        paths = [Path(pattern)]
        if not paths[0].exists() and glob.has_magic(pattern):
            paths = [Path(name) for name in sorted(glob.glob(pattern), key=os.fsencode)]
        if not paths:
            raise UsageError(f"{pattern}: no file matches this pattern")
        for path in paths:
            if path.is_file() and names.is_sidecar(path.name):
                skipped[path] = None
                continue
            for found in discover.splits(path):
                shards |= dict.fromkeys(found.shards, found.name or "")
    if skipped and not shards:
        without = "found a file of a dataset without records, expected record files"
        raise UsageError(f"{next(iter(skipped))}: {without}")
    wanted = [shard for shard, name in shards.items() if split in (None, name)]
    if not wanted and split is not None:
        raise file_splits.unknown(split, sorted({*shards.values()}))
    return Found(wanted, list(skipped))


def summarise(paths: Sequence[Path], skipped: Sequence[Path] = ()) -> Summary:
    """Read every record of some files and count their contents.

    Args:
        skipped: see `Found`; passed on to the summary.
    Raises:
        OSError: a file cannot be read.
    """
    size_bytes = sum(path.stat().st_size for path in paths if path.is_file())
    many = len(paths) > 1 and size_bytes >= _WORTH_PROCESSES_BYTES
    jobs = min(pool.available_jobs(), len(paths)) if many else 1
    with pool.local(jobs) as run:
        parts = dict(run(_summarise_file, enumerate(paths)))
    summary = Summary(skipped=list(skipped))
    for number in range(len(paths)):
        summary.merge(parts[number])
    _add_splits(summary, {path: parts[number] for number, path in enumerate(paths)})
    _name_labels(summary, paths)
    _add_varying(summary, paths)
    return summary


def pick(
    paths: Sequence[Path], *, first: int | None = None, number: int | None = None
) -> list[Shown]:
    """Read the first records of all files, or one record by its number over all files, from 0.

    Raises:
        UsageError: there are fewer records.
        FramingError: a file is damaged before these records.
    """
    start, stop = (0, first) if number is None else (number, number + 1)
    naming = cache(_class_names)
    picked = []
    for offset, (path, record) in enumerate(islice(records_of(paths), start, stop)):
        features = _features_or_none(record.payload)
        found = guess_names(features)
        label = single(features, found.label, "int64") if found else None
        named = {}
        if found and found.label and label is not None:
            known = naming(path, found.label)
            named = {found.label: known[label]} if 0 <= label < len(known) else {}
        picked.append(Shown(path, start + offset, record, features, named))
    if number is not None and not picked:
        count = sum(1 for _ in records_of(paths))
        held = values.plural(count, "record")
        raise UsageError(f"`record` {number}: found {held}, expected a number below that")
    return picked


def records_of(paths: Sequence[Path]) -> Iterator[tuple[Path, Record]]:
    """Iterate the records of some files, each with its file.

    Raises:
        FramingError: a file is damaged.
    """
    for path in paths:
        for record in discover.whole_records(path):
            yield path, record


def _features_or_none(payload: bytes) -> dict[str, Feature]:
    """Return the features; ``{}`` for a message that contradicts itself."""
    try:
        return features_of(payload)
    except ExampleError:
        return {}


def _summarise_file(numbered: tuple[int, Path]) -> tuple[int, Summary]:
    number, path = numbered
    summary = Summary()
    intact = 0
    problem = None
    if not path.is_file():
        problem = "missing: the manifest names this file"
        missing = ShardSummary(
            path=path, records=0, size_bytes=0, compression="none", problem=problem
        )
        summary.shards.append(missing)
        return number, summary
    for item in scan(path):
        if isinstance(item, Damage):
            problem = problem or discover.problem(path, item)
            continue
        intact += 1
        try:
            summary.add(item.payload)
        except ExampleError as error:
            where = f"record {item.index} at byte {item.offset_bytes}"
            problem = problem or f"damaged: {where}: {error}"
    with path.open("rb") as file:
        head = file.read(formats.HEAD_BYTES)
    summary.shards.append(
        ShardSummary(
            path=path,
            records=intact,
            size_bytes=path.stat().st_size,
            compression=compression_of(head) if intact or not problem else "none",
            problem=problem or (None if intact else discover.NO_RECORDS),
        )
    )
    return number, summary


def _add_splits(summary: Summary, parts: Mapping[Path, Summary]) -> None:
    """Add the splits whose shards are all among the files."""
    for folder in sorted({path.parent for path in parts}):
        for split in _splits(folder):
            if split.manifest and parts.keys() >= set(split.shards):
                own = [parts[shard] for shard in split.shards]
                labels = sum((part.labels for part in own), Counter[int]())
                records = sum(part.records for part in own)
                summary.splits.append(SplitSummary(folder, split.manifest, records, labels))


def _splits(folder: Path) -> Iterator[discover.Split]:
    """Iterate the splits of a folder that have a manifest which can be read."""
    for file in manifest.find(folder).values():
        with suppress(ManifestError):
            yield discover.described(folder, manifest.load(file))


def _add_varying(summary: Summary, paths: Sequence[Path]) -> None:
    """Take from the manifests which features have any number of values, whatever the files hold."""
    for folder in sorted({path.parent for path in paths}):
        for split in _splits(folder):
            if split.manifest and {*split.shards} & {*paths}:
                columns = split.manifest.columns
                free = (one.name for one in columns if one.is_list or not one.is_everywhere)
                summary.varying.update(free)


def _class_names(path: Path, feature: str) -> list[str]:
    """Return the class names of a file's records by number, from a manifest or a file of TFDS."""
    for split in _splits(path.parent):
        if split.manifest and path in split.shards:
            return list(split.manifest.labels or ())
    return list(tfds.class_names(path.parent, feature) or ())


def _name_labels(summary: Summary, paths: Sequence[Path]) -> None:
    """Take class names from a manifest or a TFDS labels file next to the shards."""
    for folder in sorted({path.parent for path in paths}):
        for split in _splits(folder):
            if split.manifest:
                summary.label_names |= dict(enumerate(split.manifest.labels or ()))
        feature = summary.names.label if summary.names else None
        for number, name in enumerate(tfds.class_names(folder, feature) or ()):
            summary.label_names.setdefault(number, name)
