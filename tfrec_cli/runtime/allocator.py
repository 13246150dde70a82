"""Memory that was freed, given back to the system where we say so.

Knows: glibc. Must not know: what was in that memory.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress


def give_back() -> None:
    """Have glibc give back now what was freed.

    Source: malloc_trim(3).
    """
    with suppress(OSError, AttributeError):  # another C library has no malloc_trim
        ctypes.CDLL(None).malloc_trim(0)
