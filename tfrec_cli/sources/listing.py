"""Folders of images: which files there are, and which label each has.

Knows: file names and folders. Must not know: images, shards.
"""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from tfrec_cli.dataset.records import Column
from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.errors import DataError, RunError, UsageError
from tfrec_cli.imaging import formats
from tfrec_cli.runtime.paths import printable
from tfrec_cli.runtime.row_store import Packed, Pieces, ordered

NO_LABEL = -1
"""Stands for None among packed integers."""

_LABEL = 1
"""Where among a source's packed integers its label is."""

_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Why a file cannot be read for no fault of its own."""

_MOST_LABELS_BYTES = 1 << 24
"""Of a file of class names: a million of 16 letters."""

_NAME_BYTES = 255
"""The longest name of a folder that Linux and macOS have."""

_TO_READ = os.O_RDONLY | os.O_NONBLOCK

_SHOWN = 60
"""How much of a name is shown, in characters."""

JUNK = frozenset({b"Thumbs.db", b"desktop.ini", b"__MACOSX"})
SIDECARS = tuple(
    b".cfg .csv .html .ini .json .jsonl .log .md .py .rst .sh .toml .tsv .txt .xml .yaml "
    b".yml".split()
)
"""Endings of files that lie beside images; without an image's first bytes they are ignored."""


@dataclass(frozen=True, slots=True)
class Source:
    """One image file.

    Attributes:
        path: POSIX path below the source folder, as bytes.
        label: 0-based class number, or None.
        mtime_ns: when it was last changed, in nanoseconds; of no importance to what is written.
        features: what further columns of a manifest say of it, as `records.further` reads it.
    """

    path: bytes
    size_bytes: int
    label: int | None
    mtime_ns: int = field(default=0, compare=False)
    features: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a source folder or manifest holds, sorted by the bytes of the paths.

    Attributes:
        labels: class names by number; None where nothing is labelled.
        warnings: one line each, for a person.
        columns: further ones of a manifest, sorted by their names.
    """

    sources: Packed[Source]
    labels: tuple[str, ...] | None
    rejects: tuple[Reject, ...]
    warnings: tuple[str, ...]
    columns: tuple[Column, ...] = ()


def list_folder(
    root: Path,
    *,
    labels: Sequence[str] | str | None = "auto",
    labels_from: str = "--labels",
    exclude: Path | None = None,
) -> Listing:
    """List the images below ``root`` and give each its label.

    Links to files are followed, links to folders are not. Hidden files, and what operating systems
    leave behind, are ignored and listed as harmless rejects.

    Args:
        labels: ``auto`` makes the first folder's name the class, classes sorted by their bytes;
            a sequence pins class names and their order; None labels nothing.
        labels_from: where a sequence comes from, for messages.
        exclude: a folder not to look into: the output, should it lie inside.
    Raises:
        DataError: images both beside and in class folders, or a class that ``labels`` misses.
        RunError: a folder cannot be read.
    """
    walk = _Walk(root, exclude)
    walk.go()
    found, twins = _without_twins(walk.sources)
    unused = sorted(walk.classes - {path.split(b"/", 1)[0] for path in found.paths()})
    warnings = [f"{printable(name)}: class folder without images" for name in unused]
    if labels is None or (labels == "auto" and not any(b"/" in path for path in found.paths())):
        names = None
        warnings = []
    else:
        names = _label(root, found, labels, labels_from)
        if found and all(path.count(b"/") > 1 for path in found.paths()):
            first = ", ".join(names[:3])
            warnings.append(
                f"every image lies two folders deep or more: classes are the first ({first}…)"
            )
        warnings += doubts(names, pinned=labels != "auto")
    rejects = [*sorted(walk.rejects, key=lambda reject: reject.path), *twins]
    return Listing(sources=found, labels=names, rejects=tuple(rejects), warnings=tuple(warnings))


def doubts(names: Sequence[str], *, pinned: bool) -> list[str]:
    """Say what may be wrong with class names, one line each."""
    found = []
    if len({name.casefold() for name in names}) < len(names):
        found.append("class names differ only in case: other file systems would merge them")
    if len(names) > 1 and all(name.isdigit() for name in names) and not pinned:
        found.append(
            "class names are numbers and sort as text "
            f"({', '.join(names[:3])}…): pin their order with --labels FILE"
        )
    return found


def opened(path: bytes) -> BinaryIO:
    """Open a file to read, and wait for nobody: it may be a pipe by now."""
    return os.fdopen(os.open(path, _TO_READ), "rb")


@contextmanager
def descriptor_of(path: bytes) -> Iterator[int]:
    """Open a file as `opened` does, but no more of it than what the system calls it by."""
    descriptor = os.open(path, _TO_READ)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def blame(error: OSError) -> None:
    """Raise an error in reading a file again where the file is not to blame."""
    if error.errno in _OURS:
        raise error


def read_labels(path: Path) -> tuple[str, ...]:
    """Read class names from a text file, one a line; their order gives the numbers from 0.

    Raises:
        UsageError: the file cannot be read, is empty or no list of names, or names a class twice.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageError(f"--labels {path}: found a folder, pipe or device, expected a file")
        with path.open("rb") as file:
            data = file.read(_MOST_LABELS_BYTES + 1)
        lines = data.decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--labels {path}: {_why(error)}") from error
    if len(data) > _MOST_LABELS_BYTES:
        raise UsageError(
            f"--labels {path}: found more, expected {_MOST_LABELS_BYTES} bytes at most"
        )
    names = tuple(line.strip() for line in lines if line.strip())
    if not names:
        raise UsageError(f"--labels {path}: found no class names, expected one a line")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise UsageError(f"--labels {path}: found {name!r} twice, expected it once")
        if {"/", "\0"} & set(name) or name in (".", "..") or len(name.encode()) > _NAME_BYTES:
            found = f"{name[:_SHOWN]!r}…" if len(name) > _SHOWN else repr(name)
            raise UsageError(f"--labels {path}: found {found}, expected the name of a folder")
        seen.add(name)
    return names


class _Walk:
    """What is met on the way through a folder and those below it, sorted by the bytes of paths."""

    def __init__(self, root: Path, exclude: Path | None) -> None:
        self.sources = packed()
        self.rejects: list[Reject] = []
        self.classes: set[bytes] = set()
        self._top = os.fsencode(root)
        self._left = exclude.stat() if exclude and exclude.exists() else None

    def go(self) -> None:
        """Go through every folder, in a loop: some are nested deeper than Python's calls may be."""
        entered = [(b"", self._list(b""))]
        while entered:
            folder, entries = entered[-1]
            source = next(entries, None)
            if source is None:
                entered.pop()
            elif source.path.endswith(b"/"):
                path = source.path[:-1]
                if not folder:
                    self.classes.add(path)
                entered.append((path, self._list(path)))
            else:
                self.sources.append(source)

    def _list(self, folder: bytes) -> Iterator[Source]:
        """Iterate what is in one folder, sorted; its folders are called, and sort as, ``name/``."""
        place = os.path.join(self._top, folder)
        start = folder + b"/" if folder else b""
        found: list[bytes] = []  # which sort as their paths do
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    path = start + entry.name
                    one = _entry(entry, path)
                    if isinstance(one, Reject):
                        self.rejects.append(one)
                    elif one is not None:
                        found.append(b"%s\0%d %d" % (path, one.size_bytes, one.mtime_ns))
                    elif not self._is_left(entry):
                        found.append(path + b"/\x000 0")
        except OSError as error:
            raise RunError(f"{printable(place)}: {_why(error)}") from error
        found.sort(reverse=True)
        while found:
            path, _, numbers = found.pop().partition(b"\0")
            size_bytes, mtime_ns = map(int, numbers.split())
            yield Source(path, size_bytes, None, mtime_ns)

    def _is_left(self, entry: os.DirEntry[bytes]) -> bool:
        """Tell whether a folder is the one not to look into."""
        if self._left is None or entry.inode() != self._left.st_ino:
            return False
        return os.path.samestat(entry.stat(follow_symlinks=False), self._left)


def place_of(path: bytes) -> tuple[str, str]:
    """Return folder and name of a path, the same for paths that not every file system tells apart.

    Some do not know small from capital letters, or one form of Unicode from another.
    """
    text = os.fsdecode(path)
    folder, name = os.path.split(text if text.isascii() else unicodedata.normalize("NFC", text))
    return folder, name.casefold()


def twin(first: bytes) -> str:
    """Say of a path that it has the place (see `place_of`) of another one."""
    return (
        f"found a path that differs from {printable(first)} only in case or Unicode form, "
        "expected paths that every file system tells apart"
    )


def _without_twins(found: Packed[Source]) -> tuple[Packed[Source], list[Reject]]:
    """Reject paths that other file systems cannot tell from an earlier one."""
    repeated = repeated_places(found.paths())
    if not repeated:
        return found, []
    firsts: dict[tuple[str, str], bytes] = {}
    kept, twins = [], []
    for index, path in enumerate(found.paths()):
        place = place_of(path)
        if hash(place) in repeated and (first := firsts.setdefault(place, path)) != path:
            twins.append(Reject(path, "path_collision", twin(first)))
        else:
            kept.append(index)
    return found.take(kept), twins


def repeated_places(paths: Iterable[bytes]) -> frozenset[int]:
    """Return the hashes of places (see `place_of`) that several paths have; 8 bytes for each path.

    A hash may be that of several places too: then, as rarely as that is, look closer.
    """
    hashes = (hash(place_of(path)).to_bytes(8, "big", signed=True) for path in paths)
    return frozenset(
        int.from_bytes(one, "big", signed=True)
        for one, other in pairwise(ordered(hashes, 8))
        if one == other
    )


def packed(sources: Iterable[Source] = ()) -> Packed[Source]:
    """Pack sources."""
    return Packed(pack, unpack, "q", sources)


def pack(source: Source) -> Pieces:
    """Return a source's path, its integers, and its features if it has any."""
    label = NO_LABEL if source.label is None else source.label
    numbers = (source.size_bytes, label, source.mtime_ns)
    return (source.path, numbers, source.features) if source.features else (source.path, numbers)


def unpack(
    path: bytes, size_bytes: int, label: int, mtime_ns: int, features: bytes = b""
) -> Source:
    """Make the source of a path, integers and features."""
    return Source(path, size_bytes, None if label == NO_LABEL else label, mtime_ns, features)


def _entry(entry: os.DirEntry[bytes], path: bytes) -> Source | Reject | None:
    """Return what one name in a folder is; None is a folder."""
    if entry.name.startswith(b".") or entry.name in JUNK:
        return Reject(path, "hidden", "hidden or junk: ignored", harmless=True)
    try:
        if entry.is_dir(follow_symlinks=False):
            return None
        if entry.is_dir():
            found = "found a link to a folder, expected a folder: links to them are not followed"
            return Reject(path, "linked_folder", found)
        status = entry.stat()
        if not stat.S_ISREG(status.st_mode):
            found = "found a pipe, socket or device, expected a file"
            return Reject(path, "not_a_regular_file", found)
        if entry.name.lower().endswith(SIDECARS):
            head = b""
            if status.st_size:  # some that say 0, in /proc, never end
                with opened(entry.path) as file:
                    head = file.read(formats.HEAD_BYTES)
            if formats.image_format(head) is None:
                found = f"{formats.describe(head)} beside images: ignored"
                return Reject(path, "sidecar", found, harmless=True)
    except OSError as error:
        blame(error)
        return Reject(path, "unreadable", f"found {_why(error)}, expected a file")
    return Source(path, status.st_size, None, status.st_mtime_ns)


def _label(
    root: Path, sources: Packed[Source], labels: Sequence[str] | str, labels_from: str
) -> tuple[str, ...]:
    """Give every source its label; returns the class names by number."""
    for path in sources.paths():
        if b"/" not in path:
            raise DataError(
                f"{root}/{printable(path)}: found an image beside class folders, "
                "expected every image in one (or --labels none)"
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
    found = (numbers[path.split(b"/", 1)[0]] for path in sources.paths())
    sources.set_column(_LABEL, array("q", found))
    return names


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
