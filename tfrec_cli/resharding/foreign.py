"""Record files of other programs: which files there are, in which order, and of which splits."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path

from tfrec_cli.dataset import discover
from tfrec_cli.dataset.names import (
    MANIFEST_SUFFIX,
    REJECTS_SUFFIX,
    SPLIT_NAME,
    index_name,
    partial_folders,
)
from tfrec_cli.errors import DataError, UsageError

DEFAULT_SPLIT = "train"
"""The split of files whose names tell none."""

_PATTERN = "a pattern in quotes chooses files"

_NUMBERED = re.compile(
    r"(?P<name>.+?)(?:\.tf-?rec(?:ord)?s?)?[-_.](?P<number>\d+)[-_]of[-_](?P<count>\d+)(?:\..*)?",
    re.IGNORECASE,
)
"""``train-00000-of-00004.tfrecord``, ``mnist-train.tfrecord-00000-of-00001``."""

_ROLE = re.compile(
    r"(?P<name>train|training|val|valid|validation|dev|eval|test|testing)(?:[-_.]?\d+)?(?:\..*)?",
    re.IGNORECASE,
)
"""``val.tfrecord``, ``train_03.tfrec``."""


def splits(path: Path, split: str | None) -> dict[str, list[Path]]:
    """Find the record files of a file, a folder or a glob pattern, and their splits.

    If each name tells a split, files are grouped by it; else all are one split.

    Args:
        split: take only this split; if the names tell none, this is its name.
    Returns:
        For each split its files, in the natural order of their names.
    Raises:
        MissingPathError: there is no such file or folder.
        UsageError: there are no record files, or no such split.
        DataError: a file is missing by the names of the others.
    """
    if split is not None and not SPLIT_NAME.fullmatch(split):
        raise UsageError(f"`split`: found {split!r}, expected letters, digits, _ and -")
    files = sorted(_files(path), key=_natural)
    grouped: dict[str, list[Path]] = {}
    for file in files:
        grouped.setdefault(_split_of(file.name), []).append(file)
    untold = grouped.pop("", [])
    if not grouped:
        return {split or DEFAULT_SPLIT: files}
    found = ", ".join(sorted(grouped))
    if untold:
        raise DataError(
            f"{untold[0]}: found no split in this name, but {found} in others, expected one in "
            f"each name, or in none: {_PATTERN}"
        )
    if len({name.casefold() for name in grouped}) < len(grouped):
        raise DataError(
            f"{path}: found splits {found}, expected names that differ not only in case"
        )
    if split is not None and split not in grouped:
        raise UsageError(f"{path}: found splits {found}, expected {split!r}")
    chosen = {name: grouped[name] for name in sorted(grouped) if split in (None, name)}
    for group in chosen.values() if path.is_dir() else ():
        _check_complete(group)
    return chosen


def is_indexed(path: Path) -> bool:
    """Tell whether there is an index file of a record file."""
    index = path.with_name(index_name(path.name))
    return index != path and index.is_file()


def _files(path: Path) -> Sequence[Path]:
    """Find the record files of a file, a folder or a glob pattern."""
    if path.is_dir():
        if any(partial_folders(path)):
            found = "found an unfinished write, expected record files"
            raise UsageError(f"{path}: {found}", hint="resume")
        if lost := next(path.glob("*" + REJECTS_SUFFIX), None):
            split = lost.name.removesuffix(REJECTS_SUFFIX)
            raise UsageError(
                f"{path}: found {lost.name} without {split}{MANIFEST_SUFFIX}, expected both, or "
                "records of another program: a pattern in quotes copies the records only"
            )
        return discover.undescribed(path).shards
    if path.exists() or not glob.has_magic(os.fspath(path)):
        return [shard for found in discover.splits(path) for shard in found.shards]
    matching = [Path(name) for name in glob.glob(os.fspath(path), recursive=True)]
    files = [one for one in matching if one.is_file() and discover.is_record_file_name(one.name)]
    if not files:
        raise UsageError(f"{path}: no record file matches this pattern")
    return files


def _split_of(name: str) -> str:
    """Return the split that a file's name tells; empty if it tells none."""
    match = _NUMBERED.fullmatch(name) or _ROLE.fullmatch(name)
    return re.sub(r"[^A-Za-z0-9_-]+", "_", match["name"]).lstrip("-")[:64] if match else ""


def _check_complete(files: Sequence[Path]) -> None:
    """Refuse numbered files of which one is missing, or there twice."""
    matches = {path: _NUMBERED.fullmatch(path.name) for path in files}
    if not any(matches.values()):
        return
    numbers: dict[int, Path] = {}
    counts = {match and int(match["count"]): path for path, match in matches.items()}
    if len(counts) > 1:
        names = " and ".join(path.name for path in counts.values())
        raise DataError(
            f"{files[0].parent}: found {names}, expected files of one write: {_PATTERN}"
        )
    count = next(iter(counts)) or 0
    for path, match in matches.items():
        number = int(match["number"]) if match else 0
        if number in numbers:
            names = f"{numbers[number].name} and {path.name}"
            raise DataError(f"{path.parent}: found {names}, expected one of them: {_PATTERN}")
        numbers[number] = path
    first = int(0 not in numbers and count in numbers)  # some programs count from 1
    if gone := [number for number in range(first, count + first) if number not in numbers]:
        raise DataError(
            f"{files[0].parent}: found {len(files)} files like {files[0].name}, expected {count}: "
            f"number {gone[0]} is missing: {_PATTERN}"
        )


def _natural(path: Path) -> list[tuple[int, int, bytes]]:
    """Return the key by which x2 sorts before x10."""
    parts = re.split(r"(\d+)", os.fspath(path))
    return [
        (0, int(part), os.fsencode(part)) if part.isdecimal() else (1, 0, os.fsencode(part))
        for part in parts
        if part
    ]
