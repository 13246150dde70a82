"""Other packages read our datasets; `make interop` runs the same proof with DALI."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from conftest import ROOT, fill, jpeg, photo, png, tf, tfds

from tests.contract.interop import proof
from tests.contract.interop.proof import Expected, Found
from tests.contract.interop.readers import INDEXERS, OTHERWISE, READERS, Read, Split
from tfrec_cli.commands import write
from tfrec_cli.writing.options import WriteOptions as Options

PROCESSES = [name for name in READERS if name != "dali"]
ROWS = [row for name in PROCESSES for row in (*READERS[name], *INDEXERS.get(name, {}))]
SAMPLES = ROOT / "sample_data/images"


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Found]:
    """Run the proof on the sample images."""
    return proof.prove(SAMPLES, tmp_path_factory.mktemp("interop"), PROCESSES)


@pytest.mark.promise("P7")
class TestEveryReader:
    @pytest.mark.parametrize("reader", ROWS)
    def test_every_reader_finds_nothing_wrong_in_any_split(
        self, rows: list[Found], reader: str
    ) -> None:
        found = {(row.dataset, row.split): row.wrong for row in rows if row.reader == reader}
        assert found == {
            ("raw crops", "train"): {},
            ("PNG crops", "train"): {},
            ("whole", "train"): {},
            ("whole", "val"): {},
            ("tf-models", "train"): {},
        }

    def test_every_reader_finds_the_same_labels_and_pixels(self, rows: list[Found]) -> None:
        for dataset, split in {(row.dataset, row.split) for row in rows}:
            here = [row for row in rows if (row.dataset, row.split) == (dataset, split)]
            exact = [row for row in here if row.pixels and not row.jpegs]
            assert len({(row.records, row.labels, row.pixels) for row in exact}) == 1
            assert len({row.labels for row in here if row.labels}) == 1

    def test_only_named_readers_decode_jpeg_differently(self, rows: list[Found]) -> None:
        """28 of the 40 sample images are stored as JPEG, and 15 of the 21 of the second split."""
        found = {(row.reader, row.dataset, row.split): row.jpegs for row in rows if row.jpegs}
        assert found == {
            ("TFDS", "whole", "train"): 28,
            ("TFDS", "whole", "val"): 15,
            ("TFDS", "tf-models", "train"): 28,
        }


class TestTheProof:
    """Each test changes one thing in the rows of a reader."""

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

    def test_the_proof_accepts_equal_rows(self) -> None:
        assert self.found(self.READ) == {}

    def test_the_proof_takes_records_without_names_in_order(self) -> None:
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
    def test_the_proof_sees_a_change(self, change: Mapping[str, Any], expected: str) -> None:
        assert self.found(replace(self.READ, **change)) == {"a/1.jpg": expected}

    def test_the_proof_sees_missing_extra_and_repeated_rows(self) -> None:
        two = [self.EXPECTED, self.OTHER]
        assert self.found(self.READ, expected=two) == {"a/2.jpg": "not found"}
        assert self.found(self.READ, self.READ) == {"a/1.jpg": "found it twice"}
        other = replace(self.READ, filename=b"b.jpg")
        assert self.found(self.READ, other) == {"b.jpg": "found, expected no such"}
        unnamed = replace(self.READ, filename=None)
        assert self.found(unnamed, unnamed) == {"record 1": "found, expected no such"}

    def test_a_named_reader_may_decode_jpeg_differently_within_a_limit(self) -> None:
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
    def test_a_named_reader_may_not_differ_in_other_ways(
        self, change: Mapping[str, Any], expected: Expected
    ) -> None:
        read, (named,) = replace(self.READ, **change), OTHERWISE
        assert self.found(read, reader=named, expected=[expected]) == {
            "a/1.jpg": "found other pixels"
        }

    def test_the_proof_sees_another_index(self, tmp_path: Path) -> None:
        source = fill(tmp_path / "src", {"a/1.png": png(photo(8, 8))})
        write.write(source, tmp_path / "out", Options(jobs=1))
        split = replace(self.SPLIT, folder=str(tmp_path / "out"))
        found = proof.compare_indexes(
            "mine", split, lambda shard, index: fill(Path(index).parent, {index: b"0 1\n"}) and None
        )
        assert found.wrong == {"train-00000-of-00001.tfindex": "found other places"}

    def test_the_proof_exits_with_1_at_a_difference(self, tmp_path: Path) -> None:
        """Here a reader fails, because TensorFlow cannot be imported."""
        fill(tmp_path, {"poison/tensorflow.py": b"raise ImportError('no TensorFlow')\n"})
        path = os.pathsep.join([str(tmp_path / "poison"), str(ROOT)])
        without = [word for name in READERS if name != "tensorflow" for word in ("--without", name)]
        done = subprocess.run(
            [sys.executable, "-m", "tests.contract.interop", str(SAMPLES), *without],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": path},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (1, "")
        assert "NO: exit code 1: ImportError: no TensorFlow" in done.stdout


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Make a folder of six images in three classes, with difficult names."""
    names = ["a b", "Ärger", "日本 語"]
    files = {f"{name}/{n}.png": png(photo(20 + n, 30)) for name in names for n in (1, 2)}
    return fill(tmp_path / "images", files)


@pytest.mark.promise("P7")
class TestTfds:
    """Metadata that TFDS reads."""

    @pytest.mark.parametrize(
        "options",
        [
            {"crop": (16, 18)},
            {"crop": (16, 18), "encoding": "png"},
            {"crop": (16, 18), "encoding": "jpeg"},
            {},
            {"keys": "tf-models"},
            {"keys": "tf-models", "crop": (16, 18)},
        ],
        ids=["raw", "png", "jpeg", "whole", "tf-models", "tf-models crops"],
    )
    def test_tfds_reads_classes_splits_and_pairs(
        self, images: Path, tmp_path: Path, options: Mapping[str, Any]
    ) -> None:
        for split, shards in (("train", 2), ("val-2", 1)):
            write.write(images, tmp_path / "out", Options(split=split, shards=shards, **options))
        builder = tfds.builder_from_directory(tmp_path / "out")
        label = builder.info.features["image/class/label" if "keys" in options else "label"]
        assert (label.num_classes, label.names) == (3, ["a b", "Ärger", "日本 語"])
        assert (label.int2str(1), label.str2int("日本 語")) == ("Ärger", 2)
        sizes = {name: split.num_examples for name, split in builder.info.splits.items()}
        assert sizes == {"train": 6, "val-2": 6}
        height, width = options.get("crop", (None, None))
        for split, dataset in builder.as_dataset(as_supervised=True).items():
            assert len(dataset) == sizes[split]
            image, number = dataset.element_spec
            assert (image.shape, image.dtype) == ((height, width, 3), tf.uint8)
            assert (number.shape, number.dtype) == ((), tf.int64)

    def test_tfds_reads_parts_of_splits(self, images: Path, tmp_path: Path) -> None:
        write.write(images, tmp_path / "out", Options(shards=4))
        builder = tfds.builder_from_directory(tmp_path / "out")

        def names(split: Any) -> list[bytes]:
            config = tfds.ReadConfig(interleave_cycle_length=1)
            dataset = builder.as_dataset(split=split, read_config=config)
            return [one["filename"] for one in tfds.as_numpy(dataset)]

        every = names("train")
        assert [names(part) for part in ("train[:50%]", "train[-1:]", "train[:2]+train[5:]")] == [
            every[:3], every[-1:], [*every[:2], *every[5:]]
        ]  # fmt: skip
        assert sorted(n for part in tfds.even_splits("train", 3) for n in names(part)) == sorted(
            every
        )

    def test_tfds_counts_the_same_bytes(self, images: Path, tmp_path: Path) -> None:
        for split, shards in (("train", 3), ("val", 1)):
            write.write(images, tmp_path / "out", Options(split=split, shards=shards, index=False))
        splits = tfds.builder_from_directory(tmp_path / "out").info.splits
        template = tfds.core.ShardedFileTemplate(
            template="{SPLIT}-{SHARD_X_OF_Y}.{FILEFORMAT}",
            data_dir=tmp_path / "out",
            dataset_name="dataset",
            filetype_suffix="tfrecord",
        )
        counted = tfds.folder_dataset.compute_split_info(filename_template=template)
        assert {info.name: info.num_bytes for info in counted} == {
            name: split.num_bytes for name, split in splits.items()
        }

    def test_tfds_reads_a_dataset_without_labels(self, images: Path, tmp_path: Path) -> None:
        write.write(images, tmp_path / "out", Options(labels="none"))
        builder = tfds.builder_from_directory(tmp_path / "out")
        assert sorted(builder.info.features) == ["filename", "image", "key"]
        assert len(list(builder.as_dataset(split="train"))) == 6

    @pytest.mark.parametrize("odd", [" a", " ", "caf\udce9"])
    def test_class_names_that_tfds_cannot_read_are_numbers(self, tmp_path: Path, odd: str) -> None:
        """TFDS would strip the first and drop the second; the third is not UTF-8."""
        files = {f"{name}/1.png": png(photo(20, 30)) for name in (odd, "b")}
        write.write(fill(tmp_path / "src", files), tmp_path / "out", Options())
        builder = tfds.builder_from_directory(tmp_path / "out")
        assert builder.info.features["label"].names == ["0", "1"]

    @pytest.mark.parametrize("name", ["photos", "photos:1.0.0"])
    def test_tfds_load_finds_a_dataset_by_the_folder_of_its_version(
        self, images: Path, tmp_path: Path, name: str
    ) -> None:
        write.write(images, tmp_path / "photos/1.0.0", Options())
        assert len(tfds.load(name, data_dir=tmp_path, split="train")) == 6


class TestTfModels:
    """Records with ``--keys tf-models``, parsed with the features of the decoders of TF Models."""

    CLASSIFICATION: ClassVar = {  # official/vision/dataloaders/classification_input.py
        "image/encoded": tf.io.FixedLenFeature((), tf.string, ""),
        "image/class/label": tf.io.FixedLenFeature((), tf.int64, -1),
    }
    BOXES: ClassVar = {
        **{f"image/object/bbox/{side}": tf.float32 for side in ("xmin", "xmax", "ymin", "ymax")},
        "image/object/class/label": tf.int64,
        "image/object/area": tf.float32,
        "image/object/is_crowd": tf.int64,
    }
    DETECTION: ClassVar = {  # official/vision/dataloaders/tf_example_decoder.py
        "image/encoded": tf.io.FixedLenFeature((), tf.string),
        "image/source_id": tf.io.FixedLenFeature((), tf.string),
        "image/height": tf.io.FixedLenFeature((), tf.int64, -1),
        "image/width": tf.io.FixedLenFeature((), tf.int64, -1),
        **{name: tf.io.VarLenFeature(kind) for name, kind in BOXES.items()},
    }
    OBJECT_DETECTION: ClassVar = {  # research/object_detection/data_decoders/tf_example_decoder.py
        **{name: tf.io.VarLenFeature(kind) for name, kind in BOXES.items()},
        "image/encoded": tf.io.FixedLenFeature((), tf.string, ""),
        "image/format": tf.io.FixedLenFeature((), tf.string, "jpeg"),
        "image/filename": tf.io.FixedLenFeature((), tf.string, ""),
        "image/key/sha256": tf.io.FixedLenFeature((), tf.string, ""),
        "image/source_id": tf.io.FixedLenFeature((), tf.string, ""),
        "image/height": tf.io.FixedLenFeature((), tf.int64, 1),
        "image/width": tf.io.FixedLenFeature((), tf.int64, 1),
        "image/class/text": tf.io.VarLenFeature(tf.string),
        "image/class/label": tf.io.VarLenFeature(tf.int64),
    }

    @pytest.fixture
    def payloads(self, images: Path, tmp_path: Path) -> list[bytes]:
        write.write(images, tmp_path / "out", Options(keys="tf-models", shuffle_seed=None))
        (shard,) = (tmp_path / "out").glob("*.tfrecord")
        return list(tf.data.TFRecordDataset(str(shard)).as_numpy_iterator())

    def test_tf_models_reads_image_classification(
        self, images: Path, payloads: list[bytes]
    ) -> None:
        found = tf.io.parse_example(payloads, self.CLASSIFICATION)
        assert found["image/class/label"].numpy().tolist() == [0, 0, 1, 1, 2, 2]
        files = sorted(images.rglob("*.png"), key=lambda path: str(path).encode())
        assert found["image/encoded"].numpy().tolist() == [path.read_bytes() for path in files]

    def test_tf_models_reads_detection(self, payloads: list[bytes]) -> None:
        """Source ids are 64-bit numbers; records without boxes have empty lists."""
        found = tf.io.parse_example(payloads, self.DETECTION)
        numbers = tf.strings.to_number(found["image/source_id"], tf.int64).numpy().tolist()
        keys = tf.io.parse_example(payloads, {"image/key": tf.io.FixedLenFeature((), tf.int64)})
        assert numbers == keys["image/key"].numpy().tolist()
        assert found["image/height"].numpy().tolist() == [21, 22] * 3
        assert found["image/width"].numpy().tolist() == [30] * 6
        assert [found[name].values.numpy().tolist() for name in self.BOXES] == [[]] * 7

    def test_the_object_detection_api_reads_a_dataset(self, payloads: list[bytes]) -> None:
        found = tf.io.parse_example(payloads, self.OBJECT_DETECTION)
        assert found["image/format"].numpy().tolist() == [b"png"] * 6
        names = found["image/filename"].numpy().tolist()
        assert names[::2] == [f"{name}/1.png".encode() for name in ("a b", "Ärger", "日本 語")]
        texts = tf.sparse.to_dense(found["image/class/text"]).numpy()[:, 0].tolist()
        assert [f"{text.decode()}/1.png".encode() for text in texts[::2]] == names[::2]
        labels = tf.sparse.to_dense(found["image/class/label"]).numpy()[:, 0].tolist()
        assert labels == [0, 0, 1, 1, 2, 2]
