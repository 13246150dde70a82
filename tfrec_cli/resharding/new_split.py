"""Makes one new split: selects and copies records, checks them, and describes them.

Knows: the files that a new split is copied from. Must not know: which splits belong together.
"""

from __future__ import annotations

import hashlib
import shutil
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import accumulate, chain, islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tfrec_cli.dataset import discover, origins, records, rejects, targets
from tfrec_cli.dataset.discover import Split
from tfrec_cli.dataset.manifest import Manifest
from tfrec_cli.dataset.names import index_name, shard_name
from tfrec_cli.dataset.origins import Origin
from tfrec_cli.dataset.records import Names, content_digest, smallest_of
from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.errors import DataError, UsageError
from tfrec_cli.resharding import select
from tfrec_cli.resharding.runs import (
    NOTED,
    CopiedShard,
    File,
    Located,
    Numbers,
    Reading,
    Run,
    Task,
    between,
    copy_shards,
    locate,
)
from tfrec_cli.resharding.select import conditions
from tfrec_cli.runtime import pool, values
from tfrec_cli.runtime.pool import Progress
from tfrec_cli.tfrecord.compression import WrittenCompression
from tfrec_cli.writing import output, plan
from tfrec_cli.writing.options import default_of, validate
from tfrec_cli.writing.staging import StagedSplit
from tfrec_cli.writing.written_shard import WrittenShard


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of the commands that copy records, named as on the command line.

    Attributes:
        split: None takes all splits.
        where: conditions that records must meet, each as ``label=cat,dog``.
        limit: copy at most so many records into each new split, the first ones; None copies all.
        shards: number of shards of each split; None chooses it by ``shard_size``.
        shard_size: approximate size of a shard in bytes.
        index: None writes index files if there were some.
    """

    split: str | None = None
    where: tuple[str, ...] = ()
    limit: int | None = None
    shards: int | None = None
    shard_size: int | None = None
    index: bool | None = None
    jobs: int | None = None

    @property
    def selects(self) -> bool:
        """Whether perhaps only some records are copied."""
        return bool(self.where) or self.limit is not None

    @property
    def shard_bytes(self) -> int:
        """Approximate size of a shard, if their number is not given."""
        size_bytes: int = self.shard_size or default_of("shard_size")
        return size_bytes

    def check(self) -> None:
        """Refuse values out of range, and options that contradict each other.

        Raises:
            UsageError: names the option.
        """
        if self.shards is not None and self.shard_size is not None:
            raise UsageError("`shards`: cannot be used with `shard_size`")
        for name in ("shards", "shard_size", "jobs"):
            validate(name, getattr(self, name))
        if self.limit is not None:
            values.whole("limit", self.limit, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Where new splits are made: ``folder``; how many there are, and the workers that make them."""

    folder: Path
    splits: int
    options: Options
    run: pool.Map
    progress: Progress


@contextmanager
def work(out: Path, splits: int, options: Options, progress: Progress) -> Iterator[Work]:
    """Make the new folder ``out`` and start workers; it appears at the end, on disk, or never.

    Args:
        splits: how many splits will be made.
    Raises:
        RunError: ``out`` is not new or cannot be written.
    """
    jobs = options.jobs or pool.available_jobs()
    # workers are the last to be entered: they must stop before the folder is removed
    with output.new_folder(out) as folder, pool.local(jobs) as run:
        yield Work(folder=folder, splits=splits, options=options, run=run, progress=progress)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A split to be copied; its manifest has the class names that it gets."""

    split: Split
    manifest: Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The records of a new split: for each file those that are copied, in order."""

    located: Sequence[Located]
    runs: Sequence[Run]

    @property
    def counts(self) -> list[int]:
        """How many records of each file are copied."""
        return [len(run.lengths) for run in self.runs]

    def noted(self, field: str) -> list[Numbers]:
        """Return the values of a field of `NOTED` in the copied records of each file."""
        column = NOTED.index(field)
        pairs = zip(self.located, self.counts, strict=True)
        return [part.noted[:count, column] for part, count in pairs]


def files_of(source: Source, options: Options, *, reads: bool) -> list[File]:
    """Return the files of a split.

    Args:
        reads: note what `Chosen.noted` returns even if all records are copied.
    Raises:
        DataError: the manifest contradicts itself.
        UsageError: a condition is wrong for this split.
    """
    described = source.manifest
    count = sum(entry.records for entry in described.shards)
    if count != described.records:
        found = values.plural(count, "record")
        raise DataError(
            f"{source.split.folder}: split {described.split!r}: found {found}, expected "
            f"{described.records:,} by the manifest",
            hint="verify",
        )
    reading = None
    if reads or options.selects:
        names = records.NAMES[described.keys]
        noted = tuple(str(getattr(names, field)) for field in NOTED)
        reading = Reading(names=noted, conditions=conditions(options.where, described))
    return [
        File(
            path=path,
            described=entry,
            is_plain=described.compression == "none",
            reading=reading,
        )
        for path, entry in zip(source.split.shards, described.shards, strict=True)
    ]


def choose(name: str, files: Sequence[File], work: Work) -> Chosen:
    """Find and select the records of a new split.

    Raises:
        DataError: a file is damaged, or differs from its manifest.
        UsageError: no record meets the conditions.
    """
    located = locate(files, _plain(work, name), work.run, work.progress)
    runs = []
    left = work.options.limit
    for part in located:
        runs.append(part.run.part(slice(left)))
        left = None if left is None else left - len(runs[-1].lengths)
    if work.options.where and not any(len(run.lengths) for run in runs):
        raise _none_selected(name, files, located, work.splits)
    return Chosen(located=located, runs=runs)


def unmet(chosen: Iterable[Chosen], options: Options) -> list[str]:
    """Return a line for each condition with values that no record of all splits has."""
    parts = zip(*(part.unmet for one in chosen for part in one.located), strict=True)
    return select.warnings(options.where, [frozenset.intersection(*words) for words in parts])


def _none_selected(
    name: str, files: Sequence[File], located: Sequence[Located], splits: int
) -> UsageError:
    """Make the error for conditions that no record meets."""
    count = sum(part.records for part in located)
    wanted = files[0].reading.conditions if files[0].reading else ()
    for number, condition in enumerate(wanted):
        if not any(part.having[number] for part in located):
            return UsageError(
                f"`where` {condition.text}: found no feature {condition.feature!r} with one "
                f"integer or text in the {values.plural(count, 'record')} of split {name!r}"
            )
    texts = " and ".join(condition.text for condition in wanted)
    return UsageError(
        f"`where` {texts}: found no such record among the {count} of split {name!r}, expected at "
        f"least one{': `split` copies one split' if splits > 1 else ''}"
    )


def copy_split(
    sources: Sequence[Source], base: Manifest, chosen: Chosen, work: Work
) -> StagedSplit:
    """Copy the chosen records of some splits into a new one.

    Args:
        base: the manifest of all their records together, apart from shards, digests and options.
    Raises:
        DataError: a record or a list of rejects is damaged, or the records are not those of a
            manifest.
        UsageError: there are more shards than records, or GZIP shards should get index files.
    """
    rejected = [reject for source in sources for reject in _rejects(source)]
    entries = [entry for source in sources for entry in source.manifest.shards]
    shards = copy_records(
        base.split,
        chosen,
        work,
        stored=[entry.size_bytes for entry in entries],
        indexed=any(entry.index for entry in entries),
        compression=base.compression,
        names=records.NAMES[base.keys],
        labelled=base.labels is not None,
    )
    made_of = _origins(sources, chosen, work.options)
    _check_contents(sources, chosen, shards)
    labels = array("q")
    for shard in shards:
        labels += shard.labels
    made = _described(base, shards, labels, work.options)
    if len(made_of) > 1 or origins.are_subset(made_of):
        digests = chain.from_iterable(shard.digests() for shard in shards)
        made = replace(
            made,
            origins=made_of,
            records=sum(chosen.counts),
            smallest=_smallest(chosen),
            content_sha256=content_digest(digests),
            plan_sha256=origins.plan_digest(made_of),
            rejects_sha256=hashlib.sha256(rejects.dump(rejected)).hexdigest(),
        )
    return StagedSplit(folder=work.folder, manifest=made, rejects=rejected, labels=labels)


def copy_records(
    name: str,
    chosen: Chosen,
    work: Work,
    *,
    stored: Sequence[int] | None = None,
    indexed: bool,
    compression: WrittenCompression = "none",
    names: Names | None = None,
    labelled: bool = False,
) -> list[CopiedShard]:
    """Copy chosen records into the shards of a split.

    Args:
        stored: size of each old shard; None takes that of their records.
        indexed: whether there were index files.
        names: names of the features; None for records of other programs.
        labelled: whether the records have labels.
    Raises:
        DataError: a record is damaged.
        UsageError: there are more shards than records, or GZIP shards should get index files.
    """
    options = work.options
    indexed = indexed if options.index is None else options.index
    if indexed and compression == "gzip":
        raise UsageError("`index`: GZIP shards cannot have index files")
    count = sum(chosen.counts)
    size_bytes = sum(
        int(run.lengths.sum()) * (stored[number] if stored else part.size_bytes) // part.size_bytes
        for number, (run, part) in enumerate(zip(chosen.runs, chosen.located, strict=True))
        if part.size_bytes
    )
    bounds = plan.cut(count, size_bytes, options.shards, options.shard_bytes, "record")
    sizes = [stop - start for start, stop in pairwise(bounds)]
    plan.check_sizes(sizes, options.shards, options.shard_bytes, "record")
    tasks = []
    for number, (start, stop) in enumerate(pairwise(bounds)):
        file = shard_name(name, number, len(bounds) - 1, compression)
        task = Task(
            number=number,
            path=work.folder / file,
            index=work.folder / index_name(file) if indexed else None,
            compression=compression,
            key=names.key if names else None,
            label=names.label if names and labelled else None,
            runs=tuple(between(chosen.runs, start, stop)),
        )
        tasks.append(task)
    shards = copy_shards(tasks, count, work.run, work.progress)
    shutil.rmtree(_plain(work, name), ignore_errors=True)
    return shards


def _plain(work: Work, name: str) -> Path:
    """Return the folder that holds the decompressed files of a split while they are copied."""
    return work.folder / f".{name}.plain"


def _rejects(source: Source) -> list[Reject]:
    """Read the list of images that were left out when a split was written."""
    described = source.manifest
    path = source.split.folder / described.rejects_file
    with discover.reading(path):
        data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != described.rejects_sha256:
        raise DataError(f"{path}: found another SHA-256, expected that of the manifest")
    return rejects.parse(data, path)


def _by_source(sources: Sequence[Source], found: Sequence[Any]) -> Iterator[list[Any]]:
    """Group what was found, one for each file, by source."""
    rest = iter(found)
    return (list(islice(rest, len(source.manifest.shards))) for source in sources)


def _check_contents(
    sources: Sequence[Source], chosen: Chosen, shards: Sequence[WrittenShard]
) -> None:
    """Compare the copied records of each source that is copied completely with its manifest."""
    digests = chain.from_iterable(shard.digests() for shard in shards)
    for source, counts in zip(sources, _by_source(sources, chosen.counts), strict=True):
        described = source.manifest
        content = content_digest(islice(digests, sum(counts)))
        if sum(counts) == described.records and content != described.content_sha256:
            raise DataError(
                f"{source.split.folder}: split {described.split!r}: found content digest "
                f"{content}, expected {described.content_sha256} by the manifest",
                hint="verify",
            )


def _origins(sources: Sequence[Source], chosen: Chosen, options: Options) -> tuple[Origin, ...]:
    """Return the origins of the copied records."""
    how = [condition.text for condition in conditions(options.where, sources[0].manifest)]
    how += [f"limit={options.limit}"] if options.limit else []
    found: list[Origin] = []
    for source, files in zip(
        sources,
        _by_source(sources, list(zip(chosen.located, chosen.runs, strict=True))),
        strict=True,
    ):
        firsts = accumulate((part.records for part, _ in files), initial=0)
        places = [run.numbers + first for first, (_, run) in zip(firsts, files, strict=False)]
        made_of = origins.of(source.manifest)
        edges = list(accumulate((origin.records for origin in made_of), initial=0))
        counts = np.diff(np.searchsorted(np.concatenate(places), edges)).tolist()
        if options.selects:
            made_of = origins.selected(made_of, counts, how)
        found += made_of
    return tuple(found)


def _smallest(chosen: Chosen) -> tuple[int, int] | None:
    """Return the smallest height and width of the copied images in pixels."""
    sides = [np.concatenate(chosen.noted(side)) for side in ("height", "width")]
    if not len(sides[0]):
        return None
    return smallest_of([(int(sides[0].min()), int(sides[1].min()))])


def _described(
    base: Manifest, shards: Sequence[WrittenShard], labels: array[int], options: Options
) -> Manifest:
    """Return a manifest with the new shards and the file of their labels."""
    requested: dict[str, Any] = {"shards": options.shards, "shard_size": options.shard_bytes}
    if options.index is not None:
        requested["index"] = options.index
    return replace(
        base,
        shards=tuple(shard.described() for shard in shards),
        options={**base.options, **requested},
        targets=targets.described(base.split, labels) if labels else None,
    )
