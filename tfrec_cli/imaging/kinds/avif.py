"""What an AVIF file says of its primary picture: bits of a sample, and the part to be shown.

Knows: properties. Must not know: pixels, Pillow.

Source: ISO/IEC 23008-12 (HEIF), section 6.5; ISO/IEC 14496-12, section 12.1.4.
"""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import NamedTuple

from tfrec_cli.errors import ImageError
from tfrec_cli.imaging import boxes
from tfrec_cli.runtime.values import sides

_VERSION_BYTES = 4


class Avif(NamedTuple):
    """The primary picture of an AVIF file.

    Attributes:
        deep: samples have more than 8 bits.
        aperture: (top, left, height, width) of the part to be shown, in pixels; None for all.
    """

    deep: bool
    aperture: tuple[int, int, int, int] | None


def read(file: boxes.File) -> Avif:
    """Read the properties of the primary picture.

    Raises:
        ImageError: they are damaged, or the part to be shown is not one of whole pixels.
    """
    properties = boxes.properties(file)
    deep = any(
        (kind == b"av1C" and len(data) > 2 and data[2] & 0x40)
        or (kind == b"pixi" and max(data[5:], default=8) > 8)
        for kind, data in properties
    )
    clap = [data for kind, data in properties if kind == b"clap"]
    if not clap:
        return Avif(deep, None)
    size = next((data for kind, data in properties if kind == b"ispe"), b"")
    if len(clap) > 1 or len(clap[0]) < 32 or len(size) < 12:
        raise ImageError("corrupt", "cannot be decoded: damaged clean aperture")
    width, height = struct.unpack_from(">II", size, _VERSION_BYTES)
    return Avif(deep, _aperture(struct.unpack_from(">IIIIiIiI", clap[0]), height, width))


def _aperture(
    numbers: tuple[int, ...], height: int, width: int
) -> tuple[int, int, int, int] | None:
    if not all(numbers[1::2]):
        raise ImageError("corrupt", "cannot be decoded: damaged clean aperture")
    wide, high, right, down = (
        Fraction(numbers[place], numbers[place + 1]) for place in range(0, 8, 2)
    )
    left, top = right + (width - wide) / 2, down + (height - high) / 2
    parts = (top, left, high, wide)
    inside = top >= 0 and left >= 0 and top + high <= height and left + wide <= width
    if any(part.denominator != 1 for part in parts) or not (inside and high and wide):
        place = f"{sides(high, wide)}, {left} from the left, {top} from the top"
        expected = f"whole pixels in a picture {sides(height, width)}"
        raise ImageError("corrupt", f"found a clean aperture {place}, expected {expected}")
    box = (int(top), int(left), int(high), int(wide))
    return None if box == (0, 0, height, width) else box
