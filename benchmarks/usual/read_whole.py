"""Read random crops of whole images: read_whole.py OUT [--autotune]."""

import glob
import sys
from typing import Any

import tensorflow as tf

from benchmarks.clock import timed

FEATURES = {
    "image": tf.io.FixedLenFeature([], tf.string),
    "label": tf.io.FixedLenFeature([], tf.int64),
}


def parse(record: Any) -> Any:
    """Decode one image and cut it."""
    parsed = tf.io.parse_single_example(record, FEATURES)
    image = tf.io.decode_jpeg(parsed["image"], channels=3)
    image = tf.image.random_crop(image, [128, 128, 3])
    return tf.cast(image, tf.float32) / 255.0, parsed["label"]


records = tf.data.TFRecordDataset(sorted(glob.glob(f"{sys.argv[1]}/*.tfrecord")))
if sys.argv[2:] == ["--autotune"]:
    train = records.map(parse, num_parallel_calls=tf.data.AUTOTUNE)
    train = train.batch(32).prefetch(tf.data.AUTOTUNE)
else:
    train = records.map(parse).batch(32)
timed(lambda: (len(images) for images, _ in train))
