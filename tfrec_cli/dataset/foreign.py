"""Records of other programs: which feature is the image, the label and so on.

`guess_names` is for commands that show or check records. What readers yield never depends on a
guess: `certain_names` asks instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import chain, islice
from types import EllipsisType
from typing import Any

from tfrec_cli.dataset.records import Names, is_raw
from tfrec_cli.errors import UsageError
from tfrec_cli.imaging import formats
from tfrec_cli.tfrecord.example import Feature

_FOREIGN = {
    "image": r"image/encoded|image|image_raw|img_raw|image/raw|img|jpg|jpeg|png|encoded",
    "height": r"image/height|height|image_height|rows|h",
    "width": r"image/width|width|image_width|cols|w",
    "channels": r"image/channels|channels|image/depth|depth|image_depth",
    "label": r"image/class/label|label|class|class_id",
    "key": r"image/key|key",
    "filename": r"image/filename|filename|image_name|image/source_id|fname",
    "window": r"image/window|window",
    "class_name": r"image/class/text|class_name|text",
}
_SIDES = ("height", "width")
_NO_LABELS = frozenset(_FOREIGN) - {"image", "label", "class_name"}
"""Fields of which it is certain that they are no labels."""

LIST = "[]"
"""What stands after the name of a feature whose values are always read as lists."""

_FORMATS = {"image/format", "format", "image/colorspace", "colorspace", "image/key/sha256"}
"""Further names that say something of the file."""

_LIKELY = re.compile("label|class|target|categor|diagnos|^y$", re.IGNORECASE)
"""Names that are likely to be labels: for the example of a question, never for an answer."""

_RANK = {"int64": 0, "float": 1, "bytes": 2, "unset": 3}
_MOST_LISTED = 12
_MOST_TEXTS = 5
_MOST_LETTERS = 30
_KINDS = {"image": "bytes", "filename": "bytes", "class_name": "bytes"}


def guess_names(features: Mapping[str, Feature]) -> Names | None:
    """Find the image and its size, label and so on in the Example of any program.

    Returns:
        The names, or None if no bytes feature holds an image.
    """
    found = _known(features)
    if "image" not in found or not _holds_image(features[found["image"]], features, found):
        return None
    return Names(**found)


def may_hold_image(features: Mapping[str, Feature], image: str | None) -> bool:
    """Tell whether a record has values of the image's feature, or of one in common use."""
    names = _FOREIGN["image"].split("|") if image is None else [image]
    return any(name in features and features[name].values for name in names)


def certain_names(
    features: Mapping[str, Feature],
    *,
    image: str | None = None,
    label: str | EllipsisType | None = ...,
    told: tuple[str | None, str | None] = (None, None),
    more: Iterable[Mapping[str, Feature]] = (),
) -> Names:
    """Find the image and the label in the Example of any program, or ask which they are.

    Args:
        image: name of the feature that holds the image; None finds it.
        label: name of the feature that is the label, perhaps with `LIST`; None is none, and
            ``...`` finds it.
        told: names of image and label by a description of the dataset.
        more: some of the next records, for examples in an error.
    Raises:
        UsageError: a feature that was named is not there, or it is not certain which is meant.
    """
    found = _known(features)
    sizes = {field: found[field] for field in (*_SIDES, "channels") if field in found}
    chosen = told[0] if image is None and told[0] in features else image
    if chosen is None:
        chosen = _only_image(features, sizes)
    elif not _holds_image(_named(features, "image", chosen), features, sizes):
        feature = features[chosen]
        raise UsageError(f"`image`: {chosen!r} holds {_content(feature)}, expected one image")
    if chosen != found.get("image") and not _is_raw(features[chosen], features, sizes):
        found = {field: name for field, name in found.items() if field not in sizes}
    if label is ... and told[1] is not None and told[1] in features:
        label = told[1]
        if _holds_image(features[label], features, {}):
            rest = {name: feature for name, feature in features.items() if name != chosen}
            raise UsageError(
                f"`label`: {label!r} holds {_content(features[label])}, expected a class number: "
                f"label=NAME of {_listed(rest)}, or label=None"
            )
    if label is ...:
        label = _only_label(features, chosen, more)
    elif isinstance(label, str):
        label = label if label in features else label.removesuffix(LIST)
        _named(features, "label", label)
    others: dict[str, Any] = {field: name for field, name in found.items() if field != "image"}
    return Names(chosen, **{**others, "label": label})


def _known(features: Mapping[str, Feature]) -> dict[str, str]:
    """Return for each field the first of its names whose feature has one value of its kind."""
    found: dict[str, str] = {}
    for field, names in _FOREIGN.items():
        kind = _KINDS.get(field, "int64")
        for name in names.split("|"):
            feature = features.get(name)
            if feature is not None and feature.kind == kind and len(feature.values) == 1:
                found.setdefault(field, name)
    return found


def _only_image(features: Mapping[str, Feature], sizes: Mapping[str, str]) -> str:
    known = [name for name in _FOREIGN["image"].split("|") if name in features]
    holding = [name for name in known if _holds_image(features[name], features, sizes)]
    if len(holding) == 1:
        return holding[0]
    for name in known if not holding else ():
        if features[name].kind == "bytes" and len(features[name].values) > 1:
            raise UsageError(f"`image`: {name!r} holds {_content(features[name])}, expected one")
    images = holding or [
        name for name, feature in features.items() if _holds_image(feature, features, sizes)
    ]
    if not images:
        found = f"found {_listed(features)}" if features else "found no feature"
        raise UsageError(f"{found}, expected one that holds an image")
    raise UsageError(f"which is the image? found {_listed(features)}: image={images[0]!r}")


def _only_label(
    features: Mapping[str, Feature], image: str, more: Iterable[Mapping[str, Feature]]
) -> str | None:
    known = [name for name in _FOREIGN["label"].split("|") if name in features]
    if len(known) == 1:
        (name,) = known
        feature = features[name]
        if feature.kind == "int64" and len(feature.values) == 1:
            return name
        found = _content(feature)
        if feature.kind == "bytes" and len(feature.values) == 1:
            others = (one[name].values for one in more if name in one and one[name].kind == "bytes")
            texts = dict.fromkeys([feature.values[0], *chain.from_iterable(others)])
            found = "texts such as " + ", ".join(map(_quoted, islice(texts, _MOST_TEXTS)))
        ask = f"label={name!r} yields that, label=None leaves it out"
        raise UsageError(f"`label`: {name!r} holds {found}, expected a class number: {ask}")
    known_fields = {name for field in _NO_LABELS for name in _FOREIGN[field].split("|")}
    candidates = [name for name in features if name not in known_fields | _FORMATS | {image}]
    if not candidates:
        return None
    numbers = [name for name in candidates if features[name].kind == "int64"]
    likely = [name for name in numbers if _LIKELY.search(name)]
    example = (known or likely or numbers or candidates)[0]
    sizes = {name for field in (*_SIDES, "channels") for name in _FOREIGN[field].split("|")}
    listed = {name: one for name, one in features.items() if name not in sizes | {image}}
    ask = f"label={example!r}, or label=None"
    raise UsageError(f"which is the label? found {_listed(listed)}: {ask}")


def _quoted(text: bytes) -> str:
    return repr(text[:_MOST_LETTERS].decode("utf-8", "replace"))


def _named(features: Mapping[str, Feature], option: str, name: str) -> Feature:
    if name not in features:
        raise UsageError(
            f"`{option}`: found no feature {name!r}, expected one of {_listed(features)}"
        )
    return features[name]


def _listed(features: Mapping[str, Feature]) -> str:
    """Name features with their kinds: numbers first, since labels mostly are."""
    ranked = sorted(features.items(), key=lambda item: _RANK[item[1].kind])
    named = [f"{name} ({_content(feature, short=True)})" for name, feature in ranked]
    more = f", and {len(named) - _MOST_LISTED} more" if len(named) > _MOST_LISTED else ""
    return ", ".join(named[:_MOST_LISTED]) + more


def _content(feature: Feature, *, short: bool = False) -> str:
    """Describe what a feature holds: its kind, or also its values in a few words."""
    values = feature.values
    if feature.kind == "bytes" and values:
        kind = formats.image_format(values[0][: formats.HEAD_BYTES])
        if kind:
            return kind.upper() if len(values) == 1 else f"{len(values)} images a record"
    if short:
        return feature.kind if len(values) == 1 else f"list of {feature.kind}"
    if len(values) != 1:
        return f"{len(values)} {feature.kind} values"
    if feature.kind == "bytes":
        return f"{len(values[0])} bytes"
    return f"one {feature.kind} ({values[0]:g})"


def _holds_image(
    feature: Feature, features: Mapping[str, Feature], sizes: Mapping[str, str]
) -> bool:
    if feature.kind != "bytes" or len(feature.values) != 1:
        return False
    return formats.image_format(feature.values[0][: formats.HEAD_BYTES]) is not None or _is_raw(
        feature, features, sizes
    )


def _is_raw(feature: Feature, features: Mapping[str, Feature], sizes: Mapping[str, str]) -> bool:
    fields = (*_SIDES, "channels")
    size = [features[sizes[field]].values[0] if field in sizes else None for field in fields]
    return is_raw(feature.values[0], *size)
