"""Which way up a picture is, by its metadata: EXIF first, then XMP; one rule for all formats.

Knows: EXIF, XMP, and where PNG files have them. Must not know: pixels, policies.

A block of EXIF that has the tag decides, as in Pillow and exiftool; without it, XMP does. A value
other than 1 to 8 is upright. Source: CIPA DC-008 (Exif 2.32), XMP Specification part 3.
"""

from __future__ import annotations

import re
import zlib
from contextlib import suppress

from PIL import Image

from tfrec_cli.imaging import png
from tfrec_cli.imaging.jpeg.metadata import EXIF_MARK, ORIENTATION, XMP_MARK

UPRIGHT = 1

_MOST_BYTES = 1 << 22
"""The most bytes of a text chunk that are searched; the tag is in the first ones."""

_NAMESPACE = re.compile(
    rb"xmlns:([A-Za-z_][\w.-]{0,40})\s*=\s*[\"']http://ns\.adobe\.com/tiff/1\.0/[\"']"
)

_EXIF_TEXTS = (b"Raw profile type exif", b"Raw profile type APP1")
_XMP_TEXTS = (b"XML:com.adobe.xmp", b"Raw profile type xmp", b"Raw profile type APP1")
"""Keywords of PNG's text chunks, those that count most first. Profiles are digits of ImageMagick
and exiv2."""


def of_blocks(exif: bytes | None, xmp: bytes | None) -> int:
    """Return the orientation by two blocks of metadata, either of which may be missing or damaged.

    Returns:
        1 (upright) to 8.
    """
    value = _of_exif(exif) if exif else None
    if value is None and xmp:
        value = _of_xmp(xmp)
    return of_value(value)


def of_value(value: object) -> int:
    """Return the orientation that a value of the tag stands for; it may be missing or invalid."""
    return value if isinstance(value, int) and 1 <= value <= 8 else UPRIGHT


def png_blocks(file: png.File) -> tuple[bytes | None, bytes | None]:
    """Return the blocks of EXIF and XMP of a PNG file, wherever they are in it.

    Reads those and the headers of chunks. Pillow would decode the picture to find those after it.
    """
    wanted = {*_EXIF_TEXTS, *_XMP_TEXTS}
    texts: dict[bytes, bytes] = {}
    exif = None
    for kind, length in png.find(file, (b"eXIf", b"iTXt", b"tEXt", b"zTXt")):
        if kind == b"eXIf":
            exif = exif or file.read(min(length, _MOST_BYTES))
            continue
        head = file.read(min(length, png.KEYWORD_BYTES + 1))
        keyword, _, start = head.partition(b"\0")
        if keyword in wanted and keyword not in texts:
            rest = file.read(min(length, _MOST_BYTES) - len(head))
            texts[keyword] = _text(kind, start + rest)
    profiles = {keyword: _profile(keyword, text) for keyword, text in texts.items()}
    for keyword in _EXIF_TEXTS:
        block = profiles.get(keyword, b"")
        exif = exif or (None if block.startswith(XMP_MARK) else block)
    for keyword in _XMP_TEXTS:
        block = profiles.get(keyword, b"")
        if block and not block.startswith(EXIF_MARK):
            return exif, block
    return exif, None


def _of_exif(block: bytes) -> object:
    """Return the value of the tag; None if it is missing, or the block is damaged."""
    exif = Image.Exif()
    with suppress(Exception):  # of a damaged block: SyntaxError, struct.error, ValueError…
        exif.load(block)
        return exif.get(ORIENTATION)
    return None


def _of_xmp(packet: bytes) -> int | None:
    """Return the value of ``tiff:Orientation``, an attribute or an element; None without it."""
    found = _NAMESPACE.search(packet)
    prefix = re.escape(found[1] if found else b"tiff")
    value = re.search(rb"\b" + prefix + rb":Orientation\s*(?:=\s*[\"']|>)\s*(\d{1,9})\b", packet)
    return int(value[1]) if value else None


def _text(kind: bytes, body: bytes) -> bytes:
    """Return the text of a chunk that follows its keyword; of compressed text, the beginning."""
    is_compressed = kind == b"zTXt"
    if kind == b"iTXt":
        is_compressed = body[:1] == b"\1"
        _language, _, rest = body[2:].partition(b"\0")
        body = rest.partition(b"\0")[2]
    elif is_compressed:
        body = body[1:]
    if not is_compressed:
        return body
    try:
        return zlib.decompressobj().decompress(body, _MOST_BYTES)
    except zlib.error:
        return b""


def _profile(keyword: bytes, text: bytes) -> bytes:
    """Return the bytes that a text holds: those of a raw profile are written as digits.

    Such a text is a line with the name, one with the length, and lines of hexadecimal digits.
    """
    if not keyword.startswith(b"Raw profile"):
        return text
    try:
        return bytes.fromhex(text.decode("ascii").strip().split("\n", 2)[2])
    except (ValueError, IndexError):
        return b""
