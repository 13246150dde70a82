"""The clock of contestants that time themselves, since their start does not count.

Knows: one epoch to warm up, one to time. Must not know: what an epoch does.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable


def timed(epoch: Callable[[], int]) -> None:
    """Do an epoch twice, and print how many records the second had and how long it took."""
    epoch()
    start = time.perf_counter()
    records = epoch()
    print(f"{records} records in {time.perf_counter() - start:.6f} seconds")


def cores() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
