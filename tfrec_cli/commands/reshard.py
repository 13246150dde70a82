"""The steps of ``tfrec reshard``.

The same records, or some of them, in the same order, go into another number of shards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tfrec_cli.dataset import discover, manifest
from tfrec_cli.dataset.discover import Split
from tfrec_cli.dataset.manifest import Manifest, Shard
from tfrec_cli.errors import UsageError
from tfrec_cli.resharding import foreign, new_split
from tfrec_cli.resharding.new_split import Options, Source
from tfrec_cli.resharding.runs import File, Reading
from tfrec_cli.resharding.select import conditions
from tfrec_cli.runtime.pool import Progress
from tfrec_cli.writing import staging

__all__ = ["Options", "Records", "Resharded", "reshard"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """A split of records of another program, which have no manifest.

    Attributes:
        records_before: number of records of all its files.
        files_before: number of its files.
        shards: the new shards.
    """

    split: str
    records: int
    records_before: int
    files_before: int
    shards: tuple[Shard, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resharded:
    """What ``tfrec reshard`` did.

    Attributes:
        path: the dataset that was copied.
        out: the new folder.
        before: the old manifest of each split.
        after: the new manifest of each split.
        foreign: the splits of record files of another program, which have no manifests.
        warnings: one line each, for a person.
    """

    path: Path
    out: Path
    before: tuple[Manifest, ...] = ()
    after: tuple[Manifest, ...] = ()
    foreign: tuple[Records, ...] = ()
    warnings: tuple[str, ...] = ()


def reshard(
    path: Path, out: Path, options: Options, progress: Progress = lambda *_: None
) -> Resharded:
    """Copy the dataset at ``path`` into the new folder ``out``, in other shards.

    Records are copied unchanged. Shards begin at the same records as with `tfrec write`, so the
    same number of shards gives the same files. Shards of records of another program have by
    default the size that `tfrec write` gives them. ``out`` appears when it is complete and on disk;
    after an error it does not exist.

    Args:
        path: a dataset; or a file, a folder or a glob pattern of record files of any program.
    Raises:
        UsageError: it is not said what to change in a dataset, there are more shards than records,
            no such split, or no record that ``where`` selects.
        DataError: a shard or sidecar file is missing, damaged, or differs from its manifest.
        RunError: ``out`` is not new or cannot be written.
    """
    options.check()
    if path.is_dir() and manifest.find(path):
        is_same = options.shards is None and options.shard_size is None
        if is_same and options.split is None and not options.selects:
            raise UsageError("`shards` or `shard_size` is needed, or `split`, `where` or `limit`")
        return _reshard_dataset(path, out, discover.chosen(path, options.split), options, progress)
    return _reshard_foreign(path, out, options, progress)


def _reshard_dataset(
    path: Path, out: Path, splits: Sequence[Split], options: Options, progress: Progress
) -> Resharded:
    sources = [Source(split=split, manifest=split.manifest) for split in splits if split.manifest]
    files = [new_split.files_of(source, options, reads=False) for source in sources]
    with new_split.work(out, len(sources), options, progress) as work:
        staged, selected = [], []
        for source, files_of_split in zip(sources, files, strict=True):
            described = source.manifest
            chosen = new_split.choose(described.split, files_of_split, work)
            selected.append(chosen)
            staged.append(new_split.copy_split([source], described, chosen, work))
        staging.describe(staged)
    return Resharded(
        path=path,
        out=out,
        before=tuple(source.manifest for source in sources),
        after=tuple(split.manifest for split in staged),
        warnings=tuple(new_split.unmet(selected, options)),
    )


def _reshard_foreign(path: Path, out: Path, options: Options, progress: Progress) -> Resharded:
    reading = None
    if options.where:
        reading = Reading(conditions=conditions(options.where, None))
    splits = foreign.splits(path, options.split)
    with new_split.work(out, len(splits), options, progress) as work:
        copied, selected = [], []
        for name, paths in splits.items():
            files = [File.foreign(one, reading) for one in paths]
            chosen = new_split.choose(name, files, work)
            selected.append(chosen)
            shards = new_split.copy_records(
                name, chosen, work, indexed=any(map(foreign.is_indexed, paths))
            )
            made = Records(
                split=name,
                records=sum(chosen.counts),
                records_before=sum(part.records for part in chosen.located),
                files_before=len(paths),
                shards=tuple(shard.described() for shard in shards),
            )
            copied.append(made)
        staging.describe_records(work.folder, [shard for made in copied for shard in made.shards])
    warnings = new_split.unmet(selected, options)
    return Resharded(path=path, out=out, foreign=tuple(copied), warnings=tuple(warnings))
