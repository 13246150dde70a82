"""The outer structure of JPEG and PNG files, without decoding them.

Knows: markers and chunks. Must not know: pixels, Pillow.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from tfrec_cli import sniff
from tfrec_cli.errors import ImageError

MAX_SCANS = 100
"""A camera writes about ten; a small JPEG of 2,000 scans takes a decoder a minute."""

_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""A marker behind entropy-coded data, in which 0xff is only followed by 0 or a restart number."""


@dataclass(frozen=True, slots=True)
class Jpeg:
    """The markers of a JPEG file up to its first scan, and what follows.

    Attributes:
        sof: number of the frame type: 0 and 1 sequential, 2 progressive, others rare.
        sampling: (horizontal, vertical) factors of each component.
        scans: how many scans there are.
        interleaved: the first scan holds every component.
        ended: an end marker follows the first scan.
    """

    sof: int
    sampling: tuple[tuple[int, int], ...]
    scans: int
    interleaved: bool
    ended: bool

    @property
    def has_exact_window(self) -> bool:
        """Whether decoding a window of it, two columns wider on each side, is exact.

        Source: measured on 934,000 windows of 4,576 JPEGs, see the README.
        """
        if self.sof not in (0, 1) or len(self.sampling) not in (1, 3):
            return False
        if self.scans != 1 or not self.interleaved:
            return False
        luma, chroma = self.sampling[0], set(self.sampling[1:])
        if not chroma:
            return True
        across, down = chroma.pop()
        return not chroma and luma[0] in (across, 2 * across) and luma[1] in (down, 2 * down)


def check(data: bytes, name: sniff.ImageFormat) -> Jpeg | None:
    """Check that a JPEG or PNG file is there to its end, without decoding it.

    Finds every cut of a JPEG before its end marker, every cut and every changed byte of a PNG.

    Returns:
        The markers of a JPEG; None for other formats, which are only whole once decoded.
    Raises:
        ImageError: cut, a chunk's checksum is wrong, or more scans than any camera writes.
    """
    if name == "png":
        for _ in _png_chunks(data):
            pass
        return None
    if name != "jpeg":
        return None
    jpeg = read_jpeg(data)
    if not jpeg.ended:
        raise ImageError("truncated", "found no end marker, expected a whole JPEG")
    if jpeg.scans > MAX_SCANS:
        raise ImageError(
            "too_many_scans", f"found {jpeg.scans} scans, expected at most {MAX_SCANS}"
        )
    return jpeg


def read_jpeg(data: bytes) -> Jpeg:
    """Read the markers of a JPEG file.

    Raises:
        ImageError: a marker is damaged, or the file ends before its first scan.
    Source: ITU-T T.81, annex B.
    """
    position = 2
    sof = None
    sampling: tuple[tuple[int, int], ...] = ()
    scans = 0
    interleaved = ended = False
    while not ended:
        if scans:
            found = _AFTER_SCAN.search(data, position)
            if not found:
                break
            position = found.start()
        if data[position : position + 1] != b"\xff":
            what = "the end" if position >= len(data) else f"byte {data[position]:#04x}"
            reason = "truncated" if position >= len(data) else "corrupt"
            raise ImageError(reason, f"found {what} at byte {position}, expected a JPEG marker")
        code = data[position + 1] if position + 1 < len(data) else 0
        if code == 0xFF:
            position += 1
            continue
        if code == 0xD9:
            ended = True
            break
        length = _big_endian(data, position + 2)
        segment = data[position + 4 : position + 2 + length]
        position += 2 + length
        if 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC) and len(segment) >= 6:
            sof = code - 0xC0
            factors = segment[7 : 6 + 3 * segment[5] : 3]
            sampling = tuple((factor >> 4, factor & 15) for factor in factors)
        elif code == 0xDA:
            scans += 1
            if scans == 1:
                interleaved = segment[:1] == bytes([len(sampling)])
    if sof is None or not scans:
        raise ImageError("truncated", "found no frame or no scan before the end, expected both")
    return Jpeg(sof=sof, sampling=sampling, scans=scans, interleaved=interleaved, ended=ended)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Iterate (kind, body) of a PNG's chunks, each with its checksum checked, to the end chunk."""
    position = 8
    while True:
        head = data[position : position + 8]
        if len(head) < 8:
            raise ImageError("truncated", f"found the end at byte {len(data)}, expected IEND")
        length, kind = struct.unpack(">I4s", head)
        body = data[position + 8 : position + 8 + length]
        crc = data[position + 8 + length : position + 12 + length]
        if len(crc) < 4:
            raise ImageError("truncated", f"found the end at byte {len(data)}, expected IEND")
        if int.from_bytes(crc, "big") != zlib.crc32(body, zlib.crc32(kind)):
            raise ImageError(
                "corrupt", f"found a wrong checksum in the {kind!r} chunk at byte {position}"
            )
        yield kind, body
        if kind == b"IEND":
            return
        position += 12 + length


def _big_endian(data: bytes, position: int) -> int:
    two = data[position : position + 2]
    if len(two) < 2 or two < b"\0\2":
        raise ImageError("truncated", f"found no length at byte {position}, expected a JPEG marker")
    return int.from_bytes(two, "big")
