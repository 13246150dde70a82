"""How images are read: choices of options, limits on pixels and sides, `Policy`.

Knows: sizes. Must not know: pixels, Pillow, NumPy.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from tfrec_cli.errors import ImageError
from tfrec_cli.runtime import values

Alpha = Literal["drop", "white", "black", "fail"]
Depth = Literal[8, 16]
Encoding = Literal["raw", "png", "jpeg"]
Exif = Literal["apply", "ignore"]
Frames = Literal["first", "fail"]

JPEG_QUALITY = 95

MAX_PIXELS = 178_956_970
"""The default limit, which is Pillow's."""

MAX_SIDE = 1_000_000
"""The limit of libpng, and so of TensorFlow. Decoders keep a pointer for each row, and allocate all
rows at once."""


class Policy(NamedTuple):
    """How pixels are made from an image file.

    Attributes:
        exif: ``apply`` turns the picture upright by its EXIF orientation.
        alpha: ``drop`` keeps the colours, ``white`` and ``black`` put the picture on that colour,
            ``fail`` refuses a picture with a transparent pixel.
        frames: ``first`` takes the first frame of an animation, ``fail`` refuses it.
        max_pixels: larger pictures are refused before they are decoded.
        resize_short_px: first scale the shorter side to this number of pixels (bicubic).
        depth: 8 scales pictures of more bits a sample to 8; 16 keeps or scales them to 16, and
            those of 8 bits as they are.
    """

    exif: Exif = "apply"
    alpha: Alpha = "drop"
    frames: Frames = "first"
    max_pixels: int = MAX_PIXELS
    resize_short_px: int | None = None
    depth: Depth = 8


def scaled_short(height_px: int, width_px: int, short_px: int) -> tuple[int, int]:
    """Return (height, width) after scaling the shorter side to ``short_px``, rounded half up."""
    short, long = sorted((height_px, width_px))
    scaled = max((2 * long * short_px + short) // (2 * short), 1)
    return (short_px, scaled) if height_px <= width_px else (scaled, short_px)


def check_pixels(height_px: int, width_px: int, max_pixels: int) -> None:
    """Refuse a picture of more than ``max_pixels``, or with a side of more than `MAX_SIDE`.

    Raises:
        ImageError: it is larger.
    """
    expected = f"at most {max_pixels} pixels (--max-pixels)"
    if max(height_px, width_px) > MAX_SIDE:
        expected = f"at most {MAX_SIDE} on a side"
    elif height_px * width_px <= max_pixels:
        return
    found = values.sides(height_px, width_px)
    raise ImageError("too_many_pixels", f"found {found}, expected {expected}")
