"""Colliding file names: in a dataset of tfrec an error, in records of other programs numbered."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import count

from tfrec_cli.dataset.names import MOST_NAME_BYTES
from tfrec_cli.errors import DataError
from tfrec_cli.extracting.names import EXTENDED, NUMBER, RECORD
from tfrec_cli.extracting.shard import ExtractedShard
from tfrec_cli.extracting.tree import FileTree
from tfrec_cli.runtime.paths import collision_key, collision_message, printable, repeated_keys

_SECOND = 2
"""The number that the second file of a name gets."""


def settle(shards: Sequence[ExtractedShard]) -> None:
    """Name the waiting files of a split: ``cat.jpg``, the next one ``cat-2.jpg``.

    Names from records have precedence over those that tfrec made up, and the first record of a name
    over the later ones; so the names depend on the records only.

    Raises:
        DataError: a name cannot be the path of a file.
    """
    if not any(shard.sources for shard in shards):
        return
    free = _Free(shards)
    with FileTree(shards[0].task.folder) as tree:
        for source in (RECORD, EXTENDED, NUMBER):
            for shard in shards:
                if source in shard.sources:
                    _name_files(shard, source, free, tree)


def _name_files(shard: ExtractedShard, source: int, free: _Free, tree: FileTree) -> None:
    """Name the files of a shard whose names come from ``source``."""
    paths = shard.paths()
    for index, found in enumerate(shard.sources):
        if found != source:
            continue
        number = shard.task.first + index
        wanted = paths[index]
        path = None if source == NUMBER else free.take(wanted)
        if path is None:
            folder, name = os.path.split(wanted)
            shard.numbered += 1
            path = free.take(os.path.join(folder, b"%08d" % number + name[name.rindex(b".") :]))
            assert path is not None  # a number is short
        else:
            shard.renamed += source == EXTENDED
            shard.repeated += path != wanted
        try:
            tree.move(shard.task.waiting / str(number), path)
        except DataError as error:
            raise DataError(f"{shard.task.path}: record {index}: {error}") from error
        paths[index] = path
    shard.names = b"\0".join(paths)


class _Free:
    """Says which paths are free: by hashes of their keys, since there may be very many."""

    def __init__(self, shards: Sequence[ExtractedShard]) -> None:
        self._taken: set[int] = set()
        self._wanted: set[int] = set()
        self._next: dict[int, int] = {}
        for shard in shards:
            paths = shard.paths()
            self._taken.update(map(_hash, _folders(paths)))
            named = zip(paths, shard.sources, strict=True)
            self._wanted.update(_hash(path) for path, source in named if source != NUMBER)

    def take(self, path: bytes) -> bytes | None:
        """Take a path, or the first free one with a number; None if its name would be too long."""
        key = _hash(path)
        if key not in self._taken:
            self._taken.add(key)
            return path
        stem, extension = path[: path.rindex(b".")], path[path.rindex(b".") :]
        for number in count(self._next.get(key, _SECOND)):
            candidate = stem + b"-%d" % number + extension
            if len(os.path.basename(candidate)) > MOST_NAME_BYTES:
                return None
            found = _hash(candidate)
            if found not in self._taken and found not in self._wanted:
                self._next[key] = number + 1
                self._taken.add(found)
                return candidate
        raise AssertionError  # count() does not end


def _hash(path: bytes) -> int:
    return hash(collision_key(path))


def check_files(shards: Sequence[ExtractedShard]) -> None:
    """Refuse files of a split that some file systems would merge.

    Raises:
        DataError: two paths differ only in case or Unicode form.
    """
    if not repeated_keys(path for _, _, path in _files(shards)):
        return
    firsts: dict[tuple[str, str], bytes] = {}
    for shard, index, path in _files(shards):
        first = firsts.setdefault(collision_key(path), path)
        if first != path:
            where = f"{shard.task.path}: record {index}: {printable(path)}"
            raise DataError(f"{where}: {collision_message(first)}")


def folder_warnings(shards: Sequence[ExtractedShard]) -> tuple[str, ...]:
    """Return a warning if some file systems would merge folders."""
    folders = {
        (os.fsencode(shard.task.folder), folder)
        for shard in shards
        for folder in _folders(shard.paths())
    }
    firsts: dict[str, bytes] = {}
    for top, folder in sorted(folders):
        key = os.path.join(*collision_key(os.path.join(top, folder))).casefold()
        if first := firsts.get(key):
            names = f"{printable(first)} and {printable(folder)}"
            which = f"folders differ only in case or Unicode form ({names}…)"
            return (f"{which}: other file systems would merge them",)
        firsts[key] = folder
    return ()


def _folders(paths: Iterable[bytes]) -> set[bytes]:
    """Return all folders above some files."""
    folders = {b""}
    for path in paths:
        while (path := os.path.dirname(path)) not in folders:
            folders.add(path)
    return folders - {b""}


def _files(shards: Sequence[ExtractedShard]) -> Iterator[tuple[ExtractedShard, int, bytes]]:
    """Iterate the files of some shards: shard, number of the record in the shard, path."""
    for shard in shards:
        for index, path in enumerate(shard.paths()):
            if path:
                yield shard, index, path
