"""Segments of JPEG files, made by hand, for tests."""

from __future__ import annotations

import struct

from conftest import oriented
from PIL import Image

PHOTOSHOP = b"Photoshop 3.0\0"
XMP = b"http://ns.adobe.com/xap/1.0/\0"
RESOURCE = b"8BIM\4\x0b\3abc" + struct.pack(">L", 6) + b"by it "


def segment(code: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, code, len(body) + 2) + body


def exif(*, kind: int = 3, resolution_kind: int = 5, resolution_at: int = 50) -> bytes:
    """Make a little-endian EXIF block of three tags; the value of one is after them."""
    tags = [
        (0x010F, 2, 4, 0x626F42),
        (0x0112, kind, 1, 6),
        (0x011A, resolution_kind, 1, resolution_at),
    ]
    entries = b"".join(struct.pack("<HHLL", *tag) for tag in tags)
    header = b"Exif\0\0II*\0" + struct.pack("<LH", 8, len(tags))
    return header + entries + bytes(4) + struct.pack("<LL", 72, 1)


def many_tags(orientation: int | None) -> Image.Exif:
    found = Image.Exif() if orientation is None else oriented(orientation)
    found.update({0x010F: "maker", 0x0110: "model", 0x011A: 72.0, 0x0128: 2, 0x0132: "2026"})
    found.get_ifd(0x8769).update({0x829A: 0.01, 0x9286: b"by hand"})
    return found
