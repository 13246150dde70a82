"""The clock of contestants that time themselves, since their start does not count.

Knows: one epoch to warm up, others to time. Must not know: what an epoch does.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

_SECONDS = 2.0
"""Shorter epochs are timed until they make up so much: of a fifth of a second noise is a half."""


def timed(epoch: Callable[[], Iterable[int]]) -> None:
    """Warm up, and time epochs; print how many records each had, and the median of the seconds.

    Until the last batch, not until the iterator is gone: tf.data's tuner delays that, by as much as
    the whole epoch took.
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
    """Turn tf.data's tuner off, where there is nothing to tune."""
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def cores() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
