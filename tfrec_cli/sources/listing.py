"""Listings: the images of a folder or image list, sorted by path, in little memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tfrec_cli.dataset.records import Column
from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.runtime.paths import collision_key, collision_message, repeated_keys
from tfrec_cli.runtime.row_store import Packed, Pieces

NO_LABEL = -1
"""Stands for None among packed integers."""

LABEL_COLUMN = 1
"""Index of the label among a source's packed integers."""

Found = Callable[[int], object]
"""Called with the number of images that were found so far, after every `EVERY`."""

EVERY = 1_000


def unseen(_count: int) -> None:
    """Do nothing with the number of images."""


@dataclass(frozen=True, slots=True)
class Source:
    """One image file.

    Attributes:
        path: POSIX path relative to the source folder, as bytes.
        label: 0-based class number, or None.
        mtime_ns: time of its last change in nanoseconds; it does not change what is written.
        features: its values in the columns of an image list, which `records.further` parses.
    """

    path: bytes
    size_bytes: int
    label: int | None
    mtime_ns: int = field(default=0, compare=False)
    features: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The images of a folder or image list, sorted by the bytes of their paths.

    Attributes:
        labels: class names by number; None without labels.
        warnings: one line each, for a person.
        columns: additional columns of an image list, sorted by name.
        groups: how many groups the images are from, if groups were divided among splits.
    """

    sources: Packed[Source]
    labels: tuple[str, ...] | None
    rejects: tuple[Reject, ...]
    warnings: tuple[str, ...]
    columns: tuple[Column, ...] = ()
    groups: int | None = None


def without_twins(sources: Packed[Source]) -> tuple[Packed[Source], list[Reject]]:
    """Reject paths that some file systems do not distinguish from an earlier path."""
    repeated = repeated_keys(sources.paths())
    if not repeated:
        return sources, []
    firsts: dict[tuple[str, str], bytes] = {}
    kept, twins = [], []
    for index, path in enumerate(sources.paths()):
        key = collision_key(path)
        if hash(key) in repeated and (first := firsts.setdefault(key, path)) != path:
            twins.append(Reject(path, "path_collision", collision_message(first)))
        else:
            kept.append(index)
    return sources.take(kept), twins


def packed(sources: Iterable[Source] = ()) -> Packed[Source]:
    """Pack sources."""
    return Packed(pack, unpack, sources)


def pack(source: Source) -> Pieces:
    """Return a source's path, its integers, and its features if it has any."""
    label = NO_LABEL if source.label is None else source.label
    numbers = (source.size_bytes, label, source.mtime_ns)
    return (source.path, numbers, source.features) if source.features else (source.path, numbers)


def unpack(
    path: bytes, size_bytes: int, label: int, mtime_ns: int, features: bytes = b""
) -> Source:
    """Make a source from what `pack` returned."""
    return Source(path, size_bytes, None if label == NO_LABEL else label, mtime_ns, features)
