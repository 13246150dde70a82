"""Several datasets as one: what they must have in common, and the manifest of their records.

Knows: manifests, and the keys of records. Must not know: how records are copied.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfrec_cli.dataset import manifest, records
from tfrec_cli.dataset.manifest import Manifest
from tfrec_cli.dataset.records import Column, smallest_of
from tfrec_cli.errors import DataError
from tfrec_cli.resharding.new_split import Chosen, Source
from tfrec_cli.resharding.runs import Numbers, read_pieces
from tfrec_cli.runtime.paths import printable
from tfrec_cli.tfrecord.example import SingleValues
from tfrec_cli.writing import split
from tfrec_cli.writing.options import LATER, default_of

_ANY = frozenset(
    {"check", "compression", "crop", "encoding", "index", "keys", "labels", "limit", "max_errors"}
    | {"label_column", "max_pixels", "on_error", "path_column", "shard_size", "shards"}
    | {"shuffle_seed", "split", "split_column", "suffix", "where"}
)
"""Options on which no record depends, or that are fields of manifests; all others must be equal."""


def unite(datasets: Sequence[Sequence[Source]]) -> dict[str, list[Source]]:
    """Group the splits of some datasets by name, in order; all get the class names of all.

    Raises:
        DataError: they contradict each other: names the first difference.
    """
    sources = [source for dataset in datasets for source in dataset]
    first, *others = sources
    for other in others:
        _check_contract(first, other)
    longest = max(sources, key=lambda source: len(source.manifest.labels or ()))
    for other in sources:
        _check_labels(longest, other)
    grouped: dict[str, list[Source]] = {}
    for source in sources:
        name = source.manifest.split
        if name not in grouped and (twin := split.twin(name, grouped)):
            raise DataError(
                f"{source.split.folder}: found split {name!r}, expected another name than "
                f"{twin!r} in {grouped[twin][0].split.folder}: they differ only in case"
            )
        labelled = replace(source.manifest, labels=longest.manifest.labels)
        grouped.setdefault(name, []).append(replace(source, manifest=labelled))
    for group in grouped.values():
        for other in group[1:]:
            _check_options(group[0], other)
    return dict(sorted(grouped.items()))


def described(manifests: Sequence[Manifest]) -> Manifest:
    """Return the manifest of all records of some splits, apart from shards and digests."""
    first = manifests[0]
    if len(manifests) == 1:
        return first

    def total(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
        return dict(sorted(sum(map(Counter, counts), Counter[str]()).items()))

    return replace(
        first,
        division=None,
        records=sum(one.records for one in manifests),
        smallest=smallest_of(one.smallest for one in manifests),
        columns=tuple(_columns([one.columns for one in manifests])),
        changes=total([one.changes for one in manifests]),
        icc_profiles=sum(one.icc_profiles for one in manifests),
        rejects=total([one.rejects for one in manifests]),
        ignored=total([one.ignored for one in manifests]),
        options=_options([one.options for one in manifests], first.split),
        versions=_versions([one.versions for one in manifests]),
    )


def check_names(chosen: Chosen, sources: Sequence[Source]) -> None:
    """Refuse two images of one name in a split: they would have one key, and the same crops.

    Raises:
        DataError: there are some.
    """
    keys = np.concatenate([np.empty(0, np.int64), *chosen.noted("key")])
    found, counts = np.unique(keys, return_counts=True)
    if not (twice := found[counts > 1]).size:
        return
    pair = np.flatnonzero(keys == twice[0]).tolist()[:2]
    folders = [entry.split.folder for entry in sources for _ in entry.manifest.shards]
    ends = list(accumulate(chosen.counts))
    files = [int(np.searchsorted(ends, place, "right")) for place in pair]
    name = _name_of(chosen, files[1], pair[1] - ends[files[1]], sources[0].manifest)
    more = f" (and {len(twice) - 1} more)" if len(twice) > 1 else ""
    raise DataError(
        f"{folders[files[1]]}: split {sources[0].manifest.split!r}: found {name}{more}, which is "
        f"in {folders[files[0]]} too, expected each name once: rename the images, or write them "
        "by an image list with longer paths (--root)"
    )


class Keys(NamedTuple):
    """The keys of the images of one split that came from one dataset, sorted."""

    split: str
    folder: Path
    keys: Numbers


def keys_of(chosen: Chosen, sources: Sequence[Source]) -> Iterator[Keys]:
    """Iterate the keys of a new split by the dataset that they came from."""
    noted = iter(chosen.noted("key"))
    for source in sources:
        files = [next(noted) for _ in source.manifest.shards]
        keys = np.unique(np.concatenate(files))
        yield Keys(source.manifest.split, source.split.folder, keys)


def shared(parts: Sequence[Keys]) -> Iterator[str]:
    """Iterate warnings: images of two datasets that have one name, in two splits."""
    for number, one in enumerate(parts):
        for other in parts[number + 1 :]:
            if one.split == other.split or one.folder == other.folder:
                continue
            if count := len(np.intersect1d(one.keys, other.keys, assume_unique=True)):
                what = "image has its name" if count == 1 else "images have their names"
                yield (
                    f"{count} {what} in two splits, {one.split} ({_shown(one.folder)}) and "
                    f"{other.split} ({_shown(other.folder)}): if the pixels are the same too, "
                    "what is trained on is tested"
                )


def _check_contract(first: Source, other: Source) -> None:
    """Refuse two splits that cannot be read as one dataset."""
    expected, found = (manifest.contract(one.manifest) for one in (first, other))
    for name, value in expected.items():
        if found[name] != value:
            raise _different(first, other, name, found[name], value)


def _check_options(first: Source, other: Source) -> None:
    """Refuse two splits whose records were made in different ways."""
    defaults = {name: default_of(name) for name in LATER}
    expected, found = ({**defaults, **one.manifest.options} for one in (first, other))
    free = set(_ANY)
    if first.manifest.stored != "jpeg":
        free.add("jpeg_quality")
    if first.manifest.crop is None:
        free.add("small")
    for name in sorted({*expected, *found} - free):
        if expected.get(name) != found.get(name):
            raise _different(first, other, name, found.get(name), expected.get(name))


def _check_labels(longest: Source, other: Source) -> None:
    """Refuse class names that are not the first ones of the longest list: numbers would differ."""
    expected, found = longest.manifest.labels, other.manifest.labels
    if expected is None or found is None:
        if expected is not found:
            raise DataError(
                f"{_where(other)}: found no labels, expected {len(expected or ())} classes as in "
                f"{_where(longest)}"
            )
        return
    for number, (name, right) in enumerate(zip(found, expected, strict=False)):
        if name != right:
            name, right = (printable(os.fsencode(word)) for word in (name, right))
            raise DataError(
                f"{_where(other)}: found class {number} {name!r}, expected {right!r} as in "
                f"{_where(longest)}: write both with one list of all classes (--labels FILE)"
            )


def _different(first: Source, other: Source, what: str, found: Any, expected: Any) -> DataError:
    return DataError(
        f"{_where(other)}: found {what} {_spelled(found)}, expected {_spelled(expected)} as in "
        f"{_where(first)}"
    )


def _where(source: Source) -> str:
    return f"{source.split.folder}, split {source.manifest.split!r}"


def _shown(path: Path) -> str:
    return printable(os.fsencode(path))


def _spelled(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return "x".join(map(str, value)) or "none"
    return "none" if value in (None, "") else str(value)


def _columns(several: Sequence[Sequence[Column]]) -> Iterator[Column]:
    """Iterate the columns, which are the same everywhere; perhaps not every record has them."""
    for same in zip(*several, strict=True):
        yield replace(same[0], is_everywhere=all(column.is_everywhere for column in same))


def _options(several: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    """Return the options that all have; of the limits of pixels the greatest."""
    first = several[0]
    common = {
        key: value for key, value in first.items() if all(one.get(key) == value for one in several)
    }
    limits = [limit for one in several if isinstance(limit := one.get("max_pixels"), int)]
    if len(limits) == len(several):
        common["max_pixels"] = max(limits)
    return {**common, "split": name}


def _versions(several: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = sorted({name for one in several for name in one})
    found = {name: list(dict.fromkeys(str(one.get(name)) for one in several)) for name in names}
    return {name: " and ".join(versions) for name, versions in found.items()}


def _name_of(chosen: Chosen, file: int, place: int, described: Manifest) -> str:
    """Return the name of an image by its file and its place from the end of the chosen ones."""
    run = chosen.runs[file]
    number = len(run.lengths) + place
    feature = str(records.NAMES[described.keys].filename)
    for piece in read_pieces(run.part(slice(number, number + 1))):
        name = SingleValues({feature: feature}).read(piece.payloads[0]).get(feature)
        if isinstance(name, memoryview):
            return printable(bytes(name))
    return "without a name"
