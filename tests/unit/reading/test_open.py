"""Splits opened for reading: what every reader refuses, and samples by number."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import READERS, ROOT, fill, jpeg, needs, photo, png

from tfrec_cli.commands.write import write
from tfrec_cli.dataset import records
from tfrec_cli.dataset.records import ImageRecord
from tfrec_cli.errors import DataError, UsageError
from tfrec_cli.reading.open import OpenSplit, open_split
from tfrec_cli.reading.options import ReadOptions
from tfrec_cli.reading.order import Drawn
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.record import frame
from tfrec_cli.writing.options import WriteOptions as Options


@pytest.fixture(params=["read_tf.dataset", "read_numpy.dataset", "read_numpy.source"])
def reader(request: pytest.FixtureRequest) -> Any:
    module, function = request.param.split(".")
    return getattr(READERS[module], function)


@pytest.fixture(params=["read_tf", "read_numpy", "read_torch"])
def dataset(request: pytest.FixtureRequest) -> Any:
    return READERS[request.param].dataset


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": 0}, "crop: found 0, expected 1 or more"),
        (
            {"crop": (8, 8, 3)},
            "crop: found (8, 8, 3), expected a number of pixels or (height, width)",
        ),
        ({"seed": -1}, "seed: found -1, expected 0 to 4294967295"),
        ({"seed": 1.5}, "seed: found 1.5, expected a whole number"),
        ({"epoch": "3"}, "epoch: found '3', expected a whole number"),
        ({"epoch": 2**31}, "epoch: found 2147483648, expected 0 to 2147483647"),
        ({"brightness": 1.5}, "brightness: found 1.5, expected 0 to 1"),
        (
            {"crop_mode": "centre"},
            "crop_mode: found 'centre', expected one of random, center",
        ),
        ({"dtype": "float16"}, "dtype: found 'float16', expected one of float32, uint8, uint16"),
        ({"small": "Skip"}, "small: found 'Skip', expected one of fail, skip, pad"),
    ],
)
def test_every_reader_refuses_bad_values_with_the_same_message(
    whole: Path, dataset: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as refused:
        dataset(whole, **options)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs: found 0, expected 1 or more"),
        ({"shard": (1,)}, "shard: found (1,), expected (i, n)"),
        ({"shard": (3, 3)}, "shard: found (3, 3), expected (i, n) with i below n"),
        ({"epoch": 2**31 - 1, "epochs": 2}, "epoch: found 2147483648, expected 0 to 2147483647"),
    ],
)
def test_every_reader_of_epochs_refuses_bad_values_with_the_same_message(
    whole: Path, reader: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as refused:
        reader(whole, crop=8, **options)
    assert str(refused.value) == message


def test_every_reader_refuses_a_crop_larger_than_an_image(whole: Path, dataset: Any) -> None:
    with pytest.raises(UsageError, match="images down to 40 wide, 41 high"):
        dataset(whole, crop=42)


def test_every_reader_lists_the_splits_if_one_is_missing(whole: Path, dataset: Any) -> None:
    with pytest.raises(UsageError, match=r"found splits train in .*, expected 'test'$"):
        dataset(whole, crop=8, split="test")


@pytest.mark.parametrize(
    ("name", "ways"),
    [
        ("read_tf.dataset", "'pad', or 'skip', after which the number of batches is not known"),
        ("read_numpy.dataset", "'pad', or 'skip', after which the number of batches is not known"),
        ("read_numpy.source", "'pad'"),
        ("read_torch.dataset", "'pad'"),
    ],
)
def test_a_reader_names_only_the_ways_with_small_images_that_it_has(
    whole: Path, name: str, ways: str
) -> None:
    module, function = name.split(".")
    with pytest.raises(UsageError) as refused:
        getattr(READERS[module], function)(whole, crop=42)
    assert str(refused.value).endswith(f"expected a crop that fits them all, or small={ways}")


@pytest.mark.parametrize(
    ("name", "options", "shown"),
    [
        ("read_numpy.dataset", {}, "<tfrec dataset {}: 13 records, whole images, seed 0, epoch 0>"),
        (
            "read_numpy.dataset",
            {"crop": (8, 9), "seed": 42, "epoch": 2, "epochs": 3, "batch_size": 4},
            "<tfrec dataset {}: 13 records, crop 8x9, seed 42, epochs 2 to 4, batches of 4>",
        ),
        (
            "read_numpy.source",
            {"crop": 8, "epochs": 2},
            "<tfrec source {}: 13 records, crop 8x8, seed 0, epochs 0 to 1>",
        ),
        (
            "read_torch.dataset",
            {"crop": 8, "epoch": 1},
            "<tfrec dataset {}: 13 records, crop 8x8, seed 0, epoch 1>",
        ),
    ],
)
def test_a_dataset_is_shown_on_one_line(
    whole: Path, name: str, options: dict[str, Any], shown: str
) -> None:
    module, function = name.split(".")
    opened = getattr(READERS[module], function)(whole, **options)
    assert repr(opened) == shown.format(f"{whole}, split train")


def test_a_record_file_is_shown_by_its_name(whole: Path) -> None:
    shard = whole / "train-00000-of-00003.tfrecord"
    shown = repr(READERS["read_numpy"].dataset(shard))
    assert shown.startswith(f"<tfrec dataset {shard}: 4 records, whole images")


def samples(path: Path, **asked: Any) -> OpenSplit:
    options = ReadOptions(**{"crop": (33, 38), "seed": 42, "dtype": "uint8", **asked})
    return open_split(path, options, by_number=True)


def drawn(numbers: Sequence[int], epoch: int) -> Drawn:
    return Drawn(np.array(numbers, np.int64), np.full(len(numbers), epoch))


def test_samples_are_the_same_one_by_one_and_together(whole: Path) -> None:
    (((images,), (labels,)),) = samples(whole).read_all(drawn(range(13), 5))
    alone = [batch for number in range(13) for batch in samples(whole).read_all(drawn([number], 5))]
    assert np.array_equal(images, np.concatenate([image for (image,), _ in alone]))
    assert np.array_equal(labels, np.concatenate([label for _, (label,) in alone]))


def test_samples_of_different_sizes_come_one_by_one(whole: Path) -> None:
    batches = samples(whole, crop=None).read_all(drawn([3, 1], 0))
    shapes = [image.shape for (image,), _ in batches]
    assert [shape[0] for shape in shapes] == [1, 1]
    assert shapes[0] != shapes[1]


def test_no_numbers_give_no_samples(whole: Path) -> None:
    assert samples(whole).read_all(drawn([], 0)) == []


def test_samples_can_be_pickled(whole: Path) -> None:
    one = samples(whole)
    one.read_all(drawn([1], 0))
    ((image, label),) = pickle.loads(pickle.dumps(one)).read_all(drawn([2], 3))
    ((expected, right),) = one.read_all(drawn([2], 3))
    assert np.array_equal(image, expected)
    assert np.array_equal(label, right)


def test_samples_of_compressed_shards_are_refused(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "gz"
    write(whole.parent / "images", out, Options(compression="gzip", jobs=1))
    with pytest.raises(UsageError) as refused:
        samples(out)
    expected = f"random access: found compressed shards in {out}, expected plain ones"
    assert str(refused.value) == expected


def test_samples_cannot_be_skipped(whole: Path) -> None:
    with pytest.raises(UsageError, match="small: found 'skip', expected 'fail' or 'pad'"):
        samples(whole, small="skip")


# Reads the only record of each folder, whole and cropped. Prints the error and what stderr got.
DAMAGED = """
import importlib, json, os, sys, tempfile
reader, *folders = sys.argv[1:]
read = importlib.import_module(f"tfrec_cli.{reader}").dataset
tries = {f"{os.path.basename(folder)} {crop}": read(folder, crop=crop)
         for folder in folders for crop in (None, 60)}
found = {}
for name, samples in tries.items():
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        said = ""
        try:
            list(samples)
        except Exception as error:
            said = str(error)
        file.seek(0)
        found[name] = said, file.read().decode()
print(json.dumps(found))
"""
BASELINE = jpeg(photo(64, 64))
PROGRESSIVE = jpeg(photo(64, 64), progressive=True)
DAMAGED_JPEGS = {
    "header": BASELINE[:300],
    "data": BASELINE[:-400],
    "last scan": PROGRESSIVE[:-9],
    "stray marker": BASELINE[:-400] + b"\xff\x02\xff\xd9",
}


@pytest.mark.parametrize(
    "reader",
    [
        pytest.param("read_tf", marks=needs("tensorflow")),
        "read_numpy",
        pytest.param("read_torch", marks=needs("torch")),
    ],
)
def test_a_damaged_jpeg_is_an_error_without_output_on_stderr(tmp_path: Path, reader: str) -> None:
    """C libraries are silenced, since their lines would not name the record."""
    for name, image in DAMAGED_JPEGS.items():
        record = ImageRecord(
            image=image,
            height_px=64,
            width_px=64,
            label=0,
            key=1,
            filename=b"1.jpg",
            window=int(image.startswith(BASELINE[:300])),
        )
        shard = frame(records.encode(record, "plain"))
        fill(tmp_path, {f"{name}/train-00000-of-00001.tfrecord": shard})
    ran = subprocess.run(
        [sys.executable, "-c", DAMAGED, reader, *(tmp_path / name for name in DAMAGED_JPEGS)],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        check=True,
    )
    found = json.loads(ran.stdout)
    assert set(found) == {f"{name} {crop}" for name in DAMAGED_JPEGS for crop in (None, 60)}
    assert {name: written for name, (_, written) in found.items() if written} == {}
    assert {name: said for name, (said, _) in found.items() if "record 0: " not in said} == {}


# Files of a dataset that are missing, or cut


@pytest.fixture(params=["none", "gzip"])
def several(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Write a dataset with two splits of two shards each."""
    for split in ("train", "val"):
        files = {f"cat/{number}.png": png(photo(4, 5, number)) for number in range(4)}
        source = fill(tmp_path / split, files)
        options = Options(shards=2, jobs=1, split=split, compression=request.param)
        write(source, tmp_path / "out", options)
    return tmp_path / "out"


@pytest.mark.parametrize("split", ["train", "val+train", "train[:1]"])
@pytest.mark.parametrize("damage", ["missing", "cut", "longer", "empty"])
def test_every_shard_must_be_there_and_whole_when_a_dataset_is_opened(
    several: Path, dataset: Any, damage: str, split: str
) -> None:
    """Also those that are read last, or by other hosts, or not at all."""
    shard = next(several.glob("train-00001-*.tfrecord*"))
    data = shard.read_bytes()
    if damage == "missing":
        shard.unlink()
        message = f"{shard}: this file of the dataset is missing"
    else:
        found = {"cut": data[:-1], "longer": data + b"\0", "empty": b""}[damage]
        shard.write_bytes(found)
        sizes = f"found {len(found):,} bytes, expected {len(data):,} by the manifest"
        message = f"{shard}: {sizes}"
    with pytest.raises(DataError) as refused:
        dataset(several, split=split)
    assert str(refused.value) == message
    with pytest.raises(DataError):
        READERS["read_numpy"].source(several, split=split)
    if several.joinpath("train-00000-of-00002.tfrecord").exists():
        assert READERS["read_numpy"].dataset(several, split="val")


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize("reader", ["read_tf", "read_numpy"])
def test_a_cut_file_of_another_program_is_refused_when_it_is_opened(
    tmp_path: Path, reader: str, compress: Callable[[bytes], bytes]
) -> None:
    payload = example.encode({"image": png(photo(4, 5)), "label": 1})
    data = b"".join(map(frame, [payload] * 3))
    for cut in (data[:-1], data[: -len(payload)], data[: len(data) // 3 + 5]):
        file = tmp_path / "x"
        file.write_bytes(compress(cut))
        with pytest.raises(DataError, match=f"^{file}: "):
            READERS[reader].dataset(file)
    file.write_bytes(compress(data)[:-9])
    with pytest.raises(DataError, match=f"^{file}: "):
        READERS[reader].dataset(file)
