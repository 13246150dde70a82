"""Decoded pictures of 8 or 16 bits a sample, and how whole numbers of any maximum become these.

Knows: numbers. Must not know: files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    Samples = npt.NDArray[np.unsignedinteger[Any]]
    """uint8 or uint16."""

DEEP_BITS = 16
"""The most bits of a sample; a deep picture has more than 8, and is stored with 8 or with these."""

_BLOCK = 1 << 20


class Decoded(NamedTuple):
    """A decoded picture, not turned.

    Attributes:
        picture: of 8 bits a sample; or of 16: uint16[height, width, channels], grey or RGB, perhaps
            with alpha.
        greatest: the greatest value of a colour before it was scaled, of a deep picture.
        damage: see `decoder.Noted`.
    """

    picture: Image.Image | npt.NDArray[np.uint16]
    greatest: int | None = None
    damage: str = ""


def most(bits: int) -> int:
    """Return the greatest value of so many bits."""
    return (1 << bits) - 1


def scaled(values: Samples, maximum: int, bits: int = 8) -> Samples:
    """Return ``round(value * most(bits) / maximum)``, halves up.

    Args:
        values: of any shape, none greater than ``maximum``, which is below 2^16.
        bits: 8 or 16.
    Returns:
        uint8 or uint16; perhaps ``values`` itself.
    """
    import numpy as np

    kind = np.dtype(np.uint8 if bits == 8 else np.uint16)
    target = most(bits)
    if maximum == target:
        return values.astype(kind, copy=False)
    out = np.empty(values.shape, kind)
    wide = np.uint32 if maximum * 2 * target + maximum < 1 << 32 else np.uint64
    flat, filled = values.reshape(-1), out.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK].astype(wide)
        filled[start : start + _BLOCK] = (block * (2 * target) + maximum) // (2 * maximum)
    return out


def divided(products: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Return ``round(product / 65535)``, for sums of products of two values of 16 bits."""
    return (products + 0x7FFF) // most(DEEP_BITS)


def as_bits(pixels: Samples, bits: int) -> Samples:
    """Return pixels of 8 or 16 bits a sample, ``pixels`` itself if they have so many.

    From 16 to 8 bits it is ``round(value / 257)``; from 8 to 16, ``value * 257``.
    """
    return scaled(pixels, most(8 * pixels.itemsize), bits)
