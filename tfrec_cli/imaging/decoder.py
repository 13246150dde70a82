"""The decoder of stored images for the writer and all readers: simplejpeg, and Pillow for the rest.

Knows: which decoder decodes what. Must not know: TFRecord, where crops are.

Pixels are those of `pillow_decoder.decode`, and an image is refused if that refuses it: measured on
1,023 images of test suites and 40,000 damaged JPEGs. Threads decode at the same time, and no state
of the process is changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfrec_cli.errors import ImageError
from tfrec_cli.imaging import pillow_decoder
from tfrec_cli.imaging.jpeg import markers as jpeg_markers
from tfrec_cli.imaging.jpeg import seek
from tfrec_cli.imaging.jpeg.window import Box
from tfrec_cli.imaging.policy import MAX_PIXELS, check_pixels
from tfrec_cli.runtime import native

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tfrec_cli.imaging.jpeg.markers import Frame

    Pixels = npt.NDArray[np.unsignedinteger[Any]]
    """[height, width, 3], row-major RGB: uint8, or uint16 of a PNG of 16 bits a sample."""


def decode(data: native.Bytes, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Decode an image as TensorFlow does: no orientation is applied, alpha is dropped.

    Returns:
        uint8[height, width, 3], or uint16 of a PNG of 16 bits a sample.
    Raises:
        ImageError: none of `pillow_decoder.DECODED`, larger than ``max_pixels``, or it cannot be
            decoded.
    """
    data = bytes(data)
    plain = _plain(data, max_pixels)
    pixels = None
    if plain:
        jpeg_markers.check_scans(data)
        pixels = _by_simplejpeg(plain[0])
    return pillow_decoder.decode(data, max_pixels) if pixels is None else pixels


def decode_window(
    data: native.Bytes, size: tuple[int, int], box: Box, max_pixels: int = MAX_PIXELS
) -> Pixels:
    """Decode one window of an image; only the window of a JPEG if that gives exact pixels.

    Args:
        size: (height, width) of the whole picture in pixels, as its record says.
        box: (top, left, height, width) in pixels, inside the picture.
    Returns:
        [height, width, 3], the same pixels as in the whole decoded picture.
    Raises:
        ImageError: as for `decode`, or the picture has another size.
    """
    top, left, height, width = box
    pixels = None
    if plain := _plain(data, max_pixels):
        small, frame = plain
        _check_size((frame.height_px, frame.width_px), size)
        if cut := seek.cut(small, box):
            top, left = cut.top, cut.left
            pixels = _by_simplejpeg(cut.data)
    if pixels is None:
        top, left, _, _ = box
        pixels = decode(data, max_pixels)
        _check_size(pixels.shape[:2], size)
    return pixels[top : top + height, left : left + width]


def crashed(cause: str) -> ImageError:
    """Make the error for an image whose decoder crashed or hung."""
    return ImageError("deadly", f"found {cause}, expected an image that decodes")


def _plain(data: native.Bytes, max_pixels: int) -> tuple[native.Bytes, Frame] | None:
    """Return a JPEG of a usual kind, without metadata if that is not plain, and its frame.

    Returns:
        None for other images.
    Raises:
        ImageError: it has more than ``max_pixels``.
    """
    if data[:3] != b"\xff\xd8\xff":
        return None
    try:
        frame = jpeg_markers.read_frame(data)
        if not frame.plain:
            data = jpeg_markers.bare(bytes(data))
            frame = jpeg_markers.read_frame(data)
    except ImageError:
        return None
    if not frame.plain:
        return None
    check_pixels(frame.height_px, frame.width_px, max_pixels)
    return data, frame


def _by_simplejpeg(data: native.Bytes) -> Pixels | None:
    """Decode a JPEG by simplejpeg; return None if it refuses, or has a warning.

    Damage in the data of a scan is a warning, which Pillow and TensorFlow ignore. But if simplejpeg
    ignores warnings, it ignores the errors after them too, and returns what was in memory.
    """
    import simplejpeg

    try:
        pixels: Pixels = simplejpeg.decode_jpeg(data, strict=True)
    except ValueError:
        return None
    return pixels


def _check_size(found: tuple[int, ...], expected: tuple[int, int]) -> None:
    if found != expected:
        message = f"found an image of {found}, expected {expected} by its record"
        raise ImageError("corrupt", message)
