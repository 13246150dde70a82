"""`python -m tests.windows FOLDER`: cuts windows out of each JPEG, and decodes them.

Each must have the pixels of Pillow's decode of the whole file, by Pillow and by simplejpeg. Exit
code 1 if one has not. With `--tensorflow` each must also have the pixels of TensorFlow's decode of
the whole file, by TensorFlow. With `--mutated N` the files are changed at random, N times in all.
"""

from __future__ import annotations

import argparse
import importlib
import io
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from tfrec_cli.errors import ImageError
from tfrec_cli.imaging.jpeg import markers as jpeg_markers
from tfrec_cli.imaging.jpeg import seek
from tfrec_cli.imaging.jpeg.window import Box, has_exact_window
from tfrec_cli.runtime import native

Pixels = npt.NDArray[np.uint8]

MOST_PIXELS = 20_000_000
"""Larger pictures are not decoded: changed files may say that they are of any size."""


def pillow_pixels(data: bytes) -> Pixels:
    """Decode by Pillow. Raises whatever Pillow raises."""
    image = Image.open(io.BytesIO(data))
    if image.height * image.width > MOST_PIXELS:
        raise Image.DecompressionBombError
    return np.asarray(image.convert("RGB"))


def simple_pixels(data: bytes) -> Pixels:
    """Decode by simplejpeg; by Pillow what it refuses."""
    try:
        found: Pixels = simplejpeg.decode_jpeg(data, strict=False)
    except ValueError:
        return pillow_pixels(data)
    return found


def tensorflow_pixels(data: bytes) -> Pixels:
    """Decode by TensorFlow. Raises whatever TensorFlow raises."""
    decode = importlib.import_module("tensorflow").io.decode_jpeg
    found: Pixels = decode(data, channels=3, dct_method="INTEGER_ACCURATE").numpy()
    return found


Decode = Callable[[bytes], Pixels]


def boxes(height: int, width: int, count: int, rng: random.Random) -> Iterator[Box]:
    """Make windows: the whole, all corners and edges with a few sizes, and random ones."""
    spans = []
    for side in (height, width):
        sizes = sorted({1, 2, 3, 17, side // 2, side - 1, side} & set(range(1, side + 1)))
        spans.append([(at, size) for size in sizes for at in {0, (side - size) // 2, side - size}])
    fixed = [(top, left, tall, wide) for top, tall in spans[0] for left, wide in spans[1]]
    yield 0, 0, height, width
    yield from rng.sample(fixed, min(len(fixed), count // 2))
    for _ in range(count - count // 2 - 1):
        tall, wide = (min(side, round(side ** rng.random())) for side in (height, width))
        yield rng.randint(0, height - tall), rng.randint(0, width - wide), tall, wide


def in_box(pixels: Pixels, top: int, left: int, box: Box) -> Pixels:
    """Return the pixels of a window whose place in ``pixels`` is given."""
    return pixels[top : top + box[2], left : left + box[3]]


def is_exact(
    window: seek.Window,
    whole: Pixels,
    box: Box,
    decoders: Sequence[Decode] = (pillow_pixels, simple_pixels),
) -> bool:
    """Tell whether a window has the pixels of the whole picture, for all decoders."""
    expected = in_box(whole, box[0], box[1], box)
    return all(
        np.array_equal(in_box(decode(window.data), window.top, window.left, box), expected)
        for decode in decoders
    )


def _why_not(data: bytes) -> str:
    """Say why no window was cut."""
    try:
        markers = jpeg_markers.check(data)
    except ImageError as error:
        return error.reason
    if not has_exact_window(markers):
        return "no exact windows"
    return "other" if native.scan_end(data, markers.frame.end) >= 0 else "other markers"


def check(data: bytes, count: int, seed: str, *, tensorflow: bool = False) -> Counter[str]:
    """Cut windows out of one file. Returns what they were, and how many of each."""
    if not data.startswith(b"\xff\xd8\xff"):
        return Counter({"files: no JPEG": 1})
    try:
        whole = pillow_pixels(data)
    except Exception as error:
        windows = sum(seek.cut(data, (0, 0, 1, side)) is not None for side in range(1, 4))
        kind = f"files: Pillow refuses them ({type(error).__name__})"
        return Counter({kind: 1, "windows of refused files": windows})
    found: Counter[str] = Counter({"files: decoded by Pillow": 1})
    whole_of_tensorflow = None
    if tensorflow:
        try:
            whole_of_tensorflow = tensorflow_pixels(data)
        except Exception:
            found["files: TensorFlow refuses them"] += 1
    height, width = whole.shape[:2]
    for box in boxes(height, width, count, random.Random(seed)):
        window = seek.cut(data, box)
        if window is None:
            found[f"windows: not cut ({_why_not(data)})"] += 1
        elif is_exact(window, whole, box) and (
            whole_of_tensorflow is None
            or is_exact(window, whole_of_tensorflow, box, [tensorflow_pixels])
        ):
            found["windows: exact"] += 1
            found["windows: exact by TensorFlow"] += whole_of_tensorflow is not None
        else:
            found["windows: WRONG"] += 1
            found[f"WRONG in {seed}: {box}"] += 1
    if found["windows: exact"]:
        found["files: with windows"] += 1
    return found


def mutated(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """Change a JPEG in some way, sometimes with bytes of another one."""
    at = rng.randrange(2, len(data))
    scan = data.find(b"\xff\xda")
    in_header = rng.randrange(2, max(scan, 3) + 10)
    start, length = rng.randrange(len(other)), rng.randrange(1, 40)
    random_bytes = bytes(rng.choice((0, 1, 2, 17, 255, rng.randrange(256))) for _ in range(length))
    marker = bytes((255, rng.choice((0, 255, 0xD9, 0xDA, *range(0xD0, 0xD8)))))
    return rng.choice(
        (
            lambda: data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :],
            lambda: data[:in_header] + bytes([rng.randrange(256)]) + data[in_header + 1 :],
            lambda: data[:in_header] + random_bytes + data[in_header + length :],
            lambda: data[:at] + data[at + length :],
            lambda: data[:at] + marker + data[at + rng.choice((0, 2)) :],
            lambda: data[:at] + other[start : start + length] + data[at + length :],
            lambda: data[:scan] + other[other.find(b"\xff\xda") :],
            lambda: data[:2] + b"\xff\xdd\0\4\0" + bytes([rng.randrange(9)]) + data[2:],
            lambda: data[: rng.randrange(len(data))],
        )
    )()


def check_mutated(seeds: list[bytes], count: int, compared: float, seed: int) -> Counter[str]:
    """Cut windows out of changed files, and compare the given part of them with Pillow's decode."""
    rng = random.Random(seed)
    found: Counter[str] = Counter()
    for _ in range(count):
        data = rng.choice(seeds)
        height, width = jpeg_markers.read_frame(data)[1:3]
        for _ in range(rng.choice((1, 1, 2, 3))):
            data = mutated(data, rng.choice(seeds), rng) if len(data) > 3 else data
        box = rng.choice(list(boxes(height, width, 6, rng)))
        window = seek.cut(data, box)
        found["mutated: not cut" if window is None else "mutated: cut"] += 1
        if window is None or rng.random() > compared:
            continue
        try:
            whole = pillow_pixels(data)
        except Exception as error:
            found[f"windows of files that Pillow refuses ({type(error).__name__})"] += 1
            continue
        exact = is_exact(window, whole, box)
        found["windows: exact" if exact else "windows: WRONG"] += 1
        if not exact:
            found[f"WRONG: {box} of {data.hex()}"] += 1
    return found


def main() -> int:
    """Check all files of some folders, and print how many windows are what."""
    parser = argparse.ArgumentParser(prog="python -m tests.windows", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--count", type=int, default=100, help="windows of each file")
    parser.add_argument("--mutated", type=int, metavar="N", help="change the files, N times in all")
    parser.add_argument("--compared", type=float, default=1.0, help="part of these to compare")
    parser.add_argument("--tensorflow", action="store_true", help="compare with TensorFlow too")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    files = [path for folder in options.folders for path in sorted(folder.rglob("*"))]
    datas = {str(path): path.read_bytes() for path in files if path.is_file()}
    total: Counter[str] = Counter()
    if options.mutated:
        seeds = [data for data in datas.values() if seek.cut(data, (0, 0, 1, 1))]
        total = check_mutated(seeds, options.mutated, options.compared, options.seed)
    else:
        for name, data in datas.items():
            total += check(data, options.count, name, tensorflow=options.tensorflow)
    lines = [f"{number:9,}  {what}" for what, number in sorted(total.items())]
    sys.stdout.write("\n".join([*lines, ""]))
    return 1 if total["windows: WRONG"] else 0


if __name__ == "__main__":
    sys.exit(main())
