"""Files that describe all splits of a folder: checksums for coreutils, the rest for TFDS."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path

import pytest
from conftest import fill
from manifests import MANIFEST, WHOLE

from tfrec_cli.dataset import manifest
from tfrec_cli.dataset.checksums import dataset_files
from tfrec_cli.dataset.manifest import Targets


class TestDatasetFiles:
    def test_sha256sum_accepts_the_sums(self, tmp_path: Path) -> None:
        files = dataset_files([MANIFEST])
        fill(
            tmp_path,
            {
                **files,
                "train.manifest.json": manifest.dump(MANIFEST),
                "train.rejects.jsonl": b"",
                "train-00000-of-00002.tfrecord": b"shard0",
                "train-00000-of-00002.tfindex": b"index0",
                "train-00001-of-00002.tfrecord": b"shard1",
            },
        )
        done = subprocess.run(
            ["sha256sum", "--check", "--strict", "SHA256SUMS"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert (
            done.returncode,
            sorted(line.split(": ")[0] for line in done.stdout.splitlines()),
        ) == (0, sorted(path.name for path in tmp_path.iterdir() if path.name != "SHA256SUMS"))

    def test_the_file_of_labels_is_summed(self) -> None:
        labelled = dataclasses.replace(MANIFEST, targets=Targets(name="x.targets", sha256="7" * 64))
        sums = dataset_files([labelled])["SHA256SUMS"].decode().splitlines()
        assert f"{'7' * 64}  x.targets" in sums

    def test_each_class_name_has_a_line(self) -> None:
        files = dataset_files([MANIFEST])
        assert files["label.labels.txt"] == b"cats\ncaf\xe9\n\xc3\x84\n"

    @pytest.mark.parametrize(
        ("labels", "expected"),
        [
            (("a b", "日本 語"), "a b\n日本 語\n"),
            ((" a", "b"), None),
            (("a", "\u3000"), None),
            ((" a", "\udcff"), b" a\n\xff\n"),
        ],
    )
    def test_class_names_that_tfds_would_change_are_not_written(
        self, labels: tuple[str, ...], expected: str | bytes | None
    ) -> None:
        """Without the file, or if it is not UTF-8, TFDS names classes by their numbers."""
        named = dataclasses.replace(MANIFEST, labels=labels)
        found = dataset_files([named]).get("label.labels.txt")
        assert found == (expected.encode() if isinstance(expected, str) else expected)

    def test_dataset_info_has_the_length_of_each_shard(self) -> None:
        info = json.loads(dataset_files([MANIFEST, WHOLE])["dataset_info.json"])
        lengths = {split["name"]: split["shardLengths"] for split in info["splits"]}
        assert lengths == {"train": ["2", "1"], "val": ["2", "1"]}

    def test_compressed_shards_get_no_files_for_tfds(self) -> None:
        packed = dataclasses.replace(MANIFEST, compression="gzip")
        assert list(dataset_files([packed])) == ["SHA256SUMS"]
