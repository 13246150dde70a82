"""Batches of records that are stored class after class: how mixed are they?"""

import numpy as np

from tfrec_cli.reading.options import ReadOptions
from tfrec_cli.reading.order import draw

CLASSES, OF_EACH, BATCH = 1000, 1000, 256
COUNT = CLASSES * OF_EACH


def buffered(size):
    """Shuffle by a buffer, like `tf.data.Dataset.shuffle`."""
    random, order = np.random.default_rng(0), np.arange(COUNT)
    buffer = order[:size].copy()
    for position, place in enumerate(random.integers(0, size, COUNT - size)):
        order[position], buffer[place] = buffer[place], order[size + position]
    order[COUNT - size :] = random.permutation(buffer)
    return order


def show(name, order, classes):
    batches = classes[order[: COUNT // BATCH * BATCH]].reshape(-1, BATCH)
    distinct = np.mean([len(np.unique(batch)) for batch in batches])
    moved = np.abs(order - np.arange(COUNT)).mean() / COUNT
    print(f"  {name:24} {distinct:6.1f} classes in a batch, moved by {moved:.3f} of the epoch")


def drawn(shuffle):
    return draw(COUNT, ReadOptions(seed=42, shuffle=shuffle), 0, range(COUNT)).numbers


orders = {
    "shuffle=True": drawn(True),
    'shuffle="blocks"': drawn("blocks"),
    "buffer of 16,384 records": buffered(16_384),
    "stored order": drawn(False),
}
stored = np.repeat(np.arange(CLASSES), OF_EACH)
mixed = np.random.default_rng(1).permutation(stored)
for title, classes in (("stored class after class", stored), ("stored in random order", mixed)):
    print(f"{title}, batches of {BATCH} of {CLASSES} classes")
    for name, order in orders.items():
        show(name, order, classes)
