"""Proves that the CCITT and JPEG strips of a TIFF file are complete; libtiff fills up what is cut.

Knows: these compressions. Must not know: tags' numbers, options.

Rows of CCITT are encoded again and compared: ITU-T T.4 and T.6 leave no choice of codes, except
which rows of group 3 refer to the row before.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from PIL import Image, ImageChops

from tfrec_cli.errors import ImageError
from tfrec_cli.imaging.kinds import tiff as tags
from tfrec_cli.imaging.kinds.tiff import Tiff
from tfrec_cli.runtime.stderr import stderr_silenced

if TYPE_CHECKING:
    from collections.abc import Iterator

_END_OF_ROW = re.compile("0{11,}1")
_END_OF_BLOCK = "000000000001" * 2
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_SPACES = {1: "GRAY", 3: "RGB", 4: "CMYK"}


def check(data: bytes, tiff: Tiff, image: Image.Image) -> None:
    """Check the strips of a decoded picture.

    Args:
        image: as it is stored, not turned upright.
    Raises:
        ImageError: a strip or tile is cut or damaged.
    """
    if tiff.compression == tags.JPEG:
        for number, piece in enumerate(_pieces(data, tiff)):
            _check_jpeg(piece, tiff, number)
    elif tiff.compression in tags.CCITT:
        white_is_one = tiff.photometric == tags.BLACK_IS_ZERO
        bits = image if white_is_one else ImageChops.invert(image.convert("L")).convert("1")
        checks = {tags.CCITT_RLE: _has_rows, tags.CCITT_3: _has_ends, tags.CCITT_4: _has_block}
        for number, piece in enumerate(_pieces(data, tiff)):
            top = number * tiff.segment[0]
            below = min(top + tiff.segment[0], tiff.height_px)
            strip = bits.crop((0, top, tiff.width_px, below))
            code = piece.translate(_REVERSED) if tiff.reversed_bits else piece
            if not checks[tiff.compression](code, strip):
                raise _cut(number, f"codes of {below - top} rows")


def _pieces(data: bytes, tiff: Tiff) -> Iterator[bytes]:
    for offset, count in zip(tiff.offsets, tiff.counts, strict=False):
        yield data[offset : offset + count]


def _check_jpeg(piece: bytes, tiff: Tiff, number: int) -> None:
    import simplejpeg

    whole = tiff.tables[:-2] + piece[2:] if tiff.tables else piece
    space = _SPACES.get(1 if tiff.planar else tiff.samples, "GRAY")
    try:
        simplejpeg.decode_jpeg(whole, colorspace=space, strict=True)
    except ValueError as error:
        raise _cut(number, f"a JPEG without a warning ({error})") from error


def _cut(number: int, expected: str) -> ImageError:
    return ImageError("truncated", f"found strip {number} cut or damaged, expected {expected}")


def _encoded(strip: Image.Image, compression: str) -> bytes:
    file = io.BytesIO()
    with stderr_silenced():
        strip.save(file, "TIFF", compression=compression, tiffinfo={278: strip.height})
        with Image.open(file) as made:
            (start,), (count,) = made.tag_v2[273], made.tag_v2[279]
    return file.getvalue()[start : start + count]


def _digits(code: bytes) -> str:
    return f"{int.from_bytes(code, 'big'):0{8 * len(code)}b}" if code else ""


def _has_rows(code: bytes, strip: Image.Image) -> bool:
    """Tell whether ``code`` has all rows, byte by byte."""
    return code.startswith(_encoded(strip, "tiff_ccitt"))


def _has_block(code: bytes, strip: Image.Image) -> bool:
    """Tell whether ``code`` has all rows of group 4, with or without the end-of-block code."""
    return _digits(code).startswith(_rows_of_block(strip))


def _rows_of_block(strip: Image.Image) -> str:
    digits = _digits(_encoded(strip, "group4")).rstrip("0")
    return digits.removesuffix(_END_OF_BLOCK)


def _has_ends(code: bytes, strip: Image.Image) -> bool:
    """Tell whether each row of group 3 ends, or the last one is that of ``strip``."""
    digits = _digits(code)
    ends = [found.end() for found in _END_OF_ROW.finditer(digits)]
    if len(ends) > strip.height:
        return True
    if len(ends) < strip.height:
        return False
    last = digits[ends[-1] :]
    row = strip.crop((0, strip.height - 1, strip.width, strip.height))
    first_end = _END_OF_ROW.match(alone := _digits(_encoded(row, "group3")))
    plain = alone[first_end.end() :].rstrip("0") if first_end else alone
    if last.startswith((plain, "1" + plain)):
        return True
    two = strip.crop((0, strip.height - 2, strip.width, strip.height))
    before = two.crop((0, 0, strip.width, 1))
    return last.startswith("0" + _rows_of_block(two)[len(_rows_of_block(before)) :])
