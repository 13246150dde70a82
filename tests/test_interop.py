"""What other packages make of our datasets; `make interop` runs the same proof with DALI."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT, fill, jpeg, photo, png

from tests.interop import proof
from tests.interop.proof import Expected, Found
from tests.interop.readers import INDEXERS, OTHERWISE, READERS, Read, Split
from tfrec_cli import write
from tfrec_cli.write import Options

PROCESSES = [name for name in READERS if name != "dali"]
ROWS = [row for name in PROCESSES for row in (*READERS[name], *INDEXERS.get(name, {}))]
SAMPLES = ROOT / "sample_data/images"


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Found]:
    """Run the proof on the sample images."""
    return proof.prove(SAMPLES, tmp_path_factory.mktemp("interop"), PROCESSES)


class TestEveryReader:
    @pytest.mark.parametrize("reader", ROWS)
    def test_finds_nothing_wrong_in_any_split(self, rows: list[Found], reader: str) -> None:
        found = {(row.dataset, row.split): row.wrong for row in rows if row.reader == reader}
        assert found == {
            ("raw crops", "train"): {},
            ("PNG crops", "train"): {},
            ("whole", "train"): {},
            ("whole", "val"): {},
            ("tf-models", "train"): {},
        }

    def test_finds_the_same_labels_and_pixels(self, rows: list[Found]) -> None:
        for dataset, split in {(row.dataset, row.split) for row in rows}:
            here = [row for row in rows if (row.dataset, row.split) == (dataset, split)]
            exact = [row for row in here if row.pixels and not row.jpegs]
            assert len({(row.records, row.labels, row.pixels) for row in exact}) == 1
            assert len({row.labels for row in here if row.labels}) == 1

    def test_decodes_jpeg_otherwise_only_where_that_is_named(self, rows: list[Found]) -> None:
        """28 of the 40 sample images are stored as JPEG, and 15 of the 21 of the second split."""
        found = {(row.reader, row.dataset, row.split): row.jpegs for row in rows if row.jpegs}
        assert found == {
            ("TFDS", "whole", "train"): 28,
            ("TFDS", "whole", "val"): 15,
            ("TFDS", "tf-models", "train"): 28,
        }


class TestTheProof:
    """It sees what it should: each test changes one thing in what a reader gave."""

    SPLIT = Split(
        dataset="whole", folder="", name="train", image="", label="", filename="", crop=None
    )
    PIXELS = photo(20, 30)
    PICTURE = jpeg(PIXELS)
    DECODED = tf.io.decode_jpeg(PICTURE, dct_method="INTEGER_ACCURATE").numpy()
    READ = Read(pixels=DECODED, label=1, filename=b"a/1.jpg", image=PICTURE)
    EXPECTED = Expected(
        filename="a/1.jpg",
        label=1,
        image=proof.digest(PICTURE),
        pixels=proof.digest(DECODED),
        is_jpeg=True,
    )
    OTHER = replace(EXPECTED, filename="a/2.jpg")

    def found(
        self, *reads: Read, reader: str = "tf.data", expected: Sequence[Expected] = (EXPECTED,)
    ) -> Mapping[str, str]:
        return proof.compare(reader, self.SPLIT, reads, expected).wrong

    def test_accepts_what_is_the_same(self) -> None:
        assert self.found(self.READ) == {}

    def test_takes_records_without_names_in_order(self) -> None:
        second = replace(self.EXPECTED, filename="a/2.jpg", label=2)
        reads = [replace(self.READ, filename=None, label=label) for label in (1, 2)]
        assert self.found(*reads, expected=[self.EXPECTED, second]) == {}
        assert set(self.found(*reads[::-1], expected=[self.EXPECTED, second])) == {
            "a/1.jpg",
            "a/2.jpg",
        }

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"label": 2}, "label: found 2, expected 1"),
            ({"image": PICTURE + b"\0"}, "found other bytes"),
            ({"pixels": DECODED ^ np.uint8(1)}, "found other pixels"),
            ({"pixels": DECODED.astype(np.float32)}, "found float32, expected uint8"),
            ({"pixels": DECODED.reshape(30, 20, 3)}, "found other pixels"),
        ],
    )
    def test_sees_a_change(self, change: Mapping[str, Any], expected: str) -> None:
        assert self.found(replace(self.READ, **change)) == {"a/1.jpg": expected}

    def test_sees_what_is_missing_too_much_or_there_twice(self) -> None:
        two = [self.EXPECTED, self.OTHER]
        assert self.found(self.READ, expected=two) == {"a/2.jpg": "not found"}
        assert self.found(self.READ, self.READ) == {"a/1.jpg": "found it twice"}
        other = replace(self.READ, filename=b"b.jpg")
        assert self.found(self.READ, other) == {"b.jpg": "found, expected no such"}
        unnamed = replace(self.READ, filename=None)
        assert self.found(unnamed, unnamed) == {"record 1": "found, expected no such"}

    def test_lets_a_named_reader_decode_jpeg_otherwise_and_measures_it(self) -> None:
        pixels = self.DECODED.copy()
        pixels[0, 0, 0] ^= 2
        read = replace(self.READ, pixels=pixels)
        (named,) = OTHERWISE
        found = proof.compare(named, self.SPLIT, [read], [self.EXPECTED])
        assert (found.wrong, found.jpegs, found.values) == ({}, 1, 20 * 30 * 3)
        assert (found.differing, found.levels) == (1, 2)

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"pixels": photo(20, 30, 7)}, EXPECTED),
            ({"pixels": DECODED[1:]}, EXPECTED),
            ({"pixels": DECODED ^ np.uint8(1), "image": None}, EXPECTED),
            ({"pixels": DECODED ^ np.uint8(1)}, replace(EXPECTED, is_jpeg=False)),
        ],
        ids=["another photo", "another size", "without its bytes", "no JPEG"],
    )
    def test_lets_a_named_reader_do_nothing_else(
        self, change: Mapping[str, Any], expected: Expected
    ) -> None:
        read, (named,) = replace(self.READ, **change), OTHERWISE
        assert self.found(read, reader=named, expected=[expected]) == {
            "a/1.jpg": "found other pixels"
        }

    def test_sees_another_index(self, tmp_path: Path) -> None:
        source = fill(tmp_path / "src", {"a/1.png": png(photo(8, 8))})
        write.write(source, tmp_path / "out", Options(jobs=1))
        split = replace(self.SPLIT, folder=str(tmp_path / "out"))
        found = proof.compare_indexes(
            "mine", split, lambda shard, index: fill(Path(index).parent, {index: b"0 1\n"}) and None
        )
        assert found.wrong == {"train-00000-of-00001.tfindex": "found other bytes"}

    def test_exits_with_1_at_a_difference(self, tmp_path: Path) -> None:
        """Here: at a reader that fails, for TensorFlow cannot be imported."""
        fill(tmp_path, {"poison/tensorflow.py": b"raise ImportError('no TensorFlow')\n"})
        path = os.pathsep.join([str(tmp_path / "poison"), str(ROOT)])
        without = [word for name in READERS if name != "tensorflow" for word in ("--without", name)]
        done = subprocess.run(
            [sys.executable, "-m", "tests.interop", str(SAMPLES), *without],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": path},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (1, "")
        assert "NO: exit code 1: ImportError: no TensorFlow" in done.stdout
