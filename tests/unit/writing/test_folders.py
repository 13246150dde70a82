"""Folders as splits: one command writes all, and every command agrees with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import fill, photo, png, tree
from program import fail_with, tfrec

from tfrec_cli.commands.verify import Options as VerifyOptions
from tfrec_cli.commands.verify import verify
from tfrec_cli.commands.write import Written, write
from tfrec_cli.dataset import manifest
from tfrec_cli.errors import RunError, UsageError
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.scan import read_records
from tfrec_cli.writing import staging
from tfrec_cli.writing.options import WriteOptions as Options

PATHS = (
    *("train/cat/1.png", "train/cat/2.png", "train/dog/1.png", "train/owl/1.png"),
    *("val/cat/3.png", "val/owl/2.png"),
)
LABELS = ("cat", "dog", "owl")


def images(root: Path, *paths: str) -> Path:
    return fill(root, {path: png(photo(9, 9, seed)) for seed, path in enumerate(paths)})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Make folders of two splits, of which one lacks a class."""
    return images(tmp_path / "data", *PATHS)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def written(data: Path, out: Path, **options: object) -> Written:
    return write(data, out, Options(**{"split": "folders", "jobs": 1, **options}))


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


def findings(out: Path, data: Path, *, quick: bool = False) -> list[tuple[str, str]]:
    options = VerifyOptions(source=((None, data),), quick=quick, jobs=1)
    return [(one.kind, one.message) for one in verify(out, options).findings]


class TestWrite:
    def test_one_command_writes_all_splits(self, data: Path, out: Path) -> None:
        ran = tfrec("write", data, out, "--split", "folders")
        assert (ran.code, ran.error) == (0, "tfrec: split val: found no image of class dog\n")
        assert labels_of(out) == {
            "train": dict(zip(PATHS[:4], (0, 0, 1, 2), strict=True)),
            "val": {"val/cat/3.png": 0, "val/owl/2.png": 2},
        }

    def test_the_manifests_say_so(self, data: Path, out: Path) -> None:
        written(data, out)
        for split in ("train", "val"):
            made = manifest.load(out / f"{split}.manifest.json")
            assert made.division
            assert (made.division.method, made.division.names) == ("folders", ["train", "val"])
            assert (made.labels, made.options["split"]) == (LABELS, "folders")

    def test_a_dry_run_writes_nothing(self, data: Path, out: Path) -> None:
        result = json.loads(
            tfrec("write", data, out, "--split", "folders", "--dry-run", "--json").out
        )
        counts = {part["split"]: part["records"] for part in (result, *result["more"])}
        assert (counts, result["labels"], out.exists()) == (
            {"train": 4, "val": 2},
            list(LABELS),
            False,
        )

    def test_one_folder_is_one_split(self, tmp_path: Path, out: Path) -> None:
        images(tmp_path / "data", "Train/1.png", "Train/2.png")
        result = written(tmp_path / "data", out)
        assert (result.split, result.records, result.labels) == ("Train", 2, None)

    def test_other_folders_are_splits_too(self, data: Path, out: Path) -> None:
        images(data, "more/dog/4.png")
        result = written(data, out)
        assert [one.split for one in result.splits] == ["more", "train", "val"]

    def test_each_split_lists_its_own_rejects(self, data: Path, out: Path) -> None:
        fill(data, {"val/cat/bad.png": b"", "train/.x": b"", "notes/1.txt": b"text"})
        result = written(data, out, on_error="skip")
        assert {one.split: [reject.path for reject in one.rejects] for one in result.splits} == {
            "train": [b"notes/1.txt", b"train/.x"],
            "val": [b"val/cat/bad.png"],
        }

    def test_a_split_may_get_shards_and_crops_like_any_other(self, data: Path, out: Path) -> None:
        result = written(data, out, crop=(8, 8), shards=2)
        assert [len(one.plan.sizes) for one in result.splits] == [2, 2]
        assert findings(out, data) == []

    @pytest.mark.parametrize(
        ("paths", "message"),
        [
            (["1.png", "train/1.png"], "split folders: found 1.png next to folders in {}, expected "
             "every image in the folder of a split"),
            (["1.png"], "split folders: found 1.png next to folders in {}, expected every image in "
             "the folder of a split"),
            (["a b/1.png"], "split folders: found 'a b', expected letters, digits, _ and -"),
            (["all/1.png"], "split folders: found 'all', expected another name: TFDS reads it as "
             "every split"),
            (["Val/1.png", "val/2.png"], "split folders: found 'val' and 'Val', expected names "
             "that differ in more than case"),
        ],
    )  # fmt: skip
    def test_folders_that_cannot_be_splits_are_refused(
        self, tmp_path: Path, out: Path, paths: list[str], message: str
    ) -> None:
        root = images(tmp_path / "images", *paths)
        with pytest.raises(UsageError) as error:
            written(root, out)
        assert (str(error.value), out.exists()) == (message.format(root), False)

    def test_an_image_list_has_no_folders(self, tmp_path: Path, out: Path) -> None:
        source = fill(tmp_path, {"list.csv": b"path\na.png\n"}) / "list.csv"
        with pytest.raises(UsageError) as error:
            written(source, out)
        assert str(error.value) == (
            f"split folders: needs a folder of images, but {source} is an image list: split_column "
            "NAME makes each value of a column a split"
        )


class TestLater:
    def test_resuming_continues_with_the_other_splits(
        self, data: Path, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written(data, out.with_name("whole"))
        with monkeypatch.context() as changed:
            changed.setattr(staging, "commit", fail_with(RunError("disk")))
            with pytest.raises(RunError) as error:
                written(data, out)
        assert str(error.value).endswith("--split folders --jobs 1 --resume` resumes it")
        written(data, out, resume=True)
        assert tree(out) == tree(out.with_name("whole"))
        assert [one.existed for one in written(data, out, resume=True).splits] == [True, True]

    def test_one_split_can_be_replaced(self, data: Path, out: Path) -> None:
        """An image stays in its folder, so no image can be in two splits."""
        written(data, out)
        write(data / "val", out, Options(split="val", overwrite=True, jobs=1))
        assert labels_of(out)["val"] == {"cat/3.png": 0, "owl/2.png": 2}

    def test_a_later_folder_gets_the_same_labels(self, data: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        written(data, out)
        images(tmp_path / "more", "test/owl/9.png")
        written(tmp_path / "more", out)
        assert labels_of(out)["test"] == {"test/owl/9.png": 2}

    def test_a_division_by_shares_is_refused_beside_another(self, data: Path, out: Path) -> None:
        write(data / "train", out, Options(split="a=0.5,b=0.5", jobs=1))
        with pytest.raises(RunError) as error:
            written(data, out)
        assert "found split 'a' of split a=0.5,b=0.5" in str(error.value)

    def test_extract_gives_back_the_folders(self, data: Path, out: Path, tmp_path: Path) -> None:
        written(data, out)
        assert tfrec("extract", out, tmp_path / "again").code == 0
        assert tree(tmp_path / "again") == tree(data)

    def test_resharding_keeps_the_division(self, data: Path, out: Path, tmp_path: Path) -> None:
        written(data, out)
        assert tfrec("reshard", out, tmp_path / "new", "--shards", 2).code == 0
        assert findings(tmp_path / "new", data) == []

    def test_a_copy_of_one_split_agrees_with_its_folder(
        self, data: Path, out: Path, tmp_path: Path
    ) -> None:
        written(data, out)
        new = tmp_path / "new"
        assert tfrec("reshard", out, new, "--shards", 1, "--split", "val").code == 0
        report = verify(new, VerifyOptions(source=((None, data),), jobs=1))
        assert (report.findings, report.unchecked) == (
            [],
            ["images in the folders of other splits: train"],
        )

    def test_salvage_names_lost_images_by_the_source(
        self, data: Path, out: Path, tmp_path: Path
    ) -> None:
        written(data, out)
        shard = out / "val-00000-of-00001.tfrecord"
        shard.write_bytes(shard.read_bytes()[:-5])
        ran = tfrec("salvage", shard, tmp_path / "new", "--source", data, "--json")
        (lost,) = json.loads(ran.out)["lost_paths"]
        assert lost in PATHS[4:]


class TestVerify:
    @pytest.mark.parametrize("labels", ["auto", "none", "top", "leaf", "path", "names.txt"])
    def test_the_source_agrees(
        self, data: Path, out: Path, labels: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(fill(data.parent, {"names.txt": b"owl\ndog\ncat\n"}))
        written(data, out, labels=labels)
        assert findings(out, data) == []

    @pytest.mark.parametrize("first_label", [0, 3])
    @pytest.mark.parametrize("labels", ["top", "leaf", "path", "names.txt"])
    @pytest.mark.parametrize("split", ["train", "folders", "a=0.5,b=0.5"])
    def test_nested_folders_agree(
        self,
        tmp_path: Path,
        out: Path,
        labels: str,
        split: str,
        first_label: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(fill(tmp_path, {"names.txt": b"x\nx y\n"}))
        data = images(tmp_path / "data", "a/x/1.png", "a/y/2.png", "b/x/3.png", "b/y/4.png")
        if split == "folders":
            data = images(tmp_path / "data2", *[f"s/{path}" for path in ("a/x/1.png", "b/y/2.png")])
        names = {"train": "x\ny\n", "folders": "a/x\nb/y\n", "a=0.5,b=0.5": "a\nb\n"}[split]
        (tmp_path / "names.txt").write_text(names)
        written(data, out, labels=labels, split=split, first_label=first_label)
        assert findings(out, data) == []
        described = manifest.load(next(iter(manifest.find(out).values())))
        assert described.labels
        assert described.labels[:first_label] == tuple(map(str, range(first_label)))

    def test_an_image_that_moved_to_another_split_is_found(self, data: Path, out: Path) -> None:
        written(data, out)
        shutil.move(data / "val/cat/3.png", data / "train/cat/3.png")
        assert findings(out, data, quick=True) == [
            (
                "unwritten",
                "found neither a record nor a reject of this source, expected one of them",
            ),
            ("unexpected", "val/cat/3.png: found no such image among the sources"),
        ]

    def test_records_of_another_folder_are_found(self, data: Path, out: Path) -> None:
        written(data, out)
        for name in ("val-00000-of-00001.tfrecord", "val.manifest.json"):
            shutil.copy(out / name, out / name.replace("val", "train"))
        path = out / "train.manifest.json"
        values = json.loads(path.read_text().replace("val-0", "train-0"))
        path.write_bytes(manifest.as_json({**values, "split": "train"}))
        message = "found 2 sources of other folders (val/cat/3.png…), expected none"
        assert ("unexpected", message) in findings(out, data, quick=True)

    @pytest.mark.parametrize("folder", ["", "/val"])
    def test_a_source_of_one_split_is_refused(self, data: Path, out: Path, folder: str) -> None:
        written(data, out)
        with pytest.raises(UsageError) as error:
            verify(out, VerifyOptions(source=(("val", Path(f"{data}{folder}")),)))
        assert str(error.value) == (
            f"source val={data}{folder}: found a split that shares its source with others "
            f"(folders), expected source {data}"
        )


class TestClassesOfALaterSplit:
    @pytest.mark.parametrize("broken", [False, True])
    def test_a_class_that_only_another_split_has_is_a_warning(
        self, data: Path, out: Path, broken: bool
    ) -> None:
        """Without the file of labels it is not known which classes that split has."""
        written(data / "train", out, split="train")
        if broken:
            (out / "train.targets").unlink()
        result = written(data / "val", out, split="val", dry_run=True)
        assert result.warnings == ("split val: found no image of class dog",) * (not broken)


class TestClassNumbers:
    LIST = b"path,label\na.png,7\nb.png,2\nc.png,0\n"

    @pytest.mark.parametrize(
        ("names", "labels"),
        [
            (None, tuple(map(str, range(8)))),
            ("7 seven\n0 nil\n2 two\n", ("nil", "1", "two", "3", "4", "5", "6", "seven")),
        ],
    )
    def test_numbers_in_an_image_list_stay_as_they_are(
        self, tmp_path: Path, out: Path, names: str | None, labels: tuple[str, ...]
    ) -> None:
        source = images(tmp_path / "images", "a.png", "b.png", "c.png") / "list.csv"
        source.write_bytes(self.LIST)
        (tmp_path / "names.txt").write_text(names or "")
        given = ["--labels", tmp_path / "names.txt"] if names else []
        assert tfrec("write", source, out, *given).code == 0
        assert labels_of(out) == {"train": {"a.png": 7, "b.png": 2, "c.png": 0}}
        assert manifest.load(out / "train.manifest.json").labels == labels
        assert (out / "label.labels.txt").read_text().split() == list(labels)
        assert findings(out, source) == []

    def test_another_split_uses_the_same_numbers(self, tmp_path: Path, out: Path) -> None:
        root = images(tmp_path / "images", "a.png", "b.png", "c.png")
        (root / "list.csv").write_bytes(self.LIST)
        (root / "val.csv").write_bytes(b"path,label\na.png,1\nb.png,7\n")
        write(root / "list.csv", out, Options(jobs=1))
        write(root / "val.csv", out, Options(jobs=1, split="val"))
        assert labels_of(out)["val"] == {"a.png": 1, "b.png": 7}

    def test_a_label_that_changed_in_the_list_is_found(self, tmp_path: Path, out: Path) -> None:
        source = images(tmp_path / "images", "a.png", "b.png", "c.png") / "list.csv"
        source.write_bytes(self.LIST)
        write(source, out, Options(jobs=1))
        source.write_bytes(self.LIST.replace(b"2", b"3"))
        assert findings(out, source) == [
            ("label", "b.png: found label 2 (2), expected 3 (3) by its row")
        ]

    def test_fractions_of_earlier_datasets_are_still_compared(
        self, tmp_path: Path, out: Path
    ) -> None:
        """Version 0.1 took them, and numbered all numbers in the order of their text."""
        source = images(tmp_path / "images", "a.png", "b.png", "c.png") / "list.csv"
        source.write_bytes(b"path,label\na.png,10\nb.png,9\nc.png,0.5\n")
        names = fill(tmp_path, {"names.txt": b"0.5\n10\n9\n"}) / "names.txt"
        write(source, out, Options(jobs=1, labels=str(names)))
        assert labels_of(out)["train"] == {"a.png": 1, "b.png": 2, "c.png": 0}
        assert findings(out, source) == []

    @pytest.mark.parametrize("names", ["1.0\n0.0\n", "cat\ndog\n", None])
    def test_numbers_with_a_point_agree_with_their_list(
        self, tmp_path: Path, out: Path, names: str | None
    ) -> None:
        source = images(tmp_path / "images", "a.png", "b.png") / "list.csv"
        source.write_bytes(b"path,label\na.png,1.0\nb.png,0.0\n")
        if names:
            (tmp_path / "names.txt").write_text(names)
        write(source, out, Options(jobs=1, labels=str(tmp_path / "names.txt") if names else "auto"))
        first = names is not None and names.startswith("1.0")
        assert labels_of(out)["train"] == {"a.png": int(not first), "b.png": int(first)}
        assert findings(out, source) == []

    def test_the_first_class_may_have_the_number_1(self, tmp_path: Path, out: Path) -> None:
        root = images(tmp_path / "images", "cat/1.png", "dog/1.png")
        assert tfrec("write", root, out, "--first-label", 1).code == 0
        assert labels_of(out) == {"train": {"cat/1.png": 1, "dog/1.png": 2}}
        assert manifest.load(out / "train.manifest.json").labels == ("0", "cat", "dog")

    @pytest.mark.parametrize(
        ("paths", "options", "message"),
        [
            (["a/1.png"], {"labels": "none"}, "first_label: cannot be used with labels none"),
            (["1.png"], {}, "first_label: needs labels, but {} has none"),
        ],
    )
    def test_a_first_number_needs_labels(
        self, tmp_path: Path, out: Path, paths: list[str], options: dict[str, str], message: str
    ) -> None:
        root = images(tmp_path / "images", *paths)
        with pytest.raises(UsageError) as error:
            write(root, out, Options(jobs=1, first_label=1, **options))
        assert str(error.value) == message.format(root)

    def test_another_first_number_than_that_of_other_splits_is_refused(
        self, tmp_path: Path, out: Path
    ) -> None:
        root = images(tmp_path / "images", "cat/1.png", "dog/1.png")
        write(root, out, Options(jobs=1))
        with pytest.raises(UsageError) as error:
            write(root, out, Options(jobs=1, split="val", first_label=1))
        assert str(error.value) == f"first_label: found 1, expected 0 as in split 'train' of {out}"
