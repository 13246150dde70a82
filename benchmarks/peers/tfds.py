"""TensorFlow Datasets over our shards and its metadata: tfds.py OUT."""

import sys
from typing import Any

import tensorflow as tf
import tensorflow_datasets as tfds

from benchmarks import BATCH, CROP_PX
from benchmarks.clock import timed


def cut(record: Any) -> Any:
    """Cut one image that is decoded already."""
    crop = tf.image.random_crop(record["image"], [CROP_PX, CROP_PX, 3])
    return tf.cast(crop, tf.float32) / 255.0, record["label"]


uncached = tfds.ReadConfig(try_autocache=False)  # else small datasets stay decoded in memory
train = tfds.builder_from_directory(sys.argv[1]).as_dataset(split="train", read_config=uncached)
train = train.map(cut, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH).prefetch(tf.data.AUTOTUNE)
timed(lambda: (len(images) for images, _ in train))
