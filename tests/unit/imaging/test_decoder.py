"""The decoder of stored images: whole ones and windows have the pixels of Pillow and TensorFlow."""

from __future__ import annotations

import io
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
import simplejpeg
from conftest import Pixels, class_files, jpeg, needs, oriented, photo, png, save, tf
from damaged_jpegs import DAMAGED as DAMAGED_DATA
from damaged_jpegs import HARMLESS
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tfrec_cli.errors import ImageError
from tfrec_cli.imaging import decoder, pillow_decoder
from tfrec_cli.imaging import png as png_file
from tfrec_cli.imaging.jpeg import markers as jpeg_markers
from tfrec_cli.imaging.jpeg import seek
from tfrec_cli.imaging.jpeg.window import Box, has_exact_window
from tfrec_cli.runtime import native

fixed = settings(deadline=None, derandomize=True)

SIZES = [(1, 1), (2, 3), (7, 9), (8, 8), (16, 16), (17, 15), (33, 47), (61, 70), (64, 48)]
SAMPLINGS = ["4:4:4", "4:2:2", "4:2:0", "gray"]


@cache
def picture(sampling: str, height: int, width: int) -> tuple[bytes, Pixels]:
    """Return a JPEG, and its pixels decoded by Pillow."""
    pixels = photo(height, width, height + width)
    if sampling == "gray":
        data = jpeg(Image.fromarray(pixels).convert("L"))
    else:
        data = jpeg(pixels, subsampling=sampling)
    return data, by_pillow(data)


def by_pillow(data: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def by_tensorflow(data: bytes) -> Pixels:
    if data[:2] == b"\xff\xd8":
        pixels = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")
    else:
        kind = tf.uint16 if png_file.is_deep(data) else tf.uint8
        pixels = tf.io.decode_png(data, channels=3, dtype=kind)
    found: Pixels = pixels.numpy()
    return found


def cut(pixels: Pixels, box: Box) -> Pixels:
    top, left, height, width = box
    return pixels[top : top + height, left : left + width]


def window(data: bytes, size: tuple[int, int], box: Box) -> Pixels:
    pixels = decoder.decode_window(data, size, box)
    assert (pixels.shape, pixels.dtype) == ((*box[2:], 3), np.uint8)
    return pixels


@pytest.fixture(params=["C", "no C"])
def _cutter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without C the whole is decoded."""
    if request.param == "no C":
        monkeypatch.setattr(seek, "cut", lambda *_: None)


@pytest.fixture
def _no_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pillow_decoder, "decode", None)


# Windows


def edges(height: int, width: int) -> list[Box]:
    """Return boxes of a few sizes that touch or nearly touch the edges."""
    return [
        (top, left, tall, wide)
        for tall in sorted({1, 2, height // 2, height - 1, height} - {0})
        for wide in sorted({1, 2, width // 2, width - 1, width} - {0})
        if tall <= height and wide <= width
        for top in sorted({0, 1, height - tall - 1, height - tall} & {*range(height - tall + 1)})
        for left in sorted({0, 1, width - wide - 1, width - wide} & {*range(width - wide + 1)})
    ]


@pytest.mark.usefixtures("_cutter", "_no_pillow")
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_window_at_the_edge_has_exact_pixels(sampling: str, size: tuple[int, int]) -> None:
    data, whole = picture(sampling, *size)
    wrong = [
        box for box in edges(*size) if not np.array_equal(window(data, size, box), cut(whole, box))
    ]
    assert wrong == []


@st.composite
def windows(draw: st.DrawFn) -> tuple[tuple[int, int], Box]:
    height, width = draw(st.sampled_from(SIZES))
    tall, wide = draw(st.integers(1, height)), draw(st.integers(1, width))
    top, left = draw(st.integers(0, height - tall)), draw(st.integers(0, width - wide))
    return (height, width), (top, left, tall, wide)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_any_window_has_exact_pixels(sampling: str) -> None:
    @settings(fixed, max_examples=100)
    @given(windows())
    def check(asked: tuple[tuple[int, int], Box]) -> None:
        size, box = asked
        data, whole = picture(sampling, *size)
        assert np.array_equal(window(data, size, box), cut(whole, box))

    check()


@pytest.mark.usefixtures("_cutter")
@pytest.mark.parametrize(
    "options",
    [
        {"restart_marker_blocks": 2},
        {"restart_marker_rows": 1},
        {"optimize": True},
        {"quality": 5},
        {"exif": oriented(6)},
        {"comment": b"\xff\xd9 no end\xff\xda"},
        {"progressive": True},
        {"keep_rgb": True, "subsampling": "4:4:4"},
        {"subsampling": "4:1:1"},
        {"icc_profile": bytes(70_000)},
    ],
    ids=lambda options: next(iter(options)),
)
def test_a_window_of_other_jpegs_has_exact_pixels(options: dict[str, Any]) -> None:
    """EXIF is ignored, and some are decoded whole."""
    data = jpeg(photo(50, 61), **{"subsampling": "4:2:0", **options})
    box = (11, 13, 30, 17)
    assert np.array_equal(window(data, (50, 61), box), cut(by_pillow(data), box))


def test_a_window_of_a_png_is_cut_from_the_whole() -> None:
    pixels = photo(50, 61)
    assert np.array_equal(window(png(pixels), (50, 61), (3, 4, 5, 6)), pixels[3:8, 4:10])


def test_these_jpegs_have_exact_windows() -> None:
    """Otherwise the tests above might cover only windows that are never decoded."""
    found = {
        has_exact_window(jpeg_markers.read(picture(sampling, *size)[0]))
        for sampling in SAMPLINGS
        for size in SIZES
    }
    assert found == {True}


@pytest.mark.parametrize("data", [jpeg(photo(20, 30)), png(photo(20, 30))], ids=["JPEG", "PNG"])
@pytest.mark.parametrize("size", [(20, 31), (30, 20), (19, 30), (2**40, 30), (0, 0)], ids=str)
def test_another_size_than_that_of_the_record_is_refused(data: bytes, size: Any) -> None:
    with pytest.raises(ImageError) as refused:
        decoder.decode_window(data, size, (0, 0, 5, 5))
    assert refused.value.reason == "corrupt"
    expected = f"{size[1]} wide, {size[0]} high by its record"
    assert str(refused.value) == f"found an image 30 wide, 20 high, expected {expected}"


@pytest.mark.skipif(not native.is_compiled, reason="C was not compiled")
def test_only_the_window_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data, whole = picture("4:2:0", 61, 70)
    monkeypatch.setattr(decoder, "decode_noted", None)
    assert np.array_equal(window(data, (61, 70), (9, 8, 20, 30)), whole[9:29, 8:38])


# Whole images

FRAMES = [Image.fromarray(photo(21, 34, seed)) for seed in (1, 2)]


def with_sampling(horizontal: int, vertical: int) -> bytes:
    """Change the chroma sampling in the frame of a JPEG; its data then end early."""
    data = bytearray(jpeg(photo(64, 64), subsampling="4:4:4"))
    data[data.index(b"\xff\xc0") + 11] = horizontal << 4 | vertical
    return bytes(data)


def without_adobe(data: bytes) -> bytes:
    start = data.index(b"\xff\xee")
    return data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4], "big") :]


def cmyk() -> bytes:
    inks = np.random.default_rng(4).integers(0, 256, (30, 40, 4), dtype=np.uint8)
    return jpeg(Image.frombytes("CMYK", (40, 30), inks.tobytes()))


def with_byte_between_segments() -> bytes:
    data = jpeg(photo(20, 30))
    at = data.index(b"\xff\xdb")
    return data[:at] + b"\0" + data[at:]


BY_SIMPLEJPEG: dict[str, Callable[[], bytes]] = {
    **{sampling: lambda sampling=sampling: picture(sampling, 33, 47)[0] for sampling in SAMPLINGS},
    "4:1:1": lambda: jpeg(photo(21, 34), subsampling="4:1:1"),
    "4:4:0": lambda: simplejpeg.encode_jpeg(photo(21, 34), colorsubsampling="440"),
    "progressive": lambda: jpeg(photo(21, 34), progressive=True),
    "gray progressive": lambda: jpeg(FRAMES[0].convert("L"), progressive=True),
    "kept RGB": lambda: jpeg(photo(21, 34), keep_rgb=True),
    "RGB without a marker": lambda: without_adobe(jpeg(photo(21, 34), keep_rgb=True)),
    "turned": lambda: jpeg(photo(21, 34), exif=oriented(6)),
    "a bad profile": lambda: jpeg(photo(21, 34)).replace(
        b"\xff\xdb", b"\xff\xe2\0\x0eICC_PROFILE\0\xff\xdb", 1
    ),
}
BY_PILLOW: dict[str, Callable[[], bytes]] = {
    "3x1": lambda: with_sampling(3, 1),
    "CMYK": cmyk,
    "CMYK without a marker": lambda: without_adobe(cmyk()),
    "a byte between segments": with_byte_between_segments,
    "PNG": lambda: png(photo(21, 34)),
    "gray PNG": lambda: png(FRAMES[0].convert("L")),
    "palette PNG": lambda: png(FRAMES[0].quantize(16)),
    "PNG with alpha": lambda: png(np.dstack([photo(5, 6), photo(5, 6)[..., 0]])),
    "palette PNG with alpha": lambda: class_files()["owls/palette.png"],
    "deep PNG": lambda: png(np.arange(30, dtype=np.uint16).reshape(5, 6) * 2184),
    "black and white PNG": lambda: png(FRAMES[0].convert("1")),
}
WHOLE = {**BY_SIMPLEJPEG, **BY_PILLOW}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_image_has_the_pixels_of_pillow(name: str) -> None:
    data = WHOLE[name]()
    assert np.array_equal(decoder.decode(data), pillow_decoder.decode(data))


@needs("tensorflow")
@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_image_has_the_pixels_of_tensorflow(name: str) -> None:
    data = WHOLE[name]()
    assert np.array_equal(decoder.decode(data), by_tensorflow(data))


@pytest.mark.usefixtures("_no_pillow")
@pytest.mark.parametrize("name", BY_SIMPLEJPEG)
def test_usual_jpegs_are_not_decoded_by_pillow(name: str) -> None:
    assert decoder.decode(BY_SIMPLEJPEG[name]()).dtype == np.uint8


@pytest.mark.usefixtures("_no_pillow")
@pytest.mark.parametrize("name", BY_PILLOW)
def test_other_images_are_decoded_by_pillow(name: str) -> None:
    """Otherwise the test above could pass for any image."""
    with pytest.raises(TypeError):
        decoder.decode(BY_PILLOW[name]())


def test_the_orientation_is_not_applied() -> None:
    assert decoder.decode(jpeg(photo(20, 30), exif=oriented(6))).shape == (20, 30, 3)


def test_later_results_do_not_overwrite_a_result() -> None:
    first = decoder.decode(png(photo(9, 9, 1)))
    for seed in range(2, 9):
        decoder.decode(png(photo(9, 9, seed)))
    assert np.array_equal(first, photo(9, 9, 1))


# Limits


@pytest.mark.parametrize("data", [jpeg(photo(20, 30)), png(photo(20, 30))], ids=["JPEG", "PNG"])
def test_more_pixels_than_the_limit_are_refused(data: bytes) -> None:
    box = (1, 2, 3, 4)
    assert decoder.decode(data, 20 * 30).shape == (20, 30, 3)
    assert decoder.decode_window(data, (20, 30), box, 20 * 30).shape == (3, 4, 3)
    for decode in (
        lambda: decoder.decode(data, 20 * 30 - 1),
        lambda: decoder.decode_window(data, (20, 30), box, 20 * 30 - 1),
    ):
        with pytest.raises(ImageError) as refused:
            decode()
        assert refused.value.reason == "too_many_pixels"


def of_many_scans() -> bytes:
    """Make an intact JPEG of 127 scans: all of its 63 AC coefficients are 0, each in two scans."""
    data = jpeg(photo(16, 16)[..., 0], progressive=True)
    first = jpeg_markers.read_frame(data).end
    start = data[: data.index(b"\xff\xc4", first)]
    table = b"\xff\xc4\0\x14\x10\1" + bytes(15) + b"\0"  # one bit: a block ends
    scans = [
        b"\xff\xda\0\x08\1\1\0" + bytes([number, number, bits, 0x0F])
        for number in range(1, 64)
        for bits in (0x01, 0x10)
    ]
    return b"".join([start, table, *scans, b"\xff\xd9"])


def test_a_jpeg_of_many_scans_is_refused() -> None:
    data = of_many_scans()
    assert simplejpeg.decode_jpeg(data).shape == (16, 16, 3)
    with pytest.raises(ImageError) as refused:
        decoder.decode(data)
    assert refused.value.reason == "too_many_scans"


# Damage

JPEG, PNG = jpeg(photo(21, 34)), png(photo(21, 34))
PROGRESSIVE = jpeg(photo(21, 34), progressive=True)
REFUSED = {
    "nothing": (b"", "empty"),
    "one byte": (b"\xff", "not_an_image"),
    "the start of a JPEG": (b"\xff\xd8", "not_an_image"),
    "a JPEG's markers": (JPEG[:300], "truncated"),
    "half a JPEG": (JPEG[: len(JPEG) // 2], "truncated"),
    "half a JPEG with an end marker in its EXIF": (
        jpeg(photo(21, 34), exif=b"Exif\0\0" + JPEG)[: len(JPEG) * 3 // 2],
        "truncated",
    ),
    "a cut progressive JPEG": (PROGRESSIVE[:-9], "truncated"),
    "half a PNG": (PNG[: len(PNG) // 2], "truncated"),
    "a changed PNG": (PNG[:60] + bytes([PNG[60] ^ 1]) + PNG[61:], "corrupt"),
    "the start of a PNG": (PNG[:8], "truncated"),
    "a TIFF": (save(FRAMES[0], "TIFF"), "unsupported_format"),
    "text": (b"no image, and not a short one either", "not_an_image"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_broken_image_is_refused(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """With an error of one line, and nothing on stderr."""
    data, reason = REFUSED[name]
    for decode in (
        lambda: decoder.decode(data),
        lambda: decoder.decode_window(data, (21, 34), (15, 3, 6, 30)),
    ):
        with pytest.raises(ImageError) as refused:
            decode()
        assert (refused.value.reason, len(str(refused.value).splitlines())) == (reason, 1)
    assert capfd.readouterr() == ("", "")


def outcome(decode: Callable[[], Pixels]) -> Any:
    try:
        return decode().tolist()
    except ImageError as error:
        return error.reason


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Draw a JPEG with some changed bytes, a piece that is cut out, or one that is put in."""
    data = bytearray(draw(st.sampled_from(DAMAGED)))
    for place in draw(st.lists(st.integers(0, len(data) - 1), max_size=3)):
        data[place] = draw(st.integers(0, 255))
    at = draw(st.integers(2, len(data)))
    piece = draw(st.sampled_from([b"", b"\xff\xd9", b"\xff\xd3", b"\xff\xe5\0\4ab", bytes(9)]))
    data[at : at + draw(st.sampled_from([0, 0, 1, 50]))] = piece
    return bytes(data)


DAMAGED = [
    JPEG,
    PROGRESSIVE,
    jpeg(photo(33, 34), subsampling="4:2:0", restart_marker_blocks=3),
    jpeg(photo(21, 34)[..., 0]),
]


def test_a_damaged_jpeg_gives_the_pixels_of_pillow_or_is_refused_like_by_pillow() -> None:
    """Whole ones, and windows with C and without."""

    @settings(fixed, max_examples=400)
    @given(damaged())
    def check(data: bytes) -> None:
        whole = outcome(lambda: pillow_decoder.decode(data))
        assert outcome(lambda: decoder.decode(data)) == whole
        if isinstance(whole, str):
            return
        size, pixels = np.shape(whole)[:2], np.array(whole, np.uint8)
        box = (size[0] // 3, size[1] // 4, size[0] // 2, size[1] // 2)
        right = cut(pixels, box).tolist()
        assert outcome(lambda: decoder.decode_window(data, (size[0], size[1]), box)) == right
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(seek, "cut", lambda *_: None)
            assert outcome(lambda: decoder.decode_window(data, (size[0], size[1]), box)) == right

    check()


def with_missing_table() -> bytes:
    """Refer to a table that is not there, in a scan with parameters that are not sequential."""
    start = JPEG.index(b"\xff\xda")
    scan = JPEG[start : start + 6] + b"\x33" + JPEG[start + 7 : start + 12] + b"\3"
    return JPEG[:start] + scan + JPEG[start + 13 :]


def test_an_error_after_a_warning_is_not_overlooked() -> None:
    """simplejpeg ignores errors that follow a warning, unless it refuses warnings too."""
    data = with_missing_table()
    assert simplejpeg.decode_jpeg(data, strict=False).shape == (21, 34, 3)
    with pytest.raises(ImageError, match="broken data stream"):
        decoder.decode(data)


@pytest.mark.parametrize("name", DAMAGED_DATA)
def test_damaged_data_are_noted(name: str) -> None:
    """Also for a window, if the whole has to be decoded for it."""
    data, damage = DAMAGED_DATA[name]
    found = decoder.decode_noted(data)
    assert re.sub(r"^\d+", "N", found.damage) == damage
    assert np.array_equal(found.pixels, pillow_decoder.decode(data))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seek, "cut", lambda *_: None)
        window = decoder.decode_window_noted(data, (60, 70), (50, 60, 10, 10))
    assert window.damage == found.damage
    assert np.array_equal(window.pixels, found.pixels[50:, 60:])


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_warnings_are_no_damage(name: str) -> None:
    data = HARMLESS[name]
    found = decoder.decode_noted(data)
    assert found.damage == ""
    assert np.array_equal(found.pixels, pillow_decoder.decode(data))


@pytest.mark.usefixtures("_no_pillow")
def test_a_usual_jpeg_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    decode, calls = simplejpeg.decode_jpeg, []
    monkeypatch.setattr(
        simplejpeg, "decode_jpeg", lambda data, **how: calls.append(data) or decode(data, **how)
    )
    assert decoder.decode_noted(JPEG).damage == ""
    assert len(calls) == 1


def test_a_broken_exif_block_raises_no_warning() -> None:
    """Pillow warns when it opens these; warning filters belong to all threads."""
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x02\x01\x1a\0\x05\0\0\0\x01\0\0\xff\xff"
    data = jpeg(photo(20, 30), exif=exif)
    with pytest.warns(UserWarning, match="Truncated File Read"):
        Image.open(io.BytesIO(data))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pillow_decoder.decode(data).shape == (20, 30, 3)


# Threads


@pytest.fixture
def _restored() -> Iterator[None]:
    before = list(warnings.filters), Image.MAX_IMAGE_PIXELS
    yield
    assert (list(warnings.filters), Image.MAX_IMAGE_PIXELS) == before


@pytest.mark.usefixtures("_restored")
def test_threads_get_the_same_pixels_and_change_no_filters_and_limits() -> None:
    images = [
        *(picture(sampling, 33, 47) for sampling in SAMPLINGS),
        (PNG, photo(21, 34)),
        (cmyk(), pillow_decoder.decode(cmyk())),
    ]
    results: list[bool] = []
    before = len(warnings.filters), Image.MAX_IMAGE_PIXELS

    def decode() -> None:
        for _ in range(20):
            for data, whole in images:
                box = (2, 3, 9, 10)
                found = window(data, (whole.shape[0], whole.shape[1]), box)
                results.append(np.array_equal(decoder.decode(data), whole))
                results.append(np.array_equal(found, cut(whole, box)))
            with pytest.raises(ImageError):
                decoder.decode(JPEG[:-100])

    threads = [threading.Thread(target=decode) for _ in range(4)]
    for thread in threads:
        thread.start()
    seen = set()
    while any(thread.is_alive() for thread in threads):
        seen.add((len(warnings.filters), Image.MAX_IMAGE_PIXELS))
    assert seen <= {before}
    assert results == [True] * (4 * 20 * 2 * len(images))
