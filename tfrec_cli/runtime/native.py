"""Loops over bytes in C where it was compiled; elsewhere Python does the same, slower.

Knows: which of the two there is. Must not know: what is done with an answer.

Every function answers for what is usual, and leaves the rest to Python beside its caller, which
also has the words for what is wrong. What stands here is what there is without C: no answers. With
C, the functions of the same names in ``_native.c`` take their places, unless
``TFREC_NO_EXTENSIONS`` is set.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

Bytes = bytes | bytearray | memoryview
"""What is read without a copy, where it lies in one piece."""


def single_values(
    payload: bytes | memoryview,  # noqa: ARG001
    wanted: dict[bytes, str] | None,  # noqa: ARG001
) -> dict[str, Any] | None:
    """Find single values in a ``tf.train.Example`` that is laid out as every writer does.

    Args:
        wanted: names of features, in UTF-8, and what to call them in the answer; None wants all.
    Returns:
        The bytes (as slices of ``payload``) and int64 values of those that are there; None for
        another layout, or where one of them is a float or a list.
    """
    return None


def encode(features: Mapping[str, Any]) -> bytes | None:  # noqa: ARG001
    """Serialise a ``tf.train.Example`` of few features, each one value of bytes or int.

    Returns:
        Its bytes, features sorted by name; None where it is another.
    """
    return None


def scan_end(data: Bytes, start: int) -> int:  # noqa: ARG001
    """Find the end marker of a JPEG whose first scan's data begin at ``start``.

    Returns:
        Where it is, if no other marker lies before it, nor a long run of 0xff; else -1.
    """
    return -1


def stack(
    pixels: list[npt.NDArray[Any]] | list[memoryview],  # noqa: ARG001
    out: npt.NDArray[Any],  # noqa: ARG001
    unit: bool,  # noqa: ARG001
) -> bool:
    """Copy uint8 values of several images into one array, contiguous all.

    Args:
        out: uint8, or with ``unit`` float32, which gets the values in [0, 1].
    Returns:
        Whether that was done.
    Raises:
        ValueError: not as many values as ``out`` holds.
    """
    return False


is_compiled = False
if not os.environ.get("TFREC_NO_EXTENSIONS"):
    with suppress(ImportError):  # no compiler was there
        from tfrec_cli.runtime._native import (  # type: ignore[import-not-found, no-redef] # noqa: F401
            encode,
            scan_end,
            single_values,
            stack,
        )

        is_compiled = True
