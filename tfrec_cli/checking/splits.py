"""The splits to verify: options, checks of shards (shared among the workers), and totals.

Knows: which shards a split has, and what can only be checked for all of them together. Must not
know: what is checked in one shard.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from tfrec_cli.checking import images, shard
from tfrec_cli.checking.finding import DamagedImage, Finding, Note, file_finding
from tfrec_cli.checking.images import Crops, Decoded, Part
from tfrec_cli.checking.shard import Checked, Task
from tfrec_cli.dataset import file_splits, origins
from tfrec_cli.dataset.discover import Split
from tfrec_cli.dataset.division import Division
from tfrec_cli.dataset.manifest import Manifest
from tfrec_cli.dataset.names import MANIFEST_SUFFIX, index_name
from tfrec_cli.dataset.records import content_digest, key_of, smallest_of
from tfrec_cli.errors import UsageError
from tfrec_cli.runtime import pool, values
from tfrec_cli.runtime.paths import printable
from tfrec_cli.runtime.pool import Progress
from tfrec_cli.seeds import EPOCH_LIMIT, read_seed
from tfrec_cli.tfrecord.scan import Record, scan

Given = tuple[str | None, Path]
"""A split and the source folder or image list that it came from; None for all other splits."""

DEFAULT_CROP_PX = 128


class Options(NamedTuple):
    """The options of ``tfrec verify``, named as on the command line.

    Attributes:
        seed: compute the crops of every record with it, in two independent ways if possible.
        split: verify only this split; None verifies all.
        crop: (height, width) in pixels; None takes the stored size, or for whole images 128 or
            the smallest side, whichever is less.
        epochs: number of epochs of crops, from 0.
        quick: stop before decoding images.
        expect: the expected fingerprint.
        source: folders or image lists that the dataset was written from, each with the name of its
            split, or None for all splits that are not named.
        root: what the paths of image lists are relative to, if not to their own folders.
    """

    split: str | None = None
    seed: int | None = None
    crop: tuple[int, int] | None = None
    epochs: int = 1
    quick: bool = False
    expect: str | None = None
    source: tuple[Given, ...] = ()
    root: Path | None = None
    jobs: int | None = None

    def check(self) -> None:
        """Check that the options do not contradict each other.

        Raises:
            UsageError: they do.
        """
        if self.jobs is not None:
            values.jobs("jobs", self.jobs)
        if self.root and not self.source:
            raise UsageError("`root`: needs `source`")
        if self.split is not None and self.source:
            raise UsageError("`split`: cannot be used with `source`, which other splits may share")
        if self.quick and self.seed is not None:
            raise UsageError("`quick`: cannot be used with `seed`: crops need decoding")
        if self.seed is None and self.expect:
            raise UsageError("`expect`: needs `seed`, to compute the fingerprint")
        if self.seed is None and self.crop:
            raise UsageError("`crop`: needs `seed`, to place the crops")
        if self.seed is not None:
            read_seed("seed", self.seed)
            values.whole("epochs", self.epochs, 1, EPOCH_LIMIT)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is verified. Its shards are checked when a check first asks for them.

    Attributes:
        splits: what is verified.
        others: the other splits of the folder.
        folders: the given sources, each with the splits that came from it.
        run: maps work over worker processes.
    """

    path: Path
    splits: Sequence[Split]
    others: Sequence[Split] = ()
    options: Options
    folders: Sequence[tuple[Path, Sequence[Split]]]
    run: pool.Map
    progress: Progress

    @cached_property
    def crops(self) -> Crops | None:
        """The crops to compute of every image; None without a seed or without images.

        Raises:
            UsageError: they are larger than an image.
        """
        seed = self.options.seed
        size = None if seed is None else _crop_size(self)
        if seed is None or size is None:
            return None
        return Crops(size=size, seed=seed, epochs=self.options.epochs)

    @cached_property
    def shards(self) -> list[Checked]:
        """All shards, in order, each checked with all its images."""
        tasks = list(_tasks(self))
        checked: dict[tuple[int, Path], Checked] = {}  # two splits may name one file
        total = sum(task.path.stat().st_size for task in tasks if task.path.is_file())
        done = 0
        for result in self.run(shard.check_shard, tasks):
            checked[result.task.split, result.task.path] = result
            done += result.size_bytes
            self.progress("checking shards", done, max(done, total))
        shards = [checked[task.split, task.path] for task in tasks]
        for result, task in zip(shards, tasks, strict=True):
            result.task = task  # not a copy that came from a worker
        if not self.options.quick:
            _decode(self, shards)
        return shards

    def shards_of(self, number: int) -> list[Checked]:
        """Return the shards of the split with this number."""
        return [checked for checked in self.shards if checked.task.split == number]


def chosen(path: Path, splits: Sequence[Split], name: str | None) -> list[Split]:
    """Return the split of this name, or all splits.

    Raises:
        UsageError: there is no such split.
    """
    found = [split for split in splits if name is None or split.name == name]
    if not found and name is not None:
        raise file_splits.unknown(name, (split.name or "" for split in splits), str(path))
    return found


def folders(
    splits: Sequence[Split], given: Sequence[Given], root: Path | None
) -> list[tuple[Path, list[Split]]]:
    """Decide which splits came from which folder or image list.

    Args:
        root: what the paths of image lists are relative to, if not to their own folders.
    Raises:
        UsageError: there is no such folder or split, or there are two folders for one split.
    """
    if not given:
        return []

    from tfrec_cli.sources import open_source  # here: it loads what reads image lists

    known = [split.name for split in splits if split.manifest]
    named = [name for name, _ in given]
    for name, source in given:
        if not known or (name is not None and name not in known):
            found = f"no split {name!r}" if known else "no manifest"
            expected = ", ".join(map(str, known)) or "a dataset that tfrec wrote"
            raise UsageError(f"`source`: found {found}, expected {expected}")
        division = next((_division(split) for split in splits if split.name == name), None)
        if division:
            is_part = division.is_by_folder and source.name == name
            whole = source.parent if is_part else source
            raise UsageError(
                f"`source` {name}={source}: found a split that shares its source with others "
                f"({division}), expected `source` {whole}"
            )
        if named.count(name) > 1:
            which = f"split {name!r}" if name else "every split"
            raise UsageError(f"`source`: found several folders for {which}, expected one")
        open_source.root_of(source, root, option="source")
    compared = [split for split in splits if None in named or split.name in named]
    if merged := origins.of_several(split.manifest for split in compared if split.manifest):
        raise UsageError(f"`source`: {merged}")
    others = [name for name in known if name not in named]
    if None in named and not others:
        raise UsageError("`source`: found a folder for each split, expected no other")
    return [
        (source, [split for split in splits if split.name in ([name] if name else others)])
        for name, source in given
    ]


def _division(split: Split) -> Division | None:
    return split.manifest.division if split.manifest else None


def check_shards(subject: Subject) -> Iterator[Finding]:
    """Check each shard by itself: bytes, framing, index, records, images."""
    for checked in subject.shards:
        yield from checked.findings


def check_totals(subject: Subject) -> Iterator[Finding]:
    """Check what can only be checked for all shards of a split together."""
    for number, split in enumerate(subject.splits):
        if split.manifest:
            path = split.folder / (split.manifest.split + MANIFEST_SUFFIX)
            shards = subject.shards_of(number)
            yield from compare_totals(path, split.manifest, shards, quick=subject.options.quick)


def check_copies(subject: Subject) -> Iterator[Finding | Note]:
    """Find images that two splits have: a note, unless `write` promised that there are none."""
    marked = []
    for number, split in enumerate(subject.splits if _has_marks(subject) else ()):
        if split.manifest:
            shards = subject.shards_of(number)
            marked.append((split.manifest, shards, b"".join(one.marks for one in shards)))
    for pair in combinations(marked, 2):
        (ours, our_shards, marks), (others, other_shards, others_marks) = sorted(
            pair, key=lambda one: len(one[2])
        )
        count, first, other = shard.common_marks(marks, others_marks)
        if not count:
            continue
        found = f"{values.plural(count, 'image')} of {ours.split}"
        name, there = _name(ours, our_shards, first), _name(others, other_shards, other)
        example = name if name == there else f"{name}, there {there}"
        if _are_apart(ours, others):
            expected = f"expected copies in one split by --split {ours.division}"
            message = f"found {found} in {others.split} too ({example}), {expected}"
            yield file_finding("duplicate", subject.path, message)
        else:
            too = f"{'is' if count == 1 else 'are'} in {others.split} too, such as {example}"
            yield Note(f"copies in several splits: {found} {too}")


def _has_marks(subject: Subject) -> bool:
    return len(subject.splits) > 1 and not subject.options.quick


def _name(described: Manifest, shards: Sequence[Checked], number: int) -> str:
    """Return the name of the image with this number among those that have marks."""
    from tfrec_cli.checking import rebuild  # here: it loads what writes

    keys = [(checked, key) for checked in shards for key, _ in checked.contents]
    checked, wanted = keys[number]
    named = rebuild.named(checked.task.path, described.keys)
    return printable(next((name for _, name, _ in named if key_of(name) == wanted), b"?"))


def _are_apart(one: Manifest, other: Manifest) -> bool:
    """Tell whether two files with the same bytes are never in both of two splits.

    Images that were changed may be the same although their files differ.
    """
    division = one.division
    is_divided = division is not None and division.has_shares and division == other.division
    return is_divided and all(
        described.stored == "whole" and not described.changes for described in (one, other)
    )


def note_extent(subject: Subject) -> Iterator[Note]:
    """Note what was checked in the shards, and what was not."""
    if subject.others:
        names = ", ".join(str(split.name) for split in subject.others)
        yield Note(f"the shards of other splits: {names}", is_checked=False)
    if any(split.manifest for split in subject.splits):
        yield Note("shards against the manifest: names, sizes, SHA-256, counts, indexes")
    yield Note("framing: both CRCs of every record")
    imageless = sum(checked.imageless for checked in subject.shards)
    images = sum(checked.records for checked in subject.shards) - imageless
    if imageless:
        text = f"images of {values.plural(imageless, 'record')}: no image was found"
        yield Note(text, is_checked=False)
    unread = sum(checked.unread_formats for checked in subject.shards)
    if unread:
        text = f"{values.plural(unread, 'image')}: none of JPEG, PNG, GIF, WebP and BMP"
        yield Note(f"{text}, no reader decodes them", is_checked=False)
    if images:
        yield Note("records: features, sizes, labels, keys")
    if boxed := sum(checked.boxed for checked in subject.shards):
        text = f"boxes of {values.plural(boxed, 'record')}: inside the picture, edges, labels"
        yield Note(text)
    if unclear := sum(checked.unclear for checked in subject.shards):
        text = f"boxes of {values.plural(unclear, 'record')}: nothing says what their numbers are"
        yield Note(text, is_checked=False)
    if subject.options.quick:
        text = "whether the images decode, the digest of the contents: --quick stops before these"
        yield Note(text, is_checked=False)
    elif images > unread:
        yield Note("images: all others decoded" if unread else "images: all decoded")
    if damaged := damaged_images(subject):
        found = values.plural(len(damaged), "JPEG")
        has = "has" if len(damaged) == 1 else "have"
        yield Note(f"images: {found} {has} damaged data and may look broken, such as {damaged[0]}")
    if unnoted := sum(checked.unnoted for checked in subject.shards):
        text = f"whether the data of {values.plural(unnoted, 'JPEG')} are damaged"
        text += ": verify without --seed looks for that"
        yield Note(text, is_checked=False)


def damaged_images(subject: Subject) -> list[DamagedImage]:
    """Return the images that are decoded although their data are damaged."""
    return [image for checked in subject.shards for image in checked.damaged_images]


def _crop_size(subject: Subject) -> tuple[int, int] | None:
    """Return the (height, width) of crops; None if there are no images."""
    manifests = [split.manifest for split in subject.splits if split.manifest]
    crop = subject.options.crop
    if crop:
        least = smallest_of(described.smallest for described in manifests) or crop
        if crop[0] > least[0] or crop[1] > least[1]:
            raise UsageError(
                f"`crop`: found {crop[0]}x{crop[1]}, expected at most {least[0]}x{least[1]}, "
                f"the least height and width in {subject.splits[0].folder}: all images are cropped"
            )
        return crop
    sizes = [described.crop for described in manifests if described.crop]
    sides: list[int] = []
    for split in subject.splits:
        if split.manifest and split.manifest.crop:
            continue
        if split.manifest and split.manifest.smallest:
            sides += split.manifest.smallest
        else:
            present = [path for path in split.shards if path.is_file()]
            found = subject.run(images.smallest_side, present)
            sides += [side for side in found if side is not None]
    if sizes:
        return min(sizes)
    if not sides:
        return None
    side = min(DEFAULT_CROP_PX, *sides)
    return side, side


def _tasks(subject: Subject) -> Iterator[Task]:
    crops = subject.crops
    for number, split in enumerate(subject.splits):
        first = 0
        lines = split.manifest.shards if split.manifest else (None,) * len(split.shards)
        common = replace(split.manifest, shards=()) if split.manifest else None
        for path, described in zip(split.shards, lines, strict=True):
            index = split.folder / described.index if described and described.index else None
            if described is None and not split.manifest:
                sibling = path.with_name(index_name(path.name))
                index = sibling if sibling != path and sibling.is_file() else None
            yield Task(
                split=number,
                path=path,
                described=described,
                manifest=common,
                index=index,
                first_number=first,
                quick=subject.options.quick,
                crops=crops,
                marks=_has_marks(subject),
            )
            if described:
                first += described.records
            elif crops and path.is_file():
                first += sum(1 for item in scan(path) if isinstance(item, Record))


def _decode(subject: Subject, shards: Sequence[Checked]) -> None:
    """Decode the images of all shards, in small parts that keep every worker busy to the end."""
    parts = [checked.undecoded for checked in shards if checked.undecoded]
    total = sum(part.images for part in parts)
    pieces = (piece for part in parts for piece in part.pieces())
    decoded: dict[Path, list[Decoded]] = {}
    done = 0
    for result in subject.run(images.decode, pieces, Part.without):
        decoded.setdefault(result.path, []).append(result)
        done += result.images
        subject.progress("decoding images", done, total)
    for checked in shards:
        shard.merge(checked, decoded.get(checked.task.path, ()))


def compare_totals(
    path: Path, described: Manifest, shards: Sequence[Checked], *, quick: bool
) -> Iterator[Finding]:
    """Compare all shards of a split with its manifest at ``path``."""
    records = sum(checked.records for checked in shards)
    if records != described.records:
        found = values.plural(records, "intact record")
        message = f"found {found} in all shards, expected {described.records:,}"
        yield file_finding("count", path, message)
    yield from _check_keys(shards)
    is_damaged = any(checked.damaged for checked in shards)
    smallest = smallest_of(checked.smallest for checked in shards)
    if smallest != described.smallest and not is_damaged:
        message = f"smallest: found {described.smallest}, expected {smallest} by the records"
        yield file_finding("manifest", path, message)
    if quick or is_damaged:
        return
    content = content_digest(pair for checked in shards for pair in checked.contents)
    if content != described.content_sha256:
        message = f"found records with digest {content}, expected {described.content_sha256}"
        yield file_finding("content", path, message)


def _check_keys(shards: Sequence[Checked]) -> Iterator[Finding]:
    """Find keys that more than one record has."""
    seen: dict[int, Path] = {}
    for checked in shards:
        for key, _ in checked.contents:
            if key not in seen:
                seen[key] = checked.task.path
                continue
            first = seen[key].name
            message = f"found a second record with key {key}, expected only the one in {first}"
            yield file_finding("duplicate", checked.task.path, message)
