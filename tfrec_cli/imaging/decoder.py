"""The decoder of stored images for the writer and all readers: simplejpeg, and Pillow for the rest.

Knows: which decoder decodes what. Must not know: TFRecord, where crops are.

Pixels are those of `pillow_decoder.decode`, and an image is refused if that refuses it: measured on
1,023 images of test suites and 40,000 damaged JPEGs. So a JPEG whose data are damaged is decoded as
far as they go, and that can be asked for. Threads decode at the same time, and no state of the
process is changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tfrec_cli.errors import ImageError
from tfrec_cli.imaging import pillow_decoder
from tfrec_cli.imaging.jpeg import damage as jpeg_damage
from tfrec_cli.imaging.jpeg import markers as jpeg_markers
from tfrec_cli.imaging.jpeg import seek
from tfrec_cli.imaging.jpeg.window import Box
from tfrec_cli.imaging.policy import MAX_PIXELS, check_pixels
from tfrec_cli.runtime import native
from tfrec_cli.runtime.values import sides

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tfrec_cli.imaging.jpeg.markers import Frame

    Pixels = npt.NDArray[np.unsignedinteger[Any]]
    """[height, width, 3], row-major RGB: uint8, or uint16 of a PNG of 16 bits a sample."""


class Noted(NamedTuple):
    """A decoded image, or a window of one.

    Attributes:
        pixels: as of `decode`.
        damage: what is wrong with the data of a usual JPEG, in the words of libjpeg; "" if nothing
            is, and for other images.
    """

    pixels: Pixels
    damage: str = ""


def decode(data: native.Bytes, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Decode an image as TensorFlow does: no orientation is applied, alpha is dropped.

    Returns:
        uint8[height, width, 3], or uint16 of a PNG of 16 bits a sample.
    Raises:
        ImageError: none of `pillow_decoder.DECODED`, larger than ``max_pixels``, or it cannot be
            decoded.
    """
    return decode_noted(data, max_pixels).pixels


def decode_noted(data: native.Bytes, max_pixels: int = MAX_PIXELS) -> Noted:
    """Decode an image as `decode` does, and note damage of its data.

    Raises:
        ImageError: as for `decode`.
    """
    data = bytes(data)
    damage = ""
    if plain := _plain(data, max_pixels):
        jpeg_markers.check_scans(data)
        small, frame = plain
        found = _by_simplejpeg(small)
        if not isinstance(found, str):
            return Noted(found)
        damage = jpeg_damage.damage(found, bytes(small)[frame.end :])
    return Noted(pillow_decoder.decode(data, max_pixels), damage)


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
    return decode_window_noted(data, size, box, max_pixels).pixels


def decode_window_noted(
    data: native.Bytes, size: tuple[int, int], box: Box, max_pixels: int = MAX_PIXELS
) -> Noted:
    """Decode one window as `decode_window` does, and note damage if the whole has to be decoded.

    Raises:
        ImageError: as for `decode_window`.
    """
    top, left, height, width = box
    if plain := _plain(data, max_pixels):
        small, frame = plain
        _check_size((frame.height_px, frame.width_px), size)
        if cut := seek.cut(small, box):
            pixels = _by_simplejpeg(cut.data)
            if not isinstance(pixels, str):
                return Noted(pixels[cut.top : cut.top + height, cut.left : cut.left + width])
    whole = decode_noted(data, max_pixels)
    _check_size(whole.pixels.shape[:2], size)
    return Noted(whole.pixels[top : top + height, left : left + width], whole.damage)


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


def _by_simplejpeg(data: native.Bytes) -> Pixels | str:
    """Decode a JPEG by simplejpeg; return its words if it refuses, or has a warning.

    Damage in the data of a scan is a warning, which Pillow and TensorFlow ignore. But if simplejpeg
    ignores warnings, it ignores the errors after them too, and returns what was in memory.
    """
    import simplejpeg

    try:
        pixels: Pixels = simplejpeg.decode_jpeg(data, strict=True)
    except ValueError as error:
        return str(error)
    return pixels


def _check_size(found: tuple[int, ...], expected: tuple[int, int]) -> None:
    if found != expected:
        message = f"found an image {sides(*found)}, expected {sides(*expected)} by its record"
        raise ImageError("corrupt", message)
