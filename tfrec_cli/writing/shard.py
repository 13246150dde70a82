"""One task of one worker: writes a shard and its index file from its images.

Knows: one shard. Must not know: other shards, progress, click. A shard is a pure function of its
task, whatever else runs.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, cast

from tfrec_cli.dataset import records
from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.errors import ImageError
from tfrec_cli.imaging import decoder, normalize
from tfrec_cli.runtime import allocator, heartbeat
from tfrec_cli.runtime.files import HashingWriter
from tfrec_cli.tfrecord.compression import WrittenCompression
from tfrec_cli.tfrecord.index import index_line
from tfrec_cli.tfrecord.record import OVERHEAD_BYTES, frame_pieces
from tfrec_cli.writing.damaged import Damaged
from tfrec_cli.writing.recipe import MadeRecord, Recipe, make_record
from tfrec_cli.writing.survey import Item
from tfrec_cli.writing.written_shard import WrittenShard, noted

_GZIP_LEVEL = 6
_DIM = 1 << 14
"""Images of 16 bits whose values are all smaller may hold 14 bits or fewer, and look dark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One shard to be written, and its index file if ``index`` names one.

    Attributes:
        inputs: digest of everything that the shard depends on: see `written_shard.noted`.
        digested: numbers of items whose files are digested, because they may be copies.
        crashed: numbers of items that killed a worker, with their errors.
    """

    number: int
    root: Path
    path: Path
    index: Path | None
    items: Sequence[Item]
    recipe: Recipe
    compression: WrittenCompression
    inputs: str = ""
    digested: frozenset[int] = frozenset()
    crashed: Mapping[int, ImageError] = field(default_factory=dict)

    @property
    def paths(self) -> list[Path]:
        """The files to write."""
        return [path for path in (self.path, self.index) if path]


def write(task: Task) -> WrittenShard:
    """Write one shard and its index file, unless a note says that they are complete.

    Returns:
        The written shard.
    Raises:
        OSError: the shard cannot be written.
    """
    kept = noted(task.number, task.paths, len(task.items), task.inputs)
    if kept:
        return kept
    written = WrittenShard(number=task.number, paths=task.paths, inputs=task.inputs)
    with filled(written, task.path, task.index, task.compression) as put:
        for number, item in enumerate(task.items):
            try:
                made = _make(task, number, item)
            except ImageError as error:
                written.rejects.append(Reject(item.source.path, error.reason, str(error)))
                continue
            payload = records.encode(made.record, task.recipe.keys)
            put(frame_pieces(payload), [len(payload) + OVERHEAD_BYTES])
            _count(written, made, payload)
            if made.damage:
                written.damaged.append(Damaged(item.source.path, made.damage))
            if made.file_digest:
                written.add_file(number, made.file_digest)
    allocator.give_back()  # freed memory in pieces would be in the way of the next shard
    return written


def check(task: Task) -> tuple[int, list[Reject | Damaged]]:
    """Make every record as `write` does, but write nothing.

    Returns:
        How many images there are, and what was found in them.
    """
    found = (_check_one(task, number, item) for number, item in enumerate(task.items))
    return len(task.items), [one for one in found if one]


def _check_one(task: Task, number: int, item: Item) -> Reject | Damaged | None:
    try:
        damage = _make(task, number, item).damage
    except ImageError as error:
        return Reject(item.source.path, error.reason, str(error))
    return Damaged(item.source.path, damage) if damage else None


@contextmanager
def filled(
    written: WrittenShard, path: Path, index: Path | None, compression: WrittenCompression
) -> Iterator[Callable[[Sequence[bytes], Sequence[int]], None]]:
    """Open the file of a shard; at the end set size and digests in ``written``.

    Yields:
        A function that appends complete records: their bytes with framing, in any number of
        pieces, and the length of each record.
    """
    lines: list[bytes] = []
    offset = 0

    def put(pieces: Sequence[bytes], lengths: Sequence[int]) -> None:
        nonlocal offset
        if compression == "none":
            file.writelines(pieces)
        else:
            stream.write(b"".join(pieces))
        for length in lengths:
            lines.append(index_line(offset, length))
            offset += length

    with HashingWriter(path) as file, _compressed(file, compression) as stream:
        yield put
    written.size_bytes = file.size_bytes
    written.sha256 = file.hexdigest()
    if index:
        data = b"".join(lines)
        index.unlink(missing_ok=True)
        index.write_bytes(data)
        written.index_sha256 = hashlib.sha256(data).hexdigest()


def remake(task: Task, number: int) -> tuple[bytes, bool]:
    """Make the payload of one item as `write` does.

    Returns:
        The payload, and whether its image was encoded; else its bytes are those of the file,
        perhaps without metadata.
    Raises:
        ImageError: the image cannot be used.
    """
    made = _make(task, number, task.items[number])
    is_encoded_crop = task.recipe.crop is not None and not made.record.is_raw
    is_encoded = is_encoded_crop or made.changes not in ((), (normalize.METADATA,))
    return records.encode(made.record, task.recipe.keys), is_encoded


def without(task: Task, number: int, cause: str) -> Task:
    """Return a task that rejects the item that killed a worker."""
    return replace(task, crashed={**task.crashed, number: decoder.crashed(cause)})


def _make(task: Task, number: int, item: Item) -> MadeRecord:
    """Make the record of one item.

    Raises:
        ImageError: the image cannot be used.
    """
    heartbeat.start_item(number)
    if number in task.crashed:
        raise task.crashed[number]
    return make_record(task.root, item, task.recipe, digested=number in task.digested)


def _count(written: WrittenShard, made: MadeRecord, payload: bytes) -> None:
    written.records += 1
    if made.changes:
        written.changes.update(made.changes)
    written.icc_profiles += made.has_icc
    if made.greatest and made.greatest < _DIM:
        written.dim += 1
        written.dim_greatest = max(written.dim_greatest, made.greatest)
    written.add_digest(made.record.key or 0, payload)
    height_px, width_px = made.record.height_px or 0, made.record.width_px or 0
    least = written.smallest
    if least is None or height_px < least[0] or width_px < least[1]:
        written.smallest = records.smallest_of((least, (height_px, width_px)))


@contextmanager
def _compressed(file: HashingWriter, compression: WrittenCompression) -> Iterator[BinaryIO]:
    raw = cast("BinaryIO", file)
    if compression == "none":
        yield raw
        return
    with gzip.GzipFile("", "wb", _GZIP_LEVEL, raw, mtime=0) as stream:
        yield cast("BinaryIO", stream)
