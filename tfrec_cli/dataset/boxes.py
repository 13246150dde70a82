"""Boxes around objects: names of features that say what the numbers are, and rules for boxes.

Knows: the Object Detection API and TFDS. Must not know: rows of image lists, files. Boxes of other
names or types have no rules: their numbers may be pixels or fractions, in any order.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from tfrec_cli.dataset.records import ColumnKind
from tfrec_cli.tfrecord.example import Feature

SIDES = tuple(f"image/object/bbox/{side}" for side in ("xmin", "xmax", "ymin", "ymax"))
LABEL = "image/object/class/label"
TEXT = "image/object/class/text"

PER_OBJECT: dict[str, ColumnKind] = {
    **dict.fromkeys(SIDES, "float"),
    LABEL: "int64",
    TEXT: "bytes",
    "image/object/area": "float",
    "image/object/is_crowd": "int64",
    "image/object/difficult": "int64",
    "image/object/group_of": "int64",
    "image/object/truncated": "int64",
    "image/object/weight": "float",
    "image/object/view": "bytes",
}
"""Features with one value for each box, and their kinds.

Source: TF Models, official/vision/dataloaders/tf_example_decoder.py; in research/object_detection
data_decoders/tf_example_decoder.py, dataset_tools/create_pascal_tf_record.py.
"""

_TFDS_BOXES = "objects/bbox"
_TFDS_LABELS = "objects/label"


class Verdict(NamedTuple):
    """What the rules say about the boxes of one record.

    Attributes:
        message: what is wrong, or None.
        is_certain: whether it is known what the numbers are; without that nothing is wrong.
    """

    message: str | None = None
    is_certain: bool = True


def judge(features: Mapping[str, Feature], described: Collection[str] | None) -> Iterator[Verdict]:
    """Judge the boxes in one record of any program.

    A feature without values counts as missing, as it does for TensorFlow; the Object Detection
    API takes classes from their names or from their numbers, whichever has values.

    Args:
        described: the features that hold boxes by a description of TFDS (see
            `tfds.relative_boxes`); None if there is none.
    """
    sides = [features[name] for name in SIDES if name in features]
    if sides:
        is_certain = all(side.kind == "float" for side in sides if side.values)
        yield Verdict(problem(_lists(features)) if is_certain else None, is_certain)
    for name in (_TFDS_BOXES,) if described is None else {_TFDS_BOXES, *described}:
        if boxes := features.get(name):
            is_certain = _TFDS_LABELS in features if described is None else name in described
            is_certain = is_certain and (boxes.kind == "float" or not boxes.values)
            yield Verdict(_flat_problem(name, features) if is_certain else None, is_certain)


def problem(lists: Mapping[str, Sequence[Any]]) -> str | None:
    """Return what is wrong with boxes of the Object Detection API, or None.

    Args:
        lists: name of a feature to its values; features without boxes are passed over.
    """
    if lists.keys().isdisjoint(SIDES):
        return None
    sides: list[Sequence[float]] = [lists.get(name, ()) for name in SIDES]
    per_object = ((name, lists[name]) for name in PER_OBJECT if name in lists)
    for name, values in chain(zip(SIDES, sides, strict=True), per_object):
        if len(values) != len(sides[0]):
            found = f"found {len(values)} values in {name} and {len(sides[0])} in {SIDES[0]}"
            return f"{found}, expected one for each box"
    return _outside(*sides)


def _lists(features: Mapping[str, Feature]) -> dict[str, Sequence[Any]]:
    lists = {name: features[name].values for name in PER_OBJECT if name in features}
    has_classes = bool(lists.get(LABEL) or lists.get(TEXT))
    kept = SIDES if has_classes else (*SIDES, LABEL, TEXT)
    return {name: values for name, values in lists.items() if values or name in kept}


def _flat_problem(name: str, features: Mapping[str, Feature]) -> str | None:
    """Return what is wrong with boxes of TFDS, (ymin, xmin, ymax, xmax) each, or None."""
    values = features[name].values
    count, rest = divmod(len(values), len(SIDES))
    if rest:
        return f"found {len(values)} values in {name}, expected four for each box"
    labels = features.get(_TFDS_LABELS) if name == _TFDS_BOXES else None
    if labels and len(labels.values) != count:
        found = f"found {len(labels.values)} values in {_TFDS_LABELS} and {count} boxes in {name}"
        return f"{found}, expected one for each box"
    top, left, bottom, right = (values[side :: len(SIDES)] for side in range(len(SIDES)))
    return _outside(left, right, top, bottom)


def _outside(*sides: Sequence[float]) -> str | None:
    """Return which box is not in the picture, or has its edges in the wrong order, or None."""
    wrong = [
        (box, edges)
        for box, edges in enumerate(zip(*sides, strict=True))
        if not (0 <= edges[0] <= edges[1] <= 1 and 0 <= edges[2] <= edges[3] <= 1)
    ]
    if not wrong:
        return None
    box, edges = wrong[0]
    left, right, top, bottom = map(_shown, edges)
    more = f" (and {len(wrong) - 1:,} more)" if len(wrong) > 1 else ""
    return (
        f"box {box}: found x {left} to {right} and y {top} to {bottom}, expected "
        f"fractions of width and height from 0 to 1, the smaller first{more}"
    )


def _shown(value: float) -> str:
    """Write a number with no more digits than it has as a float32."""
    exact = struct.pack("<f", value)
    shorter = (float(f"{value:.{digits}g}") for digits in (6, 7, 8))
    return str(next((short for short in shorter if struct.pack("<f", short) == exact), value))
