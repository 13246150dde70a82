"""The features of any payload, and what their bytes values contain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tfrec_cli.dataset import records
from tfrec_cli.dataset.foreign import guess_names
from tfrec_cli.dataset.image_features import image_word
from tfrec_cli.imaging import formats
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.example import Feature, Kind

if TYPE_CHECKING:
    from tfrec_cli.tfrecord.scan import Record

ImageSize = tuple[int | None, int | None]
"""The (height, width) in pixels that a record states; None for a side that it does not state."""

_TEXT_BYTES = 200


class Shown(NamedTuple):
    """One record to show.

    Attributes:
        number: counted over all files, from 0.
        features: empty for a message that is unknown or contradicts itself.
        class_names: the class name of its label, by the name of that feature; empty if not known.
    """

    path: Path
    number: int
    record: Record
    features: Mapping[str, Feature]
    class_names: Mapping[str, str]


def features_of(payload: bytes) -> dict[str, Feature]:
    """Return the features of an Example or SequenceExample; ``{}`` for anything else.

    Features of a SequenceExample are called ``context/NAME`` and ``sequence/NAME``; the latter
    has the values of all steps.

    Raises:
        ExampleError: the message contradicts itself.
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


def size_of(features: Mapping[str, Feature]) -> ImageSize:
    """Return the (height, width) that a record states of its image."""
    names = guess_names(features)
    return stated_size(features, names) if names else (None, None)


def stated_size(features: Mapping[str, Feature], names: records.Names) -> ImageSize:
    """Return the (height, width) that a record states, by known names of features."""
    return single(features, names.height, "int64"), single(features, names.width, "int64")


def single(features: Mapping[str, Feature], name: str | None, kind: Kind) -> Any:
    """Return the value of a feature if it has exactly one of this kind, else None."""
    feature = features.get(name) if name else None
    if feature is None or feature.kind != kind or len(feature.values) != 1:
        return None
    return feature.values[0]


def content(value: bytes, size: ImageSize = (None, None)) -> str:
    """Return a word for what a bytes value holds; ``size`` is the record's (height, width)."""
    if records.is_raw(value, *size):
        return f"raw {size[0]}x{size[1]}x3"
    if word := image_word(value):
        return word
    if not value:
        return "empty"
    return "text" if _is_text(value) else "binary"


def _is_text(value: bytes) -> bool:
    """Return whether bytes are text, by the first `_TEXT_BYTES`."""
    if not formats.is_text(value[:_TEXT_BYTES]):
        return False
    try:
        value[:_TEXT_BYTES].decode()
    except UnicodeDecodeError:  # a letter may be cut in two if the value is longer
        return len(value) > _TEXT_BYTES
    return True
