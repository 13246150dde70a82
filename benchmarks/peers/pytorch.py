"""PyTorch's DataLoader over the photos' own files, cut with Pillow: pytorch.py IMAGES."""

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch.utils.data import DataLoader

from benchmarks import BATCH
from benchmarks.clock import cores, timed
from benchmarks.peers import photos


class Photos:
    """A map-style dataset of random crops."""

    def __init__(self, images: Path) -> None:
        self.files = photos.labelled(images)

    def __len__(self) -> int:
        """Return how many photos there are."""
        return len(self.files)

    def __getitem__(self, number: int) -> tuple[npt.NDArray[np.float32], int]:
        """Read and cut one photo."""
        path, label = self.files[number]
        return photos.random_crop(path.read_bytes()), label


if __name__ == "__main__":
    loader = DataLoader(
        Photos(Path(sys.argv[1])),
        batch_size=BATCH,
        num_workers=cores(),
        persistent_workers=True,
    )
    timed(lambda: (len(images) for images, _ in loader))
