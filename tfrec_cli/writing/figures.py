"""Figures for the summary of a write: images per class, the median photo, exact copies.

Knows: plans, written shards. Must not know: files, how figures are shown.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise

from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.runtime.paths import printable
from tfrec_cli.runtime.row_store import Packed, ordered
from tfrec_cli.writing.plan import Plan
from tfrec_cli.writing.survey import HEIGHT, LABEL, MOST_NAMED, SIZE, STAMP, WIDTH, Item
from tfrec_cli.writing.written_shard import WrittenShard

_MARK_BYTES, _DIGEST_BYTES = 8, 32
_ALL_BITS = 2 ** (8 * _MARK_BYTES) - 1

_Numbers = tuple[int, int, int, int]
"""Numbers of split, shard, item and class of an image."""


@dataclass(frozen=True, slots=True)
class Copies:
    """Images whose files equal that of another image, byte by byte; the first of each is none.

    Attributes:
        other_label: how many have another label than the first one.
        other_split: how many are in another split than the first one.
        pairs: paths of copies, each with that of the first; of many only some.
        warnings: a line that names two copies with different labels, and one for different splits.
    """

    records: int = 0
    other_label: int = 0
    other_split: int = 0
    pairs: tuple[tuple[bytes, bytes], ...] = ()
    warnings: tuple[str, ...] = ()

    def listed(self) -> list[str]:
        """Return a line for each of `pairs`, and one that counts the others."""
        lines = [f"{printable(copy)} is a copy of {printable(first)}" for copy, first in self.pairs]
        more = self.records - len(lines)
        return lines + [f"and {more:,} more copies"] * bool(more)


def by_class(plan: Plan, rejects: Sequence[Reject]) -> dict[int, int]:
    """Return how many records each class has, by its number, without classes that have none.

    Args:
        rejects: rejects of the split; images among them that were planned are not counted.
    """
    counts = Counter(plan.labels({reject.path for reject in rejects}))
    return dict(sorted(counts.items()))


def crop_share(plans: Sequence[Plan], crop: tuple[int, int]) -> float:
    """Return the share of its pixels that a crop keeps of the median photo, after scaling."""
    pixels = array("q")
    for plan in plans:
        for items in _shards(plan):
            sides = zip(items.column(HEIGHT), items.column(WIDTH), strict=True)
            pixels.extend(height * width for height, width in sides)
    median = sorted(pixels)[(len(pixels) - 1) // 2]
    return min(1.0, crop[0] * crop[1] / median)


def likely_copies(plans: Iterable[Plan]) -> frozenset[int]:
    """Return the marks of images that may be copies: files of the same size and header.

    Only these files are digested, when they are read to be written.
    """
    marks = (
        mark.to_bytes(_MARK_BYTES, "big")
        for plan in plans
        for items in _shards(plan)
        for mark in _marks(items)
    )
    pairs = pairwise(ordered(marks, _MARK_BYTES))
    return frozenset(int.from_bytes(mark, "big") for mark, other in pairs if mark == other)


def numbers_of(items: Packed[Item], marks: frozenset[int]) -> frozenset[int]:
    """Return the numbers of the items that have one of some marks."""
    if not marks:
        return frozenset()
    return frozenset(number for number, mark in enumerate(_marks(items)) if mark in marks)


def copies(
    parts: Sequence[tuple[Plan, Sequence[WrittenShard]]], likely: frozenset[int]
) -> Copies | None:
    """Count the exact copies among the images of all splits.

    Args:
        parts: plan and written shards of each split.
        likely: marks of the images that may be copies.
    Returns:
        None if that is unknown: an image changed before ``resume``, and may now be a copy of one
        in a shard that is kept.
    """
    if not all(_is_digested(plan, shard, likely) for plan, shards in parts for shard in shards):
        return None
    count = 0
    named: list[list[_Numbers]] = []
    left = MOST_NAMED
    other_label, other_split = _Others(3), _Others(0)
    rows = ordered(_rows(parts), _DIGEST_BYTES + 4 * 8)
    for _, same in groupby(rows, key=lambda row: row[:_DIGEST_BYTES]):
        group = list(map(_numbers, same))
        count += len(group) - 1
        if left and len(group) > 1:
            named.append(group[: left + 1])
            left -= len(named[-1]) - 1
        other_label.add(group)
        other_split.add(group)
    warnings = []
    if other_label.first:
        original, copy = other_label.named(parts)
        has = "copy has" if other_label.count == 1 else "copies have"
        found = f"{other_label.count:,} exact {has} another label than the original"
        warnings.append(_warning(found, copy, original, other_label.count))
    if other_split.first:
        original, copy = other_split.named(parts)
        are = "image is an exact copy" if other_split.count == 1 else "images are exact copies"
        found = f"{other_split.count:,} {are} of one in another split"
        warnings.append(_warning(found, copy, original, other_split.count))
    return Copies(
        records=count,
        other_label=other_label.count,
        other_split=other_split.count,
        pairs=tuple(sorted(_pairs(parts, named))),
        warnings=tuple(warnings),
    )


@dataclass(slots=True)
class _Others:
    """Copies that differ from most of theirs in a column of their numbers: label, or split.

    So their number does not depend on which image counts as the original.
    """

    column: int
    count: int = 0
    first: list[_Numbers] = field(default_factory=list)

    def add(self, group: Sequence[_Numbers]) -> None:
        """Add an image and its copies."""
        found = Counter(row[self.column] for row in group)
        self.count += len(group) - max(found.values())
        if len(found) > 1 and not self.first:
            self.first = list({row[self.column]: row for row in group}.values())

    def named(self, parts: Sequence[tuple[Plan, Sequence[WrittenShard]]]) -> list[bytes]:
        """Return the first paths of two images of the first group that differ."""
        return sorted(_paths(parts, self.first).values())[:2]


def _pairs(
    parts: Sequence[tuple[Plan, Sequence[WrittenShard]]], groups: Sequence[Sequence[_Numbers]]
) -> Iterator[tuple[bytes, bytes]]:
    """Iterate the path of each copy and of its original, the image with the first path."""
    paths = _paths(parts, {row for group in groups for row in group})
    for group in groups:
        original, *copies = sorted(paths[row] for row in group)
        yield from ((copy, original) for copy in copies)


def _warning(found: str, copy: bytes, original: bytes, count: int) -> str:
    dots = "…" * (count > 1)
    return f"{found}: {printable(copy)} is a copy of {printable(original)}{dots}"


def _is_digested(plan: Plan, shard: WrittenShard, likely: frozenset[int]) -> bool:
    """Tell whether a shard has the digests of all its images that may be copies."""
    if not shard.kept:
        return True
    items = plan.shard(shard.number)
    rejected = {reject.path for reject in shard.rejects}
    lacking = numbers_of(items, likely) - {number for number, _ in shard.files()}
    return all(items.path(number) in rejected for number in lacking)


def _shards(plan: Plan) -> Iterator[Packed[Item]]:
    return map(plan.shard, range(len(plan.sizes)))


def _marks(items: Packed[Item]) -> Iterator[int]:
    """Iterate a number for each item that its copies have too; most others have another one."""
    columns = [items.column(number) for number in (SIZE, HEIGHT, WIDTH, STAMP)]
    return (hash(row) & _ALL_BITS for row in zip(*columns, strict=True))


def _rows(parts: Sequence[tuple[Plan, Sequence[WrittenShard]]]) -> Iterator[bytes]:
    """Iterate digest, and numbers of split, shard, item and class, of all digested images."""
    for part, (plan, shards) in enumerate(parts):
        for shard in shards:
            if shard.digested:
                labels = plan.shard(shard.number).column(LABEL)
            for number, digest in shard.files():
                row = part, shard.number, number, labels[number] + 1
                yield digest + b"".join(value.to_bytes(8, "big") for value in row)


def _numbers(row: bytes) -> _Numbers:
    part, shard, number, label = (
        int.from_bytes(row[start : start + 8], "big") for start in range(_DIGEST_BYTES, len(row), 8)
    )
    return part, shard, number, label


def _paths(
    parts: Sequence[tuple[Plan, Sequence[WrittenShard]]], rows: Iterable[_Numbers]
) -> dict[_Numbers, bytes]:
    """Return the paths of images, unpacking each shard once."""
    found: dict[_Numbers, bytes] = {}
    for (part, shard), of_shard in groupby(sorted(rows), key=lambda row: row[:2]):
        items = parts[part][0].shard(shard)
        found.update((row, items.path(row[2])) for row in of_shard)
    return found
