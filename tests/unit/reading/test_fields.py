"""Fields: what readers yield beside images, the same from all of them, and what they ask for."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import READERS, fill, needs, photo, png, read_torch, torch
from record_files import record_file
from yielded import WAYS, digest, records

from tfrec_cli import read_numpy
from tfrec_cli.commands.write import write
from tfrec_cli.dataset.names import KeyStyle
from tfrec_cli.errors import DataError, TfrecError, UsageError
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
    "old": {"shuffle": True, "flip": True, "dtype": "uint8", "seed": 3, "epoch": 2},
}
"""Each new option switched on, and some old ones."""

TOGETHER = [
    [],
    ["weight", "image"],
    ["weight", "multi hot"],
    ["text label", "features", "weight", "dictionary", "sum", "image", "old"],
    ["column", "weight", "dictionary", "one hot", "sum", "image", "old"],
    ["float label", "column", "weight", "dictionary", "sum", "image", "old"],
    ["no label", "features", "weight", "dictionary", "sum", "image", "old"],
    ["list label", "features", "weight", "dictionary", "sum", "image", "old"],
    ["features", "weight", "dictionary", "texts", "sum", "image", "old"],
    ["features", "weight", "dictionary", "multi hot", "sum", "image", "old"],
    ["text label", "column", "dictionary", "sum", "image"],
    ["features", "one hot", "old"],
    ["list label", "column", "weight", "dictionary", "sum", "old"],
    ["column", "dictionary", "multi hot", "sum"],
    ["float label", "features", "sum", "image"],
    ["no label", "column", "image"],
    ["column", "texts", "sum", "image", "old"],
]
"""What is switched on together: every pair that is possible, and each with others switched off."""

NEVER: dict[tuple[str, str], str] = {
    ("no label", "one hot"): "one_hot: found records without a label, expected one: label=NAME",
    ("no label", "weight"): "sample_weight: found records without a label, expected one",
    ("float label", "one hot"): ("one_hot: found score float, expected one class number a record"),
    ("text label", "one hot"): "one_hot: found note bytes, expected one class number a record",
    ("list label", "one hot"): "one_hot: found codes int64[], expected one class number a record",
    ("one hot", "multi hot"): "one_hot: found multi_hot too, expected one of them",
    ("one hot", "texts"): "one_hot: found multi_hot too, expected one of them",
    ("features", "weight"): (
        "sample_weight: found features too, expected one of them or as_supervised=False"
    ),
}
"""Pairs that are refused."""


def test_every_pair_of_options_is_read_or_refused() -> None:
    read = {pair for row in TOGETHER for pair in combinations(row, 2)}
    apart = {pair for pair in combinations(ON, 2) if {*ON[pair[0]]} & {*ON[pair[1]]}}
    assert {*combinations(ON, 2)} == read | apart | {*NEVER}


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
