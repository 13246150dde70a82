"""Output of C libraries to stderr is discarded, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_silencing_restores_the_current_stderr(tmp_path: Path) -> None:
    """Not that of the first time, which may be closed."""
    program = """
import os, sys
from tfrec_cli.runtime.stderr import stderr_silenced
with stderr_silenced():
    os.write(2, b"lost")
os.dup2(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT), 2)
with stderr_silenced():
    os.write(2, b"lost too")
os.write(2, b"found")
"""
    log = tmp_path / "log"
    ran = subprocess.run([sys.executable, "-c", program, log], capture_output=True, check=True)
    assert (ran.stderr, log.read_bytes()) == (b"", b"found")


def test_silencing_works_without_stderr() -> None:
    program = """
import os
from tfrec_cli.runtime.stderr import stderr_silenced
os.close(2)
with stderr_silenced():
    print("inside")
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert ran.stdout == b"inside\n"
