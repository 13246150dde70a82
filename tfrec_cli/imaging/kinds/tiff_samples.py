"""Decodes TIFF samples that Pillow gets wrong, and proves that compressed strips are complete.

Knows: the bytes of strips and tiles. Must not know: tags, options.

libtiff, through Pillow, undoes the compression only: it is given strips of 8-bit grey whose pixels
are the bytes of the samples. Bits, planes, predictor and meaning are undone here.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image, TiffImagePlugin

from tfrec_cli.imaging.kinds import tiff as tags
from tfrec_cli.imaging.kinds.samples import DEEP_BITS, Decoded, divided, most, scaled
from tfrec_cli.imaging.kinds.tiff import Tiff
from tfrec_cli.runtime.stderr import stderr_silenced

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Samples = npt.NDArray[np.unsignedinteger[Any]]

_BATCH_BYTES = 1 << 22
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def decode(data: bytes, tiff: Tiff, bits: int = 8) -> Decoded:
    """Decode the picture, not turned, scaled to 8 or 16 bits a sample: see `samples.scaled`.

    Returns:
        An image of mode L, LA, RGB, RGBA or CMYK; with 16 bits an array, RGB if it is CMYK.
    Raises:
        ImageError: a strip or tile is incomplete or damaged.
    """
    import numpy as np

    rows, columns = tiff.segment
    across, down = -(-tiff.width_px // columns), -(-tiff.height_px // rows)
    planes = tiff.samples if tiff.planar else 1
    inner = tiff.samples // planes
    shape = (tiff.height_px, tiff.width_px, tiff.samples)
    out: Samples = np.empty(shape, np.uint8 if bits == 8 else np.uint16)
    greatest = 0
    wide = np.empty((0, 0, 0), np.uint16)
    if tiff.extra == (tags.ASSOCIATED_ALPHA,) and planes > 1:
        wide = np.empty(out.shape, np.uint16)
    for number, values in enumerate(_segments(data, tiff, planes * across * down)):
        plane, place = divmod(number, across * down)
        top, left = place // across * rows, place % across * columns
        block = values.reshape(-1, columns, inner)
        block = block[: tiff.height_px - top, : tiff.width_px - left]
        tall, broad = slice(top, top + len(block)), slice(left, left + block.shape[1])
        if wide.size:
            wide[tall, broad, plane] = block[..., 0]
            continue
        greatest = max(greatest, _greatest(block, tiff, plane))
        out[tall, broad, plane : plane + inner] = _scaled(block, tiff, plane, bits)
    for top in range(0, len(wide), rows):
        block = wide[top : top + rows]
        greatest = max(greatest, _greatest(block, tiff, 0))
        out[top : top + rows] = _scaled(block, tiff, 0, bits)
    if bits > 8:
        return Decoded(_rgb(out) if tiff.photometric == tags.CMYK else out, greatest)
    picture = Image.frombuffer(mode(tiff), out.shape[1::-1], out, "raw", mode(tiff), 0, 1)
    return Decoded(picture, greatest)


def mode(tiff: Tiff) -> str:
    """Return Pillow's name for the pixels that `decode` makes."""
    return "CMYK" if tiff.photometric == tags.CMYK else _MODES[tiff.samples]


def _greatest(block: Samples, tiff: Tiff, plane: int) -> int:
    colours = block[..., : tiff.colours] if plane < tiff.colours else block[..., :0]
    if not colours.size:
        return 0
    if tiff.photometric == tags.WHITE_IS_ZERO:
        return most(tiff.bits) - int(colours.min())
    return int(colours.max())


def _scaled(block: Samples, tiff: Tiff, plane: int, bits: int) -> Samples:
    """Scale samples of (rows, columns, samples), and make black zero."""
    values = scaled(block, most(tiff.bits), bits)
    if tiff.extra == (tags.ASSOCIATED_ALPHA,):
        return _divided(block, values, most(bits))
    if tiff.photometric == tags.WHITE_IS_ZERO and plane == 0:
        values = values.copy()
        values[..., 0] = most(bits) - values[..., 0]
    return values


def _divided(block: Samples, values: Samples, target: int) -> Samples:
    """Scale colours that were multiplied by alpha, which is the last sample.

    Args:
        values: ``block`` scaled as if they were not.
    """
    import numpy as np

    alpha = block[..., -1:].astype(np.uint64)
    colours = (block[..., :-1] * np.uint64(2 * target) + alpha) // (2 * np.maximum(alpha, 1))
    divided = np.where(alpha, np.minimum(colours, target), values[..., :-1])
    return np.concatenate([divided.astype(values.dtype), values[..., -1:]], axis=2)


def _rgb(inks: Samples) -> npt.NDArray[np.uint16]:
    """Convert CMYK of 16 bits to RGB: light is what both the colour's ink and black let through."""
    import numpy as np

    out = np.empty((*inks.shape[:2], 3), np.uint16)
    for row, values in enumerate(inks):
        light = most(DEEP_BITS) - values.astype(np.uint32)
        out[row] = divided(light[:, :3] * light[:, 3:])
    return out


def _segments(data: bytes, tiff: Tiff, needed: int) -> Iterator[Samples]:
    """Iterate the values of strips or tiles, each as (rows, columns * samples)."""
    rows, columns = tiff.segment
    down = -(-tiff.height_px // rows)
    inner = 1 if tiff.planar else tiff.samples
    row_bytes = -(-columns * inner * tiff.bits // 8)

    def heights(numbers: Sequence[int]) -> list[int]:
        if tiff.tiled:
            return [rows] * len(numbers)
        return [min(rows, tiff.height_px - number % down * rows) for number in numbers]

    batch = max(_BATCH_BYTES // (row_bytes * rows), 1)
    first = 0
    while first < needed:
        last = min(first + batch, needed)
        if not tiff.tiled:  # the last strip of a plane may be shorter
            last = min(last, (first // down + 1) * down)
        tall = heights(range(first, last))
        view = memoryview(data)
        pieces = [
            view[offset : offset + (count if tiff.compression != tags.NONE else row_bytes * height)]
            for offset, count, height in zip(
                tiff.offsets[first:last], tiff.counts[first:last], tall, strict=True
            )
        ]
        raw = _expanded(pieces, tiff.compression, row_bytes, rows, sum(tall))
        at = 0
        for height in tall:
            yield _values(raw[at : at + height], tiff, columns * inner, inner)
            at += height
        first = last


def _expanded(
    pieces: Sequence[memoryview], compression: int, row_bytes: int, rows: int, height: int
) -> Samples:
    """Undo the compression of strips of ``rows`` rows each; return uint8[height, row_bytes]."""
    import numpy as np

    if compression == tags.NONE:
        return np.frombuffer(b"".join(pieces), np.uint8).reshape(height, row_bytes)
    offsets, at = [], 8
    for piece in pieces:
        offsets.append(at)
        at += len(piece)
    lists_at = at
    counts = [len(piece) for piece in pieces]
    lists = struct.pack(f"<{2 * len(pieces)}I", *offsets, *counts)
    places = (lists_at, lists_at + 4 * len(pieces))
    if len(pieces) == 1:
        places = (offsets[0], counts[0])
    entries = [
        (256, row_bytes, 1),
        (257, height, 1),
        (258, 8, 1),
        (259, compression, 1),
        (262, 1, 1),
        (273, places[0], len(pieces)),
        (277, 1, 1),
        (278, rows, 1),
        (279, places[1], len(pieces)),
    ]
    table = struct.pack("<H", len(entries))
    table += b"".join(struct.pack("<HHII", tag, 4, count, value) for tag, value, count in entries)
    head = b"II*\0" + struct.pack("<I", at + len(lists))
    made = io.BytesIO(b"".join([head, *pieces, lists, table, bytes(4)]))
    with stderr_silenced():
        image = TiffImagePlugin.TiffImageFile(made)
        image.load()
    return np.asarray(image)


def _values(raw: Samples, tiff: Tiff, values: int, inner: int) -> Samples:
    """Return the values in the bytes of rows, as uint8 or uint16 of (rows, values)."""
    import numpy as np

    if tiff.bits == 8:
        numbers: Samples = raw
    elif tiff.bits == 16:
        numbers = np.ascontiguousarray(raw).view("<u2" if tiff.little else ">u2")
    else:
        return _unpacked(raw, tiff.bits, values)
    if tiff.predictor == 2:
        pixels = numbers.reshape(len(numbers), -1, inner)
        numbers = np.add.accumulate(pixels, axis=1, dtype=numbers.dtype.newbyteorder("="))
    return numbers.reshape(len(raw), values)


def _unpacked(raw: Samples, bits: int, values: int) -> Samples:
    """Return the values of rows of 9 to 15 bits a value, the highest bit first."""
    import numpy as np

    places = np.arange(values) * bits
    first = places // 8
    padded = np.pad(raw, ((0, 0), (0, 2)))
    words = padded[:, first].astype(np.uint32) << 16
    words |= padded[:, first + 1].astype(np.uint32) << 8
    words |= padded[:, first + 2]
    shifts = (24 - bits - places % 8).astype(np.uint32)
    numbers: Samples = (words >> shifts & np.uint32((1 << bits) - 1)).astype(np.uint16)
    return numbers
