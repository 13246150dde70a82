"""Opens a split for reading: names of features, size of crops, records, arrays.

Knows: datasets, and every other module of this package. Must not know: any framework, threads.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import chain, starmap
from typing import Any

import numpy as np

from tfrec_cli.crops import Int64s
from tfrec_cli.dataset import discover, records, targets
from tfrec_cli.dataset.discover import NO_COUNT, Split
from tfrec_cli.dataset.records import DRAWN_FIELDS, ImageRecord, Names
from tfrec_cli.errors import DataError, UsageError
from tfrec_cli.reading import selection
from tfrec_cli.reading.batch import Batch, BatchBuilder
from tfrec_cli.reading.fetch import Records, Selected, open_records
from tfrec_cli.reading.fields import SEED, FeatureReader, Field, Layout, Values, layout
from tfrec_cli.reading.mixture import Mixture, shares
from tfrec_cli.reading.options import ReadOptions
from tfrec_cli.reading.order import ChunkOrder, Drawn
from tfrec_cli.runtime import values
from tfrec_cli.runtime.paths import printable

_TOLD = {"mix", "split", "crop", "seed", "epoch", "epochs", "batch_size", "parallel"}
"""Options that the description of a dataset tells otherwise, or that change nothing."""

CHUNK = 64
"""Records fetched at once if there is no batch size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSplit:
    """The records of a split, read by number as arrays.

    Can be pickled if its shards are not compressed.

    Attributes:
        place: the file or folder that is read, and the name of the split if it is known.
        layout: how fields of a record are put together.
        parts: the splits that are read, and which records of each; None for all.
        mixture: how several datasets are mixed; None for one.
    """

    place: str
    options: ReadOptions
    records: Records
    builder: BatchBuilder
    layout: Layout
    parts: Sequence[tuple[Split, selection.Part | None]]
    mixture: Mixture | None
    _passes: list[Values] = field(default_factory=list, repr=False, compare=False)

    def targets(self) -> Values:
        """Return the labels of all records, see `labelled.Labelled.targets`."""
        label = self.layout.label
        if label is None:
            raise AttributeError(f"{self.place}: there are no labels")
        mapped = [self._mapped(split, label) for split, _ in self.parts]
        if any(labels is None for labels in mapped):
            if not self._passes:
                self._passes.extend([_read_labels(split, label) for split, _ in self.parts])
            mapped = list(self._passes)
        chosen = [
            labels if part is None else labels[_slice(part.numbers(len(labels)))]
            for labels, (_, part) in zip(mapped, self.parts, strict=True)
            if labels is not None
        ]
        if len(chosen) == 1:
            return chosen[0]
        is_list = isinstance(chosen[0], list)
        return list(chain.from_iterable(chosen)) if is_list else np.concatenate(chosen)

    @staticmethod
    def _mapped(split: Split, label: Field) -> Values | None:
        """Return the labels of a split that are in a file of their own."""
        is_told = label.feature == discover.told_names(split)[1] and not label.is_list
        return targets.load(split) if is_told else None

    def described(self, epochs: str) -> str:
        """Say on one line what is read, with all options that are not the default.

        Args:
            epochs: those that are read, in words.
        """
        crop = self.builder.crop
        facts = [
            values.plural(self.records.count, "record"),
            f"crop {crop[0]}x{crop[1]}" if crop else "whole images",
            f"seed {self.options.seed}",
            epochs,
        ]
        facts += [
            f"{field.name} {value}"
            for field in fields(self.options)
            if (value := getattr(self.options, field.name)) != field.default
            and field.name not in _TOLD
        ]
        return f"{self.place}: {', '.join(facts)}"

    @property
    def may_skip(self) -> bool:
        """Whether records may be skipped, so that a chunk may give less than a batch."""
        skips_small = self.options.small == "skip" and self.builder.may_be_small
        return skips_small or self.options.missing == "skip"

    @property
    def draws(self) -> bool:
        """Whether what is read depends on the epoch: order, crops, flips, brightness or seeds."""
        options = self.options
        stored = {split.manifest.crop if split.manifest else None for split, _ in self.parts}
        is_cut = self.builder.crop is not None and stored != {self.builder.crop}
        yields_seeds = any(not one.feature for one in self.layout.fields)
        changes = bool(options.shuffle) or options.flip or options.brightness > 0
        return changes or yields_seeds or (is_cut and options.crop_mode != "center")

    def fetch(self, numbers: Int64s) -> list[memoryview]:
        """Read the payloads of records; see `fetch.Records`."""
        return self.records.fetch(numbers, self.builder.buffers)

    def read(self, drawn: Drawn) -> Batch:
        """Read records and build their batch; see `batch.BatchBuilder.build`."""
        for numbers in drawn.ahead:
            self.records.read_ahead(numbers)
        return self.build(self.fetch(drawn.numbers), drawn)

    def build(self, payloads: Sequence[memoryview], drawn: Drawn) -> Batch:
        """Build the batch of records that were fetched."""
        own_numbers = self.records.own_numbers(drawn.numbers)
        return self.builder.build(payloads, own_numbers, drawn.epochs)

    def read_all(self, drawn: Drawn) -> list[Batch]:
        """Read records as one batch, or as one batch each if images may differ in size.

        Raises:
            DataError: a record is damaged, or smaller than the crop.
        """
        size = len(drawn.numbers) if self.builder.crop else 1
        parts = [slice(at, at + size) for at in range(0, len(drawn.numbers), size or 1)]
        return [self.read(Drawn(drawn.numbers[part], drawn.epochs[part])) for part in parts]

    @property
    def drawn_from(self) -> int | Mixture:
        """The records as `order.draw` takes them."""
        return self.mixture or self.records.count

    def order(self, chunk_size: int = CHUNK) -> ChunkOrder:
        """Return the order in which the records are read, in chunks.

        Args:
            chunk_size: records fetched at once if there is no batch size.
        Raises:
            UsageError: ``start`` exceeds the records of all epochs, or there are empty epochs
                without end.
        """
        options = self.options
        batch_size = options.batch_size
        return ChunkOrder(
            self.drawn_from,
            options,
            1 if self.builder.crop is None else batch_size or chunk_size,
            full_only=options.drop_remainder and batch_size is not None and not self.may_skip,
        )

    def length(self, order: ChunkOrder) -> int:
        """Return the number of batches, or of single records.

        Raises:
            TypeError: it is not known, or there is no end.
        """
        if self.options.epochs is None:
            raise TypeError("there is no length: epochs=None has no end")
        if self.may_skip:
            raise TypeError("the length is not known if records may be skipped")
        return order.chunk_count() if self.options.batch_size else order.record_count()

    def steps_per_epoch(self) -> int:
        """Return the number of batches, or of single records, in a complete epoch of this host.

        Raises:
            TypeError: it is not known.
        """
        of_one = replace(self, options=replace(self.options, start=0, epochs=1))
        return of_one.length(of_one.order())


def open_split(
    path: str | os.PathLike[str] | Split | None,
    options: ReadOptions,
    *,
    by_number: bool = False,
    planar: bool = False,
    with_seeds: bool = False,
    changes: bool = False,
) -> OpenSplit:
    """Open a dataset's split, or those that ``options.mix`` names.

    Args:
        path: None if ``options.mix`` is given.
        by_number: the caller reads records by number, so that none can be skipped.
        planar: make batches of [n, channels, height, width].
        with_seeds: add the seed pairs of records after the values of all fields, for `Transform`.
        changes: the caller changes images by a function.
    Raises:
        MissingPathError: nothing is at ``path``.
        UsageError: there are both ``path`` and ``mix``, or none of them, or the datasets of ``mix``
            differ; there is no such split; an image is smaller than the crop; images of different
            sizes cannot be batched; compressed shards cannot be shuffled, nor be read
            ``by_number``; ``small="skip"`` cannot be combined with ``by_number``; all views would
            be the same.
        DataError: the files differ from their manifest.
        RunError: a file cannot be read.
    """
    if by_number:
        options.check_no_skip()
    if (path is None) == (options.mix is None):
        found = "neither `path` nor `mix`" if path is None else "`path` too"
        raise UsageError(f"`mix`: found {found}, expected one of the two")
    paths = [mixed for mixed, _ in options.mixed] if path is None else [path]
    members = [_parts(one, options) for one in paths]
    parts = [part for member in members for part in member]
    splits = [split for split, _ in parts]
    names, first, layout = _contract(splits, options)
    crop = options.crop_size or (splits[0].manifest.crop if splits[0].manifest else None)
    if crop is None and options.batch_size is not None:
        raise UsageError(
            f"`crop`: found None with batch_size={options.batch_size}: images may differ in size, "
            "expected crop=(height, width)" + ", or batch_size=None" * (not by_number)
        )
    if options.views > 1 and not changes:
        _check_views_differ(splits, options)
    ways = "'pad'" + f", or 'skip', {NO_COUNT}" * (not by_number)
    random_access_for = "random access" if by_number else "shuffle" if options.shuffle else None
    of_members = [_records(member, random_access_for) for member in members]
    asked = [None if isinstance(one, Split) else options.split for one in paths]
    opened = OpenSplit(
        place=" and ".join(
            _place(one[0][0], name) for one, name in zip(members, asked, strict=True)
        ),
        options=options,
        records=_joined(of_members),
        builder=BatchBuilder(
            options=options,
            names=names,
            fields=layout.fields,
            raw=_raw_channels(first),
            crop=crop,
            may_be_small=crop is not None
            and any(_may_be_small(split, crop, options, ways) for split in splits),
            planar=planar,
            with_seeds=with_seeds,
        ),
        layout=layout,
        parts=parts,
        mixture=_mixture(of_members, options) if options.mix else None,
    )
    if options.even and opened.may_skip:
        raise UsageError(
            f"`even`: found {options.even!r}, but records that are skipped leave hosts uneven, "
            "expected small and missing to be 'fail' or 'pad'"
        )
    return opened


def _read_labels(split: Split, label: Field) -> Values:
    """Read the labels of all records of a split in one pass."""
    reader = FeatureReader({label.feature: (label.kind, label.is_list)}, {label.feature})

    def value(number: int, payload: bytes) -> Any:
        try:
            found = reader.read(memoryview(payload)).get(label.feature, ())
        except DataError as error:
            raise DataError(f"{split.folder}: record {number}: {error}") from error
        return bytes(found) if isinstance(found, memoryview) else found  # not all of the payload

    found = list(starmap(value, enumerate(discover.payloads(split))))
    return replace(label, classes=0, words=None).collect(found, range(len(found)))


def _slice(numbers: range) -> slice:
    return slice(numbers.start, numbers.stop)


def _place(split: Split, asked: str | None) -> str:
    is_file = split.manifest is None and len(split.shards) == 1
    place = printable(os.fsencode(split.shards[0] if is_file else split.folder))
    return place + (f", split {asked or split.name}" if split.name and not is_file else "")


def _parts(
    path: str | os.PathLike[str] | Split, options: ReadOptions
) -> list[tuple[Split, selection.Part | None]]:
    """Find the splits of which records are read, and which records of each."""
    if isinstance(path, Split):
        return [(path, None)]
    where = values.path("path", path)
    found = [(discover.split(where, part.split), part) for part in selection.parse(options.split)]
    return [(split, None if part.is_whole else part) for split, part in found]


def _records(
    parts: Sequence[tuple[Split, selection.Part | None]], random_access_for: str | None
) -> Records:
    opened = [(open_records(split, random_access_for), part) for split, part in parts]
    if len(opened) == 1 and opened[0][1] is None:
        return opened[0][0]
    ranges = [part.numbers(one.count) if part else range(one.count) for one, part in opened]
    if not any(ranges):
        asked = "+".join(str(part or split) for split, part in parts)
        count = values.plural(sum(one.count for one, _ in opened), "record")
        raise UsageError(f"`split`: found {asked}, which is none of {count}, expected some")
    return Selected([(one, numbers) for (one, _), numbers in zip(opened, ranges, strict=True)])


def _joined(members: Sequence[Records]) -> Records:
    """Return the records of several datasets, one after another."""
    if len(members) == 1:
        return members[0]
    return Selected([(member, range(member.count)) for member in members])


def _mixture(members: Sequence[Records], options: ReadOptions) -> Mixture:
    for member, (path, _) in zip(members, options.mixed, strict=True):
        if not member.count:
            raise UsageError(f"`mix`: found no records in {path}, expected some")
    weights = [weight for _, weight in options.mixed]
    return Mixture(tuple(member.count for member in members), shares(weights))


def _contract(splits: Sequence[Split], options: ReadOptions) -> tuple[Names, ImageRecord, Layout]:
    """Find out what the records of all splits hold, by the first record of each.

    Raises:
        UsageError: it differs, or it is not certain.
    """
    found = []
    for split in splits:
        discover.check_present(split)
        names, features = discover.first_names(
            split, options.image, options.label, skip=options.missing == "skip"
        )
        found.append((names, records.decode(features, names._replace(label=None)), features))
    first = found[0]
    layouts = [
        layout(options, split, names, features)
        for split, (names, _, features) in zip(splits, found, strict=True)
    ]
    crops = [split.manifest.crop if split.manifest else None for split in splits]
    read = [(names.image, names.by_feature(DRAWN_FIELDS)) for names, *_ in found]
    raw = [_raw_channels(record) for _, record, _ in found]
    for number, split in enumerate(splits):
        made = layouts[number]
        for what, is_same in (
            ("class names", made.class_names == layouts[0].class_names),
            ("features", read[number] == read[0] and made == layouts[0]),
            ("images", raw[number] == raw[0]),
            ("crops", options.crop_size or crops[number] == crops[0]),
        ):
            if not is_same:
                here, first_one = (
                    _place(one, None) if options.mix else str(one) for one in (split, splits[0])
                )
                raise UsageError(
                    f"`{'mix' if options.mix else 'split'}`: found other {what} in {here} than in "
                    f"{first_one}, expected the same"
                )
    return first[0], first[1], layouts[0]


def _raw_channels(record: ImageRecord) -> int:
    """Return the number of channels if the image is raw pixels; 0 if it is not."""
    return (record.channels or 3) if record.is_raw else 0


def _check_views_differ(splits: Sequence[Split], options: ReadOptions) -> None:
    """Refuse several views if nothing is drawn for them.

    Raises:
        UsageError: neither a random crop, nor flips, brightness or seed pairs.
    """
    stored = [split.manifest and split.manifest.crop for split in splits]
    is_cut = options.crop_size and any(crop != options.crop_size for crop in stored)
    cuts = bool(is_cut) and options.crop_mode == "random"
    if not (cuts or options.flip or options.brightness or SEED in options.features):
        raise UsageError(
            f"`views`: found {options.views}, which would be the same, expected a random crop, "
            "`flip`, `brightness`, `transform` or features=['seed']"
        )


def _may_be_small(split: Split, crop: tuple[int, int], options: ReadOptions, ways: str) -> bool:
    """Return whether an image may be smaller than the crop, so that each must be checked.

    Args:
        ways: values of ``small`` with which the reader takes such images, for the message.
    Raises:
        UsageError: one is smaller, and ``small`` is ``fail``.
    """
    smallest = split.manifest.smallest if split.manifest else None
    if smallest is None:
        return True
    if crop[0] <= smallest[0] and crop[1] <= smallest[1]:
        return False
    if options.small == "fail":
        raise UsageError(
            f"`crop`: found {crop[0]}x{crop[1]}, but {split.folder} holds images down to "
            f"{values.sides(*smallest)}, "
            f"expected a crop that fits them all, or small={ways}"
        )
    return True
