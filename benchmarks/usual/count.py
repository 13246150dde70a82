"""Count the records of all shards: count.py OUT."""

import glob
import sys

import tensorflow as tf

records = 0
for _ in tf.data.TFRecordDataset(sorted(glob.glob(f"{sys.argv[1]}/*.tfrecord"))):
    records += 1
print(f"{records} records")
