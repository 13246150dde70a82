"""Fields: what readers yield beside images, the same from all of them, and what they ask for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import fields
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import OF_RECORDS, READERS, fill, needs, photo, png, read_torch, torch
from record_files import record_file
from yielded import WAYS, digest, records

from tfrec_cli import read_numpy
from tfrec_cli.commands.write import write
from tfrec_cli.dataset.names import KeyStyle
from tfrec_cli.errors import DataError, UsageError
from tfrec_cli.reading.options import ReadOptions
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.example import Feature
from tfrec_cli.writing.options import WriteOptions

ROWS: list[dict[str, Any]] = [
    {
        "label": ["cat", "dog", "owl"][number % 3],
        "score": number / 4,
        "count": number,
        "note": f"n{number}",
        "seed": 90 + number,
        "codes": [*range(number % 3)],
        "marks": [number / 8, 2.0],
        "tags": ["x", "y"][: number % 2 + 1],
        **({"rare": number, "words": ["a"]} if number % 2 else {}),
    }
    for number in range(5)
]
"""What an image list says of each image; ``rare`` and ``words`` are missing in some rows."""


def rows_of(split: str) -> list[dict[str, Any]]:
    return ROWS if split == "train" else ROWS[:3]


def image(split: str, number: int) -> bytes:
    """Return a picture of 6x7 pixels or a little more."""
    return png(photo(6 + number % 2, 7, number + 10 * len(split)))


def made(root: Path, keys: KeyStyle = "plain") -> Path:
    """Write a dataset of ours, with the splits train and val."""
    for split in ("train", "val"):
        rows = rows_of(split)
        files = {f"{split}{n}.png": image(split, n) for n in range(len(rows))}
        lines = [json.dumps({"path": name, **row}) for name, row in zip(files, rows, strict=True)]
        files[f"{split}.jsonl"] = "\n".join(lines).encode()
        fill(root, files)
        options = WriteOptions(jobs=1, shards=2, split=split, keys=keys)
        write(root / f"{split}.jsonl", root / "out", options)
    return root / "out"


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make files of another program with the same records, which have no keys."""
    folder = tmp_path_factory.mktemp("theirs")
    for split in ("train", "val"):
        payloads = []
        for number, row in enumerate(rows_of(split)):
            features: dict[str, Any] = {
                "image": image(split, number),
                "label": ["cat", "dog", "owl"].index(row["label"]),
                "score": Feature("float", [row["score"]]),
                "count": row["count"],
                "note": row["note"].encode(),
                "seed": row["seed"],
                "codes": Feature("int64", row["codes"]),
                "marks": Feature("float", row["marks"]),
                "tags": Feature("bytes", [tag.encode() for tag in row["tags"]]),
            }
            payloads.append(example.encode(features))
        record_file(folder / f"{split}.tfrecord", *payloads)
    return folder


ON: dict[str, dict[str, Any]] = {
    "no label": {"label": None},
    "float label": {"label": "score"},
    "text label": {"label": "note"},
    "list label": {"label": "codes"},
    "features": {"features": ["key", "score", "marks", "codes", "note", "tags[]", "seed"]},
    "column": {"features": ("column:seed", "count[]")},
    "weight": {"sample_weight": "score"},
    "dictionary": {"as_supervised": False},
    "one hot": {"one_hot": 3},
    "multi hot": {"label": "codes", "multi_hot": 4},
    "texts": {"label": "tags[]", "multi_hot": ["y", "x"]},
    "sum": {"split": "train+val[1:]"},
    "image": {"image": "image"},
    "center": {"crop_mode": "center"},
    "seed": {"seed": 3},
    "epoch": {"epoch": 2},
    "shuffle": {"shuffle": True},
    "shard": {"shard": (0, 2)},
    "start": {"start": 1},
    "flip": {"flip": True},
    "brightness": {"brightness": 0.3},
    "uint8": {"dtype": "uint8"},
    "uint16": {"dtype": "uint16"},
    "pad": {"small": "pad", "crop": (7, 8)},
    "two views": {"views": 2, "flip": True},
    "three views": {"views": 3, "brightness": 0.3},
    "blocks": {"shuffle": "blocks"},
    "order seed": {"order_seed": 5},
    "even": {"even": "repeat"},
}
"""Each option of all readers switched on."""

ELSEWHERE = {
    "mix": "it stands in place of a path",
    "batch_size": "each reader is tried with and without it",
    "drop_remainder": "it needs batches",
    "epochs": "not every reader has it",
    "parallel": "not every reader has it",
    "channels": "it needs grey images",
    "missing": "it needs records without an image",
}
"""Options that have their own tests."""

WEIGHT_AND_FEATURES = (
    "sample_weight: found features too, expected one of them or as_supervised=False"
)

NEVER: dict[tuple[str, str], str] = {
    ("no label", "one hot"): "one_hot: found records without a label, expected one: label=NAME",
    ("no label", "weight"): "sample_weight: found records without a label, expected one",
    ("float label", "one hot"): ("one_hot: found score float, expected one class number a record"),
    ("text label", "one hot"): "one_hot: found note bytes, expected one class number a record",
    ("list label", "one hot"): "one_hot: found codes int64[], expected one class number a record",
    ("one hot", "multi hot"): "one_hot: found multi_hot too, expected one of them",
    ("one hot", "texts"): "one_hot: found multi_hot too, expected one of them",
    ("features", "weight"): WEIGHT_AND_FEATURES,
    ("column", "weight"): WEIGHT_AND_FEATURES,
}
"""Pairs that are refused."""


State = dict[str, bool]
"""Which options are switched on."""


def is_possible(state: State) -> bool:
    on = [name for name, is_on in state.items() if is_on]
    given = [option for name in on for option in ON[name]]
    refused = [pair for pair in NEVER if {*pair} <= {*on}]
    if "dictionary" in on:
        refused = [pair for pair in refused if "weight" not in pair]
    return len({*given}) == len(given) and not refused


def pairs_of(state: State) -> set[tuple[tuple[str, bool], ...]]:
    return {*combinations(((name, state[name]) for name in ON if name in state), 2)}


def covering() -> tuple[list[list[str]], set[frozenset[str]]]:
    """Combine options until each two were on together, off together, and each without the other.

    Returns:
        What is on in each combination, and the pairs that are never on together.
    """
    states = [
        dict(zip(names, values, strict=True))
        for names in combinations(ON, 2)
        for values in product((True, False), repeat=2)
    ]
    states = [one if is_possible(one) else {**one, "dictionary": True} for one in states]
    left = [one for one in states if is_possible(one)]
    apart = {frozenset([*one][:2]) for one in states if not is_possible(one)}
    missing = set().union(*map(pairs_of, left))
    rows = []
    for begun in left:
        if not pairs_of(begun) & missing:
            continue
        state = dict(begun)
        for name in ON:
            both = [{name: is_on, **state} for is_on in (True, False)]
            state = max(filter(is_possible, both), key=lambda one: len(pairs_of(one) & missing))
        missing -= pairs_of(state)
        rows.append([name for name in ON if state[name]])
    assert not missing
    return rows, apart


TOGETHER, APART = covering()


def test_every_option_is_combined_with_every_other() -> None:
    options = {option for given in ON.values() for option in given}
    assert options | {*ELSEWHERE} == {one.name for one in fields(ReadOptions)}
    both = {frozenset(pair) for pair in combinations(ON, 2) if {*ON[pair[0]]} & {*ON[pair[1]]}}
    with_dictionary = {frozenset(pair) for pair in NEVER if "weight" in pair}
    assert both | {*map(frozenset, NEVER)} - with_dictionary == APART


def asked(names: Iterable[str]) -> dict[str, Any]:
    return {option: value for name in names for option, value in ON[name].items()}


@needs("tensorflow", "torch")
@pytest.mark.parametrize("whose", ["ours", "theirs"])
@pytest.mark.parametrize("names", TOGETHER, ids=", ".join)
def test_all_readers_yield_the_same(
    request: pytest.FixtureRequest, whose: str, names: list[str]
) -> None:
    options = {"crop": (4, 5), **asked(names)}
    if whose == "theirs" and "features" in names:
        options["features"] = [name for name in options["features"] if name != "key"]
    path = request.getfixturevalue(whose)
    found = {way: digest(way, path, **options) for way in WAYS}
    assert len(set(found.values())) == 1, found


@needs("tensorflow", "torch")
@pytest.mark.parametrize(("names", "message"), NEVER.items(), ids=map(str, NEVER))
def test_all_readers_refuse_the_same(
    ours: Path, theirs: Path, names: tuple[str, str], message: str
) -> None:
    for path, reader in product((ours, theirs), READERS.values()):
        with pytest.raises(UsageError) as refused:
            reader.dataset(path, crop=(4, 5), **asked(names))
        assert str(refused.value) == message


# Values


def rows_read(path: Path, *features: str, **options: Any) -> dict[str, dict[str, Any]]:
    """Read a split without a framework: the fields of each record by the name of its file."""
    options = {"features": ["filename", *features], "as_supervised": False, **options}
    read = read_numpy.dataset(path, **options)
    return {one.pop("filename").decode(): one for one in read}


def test_values_are_those_of_the_image_list(ours: Path) -> None:
    read = rows_read(ours, "score", "count", "note", "codes", "marks", "tags", "rare[]", "words")
    assert sorted(read) == [f"train{number}.png" for number in range(len(ROWS))]
    for name, found in read.items():
        row = ROWS[int(name[5])]
        assert found["label"] == ["cat", "dog", "owl"].index(row["label"])
        assert (found["score"], found["count"]) == (row["score"], row["count"])
        assert found["note"] == row["note"].encode()
        assert found["codes"].tolist() == row["codes"]
        assert found["marks"].tolist() == row["marks"]
        assert found["tags"].tolist() == [tag.encode() for tag in row["tags"]]
        assert found["rare[]"].tolist() == ([row["rare"]] if "rare" in row else [])
        assert found["words"].tolist() == [word.encode() for word in row.get("words", [])]
        types = {key: value.dtype.name for key, value in found.items() if key != "note"}
        assert types == {
            "image": "float32",
            "label": "int64",
            "score": "float32",
            "count": "int64",
            "codes": "int64",
            "marks": "float32",
            "tags": "object",
            "rare[]": "int64",
            "words": "object",
        }


@pytest.mark.parametrize("label", ["codes", "words", "rare[]", "count[]"])
def test_a_label_may_be_a_list_that_some_records_lack(ours: Path, label: str) -> None:
    for name, found in rows_read(ours, label=label).items():
        wanted = ROWS[int(name[5])].get(label.removesuffix("[]"), [])
        texts = [one.encode() if isinstance(one, str) else one for one in np.ravel(wanted).tolist()]
        assert found["label"].tolist() == texts


def test_one_hot_and_multi_hot_are_vectors(ours: Path) -> None:
    for name, found in rows_read(ours, one_hot=True).items():
        assert found["label"].tolist() == np.eye(3)[int(name[5]) % 3].tolist()
        assert found["label"].dtype == np.float32
    for name, found in rows_read(ours, label="codes", multi_hot=4).items():
        codes = ROWS[int(name[5])]["codes"]
        assert found["label"].tolist() == [float(number in codes) for number in range(4)]
    for name, found in rows_read(ours, label="tags", multi_hot=("y", "x")).items():
        assert found["label"].tolist() == [float(int(name[5]) % 2), 1.0]


def test_multi_hot_takes_labels_of_other_programs_as_lists(tmp_path: Path) -> None:
    """Although the first record has one value, as single labels have."""
    payloads = [
        example.encode({"image": png(photo(4, 4)), "label": Feature("int64", numbers)})
        for numbers in ([1], [0, 2], [])
    ]
    file = record_file(tmp_path / "x", *payloads)
    labels = [label.tolist() for _, label in read_numpy.dataset(file, multi_hot=3)]
    assert labels == [[0, 1, 0], [1, 0, 1], [0, 0, 0]]
    lists = [label.tolist() for _, label in read_numpy.dataset(file, label="label[]")]
    assert lists == [[1], [0, 2], []]
    several = "record 1: found 2 values of feature 'label', expected one: 'label[]' yields lists"
    with pytest.raises(DataError, match=re.escape(several)):
        list(read_numpy.dataset(file))
    with pytest.raises(DataError, match=re.escape(several)):
        read_numpy.dataset(file).targets  # noqa: B018


def test_several_weights_are_an_error_that_suggests_no_list(tmp_path: Path) -> None:
    payloads = [
        example.encode({"image": png(photo(4, 4)), "label": 1, "w": Feature("float", weights)})
        for weights in ([1.0], [1.0, 2.0])
    ]
    file = record_file(tmp_path / "x", *payloads)
    with pytest.raises(DataError, match=r"record 1: found 2 values of feature 'w', expected one$"):
        list(read_numpy.dataset(file, sample_weight="w"))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("feature", ["key", "label", "count", "image", "filename"])
def test_a_feature_may_be_read_as_a_value_and_as_a_list(ours: Path, way: str, feature: str) -> None:
    for _, _, found in records(way, ours, crop=(4, 5), features=[feature, f"{feature}[]"]):
        one, several = found.values()
        alone = several[0] if isinstance(several, list) else (several[0], (), several[2])
        assert alone == one


def test_the_layout_of_tf_models_has_the_same_names(tmp_path: Path) -> None:
    path = made(tmp_path, keys="tf-models")
    (found, *_) = rows_read(path, "key", "height", "image/class/text").values()
    names = ["image", "label", "key", "height", "image/class/text"]
    assert [*found] == names
    with pytest.raises(UsageError, match="features: found no feature 'column:key', expected one"):
        read_numpy.dataset(path, features=["column:key"])


# What is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"features": ["rare"]},
            "features: 'rare' is missing in some records: 'rare[]' yields lists, which may be "
            "empty",
        ),
        (
            {"label": "rare"},
            "label: 'rare' is missing in some records: 'rare[]' yields lists, which may be empty",
        ),
        (
            {"sample_weight": "rare"},
            "sample_weight: 'rare' is missing in some records, expected a number a record",
        ),
        ({"sample_weight": "note"}, "sample_weight: found note bytes, expected a number a record"),
        (
            {"sample_weight": "marks"},
            "sample_weight: found marks float[], expected a number a record",
        ),
        (
            {"features": ["label"], "as_supervised": False},
            "features: 'label' is there already with as_supervised=False, expected other names",
        ),
        ({"one_hot": True, "label": "count"}, "one_hot: found no class names, expected the number"),
        ({"multi_hot": True, "label": "codes"}, "multi_hot: found no class names, expected the"),
        (
            {"multi_hot": 3},
            "multi_hot: found label int64, expected a list of class numbers or texts: "
            "label='label[]' yields lists",
        ),
        ({"multi_hot": 3, "label": "marks"}, "multi_hot: found marks float[], expected a list of"),
        ({"multi_hot": 3, "label": "tags"}, "multi_hot: found texts, expected the list of all"),
        ({"multi_hot": True, "label": "tags"}, "multi_hot: found texts, expected the list of all"),
        ({"multi_hot": ["a"], "label": "codes"}, "multi_hot: found numbers, expected the number"),
        ({"multi_hot": 3, "label": None}, "multi_hot: found records without a label, expected"),
        ({"image": "note"}, "image: {}: 'note' holds 2 bytes, expected one image"),
        ({"image": ""}, "image: {}: found no feature '', expected one of "),
        ({"image": "picture"}, "image: {}: found no feature 'picture', expected one of "),
        ({"label": "target"}, "label: {}: found no feature 'target', expected one of "),
    ],
    ids=str,
)
def test_what_a_feature_cannot_be_is_refused(
    ours: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as refused:
        read_numpy.dataset(ours, **options)
    shard = ours / "train-00000-of-00002.tfrecord"
    assert str(refused.value).startswith(message.format(shard))


def test_a_feature_that_is_not_there_is_refused_with_a_list_of_those_that_are(ours: Path) -> None:
    with pytest.raises(UsageError) as refused:
        read_numpy.dataset(ours, features=["colour"])
    assert str(refused.value) == (
        "features: found no feature 'colour', expected one of codes int64[], count int64, "
        "filename bytes, height int64, image bytes, key int64, label int64, marks float[], "
        "note bytes, score float, seed int64, tags bytes[], width int64, window int64, "
        "rare int64, words bytes[]"
    )


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"one_hot": 2}, "feature 'label': found 2, expected one of 2 classes"),
        (
            {"label": "tags", "multi_hot": ["x"]},
            "feature 'tags': found 'y', expected one of 1 classes",
        ),
    ],
)
@pytest.mark.parametrize("reader", OF_RECORDS)
def test_a_label_that_is_no_class_is_an_error_that_names_the_record(
    ours: Path, reader: str, options: dict[str, Any], found: str
) -> None:
    opened = READERS[reader].dataset(ours, crop=(4, 5), **options)
    with pytest.raises(Exception, match=rf"record \d: {found}"):
        list(opened)


def test_a_text_that_is_not_utf_8_is_no_class(tmp_path: Path) -> None:
    features = {"image": png(photo(4, 4)), "tags": Feature("bytes", [b"\xff"])}
    file = record_file(tmp_path / "x", example.encode(features))
    with pytest.raises(DataError, match=r"record 0: feature 'tags': found .*, expected one of 1"):
        list(read_numpy.dataset(file, label="tags", multi_hot=["a"]))


# The seed pair, and transforms


def pair(key: int, seed: int, epoch: int) -> tuple[int, int]:
    return seed + epoch * 2**32, key | 16 * 2**56


@pytest.mark.parametrize(("seed", "epoch"), [(0, 0), (7, 3), (2**32 - 1, 2**31 - 1)])
def test_the_seed_pair_is_made_of_seed_epoch_and_key(ours: Path, seed: int, epoch: int) -> None:
    for found in rows_read(ours, "key", "seed", seed=seed, epoch=epoch).values():
        assert tuple(found["seed"]) == pair(int(found["key"]), seed, epoch)


def test_the_pair_of_a_record_without_a_key_has_its_number(theirs: Path) -> None:
    read = read_numpy.dataset(theirs, features=["seed"], seed=5, shuffle=True)
    numbers = [int(found["seed"][1]) - 16 * 2**56 for *_, found in read]
    assert numbers != sorted(numbers) == [*range(len(ROWS))]


def test_a_stored_column_of_this_name_is_read_by_its_full_name(ours: Path) -> None:
    for name, found in rows_read(ours, "column:seed", "seed[]").items():
        assert found["column:seed"] == found["seed[]"] == 90 + int(name[5])


class Noted:
    """A transform that keeps the seed pairs that it gets, and adds them to the images."""

    def __init__(self) -> None:
        self.pairs: list[tuple[int, int]] = []

    def __call__(self, image: Any, *, seed: tuple[int, int]) -> Any:
        self.pairs.append(seed)
        return image + seed[1] % 7


def test_transforms_of_all_readers_get_the_same_pairs(ours: Path) -> None:
    options: dict[str, Any] = {"crop": (4, 5), "seed": 3, "epoch": 2}
    keys = [int(found["key"]) for *_, found in read_numpy.dataset(ours, features=["key"])]
    plain = [image for image, _ in read_numpy.dataset(ours, **options)]
    expected = [image + pair(key, 3, 2)[1] % 7 for image, key in zip(plain, keys, strict=True)]
    for reads in ("dataset", "batches", "source", "torch"):
        noted = Noted()
        if reads == "torch":
            found = [
                np.moveaxis(image.numpy(), 0, -1)
                for image, _ in read_torch.dataset(ours, transform=noted, **options)
            ]
        elif reads == "source":
            found = [image for image, _ in read_numpy.source(ours, transform=noted, **options)]
        else:
            size = 2 if reads == "batches" else None
            read = read_numpy.dataset(ours, transform=noted, batch_size=size, parallel=1, **options)
            found = [one for image, _ in read for one in (image if size else [image])]
        assert noted.pairs == [pair(key, 3, 2) for key in keys], reads
        assert np.array_equal(found, expected), reads


def test_a_transform_can_be_set_later(ours: Path) -> None:
    source = read_numpy.source(ours, crop=(4, 5))
    image, _ = source[0]
    source.transform = lambda image: image[:2]
    assert source.transform is not None
    assert np.array_equal(source[0][0], image[:2])
    with pytest.raises(UsageError, match="transform: found 3, expected a function or None"):
        source.transform = 3  # type: ignore[assignment]
    source.transform = None
    assert np.array_equal(source[0][0], image)


def test_single_images_may_become_of_any_size(ours: Path) -> None:
    def cut(image: Any, seed: tuple[int, int]) -> Any:
        return image[: 1 + seed[1] % 3]

    read = [image for image, _ in read_numpy.dataset(ours, crop=(4, 5), transform=cut)]
    source = read_numpy.source(ours, crop=(4, 5), transform=cut)
    assert len({image.shape for image in read}) > 1
    assert all(np.array_equal(*both) for both in zip(read, (one for one, _ in source), strict=True))


def test_a_batch_of_no_image_is_left_out_after_a_transform(tmp_path: Path) -> None:
    """The first two images are smaller than the crop."""
    sizes = [3, 3, 6, 7, 8]
    payloads = [example.encode({"image": png(photo(size, size))}) for size in sizes]
    file = record_file(tmp_path / "x", *payloads)
    read = read_numpy.dataset(
        file, crop=5, small="skip", dtype="uint8", batch_size=2, transform=lambda image: image[:2]
    )
    assert [(images.shape, images.dtype.name) for images in read] == [
        ((2, 2, 5, 3), "uint8"),
        ((1, 2, 5, 3), "uint8"),
    ]


# PyTorch's batches


@needs("torch")
@pytest.mark.parametrize("as_supervised", [True, False])
def test_collate_keeps_lists_and_stacks_the_rest(ours: Path, as_supervised: bool) -> None:
    names = ["codes", "tags", "note", "score", "seed"]
    opened = read_torch.dataset(ours, crop=(4, 5), features=names, as_supervised=as_supervised)
    samples = opened[:3]
    assert len(samples) == 3
    batch = opened.collate(samples)
    image, label, found = batch if as_supervised else (batch["image"], batch["label"], batch)
    assert (image.shape, label.shape) == ((3, 3, 4, 5), (3,))
    assert [type(found[name]).__name__ for name in names] == [
        "list",
        "list",
        "list",
        "Tensor",
        "Tensor",
    ]
    one = samples[1][2] if as_supervised else samples[1]
    assert torch.equal(found["codes"][1], one["codes"])
    assert (found["tags"][1], found["note"][1]) == (one["tags"], one["note"])
    assert (found["score"][1], found["seed"].shape) == (one["score"], (3, 2))


@needs("torch")
def test_collate_is_pytorchs_own_without_lists(ours: Path) -> None:
    opened = read_torch.dataset(ours, crop=(4, 5))
    images, labels = opened.collate(opened.__getitems__([4, 0]))
    assert torch.equal(images[1], opened[0][0])
    assert labels.tolist() == [opened[4][1], opened[0][1]]
