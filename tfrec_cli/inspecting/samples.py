"""Sample pictures from record files, whole or cropped like the readers crop."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tfrec_cli.dataset import records
from tfrec_cli.dataset.image_features import find_names
from tfrec_cli.errors import DataError
from tfrec_cli.inspecting.tally import Summary
from tfrec_cli.runtime.values import sides
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.scan import Damage, scan

if TYPE_CHECKING:
    from tfrec_cli.imaging.decoder import Pixels


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture to show.

    Attributes:
        pixels: uint8[height, width, 3].
        caption: its path, or the number of its record.
        group: its class, or else its folder; "" without either.
    """

    pixels: Pixels
    caption: str
    group: str = ""


class Samples(NamedTuple):
    """Pictures to show, and how many others are smaller than the crop."""

    shown: list[Sample]
    small: int


class _SmallError(DataError):
    """An image is smaller than the crop."""


def samples(
    paths: Sequence[Path],
    summary: Summary,
    count: int,
    crop: tuple[int, int] | None,
    seed: int | None,
) -> Samples:
    """Pick ``count`` pictures, evenly spread over all records; broken and small ones are skipped.

    Args:
        crop: cut them to this (height, width) in pixels: at random by ``seed``, as the readers do
            in epoch 0, or in the middle without a seed.
    Raises:
        DataError: no image can be shown, or it is not certain which feature is the image.
    """
    if not summary.names and len(summary.images) != 1:
        found = f"images in {', '.join(summary.images)}" if summary.images else "no images"
        expected = "them in one feature" if summary.images else "some"
        raise DataError(f"{paths[0]}: found {found}, expected {expected} to show")
    count = min(count, summary.records)
    wanted = {index * summary.records // count for index in range(count)}
    shown = []
    problem: DataError | None = None
    number = small = 0
    for path in paths:
        for record in scan(path) if path.is_file() else ():
            if isinstance(record, Damage):
                continue
            if number in wanted:
                try:
                    shown.append(_sample(summary, number, record.payload, crop, seed))
                except DataError as error:
                    small += isinstance(error, _SmallError)
                    problem = problem or error
            number += 1
    if not shown and problem and not summary.names:
        raise DataError(f"{paths[0]}: {problem}") from problem
    if not shown:
        least = f" of {crop[0]}x{crop[1]} or more" if crop else ""
        raise DataError(f"{paths[0]}: found no image that can be shown, expected one{least}")
    return Samples(shown, small)


def _sample(
    summary: Summary,
    number: int,
    payload: bytes,
    crop: tuple[int, int] | None,
    seed: int | None,
) -> Sample:
    """Decode the picture of a record, and crop it.

    Raises:
        DataError: the record or its image is bad, or the image is smaller than the crop.
    """
    from tfrec_cli.imaging.kinds.samples import as_bits

    features = example.decode(payload)
    record = records.decode(features, summary.names or find_names(features))
    caption = os.fsdecode(record.filename) if record.filename else f"record {number}"
    pixels = records.pixels(record)
    if crop:
        from tfrec_cli import crops

        height, width, _ = pixels.shape
        if height < crop[0] or width < crop[1]:
            least = f"at least the crop: {sides(*crop)}"
            raise _SmallError(f"record {number}: found {sides(height, width)}, expected {least}")
        top, left, *_ = crops.center_box(height, width, crop)
        if seed is not None:
            key = crops.seed_key(record.key, number)
            boxes = crops.random_boxes([[height, width]], crop, seed=seed, epoch=0, keys=[key])
            top, left = int(boxes[0, 0]), int(boxes[0, 1])
        pixels = pixels[top : top + crop[0], left : left + crop[1]]
    return Sample(as_bits(pixels, 8), caption, _group(record, summary))


def _group(record: records.ImageRecord, summary: Summary) -> str:
    """Return the class of a record, or else the folder of its image."""
    label = record.label
    if label is not None:
        return summary.label_names.get(label) or f"label {label}"
    return os.path.dirname(os.fsdecode(record.filename or b""))
