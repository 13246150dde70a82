"""The steps of ``tfrec check``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.runtime.pool import Progress
from tfrec_cli.sources import open_source
from tfrec_cli.writing import divide, dry_run, split, survey
from tfrec_cli.writing.damaged import Damaged
from tfrec_cli.writing.damaged import warnings as warnings_of
from tfrec_cli.writing.options import WriteOptions
from tfrec_cli.writing.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedSource:
    """What `check` found: a `write` with the same options would use ``images`` of the images.

    Attributes:
        rejects: the sources that it would leave out, and the files that are ignored.
        damaged: images that it would use although their data are damaged.
        labels: class names by number; None without labels.
    """

    source: Path
    images: int
    size_bytes: int
    labels: tuple[str, ...] | None
    rejects: Sequence[Reject]
    damaged: Sequence[Damaged]
    warnings: Sequence[str]


def check(
    source: Path, options: WriteOptions, progress: Progress = lambda *_: None
) -> CheckedSource:
    """Check the images of a folder or image list as `write` does, and write nothing.

    Raises:
        UsageError, DataError: as for `write`; one error names all images that cannot be used.
    """
    root = open_source.root_of(source, options.root)
    options.validate()
    options = replace(options, split=split.as_fractions(options.split), dry_run=True)
    shares, _ = divide.splits_of(source, options)
    with dry_run.workers(options) as run:
        listing = survey.list_sources(source, options, (), progress)
        recipe = Recipe.of(options, listing.labels, listing.columns)
        is_digested = len(shares) > 1 and not options.is_named_in_source
        headers = survey.read_headers(
            root, listing, recipe.policy, run, progress, digested=is_digested
        )
        plans = divide.plan_splits(listing, headers, shares, options)
        hint = open_source.root_hint(source, options.root)
        found = []
        damaged: dict[str, Sequence[Damaged]] = {}
        for name, (part, planned) in plans.items():
            bad, damaged[name] = dry_run.check_images(root, planned, recipe, run, progress)
            found.append((part, planned, [*planned.rejects, *bad], planned.records - len(bad)))
    counts = [(rejects, records) for _, _, rejects, records in found]
    survey.check_rejects(root, counts, options, hint, damaged)
    rejects = [reject for _, _, some, _ in found for reject in some]
    warnings = [line for part, _, _, _ in found for line in part.warnings]
    warnings += warnings_of(damaged)
    return CheckedSource(
        source=source,
        images=sum(records for _, _, _, records in found),
        size_bytes=sum(planned.source_bytes for _, planned, _, _ in found),
        labels=listing.labels,
        rejects=tuple(sorted(rejects, key=lambda reject: reject.path)),
        damaged=tuple(sorted(one for some in damaged.values() for one in some)),
        warnings=tuple(dict.fromkeys(warnings)),
    )
