"""The steps of ``tfrec salvage``.

Knows: what index files, manifests and sources say about a shard. Must not know: click, terminals,
how intact records are found.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from blake3 import blake3

from tfrec_cli.checking import rebuild
from tfrec_cli.checking.record import broken_contract
from tfrec_cli.dataset import discover, manifest, records
from tfrec_cli.dataset.manifest import Manifest, Shard
from tfrec_cli.dataset.names import index_name
from tfrec_cli.errors import DataError, FramingError, ManifestError, RunError, UsageError
from tfrec_cli.runtime import files, values
from tfrec_cli.runtime.paths import missing, printable
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.compression import Compression
from tfrec_cli.tfrecord.index import read_index
from tfrec_cli.tfrecord.record import OVERHEAD_BYTES, frame_pieces
from tfrec_cli.tfrecord.scan import Damage, Record, recognise, scan

MOST_STRANGE = 1000
"""Most strange records that are listed; all are counted."""

_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of ``tfrec salvage``, named as on the command line.

    Attributes:
        source: the folder or image list that was written; with it, lost images are named.
        root: the folder that the paths of an image list are relative to; None is the list's own.
    """

    source: Path | None = None
    root: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """Bytes ``[start, stop)`` of the (decompressed) file that are not intact records, and why."""

    start: int
    stop: int
    why: str


@dataclass(slots=True, kw_only=True)
class Salvaged:
    """What ``tfrec salvage`` saved, and what is lost.

    Attributes:
        path: the damaged file.
        out: the new file.
        compression: compression of the damaged file. If it is compressed, offsets count in the
            decompressed stream.
        read_bytes: how much of the (decompressed) file could be read.
        out_bytes: size of the new file.
        records: number of intact records; all are written, in order.
        duplicates: how many intact records are equal to an earlier one, byte for byte.
        promised: how many records the shard should have, by the manifest, or else by the index
            file; None if there is neither.
        missing: how many of the promised records are not among the intact records.
        is_original: whether the new file is byte for byte the shard that the manifest describes.
        lost: ranges of bytes that are not intact records.
        lost_records: numbers of the lost records in the shard, from 0; None if unknown.
        lost_names: paths of the lost images relative to the source; None without a source.
        strange: intact records that contradict the manifest, the first `MOST_STRANGE`.
        strange_records: number of all intact records that contradict the manifest.
        unchecked: what could not be checked, and why.
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
    def ok(self) -> bool:
        """Whether nothing is lost: all bytes are intact records, and none are missing."""
        return not self.lost and not self.missing


def salvage(path: Path, out: Path, options: Options) -> Salvaged:
    """Write every intact record of ``path``, compressed or not, to the new plain file ``out``.

    A record is intact if both its CRCs are right. ``out`` appears when it is complete and on disk;
    after an error it does not exist.

    Raises:
        MissingPathError: ``path`` or the source does not exist.
        UsageError: ``path`` is a folder; a source is given, but no manifest names ``path``.
        DataError: nothing in ``path`` is an intact record.
        RunError: ``out`` exists or cannot be written, ``path`` cannot be read, or the source is not
            the one that was written.
    """
    _check_paths(path, out, options)
    with path.open("rb") as file:
        compression = recognise(file)
    result = Salvaged(path=path, out=out, compression=compression)
    ledger = _Ledger(result, _expected(result, options))
    damage: Damage | None = None
    with _new_file(out) as file:
        for item in _scan(path):
            if isinstance(item, Damage):
                damage = damage or item
                ledger.add_damage(item)
            else:
                pieces = frame_pieces(item.payload)
                for piece in pieces:
                    file.write(piece)
                ledger.add_record(item, pieces)
        if damage and not result.records:
            why = discover.problem(path, damage)
            raise DataError(f"{path}: found no intact record, expected at least one: {why}")
    ledger.summarize()
    if not result.records and not result.lost:
        result.unchecked.append(f"whether there were records: {discover.NO_RECORDS}")
    return result


def _check_paths(path: Path, out: Path, options: Options) -> None:
    if options.root and not options.source:
        raise UsageError("`root`: needs `source`")
    if os.path.lexists(out):
        raise RunError(f"{out}: exists already, and salvage does not replace files")
    if not path.exists():
        raise missing(path)
    if path.is_dir():
        raise UsageError(
            f"{path}: found a folder, expected one of its record files", hint="damaged"
        )
    if not path.is_file():
        raise RunError(f"{path}: not a file, expected a record file")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Expected:
    """What the manifest, the index file and the source say about the records of a shard.

    Attributes:
        manifest: the one that names the shard.
        line: the shard's entry in it.
        paths: number in the shard of each image, by its path relative to the source.
        places: number of each record, by its offset and framed length in bytes.
    """

    manifest: Manifest | None
    line: Shard | None
    paths: dict[bytes, int] | None
    places: dict[tuple[int, int], int] | None

    @property
    def records(self) -> int | None:
        """How many records the shard should have."""
        if self.line:
            return self.line.records
        return None if self.places is None else len(self.places)


def _expected(result: Salvaged, options: Options) -> _Expected:
    """Collect what is known about a shard.

    Raises:
        UsageError: a source is given, but no manifest names the shard.
        RunError: the source is not the one that was written.
    """
    path = result.path
    described = _described(result)
    paths = None
    if options.source:
        if described is None:
            raise UsageError(f"`source`: no manifest next to {path} names that file")
        names = rebuild.planned_paths(path, described, options.source, options.root)
        paths = {name: number for number, name in enumerate(names)}
    line = _line(described, path.name) if described else None
    return _Expected(manifest=described, line=line, paths=paths, places=_places(result, line))


class _Ledger:
    """Counts the items of a damaged file, in order, and compares them with what is expected."""

    def __init__(self, result: Salvaged, expected: _Expected) -> None:
        result.promised = expected.records
        self._result = result
        self._expected = expected
        self._sha256 = hashlib.sha256()
        self._digests = bytearray()
        self._names: set[bytes] = set()
        self._unseen = dict(expected.places or {})
        self._displaced = 0

    def add_damage(self, item: Damage) -> None:
        """Add damaged bytes; adjacent ranges become one."""
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
            message = "nothing can be decompressed after such damage"
            result.unchecked.append(f"the rest of the compressed file: {message}")

    def add_record(self, item: Record, pieces: Sequence[bytes]) -> None:
        """Add an intact record.

        Args:
            pieces: its payload and framing, as written to the new file.
        """
        result = self._result
        if self._expected.line:
            for piece in pieces:
                self._sha256.update(piece)
        place = (item.offset_bytes, len(item.payload) + OVERHEAD_BYTES)
        result.read_bytes = sum(place)
        result.out_bytes += place[1]
        self._digests += blake3(item.payload).digest(_DIGEST_BYTES)
        if self._expected.places is not None and self._unseen.pop(place, None) is None:
            self._displaced += 1
        if self._expected.manifest:
            self._check_contract(item, self._expected.manifest)
        result.records += 1

    def _check_contract(self, item: Record, described: Manifest) -> None:
        """Note how a record contradicts its manifest."""
        try:
            record = records.decode(example.decode(item.payload), records.NAMES[described.keys])
        except DataError as error:
            self._add_strange(item, str(error))
            return
        message = next(broken_contract(record, described), None)
        name = record.filename or b""
        paths = self._expected.paths
        if message is None and paths is not None and name not in paths:
            message = f"found {printable(name)}, expected an image of this shard"
        if message:
            self._add_strange(item, message)
        else:
            self._names.add(name)

    def _add_strange(self, item: Record, message: str) -> None:
        result = self._result
        result.strange_records += 1
        if result.strange_records <= MOST_STRANGE:
            where = f"record {result.records}, found at byte {item.offset_bytes}"
            result.strange.append(f"{where}: {message}")

    def summarize(self) -> None:
        """Work out what is lost, after the last item."""
        result, expected = self._result, self._expected
        digests = np.frombuffer(self._digests, f"S{_DIGEST_BYTES}")
        result.duplicates = result.records - len(np.unique(digests))
        if expected.line:
            result.missing = max(expected.line.records - len(self._names), 0)
            result.is_original = self._sha256.hexdigest() == expected.line.sha256
        elif result.promised is not None:
            result.missing = max(result.promised - result.records, 0)
        if expected.paths is not None:
            self._name_lost(expected.paths)
        elif expected.places is None:
            return
        elif self._displaced:
            displaced = values.plural(self._displaced, "intact record")
            message = f"the index file lacks {displaced}"
            result.unchecked.append(f"the numbers of lost records: {message}")
        else:
            result.lost_records = sorted(self._unseen.values())

    def _name_lost(self, paths: dict[bytes, int]) -> None:
        result = self._result
        lost = [name for name in paths if name not in self._names]
        result.lost_names = lost
        assert result.promised is not None
        if len(paths) == result.promised:
            result.lost_records = [paths[name] for name in lost]
        else:
            unwritten = len(paths) - result.promised
            rejected = values.plural(unwritten, "image")
            message = f"the write rejected {rejected}, which may be among them"
            result.unchecked.append(f"whether all lost images were records: {message}")


def _described(result: Salvaged) -> Manifest | None:
    """Return the manifest that names a shard, from the shard's folder."""
    described = None
    for path in manifest.find(result.path.parent).values():
        try:
            other = manifest.load(path)
        except (ManifestError, OSError) as error:
            result.unchecked.append(f"records against the manifest: {error}")
            continue
        described = other if _line(other, result.path.name) else described
    return described


def _line(described: Manifest, name: str) -> Shard | None:
    return next((shard for shard in described.shards if shard.name == name), None)


def _places(result: Salvaged, line: Shard | None) -> dict[tuple[int, int], int] | None:
    """Return the number of each record by its (offset, framed length) in bytes.

    Returns:
        What the index file says; None if there is none, or if it is damaged.
    """
    path = result.path.with_name(index_name(result.path.name))
    if result.compression != "none" or path == result.path or not path.is_file():
        return None
    try:
        pairs = read_index(path)
    except (FramingError, OSError) as error:
        result.unchecked.append(f"the numbers of lost records: {error}")
        return None
    if line and files.sha256(path) != line.index_sha256:
        message = f"{path}: found another SHA-256, expected that of the manifest"
        result.unchecked.append(f"the numbers of lost records: {message}")
        return None
    return {pair: number for number, pair in enumerate(pairs)}


def _scan(path: Path) -> Iterator[Record | Damage]:
    """Iterate records and damage; a read error names the file."""
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
