"""Runs one contestant once, and measures its time or its memory.

Knows: processes. Must not know: works, targets.
"""

from __future__ import annotations

import os
import re
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchmarkError

ROOT = Path(__file__).parents[1]
LAST_CHARACTERS = 300

SAMPLE_SECONDS = 0.02
ROLLUP = "smaps_rollup" if Path("/proc/self/smaps_rollup").exists() else "status"
"""File in /proc with the memory of a process; in smaps_rollup, Pss counts shared parts once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What was measured.

    Attributes:
        seconds: what the process printed if it timed itself, else the time of the process.
        cpu_seconds: processor time, user and system, of the process and its children.
        records: the number of records that it printed.
        memory_mb: the most memory of the process and its children, if it was measured.
    """

    seconds: float
    cpu_seconds: float
    records: int | None
    memory_mb: float | None = None


def run(
    command: str, places: Mapping[str, Path], *, memory: bool = False, checkout: Path | None = None
) -> Ran:
    """Run a command whose words in braces are folders.

    Args:
        checkout: an earlier commit with its environment in .venv, whose programs run; modules of
            `benchmarks` are those of this commit.
    Raises:
        BenchmarkError: it failed.
    """
    python = checkout / ".venv/bin/python" if checkout else Path(sys.executable)
    programs = {"python": str(python), "tfrec": str(python.with_name("tfrec"))}
    words = [programs.get(word, word).format_map(places) for word in shlex.split(command)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # installed packages have their bytecode
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "benchmarks").symlink_to(ROOT / "benchmarks")  # and no tfrec_cli
        begun, cpu_before = time.perf_counter(), _cpu_seconds()
        try:
            process = subprocess.Popen(
                words, cwd=folder, env=environment, stdout=output, stderr=output
            )
        except OSError as error:
            raise BenchmarkError(f"{error.filename}: {error.strerror}") from error
        with process:
            peak_mb = _peak_mb(process) if memory else None
            process.wait()
            seconds = time.perf_counter() - begun
            cpu_seconds = _cpu_seconds() - cpu_before
        output.seek(0)
        said = output.read()
    if process.returncode:
        last = said.strip().rpartition("\n")[2][:LAST_CHARACTERS]
        raise BenchmarkError(f"{command}: found exit code {process.returncode}, expected 0: {last}")
    found = re.search(r"([\d,]+) records?\b", said)
    own = re.search(r"in ([\d.]+) seconds", said)
    return Ran(
        seconds=float(own[1]) if own else seconds,
        cpu_seconds=cpu_seconds,
        records=int(found[1].replace(",", "")) if found else None,
        memory_mb=peak_mb,
    )


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measures_memory() -> bool:
    """Return whether the memory of processes can be measured on this system."""
    return Path("/proc/self/status").exists()


def _peak_mb(process: subprocess.Popen[bytes]) -> float:
    """Watch a process and its descendants until it ends."""
    peak = 0
    while process.poll() is None:
        peak = max(peak, _tree_kb(process.pid))
        time.sleep(SAMPLE_SECONDS)
    return peak / 1000


def _tree_kb(pid: int) -> int:
    folder = Path(f"/proc/{pid}")
    try:
        found = re.search(
            r"^(?:Pss|VmRSS):\s+(\d+) kB", (folder / ROLLUP).read_text(), re.MULTILINE
        )
        children = [one.read_text().split() for one in folder.glob("task/*/children")]
    except OSError:  # it has ended
        return 0
    mine = int(found[1]) if found else 0
    return mine + sum(_tree_kb(int(child)) for some in children for child in some)
