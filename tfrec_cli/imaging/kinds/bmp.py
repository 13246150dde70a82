"""BMP files with run-length encoding, which Pillow decodes wrongly where rows have an odd width.

Knows: this encoding. Must not know: Pillow, options.

Source: Microsoft, Bitmap Compression.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from tfrec_cli.errors import ImageError
from tfrec_cli.runtime.values import sides

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_FILE_HEADER_BYTES, _INFO_BYTES, _OS2_BYTES = 14, 40, 64
_BITS = {1: 8, 2: 4}
_END_OF_ROW, _END, _DELTA = 0, 1, 2


class RunLengths(NamedTuple):
    """The header of a BMP file with run-length encoding.

    Attributes:
        start: where the codes start.
        colours: where the palette starts, and how many colours it has.
    """

    height_px: int
    width_px: int
    bits: int
    start: int
    colours: tuple[int, int]


def read(head: bytes) -> RunLengths | None:
    """Read the header of a BMP file; return None unless it is run-length encoded.

    Raises:
        ImageError: the header does not follow the format.
    """
    size = struct.unpack_from("<I", head, _FILE_HEADER_BYTES)[0] if len(head) >= 18 else 0
    if size < _INFO_BYTES or len(head) < _FILE_HEADER_BYTES + _INFO_BYTES:
        return None
    width, height, _, bits, encoding = struct.unpack_from("<iiHHI", head, 18)
    if encoding not in _BITS:
        if size == _OS2_BYTES and encoding:
            found = f"encoding {encoding} of OS/2"
            raise ImageError("unsupported_mode", f"found {found}, expected none, RLE8 or RLE4")
        return None
    if bits != _BITS[encoding] or width <= 0 or height <= 0:
        found = f"run lengths of {bits} bits for a picture {sides(height, width)}"
        raise ImageError("corrupt", f"found {found}, expected 4 or 8 bits and positive sides")
    start = struct.unpack_from("<I", head, 10)[0]
    used = struct.unpack_from("<I", head, 46)[0] or 1 << bits
    return RunLengths(height, width, bits, start, (_FILE_HEADER_BYTES + size, min(used, 1 << bits)))


def decode(data: bytes, header: RunLengths) -> npt.NDArray[np.uint8]:
    """Decode the pixels; those that no code sets have the first colour.

    Returns:
        uint8[height, width, 3].
    Raises:
        ImageError: the codes end too early, leave the picture, or name a colour that is not there.
    """
    import numpy as np

    first, count = header.colours
    if first + 4 * count > min(header.start, len(data)):
        raise ImageError("corrupt", f"found no room for {count} colours, expected a palette")
    palette = np.frombuffer(data, np.uint8, 4 * count, first).reshape(count, 4)
    indices = np.frombuffer(_indices(data, header), np.uint8)
    highest = int(indices.max())
    if highest >= count:
        raise ImageError("corrupt", f"found colour {highest}, expected less than {count}")
    rows = indices.reshape(header.height_px, header.width_px)[::-1]
    return np.ascontiguousarray(palette[:, 2::-1])[rows]


def _indices(data: bytes, header: RunLengths) -> bytearray:
    """Return the number of the colour of each pixel, the lowest row first."""
    width, height = header.width_px, header.height_px
    pixels = bytearray(width * height)
    x = y = 0
    at = header.start
    while y < height and (y < height - 1 or x < width):
        code = data[at : at + 2]
        at += 2
        if len(code) < 2 or code == b"\0\1":
            found = f"found the end of the codes in row {y + 1}"
            raise ImageError("truncated", f"{found}, expected {height} rows")
        count, value = code
        if not count and value == _END_OF_ROW:
            x, y = 0, y + 1
        elif not count and value == _DELTA:
            step = data[at : at + 2].ljust(2, b"\0")
            at += 2
            x, y = x + step[0], y + step[1]
        else:
            if count:
                run = _run(value, count, header.bits)
            else:
                count = value
                stored = -(-count * header.bits // 8)
                run = _literal(data[at : at + stored], count, header.bits)
                at += stored + stored % 2
            if len(run) < count:
                raise ImageError("truncated", "found the end within a code, expected its pixels")
            room = max(width - x, 0)
            place = y * width + x
            pixels[place : place + min(count, room)] = run[:room]
            x += count
    return pixels


def _run(value: int, count: int, bits: int) -> bytes:
    if bits == 8:
        return bytes([value]) * count
    return (bytes([value >> 4, value & 15]) * count)[:count]


def _literal(stored: bytes, count: int, bits: int) -> bytes:
    if bits == 8:
        return stored
    return bytes(nibble for byte in stored for nibble in (byte >> 4, byte & 15))[:count]
