"""Boxes in the features.json of datasets that TFDS wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import tfds

from tfrec_cli.dataset.tfds import relative_boxes


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
