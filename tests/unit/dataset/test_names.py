"""File names: what is called how, and which names are of a split."""

from __future__ import annotations

import pytest

from tfrec_cli.dataset.names import index_name, is_generated, shard_name


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
