"""`make torture`: tries every fault of the harness, and prints a table of the results.

Exit code 1 on any broken promise.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from . import disks, kills, sweep
from .runs import Tally

Part = Callable[[Path, int], Tally]
"""One part: takes an empty folder and a seed, returns what it tried."""

_DATASETS = 20_010  # some damages change nothing, and are not counted
_SHARDS = 1_000
_FUZZ_SECONDS = 40.0


def _damage(run: Callable[[int, int], Mapping[str, Any]], seed: int) -> Tally:
    found = run(_DATASETS, seed)
    more = found["wrong_count"] - len(found["wrong"])
    return Tally(
        tried=dict(found["tried"]),
        violations=[*found["wrong"], *([f"and {more} more"] if more else [])],
    )


def _salvaging(run: Callable[[int, int], Mapping[str, Any]], seed: int) -> Tally:
    found = run(_SHARDS, seed)
    return Tally(
        tried={"damaged shards": found["shards"]},
        violations=[f"shard {number} of seed {seed}" for number in found["wrong"]],
        notes=[f"{found['recovered']:,} of {found['undamaged']:,} undamaged records recovered"],
    )


def _fuzz(run: Callable[[float, int], Mapping[str, Any]], seed: int) -> Tally:
    found = run(_FUZZ_SECONDS, seed)
    return Tally(
        tried=dict(found["tried"]),
        violations=[f"{target}: {what}" for target, what in found["found"].items()],
        notes=[f"by {found['engine']}"],
    )


def _borrowed() -> Iterator[tuple[str, Part]]:
    """Yield the parts that break datasets and parsers instead of writes."""
    for name, adapter in (("damage", _damage), ("salvaging", _salvaging), ("fuzz", _fuzz)):
        if importlib.util.find_spec(f".{name}", __package__):
            module = importlib.import_module(f".{name}", __package__)
            yield name, partial(_with, adapter, module.run)


def _with(adapter: Callable[[Any, int], Tally], run: Any, _: Path, seed: int) -> Tally:
    return adapter(run, seed)


PARTS: dict[str, Part] = {
    "every output call": lambda _, seed: sweep.run(seed=seed),
    "random kills": lambda folder, seed: kills.run(folder, seed=seed),
    "bad disks": lambda folder, _: disks.run(folder),
    **dict(_borrowed()),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the given parts, by default all, and print the results."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of: {', '.join(PARTS)}")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if sys.platform != "linux":
        parser.error(f"found {sys.platform}, expected linux: its strace, signals and /proc")
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"found {', '.join(unknown)}, expected some of: {', '.join(PARTS)}")
    broken = 0
    for name in options.parts or PARTS:
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            tally = PARTS[name](Path(folder), options.seed)
        seconds = time.monotonic() - started
        broken += len(tally.violations)
        tried = sum(tally.tried.values())
        found = f"{len(tally.violations)} violations" if tally.violations else "all survived"
        lines = [
            f"{name}: {tried:,} tried, {found}, {seconds:.0f} s",
            *(f"  {number:6,}  {kind}" for kind, number in sorted(tally.tried.items())),
            *(f"  {note}" for note in tally.notes),
            *(f"  VIOLATION {violation}" for violation in tally.violations),
        ]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
