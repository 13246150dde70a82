"""``tf.train.Example`` bytes to and from plain dictionaries, without TensorFlow.

Knows: the wire format of Example and SequenceExample, and how to tell payloads apart.
Must not know: TFRecord, or what any feature is called.

The message types live in a private descriptor pool, since the default one collides with
TensorFlow's in the same process. Where the real types have one message, one name or a map, these
have a repeated field, and a list of numbers is its bytes: so what stands there twice is seen, which
protobuf would merge or overwrite in silence, and TensorFlow's own parser in another way. And what
was parsed has one size, that of the payload unless it holds more than is known here.

Source of the format: tensorflow/core/example/{example,feature}.proto,
tensorflow/core/util/event.proto. Of what TensorFlow makes of it:
tensorflow/core/util/example_proto_fast_parsing.cc.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from numbers import Integral
from typing import Any, Literal

from tfrec_cli.errors import ExampleError
from tfrec_cli.runtime import native

Kind = Literal["bytes", "float", "int64", "unset"]
Payload = Literal["tf.train.Example", "tf.train.SequenceExample", "tensorflow.Event", "unknown"]


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature's values and their kind; ``unset`` is a feature without a list."""

    kind: Kind
    values: Sequence[Any]


Value = bytes | int | Sequence[bytes] | Sequence[int] | Sequence[float] | Feature

_SCHEMA: dict[str, list[tuple[str, int, str, str]]] = {
    # message: (field, number, type, message type), every one repeated
    "BytesList": [("value", 1, "TYPE_BYTES", "")],
    "FloatList": [("value", 1, "TYPE_FLOAT", "")],
    "Int64List": [("value", 1, "TYPE_INT64", "")],
    "Feature": [
        ("bytes_list", 1, "TYPE_MESSAGE", "BytesList"),
        ("float_list", 2, "TYPE_BYTES", ""),
        ("int64_list", 3, "TYPE_BYTES", ""),
    ],
    "FeatureEntry": [
        ("key", 1, "TYPE_BYTES", ""),
        ("value", 2, "TYPE_MESSAGE", "Feature"),
    ],
    "Features": [("feature", 1, "TYPE_MESSAGE", "FeatureEntry")],
    "Example": [("features", 1, "TYPE_MESSAGE", "Features")],
    "FeatureList": [("feature", 1, "TYPE_MESSAGE", "Feature")],
    "FeatureListEntry": [
        ("key", 1, "TYPE_BYTES", ""),
        ("value", 2, "TYPE_MESSAGE", "FeatureList"),
    ],
    "FeatureLists": [("feature_list", 1, "TYPE_MESSAGE", "FeatureListEntry")],
    "SequenceExample": [
        ("context", 1, "TYPE_MESSAGE", "Features"),
        ("feature_lists", 2, "TYPE_MESSAGE", "FeatureLists"),
    ],
    "Event": [
        ("wall_time", 1, "TYPE_DOUBLE", ""),
        ("step", 2, "TYPE_INT64", ""),
        ("file_version", 3, "TYPE_BYTES", ""),
        ("graph_def", 4, "TYPE_BYTES", ""),
        ("summary", 5, "TYPE_BYTES", ""),
        ("log_message", 6, "TYPE_BYTES", ""),
        ("session_log", 7, "TYPE_BYTES", ""),
        ("tagged_run_metadata", 8, "TYPE_BYTES", ""),
        ("meta_graph_def", 9, "TYPE_BYTES", ""),
        ("source_metadata", 10, "TYPE_BYTES", ""),
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
        for name, number, kind, type_name in fields:
            field = message.field.add(name=name, number=number)
            field.type = field_type.Type.Value(kind)
            field.label = field_type.LABEL_REPEATED
            field.options.packed = False
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

_UNPACKED = {
    "float": re.compile(rb"(?:\x0d.{4})*", re.DOTALL),
    "int64": re.compile(rb"(?:\x08[\x80-\xff]{0,9}[\x00-\x7f])*"),
}
"""Numbers each in a field of its own, as old writers have them."""

_LONGEST_NUMBER_BYTES = 12
"""Of a list of one number: tag, length, ten bytes."""


def encode(features: Mapping[str, Value]) -> bytes:
    """Serialise one Example; the same features give the same bytes everywhere.

    By hand, since a protobuf message copies every image into itself and out again.

    Args:
        features: name to value; bytes, int, a sequence of bytes, of ints or of floats, or a
            Feature, which tells the kind of an empty list too.
    Returns:
        The bytes of a ``tf.train.Example`` whose features are sorted by the bytes of their names.
    Raises:
        TypeError, ValueError: a value that an Example cannot hold.
    Source: protobuf.dev/programming-guides/encoding.
    """
    if not features:
        return b""
    if encoded := native.encode(features):
        return encoded
    pieces: list[bytes] = []
    total = 0
    for name in sorted(features, key=str.encode):
        key = _tagged(b"\x0a", name.encode())  # without an empty one TensorFlow reads nothing
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
    if isinstance(value, Feature):
        return _list_of_kind(value)
    values: Sequence[Any] = [value] if isinstance(value, Integral) else value
    if all(isinstance(item, bytes) for item in values):
        return _list_of_kind(Feature("bytes", values))
    if all(isinstance(item, Integral) for item in values):
        return _list_of_kind(Feature("int64", values))
    return _list_of_kind(Feature("float", values))


def _list_of_kind(feature: Feature) -> tuple[bytes, list[bytes]]:
    values = feature.values
    if feature.kind == "bytes":
        return b"\x0a", [_tagged(b"\x0a", item) for item in values]
    if feature.kind == "int64":
        packed = b"".join(_varint(_unsigned(int(item))) for item in values)
        return b"\x1a", [_tagged(b"\x0a", packed)] if values else []
    floats = struct.pack(f"<{len(values)}f", *values)
    return b"\x12", [_tagged(b"\x0a", floats)] if values else []


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
        ExampleError: not an Example, a name that is not UTF-8 or stands there twice, or what
            TensorFlow and protobuf would read as different values: two names or lists in one
            feature, a list in pieces, a tag or length in more bytes than it needs.
    """
    message = native.single_values(payload, None) or _known("Example", payload)
    if message is None:
        raise _refused("Example", payload)
    return features(message)


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
        found = native.single_values(payload, self._wanted)
        if found is not None:
            return found
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


def _read_varint(data: memoryview | bytes, position: int) -> tuple[int, int]:
    byte = data[position]
    number, shift = byte & 0x7F, 7
    while byte >= 0x80:
        position += 1
        byte = data[position]
        number |= (byte & 0x7F) << shift
        shift += 7
    if number >= 1 << 64 or shift > _VARINT_BITS or (byte == 0 and shift > 7):
        raise ValueError
    return number, position + 1


def decode_sequence(payload: bytes) -> tuple[dict[str, Feature], dict[str, list[Feature]]]:
    """Read one SequenceExample into its context and its feature lists.

    Raises:
        ExampleError: as for `decode`.
    """
    message = _known("SequenceExample", payload)
    if message is None:
        raise _refused("SequenceExample", payload)
    lists = {
        name: [_feature(name, step) for step in value.feature]
        for name, value in _entries(
            entry for one in message.feature_lists for entry in one.feature_list
        )
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
    if single := native.single_values(payload, None):
        return "tf.train.Example", single
    for name, kind in (
        ("Example", "tf.train.Example"),
        ("SequenceExample", "tf.train.SequenceExample"),
        ("Event", "tensorflow.Event"),
    ):
        message = _known(name, payload) if payload else None
        if message is not None and all(map(_is_utf8, _names(message))):
            return kind, message  # type: ignore[return-value]  # the literals themselves
    return "unknown", None


def features(message: Any) -> dict[str, Feature]:
    """Read the features of an Example that `parse` gave.

    Raises:
        ExampleError: as for `decode`.
    """
    if isinstance(message, dict):  # single values
        return {name: _single(value) for name, value in sorted(message.items())}
    return _features(message.features)


def _single(value: bytes | int) -> Feature:
    return Feature("int64", (value,)) if isinstance(value, int) else Feature("bytes", [value])


def _names(message: Any) -> list[bytes]:
    maps = [one for field, ones in message.ListFields() if field.message_type for one in ones]
    entries = [entry for one in maps for _, many in one.ListFields() for entry in many]
    return [key for entry in entries for key in entry.key]


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


def _known(name: str, payload: bytes) -> Any:
    """Parse a message; None where it holds fields unknown to its type, or longer than they need."""
    message = _parse(name, payload)
    if message is None:
        return None
    message.DiscardUnknownFields()
    return message if message.ByteSize() == len(payload) else None


def _refused(name: str, payload: bytes) -> ExampleError:
    message = _parse(name, payload)
    if message is not None:
        size = message.ByteSize()
        message.DiscardUnknownFields()
        if message.ByteSize() == size:
            return ExampleError(
                f"found a tf.train.{name} with tags or lengths in more bytes than they need, "
                "expected the fewest: not every parser reads it"
            )
    return ExampleError(f"found bytes that are no tf.train.{name}, expected one")


def _entries(entries: Iterable[Any]) -> list[tuple[str, Any]]:
    named: dict[str, Any] = {}
    for entry in entries:
        keys, values = entry.key, entry.value
        if len(keys) != 1:
            raise ExampleError(f"found {len(keys)} names in a feature, expected one")
        try:
            name = keys[0].decode()
        except UnicodeDecodeError as error:
            raise ExampleError(f"found feature name {keys[0]!r}, expected UTF-8") from error
        if name in named:
            raise ExampleError(f"found feature {name!r} twice, expected it once")
        if len(values) != 1:
            raise ExampleError(f"feature {name!r}: found {len(values)} contents, expected one")
        named[name] = values[0]
    return sorted(named.items())


def _features(messages: Iterable[Any]) -> dict[str, Feature]:
    entries = _entries(entry for one in messages for entry in one.feature)
    return {name: _feature(name, value) for name, value in entries}


def _feature(name: str, message: Any) -> Feature:
    present = message.ListFields()
    if not present:
        return Feature("unset", ())
    field, lists = present[0]
    kind = _LISTS[field.number]
    if len(present) > 1 or len(lists) > 1:
        kinds = [_LISTS[field.number] for field, lists in present for _ in lists]
        found = " and ".join(kinds[:3])
        raise ExampleError(f"feature {name!r}: found {found} values, expected one list of one kind")
    values = lists[0].value if kind == "bytes" else _numbers(kind, lists[0])
    if values is None:
        raise ExampleError(f"feature {name!r}: found no {kind} list in one piece, expected one")
    return Feature(kind, values)


def _numbers(kind: Kind, data: bytes) -> Sequence[Any] | None:
    """Read a list of numbers; None if it is none, or in pieces of which TensorFlow reads one."""
    number = _one_number(data) if kind == "int64" else None
    if number is not None:
        return (number,)
    if not _is_one_piece(data) and not _UNPACKED[kind].fullmatch(data):
        return None
    message = _parse("FloatList" if kind == "float" else "Int64List", data)
    return None if message is None else message.value


def _one_number(data: bytes) -> int | None:
    """Read a list of one number as most writers have it, in less time than protobuf takes."""
    if not 3 <= len(data) <= _LONGEST_NUMBER_BYTES or data[:2] != bytes((0x0A, len(data) - 2)):
        return None
    try:
        number, stop = _read_varint(data, 2)
    except (IndexError, ValueError):
        return None
    return number - (number >> 63 << 64) if stop == len(data) else None


def _is_one_piece(data: bytes) -> bool:
    try:
        length, start = _read_varint(data, 1)
    except (IndexError, ValueError):
        return False
    return data[0] == 0x0A and start + length == len(data)
