"""The source that splits are compared with: its images, or how to name the right one instead.

Knows: how a source is listed again, what manifests and paths show about it. Must not know: how
records are compared.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from tfrec_cli.checking import rebuild
from tfrec_cli.checking.finding import MOST_LISTED, Finding, Group
from tfrec_cli.dataset import records
from tfrec_cli.dataset.discover import Split
from tfrec_cli.dataset.manifest import Manifest
from tfrec_cli.errors import ManifestError, UsageError
from tfrec_cli.runtime import values
from tfrec_cli.runtime.paths import printable
from tfrec_cli.sources import open_source
from tfrec_cli.sources.labels import ClassRule, found_level, numbers_in, whole_numbers
from tfrec_cli.sources.listing import LABEL_COLUMN, Listing, Source
from tfrec_cli.writing.options import WriteOptions

_Kind = Literal["folder", "image list"]
Numbers = npt.NDArray[np.int64]

_BEYOND_KEYS = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The folder or image list that some splits came from.

    Attributes:
        source: its path.
        root: what the paths of its sources are relative to.
        find: returns the numbers of the sources with given keys.
        rule: which folder of a path is the class.
    """

    source: Path
    root: Path
    listing: Listing
    is_folder: bool
    rule: ClassRule
    find: Callable[[Sequence[int]], Numbers]

    def class_of(self, source: Source) -> bytes | None:
        """Return the name of a source's class."""
        if self.is_folder:
            return self.rule.class_of(source.path)
        labels = self.listing.labels
        return None if labels is None or source.label is None else os.fsencode(labels[source.label])

    def numbers(self, described: Manifest) -> dict[bytes | None, int]:
        """Return the number that a manifest gives each class."""
        names, now = described.labels or (), self.listing.labels or ()
        if self.is_folder:
            return {os.fsencode(name): number for number, name in enumerate(names)}
        whole = whole_numbers(names)
        names = tuple(whole.get(name, name) for name in names)
        used = {now[label] for label in self.listing.sources.column(LABEL_COLUMN) if now}
        return {os.fsencode(name): number for name, number in numbers_in(used, names).items()}


def list_origin(source: Path, root: Path | None, splits: Sequence[Split]) -> Origin:
    """List the sources of some splits, with the classes that an image list has now."""
    described = splits[0].manifest
    assert described
    try:
        options = WriteOptions.from_manifest(described)
    except ManifestError:  # reported when its splits are compared
        options = WriteOptions()
    rule = rebuild.class_rule(described, options)
    is_labelled = described.labels is not None and not source.is_dir()
    listing = open_source.list_source(
        source,
        root=root,
        labels="auto" if is_labelled else None,
        keys=described.keys,
        columns=described.columns,
        asked=options.asked,
        rule=rule,
        skips=True,
    )
    level = found_level(listing.sources.paths(), described.labels or (), rule)
    return Origin(
        source=source,
        root=open_source.root_of(source, root),
        listing=listing,
        is_folder=source.is_dir(),
        rule=replace(rule, level=level),
        find=_finder(listing.sources),
    )


def _finder(sources: Sequence[Source]) -> Callable[[Sequence[int]], Numbers]:
    """Return a function that finds the numbers of the sources with given keys."""
    keys = np.fromiter((records.key_of(source.path) for source in sources), np.int64, len(sources))
    order = np.argsort(keys)
    ascending = np.append(keys[order], _BEYOND_KEYS)

    def find(wanted: Sequence[int]) -> Numbers:
        asked = np.unique(np.array(wanted, np.int64))
        places = np.searchsorted(ascending, asked)
        numbers: Numbers = order[places[ascending[places] == asked]]
        return numbers

    return find


class _Known(NamedTuple):
    """The kind of source that a split was written from, and what shows it."""

    kind: _Kind
    shown_by: str


def refuse_other_kind(folders: Sequence[tuple[Path, Sequence[Split]]], *, quick: bool) -> None:
    """Refuse a folder for splits that only an image list can give again, and the reverse.

    Args:
        folders: the given sources, each with the splits that came from it.
        quick: only names and labels are compared, which do not depend on other columns.
    Raises:
        UsageError: that is so.
    """
    for source, splits in folders:
        for split in splits:
            known = _needed(split.manifest, quick=quick) if split.manifest else None
            if known is None or known.kind == _kind_of(source):
                continue
            own = "`source` FOLDER" if known.kind == "folder" else _list_below(source, "`{}`")
            raise UsageError(
                f"`source` {source}: found {_a(_kind_of(source))}, expected the {known.kind} that "
                f"split {split.name!r} was written from ({known.shown_by}): {own}"
            )


def none_found(
    described: Sequence[Manifest],
    origin: Origin,
    count: int,
    names: Sequence[bytes],
) -> str:
    """Say that no record of some splits comes from a source, and which source may be right.

    Args:
        count: number of records.
        names: some names of records.
    """
    listing = origin.listing
    bad = {reject.path for reject in listing.rejects if not reject.harmless}
    images = values.plural(len(listing.sources) + len(bad), "image")
    below = "" if origin.is_folder else f" below {origin.root}"
    where = f"the {images} of {origin.source}{below}"
    found = f"found none of its {values.plural(count, 'record')} among {where}"
    kind = _kind(described)
    expected = f"the {kind or 'folder or image list'} that it was written from"
    if not origin.is_folder and not bad.isdisjoint(names):
        expected = "the folder that the paths are relative to"
    return f"{found}, expected {expected}: {_own_source(described, origin, bad, names, kind)}"


def _own_source(
    described: Sequence[Manifest],
    origin: Origin,
    bad: set[bytes],
    names: Sequence[bytes],
    kind: _Kind | None,
) -> str:
    """Return the options that name the source of some splits, as far as that is known."""
    source, root = origin.source, origin.root
    near = open_source.folder_with(root, names)
    near = None if near and near[0] == root else near
    if not origin.is_folder and not bad.isdisjoint(names):
        other = _word(near[0]) if near else "FOLDER"
        return f"`--source {_word(source)} --root {other}`"
    if several := one_each(described, origin):
        return several
    if kind != "image list" and not origin.is_folder and _has(root, names):
        return f"`--source {_word(root)}`"
    if kind != "image list" and origin.is_folder and near:
        return f"`--source {_word(near[0])}`"
    forms = {"folder": "`--source FOLDER`", "image list": "`--source LIST.csv --root FOLDER`"}
    return forms[kind] if kind else " or ".join(forms.values())


def one_each(described: Sequence[Manifest], origin: Origin) -> str:
    """Return the options that name a source for each of several splits; "" if they share one."""
    if len(described) < 2 or any(one.division for one in described):
        return ""
    folders = dict.fromkeys((one.split for one in described), "FOLDER")
    for above in (origin.root, origin.root.parent):
        if all((above / split).is_dir() for split in folders):
            folders = {split: _word(above / split) for split in folders}
            break
    return f"`{' '.join(f'--source {split}={folder}' for split, folder in folders.items())}`"


def unwritten(described: Sequence[Manifest], origin: Origin, findings: Sequence[Finding]) -> Group:
    """Say in one line that many sources are in no record, as if an image list had chosen some."""
    images = values.plural(len(origin.listing.sources), "image")
    text = (
        f"{origin.source}: found neither a record nor a reject of {len(findings):,} of {images}, "
        f"such as {findings[0].path} (-v names all)"
    )
    return Group(text + (_other_kind(described, origin) if origin.is_folder else ""), findings)


def grouped(
    described: Sequence[Manifest],
    origin: Origin,
    findings: Sequence[Finding],
    count: int,
    strays: Sequence[bytes],
) -> Iterator[Group]:
    """Say in one line that many records are not among the sources, or that most labels differ.

    Args:
        findings: those about records.
        count: number of records.
        strays: names of some records that are not among the sources.
    """
    lost = [finding for finding in findings if finding.kind == "unexpected"]
    if len(lost) > MOST_LISTED:
        text = (
            f"{origin.source}: found no source of {len(lost):,} of "
            f"{values.plural(count, 'record')}, such as {printable(strays[0])} (-v names all)"
        )
        is_there = not origin.is_folder and _has(origin.root, strays)
        yield Group(text + (_other_kind(described, origin) if is_there else ""), lost)
    wrong = [finding for finding in findings if finding.kind == "label"]
    labelled = count - len(lost)
    if len(wrong) > MOST_LISTED and 2 * len(wrong) > labelled:
        text = (
            f"{origin.source}: found other labels in {len(wrong):,} of "
            f"{values.plural(labelled, 'record')}, such as {wrong[0].message} (-v names all)"
        )
        yield Group(text + _other_kind(described, origin), wrong)


def _other_kind(described: Sequence[Manifest], origin: Origin) -> str:
    """Return a hint at the other kind of source, unless the manifests show that it is this one."""
    if _kind(described) == _kind_of(origin.source):
        return ""
    if origin.is_folder:
        return f"; if an image list was written: `{_list_below(origin.source)}`"
    return f"; if a folder was written: `--source {_word(origin.root)}`"


def _needed(described: Manifest, *, quick: bool = False) -> _Known | None:
    """Return the only kind of source that can give the records of a split again, if it is known."""
    if described.columns and not quick:
        return _Known("image list", f"it has the column {described.columns[0].name!r}")
    try:
        options = WriteOptions.from_manifest(described)
    except ManifestError:  # reported when records are compared
        return None
    for name, value in asdict(options.asked).items():
        if value is not None:
            return _Known("image list", f"`{name}` {value}")
    if described.division and described.division.is_by_folder:
        return _Known("folder", f"`split` {described.division}")
    if options.class_rule.level != "auto":
        return _Known("folder", f"`labels` {options.labels}")
    return None


def _kind(described: Sequence[Manifest]) -> _Kind | None:
    """Return the kind of source that some splits were written from, if a manifest shows it."""
    for one in described:
        if known := _needed(one):
            return known.kind
    return "folder" if any(one.ignored for one in described) else None  # lists name images only


def _kind_of(source: Path) -> _Kind:
    return "folder" if source.is_dir() else "image list"


def _a(kind: _Kind) -> str:
    return f"{'an' if kind == 'image list' else 'a'} {kind}"


def _list_below(folder: Path, option: str = "--{}") -> str:
    return f"{option.format('source')} LIST.csv {option.format('root')} {_word(folder)}"


def _has(folder: Path, names: Sequence[bytes]) -> bool:
    """Tell whether the first of these files is in a folder."""
    return bool(names) and os.path.lexists(os.path.join(os.fsencode(folder), names[0]))


def _word(path: Path) -> str:
    return shlex.quote(os.fspath(path))
