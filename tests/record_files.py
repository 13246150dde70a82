"""Record files for tests: whole ones, bombs, and files with holes."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from tfrec_cli.tfrecord import framing

MIB = 2**20


def record_file(path: Path, *payloads: bytes) -> Path:
    path.write_bytes(
        b"".join(framing.header(len(one)) + one + framing.footer(one) for one in payloads)
    )
    return path


def bomb(folder: Path, compression: str, first: bytes, again: bytes, times: int) -> Path:
    """Compress ``first`` and so many times ``again``, in the time that two of them take."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    blocks = [deflate.compress(one) + deflate.flush(zlib.Z_FULL_FLUSH) for one in (first, again)]
    magic = {"GZIP": b"\x1f\x8b\x08" + bytes(7), "ZLIB": b"\x78\x9c"}[compression]
    path = folder / "bomb"
    path.write_bytes(magic + blocks[0] + blocks[1] * times)
    return path


def sparse(folder: Path, pieces: dict[int, bytes], size: int) -> Path:
    """Make a file of ``size`` bytes with pieces at some places, and holes between them."""
    path = folder / "sparse"
    with path.open("wb") as file:
        for offset, piece in pieces.items():
            file.seek(offset)
            file.write(piece)
        file.truncate(size)
    if path.stat().st_blocks * 512 > 2**26:
        pytest.skip("this file system knows no holes")
    return path
