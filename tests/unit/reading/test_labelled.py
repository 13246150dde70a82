"""Class names and labels of a whole dataset, the same from every reader."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import READERS, fill, needs, photo, png, read_tf, read_torch, tf
from record_files import record_file

from tfrec_cli import read_numpy
from tfrec_cli.commands.write import write
from tfrec_cli.dataset import discover
from tfrec_cli.errors import DataError
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.example import Feature
from tfrec_cli.writing.options import WriteOptions

CLASSES = ("cat", "dog", "owl")
OPENERS = ["read_numpy.dataset", "read_numpy.source", "read_tf.dataset", "read_torch.dataset"]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a dataset of three classes with the splits train and val, of two shards each."""
    root = tmp_path_factory.mktemp("ours")
    for split, count in (("train", 3), ("val", 2)):
        files = {f"{one}/{n}.png": png(photo(4, 5, n)) for one in CLASSES for n in range(count)}
        source = fill(root / split, files)
        write(source, root / "out", WriteOptions(jobs=1, shards=2, split=split))
    return root / "out"


def record(number: int, **features: Any) -> bytes:
    return example.encode({"image": png(photo(4, 5, number)), "label": number, **features})


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make record files of another program, with labels of every kind."""
    folder = tmp_path_factory.mktemp("theirs")
    payloads = [
        record(
            number,
            text=f"t{number}".encode(),
            score=Feature("float", [number / 4]),
            codes=Feature("int64", range(number % 3)),
        )
        for number in range(7)
    ]
    record_file(folder / "train-0-of-2", *payloads[:3])
    record_file(folder / "train-1-of-2", *payloads[3:5])
    record_file(folder / "val", *payloads[5:])
    return folder


@pytest.fixture(params=OPENERS)
def opener(request: pytest.FixtureRequest) -> Any:
    module, name = request.param.split(".")
    return getattr(READERS[module], name)


def labels(opened: Any) -> list[Any]:
    """Return the labels that are read, as lists or plain values."""
    read = opened if not hasattr(opened, "__getitem__") else (opened[n] for n in range(len(opened)))
    return [plain(label) for _, label in read]


def plain(label: Any) -> Any:
    label = label.numpy() if hasattr(label, "numpy") else label
    return label.tolist() if isinstance(label, (np.ndarray, np.generic)) else label


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the names of the splits that are read from their beginning."""
    begun: list[str] = []
    read = discover.payloads

    def payloads(split: discover.Split) -> Iterator[bytes]:
        begun.append(str(split))
        return read(split)

    monkeypatch.setattr(discover, "payloads", payloads)
    return begun


# Class names


def test_class_names_are_those_of_the_dataset(ours: Path, opener: Any) -> None:
    opened = opener(ours)
    assert opened.class_names == CLASSES
    assert opened.num_classes == 3
    assert opened.class_to_idx == {"cat": 0, "dog": 1, "owl": 2}


def test_class_names_belong_to_the_label(ours: Path, theirs: Path, opener: Any) -> None:
    for opened in (opener(ours, label="window"), opener(ours, label=None), opener(theirs)):
        assert opened.class_names is None
        assert opened.num_classes is None
        assert opened.class_to_idx is None


def test_the_number_of_classes_may_be_told(theirs: Path, opener: Any) -> None:
    assert opener(theirs, one_hot=12).num_classes == 12
    opened = opener(theirs, label="text[]", multi_hot=[f"t{number}" for number in range(9)])
    assert (opened.num_classes, opened.class_names[8]) == (9, "t8")
    assert opened.class_to_idx["t3"] == 3


# Labels


@pytest.mark.parametrize(
    "split", ["train", "val", "train+val", "val[1:]+train[:50%]", "train[-2:]"]
)
def test_targets_are_the_labels_that_are_read(
    ours: Path, theirs: Path, opener: Any, split: str
) -> None:
    for path in (ours, theirs):
        opened = opener(path, split=split)
        assert opened.targets.dtype == np.int64
        assert opened.targets.tolist() == labels(opened)
        hot = opener(path, split=split, one_hot=7)
        assert hot.targets.tolist() == opened.targets.tolist()


@pytest.mark.parametrize("label", ["score", "text", "codes", "label[]"])
def test_targets_may_be_of_any_kind(theirs: Path, opener: Any, label: str) -> None:
    for split in ("train", "val[:1]+train[1:3]"):
        opened = opener(theirs, label=label, split=split)
        found = opened.targets
        assert isinstance(found, list) == (label in ("codes", "label[]"))
        assert [plain(one) for one in found] == labels(opened)


def test_targets_of_our_datasets_need_no_shard(ours: Path, opener: Any, tmp_path: Path) -> None:
    copy = fill(tmp_path / "copy", {file.name: file.read_bytes() for file in ours.iterdir()})
    opened = opener(copy, split="train+val[1:]")
    expected = labels(opened)
    for file in (*copy.glob("*.tfrecord"), *copy.glob("*.tfindex")):
        file.unlink()
    assert opened.targets.tolist() == expected


def test_targets_of_other_files_are_read_once(theirs: Path, opener: Any, passes: list[str]) -> None:
    opened = opener(theirs, split="train+val", label="text")
    assert passes == []
    first = opened.targets
    assert (len(first), first[0]) == (7, b"t0")
    assert opened.targets.tolist() == first.tolist()
    assert passes == ["train", "val"]


def test_texts_are_kept_without_their_records(theirs: Path) -> None:
    found = read_numpy.dataset(theirs, label="text").targets
    assert {type(text) for text in found} == {bytes}


def test_another_label_of_our_datasets_is_read_once(
    ours: Path, opener: Any, passes: list[str]
) -> None:
    opened = opener(ours, label="width")
    assert opened.targets.tolist() == [5] * 9 == opened.targets.tolist()
    assert passes == ["train"]


def test_a_dataset_of_an_earlier_version_is_read_once(ours: Path, passes: list[str]) -> None:
    split = discover.split(ours, "train")
    assert split.manifest is not None
    older = split._replace(manifest=replace(split.manifest, targets=None))
    opened = read_numpy.dataset(older)
    assert opened.targets.tolist() == labels(read_numpy.dataset(ours))
    assert passes == ["train"]


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize(
    "opener", [name for name in OPENERS if name not in ("read_tf.dataset",)], indirect=True
)
def test_targets_are_there_after_pickling(
    ours: Path, theirs: Path, opener: Any, used: bool, passes: list[str]
) -> None:
    for path in (ours, theirs):
        opened = opener(path, split="val+train[1:]")
        expected = opened.targets.tolist() if used else opener(path, split="val+train[1:]").targets
        begun = len(passes)
        copy = pickle.loads(pickle.dumps(opened))
        assert copy.targets.tolist() == list(expected)
        assert copy.class_names == opened.class_names
        assert len(passes) - begun == (0 if used or path == ours else 2)


def test_without_labels_there_are_no_targets(ours: Path, opener: Any) -> None:
    opened = opener(ours, label=None)
    assert not hasattr(opened, "targets")
    with pytest.raises(AttributeError, match=f"{ours}, split train: there are no labels"):
        _ = opened.targets


def test_a_failed_pass_fails_again(theirs: Path, opener: Any, tmp_path: Path) -> None:
    files = {file.name: file.read_bytes() for file in theirs.iterdir()}
    copy = fill(tmp_path / "copy", files)
    opened = opener(copy, split="train+val")
    (copy / "val").write_bytes(files["val"][:-1])
    for _ in range(2):
        with pytest.raises(DataError, match=f"{copy / 'val'}: truncated: record 1 at byte"):
            _ = opened.targets
    record_file(copy / "val", record(0), example.encode({"label": b"cat"}))
    with pytest.raises(DataError, match=f"{copy}: record 1: found feature 'label' of another kind"):
        _ = opened.targets


def test_a_source_of_several_epochs_has_each_label_once(ours: Path) -> None:
    source = read_numpy.source(ours, epochs=3)
    assert (len(source), len(source.targets)) == (27, 9)


@needs("tensorflow")
def test_a_dataset_of_tensorflow_stays_one(ours: Path) -> None:
    opened = read_tf.dataset(ours, crop=4, batch_size=4)
    assert isinstance(opened, tf.data.Dataset)
    assert int(opened.cardinality()) == 3
    doubled = opened.map(lambda image, label: (image, label * 2)).take(2)
    assert [label.numpy().tolist() for _, label in doubled] == [
        (opened.targets[:4] * 2).tolist(),
        (opened.targets[4:8] * 2).tolist(),
    ]
    total = tf.function(lambda batches: batches.reduce(0, lambda count, _: count + 1))
    assert int(total(opened)) == 3


@needs("torch")
def test_slices_are_lists_of_samples(ours: Path) -> None:
    for opened in (read_torch.dataset(ours), read_numpy.source(ours)):
        some = opened[1:7:2]
        assert [label for _, label in some] == opened.targets[1:7:2].tolist()
        assert [label for _, label in opened[-2:]] == opened.targets[-2:].tolist()
        assert opened[9:] == []
        picked = opened.__getitems__([3, -1, 3])
        assert [label for _, label in picked] == opened.targets[[3, -1, 3]].tolist()
