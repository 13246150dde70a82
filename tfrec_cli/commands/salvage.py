"""``tfrec salvage``: every whole record of a damaged record file, and what is lost.

Knows: which record files, index files, manifests and images tell of each other. Must not know:
click, terminals, how whole records are found.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from blake3 import blake3

from tfrec_cli.checking import record as contract
from tfrec_cli.dataset import manifest, records
from tfrec_cli.dataset import rejects as rejects_file
from tfrec_cli.dataset.manifest import Manifest
from tfrec_cli.dataset.names import MANIFEST_SUFFIX, index_name
from tfrec_cli.errors import DataError, FramingError, ManifestError, RunError, UsageError
from tfrec_cli.runtime import files
from tfrec_cli.runtime.paths import printable
from tfrec_cli.sources import open_source
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.compression import Compression
from tfrec_cli.tfrecord.index import read_index
from tfrec_cli.tfrecord.record import OVERHEAD_BYTES, frame_pieces
from tfrec_cli.tfrecord.scan import Damage, Record, recognise, scan
from tfrec_cli.writing import plan, survey
from tfrec_cli.writing.options import WriteOptions
from tfrec_cli.writing.plan import Plan

MOST_STRANGE = 1000
"""So many strange records are told of, and all are counted."""

_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What ``tfrec salvage`` can be told; the names are those of the command line.

    Attributes:
        source: the folder of images, or manifest, that was written: names what is lost.
        root: what the paths of an image list are relative to, if not to its own folder.
    """

    source: Path | None = None
    root: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """Bytes ``[start, stop)`` of the (decompressed) file that are no whole records, and why."""

    start: int
    stop: int
    why: str


@dataclass(slots=True, kw_only=True)
class Salvaged:
    """What ``tfrec salvage`` saved, and what is lost.

    Attributes:
        compression: of the damaged file; if there is one, places are in the decompressed stream.
        read_bytes: of the (decompressed) file, as far as it could be read.
        records: whole records, all of them written, in order.
        duplicates: how many of them are byte for byte one of those before.
        promised: how many records the shard had, by the manifest or else the index file.
        missing: how many of those are not among the whole ones.
        is_original: what was written is byte for byte the shard that the manifest promises.
        lost_records: their numbers in the shard from 0, where index or source tell.
        lost_names: paths below the source folder, where a source was given.
        strange: whole records that the manifest does not promise, the first `MOST_STRANGE`.
        unchecked: what could not be told, and why.
    """

    path: Path
    out: Path
    compression: Compression
    read_bytes: int = 0
    out_bytes: int = 0
    records: int = 0
    duplicates: int = 0
    promised: int | None = None
    missing: int = 0
    is_original: bool = False
    lost: list[Lost] = field(default_factory=list)
    lost_records: list[int] | None = None
    lost_names: list[bytes] | None = None
    strange: list[str] = field(default_factory=list)
    strange_records: int = 0
    unchecked: list[str] = field(default_factory=list)

    @property
    def is_less(self) -> bool:
        """Whether bytes were no whole record, or records are missing."""
        return bool(self.lost or self.missing)


def salvage(path: Path, out: Path, options: Options) -> Salvaged:
    """Write every whole record of ``path``, compressed or not, to the new plain file ``out``.

    A record is whole when both its CRCs are right. ``out`` appears when it is complete and on
    disk; before that, and after any error, nothing is there.

    Raises:
        UsageError: a source was given, but no manifest names ``path``.
        RunError: ``out`` exists or cannot be written, ``path`` cannot be read, the source is not
            the one that was written.
    """
    if options.root and not options.source:
        raise UsageError("--root: found no --source, expected an image list")
    if os.path.lexists(out):
        raise RunError(f"{out}: found a file, expected nothing: salvage replaces no file")
    if not path.is_file():
        found = "no file" if path.exists() else "nothing"
        raise RunError(f"{path}: found {found}, expected a record file")
    with path.open("rb") as file:
        compression = recognise(file)
    result = Salvaged(path=path, out=out, compression=compression)
    described = _described(result)
    if options.source and not described:
        raise UsageError(f"--source: found no manifest that names {path}, expected one beside it")
    work = _Work(result, described, options)
    with _new_file(out) as file:
        for item in _scan(path):
            if isinstance(item, Damage):
                work.lose(item)
            else:
                work.save(item, file)
    work.finish()
    return result


class _Work:
    """Takes a damaged file's items in order, and notes what they are compared with."""

    def __init__(self, result: Salvaged, described: Manifest | None, options: Options) -> None:
        self._result = result
        self._described = described
        self._entry = _entry(described, result.path.name) if described else None
        self._digests = bytearray()
        self._sha256 = hashlib.sha256()
        self._names: set[bytes] = set()
        self._planned = _planned(options, result.path, described) if described else None
        self._unseen = _index(result, self._entry)
        self._displaced = 0
        if self._entry:
            result.promised = self._entry.records
        elif self._unseen is not None:
            result.promised = len(self._unseen)

    def lose(self, item: Damage) -> None:
        """Note what is damaged, as one range with what was damaged right before."""
        result = self._result
        start, stop = item.offset_bytes, item.offset_bytes + item.lost_bytes
        result.read_bytes = stop
        if start < stop and result.lost and result.lost[-1].stop == start:
            first = result.lost.pop()
            result.lost.append(Lost(start=first.start, stop=stop, why=first.why))
        else:
            why = f"{item.found}, expected {item.expected}"
            result.lost.append(Lost(start=start, stop=stop, why=why))
        if item.kind == "compression":
            message = "nothing can be read behind such damage"
            result.unchecked.append(f"what follows in the compressed file: {message}")

    def save(self, item: Record, file: BinaryIO) -> None:
        """Write one whole record."""
        result = self._result
        for piece in frame_pieces(item.payload):
            file.write(piece)
            if self._entry:
                self._sha256.update(piece)
        place = (item.offset_bytes, len(item.payload) + OVERHEAD_BYTES)
        result.read_bytes = sum(place)
        result.out_bytes += place[1]
        self._digests += blake3(item.payload).digest(_DIGEST_BYTES)
        if self._unseen is not None and self._unseen.pop(place, None) is None:
            self._displaced += 1
        if self._described:
            self._judge(item, self._described)
        result.records += 1

    def _judge(self, item: Record, described: Manifest) -> None:
        """Note in which way a record is not what its manifest promises."""
        try:
            one = records.decode(example.decode(item.payload), records.NAMES[described.keys])
        except DataError as error:
            self._doubt(item, str(error))
            return
        message = next(contract.broken_contract(one, described), None)
        name = one.filename or b""
        if message is None and self._planned is not None and name not in self._planned:
            message = f"found {printable(name)}, expected an image of this shard"
        if message:
            self._doubt(item, message)
        else:
            self._names.add(name)

    def _doubt(self, item: Record, message: str) -> None:
        result = self._result
        result.strange_records += 1
        if result.strange_records <= MOST_STRANGE:
            where = f"record {result.records}, found at byte {item.offset_bytes}"
            result.strange.append(f"{where}: {message}")

    def finish(self) -> None:
        """Say what is lost, by all that was seen."""
        result = self._result
        digests = np.frombuffer(self._digests, f"S{_DIGEST_BYTES}")
        result.duplicates = result.records - len(np.unique(digests))
        if self._entry:
            result.missing = max(self._entry.records - len(self._names), 0)
            result.is_original = self._sha256.hexdigest() == self._entry.sha256
        elif result.promised is not None:
            result.missing = max(result.promised - result.records, 0)
        if self._planned is not None:
            self._name_lost(self._planned)
        elif self._unseen is None:
            return
        elif self._displaced:
            message = f"{self._displaced} whole records do not lie where the index file says"
            result.unchecked.append(f"the numbers of lost records: {message}")
        else:
            result.lost_records = sorted(self._unseen.values())

    def _name_lost(self, planned: dict[bytes, int]) -> None:
        result = self._result
        lost = [name for name in planned if name not in self._names]
        result.lost_names = lost
        assert self._entry
        if len(planned) == self._entry.records:
            result.lost_records = [planned[name] for name in lost]
        else:
            unwritten = len(planned) - self._entry.records
            message = f"{unwritten} images were rejected while written, and may be among them"
            result.unchecked.append(f"whether the lost files were all records: {message}")


def _described(result: Salvaged) -> Manifest | None:
    """Return the manifest that lies beside a shard and names it."""
    found = None
    for path in manifest.find(result.path.parent).values():
        try:
            one = manifest.load(path)
        except (ManifestError, OSError) as error:
            result.unchecked.append(f"what the manifest promises: {error}")
            continue
        found = one if _entry(one, result.path.name) else found
    return found


def _entry(described: Manifest, name: str) -> manifest.Shard | None:
    return next((one for one in described.shards if one.name == name), None)


def _index(result: Salvaged, entry: manifest.Shard | None) -> dict[tuple[int, int], int] | None:
    """Return the number of each record by its (offset, whole length) in bytes, by the index file.

    None where there is no index file, or where it is damaged.
    """
    path = result.path.with_name(index_name(result.path.name))
    if result.compression != "none" or path == result.path or not path.is_file():
        return None
    try:
        pairs = read_index(path)
    except (FramingError, OSError) as error:
        result.unchecked.append(f"the numbers of lost records: {error}")
        return None
    if entry and files.sha256(path) != entry.index_sha256:
        message = f"{path}: found another SHA-256, expected that of the manifest"
        result.unchecked.append(f"the numbers of lost records: {message}")
        return None
    return {pair: number for number, pair in enumerate(pairs)}


def _planned(options: Options, path: Path, described: Manifest) -> dict[bytes, int] | None:
    """Make the plan of the write again, and return the paths in one shard, with their numbers.

    None where there is no source.

    Raises:
        RunError: it is another plan: images came, went or changed; or the manifest's options are
            not those of a write.
    """
    source = options.source
    if source is None:
        return None
    try:
        asked = WriteOptions.from_manifest(described)
    except ManifestError as error:
        raise RunError(f"{described.split}{MANIFEST_SUFFIX}: {error}") from error
    root = open_source.root_of(source, options.root, prefix="--source ")
    try:
        made = _plan(source, root, path.parent, described, asked)
    except (DataError, UsageError) as error:
        raise RunError(f"--source {source}: {error}") from error
    if made.sha256 != described.plan_sha256:
        raise RunError(
            f"--source {source}: found images that make another plan, expected those of the "
            f"manifest of split {described.split!r}: some came, went or changed"
        )
    number = [one.name for one in described.shards].index(path.name)
    names = _written(made, path.with_name(described.rejects_file), described.records)
    if names is None:
        names = list(made.shard(number).paths())
    else:
        start = sum(one.records for one in described.shards[:number])
        names = names[start : start + described.shards[number].records]
    return {name: place for place, name in enumerate(names)}


def _written(made: Plan, rejects: Path, count: int) -> list[bytes] | None:
    """Return the paths of all images that became records, in order; None where nothing tells.

    That is the plan without what was rejected while it was written, which the list of rejects
    names. Where shards begin, only the manifest tells then: `tfrec reshard` divides the records.
    """
    left_out: set[bytes] = set()
    if made.records > count:
        try:
            told = rejects_file.parse(rejects.read_bytes(), rejects)
        except (ManifestError, OSError):
            return None
        left_out = {reject.path for reject in told}
    names = [path for _, _, path in made.sources() if path not in left_out]
    return names if len(names) == count else None


def _plan(source: Path, root: Path, folder: Path, described: Manifest, asked: WriteOptions) -> Plan:
    listing = open_source.list_source(
        source,
        root=None if source.is_dir() else root,
        labels=described.labels,
        labels_from=f"split {described.split!r}",
        exclude=folder,
        keys=described.keys,
        columns=described.columns,
    )
    division = described.division
    surveyed = survey.survey(
        root, listing.sources, survey.policy_of(asked), digested=division is not None
    )
    if division is None:
        return plan.make(listing, surveyed, asked)
    divided = plan.divide(listing, surveyed, division.shares(), asked)
    if described.split not in divided:
        raise DataError(f"found splits {', '.join(divided)}, expected {described.split!r} too")
    return plan.make(*divided[described.split], asked)


def _scan(path: Path) -> Iterator[Record | Damage]:
    """Iterate records and damage; an error of the disk names the file."""
    try:
        yield from scan(path)
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from error


@contextmanager
def _new_file(out: Path) -> Iterator[BinaryIO]:
    """Open a file that appears as ``out`` when it is complete and on disk, or never.

    Raises:
        RunError: it cannot be written.
    """
    try:
        with files.atomic_file(out) as file:
            yield file
    except OSError as error:
        raise RunError(f"{out}: cannot be written: {error.strerror or error}") from error
