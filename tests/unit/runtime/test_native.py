"""The C extension gives the same results as the Python code that it replaces."""

from __future__ import annotations

import sys
import tracemalloc
from array import array
from collections.abc import Callable, Iterable, Iterator
from types import MappingProxyType
from typing import Any
from unittest import mock

import numpy as np
import pytest
from conftest import jpeg, needs_c, oriented, photo
from example_bytes import entry, exact, field, packed, payload_of, strings, unpacked, varint
from hypothesis import given, settings
from hypothesis import strategies as st
from jpeg_bytes import PHOTOSHOP, RESOURCE, XMP, exif, many_tags, segment
from PIL import Image

from tfrec_cli.errors import TfrecError
from tfrec_cli.imaging.jpeg import markers as jpeg_markers
from tfrec_cli.reading import batch
from tfrec_cli.runtime import native
from tfrec_cli.tfrecord import example

pytestmark = needs_c
fixed = settings(deadline=None, derandomize=True, max_examples=400)
nothing_known = {
    "single_values": None,
    "cut": None,
    "encode": None,
    "jpeg_frame": None,
    "read_records": 0,
    "scan_end": -1,
    "stack": False,
}


def outcome(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Return the result of a function, or the type and message of its exception."""
    try:
        return function(*arguments)
    except (TfrecError, OSError, TypeError, ValueError, OverflowError) as error:
        return type(error).__name__, str(error)


def without_c(function: Callable[..., Any], inputs: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Return the outcome for each input with C switched off."""
    answers = {name: mock.Mock(return_value=answer) for name, answer in nothing_known.items()}
    with mock.patch.multiple(native, **answers):
        return [outcome(function, arguments) for arguments in inputs]


def agree(function: Callable[..., Any], inputs: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Return the outcome for each input, after checking that it is the same without C."""
    given = list(inputs)
    found = [outcome(function, arguments) for arguments in given]
    assert_same(given, found, without_c(function, given))
    return found


def assert_same(given: list[Any], found: list[Any], expected: list[Any]) -> None:
    """Fail with the first inputs whose outcome is not the expected one."""
    others = [case for case in zip(given, found, expected, strict=True) if case[1] != case[2]]
    assert others[:3] == []


def changed(data: bytes, *changes: int) -> Iterator[bytes]:
    """Cut ``data`` at every byte, and change each byte by exclusive or with each of ``changes``."""
    for place in range(len(data)):
        yield data[:place]
        for change in changes:
            yield data[:place] + bytes([data[place] ^ change]) + data[place + 1 :]


def twice(data: bytes) -> memoryview:
    """Return ``data`` as a view that is not contiguous: every second byte of another object."""
    return memoryview(bytes(np.repeat(np.frombuffer(data, np.uint8), 2)))[::2]


def test_it_is_compiled() -> None:
    """Otherwise the tests here would compare Python with itself."""
    assert native.is_compiled


# Values of Examples

WANTED = {"image": "image", "label": "class", "key": "key"}
LABEL = entry(b"label", packed(b"\x96\x01"))
KEY = entry(b"key", unpacked(varint(2**64 - 2)))
OTHER = entry(b"other", field(2, field(1, bytes(4))))
SINGLE = payload_of(entry(b"image", strings(b"abc")), LABEL, KEY)
EXAMPLE = payload_of(entry(b"image", strings(b"abc")), LABEL, KEY, OTHER)


def read_values(payload: memoryview) -> dict[str, Any]:
    found = example.SingleValues(WANTED).read(payload)
    return {called: one if isinstance(one, int) else bytes(one) for called, one in found.items()}


def read_all(payload: bytes) -> Any:
    kind, message = example.parse(payload)
    if kind != "tf.train.Example":
        return kind
    found = example.features(message)
    return [(name, one.kind, list(one.values)) for name, one in found.items()]


def content(data: bytes) -> tuple[bytes, bytes]:
    """Return the content of the first field, and what follows it."""
    length, start = 0, 1
    while True:
        length |= (data[start] & 0x7F) << 7 * (start - 1)
        start += 1
        if data[start - 1] < 0x80:
            return data[start : start + length], data[start + length :]


def only_wanted(payload: bytes) -> bytes:
    """Remove the other features of an Example: errors in them may be overlooked."""
    kept = []
    features, _ = content(payload)
    while features:
        feature, rest = content(features)
        if content(feature)[0] in {name.encode() for name in WANTED}:
            kept.append(features[: len(features) - len(rest)])
        features = rest
    return payload_of(*kept)


def values_of(payloads: Iterable[bytes]) -> list[Any]:
    """Read the wanted values of Examples; also read all values, and compare with Python's."""
    given = list(payloads)
    agree(read_all, [(payload,) for payload in given])
    agree(lambda payload: len(example.decode(payload)), [(payload,) for payload in given])
    found = [outcome(read_values, (exact(payload),)) for payload in given]
    overlooks = [
        isinstance(values, dict) and isinstance(strict, tuple)
        for values, strict in zip(found, strictly(given), strict=True)
    ]
    looked_at = [
        only_wanted(payload) if overlook else payload
        for payload, overlook in zip(given, overlooks, strict=True)
    ]
    assert_same(given, found, strictly(looked_at))
    return found


def strictly(payloads: list[bytes]) -> list[Any]:
    return without_c(read_values, [(exact(payload),) for payload in payloads])


def test_values_of_a_usual_example_are_read() -> None:
    assert native.single_values(memoryview(EXAMPLE), {b"key": "a"}) == {"a": -2}
    assert values_of([EXAMPLE]) == [{"image": b"abc", "class": 150, "key": -2}]
    whole = payload_of(LABEL, entry(b"image", strings(b"abc")))
    assert native.single_values(whole, None) == {"label": 150, "image": b"abc"}
    assert read_all(whole) == [("image", "bytes", [b"abc"]), ("label", "int64", [150])]


@pytest.mark.slow
@pytest.mark.parametrize("payload", [EXAMPLE, SINGLE], ids=["a list too", "single values"])
def test_values_of_an_example_changed_anywhere(payload: bytes) -> None:
    values_of(changed(payload, *range(1, 256)))


def test_values_and_lengths_in_any_number_of_bytes() -> None:
    numbers = [
        fill * (size - 1) + bytes([last])
        for size in range(1, 12)
        for fill in (b"\x80", b"\xff", b"\x96")
        for last in (0, 1, 2, 3, 0x7F, 0x80)
    ]
    made = [entry(b"label", kind(number)) for number in numbers for kind in (packed, unpacked)]
    made += [b"\x0a" + number + LABEL[2:] for number in numbers]
    made += [entry(b"image", field(1, b"\x0a" + number)) for number in numbers]
    assert {"class": -(2**63)} in values_of(payload_of(one, OTHER) for one in made)


lists = [packed(b"\7"), strings(b"x"), strings(), packed(), field(4), strings(b"x") + packed(b"\7")]
entries = [entry(name, one) for name in (b"label", b"\xff") for one in lists]
pieces = st.sampled_from([*entries, KEY, OTHER, field(1), field(1, b"x"), field(2), b"x"])


@fixed
@given(st.lists(pieces, max_size=4), st.sampled_from([b"", b"\x12\x00", b"\x0a"]))
def test_values_of_any_features(some: list[bytes], after: bytes) -> None:
    values_of([payload_of(*some) + after])


def test_values_of_bytes_that_are_scattered_or_in_items() -> None:
    image = entry(b"image", strings(bytes(3 + len(LABEL) % 2)))
    data = memoryview(payload_of(LABEL, image))
    views = [twice(bytes(data)), data.cast("H"), data[::-1], data[:0]]
    found = agree(read_values, [(view,) for view in views])
    assert found[0] == found[1] == read_values(data)
    assert native.single_values(data.cast("B", (len(data) // 2, 2)), {b"label": "a"}) is None


# Examples of values

names = st.text(st.sampled_from("ab\0é\ud800\uffff🦉"), max_size=3)
numbers = st.integers() | st.sampled_from([0, 127, 128, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1])


def test_usual_features_are_encoded() -> None:
    written = payload_of(entry(b"a", strings(b"x")), entry(b"b", packed(b"\7")))
    assert native.encode({"b": 7, "a": b"x"}) == written


@fixed
@given(st.dictionaries(names, numbers | st.binary(max_size=200), max_size=6))
def test_features_of_any_name(features: dict[str, Any]) -> None:
    agree(example.encode, [(features,)])


def test_features_of_any_kind_and_number() -> None:
    class Text(str):
        __slots__ = ()

    class Features(dict[Any, Any]):
        pass

    values = [b"x", 7, True, None, [b"x"], [7, 8], [0.5], 0.5, np.int64(7), bytearray(b"x")]
    features: list[Any] = [{key: one} for key in ["", Text("a"), 7, b"a", None] for one in values]
    features += [{"a": b"x", 7: 7}, {7: 7, "a": b"x"}, {"a": b"x", Text("b"): 7}, {}, [("a", 7)], 7]
    features += [Features(a=7), MappingProxyType({"a": 7})]
    for size in (1, 31, 32, 33, 100):
        features.append({f"n{place * 37 % size}": place for place in range(size)})
    for length in (2**7, 2**14, 2**21):
        sizes = range(length - 20, length + 2)
        features += [{"a": bytes(size), "b" * (size % 200): 1} for size in sizes]
    agree(example.encode, [(one,) for one in features])


# Markers of JPEGs

SMALL = photo(9, 17)
JPEGS = {
    "4:2:0": jpeg(SMALL, subsampling="4:2:0"),
    **{mode: jpeg(Image.fromarray(SMALL).convert(mode)) for mode in ("L", "CMYK")},
    "progressive": jpeg(SMALL, progressive=True),
    "restarts": jpeg(SMALL, restart_marker_blocks=1),
    "a profile": jpeg(SMALL, icc_profile=bytes(20), comment=b"\xff\xd9"),
    "EXIF": jpeg(SMALL, exif=oriented(6)),
    "a camera's": jpeg(
        SMALL, exif=many_tags(8), xmp=b"<x/>", extra=segment(0xED, PHOTOSHOP + 2 * RESOURCE)
    ),
}
PLAIN = JPEGS["4:2:0"]
HEAD = PLAIN[: jpeg_markers.read_frame(PLAIN).end]
TABLES, SCAN = HEAD[: HEAD.index(b"\xff\xda")], HEAD[HEAD.index(b"\xff\xda") :]


def markers(datas: Iterable[bytes], start: int = len(HEAD)) -> list[Any]:
    """Read the markers of JPEGs; ``start`` is where the first scan is said to begin."""
    given = list(map(exact, datas))
    before = jpeg_markers.Frame(0, 9, 17, (), True, False, 1, True, start)
    agree(jpeg_markers.read, [(one, before) for one in given])
    agree(jpeg_markers.read, [(one,) for one in given])
    return agree(jpeg_markers.read_frame, [(one,) for one in given])


def test_markers_of_a_usual_jpeg_are_read() -> None:
    usual = [name for name, data in JPEGS.items() if jpeg_markers.read_frame(data).plain]
    assert usual == [name for name in JPEGS if name != "CMYK"]
    assert native.scan_end(PLAIN, len(HEAD)) == len(PLAIN) - 2


@pytest.mark.slow
@pytest.mark.parametrize("data", JPEGS.values(), ids=JPEGS.keys())
def test_markers_of_a_jpeg_changed_anywhere(data: bytes) -> None:
    markers([data, data + b"\xff\xd9", data + b"\xff", *changed(data, 1, 0x10, 0xFF, 0xD9)])


def segment_of(code: int, body: bytes, length: int) -> bytes:
    return bytes([0xFF, code]) + ((len(body) + length) % 2**16).to_bytes(2, "big") + body


codes = [
    0xC0,
    0xC2,
    0xC3,
    0xC4,
    0xC8,
    0xCC,
    0xD9,
    0xDB,
    *range(0xE0, 0xE4),
    *range(0xEC, 0xF0),
    0xFE,
]
frames = [b"\x08\0\x09\0\x11" + bytes([n]) + b"\x01\x22\0" * n for n in range(6)]
frames += [b"\x08\0\0\0\x11" + frames[3][5:], b"\x08\0\x09\0\0" + frames[3][5:]]
frames += [b"\x0c" + frames[3][1:], frames[3][:13], frames[3][:5], frames[3] + b"\0"]
profiles = [b"ICC_PROFILE\0\1\1x", b"ICC_PROFILE\0\2\2x", b"ICC_PROFILE\0\1\1", b"ICC_PROFILE__\1x"]
tables = [bytes(65), b"\x0f" * 65, b"\x10" * 65, bytes(130), bytes(65) + b"\x10" * 65, bytes(64)]
metadata = [exif(), exif(kind=4), exif(resolution_kind=1), exif(resolution_at=51), exif()[:-1]]
metadata += [XMP, XMP + b"tiff:Orientation", XMP[:-1], PHOTOSHOP, PHOTOSHOP + 2 * RESOURCE]
metadata += [PHOTOSHOP + RESOURCE[:size] for size in range(len(RESOURCE))]
bodies = [*metadata, *frames, *profiles, *tables, b"", bytes(11), bytes(12), bytes(13), bytes(14)]


def test_markers_of_any_segment() -> None:
    """Each segment before and after the others, and each pair of segments instead of them."""
    lengths = [2, -1, 0, 1, 3, 700, 60_000]
    any_segment = [segment_of(c, body, more) for c in codes for body in bodies for more in lengths]
    markers(HEAD[:2] + one + HEAD[2:] + b"\0\xff\xd9" for one in any_segment)
    markers(TABLES + one + SCAN + b"\0\xff\xd9" for one in any_segment)
    usual = [segment(0xC0, body) for body in frames] + [segment(0xDB, body) for body in tables]
    usual += [segment(code, body) for code in (0xE1, 0xED) for body in metadata[:10]]
    usual += [segment(0xE2, body) for body in profiles] + [b"\xff", b"", segment(0xFE, b"")]
    scans = [SCAN, HEAD[2:], b"\xff\xda\0\2", b"\xff\xda\0\3\1\xff\xd9", b"\xff\xda\0", b"\xff\xda"]
    markers(HEAD[:2] + one + other + scan for one in usual for other in usual for scan in scans)


@pytest.mark.slow
@pytest.mark.parametrize("piece", [segment(0xFE, b""), b"\xff"])
def test_markers_of_as_many_segments_as_are_read(piece: bytes) -> None:
    counts = range(jpeg_markers.MAX_SEGMENTS - 12, jpeg_markers.MAX_SEGMENTS + 2)
    found = agree(jpeg_markers.read_frame, [(HEAD[:2] + piece * n + HEAD[2:],) for n in counts])
    assert {type(one) for one in found} == {jpeg_markers.Frame, tuple}


@pytest.mark.parametrize("size", [1, 2, 2048, 4093, 4094, 4095, 4096, 4097, 8192])
def test_markers_after_fill_bytes(size: int) -> None:
    fill = b"\xff" * size
    starts = [b"", b"\x12", b"\xff\0", b"\xff\xd9", b"\xff\xff\xd3", fill + b"\0"]
    ends = [b"", b"\xd9", b"\0", b"\0\xff\xd9", b"\xd0\xff\xd9", b"\xd8\xff\xd9", SCAN + b"\xd9"]
    markers(HEAD + start + fill + end for start in starts for end in ends)


@fixed
@given(st.lists(st.sampled_from(b"\0\x12\xff\xff\xd0\xd7\xd8\xd9\xda")), st.integers(-3, 20))
def test_markers_in_any_scan(scan: list[int], start: int) -> None:
    markers([HEAD + bytes(scan)], len(HEAD) + start)


@pytest.mark.parametrize("start", [-sys.maxsize - 1, -1, len(PLAIN), 2**62, sys.maxsize])
def test_no_end_is_found_outside_the_data(start: int) -> None:
    assert native.scan_end(PLAIN, start) == -1


def test_markers_in_bytes_of_any_kind() -> None:
    views: list[Any] = [bytearray(PLAIN), memoryview(PLAIN), "text", 7, None]
    found = agree(jpeg_markers.read, [(view,) for view in views])
    assert found[:2] == [jpeg_markers.read(PLAIN)] * 2


# Pixels


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_pixels_of_any_shape(dtype: str) -> None:
    def convert(pixels: Any, shape: tuple[int, ...], step: int) -> Any:
        out = np.zeros((*shape[:-1], shape[-1] * step), dtype)
        batch._convert(pixels, out[..., ::step])
        return out.tolist()

    values = np.arange(256, dtype=np.uint8).reshape(8, 32)
    views = [values, values[:, ::-1], values.T, values[:1], values[:, :1], values[:0], values[0]]
    shapes = [(8, 32), (32, 8), (4, 8, 8), (0, 32), (1, 32), (256,), (255,)]
    found = agree(convert, [(one, shape, n) for one in views for shape in shapes for n in (1, 2)])
    assert found[0] == (values * np.float32(1 / 255) if dtype == "float32" else values).tolist()


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("planar", [False, True])
def test_pixels_of_a_part_of_an_image(dtype: str, planar: bool) -> None:
    """Of any part, also turned or with other channels; as they are, or as three planes."""

    def convert(pixels: Any, shape: tuple[int, ...]) -> Any:
        out = np.full(shape, 7, dtype)
        batch._convert(pixels, out, planar=planar)
        return out.tolist()

    image = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    views = [image, image[1:4, 2:6], image[:, ::-1], image[::-1], image[::2, ::2], image[..., ::-1]]
    views += [image[:0], image[:, :0], image[:1, :1], image[..., :2], image.transpose(1, 0, 2)]
    shapes = [one.transpose(2, 0, 1).shape if planar else one.shape for one in views]
    found = agree(convert, list(zip(views, shapes, strict=True)))
    scale = np.float32(1 / 255) if dtype == "float32" else np.uint8(1)
    for values, view in zip(found, views, strict=True):
        expected = view.transpose(2, 0, 1) if planar else view
        assert values == (expected * scale).tolist()


def test_planes_of_values_that_are_no_pixels_are_not_stacked() -> None:
    assert not native.stack([np.zeros(4, np.uint8)], np.zeros(4, np.uint8), False, True)


def test_pixels_that_are_not_stacked() -> None:
    pixels, odd = np.zeros(4, np.uint8), np.frombuffer(bytearray(17), np.uint8)[1:]
    outs: list[Any] = [bytes(4), twice(bytes(4)), odd.view(np.float32), np.zeros(2), None]
    assert [native.stack([pixels], out, True) for out in outs] == [False] * len(outs)
    others: list[Any] = [np.zeros(4, np.int16), twice(bytes(4)), "text", 7]
    some = [native.stack([pixels, one], np.zeros(8, np.uint8), False) for one in others]
    assert some == [False] * len(others)


@pytest.mark.parametrize("size", [0, 3, 5])
def test_another_number_of_pixels_is_an_error(size: int) -> None:
    with pytest.raises(ValueError, match=f"^found 4 values, expected {size}$"):
        native.stack([np.zeros(4, np.uint8)], np.zeros(size, np.float32), True)


# Memory


def test_no_call_leaks_memory_references_or_buffers() -> None:
    """Neither when it returns a result nor when it raises an error."""
    data = bytearray(payload_of(OTHER, LABEL, entry(b"image", strings(bytes(300)))))
    name, view, values = "".join(["a", "b"]), memoryview(data), array("f", list(data))
    calls: list[tuple[Any, ...]] = [
        *[(native.single_values, view, {key: name}) for key in (b"label", b"image", b"other")],
        *[(native.encode, {name: one, "b": one}) for one in (b"x", 2**50, 0.5)],
        *[(native.scan_end, one, 0) for one in (data, name)],
        *[(native.read_records, one, array("q", [0, 16]), data) for one in (-1, name)],
        *[(native.jpeg_frame, one) for one in (PLAIN, HEAD, name)],
        *[(native.cut, one, 0, 0, 1, size) for one in (PLAIN, HEAD, name) for size in (1, 99)],
        *[(native.stack, one, values, True) for one in ([data], [data, data], [data, name])],
    ]
    for function, *arguments in calls:
        outcome(function, tuple(arguments))
        counts = [sys.getrefcount(one) for one in (True, False, None, name, data, 2**50)]
        tracemalloc.start()
        for _ in range(200):
            outcome(function, tuple(arguments))
        left, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        after = [sys.getrefcount(one) for one in (True, False, None, name, data, 2**50)]
        assert (left < 2_000, after) == (True, counts)
    view.release()
    data.append(0)
    values.append(0)
