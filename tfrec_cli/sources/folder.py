"""Folders of images: which files are listed, and which are left out."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tfrec_cli.dataset import manifest
from tfrec_cli.dataset.names import MANIFEST_SUFFIX
from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.errors import DataError, RunError, UsageError
from tfrec_cli.imaging import formats
from tfrec_cli.runtime.files import open_to_read, raise_if_exhausted
from tfrec_cli.runtime.paths import printable
from tfrec_cli.runtime.row_store import Packed
from tfrec_cli.sources import layout
from tfrec_cli.sources.labels import USUAL_RULE, ClassRule, doubts, found_level, label_by_folder
from tfrec_cli.sources.listing import EVERY, Found, Listing, Source, packed, unseen, without_twins

JUNK = frozenset({b"Thumbs.db", b"desktop.ini", b"__MACOSX"})
SIDECARS = tuple(
    b".cfg .csv .html .ini .json .jsonl .log .md .py .rst .sh .toml .tsv .txt .xml .yaml "
    b".yml".split()
)
"""Extensions of sidecar files: they are ignored unless their first bytes are an image's."""
NOTES = frozenset(b"authors changelog copying licence license makefile notice readme".split())
"""Names of sidecar files without an extension, in small letters."""

_MANIFEST = MANIFEST_SUFFIX.encode()

LINKED = "linked_folder"
"""The reason to reject a link to a folder."""

LINKS = (
    "links to folders are not followed, links to images are: `cp -rs /PATH/TO/FOLDER SRC` makes a "
    "folder of such links"
)
"""What to do with links to folders."""


def list_folder(
    root: Path,
    *,
    labels: Sequence[str] | str | None = "auto",
    labels_from: str = "`labels`",
    rule: ClassRule = USUAL_RULE,
    found: Found = unseen,
) -> Listing:
    """List the images below ``root`` and give each its label.

    Links to files are followed, links to folders are not. Hidden files, and files of operating
    systems such as ``Thumbs.db``, are ignored and listed as harmless rejects; so are folders that
    hold a dataset of tfrec.

    Args:
        labels: ``auto`` takes folders as classes, as ``rule`` says, and sorts classes by their
            bytes; a sequence pins class names and their order; None labels nothing.
        labels_from: where a sequence comes from, for messages.
        found: see `Found`.
    Raises:
        UsageError: the names of folders do not say which of them are classes.
        DataError: images both next to and in class folders, a class that ``labels`` lacks, or
            ``root`` is a dataset of tfrec.
        RunError: a folder cannot be read.
    """
    walk = _Walk(root)
    walk.go(found)
    sources, twins = without_twins(walk.sources)
    names, warnings = _label(walk, root, sources, labels, labels_from, rule)
    warnings += [f"{printable(path)}: found a tfrec dataset: skipped" for path in walk.datasets]
    if linked := [reject.path for reject in walk.rejects if reject.reason == LINKED]:
        noun = "a link to a folder" if len(linked) == 1 else f"{len(linked)} links to folders"
        warnings.append(f"found {noun} ({layout.named(linked)}): left out; {LINKS}")
    rejects = [*sorted(walk.rejects, key=lambda reject: reject.path), *twins]
    return Listing(sources=sources, labels=names, rejects=tuple(rejects), warnings=tuple(warnings))


def _label(
    walk: _Walk,
    root: Path,
    sources: Packed[Source],
    labels: Sequence[str] | str | None,
    labels_from: str,
    rule: ClassRule,
) -> tuple[tuple[str, ...] | None, list[str]]:
    """Give each image its label; return the class names, and warnings."""
    depth = int(rule.in_splits)
    is_auto = labels == "auto" and rule.level == "auto"
    is_flat = is_auto and not any(path.count(b"/") > depth for path in sources.paths())
    if is_auto and rule.asks:
        sidecars = [reject.path for reject in walk.rejects if reject.reason == "sidecar"]
        layout.check(root, sources, sidecars, in_splits=rule.in_splits)
    if labels is None or is_flat:
        return None, [] if is_flat or rule.in_splits else list(layout.mixed(sources))
    if not isinstance(labels, str):
        rule = replace(rule, level=found_level(sources.paths(), labels, rule))
    names = label_by_folder(root, sources, labels, labels_from, rule)
    warnings = []
    if rule.level in ("auto", "top"):
        used = {b"/".join(path.split(b"/", depth + 1)[: depth + 1]) for path in sources.paths()}
        unused = sorted(path for path in walk.folders - used if path.count(b"/") == depth)
        warnings = [f"{printable(path)}: class folder without images" for path in unused]
    elif not rule.in_splits:
        warnings = list(layout.mixed(sources))
    return names, warnings + doubts(names, pinned=labels != "auto")


def splits_in(root: Path) -> tuple[str, ...]:
    """Return the names of the folders in ``root`` that hold images, sorted by their bytes.

    Raises:
        UsageError: there is none, or an image is next to them.
        DataError, RunError: as for `list_folder`.
    """
    walk = _Walk(root)
    walk.go(is_each_top_enough=True)
    for path in walk.sources.paths():
        if b"/" not in path:
            raise UsageError(
                f"`split` folders: found {printable(path)} next to folders in {root}, expected "
                "every image in the folder of a split"
            )
    tops = sorted({path.split(b"/", 1)[0] for path in walk.sources.paths()})
    if not tops:
        is_linked = any(reject.reason == LINKED for reject in walk.rejects)
        why = f": {LINKS}" if is_linked else ""
        raise UsageError(f"`split` folders: found no folders of images in {root}{why}")
    return tuple(map(os.fsdecode, tops))


class _Walk:
    """Visits a folder and all folders below it, sorted by the bytes of paths.

    Attributes:
        folders: the folders in the first one, and those in them.
        datasets: folders that hold a dataset of tfrec; they are skipped.
    """

    def __init__(self, root: Path) -> None:
        self.sources = packed()
        self.rejects: list[Reject] = []
        self.folders: set[bytes] = set()
        self.datasets: list[bytes] = []
        self._top = os.fsencode(root)

    def go(self, found: Found = unseen, *, is_each_top_enough: bool = False) -> None:
        """Visit every folder; in a loop, since nesting may exceed Python's recursion limit.

        Args:
            is_each_top_enough: stop in each folder of the first one after its first image.
        """
        entered = [(b"", self._list(b""))]
        while entered:
            _, entries = entered[-1]
            source = next(entries, None)
            if source is None:
                entered.pop()
            elif source.path.endswith(b"/"):
                path = source.path[:-1]
                if path.count(b"/") < 2:
                    self.folders.add(path)
                entered.append((path, self._list(path)))
            else:
                self.sources.append(source)
                if len(self.sources) % EVERY == 0:
                    found(len(self.sources))
                if is_each_top_enough:
                    del entered[1:]

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
        self.folders.discard(folder)
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
            return Reject(path, LINKED, "found a link to a folder, expected a folder")
        status = entry.stat()
        if not stat.S_ISREG(status.st_mode):
            found = "found a pipe, socket or device, expected a file"
            return Reject(path, "not_a_regular_file", found)
        name = entry.name.lower()
        if name in NOTES or name.endswith(SIDECARS):
            head = b""
            if status.st_size:  # files in /proc have size 0, and some never end
                with open_to_read(entry.path) as file:
                    head = file.read(formats.HEAD_BYTES)
            if formats.image_format(head) is None:
                found = f"{formats.describe(head)} beside images: ignored"
                return Reject(path, "sidecar", found, harmless=True)
    except OSError as error:
        raise_if_exhausted(error)
        link = "a link that cannot be followed: " * entry.is_symlink()
        found = f"found {link}{error.strerror or error}"
        return Reject(path, "unreadable", f"{found}, expected a file")
    return Source(path, status.st_size, None, status.st_mtime_ns)
