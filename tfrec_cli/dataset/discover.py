"""What can be read at a path: splits with their manifests, or bare record files.

Knows: which files of a folder are shards, and where each record is in them.
Must not know: what is done with them.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import EllipsisType
from typing import TYPE_CHECKING, NamedTuple

from tfrec_cli.dataset import file_splits, foreign, manifest, records, tfds
from tfrec_cli.dataset.manifest import Manifest, Shard
from tfrec_cli.dataset.names import TFDS_INFO, partial_folders
from tfrec_cli.dataset.records import ImageRecord, Names
from tfrec_cli.dataset.tfds import Prepared
from tfrec_cli.errors import (
    DataError,
    ExampleError,
    FramingError,
    Hint,
    MissingPathError,
    RunError,
    UsageError,
)
from tfrec_cli.imaging import formats
from tfrec_cli.runtime import files, values
from tfrec_cli.runtime.paths import missing
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.compression import Compression
from tfrec_cli.tfrecord.example import Feature
from tfrec_cli.tfrecord.index import Listed, locate_records, open_index
from tfrec_cli.tfrecord.record import HEADER_BYTES
from tfrec_cli.tfrecord.scan import Damage, Record, scan
from tfrec_cli.tfrecord.stream import compression_of

if TYPE_CHECKING:
    from tfrec_cli.tfrecord.index import Places

_SIDECAR = re.compile(
    r".*\.(csv|html|idx|index|ini|json|jsonl|log|md|pbtxt|png|py|targets|tfindex|tmp|toml|tsv|txt"
    r"|ya?ml)|\..*|SHA256SUMS|LICENSE|README",
    re.IGNORECASE | re.DOTALL,
)

_MORE = 99
"""How many records of a shard are read after its first one, to find an image or for examples."""

NO_COUNT = "after which the number of batches is not known"
"""Said of records that are skipped."""

_NO_TFRECORD = "not a TFRecord file"

NO_RECORDS = "found an empty file, expected records"
"""Said of a record file without records, compressed or not."""


class Split(NamedTuple):
    """The shards of one split; without a manifest, record files of a folder.

    Attributes:
        folder: that of the dataset or of the files; or the pattern that these match.
        name: None for files of other programs whose names tell no split.
        shards: every file that should exist, in order, even if it is missing.
        prepared: what TFDS tells of the files that it prepared.
    """

    folder: Path
    name: str | None
    manifest: Manifest | None
    shards: tuple[Path, ...]
    prepared: Prepared | None = None

    def class_names(self, label: str | None) -> tuple[str, ...] | None:
        """Return the names of the classes of a feature by number; None if nothing tells them."""
        if self.manifest:
            names = self.manifest.labels
            is_described = names is not None and label == records.NAMES[self.manifest.keys].label
            return tuple(names) if names is not None and is_described else None
        return tfds.class_names(self.folder, label) if self.prepared else None

    def __str__(self) -> str:
        """Return the name: that of the default split if files tell none."""
        return self.name or file_splits.DEFAULT_SPLIT

    @property
    def may_hold_jpegs(self) -> bool:
        """Whether its records may hold JPEG images."""
        return self.manifest is None or self.manifest.stored in ("whole", "jpeg")


def is_record_file_name(name: str) -> bool:
    """Tell by its name whether a file may hold records: all but known sidecar files may."""
    return _SIDECAR.fullmatch(name) is None


def splits(path: Path) -> list[Split]:
    """Find the splits at ``path``: a record file, a dataset, a folder or pattern of record files.

    Raises:
        MissingPathError: the path does not exist, or no record file matches the pattern.
        UsageError: a folder without record files, or neither a file nor a folder.
        ManifestError: a manifest is damaged.
    """
    if path.is_file():
        told = next(iter(file_splits.by_name([path])))
        return [Split(folder=path.parent, name=told or None, manifest=None, shards=(path,))]
    if not path.exists():
        if glob.has_magic(os.fspath(path)):
            return _grouped(path, file_splits.by_name(matching(path)))
        raise missing(path)
    if not path.is_dir():
        raise UsageError(f"{path}: found a pipe or device, expected a record file or a folder")
    found = [described(path, manifest.load(file)) for file in manifest.find(path).values()]
    return found or _prepared(path) or _named(path)


def matching(pattern: Path) -> list[Path]:
    """Find the record files that match a glob pattern.

    Raises:
        MissingPathError: there are none.
    """
    found = [Path(name) for name in glob.glob(os.fspath(pattern), recursive=True)]
    shards = [one for one in found if one.is_file() and is_record_file_name(one.name)]
    if not shards:
        raise MissingPathError(f"{pattern}: no record file matches this pattern", pattern)
    return shards


def described(folder: Path, manifest: Manifest) -> Split:
    """Make the split that a manifest in ``folder`` describes."""
    shards = tuple(folder / shard.name for shard in manifest.shards)
    return Split(folder=folder, name=manifest.split, manifest=manifest, shards=shards)


def undescribed(folder: Path) -> Split:
    """Make a split of the record files in ``folder``, sorted by their names.

    Raises:
        UsageError: there are none.
    """
    shards = tuple(sorted(_record_files(folder), key=os.fsencode))
    if not shards:
        if any(partial_folders(folder)):
            found = "found only an unfinished write, expected record files"
            raise UsageError(f"{folder}: {found}", hint="resume")
        raise UsageError(f"{folder}: no record files in this folder")
    return Split(folder=folder, name=None, manifest=None, shards=shards)


def split(path: Path, name: str) -> Split:
    """Find one split at ``path``, by its manifest or else by the names of files and folders.

    A record file that is named itself is its own split, and also the default one.

    Raises:
        UsageError: there is no such split; else as for `splits`.
        DataError: it is not certain which files belong to it, or one is missing.
    """
    found = splits(path)
    if path.is_file() and name == file_splits.DEFAULT_SPLIT:
        return found[0]
    told = _certain(found, path)
    for candidate in told:
        if str(candidate) == name:
            return candidate
    raise file_splits.unknown(name, map(str, told), str(path))


def _certain(found: list[Split], path: Path) -> list[Split]:
    """Refuse record files of other programs of which one is missing, or of an unknown split.

    A pattern may choose some of numbered files.

    Raises:
        DataError: see above.
    """
    bare = [one for one in found if one.manifest is None and one.prepared is None]
    file_splits.check_distinct(path, {one.name or "": list(one.shards) for one in bare})
    for one in bare if path.is_dir() else ():
        file_splits.check_complete(one.shards)
    return found


def _named(folder: Path) -> list[Split]:
    """Make splits of the record files in a folder, or in its folders of splits, by their names."""
    grouped = file_splits.by_name(_record_files(folder)) or _folders_of_splits(folder)
    return _grouped(folder, grouped) if grouped else [undescribed(folder)]


def _grouped(place: Path, grouped: dict[str, list[Path]]) -> list[Split]:
    """Make a split of each group of files; one group without the name of a split has none."""
    if len(grouped) == 1 and not file_splits.is_role(next(iter(grouped))):
        grouped = {"": next(iter(grouped.values()))}
    return [
        Split(folder=place, name=name or None, manifest=None, shards=tuple(shards))
        for name, shards in grouped.items()
    ]


def _folders_of_splits(folder: Path) -> dict[str, list[Path]]:
    """Group record files by the folders that hold them, if one of these is named as a split."""
    inner = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    found = {path.name: list(_record_files(path)) for path in inner if path.name[0] != "."}
    found = {name: file_splits.in_order(files) for name, files in found.items() if files}
    return found if any(map(file_splits.is_role, found)) else {}


def _prepared(folder: Path) -> list[Split]:
    """Find the splits of a folder that TFDS prepared; none in other folders.

    Raises:
        DataError: its description is damaged, or it has files of another format.
    """
    return [
        Split(
            folder=folder,
            name=name,
            manifest=None,
            shards=tuple(folder / shard for shard in described.shards),
            prepared=described,
        )
        for name, described in tfds.read(folder).items()
    ]


def chosen(path: Path, name: str | None) -> list[Split]:
    """Find one split at ``path``, or with None all of them.

    Raises:
        UsageError, DataError: as for `split`.
    """
    return _certain(splits(path), path) if name is None else [split(path, name)]


def strangers(folder: Path, known: Sequence[Split]) -> list[Path]:
    """Find record files in a dataset's folder that no manifest names."""
    named = {shard for split in known for shard in split.shards}
    return [path for path in sorted(_record_files(folder)) if path not in named]


def places(split: Split) -> list[Places]:
    """Find the records of each of a split's uncompressed shards, by index files if it has them.

    Raises:
        FramingError: a shard is damaged.
        DataError: the number of records is not the manifest's.
        RunError: a shard is missing.
    """
    found: list[Places] = []
    entries = split.manifest.shards if split.manifest else (None,) * len(split.shards)
    promised = split.prepared.records if split.prepared else ()
    for number, (path, shard) in enumerate(zip(split.shards, entries, strict=True)):
        try:
            if shard and shard.index:
                here = open_index(split.folder / shard.index, shard.records)
            else:
                here = Listed(locate_records(path))
        except FramingError:
            next(whole_records(path), None)  # says what a file is that holds no records
            raise
        except OSError as error:
            raise RunError(f"{error.filename}: {error.strerror}") from error
        expected = shard.records if shard else promised[number] if promised else len(here)
        if len(here) != expected:
            raise _wrong_count(path, expected, len(here), "manifest" if shard else TFDS_INFO)
        found.append(here)
    return found


def compression(split: Split) -> Compression:
    """Return how a split's shards are compressed, judged by the first that is not empty."""
    for path in split.shards:
        with path.open("rb") as file:
            head = file.read(HEADER_BYTES)
        if head:
            return compression_of(head)
    return "none"


def whole_records(path: Path) -> Iterator[Record]:
    """Iterate the records of one file, which must be intact.

    Raises:
        DataError: the file is missing, damaged, or no record file.
        RunError: it cannot be read.
    """
    with reading(path):
        for item in scan(path):
            if isinstance(item, Damage):
                found = problem(path, item)
                hint: Hint | None = "salvage" if can_be_salvaged(found) else None
                raise FramingError(f"{path}: {found}", hint=hint)
            yield item


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Name the file of a dataset in errors of reading it.

    Raises:
        DataError: it is missing.
        RunError: it cannot be read.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{path}: this file of the dataset is missing") from error
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from error


def check_digest(path: Path, described: Shard, *, by_count: bool = False) -> None:
    """Refuse a shard that is not, byte for byte, what its manifest says.

    Args:
        by_count: if the number of records differs too, report that instead of the digest.
    Raises:
        DataError: it is missing, damaged, or another file.
        RunError: it cannot be read.
    """
    with reading(path):
        sha256 = files.sha256(path)
    if sha256 == described.sha256:
        return
    count = sum(1 for _ in whole_records(path))  # raises if the shard is damaged
    if by_count:
        check_count(path, described, count)
    raise DataError(f"{path}: found another SHA-256, expected that of the manifest", hint="verify")


def check_count(path: Path, described: Shard, found: int) -> None:
    """Refuse a shard whose number of records is not the manifest's.

    Raises:
        DataError: it has more or fewer.
    """
    if found != described.records:
        raise _wrong_count(path, described.records, found, "manifest")


def _wrong_count(path: Path, expected: int, found: int, by: str) -> DataError:
    count = values.plural(found, "record")
    message = f"{path}: found {count}, expected {expected:,} by the {by}"
    return DataError(message, hint="verify" if by == "manifest" else None)


def payloads(split: Split) -> Iterator[bytes]:
    """Iterate the payloads of a split in stored order."""
    for path in split.shards:
        for record in whole_records(path):
            yield record.payload


def check_present(split: Split) -> None:
    """Refuse a split of which a file is missing, or has another size than its manifest says.

    Raises:
        DataError: see above; the message names the file.
        RunError: a file cannot be looked at.
    """
    for number, path in enumerate(split.shards):
        with reading(path):
            size_bytes = path.stat().st_size
        expected = split.manifest.shards[number].size_bytes if split.manifest else size_bytes
        if size_bytes != expected:
            message = f"{path}: found {size_bytes:,} bytes, expected {expected:,} by the manifest"
            raise DataError(message, hint="verify")


def first_names(
    split: Split,
    image: str | None = None,
    label: str | EllipsisType | None = ...,
    *,
    skip: bool = False,
) -> tuple[Names, dict[str, Feature]]:
    """Find the names of a split's features for certain, by its first record.

    Args:
        image, label: names that were asked for, as of `foreign.certain_names`.
        skip: look for an image in the first records of each shard.
    Returns:
        The names that are among the features of that record, and these features.
    Raises:
        DataError: there is no record, or it is no Example.
        UsageError: it is not certain which features are meant.
    """
    where = split.shards[0]
    decoded = (
        _decode(path, record)
        for path in split.shards
        for record in islice(whole_records(path), 1 + _MORE)
    )
    features = next(decoded, None)
    if features is None:
        raise DataError(f"{where}: {NO_RECORDS}")
    wanted = told_names(split)[0] if image is None else image
    looked = ""
    if not foreign.may_hold_image(features, wanted):
        listed = ", ".join(features)
        for one in decoded if skip else islice(decoded, _MORE):
            if not foreign.may_hold_image(one, wanted):
                features = {**one, **features}  # for an error that lists what there is
                continue
            if not skip:
                raise UsageError(
                    f"`missing`: {where}: found a first record without an image ({listed}), but "
                    "images in others, expected one in each; 'skip' leaves such records out, where "
                    f"a reader reads them in sequence, {NO_COUNT}"
                )
            features = one
            break
        else:
            looked = f"; looked for an image in the first {1 + _MORE} records of each file" * skip
    try:
        return _names(split, features, image, label, islice(decoded, _MORE)), features
    except UsageError as error:
        raise _at(where, error, looked) from error


def _decode(path: Path, record: Record) -> dict[str, Feature]:
    try:
        return example.decode(record.payload)
    except ExampleError as error:
        raise ExampleError(f"{path}: {error}") from error


def _at(where: Path, error: UsageError, more: str) -> UsageError:
    """Name a file in an error, after the option that it begins with, and say more at its end."""
    message = str(error.args[0])
    option = f"`{error.option}`: " if error.option else ""
    return UsageError(f"{option}{where}: {message.removeprefix(option)}{more}")


def told_names(split: Split) -> tuple[str | None, str | None]:
    """Return the names of image and label by what describes a split; None for what is not told."""
    if split.manifest:
        ours = records.NAMES[split.manifest.keys]
        return ours.image, ours.label if split.manifest.labels is not None else None
    return (split.prepared.image, split.prepared.label) if split.prepared else (None, None)


def _names(
    split: Split,
    features: dict[str, Feature],
    image: str | None,
    label: str | EllipsisType | None,
    more: Iterable[dict[str, Feature]],
) -> Names:
    if split.manifest and image is None and label is ...:
        return records.NAMES[split.manifest.keys].present(features)
    told = told_names(split)
    if split.manifest:
        sparse = {one.name: Feature(one.kind, ()) for one in split.manifest.columns}
        features = {**sparse, **features}
        label = None if label is ... and told[1] is None else label
    found = foreign.certain_names(features, image=image, label=label, told=told, more=more)
    if split.manifest:  # the other names are certain
        ours = records.NAMES[split.manifest.keys].present(features)
        kept = ours if found.image == ours.image else ours._replace(height=None, width=None)
        return kept._replace(image=found.image, label=found.label)
    return found


def first_record(split: Split) -> tuple[Names, ImageRecord]:
    """Read a split's first record, and find the names of its features, by a guess if need be.

    Raises:
        DataError: no records, or no image in the first one.
    """
    payload = next(payloads(split), None)
    where = split.shards[0]
    if payload is None:
        raise DataError(f"{where}: {NO_RECORDS}")
    try:
        features = example.decode(payload)
    except ExampleError as error:
        raise ExampleError(f"{where}: {error}") from error
    if split.manifest:
        names: Names | None = records.NAMES[split.manifest.keys]
    else:
        names = foreign.guess_names(features)
    if names is None:
        raise DataError(
            f"{where}: found features {', '.join(features)}, expected one that holds an image"
        )
    return names.present(features), records.decode(features, names)


def problem(path: Path, damage: Damage) -> str:
    """Describe a file by its first damage: no TFRecord file, or a truncated or damaged split."""
    with path.open("rb") as file:
        head = file.read(formats.HEAD_BYTES)
    is_short_text = len(head) < HEADER_BYTES and formats.is_text(head)
    if damage.offset_bytes == 0 and (damage.kind == "length_crc" or is_short_text):
        return f"{_NO_TFRECORD}: {formats.describe(head)}"
    if damage.kind in ("truncated", "trailing"):
        return f"truncated: {damage}"
    return f"damaged: {damage}"


def can_be_salvaged(found: str) -> bool:
    """Tell by what was found whether a file may have intact records: it is no foreign file."""
    return not found.startswith((_NO_TFRECORD, NO_RECORDS))


def _record_files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if not path.is_dir() and is_record_file_name(path.name):
            yield path
