"""The steps of ``tfrec inspect``.

Knows: record files of any program. Must not know: click, terminals, TensorFlow.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from tfrec_cli.dataset import discover, manifest, names
from tfrec_cli.errors import ExampleError, ManifestError, UsageError
from tfrec_cli.imaging import formats
from tfrec_cli.inspecting.features import features_of
from tfrec_cli.inspecting.tally import ShardSummary, Summary
from tfrec_cli.runtime import pool
from tfrec_cli.tfrecord.example import Feature
from tfrec_cli.tfrecord.scan import Damage, Record, read_records, scan
from tfrec_cli.tfrecord.stream import compression_of

_WORTH_PROCESSES_BYTES = 2**25
"""Smaller files are read in less time than it takes to start processes."""


def find(patterns: Sequence[str]) -> list[Path]:
    """Find the record files of some files, folders and glob patterns, in order, each once.

    Raises:
        MissingPathError: there is no such file or folder.
        UsageError: no file matches a pattern.
    """
    shards: dict[Path, None] = {}
    for pattern in patterns:
        paths = [Path(pattern)]
        if not paths[0].exists() and glob.has_magic(pattern):
            paths = [Path(name) for name in sorted(glob.glob(pattern), key=os.fsencode)]
        if not paths:
            raise UsageError(f"{pattern}: no file matches this pattern")
        for path in paths:
            for split in discover.splits(path):
                shards |= dict.fromkeys(split.shards)
    return list(shards)


def summarise(paths: Sequence[Path]) -> Summary:
    """Read every record of some files and count their contents.

    Raises:
        OSError: a file cannot be read.
    """
    size_bytes = sum(path.stat().st_size for path in paths if path.is_file())
    many = len(paths) > 1 and size_bytes >= _WORTH_PROCESSES_BYTES
    jobs = min(pool.available_jobs(), len(paths)) if many else 1
    with pool.local(jobs) as run:
        parts = dict(run(_summarise_file, enumerate(paths)))
    summary = Summary()
    for number in range(len(paths)):
        summary.merge(parts[number])
    _name_labels(summary, paths)
    return summary


def pick(
    paths: Sequence[Path], *, first: int | None = None, number: int | None = None
) -> list[tuple[Path, int, Record, dict[str, Feature]]]:
    """Read the first records of all files, or one record by its number over all files, from 0.

    Returns:
        (file, number, record, features) of each.
    Raises:
        UsageError: there are fewer records.
        FramingError: a file is damaged before these records.
    """
    start, stop = (0, first) if number is None else (number, number + 1)
    picked = [
        (path, start + offset, record, _features_or_none(record.payload))
        for offset, (path, record) in enumerate(islice(records_of(paths), start, stop))
    ]
    if number is not None and not picked:
        count = sum(1 for _ in records_of(paths))
        raise UsageError(f"`record` {number}: found {count} records, expected a number below that")
    return picked


def records_of(paths: Sequence[Path]) -> Iterator[tuple[Path, Record]]:
    """Iterate the records of some files, each with its file.

    Raises:
        FramingError: a file is damaged.
    """
    for path in paths:
        for record in read_records(path):
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


def _name_labels(summary: Summary, paths: Sequence[Path]) -> None:
    """Take class names from a manifest or a TFDS labels file next to the shards."""
    for folder in sorted({path.parent for path in paths}):
        for described in manifest.find(folder).values():
            with suppress(ManifestError):
                summary.label_names |= dict(enumerate(manifest.load(described).labels or ()))
        feature = summary.names.label if summary.names else None
        for joint in "-.":  # TFDS: of nested features; of a feature whose name has slashes
            file = folder / names.labels_name(feature or "", joint)
            if file.is_file():
                lines = os.fsdecode(file.read_bytes()).splitlines()
                for number, name in enumerate(lines):
                    summary.label_names.setdefault(number, name)
