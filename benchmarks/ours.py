"""Read one epoch with one of our readers: python -m benchmarks.ours OUT [READER] [--shuffle].

READER is tf (the default), numpy or torch. An earlier commit may lack later readers.
"""

import argparse
from importlib import import_module
from typing import Any

from benchmarks import BATCH, CROP_PX
from benchmarks.clock import cores, timed

parser = argparse.ArgumentParser()
parser.add_argument("out")
parser.add_argument("reader", nargs="?", default="tf", choices=["tf", "numpy", "torch"])
parser.add_argument("--shuffle", action="store_true")
asked = parser.parse_args()
reader: Any = import_module(f"tfrec_cli.read_{asked.reader}")
if asked.reader == "torch":
    from torch.utils.data import DataLoader

    records = reader.dataset(asked.out, crop=CROP_PX, seed=1)
    order = reader.Order(records, shuffle=asked.shuffle)
    train: Any = DataLoader(
        records, BATCH, sampler=order, num_workers=cores(), persistent_workers=True
    )
else:
    train = reader.dataset(asked.out, crop=CROP_PX, seed=1, batch_size=BATCH, shuffle=asked.shuffle)
timed(lambda: (len(images) for images, _ in train))
