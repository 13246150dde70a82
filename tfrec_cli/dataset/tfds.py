"""Files of TFDS: dataset_info.json, features.json, the class names; written and read.

Knows: formats of TFDS; no other module does. Must not know: how files are written to disk.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tfrec_cli.dataset.manifest import Manifest, as_json
from tfrec_cli.dataset.names import TFDS_FEATURES, TFDS_INFO, labels_name
from tfrec_cli.dataset.records import NAMES
from tfrec_cli.errors import DataError
from tfrec_cli.tfrecord.record import OVERHEAD_BYTES

_LEARNT = ("Image", "ClassLabel")
"""Classes of features from which, and towards which, a model learns."""

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


class Prepared(NamedTuple):
    """What TFDS tells of a split that it prepared.

    Attributes:
        shards: names of the files, in order.
        records: number of records in each.
        image, label: names of features; None if the description does not tell one for certain.
    """

    shards: tuple[str, ...]
    records: tuple[int, ...]
    image: str | None
    label: str | None


def read(folder: Path) -> dict[str, Prepared]:
    """Read what TFDS tells of a folder that it prepared, for each split.

    Returns:
        Nothing if it did not prepare the folder.
    Raises:
        DataError: the description is damaged, or files are no TFRecords.
    """
    try:
        info = json.loads((folder / TFDS_INFO).read_bytes())
        described = json.loads((folder / TFDS_FEATURES).read_bytes())
    except OSError:
        return {}
    except (ValueError, RecursionError) as error:
        raise DataError(f"{folder}: {TFDS_INFO} or {TFDS_FEATURES}: not JSON") from error
    try:
        image, label = _supervised(info, _leaves(described))
        return {
            split["name"]: Prepared(
                shards=_files(info, split),
                records=tuple(map(int, split["shardLengths"])),
                image=image,
                label=label,
            )
            for split in info["splits"]
            if split.get("shardLengths")
        }
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        found = f"found no description of splits and features ({type(error).__name__}: {error})"
        raise DataError(f"{folder / TFDS_INFO}: {found}, expected that of TFDS") from error


def class_names(folder: Path, feature: str | None) -> tuple[str, ...] | None:
    """Return the class names in the file of a feature, as TFDS reads it; None if there is none."""
    for joint in "-.":  # of nested features; of a feature whose name has slashes
        file = folder / labels_name(feature or "", joint)
        if feature and file.is_file():
            lines = os.fsdecode(file.read_bytes()).split("\n")
            return tuple(name.strip() for name in lines if name.strip())
    return None


def _files(info: dict[str, Any], split: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of a split's files."""
    kind = info.get("fileFormat") or "tfrecord"
    if kind != "tfrecord":
        raise DataError(f"{TFDS_INFO}: found files of format {kind}, expected tfrecord")
    count = len(split["shardLengths"])
    template = split.get("filepathTemplate") or "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    names = []
    for number in range(count):
        index, of = f"{number:05d}", f"{count:05d}"
        values = {
            "DATASET": info["name"],
            "SPLIT": split["name"],
            "FILEFORMAT": kind,
            "SHARD_INDEX": index,
            "NUM_SHARDS": of,
            "SHARD_X_OF_Y": f"{index}-of-{of}",
        }
        names.append(re.sub(r"\$?\{(\w+)\}", lambda found, of=values: of[found[1]], template))
    return tuple(names)


def _leaves(described: Any, prefix: str = "") -> dict[str, str]:
    """Return the names of features in records, nested ones with slashes, and their classes."""
    inner = described.get("featuresDict")
    if inner is None:
        return {prefix: described["pythonClassName"].rpartition(".")[2]}
    found: dict[str, str] = {}
    for name, feature in inner["features"].items():
        found |= _leaves(feature, f"{prefix}/{name}" if prefix else name)
    return found


def _supervised(info: dict[str, Any], leaves: dict[str, str]) -> tuple[str | None, str | None]:
    """Return the names of image and label: those to learn from, or else the only ones."""
    try:
        pair = [item["featureKey"] for item in info["supervisedKeys"]["tuple"]["items"]]
    except KeyError:
        pair = []
    images, classes = ([*filter(lambda name: leaves[name] == kind, leaves)] for kind in _LEARNT)
    image = images[0] if len(images) == 1 else None
    label = classes[0] if len(classes) == 1 else None
    if len(pair) == 2 and pair[0] in images and pair[1] in leaves:
        image, label = pair
    return image, label


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
