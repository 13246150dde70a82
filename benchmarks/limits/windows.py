"""Decode a window of every photo on all cores, and nothing else: windows.py files|memory IMAGES.

files: the middle of each, from its file, as for writing crops.
memory: anywhere, from bytes in memory, as for reading whole images.
Exact crops need two more columns on each side.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from benchmarks import CROP_PX
from benchmarks.clock import cores, timed, untuned

MARGIN_PX = 2


def window(path: Path, place: float) -> list[int]:
    """Return top, left, height and width of a window, ``place`` of the way into what is free."""
    with Image.open(path) as image:
        width, height = image.size
    top, left = int((height - CROP_PX) * place), int((width - CROP_PX) * place)
    first, last = max(left - MARGIN_PX, 0), min(left + CROP_PX + MARGIN_PX, width)
    return [top, first, CROP_PX, last - first]


def is_large(path: Path) -> bool:
    """Tell whether a photo holds the crop."""
    with Image.open(path) as image:
        return bool(min(image.size) >= CROP_PX)


def decode(encoded: Any, box: Any) -> Any:
    """Decode one window."""
    return tf.image.decode_and_crop_jpeg(encoded, box, channels=3, dct_method="INTEGER_ACCURATE")


source, folder = sys.argv[1:]
paths = [path for path in sorted(Path(folder).glob("*/*")) if is_large(path)]
if source == "files":
    boxes = np.array([window(path, 0.5) for path in paths], np.int32)
    data = tf.data.Dataset.from_tensor_slices(([str(path) for path in paths], boxes))
    decoded = data.map(
        lambda path, box: decode(tf.io.read_file(path), box), num_parallel_calls=cores()
    )
else:
    places = np.random.default_rng(1).random(len(paths))
    boxes = np.array([window(*pair) for pair in zip(paths, places, strict=True)], np.int32)
    data = tf.data.Dataset.from_tensor_slices(([path.read_bytes() for path in paths], boxes))
    decoded = data.map(decode, num_parallel_calls=cores())
timed(lambda: [int(untuned(decoded).reduce(np.int64(0), lambda done, _: done + 1))])
