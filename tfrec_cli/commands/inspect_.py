"""``tfrec inspect``: what is in any TFRecord file, ours or anyone's.

Knows: how to count what it meets. Must not know: click, terminals, TensorFlow.
"""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfrec_cli.dataset import discover, manifest, records
from tfrec_cli.dataset.foreign import guess_names
from tfrec_cli.dataset.records import Names
from tfrec_cli.errors import DataError, ExampleError, ImageError, ManifestError, UsageError
from tfrec_cli.imaging import formats
from tfrec_cli.runtime import pool
from tfrec_cli.tfrecord import example, framing
from tfrec_cli.tfrecord.compression import Compression
from tfrec_cli.tfrecord.example import Feature
from tfrec_cli.tfrecord.framing import Damage, Record

if TYPE_CHECKING:
    from tfrec_cli.imaging.images import Pixels

_TEXT_BYTES = 200
_WORTH_PROCESSES_BYTES = 2**25
"""Files that are smaller together are read before processes have started."""

_SPEC_DTYPES = {"bytes": "tf.string", "float": "tf.float32", "int64": "tf.int64"}


class Tally:
    """How often each whole number came up; knows the least, the median and the greatest."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, value: int) -> None:
        """Count one value."""
        self._counts[value] += 1

    def merge(self, other: Tally) -> None:
        """Count what another one counted."""
        self._counts += other._counts

    def spread(self) -> tuple[int, int, int] | None:
        """Return (least, median, greatest), the lower of two medians; None of nothing."""
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
class FeatureSummary:
    """One feature over all records.

    Attributes:
        records: how many records have it.
        kinds: ``bytes``, ``float``, ``int64`` or ``unset``, with how many records each.
        counts: values in a record.
        lengths: bytes in a value.
        numbers: the integers, where a record has exactly one.
        contents: what the bytes are: JPEG, PNG, raw of a shape, text…, with how many values each.
        steps: steps in a record, for the feature lists of a SequenceExample.
    """

    records: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    counts: Tally = field(default_factory=Tally)
    lengths: Tally = field(default_factory=Tally)
    numbers: Tally = field(default_factory=Tally)
    contents: Counter[str] = field(default_factory=Counter)
    steps: Tally | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardSummary:
    """One file; ``problem`` says what it is instead of a whole TFRecord file."""

    path: Path
    records: int
    size_bytes: int
    compression: Compression
    problem: str | None


@dataclass(slots=True, kw_only=True)
class Summary:
    """Everything ``tfrec inspect`` says of some files.

    Attributes:
        payloads: what the records are, with how many each.
        features: by name; of a SequenceExample as ``context/NAME`` and ``sequence/NAME``.
        names: what the image and its companions are called, where there is an image.
        labels: class numbers with how many records each.
        label_names: class names by number, from beside the shards or from in them.
        events: kinds of TensorBoard events, with how many each.
        first_bytes: of the first record that is none of the known messages.
    """

    shards: list[ShardSummary] = field(default_factory=list)
    payloads: Counter[str] = field(default_factory=Counter)
    features: dict[str, FeatureSummary] = field(default_factory=dict)
    names: Names | None = None
    heights: Tally = field(default_factory=Tally)
    widths: Tally = field(default_factory=Tally)
    labels: Counter[int] = field(default_factory=Counter)
    label_names: dict[int, str] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)
    first_bytes: bytes | None = None

    @property
    def records(self) -> int:
        """Whole records in all files."""
        return sum(shard.records for shard in self.shards)

    @property
    def problems(self) -> list[ShardSummary]:
        """The files that are not whole TFRecord files."""
        return [shard for shard in self.shards if shard.problem]


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture to show: uint8[height, width, 3] and a line below it."""

    pixels: Pixels
    caption: str


def find(patterns: Sequence[str]) -> list[Path]:
    """Find the record files that files, folders and glob patterns name, in order, each once.

    Raises:
        UsageError: a pattern names nothing.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        paths = [Path(pattern)]
        if not paths[0].exists() and glob.has_magic(pattern):
            paths = [Path(name) for name in sorted(glob.glob(pattern), key=os.fsencode)]
        if not paths:
            raise UsageError(f"{pattern}: found no such files, expected at least one")
        for path in paths:
            for split in discover.splits(path):
                found |= dict.fromkeys(split.shards)
    return list(found)


def summarise(paths: Sequence[Path]) -> Summary:
    """Read every record of some files and count what is in them.

    Raises:
        OSError: a file cannot be read.
    """
    size_bytes = sum(path.stat().st_size for path in paths if path.is_file())
    many = len(paths) > 1 and size_bytes >= _WORTH_PROCESSES_BYTES
    jobs = min(pool.available_jobs(), len(paths)) if many else 1
    parts: dict[int, Summary] = {}
    with pool.local(jobs) as run:
        parts.update(run(_summarise_one, enumerate(paths)))
    summary = Summary()
    for number in range(len(paths)):
        _merge(summary, parts[number])
    _name_labels(summary, paths)
    return summary


def _summarise_one(numbered: tuple[int, Path]) -> tuple[int, Summary]:
    number, path = numbered
    summary = Summary()
    whole = 0
    problem = None
    if not path.is_file():
        problem = "missing: found no such file, expected it by the manifest"
        missing = ShardSummary(
            path=path, records=0, size_bytes=0, compression="none", problem=problem
        )
        summary.shards.append(missing)
        return number, summary
    for item in framing.scan(path):
        if isinstance(item, Damage):
            problem = problem or discover.problem(path, item)
            continue
        whole += 1
        try:
            _count(summary, item.payload)
        except ExampleError as error:
            place = f"record {item.index} at byte {item.offset_bytes}"
            problem = problem or f"damaged: {place}: {error}"
    with path.open("rb") as file:
        head = file.read(formats.HEAD_BYTES)
    summary.shards.append(
        ShardSummary(
            path=path,
            records=whole,
            size_bytes=path.stat().st_size,
            compression=framing.compression_of(head) if whole or not problem else "none",
            problem=problem or (None if whole else "empty"),
        )
    )
    return number, summary


def _merge(summary: Summary, part: Summary) -> None:
    """Add what is in one file to what is in those before it."""
    summary.shards += part.shards
    summary.payloads += part.payloads
    summary.names = summary.names or part.names
    summary.labels += part.labels
    summary.label_names = part.label_names | summary.label_names
    summary.events += part.events
    summary.first_bytes = summary.first_bytes or part.first_bytes
    summary.heights.merge(part.heights)
    summary.widths.merge(part.widths)
    for name, theirs in part.features.items():
        ours = summary.features.setdefault(name, FeatureSummary())
        ours.records += theirs.records
        ours.kinds += theirs.kinds
        ours.contents += theirs.contents
        for tally in ("counts", "lengths", "numbers"):
            getattr(ours, tally).merge(getattr(theirs, tally))
        if theirs.steps:
            ours.steps = ours.steps or Tally()
            ours.steps.merge(theirs.steps)


def pick(
    paths: Sequence[Path], *, first: int | None = None, number: int | None = None
) -> list[tuple[Path, int, Record, dict[str, Feature]]]:
    """Read single records over all files, counted from 0: the first ones, or the one of a number.

    Returns:
        (file, number, record, features) of each.
    Raises:
        UsageError: there are not so many.
        FramingError: a file is damaged before them.
    """
    start, stop = (0, first) if number is None else (number, number + 1)
    found = [
        (path, start + place, one, _features_or_none(one.payload))
        for place, (path, one) in enumerate(islice(records_of(paths), start, stop))
    ]
    if number is not None and not found:
        count = sum(1 for _ in records_of(paths))
        raise UsageError(f"--record {number}: found {count} records, expected a number below that")
    return found


def records_of(paths: Sequence[Path]) -> Iterator[tuple[Path, Record]]:
    """Iterate the records of some files, each with its file.

    Raises:
        FramingError: a file is damaged.
    """
    for path in paths:
        for one in framing.read(path):
            yield path, one


def samples(
    paths: Sequence[Path],
    summary: Summary,
    count: int,
    crop: tuple[int, int] | None,
    seed: int | None,
) -> list[Sample]:
    """Pick ``count`` pictures spread evenly over all records, but no broken and no small ones.

    Args:
        crop: cut them to this (height, width) in pixels: at random by ``seed``, as the reader
            does in epoch 0, or without one in the middle.
    Raises:
        DataError: there are no images that can be shown.
    """
    names = summary.names
    if names is None:
        raise DataError(f"{paths[0]}: found no images, expected some to show")
    count = min(count, summary.records)
    wanted = {index * summary.records // count for index in range(count)}
    found = []
    number = 0
    for path in paths:
        for one in framing.scan(path) if path.is_file() else ():
            if isinstance(one, Damage):
                continue
            if number in wanted:
                with suppress(DataError):
                    found.append(_sample(names, path, number, one.payload, crop, seed))
            number += 1
    if not found:
        least = f" of {crop[0]}x{crop[1]} or more" if crop else ""
        raise DataError(f"{paths[0]}: found no image that can be shown, expected one{least}")
    return found


def size_of(features: Mapping[str, Feature]) -> tuple[int | None, int | None]:
    """Return the (height, width) that a record tells of its image."""
    names = guess_names(features)
    if names is None:
        return None, None
    return _single(features, names.height), _single(features, names.width)


def _features_or_none(payload: bytes) -> dict[str, Feature]:
    """Return the features, ``{}`` of a message that contradicts itself."""
    try:
        return features_of(payload)
    except ExampleError:
        return {}


def features_of(payload: bytes) -> dict[str, Feature]:
    """Return the features of an Example or SequenceExample, ``{}`` of anything else.

    Features of a SequenceExample are called ``context/NAME``, and ``sequence/NAME``, which then
    has the values of all steps.
    """
    match example.classify(payload):
        case "tf.train.Example":
            return example.decode(payload)
        case "tf.train.SequenceExample":
            context, lists = example.decode_sequence(payload)
            features = {f"context/{name}": feature for name, feature in context.items()}
            for name, steps in lists.items():
                kinds = sorted({step.kind for step in steps} - {"unset"}) or ["unset"]
                values = [value for step in steps for value in step.values]
                features[f"sequence/{name}"] = Feature(kinds[0], values)
            return features
    return {}


def content(value: bytes, size: tuple[int | None, int | None] = (None, None)) -> str:
    """Say in a word what a bytes value holds; ``size`` is the record's (height, width)."""
    if records.is_raw(value, *size):
        return f"raw {size[0]}x{size[1]}x3"
    found = formats.image_format(value[: formats.HEAD_BYTES])
    if found:
        return found.upper()
    if not value:
        return "empty"
    return "text" if _is_text(value) else "binary"


def _is_text(value: bytes) -> bool:
    """Tell whether bytes are text, of long ones by the first."""
    if not formats.is_text(value[:_TEXT_BYTES]):
        return False
    try:
        value[:_TEXT_BYTES].decode()
    except UnicodeDecodeError:  # a letter that is cut in two: there has to be more of it
        return len(value) > _TEXT_BYTES
    return True


def parse_spec(summary: Summary) -> str:
    """Write the Python that parses such records with TensorFlow, ready to paste."""
    sequences = {
        name.removeprefix("sequence/"): one
        for name, one in summary.features.items()
        if one.steps is not None
    }
    if "tf.train.SequenceExample" in summary.payloads:
        context = {
            name.removeprefix("context/"): one
            for name, one in summary.features.items()
            if one.steps is None
        }
        lines = [_spec("context_features", context, summary.records)]
        lines.append(_spec("sequence_features", sequences, summary.records))
        lines.append(
            "context, sequences = tf.io.parse_single_sequence_example(\n"
            "    record, context_features, sequence_features)"
        )
        return "\n".join(lines)
    if not summary.features:
        return ""
    spec = _spec("features", summary.features, summary.records)
    return f"{spec}\nparsed = tf.io.parse_example(batch_of_records, features)"


def _spec(variable: str, features: Mapping[str, FeatureSummary], total: int) -> str:
    lines = [f"{variable} = {{"]
    for name, one in features.items():
        kind = next((kind for kind, _ in one.kinds.most_common() if kind != "unset"), "unset")
        dtype = _SPEC_DTYPES.get(kind, "tf.string")
        spread = one.counts.spread()
        fixed = spread is not None and spread[0] == spread[2] > 0
        fixed = fixed and one.records == total and len(one.kinds) == 1
        if one.steps is not None:
            call = f"tf.io.RaggedFeature({dtype})"
            if fixed and spread:
                call = f"tf.io.FixedLenSequenceFeature({_shape(spread[0])}, {dtype})"
        elif fixed and spread:
            call = f"tf.io.FixedLenFeature({_shape(spread[0])}, {dtype})"
        else:
            call = f"tf.io.VarLenFeature({dtype})"
        lines.append(f"    {name!r}: {call},")
    return "\n".join([*lines, "}"])


def _shape(count: int) -> str:
    return "[]" if count == 1 else f"[{count}]"


def _count(summary: Summary, payload: bytes) -> None:
    kind, message = example.parse(payload)
    summary.payloads[kind] += 1
    if kind == "tf.train.Example":
        features = example.features(message)
        if summary.names is None:
            summary.names = guess_names(features)
        size = _size(summary, features)
        for name, feature in features.items():
            one = _feature(summary, name)
            _count_values(one, feature, size)
        _count_label(summary, features)
    elif kind == "tf.train.SequenceExample":
        context, lists = example.decode_sequence(payload)
        for name, feature in context.items():
            one = _feature(summary, f"context/{name}")
            _count_values(one, feature, (None, None))
        for name, steps in lists.items():
            one = _feature(summary, f"sequence/{name}")
            one.steps = one.steps or Tally()
            one.steps.add(len(steps))
            for feature in steps:
                _count_values(one, feature, (None, None))
    elif kind == "tensorflow.Event":
        summary.events[example.event_kind(payload)] += 1
    elif summary.first_bytes is None:
        summary.first_bytes = payload[:24]


def _feature(summary: Summary, name: str) -> FeatureSummary:
    """Return what is counted of a feature, in one record more."""
    one = summary.features.get(name)
    if one is None:
        one = summary.features[name] = FeatureSummary()
    one.records += 1
    return one


def _count_values(
    one: FeatureSummary, feature: Feature, size: tuple[int | None, int | None]
) -> None:
    one.kinds[feature.kind] += 1
    one.counts.add(len(feature.values))
    if feature.kind == "bytes":
        for value in feature.values:
            one.lengths.add(len(value))
            one.contents[content(value, size)] += 1
    elif feature.kind == "int64" and len(feature.values) == 1:
        one.numbers.add(feature.values[0])


def _size(summary: Summary, features: Mapping[str, Feature]) -> tuple[int | None, int | None]:
    if summary.names is None:
        return None, None
    height = _single(features, summary.names.height)
    width = _single(features, summary.names.width)
    if height is not None and width is not None:
        summary.heights.add(height)
        summary.widths.add(width)
    return height, width


def _count_label(summary: Summary, features: Mapping[str, Feature]) -> None:
    if summary.names is None:
        return
    label = _single(features, summary.names.label)
    if label is None:
        return
    summary.labels[label] += 1
    name = _single(features, summary.names.class_name)
    if isinstance(name, bytes):
        summary.label_names.setdefault(label, name.decode("utf-8", "replace"))


def _single(features: Mapping[str, Feature], name: str | None) -> Any:
    feature = features.get(name) if name else None
    return feature.values[0] if feature is not None and len(feature.values) == 1 else None


def _name_labels(summary: Summary, paths: Sequence[Path]) -> None:
    """Take class names from a manifest or a TFDS labels file beside the shards."""
    for folder in sorted({path.parent for path in paths}):
        for described in manifest.find(folder).values():
            with suppress(ManifestError):
                summary.label_names |= dict(enumerate(manifest.load(described).labels or ()))
        label = summary.names.label if summary.names else None
        for joint in "-.":  # of nested features, and of one whose name has slashes
            file = folder / f"{(label or '').replace('/', joint)}.labels.txt"
            if file.is_file():
                names = os.fsdecode(file.read_bytes()).splitlines()
                for number, name in enumerate(names):
                    summary.label_names.setdefault(number, name)


def _sample(
    names: Names,
    path: Path,
    number: int,
    payload: bytes,
    crop: tuple[int, int] | None,
    seed: int | None,
) -> Sample:
    one = records.decode(example.decode(payload), names)
    caption = os.fsdecode(one.filename) if one.filename else f"record {number}"
    try:
        pixels = records.pixels(one)
    except ImageError as error:
        raise DataError(f"{path}: record {number}: {error}") from error
    if crop:
        from tfrec_cli import crops

        height, width, _ = pixels.shape
        if height < crop[0] or width < crop[1]:
            raise DataError(f"{path}: record {number}: found {height}x{width}, expected {crop}")
        box = crops.center_box(height, width, crop)
        if seed is not None:
            key = crops.seed_key(one.key, number)
            drawn = crops.random_boxes([[height, width]], crop, seed=seed, epoch=0, keys=[key])
            box = (int(drawn[0, 0]), int(drawn[0, 1]), *crop)
        pixels = pixels[box[0] : box[0] + crop[0], box[1] : box[1] + crop[1]]
    return Sample(pixels, caption)
