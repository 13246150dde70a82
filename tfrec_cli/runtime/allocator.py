"""What the C library does with memory that was freed: keep it, or give it back.

Knows: glibc. Must not know: what was in that memory.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

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
