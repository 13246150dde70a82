"""Hash the bytes of all shards in memory on all cores: hashes.py crc32c|sha256 OUT."""

import hashlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import google_crc32c

from benchmarks.clock import cores

PIECE_BYTES = 2**20

name, folder = sys.argv[1:]
shards = [path.read_bytes() for path in Path(folder).glob("*.tfrecord")]
pieces = [
    shard[start : start + PIECE_BYTES]
    for shard in shards
    for start in range(0, len(shard), PIECE_BYTES)
]
digest = google_crc32c.value if name == "crc32c" else hashlib.sha256
with ThreadPoolExecutor(cores()) as pool:
    list(pool.map(digest, pieces))
    begun = time.perf_counter()
    list(pool.map(digest, pieces))
    seconds = time.perf_counter() - begun
print(f"{sum(map(len, pieces))} bytes in {seconds:.6f} seconds")
