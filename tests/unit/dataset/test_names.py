"""File names: what is called how, and which names are of a split."""

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
    def test_of_shards(self) -> None:
        assert shard_name("train", 3, 12) == "train-00003-of-00012.tfrecord"

    def test_of_compressed_shards(self) -> None:
        assert shard_name("val", 0, 1, "gzip") == "val-00000-of-00001.tfrecord.gz"

    def test_of_indexes(self) -> None:
        assert index_name("val-00000-of-00001.tfrecord") == "val-00000-of-00001.tfindex"

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("train-00000-of-00004.tfrecord", True),
            ("train-00000-of-00004.tfrecord.gz", True),
            ("train-00000-of-00004.tfindex", True),
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
    def test_that_a_new_write_replaces(self, name: str, expected: bool) -> None:
        assert is_generated(name, "train") is expected


def test_unfinished_writes_are_found_by_their_folders(tmp_path: Path) -> None:
    for name in (partial_name("val"), partial_name("a.b"), "x.partial", ".x"):
        (tmp_path / name).mkdir()
    found = [(split, path.name) for split, path in partial_folders(tmp_path)]
    assert found == [("a.b", ".a.b.partial"), ("val", ".val.partial")]


@pytest.mark.parametrize(
    ("name", "expected"),
    [(".train.partial", True), (LOCK, True), (".partial", False), ("x.partial", False)],
)
def test_what_is_there_for_a_writer(name: str, expected: bool) -> None:
    assert is_of_writer(name) is expected
