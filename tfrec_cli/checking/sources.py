"""A dataset held against what it came from: each source once, and nothing else beside.

Knows: which records and rejects there are, which files. Must not know: how a record is made,
terminals.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tfrec_cli.checking import rebuild
from tfrec_cli.checking.shard import Checked, Finding, Kind
from tfrec_cli.dataset import records
from tfrec_cli.dataset import rejects as rejects_file
from tfrec_cli.dataset.discover import Split
from tfrec_cli.dataset.manifest import Manifest
from tfrec_cli.dataset.names import MANIFEST_SUFFIX
from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.errors import ManifestError, UsageError
from tfrec_cli.imaging import images
from tfrec_cli.runtime import pool
from tfrec_cli.runtime.paths import printable
from tfrec_cli.runtime.pool import Progress
from tfrec_cli.sources import open_source
from tfrec_cli.sources.listing import Listing, Source
from tfrec_cli.writing import plan, shard
from tfrec_cli.writing.plan import Item
from tfrec_cli.writing.shard import Recipe

Numbers = npt.NDArray[np.int64]
Given = tuple[str | None, Path]
"""A source folder or manifest, and the split that came from it; None for all not named."""

_BATCH = 64
_BEYOND_KEYS = 2**63 - 1


@dataclass(slots=True, kw_only=True)
class Compared:
    """What came of it: findings, and a line for each thing that could or could not be checked."""

    findings: list[Finding] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    def found(self, kind: Kind, path: Path, message: str) -> None:
        """Add a finding that concerns a whole file."""
        self.findings.append(Finding(kind=kind, path=path, message=message))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One split, with what it says of its sources.

    Attributes:
        shards: in order.
        held: for each shard the numbers in the listing of the sources that it should hold.
        rejects: those sources that the split says it left out, by path.
        class_of: gives the name of a source's class, as bytes, or None.
        told_by: where that name comes from.
    """

    described: Manifest
    recipe: Recipe
    shards: Sequence[Checked]
    held: Sequence[Numbers]
    rejects: dict[bytes, Reject]
    rejects_path: Path
    class_of: Callable[[Source], bytes | None]
    told_by: str


def folders(
    splits: Sequence[Split], given: Sequence[Given], root: Path | None
) -> list[tuple[Path, list[Split]]]:
    """Decide which splits came from which folder, or manifest.

    Args:
        root: what the paths of manifests are relative to, if not to their own folders.
    Raises:
        UsageError: no folder, no split of such a name, or two folders for one.
    """
    known = [split.name for split in splits if split.manifest]
    named = [name for name, _ in given]
    for name, source in given:
        if not known or (name is not None and name not in known):
            found = f"no split {name!r}" if known else "no manifest"
            expected = ", ".join(map(str, known)) or "a dataset that tfrec wrote"
            raise UsageError(f"--source: found {found}, expected {expected}")
        divided = [one for one in splits if one.name == name and "," in _told(one)]
        if divided:
            raise UsageError(
                f"--source {name}={source}: found one of several splits of one source "
                f"({_told(divided[0])}), expected --source {source}"
            )
        if named.count(name) > 1:
            which = f"split {name!r}" if name else "every split"
            raise UsageError(f"--source: found several folders for {which}, expected one")
        open_source.root_of(source, root, prefix="--source ")
    others = [name for name in known if name not in named]
    if None in named and not others:
        raise UsageError("--source: found a folder for each split already, expected no other")
    return [
        (source, [split for split in splits if split.name in ([name] if name else others)])
        for name, source in given
    ]


def _told(split: Split) -> str:
    """Return what --split was when a split was written."""
    return str(split.manifest.options.get("split")) if split.manifest else ""


def compare(
    source: Path,
    root: Path | None,
    splits: Sequence[Split],
    checked: Sequence[Checked],
    run: pool.Map,
    progress: Progress,
    *,
    quick: bool,
) -> Compared:
    """Hold the records and rejects of some splits against the folder that they came from.

    Args:
        source: the folder, or a manifest.
        root: what the paths of a manifest are relative to, if not to its own folder.
        splits: with manifests.
        checked: the shards of the dataset, in order.
        quick: names and labels alone.
    Raises:
        RunError: the folder cannot be read.
        DataError: the manifest is wrong.
    """
    compared = Compared()
    listing = _list(source, root, splits)
    is_folder = source.is_dir()
    hint = open_source.root_hint(source, root)
    root = open_source.root_of(source, root)
    find = _finder(listing.sources)
    found = [
        _part(root, split, checked, find, listing, compared, hint, is_folder=is_folder)
        for split in splits
    ]
    parts = [part for part in found if part]
    if not parts:
        return compared
    rejected = _compare_names(root, parts, listing, compared)
    _compare_records(root, parts, listing.sources, run, progress, compared, quick=quick)
    if not quick:
        _try_rejects(root, parts, rejected, run, compared)
        _compare_versions(parts, compared)
    names = " and ".join(part.described.split for part in parts)
    how = "names and labels" if quick else "labels, and each record made again"
    count = len(listing.sources)
    compared.checks.append(f"{count} sources in {source} against {names}: each once, {how}")
    return compared


def _list(source: Path, root: Path | None, splits: Sequence[Split]) -> Listing:
    """List the sources of some splits, with the classes of a manifest as they are."""
    described = splits[0].manifest
    assert described
    is_labelled = described.labels is not None and not source.is_dir()
    return open_source.list_source(
        source,
        root=root,
        labels="auto" if is_labelled else None,
        exclude=splits[0].folder,
        keys=described.keys,
        columns=described.columns,
    )


def _finder(listed: Sequence[Source]) -> Callable[[Sequence[int]], Numbers]:
    """Make a function that returns the numbers of those sources that have one of some keys."""
    keys = np.fromiter((records.key_of(one.path) for one in listed), np.int64, len(listed))
    order = np.argsort(keys)
    ascending = np.append(keys[order], _BEYOND_KEYS)

    def find(wanted: Sequence[int]) -> Numbers:
        asked = np.unique(np.array(wanted, np.int64))
        places = np.searchsorted(ascending, asked)
        found: Numbers = order[places[ascending[places] == asked]]
        return found

    return find


def _part(
    root: Path,
    split: Split,
    checked: Sequence[Checked],
    find: Callable[[Sequence[int]], Numbers],
    listing: Listing,
    compared: Compared,
    hint: str,
    *,
    is_folder: bool,
) -> _Part | None:
    """Find the sources of a split; None, and a finding, where it cannot have come from them.

    Args:
        hint: what to say where none is found.
    """
    described = split.manifest
    assert described
    path = split.folder / (described.split + MANIFEST_SUFFIX)
    shards = [one for one in checked if one.task.manifest and one.task.manifest.split == split.name]
    held = [find(_keys(one, described)) for one in shards]
    count = sum(one.records for one in shards)
    if count and not sum(map(len, held)):
        found = f"found none of the sources of its {count} records in {root}"
        expected = f"expected the folder that it came from{hint}"
        compared.found("unexpected", path, f"{found}, {expected}")
        return None
    try:
        recipe = rebuild.recipe(described, listing.columns)
    except ManifestError as error:
        compared.found("manifest", path, str(error))
        return None
    rejects_path = split.folder / described.rejects_file
    try:
        rejects = rejects_file.parse(rejects_path.read_bytes(), rejects_path)
    except (OSError, ManifestError):  # a finding of those who compare its SHA-256
        rejects = []
        compared.unchecked.append(f"sources that {described.split} left out: {rejects_path} is bad")
    return _Part(
        described=described,
        recipe=recipe,
        shards=shards,
        held=held,
        rejects={reject.path: reject for reject in rejects},
        rejects_path=rejects_path,
        class_of=_first_folder if is_folder else partial(_class_of, listing.labels),
        told_by="folder" if is_folder else "row",
    )


def _first_folder(source: Source) -> bytes:
    return source.path.split(b"/", 1)[0]


def _class_of(labels: Sequence[str] | None, source: Source) -> bytes | None:
    return None if labels is None or source.label is None else os.fsencode(labels[source.label])


def _keys(one: Checked, described: Manifest) -> list[int]:
    """Return the keys of a shard's sources, by their names where what records say is in doubt."""
    if any(finding.kind == "contract" for finding in one.findings):
        named = rebuild.named(one.task.path, described.keys)
        return [records.key_of(filename) for _, filename, _ in named]
    return [key for key, _ in one.contents]


def _compare_names(
    root: Path, parts: Sequence[_Part], listing: Listing, compared: Compared
) -> list[Source]:
    """Find sources that are nowhere in the dataset, or in two splits, and rejects without source.

    Returns:
        The sources that were left out.
    """
    listed = listing.sources
    times = np.zeros(len(listed), np.int64)
    for part in parts:
        mine = np.unique(np.concatenate([np.empty(0, np.int64), *part.held]))
        if (twice := mine[times[mine] > 0]).size:
            first = printable(listed[int(twice.min())].path)
            message = f"found {len(twice)} sources of other splits too ({first}…), expected none"
            compared.found("duplicate", part.rejects_path.parent, message)
        times[mine] += 1
    left_out = {path for part in parts for path in part.rejects}
    rejected = []
    for number in np.flatnonzero(times == 0).tolist():
        if (source := listed[number]).path in left_out:
            rejected.append(source)
        else:
            message = "found neither a record of it nor its rejection, expected one of them"
            compared.found("unwritten", _below(root, source.path), message)
    for reject in listing.rejects:
        if not reject.harmless and reject.path not in left_out:
            compared.found("unwritten", _below(root, reject.path), reject.message)
    left_out.difference_update(one.path for one in listed)
    left_out.difference_update(one.path for one in listing.rejects)
    for part in parts:
        for path in sorted(left_out & part.rejects.keys()):
            if not part.rejects[path].harmless:
                message = f"{printable(path)}: found no such file among the sources"
                compared.found("unexpected", part.rejects_path, message)
    return rejected


def _compare_records(
    root: Path,
    parts: Sequence[_Part],
    listed: Sequence[Source],
    run: pool.Map,
    progress: Progress,
    compared: Compared,
    *,
    quick: bool,
) -> None:
    """Compare each record with the one that its source gives now; ``quick``, its label alone."""
    tasks = (
        rebuild.Task(
            writing=_writing(
                root, part, one.task.path, (listed[number] for number in held.tolist())
            ),
            labels=part.described.labels,
            quick=quick,
            told_by=part.told_by,
        )
        for part in parts
        for one, held in zip(part.shards, part.held, strict=True)
    )
    total = sum(one.records for part in parts for one in part.shards)
    done = 0
    found: dict[Path, list[Finding]] = {}
    for result in run(rebuild.compare, tasks, rebuild.compare_without):
        found[result.path] = result.findings
        done += result.records
        progress("comparing with sources", done, total)
    for part in parts:
        for one in part.shards:
            compared.findings += found[one.task.path]


def _try_rejects(
    root: Path,
    parts: Sequence[_Part],
    rejected: Sequence[Source],
    run: pool.Map,
    compared: Compared,
) -> None:
    """Find sources that were left out, and could be written now: they have changed since."""
    for part in parts:
        mine = [one for one in rejected if one.path in part.rejects]
        mine = [one for one in mine if part.rejects[one.path].reason != "key_collision"]
        batches = (
            _writing(root, part, part.rejects_path, mine[start : start + _BATCH])
            for start in range(0, len(mine), _BATCH)
        )
        usable = run(rebuild.usable, batches, shard.without)
        for path in sorted(path for paths in usable for path in paths):
            message = f"found an image, expected one that is left out: {part.rejects[path].reason}"
            compared.found("differs", _below(root, path), message)


def _compare_versions(parts: Sequence[_Part], compared: Compared) -> None:
    """Say where other versions of encoders stand between a record and its source."""
    now = images.versions()
    for described in (part.described for part in parts):
        then = {name: described.versions.get(name) for name in now}
        if then != now and (described.changes or described.stored in ("png", "jpeg")):
            compared.unchecked.append(
                f"bytes of encoded images in {described.split}, only pixels: written with "
                f"{_spelled(then)}, found {_spelled(now)}"
            )


def _spelled(versions: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _writing(root: Path, part: _Part, path: Path, chosen: Iterable[Source]) -> shard.Task:
    """Make the task that would write some sources, each with the label that its class has."""
    labels: dict[bytes | None, int] = {
        os.fsencode(name): number for number, name in enumerate(part.described.labels or ())
    }
    labelled = (replace(one, label=labels.get(part.class_of(one))) for one in chosen)
    return shard.Task(
        number=0,
        root=root,
        path=path,
        index=None,
        items=plan.packed(Item(one, 0, 0) for one in labelled),
        recipe=part.recipe,
        compression=part.described.compression,
    )


def _below(root: Path, path: bytes) -> Path:
    return root / os.fsdecode(path)
