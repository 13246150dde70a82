"""The helpers in `messages` agree with the encoder, which is tested with TensorFlow."""

from __future__ import annotations

from typing import Any

from messages import an_example

from tfrec_cli.tfrecord import example


def test_handmade_messages_equal_encoded_ones() -> None:
    values: dict[str, Any] = {"a": [b"x", b""], "b": [-1, 2**62], "c": [0.5]}
    assert an_example(**values) == example.encode(values)
