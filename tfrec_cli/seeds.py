"""Ranges of seeds and epochs, and the key of a record, from which its random numbers are made.

Knows: ranges. Must not know: what is drawn, and how.
"""

from __future__ import annotations

from typing import Any

from tfrec_cli.runtime import values

__all__ = ["EPOCH_LIMIT", "KEY_BITS", "SEED_LIMIT", "check_seed", "seed_key"]

SEED_LIMIT = 2**32
EPOCH_BITS = 31
EPOCH_LIMIT = 2**EPOCH_BITS
KEY_BITS = 56
"""Bits of a record key; the eight bits above name the draw: crop, flip, brightness, order."""


def seed_key(key: int | None, number: int) -> int:
    """Return the key from which the random numbers of a record are drawn.

    Args:
        key: of the record. Keys of other programs may be out of range, and are not used then.
        number: of the record among all that are read, from 0; used if there is no key.
    """
    return number if key is None or not 0 <= key < 2**KEY_BITS else key


def read_seed(name: str, value: Any) -> int:
    """Read a seed: a whole number in [0, 2**32).

    Raises:
        UsageError: the value is something else.
    """
    return values.whole(name, value, 0, SEED_LIMIT - 1)


def read_epoch(name: str, value: Any) -> int:
    """Read the number of an epoch, in [0, 2**31).

    Raises:
        UsageError: the value is something else.
    """
    return values.whole(name, value, 0, EPOCH_LIMIT - 1)


def check_seed(seed: int, epoch: int) -> None:
    """Refuse a seed or an epoch that is out of range.

    Raises:
        UsageError: the seed or the epoch is out of range.
    """
    read_seed("seed", seed)
    read_epoch("epoch", epoch)
