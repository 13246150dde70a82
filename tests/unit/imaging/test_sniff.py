"""Formats and compressions, recognised by first bytes."""

from __future__ import annotations

import gzip
import io
import re
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tfrec_cli.imaging import formats
from tfrec_cli.tfrecord import compression

# First bytes of a 3x2 image as Pillow 12 writes it and as the standards allow (TIFF also of a
# camera, JPEG 2000 also as a bare codestream): head, format, description.
IMAGES: list[tuple[str, formats.ImageFormat, str]] = [
    ("ffd8ffe000104a46494600010100000100010000", "jpeg", "a JPEG image"),
    ("ffd8ffe1001845786966000049492a0008000000", "jpeg", "a JPEG image"),
    ("89504e470d0a1a0a0000000d494844520000000300000002", "png", "a PNG image"),
    ("4749463837610300020081000000000000000000", "gif", "a GIF image"),
    ("4749463839610300020081000000000000000000", "gif", "a GIF image"),
    ("524946463a00000057454250565038202e000000", "webp", "a WEBP image"),
    ("5249464630000a0a57454250565038580a000000", "webp", "a WEBP image"),
    ("424d4e000000000000003600000028000000030000000200", "bmp", "a BMP image"),
    ("424d0a00000000000000360000007c000000030000000200", "bmp", "a BMP image"),
    ("49492a000800000009000001040001000000", "tiff", "a TIFF image"),
    ("4d4d002a00000008000901000003", "tiff", "a TIFF image"),
    ("49492b00080000001000000000000000", "tiff", "a TIFF image"),
    ("4d4d002b000800000000000000000010", "tiff", "a TIFF image"),
    ("50360a3320320a3235350a", "ppm", "a PPM image"),
    ("50352320636f6d6d656e740a33203220323535", "ppm", "a PPM image"),
    ("0000002066747970617669660000000061766966", "avif", "an AVIF image"),
    ("0000002c667479706176697300000000", "avif", "an AVIF image"),
    ("0000000c6a5020200d0a870a00000014667479706a703220", "jpeg2000", "a JPEG2000 image"),
    ("00000018667479706865696300000000", "heic", "a HEIC image"),
    ("0000001c6674797068656978000000006d69663168656978", "heic", "a HEIC image"),
    ("0000001c667479706d696631000000006d69663168656963", "heic", "a HEIC image"),
    ("0000001c667479706d696631000000006d69663161766966", "avif", "an AVIF image"),
    ("ff4fff51002f0000000000030000000200000000", "jpeg2000", "a JPEG2000 image"),
]

OTHERS = [
    (b"", "an empty file"),
    (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n",
        "a git-LFS pointer",
    ),
    (b"<!DOCTYPE html><html lang=en>", "an HTML page"),
    (b"\r\n  <HTML><body>404</body>", "an HTML page"),
    (b"PK\x03\x04\x14\0\0\0\x08\0", "a ZIP archive"),
    (b"\xff\x0a\x10\x10\x00\x00", "a JPEG XL image"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image"),
    (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "a PDF document"),
    (b"\x89HDF\r\n\x1a\n\0\0\0\0", "an HDF5 file"),
    (b"\x83\xaf\x70\xd1\x0d\x88\x4a\x3f" + bytes(8), "an ArrayRecord or Riegeli file"),
    (b"\0", "zero bytes only"),
    (bytes(512), "zero bytes only"),
    (b"path,label\na.jpg,cat\n", "text"),
    ("Grüße".encode(), "text"),
    (b"BM is not always a bitmap, you know", "text"),
    (b"RIFF\x24\x00\x00\x00WAVEfmt ", "unknown data (first bytes 52 49 46 46 24 00 00 00)"),
    (b"\0\0\0\x20ftypisom", "an MP4 or QuickTime video"),
    (b"\0\0\0\x14ftypqt  ", "an MP4 or QuickTime video"),
    (b"\0\0\0\x08wide\0\0\0\x08mdat", "an MP4 or QuickTime video"),
    (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heif", "a HEIF image of unknown coding"),
    (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "a camera's raw image"),
    (b"\0\0\0\x10ftypabcd\0\0\0\0", "an ISO media file of unknown kind"),
    (b"II*\0\x10\0\0\0CR\2\0", "a camera's raw image"),
    (b"RIFF\x24\0\0\0AVI LIST", "an AVI video"),
    (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81", "a Matroska or WebM video"),
    (b"\0\0\1\xba\x44\0\4", "an MPEG video"),
    ((b"G\x40\0\x10" + bytes(184)) * 2 + b"G\x40\0\x10" + bytes(132), "an MPEG video"),
    (b"FLV\1\5\0\0\0\x09", "a Flash video"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9", "a Windows Media video"),
    (b"OggS\0\2", "an Ogg file"),
    (bytes(128) + b"DICM\2\0\0\0UL", "a DICOM file"),
    (b"\x93NUMPY\1\0v\0{'descr': '<f8'", "a NumPy array"),
    (b"PK\3\4" + bytes(22) + b"\x09\0\0\0arr_0.npy\x93NUMPY", "a NumPy archive"),
    (b"\x5c\1\0\0" + bytes(340) + b"n+1\0" + bytes(164), "a NIfTI volume"),
    (b"\0\0\1\x5c" + bytes(340) + b"ni1\0" + bytes(164), "a NIfTI volume"),
    (b"\x1c\2\0\0n+2\0\r\n\x1a\n", "a NIfTI volume"),
    (
        gzip.compress(b"\x5c\1\0\0" + bytes(340) + b"n+1\0", mtime=0),
        "a GZIP file of a NIfTI volume",
    ),
    (gzip.compress(b"path,label\n", mtime=0), "a GZIP file of text"),
    (gzip.compress(b"\xff\xd8\xff\xe0", mtime=0), "a GZIP file of a JPEG image"),
    (gzip.compress(b"", mtime=0), "a GZIP file"),
    (b"\x1f\x8b\x08\xff\xff", "a GZIP file"),
    (b"MATLAB 5.0 MAT-file, Platform: GLNXA64", "a MATLAB file"),
    (b"SIMPLE  =                    T", "a FITS file"),
    (b"PAR1\x15\4\x15\x80", "a Parquet file"),
    (b"ARROW1\0\0", "an Arrow file"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"7z\xbc\xaf\x27\x1c\0\4", "a 7z archive"),
    (b"Rar!\x1a\7\1\0", "a RAR archive"),
    (b"a.jpg" + bytes(252) + b"ustar\x0000", "a tar archive"),
    (b"BZh91AY&SY", "a bzip2 file"),
    (b"\xfd7zXZ\0\0\4", "an XZ file"),
    (b"\x28\xb5\x2f\xfd\4\0", "a Zstandard file"),
    (b"8BPS\0\1\0\0\0\0\0\0", "a Photoshop document"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'>", "an SVG drawing"),
    (b"<?xml version='1.0'?>\n<!-- drawn -->\n<svg>", "an SVG drawing"),
    (b"\xef\xbb\xbf<?xml version='1.0'?><!DOCTYPE svg PUBLIC '", "an SVG drawing"),
    (b"<?xml version='1.0'?><!DOCTYPE html><html><svg>", "an HTML page"),
    (b"<!-- a page --><html>", "an HTML page"),
    (b"<?xml version='1.0'?><Error><Code>AccessDenied", "text"),
    (b"\xff\xd8\0\0\0\xff\xe0\0\x10JFIF\0", "a JPEG with stray bytes at its start"),
    (b"\r\n\xff\xd8\xff\xe0\0\x10JFIF\0", "a JPEG after some stray bytes"),
    (b"\x89PNG\n\x1a\n\0\0\0\rIHDR", "a PNG with a damaged signature"),
    (b"%!PS-Adobe-3.0 EPSF-3.0", "a PostScript document"),
    (b"\x76\x2f\x31\1\2\0\0\0", "an OpenEXR image"),
    (b"#?RADIANCE\nFORMAT=32-bit", "a Radiance HDR image"),
    (b"P7\nWIDTH 5\n", "a Netpbm image of another kind"),
    (b"PF\n5 5\n-1.0\n", "a Netpbm image of another kind"),
    (b"\0\0\1\0\1\0\x10\x10", "a Windows icon"),
    (b"qoif\0\0\0\5", "a QOI image"),
    (b"DDS are not textures, and PAR1 is text", "text"),
    (b"\x01\x02", "unknown data (first bytes 01 02)"),
]


@pytest.mark.parametrize(("head", "expected", "_words"), IMAGES)
def test_the_format_of_an_image_is_recognised(
    head: str, expected: formats.ImageFormat, _words: str
) -> None:
    assert formats.image_format(bytes.fromhex(head)) == expected


@pytest.mark.parametrize(("head", "_format", "words"), IMAGES)
def test_an_image_is_described(head: str, _format: str, words: str) -> None:
    assert formats.describe(bytes.fromhex(head)) == words


@pytest.mark.parametrize(("head", "words"), OTHERS)
def test_a_file_that_is_no_image_is_described(head: bytes, words: str) -> None:
    assert formats.describe(head) == words


@pytest.mark.parametrize(("head", "_words"), OTHERS)
def test_a_file_that_is_no_image_has_no_format(head: bytes, _words: str) -> None:
    assert formats.image_format(head) is None


def test_every_format_is_tested() -> None:
    assert {name for _, name, _ in IMAGES} == set(formats.IMAGE_FORMATS)


@pytest.mark.parametrize("name", ["jpeg", "png", "gif", "webp", "bmp", "tiff", "ppm"])
def test_the_formats_that_pillow_writes_are_recognised(name: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (3, 2)).save(file, name)
    assert formats.image_format(file.getvalue()[: formats.HEAD_BYTES]) == name


@pytest.mark.parametrize("head", [head for head, _, _ in IMAGES if head[:4] != "ffd8"])
def test_one_byte_is_not_enough_for_a_format(head: str) -> None:
    assert formats.image_format(bytes.fromhex(head)[:1]) is None


def test_gzip_is_recognised() -> None:
    assert compression.guess(gzip.compress(b"data")) == "gzip"


@pytest.mark.parametrize("level", range(10))
def test_zlib_is_recognised_at_every_level(level: int) -> None:
    assert compression.guess(zlib.compress(b"data", level)) == "zlib"


@pytest.mark.parametrize("head", [b"", b"\x1f", b"\x78", b"\x78\x9d", b"\x05\0\0\0\0\0\0\0"])
def test_other_bytes_are_not_compressed(head: bytes) -> None:
    assert compression.guess(head) == "none"


TEXT = "aé€😀"


@pytest.mark.parametrize("cut", range(1, len(TEXT.encode()) + 1))
def test_text_may_end_inside_a_character(cut: int) -> None:
    """The first bytes of a file may end inside a character."""
    assert formats.is_text(TEXT.encode()[:cut])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nul\0",
        b"bell\x07",
        b"delete\x7f",
        b"latin-1 \xe9t\xe9s",
        "cut €".encode()[:-1] + b" inside",
        b"\x80",
        b"\xff\xfe",
    ],
)
def test_other_bytes_are_not_text(data: bytes) -> None:
    assert not formats.is_text(data)


@settings(deadline=None, derandomize=True)
@given(st.binary(max_size=40))
def test_any_bytes_are_described(head: bytes) -> None:
    assert formats.describe(head)


@pytest.mark.parametrize(("head", "words"), OTHERS)
def test_a_refusal_has_a_reason_and_says_what_was_found(head: bytes, words: str) -> None:
    error = formats.refusal(head, "an image")
    assert error.reason in ("empty", "not_an_image", "unsupported_format")
    assert (error.reason == "empty") == (head == b"")
    assert re.match(f"found {re.escape(words)}, expected (an image|another format)", str(error))


@pytest.mark.parametrize("kind", formats._OTHERS, ids=lambda kind: kind.words)
def test_a_kind_that_is_named_comes_with_advice(kind: formats._Kind) -> None:
    heads = [head for head, words in OTHERS if words == kind.words]
    assert kind.advice
    assert all(str(formats.refusal(head, "text")).endswith(kind.advice) for head in heads)


@settings(deadline=None, derandomize=True)
@given(st.sampled_from([head for head, _ in OTHERS]), st.binary(max_size=20), st.integers(0, 40))
def test_any_refusal_is_one_line(head: bytes, tail: bytes, cut: int) -> None:
    message = str(formats.refusal((head[:cut] + tail + head[cut:])[: formats.HEAD_BYTES], "text"))
    assert message.startswith("found ")
    assert message.isprintable()
