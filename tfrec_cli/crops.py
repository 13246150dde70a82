"""Random numbers from (seed, epoch, key, view); crop modes, position and padding of a crop.

Knows: boxes and random numbers. Must not know: pixels, Pillow, TensorFlow.

The numbers are those of TensorFlow's stateless functions, computed with NumPy, so that every
framework cuts the same crops: `random_boxes` returns the box of
``tf.image.stateless_random_crop(image, (height, width, 3), seed=(seed + epoch * 2**32, key))``.
View 0 of a record uses this seed pair; view v >= 1 uses
``tf.random.experimental.stateless_fold_in(pair, tf.constant(v, tf.int64))``.

Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (Philox 4x32-10), and
tensorflow/core/kernels/stateless_random_ops_v2.h, tensorflow/core/lib/random/philox_random.h,
random_distributions.h.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from tfrec_cli.runtime.permutation import permute
from tfrec_cli.runtime.philox import Words, philox
from tfrec_cli.seeds import EPOCH_BITS, KEY_BITS
from tfrec_cli.seeds import check_seed as check_seed
from tfrec_cli.seeds import seed_key as seed_key

__all__ = [
    "BRIGHTNESS",
    "CROP",
    "FLIP",
    "ORDER",
    "USER",
    "CropMode",
    "center_box",
    "check_seed",
    "draw_words",
    "holds",
    "margins",
    "place",
    "random_boxes",
    "random_brightness",
    "random_flips",
    "random_offsets",
    "seed_key",
    "seed_pair",
    "shuffled",
    "user_seeds",
]

Int64s = npt.NDArray[np.int64]
CropMode = Literal["random", "center"]
Margins = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

CROP, FLIP, BRIGHTNESS, ORDER, USER = 0, 1, 2, 3, 16

_SCRAMBLE_KEY = (0x3EC8F720, 0x02461E29)
_INT32_MAX = 2**31 - 1


def holds(size: Sequence[int], crop: tuple[int, int]) -> bool:
    """Tell whether an image is as large as a crop; both are (height, width) in pixels."""
    return size[0] >= crop[0] and size[1] >= crop[1]


def place(
    size: Sequence[int], crop: tuple[int, int], mode: CropMode, offset: tuple[int, int] = (0, 0)
) -> tuple[int, int]:
    """Return the position of a crop: (top, left) in pixels.

    A centre crop between two pixels is moved up and left.

    Args:
        size: (height, width) of the image in pixels, at least ``crop``.
        crop: (height, width) in pixels.
        offset: the draw of `random_offsets` for the record.
    """
    down, across = size[0] - crop[0], size[1] - crop[1]
    if mode == "center":
        return down // 2, across // 2
    return offset[0] % (down + 1), offset[1] % (across + 1)


def margins(size: Sequence[int], crop: tuple[int, int]) -> Margins:
    """Return the padding that brings a centred image to the size of a crop, for ``numpy.pad``.

    Args:
        size: (height, width) of the image in pixels.
        crop: (height, width) in pixels.
    Returns:
        Pixels (above, below), (left, right), and (0, 0) for the colours.
    """
    down, across = max(crop[0] - size[0], 0), max(crop[1] - size[1], 0)
    return (down // 2, down - down // 2), (across // 2, across - across // 2), (0, 0)


def center_box(height_px: int, width_px: int, crop: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the box of the centre crop, (top, left, height, width), see `place`.

    Args:
        crop: (height, width) in pixels, not larger than the image.
    """
    return (*place((height_px, width_px), crop, "center"), *crop)


def random_boxes(
    sizes: npt.ArrayLike,
    crop: tuple[int, int],
    *,
    seed: int,
    epoch: int,
    keys: npt.ArrayLike,
    view: int = 0,
) -> Int64s:
    """Draw one box for each record.

    Args:
        sizes: int[n, 2], (height, width) of each image in pixels, at least ``crop``.
        crop: (height, width) in pixels.
        seed: in [0, 2**32).
        epoch: in [0, 2**31), one number, or int[n] with one for each record.
        keys: int[n] record keys in [0, 2**56).
        view: number of the view of each record, from 0.
    Returns:
        int64[n, 4] of (top, left, height, width).
    Raises:
        ValueError: an image is smaller than the crop, or a number is out of range.
    """
    space = np.asarray(sizes, np.int64).reshape(-1, 2) - np.asarray(crop, np.int64) + 1
    if (space < 1).any():
        raise ValueError(f"found an image smaller than the crop {crop}")
    draws = random_offsets(seed=seed, epoch=epoch, keys=keys, view=view)
    return np.concatenate([draws % space, np.broadcast_to(crop, space.shape)], axis=1)


def random_offsets(
    *, seed: int, epoch: npt.ArrayLike, keys: npt.ArrayLike, view: int = 0
) -> npt.NDArray[np.int32]:
    """Draw two numbers for each record, from which the position of its crop is computed.

    Returns:
        int32[n, 2] in [0, 2**31 - 1); modulo the number of positions, (top, left) of a box.
    """
    words = draw_words(seed, epoch, keys, CROP, view)[:, :2]
    offsets: npt.NDArray[np.int32] = (words % np.uint32(_INT32_MAX)).astype(np.int32)
    return offsets


def random_flips(
    *, seed: int, epoch: npt.ArrayLike, keys: npt.ArrayLike, view: int = 0
) -> npt.NDArray[np.bool_]:
    """Draw for each record whether it is mirrored left to right, with probability 1/2.

    Returns:
        bool[n]: whether ``tf.image.stateless_random_flip_left_right`` mirrors with the seed pair
        (seed + epoch * 2**32, key + 2**56), or with what `seed_pair` makes of it for a view.
    """
    flips: npt.NDArray[np.bool_] = _unit(draw_words(seed, epoch, keys, FLIP, view)[:, 0]) < 0.5
    return flips


def random_brightness(
    max_delta: float, *, seed: int, epoch: npt.ArrayLike, keys: npt.ArrayLike, view: int = 0
) -> npt.NDArray[np.float32]:
    """Draw for each record the number that is added to its values in [0, 1].

    Args:
        max_delta: the largest change, in [0, 1].
    Returns:
        float32[n] in [-max_delta, max_delta): what ``tf.image.stateless_random_brightness`` adds
        with the seed pair (seed + epoch * 2**32, key + 2 * 2**56), or with what `seed_pair` makes
        of it for a view.
    """
    unit = _unit(draw_words(seed, epoch, keys, BRIGHTNESS, view)[:, 0])
    low, high = np.float32(-max_delta), np.float32(max_delta)
    brightness: npt.NDArray[np.float32] = unit * (high - low) + low
    return brightness


def shuffled(
    positions: npt.ArrayLike,
    count: int,
    *,
    seed: int,
    epoch: int,
    part: int = 0,
    inverse: bool = False,
) -> Int64s:
    """Return what stands at positions of ``range(count)`` in an order drawn from (seed, epoch).

    Each position is computed by itself, in no memory: see `permutation.permute`. The four words of
    its key are those that `draw_words` draws for the key ``part`` of the record.

    Args:
        positions: int[n], below ``count``.
        part: in [0, 2**56): parts of the same epoch have different orders.
        inverse: return at which positions the numbers ``positions`` stand.
    Returns:
        int64[n].
    """
    key = _order_key(seed, epoch, part)
    return permute(np.asarray(positions, np.int64), count, key, inverse=inverse)


@lru_cache(maxsize=64)
def _order_key(seed: int, epoch: int, part: int) -> Words:
    words: Words = draw_words(seed, epoch, [part], ORDER)[0]
    return words


def seed_pair(seed: int, epoch: int, key: int, op: int, view: int = 0) -> tuple[int, int]:
    """Return the pair of integers for the argument ``seed`` of TensorFlow's stateless functions.

    Returns:
        (seed + epoch * 2**32, key + op * 2**56) for view 0. For each further view, what
        ``tf.random.experimental.stateless_fold_in`` makes of this pair and of the view as int64:
        64 bits that are drawn from the pair, and the view.
    """
    first, second = _seed_pairs(op, seed, epoch, [key], view)[0].tolist()
    return first, second


def user_seeds(*, seed: int, epoch: npt.ArrayLike, keys: npt.ArrayLike, view: int = 0) -> Int64s:
    """Return the seed pairs for a user's own random operations.

    Operation k, from 16 to 127, adds ``(k - 16) * 2**56`` to the second number.

    Returns:
        int64[n, 2] of (seed + epoch * 2**32, key + 16 * 2**56), or of what `seed_pair` makes of it
        for a view.
    """
    return _seed_pairs(USER, seed, epoch, keys, view)


def draw_words(
    seed: int, epoch: npt.ArrayLike, keys: npt.ArrayLike, op: int, view: int = 0
) -> Words:
    """Draw four 32-bit words for each key: the first ones of TensorFlow's stateless generator.

    Returns:
        uint32[n, 4].
    Raises:
        ValueError: the seed, the epoch, a key or the view is out of range.
    """
    return _words(_seed_pairs(op, seed, epoch, keys, view))


def _seed_pairs(op: int, seed: int, epoch: npt.ArrayLike, keys: npt.ArrayLike, view: int) -> Int64s:
    """Return the seed pair of each key, int64[n, 2]; see `seed_pair`."""
    epochs = np.asarray(epoch, np.int64)
    outside = epochs[epochs >> EPOCH_BITS != 0]
    check_seed(seed, int(outside.flat[0]) if outside.size else 0)
    plain = np.asarray(keys, np.int64).reshape(-1)
    if (plain >> KEY_BITS).any():
        raise ValueError(f"found a key out of range, expected 0 to {2**KEY_BITS - 1}")
    if view < 0:
        raise ValueError(f"found view {view}, expected 0 or more")
    pairs = np.empty((len(plain), 2), np.int64)
    pairs[:, 0] = seed + (epochs << 32)
    pairs[:, 1] = plain + (op << KEY_BITS)
    if view:
        low, high = _words(pairs)[:, :2].astype(np.int64).T
        pairs[:, 0], pairs[:, 1] = high << 32 | low, view
    return pairs


def _words(pairs: Int64s) -> Words:
    """Draw four words for each seed pair.

    TensorFlow scrambles the pair by one Philox call with a fixed key. Half of the output is the key
    of the generator, and the other half the upper words of its counter.

    Args:
        pairs: int64[n, 2].
    Returns:
        uint32[n, 4].
    """
    scrambled = philox(pairs.astype("<i8", copy=False).view("<u4"), _SCRAMBLE_KEY)
    counter = scrambled.copy()
    counter[:, :2] = 0
    return philox(counter, (scrambled[:, 0], scrambled[:, 1]))


def _unit(words: Words) -> npt.NDArray[np.float32]:
    """Turn the low 23 bits of each word into a float32 in [0, 1), as TensorFlow does."""
    mantissas = ((words & 0x7FFFFF) | 0x3F800000).astype(np.uint32)
    unit: npt.NDArray[np.float32] = mantissas.view(np.float32) - np.float32(1)
    return unit
