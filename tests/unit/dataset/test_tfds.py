"""Datasets that TFDS prepared: their files, image, label and class names; boxes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import tfds

from tfrec_cli.dataset import tfds as described
from tfrec_cli.dataset.tfds import Prepared, relative_boxes
from tfrec_cli.errors import DataError


def test_boxes_of_the_usual_format_are_found_as_tfds_describes_them(tmp_path: Path) -> None:
    features = tfds.features
    described = features.FeaturesDict(
        {
            "image": features.Image(),
            "objects": features.Sequence(
                {"bbox": features.BBoxFeature(), "label": features.ClassLabel(num_classes=2)}
            ),
            "bbox": features.BBoxFeature(),
            "boxes": features.Sequence(features.BBoxFeature()),
            "pixels": features.BBoxFeature(bbox_format="XYWH"),
            "unknown": features.BBoxFeature(bbox_format=None),
            "numbers": features.Tensor(shape=(4,), dtype=np.float32),
        }
    )
    described.save_config(tmp_path)
    data = (tmp_path / "features.json").read_bytes()
    assert relative_boxes(data) == {"objects/bbox", "bbox", "boxes"}


def test_boxes_of_the_version_that_knew_one_format_are_found() -> None:
    name = "tensorflow_datasets.core.features.bbox_feature.BBoxFeature"
    features = {"bbox": {"pythonClassName": name, "tensor": {"dtype": "float32"}}}
    described = {"featuresDict": {"features": features}}
    assert relative_boxes(json.dumps(described).encode()) == {"bbox"}


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b'{"sequence": 1}', b'{"sequence": {}}', b"[" * 100_000, b"\xff"],
)
def test_a_damaged_description_describes_no_boxes(data: Any) -> None:
    assert relative_boxes(data) == set()


# Folders that TFDS prepared

CLASSES = "tensorflow_datasets.core.features"


def leaf(kind: str) -> dict[str, Any]:
    return {"pythonClassName": f"{CLASSES}.{kind.lower()}_feature.{kind}"}


def dictionary(**features: Any) -> dict[str, Any]:
    return {
        "pythonClassName": f"{CLASSES}.features_dict.FeaturesDict",
        "featuresDict": {"features": features},
    }


def folder(root: Path, features: dict[str, Any], *pair: str, **info: Any) -> Path:
    """Write the two files of a folder of the splits train, of three files, and test."""
    splits = [
        {"name": "train", "shardLengths": ["3", "3", "2"]},
        {"name": "test", "shardLengths": ["4"]},
        {"name": "none", "shardLengths": []},
    ]
    items = {"tuple": {"items": [{"featureKey": key} for key in pair]}} if pair else {}
    told = {"name": "pets", "splits": splits, "supervisedKeys": items, **info}
    (root / "dataset_info.json").write_text(json.dumps(told))
    (root / "features.json").write_text(json.dumps(features))
    return root


SIMPLE = dictionary(image=leaf("Image"), label=leaf("ClassLabel"), note=leaf("Text"))


def test_splits_are_described_with_the_names_of_their_files(tmp_path: Path) -> None:
    assert described.read(folder(tmp_path, SIMPLE)) == {
        "train": Prepared(
            tuple(f"pets-train.tfrecord-0000{number}-of-00003" for number in range(3)),
            (3, 3, 2),
            "image",
            "label",
        ),
        "test": Prepared(("pets-test.tfrecord-00000-of-00001",), (4,), "image", "label"),
    }


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{SPLIT}-{SHARD_X_OF_Y}.{FILEFORMAT}", "test-00000-of-00001.tfrecord"),
        (
            "${DATASET}_${SPLIT}_${SHARD_INDEX}_${NUM_SHARDS}.${FILEFORMAT}",
            "pets_test_00000_00001.tfrecord",
        ),
    ],
)
def test_a_template_tells_the_names_of_files(tmp_path: Path, template: str, name: str) -> None:
    splits = [{"name": "test", "shardLengths": ["4"], "filepathTemplate": template}]
    assert described.read(folder(tmp_path, SIMPLE, splits=splits))["test"].shards == (name,)


@pytest.mark.parametrize(
    ("features", "pair", "expected"),
    [
        (SIMPLE, ("image", "note"), ("image", "note")),
        (SIMPLE, ("note", "label"), ("image", "label")),
        (SIMPLE, ("image", "gone"), ("image", "label")),
        (
            dictionary(left=leaf("Image"), right=leaf("Image"), label=leaf("ClassLabel")),
            (),
            (None, "label"),
        ),
        (
            dictionary(left=leaf("Image"), right=leaf("Image"), label=leaf("ClassLabel")),
            ("right", "label"),
            ("right", "label"),
        ),
        (
            dictionary(steps=dictionary(image=leaf("Image"), action=leaf("ClassLabel"))),
            (),
            ("steps/image", "steps/action"),
        ),
        (dictionary(image=leaf("Image"), a=leaf("ClassLabel"), b=leaf("ClassLabel")), (), None),
    ],
    ids=str,
)
def test_image_and_label_are_those_to_learn_from_or_the_only_ones(
    tmp_path: Path, features: Any, pair: tuple[str, ...], expected: Any
) -> None:
    found = described.read(folder(tmp_path, features, *pair))["train"]
    assert (found.image, found.label) == (expected or ("image", None))


@pytest.mark.parametrize(
    ("info", "features", "message"),
    [
        ("{", "{}", "dataset_info.json or features.json: not JSON"),
        ("{}", "[" * 100_000, "dataset_info.json or features.json: not JSON"),
        ("[]", "{}", "found no description of splits and features"),
        ("{}", "[]", "found no description of splits and features"),
        ('{"splits": 3}', json.dumps(SIMPLE), "found no description of splits and features"),
        (
            '{"name": "x", "splits": [{"name": "a", "shardLengths": ["b"]}]}',
            json.dumps(SIMPLE),
            "found no description of splits and features",
        ),
        (
            '{"name": "x", "fileFormat": "array", "splits": [{"name": "a", "shardLengths": [1]}]}',
            json.dumps(SIMPLE),
            "found files of format array, expected tfrecord",
        ),
    ],
)
def test_a_damaged_description_is_refused(
    tmp_path: Path, info: str, features: str, message: str
) -> None:
    (tmp_path / "dataset_info.json").write_text(info)
    (tmp_path / "features.json").write_text(features)
    with pytest.raises(DataError, match=message):
        described.read(tmp_path)


def test_a_folder_without_both_files_was_not_prepared(tmp_path: Path) -> None:
    assert described.read(tmp_path) == {}
    (folder(tmp_path, SIMPLE) / "features.json").unlink()
    assert described.read(tmp_path) == {}


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        (b"cat\ndog\n", ("cat", "dog")),
        (b" cat \r\n\n\tbig dog\r\n", ("cat", "big dog")),
        ("a\x85b\nc\u2028d\x0be".encode(), ("a\x85b", "c\u2028d\x0be")),
        (b"caf\xe9\n", ("caf\udce9",)),
    ],
)
def test_class_names_are_read_as_by_tfds(
    tmp_path: Path, lines: bytes, names: tuple[str, ...]
) -> None:
    (tmp_path / "objects-label.labels.txt").write_bytes(lines)
    assert described.class_names(tmp_path, "objects/label") == names
    assert described.class_names(tmp_path, "label") is None
    assert described.class_names(tmp_path, None) is None
