"""The stream for PyTorch yields TensorFlow's samples, each once, however many workers read them."""

from __future__ import annotations

import copy
import importlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, class_files, fill, needs, photo, png, read_torch

from tfrec_cli import read_numpy
from tfrec_cli.commands.write import write
from tfrec_cli.errors import DataError, UsageError
from tfrec_cli.writing.options import WriteOptions as Options

pytestmark = needs("torch")

CROP = (33, 38)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a dataset of 13 whole images of every kind in three shards."""
    root = tmp_path_factory.mktemp("plain")
    write(fill(root / "images", class_files()), root / "out", Options(shards=3, jobs=1))
    return root / "out"


@pytest.fixture(scope="module")
def gzipped(plain: Path) -> Path:
    """Make a dataset of compressed shards from the same images."""
    out = plain.parent / "gz"
    write(plain.parent / "images", out, Options(compression="gzip", shards=3, jobs=1))
    return out


@pytest.fixture(params=["plain", "gzipped"])
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(request.param)
    return found


def samples(stream: Any) -> list[tuple[bytes, int]]:
    return [(np.moveaxis(image.numpy(), 0, -1).tobytes(), int(label)) for image, label in stream]


def expected(path: Path, **options: Any) -> list[tuple[bytes, int]]:
    """Return what `read_numpy`, and so `read_tf`, yields without a batch size."""
    batches = read_numpy.dataset(path, **{"crop": CROP, "seed": 42, **options})
    return [(image.tobytes(), int(label)) for image, label in batches]


def stream(path: Path, **options: Any) -> Any:
    return read_torch.stream(path, **{"crop": CROP, "seed": 42, **options})


OPTIONS: list[dict[str, Any]] = [
    {},
    {"epoch": 2, "epochs": 3, "flip": True, "brightness": 0.3},
    {"shard": (1, 3), "epochs": 2, "start": 6},
    {"crop": 50, "small": "skip", "dtype": "uint8"},
    {"crop": None, "split": "train[3:9]"},
]


@pytest.mark.parametrize("options", [*OPTIONS, {"shuffle": True, "epochs": 2, "start": 5}])
def test_without_workers_samples_come_in_order(plain: Path, options: dict[str, Any]) -> None:
    ours = stream(plain, **options)
    assert samples(ours) == samples(ours) == expected(plain, **options)


@pytest.mark.parametrize("options", OPTIONS)
def test_compressed_shards_are_read_in_order(gzipped: Path, options: dict[str, Any]) -> None:
    ours = stream(gzipped, **options)
    assert samples(ours) == samples(ours) == expected(gzipped, **options)


@pytest.mark.parametrize("workers", [2, 3, 5])
@pytest.mark.parametrize("options", OPTIONS)
def test_workers_read_each_sample_once(
    path: Path, options: dict[str, Any], workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = importlib.import_module("torch.utils.data")
    ours = stream(path, **options)
    found = []
    for worker in range(workers):
        info = SimpleNamespace(id=worker, num_workers=workers)
        monkeypatch.setattr(data, "get_worker_info", lambda info=info: info)
        found += samples(ours)
    assert sorted(found) == sorted(expected(path, **options))


def test_the_length_is_that_of_all_epochs(path: Path) -> None:
    ours = stream(path, shard=(1, 3), epochs=2, start=3)
    assert len(ours) == len(samples(ours)) == 5
    with pytest.raises(TypeError, match="the length is not known if records may be skipped"):
        len(stream(path, crop=50, small="skip"))


def test_start_is_for_the_first_epoch_that_is_read(path: Path) -> None:
    ours = stream(path, start=5)
    ours.set_epoch(7)
    assert len(ours) == 8
    first = samples(ours)
    assert first == expected(path, epoch=7, start=5)
    ours.set_epoch(8)
    assert (len(ours), samples(ours)) == (13, expected(path, epoch=8))
    ours.set_epoch(7)
    assert (len(ours), samples(ours)) == (8, first)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 14}, "start: found 14, expected at most 13 records"),
        ({"crop": 42}, "or small='pad', or 'skip', after which the number of batches is not known"),
        ({"epoch": 2**31 - 1, "epochs": 2}, "epoch: found 2147483648, expected"),
    ],
)
def test_what_cannot_be_read_is_refused(plain: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        stream(plain, **options)


def test_compressed_shards_cannot_be_shuffled(gzipped: Path) -> None:
    with pytest.raises(UsageError, match=r"shuffle: found compressed shards in .*, expected plain"):
        stream(gzipped, shuffle=True)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_has_its_own_epoch(path: Path, duplicate: Any) -> None:
    ours = stream(path, epoch=2, start=5)
    assert samples(ours)
    other = duplicate(ours)
    other.set_epoch(4)
    assert (ours.epoch, other.epoch) == (2, 4)
    assert samples(other) == expected(path, epoch=4)


def test_a_stream_is_shown_on_one_line(plain: Path) -> None:
    ours = stream(plain, epochs=3)
    ours.set_epoch(2)
    facts = "13 records, crop 33x38, seed 42, epochs 2 to 4"
    assert repr(ours) == f"<tfrec stream {plain}, split train: {facts}>"


def test_images_may_be_changed_and_labels_missing(tmp_path: Path) -> None:
    write(fill(tmp_path / "src", {"a.png": png(photo(9, 8))}), tmp_path / "out", Options(jobs=1))
    (image,) = read_torch.stream(tmp_path / "out", transform=lambda image: image[:1])
    assert image.shape == (1, 9, 8)


def test_damage_names_file_and_offset(plain: Path, tmp_path: Path) -> None:
    write(plain.parent / "images", tmp_path / "out", Options(jobs=1))
    shard = next((tmp_path / "out").glob("*.tfrecord"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    with pytest.raises(DataError, match=r"train-00000-of-00001.tfrecord: at byte \d+"):
        list(stream(tmp_path / "out"))


# Reads epochs with a DataLoader, and prints which are not those of read_numpy: in the same order
# with batch_size=None and plain shards, else in any.
LOADER = """
import json, sys
import numpy as np
from torch.utils.data import DataLoader
from tfrec_cli import read_numpy, read_torch

def main():
    path, start, persistent, batch_size = json.loads(sys.argv[1])
    options = {"crop": 33, "seed": 7}
    stream = read_torch.stream(path, **options)
    list(stream)  # opens files in this process
    loader = DataLoader(
        stream, batch_size, num_workers=2, multiprocessing_context=start,
        persistent_workers=persistent,
    )
    wrong = []
    for epoch in (0, 3, 1):
        stream.set_epoch(epoch)
        images = [image.numpy() for image, _ in loader]
        images = images if batch_size is None else np.concatenate(images)
        found = [np.moveaxis(image, 0, -1).tobytes() for image in images]
        right = [image.tobytes() for image, _ in read_numpy.dataset(path, epoch=epoch, **options)]
        if batch_size or "gz" in path:
            found, right = sorted(found), sorted(right)
        if found != right:
            wrong.append(epoch)
    print(json.dumps([wrong, "tensorflow" in sys.modules]))

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize(
    ("start", "persistent", "batch_size"),
    [("fork", False, None), ("fork", True, 3), ("spawn", True, None)],
)
def test_a_loader_reads_every_epoch(
    path: Path, tmp_path: Path, start: str, persistent: bool, batch_size: int | None
) -> None:
    """In its own process, since PyTorch must not fork one with threads of TensorFlow."""
    (tmp_path / "program.py").write_text(LOADER)
    words = json.dumps([str(path), start, persistent, batch_size])
    ran = subprocess.run(
        [sys.executable, "-W", "error", str(tmp_path / "program.py"), words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        check=True,
        timeout=120,
    )
    assert json.loads(ran.stdout) == [[], False]
