"""Count the records of all shards and check their CRCs, without TensorFlow: count.py OUT."""

import mmap
import struct
import sys
from pathlib import Path

import google_crc32c

HEADER = struct.Struct("<QI")
FOOTER = struct.Struct("<I")


def masked(data: bytes) -> int:
    """Return the CRC that TFRecord stores."""
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


records = 0
for path in Path(sys.argv[1]).glob("*.tfrecord"):
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        at = 0
        while at < len(mapped):
            length, length_crc = HEADER.unpack_from(mapped, at)
            start, end = at + HEADER.size, at + HEADER.size + length
            if masked(mapped[at : at + 8]) != length_crc:
                sys.exit(f"{path}: wrong length at byte {at}")
            if masked(mapped[start:end]) != FOOTER.unpack_from(mapped, end)[0]:
                sys.exit(f"{path}: wrong data at byte {start}")
            at = end + FOOTER.size
            records += 1
print(f"{records} records")
