"""``tfrec verify``: prove that a dataset is what its manifest says, and reads as it should.

Knows: what to compare with what, from cheap to dear. Must not know: click, terminals; it repairs
nothing. Every finding is collected, and none stops the rest.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfrec_cli import read_tf
from tfrec_cli.checking import shard as check
from tfrec_cli.checking.shard import Checked, Decoded, Finding, Task
from tfrec_cli.dataset import discover, manifest
from tfrec_cli.dataset.checksums import dataset_files
from tfrec_cli.dataset.discover import Split
from tfrec_cli.dataset.names import MANIFEST_SUFFIX, REJECTS_SUFFIX, SUMS, index_name
from tfrec_cli.dataset.records import content_digest
from tfrec_cli.errors import DataError, ManifestError, UsageError
from tfrec_cli.runtime import files, pool
from tfrec_cli.runtime.pool import Progress
from tfrec_cli.seeds import check_seed
from tfrec_cli.tfrecord.scan import Record, scan
from tfrec_cli.writing.options import validate

if TYPE_CHECKING:
    from tfrec_cli.checking.sources import Given

DEFAULT_CROP_PX = 128
_MOST_SUMS_BYTES = 1 << 26
"""What is read of SHA256SUMS to learn which manifests there were; it is compared byte for byte."""
_READER_RUNS: tuple[tuple[int, int, bool], ...] = ((1, 1, False), (8, 32, False), (3, 7, True))
"""(images decoded at once, batch size, inside tf.function) of each pass through the reader."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What ``tfrec verify`` can be told; the names are those of the command line.

    Attributes:
        seed: compute the crops of every record with it, by two independent ways.
        crop: (height, width) in pixels; None takes the stored size, or for whole images 128 or
            the smallest side, whichever is less.
        epochs: how many epochs of crops, from 0.
        quick: stop before decoding images.
        expect: the fingerprint that must come out.
        source: folders that the dataset was written from, each with the split it is of, or None
            for every split that is not named; or manifests.
        root: what the paths of those manifests are relative to, if not to their own folders.
    """

    seed: int | None = None
    crop: tuple[int, int] | None = None
    epochs: int = 1
    quick: bool = False
    expect: str | None = None
    source: tuple[Given, ...] = ()
    root: Path | None = None
    jobs: int | None = None


@dataclass(slots=True, kw_only=True)
class Report:
    """What ``tfrec verify`` found.

    Attributes:
        checks: what was checked, in order, one line each.
        unchecked: what could not be checked, and why.
        fingerprint: of the crops; None where none were asked for, or not all could be computed.
    """

    path: Path
    shards: int = 0
    records: int = 0
    size_bytes: int = 0
    findings: list[Finding] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    fingerprint: str | None = None


def verify(path: Path, options: Options, progress: Progress = lambda *_: None) -> Report:
    """Check everything that can be checked at ``path``: a dataset, a record file, a folder of them.

    Raises:
        UsageError: nothing is there, or options that contradict each other or the data.
        RunError: ``seed`` is given and TensorFlow is not installed.
    """
    _check_options(options)
    if options.seed is not None:
        read_tf.find_tensorflow()
    report = Report(path=path)
    splits = _splits(path, report)
    if options.source:  # imported where used: it loads what a writer does
        from tfrec_cli.checking import sources

        folders = sources.folders(splits, options.source, options.root)
    _check_folder(path, splits, report)
    if not options.quick:
        from tfrec_cli.imaging import images

        images.load(arrays=options.seed is not None)
    with pool.local(options.jobs or pool.available_jobs(), isolated=True) as run:
        crop = _crop(splits, options, run) if options.seed is not None else None
        checked = _check_shards(splits, options, crop, run, report, progress)
        compared = []
        if options.source:
            compared = [
                sources.compare(
                    source, options.root, came, checked, run, progress, quick=options.quick
                )
                for source, came in folders
            ]
    for number, split in enumerate(splits):
        mine = [one for one in checked if one.task.split == number]
        _check_split(split, mine, report, quick=options.quick)
    _say_what_was_checked(splits, checked, options, report)
    for one in compared:
        report.findings += one.findings
        report.checks += one.checks
        report.unchecked += one.unchecked
    if crop is not None and options.seed is not None:
        _check_crops(splits, checked, crop, options, report, progress)
    if options.expect and report.fingerprint != options.expect:
        found = report.fingerprint or "none"
        message = f"found fingerprint {found}, expected {options.expect}"
        report.findings.append(Finding(kind="fingerprint", path=path, message=message))
    return report


def fingerprint(
    crop: tuple[int, int], seed: int, records: Sequence[tuple[int, Sequence[bytes]]]
) -> str:
    """Digest the crops of all records, the same for any sharding, order, machine or framework.

    Args:
        records: each record's key, and the SHA-256 of its crop's pixels in each epoch from 0.
    Returns:
        ``seed42-128x128-e0:`` and the SHA-256 over (key as 8 bytes big-endian, SHA-256 of pixels)
        sorted by key, epoch after epoch.
    """
    epochs = len(records[0][1]) if records else 1
    digest = hashlib.sha256()
    for epoch in range(epochs):
        for key, pixels_sha256 in sorted((key, digests[epoch]) for key, digests in records):
            digest.update(key.to_bytes(8, "big") + pixels_sha256)
    span = "e0" if epochs == 1 else f"e0-{epochs - 1}"
    return f"seed{seed}-{crop[0]}x{crop[1]}-{span}:{digest.hexdigest()}"


def _check_options(options: Options) -> None:
    validate("jobs", options.jobs)
    if options.root and not options.source:
        raise UsageError("--root: found no --source, expected a manifest of images")
    if options.quick and options.seed is not None:
        raise UsageError("--quick: found --seed, expected one of the two: crops need decoding")
    if options.seed is None and options.expect:
        raise UsageError("--expect: found no --seed, expected one to compute a fingerprint")
    if options.seed is None and options.crop:
        raise UsageError("--crop: found no --seed, expected one to place crops")
    if options.seed is not None:
        try:
            check_seed(options.seed, options.epochs - 1)
        except ValueError as error:
            raise UsageError(f"--{error}") from error


def _splits(path: Path, report: Report) -> list[Split]:
    """Find the splits; a damaged manifest is a finding, and its shards are checked without it."""
    if not path.is_dir():
        return discover.splits(path)
    found = []
    for one in manifest.find(path).values():
        try:
            data = manifest.read(one)
            described = manifest.parse(data, one)
        except OSError as error:
            report.findings.append(_unreadable(one, error))
            continue
        except ManifestError as error:
            message = str(error).removeprefix(f"{one}: ")
            report.findings.append(Finding(kind="manifest", path=one, message=message))
            continue
        if manifest.dump(described) != data:
            message = "found other spacing or order, expected the bytes that were written"
            report.findings.append(Finding(kind="manifest", path=one, message=message))
        found.append(discover.described(path, described))
    if found:
        return found
    try:
        return [discover.undescribed(path)]
    except UsageError:
        if report.findings:  # a damaged manifest, and none of its shards
            return []
        raise


def _check_folder(path: Path, splits: Sequence[Split], report: Report) -> None:
    """Check what lies beside the shards against what the manifests say."""
    manifests = [split.manifest for split in splits if split.manifest]
    for file in path.glob(".*.partial"):
        message = "found an unfinished write, expected none: `tfrec write … --resume` goes on"
        report.findings.append(Finding(kind="extra", path=file, message=message))
    report.findings += _check_manifests(path)
    if not manifests:
        report.findings += _check_sums(path)
        report.unchecked.append(
            "which shards there should be, their counts and digests: no manifest"
        )
        return
    for stranger in discover.strangers(path, splits):
        message = "found a file that no manifest names, expected only shards of the dataset"
        report.findings.append(Finding(kind="extra", path=stranger, message=message))
    indexes = {shard.index for one in manifests for shard in one.shards}
    for file in sorted(path.glob("*.tfindex")):
        if file.name not in indexes:
            message = "found an index file that no manifest names, expected only those of shards"
            report.findings.append(Finding(kind="extra", path=file, message=message))
    expected = dataset_files(manifests)
    for name, data in expected.items():
        _compare_file(path / name, data, report)
    for one in manifests:
        file = path / one.rejects_file
        try:
            digest = files.sha256(file)
        except OSError as error:
            report.findings.append(_unreadable(file, error))
            continue
        if digest != one.rejects_sha256:
            message = f"found SHA-256 {digest}, expected {one.rejects_sha256}"
            report.findings.append(Finding(kind="metadata", path=file, message=message))


def _check_manifests(folder: Path) -> Iterator[Finding]:
    """Check that the manifests of which other files tell are there, and are those."""
    summed = _summed(folder)
    splits = [path.name.removesuffix(REJECTS_SUFFIX) for path in folder.glob("*" + REJECTS_SUFFIX)]
    for name in sorted({split + MANIFEST_SUFFIX for split in splits} | summed.keys()):
        file = folder / name
        if not re.fullmatch(r"[\w-]{1,64}" + re.escape(MANIFEST_SUFFIX), name, re.ASCII):
            continue
        if not file.is_file():
            message = f"found no such file, expected it by {SUMS} or the rejects"
            yield Finding(kind="missing", path=file, message=message)
            continue
        try:
            digest = hashlib.sha256(manifest.read(file)).hexdigest()
        except (OSError, ManifestError):  # are found where it is parsed
            continue
        if digest != summed.get(name, digest):
            message = f"found SHA-256 {digest}, expected {summed[name]} by {SUMS}"
            yield Finding(kind="manifest", path=file, message=message)


def _check_sums(folder: Path) -> Iterator[Finding]:
    """Check what SHA256SUMS tells at once: that its lines are whole, that the files are there."""
    path = folder / SUMS
    summed = _summed(folder)
    are_lines = [re.fullmatch(r"[0-9a-f]{64}", digest) is not None for digest in summed.values()]
    is_text = "".join(name + digest for name, digest in summed.items()).isprintable()
    if not is_text or (any(are_lines) and not all(are_lines)):  # other programs have other formats
        message = "found lines without a digest and a name, expected both in each"
        yield Finding(kind="metadata", path=path, message=message)
    for name in summed if all(are_lines) else ():
        is_inside = not {"..", ""} & set(name.split("/"))
        if is_inside and not name.endswith(MANIFEST_SUFFIX) and not os.path.exists(folder / name):
            message = f"found no such file, expected it by {SUMS}"
            yield Finding(kind="missing", path=folder / name, message=message)


def _summed(folder: Path) -> dict[str, str]:
    """Return the names that a folder's SHA256SUMS lists, with their digests."""
    path = folder / SUMS
    if not path.is_file():
        return {}
    try:
        with path.open("rb") as file:
            lines = file.read(_MOST_SUMS_BYTES).decode(errors="replace")
    except OSError:  # what is wrong with it is found where its content is compared
        return {}
    return {line[66:]: line[:64] for line in lines.splitlines()}


def _unreadable(path: Path, error: OSError) -> Finding:
    message = f"cannot be read: {error.strerror or error}"
    return Finding(kind="unreadable", path=path, message=message)


def _compare_file(path: Path, expected: bytes, report: Report) -> None:
    if not path.is_file():
        message = "found no such file, expected it beside the shards"
        report.findings.append(Finding(kind="missing", path=path, message=message))
        return
    try:
        with path.open("rb") as file:
            found = file.read(len(expected) + files.CHUNK_BYTES)
    except OSError as error:
        report.findings.append(_unreadable(path, error))
        return
    if found == expected:
        return
    at = next(
        (i for i, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b),
        min(len(found), len(expected)),
    )
    message = f"found {found[at : at + 16]!r}, expected {expected[at : at + 16]!r}"
    lengths = _shard_lengths(found) if path.name == "dataset_info.json" else None
    if lengths is not None and lengths != _shard_lengths(expected):
        message = f"found shardLengths {lengths}, expected {_shard_lengths(expected)}"
    report.findings.append(Finding(kind="metadata", path=path, message=message, offset_bytes=at))


def _shard_lengths(data: bytes) -> Any:
    """Return each split's shardLengths in a dataset_info.json, None where it cannot be read."""
    try:
        return {one["name"]: one["shardLengths"] for one in json.loads(data)["splits"]}
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _crop(splits: Sequence[Split], options: Options, run: pool.Map) -> tuple[int, int] | None:
    """Decide on the size of crops; None where there are no images to crop."""
    if options.crop:
        known = [one.manifest.smallest for one in splits if one.manifest and one.manifest.smallest]
        least = tuple(map(min, zip(*known, strict=True))) or options.crop
        if options.crop[0] > least[0] or options.crop[1] > least[1]:
            raise UsageError(
                f"--crop: found {options.crop[0]}x{options.crop[1]}, expected at most "
                f"{least[0]}x{least[1]}, the least height and width in {splits[0].folder}"
            )
        return options.crop
    sides: list[int] = []
    sizes: set[tuple[int, int]] = set()
    for split in splits:
        if split.manifest and split.manifest.crop:
            sizes.add(split.manifest.crop)
        elif split.manifest and split.manifest.smallest:
            sides += split.manifest.smallest
        else:
            present = [path for path in split.shards if path.is_file()]
            sides += [side for side in run(check.smallest_side, present) if side is not None]
    if sizes:
        return min(sizes)
    if not sides:
        return None
    side = min(DEFAULT_CROP_PX, *sides)
    return side, side


def _check_shards(
    splits: Sequence[Split],
    options: Options,
    crop: tuple[int, int] | None,
    run: pool.Map,
    report: Report,
    progress: Progress,
) -> list[Checked]:
    tasks = list(_tasks(splits, options, crop))
    checked: list[Checked] = []
    progress("checking shards", 0, len(tasks))
    for one in run(check.check_shard, tasks):
        checked.append(one)
        progress("checking shards", len(checked), len(tasks))
    order = {task.path: number for number, task in enumerate(tasks)}
    checked.sort(key=lambda one: order[one.task.path])
    for one, task in zip(checked, tasks, strict=True):
        one.task = task  # not a copy that came from a worker
    if not options.quick:
        _decode(checked, run, progress)
    for one in checked:
        report.shards += 1
        report.records += one.records
        report.size_bytes += one.size_bytes
        report.findings += one.findings
    return checked


def _decode(checked: Sequence[Checked], run: pool.Map, progress: Progress) -> None:
    """Decode the images of all shards, in parts that keep every worker busy to the end."""
    decoded: dict[Path, list[Decoded]] = {}
    done = 0
    total = sum(part.records for one in checked for part in check.parts(one))
    parts = (part for one in checked for part in check.parts(one))
    for result in run(check.decode, parts, check.decode_without):
        decoded.setdefault(result.part.task.path, []).append(result)
        done += result.part.records
        progress("decoding images", done, total)
    for one in checked:
        check.merge(one, decoded.get(one.task.path, ()))


def _tasks(
    splits: Sequence[Split], options: Options, crop: tuple[int, int] | None
) -> Iterator[Task]:
    for number, split in enumerate(splits):
        first = 0
        described = split.manifest.shards if split.manifest else (None,) * len(split.shards)
        common = replace(split.manifest, shards=()) if split.manifest else None
        for path, shard in zip(split.shards, described, strict=True):
            index = split.folder / shard.index if shard and shard.index else None
            if shard is None and not split.manifest:
                beside = path.with_name(index_name(path.name))
                index = beside if beside != path and beside.is_file() else None
            yield Task(
                split=number,
                path=path,
                described=shard,
                manifest=common,
                index=index,
                first_number=first,
                quick=options.quick,
                crop=crop,
                seed=options.seed,
                epochs=options.epochs,
            )
            if shard:
                first += shard.records
            elif crop and path.is_file():
                first += sum(1 for item in scan(path) if isinstance(item, Record))


def _check_split(split: Split, checked: Sequence[Checked], report: Report, *, quick: bool) -> None:
    """Check what only all shards of a split together can show."""
    if split.manifest is None:
        return
    path = split.folder / (split.manifest.split + MANIFEST_SUFFIX)
    total = sum(one.records for one in checked)
    if total != split.manifest.records:
        message = f"found {total} whole records in all shards, expected {split.manifest.records}"
        report.findings.append(Finding(kind="count", path=path, message=message))
    seen: dict[int, Path] = {}
    for one in checked:
        for key, _ in one.contents:
            if key not in seen:
                seen[key] = one.task.path
            else:
                first = seen[key].name
                message = f"found the record of key {key} again, expected it once, in {first}"
                report.findings.append(
                    Finding(kind="duplicate", path=one.task.path, message=message)
                )
    sizes = [one.smallest for one in checked if one.smallest]
    smallest = (min(h for h, _ in sizes), min(w for _, w in sizes)) if sizes else None
    if smallest != split.manifest.smallest and not any(one.damaged for one in checked):
        message = f"smallest: found {split.manifest.smallest}, expected {smallest} by the records"
        report.findings.append(Finding(kind="manifest", path=path, message=message))
    if quick or any(one.damaged for one in checked):
        return
    content = content_digest(pair for one in checked for pair in one.contents)
    if content != split.manifest.content_sha256:
        message = f"found records of digest {content}, expected {split.manifest.content_sha256}"
        report.findings.append(Finding(kind="content", path=path, message=message))


def _say_what_was_checked(
    splits: Sequence[Split], checked: Sequence[Checked], options: Options, report: Report
) -> None:
    if any(split.manifest for split in splits):
        report.checks.append("shards against the manifest: names, sizes, SHA-256, counts, indexes")
    report.checks.append("framing: both CRCs of every record")
    imageless = sum(one.imageless for one in checked)
    if imageless:
        report.unchecked.append(f"images of {imageless} records: none was found in them")
    foreign = sum(one.foreign_formats for one in checked)
    if foreign:
        report.unchecked.append(f"{foreign} images: neither JPEG nor PNG, decoders differ on them")
    if imageless < report.records:
        report.checks.append("records: features, sizes, labels, keys")
    if options.quick:
        report.unchecked.append("whether the images decode: --quick stops before that")
    elif imageless < report.records:
        report.checks.append("images: every one decoded whole")


def _check_crops(
    splits: Sequence[Split],
    checked: Sequence[Checked],
    crop: tuple[int, int],
    options: Options,
    report: Report,
    progress: Progress,
) -> None:
    """Compare the crops that NumPy and Pillow made with those that the reader makes."""
    assert options.seed is not None
    broken = [one for one in checked if one.damaged or len(one.crops) != one.records]
    if broken:
        names = ", ".join(one.task.path.name for one in broken[:3])
        report.unchecked.append(f"crops: not every record of {names} could be cropped")
        return
    runs = len(_READER_RUNS) * options.epochs * len(splits)
    done = 0
    for number, split in enumerate(splits):
        mine = [one for one in checked if one.task.split == number]
        path = split.folder if split.manifest else split.shards[0]
        for epoch in range(options.epochs):
            report.findings += _compare_draws(mine, path, options.seed, epoch)
            for parallel, batch_size, in_graph in _READER_RUNS:
                progress("reading crops", done, runs)
                how = f"{parallel} at once, batches of {batch_size}"
                how += ", in tf.function" if in_graph else ""
                try:
                    digests = read_tf.crop_digests(
                        split,
                        crop=crop,
                        seed=options.seed,
                        epoch=epoch,
                        batch_size=batch_size,
                        parallel=parallel,
                        in_graph=in_graph,
                    )
                except DataError as error:
                    message = f"the reader failed ({how}): {error}"
                    report.findings.append(Finding(kind="crop", path=path, message=message))
                    continue
                report.findings += _compare_crops(mine, digests, epoch, how)
                done += 1
                progress("reading crops", done, runs)
    report.fingerprint = fingerprint(
        crop, options.seed, [pair for one in checked for pair in one.crops]
    )
    report.checks.append(
        f"crops of {crop[0]}x{crop[1]}, seed {options.seed}: NumPy and Pillow against "
        f"tf.data in {len(_READER_RUNS)} ways"
    )


def _compare_draws(
    checked: Sequence[Checked], path: Path, seed: int, epoch: int
) -> Iterator[Finding]:
    """Compare the random numbers of every record's crop with TensorFlow's own."""
    import numpy as np

    from tfrec_cli import crops

    keys = np.array([key for one in checked for key, _ in one.crops], np.int64)
    if not len(keys):
        return
    ours = crops.random_offsets(seed=seed, epoch=epoch, keys=keys)
    theirs = read_tf.random_offsets(keys, seed=seed, epoch=epoch)
    for key in keys[(ours != theirs).any(axis=1)].tolist():
        message = f"key {key}, epoch {epoch}: found other random numbers than TensorFlow draws"
        yield Finding(kind="crop", path=path, message=message)


def _compare_crops(
    checked: Sequence[Checked], digests: Iterable[bytes], epoch: int, how: str
) -> Iterator[Finding]:
    expected = [
        (one.task.path, record, crop) for one in checked for record, crop in enumerate(one.crops)
    ]
    found = list(digests)
    if len(found) != len(expected):
        message = f"found {len(found)} crops from the reader, expected {len(expected)} ({how})"
        yield Finding(kind="crop", path=checked[0].task.path, message=message)
    for (path, record, (key, right)), digest in zip(expected, found, strict=False):
        if digest != right[epoch]:
            message = (
                f"key {key}, epoch {epoch}: found another crop from the reader, "
                f"expected the one that NumPy and Pillow cut ({how})"
            )
            yield Finding(kind="crop", path=path, message=message, record=record)
