"""The file of a split's labels compared with its manifest and with the records."""

from __future__ import annotations

import dataclasses
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest

from tfrec_cli.commands.verify import Options, verify
from tfrec_cli.commands.write import write
from tfrec_cli.dataset import discover, manifest, targets
from tfrec_cli.dataset.checksums import dataset_files
from tfrec_cli.writing.options import WriteOptions


@pytest.fixture
def out(folder: Path, tmp_path: Path) -> Path:
    """Make a dataset of 13 whole images in three shards."""
    write(folder, tmp_path / "out", WriteOptions(shards=3, jobs=1, shuffle_seed=None))
    return tmp_path / "out"


def said(out: Path, *, quick: bool = True) -> list[tuple[str, str, str]]:
    """Return kind, file and message of each finding."""
    found = verify(out, Options(quick=quick, jobs=1)).findings
    return [(one.kind, one.path.name, one.message) for one in found]


def redescribe(out: Path, labels: array[int] | None) -> None:
    """Let the manifest and the checksums describe these labels."""
    (split,) = discover.splits(out)
    assert split.manifest
    described = targets.described("train", labels) if labels is not None else None
    made = dataclasses.replace(split.manifest, targets=described)
    (out / "train.manifest.json").write_bytes(manifest.dump(made))
    for name, data in dataset_files([made]).items():
        (out / name).write_bytes(data)


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (Path.unlink, "missing", "found no such file, expected the labels of the split"),
        (
            lambda path: path.write_bytes(path.read_bytes()[:-1]),
            "metadata",
            "found 231 bytes that are no whole list of labels, expected 232 bytes of a NumPy file",
        ),
        (
            lambda path: path.write_bytes(b"".join(targets.pieces(array("q", [0] * 12)))),
            "metadata",
            "found 12 labels, expected 13 by the manifest",
        ),
        (
            lambda path: path.write_bytes(b"".join(targets.pieces(array("q", [0] * 13)))),
            "metadata",
            "label 4: found 0, expected 1 as in record 0 of train-00001-of-00003.tfrecord "
            "(and 8 labels more)",
        ),
    ],
    ids=["missing", "cut", "number", "labels"],
)
def test_a_wrong_file_is_found(
    out: Path, change: Callable[[Path], object], kind: str, message: str, quick: bool
) -> None:
    assert said(out, quick=quick) == []
    change(out / "train.targets")
    assert said(out, quick=quick) == [(kind, "train.targets", message)]


def test_a_wrong_label_is_found_though_all_digests_are_right(out: Path) -> None:
    labels = targets.stored(out / "train.targets", 13)
    labels[12] = 0
    (out / "train.targets").write_bytes(b"".join(targets.pieces(labels)))
    redescribe(out, labels)
    message = "label 12: found 0, expected 2 as in record 4 of train-00002-of-00003.tfrecord"
    assert said(out) == [("metadata", "train.targets", message)]


def test_a_wrong_digest_is_found(out: Path) -> None:
    right = targets.described("train", targets.stored(out / "train.targets", 13)).sha256
    wrong = array("q", [0])
    redescribe(out, wrong)
    message = f"found SHA-256 {right}, expected {targets.described('train', wrong).sha256}"
    assert said(out) == [("metadata", "train.targets", message)]


def test_next_to_damaged_shards_the_digest_is_compared(out: Path) -> None:
    path = out / "train-00001-of-00003.tfrecord"
    path.write_bytes(path.read_bytes()[:-1])
    assert "train.targets" not in [name for _, name, _ in said(out)]
    (out / "train.targets").write_bytes(b"".join(targets.pieces(array("q", [0] * 13))))
    ((kind, _, message),) = [one for one in said(out) if one[1] == "train.targets"]
    assert kind == "metadata"
    assert message.startswith("found SHA-256 ")


def test_a_file_that_no_manifest_names_is_found(out: Path) -> None:
    redescribe(out, None)
    message = "found a file of labels that no manifest names, expected none"
    assert said(out) == [("extra", "train.targets", message)]
    (out / "train.targets").unlink()
    assert said(out) == []


def test_a_file_that_cannot_be_read_is_found(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(path: Path, records: int) -> array[int]:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("tfrec_cli.dataset.targets.stored", failing)
    assert said(out) == [("unreadable", "train.targets", "cannot be read: Input/output error")]
