"""What can only be checked for all shards of a split together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tfrec_cli.checking import splits
from tfrec_cli.checking.shard import Checked
from tfrec_cli.checking.splits import Options, Subject
from tfrec_cli.commands.write import write
from tfrec_cli.dataset import discover
from tfrec_cli.dataset.manifest import Manifest
from tfrec_cli.errors import UsageError
from tfrec_cli.writing.options import WriteOptions


@pytest.fixture
def out(folder: Path, tmp_path: Path) -> Path:
    """Make a dataset of 13 whole images in three shards."""
    write(folder, tmp_path / "out", WriteOptions(shards=3, jobs=1))
    return tmp_path / "out"


class Runs:
    """Maps in this process, and counts the calls."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(
        self, function: Callable[[Any], Any], tasks: Iterable[Any], _instead: Any = None
    ) -> Iterator[Any]:
        self.times += 1
        return map(function, list(tasks)[::-1])  # in an order that nobody may rely on


def subject_of(path: Path, run: Runs | None = None, **options: Any) -> Subject:
    return Subject(
        path=path,
        splits=discover.splits(path),
        options=Options(**options),
        folders=(),
        run=run or Runs(),
        progress=lambda *_: None,
    )


def test_shards_are_checked_once_when_first_needed(out: Path) -> None:
    run = Runs()
    subject = subject_of(out, run, quick=True)
    assert run.times == 0
    assert [checked.task.path for checked in subject.shards] == sorted(out.glob("*.tfrecord"))
    assert [checked.records for checked in subject.shards_of(0)] == [4, 4, 5]
    assert run.times == 1


def test_a_file_that_two_splits_name_is_checked_for_each(out: Path) -> None:
    text = (out / "train.manifest.json").read_text()
    twin = text.replace('  "split": "train",\n  "stored"', '  "split": "val",\n  "stored"')
    (out / "val.manifest.json").write_text(twin)
    subject = subject_of(out, quick=True)
    assert [checked.records for checked in subject.shards_of(0)] == [4, 4, 5]
    assert [checked.records for checked in subject.shards_of(1)] == [4, 4, 5]
    assert list(splits.check_totals(subject)) == []


def test_images_are_decoded_unless_the_check_is_quick(out: Path) -> None:
    run = Runs()
    assert len(subject_of(out, run).shards) == 3
    assert run.times == 2


@pytest.fixture
def shards(out: Path) -> list[Checked]:
    return subject_of(out).shards


@pytest.fixture
def described(out: Path) -> Manifest:
    (split,) = discover.splits(out)
    assert split.manifest
    return split.manifest


def totals(described: Manifest, shards: list[Checked], *, quick: bool = False) -> list[str]:
    path = Path("train.manifest.json")
    return [
        f"{finding.kind}: {finding.message}"
        for finding in splits.compare_totals(path, described, shards, quick=quick)
    ]


def test_totals_of_a_good_split_agree(described: Manifest, shards: list[Checked]) -> None:
    assert totals(described, shards) == []


def test_a_wrong_total_is_found(described: Manifest, shards: list[Checked]) -> None:
    assert totals(replace(described, records=12), shards) == [
        "count: found 13 intact records in all shards, expected 12"
    ]


def test_a_key_in_two_shards_is_found(described: Manifest, shards: list[Checked]) -> None:
    key, digest = shards[0].contents[0]
    again = replace(shards[2], contents=[*shards[2].contents[1:], (key, digest)])
    found = totals(described, [*shards[:2], again], quick=True)
    assert found == [
        f"duplicate: found a second record with key {key}, expected only the one in "
        f"{shards[0].task.path.name}"
    ]


def test_wrong_smallest_sides_are_found(described: Manifest, shards: list[Checked]) -> None:
    least = described.smallest
    assert totals(replace(described, smallest=(1, 1)), shards) == [
        f"manifest: smallest: found (1, 1), expected {least} by the records"
    ]


def test_changed_records_are_found_unless_the_check_is_quick(
    described: Manifest, shards: list[Checked]
) -> None:
    other = replace(shards[0], contents=[(key, b"other") for key, _ in shards[0].contents])
    changed = [other, *shards[1:]]
    assert [line.split(":")[0] for line in totals(described, changed)] == ["content"]
    assert totals(described, changed, quick=True) == []


def test_only_counts_and_keys_of_a_damaged_split_are_compared(
    described: Manifest, shards: list[Checked]
) -> None:
    damaged = replace(shards[0], damaged=True, contents=[], smallest=None)
    assert totals(replace(described, smallest=(1, 1)), [damaged, *shards[1:]]) == []


def test_notes_say_what_a_quick_check_left_out(out: Path) -> None:
    notes = list(splits.note_extent(subject_of(out, quick=True)))
    assert [note.text.split(":")[0] for note in notes if note.is_checked] == [
        "shards against the manifest",
        "framing",
        "records",
    ]
    assert [note.text for note in notes if not note.is_checked] == [
        "whether the images decode, the digest of the contents: --quick stops before these"
    ]


@pytest.mark.parametrize(
    ("options", "size"),
    [({}, None), ({"seed": 1}, (40, 40)), ({"seed": 1, "crop": (8, 9)}, (8, 9))],
)
def test_crops_have_the_given_size_or_the_smallest_side(
    out: Path, options: dict[str, Any], size: tuple[int, int] | None
) -> None:
    crops = subject_of(out, **options).crops
    assert (crops.size if crops else None) == size


def test_crops_larger_than_an_image_are_refused(out: Path) -> None:
    with pytest.raises(UsageError, match="crop: found 400x400, expected at most 41x40"):
        subject_of(out, seed=1, crop=(400, 400)).crops  # noqa: B018  # a property that raises
