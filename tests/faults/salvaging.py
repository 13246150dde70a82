"""Thousands of damaged shards: `salvage` must recover every undamaged record, and nothing else.

The undamaged records are found without `tfrec_cli`: by searching for the bytes that were written.
``python -c "from salvaging import run; print(run(1000, 0))"`` in this folder runs it.
"""

from __future__ import annotations

import gzip
import random
import struct
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import google_crc32c

from tfrec_cli.commands import salvage
from tfrec_cli.errors import DataError

BLOCK_BYTES = 512
_DAMAGES_MOST = 4


def frame(payload: bytes) -> bytes:
    """Frame one record, as the format's description says."""
    length = struct.pack("<Q", len(payload))
    return length + _masked(length) + payload + _masked(payload)


def _masked(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32)


def whole(data: bytes, frames: Iterable[bytes]) -> list[tuple[int, bytes]]:
    """Find each place in ``data`` with one of ``frames`` intact, in order."""
    found = []
    for one in set(frames):
        at = data.find(one)
        while at >= 0:
            found.append((at, one))
            at = data.find(one, at + len(one))
    return sorted(found)


# Takes a shard, another shard and a random generator; returns the damaged shard.
Damage = Callable[[bytes, bytes, random.Random], bytes]


def _span(data: bytes, rng: random.Random) -> tuple[int, int]:
    """Pick a span, usually a short one, sometimes a long one."""
    start = rng.randrange(len(data) + 1)
    most = rng.choice([4, 40, 400, 4000, len(data)])
    return start, min(start + rng.randrange(most + 1), len(data))


def flip_bits(data: bytes, _: bytes, rng: random.Random) -> bytes:
    """Flip one to eight bits."""
    flipped = bytearray(data)
    for _ in range(rng.randrange(1, 9) if data else 0):
        flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def zero_blocks(data: bytes, _: bytes, rng: random.Random) -> bytes:
    """Zero one or several blocks, as a failing disk does."""
    start = rng.randrange(len(data) + 1) // BLOCK_BYTES * BLOCK_BYTES
    stop = min(start + BLOCK_BYTES * rng.randrange(1, 9), len(data))
    return data[:start] + bytes(stop - start) + data[stop:]


def cut_end(data: bytes, _: bytes, rng: random.Random) -> bytes:
    """Remove everything after a random place."""
    return data[: rng.randrange(len(data) + 1)]


def remove_span(data: bytes, _: bytes, rng: random.Random) -> bytes:
    """Remove a span in the middle."""
    start, stop = _span(data, rng)
    return data[:start] + data[stop:]


def insert_junk(data: bytes, _: bytes, rng: random.Random) -> bytes:
    """Insert random bytes."""
    start, stop = _span(data, rng)
    return data[:start] + rng.randbytes(stop - start) + data[start:]


def overwrite_with_other(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """Overwrite a span with bytes of another shard, from the same place or from anywhere."""
    start, stop = _span(data, rng)
    at = start if rng.randrange(2) else rng.randrange(len(other) + 1)
    piece = other[at : at + stop - start]
    return data[:start] + piece + data[start + len(piece) :]


def duplicate_span(data: bytes, _: bytes, rng: random.Random) -> bytes:
    """Insert a copy of a span after it, or anywhere."""
    start, stop = _span(data, rng)
    at = stop if rng.randrange(2) else rng.randrange(len(data) + 1)
    return data[:at] + data[start:stop] + data[at:]


def swap_blocks(data: bytes, _: bytes, rng: random.Random) -> bytes:
    """Swap two runs of blocks, as a broken file table does."""
    count = len(data) // BLOCK_BYTES
    if count < 2:
        return data
    one, two = sorted(rng.sample(range(count), 2))
    size = BLOCK_BYTES * rng.randrange(1, two - one + 1)
    one, two = one * BLOCK_BYTES, two * BLOCK_BYTES
    first, second = data[one : one + size], data[two : two + size]
    return data[:one] + second + data[one + size : two] + first + data[two + size :]


DAMAGES: tuple[Damage, ...] = (
    flip_bits,
    zero_blocks,
    cut_end,
    remove_span,
    insert_junk,
    overwrite_with_other,
    duplicate_span,
    swap_blocks,
)


def payloads(rng: random.Random) -> list[bytes]:
    """Make the payloads of one shard: empty, tiny or large; random, zeros, or like a header."""
    made = []
    for _ in range(rng.randrange(3, 25)):
        size = rng.choice([0, rng.randrange(40), rng.randrange(3000), rng.randrange(12000)])
        lie = struct.pack("<Q", rng.randrange(20000))
        made.append(
            rng.choice(
                [
                    rng.randbytes(size),
                    rng.randbytes(size),
                    bytes(size),
                    b"\xff" * size,
                    rng.randbytes(size // 2) + lie + _masked(lie) + rng.randbytes(size // 2),
                ]
            )
        )
    return made


def run(shards: int, seed: int) -> dict[str, Any]:
    """Damage and salvage shards.

    Returns:
        shards, records (in them before), undamaged (in them after), recovered, missed, foreign
        (written although not intact in the damaged file), wrong (numbers of shards with a wrong
        output or wrong lost ranges), damages (number by kind).
    """
    rng = random.Random(seed)
    counts: Counter[str] = Counter()
    damages: Counter[str] = Counter()
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(shards):
            own, other = ([frame(one) for one in payloads(rng)] for _ in range(2))
            data = b"".join(own)
            for damage in rng.choices(DAMAGES, k=rng.randrange(1, _DAMAGES_MOST + 1)):
                data = damage(data, b"".join(other), rng)
                damages[damage.__name__] += 1
            stored = data
            if number % 8 == 7:
                stored = _cut_compressed(data, rng)
                damages["cut_compressed"] += 1
                data = _decompressed(stored)
            counts["records"] += len(own)
            if not _try(Path(folder), stored, data, own + other, counts):
                wrong.append(number)
    return {"shards": shards, **counts, "wrong": wrong, "damages": dict(damages)}


def _cut_compressed(data: bytes, rng: random.Random) -> bytes:
    """Compress, as GZIP of one or two members or as zlib, and cut off the end."""
    middle = rng.randrange(len(data) + 1)
    made = rng.choice(
        [
            gzip.compress(data),
            gzip.compress(data[:middle]) + gzip.compress(data[middle:]),
            zlib.compress(data),
        ]
    )
    return made[: rng.randrange(2, len(made))]


def _decompressed(data: bytes) -> bytes:
    """Decompress as much as possible."""
    found = b""
    while data:
        one = zlib.decompressobj(15 if data[:1] == b"\x78" else 31)
        found += one.decompress(data)
        data = one.unused_data
    return found


def _try(
    folder: Path, stored: bytes, data: bytes, frames: Sequence[bytes], counts: Counter[str]
) -> bool:
    """Salvage one file, which is ``data`` when decompressed; return whether the result is right."""
    path, out = folder / "damaged", folder / "out"
    path.write_bytes(stored)
    undamaged = whole(data, frames)
    try:
        result = salvage.salvage(path, out, salvage.Options())
    except DataError:
        return not undamaged and not out.exists()
    written = out.read_bytes()
    out.unlink()
    recovered = whole(written, frames)
    missed = Counter(one for _, one in undamaged) - Counter(one for _, one in recovered)
    counts["undamaged"] += len(undamaged)
    counts["recovered"] += len(recovered)
    counts["missed"] += missed.total()
    counts["foreign"] += result.records - (len(undamaged) - missed.total())
    gaps = []
    end = 0
    for at, one in [*undamaged, (len(data), b"")]:
        if end < at:
            gaps.append((end, at))
        end = at + len(one)
    lost = [(one.start, one.stop) for one in result.lost if one.start < one.stop]
    return written == b"".join(one for _, one in undamaged) and lost == gaps
