"""Layouts of folders: folders of splits, folders whose name is a role, nested folders.

Knows: names that people give to folders. Must not know: files. What the names leave unclear is
refused, with the command or option that makes it clear.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from tfrec_cli.dataset.division import FOLDERS
from tfrec_cli.errors import MeantSourceError, UsageError
from tfrec_cli.runtime.paths import printable
from tfrec_cli.runtime.row_store import Packed
from tfrec_cli.sources.listing import Source

_SPLITS = re.compile(rb"(train(ing)?|val(id(ation)?)?|test(ing)?|dev)([0-9]{4})?", re.IGNORECASE)

_PICTURES = re.compile(rb"(jpe?g|png)?_?(images?|imgs?)", re.IGNORECASE)
"""Names of folders of all images, of any class."""

_ROLES = re.compile(
    rb"(seg(mentation)?[_-]?)?(masks?|labels?)|seg(mentation)?[_-]?maps?|annotations?|annots?"
    rb"|segmentations?|segmentation(class|object)(aug|raw)?|imagesets|trimaps?|gt|ground[_-]?truth"
    rb"|bbox(es)?|bounding[_-]?boxes|keypoints|metadata|xmls?|jsons?",
    re.IGNORECASE,
)
"""Names of folders of what belongs to images."""

_WEAK_ROLES = re.compile(rb"depth|disparity|infrared|normals|rgb|thermal", re.IGNORECASE)
"""Names of such folders that may be classes too, if no other folder has files of equal names."""

_SHOWN = 3


def is_split(name: str) -> bool:
    """Tell whether people give a split this name."""
    return _SPLITS.fullmatch(os.fsencode(name)) is not None


def splits_of(folders: Iterable[bytes]) -> list[bytes]:
    """Return the folders with names of splits, if all or at least two of the folders have one."""
    tops = sorted({folder.partition(b"/")[0] for folder in folders})
    splits = [top for top in tops if _SPLITS.fullmatch(top)]
    return splits if len(splits) > 1 or splits == tops else []


def named(folders: Collection[bytes]) -> str:
    """Return the names of some folders as text."""
    shown = ", ".join(map(printable, sorted(folders)[:_SHOWN]))
    return shown + "…" * (len(folders) > _SHOWN)


def mixed(sources: Packed[Source]) -> Iterator[str]:
    """Iterate a warning if images of splits become one split."""
    if splits := splits_of({path.rpartition(b"/")[0] for path in sources.paths()} - {b""}):
        yield (
            f"found folders of splits ({named(splits)}): their images are mixed "
            "(--split folders keeps them apart)"
        )


def check(
    root: Path, sources: Packed[Source], sidecars: Sequence[bytes], *, in_splits: bool
) -> None:
    """Refuse folders whose names do not say which of them are classes.

    Args:
        sidecars: paths of text files and the like next to images.
        in_splits: the first folder of a path is a split.
    Raises:
        UsageError: says what is not clear, and what makes it clear.
    """
    tree = _Tree(root, sources, sidecars, in_splits=in_splits)
    if not in_splits:
        tree.check_splits()
    tree.check_roles()
    tree.check_pairs()
    tree.check_nesting()


class _Tree:
    """The folders of some images.

    Attributes:
        inner: folder with images to the part of its path that is not a split.
        tops: the folders in the place of classes.
    """

    def __init__(
        self, root: Path, sources: Packed[Source], sidecars: Sequence[bytes], *, in_splits: bool
    ) -> None:
        self._root = root
        self._sources = sources
        self._sidecars = sidecars
        self._in_splits = in_splits
        folders = {path.rpartition(b"/")[0] for path in sources.paths()} - {b""}
        self.inner = {folder: self._below_split(folder) for folder in sorted(folders)}
        self.tops = {inner.partition(b"/")[0] for inner in self.inner.values()} - {b""}

    def _below_split(self, path: bytes) -> bytes:
        return path.partition(b"/")[2] if self._in_splits else path

    def check_splits(self) -> None:
        """Refuse folders of splits."""
        splits = splits_of(self.inner)
        others = self.tops - set(splits)
        if splits:
            more = f" (and {named(others)}, which becomes a split too)" if others else ""
            raise UsageError(
                f"{self._root}: found folders of splits ({named(splits)}), expected folders of "
                f"classes: `split` folders makes them splits{more}; `labels` top makes them classes"
            )

    def check_roles(self) -> None:
        """Refuse folders of masks and the like, and folders of all images in place of classes."""
        for folder, inner in self.inner.items():
            for depth, part in enumerate(inner.split(b"/")):
                if (
                    _ROLES.fullmatch(part)
                    or (depth == 0 and _PICTURES.fullmatch(part))
                    or (_WEAK_ROLES.fullmatch(part) and self._has_twins(part))
                ):
                    self._refuse(folder, depth, "named after what it holds")

    def _has_twins(self, top: bytes) -> bool:
        """Tell whether a folder has a file of the same name, but for its ending, as another."""
        paths = [path for path in self._sources.paths() if b"/" in path]
        own = {_stem(path) for path in paths if self._top_of(path) == top}
        return any(_stem(path) in own for path in paths if self._top_of(path) != top)

    def check_pairs(self) -> None:
        """Refuse the only class if text files in another folder belong to its images."""
        if len(self.tops) != 1:
            return
        elsewhere = {b"", *self.tops}
        texts = {_stem(path) for path in self._sidecars if self._top_of(path) not in elsewhere}
        if texts and any(_stem(path) in texts for path in self._sources.paths()):
            folder = next(folder for folder, inner in self.inner.items() if inner)
            self._refuse(folder, 0, "whose images have text files of the same names")

    def check_nesting(self) -> None:
        """Refuse images that are two folders deep, where none is directly in the first folder."""
        direct: set[bytes] = set()
        nested: dict[bytes, bytes] = {}
        for folder, inner in self.inner.items():
            top, _, rest = inner.partition(b"/")
            while _PICTURES.fullmatch(rest.rpartition(b"/")[2]):
                rest = rest.rpartition(b"/")[0]
            if rest:
                nested.setdefault(top, folder)
            else:
                direct.add(top)
        for top in sorted(nested.keys() - direct):
            inner = self.inner[nested[top]]
            leaf = inner.rpartition(b"/")[2]
            raise UsageError(
                f"{self._at(nested[top])}: found images in a folder of a folder: `labels` top "
                f"makes {printable(top)} their class, `labels` leaf {printable(leaf)}, `labels` "
                f"path {printable(inner)}"
            )

    def _top_of(self, path: bytes) -> bytes:
        """Return the folder of a file in the place of its class."""
        return self._below_split(path.rpartition(b"/")[0]).partition(b"/")[0]

    def _refuse(self, folder: bytes, depth: int, found: str) -> NoReturn:
        """Refuse a folder that is no class, with the command that is meant.

        Args:
            folder: the folder, or one inside it.
            depth: how many folders are between it and the place of classes.
        Raises:
            MeantSourceError: another folder most likely has all images.
            UsageError: otherwise.
        """
        parts = folder.split(b"/")[: depth + 1 + self._in_splits]
        where = f"{self._at(b'/'.join(parts))}: found a folder {found}, expected folders of classes"
        otherwise = "`labels` top keeps its images" if depth else "`labels` top makes it a class"
        pictures = self._pictures(depth)
        if pictures is None or self._in_splits:
            todo = "`labels` none takes its images without labels"
            if pictures is None:
                todo = f"move it out of {self._root}"
            raise UsageError(f"{where}: {todo}; {otherwise}")
        below = [inner.partition(b"/")[2] for inner in self.inner.values()]
        has_splits = splits_of(folder for folder in below if folder)
        raise MeantSourceError(
            f"{where}: `source` takes the images; {otherwise}",
            str(self._root / printable(pictures)),
            {"split": FOLDERS} if has_splits else {},
        )

    def _pictures(self, depth: int) -> bytes | None:
        """Return the folder that most likely has all images, if there is one."""
        pictures = sorted(top for top in self.tops if _PICTURES.fullmatch(top))
        others = {top for top in self.tops if not _ROLES.fullmatch(top)}
        if not pictures and len(others) == 1:
            pictures = sorted(others)
        if depth or not pictures or (self._in_splits and len(self.tops) > 1):
            return None
        return pictures[0]

    def _at(self, folder: bytes) -> str:
        return f"{self._root}/{printable(folder)}"


def _stem(path: bytes) -> bytes:
    """Return the name of a file up to its first dot."""
    return path.rpartition(b"/")[2].partition(b".")[0]
