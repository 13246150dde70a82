"""Timing for contestants that time themselves, since their start-up does not count.

Knows: one epoch to warm up, others to time. Must not know: what an epoch does.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

_SECONDS = 2.0
"""Epochs are repeated until they take this long: of a fifth of a second, half is noise."""


def timed(epoch: Callable[[], Iterable[int]]) -> None:
    """Warm up, and time epochs; print the number of records in each, and the median of the seconds.

    An epoch is timed until its last batch, not until the iterator is deleted: tf.data's tuner
    delays that by as much as the complete epoch took.
    """
    for _ in epoch():
        pass
    seconds: list[float] = []
    records = 1
    while records and sum(seconds) < _SECONDS:
        records = 0
        start = last = time.perf_counter()
        for count in epoch():
            records += count
            last = time.perf_counter()
        seconds.append(last - start)
    print(f"{records} records in {statistics.median(seconds):.6f} seconds")


def untuned(dataset: Any) -> Any:
    """Turn off tf.data's tuner if there is nothing to tune."""
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def cores() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
