"""Pillow as decoder of stored images: a second opinion, and for what simplejpeg does not decode.

Knows: Pillow. Must not know: windows, TFRecord.

Unlike `normalize`, which handles any file, this decodes only stored images, and changes no state
of the process, so that threads may decode at the same time.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

from PIL import Image, JpegImagePlugin, PngImagePlugin

from tfrec_cli.errors import ImageError
from tfrec_cli.imaging import formats, png
from tfrec_cli.imaging.jpeg import markers as jpeg_markers
from tfrec_cli.imaging.pillow import ALPHA_MODES, FrugalFile, foreign_errors
from tfrec_cli.imaging.policy import MAX_PIXELS, Alpha, check_pixels

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tfrec_cli.imaging.decoder import Pixels

_DEEP = {0: ("L", 1), 2: ("RGB", 3), 4: ("LA", 2), 6: ("RGBA", 4)}
"""Mode and channels of a PNG of 16 bits, by its type of colour."""


class DeepPng(NamedTuple):
    """A decoded PNG of 16 bits a sample, of which the rows are put together one by one.

    Attributes:
        channels: 1 to 4: grey or RGB, perhaps with alpha.
        rows: uint16[width, channels] of each row.
        clear: uint16[channels], the colour that is transparent; None if there is none.
    """

    height_px: int
    width_px: int
    channels: int
    rows: Iterable[npt.NDArray[np.uint16]]
    clear: npt.NDArray[np.uint16] | None

    @property
    def colours(self) -> int:
        """Channels without alpha."""
        return self.channels - (self.channels % 2 == 0)


def decode(data: bytes, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Decode stored JPEG or PNG bytes to the same pixels as TensorFlow's decoders.

    No orientation is applied, and alpha is dropped.

    Returns:
        uint8[height, width, 3], or uint16 of a PNG of 16 bits a sample.
    Raises:
        ImageError: neither JPEG nor PNG, larger than ``max_pixels``, or it cannot be decoded.
    Source for CMYK: tensorflow/core/lib/jpeg/jpeg_mem.cc. Pillow inverts every CMYK JPEG,
    TensorFlow only those with an Adobe marker.
    """
    import numpy as np

    with foreign_errors():
        if png.is_deep(data):
            deep = open_deep(data, max_pixels)
            values = np.empty((deep.height_px, deep.width_px, 3), np.uint16)
            for row, samples in enumerate(deep.rows):
                values[row] = samples[:, : deep.colours]
            return values
        image = _load(data, max_pixels)
        if image.mode == "CMYK":
            inks = np.asarray(image).astype(np.uint16)
            light = 255 - inks if "adobe" in image.info else inks
            return (light[..., :3] * light[..., 3:] // 255).astype(np.uint8)
        return np.asarray(to_rgb(image, "drop"))


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


def open_deep(data: bytes, max_pixels: int) -> DeepPng:
    """Decode a PNG of 16 bits a sample. Pillow gives either the high or the low byte of colour.

    Raises:
        ImageError, Exception: as for `open_png`.
    """
    import numpy as np

    file = png.repacked(data, max_pixels)
    mode, channels = _DEEP[png.samples(file)[1]]

    def part(mode: str | None, raw: str) -> tuple[npt.NDArray[np.generic], object]:
        file.seek(0)
        image = PngImagePlugin.PngImageFile(_file(file))
        if mode:
            image._mode = mode
            image.tile = [tile._replace(args=raw) for tile in image.tile]
        image.load()
        return np.asarray(image), image.info.get("transparency")

    rows: Iterable[npt.NDArray[np.uint16]]
    if mode == "L":
        whole, transparent = part(None, "")
        rows = (row.astype(np.uint16)[:, None] for row in whole)
    else:
        if mode == "LA":
            whole, transparent = part("RGBA", "RGBA")
            high, low = whole[..., ::2], whole[..., 1::2]
        else:
            high, transparent = part(mode, f"{mode};16B")
            low, _ = part(mode, f"{mode};16L")
        pairs = zip(high, low, strict=True)
        rows = (upper.astype(np.uint16) << 8 | lower for upper, lower in pairs)
        whole = high
    clear = None if transparent is None else np.array(transparent, np.uint16).reshape(-1)
    height_px, width_px = whole.shape[:2]
    return DeepPng(height_px, width_px, channels, rows, clear)


def _file(file: BinaryIO) -> BinaryIO:
    return cast("BinaryIO", FrugalFile(file))


def to_rgb(image: Image.Image, alpha: Alpha) -> Image.Image:
    """Convert a decoded picture of 8 bits a sample to RGB.

    Raises:
        ImageError: it has more bits, or transparent pixels with ``alpha="fail"``.
    """
    if image.mode[0] in "IF":
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
