"""Loops over bytes: in C if the extension was compiled, otherwise in Python, slower.

Knows: whether C was compiled. Must not know: how results are used.

Each function handles usual input and leaves the rest to the Python code of its caller, which also
has the error messages. The functions below stand in if there is no C, and handle nothing. With C,
those of the same names in the extension replace them, unless ``TFREC_NO_EXTENSIONS`` is set.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

Bytes = bytes | bytearray | memoryview
"""Types that are read without a copy if they are contiguous."""


def single_values(
    payload: bytes | memoryview,  # noqa: ARG001
    wanted: dict[bytes, str] | None,  # noqa: ARG001
) -> dict[str, Any] | None:
    """Read single values from a ``tf.train.Example`` in the layout that all writers use.

    Args:
        wanted: names of features, in UTF-8, and what to call them in the result; None for all.
    Returns:
        The bytes (as slices of ``payload``) and int64 values of the features that are present;
        None for another layout, or if one of the values is a float or a list.
    """
    return None


def encode(features: Mapping[str, Any]) -> bytes | None:  # noqa: ARG001
    """Serialise a ``tf.train.Example`` of few features, each a single bytes or int value.

    Returns:
        Its bytes, features sorted by name; None for other features.
    """
    return None


def jpeg_frame(
    data: Bytes,  # noqa: ARG001
) -> tuple[int, int, int, bytes, bool, int, list[tuple[int, int, int]]] | None:
    """Read the markers of a JPEG up to its first scan, if all are plain (see `jpeg.Frame`).

    Returns:
        Number of the frame type, height and width in pixels, the sampling factors of each component
        in a byte, whether the first scan holds every component, where its data start, and code,
        start and stop of each segment that may hold EXIF, XMP, a profile or Photoshop's data.
    """
    return None


def permute(
    numbers: npt.NDArray[Any],  # noqa: ARG001
    count: int,  # noqa: ARG001
    bits: int,  # noqa: ARG001
    key: bytes,  # noqa: ARG001
    inverse: bool,  # noqa: ARG001
) -> bool:
    """Permute numbers below ``count`` where they are: see `permutation.permute`.

    Args:
        numbers: int64[n], contiguous.
        bits: of the numbers that the network permutes, from 2 to 62.
        key: four words of 32 bits, in the machine's order.
    Returns:
        Whether that was done.
    """
    return False


def read_records(
    file_descriptor: int,  # noqa: ARG001
    places: array[int],  # noqa: ARG001
    memory: memoryview,  # noqa: ARG001
) -> int:
    """Read records into ``memory``, one after the other, and check their CRCs.

    Args:
        places: offset and length with framing of each record, in bytes, as int64.
    Returns:
        How many were read before the first that is not intact.
    """
    return 0


def scan_end(data: Bytes, start: int) -> int:  # noqa: ARG001
    """Find the end marker of a JPEG whose first scan's data begin at ``start``.

    Returns:
        Its offset if no other marker and no long run of 0xff comes before it; else -1.
    """
    return -1


def cut(
    data: Bytes,  # noqa: ARG001
    top: int,  # noqa: ARG001
    left: int,  # noqa: ARG001
    height: int,  # noqa: ARG001
    width: int,  # noqa: ARG001
) -> tuple[bytes, int, int] | None:
    """Cut a window out of a JPEG as a small JPEG, without decoding: see `imaging.jpeg.seek`.

    Args:
        top, left, height, width: the window in pixels.
    Returns:
        The small JPEG, and top and left of the window in it; None if it would not be exact.
    """
    return None


def stack(
    pixels: list[npt.NDArray[Any]] | list[memoryview],  # noqa: ARG001
    out: npt.NDArray[Any],  # noqa: ARG001
    unit: bool,  # noqa: ARG001
    planar: bool = False,  # noqa: ARG001
) -> bool:
    """Copy the uint8 values of several images into one contiguous array.

    Args:
        pixels: [height, width, 3] with contiguous rows, or all values of an image.
        out: uint8; or float32 with ``unit``, for values in [0, 1].
        planar: write the planes of an image one after the other: [3, height, width].
    Returns:
        Whether that was done.
    Raises:
        ValueError: the number of values differs from the size of ``out``.
    """
    return False


is_compiled = False
if not os.environ.get("TFREC_NO_EXTENSIONS"):
    with suppress(ImportError):  # it was not compiled
        from tfrec_cli.runtime._native import (  # type: ignore[import-not-found, no-redef] # noqa: F401
            cut,
            encode,
            jpeg_frame,
            permute,
            read_records,
            scan_end,
            single_values,
            stack,
        )

        is_compiled = True
