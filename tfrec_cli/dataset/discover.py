"""What a path holds for somebody who reads: splits with their manifests, or bare record files.

Knows: which files of a folder are shards, and where each record lies in them.
Must not know: what is done with them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tfrec_cli.dataset import manifest, records
from tfrec_cli.dataset.foreign import guess_names
from tfrec_cli.dataset.manifest import Manifest, Shard
from tfrec_cli.dataset.names import partial_folders
from tfrec_cli.dataset.records import ImageRecord, Names
from tfrec_cli.errors import DataError, ExampleError, FramingError, RunError, UsageError
from tfrec_cli.imaging import formats
from tfrec_cli.runtime import files
from tfrec_cli.runtime.paths import missing
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.compression import Compression
from tfrec_cli.tfrecord.index import locate_records, read_index
from tfrec_cli.tfrecord.record import HEADER_BYTES
from tfrec_cli.tfrecord.scan import Damage, Record, read_records, scan
from tfrec_cli.tfrecord.stream import compression_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_BESIDE = re.compile(
    r".*\.(csv|html|idx|index|ini|json|jsonl|log|md|pbtxt|png|py|tfindex|tmp|toml|tsv|txt|ya?ml)"
    r"|\..*|SHA256SUMS|LICENSE|README",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The shards of one split; without a manifest, record files that merely lie together.

    Attributes:
        shards: every file that should be there, in order, whether it is or not.
    """

    folder: Path
    name: str | None
    manifest: Manifest | None
    shards: tuple[Path, ...]


def is_record_file_name(name: str) -> bool:
    """Tell whether a file beside shards may be one, by its name: anything but known companions."""
    return _BESIDE.fullmatch(name) is None


def splits(path: Path) -> list[Split]:
    """Find what there is to read at ``path``: a record file, a dataset, a folder of record files.

    Raises:
        MissingPathError: nothing is there.
        UsageError: a folder holds no record files.
        ManifestError: a manifest is damaged.
    """
    if path.is_file():
        return [Split(folder=path.parent, name=None, manifest=None, shards=(path,))]
    if not path.exists():
        raise missing(path)
    if not path.is_dir():
        raise UsageError(f"{path}: found a pipe or device, expected a record file or a folder")
    found = [described(path, manifest.load(one)) for one in manifest.find(path).values()]
    return found or [undescribed(path)]


def described(folder: Path, one: Manifest) -> Split:
    """Make the split of a manifest that lies in ``folder``."""
    shards = tuple(folder / shard.name for shard in one.shards)
    return Split(folder=folder, name=one.split, manifest=one, shards=shards)


def undescribed(folder: Path) -> Split:
    """Make a split of the record files in ``folder``, sorted by their names.

    Raises:
        UsageError: there are none.
    """
    shards = tuple(sorted(_record_files(folder), key=os.fsencode))
    if not shards:
        if any(partial_folders(folder)):
            found = "found an unfinished write alone, expected record files"
            raise UsageError(f"{folder}: {found}", hint="resume")
        raise UsageError(f"{folder}: found no record files, expected at least one")
    return Split(folder=folder, name=None, manifest=None, shards=shards)


def split(path: Path, name: str) -> Split:
    """Find one split at ``path``; record files without a manifest are every split.

    Raises:
        UsageError: there is no such split.
    """
    found = splits(path)
    for one in found:
        if one.name in (name, None):
            return one
    names = ", ".join(str(one.name) for one in found)
    raise UsageError(f"{path}: found splits {names}, expected {name!r}")


def chosen(path: Path, name: str | None) -> list[Split]:
    """Find one split at ``path``, or with None all of them; as `splits` and `split` do."""
    return splits(path) if name is None else [split(path, name)]


def strangers(folder: Path, known: Sequence[Split]) -> list[Path]:
    """Find record files in a dataset's folder that no manifest names."""
    named = {shard for one in known for shard in one.shards}
    return [path for path in sorted(_record_files(folder)) if path not in named]


def places(one: Split) -> npt.NDArray[np.int64]:
    """Find every record of a split's uncompressed shards, by index files where there are some.

    Returns:
        int64[n, 3]: for each record its shard's number, its offset and its whole length in bytes.
    Raises:
        FramingError: a shard is damaged.
        DataError: there are not as many records as the manifest says.
        RunError: a shard is missing.
    """
    import numpy as np

    found = [np.empty((0, 3), np.int64)]
    entries = one.manifest.shards if one.manifest else (None,) * len(one.shards)
    for number, (path, shard) in enumerate(zip(one.shards, entries, strict=True)):
        try:
            if shard and shard.index:
                pairs = read_index(one.folder / shard.index)
            else:
                pairs = locate_records(path)
        except OSError as error:
            raise RunError(f"{error.filename}: {error.strerror}") from error
        if shard and len(pairs) != shard.records:
            raise DataError(
                f"{path}: found {len(pairs)} records, expected {shard.records} by the manifest",
                hint="verify",
            )
        located = np.array(pairs, np.int64).reshape(-1, 2)
        found.append(np.insert(located, 0, number, axis=1))
    return np.concatenate(found)


def compression(one: Split) -> Compression:
    """Tell how a split's shards are compressed, by the first that is not empty."""
    for path in one.shards:
        with path.open("rb") as file:
            head = file.read(HEADER_BYTES)
        if head:
            return compression_of(head)
    return "none"


def whole_records(path: Path) -> Iterator[Record]:
    """Iterate the records of one file in which nothing may be damaged.

    Raises:
        DataError: it is not there, or is no record file, or something in it is damaged.
        RunError: it cannot be read.
    """
    with reading(path):
        for item in scan(path):
            if isinstance(item, Damage):
                found = problem(path, item)
                is_damaged = not found.startswith("not ")
                raise FramingError(f"{path}: {found}", hint="salvage" if is_damaged else None)
            yield item


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say which file of a dataset cannot be read.

    Raises:
        DataError: it is not there.
        RunError: anything else.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{path}: found no such file, expected one of a dataset") from error
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from error


def check_digest(path: Path, described: Shard, *, by_count: bool = False) -> None:
    """Refuse a shard that is not byte for byte what its manifest promises.

    Args:
        by_count: tell of another number of records rather than of another digest.
    Raises:
        DataError: it is missing, damaged, or another.
        RunError: it cannot be read.
    """
    with reading(path):
        sha256 = files.sha256(path)
    if sha256 == described.sha256:
        return
    count = sum(1 for _ in whole_records(path))  # names what is missing, or damaged
    if by_count:
        check_count(path, described, count)
    raise DataError(f"{path}: found another SHA-256, expected that of the manifest", hint="verify")


def check_count(path: Path, described: Shard, found: int) -> None:
    """Refuse a shard that has not as many records as its manifest says.

    Raises:
        DataError: it has more, or fewer.
    """
    if found != described.records:
        raise DataError(
            f"{path}: found {found} records, expected {described.records} by the manifest",
            hint="verify",
        )


def payloads(one: Split) -> Iterator[bytes]:
    """Iterate all records of a split in the order they are stored."""
    for path in one.shards:
        for record in read_records(path):
            yield record.payload


def first_record(one: Split) -> tuple[Names, ImageRecord]:
    """Read a split's first record, to learn which features there are and what they are called.

    Raises:
        DataError: no records, or no images in them.
    """
    payload = next(payloads(one), None)
    where = one.shards[0]
    if payload is None:
        raise DataError(f"{where}: found no records, expected images")
    try:
        features = example.decode(payload)
    except ExampleError as error:
        raise ExampleError(f"{where}: {error}") from error
    if one.manifest:
        names: Names | None = records.NAMES[one.manifest.keys]
    else:
        names = guess_names(features)
    if names is None:
        raise DataError(
            f"{where}: found features {', '.join(features)}, expected one that holds an image"
        )
    return names.present(features), records.decode(features, names)


def problem(path: Path, damage: Damage) -> str:
    """Say what a file is whose first damage is this: no TFRecord file at all, or a damaged one."""
    with path.open("rb") as file:
        head = file.read(formats.HEAD_BYTES)
    is_short_text = len(head) < HEADER_BYTES and formats.is_text(head)
    if damage.offset_bytes == 0 and (damage.kind == "length_crc" or is_short_text):
        return f"not a TFRecord file: {formats.describe(head)}"
    if damage.kind in ("truncated", "trailing"):
        return f"truncated: {damage}"
    return f"damaged: {damage}"


def _record_files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if not path.is_dir() and is_record_file_name(path.name):
            yield path
