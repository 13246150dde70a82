"""The values of a column as splits: one command writes all, and every command agrees with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import fill, photo, png
from program import tfrec

from tfrec_cli.commands.check import check
from tfrec_cli.commands.verify import Options as VerifyOptions
from tfrec_cli.commands.verify import verify
from tfrec_cli.commands.write import Written, write
from tfrec_cli.dataset import manifest
from tfrec_cli.errors import TfrecError, UsageError
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.scan import read_records
from tfrec_cli.writing.options import WriteOptions as Options

IMAGES = {f"{number}.png": png(photo(9, 9, number)) for number in range(6)}
ROWS = ("0.png,cat,train", "1.png,dog,train", "2.png,owl,train", "3.png,cat,val", "4.png,owl,test")
PARTS = {
    "test": {"4.png": 2},
    "train": {"0.png": 0, "1.png": 1, "2.png": 2},
    "val": {"3.png": 0},
}


def listed(folder: Path, *rows: str, header: str = "image,class,split") -> Path:
    path = folder / "list.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Make an image list of three splits, of which two lack classes."""
    return listed(fill(tmp_path / "images", IMAGES), *ROWS)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def written(source: Path, out: Path, **options: Any) -> Written:
    return write(source, out, Options(**{"split_column": "split", "jobs": 1, **options}))


def labels_of(out: Path) -> dict[str, dict[str, int]]:
    """Return for each split the label of each image."""
    found: dict[str, dict[str, int]] = {}
    for split, path in manifest.find(out).items():
        records = [
            example.decode(record.payload)
            for shard in manifest.load(path).shards
            for record in read_records(out / shard.name)
        ]
        found[split] = {
            record["filename"].values[0].decode(): record["label"].values[0] for record in records
        }
    return found


def findings(out: Path, source: Path, *, quick: bool = False) -> list[tuple[str, str]]:
    options = VerifyOptions(source=((None, source),), quick=quick, jobs=1)
    return [(one.kind, one.message) for one in verify(out, options).findings]


class TestWrite:
    def test_one_command_writes_all_splits(self, source: Path, out: Path) -> None:
        ran = tfrec("write", source, out, "--split-column", "split")
        assert (ran.code, labels_of(out)) == (0, PARTS)
        assert "tfrec: split val: found no image of 2 classes: dog, owl\n" in ran.error

    def test_the_manifests_say_so(self, source: Path, out: Path) -> None:
        written(source, out)
        for split in PARTS:
            made = manifest.load(out / f"{split}.manifest.json")
            assert made.division
            assert (made.division.method, made.division.names) == ("column", [*PARTS])
            assert (made.labels, made.options["split_column"]) == (("cat", "dog", "owl"), "split")

    def test_the_order_of_the_rows_has_no_effect(
        self, source: Path, out: Path, tmp_path: Path
    ) -> None:
        written(source, out)
        written(listed(source.parent, *reversed(ROWS)), tmp_path / "other")
        for path in out.iterdir():
            assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes()

    @pytest.mark.parametrize("keys", ["plain", "tf-models"])
    def test_numbers_are_names_too(self, source: Path, out: Path, keys: Any) -> None:
        listed(source.parent, "0.png,0", "1.png,1", header="path,fold")
        result = written(source, out, split_column="fold", keys=keys)
        assert [one.split for one in result.splits] == ["0", "1"]

    def test_lines_of_json_have_splits_too(self, source: Path, out: Path) -> None:
        path = source.with_suffix(".jsonl")
        rows = [{"path": f"{n}.png", "split": split} for n, split in enumerate(("b", "a", "b"))]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        assert [one.records for one in written(path, out).splits] == [1, 2]

    def test_rejects_are_in_the_first_split(self, source: Path, out: Path) -> None:
        listed(source.parent, *ROWS, "none.png,cat,val", "5.png,cat")
        result = written(source, out, on_error="skip")
        assert [len(one.rejects) for one in result.splits] == [2, 0, 0]
        assert findings(out, source) == []

    @pytest.mark.parametrize(
        ("header", "rows", "options", "message"),
        [
            ("path,x", ["0.png,a"], {}, "split_column: found columns of values x, expected 'split' "
             "of an image list"),
            ("path", ["0.png"], {}, "split_column: found no columns of values, expected 'split' of "
             "an image list"),
            ("path,split", ["0.png,", "1.png,a"], {}, "split_column: found rows without a value in "
             "column 'split', expected one value in every row"),
            ("path,split", ["0.png,a b"], {}, "split_column split: found 'a b', expected letters, "
             "digits, _ and -"),
            ("path,split", ["0.png,Val", "1.png,val"], {}, "split_column split: found 'val' and "
             "'Val', expected names that differ in more than case"),
            ("path,split", ["0.png,1e1", "1.png,2"], {}, "split_column: found '10.0' in column "
             "'split', expected one of 1e1, 2"),
            ("path,split", ["0.png,a"], {"split": "val"}, "split_column: cannot be used with "
             "split: the column names splits"),
            ("path,split", ["0.png,a"], {"split_by": "split"}, "split_by: needs several splits, "
             "such as split train=0.8,val=0.2"),
            ("path,split", ["0.png,a"], {"label_column": "split"}, "split_column: found the column "
             "of label_column, expected another"),
        ],
    )  # fmt: skip
    def test_columns_that_cannot_be_splits_are_refused(
        self, source: Path, out: Path, header: str, rows: list[str], options: Any, message: str
    ) -> None:
        listed(source.parent, *rows, header=header)
        with pytest.raises(UsageError) as error:
            written(source, out, **options)
        assert (str(error.value), out.exists()) == (message, False)

    def test_a_folder_has_no_column(self, source: Path, out: Path) -> None:
        with pytest.raises(UsageError) as error:
            written(source.parent, out)
        expected = f"split_column: needs an image list, but {source.parent} is a folder"
        assert str(error.value) == expected

    def test_the_name_of_the_split_is_refused_even_if_it_is_the_usual_one(
        self, source: Path, out: Path
    ) -> None:
        ran = tfrec("write", source, out, "--split-column", "split", "--split", "train")
        assert ran.error == "tfrec: --split: cannot be used with --split-column\n"

    def test_check_takes_the_same_splits(self, source: Path) -> None:
        assert check(source, Options(split_column="split", jobs=1)).images == len(ROWS)
        with pytest.raises(UsageError, match="found columns of values"):
            check(source, Options(split_column="splitt", jobs=1))


class TestForgotten:
    """A list with a column of splits, written without the option."""

    @pytest.mark.parametrize("name", ["split", "Set", "data set", "subset", "PARTITION", "fold"])
    def test_one_split_of_all_is_refused(self, source: Path, out: Path, name: str) -> None:
        listed(source.parent, *ROWS, header=f"image,class,{name}")
        for split in ("train", "val"):
            with pytest.raises(UsageError) as error:
                written(source, out, split_column=None, split=split)
            word = f"'{name}'" if " " in name else name
            assert str(error.value) == (
                f"{source}: found column {name!r} of splits (test, train, val), expected images of "
                f"split {split!r}: split_column {word} makes each a split; split mixed writes one "
                "of all"
            )

    @pytest.mark.parametrize("split", ["mixed", "train=0.6,test=0.4"])
    def test_other_names_and_shares_give_a_warning(
        self, source: Path, out: Path, split: str
    ) -> None:
        result = written(source, out, split_column=None, split=split)
        assert (
            "column 'split': found names of splits (test, train, val): stored as an ordinary "
            "column (--split-column split makes each a split)"
        ) in result.warnings

    @pytest.mark.parametrize(
        ("header", "rows"),
        [
            ("path,split", ["0.png,train", "1.png,train"]),
            ("path,split", ["0.png,oak", "1.png,train"]),
            ("path,split", ["0.png,1", "1.png,2"]),
            ("path,split", ["0.png,", "1.png,"]),
            ("path,state", ["0.png,train", "1.png,val"]),
            ("path,split", ["0.png,[1]", "1.png,[2]"]),
        ],
        ids=["this split", "another word", "numbers", "empty", "another name", "lists"],
    )
    def test_other_columns_are_ordinary(
        self, source: Path, out: Path, header: str, rows: list[str]
    ) -> None:
        listed(source.parent, *rows, header=header)
        result = written(source, out, split_column=None)
        assert (result.records, [one for one in result.warnings if "makes" in one]) == (2, [])


class TestLater:
    def test_extract_gives_back_a_list_of_each_split(
        self, source: Path, out: Path, tmp_path: Path
    ) -> None:
        written(source, out)
        assert tfrec("extract", out, tmp_path / "tree").code == 0
        for split, images in PARTS.items():
            folder = tmp_path / "tree" / split
            rows = [json.loads(row) for row in (folder / f"{split}.jsonl").read_text().splitlines()]
            assert {row["path"] for row in rows} == {*images}
            again = written(
                folder / f"{split}.jsonl", tmp_path / split, split_column=None, split=split
            )
            assert again.records == len(images)

    def test_resharding_and_merging_keep_the_splits(
        self, source: Path, out: Path, tmp_path: Path
    ) -> None:
        written(source, out)
        assert tfrec("reshard", out, tmp_path / "new", "--shards", "1").code == 0
        assert labels_of(tmp_path / "new") == PARTS
        assert findings(tmp_path / "new", source) == []
        listed(source.parent, "5.png,cat,val")
        written(source, tmp_path / "more", labels=str(names(tmp_path)))
        assert tfrec("merge", out, tmp_path / "more", tmp_path / "both").code == 0
        assert labels_of(tmp_path / "both")["val"] == {"3.png": 0, "5.png": 0}

    def test_resuming_finds_all_splits(self, source: Path, out: Path) -> None:
        written(source, out)
        assert all(one.existed for one in written(source, out, resume=True).splits)


def names(folder: Path) -> Path:
    return fill(folder, {"names.txt": b"cat\ndog\nowl\n"}) / "names.txt"


class TestVerify:
    @pytest.mark.parametrize(
        "options", [{}, {"crop": (8, 8)}, {"keys": "tf-models"}, {"labels": "none"}]
    )
    @pytest.mark.parametrize("quick", [False, True])
    def test_the_source_agrees(
        self, source: Path, out: Path, options: dict[str, Any], quick: bool
    ) -> None:
        written(source, out, **options)
        assert findings(out, source, quick=quick) == []

    @pytest.mark.parametrize("quick", [False, True])
    def test_an_image_that_moved_to_another_split_is_found(
        self, source: Path, out: Path, quick: bool
    ) -> None:
        written(source, out)
        listed(source.parent, ROWS[0].replace("train", "val"), *ROWS[1:])
        found = findings(out, source, quick=quick)
        expected = "found 1 source of other splits by their column (0.png…), expected none"
        assert ("unexpected", expected) in found

    def test_images_of_splits_that_are_gone_are_not_missed(self, source: Path, out: Path) -> None:
        written(source, out)
        (out / "val.manifest.json").unlink()
        options = VerifyOptions(source=((None, source),), quick=True, jobs=1)
        result = verify(out, options)
        assert not [one for one in result.findings if one.kind == "unwritten"]
        assert "images of other splits: val" in result.unchecked

    def test_a_source_of_one_split_is_refused(self, source: Path, out: Path) -> None:
        written(source, out)
        with pytest.raises(TfrecError) as error:
            verify(out, VerifyOptions(source=(("val", source),), jobs=1))
        assert str(error.value).endswith(
            f"that shares its source with others (by column), expected source {source}"
        )

    def test_a_folder_is_no_source(self, source: Path, out: Path) -> None:
        written(source, out)
        with pytest.raises(TfrecError, match="expected the image list that"):
            verify(out, VerifyOptions(source=((None, source.parent),), quick=True, jobs=1))
