"""Single values of many Examples: the same values that `decode` returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from conftest import tf
from example_bytes import entry, exact, field, packed, payload_of, strings, unpacked, varint
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_cli.errors import ExampleError
from tfrec_cli.runtime import native
from tfrec_cli.tfrecord import example

Values = dict[str, "bytes | int"]

WANTED = {"image": "image", "label": "class", "key": "key", "é": "accent"}

fixed = settings(deadline=None, derandomize=True, max_examples=200)

int64s = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 300)
names = st.sampled_from([*WANTED, "other", "", "imag", "label2"])
feature_values = (
    st.lists(st.binary(max_size=9), max_size=2)
    | st.lists(int64s, min_size=1, max_size=2)
    | st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=2)
)
features = st.dictionaries(names, feature_values, max_size=5)


def plain(values: Mapping[str, memoryview | int]) -> Values:
    return {
        name: value if isinstance(value, int) else bytes(value) for name, value in values.items()
    }


def read(reader: example.SingleValues, payload: bytes) -> Values:
    return plain(reader.read(exact(payload)))


def by_decode(payload: bytes) -> Values:
    """Return what `SingleValues` should read according to its documentation."""
    found: Values = {}
    for name, feature in example.decode(payload).items():
        if name in WANTED and feature.kind in ("bytes", "int64") and len(feature.values) == 1:
            found[WANTED[name]] = feature.values[0]
    return found


def either(function: Any, *arguments: Any) -> Values | str:
    """Return the result of a function, or "refused" if it raises ExampleError."""
    try:
        result: Values = function(*arguments)
    except ExampleError:
        return "refused"
    return result


def values_of(payload: bytes) -> Values | str:
    return either(read, example.SingleValues(WANTED), payload)


# According to the documentation


@fixed
@given(features)
def test_encoded_values_are_read(values: dict[str, Sequence[Any]]) -> None:
    payload = example.encode(values)
    assert values_of(payload) == by_decode(payload)


@fixed
@given(st.permutations(["image", "label", "key", "é", "other"]), int64s, int64s, st.binary())
def test_values_are_read_in_any_order(order: list[str], label: int, key: int, image: bytes) -> None:
    made = {
        "image": entry(b"image", strings(image)),
        "label": entry(b"label", packed(varint(label % 2**64))),
        "key": entry(b"key", unpacked(varint(key % 2**64))),
        "é": entry("é".encode(), strings(b"")),
        "other": entry(b"other", field(2, field(1, bytes(8)))),
    }
    payload = payload_of(*[made[name] for name in order])
    assert values_of(payload) == {"image": image, "class": label, "key": key, "accent": b""}


def test_values_of_tensorflows_examples_are_read() -> None:
    """In the order of its map, which is not sorted by name."""
    lists = {int: ("int64_list", tf.train.Int64List), float: ("float_list", tf.train.FloatList)}

    @fixed
    @given(st.lists(features, max_size=4))
    def check(records: list[dict[str, list[Any]]]) -> None:
        reader = example.SingleValues(WANTED)
        for values in records:
            message = tf.train.Example()
            for name, value in values.items():
                kind = type(value[0]) if value else bytes
                key, make = lists.get(kind, ("bytes_list", tf.train.BytesList))
                message.features.feature[name].CopyFrom(
                    tf.train.Feature(**{key: make(value=value)})
                )
            payload = message.SerializeToString()
            assert read(reader, payload) == by_decode(payload)

    check()


@pytest.mark.skipif(not native.is_compiled, reason="the Python code copies them")
def test_bytes_are_not_copied() -> None:
    payload = memoryview(bytearray(example.encode({"image": b"abc"})))
    image = example.SingleValues(WANTED).read(payload)["image"]
    assert isinstance(image, memoryview)
    assert image.obj is payload.obj


@pytest.mark.parametrize(
    ("lists", "values"),
    [
        (packed(b"\x07"), {"class": 7}),
        (unpacked(b"\x07"), {"class": 7}),
        (packed(varint(2**64 - 1)), {"class": -1}),
        (unpacked(varint(2**64 - 1)), {"class": -1}),
        (packed(varint(2**63)), {"class": -(2**63)}),
        (packed(varint(2**63 - 1)), {"class": 2**63 - 1}),
        (packed(b"\x87\x00"), {"class": 7}),
        (packed(b"\x07", b"\x08"), {}),
        (unpacked(b"\x07", b"\x08"), {}),
        (packed(), {}),
        (field(3), {}),
        (strings(b"x"), {"class": b"x"}),
        (strings(b""), {"class": b""}),
        (strings(b"x", b"y"), {}),
        (strings(), {}),
        (field(2, field(1, bytes(4))), {}),
        (b"", {}),
    ],
    ids=str,
)
def test_a_list_gives_its_only_value_or_none(lists: bytes, values: Values) -> None:
    assert values_of(payload_of(entry(b"label", lists))) == values


REFUSED = {
    "no example": b"not an example",
    "one byte": b"\xff",
    "another field": payload_of(entry(b"label", packed(b"\x07"))) + b"\x12\x00",
    "an unknown kind": payload_of(entry(b"label", field(4, b"\x0a\x00"))),
    "two kinds": payload_of(entry(b"label", strings(b"x"), packed(b"\x07"))),
    "two kinds, otherwise": payload_of(entry(b"label", packed(b"\x07"), strings(b"x"))),
    "a list in two pieces": payload_of(
        entry(b"label", field(3, field(1, b"\x07"), field(1, b"\x08")))
    ),
    "a list packed and not": payload_of(entry(b"label", field(3, field(1, b"\x07"), b"\x08\x08"))),
    "an empty piece": payload_of(entry(b"label", field(3, field(1), field(1, b"\x08")))),
    "two lists of numbers": payload_of(entry(b"label", packed(b"\x07") + packed(b"\x08"))),
    "two lists of bytes": payload_of(entry(b"label", strings(b"x") + strings(b"y"))),
    "a long length": b"\x0a\x8f\x80\x00" + payload_of(entry(b"label", packed(b"\x07")))[2:],
    "a list with a long length": payload_of(entry(b"label", field(3, b"\x0a\x81\x00\x07"))),
    "a list with a long tag": payload_of(entry(b"label", field(3, b"\x8a\x00\x01\x07"))),
    "twice": payload_of(*[entry(b"label", packed(b"\x07"))] * 2),
    "twice, apart": payload_of(
        entry(b"label", packed(b"\x07")), entry(b"key", packed(b"\x07")), entry(b"label", packed())
    ),
    "a varint cut off": payload_of(entry(b"label", packed(b"\x87"))),
    "an unpacked varint cut off": payload_of(entry(b"label", unpacked(b"\x87"))),
    "a varint too long": payload_of(entry(b"label", packed(b"\x80" * 10 + b"\x00"))),
    "a string too long": payload_of(entry(b"image", field(1, b"\x0a\x05abc"))),
    "a name after its value": payload_of(field(1, field(2, packed(b"\x07")), field(3, b"x"))),
}


@pytest.mark.parametrize("payload", REFUSED.values(), ids=REFUSED.keys())
def test_payloads_that_decode_refuses_are_refused(payload: bytes) -> None:
    with pytest.raises(ExampleError):
        read(example.SingleValues(WANTED), payload)


@pytest.mark.parametrize(
    "other",
    [
        entry(b"other", b"junk"),
        entry(b"\xff", packed(b"\x07")),
        entry(b"other", packed(b"\x07")) * 2,
        entry(b"other", strings(b"x"), packed(b"\x07")),
    ],
    ids=["junk", "no UTF-8", "twice", "two kinds"],
)
def test_errors_in_features_that_are_not_wanted_give_no_wrong_values(other: bytes) -> None:
    payload = payload_of(entry(b"label", packed(b"\x07")), other)
    assert values_of(payload) in ({"class": 7}, "refused")


# Payloads that look alike

PAIRS: dict[str, tuple[bytes, bytes]] = {
    "another value": (entry(b"label", packed(b"\x07")), entry(b"label", packed(b"\x08"))),
    "another name": (entry(b"label", packed(b"\x07")), entry(b"lebal", packed(b"\x07"))),
    "another wanted name": (entry(b"label", packed(b"\x07")), entry(b"image", packed(b"\x07"))),
    "another kind": (entry(b"label", strings(b"\x07")), entry(b"label", packed(b"\x07"))),
    "the other kind": (entry(b"label", packed(b"\x07")), entry(b"label", strings(b"\x07"))),
    "floats": (entry(b"label", strings(bytes(4))), entry(b"label", field(2, field(1, bytes(4))))),
    "two values": (entry(b"label", packed(b"\x96\x01")), entry(b"label", packed(b"\x05", b"\x06"))),
    "one value": (entry(b"label", packed(b"\x05", b"\x06")), entry(b"label", packed(b"\x96\x01"))),
    "ten values": (
        entry(b"label", packed(varint(2**64 - 1))),
        entry(b"label", packed(*[b"\x01"] * 10)),
    ),
    "a value spelled longer": (
        entry(b"label", packed(b"\x96\x01")),
        entry(b"label", packed(b"\x96\x00")),
    ),
    "a varint cut off": (entry(b"label", packed(b"\x07")), entry(b"label", packed(b"\x87"))),
    "a varint cut off before more": (
        entry(b"label", packed(b"\x07")) + entry(b"other", packed(b"\x07")),
        entry(b"label", packed(b"\x87")) + entry(b"other", packed(b"\x07")),
    ),
    "an unpacked varint cut off": (
        entry(b"label", unpacked(b"\x07")),
        entry(b"label", unpacked(b"\x87")),
    ),
    "an unpacked varint and a byte": (
        entry(b"label", unpacked(b"\x96\x01")),
        entry(b"label", unpacked(b"\x05\x06")),
    ),
    "an unpacked varint and a field": (
        entry(b"label", unpacked(b"\x96\x96\x01")),
        entry(b"label", unpacked(b"\x05\x08\x06")),
    ),
    "a varint over 64 bits": (
        entry(b"label", packed(b"\xff" * 9 + b"\x01")),
        entry(b"label", packed(b"\xff" * 9 + b"\x7f")),
    ),
    "packed or not": (entry(b"label", packed(b"\x07")), entry(b"label", unpacked(b"\x87\x00"))),
    "two strings": (entry(b"image", strings(b"abcd")), entry(b"image", strings(b"a", b"b", b""))),
    "two strings of one length": (
        entry(b"image", strings(b"abcd")),
        entry(b"image", strings(b"a", b"b")),
    ),
    "lengths that make up for each other": (
        entry(b"image", strings(b"abcd")) + entry(b"label", packed(b"\x07")),
        entry(b"image", strings(b"abc")) + entry(b"label", packed(b"\x87\x01")),
    ),
    "two values that make up for each other": (
        entry(b"key", packed(b"\x87\x01")) + entry(b"label", packed(b"\x07")),
        entry(b"key", packed(b"\x07")) + entry(b"label", packed(b"\x87\x01")),
    ),
    "another order": (
        entry(b"key", packed(b"\x07")) + entry(b"image", strings(b"\x08")),
        entry(b"image", strings(b"\x08")) + entry(b"key", packed(b"\x07")),
    ),
    "twice": (
        entry(b"label", packed(b"\x07")) + entry(b"lebal", packed(b"\x08")),
        entry(b"label", packed(b"\x07")) + entry(b"label", packed(b"\x08")),
    ),
    "two kinds": (
        entry(b"label", strings(b"abcde")),
        entry(b"label", strings(b"") + packed(b"\x05")),
    ),
    "two kinds in one string": (
        entry(b"label", strings(b"ab\x1a\x03\x0a\x01\x05")),
        entry(b"label", strings(b"ab") + packed(b"\x05")),
    ),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS.keys())
def test_records_that_look_alike_have_their_own_values(pair: tuple[bytes, bytes]) -> None:
    payloads = [payload_of(entries) for entries in pair]
    assert list(map(values_of, payloads)) == [either(by_decode, one) for one in payloads]


list_bytes = st.sampled_from(
    [
        strings(b"abc"),
        strings(b"ab\x1a\x03\x0a\x01\x05"),
        packed(b"\x07"),
        packed(b"\x96\x01"),
        packed(b"\x96\x96\x01"),
        packed(varint(2**64 - 2)),
        unpacked(b"\x07"),
        unpacked(b"\x96\x96\x01"),
        unpacked(varint(2**64 - 2)),
    ]
)
changes = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 255)), min_size=1, max_size=3)


@settings(fixed, max_examples=600)
@given(list_bytes, changes)
def test_changed_lists_are_read_as_decode_reads_them(lists: bytes, changed: Any) -> None:
    other = bytearray(lists)
    for place, byte in changed:
        other[place % len(other)] = byte
    payload = payload_of(entry(b"label", bytes(other)), entry(b"key", packed(b"\x09")))
    assert values_of(payload) == either(by_decode, payload)


@fixed
@given(features, changes)
def test_changed_bytes_give_no_wrong_values(values: dict[str, Any], changed: Any) -> None:
    """A payload that decode refuses for an unwanted feature may be read or refused."""
    first = example.encode({**values, "key": 9})
    second = bytearray(first)
    for place, byte in changed:
        second[place * len(first) // 21] = byte
    expected = either(by_decode, bytes(second))
    assert expected in ("refused", values_of(bytes(second)))


@pytest.mark.parametrize("lists", [packed(b"\x96\x01"), unpacked(b"\x96\x01"), strings(b"abc")])
def test_every_cut_is_refused(lists: bytes) -> None:
    payload = payload_of(entry(b"key", packed(b"\x07")), entry(b"label", lists))
    found = [values_of(payload[:length]) for length in range(1, len(payload))]
    assert found == ["refused"] * (len(payload) - 1)


def test_an_empty_payload_has_no_values() -> None:
    assert values_of(b"") == {}


@fixed
@given(st.binary(max_size=40))
def test_random_bytes_are_read_as_decode_reads_them(payload: bytes) -> None:
    assert values_of(payload) == either(by_decode, payload)
