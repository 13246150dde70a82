"""Images: headers, limits, decoding, transcoding; compared with NumPy, Pillow and TensorFlow."""

from __future__ import annotations

import contextlib
import io
import random
import struct
import zlib
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import pytest
from conftest import jpeg, oriented, photo, png, save, tf
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tfrec_cli.errors import ImageError
from tfrec_cli.imaging import header, normalize, pillow_decoder, policy
from tfrec_cli.imaging import png as png_chunks
from tfrec_cli.imaging.header import Header
from tfrec_cli.imaging.jpeg import markers as jpeg_markers
from tfrec_cli.imaging.jpeg.window import has_exact_window
from tfrec_cli.imaging.policy import Policy

PIXELS = photo(41, 53)
TURNED = {
    1: PIXELS,
    2: PIXELS[:, ::-1],
    3: PIXELS[::-1, ::-1],
    4: PIXELS[::-1],
    5: PIXELS.transpose(1, 0, 2),
    6: np.rot90(PIXELS, -1),
    7: PIXELS[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90(PIXELS),
}
FORMATS = {
    "jpeg": "JPEG",
    "png": "PNG",
    "gif": "GIF",
    "webp": "WEBP",
    "bmp": "BMP",
    "tiff": "TIFF",
    "ppm": "PPM",
    "avif": "AVIF",
    "jpeg2000": "JPEG2000",
}
WINDOWED: dict[str, dict[str, Any]] = {
    "4:4:4": {"subsampling": "4:4:4"},
    "4:2:2": {"subsampling": "4:2:2"},
    "4:2:0": {"subsampling": "4:2:0"},
    "4:2:0 coarse": {"subsampling": "4:2:0", "quality": 20},
    "4:2:0 optimized": {"subsampling": "4:2:0", "optimize": True},
    "4:2:0 restart": {"subsampling": "4:2:0", "restart_marker_blocks": 3},
    "4:2:2 restart": {"subsampling": "4:2:2", "restart_marker_rows": 1},
    "rgb": {"keep_rgb": True},
    "4:4:0": {},
    "gray": {},
}


def windowed(kind: str, height: int, width: int, seed: int = 0) -> bytes:
    """Make a JPEG that has exact windows."""
    if kind == "4:4:0":
        return on_its_side(windowed("4:2:2", width, height, seed))
    image = Image.fromarray(photo(height, width, seed))
    return jpeg(image.convert("L") if kind == "gray" else image, **WINDOWED[kind])


def on_its_side(data: bytes) -> bytes:
    """Make a 4:4:0 JPEG, which Pillow cannot save, from a 4:2:2 one with as many blocks."""
    start = data.index(b"\xff\xc0")
    height, width, luma = data[start + 5 : start + 7], data[start + 7 : start + 9], start + 11
    assert data[luma : luma + 1] == b"\x21"
    return data[: start + 5] + width + height + data[start + 9 : luma] + b"\x12" + data[luma + 1 :]


def header_of(data: bytes, policy: Policy | None = None) -> Header:
    return header.read_header(io.BytesIO(data), policy or Policy())


def stored(data: bytes, policy: Policy | None = None, *, decodes: bool = False) -> normalize.Stored:
    return normalize.store_whole(data, policy or Policy(), decodes=decodes)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def raw_png(height: int, width: int, depth: int, colour: int, rows: bytes, *chunks: bytes) -> bytes:
    """Make a PNG by hand: each of ``rows`` has a filter byte, ``chunks`` precede the pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(rows))
    parts = [chunk(b"IHDR", header), *chunks, pixels, chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


DEEP_KEY = chunk(b"tRNS", bytes(range(100, 106)))
"""The first colour of some pictures of 16 bits is transparent."""


def with_chunk(data: bytes, kind: bytes, body: bytes) -> bytes:
    """Insert a chunk after a PNG's header."""
    return data[:33] + chunk(kind, body) + data[33:]


def with_exif(data: bytes, block: bytes) -> bytes:
    """Insert an EXIF segment with any content after a JPEG's first marker."""
    body = b"Exif\0\0" + block
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


def reason_of(error: pytest.ExceptionInfo[ImageError]) -> str:
    return error.value.reason


class TestHeader:
    @pytest.mark.parametrize("name", FORMATS)
    def test_a_header_has_format_size_and_mode(self, name: Any) -> None:
        assert header_of(save(PIXELS, FORMATS[name])) == Header(
            format=name,
            height_px=41,
            width_px=53,
            mode="P" if name == "gif" else "RGB",
            orientation=1,
            animated=False,
            deep=False,
            alpha=False,
            icc=False,
        )

    def test_the_first_bytes_decide_the_format(self, tmp_path: Any) -> None:
        path = tmp_path / "lie.jpg"
        path.write_bytes(png(PIXELS))
        with path.open("rb") as file:
            assert header.read_header(file, Policy()).format == "png"

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
    def test_the_size_is_that_of_the_upright_picture(self, kind: str, orientation: int) -> None:
        header = header_of(save(PIXELS, kind, exif=oriented(orientation)))
        assert (header.height_px, header.width_px) == TURNED[orientation].shape[:2]

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
    def test_the_size_is_the_stored_one_if_the_orientation_is_ignored(self, kind: str) -> None:
        header = header_of(save(PIXELS, kind, exif=oriented(6)), Policy(exif="ignore"))
        assert (header.height_px, header.width_px) == (41, 53)

    @pytest.mark.parametrize("value", [0, 9, 65535])
    def test_an_invalid_orientation_counts_as_upright(self, value: int) -> None:
        assert header_of(jpeg(PIXELS, exif=oriented(value))).orientation == 1

    @pytest.mark.parametrize("block", [b"", b"garbage", b"MM\0*\0\0\0\x08\xff\xff", b"II*\0"])
    def test_a_malformed_exif_block_counts_as_upright(self, block: bytes) -> None:
        assert header_of(with_exif(jpeg(PIXELS), block)).orientation == 1

    @pytest.mark.parametrize("block", [b"", b"garbage", b"MM\0*\0\0\0\x08\xff\xff", b"II*\0"])
    def test_a_malformed_exif_chunk_counts_as_upright(self, block: bytes) -> None:
        assert header_of(with_chunk(png(PIXELS), b"eXIf", block)).orientation == 1

    def test_a_png_with_a_malformed_exif_chunk_decodes(self) -> None:
        data = with_chunk(png(PIXELS), b"eXIf", b"garbage")
        assert np.array_equal(normalize.decode(data, Policy()), PIXELS)

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b"", "empty"),
            (b"\0" * 600, "not_an_image"),
            (b"version https://git-lfs.github.com/spec/v1\n", "not_an_image"),
            (b"<!DOCTYPE html><title>404</title>", "not_an_image"),
            (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not_an_image"),
            (png(PIXELS)[:20], "truncated"),
            (jpeg(PIXELS)[:20], "corrupt"),
        ],
    )
    def test_a_file_that_is_no_image_is_refused(self, data: bytes, reason: str) -> None:
        with pytest.raises(ImageError) as error:
            header_of(data)
        assert reason_of(error) == reason

    def test_an_animation_is_refused_if_frames_is_fail(self) -> None:
        with pytest.raises(ImageError) as error:
            header_of(animation("GIF"), Policy(frames="fail"))
        assert reason_of(error) == "animated"

    def test_a_gif_of_one_frame_is_not_an_animation(self) -> None:
        assert not header_of(save(PIXELS, "GIF"), Policy(frames="fail")).animated

    def test_a_colour_profile_is_noticed(self) -> None:
        assert header_of(jpeg(PIXELS, icc_profile=b"profile")).icc


def animation(kind: str) -> bytes:
    """Save two frames; the first is `PIXELS`."""
    more = [Image.fromarray(photo(41, 53, 9))]
    return save(PIXELS, kind, save_all=True, append_images=more, lossless=True)


class TestMaxPixels:
    HUGE = raw_png(30_000, 30_000, 8, 2, b"")

    def test_the_default_limit_refuses_900_million_pixels(self) -> None:
        with pytest.raises(ImageError) as error:
            header_of(self.HUGE)
        assert reason_of(error) == "too_many_pixels"

    @pytest.mark.parametrize("limit", [1, 10_000, 400_000_000, 899_999_999])
    def test_a_lower_limit_refuses_them(self, limit: int) -> None:
        with pytest.raises(ImageError) as error:
            header_of(self.HUGE, Policy(max_pixels=limit))
        assert reason_of(error) == "too_many_pixels"

    def test_a_limit_of_900_million_accepts_them(self) -> None:
        assert header_of(self.HUGE, Policy(max_pixels=900_000_000)).height_px == 30_000

    def test_pillows_own_limit_is_restored(self) -> None:
        before = Image.MAX_IMAGE_PIXELS
        header_of(self.HUGE, Policy(max_pixels=900_000_000))
        assert before == Image.MAX_IMAGE_PIXELS

    def test_pillows_own_limit_is_restored_after_an_error(self) -> None:
        before = Image.MAX_IMAGE_PIXELS
        with pytest.raises(ImageError):
            header_of(self.HUGE, Policy(max_pixels=5))
        assert before == Image.MAX_IMAGE_PIXELS

    def test_as_many_pixels_as_the_limit_are_decoded(self) -> None:
        pixels = normalize.decode(png(PIXELS), Policy(max_pixels=41 * 53))
        assert np.array_equal(pixels, PIXELS)

    def test_one_pixel_more_is_not_decoded(self) -> None:
        with pytest.raises(ImageError) as error:
            normalize.decode(png(PIXELS), Policy(max_pixels=41 * 53 - 1))
        assert reason_of(error) == "too_many_pixels"


class TestDecode:
    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
    def test_pictures_are_turned_upright(self, kind: str, orientation: int) -> None:
        data = save(PIXELS, kind, lossless=True, exif=oriented(orientation))
        assert np.array_equal(normalize.decode(data, Policy()), TURNED[orientation])

    @pytest.mark.parametrize("kind", ["PNG", "WEBP"])
    def test_pictures_are_not_turned_if_the_orientation_is_ignored(self, kind: str) -> None:
        data = save(PIXELS, kind, lossless=True, exif=oriented(6))
        assert np.array_equal(normalize.decode(data, Policy(exif="ignore")), PIXELS)

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_a_decoded_jpeg_has_the_size_of_its_header(self, orientation: int) -> None:
        data = jpeg(PIXELS, exif=oriented(orientation))
        header = header_of(data)
        assert normalize.decode(data, Policy()).shape == (header.height_px, header.width_px, 3)

    @pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
    def test_16_bit_gray_is_scaled_and_rounded(self, kind: str) -> None:
        values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
        expected = np.rint(values / 257).astype(np.uint8)
        decoded = normalize.decode(save(values, kind), Policy())
        assert np.array_equal(decoded, np.dstack([expected] * 3))

    def test_big_endian_16_bit_gray_is_scaled_alike(self) -> None:
        values = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
        image = Image.frombytes("I;16B", (64, 64), values.astype(">u2").tobytes())
        expected = np.rint(values / 257).astype(np.uint8)
        decoded = normalize.decode(save(image, "TIFF"), Policy())
        assert np.array_equal(decoded, np.dstack([expected] * 3))

    @pytest.mark.parametrize("dtype", [np.int32, np.float32])
    def test_32_bits_are_refused(self, dtype: Any) -> None:
        with pytest.raises(ImageError) as error:
            normalize.decode(save(PIXELS[..., 0].astype(dtype), "TIFF"), Policy())
        assert reason_of(error) == "unsupported_mode"

    def test_gray_becomes_three_equal_channels(self) -> None:
        gray = PIXELS[..., 0]
        assert np.array_equal(normalize.decode(png(gray), Policy()), np.dstack([gray] * 3))

    def test_one_bit_becomes_black_and_white(self) -> None:
        bits = PIXELS[..., 0] > 127
        expected = np.dstack([bits.astype(np.uint8) * 255] * 3)
        assert np.array_equal(normalize.decode(png(bits), Policy()), expected)

    def test_a_palette_picture_gets_its_colours(self) -> None:
        palette = photo(1, 256, 5)[0]
        image = Image.fromarray(PIXELS[..., 0])
        image.putpalette(palette.tobytes())
        decoded = normalize.decode(png(image), Policy())
        assert np.array_equal(decoded, palette[PIXELS[..., 0]])

    def test_cmyk_is_converted(self) -> None:
        cmyk = np.dstack([PIXELS, photo(41, 53, 6)[..., 0]])
        left = 255.0 - cmyk[..., 3:]
        expected = (left - np.rint(cmyk[..., :3] * left / 255)).astype(np.uint8)
        image = Image.frombytes("CMYK", (53, 41), cmyk.tobytes())
        assert np.array_equal(normalize.decode(save(image, "TIFF"), Policy()), expected)

    def test_a_cmyk_jpeg_is_converted_as_pillow_does(self) -> None:
        data = jpeg(Image.fromarray(PIXELS).convert("CMYK"))
        expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        assert np.array_equal(normalize.decode(data, Policy()), expected)

    @pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
    def test_the_first_frame_is_decoded(self, kind: str) -> None:
        first = normalize.decode(save(PIXELS, kind, lossless=True), Policy())
        assert np.array_equal(normalize.decode(animation(kind), Policy()), first)

    def test_pictures_are_resized_with_a_bicubic_filter(self) -> None:
        decoded = normalize.decode(png(PIXELS), Policy(resize_short_px=20))
        expected = Image.fromarray(PIXELS).resize((26, 20), Image.Resampling.BICUBIC)
        assert np.array_equal(decoded, np.asarray(expected))

    def test_pictures_are_resized_after_turning(self) -> None:
        data = png(PIXELS, exif=oriented(6))
        turned = Image.fromarray(np.ascontiguousarray(TURNED[6]))
        expected = np.asarray(turned.resize((20, 26), Image.Resampling.BICUBIC))
        assert np.array_equal(normalize.decode(data, Policy(resize_short_px=20)), expected)

    def test_a_picture_of_the_right_size_is_not_resized(self) -> None:
        assert np.array_equal(normalize.decode(png(PIXELS), Policy(resize_short_px=41)), PIXELS)

    def test_text_is_refused(self) -> None:
        with pytest.raises(ImageError) as error:
            normalize.decode(b"text", Policy())
        assert reason_of(error) == "not_an_image"


ALPHAS = np.arange(41 * 53, dtype=np.uint8).reshape(41, 53)


class TestAlpha:
    RGBA = png(np.dstack([PIXELS, ALPHAS]))

    @staticmethod
    def composite(pixels: Any, alphas: Any, background: int) -> Any:
        share = alphas[..., None] / 255
        return np.rint(pixels * share + background * (1 - share)).astype(np.uint8)

    def test_drop_keeps_the_colours(self) -> None:
        assert np.array_equal(normalize.decode(self.RGBA, Policy(alpha="drop")), PIXELS)

    @pytest.mark.parametrize(("alpha", "value"), [("white", 255), ("black", 0)])
    def test_white_and_black_put_the_picture_on_that_colour(self, alpha: Any, value: int) -> None:
        expected = self.composite(PIXELS, ALPHAS, value)
        assert np.array_equal(normalize.decode(self.RGBA, Policy(alpha=alpha)), expected)

    def test_fail_refuses_a_transparent_pixel(self) -> None:
        with pytest.raises(ImageError) as error:
            normalize.decode(self.RGBA, Policy(alpha="fail"))
        assert reason_of(error) == "alpha"

    def test_fail_accepts_an_opaque_picture(self) -> None:
        opaque = png(np.dstack([PIXELS, np.full_like(ALPHAS, 255)]))
        assert np.array_equal(normalize.decode(opaque, Policy(alpha="fail")), PIXELS)

    @pytest.mark.parametrize(("alpha", "value"), [("white", 255), ("black", 0)])
    def test_gray_with_alpha_is_put_on_the_colour(self, alpha: Any, value: int) -> None:
        data = png(Image.fromarray(np.dstack([PIXELS[..., 0], ALPHAS])))
        expected = self.composite(np.dstack([PIXELS[..., 0]] * 3), ALPHAS, value)
        assert np.array_equal(normalize.decode(data, Policy(alpha=alpha)), expected)

    @pytest.mark.parametrize(("alpha", "value"), [("white", 255), ("black", 0)])
    def test_a_transparent_palette_is_put_on_the_colour(self, alpha: Any, value: int) -> None:
        expected = self.composite(self.COLOURS, self.PALETTE_ALPHAS[PIXELS[..., 0]], value)
        assert np.array_equal(normalize.decode(self.palette(), Policy(alpha=alpha)), expected)

    def test_drop_keeps_the_colours_of_a_transparent_palette(self) -> None:
        assert np.array_equal(normalize.decode(self.palette(), Policy(alpha="drop")), self.COLOURS)

    def test_fail_refuses_a_transparent_palette(self) -> None:
        with pytest.raises(ImageError) as error:
            normalize.decode(self.palette(), Policy(alpha="fail"))
        assert reason_of(error) == "alpha"

    PALETTE = photo(1, 256, 5)[0]
    PALETTE_ALPHAS = np.arange(255, -1, -1, dtype=np.uint8)
    COLOURS = PALETTE[PIXELS[..., 0]]

    def palette(self) -> bytes:
        image = Image.fromarray(PIXELS[..., 0])
        image.putpalette(self.PALETTE.tobytes())
        return png(image, transparency=self.PALETTE_ALPHAS.tobytes())

    @pytest.mark.parametrize("alpha", ["white", "black", "fail"])
    def test_transparent_16_bit_gray_is_not_treated_as_opaque(self, alpha: Any) -> None:
        """Every pixel has the value that the tRNS chunk declares transparent."""
        rows = (b"\0" + b"\x12\x34" * 4) * 4
        data = raw_png(4, 4, 16, 0, rows, chunk(b"tRNS", b"\x12\x34"))
        try:
            found = normalize.decode(data, Policy(alpha=alpha)).max()
        except ImageError as error:
            found = error.reason
        assert found == {"white": 255, "black": 0, "fail": "alpha"}[alpha]


class TestStructure:
    SMALL_JPEGS = (
        jpeg(photo(17, 19)),
        jpeg(photo(17, 19)[..., 0]),
        jpeg(photo(17, 19), progressive=True),
        jpeg(photo(17, 19), exif=oriented(6), comment=b"\xff\xd9 no end\xff\xda"),
    )
    SMALL_PNG = png(photo(5, 6))

    @pytest.mark.parametrize("data", SMALL_JPEGS, ids=["colour", "gray", "progressive", "exif"])
    def test_every_cut_of_a_jpeg_is_found(self, data: bytes) -> None:
        passed = []
        for length in range(len(data)):
            try:
                jpeg_markers.check(data[:length])
            except ImageError:
                continue
            passed.append(length)
        assert passed == []

    @pytest.mark.parametrize("data", SMALL_JPEGS, ids=["colour", "gray", "progressive", "exif"])
    def test_a_complete_jpeg_passes(self, data: bytes) -> None:
        assert jpeg_markers.check(data) == jpeg_markers.read(data)

    def test_a_jpeg_with_bytes_after_its_end_passes(self) -> None:
        read = jpeg_markers.check(jpeg(PIXELS) + b"after the end")
        assert read == jpeg_markers.read(jpeg(PIXELS))

    def test_every_cut_of_a_png_is_found(self) -> None:
        passed = []
        for length in range(len(self.SMALL_PNG)):
            try:
                png_chunks.check(self.SMALL_PNG[:length])
            except ImageError:
                continue
            passed.append(length)
        assert passed == []

    def test_every_flipped_bit_of_a_png_is_found(self) -> None:
        """With a change in the first eight bytes it is no PNG any more."""
        passed = []
        for bit in range(len(self.SMALL_PNG) * 8):
            data = bytearray(self.SMALL_PNG)
            data[bit // 8] ^= 1 << bit % 8
            try:
                stored(bytes(data))
            except ImageError:
                continue
            passed.append(bit)
        assert passed == []

    def test_a_complete_png_passes(self) -> None:
        png_chunks.check(self.SMALL_PNG)

    @staticmethod
    def many_scans(count: int) -> bytes:
        """Repeat the last scan of a progressive JPEG."""
        data = jpeg(photo(17, 19), progressive=True)
        last = data[data.rfind(b"\xff\xda") : -2]
        return data[:-2] + last * (count - data.count(b"\xff\xda")) + data[-2:]

    def test_as_many_scans_as_the_limit_pass(self) -> None:
        found = jpeg_markers.check(self.many_scans(jpeg_markers.MAX_SCANS))
        assert found is not None
        assert found.scans == jpeg_markers.MAX_SCANS

    @pytest.mark.parametrize("decodes", [False, True])
    def test_one_scan_more_is_refused(self, decodes: bool) -> None:
        data = self.many_scans(jpeg_markers.MAX_SCANS + 1)
        with pytest.raises(ImageError) as error:
            normalize.decode(data, Policy()) if decodes else jpeg_markers.check(data)
        assert reason_of(error) == "too_many_scans"

    def test_the_markers_of_a_jpeg_are_read(self) -> None:
        data = jpeg(PIXELS, subsampling="4:2:0")
        assert jpeg_markers.read(data) == jpeg_markers.Jpeg(
            jpeg_markers.Frame(
                sof=0,
                height_px=PIXELS.shape[0],
                width_px=PIXELS.shape[1],
                sampling=((2, 2), (1, 1), (1, 1)),
                interleaved=True,
                icc=False,
                orientation=1,
                plain=True,
                end=data.index(b"\xff\xda") + 14,
            ),
            scans=1,
            ended=True,
            usual=True,
        )


class TestStoreWhole:
    @pytest.mark.parametrize("kind", WINDOWED)
    def test_a_sequential_jpeg_keeps_its_bytes(self, kind: str) -> None:
        data = windowed(kind, 41, 53)
        assert stored(data) == normalize.Stored(
            data=data, height_px=41, width_px=53, window=True, changes=(), has_icc=False
        )

    @pytest.mark.parametrize("sampling", ["4:4:4", "4:2:2", "4:2:0"])
    def test_a_progressive_jpeg_keeps_its_bytes_without_a_window(self, sampling: str) -> None:
        data = jpeg(PIXELS, progressive=True, subsampling=sampling)
        assert stored(data) == normalize.Stored(
            data=data, height_px=41, width_px=53, window=False, changes=(), has_icc=False
        )

    @pytest.mark.parametrize(
        "data",
        [
            png(PIXELS),
            png(PIXELS[..., 0]),
            png(PIXELS[..., 0] > 99),
            png(Image.fromarray(PIXELS).quantize(16)),
            png(np.dstack([PIXELS, ALPHAS])),
            png(PIXELS, icc_profile=b"profile"),
        ],
        ids=["colour", "gray", "bits", "palette", "alpha", "profile"],
    )
    def test_a_png_keeps_its_bytes(self, data: bytes) -> None:
        has_icc = b"iCCP" in data
        assert stored(data) == normalize.Stored(
            data=data, height_px=41, width_px=53, window=False, changes=(), has_icc=has_icc
        )

    def test_a_turned_jpeg_keeps_its_bytes_if_the_orientation_is_ignored(self) -> None:
        data = jpeg(PIXELS, exif=oriented(6))
        assert stored(data, Policy(exif="ignore")).data == data

    def test_a_picture_with_alpha_keeps_its_bytes_only_if_alpha_is_dropped(self) -> None:
        assert stored(TestAlpha.RGBA, Policy(alpha="white")).changes == ("alpha",)

    @pytest.mark.parametrize(
        ("data", "policy", "changes"),
        [
            (save(PIXELS, "GIF"), Policy(), ("format_gif",)),
            (save(PIXELS, "WEBP"), Policy(), ("format_webp",)),
            (save(PIXELS, "BMP"), Policy(), ("format_bmp",)),
            (save(PIXELS, "TIFF"), Policy(), ("format_tiff",)),
            (save(PIXELS, "PPM"), Policy(), ("format_ppm",)),
            (save(PIXELS, "AVIF"), Policy(), ("format_avif",)),
            (save(PIXELS, "JPEG2000"), Policy(), ("format_jpeg2000",)),
            (animation("GIF"), Policy(), ("format_gif", "animation")),
            (animation("PNG"), Policy(), ("animation",)),
            (png(PIXELS, exif=oriented(3)), Policy(), ("orientation",)),
            (jpeg(PIXELS, exif=oriented(8)), Policy(), ("orientation",)),
            (png(PIXELS[..., 0].astype(np.uint16) * 256), Policy(), ("deep",)),
            (png(PIXELS), Policy(resize_short_px=20), ("resized",)),
            (
                jpeg(Image.fromarray(PIXELS).convert("CMYK"), exif=oriented(2)),
                Policy(),
                ("orientation", "cmyk"),
            ),
        ],
    )
    def test_changes_name_why_bytes_are_not_kept(
        self, data: bytes, policy: Policy, changes: tuple[str, ...]
    ) -> None:
        assert stored(data, policy).changes == changes

    def test_16_bit_colour_is_recognised(self) -> None:
        rows = (b"\0" + bytes(range(24))) * 4
        assert stored(raw_png(4, 4, 16, 2, rows)).changes == ("deep",)

    @pytest.mark.parametrize("kind", ["GIF", "WEBP", "BMP", "TIFF", "PPM"])
    def test_a_picture_that_becomes_png_keeps_its_pixels(self, kind: str) -> None:
        data = save(PIXELS, kind, lossless=True)
        found = pillow_decoder.decode(stored(data).data)
        assert np.array_equal(found, normalize.decode(data, Policy()))

    def test_a_turned_jpeg_becomes_an_upright_one_of_quality_95(self) -> None:
        data = jpeg(PIXELS, exif=oriented(6), subsampling="4:2:0")
        upright = np.rot90(np.asarray(Image.open(io.BytesIO(data))), -1)
        expected = jpeg(np.ascontiguousarray(upright), quality=95, subsampling="4:2:0")
        assert stored(data) == normalize.Stored(
            data=expected,
            height_px=53,
            width_px=41,
            window=True,
            changes=("orientation",),
            has_icc=False,
        )

    @pytest.mark.parametrize("sampling", ["4:4:4", "4:2:2", "4:2:0"])
    def test_chroma_sampling_is_kept(self, sampling: str) -> None:
        data = jpeg(PIXELS, exif=oriented(6), subsampling=sampling)
        new = jpeg_markers.read(stored(data).data)
        assert new.frame.sampling == jpeg_markers.read_frame(data).sampling

    def test_gray_jpeg_stays_gray(self) -> None:
        data = jpeg(PIXELS[..., 0], exif=oriented(6))
        assert header_of(stored(data).data).mode == "L"

    def test_cmyk_jpeg_becomes_rgb_with_a_window(self) -> None:
        new = stored(jpeg(Image.fromarray(PIXELS).convert("CMYK")))
        assert (header_of(new.data).mode, new.window) == ("RGB", True)

    @pytest.mark.parametrize(
        "data",
        [
            jpeg(PIXELS, exif=oriented(6), icc_profile=b"profile"),
            save(PIXELS, "WEBP", icc_profile=b"profile"),
        ],
    )
    def test_colour_profile_is_kept(self, data: bytes) -> None:
        assert Image.open(io.BytesIO(stored(data).data)).info["icc_profile"] == b"profile"

    def test_colour_profile_of_cmyk_is_not_kept(self) -> None:
        data = jpeg(Image.fromarray(PIXELS).convert("CMYK"), icc_profile=b"profile")
        assert not header_of(stored(data).data).icc

    @pytest.mark.parametrize("decodes", [False, True])
    def test_a_png_of_too_few_pixels_is_refused(self, decodes: bool) -> None:
        with pytest.raises(ImageError) as error:
            stored(raw_png(4, 4, 8, 2, bytes(20)), decodes=decodes)
        assert reason_of(error) == "truncated"


class TestBrokenFiles:
    POLICY = Policy(max_pixels=100_000)

    @pytest.mark.parametrize("kind", FORMATS.values())
    def test_broken_files_raise_only_image_errors(self, kind: str) -> None:
        rng = random.Random(kind)
        whole = save(photo(24, 31), kind)
        for _ in range(150):
            data = bytearray(whole[: rng.randrange(len(whole))] if rng.random() < 0.3 else whole)
            for _ in range(rng.choice([0, 1, 3, 20]) if data else 0):
                place = int(len(data) * rng.random() ** rng.choice([1, 4]))
                data[place] = rng.randrange(256)
            for attempt in (header_of, normalize.decode, stored):
                with contextlib.suppress(ImageError):
                    attempt(bytes(data), self.POLICY)

    @pytest.mark.parametrize(
        "error", [ValueError("x"), SyntaxError(), struct.error("y"), RecursionError(), KeyError()]
    )
    def test_any_exception_of_a_decoder_becomes_an_image_error(
        self, error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def raises(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(Image, "open", raises)
        with pytest.raises(ImageError) as found:
            normalize.decode(png(PIXELS), Policy())
        assert reason_of(found) == "corrupt"

    def test_an_interrupt_is_not_caught(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupts(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Image, "open", interrupts)
        with pytest.raises(KeyboardInterrupt):
            normalize.decode(png(PIXELS), Policy())


class TestAgainstTensorFlow:
    JPEGS: ClassVar = {
        **{kind: windowed(kind, 77, 93) for kind in WINDOWED},
        "progressive": jpeg(photo(77, 93), progressive=True, subsampling="4:2:0"),
        "turned": jpeg(photo(77, 93), exif=oriented(6)),
    }

    @pytest.mark.parametrize("data", JPEGS.values(), ids=JPEGS)
    def test_a_jpeg_decodes_to_the_same_pixels(self, data: bytes) -> None:
        expected = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE").numpy()
        assert np.array_equal(pillow_decoder.decode(data), expected)

    @pytest.mark.parametrize(
        "data",
        [
            png(PIXELS),
            png(PIXELS[..., 0]),
            png(PIXELS[..., 0] > 99),
            png(Image.fromarray(PIXELS).quantize(16)),
            png(Image.fromarray(PIXELS).quantize(256), transparency=b"\x07\x90"),
            png(np.dstack([PIXELS, ALPHAS])),
            png(Image.fromarray(np.dstack([PIXELS[..., 0], ALPHAS]))),
            png(PIXELS, exif=oriented(6)),
            png(PIXELS, transparency=tuple(int(value) for value in PIXELS[3, 3])),
            png(np.arange(65536, dtype=np.uint16).reshape(256, 256)),
            raw_png(4, 4, 16, 2, (b"\0" + bytes(range(100, 124))) * 4),
            raw_png(4, 4, 16, 4, (b"\0" + bytes(range(200, 216))) * 4),
            raw_png(4, 4, 16, 6, (b"\0" + bytes(range(200, 232))) * 4),
            raw_png(4, 4, 16, 2, (b"\0" + bytes(range(100, 124))) * 4, DEEP_KEY),
            raw_png(4, 8, 2, 0, b"\0\x1b\xe4" * 4),
            raw_png(4, 4, 4, 0, b"\0\x1b\xe4" * 4),
        ],
        ids=[
            "rgb",
            "gray",
            "bits",
            "palette",
            "palette-alpha",
            "rgba",
            "la",
            "turned",
            "key-colour",
            "deep",
            "deep-rgb",
            "deep-la",
            "deep-rgba",
            "deep-key-colour",
            "two-bits",
            "four-bits",
        ],
    )
    def test_a_png_decodes_to_the_same_pixels(self, data: bytes) -> None:
        found = pillow_decoder.decode(data)
        assert (found.dtype == np.uint16) == (data[24] == 16)
        expected = tf.io.decode_png(data, channels=3, dtype=found.dtype).numpy()
        assert np.array_equal(found, expected)

    @pytest.mark.parametrize("kind", ["TIFF", "PPM", "JPEG2000"])
    def test_other_formats_are_refused(self, kind: str) -> None:
        with pytest.raises(ImageError) as error:
            pillow_decoder.decode(save(PIXELS, kind))
        assert reason_of(error) == "unsupported_format"

    @pytest.mark.parametrize("kind", WINDOWED)
    @pytest.mark.parametrize(("height", "width"), [(77, 93), (64, 48)])
    def test_a_window_decodes_exactly(self, kind: str, height: int, width: int) -> None:
        """With two more columns on each side, which are then cut off."""
        data = windowed(kind, height, width, seed=7)
        whole = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE").numpy()
        rng = random.Random(kind)
        wrong = []
        for _ in range(30):
            h, w = rng.randint(1, height), rng.randint(1, width)
            y, x = rng.randint(0, height - h), rng.randint(0, width - w)
            left, right = max(0, x - 2), min(width, x + w + 2)
            window = tf.image.decode_and_crop_jpeg(
                data, [y, left, h, right - left], channels=3, dct_method="INTEGER_ACCURATE"
            ).numpy()
            if not np.array_equal(window[:, x - left : x - left + w], whole[y : y + h, x : x + w]):
                wrong.append((y, x, h, w))
        assert wrong == []


class TestSizes:
    @given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 3000))
    def test_shorter_side_is_exact_and_the_other_rounded_half_up(
        self, height: int, width: int, short: int
    ) -> None:
        long = Fraction(max(height, width) * short, min(height, width)) + Fraction(1, 2)
        expected = (short, int(long)) if height <= width else (int(long), short)
        assert policy.scaled_short(height, width, short) == expected

    @pytest.mark.parametrize(
        ("size", "expected"),
        [((10, 10), (5, 5)), ((10, 15), (5, 8)), ((15, 10), (8, 5)), ((10, 14), (5, 7))],
    )
    def test_these_sizes_are_scaled(self, size: tuple[int, int], expected: tuple[int, int]) -> None:
        assert policy.scaled_short(*size, 5) == expected

    def test_pad_adds_a_black_border(self) -> None:
        expected = np.zeros((46, 60, 3), np.uint8)
        expected[2:43, 3:56] = PIXELS
        assert np.array_equal(normalize.enlarge(PIXELS, 46, 60, "pad"), expected)

    def test_pad_keeps_a_side_that_is_large_enough(self) -> None:
        expected = np.zeros((46, 53, 3), np.uint8)
        expected[2:43] = PIXELS
        assert np.array_equal(normalize.enlarge(PIXELS, 46, 10, "pad"), expected)

    @pytest.mark.parametrize("how", ["pad", "resize"])
    def test_a_picture_that_is_large_enough_is_returned_unchanged(self, how: Any) -> None:
        assert normalize.enlarge(PIXELS, 41, 53, how) is PIXELS

    @pytest.mark.parametrize(
        ("least", "expected"),
        [
            ((82, 10), (82, 106)),
            ((10, 106), (82, 106)),
            ((50, 100), (78, 100)),
            ((42, 1), (42, 55)),
        ],
    )
    def test_resize_keeps_the_aspect_ratio(self, least: tuple[int, int], expected: Any) -> None:
        height, width = expected
        scaled = Image.fromarray(PIXELS).resize((width, height), Image.Resampling.BICUBIC)
        found = normalize.enlarge(PIXELS, *least, "resize")
        assert np.array_equal(found, np.asarray(scaled))

    @given(*[st.integers(1, 60)] * 4)
    def test_resize_is_large_enough_on_both_sides(
        self, height: int, width: int, least_height: int, least_width: int
    ) -> None:
        pixels = np.zeros((height, width, 3), np.uint8)
        found = normalize.enlarge(pixels, least_height, least_width, "resize").shape
        assert found[0] >= least_height
        assert found[1] >= least_width


class TestEncode:
    def test_raw_has_the_bytes_of_the_rows(self) -> None:
        assert normalize.encode(PIXELS, "raw") == PIXELS.tobytes()

    def test_raw_of_a_view_has_the_bytes_of_its_rows(self) -> None:
        view = PIXELS[3:9, 5:20]
        assert normalize.encode(view, "raw") == np.ascontiguousarray(view).tobytes()

    def test_png_preserves_the_pixels(self) -> None:
        data = normalize.encode(PIXELS[3:9, 5:20], "png")
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), PIXELS[3:9, 5:20])

    def test_jpeg_has_the_bytes_of_pillow_without_subsampling(self) -> None:
        expected = jpeg(PIXELS, quality=70, subsampling="4:4:4")
        assert normalize.encode(PIXELS, "jpeg", quality=70) == expected


class TestScans:
    def test_a_cut_is_found_despite_an_end_marker_in_a_comment(self) -> None:
        data = jpeg(PIXELS, progressive=True)
        between = data.index(b"\xff\xc4", data.index(b"\xff\xda"))
        commented = data[:between] + b"\xff\xfe\0\x04\xff\xd9" + data[between:]
        assert jpeg_markers.check(commented) is not None
        with pytest.raises(ImageError) as error:
            jpeg_markers.check(commented[:-100])
        assert reason_of(error) == "truncated"

    def test_scans_of_sequential_files_are_counted_too(self) -> None:
        data = jpeg(PIXELS)
        scan = data[data.index(b"\xff\xda") : -2]
        with pytest.raises(ImageError) as error:
            jpeg_markers.check(data[:-2] + scan * jpeg_markers.MAX_SCANS + data[-2:])
        assert reason_of(error) == "too_many_scans"

    def test_a_jpeg_with_several_scans_has_no_exact_window(self) -> None:
        data = jpeg(PIXELS)
        scan = data[data.index(b"\xff\xda") : -2]
        found = jpeg_markers.read(data[:-2] + scan + data[-2:])
        assert (found.scans, has_exact_window(found)) == (2, False)
