"""Small datasets of an earlier version, and golden values of commands and readers for them.

    python -m tests.contract.old_datasets --write-datasets   write them, and record everything
    python -m tests.contract.old_datasets --write-open       the ``open`` parts only

`DATASETS` holds `sources`, the images, and a folder for each name in `WRITTEN`. See `record` for
what the parts are.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from . import record
from .record import Work

DATASETS = Path(__file__).with_name("datasets")
GOLDEN = DATASETS / "expected.json"
VERSION = "0.1.0"

WRITTEN = {
    "whole": (),
    "crops": ("--crop", "40", "--shards", "2"),
    "crops-png": ("--crop", "40x36", "--encoding", "png"),
    "gzip": ("--compression", "gzip"),
    "splits": ("--split", "train=0.6,val=0.4", "--shards", "2"),
    "tf-models": ("--keys", "tf-models", "--no-index"),
}
"""Options of the write that each dataset is from."""

ENCODERS = {"gzip": "lossless", "crops": "lossless", "crops-png": "lossless"}
"""Those whose extracted or resharded files other versions of Pillow or zlib make otherwise."""


def use(name: str, work: Work) -> None:
    """Use a dataset with every command and reader."""
    work.copy(DATASETS / "sources", "sources")
    work.copy(DATASETS / name, "old")
    shards = sorted((work.folder / "old").glob("*.tfrecord*"))
    seeded = "--seed", "42", "--crop", "36"
    work.tfrec("verify", "verify", "old")
    work.tfrec("verify --seed", "verify", "old", *seeded)
    work.tfrec("verify --source", "verify", "old", "--source", "sources")
    work.tfrec("inspect", "inspect", "old")
    work.tfrec("inspect --record", "inspect", "old", "--record", "1")
    work.tfrec("extract", "extract", "old", "tree")
    work.tfrec("reshard", "reshard", "old", "new", "--shards", "3")
    work.tfrec("verify --seed resharded", "verify", "new", *seeded)
    work.tfrec("write exists", "write", "sources", "old", *WRITTEN[name])
    work.files("tree", "new")
    for split in ("train", "val") if name == "splits" else ("train",):
        read(work, split, gzip=name == "gzip")
    path = shards[0]
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    work.tfrec("salvage", "salvage", f"old/{path.name}", "saved.tfrecord", "--source", "sources")
    work.tfrec("verify cut", "verify", "old")
    work.file("saved.tfrecord")


def read(work: Work, split: str, *, gzip: bool) -> None:
    """Record what readers return; GZIP shards are read only by TensorFlow's, unshuffled."""
    skip = ("numpy", "torch") if gzip else ()
    for kind, options in {
        "center": {"crop": 36, "crop_mode": "center", "dtype": "uint8"},
        "random": {"crop": (30, 36), "seed": 7, "epoch": 3, "shuffle": not gzip},
        "changed": {"crop": 36, "seed": 9, "flip": True, "brightness": 0.2},
    }.items():
        work.digests(f"{split} {kind}", "old", skip=skip, split=split, **options)


CASES: dict[str, Callable[[Work], None]] = {name: partial(use, name) for name in WRITTEN}


def write_datasets() -> None:
    """Write sources and datasets again; run it with the version that they stand for."""
    import tfrec_cli
    from tests.conftest import class_files, fill

    if tfrec_cli.__version__ != VERSION:
        raise SystemExit(f"found version {tfrec_cli.__version__}, expected {VERSION}")
    shutil.rmtree(DATASETS, ignore_errors=True)
    kept = ("cats/420", "cats/444", "cats/gray", "dogs/422", "dogs/prog", "owls/pal", "owls/plain")
    files = {key: data for key, data in class_files().items() if key.startswith(kept)}
    fill(DATASETS / "sources", files)
    for name, options in WRITTEN.items():
        code, out = record.run(DATASETS, "write", "sources", name, *options, "--json")
        if code:
            raise SystemExit(out)


def main() -> int:
    """Write datasets and golden values."""
    parser = argparse.ArgumentParser(prog="python -m tests.contract.old_datasets")
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--write-datasets", action="store_true", help="and all golden values")
    group.add_argument("--write-open", action="store_true", help="golden values: open parts only")
    given, wrong = parser.parse_args(), []
    with tempfile.TemporaryDirectory() as temporary:
        if given.write_datasets:
            write_datasets()
            record.record_all(CASES, Path(temporary), GOLDEN)
        else:
            wrong = record.update_open(CASES, Path(temporary), GOLDEN)
    return record.complain(wrong)


if __name__ == "__main__":
    sys.exit(main())
