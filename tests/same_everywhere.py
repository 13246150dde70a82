"""Read a dataset by every framework, and print a digest of all that came out.

    python -m tests.same_everywhere DATASET [--crop N] [--epochs E] [--batch-size N] [--only NAME …]

Each configuration runs in a process of its own, shuffled, with flips and brightness. A digest
covers sizes, pixels and labels of every batch, in order. Exit code 1 if two digests differ.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

SEED = 42


def names() -> list[str]:
    """Return every configuration that runs here."""
    torch = [f"torch-{start}-{jobs}" for start in ("fork", "spawn", "forkserver") for jobs in "124"]
    return ["tensorflow-1", "tensorflow-4", "numpy-1", "numpy-4", "source", "torch-0", *torch]


def main() -> int:
    """Run every configuration, or with ``--inside`` one, and print what came out."""
    parser = argparse.ArgumentParser(prog="python -m tests.same_everywhere", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("dataset")
    parser.add_argument("--crop", type=int, help="default: as stored")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--only", nargs="+", choices=names(), default=names(), metavar="NAME")
    parser.add_argument("--inside", choices=names(), help=argparse.SUPPRESS)
    given = parser.parse_args()
    options = {"crop": given.crop, "seed": SEED, "flip": True, "brightness": 0.1, "small": "pad"}
    if given.inside:
        print(digest(batches(given.inside, given.dataset, given.epochs, given.batch_size, options)))
        return 0
    digests, failed = set(), False
    for name in given.only:
        words = [sys.executable, "-m", "tests.same_everywhere", *sys.argv[1:], "--inside", name]
        ran = subprocess.run(words, capture_output=True, text=True, check=False)
        if ran.returncode:
            failed = True
            print(f"{name:18} failed: {last_line(ran.stderr)}")
        else:
            digests.add(ran.stdout)
            print(f"{name:18} {ran.stdout.strip()}")
    return int(failed or len(digests) > 1)


def last_line(text: str) -> str:
    """Return the last line of what a program wrote."""
    return text.strip().rpartition("\n")[2]


def batches(
    name: str, dataset: str, epochs: int, batch_size: int, options: dict[str, Any]
) -> Iterator[tuple[Any, Any]]:
    """Read a dataset as one configuration does.

    Yields:
        images, float32[n, height, width, 3], and labels, int64[n].
    """
    kind, *how = name.split("-")
    if kind == "torch":
        yield from _by_torch(how, dataset, epochs, batch_size, options)
        return
    more = {**options, "epochs": epochs, "shuffle": True}
    if kind == "tensorflow":
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        from tfrec_cli import read_tf

        read = read_tf.dataset(dataset, batch_size=batch_size, parallel=int(how[0]), **more)
        for images, labels in read:
            yield images.numpy(), labels.numpy()
        return
    from tfrec_cli import read_numpy

    if kind == "numpy":
        yield from read_numpy.dataset(dataset, batch_size=batch_size, parallel=int(how[0]), **more)
        return
    import numpy as np

    source = read_numpy.source(dataset, **more)
    own = len(source) // epochs
    for first in range(0, len(source), own):
        for begin in range(first, first + own, batch_size):
            some = [source[i] for i in range(begin, min(begin + batch_size, first + own))]
            yield np.stack([image for image, _ in some]), np.array([label for _, label in some])


def _by_torch(
    how: list[str], dataset: str, epochs: int, batch_size: int, options: dict[str, Any]
) -> Iterator[tuple[Any, Any]]:
    from torch.utils.data import DataLoader

    from tfrec_cli import read_torch

    workers = int(how[-1])
    records = read_torch.dataset(dataset, **options)
    loader = DataLoader(
        records,
        batch_size,
        sampler=read_torch.Order(records),
        num_workers=workers,
        multiprocessing_context=how[0] if workers else None,
        persistent_workers=workers > 0,
    )
    for epoch in range(epochs):
        records.set_epoch(epoch)
        for images, labels in loader:
            yield images.permute(0, 2, 3, 1).numpy(), labels.numpy()


def digest(read: Iterator[tuple[Any, Any]]) -> str:
    """Return the SHA-256 of all batches' shapes, types and values, in hexadecimal."""
    found = hashlib.sha256()
    for images, labels in read:
        for array in (images, labels):
            found.update(f"{array.dtype}{array.shape}".encode())
            found.update(array.tobytes())
    return found.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
