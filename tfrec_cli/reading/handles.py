"""Arrays that keep objects: an object lives as long as its array, whoever holds the array.

Knows: arrays. Must not know: what is kept, any framework.
"""

from __future__ import annotations

import itertools
import weakref
from typing import Any

import numpy as np

from tfrec_cli.crops import Int64s
from tfrec_cli.reading.buffers import BufferPool

_SIZE = 256
"""TensorFlow copies up to 128 numbers into each graph that uses them."""

_kept: dict[int, object] = {}
_numbers = itertools.count()


def handle(kept: object) -> Int64s:
    """Return an array that keeps an object: it is freed when nothing holds the array.

    A tensor that is made of it by DLPack is no copy and holds it, and so does a dataset of
    TensorFlow that uses the tensor, wherever that dataset is used in turn.
    """
    number = next(_numbers)
    array: Int64s = BufferPool().array((_SIZE,), np.int64)
    array[:] = number
    _kept[number] = kept
    weakref.finalize(array, _kept.pop, number).atexit = False
    return array


def kept(of: Int64s) -> Any:
    """Return the object of a handle, or of a copy of it."""
    return _kept[int(of[0])]
