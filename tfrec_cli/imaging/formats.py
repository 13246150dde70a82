"""Image formats and other kinds of files, recognised by their first bytes; names may be wrong.

Knows: magic numbers. Must not know: how anything is decoded.
"""

from __future__ import annotations

import os
import re
from typing import Literal, get_args

ImageFormat = Literal["jpeg", "png", "gif", "webp", "bmp", "tiff", "ppm", "avif", "jpeg2000"]
IMAGE_FORMATS: tuple[ImageFormat, ...] = get_args(ImageFormat)

EXTENSIONS: dict[ImageFormat, tuple[str, ...]] = {
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "png": (".png",),
    "gif": (".gif",),
    "webp": (".webp",),
    "bmp": (".bmp",),
    "tiff": (".tif", ".tiff"),
    "ppm": (".ppm", ".pgm", ".pbm", ".pnm"),
    "avif": (".avif", ".avifs"),
    "jpeg2000": (".jp2", ".j2k", ".jpx", ".jpf", ".j2c", ".jpc"),
}
"""Extensions of file names by format; the first of each is the usual one."""

_PROMISED = {name.encode(): key for key, names in EXTENSIONS.items() for name in names}

HEAD_BYTES = 512
"""How many first bytes the functions of this module need."""

_IMAGE_MAGIC: tuple[tuple[ImageFormat, re.Pattern[bytes]], ...] = (
    ("jpeg", re.compile(rb"\xff\xd8\xff")),
    ("png", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("gif", re.compile(rb"GIF8[79]a")),
    ("webp", re.compile(rb"RIFF....WEBP", re.DOTALL)),
    ("bmp", re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00", re.DOTALL)),
    ("tiff", re.compile(rb"II[*+]\x00|MM\x00[*+]")),
    ("ppm", re.compile(rb"P[1-6](?:\s|#[^\n]*\n)+\d")),
    ("avif", re.compile(rb"....ftypavi[fs]", re.DOTALL)),
    ("jpeg2000", re.compile(rb"\x00\x00\x00\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51")),
)

_NOT_IMAGES: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("a git-LFS pointer", re.compile(rb"version https://git-lfs")),
    ("an HTML page", re.compile(rb"\s*<(?:!doctype html|html)", re.IGNORECASE)),
    ("a ZIP archive", re.compile(rb"PK\x03\x04")),
    ("a JPEG XL image", re.compile(rb"\xff\x0a|\x00\x00\x00\x0cJXL ")),
    ("a PDF document", re.compile(rb"%PDF-")),
    ("an HDF5 file", re.compile(rb"\x89HDF\r\n\x1a\n")),
    ("an ArrayRecord or Riegeli file", re.compile(rb"\x83\xaf\x70\xd1\x0d\x88\x4a\x3f")),
)

_TEXT = re.compile(rb"[\t\n\f\r\x1b\x20-\x7e\x80-\xff]+")


def image_format(head: bytes) -> ImageFormat | None:
    """Return the image format of a file that begins with ``head``, or None.

    Args:
        head: the first bytes, at least 24 if the file has as many.
    """
    for name, magic in _IMAGE_MAGIC:
        if magic.match(head):
            return name
    return None


def format_of_name(path: bytes) -> ImageFormat | None:
    """Return the image format that belongs to the extension of a file name, or None."""
    return _PROMISED.get(os.path.splitext(path)[1].lower())


def is_text(data: bytes) -> bool:
    """Tell whether ``data`` is UTF-8 text without control characters."""
    if not _TEXT.fullmatch(data):
        return False
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(data) - 4 and error.reason == "unexpected end of data"
    return True


def describe(head: bytes) -> str:
    """Describe a file that begins with ``head`` in a few words: "a git-LFS pointer", "empty"."""
    if not head:
        return "empty"
    image = image_format(head)
    if image:
        return f"{'an' if image in ('avif',) else 'a'} {image.upper()} image"
    for words, magic in _NOT_IMAGES:
        if magic.match(head):
            return words
    if not head.strip(b"\0"):
        return "zero bytes only"
    if is_text(head):
        return "text"
    return f"unknown data (first bytes {head[:8].hex(' ')})"
