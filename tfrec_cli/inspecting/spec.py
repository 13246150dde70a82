"""Generates Python code that parses records with TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping

from tfrec_cli.inspecting.tally import FeatureSummary, Summary

_DTYPES = {"bytes": "tf.string", "float": "tf.float32", "int64": "tf.int64"}


def parse_spec(summary: Summary) -> str:
    """Return Python code that parses such records with TensorFlow, ready to paste."""
    if "tf.train.SequenceExample" in summary.payloads:
        sequences = {
            name.removeprefix("sequence/"): feature
            for name, feature in summary.features.items()
            if feature.steps is not None
        }
        context = {
            name.removeprefix("context/"): feature
            for name, feature in summary.features.items()
            if feature.steps is None
        }
        lines = [
            _dictionary("context_features", context, summary.records),
            _dictionary("sequence_features", sequences, summary.records),
            "context, sequences = tf.io.parse_single_sequence_example(\n"
            "    record, context_features, sequence_features)",
        ]
        return "\n".join(lines)
    if not summary.features:
        return ""
    features = _dictionary("features", summary.features, summary.records)
    return f"{features}\nparsed = tf.io.parse_example(batch_of_records, features)"


def _dictionary(variable: str, features: Mapping[str, FeatureSummary], records: int) -> str:
    lines = [f"    {name!r}: {_call(feature, records)}," for name, feature in features.items()]
    return "\n".join([f"{variable} = {{", *lines, "}"])


def _call(feature: FeatureSummary, records: int) -> str:
    """Return the call that describes a feature to TensorFlow.

    Args:
        records: number of all records, with and without the feature.
    """
    kind = next((kind for kind, _ in feature.kinds.most_common() if kind != "unset"), "unset")
    dtype = _DTYPES.get(kind, "tf.string")
    shape = _fixed_shape(feature, records)
    if feature.steps is not None:
        if shape:
            return f"tf.io.FixedLenSequenceFeature({shape}, {dtype})"
        return f"tf.io.RaggedFeature({dtype})"
    if shape:
        return f"tf.io.FixedLenFeature({shape}, {dtype})"
    return f"tf.io.VarLenFeature({dtype})"


def _fixed_shape(feature: FeatureSummary, records: int) -> str | None:
    """Return the shape of a feature if it is the same in every record, else None."""
    spread = feature.counts.spread()
    if spread is None or feature.records != records or len(feature.kinds) != 1:
        return None
    least, _, greatest = spread
    if not least == greatest > 0:
        return None
    return "[]" if least == 1 else f"[{least}]"
