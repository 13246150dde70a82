"""Generates Python code that reads and parses records with TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from tfrec_cli.dataset.file_splits import split_of
from tfrec_cli.errors import DataError
from tfrec_cli.inspecting.tally import FeatureSummary, Summary

_DTYPES = {"bytes": "tf.string", "float": "tf.float32", "int64": "tf.int64"}
_SEQUENCE = "tf.train.SequenceExample"
_COMPRESSIONS = {"none": "", "gzip": ", 'GZIP'", "zlib": ", 'ZLIB'"}

Lists = Literal["RaggedFeature", "VarLenFeature"]
"""What lists of varying length become: ragged tensors, or sparse ones."""


def program(summary: Summary) -> str:
    """Return a Python program that reads the files and parses their records.

    Raises:
        DataError: TensorFlow cannot read these files together, or does not know their records.
    """
    for shard in summary.problems:
        raise DataError(f"{shard.path}: {shard.problem}")
    first = summary.shards[0].path
    compressions = sorted({shard.compression for shard in summary.shards})
    if len(compressions) > 1:
        found = ", ".join(compressions)
        raise DataError(f"{first}: found files with several compressions ({found}), expected one")
    if len(summary.payloads) > 1 or not summary.features:
        found = ", ".join(summary.payloads)
        expected = f"only tf.train.Example or only {_SEQUENCE}, with features"
        raise DataError(f"{first}: found {found}, expected {expected}")
    paths = [os.fsencode(shard.path) for shard in summary.shards]
    try:
        names: list[bytes] | list[str] = [path.decode() for path in paths]
    except UnicodeDecodeError:
        names = paths
    code = _code(summary, "RaggedFeature")
    call = code.call.replace("\n", "\n    ")
    splits: dict[str, list[object]] = {}
    for shard, name in zip(summary.shards, names, strict=True):
        splits.setdefault(split_of(shard.path.name), []).append(name)
    if "" in splits:  # not each name tells a split
        splits = {"": [*names]}
    reading = f"tf.data.TFRecordDataset(files{_COMPRESSIONS[compressions[0]]}){code.batched}"
    lines = [
        "import tensorflow as tf",
        "",
        code.features,
        *("", "", f"def parse({code.argument}):", f"    return {call}"),
        *("", "", "def read(files):", f"    return {reading}.map(parse)", "", ""),
        *(_read_one(*splits.values()) if len(splits) == 1 else _read_each(splits)),
    ]
    return "\n".join(lines)


def _read_one(files: Sequence[object]) -> list[str]:
    """Return the lines that read the files as one dataset."""
    return ["dataset = read([", *(f"    {name!r}," for name in files), "])"]


def _read_each(splits: Mapping[str, Sequence[object]]) -> list[str]:
    """Return the lines that read each split as a dataset of its own."""
    lines = ["datasets = {"]
    for split, files in splits.items():
        lines += [f"    {split!r}: read([", *(f"        {name!r}," for name in files), "    ]),"]
    return [*lines, "}"]


def parse_spec(summary: Summary, lists: Lists = "VarLenFeature") -> str:
    """Return the code alone that parses a batch of records, or one SequenceExample."""
    if not summary.features and _SEQUENCE not in summary.payloads:
        return ""
    code = _code(summary, lists)
    return f"{code.features}\n{code.results} = {code.call}"


class _Code(NamedTuple):
    features: str
    results: str
    argument: str
    call: str
    batched: str


def _code(summary: Summary, lists: Lists) -> _Code:
    """Return the parts of the code."""
    if _SEQUENCE not in summary.payloads:
        return _Code(
            features=_dictionary("features", summary.features, summary, lists),
            results="parsed",
            argument="batch_of_records",
            call="tf.io.parse_example(batch_of_records, features)",
            batched=".batch(32)",
        )
    context: dict[str, FeatureSummary] = {}
    sequences: dict[str, FeatureSummary] = {}
    for name, feature in summary.features.items():
        if feature.steps is None:
            context[name.removeprefix("context/")] = feature
        else:
            sequences[name.removeprefix("sequence/")] = feature
    dictionaries = [
        _dictionary("context_features", context, summary, lists),
        _dictionary("sequence_features", sequences, summary, lists),
    ]
    return _Code(
        features="\n".join(dictionaries),
        results="context, sequences",
        argument="record",
        call="tf.io.parse_single_sequence_example(\n"
        "    record, context_features, sequence_features)",
        batched="",
    )


def _dictionary(
    variable: str, features: Mapping[str, FeatureSummary], summary: Summary, lists: Lists
) -> str:
    lines = []
    for name, feature in features.items():
        shape = None if name in summary.varying else _fixed_shape(feature, summary.records)
        lines.append(_entry(name, feature, shape, lists))
    return "\n".join([f"{variable} = {{", *lines, "}"])


def _entry(name: str, feature: FeatureSummary, shape: str | None, lists: Lists) -> str:
    """Return the line for a feature; a comment if TensorFlow cannot parse it."""
    kinds = sorted(kind for kind in feature.kinds if kind != "unset")
    if len(kinds) > 1:
        return f"    # {name!r}: {' and '.join(kinds)}, which TensorFlow does not parse as one"
    dtype = _DTYPES[kinds[0]] if kinds else "tf.string"
    return f"    {name!r}: {_call(feature, dtype, shape, lists)},"


def _call(feature: FeatureSummary, dtype: str, shape: str | None, lists: Lists) -> str:
    """Return the call that describes a feature to TensorFlow.

    Args:
        shape: its shape if that is the same in every record.
    """
    if feature.steps is not None:
        if shape:
            return f"tf.io.FixedLenSequenceFeature({shape}, {dtype})"
        return f"tf.io.RaggedFeature({dtype})"
    if shape:
        return f"tf.io.FixedLenFeature({shape}, {dtype})"
    return f"tf.io.{lists}({dtype})"


def _fixed_shape(feature: FeatureSummary, records: int) -> str | None:
    """Return the shape of a feature if it is the same in every record, else None.

    Args:
        records: number of all records, with and without the feature.
    """
    spread = feature.counts.spread()
    if spread is None or feature.records != records or len(feature.kinds) != 1:
        return None
    least, _, greatest = spread
    if not least == greatest > 0:
        return None
    return "[]" if least == 1 else f"[{least}]"
