"""Hostile images on the command line: small files that ask for much time or memory.

Each is written or refused, with its reason, in under 2 seconds of processor time and 300 MB. These
limits do not hold for large pictures that have all their pixels: ``--max-pixels`` limits those.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import fill, jpeg, measured, photo, png_of, save
from PIL import Image

from tfrec_cli.errors import ImageError
from tfrec_cli.imaging import normalize
from tfrec_cli.imaging.header import examine
from tfrec_cli.imaging.policy import Policy
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.record import frame

pytestmark = pytest.mark.slow

MOST_SECONDS, MOST_MEBIBYTES = 2, 286  # 300 MB
BOMB_BYTES = 2**28

END = (b"IEND", b"")
IDAT = (b"IDAT", zlib.compress(bytes(25) * 8))


def header(width: int, height: int, depth: int = 8) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)


def bomb() -> bytes:
    """Deflate a quarter of a gigabyte of zeros to 260 KB."""
    packer = zlib.compressobj(1)
    block = bytes(2**20)
    return b"".join(packer.compress(block) for _ in range(BOMB_BYTES // 2**20)) + packer.flush()


def small_jpeg(before: bytes = b"", after: bytes = b"") -> bytes:
    """Insert bytes before the first segment of a JPEG, and after its data."""
    data = jpeg(photo(9, 8))
    return data[:2] + before + data[2:-2] + after + data[-2:]


def many_scans(count: int) -> bytes:
    """Repeat the last scan of a progressive JPEG."""
    data = jpeg(photo(170, 190), progressive=True)
    last = data[data.rfind(b"\xff\xda") : -2]
    return data[:-2] + last * count + data[-2:]


def exif(entries: bytes, count: int, following: int = 0) -> bytes:
    """Make an EXIF segment of one directory of ``count`` entries."""
    block = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", count) + entries
    block += struct.pack("<I", following)
    return b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block


def entry(tag: int, kind: int, count: int, value: int) -> bytes:
    return struct.pack("<HHII", tag, kind, count, value)


def tiff(*entries: bytes, following: int = 0, data: bytes = b"") -> bytes:
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + b"".join(entries)
    return head + struct.pack("<I", following) + data


def gray_tiff(side: int, *entries: bytes) -> tuple[bytes, ...]:
    return (
        entry(256, 4, 1, side),
        entry(257, 4, 1, side),
        entry(258, 3, 1, 8),
        *entries,
        entry(262, 3, 1, 1),
        entry(273, 4, 1, 200),
        entry(277, 3, 1, 1),
        entry(278, 4, 1, side),
        entry(279, 4, 1, 64),
    )


def gif(width: int = 8, height: int = 8, *, before: bytes = b"", frames: int = 1) -> bytes:
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF89a" + screen + before + frame * frames


def jpeg_2000(side: int, components: int = 1, tile: int | None = None) -> bytes:
    """Make a code stream that ends after the header of its first tile."""
    size = struct.pack(">H8I", 0, side, side, 0, 0, tile or side, tile or side, 0, 0)
    size += struct.pack(">H", components) + b"\x07\x01\x01" * components
    segments = [
        (0x51, size),
        (0x52, struct.pack(">BBHBBBBBB", 0, 0, 1, 0, 5, 4, 4, 0, 1)),
        (0x5C, b"\x40" * 17),
        (0x90, struct.pack(">HIBB", 0, 14, 0, 1)),
    ]
    body = b"".join(
        b"\xff" + bytes([code]) + struct.pack(">H", len(data) + 2) + data for code, data in segments
    )
    return b"\xff\x4f" + body + b"\xff\x93\xff\xd9"


def bmp(width: int, height: int, *, colours: int = 0, compression: int = 0) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, compression, 0, 0, 0, colours, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + info + bytes(1000)


def animation(kind: str, count: int) -> bytes:
    frames = [Image.new("RGB", (16, 16), (number % 256, 0, 0)) for number in range(count)]
    return save(frames[0], kind, save_all=True, append_images=frames[1:])


def moving_png() -> bytes:
    control = struct.pack(">IIIIIHHBB", 0, 8, 8, 0, 0, 1, 1, 0, 0)
    endless = (b"acTL", struct.pack(">II", 2**31 - 1, 0))
    return png_of(header(8, 8), endless, (b"fcTL", control), IDAT, END)


REFUSED: dict[str, tuple[str, Callable[[], bytes]]] = {
    "PNG of 57 bytes": ("too_many_pixels", lambda: png_of(header(100_000, 100_000), END)),
    "PNG as wide as allowed": (
        "too_many_pixels",
        lambda: png_of(header(178_956_970, 1), (b"IDAT", bomb()), END),
    ),
    "PNG as high as allowed": (
        "too_many_pixels",
        lambda: png_of(header(1, 178_956_970), (b"IDAT", bomb()), END),
    ),
    "PNG without its pixels": ("truncated", lambda: png_of(header(13_000, 13_000), END)),
    "PNG with a colour profile": (
        "corrupt",
        lambda: png_of(header(8, 8), (b"iCCP", b"x\0\0" + bomb()), IDAT, END),
    ),
    "PNG with packed text": (
        "corrupt",
        lambda: png_of(header(8, 8), (b"zTXt", b"x\0\0" + bomb()), IDAT, END),
    ),
    "PNG with packed UTF-8": (
        "corrupt",
        lambda: png_of(header(8, 8), (b"iTXt", b"x\0\1\0\0\0" + bomb()), IDAT, END),
    ),
    "PNG with packed text after its pixels": (
        "corrupt",
        lambda: png_of(header(8, 8), IDAT, (b"zTXt", b"x\0\0" + bomb()), END),
    ),
    "PNG with many packed texts": (
        "corrupt",
        lambda: png_of(
            header(8, 8), *[(b"zTXt", b"x\0\0" + zlib.compress(bytes(2**20)))] * 1000, IDAT, END
        ),
    ),
    "PNG of many chunks": (
        "too_complex",
        lambda: png_of(header(8, 8), *[(b"abCd", b"")] * 300_000, IDAT, END),
    ),
    "PNG of many chunks after its pixels": (
        "too_complex",
        lambda: png_of(header(8, 8), IDAT, *[(b"abCd", b"")] * 300_000, END),
    ),
    "JPEG of 2,000 scans": ("too_many_scans", lambda: many_scans(2_000)),
    "JPEG of 500,000 empty scans": (
        "too_many_scans",
        lambda: small_jpeg(after=b"\xff\xda\0\2" * 500_000),
    ),
    "JPEG of many comments": (
        "too_complex",
        lambda: small_jpeg(before=b"\xff\xfe\0\2" * 500_000),
    ),
    "JPEG of many colour profiles": (
        "too_complex",
        lambda: small_jpeg(before=b"\xff\xe2\0\x12ICC_PROFILE\0\1\1xx" * 200_000),
    ),
    "JPEG with too many segments after its data": (
        "too_complex",
        lambda: small_jpeg(after=b"\xff\xe5\0\2" * 500_000),
    ),
    "JPEG filled before a marker": ("too_complex", lambda: small_jpeg(before=b"\xff" * 5_000_000)),
    "JPEG filled after its data": ("corrupt", lambda: small_jpeg(after=b"\xff" * 20_000_000)),
    "TIFF whose directory is its own": ("corrupt", lambda: tiff(entry(256, 3, 1, 8), following=8)),
    "TIFF of 60,000 samples": (
        "corrupt",
        lambda: tiff(
            entry(256, 4, 1, 1000),
            entry(257, 4, 1, 1000),
            entry(258, 3, 60_000, 200),
            entry(262, 3, 1, 1),
            entry(277, 3, 1, 60_000),
            data=bytes(200_000),
        ),
    ),
    "TIFF of huge tags": (
        "corrupt",
        lambda: tiff(*[entry(40_000 + n, 2, 2**31, 8) for n in range(20_000)]),
    ),
    "TIFF that unpacks more": (
        "corrupt",
        lambda: tiff(*gray_tiff(4_000, entry(259, 3, 1, 8)), data=bomb()),
    ),
    "GIF of a huge frame": (
        "too_many_pixels",
        lambda: gif()[:19] + b"\x2c" + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\2\0;",
    ),
    "GIF of a million comments": ("too_complex", lambda: gif(before=b"\x21\xfe\1a\0" * 1_000_000)),
    "GIF that never ends": ("too_complex", lambda: gif() + bytes(10_000_000)),
    "JPEG 2000 without data": ("corrupt", lambda: jpeg_2000(3_000)),
    "JPEG 2000 too large": ("too_many_pixels", lambda: jpeg_2000(100_000)),
    "JPEG 2000 of 16,000 components": (
        "unsupported_mode",
        lambda: jpeg_2000(1_000, components=16_000),
    ),
    "JPEG 2000 of tiny tiles": ("corrupt", lambda: jpeg_2000(8_000, tile=1)),
    "BMP without its pixels": ("truncated", lambda: bmp(6_000, 6_000)),
    "BMP of many colours": ("corrupt", lambda: bmp(8, 8, colours=2**32 - 1)),
    "BMP that packs nothing": ("corrupt", lambda: bmp(6_000, 6_000, compression=1)),
    "PPM without its pixels": ("truncated", lambda: b"P6 6000 6000 255\n"),
    "PPM of a long number": ("corrupt", lambda: b"P6 " + b"1" * 10_000_000),
    "PPM of a long comment": ("too_complex", lambda: b"P6 8 8 #" + b"x" * 10_000_000),
    "PPM of ten million digits": (
        "too_complex",
        lambda: b"P3 2000 2000 255\n" + b"1 " * 12_000_000,
    ),
    "PBM of a million comments": ("too_complex", lambda: b"P1 1000 1000\n" + b"#\n" * 1_000_000),
    "EPS that loops": (
        "not_an_image",
        lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n{} loop\n",
    ),
    "PSD": (
        "unsupported_format",
        lambda: b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 9000, 9000, 8, 3),
    ),
    "DCX of a thousand pictures": (
        "not_an_image",
        lambda: b"\xb1\x68\xde\x3a" + b"\x10\0\0\0" * 1024,
    ),
    "SVG": ("unsupported_format", lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
    "AVIF without a picture": (
        "corrupt",
        lambda: save(photo(64, 64), "AVIF")[:200] + bytes(1_000_000),
    ),
}

WRITTEN: dict[str, Callable[[], bytes]] = {
    "PNG that unpacks to more than its size": lambda: png_of(header(8, 8), (b"IDAT", bomb()), END),
    "PNG that moves for ever": moving_png,
    "PNG with an EXIF block of 20 MB": lambda: png_of(
        header(8, 8), (b"eXIf", b"MM\0*\0\0\0\x08" + bytes(20_000_000)), IDAT, END
    ),
    "JPEG with an EXIF directory in itself": lambda: small_jpeg(
        before=exif(entry(0x8769, 4, 1, 8), 1, following=8)
    ),
    "JPEG with an endless EXIF value": lambda: small_jpeg(
        before=exif(entry(0x0112, 3, 2**32 - 1, 8), 1)
    ),
    "JPEG with many EXIF values": lambda: small_jpeg(
        before=exif(b"".join(entry(n, 3, 1, 6) for n in range(5_000)), 5_000)
    ),
    "JPEG with many segments after its data": lambda: small_jpeg(after=b"\xff\xe5\0\2" * 90_000),
    "TIFF whose next picture is itself": lambda: tiff(
        *gray_tiff(8, entry(259, 3, 1, 1)), following=8, data=bytes(400)
    ),
    "GIF of 300,000 frames": lambda: gif(frames=300_000) + b";",
    "GIF of a long comment": lambda: gif(
        before=b"\x21\xfe" + (b"\xff" + b"a" * 255) * 40_000 + b"\0"
    ),
    "WebP of 1,000 frames": lambda: animation("WEBP", 1_000),
    "AVIF of 50 frames": lambda: animation("AVIF", 50),
}


def run(place: Path, data: bytes, *options: str) -> tuple[int, str | None, str]:
    """Write one image and a good one; return exit code, reason of its reject, and stderr."""
    source = fill(place / "src", {"1.img": data, "2.jpg": jpeg(photo(9, 8))})
    ran = measured(place, "write", source.name, "out", "-j1", "--on-error", "skip", *options)
    assert ran.cpu_seconds < MOST_SECONDS
    assert ran.mebibytes < MOST_MEBIBYTES
    lines = (place / "out" / "train.rejects.jsonl").read_text().splitlines()
    return ran.code, next((json.loads(line)["reason"] for line in lines), None), ran.err


@pytest.mark.parametrize(("reason", "make"), REFUSED.values(), ids=REFUSED.keys())
def test_a_hostile_image_is_refused(tmp_path: Path, reason: str, make: Callable[[], bytes]) -> None:
    assert run(tmp_path / "x", make(), "--check", "decode") == (0, reason, "")


@pytest.mark.parametrize("make", WRITTEN.values(), ids=WRITTEN.keys())
def test_a_valid_hostile_image_is_written(tmp_path: Path, make: Callable[[], bytes]) -> None:
    assert run(tmp_path / "x", make(), "--check", "decode") == (0, None, "")


@pytest.mark.parametrize("options", [(), ("--crop", "4")], ids=["whole", "crop"])
@pytest.mark.parametrize(
    "name", ["PNG without its pixels", "JPEG of 2,000 scans", "GIF that never ends"]
)
def test_a_hostile_image_is_refused_in_other_layouts_too(
    tmp_path: Path, name: str, options: tuple[str, ...]
) -> None:
    reason, make = REFUSED[name]
    assert run(tmp_path / "x", make(), *options) == (0, reason, "")


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "JPEG"])
def test_max_pixels_limits_large_pictures(tmp_path: Path, kind: str) -> None:
    data = save(Image.new("RGB", (9_000, 9_000)), kind)
    found = run(tmp_path / "x", data, "--check", "decode", "--max-pixels", "10000000")
    assert found == (0, "too_many_pixels", "")


def test_a_picture_of_10_million_pixels_takes_less_than_300_mb(tmp_path: Path) -> None:
    """Even if it is transcoded."""
    pixels = np.zeros((3_000, 3_333, 3), np.uint8)
    assert run(tmp_path / "x", save(pixels, "WEBP", lossless=True)) == (0, None, "")


@pytest.mark.parametrize("count", [100, 1_000])
def test_digits_in_comments_are_not_pixels(count: int) -> None:
    rows = [f"{number % 2} # {'1' * number}\n" for number in range(count)]
    data = f"P1 {count} 1\n{''.join(rows)}".encode()
    expected = [255 * (1 - number % 2) for number in range(count)]
    assert normalize.decode(data, Policy())[0, :, 0].tolist() == expected


@pytest.mark.parametrize("rest", [b"\xff" * 5_000 + b"\xff\xd9", b""])
def test_fill_bytes_after_the_end_of_a_jpeg_are_allowed(rest: bytes) -> None:
    data = jpeg(photo(9, 8)) + rest
    assert normalize.store_whole(data, Policy(), decodes=True).data == data


def test_at_most_64_mebibytes_are_read_for_a_header() -> None:
    data = png_of(header(8, 8), (b"abCd", bytes(2**26 + 1)), IDAT, END)
    with pytest.raises(ImageError) as error:
        examine(data, Policy())
    assert error.value.reason == "too_complex"
    half = png_of(header(8, 8), (b"abCd", bytes(2**25)), IDAT, END)
    assert examine(half, Policy()).header.width_px == 8


@pytest.mark.parametrize("name", ["JPEG of 2,000 scans", "PNG with packed text after its pixels"])
def test_a_hostile_image_in_a_record_is_a_finding(tmp_path: Path, name: str) -> None:
    payload = example.encode({"image": REFUSED[name][1]()})
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "1.tfrecord").write_bytes(frame(payload))
    ran = measured(tmp_path / "x", "verify", "1.tfrecord", "-j1")
    assert (ran.code, ran.out.splitlines()[-1], ran.err) == (1, "1 finding", "")
    assert ran.cpu_seconds < MOST_SECONDS
    assert ran.mebibytes < MOST_MEBIBYTES


def test_messages_do_not_contain_memory_addresses(tmp_path: Path) -> None:
    """Otherwise two runs would differ."""
    texts = []
    for name in ("one", "two"):
        run(tmp_path / name, b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDX" + bytes(40))
        texts.append((tmp_path / name / "out" / "train.rejects.jsonl").read_text())
    assert texts[0] == texts[1]
    assert "0x" not in texts[0]
