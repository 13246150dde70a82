"""Input of contestants: photos that both sides can use, and datasets of them.

Knows: which photos are used, and where copies are. Must not know: what is done with them.
"""

from __future__ import annotations

import os
import shutil
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path

from PIL import Image

from benchmarks import BATCH, CROP_PX
from benchmarks.errors import BenchmarkError
from benchmarks.works import DATASETS, EARLIER

ORIENTATION = 0x112
"""EXIF tag; 1 is upright."""

Run = Callable[[str, Mapping[str, Path], Path | None], object]
"""Runs a command whose words in braces are folders, perhaps in a checkout of an earlier commit."""


def plain_photos(images: Path) -> list[Path]:
    """List the photos that the usual scripts treat like we do: upright JPEGs, grey or RGB.

    The scripts store other photos in a way that TensorFlow reads wrongly or not at all.

    Raises:
        BenchmarkError: there are none.
    """
    found = [path for path in sorted(images.glob("*/*")) if path.is_file() and _is_plain(path)]
    if not found:
        raise BenchmarkError(f"{images}: found no upright JPEG in class folders, expected photos")
    return found


def _is_plain(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            upright = image.getexif().get(ORIENTATION, 1) == 1
            return image.format == "JPEG" and image.mode in ("L", "RGB") and upright
    except OSError:
        return False


def large(photos: Iterable[Path]) -> list[Path]:
    """Choose photos that hold the crop; only full batches of them if there are enough."""
    chosen = []
    for path in photos:
        with Image.open(path) as image:
            if min(image.size) >= CROP_PX:
                chosen.append(path)
    return chosen[: len(chosen) // BATCH * BATCH] or chosen


def link(photos: Sequence[Path], folder: Path, count: int) -> None:
    """Link photos into class folders, repeatedly until there are ``count``.

    A repeated photo gets another comment: real photos are not copies of each other.
    """
    folder.mkdir()
    for number, path in enumerate(islice(cycle(photos), count)):
        repeat = number // len(photos)
        target = folder / path.parent.name / f"{path.stem}-{repeat}{path.suffix}"
        target.parent.mkdir(exist_ok=True)
        if repeat:
            data = path.read_bytes()
            target.write_bytes(data[:2] + b"\xff\xfe\0\6%04d" % (repeat % 10_000) + data[2:])
            continue
        try:
            os.link(path.resolve(), target)
        except OSError:  # another file system, or one without links
            shutil.copyfile(path, target)


def prepare(
    photos: Sequence[Path],
    count: int,
    scratch: Path,
    commands: Iterable[str],
    run: Run,
    earlier: Path | None = None,
) -> dict[str, Path]:
    """Make every folder that a command names, and read it once, so that all caches are warm.

    Args:
        count: how many photos to make from these, by links.
        earlier: checkout of an earlier commit, which writes its own datasets.
    Returns:
        Folders by the words in braces: always ``images`` and ``large`` (those that hold a crop);
        if named ``one`` (a single photo), ``tenfold`` (ten times as many photos), ``mosaics``
        (pictures of 12 megapixels), and the datasets ``whole`` (photos), ``crops`` and ``huge``
        (mosaics).
    Raises:
        BenchmarkError: no photo holds a crop.
    """
    places = {name: scratch / name for name in ("images", "large", *_FOLDERS, *DATASETS)}
    places |= {EARLIER + name: scratch / (EARLIER + name) for name in DATASETS}
    link(photos, places["images"], count)
    fitting = large(sorted(places["images"].glob("*/*")))
    if not fitting:
        raise BenchmarkError(f"photos: found none of {CROP_PX}x{CROP_PX} pixels, expected one")
    link(fitting, places["large"], len(fitting))
    wanted = {word for command in commands for word in words(command)}
    wanted |= {"mosaics"} if wanted & {"huge", f"{EARLIER}huge"} else set()
    for name in wanted.intersection(_FOLDERS):
        _FOLDERS[name](places)
    for name, command in DATASETS.items():
        if name in wanted:
            run(command, places, None)
        if EARLIER + name in wanted:
            run(command, {**places, name: places[EARLIER + name]}, earlier)
    for path in scratch.rglob("*"):
        if path.is_file():
            path.read_bytes()
    return places


def words(command: str) -> set[str]:
    """Return the words in braces in a command."""
    return {name for _, name, _, _ in string.Formatter().parse(command) if name}


def _one(places: Mapping[str, Path]) -> None:
    link(sorted(places["large"].glob("*/*")), places["one"], 1)


def _tenfold(places: Mapping[str, Path]) -> None:
    photos = sorted(places["images"].glob("*/*"))
    link(photos, places["tenfold"], 10 * len(photos))


def _mosaics(places: Mapping[str, Path]) -> None:
    """Make pictures of 12 megapixels, each from 64 photos."""
    photos = cycle(sorted(places["large"].glob("*/*")))
    (places["mosaics"] / "mosaic").mkdir(parents=True)
    for number in range(_MOSAICS):
        mosaic = Image.new("RGB", (8 * _TILE_PX[0], 8 * _TILE_PX[1]))
        for tile, path in enumerate(islice(photos, 64)):
            with Image.open(path) as photo:
                left, top = tile % 8 * _TILE_PX[0], tile // 8 * _TILE_PX[1]
                mosaic.paste(photo.convert("RGB").resize(_TILE_PX), (left, top))
        mosaic.save(places["mosaics"] / "mosaic" / f"{number:03}.jpg", quality=90)


_MOSAICS = 64
_TILE_PX = (504, 378)
_FOLDERS: dict[str, Callable[[Mapping[str, Path]], None]] = {
    "one": _one,
    "tenfold": _tenfold,
    "mosaics": _mosaics,
}
