"""Labels: class names from a file or from folders, and their numbers."""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Sequence
from pathlib import Path

from tfrec_cli.dataset.names import MOST_NAME_BYTES
from tfrec_cli.errors import DataError, UsageError
from tfrec_cli.runtime.paths import missing, printable
from tfrec_cli.runtime.row_store import Packed
from tfrec_cli.sources.listing import LABEL_COLUMN, Source

_MOST_FILE_BYTES = 1 << 24
"""Enough for a million names of 16 letters."""

_SHOWN = 60
"""How many characters of a name are shown."""


def read_labels(path: Path) -> tuple[str, ...]:
    """Read class names from a text file, one per line; the first has the number 0.

    Raises:
        MissingPathError: there is no such file.
        UsageError: the file cannot be read or is too large, has no names or an invalid one, or
            names a class twice.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageError(f"`labels` {path}: found a folder, pipe or device, expected a file")
        with path.open("rb") as file:
            data = file.read(_MOST_FILE_BYTES + 1)
        lines = data.decode("utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise missing(path, option="labels") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"`labels` {path}: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > _MOST_FILE_BYTES:
        raise UsageError(
            f"`labels` {path}: found a larger file, expected at most {_MOST_FILE_BYTES} bytes"
        )
    names = tuple(line.strip() for line in lines if line.strip())
    if not names:
        raise UsageError(f"`labels` {path}: found no class names, expected one per line")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise UsageError(f"`labels` {path}: found {name!r} twice, expected it once")
        if {"/", "\0"} & set(name) or name in (".", "..") or len(name.encode()) > MOST_NAME_BYTES:
            found = f"{name[:_SHOWN]!r}…" if len(name) > _SHOWN else repr(name)
            raise UsageError(f"`labels` {path}: found {found}, expected the name of a folder")
        seen.add(name)
    return names


def doubts(names: Sequence[str], *, pinned: bool) -> list[str]:
    """Return warnings about class names, one line each."""
    warnings = []
    if len({name.casefold() for name in names}) < len(names):
        warnings.append("class names differ only in case: other file systems would merge them")
    if len(names) > 1 and all(name.isdigit() for name in names) and not pinned:
        warnings.append(
            "class names are numbers and sort as text "
            f"({', '.join(names[:3])}…): pin their order with --labels FILE"
        )
    return warnings


def label_by_folder(
    root: Path, sources: Packed[Source], labels: Sequence[str] | str, labels_from: str
) -> tuple[str, ...]:
    """Set the label of every source by its first folder, and return the class names by number.

    Args:
        labels: as for `folder.list_folder`, but not None.
    Raises:
        DataError: an image is in no folder, or a folder is not a class of ``labels``.
    """
    for path in sources.paths():
        if b"/" not in path:
            raise DataError(
                f"{root}/{printable(path)}: found an image next to class folders, "
                "expected every image in one (or `labels` none)"
            )
    used = sorted({path.split(b"/", 1)[0] for path in sources.paths()})
    names = tuple(map(os.fsdecode, used)) if labels == "auto" else tuple(labels)
    for folder in used:
        name = os.fsdecode(folder)
        if name not in names:
            raise DataError(
                f"{root}/{printable(folder)}: found a class that {labels_from} does not "
                f"name, expected one of its {len(names)} classes"
            )
        if len(name.splitlines()) != 1:
            raise DataError(f"{root}/{ascii(name)[1:-1]}: found a class name of several lines")
    numbers = {os.fsencode(name): number for number, name in enumerate(names)}
    of_sources = (numbers[path.split(b"/", 1)[0]] for path in sources.paths())
    sources.set_column(LABEL_COLUMN, array("q", of_sources))
    return names
