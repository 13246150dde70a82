"""One TFRecord record: length, CRC of the length, payload, CRC of the payload.

Knows: the bytes of a record, and how to read records at known places.
Must not know: what a payload means, damage, compression.

Source of the format: tensorflow/core/lib/io/record_writer.h and tensorflow/tsl/lib/hash/crc32c.h.
"""

from __future__ import annotations

import functools
import os
import struct
from array import array
from collections.abc import Sequence
from itertools import chain

import google_crc32c

from tfrec_cli.errors import FramingError
from tfrec_cli.runtime import native

HEADER_BYTES = 12
FOOTER_BYTES = 4
OVERHEAD_BYTES = HEADER_BYTES + FOOTER_BYTES
LIMIT_BYTES = 2**31 - 1
"""The largest payload that is accepted by default: the limit of protocol buffers."""

LENGTH = struct.Struct("<Q")
CRC = struct.Struct("<I")
HEADER = struct.Struct("<QI")


def masked_crc(data: bytes) -> int:
    """Return the masked CRC32C of ``data`` as TFRecord stores it, in ``[0, 2**32)``."""
    return mask(google_crc32c.value(data))


def mask(crc: int) -> int:
    """Return a CRC32C as TFRecord stores it."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@functools.lru_cache(1024)
def header(length_bytes: int) -> bytes:
    """Return the 12 bytes before a payload of ``length_bytes``."""
    return HEADER.pack(length_bytes, masked_crc(LENGTH.pack(length_bytes)))


def footer(payload: bytes) -> bytes:
    """Return the 4 bytes after ``payload``."""
    return CRC.pack(masked_crc(payload))


def frame_pieces(payload: bytes) -> tuple[bytes, bytes, bytes]:
    """Return one record in pieces: header, ``payload``, footer."""
    return header(len(payload)), payload, footer(payload)


def frame(payload: bytes) -> bytes:
    """Return one record: ``payload`` between its header and its footer."""
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
    data = os.pread(file_descriptor, min(max(length_bytes, 0), most), offset_bytes)
    payload = data[HEADER_BYTES:-FOOTER_BYTES]
    if length_bytes != len(data) or not _is_intact(data, payload):
        raise _not_intact(offset_bytes, length_bytes, name)
    return payload


def read_places(
    file_descriptor: int, places: Sequence[Sequence[int]], name: str, memory: memoryview
) -> list[memoryview]:
    """Read and check some records of an uncompressed file.

    Args:
        places: offset and length with framing of each record in bytes, as in an index file.
        name: the file's name, for the message.
        memory: buffer for the records, one after the other.
    Returns:
        The payloads, as parts of ``memory``.
    Raises:
        FramingError: at a place there is no intact record of that length.
    """
    flat = array("q", chain.from_iterable(places))
    checked = native.read_records(file_descriptor, flat, memory)
    payloads = []
    start = 0
    for number, (offset, length) in enumerate(places):
        stop = start + length
        if number >= checked:
            record = _read(file_descriptor, offset, memory[start : max(start, stop)])
            if length != len(record) or not _is_intact(record, record[HEADER_BYTES:-FOOTER_BYTES]):
                raise _not_intact(offset, length, name)
        payloads.append(memory[start + HEADER_BYTES : stop - FOOTER_BYTES])
        start = stop
    return payloads


def _read(file_descriptor: int, offset: int, memory: memoryview) -> bytes:
    """Read into ``memory``, and return what was read."""
    size = 0
    if offset < 0:  # -1 would mean where the file was read last
        return b""
    while size < len(memory) and (
        count := os.preadv(file_descriptor, [memory[size:]], offset + size)
    ):
        size += count
    return bytes(memory[:size])


def _is_intact(data: bytes, payload: bytes) -> bool:
    """Tell whether ``data`` is a record with this payload and right CRCs."""
    return (
        len(data) >= OVERHEAD_BYTES
        and data[:HEADER_BYTES] == header(len(payload))
        and data[-FOOTER_BYTES:] == footer(payload)
    )


def _not_intact(offset: int, length: int, name: str) -> FramingError:
    message = f"{name}: at byte {offset}: no intact record of {length} bytes here"
    return FramingError(message, hint="verify")
