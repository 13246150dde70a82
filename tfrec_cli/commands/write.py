"""``tfrec write``: a folder of images, or a manifest, becomes the shards of one split.

Knows: the order of things: list, survey, plan, make every shard in a staging folder, commit.
Must not know: click, terminals.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from tfrec_cli import __version__
from tfrec_cli.dataset import manifest
from tfrec_cli.dataset import rejects as rejects_file
from tfrec_cli.dataset.division import Division, by_shares
from tfrec_cli.dataset.manifest import Manifest
from tfrec_cli.dataset.names import MANIFEST_SUFFIX, index_name, is_of_split, shard_name
from tfrec_cli.dataset.records import Column, content_digest
from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.errors import DataError, ImageError, RunError, UnreadableError, UsageError
from tfrec_cli.imaging import images
from tfrec_cli.runtime import allocator, files, pool
from tfrec_cli.runtime.paths import printable
from tfrec_cli.runtime.pool import Progress
from tfrec_cli.sources import open_source
from tfrec_cli.sources.columns import has_boxes
from tfrec_cli.sources.labels import read_labels
from tfrec_cli.sources.listing import Listing, Source
from tfrec_cli.writing import plan, shard, staging
from tfrec_cli.writing import split as splits
from tfrec_cli.writing.options import WriteOptions
from tfrec_cli.writing.plan import Plan
from tfrec_cli.writing.shard import Done, Recipe
from tfrec_cli.writing.staging import Journal

_SURVEY_BATCH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """Some sources whose headers one worker reads, or all of them for digests of contents."""

    root: Path
    sources: Sequence[Source]
    policy: images.Policy
    digested: bool
    deadly: Mapping[int, ImageError] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class _Part:
    """One split on its way.

    Attributes:
        listing: its class names, and what a person should know; its sources were taken out.
        journal, folder: where it waits for its commit; None once it was committed.
        made: its manifest.
    """

    split: str
    listing: Listing
    planned: Plan
    recipe: Recipe
    rejects: Sequence[Reject]
    journal: Journal | None = None
    folder: Path | None = None
    made: Manifest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What ``tfrec write`` did, or with ``dry_run`` would do.

    Attributes:
        manifest: of the split; None for a dry run.
        source_bytes: of all images that went in.
        more: the same of the other splits, where there are several.
    """

    out: Path
    plan: Plan
    manifest: Manifest | None
    source_bytes: int
    rejects: tuple[Reject, ...]
    labels: tuple[str, ...] | None
    warnings: tuple[str, ...]
    columns: tuple[Column, ...] = ()
    split: str = "train"
    more: tuple[Result, ...] = ()


def write(
    source: Path, out: Path, options: WriteOptions, progress: Progress = lambda *_: None
) -> Result:
    """Write the images of a folder or manifest as one split of the dataset in ``out``, or several.

    Either the manifests of all splits appear, and then every file they name is whole; or ``out`` is
    left as it was; or what was interrupted waits there for ``resume``.

    Returns:
        The result of the first split, with those of the others in ``more``.
    Raises:
        UsageError: options that contradict each other, or the images; a split without images.
        DataError: no image, an image that cannot be used under ``on_error="fail"``, too many of
            them under ``max_errors``, labels that differ from those of another split, a bad
            manifest.
        RunError: ``out`` holds something else or cannot be written.
    """
    root = open_source.root_of(source, options.root)
    options.validate()
    shares = splits.parse(options.split)
    _check_place(root, out, shares)
    jobs = options.jobs or pool.available_jobs()
    looks = bool(options.crop or options.resize_short) or options.check == "decode"
    engine = pool.local(jobs, isolated=True, prepare=partial(images.load, arrays=looks))
    with _saying_where(out), ExitStack() as cleaning, engine as run:
        if not options.dry_run:
            cleaning.enter_context(staging.locked(out))
        others = _other_splits(out, options, shares)
        listing = _list(source, out, options, others)
        recipe = _recipe(options, listing)
        plans = _plans(root, listing, options, shares, recipe, run, progress)
        allocator.give_back()  # what planning took is not for the shards to come
        listed = [(one.rejects, one.records) for _, one in plans.values()]
        _check_rejects(root, listed, options, open_source.root_hint(source, options.root))
        parts = [
            _Part(
                split=split,
                listing=told,
                planned=planned,
                recipe=recipe,
                rejects=planned.rejects,
            )
            for split, (told, planned) in plans.items()
        ]
        if options.dry_run:
            return _result(out, parts)
        for part in parts:
            # its folder is left last of all, so that no worker still writes when it goes
            cleaning.enter_context(_staged(source, out, part, options, run))
        for part in parts:
            if part.folder:
                _make(root, part, options, run, progress)
        met = [(part.rejects, part.made.records) for part in parts if part.made]
        _check_rejects(root, met, options)
        ready = [
            staging.Ready(folder=part.folder, made=part.made, rejects=part.rejects)
            for part in parts
            if part.folder and part.made
        ]
        if ready:
            kept = [part.made for part in parts if part.made and not part.folder]
            staging.commit(out, ready, [*others, *kept])
    return _result(out, parts)


def _check_place(source: Path, out: Path, names: Iterable[str]) -> None:
    """Refuse what cannot be a dataset's folder before anything is made in it."""
    above = source.resolve(), *source.resolve().parents
    if any(staging.folder_of(out, name).resolve() in above for name in names):
        raise UsageError(f"{source}: found the folder of an unfinished write, expected images")
    try:
        if out.exists() and not out.is_dir():
            raise RunError(f"{out}: found a file, expected a folder, or nothing")
        if out.exists() and out.samefile(source):
            raise UsageError(f"{out}: found the folder of the images, expected another one")
    except OSError as error:
        raise RunError(f"{out}: cannot be read: {error.strerror}") from error


def _other_splits(out: Path, options: WriteOptions, names: Collection[str]) -> list[Manifest]:
    """Return the manifests of the splits in ``out`` that are not written now, or refuse it."""
    if not out.exists():
        return []
    found = manifest.find(out)
    for name in names:
        _check_free(out, name, found, options)
    others = [manifest.load(path) for split, path in found.items() if split not in names]
    divided = {other.split: other.division for other in others}
    _check_leaks(out, names, {**staging.unfinished_splits(out, names), **divided})
    return others


def _check_leaks(out: Path, names: Collection[str], divided: Mapping[str, Division | None]) -> None:
    """Refuse to write beside splits that the same images may have been divided among.

    Args:
        divided: how each of the other splits, finished or not, was made.
    """
    for other, division in divided.items():
        if division and (len(names) > 1 or set(division.names) & set(names)):
            raise RunError(
                f"{out}: found split {other!r} of --split {division}, expected none: its "
                "images may be among those that are written now; name all of its splits, or write "
                "into a new folder"
            )


def _check_free(out: Path, split: str, found: Collection[str], options: WriteOptions) -> None:
    """Refuse a place that holds this split already, something of it, or something else."""
    partial = staging.folder_of(out, split)
    if not options.overwrite and not options.resume:
        if partial.exists():
            raise staging.unfinished(partial)
        if split in found:
            raise RunError(
                f"{out}: found split {split!r}, expected none of this name: "
                "--split names another one, --overwrite replaces it"
            )
    if split not in found and (twin := splits.twin(split, found)):
        raise RunError(
            f"{out}: found split {twin!r}, expected none that differs from {split!r} only in case: "
            "--split names another one"
        )
    if not options.overwrite and split not in found and not partial.exists():
        names = sorted(path.name for path in out.iterdir() if not staging.is_ours(path.name))
        if found:
            names = [name for name in names if is_of_split(name, split)]
        if names:
            expected = "none of this split" if found else "an empty folder or a dataset"
            raise RunError(
                f"{out}: found other files ({printable(os.fsencode(names[0]))}…), "
                f"expected {expected} (--overwrite)"
            )


def _list(source: Path, out: Path, options: WriteOptions, others: Sequence[Manifest]) -> Listing:
    labels: str | Sequence[str] | None = options.labels
    labels_from = f"--labels {options.labels}"
    if options.labels == "none":
        labels = None
    elif options.labels != "auto":
        labels = read_labels(Path(options.labels))
    elif others and others[0].labels is not None:
        labels, labels_from = others[0].labels, f"split {others[0].split!r}"
    listing = open_source.list_source(
        source,
        root=options.root,
        labels=labels,
        labels_from=labels_from,
        exclude=out,
        keys=options.keys,
        columns=others[0].columns if others else (),
    )
    if not listing.sources and not listing.rejects:
        raise DataError(f"{source}: found no files, expected images")
    for other in others:
        if other.labels != listing.labels:
            raise DataError(
                f"{source}: found {_classes(listing.labels)}, expected those of split "
                f"{other.split!r} in {out}: {_classes(other.labels)}"
            )
        for name, mine, theirs in (
            ("keys", options.keys, other.keys),
            ("crop", _size(options.crop), _size(other.crop)),
            ("encoding", options.stored, other.stored),
            ("compression", options.compression, other.compression),
        ):
            if mine != theirs:
                expected = f"{theirs} as in split {other.split!r} of {out}"
                raise UsageError(f"--{name}: found {mine}, expected {expected}")
        if _columns(listing.columns) != _columns(other.columns):
            raise UsageError(
                f"{source}: found further columns {_columns(listing.columns)}, expected those of "
                f"split {other.split!r} in {out}: {_columns(other.columns)}"
            )
    if options.crop and has_boxes(listing.columns):
        raise UsageError("--crop: found boxes, expected whole images: a crop would make them wrong")
    return listing


def _size(crop: tuple[int, int] | None) -> str:
    return f"{crop[0]}x{crop[1]}" if crop else "none"


def _columns(columns: Sequence[Column]) -> str:
    return ", ".join(map(str, columns)) or "none"


def _classes(labels: tuple[str, ...] | None) -> str:
    return "no labels" if labels is None else f"{len(labels)} classes ({', '.join(labels[:5])}…)"


def _recipe(options: WriteOptions, listing: Listing) -> Recipe:
    return Recipe(
        policy=images.Policy(
            exif=options.exif,
            alpha=options.alpha,
            frames=options.frames,
            max_pixels=options.max_pixels,
            resize_short_px=options.resize_short,
        ),
        crop=options.crop,
        encoding=options.crop_encoding,
        quality=options.jpeg_quality,
        small=options.small,
        check=options.check,
        keys=options.keys,
        stops=options.on_error == "fail",
        classes=listing.labels if options.keys == "tf-models" else None,
        columns=listing.columns,
    )


@contextmanager
def _staged(
    source: Path, out: Path, part: _Part, options: WriteOptions, run: pool.Map
) -> Iterator[None]:
    """Give a split the folder where it waits, unless ``resume`` finds nothing left to do."""
    journal = _journal(source, out, options, part)
    part.made = _finished(out, part, journal, options, run)
    if part.made:
        told = out / part.made.rejects_file
        part.rejects = rejects_file.parse(told.read_bytes(), told)
        yield
        return
    part.journal = journal
    with staging.opened(
        out,
        part.planned,
        journal,
        split=part.split,
        resume=options.resume,
        overwrite=options.overwrite,
    ) as part.folder:
        yield


def _journal(source: Path, out: Path, options: WriteOptions, part: _Part) -> Journal:
    told = asdict(options)
    for unheard in ("jobs", "overwrite", "dry_run", "resume", "root"):
        del told[unheard]
    told["crop"] = list(options.crop) if options.crop else None  # as JSON has it
    return Journal(
        command=_command(source, out, options),
        plan_sha256=part.planned.sha256,
        division=by_shares(splits.parse(options.split)),
        labels=part.listing.labels,
        options=told,
        versions={
            "tfrec": __version__,
            "python": platform.python_version(),
            **images.versions(),
        },
    )


def _command(source: Path, out: Path, options: WriteOptions) -> str:
    """Return what to type to go on with a write."""
    paths = [os.fspath(path) for path in (source, out)]
    words = ["tfrec", "write", *(f"./{path}" if path[0] == "-" else path for path in paths)]
    for one in fields(options):
        value = getattr(options, one.name)
        name = "--" + one.name.replace("_", "-")
        if value == one.default or one.name in ("resume", "dry_run"):
            continue
        if one.name == "shuffle_seed" and value is None:
            words.append("--no-shuffle")
        elif isinstance(value, bool):
            words.append(name if value else name.replace("--", "--no-"))
        else:
            words += [name, _size(value) if isinstance(value, tuple) else str(value)]
    return printable(os.fsencode(shlex.join([*words, "--resume"])))


def _finished(
    out: Path, part: _Part, journal: Journal, options: WriteOptions, run: pool.Map
) -> Manifest | None:
    """Return the split's manifest where ``resume`` finds that nothing is left to do.

    Raises:
        RunError: another split of this name is there, or a damaged one, not to be replaced.
    """
    path = out / (part.split + MANIFEST_SUFFIX)
    if not options.resume or not path.exists():
        return None
    made = manifest.load(path)
    different = [
        *staging.changes(made.options, journal.options, "--{}"),
        *staging.changes(made.versions, journal.versions),
    ]
    if made.plan_sha256 != journal.plan_sha256:
        different.append("the images changed, or what a manifest says of them")
    if made.labels != journal.labels:
        different.append("the class names changed")
    newest = max(part.planned.sources(), key=lambda source: source[1])
    if newest[1] > path.stat().st_mtime_ns:
        different.append(f"{printable(newest[2])} changed since")
    if not different and (damaged := _damaged(out, made, run)):
        different.append(f"{damaged} is damaged or missing")
    if not different:
        staging.clear(out, part.split)
        return made
    if options.overwrite:
        return None
    raise RunError(
        f"{out}: found split {part.split!r} of something else: {different[0]}; "
        "expected the same, or none: --overwrite replaces it"
    )


def _damaged(out: Path, made: Manifest, run: pool.Map) -> str | None:
    """Return the name of a file that is not what a manifest says of it."""
    told = {made.rejects_file: made.rejects_sha256}
    for one in made.shards:
        told[one.name] = one.sha256
        if one.index and one.index_sha256:
            told[one.index] = one.index_sha256
    wrong = run(_wrong_file, ((out / name, sha256) for name, sha256 in told.items()))
    return min((path.name for path in wrong if path), default=None)


def _wrong_file(told: tuple[Path, str]) -> Path | None:
    path, sha256 = told
    return None if files.sha256(path) == sha256 else path


def _batches(source: Path, listing: Listing, recipe: Recipe, *, digested: bool) -> Iterator[_Batch]:
    """Take the sources out of a listing: each is in memory once, there or among what is planned."""
    while listing.sources:
        yield _Batch(
            root=source,
            sources=listing.sources.pop(_SURVEY_BATCH),
            policy=recipe.policy,
            digested=digested,
        )


def _plans(
    source: Path,
    listing: Listing,
    options: WriteOptions,
    shares: Mapping[str, Fraction],
    recipe: Recipe,
    run: pool.Map,
    progress: Progress,
) -> dict[str, tuple[Listing, Plan]]:
    """Read all headers, and make the plan of each split; takes the sources out of the listing."""
    total = len(listing.sources)
    batches = _batches(source, listing, recipe, digested=len(shares) > 1)

    def surveyed() -> Iterator[tuple[Any, list[Reject]]]:
        done = 0
        for items, rejects in run(_survey, batches, _survey_without):
            yield items, rejects
            done += len(items) + len(rejects)
            progress("reading headers", done, total)

    layout = plan.Layout(
        crop=recipe.crop,
        encoding=recipe.encoding,
        small=recipe.small,
        shards=options.shards,
        shard_bytes=options.shard_size,
        shuffle_seed=options.shuffle_seed,
    )
    if len(shares) == 1:
        packs = chain.from_iterable([items, *rejects] for items, rejects in surveyed())
        return {split: (listing, plan.make(listing, packs, layout)) for split in shares}
    single = chain.from_iterable([*items, *rejects] for items, rejects in surveyed())
    divided = plan.divide(listing, single, shares, layout)
    return {
        split: (told, plan.make(told, [items], layout)) for split, (told, items) in divided.items()
    }


def _survey(batch: _Batch) -> tuple[Sequence[plan.Item], list[Reject]]:
    found = plan.survey(
        batch.root, batch.sources, batch.policy, batch.deadly, digested=batch.digested
    )
    rejects = [one for one in found if isinstance(one, Reject)]
    items = [one for one in found if not isinstance(one, Reject)]
    return items if batch.digested else plan.packed(items), rejects


def _survey_without(batch: _Batch, number: int, cause: str) -> _Batch:
    return replace(batch, deadly={**batch.deadly, number: images.deadly(cause)})


def _check_rejects(
    source: Path,
    parts: Sequence[tuple[Sequence[Reject], int]],
    options: WriteOptions,
    hint: str = "",
) -> None:
    """Refuse to go on after a reject under ``fail``, after more than ``max_errors``, or with none.

    Args:
        parts: the rejects of each split, and how many records it has.
        hint: what to say of a file that cannot be read.
    """
    bad = sorted(
        (
            reject
            for rejects, _ in parts
            for reject in rejects
            if not reject.harmless
            and not (reject.reason == "too_small" and options.small == "skip")
        ),
        key=lambda reject: reject.path,
    )
    if bad and options.on_error == "fail":
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        kind = UnreadableError if bad[0].reason == "unreadable" else DataError
        hint = hint if bad[0].reason == "unreadable" else ""
        message = f"{source}/{bad[0]}{hint}{more}; --on-error skip goes on without them"
        raise kind(message, list(map(str, bad)))
    if bad and options.max_errors is not None:
        limit = options.max_errors
        total = sum(records for _, records in parts) + len(bad)
        share = limit.endswith("%")
        allowed = total * float(limit[:-1]) / 100 if share else float(limit)
        if len(bad) > allowed:
            raise DataError(
                f"{source}: found {len(bad)} of {total} images rejected, expected at most {limit} "
                f"(--max-errors); the first: {bad[0]}",
                list(map(str, bad)),
            )
    if not all(records for _, records in parts):
        raise DataError(f"{source}: found no image that can be used, expected at least one")


def _make(
    source: Path, part: _Part, options: WriteOptions, run: pool.Map, progress: Progress
) -> None:
    """Write the shards of a split into its folder, and describe it."""
    done = _make_shards(source, part, options, run, progress)
    found = [*part.planned.rejects, *(reject for one in done for reject in one.rejects)]
    part.rejects = tuple(sorted(found, key=lambda reject: reject.path))
    part.made = _manifest(part, done, options)


def _make_shards(
    source: Path, part: _Part, options: WriteOptions, run: pool.Map, progress: Progress
) -> list[Done]:
    planned, recipe, folder = part.planned, part.recipe, part.folder
    assert folder
    count = len(planned.sizes)
    indexed = options.index if options.index is not None else options.compression == "none"

    def task(number: int) -> shard.Task:
        name = shard_name(part.split, number, count, options.compression)
        return shard.Task(
            number=number,
            root=source,
            path=folder / name,
            index=folder / index_name(name) if indexed else None,
            items=planned.take(number),
            recipe=recipe,
            compression=options.compression,
        )

    done: list[Done] = []
    written = 0
    what = "writing" if part.split == options.split else f"writing {part.split}"
    progress(what, 0, planned.records)
    disk = ThreadPoolExecutor()
    try:
        finished = []
        for one in run(shard.write, map(task, range(count)), shard.without):
            if recipe.stops and one.rejects:
                _check_rejects(source, [(one.rejects, 1)], options)
            if not one.kept:
                finished.append(disk.submit(shard.finish, one))
            done.append(one)
            allocator.give_back()  # what was planned of it
            written += planned.sizes[one.number]
            progress(what, written, planned.records)
        for future in finished:
            future.result()
    finally:
        disk.shutdown(cancel_futures=True)
    return sorted(done, key=lambda one: one.number)


def _manifest(part: _Part, done: Sequence[Done], options: WriteOptions) -> Manifest:
    split, journal = part.split, part.journal
    assert journal
    sizes = [one.smallest for one in done if one.smallest]
    return Manifest(
        split=split,
        stored=options.stored,
        keys=options.keys,
        crop=part.recipe.crop,
        division=journal.division,
        labels=journal.labels,
        records=sum(one.records for one in done),
        smallest=(min(h for h, _ in sizes), min(w for _, w in sizes)) if sizes else None,
        compression=options.compression,
        shards=tuple(map(shard.entry, done)),
        content_sha256=content_digest(
            digest for one in done for digest in shard.noted_digests(one)
        ),
        plan_sha256=journal.plan_sha256,
        rejects_file=f"{split}.rejects.jsonl",
        rejects_sha256=hashlib.sha256(rejects_file.dump(part.rejects)).hexdigest(),
        changes=dict(sorted(sum((one.changes for one in done), Counter()).items())),
        icc_profiles=sum(one.icc_profiles for one in done),
        rejects=plan.count_reasons(part.rejects, harmless=False),
        ignored=plan.count_reasons(part.rejects, harmless=True),
        options=journal.options,
        versions=journal.versions,
        columns=part.recipe.columns,
    )


@contextmanager
def _saying_where(out: Path) -> Iterator[None]:
    """Turn what the system refuses into one line that names the place."""
    try:
        yield
    except OSError as error:
        place = printable(os.fsencode(error.filename or out))
        raise RunError(f"{place}: cannot be written: {error.strerror or error}") from error


def _result(out: Path, parts: Sequence[_Part]) -> Result:
    first, *more = (
        Result(
            out=out,
            plan=part.planned,
            manifest=part.made,
            source_bytes=part.planned.source_bytes,
            rejects=tuple(part.rejects),
            labels=part.listing.labels,
            warnings=part.listing.warnings,
            columns=part.listing.columns,
            split=part.split,
        )
        for part in parts
    )
    return replace(first, more=tuple(more))
