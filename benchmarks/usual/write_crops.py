"""Write centre crops of class folders into a TFRecord file: write_crops.py IMAGES OUT."""

import os
import sys

import tensorflow as tf
from PIL import Image

CROP = 128


def bytes_feature(value: bytes) -> tf.train.Feature:
    """Wrap bytes."""
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def int64_feature(value: int) -> tf.train.Feature:
    """Wrap a number."""
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def main(images: str, out: str) -> None:
    """Write the middle of every file of every class folder that is large enough."""
    os.makedirs(out)
    written = 0
    with tf.io.TFRecordWriter(os.path.join(out, "train.tfrecord")) as writer:
        for label, name in enumerate(sorted(os.listdir(images))):
            for filename in sorted(os.listdir(os.path.join(images, name))):
                image = Image.open(os.path.join(images, name, filename)).convert("RGB")
                width, height = image.size
                if width < CROP or height < CROP:
                    continue
                left, top = (width - CROP) // 2, (height - CROP) // 2
                crop = image.crop((left, top, left + CROP, top + CROP))
                feature = {
                    "image": bytes_feature(crop.tobytes()),
                    "height": int64_feature(CROP),
                    "width": int64_feature(CROP),
                    "label": int64_feature(label),
                }
                example = tf.train.Example(features=tf.train.Features(feature=feature))
                writer.write(example.SerializeToString())
                written += 1
    print(f"wrote {written} records")


if __name__ == "__main__":
    main(*sys.argv[1:])
