"""Decoded pictures of 8 bits a sample, and how whole numbers of any maximum are scaled to these.

Knows: numbers. Must not know: files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

_BLOCK = 1 << 20


class Decoded(NamedTuple):
    """A decoded picture of 8 bits a sample, not turned.

    Attributes:
        greatest: the greatest value of a colour before it was scaled, of a deep picture.
    """

    image: Image.Image
    greatest: int | None = None


def to_8_bits(values: npt.NDArray[Any], most: int) -> npt.NDArray[np.uint8]:
    """Return ``round(value * 255 / most)``, halves up.

    Args:
        values: unsigned, of any shape, none greater than ``most``, which is below 2^16.
    """
    import numpy as np

    out = np.empty(values.shape, np.uint8)
    flat, target = values.reshape(-1), out.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK].astype(np.uint32)
        target[start : start + _BLOCK] = (block * 510 + most) // (2 * most)
    return out
