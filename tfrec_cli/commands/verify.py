"""The steps of ``tfrec verify``.

Knows: the checks, cheap ones first. Must not know: click, terminals. A finding does not stop the
checks that follow, and nothing is repaired.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tfrec_cli.checking import crops, sidecars, splits, targets
from tfrec_cli.checking.finding import DamagedImage, Finding, Group, Note, file_finding
from tfrec_cli.checking.splits import Options, Subject
from tfrec_cli.dataset.names import MANIFEST_SUFFIX, partial_folders
from tfrec_cli.errors import MissingExtraError
from tfrec_cli.runtime import pool
from tfrec_cli.runtime.pool import Progress

__all__ = ["CHECKS", "Finding", "Options", "Verified", "verify"]


@dataclass(slots=True, kw_only=True)
class Verified:
    """What ``tfrec verify`` found.

    Attributes:
        path: what was checked.
        shards: number of record files, with those that are missing.
        missing_shards: number of record files that are missing.
        records: number of records in all record files.
        size_bytes: size of all record files together.
        findings: everything that is wrong; empty for an intact dataset.
        groups: lines that a person may read instead of many findings each.
        damaged: images that are decoded although their data are damaged, which is no finding.
        checks: what was checked, in order, one line each.
        unchecked: what could not be checked, and why.
        is_described: whether a manifest says what there should be.
        fingerprint: fingerprint of the crops; None without ``seed``, or if a crop could not be cut.
    """

    path: Path
    shards: int = 0
    missing_shards: int = 0
    records: int = 0
    size_bytes: int = 0
    findings: list[Finding] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    damaged: list[DamagedImage] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    is_described: bool = False
    fingerprint: str | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def add(self, results: Iterable[Finding | Group | Note]) -> None:
        """Add the results of a check."""
        for result in results:
            if isinstance(result, Finding):
                self.findings.append(result)
            elif isinstance(result, Group):
                self.groups.append(result)
            elif result.is_checked:
                self.checks.append(result.text)
            else:
                self.unchecked.append(result.text)


def verify(path: Path, options: Options, progress: Progress = lambda *_: None) -> Verified:
    """Run all checks on ``path``: a dataset, a record file, or a folder of record files.

    Raises:
        UsageError: ``path`` does not exist, or options contradict each other or the data.
        RunError: ``seed`` is given, and TensorFlow is installed but does not load.
    """
    options.check()
    everything, damaged = sidecars.read_splits(path)
    known = splits.chosen(path, everything, options.split)
    folders = splits.folders(known, options.source, options.root)
    if folders:
        from tfrec_cli.checking import origin

        origin.refuse_other_kind(folders, quick=options.quick)
    if not options.quick:
        from tfrec_cli.imaging import normalize

        may_hold_jpegs = any(split.may_hold_jpegs for split in known)
        normalize.load(arrays=options.seed is not None or may_hold_jpegs)
    is_described = any(split.manifest for split in known)
    report = Verified(path=path, is_described=is_described)
    report.add(damaged)
    with pool.local(options.jobs or pool.available_jobs(), isolated=True) as run:
        subject = Subject(
            path=path,
            splits=known,
            others=[split for split in everything if split not in known],
            options=options,
            folders=folders,
            run=run,
            progress=progress,
        )
        crops.check_expected(subject)
        for check in CHECKS:
            report.add(check(subject))
    report.add(_check_crops(subject))  # after the workers end: TensorFlow starts its own threads
    report.shards = len(subject.shards)
    missing = {finding.path for finding in report.findings if finding.kind == "missing"}
    report.missing_shards = sum(checked.task.path in missing for checked in subject.shards)
    report.records = sum(checked.records for checked in subject.shards)
    report.size_bytes = sum(checked.size_bytes for checked in subject.shards)
    report.damaged = splits.damaged_images(subject)
    report.fingerprint = crops.fingerprint_of(subject)
    report.add(_check_fingerprint(path, report.fingerprint, options.expect))
    return report


def _check_unfinished(subject: Subject) -> Iterator[Finding | Note]:
    for split, path in partial_folders(subject.path):
        if (subject.path / (split + MANIFEST_SUFFIX)).exists():  # a kill after the commit
            yield Note(f"{path.name}: left by another write of {split}", is_checked=False)
            continue
        message = "found an unfinished write, expected none: `tfrec write … --resume` resumes it"
        yield file_finding("extra", path, message)


def _check_sources(subject: Subject) -> Iterator[Finding | Group | Note]:
    if subject.folders:
        from tfrec_cli.checking import sources

        yield from sources.check(subject)


def _check_crops(subject: Subject) -> Iterator[Finding | Note]:
    if subject.options.seed is None:
        return iter(())
    from tfrec_cli import read_tf

    missing = None
    try:
        read_tf.find_tensorflow()
    except MissingExtraError as error:
        missing = str(error)
    return crops.check(subject, (read_tf.crop_digests, read_tf.own_crop_digests), missing)


def _check_fingerprint(
    path: Path, fingerprint: str | None, expected: str | None
) -> Iterator[Finding]:
    if expected and fingerprint != expected:
        message = f"found fingerprint {fingerprint or 'none'}, expected {expected}"
        yield file_finding("fingerprint", path, message)


CHECKS: tuple[Callable[[Subject], Iterator[Finding | Group | Note]], ...] = (
    _check_unfinished,
    sidecars.check,
    splits.check_shards,
    splits.check_totals,
    targets.check,
    splits.note_extent,
    splits.check_copies,
    _check_sources,
)
"""Cheap ones first; results are shown in this order."""
