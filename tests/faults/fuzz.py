"""Hostile bytes for every parser, by atheris if it is installed, else by hypothesis.

Knows: the table of targets, and how good bytes are changed. Must not know: what the targets do.

Both use the same table: atheris (libFuzzer for Python) is guided by coverage, hypothesis shrinks
what it finds. `python -m tests.faults.fuzz NAME [libFuzzer options]` runs only atheris.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

SECONDS = 5
"""The longest time that one input may take; most take a thousandth of it."""

MEMORY_MB = 1024
_AT_ONCE = 500
PIECES = (
    b"",
    b"\0",
    b"\xff" * 9 + b"\x01",
    b"\x80" * 9 + b"\x01",
    b"\x0a\x00",
    b"\x4b",
    b"\n",
    b" ",
    b"\xed\xa0\x80",
    b"\xf0\x9f\xa6\x89",
    b"0",
    b"-1",
    b"1e999",
    b"NaN",
    b"null",
    b"[[[",
    b"}}",
    b"../",
    b"\\ud800",
    b'"records": 2, ',
    b"9" * 4400,
    b"[" * 100_000,
    b"a." * 5_000,
)


@st.composite
def changed(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """Change good bytes in a few places: flips, cuts, copies of other bytes, typical pieces."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 40)))
        kind = draw(st.sampled_from(["flip", "cut", "copy", "piece", "bytes", "double"]))
        if kind == "flip" and start < len(data):
            flipped = data[start] ^ 1 << draw(st.integers(0, 7))
            data = data[:start] + bytes([flipped]) + data[start + 1 :]
        elif kind == "cut":
            data = data[:start] + data[end:]
        elif kind == "copy":
            other = draw(st.integers(0, len(data)))
            data = data[:other] + data[start:end] + data[other:]
        elif kind == "piece":
            data = data[:start] + draw(st.sampled_from(PIECES)) + data[end:]
        elif kind == "bytes":
            data = data[:start] + draw(st.binary(max_size=12)) + data[end:]
        elif kind == "double":
            data += data
    return data


def inputs(seeds: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """Make hostile bytes: random ones, and changed good ones."""
    return st.binary(max_size=80) | changed(seeds)


def run(seconds: float, number: int) -> dict[str, Any]:
    """Fuzz all targets, each for an equal share of ``seconds``.

    Returns:
        ``engine``; ``tried``: number of inputs by target; ``found``: what went wrong, by target.
    """
    from . import targets

    share = seconds / len(targets.TARGETS)
    engine = "atheris" if importlib.util.find_spec("atheris") else "hypothesis"
    one = _by_atheris if engine == "atheris" else _by_hypothesis
    results = {name: one(name, share, number) for name in targets.TARGETS}
    return {
        "engine": engine,
        "tried": {name: tried for name, (tried, _) in results.items()},
        "found": {name: found for name, (_, found) in results.items() if found},
    }


def _by_hypothesis(name: str, seconds: float, number: int) -> tuple[int, str]:
    from . import targets

    tried = 0
    end = time.monotonic() + seconds

    @settings(
        max_examples=_AT_ONCE,
        deadline=SECONDS * 1000,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs(targets.TARGETS[name].seeds))
    def check(data: bytes) -> None:
        nonlocal tried
        tried += 1
        targets.holds(name, data)

    try:
        while time.monotonic() < end:
            seed(number + tried)(check)()
    except Exception as error:
        return tried, f"{type(error).__name__}: {error}"
    return tried, ""


def _by_atheris(name: str, seconds: float, number: int) -> tuple[int, str]:
    from . import targets

    with tempfile.TemporaryDirectory() as folder:
        for place, data in enumerate(targets.TARGETS[name].seeds):
            (Path(folder) / f"seed{place}").write_bytes(data)
        options = {
            "max_total_time": max(int(seconds), 1),
            "seed": number + 1,  # 0 means random
            "timeout": SECONDS,
            "rss_limit_mb": MEMORY_MB,
            "max_len": 1 << 16,
            "print_final_stats": 1,
            "artifact_prefix": f"{folder}/",
        }
        argv = [f"-{key}={value}" for key, value in options.items()]
        done = subprocess.run(
            [sys.executable, "-m", __name__, name, *argv, folder],
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    counts = [line.split()[-1] for line in done.stderr.splitlines() if "executed_units" in line]
    return int(counts[0]) if counts else 0, done.stderr[-3000:] if done.returncode else ""


def _main() -> None:
    """Fuzz one target by atheris, until libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["tfrec_cli", "tomllib", "json"]):
        from . import targets
    name = sys.argv[1]
    atheris.Setup([sys.argv[0], *sys.argv[2:]], lambda data: targets.holds(name, data) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    _main()
