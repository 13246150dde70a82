"""Which image goes to which split: by its content, class by class, copies together.

Knows: labels, digests, shares. Must not know: files, shards.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from tfrec_cli.dataset.names import SPLIT_NAME
from tfrec_cli.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.int64]

DIGEST_BYTES = 32
"""Of the content of an image."""

_SHARE = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Divided:
    """The images of each split.

    Attributes:
        parts: split name to int64 numbers of its images, ascending.
        copies: (number, number of the first of the same content), for each that is not the first.
    """

    parts: Mapping[str, Numbers]
    copies: tuple[tuple[int, int], ...]


def parse(text: str) -> dict[str, Fraction]:
    """Read ``train``, or ``train=0.9,val=0.1``: names with their shares, which make up 1.

    Raises:
        UsageError: no name, names that differ only in case, no share, or shares of another sum.
    """
    shares: dict[str, Fraction] = {}
    several = "=" in text or "," in text
    for part in text.split(","):
        name, _, share = part.partition("=")
        if not SPLIT_NAME.fullmatch(name):
            raise UsageError(f"`split`: found {name!r}, expected letters, digits, _ and -")
        if name == "all":
            raise UsageError(
                "`split`: found 'all', expected another name: TFDS reads it as every split"
            )
        if several and (not _SHARE.fullmatch(share) or not Fraction(share)):
            raise UsageError(f"`split`: found {part!r}, expected a share such as {name}=0.9")
        if name in shares:
            raise UsageError(f"`split`: found {name!r} twice, expected it once")
        if other := twin(name, shares):
            raise UsageError(
                f"`split`: found {name!r} beside {other!r}, expected names that differ in more "
                "than case"
            )
        shares[name] = Fraction(share) if several else Fraction(1)
    if (total := sum(shares.values())) != 1:
        raise UsageError(f"`split`: found shares of {float(total):g} in all, expected 1")
    return shares


def twin(name: str, others: Iterable[str]) -> str | None:
    """Return the first of other names that differs from this one only in case."""
    return next(
        (other for other in others if other != name and other.lower() == name.lower()), None
    )


def divide(labels: Sequence[int], contents: bytes, shares: Mapping[str, Fraction]) -> Divided:
    """Divide images among splits; the same classes of images give the same, whatever their order.

    The contents of each class, sorted by their digests, are cut into one piece for each split; what
    rounding gives a split too much in one class it gets less in the next. Copies of one content
    count once, in the first of their classes, and stay together. What classes are called and how
    they are numbered is of no importance: they come in the order of their lowest digests.

    Args:
        labels: of the images; those without any have the same.
        contents: digests of the images, one after the other, `DIGEST_BYTES` each.
        shares: of the splits, which make up 1.
    """
    import numpy as np

    digests = np.frombuffer(contents, f"S{DIGEST_BYTES}")
    unique, firsts, groups = np.unique(digests, return_index=True, return_inverse=True)
    classes = np.full(len(unique), len(digests))
    np.minimum.at(classes, groups, _ranks(np.asarray(labels, np.int64), groups))
    split_of = np.empty(len(unique), np.int64)
    owed = [Fraction(0)] * len(shares)
    for rank in np.unique(classes):
        mine = np.flatnonzero(classes == rank)  # sorted by digest, as `unique` is
        counts = _counts(len(mine), list(shares.values()), owed)
        split_of[mine] = np.repeat(np.arange(len(shares)), counts)
        owed = [
            debt + share * len(mine) - count
            for debt, share, count in zip(owed, shares.values(), counts, strict=True)
        ]
    chosen = split_of[groups]
    copies = np.flatnonzero(firsts[groups] != np.arange(len(groups))).tolist()
    return Divided(
        parts={name: np.flatnonzero(chosen == number) for number, name in enumerate(shares)},
        copies=tuple((copy, int(firsts[groups[copy]])) for copy in copies),
    )


def _ranks(labels: Numbers, groups: Numbers) -> Numbers:
    """Return for each image where its class comes among the classes, sorted by their contents."""
    import numpy as np

    names, mine = np.unique(labels, return_inverse=True)
    held = [
        np.unique(groups[mine == number]).astype(">i8").tobytes() for number in range(len(names))
    ]
    order = sorted(range(len(names)), key=held.__getitem__)
    ranks = np.empty(len(names), np.int64)
    ranks[order] = np.arange(len(names))
    ranks_of_images: Numbers = ranks[mine]
    return ranks_of_images


def _counts(total: int, shares: Sequence[Fraction], owed: Sequence[Fraction]) -> list[int]:
    """Share out ``total`` images, each to the split that lacks most of its due.

    Small classes may have left two splits so much that the last image is due to both: then one of
    them gives it back.
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
