"""Small images made by code, and folders of them, for every test.

Import the functions (``from conftest import photo, jpeg, png``), ask for ``folder`` by name.
"""

from __future__ import annotations

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import functools
import importlib
import importlib.util
import io
import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image
from program import Ran

from tfrec_cli.runtime import native

# A busy machine is no failure: how long an example takes says nothing here.
settings.register_profile("tfrec", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tfrec")

Pixels = npt.NDArray[np.uint8]

ORIENTATION = 0x0112
ROOT = Path(__file__).parents[1]


def missing(*packages: str) -> str:
    """Return a reason to skip that names the packages that are not installed; "" if all are.

    With ALL_TESTS it is always "": then a test fails if its package is missing.
    """
    absent = [name for name in packages if importlib.util.find_spec(name) is None]
    return f"needs {', '.join(absent)}" if absent and "ALL_TESTS" not in os.environ else ""


def needs(*packages: str) -> pytest.MarkDecorator:
    """Skip a test without these packages, which a program or reader that it starts needs."""
    return pytest.mark.skipif(bool(missing(*packages)), reason=missing(*packages))


needs_c = pytest.mark.skipif(
    not native.is_compiled and "ALL_TESTS" not in os.environ, reason="needs the C extension"
)


class Framework:
    """A module that is imported when it is first used; without it, the test is skipped.

    ``package`` must be installed; by default it is the first part of the module's name.
    """

    def __init__(self, module: str, package: str = "") -> None:
        self._module = module
        self._package = package or module.split(".")[0]

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith(("_", "pytest")):  # pytest looks these up when it collects
            raise AttributeError(attribute)
        if reason := missing(self._package):
            pytest.skip(reason, allow_module_level=True)
        return getattr(importlib.import_module(self._module), attribute)


tf = Framework("tensorflow")
tfds = Framework("tensorflow_datasets")
torch = Framework("torch")
torch_data = Framework("torch.utils.data")

READERS = {
    "read_tf": Framework("tfrec_cli.read_tf", "tensorflow"),
    "read_torch": Framework("tfrec_cli.read_torch", "torch"),
    "read_keras": Framework("tfrec_cli.read_keras", "keras"),
    "read_numpy": Framework("tfrec_cli.read_numpy"),
}
OF_RECORDS = [name for name in READERS if name != "read_keras"]
"""Readers that also yield single records."""

read_tf, read_torch = READERS["read_tf"], READERS["read_torch"]
read_keras = READERS["read_keras"]


def photo(height: int, width: int, seed: int = 0) -> Pixels:
    """Return uint8[height, width, 3]: coloured blobs under fine noise, determined by the seed.

    Every pixel differs from its neighbours, so that a crop shifted by one pixel is different.
    """
    rng = np.random.default_rng(seed)
    blobs = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    smooth = np.asarray(blobs.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    noise = rng.integers(-40, 41, (height, width, 3), dtype=np.int16)
    return np.clip(smooth + noise, 0, 255).astype(np.uint8)


def save(pixels: npt.NDArray[Any] | Image.Image, kind: str, **options: Any) -> bytes:
    """Encode an array or a Pillow image as ``kind``, by Pillow's name; options are Pillow's."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def jpeg(pixels: npt.NDArray[Any] | Image.Image, **options: Any) -> bytes:
    """Encode as JPEG of quality 90; ``subsampling="4:2:0"``, ``progressive=True``…"""
    return save(pixels, "JPEG", **{"quality": 90, **options})


def png(pixels: npt.NDArray[Any] | Image.Image, **options: Any) -> bytes:
    """Encode as PNG; uint16[height, width] becomes a 16-bit gray image."""
    return save(pixels, "PNG", **options)


def png_of(*chunks: tuple[bytes, bytes]) -> bytes:
    """Make a PNG file from (kind, body) pairs, each with a correct checksum."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def oriented(orientation: object) -> Image.Exif:
    """Return an EXIF block with this orientation, for ``exif=`` of a saving function."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def fill(root: Path, files: Mapping[str, bytes]) -> Path:
    """Write files below ``root``, in the mapping's order, and return ``root``."""
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


@dataclass(frozen=True)
class Measured(Ran):
    """Output of one run of the program, and what all its processes needed."""

    cpu_seconds: float
    mebibytes: float


_MEASURE = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[2:], capture_output=True, stdin=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
texts = [one.decode("utf-8", "backslashreplace") for one in (done.stdout, done.stderr)]
figures = [done.returncode, *texts, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]
open(sys.argv[1], "w").write(json.dumps(figures))
"""


def unmeasured() -> dict[str, str]:
    """Return the environment for a program whose time, memory or imports are measured."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


def measured(folder: Path, *argv: str | Path, before: Sequence[str] = ()) -> Measured:
    """Run ``tfrec ARGV`` in ``folder``, after the words ``before``, and measure what it needs.

    A small process starts it, since a child's peak memory includes that of its parent.
    """
    figures = folder.with_name(f"{folder.name}.figures")
    program = [*before, sys.executable, "-m", "tfrec_cli", *map(str, argv)]
    words = [sys.executable, "-S", "-c", _MEASURE, str(figures), *program]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**unmeasured(), "PYTHONPATH": path}
    subprocess.run(words, cwd=folder, env=environment, check=True, timeout=60)
    return Measured(*json.loads(figures.read_text()))


def tree(root: Path) -> dict[str, bytes]:
    """Return every file below ``root`` with its bytes, and every folder with b""."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else b""
        for path in sorted(root.rglob("*"))
    }


@functools.cache
def class_files() -> dict[str, bytes]:
    """Return the files of ``folder`` by path.

    13 images in the classes cats, dogs and owls, of 13 sizes, at least 41x40 pixels when upright.
    """
    gray = Image.fromarray(photo(62, 45, 3)).convert("L")
    alpha = np.dstack([photo(47, 58, 8), np.arange(47 * 58, dtype=np.uint8).reshape(47, 58)])
    deep = photo(53, 46, 10)[..., 0].astype(np.uint16) * 250 + np.arange(46, dtype=np.uint16)
    frames = [Image.fromarray(photo(50, 57, seed)) for seed in (9, 90)]
    return {
        "cats/420.jpg": jpeg(photo(60, 71, 1), subsampling="4:2:0"),
        "cats/444.jpg": jpeg(photo(51, 48, 2), subsampling="4:4:4"),
        "cats/gray.jpg": jpeg(gray),
        "cats/side.jpg": jpeg(photo(44, 61, 4), subsampling="4:2:0", exif=oriented(6)),
        "dogs/422.jpg": jpeg(photo(41, 63, 5), subsampling="4:2:2"),
        "dogs/alpha.png": png(alpha),
        "dogs/cmyk.jpg": jpeg(Image.fromarray(photo(56, 40, 7)).convert("CMYK")),
        "dogs/moving.gif": save(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "dogs/progressive.jpg": jpeg(photo(64, 52, 6), subsampling="4:2:0", progressive=True),
        "owls/deep.png": png(deep),
        "owls/palette.png": png(Image.fromarray(photo(43, 54, 11)).quantize(64)),
        "owls/plain.png": png(photo(59, 42, 12)),
        "owls/web.webp": save(photo(55, 65, 13), "WEBP", lossless=True),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with three class folders of images of every kind: see `class_files`."""
    return fill(tmp_path / "images", class_files())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a dataset of the 13 images of `class_files`, whole, in three shards."""
    root = tmp_path_factory.mktemp("whole")
    fill(root / "images", class_files())
    return _written(root / "images", root / "out", shards=3)


@pytest.fixture(scope="module")
def stored(whole: Path) -> Path:
    """Write a dataset of crops of the same images, as raw pixels."""
    return _written(whole.parent / "images", whole.parent / "crops", crop=(36, 36))


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a dataset of 41 images."""
    root = tmp_path_factory.mktemp("odd")
    fill(root / "images", {f"{number:02}.png": png(photo(9, 8, number)) for number in range(41)})
    return _written(root / "images", root / "out")


def _written(source: Path, out: Path, **options: Any) -> Path:
    from tfrec_cli.commands.write import write
    from tfrec_cli.writing.options import WriteOptions

    write(source, out, WriteOptions(jobs=1, **options))
    return out
