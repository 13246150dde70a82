"""Divides images among splits: by content, class by class; copies go to the same split.

Knows: labels, digests, shares. Must not know: files, shards.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from tfrec_cli.dataset.division import decimal
from tfrec_cli.dataset.names import SPLIT_NAME
from tfrec_cli.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.int64]

DIGEST_BYTES = 32
"""Length of the digest of an image's content."""

_SHARE = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,9})?|\.[0-9]{1,9})%?")
_BILLION = 10**9
"""Shares are recorded with up to nine decimals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Divided:
    """The images of each split.

    Attributes:
        parts: split name to int64 numbers of its images, ascending.
        copies: (number of the copy, number of the first image with the same content), for each.
    """

    parts: Mapping[str, Numbers]
    copies: tuple[tuple[int, int], ...]


def parse(text: str) -> dict[str, Fraction]:
    """Parse ``train``, ``train=0.9,val=0.1``, or ``train=90,val=10`` in percent.

    Returns:
        The share of each split; their sum is 1.
    Raises:
        UsageError: a name or share is invalid, two names are equal or differ only in case, or the
            sum is neither 1 nor 100.
    """
    shares: dict[str, Fraction] = {}
    several = "=" in text or "," in text
    percents = 0
    for part in text.split(","):
        name, _, share = part.partition("=")
        if not SPLIT_NAME.fullmatch(name):
            raise UsageError(f"`split`: found {name!r}, expected letters, digits, _ and -")
        if name == "all":
            raise UsageError(
                "`split`: found 'all', expected another name: TFDS reads it as every split"
            )
        if several and (not _SHARE.fullmatch(share) or not Fraction(share.rstrip("%"))):
            raise UsageError(f"`split`: found {part!r}, expected a share such as {name}=0.9")
        if name in shares:
            raise UsageError(f"`split`: found {name!r} twice, expected it once")
        if other := twin(name, shares):
            raise UsageError(
                f"`split`: found {name!r} and {other!r}, expected names that differ in more "
                "than case"
            )
        percents += share.endswith("%")
        shares[name] = Fraction(share.rstrip("%")) if several else Fraction(1)
    return _of_one(shares, percents)


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


def divide(labels: Sequence[int], contents: bytes, shares: Mapping[str, Fraction]) -> Divided:
    """Divide images among splits; the order of the images makes no difference.

    The contents of each class are sorted by digest and cut into one piece for each split. If
    rounding gives a split too many images of one class, it gets fewer of the next. Copies count
    once, in the first of their classes, and stay together. Names and numbers of classes make no
    difference: classes are sorted by their lowest digests.

    Args:
        labels: label of each image; images without a label have the same number.
        contents: digest of each image, one after the other, `DIGEST_BYTES` each.
        shares: share of each split; the sum is 1.
    """
    import numpy as np

    digests = np.frombuffer(contents, f"S{DIGEST_BYTES}")
    unique, firsts, groups = np.unique(digests, return_index=True, return_inverse=True)
    classes = np.full(len(unique), len(digests))
    np.minimum.at(classes, groups, _ranks(np.asarray(labels, np.int64), groups))
    split_of = np.empty(len(unique), np.int64)
    owed = [Fraction(0)] * len(shares)
    for rank in np.unique(classes):
        members = np.flatnonzero(classes == rank)  # sorted by digest, as `unique` is
        counts = _counts(len(members), list(shares.values()), owed)
        split_of[members] = np.repeat(np.arange(len(shares)), counts)
        owed = [
            debt + share * len(members) - count
            for debt, share, count in zip(owed, shares.values(), counts, strict=True)
        ]
    chosen = split_of[groups]
    copies = np.flatnonzero(firsts[groups] != np.arange(len(groups))).tolist()
    return Divided(
        parts={name: np.flatnonzero(chosen == number) for number, name in enumerate(shares)},
        copies=tuple((copy, int(firsts[groups[copy]])) for copy in copies),
    )


def _ranks(labels: Numbers, groups: Numbers) -> Numbers:
    """Return for each image the rank of its class; classes are sorted by their contents."""
    import numpy as np

    names, classes = np.unique(labels, return_inverse=True)
    contents = [
        np.unique(groups[classes == number]).astype(">i8").tobytes() for number in range(len(names))
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
