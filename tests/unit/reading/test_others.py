"""Record files of other programs, by all readers: splits, images, records without one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import OF_RECORDS, READERS, needs, photo, png, save, tfds
from program import tfrec
from record_files import record_file
from yielded import WAYS, digest

from tfrec_cli import read_numpy
from tfrec_cli.dataset import discover
from tfrec_cli.dataset import tfds as descriptions
from tfrec_cli.errors import DataError, FramingError, UsageError
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.example import Feature
from tfrec_cli.tfrecord.scan import read_records

PICTURES = [photo(6, 8, seed) for seed in range(6)]


def labelled(number: int, **features: Any) -> bytes:
    picture = png(PICTURES[number % len(PICTURES)])
    return example.encode({"image": picture, "label": number, **features})


@pytest.fixture(params=OF_RECORDS)
def dataset(request: pytest.FixtureRequest) -> Any:
    return READERS[request.param].dataset


def same(path: Path, ways: tuple[str, ...] = WAYS, **options: Any) -> None:
    found = {way: digest(way, path, **options) for way in ways}
    assert len(set(found.values())) == 1, found


# Splits


def numbered(folder: Path, names: str, counts: dict[str, tuple[int, int]]) -> Path:
    """Write splits as (records, shards); labels count through all splits."""
    first = 0
    for split, (count, shards) in counts.items():
        for shard in range(shards):
            numbers = range(first + shard, first + count, shards)
            path = folder / names.format(split, f"{shard:05d}-of-{shards:05d}")
            record_file(path, *map(labelled, numbers))
        first += count
    return folder


NAMES = ["{}-{}", "my-{}.tfrecord-{}", "{}.tfrecord-{}", "x_{}_{}.tfrec"]


@pytest.mark.parametrize("names", NAMES)
def test_no_record_of_another_split_is_read(tmp_path: Path, dataset: Any, names: str) -> None:
    folder = numbered(tmp_path, names, {"train": (12, 4), "validation": (4, 2)})
    found = {
        split: {int(label) for _, label in dataset(folder, split=split)}
        for split in ("train", "validation", "train+validation")
    }
    assert found["train"] == {*range(12)}
    assert found["validation"] == {*range(12, 16)}
    assert found["train+validation"] == {*range(16)}
    with pytest.raises(UsageError) as refused:
        dataset(folder, split="nonsense")
    found = f"split: found splits train, validation in {folder}, expected 'nonsense'"
    assert str(refused.value) == found


def test_a_pattern_chooses_the_files_to_read(tmp_path: Path, dataset: Any) -> None:
    folder = numbered(tmp_path, "{}-{}", {"train": (6, 3), "validation": (3, 1)})
    chosen = {int(label) for _, label in dataset(folder / "train-0000[02]*")}
    assert chosen == {0, 2, 3, 5}
    assert len(list(dataset(f"{folder}/*-*", split="train+validation"))) == 9


def test_a_folder_of_validation_files_is_not_read_as_train(tmp_path: Path, dataset: Any) -> None:
    folder = numbered(tmp_path, "{}-{}", {"validation": (3, 1)})
    with pytest.raises(UsageError, match=r"found splits validation in .*, expected 'train'$"):
        dataset(folder)
    assert len(list(dataset(folder, split="validation"))) == 3


def test_a_shard_that_is_missing_is_named_when_the_dataset_is_opened(
    tmp_path: Path, dataset: Any
) -> None:
    folder = numbered(tmp_path, "{}-{}", {"train": (6, 3)})
    (folder / "train-00001-of-00003").unlink()
    with pytest.raises(DataError, match=r"found 2 files like train-.*: number 1 is missing"):
        dataset(folder)


# Images


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_raw_images_of_any_number_of_channels_are_read(tmp_path: Path, channels: int) -> None:
    pictures = [
        np.random.default_rng(seed).integers(0, 256, (6, 8, channels), np.uint8)
        for seed in range(3)
    ]
    payloads = [
        example.encode(
            {
                "image_raw": picture.tobytes(),
                "height": 6,
                "width": 8,
                "depth": channels,
                "label": number,
            }
        )
        for number, picture in enumerate(pictures)
    ]
    file = record_file(tmp_path / "x", *payloads)
    read = [image for image, _ in read_numpy.dataset(file, dtype="uint8")]
    expected = [np.broadcast_to(picture[..., :3], (6, 8, 3)) for picture in pictures]
    assert np.array_equal(read, expected)
    grey = channels == 1
    same(file, crop=(6, 8), seed=3, flip=True, channels=1 if grey else 3)
    same(file, crop=(4, 5), seed=3, dtype="uint16")


@pytest.mark.parametrize("kind", ["WEBP", "GIF", "BMP", "PNG", "JPEG"])
def test_all_readers_read_the_same_formats(tmp_path: Path, kind: str) -> None:
    payloads = [
        example.encode({"image/encoded": save(picture, kind), "image/class/label": 1})
        for picture in PICTURES[:2]
    ]
    file = record_file(tmp_path / "x", *payloads)
    same(file, crop=(4, 5), seed=3)


def test_two_images_in_a_feature_are_refused(tmp_path: Path, dataset: Any) -> None:
    two = Feature("bytes", [png(PICTURES[0]), png(PICTURES[1])])
    file = record_file(tmp_path / "x", example.encode({"image": two, "label": 1}))
    with pytest.raises(UsageError) as refused:
        dataset(file)
    assert str(refused.value) == f"image: {file}: 'image' holds 2 images a record, expected one"


def test_a_mask_and_a_depth_image_are_further_features(tmp_path: Path, dataset: Any) -> None:
    mask, depth = png(PICTURES[1][..., 0]), png(PICTURES[2][..., 0].astype(np.uint16) * 300)
    file = record_file(tmp_path / "x", labelled(0, mask=mask, depth=depth))
    ((_, _, further),) = dataset(file, features=["mask", "depth"])
    found = {
        name: value.numpy() if hasattr(value, "numpy") else value for name, value in further.items()
    }
    assert found == {"mask": mask, "depth": depth}


def test_a_nested_name_is_asked_for(tmp_path: Path, dataset: Any) -> None:
    action = Feature("float", [1, 2])
    payload = example.encode({"observation/image": png(PICTURES[0]), "action": action})
    file = record_file(tmp_path / "x", payload)
    with pytest.raises(UsageError, match=r"which is the image\? found action .list of float"):
        dataset(file)
    ((_, label),) = dataset(file, image="observation/image", label="action")
    assert np.asarray(label).tolist() == [1, 2]


# Records without an image


@pytest.fixture
def gaps(tmp_path: Path) -> Path:
    """Make six records of which every other one has an image; some of the rest have no label."""
    without = [{"image": Feature("bytes", []), "label": 8}, {"label": 7}, {}]
    payloads = [
        labelled(number, codes=Feature("int64", range(number)))
        if number % 2
        else example.encode(without[number // 2])
        for number in range(6)
    ]
    return record_file(tmp_path / "gaps", *payloads)


def test_a_record_without_an_image_is_refused(gaps: Path, dataset: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="skip"):
        dataset(gaps)
    later = record_file(tmp_path / "later", labelled(0), example.encode({"label": 1}))
    with pytest.raises(Exception, match="record 1: found no feature 'image', expected one value"):
        list(dataset(later))


BY_NUMBER = ("read_numpy.source", "read_torch.dataset", "read_keras.dataset")
SKIPPING = tuple(way for way in WAYS if not way.startswith(BY_NUMBER))


@needs("tensorflow")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shuffle": True, "epochs": 2},
        {"features": ["image", "codes[]"]},
        {"label": "codes", "multi_hot": 9},
    ],
)
def test_records_without_an_image_are_skipped_with_all_that_they_lack(
    gaps: Path, options: dict[str, Any]
) -> None:
    options = {"missing": "skip", "crop": (4, 5), **options}
    same(gaps, SKIPPING, **options)
    read = read_numpy.dataset(gaps, **options)
    assert len(list(read)) == 3 * options.get("epochs", 1)
    with pytest.raises(TypeError, match="the length is not known"):
        len(read)
    whole = read_numpy.dataset(gaps, missing="skip", image="image")
    assert [int(label) for _, label in whole] == [1, 3, 5]


def test_an_image_of_an_unknown_name_is_refused_without_reading_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error lists what the first records hold, not only the very first one."""
    shards = [example.encode({"label": 1}), *map(labelled, range(1000))]
    for number in range(2):
        record_file(tmp_path / f"train-{number:05d}-of-00002", *shards)
    read = 0

    def counted(path: Path) -> Any:
        nonlocal read
        for record in read_records(path):
            read += 1
            yield record

    monkeypatch.setattr(discover, "whole_records", counted)
    looked = "; looked for an image in the first 100 records of each file"
    for missing, most, more in (("fail", 100, ""), ("skip", 200, looked)):
        with pytest.raises(UsageError) as refused:
            read_numpy.dataset(tmp_path, image="photo", missing=missing)
        first = tmp_path / "train-00000-of-00002"
        assert str(refused.value) == (
            f"image: {first}: found no feature 'photo', expected one of label (int64), image (PNG)"
            f"{more}"
        )
        assert read <= most
        read = 0


def test_a_split_that_begins_with_many_records_without_an_image_is_refused(tmp_path: Path) -> None:
    file = record_file(tmp_path / "x", *[example.encode({"label": 1})] * 100, labelled(0))
    with pytest.raises(
        UsageError, match=r"looked for an image in the first 100 records of each file$"
    ):
        read_numpy.dataset(file, missing="skip")


ARRAY_RECORD = bytes.fromhex("83af70d10d884a3f000000000000000040000000000000")
"""The beginning of a file of array_record 0.5."""


def test_a_sound_file_of_another_format_is_named(tmp_path: Path, dataset: Any) -> None:
    """Where it is not the first file, too."""
    (tmp_path / "b").write_bytes(ARRAY_RECORD)
    found = f"{tmp_path}/b: not a TFRecord file: an ArrayRecord or Riegeli file"
    record_file(tmp_path / "a", labelled(0))
    for path in (tmp_path / "b", tmp_path):
        with pytest.raises(FramingError) as refused:
            dataset(path)
        assert str(refused.value) == found
    for command in ("extract", "reshard"):
        ran = tfrec(command, tmp_path / "b", tmp_path / "out")
        assert (ran.code, ran.err) == (1, f"tfrec: {found}\n")
    assert tfrec("inspect", tmp_path / "b", "--record", 0).err == f"tfrec: {found}\n"


def test_readers_by_number_skip_nothing(gaps: Path) -> None:
    for read in (read_numpy.source, READERS["read_torch"].dataset):
        with pytest.raises(UsageError, match="missing: found 'skip', expected 'fail'"):
            read(gaps, missing="skip")


def test_a_label_may_be_missing_only_with_the_image(tmp_path: Path) -> None:
    nameless = example.encode({"image": png(PICTURES[0])})
    file = record_file(tmp_path / "x", labelled(0), nameless)
    with pytest.raises(DataError, match="record 1: found no feature 'label', expected one value"):
        list(read_numpy.dataset(file, missing="skip"))


# Folders that TFDS prepared


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Let TFDS prepare two splits of a dataset with labels of two kinds."""
    root = tmp_path_factory.mktemp("prepared")
    features = tfds.features.FeaturesDict(
        {
            "photo": tfds.features.Image(shape=(None, None, 3)),
            "kind": tfds.features.ClassLabel(names=["cat", "big\x85dog", "owl"]),
            "colour": tfds.features.ClassLabel(names=["red", "blue"]),
            "note": tfds.features.Text(),
        }
    )

    def described(self: Any) -> Any:
        supervised = ("photo", "kind")
        return tfds.core.DatasetInfo(builder=self, features=features, supervised_keys=supervised)

    def examples(numbers: Any) -> Any:
        for number in numbers:
            values = {"kind": number % 3, "colour": number % 2, "note": f"n{number}"}
            yield number, {"photo": PICTURES[number % 6], **values}

    members = {
        "VERSION": tfds.core.Version("1.0.0"),
        "pkg_dir_path": root,
        "_info": described,
        "_generate_examples": lambda _, numbers: examples(numbers),
        "_split_generators": lambda *_: {
            "train": examples(range(4)),
            "test": examples(range(4, 8)),
        },
    }
    with tfds.core.registered.skip_registration():
        made: Any = type("Pets", (tfds.core.GeneratorBasedBuilder,), members)
    builder = made(data_dir=root)
    builder.download_and_prepare()
    return Path(builder.data_dir)


@needs("tensorflow", "tensorflow_datasets", "torch")
def test_a_folder_that_tfds_prepared_is_read_as_tfds_reads_it(prepared: Path) -> None:
    builder = tfds.builder_from_directory(prepared)
    for split in ("train", "test", "test+train[:50%]"):
        theirs = [*tfds.as_numpy(builder.as_dataset(split=split))]
        read = read_numpy.dataset(prepared, split=split, dtype="uint8", features=["note", "colour"])
        for (image, label, further), right in zip(read, theirs, strict=True):
            assert np.array_equal(image, right["photo"])
            assert (label, further) == (
                right["kind"],
                {"note": right["note"], "colour": right["colour"]},
            )
        assert read.targets.tolist() == [right["kind"] for right in theirs]
        assert read.class_names == ("cat", "big\x85dog", "owl")
    other = read_numpy.dataset(prepared, label="colour", one_hot=True)
    assert (other.class_names, other.num_classes) == (("red", "blue"), 2)
    assert read_numpy.dataset(prepared, label="note").class_names is None
    same(prepared, crop=(4, 5), seed=3, one_hot=True)


@needs("tensorflow_datasets")
def test_files_that_tfds_prepared_are_checked_when_the_folder_is_opened(
    prepared: Path, dataset: Any, tmp_path: Path
) -> None:
    prepared = shutil.copytree(prepared, tmp_path / "copy")
    shard = prepared / descriptions.read(prepared)["train"].shards[0]
    data = shard.read_bytes()
    record_file(shard, labelled(0))
    with pytest.raises(
        DataError, match=rf"{shard}: found 1 record, expected 4 by the dataset_info"
    ):
        dataset(prepared, image="image", label=None)
    shard.write_bytes(data[:-1])
    with pytest.raises(DataError, match=str(shard)):
        dataset(prepared)
    shard.unlink()
    with pytest.raises(DataError, match=f"{shard}: this file of the dataset is missing"):
        dataset(prepared)
