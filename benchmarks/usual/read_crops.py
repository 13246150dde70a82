"""Read stored crops: read_crops.py OUT."""

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
    """Take one image out of its record."""
    parsed = tf.io.parse_single_example(record, FEATURES)
    image = tf.reshape(tf.io.decode_raw(parsed["image"], tf.uint8), [128, 128, 3])
    return tf.cast(image, tf.float32) / 255.0, parsed["label"]


train = tf.data.TFRecordDataset(sorted(glob.glob(f"{sys.argv[1]}/*.tfrecord"))).map(parse).batch(32)
timed(lambda: (len(images) for images, _ in train))
