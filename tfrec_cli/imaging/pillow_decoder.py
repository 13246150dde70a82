"""Pillow as decoder of stored images: a second opinion, and for what simplejpeg does not decode.

Knows: Pillow. Must not know: windows, TFRecord.

Unlike `normalize`, which handles any file, this decodes only stored images, and changes no state
of the process, so that threads may decode at the same time. tfrec stores JPEG and PNG; other
programs also GIF, WebP and BMP.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

from tfrec_cli.errors import ImageError
from tfrec_cli.imaging import formats, gif, png
from tfrec_cli.imaging.jpeg import markers as jpeg_markers
from tfrec_cli.imaging.pillow import ALPHA_MODES, FrugalFile, foreign_errors
from tfrec_cli.imaging.policy import MAX_PIXELS, Alpha, check_pixels

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tfrec_cli.imaging.decoder import Pixels

_DEEP = {0: ("L", 1), 2: ("RGB", 3), 4: ("LA", 2), 6: ("RGBA", 4)}
"""Mode and channels of a PNG of 16 bits, by its type of colour."""

DECODED: tuple[formats.ImageFormat, ...] = ("jpeg", "png", "gif", "webp", "bmp")
"""Formats of stored images that are decoded."""

_EXPECTED = "a JPEG, PNG, GIF, WebP or BMP image"

_BMP_SAMPLES = {8: ("L",), 24: ("BGR",), 32: ("BGRX", "BGRA")}
"""Pillow's names for how samples are stored in a BMP that TensorFlow reads too, by bits a pixel."""

_BMP_INFO_BYTES = 40
_WEBP_ANIMATION = 2


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
    """Decode the bytes of a stored image to the same pixels as TensorFlow's decoders.

    No orientation is applied, and alpha is dropped; transparent pixels of a GIF are black.

    Returns:
        uint8[height, width, 3], or uint16 of a PNG of 16 bits a sample.
    Raises:
        ImageError: none of `DECODED`, larger than ``max_pixels``, it cannot be decoded, or
            TensorFlow reads it otherwise.
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
        if formats.image_format(data[: formats.HEAD_BYTES]) == "gif":
            return _decode_gif(data, max_pixels)
        image = _load(data, max_pixels)
        if image.mode == "CMYK":
            inks = np.asarray(image).astype(np.uint16)
            light = 255 - inks if "adobe" in image.info else inks
            return (light[..., :3] * light[..., 3:] // 255).astype(np.uint8)
        return np.asarray(to_rgb(image, "drop"))


def decoded_size(data: bytes, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Decode the bytes of a stored image as `decode` does and return (height, width).

    Raises:
        ImageError: as for `decode`.
    """
    with foreign_errors():
        if formats.image_format(data[: formats.HEAD_BYTES]) == "gif":
            height, width, _ = _decode_gif(data, max_pixels).shape
            return height, width
        image = _load(data, max_pixels)
    return image.height, image.width


def _load(data: bytes, max_pixels: int) -> Image.Image:
    """Decode a JPEG without its EXIF block, about which Pillow may warn; a PNG, WebP or BMP."""
    head = data[: formats.HEAD_BYTES]
    name = formats.image_format(head)
    image: Image.Image
    if name == "jpeg":
        jpeg_markers.check_scans(data)
        image = JpegImagePlugin.JpegImageFile(_file(io.BytesIO(jpeg_markers.bare(data))))
    elif name == "png":
        image = open_png(data, max_pixels)
    elif name == "webp":
        image = _open_webp(data)
    elif name == "bmp":
        image = _open_bmp(data)
    else:
        raise formats.refusal(head, _EXPECTED)
    check_pixels(image.height, image.width, max_pixels)
    image.load()
    return image


def _decode_gif(data: bytes, max_pixels: int) -> Pixels:
    """Decode a GIF of one picture, with black where it is transparent.

    Raises:
        ImageError, Exception: as for `open_png`.
    """
    import numpy as np

    header = gif.read(data)
    check_pixels(header.height_px, header.width_px, max_pixels)
    image = GifImagePlugin.GifImageFile(_file(io.BytesIO(data)))
    image.load()
    numbers = np.asarray(image)
    if numbers.max() >= header.colours:
        found = f"found colour {numbers.max()}"
        raise ImageError("corrupt", f"{found}, expected less than {header.colours}")
    pixels = np.array(image.convert("RGB"))
    if header.clear is not None:
        pixels[numbers == header.clear] = 0
    return pixels


def _open_webp(data: bytes) -> Image.Image:
    """Open a WebP of one picture."""
    if data[12:16] == b"VP8X" and data[20] & _WEBP_ANIMATION:
        raise ImageError("animated", "found an animated WebP, expected one picture")
    return WebPImagePlugin.WebPImageFile(_file(io.BytesIO(data)))


def _open_bmp(data: bytes) -> Image.Image:
    """Open a BMP of grey, RGB or RGBA.

    Raises:
        ImageError: it has a palette, masks or run lengths, which TensorFlow does not read.
    """
    image = BmpImagePlugin.BmpImageFile(_file(io.BytesIO(data)))
    start, info_bytes, bits = struct.unpack_from("<II10xH", data, 10)
    tile = image.tile[0]
    samples, stride, *_ = cast("tuple[str, int, int]", tile.args)
    is_usual = tile.codec_name == "raw" and samples in _BMP_SAMPLES.get(bits, ())
    if info_bytes < _BMP_INFO_BYTES or tile.offset != start or not is_usual:
        raise ImageError(
            "unsupported_mode",
            f"found a BMP of {bits} bits a pixel, stored as {samples}; expected one of 24 or 32 "
            "bits, or of 8 bits of grey, which TensorFlow reads too",
        )
    size = start + stride * image.height
    if len(data) != size:
        reason = "truncated" if len(data) < size else "corrupt"
        raise ImageError(reason, f"found a BMP of {len(data)} bytes, expected {size}")
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
