"""Which records of which splits are read: as in TFDS, and with the crops of the whole split."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import READERS, fill, needs, photo, png, tfds
from record_files import record_file
from yielded import WAYS, records

from tfrec_cli import read_numpy
from tfrec_cli.commands.write import write
from tfrec_cli.errors import UsageError
from tfrec_cli.reading import selection
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.example import Feature
from tfrec_cli.writing.options import WriteOptions

COUNTS = (0, 1, 3, 7, 20, 100, 150, 333)

ENDS = ["", "0", "1", "-1", "3", "-3", "20", "-20", "100", "400", "-400", "-0", "1_0"]
PERCENTS = ["0%", "1%", "10%", "33%", "50%", "99%", "100%", "-33%", "-50%", "-100%", "12.5%", "-0%"]
MORE = ["101%", "-101%", "100.5%"]


def slices() -> list[str]:
    """Return slices with both ends as numbers, or both in percent; TFDS refuses ``[:]``."""
    return [
        f"train[{start}:{stop}]"
        for ends in (ENDS, ["", *PERCENTS, *MORE])
        for start in ends
        for stop in ends
        if start or stop
    ]


def of_tfds(text: str, count: int) -> range | None:
    """Return the records that TFDS reads; None if it refuses."""
    splits = tfds.core.splits
    name = tfds.core.naming.ShardedFileTemplate(
        data_dir="/nowhere", dataset_name="x", filetype_suffix="tfrecord"
    )
    info = splits.SplitInfo(
        name="train", shard_lengths=[count], num_bytes=0, filename_template=name
    )
    try:
        (found,) = splits.AbstractSplit.from_spec(text).to_absolute({"train": info})
    except (ValueError, AssertionError):
        return None
    return range(found.from_ or 0, count if found.to is None else found.to)


def rounded_away(text: str, count: int) -> bool:
    """Tell whether a percentage from the end is no record, which TFDS takes as the beginning."""
    percents = [float(percent) for percent in re.findall(r"-(\d[\d.]*)%", text)]
    return any(percent and not round(percent * count / 100) for percent in percents)


def ours(text: str, count: int) -> range | None:
    (part,) = selection.parse(text)
    try:
        return part.numbers(count)
    except UsageError:
        return None


@needs("tensorflow_datasets")
@pytest.mark.parametrize("count", COUNTS)
def test_slices_are_those_of_tfds(count: int) -> None:
    for text in ("train", *slices()):
        if rounded_away(text, count):
            continue
        found, theirs = ours(text, count), of_tfds(text, count)
        assert (found is None) == (theirs is None), text
        if found is not None and theirs is not None:
            assert [*found] == [*theirs], text
            assert 0 <= found.start <= found.stop <= count, text


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("train", range(20)),
        ("train[:]", range(20)),
        ("train[5:]", range(5, 20)),
        ("train[:-5]", range(15)),
        ("train[-5:]", range(15, 20)),
        ("train[:10%]", range(2)),
        ("train[-10%:]", range(18, 20)),
        ("train[12.5%:37.5%]", range(2, 8)),
        ("train[5:3]", range(0)),
        ("train[0:50%]", range(10)),
    ],
)
def test_a_slice_is_a_range_of_records(text: str, numbers: range) -> None:
    (part,) = selection.parse(text)
    assert part.numbers(20) == numbers or not numbers
    assert len(part.numbers(20)) == len(numbers)


def test_no_record_is_in_both_of_two_complementary_slices() -> None:
    """Also if a percentage from the end is rounded to no record, where TFDS reads all twice."""
    for count in range(130):
        for percent in range(101):
            first, last = (
                selection.parse(f"train[{text}]")[0].numbers(count)
                for text in (f":-{percent}%", f"-{percent}%:")
            )
            if percent:
                assert [*first, *last] == [*range(count)]
            first, last = (
                selection.parse(f"train[{text}]")[0].numbers(count)
                for text in (f":{percent}%", f"{percent}%:")
            )
            assert [*first, *last] == [*range(count)]


def test_parts_are_added_up() -> None:
    found = selection.parse("train + val[:10%]+test[5:]")
    assert [str(part) for part in found] == ["train", "val[:10%]", "test[5:]"]
    assert [part.is_whole for part in found] == [True, False, False]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "train+",
        "+",
        "[5:]",
        "train[5]",
        "train[5:",
        "train[a:]",
        "train[1:2:3]",
        "train[1.5:]",
        "train[:5%%]",
        "train[:--5]",
        "train[::]",
        "train[:5][:3]",
        "train[1shard:]",
        "train[:\N{ARABIC-INDIC DIGIT THREE}]",
    ],
)
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        selection.parse(text)
    expected = "names such as train, train+val, train[:10%] or train[500:]"
    assert str(refused.value) == f"split: found {text!r}, expected {expected}"


def test_ends_of_two_kinds_are_refused() -> None:
    with pytest.raises(UsageError) as refused:
        selection.parse("train[10:50%]")
    found = "split: found train[10:50%], expected both ends in percent, or neither"
    assert str(refused.value) == found


# Readers


def payload(number: int, **features: Any) -> bytes:
    picture = png(photo(8, 9, number))
    return example.encode({"image": picture, "label": number, **features})


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make record files of two splits, whose records have no keys."""
    folder = tmp_path_factory.mktemp("theirs")
    record_file(folder / "train-0-of-2", *map(payload, range(4)))
    record_file(folder / "train-1-of-2", *map(payload, range(4, 7)))
    record_file(folder / "val.tfrecord", *map(payload, range(7, 10)))
    return folder


def folder_of_classes(root: Path, classes: str, **options: Any) -> None:
    files = {f"{one}/{n}.png": png(photo(8, 9, n)) for one in classes.split() for n in range(2)}
    source = fill(root / f"images {classes} {options.get('split')}", files)
    write(source, root / "out", WriteOptions(jobs=1, **options))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("split", "numbers"),
    [
        ("train+val", range(10)),
        ("val+train", [7, 8, 9, 0, 1, 2, 3, 4, 5, 6]),
        ("train[2:6]", range(2, 6)),
        ("train[-2:]+val[:34%]+train[:1]", [5, 6, 7, 0]),
        ("val[0:0]+train[6:]", [6]),
        ("train+train", [*range(7)] * 2),
    ],
)
def test_slices_do_not_change_the_crops_of_records_without_keys(
    theirs: Path, way: str, split: str, numbers: Any
) -> None:
    options: dict[str, Any] = {"crop": (4, 5), "seed": 3, "flip": True, "features": ["seed"]}
    whole = records(way, theirs, **options) + records(way, theirs, split="val", **options)
    assert records(way, theirs, split=split, **options) == [whole[number] for number in numbers]


@pytest.mark.parametrize("way", [way for way in WAYS if "numpy" in way or "tf.d" in way])
def test_a_sum_is_shuffled_as_a_whole(theirs: Path, way: str) -> None:
    options: dict[str, Any] = {"split": "train[3:]+val", "crop": (4, 5), "epochs": 2}
    plain = records(way, theirs, **options)
    shuffled = records(way, theirs, shuffle=True, **{**options, "epochs": 1})
    assert shuffled != plain[:7]
    assert sorted(map(repr, shuffled)) == sorted(map(repr, plain[:7]))


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("train[:8]", "split: found train[:8], expected at most 7"),
        ("train[-101%:]", "split: found train[-101%:], expected at most 100%"),
        ("train[3:3]", "split: found train[3:3], which is none of 7 records, expected some"),
        (
            "val[-1%:]+train[5:3]",
            "split: found val[-1%:]+train[5:3], which is none of 10 records, expected some",
        ),
        ("train+test", "split: found splits train, val in {}, expected 'test'"),
        (
            "train[:10%]+vall",
            "split: found splits train, val in {}, expected 'vall': did you mean 'val'?",
        ),
        ("all", "split: found splits train, val in {}, expected 'all'"),
    ],
)
@pytest.mark.parametrize("reader", READERS)
def test_slices_that_are_not_there_are_refused(
    theirs: Path, reader: str, split: str, message: str
) -> None:
    with pytest.raises(UsageError) as refused:
        READERS[reader].dataset(theirs, split=split)
    assert str(refused.value) == message.format(theirs)


def test_a_sum_is_shown_as_it_was_asked_for(theirs: Path) -> None:
    shown = repr(read_numpy.dataset(theirs, split="train[:50%]+val"))
    assert shown.startswith(f"<tfrec dataset {theirs}, split train[:50%]+val: 7 records, ")


def test_compressed_splits_are_sliced_and_added_up(tmp_path: Path) -> None:
    for split in ("train", "val"):
        folder_of_classes(tmp_path, "cat dog", split=split, compression="gzip", shards=2)
    for split in ("train[1:]", "train+val[1:3]", "val+train"):
        options: dict[str, Any] = {"crop": (4, 5), "features": ["key"], "epochs": 2}
        whole = {
            name: records("read_numpy.dataset", tmp_path / "out", split=name, **options)[:4]
            for name in ("train", "val")
        }
        picked = [
            whole[part.split][number]
            for part in selection.parse(split)
            for number in part.numbers(4)
        ]
        assert (
            records(
                "read_numpy.dataset", tmp_path / "out", split=split, crop=(4, 5), features=["key"]
            )
            == picked
        )


# Splits that differ


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(UsageError) as error:
        read_numpy.dataset(path, split="train+val", **options)
    return str(error.value)


OTHER = "split: found other {} in val than in train, expected the same"


def put_together(root: Path, train: dict[str, Any], val: dict[str, Any]) -> Path:
    """Write two datasets, and copy the split of one into the folder of the other by hand."""
    for split, options in (("train", train), ("val", val)):
        options = {"classes": "cat dog", **options}
        folder_of_classes(root / split, split=split, **options)
    for file in (root / "val" / "out").glob("val*"):
        shutil.copy(file, root / "train" / "out")
    return root / "train" / "out"


def test_splits_with_other_classes_are_not_added_up(tmp_path: Path) -> None:
    path = put_together(tmp_path, {}, {"classes": "cat owl"})
    assert refused(path) == OTHER.format("class names")
    assert len(list(read_numpy.dataset(path, split="train+val", label=None))) == 8


@pytest.mark.parametrize(
    ("train", "val", "what"),
    [
        ({}, {"label": b"cat"}, "features"),
        ({}, {"label": Feature}, "features"),
        ({}, {"key": 5}, "features"),
        ({}, {"height": 8, "width": 9}, "features"),
        ({"note": b"x", "depth": 3}, {}, None),
        ({"format": b"png"}, {"text": b"cat"}, None),
    ],
    ids=str,
)
def test_splits_of_other_programs_must_have_what_is_read(
    tmp_path: Path, train: dict[str, Any], val: dict[str, Any], what: str | None
) -> None:
    val = {name: [1, 2] if value is Feature else value for name, value in val.items()}
    record_file(tmp_path / "train.tfrecord", payload(0, **train))
    record_file(tmp_path / "val.tfrecord", payload(1, **val))
    if what:
        assert refused(tmp_path, label="label") == OTHER.format(what)
    else:
        assert len(list(read_numpy.dataset(tmp_path, split="train+val"))) == 2


def test_raw_and_encoded_images_are_not_added_up(tmp_path: Path) -> None:
    raw = {"height": 8, "width": 9, "label": 0}
    record_file(tmp_path / "train.tfrecord", payload(0, height=8, width=9))
    for channels in ({}, {"depth": 4}):
        size = 8 * 9 * (channels.get("depth") or 3)
        features = {**raw, **channels, "image": bytes(size)}
        record_file(tmp_path / "val.tfrecord", example.encode(features))
        assert refused(tmp_path) == OTHER.format("images")


def test_splits_with_other_crops_are_added_up_only_with_a_crop(tmp_path: Path) -> None:
    path = put_together(tmp_path, {"crop": (6, 6)}, {"crop": (5, 7)})
    assert refused(path) == OTHER.format("crops")
    read = [image.shape for image, _ in read_numpy.dataset(path, split="val+train", crop=5)]
    assert read == [(5, 5, 3)] * 8
    assert np.array_equal(
        [label for _, label in read_numpy.dataset(path, split="val+train", crop=5)],
        read_numpy.dataset(path, split="val+train", crop=5).targets,
    )
