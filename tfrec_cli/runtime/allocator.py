"""Memory that is used again once nothing lies in it: fresh pages cost more than copying.

What was freed is given back where no more of it is to come.

Knows: blocks of bytes, and the C library's own. Must not know: what lies in them.
"""

from __future__ import annotations

import ctypes
import math
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Block = npt.NDArray[np.uint8]

ALIGNED_BYTES = 64
"""Where TensorFlow takes an array as it lies, instead of copying it."""

_BLOCKS = 32
"""Blocks kept; what is asked for beyond them is not used again."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 1 << 25


def keep_memory() -> None:
    """Have glibc keep what is freed: images come and go, and fresh pages cost more than copying.

    Source: mallopt(3).
    """
    with suppress(OSError, AttributeError):  # another C library knows no mallopt
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def give_back() -> None:
    """Have glibc give back now what was freed.

    Source: malloc_trim(3).
    """
    with suppress(OSError, AttributeError):  # another C library has no malloc_trim
        ctypes.CDLL(None).malloc_trim(0)


class Memory:
    """Blocks of memory, each given out again when no array and no view of it is left.

    What is pickled is an empty one: another process has blocks of its own.
    """

    def __init__(self) -> None:
        self._blocks: list[Block] = []
        self._choosing = threading.Lock()

    def __reduce__(self) -> tuple[type[Memory], tuple[()]]:
        return type(self), ()

    def view(self, size_bytes: int) -> memoryview:
        """Return so many bytes of any content."""
        with self._choosing:
            return self._block(size_bytes).data[:size_bytes]

    def array(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return an array of any content, where TensorFlow wants it."""
        import numpy as np

        size_bytes = math.prod(shape) * np.dtype(dtype).itemsize
        with self._choosing:
            block = self._block(size_bytes + ALIGNED_BYTES)
            start = -block.ctypes.data % ALIGNED_BYTES
            return block[start : start + size_bytes].view(dtype).reshape(shape)

    def _block(self, size_bytes: int) -> Block:
        import numpy as np

        wanted = 1 << max(size_bytes - 1, 0).bit_length()
        for place in range(len(self._blocks)):
            if _references(self._blocks, place) == _UNUSED and len(self._blocks[place]) == wanted:
                return self._blocks[place]
        block = np.empty(wanted, np.uint8)
        self._blocks = [*self._blocks[1 - _BLOCKS :], block]
        return block


def _references(blocks: Sequence[object], place: int) -> int:
    return sys.getrefcount(blocks[place])


_UNUSED = _references([object()], 0)
"""References to a block that only its list knows, counted as they will be."""
