"""Lists sources and reads their headers: each becomes an item to be written, or a reject.

Knows: sources, headers, reasons to reject. Must not know: order, shards, writing.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

from blake3 import blake3

from tfrec_cli.dataset.manifest import Manifest
from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.errors import BadImagesError, DataError, ImageError, UnreadableError, UsageError
from tfrec_cli.imaging import decoder
from tfrec_cli.imaging.header import read_header, read_plain_header
from tfrec_cli.imaging.policy import Policy, check_pixels, scaled_short
from tfrec_cli.runtime import files, heartbeat, pool, values
from tfrec_cli.runtime.files import descriptor_to_read, raise_if_exhausted
from tfrec_cli.runtime.pool import Progress
from tfrec_cli.runtime.row_store import Packed, Pieces
from tfrec_cli.sources import folder, open_source
from tfrec_cli.sources.columns import may_be_labels
from tfrec_cli.sources.header import may_be_split
from tfrec_cli.sources.labels import read_labels
from tfrec_cli.sources.layout import is_split
from tfrec_cli.sources.listing import Listing, Source
from tfrec_cli.sources.listing import pack as pack_source
from tfrec_cli.sources.listing import unpack as unpack_source
from tfrec_cli.writing import split
from tfrec_cli.writing.damaged import Damaged, listed, warnings
from tfrec_cli.writing.options import WriteOptions

MAX_FILE_BYTES = 2**30
"""The largest image file: protocol buffers must be smaller than 2 GiB; images are far smaller."""

BASE_BYTES, BYTES_A_PIXEL = 2**26, 16
"""A larger file is no picture: the limit allows twice 16 bits of red, green, blue and alpha, plus
previews, frames and films. Larger files are sparse, or have other data after the image."""

MOST_NAMED = 1_000
"""With ``on_error="fail"``, a write ends when so many images cannot be used."""

_MOST_LISTED = 10
_SHOWN = 3

TOO_SMALL = "too_small"
"""The reason of an image that is smaller than the crop."""

_SIDES = re.compile(r"found (\d+) wide, (\d+) high")
"""The beginning of `small_message`."""

_SMALL = "`small` skip, pad or resize"

_BATCH_SOURCES = 256

SIZE, LABEL, MTIME, HEIGHT, WIDTH, STAMP = 0, 1, 2, 3, 4, 5
"""Columns of an item's packed integers."""


@dataclass(frozen=True, slots=True)
class Item:
    """One image to be written.

    Attributes:
        height_px, width_px: size of the upright image after scaling, in pixels.
        stamp: stamp of its header, see `header.read_plain_header`; 0 if it has none.
        content: BLAKE3 digest of the file, if `survey` was asked for it; not packed.
    """

    source: Source
    height_px: int
    width_px: int
    stamp: int = field(default=0, compare=False)
    content: bytes = field(default=b"", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """Some sources whose headers one worker reads.

    Attributes:
        digested: read every file to its end and digest it.
        crashed: numbers of sources that killed a worker, with their errors.
    """

    root: Path
    sources: Sequence[Source]
    policy: Policy
    digested: bool
    crashed: Mapping[int, ImageError] = field(default_factory=dict)


def list_sources(
    source: Path, options: WriteOptions, others: Sequence[Manifest], progress: Progress
) -> Listing:
    """List the images of a folder or image list, with the class names of the other splits.

    Args:
        others: the other splits of the dataset.
    Raises:
        UsageError: the file of class names cannot be read.
        UnreadableError: there is none of the files of an image list.
        DataError: there are no files, or the image list is wrong.
    """
    labels: str | Sequence[str] | None = "auto"
    labels_from = f"`labels` {options.labels}"
    rule = options.class_rule
    if options.labels == "none":
        labels = None
    elif options.labels not in ("auto", rule.level):
        labels = read_labels(values.path("labels", options.labels), options.first_label)
    elif others and others[0].labels is not None:
        labels, labels_from = others[0].labels, f"split {others[0].split!r}"
    listing = open_source.list_source(
        source,
        root=options.root,
        labels=labels,
        labels_from=labels_from,
        keys=options.keys,
        columns=others[0].columns if others else (),
        asked=options.asked,
        rule=rule,
        found=lambda count: progress("listing", count, 0),
        skips=options.on_error == "skip",
    )
    if listing.labels is None and options.first_label:
        raise UsageError(f"`first_label`: needs labels, but {source} has none")
    if listing.rejects and not listing.sources and not source.is_dir():
        open_source.check_some_exist(source, options.root, listing, options.asked)
    if not listing.sources and not listing.rejects:
        found = (
            "no files, expected images"
            if source.is_dir()
            else "no row, expected one for each image"
        )
        raise DataError(f"{source}: found {found}")
    warnings = [*listing.warnings, *_mixed(source, listing, options)]
    if names := label_columns(listing, options):
        shown = ", ".join(names[:_SHOWN]) + "…" * (len(names) > _SHOWN)
        warnings.append(
            f"labels: no column has a name known for labels ({shown}): stored without labels "
            "(--label-column NAME, or --labels none)"
        )
    return replace(listing, warnings=tuple(warnings))


def _mixed(source: Path, listing: Listing, options: WriteOptions) -> Iterator[str]:
    """Iterate a warning if an image list has a column of splits that becomes one of values.

    Raises:
        UsageError: images of several splits would be written as one that is named like them.
    """
    columns = [one for one in listing.columns if may_be_split(one.name) and not one.is_list]
    for column in columns if options.split_column is None else ():
        index = listing.columns.index(column)
        found = {json.loads(one.features)[index] for one in listing.sources} - {None}
        names = sorted(map(str, found))
        if names in ([], [options.split]) or not all(map(is_split, names)):
            continue
        shown = ", ".join(names[:_SHOWN]) + "…" * (len(names) > _SHOWN)
        if is_split(options.split):
            raise UsageError(
                f"{source}: found column {column.name!r} of splits ({shown}), expected images of "
                f"split {options.split!r}: `split_column` {shlex.quote(column.name)} makes each a "
                "split; `split` mixed writes one of all"
            )
        yield (
            f"column {column.name!r}: found names of splits ({shown}): stored as an ordinary "
            f"column (--split-column {shlex.quote(column.name)} makes each a split)"
        )


def label_columns(listing: Listing, options: WriteOptions) -> tuple[str, ...]:
    """Return the columns of an image list that may be meant as labels, if it has no labels."""
    if listing.labels is not None or options.labels == "none":
        return ()
    names = may_be_labels(listing.columns)
    others = (options.split_by, options.split_column)
    return tuple(name for name in names if name not in others and not may_be_split(name))


def read_headers(
    root: Path,
    listing: Listing,
    policy: Policy,
    run: pool.Map,
    progress: Progress,
    *,
    digested: bool,
) -> Iterator[Item | Packed[Item] | Reject]:
    """Read the headers of all sources, and remove the sources from the listing to save memory.

    Args:
        digested: read every file to its end and digest it.
    Yields:
        Items, packed unless ``digested``, and rejects, in any order.
    """
    total, done = len(listing.sources), 0

    def batches() -> Iterator[_Batch]:
        while listing.sources:
            sources = listing.sources.pop(_BATCH_SOURCES)
            yield _Batch(root=root, sources=sources, policy=policy, digested=digested)

    for items, rejects in run(_survey_batch, batches(), _without):
        yield from items if digested else [items]
        yield from rejects
        done += len(items) + len(rejects)
        progress("reading headers", done, total)


def _survey_batch(batch: _Batch) -> tuple[Sequence[Item], list[Reject]]:
    surveyed = survey(
        batch.root, batch.sources, batch.policy, batch.crashed, digested=batch.digested
    )
    rejects = [outcome for outcome in surveyed if isinstance(outcome, Reject)]
    items = [outcome for outcome in surveyed if not isinstance(outcome, Reject)]
    return items if batch.digested else packed(items), rejects


def _without(batch: _Batch, number: int, cause: str) -> _Batch:
    return replace(batch, crashed={**batch.crashed, number: decoder.crashed(cause)})


def survey(
    root: Path,
    batch: Sequence[Source],
    policy: Policy,
    crashed: Mapping[int, ImageError] = MappingProxyType({}),
    *,
    digested: bool = False,
) -> list[Item | Reject]:
    """Read the headers of some sources.

    Args:
        crashed: numbers of sources that killed a worker, with their errors.
        digested: read every file to its end and digest it.
    Returns:
        For each source an Item with its size in pixels, or a Reject.
    """
    outcomes: list[Item | Reject] = []
    for number, source in enumerate(batch):
        heartbeat.start_item(number)
        error = crashed.get(number)
        if error:
            outcomes.append(_rejected(source, error))
        else:
            outcomes.append(_survey_one(root, source, policy, digested=digested))
    return outcomes


def check_rejects(
    source: Path,
    parts: Sequence[tuple[Sequence[Reject], int]],
    options: WriteOptions,
    hint: str = "",
    damaged: Mapping[str, Sequence[Damaged]] = MappingProxyType({}),
    *,
    so_far: bool = False,
) -> None:
    """End the write if there are too many rejects, or a split has no record.

    Args:
        parts: the rejects of each split, and how many records it has.
        hint: text to add to the message for a file that cannot be read.
        damaged: for each split the images that it has although their data are damaged; an error
            names them too, so that one run tells all.
        so_far: more images will be checked, so that one run names all rejects, up to `MOST_NAMED`.
    Raises:
        UnreadableError: with ``on_error="fail"``, the only rejects are files that cannot be read.
        BadImagesError: with ``on_error="fail"``, there are other rejects.
        DataError: there are more than ``max_errors``; or a split has no record.
    """
    bad = sorted(
        (
            reject
            for rejects, _ in parts
            for reject in rejects
            if not reject.harmless and not (reject.reason == TOO_SMALL and options.small == "skip")
        ),
        key=lambda reject: reject.path,
    )
    total = sum(records for _, records in parts) + len(bad)
    has_all = all(records for _, records in parts)
    goes_on = so_far and has_all and len(bad) < MOST_NAMED
    if bad and options.on_error == "fail" and not goes_on:
        raise _failure(source, bad, damaged, total, options, hint)
    if bad and options.max_errors is not None:
        limit = options.max_errors
        share = limit.endswith("%")
        allowed = total * float(limit[:-1]) / 100 if share else float(limit)
        if len(bad) > allowed:
            found = f"found {len(bad)} of {total} images rejected"
            if so_far:
                found = f"stopped after rejecting {len(bad)} of {total} images (there may be more)"
            raise DataError(
                f"{source}: {found}, expected at most {limit} (`max_errors`); the first: {bad[0]}",
                _details(bad, damaged),
                first=warnings(damaged),
            )
    if not has_all:
        found = f"{source}: found no image that can be used, expected at least one"
        raise DataError(found + _links(bad))


def _details(bad: Sequence[Reject], damaged: Mapping[str, Sequence[Damaged]]) -> list[str]:
    return [*map(str, bad), *(line for some in damaged.values() for line in listed(some))]


def _failure(
    source: Path,
    bad: Sequence[Reject],
    damaged: Mapping[str, Sequence[Damaged]],
    total: int,
    options: WriteOptions,
    hint: str,
) -> BadImagesError:
    """Make the error that names all images that cannot be used, and says what to do."""
    unreadable = all(reject.reason == "unreadable" for reject in bad)
    kind, hint = (UnreadableError, hint) if unreadable else (BadImagesError, "")
    todo = f"`on_error` skip leaves {'it' if len(bad) == 1 else 'them'} out"
    if all(reject.reason == TOO_SMALL for reject in bad):
        todo = _SMALL
    hint += _links(bad)
    if len(bad) == 1:
        message = f"{source}/{bad[0]}{hint}; {todo}"
        return kind(message, _details(bad, damaged), first=warnings(damaged))
    reasons = Counter(reject.reason for reject in bad)
    counted = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    least = "at least " if len(bad) >= MOST_NAMED else ""
    noun = "images and links" if reasons[folder.LINKED] else "images"
    found = f"{least}{len(bad)} of {total} {noun} cannot be used: {counted}"
    message = f"{source}: {found}{hint}; {todo}"
    first = [*_first(bad, total, options.crop), *warnings(damaged)]
    return kind(message, _details(bad, damaged), first=first)


def _links(bad: Sequence[Reject]) -> str:
    """Return what to do with links to folders, if any are among the rejects."""
    is_linked = any(reject.reason == folder.LINKED for reject in bad)
    return f"; {folder.LINKS}" if is_linked else ""


def _first(bad: Sequence[Reject], total: int, crop: tuple[int, int] | None) -> list[str]:
    """Return a line for each of the first rejects, and one for all that are too small."""
    small = [_SIDES.match(reject.message) for reject in bad if reject.reason == TOO_SMALL]
    others = [reject for reject in bad if reject.reason != TOO_SMALL]
    lines = list(map(str, others[:_MOST_LISTED]))
    if len(others) > _MOST_LISTED:
        lines.append(f"and {len(others) - _MOST_LISTED} more: -v names all")
    if small and crop:
        sizes = [(int(found[1]), int(found[2])) for found in small if found]
        width_px, height_px = (min(column) for column in zip(*sizes, strict=True))
        verb = "is" if len(small) == 1 else "are"
        least = f"least {values.sides(height_px, width_px)}; -v names them"
        todo = f": {_SMALL}" if others else ""  # otherwise the message says it
        lines.append(
            f"{len(small)} of {total} {verb} smaller than {'x'.join(map(str, dict.fromkeys(crop)))}"
            f" ({least}){todo}"
        )
    return lines


def small_message(size: tuple[int, int], crop: tuple[int, int]) -> str:
    """Return the message about an image that is too small; both are (height, width)."""
    return f"found {values.sides(*size)}, expected at least {values.sides(*crop)}"


def packed(items: Iterable[Item] = ()) -> Packed[Item]:
    """Pack items."""
    return Packed(_pack, _unpack, items)


def too_large(size_bytes: int, most_bytes: int = MAX_FILE_BYTES) -> ImageError:
    """Make the error for a file that is too large to be read."""
    return ImageError("too_large", f"found {size_bytes} bytes, expected at most {most_bytes}")


def _check_size(size_bytes: int, pixels: int | None = None) -> None:
    """Refuse a file that is empty or too large; the limit depends on ``pixels`` if given."""
    if not size_bytes:  # files in /proc have size 0, and some never end
        raise ImageError("empty", "found an empty file, expected an image")
    most_bytes = MAX_FILE_BYTES
    if pixels is not None:
        most_bytes = min(most_bytes, BASE_BYTES + BYTES_A_PIXEL * pixels)
    if size_bytes > most_bytes:
        raise too_large(size_bytes, most_bytes)


def _survey_one(root: Path, source: Source, policy: Policy, *, digested: bool) -> Item | Reject:
    path = os.path.join(os.fsencode(root), source.path)
    stamp, content = 0, b""
    try:
        _check_size(source.size_bytes)
        with descriptor_to_read(path) as descriptor:
            if plain := read_plain_header(descriptor, policy):
                header, stamp = plain
            if plain is None or digested:
                with open(descriptor, "rb", closefd=False) as file:
                    file.seek(0)
                    header = read_header(file, policy)
                    content = _digest_of(file) if digested else b""
            _check_size(source.size_bytes, header.height_px * header.width_px)
        size = (header.height_px, header.width_px)
        if policy.resize_short_px:
            size = scaled_short(*size, policy.resize_short_px)
            check_pixels(*size, policy.max_pixels)
    except OSError as error:
        raise_if_exhausted(error)
        return Reject(source.path, "unreadable", f"cannot be read: {error.strerror or error}")
    except ImageError as error:
        return _rejected(source, error)
    return Item(source, *size, stamp, content)


def _digest_of(file: BinaryIO) -> bytes:
    """Digest a file's content up to the size limit of images."""
    digest = blake3()
    file.seek(0)
    read = 0
    while read <= MAX_FILE_BYTES and (chunk := file.read(files.CHUNK_BYTES)):
        digest.update(chunk)
        read += len(chunk)
    return digest.digest(split.DIGEST_BYTES)


def _rejected(source: Source, error: ImageError) -> Reject:
    return Reject(source.path, error.reason, str(error))


def _pack(item: Item) -> Pieces:
    path, numbers, *notes = pack_source(item.source)
    numbers = (*numbers, item.height_px, item.width_px, item.stamp)
    return (path, numbers, notes[0]) if notes else (path, numbers)


def _unpack(
    path: bytes,
    size_bytes: int,
    label: int,
    mtime_ns: int,
    height_px: int,
    width_px: int,
    stamp: int,
    *features: bytes,
) -> Item:
    source = unpack_source(path, size_bytes, label, mtime_ns, *features)
    return Item(source, height_px, width_px, stamp)
