"""Which source goes to which shard, in which order, and how many records a shard gets.

Knows: sources, headers, sizes. Must not know: writing. The same folder and options give the same
plan everywhere.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from operator import mul

from blake3 import blake3

from tfrec_cli.dataset.records import Column, key_of
from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.errors import UsageError
from tfrec_cli.imaging.formats import format_of_name
from tfrec_cli.runtime import values
from tfrec_cli.runtime.paths import printable
from tfrec_cli.runtime.row_store import Packed, deflated, inflated, ordered
from tfrec_cli.sources.listing import Listing
from tfrec_cli.writing.options import MAX_SHARDS, WriteOptions, default_of
from tfrec_cli.writing.survey import (
    HEIGHT,
    LABEL,
    MTIME,
    SIZE,
    TOO_SMALL,
    WIDTH,
    Item,
    packed,
    small_message,
)

RECORD_EXTRA_BYTES = 160
"""About how many bytes a record needs in addition to its image: framing, feature names, path."""

_MOST_SINGLE = 16
"""Shards of one record each that may be meant, as in a trial."""

_SMALL_BYTES = 2**20
"""A smaller size of shards may be a number without its unit."""

_USUAL_BYTES: int = default_of("shard_size")


_TEN_JPEG_PIXELS_BYTES, _TEN_PNG_PIXELS_BYTES = 8, 20
"""About how many bytes ten pixels of a scaled photo take: in a JPEG of quality 95 between 5, if it
is large, and 10."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The items of every shard, and the rejects.

    Attributes:
        deflated: the items of each shard, which `shard` unpacks; empty after `free`.
        sizes: number of records of each shard.
        estimated_bytes: estimated size of all shards together.
        least_bytes: what all shards take at least, as far as that is known.
        source_bytes: size of all items' files.
        sha256: digest of the items in their order; independent of where shards begin.
    """

    deflated: list[bytes] = field(compare=False, repr=False)
    sizes: tuple[int, ...]
    rejects: tuple[Reject, ...]
    estimated_bytes: int
    least_bytes: int = field(compare=False)
    source_bytes: int
    sha256: str

    @property
    def records(self) -> int:
        """Number of records of all shards."""
        return sum(self.sizes)

    @property
    def shards(self) -> tuple[tuple[Item, ...], ...]:
        """The items of every shard, unpacked."""
        return tuple(tuple(self.shard(number)) for number in range(len(self.sizes)))

    def sources(self) -> Iterator[tuple[int, int, bytes]]:
        """Iterate (size in bytes, time of the last change in ns, path) of the items in order."""
        for items in map(self.shard, range(len(self.sizes))):
            yield from zip(items.column(SIZE), items.column(MTIME), items.paths(), strict=True)

    def shard(self, number: int) -> Packed[Item]:
        """Return the items of one shard; empty after `free`."""
        data = self.deflated[number]
        return inflated(data) if data else packed()

    def labels(self, rejected: Collection[bytes]) -> array[int]:
        """Return the class number of each item in order, without those with rejected paths."""
        found = array("q")
        for items in map(self.shard, range(len(self.sizes))):
            if rejected:
                pairs = zip(items.column(LABEL), items.paths(), strict=True)
                found.extend(label for label, path in pairs if path not in rejected)
            else:
                found.extend(items.column(LABEL))
        return found

    def inputs(self, number: int, recipe: object) -> str:
        """Digest the items of one shard, and the recipe of their records."""
        return blake3(self.deflated[number] + repr(recipe).encode()).hexdigest()

    def free(self) -> None:
        """Free the memory of all items."""
        self.deflated[:] = [b""] * len(self.sizes)


def make(
    listing: Listing, surveyed: Iterable[Item | Packed[Item] | Reject], options: WriteOptions
) -> Plan:
    """Make the plan of one split: the order of its items, and its shards.

    Args:
        surveyed: the items and rejects that `read_headers` yields, in any order.
    Raises:
        UsageError: a crop larger than every image, or more shards than images.
    """
    items = packed()
    rejects = list(listing.rejects)
    largest: Item | None = None
    for entry in _taken_apart(surveyed, options):
        if isinstance(entry, Reject):
            rejects.append(entry)
        elif isinstance(entry, Packed):
            items.extend(entry)
        elif fits(entry.height_px, entry.width_px, options):
            items.append(entry)
        else:
            rejects.append(too_small(entry, options.crop or (0, 0)))
            largest = max(largest or entry, entry, key=lambda item: item.height_px * item.width_px)
    if largest and options.crop and not items:
        raise UsageError(
            f"`crop`: found no image of {_size(options.crop)} or more, "
            f"the largest is {values.sides(largest.height_px, largest.width_px)}, "
            "expected a smaller crop"
        )
    order, clashes = _without_key_clashes(items, _order(items, options.shuffle_seed))
    rejects += clashes
    source_bytes = sum(items.column(SIZE))
    estimated_bytes = _shards_bytes(items, len(order), options) + items.note_bytes
    bounds = cut(len(order), estimated_bytes, options.shards, options.shard_size)
    return Plan(
        deflated=[deflated(items.take(order[start:stop])) for start, stop in pairwise(bounds)],
        sizes=tuple(stop - start for start, stop in pairwise(bounds)),
        rejects=tuple(sorted(rejects, key=lambda reject: reject.path)),
        estimated_bytes=estimated_bytes,
        least_bytes=_least_bytes(items, order, options),
        source_bytes=source_bytes,
        sha256=_digest(items, order, listing.columns),
    )


def cut(
    count: int, size_bytes: int, shards: int | None, shard_bytes: int, noun: str = "image"
) -> tuple[int, ...]:
    """Return where in the order of the images each shard starts, and the end of the last one.

    Args:
        count: number of images.
        size_bytes: estimated size of all shards together.
        shards: number of shards; None computes it from ``shard_bytes``.
        shard_bytes: size of one shard.
        noun: what is counted, for the message.
    Raises:
        UsageError: more shards than images.
    """
    if shards and shards > max(count, 1):
        found = values.plural(count, noun)
        raise UsageError(f"`shards` {shards}: found {found}, expected one for each shard")
    number = shards or max(1, min(math.ceil(size_bytes / shard_bytes), count, MAX_SHARDS))
    return tuple(count * index // number for index in range(number + 1))


def check_sizes(
    sizes: Sequence[int], shards: int | None, shard_bytes: int, noun: str = "image"
) -> None:
    """Refuse a size of shards that is smaller than a record: bytes where MB were meant.

    Args:
        sizes: number of records of each shard.
        shards, shard_bytes, noun: as for `cut`.
    Raises:
        UsageError: there are as many shards as possible, more than anybody tries by hand.
    """
    count, most = len(sizes), min(sum(sizes), MAX_SHARDS)
    if shards or shard_bytes >= _SMALL_BYTES or not _MOST_SINGLE < count == most:
        return
    wanted = f"{shard_bytes}MB" if shard_bytes < 1000 else values.spell_size(_USUAL_BYTES)
    raise UsageError(
        f"`shard_size`: found {values.plural(shard_bytes, 'byte')}, which makes "
        f"{values.plural(count, 'shard')} of {values.plural(sum(sizes), noun)}, expected more, "
        f"such as {wanted}, or `shards` {count}"
    )


def count_reasons(rejects: Iterable[Reject], *, harmless: bool) -> dict[str, int]:
    """Count either the harmless rejects or the others, by reason."""
    counts = Counter(reject.reason for reject in rejects if reject.harmless == harmless)
    return dict(sorted(counts.items()))


def fits(height_px: int, width_px: int, options: WriteOptions) -> bool:
    """Tell whether an image is large enough for the crop, or will be enlarged."""
    if options.crop is None or options.small in ("pad", "resize"):
        return True
    return height_px >= options.crop[0] and width_px >= options.crop[1]


def _taken_apart(
    surveyed: Iterable[Item | Packed[Item] | Reject], options: WriteOptions
) -> Iterator[Item | Packed[Item] | Reject]:
    """Unpack those packs with an item that does not fit; the others stay packed, which is fast."""
    for entry in surveyed:
        if isinstance(entry, Packed) and entry:
            least = min(entry.column(HEIGHT)), min(entry.column(WIDTH))
            yield from [entry] if fits(*least, options) else entry
        else:
            yield entry


def too_small(item: Item, crop: tuple[int, int]) -> Reject:
    """Reject an image that is smaller than the crop."""
    return Reject(item.source.path, TOO_SMALL, small_message((item.height_px, item.width_px), crop))


def _size(crop: tuple[int, int]) -> str:
    return f"{crop[0]}x{crop[1]}"


def _order(items: Packed[Item], seed: int | None) -> array[int]:
    """Return the order by path, or by SHA-256 of seed and path; the same on every machine."""
    if seed is None:
        return array("q", sorted(range(len(items)), key=items.path))
    prefix = b"%d\0" % seed
    rows = (
        hashlib.sha256(prefix + path).digest() + number.to_bytes(8, "big")
        for number, path in enumerate(items.paths())
    )
    return array("q", (int.from_bytes(row[32:], "big") for row in ordered(rows, 40)))


def _without_key_clashes(items: Packed[Item], order: array[int]) -> tuple[array[int], list[Reject]]:
    """Keep one item for each key: two images with the same key would always get the same crops."""
    keys = (key_of(path).to_bytes(7, "big") for path in items.paths())
    if all(key != following for key, following in pairwise(ordered(keys, 7))):
        return order, []
    owners: dict[int, int] = {}
    clashes = []
    for index in order:
        first = owners.setdefault(key_of(items.path(index)), index)
        if first != index:
            other = printable(items.path(first))
            message = f"found the key of {other}, expected one of its own: rename one of the two"
            clashes.append(Reject(items.path(index), "key_collision", message))
    return array("q", owners.values()), clashes


def _shards_bytes(items: Packed[Item], count: int, options: WriteOptions) -> int:
    """Estimate the bytes of all shards together."""
    if options.crop is None:
        images_bytes = _scaled_bytes(items) if options.resize_short else sum(items.column(SIZE))
        return images_bytes + count * RECORD_EXTRA_BYTES
    samples = options.crop[0] * options.crop[1] * 3
    share = {"raw": 1.0, "png": 0.8, "jpeg": 0.2}[options.crop_encoding]
    return count * (int(samples * share) + RECORD_EXTRA_BYTES)


def _scaled_bytes(items: Packed[Item]) -> int:
    """Estimate the bytes of scaled images from their pixels."""
    pixels = map(mul, items.column(HEIGHT), items.column(WIDTH))
    of_ten = (
        _TEN_JPEG_PIXELS_BYTES if format_of_name(path) == "jpeg" else _TEN_PNG_PIXELS_BYTES
        for path in items.paths()
    )
    total: int = sum(map(mul, pixels, of_ten))
    return total // 10


def _least_bytes(items: Packed[Item], order: Sequence[int], options: WriteOptions) -> int:
    """Return what all shards take at least; 0 if that depends on how well images compress.

    Whole JPEGs keep their bytes. A PNG of 16 bits becomes one of 8, of half the size at least;
    files of other formats may become much smaller.
    """
    if options.compression != "none" or options.resize_short or options.strip_metadata:
        return 0
    if options.crop:
        area = options.crop[0] * options.crop[1]
        return len(order) * area * 3 if options.crop_encoding == "raw" else 0
    kept = {b".jpg": 2, b"jpeg": 2, b".png": 1}
    halves = (kept.get(path[-4:].lower(), 0) for path in items.paths())
    sizes = (size * half for size, half in zip(items.column(SIZE), halves, strict=True))
    return sum(sizes) >> 1


def _digest(items: Packed[Item], order: Sequence[int], columns: Sequence[Column]) -> str:
    digest = hashlib.sha256()
    for column in columns:
        digest.update(b"%s %s %d\0" % (column.name.encode(), column.kind.encode(), column.is_list))
    labels, sizes = items.column(LABEL), items.column(SIZE)
    for number in order:
        digest.update(b"%d %d %s\0" % (labels[number], sizes[number], items.path(number)))
        if columns:
            digest.update(b"%s\0" % items[number].source.features)
    return digest.hexdigest()
