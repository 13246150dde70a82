"""``tf.train.Example`` bytes to and from plain dictionaries, without TensorFlow.

Knows: the wire format of Example and SequenceExample, and how to tell payloads apart.
Must not know: TFRecord, or what any feature is called.

The message types live in a private descriptor pool, since the default one collides with
TensorFlow's in the same process. A map is declared here as the repeated entries that it is on the
wire: so the order written is ours (protobuf orders maps differently in every process), and a key
that stands there twice can be seen.

Source of the format: tensorflow/core/example/{example,feature}.proto,
tensorflow/core/util/event.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from numbers import Integral
from typing import Any, Literal

from tfrec_cli.errors import ExampleError

Kind = Literal["bytes", "float", "int64", "unset"]
Payload = Literal["tf.train.Example", "tf.train.SequenceExample", "tensorflow.Event", "unknown"]


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature's values and their kind; ``unset`` is a feature without a list."""

    kind: Kind
    values: Sequence[Any]


Value = bytes | int | Sequence[bytes] | Sequence[int] | Sequence[float]

_SCHEMA: dict[str, list[tuple[str, int, str, str, bool]]] = {
    # message: (field, number, type, message type, repeated)
    "BytesList": [("value", 1, "TYPE_BYTES", "", True)],
    "FloatList": [("value", 1, "TYPE_FLOAT", "", True)],
    "Int64List": [("value", 1, "TYPE_INT64", "", True)],
    "Feature": [
        ("bytes_list", 1, "TYPE_MESSAGE", "BytesList", False),
        ("float_list", 2, "TYPE_MESSAGE", "FloatList", False),
        ("int64_list", 3, "TYPE_MESSAGE", "Int64List", False),
    ],
    "FeatureEntry": [
        ("key", 1, "TYPE_BYTES", "", False),
        ("value", 2, "TYPE_MESSAGE", "Feature", False),
    ],
    "Features": [("feature", 1, "TYPE_MESSAGE", "FeatureEntry", True)],
    "Example": [("features", 1, "TYPE_MESSAGE", "Features", False)],
    "FeatureList": [("feature", 1, "TYPE_MESSAGE", "Feature", True)],
    "FeatureListEntry": [
        ("key", 1, "TYPE_BYTES", "", False),
        ("value", 2, "TYPE_MESSAGE", "FeatureList", False),
    ],
    "FeatureLists": [("feature_list", 1, "TYPE_MESSAGE", "FeatureListEntry", True)],
    "SequenceExample": [
        ("context", 1, "TYPE_MESSAGE", "Features", False),
        ("feature_lists", 2, "TYPE_MESSAGE", "FeatureLists", False),
    ],
    "Event": [
        ("wall_time", 1, "TYPE_DOUBLE", "", False),
        ("step", 2, "TYPE_INT64", "", False),
        ("file_version", 3, "TYPE_BYTES", "", False),
        ("graph_def", 4, "TYPE_BYTES", "", False),
        ("summary", 5, "TYPE_BYTES", "", False),
        ("log_message", 6, "TYPE_BYTES", "", False),
        ("session_log", 7, "TYPE_BYTES", "", False),
        ("tagged_run_metadata", 8, "TYPE_BYTES", "", False),
        ("meta_graph_def", 9, "TYPE_BYTES", "", False),
        ("source_metadata", 10, "TYPE_BYTES", "", False),
    ],
}


@cache
def _message_classes() -> dict[str, Any]:
    """Make the message types; loads protobuf, which whoever only writes does without."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field_type = descriptor_pb2.FieldDescriptorProto
    package = "tfrec_cli"
    file = descriptor_pb2.FileDescriptorProto(
        name="tfrec_cli/example.proto", package=package, syntax="proto3"
    )
    for message_name, fields in _SCHEMA.items():
        message = file.message_type.add(name=message_name)
        for name, number, kind, type_name, repeated in fields:
            field = message.field.add(name=name, number=number)
            field.type = field_type.Type.Value(kind)
            field.label = field_type.LABEL_REPEATED if repeated else field_type.LABEL_OPTIONAL
            if type_name:
                field.type_name = f".{package}.{type_name}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
        for name in _SCHEMA
    }


_Place = tuple[str | None, int, int, bool]
"""What a value is called, where it starts and stops in bytes, and whether it is a varint.

None is what is not wanted.
"""

_MOST_KNOWN = 256
"""Lengths of records to know the places of; crops have a few, whole images have too many."""

_VARINT_BITS = 70
"""What ten bytes hold, the most of a varint."""

_BYTES_LIST, _INT64_LIST = 0x0A, 0x1A
_SHORT = [bytes([number]) for number in range(0x80)]
_LISTS: dict[int, Kind] = {1: "bytes", 2: "float", 3: "int64"}
"""What each field of a Feature holds, by its number."""


def encode(features: Mapping[str, Value]) -> bytes:
    """Serialise one Example; the same features give the same bytes everywhere.

    By hand, since a protobuf message copies every image into itself and out again.

    Args:
        features: name to value; bytes, int, or a sequence of bytes, of ints or of floats.
    Returns:
        The bytes of a ``tf.train.Example`` whose features are sorted by the bytes of their names.
    Raises:
        TypeError, ValueError: a value that an Example cannot hold.
    Source: protobuf.dev/programming-guides/encoding.
    """
    if not features:
        return b""
    pieces: list[bytes] = []
    total = 0
    for name in sorted(features, key=str.encode):
        key = _tagged(b"\x0a", name.encode()) if name else b""
        tag, values = _list(features[name])
        list_bytes = sum(map(len, values))
        head = tag + _varint(list_bytes)
        feature_bytes = len(head) + list_bytes
        head = key + b"\x12" + _varint(feature_bytes) + head
        entry_bytes = len(head) + list_bytes
        head = b"\x0a" + _varint(entry_bytes) + head
        pieces.append(head)
        pieces += values
        total += len(head) + list_bytes
    return b"".join((b"\x0a", _varint(total), *pieces))


def _list(value: Value) -> tuple[bytes, list[bytes]]:
    """Return the tag of a feature's list, and the list in pieces."""
    if isinstance(value, bytes):
        return b"\x0a", [b"\x0a" + _varint(len(value)), value]
    if isinstance(value, int):
        return b"\x1a", [_tagged(b"\x0a", _varint(_unsigned(value)))]
    values: Sequence[Any] = [value] if isinstance(value, Integral) else value
    if all(isinstance(item, bytes) for item in values):
        return b"\x0a", [_tagged(b"\x0a", item) for item in values]
    if all(isinstance(item, Integral) for item in values):
        packed = b"".join(_varint(_unsigned(int(item))) for item in values)
        return b"\x1a", [_tagged(b"\x0a", packed)]
    return b"\x12", [_tagged(b"\x0a", struct.pack(f"<{len(values)}f", *values))]


def _tagged(tag: bytes, data: bytes) -> bytes:
    return tag + _varint(len(data)) + data


def _unsigned(number: int) -> int:
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"found {number}, expected an int64")
    return number & 0xFFFF_FFFF_FFFF_FFFF


def _varint(number: int) -> bytes:
    if number < 1 << 7:
        return _SHORT[number]
    if number < 1 << 14:
        return bytes((number & 0x7F | 0x80, number >> 7))
    return bytes((number & 0x7F | 0x80, number >> 7 & 0x7F | 0x80)) + _varint(number >> 14)


def decode(payload: bytes) -> dict[str, Feature]:
    """Read one Example.

    Raises:
        ExampleError: not an Example, a name that is not UTF-8 or stands there twice, or two lists
            in one feature (TensorFlow and protobuf would read different ones).
    """
    message = _parse("Example", payload)
    if message is None or not _is_known(message, payload):
        raise ExampleError("found bytes that are no tf.train.Example, expected one")
    return _features(message.features)


class SingleValues:
    """Reads single values of some features from many Examples, without copying them.

    Records that one program wrote look alike: where values lie in one is where they lie in the
    next of the same length, if all bytes between them are the same. Only others are parsed.

    Args:
        wanted: names of features, and what to call them in the answers.
    """

    def __init__(self, wanted: Mapping[str, str]) -> None:
        self._wanted = {name.encode(): called for name, called in wanted.items()}
        self._known: dict[int, tuple[list[tuple[int, int, bytes]], list[_Place]]] = {}

    def read(self, payload: memoryview) -> dict[str, memoryview | int]:
        """Read one Example.

        Returns:
            The int64 and bytes values of those features that are there and have one.
        Raises:
            ExampleError: as for `decode`, but for what is wrong with features not wanted.
        """
        known = self._known.get(len(payload))
        try:
            if known and all(payload[start:stop] == same for start, stop, same in known[0]):
                return _at(payload, known[1])
            places = _canonical_places(payload, self._wanted)
        except (IndexError, ValueError):  # in another order, or packed in another way, than usual
            return self._parse(payload)
        edges = [0, *(edge for place in places for edge in place[1:3]), len(payload)]
        between = list(zip(edges[::2], edges[1::2], strict=True))
        if len(self._known) < _MOST_KNOWN:
            self._known[len(payload)] = ([(a, b, bytes(payload[a:b])) for a, b in between], places)
        return _at(payload, places)

    def _parse(self, payload: memoryview) -> dict[str, memoryview | int]:
        features = decode(bytes(payload))
        found: dict[str, memoryview | int] = {}
        for name, called in self._wanted.items():
            one = features.get(name.decode())
            if one is not None and len(one.values) == 1 and one.kind in ("bytes", "int64"):
                value = one.values[0]
                found[called] = value if isinstance(value, int) else memoryview(value)
        return found


def _at(payload: memoryview, places: list[_Place]) -> dict[str, memoryview | int]:
    found: dict[str, memoryview | int] = {}
    for called, start, stop, is_number in places:
        if called is None:
            continue
        if is_number:
            number, end = _read_varint(payload, start)
            if end != stop:
                raise ValueError
            found[called] = number - (number >> 63 << 64)
        else:
            found[called] = payload[start:stop]
    return found


def _canonical_places(payload: memoryview, wanted: Mapping[bytes, str]) -> list[_Place]:
    """Find where values lie in an Example that is laid out as every writer does.

    Raises:
        IndexError, ValueError: it is not.
    """
    places: list[_Place] = []
    seen: set[str] = set()
    end, position = _enter(payload, 0, 0x0A, len(payload))
    while position < end:
        stop, position = _enter(payload, position, 0x0A, end, last=False)
        key_stop, position = _enter(payload, position, 0x0A, stop, last=False)
        called = wanted.get(bytes(payload[position:key_stop]))
        position = key_stop
        is_number = False
        if called is not None:
            _, position = _enter(payload, position, 0x12, stop)
            kind = payload[position]
            _, position = _enter(payload, position, kind, stop)
            is_number = kind == _INT64_LIST
            if is_number and payload[position] == 0x08:
                position += 1  # not packed
            else:
                _, position = _enter(payload, position, 0x0A, stop)
            if is_number and _read_varint(payload, position)[1] != stop:
                raise ValueError
            if kind not in (_BYTES_LIST, _INT64_LIST) or called in seen:
                raise ValueError
            seen.add(called)
        places.append((called, position, stop, is_number))
        position = stop
    return places


def _enter(
    data: memoryview, position: int, tag: int, end: int, *, last: bool = True
) -> tuple[int, int]:
    """Return where the field at ``position`` ends and starts; ``last`` ones reach to ``end``."""
    if data[position] != tag:
        raise ValueError
    length, position = _read_varint(data, position + 1)
    stop = position + length
    if stop > end or (last and stop != end):
        raise ValueError
    return stop, position


def _read_varint(data: memoryview, position: int) -> tuple[int, int]:
    byte = data[position]
    number, shift = byte & 0x7F, 7
    while byte >= 0x80:
        position += 1
        byte = data[position]
        number |= (byte & 0x7F) << shift
        shift += 7
    if number >= 1 << 64 or shift > _VARINT_BITS:
        raise ValueError
    return number, position + 1


def decode_sequence(payload: bytes) -> tuple[dict[str, Feature], dict[str, list[Feature]]]:
    """Read one SequenceExample into its context and its feature lists.

    Raises:
        ExampleError: as for `decode`.
    """
    message = _parse("SequenceExample", payload)
    if message is None or not _is_known(message, payload):
        raise ExampleError("found bytes that are no tf.train.SequenceExample, expected one")
    lists = {
        name: [_feature(name, step) for step in value.feature]
        for name, value in _entries(message.feature_lists.feature_list)
    }
    return _features(message.context), lists


def event_kind(payload: bytes) -> str:
    """Name what one TensorBoard event holds: ``file_version``, ``summary``…"""
    message = _parse("Event", payload)
    names = [field.name for field, _ in message.ListFields()] if message is not None else []
    return next((name for name in names if name not in ("wall_time", "step")), "nothing")


def classify(payload: bytes) -> Payload:
    """Tell which of the usual messages ``payload`` is: every field known, names that are names."""
    return parse(payload)[0]


def parse(payload: bytes) -> tuple[Payload, Any]:
    """Tell which of the usual messages ``payload`` is, and give it parsed; None is unknown."""
    for name, kind in (
        ("Example", "tf.train.Example"),
        ("SequenceExample", "tf.train.SequenceExample"),
        ("Event", "tensorflow.Event"),
    ):
        message = _parse(name, payload)
        if message is None or not payload or not _is_known(message, payload):
            continue
        if all(map(_is_utf8, _names(message))):
            return kind, message  # type: ignore[return-value]  # the literals themselves
    return "unknown", None


def features(message: Any) -> dict[str, Feature]:
    """Read the features of an Example that `parse` gave.

    Raises:
        ExampleError: as for `decode`.
    """
    return _features(message.features)


def _names(message: Any) -> list[bytes]:
    maps = [value for field, value in message.ListFields() if field.message_type]
    return [entry.key for one in maps for _, entries in one.ListFields() for entry in entries]


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def _parse(name: str, payload: bytes) -> Any:
    from google.protobuf.message import DecodeError

    message = _message_classes()[name]()
    try:
        message.ParseFromString(payload)
    except DecodeError:
        return None
    return message


def _is_known(message: Any, payload: bytes) -> bool:
    """Tell whether every field anywhere in ``message`` is known to its type; drops the others."""
    message.DiscardUnknownFields()
    size: int = message.ByteSize()
    if size == len(payload):
        return True
    return bool(size == type(message).FromString(payload).ByteSize())  # other words than protobuf's


def _entries(entries: Iterable[Any]) -> list[tuple[str, Any]]:
    named: dict[str, Any] = {}
    for entry in entries:
        try:
            name = entry.key.decode()
        except UnicodeDecodeError as error:
            raise ExampleError(f"found feature name {entry.key!r}, expected UTF-8") from error
        if name in named:
            raise ExampleError(f"found feature {name!r} twice, expected it once")
        named[name] = entry.value
    return sorted(named.items())


def _features(message: Any) -> dict[str, Feature]:
    return {name: _feature(name, value) for name, value in _entries(message.feature)}


def _feature(name: str, message: Any) -> Feature:
    present = message.ListFields()
    if not present:
        return Feature("unset", ())
    if len(present) > 1:
        kinds = " and ".join(_LISTS[field.number] for field, _ in present)
        raise ExampleError(f"feature {name!r}: found {kinds} values, expected one kind")
    field, values = present[0]
    return Feature(_LISTS[field.number], values.value)
