"""Says which item a worker is processing, so that its parent can name an item that killed it.

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
    """Write the number of the current item into ``cell`` from now on."""
    global _cell  # a process works on one item at a time
    cell.value = NOWHERE
    _cell = cell


def start_item(item: int) -> None:
    """Note that work on an item begins; SIGPROF kills a watched process that takes too long."""
    if not isinstance(_cell, _Unseen):
        _cell.value = item
        signal.setitimer(signal.ITIMER_PROF, ITEM_SECONDS)


def leave() -> None:
    """Note that the work on items has ended."""
    if not isinstance(_cell, _Unseen):
        signal.setitimer(signal.ITIMER_PROF, 0)
        _cell.value = NOWHERE
