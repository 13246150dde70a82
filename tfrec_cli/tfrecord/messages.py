"""Example and related messages, parsed strictly by protobuf: nothing unknown, nothing merged.

Knows: the fields of Example, SequenceExample, ExampleListWithContext and Event. Must not know: what
they mean.

The message types are in a private descriptor pool: in the default one they would collide with
TensorFlow's in the same process. All fields here are repeated, also those that are single messages,
names or maps in the real types; and a list of numbers is kept as bytes. So a field that occurs
twice is noticed; protobuf would silently merge or overwrite it, and TensorFlow's own parser in
another way. A parsed message has the size of its payload unless the payload holds unknown fields.

Source of the format: tensorflow/core/example/{example,feature}.proto,
tensorflow/core/util/event.proto, tensorflow_serving/apis/input.proto.
"""

from __future__ import annotations

from functools import cache
from typing import Any

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
    "ExampleListWithContext": [
        ("examples", 1, "TYPE_MESSAGE", "Example"),
        ("context", 2, "TYPE_MESSAGE", "Example"),
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
    """Make the message types. Loads protobuf, which a write does not need."""
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


def parse_message(name: str, payload: bytes) -> Any:
    """Parse a message of the type ``name``; None if the bytes are not one."""
    from google.protobuf.message import DecodeError

    message = _message_classes()[name]()
    try:
        message.ParseFromString(payload)
    except DecodeError:
        return None
    return message


def parse_known(name: str, payload: bytes) -> Any:
    """Parse a message; None if it has unknown fields, or tags or lengths longer than needed."""
    message = parse_message(name, payload)
    if message is None:
        return None
    message.DiscardUnknownFields()
    return message if message.ByteSize() == len(payload) else None
