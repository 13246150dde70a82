"""Pictures of 16 bits a sample, which Pillow does not have: alpha, orientation, scaling, PNG files.

Knows: arrays. Must not know: the file that a picture comes from.

A picture is uint16[height, width, channels], with 1 channel for grey and 3 for RGB.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from PIL import Image

from tfrec_cli.errors import ImageError
from tfrec_cli.imaging.kinds.samples import DEEP_BITS, divided, most
from tfrec_cli.imaging.png import SIGNATURE

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tfrec_cli.imaging.policy import Alpha

    Deep = npt.NDArray[np.uint16]

_MOST = most(DEEP_BITS)
_BLOCK_BYTES = 1 << 20
_COLOUR_TYPES = {1: 0, 3: 2}
_SUB, _UP = 1, 2
"""Filters of rows: each byte less the one of the pixel before it, or above it."""


def without_alpha(picture: Deep, alpha: Alpha) -> Deep:
    """Return the colours of a picture of 1 to 4 channels; the last of 2 or 4 is alpha.

    Raises:
        ImageError: a pixel is transparent, with ``alpha="fail"``.
    """
    import numpy as np

    channels = picture.shape[2]
    if channels % 2:
        return picture
    colours, opaque = picture[..., :-1], picture[..., -1:]
    if alpha == "drop":
        return colours
    if alpha == "fail":
        if int(opaque.min()) < _MOST:
            raise ImageError("alpha", "found transparent pixels, expected none (--alpha)")
        return colours
    behind = _MOST if alpha == "white" else 0
    out = np.empty(colours.shape, np.uint16)
    for row, (above, alphas) in enumerate(zip(colours, opaque, strict=True)):
        share = alphas.astype(np.uint32)
        out[row] = divided(above * share + behind * (_MOST - share))
    return out


def upright(picture: Deep, orientation: int) -> Deep:
    """Return a picture as it is to be shown, by its EXIF orientation 1 to 8."""
    turned = picture.swapaxes(0, 1) if orientation >= 5 else picture
    down = -1 if orientation in (3, 4, 7, 8) else 1
    across = -1 if orientation in (2, 3, 6, 7) else 1
    return turned[::down, ::across]


def resized(picture: Deep, height_px: int, width_px: int) -> Deep:
    """Scale a picture: bicubic in floating point, rounded, and cut to the range of 16 bits."""
    import numpy as np

    out = np.empty((height_px, width_px, picture.shape[2]), np.uint16)
    for channel in range(picture.shape[2]):
        plane = Image.fromarray(picture[..., channel].astype(np.float32))
        values = np.asarray(plane.resize((width_px, height_px), Image.Resampling.BICUBIC))
        out[..., channel] = np.clip(np.rint(values), 0, _MOST)
    return out


def png_file(picture: Deep, icc: bytes | None = None) -> bytes:
    """Encode a picture as a PNG file of 16 bits, with a colour profile if there is one."""
    height, width, channels = picture.shape
    header = struct.pack(">IIBBBBB", width, height, DEEP_BITS, _COLOUR_TYPES[channels], 0, 0, 0)
    packer = zlib.compressobj()
    packed = [packer.compress(rows) for rows in _filtered(picture)]
    chunks = [(b"IHDR", header), (b"IDAT", b"".join([*packed, packer.flush()])), (b"IEND", b"")]
    if icc:
        chunks.insert(1, (b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc)))
    parts = [SIGNATURE]
    for kind, body in chunks:
        crc = zlib.crc32(body, zlib.crc32(kind))
        parts += [struct.pack(">I", len(body)), kind, body, struct.pack(">I", crc)]
    return b"".join(parts)


def _filtered(picture: Deep) -> Iterator[bytes]:
    """Iterate blocks of rows, each row with the filter that leaves the smaller bytes."""
    import numpy as np

    height, width, channels = picture.shape
    row_bytes = 2 * width * channels
    several = max(_BLOCK_BYTES // row_bytes, 1)
    last = np.zeros((1, row_bytes), np.uint8)
    for top in range(0, height, several):
        big = np.ascontiguousarray(picture[top : top + several], ">u2")
        rows = big.view(np.uint8).reshape(len(big), row_bytes)
        up = rows - np.concatenate([last, rows[:-1]])
        sub = rows.copy()
        sub[:, 2 * channels :] -= rows[:, : -2 * channels]
        last = rows[-1:]
        costs = [np.abs(one.view(np.int8).astype(np.int16)).sum(axis=1) for one in (sub, up)]
        takes_up = costs[1] < costs[0]
        out = np.empty((len(rows), 1 + row_bytes), np.uint8)
        out[:, 0] = np.where(takes_up, _UP, _SUB)
        out[:, 1:] = np.where(takes_up[:, None], up, sub)
        yield out.tobytes()
