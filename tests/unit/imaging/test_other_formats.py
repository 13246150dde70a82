"""GIF, WebP and BMP in records of other programs: the pixels of TensorFlow, or refused by name."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import READERS, Pixels, needs, photo, save, tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from record_files import record_file

from tfrec_cli.errors import ImageError
from tfrec_cli.imaging import decoder, pillow_decoder
from tfrec_cli.tfrecord import example

HEIGHT, WIDTH = 21, 35
PICTURE = Image.fromarray(photo(HEIGHT, WIDTH))
GREY = PICTURE.convert("L")
RAMP = Image.fromarray(np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)).astype(np.uint8))
CLEAR = Image.fromarray(np.dstack([photo(HEIGHT, WIDTH), photo(HEIGHT, WIDTH, 1)[..., 0] // 2 * 2]))
GREYS = b"".join(bytes((value, value, value, 0)) for value in range(256))
FRAMES = [Image.fromarray(photo(HEIGHT, WIDTH, seed)) for seed in (1, 2)]


def bmp(bits: int, compression: int = 0, between: bytes = b"", height: int = 4) -> bytes:
    """Make a BMP of 4x5 pixels with masks or a palette before its pixels."""
    stride = (bits * 5 + 31) // 32 * 4
    pixels = bytes(index * 7 % 256 for index in range(abs(height) * stride))
    start = 54 + len(between)
    info = struct.pack("<IiiHHIIiiII", 40, 5, height, 1, bits, compression, len(pixels), 0, 0, 0, 0)
    return struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start) + info + between + pixels


def masks(*colours: int) -> bytes:
    return struct.pack("<III", *colours)


def screened(data: bytes, height: int, width: int) -> bytes:
    """Change the size of the screen of a GIF, not that of its picture."""
    return data[:6] + struct.pack("<HH", width, height) + data[10:]


def cut_palette(flags: int, colours: int) -> bytes:
    """Make a GIF whose picture has more colours than its palette."""
    data = save(PICTURE.quantize(64), "GIF")
    size = 3 * (2 << (data[10] & 7))
    return data[:10] + bytes([flags]) + data[11 : 13 + 3 * colours] + data[13 + size :]


READ: dict[str, Callable[[], bytes]] = {
    "GIF": lambda: save(PICTURE, "GIF"),
    "GIF in passes": lambda: save(PICTURE, "GIF", interlace=1),
    "grey GIF": lambda: save(GREY, "GIF"),
    "GIF of a ramp": lambda: save(RAMP, "GIF"),
    "GIF of two colours": lambda: save(PICTURE.convert("1"), "GIF"),
    "GIF with a clear colour": lambda: save(RAMP, "GIF", transparency=9),
    "GIF with alpha": lambda: save(CLEAR, "GIF"),
    "GIF without an end": lambda: save(PICTURE, "GIF")[:-1],
    "WebP": lambda: save(PICTURE, "WEBP"),
    "lossless WebP": lambda: save(PICTURE, "WEBP", lossless=True),
    "WebP with metadata": lambda: save(PICTURE, "WEBP", exif=b"Exif\0\0x", icc_profile=b"x" * 99),
    "lossless WebP with alpha": lambda: save(CLEAR, "WEBP", lossless=True, exact=True),
    "WebP with alpha": lambda: save(CLEAR, "WEBP"),
    "BMP": lambda: save(PICTURE, "BMP"),
    "grey BMP": lambda: save(GREY, "BMP"),
    "BMP with alpha": lambda: save(CLEAR, "BMP"),
    "BMP from the top": lambda: bmp(24, height=-4),
    "BMP of 32 bits": lambda: bmp(32),
    "BMP with the usual masks": lambda: bmp(32, 3, masks(0xFF0000, 0xFF00, 0xFF)),
    "BMP with a palette of greys": lambda: bmp(8, between=GREYS),
}

REFUSED: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "animated GIF": (
        lambda: save(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]),
        "animated",
        "found an animated GIF, expected one picture",
    ),
    "animated WebP": (
        lambda: save(FRAMES[0], "WEBP", save_all=True, append_images=FRAMES[1:]),
        "animated",
        "found an animated WebP, expected one picture",
    ),
    "small picture": (
        lambda: screened(save(PICTURE, "GIF"), 40, 50),
        "unsupported_mode",
        "found a GIF with a picture 35 wide, 21 high, 0 from the left, 0 from the top, "
        "expected one that fills it (50 wide, 40 high)",
    ),
    "large picture": (
        lambda: screened(save(PICTURE, "GIF"), 20, 30),
        "unsupported_mode",
        "expected one that fills it (30 wide, 20 high)",
    ),
    "few colours": (lambda: cut_palette(0x82, 8), "corrupt", "expected less than 8"),
    "no palette": (lambda: cut_palette(0, 0), "corrupt", "found a GIF without a palette"),
    "half a GIF": (
        lambda: (data := save(PICTURE, "GIF"))[: len(data) // 2],
        "truncated",
        "found the end of a GIF",
    ),
    "half a WebP": (
        lambda: (data := save(PICTURE, "WEBP"))[: len(data) // 2],
        "corrupt",
        "cannot be decoded",
    ),
    "BMP with a palette": (
        lambda: save(PICTURE.convert("P"), "BMP"),
        "unsupported_mode",
        "found a BMP of 8 bits a pixel, stored as P; expected one of 24 or 32 bits",
    ),
    "BMP of one bit": (
        lambda: save(PICTURE.convert("1"), "BMP"),
        "unsupported_mode",
        "found a BMP of 1 bits",
    ),
    "BMP of 16 bits": (lambda: bmp(16), "unsupported_mode", "found a BMP of 16 bits a pixel"),
    "BMP with other masks": (
        lambda: bmp(32, 3, masks(0xFF000000, 0xFF0000, 0xFF00)),
        "unsupported_mode",
        "found a BMP of 32 bits a pixel, stored as XBGR",
    ),
    "half a BMP": (lambda: bmp(24)[:-9], "truncated", "found a BMP of 109 bytes, expected 118"),
    "BMP and more": (lambda: bmp(24) + b"\0\0", "corrupt", "found a BMP of 120 bytes, expected"),
}


def by_tensorflow(data: bytes) -> Pixels:
    pixels: Pixels = tf.io.decode_image(data, expand_animations=False).numpy()
    return np.repeat(pixels, 3, -1) if pixels.shape[-1] == 1 else pixels[..., :3]


def needs_webp(name: str) -> None:
    if "WebP" in name and not hasattr(tf.io, "decode_webp"):
        pytest.skip("this TensorFlow does not decode WebP")


@needs("tensorflow")
@pytest.mark.parametrize("name", READ)
def test_an_image_has_the_pixels_of_tensorflow(name: str) -> None:
    needs_webp(name)
    data = READ[name]()
    found = decoder.decode(data)
    assert found.dtype == np.uint8
    assert np.array_equal(found, by_tensorflow(data))


def test_what_is_clear_in_a_gif_is_black() -> None:
    numbers = np.asarray(RAMP)
    grey = np.where(numbers == 9, 0, numbers)
    found = decoder.decode(save(RAMP, "GIF", transparency=9))
    assert np.array_equal(found, np.stack([grey] * 3, -1))


@pytest.mark.parametrize("name", READ)
def test_a_window_is_cut_from_the_whole(name: str) -> None:
    data = READ[name]()
    whole = decoder.decode(data)
    height, width, _ = whole.shape
    found = decoder.decode_window(data, (height, width), (1, 2, 3, 2))
    assert np.array_equal(found, whole[1:4, 2:4])
    assert pillow_decoder.decoded_size(data) == (height, width)


@pytest.mark.parametrize("name", REFUSED)
def test_what_tensorflow_reads_otherwise_is_refused(name: str) -> None:
    make, reason, message = REFUSED[name]
    for read in (decoder.decode, pillow_decoder.decoded_size):
        with pytest.raises(ImageError) as refused:
            read(make())
        assert (refused.value.reason, message in str(refused.value)) == (reason, True)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "BMP"])
def test_more_pixels_than_the_limit_are_refused(kind: str) -> None:
    data = save(PICTURE, kind)
    assert decoder.decode(data, HEIGHT * WIDTH).shape == (HEIGHT, WIDTH, 3)
    with pytest.raises(ImageError) as refused:
        decoder.decode(data, HEIGHT * WIDTH - 1)
    assert refused.value.reason == "too_many_pixels"


def test_a_gif_of_a_large_screen_is_refused_before_it_is_decoded() -> None:
    data = screened(save(PICTURE, "GIF"), 65_000, 65_000)
    at = data.index(b"\x2c\0\0\0\0")
    data = data[: at + 5] + struct.pack("<HH", 65_000, 65_000) + data[at + 9 :]
    with pytest.raises(ImageError) as refused:
        decoder.decode(data)
    assert refused.value.reason == "too_many_pixels"


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "BMP"])
@pytest.mark.parametrize("reader", ["read_numpy", "read_tf", "read_torch"])
def test_every_reader_gives_these_pixels(tmp_path: Path, kind: str, reader: str) -> None:
    images = [save(Image.fromarray(photo(HEIGHT, WIDTH, seed)), kind) for seed in range(3)]
    payloads = [example.encode({"image": image, "label": 1}) for image in images]
    path = record_file(tmp_path / "x.tfrecord", *payloads)
    opened = READERS[reader].dataset(path, crop=(8, 9), crop_mode="center", dtype="uint8")
    samples = map(opened.__getitem__, range(3)) if reader == "read_torch" else opened
    found = [np.asarray(image) for image, _ in samples]
    if reader == "read_torch":
        found = [np.moveaxis(image, 0, -1) for image in found]
    wanted = [decoder.decode(image)[6:14, 13:22] for image in images]
    assert np.array_equal(found, wanted)


@needs("tensorflow")
@pytest.mark.parametrize("name", READ)
def test_a_damaged_image_is_refused_or_has_the_pixels_of_tensorflow(name: str) -> None:
    needs_webp(name)
    data = READ[name]()
    places = st.tuples(st.integers(0, min(len(data), 200) - 1), st.integers(0, 255))

    @settings(deadline=None, derandomize=True, max_examples=50)
    @given(st.lists(places, min_size=1, max_size=3))
    def check(changes: list[tuple[int, int]]) -> None:
        damaged: Any = bytearray(data)
        for at, value in changes:
            damaged[at] = value
        try:
            found = decoder.decode(bytes(damaged))
        except ImageError:
            return
        assert np.array_equal(found, by_tensorflow(bytes(damaged)))

    check()
