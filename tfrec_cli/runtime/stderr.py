"""Silences C libraries, which print to stderr without saying which file they mean.

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
    """Open descriptors 0, 1 and 2 if closed, so that no file of ours becomes stderr."""
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
    """Discard what is written to stderr; only for processes with a single thread."""
    try:
        terminal = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    os.dup2(_nowhere(), 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
