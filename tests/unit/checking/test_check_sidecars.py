"""Small files next to the shards compared with the bytes that they should have."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import fill, photo, png
from record_files import record_file

from tfrec_cli.checking import sidecars
from tfrec_cli.commands.verify import Options, verify
from tfrec_cli.commands.write import write
from tfrec_cli.dataset.checksums import dataset_files
from tfrec_cli.errors import UsageError
from tfrec_cli.tfrecord import example
from tfrec_cli.writing.options import WriteOptions


def said(path: Path, expected: bytes) -> list[tuple[str, str, int | None]]:
    return [
        (finding.kind, finding.message, finding.offset_bytes)
        for finding in sidecars.compare_file(path, expected)
    ]


def test_the_first_byte_that_differs_is_named(tmp_path: Path) -> None:
    path = tmp_path / "features.json"
    path.write_bytes(b"0123456789")
    assert said(path, b"0123456789") == []
    assert said(path, b"01X3") == [("metadata", "found b'23456789', expected b'X3'", 2)]
    assert said(path, b"0123456789ab") == [("metadata", "found b'', expected b'ab'", 10)]
    assert said(path, b"012345678") == [("metadata", "found b'9', expected b''", 9)]


def test_wrong_lengths_in_dataset_info_are_named(tmp_path: Path) -> None:
    path = tmp_path / "dataset_info.json"
    text = '{"splits": [{"name": "train", "shardLengths": ["%d"]}]}'
    path.write_text(text % 4)
    assert [message for _, message, _ in said(path, (text % 5).encode())] == [
        "found shardLengths {'train': ['4']}, expected {'train': ['5']}"
    ]


def test_a_missing_file_is_a_finding(tmp_path: Path) -> None:
    assert [kind for kind, _, _ in said(tmp_path / "x", b"")] == ["missing"]


def test_an_unreadable_file_is_a_finding() -> None:
    assert [kind for kind, _, _ in said(Path("/proc/self/mem"), b"x")] == ["unreadable"]


@pytest.fixture
def out(folder: Path, tmp_path: Path) -> Path:
    """Make a dataset of two splits."""
    for split in ("train", "val"):
        write(folder, tmp_path / "out", WriteOptions(split=split, jobs=1))
    return tmp_path / "out"


def test_splits_of_good_manifests_are_read(out: Path) -> None:
    splits, findings = sidecars.read_splits(out)
    assert ([split.name for split in splits], findings) == (["train", "val"], [])


def test_a_damaged_manifest_leaves_the_other_split(out: Path) -> None:
    (out / "train.manifest.json").write_text("{")
    splits, findings = sidecars.read_splits(out)
    assert [split.name for split in splits] == ["val"]
    assert [finding.kind for finding in findings] == ["manifest"]


def test_shards_without_a_good_manifest_are_one_split(out: Path) -> None:
    for name in ("train", "val"):
        (out / f"{name}.manifest.json").write_text("{")
    splits, findings = sidecars.read_splits(out)
    assert [(split.name, len(split.shards)) for split in splits] == [(None, 2)]
    assert [finding.kind for finding in findings] == ["manifest"] * 2


def test_a_manifest_with_other_spacing_is_a_finding_and_is_read(out: Path) -> None:
    path = out / "train.manifest.json"
    path.write_bytes(path.read_bytes() + b"\n")
    splits, findings = sidecars.read_splits(out)
    assert (len(splits), [finding.path for finding in findings]) == (2, [path])


def as_written_earlier(out: Path) -> dict[str, bytes]:
    """Count the framing in ``numBytes``, and return the files that are different then."""
    manifests = [split.manifest for split in sidecars.read_splits(out)[0] if split.manifest]
    earlier = dataset_files(manifests, counts_framing=True)
    changed = {name: data for name, data in earlier.items() if data != (out / name).read_bytes()}
    fill(out, changed)
    return changed


def test_files_of_earlier_versions_count_the_framing(out: Path) -> None:
    assert as_written_earlier(out).keys() == {"dataset_info.json", "SHA256SUMS"}
    assert verify(out, Options(quick=True, jobs=1)).findings == []


@pytest.mark.parametrize("name", ["dataset_info.json", "SHA256SUMS"])
def test_one_damaged_file_of_an_earlier_version_is_one_finding(out: Path, name: str) -> None:
    data = as_written_earlier(out)[name]
    (out / name).write_bytes(data + b"x")
    findings = verify(out, Options(quick=True, jobs=1)).findings
    assert [(one.kind, one.path, one.offset_bytes) for one in findings] == [
        ("metadata", out / name, len(data))
    ]


def test_a_record_file_is_a_split_and_a_missing_path_is_refused(tmp_path: Path) -> None:
    path = record_file(tmp_path / "x.tfrecord", example.encode({"image": png(photo(4, 4))}))
    splits, findings = sidecars.read_splits(path)
    assert ([split.shards for split in splits], findings) == ([(path,)], [])
    with pytest.raises(UsageError):
        sidecars.read_splits(tmp_path / "nothing")


def test_a_damaged_description_by_tfds_is_a_finding(tmp_path: Path) -> None:
    record_file(tmp_path / "x-train.tfrecord-00000-of-00001", example.encode({"label": 1}))
    (tmp_path / "dataset_info.json").write_text("{")
    (tmp_path / "features.json").write_text("{}")
    splits, (finding,) = sidecars.read_splits(tmp_path)
    assert (len(splits), finding.kind, finding.path.name) == (1, "metadata", "dataset_info.json")
