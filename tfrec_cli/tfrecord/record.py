"""One TFRecord record: length, CRC of the length, payload, CRC of the payload.

Knows: the bytes of a record, and how to read records at known places.
Must not know: what a payload means, damage, compression.

Source of the format: tensorflow/core/lib/io/record_writer.h and tensorflow/tsl/lib/hash/crc32c.h.
"""

from __future__ import annotations

import functools
import os
import struct
from collections.abc import Sequence
from typing import Any

import google_crc32c

from tfrec_cli.errors import FramingError

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
    """Read and check some records of an uncompressed file; adjacent ones are read together.

    Args:
        places: offset and length with framing of each record in bytes, as in an index file.
        name: the file's name, for the message.
        memory: buffer for the records, one after the other.
    Returns:
        The payloads, as parts of ``memory``.
    Raises:
        FramingError: at a place there is no intact record of that length.
    """
    data = _checksummed(memory)
    read_stop = _read_runs(file_descriptor, places, memory)
    payloads = []
    start = 0
    checksum = google_crc32c.value
    for offset, length in places:
        stop = start + length
        first, last = start + HEADER_BYTES, stop - FOOTER_BYTES
        if (
            length < OVERHEAD_BYTES
            or stop > read_stop
            or memory[start:first] != header(length - OVERHEAD_BYTES)
            or CRC.unpack_from(memory, last)[0] != mask(checksum(data[first:last]))
        ):
            raise _not_intact(offset, length, name)
        payloads.append(memory[first:last])
        start = stop
    return payloads


def _checksummed(memory: memoryview) -> Any:
    """Return ``memory`` in a form of which google_crc32c computes CRCs without a copy.

    Its C code takes arrays but no memoryviews.
    """
    if google_crc32c.implementation != "c":
        return memory
    import numpy as np

    return np.frombuffer(memory, np.uint8)


def _read_runs(file_descriptor: int, places: Sequence[Sequence[int]], memory: memoryview) -> int:
    """Read places into ``memory``, adjacent ones at once; return how many bytes were read."""
    runs: list[tuple[int, int, int]] = []  # offset, where it starts and stops in memory
    next_offset = stop = 0
    for offset, length in places:
        if offset < 0 or length < OVERHEAD_BYTES:
            break
        if runs and offset == next_offset:
            runs[-1] = (*runs[-1][:2], stop + length)
        else:
            runs.append((offset, stop, stop + length))
        next_offset = offset + length
        stop += length
    for offset, start, stop in runs:
        at = start
        while at < stop and (count := os.preadv(file_descriptor, [memory[at:stop]], offset)):
            at += count
            offset += count
        if at < stop:
            return at
    return stop


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
