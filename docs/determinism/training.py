"""Train by the examples of docs/examples, from stored crops and from whole images."""

import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
WRITE = [sys.executable, "-m", "tfrec_cli", "write", "--quiet", ROOT / "sample_data/images"]
RUNS = ("crops center", "crops center", "whole center", "whole random")


def weights(folder, script, run):
    """Train in a new process; return what it says of its weights."""
    stored, mode = run.split()
    words = [sys.executable, ROOT / "docs/examples" / script, folder / stored, mode]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout.splitlines()[-1]


def same(first, second):
    return "the same weights" if first == second else "other weights"


with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(2) as pool:
    data = Path(name)
    subprocess.check_output([*WRITE, data / "crops", "--crop", "64"])
    subprocess.check_output([*WRITE, data / "whole"])
    for script in ("train_keras.py", "train_torch.py"):
        found = list(pool.map(lambda run, script=script: weights(data, script, run), RUNS))
        print(script)
        print("  crops, once more:        ", same(found[0], found[1]))
        print("  whole, cropped centrally:", same(found[0], found[2]))
        print("  whole, cropped randomly: ", same(found[0], found[3]))
