"""The markers of JPEG files, read without decoding: segments, frame, orientation, scans.

Knows: markers. Must not know: pixels, Pillow.

Source: ITU-T T.81, annex B.
"""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tfrec_cli.errors import ImageError
from tfrec_cli.imaging.jpeg import metadata as jpeg_metadata
from tfrec_cli.imaging.jpeg import scans
from tfrec_cli.imaging.jpeg.metadata import APP1, APP2, APP13, Place
from tfrec_cli.imaging.jpeg.tables import DHT, DQT, DRI, Tables
from tfrec_cli.runtime import native

MAX_SCANS = 100
"""Cameras write about ten scans; a small JPEG of 2,000 scans takes a decoder a minute."""

MAX_SEGMENTS = 100_000
"""Files of cameras and editors have a hundred, or thousands if a large profile is in pieces."""

_FILLING = b"\xff" * 4096
"""Several 0xff may precede a marker; decoders search a long run of them again and again."""

_EOI, _SOS = 0xD9, 0xDA
FILL = 0xFF
_TABLES = (DHT, DQT, DRI)
_FRAMES = frozenset(range(0xC0, 0xD0)) - {DHT, 0xC8, 0xCC}
_PLAIN_BYTES = {
    **dict.fromkeys((0xFE, *range(0xE3, 0xED), 0xEF), 0),
    0xE0: 14,  # JFIF
    0xEE: 12,  # Adobe
}
"""Segments that every decoder reads alike if they have at least so many bytes."""

_NOT_FOR_PIXELS = frozenset({*range(0xE1, 0xEE), 0xEF, 0xFE})
"""Segments that no pixel depends on; those of JFIF and Adobe define the colour space."""

_HEAD = struct.Struct(">BBH")
_HEAD_BYTES = 4
_FRAME = struct.Struct(">BHHB")
"""Bits per value, height, width and number of components, in the segment of a frame."""

_SCAN = re.compile(rb"\xff\xda")
"""A regular expression, since ``bytes.find`` takes three times as long among many 0xff."""

_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""A marker after entropy-coded data; inside the data, 0 or a restart number follows each 0xff."""


class Frame(NamedTuple):
    """The markers of a JPEG file up to the data of its first scan.

    Attributes:
        sof: number of the frame type: 0 and 1 sequential, 2 progressive, others rare.
        sampling: (horizontal, vertical) factors of each component.
        interleaved: whether the first scan holds every component.
        icc: whether there is a colour profile.
        orientation: EXIF orientation, 1 (upright) to 8; 1 without EXIF.
        plain: whether every decoder reads the markers alike: 8 bits, one or three components, one
            orientation, usual tables, nothing malformed. If not, ask a decoder for size, profile
            and orientation.
        end: where the data of the first scan start, in bytes.
        sound: whether every decoder takes the tables, the frame and the first scan. Metadata may
            still be malformed. If not, only decoding tells.
    """

    sof: int
    height_px: int
    width_px: int
    sampling: tuple[tuple[int, int], ...]
    interleaved: bool
    icc: bool
    orientation: int
    plain: bool
    end: int
    sound: bool = True


class Jpeg(NamedTuple):
    """The markers of a JPEG file.

    Attributes:
        frame: the markers up to the data of the first scan.
        scans: number of scans; counting ends above `MAX_SCANS`.
        ended: whether an end marker follows the first scan.
        usual: whether every decoder takes the markers after those of the frame.
        incomplete: number of a component of which the scans leave something out; None without one.
    """

    frame: Frame
    scans: int
    ended: bool
    usual: bool
    incomplete: int | None = None


def check(data: bytes, frame: Frame | None = None) -> Jpeg:
    """Check that a JPEG file is complete, without decoding it.

    Finds every cut in its header or scans, and scans that are missing.

    Args:
        frame: the result of `read_frame`, if it is known already.
    Raises:
        ImageError: the file is cut, or has more than `MAX_SCANS` scans.
    """
    jpeg = read(data, frame)
    _check_scans(jpeg)
    if not jpeg.ended:
        raise ImageError("truncated", "found no end marker, expected a whole JPEG")
    if not jpeg.usual and not _may_lack(jpeg.frame):
        raise ImageError("corrupt", "found another marker among the data, expected the end marker")
    return jpeg


def check_scans(data: bytes) -> None:
    """Refuse a JPEG that takes a decoder too long, or of which scans are missing.

    Raises:
        ImageError: it has more than `MAX_SCANS` scans, not all, or damaged markers.
    """
    try:
        frame = read_frame(data)
    except ImageError:
        frame = None
    if frame and _in_one_scan(data, frame):
        return
    if (frame and _may_lack(frame)) or _SCAN.search(data, data.find(b"\xff\xda") + 2):
        _check_scans(read(data, frame))


def _check_scans(jpeg: Jpeg) -> None:
    if jpeg.scans > MAX_SCANS:
        raise ImageError("too_many_scans", f"found more than {MAX_SCANS} scans, expected fewer")
    if jpeg.incomplete is not None and jpeg.ended:
        found = f"found scans that leave out parts of component {jpeg.incomplete}"
        raise ImageError("truncated", f"{found}, expected all scans of the JPEG")


def _may_lack(frame: Frame) -> bool:
    """Tell whether scans after the first are needed."""
    return not frame.interleaved or frame.sof in scans.PROGRESSIVE


def _in_one_scan(data: native.Bytes, frame: Frame) -> bool:
    return not _may_lack(frame) and native.scan_end(data, frame.end) >= 0


def read(data: native.Bytes, frame: Frame | None = None) -> Jpeg:
    """Read the markers of a JPEG file.

    Args:
        frame: the result of `read_frame`, if it is known already.
    Raises:
        ImageError: a marker is damaged, or the file ends before its first scan.
    """
    frame = frame or read_frame(data)
    if _in_one_scan(data, frame):
        return Jpeg(frame, 1, ended=True, usual=True)
    data = bytes(data)
    position = frame.end
    filling = data.find(_FILLING, position)
    if filling >= 0 and b"\xff\xd9" not in data[position:filling]:
        raise ImageError("corrupt", f"found only 0xff from byte {filling}, expected a JPEG's data")
    later: list[tuple[int, bytes]] = []
    scans_found = 1
    ended = False
    for code, start, stop in later_segments(data, position):
        ended = code == _EOI
        if not ended and code not in _NOT_FOR_PIXELS:
            later.append((code, data[start + _HEAD_BYTES : stop]))
        scans_found += code == _SOS
        if scans_found > MAX_SCANS:
            break
    if not _may_lack(frame):
        return Jpeg(frame, scans_found, ended, usual=not later)
    usual, incomplete = _read_scans(data, frame, later)
    return Jpeg(frame, scans_found, ended, usual, incomplete)


def _read_scans(
    data: bytes, frame: Frame, later: Sequence[tuple[int, bytes]]
) -> tuple[bool, int | None]:
    """Tell whether all scans are usual, and find a component that they do not send completely.

    Args:
        later: code and segment of each marker after the first scan that pixels depend on.
    """
    body, tables = b"", Tables()
    heads: list[bytes] = []
    first = [(code, data[at + _HEAD_BYTES : stop]) for code, at, stop in segments(data)]
    usual = True
    for code, segment in (*first, *later):
        if code in _FRAMES and not heads:
            body = segment
        elif code == _SOS:
            usual = usual and tables.allow(frame.sof, body, segment)
            heads.append(segment)
        elif code in _TABLES:
            usual = tables.define(code, segment) and usual
        elif heads:
            usual = False
    return usual, scans.incomplete(frame.sof, body, heads)


def segments(data: native.Bytes) -> Iterator[tuple[int, int, int]]:
    """Iterate the segments up to the header of the first scan, including it.

    Yields:
        Code, start and stop of each segment; the code is `FILL` for a byte before a marker.
    Raises:
        ImageError: a marker is damaged, or the data end before the first scan.
    """
    start = 2
    for _ in range(MAX_SEGMENTS):
        try:
            mark, code, length = _HEAD.unpack_from(data, start)
        except struct.error:
            mark, code, length = 0, 0, 0
        if mark != 0xFF or length < 2 or code in (FILL, _EOI):
            code = _rare_code(data, start)
            length = -1 if code == FILL else _length(data, start + 2)
        stop = start + 2 + length
        yield code, start, stop
        if code == _SOS:
            return
        start = stop
    raise _too_many_segments()


def later_segments(data: bytes, position: int) -> Iterator[Place]:
    """Iterate the segments after the first scan up to the end marker, including it.

    Args:
        position: where the data of the first scan start.
    Yields:
        Code, start and stop of each segment; data of scans lie between them.
    Raises:
        ImageError: a marker is damaged.
    """
    for _ in range(MAX_SEGMENTS):
        if not (marker := _AFTER_SCAN.search(data, position)):
            return
        start = marker.start()
        code = data[start + 1]
        position = start + 2 + (_length(data, start + 2) if code != _EOI else 0)
        yield code, start, position
        if code == _EOI:
            return
    raise _too_many_segments()


def _rare_code(data: native.Bytes, start: int) -> int:
    """Return the code of a marker after a fill byte or with a bad length; refuse an end marker."""
    head = bytes(data[start : start + 2])
    if head[:1] != b"\xff":
        what = f"byte {head[0]:#04x}" if head else "the end"
        reason = "corrupt" if head else "truncated"
        advice = ": jpegtran makes it sound, without loss" if head else ""
        raise ImageError(reason, f"found {what} at byte {start}, expected a JPEG marker{advice}")
    code = head[1] if len(head) > 1 else 0
    if code == _EOI:
        raise _no_frame()
    return code


def read_frame(data: native.Bytes) -> Frame:
    """Read the markers of a JPEG file up to its first scan.

    Args:
        data: the bytes of the file, or enough of the first ones to hold these markers.
    Raises:
        ImageError: a marker is damaged, or the data end before the first scan.
    """
    if usual := native.jpeg_frame(data):
        sof, height_px, width_px, factors, interleaved, end, metadata = usual
        plain = sound = True
    else:
        sof, body, components, end, plain, sound, metadata = _read_segments(data)
        _, height_px, width_px, count = _FRAME.unpack_from(body)
        factors = body[7 : 6 + 3 * count : 3]
        interleaved, plain = components == len(factors), plain and end <= len(data)
    icc, orientation = False, 1
    if metadata:
        usual_metadata, icc, orientation = jpeg_metadata.read(data, metadata)
        plain = plain and usual_metadata
    sampling = _sampling(factors)
    return Frame(
        sof, height_px, width_px, sampling, interleaved, icc, orientation, plain, end, sound
    )


def _read_segments(data: native.Bytes) -> tuple[int, bytes, int, int, bool, bool, list[Place]]:
    """Read the segments up to the first scan, except for metadata.

    Returns:
        Number and segment of the frame, number of components in the scan, where its data start,
        whether all is plain, whether a decoder takes it, and the segments of metadata.
    """
    sof, body, components, end, plain = -1, b"", 0, 0, True
    metadata, tables, sound = [], Tables(), True
    for code, start, stop in segments(data):
        if (least := _PLAIN_BYTES.get(code)) is not None:
            plain = plain and stop - start - _HEAD_BYTES >= least
            continue
        segment = bytes(data[start + _HEAD_BYTES : stop])
        if code in _TABLES:
            sound = tables.define(code, segment) and sound
        elif code == _SOS:
            components, end = segment[0] if segment else 0, stop
            sound = sound and tables.allow(sof, body, segment)
        elif code in _FRAMES and len(segment) >= 6:
            sound = sound and sof < 0 and len(segment) == 6 + 3 * segment[5]
            plain = plain and _is_plain_frame(code, segment)
            sof, body = code - 0xC0, segment
        elif code in (APP1, APP2, APP13):
            plain = plain and (code != APP2 or sof < 0)
            metadata.append((code, start, stop))
        else:
            plain, sound = False, sound and code == FILL
    if sof < 0:
        raise _no_frame()
    return sof, body, components, end, plain and sound, sound, metadata


@functools.lru_cache(1024)  # few different ones occur
def _sampling(factors: bytes) -> tuple[tuple[int, int], ...]:
    return tuple((factor >> 4, factor & 15) for factor in factors)


def bare(data: bytes) -> bytes:
    """Remove from a JPEG what the pixels do not depend on: EXIF, profiles, comments.

    Returns:
        The smaller JPEG; or the data unchanged, if there are bytes between two segments.
    Raises:
        ImageError: the data end before the first scan.
    """
    try:
        return b"".join(_bare_pieces(data))
    except ImageError as error:
        if error.reason != "corrupt":
            raise
        return data


def _bare_pieces(data: bytes) -> Iterator[bytes | memoryview]:
    yield data[:2]
    for code, start, stop in segments(data):
        if code == _SOS:
            yield memoryview(data)[start:]
        elif code != FILL and code not in _NOT_FOR_PIXELS:
            yield data[start:stop]


def _is_plain_frame(code: int, segment: bytes) -> bool:
    """Tell whether a frame has a usual type, 8 bits, 1 or 3 components, and is not empty."""
    bits, height_px, width_px, components = _FRAME.unpack_from(segment)
    usual = code in (0xC0, 0xC1, 0xC2) and bits == 8 and components in (1, 3)
    return usual and len(segment) == 6 + 3 * components and min(height_px, width_px) > 0


def _too_many_segments() -> ImageError:
    found = f"found more than {MAX_SEGMENTS} segments or chunks"
    return ImageError("too_complex", f"{found}, expected fewer")


def _no_frame() -> ImageError:
    return ImageError("truncated", "found no frame or no scan before the end, expected both")


def _length(data: native.Bytes, position: int) -> int:
    """Read the length of a segment; it includes its own two bytes."""
    length = bytes(data[position : position + 2])
    if len(length) < 2 or length < b"\0\2":
        raise ImageError("truncated", f"found no length at byte {position}, expected a JPEG marker")
    return int.from_bytes(length, "big")
