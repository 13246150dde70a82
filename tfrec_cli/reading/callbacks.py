"""Calls of Python from a framework's own threads, for which Python waits when it ends.

Knows: threads. Must not know: what is called, any framework.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any

_IDLE_SECONDS = 0.05
"""After so long without a call, none is expected to come."""

_MOST_SECONDS = 5.0
"""Python ends after so long in any case."""


class CountedCalls:
    """Counts calls that begin and end, to wait until there are none.

    An iterator of TensorFlow that is left half read makes some batches more than it was asked for.
    A thread that returns to a Python that has ended waits for ever, and TensorFlow for it.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = 0
        self._begun = 0

    def counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same, and is waited for."""

        def call(*arguments: Any) -> Any:
            with self._changed:
                self._running += 1
                self._begun += 1
            try:
                return function(*arguments)
            finally:
                with self._changed:
                    self._running -= 1
                    self._changed.notify_all()

        return call

    def wait(self, most_seconds: float = _MOST_SECONDS) -> None:
        """Wait until no call runs and no new one begins, or until ``most_seconds`` are over."""
        end = time.monotonic() + most_seconds
        begun = -1
        while begun != self._begun and time.monotonic() < end:
            with self._changed:
                self._changed.wait_for(lambda: not self._running, end - time.monotonic())
                begun = self._begun
            time.sleep(_IDLE_SECONDS)


@cache
def counted_calls() -> CountedCalls:
    """Return the counter of this process, which Python waits for when it ends.

    To be called first after the framework is imported, so that Python waits before it ends that.
    """
    calls = CountedCalls()
    atexit.register(calls.wait)
    return calls
