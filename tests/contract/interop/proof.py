"""What every reader should find, and whether it did.

Knows: the datasets that are written, digests, the table. Must not know: how a reader reads.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from tfrec_cli.dataset import manifest, records
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.scan import Record, scan

from .readers import INDEXERS, OTHERWISE, READERS, Pixels, Read, Split

_CROP = ("--crop", "96", "--small", "skip")

DATASETS: Mapping[str, Sequence[Sequence[str]]] = {
    "raw crops": [[*_CROP, "--shards", "3"]],
    "PNG crops": [[*_CROP, "--encoding", "png", "--shards", "2"]],
    "whole": [["--shards", "4"], ["--split", "val", "--shards", "2"]],
    "tf-models": [["--keys", "tf-models", "--shards", "2"]],
}
"""Each dataset, and the options of the writes that make it; a second split is of fewer images."""


_DECODERS_APART = 4.0
"""Levels in the mean that two decoders of one JPEG may be apart; two photos are apart by dozens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """One record as tfrec and Pillow read it; digests are SHA-256."""

    filename: str
    label: int
    image: str
    pixels: str
    is_jpeg: bool


@dataclass(slots=True, kw_only=True)
class Found:
    """What one reader found in one split, in comparison with what it should.

    Attributes:
        labels, pixels: SHA-256 over every record's file name and label, or pixels; by file name.
        wrong: what differs and may not, by file name; of any number, the first.
        jpegs: how many JPEGs, of the same bytes, were decoded to other pixels, where a reader may.
        values, differing: uint8 values in those, and how many differ.
        levels: by how much at most.
    """

    reader: str
    dataset: str
    split: str
    records: int = 0
    labels: str = ""
    pixels: str = ""
    wrong: dict[str, str] = field(default_factory=dict)
    jpegs: int = 0
    values: int = 0
    differing: int = 0
    levels: int = 0

    @property
    def verdict(self) -> str:
        """Whether it is the same, in words; what is named is no failure."""
        if self.wrong:
            name, what = next(iter(self.wrong.items()))
            more = f", and {len(self.wrong) - 1} more" if len(self.wrong) > 1 else ""
            return f"NO: {name}: {what}{more}"
        if not self.jpegs:
            return "yes"
        return (
            f"yes, but {self.jpegs} JPEGs decoded by {OTHERWISE[self.reader]}: "
            f"{self.differing / self.values:.0%} of values differ, by {self.levels} at most"
        )


def digest(data: bytes | Pixels) -> str:
    """Return the SHA-256 of bytes, or of an image's shape and values."""
    if isinstance(data, bytes):
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha256(repr(data.shape).encode() + data.tobytes()).hexdigest()


def compare(
    reader: str, split: Split, reads: Iterable[Read], expected: Sequence[Expected]
) -> Found:
    """Compare what a reader gave with what it should have given.

    Args:
        expected: in the order of the shards.
    """
    found = Found(reader=reader, dataset=split.dataset, split=split.name)
    wanted = {one.filename: one for one in expected}
    labels, pixels = {}, {}
    for number, read in enumerate(reads):
        found.records += 1
        if read.filename is not None:
            name = read.filename.decode(errors="surrogateescape")
        elif number < len(expected):
            name = expected[number].filename
        else:
            name = f"record {number}"
        if name not in wanted or name in labels:
            found.wrong[name] = "found it twice" if name in labels else "found, expected no such"
            continue
        labels[name], pixels[name] = str(read.label), digest(read.pixels)
        _compare_one(found, read, wanted[name])
    found.wrong |= dict.fromkeys(wanted.keys() - labels.keys(), "not found")
    found.labels, found.pixels = _over(labels), _over(pixels)
    return found


def _compare_one(found: Found, read: Read, wanted: Expected) -> None:
    if read.label != wanted.label:
        found.wrong[wanted.filename] = f"label: found {read.label}, expected {wanted.label}"
    elif read.image is not None and digest(read.image) != wanted.image:
        found.wrong[wanted.filename] = "found other bytes"
    elif read.pixels.dtype != np.uint8:
        found.wrong[wanted.filename] = f"found {read.pixels.dtype}, expected uint8"
    elif digest(read.pixels) != wanted.pixels and not _is_decoded_otherwise(found, read, wanted):
        found.wrong[wanted.filename] = "found other pixels"


def _is_decoded_otherwise(found: Found, read: Read, wanted: Expected) -> bool:
    """Tell whether a JPEG's pixels differ as this reader's may, and add up by how much."""
    if found.reader not in OTHERWISE or not wanted.is_jpeg or read.image is None:
        return False
    usual = np.asarray(Image.open(io.BytesIO(read.image)).convert("RGB"), np.int16)
    if usual.shape != read.pixels.shape:
        return False
    apart = np.abs(usual - read.pixels)
    if apart.mean() > _DECODERS_APART:
        return False
    found.jpegs += 1
    found.values += apart.size
    found.differing += int(np.count_nonzero(apart))
    found.levels = max(found.levels, int(apart.max()))
    return True


def compare_indexes(name: str, split: Split, write_index: Callable[[str, str], None]) -> Found:
    """Compare a split's index files with those that another program writes."""
    found = Found(reader=name, dataset=split.dataset, split=split.name)
    with tempfile.TemporaryDirectory() as folder:
        for shard, index in zip(split.files(".tfrecord"), split.files(".tfindex"), strict=True):
            theirs = Path(folder, Path(index).name)
            write_index(shard, str(theirs))
            found.records += len(theirs.read_bytes().splitlines())
            if _numbers(theirs) != _numbers(Path(index)):
                found.wrong[theirs.name] = "found other places"
    return found


def _numbers(index: Path) -> list[list[int]]:
    """Read an index file as its readers do: leading zeros, which only ours has, do not matter."""
    return [list(map(int, line.split())) for line in index.read_bytes().splitlines()]


def _over(values: Mapping[str, str]) -> str:
    lines = sorted(f"{name}\0{value}\n" for name, value in values.items())
    return digest("".join(lines).encode(errors="surrogateescape"))


def write(source: Path, out: Path) -> list[Split]:
    """Write every dataset of `DATASETS` into a folder of its own below ``out``."""
    splits = []
    fewer = _link_some(source, out / "fewer")
    for dataset, writes in DATASETS.items():
        folder = out / dataset.replace(" ", "-")
        for images, options in zip((source, fewer), writes, strict=False):
            argv = [sys.executable, "-m", "tfrec_cli", "write", str(images), str(folder), "-q"]
            subprocess.run([*argv, *options], check=True, stdout=subprocess.DEVNULL)
        for path in manifest.find(folder).values():
            described = manifest.load(path)
            names = records.NAMES[described.keys]
            splits.append(
                Split(
                    dataset=dataset,
                    folder=str(folder),
                    name=described.split,
                    image=names.image,
                    label=str(names.label),
                    filename=str(names.filename),
                    crop=described.crop if described.stored == "raw" else None,
                )
            )
    return splits


def _link_some(source: Path, fewer: Path) -> Path:
    """Make a folder of links to every other image of each class, beginning with the first."""
    for folder in _class_folders(source):
        (fewer / folder.name).mkdir(parents=True)
        for path in sorted(folder.iterdir())[::2]:
            (fewer / folder.name / path.name).symlink_to(path.resolve())
    return fewer


def _class_folders(source: Path) -> list[Path]:
    folders = [path for path in source.glob("[!.]*") if path.is_dir()]
    return [folder for folder in folders if any(folder.iterdir())]


def expect(source: Path, split: Split) -> list[Expected]:
    """Read a split by tfrec and Pillow; labels come from the names of folders alone."""
    classes = sorted((path.name for path in _class_folders(source)), key=os.fsencode)
    expected = []
    for path in split.files(".tfrecord"):
        for item in scan(Path(path)):
            assert isinstance(item, Record)
            features = example.decode(item.payload)
            style = "plain" if split.image == "image" else "tf-models"
            one = records.decode(features, records.NAMES[style])
            name = (one.filename or b"").decode(errors="surrogateescape")
            expected.append(
                Expected(
                    filename=name,
                    label=classes.index(name.split("/")[0]),
                    image=digest(one.image),
                    pixels=digest(records.pixels(one)),
                    is_jpeg=split.crop is None and one.image.startswith(b"\xff\xd8"),
                )
            )
    return expected


def prove(source: Path, out: Path, processes: Sequence[str]) -> list[Found]:
    """Write the datasets, and open each with the readers of each process.

    Raises:
        subprocess.CalledProcessError: a write failed.
    """
    splits = write(source, out)
    tasks = [(asdict(split), [asdict(one) for one in expect(source, split)]) for split in splits]
    plan = out / "expected.json"
    plan.write_text(json.dumps(tasks))
    with ThreadPoolExecutor(2) as pool:
        found = [row for rows in pool.map(lambda one: _run(one, plan), processes) for row in rows]
    order = [(split.dataset, split.name) for split in splits]
    return sorted(found, key=lambda row: order.index((row.dataset, row.split)))


def _run(process: str, plan: Path) -> list[Found]:
    """Run one process; a reader that fails is a row for each split, too."""
    result = plan.with_name(f"{process}.json")
    argv = [sys.executable, "-m", str(__package__), "--process", process, str(plan), str(result)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return [Found(**row) for row in json.loads(result.read_text())]
    last = done.stderr.strip().splitlines()[-1:]
    wrong = {f"exit code {done.returncode}": "".join(last)}
    splits = [Split(**split) for split, _ in json.loads(plan.read_text())]
    return [
        Found(reader=reader, dataset=split.dataset, split=split.name, wrong=wrong)
        for split in splits
        for reader in READERS[process]
    ]


def run_process(process: str, plan: Path, result: Path) -> None:
    """Read every split with every reader of this process, and write what was found."""
    rows = []
    for split, expected in json.loads(plan.read_text()):
        one = Split(**split)
        wanted = [Expected(**row) for row in expected]
        for name, reader in READERS[process].items():
            rows.append(compare(name, one, reader(one), wanted))
        for name, write_index in INDEXERS.get(process, {}).items():
            rows.append(compare_indexes(name, one, write_index))
    result.write_text(json.dumps([asdict(row) for row in rows]))


def table(rows: Iterable[Found]) -> Iterator[str]:
    """Yield one line for each row."""
    line = "{:10} {:6} {:28} {:>7}  {:12}  {:12}  {}"
    yield line.format("dataset", "split", "reader", "records", "labels", "pixels", "same?")
    for row in rows:
        short = (row.labels[:12], row.pixels[:12])
        yield line.format(row.dataset, row.split, row.reader, row.records, *short, row.verdict)
