"""The folder or image list that splits are compared with: its images, their classes and numbers.

Knows: how a source is listed again. Must not know: records.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tfrec_cli.checking import rebuild
from tfrec_cli.dataset import records
from tfrec_cli.dataset.discover import Split
from tfrec_cli.dataset.manifest import Manifest
from tfrec_cli.errors import ManifestError
from tfrec_cli.sources import open_source
from tfrec_cli.sources.labels import ClassRule, found_level, numbers_in
from tfrec_cli.sources.listing import LABEL_COLUMN, Listing, Source
from tfrec_cli.writing.options import WriteOptions

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
