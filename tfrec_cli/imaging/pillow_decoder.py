"""Pillow as decoder of stored images: a second opinion, and for what simplejpeg does not decode.

Knows: Pillow. Must not know: windows, TFRecord.

Unlike `normalize`, which handles any file, this decodes only stored images, and changes no state
of the process, so that threads may decode at the same time.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO, cast

from PIL import Image, JpegImagePlugin, PngImagePlugin

from tfrec_cli.errors import ImageError
from tfrec_cli.imaging import formats, png
from tfrec_cli.imaging.jpeg import markers as jpeg_markers
from tfrec_cli.imaging.pillow import ALPHA_MODES, DEEP_MODES, FrugalFile, foreign_errors
from tfrec_cli.imaging.policy import MAX_PIXELS, Alpha, check_pixels

if TYPE_CHECKING:
    from tfrec_cli.imaging.decoder import Pixels


def decode(data: bytes, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Decode stored JPEG or PNG bytes to the same pixels as TensorFlow's decoders.

    No orientation is applied, alpha is dropped, and 16-bit values keep their upper eight bits.

    Returns:
        uint8[height, width, 3].
    Raises:
        ImageError: neither JPEG nor PNG, larger than ``max_pixels``, or it cannot be decoded.
    Source for CMYK: tensorflow/core/lib/jpeg/jpeg_mem.cc. Pillow inverts every CMYK JPEG,
    TensorFlow only those with an Adobe marker.
    """
    import numpy as np

    with foreign_errors():
        image = _load(data, max_pixels)
        if image.mode == "CMYK":
            inks = np.asarray(image).astype(np.uint16)
            light = 255 - inks if "adobe" in image.info else inks
            return (light[..., :3] * light[..., 3:] // 255).astype(np.uint8)
        if image.mode in DEEP_MODES:
            high = (np.asarray(image) >> 8).astype(np.uint8)
            return np.repeat(high[..., None], 3, axis=2)
        return np.asarray(to_rgb(image, "drop", is_deep=True))


def decoded_size(data: bytes, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Decode stored JPEG or PNG bytes as `decode` does and return (height, width).

    Raises:
        ImageError: neither JPEG nor PNG, larger than ``max_pixels``, or it cannot be decoded.
    """
    with foreign_errors():
        image = _load(data, max_pixels)
    return image.height, image.width


def _load(data: bytes, max_pixels: int) -> Image.Image:
    """Decode a JPEG without its EXIF block, about which Pillow may warn, or a PNG."""
    head = data[: formats.HEAD_BYTES]
    name = formats.image_format(head)
    image: Image.Image
    if name == "jpeg":
        jpeg_markers.check_scans(data)
        image = JpegImagePlugin.JpegImageFile(_file(io.BytesIO(jpeg_markers.bare(data))))
    elif name == "png":
        image = open_png(data, max_pixels)
    else:
        raise formats.refusal(head, "a JPEG or PNG image")
    check_pixels(image.height, image.width, max_pixels)
    image.load()
    return image


def open_png(data: bytes, max_pixels: int) -> PngImagePlugin.PngImageFile:
    """Open a PNG that keeps the rules of its format.

    Raises:
        ImageError: it breaks one, or is larger than ``max_pixels``.
        Exception: any error of Pillow.
    """
    return PngImagePlugin.PngImageFile(_file(png.repacked(data, max_pixels)))


def _file(file: BinaryIO) -> BinaryIO:
    return cast("BinaryIO", FrugalFile(file))


def to_rgb(image: Image.Image, alpha: Alpha, *, is_deep: bool) -> Image.Image:
    """Convert a decoded picture to RGB: 16-bit values are scaled by 1/257, never clipped.

    Args:
        is_deep: mode ``I`` stands for 16-bit values, not 32.
    Raises:
        ImageError: it has 32-bit values, or transparent pixels with ``alpha="fail"``.
    """
    if image.mode in DEEP_MODES or (image.mode == "I" and is_deep):
        import numpy as np

        values = np.asarray(image).astype(np.uint32)
        gray = Image.fromarray(((values + 128) // 257).astype(np.uint8))
        if alpha == "drop" or "transparency" not in image.info:
            return gray.convert("RGB")
        opaque = np.where(values == image.info["transparency"], 0, 255).astype(np.uint8)
        image = Image.merge("LA", (gray, Image.fromarray(opaque)))
    if image.mode in ("I", "F"):
        raise ImageError("unsupported_mode", "found 32-bit values, expected 8 or 16 bits a value")
    if image.mode in ALPHA_MODES or "transparency" in image.info:
        image = image.convert("RGBA")
        if alpha == "fail":
            lowest, _ = image.getchannel("A").getextrema()
            if int(lowest) < 255:  # type: ignore[arg-type]  # one channel has one pair of numbers
                raise ImageError("alpha", "found transparent pixels, expected none (--alpha)")
        elif alpha != "drop":
            image = Image.alpha_composite(Image.new("RGBA", image.size, alpha), image)
    return image if image.mode == "RGB" else image.convert("RGB")
