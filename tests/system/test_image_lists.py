"""Image lists: from the file to the dataset, in verify and in salvage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import fill, jpeg, measured, photo, tf, tfds, tree

from tfrec_cli.commands import salvage
from tfrec_cli.commands.verify import Options as VerifyOptions
from tfrec_cli.commands.verify import verify
from tfrec_cli.commands.write import write
from tfrec_cli.dataset import manifest
from tfrec_cli.errors import DataError, RunError, TfrecError, UsageError
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.example import Feature
from tfrec_cli.tfrecord.index import read_index
from tfrec_cli.writing.options import WriteOptions as Options

IMAGES = {f"{name}.jpg": jpeg(photo(40, 50, seed)) for seed, name in enumerate("abcd")}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with a.jpg, b.jpg, c.jpg and d.jpg."""
    return fill(tmp_path / "images", IMAGES)


def lines(*rows: Mapping[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


BOXES: dict[str, Any] = {
    "path": "a.jpg",
    "xmin": [0, 0.25],
    "xmax": [1, 0.5],
    "ymin": [0, 0],
    "ymax": [1, 0.5],
}


TABLE = [
    {
        "path": "a.jpg",
        "label": "cat",
        "n": 1,
        "q": 0.1,
        "t": "ü",
        "ns": [1, 2],
        "qs": [],
        "ts": ["x"],
    },
    {"path": "b.jpg", "label": "dog", "n": -5, "q": 3, "t": "", "ns": [], "qs": [0.5], "ts": []},
    {"path": "c.jpg", "label": "cat", "n": 2**40, "q": 1e-3, "ns": [7], "ts": ["y", "z"]},
]


@pytest.fixture
def written(images: Path, tmp_path: Path) -> Path:
    """Write an image list and its dataset ``out``; return the list."""
    path = images / "table.jsonl"
    path.write_text(lines(*TABLE))
    write(path, tmp_path / "out", Options(jobs=1))
    return path


def change(path: Path, **changes: Any) -> None:
    path.write_text(lines(*TABLE[:2], {**TABLE[2], **changes}))


class TestWritten:
    def test_tensorflow_reads_every_value(self, written: Path, tmp_path: Path) -> None:
        (shard,) = map(str, (tmp_path / "out").glob("*.tfrecord"))
        spec = {
            "filename": tf.io.FixedLenFeature([], tf.string),
            "label": tf.io.FixedLenFeature([], tf.int64),
            "n": tf.io.FixedLenFeature([], tf.int64),
            "q": tf.io.FixedLenFeature([], tf.float32),
            "t": tf.io.FixedLenFeature([], tf.string, default_value="none"),
            "ns": tf.io.RaggedFeature(tf.int64),
            "qs": tf.io.RaggedFeature(tf.float32),
            "ts": tf.io.RaggedFeature(tf.string),
        }
        found = {}
        for payload in tf.data.TFRecordDataset([shard]):
            one = {
                name: np.asarray(value.numpy()).tolist()
                for name, value in tf.io.parse_single_example(payload, spec).items()
            }
            found[one.pop("filename").decode()] = one
        assert found == {
            "a.jpg": {
                "label": 0, "n": 1, "q": pytest.approx(0.1), "t": "ü".encode(), "ns": [1, 2],
                "qs": [], "ts": [b"x"],
            },
            "b.jpg": {
                "label": 1, "n": -5, "q": 3.0, "t": b"", "ns": [], "qs": [0.5], "ts": [],
            },
            "c.jpg": {
                "label": 0, "n": 2**40, "q": pytest.approx(1e-3), "t": b"none", "ns": [7],
                "qs": [], "ts": [b"y", b"z"],
            },
        }  # fmt: skip

    def test_tfds_reads_columns_that_every_record_has(self, written: Path, tmp_path: Path) -> None:
        """Single values only if every record has them; a missing list is an empty one."""
        builder = tfds.builder_from_directory(tmp_path / "out")
        rows = tfds.as_numpy(builder.as_dataset(split="train"))
        found = {row["filename"].decode(): row for row in rows}
        assert sorted(found["a.jpg"]) == [
            "filename", "image", "key", "label", "n", "ns", "q", "qs", "ts",
        ]  # fmt: skip
        assert [int(found[name]["n"]) for name in sorted(found)] == [1, -5, 2**40]
        assert [found[name]["qs"].tolist() for name in sorted(found)] == [[], [0.5], []]
        assert [found[name]["ts"].tolist() for name in sorted(found)] == [[b"x"], [], [b"y", b"z"]]

    def test_tfds_reads_boxes(self, images: Path, tmp_path: Path) -> None:
        path = images / "t.jsonl"
        path.write_text(lines({**BOXES, "source_id": 1}, {"path": "b.jpg"}))
        write(path, tmp_path / "out", Options(jobs=1, keys="tf-models"))
        builder = tfds.builder_from_directory(tmp_path / "out")
        rows = list(tfds.as_numpy(builder.as_dataset(split="train")))
        boxes = [row["image/object/bbox/xmax"].tolist() for row in rows]
        assert sorted(boxes) == [[], [1, 0.5]]

    def test_the_manifest_lists_the_columns(self, written: Path, tmp_path: Path) -> None:
        made = manifest.load(tmp_path / "out" / "train.manifest.json")
        assert [(str(one), one.is_everywhere) for one in made.columns] == [
            ("n int64", True),
            ("ns int64[]", True),
            ("q float", True),
            ("qs float[]", False),
            ("t bytes", False),
            ("ts bytes[]", True),
        ]

    def test_without_columns_the_manifest_stays_the_same(
        self, images: Path, tmp_path: Path
    ) -> None:
        write(images, tmp_path / "out", Options(jobs=1))
        assert "columns" not in json.loads((tmp_path / "out" / "train.manifest.json").read_text())

    def test_a_list_gives_the_dataset_of_the_folder(self, tmp_path: Path) -> None:
        """If the list has the same labels, every byte of the shards is the same."""
        folder = fill(tmp_path / "x", {"u/a.jpg": IMAGES["a.jpg"], "v/b.jpg": IMAGES["b.jpg"]})
        (tmp_path / "t.csv").write_text("path,label\nv/b.jpg,v\nu/a.jpg,u\n")
        write(folder, tmp_path / "one", Options(jobs=1))
        write(tmp_path / "t.csv", tmp_path / "two", Options(jobs=1, root=folder))
        assert tree(tmp_path / "one") == tree(tmp_path / "two")

    def test_any_number_of_processes_gives_the_same_bytes(
        self, written: Path, tmp_path: Path
    ) -> None:
        options = {"shards": 3, "overwrite": True}
        write(written, tmp_path / "one", Options(jobs=1, **options))
        write(written, tmp_path / "two", Options(jobs=3, **options))
        assert tree(tmp_path / "one") == tree(tmp_path / "two")

    def test_resuming_with_the_same_list_changes_nothing(
        self, written: Path, tmp_path: Path
    ) -> None:
        before = tree(tmp_path / "out")
        write(written, tmp_path / "out", Options(jobs=1, resume=True))
        assert tree(tmp_path / "out") == before

    @pytest.mark.parametrize("changes", [{"n": 3}, {"label": "dog"}, {"ns": [7, 7]}, {"new": 1}])
    def test_resuming_with_another_row_is_refused(
        self, written: Path, tmp_path: Path, changes: dict[str, Any]
    ) -> None:
        change(written, **changes)
        with pytest.raises(RunError, match="the images or their image list changed"):
            write(written, tmp_path / "out", Options(jobs=1, resume=True))

    def test_a_dry_run_writes_nothing(self, written: Path, tmp_path: Path) -> None:
        result = write(written, tmp_path / "dry", Options(jobs=1, dry_run=True))
        assert [str(one) for one in result.columns][:2] == ["n int64", "ns int64[]"]
        assert not (tmp_path / "dry").exists()

    def test_a_missing_file_ends_the_job_or_is_left_out(self, images: Path, tmp_path: Path) -> None:
        (images / "t.csv").write_text("path,x\na.jpg,1\nnone.jpg,2\n")
        with pytest.raises(DataError, match=r"none\.jpg: found no such file"):
            write(images / "t.csv", tmp_path / "out", Options(jobs=1))
        result = write(images / "t.csv", tmp_path / "out", Options(jobs=1, on_error="skip"))
        assert [(one.path, one.reason) for one in result.rejects] == [(b"none.jpg", "unreadable")]
        assert check(images / "t.csv", tmp_path / "out") == []


class TestSplits:
    def test_a_second_split_has_the_types_of_the_first(self, written: Path, tmp_path: Path) -> None:
        """Whole numbers are stored as floats if the column of the first split has floats."""
        other = written.with_name("val.jsonl")
        rows = [{**TABLE[2], "path": "d.jpg", "q": 2, "t": "x", "qs": []}]
        other.write_text(lines(*rows))
        result = write(other, tmp_path / "out", Options(jobs=1, split="val"))
        assert "q float" in map(str, result.columns)
        assert check(other, tmp_path / "out", split="val") == []

    @pytest.mark.parametrize("changes", [{"new": 1}, {"n": None}])
    def test_a_second_split_must_have_the_columns_of_the_first(
        self, written: Path, tmp_path: Path, changes: dict[str, Any]
    ) -> None:
        other = written.with_name("val.jsonl")
        row = {**TABLE[1], "path": "d.jpg", "t": "x", "new": None, **changes}
        other.write_text(lines({name: one for name, one in row.items() if one is not None}))
        with pytest.raises(UsageError, match=r"expected those of split 'train'"):
            write(other, tmp_path / "out", Options(jobs=1, split="val"))


def check(path: Path, out: Path, *, split: str | None = None, quick: bool = False) -> list[str]:
    options = VerifyOptions(source=((split, path),), quick=quick, jobs=1)
    return [f"{one.kind}: {one.message}" for one in verify(out, options).findings]


class TestVerified:
    @pytest.mark.parametrize("quick", [False, True])
    def test_the_same_list_has_no_findings(
        self, written: Path, tmp_path: Path, quick: bool
    ) -> None:
        assert check(written, tmp_path / "out", quick=quick) == []
        assert check(written, tmp_path / "out", split="train", quick=quick) == []

    @pytest.mark.parametrize(
        ("changes", "finding"),
        [
            ({"n": 3}, "differs: c.jpg: found n 1099511627776, expected 3"),
            ({"ts": []}, "differs: c.jpg: found ts b'y', b'z', expected without a value"),
            ({"label": "dog"}, "label: c.jpg: found label 0 (cat), expected 1 (dog) by its row"),
            ({"label": "owl"}, "label: c.jpg: found label 0 (cat), expected none by its row"),
        ],
    )
    def test_another_row_is_found(
        self, written: Path, tmp_path: Path, changes: dict[str, Any], finding: str
    ) -> None:
        change(written, **changes)
        assert check(written, tmp_path / "out") == [finding]

    def test_an_added_and_a_removed_row_are_found(self, written: Path, tmp_path: Path) -> None:
        written.write_text(lines(*TABLE[:2], {**TABLE[2], "path": "d.jpg"}))
        assert sorted(check(written, tmp_path / "out")) == [
            "unexpected: c.jpg: found no such image among the sources",
            "unwritten: found neither a record nor a reject of this source, expected one of them",
        ]

    def test_the_folder_instead_of_the_list_is_found(self, written: Path, tmp_path: Path) -> None:
        written.unlink()
        (written.parent / "d.jpg").unlink()
        found = check(written.parent, tmp_path / "out", quick=True)
        assert [one.partition(":")[0] for one in found] == ["label"] * 3
        with pytest.raises(UsageError, match="expected the image list that split 'train' "):
            check(written.parent, tmp_path / "out")

    def test_verify_takes_a_root(self, written: Path, tmp_path: Path) -> None:
        moved = tmp_path / "elsewhere.jsonl"
        written.rename(moved)
        options = VerifyOptions(source=((None, moved),), root=written.parent, jobs=1)
        assert verify(tmp_path / "out", options).findings == []


def test_a_missing_root_is_suggested(written: Path, tmp_path: Path) -> None:
    (tmp_path / "moved").mkdir()
    moved = written.rename(tmp_path / "moved" / written.name)
    with pytest.raises(DataError) as error:
        write(moved, tmp_path / "new", Options(jobs=1))
    found = f"{moved}: found none of its 3 images, such as a.jpg, in {tmp_path / 'moved'}: root"
    assert str(error.value) == f"{found} names the folder that contains its paths"
    assert len(error.value.details) == 3
    with pytest.raises(DataError) as error:
        write(moved, tmp_path / "new", Options(jobs=1, root=tmp_path))
    assert str(error.value).endswith(f" in {tmp_path}: root {tmp_path / 'images'} has them")
    fill(tmp_path, {"moved/b.jpg": IMAGES["b.jpg"]})
    with pytest.raises(DataError, match=r"2 of 3 images .*: 2 unreadable \(--root"):
        write(moved, tmp_path / "new", Options(jobs=1))
    (tmp_path / "moved/b.jpg").unlink()
    for root in (None, tmp_path / "moved"):
        options = VerifyOptions(source=((None, moved),), root=root, jobs=1)
        findings = verify(tmp_path / "out", options).findings
        assert [one.message for one in findings if one.kind == "unexpected"] == [
            f"found none of its 3 records among the 3 images of {moved} below {moved.parent}, "
            "expected the folder that the paths are relative to: "
            f"`--source {moved} --root FOLDER`"
        ]


def test_a_root_needs_a_source(written: Path, tmp_path: Path) -> None:
    (shard,) = (tmp_path / "out").glob("*.tfrecord")
    with pytest.raises(UsageError, match="root: needs source"):
        verify(tmp_path / "out", VerifyOptions(root=tmp_path))
    with pytest.raises(UsageError, match="root: needs source"):
        salvage.salvage(shard, tmp_path / "x", salvage.Options(root=tmp_path))


class TestSalvaged:
    def damaged(self, out: Path) -> Path:
        (shard,) = out.glob("*.tfrecord")
        data = shard.read_bytes()
        shard.write_bytes(data[:20] + b"\xff" + data[21:])
        return shard

    def test_salvage_names_lost_records(self, written: Path, tmp_path: Path) -> None:
        shard = self.damaged(tmp_path / "out")
        first, *_ = read_index(shard.with_suffix(".tfindex"))
        options = salvage.Options(source=written)
        result = salvage.salvage(shard, tmp_path / "saved", options)
        assert (first[0], len(result.lost_names or ()), result.lost_records) == (0, 1, [0])

    def test_salvage_refuses_a_list_with_another_row(self, written: Path, tmp_path: Path) -> None:
        shard = self.damaged(tmp_path / "out")
        change(written, n=3)
        with pytest.raises(RunError, match="found images that are not those that were written"):
            salvage.salvage(shard, tmp_path / "saved", salvage.Options(source=written))


class TestManifest:
    @pytest.mark.parametrize(
        ("columns", "where"),
        [
            ([], "columns"),
            ([3], "columns[0]"),
            ([{"name": "x"}], "columns[0].kind"),
            (
                [{"name": "image", "kind": "int64", "is_list": False, "is_everywhere": True}],
                "columns[0].name",
            ),
            ([{"name": "x", "kind": "string"}], "columns[0].kind"),
            ([{"name": "x", "kind": "int64", "is_list": 1}], "columns[0].is_list"),
            (
                [{"name": "x", "kind": "int64", "is_list": True, "is_everywhere": True}] * 2,
                "columns",
            ),
        ],
    )
    def test_wrong_columns_in_a_manifest_are_refused(
        self, written: Path, tmp_path: Path, columns: Any, where: str
    ) -> None:
        path = tmp_path / "out" / "train.manifest.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "columns": columns}))
        with pytest.raises(TfrecError) as error:
            manifest.load(path)
        assert str(error.value).startswith(f"{path}: {where}: found ")


LISTS: dict[str, list[Any]] = {
    "bytes": [b"a", b"", b"\xff"],
    "float": [0.5, 1, -2.5],
    "int64": [1, -1, 300],
}


class TestEncoding:
    """The golden bytes are what TensorFlow serialises."""

    @pytest.mark.parametrize("kind", ["bytes", "float", "int64"])
    @pytest.mark.parametrize("count", [0, 1, 3])
    def test_lists_are_what_tensorflow_writes(self, kind: str, count: int) -> None:
        values: list[Any] = list(LISTS[kind][:count])
        lists = {
            "bytes": lambda: tf.train.Feature(bytes_list=tf.train.BytesList(value=values)),
            "float": lambda: tf.train.Feature(float_list=tf.train.FloatList(value=values)),
            "int64": lambda: tf.train.Feature(int64_list=tf.train.Int64List(value=values)),
        }
        theirs = tf.train.Example(features=tf.train.Features(feature={"x": lists[kind]()}))
        ours = example.encode({"x": Feature(kind, values)})  # type: ignore[arg-type]
        assert ours == theirs.SerializeToString(deterministic=True)


class TestCommandLine:
    def test_all_bad_lines_are_printed_with_verbose(self, images: Path) -> None:
        (images / "t.csv").write_text("path,x\na.jpg\nb.jpg\n")
        quiet = measured(images, "write", "t.csv", "out")
        assert (quiet.code, quiet.out) == (1, "")
        last = (
            "tfrec: t.csv: found 2 wrong lines: 2, 3; mend them, or --on-error skip leaves them "
            "out\n"
        )
        first = [f"tfrec: line {line}: found 1 cells, expected 2\n" for line in (2, 3)]
        assert quiet.err == "".join([*first, last])
        first = [f"tfrec: t.csv: line {line}: found 1 cells, expected 2\n" for line in (2, 3)]
        assert measured(images, "write", "t.csv", "out", "-v").err == "".join([*first, last])

    def test_columns_are_printed(self, images: Path) -> None:
        (images / "t.csv").write_text('path,b,a\na.jpg,"[1, 2]",x\n')
        told = measured(images, "write", "t.csv", "out", "--dry-run").out
        assert "\n  features  2: a bytes, b int64[]\n" in told
        told = measured(images, "write", "t.csv", "out", "--dry-run", "--json").out
        assert [one["kind"] for one in json.loads(told)["columns"]] == ["bytes", "int64"]

    def test_a_line_of_a_million_numbers_takes_little_memory(self, images: Path) -> None:
        (images / "t.jsonl").write_text('{"path": "a.jpg", "x": [' + "1," * 500_000 + "1]}")
        ran = measured(images, "write", "t.jsonl", "out", "--jobs", "1")
        assert (ran.code, ran.mebibytes < 200) == (0, True)
