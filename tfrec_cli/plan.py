"""Which source goes to which shard, in which order: decided before anything is written.

Knows: sources, headers, sizes. Must not know: engines, writing. Given the same folder and options
a plan is the same everywhere.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tfrec_cli import images, sources
from tfrec_cli.choices import Encoding, Small
from tfrec_cli.errors import ImageError, UsageError
from tfrec_cli.images import Policy
from tfrec_cli.records import key_of
from tfrec_cli.sources import Listing, Reject, Source

MAX_SHARDS = 99_999
"""What five digits in a shard's name can number."""

MAX_FILE_BYTES = 2**30
"""No protocol buffer holds 2 GiB, and no image file worth training on is half as large."""

RECORD_EXTRA_BYTES = 160
"""About what a record needs beside its image: framing, feature names, path."""


@dataclass(frozen=True, slots=True)
class Item:
    """One image to be written, its size upright and after scaling, in pixels."""

    source: Source
    height_px: int
    width_px: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What is to be stored of each image, and into how many shards.

    Attributes:
        crop: (height, width) of the fixed centre crop in pixels; None for whole images.
        encoding: of crops; whole images keep their own bytes.
        small: what to do with images smaller than the crop.
        shards: how many; None for as many as ``shard_bytes`` asks for.
        shuffle_seed: None keeps the order of the paths.
    """

    crop: tuple[int, int] | None
    encoding: Encoding
    small: Small
    shards: int | None
    shard_bytes: int
    shuffle_seed: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The items of every shard, and what is left out.

    Attributes:
        estimated_bytes: of all shards together.
        sha256: digest of the items in their order and their shards.
    """

    shards: tuple[tuple[Item, ...], ...]
    rejects: tuple[Reject, ...]
    estimated_bytes: int
    sha256: str

    @property
    def records(self) -> int:
        """How many records all shards hold together."""
        return sum(map(len, self.shards))


def survey(root: Path, batch: Sequence[Source], policy: Policy) -> list[Item | Reject]:
    """Read the headers of some sources.

    Returns:
        For each source an Item, with its size in pixels, or the reason why it cannot be one.
    """
    return [_survey_one(root, source, policy) for source in batch]


def make(listing: Listing, surveyed: Iterable[Item | Reject], layout: Layout) -> Plan:
    """Decide order and shards.

    Args:
        surveyed: what `survey` found, in any order.
    Raises:
        UsageError: a crop larger than every image, or more shards than images.
    """
    items: list[Item] = []
    rejects = list(listing.rejects)
    for found in surveyed:
        if isinstance(found, Reject):
            rejects.append(found)
        else:
            items.append(found)
    if layout.crop and layout.small in ("fail", "skip"):
        items, small = _split_small(items, layout.crop)
        if small and not items:
            largest = max(small, key=lambda item: item.height_px * item.width_px)
            raise UsageError(
                f"--crop: found no image of {_size(layout.crop)} or more, "
                f"the largest is {largest.height_px}x{largest.width_px}, expected a smaller crop"
            )
        rejects += [_too_small(item, layout.crop) for item in small]
    items = _ordered(items, layout.shuffle_seed)
    items, clashes = _without_key_clashes(items)
    rejects += clashes
    sizes = [_record_bytes(item, layout) for item in items]
    wanted = math.ceil(sum(sizes) / layout.shard_bytes)
    count = layout.shards or max(1, min(wanted, len(items), MAX_SHARDS))
    if layout.shards and layout.shards > max(len(items), 1):
        raise UsageError(
            f"--shards {layout.shards}: found {len(items)} images, expected one for each shard"
        )
    bounds = [len(items) * index // count for index in range(count + 1)]
    shards = tuple(tuple(items[a:b]) for a, b in pairwise(bounds))
    return Plan(
        shards=shards,
        rejects=tuple(sorted(rejects, key=lambda reject: reject.path)),
        estimated_bytes=sum(sizes),
        sha256=_digest(shards),
    )


def too_large(size_bytes: int) -> ImageError:
    """Make the error for a file that is not read at all."""
    found = f"found {size_bytes} bytes"
    return ImageError("too_large", f"{found}, expected at most {MAX_FILE_BYTES}")


def count_reasons(rejects: Iterable[Reject], *, harmless: bool) -> dict[str, int]:
    """Count rejects by reason, the harmless or the others."""
    counts = Counter(reject.reason for reject in rejects if reject.harmless == harmless)
    return dict(sorted(counts.items()))


def _survey_one(root: Path, source: Source, policy: Policy) -> Item | Reject:
    path = os.path.join(os.fsencode(root), source.path)
    try:
        if source.size_bytes > MAX_FILE_BYTES:
            raise too_large(source.size_bytes)
        with open(path, "rb") as file:
            header = images.read_header(file, policy)
        size = (header.height_px, header.width_px)
        if policy.resize_short_px:
            size = images.scaled_short(*size, policy.resize_short_px)
            images.check_pixels(*size, policy.max_pixels)
    except OSError as error:
        return Reject(source.path, "unreadable", f"cannot be read: {error.strerror or error}")
    except ImageError as error:
        return Reject(source.path, error.reason, str(error))
    return Item(source, *size)


def _split_small(items: list[Item], crop: tuple[int, int]) -> tuple[list[Item], list[Item]]:
    fitting: list[Item] = []
    small: list[Item] = []
    for item in items:
        fits = item.height_px >= crop[0] and item.width_px >= crop[1]
        (fitting if fits else small).append(item)
    return fitting, small


def _too_small(item: Item, crop: tuple[int, int]) -> Reject:
    found = f"{item.height_px}x{item.width_px} pixels"
    message = f"found {found}, expected at least {_size(crop)} (--small skip, pad or resize)"
    return Reject(item.source.path, "too_small", message)


def _size(crop: tuple[int, int]) -> str:
    return f"{crop[0]}x{crop[1]}"


def _ordered(items: list[Item], seed: int | None) -> list[Item]:
    """Order by path, or by the SHA-256 of seed and path: the same wherever it is computed."""
    if seed is None:
        return sorted(items, key=lambda item: item.source.path)
    prefix = b"%d\0" % seed
    return sorted(items, key=lambda item: hashlib.sha256(prefix + item.source.path).digest())


def _without_key_clashes(items: list[Item]) -> tuple[list[Item], list[Reject]]:
    """Keep one item for each key: two paths of one key would always be cropped alike."""
    owners: dict[int, Item] = {}
    clashes = []
    for item in items:
        first = owners.setdefault(key_of(item.source.path), item)
        if first is not item:
            other = sources.printable(first.source.path)
            message = f"found the key of {other}, expected one of its own: rename one of the two"
            clashes.append(Reject(item.source.path, "key_collision", message))
    return list(owners.values()), clashes


def _record_bytes(item: Item, layout: Layout) -> int:
    if layout.crop is None:
        return item.source.size_bytes + RECORD_EXTRA_BYTES
    values = layout.crop[0] * layout.crop[1] * 3
    share = {"raw": 1.0, "png": 0.8, "jpeg": 0.2}[layout.encoding]
    return int(values * share) + RECORD_EXTRA_BYTES


def _digest(shards: tuple[tuple[Item, ...], ...]) -> str:
    digest = hashlib.sha256()
    for index, items in enumerate(shards):
        digest.update(b"shard %d %d\0" % (index, len(items)))
        for item in items:
            label = -1 if item.source.label is None else item.source.label
            digest.update(b"%d %d " % (label, item.source.size_bytes))
            digest.update(item.source.path + b"\0")
    return digest.hexdigest()
