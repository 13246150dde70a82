"""Helpers of the tests of writing: records by source, and a process that holds the lock."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tfrec_cli.dataset import records
from tfrec_cli.dataset.records import NAMES, ImageRecord
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.scan import read_records

HOLDER = """
import sys, time
from pathlib import Path
from tfrec_cli.writing import output
with output.locked(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(1000)
"""

KEPT = [
    "cats/420.jpg",
    "cats/444.jpg",
    "cats/gray.jpg",
    "dogs/422.jpg",
    "dogs/alpha.png",
    "dogs/progressive.jpg",
    "owls/palette.png",
    "owls/plain.png",
]


def stored(out: Path, keys: Any = "plain") -> dict[str, ImageRecord]:
    """Return every record of a dataset by the path of its source."""
    paths = [path for path in sorted(out.iterdir()) if ".tfrecord" in path.name]
    found = [
        records.decode(example.decode(record.payload), NAMES[keys])
        for path in paths
        for record in read_records(path)
    ]
    return {os.fsdecode(record.filename or b""): record for record in found}
