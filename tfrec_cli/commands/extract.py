"""``tfrec extract``: the images of a dataset become files again, the inverse of write.

Knows: records, and which paths are safe to make of what they say. Must not know: click, terminals,
how anything is read.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, count
from pathlib import Path
from tempfile import mkdtemp

from tfrec_cli.dataset import discover, manifest, records
from tfrec_cli.dataset.discover import Split
from tfrec_cli.dataset.foreign import guess_names
from tfrec_cli.dataset.manifest import Manifest
from tfrec_cli.dataset.records import ImageRecord
from tfrec_cli.errors import DataError, FramingError
from tfrec_cli.imaging import formats as sniff
from tfrec_cli.imaging import images
from tfrec_cli.runtime import pool
from tfrec_cli.runtime.paths import (
    collision_key,
    collision_message,
    printable,
    repeated_keys,
)
from tfrec_cli.runtime.pool import Progress
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.index import locate_records
from tfrec_cli.writing import shard, staging
from tfrec_cli.writing.options import validate

EXTENSIONS: dict[sniff.ImageFormat, tuple[str, ...]] = {
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "png": (".png",),
    "gif": (".gif",),
    "webp": (".webp",),
    "bmp": (".bmp",),
    "tiff": (".tif", ".tiff"),
    "ppm": (".ppm", ".pgm", ".pbm", ".pnm"),
    "avif": (".avif", ".avifs"),
    "jpeg2000": (".jp2", ".j2k", ".jpx", ".jpf", ".j2c", ".jpc"),
}
"""Endings of names by what they promise; the first of each is what is appended."""

_PROMISED = {ending.encode(): kind for kind, endings in EXTENSIONS.items() for ending in endings}
_NAME_BYTES = 255
"""The longest name of a file that Linux and macOS have."""

_TAKEN = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR)
_NO_NAME = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)
_SHOWN_BYTES = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What ``tfrec extract`` can be told; the names are those of the command line.

    Attributes:
        split: None takes all, each into a folder of its own where there are several.
    """

    split: str | None = None
    jobs: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """What ``tfrec extract`` wrote.

    Attributes:
        splits: names of the splits, each of which is a folder in ``out``; none where the images
            of one lie in ``out`` itself.
        files: how many, all together, and ``size_bytes`` their bytes.
        formats: how many files of each image format.
        renamed: how many got another extension behind their name.
        numbered: how many are called by their number, for want of a usable name.
        empty: classes without images, which have no folder now.
        warnings: one line each, for a person.
    """

    out: Path
    splits: tuple[str, ...]
    files: int
    size_bytes: int
    formats: dict[str, int]
    renamed: int
    numbered: int
    empty: tuple[str, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """One record file, and where its images go.

    Attributes:
        waiting: where files lie, called by the numbers of their records, whose names are made.
        described: what holds for its records; None for other people's.
        entry: what the manifest says of the file.
        first: number of its first record among all.
    """

    path: Path
    folder: Path
    waiting: Path
    described: Manifest | None
    entry: manifest.Shard | None
    first: int


@dataclass(slots=True, kw_only=True)
class _Done:
    """What became of one record file.

    Attributes:
        names: joined by zero bytes, which no name holds; an empty one has to be made.
        wanted: names to make, if they are free; ``folder/.jpg`` is a number's place.
    """

    task: _Task
    names: bytes = b""
    wanted: list[bytes] = field(default_factory=list)
    size_bytes: int = 0
    records: int = 0
    formats: Counter[str] = field(default_factory=Counter)
    labels: set[int] = field(default_factory=set)
    renamed: int = 0
    numbered: int = 0


def extract(
    path: Path, out: Path, options: Options, progress: Progress = lambda *_: None
) -> Extracted:
    """Write each record's image to the file below the new folder ``out`` that the record names.

    Images are the bytes that are stored; raw crops become PNG files. ``out`` appears when all
    files are there and on the disk; after any error there is nothing.

    Raises:
        UsageError: there is no dataset, or no such split.
        DataError: a shard is missing or damaged, a record has no image, or a name that is not
            safe, or that of another record.
        RunError: ``out`` is not new or cannot be written.
    """
    validate("jobs", options.jobs)
    splits = discover.chosen(path, options.split)
    with ExitStack() as cleaning:
        folder = cleaning.enter_context(staging.new_folder(out))
        # entered last, so that no worker still writes when the folder goes
        run = cleaning.enter_context(pool.local(options.jobs or pool.available_jobs()))
        done: list[_Done] = []
        seen = 0
        total = sum(one.manifest.records for one in splits if one.manifest)
        for one in splits:
            place = folder / str(one.name) if len(splits) > 1 else folder
            place.mkdir(exist_ok=True)
            waiting = Path(mkdtemp(dir=folder))
            tasks = _tasks(one, place, waiting, run)
            parts = []
            for part in run(_extract, tasks):
                parts.append(part)
                seen += part.records
                progress("extracting", seen, max(seen, total))
            parts.sort(key=lambda part: part.task.first)
            _settle(parts)
            waiting.rmdir()
            _check_places(parts)
            done += parts
        if not any(part.records for part in done):
            raise DataError(f"{path}: found no records, expected images")
        os.sync()  # once, where an fsync of each of a million files takes hours
    return Extracted(
        out=out,
        splits=tuple(str(one.name) for one in splits) if len(splits) > 1 else (),
        files=sum(part.records for part in done),
        size_bytes=sum(part.size_bytes for part in done),
        formats=dict(sum((part.formats for part in done), Counter()).most_common()),
        renamed=sum(part.renamed for part in done),
        numbered=sum(part.numbered for part in done),
        empty=_empty(splits, done),
        warnings=_doubts(done),
    )


def _tasks(one: Split, folder: Path, waiting: Path, run: pool.Map) -> list[_Task]:
    entries: Sequence[manifest.Shard | None] = [None] * len(one.shards)
    if one.manifest:
        entries = one.manifest.shards
        counts = [entry.records for entry in one.manifest.shards]
    else:  # whose images may have to be called by their numbers
        counted = dict(run(_count, one.shards))
        counts = [counted[path] for path in one.shards]
    firsts = accumulate([0, *counts[:-1]])
    return [
        _Task(
            path=path,
            folder=folder,
            waiting=waiting,
            described=one.manifest,
            entry=entry,
            first=first,
        )
        for path, entry, first in zip(one.shards, entries, firsts, strict=True)
    ]


def _count(path: Path) -> tuple[Path, int]:
    with suppress(FramingError, OSError):  # it is compressed or damaged, as reading it tells
        return path, len(locate_records(path))
    return path, sum(1 for _ in discover.whole_records(path))


def _extract(task: _Task) -> _Done:
    """Write the images of one record file."""
    if task.entry:  # before a stranger's names meet those of others
        shard.check_digest(task.path, task.entry, by_count=True)
    done = _Done(task=task)
    names = []
    with _Place(task.folder) as place:
        for record in discover.whole_records(task.path):
            try:
                one = _decoded(record.payload, task.described)
                data, kind = _file(one)
                name = _name(one, kind, done)
                if name:
                    place.write(name, data)
                else:
                    (task.waiting / str(task.first + done.records)).write_bytes(data)
            except DataError as error:
                where = f"{task.path}: record {record.index} at byte {record.offset_bytes}"
                raise DataError(f"{where}: {error}") from error
            names.append(name)
            done.records += 1
            done.size_bytes += len(data)
            done.formats[kind] += 1
            if one.label is not None:
                done.labels.add(one.label)
    if task.entry:
        shard.check_count(task.path, task.entry, done.records)
    done.names = b"\0".join(names)
    return done


def _decoded(payload: bytes, described: Manifest | None) -> ImageRecord:
    features = example.decode(payload)
    names = records.NAMES[described.keys] if described else guess_names(features)
    if names is None:
        raise DataError(f"found features {', '.join(features)}, expected one that holds an image")
    return records.decode(features, names)


def _file(one: ImageRecord) -> tuple[bytes, sniff.ImageFormat]:
    """Return the bytes of the file that an image becomes, and their format."""
    if one.is_raw:
        return images.encode(records.pixels(one), "png"), "png"
    head = one.image[: sniff.HEAD_BYTES]
    kind = sniff.image_format(head)
    if kind is None:
        raise DataError(f"found {sniff.describe(head)}, expected an image")
    return one.image, kind


def _name(one: ImageRecord, kind: sniff.ImageFormat, done: _Done) -> bytes:
    """Return the path of a record's file below the folder; an empty one has to be made.

    That is the one it was written from, with an extension more where its own promises a format that
    the image has no more. Of other people's records it is in a folder of the label where it is in
    none. What is to be made of theirs is noted: an extension where they have none, their number
    where the path is not safe.

    Raises:
        DataError: a path that is not safe, or none.
    """
    described = done.task.described
    ours = described is not None
    ending = EXTENSIONS[kind][0].encode()
    told = one.filename or b""
    promised = _PROMISED.get(os.path.splitext(told)[1].lower())
    keeps = promised == kind or (described is not None and not _may_change(described, promised))
    name = told if keeps else told + ending
    folder = b"" if ours else _class_folder(one)
    if _is_safe(told) and _is_safe(name):
        name = name if b"/" in name else folder + name
        if ours or keeps:
            done.renamed += not keeps
            return name
        done.wanted.append(name)
        return b""
    if ours:
        raise DataError(
            f"found filename {_shown(told)}, expected a path in a folder: relative, "
            f"without '..' and zero bytes, each name of up to {_NAME_BYTES} bytes"
        )
    done.wanted.append(folder + ending)
    return b""


def _may_change(described: Manifest, promised: sniff.ImageFormat | None) -> bool:
    """Tell whether a write may have made another format of images whose names promise this one.

    Whole images in JPEG and PNG keep their format, so that a name which lies did so before.
    """
    if described.stored != "whole":
        return promised is not None
    return f"format_{promised}" in described.changes


def _class_folder(one: ImageRecord) -> bytes:
    """Return the folder of a label, by its name where that can be one; nothing without a label."""
    name = os.fsencode(one.class_name or "")
    if _is_safe(name) and b"/" not in name:
        return name + b"/"
    return b"" if one.label is None else b"%d/" % one.label


def _is_safe(path: bytes) -> bool:
    """Tell whether a path stays in its folder, and has no part that cannot be a name."""
    names = path.split(b"/")
    lasting = all(0 < len(name) <= _NAME_BYTES and name not in (b".", b"..") for name in names)
    return lasting and b"\0" not in path


def _shown(name: bytes) -> str:
    cut = printable(name[:_SHOWN_BYTES])
    return f"'{cut}'" + ("…" if len(name) > _SHOWN_BYTES else "")


class _Place:
    """A folder to write files below, however deep; opened, so that its own path does not count."""

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self._open = partial(os.open, mode=0o666, dir_fd=self._descriptor)
        self._made = {b""}

    def __enter__(self) -> _Place:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the folder."""
        os.close(self._descriptor)

    def write(self, name: bytes, data: bytes) -> None:
        """Write one new file.

        Raises:
            DataError: there is a file or folder of this name, or it cannot be one.
        """
        with self._naming(name), open(name, "xb", opener=self._open) as file:
            file.write(data)

    def move(self, path: Path, name: bytes) -> None:
        """Move a file here, where nothing is of its name.

        Raises:
            DataError: it cannot be the name of a file.
        """
        with self._naming(name):
            os.rename(path, name, dst_dir_fd=self._descriptor)

    @contextmanager
    def _naming(self, name: bytes) -> Iterator[None]:
        """Make the folders of a file, and say what is wrong with its name."""
        folder = os.path.dirname(name)
        try:
            if folder not in self._made:
                self._make(folder)
                self._made.add(folder)
            yield
        except OSError as error:
            if error.errno in _TAKEN:
                raise DataError(
                    f"found {_shown(name)}, where another record's file is, "
                    "expected a path of its own"
                ) from error
            if error.errno in _NO_NAME:
                found = f"found {_shown(name)}: {error.strerror}"
                raise DataError(f"{found}, expected what can be the path of a file here") from error
            raise

    def _make(self, folder: bytes) -> None:
        """Make a folder and those above it, in a loop: they may be more than calls may be deep."""
        missing = [folder]
        while missing:
            if self._is_there(missing[-1]):
                missing.pop()
            else:
                missing.append(os.path.dirname(missing[-1]))

    def _is_there(self, folder: bytes) -> bool:
        """Make a folder, unless the one above it is not there."""
        try:
            os.mkdir(folder, dir_fd=self._descriptor)
        except FileExistsError:
            return True
        except FileNotFoundError:
            if b"/" in folder:
                return False
            raise
        return True


def _settle(parts: Sequence[_Done]) -> None:
    """Give files that wait their names: those they want, or others where these are taken.

    Names that records have go before those that are made, and these go by the order of records.

    Raises:
        DataError: a name that is made cannot be that of a file.
    """
    if not any(part.wanted for part in parts):
        return
    names = [name for _, _, name in _files(parts) if name]
    taken = {hash(collision_key(path)) for path in (*names, *_folders(names))}
    with _Place(parts[0].task.folder) as place:
        for part in parts:
            names, wanted = part.names.split(b"\0"), iter(part.wanted)
            for index in (index for index, name in enumerate(names) if not name):
                number = part.task.first + index
                is_number, name = next(
                    (is_number, name)
                    for is_number, name in _names(next(wanted), number)
                    if hash(collision_key(name)) not in taken
                )
                try:
                    place.move(part.task.waiting / str(number), name)
                except DataError as error:
                    raise DataError(f"{part.task.path}: record {index}: {error}") from error
                taken.update(hash(collision_key(path)) for path in (name, *_folders([name])))
                names[index] = name
                part.numbered += is_number
                part.renamed += not is_number
            part.names = b"\0".join(names)


def _names(wanted: bytes, number: int) -> Iterator[tuple[bool, bytes]]:
    """Iterate names to choose the first free one of, and whether each is a number."""
    folder, name = os.path.split(wanted)
    ending = name[name.rindex(b".") :]
    if name != ending:
        yield False, wanted
    start = os.path.join(folder, b"%08d" % number)
    yield True, start + ending
    for more in count(1):
        yield True, start + b"-%d" % more + ending


def _folders(names: Iterable[bytes]) -> set[bytes]:
    """Return every folder on the way to some files."""
    found = {b""}
    for name in names:
        while (name := os.path.dirname(name)) not in found:
            found.add(name)
    return found - {b""}


def _check_places(parts: Sequence[_Done]) -> None:
    """Refuse files of which some file systems would make one.

    Raises:
        DataError: two paths differ only in case or Unicode form.
    """
    if not repeated_keys(name for _, _, name in _files(parts)):
        return
    seen: dict[tuple[str, str], bytes] = {}
    for part, number, name in _files(parts):
        first = seen.setdefault(collision_key(name), name)
        if first != name:
            where = f"{part.task.path}: record {number}: {printable(name)}"
            raise DataError(f"{where}: {collision_message(first)}")


def _doubts(done: Sequence[_Done]) -> tuple[str, ...]:
    """Say if some file systems would merge folders."""
    found = {
        (os.fsencode(part.task.folder), folder)
        for part in done
        for folder in _folders(part.names.split(b"\0"))
    }
    seen: dict[str, bytes] = {}
    for place, folder in sorted(found):
        key = os.path.join(*collision_key(os.path.join(place, folder))).casefold()
        if first := seen.get(key):
            names = f"{printable(first)} and {printable(folder)}"
            which = f"folders differ only in case or Unicode form ({names}…)"
            return (f"{which}: other file systems would merge them",)
        seen[key] = folder
    return ()


def _files(parts: Sequence[_Done]) -> Iterator[tuple[_Done, int, bytes]]:
    for part in parts:
        for number, name in enumerate(part.names.split(b"\0") if part.records else ()):
            yield part, number, name


def _empty(splits: Sequence[Split], done: Sequence[_Done]) -> tuple[str, ...]:
    """Return the classes of which there is no image."""
    labels = next((one.manifest.labels for one in splits if one.manifest), None) or ()
    used: set[int] = set().union(*(part.labels for part in done))
    return tuple(name for number, name in enumerate(labels) if number not in used)
