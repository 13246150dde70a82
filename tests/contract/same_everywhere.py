"""Read a dataset with every framework, and print a digest of all batches.

    python -m tests.contract.same_everywhere DATASET [--crop N] [--epochs E] [--batch-size N]
        [--only NAME …]

``--crop`` is needed for whole images. Each configuration runs in its own process, shuffled, with
flips and brightness. A digest covers sizes, pixels and labels of every batch, in order. The exit
code is 1 if two digests differ.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfrec_cli import read_numpy
from tfrec_cli.errors import UsageError

SEED = 42


def names() -> list[str]:
    """Return every configuration that runs here."""
    torch = [f"torch-{start}-{jobs}" for start in ("fork", "spawn", "forkserver") for jobs in "124"]
    return ["tensorflow-1", "tensorflow-4", "numpy-1", "numpy-4", "source", "torch-0", *torch]


def main() -> int:
    """Run every configuration, or with ``--inside`` one, and print the digests."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.contract.same_everywhere", description=__doc__
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("dataset")
    parser.add_argument("--crop", type=int, help="default: as stored")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--only", nargs="+", choices=names(), default=names(), metavar="NAME")
    parser.add_argument("--inside", choices=names(), help=argparse.SUPPRESS)
    given = parser.parse_args()
    options: dict[str, Any] = {
        "crop": given.crop,
        "seed": SEED,
        "flip": True,
        "brightness": 0.1,
        "small": "pad",
    }
    if given.inside:
        print(digest(batches(given.inside, given.dataset, given.epochs, given.batch_size, options)))
        return 0
    try:
        read_numpy.dataset(given.dataset, batch_size=given.batch_size, **options)
    except UsageError as error:
        if given.crop is None and error.option == "crop":
            parser.exit(2, f"{given.dataset} holds whole images: give --crop N\n")
    digests, failed = set(), False
    for name in given.only:
        words = [
            sys.executable,
            "-m",
            "tests.contract.same_everywhere",
            *sys.argv[1:],
            "--inside",
            name,
        ]
        ran = subprocess.run(words, capture_output=True, text=True, check=False)
        if ran.returncode:
            failed = True
            print(f"{name:18} failed: {last_line(ran.stderr)}")
        else:
            digests.add(ran.stdout)
            print(f"{name:18} {ran.stdout.strip()}")
    return int(failed or len(digests) > 1)


def last_line(text: str) -> str:
    """Return the last line of the output of a program."""
    return text.strip().rpartition("\n")[2]


def batches(
    name: str, dataset: str, epochs: int, batch_size: int, options: dict[str, Any]
) -> Iterator[list[Any]]:
    """Read a dataset with one configuration.

    Yields:
        images, float32[n, height, width, 3], and labels, int64[n], if there are any.
    """
    kind, *how = name.split("-")
    if kind == "torch":
        yield from _by_torch(how, dataset, epochs, batch_size, options)
        return
    options = {**options, "epochs": epochs, "shuffle": True}
    read: Any
    if kind == "tensorflow":
        from tfrec_cli import read_tf

        read = read_tf.dataset(dataset, batch_size=batch_size, parallel=int(how[0]), **options)
    elif kind == "numpy":
        read = read_numpy.dataset(dataset, batch_size=batch_size, parallel=int(how[0]), **options)
    else:
        read = _joined(read_numpy.source(dataset, **options), epochs, batch_size)
    yield from map(_parts, read)


def _joined(source: read_numpy.Source, epochs: int, batch_size: int) -> Iterator[list[Any]]:
    """Make batches of the samples of a source; none spans two epochs."""
    own = len(source) // epochs
    for first in range(0, len(source), own):
        for begin in range(first, first + own, batch_size):
            some = range(begin, min(begin + batch_size, first + own))
            columns = zip(*(_parts(source[index]) for index in some), strict=True)
            yield [np.stack(column) for column in columns]


def _by_torch(
    how: list[str], dataset: str, epochs: int, batch_size: int, options: dict[str, Any]
) -> Iterator[list[Any]]:
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
        for batch in loader:
            planes, *labels = _parts(batch)
            yield [np.moveaxis(planes, 1, -1), *labels]


def _parts(sample: Any) -> list[Any]:
    """Return the arrays of ``(image, label)``, or of ``image``."""
    return [np.asarray(part) for part in (sample if isinstance(sample, tuple | list) else [sample])]


def digest(read: Iterator[list[Any]]) -> str:
    """Return the SHA-256 of shapes, types and values of all batches, in hexadecimal."""
    found = hashlib.sha256()
    for batch in read:
        for array in batch:
            found.update(f"{array.dtype}{array.shape}".encode())
            found.update(array.tobytes())
    return found.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
