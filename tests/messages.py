"""Messages of record files, made by hand from tensorflow/core/example/{example,feature}.proto."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfrec_cli.tfrecord.record import frame

Value = bytes | Sequence[bytes] | Sequence[int] | Sequence[float] | None


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number: int, body: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(body)) + body


def feature(value: Value) -> bytes:
    """Serialise a Feature; None makes one without a list."""
    if value is None:
        return b""
    values: Sequence[Any] = [value] if isinstance(value, bytes) else value
    if all(isinstance(one, int) for one in values):
        return field(3, field(1, b"".join(varint(one) for one in values)))
    if all(isinstance(one, bytes) for one in values):
        return field(1, b"".join(field(1, one) for one in values))
    return field(2, field(1, struct.pack(f"<{len(values)}f", *values)))


def features(values: Mapping[str, Value]) -> bytes:
    return b"".join(
        field(1, field(1, name.encode()) + field(2, feature(value)))
        for name, value in values.items()
    )


def an_example(**values: Value) -> bytes:
    return field(1, features(values))


def a_sequence(context: Mapping[str, Value], lists: Mapping[str, Sequence[Value]]) -> bytes:
    steps = b"".join(
        field(
            1,
            field(1, name.encode()) + field(2, b"".join(field(1, feature(step)) for step in steps)),
        )
        for name, steps in lists.items()
    )
    return field(1, features(context)) + field(2, steps)


def framed(payloads: Sequence[bytes]) -> bytes:
    return b"".join(map(frame, payloads))


def record_file(path: Path, *payloads: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(framed(payloads))
    return path
