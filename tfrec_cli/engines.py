"""Where work runs: one function mapped over many tasks, here or in other processes.

Knows: processes. Must not know: what the tasks are. Results depend on the tasks alone, so every
engine gives the same ones.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.context import BaseContext
from typing import Any, TypeVar

from tfrec_cli.errors import RunError
from tfrec_cli.memory import keep_memory

Task = TypeVar("Task")
Result = TypeVar("Result")
Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]
"""Maps a picklable, module-level function over tasks; yields results as they are ready."""

_WINDOW_PER_WORKER = 4
_WATCH_SECONDS = 0.5


def available_jobs() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def local(jobs: int) -> Iterator[Map]:
    """Open an engine of ``jobs`` processes on this machine; one means no process at all.

    Yields:
        A function that maps; when the block ends, so do the processes.
    Raises:
        RunError: from the mapping, when a worker died.
    """
    if jobs == 1:
        keep_memory()
        yield map
        return
    executor = ProcessPoolExecutor(jobs, mp_context=_context(), initializer=_start_worker)
    workers_before = set(multiprocessing.active_children())

    def run(function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        return _windowed(executor, jobs * _WINDOW_PER_WORKER, function, tasks)

    try:
        yield run
    except BaseException:
        for worker in set(multiprocessing.active_children()) - workers_before:
            worker.terminate()
        executor.shutdown(wait=True, cancel_futures=True)
        raise
    executor.shutdown()


def _windowed(
    executor: Executor,
    window: int,
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
) -> Iterator[Result]:
    """Keep at most ``window`` tasks submitted, so that tasks and results need little memory."""
    running: set[Future[Result]] = set()
    waiting = iter(tasks)
    try:
        while True:
            for task in waiting:
                running.add(_submit(executor, function, task))
                if len(running) >= window:
                    break
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool as error:
        raise RunError(
            "a worker process died: killed, out of memory (fewer --jobs need less), "
            "or started by a script without `if __name__ == '__main__':`"
        ) from error


def _submit(executor: Executor, function: Callable[[Task], Result], task: Task) -> Future[Result]:
    try:
        return executor.submit(function, task)
    except OSError as error:  # the pipes of a pool that breaks in this very moment
        raise BrokenProcessPool(str(error)) from error


def _context() -> BaseContext:
    """Fork where it is safe, in a process of one thread, since it costs nothing."""
    if sys.platform == "linux" and len(os.listdir("/proc/self/task")) == 1:
        return multiprocessing.get_context("fork")
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    return multiprocessing.get_context("forkserver")


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, which ends its workers, and end when it was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a handler of the parent's came with the fork
    keep_memory()
    threading.Thread(target=_end_with, args=[os.getppid()], daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)
