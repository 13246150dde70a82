"""verify: images that are in several splits, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import fill, photo, png

from tfrec_cli.commands.verify import Options, Verified, verify
from tfrec_cli.commands.write import write
from tfrec_cli.dataset import manifest
from tfrec_cli.writing.options import WriteOptions

TITLE = "copies in several splits: "


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def check(out: Path, **options: Any) -> tuple[Verified, list[str]]:
    """Return what verify found, and what it says about copies."""
    report = verify(out, Options(**{"jobs": 1, **options}))
    return report, [text for text in report.checks if text.startswith(TITLE)]


def written(tmp_path: Path, out: Path, **splits: dict[str, int]) -> None:
    """Write splits from folders of their own: names of images to the seeds of their pixels."""
    for split, images in splits.items():
        files = {name: png(photo(9, 8, seed)) for name, seed in images.items()}
        write(fill(tmp_path / split, files), out, WriteOptions(split=split, jobs=1))


def test_other_images_are_no_copies(tmp_path: Path, out: Path) -> None:
    written(tmp_path, out, train={"a/1.png": 1, "a/2.png": 2}, val={"a/1.png": 3})
    assert check(out)[1] == []


def test_copies_are_a_note_with_the_first(tmp_path: Path, out: Path) -> None:
    train = {"a/1.png": 1, "a/2.png": 2, "a/3.png": 3, "a/4.png": 4, "a/5.png": 5}
    written(tmp_path, out, train=train, val={"a/1.png": 1}, test={"a/9.png": 2, "a/8.png": 1})
    report, texts = check(out, jobs=2)
    assert report.ok
    ours, *others = sorted(texts, key=lambda text: "of val is in test" not in text)
    assert ours == f"{TITLE}1 image of val is in test too, such as a/1.png, there a/8.png"
    assert [text.partition(", such as ")[0] for text in others] == [
        f"{TITLE}2 images of test are in train too",
        f"{TITLE}1 image of val is in train too",
    ]


@pytest.mark.parametrize("options", [{"shards": 3}, {"compression": "gzip"}, {"crop": (4, 4)}])
def test_the_first_is_found_in_any_layout(
    tmp_path: Path, out: Path, options: dict[str, Any]
) -> None:
    for split, seeds in {"train": range(9), "val": (20, 21, 7)}.items():
        files = {f"a/{split}{seed}.png": png(photo(9, 8, seed)) for seed in seeds}
        source = fill(tmp_path / split, files)
        write(source, out, WriteOptions(split=split, jobs=1, **options))
    (text,) = check(out)[1]
    example = "such as a/val7.png, there a/train7.png"
    assert text == f"{TITLE}1 image of val is in train too, {example}"


def test_folders_of_splits_may_have_copies(tmp_path: Path, out: Path) -> None:
    names = ("train/a/1.png", "train/a/2.png", "val/a/3.png")
    source = fill(tmp_path / "src", {name: png(photo(9, 8)) for name in names})
    write(source, out, WriteOptions(split="folders", jobs=1))
    report, (text,) = check(out)
    assert (report.ok, text.partition(",")[0]) == (True, f"{TITLE}1 image of val is in train too")


@pytest.mark.parametrize("is_changed", [False, True])
def test_copies_that_write_promised_to_keep_together_are_a_finding(
    tmp_path: Path, out: Path, is_changed: bool
) -> None:
    """Unless images were changed: then two files can become the same image."""
    written(tmp_path, out, train={"a/1.png": 1, "a/2.png": 2}, val={"a/1.png": 1})
    parts = [{"split": split, "share": "0.5"} for split in ("train", "val")]
    for path in manifest.find(out).values():
        values = json.loads(path.read_bytes())
        values["division"] = {"method": "shares", "parts": parts}
        values["changes"] = {"metadata": 1} if is_changed else {}
        path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")
    report, texts = check(out)
    found = [one.message for one in report.findings if one.kind == "duplicate"]
    if is_changed:
        assert (found, len(texts)) == ([], 1)
        return
    expected = "expected copies in one split by --split train=0.5,val=0.5"
    assert (found, texts) == ([f"found 1 image of val in train too (a/1.png), {expected}"], [])


def test_a_quick_check_does_not_look_for_copies(tmp_path: Path, out: Path) -> None:
    written(tmp_path, out, train={"a/1.png": 1}, val={"a/1.png": 1})
    assert check(out, quick=True)[1] == []


def test_a_split_without_intact_records_has_no_copies(tmp_path: Path, out: Path) -> None:
    written(tmp_path, out, train={"a/1.png": 1}, val={"a/1.png": 1})
    (shard,) = out.glob("val*.tfrecord")
    shard.write_bytes(bytes(len(shard.read_bytes())))
    report, texts = check(out)
    assert (report.ok, texts) == (False, [])
