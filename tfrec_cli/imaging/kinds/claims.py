"""What the header of a file says of its samples, where Pillow alone would give wrong pixels.

Knows: which format needs what. Must not know: options.

A file is decoded here, left to Pillow with what remains to be done, or refused with its name. Each
combination that is accepted is compared with a second decoder in tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, cast

from PIL import Image

from tfrec_cli.imaging import formats, pillow_decoder, png
from tfrec_cli.imaging.boxes import File
from tfrec_cli.imaging.kinds import avif, bmp, jpeg2000, pnm, tiff
from tfrec_cli.imaging.kinds.samples import DEEP_BITS, Decoded, most, scaled

if TYPE_CHECKING:
    from tfrec_cli.imaging.kinds.samples import Samples

PROFILE_BYTES = 1 << 20
"""The largest colour profile that PNG decoders take: Pillow's limit on a compressed chunk."""


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

    The last argument of both is the bits of a sample of the picture, 16 only if it is deep.
    """

    deep: bool = False
    size: tuple[int, int] | None = None
    mode: str | None = None
    orientation: int = 1
    icc: bytes = b""
    animated: bool = False
    decode: Callable[[bytes, int, int], Decoded] | None = None
    finish: Callable[[bytes, Image.Image, int], Decoded] | None = None


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

    def decode(data: bytes, _: int, bits: int) -> Decoded:
        pixels, greatest = pnm.decode(data, header, bits)
        return _decoded(pixels, greatest if header.most == most(DEEP_BITS) else None)

    mode = "RGB" if header.channels == 3 else "L"
    size = (header.height_px, header.width_px)
    return Claim(header.most > 255, size, mode, decode=decode)


def _bmp(file: File) -> Claim:
    header = bmp.read(_head(file))
    if header is None:
        return Claim()

    def decode(data: bytes, _: int, __: int) -> Decoded:
        return Decoded(Image.fromarray(bmp.decode(data, header)))

    return Claim(size=(header.height_px, header.width_px), mode="RGB", decode=decode)


def _png(file: File) -> Claim:
    depth, _ = png.samples(file)
    return Claim(deep=True, decode=_deep_png) if depth == DEEP_BITS else Claim()


def _deep_png(data: bytes, max_pixels: int, bits: int) -> Decoded:
    import numpy as np

    deep = pillow_decoder.open_deep(data, max_pixels)
    channels = deep.channels + (deep.clear is not None)
    out = np.empty((deep.height_px, deep.width_px, channels), np.uint8 if bits == 8 else np.uint16)
    greatest = 0
    for row, values in enumerate(deep.rows):
        greatest = max(greatest, int(values[:, : deep.colours].max()))
        out[row, :, : deep.channels] = scaled(values, most(DEEP_BITS), bits)
        if deep.clear is not None:
            out[row, :, -1] = (values != deep.clear).any(axis=1) * most(bits)
    return _decoded(out, greatest)


def _decoded(pixels: Samples, greatest: int | None) -> Decoded:
    """Return pixels of 8 bits a sample as an image, of 16 as [height, width, channels]."""
    if pixels.itemsize == 1:
        plane = pixels[..., 0] if pixels.shape[2:] == (1,) else pixels
        return Decoded(Image.fromarray(plane), greatest)
    return Decoded(pixels.reshape(*pixels.shape[:2], -1), greatest)


def _jpeg2000(file: File) -> Claim:
    claimed = jpeg2000.read(file)

    def finish(_: bytes, image: Image.Image, bits: int) -> Decoded:
        if claimed.bits != 8:
            decoded = _rescaled(image, claimed.bits, bits)
            if claimed.deep:  # one component
                return decoded if claimed.bits == DEEP_BITS else Decoded(decoded.picture)
            image = cast("Image.Image", decoded.picture)
        if claimed.order != tuple(range(len(claimed.order))):
            bands = image.split()
            image = Image.merge(image.mode, [bands[number] for number in claimed.order])
        return Decoded(image)

    return Claim(claimed.deep, finish=finish)


def _rescaled(image: Image.Image, found: int, bits: int) -> Decoded:
    """Scale samples of ``found`` bits that Pillow shifted to the left."""
    import numpy as np

    shifted: Samples = np.asarray(image)
    values = shifted >> shifted.dtype.type((8 if found < 8 else DEEP_BITS) - found)
    return _decoded(scaled(values, most(found), bits), int(values.max()))


def _avif(file: File) -> Claim:
    claimed = avif.read(file)
    if claimed.aperture is None:
        return Claim(claimed.deep)
    top, left, height, width = claimed.aperture

    def finish(_: bytes, image: Image.Image, __: int) -> Decoded:
        return Decoded(image.crop((left, top, left + width, top + height)))

    return Claim(claimed.deep, (height, width), finish=finish)


def _tiff(file: File) -> Claim:
    from tfrec_cli.imaging.kinds import tiff_samples, tiff_strips

    claimed = tiff.read(file)
    size = (claimed.height_px, claimed.width_px)

    def decode(data: bytes, _: int, bits: int) -> Decoded:
        decoded = tiff_samples.decode(data, claimed, bits)
        return decoded if claimed.bits == DEEP_BITS else Decoded(decoded.picture)

    def finish(data: bytes, image: Image.Image, _: int) -> Decoded:
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
