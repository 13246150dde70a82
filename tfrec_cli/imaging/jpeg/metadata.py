"""The metadata of JPEG files that every decoder reads alike: EXIF, XMP, profiles, Photoshop.

Knows: segments of metadata. Must not know: other segments, files, Pillow.
"""

from __future__ import annotations

import struct

from tfrec_cli.runtime import native

APP1, APP2, APP13 = 0xE1, 0xE2, 0xED

Place = tuple[int, int, int]
"""Code, start and stop of a segment."""

EXIF_MARK, XMP_MARK = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
"""What blocks of EXIF and XMP begin with."""

ORIENTATION = 0x0112
"""The tag of EXIF."""

_HEAD_BYTES = 4
_TIFF = {EXIF_MARK + b"II*\0\x08\0\0\0": "<", EXIF_MARK + b"MM\0*\0\0\0\x08": ">"}
_TIFF_AT, _TIFF_BYTES, _ENTRY_BYTES = 6, 8, 12
_TIFF_KINDS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_X_RESOLUTION, _RESOLUTION_UNIT = 0x011A, 0x0128
_TIFF_READ = {ORIENTATION: 3, _X_RESOLUTION: 5, _RESOLUTION_UNIT: 3}
"""Tags that Pillow reads when it opens a JPEG: each must hold one value of this kind."""

_XMP_ORIENTATION = b":Orientation"
_PHOTOSHOP, _RESOURCE, _RESOURCE_BYTES = b"Photoshop 3.0\0", b"8BIM", 6


def read(data: native.Bytes, segments: list[Place]) -> tuple[bool, bool, int]:
    """Read segments of EXIF, XMP, colour profiles and Photoshop.

    Returns:
        Whether all are plain, whether there is a profile, and the orientation.
    """
    plain, icc, orientation = True, False, 0
    for code, start, stop in segments:
        segment = bytes(data[start + _HEAD_BYTES : stop])
        if code == APP13:
            plain = plain and _is_photoshop(segment)
        elif code == APP2:
            plain = plain and not icc and _is_icc(segment)
            icc = True
        elif segment.startswith(XMP_MARK):
            plain = plain and _XMP_ORIENTATION not in segment
        else:
            plain = plain and not orientation
            orientation = _orientation(segment)
            plain = plain and orientation > 0
    return plain, icc, orientation or 1


def _is_icc(segment: bytes) -> bool:
    """Tell whether an APP2 segment holds a complete colour profile."""
    return segment[:12] == b"ICC_PROFILE\0" and segment[13:14] == b"\1" and len(segment) > 14


def _orientation(segment: bytes) -> int:
    """Return the orientation of an EXIF block that every decoder reads alike; 0 for other blocks.

    In such a block the tags follow the TIFF header, and all values are inside the block.

    Source: CIPA DC-008 (Exif 2.32), TIFF 6.0.
    """
    order = _TIFF.get(segment[: _TIFF_AT + _TIFF_BYTES])
    block = segment[_TIFF_AT:]
    if order is None or len(block) < _TIFF_BYTES + 2:
        return 0
    start = _TIFF_BYTES + 2
    stop = start + _ENTRY_BYTES * struct.unpack_from(order + "H", block, _TIFF_BYTES)[0]
    if stop + 4 > len(block):
        return 0
    orientation = outside = 0
    entries = struct.iter_unpack(order + "HHLL", block[start:stop])
    for number, (tag, kind, count, offset) in enumerate(entries):
        size = count * _TIFF_KINDS.get(kind, 0)
        if size > 4:
            outside += size
        if size == 0 or outside > len(block) or (size > 4 and offset + size > len(block)):
            return 0
        if tag in _TIFF_READ and (kind, count) != (_TIFF_READ[tag], 1):
            return 0
        if tag == ORIENTATION:
            (value,) = struct.unpack_from(order + "H", block, start + _ENTRY_BYTES * number + 8)
            if orientation:
                return 0
            orientation = value if 1 <= value <= 8 else 1
    return orientation or 1


def _is_photoshop(segment: bytes) -> bool:
    """Tell whether a Photoshop segment holds complete image resources, one after the other.

    Source: Adobe Photoshop File Formats Specification, image resources.
    """
    if not segment.startswith(_PHOTOSHOP):
        return False
    at = len(_PHOTOSHOP)
    while segment[at : at + 4] == _RESOURCE:
        name = segment[at + _RESOURCE_BYTES : at + _RESOURCE_BYTES + 1]
        at += _RESOURCE_BYTES + 1 + sum(name)
        at += at & 1
        length = segment[at : at + 4]
        at += 4 + int.from_bytes(length, "big")
        if len(length) < 4 or at > len(segment):
            return False
        at += at & 1
    return True
