"""On Windows: one line that says what to do instead (simulated)."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tfrec_cli import errors

SIMULATED = """
import signal, sys
sys.platform = "win32"
sys.modules["fcntl"] = sys.modules["resource"] = None
del signal.SIGPIPE
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", SIMULATED + program]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("argv", [[], ["--help"], ["write", "images", "out"]], ids=" ".join)
def test_the_program_ends_with_one_line(argv: list[str]) -> None:
    ran = run(f"sys.argv[1:] = {argv}; from tfrec_cli.__main__ import main; main()")
    assert (ran.returncode, ran.stdout, ran.stderr) == (3, "", f"tfrec: {errors.NO_WINDOWS}\n")


@pytest.mark.parametrize("module", ["commands.write", "commands.verify", "read_numpy", "read_tf"])
def test_commands_and_readers_cannot_be_imported_and_say_why(module: str) -> None:
    ran = run(f"import tfrec_cli.{module}")
    assert ran.stderr.splitlines()[-1] == f"ImportError: {errors.NO_WINDOWS}"


def test_without_the_check_there_would_be_a_traceback() -> None:
    """Otherwise the simulation above would prove nothing."""
    ran = run("sys.platform = 'linux'; import tfrec_cli.writing.output")
    assert "fcntl" in ran.stderr.splitlines()[-1]
