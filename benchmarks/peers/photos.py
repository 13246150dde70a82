"""What peers share: which photos there are, and a random crop as it is usually cut in Python."""

from __future__ import annotations

import io
import random
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks import CROP_PX


def labelled(images: Path) -> list[tuple[Path, int]]:
    """List the files of class folders with the numbers of their classes."""
    classes = sorted(path for path in images.iterdir() if path.is_dir())
    return [(path, label) for label, one in enumerate(classes) for path in sorted(one.iterdir())]


def random_crop(encoded: bytes) -> npt.NDArray[np.float32]:
    """Decode an image and cut it: float32[128, 128, 3] in [0, 1]."""
    image = Image.open(io.BytesIO(encoded)).convert("RGB")
    left = random.randint(0, image.width - CROP_PX)
    top = random.randint(0, image.height - CROP_PX)
    crop = image.crop((left, top, left + CROP_PX, top + CROP_PX))
    pixels: npt.NDArray[np.float32] = np.asarray(crop, np.float32) / np.float32(255)
    return pixels


def main(*, write: Callable[[Path, Path], int], read: Callable[[Path], None]) -> None:
    """Do what the command line says: ``write IMAGES OUT`` or ``read OUT``."""
    verb, *folders = sys.argv[1:]
    if verb == "write":
        Path(folders[1]).mkdir()
        print(f"wrote {write(*map(Path, folders))} records")
    else:
        read(Path(folders[0]))
