"""Divides images among splits: by content or by group, class by class; copies stay together.

Knows: labels, digests, shares. Must not know: files, shards.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import TYPE_CHECKING

from tfrec_cli.dataset.division import FOLDERS, decimal
from tfrec_cli.dataset.names import SPLIT_NAME
from tfrec_cli.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.int64]

DIGEST_BYTES = 32
"""Length of the digest of an image's content."""

_SHARE = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,9})?|\.[0-9]{1,9})%?")
_NAMED = rf"{SPLIT_NAME.pattern}={_SHARE.pattern}"
_EXACT = re.compile(rf"{_NAMED}(?:,{_NAMED})*")
_PART = re.compile(rf"(?:([A-Za-z_][A-Za-z0-9_-]*)(?:\s*[=:]\s*|\s+))?({_SHARE.pattern})")
_LOOSE = re.compile(rf"{_PART.pattern}(?:[\s,;:/|]+{_PART.pattern})*")
"""Shares in the forms of other programs too: ``80/20``, ``train:80``."""

_USUAL_NAMES = ("train", "val", "test")
_EXAMPLE = "train=80,val=20"
_BILLION = 10**9
"""Shares are recorded with up to nine decimals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Divided:
    """The images of each split.

    Attributes:
        parts: split name to int64 numbers of its images, ascending.
        copies: (number of the copy, number of the first image with the same content), for each.
        joined: pairs of numbers of images in two groups that are kept together, because both have
            copies of one image.
    """

    parts: Mapping[str, Numbers]
    copies: tuple[tuple[int, int], ...]
    joined: tuple[tuple[int, int], ...] = ()


def parse(text: str) -> dict[str, Fraction]:
    """Parse ``train``, ``train=0.9,val=0.1``, or ``train=90,val=10`` in percent.

    Returns:
        The share of each split; their sum is 1.
    Raises:
        UsageError: a name or share is invalid, two names are equal or differ only in case, or the
            sum is neither 1 nor 100.
    """
    shares: dict[str, Fraction] = {}
    _check_form(text)
    several = "=" in text or "," in text
    percents = 0
    for part in text.split(","):
        name, _, share = part.partition("=")
        _check_name(name, "`split`")
        if several and (not _SHARE.fullmatch(share) or not Fraction(share.rstrip("%"))):
            raise UsageError(f"`split`: found {part!r}, expected a share such as {name}=0.9")
        if name in shares:
            raise UsageError(f"`split`: found {name!r} twice, expected it once")
        _check_twin(name, shares, "`split`")
        percents += share.endswith("%")
        shares[name] = Fraction(share.rstrip("%")) if several else Fraction(1)
    return _of_one(shares, percents)


def _check_form(text: str) -> None:
    """Refuse shares in another form, and a word that is almost ``folders``."""
    if text != FOLDERS and text.lower() in (FOLDERS, FOLDERS.removesuffix("s")):
        raise UsageError(
            f"`split`: found {text!r}, expected another name, or `split` {FOLDERS}: each folder is "
            "a split"
        )
    if _LOOSE.fullmatch(text) and not (SPLIT_NAME.fullmatch(text) or _EXACT.fullmatch(text)):
        raise UsageError(
            f"`split`: found {text!r}, expected names with shares: `split` {_right_form(text)}"
        )


def _right_form(text: str) -> str:
    """Return what `parse` takes, with the shares of a text in another form if it has enough."""
    names, shares = zip(*_PART.findall(text), strict=True)
    if not any(names):
        names = _USUAL_NAMES[: len(shares)]
    total = sum(Fraction(share.rstrip("%")) for share in shares)
    if not all(names) or not 1 < len(names) == len(shares) == len(set(names)):
        return _EXAMPLE
    if total not in (1, 100):
        return _EXAMPLE
    return ",".join(f"{name}={share}" for name, share in zip(names, shares, strict=True))


def of_names(names: Iterable[str], option: str) -> dict[str, Fraction]:
    """Return splits with the names of folders or values; each has all images of its name.

    Args:
        option: the option that makes them splits; messages begin with it.
    Raises:
        UsageError: a name is invalid, or two names differ only in case.
    """
    splits: dict[str, Fraction] = {}
    for name in names:
        _check_name(name, option)
        _check_twin(name, splits, option)
        splits[name] = Fraction(1)
    return splits


def _check_name(name: str, option: str) -> None:
    if not SPLIT_NAME.fullmatch(name):
        raise UsageError(f"{option}: found {name!r}, expected letters, digits, _ and -")
    if name == "all":
        raise UsageError(
            f"{option}: found 'all', expected another name: TFDS reads it as every split"
        )


def _check_twin(name: str, others: Iterable[str], option: str) -> None:
    if other := twin(name, others):
        raise UsageError(
            f"{option}: found {name!r} and {other!r}, expected names that differ in more than case"
        )


def _of_one(shares: dict[str, Fraction], percents: int) -> dict[str, Fraction]:
    """Return shares as parts of 1; ``percents`` says how many have a percent sign."""
    total = sum(shares.values())
    if percents not in (0, len(shares)):
        raise UsageError("`split`: found shares with and without %, expected one or the other")
    if total == 1 and not percents:
        return shares
    if total != 100:
        expected = "100%" if percents else "1, or 100 for percent"
        raise UsageError(
            f"`split`: found shares that add up to {float(total):g}, expected {expected}"
        )
    shares = {name: share / 100 for name, share in shares.items()}
    if any((share * _BILLION).denominator > 1 for share in shares.values()):
        raise UsageError("`split`: found more decimals, expected at most 7 in percent")
    return shares


def as_fractions(text: str) -> str:
    """Return what `parse` takes with shares as parts of 1: ``train=90,val=10`` as 0.9 and 0.1.

    A text whose shares are such parts is returned as it is.
    """
    shares = parse(text)
    typed = [part.partition("=")[2] for part in text.split(",")]
    recordable = all(share[:1].isdigit() and "%" not in share for share in typed)
    if "=" not in text or (recordable and sum(map(Fraction, typed)) == 1):
        return text
    return ",".join(f"{name}={decimal(share)}" for name, share in shares.items())


def twin(name: str, others: Iterable[str]) -> str | None:
    """Return the first of ``others`` that differs from ``name`` only in case, or None."""
    return next(
        (other for other in others if other != name and other.lower() == name.lower()), None
    )


def divide(
    labels: Sequence[int],
    contents: bytes,
    shares: Mapping[str, Fraction],
    groups: bytes | None = None,
) -> Divided:
    """Divide images among splits; the order of the images makes no difference.

    The contents of each class are sorted by digest and cut into one piece for each split. If
    rounding gives a split too many images of one class, it gets fewer of the next. Copies count
    once, in the first of their classes, and stay together. Names and numbers of classes make no
    difference: classes are sorted by their lowest digests.

    Args:
        labels: label of each image; images without a label have the same number.
        contents: digest of each image, one after the other, `DIGEST_BYTES` each.
        shares: share of each split; the sum is 1.
        groups: digest of each image's group, likewise: then groups are divided instead of contents,
            see `_divide_units`.
    """
    import numpy as np

    digests = np.frombuffer(contents, f"S{DIGEST_BYTES}")
    unique, firsts, same = np.unique(digests, return_index=True, return_inverse=True)
    copies = np.flatnonzero(firsts[same] != np.arange(len(same))).tolist()
    joined: list[tuple[int, int]] = []
    if not groups:
        chosen = _divide_contents(np.asarray(labels, np.int64), same, len(unique), shares)
    else:
        units, joined = _units(np.frombuffer(groups, f"S{DIGEST_BYTES}"), same)
        chosen = _divide_units(np.asarray(labels, np.int64), units, shares)
    return Divided(
        parts={name: np.flatnonzero(chosen == number) for number, name in enumerate(shares)},
        copies=tuple((copy, int(firsts[same[copy]])) for copy in copies),
        joined=tuple(joined),
    )


def _divide_contents(
    labels: Numbers, groups: Numbers, count: int, shares: Mapping[str, Fraction]
) -> Numbers:
    """Return the split of each image, by its content.

    Args:
        groups: number of each image's content, in the order of the digests.
        count: number of different contents.
    """
    import numpy as np

    classes = np.full(count, len(groups))
    np.minimum.at(classes, groups, _ranks(labels, groups))
    split_of = np.empty(count, np.int64)
    owed = [Fraction(0)] * len(shares)
    for rank in np.unique(classes):
        members = np.flatnonzero(classes == rank)  # sorted by digest, as `unique` is
        counts = _counts(len(members), list(shares.values()), owed)
        split_of[members] = np.repeat(np.arange(len(shares)), counts)
        owed = [
            debt + share * len(members) - count
            for debt, share, count in zip(owed, shares.values(), counts, strict=True)
        ]
    chosen: Numbers = split_of[groups]
    return chosen


def _units(
    groups: npt.NDArray[np.bytes_], contents: Numbers
) -> tuple[Numbers, list[tuple[int, int]]]:
    """Join groups that have copies of one image, so that neither are parted.

    Args:
        groups: digest of each image's group.
        contents: number of each image's content.
    Returns:
        For each image the number of its unit, which is one group or several; units are sorted by
        the lowest digest of their groups. And pairs of images that joined two groups.
    """
    import numpy as np

    _, numbers = np.unique(groups, return_inverse=True)
    parents = list(range(int(numbers.max(initial=-1)) + 1))

    def top(number: int) -> int:
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    order = np.lexsort((numbers, contents))
    is_copy = contents[order][1:] == contents[order][:-1]
    is_elsewhere = numbers[order][1:] != numbers[order][:-1]
    joined = []
    for place in np.flatnonzero(is_copy & is_elsewhere).tolist():
        one, other = int(order[place]), int(order[place + 1])
        tops = sorted((top(int(numbers[one])), top(int(numbers[other]))))
        if tops[0] != tops[1]:
            parents[tops[1]] = tops[0]
            joined.append((one, other))
    tops_of_groups = np.array([top(number) for number in range(len(parents))], np.int64)
    _, units = np.unique(tops_of_groups[numbers], return_inverse=True)
    return units, joined


def _divide_units(labels: Numbers, units: Numbers, shares: Mapping[str, Fraction]) -> Numbers:
    """Return the split of each image; the images of a unit are in one split.

    A unit belongs to the class that most of its images have. The units of each class are laid in a
    row by their digests, each as long as it has images, and the row is cut by the shares; a unit
    goes to the split in which its middle lies. What a split gets too much of one class, it gets
    less of the next.
    """
    import numpy as np

    count = int(units.max(initial=-1)) + 1
    pairs, sizes = np.unique(np.stack([units, _ranks(labels, units)]), axis=1, return_counts=True)
    best = np.lexsort((pairs[1], -sizes, pairs[0]))
    classes = pairs[1][best][np.searchsorted(pairs[0], np.arange(count))]
    lengths = np.bincount(units, minlength=count)
    split_of = np.empty(count, np.int64)
    owed = [Fraction(0)] * len(shares)
    for rank in np.unique(classes):
        members = np.flatnonzero(classes == rank)
        total = int(lengths[members].sum())
        due = [debt + share * total for debt, share in zip(owed, shares.values(), strict=True)]
        stretch = total / sum(max(part, Fraction(0)) for part in due)
        ends = accumulate(stretch * max(part, Fraction(0)) for part in due)
        twice_ends = np.array([math.ceil(2 * end) for end in ends], np.int64)
        twice_middles = 2 * np.cumsum(lengths[members]) - lengths[members]
        split_of[members] = np.searchsorted(twice_ends, twice_middles, side="right")
        got = np.bincount(split_of[members], lengths[members], len(shares))
        owed = [part - int(one) for part, one in zip(due, got, strict=True)]
    chosen: Numbers = split_of[units]
    return chosen


def _ranks(labels: Numbers, groups: Numbers) -> Numbers:
    """Return for each image the rank of its class; classes are sorted by their contents.

    Those of the same contents are sorted by how often they have each, never by their numbers.
    """
    import numpy as np

    names, classes = np.unique(labels, return_inverse=True)
    sorted_contents = [np.sort(groups[classes == number]) for number in range(len(names))]
    contents = [
        tuple(one.astype(">i8").tobytes() for one in (np.unique(every), every))
        for every in sorted_contents
    ]
    order = sorted(range(len(names)), key=contents.__getitem__)
    ranks = np.empty(len(names), np.int64)
    ranks[order] = np.arange(len(names))
    ranks_of_images: Numbers = ranks[classes]
    return ranks_of_images


def _counts(total: int, shares: Sequence[Fraction], owed: Sequence[Fraction]) -> list[int]:
    """Return how many of ``total`` images each split gets, so that each is close to its due.

    Small classes may leave two splits so far behind that the last image is due to both: then the
    counts add up to too many, and one of them is reduced.
    """
    due = [debt + share * total for debt, share in zip(owed, shares, strict=True)]
    counts = [max(0, math.floor(part)) for part in due]
    while sum(counts) != total:
        step = 1 if sum(counts) < total else -1
        lacking = [
            step * (part - count) if count + step >= 0 else -math.inf
            for part, count in zip(due, counts, strict=True)
        ]
        counts[max(range(len(due)), key=lacking.__getitem__)] += step
    return counts
