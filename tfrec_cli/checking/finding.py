"""Findings of ``verify``: their kinds, and notes on what was checked.

Knows: how a finding is shown in one line. Must not know: what is checked. To add a finding, add its
kind here and yield it in a check.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from tfrec_cli.runtime.paths import printable
from tfrec_cli.tfrecord.scan import Damage, Record

MOST_LISTED = 10
"""So many findings of a kind are listed, unless all are asked for."""

Kind = Literal[
    "manifest",
    "missing",
    "extra",
    "size",
    "unreadable",
    "sha256",
    "count",
    "framing",
    "example",
    "contract",
    "box",
    "image",
    "index",
    "content",
    "duplicate",
    "metadata",
    "crop",
    "fingerprint",
    "unwritten",
    "unexpected",
    "label",
    "differs",
]


class Finding(NamedTuple):
    """One thing that is wrong.

    Attributes:
        record: number of the record in its file, from 0.
        offset_bytes: where in the file the record or the damage starts.
        message: what was found and what was expected.
    """

    kind: Kind
    path: Path
    message: str
    record: int | None = None
    offset_bytes: int | None = None

    def __str__(self) -> str:
        """Return it as one line."""
        where = "" if self.record is None else f" record {self.record}"
        where += "" if self.offset_bytes is None else f" at byte {self.offset_bytes}"
        return f"{self.path}:{where}{':' if where else ''} {self.message}"


class DamagedImage(NamedTuple):
    """An image whose data are damaged, though every decoder takes it: no finding.

    Attributes:
        record: number of its record in its file, from 0.
        name: what its record calls it; empty if it has no name.
        message: what is wrong with its data.
    """

    path: Path
    record: int
    name: bytes
    message: str

    def __str__(self) -> str:
        """Return it as one line."""
        name = f" {printable(self.name)}:" if self.name else ""
        return f"{self.path}: record {self.record}:{name} {self.message}"


class Group(NamedTuple):
    """A line that says the same as many findings, which are given too."""

    text: str
    findings: Sequence[Finding]


class Note(NamedTuple):
    """A line about what was checked or, with ``is_checked=False``, what was not, and why."""

    text: str
    is_checked: bool = True


def file_finding(kind: Kind, path: Path, message: str) -> Finding:
    """Make a finding about a file."""
    return Finding(kind=kind, path=path, message=message)


def record_finding(kind: Kind, path: Path, record: Record | Damage, message: str) -> Finding:
    """Make a finding about one record, or about damage."""
    return Finding(
        kind=kind,
        path=path,
        message=message,
        record=record.index,
        offset_bytes=record.offset_bytes,
    )


def unreadable(path: Path, error: OSError) -> Finding:
    """Make the finding that a file cannot be read."""
    return file_finding("unreadable", path, f"cannot be read: {error.strerror or error}")
