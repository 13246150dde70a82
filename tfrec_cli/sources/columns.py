"""Columns of an image list: boxes and what else belongs to each."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_cli.dataset.records import Column

BOXES = tuple(f"image/object/bbox/{side}" for side in ("xmin", "xmax", "ymin", "ymax"))

PER_OBJECT: dict[str, str] = {
    **dict.fromkeys(BOXES, "float"),
    "image/object/class/label": "int64",
    "image/object/class/text": "bytes",
    "image/object/area": "float",
    "image/object/is_crowd": "int64",
    "image/object/difficult": "int64",
    "image/object/group_of": "int64",
    "image/object/truncated": "int64",
    "image/object/weight": "float",
    "image/object/view": "bytes",
}
"""Features with a value for each box, and their kinds.

Source: TF Models, official/vision/dataloaders/tf_example_decoder.py; in research/object_detection
data_decoders/tf_example_decoder.py, dataset_tools/create_pascal_tf_record.py.
"""


def has_boxes(columns: Sequence[Column]) -> bool:
    """Tell whether columns hold places in a picture, by their names in any layout."""
    sides = {*BOXES, *(feature.rpartition("/")[2] for feature in BOXES)}
    return any(column.name in sides for column in columns)
