"""What a JPEG 2000 file says of its components, and which of that Pillow is proven to decode.

Knows: boxes and the SIZ marker. Must not know: pixels, Pillow.

Source: ISO/IEC 15444-1, annexes A.5.1 and I.5.3.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from tfrec_cli.errors import ImageError
from tfrec_cli.imaging.boxes import Box, File, body, boxes

_CODESTREAM = b"\xff\x4f\xff\x51"
_COLOUR, _OPACITY = 0, 1
_SPACES = {16: (3, 4), 17: (1, 2), 12: (4,)}
"""How many components each enumerated colour space has: sRGB, grey, CMYK; with alpha one more."""


class Jpeg2000(NamedTuple):
    """The components of a JPEG 2000 picture.

    Attributes:
        bits: bits of a sample; the same for all.
        order: number of the component with each colour, then with alpha.
    """

    bits: int
    order: tuple[int, ...]

    @property
    def deep(self) -> bool:
        """Whether samples have more than 8 bits."""
        return self.bits > 8


def read(file: File) -> Jpeg2000:
    """Read the header, and refuse what is not proven to be decoded.

    Raises:
        ImageError: it is damaged, or no decoder is proven for it.
    """
    size_bytes = file.seek(0, 2)
    file.seek(0)
    if file.read(4) == _CODESTREAM:
        return _checked(_components(file, 0), {})
    header: dict[bytes, bytes] = {}
    codestream = None
    for box in boxes(file, 0, size_bytes):
        if box.kind == b"jp2h" and not header:
            header = {inner.kind: body(file, inner) for inner in _first(file, box)}
        elif box.kind == b"jp2c":
            codestream = box.start
            break
    if codestream is None:
        raise ImageError("truncated", "found no codestream, expected pixels")
    return _checked(_components(file, codestream), header)


def _first(file: File, header: Box) -> list[Box]:
    """Return the first box of each kind: decoders use that."""
    first: dict[bytes, Box] = {}
    for box in boxes(file, header.start, header.stop):
        first.setdefault(box.kind, box)
    return list(first.values())


def _components(file: File, start: int) -> list[tuple[int, int, int]]:
    """Return (bits - 1, with 128 if signed; columns; rows a sample) of each component."""
    file.seek(start)
    head = file.read(42)
    if len(head) < 42 or head[:4] != _CODESTREAM:
        raise ImageError("corrupt", "cannot be decoded: found no SIZ marker")
    count = struct.unpack_from(">H", head, 40)[0]
    data = file.read(3 * min(count, 5))
    if len(data) < 3 * min(count, 5) or not count:
        raise ImageError("truncated", "found an end within the SIZ marker, expected components")
    return [struct.unpack_from("3B", data, place) for place in range(0, len(data), 3)]


def _checked(components: list[tuple[int, int, int]], header: dict[bytes, bytes]) -> Jpeg2000:
    count = len(components)
    depth = components[0][0]
    bits = (depth & 0x7F) + 1
    if count > 4:
        raise _refused("more than 4 components", "1 to 4")
    if any(one != (depth, 1, 1) for one in components) or depth & 0x80:
        raise _refused("signed, subsampled or unlike components", "unsigned ones of one size")
    if bits > (16 if count == 1 else 8):
        raise _refused(f"{count} components of {bits} bits", "8 bits in colour, 16 in grey")
    colr = header.get(b"colr", b"")
    space = struct.unpack_from(">I", colr, 3)[0] if colr[:1] == b"\x01" and len(colr) >= 7 else None
    if b"pclr" in header or b"cmap" in header:
        _check_palette(components, space, header)
        return Jpeg2000(bits, (0,))
    if space is not None and count not in _SPACES.get(space, ()):
        raise _refused(f"{count} components in colour space {space}", "sRGB, grey or CMYK")
    return Jpeg2000(bits, _order(count, space == 12, header.get(b"cdef")))


def _check_palette(
    components: list[tuple[int, int, int]], space: int | None, header: dict[bytes, bytes]
) -> None:
    """Refuse a palette that is not RGB of 8 bits, or that Pillow shortens: one colour twice."""
    palette = header.get(b"pclr", b"")
    entries = int.from_bytes(palette[:2], "big")
    colours = {palette[place : place + 3] for place in range(6, len(palette) - 2, 3)}
    if (
        components != [(7, 1, 1)]
        or space not in (None, 16)
        or palette[2:6] != b"\3\7\7\7"
        or not len(colours) == entries == (len(palette) - 6) // 3
        or header.get(b"cmap") != b"".join(bytes([0, 0, 1, column]) for column in range(3))
        or b"cdef" in header
    ):
        raise _refused("a palette of a rare kind", "one of different RGB colours of 8 bits")


def _order(count: int, is_cmyk: bool, cdef: bytes | None) -> tuple[int, ...]:
    """Return which component is which colour, and then alpha, by the channel definitions."""
    colours = 4 if is_cmyk else 3 if count > 2 else 1
    if cdef is None:
        if count > colours:
            raise _refused("a component of unknown meaning", "none, or alpha")
        return tuple(range(count))
    found: dict[int, int] = {}
    for place in range(2, len(cdef) - 5, 6):
        channel, kind, colour = struct.unpack_from(">HHH", cdef, place)
        if kind == _COLOUR:
            found[colour] = channel
        elif kind == _OPACITY:
            found[colours + 1] = channel
        else:
            raise _refused("a component that is neither colour nor alpha", "none, or alpha")
    order = tuple(found.get(colour, -1) for colour in range(1, count + 1))
    if sorted(order) != list(range(count)):
        raise _refused("channel definitions that do not name each component once", "one for each")
    return order


def _refused(found: str, expected: str) -> ImageError:
    return ImageError(
        "unsupported_mode", f"found a JPEG 2000 image with {found}; expected {expected}"
    )
