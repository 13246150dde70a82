"""HEIC images, opened by pillow-heif, and how the container turns them.

Knows: boxes of HEIF files. Must not know: policies.

libheif decodes a picture as it is to be shown: cut, turned and mirrored by properties of the file.
EXIF only repeats them there. Source: ISO/IEC 23008-12, ISO/IEC 14496-12.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, BinaryIO

from tfrec_cli.errors import ImageError, MissingExtraError
from tfrec_cli.imaging.orientation import UPRIGHT

if TYPE_CHECKING:
    from PIL import Image

_BITS = 8
_MOST_BOXES = 1000
_MOST_META_BYTES = 1 << 22
_HEAD_BYTES, _LONG_HEAD_BYTES = 8, 16
_FULL_BYTES = 4
"""Version and flags at the start of some boxes."""

_Corners = tuple[tuple[int, int], tuple[int, int]]
_START: _Corners = ((0, 1), (2, 3))
_TURNS: tuple[_Corners, ...] = (
    _START,
    ((1, 0), (3, 2)),
    ((3, 2), (1, 0)),
    ((2, 3), (0, 1)),
    ((0, 2), (1, 3)),
    ((2, 0), (3, 1)),
    ((3, 1), (2, 0)),
    ((1, 3), (0, 2)),
)
"""Where the corners of a picture are after it was turned upright, for orientations 1 to 8."""


def open_image(file: BinaryIO) -> Image.Image:
    """Open a HEIC file.

    Raises:
        ImageError: pillow-heif is not installed, the file is damaged, or the picture has more than
            8 bits a value.
    """
    try:
        plugin = import_module("pillow_heif")
    except ImportError as error:
        missing = MissingExtraError.of("pillow-heif", "heif")
        raise ImageError("unsupported_format", f"found a HEIC image, but {missing}") from error
    try:
        image: Image.Image = plugin.HeifImageFile(file)
    except SyntaxError as error:
        found = f"found a HEIC image that cannot be decoded: {error}"
        raise ImageError("corrupt", f"{found}, expected a sound one") from error
    bits = image.info.get("bit_depth", _BITS)
    if bits != _BITS:
        found = f"found {bits} bits a value in a HEIC image"
        raise ImageError("unsupported_mode", f"{found}, expected {_BITS}: convert it to PNG first")
    return image


def orientation_of(file: BinaryIO) -> int:
    """Return how the primary picture of a file is turned before it is shown, 1 (not) to 8.

    Reads the metadata of the file and the headers of its boxes.
    """
    corners = _START
    with suppress(ValueError, IndexError):
        for kind, body in _transforms(_meta(file)):
            if kind == b"irot":
                for _ in range(body[0] & 3):
                    (a, b), (c, d) = corners
                    corners = (b, d), (a, c)
            elif body[0] & 1:
                corners = corners[0][::-1], corners[1][::-1]
            else:
                corners = corners[::-1]
        return _TURNS.index(corners) + 1
    return UPRIGHT


def _meta(file: BinaryIO) -> bytes:
    """Return the body of the box that describes the pictures.

    Raises:
        ValueError: there is none.
    """
    at = 0
    for _ in range(_MOST_BOXES):
        file.seek(at)
        head = file.read(_LONG_HEAD_BYTES)
        size, start = _size(head)
        if head[4:8] == b"meta":
            file.seek(at + start)
            return file.read(min(size or _MOST_META_BYTES, _MOST_META_BYTES))
        if size < start:
            break
        at += size
    raise ValueError("meta")


def _size(head: bytes) -> tuple[int, int]:
    """Return the size of the box with this head, 0 if it ends with the file, and of the head."""
    size = int.from_bytes(head[:4], "big")
    if size == 1:
        return int.from_bytes(head[8:16], "big"), _LONG_HEAD_BYTES
    return size, _HEAD_BYTES


def _transforms(meta: bytes) -> list[tuple[bytes, bytes]]:
    """Return the rotations and mirrorings of the primary picture, in order: kinds and bodies.

    Raises:
        IndexError: a box is cut.
        ValueError: a box is missing.
    """
    meta = meta[_FULL_BYTES:]
    primary = _box(meta, b"pitm")
    item = int.from_bytes(primary[_FULL_BYTES:], "big")
    properties = _box(meta, b"iprp")
    known = list(_boxes(_box(properties, b"ipco")))
    numbers = _associated(_box(properties, b"ipma"), item)
    found = [known[number - 1] for number in numbers if number]
    return [(kind, body) for kind, body in found if kind in (b"irot", b"imir")]


def _associated(table: bytes, item: int) -> list[int]:
    """Return the numbers of an item's properties, from 1, in their order."""
    wide_item, wide_number = table[0] > 0, table[3] & 1
    at = _FULL_BYTES + 4
    for _ in range(int.from_bytes(table[_FULL_BYTES:at], "big")):
        stop = at + (4 if wide_item else 2)
        size = 2 if wide_number else 1
        end = stop + 1 + size * table[stop]
        if int.from_bytes(table[at:stop], "big") == item:
            essential = 1 << (8 * size - 1)
            values = (table[n : n + size] for n in range(stop + 1, end, size))
            return [int.from_bytes(value, "big") % essential for value in values]
        at = end
    return []


def _box(data: bytes, wanted: bytes) -> bytes:
    """Return the body of the first box of a kind.

    Raises:
        ValueError: there is none.
    """
    for kind, body in _boxes(data):
        if kind == wanted:
            return body
    raise ValueError(wanted)


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Iterate (kind, body) of the boxes, one after the other."""
    at = 0
    for _ in range(_MOST_BOXES):
        size, head = _size(data[at : at + _LONG_HEAD_BYTES])
        stop = at + size if size else len(data)
        if stop < at + head or at + head > len(data):
            return
        yield data[at + 4 : at + 8], data[at + head : stop]
        at = stop
