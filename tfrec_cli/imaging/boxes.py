"""The boxes that JPEG 2000, AVIF and HEIC files are made of, and the properties of a picture.

Knows: sizes and names of boxes, and which properties a picture has. Must not know: their meaning.

Source: ISO/IEC 14496-12, section 4.2; ISO/IEC 15444-1, annex I; ISO/IEC 23008-12, section 9.3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from tfrec_cli.errors import ImageError

_MOST_BOXES = 10_000
_VERSION_BYTES = 4
"""Version and flags at the start of some boxes."""

_MOST_TABLE_BYTES, _MOST_PROPERTY_BYTES = 1 << 20, 256


class File(Protocol):
    """A file that can be read in pieces."""

    def read(self, size: int, /) -> bytes: ...  # noqa: D102
    def seek(self, offset: int, whence: int = 0, /) -> int: ...  # noqa: D102


class Box(NamedTuple):
    """A box: its name, and where its body starts and stops."""

    kind: bytes
    start: int
    stop: int


def boxes(file: File, start: int, stop: int) -> Iterator[Box]:
    """Iterate the boxes between two places of a file.

    Raises:
        ImageError: a box does not end within ``stop``, or there are too many.
    """
    for _ in range(_MOST_BOXES):
        if start + 8 > stop:
            return
        file.seek(start)
        head = file.read(16)
        if len(head) < 8:
            return
        length, kind = struct.unpack_from(">I4s", head)
        body = start + 8
        if length == 1 and len(head) == 16:
            length, body = struct.unpack_from(">Q", head, 8)[0], start + 16
        end = stop if length == 0 else start + length
        if end < body or end > stop:
            found = f"found a box {kind!r} that ends at byte {end}"
            raise ImageError("truncated", f"{found}, expected at most {stop}")
        yield Box(kind, body, end)
        start = end
    raise ImageError("too_complex", f"found more than {_MOST_BOXES} boxes, expected fewer")


def body(file: File, box: Box, most: int = 1 << 16) -> bytes:
    """Read the body of a box, at most ``most`` bytes."""
    file.seek(box.start)
    return file.read(min(box.stop - box.start, most))


def properties(file: File) -> list[tuple[bytes, bytes]]:
    """Return name and body of the properties of the primary picture, in the order they apply.

    Raises:
        ImageError: they are damaged.
    """
    try:
        return _properties(file)
    except (struct.error, IndexError) as error:
        raise ImageError("corrupt", f"cannot be decoded: damaged properties ({error})") from error


def _properties(file: File) -> list[tuple[bytes, bytes]]:
    size_bytes = file.seek(0, 2)
    meta = next((box for box in boxes(file, 0, size_bytes) if box.kind == b"meta"), None)
    if meta is None:
        return []
    inner = {box.kind: box for box in boxes(file, meta.start + _VERSION_BYTES, meta.stop)}
    if b"pitm" not in inner or b"iprp" not in inner:
        return []
    data = body(file, inner[b"pitm"])
    primary = struct.unpack_from(">I" if data[0] else ">H", data, _VERSION_BYTES)[0]
    kept: list[Box] = []
    numbers: list[int] = []
    for box in boxes(file, inner[b"iprp"].start, inner[b"iprp"].stop):
        if box.kind == b"ipco":
            kept = list(boxes(file, box.start, box.stop))
        elif box.kind == b"ipma":
            numbers += _associated(body(file, box, _MOST_TABLE_BYTES), primary)
    found = [kept[number - 1] for number in numbers if 0 < number <= len(kept)]
    return [(box.kind, body(file, box, _MOST_PROPERTY_BYTES)) for box in found]


def _associated(data: bytes, primary: int) -> list[int]:
    """Return the numbers of the properties of an item, counted from 1."""
    wide_items, wide_numbers = data[0] > 0, data[3] & 1
    (entries,) = struct.unpack_from(">I", data, _VERSION_BYTES)
    place = 8
    for _ in range(entries):
        item = struct.unpack_from(">I" if wide_items else ">H", data, place)[0]
        place += 4 if wide_items else 2
        count = data[place]
        form = f">{count}{'H' if wide_numbers else 'B'}"
        numbers = struct.unpack_from(form, data, place + 1)
        place += 1 + struct.calcsize(form)
        if item == primary:
            return [number & (0x7FFF if wide_numbers else 0x7F) for number in numbers]
    return []
