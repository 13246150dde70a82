"""Calls that Python waits for when it exits."""

from __future__ import annotations

import threading
import time

import pytest

from tfrec_cli.reading.callbacks import CountedCalls


def test_a_counted_function_does_the_same() -> None:
    assert CountedCalls().counted(divmod)(17, 5) == (3, 2)


def test_waiting_ends_with_the_last_call() -> None:
    calls = CountedCalls()
    done: list[int] = []

    def work(seconds: float) -> None:
        time.sleep(seconds)
        done.append(1)

    threads = [
        threading.Thread(target=calls.counted(work), args=[seconds]) for seconds in (0.1, 0.3)
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.05)  # both have begun
    calls.wait()
    assert done == [1, 1]


def test_a_call_that_fails_has_ended() -> None:
    calls = CountedCalls()
    with pytest.raises(ZeroDivisionError):
        calls.counted(divmod)(1, 0)
    before = time.monotonic()
    calls.wait(most_seconds=60)
    assert time.monotonic() - before < 30


def test_waiting_ends_after_a_time_limit() -> None:
    calls = CountedCalls()
    end = threading.Event()
    thread = threading.Thread(target=calls.counted(end.wait))
    thread.start()
    calls.wait(most_seconds=0.2)
    assert thread.is_alive()
    end.set()
    thread.join()
