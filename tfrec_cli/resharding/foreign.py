"""Record files of other programs: which files there are, in which order, and of which splits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tfrec_cli.dataset import discover, file_splits
from tfrec_cli.dataset.names import (
    MANIFEST_SUFFIX,
    REJECTS_SUFFIX,
    SPLIT_NAME,
    index_name,
    partial_folders,
)
from tfrec_cli.errors import UsageError


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
    grouped = file_splits.by_name(_files(path))
    if list(grouped) == [""]:
        return {split or file_splits.DEFAULT_SPLIT: grouped[""]}
    file_splits.check_distinct(path, grouped)
    if split is not None and split not in grouped:
        raise file_splits.unknown(split, grouped, str(path))
    chosen = {name: grouped[name] for name in grouped if split in (None, name)}
    for group in chosen.values() if path.is_dir() else ():
        file_splits.check_complete(group)
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
    return [shard for found in discover.splits(path) for shard in found.shards]
