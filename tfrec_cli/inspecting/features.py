"""The features of any payload, and what their bytes values contain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tfrec_cli.dataset import records
from tfrec_cli.dataset.image_features import image_word, related_names
from tfrec_cli.imaging import formats
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.example import Feature, Kind

if TYPE_CHECKING:
    from tfrec_cli.tfrecord.scan import Record

ImageSize = tuple[int | None, int | None, int | None]
"""The (height, width, channels) that a record states; None for what it does not state."""

NO_SIZE: ImageSize = (None, None, None)


_TEXT_BYTES = 200
_NO_IMAGE = frozenset({"empty", "text", "binary"})


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
    """Return the size that a record states of its image, whichever feature that is."""
    return stated_size(features, related_names(features))


def stated_size(features: Mapping[str, Feature], names: records.Names) -> ImageSize:
    """Return the size that a record states, by known names of its sides."""
    stated = (single(features, name, "int64") for name in records.CHANNELS)
    channels = next((value for value in stated if value is not None), None)
    height, width = (single(features, side, "int64") for side in (names.height, names.width))
    return height, width, channels


def single(features: Mapping[str, Feature], name: str | None, kind: Kind) -> Any:
    """Return the value of a feature if it has exactly one of this kind, else None."""
    feature = features.get(name) if name else None
    if feature is None or feature.kind != kind or len(feature.values) != 1:
        return None
    return feature.values[0]


def content(value: bytes, size: ImageSize = NO_SIZE) -> str:
    """Return a word for what a bytes value holds; ``size`` is the record's."""
    height, width, channels = size
    if records.is_raw(value, height, width):  # RGB, whatever the record says of channels
        return f"raw {height}x{width}x3"
    if word := image_word(value):
        return word
    if _fills(value, size):
        return f"raw {height}x{width}x{channels}"
    if not value:
        return "empty"
    return "text" if _is_text(value) else "binary"


def _fills(value: bytes, size: ImageSize) -> bool:
    """Tell whether bytes are as many as the record's height, width and channels say."""
    height, width, channels = size
    if height is None or width is None or channels is None:
        return False
    return min(height, width, channels) > 0 and height * width * channels == len(value)


def is_image(word: str) -> bool:
    """Tell whether `content` says with this word that a value is an image."""
    return word not in _NO_IMAGE


def _is_text(value: bytes) -> bool:
    """Return whether bytes are text, by the first `_TEXT_BYTES`."""
    if not formats.is_text(value[:_TEXT_BYTES]):
        return False
    try:
        value[:_TEXT_BYTES].decode()
    except UnicodeDecodeError:  # a letter may be cut in two if the value is longer
        return len(value) > _TEXT_BYTES
    return True
