"""Ranges of seeds and epochs, and the key by which a record is drawn.

Knows: which of them there can be. Must not know: what is drawn, and how.
"""

from __future__ import annotations

SEED_LIMIT = 2**32
EPOCH_LIMIT = 2**31
KEY_BITS = 56
"""A record key fits 56 bits; the eight above name the draw: crop, flip, brightness, order."""


def seed_key(key: int | None, number: int) -> int:
    """Return what a record's random numbers are drawn from: its key, or without one its number.

    Args:
        key: of the record; other people's keys may be any integers, and are no keys of ours.
        number: of the record among all that are read, from 0.
    """
    return number if key is None or not 0 <= key < 2**KEY_BITS else key


def check_seed(seed: int, epoch: int) -> None:
    """Raise ValueError where ``seed`` or ``epoch`` is out of range."""
    if not 0 <= seed < SEED_LIMIT:
        raise ValueError(f"seed: found {seed}, expected 0 to {SEED_LIMIT - 1}")
    if not 0 <= epoch < EPOCH_LIMIT:
        raise ValueError(f"epoch: found {epoch}, expected 0 to {EPOCH_LIMIT - 1}")
