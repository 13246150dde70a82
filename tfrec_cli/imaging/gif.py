"""GIF files of one picture: how large it is, and how many colours it has.

Knows: the blocks of the format. Must not know: how pixels are packed, Pillow.

Source: CompuServe, Graphics Interchange Format, version 89a.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from tfrec_cli.errors import ImageError
from tfrec_cli.runtime.values import sides

_SCREEN_BYTES, _DESCRIPTOR_BYTES = 13, 9
_EXTENSION, _PICTURE, _END = 0x21, 0x2C, 0x3B
_CONTROL = 0xF9
_HAS_PALETTE, _SIZE_BITS = 0x80, 0x07


class Still(NamedTuple):
    """The header of a GIF file of one picture.

    Attributes:
        colours: number of colours in its palette.
        clear: the colour that is transparent; None if there is none.
    """

    height_px: int
    width_px: int
    colours: int
    clear: int | None


def read(data: bytes) -> Still:
    """Read the blocks of a GIF file.

    Raises:
        ImageError: it is incomplete or damaged, has several pictures, or one without a palette.
    """
    width, height, flags = struct.unpack_from("<HHB", data.ljust(_SCREEN_BYTES, b"\0"), 6)
    shared = _colours(flags)
    at = _SCREEN_BYTES + 3 * shared
    clear: int | None = None
    found: Still | None = None
    while at < len(data) and data[at] != _END:
        kind = data[at]
        if kind == _EXTENSION:
            control = data[at + 1 : at + 7]
            if found is None and control[:2] == bytes((_CONTROL, 4)) and len(control) == 6:
                clear = control[5] if control[2] & 1 else None
            at = _after_blocks(data, at + 2)
        elif kind == _PICTURE:
            if found:
                raise ImageError("animated", "found an animated GIF, expected one picture")
            if at + _DESCRIPTOR_BYTES >= len(data):
                raise _truncated()
            left, top, wide, tall, flags = struct.unpack_from("<HHHHB", data, at + 1)
            if (top, left, tall, wide) != (0, 0, height, width) or not tall * wide:
                raise ImageError(
                    "unsupported_mode",
                    f"found a GIF with a picture {sides(tall, wide)}, {left} from the left, "
                    f"{top} from the top, expected one that fills it ({sides(height, width)}): "
                    "decoders differ on it",
                )
            own = _colours(flags)
            if not own and not shared:
                raise ImageError("corrupt", "found a GIF without a palette, expected colours")
            found = Still(height, width, own or shared, clear)
            at = _after_blocks(data, at + 1 + _DESCRIPTOR_BYTES + 3 * own + 1)
        else:
            raise ImageError("corrupt", f"found a GIF with a block of kind {kind:#04x}")
    if found is None:
        raise _truncated()
    return found


def _colours(flags: int) -> int:
    return 2 << (flags & _SIZE_BITS) if flags & _HAS_PALETTE else 0


def _after_blocks(data: bytes, at: int) -> int:
    """Return where a list of blocks, each with its length, ends."""
    while at < len(data):
        length = data[at]
        at += 1 + length
        if not length:
            return at
    raise _truncated()


def _truncated() -> ImageError:
    return ImageError("truncated", "found the end of a GIF, expected its picture")
