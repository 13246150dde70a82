"""Statistics over records: of numbers, of single features, of files."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tfrec_cli.dataset import records
from tfrec_cli.dataset.foreign import guess_names
from tfrec_cli.dataset.image_features import usual_image
from tfrec_cli.inspecting.features import (
    NO_SIZE,
    ImageSize,
    content,
    is_image,
    single,
    size_of,
    stated_size,
)
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.compression import Compression
from tfrec_cli.tfrecord.example import Feature

if TYPE_CHECKING:
    from tfrec_cli.dataset.manifest import Manifest

_FIRST_BYTES = 24
"""Bytes shown of a record that is not a known message."""


class Tally:
    """Counts how often each integer occurs; gives the least, the median and the greatest."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, value: int) -> None:
        """Count one value."""
        self._counts[value] += 1

    def merge(self, other: Tally) -> None:
        """Add the counts of another tally."""
        self._counts += other._counts

    def spread(self) -> tuple[int, int, int] | None:
        """Return (least, median, greatest), with the lower of two medians; None if empty."""
        if not self._counts:
            return None
        values = sorted(self._counts)
        half = (sum(self._counts.values()) + 1) // 2
        for median in values:
            half -= self._counts[median]
            if half <= 0:
                break
        return values[0], median, values[-1]


@dataclass(slots=True)
class Range:
    """The least and the greatest of floats; NaN is counted apart, and infinity is a number."""

    least: float = math.inf
    greatest: float = -math.inf
    nan: int = 0

    def add(self, values: Sequence[float]) -> None:
        """Count some values."""
        numbers = [value for value in values if not math.isnan(value)]
        self.merge(
            Range(
                min(numbers, default=math.inf),
                max(numbers, default=-math.inf),
                len(values) - len(numbers),
            )
        )

    def merge(self, other: Range) -> None:
        """Widen this range by another."""
        self.least = min(self.least, other.least)
        self.greatest = max(self.greatest, other.greatest)
        self.nan += other.nan


@dataclass(slots=True)
class FeatureSummary:
    """One feature over all records.

    Attributes:
        records: number of records that have the feature.
        kinds: ``bytes``, ``float``, ``int64`` or ``unset``, each with its number of records.
        counts: values in a record.
        lengths: bytes in a value.
        numbers: the integers of records that have exactly one.
        floats: all floats.
        contents: what bytes values are (JPEG, PNG, raw of a shape, text…), each with its number
            of values.
        images: images in a record, of records that have any.
        steps: steps in a record, for the feature lists of a SequenceExample.
    """

    records: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    counts: Tally = field(default_factory=Tally)
    lengths: Tally = field(default_factory=Tally)
    numbers: Tally = field(default_factory=Tally)
    floats: Range = field(default_factory=Range)
    contents: Counter[str] = field(default_factory=Counter)
    images: Tally = field(default_factory=Tally)
    steps: Tally | None = None

    def add(self, feature: Feature, size: ImageSize = NO_SIZE) -> None:
        """Count the values of one record, or of one step; ``size`` is the record's."""
        self.kinds[feature.kind] += 1
        self.counts.add(len(feature.values))
        if feature.kind == "bytes":
            words = [content(value, size) for value in feature.values]
            for word, value in zip(words, feature.values, strict=True):
                self.lengths.add(len(value))
                self.contents[word] += 1
            if images := sum(map(is_image, words)):
                self.images.add(images)
        elif feature.kind == "int64" and len(feature.values) == 1:
            self.numbers.add(feature.values[0])
        elif feature.kind == "float":
            self.floats.add(feature.values)

    def merge(self, other: FeatureSummary) -> None:
        """Add the counts of another summary of this feature."""
        self.records += other.records
        self.kinds += other.kinds
        self.contents += other.contents
        self.counts.merge(other.counts)
        self.lengths.merge(other.lengths)
        self.numbers.merge(other.numbers)
        self.floats.merge(other.floats)
        self.images.merge(other.images)
        if other.steps:
            self.steps = self.steps or Tally()
            self.steps.merge(other.steps)


class ShardSummary(NamedTuple):
    """One file; ``problem`` says why it is not an intact TFRecord file."""

    path: Path
    records: int
    size_bytes: int
    compression: Compression
    problem: str | None


class SplitSummary(NamedTuple):
    """One split that a manifest describes.

    Attributes:
        records: intact records in its shards.
        labels: class numbers, each with its number of records.
    """

    folder: Path
    manifest: Manifest
    records: int
    labels: Counter[int]


@dataclass(slots=True, kw_only=True)
class Summary:
    """Everything ``tfrec inspect`` shows about some files.

    Attributes:
        shards: the files, each with its records, size and problem, if there is one.
        splits: the splits that manifests describe, if all their shards are among the files.
        payloads: types of messages, each with its number of records.
        features: by name; in a SequenceExample as ``context/NAME`` and ``sequence/NAME``.
        names: what the image and related features are called, if there is an image.
        usual_image: the image, if only one feature with a name in common use holds one.
        heights: heights of the images in pixels.
        widths: widths of the images in pixels.
        labels: class numbers, each with its number of records.
        label_names: class names by number, from sidecar files or the records.
        events: kinds of TensorBoard events, each with its number of records.
        first_bytes: of the first record that is not a known message.
        skipped: files of datasets that were named but hold no records: manifests, index files…
        varying: features that have any number of values, by the manifests of the files.
    """

    shards: list[ShardSummary] = field(default_factory=list)
    splits: list[SplitSummary] = field(default_factory=list)
    payloads: Counter[str] = field(default_factory=Counter)
    features: dict[str, FeatureSummary] = field(default_factory=dict)
    names: records.Names | None = None
    usual_image: str | None = None
    heights: Tally = field(default_factory=Tally)
    widths: Tally = field(default_factory=Tally)
    labels: Counter[int] = field(default_factory=Counter)
    label_names: dict[int, str] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)
    first_bytes: bytes | None = None
    skipped: list[Path] = field(default_factory=list)
    varying: set[str] = field(default_factory=set)

    @property
    def records(self) -> int:
        """Complete records in all files."""
        return sum(shard.records for shard in self.shards)

    @property
    def images(self) -> dict[str, FeatureSummary]:
        """The features of Examples that hold images, by name."""
        if self.payloads.keys() != {"tf.train.Example"}:
            return {}
        return {name: one for name, one in sorted(self.features.items()) if one.images.spread()}

    @property
    def ok(self) -> bool:
        """Whether all files are intact TFRecord files."""
        return not self.problems

    @property
    def problems(self) -> list[ShardSummary]:
        """The files that are not intact TFRecord files."""
        return [shard for shard in self.shards if shard.problem]

    def add(self, payload: bytes) -> None:
        """Count the content of one record.

        Raises:
            ExampleError: the message contradicts itself.
        """
        kind, message = example.parse(payload)
        self.payloads[kind] += 1
        if kind == "tf.train.Example":
            self._add_example(example.features(message))
        elif kind == "tf.train.SequenceExample":
            context, lists = example.decode_sequence(payload)
            for name, feature in context.items():
                self._feature(f"context/{name}").add(feature)
            for name, steps in lists.items():
                summary = self._feature(f"sequence/{name}")
                summary.steps = summary.steps or Tally()
                summary.steps.add(len(steps))
                for feature in steps:
                    summary.add(feature)
        elif kind == "tensorflow.Event":
            self.events[example.event_kind(payload)] += 1
        elif kind == "unknown" and self.first_bytes is None:
            self.first_bytes = payload[:_FIRST_BYTES]

    def merge(self, other: Summary) -> None:
        """Add the summary of other files."""
        self.shards += other.shards
        self.payloads += other.payloads
        self.names = self.names or other.names
        self.usual_image = self.usual_image or other.usual_image
        self.labels += other.labels
        self.label_names = other.label_names | self.label_names
        self.events += other.events
        self.first_bytes = self.first_bytes or other.first_bytes
        self.heights.merge(other.heights)
        self.widths.merge(other.widths)
        for name, feature in other.features.items():
            self.features.setdefault(name, FeatureSummary()).merge(feature)

    def _add_example(self, features: Mapping[str, Feature]) -> None:
        if self.names is None:
            self.names = guess_names(features)
            self.usual_image = usual_image(features)
        size = stated_size(features, self.names) if self.names else size_of(features)
        height, width, _ = size
        if self.names and height is not None and width is not None:
            self.heights.add(height)
            self.widths.add(width)
        for name, feature in features.items():
            self._feature(name).add(feature, size)
        self._add_label(features)

    def _add_label(self, features: Mapping[str, Feature]) -> None:
        label = single(features, self.names.label, "int64") if self.names else None
        if self.names is None or label is None:
            return
        self.labels[label] += 1
        name = single(features, self.names.class_name, "bytes")
        if name is not None:
            self.label_names.setdefault(label, name.decode("utf-8", "replace"))

    def _feature(self, name: str) -> FeatureSummary:
        """Return the summary of a feature, after counting one more record."""
        summary = self.features.get(name)
        if summary is None:
            summary = self.features[name] = FeatureSummary()
        summary.records += 1
        return summary
