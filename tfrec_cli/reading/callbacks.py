"""Counts calls from a framework's threads, so that Python can wait for them before it exits.

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
"""After this long without a call, no other is expected."""

_MOST_SECONDS = 5.0
"""Python exits after this long in any case."""


class CountedCalls:
    """Counts calls as they begin and end, so that one can wait until none is running.

    A TensorFlow iterator that is not read to its end makes some more batches. If their threads
    return to a Python interpreter that has exited, they hang, and TensorFlow waits for them.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = 0
        self._begun = 0

    def counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same and is counted while it runs."""

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
        """Wait until no call runs and no new one begins, for ``most_seconds`` at most."""
        end = time.monotonic() + most_seconds
        begun = -1
        while begun != self._begun and time.monotonic() < end:
            with self._changed:
                self._changed.wait_for(lambda: not self._running, end - time.monotonic())
                begun = self._begun
            time.sleep(_IDLE_SECONDS)


@cache
def counted_calls() -> CountedCalls:
    """Return the counter of this process; Python waits for its calls before it exits.

    Call it first after the framework is imported: exit handlers run in reverse order, so that
    Python waits before the framework shuts down.
    """
    calls = CountedCalls()
    atexit.register(calls.wait)
    return calls
