"""Rebuilds records and plans from their sources, and compares them with the dataset.

Knows: one shard, its manifest, the sources that belong in it. Must not know: what else is in a
dataset, TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from tfrec_cli.checking.finding import Finding, Kind, Note, record_finding
from tfrec_cli.dataset import records, rejects
from tfrec_cli.dataset.manifest import Manifest
from tfrec_cli.dataset.names import MANIFEST_SUFFIX, KeyStyle
from tfrec_cli.errors import DataError, ImageError, ManifestError, RunError, UsageError
from tfrec_cli.imaging import normalize, pillow, pillow_decoder
from tfrec_cli.runtime.paths import printable
from tfrec_cli.sources import open_source
from tfrec_cli.sources.labels import ClassRule
from tfrec_cli.sources.listing import Listing, Source
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.example import Feature
from tfrec_cli.tfrecord.scan import Damage, Record, scan
from tfrec_cli.writing import divide, plan, shard, survey
from tfrec_cli.writing.options import WriteOptions
from tfrec_cli.writing.plan import Plan

_SHOWN = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One shard to compare.

    Attributes:
        writing: the task that would write this shard; its items are the sources that belong in it.
        labels: class names by number.
        quick: compare only names and labels.
        labelled_by: what decides the label of a source, for messages.
    """

    writing: shard.Task
    labels: tuple[str, ...] | None
    quick: bool
    labelled_by: str


@dataclass(slots=True, kw_only=True)
class Comparison:
    """Result of comparing one shard.

    Attributes:
        strays: the name of the first record that is not among the sources, if there is one.
    """

    path: Path
    records: int = 0
    strays: list[bytes] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def compare(task: Task) -> Comparison:
    """Compare every intact record of a shard with the source that it names."""
    writing = task.writing
    comparison = Comparison(path=writing.path)
    numbers = {item.source.path: number for number, item in enumerate(writing.items)}
    for record, filename, label in named(writing.path, writing.recipe.keys):
        comparison.records += 1
        difference = _compare_record(task, record, numbers.get(filename), label)
        if difference:
            kind, text = difference
            if kind == "unexpected" and not comparison.strays:
                comparison.strays.append(filename)
            message = f"{printable(filename)}: {text}"
            comparison.findings.append(record_finding(kind, writing.path, record, message))
    return comparison


def _compare_record(
    task: Task, record: Record, number: int | None, label: object
) -> tuple[Kind, str] | None:
    """Return how a record differs from its source: kind of the finding, and message.

    Args:
        number: number of the source among the items of the task; None if it is not among them.
    """
    if number is None:
        return "unexpected", "found no such image among the sources"
    source = task.writing.items[number].source
    if label != source.label:
        return "label", _label(label, source, task)
    return None if task.quick else _difference(task.writing, record.payload, number)


def named(path: Path, keys: KeyStyle) -> Iterator[tuple[Record, bytes, object]]:
    """Iterate the records of a shard that name a source: the record, the name, the label.

    Damage is skipped; other checks report it.
    """
    wanted = records.NAMES[keys].by_feature(("filename", "label"))
    reader = example.SingleValues(wanted)
    try:
        for record in scan(path):
            if isinstance(record, Damage):
                continue
            try:
                values = reader.read(memoryview(record.payload))
            except DataError:
                continue
            filename = values.get("filename")
            if isinstance(filename, memoryview):
                yield record, bytes(filename), values.get("label")
    except OSError:
        return


def compare_without(task: Task, number: int, cause: str) -> Task:
    """Return a task that reports a source that killed a worker."""
    return replace(task, writing=shard.without(task.writing, number, cause))


def usable(writing: shard.Task) -> list[bytes]:
    """Return the paths of the items that can be made into records."""
    paths = []
    for number, item in enumerate(writing.items):
        try:
            shard.remake(writing, number)
        except ImageError:
            continue
        paths.append(item.source.path)
    return paths


def _label(stored: object, source: Source, task: Task) -> str:
    labels = task.labels

    def called(label: object) -> str:
        if isinstance(label, memoryview):
            return repr(bytes(label[:_SHOWN]))
        if isinstance(label, int) and labels and 0 <= label < len(labels):
            return f"{label} ({labels[label]})"
        return "none" if label is None else str(label)[:_SHOWN]

    return (
        f"found label {called(stored)}, expected {called(source.label)} by its {task.labelled_by}"
    )


def _difference(writing: shard.Task, payload: bytes, number: int) -> tuple[Kind, str] | None:
    """Return how a record differs from the one that its source would make now.

    If the image was encoded, its pixels are compared: versions of an encoder differ in bytes.
    """
    try:
        made, is_encoded = shard.remake(writing, number)
    except ImageError as error:
        return "differs", f"found a source that can no longer be used: {error}"
    if made == payload:
        return None
    try:
        stored, rebuilt = example.decode(payload), example.decode(made)
    except DataError as error:
        return "differs", str(error)
    image = records.NAMES[writing.recipe.keys].image
    for name in sorted(stored.keys() | rebuilt.keys()):
        ours, theirs = stored.get(name), rebuilt.get(name)
        if ours is None or theirs is None:
            return "differs", f"found features {', '.join(stored)}, expected {', '.join(rebuilt)}"
        if ours == theirs:
            continue
        if name != image or ours.kind != "bytes" or len(ours.values) != 1:
            return "differs", f"found {name} {_spelled(ours)}, expected {_spelled(theirs)}"
        pair = ours.values[0], theirs.values[0]
        if not is_encoded or not _same_pixels(*pair, writing.recipe.policy.max_pixels):
            sizes = (
                f"found an image of {len(pair[0])} bytes, expected another one of {len(pair[1])}"
            )
            return "differs", f"{sizes}: it or its source was changed"
    return None


def _spelled(feature: Feature) -> str:
    shown = [repr(value)[:_SHOWN] for value in feature.values[:3]]
    return ", ".join(shown) or "without a value"


def _same_pixels(stored: bytes, rebuilt: bytes, max_pixels: int) -> bool:
    try:
        with pillow.bounded():
            pixels = [pillow_decoder.decode(data, max_pixels) for data in (stored, rebuilt)]
    except ImageError:
        return False
    return pixels[0].shape == pixels[1].shape and bool((pixels[0] == pixels[1]).all())


def note_versions(described: Manifest) -> Iterator[Note]:
    """Note that other versions of encoders were used, so that only pixels were compared."""
    now = normalize.versions(described.depth)
    then = {name: described.versions.get(name) for name in now}
    if then != now and (described.changes or described.stored in ("png", "jpeg")):
        text = (
            f"bytes of encoded images in {described.split}, only their pixels: written with "
            f"{_listed(then)}, checked with {_listed(now)}"
        )
        yield Note(text, is_checked=False)


def _listed(versions: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def groups_of(
    listing: Listing, shards: Iterable[Iterable[int]], options: WriteOptions
) -> set[bytes]:
    """Return the groups of sources; empty if groups were not divided among splits.

    Args:
        shards: numbers of the sources of each shard.
    """
    try:
        group_of = divide.grouping(listing.columns, options)
    except UsageError:  # the image list has another column now: then records differ too
        group_of = None
    if group_of is None:
        return set()
    numbers = chain.from_iterable(shards)
    return {group_of(listing.sources[int(number)]) for number in numbers}


def splitting(listing: Listing, options: WriteOptions) -> Callable[[Source], str] | None:
    """Return a function that gives the split that the source names for an image; None if it cannot.

    An image list may have another column now: then records differ too.
    """
    try:
        return divide.splitting(listing.columns, options)
    except UsageError:
        return None


def planned_paths(path: Path, described: Manifest, source: Path, root: Path | None) -> list[bytes]:
    """Rebuild the plan of a write, and return the paths of the sources in one shard, in order.

    Args:
        path: the shard, which the manifest names.
        root: what the paths of an image list are relative to, if not to its own folder.
    Raises:
        RunError: the plan differs, since images were added, removed or changed; or the manifest
            has options that write does not have.
    """
    try:
        options = WriteOptions.from_manifest(described)
    except ManifestError as error:
        raise RunError(f"{described.split}{MANIFEST_SUFFIX}: {error}") from error
    if described.origins:
        raise RunError(
            f"`source` {source}: found split {described.split!r}, which is a subset or merged, "
            "expected one with all images of a source: without it, lost images have numbers only"
        )
    root = open_source.root_of(source, root, option="source")
    try:
        remade = _plan(source, root, described, options)
    except (DataError, UsageError) as error:
        raise RunError(f"`source` {source}: {error.args[0]}") from error
    if remade.sha256 != described.plan_sha256:
        raise RunError(
            f"`source` {source}: found images that are not those that were written, expected those "
            f"of split {described.split!r}: some were added, removed or changed"
        )
    number = [line.name for line in described.shards].index(path.name)
    written = _written(remade, path.with_name(described.rejects_file), described.records)
    if written is None:
        return list(remade.shard(number).paths())
    start = sum(line.records for line in described.shards[:number])
    return written[start : start + described.shards[number].records]


def _written(remade: Plan, rejects_path: Path, count: int) -> list[bytes] | None:
    """Return the paths of all images that became records, in order; None if that is unknown.

    These are the images of the plan without those rejected while writing, which the list of rejects
    names. Then only the manifest says where shards begin, since resharding divides records anew.
    """
    rejected: set[bytes] = set()
    if remade.records > count:
        try:
            listed = rejects.parse(rejects_path.read_bytes(), rejects_path)
        except (ManifestError, OSError):
            return None
        rejected = {reject.path for reject in listed}
    paths = [path for _, _, path in remade.sources() if path not in rejected]
    return paths if len(paths) == count else None


def class_rule(described: Manifest, options: WriteOptions) -> ClassRule:
    """Return the rule by which folders and names became labels, whatever is unclear about them."""
    is_by_folder = described.division is not None and described.division.is_by_folder
    return replace(options.class_rule, first=0, in_splits=is_by_folder, asks=False)


def _plan(source: Path, root: Path, described: Manifest, options: WriteOptions) -> Plan:
    listing = open_source.list_source(
        source,
        root=None if source.is_dir() else root,
        labels=described.labels,
        labels_from=f"split {described.split!r}",
        keys=described.keys,
        columns=described.columns,
        asked=options.asked,
        rule=class_rule(described, options),
        skips=True,
    )
    division = described.division
    is_digested = division is not None and division.has_shares
    surveyed = survey.survey(root, listing.sources, options.policy, digested=is_digested)
    if division is None:
        return plan.make(listing, surveyed, options)
    if not division.has_shares:
        return divide.by_name(listing, surveyed, division.names, options)[described.split][1]
    divided = divide.divide(listing, surveyed, division.shares(), options)
    if described.split not in divided:
        raise DataError(f"found splits {', '.join(divided)}, expected {described.split!r} too")
    return plan.make(*divided[described.split], options)
