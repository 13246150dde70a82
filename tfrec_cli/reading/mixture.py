"""Mixtures: which of several datasets each position reads, in proportion to their weights.

Knows: numbers of records. Must not know: what is in a record, where it is, any framework.

The positions are divided into blocks. Each block has the same number of positions for a dataset, so
that how often a dataset was read before any position is computed without the positions before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import gcd

import numpy as np

from tfrec_cli import crops
from tfrec_cli.crops import Int64s

SHARES = 1 << 16
"""Weights are rounded to whole numbers of so many in all, if smaller whole ones are not exact."""
_LEAST_BLOCK = 1024
_PART = 1 << 55
"""Number of the part of an epoch whose order arranges the first block; see `crops.shuffled`."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """Datasets that are read in turns.

    Attributes:
        sizes: number of records of each dataset.
        shares: how many positions each has of those that it takes until all weights are met.
    """

    sizes: tuple[int, ...]
    shares: tuple[int, ...]

    @property
    def count(self) -> int:
        """Number of positions in an epoch: that of all records."""
        return sum(self.sizes)

    def members(self, positions: Int64s, seed: int | None) -> tuple[Int64s, Int64s]:
        """Return which dataset each position reads, and how many positions before read it too.

        Args:
            positions: int64[n], counted through all epochs.
            seed: from which the turns are drawn; None takes turns as evenly as possible.
        Returns:
            Two of int64[n].
        """
        times = max(1, _LEAST_BLOCK // sum(self.shares))
        size = times * sum(self.shares)
        of_block = np.array(self.shares, np.int64) * times
        blocks = positions // size
        members = np.empty_like(positions)
        passed = np.empty_like(positions)
        for block in np.unique(blocks).tolist():
            rows = np.flatnonzero(blocks == block)
            turns, turns_before = _turns(self.shares, times, seed, block if seed is not None else 0)
            places = positions[rows] - block * size
            members[rows] = turns[places]
            passed[rows] = turns_before[places] + block * of_block[members[rows]]
        return members, passed


@lru_cache(maxsize=16)
def _turns(
    shares: tuple[int, ...], times: int, seed: int | None, block: int
) -> tuple[Int64s, Int64s]:
    """Return which dataset each position of a block reads, and how many of them before it."""
    sizes = [share * times for share in shares]
    due = np.concatenate([(np.arange(size) + 0.5) / size for size in sizes])
    turns = np.repeat(np.arange(len(sizes)), sizes)[np.argsort(due, kind="stable")]
    if seed is not None:
        places = np.arange(len(turns))
        turns = turns[crops.shuffled(places, len(turns), seed=seed, epoch=0, part=_PART + block)]
    before = np.empty_like(turns)
    for member, size in enumerate(sizes):
        before[turns == member] = np.arange(size)
    return turns, before


def shares(weights: Sequence[Fraction]) -> tuple[int, ...]:
    """Return whole numbers in the proportion of weights, each at least 1.

    They are exact if they are at most `SHARES` in all, and rounded otherwise.
    """
    common = np.lcm.reduce([weight.denominator for weight in weights], dtype=object)
    whole = [int(weight * common) for weight in weights]
    divisor = gcd(*whole)
    whole = [number // divisor for number in whole]
    if sum(whole) <= SHARES:
        return tuple(whole)
    total = sum(whole)
    return tuple(max(1, round(Fraction(number * SHARES, total))) for number in whole)
