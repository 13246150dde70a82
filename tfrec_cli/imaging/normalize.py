"""Makes the images that records store: decoded, turned upright, scaled, encoded, by Pillow.

Knows: image files and pixels. Must not know: TFRecord, where crops are, randomness.

Pixels are ``uint8[height, width, 3]``, row-major RGB; or ``uint16[height, width, 1 or 3]``, grey or
RGB, if the policy keeps a picture of more than 8 bits a sample. Pillow and TensorFlow's
``decode_jpeg(dct_method="INTEGER_ACCURATE")`` decode every 8-bit JPEG and PNG to the same pixels.
"""

from __future__ import annotations

import io
import zlib
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import PIL
from PIL import Image, features

from tfrec_cli.errors import ImageError
from tfrec_cli.imaging import decoder, formats, pillow, pillow_decoder, strip
from tfrec_cli.imaging.header import Examined, Header, examine
from tfrec_cli.imaging.jpeg import markers as jpeg_markers
from tfrec_cli.imaging.jpeg.markers import Frame
from tfrec_cli.imaging.jpeg.window import has_exact_window
from tfrec_cli.imaging.kinds import claims, deep
from tfrec_cli.imaging.kinds.samples import Decoded
from tfrec_cli.imaging.policy import (
    JPEG_QUALITY,
    MAX_PIXELS,
    Encoding,
    Policy,
    check_pixels,
    scaled_short,
)
from tfrec_cli.runtime.stderr import stderr_silenced
from tfrec_cli.runtime.values import sides

if TYPE_CHECKING:
    from tfrec_cli.imaging.decoder import Pixels

_JPEG_SIDE_LIMIT = 65_500
"""The largest side that libjpeg encodes."""

METADATA = "metadata"
"""The change of an image that lost its metadata and nothing else."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


_TURNED = {
    **_UPRIGHT,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}
"""What undoes `_UPRIGHT`."""


class Stored(NamedTuple):
    """An image as a record stores it.

    Attributes:
        data: the bytes of the file, or of the transcoded image.
        window: whether a window of it can be decoded exactly.
        changes: why the bytes are not those of the file, in stable words; empty if they are.
        has_icc: whether the file has a colour profile.
        greatest: the greatest value of a picture of 16 bits before it was scaled.
        damage: see `decoder.Noted`; "" if the image was not decoded.
    """

    data: bytes
    height_px: int
    width_px: int
    window: bool
    changes: tuple[str, ...]
    has_icc: bool
    greatest: int | None = None
    damage: str = ""


class Normalized(NamedTuple):
    """The pixels that a policy makes of an image file.

    Attributes:
        pixels: as of `decode`.
        greatest, damage: see `Stored`.
    """

    pixels: Pixels
    greatest: int | None = None
    damage: str = ""


def load(*, arrays: bool) -> None:
    """Load the decoders, so that each forked worker need not load them.

    Args:
        arrays: load what pixels need too.
    """
    Image.preinit()
    if arrays:
        import simplejpeg  # noqa: F401  # only to load it


def decode(data: bytes, policy: Policy) -> Pixels:
    """Decode an image file to the pixels that ``policy`` makes of it.

    Values of more than 8 bits are scaled, never clipped; CMYK is converted; ICC profiles are not
    applied.

    Returns:
        uint8[height, width, 3]; uint16[height, width, 1 or 3] of a deep picture with depth 16.
    Raises:
        ImageError: it cannot be decoded completely, or the policy does not allow it.
    """
    return _decode(data, policy).pixels


def _decode(data: bytes, policy: Policy) -> Normalized:
    """Decode as `decode` does."""
    import numpy as np

    name = formats.image_format(data[: formats.HEAD_BYTES])
    if name is None:
        raise formats.refusal(data[: formats.HEAD_BYTES], "an image")
    if name == "jpeg":
        jpeg_markers.check_scans(data)
    file = pillow.FrugalFile(io.BytesIO(data))
    with pillow.bounded(policy.max_pixels):
        claim = claims.read(name, file)
        if claim.mode and claim.decode:
            if claim.size:
                check_pixels(*claim.size, policy.max_pixels)
            orientation = claim.orientation if policy.exif == "apply" else 1
            decoded = claim.decode(data, policy.max_pixels, _bits(claim, policy))
        else:
            file.seek(0)
            with pillow.open_image(file, name, policy) as image:
                stored = pillow.orientation_of(image, name, file)
                orientation = _left_to_do(stored, name, policy)
                decoded = _picture(data, image, name, claim, stored, policy)
        picture = decoded.picture
        if isinstance(picture, np.ndarray):
            pixels = deep.upright(deep.without_alpha(picture, policy.alpha), orientation)
        else:
            rgb = pillow_decoder.to_rgb(picture, policy.alpha)
            if orientation != 1:
                rgb = rgb.transpose(_UPRIGHT[orientation])
            pixels = np.asarray(rgb)
        return Normalized(_scaled_short(pixels, policy), decoded.greatest, decoded.damage)


def _bits(claim: claims.Claim, policy: Policy) -> int:
    """Return how many bits a sample a decoded picture is to have."""
    return policy.depth if claim.deep else 8


def _scaled_short(pixels: Pixels, policy: Policy) -> Pixels:
    """Scale the shorter side of a picture, if the policy says so."""
    if not policy.resize_short_px:
        return pixels
    size = scaled_short(pixels.shape[0], pixels.shape[1], policy.resize_short_px)
    check_pixels(*size, policy.max_pixels)
    return pixels if pixels.shape[:2] == size else _resized(pixels, *size)


def _resized(pixels: Pixels, height_px: int, width_px: int) -> Pixels:
    import numpy as np

    if pixels.itemsize > 1:
        return deep.resized(pixels, height_px, width_px)
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((width_px, height_px), Image.Resampling.BICUBIC))


def _left_to_do(orientation: int, name: formats.ImageFormat, policy: Policy) -> int:
    """Return the orientation by which a decoded picture is still to be turned."""
    applies = policy.exif == "apply"
    if name not in pillow.UPRIGHT_FORMATS:
        return orientation if applies else 1
    return 1 if applies else {6: 8, 8: 6}.get(orientation, orientation)


def _picture(
    data: bytes,
    image: Image.Image,
    name: formats.ImageFormat,
    claim: claims.Claim,
    orientation: int,
    policy: Policy,
) -> Decoded:
    """Decode the first frame of an opened image, not turned."""
    if name == "jpeg" and image.mode in ("L", "RGB"):
        pixels, damage = decoder.decode_noted(data, policy.max_pixels)
        return Decoded(Image.fromarray(pixels), damage=damage)
    if claim.decode:
        return claim.decode(data, policy.max_pixels, _bits(claim, policy))
    if name == "png":
        image = pillow_decoder.open_png(data, policy.max_pixels)
    if name != "heic":  # opened at its primary picture, which may be another than the first
        image.seek(0)
    with stderr_silenced() if name == "tiff" else nullcontext():  # libtiff writes to it
        image.load()
    picture: Image.Image = image
    if name == "tiff" and orientation != 1:  # Pillow has turned it
        picture = picture.transpose(_TURNED[orientation])
    bits = _bits(claim, policy)
    return claim.finish(data, picture, bits) if claim.finish else Decoded(picture)


def store_whole(data: bytes, policy: Policy, *, decodes: bool, strips: bool = False) -> Stored:
    """Make the image that a record of a whole image stores.

    Upright 8-bit JPEG and PNG files keep their bytes, 16-bit PNG files if the policy keeps 16 bits.
    Others are transcoded: JPEG to JPEG of quality 95 with the same chroma sampling, the rest to
    PNG.

    Args:
        decodes: decode every image as a check, not only those that are transcoded.
        strips: remove metadata; transcoded images have none.
    Raises:
        ImageError: the file is incomplete or damaged, or the policy does not allow it.
    """
    examined = examine(data, policy, decodes=decodes)
    header, markers, changes = examined.header, examined.markers, examined.changes
    size = (header.height_px, header.width_px)
    greatest, damage = None, ""
    if changes:
        pixels, greatest, damage = _decode(data, policy)
        size = pixels.shape[:2]
        data = _transcode(pixels, examined, _icc_profile(data, header, policy))
        markers = jpeg_markers.read(data) if markers else None
    else:
        if decodes or header.deep:
            _, greatest, damage = _decode(data, policy)
        stripped = (strip.jpeg_file if markers else strip.png_file)(data) if strips else data
        if stripped is not data:
            data, changes = stripped, (METADATA,)
    return Stored(
        data=data,
        height_px=size[0],
        width_px=size[1],
        window=markers is not None and has_exact_window(markers),
        changes=changes,
        has_icc=header.icc,
        greatest=greatest,
        damage=damage,
    )


def decode_examined(data: bytes, examined: Examined, policy: Policy) -> Normalized:
    """Decode an image file to the pixels of the image that `store_whole` makes.

    So a crop from the file equals a crop from the stored image, even if that is transcoded to JPEG.

    Args:
        examined: the result of `header.examine`.
    Raises:
        ImageError: it cannot be decoded, or the policy does not allow it.
    """
    found = _decode(data, policy)
    if examined.changes and examined.markers:
        stored = _transcode(found.pixels, examined, None)
        return found._replace(pixels=decoder.decode(stored, policy.max_pixels))
    return found


def enlarge(
    pixels: Pixels,
    height_px: int,
    width_px: int,
    how: Literal["pad", "resize"],
    max_pixels: int = MAX_PIXELS,
) -> Pixels:
    """Make a picture at least ``height_px`` by ``width_px``: with black around it, or scaled up.

    Args:
        pixels: as of `decode`.
    Returns:
        [>= height_px, >= width_px, channels]; ``pixels`` itself if it is large enough.
    Raises:
        ImageError: it would have more than ``max_pixels``.
    """
    import numpy as np

    from tfrec_cli import crops

    size = height, width = pixels.shape[:2]
    if crops.holds(size, (height_px, width_px)):
        return pixels
    if how == "pad":
        return np.pad(pixels, crops.margins(size, (height_px, width_px)))
    new_height, new_width = height_px, -(-width * height_px // height)
    if new_width < width_px:
        new_height, new_width = -(-height * width_px // width), width_px
    check_pixels(new_height, new_width, max_pixels)
    return _resized(pixels, new_height, new_width)


def encode(
    pixels: Pixels,
    encoding: Encoding,
    *,
    quality: int = JPEG_QUALITY,
    icc: bytes | None = None,
    sampling: str = "4:4:4",
    gray: bool = False,
) -> bytes:
    """Encode uint8[height, width, 3] as raw rows, PNG, or JPEG of ``quality`` 1 to 100.

    Pixels of 16 bits, uint16[height, width, 1 or 3], are encoded as PNG.

    Raises:
        ImageError: too large for a JPEG.
    """
    if pixels.itemsize > 1:
        assert encoding == "png"
        return deep.png_file(pixels, icc)
    if encoding == "raw":
        return pixels.tobytes()
    image = Image.fromarray(pixels)
    if gray:
        image = image.convert("L")
    out = io.BytesIO()
    options: dict[str, Any] = {"icc_profile": icc} if icc else {}
    if encoding == "png":
        image.save(out, "PNG", **options)
    elif max(pixels.shape) > _JPEG_SIDE_LIMIT:
        found = sides(*pixels.shape[:2])
        expected = f"at most {_JPEG_SIDE_LIMIT} on a side for JPEG"
        raise ImageError("cannot_be_encoded", f"found {found}, expected {expected}")
    else:
        image.save(out, "JPEG", quality=quality, subsampling=sampling, **options)
    return out.getvalue()


def versions(depth: int = 8) -> dict[str, str]:
    """Return the versions of the encoding libraries: bytes of transcoded images depend on them.

    Args:
        depth: bits of a sample; pictures of 16 are compressed by Python's own zlib.
    """
    deep_ones = {"python_zlib": zlib.ZLIB_RUNTIME_VERSION} if depth > 8 else {}
    return {
        "pillow": PIL.__version__,
        "libjpeg": str(features.version("libjpeg_turbo") or features.version("jpg")),
        "zlib": str(features.version("zlib")),
        **deep_ones,
    }


def _transcode(pixels: Pixels, examined: Examined, icc: bytes | None) -> bytes:
    header, markers = examined.header, examined.markers
    if markers is None:
        return encode(pixels, "png", icc=icc)
    sampling = _chroma_sampling(markers.frame)
    return encode(pixels, "jpeg", icc=icc, sampling=sampling, gray=header.mode == "L")


def _chroma_sampling(frame: Frame) -> str:
    factors = [*frame.sampling, (1, 1)]
    luma, chroma = factors[0], factors[1]
    ratio = (luma[0] / max(chroma[0], 1), luma[1] / max(chroma[1], 1))
    return {(2.0, 1.0): "4:2:2", (2.0, 2.0): "4:2:0"}.get(ratio, "4:4:4")


def _icc_profile(data: bytes, header: Header, policy: Policy) -> bytes | None:
    """Return the colour profile to keep; None for that of a CMYK or LAB picture."""
    if not header.icc or header.mode in ("CMYK", "LAB"):
        return None
    file = pillow.FrugalFile(io.BytesIO(data))
    with pillow.bounded(policy.max_pixels):
        if own := claims.read(header.format, file).icc:
            return own
        file.seek(0)
        with pillow.open_image(file, header.format, policy) as image:
            profile: bytes = image.info["icc_profile"]
            return profile
