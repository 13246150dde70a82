"""File names, and which of them belong to a split."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfrec_cli.dataset.names import (
    LOCK,
    index_name,
    is_generated,
    is_of_writer,
    partial_folders,
    partial_name,
    shard_name,
)


class TestNames:
    def test_a_shard_is_named_by_split_number_and_count(self) -> None:
        assert shard_name("train", 3, 12) == "train-00003-of-00012.tfrecord"

    def test_a_compressed_shard_ends_with_gz(self) -> None:
        assert shard_name("val", 0, 1, "gzip") == "val-00000-of-00001.tfrecord.gz"

    def test_an_index_file_replaces_the_suffix_of_its_shard(self) -> None:
        assert index_name("val-00000-of-00001.tfrecord") == "val-00000-of-00001.tfindex"

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("train-00000-of-00004.tfrecord", True),
            ("train-00000-of-00004.tfrecord.gz", True),
            ("train-00000-of-00004.tfindex", True),
            ("train.targets", True),
            ("val.targets", False),
            ("features.json", True),
            ("label.labels.txt", True),
            ("image-class-label.labels.txt", True),
            ("image.class.label.labels.txt", True),
            ("val-00000-of-00004.tfrecord", False),
            ("xtrain-00000-of-00004.tfrecord", False),
            ("train-00000-of-00004.tfrecord.bak", False),
            ("train-00000-of-00004.tfrecord\n", False),
            ("notes.txt", False),
        ],
    )
    def test_a_new_write_replaces_files_of_its_split_and_of_the_dataset(
        self, name: str, expected: bool
    ) -> None:
        assert is_generated(name, "train") is expected


def test_unfinished_writes_are_found_by_the_names_of_their_folders(tmp_path: Path) -> None:
    for name in (partial_name("val"), partial_name("a.b"), "x.partial", ".x"):
        (tmp_path / name).mkdir()
    found = [(split, path.name) for split, path in partial_folders(tmp_path)]
    assert found == [("a.b", ".a.b.partial"), ("val", ".val.partial")]


@pytest.mark.parametrize(
    ("name", "expected"),
    [(".train.partial", True), (LOCK, True), (".partial", False), ("x.partial", False)],
)
def test_files_of_the_writer_are_recognised(name: str, expected: bool) -> None:
    assert is_of_writer(name) is expected
