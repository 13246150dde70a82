"""PBM, PGM and PPM files: their header, and their pixels scaled by their own maximum.

Knows: these formats. Must not know: Pillow, options.

Source: the manual pages pbm(5), pgm(5) and ppm(5) of Netpbm.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from tfrec_cli.errors import ImageError
from tfrec_cli.imaging.kinds.samples import most, scaled
from tfrec_cli.runtime.values import sides

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tfrec_cli.imaging.kinds.samples import Samples

HEAD_BYTES = 1 << 14
"""A header is a few bytes long, and comments."""

_GAP = rb"(?:\s|#[^\r\n]*[\r\n])"
_NUMBER = _GAP + rb"+(\d{1,10})"
_BITMAP = re.compile(rb"P[14]" + _NUMBER * 2 + _GAP)
_LEVELS = re.compile(rb"P[2356]" + _NUMBER * 3 + _GAP)
_COMMENT = re.compile(rb"#[^\r\n]*")
_MOST_DIGITS_BYTES, _MOST_COMMENTS = 1 << 22, 1000
"""Limits of a file in ASCII digits: each value takes much more memory than in a binary file."""


class Header(NamedTuple):
    """The header of a file.

    Attributes:
        kind: 1 to 6, of ``P1`` to ``P6``.
        most: the maximum, which is white.
        start: where the pixels start.
    """

    kind: int
    height_px: int
    width_px: int
    most: int
    start: int

    @property
    def channels(self) -> int:
        """3 for colour, 1 for grey."""
        return 3 if self.kind in (3, 6) else 1


def read(head: bytes) -> Header:
    """Read the header in the first bytes of a file.

    Raises:
        ImageError: it is damaged, or its maximum is not 1 to 65,535.
    """
    kind = int(head[1:2])
    found = (_BITMAP if kind in (1, 4) else _LEVELS).match(head)
    if not found and len(head) >= HEAD_BYTES and b"#" in head:
        raise ImageError("too_complex", f"found no end of the header in {HEAD_BYTES} bytes")
    if not found:
        raise ImageError("corrupt", "cannot be decoded: found no width, height and maximum")
    width, height = int(found[1]), int(found[2])
    most = 1 if kind in (1, 4) else int(found[3])
    if not (width and height):
        raise ImageError("corrupt", f"found {sides(height, width)}, expected at least 1 pixel")
    if not 0 < most < 1 << 16:
        raise ImageError("corrupt", f"found the maximum {most}, expected 1 to 65535")
    return Header(kind, height, width, most, found.end())


def decode(data: bytes, header: Header, bits: int = 8) -> tuple[Samples, int]:
    """Decode the pixels, scaled by the maximum to 8 or 16 bits: see `samples.scaled`.

    Returns:
        uint8 or uint16 [height, width] or [height, width, 3], and the greatest value before
        scaling.
    Raises:
        ImageError: the file is cut, or a value is greater than the maximum.
    """
    import numpy as np

    shape = (header.height_px, header.width_px, header.channels)[: 2 + (header.channels > 1)]
    if header.kind == 4:
        row_bytes = -(-header.width_px // 8)
        packed = _binary(data, header, header.height_px * row_bytes, np.dtype(np.uint8))
        ink = np.unpackbits(packed.reshape(-1, row_bytes), axis=1, count=header.width_px)
        return (1 - ink) * np.uint8(255), 1
    count = int(np.prod(shape, dtype=np.int64))
    if header.kind in (1, 2, 3):
        values = _digits(data[header.start :], header, count)
    else:
        values = _binary(data, header, count, np.dtype(">u2" if header.most > 255 else np.uint8))
    greatest = int(values.max())
    if greatest > header.most:
        raise ImageError("corrupt", f"found the value {greatest}, expected at most {header.most}")
    pixels = scaled(values, header.most, bits)
    if header.kind == 1:
        pixels = most(bits) - pixels
    return pixels.reshape(shape), greatest


def _binary(
    data: bytes, header: Header, count: int, dtype: np.dtype[np.unsignedinteger]
) -> npt.NDArray[np.unsignedinteger]:
    import numpy as np

    expected = header.start + count * dtype.itemsize
    if len(data) < expected:
        raise ImageError("truncated", f"found {len(data)} bytes, expected {expected}")
    return np.frombuffer(data, dtype, count, header.start)


def _digits(body: bytes, header: Header, count: int) -> npt.NDArray[np.unsignedinteger]:
    import numpy as np

    comments = body.count(b"#")
    if len(body) > _MOST_DIGITS_BYTES or comments > _MOST_COMMENTS:
        found = f"found {len(body)} bytes of digits with {comments} comments"
        expected = f"at most {_MOST_DIGITS_BYTES} with {_MOST_COMMENTS}"
        raise ImageError("too_complex", f"{found}, expected {expected}")
    body = _COMMENT.sub(b" ", body)
    if header.kind == 1:
        words = list(b"".join(body.split()))[:count]
        if not set(words) <= set(b"01"):
            raise ImageError("corrupt", "cannot be decoded: found other bytes than digits")
        values = [word - ord("0") for word in words]
    else:
        tokens = body.split(maxsplit=count)[:count]
        if not all(token.isdigit() and len(token) <= 5 for token in tokens):
            raise ImageError("corrupt", "cannot be decoded: found other bytes than digits")
        values = [int(token) for token in tokens]
    if len(values) < count:
        raise ImageError("truncated", f"found {len(values)} values, expected {count}")
    return np.array(values, np.uint32)
