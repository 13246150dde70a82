"""Divides the images of one source among splits, by content, group or folder, and plans each.

Knows: sources, labels, digests. Must not know: how shares are cut, shards.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from blake3 import blake3

from tfrec_cli.dataset.division import Division, by_names, by_shares
from tfrec_cli.dataset.records import Column
from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.errors import UsageError
from tfrec_cli.runtime.paths import printable
from tfrec_cli.runtime.row_store import Packed
from tfrec_cli.sources import open_source
from tfrec_cli.sources.columns import reader_of
from tfrec_cli.sources.folder import splits_in
from tfrec_cli.sources.listing import Listing, Source
from tfrec_cli.writing import plan, split
from tfrec_cli.writing.options import WriteOptions
from tfrec_cli.writing.plan import Plan
from tfrec_cli.writing.survey import LABEL, Item, packed

_SHOWN = 3


def splits_of(source: Path, options: WriteOptions) -> tuple[dict[str, Fraction], Division | None]:
    """Return the splits that are written from a source, with their shares, and the division.

    Raises:
        UsageError: shares or names are invalid, or the source has no folders that can be splits.
    """
    if options.split_column is not None:
        values = open_source.splits_in(source, options.root, options.keys, options.asked)
        splits = split.of_names(values, f"`split_column` {options.split_column}")
        return splits, by_names(splits, "column")
    if not options.is_by_folder:
        shares = split.parse(options.split)
        return shares, by_shares(shares, grouped=options.split_by is not None)
    if not source.is_dir():
        raise UsageError(
            f"`split` folders: needs a folder of images, but {source} is an image list: "
            "`split_column` NAME makes each value of a column a split"
        )
    splits = split.of_names(splits_in(source), "`split` folders")
    return splits, by_names(splits, "folders")


def plan_splits(
    listing: Listing,
    surveyed: Iterable[Item | Packed[Item] | Reject],
    shares: Mapping[str, Fraction],
    options: WriteOptions,
) -> dict[str, tuple[Listing, Plan]]:
    """Make the plan of each split.

    Args:
        surveyed: the items and rejects that `read_headers` yields; with digests if shares are
            divided.
        shares: share of each split; the sum is 1, unless the source names the splits.
    Returns:
        For each split its plan, and the listing with its rejects and warnings.
    Raises:
        UsageError: as for `divide` and `plan.make`.
    """
    if options.is_named_in_source:
        return by_name(listing, surveyed, list(shares), options)
    if len(shares) == 1:
        return {name: (listing, plan.make(listing, surveyed, options)) for name in shares}
    divided = divide(listing, surveyed, shares, options)
    return {
        name: (part, plan.make(part, [items], options)) for name, (part, items) in divided.items()
    }


def by_name(
    listing: Listing,
    surveyed: Iterable[Item | Packed[Item] | Reject],
    names: Sequence[str],
    options: WriteOptions,
) -> dict[str, tuple[Listing, Plan]]:
    """Make the plan of each split from the images in the folder, or with the value, of its name.

    The first split gets the rejects that are in no such folder, and all warnings.

    Args:
        surveyed: items and rejects, in any order.
    Raises:
        UsageError: as for `plan.make`; or a value is no name of a split.
    """
    numbers = {name: number for number, name in enumerate(names)}
    items = [packed() for _ in names]
    rejects: list[list[Reject]] = [[] for _ in names]
    split_of = splitting(listing.columns, options)
    assert split_of

    def number_of(source: Source) -> int:
        if (name := split_of(source)) in numbers:
            return numbers[name]
        if options.is_by_folder:
            return 0
        raise UsageError(
            f"`split_column`: found {name!r} in column {options.split_column!r}, expected one of "
            f"{', '.join(names)}"
        )

    def add(reject: Reject) -> None:
        number = number_of(Source(reject.path, 0, None)) if options.is_by_folder else 0
        rejects[number].append(reject)

    for entry in surveyed:
        if isinstance(entry, Reject):
            add(entry)
        elif isinstance(entry, Packed):
            held = list(map(number_of, _sources(entry, options)))
            for number in set(held):
                items[number].extend(entry.take(i for i, one in enumerate(held) if one == number))
        else:
            items[number_of(entry.source)].append(entry)
    for reject in listing.rejects:
        add(reject)
    warnings = [*listing.warnings, *_lacking(names, items, listing.labels or ())]
    plans = {}
    for number, name in enumerate(names):
        part = replace(listing, rejects=tuple(rejects[number]), warnings=())
        plans[name] = part, plan.make(part, [items[number]], options)
    first, planned = plans[names[0]]
    return {**plans, names[0]: (replace(first, warnings=tuple(warnings)), planned)}


def _sources(items: Packed[Item], options: WriteOptions) -> Iterator[Source]:
    """Iterate the sources of items; if folders are splits, with their paths only."""
    if options.is_by_folder:
        return (Source(path, 0, None) for path in items.paths())
    return (item.source for item in items)


def _lacking(
    names: Sequence[str], items: Sequence[Packed[Item]], labels: Sequence[str]
) -> Iterator[str]:
    """Iterate a warning for each split that lacks classes which another split has."""
    used = [set(part.column(LABEL)) for part in items]
    for name, own in zip(names, used, strict=True):
        yield from lacking(name, set().union(*used) - own, labels)


def lacking(name: str, numbers: Collection[int], labels: Sequence[str]) -> Iterator[str]:
    """Iterate a warning if a split lacks the classes with some numbers."""
    if labels and numbers:
        shown = ", ".join(labels[number] for number in sorted(numbers)[:_SHOWN])
        dots = "…" * (len(numbers) > _SHOWN)
        plural = "class" if len(numbers) == 1 else f"{len(numbers)} classes:"
        yield f"split {name}: found no image of {plural} {shown}{dots}"


def divide(
    listing: Listing,
    surveyed: Iterable[Item | Packed[Item] | Reject],
    shares: Mapping[str, Fraction],
    options: WriteOptions,
) -> dict[str, tuple[Listing, Packed[Item]]]:
    """Divide surveyed images among splits by their contents.

    The first split gets all rejects, including images too small for the crop, and all warnings.

    Args:
        surveyed: items with digests of their contents, and rejects, in any order.
        shares: share of each split; the sum is 1.
    Returns:
        For each split the listing and the items that `plan.make` takes.
    Raises:
        UsageError: a split gets no image.
    """
    items = packed()
    contents = bytearray()
    groups: list[bytes] = []
    group_of = grouping(listing.columns, options)
    rejects = list(listing.rejects)
    for entry in surveyed:
        if isinstance(entry, Reject):
            rejects.append(entry)
            continue
        assert not isinstance(entry, Packed)  # packed items have no digests
        if plan.fits(entry.height_px, entry.width_px, options):
            items.append(entry)
            contents += entry.content
            if group_of:
                groups.append(group_of(entry.source))
        else:
            rejects.append(plan.too_small(entry, options.crop or (0, 0)))
    labels = items.column(LABEL)
    digests = b"".join(blake3(group).digest(split.DIGEST_BYTES) for group in groups)
    division = split.divide(labels, bytes(contents), shares, digests if group_of else None)
    parts: dict[str, tuple[Listing, Packed[Item]]] = {}
    for name, numbers in division.parts.items():
        if items and not len(numbers):
            of_groups = f" of {len(set(groups))} groups" if group_of else ""
            raise UsageError(
                f"`split` {name}={float(shares[name]):g}: found no image for this split among "
                f"{len(items)}{of_groups}, expected at least one"
            )
        held = {groups[number] for number in numbers} if group_of else ()
        part = replace(listing, rejects=(), warnings=(), groups=len(held) or None)
        parts[name] = part, items.take(numbers.tolist())
    warnings = [*listing.warnings, *_copies(items, division.copies)]
    if division.joined:
        first = " and ".join(groups[number].decode() for number in division.joined[0])
        warnings.append(
            f"column {options.split_by!r}: found copies of one image in several groups "
            f"({first}…): these groups are kept together"
        )
    for number, label in enumerate(listing.labels or ()):
        without = [name for name, (_, held) in parts.items() if number not in held.column(LABEL)]
        if number in labels and without:
            warnings.append(f"class {label}: found too few images for split {', '.join(without)}")
    first = next(iter(parts))
    first_listing = replace(parts[first][0], rejects=tuple(rejects), warnings=tuple(warnings))
    return {**parts, first: (first_listing, parts[first][1])}


def grouping(columns: Sequence[Column], options: WriteOptions) -> Callable[[Source], bytes] | None:
    """Return a function that gives the group of a source as text; None without ``split_by``.

    Args:
        columns: the columns of values of the image list.
    Raises:
        UsageError: there is no such column, or it does not have one value in every row.
    """
    if options.split_by is None:
        return None
    value_of = reader_of(columns, options.split_by, options.keys, "split_by")
    return lambda source: value_of(source.features).encode()


def splitting(columns: Sequence[Column], options: WriteOptions) -> Callable[[Source], str] | None:
    """Return a function that gives the split that the source names for an image; None if it cannot.

    Raises:
        UsageError: as for `grouping`.
    """
    if options.is_by_folder:
        return lambda source: os.fsdecode(source.path.partition(b"/")[0])
    if options.split_column is None:
        return None
    value_of = reader_of(columns, options.split_column, options.keys, "split_column")
    return lambda source: value_of(source.features)


def _copies(items: Packed[Item], copies: Sequence[tuple[int, int]]) -> Iterator[str]:
    """Iterate warnings: how many images are copies, and how many of those have another label."""
    labels = items.column(LABEL)
    contradicting = [pair for pair in copies if labels[pair[0]] != labels[pair[1]]]
    if copies:
        found, each = f"{len(copies):,} copies of other images", "each is in the split"
        if len(copies) == 1:
            found, each = "1 copy of another image", "it is in the split"
        yield f"found {found} ({_example(items, copies)}): {each} of its original"
    if contradicting:
        have = "copy has" if len(contradicting) == 1 else "copies have"
        yield (
            f"{len(contradicting):,} {have} another label than the original: "
            f"{_example(items, contradicting)}"
        )


def _example(items: Packed[Item], pairs: Sequence[tuple[int, int]]) -> str:
    """Name the first of some copies, and its original."""
    original, copy = map(printable, min(sorted(map(items.path, pair)) for pair in pairs))
    return f"{copy} is a copy of {original}" + "…" * (len(pairs) > 1)
