"""`make interop`: write datasets of SRC, open each with every reader, print what they found.

Exit code 1 if anything differs that is not named.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from . import proof
from .readers import READERS


def main() -> int:
    """Run the proof, or, for the proof, one of its processes."""
    parser = argparse.ArgumentParser(prog="python -m tests.contract.interop", description=__doc__)
    parser.add_argument("source", type=Path, help="folder of class folders of images")
    parser.add_argument("result", type=Path, nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("--process", choices=READERS, help=argparse.SUPPRESS)
    parser.add_argument("--without", choices=READERS, action="append", default=[], help="leave out")
    args = parser.parse_args()
    if args.process:
        proof.run_process(args.process, args.source, args.result)
        return 0
    if not args.source.is_dir():
        parser.error(f"found no folder {args.source}, expected one of images")
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    processes = [name for name in READERS if name not in args.without]
    with tempfile.TemporaryDirectory() as folder:
        try:
            rows = proof.prove(args.source, Path(folder), processes)
        except subprocess.CalledProcessError as failed:  # a write, which said why
            return int(failed.returncode)
    sys.stdout.writelines(f"{line}\n" for line in proof.table(rows))
    return int(any(row.wrong for row in rows))


if __name__ == "__main__":
    sys.exit(main())
