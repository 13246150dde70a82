"""Images: header, structure, decode to RGB, orient, scale, cut, encode. All by Pillow.

Knows: image files and pixels. Must not know: TFRecord, where crops lie, randomness.

Pixels are ``uint8[height, width, 3]``, row-major RGB, everywhere. Pillow and TensorFlow's
``decode_jpeg(dct_method="INTEGER_ACCURATE")`` give the same ones for every 8-bit JPEG and PNG.
"""

from __future__ import annotations

import io
import logging
import os
import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast

import PIL
from PIL import Image, features

from tfrec_cli.errors import ImageError, TfrecError
from tfrec_cli.imaging import formats, structure
from tfrec_cli.imaging.policy import JPEG_QUALITY, Alpha, Encoding, Exif, Frames
from tfrec_cli.imaging.policy import MAX_PIXELS as MAX_PIXELS
from tfrec_cli.runtime.stderr import stderr_silenced

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

logging.getLogger("PIL").addHandler(logging.NullHandler())  # what it says, its errors say too

_JPEG_SIDE_LIMIT = 65_500
"""What libjpeg encodes at most."""

MAX_SIDE = 1 << 20
"""Decoders keep a pointer for each row, and allocate rows at once."""

_MOST_READS = 100_000
"""Decoders read pieces of headers one by one; a small file may have millions of them."""

_MOST_HEADER_BYTES = 1 << 26
"""What may be read of a file to learn its size in pixels."""

_HEAD_BYTES = 1 << 14
"""Enough for what stands before most JPEGs' scans."""

_ORIENTATION_TAG = 0x0112
_SIDEWAYS = 5
"""The first orientation of pictures that lie on their side."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PILLOW_FORMATS: dict[formats.ImageFormat, tuple[str, ...]] = {
    "jpeg": ("JPEG",),
    "png": ("PNG",),
    "gif": ("GIF",),
    "webp": ("WEBP",),
    "bmp": ("BMP",),
    "tiff": ("TIFF",),
    "ppm": ("PPM",),
    "avif": ("AVIF",),
    "jpeg2000": ("JPEG2000",),
}
_MOST_DIGITS_BYTES, _MOST_COMMENTS = 1 << 22, 1000
"""Of a PPM file of digits: Pillow reads each by itself, and copies the rest at each comment."""

_DEEP_MODES = ("I;16", "I;16B", "I;16L", "I;16N")
_ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What pixels are made of an image file.

    Attributes:
        exif: ``apply`` turns the picture upright by its EXIF orientation.
        alpha: ``drop`` keeps the colours, ``white`` and ``black`` lay the picture on that colour,
            ``fail`` refuses a picture with a transparent pixel.
        frames: ``first`` takes the first frame of an animation, ``fail`` refuses it.
        max_pixels: larger pictures are refused before they are decoded.
        resize_short_px: first scale the shorter side to this (bicubic), in pixels.
    """

    exif: Exif = "apply"
    alpha: Alpha = "drop"
    frames: Frames = "first"
    max_pixels: int = MAX_PIXELS
    resize_short_px: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What an image file says of itself before it is decoded.

    Attributes:
        height_px, width_px: upright, if the policy turns pictures upright, and before any scaling.
        mode: Pillow's name for the kind of pixels: ``RGB``, ``L``, ``CMYK``, ``I;16``…
        orientation: the EXIF orientation, 1 (upright) to 8; of a TIFF, which decoders always turn
            upright, 1.
        animated: several frames; a JPEG's further pictures (previews, depth) are none.
        deep: more than 8 bits a value.
    """

    format: formats.ImageFormat
    height_px: int
    width_px: int
    mode: str
    orientation: int
    animated: bool
    deep: bool
    alpha: bool
    icc: bool


@dataclass(frozen=True, slots=True)
class Examined:
    """What an image file says of itself.

    Attributes:
        jpeg: the markers of a JPEG.
        changes: what keeps it from being stored as its file's bytes, in stable words.
    """

    header: Header
    jpeg: structure.Jpeg | None
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An image as a record stores it.

    Attributes:
        data: the file's bytes, or what they were made into.
        window: whether a window of it can be decoded exactly (see `structure.Jpeg`).
        changes: why the bytes are not the file's, in stable words; empty where they are.
    """

    data: bytes
    height_px: int
    width_px: int
    window: bool
    changes: tuple[str, ...]


def load(*, arrays: bool) -> None:
    """Load the decoders, which otherwise every worker does by itself that comes to need them.

    Args:
        arrays: NumPy too, for those who look at pixels.
    """
    Image.preinit()
    if arrays:
        import numpy  # noqa: F401  # to be there


def read_header(file: BinaryIO, policy: Policy) -> Header:
    """Read what an image file says of itself, and refuse what ``policy`` refuses unseen.

    Args:
        file: opened for reading and seeking, at its start.
    Raises:
        ImageError: no image, not a format that is read, its header is damaged, too many pixels,
            an animation under ``frames="fail"``.
    """
    head = file.read(_HEAD_BYTES)
    if frame := _plain_frame(head, policy):
        return _plain_header(frame, policy)
    name = formats.image_format(head[: formats.HEAD_BYTES])
    if name is None:
        reason = "empty" if not head else "not_an_image"
        found = formats.describe(head[: formats.HEAD_BYTES]) if head else "an empty file"
        raise ImageError(
            reason, f"found {found}, expected one of {', '.join(formats.IMAGE_FORMATS)}"
        )
    file.seek(0)
    frugal = _Frugal(file, _MOST_HEADER_BYTES)
    with _foreign_decoder(policy.max_pixels), _open(frugal, name, policy) as image:
        orientation = _orientation(image, name, frugal)
        height_px, width_px = image.height, image.width
        if policy.exif == "apply" and orientation >= _SIDEWAYS:
            height_px, width_px = width_px, height_px
        header = Header(
            format=name,
            height_px=height_px,
            width_px=width_px,
            mode=image.mode,
            orientation=orientation,
            animated=bool(getattr(image, "is_animated", False)) and image.format != "MPO",
            deep=image.mode in _DEEP_MODES or (name == "png" and head[24:25] == b"\x10"),
            alpha=image.mode in _ALPHA_MODES or "transparency" in image.info,
            icc=bool(image.info.get("icc_profile")),
        )
    if header.animated and policy.frames == "fail":
        raise ImageError("animated", "found several frames, expected one (--frames first)")
    return header


def read_plain_header(file_descriptor: int, policy: Policy) -> Header | None:
    """Read what a usual JPEG says of itself, as `read_header` does; None for all other files."""
    frame = _plain_frame(os.read(file_descriptor, _HEAD_BYTES), policy)
    return _plain_header(frame, policy) if frame else None


def decode(data: bytes, policy: Policy) -> Pixels:
    """Decode an image file to the pixels that ``policy`` makes of it.

    16-bit values are scaled by 1/257, never clipped; CMYK is converted; ICC profiles are not
    applied.

    Returns:
        uint8[height, width, 3].
    Raises:
        ImageError: it cannot be decoded whole, or the policy refuses it.
    """
    import numpy as np

    name = formats.image_format(data[: formats.HEAD_BYTES])
    if name is None:
        raise ImageError("not_an_image", f"found {formats.describe(data[: formats.HEAD_BYTES])}")
    if name == "jpeg":
        structure.check_scans(data)
    if name == "ppm" and data[1:2] in b"123":
        _check_digits(data)
    file = _Frugal(io.BytesIO(data))
    with _foreign_decoder(policy.max_pixels), _open(file, name, policy) as image:
        orientation = _orientation(image, name, file) if policy.exif == "apply" else 1
        image.seek(0)
        with stderr_silenced() if name == "tiff" else nullcontext():  # libtiff talks
            image.load()
        rgb = _to_rgb(image, name, policy.alpha)
        if orientation != 1:
            rgb = rgb.transpose(_UPRIGHT[orientation])
        if policy.resize_short_px:
            height_px, width_px = scaled_short(rgb.height, rgb.width, policy.resize_short_px)
            check_pixels(height_px, width_px, policy.max_pixels)
            if (height_px, width_px) != (rgb.height, rgb.width):
                rgb = rgb.resize((width_px, height_px), Image.Resampling.BICUBIC)
        return np.asarray(rgb)


def decode_as_tensorflow(data: bytes, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Decode stored JPEG or PNG bytes to what TensorFlow's decoders make of them, by Pillow.

    No orientation is applied, alpha is dropped, and of 16 bits the upper eight count.

    Returns:
        uint8[height, width, 3].
    Raises:
        ImageError: neither JPEG nor PNG, or it cannot be decoded.
    """
    with _stored(data, max_pixels) as (name, image):
        return stored_rgb(image, name)


def stored_rgb(image: Image.Image, name: formats.ImageFormat) -> Pixels:
    """Return a decoded picture's pixels as `decode_as_tensorflow` does, uint8[height, width, 3].

    Source, for CMYK: tensorflow/core/lib/jpeg/jpeg_mem.cc. Pillow inverts every CMYK JPEG, and
    TensorFlow those with an Adobe marker.
    """
    import numpy as np

    if name == "jpeg" and image.mode == "CMYK":
        inks = np.asarray(image).astype(np.uint16)
        light = 255 - inks if "adobe" in image.info else inks
        return (light[..., :3] * light[..., 3:] // 255).astype(np.uint8)
    if image.mode in _DEEP_MODES:
        high = (np.asarray(image) >> 8).astype(np.uint8)
        return np.repeat(high[..., None], 3, axis=2)
    return np.asarray(_to_rgb(image, name, "drop"))


def decoded_size(data: bytes, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Decode stored JPEG or PNG bytes as `decode_as_tensorflow` does, and return (height, width).

    Raises:
        ImageError: neither JPEG nor PNG, or it cannot be decoded.
    """
    with _stored(data, max_pixels) as (_, image):
        return image.height, image.width


@contextmanager
def _stored(data: bytes, max_pixels: int) -> Iterator[tuple[formats.ImageFormat, Image.Image]]:
    """Decode stored JPEG or PNG bytes."""
    name = formats.image_format(data[: formats.HEAD_BYTES])
    if name not in ("jpeg", "png"):
        found = formats.describe(data[: formats.HEAD_BYTES])
        raise ImageError("unsupported_format", f"found {found}, expected a JPEG or PNG image")
    if name == "jpeg":
        structure.check_scans(data)
    policy = Policy(max_pixels=max_pixels)
    with _foreign_decoder(max_pixels), _open(_Frugal(io.BytesIO(data)), name, policy) as image:
        image.load()
        yield name, image


def examine(data: bytes, policy: Policy) -> Examined:
    """Read what an image file says of itself, and check its structure, without decoding it.

    Raises:
        ImageError: not whole, or the policy refuses it.
    """
    if frame := _plain_frame(data, policy):
        header = _plain_header(frame, policy)
    else:
        header = read_header(io.BytesIO(data), policy)
    jpeg = structure.check(data, header.format, frame)
    return Examined(header, jpeg, _changes(header, jpeg, policy))


def store_whole(data: bytes, policy: Policy, *, decodes: bool) -> tuple[Header, Stored]:
    """Make of an image file what a whole-image record stores.

    Upright 8-bit JPEG and PNG files keep their bytes. Others are transcoded: JPEG to JPEG of
    quality 95 with the same chroma sampling, the rest to PNG.

    Args:
        decodes: decode every image once, not only those that are transcoded.
    Raises:
        ImageError: not whole, or the policy refuses it.
    """
    examined = examine(data, policy)
    header, jpeg, changes = examined.header, examined.jpeg, examined.changes
    size = (header.height_px, header.width_px)
    if changes:
        pixels = decode(data, policy)
        size = pixels.shape[:2]
        data = _transcode(pixels, header, jpeg, _icc_profile(data, header, policy))
        jpeg = structure.read_jpeg(data) if jpeg else None
    elif decodes:
        decode(data, policy)
    return header, Stored(
        data=data,
        height_px=size[0],
        width_px=size[1],
        window=jpeg is not None and jpeg.has_exact_window,
        changes=changes,
    )


def decode_examined(data: bytes, examined: Examined, policy: Policy) -> Pixels:
    """Decode an image file to the pixels of what `store_whole` makes of it.

    So a crop of them is the crop of the stored whole image, also where that is transcoded to JPEG.

    Args:
        examined: what `examine` says of it.
    Returns:
        uint8[height, width, 3].
    Raises:
        ImageError: it cannot be decoded, or the policy refuses it.
    """
    pixels = decode(data, policy)
    if examined.changes and examined.jpeg:
        stored = _transcode(pixels, examined.header, examined.jpeg, None)
        pixels = decode_as_tensorflow(stored, policy.max_pixels)
    return pixels


def scaled_short(height_px: int, width_px: int, short_px: int) -> tuple[int, int]:
    """Return (height, width) after scaling the shorter side to ``short_px``, rounded half up."""
    short, long = sorted((height_px, width_px))
    scaled = max((2 * long * short_px + short) // (2 * short), 1)
    return (short_px, scaled) if height_px <= width_px else (scaled, short_px)


def check_pixels(height_px: int, width_px: int, max_pixels: int) -> None:
    """Refuse a picture of more than ``max_pixels``, or of more than `MAX_SIDE` on a side.

    Raises:
        ImageError: it has more.
    """
    expected = f"at most {max_pixels} (--max-pixels)"
    if max(height_px, width_px) > MAX_SIDE:
        expected = f"at most {MAX_SIDE} on a side"
    elif height_px * width_px <= max_pixels:
        return
    raise ImageError("too_many_pixels", f"found {height_px}x{width_px} pixels, expected {expected}")


def enlarge(
    pixels: Pixels,
    height_px: int,
    width_px: int,
    how: Literal["pad", "resize"],
    max_pixels: int = MAX_PIXELS,
) -> Pixels:
    """Make a picture at least ``height_px`` by ``width_px``: black around it, or scaled up.

    Args:
        pixels: uint8[height, width, 3].
    Returns:
        uint8[>= height_px, >= width_px, 3]; the very same pixels where they suffice already.
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
    scaled = Image.fromarray(pixels).resize((new_width, new_height), Image.Resampling.BICUBIC)
    return np.asarray(scaled)


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

    Raises:
        ImageError: too large for a JPEG.
    """
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
        found = f"{pixels.shape[0]}x{pixels.shape[1]} pixels"
        expected = f"at most {_JPEG_SIDE_LIMIT} on a side for JPEG"
        raise ImageError("cannot_be_encoded", f"found {found}, expected {expected}")
    else:
        image.save(out, "JPEG", quality=quality, subsampling=sampling, **options)
    return out.getvalue()


def deadly(cause: str) -> ImageError:
    """Make the error for an image whose decoder did not come back."""
    return ImageError("deadly", f"found {cause}, expected an image that decodes")


def versions() -> dict[str, str]:
    """Name the versions of the libraries whose encoders decide what transcoded images look like."""
    return {
        "pillow": PIL.__version__,
        "libjpeg": str(features.version("libjpeg_turbo") or features.version("jpg")),
        "zlib": str(features.version("zlib")),
    }


def _plain_frame(data: bytes, policy: Policy) -> structure.Frame | None:
    """Return the markers of a JPEG on which Pillow would say the same, at a third of the time."""
    if data[:3] != b"\xff\xd8\xff":
        return None
    try:
        frame = structure.read_frame(data)
    except ImageError:
        return None
    fits = frame.height_px * frame.width_px <= policy.max_pixels
    return frame if frame.plain and fits else None


def _plain_header(frame: structure.Frame, policy: Policy) -> Header:
    turned = policy.exif == "apply" and frame.orientation >= _SIDEWAYS
    return Header(
        format="jpeg",
        height_px=frame.width_px if turned else frame.height_px,
        width_px=frame.height_px if turned else frame.width_px,
        mode="L" if len(frame.sampling) == 1 else "RGB",
        orientation=frame.orientation,
        animated=False,
        deep=False,
        alpha=False,
        icc=frame.icc,
    )


def _check_digits(data: bytes) -> None:
    comments = data.count(b"#")
    if len(data) > _MOST_DIGITS_BYTES or comments > _MOST_COMMENTS:
        found = f"found {len(data)} bytes of digits with {comments} comments"
        expected = f"at most {_MOST_DIGITS_BYTES} with {_MOST_COMMENTS}"
        raise ImageError("too_complex", f"{found}, expected {expected}")


def _transcode(
    pixels: Pixels, header: Header, jpeg: structure.Jpeg | None, icc: bytes | None
) -> bytes:
    if jpeg is None:
        return encode(pixels, "png", icc=icc)
    sampling = _chroma_sampling(jpeg)
    return encode(pixels, "jpeg", icc=icc, sampling=sampling, gray=header.mode == "L")


def _changes(header: Header, jpeg: structure.Jpeg | None, policy: Policy) -> tuple[str, ...]:
    """Name what keeps a whole image from being stored as its file's bytes."""
    reasons = {
        f"format_{header.format}": header.format not in ("jpeg", "png"),
        "rare_jpeg": jpeg is not None and jpeg.sof not in (0, 1, 2),
        "orientation": policy.exif == "apply" and header.orientation != 1,
        "cmyk": header.mode in ("CMYK", "YCCK"),
        "deep": header.deep,
        "alpha": header.alpha and policy.alpha != "drop",
        "animation": header.animated,
        "resized": bool(policy.resize_short_px)
        and min(header.height_px, header.width_px) != policy.resize_short_px,
    }
    return tuple(name for name, holds in reasons.items() if holds)


def _chroma_sampling(jpeg: structure.Jpeg) -> str:
    factors = [*jpeg.sampling, (1, 1)]
    luma, chroma = factors[0], factors[1]
    ratio = (luma[0] / max(chroma[0], 1), luma[1] / max(chroma[1], 1))
    return {(2.0, 1.0): "4:2:2", (2.0, 2.0): "4:2:0"}.get(ratio, "4:4:4")


def _icc_profile(data: bytes, header: Header, policy: Policy) -> bytes | None:
    """Return the colour profile to keep; one for CMYK says nothing about RGB."""
    if not header.icc or header.mode in ("CMYK", "LAB"):
        return None
    with (
        _foreign_decoder(policy.max_pixels),
        _open(_Frugal(io.BytesIO(data)), header.format, policy) as image,
    ):
        profile: bytes = image.info["icc_profile"]
        return profile


def _to_rgb(image: Image.Image, name: formats.ImageFormat, alpha: Alpha) -> Image.Image:
    if image.mode in _DEEP_MODES or (image.mode == "I" and name in ("ppm", "png")):
        import numpy as np

        values = np.asarray(image).astype(np.uint32)
        gray = Image.fromarray(((values + 128) // 257).astype(np.uint8))
        if alpha == "drop" or "transparency" not in image.info:
            return gray.convert("RGB")
        opaque = np.where(values == image.info["transparency"], 0, 255).astype(np.uint8)
        image = Image.merge("LA", (gray, Image.fromarray(opaque)))
    if image.mode in ("I", "F"):
        raise ImageError("unsupported_mode", "found 32-bit values, expected 8 or 16 bits a value")
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        image = image.convert("RGBA")
        if alpha == "fail":
            lowest, _ = image.getchannel("A").getextrema()
            if int(lowest) < 255:  # type: ignore[arg-type]  # one channel has one pair of numbers
                raise ImageError("alpha", "found transparent pixels, expected none (--alpha)")
        elif alpha != "drop":
            image = Image.alpha_composite(Image.new("RGBA", image.size, alpha), image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _orientation(image: Image.Image, name: formats.ImageFormat, file: _Frugal) -> int:
    """Return the EXIF orientation; what cannot be read as one counts as 1, upright.

    Pillow decodes a whole PNG to find its EXIF block, so that one is found by its chunk.
    """
    if name == "tiff":
        return 1
    try:
        with _foreign_decoder():
            exif = _png_exif(file) if name == "png" else image.getexif()
            value = exif.get(_ORIENTATION_TAG, 1)
    except ImageError:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


class _Frugal:
    """A file that a decoder may read so often, and so much: a small one can ask for hours."""

    def __init__(self, file: BinaryIO, most_bytes: int | None = None) -> None:
        self.seek, self.tell = file.seek, file.tell
        self._file = file
        self._reads_left = _MOST_READS
        self._most_bytes = most_bytes

    def read(self, size: int = -1) -> bytes:
        self._reads_left -= 1
        if self._reads_left < 0:
            found = f"found more than {_MOST_READS} pieces"
            raise ImageError("too_complex", f"{found}, expected an image of fewer")
        if self._most_bytes is None:
            return self._file.read(size)
        if size < 0 or size > self._most_bytes:
            size = self._most_bytes + 1
        data = self._file.read(size)
        self._most_bytes -= len(data)
        if self._most_bytes < 0:
            found = f"found a header of more than {_MOST_HEADER_BYTES} bytes"
            raise ImageError("too_complex", f"{found}, expected a smaller one")
        return data


def _open(file: _Frugal, name: formats.ImageFormat, policy: Policy) -> Image.Image:
    image = Image.open(cast("BinaryIO", file), formats=_PILLOW_FORMATS[name])
    check_pixels(image.height, image.width, policy.max_pixels)
    return image


def _png_exif(file: _Frugal) -> Image.Exif:
    """Find a PNG's EXIF block, reading no more than that and the heads of the chunks."""
    exif = Image.Exif()
    place = file.tell()
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"eXIf":
            exif.load(file.read(length))
            break
        file.seek(length + 4, io.SEEK_CUR)
    file.seek(place)
    return exif


@contextmanager
def _foreign_decoder(max_pixels: int = MAX_PIXELS) -> Iterator[None]:
    """Turn whatever an image decoder raises into `ImageError`, and keep its warnings to itself.

    Pillow's limit on pixels and Python's warning filters belong to the process, so this is not for
    several threads at once.
    """
    pillow_limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = max_pixels
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with foreign_errors():
                try:
                    yield
                except Image.DecompressionBombError as error:
                    found = re.search(r"\d+ pixels", str(error))
                    raise ImageError(
                        "too_many_pixels",
                        f"found {found[0] if found else error}, "
                        f"expected at most {max_pixels} (--max-pixels)",
                    ) from error
        finally:
            Image.MAX_IMAGE_PIXELS = pillow_limit


@contextmanager
def foreign_errors() -> Iterator[None]:
    """Turn whatever an image decoder raises into `ImageError`.

    Decoders raise anything on broken files: OSError, ValueError, TypeError, SyntaxError,
    struct.error…; they warn besides, but what matters is in the error.
    """
    try:
        yield
    except (TfrecError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the file could not be read, which says nothing about the image
        reason = "truncated" if "truncated" in str(error).lower() else "corrupt"
        words = str(error).splitlines()[0] if str(error) else type(error).__name__
        words = re.sub(r" <.* object at .*>", "", words)  # the file, where it lies in memory
        raise ImageError(reason, f"cannot be decoded: {words}") from error
