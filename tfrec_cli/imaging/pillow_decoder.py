"""Pillow as the decoder of readers: the same pixels as TensorFlow, without TensorFlow.

Knows: Pillow. Must not know: where windows are, TFRecord.

Unlike `normalize`, which handles any file, this decodes only stored images, and changes no state
of the process, so that threads and forked processes may decode at the same time.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from PIL import Image, JpegImagePlugin, PngImagePlugin

from tfrec_cli.errors import ImageError
from tfrec_cli.imaging import formats, jpeg
from tfrec_cli.imaging.decoder import MARGIN_PX, Box
from tfrec_cli.imaging.normalize import stored_rgb
from tfrec_cli.imaging.pillow import foreign_errors
from tfrec_cli.imaging.policy import MAX_PIXELS, MAX_SIDE, check_pixels

if TYPE_CHECKING:
    from tfrec_cli.imaging.decoder import Pixels


class PillowDecoder:
    """Decodes JPEG and PNG images.

    Args:
        max_pixels: larger pictures are refused before they are decoded.
    """

    def __init__(self, max_pixels: int = MAX_PIXELS) -> None:
        self._max_pixels = max_pixels

    def decode_window(self, data: bytes, width_px: int, box: Box) -> Pixels:
        """Decode one window of a JPEG that has exact windows (`decoder.has_window`).

        Rows below it are not decoded.

        Args:
            width_px: width of the whole picture.
            box: (top, left, height, width) in pixels, inside the picture.
        Returns:
            uint8[height, width, 3], the same pixels as in the whole decoded picture.
        Raises:
            ImageError: it cannot be decoded, or is smaller than its record says.
        """
        top, left, height, width = box
        with foreign_errors():
            image = self._open_jpeg(data, top + height + MARGIN_PX)
            if image.width != width_px or image.height < top + height:
                found = f"found {image.width} columns and {image.height} rows"
                expected = f"expected {width_px} and at least {top + height} by its record"
                raise ImageError("corrupt", f"{found}, {expected}")
            image.load()
            return stored_rgb(image.crop((left, top, left + width, top + height)), "jpeg")

    def decode_whole(self, data: bytes) -> Pixels:
        """Decode a JPEG or PNG.

        Returns:
            uint8[height, width, 3].
        Raises:
            ImageError: neither JPEG nor PNG, or it cannot be decoded.
        """
        name = formats.image_format(data[: formats.HEAD_BYTES])
        with foreign_errors():
            image: Image.Image
            if name == "jpeg":
                jpeg.check_scans(data)
                image = self._open_jpeg(data)
            elif name == "png":
                image = PngImagePlugin.PngImageFile(io.BytesIO(data))
                check_pixels(image.height, image.width, self._max_pixels)
            else:
                found = formats.describe(data[: formats.HEAD_BYTES])
                raise ImageError("unsupported_format", f"found {found}, expected JPEG or PNG")
            image.load()
            return stored_rgb(image, name)

    def _open_jpeg(self, data: bytes, most_rows: int = MAX_SIDE) -> Image.Image:
        """Open a JPEG without its EXIF block: Pillow may warn about that."""
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(jpeg.bare(data, most_rows)))
        check_pixels(image.height, image.width, self._max_pixels)
        return image
