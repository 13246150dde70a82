"""Grain over ArrayRecord files: grain.py write IMAGES OUT, grain.py read OUT.

A record is the label in four bytes, and the photo.
"""

import itertools
from pathlib import Path
from typing import Any

import grain
from array_record.python.array_record_module import ArrayRecordWriter

from benchmarks import BATCH
from benchmarks.clock import cores, timed
from benchmarks.peers import photos


def write(images: Path, out: Path) -> int:
    """Write whole images, each a group of its own, for access in any order."""
    files = photos.labelled(images)
    writer = ArrayRecordWriter(str(out / "train.array_record"), "group_size:1")
    for path, label in files:
        writer.write(label.to_bytes(4, "little") + path.read_bytes())
    writer.close()
    return len(files)


def cut(payload: bytes) -> tuple[Any, int]:
    """Decode and cut one image."""
    return photos.random_crop(payload[4:]), int.from_bytes(payload[:4], "little")


def read(out: Path) -> None:
    """Time an epoch of random crops."""
    source = grain.sources.ArrayRecordDataSource([str(out / "train.array_record")])
    batches = grain.MapDataset.source(source).map(cut).batch(BATCH)
    workers = grain.MultiprocessingOptions(num_workers=cores())
    ahead = grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)  # batches, for each worker
    train = iter(batches.repeat().to_iter_dataset(ahead).mp_prefetch(workers))  # they start once
    timed(lambda: (len(images) for images, _ in itertools.islice(train, len(batches))))


if __name__ == "__main__":
    photos.main(write=write, read=read)
