"""Splits of record files of other programs: told by the names of files and folders.

Knows: how programs name their files. Must not know: what is in a file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from tfrec_cli.errors import DataError, UsageError

DEFAULT_SPLIT = "train"
"""The split of files whose names tell none."""

_NUMBERED = re.compile(
    r"(?P<name>.+?)(?:\.tf-?rec(?:ord)?s?)?[-_.](?P<number>\d+)[-_]of[-_](?P<count>\d+)(?:\..*)?",
    re.IGNORECASE,
)
"""``train-00000-of-00004.tfrecord``, ``mnist-train.tfrecord-00000-of-00001``."""

_SYNONYMS = (
    {"train", "training"},
    {"val", "valid", "validation", "dev", "eval"},
    {"test", "testing"},
)
_ROLES = set.union(*_SYNONYMS, {"trainval", "minival"})
"""Words that name a split, whatever stands beside them."""

_ALIKE = 0.7
"""How similar two names of splits are at least if one is a slip of the other; ``all`` and ``val``
are less."""


def by_name(files: Iterable[Path]) -> dict[str, list[Path]]:
    """Group files by the split that each name tells.

    A name tells the one word that is a split in common use (``my-train.tfrecord-00000-of-00008``,
    ``val_03.tfrec``), or else what stands before the number of a numbered file.

    Returns:
        For each split its files, in the natural order of their names; "" has those that tell none.
    """
    grouped: dict[str, list[Path]] = {}
    for file in in_order(files):
        grouped.setdefault(split_of(file.name), []).append(file)
    return dict(sorted(grouped.items()))


def in_order(files: Iterable[Path]) -> list[Path]:
    """Sort files in the natural order of their names, in which x2 is before x10."""
    return sorted(files, key=_natural)


def is_role(name: str) -> bool:
    """Tell whether a word names a split in common use."""
    return name.casefold() in _ROLES


def unknown(name: str, known: Iterable[str], where: str = "") -> UsageError:
    """Return the error for a split that is not there, with the name that is likely meant.

    Args:
        known: the splits that are there.
        where: the path that has these, if it is one.
    """
    import difflib

    names = [one for one in known if one]
    word = name.casefold()
    same = [one for one in names for words in _SYNONYMS if {one.casefold(), word} <= words]
    close = same or difflib.get_close_matches(name, names, n=1, cutoff=_ALIKE)
    place = f" in {where}" if where else ""
    hint = f": did you mean {close[0]!r}?" if close else ""
    found = f"found splits {', '.join(names) or 'none'}{place}"
    return UsageError(f"`split`: {found}, expected {name!r}{hint}")


def check_distinct(folder: Path, grouped: dict[str, list[Path]]) -> None:
    """Refuse files that tell no split beside others that do, and names that differ only in case.

    Raises:
        DataError: it is not certain which file belongs to which split.
    """
    told = sorted(name for name in grouped if name)
    if len(grouped) > len(told) > 0:
        raise DataError(
            f"{grouped[''][0]}: found no split in this name, but {', '.join(told)} in others, "
            "expected one in each name, or in none: a pattern in quotes chooses files"
        )
    if len({name.casefold() for name in told}) < len(told):
        found = f"found splits {', '.join(told)}"
        raise DataError(f"{folder}: {found}, expected names that differ not only in case")


def check_complete(files: Sequence[Path]) -> None:
    """Refuse numbered files of which one is missing, or there twice.

    Raises:
        DataError: see above.
    """
    matches = {path: _NUMBERED.fullmatch(path.name) for path in files}
    if not any(matches.values()):
        return
    choose = "a pattern in quotes chooses files"
    numbers: dict[int, Path] = {}
    counts = {match and int(match["count"]): path for path, match in matches.items()}
    if len(counts) > 1:
        names = " and ".join(path.name for path in counts.values())
        raise DataError(f"{files[0].parent}: found {names}, expected files of one write: {choose}")
    count = next(iter(counts)) or 0
    for path, match in matches.items():
        number = int(match["number"]) if match else 0
        if number in numbers:
            names = f"{numbers[number].name} and {path.name}"
            raise DataError(f"{path.parent}: found {names}, expected one of them: {choose}")
        numbers[number] = path
    first = int(0 not in numbers and count in numbers)  # some programs count from 1
    if gone := [number for number in range(first, count + first) if number not in numbers]:
        raise DataError(
            f"{files[0].parent}: found {len(files)} files like {files[0].name}, expected {count}: "
            f"number {gone[0]} is missing: {choose}"
        )


def split_of(name: str) -> str:
    """Return the split that a file's name tells; empty if it tells none."""
    roles: list[str] = [word for word in re.findall(r"[A-Za-z]+", name) if is_role(word)]
    if len(set(map(str.casefold, roles))) == 1:
        return roles[0]
    match = _NUMBERED.fullmatch(name)
    return re.sub(r"[^A-Za-z0-9_-]+", "_", match["name"]).lstrip("-")[:64] if match else ""


def _natural(path: Path) -> list[tuple[int, int, bytes]]:
    """Return the key by which x2 sorts before x10."""
    parts = re.split(r"(\d+)", os.fspath(path))
    return [
        (0, int(part), os.fsencode(part)) if part.isdecimal() else (1, 0, os.fsencode(part))
        for part in parts
        if part
    ]
