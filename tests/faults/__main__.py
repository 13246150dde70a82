"""`make torture`: every fault of the harness, a table of what was tried and what survived.

Exit code 1 on any broken promise.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import disks, kills, sweep
from .runs import Launcher, Tally, images

Part = Callable[[Path, int], Tally]
"""One part: given an empty folder and a seed, what it tried."""

_LAYOUTS = (("--shards", "2"), ("--shards", "2", "--crop", "16"))


def _borrowed(module: str) -> Part:
    """Make a part of a module that breaks finished datasets instead of writes."""

    def run(folder: Path, seed: int) -> Tally:
        source = images(folder / "images", 12, edge_px=20)
        launcher = Launcher(folder)
        made = [folder / f"dataset{number}" for number in range(len(_LAYOUTS))]
        for out, layout in zip(made, _LAYOUTS, strict=True):
            ended = launcher.run(["write", str(source), str(out), *layout])
            if ended.code:
                raise RuntimeError(ended.output)
        launcher.close()
        shards = [path for out in made for path in sorted(out.glob("*.tfrecord"))]
        given = shards if module == "salvaging" else made
        borrowed = importlib.import_module(f".{module}", __package__)
        found: Mapping[str, Any] = borrowed.run(given, seed)
        return Tally(**found)

    return run


PARTS: dict[str, Part] = {
    "every output call": lambda _, seed: sweep.run(seed=seed),
    "random kills": lambda folder, seed: kills.run(folder, seed=seed),
    "bad disks": lambda folder, _: disks.run(folder),
    **{
        module: _borrowed(module)
        for module in ("damage", "salvaging")
        if importlib.util.find_spec(f".{module}", __package__)
    },
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts, all unless told, and print what became of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of: {', '.join(PARTS)}")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
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
            *(f"  skipped: {reason}" for reason in tally.skipped),
            *(f"  VIOLATION {violation}" for violation in tally.violations),
        ]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
