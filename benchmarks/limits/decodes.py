"""Decode every photo whole on all cores, and nothing else: decodes.py pillow|tensorflow IMAGES."""

import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.clock import cores, timed, untuned


def decode(path: Path) -> int:
    """Decode one photo with Pillow."""
    Image.open(path).convert("RGB")
    return 1


def with_pillow(paths: list[Path]) -> None:
    """Time a pool of processes over files in the page cache."""
    with ProcessPoolExecutor(cores()) as pool:
        timed(lambda: pool.map(decode, paths, chunksize=16))


def with_tensorflow(paths: list[Path]) -> None:
    """Time tf.data over bytes in memory."""
    import tensorflow as tf

    decoded = tf.data.Dataset.from_tensor_slices([path.read_bytes() for path in paths]).map(
        lambda data: tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE"),
        num_parallel_calls=cores(),
    )
    timed(lambda: [int(untuned(decoded).reduce(np.int64(0), lambda done, _: done + 1))])


if __name__ == "__main__":
    decoder, folder = sys.argv[1:]
    files = sorted(Path(folder).glob("*/*"))
    (with_pillow if decoder == "pillow" else with_tensorflow)(files)
