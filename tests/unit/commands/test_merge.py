"""merge: several datasets as one, with every record once, or nothing is written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import class_files, fill, jpeg, photo, tree
from program import tfrec

from tfrec_cli.commands import merge, reshard, salvage, verify, write
from tfrec_cli.commands.merge import Merged, Options
from tfrec_cli.dataset import discover, manifest
from tfrec_cli.dataset.manifest import Manifest
from tfrec_cli.errors import DataError, RunError, UsageError


def run(*paths: Path, **options: Any) -> Merged:
    """Merge all but the last path into the last, with one job."""
    return merge.merge(paths[:-1], paths[-1], Options(**{"jobs": 1, **options}))


def written(files: dict[str, bytes], folder: Path, **options: Any) -> Path:
    """Write images to the dataset ``folder``."""
    source = fill(folder.with_name(f"{folder.name}-images"), files)
    write.write(source, folder, write.WriteOptions(**{"jobs": 1, **options}))
    return folder


def payloads(path: Path, split: str = "train") -> list[bytes]:
    return list(discover.payloads(discover.split(path, split)))


def findings(path: Path) -> list[Any]:
    return list(verify.verify(path, verify.Options(jobs=1)).findings)


def made(path: Path, split: str = "train") -> Manifest:
    return manifest.load(path / f"{split}.manifest.json")


CATS = {f"cats/{number}.jpg": jpeg(photo(40 + number, 44, number)) for number in range(4)}
MORE = {f"cats/more-{number}.jpg": jpeg(photo(50, 38, number)) for number in range(3)}
DOGS = {"dogs/1.jpg": jpeg(photo(41, 45, 9))}


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the datasets ``a`` of cats, and ``b`` of other cats and a dog in three shards."""
    folder = tmp_path_factory.mktemp("merge")
    written(CATS, folder / "a")
    written({**MORE, **DOGS}, folder / "b", shards=3)
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Name a folder that is not there yet."""
    return tmp_path / "out"


class TestMerged:
    def test_records_follow_each_other_and_verify_finds_nothing(
        self, lasting: Path, out: Path
    ) -> None:
        (split,) = run(lasting / "a", lasting / "b", out, shards=2).splits
        assert payloads(out) == [*payloads(lasting / "a"), *payloads(lasting / "b")]
        assert [part.records for part in split.parts] == [4, 4]
        assert split.manifest == made(out)
        assert (split.manifest.labels, split.manifest.smallest) == (("cats", "dogs"), (40, 38))
        assert findings(out) == []

    def test_the_manifest_has_the_digests_of_both(self, lasting: Path, out: Path) -> None:
        run(lasting / "a", lasting / "b", out)
        before = [made(lasting / name) for name in "ab"]
        assert [
            (one.split, one.records, one.records_before, one.content_sha256, one.plan_sha256)
            for one in made(out).origins
        ] == [("train", 4, 4, one.content_sha256, one.plan_sha256) for one in before]

    def test_parts_of_a_dataset_become_the_dataset_again(self, tmp_path: Path, out: Path) -> None:
        """The digest of all records does not depend on their order."""
        written(class_files(), tmp_path / "all")
        for name, where in (("x", "label=dogs"), ("y", "label=cats,owls")):
            reshard.reshard(tmp_path / "all", tmp_path / name, Options(jobs=1, where=(where,)))
        run(tmp_path / "x", tmp_path / "y", out)
        assert made(out).content_sha256 == made(tmp_path / "all").content_sha256
        assert [one.selected for one in made(out).origins] == [
            ("label=dogs",),
            ("label=cats,owls",),
        ]

    def test_splits_that_only_one_has_are_carried_over(self, tmp_path: Path, out: Path) -> None:
        divided = {"split": "train=0.5,val=0.5"}
        written(CATS, tmp_path / "a", **divided)
        written(MORE, tmp_path / "b")
        written(DOGS, tmp_path / "b2", labels=str(labels_file(tmp_path)), split="test")
        run(tmp_path / "a", tmp_path / "b", tmp_path / "b2", out)
        assert sorted(manifest.find(out)) == ["test", "train", "val"]
        assert payloads(out, "val") == payloads(tmp_path / "a", "val")
        assert payloads(out, "test") == payloads(tmp_path / "b2", "test")
        assert made(out, "val").origins == ()
        assert {made(out, split).labels for split in manifest.find(out)} == {("cats", "dogs")}
        assert findings(out) == []

    def test_a_merged_split_is_not_said_to_be_divided(self, tmp_path: Path, out: Path) -> None:
        """Copies of an image in the other dataset may be in another split."""
        written(CATS, tmp_path / "a", split="train=0.5,val=0.5")
        written(MORE, tmp_path / "b")
        run(tmp_path / "a", tmp_path / "b", out)
        assert (made(out).division, made(out).options["split"]) == (None, "train")
        assert made(out, "val").division == made(tmp_path / "a", "val").division

    def test_counts_and_rejects_are_those_of_both(self, tmp_path: Path, out: Path) -> None:
        for name, files in (("a", CATS), ("b", MORE)):
            bad = {f"cats/{name}.jpg": b"no picture", f"cats/{name}.txt": b"text"}
            written({**files, **bad}, tmp_path / name, on_error="skip")
        run(tmp_path / "a", tmp_path / "b", out)
        both = [made(tmp_path / name) for name in "ab"]
        for field in ("rejects", "ignored"):
            counts = [getattr(one, field) for one in both]
            assert getattr(made(out), field) == {
                key: counts[0].get(key, 0) + counts[1].get(key, 0) for key in counts[0]
            }
        lines = [
            (tmp_path / name / "train.rejects.jsonl").read_text().splitlines() for name in "ab"
        ]
        assert (out / "train.rejects.jsonl").read_text().splitlines() == [*lines[0], *lines[1]]
        assert findings(out) == []

    def test_options_in_which_they_differ_are_not_recorded(self, tmp_path: Path, out: Path) -> None:
        written(CATS, tmp_path / "a", check="decode", max_pixels=10_000)
        written(MORE, tmp_path / "b", max_pixels=20_000)
        run(tmp_path / "a", tmp_path / "b", out, index=False)
        options = made(out).options
        assert (options["max_pixels"], options["index"], "check" in options) == (
            20_000,
            False,
            False,
        )
        assert not list(out.glob("*.tfindex"))

    def test_a_selection_counts_the_records_of_all(self, lasting: Path, out: Path) -> None:
        run(lasting / "a", lasting / "b", out, where=("label=cats",), limit=6)
        origins = made(out).origins
        assert [(one.records, one.records_before) for one in origins] == [(4, 4), (2, 4)]
        assert {one.selected for one in origins} == {("label=cats", "limit=6")}
        assert findings(out) == []

    def test_a_selection_of_one_split_of_several_names_that_split(
        self, lasting: Path, out: Path
    ) -> None:
        """A class that the first dataset does not have is one of the second."""
        run(lasting / "a", lasting / "b", out, where=("label=dogs",))
        assert [one.records for one in made(out).origins] == [0, 1]

    def test_a_split_without_selected_records_is_refused(self, tmp_path: Path, out: Path) -> None:
        written({**MORE, **DOGS}, tmp_path / "b")
        written(CATS, tmp_path / "a", split="val")
        with pytest.raises(UsageError) as error:
            run(tmp_path / "a", tmp_path / "b", out, where=("label=dogs",))
        found = "found no such record among the 4 of split 'val', expected at least one"
        assert str(error.value) == f"where label=dogs: {found}: split copies one split"

    @pytest.mark.parametrize("options", [{"compression": "gzip"}, {"crop": (30, 30)}])
    def test_gzip_shards_and_crops_are_merged(
        self, tmp_path: Path, out: Path, options: dict[str, Any]
    ) -> None:
        written(CATS, tmp_path / "a", **options)
        written(MORE, tmp_path / "b", **options, shards=2)
        run(tmp_path / "a", tmp_path / "b", out, jobs=2)
        assert payloads(out) == [*payloads(tmp_path / "a"), *payloads(tmp_path / "b")]
        assert findings(out) == []
        assert not list(out.glob(".*"))

    def test_a_merged_split_is_resharded_and_merged_again(
        self, lasting: Path, tmp_path: Path, out: Path
    ) -> None:
        written({"cats/last.jpg": jpeg(photo(40, 40, 50))}, tmp_path / "c")
        run(lasting / "a", lasting / "b", tmp_path / "ab")
        reshard.reshard(tmp_path / "ab", tmp_path / "six", Options(jobs=1, shards=6))
        assert made(tmp_path / "six").origins == made(tmp_path / "ab").origins
        run(tmp_path / "six", tmp_path / "c", out)
        assert [one.records for one in made(out).origins] == [4, 4, 1]
        reshard.reshard(tmp_path / "six", tmp_path / "some", Options(jobs=1, limit=5))
        assert [one.records for one in made(tmp_path / "some").origins] == [4, 1]


def labels_file(folder: Path) -> Path:
    path = folder / "labels.txt"
    path.write_text("cats\ndogs\n")
    return path


class TestAfterMerging:
    def test_sources_of_a_merged_split_are_refused(
        self, lasting: Path, tmp_path: Path, out: Path
    ) -> None:
        run(lasting / "a", lasting / "b", out)
        for source in ((None, lasting / "a-images"), ("train", lasting / "a-images")):
            with pytest.raises(UsageError, match="source: found split 'train', which was merged"):
                verify.verify(out, verify.Options(jobs=1, source=(source,)))
        asked = salvage.Options(source=lasting / "a-images")
        with pytest.raises(RunError, match="found split 'train', which is a subset or merged"):
            salvage.salvage(next(out.glob("*.tfrecord")), tmp_path / "new", asked)

    def test_a_write_does_not_resume_into_it(self, lasting: Path, out: Path) -> None:
        run(lasting / "a", lasting / "b", out)
        with pytest.raises(RunError, match="found split 'train' of something else"):
            write.write(lasting / "a-images", out, write.WriteOptions(jobs=1, resume=True))


class TestRefused:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"crop": (30, 30)}, "found crop 30x30, expected none as in"),
            ({"keys": "tf-models"}, "found keys tf-models, expected plain as in"),
            ({"compression": "gzip"}, "found compression gzip, expected none as in"),
            ({"labels": "none"}, "found no labels, expected 1 classes as in"),
            ({"exif": "ignore"}, "found exif ignore, expected apply as in"),
            ({"strip_metadata": True}, "found strip_metadata True, expected False as in"),
        ],
    )
    def test_datasets_that_store_images_differently(
        self, lasting: Path, tmp_path: Path, out: Path, options: dict[str, Any], message: str
    ) -> None:
        written(MORE, tmp_path / "b", **options)
        assert self.refused(lasting / "a", tmp_path / "b", out) == (
            f"{tmp_path / 'b'}, split 'train': {message} {lasting / 'a'}, split 'train'"
        )

    def refused(self, *paths: Path) -> str:
        """Return why nothing was written."""
        with pytest.raises(DataError) as error:
            run(*paths)
        assert not paths[-1].exists()
        return str(error.value)

    def test_class_numbers_that_would_shift(self, lasting: Path, tmp_path: Path, out: Path) -> None:
        written({**MORE, "birds/1.jpg": DOGS["dogs/1.jpg"]}, tmp_path / "b")
        message = self.refused(lasting / "a", tmp_path / "b", out)
        assert "found class 0 'cats', expected 'birds' as in" in message
        assert "write both with one list of all classes (--labels FILE)" in message

    def test_columns_that_differ(self, lasting: Path, tmp_path: Path, out: Path) -> None:
        table = fill(tmp_path / "x", MORE) / "list.csv"
        rows = (f"{name},cats,{number}" for number, name in enumerate(MORE))
        table.write_text("\n".join(["path,label,day", *rows]))
        write.write(table, tmp_path / "b", write.WriteOptions(jobs=1))
        message = self.refused(lasting / "a", tmp_path / "b", out)
        assert "found columns day int64, expected none as in" in message

    def test_two_images_of_one_name(self, lasting: Path, tmp_path: Path, out: Path) -> None:
        """They would have one key: the same crops, and a finding of verify."""
        names = {"cats/x.jpg": MORE["cats/more-0.jpg"], "cats/2.jpg": MORE["cats/more-1.jpg"]}
        written(names, tmp_path / "b")
        assert self.refused(lasting / "a", tmp_path / "b", out).startswith(
            f"{tmp_path / 'b'}: split 'train': found cats/2.jpg, which is in {lasting / 'a'} too, "
            "expected each name once: rename the images"
        )

    def test_one_name_in_two_splits_is_a_warning(
        self, lasting: Path, tmp_path: Path, out: Path
    ) -> None:
        written({"cats/2.jpg": CATS["cats/2.jpg"]}, tmp_path / "b", split="val")
        (warning,) = run(lasting / "a", tmp_path / "b", out).warnings
        assert warning.startswith("1 image has its name in two splits, train (")

    def test_splits_that_differ_only_in_case(
        self, lasting: Path, tmp_path: Path, out: Path
    ) -> None:
        written(MORE, tmp_path / "b", split="Train")
        assert "found split 'Train', expected another name than 'train' in" in self.refused(
            lasting / "a", tmp_path / "b", out
        )

    def test_a_damaged_shard(self, lasting: Path, tmp_path: Path, out: Path) -> None:
        data = shutil.copytree(lasting / "b", tmp_path / "b")
        path = data / "train-00001-of-00003.tfrecord"
        path.write_bytes(path.read_bytes()[:-1])
        assert self.refused(lasting / "a", data, out).startswith(f"{path}: truncated: record 0")

    def test_datasets_that_are_none(self, lasting: Path, tmp_path: Path, out: Path) -> None:
        a, shard = lasting / "a", next((lasting / "b").glob("*.tfrecord"))
        (shutil.copytree(lasting / "b", tmp_path / "b") / ".val.partial").mkdir()
        for paths, message in (
            ((a,), "found 1 dataset, expected two or more"),
            ((a, lasting / "b", a), "found this dataset twice, expected it once"),
            ((a, shard), "found record files without a manifest, expected a dataset"),
            ((a, tmp_path / "b"), "found an unfinished write, expected none"),
        ):
            with pytest.raises(UsageError, match=message):
                run(*paths, out)
        with pytest.raises(RunError, match="expected an empty folder, or nothing"):
            run(a, lasting / "b", tmp_path)

    def test_nothing_is_left_after_an_error(
        self, lasting: Path, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from tfrec_cli.writing import staging

        def stop(*_: Any) -> None:
            assert list(tmp_path.glob(".out.new/out/*.tfrecord"))
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(staging, "describe", stop)
        with pytest.raises(RunError, match="No space left"):
            run(lasting / "a", lasting / "b", out)
        assert list(tmp_path.iterdir()) == []


def test_the_command_line_merges_and_says_how_much_of_each(lasting: Path, tmp_path: Path) -> None:
    words = ["merge", lasting / "a", lasting / "b"]
    ran = tfrec(*words, tmp_path / "one", "--limit", "5", "--shards", "2")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[1:4] == [
        "  train     5 records in 2 shards",
        f"            4 records from {lasting / 'a'}",
        f"            1 of 4 records from {lasting / 'b'}",
    ]
    ran = tfrec(*words, tmp_path / "two", "--json", TFREC_MERGE_LIMIT="5", TFREC_MERGE_SHARDS="2")
    (split,) = json.loads(ran.out)["splits"]
    assert [part["records"] for part in split["parts"]] == [4, 1]
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
