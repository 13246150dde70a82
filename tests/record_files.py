"""Record files for tests: golden bytes, bombs, sparse files; and their content."""

from __future__ import annotations

import gzip
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tfrec_cli.tfrecord.record import frame
from tfrec_cli.tfrecord.scan import Damage, Record, scan

MIB = 2**20

# Made by TensorFlow 2.21:
#   with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions(compression_type=c)) as writer:
#       for payload in PAYLOADS: writer.write(payload)
# for c in "", "GZIP", "ZLIB", then path.read_bytes().hex().
# A one-byte record that it wrote begins 01000000 00000000 0175de41: the CRC below of length 1.
PAYLOADS = [b"first", b"", bytes(range(8)) * 2 + bytes(8)]
PLAIN = bytes.fromhex(
    "0500000000000000eab2043e666972737455ff23e5"
    "000000000000000029039807d8ea82a2"
    "1800000000000000a37f4b22000102030405060700010203040506070000000000000000"
    "2deda54b"
)
GZIP = bytes.fromhex(
    "1f8b080000000000000363658080579b58ecd2328b8a4b42ff2b3f858a316832cf60bff1aa69910494bfb8de5b"
    "898191899985958d1d4e4381eedba5de008a4f7aa24d000000"
)
ZLIB = bytes.fromhex(
    "789c63658080579b58ecd2328b8a4b42ff2b3f858a316832cf60bff1aa69910494bfb8de5b8981918999859"
    "58d1d4e4381eedba5de0070750e02"
)
FILES = {"": PLAIN, "GZIP": GZIP, "ZLIB": ZLIB}
WHOLE = [Record(0, 0, PAYLOADS[0]), Record(1, 21, PAYLOADS[1]), Record(2, 37, PAYLOADS[2])]
PLACES = [(0, 21), (21, 16), (37, 40)]
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "GZIP": gzip.compress,
    "ZLIB": zlib.compress,
}
BOUNDARIES = [offset for offset, _ in PLACES]


def record_file(path: Path, *payloads: bytes) -> Path:
    path.write_bytes(b"".join(map(frame, payloads)))
    return path


def bomb(folder: Path, compression: str, first: bytes, again: bytes, times: int) -> Path:
    """Compress ``first``, then ``again`` as often as ``times`` says, in the time of one of each."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    blocks = [deflate.compress(one) + deflate.flush(zlib.Z_FULL_FLUSH) for one in (first, again)]
    magic = {"GZIP": b"\x1f\x8b\x08" + bytes(7), "ZLIB": b"\x78\x9c"}[compression]
    path = folder / "bomb"
    path.write_bytes(magic + blocks[0] + blocks[1] * times)
    return path


def sparse(folder: Path, pieces: dict[int, bytes], size: int) -> Path:
    """Make a file of ``size`` bytes with pieces at some offsets, and holes between them."""
    path = folder / "sparse"
    with path.open("wb") as file:
        for offset, piece in pieces.items():
            file.seek(offset)
            file.write(piece)
        file.truncate(size)
    if path.stat().st_blocks * 512 > 2**26:
        pytest.skip("this file system has no sparse files")
    return path


def scanned(folder: Path, data: bytes, **options: Any) -> list[Record | Damage]:
    path = folder / "file.tfrecord"
    path.write_bytes(data)
    return list(scan(path, **options))


def payloads(items: Iterable[Record | Damage]) -> list[bytes]:
    return [item.payload for item in items if isinstance(item, Record)]


def damages(items: Iterable[Record | Damage]) -> list[Damage]:
    return [item for item in items if isinstance(item, Damage)]


def flipped(data: bytes, bit: int) -> bytes:
    flip = bytearray(data)
    flip[bit // 8] ^= 1 << bit % 8
    return bytes(flip)


def hit_by(bit: int) -> int:
    """Return the number of the record in PLAIN that has ``bit``."""
    return sum(bit // 8 >= offset for offset, _ in PLACES) - 1


def holding(path: Path, *, seconds: float = 4, most_bytes: int = 2**27) -> list[Record | Damage]:
    """Scan a file, and return its items; fail if that takes much time or memory."""
    tracemalloc.start()
    started = time.process_time()
    try:
        found = [
            item if isinstance(item, Damage) else item._replace(payload=b"") for item in scan(path)
        ]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.process_time() - started < seconds
    assert peak < most_bytes
    return found
