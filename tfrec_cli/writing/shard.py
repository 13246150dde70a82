"""One task on one worker: the images of one shard become that shard and its index file.

Knows: one shard. Must not know: other shards, progress, click. A shard is a pure function of its
task, whatever runs beside it.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from blake3 import blake3

from tfrec_cli.dataset import discover, manifest, records
from tfrec_cli.dataset import rejects as rejects_file
from tfrec_cli.dataset.names import KeyStyle, index_name
from tfrec_cli.dataset.records import Column, ImageRecord
from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.errors import DataError, ImageError, ManifestError, RunError
from tfrec_cli.imaging import images, structure
from tfrec_cli.imaging.images import Examined, Header, Policy
from tfrec_cli.imaging.policy import Encoding
from tfrec_cli.runtime import allocator, files, heartbeat
from tfrec_cli.runtime.files import descriptor_to_read, raise_if_exhausted
from tfrec_cli.sources.listing import Source
from tfrec_cli.tfrecord.compression import WrittenCompression
from tfrec_cli.tfrecord.index import index_line
from tfrec_cli.tfrecord.record import OVERHEAD_BYTES, frame_pieces
from tfrec_cli.writing.options import Check, Small
from tfrec_cli.writing.plan import MAX_FILE_BYTES, Item, too_large

if TYPE_CHECKING:
    from tfrec_cli.imaging.images import Pixels

NOTE_SUFFIX = ".whole"
"""Of the file beside an unfinished split's shard that says that the shard is on the disk."""

_GZIP_LEVEL = 6

_KEY_BYTES, _DIGEST_BYTES = 8, 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How each image becomes a record.

    Attributes:
        crop: (height, width) of the centre crop in pixels; None for whole images.
        quality: of JPEG crops, 1 to 100.
        stops: end at the first image that cannot be used.
        classes: class names by number, for layouts that store them.
        columns: what the features of each source are.
    """

    policy: Policy
    crop: tuple[int, int] | None
    encoding: Encoding
    quality: int
    small: Small
    check: Check
    keys: KeyStyle
    stops: bool
    classes: tuple[str, ...] | None
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One shard to be written, and its index file where ``index`` names one.

    Attributes:
        deadly: numbers of items that killed a worker, with what to say of them.
    """

    number: int
    root: Path
    path: Path
    index: Path | None
    items: Sequence[Item]
    recipe: Recipe
    compression: WrittenCompression
    deadly: Mapping[int, ImageError] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Done:
    """One shard as it was written.

    Attributes:
        paths: the files written.
        contents: what `digests` iterates, packed: a million records' are 40 MB. None once they are
            noted, see `finish`.
        smallest: the least height and the least width of a stored image, in pixels.
        kept: it was made before, by a write that was interrupted.
    """

    number: int
    paths: list[Path]
    records: int = 0
    size_bytes: int = 0
    sha256: str = ""
    index_sha256: str | None = None
    contents: bytearray = field(default_factory=bytearray)
    smallest: tuple[int, int] | None = None
    changes: Counter[str] = field(default_factory=Counter)
    icc_profiles: int = 0
    rejects: list[Reject] = field(default_factory=list)
    kept: bool = False

    def add_digest(self, key: int, payload: bytes | memoryview) -> None:
        """Note a record's key and the BLAKE3 digest of its payload."""
        self.contents += key.to_bytes(_KEY_BYTES, "big") + blake3(payload).digest()

    def digests(self) -> Iterator[tuple[int, bytes]]:
        """Iterate each record's key and the BLAKE3 digest of its payload."""
        for start in range(0, len(self.contents), _KEY_BYTES + _DIGEST_BYTES):
            key_stop = start + _KEY_BYTES
            digest = bytes(self.contents[key_stop : key_stop + _DIGEST_BYTES])
            yield int.from_bytes(self.contents[start:key_stop], "big"), digest


def write(task: Task) -> Done:
    """Write one shard and its index file, unless they are noted as whole and are; see `finish`.

    Returns:
        What was written; with ``recipe.stops`` and a reject, not everything was.
    Raises:
        OSError: the shard cannot be written.
    """
    done = _kept(task)
    if done:
        done.contents.clear()
        return done
    done = Done(number=task.number, paths=_paths(task))
    with filled(done, task.path, task.index, task.compression) as put:
        for number, item in enumerate(task.items):
            try:
                record = _record(task, number, item.source, done)
            except ImageError as error:
                done.rejects.append(Reject(item.source.path, error.reason, str(error)))
                if task.recipe.stops:
                    break
                continue
            payload = records.encode(record, task.recipe.keys)
            put(frame_pieces(payload), [len(payload) + OVERHEAD_BYTES])
            _count(done, record, payload)
    allocator.give_back()  # what lies between what is kept would be in the way of the next shard
    return done


@contextmanager
def filled(
    done: Done, path: Path, index: Path | None, compression: WrittenCompression
) -> Iterator[Callable[[Sequence[bytes], Sequence[int]], None]]:
    """Open the file of a shard, and note in ``done`` its size and digests when it is complete.

    Yields:
        A function that takes whole records one after the other: their bytes in pieces, framing
        included, and the length of each.
    """
    lines: list[bytes] = []
    offset = 0

    def put(pieces: Sequence[bytes], lengths: Sequence[int]) -> None:
        nonlocal offset
        if compression == "none":
            sink.writelines(pieces)
        else:
            stream.write(b"".join(pieces))
        for length in lengths:
            lines.append(index_line(offset, length))
            offset += length

    with files.HashingWriter(path) as sink, _compressed(sink, compression) as stream:
        yield put
    done.size_bytes = sink.size_bytes
    done.sha256 = sink.hexdigest()
    if index:
        data = b"".join(lines)
        index.unlink(missing_ok=True)
        index.write_bytes(data)
        done.index_sha256 = hashlib.sha256(data).hexdigest()


def entry(done: Done) -> manifest.Shard:
    """Return what the manifest says of a shard."""
    path = done.paths[0]
    return manifest.Shard(
        name=path.name,
        records=done.records,
        size_bytes=done.size_bytes,
        sha256=done.sha256,
        index=index_name(path.name) if done.index_sha256 else None,
        index_sha256=done.index_sha256,
    )


def finish(done: Done) -> None:
    """Make a shard durable, and note that it is whole for a write that goes on with it.

    Its digests are kept in the note alone, see `noted_digests`.
    """
    for path in done.paths:
        files.sync(path)
    values = {name: getattr(done, name) for name in _NOTED}
    values["contents"] = base64.b64encode(done.contents).decode()
    values["rejects"] = rejects_file.dump(done.rejects).decode()
    note = _note(done.paths[0])
    note.unlink(missing_ok=True)  # it may be something that cannot be written
    note.write_bytes(manifest.sealed(values))
    done.contents.clear()


def noted_digests(done: Done) -> Iterator[tuple[int, bytes]]:
    """Iterate what `Done.digests` did before `finish` noted it.

    Raises:
        RunError: somebody else changed the note.
    """
    note = _note(done.paths[0])
    values = manifest.unsealed(note)
    if values is None:
        raise RunError(f"{note}: found it gone or changed, expected what was noted of a shard")
    yield from replace(done, contents=bytearray(base64.b64decode(values["contents"]))).digests()


def remake(task: Task, number: int) -> tuple[bytes, bool]:
    """Make the payload of one item again, as `write` would.

    Returns:
        The payload, and whether its image was encoded here, not taken from the file as it is.
    Raises:
        ImageError: the image cannot be used.
    """
    done = Done(number=task.number, paths=[])
    record = _record(task, number, task.items[number].source, done)
    encoded = bool(done.changes) or (task.recipe.crop is not None and not record.is_raw)
    return records.encode(record, task.recipe.keys), encoded


def without(task: Task, number: int, cause: str) -> Task:
    """Return a task that rejects an item which killed a worker."""
    return replace(task, deadly={**task.deadly, number: images.deadly(cause)})


def check_digest(path: Path, described: manifest.Shard, *, by_count: bool = False) -> None:
    """Refuse a shard that is not byte for byte what its manifest promises.

    Args:
        by_count: tell of another number of records rather than of another digest.
    Raises:
        DataError: it is missing, damaged, or another.
        RunError: it cannot be read.
    """
    with discover.reading(path):
        found = files.sha256(path)
    if found == described.sha256:
        return
    count = sum(1 for _ in discover.whole_records(path))  # names what is missing, or damaged
    if by_count:
        check_count(path, described, count)
    raise DataError(f"{path}: found another SHA-256, expected that of the manifest", hint="verify")


def check_count(path: Path, described: manifest.Shard, found: int) -> None:
    """Refuse a shard that has not as many records as its manifest says.

    Raises:
        DataError: it has not.
    """
    if found != described.records:
        raise DataError(
            f"{path}: found {found} records, expected {described.records} by the manifest",
            hint="verify",
        )


_NOTED = (
    "number",
    "records",
    "size_bytes",
    "sha256",
    "index_sha256",
    "smallest",
    "changes",
    "icc_profiles",
)


def _kept(task: Task) -> Done | None:
    """Return what was noted of a shard that is there as it was noted."""
    values = manifest.unsealed(_note(task.path))
    if values is None:
        return None
    try:
        values["contents"] = bytearray(base64.b64decode(values["contents"]))
        values["rejects"] = rejects_file.parse(values["rejects"].encode(), _note(task.path))
        values["smallest"] = values["smallest"] and tuple(values["smallest"])
        values["changes"] = Counter(values["changes"])
        done = Done(paths=_paths(task), kept=True, **values)
    except (ManifestError, ValueError, TypeError, LookupError, AttributeError):
        return None  # a note by somebody else: the shard is made again
    told = (done.number, done.records, len(done.contents))
    count = len(task.items) - len(done.rejects)
    if told != (task.number, count, count * (_KEY_BYTES + _DIGEST_BYTES)):
        return None
    found = [None if path.is_symlink() else files.sha256(path) for path in _paths(task)]
    return done if found == [done.sha256, done.index_sha256][: len(found)] else None


def _paths(task: Task) -> list[Path]:
    return [path for path in (task.path, task.index) if path]


def _note(path: Path) -> Path:
    return path.with_name(path.name + NOTE_SUFFIX)


def _record(task: Task, number: int, source: Source, done: Done) -> ImageRecord:
    """Make the record of one item, and count what was done to the image.

    Raises:
        ImageError: the image cannot be used.
    """
    heartbeat.start_item(number)
    if number in task.deadly:
        raise task.deadly[number]
    recipe = task.recipe
    try:
        path = os.path.join(os.fsencode(task.root), source.path)
        with descriptor_to_read(path) as descriptor:
            size_bytes = os.fstat(descriptor).st_size
            if size_bytes > MAX_FILE_BYTES:
                raise too_large(size_bytes)
            data = os.read(descriptor, size_bytes + 1)
            while len(data) != size_bytes and (more := os.read(descriptor, files.CHUNK_BYTES)):
                data += more
            _check_unchanged(source, os.fstat(descriptor))
    except OSError as error:
        raise_if_exhausted(error)
        raise ImageError("unreadable", f"cannot be read: {error.strerror or error}") from error
    if recipe.crop is None:
        header, stored = images.store_whole(data, recipe.policy, decodes=recipe.check == "decode")
        done.changes.update(stored.changes)
        image, window = stored.data, int(stored.window)
        size = (stored.height_px, stored.width_px)
    else:
        header, changes, pixels = _crop(data, recipe, recipe.crop)
        done.changes.update(changes)
        image = images.encode(pixels, recipe.encoding, quality=recipe.quality)
        window, size = None, recipe.crop
    done.icc_profiles += header.icc
    classes = recipe.classes if source.label is not None else None
    return ImageRecord(
        image=image,
        height_px=size[0],
        width_px=size[1],
        label=source.label,
        key=records.key_of(source.path),
        filename=source.path,
        window=window,
        class_name=classes[source.label or 0] if classes else None,
        further=records.further(recipe.columns, source.features) if recipe.columns else None,
    )


def _check_unchanged(source: Source, status: os.stat_result) -> None:
    """Refuse a file that is not, or no longer, what was listed."""
    found = status.st_size, status.st_mtime_ns
    if source.mtime_ns and found != (source.size_bytes, source.mtime_ns):
        raise ImageError(
            "changed",
            f"found it changed since the folder was listed (from {source.size_bytes} to "
            f"{status.st_size} bytes, or in time), expected images that nobody writes meanwhile",
        )


def _crop(
    data: bytes, recipe: Recipe, crop: tuple[int, int]
) -> tuple[Header, tuple[str, ...], Pixels]:
    """Decode an image's centre crop, and nothing below it where a window of it is exact.

    Returns:
        The header, what would be changed of the whole image, and uint8[height, width, 3].
    """
    from tfrec_cli import crops
    from tfrec_cli.imaging.pillow_decoder import Decoder

    examined = images.examine(data, recipe.policy)
    header, changes = examined.header, examined.changes
    if _has_window(data, examined) and crops.holds((header.height_px, header.width_px), crop):
        box = crops.center_box(header.height_px, header.width_px, crop)
        decoder = Decoder(recipe.policy.max_pixels)
        with suppress(ImageError):  # decoding all of it says what is wrong
            return header, (), decoder.decode_window(data, header.width_px, box)
    pixels = images.decode_examined(data, examined, recipe.policy)
    if recipe.small in ("pad", "resize") and not crops.holds(pixels.shape, crop):
        pixels = images.enlarge(pixels, *crop, recipe.small, recipe.policy.max_pixels)
        changes = (*changes, "padded" if recipe.small == "pad" else "enlarged")
    full_height, full_width, _ = pixels.shape
    if not crops.holds(pixels.shape, crop):
        found = f"found {full_height}x{full_width} pixels"
        raise ImageError("too_small", f"{found}, expected at least {crop}")
    top, left, height, width = crops.center_box(full_height, full_width, crop)
    return header, changes, pixels[top : top + height, left : left + width]


def _has_window(data: bytes, examined: Examined) -> bool:
    """Tell whether a window of the file decodes to the right pixels, and only if all of it does."""
    jpeg = examined.jpeg
    if jpeg is None or examined.changes or not jpeg.has_exact_window:
        return False
    return structure.is_undisturbed(data, jpeg)


def _count(done: Done, record: ImageRecord, payload: bytes) -> None:
    done.records += 1
    done.add_digest(record.key or 0, payload)
    size = (record.height_px or 0, record.width_px or 0)
    least = done.smallest or size
    done.smallest = (min(least[0], size[0]), min(least[1], size[1]))


@contextmanager
def _compressed(sink: files.HashingWriter, compression: WrittenCompression) -> Iterator[BinaryIO]:
    raw = cast("BinaryIO", sink)
    if compression == "none":
        yield raw
        return
    with gzip.GzipFile("", "wb", _GZIP_LEVEL, raw, mtime=0) as stream:
        yield cast("BinaryIO", stream)
