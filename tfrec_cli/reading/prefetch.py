"""Tasks run ahead in threads, their results in order.

Knows: threads. Must not know: what a task does, any framework.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

BATCHES_AHEAD = 2
"""Batches made ahead of the next, beside those being made."""


def run_ahead(tasks: Iterable[Callable[[], Result]], threads: int) -> Generator[Result, None, None]:
    """Run tasks in threads, at most ``threads + BATCHES_AHEAD`` ahead of the last result taken.

    An iterator that is closed early cancels what has not begun, and ends its threads.

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
