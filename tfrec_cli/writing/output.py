"""The lock of the output folder OUT, and checks of what is already in it.

Knows: OUT and the splits in it. Must not know: how shards are made, click.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tfrec_cli.dataset import manifest
from tfrec_cli.dataset.division import Division
from tfrec_cli.dataset.manifest import Manifest
from tfrec_cli.dataset.names import LOCK, is_of_split, is_of_writer
from tfrec_cli.dataset.records import Column
from tfrec_cli.errors import DataError, RunError, TfrecError, UsageError
from tfrec_cli.runtime import files
from tfrec_cli.runtime.paths import is_inside, printable
from tfrec_cli.sources.columns import has_boxes
from tfrec_cli.sources.listing import Listing
from tfrec_cli.writing import journal, staging
from tfrec_cli.writing import split as splits
from tfrec_cli.writing.options import WriteOptions

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Make ``out`` and lock it for one writer; at the end remove the lock and empty folders.

    The kernel holds the lock: it ends with the process, however that ends. On file systems
    without locks there is none.

    Raises:
        RunError: another process is writing there.
        OSError: the folder cannot be made or written.
    """
    missing = [path for path in (out, *out.parents) if not path.exists()]
    path = out / LOCK
    try:
        out.mkdir(parents=True, exist_ok=True)
        for made in missing:
            files.sync(made.parent)
        descriptor = _lock(path)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            os.close(descriptor)
    finally:
        for made in missing:
            with suppress(OSError):  # not empty: it holds the dataset
                made.rmdir()


def _lock(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise RunError(f"{path}: found a pipe or device, expected a lock file or nothing")
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            holder = os.read(descriptor, 300).decode(errors="replace").strip()
            os.close(descriptor)
            raise RunError(
                f"{path.parent}: process {holder} is writing here; one writer at a time is allowed"
            ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(descriptor)
                raise
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                os.truncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()} on {socket.gethostname()}\n".encode())
                return descriptor
        os.close(descriptor)  # another writer has just removed the file: try again


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Make a folder that is renamed to ``out`` if the block ends without an error.

    Until then it is hidden next to ``out`` and locked; remains of a killed process are removed
    first. The caller makes the files in it durable.

    Raises:
        RunError: ``out`` is not empty, cannot be replaced or written, or another process is
            making it.
    """
    place = Path(os.path.realpath(out))
    hidden = place.with_name(f".{place.name}.new") if place.name else place
    try:
        _check_new(out)
        if hidden.is_symlink():
            raise RunError(f"{hidden}: found a link, expected a folder, or nothing")
        with locked(hidden):
            folder = hidden / place.name
            if folder.exists():
                files.remove_folder(folder)
            folder.mkdir()
            try:
                yield folder
                files.sync(folder)
                folder.rename(place)
            except BaseException:
                with suppress(OSError):  # the first error is raised
                    files.remove_folder(folder)
                raise
            files.sync(place.parent)
        with suppress(OSError):  # it is still there if a killed process had made it
            hidden.rmdir()
    except OSError as error:
        raise RunError(f"{out}: cannot be written: {error.strerror or error}") from error


def _check_new(out: Path) -> None:
    """Refuse a path that cannot become a new folder."""
    expected = "expected an empty folder, or nothing"
    if not out.exists():
        return
    if not out.is_dir():
        raise RunError(f"{out}: found a file, {expected}")
    if names := os.listdir(out):
        first = printable(os.fsencode(min(names)))
        raise RunError(f"{out}: found other files ({first}…), {expected}")
    if os.path.ismount(out) or out.samefile(os.curdir):
        what = "a mounted disk" if os.path.ismount(out) else "the current folder"
        raise RunError(f"{out}: found {what}, expected a folder that can be replaced, or nothing")


@contextmanager
def errors_named(out: Path) -> Iterator[None]:
    """Turn errors of the system into errors of one line that names the path."""
    try:
        yield
    except TfrecError:  # MissingPathError is an OSError too
        raise
    except OSError as error:
        place = printable(os.fsencode(error.filename or out))
        raise RunError(f"{place}: cannot be written: {error.strerror or error}") from error


def check_place(source: Path, root: Path, out: Path, names: Iterable[str]) -> None:
    """Refuse a path that cannot be the folder of a dataset, before anything is written.

    Args:
        root: the folder of the images; ``source``, unless that is an image list.
    """
    above = root.resolve(), *root.resolve().parents
    if any(staging.folder_of(out, name).resolve() in above for name in names):
        raise UsageError(f"{root}: found the folder of an unfinished write, expected images")
    try:
        if out.exists() and not out.is_dir():
            raise RunError(f"{out}: found a file, expected a folder, or nothing")
        if _are_swapped(source, out):
            order = "the order is `source`, `out`"
            raise UsageError(f"{source}: found a tfrec dataset, expected images: {order}")
        if out.exists() and out.samefile(root):
            raise UsageError(f"{out}: found the folder of the images, expected another one")
        if source.is_dir() and is_inside(out, source):
            raise UsageError(
                f"{out}: found a folder inside {source}, the folder of the images, expected one "
                "outside of it"
            )
    except OSError as error:
        raise RunError(f"{out}: cannot be read: {error.strerror}") from error


def _are_swapped(source: Path, out: Path) -> bool:
    """Tell whether ``source`` holds a dataset, and ``out`` other files."""
    is_dataset = source.is_dir() and bool(manifest.find(source))
    return is_dataset and out.is_dir() and any(out.iterdir()) and not manifest.find(out)


def other_splits(out: Path, options: WriteOptions, names: Collection[str]) -> list[Manifest]:
    """Return the manifests of the splits in ``out`` that are not written now.

    Raises:
        RunError: a split may not be written into ``out``.
    """
    if not out.exists():
        return []
    existing = manifest.find(out)
    for name in names:
        _check_free(out, name, existing, options)
    others = [manifest.load(path) for split, path in existing.items() if split not in names]
    divided = {other.split: other.division for other in others}
    _check_leaks(out, names, {**staging.unfinished_splits(out, names), **divided})
    return others


def _check_leaks(out: Path, names: Collection[str], divided: Mapping[str, Division | None]) -> None:
    """Refuse to write an image into a split if another split here may hold it too.

    Args:
        divided: the division of each of the other splits, finished or not.
    """
    for other, division in divided.items():
        if division is None or not division.has_shares:  # an image stays in its split
            continue
        if len(names) > 1 or set(division.names) & set(names):
            raise RunError(
                f"{out}: found split {other!r} of `split` {division}: its images may be among "
                "those that are written now; write all of its splits together, or write into a "
                "new folder"
            )


def _check_free(out: Path, split: str, existing: Collection[str], options: WriteOptions) -> None:
    """Refuse ``out`` if it holds this split, files of it, or other files."""
    partial = staging.folder_of(out, split)
    if not options.overwrite and not options.resume:
        if partial.exists() and not journal.has_failed(partial):
            raise staging.unfinished(partial)
        if split in existing:
            raise RunError(
                f"{out}: split {split!r} exists: `split` sets another name, `overwrite` replaces it"
            )
    if split not in existing and (twin := splits.twin(split, existing)):
        raise RunError(
            f"{out}: found split {twin!r}, which differs from {split!r} only in case: "
            "`split` sets another name"
        )
    if not options.overwrite and split not in existing and not partial.exists():
        names = sorted(path.name for path in out.iterdir() if not is_of_writer(path.name))
        if existing:
            names = [name for name in names if is_of_split(name, split)]
        if names:
            expected = "none of this split" if existing else "an empty folder or a dataset"
            raise RunError(
                f"{out}: found other files ({printable(os.fsencode(names[0]))}…), "
                f"expected {expected} (`overwrite`)"
            )


def check_agreement(
    source: Path, out: Path, options: WriteOptions, listing: Listing, others: Sequence[Manifest]
) -> None:
    """Refuse a split that cannot be read together with the others in ``out``.

    Raises:
        UsageError: its options or columns differ from theirs; or a crop would make boxes wrong.
        DataError: its class names differ from theirs.
    """
    for other in others:
        if other.labels != listing.labels:
            raise DataError(
                f"{source}: found {_classes(listing.labels)}, expected those of split "
                f"{other.split!r} in {out}: {_classes(other.labels)}, or another OUT"
            )
        first = other.options.get("first_label", 0)
        for name, value, existing in (
            ("first_label", options.first_label or first, first),
            ("keys", options.keys, other.keys),
            ("crop", _size(options.crop), _size(other.crop)),
            ("depth", options.depth, other.depth),
            ("encoding", options.stored, other.stored),
            ("compression", options.compression, other.compression),
        ):
            if value != existing:
                expected = f"{existing} as in split {other.split!r} of {out}"
                raise UsageError(f"`{name}`: found {value}, expected {expected}")
        if _columns(listing.columns) != _columns(other.columns):
            raise UsageError(
                f"{source}: found columns {_columns(listing.columns)}, expected those of "
                f"split {other.split!r} in {out}: {_columns(other.columns)}"
            )
    if options.crop and has_boxes(listing.columns):
        raise UsageError("`crop`: found boxes, expected whole images: a crop would make them wrong")


def _size(crop: tuple[int, int] | None) -> str:
    return f"{crop[0]}x{crop[1]}" if crop else "none"


def _columns(columns: Sequence[Column]) -> str:
    return ", ".join(map(str, columns)) or "none"


def _classes(labels: tuple[str, ...] | None) -> str:
    return "no labels" if labels is None else f"{len(labels)} classes ({', '.join(labels[:5])}…)"
