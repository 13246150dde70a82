"""The steps of ``tfrec extract``.

The images of a dataset become files again: the inverse of `write`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import accumulate, islice
from pathlib import Path
from tempfile import mkdtemp

from tfrec_cli.dataset import discover, records
from tfrec_cli.dataset.discover import Split
from tfrec_cli.dataset.manifest import Shard
from tfrec_cli.dataset.names import Missing
from tfrec_cli.errors import DataError, UsageError
from tfrec_cli.extracting.collisions import check_files, folder_warnings, settle
from tfrec_cli.extracting.image_list import WrittenList, write_list
from tfrec_cli.extracting.shard import ExtractedShard, Task, count_records, extract_shard
from tfrec_cli.runtime import pool
from tfrec_cli.runtime.pool import Progress
from tfrec_cli.tfrecord import example
from tfrec_cli.writing import output
from tfrec_cli.writing.options import validate


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of ``tfrec extract``, named as on the command line.

    Attributes:
        split: None takes all splits; if there are several, each gets its own folder.
        image: the feature that holds the images of other programs' records; None finds it.
    """

    split: str | None = None
    image: str | None = None
    missing: Missing = "fail"
    jobs: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """What ``tfrec extract`` wrote.

    Attributes:
        out: the new folder.
        splits: names of the splits if each has its own folder in ``out``; empty if the images of
            a single split are in ``out`` itself.
        files: number of files.
        size_bytes: size of all files together.
        formats: number of files of each image format.
        renamed: number of files that got the right extension appended to their name.
        repeated: number of files with a number appended (``cat-2.jpg``), because another record of
            another program has the same name.
        numbered: number of files named by their record number, because no usable name was stored.
        by_label: number of files of other programs in a folder of their label.
        imageless: number of records of other programs that were left out, having no image.
        images: features that held the images of other programs' records.
        other_images: further features of theirs that hold images, with the format of the first.
        other_values: further features of theirs with other values, and labels that no folder shows.
        empty: classes without images, which got no folder.
        warnings: one line each, for a person.
        lists: image lists of the splits of tfrec whose labels or columns folders do not give.
    """

    out: Path
    splits: tuple[str, ...]
    files: int
    size_bytes: int
    formats: dict[str, int]
    renamed: int
    repeated: int
    numbered: int
    by_label: int
    imageless: int
    images: tuple[str, ...]
    other_images: dict[str, str]
    other_values: tuple[str, ...]
    empty: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    lists: tuple[WrittenList, ...] = ()


def extract(
    path: Path, out: Path, options: Options, progress: Progress = lambda *_: None
) -> Extracted:
    """Write each record's image to the file below the new folder ``out`` that the record names.

    Stored bytes are written unchanged; raw crops become PNG files. Labels and columns of a dataset
    of tfrec that folders do not give are in an image list. ``out`` appears when all files are
    complete and on disk; after an error it does not exist.

    Raises:
        UsageError: there is no dataset, or no such split or feature.
        DataError: a shard is missing or damaged, or a record has no image, or several images of
            which none was chosen; or, in a dataset of tfrec, an unsafe file name, or the name of
            another record.
        RunError: ``out`` is not new or cannot be written.
    """
    validate("jobs", options.jobs)
    splits = discover.chosen(path, options.split)
    for split in splits:
        _check_image(split, options.image)
    several = len(splits) > 1
    with ExitStack() as cleaning:
        folder = cleaning.enter_context(output.new_folder(out))
        # entered last: workers must stop before the folder is removed
        run = cleaning.enter_context(pool.local(options.jobs or pool.available_jobs()))
        total = sum(split.manifest.records for split in splits if split.manifest)
        done: list[ExtractedShard] = []
        lists: list[WrittenList] = []
        count = 0
        for split in splits:
            split_folder = _folder_of(split, folder) if several else folder
            split_folder.mkdir(exist_ok=True)
            waiting = Path(mkdtemp(dir=folder))
            shards = []
            for shard in run(extract_shard, _tasks(split, split_folder, waiting, run, options)):
                shards.append(shard)
                count += shard.records
                progress("extracting", count, max(count, total))
            shards.sort(key=lambda shard: shard.task.first)
            settle(shards)
            if split.manifest and (
                made := write_list(split.manifest, folder, split_folder, shards)
            ):
                lists.append(made)
            waiting.rmdir()
            check_files(shards)
            done += shards
        imageless = sum(shard.imageless for shard in done)
        if not count:
            raise DataError(f"{splits[0].shards[0]}: {discover.NO_RECORDS}")
        if count == imageless:
            raise DataError(f"{splits[0].shards[0]}: found no record with an image, expected some")
        os.sync()  # once: an fsync for each of a million files takes hours
    other_images = {
        name: word for shard in reversed(done) for name, word in shard.other_images.items()
    }
    return Extracted(
        out=out,
        splits=tuple(str(split.name) for split in splits) if several else (),
        files=count - imageless,
        size_bytes=sum(shard.size_bytes for shard in done),
        formats=dict(sum((shard.formats for shard in done), Counter()).most_common()),
        renamed=sum(shard.renamed for shard in done),
        repeated=sum(shard.repeated for shard in done),
        numbered=sum(shard.numbered for shard in done),
        by_label=sum(shard.by_label for shard in done),
        imageless=imageless,
        images=tuple(sorted(set().union(*(shard.images for shard in done)))),
        other_images=dict(sorted(other_images.items())),
        other_values=tuple(sorted(set().union(*(shard.other_values for shard in done)))),
        empty=_empty_classes(splits, done),
        warnings=(*folder_warnings(done), *_lost_columns(lists)),
        lists=tuple(lists),
    )


def _folder_of(split: Split, folder: Path) -> Path:
    """Return where the files of one of several splits go; some names begin with its folder."""
    division = split.manifest.division if split.manifest else None
    return folder if division and division.is_by_folder else folder / str(split.name)


def _check_image(split: Split, image: str | None) -> None:
    """Check that a split has a feature, by its first record.

    Raises:
        UsageError: it has no such feature.
        DataError: the record cannot be read.
    """
    if image is None:
        return
    if split.manifest:
        expected = records.NAMES[split.manifest.keys].image
        if image != expected:
            raise UsageError(
                f"`image`: found {image!r}, expected {expected!r} in a dataset of tfrec"
            )
        return
    for record in islice(discover.whole_records(split.shards[0]), 1):
        features = example.decode(record.payload)
        if image not in features:
            where = f"the first record of {split.shards[0]} has {', '.join(features)}"
            raise UsageError(f"`image`: found {image!r}, but {where}")


def _tasks(
    split: Split, folder: Path, waiting: Path, run: pool.Map, options: Options
) -> list[Task]:
    entries: Sequence[Shard | None] = [None] * len(split.shards)
    if split.manifest:
        entries = split.manifest.shards
        counts = [entry.records for entry in split.manifest.shards]
    else:  # files wait under the numbers of their records
        counted = dict(run(count_records, split.shards))
        counts = [counted[path] for path in split.shards]
    firsts = accumulate([0, *counts[:-1]])
    common = replace(split.manifest, shards=()) if split.manifest else None  # sent with each task
    return [
        Task(
            path=path,
            folder=folder,
            waiting=waiting,
            described=common,
            entry=entry,
            first=first,
            image=options.image,
            missing=options.missing,
        )
        for path, entry, first in zip(split.shards, entries, firsts, strict=True)
    ]


def _lost_columns(lists: Sequence[WrittenList]) -> Iterator[str]:
    """Iterate a warning for each column that its image list lacks."""
    for name in sorted({name for made in lists for name in made.left_out}):
        yield f"column {name!r}: left out of the image list, which has another column of this name"


def _empty_classes(splits: Sequence[Split], done: Sequence[ExtractedShard]) -> tuple[str, ...]:
    """Return the classes without images."""
    labels = next((split.manifest.labels for split in splits if split.manifest), None) or ()
    used: set[int] = set().union(*(shard.numbers for shard in done))
    return tuple(name for number, name in enumerate(labels) if number not in used)
