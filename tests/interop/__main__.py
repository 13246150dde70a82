"""`make interop`: write datasets of SRC, open each with every reader, print what they found.

Exit code 1 if anything differs that is not named.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from . import proof
from .readers import READERS


def main() -> int:
    """Run the proof, or, for the proof, one of its processes."""
    parser = argparse.ArgumentParser(prog="python -m tests.interop", description=__doc__)
    parser.add_argument("source", type=Path, help="folder of class folders of images")
    parser.add_argument("result", type=Path, nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("--process", choices=READERS, help=argparse.SUPPRESS)
    parser.add_argument("--without", choices=READERS, action="append", default=[])
    args = parser.parse_args()
    if args.process:
        proof.run_process(args.process, args.source, args.result)
        return 0
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    processes = [name for name in READERS if name not in args.without]
    with tempfile.TemporaryDirectory() as folder:
        rows = proof.prove(args.source, Path(folder), processes)
    sys.stdout.writelines(f"{line}\n" for line in proof.table(rows))
    return int(any(row.wrong for row in rows))


if __name__ == "__main__":
    sys.exit(main())
