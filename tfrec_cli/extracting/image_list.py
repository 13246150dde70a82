"""Image lists of extracted images: the labels and columns that folders do not give."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from tfrec_cli.dataset.manifest import Manifest
from tfrec_cli.extracting.shard import ExtractedShard
from tfrec_cli.sources.header import LABEL, PATH
from tfrec_cli.sources.labels import ClassRule, Level, number_classes

_LEVELS: tuple[Level, ...] = ("top", "leaf", "path")


class WrittenList(NamedTuple):
    """The image list of a split.

    Attributes:
        path: its path below the new folder; the paths in it are relative to its own folder.
        split: name of the split.
        columns: names of its columns.
        labels: file of class names and numbers, if names alone do not give the same numbers.
        options: more options with which `write` makes the same features of it.
        left_out: columns of the dataset that it lacks, since it has others of these names.
    """

    path: Path
    split: str
    columns: tuple[str, ...]
    labels: Path | None
    options: tuple[str, ...]
    left_out: tuple[str, ...]


def write_list(
    described: Manifest, top: Path, folder: Path, shards: Sequence[ExtractedShard]
) -> WrittenList | None:
    """Write the image list of a split, unless folders give all labels and there are no columns.

    Args:
        top: the new folder.
        folder: where in it the images of the split are.
    """
    names = described.labels
    if not described.columns and (names is None or _are_folders(described, names, shards)):
        return None
    path, file = _new_file(folder, described.split, ".jsonl")
    with file:
        for row in _rows(shards, names):
            file.write(json.dumps(row, separators=(",", ":")).encode() + b"\n")
    labels = None
    if names is not None and _numbered(names, shards) != names:
        labels, file = _new_file(folder, described.split, ".labels.txt")
        with file:
            file.writelines(os.fsencode(f"{number} {name}\n") for number, name in enumerate(names))
    own = (PATH,) if names is None else (PATH, LABEL)
    further = [column.name for column in described.columns]
    keys = () if described.keys == "plain" else ("--keys", described.keys)
    return WrittenList(
        path=path.relative_to(top),
        split=described.split,
        columns=(*own, *(name for name in further if name not in own)),
        labels=labels and labels.relative_to(top),
        options=(*keys, *(("--labels", "none") if names is None else ())),
        left_out=tuple(name for name in further if name in own),
    )


def _are_folders(
    described: Manifest, names: Sequence[str], shards: Sequence[ExtractedShard]
) -> bool:
    """Tell whether the first folder of every path, the last or all are the class of the image."""
    in_splits = described.division is not None and described.division.is_by_folder
    rules = [ClassRule(level=level, in_splits=in_splits) for level in _LEVELS]
    for shard in shards:
        for path, label in zip(shard.paths(), shard.numbers, strict=True):
            name = os.fsencode(names[label])
            rules = [rule for rule in rules if rule.class_of(path) == name]
    return bool(rules)


def _numbered(names: Sequence[str], shards: Sequence[ExtractedShard]) -> tuple[str, ...]:
    """Return the classes of the images by the number that `write` gives them."""
    used = {names[label] for label in set().union(*(shard.numbers for shard in shards))}
    return number_classes(used, ClassRule())[0]


def _rows(
    shards: Sequence[ExtractedShard], names: Sequence[str] | None
) -> Iterator[dict[str, Any]]:
    """Iterate the rows of the list, and remove the files that hold the columns."""
    for shard in shards:
        for index, (path, cells) in enumerate(zip(shard.paths(), shard.cells(), strict=True)):
            own = {PATH: os.fsdecode(path)}
            if names is not None:
                own[LABEL] = names[shard.numbers[index]]
            yield {**own, **cells, **own}


def _new_file(folder: Path, stem: str, ending: str) -> tuple[Path, BinaryIO]:
    """Make a file next to the images; another name if an image has this one."""
    for number in count():
        path = folder / f"{stem}{f'-{number}' * bool(number)}{ending}"
        try:
            return path, path.open("xb")
        except FileExistsError:
            continue
    raise AssertionError
