"""Orientation by EXIF and XMP: the same rule for JPEG, PNG and WebP."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from conftest import oriented, photo, save
from PIL import Image, ImageOps, PngImagePlugin, TiffImagePlugin

from tfrec_cli.imaging import normalize
from tfrec_cli.imaging.header import examine
from tfrec_cli.imaging.policy import Policy

PIXELS = photo(20, 30)
FORMATS = ["JPEG", "PNG", "WEBP"]
EXIF = {value: oriented(value).tobytes() for value in (1, 3, 6, 9)}
WITHOUT = Image.Exif()
WITHOUT[0x010F] = "maker"

Extra = tuple[bytes, bytes]


def xmp(value: object, form: str = 'tiff:Orientation="{}"/>', prefix: str = "tiff") -> bytes:
    """Make a packet of XMP with an orientation."""
    space = f'xmlns:{prefix}="http://ns.adobe.com/tiff/1.0/"'
    inside = f"<rdf:Description {space} {form.format(value)}"
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/">{inside}</x:xmpmeta>'.encode()


XMP_FORMS = {
    "attribute": xmp(6),
    "single quotes": xmp(6, "tiff:Orientation='{}'/>"),
    "spaces": xmp(6, 'tiff:Orientation = "{}"/>'),
    "element": xmp(6, "><tiff:Orientation>{}</tiff:Orientation></rdf:Description>"),
    "element on lines": xmp(6, "><tiff:Orientation>\n {}\n</tiff:Orientation></rdf:Description>"),
    "another prefix": xmp(6, 'ns1:Orientation="{}"/>', "ns1"),
}
NO_XMP = {
    "no number": xmp("top"),
    "another namespace": xmp(6, 'crs:Orientation="{}"/>'),
    "end of another name": xmp(6, 'nottiff:Orientation="{}"/>'),
    "ten digits": xmp(6_000_000_000),
    "nine": xmp(9),
    "zero": xmp(0),
}


def of(kind: str, *, exif: bytes = b"", packet: bytes = b"") -> bytes:
    """Make a file with blocks of EXIF and XMP."""
    options: dict[str, object] = {"exif": exif} if exif else {}
    if kind == "PNG" and packet:
        options["pnginfo"] = info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet.decode())
    elif packet:
        options["xmp"] = packet
    if kind == "WEBP":
        options["lossless"] = True
    return save(PIXELS, kind, **options)


def found(data: bytes) -> int:
    """Return the orientation in the header; the pixels must be turned by it, and counted."""
    examined = examine(data, Policy())
    turned = normalize.decode(data, Policy())
    assert np.array_equal(normalize.decode(data, Policy(exif="ignore")), stored(data))
    assert turned.shape[:2] == (examined.header.height_px, examined.header.width_px)
    value = examined.header.orientation
    with Image.open(io.BytesIO(data)) as image:
        plain = Image.fromarray(np.asarray(image.convert("RGB")))
    plain.getexif()[0x0112] = value
    assert np.array_equal(turned, np.asarray(ImageOps.exif_transpose(plain)))
    assert ("orientation" in examined.changes) == (value != 1)
    assert "orientation" not in examine(data, Policy(exif="ignore")).changes
    return value


def stored(data: bytes) -> object:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("exif", "packet", "expected"),
    [
        (EXIF[6], b"", 6),
        (b"", xmp(3), 3),
        (EXIF[6], xmp(3), 6),
        (EXIF[1], xmp(3), 1),
        (EXIF[9], xmp(3), 1),
        (WITHOUT.tobytes(), xmp(3), 3),
        (b"Exif\0\0" + bytes(30), xmp(3), 3),
        (b"", b"", 1),
    ],
    ids=[
        "EXIF",
        "XMP",
        "both",
        "EXIF upright",
        "EXIF that is none",
        "EXIF without the tag",
        "damaged EXIF",
        "neither",
    ],
)
def test_exif_counts_before_xmp(kind: str, exif: bytes, packet: bytes, expected: int) -> None:
    assert found(of(kind, exif=exif, packet=packet)) == expected


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("packet", XMP_FORMS.values(), ids=XMP_FORMS)
def test_every_spelling_of_xmp_is_read(kind: str, packet: bytes) -> None:
    assert found(of(kind, packet=packet)) == 6


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("packet", NO_XMP.values(), ids=NO_XMP)
def test_other_xmp_is_upright(kind: str, packet: bytes) -> None:
    assert found(of(kind, packet=packet)) == 1


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("value", range(1, 9))
def test_xmp_turns_like_exif(kind: str, value: int) -> None:
    by_exif = normalize.decode(of(kind, exif=oriented(value).tobytes()), Policy())
    assert found(of(kind, packet=xmp(value))) == value
    assert np.array_equal(normalize.decode(of(kind, packet=xmp(value)), Policy()), by_exif)


def chunk(kind: bytes, body: bytes) -> bytes:
    crc = zlib.crc32(kind + body)
    return len(body).to_bytes(4, "big") + kind + body + crc.to_bytes(4, "big")


def profile(kind: str, block: bytes) -> bytes:
    """Write a block as ImageMagick does: a name, a length, and lines of digits."""
    digits = block.hex()
    lines = [digits[at : at + 72] for at in range(0, len(digits), 72)]
    return "\n".join(["", kind, f"{len(block):8}", *lines, ""]).encode()


RAW = b"Raw profile type "
EXIF_6 = EXIF[6]
EXIF_3 = EXIF[3]
XMP_6 = xmp(6)
CHUNKS: dict[str, tuple[list[Extra], int]] = {
    "zTXt exif": ([(b"zTXt", RAW + b"exif\0\0" + zlib.compress(profile("exif", EXIF_6)))], 6),
    "tEXt exif": ([(b"tEXt", RAW + b"exif\0" + profile("exif", EXIF_6))], 6),
    "exif without its mark": ([(b"tEXt", RAW + b"exif\0" + profile("exif", EXIF_6[6:]))], 6),
    "APP1 with EXIF": ([(b"tEXt", RAW + b"APP1\0" + profile("generic", EXIF_6))], 6),
    "APP1 with XMP": (
        [
            (
                b"tEXt",
                RAW + b"APP1\0" + profile("generic", b"http://ns.adobe.com/xap/1.0/\0" + XMP_6),
            )
        ],
        6,
    ),
    "xmp": ([(b"zTXt", RAW + b"xmp\0\0" + zlib.compress(profile("xmp", XMP_6)))], 6),
    "compressed iTXt": (
        [(b"iTXt", b"XML:com.adobe.xmp\0\1\0en\0title\0" + zlib.compress(XMP_6))],
        6,
    ),
    "eXIf counts before a profile": (
        [(b"tEXt", RAW + b"exif\0" + profile("exif", EXIF_6)), (b"eXIf", EXIF_3[6:])],
        3,
    ),
    "a profile counts before XMP": (
        [
            (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP_6),
            (b"tEXt", RAW + b"exif\0" + profile("exif", EXIF_3)),
        ],
        3,
    ),
    "a profile of no digits": ([(b"tEXt", RAW + b"exif\0\nexif\n 9\nnone")], 1),
    "another profile": ([(b"tEXt", RAW + b"iptc\0" + profile("iptc", EXIF_6))], 1),
    "another text": ([(b"tEXt", b"Comment\0" + XMP_6)], 1),
}


@pytest.mark.parametrize("after", [False, True], ids=["before the pixels", "after the pixels"])
@pytest.mark.parametrize(("chunks", "expected"), CHUNKS.values(), ids=CHUNKS)
def test_a_png_keeps_metadata_in_many_places(
    chunks: list[Extra], expected: int, after: bool
) -> None:
    data = save(PIXELS, "PNG")
    at = len(data) - 12 if after else 33  # IEND has 12 bytes, signature and IHDR have 33
    extra = b"".join(chunk(*one) for one in chunks)
    assert found(data[:at] + extra + data[at:]) == expected


def test_a_text_that_does_not_inflate_is_no_metadata() -> None:
    data = save(PIXELS, "PNG")
    extra = chunk(b"zTXt", RAW + b"exif\0\0" + b"no zlib")
    assert examine(data[:-12] + extra + data[-12:], Policy()).header.orientation == 1


@pytest.mark.parametrize("mode", ["RGB", "L", "I;16", "CMYK"])
@pytest.mark.parametrize(("tag", "expected"), [(None, 6), (3, 3), (1, 1)])
def test_xmp_in_a_tiff_counts_without_the_tag(mode: str, tag: int | None, expected: int) -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[700] = (
        b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    )
    tags.tagtype[700] = 1
    if tag:
        tags[274] = tag
    file = io.BytesIO()
    Image.new(mode, (6, 4)).save(file, "TIFF", tiffinfo=tags)
    data = file.getvalue()
    assert examine(data, Policy()).header.orientation == expected
    assert normalize.decode(data, Policy()).shape == ((6, 4, 3) if expected == 6 else (4, 6, 3))
    assert normalize.decode(data, Policy(exif="ignore")).shape == (4, 6, 3)
