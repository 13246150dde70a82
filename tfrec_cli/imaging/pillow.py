"""Limits for Pillow: formats it may open, bytes it may read, exceptions it may raise.

Knows: Pillow. Must not know: what an image is read for.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from PIL import Image

from tfrec_cli.errors import ImageError, TfrecError
from tfrec_cli.imaging import formats, heif, orientation
from tfrec_cli.imaging.jpeg.metadata import ORIENTATION
from tfrec_cli.imaging.policy import MAX_PIXELS, Policy, check_pixels

logging.getLogger("PIL").addHandler(logging.NullHandler())  # its errors say the same

MAX_HEADER_BYTES = 1 << 26
"""The most bytes that are read from a file to find its size in pixels."""

DEEP_MODES = ("I;16", "I;16B", "I;16L", "I;16N")
ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")

_MOST_READS = 100_000
"""Decoders read headers piece by piece; a small file can have millions of pieces."""

UPRIGHT_FORMATS: tuple[formats.ImageFormat, ...] = ("heic",)
"""Formats whose decoders turn a picture upright."""

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
    "heic": (),
}


class FrugalFile:
    """A file with a limit on reads: without it a small file can keep a decoder busy for hours."""

    def __init__(self, file: BinaryIO, most_bytes: int | None = None) -> None:
        self.seek, self.tell = file.seek, file.tell
        self._file = file
        self._reads_left = _MOST_READS
        self._most_bytes = most_bytes

    def read(self, size: int = -1) -> bytes:
        """Read ``size`` bytes, or all.

        Raises:
            ImageError: too many reads, or too many bytes.
        """
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
            found = f"found a header of more than {MAX_HEADER_BYTES} bytes"
            raise ImageError("too_complex", f"{found}, expected a smaller one")
        return data


def open_image(file: FrugalFile, name: formats.ImageFormat, policy: Policy) -> Image.Image:
    """Open an image file, and refuse one with too many pixels.

    Raises:
        ImageError: it has more pixels than the policy allows.
        Exception: any error of Pillow, see `bounded`.
    """
    stream = cast("BinaryIO", file)
    if name == "heic":
        image = heif.open_image(stream)
    else:
        image = Image.open(stream, formats=_PILLOW_FORMATS[name])
    check_pixels(image.height, image.width, policy.max_pixels)
    return image


def orientation_of(image: Image.Image, name: formats.ImageFormat, file: FrugalFile) -> int:
    """Return the orientation by EXIF or XMP, 1 (upright) to 8: see `orientation`.

    Of an AVIF, Pillow gives the rotation of the container as EXIF: nothing else counts there.
    """
    if name == "tiff":
        try:
            with bounded():
                return orientation.of_value(image.getexif().get(ORIENTATION))
        except ImageError:
            return orientation.UPRIGHT
    if name == "heic":
        return heif.orientation_of(file)
    if name == "png":
        place = file.tell()
        blocks = orientation.png_blocks(file)
        file.seek(place)
    else:
        blocks = image.info.get("exif"), None if name == "avif" else image.info.get("xmp")
    return orientation.of_blocks(*blocks)


@contextmanager
def bounded(max_pixels: int = MAX_PIXELS) -> Iterator[None]:
    """Turn all errors of an image decoder into `ImageError`, and suppress its warnings.

    Not for several threads at once: Pillow's limit on pixels and Python's warning filters belong
    to the process.
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
    """Turn all errors of an image decoder into `ImageError`.

    On broken files decoders raise OSError, ValueError, TypeError, SyntaxError, struct.error…
    """
    try:
        yield
    except (TfrecError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the file cannot be read; the image may be intact
        reason = "truncated" if "truncated" in str(error).lower() else "corrupt"
        words = str(error).splitlines()[0] if str(error) else type(error).__name__
        words = re.sub(r" <.* object at .*>", "", words)  # the address differs in each run
        raise ImageError(reason, f"cannot be decoded: {words}") from error
