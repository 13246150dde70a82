"""Compressions of record files, and how the first bytes of a file show its compression."""

from __future__ import annotations

from typing import Literal

HEAD_BYTES = 512
"""This many first bytes show the compression of a file, even if it is damaged."""

Compression = Literal["none", "gzip", "zlib"]
"""Compressions that can be read."""

WrittenCompression = Literal["none", "gzip"]
"""Compressions that can be written."""

_ZLIB_MAGIC = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
"""A window of 32 KiB, each of the four levels, no dictionary: all writers use these."""


def guess(head: bytes) -> Compression:
    """Name the compression of a stream that begins with ``head``.

    The first two bytes of zlib or GZIP can also be the low bytes of a record's length: callers
    check the CRC of the length first.
    """
    if head[:2] == b"\x1f\x8b":
        return "gzip"
    if head[:2] in _ZLIB_MAGIC:
        return "zlib"
    return "none"
