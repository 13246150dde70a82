"""Image formats and other kinds of files, recognised by their first bytes; names may be wrong.

Knows: magic numbers, and what to do with files of other kinds. Must not know: how anything is
decoded.
"""

from __future__ import annotations

import os
import re
import zlib
from typing import Literal, NamedTuple, get_args

from tfrec_cli.errors import ImageError

ImageFormat = Literal[
    "jpeg", "png", "gif", "webp", "bmp", "tiff", "ppm", "avif", "jpeg2000", "heic"
]
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
    "heic": (".heic", ".heif", ".hif"),
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
    ("tiff", re.compile(rb"II[*+]\x00(?!.{4}CR\x02)|MM\x00[*+]", re.DOTALL)),
    ("ppm", re.compile(rb"P[1-6](?:\s|#[^\n]*\n)+\d")),
    ("jpeg2000", re.compile(rb"\x00\x00\x00\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51")),
)

_BRANDS: tuple[tuple[ImageFormat, frozenset[bytes]], ...] = (
    ("avif", frozenset({b"avif", b"avis"})),
    ("heic", frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})),
)
_ANY_IMAGE = frozenset({b"mif1", b"msf1", b"mif2", b"mif3", b"jpeg", b"jpgs", b"avci", b"vvic"})
"""Brands of files of images in any coding: other brands say in which."""


class _Kind(NamedTuple):
    """A kind of file that is not read.

    Attributes:
        magic: a regular expression for the first bytes; compiled when a file is of another kind.
        advice: what to do with it.
        is_image: it is a picture all the same.
    """

    words: str
    magic: bytes
    advice: str
    is_image: bool = False


_CONVERT = "convert it to PNG or JPEG first"
_FRAMES = "take frames out of it first, such as with ffmpeg"
_UNPACK = "unpack it first"
_ARRAYS = "save each picture of it as PNG first"
_READ_RECORDS = "this is a dataset, not an image: move it out of the images"

_VIDEO = (
    rb"....ftyp(?:iso[m\d]|mp[47]|avc|M4V|M4P|qt  |3g[2gps]|dash|f4v|F4V|MSNV|mmp4|h[ve][cv]1|XAVC)"
    rb"|....(?:moov|mdat|wide)...."
)
_PROLOGUE = rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*|<!--.*?-->\s*)*"
"""What may stand before the first element of a page or a drawing."""

_OTHERS: tuple[_Kind, ...] = (
    _Kind("a git-LFS pointer", rb"version https://git-lfs", "`git lfs pull` gets the file"),
    _Kind(
        "a JPEG with stray bytes at its start",
        rb"\xff\xd8[^\xff].*\xff[\xdb\xe0-\xef\xfe]",
        "jpegtran makes it sound, without loss",
        is_image=True,
    ),
    _Kind(
        "an HTML page",
        _PROLOGUE + rb"<(?i:!doctype html|html|head|body)\b",
        "a download gave a page instead of the file: get the file again",
    ),
    _Kind(
        "an SVG drawing",
        _PROLOGUE + rb"<(?:!DOCTYPE svg|svg|svg:svg)\b",
        "draw it as PNG first",
        is_image=True,
    ),
    _Kind("a NumPy archive", rb"PK\x03\x04.{26}[^/]{1,200}\.npy", _ARRAYS),
    _Kind("a ZIP archive", rb"PK(?:\x03\x04|\x05\x06|\x07\x08)", _UNPACK),
    _Kind("a 7z archive", rb"7z\xbc\xaf\x27\x1c", _UNPACK),
    _Kind("a RAR archive", rb"Rar!\x1a\x07", _UNPACK),
    _Kind("a tar archive", rb".{257}ustar", _UNPACK),
    _Kind("a GZIP file", rb"\x1f\x8b\x08", _UNPACK),
    _Kind("a bzip2 file", rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)", _UNPACK),
    _Kind("an XZ file", rb"\xfd7zXZ\x00", _UNPACK),
    _Kind("a Zstandard file", rb"\x28\xb5\x2f\xfd", _UNPACK),
    _Kind("a NumPy array", rb"\x93NUMPY", _ARRAYS),
    _Kind("a DICOM file", rb".{128}DICM", "save its pixels as PNG first, such as with pydicom"),
    _Kind(
        "a NIfTI volume",
        rb"(?:\x5c\x01\x00\x00|\x00\x00\x01\x5c).{340}n[+i]1\x00"
        rb"|(?:\x1c\x02\x00\x00|\x00\x00\x02\x1c)n[+i]2\x00",
        "save its slices as PNG first, such as with nibabel",
    ),
    _Kind("an HDF5 file", rb"\x89HDF\r\n\x1a\n", _ARRAYS),
    _Kind("a MATLAB file", rb"MATLAB [57]\.", _ARRAYS),
    _Kind("a FITS file", rb"SIMPLE  =", _ARRAYS),
    _Kind("a Parquet file", rb"PAR1[^ -~]", _ARRAYS),
    _Kind("an Arrow file", rb"ARROW1\x00", _ARRAYS),
    _Kind("an ArrayRecord or Riegeli file", rb"\x83\xaf\x70\xd1\x0d\x88\x4a\x3f", _READ_RECORDS),
    _Kind("an SQLite database", rb"SQLite format 3\x00", _ARRAYS),
    _Kind("a PDF document", rb"%PDF-", "draw its pages as PNG first"),
    _Kind("a PostScript document", rb"%!PS|\xc5\xd0\xd3\xc6", "draw it as PNG first"),
    _Kind(
        "a camera's raw image",
        rb"II\*\x00.{4}CR\x02|FUJIFILMCCD-RAW|IIU\x00|IIR[OS]|MMOR\x00|\x00MRM|....ftypcrx ",
        _CONVERT,
        is_image=True,
    ),
    _Kind("an MP4 or QuickTime video", _VIDEO, _FRAMES),
    _Kind("an AVI video", rb"RIFF....AVI ", _FRAMES),
    _Kind("a Matroska or WebM video", rb"\x1a\x45\xdf\xa3", _FRAMES),
    _Kind("an MPEG video", rb"\x00\x00\x01[\xb3\xba]|(?:G..[\x10-\x3f].{184}){2}G", _FRAMES),
    _Kind("a Windows Media video", rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", _FRAMES),
    _Kind("a Flash video", rb"FLV\x01", _FRAMES),
    _Kind("an Ogg file", rb"OggS\x00", _FRAMES),
    _Kind("a JPEG XL image", rb"\xff\x0a|\x00\x00\x00\x0cJXL ", _CONVERT, is_image=True),
    _Kind("a Photoshop document", rb"8BPS\x00[\x01\x02]", _CONVERT, is_image=True),
    _Kind("a GIMP image", rb"gimp xcf", _CONVERT, is_image=True),
    _Kind("an OpenEXR image", rb"\x76\x2f\x31\x01", _CONVERT, is_image=True),
    _Kind("a Radiance HDR image", rb"#\?(?:RADIANCE|RGBE)", _CONVERT, is_image=True),
    _Kind("a JPEG XR image", rb"II\xbc", _CONVERT, is_image=True),
    _Kind("a Netpbm image of another kind", rb"P7\n|P[Ff]4?\s+\d+\s", _CONVERT, is_image=True),
    _Kind("a Windows icon", rb"\x00\x00[\x01\x02]\x00[\x01-\xff]\x00", _CONVERT, is_image=True),
    _Kind("a DirectDraw surface", rb"DDS \x7c\x00\x00\x00", _CONVERT, is_image=True),
    _Kind("a KTX texture", rb"\xabKTX ", _CONVERT, is_image=True),
    _Kind("a QOI image", rb"qoif\x00", _CONVERT, is_image=True),
    _Kind("a DjVu document", rb"AT&TFORM", _CONVERT, is_image=True),
    _Kind("an ICNS icon", rb"icns", _CONVERT, is_image=True),
    _Kind("an SGI image", rb"\x01\xda[\x00\x01][\x01\x02]", _CONVERT, is_image=True),
    _Kind("a Sun raster image", rb"\x59\xa6\x6a\x95", _CONVERT, is_image=True),
    _Kind("an XPM image", rb"/\* XPM \*/", _CONVERT, is_image=True),
    _Kind("a BLP texture", rb"BLP[12]", _CONVERT, is_image=True),
    _Kind("an IFF image", rb"FORM....(?:ILBM|PBM )", _CONVERT, is_image=True),
    _Kind(
        "a PNG with a damaged signature",
        rb".PNG[\r\n]|PNG\r\n",
        "get the file again",
        is_image=True,
    ),
    _Kind("an ISO media file of unknown kind", rb"....ftyp", _CONVERT),
    _Kind("a BPG image", rb"BPG\xfb", _CONVERT, is_image=True),
    _Kind(
        "a JPEG after some stray bytes",
        rb".{1,256}?\xff\xd8\xff[\xdb\xe0-\xef\xfe]",
        "remove the bytes before it",
        is_image=True,
    ),
)
"""Kinds of files, the more special ones first."""

_HEIF = _Kind("a HEIF image of unknown coding", rb"", _CONVERT, is_image=True)

_TEXT = re.compile(rb"[\t\n\f\r\x1b\x20-\x7e\x80-\xff]+")


def image_format(head: bytes) -> ImageFormat | None:
    """Return the image format of a file that begins with ``head``, or None.

    Args:
        head: the first bytes, at least 24 if the file has as many.
    """
    for name, magic in _IMAGE_MAGIC:
        if magic.match(head):
            return name
    brands = _brands(head)
    for name, usual in _BRANDS:
        if brands[:1] and (brands[0] in usual or (brands[0] in _ANY_IMAGE and usual & {*brands})):
            return name
    return None


def _brands(head: bytes) -> list[bytes]:
    """Return the brands of an ISO base media file, the main one first; [] for other files."""
    if head[4:8] != b"ftyp":
        return []
    brands = head[8 : int.from_bytes(head[:4], "big")]
    return [brands[:4], *(brands[at : at + 4] for at in range(8, len(brands), 4))]


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
    """Describe a file that begins with ``head`` in a few words: "a git-LFS pointer"."""
    if not head:
        return "an empty file"
    image = image_format(head)
    if image:
        return f"{'an' if image in ('avif',) else 'a'} {image.upper()} image"
    if kind := _other(head):
        inside = _inflated(head) if kind.words == "a GZIP file" else b""
        return f"{kind.words} of {describe(inside)}" if inside else kind.words
    if not head.strip(b"\0"):
        return "zero bytes only"
    if is_text(head):
        return "text"
    return f"unknown data (first bytes {head[:8].hex(' ')})"


def refusal(head: bytes, expected: str) -> ImageError:
    """Make the error for a file that begins with ``head``, with what to do about it."""
    kind = None if image_format(head) else _other(head)
    is_image = kind.is_image if kind else bool(image_format(head))
    reason = "unsupported_format" if is_image else "not_an_image" if head else "empty"
    if kind:  # the advice says more than the formats
        expected = f"{'another format' if is_image else 'an image'}: {kind.advice}"
    return ImageError(reason, f"found {describe(head)}, expected {expected}")


def _other(head: bytes) -> _Kind | None:
    if _ANY_IMAGE & {*_brands(head)[:1]}:
        return _HEIF
    return next((kind for kind in _OTHERS if re.match(kind.magic, head, re.DOTALL)), None)


def _inflated(head: bytes) -> bytes:
    """Decompress the first bytes of a GZIP file."""
    try:
        return zlib.decompressobj(31).decompress(head, HEAD_BYTES)
    except zlib.error:
        return b""
