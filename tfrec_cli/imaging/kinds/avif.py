"""What an AVIF file says of its primary picture: bits of a sample, and the part to be shown.

Knows: boxes. Must not know: pixels, Pillow.

Source: ISO/IEC 23008-12 (HEIF), sections 6.5 and 9.3; ISO/IEC 14496-12, section 12.1.4.
"""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import NamedTuple

from tfrec_cli.errors import ImageError
from tfrec_cli.imaging.kinds.boxes import Box, File, body, boxes

_VERSION_BYTES = 4


class Avif(NamedTuple):
    """The primary picture of an AVIF file.

    Attributes:
        deep: samples have more than 8 bits.
        aperture: (top, left, height, width) of the part to be shown, in pixels; None for all.
    """

    deep: bool
    aperture: tuple[int, int, int, int] | None


def read(file: File) -> Avif:
    """Read the properties of the primary picture.

    Raises:
        ImageError: they are damaged, or the part to be shown is not one of whole pixels.
    """
    try:
        properties = _properties(file)
    except (struct.error, IndexError) as error:
        raise ImageError("corrupt", f"cannot be decoded: damaged properties ({error})") from error
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
        found = f"found a clean aperture of {high}x{wide} pixels at ({top}, {left})"
        raise ImageError("corrupt", f"{found}, expected whole pixels within {height}x{width}")
    box = (int(top), int(left), int(high), int(wide))
    return None if box == (0, 0, height, width) else box


def _properties(file: File) -> list[tuple[bytes, bytes]]:
    """Return name and body of the properties of the primary picture, in the order they apply."""
    size_bytes = file.seek(0, 2)
    meta = next((box for box in boxes(file, 0, size_bytes) if box.kind == b"meta"), None)
    if meta is None:
        return []
    inner = {box.kind: box for box in boxes(file, meta.start + _VERSION_BYTES, meta.stop)}
    if b"pitm" not in inner or b"iprp" not in inner:
        return []
    data = body(file, inner[b"pitm"])
    primary = struct.unpack_from(">I" if data[0] else ">H", data, _VERSION_BYTES)[0]
    kept: list[Box] = []
    numbers: list[int] = []
    for box in boxes(file, inner[b"iprp"].start, inner[b"iprp"].stop):
        if box.kind == b"ipco":
            kept = list(boxes(file, box.start, box.stop))
        elif box.kind == b"ipma":
            numbers += _associated(body(file, box, 1 << 20), primary)
    found = [kept[number - 1] for number in numbers if 0 < number <= len(kept)]
    return [(box.kind, body(file, box, 256)) for box in found]


def _associated(data: bytes, primary: int) -> list[int]:
    """Return the numbers of the properties of an item, counted from 1."""
    wide_items, wide_numbers = data[0] > 0, data[3] & 1
    (entries,) = struct.unpack_from(">I", data, _VERSION_BYTES)
    place = 8
    for _ in range(entries):
        item = struct.unpack_from(">I" if wide_items else ">H", data, place)[0]
        place += 4 if wide_items else 2
        count = data[place]
        form = f">{count}{'H' if wide_numbers else 'B'}"
        numbers = struct.unpack_from(form, data, place + 1)
        place += 1 + struct.calcsize(form)
        if item == primary:
            return [number & (0x7FFF if wide_numbers else 0x7F) for number in numbers]
    return []
