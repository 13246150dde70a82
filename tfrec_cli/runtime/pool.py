"""Where work runs: a function mapped over tasks, here or in processes; a dead worker is noticed.

Knows: processes. Must not know: what the tasks are. Results depend on the tasks alone, so every
engine gives the same ones.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast

from tfrec_cli.errors import RunError
from tfrec_cli.runtime import allocator, heartbeat
from tfrec_cli.runtime.stderr import fill_standard

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

Progress = Callable[[str, int, int], object]
"""Called with what is done now, how many items are done, and how many there are."""

Instead = Callable[[Any, int, str], Any]
"""Given a task, the number of the item that killed its worker, and how: the task to do instead."""

_NO_TASK = object()
_WATCH_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1
_HELD = (signal.SIGINT, signal.SIGTERM)

_CAUSES = {
    getattr(signal, name): f"a decoder that ended with {name}"
    for name in ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE", "SIGILL", "SIGSYS", "SIGTRAP")
    if hasattr(signal, name)
} | {signal.SIGPROF: f"over {heartbeat.ITEM_SECONDS:.0f} s of decoding"}
"""What an image is found to be when it kills its worker; other signals are no image's fault."""


class Map(Protocol):
    """Maps a picklable, module-level function over tasks; yields results as they are ready."""

    def __call__(
        self, function: Callable[[Any], Any], tasks: Iterable[Any], instead: Instead | None = None
    ) -> Iterator[Any]:
        """Map; ``instead`` makes a task that avoids an item which killed a worker."""


def available_jobs() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def local(
    jobs: int, *, isolated: bool = False, prepare: Callable[[], None] | None = None
) -> Iterator[Map]:
    """Open an engine of ``jobs`` processes on this machine; one means no other process.

    Args:
        isolated: work in another process even then, where starting one costs nothing.
        prepare: what other processes do before their first task, while this one goes on; should it
            fail, so does that task.
    Yields:
        A function that maps; when the block ends, so do the processes.
    Raises:
        RunError: from the mapping, when a worker died that nothing can be done instead of.
    """
    fill_standard()
    if jobs == 1 and not (isolated and _can_fork()):
        allocator.keep()
        yield _map_here
        return
    pool = _Pool(jobs, prepare)
    try:
        yield pool.map
    finally:
        pool.close()


def _map_here(
    function: Callable[[Any], Any],
    tasks: Iterable[Any],
    instead: Instead | None = None,  # noqa: ARG001  # nobody is left to do it
) -> Iterator[Any]:
    return map(function, tasks)


@dataclass(slots=True)
class _Worker:
    """A process that does one task after the other; ``cell`` says which item it is at."""

    process: BaseProcess
    connection: Connection
    cell: heartbeat.Cell
    task: Any = _NO_TASK


@dataclass(slots=True)
class _Failure:
    """An exception on its way to the parent, with its traceback as text."""

    error: BaseException
    traceback: str


class _Traceback(Exception):  # noqa: N818  # no error, but where one came from
    def __str__(self) -> str:
        return f"\n{self.args[0]}"


@dataclass(slots=True)
class _Pool:
    """Some workers, each with a pipe of its own: who dies takes no other along."""

    jobs: int
    prepare: Callable[[], None] | None
    _workers: dict[Connection, _Worker] = field(default_factory=dict)
    _idle: list[_Worker] = field(default_factory=list)

    def __post_init__(self) -> None:
        try:
            for _ in range(min(self.jobs, available_jobs())):  # while there is little to share
                self._start()
        except BaseException:
            self.close()
            raise

    def map(
        self, function: Callable[[Any], Any], tasks: Iterable[Any], instead: Instead | None = None
    ) -> Iterator[Any]:
        """Map; a worker gets its next task when it has done the last, so that few are in memory."""
        from multiprocessing.connection import wait

        waiting = iter(tasks)
        again: list[Any] = []
        while True:
            while self._idle or len(self._workers) < self.jobs:
                task = again.pop() if again else next(waiting, _NO_TASK)
                if task is _NO_TASK:
                    break
                if not self._idle:
                    self._start()
                self._give(function, task)
            busy = [one.connection for one in self._workers.values() if one.task is not _NO_TASK]
            if not busy:
                return
            for connection in wait(busy):
                worker = self._workers[cast("Connection", connection)]
                try:
                    result = worker.connection.recv()
                except (EOFError, OSError):
                    again.append(self._task_instead(worker, instead))
                    self._start()
                    continue
                worker.task = _NO_TASK
                self._idle.append(worker)
                if isinstance(result, _Failure):
                    raise result.error from _Traceback(result.traceback)
                yield result

    def close(self) -> None:
        """End every process, also in the middle of a task."""
        for worker in self._workers.values():
            worker.process.kill()
        for worker in self._workers.values():
            worker.process.join()
            worker.connection.close()
        self._workers, self._idle = {}, []

    def _start(self) -> None:
        """Start a worker; Ctrl-C waits until it is known."""
        import multiprocessing

        forks = _can_fork()
        context: Any = multiprocessing.get_context("fork" if forks else "forkserver")
        ours, theirs = context.Pipe()
        cell = context.Value("q", heartbeat.NOWHERE, lock=False)
        process = context.Process(
            target=_work,
            args=(theirs, cell, os.getpid() if forks else None, self.prepare),
            daemon=True,
        )
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
        try:
            process.start()
            worker = self._workers[ours] = _Worker(process, ours, cell)
            self._idle.append(worker)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()

    def _give(self, function: Callable[[Any], Any], task: Any) -> None:
        worker = self._idle.pop()
        worker.task = task
        with suppress(ConnectionError):  # it died meanwhile, as its silence will tell
            worker.connection.send((function, task))

    def _task_instead(self, worker: _Worker, instead: Instead | None) -> Any:
        """Bury a worker, and return what to do instead of the task that killed it."""
        del self._workers[worker.connection]
        worker.connection.close()
        worker.process.join()
        item = worker.cell.value
        cause = _CAUSES.get(-(worker.process.exitcode or 0))
        if instead and cause and item != heartbeat.NOWHERE:
            return instead(worker.task, item, cause)
        raise RunError(
            "a worker process died: killed, out of memory (fewer --jobs need less), "
            "or started by a script without `if __name__ == '__main__':`"
        )


def _can_fork() -> bool:
    """Tell whether a fork is safe: in a process of one thread, where it costs nothing."""
    return sys.platform == "linux" and len(os.listdir("/proc/self/task")) == 1


def _work(
    connection: Connection,
    cell: heartbeat.Cell,
    forked_from: int | None,
    prepare: Callable[[], None] | None,
) -> None:
    """Do tasks until there are none."""
    _start_worker(forked_from)
    heartbeat.show_in(cell)
    failed = _tried(prepare) if prepare else None
    while True:
        try:
            function, task = connection.recv()
        except EOFError:
            return
        result = failed or _tried(function, task)
        heartbeat.leave()
        try:
            connection.send_bytes(_packed(result))
        except ConnectionError:  # the parent is dead
            return


def _tried(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except BaseException as error:
        return _Failure(error, traceback.format_exc())


def _packed(result: Any) -> bytes:
    try:
        return pickle.dumps(result, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        return pickle.dumps(_Failure(TypeError(f"not picklable: {error}"), traceback.format_exc()))


def _start_worker(forked_from: int | None) -> None:
    """Leave Ctrl-C to the parent, which ends its workers, and end when it was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a handler of the parent's came with the fork
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)
    allocator.keep()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if forked_from and os.getppid() != forked_from:  # killed before this could be said
            os._exit(1)
    else:
        threading.Thread(target=_end_with, args=[os.getppid()], daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)
