"""What C libraries write to stderr by themselves, without a file's name, kept from it.

Knows: file descriptors. Must not know: who writes there, or why.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache


@cache
def _nowhere() -> int:
    return os.open(os.devnull, os.O_WRONLY)


def fill_standard() -> None:
    """Have 0, 1 and 2 open, or a file of ours could be what C libraries write to."""
    for number in range(3):
        if not _is_open(number):
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


@contextmanager
def stderr_silenced() -> Iterator[None]:
    """Keep from stderr what C libraries write there by themselves; for a process of one thread."""
    try:
        terminal = os.dup(2)
    except OSError:  # closed by whoever started us
        yield
        return
    os.dup2(_nowhere(), 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
