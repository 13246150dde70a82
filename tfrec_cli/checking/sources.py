"""Compares a dataset with its sources: each source is there once, and nothing else is there.

Knows: which records, rejects and files there are. Must not know: how a record is made, terminals.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

import numpy as np

from tfrec_cli.checking import origin as given
from tfrec_cli.checking import rebuild
from tfrec_cli.checking.finding import MOST_LISTED, Finding, Group, Note, file_finding
from tfrec_cli.checking.origin import Numbers, Origin, list_origin
from tfrec_cli.checking.shard import Checked
from tfrec_cli.checking.splits import Subject
from tfrec_cli.dataset import origins, records
from tfrec_cli.dataset import rejects as rejects_file
from tfrec_cli.dataset.discover import Split
from tfrec_cli.dataset.manifest import Manifest
from tfrec_cli.dataset.names import MANIFEST_SUFFIX
from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.errors import ManifestError
from tfrec_cli.runtime import values
from tfrec_cli.runtime.paths import printable
from tfrec_cli.sources.listing import Source
from tfrec_cli.writing import shard
from tfrec_cli.writing.options import WriteOptions
from tfrec_cli.writing.recipe import Recipe
from tfrec_cli.writing.survey import Item, packed

_BATCH = 64
_MOST_NAMES = 1000
"""So many records are looked for elsewhere if none has a source."""


@dataclass(frozen=True, slots=True, eq=False)
class _Placed:
    """One split, and which sources its shards should hold.

    Attributes:
        shards: its shards, in order.
        held: for each shard the numbers, in the listing, of the sources that it should hold.
    """

    split: Split
    described: Manifest
    shards: Sequence[Checked]
    held: Sequence[Numbers]

    @property
    def records(self) -> int:
        """Number of its records."""
        return sum(checked.records for checked in self.shards)

    @property
    def is_found(self) -> bool:
        """Whether a record has a source, or there are no records."""
        return any(map(len, self.held)) or not self.records


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One split, and what it says about its sources.

    Attributes:
        shards, held: as of `_Placed`.
        rejects: the rejected sources, by path.
        has_rejects: whether the list of rejects is intact.
    """

    described: Manifest
    options: WriteOptions
    recipe: Recipe
    shards: Sequence[Checked]
    held: Sequence[Numbers]
    rejects: Mapping[bytes, Reject]
    has_rejects: bool
    rejects_path: Path


def check(subject: Subject) -> Iterator[Finding | Group | Note]:
    """Compare records and rejects with their sources.

    A quick check compares names and labels only.

    Raises:
        RunError: a source folder cannot be read.
        DataError: an image list is wrong.
    """
    for source, splits in subject.folders:
        yield from _check_origin(subject, source, splits)


def _check_origin(
    subject: Subject, source: Path, splits: Sequence[Split]
) -> Iterator[Finding | Group | Note]:
    """Compare the splits that came from one folder or image list."""
    quick = subject.options.quick
    origin = list_origin(source, subject.options.root, splits)
    placed = [_place(origin, split, subject.shards) for split in splits]
    lost = [one for one in placed if not one.is_found]
    if len(lost) > 1 and len(lost) == len(placed):
        yield _none_found(origin, placed, placed, subject.path)
        return
    parts: list[_Part] = []
    for one in placed:
        path = one.split.folder / (one.described.split + MANIFEST_SUFFIX)
        part = _none_found(origin, placed, [one], path) if one in lost else _part(origin, one, path)
        if isinstance(part, Finding):
            yield part
            continue
        if not part.has_rejects:
            text = f"sources that {part.described.split} rejected: {part.rejects_path} is damaged"
            yield Note(text, is_checked=False)
        parts.append(part)
    if not parts:
        return
    unwritten = yield from _check_copies(origin, parts)
    yield from _check_unwritten(origin, parts, unwritten)
    yield from _note_gone_rejects(origin, parts)
    yield from _compare_records(subject, origin, parts)
    if not quick:
        yield from _try_rejects(subject, origin, parts, unwritten)
        for part in parts:
            yield from rebuild.note_versions(part.described)
    names = "splits " * (len(parts) > 1) + " and ".join(part.described.split for part in parts)
    how = "names and labels" if quick else "names, labels, and each record rebuilt"
    count = values.plural(len(origin.listing.sources), "source image")
    yield Note(f"{count} in {source}, compared with {names}: {how}")


def _place(origin: Origin, split: Split, shards: Sequence[Checked]) -> _Placed:
    """Find the sources of a split; ``shards`` are those of all splits."""
    described = split.manifest
    assert described
    shards = [
        checked
        for checked in shards
        if checked.task.manifest and checked.task.manifest.split == split.name
    ]
    held = [origin.find(_keys(checked, described)) for checked in shards]
    return _Placed(split, described, shards, held)


def _none_found(
    origin: Origin, splits: Sequence[_Placed], lost: Sequence[_Placed], path: Path
) -> Finding:
    """Make the finding that some of the splits have no source here."""
    shards = chain.from_iterable(one.shards for one in lost)
    keys = lost[0].described.keys
    named = chain.from_iterable(rebuild.named(checked.task.path, keys) for checked in shards)
    message = given.none_found(
        [one.described for one in splits],
        origin,
        sum(one.records for one in lost),
        [filename for _, filename, _ in islice(named, _MOST_NAMES)],
    )
    return file_finding("unexpected", path, message)


def _part(origin: Origin, placed: _Placed, path: Path) -> _Part | Finding:
    """Read what the manifest at ``path`` says; return a finding if it is wrong."""
    described = placed.described
    try:
        options = WriteOptions.from_manifest(described)
        recipe = Recipe.of(options, described.labels, origin.listing.columns)
    except ManifestError as error:
        return file_finding("manifest", path, str(error))
    rejects_path = path.with_name(described.rejects_file)
    try:
        rejects = rejects_file.parse(rejects_path.read_bytes(), rejects_path)
        has_rejects = True
    except (OSError, ManifestError):  # reported by `sidecars`
        rejects, has_rejects = [], False
    return _Part(
        described=described,
        options=options,
        recipe=recipe,
        shards=placed.shards,
        held=placed.held,
        rejects={reject.path: reject for reject in rejects},
        has_rejects=has_rejects,
        rejects_path=rejects_path,
    )


def _keys(checked: Checked, described: Manifest) -> list[int]:
    """Return the keys of a shard's sources; from filenames if a record breaks the contract."""
    if any(finding.kind == "contract" for finding in checked.findings):
        named = rebuild.named(checked.task.path, described.keys)
        return [records.key_of(filename) for _, filename, _ in named]
    return [key for key, _ in checked.contents]


def _check_copies(origin: Origin, parts: Sequence[_Part]) -> Generator[Finding, None, list[Source]]:
    """Find sources, and groups of sources, that are in two splits.

    Returns:
        The sources that are in no split.
    """
    sources = origin.listing.sources
    is_written = np.zeros(len(sources), bool)
    for part in parts:
        numbers = np.unique(np.concatenate([np.empty(0, np.int64), *part.held]))
        if (twice := numbers[is_written[numbers]]).size:
            first = printable(sources[int(twice.min())].path)
            found = values.plural(len(twice), "source")
            message = f"found {found} in other splits too ({first}…), expected none"
            if own := given.one_each([part.described for part in parts], origin):
                message += f", or a folder for each split: {own}"
            yield file_finding("duplicate", part.rejects_path.parent, message)
        is_written[numbers] = True
        yield from _check_places(origin, part, numbers)
    held = [rebuild.groups_of(origin.listing, part.held, part.options) for part in parts]
    if parted := sorted(group for group, count in Counter(chain(*held)).items() if count > 1):
        found = values.plural(len(parted), "group")
        message = f"found {found} in several splits ({printable(parted[0])}…), expected none"
        yield file_finding("duplicate", parts[0].rejects_path.parent, message)
    return [sources[number] for number in np.flatnonzero(~is_written).tolist()]


def _check_places(origin: Origin, part: _Part, numbers: Numbers) -> Iterator[Finding]:
    """Find sources that are in the folder of another split, or have its value in a column."""
    if (split_of := _splitting(origin, part)) is None:
        return
    sources = (origin.listing.sources[int(number)] for number in numbers)
    wrong = sorted(one.path for one in sources if split_of(one) != part.described.split)
    if wrong:
        first = printable(wrong[0])
        found = values.plural(len(wrong), "source")
        places = "folders" if part.options.is_by_folder else "splits by their column"
        message = f"found {found} of other {places} ({first}…), expected none"
        yield file_finding("unexpected", part.rejects_path, message)


def _check_unwritten(
    origin: Origin, parts: Sequence[_Part], unwritten: Sequence[Source]
) -> Iterator[Finding | Group | Note]:
    """Find sources that are neither in a record nor in a list of rejects, except of a subset."""
    rejected = {path for part in parts for path in part.rejects}
    is_subset = any(origins.are_subset(part.described.origins) for part in parts)
    if is_subset:
        text = f"whether every image in {origin.source} is in a record: this is a subset"
        yield Note(text, is_checked=False)
    others = _other_splits(parts)
    if others:
        names = ", ".join(map(printable, sorted(map(os.fsencode, others))))
        places = "in the folders " * any(part.options.is_by_folder for part in parts)
        yield Note(f"images {places}of other splits: {names}", is_checked=False)
    split_of = next(filter(None, (_splitting(origin, part) for part in parts)), None)
    message = "found neither a record nor a reject of this source, expected one of them"
    missed = [
        file_finding("unwritten", _below(origin.root, source.path), message)
        for source in (() if is_subset else unwritten)
        if source.path not in rejected and not (split_of and split_of(source) in others)
    ]
    yield from missed
    if len(missed) > MOST_LISTED:
        yield given.unwritten([part.described for part in parts], origin, missed)
    for reject in origin.listing.rejects:
        if not reject.harmless and reject.path not in rejected:
            yield file_finding("unwritten", _below(origin.root, reject.path), reject.message)


def _splitting(origin: Origin, part: _Part) -> Callable[[Source], str] | None:
    """Return a function that gives the split that the source names for an image, if it does."""
    division = part.described.division
    if division is None or division.has_shares:
        return None
    return rebuild.splitting(origin.listing, part.options)


def _other_splits(parts: Sequence[_Part]) -> set[str]:
    """Return the other splits whose images the source names."""
    divisions = [part.described.division for part in parts]
    named = {name for one in divisions if one and not one.has_shares for name in one.names}
    return named - {part.described.split for part in parts}


def _note_gone_rejects(origin: Origin, parts: Sequence[_Part]) -> Iterator[Note]:
    """Note rejects without a file: they are in no record, so that nothing is missing."""
    gone = {path for part in parts for path in part.rejects}
    gone.difference_update(source.path for source in origin.listing.sources)
    gone.difference_update(reject.path for reject in origin.listing.rejects)
    for part in parts:
        if paths := sorted(path for path in gone if _is_bad(part.rejects.get(path))):
            count = values.plural(len(paths), "reject")
            names = printable(paths[0]) + "…" * (len(paths) > 1)
            text = f"{count} of {part.described.split}, no longer among the sources: {names}"
            yield Note(text, is_checked=False)


def _is_bad(reject: Reject | None) -> bool:
    return reject is not None and not reject.harmless


def _compare_records(
    subject: Subject, origin: Origin, parts: Sequence[_Part]
) -> Iterator[Finding | Group]:
    """Compare each record with the one that its source would make now."""
    sources = origin.listing.sources
    tasks = (
        rebuild.Task(
            writing=_writing(
                origin, part, checked.task.path, (sources[number] for number in held.tolist())
            ),
            labels=part.described.labels,
            quick=subject.options.quick,
            labelled_by="folder" if origin.is_folder else "row",
        )
        for part in parts
        for checked, held in zip(part.shards, part.held, strict=True)
    )
    shards = [checked for part in parts for checked in part.shards]
    total = sum(checked.records for checked in shards)
    done = 0
    findings: dict[Path, list[Finding]] = {}
    strays: list[bytes] = []
    for result in subject.run(rebuild.compare, tasks, rebuild.compare_without):
        findings[result.path] = result.findings
        done += result.records
        strays += result.strays
        subject.progress("comparing with sources", done, total)
    different = [one for checked in shards for one in findings[checked.task.path]]
    yield from different
    described = [part.described for part in parts]
    yield from given.grouped(described, origin, different, total, strays)


def _try_rejects(
    subject: Subject, origin: Origin, parts: Sequence[_Part], unwritten: Sequence[Source]
) -> Iterator[Finding]:
    """Find rejected sources that could be written now, because they have changed."""
    for part in parts:
        rejected = [
            source
            for source in unwritten
            if source.path in part.rejects and part.rejects[source.path].reason != "key_collision"
        ]
        batches = (
            _writing(origin, part, part.rejects_path, rejected[start : start + _BATCH])
            for start in range(0, len(rejected), _BATCH)
        )
        usable = subject.run(rebuild.usable, batches, shard.without)
        for path in sorted(path for paths in usable for path in paths):
            message = f"found a good image, expected a rejected one: {part.rejects[path].reason}"
            yield file_finding("differs", _below(origin.root, path), message)


def _writing(origin: Origin, part: _Part, path: Path, sources: Iterable[Source]) -> shard.Task:
    """Make the task that would write some sources, with the labels that the manifest gives them."""
    labels = origin.numbers(part.described)
    labelled = (replace(source, label=labels.get(origin.class_of(source))) for source in sources)
    return shard.Task(
        number=0,
        root=origin.root,
        path=path,
        index=None,
        items=packed(Item(source, 0, 0) for source in labelled),
        recipe=part.recipe,
        compression=part.described.compression,
    )


def _below(root: Path, path: bytes) -> Path:
    return root / os.fsdecode(path)
