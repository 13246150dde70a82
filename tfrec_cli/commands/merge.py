"""The steps of ``tfrec merge``.

Splits of one name become one: the records of the first dataset, then those of the second…
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tfrec_cli.dataset import discover
from tfrec_cli.dataset.manifest import Manifest
from tfrec_cli.dataset.names import partial_folders
from tfrec_cli.errors import UsageError
from tfrec_cli.resharding import new_split, union
from tfrec_cli.resharding.new_split import Chosen, Options, Source
from tfrec_cli.runtime.pool import Progress
from tfrec_cli.writing import staging

__all__ = ["Merged", "MergedSplit", "Options", "Part", "merge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a merged split has of one dataset.

    Attributes:
        records: how many records were copied.
        before: the manifest of the dataset's split.
    """

    path: Path
    records: int
    before: Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedSplit:
    """One new split, and the parts that it was copied from, in order."""

    manifest: Manifest
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What ``tfrec merge`` did.

    Attributes:
        paths: the datasets that were copied.
        out: the new folder.
        splits: the new splits, by name.
        warnings: what may be wrong, one line each.
    """

    paths: tuple[Path, ...]
    out: Path
    splits: tuple[MergedSplit, ...]
    warnings: tuple[str, ...]


def merge(
    paths: Sequence[Path], out: Path, options: Options, progress: Progress = lambda *_: None
) -> Merged:
    """Copy several datasets into the new folder ``out``, as one dataset.

    Records are copied unchanged, in the order of the datasets. Splits that only one dataset has are
    copied too. ``out`` appears when it is complete and on disk; after an error it does not exist.

    Raises:
        UsageError: there are fewer than two datasets, one twice, or one without a manifest; there
            are more shards than records, or no record that ``where`` selects.
        DataError: a file is missing, damaged, or differs from its manifest; the datasets differ in
            how images are stored, in class names or columns; or two images have one name.
        RunError: ``out`` is not new or cannot be written.
    """
    options.check()
    grouped = union.unite(_sources(paths, options.split))
    files = {
        name: [
            file for source in sources for file in new_split.files_of(source, options, reads=True)
        ]
        for name, sources in grouped.items()
    }
    with new_split.work(out, len(grouped), options, progress) as work:
        chosen = {name: new_split.choose(name, files[name], work) for name in grouped}
        for name, sources in grouped.items():
            union.check_names(chosen[name], sources)
        staged = [
            new_split.copy_split(
                sources, union.described([one.manifest for one in sources]), chosen[name], work
            )
            for name, sources in grouped.items()
        ]
        staging.describe(staged)
    splits = [
        MergedSplit(manifest=made.manifest, parts=_parts(sources, chosen[name]))
        for made, (name, sources) in zip(staged, grouped.items(), strict=True)
    ]
    keys = [
        part for name, sources in grouped.items() for part in union.keys_of(chosen[name], sources)
    ]
    return Merged(
        paths=tuple(paths),
        out=out,
        splits=tuple(splits),
        warnings=(*union.shared(keys), *new_split.unmet(chosen.values(), options)),
    )


def _sources(paths: Sequence[Path], split: str | None) -> list[list[Source]]:
    """Return the splits of each dataset."""
    found = []
    for number, path in enumerate(paths):
        splits = discover.chosen(path, split)
        if any(path.samefile(other) for other in paths[:number]):
            raise UsageError(f"{path}: found this dataset twice, expected it once")
        if any(partial_folders(path)):
            raise UsageError(f"{path}: found an unfinished write, expected none", hint="resume")
        sources = [
            Source(split=one, manifest=one.manifest) for one in splits if one.manifest is not None
        ]
        if not sources:
            raise UsageError(
                f"{path}: found record files without a manifest, expected a dataset of "
                "`tfrec write`: `tfrec reshard` copies records only"
            )
        found.append(sources)
    if len(paths) < 2:
        raise UsageError(f"found {len(paths)} dataset, expected two or more, and a new folder")
    return found


def _parts(sources: Sequence[Source], chosen: Chosen) -> tuple[Part, ...]:
    counts = iter(chosen.counts)
    return tuple(
        Part(
            path=source.split.folder,
            records=sum(islice(counts, len(source.manifest.shards))),
            before=source.manifest,
        )
        for source in sources
    )
