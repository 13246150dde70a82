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
    after = list(order)
    assert sorted(after) == sorted(before) == list(range(13))
    assert after != before


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
        right = torch.stack([records[index][0] for index in read_torch.Order(records)])
        if not torch.equal(images, right):
            wrong.append(epoch)
    print(json.dumps([wrong, "tensorflow" in sys.modules]))

if __name__ == "__main__":
    main()
"""


def run(program: str, folder: Path, *words: str, errors: Path | None = None) -> Any:
    """Run a program in its own process, with warnings as errors, and return what it prints.

    PyTorch forks and spawns there, since that process has no threads of TensorFlow.

    Args:
        errors: the file that gets what it writes to stderr.
    """
    (folder / "program.py").write_text(program)
    with open(errors or os.devnull, "w") as stderr:
        ran = subprocess.run(
            [sys.executable, "-W", "error", str(folder / "program.py"), *words],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=stderr if errors else None,
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


def test_the_proof_asks_for_a_crop_of_whole_images(
    whole: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["same_everywhere", str(whole)])
    with pytest.raises(SystemExit, match="2"):
        same_everywhere.main()
    assert capsys.readouterr().err == f"{whole} holds whole images: give --crop N\n"


def test_whole_images_of_different_sizes_need_another_batch(whole: Path) -> None:
    """The docs have PyTorch's message, which tells nothing of crops."""
    records = read_torch.dataset(whole)
    messages = ["stack expects each tensor to be equal size"]
    with pytest.raises(RuntimeError, match=messages[0]):
        list(torch_data.DataLoader(records, batch_size=4))
    messages.append("Trying to resize storage that is not resizable")
    with pytest.raises(RuntimeError, match="|".join(messages)):  # it depends on the first batch
        list(torch_data.DataLoader(records, batch_size=4, num_workers=1))
    for page in ("docs/reading/pytorch.md", "docs/troubleshooting.md"):
        text = (ROOT / page).read_text()
        assert [message for message in messages if f"`{message}`" not in text] == []
    assert len(list(torch_data.DataLoader(records, batch_size=None))) == 13
    loader = torch_data.DataLoader(records, batch_size=4, collate_fn=list)
    assert [len(batch) for batch in loader] == [4, 4, 4, 1]


def plain(state: dict[str, Any]) -> tuple[int, int]:
    return state["epoch"], state["position"]


def reopened(whole: Path, **options: Any) -> tuple[Any, Any]:
    """Open the dataset anew, as another process does, with an order."""
    records = read_torch.dataset(whole, crop=CROP, seed=42)
    return records, read_torch.Order(records, **options)


def test_numbers_carry_the_epoch_in_which_they_are_read(whole: Path) -> None:
    records, order = reopened(whole)
    records.set_epoch(3)
    numbers = list(order)
    expected = [records[int(number)] for number in numbers]
    records.set_epoch(5)
    numbers = pickle.loads(pickle.dumps(numbers))
    assert sorted(numbers) == list(range(13))
    assert {number.epoch for number in numbers} == {3}
    for (image, _), (right, _) in zip(records.__getitems__(numbers), expected, strict=True):
        assert torch.equal(image, right)
    assert torch.equal(records[numbers[0]][0], expected[0][0])
    assert not torch.equal(records[int(numbers[0])][0], expected[0][0])


def test_numbers_of_several_epochs_keep_their_order(whole: Path) -> None:
    records, order = reopened(whole)
    numbers = []
    for epoch in (1, 2):
        records.set_epoch(epoch)
        numbers += list(order)[:2]
    mixed = [numbers[0], 7, numbers[2], numbers[1]]
    read = records.__getitems__(mixed)
    for (image, _), number, epoch in zip(read, mixed, (1, 2, 2, 1), strict=True):
        records.set_epoch(epoch)
        assert torch.equal(image, records[int(number)][0])


def test_an_iteration_has_one_epoch(whole: Path) -> None:
    records, order = reopened(whole)
    iterator = iter(order)
    first = next(iterator)
    records.set_epoch(1)
    with pytest.warns(UserWarning, match="epoch 1 was set while epoch 0 is read, which goes on"):
        rest = list(iterator)
    assert {number.epoch for number in (first, *rest)} == {0}
    assert sorted([first, *rest]) == list(range(13))


@pytest.mark.parametrize("shuffle", [False, True, "blocks"])
@pytest.mark.parametrize("read", [0, 1, 5, 12])
def test_an_order_goes_on_at_its_state(whole: Path, shuffle: Any, read: int) -> None:
    records, order = reopened(whole, shuffle=shuffle)
    records.set_epoch(2)
    iterator = iter(order)
    for _ in range(read):
        next(iterator)
    state = json.loads(json.dumps(order.state_dict()))
    assert plain(state) == (2, read)
    assert iterator.state_dict() == state
    rest = list(iterator)
    records, order = reopened(whole, shuffle=shuffle)
    order.load_state_dict(state)
    assert (records.epoch, order.state_dict()) == (2, state)
    again = list(order)
    assert (again, {number.epoch for number in again}) == (rest, {2})
    assert len(order) == 13
    records.set_epoch(3)
    assert len(list(order)) == 13


def test_the_state_at_an_end_is_the_next_epoch(whole: Path) -> None:
    records, order = reopened(whole)
    assert len(list(order)) == 13
    assert (records.epoch, plain(order.state_dict())) == (0, (1, 0))
    other, resumed = reopened(whole)
    resumed.load_state_dict(order.state_dict())
    assert other.epoch == 1
    order.set_epoch(1)
    assert list(resumed) == list(order)


def test_start_is_part_of_the_state(whole: Path) -> None:
    records, order = reopened(whole, start=5)
    assert plain(order.state_dict()) == (0, 5)
    iter(order)  # no number is taken, so this is not the first epoch
    records.set_epoch(4)
    iterator = iter(order)
    next(iterator)
    assert plain(order.state_dict()) == (4, 6)
    assert len(list(iterator)) == 7
    assert len(list(order)) == 8  # without a warning, as no epoch was complete
    _, other = reopened(whole, start=5)
    other.load_state_dict({**order.state_dict(), "epoch": 4, "position": 11})
    assert len(list(other)) == 2


@pytest.mark.parametrize("even", ["drop", "repeat"])
def test_other_processes_go_on_at_a_state(whole: Path, even: Any) -> None:
    """Two processes read 4 records each; three go on."""
    states = []
    for process in range(2):
        _, order = reopened(whole, shard=(process, 2), even=even)
        iterator = iter(order)
        for _ in range(4):
            next(iterator)
        states.append(iterator.state_dict())
    assert states[0] == states[1]
    _, one = reopened(whole)
    rest = []
    for process in range(3):
        _, order = reopened(whole, shard=(process, 3), even=even)
        order.load_state_dict(states[0])
        rest += order
    every = list(one)
    wanted = every[8:12] if even == "drop" else every[8:] + every[:2]
    assert sorted(rest) == sorted(wanted)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"records": 12}, "found records 12, expected 13: it is the state of another order"),
        ({"seed": 1}, "found seed 1, expected 42: it is"),
        ({"order_seed": 7}, "found order_seed 7, expected 42: it is"),
        ({"shuffle": "blocks"}, "found shuffle 'blocks', expected True: it is"),
        ({"even": "drop"}, "found even 'drop', expected None: it is"),
        ({"epoch": -1}, "epoch: found -1"),
        ({"position": "1"}, "position: found '1'"),
    ],
)
def test_the_state_of_another_order_is_refused(
    whole: Path, change: dict[str, Any], message: str
) -> None:
    records, order = reopened(whole)
    state = order.state_dict()
    with pytest.raises(UsageError, match=message):
        order.load_state_dict({**state, **change})
    assert (records.epoch, order.state_dict()) == (0, state)


def test_something_else_than_a_state_is_refused(whole: Path) -> None:
    _, order = reopened(whole)
    message = r"state_dict: found \{'yielded': 3\}, expected what state_dict\(\) returns"
    with pytest.raises(UsageError, match=message):
        order.load_state_dict({"yielded": 3})


class Keeping:
    """Restores like loaders that keep states: sampler, then a new iteration, when a loop begins."""

    def __init__(self, order: Any, state: dict[str, Any]) -> None:
        self.order, self.state = order, state

    def __iter__(self) -> Any:
        iter(self.order)
        self.order.load_state_dict(self.state)
        iterator = iter(self.order)
        iterator.load_state_dict(self.state)
        return iterator


@pytest.mark.parametrize(
    ("position", "asked", "is_trainer", "epoch", "count"),
    [
        ((2, 5), None, False, 2, 8),  # nobody sets an epoch: the state does
        ((2, 5), 2, False, 2, 8),
        ((2, 5), 3, False, 3, 13),
        ((2, 5), 3, True, 3, 13),  # Lightning, with a last batch that is left out
        ((2, 0), 1, False, 1, 0),  # the state is the end of this epoch
        ((2, 0), 1, True, 2, 13),  # Lightning goes on with the next
        ((2, 5), 0, True, 2, 8),  # Accelerate counts from 0 again
    ],
)
def test_an_epoch_that_is_set_for_a_loaded_iteration(
    whole: Path, position: tuple[int, int], asked: Any, is_trainer: bool, epoch: int, count: int
) -> None:
    records, order = reopened(whole)
    state = dict(order.state_dict(), epoch=position[0], position=position[1])
    if asked is not None:
        (order if is_trainer else records).set_epoch(asked)
    numbers = list(Keeping(order, state))
    assert (records.epoch, len(numbers)) == (epoch, count)
    assert {number.epoch for number in numbers} <= {epoch}
    records.set_epoch(epoch + 1)
    assert {number.epoch for number in order} == {epoch + 1}


def test_an_epoch_that_was_iterated_does_not_count_for_a_loaded_iteration(whole: Path) -> None:
    records, order = reopened(whole)
    records.set_epoch(5)
    list(order)
    assert len(list(Keeping(order, dict(order.state_dict(), epoch=2, position=5)))) == 8
    assert records.epoch == 2


def test_an_epoch_before_that_of_a_loaded_iteration_is_refused(whole: Path) -> None:
    records, order = reopened(whole)
    records.set_epoch(0)
    message = r"found set_epoch\(0\) before a state of epoch 2 was loaded, expected set_epoch\(2\)"
    with pytest.raises(UsageError, match=message):
        list(Keeping(order, dict(order.state_dict(), epoch=2)))


def test_an_epoch_that_is_drawn_and_read_again_warns_once(whole: Path) -> None:
    _, order = reopened(whole)
    next(iter(order))  # a look at the first is no epoch
    list(order)
    with pytest.warns(UserWarning, match="epoch 0 is read again, with the same order and crops"):
        list(order)
    list(order)
    plain_order = read_torch.Order(read_torch.dataset(whole, crop_mode="center"), shuffle=False)
    list(plain_order)
    list(plain_order)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_sampler_that_shuffles_without_set_epoch_warns_once(
    whole: Path, tmp_path: Path, workers: int
) -> None:
    program = f"""
import json, sys, warnings
from torch.utils.data import DataLoader
from tfrec_cli import read_torch
warnings.simplefilter("always")
records = read_torch.dataset(sys.argv[1], crop=33)
loader = DataLoader(records, 4, shuffle=True, num_workers={workers})
for _ in range(4):
    for batch in loader:
        pass
print(json.dumps(None))
"""
    assert run(program, tmp_path, str(whole), errors=tmp_path / "stderr") is None
    assert (tmp_path / "stderr").read_text().count(
        "epoch 0 is read again, with the same crops: expected"
    ) == 1


@pytest.mark.parametrize(
    "options", [{"crop": CROP, "crop_mode": "center"}, {"crop": CROP, "epoch": 0}]
)
def test_nothing_warns_where_nothing_is_drawn_or_the_epoch_is_set(
    whole: Path, options: dict[str, Any]
) -> None:
    records = read_torch.dataset(whole, **options)
    if "epoch" in options:
        records.set_epoch(0)
    for _ in range(3):
        list(torch_data.DataLoader(records, batch_size=4, shuffle=True))


GLOO = """
import json, sys
from pathlib import Path
import torch
from torch import distributed
from torch.utils.data import DataLoader
from tfrec_cli import read_torch

def train(process, path, folder, even):
    store = f"file://{folder}/{even}"
    distributed.init_process_group("gloo", init_method=store, rank=process, world_size=2)
    records = read_torch.dataset(path, crop=8, dtype="uint8", features=["filename"])
    order = read_torch.Order(records, shard=(process, 2), even=even)
    loader = DataLoader(records, 10, sampler=order, collate_fn=list)
    steps = 0
    for epoch in range(2):
        records.set_epoch(epoch)
        for batch in loader:
            total = torch.tensor(len(batch))
            distributed.all_reduce(total)
            assert int(total) == 2 * len(batch)
            steps += 1
    distributed.destroy_process_group()
    Path(folder, f"{even}-{process}").write_text(str(steps))

if __name__ == "__main__":
    path, folder = sys.argv[1:]
    for even in ("drop", "repeat"):
        torch.multiprocessing.spawn(train, (path, folder, even), nprocs=2)
    print(json.dumps({file.name: int(file.read_text()) for file in Path(folder).glob("*-?")}))
"""


@pytest.mark.slow
def test_two_processes_that_wait_for_each_other_end(odd: Path, tmp_path: Path) -> None:
    """20 or 21 records each in batches of 10; without `even`, one process waits for ever."""
    assert run(GLOO, tmp_path, str(odd), str(tmp_path)) == {
        "drop-0": 4, "drop-1": 4, "repeat-0": 6, "repeat-1": 6
    }  # fmt: skip
