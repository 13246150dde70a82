"""WebDataset's tar files: webdataset.py write IMAGES OUT, webdataset.py read OUT."""

from pathlib import Path
from typing import Any

import webdataset

from benchmarks import BATCH
from benchmarks.clock import cores, timed
from benchmarks.peers import photos


def write(images: Path, out: Path) -> int:
    """Write whole images, one tar file or more for each core."""
    files = photos.labelled(images)
    most = -(-len(files) // cores())
    with webdataset.ShardWriter(str(out / "train-%05d.tar"), maxcount=most, verbose=0) as writer:
        for number, (path, label) in enumerate(files):
            writer.write({"__key__": f"{number:07}", "jpg": path.read_bytes(), "cls": label})
    return len(files)


def cut(pair: tuple[bytes, bytes]) -> tuple[Any, int]:
    """Decode and cut one image."""
    return photos.random_crop(pair[0]), int(pair[1])


def read(out: Path) -> None:
    """Time an epoch of random crops."""
    shards = [str(path) for path in sorted(out.glob("*.tar"))]
    records = webdataset.WebDataset(shards, shardshuffle=False).to_tuple("jpg", "cls").map(cut)
    loader = webdataset.WebLoader(
        records, batch_size=BATCH, num_workers=cores(), persistent_workers=True
    )
    timed(lambda: (len(images) for images, _ in loader))


if __name__ == "__main__":
    photos.main(write=write, read=read)
