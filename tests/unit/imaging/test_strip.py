"""Files without their metadata: nothing of it is left, and every pixel stays."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from conftest import jpeg, photo, png, save
from jpeg_bytes import PHOTOSHOP, RESOURCE, XMP, segment
from PIL import Image, ImageCms

from tfrec_cli.imaging import decoder, strip
from tfrec_cli.imaging import png as png_chunks
from tfrec_cli.imaging.jpeg import markers as jpeg_markers
from tfrec_cli.runtime import native

PIXELS = photo(33, 45)
SECRET = b"52 deg 31' N"
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


SEGMENTS = b"".join(
    (
        segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\0" + SECRET),
        segment(0xE1, XMP + SECRET),
        segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + SECRET),
        segment(0xE2, b"MPF\0" + SECRET),
        segment(0xE0, b"JFXX\0\x13" + SECRET),
        segment(0xED, PHOTOSHOP + RESOURCE + SECRET),
        segment(0xEB, b"JP" + SECRET),
        segment(0xEE, b"Other" + SECRET),
        segment(0xEF, SECRET),
        segment(0xFE, SECRET),
    )
)
MODES = {
    "colour": jpeg(PIXELS, icc_profile=PROFILE),
    "gray": jpeg(Image.fromarray(PIXELS).convert("L")),
    "RGB by Adobe": jpeg(PIXELS, keep_rgb=True),
    "progressive": jpeg(PIXELS, progressive=True, icc_profile=PROFILE),
    "restarts": jpeg(PIXELS, restart_marker_blocks=2),
    "filled up": jpeg(PIXELS).replace(b"\xff\xda", b"\xff\xff\xff\xda", 1),
}


def before_every_scan(data: bytes, extra: bytes) -> bytes:
    """Insert segments before each scan or, if it has tables of its own, before them."""
    first = data.index(b"\xff\xda")
    head, rest = data[:first], data[first:]
    mark = b"\xff\xc4" if b"\xff\xc4" in rest else b"\xff\xda"
    return head + extra + rest[:2] + rest[2:].replace(mark, extra + mark)


@pytest.mark.parametrize("data", MODES.values(), ids=MODES)
def test_nothing_of_a_jpegs_metadata_is_left(data: bytes) -> None:
    full = before_every_scan(data[:2] + SEGMENTS + data[2:], SEGMENTS) + SECRET + data
    assert full.count(SECRET) > 20
    assert jpeg_markers.check(full).ended
    stripped = strip.jpeg_file(full)
    assert SECRET not in stripped
    assert stripped == strip.jpeg_file(data)
    assert strip.jpeg_file(stripped) is stripped


@pytest.mark.parametrize("data", MODES.values(), ids=MODES)
def test_the_pixels_of_a_jpeg_stay(data: bytes) -> None:
    stripped = strip.jpeg_file(data[:2] + SEGMENTS + data[2:])
    assert np.array_equal(decoder.decode(stripped), decoder.decode(data))
    with Image.open(io.BytesIO(data)) as old, Image.open(io.BytesIO(stripped)) as new:
        assert np.array_equal(np.asarray(old), np.asarray(new))
        kept = ("icc_profile", "jfif", "jfif_density", "adobe", "adobe_transform")
        assert [new.info.get(key) for key in kept] == [old.info.get(key) for key in kept]
        assert new.mode == old.mode


def test_pieces_of_a_long_profile_stay() -> None:
    data = jpeg(PIXELS, icc_profile=bytes(200_000), comment=SECRET)
    with Image.open(io.BytesIO(strip.jpeg_file(data))) as image:
        assert image.info["icc_profile"] == bytes(200_000)
        assert "comment" not in image.info


def test_the_preview_in_a_jfif_segment_leaves() -> None:
    data = jpeg(PIXELS)
    assert data[2:4] == b"\xff\xe0"
    jfif = data[6:18] + b"\2\2" + SECRET
    full = data[:2] + segment(0xE0, jfif) + data[20:]
    assert strip.jpeg_file(full) == data


def test_the_pictures_after_the_first_leave() -> None:
    data = save(PIXELS, "MPO", save_all=True, append_images=[Image.fromarray(photo(20, 20))])
    stripped = strip.jpeg_file(data)
    assert stripped.count(b"\xff\xd8\xff") == 1
    assert np.array_equal(decoder.decode(stripped), decoder.decode(data))


@pytest.mark.parametrize("data", MODES.values(), ids=MODES)
def test_without_the_extension_the_bytes_are_the_same(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = data[:2] + SEGMENTS + data[2:] + SECRET
    expected = strip.jpeg_file(full)
    monkeypatch.setattr(native, "scan_end", lambda *_: -1)
    assert strip.jpeg_file(full) == expected


def chunk(kind: bytes, body: bytes) -> bytes:
    crc = zlib.crc32(kind + body)
    return len(body).to_bytes(4, "big") + kind + body + crc.to_bytes(4, "big")


TEXTS = b"".join(
    (
        chunk(b"tEXt", b"Location\0" + SECRET),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + SECRET),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + SECRET),
        chunk(b"eXIf", SECRET),
        chunk(b"tIME", SECRET[:7]),
        chunk(b"prVt", SECRET),
        chunk(b"caBX", SECRET),
    )
)
COLOURS = b"".join(
    (
        chunk(b"gAMA", (45_455).to_bytes(4, "big")),
        chunk(b"sRGB", b"\0"),
        chunk(b"pHYs", bytes(8) + b"\1"),
        chunk(b"cICP", bytes([1, 13, 0, 1])),
    )
)
PNGS = {
    "colour": png(PIXELS),
    "profile": png(PIXELS, icc_profile=PROFILE),
    "palette": png(Image.fromarray(PIXELS).quantize(16), transparency=3),
    "gray": png(PIXELS[..., 0]),
    "alpha": png(np.dstack([PIXELS, PIXELS[..., 0]])),
}


@pytest.mark.parametrize("data", PNGS.values(), ids=PNGS)
def test_a_png_loses_metadata_and_keeps_colours(data: bytes) -> None:
    plain = data[:33] + COLOURS + data[33:] if b"iCCP" not in data else data
    full = plain[:33] + TEXTS + plain[33:-12] + TEXTS + plain[-12:] + SECRET
    png_chunks.check(full)
    assert strip.png_file(full) == plain
    assert strip.png_file(plain) is plain
    with Image.open(io.BytesIO(plain)) as old, Image.open(io.BytesIO(data)) as new:
        assert np.array_equal(np.asarray(old.convert("RGBA")), np.asarray(new.convert("RGBA")))
