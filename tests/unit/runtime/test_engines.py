"""The pool: the same results from one process and from several, and no process left running."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tfrec_cli.errors import ImageError, RunError
from tfrec_cli.runtime import heartbeat, pool

ENGINES = pytest.mark.parametrize("jobs", [1, 2], ids=["serial", "processes"])


# Mapped functions have to be importable in another process.


def double(task: int) -> int:
    return 2 * task


def process_id(_task: int) -> int:
    return os.getpid()


def note_process() -> None:
    os.environ["PREPARED_IN"] = str(os.getpid())


def fail_to_prepare() -> None:
    raise MemoryError("while it prepared")


def is_prepared(_task: int) -> bool:
    return os.environ.get("PREPARED_IN") == str(os.getpid())


def interrupt_is_ignored(_task: int) -> bool:
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def fail_at_three(task: int) -> int:
    if task == 3:
        raise ImageError("truncated", f"task {task}")
    return task


def die(_task: int) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def die_at_seven(numbers: tuple[int, ...]) -> int:
    """Add numbers up; a 7 kills the worker."""
    for item, number in enumerate(numbers):
        heartbeat.start_item(item)
        if number == 7:
            os.kill(os.getpid(), signal.SIGTRAP)  # pytest prints no traceback for it
    return sum(numbers)


def die_at_an_item(signal_number: int) -> NoReturn:
    heartbeat.start_item(0)
    os.kill(os.getpid(), signal_number)
    raise AssertionError


def die_after_items(signal_number: int) -> NoReturn:
    heartbeat.start_item(0)
    heartbeat.leave()
    os.kill(os.getpid(), signal_number)
    raise AssertionError


def without(numbers: tuple[int, ...], item: int, cause: str) -> tuple[int, ...]:
    assert cause == "a decoder that ended with SIGTRAP"
    return (*numbers[:item], 0, *numbers[item + 1 :])


def never(_task: object, _item: int, _cause: str) -> NoReturn:
    raise AssertionError


def unpicklable(_task: int) -> Iterator[int]:
    return iter(lambda: 1, 2)


def hang_or_fail(task: int) -> None:
    """Hang for ever as task 0; fail as any other."""
    if task == 0:
        signal.pause()
    raise ValueError(task)


def hang_unless_one(task: int) -> int:
    if task != 1:
        signal.pause()
    return task


def interrupt_after_one(results: Iterator[int]) -> NoReturn:
    next(results)
    raise KeyboardInterrupt


@ENGINES
@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 100])
def test_every_task_is_done_once(jobs: int, count: int) -> None:
    with pool.local(jobs) as run:
        results = Counter(run(double, range(count)))
    assert results == Counter(range(0, 2 * count, 2))


@ENGINES
def test_a_pool_maps_more_than_once(jobs: int) -> None:
    with pool.local(jobs) as run:
        results = [sorted(run(double, range(3))) for _ in range(2)]
    assert results == [[0, 2, 4], [0, 2, 4]]


def test_one_job_works_in_this_process() -> None:
    with pool.local(1) as run:
        assert set(run(process_id, range(3))) == {os.getpid()}


def test_several_jobs_work_in_other_processes() -> None:
    with pool.local(2) as run:
        assert os.getpid() not in set(run(process_id, range(3)))


@pytest.mark.parametrize("jobs", [1, 2])
def test_other_processes_prepare_before_their_first_task(jobs: int) -> None:
    with pool.local(jobs, isolated=True, prepare=note_process) as run:
        assert list(run(is_prepared, range(9))) == [pool._can_fork() or jobs > 1] * 9
    assert "PREPARED_IN" not in os.environ


def test_the_first_task_raises_the_error_of_a_failed_preparation(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with (
        pytest.raises(MemoryError, match="while it prepared"),
        pool.local(2, prepare=fail_to_prepare) as run,
    ):
        list(run(double, range(3)))
    assert capfd.readouterr() == ("", "")


def test_a_failed_preparation_is_no_error_without_tasks(capfd: pytest.CaptureFixture[str]) -> None:
    with pool.local(2, prepare=fail_to_prepare) as run:
        assert list(run(double, [])) == []
    assert capfd.readouterr() == ("", "")


def test_workers_ignore_an_interrupt() -> None:
    with pool.local(2) as run:
        assert list(run(interrupt_is_ignored, range(3))) == [True] * 3


@ENGINES
def test_tasks_are_taken_only_when_needed(jobs: int) -> None:
    """A million tasks need not be in memory: after one result, few have been taken."""
    tasks = iter(range(1000))
    with pool.local(jobs) as run:
        next(run(double, tasks))
        assert next(tasks) < 20


@ENGINES
def test_an_exception_keeps_its_type_and_attributes(jobs: int) -> None:
    with pytest.raises(ImageError) as raised, pool.local(jobs) as run:
        list(run(fail_at_three, range(9)))
    assert (raised.value.reason, str(raised.value)) == ("truncated", "task 3")


def test_a_killed_worker_is_a_run_error() -> None:
    with pytest.raises(RunError) as raised, pool.local(2) as run:
        list(run(die, range(9)))
    assert str(raised.value) == (
        "a worker process died: killed, or out of memory (fewer jobs need less)"
    )


@pytest.mark.parametrize("jobs", [2, 3])
def test_only_the_item_that_kills_its_worker_is_left_out(jobs: int) -> None:
    tasks = [(1, 2, 3), (7, 20, 7), (4, 7), (7,), (5, 6)]
    with pool.local(jobs) as run:
        assert sorted(run(die_at_seven, tasks, without)) == [0, 4, 6, 11, 20]
        assert sorted(run(double, range(9))) == list(range(0, 18, 2))


@pytest.mark.parametrize(
    ("function", "signal_number"),
    [(die_at_an_item, signal.SIGKILL), (die_after_items, signal.SIGTRAP), (die, 0)],
)
def test_a_death_that_no_item_caused_is_a_run_error(function: Any, signal_number: int) -> None:
    """The system ran out of memory, or the worker died between items."""
    with pytest.raises(RunError), pool.local(2) as run:
        list(run(function, [signal_number], never))


def test_a_worker_killed_while_it_waits_is_a_run_error() -> None:
    with pool.local(2) as run:
        list(run(double, range(9)))
        for child in multiprocessing.active_children():
            child.kill()
            child.join()
        with pytest.raises(RunError):
            list(run(double, range(9)))


def test_a_result_that_cannot_be_sent_is_an_error() -> None:
    with pytest.raises(TypeError, match="not picklable"), pool.local(2) as run:
        list(run(unpicklable, [1]))


def test_an_error_tells_where_in_the_worker_it_came_from() -> None:
    with pytest.raises(ValueError, match="1") as raised, pool.local(2) as run:
        list(run(hang_or_fail, [1]))
    assert "in hang_or_fail" in str(raised.value.__cause__)


def test_no_more_processes_start_than_there_are_tasks() -> None:
    with pool.local(1000) as run:
        list(run(double, range(9)))
        assert len(multiprocessing.active_children()) <= max(9, pool.available_jobs())


def test_no_process_is_left_after_the_work() -> None:
    with pool.local(2) as run:
        list(run(double, range(9)))
    assert multiprocessing.active_children() == []


def test_no_process_is_left_after_an_exception_in_a_task() -> None:
    """Not even a task that would never end by itself."""
    with pytest.raises(ValueError, match="1"), pool.local(2) as run:
        list(run(hang_or_fail, range(2)))
    assert multiprocessing.active_children() == []


def test_no_process_is_left_after_a_killed_worker() -> None:
    with pytest.raises(RunError), pool.local(2) as run:
        list(run(die, range(9)))
    assert multiprocessing.active_children() == []


def test_no_process_is_left_after_an_interrupt() -> None:
    """Ctrl-C between two results, while tasks run that never end."""
    with pytest.raises(KeyboardInterrupt), pool.local(2) as run:
        interrupt_after_one(run(hang_unless_one, [1, 0, 0, 0]))
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("before", "method"),
    [
        ("", "fork" if sys.platform == "linux" else "forkserver"),
        ("import threading; threading.Thread(target=input).start()", "forkserver"),
    ],
    ids=["one thread", "two threads"],
)
def test_every_way_to_start_a_process(before: str, method: str) -> None:
    """Fork only with a single thread; otherwise a fork could copy a lock that is held."""
    program = (
        f"{before}\n"
        "from tfrec_cli.runtime import pool as engines\n"
        "with engines.local(2) as run:\n"
        "    print('fork' if engines._can_fork() else 'forkserver', "
        "sorted(run(abs, range(-9, 0))), flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    process.communicate("\n")
    assert line == f"{method} [1, 2, 3, 4, 5, 6, 7, 8, 9]\n"


def test_a_script_needs_no_guard(tmp_path: Path) -> None:
    """Its processes do not run it again, though it has threads and says no ``__main__``."""
    script = tmp_path / "script.py"
    script.write_text(
        "import threading, time\n"
        "from tfrec_cli.runtime import pool\n"
        "threading.Thread(target=time.sleep, args=[600], daemon=True).start()\n"
        "for _ in range(2):\n"
        "    with pool.local(2) as run:\n"
        "        print(pool._can_fork(), sorted(run(abs, range(-3, 0))), flush=True)\n"
        "import __main__\n"
        "print(__main__.__file__ == __file__)\n"
    )
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("False [1, 2, 3]\n" * 2 + "True\n", "")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
@pytest.mark.parametrize("isolated", [False, True])
def test_no_file_of_ours_can_become_stdin_stdout_or_stderr(isolated: bool) -> None:
    """If the caller has closed descriptors 0 to 2, a shard could get one of these numbers."""
    program = (
        "import os\n"
        "from tfrec_cli.runtime import pool as engines\n"
        "for number in range(3):\n"
        "    os.close(number)\n"
        f"with engines.local(1, isolated={isolated}) as run:\n"
        "    found = list(run(os.readlink, [f'/proc/self/fd/{number}' for number in range(3)]))\n"
        "os._exit(found == [os.devnull] * 3)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 1


def test_available_jobs_are_those_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that taskset or a container allows, not all processors of the machine."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {3, 5, 6}, raising=False)
    assert pool.available_jobs() == 3


def test_workers_end_when_their_parent_is_killed() -> None:
    """They inherit stdout, a pipe, which closes only when the last of them has ended."""
    program = (
        "import os, signal, time\n"
        "from tfrec_cli.runtime import pool as engines\n"
        "with engines.local(2) as run:\n"
        "    for _ in run(time.sleep, [0, 1000, 1000]):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, timeout=60, check=False
    )
    assert (killed.returncode, killed.stdout) == (-signal.SIGKILL, b"")
