"""How a record file may be compressed, and what its first bytes say of it."""

from __future__ import annotations

from typing import Literal

HEAD_BYTES = 512
"""So many first bytes tell the compression of a file, damaged or not."""

Compression = Literal["none", "gzip", "zlib"]
"""What is read."""

WrittenCompression = Literal["none", "gzip"]
"""What is written."""

_ZLIB_MAGIC = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
"""A window of 32 KiB, the four levels, no dictionary: what every writer makes."""


def guess(head: bytes) -> Compression:
    """Name the compression of a stream that begins with ``head``.

    Two bytes of zlib can be the low bytes of a record's length: a caller that knows better, by a
    checksum, asks that first.
    """
    if head[:2] == b"\x1f\x8b":
        return "gzip"
    if head[:2] in _ZLIB_MAGIC:
        return "zlib"
    return "none"
