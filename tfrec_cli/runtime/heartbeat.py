"""Which item a worker is at, so that its parent can name the item that killed it.

Knows: the numbers of items, and this process's clock. Must not know: what items or workers are.
"""

from __future__ import annotations

import signal
from typing import Protocol

ITEM_SECONDS = 60.0
"""Processor time that one item may take; a photo takes 0.01."""

NOWHERE = -1


class Cell(Protocol):
    """A number that another process can see."""

    value: int


class _Unseen:
    value = NOWHERE


_cell: Cell = _Unseen()


def show_in(cell: Cell) -> None:
    """Tell from now on where this process is, by writing it into ``cell``."""
    global _cell  # a process is at one place
    cell.value = NOWHERE
    _cell = cell


def start_item(item: int) -> None:
    """Say that work on an item begins; SIGPROF ends a watched process that works on it too long."""
    if not isinstance(_cell, _Unseen):
        _cell.value = item
        signal.setitimer(signal.ITIMER_PROF, ITEM_SECONDS)


def leave() -> None:
    """Say that the work on items is done."""
    if not isinstance(_cell, _Unseen):
        signal.setitimer(signal.ITIMER_PROF, 0)
        _cell.value = NOWHERE
