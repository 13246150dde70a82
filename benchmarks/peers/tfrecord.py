"""vahidk's tfrecord: writes whole images; reads our shards and index files into PyTorch.

tfrecord.py write IMAGES OUT, tfrecord.py read OUT
"""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tfrecord import TFRecordWriter
from tfrecord.torch.dataset import TFRecordDataset
from torch.utils.data import ChainDataset, DataLoader

from benchmarks import BATCH
from benchmarks.clock import cores, timed
from benchmarks.peers import photos


def write(images: Path, out: Path) -> int:
    """Write whole images."""
    files = photos.labelled(images)
    writer = TFRecordWriter(str(out / "train.tfrecord"))
    for path, label in files:
        with Image.open(path) as image:
            width, height = image.size
        writer.write(
            {
                "image": (path.read_bytes(), "byte"),
                "height": (height, "int"),
                "width": (width, "int"),
                "label": (label, "int"),
            }
        )
    writer.close()
    return len(files)


def cut(record: dict[str, Any]) -> tuple[Any, int]:
    """Decode and cut one image."""
    return photos.random_crop(np.asarray(record["image"]).tobytes()), int(record["label"][0])


def read(out: Path) -> None:
    """Time an epoch of random crops."""
    shards = [
        TFRecordDataset(
            str(path),
            str(path.with_suffix(".tfindex")),
            {"image": "byte", "label": "int"},
            transform=cut,
        )
        for path in sorted(out.glob("*.tfrecord"))
    ]
    loader: Any = DataLoader(
        ChainDataset(shards), batch_size=BATCH, num_workers=cores(), persistent_workers=True
    )
    timed(lambda: (len(images) for images, _ in loader))


if __name__ == "__main__":
    photos.main(write=write, read=read)
