"""Record files of other programs: their order, their splits, and files that are missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfrec_cli.errors import DataError, MissingPathError, UsageError
from tfrec_cli.resharding import foreign


def found(folder: Path, *names: str, split: str | None = None) -> dict[str, list[str]]:
    """Make empty files, and return the names of those of each split."""
    for name in names:
        (folder / name).touch()
    splits = foreign.splits(folder, split)
    return {name: [path.name for path in paths] for name, paths in splits.items()}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["x10", "x9", "x1"], {"train": ["x1", "x9", "x10"]}),
        (["a.tfrecord", "b.tfrec"], {"train": ["a.tfrecord", "b.tfrec"]}),
        (
            ["train-1-of-2.gz", "train-0-of-2.gz", "val.tfrecord"],
            {"train": ["train-0-of-2.gz", "train-1-of-2.gz"], "val": ["val.tfrecord"]},
        ),
        (
            ["mnist-test.tfrecord-00000-of-00001", "mnist-train.tfrecord-00000-of-00001"],
            {
                "test": ["mnist-test.tfrecord-00000-of-00001"],
                "train": ["mnist-train.tfrecord-00000-of-00001"],
            },
        ),
        (["Test_2.tfrec", "Test_10.tfrec"], {"Test": ["Test_2.tfrec", "Test_10.tfrec"]}),
        (["my data_2_of_2", "my data_1_of_2"], {"my_data": ["my data_1_of_2", "my data_2_of_2"]}),
        (["testament.tfrecord"], {"train": ["testament.tfrecord"]}),
        (
            ["cifar10_train.tfrecord", "data-val.tfrecord"],
            {"train": ["cifar10_train.tfrecord"], "val": ["data-val.tfrecord"]},
        ),
        (["train-val.tfrecord"], {"train": ["train-val.tfrecord"]}),
    ],
)
def test_splits_are_told_by_names_and_files_are_in_natural_order(
    tmp_path: Path, names: list[str], expected: dict[str, list[str]]
) -> None:
    assert found(tmp_path, *names, "notes.txt") == expected


def test_one_split_can_be_taken_by_its_name(tmp_path: Path) -> None:
    assert found(tmp_path, "val.tfrecord", "dev.tfrecord", split="dev") == {"dev": ["dev.tfrecord"]}
    with pytest.raises(UsageError, match=r"found splits dev, val in .*, expected 'test'$"):
        foreign.splits(tmp_path, "test")


def test_files_whose_names_tell_no_split_are_the_split_that_is_asked_for(tmp_path: Path) -> None:
    assert found(tmp_path, "x.tfrecord", split="test") == {"test": ["x.tfrecord"]}
    with pytest.raises(UsageError, match=r"split: found 'a/b', expected letters, digits, _ and -"):
        foreign.splits(tmp_path, "a/b")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["train-00000-of-00003", "train-00002-of-00003"],
            "found 2 files like train-00000-of-00003, expected 3: number 1 is missing: a pattern",
        ),
        (
            ["train-0-of-1", "train-0-of-2", "train-1-of-2"],
            "found train-0-of-1 and train-1-of-2, expected files of one write",
        ),
        (
            ["train-0-of-1", "train-0-of-1.gz"],
            "found train-0-of-1 and train-0-of-1.gz, expected one",
        ),
        (
            ["train-0-of-1", "train.tfrecord"],
            "found train-0-of-1 and train.tfrecord, expected files",
        ),
        (
            ["train-0-of-1", "x"],
            "x: found no split in this name, but train in others, expected one",
        ),
        (
            ["train", "TRAIN-0-of-1"],
            "found splits TRAIN, train, expected names that differ not only",
        ),
    ],
)
def test_files_that_may_be_incomplete_are_refused(
    tmp_path: Path, names: list[str], message: str
) -> None:
    with pytest.raises(DataError) as error:
        found(tmp_path, *names)
    assert message in str(error.value)


def test_a_pattern_chooses_files(tmp_path: Path) -> None:
    found(tmp_path, "train-00000-of-00002", "train-00001-of-00002")
    chosen = foreign.splits(tmp_path / "train-00001*", None)
    assert chosen == {"train": [tmp_path / "train-00001-of-00002"]}
    with pytest.raises(UsageError, match="no record file matches this pattern"):
        foreign.splits(tmp_path / "val*", None)
    with pytest.raises(MissingPathError):
        foreign.splits(tmp_path / "none", None)


def test_an_unfinished_write_is_no_folder_of_records(tmp_path: Path) -> None:
    (tmp_path / ".train.partial").mkdir()
    with pytest.raises(UsageError, match="found an unfinished write, expected record files"):
        found(tmp_path, "train-00000-of-00001.tfrecord")
