"""Runs `tfrec` for the faults: held until strace has attached, limited, killed, timed.

Knows: processes, signals, sessions. Must not know: what a dataset is.
"""

from __future__ import annotations

import io
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

HANG_SECONDS = 30.0
END_SECONDS = 2.0
"""After a signal, all processes of a command must have ended within this time."""

Hold = Literal["start", "workers"]


@dataclass(slots=True, kw_only=True)
class Tally:
    """What one part of the harness tried.

    Attributes:
        tried: number of faults by kind.
        violations: one line for each broken promise.
        notes: other remarks, such as what this machine does not allow.
    """

    tried: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def count(self, kind: str, wrong: Sequence[str] = ()) -> None:
        """Count one try, and add what was wrong with it."""
        self.tried[kind] = self.tried.get(kind, 0) + 1
        self.violations += [f"{kind}: {fault}" for fault in wrong]

    def add(self, other: Tally) -> None:
        """Add another tally."""
        for kind, number in other.tried.items():
            self.tried[kind] = self.tried.get(kind, 0) + number
        self.violations += other.violations
        self.notes += other.notes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended: ``code`` is negative for a signal."""

    pid: int
    code: int
    output: str
    seconds: float

    def misreported(self, code: int, named: str) -> list[str]:
        """Return how this differs from a regular failure: the code, and a line with a path."""
        lines = self.output.splitlines()
        if self.code != code:
            return [f"exit code {self.code}, expected {code}: {self.output.strip()!r}"]
        if not lines or not all(line.startswith("tfrec: ") for line in lines):
            return [f"found {self.output!r}, expected one line"]
        return [] if named in lines[0] else [f"found {lines[0]!r}, expected it to name {named}"]


class Launcher:
    """The process from which commands are forked; see `launcher`."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self._output = scratch / "output"
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")
        }
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("launcher.py"))],
            env=kept,  # what measures coverage writes files too, which limits and faults would hit
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def close(self) -> None:
        """End the process."""
        for stream in (self._process.stdin, self._process.stdout):
            assert stream
            stream.close()
        self._process.wait()

    def start(
        self,
        arguments: Sequence[str],
        *,
        hold: Hold | None = None,
        limits: Mapping[str, int] | None = None,
        uid: int = 0,
    ) -> int:
        """Start ``tfrec ARGUMENTS`` in its own session.

        Args:
            hold: wait for SIGUSR1 at the start, or after the worker processes were forked.
            limits: soft limits: FSIZE in bytes, NOFILE.
            uid: another user to run it as; 0 for the same.
        Returns:
            Its process id, which is also that of its session and group.
        """
        order = {"argv": ["tfrec", *arguments], "output": str(self._output), "hold": hold}
        answer = self._ask({**order, "limits": dict(limits or {}), "uid": uid})
        return answer["pid"]

    def end(self, pid: int, started: float) -> Ended:
        """Wait for the end of a command; kill it if it hangs."""
        try:
            descriptor = os.pidfd_open(pid)
            if not select.select([descriptor], [], [], HANG_SECONDS)[0]:
                os.killpg(pid, signal.SIGKILL)
            os.close(descriptor)
            seconds = time.monotonic() - started
        finally:
            code = self._ask({"reap": pid})["code"]
        return Ended(
            pid=pid,
            code=code,
            output=self._output.read_text(errors="surrogateescape"),
            seconds=seconds,
        )

    def run(
        self,
        arguments: Sequence[str],
        *,
        limits: Mapping[str, int] | None = None,
        uid: int = 0,
    ) -> Ended:
        """Run a command to its end."""
        started = time.monotonic()
        return self.end(self.start(arguments, limits=limits, uid=uid), started)

    def traced(
        self, arguments: Sequence[str], strace: Sequence[str], *, hold: Hold = "start"
    ) -> tuple[Ended, Callable[[], object]]:
        """Run a command under strace.

        Args:
            strace: command line of strace, see `tracing.options`.
            hold: ``workers`` does not trace the worker processes.
        Returns:
            How the command ended, and a function that waits until strace has seen all of it end.
        """
        pid = self.start(arguments, hold=hold)
        tracer = subprocess.Popen([*strace, "-p", str(pid)], stderr=subprocess.PIPE, text=True)
        assert tracer.stderr
        line = tracer.stderr.readline()
        if "attached" not in line:
            os.killpg(pid, signal.SIGKILL)
            raise RuntimeError(f"{line.strip()!r} from strace, expected it to attach")
        os.kill(pid, signal.SIGUSR1)
        return self.end(pid, time.monotonic()), lambda: tracer.communicate(timeout=HANG_SECONDS)

    def _ask(self, order: Mapping[str, object]) -> dict[str, int]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        answer: dict[str, int] = json.loads(self._process.stdout.readline())
        return answer


def lingering(pid: int, ended: float) -> list[str]:
    """Return whether processes of a session are left two seconds after ``ended``; kill them."""
    while left := _session(pid):
        if time.monotonic() > ended + END_SECONDS:
            for one in left:
                with suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)
            return [f"{len(left)} processes left after {END_SECONDS:.0f} s"]
        time.sleep(0.02)
    return []


def _session(pid: int) -> list[int]:
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError):  # it has ended
                _, _, rest = Path(f"/proc/{entry}/stat").read_text().rpartition(") ")
                state, _, _, session, *_ = rest.split()
                if int(session) == pid and state not in "ZX":
                    found.append(int(entry))
    return found


def images(folder: Path, count: int, *, edge_px: int) -> Path:
    """Make a folder of small images in two classes, and a text file."""
    rng = np.random.default_rng(0)
    for number in range(count):
        pixels = rng.integers(0, 256, (edge_px, edge_px + 8, 3), dtype=np.uint8)
        kind = ("JPEG", "PNG", "JPEG", "GIF")[number % 4]
        data = io.BytesIO()
        Image.fromarray(pixels).save(data, kind)
        path = folder / f"class{number % 2}" / f"{number:04}.{kind.lower()}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.getvalue())
    (folder / "notes.txt").write_text("no image\n")
    return folder
