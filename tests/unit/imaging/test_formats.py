"""Each row of docs/guides/image-formats.md, decoded by a second decoder; and what is refused."""

from __future__ import annotations

import io
import itertools
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
import readable
from conftest import ROOT, Framework, fill, tf, torch
from PIL import Image

import tfrec_cli
from tfrec_cli.errors import ImageError
from tfrec_cli.imaging import decoder, header, normalize
from tfrec_cli.imaging.policy import Depth, Policy

tifffile = Framework("tifffile")
imagecodecs = Framework("imagecodecs")

Case = tuple[bytes, Any]
"""A file, and its pixels: numbers of 0 to 255, or 65,535, of any type, with 1 or 3 channels."""

PAGE = (ROOT / "docs/guides/image-formats.md").read_text(encoding="utf-8")
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split("|"))
    for line in PAGE.splitlines()
    if line.startswith("|") and not line.startswith(("| format", "|---"))
]
HEIGHT, WIDTH = 37, 53
DEPTH = 8
"""Bits of a sample that `KINDS` give of files that have more than 8."""
KINDS: dict[tuple[str, str, str], Callable[[], Iterator[Case]]] = {}


def kind(*row: str) -> Callable[[Callable[[], Iterator[Case]]], Callable[[], Iterator[Case]]]:
    """Register what makes the files of a row."""

    def register(make: Callable[[], Iterator[Case]]) -> Callable[[], Iterator[Case]]:
        KINDS[row] = make  # type: ignore[index]
        return make

    return register


def noise(bits: int, channels: int = 1, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> Any:
    random = np.random.default_rng(bits * 8 + channels)
    values = random.integers(0, 1 << bits, (*shape, channels))
    return values.astype(np.uint16 if bits > 8 else np.uint8)


def white(bits: int) -> int:
    """Return the greatest value of the pixels of a file with so many bits a sample."""
    return int((1 << DEPTH) - 1 if bits > 8 else 255)


def scaled(values: Any, bits: int) -> Any:
    return np.floor(values.astype(float) * white(bits) / ((1 << bits) - 1) + 0.5)


# --- TIFF ---------------------------------------------------------------------------------------

LAYOUTS = [
    {"compression": compression, "predictor": predictor, **pieces, "byteorder": order}
    for compression, predictor, pieces, order in itertools.product(
        (None, "lzw", "deflate", "packbits", "zstd", "lzma"),
        (None, True),
        ({"rowsperstrip": 7}, {"rowsperstrip": HEIGHT}, {"tile": (16, 32)}),
        "<>",
    )
    if not (predictor and compression in (None, "packbits"))
]


def tiff(
    values: Any, bits: int, photometric: str, *, planar: bool = False, **options: Any
) -> bytes:
    """Write by tifffile, and check that it reads the same values."""
    if bits not in (1, 8, 16):
        options |= {"bitspersample": bits}
    stored = values[..., 0] if values.shape[2] == 1 else values
    if planar:
        stored = np.moveaxis(values, -1, 0)
        options["planarconfig"] = "separate"
    elif values.shape[2] > 1:
        options["planarconfig"] = "contig"
    file = io.BytesIO()
    stored = stored.astype(bool) if bits == 1 else stored
    tifffile.imwrite(file, stored, photometric=photometric, metadata=None, **options)
    assert np.array_equal(tifffile_read(file.getvalue()), values)
    return file.getvalue()


def tifffile_read(data: bytes) -> Any:
    """Return the samples as (rows, columns, samples)."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        values = page.asarray()
        if page.planarconfig == 2 and values.ndim == 3:
            values = np.moveaxis(values, 0, -1)
    return values.reshape(*values.shape[:2], -1)


def layouts(bits: int) -> list[dict[str, Any]]:
    """Return the layouts that tifffile writes: packed bits only without compression."""
    if bits in (8, 16):
        return LAYOUTS
    plain = [one for one in LAYOUTS if one["compression"] is None and one["byteorder"] == "<"]
    return [one for one in plain if bits != 1 or "tile" not in one]


def grey_tiffs(depths: tuple[int, ...]) -> Iterator[Case]:
    for bits in depths:
        values = noise(bits)
        for layout in layouts(bits):
            yield tiff(values, bits, "minisblack", **layout), scaled(values, bits)
            yield tiff(values, bits, "miniswhite", **layout), white(bits) - scaled(values, bits)


@kind("TIFF", "grey, black or white is zero", "1, 2, 4, 8")
def shallow_grey() -> Iterator[Case]:
    yield from grey_tiffs((1, 2, 4, 8))


@kind("TIFF", "grey, black or white is zero", "9 to 16")
def deep_grey() -> Iterator[Case]:
    yield from grey_tiffs((9, 10, 12, 14, 16))


@kind("TIFF", "RGB", "8 to 16")
def rgb_tiffs() -> Iterator[Case]:
    for bits, planar in itertools.product((8, 9, 12, 16), (False, True)):
        values = noise(bits, 3)
        for layout in layouts(bits):
            yield tiff(values, bits, "rgb", planar=planar, **layout), scaled(values, bits)


@kind("TIFF", "grey or RGB with alpha", "8 to 16")
def alpha_tiffs() -> Iterator[Case]:
    for bits, extra, colours, planar in itertools.product(
        (8, 12, 16), (1, 2), (1, 3), (False, True)
    ):
        values = noise(bits, colours + 1)
        alpha = values[..., -1:]
        expected = scaled(values[..., :-1], bits)
        if extra == 1:
            values[..., :-1] = np.minimum(values[..., :-1], alpha)
            divided = np.floor(values[..., :-1] * float(white(bits)) / np.maximum(alpha, 1) + 0.5)
            expected = np.where(alpha, divided, scaled(values[..., :-1], bits))
        photometric = "rgb" if colours == 3 else "minisblack"
        for layout in layouts(bits)[::3]:
            options = {"planar": planar, "extrasamples": [extra], **layout}
            yield tiff(values, bits, photometric, **options), expected


@kind("TIFF", "palette", "1, 2, 4, 8")
def palette_tiffs() -> Iterator[Case]:
    for bits in (1, 2, 4, 8):
        values = noise(bits)
        colours = np.random.default_rng(bits).integers(0, 65536, (3, 1 << bits)).astype(np.uint16)
        expected = np.floor(colours / 257 + 0.5).T[values[..., 0]]
        if bits == 8:
            for layout in LAYOUTS:
                if not layout["predictor"]:
                    yield tiff(values, 8, "palette", colormap=colours, **layout), expected
        data = packed(values[..., 0], bits).tobytes()
        yield (
            plain_tiff(data, [bits], photometric=3, more={320: colours.ravel().tolist()}),
            expected,
        )


def packed(values: Any, bits: int) -> Any:
    """Return the bytes of rows of values of up to 8 bits."""
    digits = np.unpackbits(values[..., None], axis=2)[..., -bits:]
    return np.packbits(digits.reshape(len(values), -1), axis=1)


@kind("TIFF", "CMYK", "8 to 16")
def cmyk_tiffs() -> Iterator[Case]:
    for bits, planar in itertools.product((8, 12, 16), (False, True)):
        values = noise(bits, 4)
        light = 1 - values / ((1 << bits) - 1)
        expected = light[..., :3] * light[..., 3:] * white(bits)
        for layout in layouts(bits)[::3]:
            yield tiff(values, bits, "separated", planar=planar, **layout), expected


@kind("TIFF", "YCbCr, not subsampled", "8")
def ycbcr_tiffs() -> Iterator[Case]:
    values = noise(8, 3)
    data = plain_tiff(values.tobytes(), [8] * 3, photometric=6, more={530: [1, 1]})
    luma, blue, red = np.moveaxis(values.astype(float), -1, 0)
    blue, red = blue - 128, red - 128
    rgb = (luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue)
    yield data, np.stack(rgb, 2).clip(0, 255)


@kind("TIFF", "grey, RGB, YCbCr or CMYK in JPEG", "8")
def jpeg_tiffs() -> Iterator[Case]:
    smooth = np.asarray(Image.linear_gradient("L").resize((64, 48)))
    for photometric, channels in (("minisblack", 1), ("rgb", 3), ("separated", 4)):
        values = np.dstack([np.roll(smooth, 9 * channel, 1) for channel in range(channels)])
        for pieces in ({"rowsperstrip": 16}, {"tile": (16, 32)}):
            file = io.BytesIO()
            options = {"compression": "jpeg", "metadata": None, **pieces}
            stored = values[..., 0] if channels == 1 else values
            tifffile.imwrite(file, stored, photometric=photometric, **options)
            found = tifffile_read(file.getvalue()).astype(float)
            if channels == 4:
                found = (255 - found[..., :3]) * (255 - found[..., 3:]) / 255
            yield file.getvalue(), found


@kind("TIFF", "CCITT RLE, group 3, group 4", "1")
def ccitt_tiffs() -> Iterator[Case]:
    for data in fax_files():
        bits = tifffile_read(data)
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            white_is_zero = file.pages[0].photometric == 0
        yield data, (bits != white_is_zero) * 255


def fax_files() -> list[bytes]:
    """Return bilevel TIFFs of all CCITT compressions, in one strip and in several."""
    random = np.random.default_rng(0)
    dots = random.random((60, 300)) < np.linspace(0, 1, 300)
    made = []
    for name, rows, options, white in itertools.product(
        ("tiff_ccitt", "group3", "group4"), (60, 13), (0, 1, 4), (0, 1)
    ):
        if options and name != "group3":
            continue
        tags = {278: rows, 262: white, **({292: options} if options else {})}
        file = io.BytesIO()
        Image.fromarray(dots).save(file, "TIFF", compression=name, tiffinfo=tags)
        made.append(file.getvalue())
    return made


def plain_tiff(
    pixels: bytes, bits: list[int], *, photometric: int, more: dict[int, list[int]] | None = None
) -> bytes:
    """Make a TIFF of one strip without compression."""
    tags = {
        256: [WIDTH],
        257: [HEIGHT],
        258: bits,
        259: [1],
        262: [photometric],
        273: [8],
        277: [len(bits)],
        278: [HEIGHT],
        279: [len(pixels)],
        **(more or {}),
    }
    pixels += bytes(len(pixels) % 2)
    start = 8 + len(pixels)
    lists_at = start + 2 + 12 * len(tags) + 4
    table, lists = struct.pack("<H", len(tags)), b""
    for tag, values in sorted(tags.items()):
        data = struct.pack(f"<{len(values)}{'I' if tag in (273, 279) else 'H'}", *values)
        table += struct.pack("<HHI", tag, 4 if tag in (273, 279) else 3, len(values))
        if len(data) > 4:
            table += struct.pack("<I", lists_at + len(lists))
            lists += data
        else:
            table += data.ljust(4, b"\0")
    return b"II*\0" + struct.pack("<I", start) + pixels + table + bytes(4) + lists


# --- others -------------------------------------------------------------------------------------


@kind("PBM, PGM, PPM", "binary and digits, any maximum", "1 to 16")
def pnm_files() -> Iterator[Case]:
    size = b"%d %d\n" % (WIDTH, HEIGHT)
    bits = noise(1)[..., 0]
    yield b"P4\n# a comment\n" + size + np.packbits(bits, axis=1).tobytes(), 255 * (1 - bits)
    yield b"P1 " + size + b" ".join(b"%d" % bit for bit in bits.ravel()), 255 * (1 - bits)
    for most in (1, 2, 6, 255, 256, 1023, 4095, 65535):
        for channels, binary, digits in ((1, b"P5 ", b"P2 "), (3, b"P6 ", b"P3 ")):
            values = noise(16, channels).astype(int) % (most + 1)
            expected = np.floor(values * white(most.bit_length()) / most + 0.5)
            body = values.astype(">u2" if most > 255 else np.uint8).tobytes()
            yield binary + size + b"%d\n" % most + body, expected
            text = b" ".join(b"%d" % value for value in values.ravel())
            yield digits + size + b"%d #\n" % most + text, expected


def jpeg_2000(values: Any, bits: int) -> bytes:
    stored = values[..., 0] if values.shape[2] == 1 else values
    options = {"level": 0, "bitspersample": bits, "reversible": True, "codecformat": "jp2"}
    data: bytes = imagecodecs.jpeg2k_encode(stored, **options)
    assert np.array_equal(imagecodecs.jpeg2k_decode(data).reshape(values.shape), values)
    return data


def with_boxes(data: bytes, *boxes: tuple[bytes, bytes]) -> bytes:
    """Append boxes to the header of a JPEG 2000 file."""
    place = data.index(b"jp2h") - 4
    (length,) = struct.unpack_from(">I", data, place)
    more = b"".join(struct.pack(">I4s", 8 + len(body), name) + body for name, body in boxes)
    end = place + length
    head = data[:place] + struct.pack(">I", length + len(more))
    return head + data[place + 4 : end] + more + data[end:]


def channels_of(*colours: int) -> tuple[bytes, bytes]:
    """Make a channel definition box: the colour of each component, 0 for alpha."""
    rows = [(number, colour == 0, colour) for number, colour in enumerate(colours)]
    packed = b"".join(struct.pack(">HHH", *row) for row in rows)
    return b"cdef", struct.pack(">H", len(rows)) + packed


@kind("JPEG 2000", "grey", "1 to 16")
def grey_jpeg_2000() -> Iterator[Case]:
    for bits in (1, 4, 8, 10, 12, 16):
        values = noise(bits, shape=(64, 70))
        yield jpeg_2000(values, bits), scaled(values, bits)


@kind("JPEG 2000", "grey, RGB or CMYK, with alpha, in any order", "1 to 8")
def colour_jpeg_2000() -> Iterator[Case]:
    for bits in (4, 8):
        values = noise(bits, 3, (64, 70))
        data = jpeg_2000(values, bits)
        yield data, scaled(values, bits)
        for order in itertools.permutations((1, 2, 3)):
            moved = with_boxes(data, channels_of(*order))
            expected = scaled(values, bits)[..., [order.index(colour) for colour in (1, 2, 3)]]
            assert np.array_equal(scaled(imagecodecs.jpeg2k_decode(moved), bits), expected)
            yield moved, expected
    for mode, colours in (("LA", 1), ("RGBA", 3)):
        values = noise(8, colours + 1, (64, 70))
        file = io.BytesIO()
        Image.fromarray(values).save(file, "JPEG2000", irreversible=False)
        yield file.getvalue(), imagecodecs.jpeg2k_decode(file.getvalue())[..., :colours]
        assert mode == Image.open(file).mode
    values = noise(8, 4, (64, 70))
    file = io.BytesIO()
    Image.fromarray(values, "CMYK").save(file, "JPEG2000", irreversible=False)
    inks = imagecodecs.jpeg2k_decode(file.getvalue()).astype(float)
    yield file.getvalue(), (255 - inks[..., :3]) * (255 - inks[..., 3:]) / 255


PALETTE = bytes(value for n in range(256) for value in (n, 255 - n, n * 7 % 256))


def palette_jpeg_2000(palette: bytes) -> tuple[bytes, Any]:
    values = noise(8, shape=(64, 70))
    data = jpeg_2000(values, 8).replace(b"\0\0\0\x11", b"\0\0\0\x10")  # from grey to sRGB
    pclr = struct.pack(">HB3B", len(palette) // 3, 3, 7, 7, 7) + palette
    cmap = b"".join(bytes([0, 0, 1, column]) for column in range(3))
    return with_boxes(data, (b"pclr", pclr), (b"cmap", cmap)), values


@kind("JPEG 2000", "palette of different RGB colours", "8")
def palettes_of_jpeg_2000() -> Iterator[Case]:
    data, values = palette_jpeg_2000(PALETTE)
    yield data, np.frombuffer(PALETTE, np.uint8).reshape(256, 3)[values[..., 0]]


def avif_files(depths: tuple[int, ...]) -> Iterator[Case]:
    ramp = np.linspace(0, 1, 64 * 72).reshape(64, 72)
    for bits, channels in itertools.product(depths, (1, 3, 4)):
        most = (1 << bits) - 1
        planes = [np.roll(ramp, 13 * n, 1) * most for n in range(channels)]
        values = np.dstack(planes).astype(np.uint16 if bits > 8 else np.uint8)
        stored = values[..., 0] if channels == 1 else values
        data = imagecodecs.avif_encode(stored, level=95, speed=9, bitspersample=bits)
        found = imagecodecs.avif_decode(data)
        found = found[..., None] if found.ndim == 2 else found
        yield data, scaled(found[..., :3], bits)


@kind("AVIF", "grey or RGB, with alpha", "8")
def avif_of_8_bits() -> Iterator[Case]:
    yield from avif_files((8,))


@kind("AVIF", "grey or RGB, with alpha", "10, 12")
def deep_avif() -> Iterator[Case]:
    yield from avif_files((10, 12))


def bmp(
    bits: int, body: bytes, *, encoding: int = 0, colours: bytes = b"", masks: bytes = b""
) -> bytes:
    start = 54 + len(masks) + len(colours)
    head = struct.pack("<2sIHHI", b"BM", start + len(body), 0, 0, start)
    info = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, bits, encoding, len(body), 0, 0, 0, 0)
    return head + info + masks + colours + body


def padded(rows: Any) -> bytes:
    """Return the bytes of rows, each filled up to 4 bytes, the lowest first."""
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))[::-1].tobytes()


def bmp_palette(bits: int) -> tuple[bytes, Any]:
    colours = np.random.default_rng(bits).integers(0, 256, (1 << bits, 4)).astype(np.uint8)
    colours[:, 3] = 0
    return colours.tobytes(), colours[:, 2::-1]


@kind("BMP", "palette", "1, 4, 8")
def palette_bmps() -> Iterator[Case]:
    for bits in (1, 4, 8):
        values = noise(bits)[..., 0]
        colours, palette = bmp_palette(bits)
        rows = packed(values, bits)
        yield bmp(bits, padded(rows), colours=colours), palette[values]


@kind("BMP", "palette with run lengths", "4, 8")
def run_length_bmps() -> Iterator[Case]:
    for bits, literal in itertools.product((4, 8), (False, True)):
        values = noise(bits)[..., 0]
        values[:, 10:30] = values[:, 10:11]
        colours, palette = bmp_palette(bits)
        encoding = 1 if bits == 8 else 2
        body = b"".join(run_lengths(row, bits, literal) for row in values[::-1]) + b"\0\1"
        yield bmp(bits, body, encoding=encoding, colours=colours), palette[values]


def run_lengths(row: Any, bits: int, literal: bool) -> bytes:
    """Encode a row: as runs of one value, or with all values as they are, in odd numbers."""
    code = b""
    if not literal:
        for value, group in itertools.groupby(row.tolist()):
            code += bytes([len(list(group)), value if bits == 8 else value << 4 | value])
        return code + b"\0\0"
    for start in range(0, WIDTH, 17):
        part = row[start : start + 17].tolist()
        if len(part) < 3:
            code += b"".join(bytes([1, v if bits == 8 else v << 4]) for v in part)
            continue
        stored = bytes(part)
        if bits == 4:
            pairs = itertools.zip_longest(part[::2], part[1::2], fillvalue=0)
            stored = bytes(high << 4 | low for high, low in pairs)
        code += bytes([0, len(part)]) + stored + bytes(len(stored) % 2)
    return code + b"\0\0"


@kind("BMP", "RGB, also by masks", "16, 24, 32")
def colour_bmps() -> Iterator[Case]:
    values = noise(8, 3)
    yield bmp(24, padded(values[..., ::-1].reshape(HEIGHT, -1))), values
    wide = np.dstack([values[..., ::-1], noise(8)])
    yield bmp(32, padded(wide.reshape(HEIGHT, -1))), values
    for encoding, sizes in ((0, (5, 5, 5)), (3, (5, 6, 5))):
        parts = [noise(size, 1)[..., 0].astype(np.uint16) for size in sizes]
        shifts = (sizes[1] + sizes[2], sizes[2], 0)
        words = sum(
            (part << shift for part, shift in zip(parts, shifts, strict=True)), np.uint16(0)
        )
        masks = [((1 << size) - 1) << shift for size, shift in zip(sizes, shifts, strict=True)]
        head = struct.pack("<3I", *masks) if encoding else b""
        body = padded(words.astype("<u2").view(np.uint8).reshape(HEIGHT, -1))
        expected = [scaled(part, size) for part, size in zip(parts, sizes, strict=True)]
        yield bmp(16, body, encoding=encoding, masks=head), np.dstack(expected)


@kind("GIF", "palette", "8")
def gifs() -> Iterator[Case]:
    for interlaced in (0, 1):
        file = io.BytesIO()
        Image.fromarray(noise(8, 3)).quantize(200).save(file, "GIF", interlace=interlaced)
        yield file.getvalue(), tf.io.decode_gif(file.getvalue()).numpy()[0]


@kind("WebP", "RGB, with alpha", "8")
def webps() -> Iterator[Case]:
    for channels, lossless in itertools.product((3, 4), (False, True)):
        file = io.BytesIO()
        Image.fromarray(noise(8, channels)).save(file, "WEBP", lossless=lossless, exact=True)
        yield file.getvalue(), tf.io.decode_webp(file.getvalue()).numpy().reshape(HEIGHT, WIDTH, -1)


@kind("PNG", "any", "16")
def deep_pngs() -> Iterator[Case]:
    for channels in (1, 2, 3, 4):
        values = noise(16, channels)
        stored = values[..., 0] if channels == 1 else values
        yield (
            imagecodecs.png_encode(stored),
            scaled(values[..., : channels - (channels % 2 == 0)], 16),
        )


@pytest.mark.parametrize("row", ROWS, ids=[" ".join(row[:3]) for row in ROWS])
def test_a_row_of_the_table_is_decoded_as_a_second_decoder_does(row: tuple[str, ...]) -> None:
    *key, stored, _, _, levels = row
    if "YCbCr, not subsampled" in key and int(PIL.__version__.split(".")[0]) < 13:
        pytest.skip("Pillow reads it since version 13, and refuses it before")
    count = 0
    for data, expected in KINDS[tuple(key)]():  # type: ignore[index]
        found = normalize.decode(data, Policy()).astype(float)
        expected = expected[..., None] if expected.ndim == 2 else expected[..., :3]
        assert np.abs(found - expected).max() < float(levels) + 0.6
        changes = normalize.store_whole(data, Policy(), decodes=False).changes
        assert changes
        assert ("deep" in changes) <= ("scaled" in stored)
        count += 1
    assert count


@pytest.mark.parametrize("row", ROWS, ids=[" ".join(row[:3]) for row in ROWS])
def test_a_row_of_the_table_is_stored_with_depth_16_as_it_says(
    row: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored is decoded by a second decoder; the pixels of 16 bits are exact."""
    monkeypatch.setitem(globals(), "DEPTH", 16)
    *key, _, says, _, levels = row
    if "YCbCr, not subsampled" in key and int(PIL.__version__.split(".")[0]) < 13:
        pytest.skip("Pillow reads it since version 13, and refuses it before")
    depth_16 = Policy(depth=16)
    deep_ones = 0
    for data, expected in KINDS[tuple(key)]():  # type: ignore[index]
        if says == "refused":
            with pytest.raises(ImageError, match="libavif decodes to 8"):
                header.examine(data, depth_16)
            continue
        made = normalize.store_whole(data, depth_16, decodes=False)
        assert "deep" not in made.changes
        assert (made.data == data) == (says == "its own bytes")
        if not header.read_header(io.BytesIO(data), Policy()).deep:
            assert made.data == normalize.store_whole(data, Policy(), decodes=False).data
            continue
        deep_ones += 1
        expected = np.atleast_3d(expected)[..., :3]
        found = np.atleast_3d(imagecodecs.png_decode(made.data))[..., : expected.shape[2]]
        assert found.dtype == np.uint16
        assert (decoder.decode(made.data) == found).all()
        assert np.abs(found - expected).max() < float(levels) + 0.6
    assert bool(deep_ones) == ("16" in says or says == "its own bytes")


def test_the_table_has_each_kind_once() -> None:
    assert sorted(row[:3] for row in ROWS) == sorted(KINDS)


# --- refused ------------------------------------------------------------------------------------

FOUR = np.dstack([noise(8, 3), noise(8)]).tobytes()
REFUSED = {
    "an infrared band": (FOUR, [8] * 4, 2, {338: [0]}),
    "a fourth sample of unknown meaning": (FOUR, [8] * 4, 2, {}),
    "two extra samples": (FOUR + FOUR, [8] * 5, 2, {338: [2, 2]}),
    "signed samples": (noise(8).tobytes(), [8], 1, {339: [2]}),
    "floating-point samples": (bytes(4 * HEIGHT * WIDTH), [32], 1, {339: [3]}),
    "32-bit samples": (bytes(4 * HEIGHT * WIDTH), [32], 1, {}),
    "bits that differ": (noise(8, 3).tobytes(), [5, 6, 5], 2, {}),
    "CIELAB": (noise(8, 3).tobytes(), [8] * 3, 8, {}),
    "a colour filter array": (noise(8).tobytes(), [8], 32803, {}),
    "alpha where white is zero": (noise(8, 2).tobytes(), [8] * 2, 0, {338: [2]}),
    "reversed bits": (noise(8).tobytes(), [8], 1, {266: [2]}),
    "a predictor without compression": (noise(8).tobytes(), [8], 1, {317: [2]}),
    "inks that are not CMYK": (FOUR, [8] * 4, 5, {332: [2]}),
    "a palette of 8-bit values": (noise(8).tobytes(), [8], 3, {320: [9] * 768}),
    "subsampled YCbCr": (noise(8, 3).tobytes(), [8] * 3, 6, {530: [2, 2]}),
    "YCbCr of video levels": (
        noise(8, 3).tobytes(),
        [8] * 3,
        6,
        {530: [1, 1], 532: [16, 235, 128, 240, 128, 240]},
    ),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("checks_only", [True, False])
def test_a_tiff_of_another_kind_is_refused(name: str, checks_only: bool) -> None:
    pixels, bits, photometric, more = REFUSED[name]
    data = plain_tiff(pixels, bits, photometric=photometric, more=more)
    with pytest.raises(ImageError, match="expected") as caught:
        header.examine(data, Policy()) if checks_only else normalize.decode(data, Policy())
    assert caught.value.reason == "unsupported_mode"


@pytest.mark.parametrize("bits", [12, 16])
def test_deep_colour_of_jpeg_2000_is_refused(bits: int) -> None:
    with pytest.raises(ImageError, match=f"3 components of {bits} bits"):
        normalize.decode(jpeg_2000(noise(bits, 3, (64, 70)), bits), Policy())


def test_a_palette_of_jpeg_2000_with_a_colour_twice_is_refused() -> None:
    """Pillow keeps each colour once, and so moves all that follow."""
    data, _ = palette_jpeg_2000(PALETTE[:3] * 2 + PALETTE[6:])
    with pytest.raises(ImageError, match="palette"):
        normalize.decode(data, Policy())


def test_cut_fax_strips_are_refused() -> None:
    """libtiff fills them up with white."""
    for data in fax_files():
        with Image.open(io.BytesIO(data)) as image:
            counts = image.tag_v2[279]  # type: ignore[attr-defined]
        normalize.decode(data, Policy())
        for share in (0.5, 0.9, 0.97):
            cut = with_count(data, 279, int(counts[-1] * share))
            with pytest.raises(ImageError, match=r"found|cannot"):
                normalize.decode(cut, Policy())


def with_count(data: bytes, tag: int, value: int) -> bytes:
    """Replace the last value of a tag of LONGs."""
    (start,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, start)
    for place in range(start + 2, start + 2 + 12 * entries, 12):
        found, kind, count, at = struct.unpack_from("<HHII", data, place)
        if found == tag:
            form, size = ("<H", 2) if kind == 3 else ("<I", 4)
            last = at + size * (count - 1) if size * count > 4 else place + 8 + size * (count - 1)
            return data[:last] + struct.pack(form, value) + data[last + size :]
    raise AssertionError(tag)


def test_a_tiff_with_more_strips_than_its_picture_has_is_refused() -> None:
    pixels = noise(8).tobytes()
    more = {273: [8, 8], 279: [len(pixels)] * 2}
    data = plain_tiff(pixels, [8], photometric=1, more=more)
    with pytest.raises(ImageError, match="found 2 strips or tiles, expected 1"):
        normalize.decode(data, Policy())


def test_cut_jpeg_strips_are_refused() -> None:
    file = io.BytesIO()
    Image.fromarray(noise(8, 3)).save(file, "TIFF", compression="jpeg")
    data = file.getvalue()
    normalize.decode(data, Policy())
    with Image.open(file) as image:
        count = image.tag_v2[279][-1]  # type: ignore[attr-defined]
    for share in (0.3, 0.9, 0.99):
        with pytest.raises(ImageError, match="cut or damaged"):
            normalize.decode(with_count(data, 279, int(count * share)), Policy())


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "group4", "jpeg"])
def test_a_tiff_that_ends_before_its_strips_is_refused(compression: str) -> None:
    file = io.BytesIO()
    mode = "1" if compression == "group4" else "RGB"
    Image.fromarray(noise(8, 3)).convert(mode).save(file, "TIFF", compression=compression)
    data = file.getvalue()
    header.examine(data, Policy())
    data = data[:-1] if compression == "raw" else with_count(data, 279, len(data))
    with pytest.raises(ImageError, match="bytes") as caught:
        header.examine(data, Policy())
    assert caught.value.reason == "truncated"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("bits", [8, 16])
def test_a_tiff_is_turned_as_the_policy_says_and_counted(orientation: int, bits: int) -> None:
    values = noise(bits, 3)
    stored = values.astype("<u2").tobytes() if bits == 16 else values.tobytes()
    data = plain_tiff(stored, [bits] * 3, photometric=2, more={274: [orientation]})
    kept = normalize.decode(data, Policy(exif="ignore"))
    assert np.array_equal(kept, scaled(values, bits))
    turned = normalize.store_whole(data, Policy(), decodes=False)
    assert ("orientation" in turned.changes) == (orientation != 1)
    same = Image.fromarray(kept)
    same.getexif()[274] = orientation
    file = io.BytesIO()
    same.save(file, "PNG", exif=same.getexif())
    assert np.array_equal(
        normalize.decode(data, Policy()), normalize.decode(file.getvalue(), Policy())
    )
    size = header.examine(data, Policy()).header
    assert (size.height_px, size.width_px) == (turned.height_px, turned.width_px)


def test_avif_is_cropped_to_its_clean_aperture() -> None:
    file = io.BytesIO()
    Image.fromarray(noise(8, 3)).save(file, "AVIF", quality=100, subsampling="4:4:4")
    data = file.getvalue()
    whole = normalize.decode(data, Policy())
    # 31 of 53 columns from the 9th on, 21 of 37 rows from the 5th on
    numbers = (31, 1, 21, 1, 2 * 9 - (WIDTH - 31), 2, 2 * 5 - (HEIGHT - 21), 2)
    cropped = with_property(data, b"clap", struct.pack(">IIIIiIiI", *numbers))
    assert np.array_equal(normalize.decode(cropped, Policy()), whole[5:26, 9:40])
    found = header.examine(cropped, Policy()).header
    assert (found.height_px, found.width_px) == (21, 31)
    outside = with_property(data, b"clap", struct.pack(">IIIIiIiI", 31, 1, 21, 1, 50, 1, 0, 1))
    with pytest.raises(ImageError, match="clean aperture"):
        header.examine(outside, Policy())


def with_property(data: bytes, name: bytes, body: bytes) -> bytes:
    """Add a property to the only item of an AVIF file."""
    box = struct.pack(">I4s", 8 + len(body), name) + body
    kinds = data.index(b"ipco") - 4
    (length,) = struct.unpack_from(">I", data, kinds)
    end = kinds + length
    number = 0
    place = kinds + 8
    while place < end:
        place += struct.unpack_from(">I", data, place)[0]
        number += 1
    links = data.index(b"ipma", end) - 4
    (link_length,) = struct.unpack_from(">I", data, links)
    count = data[links + 18]
    grown = len(box) + 1
    made = bytearray(data[:end] + box + data[end : links + link_length])
    made += bytes([0x80 | (number + 1)]) + data[links + link_length :]
    made[links + len(box) + 18] = count + 1
    struct.pack_into(">I", made, links + len(box), link_length + 1)
    struct.pack_into(">I", made, kinds, length + len(box))
    for outer in (b"iprp", b"meta"):
        at = data.index(outer) - 4
        struct.pack_into(">I", made, at, struct.unpack_from(">I", data, at)[0] + grown)
    at = data.index(b"iloc") - 4 + 8 + 4
    assert data[at : at + 2] == b"\x44\x00"
    # one item, one extent: its offset is absolute
    extent = at + 2 + 2 + 2 + 2 + 2
    (offset,) = struct.unpack_from(">I", data, extent)
    struct.pack_into(">I", made, extent, offset + grown)
    return bytes(made)


@pytest.mark.parametrize("format_", ["TIFF", "WEBP"])
def test_a_profile_that_png_readers_refuse_is_refused(format_: str) -> None:
    file = io.BytesIO()
    Image.fromarray(noise(8, 3)).save(file, format_, icc_profile=bytes((1 << 20) + 1))
    with pytest.raises(ImageError, match="colour profile"):
        header.examine(file.getvalue(), Policy())


def test_a_pgm_value_above_its_maximum_is_refused() -> None:
    with pytest.raises(ImageError, match="found the value 200, expected at most 100"):
        normalize.decode(b"P5 1 1 100\n\xc8", Policy())


def test_bigtiff_and_packed_bits_in_deflate_are_decoded() -> None:

    values = noise(12)
    bits = np.unpackbits(values.astype(">u2").view(np.uint8).reshape(HEIGHT, WIDTH, 2), axis=2)
    packed = np.packbits(bits[..., 4:].reshape(HEIGHT, -1), axis=1)
    data = plain_tiff(zlib.compress(packed.tobytes()), [12], photometric=1)
    data = data.replace(struct.pack("<HHII", 259, 3, 1, 1), struct.pack("<HHII", 259, 3, 1, 8))
    assert np.array_equal(tifffile_read(data), values)
    assert np.array_equal(normalize.decode(data, Policy())[..., :1], scaled(values, 12))
    big = tiff(noise(16, 3), 16, "rgb", bigtiff=True, compression="deflate", rowsperstrip=5)
    assert np.array_equal(normalize.decode(big, Policy()), scaled(noise(16, 3), 16))


def test_the_greatest_value_of_16_bit_images_is_known() -> None:
    values = noise(16, 3) >> 4
    files = [
        plain_tiff(values.astype("<u2").tobytes(), [16] * 3, photometric=2),
        b"P6 %d %d 65535\n" % (WIDTH, HEIGHT) + values.astype(">u2").tobytes(),
    ]
    grey = io.BytesIO()
    Image.fromarray(values[..., 0]).save(grey, "PNG")
    for policy in (Policy(), Policy(depth=16)):
        for data in files:
            assert normalize.store_whole(data, policy, decodes=False).greatest == values.max()
        found = normalize.store_whole(grey.getvalue(), policy, decodes=False).greatest
        assert found == values[..., 0].max()


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("crop", [None, (20, 20)])
def test_what_is_written_of_each_row_is_verified_without_findings(
    tmp_path: Path, crop: tuple[int, int] | None, depth: Depth
) -> None:
    (tmp_path / "images").mkdir()
    for number, make in enumerate(KINDS.values()):
        for part, (data, _) in enumerate(itertools.islice(make(), 3)):
            (tmp_path / "images" / f"{number}-{part}").write_bytes(data)
    given: dict[str, Any] = {"labels": "none", "crop": crop, "jobs": 1, "depth": depth}
    made = tfrec_cli.write(tmp_path / "images", tmp_path / "out", on_error="skip", **given)
    avif = [reject for reject in made.rejects if "AVIF" in str(reject)]
    assert len(made.rejects) == len(avif) == (3 if depth == 16 else 0)
    options = {"seed": 1, "crop": crop or 20, "jobs": 1}
    assert not tfrec_cli.verify(tmp_path / "out", source=tmp_path / "images", **options).findings


def test_the_transparent_colour_of_a_16_bit_png_is_compared_exactly() -> None:
    """Two colours differ in their lower bytes only; one of them is transparent."""
    values = np.array([[[257, 514, 771], [257, 514, 772]]], np.uint16)
    data = imagecodecs.png_encode(values)
    body = b"tRNS" + struct.pack(">3H", 257, 514, 771)
    chunk = struct.pack(">I", 6) + body + struct.pack(">I", zlib.crc32(body))
    place = data.index(b"IDAT") - 4
    data = data[:place] + chunk + data[place:]
    assert normalize.decode(data, Policy()).tolist() == [[[1, 2, 3], [1, 2, 3]]]
    assert normalize.decode(data, Policy(alpha="white")).tolist() == [[[255] * 3, [1, 2, 3]]]
    deep = normalize.decode(data, Policy(alpha="white", depth=16))
    assert deep.tolist() == [[[65535] * 3, [257, 514, 772]]]


# --- what is written ----------------------------------------------------------------------------

HARD_IMAGES = os.environ.get("TFREC_HARD_IMAGES", "").split(os.pathsep)


@pytest.mark.parametrize("options", readable.OPTIONS.values(), ids=readable.OPTIONS)
@pytest.mark.parametrize("folder", ["all kinds", *filter(None, HARD_IMAGES)])
def test_every_reader_and_tensorflow_read_what_is_accepted(
    tmp_path: Path, folder: str, options: dict[str, Any]
) -> None:
    """Also for folders that the environment names."""
    assert tf.io
    assert torch.utils
    if folder == "all kinds":
        folder = str(tmp_path / "images")
        for number, make in enumerate(KINDS.values()):
            data, _ = next(iter(make()))
            fill(Path(folder), {f"{number:02}": data})
    accepted, wrong = readable.check(Path(folder), tmp_path / "out", **options)
    assert accepted > 10
    assert wrong == []
