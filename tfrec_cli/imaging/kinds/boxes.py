"""The boxes that JPEG 2000 and AVIF files are made of.

Knows: sizes and names of boxes. Must not know: what is in them.

Source: ISO/IEC 14496-12, section 4.2; ISO/IEC 15444-1, annex I.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from tfrec_cli.errors import ImageError

_MOST_BOXES = 10_000


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
