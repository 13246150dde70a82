"""Splits by content: each image in one split, copies together, shares kept, in any order."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from conftest import fill, photo, png, tfds, tree
from hypothesis import given
from hypothesis import strategies as st
from program import tfrec

from tfrec_cli.commands.salvage import Options as SalvageOptions
from tfrec_cli.commands.salvage import salvage
from tfrec_cli.commands.verify import Options as VerifyOptions
from tfrec_cli.commands.verify import verify
from tfrec_cli.commands.write import Written, write
from tfrec_cli.dataset import manifest
from tfrec_cli.errors import DataError, RunError, UsageError
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.scan import read_records
from tfrec_cli.writing import shard
from tfrec_cli.writing import split as splits
from tfrec_cli.writing.options import WriteOptions as Options

SHARES = "train=0.75,val=0.25"


def digest(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


def divided(labels: list[int], contents: list[int], text: str = SHARES) -> dict[str, list[int]]:
    found = splits.divide(labels, b"".join(map(digest, contents)), splits.parse(text))
    return {name: numbers.tolist() for name, numbers in found.parts.items()}


some_images = st.lists(st.tuples(st.integers(-1, 4), st.integers(0, 60)), min_size=1, max_size=80)
some_shares = st.sampled_from(["a=1", SHARES, "a=0.9,b=0.1", "a=0.5,b=0.3,c=0.2", "a=0.01,b=0.99"])


class TestDivide:
    @given(some_images, some_shares)
    def test_every_image_is_in_one_split(self, images: list[tuple[int, int]], text: str) -> None:
        labels, contents = map(list, zip(*images, strict=True))
        parts = divided(labels, contents, text)
        assert sorted(chain.from_iterable(parts.values())) == list(range(len(images)))

    @given(some_images, some_shares)
    def test_copies_stay_together(self, images: list[tuple[int, int]], text: str) -> None:
        labels, contents = map(list, zip(*images, strict=True))
        parts = divided(labels, contents, text)
        where = {(contents[number], name) for name, part in parts.items() for number in part}
        assert len(where) == len(set(contents))

    @given(some_images, some_shares, st.randoms(use_true_random=False))
    def test_the_division_does_not_depend_on_the_order(
        self, images: list[tuple[int, int]], text: str, random: Any
    ) -> None:
        def of(images: list[tuple[int, int]]) -> dict[str, list[tuple[int, int]]]:
            labels, contents = map(list, zip(*images, strict=True))
            parts = divided(labels, contents, text)
            return {name: sorted(images[number] for number in part) for name, part in parts.items()}

        assert of(images) == of(random.sample(images, len(images)))

    @given(st.lists(st.integers(0, 5), min_size=1, max_size=80), some_shares)
    def test_the_division_does_not_depend_on_the_numbers_of_classes(
        self, labels: list[int], text: str
    ) -> None:
        """Nor on the names of classes, which determine their numbers."""
        turned = [(label * 5 + 2) % 6 for label in labels]
        contents = [number // 2 for number in range(len(labels))]  # with copies
        assert divided(labels, contents, text) == divided(turned, contents, text)

    @given(st.lists(st.integers(0, 5), min_size=1, max_size=80), some_shares)
    def test_shares_are_kept_in_all_and_in_each_class(self, labels: list[int], text: str) -> None:
        """Within one image in all, and within two in each class, even in small ones."""
        parts = divided(labels, list(range(len(labels))), text)
        counts = {name: Counter(labels[number] for number in part) for name, part in parts.items()}
        for name, share in splits.parse(text).items():
            assert abs(len(parts[name]) - share * len(labels)) <= 1
            for label in set(labels):
                assert abs(counts[name][label] - share * labels.count(label)) <= 2

    def test_a_small_share_takes_images_of_some_small_classes(self) -> None:
        """Ten classes of five images: a tenth of each is half an image, five images in all."""
        labels = [number // 5 for number in range(50)]
        parts = divided(labels, list(range(50)), "train=0.9,val=0.1")
        assert sorted(Counter(labels[number] for number in parts["val"]).values()) == [1] * 5

    def test_an_added_image_moves_at_most_one_image_of_each_class(self) -> None:
        labels = [number % 4 for number in range(400)]
        before = set(divided(labels, list(range(400)))["val"])
        after = set(divided([*labels, 0], list(range(401)))["val"])
        moved = Counter(labels[number] for number in before ^ (after - {400}))
        assert max(moved.values(), default=0) <= 1

    @pytest.mark.timeout(10)
    def test_an_image_that_is_due_to_two_splits_goes_to_one(self) -> None:
        """The last class has one image, and two splits lack a full image: only one gets it."""
        sizes = (6, 3, 5, 1)
        labels = [label for label, size in enumerate(sizes) for _ in range(size)]
        contents = b"".join(number.to_bytes(32, "big") for number in range(1, 16))
        shares = splits.parse("a=0.4,b=0.4,c=0.05,d=0.05,e=0.05,f=0.05")
        parts = splits.divide(labels, contents, shares).parts
        counts = {
            name: [sum(labels[number] == label for number in numbers) for label in range(4)]
            for name, numbers in parts.items()
        }
        assert counts == {
            "a": [3, 1, 1, 0],
            "b": [3, 1, 1, 1],
            "c": [0, 1, 0, 0],
            "d": [0, 0, 1, 0],
            "e": [0, 0, 1, 0],
            "f": [0, 0, 1, 0],
        }

    def test_copies_are_listed_with_their_original(self) -> None:
        found = splits.divide([0, 0, 1], digest(7) * 3, splits.parse(SHARES))
        assert found.copies == ((1, 0), (2, 0))


class TestParse:
    @pytest.mark.parametrize(
        ("text", "shares"),
        [
            ("train", {"train": 1}),
            ("a=1", {"a": 1}),
            (
                "a=0.1,b=0.2,c=0.7",
                {"a": Fraction(1, 10), "b": Fraction(1, 5), "c": Fraction(7, 10)},
            ),
            ("train=80,val=20", {"train": Fraction(4, 5), "val": Fraction(1, 5)}),
            ("train=99,val=1", {"train": Fraction(99, 100), "val": Fraction(1, 100)}),
            ("train=87.5%,val=12.5%", {"train": Fraction(7, 8), "val": Fraction(1, 8)}),
            ("train=.8,val=.2", {"train": Fraction(4, 5), "val": Fraction(1, 5)}),
            ("train=100", {"train": 1}),
        ],
    )
    def test_names_and_shares_are_parsed(self, text: str, shares: dict[str, Any]) -> None:
        assert splits.parse(text) == shares

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "found '', expected letters"),
            ("a b=1", "found 'a b', expected letters"),
            ("all", "found 'all', expected another name"),
            ("train,val", "found 'train', expected a share such as train=0.9"),
            ("train=,val=1", "found 'train=', expected a share"),
            ("train=0,val=1", "found 'train=0', expected a share"),
            ("train=-1,val=2", "found 'train=-1', expected a share"),
            ("train=1e-1,val=0.9", "found 'train=1e-1', expected a share"),
            ("train=%,val=10%", "found 'train=%', expected a share"),
            ("train=.,val=1", "found 'train=.', expected a share"),
            ("train=.8,val=20%", "found shares with and without %, expected one or the other"),
            (
                "train=0.9,val=0.2",
                "found shares that add up to 1.1, expected 1, or 100 for percent",
            ),
            ("train=0.9", "found shares that add up to 0.9, expected 1, or 100 for percent"),
            ("train=80,val=30", "found shares that add up to 110, expected 1, or 100 for percent"),
            ("train=80%,val=10%", "found shares that add up to 90, expected 100%"),
            ("a=0.4%,b=0.6%", "found shares that add up to 1, expected 100%"),
            ("a=99.99999999,b=0.00000001", "found more decimals, expected at most 7 in percent"),
            ("a=0.5,a=0.5", "found 'a' twice, expected it once"),
            ("A=0.5,a=0.5", "found 'a' and 'A', expected names that differ in more than case"),
            ("a=0.5,b=0.5,", "found '', expected letters"),
            ("a/b", "found 'a/b', expected letters"),
            ("v1/2", "found 'v1/2', expected letters"),
            ("folder", "found 'folder', expected another name, or split folders: each folder is"),
            ("Folders", "found 'Folders', expected another name, or split folders: each folder is"),
        ],
    )
    def test_invalid_splits_are_refused_in_one_line(self, text: str, message: str) -> None:
        with pytest.raises(UsageError, match=f"^split: {message}"):
            splits.parse(text)

    @pytest.mark.parametrize(
        ("text", "meant"),
        [
            ("80/20", "train=80,val=20"),
            ("80,20", "train=80,val=20"),
            ("90:10", "train=90,val=10"),
            ("0.8/0.1/0.1", "train=0.8,val=0.1,test=0.1"),
            ("70% / 30%", "train=70%,val=30%"),
            ("train:80", "train=80,val=20"),
            ("train:70,dev:30", "train=70,dev=30"),
            ("train=70;dev=30", "train=70,dev=30"),
            ("train=70 dev=30", "train=70,dev=30"),
            ("train=70/dev=30", "train=70,dev=30"),
            ("train 70, val 30", "train=70,val=30"),
            ("train=70,30", "train=80,val=20"),
            ("70/20", "train=80,val=20"),
            ("a:50,a:50", "train=80,val=20"),
            ("40/30/20/10", "train=80,val=20"),
            ("0.8", "train=80,val=20"),
            ("80%", "train=80,val=20"),
        ],
    )
    def test_shares_in_another_form_are_answered_with_the_right_one(
        self, text: str, meant: str
    ) -> None:
        with pytest.raises(UsageError) as error:
            splits.parse(text)
        message = f"split: found {text!r}, expected names with shares: split {meant}"
        assert str(error.value) == message
        assert sum(splits.parse(meant).values()) == 1

    @pytest.mark.parametrize("text", ["80", "2024-01", "v1", "folder_a", "folders"])
    def test_a_name_with_digits_is_a_name(self, text: str) -> None:
        assert splits.parse(text) == {text: 1}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Make 24 pictures of three classes; one has a copy in its class, one in another class."""
    files = {
        f"{name}/{number}.png": png(photo(20 + number, 30, 10 * place + number))
        for place, name in enumerate(["ants", "bees", "cats"])
        for number in range(8)
    }
    files["ants/twin.png"] = files["ants/0.png"]
    files["bees/stranger.png"] = files["cats/1.png"]
    return fill(tmp_path / "source", files)


def run(source: Path, out: Path, **options: Any) -> Written:
    return write(source, out, Options(**{"jobs": 1, "split": SHARES, **options}))


def names_in(out: Path, split: str) -> list[str]:
    return sorted(chain.from_iterable(map(names_of, out.glob(f"{split}-*.tfrecord"))))


def names_of(path: Path) -> list[str]:
    payloads = (example.decode(record.payload) for record in read_records(path))
    return sorted(one["filename"].values[0].decode() for one in payloads)


class TestWrite:
    @pytest.mark.parametrize("text", ["train=80,val=20", "train=80%,val=20.0%", "train=.8,val=.2"])
    def test_percents_give_the_same_files_as_fractions(
        self, source: Path, tmp_path: Path, text: str
    ) -> None:
        run(source, tmp_path / "a", split="train=0.8,val=0.2")
        run(source, tmp_path / "b", split=text)
        assert tree(tmp_path / "a") == tree(tmp_path / "b")

    def test_shares_are_recorded_as_they_were_typed(self, source: Path, tmp_path: Path) -> None:
        written = run(source, tmp_path / "out", split="train=0.80,val=0.20")
        assert written.manifest
        assert written.manifest.options["split"] == "train=0.80,val=0.20"

    def test_every_image_is_written_once_and_copies_to_one_split(
        self, source: Path, tmp_path: Path
    ) -> None:
        run(source, tmp_path / "out")
        train, val = (names_in(tmp_path / "out", split) for split in ("train", "val"))
        every = sorted(path.relative_to(source).as_posix() for path in source.rglob("*.png"))
        assert sorted([*train, *val]) == every
        for one, other in (("ants/0", "ants/twin"), ("cats/1", "bees/stranger")):
            assert (f"{one}.png" in train) == (f"{other}.png" in train)
        assert (len(train), len(val)) in [(19, 7), (20, 6), (18, 8), (21, 5)]

    def test_copies_are_reported(self, source: Path, tmp_path: Path) -> None:
        assert run(source, tmp_path / "out").warnings == (
            "found 2 copies of other images (ants/twin.png is a copy of ants/0.png…): "
            "each is in the split of its original",
            "1 copy has another label than the original: cats/1.png is a copy of bees/stranger.png",
        )

    def test_one_copy_is_reported_in_the_singular(self, tmp_path: Path) -> None:
        files = {f"ants/{n}.png": png(photo(9, 9, min(n, 8))) for n in range(10)}
        source = fill(tmp_path / "source", files)
        assert run(source, tmp_path / "out").warnings == (
            "found 1 copy of another image (ants/9.png is a copy of ants/8.png): it is in the "
            "split of its original",
        )

    @pytest.mark.parametrize("options", [{"jobs": 2}, {"shards": 3}, {"crop": (16, 16)}], ids=str)
    def test_other_options_do_not_change_the_division(
        self, source: Path, tmp_path: Path, options: dict[str, Any]
    ) -> None:
        run(source, tmp_path / "one")
        run(source, tmp_path / "two", **options)
        assert names_in(tmp_path / "one", "val") == names_in(tmp_path / "two", "val")

    def test_the_split_depends_on_the_content_not_the_name(self, tmp_path: Path) -> None:
        pictures = [png(photo(20, 30, number)) for number in range(12)]
        one = fill(tmp_path / "a", {f"c/{i}.png": data for i, data in enumerate(pictures)})
        two = fill(tmp_path / "b", {f"c/x{99 - i}.png": data for i, data in enumerate(pictures)})
        found = []
        for root in (one, two):
            out = root.with_suffix(".out")
            run(root, out)
            found.append(sorted((root / name).read_bytes() for name in names_in(out, "val")))
        assert found[0] == found[1]

    def test_all_splits_have_the_same_labels(self, tmp_path: Path) -> None:
        """Even if a class has no image in one of them."""
        files = {f"b/{number}.png": png(photo(20, 30, number)) for number in range(8)}
        source = fill(tmp_path / "source", {"a/only.png": png(photo(9, 9)), **files})
        result = run(source, tmp_path / "out", split="train=0.9,val=0.1")
        assert [one.labels for one in (result, *result.more)] == [("a", "b")] * 2
        in_train = "a/only.png" in names_in(tmp_path / "out", "train")
        without = "val" if in_train else "train"
        assert result.warnings == (f"class a: found too few images for split {without}",)
        made = manifest.load(tmp_path / "out" / f"{without}.manifest.json")
        assert made.labels == ("a", "b")

    def test_rejects_are_reported_with_the_first_split(self, source: Path, tmp_path: Path) -> None:
        (source / "ants/bad.png").write_bytes(b"no picture")
        result = run(source, tmp_path / "out", on_error="skip")
        assert [[str(one.path) for one in part.rejects] for part in (result, *result.more)] == [
            ["b'ants/bad.png'"],
            [],
        ]

    def test_images_too_small_for_the_crop_do_not_count_for_shares(self, tmp_path: Path) -> None:
        files = {f"{number}.png": png(photo(40, 40, number)) for number in range(8)}
        small = {f"small{number}.png": png(photo(9, 9, number)) for number in range(8)}
        source = fill(tmp_path / "source", {**files, **small})
        options: dict[str, Any] = {"crop": (32, 32), "small": "skip", "split": "a=0.5,b=0.5"}
        result = run(source, tmp_path / "out", **options)
        assert [len(names_in(tmp_path / "out", split)) for split in "ab"] == [4, 4]
        assert [len(one.rejects) for one in (result, *result.more)] == [8, 0]

    def test_a_split_may_have_the_name_of_another_with_a_suffix(
        self, source: Path, tmp_path: Path
    ) -> None:
        """Files are sorted by split, not by file name."""
        run(source, tmp_path / "out", split="val=0.5,val-hard=0.5")
        assert verify(tmp_path / "out", VerifyOptions(jobs=1)).findings == []

    def test_a_split_without_images_is_refused(self, tmp_path: Path) -> None:
        source = fill(tmp_path / "source", {"a.png": png(photo(9, 9)), "b.png": png(photo(9, 8))})
        message = r"^split val=0.01: found no image for this split among 2, expected at least one$"
        with pytest.raises(UsageError, match=message):
            run(source, tmp_path / "out", split="train=0.99,val=0.01")
        assert not (tmp_path / "out").exists()

    def test_bad_data_in_one_split_leaves_no_split(self, source: Path, tmp_path: Path) -> None:
        path = source / "bees/cut.png"
        path.write_bytes(png(photo(40, 40))[:-20])
        with pytest.raises(DataError, match=r"bees/cut\.png"):
            run(source, tmp_path / "out")
        assert not list(tmp_path.glob("out/[!.]*"))

    def test_a_third_split_can_be_added(self, source: Path, tmp_path: Path) -> None:
        run(source, tmp_path / "out")
        other = fill(tmp_path / "other", {"cats/9.png": png(photo(8, 8))})
        run(other, tmp_path / "out", split="test")
        report = verify(tmp_path / "out", VerifyOptions(jobs=1))
        assert (report.findings, report.shards) == ([], 3)

    def test_verify_finds_every_source(self, source: Path, tmp_path: Path) -> None:
        run(source, tmp_path / "out")
        options = VerifyOptions(jobs=1, source=((None, source),))
        assert verify(tmp_path / "out", options).findings == []
        (source / "ants/new.png").write_bytes(png(photo(7, 7)))
        (finding,) = verify(tmp_path / "out", options).findings
        assert finding.kind == "unwritten"

    def test_verify_names_the_largest_crop_that_fits_every_split(
        self, source: Path, tmp_path: Path
    ) -> None:
        run(source, tmp_path / "out")
        message = "crop: found 99x99, expected at most 20x30, the least height and width in"
        with pytest.raises(UsageError, match=message):
            verify(tmp_path / "out", VerifyOptions(jobs=1, seed=1, crop=(99, 99)))
        report = verify(tmp_path / "out", VerifyOptions(jobs=1, seed=1, crop=(20, 30)))
        assert report.findings == []

    def test_another_style_of_names_is_reported_before_its_consequences(
        self, source: Path, tmp_path: Path
    ) -> None:
        run(source, tmp_path / "out", split="train", crop=(16, 16))
        with pytest.raises(UsageError, match=r"^keys: found tf-models, expected plain"):
            run(source, tmp_path / "out", split="val", crop=(16, 16), keys="tf-models")

    def test_verify_refuses_the_source_for_only_one_of_its_splits(
        self, source: Path, tmp_path: Path
    ) -> None:
        run(source, tmp_path / "out")
        expected = (
            f"source train={source}: found a split that shares its source with others ({SHARES})"
        )
        with pytest.raises(UsageError) as error:
            verify(tmp_path / "out", VerifyOptions(jobs=1, source=(("train", source),)))
        assert str(error.value) == f"{expected}, expected source {source}"

    def test_verify_accepts_the_source_of_a_split_that_has_all_of_it(
        self, source: Path, tmp_path: Path
    ) -> None:
        run(source, tmp_path / "out", split="train=1")
        options = VerifyOptions(jobs=1, source=(("train", source),))
        assert verify(tmp_path / "out", options).findings == []

    @pytest.mark.parametrize("split", ["train", "val"])
    def test_salvage_names_the_lost_image(self, source: Path, tmp_path: Path, split: str) -> None:
        run(source, tmp_path / "out")
        path = tmp_path / "out" / f"{split}-00000-of-00001.tfrecord"
        data = bytearray(path.read_bytes())
        data[20] ^= 1
        path.write_bytes(data)
        result = salvage(path, tmp_path / "saved", SalvageOptions(source=source))
        (lost,) = result.lost_names or ()
        saved = tmp_path / "saved"
        run(source, tmp_path / "again")
        assert sorted([*names_of(saved), lost.decode()]) == names_in(tmp_path / "again", split)

    def test_tensorflow_datasets_reads_both_splits(self, source: Path, tmp_path: Path) -> None:
        run(source, tmp_path / "out")
        builder = tfds.builder_from_directory(str(tmp_path / "out"))
        counts = {name: info.num_examples for name, info in builder.info.splits.items()}
        assert counts == {
            split: len(names_in(tmp_path / "out", split)) for split in ("train", "val")
        }


class TestCommit:
    @pytest.fixture
    def fresh(self, source: Path, tmp_path: Path) -> dict[str, bytes]:
        run(source, tmp_path / "fresh", shards=2)
        return tree(tmp_path / "fresh")

    def stop_at(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        """Interrupt a commit before it moves this file."""
        right = Path.replace

        def replace(path: Path, to: Path) -> Path:
            if path.name == name:
                monkeypatch.undo()
                raise KeyboardInterrupt
            return right(path, to)

        monkeypatch.setattr(Path, "replace", replace)

    @pytest.mark.parametrize(
        ("name", "committed"),
        [
            ("SHA256SUMS", []),
            ("train-00001-of-00002.tfrecord", []),
            ("val-00000-of-00002.tfindex", []),
            ("train.manifest.json", []),
            ("val.manifest.json", ["train"]),
        ],
    )
    def test_an_interrupted_commit_is_resumed(
        self,
        source: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        fresh: dict[str, bytes],
        name: str,
        committed: list[str],
    ) -> None:
        out = tmp_path / "out"
        self.stop_at(monkeypatch, name)
        with pytest.raises(KeyboardInterrupt) as caught:
            run(source, out, shards=2)
        assert str(caught.value).count("--resume") == 1
        assert list(manifest.find(out)) == committed
        with pytest.raises(RunError, match="unfinished write"):
            run(source, out, shards=2)
        run(source, out, shards=2, resume=True)
        assert tree(out) == fresh

    def test_finished_splits_are_not_written_again(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run(source, tmp_path / "out")
        monkeypatch.setattr(shard, "write", None)
        again = run(source, tmp_path / "out", resume=True)
        assert [one.split for one in (again, *again.more)] == ["train", "val"]

    def test_a_write_with_other_shares_is_not_resumed(self, source: Path, tmp_path: Path) -> None:
        run(source, tmp_path / "out")
        message = "split was train=0.75,val=0.25, now train=0.5,val=0.5"
        with pytest.raises(RunError, match=message):
            run(source, tmp_path / "out", split="train=0.5,val=0.5", resume=True)

    def test_both_splits_are_replaced_or_neither(
        self,
        source: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        fresh: dict[str, bytes],
    ) -> None:
        """There is no old split together with a new one: an image might be in both."""
        out = tmp_path / "out"
        run(source, out, split="train=0.5,val=0.5")
        self.stop_at(monkeypatch, "val.manifest.json")
        with pytest.raises(KeyboardInterrupt):
            run(source, out, shards=2, overwrite=True)
        assert list(manifest.find(out)) == ["train"]
        run(source, out, shards=2, overwrite=True, resume=True)
        assert tree(out) == fresh

    @pytest.mark.parametrize("split", ["train", "train=0.5,test=0.5", "a=0.5,b=0.5"])
    @pytest.mark.parametrize("killed", [False, True])
    def test_a_split_is_refused_if_a_split_that_stays_may_hold_its_images(
        self,
        source: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        split: str,
        killed: bool,
    ) -> None:
        out = tmp_path / "out"
        if killed:
            self.stop_at(monkeypatch, "train.manifest.json")
            with pytest.raises(KeyboardInterrupt):
                run(source, out)
        else:
            run(source, out)
        before = tree(out)
        other = "train" if split == "a=0.5,b=0.5" else "val"
        message = rf"found split '{other}' of split {SHARES}: its images may be"
        with pytest.raises(RunError, match=message):
            run(source, out, split=split, overwrite=True)
        assert tree(out) == before

    @pytest.mark.parametrize("split", ["train", "val"])
    def test_an_existing_split_is_not_replaced(
        self, source: Path, tmp_path: Path, split: str
    ) -> None:
        run(source, tmp_path / "out", split=split)
        before = tree(tmp_path / "out")
        with pytest.raises(RunError, match=f"split '{split}' exists"):
            run(source, tmp_path / "out")
        assert tree(tmp_path / "out") == before

    @pytest.mark.parametrize("overwrite", [False, True])
    def test_a_split_that_differs_from_another_only_in_case_is_refused(
        self, source: Path, tmp_path: Path, overwrite: bool
    ) -> None:
        out = tmp_path / "out"
        run(source, out, split="train")
        before = tree(out)
        message = "found split 'train', which differs from 'Train' only in case"
        with pytest.raises(RunError, match=message):
            run(source, out, split="Train", overwrite=overwrite)
        assert tree(out) == before


class TestCommand:
    def test_the_result_names_each_split(self, source: Path, tmp_path: Path) -> None:
        ran = tfrec("write", source, tmp_path / "out", "--split", SHARES)
        firsts = [line for line in ran.out.splitlines() if line.startswith("wrote")]
        assert [line.split(" to ")[0].split(" in ")[1] for line in firsts] == [
            "1 shard of split train",
            "1 shard of split val",
        ]
        assert ran.code == 0

    def test_the_json_document_has_each_split(self, source: Path, tmp_path: Path) -> None:
        ran = tfrec("write", source, tmp_path / "out", "--split", SHARES, "--json", "--dry-run")
        document = json.loads(ran.out)
        found = [(one["split"], one["records"]) for one in (document, *document["more"])]
        assert [name for name, _ in found] == ["train", "val"]
        assert sum(count for _, count in found) == 26

    def test_invalid_shares_are_an_error_of_use(self, source: Path, tmp_path: Path) -> None:
        ran = tfrec("write", source, tmp_path / "out", "--split", "a=0.5,b=0.6")
        assert (ran.code, ran.err) == (
            2,
            "tfrec: --split: found shares that add up to 1.1, expected 1, or 100 for percent\n"
            "Try `tfrec write --help`\n",
        )


def test_a_split_has_the_bytes_of_a_write_of_only_its_images(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "out")
    for split in ("train", "val"):
        part = tmp_path / split
        for name in names_in(tmp_path / "out", split):
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, part / name)
        (tmp_path / "labels.txt").write_text("ants\nbees\ncats\n")
        labels = str(tmp_path / "labels.txt")
        run(part, tmp_path / f"{split}-alone", split=split, labels=labels)
        name = f"{split}-00000-of-00001.tfrecord"
        ours = (tmp_path / "out" / name).read_bytes()
        assert ours == (tmp_path / f"{split}-alone" / name).read_bytes()
