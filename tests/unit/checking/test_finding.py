"""Each finding is one line."""

from __future__ import annotations

from pathlib import Path

from tfrec_cli.checking.finding import file_finding, record_finding, unreadable
from tfrec_cli.tfrecord.scan import Record


def test_a_finding_of_a_file_names_the_file() -> None:
    finding = file_finding("size", Path("a.tfrecord"), "found 1 bytes, expected 2")
    assert str(finding) == "a.tfrecord: found 1 bytes, expected 2"


def test_a_finding_of_a_record_names_record_and_byte() -> None:
    finding = record_finding("example", Path("a.tfrecord"), Record(3, 99, b""), "no Example")
    assert (finding.record, finding.offset_bytes) == (3, 99)
    assert str(finding) == "a.tfrecord: record 3 at byte 99: no Example"


def test_an_unreadable_file_says_why_without_its_name_twice() -> None:
    finding = unreadable(Path("a.tfrecord"), OSError(5, "Input/output error", "a.tfrecord"))
    assert str(finding) == "a.tfrecord: cannot be read: Input/output error"
