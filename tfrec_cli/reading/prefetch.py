"""Runs tasks ahead in threads, and yields their results in order.

Knows: threads. Must not know: what a task does, any framework.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

BATCHES_AHEAD = 2
"""Finished batches that may wait, in addition to those being made."""


def run_ahead(tasks: Iterable[Callable[[], Result]], threads: int) -> Generator[Result, None, None]:
    """Run tasks in threads, at most ``threads + BATCHES_AHEAD`` ahead of the last result taken.

    If the iterator is closed early, it cancels tasks that have not begun and ends its threads.

    Yields:
        The results, in the order of the tasks.
    """
    running: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for task in tasks:
                running.append(pool.submit(task))
                if len(running) > threads + BATCHES_AHEAD:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()
