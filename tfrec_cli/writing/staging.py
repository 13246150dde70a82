"""The folder in OUT where an unfinished split waits: its lock, its journal, its commit.

Knows: OUT/.SPLIT.partial and what lies there. Must not know: how shards are made, click.

What is promised rests on the order of things here: a shard is noted as whole once it is on the
disk, files get their names in OUT once all of them are, and the manifest gets its own last of all.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
import socket
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tfrec_cli.dataset import division, manifest
from tfrec_cli.dataset import rejects as rejects_file
from tfrec_cli.dataset.checksums import dataset_files
from tfrec_cli.dataset.division import Division
from tfrec_cli.dataset.manifest import Manifest
from tfrec_cli.dataset.names import MANIFEST_SUFFIX, index_name, is_generated
from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.errors import DataError, RunError, Terminated, UnreadableError, UsageError
from tfrec_cli.runtime import files
from tfrec_cli.runtime.paths import printable
from tfrec_cli.writing import shard
from tfrec_cli.writing.options import GONE
from tfrec_cli.writing.plan import Plan

LOCK = ".tfrec.lock"
_JOURNAL = "journal.json"
_SOURCES = "sources"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """What an unfinished write was asked for: only the same may go on with it.

    Attributes:
        command: what to type to go on.
        division: how the images are divided among this split and others.
        options: of the command, but those that cannot change a byte, as JSON has them.
    """

    command: str
    plan_sha256: str
    division: Division | None
    labels: tuple[str, ...] | None
    options: Mapping[str, Any]
    versions: Mapping[str, str]


def folder_of(out: Path, split: str) -> Path:
    """Return the folder where a split waits for its commit."""
    return out / f".{split}.partial"


def is_ours(name: str) -> bool:
    """Tell whether a file or folder in OUT is there for a writer alone."""
    return name == LOCK or re.fullmatch(r"\..+\.partial", name) is not None


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Make ``out`` and be the only writer in it; leave no empty folder and no lock behind.

    The lock is the kernel's: it ends with the process, however that ends. Where the file system
    has none, there is none.

    Raises:
        RunError: another process writes there.
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
            with suppress(OSError):  # it holds what was written
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
                f"{path.parent}: found process {holder} writing there, "
                "expected one writer at a time"
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
        os.close(descriptor)  # its holder removed it meanwhile


@contextmanager
def opened(
    out: Path, planned: Plan, journal: Journal, *, split: str, resume: bool, overwrite: bool
) -> Iterator[Path]:
    """Make the folder where a split's files wait for `commit`, or with ``resume`` go on in it.

    It goes at the end, or when the data is wrong; whatever else ends the work, an image that cannot
    be read among it, leaves it for ``resume`` once it holds a whole shard.

    Raises:
        RunError: there is an unfinished write already, or one of another plan.
        OSError: it cannot be made, or removed.
    """
    folder = folder_of(out, split)
    if folder.is_symlink():
        raise RunError(f"{folder}: found a link, expected a folder, or nothing")
    begun = _read(folder) if resume else None
    if begun:
        _check_same(folder, begun, planned, journal)
        _reclaim(folder, out, split)
    elif resume or overwrite:
        clear(out, split)
    elif folder.exists():
        raise unfinished(folder)
    try:
        if not begun:
            folder.mkdir()
            _begin(folder, planned, journal)
        yield folder
    except BaseException as error:
        if isinstance(error, (DataError, UsageError)) and not isinstance(error, UnreadableError):
            files.remove_folder(folder)
        elif not any(folder.glob("*" + shard.NOTE_SUFFIX)):
            shutil.rmtree(folder, ignore_errors=True)  # an error is on its way already
        else:
            _add_hint(error, f"`{journal.command}` goes on")
        raise
    files.remove_folder(folder)


def clear(out: Path, split: str) -> None:
    """Remove what is left of a write that came to its end."""
    folder = folder_of(out, split)
    if folder.exists():
        files.remove_folder(folder)


def unfinished(folder: Path) -> RunError:
    """Make the error for a folder in which somebody was interrupted."""
    begun = _read(folder)
    how = f"`{begun[0].command}` goes on, " if begun else ""
    return RunError(
        f"{folder}: found an unfinished write, expected none: {how}--overwrite starts again"
    )


def unfinished_splits(out: Path, but: Collection[str]) -> dict[str, Division | None]:
    """Return the splits that wait in ``out``, other than some, and how each was divided."""
    found = {}
    for folder in sorted(out.glob(".*.partial")):
        split, begun = folder.name[1:].removesuffix(".partial"), _read(folder)
        if split not in but and begun:
            found[split] = begun[0].division
    return found


def changes(before: Mapping[str, Any], now: Mapping[str, Any], form: str = "{}") -> Iterator[str]:
    """Say what differs between two sets of values, such as options, one line each."""
    for name in sorted({*before, *now} - GONE):
        was, is_now = before.get(name), now.get(name)
        if was != is_now:
            yield f"{form.format(name.replace('_', '-'))} was {_word(was)}, now {_word(is_now)}"


def _word(value: Any) -> str:
    if isinstance(value, list):
        return "x".join(map(str, value))
    return "not given" if value is None else str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A split whose shards wait in ``folder``."""

    folder: Path
    made: Manifest
    rejects: Sequence[Reject]


def commit(out: Path, ready: Sequence[Ready], others: Sequence[Manifest]) -> None:
    """Give finished files their names in ``out``, the manifests of all splits last.

    Those that are replaced lose theirs before: no old split stands beside a new one.

    Args:
        others: the splits that stay as they are.
    """
    moved, manifests = describe(ready, others)
    for one in ready:
        for part in one.made.shards:
            moved |= {name: one.folder / name for name in (part.name, part.index) if name}
        files.sync(one.folder)
    for name in manifests:
        (out / name).unlink(missing_ok=True)
    files.sync(out)
    for path in out.iterdir():
        replaced = any(is_generated(path.name, one.made.split) for one in ready)
        if replaced and path.name not in moved:
            path.unlink()
    for name in sorted(moved):
        moved[name].replace(out / name)
    files.sync(out)
    for name, path in manifests.items():
        path.replace(out / name)
        files.sync(out)


def describe(
    ready: Sequence[Ready], others: Sequence[Manifest] = ()
) -> tuple[dict[str, Path], dict[str, Path]]:
    """Write what lies beside the shards of splits to the disk, in their folders.

    Returns:
        The files by their names: those that describe anything else, and the manifests.
    """
    splits = sorted([*others, *(one.made for one in ready)], key=lambda made: made.split)
    others_by_name = {
        name: _written(ready[0].folder / name, data) for name, data in dataset_files(splits).items()
    }
    manifests = {}
    for one in ready:
        told, last = one.made.rejects_file, one.made.split + MANIFEST_SUFFIX
        others_by_name[told] = _written(one.folder / told, rejects_file.dump(one.rejects))
        manifests[last] = _written(one.folder / last, manifest.dump(one.made))
    return others_by_name, manifests


def _written(path: Path, data: bytes) -> Path:
    """Write a file of this content, and make it durable."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    files.sync(path)
    return path


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Make a folder that gets the name ``out`` when the block ends well, or never.

    Meanwhile it is hidden beside ``out``, where nobody else makes it; what is left there of a
    process that was killed goes first. The files in it are for the caller to make durable.

    Raises:
        RunError: ``out`` holds something, cannot be replaced or written, or another process
            makes it.
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
                with suppress(OSError):  # an error is on its way already
                    files.remove_folder(folder)
                raise
            files.sync(place.parent)
        with suppress(OSError):  # who was killed left it, else it is gone
            hidden.rmdir()
    except OSError as error:
        raise RunError(f"{out}: cannot be written: {error.strerror or error}") from error


def _check_new(out: Path) -> None:
    """Refuse what cannot become a new folder."""
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


def _begin(folder: Path, planned: Plan, journal: Journal) -> None:
    """Write the sources, then the journal, which has their digest: without it nothing was begun."""
    digest = hashlib.sha256()
    with (folder / _SOURCES).open("wb") as file:
        for line in _sources(planned):
            file.write(line)
            digest.update(line)
    written = {**asdict(journal), "sources_sha256": digest.hexdigest()}
    (folder / _JOURNAL).write_bytes(manifest.sealed(written))


def _read(folder: Path) -> tuple[Journal, str] | None:
    """Return the journal of an unfinished write and the digest of its sources, if it is whole."""
    values = manifest.unsealed(folder / _JOURNAL)
    if values is None:
        return None
    try:
        sources_sha256 = values.pop("sources_sha256")
        values["labels"] = values["labels"] and tuple(values["labels"])
        if "division" not in values:  # begun before it was noted
            values["division"] = division.of_option(values["options"].get("split"))
        else:
            values["division"] = division.of_note(values["division"])
        journal = Journal(**values)
        kinds = journal.options, journal.versions, journal.command, sources_sha256
    except (TypeError, AttributeError, LookupError, ValueError):
        return None
    whole = all(map(isinstance, kinds, (dict, dict, str, str)))
    return (journal, sources_sha256) if whole else None


def _check_same(folder: Path, begun: tuple[Journal, str], planned: Plan, journal: Journal) -> None:
    """Refuse to go on with another plan, saying what changed.

    Raises:
        RunError: it is another.
    """
    before, sources_sha256 = begun
    different = [*changes(before.options, journal.options, "--{}")]
    different += changes(before.versions, journal.versions)
    digest = hashlib.sha256()
    for line in _sources(planned):
        digest.update(line)
    if not different and digest.hexdigest() != sources_sha256:
        different.append(_changed_source(folder / _SOURCES, planned))
    if before.labels != journal.labels:
        different.append("the class names changed")
    if not different and before.plan_sha256 != journal.plan_sha256:
        different.append("the images changed, or what a manifest says of them")
    if different:
        more = f" (and {len(different) - 1} more)" if len(different) > 1 else ""
        raise RunError(
            f"{folder}: found an unfinished write of something else: {different[0]}{more}; "
            f"expected the same: `{before.command}` goes on, --overwrite starts again"
        )


def _sources(planned: Plan) -> Iterator[bytes]:
    """Iterate what is known of every source, one entry for each, ended by a zero byte."""
    for size_bytes, mtime_ns, path in planned.sources():
        yield b"%d %d %s\0" % (size_bytes, mtime_ns, path)
    for reject in planned.rejects:
        yield b"%s - %s\0" % (reject.reason.encode(), reject.path)


def _changed_source(path: Path, planned: Plan) -> str:
    def by_path(entries: Iterable[bytes]) -> dict[bytes, bytes]:
        split = (entry.rstrip(b"\0").split(b" ", 2) for entry in entries if entry)
        return {path: size + mtime for size, mtime, path in split}

    if not path.is_file():
        return "the images changed"
    before = by_path(path.read_bytes().split(b"\0"))
    now = by_path(_sources(planned))
    for word, paths in (
        ("added", now.keys() - before.keys()),
        ("removed", before.keys() - now.keys()),
        ("changed", {path for path in now if before.get(path, now[path]) != now[path]}),
    ):
        if paths:
            more = f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
            return f"{printable(min(paths))} was {word}{more}"
    return "the order of the images changed"


def _reclaim(folder: Path, out: Path, split: str) -> None:
    """Take back what a commit had moved already, unless it came to its end."""
    if (out / (split + MANIFEST_SUFFIX)).exists():
        return
    for note in folder.glob("*" + shard.NOTE_SUFFIX):
        name = note.name.removesuffix(shard.NOTE_SUFFIX)
        for moved in (name, index_name(name)):
            if (out / moved).exists() and not (folder / moved).exists():
                (out / moved).replace(folder / moved)


def _add_hint(error: BaseException, hint: str) -> None:
    if hint in str(error):  # that of another split
        return
    if isinstance(error, (RunError, UnreadableError, KeyboardInterrupt, Terminated)):
        error.args = ("; ".join([*map(str, error.args), hint]),)
    elif isinstance(error, OSError) and error.strerror:
        error.strerror += f"; {hint}"
