"""The headers of plain JPEGs, which are read without Pillow: always the same as Pillow's."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from unittest import mock

import numpy as np
import pytest
from conftest import jpeg, oriented, photo, png, save
from hypothesis import given, settings
from hypothesis import strategies as st
from jpeg_bytes import PHOTOSHOP, RESOURCE, exif, many_tags, segment
from PIL import Image

from tfrec_cli.errors import ImageError
from tfrec_cli.imaging import header
from tfrec_cli.imaging.header import Header
from tfrec_cli.imaging.jpeg import markers as jpeg_markers
from tfrec_cli.imaging.policy import Policy

fixed = settings(deadline=None, derandomize=True)

ICC = b"\0\0\0\x14lcms" + bytes(12)

PROFILE = b"ICC_PROFILE\0\1\1"

RGB = photo(21, 34)


def with_segment(code: int, body: bytes) -> bytes:
    """Insert a segment right after the start of a JPEG."""
    data = jpeg(RGB)
    return data[:2] + segment(code, body) + data[2:]


def of_kind(mode: str, **options: object) -> bytes:
    return jpeg(Image.fromarray(RGB).convert(mode), **options)


def bits(data: bytes, precision: int) -> bytes:
    """Set the number of bits per value in a JPEG's frame."""
    at = data.index(b"\xff\xc0")
    return data[: at + 4] + bytes([precision]) + data[at + 5 :]


PLAIN: dict[str, Callable[[], bytes]] = {
    "4:4:4": lambda: jpeg(RGB, subsampling="4:4:4"),
    "4:2:2": lambda: jpeg(RGB, subsampling="4:2:2"),
    "4:2:0": lambda: jpeg(RGB, subsampling="4:2:0"),
    "4:1:1": lambda: jpeg(RGB, subsampling="4:1:1"),
    "RGB": lambda: jpeg(RGB, keep_rgb=True),
    "gray": lambda: of_kind("L"),
    "black and white": lambda: of_kind("1"),
    "progressive": lambda: jpeg(RGB, progressive=True),
    "progressive gray": lambda: of_kind("L", progressive=True),
    "optimized": lambda: jpeg(RGB, optimize=True),
    "restarts": lambda: jpeg(RGB, restart_marker_blocks=2),
    "a comment": lambda: jpeg(RGB, comment=b"by hand"),
    "an ICC profile": lambda: jpeg(RGB, icc_profile=ICC),
    "one pixel": lambda: jpeg(photo(1, 1)),
    "wide": lambda: jpeg(photo(1, 3000)),
    "resolution": lambda: jpeg(RGB, dpi=(300, 300)),
    "bad quality": lambda: jpeg(RGB, quality=1),
    "upright by EXIF": lambda: jpeg(RGB, exif=oriented(1)),
    "turned": lambda: jpeg(RGB, exif=oriented(6)),
    "EXIF of many tags": lambda: jpeg(RGB, exif=many_tags(8)),
    "EXIF without an orientation": lambda: jpeg(RGB, exif=many_tags(None)),
    "an orientation that is none": lambda: jpeg(RGB, exif=oriented(9)),
    "little-endian EXIF": lambda: with_segment(0xE1, exif()),
    "XMP": lambda: jpeg(RGB, xmp=b"<x:xmpmeta/>"),
    "Photoshop": lambda: with_segment(0xED, PHOTOSHOP + bytes(20)),
    "Photoshop's resources": lambda: with_segment(0xED, PHOTOSHOP + 3 * RESOURCE),
    "an unknown segment": lambda: with_segment(0xE5, b"what it is"),
    "an Adobe segment": lambda: with_segment(0xEE, b"Adobe\0d\0\0\0\0\1"),
}
OTHERS: dict[str, Callable[[], bytes]] = {
    "CMYK": lambda: of_kind("CMYK"),
    "12 bits": lambda: bits(jpeg(RGB), 12),
    "several pictures": lambda: save(
        RGB, "MPO", save_all=True, append_images=[Image.fromarray(RGB)]
    ),
    "an ICC profile in parts": lambda: jpeg(RGB, icc_profile=bytes(70_000)),
    "a cut resource of Photoshop": lambda: with_segment(0xED, PHOTOSHOP + RESOURCE[:-1]),
    "Photoshop's resource without a name": lambda: with_segment(0xED, PHOTOSHOP + RESOURCE[:6]),
    "another APP13": lambda: with_segment(0xED, b"Adobe_CM" + bytes(20)),
    "XMP with an orientation": lambda: jpeg(RGB, xmp=b'<x tiff:Orientation="6"/>'),
    "two EXIF blocks": lambda: jpeg(RGB, exif=oriented(6), extra=segment(0xE1, exif())),
    "EXIF of another kind": lambda: with_segment(0xE1, b"Exif\0\0" + bytes(20)),
    "an orientation of four bytes": lambda: with_segment(0xE1, exif(kind=4)),
    "a resolution that is none": lambda: with_segment(0xE1, exif(resolution_kind=1)),
    "an EXIF tag that lies elsewhere": lambda: with_segment(0xE1, exif(resolution_at=51)),
    "a cut EXIF block": lambda: with_segment(0xE1, exif()[:-30]),
    "an APP2 of another kind": lambda: with_segment(0xE2, b"FPXR\0" + bytes(20)),
    "no profile": lambda: with_segment(0xE2, PROFILE),
    "the second half of a profile": lambda: with_segment(0xE2, b"ICC_PROFILE\0\2\2" + ICC),
    "two profiles": lambda: jpeg(RGB, icc_profile=ICC, extra=segment(0xE2, PROFILE + ICC)),
    "a short JFIF": lambda: with_segment(0xE0, b"JFIF\0"),
    "a short Adobe": lambda: with_segment(0xEE, b"Adobe\0d"),
    "a short quantization table": lambda: with_segment(0xDB, b"\0" + bytes(63)),
    "filled up": lambda: jpeg(RGB)[:2] + b"\xff\xff" + jpeg(RGB)[2:],
    "padded markers": lambda: jpeg(RGB).replace(b"\xff\xda", b"\xff\xff\xda", 1),
    "two frames": lambda: with_segment(0xC0, jpeg(RGB)[jpeg(RGB).index(b"\xff\xc0") + 4 :][:15]),
    "an end marker before the frame": lambda: b"\xff\xd8\xff\xd9" + jpeg(RGB)[2:],
    "PNG": lambda: png(RGB),
    "nothing": lambda: b"",
    "three bytes": lambda: b"\xff\xd8\xff",
}
KINDS = {**PLAIN, **OTHERS}


def by_pillow(data: bytes, policy: Policy) -> Header:
    """Read a header with Pillow, as if no JPEG were plain."""
    with mock.patch.object(header, "_plain_frame", return_value=None):
        return header.read_header(io.BytesIO(data), policy)


def check(data: bytes, policy: Policy | None = None) -> None:
    """Compare a header that we read without Pillow with Pillow's; Pillow must not refuse it."""
    policy = policy or Policy()
    for known in (data, data[: header.HEAD_BYTES]):
        if frame := header._plain_frame(known, policy):
            assert header._plain_header(frame, policy) == by_pillow(data, policy)


@pytest.mark.parametrize("make", PLAIN.values(), ids=PLAIN.keys())
def test_a_plain_header_is_read_without_pillow(make: Callable[[], bytes]) -> None:
    assert header._plain_frame(make(), Policy()) is not None


@pytest.mark.parametrize("make", PLAIN.values(), ids=PLAIN.keys())
def test_a_plain_header_equals_pillows(make: Callable[[], bytes]) -> None:
    data = make()
    assert header.read_header(io.BytesIO(data), Policy()) == by_pillow(data, Policy())


@pytest.mark.parametrize("make", OTHERS.values(), ids=OTHERS.keys())
def test_other_headers_are_left_to_pillow(make: Callable[[], bytes]) -> None:
    assert header._plain_frame(make(), Policy()) is None


@pytest.mark.parametrize("make", OTHERS.values(), ids=OTHERS.keys())
def test_no_header_differs_from_pillows(make: Callable[[], bytes]) -> None:
    check(make())


@pytest.mark.parametrize(
    "policy",
    [Policy(exif="ignore"), Policy(frames="fail"), Policy(alpha="fail"), Policy(resize_short_px=9)],
    ids=str,
)
def test_a_plain_header_equals_pillows_with_any_policy(policy: Policy) -> None:
    data = jpeg(RGB)
    assert header.read_header(io.BytesIO(data), policy) == by_pillow(data, policy)


@pytest.mark.parametrize(("most", "plain"), [(21 * 34, True), (21 * 34 - 1, False)])
def test_too_many_pixels_are_left_to_pillow(most: int, plain: bool) -> None:
    assert (header._plain_frame(jpeg(RGB), Policy(max_pixels=most)) is not None) is plain


def test_a_frame_after_the_first_bytes_is_left_to_pillow() -> None:
    data = with_segment(0xFE, bytes(header.HEAD_BYTES))
    assert header.read_header(io.BytesIO(data), Policy()) == by_pillow(data, Policy())


@cache
def made(kind: str) -> bytes:
    return KINDS[kind]()


positions = st.integers(0, 699)
edits = st.lists(
    st.tuples(st.sampled_from(["set", "flip", "insert", "delete"]), positions, st.integers(0, 255)),
    min_size=1,
    max_size=4,
)


def edited(data: bytes, changes: list[tuple[str, int, int]]) -> bytes:
    out = bytearray(data)
    for what, place, byte in changes:
        at = place % max(min(len(out), 700), 1)
        if what == "insert":
            out.insert(at, byte)
        elif out and what == "delete":
            del out[at : at + 1 + byte % 4]
        elif out:
            out[at] = byte if what == "set" else out[at] ^ 1 << byte % 8
    return bytes(out)


@settings(fixed, max_examples=800)
@given(st.sampled_from(sorted(KINDS)), edits)
def test_an_edited_header_equals_pillows(kind: str, changes: list[tuple[str, int, int]]) -> None:
    check(edited(made(kind), changes))


@settings(fixed, max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0xC0, 0xC1, 0xC2, 0xC4, 0xC8, 0xCC, 0xDB, 0xDD, *range(0xE0, 0xFF)]),
            st.sampled_from(
                [b"", b"Exif\0\0", b"JFIF\0", b"ICC_PROFILE\0\1\1", b"Adobe\0", b"MPF\0"]
            ),
            st.integers(0, 70),
        ),
        max_size=3,
    ),
    st.booleans(),
)
def test_a_header_of_any_segments_equals_pillows(
    segments: list[tuple[int, bytes, int]], after: bool
) -> None:
    """Known and unknown segments, of any length, before and after the others."""
    data = made("4:2:0")
    at = data.index(b"\xff\xda") if after else 2
    added = b"".join(segment(code, start + bytes(size)) for code, start, size in segments)
    check(data[:at] + added + data[at:])


@pytest.mark.parametrize("kind", ["4:2:0", "gray", "an ICC profile", "progressive"])
def test_a_header_cut_anywhere_equals_pillows(kind: str) -> None:
    data = made(kind)
    for length in range(min(len(data), 750)):
        check(data[:length])


@pytest.mark.parametrize("kind", ["4:2:0", "gray", "an ICC profile", "progressive"])
def test_an_end_marker_anywhere_in_a_header_raises_only_image_errors(kind: str) -> None:
    """Also inside a segment."""
    data = made(kind)
    ends = jpeg_markers.read_frame(data).end
    other = []
    for length in range(2, ends + 3):
        try:
            header.examine(data[:length] + b"\xff\xd9", Policy())
        except ImageError:  # noqa: PERF203
            pass
        except Exception as error:
            other.append((length - ends, error))
    assert other == []


@pytest.mark.parametrize("kind", ["4:2:0", "gray"])
def test_every_bit_of_a_frame_is_read_as_pillow_reads_it(kind: str) -> None:
    data = made(kind)
    start = data.index(b"\xff\xc0")
    for bit in range(start * 8, (start + 19) * 8):
        changed = np.frombuffer(data, np.uint8).copy()
        changed[bit // 8] ^= 1 << bit % 8
        check(changed.tobytes())


@pytest.mark.parametrize("code", range(0xC0, 0xD0))
def test_all_codes_from_c0_to_cf_are_frames_except_three(code: int) -> None:
    """The three are Huffman tables, extensions, and conditions of arithmetic coding."""
    data = jpeg(RGB).replace(b"\xff\xc0", bytes([0xFF, code]), 1)
    if code in (0xC4, 0xC8, 0xCC):
        with pytest.raises(ImageError, match="found no frame"):
            jpeg_markers.read_frame(data)
    else:
        assert jpeg_markers.read_frame(data).sof == code - 0xC0


def test_an_end_marker_before_the_frame_ends_a_jpeg() -> None:
    """Even if the bytes after it could be the rest of a segment."""
    with pytest.raises(ImageError, match="found no frame"):
        jpeg_markers.read_frame(with_segment(0xD9, b"more"))


def test_more_than_the_limit_of_segments_are_too_complex() -> None:
    data = made("4:2:0")
    comments = segment(0xFE, b"") * jpeg_markers.MAX_SEGMENTS
    with pytest.raises(ImageError) as error:
        jpeg_markers.read_frame(data[:2] + comments + data[2:])
    assert error.value.reason == "too_complex"
