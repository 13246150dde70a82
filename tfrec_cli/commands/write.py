"""The steps of ``tfrec write``.

Knows: the steps and their order. Must not know: click, terminals, how a step is done.
"""

from __future__ import annotations

import hashlib
import os
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from tfrec_cli.dataset import rejects as rejects_file
from tfrec_cli.dataset import targets
from tfrec_cli.dataset.manifest import Manifest
from tfrec_cli.dataset.names import REJECTS_SUFFIX, index_name, shard_name
from tfrec_cli.dataset.records import Column, content_digest, smallest_of
from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.errors import DataError
from tfrec_cli.runtime import allocator, pool
from tfrec_cli.runtime.paths import printable
from tfrec_cli.runtime.pool import Progress
from tfrec_cli.runtime.values import plural
from tfrec_cli.sources import open_source
from tfrec_cli.sources.header import NO_LABELS
from tfrec_cli.sources.listing import Listing
from tfrec_cli.writing import divide, dry_run, figures, output, plan, shard, split, staging, survey
from tfrec_cli.writing.damaged import Damaged, warning
from tfrec_cli.writing.figures import Copies
from tfrec_cli.writing.journal import Journal
from tfrec_cli.writing.options import WriteOptions
from tfrec_cli.writing.plan import Plan
from tfrec_cli.writing.recipe import Recipe
from tfrec_cli.writing.staging import StagedSplit
from tfrec_cli.writing.written_shard import WrittenShard, make_durable, noted_digests

_SMALL_SHARE = 0.25
"""A crop that keeps less of the median photo may be a mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What ``tfrec write`` wrote as one split, or would write without ``dry_run``.

    Attributes:
        out: the folder of the dataset.
        split: name of the split.
        plan: how many records each shard gets.
        manifest: the manifest of the split, as it is on disk; None after a dry run.
        source_bytes: size of all images of the split.
        rejects: source files that were left out, each with its reason.
        damaged: images that were written although their data are damaged, as far as they were
            decoded; unknown if ``existed``.
        labels: class names by number; None without labels.
        columns: the columns of an image list that became features.
        warnings: one line each, for a person; the first split has those of all.
        groups: with ``split_by``, how many groups the images of the split are from.
        existed: ``resume`` found the split complete and wrote nothing.
        class_records: how many records each class has, by its number; without empty classes.
        unlabelled: why there are no labels; "" with labels.
        label_columns: columns that may be meant as labels, if there are none.
        crop_share: the share of its pixels that a crop keeps of the median photo of all splits.
        resize_hint: the option to type if that is under a quarter; else "".
        copies: exact copies among the images of all splits; None if nothing or only a part was
            written.
        seconds: how long the write took; None if nothing was written.
        kept_shards: how many shards of all splits ``resume`` kept.
        resize_short: to what the shorter side of each image is scaled, if it is.
        is_decoded: whether every image was read to its end and decoded.
        more: results of the other splits, if there are several.
    """

    out: Path
    plan: Plan
    manifest: Manifest | None
    source_bytes: int
    rejects: tuple[Reject, ...]
    labels: tuple[str, ...] | None
    warnings: tuple[str, ...]
    damaged: tuple[Damaged, ...] = ()
    columns: tuple[Column, ...] = ()
    split: str = "train"
    groups: int | None = None
    existed: bool = False
    class_records: Mapping[int, int] = field(default_factory=dict)
    unlabelled: str = ""
    label_columns: tuple[str, ...] = ()
    crop_share: float | None = None
    resize_hint: str = ""
    copies: Copies | None = None
    seconds: float | None = None
    kept_shards: int = 0
    resize_short: int | None = None
    is_decoded: bool = False
    more: tuple[Written, ...] = ()

    def __repr__(self) -> str:
        kind = "dataset" if self.manifest else "dry run of"
        facts = [f"{plural(self.records, 'record')} in {plural(len(self.plan.sizes), 'shard')}"]
        if self.manifest:
            crop = self.manifest.crop
            facts += [f"crop {crop[0]}x{crop[1]}" if crop else "whole images"]
        facts += [f"{len(self.rejects):,} left out"] * bool(self.rejects)
        facts += [f"and split {other.split}" for other in self.more]
        place = printable(os.fsencode(self.out))
        return f"<tfrec {kind} {place}, split {self.split}: {', '.join(facts)}>"

    @property
    def records(self) -> int:
        """How many records the split has, or would have."""
        return self.manifest.records if self.manifest else self.plan.records

    @property
    def splits(self) -> tuple[Written, ...]:
        """The results of all splits, this one first."""
        return (self, *self.more)


@dataclass(slots=True, kw_only=True)
class _Part:
    """One split that is being written.

    Attributes:
        listing: class names, columns and warnings; its sources are in ``planned``.
        folder: where the split is staged; None before that, and if an earlier run committed it.
        likely_copies: marks of the images that may be copies.
        labels: the class number of each record, once the shards are written; empty without labels.
        manifest: None until the shards are written.
    """

    split: str
    listing: Listing
    planned: Plan
    recipe: Recipe
    journal: Journal
    rejects: Sequence[Reject]
    damaged: Sequence[Damaged] = ()
    folder: Path | None = None
    likely_copies: frozenset[int] = frozenset()
    shards: Sequence[WrittenShard] = ()
    labels: array[int] = field(default_factory=lambda: array("q"))
    manifest: Manifest | None = None


def write(
    source: Path, out: Path, options: WriteOptions, progress: Progress = lambda *_: None
) -> Written:
    """Write the images of a folder or image list as one split or more of the dataset in ``out``.

    Either the manifests of all splits appear, and every file that they name is complete; or ``out``
    stays as it was; or an unfinished write waits there for ``resume``.

    Returns:
        The result of the first split, with those of the others in ``more``.
    Raises:
        UsageError: options contradict each other or the images, or a split gets no images.
        DataError: there are no images; one cannot be used and ``on_error`` is "fail"; more than
            ``max_errors`` cannot be used; labels differ from those of another split; an image list
            or a manifest is wrong.
        RunError: ``out`` contains something else or cannot be written.
    """
    began = time.monotonic()
    root = open_source.root_of(source, options.root)
    options.validate()
    options = replace(options, split=split.as_fractions(options.split))
    shares, division = divide.splits_of(source, options)
    output.check_place(source, root, out, shares)
    with output.errors_named(out), ExitStack() as cleaning, dry_run.workers(options) as run:
        if not options.dry_run:
            cleaning.enter_context(output.locked(out))
        others = output.other_splits(out, options, shares)
        listing = survey.list_sources(source, options, others, progress)
        output.check_agreement(source, out, options, listing, others)
        recipe = Recipe.of(options, listing.labels, listing.columns)
        is_digested = len(shares) > 1 and not options.is_named_in_source
        headers = survey.read_headers(
            root, listing, recipe.policy, run, progress, digested=is_digested
        )
        plans = divide.plan_splits(listing, headers, shares, options)
        allocator.give_back()  # memory of the survey
        hint = open_source.root_hint(source, options.root)
        _check_plans(root, [one for _, one in plans.values()], options, hint)
        parts = [
            _Part(
                split=name,
                listing=part_listing,
                planned=planned,
                recipe=recipe,
                journal=Journal.of(source, out, options, planned, part_listing.labels, division),
                rejects=planned.rejects,
            )
            for name, (part_listing, planned) in plans.items()
        ]
        if others and len(parts) == 1:
            _warn_of_lacking(out, parts[0], others)
        if options.dry_run:
            found = [_check(root, part, options, run, progress) for part in parts]
            survey.check_rejects(root, found, options, hint, _damaged(parts))
            return _result(source, out, parts, options)
        staging.check_free(out, {part.split: part.planned for part in parts}, options)
        for part in parts:
            # removed only after the workers have stopped, which may write there
            cleaning.enter_context(_staged(out, part, options, run))
        likely = figures.likely_copies([part.planned for part in parts])
        for part in parts:
            part.likely_copies = likely
            if part.folder:
                part.shards = _write_shards(root, part, part.folder, options, run, progress)
        for part in parts:
            part.rejects = _rejects(part, part.shards)
            part.damaged = sorted(damaged for one in part.shards for damaged in one.damaged)
        found = [(part.rejects, _records(part, part.shards)) for part in parts]
        survey.check_rejects(root, found, options, hint, _damaged(parts))
        for part in parts:
            if part.folder:
                _describe(part, part.shards, options)
                _warn_of_twins(part, others)
        staged = [
            StagedSplit(
                folder=part.folder,
                manifest=part.manifest,
                rejects=part.rejects,
                labels=part.labels,
            )
            for part in parts
            if part.folder and part.manifest
        ]
        if staged:
            kept = [part.manifest for part in parts if part.manifest and not part.folder]
            staging.commit(out, staged, [*others, *kept])
    result = _result(source, out, parts, options)
    if not staged:
        return result
    result = _with_copies(result, parts, warned=is_digested)
    kept_shards = sum(shard.kept for part in parts for shard in part.shards)
    return replace(result, seconds=time.monotonic() - began, kept_shards=kept_shards)


def _check_plans(root: Path, plans: Sequence[Plan], options: WriteOptions, hint: str) -> None:
    """Refuse too many rejects, and shards that are too small."""
    for one in plans:
        plan.check_sizes(one.sizes, options.shards, options.shard_size)
    planned = [(one.rejects, one.records) for one in plans]
    survey.check_rejects(root, planned, options, hint, so_far=True)


def _check(
    root: Path, part: _Part, options: WriteOptions, run: pool.Map, progress: Progress
) -> tuple[Sequence[Reject], int]:
    """Return all rejects of a dry run, and how many records a split would have."""
    bad: list[Reject] = []
    if options.check != "structure":
        bad, part.damaged = dry_run.check_images(root, part.planned, part.recipe, run, progress)
        _warn_of_damage(part)
    part.rejects = sorted([*part.rejects, *bad], key=lambda reject: reject.path)
    return part.rejects, part.planned.records - len(bad)


def _damaged(parts: Sequence[_Part]) -> dict[str, Sequence[Damaged]]:
    return {part.split: part.damaged for part in parts}


def _warn_of_damage(part: _Part) -> None:
    if part.damaged:
        _warn(part, warning(part.split, part.damaged))


def _warn(part: _Part, line: str) -> None:
    part.listing = replace(part.listing, warnings=(*part.listing.warnings, line))


@contextmanager
def _staged(out: Path, part: _Part, options: WriteOptions, run: pool.Map) -> Iterator[None]:
    """Give a split its staging folder, unless ``resume`` finds it finished."""
    part.manifest = staging.finished(out, part.split, part.planned, part.journal, options, run)
    if part.manifest:
        path = out / part.manifest.rejects_file
        part.rejects = rejects_file.parse(path.read_bytes(), path)
        yield
        return
    with staging.opened(out, part.split, part.journal, options) as part.folder:
        yield


def _write_shards(
    root: Path,
    part: _Part,
    folder: Path,
    options: WriteOptions,
    run: pool.Map,
    progress: Progress,
) -> list[WrittenShard]:
    """Write the shards of a split into its folder; finished ones are durable and have a note."""
    count = len(part.planned.sizes)
    indexed = options.index if options.index is not None else options.compression == "none"
    recipe = part.recipe._replace(small="skip") if options.small == "fail" else part.recipe

    def task(number: int) -> shard.Task:
        name = shard_name(part.split, number, count, options.compression)
        items = part.planned.shard(number)
        return shard.Task(
            number=number,
            root=root,
            path=folder / name,
            index=folder / index_name(name) if indexed else None,
            inputs=part.planned.inputs(number, recipe),
            items=items,
            recipe=part.recipe,
            compression=options.compression,
            digested=figures.numbers_of(items, part.likely_copies),
        )

    shards: list[WrittenShard] = []
    rejects: list[Reject] = []
    fails = options.on_error == "fail"
    records = 0
    what = "writing" if part.split == options.split else f"writing {part.split}"
    progress(what, 0, part.planned.records)
    disk = ThreadPoolExecutor()
    try:
        pending = []
        for written in run(shard.write, map(task, range(count)), shard.without):
            if fails and written.rejects:
                rejects += written.rejects
                found = [*part.planned.rejects, *rejects], part.planned.records - len(rejects)
                survey.check_rejects(root, [found], options, so_far=True)
            if not written.kept and not (fails and written.rejects):
                pending.append(disk.submit(make_durable, written))
            shards.append(written)
            allocator.give_back()
            records += part.planned.sizes[written.number]
            progress(what, records, part.planned.records)
        for future in pending:
            future.result()
    finally:
        disk.shutdown(cancel_futures=True)
    return sorted(shards, key=lambda written: written.number)


def _rejects(part: _Part, shards: Sequence[WrittenShard]) -> Sequence[Reject]:
    """Return all rejects of a split, sorted; those of a finished split are known."""
    if part.manifest:
        return part.rejects
    rejects = [*part.planned.rejects, *(reject for one in shards for reject in one.rejects)]
    return tuple(sorted(rejects, key=lambda reject: reject.path))


def _records(part: _Part, shards: Sequence[WrittenShard]) -> int:
    return part.manifest.records if part.manifest else sum(one.records for one in shards)


def _describe(part: _Part, shards: Sequence[WrittenShard], options: WriteOptions) -> None:
    """Make the manifest of a split."""
    if dim := sum(one.dim for one in shards):
        greatest = max(one.dim_greatest for one in shards)
        _warn(
            part,
            f"split {part.split}: 16-bit images that may hold fewer bits and look dark: {dim}; "
            f"found {greatest} as their greatest value, expected up to 65535",
        )
    _warn_of_damage(part)
    if part.listing.labels is not None:
        part.labels = part.planned.labels({bad.path for one in shards for bad in one.rejects})
    part.manifest = Manifest(
        split=part.split,
        stored=options.stored,
        keys=options.keys,
        crop=options.crop,
        division=part.journal.division,
        labels=part.listing.labels,
        records=sum(one.records for one in shards),
        smallest=smallest_of(one.smallest for one in shards),
        compression=options.compression,
        shards=tuple(one.described() for one in shards),
        content_sha256=content_digest(digest for one in shards for digest in noted_digests(one)),
        plan_sha256=part.planned.sha256,
        rejects_file=part.split + REJECTS_SUFFIX,
        rejects_sha256=hashlib.sha256(rejects_file.dump(part.rejects)).hexdigest(),
        changes=dict(sorted(sum((one.changes for one in shards), Counter()).items())),
        icc_profiles=sum(one.icc_profiles for one in shards),
        rejects=plan.count_reasons(part.rejects, harmless=False),
        ignored=plan.count_reasons(part.rejects, harmless=True),
        options=part.journal.options,
        versions=part.journal.versions,
        columns=part.listing.columns,
        targets=targets.described(part.split, part.labels) if part.labels else None,
    )


def _warn_of_lacking(out: Path, part: _Part, others: Sequence[Manifest]) -> None:
    """Add a warning if a new split lacks classes that another one has, as far as that is known."""
    used: set[int] = set()
    for one in others:
        if one.targets:
            with suppress(OSError, DataError):  # `verify` finds it
                used |= set(targets.stored(out / one.targets.name, one.records))
    lacking = used - set(part.planned.labels(()))
    found = divide.lacking(part.split, lacking, part.listing.labels or ())
    part.listing = replace(part.listing, warnings=(*part.listing.warnings, *found))


def _warn_of_twins(part: _Part, others: Sequence[Manifest]) -> None:
    """Add a warning if another split has the very same records; `verify` finds single copies."""
    assert part.manifest
    twins = [one.split for one in others if one.content_sha256 == part.manifest.content_sha256]
    if twins:
        warning = f"split {part.split}: found the same records as in split {', '.join(twins)}"
        part.listing = replace(part.listing, warnings=(*part.listing.warnings, warning))


def _with_copies(result: Written, parts: Sequence[_Part], *, warned: bool) -> Written:
    """Count the exact copies, if all splits were written, and free the plans.

    Args:
        warned: whether copies were reported when the images were divided.
    """
    copies = None
    if all(part.folder for part in parts):
        shards = [(part.planned, part.shards) for part in parts]
        copies = figures.copies(shards, parts[0].likely_copies)
    for part in parts:
        part.planned.free()
    found = copies.warnings if copies and not warned else ()
    return replace(result, copies=copies, warnings=(*result.warnings, *found))


def _result(source: Path, out: Path, parts: Sequence[_Part], options: WriteOptions) -> Written:
    labels = parts[0].listing.labels
    unlabelled = ""
    if labels is None:
        unlabelled = "no sub-folders" if source.is_dir() else NO_LABELS
        if options.labels == "none":
            unlabelled = "not asked for"
    plans = [part.planned for part in parts]
    all_warnings = tuple(line for part in parts for line in part.listing.warnings)
    first, *more = (
        Written(
            out=out,
            plan=part.planned,
            manifest=part.manifest,
            source_bytes=part.planned.source_bytes,
            rejects=tuple(part.rejects),
            damaged=tuple(part.damaged),
            labels=part.listing.labels,
            warnings=all_warnings if number == 0 else (),
            columns=part.listing.columns,
            split=part.split,
            groups=part.listing.groups,
            existed=part.manifest is not None and part.folder is None,
            class_records=figures.by_class(part.planned, part.rejects) if labels else {},
            unlabelled=unlabelled,
            label_columns=survey.label_columns(part.listing, options),
            resize_short=options.resize_short,
            is_decoded=options.check == "decode",
        )
        for number, part in enumerate(parts)
    )
    if not options.crop:
        return replace(first, more=tuple(more))
    share = figures.crop_share(plans, options.crop)
    short_px = (max(options.crop) * 9 + 4) // 8
    fits = options.resize_short is None or short_px < options.resize_short
    hint = f"--resize-short {short_px}" if fits and share < _SMALL_SHARE else ""
    return replace(first, more=tuple(more), crop_share=share, resize_hint=hint)
