"""The folder of an unfinished split, and the steps that commit it, in order.

Knows: OUT/.SPLIT.partial and the files in it. Must not know: how shards are made, click.

Promises depend on the order of these steps: a shard is noted as complete when it is on the disk;
files are moved to OUT when all of them are on the disk; the manifest is moved last.
"""

from __future__ import annotations

import shutil
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tfrec_cli.dataset import manifest, targets
from tfrec_cli.dataset import rejects as rejects_file
from tfrec_cli.dataset.checksums import dataset_files, record_files
from tfrec_cli.dataset.division import Division
from tfrec_cli.dataset.manifest import Manifest, Shard
from tfrec_cli.dataset.names import (
    MANIFEST_SUFFIX,
    NOTE_SUFFIX,
    index_name,
    is_generated,
    partial_folders,
    partial_name,
)
from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.errors import BadImagesError, DataError, RunError, Terminated, UsageError
from tfrec_cli.runtime import files, pool
from tfrec_cli.runtime.paths import printable
from tfrec_cli.writing import journal as journals
from tfrec_cli.writing.journal import Journal
from tfrec_cli.writing.options import WriteOptions
from tfrec_cli.writing.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedSplit:
    """A split whose shards are complete in ``folder``, with its manifest and rejects.

    Attributes:
        labels: the class number of each record, if the manifest names a file of them.
    """

    folder: Path
    manifest: Manifest
    rejects: Sequence[Reject]
    labels: array[int] = field(default_factory=lambda: array("q"))


def folder_of(out: Path, split: str) -> Path:
    """Return the folder that holds a split until its commit."""
    return out / partial_name(split)


def finished(
    out: Path, split: str, planned: Plan, journal: Journal, options: WriteOptions, run: pool.Map
) -> Manifest | None:
    """Return the split's manifest if ``resume`` is set and the split is complete, else None.

    Raises:
        RunError: a different or damaged split of this name exists, and ``overwrite`` is not set.
    """
    path = out / (split + MANIFEST_SUFFIX)
    if not options.resume or not path.exists():
        return None
    made = manifest.load(path)
    different = journal.differences(made)
    if made.plan_sha256 != journal.plan_sha256:
        different.append(journals.IMAGES_CHANGED)
    if made.labels != journal.labels:
        different.append("the class names changed")
    newest = max(planned.sources(), key=lambda source: source[1])
    if newest[1] > path.stat().st_mtime_ns:
        different.append(f"{printable(newest[2])} changed since")
    if not different and (damaged := _damaged(out, made, run)):
        different.append(f"{damaged} is damaged or missing")
    if not different:
        clear(out, split)
        return made
    if options.overwrite:
        return None
    raise RunError(
        f"{out}: found split {split!r} of something else: {different[0]}; `overwrite` replaces it"
    )


def _damaged(out: Path, made: Manifest, run: pool.Map) -> str | None:
    """Return the name of a file that is missing or not what the manifest says, or None."""
    digests = {made.rejects_file: made.rejects_sha256}
    if made.targets:
        digests[made.targets.name] = made.targets.sha256
    for shard in made.shards:
        digests[shard.name] = shard.sha256
        if shard.index and shard.index_sha256:
            digests[shard.index] = shard.index_sha256
    wrong = run(_wrong_file, ((out / name, sha256) for name, sha256 in digests.items()))
    return min((path.name for path in wrong if path), default=None)


def _wrong_file(expected: tuple[Path, str]) -> Path | None:
    path, sha256 = expected
    return None if files.sha256(path) == sha256 else path


@contextmanager
def opened(out: Path, split: str, journal: Journal, options: WriteOptions) -> Iterator[Path]:
    """Make the folder that holds a split's files until `commit`, or reuse it with ``resume``.

    It is removed at the end, or if the data is wrong. After other errors, and if images cannot be
    used, it is kept for ``resume`` if it holds a complete shard.

    Raises:
        RunError: an unfinished write exists, or with ``resume`` one with other options.
        OSError: the folder cannot be made or removed.
    """
    folder = folder_of(out, split)
    if folder.is_symlink():
        raise RunError(f"{folder}: found a link, expected a folder, or nothing")
    begun = journals.read(folder) if options.resume else None
    if begun:
        journals.check_same(folder, begun, journal)
        _reclaim(folder, out, split)
    elif options.resume or options.overwrite or journals.has_failed(folder):
        clear(out, split)
    elif folder.exists():
        raise unfinished(folder)
    try:
        folder.mkdir(exist_ok=begun is not None)
        journals.begin(folder, journal)
        yield folder
    except BaseException as error:
        kept = not isinstance(error, (DataError, UsageError)) or isinstance(error, BadImagesError)
        if not kept:
            files.remove_folder(folder)
        elif not any(folder.glob("*" + NOTE_SUFFIX)):
            shutil.rmtree(folder, ignore_errors=True)  # the first error is raised
        elif isinstance(error, BadImagesError):  # its message says what to do
            journals.mark_failed(folder)
            if not options.resume:
                _add_hint(error, "add `resume` to reuse the complete shards")
        else:
            _add_hint(error, f"`{journal.command}` resumes it")
        raise
    files.remove_folder(folder)


def check_free(out: Path, planned: Mapping[str, Plan], options: WriteOptions) -> None:
    """Refuse to begin a write that the disk of ``out`` has no space for.

    Files that an interrupted write has written are not written again.

    Args:
        planned: the plan of each split.
    Raises:
        RunError: there is less space than the shards take.
    """
    needed_bytes = 0
    for split, its_plan in planned.items():
        if not (options.resume and (out / (split + MANIFEST_SUFFIX)).exists()):
            written = [path.lstat().st_size for path in folder_of(out, split).glob("*")]
            needed_bytes += max(0, its_plan.least_bytes - sum(written))
    files.check_free(out, needed_bytes)


def clear(out: Path, split: str) -> None:
    """Remove the folder of an unfinished split, if there is one."""
    folder = folder_of(out, split)
    if folder.exists():
        files.remove_folder(folder)


def unfinished(folder: Path) -> RunError:
    """Make the error for the folder of an interrupted write."""
    begun = journals.read(folder)
    how = f"`{begun.command}` resumes it, " if begun else ""
    return RunError(
        f"{folder}: found an unfinished write, expected none: {how}`overwrite` starts over"
    )


def unfinished_splits(out: Path, but: Collection[str]) -> dict[str, Division | None]:
    """Return the unfinished splits in ``out`` except ``but``, and the division of each."""
    begun = {split: journals.read(folder) for split, folder in partial_folders(out)}
    return {split: entry.division for split, entry in begun.items() if entry and split not in but}


def commit(out: Path, staged: Sequence[StagedSplit], others: Sequence[Manifest]) -> None:
    """Move finished files to ``out``, the manifests of all splits last.

    Manifests of replaced splits are removed first: no old split is there together with a new one.

    Args:
        others: the splits that stay unchanged.
    """
    moved, manifests = describe(staged, others)
    for split in staged:
        for shard in split.manifest.shards:
            moved |= {name: split.folder / name for name in (shard.name, shard.index) if name}
        files.sync(split.folder)
    for name in manifests:
        (out / name).unlink(missing_ok=True)
    files.sync(out)
    for path in out.iterdir():
        replaced = any(is_generated(path.name, split.manifest.split) for split in staged)
        if replaced and path.name not in moved:
            path.unlink()
    for name in sorted(moved):
        moved[name].replace(out / name)
    files.sync(out)
    for name, path in manifests.items():
        path.replace(out / name)
        files.sync(out)


def describe(
    staged: Sequence[StagedSplit], others: Sequence[Manifest] = ()
) -> tuple[dict[str, Path], dict[str, Path]]:
    """Write the sidecar files of splits into their folders, and make them durable.

    Returns:
        The written files by name: all but the manifests, and the manifests.
    """
    described = sorted(
        [*others, *(split.manifest for split in staged)], key=lambda entry: entry.split
    )
    others_by_name = {
        name: _written(staged[0].folder / name, data)
        for name, data in dataset_files(described).items()
    }
    manifests = {}
    for split in staged:
        rejects, last = split.manifest.rejects_file, split.manifest.split + MANIFEST_SUFFIX
        others_by_name[rejects] = _written(split.folder / rejects, rejects_file.dump(split.rejects))
        if named := split.manifest.targets:
            path = split.folder / named.name
            others_by_name[named.name] = _written(path, *targets.pieces(split.labels))
        manifests[last] = _written(split.folder / last, manifest.dump(split.manifest))
    return others_by_name, manifests


def describe_records(folder: Path, shards: Iterable[Shard]) -> None:
    """Write the files that describe shards without a manifest, and make them durable."""
    for name, data in record_files(shards).items():
        _written(folder / name, data)


def _written(path: Path, *pieces: bytes | memoryview) -> Path:
    """Write a file and make it durable."""
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        file.writelines(pieces)
    files.sync(path)
    return path


def _reclaim(folder: Path, out: Path, split: str) -> None:
    """Move back the files that an interrupted commit has moved, unless the commit had finished."""
    if (out / (split + MANIFEST_SUFFIX)).exists():
        return
    for note in folder.glob("*" + NOTE_SUFFIX):
        name = note.name.removesuffix(NOTE_SUFFIX)
        for moved in (name, index_name(name)):
            if (out / moved).exists() and not (folder / moved).exists():
                (out / moved).replace(folder / moved)


def _add_hint(error: BaseException, hint: str) -> None:
    if any(hint in str(one) for one in error.args):  # another split has added it
        return
    if isinstance(error, (BadImagesError, RunError, KeyboardInterrupt, Terminated)):
        error.args = ("; ".join([*map(str, error.args), hint]),)
    elif isinstance(error, OSError) and error.strerror:
        error.strerror += f"; {hint}"
