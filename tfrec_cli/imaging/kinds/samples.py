"""Scales whole numbers of any maximum to 8 bits.

Knows: numbers. Must not know: files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_BLOCK = 1 << 20


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
