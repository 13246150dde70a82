"""Checks one shard in a worker: its bytes, framing and index, and each of its records.

Knows: one shard, and what its manifest says about it. Must not know: other shards, TensorFlow.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from blake3 import blake3

from tfrec_cli.checking import images
from tfrec_cli.checking.finding import (
    DamagedImage,
    Finding,
    file_finding,
    record_finding,
    unreadable,
)
from tfrec_cli.checking.images import Crops, Decoded, Part
from tfrec_cli.checking.record import RecordReader
from tfrec_cli.dataset import discover, tfds
from tfrec_cli.dataset.manifest import Manifest, Shard
from tfrec_cli.dataset.names import TFDS_FEATURES
from tfrec_cli.dataset.records import ImageRecord, Names, smallest_of
from tfrec_cli.errors import FramingError
from tfrec_cli.imaging.policy import MAX_PIXELS
from tfrec_cli.runtime import files, values
from tfrec_cli.runtime.files import ThreadedSha256
from tfrec_cli.seeds import seed_key
from tfrec_cli.tfrecord.compression import HEAD_BYTES
from tfrec_cli.tfrecord.index import index_line, read_index
from tfrec_cli.tfrecord.record import OVERHEAD_BYTES
from tfrec_cli.tfrecord.scan import Damage, Record, scan
from tfrec_cli.tfrecord.stream import compression_of

_MARK_BYTES = 16
"""Length of the mark of an image, the beginning of its BLAKE3 digest."""

_PAGE_BYTES = 4096
"""An index is not read if it is longer than expected by more than this."""


_MOST_FEATURES_BYTES = 1 << 24
"""Limit on what is read of features.json."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One shard to check, with what is known about it.

    Attributes:
        split: number of its split.
        described: its entry in the manifest.
        manifest: the manifest without its list of shards.
        index: the index file that it should have.
        first_number: number of records in the shards before it.
        quick: decode no images.
        marks: keep a mark of each image, by which copies of it are found.
    """

    split: int
    path: Path
    described: Shard | None
    manifest: Manifest | None
    index: Path | None
    first_number: int
    quick: bool
    crops: Crops | None
    marks: bool = False


@dataclass(slots=True, kw_only=True)
class Checked:
    """Result of checking one shard.

    Attributes:
        contents: the key of each record of ours, and the BLAKE3 digest of its payload; a quick
            check leaves the digests empty, and relies on the SHA-256 of the shard.
        marks: for each of these the mark of its image, if they are asked for.
        labels: the label of each record of ours that has one.
        undecoded: the images that are still to be decoded.
        crops: for each record its key, and the SHA-256 of its crop in each epoch.
        imageless: number of records without a recognizable image.
        boxed, unclear: number of records with boxes that were checked, and that cannot be.
        unread_formats, damaged_images, unnoted: see `images.Decoded`.
        smallest: the least height and the least width of all images, as their records say.
    """

    task: Task
    records: int = 0
    size_bytes: int = 0
    findings: list[Finding] = field(default_factory=list)
    contents: list[tuple[int, bytes]] = field(default_factory=list)
    marks: bytearray = field(default_factory=bytearray)
    labels: array[int] = field(default_factory=lambda: array("q"))
    undecoded: Part | None = None
    crops: list[tuple[int, tuple[bytes, ...]]] = field(default_factory=list)
    imageless: int = 0
    boxed: int = 0
    unclear: int = 0
    unread_formats: int = 0
    damaged_images: list[DamagedImage] = field(default_factory=list)
    unnoted: int = 0
    smallest: tuple[int, int] | None = None
    damaged: bool = False


def check_shard(task: Task) -> Checked:
    """Check the bytes, framing and Examples of a shard, and its images if it is compressed.

    Images of other shards are left to `images.decode`.
    """
    checked = Checked(task=task)
    checked.findings.extend(_check_file(task, checked))
    return checked


def common_marks(ours: bytes, others: bytes) -> tuple[int, int, int]:
    """Return how many of our marks others have too, and the number of the first in both."""
    import numpy as np  # here: most datasets have one split

    mine, theirs = (np.frombuffer(marks, f"S{_MARK_BYTES}") for marks in (ours, others))
    are_common = np.isin(mine, theirs)
    if not are_common.any():
        return 0, 0, 0
    first = int(are_common.argmax())
    return int(are_common.sum()), first, int((theirs == mine[first]).argmax())


def merge(checked: Checked, decoded: Sequence[Decoded]) -> None:
    """Add the results of decoding to a checked shard, in the order of the records."""
    for part in sorted(decoded, key=lambda part: part.first):
        _add_decoded(checked, part)
    last = checked.records + len(checked.findings)
    checked.findings.sort(key=lambda finding: last if finding.record is None else finding.record)


def _check_file(task: Task, checked: Checked) -> Iterator[Finding]:
    if not task.path.is_file():
        checked.damaged = True
        yield file_finding("missing", task.path, "found no such file, expected a shard")
        return
    try:
        checked.size_bytes = task.path.stat().st_size
        digest = ThreadedSha256()
        places: list[tuple[int, int]] = []
        yield from _check_records(task, checked, digest, places)
        yield from _check_size(task, checked, digest.hexdigest())
        if task.index:
            yield from _check_index(task.index, checked, places)
    except OSError as error:
        checked.damaged = True
        yield unreadable(task.path, error)


def _check_records(
    task: Task, checked: Checked, digest: ThreadedSha256, places: list[tuple[int, int]]
) -> Iterator[Finding]:
    """Check every record of a shard.

    Args:
        digest: gets all bytes of the file.
        places: gets the offset of each intact record, and its length with framing, in bytes.
    """
    with task.path.open("rb") as file:
        is_compressed = compression_of(file.read(HEAD_BYTES)) != "none"
    reader = RecordReader(
        task.path,
        task.manifest,
        parses_all=is_compressed and not task.quick,
        described_boxes=_described_boxes(task),
    )
    decoded = Decoded(path=task.path)
    undecoded = array("q")
    part: Part | None = None
    try:
        for item in scan(task.path, observe=digest.write):
            if isinstance(item, Damage):
                checked.damaged = True
                yield record_finding("framing", task.path, item, _damage(task, item))
                continue
            places.append((item.offset_bytes, len(item.payload) + OVERHEAD_BYTES))
            number = checked.records
            checked.records += 1
            record = yield from reader.check(item)
            if record is None:
                continue
            if task.manifest:
                _add_record(checked, item, record, quick=task.quick)
            if task.quick or reader.names is None:
                continue
            part = part or _part(task, reader.names)
            if is_compressed:
                yield from images.check(part, record, item, number, decoded)
            else:
                undecoded.extend((item.index, *places[-1], number))
    finally:
        checked.imageless = reader.imageless
        checked.boxed, checked.unclear = reader.boxed, reader.unclear
        checked.undecoded = replace(part, places=undecoded) if part else None
        _add_decoded(checked, decoded)


def _described_boxes(task: Task) -> set[str] | None:
    """Return the names of boxes that TFDS describes next to the shard; None if it does not."""
    if task.manifest:
        return set()
    try:
        with task.path.with_name(TFDS_FEATURES).open("rb") as file:
            return tfds.relative_boxes(file.read(_MOST_FEATURES_BYTES))
    except OSError:
        return None


def _part(task: Task, names: Names) -> Part:
    limit = task.manifest.options.get("max_pixels") if task.manifest else None
    return Part(
        path=task.path,
        names=names,
        first_number=task.first_number,
        max_pixels=limit if isinstance(limit, int) else MAX_PIXELS,
        is_ours=task.manifest is not None,
        crops=task.crops,
        bits=task.manifest.depth if task.manifest else 8,
    )


def _add_decoded(checked: Checked, decoded: Decoded) -> None:
    checked.findings += decoded.findings
    checked.crops += decoded.crops
    checked.unread_formats += decoded.unread_formats
    checked.damaged_images += decoded.damaged_images
    checked.unnoted += decoded.unnoted


def _add_record(checked: Checked, item: Record, record: ImageRecord, *, quick: bool) -> None:
    """Collect what is compared with the totals in the manifest."""
    digest = b"" if quick else blake3(item.payload).digest()
    checked.contents.append((seed_key(record.key, 0), digest))
    if checked.task.marks:
        checked.marks += blake3(record.image).digest(_MARK_BYTES)
    if record.label is not None:
        checked.labels.append(record.label)
    size = (record.height_px or 0, record.width_px or 0)
    checked.smallest = smallest_of((checked.smallest, size))


def _damage(task: Task, damage: Damage) -> str:
    if not task.described and damage.offset_bytes == 0:
        return discover.problem(task.path, damage)
    return f"{damage.kind}: {damage.found}, expected {damage.expected}"


def _check_size(task: Task, checked: Checked, sha256: str) -> Iterator[Finding]:
    """Compare a shard's totals with its entry in the manifest."""
    described = task.described
    if described is None:
        if not checked.records and not checked.damaged:
            yield file_finding("framing", task.path, discover.NO_RECORDS)
        return
    if checked.size_bytes != described.size_bytes:
        message = f"found {checked.size_bytes} bytes, expected {described.size_bytes}"
        yield file_finding("size", task.path, message)
    if checked.records != described.records:
        found = values.plural(checked.records, "intact record")
        message = f"found {found}, expected {described.records:,}"
        yield file_finding("count", task.path, message)
    if not checked.damaged and sha256 != described.sha256:
        message = f"found SHA-256 {sha256}, expected {described.sha256}"
        yield file_finding("sha256", task.path, message)


def _check_index(
    path: Path, checked: Checked, places: Sequence[tuple[int, int]]
) -> Iterator[Finding]:
    """Compare an index file with the places of the intact records."""
    if not path.is_file():
        yield file_finding("index", path, "found no such file, expected the shard's index")
        return
    try:
        size_bytes = path.stat().st_size
        right_bytes = sum(len(index_line(*place)) for place in places)
        if checked.damaged:  # a record has 16 bytes or more
            right_bytes = 3 * checked.size_bytes
        if size_bytes > right_bytes + _PAGE_BYTES:
            yield file_finding("index", path, f"found {size_bytes} bytes, expected {right_bytes}")
            return
        pairs = read_index(path)
    except OSError as error:
        yield file_finding("index", path, f"cannot be read: {error.strerror or error}")
        return
    except FramingError as error:
        yield file_finding("index", path, str(error).removeprefix(f"{path}: "))
        return
    if checked.damaged:
        return
    if len(pairs) != len(places):
        message = f"found {values.plural(len(pairs), 'line')}, expected {len(places):,}"
        yield file_finding("index", path, message)
    wrong = [
        line for line, pair in enumerate(zip(pairs, places, strict=False)) if pair[0] != pair[1]
    ]
    if wrong:
        pair, right = pairs[wrong[0]], places[wrong[0]]
        message = f"line {wrong[0] + 1}: found {pair[0]} {pair[1]}, expected {right[0]} {right[1]}"
        message += f" (and {values.plural(len(wrong) - 1, 'line')} more)" if len(wrong) > 1 else ""
        yield file_finding("index", path, message)
    described = checked.task.described
    if described and described.index_sha256 and pairs == list(places):
        sha256 = files.sha256(path)
        if sha256 != described.index_sha256:
            message = f"found SHA-256 {sha256}, expected {described.index_sha256}"
            yield file_finding("index", path, message)
