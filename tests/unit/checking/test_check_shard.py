"""One shard compared with its manifest and its index."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import photo, png
from record_files import record_file

from tfrec_cli.checking import shard
from tfrec_cli.checking.finding import Finding, file_finding, record_finding
from tfrec_cli.checking.images import Decoded
from tfrec_cli.checking.shard import Checked, Task
from tfrec_cli.dataset.manifest import Shard
from tfrec_cli.runtime import files
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.index import index_line, read_index
from tfrec_cli.tfrecord.scan import Record, read_records


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """Make a shard of two images and its index, without a manifest."""
    payloads = [example.encode({"image": png(photo(9, 9, n))}) for n in range(2)]
    path = record_file(tmp_path / "x.tfrecord", *payloads)
    index = tmp_path / "x.tfindex"
    index.write_bytes(
        b"".join(
            index_line(item.offset_bytes, len(item.payload) + 16) for item in read_records(path)
        )
    )
    return Task(
        split=0,
        path=path,
        described=None,
        manifest=None,
        index=index,
        first_number=0,
        quick=False,
        crops=None,
    )


def said(task: Task) -> list[tuple[str, str]]:
    return [(finding.kind, finding.message) for finding in shard.check_shard(task).findings]


def described(task: Task) -> Shard:
    """Return the right entry of a shard in a manifest."""
    assert task.index
    return Shard(
        name=task.path.name,
        records=2,
        size_bytes=task.path.stat().st_size,
        sha256=str(files.sha256(task.path)),
        index=task.index.name,
        index_sha256=str(files.sha256(task.index)),
    )


def test_a_good_shard_leaves_its_images_to_be_decoded(task: Task) -> None:
    checked = shard.check_shard(replace(task, described=described(task)))
    assert (checked.findings, checked.records, checked.damaged) == ([], 2, False)
    assert checked.undecoded is not None
    assert (checked.undecoded.images, checked.undecoded.is_ours) == (2, False)


def test_a_quick_check_decodes_no_images(task: Task) -> None:
    assert shard.check_shard(replace(task, quick=True)).undecoded is None


def test_a_description_of_tfds_says_what_boxes_are(task: Task) -> None:
    pixels = example.encode({"objects/bbox": [9.0, 9.0, 20.0, 20.0], "objects/label": [1]})
    without_index = replace(task, path=record_file(task.path, pixels), index=None)
    assert [kind for kind, _ in said(without_index)] == ["box"]
    boxes: dict[str, object] = {"pythonClassName": "bounding_boxes.BBoxFeature", "boundingBox": {}}
    path = task.path.with_name("features.json")
    for form, found in (("XYWH", []), ("REL_YXYX", ["box"])):
        boxes["boundingBox"] = {"bboxFormat": form}
        path.write_text(json.dumps({"featuresDict": {"features": {"objects/bbox": boxes}}}))
        assert [kind for kind, _ in said(without_index)] == found


def test_a_missing_shard_is_one_finding(task: Task) -> None:
    task.path.unlink()
    checked = shard.check_shard(task)
    assert ([finding.kind for finding in checked.findings], checked.damaged) == (["missing"], True)


def test_an_empty_file_is_a_finding_without_a_manifest(task: Task) -> None:
    task.path.write_bytes(b"")
    assert said(replace(task, index=None)) == [("framing", "found an empty file, expected records")]


def test_size_count_and_digest_are_compared_with_the_manifest(task: Task) -> None:
    right = described(task)
    wrong = replace(right, records=3, size_bytes=7, sha256="0" * 64)
    assert said(replace(task, described=wrong)) == [
        ("size", f"found {right.size_bytes} bytes, expected 7"),
        ("count", "found 2 intact records, expected 3"),
        ("sha256", f"found SHA-256 {right.sha256}, expected {'0' * 64}"),
    ]


def test_the_digest_of_a_damaged_shard_is_not_compared(task: Task) -> None:
    right = described(task)
    data = bytearray(task.path.read_bytes())
    data[0] ^= 1
    task.path.write_bytes(data)
    checked = shard.check_shard(replace(task, described=right))
    assert [finding.kind for finding in checked.findings] == ["framing", "count"]
    assert checked.damaged


def index_messages(task: Task, data: bytes) -> list[str]:
    assert task.index
    task.index.write_bytes(data)
    found = said(task)
    assert {kind for kind, _ in found} <= {"index"}
    return [message for _, message in found]


def test_a_wrong_index_is_found(task: Task) -> None:
    assert task.index
    lines = task.index.read_bytes().splitlines(keepends=True)
    assert index_messages(task, lines[0]) == ["found 1 line, expected 2"]
    right = " ".join(str(int(word)) for word in lines[1].split())
    assert index_messages(task, lines[0] + b"7 8\n") == [f"line 2: found 7 8, expected {right}"]
    both = index_messages(task, b"7 8\n9 9\n")
    assert [message.endswith(" (and 1 line more)") for message in both] == [True]
    size = task.index.stat().st_size
    long = index_messages(task, b"0 1\n" * 10_000)
    assert long[0].startswith("found 40000 bytes, expected ")
    assert size < 5_000
    task.index.unlink()
    assert said(task) == [("index", "found no such file, expected the shard's index")]


def test_an_index_without_leading_zeros_is_right(task: Task) -> None:
    """As version 0.1.0 and other programs write it."""
    assert task.index
    lines = [b"%d %d\n" % place for place in read_index(task.index)]
    assert index_messages(task, b"".join(lines)) == []
    assert said(replace(task, described=described(task))) == []


def test_an_index_with_right_places_and_a_wrong_digest_is_found(task: Task) -> None:
    assert task.index
    right = described(task)
    wrong = replace(right, index_sha256="0" * 64)
    assert said(replace(task, described=wrong)) == [
        ("index", f"found SHA-256 {right.index_sha256}, expected {'0' * 64}")
    ]


def test_findings_of_images_are_merged_in_the_order_of_records(task: Task) -> None:
    path = task.path

    def finding(record: int) -> Finding:
        return record_finding("image", path, Record(record, 0, b""), str(record))

    checked = Checked(task=task, records=9, findings=[finding(3), file_finding("size", path, "")])
    late = Decoded(path=path, first=5, findings=[finding(5)], crops=[(5, ())])
    early = Decoded(path=path, first=0, findings=[finding(1)], crops=[(1, ())])
    shard.merge(checked, [late, early])
    assert [one.record for one in checked.findings] == [1, 3, 5, None]
    assert [key for key, _ in checked.crops] == [1, 5]
