"""One TFRecord record: length, CRC of the length, payload, CRC of the payload.

Knows: the bytes of a record, and how to read records whose places are known.
Must not know: what a payload means, damage, compression.

Source of the format: tensorflow/core/lib/io/record_writer.h and tensorflow/tsl/lib/hash/crc32c.h.
"""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Sequence
from itertools import chain

from tfrec_cli.errors import FramingError
from tfrec_cli.runtime import native

HEADER_BYTES = 12
FOOTER_BYTES = 4
OVERHEAD_BYTES = HEADER_BYTES + FOOTER_BYTES
LIMIT_BYTES = 2**31 - 1
"""The largest payload accepted by default: no protocol buffer can be larger."""

LENGTH = struct.Struct("<Q")
CRC = struct.Struct("<I")
HEADER = struct.Struct("<QI")


def masked_crc(data: native.Bytes) -> int:
    """Return the masked CRC32C of ``data`` as TFRecord stores it, in ``[0, 2**32)``."""
    return mask(native.crc32c(data))


def mask(crc: int) -> int:
    """Return a CRC32C as TFRecord stores it."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def header(length_bytes: int) -> bytes:
    """Return the 12 bytes before a payload of ``length_bytes``."""
    length = LENGTH.pack(length_bytes)
    return length + CRC.pack(masked_crc(length))


def footer(payload: native.Bytes) -> bytes:
    """Return the 4 bytes after ``payload``."""
    return CRC.pack(masked_crc(payload))


def frame_pieces(payload: bytes) -> tuple[bytes, bytes, bytes]:
    """Return one whole record in pieces: header, ``payload``, footer."""
    return header(len(payload)), payload, footer(payload)


def frame(payload: bytes) -> bytes:
    """Return one whole record: ``payload`` between its header and its footer."""
    return b"".join(frame_pieces(payload))


def is_header(data: bytes) -> bool:
    """Tell whether ``data`` starts with a length whose CRC is right."""
    if len(data) < HEADER_BYTES:
        return False
    _, crc = HEADER.unpack_from(data)
    return bool(crc == masked_crc(data[:8]))


def read_at(file_descriptor: int, offset_bytes: int, length_bytes: int, name: str) -> bytes:
    """Read and check one record of an uncompressed file: see `read_places`."""
    most = min(LIMIT_BYTES + OVERHEAD_BYTES, os.fstat(file_descriptor).st_size)
    whole = os.pread(file_descriptor, min(max(length_bytes, 0), most), offset_bytes)
    _check_whole(whole, offset_bytes, length_bytes, name)
    return whole[HEADER_BYTES:-FOOTER_BYTES]


def read_places(
    file_descriptor: int, places: Sequence[Sequence[int]], name: str, memory: memoryview
) -> list[memoryview]:
    """Read and check some records of an uncompressed file.

    Args:
        places: each record's offset, and its whole length with framing, as an index file has them,
            in bytes.
        name: the file's name, for the message.
        memory: what to read them into, one after the other.
    Returns:
        The payloads, in ``memory``.
    Raises:
        FramingError: the bytes at a place are no whole record of that length.
    """
    good = native.read_records(file_descriptor, array("q", chain(*places)), memory)
    payloads = []
    start = 0
    for number, (offset, length) in enumerate(places):
        if number >= good:
            whole = memory[start : start + max(length, 0)]
            size = os.preadv(file_descriptor, [whole], offset)
            _check_whole(whole[:size], offset, length, name)
        payloads.append(memory[start + HEADER_BYTES : start + length - FOOTER_BYTES])
        start += length
    return payloads


def _check_whole(whole: native.Bytes, offset: int, length: int, name: str) -> None:
    """Check that what was read at a place is a record of that length."""
    if (
        offset < 0  # for the system, -1 is wherever the file was read last
        or length != len(whole)
        or length < OVERHEAD_BYTES
        or whole[:HEADER_BYTES] != header(length - OVERHEAD_BYTES)
        or whole[-FOOTER_BYTES:] != footer(memoryview(whole)[HEADER_BYTES:-FOOTER_BYTES])
    ):
        raise FramingError(
            f"{name}: at byte {offset}: found no whole record of {length} bytes, expected one",
            hint="verify",
        )
