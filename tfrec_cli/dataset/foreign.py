"""Records of other programs: their feature names, guessed from the names in common use."""

from __future__ import annotations

from collections.abc import Mapping

from tfrec_cli.dataset.records import Names, is_raw
from tfrec_cli.imaging import formats
from tfrec_cli.tfrecord.example import Feature

_FOREIGN = {
    "image": r"image/encoded|image|image_raw|img_raw|image/raw|img|jpg|jpeg|png|encoded",
    "height": r"image/height|height|image_height|rows|h",
    "width": r"image/width|width|image_width|cols|w",
    "label": r"image/class/label|label|class|class_id",
    "key": r"image/key|key",
    "filename": r"image/filename|filename|image_name|image/source_id|fname",
    "window": r"image/window|window",
    "class_name": r"image/class/text|class_name|text",
}
_SIDES = ("height", "width")
_KINDS = {"image": "bytes", "filename": "bytes", "class_name": "bytes"}


def guess_names(features: Mapping[str, Feature]) -> Names | None:
    """Find the image and its size, label and so on in the Example of any program.

    Returns:
        The names, or None if no bytes feature holds an image.
    """
    found: dict[str, str] = {}
    for field, pattern in _FOREIGN.items():
        kind = _KINDS.get(field, "int64")
        for name in pattern.split("|"):
            feature = features.get(name)
            if feature is not None and feature.kind == kind and len(feature.values) == 1:
                found.setdefault(field, name)
    if "image" not in found:
        return None
    image = features[found["image"]].values[0]
    size = [features[found[side]].values[0] if side in found else None for side in _SIDES]
    if formats.image_format(image[: formats.HEAD_BYTES]) is None and not is_raw(image, *size):
        return None
    return Names(**found)
