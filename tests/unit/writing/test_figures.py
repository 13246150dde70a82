"""writing.figures, and how the summary of a write shows them."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from conftest import fill, jpeg, photo, png

from tfrec_cli.commands.write import WriteOptions, Written, write
from tfrec_cli.report import write as report
from tfrec_cli.writing.figures import Copies

CAT, DOG, OWL = (png(photo(20, 30, number)) for number in range(3))


def run(source: Path, files: dict[str, bytes], **options: Any) -> Written:
    out = options.pop("out", source.with_name("out"))
    return write(fill(source, files), out, WriteOptions(jobs=1, **options))


def lines(result: Written) -> dict[str, str]:
    """Return title and value of each fact."""
    rows = report.text(result).splitlines()[1:]
    return {row[2:11].strip(): row[12:] for row in rows if row.startswith("  ")}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "src"


COPIES: list[tuple[dict[str, bytes], dict[str, Any], tuple[int, int, int]]] = [
    ({"cat/1.png": CAT, "dog/1.png": DOG}, {}, (0, 0, 0)),
    ({"cat/1.png": CAT, "cat/2.png": CAT, "dog/1.png": DOG}, {}, (1, 0, 0)),
    ({"cat/1.png": CAT, "cat/2.png": CAT, "dog/1.png": CAT}, {}, (2, 1, 0)),
    ({"cat/1.png": CAT, "dog/1.png": CAT}, {"crop": (8, 8)}, (1, 1, 0)),
    ({"cat/1.png": CAT, "cat/2.png": CAT}, {"labels": "none", "shards": 2}, (1, 0, 0)),
    (
        {"train/cat/1.png": CAT, "val/cat/2.png": CAT, "val/dog/1.png": DOG},
        {"split": "folders"},
        (1, 0, 1),
    ),
    (
        {f"cat/{n}.png": png(photo(9, 9, n)) for n in range(9)} | {"dog/1.png": png(photo(9, 9))},
        {"split": "train=0.5,val=0.5"},
        (1, 1, 0),
    ),
]


@pytest.mark.parametrize(("files", "options", "expected"), COPIES)
def test_exact_copies_are_counted(
    source: Path, files: dict[str, bytes], options: dict[str, Any], expected: tuple[int, ...]
) -> None:
    result = run(source, files, **options)
    assert result.copies
    found = result.copies.records, result.copies.other_label, result.copies.other_split
    assert found == expected
    assert ("copies" in lines(result)) is bool(expected[0])


def test_files_of_one_size_and_header_are_no_copies(source: Path) -> None:
    """They are digested, because they may be copies."""
    one, other = (jpeg(photo(20, 30, number)) for number in (4, 5))
    most = max(len(one), len(other))
    other = other[: -len(b"\xff\xd9")] + b"\xff\xd9" + bytes(most - len(other))
    result = run(source, {"a/1.jpg": one + bytes(most - len(one)), "a/2.jpg": other})
    assert result.copies == Copies()


def test_copies_with_two_labels_are_a_warning_with_an_example(source: Path) -> None:
    result = run(source, {"cat/1.png": CAT, "dog/1.png": CAT, "owl/1.png": CAT})
    (warning,) = result.warnings
    start = "2 exact copies have another label than the original: "
    assert warning == f"{start}dog/1.png is a copy of cat/1.png…"
    assert lines(result)["copies"] == "2 of 3 images, 2 with another label"
    assert lines(result)[""] == "such as cat/1.png and dog/1.png"


@pytest.mark.parametrize("seed", range(4))
def test_the_count_of_other_labels_does_not_depend_on_the_order(source: Path, seed: int) -> None:
    files = {"a/q1.png": CAT, "a/q2.png": CAT, "b/q3.png": CAT, "b/o.png": DOG}
    result = run(source, files, shuffle_seed=seed)
    (warning,) = result.warnings
    assert warning == (
        "1 exact copy has another label than the original: b/q3.png is a copy of a/q1.png"
    )
    assert lines(result)["copies"] == "2 of 4 images, 1 with another label"
    assert result.copies
    assert result.copies.pairs == ((b"a/q2.png", b"a/q1.png"), (b"b/q3.png", b"a/q1.png"))


def test_copies_in_two_splits_are_a_warning_with_an_example(source: Path) -> None:
    files = {f"{split}/cat/{n}.png": image for split in "ab" for n, image in enumerate((CAT, DOG))}
    result = run(source, files, split="folders")
    (warning,) = result.warnings
    start = "2 images are exact copies of one in another split: "
    assert re.fullmatch(rf"{start}b/cat/(.).png is a copy of a/cat/\1.png…", warning)
    assert lines(result)["copies"] == "2 of 4 images, 2 in another split"
    assert lines(result)[""] == "such as a/cat/0.png and b/cat/0.png"
    assert json.loads(report.document(result))["copies"]["pairs"] == [
        {"path": f"b/cat/{n}.png", "first": f"a/cat/{n}.png"} for n in range(2)
    ]
    assert result.copies
    assert result.copies.listed() == [f"b/cat/{n}.png is a copy of a/cat/{n}.png" for n in range(2)]


def test_of_many_copies_only_some_are_named(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfrec_cli.writing.figures.MOST_NAMED", 2)
    found = run(source, {f"cat/{n}.png": (CAT, DOG)[n % 2] for n in range(6)}).copies
    assert found
    assert (found.records, len(found.pairs)) == (4, 2)
    assert found.listed()[2:] == ["and 2 more copies"]


@pytest.mark.parametrize(("more", "is_twin"), [({}, True), ({"cat/2.png": OWL}, False)])
def test_a_split_that_repeats_another_one_is_a_warning(
    source: Path, more: dict[str, bytes], is_twin: bool
) -> None:
    run(source, {"cat/1.png": CAT})
    result = run(source, more, split="val", shuffle_seed=1)
    assert result.warnings == ("split val: found the same records as in split train",) * is_twin


def test_the_warning_of_a_division_is_not_repeated(source: Path) -> None:
    files, options, _ = COPIES[-1]
    found = [one for one in run(source, files, **options).warnings if "label" in one]
    assert len(found) == 1


def test_a_resumed_write_counts_the_copies_in_shards_that_it_keeps(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"a/{n}.png": CAT for n in range(4)}
    with monkeypatch.context() as patch:
        patch.setattr("tfrec_cli.commands.write._describe", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(source, files, shards=2)
    result = run(source, {}, shards=2, resume=True)
    assert result.copies
    assert (result.copies.records, len(result.copies.pairs)) == (3, 3)
    assert lines(result)["took"].endswith(" s; 2 shards kept of the interrupted write")


def test_copies_are_unknown_if_an_image_became_a_copy_of_one_in_a_kept_shard(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That image was not digested, and it is not read again."""
    options: dict[str, Any] = {"shards": 2, "shuffle_seed": None}
    with monkeypatch.context() as patch:
        patch.setattr("tfrec_cli.commands.write._describe", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(source, {f"a/{n}.png": png(photo(20, 30, n)) for n in range(4)}, **options)
    result = run(source, {"a/3.png": png(photo(20, 30, 0))}, resume=True, **options)
    assert result.copies is None
    assert "copies" not in lines(result)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_numbers_without_a_class_have_no_images_per_class(source: Path, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("3 cat\n7 dog\n")
    files = {"cat/1.png": CAT, "cat/2.png": DOG, "dog/1.png": OWL}
    result = run(source, files, labels=str(tmp_path / "names.txt"))
    assert lines(result)["per class"] == "1 (dog) to 2 (cat)"
    assert json.loads(report.document(result))["class_records"] == [0, 0, 0, 2, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("cat\ndog\nowl\n", "0 (owl) to 2 (cat), median 1"),
        ("3 cat\n7 dog\n8 owl\n9 ape\n", "0 (2 classes) to 2 (cat), median 0"),
    ],
)
def test_a_class_without_images_has_the_least(
    source: Path, tmp_path: Path, names: str, expected: str
) -> None:
    (tmp_path / "names.txt").write_text(names)
    files = {"cat/1.png": CAT, "cat/2.png": DOG, "dog/1.png": OWL}
    result = run(source, files, labels=str(tmp_path / "names.txt"))
    assert lines(result)["per class"] == expected


def test_each_split_counts_the_classes_of_the_others(source: Path) -> None:
    """Also classes that are numbers."""
    files = {f"{split}/{label}/1.png": CAT for split, label in (("a", 0), ("a", 3), ("b", 3))}
    result = run(source, files, split="folders", labels="top")
    text = report.text(result)
    assert re.findall("per class (.*)", text) == ["1 image each", "0 (0) to 1 (3)"]


def test_an_image_that_is_left_out_is_not_counted(source: Path) -> None:
    """Its header is right, so it is planned."""
    files = {"cat/1.png": CAT, "cat/2.png": DOG[:-20], "dog/1.png": OWL}
    assert lines(run(source, files, on_error="skip"))["per class"] == "1 image each"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"crop": (16, 16)}, "keeps 11% of the median photo; --resize-short 18 would keep more"),
        ({"crop": (12, 16)}, "keeps 8% of the median photo; --resize-short 18 would keep more"),
        ({"crop": (16, 16), "resize_short": 18}, "keeps 53% of the median photo"),
        ({"crop": (30, 40)}, "keeps 50% of the median photo"),
        ({"crop": (128, 128), "small": "pad"}, "keeps 100% of the median photo"),
    ],
)
def test_the_summary_says_how_much_a_crop_keeps(
    source: Path, options: dict[str, Any], expected: str
) -> None:
    result = run(source, {"cat/1.png": png(photo(40, 60)), "cat/2.png": png(photo(60, 40, 1))},
                 **options)  # fmt: skip
    assert lines(result)["crop"] == expected


@pytest.mark.parametrize(
    ("files", "labels", "expected"),
    [
        ({"1.png": CAT}, "auto", "none: no sub-folders"),
        ({"cat/1.png": CAT}, "none", "none: not asked for"),
        ({"cat/1.png": CAT}, "auto", "1: cat"),
    ],
)
def test_the_summary_says_why_there_are_no_labels(
    source: Path, files: dict[str, bytes], labels: str, expected: str
) -> None:
    assert lines(run(source, files, labels=labels))["labels"] == expected


def test_an_image_list_without_labels_says_so(source: Path, tmp_path: Path) -> None:
    fill(source, {"1.png": CAT})
    (tmp_path / "list.csv").write_text("path\nsrc/1.png\n")
    result = write(tmp_path / "list.csv", tmp_path / "out", WriteOptions(jobs=1))
    assert lines(result)["labels"] == "none: no column of labels"


WARNING = (
    "labels: no column has a name known for labels ({}): stored without labels (--label-column "
    "NAME, or --labels none)"
)


@pytest.mark.parametrize(
    ("columns", "options", "expected", "named"),
    [
        (
            "y,z",
            {},
            "none: no column has a name known for labels: y, z (--label-column NAME)",
            "y, z",
        ),
        (
            "y,xmin,object_label",
            {},
            "none: no column has a name known for labels: y (--label-column NAME)",
            "y",
        ),
        ("xmin,area", {}, "none: no column of labels", ""),
        ("y,z", {"labels": "none"}, "none: not asked for", ""),
        ("y,z", {"label_column": "z"}, "2: 0, 1", ""),
        ("y", {"split": "a=0.5,b=0.5", "split_by": "y"}, "none: no column of labels", ""),
    ],
)
def test_columns_that_may_be_labels_are_named(
    source: Path, tmp_path: Path, columns: str, options: dict[str, str], expected: str, named: str
) -> None:
    """Boxes and groups are none."""
    fill(source, {"1.png": CAT, "2.png": DOG})
    rows = [
        f"img,{columns}",
        *(f"src/{n}.png" + f",{n - 1}" * len(columns.split(",")) for n in (1, 2)),
    ]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    result = write(tmp_path / "list.csv", tmp_path / "out", WriteOptions(jobs=1, **options))
    assert lines(result)["labels"] == expected
    found = [one for one in result.warnings if one.startswith("labels:")]
    assert found == [WARNING.format(named)] * bool(named)


@pytest.mark.parametrize("name", ["my out", "-x", "it's"])
def test_the_next_command_can_be_pasted(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    line = lines(run(source, {"1.png": CAT}, out=Path(name)))["next"]
    program, command, path = shlex.split(line)
    assert (program, command) == ("tfrec", "verify")
    assert not path.startswith("-")
    assert Path(path) == Path(name)


def test_a_dry_run_says_what_is_known(source: Path) -> None:
    result = run(source, {"cat/1.png": CAT, "dog/1.png": CAT}, crop=(8, 8), dry_run=True)
    assert [*lines(result)] == ["labels", "per class", "crop", "unchecked"]
    document = json.loads(report.document(result))
    assert (document["seconds"], document["copies"], document["class_records"]) == (
        None,
        None,
        [1, 1],
    )


def test_a_line_fits_into_80_columns_whatever_the_classes_are_called(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {f"{'long name ' * 9}{n}/{m}.png": CAT for n in range(9) for m in range(n + 1)}
    text = report.text(run(Path("src"), files, crop=(8, 8), out=Path("out")))
    assert [line for line in text.splitlines() if len(line) > 80] == []
