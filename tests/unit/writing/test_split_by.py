"""Groups of images, such as those of one patient, are in one split."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from fractions import Fraction
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

import pytest
from conftest import fill, photo, png, tree
from hypothesis import example as falsifying
from hypothesis import given
from hypothesis import strategies as st
from program import fail_with, tfrec

from tfrec_cli.commands.verify import Options as VerifyOptions
from tfrec_cli.commands.verify import verify
from tfrec_cli.commands.write import Written, write
from tfrec_cli.dataset import manifest
from tfrec_cli.errors import RunError, UsageError
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.scan import read_records
from tfrec_cli.writing import split as splits
from tfrec_cli.writing import staging
from tfrec_cli.writing.options import WriteOptions as Options

SHARES = "train=0.75,val=0.25"
Image = tuple[int, int, int]
"""Label, content and group of an image."""


def digest(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


def divided(images: list[Image], text: str = SHARES) -> dict[str, list[Image]]:
    labels, contents, groups = map(list, zip(*images, strict=True))
    found = splits.divide(
        labels,
        b"".join(map(digest, contents)),
        splits.parse(text),
        b"".join(map(digest, groups)),
    )
    return {
        name: sorted(images[number] for number in numbers) for name, numbers in found.parts.items()
    }


some_images = st.lists(
    st.tuples(st.integers(-1, 3), st.integers(0, 60), st.integers(0, 12)), min_size=1, max_size=80
)
some_shares = st.sampled_from(["a=1", SHARES, "a=0.9,b=0.1", "a=0.5,b=0.3,c=0.2", "a=0.01,b=0.99"])


class TestDivide:
    @given(some_images, some_shares)
    def test_every_image_is_in_one_split(self, images: list[Image], text: str) -> None:
        assert sorted(chain(*divided(images, text).values())) == sorted(images)

    @given(some_images, some_shares)
    def test_neither_a_group_nor_copies_are_parted(self, images: list[Image], text: str) -> None:
        """Copies in two groups join these groups."""
        for what in (1, 2):
            held = [{image[what] for image in part} for part in divided(images, text).values()]
            assert sum(map(len, held)) == len({image[what] for image in images})

    @falsifying(
        [(0, 0, 1), (0, 0, 3), (0, 1, 0), (3, 0, 1), (3, 1, 0)], "train=0.75,val=0.25", Random(0)
    )
    @given(some_images, some_shares, st.randoms(use_true_random=False))
    def test_the_division_depends_neither_on_the_order_nor_on_the_numbers_of_classes(
        self, images: list[Image], text: str, random: Any
    ) -> None:
        shuffled = random.sample(images, len(images))
        turned = [((label + 1) * 3 % 5, *others) for label, *others in shuffled]
        back = {(label + 1) * 3 % 5: label for label in range(-1, 4)}
        found = divided(turned, text)
        assert divided(images, text) == {
            name: sorted((back[label], *others) for label, *others in part)
            for name, part in found.items()
        }

    @given(st.lists(st.integers(1, 30), min_size=1, max_size=60), some_shares)
    def test_shares_are_kept_within_half_of_the_largest_group(
        self, sizes: list[int], text: str
    ) -> None:
        """At each of the two ends of a split."""
        images = [
            (0, 100 * group + number, group)
            for group, size in enumerate(sizes)
            for number in range(size)
        ]
        for name, share in splits.parse(text).items():
            assert abs(len(divided(images, text)[name]) - share * len(images)) <= max(sizes)

    def test_classes_are_balanced_as_far_as_groups_allow(self) -> None:
        """400 groups of ten images, eight of them of one class."""
        images = [
            (group % 4 if number < 8 else (group + 1) % 4, 10 * group + number, group)
            for group in range(400)
            for number in range(10)
        ]
        counts = Counter(label for label, *_ in divided(images)["val"])
        assert [abs(counts[label] / 1000 - Fraction(1, 4)) < 0.01 for label in range(4)] == [
            True
        ] * 4

    def test_images_of_a_new_group_move_few_others(self) -> None:
        images = [(0, number, number // 5) for number in range(1000)]
        before, after = (set(divided(one)["val"]) for one in (images, [*images, (0, 5000, 5000)]))
        assert len(before ^ (after - {(0, 5000, 5000)})) <= 5


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Make an image list of 40 pictures of two classes and ten patients."""
    files = {f"{number:02}.png": png(photo(20, 21, number)) for number in range(40)}
    rows = [f"{number:02}.png,{'ab'[number % 2]},p{number // 4}" for number in range(40)]
    text = "\n".join(["path,label,patient", *rows])
    return fill(tmp_path / "source", {**files, "list.csv": text.encode()}) / "list.csv"


def run(source: Path, out: Path, **options: Any) -> Written:
    return write(
        source, out, Options(**{"jobs": 1, "split": SHARES, "split_by": "patient", **options})
    )


def patients(out: Path, split: str) -> set[bytes]:
    records = chain.from_iterable(map(read_records, out.glob(f"{split}-*.tfrecord")))
    return {example.decode(record.payload)["patient"].values[0] for record in records}


class TestWrite:
    def test_patients_are_not_parted_and_the_summary_says_so(
        self, source: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        ran = tfrec("write", source, out, "--split", "train=75,val=25", "--split-by", "patient")
        held = [patients(out, split) for split in ("train", "val")]
        assert [len(one) for one in held] == [7, 3]
        assert not held[0] & held[1]
        assert [line for line in ran.out.splitlines() if "groups" in line] == [
            "  groups    7, none of them parted; 70.0% of all images",
            "  groups    3, none of them parted; 30.0% of all images",
        ]

    def test_one_group_is_spoken_of_as_one(self, tmp_path: Path) -> None:
        names = ["a0.png", "a1.png", "b0.png", "b1.png"]
        fill(tmp_path, {name: png(photo(9, 9, number)) for number, name in enumerate(names)})
        rows = [f"{name},{name[0]}" for name in names]
        (tmp_path / "list.csv").write_text("\n".join(["path,patient", *rows]))
        words = ["--split", "train=50,val=50", "--split-by", "patient"]
        ran = tfrec("write", tmp_path / "list.csv", tmp_path / "out", *words)
        found = [line for line in ran.out.splitlines() if "groups" in line]
        assert found == ["  groups    1, not parted; 50.0% of all images"] * 2

    def test_the_manifest_says_how_images_were_divided(self, source: Path, tmp_path: Path) -> None:
        run(source, tmp_path / "out")
        made = manifest.load(tmp_path / "out/val.manifest.json")
        assert made.division
        assert (made.division.method, str(made.division)) == ("groups", SHARES)
        assert made.options["split_by"] == "patient"

    def test_the_manifest_of_another_division_has_no_column(
        self, source: Path, tmp_path: Path
    ) -> None:
        made = run(source, tmp_path / "out", split_by=None).manifest
        assert made
        assert made.division
        assert (made.division.method, "split_by" in made.options) == ("shares", False)

    @pytest.mark.parametrize("keys", ["plain", "tf-models"])
    def test_verify_and_salvage_divide_in_the_same_way(
        self, source: Path, tmp_path: Path, keys: Any
    ) -> None:
        out = tmp_path / "out"
        run(source, out, keys=keys)
        options = VerifyOptions(source=((None, source),), jobs=1)
        assert verify(out, options).findings == []
        shard = next(out.glob("val-*.tfrecord"))
        assert tfrec("salvage", shard, tmp_path / "new", "--source", source).code == 0

    def test_verify_finds_groups_that_are_parted(self, source: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        run(source, out)
        changed = source.with_name("changed.csv")
        changed.write_text(re.sub(r",p\d$", ",x", source.read_text(), flags=re.MULTILINE))
        options = VerifyOptions(source=((None, changed),), quick=True, jobs=1)
        (finding,) = verify(out, options).findings
        assert (finding.kind, finding.path, finding.message) == (
            "duplicate", out, "found 1 group in several splits (x…), expected none",
        )  # fmt: skip

    def test_groups_with_copies_of_one_image_are_kept_together_and_said(
        self, source: Path, tmp_path: Path
    ) -> None:
        folder = source.parent
        fill(folder, {"39.png": (folder / "00.png").read_bytes()})
        warnings = run(source, tmp_path / "out").warnings
        assert warnings[-1] == (
            "column 'patient': found copies of one image in several groups (p0 and p9…): "
            "these groups are kept together"
        )
        held = [patients(tmp_path / "out", split) for split in ("train", "val")]
        assert [{b"p0", b"p9"} <= one for one in held].count(True) == 1

    def test_an_unfinished_write_is_resumed_with_the_same_column(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run(source, tmp_path / "whole")
        with monkeypatch.context() as patched:
            patched.setattr(staging, "commit", fail_with(RunError("disk")))
            with pytest.raises(RunError, match="--split-by patient"):
                run(source, tmp_path / "out")
        with pytest.raises(RunError, match="split_by was patient, now not given"):
            run(source, tmp_path / "out", split_by=None, resume=True)
        run(source, tmp_path / "out", resume=True)
        assert tree(tmp_path / "out") == tree(tmp_path / "whole")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"split": "train"}, "split_by: needs several splits, such as split train=0.8,val=0.2"),
            (
                {"split_by": "scene"},
                "split_by: found columns of values patient, expected 'scene' of an image list",
            ),
            (
                {"split_by": "label"},
                "split_by: found columns of values patient, expected 'label' of an image list",
            ),
            (
                {"split": "train=0.98,val=0.01,test=0.01"},
                "split val=0.01: found no image for this split among 40 of 10 groups, expected at "
                "least one",
            ),
        ],
        ids=str,
    )
    def test_a_column_that_cannot_divide_is_refused(
        self, source: Path, tmp_path: Path, change: dict[str, str], message: str
    ) -> None:
        with pytest.raises(UsageError) as refused:
            run(source, tmp_path / "out", **change)
        assert (str(refused.value), (tmp_path / "out").exists()) == (message, False)

    @pytest.mark.parametrize(
        ("values", "found"),
        [([["a"], ["b"]], "lists"), (["a", None], "rows without a value")],
        ids=["lists", "gaps"],
    )
    def test_every_row_needs_one_value(
        self, source: Path, tmp_path: Path, values: list[Any], found: str
    ) -> None:
        rows = [{"path": f"0{number}.png", "patient": one} for number, one in enumerate(values)]
        path = source.with_suffix(".jsonl")
        path.write_text("\n".join(map(json.dumps, rows)))
        with pytest.raises(UsageError) as refused:
            run(path, tmp_path / "out")
        assert str(refused.value) == (
            f"split_by: found {found} in column 'patient', expected one value in every row"
        )

    def test_a_folder_has_no_columns(self, source: Path, tmp_path: Path) -> None:
        source.unlink()
        ran = tfrec(
            "write", source.parent, tmp_path / "out", "--split", SHARES, "--split-by", "patient"
        )
        assert ran.error == (
            "tfrec: --split-by: found no columns of values, expected 'patient' of an image list\n"
        )
