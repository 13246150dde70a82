"""Checks that results are right: python -m benchmarks.same CHECK FOLDER...

Knows: TensorFlow's own reader, and the pixels of Pillow or TensorFlow, which are right.
Must not know: how anything was written or timed.
"""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks import BATCH, CROP_PX
from benchmarks.errors import BenchmarkError
from tfrec_cli import read_tf

SAMPLE = 200
SEED = 1
ROUNDING = 2**-23
"""The last bit of a float32 near 1: TensorFlow may multiply by 1 / 255, NumPy divides by 255."""


def written(ours: Path, usual: Path) -> None:
    """Check that two folders hold the same images with the same sizes and labels, in any order."""
    found, expected = _images(ours), _images(usual)
    if found != expected:
        alike = (found & expected).total()
        raise BenchmarkError(
            f"{ours.name}: found {alike} of {found.total()} records like those of {usual.name}, "
            f"expected all {expected.total()}"
        )


def random_crops(dataset: Path) -> None:
    """Compare some of our reader's crops with TensorFlow's stateless crops of decoded images."""
    batches = read_tf.dataset(
        dataset, crop=CROP_PX, seed=SEED, batch_size=SAMPLE, dtype="uint8"
    ).take(1)
    found = next(iter(batches))[0].numpy()
    expected = [
        tf.image.stateless_random_crop(
            tf.io.decode_jpeg(one["image"][0], channels=3, dct_method="INTEGER_ACCURATE"),
            (CROP_PX, CROP_PX, 3),
            seed=(SEED, one["key"][0]),
        ).numpy()
        for one in islice(_records(dataset), SAMPLE)
    ]
    _equal(dataset, found, np.stack(expected))


def stored_crops(dataset: Path) -> None:
    """Compare our reader's values with the bytes of every record."""
    found = read_tf.dataset(dataset, crop=CROP_PX, seed=SEED, batch_size=BATCH)
    records = _records(dataset)
    for images, labels in found:
        some = list(islice(records, len(images)))
        pixels = np.frombuffer(b"".join(one["image"][0] for one in some), np.uint8)
        expected = pixels.reshape(images.shape).astype(np.float32) / 255
        _equal(dataset, images.numpy(), expected)
        _equal(dataset, labels.numpy(), np.array([one["label"][0] for one in some]))
    if next(records, None):
        raise BenchmarkError(f"{dataset.name}: our reader left records out")


def shuffled(dataset: Path) -> None:
    """Check that shuffling only changes the order."""
    straight, mixed = (_digests(dataset, shuffle=shuffle) for shuffle in (False, True))
    if Counter(straight) != Counter(mixed):
        raise BenchmarkError(f"{dataset.name}: found other crops when shuffled, expected the same")
    if straight == mixed and len(set(straight)) > BATCH:
        raise BenchmarkError(f"{dataset.name}: found the stored order, expected a shuffled one")


def _digests(dataset: Path, *, shuffle: bool) -> list[bytes]:
    batches = read_tf.dataset(
        dataset, crop=CROP_PX, seed=SEED, batch_size=BATCH, dtype="uint8", shuffle=shuffle
    )
    return [
        hashlib.sha256(image.tobytes()).digest()
        for images, _ in batches
        for image in images.numpy()
    ]


def _images(folder: Path) -> Counter[tuple[bytes, ...]]:
    return Counter(
        (hashlib.sha256(one["image"][0]).digest(), one["height"], one["width"], one["label"])
        for one in _records(folder)
    )


def _records(folder: Path) -> Iterator[dict[str, Any]]:
    shards = sorted(map(str, folder.glob("*.tfrecord")))
    for record in tf.data.TFRecordDataset(shards).as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        yield {
            name: tuple(one.bytes_list.value or one.int64_list.value)
            for name, one in features.items()
        }


def _equal(dataset: Path, found: Any, expected: Any) -> None:
    if found.shape != expected.shape:
        raise BenchmarkError(f"{dataset.name}: found {found.shape}, expected {expected.shape}")
    wrong = np.count_nonzero(np.abs(found.astype(np.float64) - expected) > ROUNDING)
    if wrong:
        raise BenchmarkError(f"{dataset.name}: found {wrong} values that differ, expected none")


if __name__ == "__main__":
    check = {one.__name__: one for one in (written, random_crops, stored_crops, shuffled)}
    try:
        check[sys.argv[1]](*map(Path, sys.argv[2:]))
    except BenchmarkError as error:
        sys.exit(str(error))
