"""Examples in the wire format, made by hand, for tests."""

from __future__ import annotations

import numpy as np


def varint(number: int, more: int = 0) -> bytes:
    """Write a varint in ``more`` bytes more than it needs."""
    pieces = [number & 0x7F]
    while number := number >> 7:
        pieces.append(number & 0x7F)
    pieces += [0] * more
    return bytes([piece | 0x80 for piece in pieces[:-1]] + pieces[-1:])


def field(number: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return bytes([number << 3 | 2]) + varint(len(content)) + content


def entry(name: bytes, *lists: bytes) -> bytes:
    return field(1, field(1, name), field(2, *lists))


def payload_of(*entries: bytes) -> bytes:
    return field(1, *entries)


def packed(*numbers: bytes) -> bytes:
    """Make an int64 list of varints."""
    return field(3, field(1, *numbers))


def unpacked(*numbers: bytes) -> bytes:
    """Make an int64 list of varints, each in a field of its own, as old writers do."""
    return field(3, *[b"\x08" + number for number in numbers])


def strings(*values: bytes) -> bytes:
    return field(1, *[field(1, value) for value in values])


def exact(data: bytes) -> memoryview:
    """Return bytes in memory of exactly their size, so that a sanitizer sees a read past the end.

    Bytes objects end in an extra zero, and Python's arrays have room to grow.
    """
    return memoryview(np.frombuffer(data, np.uint8).copy())
