"""`python -m tests.readable FOLDER…`: writes each folder, and reads it by everything there is.

What `write` accepts must be a dataset without findings (`verify --source --seed`). All readers must
read its records, with the same pixels, and TensorFlow's own decoder too. Exit code 1 if that fails.

It also decodes the source of each record with another decoder than the writer, if there is one for
its format, and prints the greatest difference for each kind of file.
"""

from __future__ import annotations

import argparse
import importlib
import io
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import tfrec_cli
from tfrec_cli.imaging import decoder, formats, header, normalize
from tfrec_cli.imaging.policy import Policy
from tfrec_cli.tfrecord import example

Pixels = npt.NDArray[Any]

OPTIONS: dict[str, dict[str, Any]] = {
    "whole": {},
    "whole, decoded": {"check": "decode"},
    "whole, 16 bits": {"depth": 16},
    "crops": {"crop": 64, "small": "pad"},
    "crops in PNG": {"crop": 64, "small": "pad", "encoding": "png"},
    "crops, 16 bits": {"crop": 64, "small": "pad", "depth": 16},
}
SEED, CROP_PX = 42, 64
MOST_PIXELS = 20_000_000
"""Larger sources are not decoded a second time."""


def module(name: str) -> Any:
    return importlib.import_module(name)


# Other decoders of the sources


def _scaled(pixels: Pixels, maximum: float = 0) -> Pixels:
    """Make three colours from 0 to 255 of a decoder's pixels."""
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    maximum = maximum or np.iinfo(pixels.dtype).max
    colours = pixels[..., :1] if pixels.shape[2] < 3 else pixels[..., :3]
    return np.broadcast_to(colours * (255 / maximum), (*colours.shape[:2], 3))


def _magick(data: bytes) -> Pixels:
    options = ["-coalesce", "-alpha", "off", "-colorspace", "sRGB", "-depth", "16"]
    command = ["convert", "-quiet", "-[0]", *options, "ppm:-"]
    found = subprocess.run(command, input=data, capture_output=True, check=True).stdout
    width, height = (int(number) for number in found.split(None, 4)[1:3])
    values = np.frombuffer(found[-6 * width * height :], ">u2")
    return np.asarray(values.reshape(height, width, 3) / 257)


def _tiff(data: bytes) -> Pixels:
    with module("tifffile").TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        pixels = page.asarray()
        if page.planarconfig == 2 and pixels.ndim == 3:
            pixels = np.moveaxis(pixels, 0, -1)
        maximum = float(2**page.bitspersample - 1)
        kind = page.photometric.name
        if kind == "PALETTE":
            return _scaled(np.moveaxis(page.colormap, 0, -1)[pixels] // 256, 255)
        if kind == "MINISWHITE":
            pixels = (maximum - pixels).astype(pixels.dtype)
        if kind == "SEPARATED":
            ink = pixels.astype(float) / maximum
            return np.asarray(255 * (1 - ink[..., :3]) * (1 - ink[..., 3:4]))
        if kind not in ("MINISBLACK", "MINISWHITE", "RGB") and page.compression != 7:
            raise ValueError(kind)
        return _scaled(pixels * 1 if pixels.dtype == bool else pixels, maximum)


def _avif(data: bytes) -> Pixels:
    found = module("imagecodecs").avif_decode(data)
    bits = 8 if found.dtype == np.uint8 else 10 if found.max() < 1 << 10 else 12
    return _scaled(found, 2**bits - 1)


def _heic(data: bytes) -> Pixels:
    with module("av").open(io.BytesIO(data)) as container:
        frame = next(container.decode(video=0))
        return np.asarray(frame.to_ndarray(format="rgb24"))


def _webp(data: bytes) -> Pixels:
    return _scaled(module("imagecodecs").webp_decode(data))


def _jpeg(data: bytes) -> Pixels:
    found = module("imagecodecs").jpeg8_decode(data)
    if found.ndim == 3 and found.shape[2] == 4:
        return np.asarray(found[..., :3] * (found[..., 3:] / 255))
    return _scaled(found)


def _jpeg2000(data: bytes) -> Pixels:
    return _scaled(module("imagecodecs").jpeg2k_decode(data))


def _png(data: bytes) -> Pixels:
    return _scaled(module("imagecodecs").png_decode(data))


DECODERS: dict[str, tuple[str, Callable[[bytes], Pixels]]] = {
    "tiff": ("tifffile", _tiff),
    "avif": ("imagecodecs", _avif),
    "heic": ("FFmpeg", _heic),
    "bmp": ("ImageMagick", _magick),
    "ppm": ("ImageMagick", _magick),
    "webp": ("imagecodecs", _webp),
    "gif": ("ImageMagick", _magick),
    "jpeg": ("imagecodecs", _jpeg),
    "jpeg2000": ("imagecodecs", _jpeg2000),
    "png": ("imagecodecs", _png),
}


def compare(source: bytes) -> tuple[str, str, float | None]:
    """Decode a source by two decoders: kind of file, the other decoder, greatest difference."""
    policy = Policy(exif="ignore")
    found = header.examine(source, policy).header
    kind = f"{found.format} {found.mode}{', deep' if found.deep else ''}"
    if found.height_px * found.width_px > MOST_PIXELS:
        return kind, "none", None
    ours = normalize.decode(source, policy).astype(float)
    levels: dict[str, float] = {}
    for name, decode in (DECODERS[found.format], ("ImageMagick", _magick)):
        with suppress(Exception):
            levels[name] = float(np.abs(np.rint(decode(source)) - ours).max())
        if levels.get(name) == 0:
            break
    best = min(levels, key=lambda name: levels[name], default="none")
    return kind, best, levels.get(best)


# The datasets


def records(out: Path) -> list[dict[str, Any]]:
    """Return the features of each record, read by TensorFlow."""
    shards = [str(path) for path in sorted(out.glob("*.tfrecord"))]
    payloads = module("tensorflow").data.TFRecordDataset(shards).as_numpy_iterator()
    return [
        {name: feature.values[0] for name, feature in example.decode(payload).items()}
        for payload in payloads
    ]


def crops(out: Path, reader: str) -> list[Pixels]:
    """Read the crop of every record."""
    options = {"crop": CROP_PX, "seed": SEED, "small": "pad", "dtype": "uint8"}
    if reader == "read_torch":
        made = module("tfrec_cli.read_torch").dataset(out, **options)
        items = (made[k] for k in range(len(made)))
        return [np.moveaxis(np.asarray(image_of(item)), 0, -1) for item in items]
    batches = module(f"tfrec_cli.{reader}").dataset(out, batch_size=16, **options)
    return [np.asarray(image) for batch in batches for image in image_of(batch)]


def image_of(item: Any) -> Any:
    return item[0] if isinstance(item, tuple | list) else item


def wrong_pixels(one: dict[str, Any]) -> str:
    """Decode a stored image by TensorFlow; return what is wrong with it."""
    if one.get("format") == b"raw" or (formats.image_format(one["image"]) is None):
        return ""
    try:
        pixels = module("tensorflow").io.decode_image(one["image"], 3).numpy()
    except Exception as error:
        return f"TensorFlow refuses it: {type(error).__name__}"
    ours = decoder.decode(one["image"])
    return "" if pixels.shape == ours.shape else f"found {ours.shape}, TensorFlow {pixels.shape}"


def check(source: Path, out: Path, **options: Any) -> tuple[int, list[str]]:
    """Write a folder and read it. Returns how many images were accepted, and what is wrong."""
    written = tfrec_cli.write(source, out, on_error="skip", **options)
    accepted = sum(split.records for split in written.splits)
    verified = tfrec_cli.verify(out, seed=SEED, source=source)
    wrong = [str(finding) for finding in verified.findings]
    found = {name: crops(out, name) for name in ("read_numpy", "read_tf", "read_torch")}
    every = records(out)
    for number, one in enumerate(every):
        name = one.get("filename", str(number).encode()).decode(errors="replace")
        pixels = [found[reader][number] for reader in found]
        if any(not np.array_equal(pixels[0], other) for other in pixels[1:]):
            wrong.append(f"{name}: the readers differ")
        if problem := wrong_pixels(one):
            wrong.append(f"{name}: {problem}")
    if len(every) != accepted:
        wrong.append(f"found {len(every)} records, expected {accepted}")
    return accepted, wrong


def differences(source: Path, out: Path) -> dict[tuple[str, str], list[float | None]]:
    """Compare every stored whole image with another decoder's pixels of its source."""
    found: dict[tuple[str, str], list[float | None]] = defaultdict(list)
    for one in records(out):
        kind, name, levels = compare((source / one["filename"].decode()).read_bytes())
        found[kind, name].append(levels)
    return found


def main() -> int:
    """Check the folders that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tests.readable", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    failed = 0
    for folder in parser.parse_args().folders:
        for name, options in OPTIONS.items():
            with tempfile.TemporaryDirectory() as temporary:
                out = Path(temporary, "out")
                accepted, wrong = check(folder, out, **options)
                print(f"{folder}, {name}: {accepted} accepted, {len(wrong)} wrong")
                print(*(f"  {line}" for line in wrong), sep="\n", end="\n" if wrong else "")
                failed += len(wrong)
                if options:
                    continue
                print("| source | files | other decoder | compared | greatest difference |")
                print("|---|---|---|---|---|")
                for (kind, other), levels in sorted(differences(folder, out).items()):
                    known = [level for level in levels if level is not None]
                    most = f"{max(known):.0f}" if known else ""
                    print(f"| {kind} | {len(levels)} | {other} | {len(known)} | {most} |")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
