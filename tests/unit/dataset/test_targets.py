"""The file of a split's labels: its bytes, mapped by NumPy, and the labels of its records."""

from __future__ import annotations

import dataclasses
import io
import sys
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import class_files, fill, jpeg, photo

from tfrec_cli.commands.reshard import Options as ReshardOptions
from tfrec_cli.commands.reshard import reshard
from tfrec_cli.commands.write import write
from tfrec_cli.dataset import discover, manifest, records, targets
from tfrec_cli.dataset.discover import Split
from tfrec_cli.errors import DataError
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.record import frame
from tfrec_cli.writing.options import WriteOptions

NAMES = records.NAMES["plain"]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return the path of a folder that does not exist yet."""
    return tmp_path / "out"


def run(folder: Path, out: Path, **options: Any) -> Split:
    """Write a folder, and return its split."""
    write(folder, out, WriteOptions(jobs=1, **options))
    return discover.split(out, "train")


def stored_in(split: Split) -> list[int | None]:
    """Return the label of each record as it is in the shards."""
    names = records.NAMES[split.manifest.keys if split.manifest else "plain"]
    return [
        records.decode(example.decode(payload), names).label for payload in discover.payloads(split)
    ]


@pytest.mark.parametrize("count", [0, 1, 9, 12345])
def test_the_bytes_are_those_that_numpy_writes(tmp_path: Path, count: int) -> None:
    labels = array("q", [number * 7919 % 999_999 for number in range(count)])
    expected = io.BytesIO()
    np.lib.format.write_array(expected, np.array(labels, "<i8"), (1, 0))
    data = b"".join(targets.pieces(labels))
    assert data == expected.getvalue()
    (tmp_path / "x").write_bytes(data)
    assert targets.stored(tmp_path / "x", count) == labels


def test_a_machine_with_the_other_order_of_bytes_writes_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = array("q", [1, 2, 999_999])
    expected = b"".join(targets.pieces(labels))
    monkeypatch.setattr(sys, "byteorder", {"little": "big", "big": "little"}[sys.byteorder])
    theirs = labels[:]
    theirs.byteswap()
    assert b"".join(targets.pieces(theirs)) == expected
    (tmp_path / "x").write_bytes(expected)
    assert targets.stored(tmp_path / "x", 3) == theirs


@pytest.mark.parametrize(
    "options",
    [
        {"shards": 3},
        {"shuffle_seed": None},
        {"crop": (32, 32)},
        {"compression": "gzip", "shards": 2},
        {"keys": "tf-models"},
        {"crop": (50, 50), "small": "skip", "shards": 2},
    ],
    ids=str,
)
def test_any_program_maps_the_labels_of_all_records(
    folder: Path, out: Path, options: dict[str, Any]
) -> None:
    split = run(folder, out, **options)
    mapped = np.load(out / "train.targets", mmap_mode="r")
    assert (mapped.dtype, mapped.tolist()) == (np.int64, stored_in(split))
    names = records.NAMES[split.manifest.keys if split.manifest else "plain"]
    assert targets.read(split, names).tolist() == mapped.tolist()


def test_labels_of_images_that_are_left_out_while_writing_are_left_out(
    folder: Path, out: Path
) -> None:
    """They are planned, since their headers are good, and have no record."""
    data = jpeg(photo(64, 64, 5))
    broken = data[:200] + bytes(len(data) - 202) + data[-2:]
    fill(folder, {f"{name}/broken.jpg": broken for name in ("cats", "dogs", "owls")})
    split = run(folder, out, shards=4, on_error="skip", crop=(16, 16), small="skip")
    assert split.manifest is not None
    assert sum(split.manifest.rejects.values()) > 2
    assert np.load(out / "train.targets").tolist() == stored_in(split)


def test_each_split_has_its_own_labels(folder: Path, out: Path) -> None:
    run(folder, out, split="train=0.6,val=0.4")
    for split in discover.splits(out):
        assert np.load(out / f"{split.name}.targets").tolist() == stored_in(split)


def test_first_labels_are_those_of_the_records(folder: Path, out: Path) -> None:
    split = run(folder, out, first_label=1)
    assert set(np.load(out / "train.targets").tolist()) == {1, 2, 3} == set(stored_in(split))


def test_without_labels_there_is_no_file(folder: Path, out: Path) -> None:
    run(folder, out)
    split = run(folder, out, labels="none", overwrite=True)
    assert not (out / "train.targets").exists()
    assert targets.load(split) is None
    with pytest.raises(DataError, match=f"{out}: found records without labels, expected one in"):
        targets.read(split, NAMES._replace(label=None))
    with pytest.raises(DataError, match=r"\.tfrecord: record 0: found no label, expected one num"):
        targets.read(split, NAMES)


class TestLoad:
    def test_labels_are_mapped_and_cannot_be_changed(self, folder: Path, out: Path) -> None:
        split = run(folder, out)
        found = targets.load(split)
        assert found is not None
        assert (found.dtype, found.tolist()) == (np.int64, stored_in(split))
        assert isinstance(found.base, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            found[0] = 1

    def test_a_split_of_no_records_has_no_labels(self, folder: Path, out: Path) -> None:
        split = run(folder, out)
        assert split.manifest is not None
        (out / "train.targets").write_bytes(b"".join(targets.pieces(array("q"))))
        empty = split._replace(manifest=dataclasses.replace(split.manifest, records=0))
        found = targets.load(empty)
        assert found is not None
        assert found.shape == (0,)

    def test_records_of_other_programs_have_no_file(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(frame(example.encode({"image": b"x", "label": 3})))
        (split,) = discover.splits(tmp_path)
        assert targets.load(split) is None
        assert targets.read(split, NAMES).tolist() == [3]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda _: None, "this file of the dataset is missing"),
            (lambda data: data[:-8], "found 224 bytes that are no whole list of labels, expected"),
            (lambda data: data[:-1], "found 231 bytes that are no whole list"),
            (lambda data: data[:100], "found 100 bytes that are no whole list"),
            (lambda _: b"", "found 0 bytes that are no whole list"),
            (lambda data: data.replace(b"<i8", b"<f8"), "found 232 bytes that are no whole list"),
            (lambda _: b"".join(targets.pieces(array("q", [1]))), "found 1 label, expected 13 by"),
        ],
        ids=["missing", "label", "byte", "head", "empty", "kind", "number"],
    )
    def test_another_file_is_refused(
        self, folder: Path, out: Path, change: Any, message: str
    ) -> None:
        split = run(folder, out)
        path = out / "train.targets"
        data = change(path.read_bytes())
        path.unlink()
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(DataError, match=f"{path}: {message}"):
            targets.load(split)


class TestRead:
    def test_the_number_of_records_is_that_of_the_manifest(self, folder: Path, out: Path) -> None:
        split = run(folder, out, shards=2)
        path = split.shards[1]
        path.write_bytes(split.shards[0].read_bytes() + path.read_bytes())
        with pytest.raises(DataError, match=f"{path}: found 13 records, expected 7 by the manif"):
            targets.read(split, NAMES)

    def test_damage_is_named(self, folder: Path, out: Path) -> None:
        split = run(folder, out)
        path = split.shards[0]
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(DataError, match=f"{path}: truncated: record 12"):
            targets.read(split, NAMES)

    @pytest.mark.parametrize(
        ("payload", "message"),
        [
            (example.encode({"image": b"x", "label": b"3"}), "found no label, expected one number"),
            (example.encode({"image": b"x", "label": [1, 2]}), "found no label, expected one"),
            (b"no Example", "the payload is not a tf.train.Example"),
        ],
        ids=["text", "two", "other"],
    )
    def test_a_record_without_one_label_is_named(
        self, tmp_path: Path, payload: bytes, message: str
    ) -> None:
        good = example.encode({"image": b"x", "label": 3})
        (tmp_path / "a").write_bytes(frame(good) + frame(payload))
        (split,) = discover.splits(tmp_path)
        with pytest.raises(DataError, match=f"{tmp_path / 'a'}: record 1: {message}"):
            targets.read(split, NAMES)


def test_copies_of_an_older_dataset_have_the_file(folder: Path, out: Path) -> None:
    """Also if only some of its records are copied."""
    split = run(folder, out)
    assert split.manifest is not None
    older = dataclasses.replace(split.manifest, targets=None)
    (out / "train.manifest.json").write_bytes(manifest.dump(older))
    (out / "train.targets").unlink()
    for name, options in (
        ("all", ReshardOptions(shards=3, jobs=1)),
        ("some", ReshardOptions(where=("label=cats,owls",), limit=4, jobs=1)),
    ):
        reshard(out, out.with_name(name), options)
        copied = discover.split(out.with_name(name), "train")
        found = targets.load(copied)
        assert found is not None
        assert found.tolist() == stored_in(copied)


def test_a_copied_record_without_a_label_is_refused(tmp_path: Path, out: Path) -> None:
    fill(tmp_path / "src", class_files())
    split = run(tmp_path / "src", out, labels="none")
    assert split.manifest is not None
    labelled = dataclasses.replace(split.manifest, labels=("a",))
    (out / "train.manifest.json").write_bytes(manifest.dump(labelled))
    with pytest.raises(DataError, match=f"{split.shards[0]}: record 0: found no label, expected"):
        reshard(out, tmp_path / "new", ReshardOptions(shards=1, jobs=1))
