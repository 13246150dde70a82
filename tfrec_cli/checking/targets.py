"""Checks the file of a split's labels: it has the label of each record, in order.

Knows: the labels that were read from the records. Must not know: the bytes of the file.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

from tfrec_cli.checking.finding import Finding, file_finding, unreadable
from tfrec_cli.checking.shard import Checked
from tfrec_cli.checking.splits import Subject
from tfrec_cli.dataset import targets
from tfrec_cli.dataset.manifest import Manifest
from tfrec_cli.dataset.names import TARGETS_SUFFIX
from tfrec_cli.errors import DataError
from tfrec_cli.runtime import values


def check(subject: Subject) -> Iterator[Finding]:
    """Compare the files of labels with manifests and records."""
    for number, split in enumerate(subject.splits):
        described = split.manifest
        if described and described.targets:
            path = split.folder / described.targets.name
            yield from compare(path, described, subject.shards_of(number))
        elif described and (path := split.folder / (described.split + TARGETS_SUFFIX)).exists():
            message = "found a file of labels that no manifest names, expected none"
            yield file_finding("extra", path, message)


def compare(path: Path, described: Manifest, shards: Sequence[Checked]) -> Iterator[Finding]:
    """Compare the file of labels at ``path`` with its manifest, and with all records."""
    if not path.is_file():
        yield file_finding("missing", path, "found no such file, expected the labels of the split")
        return
    try:
        stored = targets.stored(path, described.records)
    except OSError as error:
        yield unreadable(path, error)
        return
    except DataError as error:
        yield file_finding("metadata", path, str(error.args[0]).removeprefix(f"{path}: "))
        return
    if wrong := _wrong(stored, shards):
        yield file_finding("metadata", path, wrong)
        return
    found = targets.described(described.split, stored)
    if described.targets and found.sha256 != described.targets.sha256:
        message = f"found SHA-256 {found.sha256}, expected {described.targets.sha256}"
        yield file_finding("metadata", path, message)


def _wrong(stored: array[int], shards: Sequence[Checked]) -> str:
    """Say which labels are not those of the records; nothing if these are not all known."""
    labels = array("q")
    for checked in shards:
        labels += checked.labels
    if labels == stored or len(labels) != len(stored):
        return ""
    if any(len(checked.labels) != checked.records or checked.damaged for checked in shards):
        return ""
    wrong = [row for row, pair in enumerate(zip(stored, labels, strict=True)) if pair[0] != pair[1]]
    ends = list(accumulate(checked.records for checked in shards))
    number = next(number for number, end in enumerate(ends) if wrong[0] < end)
    shard = shards[number]
    record = wrong[0] - ends[number] + shard.records
    more = f" (and {values.plural(len(wrong) - 1, 'label')} more)" if len(wrong) > 1 else ""
    return (
        f"label {wrong[0]}: found {stored[wrong[0]]}, expected {labels[wrong[0]]} as in record "
        f"{record} of {shard.task.path.name}{more}"
    )
