"""Finds images that are in several splits of a dataset, byte for byte as they are stored.

Knows: the marks of images. Must not know: shards, how images are decoded.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tfrec_cli.checking import rebuild
from tfrec_cli.checking.finding import Finding, Note, file_finding
from tfrec_cli.checking.shard import MARK_BYTES, Checked
from tfrec_cli.checking.splits import Subject
from tfrec_cli.dataset import records
from tfrec_cli.dataset.manifest import Manifest
from tfrec_cli.runtime import values
from tfrec_cli.runtime.paths import printable


class _Marked(NamedTuple):
    """One split, and the mark of each of its images."""

    described: Manifest
    shards: list[Checked]
    marks: npt.NDArray[np.bytes_]


def check(subject: Subject) -> Iterator[Finding | Note]:
    """Find images that two splits have: a note, unless `write` promised that there are none."""
    marked = [
        _Marked(split.manifest, shards, _marks(shards))
        for number, split in enumerate(subject.splits)
        if split.manifest and (shards := subject.shards_of(number))
    ]
    for pair in combinations(marked, 2):
        few, many = sorted(pair, key=lambda one: len(one.marks))
        are_copies = np.isin(few.marks, many.marks)
        if not are_copies.any():
            continue
        count = int(are_copies.sum())
        found = values.plural(count, "image")
        first = int(are_copies.argmax())
        other = int((many.marks == few.marks[first]).argmax())
        names = _name(few, first), _name(many, other)
        example = names[0] if names[0] == names[1] else f"{names[0]}, there {names[1]}"
        ours, others = few.described.split, many.described.split
        if _are_apart(few.described, many.described):
            expected = f"expected copies in one split by --split {few.described.division}"
            message = f"found {found} of {ours} in {others} too ({example}), {expected}"
            yield file_finding("duplicate", subject.path, message)
        else:
            too = f"{'is' if count == 1 else 'are'} in {others} too, such as {example}"
            yield Note(f"copies in several splits: {found} of {ours} {too}")


def _marks(shards: list[Checked]) -> npt.NDArray[np.bytes_]:
    return np.frombuffer(b"".join(checked.marks for checked in shards), f"S{MARK_BYTES}")


def _name(marked: _Marked, number: int) -> str:
    """Return the name of the image with this number among those that have marks."""
    for checked in marked.shards:
        if number < len(checked.contents):
            key, _ = checked.contents[number]
            named = rebuild.named(checked.task.path, marked.described.keys)
            names = (name for _, name, _ in named if records.key_of(name) == key)
            return printable(next(names, b"?"))
        number -= len(checked.contents)
    raise IndexError(number)


def _are_apart(one: Manifest, other: Manifest) -> bool:
    """Tell whether two files with the same bytes are never in both of two splits.

    Images that were changed may be the same although their files differ.
    """
    division = one.division
    is_divided = division is not None and not division.is_by_folder and division == other.division
    return is_divided and all(
        described.stored == "whole" and not described.changes for described in (one, other)
    )
