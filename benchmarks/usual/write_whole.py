"""Write whole images of class folders into a TFRecord file: write_whole.py IMAGES OUT."""

import os
import sys

import tensorflow as tf
from PIL import Image


def bytes_feature(value: bytes) -> tf.train.Feature:
    """Wrap bytes."""
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def int64_feature(value: int) -> tf.train.Feature:
    """Wrap a number."""
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def main(images: str, out: str) -> None:
    """Write every file of every class folder."""
    os.makedirs(out)
    written = 0
    with tf.io.TFRecordWriter(os.path.join(out, "train.tfrecord")) as writer:
        for label, name in enumerate(sorted(os.listdir(images))):
            for filename in sorted(os.listdir(os.path.join(images, name))):
                path = os.path.join(images, name, filename)
                with open(path, "rb") as file:
                    encoded = file.read()
                with Image.open(path) as image:
                    width, height = image.size
                feature = {
                    "image": bytes_feature(encoded),
                    "height": int64_feature(height),
                    "width": int64_feature(width),
                    "label": int64_feature(label),
                }
                example = tf.train.Example(features=tf.train.Features(feature=feature))
                writer.write(example.SerializeToString())
                written += 1
    print(f"wrote {written} records")


if __name__ == "__main__":
    main(*sys.argv[1:])
