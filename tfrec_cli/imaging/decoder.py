"""The decoder of stored images for the writer and all readers: simplejpeg, and Pillow for the rest.

Knows: which decoder decodes what. Must not know: TFRecord, where crops are.

Pixels are those of `pillow_decoder.decode`, and an image is refused if that refuses it. Changes no
state of the process; threads decode at the same time.

Source: measured on 489 JPEGs of test suites and 12,000 damaged ones, see
docs/guides/bad-images.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfrec_cli.errors import ImageError
from tfrec_cli.imaging import jpeg, pillow_decoder, seek
from tfrec_cli.imaging.policy import MAX_PIXELS, check_pixels
from tfrec_cli.imaging.window import MARGIN_PX, Box, has_window

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tfrec_cli.imaging.jpeg import Jpeg

    Pixels = npt.NDArray[np.uint8]
    """uint8[height, width, 3], row-major RGB."""


def decode(data: bytes, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Decode a JPEG or PNG as TensorFlow does: no orientation is applied, alpha is dropped.

    Returns:
        uint8[height, width, 3].
    Raises:
        ImageError: neither JPEG nor PNG, larger than ``max_pixels``, or it cannot be decoded.
    """
    plain = _plain(data)
    if plain:
        pixels = _by_simplejpeg(*plain, max_pixels)
        if pixels is not None:
            return pixels
    return pillow_decoder.decode(data, max_pixels)


def decode_window(
    data: bytes, size: tuple[int, int], box: Box, max_pixels: int = MAX_PIXELS
) -> Pixels:
    """Decode one window of a JPEG or PNG; only the window if that gives exact pixels.

    Args:
        size: (height, width) of the whole picture in pixels, as its record says.
        box: (top, left, height, width) in pixels, inside the picture.
    Returns:
        uint8[height, width, 3], the same pixels as in the whole decoded picture.
    Raises:
        ImageError: as for `decode`, or the picture has another size.
    """
    top, left, height, width = box
    plain = _plain(data)
    if plain and has_window(*plain):
        small, markers = plain
        _check_size((markers.frame.height_px, markers.frame.width_px), size)
        if cut := seek.cut(small, box):
            small, start = cut.data, (cut.top, cut.left)
        else:
            small, start = jpeg.bare(small, top + height + MARGIN_PX), (top, left)
        pixels = _by_simplejpeg(small, markers, max_pixels)
        if pixels is not None:
            top, left = start
            return pixels[top : top + height, left : left + width]
    pixels = decode(data, max_pixels)
    _check_size(pixels.shape[:2], size)
    return pixels[top : top + height, left : left + width]


def crashed(cause: str) -> ImageError:
    """Make the error for an image whose decoder crashed or hung."""
    return ImageError("deadly", f"found {cause}, expected an image that decodes")


def _plain(data: bytes) -> tuple[bytes, Jpeg] | None:
    """Return a JPEG of a usual kind that is complete, without metadata that is not plain.

    Returns:
        Its bytes and markers; None for other images.
    """
    if data[:3] != b"\xff\xd8\xff":
        return None
    try:
        frame = jpeg.read_frame(data)
        if not frame.plain:
            data = jpeg.bare(data)
            frame = jpeg.read_frame(data)
        markers = jpeg.read(data, frame)
    except ImageError:
        return None
    is_usual = frame.plain and markers.scans <= jpeg.MAX_SCANS
    return (data, markers) if is_usual and jpeg.is_complete(data, markers) else None


def _by_simplejpeg(data: bytes, markers: Jpeg, max_pixels: int) -> Pixels | None:
    """Decode a JPEG by simplejpeg, or return None if it refuses.

    Damage in the data of a scan is only a warning, as in Pillow and TensorFlow. But after a
    warning, simplejpeg ignores errors, which markers between scans may cause.
    """
    import simplejpeg

    check_pixels(markers.frame.height_px, markers.frame.width_px, max_pixels)
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(data, strict=markers.scans > 1)
    except ValueError:
        return None
    return pixels


def _check_size(found: tuple[int, ...], expected: tuple[int, int]) -> None:
    if found != expected:
        message = f"found an image of {found}, expected {expected} by its record"
        raise ImageError("corrupt", message)
