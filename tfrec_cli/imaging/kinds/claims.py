"""What the header of a file says of its samples, where Pillow alone would give wrong pixels.

Knows: which format needs what. Must not know: options.

A file is decoded here, left to Pillow with what remains to be done, or refused with its name. Each
combination that is accepted is compared with a second decoder in tests.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

from PIL import Image

from tfrec_cli.imaging import formats, pillow_decoder, png
from tfrec_cli.imaging.boxes import File
from tfrec_cli.imaging.kinds import avif, bmp, jpeg2000, pnm, tiff
from tfrec_cli.imaging.kinds.samples import Decoded, to_8_bits

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PROFILE_BYTES = 1 << 20
"""The largest colour profile that PNG decoders take: Pillow's limit on a compressed chunk."""

_PNG_CHANNELS = {2: ("RGB", 3), 4: ("LA", 2), 6: ("RGBA", 4)}


class Claim(NamedTuple):
    """What a header says.

    Attributes:
        deep: samples have more than 8 bits.
        size: (height, width) in pixels before it is turned; None if Pillow's is right.
        mode: Pillow's name for the pixels, of a picture that is decoded without Pillow's help.
        orientation: that of such a picture.
        icc: the colour profile of such a picture.
        animated: such a picture is followed by others.
        decode: decodes a file of at most so many pixels, not turned, instead of Pillow.
        finish: makes the picture of what Pillow decoded.
    """

    deep: bool = False
    size: tuple[int, int] | None = None
    mode: str | None = None
    orientation: int = 1
    icc: bytes = b""
    animated: bool = False
    decode: Callable[[bytes, int], Decoded] | None = None
    finish: Callable[[bytes, Image.Image], Decoded] | None = None


def read(name: formats.ImageFormat, file: File) -> Claim:
    """Read what the header of a file says.

    Raises:
        ImageError: the header is damaged, or no decoder is proven for what it says.
    """
    reader = _READERS.get(name)
    return reader(file) if reader else Claim()


def _head(file: File) -> bytes:
    file.seek(0)
    return file.read(pnm.HEAD_BYTES)


def _pnm(file: File) -> Claim:
    header = pnm.read(_head(file))

    def decode(data: bytes, _: int) -> Decoded:
        pixels, greatest = pnm.decode(data, header)
        return Decoded(Image.fromarray(pixels), greatest if header.most == 65535 else None)

    mode = "RGB" if header.channels == 3 else "L"
    size = (header.height_px, header.width_px)
    return Claim(header.most > 255, size, mode, decode=decode)


def _bmp(file: File) -> Claim:
    header = bmp.read(_head(file))
    if header is None:
        return Claim()

    def decode(data: bytes, _: int) -> Decoded:
        return Decoded(Image.fromarray(bmp.decode(data, header)))

    return Claim(size=(header.height_px, header.width_px), mode="RGB", decode=decode)


def _png(file: File) -> Claim:
    depth, colour = png.samples(file)
    if depth != 16:
        return Claim()
    if colour not in _PNG_CHANNELS:
        return Claim(deep=True, finish=_deep_grey)
    return Claim(deep=True, decode=partial(_deep_png, *_PNG_CHANNELS[colour]))


def _deep_grey(_: bytes, image: Image.Image) -> Decoded:
    import numpy as np

    return Decoded(image, int(np.asarray(image).max()))


def _deep_png(mode: str, channels: int, data: bytes, max_pixels: int) -> Decoded:
    """Decode a PNG of 16 bits: Pillow gives either the high or the low byte of each sample."""
    import numpy as np

    def part(mode: str, raw: str) -> tuple[npt.NDArray[np.uint8], object]:
        image = pillow_decoder.open_png(data, max_pixels)
        image._mode = mode
        image.tile = [tile._replace(args=raw) for tile in image.tile]
        image.load()
        return np.asarray(image), image.info.get("transparency")

    if mode == "LA":
        both, transparent = part("RGBA", "RGBA")
        high, low = both[..., ::2], both[..., 1::2]
    else:
        high, transparent = part(mode, f"{mode};16B")
        low, _ = part(mode, f"{mode};16L")
    clear = np.array(transparent, np.uint16) if isinstance(transparent, tuple) else None
    colours = channels - (channels % 2 == 0)
    out = np.empty((*high.shape[:2], channels + (clear is not None)), np.uint8)
    greatest = 0
    for row, (upper, lower) in enumerate(zip(high, low, strict=True)):
        values = upper.astype(np.uint16) << 8 | lower
        greatest = max(greatest, int(values[:, :colours].max()))
        out[row, :, :channels] = to_8_bits(values, 65535)
        if clear is not None:
            out[row, :, channels] = (values != clear).any(axis=1) * 255
    return Decoded(Image.fromarray(out), greatest)


def _jpeg2000(file: File) -> Claim:
    claimed = jpeg2000.read(file)

    def finish(_: bytes, image: Image.Image) -> Decoded:
        greatest = None
        if claimed.bits != 8:
            image, greatest = _rescaled(image, claimed.bits)
        if claimed.order != tuple(range(len(claimed.order))):
            bands = image.split()
            image = Image.merge(image.mode, [bands[number] for number in claimed.order])
        return Decoded(image, greatest if claimed.bits == 16 else None)

    return Claim(claimed.deep, finish=finish)


def _rescaled(image: Image.Image, bits: int) -> tuple[Image.Image, int]:
    """Scale samples that Pillow shifted to the left, so that the greatest is 255."""
    import numpy as np

    values = np.asarray(image) >> ((8 if bits < 8 else 16) - bits)
    return Image.fromarray(to_8_bits(values, (1 << bits) - 1)), int(values.max())


def _avif(file: File) -> Claim:
    claimed = avif.read(file)
    if claimed.aperture is None:
        return Claim(claimed.deep)
    top, left, height, width = claimed.aperture

    def finish(_: bytes, image: Image.Image) -> Decoded:
        return Decoded(image.crop((left, top, left + width, top + height)))

    return Claim(claimed.deep, (height, width), finish=finish)


def _tiff(file: File) -> Claim:
    from tfrec_cli.imaging.kinds import tiff_samples, tiff_strips

    claimed = tiff.read(file)
    size = (claimed.height_px, claimed.width_px)

    def decode(data: bytes, _: int) -> Decoded:
        image, greatest = tiff_samples.decode(data, claimed)
        return Decoded(image, greatest if claimed.bits == 16 else None)

    def finish(data: bytes, image: Image.Image) -> Decoded:
        tiff_strips.check(data, claimed, image)
        return Decoded(image)

    if not claimed.is_ours:
        return Claim(size=size, finish=finish)
    mode = tiff_samples.mode(claimed)
    return Claim(
        claimed.deep,
        size,
        mode,
        claimed.orientation,
        claimed.icc,
        claimed.followed,
        decode,
    )


_READERS = cast(
    "dict[formats.ImageFormat, Callable[[File], Claim]]",
    {
        "avif": _avif,
        "bmp": _bmp,
        "jpeg2000": _jpeg2000,
        "png": _png,
        "ppm": _pnm,
        "tiff": _tiff,
    },
)
