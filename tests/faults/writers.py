"""A small writer of a dataset that does the given steps, which may be right or wrong.

Knows: files. Must not know: what is right. Run as a program: ``writers.py OUT STEP…`` where a step
is "make" (OUT and its staging folder), "write X" and "sync X" (there), "name X" (into OUT),
"append X" and "remove X" (in OUT), "sync ." (OUT) or "sync .." (the parent of OUT).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

STAGING = ".train.partial"


def follow(out: Path, steps: list[str]) -> None:
    """Do each step in turn."""
    for step in steps:
        verb, _, name = step.partition(" ")
        staged, final = out / STAGING / name, out / name
        if verb == "make":
            (out / STAGING).mkdir(parents=True, exist_ok=True)
        elif verb == "write":
            staged.write_text(f"{name} as it should be")
        elif verb == "sync":
            descriptor = os.open(final if name.startswith(".") else staged, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
        elif verb == "name":
            staged.replace(final)
        elif verb == "append":
            with final.open("a") as file:
                file.write("more")
        elif verb == "remove":
            final.unlink()
        else:
            raise ValueError(step)


if __name__ == "__main__":
    follow(Path(sys.argv[1]), sys.argv[2:])
