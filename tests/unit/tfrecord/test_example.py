"""Example: reads and writes the same bytes as TensorFlow's own protocol buffers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import example_bytes
import pytest
from conftest import needs, tf
from example_bytes import field, payload_of, varint
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_cli.errors import ExampleError
from tfrec_cli.tfrecord import example

FEATURES: dict[str, example.Value] = {
    "é": 7,
    "int64": [-1, 2**40],
    "float": [0.5, -2.0],
    "empty": [],
    "bytes": [b"\x00\xff", b""],
}
# Made by TensorFlow 2.21, with T = tf.train and F = T.Feature:
#   T.Example(features=T.Features(feature={
#       "bytes": F(bytes_list=T.BytesList(value=[b"\x00\xff", b""])),
#       "empty": F(bytes_list=T.BytesList()),
#       "float": F(float_list=T.FloatList(value=[0.5, -2.0])),
#       "int64": F(int64_list=T.Int64List(value=[-1, 2**40])),
#       "é": F(int64_list=T.Int64List(value=[7])),
#   })).SerializeToString(deterministic=True).hex()
GOLDEN = bytes.fromhex(
    "0a630a110a05627974657312080a060a0200ff0a000a0b0a05656d70747912020a000a150a05666c6f6174120c"
    "120a0a080000003f000000c00a1d0a05696e74363412141a120a10ffffffffffffffffff018080808080200a0b"
    "0a02c3a912051a030a0107"
)
# Made by TensorFlow 2.21 in the same way:
#   T.SequenceExample(
#       context=T.Features(feature={"id": F(int64_list=T.Int64List(value=[9]))}),
#       feature_lists=T.FeatureLists(feature_list={"step": T.FeatureList(feature=[
#           F(bytes_list=T.BytesList(value=[b"a"])), F(float_list=T.FloatList(value=[1.5])), F(),
#       ])}))
SEQUENCE = bytes.fromhex(
    "0a0d0a0b0a02696412051a030a0109121d0a1b0a047374657012130a050a030a01610a0812060a040000c03f0a00"
)

Plain = tuple[str, list[Any]]

fixed = settings(deadline=None, derandomize=True, max_examples=200)

int64s = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(width=32, allow_nan=False)
feature_values = (
    st.lists(st.binary(max_size=9), max_size=4)
    | st.lists(int64s, min_size=1, max_size=4)
    | st.lists(floats, min_size=1, max_size=4)
)
features = st.dictionaries(st.text(max_size=5), feature_values, max_size=5)


def plain(feature: example.Feature) -> Plain:
    return feature.kind, list(feature.values)


def decoded(payload: bytes) -> dict[str, Plain]:
    return {name: plain(feature) for name, feature in example.decode(payload).items()}


def kind_of(values: list[Any]) -> str:
    return {int: "int64", float: "float"}.get(type(values[0]) if values else bytes, "bytes")


def theirs(values: dict[str, list[Any]]) -> Any:
    """Build TensorFlow's Example of ``values``."""
    lists = {
        "bytes": ("bytes_list", tf.train.BytesList),
        "float": ("float_list", tf.train.FloatList),
        "int64": ("int64_list", tf.train.Int64List),
    }
    message = tf.train.Example()
    for name, value in values.items():
        kind, make = lists[kind_of(value)]
        message.features.feature[name].CopyFrom(tf.train.Feature(**{kind: make(value=value)}))
    return message


def entry(name: bytes, *feature: bytes) -> bytes:
    """Write an Example of one feature by hand."""
    return payload_of(example_bytes.entry(name, *feature))


INT_LIST = field(3, b"\x0a\x01\x07")
BYTES_LIST = field(1, b"\x0a\x01x")


# Golden bytes, and both directions with TensorFlow


def test_encode_returns_the_bytes_that_tensorflow_wrote() -> None:
    assert example.encode(FEATURES) == GOLDEN


def test_decode_reads_the_bytes_that_tensorflow_wrote() -> None:
    assert decoded(GOLDEN) == {
        "bytes": ("bytes", [b"\x00\xff", b""]),
        "empty": ("bytes", []),
        "float": ("float", [0.5, -2.0]),
        "int64": ("int64", [-1, 2**40]),
        "é": ("int64", [7]),
    }


def test_decode_sorts_features_by_name() -> None:
    assert list(example.decode(GOLDEN)) == ["bytes", "empty", "float", "int64", "é"]


def test_encode_agrees_with_tensorflow() -> None:
    """Byte for byte with its deterministic serialisation.

    All names have the same length: TensorFlow's Python runtime (upb) sorts "00" before "0", its
    C++ runtime and we do not. Both orders are read alike.
    """

    @fixed
    @given(st.dictionaries(st.text(min_size=3, max_size=3), feature_values, max_size=5))
    def check(values: dict[str, list[Any]]) -> None:
        expected = theirs(values).SerializeToString(deterministic=True)
        assert example.encode(values) == expected

    check()


def test_tensorflow_parses_what_we_encode() -> None:
    """With the C++ parser that training uses."""
    parsed = tf.io.parse_single_example(
        example.encode(FEATURES),
        {
            "bytes": tf.io.FixedLenFeature([2], tf.string),
            "empty": tf.io.VarLenFeature(tf.string),
            "float": tf.io.FixedLenFeature([2], tf.float32),
            "int64": tf.io.FixedLenFeature([2], tf.int64),
            "é": tf.io.FixedLenFeature([], tf.int64),
        },
    )
    assert {
        name: (tf.sparse.to_dense(value) if name == "empty" else value).numpy().tolist()
        for name, value in parsed.items()
    } == {
        "bytes": [b"\x00\xff", b""],
        "empty": [],
        "float": [0.5, -2.0],
        "int64": [-1, 2**40],
        "é": 7,
    }


def test_decode_reads_what_tensorflow_serialises() -> None:
    """In any order of its map, for any features, also those without a list."""

    @fixed
    @given(features, st.sets(st.text(max_size=5), max_size=2))
    def check(values: dict[str, list[Any]], unset: set[str]) -> None:
        message = theirs(values)
        for name in unset:
            message.features.feature[name].Clear()
        expected: dict[str, Plain] = {name: (kind_of(v), v) for name, v in values.items()}
        expected.update({name: ("unset", []) for name in unset})
        assert decoded(message.SerializeToString()) == expected

    check()


@st.composite
def hostile(draw: st.DrawFn) -> bytes:
    """Make almost an Example: bytes that the wire format allows but few writers write."""
    rare = st.sampled_from([0] * 40 + [1, 2])

    def tagged(number: int, content: bytes) -> bytes:
        tag, length = varint(number << 3 | 2, draw(rare)), varint(len(content), draw(rare))
        return tag + length + content

    def some(*made: Callable[[], bytes], most: int = 2) -> bytes:
        chosen = draw(st.lists(st.sampled_from(made), max_size=most))
        return b"".join(make() for make in chosen)

    def packed() -> bytes:
        numbers = draw(st.lists(st.integers(0, 2**64 - 1), max_size=3))
        return tagged(1, b"".join(varint(number, draw(rare)) for number in numbers))

    def a_list() -> bytes:
        number = draw(st.integers(1, 3))
        piece = {
            1: lambda: tagged(1, draw(st.binary(max_size=2))),
            2: lambda: tagged(1, bytes(4)) if draw(st.booleans()) else b"\x0d" + bytes(4),
            3: lambda: packed() if draw(st.booleans()) else b"\x08" + varint(draw(int64s) % 2**64),
        }[number]
        return tagged(number, some(piece, most=1 + draw(rare)))

    def an_entry() -> bytes:
        value = [tagged(2, a_list() + some(a_list, most=draw(rare)))]
        key = [tagged(1, draw(st.sampled_from([b"a", b"b", b"", b"\xff"])))]
        parts = draw(st.permutations(key * 2 + value * 2))[:2] if draw(rare) else key + value
        return tagged(1, b"".join(parts))

    count = draw(st.integers(1, 3))
    return some(
        lambda: tagged(1, b"".join(an_entry() for _ in range(count))),
        *[lambda: tagged(1, an_entry())] * 5,
        lambda: tagged(9, b""),
    )


def test_tensorflow_and_protobuf_read_the_same_values_as_decode() -> None:
    """If TensorFlow's parser and protobuf differ, or one refuses, we refuse.

    Exception: an empty int64 list, which TensorFlow reads as a list of any kind.
    """
    decoded_some = 0

    @settings(fixed, max_examples=600)
    @given(hostile())
    def check(payload: bytes) -> None:
        nonlocal decoded_some
        try:
            ours = decoded(payload)
        except ExampleError:
            return
        decoded_some += bool(ours)
        dtypes = {"bytes": tf.string, "float": tf.float32, "int64": tf.int64}
        spec = {
            name: tf.io.VarLenFeature(dtypes.get(kind, tf.string))
            for name, (kind, _) in ours.items()
        }
        if not spec:
            return
        parsed = tf.io.parse_single_example(payload, spec)
        theirs = {name: one.values.numpy().tolist() for name, one in parsed.items()}
        message = tf.train.Example.FromString(payload)
        upb = {
            name: list(getattr(one, one.WhichOneof("kind")).value) if one.WhichOneof("kind") else []
            for name, one in message.features.feature.items()
        }
        expected = {name: values for name, (_, values) in ours.items()}
        assert (theirs, upb) == (expected, expected)

    check()
    assert decoded_some > 100


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "unpacked"])
def test_decode_reads_numbers_packed_or_not(packed: bool) -> None:
    """Old writers give each number its own field."""
    numbers = b"\x0a\x02\x07\x08" if packed else b"\x08\x07\x08\x08"
    assert decoded(entry(b"a", field(3, numbers))) == {"a": ("int64", [7, 8])}


# Determinism


@pytest.mark.parametrize("hash_seed", ["0", "1", "4242"])
def test_encode_is_the_same_in_every_process(hash_seed: str) -> None:
    program = (
        "from tfrec_cli.tfrecord import example\n"
        f"print(example.encode(dict({sorted(FEATURES.items())!r})).hex())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONUTF8": "1"}
    process = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, check=True
    )
    assert bytes.fromhex(process.stdout.decode()) == GOLDEN


@fixed
@given(features, st.randoms(use_true_random=False))
def test_the_order_of_names_does_not_change_the_bytes(
    values: dict[str, list[Any]], random: Any
) -> None:
    shuffled = list(values.items())
    random.shuffle(shuffled)
    assert example.encode(dict(shuffled)) == example.encode(values)


@pytest.mark.parametrize(("value", "same"), [(b"x", [b"x"]), (7, [7]), ((1, 2), [1, 2])])
def test_a_single_value_is_encoded_as_a_list(value: example.Value, same: example.Value) -> None:
    assert example.encode({"a": value}) == example.encode({"a": same})


@fixed
@given(features)
def test_decode_returns_what_was_encoded(values: dict[str, list[Any]]) -> None:
    expected = {name: (kind_of(value), value) for name, value in values.items()}
    assert decoded(example.encode(values)) == expected


# Refused

SCORED = example.encode({"score": [1.5], "relevance": [3], "tokens": [b"a", b"b"]})
CONTEXT = field(2, example.encode({"query": [b"cats"]}))
RANKING = field(1, SCORED) + field(1, example.encode({"score": [0.5]})) + CONTEXT
"""An ExampleListWithContext: two documents, and what was asked for."""

NO_EXAMPLE = "the payload is not a tf.train.Example"
OVERLONG = (
    "found a tf.train.Example whose tags or lengths take more bytes than needed: "
    "not every parser reads it"
)
NO_SEQUENCE = "the payload is not a tf.train.SequenceExample"


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"\xff", NO_EXAMPLE),
        (b"not an example", NO_EXAMPLE),
        (GOLDEN[:-1], NO_EXAMPLE),
        (GOLDEN + b"\x1a\x00", NO_EXAMPLE),
        (SEQUENCE, "found a tf.train.SequenceExample, expected a tf.train.Example"),
        (
            field(1, GOLDEN),
            "found a tensorflow.serving.ExampleListWithContext, expected a tf.train.Example",
        ),
        (
            RANKING,
            "found a tensorflow.serving.ExampleListWithContext, expected a tf.train.Example",
        ),
        (entry(b"a", field(4, b"x")), NO_EXAMPLE),
        (entry(b"\xff\xfe", INT_LIST), r"found feature name b'\xff\xfe', expected UTF-8"),
        (entry(b"a", INT_LIST) * 2, "found feature 'a' twice, expected it once"),
        (
            entry(b"a", BYTES_LIST, INT_LIST),
            "feature 'a': found bytes and int64 values, expected one list of one kind",
        ),
        (
            entry(b"a", INT_LIST, INT_LIST),
            "feature 'a': found int64 and int64 values, expected one list of one kind",
        ),
        (
            entry(b"a", field(3, b"\x0a\x01\x07\x0a\x01\x08")),
            "feature 'a': its int64 list is damaged or in several pieces",
        ),
        (
            field(1, field(1, field(1, b"a"), field(1, b"b"), field(2, INT_LIST))),
            "found 2 names in a feature, expected one",
        ),
        (field(1, field(1, field(2, INT_LIST))), "found 0 names in a feature, expected one"),
        (field(1, field(1, field(1, b"a"))), "feature 'a': found 0 contents, expected one"),
        (b"\x0a\x80\x00", OVERLONG),
        (b"\x8a\x00\x00", OVERLONG),
        (b"\x4b" * 100_000 + b"\x4c" * 100_000, NO_EXAMPLE),
    ],
    ids=[
        "byte",
        "text",
        "cut",
        "field",
        "sequence",
        "one of a list",
        "ranking",
        "kind",
        "utf-8",
        "twice",
        "kinds",
        "lists",
        "pieces",
        "names",
        "no name",
        "no content",
        "long length",
        "long tag",
        "nested groups",
    ],
)
def test_decode_refuses_bytes_that_are_no_valid_example(payload: bytes, message: str) -> None:
    with pytest.raises(ExampleError) as raised:
        example.decode(payload)
    assert str(raised.value) == message


def test_decode_refuses_a_value_in_two_parts_of_different_kinds() -> None:
    """Protobuf merges the parts: the last kind would silently win."""
    payload = field(1, field(1, field(1, b"a"), field(2, BYTES_LIST), field(2, INT_LIST)))
    with pytest.raises(ExampleError):
        example.decode(payload)


def test_an_empty_payload_is_an_example_without_features() -> None:
    assert example.decode(b"") == {}


def any_payload() -> st.SearchStrategy[bytes]:
    """Bytes, and Examples in which a part is replaced by other bytes."""
    place = st.integers(0, len(GOLDEN))

    def spliced(good: bytes, start: int, new: bytes, end: int) -> bytes:
        return good[:start] + new + good[end:]

    goods = st.sampled_from([GOLDEN, SEQUENCE, entry(b"a", BYTES_LIST)])
    return st.binary(max_size=60) | st.builds(spliced, goods, place, st.binary(max_size=9), place)


@settings(fixed, max_examples=500)
@given(any_payload())
def test_decode_returns_features_or_raises_example_error(payload: bytes) -> None:
    try:
        features = example.decode(payload)
    except ExampleError:
        return
    assert isinstance(features, dict)


@settings(fixed, max_examples=500)
@given(any_payload())
def test_decode_sequence_returns_features_or_raises_example_error(payload: bytes) -> None:
    try:
        context, lists = example.decode_sequence(payload)
    except ExampleError:
        return
    assert isinstance(context, dict)
    assert isinstance(lists, dict)


@settings(fixed, max_examples=500)
@given(any_payload())
def test_classify_never_raises(payload: bytes) -> None:
    assert example.classify(payload)


@settings(fixed, max_examples=500)
@given(any_payload())
def test_event_kind_never_raises(payload: bytes) -> None:
    assert example.event_kind(payload)


@pytest.mark.slow
@settings(fixed, max_examples=500)
@given(any_payload().filter(bool))
def test_a_payload_that_can_be_decoded_is_classified_as_example(payload: bytes) -> None:
    try:
        example.decode(payload)
    except ExampleError:
        return
    assert example.classify(payload) == "tf.train.Example"


# SequenceExample and Event


def test_decode_sequence_reads_the_bytes_that_tensorflow_wrote() -> None:
    context, lists = example.decode_sequence(SEQUENCE)
    assert (
        {name: plain(feature) for name, feature in context.items()},
        {name: [plain(step) for step in steps] for name, steps in lists.items()},
    ) == (
        {"id": ("int64", [9])},
        {"step": [("bytes", [b"a"]), ("float", [1.5]), ("unset", [])]},
    )


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"\xff", NO_SEQUENCE),
        (SEQUENCE + b"\x18\x00", NO_SEQUENCE),
        (field(2, field(1, field(1, b"\xff"))), r"found feature name b'\xff', expected UTF-8"),
        (SEQUENCE + SEQUENCE, "found feature 'step' twice, expected it once"),
    ],
    ids=["byte", "field", "utf-8", "twice"],
)
def test_decode_sequence_refuses_bytes_that_are_no_valid_sequence(
    payload: bytes, message: str
) -> None:
    with pytest.raises(ExampleError) as raised:
        example.decode_sequence(payload)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (GOLDEN, "tf.train.Example"),
        (field(1), "tf.train.Example"),
        (SEQUENCE, "tf.train.SequenceExample"),
        (RANKING, "tensorflow.serving.ExampleListWithContext"),
        (RANKING[: -len(CONTEXT)], "tensorflow.serving.ExampleListWithContext"),
        (CONTEXT, "tensorflow.serving.ExampleListWithContext"),
        (field(1, GOLDEN), "tensorflow.serving.ExampleListWithContext"),
        (b"", "unknown"),
        (b"\xff\xd8\xff\xe0", "unknown"),
        (b"text", "unknown"),
        (b'{"json": 1}', "unknown"),
        (bytes(64), "unknown"),
        (entry(b"\xff", INT_LIST), "unknown"),
    ],
    ids=[
        "example",
        "no features",
        "sequence",
        "ranking",
        "without context",
        "only context",
        "one example",
        "empty",
        "jpeg",
        "text",
        "json",
        "zeros",
        "utf-8",
    ],
)
def test_payloads_are_classified(payload: bytes, kind: str) -> None:
    assert example.classify(payload) == kind


def events() -> dict[str, bytes]:
    """Make one event of each kind that TensorFlow knows: kind to payload."""
    event = tf.compat.v1.Event
    made = {"nothing": event(wall_time=1.5, step=3)}
    for what in event.DESCRIPTOR.oneofs_by_name["what"].fields:
        content = b"x" if what.message_type is None else b"\x78\x01"  # an unknown field
        made[what.name] = event.FromString(field(what.number, content))
        made[what.name].MergeFrom(made["nothing"])
    return {kind: message.SerializeToString() for kind, message in made.items()}


def test_every_event_of_tensorflow_is_classified() -> None:
    kinds = {kind: example.classify(payload) for kind, payload in events().items()}
    assert kinds == dict.fromkeys(kinds, "tensorflow.Event")


def test_every_event_of_tensorflow_is_named() -> None:
    made = events()
    assert [example.event_kind(payload) for payload in made.values()] == list(made)


def test_events_of_a_summary_writer_are_classified(tmp_path: Any) -> None:
    with tf.summary.create_file_writer(str(tmp_path)).as_default():
        tf.summary.write("loss", 0.5, step=1)
    (log,) = tmp_path.iterdir()
    payloads = list(tf.data.TFRecordDataset(str(log)).as_numpy_iterator())
    assert [(example.classify(payload), example.event_kind(payload)) for payload in payloads] == [
        ("tensorflow.Event", "file_version"),
        ("tensorflow.Event", "summary"),
    ]


# Together with TensorFlow in one process


@needs("tensorflow")
@pytest.mark.parametrize(
    "imports",
    [
        "from tfrec_cli.tfrecord import example; import tensorflow",
        "import tensorflow; import tfrec_cli.tfrecord.example",
    ],
    ids=["ours first", "theirs first"],
)
def test_tensorflow_can_be_imported_in_the_same_process(imports: str) -> None:
    """In the default descriptor pool the two definitions of the messages would collide."""
    program = (
        f"{imports}\n"
        "from tfrec_cli.tfrecord import example\n"
        f"theirs = tensorflow.train.Example.FromString(bytes.fromhex('{GOLDEN.hex()}'))\n"
        "ours = example.decode(theirs.SerializeToString())\n"
        "print(example.encode({name: list(one.values) for name, one in ours.items()}).hex())"
    )
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert bytes.fromhex(process.stdout.decode()) == GOLDEN
