"""Folders of images: which files are listed, and which are left out."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from tfrec_cli.dataset import manifest
from tfrec_cli.dataset.names import MANIFEST_SUFFIX
from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.errors import DataError, RunError
from tfrec_cli.imaging import formats
from tfrec_cli.runtime.files import open_to_read, raise_if_exhausted
from tfrec_cli.runtime.paths import printable
from tfrec_cli.sources.labels import doubts, label_by_folder
from tfrec_cli.sources.listing import Listing, Source, packed, without_twins

JUNK = frozenset({b"Thumbs.db", b"desktop.ini", b"__MACOSX"})
SIDECARS = tuple(
    b".cfg .csv .html .ini .json .jsonl .log .md .py .rst .sh .toml .tsv .txt .xml .yaml "
    b".yml".split()
)
"""Extensions of sidecar files: they are ignored unless their first bytes are an image's."""

_MANIFEST = MANIFEST_SUFFIX.encode()


def list_folder(
    root: Path,
    *,
    labels: Sequence[str] | str | None = "auto",
    labels_from: str = "`labels`",
) -> Listing:
    """List the images below ``root`` and give each its label.

    Links to files are followed, links to folders are not. Hidden files, and files of operating
    systems such as ``Thumbs.db``, are ignored and listed as harmless rejects; so are folders that
    hold a dataset of tfrec.

    Args:
        labels: ``auto`` takes the first folder of a path as its class, and sorts classes by their
            bytes; a sequence pins class names and their order; None labels nothing.
        labels_from: where a sequence comes from, for messages.
    Raises:
        DataError: images both next to and in class folders, a class that ``labels`` lacks, or
            ``root`` is a dataset of tfrec.
        RunError: a folder cannot be read.
    """
    walk = _Walk(root)
    walk.go()
    sources, twins = without_twins(walk.sources)
    unused = sorted(walk.classes - {path.split(b"/", 1)[0] for path in sources.paths()})
    warnings = [f"{printable(name)}: class folder without images" for name in unused]
    if labels is None or (labels == "auto" and not any(b"/" in path for path in sources.paths())):
        names = None
        warnings = []
    else:
        names = label_by_folder(root, sources, labels, labels_from)
        if sources and all(path.count(b"/") > 1 for path in sources.paths()):
            first = ", ".join(names[:3])
            warnings.append(
                f"no image is directly in a class folder: classes are the top folders ({first}…), "
                "not the folders in them"
            )
        warnings += doubts(names, pinned=labels != "auto")
    warnings += [f"{printable(path)}: found a tfrec dataset: skipped" for path in walk.datasets]
    rejects = [*sorted(walk.rejects, key=lambda reject: reject.path), *twins]
    return Listing(sources=sources, labels=names, rejects=tuple(rejects), warnings=tuple(warnings))


class _Walk:
    """Visits a folder and all folders below it, sorted by the bytes of paths.

    Attributes:
        classes: the folders in the first one.
        datasets: folders that hold a dataset of tfrec; they are skipped.
    """

    def __init__(self, root: Path) -> None:
        self.sources = packed()
        self.rejects: list[Reject] = []
        self.classes: set[bytes] = set()
        self.datasets: list[bytes] = []
        self._top = os.fsencode(root)

    def go(self) -> None:
        """Visit every folder; in a loop, since nesting may exceed Python's recursion limit."""
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
        """Iterate the entries of one folder, sorted; folders have the path ``name/``."""
        full = os.path.join(self._top, folder)
        prefix = folder + b"/" if folder else b""
        lines: list[bytes] = []  # they sort like their paths
        rejects: list[Reject] = []
        try:
            with os.scandir(full) as entries:
                for entry in entries:
                    path = prefix + entry.name
                    if entry.name.endswith(_MANIFEST) and manifest.is_manifest(entry.path):
                        self._skip(folder)
                        return
                    item = _entry(entry, path)
                    if isinstance(item, Reject):
                        rejects.append(item)
                    elif item is not None:
                        lines.append(b"%s\0%d %d" % (path, item.size_bytes, item.mtime_ns))
                    else:
                        lines.append(path + b"/\x000 0")
        except OSError as error:
            raise RunError(f"{printable(full)}: {error.strerror or error}") from error
        self.rejects += rejects
        lines.sort(reverse=True)
        while lines:
            path, _, numbers = lines.pop().partition(b"\0")
            size_bytes, mtime_ns = map(int, numbers.split())
            yield Source(path, size_bytes, None, mtime_ns)

    def _skip(self, folder: bytes) -> None:
        """Leave out a folder that holds a dataset of tfrec."""
        if not folder:
            where = printable(self._top)
            raise DataError(f"{where}: found a tfrec dataset, expected images", hint="extract")
        self.classes.discard(folder)
        self.datasets.append(folder)
        self.rejects.append(Reject(folder, "dataset", "a tfrec dataset: ignored", harmless=True))


def _entry(entry: os.DirEntry[bytes], path: bytes) -> Source | Reject | None:
    """Return the source or reject that an entry is; None if it is a folder."""
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
            if status.st_size:  # files in /proc have size 0, and some never end
                with open_to_read(entry.path) as file:
                    head = file.read(formats.HEAD_BYTES)
            if formats.image_format(head) is None:
                found = f"{formats.describe(head)} beside images: ignored"
                return Reject(path, "sidecar", found, harmless=True)
    except OSError as error:
        raise_if_exhausted(error)
        return Reject(path, "unreadable", f"found {error.strerror or error}, expected a file")
    return Source(path, status.st_size, None, status.st_mtime_ns)
