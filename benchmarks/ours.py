"""Read one epoch with our reader: python -m benchmarks.ours OUT [--shuffle]."""

import sys

from benchmarks import BATCH, CROP_PX
from benchmarks.clock import timed
from tfrec_cli import read_tf

train = read_tf.dataset(
    sys.argv[1], crop=CROP_PX, seed=1, batch_size=BATCH, shuffle="--shuffle" in sys.argv
)
timed(lambda: (len(images) for images, _ in train))
