"""Files for TFDS: dataset_info.json, features.json, the class names.

Knows: formats of TFDS; no other module does. Must not know: how files are written to disk.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

from tfrec_cli.dataset.manifest import Manifest, as_json
from tfrec_cli.dataset.names import TFDS_FEATURES, TFDS_INFO, labels_name
from tfrec_cli.dataset.records import NAMES
from tfrec_cli.tfrecord.record import OVERHEAD_BYTES

_PACKAGE = "tensorflow_datasets.core.features"


def describe(manifests: Sequence[Manifest], *, counts_framing: bool = False) -> dict[str, bytes]:
    """Make dataset_info.json, features.json and the class names.

    Features keep their names in the records, with slashes: TFDS accepts no nested features as
    ``supervisedKeys``.

    Args:
        counts_framing: make ``numBytes`` the sizes of files, as earlier versions did. For TFDS it
            is the bytes of all Examples.

    Source: TFDS 4.9, core/dataset_info.py, core/shuffle.py and core/features;
    docs/external_tfrecord.md.
    """
    first = manifests[0]
    info: dict[str, Any] = {
        "name": "dataset",
        "version": "1.0.0",
        "fileFormat": "tfrecord",
        "splits": [
            {
                "name": manifest.split,
                "shardLengths": [str(shard.records) for shard in manifest.shards],
                "numBytes": str(_size_bytes(manifest, counts_framing=counts_framing)),
                "filepathTemplate": "{SPLIT}-{SHARD_X_OF_Y}.{FILEFORMAT}",
            }
            for manifest in manifests
        ],
    }
    names = NAMES[first.keys]
    leaves: dict[str, Any] = {
        names.image: _image(first),
        str(names.key): _scalar("int64"),
        str(names.filename): _value("bytes"),
    }
    if first.labels is not None:
        leaves[str(names.label)] = {
            "pythonClassName": f"{_PACKAGE}.class_label_feature.ClassLabel",
            "classLabel": {"numClasses": str(len(first.labels))},
        }
        items = [{"featureKey": names.image}, {"featureKey": names.label}]
        info["supervisedKeys"] = {"tuple": {"items": items}}
    leaves |= _columns(manifests)
    features = {
        "pythonClassName": f"{_PACKAGE}.features_dict.FeaturesDict",
        "featuresDict": {"features": leaves},
    }
    files = {TFDS_INFO: as_json(info), TFDS_FEATURES: as_json(features)}
    if first.labels is not None:
        lines = b"".join(os.fsencode(name) + b"\n" for name in first.labels)
        if not _misreads(lines, first.labels):
            files[labels_name(str(names.label))] = lines
    return files


def _size_bytes(manifest: Manifest, *, counts_framing: bool) -> int:
    size_bytes = sum(shard.size_bytes for shard in manifest.shards)
    return size_bytes - (0 if counts_framing else manifest.records * OVERHEAD_BYTES)


def shard_lengths(data: bytes) -> Any:
    """Return each split's shardLengths in a dataset_info.json; None if it is not valid."""
    try:
        return {split["name"]: split["shardLengths"] for split in json.loads(data)["splits"]}
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def relative_boxes(data: bytes) -> set[str]:
    """Return the names of features that a features.json describes as boxes in TFDS' usual format.

    That is (ymin, xmin, ymax, xmax) as fractions. Versions that knew no other had another class.
    """
    try:
        return set(_boxes(json.loads(data), ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return set()


def _boxes(feature: dict[str, Any], name: str) -> Iterator[str]:
    if "sequence" in feature:
        yield from _boxes(feature["sequence"]["feature"], name)
    for part, inner in feature.get("featuresDict", {}).get("features", {}).items():
        yield from _boxes(inner, f"{name}/{part}" if name else part)
    is_older = feature.get("pythonClassName") == f"{_PACKAGE}.bbox_feature.BBoxFeature"
    if is_older or feature.get("boundingBox", {}).get("bboxFormat") == "REL_YXYX":
        yield name


def _misreads(lines: bytes, labels: Sequence[str]) -> bool:
    """Tell whether TFDS would silently read other class names from these lines.

    It strips each name and drops empty ones. If it can read none (not UTF-8), or there is no
    file, it names the classes by their numbers.
    """
    try:
        names = [name.strip() for name in lines.decode().splitlines() if name.strip()]
    except UnicodeDecodeError:
        return False
    return names not in ([], list(labels))


def _image(manifest: Manifest) -> dict[str, Any]:
    sides = manifest.crop or (-1, -1)
    shape = {"dimensions": [str(side) for side in (*sides, 3)]}
    if manifest.stored == "raw":
        return {
            "pythonClassName": f"{_PACKAGE}.tensor_feature.Tensor",
            "tensor": {"shape": shape, "dtype": "uint8", "encoding": "bytes"},
        }
    return {
        "pythonClassName": f"{_PACKAGE}.image_feature.Image",
        "image": {"shape": shape, "dtype": f"uint{manifest.depth}"},
    }


def _scalar(dtype: str) -> dict[str, Any]:
    return {
        "pythonClassName": f"{_PACKAGE}.scalar.Scalar",
        "tensor": {"shape": {}, "dtype": dtype, "encoding": "none"},
    }


def _columns(manifests: Sequence[Manifest]) -> dict[str, Any]:
    """Describe the columns: lists, and single values that every record of every split has.

    For TFDS a missing single value is an error, and a missing list is an empty one.
    """
    columns = [column for manifest in manifests for column in manifest.columns]
    optional = {column.name for column in columns if not column.is_everywhere}
    return {
        column.name: _list(column.kind) if column.is_list else _value(column.kind)
        for column in manifests[0].columns
        if column.is_list or column.name not in optional
    }


def _value(kind: str) -> dict[str, Any]:
    if kind == "bytes":
        return {"pythonClassName": f"{_PACKAGE}.text_feature.Text", "text": {}}
    return _scalar("float32" if kind == "float" else kind)


def _list(kind: str) -> dict[str, Any]:
    return {
        "pythonClassName": f"{_PACKAGE}.sequence_feature.Sequence",
        "sequence": {"feature": _value(kind), "length": "-1"},
    }
