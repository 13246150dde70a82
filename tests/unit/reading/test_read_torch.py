"""The reader for PyTorch gives TensorFlow's samples, whatever workers read them."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import (
    ROOT,
    class_files,
    fill,
    needs,
    photo,
    png,
    read_tf,
    read_torch,
    torch,
    torch_data,
)
from contract import same_everywhere

from tfrec_cli.commands.write import write
from tfrec_cli.errors import DataError, UsageError
from tfrec_cli.writing.options import WriteOptions as Options

pytestmark = needs("torch")

CROP = (33, 38)
CONFIGURATIONS = ["tensorflow-1", "numpy-4", "torch-0", "torch-fork-2", "torch-spawn-1"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a dataset of 13 whole images of every kind in three shards."""
    root = tmp_path_factory.mktemp("whole")
    write(fill(root / "images", class_files()), root / "out", Options(shards=3, jobs=1))
    return root / "out"


@pytest.fixture(scope="module")
def stored(whole: Path) -> Path:
    """Make a dataset of stored crops from the same images."""
    out = whole.parent / "crops"
    write(whole.parent / "images", out, Options(crop=(36, 36), jobs=1))
    return out


def same(ours: Any, theirs: Any) -> None:
    """Compare (image, label) with TensorFlow's, bit for bit: [3, h, w] with [h, w, 3]."""
    (image, label), (image_there, label_there) = ours, theirs
    assert np.array_equal(np.moveaxis(image.numpy(), -3, -1), image_there.numpy())
    assert np.array_equal(label, label_there)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"epoch": 3, "flip": True, "brightness": 0.3},
        {"dtype": "uint8", "crop_mode": "center"},
        {"dtype": "uint8", "brightness": 0.3},
        {"crop": 90, "small": "pad"},
        {"crop": None},
    ],
)
def test_samples_are_those_of_tensorflow(whole: Path, options: dict[str, Any]) -> None:
    options = {"crop": CROP, "seed": 42, **options}
    records = read_torch.dataset(whole, **options)
    expected = list(read_tf.dataset(whole, **options))
    for index, (one, right) in enumerate(zip(records, expected, strict=True)):
        same(one, right)
        same(records[index], right)
    for one, right in zip(records.__getitems__(range(13)), expected, strict=True):
        same(one, right)


@pytest.mark.parametrize("crop", [None, (20, 21)])
def test_stored_crops_are_those_of_tensorflow(stored: Path, crop: Any) -> None:
    records = read_torch.dataset(stored, crop=crop, seed=42, flip=True)
    expected = read_tf.dataset(stored, crop=crop, seed=42, flip=True)
    for one, right in zip(records, expected, strict=True):
        same(one, right)


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_a_sample_is_what_torch_expects(whole: Path, dtype: Any) -> None:
    image, label = read_torch.dataset(whole, crop=CROP, dtype=dtype)[0]
    assert (image.shape, image.dtype) == ((3, *CROP), getattr(torch, dtype))
    assert image.is_contiguous()
    assert isinstance(label, int)


def test_default_collation_makes_int64_labels(whole: Path) -> None:
    image, label = next(
        iter(torch_data.DataLoader(read_torch.dataset(whole, crop=CROP), batch_size=4))
    )
    assert (image.shape, label.shape, label.dtype) == ((4, 3, *CROP), (4,), torch.int64)


def test_datasets_without_labels_yield_only_images(tmp_path: Path) -> None:
    write(fill(tmp_path / "src", {"a.png": png(photo(9, 8))}), tmp_path / "out", Options(jobs=1))
    assert read_torch.dataset(tmp_path / "out")[0].shape == (3, 9, 8)


def test_records_are_indexed_like_a_list(whole: Path) -> None:
    records = read_torch.dataset(whole, crop=CROP)
    assert len(records) == 13
    for index in (-1, np.int64(12), torch.tensor(12)):
        assert torch.equal(records[index][0], records[12][0])
    for index in (13, -14):
        with pytest.raises(IndexError):
            records[index]
        with pytest.raises(IndexError):
            records.__getitems__([0, index])


def test_samples_share_no_memory(whole: Path) -> None:
    records = read_torch.dataset(whole, crop=CROP)
    first, second = records.__getitems__([4, 4])
    first[0].zero_()
    assert torch.equal(second[0], records[4][0])


def test_set_epoch_gives_that_epochs_crops(whole: Path) -> None:
    records = read_torch.dataset(whole, crop=CROP, seed=42)
    records.set_epoch(5)
    assert records.epoch == 5
    for one, right in zip(
        records, read_tf.dataset(whole, crop=CROP, seed=42, epoch=5), strict=True
    ):
        same(one, right)


@pytest.mark.parametrize("epoch", [-1, 2**31, 1.5])
def test_epochs_out_of_range_are_refused(whole: Path, epoch: Any) -> None:
    with pytest.raises(UsageError, match="epoch: found"):
        read_torch.dataset(whole, crop=CROP).set_epoch(epoch)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_has_its_own_shared_epoch(whole: Path, duplicate: Any) -> None:
    records = read_torch.dataset(whole, crop=CROP, epoch=2)
    other = duplicate(records)
    assert torch.equal(other[3][0], records[3][0])
    other.set_epoch(4)
    assert (records.epoch, other.epoch) == (2, 4)
    assert other._epoch.is_shared()


class Norm:
    """A transform like torchvision's: importable, picklable, for images [3, h, w]."""

    def __call__(self, image: Any) -> Any:
        mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
        return (image - mean).flip(-1)


def test_a_transform_gets_each_image(whole: Path) -> None:
    plain = read_torch.dataset(whole, crop=CROP)
    changed = read_torch.dataset(whole, crop=CROP, transform=Norm())
    for (image, label), (other, same_label) in zip(plain, changed, strict=True):
        assert torch.equal(other, Norm()(image))
        assert label == same_label


@pytest.mark.parametrize("workers", [0, 2])
def test_a_transform_that_is_set_later_is_used(whole: Path, workers: int) -> None:
    """timm sets it so."""
    plain, changed = (read_torch.dataset(whole, crop=CROP) for _ in range(2))
    changed.transform = Norm()
    loader = torch_data.DataLoader(changed, batch_size=None, num_workers=workers)
    for (image, _), (other, _) in zip(plain, loader, strict=True):
        assert torch.equal(other, Norm()(image))


@pytest.mark.promise("P2")
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(("shard", "start"), [((0, 1), 0), ((0, 1), 5), ((1, 3), 0), ((2, 3), 3)])
def test_order_gives_the_batches_of_tensorflow(
    whole: Path, shuffle: bool, shard: tuple[int, int], start: int
) -> None:
    options: dict[str, Any] = {"shuffle": shuffle, "shard": shard, "start": start}
    records = read_torch.dataset(whole, crop=CROP, seed=42, epoch=3)
    loader = torch_data.DataLoader(
        records, batch_size=4, sampler=read_torch.Order(records, **options)
    )
    batches = read_tf.dataset(whole, crop=CROP, seed=42, epoch=3, epochs=2, batch_size=4, **options)
    ours = []
    for epoch in (3, 4):
        records.set_epoch(epoch)
        count = len(loader)
        got = list(loader)
        assert len(got) == count
        ours += got
    for one, right in zip(ours, batches, strict=True):
        same(one, right)


def test_an_epoch_started_in_the_middle_starts_there_again(whole: Path) -> None:
    records = read_torch.dataset(whole, crop=CROP)
    order = read_torch.Order(records, start=5)
    records.set_epoch(7)
    first = list(order)
    order.set_epoch(8)
    assert (len(order), len(list(order))) == (13, 13)
    order.set_epoch(7)
    assert list(order) == first
    assert len(order) == len(first) == 8


def test_an_order_has_the_epoch_of_its_dataset(whole: Path) -> None:
    records = read_torch.dataset(whole, crop=CROP)
    order = read_torch.Order(records)
    before = list(order)
    order.set_epoch(1)
    assert records.epoch == 1
    assert sorted(order) == sorted(before) == list(range(13))
    assert list(order) != before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 14}, "start: found 14, expected at most 13 records"),
        ({"start": -1}, "start: found -1, expected 0 or more"),
        ({"shard": (3, 3)}, r"shard: found \(3, 3\), expected \(i, n\) with i below n"),
    ],
)
def test_orders_out_of_range_are_refused(
    whole: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        read_torch.Order(read_torch.dataset(whole, crop=CROP), **options)


def test_an_order_of_something_else_is_refused(whole: Path) -> None:
    with pytest.raises(UsageError, match=r"found list, expected what read_torch\.dataset returns"):
        read_torch.Order([1, 2])


@pytest.mark.parametrize("shuffle", [True, 1000])
def test_the_error_for_shuffle_names_the_order(whole: Path, shuffle: Any) -> None:
    with pytest.raises(UsageError) as raised:
        read_torch.dataset(whole, crop=CROP, shuffle=shuffle)
    assert str(raised.value) == (
        f"shuffle: found {shuffle}, expected False: a DataLoader shuffles by its sampler, "
        "sampler=read_torch.Order(dataset)"
    )


def test_torchs_distributed_sampler_works(whole: Path) -> None:
    records = read_torch.dataset(whole, crop=CROP, dtype="uint8")
    seen = []
    for rank in range(2):
        sampler = torch_data.DistributedSampler(records, num_replicas=2, rank=rank, drop_last=True)
        sampler.set_epoch(1)
        loader = torch_data.DataLoader(records, batch_size=2, sampler=sampler)
        images = torch.cat([image for image, _ in loader])
        right = [records[index][0] for index in sampler]
        assert torch.equal(images, torch.stack(right))
        seen += list(sampler)
    assert len(set(seen)) == 12


def test_compressed_shards_are_refused(whole: Path, tmp_path: Path) -> None:
    write(whole.parent / "images", tmp_path / "gz", Options(compression="gzip", jobs=1))
    with pytest.raises(UsageError, match=r"found compressed shards in .*, expected plain ones"):
        read_torch.dataset(tmp_path / "gz", crop=CROP)


def test_images_cannot_be_skipped(whole: Path) -> None:
    with pytest.raises(UsageError, match="small: found 'skip', expected 'fail' or 'pad'"):
        read_torch.dataset(whole, crop=50, small="skip")  # type: ignore[arg-type]


def test_damage_names_file_and_offset(whole: Path, tmp_path: Path) -> None:
    write(whole.parent / "images", tmp_path / "out", Options(jobs=1))
    shard = next((tmp_path / "out").glob("*.tfrecord"))
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    records = read_torch.dataset(tmp_path / "out", crop=CROP)
    assert records[11]
    with pytest.raises(DataError, match=r"train-00000-of-00001.tfrecord: at byte \d+"):
        records[12]


def test_no_file_stays_open(whole: Path) -> None:
    records = read_torch.dataset(whole, crop=CROP)
    before = set(os.listdir("/proc/self/fd"))
    assert records[0]
    assert len(list(torch_data.DataLoader(records, batch_size=4))) == 4
    assert len(os.listdir("/proc/self/fd")) <= len(before)


EPOCHS = """
import json, sys
import torch
from torch.utils.data import DataLoader
from tfrec_cli import read_torch

class Shift:
    def __call__(self, image):
        return image.flip(-1)

def main():
    path, start, persistent, early = json.loads(sys.argv[1])
    records = read_torch.dataset(path, crop=33, seed=7, transform=Shift())
    order = read_torch.Order(records)
    loader = DataLoader(
        records, 2, sampler=order, num_workers=2, multiprocessing_context=start,
        persistent_workers=persistent,
    )
    wrong = []
    for epoch in (0, 3, 1):
        records.set_epoch(epoch)
        if early:
            next(iter(loader))  # abandoned while workers read ahead
            records.set_epoch(epoch := epoch + 4)
        images = torch.cat([image for image, _ in loader])
        right = torch.stack([records[index][0] for index in order])
        if not torch.equal(images, right):
            wrong.append(epoch)
    print(json.dumps([wrong, "tensorflow" in sys.modules]))

if __name__ == "__main__":
    main()
"""


def run(program: str, folder: Path, *words: str) -> Any:
    """Run a program in its own process, with warnings as errors, and return what it prints.

    PyTorch forks and spawns there, since that process has no threads of TensorFlow.
    """
    (folder / "program.py").write_text(program)
    ran = subprocess.run(
        [sys.executable, "-W", "error", str(folder / "program.py"), *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        check=True,
        timeout=120,
    )
    return json.loads(ran.stdout)


@pytest.mark.parametrize(("persistent", "early"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_the_epoch_reaches_workers(
    whole: Path, tmp_path: Path, start: str, persistent: bool, early: bool
) -> None:
    words = json.dumps([str(whole), start, persistent, early])
    assert run(EPOCHS, tmp_path, words) == [[], False]


def test_damage_found_by_a_worker_is_raised(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(whole.parent / "images", out, Options(jobs=1))
    shard = next(out.glob("*.tfrecord"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    program = """
import json, sys
from torch.utils.data import DataLoader
from tfrec_cli import errors, read_torch
loader = DataLoader(read_torch.dataset(sys.argv[1], crop=33), 4, num_workers=1)
try:
    list(loader)
except errors.DataError as error:
    print(json.dumps(str(error)))
"""
    assert "train-00000-of-00001.tfrecord: at byte" in run(program, tmp_path, str(out))


def test_without_torch_the_extra_is_named(tmp_path: Path) -> None:
    program = """
import json, sys
sys.modules["torch"] = None
from tfrec_cli.errors import RunError
try:
    import tfrec_cli.read_torch
except ImportError as error:
    print(json.dumps([str(error), isinstance(error, RunError), error.exit_code]))
"""
    said = run(program, tmp_path)
    assert said == ["PyTorch is not installed: pip install 'tfrec-cli[torch]'", True, 3]


def everywhere(*words: str) -> tuple[int, list[list[str]]]:
    """Run `same_everywhere`, and return its exit code and the words of its lines."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.contract.same_everywhere", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=250,
    )
    return ran.returncode, [line.split() for line in ran.stdout.splitlines()]


@needs("tensorflow")
@pytest.mark.promise("P2")
def test_every_framework_gives_the_same_three_epochs(tmp_path: Path) -> None:
    write(ROOT / "sample_data/images", tmp_path / "out", Options(shards=2, jobs=1))
    options = ["--crop", "96", "--batch-size", "7", "--only", *CONFIGURATIONS]
    code, lines = everywhere(str(tmp_path / "out"), *options)
    assert [name for name, *_ in lines] == CONFIGURATIONS
    assert len({digest for _, digest in lines}) == 1
    assert code == 0


def test_a_digest_covers_values_sizes_types_and_order() -> None:
    one, two = np.zeros((2, 4, 5, 3), np.float32), np.ones((2, 4, 5, 3), np.float32)
    labels = np.array([1, 2])
    different: list[list[Any]] = [
        [(one, labels), (two, labels)],
        [(two, labels), (one, labels)],
        [(one, labels), (two, labels[::-1])],
        [(one, labels), (two.astype(np.uint8), labels)],
        [(one, labels), (two.reshape(2, 5, 4, 3), labels)],
    ]
    assert len({same_everywhere.digest(iter(batches)) for batches in different}) == 5


def test_the_proof_reads_images_without_labels(tmp_path: Path) -> None:
    pictures = {f"{seed}.png": png(photo(30, 31, seed)) for seed in range(5)}
    write(fill(tmp_path / "src", pictures), tmp_path / "out", Options(jobs=1))
    options = ["--crop", "20", "--only", "numpy-1", "source", "torch-0"]
    code, lines = everywhere(str(tmp_path / "out"), *options)
    assert (code, len(lines), len({digest for _, digest in lines})) == (0, 3, 1)


def test_the_proof_fails_if_a_reader_does(tmp_path: Path) -> None:
    write(
        ROOT / "sample_data/images",
        tmp_path / "gz",
        Options(shards=1, jobs=1, compression="gzip"),
    )
    code, lines = everywhere(str(tmp_path / "gz"), "--crop", "96", "--only", "torch-0")
    assert code == 1
    assert lines[0][1] == "failed:"


def test_whole_images_of_different_sizes_need_another_batch(whole: Path) -> None:
    """The docs have PyTorch's message, which tells nothing of crops."""
    records = read_torch.dataset(whole)
    message = "stack expects each tensor to be equal size"
    with pytest.raises(RuntimeError, match=message):
        list(torch_data.DataLoader(records, batch_size=4))
    for page in ("docs/reading/pytorch.md", "docs/troubleshooting.md"):
        assert f"`{message}`" in (ROOT / page).read_text()
    assert len(list(torch_data.DataLoader(records, batch_size=None))) == 13
    loader = torch_data.DataLoader(records, batch_size=4, collate_fn=list)
    assert [len(batch) for batch in loader] == [4, 4, 4, 1]
