"""JPEG and PNG files without their metadata: every pixel stays, and what colours depend on.

Knows: which parts of a file are metadata. Must not know: pixels, options.

What is kept is listed, and everything else leaves: EXIF with its places and previews, XMP,
comments, texts, times, parts of unknown programs, and whatever follows the image.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

from tfrec_cli.imaging import png
from tfrec_cli.imaging.jpeg import markers as jpeg_markers
from tfrec_cli.runtime import native

_JFIF, _APP2, _ADOBE, _APP15, _COM = 0xE0, 0xE2, 0xEE, 0xEF, 0xFE
_KEPT_SEGMENTS = {_JFIF: b"JFIF\0", _APP2: b"ICC_PROFILE\0", _ADOBE: b"Adobe"}
"""Application segments that are kept if they begin so."""

_JFIF_BYTES = 18
"""Marker, length and body of a JFIF segment, without the preview that may follow."""

_KEPT_CHUNKS = frozenset(
    b"tRNS gAMA cHRM sRGB iCCP sBIT cICP mDCV mDCv cLLI cLLi bKGD hIST sPLT pHYs".split()
)
"""Ancillary chunks of PNG that say how the pixels are shown."""

_ANCILLARY = 0x20
"""This bit of the first letter of a chunk's kind: the picture does not need the chunk."""


def jpeg_file(data: bytes) -> bytes:
    """Return a JPEG without metadata; ``data`` itself if it has none.

    Args:
        data: a JPEG that `jpeg_markers.check` accepts.
    Raises:
        ImageError: a marker is damaged.
    """
    return _if_changed(data, _jpeg_pieces(data))


def png_file(data: bytes) -> bytes:
    """Return a PNG without metadata; ``data`` itself if it has none.

    Args:
        data: a PNG that `png.check` accepts.
    """
    return _if_changed(data, _png_pieces(data))


def _if_changed(data: bytes, pieces: Iterator[bytes]) -> bytes:
    stripped = b"".join(pieces)
    return data if len(stripped) == len(data) else stripped


def _jpeg_pieces(data: bytes) -> Iterator[bytes]:
    yield data[:2]
    position = 0
    for code, start, position in jpeg_markers.segments(data):
        yield _kept(data, code, start, position)
    if (end := native.scan_end(data, position)) >= 0:
        yield data[position : end + 2]
        return
    for code, start, stop in jpeg_markers.later_segments(data, position):
        yield data[position:start]
        yield _kept(data, code, start, stop)
        position = stop


def _kept(data: bytes, code: int, start: int, stop: int) -> bytes:
    """Return what is kept of a segment."""
    segment = data[start:stop]
    if code == _COM or code == jpeg_markers.FILL:
        return b""
    if not _JFIF <= code <= _APP15:
        return segment
    mark = _KEPT_SEGMENTS.get(code)
    if mark is None or not segment.startswith(mark, 4):
        return b""
    if code == _JFIF and len(segment) > _JFIF_BYTES:
        return segment[:2] + (_JFIF_BYTES - 2).to_bytes(2, "big") + segment[4:16] + b"\0\0"
    return segment


def _png_pieces(data: bytes) -> Iterator[bytes]:
    yield data[: png.SIGNATURE_BYTES]
    for kind, start, length in png.chunks(io.BytesIO(data)):
        if kind in _KEPT_CHUNKS or not kind[0] & _ANCILLARY:
            yield data[start - png.HEAD_BYTES : start + length + png.CRC_BYTES]
        if kind == b"IEND":
            return
