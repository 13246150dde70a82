"""A window that is cut out of a JPEG decodes to the pixels of the whole."""

from __future__ import annotations

import io
import random
import struct
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import windows
from conftest import jpeg, needs_c, oriented, photo
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tfrec_cli.imaging.jpeg import seek
from tfrec_cli.imaging.jpeg.window import Box
from tfrec_cli.runtime import native

fixed = settings(derandomize=True, max_examples=150)

PHOTO = photo(49, 67)
GRAY = Image.fromarray(PHOTO).convert("L")
WHOLE = (0, 0, 49, 67)
INSIDE = (17, 21, 8, 30)


def wrong_windows(data: bytes, count: int = 12) -> list[Box]:
    """Return windows of a JPEG that are not cut or not exact."""
    whole = windows.pillow_pixels(data)
    some = windows.boxes(*whole.shape[:2], count, random.Random(len(data)))
    return [box for box in some if not is_exact(data, whole, box)]


def is_exact(data: bytes, whole: windows.Pixels, box: Box) -> bool:
    window = seek.cut(data, box)
    return window is not None and windows.is_exact(window, whole, box)


def replaced(data: bytes, old: bytes, new: bytes) -> bytes:
    assert data.count(old) == 1
    return data.replace(old, new)


def sampled(factors: str, height: int, width: int, blocks: int) -> bytes:
    """Make a JPEG of any sampling, whose blocks are those of a gray one.

    Args:
        factors: a pair of digits for each component, such as "22 11 11".
        blocks: number of blocks of the gray JPEG.
    """
    pixels = Image.fromarray(photo(8, 8 * blocks, blocks) // 4 + 96).convert("L")
    data = jpeg(pixels, quality=60)
    start, stop = data.index(b"\xff\xc0"), data.index(b"\xff\xda")
    pairs = [bytes.fromhex(pair) for pair in factors.split()]
    ids = range(1, len(pairs) + 1)
    frame = b"".join(
        bytes([number]) + pair + b"\0" for number, pair in zip(ids, pairs, strict=True)
    )
    frame = struct.pack(">BHHB", 8, height, width, len(pairs)) + frame
    scan = bytes([len(pairs)]) + b"".join(bytes([number, 0]) for number in ids) + b"\0\x3f\0"
    return b"".join(
        (
            data[:start],
            b"\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame,
            data[start + 13 : stop],
            b"\xff\xda" + struct.pack(">H", len(scan) + 2) + scan,
            data[stop + 10 :],
        )
    )


steps = st.sampled_from([None, [[1] * 64], [[300] * 64, [2] * 63 + [999]]])


@needs_c
@fixed
@given(
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    gray=st.booleans(),
    options=st.fixed_dictionaries(
        {
            "quality": st.sampled_from([5, 50, 75, 90, 97, 100]),
            "subsampling": st.sampled_from(["4:4:4", "4:2:2", "4:2:0"]),
            "optimize": st.booleans(),
            "restart_marker_blocks": st.sampled_from([0, 0, 1, 2, 3, 7]),
            "restart_marker_rows": st.sampled_from([0, 0, 1, 2]),
            "qtables": steps,
            "keep_rgb": st.booleans(),
        }
    ),
)
def test_the_windows_of_a_jpeg_are_exact(
    size: tuple[int, int], gray: bool, options: dict[str, Any]
) -> None:
    picture = Image.fromarray(photo(*size, sum(size)))
    if options["keep_rgb"]:
        del options["subsampling"]
    if not options["qtables"]:
        del options["qtables"]
    assert wrong_windows(jpeg(picture.convert("L") if gray else picture, **options)) == []


@needs_c
@pytest.mark.parametrize("factors", ["11", "22", "31", "11 11 11", "21 21 21", "31 31 31"])
def test_windows_without_smoothed_chroma_are_exact(factors: str) -> None:
    assert wrong_windows(sampled(factors, 37, 51, 400)) == []


SMOOTHED = ["21 11 11", "12 11 11", "22 11 11", "22 21 21", "22 12 12", "41 21 21", "14 12 12"]


@needs_c
@pytest.mark.parametrize("factors", SMOOTHED)
@pytest.mark.parametrize("size", [(37, 51), (16, 67), (33, 5), (34, 36), (1, 33), (33, 3)], ids=str)
def test_windows_with_smoothed_chroma_are_exact(factors: str, size: tuple[int, int]) -> None:
    assert wrong_windows(sampled(factors, *size, 400), 40) == []


@needs_c
@pytest.mark.parametrize(
    "factors", ["41 11 11", "32 11 11", "21 11 21", "11 21 21", "22 22 22", "51"]
)
def test_other_samplings_are_not_cut(factors: str) -> None:
    assert seek.cut(sampled(factors, 16, 16, 400), (0, 0, 1, 1)) is None


def codes(rng: random.Random, kind: int, symbols: list[int]) -> bytes:
    """Make a table of random codes, nearly all of which are used, for some of the symbols."""
    lengths = [1, 1]
    for _ in range(rng.choice((1, 1, 4, 20, 120))):
        at = rng.choice([at for at, length in enumerate(lengths) if length < 16])
        lengths[at : at + 1] = [lengths[at] + 1] * 2
    lengths = sorted(lengths)[:-1]  # the last code would be all ones
    counts = bytes(lengths.count(length) for length in range(1, 17))
    body = bytes([kind]) + counts + bytes(rng.choices(symbols, k=len(lengths)))
    return b"\xff\xc4" + struct.pack(">H", len(body) + 2) + body


def random_scan(rng: random.Random) -> bytes:
    """Make a gray JPEG of random codes, coefficients and bits."""
    usual = rng.choice([[0x00, 0x01, 0xF0], [0xF0, 0xE0, 0x10, 0x00], [*range(256)], [0x0F, 0xFF]])
    data = jpeg(GRAY)
    start, stop = data.index(b"\xff\xc4"), data.index(b"\xff\xda")
    tables = codes(rng, 0, rng.choice([[0, 1, 2], [*range(16)]])) + codes(rng, 0x10, usual)
    scan = rng.randbytes(rng.choice((200, 20_000))).replace(b"\xff", b"\xff\0")
    return data[:start] + tables + data[stop : stop + 10] + scan + b"\xff\xd9"


@needs_c
def test_windows_of_random_codes_and_bits_are_exact() -> None:
    cut = 0
    for number in range(400):
        data = random_scan(random.Random(number))
        box = random.Random(number).choice([(0, 0, 8, 8), WHOLE, INSIDE])
        window = seek.cut(data, box)
        if window is not None:
            cut += 1
            assert windows.is_exact(window, windows.pillow_pixels(data), box)
    assert cut > 40


@needs_c
def test_windows_of_a_scan_that_is_read_in_pieces_are_exact() -> None:
    data = jpeg(photo(540, 300), quality=96, subsampling="4:2:0")
    assert len(data) > 4 << 15
    assert wrong_windows(data) == []


PLAIN = jpeg(PHOTO, subsampling="4:2:0")
RESTARTS = jpeg(PHOTO, subsampling="4:2:0", restart_marker_rows=1)
START = PLAIN.index(b"\xff\xda")
DC_CODES = PLAIN[PLAIN.index(b"\xff\xc4") :][:33]
NOT_CUT = {
    "no JPEG": b"\x89PNG\r\n\x1a\n",
    "nothing": b"",
    "progressive": jpeg(PHOTO, progressive=True),
    "four components": jpeg(GRAY.convert("CMYK")),
    "12 bits": replaced(PLAIN, b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"),
    "arithmetic": replaced(PLAIN, b"\xff\xc0", b"\xff\xc9"),
    "lossless": replaced(PLAIN, b"\xff\xc0", b"\xff\xc3"),
    "two frames": replaced(
        PLAIN, b"\xff\xc0", PLAIN[PLAIN.index(b"\xff\xc0") :][:19] + b"\xff\xc0"
    ),
    "no frame": replaced(PLAIN, b"\xff\xc0", b"\xff\xfe"),
    "a scan of one component": PLAIN[:START]
    + b"\xff\xda\0\x08\1\1\0\0\x3f\0"
    + PLAIN[START + 14 :],
    "a second scan": PLAIN[:-2] + PLAIN[START:],
    "no end": PLAIN[:-2],
    "half": PLAIN[: len(PLAIN) // 2],
    "a marker in the data": PLAIN[: START + 90] + b"\xff\xd0" + PLAIN[START + 90 :],
    "a wrong restart marker": RESTARTS.replace(b"\xff\xd1", b"\xff\xd2"),
    "no restart marker": RESTARTS.replace(b"\xff\xd1", b""),
    "no codes": replaced(PLAIN, b"\xff\xda\0\x0c\3\1\0", b"\xff\xda\0\x0c\3\1\x33"),
    "too few data": PLAIN[:-40] + PLAIN[-2:],
    "too few data before a marker": RESTARTS.replace(b"\xff\xd1", b"\xff\xd1\xff\xd2", 1),
    "a progressive frame": replaced(PLAIN, b"\xff\xc0", b"\xff\xc2"),
    "components in another order": replaced(PLAIN, b"\1\0\2\x11\3\x11", b"\2\x11\1\0\3\x11"),
    "a short Adobe segment": PLAIN[:2] + b"\xff\xee\0\7Adobe" + PLAIN[2:],
    "a short JFIF segment": replaced(PLAIN, PLAIN[2:20], b"\xff\xe0\0\7JFIF\0"),
    "a long restart interval": PLAIN[:2] + b"\xff\xdd\0\5\0\0\0" + PLAIN[2:],
    "a code that is all ones": replaced(
        PLAIN, DC_CODES, DC_CODES[:5] + b"\1" * 10 + b"\2" + bytes(5) + DC_CODES[21:]
    ),
    "a DC difference of 16 bits": replaced(PLAIN, DC_CODES, DC_CODES[:-1] + b"\x10"),
    "no steps": PLAIN.replace(b"\xff\xdb", b"\xff\xe3"),
}


@needs_c
@pytest.mark.parametrize("data", NOT_CUT.values(), ids=NOT_CUT.keys())
def test_what_a_decoder_reads_otherwise_is_not_cut(data: bytes) -> None:
    assert seek.cut(data, WHOLE) is None


OUTSIDE = [(-1, 0, 1, 1), (0, -1, 1, 1), (0, 0, 0, 1), (0, 0, 1, 0), (49, 0, 1, 1), (0, 67, 1, 1)]
OUTSIDE += [(0, 0, 50, 1), (1, 0, 49, 1), (0, 0, 1, 68), (2**31 - 1,) * 4, (0, 0, -1, -1)]


@needs_c
@pytest.mark.parametrize("box", OUTSIDE, ids=str)
def test_a_window_outside_the_picture_is_not_cut(box: Box) -> None:
    assert seek.cut(PLAIN, box) is None


@needs_c
def test_damage_below_a_window_changes_nothing() -> None:
    low = jpeg(photo(80, 64), subsampling="4:4:4", restart_marker_rows=1)
    at = low.index(b"\xff\xd5")
    damaged = low[:at] + bytes(9) + low[at:]
    assert seek.cut(damaged, (0, 0, 48, 64)) == seek.cut(low, (0, 0, 48, 64))


@needs_c
@pytest.mark.parametrize("width", [16, 67])
def test_a_window_whose_last_bits_are_missing_is_not_cut(width: int) -> None:
    data, box = jpeg(photo(49, width), subsampling="4:2:0"), (0, 0, 49, width)
    assert seek.cut(data, box) is not None
    assert seek.cut(data[:-4] + data[-2:], box) is None


def flipped(data: bytes, bits: list[int]) -> bytes:
    changed = bytearray(data)
    for bit in bits:
        changed[bit // 8 % len(data)] ^= 1 << bit % 8
    return bytes(changed)


@needs_c
@pytest.mark.parametrize("data", [PLAIN, RESTARTS, jpeg(GRAY, optimize=True)], ids=len)
def test_a_window_of_a_damaged_jpeg_is_that_of_the_damaged_whole(data: bytes) -> None:
    rng = random.Random(len(data))
    start, cut = data.index(b"\xff\xda") + 14, 0
    for _ in range(300):
        places = [rng.randrange(8 * start, 8 * len(data)) for _ in range(rng.choice((1, 2, 5)))]
        damaged = flipped(data, places)
        window = seek.cut(damaged, INSIDE)
        if window is not None:
            cut += 1
            assert windows.is_exact(window, windows.pillow_pixels(damaged), INSIDE)
    assert 50 < cut < 300


@needs_c
def test_codes_for_dc_differences_are_added_where_they_are_missing() -> None:
    """Each row of an even picture begins with a difference that no block of it needs."""
    pixels = np.zeros((64, 64), np.uint8)
    pixels[:, 32:] = 200
    pixels[:, 40:] += np.arange(24, dtype=np.uint8)
    data = jpeg(Image.fromarray(pixels), optimize=True)
    assert wrong_windows(data, 60) == []


@needs_c
def test_the_small_jpeg_has_only_segments_that_its_pixels_depend_on() -> None:
    data = jpeg(PHOTO, subsampling="4:2:0", comment=b"a comment", exif=oriented(6))
    window = seek.cut(data, (40, 60, 9, 7))
    assert window is not None
    opened = Image.open(io.BytesIO(window.data))
    assert (opened.size, window.top, window.left) == ((19, 17), 8, 12)
    assert {"jfif"} == set(opened.info) - {"jfif_density", "jfif_unit", "jfif_version"}


@needs_c
def test_threads_cut_the_same_windows() -> None:
    datas = [PLAIN, RESTARTS, jpeg(GRAY, optimize=True), jpeg(PHOTO, optimize=True)] * 50
    expected = [seek.cut(data, INSIDE) for data in datas]
    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(lambda data: seek.cut(data, INSIDE), datas)) == expected


@needs_c
def test_bytes_of_any_kind_are_cut() -> None:
    expected = seek.cut(PLAIN, INSIDE)
    assert expected is not None
    assert [seek.cut(kind(PLAIN), INSIDE) for kind in (bytearray, memoryview)] == [expected] * 2
    assert seek.cut(memoryview(PLAIN + PLAIN)[::2], INSIDE) is None


def test_nothing_is_cut_without_c(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "cut", lambda *_: None)
    assert seek.cut(PLAIN, INSIDE) is None
