"""The chunks of PNG files, checked without decoding them, and the limit on their number.

Knows: chunks. Must not know: pixels, Pillow.

Source: Portable Network Graphics (PNG) Specification, third edition.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Protocol

from tfrec_cli.errors import ImageError

MAX_CHUNKS = 100_000
"""Files of cameras and editors have a hundred, or thousands if a large picture is in pieces."""

_SIGNATURE_BYTES, _HEAD_BYTES, _CRC_BYTES = 8, 8, 4


class _File(Protocol):
    def read(self, size: int, /) -> bytes: ...
    def seek(self, offset: int, /) -> int: ...


def check(data: bytes) -> None:
    """Check that a PNG file is complete, without decoding it.

    Finds every cut and every changed byte.

    Raises:
        ImageError: the file is cut, has no pixels, or a chunk has a wrong checksum.
    """
    kinds = set()
    view = memoryview(data)
    for number, (kind, start, length) in enumerate(_chunks(io.BytesIO(data))):
        if number == MAX_CHUNKS:
            found = f"found more than {MAX_CHUNKS} segments or chunks"
            raise ImageError("too_complex", f"{found}, expected fewer")
        stop = start + length
        crc = data[stop : stop + _CRC_BYTES]
        if len(crc) < _CRC_BYTES:
            break
        if int.from_bytes(crc, "big") != zlib.crc32(view[start:stop], zlib.crc32(kind)):
            place = start - _HEAD_BYTES
            raise ImageError(
                "corrupt", f"found a wrong checksum in the {kind!r} chunk at byte {place}"
            )
        kinds.add(kind)
        if kind == b"IEND":
            break
    if b"IEND" not in kinds:
        raise ImageError("truncated", f"found the end at byte {len(data)}, expected IEND")
    if b"IDAT" not in kinds:
        raise ImageError("truncated", "found no IDAT chunk, expected pixels")


def find_exif(file: _File) -> bytes | None:
    """Return a PNG's EXIF block; reads only that and the headers of chunks."""
    for kind, start, length in _chunks(file):
        if kind == b"eXIf":
            file.seek(start)
            return file.read(length)
    return None


def _chunks(file: _File) -> Iterator[tuple[bytes, int, int]]:
    """Iterate (kind, start of the body, length of the body) of the chunks with complete headers."""
    position = _SIGNATURE_BYTES
    while True:
        file.seek(position)
        head = file.read(_HEAD_BYTES)
        if len(head) < _HEAD_BYTES:
            return
        length, kind = struct.unpack(">I4s", head)
        yield kind, position + _HEAD_BYTES, length
        position += _HEAD_BYTES + length + _CRC_BYTES
