"""Golden values of an earlier version for the sample images, and for a folder of photos.

    python -m tests.contract.golden --write          record everything
    python -m tests.contract.golden --write-open     record the open parts only
    TFREC_PHOTOS=DIR python -m tests.contract.golden …     the same for a folder of photos

See `record` for what the parts are.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from . import record
from .cases import CASES, Case, readers
from .record import Work

GOLDEN = Path(__file__).with_name("golden.json")
PHOTOS_GOLDEN = Path(__file__).with_name("golden_photos.json")
PHOTOS_VARIABLE = "TFREC_PHOTOS"

# A folder of photos, which is not in the repository


def photos() -> Path | None:
    """Return the folder that the environment names, or None."""
    name = os.environ.get(PHOTOS_VARIABLE)
    return Path(name).resolve() if name else None


def identity(folder: Path) -> dict[str, Any]:
    """Return how many files are in a folder, and a digest of their names and contents."""
    names = sorted(path for path in folder.rglob("*") if path.is_file())
    hashed = hashlib.sha256()
    for path in names:
        name = path.relative_to(folder).as_posix()
        hashed.update(f"{name}\0{record.sha256(path.read_bytes())}\n".encode())
    return {"files": len(names), "sha256": hashed.hexdigest()}


def photo_case(*options: str, seed: bool = False, read: bool = False) -> Case:
    """Make a case that writes the photos and reads them."""

    def run(work: Work) -> None:
        folder = photos()
        assert folder is not None
        (work.folder / "images").symlink_to(folder)
        (work.folder / "skip.toml").write_text("[write]\non-error = 'skip'\nsmall = 'skip'\n")
        work.tfrec("write", "--config", "skip.toml", "write", "images", "out", *options)
        work.files("out")
        if seed:
            work.tfrec("verify --seed", "verify", "out", "--seed", "42")
        if read:
            readers(work, "out", small="pad")

    return Case(run, "lossy")


PHOTO_CASES = {
    "whole": photo_case("--shards", "4", seed=True, read=True),
    "crops": photo_case("--crop", "128", seed=True, read=True),
    "crops-png": photo_case("--crop", "128", "--encoding", "png"),
    "crops-jpeg": photo_case("--crop", "128", "--encoding", "jpeg"),
    "resized-crops": photo_case("--resize-short", "160", "--crop", "128"),
    "splits": photo_case("--split", "train=0.8,val=0.1,test=0.1", seed=True),
}


def main() -> int:
    """Record golden values; those of photos if the environment names their folder."""
    parser = argparse.ArgumentParser(prog="python -m tests.contract.golden", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--write", action="store_true", help="record everything")
    group.add_argument("--write-open", action="store_true", help="record the open parts only")
    given, folder = parser.parse_args(), photos()
    cases = {name: case.run for name, case in (PHOTO_CASES if folder else CASES).items()}
    path = PHOTOS_GOLDEN if folder else GOLDEN
    with tempfile.TemporaryDirectory() as temporary:
        if given.write:
            known = {"photos": identity(folder)} if folder else {}
            record.record_all(cases, Path(temporary), path, **known)
            return 0
        wrong = record.update_open(cases, Path(temporary), path)
    return record.complain(wrong)


if __name__ == "__main__":
    sys.exit(main())
