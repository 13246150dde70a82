"""Maps a function over tasks, in this process or in workers, and notices workers that die.

Knows: processes. Must not know: what the tasks are. Results do not depend on how many processes
there are.
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
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from tfrec_cli.errors import RunError
from tfrec_cli.runtime import allocator, heartbeat
from tfrec_cli.runtime.stderr import fill_standard

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

Progress = Callable[[str, int, int], object]
"""Called with the name of the step, how many items are done, and how many there are."""

Instead = Callable[[Any, int, str], Any]
"""Takes a task, the number of the item that killed its worker, and the cause; returns the task to
do instead."""

_NO_TASK = object()
_WATCH_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1
_HELD = (signal.SIGINT, signal.SIGTERM)

_CAUSES = {
    getattr(signal, name): f"a decoder that ended with {name}"
    for name in ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE", "SIGILL", "SIGSYS", "SIGTRAP")
    if hasattr(signal, name)
} | {signal.SIGPROF: f"over {heartbeat.ITEM_SECONDS:.0f} s of decoding"}
"""What is reported of an image that killed its worker; other signals are not an image's fault."""


class Map(Protocol):
    """Maps a picklable, module-level function over tasks; yields results as they are ready."""

    def __call__(
        self, function: Callable[[Any], Any], tasks: Iterable[Any], instead: Instead | None = None
    ) -> Iterator[Any]:
        """Map; ``instead`` makes a task without the item that killed a worker."""


def available_jobs() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def local(
    jobs: int, *, isolated: bool = False, prepare: Callable[[], None] | None = None
) -> Iterator[Map]:
    """Start ``jobs`` worker processes; with one job, this process does the work.

    Args:
        isolated: start a worker for one job too, if that is cheap.
        prepare: what each worker does before its first task, while this process continues; if it
            fails, so does that task.
    Yields:
        A function that maps; the workers end with the block.
    Raises:
        RunError: while mapping, if a worker died and there is nothing to do instead of its task.
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
    instead: Instead | None = None,  # noqa: ARG001  # no worker can die
) -> Iterator[Any]:
    return map(function, tasks)


@dataclass(slots=True)
class _Worker:
    """A process that does one task after another; ``cell`` holds the number of its item."""

    process: BaseProcess
    connection: Connection
    cell: heartbeat.Cell
    task: Any = _NO_TASK


class _Failure(NamedTuple):
    """An exception on its way to the parent, with its traceback as text."""

    error: BaseException
    traceback: str


class _Traceback(Exception):  # noqa: N818  # not an error, but where one came from
    def __str__(self) -> str:
        return f"\n{self.args[0]}"


@dataclass(slots=True)
class _Pool:
    """Workers, each with its own pipe, so that one that dies does not disturb the others."""

    jobs: int
    prepare: Callable[[], None] | None
    _workers: dict[Connection, _Worker] = field(default_factory=dict)
    _idle: list[_Worker] = field(default_factory=list)

    def __post_init__(self) -> None:
        try:
            for _ in range(min(self.jobs, available_jobs())):  # while there is little to copy
                self._start()
        except BaseException:
            self.close()
            raise

    def map(
        self, function: Callable[[Any], Any], tasks: Iterable[Any], instead: Instead | None = None
    ) -> Iterator[Any]:
        """Map; a worker gets its next task when it is idle, so that few tasks are in memory."""
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
            busy = [each.connection for each in self._workers.values() if each.task is not _NO_TASK]
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
        """Kill every worker, even in the middle of a task."""
        for worker in self._workers.values():
            worker.process.kill()
        for worker in self._workers.values():
            worker.process.join()
            worker.connection.close()
        self._workers, self._idle = {}, []

    def _start(self) -> None:
        """Start a worker; Ctrl-C is held back until `close` knows the worker."""
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
            with nullcontext() if forks else _without_main():
                process.start()
            worker = self._workers[ours] = _Worker(process, ours, cell)
            self._idle.append(worker)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()

    def _give(self, function: Callable[[Any], Any], task: Any) -> None:
        worker = self._idle.pop()
        worker.task = task
        with suppress(ConnectionError):  # it has died, which `map` will notice
            worker.connection.send((function, task))

    def _task_instead(self, worker: _Worker, instead: Instead | None) -> Any:
        """Remove a dead worker, and return what to do instead of its task."""
        del self._workers[worker.connection]
        worker.connection.close()
        worker.process.join()
        item = worker.cell.value
        cause = _CAUSES.get(-(worker.process.exitcode or 0))
        if instead and cause and item != heartbeat.NOWHERE:
            return instead(worker.task, item, cause)
        raise RunError("a worker process died: killed, or out of memory (fewer `jobs` need less)")


def _can_fork() -> bool:
    """Return whether fork is safe and cheap: on Linux, in a process with a single thread."""
    return sys.platform == "linux" and len(os.listdir("/proc/self/task")) == 1


@contextmanager
def _without_main() -> Iterator[None]:
    """Keep multiprocessing from running the script of this process again in a new one.

    Workers need nothing of it, and a script without ``if __name__ == "__main__":`` would do there
    what it does here.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _work(
    connection: Connection,
    cell: heartbeat.Cell,
    forked_from: int | None,
    prepare: Callable[[], None] | None,
) -> None:
    """Do tasks until the parent closes the connection."""
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
    """Leave Ctrl-C to the parent, which ends its workers; end too if the parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a fork copies the parent's handler
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)
    allocator.keep()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if forked_from and os.getppid() != forked_from:  # it was killed before prctl
            os._exit(1)
    else:
        threading.Thread(target=_end_with, args=[os.getppid()], daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)
