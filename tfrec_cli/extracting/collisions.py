"""Colliding file names: names from records are an error, names that tfrec made up are changed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import count

from tfrec_cli.errors import DataError
from tfrec_cli.extracting.shard import ExtractedShard
from tfrec_cli.extracting.tree import FileTree
from tfrec_cli.runtime.paths import collision_key, collision_message, printable, repeated_keys


def settle(shards: Sequence[ExtractedShard]) -> None:
    """Name the waiting files of a split as proposed, or otherwise if that name is taken.

    Final names have precedence; proposed names are given in the order of records.

    Raises:
        DataError: a proposed name cannot be the path of a file.
    """
    if not any(shard.proposals for shard in shards):
        return
    final = [path for _, _, path in _files(shards) if path]
    taken = {hash(collision_key(path)) for path in (*final, *_folders(final))}
    with FileTree(shards[0].task.folder) as tree:
        for shard in shards:
            paths, proposals = shard.paths(), iter(shard.proposals)
            for index in (index for index, path in enumerate(paths) if not path):
                number = shard.task.first + index
                is_number, path = next(
                    (is_number, path)
                    for is_number, path in _candidates(next(proposals), number)
                    if hash(collision_key(path)) not in taken
                )
                try:
                    tree.move(shard.task.waiting / str(number), path)
                except DataError as error:
                    raise DataError(f"{shard.task.path}: record {index}: {error}") from error
                taken.update(hash(collision_key(name)) for name in (path, *_folders([path])))
                paths[index] = path
                shard.numbered += is_number
                shard.renamed += not is_number
            shard.names = b"\0".join(paths)


def _candidates(proposal: bytes, number: int) -> Iterator[tuple[bool, bytes]]:
    """Iterate the paths to try for a record, and whether each is named by its number."""
    folder, name = os.path.split(proposal)
    extension = name[name.rindex(b".") :]
    if name != extension:
        yield False, proposal
    stem = os.path.join(folder, b"%08d" % number)
    yield True, stem + extension
    for more in count(1):
        yield True, stem + b"-%d" % more + extension


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
            yield shard, index, path
