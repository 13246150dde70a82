"""HEIC images, opened by pillow-heif, and how the container turns them.

Knows: properties of HEIF pictures. Must not know: policies.

libheif decodes a picture as it is to be shown: cut, turned and mirrored by properties of the file.
EXIF only repeats them there. Source: ISO/IEC 23008-12, ISO/IEC 14496-12.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, BinaryIO

from tfrec_cli.errors import ImageError, MissingExtraError
from tfrec_cli.imaging import boxes
from tfrec_cli.imaging.orientation import UPRIGHT

if TYPE_CHECKING:
    from PIL import Image

_BITS = 8

_Corners = tuple[tuple[int, int], tuple[int, int]]
_START: _Corners = ((0, 1), (2, 3))
_TURNS: tuple[_Corners, ...] = (
    _START,
    ((1, 0), (3, 2)),
    ((3, 2), (1, 0)),
    ((2, 3), (0, 1)),
    ((0, 2), (1, 3)),
    ((2, 0), (3, 1)),
    ((3, 1), (2, 0)),
    ((1, 3), (0, 2)),
)
"""Where the corners of a picture are after it was turned upright, for orientations 1 to 8."""


def open_image(file: BinaryIO) -> Image.Image:
    """Open a HEIC file.

    Raises:
        ImageError: pillow-heif is not installed, the file is damaged, or the picture has more than
            8 bits a value.
    """
    try:
        plugin = import_module("pillow_heif")
    except ImportError as error:
        missing = MissingExtraError.of("pillow-heif", "heif")
        raise ImageError("unsupported_format", f"found a HEIC image, but {missing}") from error
    try:
        image: Image.Image = plugin.HeifImageFile(file)
    except SyntaxError as error:
        found = f"found a HEIC image that cannot be decoded: {error}"
        raise ImageError("corrupt", f"{found}, expected a sound one") from error
    bits = image.info.get("bit_depth", _BITS)
    if bits != _BITS:
        found = f"found {bits} bits a value in a HEIC image"
        raise ImageError("unsupported_mode", f"{found}, expected {_BITS}: convert it to PNG first")
    return image


def orientation_of(file: boxes.File) -> int:
    """Return how the primary picture of a file is turned before it is shown, 1 (not) to 8.

    Damaged properties turn nothing.
    """
    corners = _START
    with suppress(ImageError, IndexError):
        for kind, body in boxes.properties(file):
            if kind == b"irot":
                for _ in range(body[0] & 3):
                    (a, b), (c, d) = corners
                    corners = (b, d), (a, c)
            elif kind == b"imir" and body[0] & 1:
                corners = corners[0][::-1], corners[1][::-1]
            elif kind == b"imir":
                corners = corners[::-1]
        return _TURNS.index(corners) + 1
    return UPRIGHT
