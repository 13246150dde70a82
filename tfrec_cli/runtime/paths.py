"""Paths as printable text, missing paths, and paths that some file systems treat as one."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from itertools import islice, pairwise
from pathlib import Path

from tfrec_cli.errors import MissingPathError
from tfrec_cli.runtime.row_store import ordered

_MOST_COMPARED = 1000
"""Of a folder, only so many names are compared with a mistyped one: more would take long."""


def printable(path: bytes) -> str:
    """Return a path as text that is safe to print on a terminal."""
    text = os.fsdecode(path)
    return text if text.isprintable() else ascii(text)[1:-1]


def missing(path: Path, *, option: str | None = None) -> MissingPathError:
    """Return the error for a given path that does not exist, with what may be wrong with it.

    The message says where a link leads, or names the most similar path.

    Args:
        option: the option that gave the path, if it was one.
    """
    import difflib

    where = f"`{option}`: " if option else ""
    if path.is_symlink():
        link, target = (printable(os.fsencode(one)) for one in (path, os.readlink(path)))
        found = f"No such file or folder: {link} is a link to {target}"
        return MissingPathError(f"{where}{found}", path)
    names: list[str] = []
    if path.name and path.parent.is_dir():
        with os.scandir(path.parent) as entries:
            names = [entry.name for entry in islice(entries, _MOST_COMPARED)]
    close = difflib.get_close_matches(path.name, names, n=1)
    shown, *similar = (printable(os.fsencode(one)) for one in (path, *map(path.with_name, close)))
    hint = f" (did you mean {similar[0]}?)" if similar else ""
    return MissingPathError(f"{where}No such file or folder: {shown}{hint}", path)


def is_inside(path: Path, folder: Path) -> bool:
    """Tell whether a path, which may not exist yet, is below an existing folder.

    Links are followed. Folders are compared by identity, since some file systems ignore case.
    """
    place = Path(os.path.realpath(path))
    return any(above.exists() and above.samefile(folder) for above in place.parents)


def collision_key(path: bytes) -> tuple[str, str]:
    """Return folder and name of a path; they are equal if some file systems treat paths as one.

    Some file systems ignore case, some the Unicode form of a name.
    """
    text = os.fsdecode(path)
    folder, name = os.path.split(text if text.isascii() else unicodedata.normalize("NFC", text))
    return folder, name.casefold()


def repeated_keys(paths: Iterable[bytes]) -> frozenset[int]:
    """Return the hashes of keys (see `collision_key`) that several paths share; 8 bytes a path.

    In rare cases two different keys have the same hash, so the caller compares the keys.
    """
    hashes = (hash(collision_key(path)).to_bytes(8, "big", signed=True) for path in paths)
    return frozenset(
        int.from_bytes(before, "big", signed=True)
        for before, after in pairwise(ordered(hashes, 8))
        if before == after
    )


def collision_message(first: bytes) -> str:
    """Return the message for a path with the same key (see `collision_key`) as an earlier one."""
    return (
        f"found a path that differs from {printable(first)} only in case or Unicode form, "
        "expected paths that every file system tells apart"
    )
