"""Names of splits and of all files in a dataset; styles of feature names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tfrec_cli.tfrecord.compression import WrittenCompression

KeyStyle = Literal["plain", "tf-models"]
Missing = Literal["fail", "skip"]
"""What to do with a record of another program that has no image."""

SPLIT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")

MOST_NAME_BYTES = 255
"""The longest file name that Linux and macOS allow."""

LARGEST_LABEL = 999_999
"""The largest class number: a manifest names every class up to the largest one."""

MANIFEST_SUFFIX = ".manifest.json"
REJECTS_SUFFIX = ".rejects.jsonl"
TARGETS_SUFFIX = ".targets"
SUMS = "SHA256SUMS"
INDEX_SUFFIX = ".tfindex"

TFDS_INFO = "dataset_info.json"
TFDS_FEATURES = "features.json"

NOTE_SUFFIX = ".whole"
"""Suffix of the note that a shard of an unfinished write is complete."""

LOCK = ".tfrec.lock"
_PARTIAL_SUFFIX = ".partial"


def shard_name(split: str, index: int, count: int, compression: WrittenCompression = "none") -> str:
    """Return a shard's file name, such as ``train-00000-of-00004.tfrecord``."""
    ending = ".tfrecord.gz" if compression == "gzip" else ".tfrecord"
    return f"{split}-{index:05d}-of-{count:05d}{ending}"


def index_name(shard: str) -> str:
    """Return the name of a shard's index file: the reader of vahidk/tfrecord requires this one."""
    return shard.removesuffix(".tfrecord") + INDEX_SUFFIX


def labels_name(feature: str, joint: str = ".") -> str:
    """Return the name of the file from which TFDS reads the class names of a feature.

    Args:
        joint: what replaces a slash in the name; it depends on the version of TFDS.
    """
    return f"{feature.replace('/', joint)}.labels.txt"


def partial_name(split: str) -> str:
    """Return the name of the folder that holds an unfinished split."""
    return f".{split}{_PARTIAL_SUFFIX}"


def partial_folders(folder: Path) -> Iterator[tuple[str, Path]]:
    """Iterate (split, folder) of the unfinished writes in ``folder``, sorted."""
    for path in sorted(folder.glob(partial_name("*"))):
        yield path.name[1:].removesuffix(_PARTIAL_SUFFIX), path


def is_sidecar(name: str) -> bool:
    """Tell whether a file of a dataset describes records, but holds none."""
    endings = (MANIFEST_SUFFIX, REJECTS_SUFFIX, TARGETS_SUFFIX, INDEX_SUFFIX, labels_name(""))
    return name in (SUMS, TFDS_INFO, TFDS_FEATURES) or name.endswith(endings)


def is_of_writer(name: str) -> bool:
    """Tell whether only writers use this file or folder of a dataset."""
    return name == LOCK or re.fullmatch(rf"\..+{re.escape(_PARTIAL_SUFFIX)}", name) is not None


def is_of_split(name: str, split: str) -> bool:
    """Tell whether a write of ``split`` gives a file this name."""
    shard = r"-\d{5}-of-\d{5}\.(tfrecord|tfrecord\.gz|tfindex)"
    return (
        re.fullmatch(rf"{re.escape(split)}({shard}|\.rejects\.jsonl|\.targets)", name) is not None
    )


def is_generated(name: str, split: str) -> bool:
    """Tell whether a new write replaces a file: it is of ``split`` or describes the dataset."""
    described = r"dataset_info\.json|features\.json|(image[-.]class[-.])?label\.labels\.txt"
    return is_of_split(name, split) or re.fullmatch(described, name) is not None
