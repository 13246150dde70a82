"""messages: the helpers of tests, against the encoder that is tested with TensorFlow."""

from __future__ import annotations

from typing import Any

from messages import an_example

from tfrec_cli.tfrecord import example


def test_messages_by_hand_are_those_of_the_codec() -> None:
    values: dict[str, Any] = {"a": [b"x", b""], "b": [-1, 2**62], "c": [0.5]}
    assert an_example(**values) == example.encode(values)
