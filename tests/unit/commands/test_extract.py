"""extract: every image comes back under a safe name, or nothing is written."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from conftest import class_files, fill, jpeg, photo, png, save, tf, tree
from PIL import Image
from program import tfrec
from written import HOLDER, KEPT, stored

from tfrec_cli.commands import extract, write
from tfrec_cli.commands.extract import Extracted, Options
from tfrec_cli.dataset import manifest, records
from tfrec_cli.dataset.records import ImageRecord
from tfrec_cli.errors import DataError, RunError, UsageError
from tfrec_cli.extracting import collisions
from tfrec_cli.extracting.image_list import WrittenList
from tfrec_cli.imaging.formats import EXTENSIONS
from tfrec_cli.report import extract as report
from tfrec_cli.runtime.files import remove_folder, sha256
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.index import locate_records
from tfrec_cli.tfrecord.record import frame

JPEG, PNG = jpeg(photo(9, 8)), png(photo(7, 9))
SHARD = "train-00000-of-00001.tfrecord"
NAMES = {
    **{name: name for name in class_files()},
    "dogs/moving.gif": "dogs/moving.gif.png",
    "owls/web.webp": "owls/web.webp.png",
}
"""What write stores of each of the test images is called so."""


def run(path: Path, out: Path, **options: Any) -> Extracted:
    """Extract with one job."""
    return extract.extract(path, out, Options(**{"jobs": 1, **options}))


def written(source: Path, out: Path, **options: Any) -> Path:
    write.write(source, out, write.WriteOptions(**{"jobs": 1, **options}))
    return out


def files(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {name: data for name, data in tree(folder).items() if (folder / name).is_file()}


def bare(path: Path, *features: dict[str, Any]) -> Path:
    """Write a record file without a manifest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(frame(example.encode(one)) for one in features))
    return path


def forged(tmp_path: Path, *names: bytes, image: bytes = JPEG) -> Path:
    """Make a dataset with a manifest whose records have these filenames."""
    source = fill(tmp_path / "forged", {f"{n}.jpg": JPEG for n in range(len(names))})
    out = written(source, tmp_path / "data")
    made = [
        ImageRecord(image=image, height_px=9, width_px=8, key=key, filename=name, window=0)
        for key, name in enumerate(names)
    ]
    frames = [frame(records.encode(one, "plain")) for one in made]
    (out / SHARD).write_bytes(b"".join(frames))
    path = out / "train.manifest.json"
    converted = {"format_gif": 1, "format_webp": 1}
    told = dataclasses.replace(manifest.load(path), changes=converted)
    path.write_bytes(manifest.dump(told))
    return sealed(out)


def sealed(out: Path) -> Path:
    """Make the manifest describe the shard as it is."""
    path = out / "train.manifest.json"
    told = manifest.load(path)
    entry = dataclasses.replace(told.shards[0], sha256=sha256(out / SHARD))
    path.write_bytes(manifest.dump(dataclasses.replace(told, shards=(entry,))))
    return out


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Name a folder that is not there yet."""
    return tmp_path / "out"


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with the test images, and two datasets: ``one`` shard, and ``five``."""
    folder = tmp_path_factory.mktemp("extract")
    fill(folder / "images", class_files())
    for name, shards in (("one", 1), ("five", 5)):
        written(folder / "images", folder / name, shards=shards)
    return folder


class TestLists:
    """Datasets of image lists keep their labels and columns."""

    ROWS: tuple[dict[str, Any], ...] = (
        {"path": "a/1.png", "label": "x", "n": 1, "f": 0.1, "t": "7", "l": [1, 2], "ts": ["ü"]},
        {"path": "a/2.png", "label": "y", "n": -5, "f": 2.0, "l": []},
        {"path": "3.png", "label": "x", "n": 3, "t": "", "f": 1e9},
    )

    def listed(self, tmp_path: Path, *rows: dict[str, Any], **options: Any) -> Path:
        folder = tmp_path / "src"
        fill(folder, {row["path"]: png(photo(9, 8, seed)) for seed, row in enumerate(rows)})
        (folder / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
        return written(folder / "list.jsonl", tmp_path / "first", **options)

    @pytest.mark.parametrize("jobs", [1, 2])
    def test_the_list_makes_the_same_dataset(self, tmp_path: Path, out: Path, jobs: int) -> None:
        first = self.listed(tmp_path, *self.ROWS, shards=2)
        (made,) = run(first, out, jobs=jobs).lists
        assert made == WrittenList(
            path=Path("train.jsonl"),
            split="train",
            columns=("path", "label", "f", "l", "n", "t", "ts"),
            labels=None,
            options=(),
            left_out=(),
        )
        assert sorted(files(out)) == ["3.png", "a/1.png", "a/2.png", "train.jsonl"]
        assert tree(written(out / made.path, tmp_path / "again", shards=2)) == tree(first)

    def test_folders_that_are_the_labels_need_no_list(self, tmp_path: Path, out: Path) -> None:
        rows = [{"path": f"{label}/1.png", "label": label} for label in ("x", "y")]
        assert run(self.listed(tmp_path, *rows), out).lists == ()
        assert sorted(files(out)) == ["x/1.png", "y/1.png"]

    @pytest.mark.parametrize("level", ["top", "leaf", "path"])
    def test_folders_in_folders_need_no_list(self, tmp_path: Path, out: Path, level: str) -> None:
        source = fill(tmp_path / "src", {"a/b/1.png": PNG, "c/d/2.png": png(photo(3, 3))})
        assert run(written(source, tmp_path / "first", labels=level), out).lists == ()

    def test_images_without_labels_and_columns_need_no_list(
        self, tmp_path: Path, out: Path
    ) -> None:
        assert run(self.listed(tmp_path, {"path": "a/1.png"}), out).lists == ()

    def test_columns_without_labels_stay_without_labels(self, tmp_path: Path, out: Path) -> None:
        """The column ``class`` would be the label of another list."""
        first = self.listed(tmp_path, {"path": "1.png", "class": "x"}, labels="none")
        (made,) = run(first, out).lists
        assert (made.columns, made.options) == (("path", "class"), ("--labels", "none"))
        again = written(out / made.path, tmp_path / "again", labels="none")
        assert stored(again) == stored(first)

    def test_numbers_that_names_do_not_give_are_in_a_file(self, tmp_path: Path, out: Path) -> None:
        (tmp_path / "names.txt").write_text("y\nunused\nx\n")
        first = self.listed(tmp_path, *self.ROWS, labels=str(tmp_path / "names.txt"))
        result = run(first, out)
        (made,) = result.lists
        assert made.labels == Path("train.labels.txt")
        assert (out / made.labels).read_text() == "0 y\n1 unused\n2 x\n"
        again = written(out / made.path, tmp_path / "again", labels=str(out / made.labels))
        assert stored(again) == stored(first)
        assert manifest.load(again / "train.manifest.json").labels == ("y", "unused", "x")
        assert report.text(result).splitlines()[-2:] == [
            "  lists     train.jsonl: path, label, f, l, n, t, ts, which folders do not give",
            f"  again     tfrec write {out}/train.jsonl OUT --labels {out}/train.labels.txt",
        ]

    def test_class_numbers_stay(self, tmp_path: Path, out: Path) -> None:
        rows = [{"path": f"{number}.png", "label": number} for number in (2, 10)]
        first = self.listed(tmp_path, *rows)
        (made,) = run(first, out).lists
        assert made.labels is None
        assert tree(written(out / made.path, tmp_path / "again")) == tree(first)

    def test_each_split_has_a_list_in_its_folder(self, tmp_path: Path, out: Path) -> None:
        rows = [{"path": f"{n}.png", "label": "xy"[n % 2], "n": n, "l": [n]} for n in range(8)]
        first = self.listed(tmp_path, *rows, split="a=0.5,b=0.5")
        result = run(first, out)
        assert [made.path for made in result.lists] == [Path("a/a.jsonl"), Path("b/b.jsonl")]
        commands = [row[12:] for row in report.text(result).splitlines() if row[2:7] == "again"]
        assert commands == [
            f"tfrec write {out}/{name}/{name}.jsonl OUT --split {name}" for name in "ab"
        ]
        for made in result.lists:
            written(out / made.path, tmp_path / "again", split=made.split)
        assert stored(tmp_path / "again") == stored(first)

    def test_boxes_need_the_names_of_tf_models(self, tmp_path: Path, out: Path) -> None:
        box = {"xmin": [0.1], "xmax": [0.5], "ymin": [0.2], "ymax": [0.6]}
        first = self.listed(tmp_path, {"path": "1.png", "label": "x", **box}, keys="tf-models")
        (made,) = run(first, out).lists
        assert made.options == ("--keys", "tf-models")
        again = written(out / made.path, tmp_path / "again", keys="tf-models")
        assert tree(again) == tree(first)

    def test_names_of_images_and_columns_that_the_list_needs(
        self, tmp_path: Path, out: Path
    ) -> None:
        rows = [{"p": "train.jsonl", "path": 3, "label": 4}]
        folder = fill(tmp_path / "src", {"train.jsonl": PNG})
        (folder / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
        first = written(folder / "list.jsonl", tmp_path / "first", path_column="p")
        result = run(first, out)
        assert result.lists[0].path == Path("train-1.jsonl")
        assert json.loads((out / "train-1.jsonl").read_text())["path"] == "train.jsonl"
        assert result.warnings == (
            "column 'path': left out of the image list, which has another column of this name",
        )


class TestWhole:
    def test_images_that_write_left_unchanged_come_back(self, lasting: Path, out: Path) -> None:
        run(lasting / "five", out)
        found = files(out)
        assert {name: found[name] for name in KEPT} == {name: class_files()[name] for name in KEPT}

    @pytest.mark.parametrize("dataset", ["one", "five"])
    @pytest.mark.parametrize("jobs", [1, 2])
    def test_every_image_is_a_file(self, lasting: Path, out: Path, dataset: str, jobs: int) -> None:
        run(lasting / dataset, out, jobs=jobs)
        images = {NAMES[name]: one.image for name, one in stored(lasting / dataset).items()}
        assert files(out) == images

    def test_no_task_is_sent_with_all_shards_of_a_split(
        self, lasting: Path, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        work, tasks = extract.extract_shard, []
        monkeypatch.setattr(extract, "extract_shard", lambda task: tasks.append(task) or work(task))
        run(lasting / "five", out)
        assert [task.described.shards for task in tasks] == [()] * 5

    def test_the_extracted_files_make_the_same_dataset(self, tmp_path: Path, out: Path) -> None:
        source = fill(tmp_path / "src", {name: class_files()[name] for name in KEPT})
        first = written(source, tmp_path / "first", shards=3)
        run(first, out)
        assert tree(written(out, tmp_path / "again", shards=3)) == tree(first)

    def test_the_result_counts(self, lasting: Path, out: Path) -> None:
        assert run(lasting / "five", out) == Extracted(
            out=out,
            splits=(),
            files=13,
            size_bytes=sum(map(len, files(out).values())),
            formats={"jpeg": 7, "png": 6},
            renamed=2,
            repeated=0,
            numbered=0,
            by_label=0,
            imageless=0,
            images=(),
            other_images={},
            other_values=(),
            empty=(),
        )

    def test_gzip_and_tf_models_datasets_are_extracted(
        self, folder: Path, tmp_path: Path, lasting: Path, out: Path
    ) -> None:
        data = written(folder, tmp_path / "data", keys="tf-models", compression="gzip", shards=2)
        run(data, out)
        run(lasting / "one", tmp_path / "plain")
        assert tree(out) == tree(tmp_path / "plain")

    def test_a_single_shard_is_extracted(self, lasting: Path, tmp_path: Path, out: Path) -> None:
        path = next((lasting / "five").glob("*-00002-*.tfrecord"))
        run(path, out)
        assert 0 < len(files(out)) < 13
        assert (
            files(out).items()
            <= {NAMES[name]: one.image for name, one in stored(lasting / "one").items()}.items()
        )

    def test_names_that_are_not_utf8_come_back(self, tmp_path: Path, out: Path) -> None:
        name = os.fsdecode(b"a\xff\n.jpg")
        run(written(fill(tmp_path / "src", {name: JPEG}), tmp_path / "data"), out)
        assert files(out) == {name: JPEG}

    def test_classes_without_images_are_reported(self, tmp_path: Path, out: Path) -> None:
        source = fill(tmp_path / "src", {"b/1.jpg": JPEG})
        (tmp_path / "labels").write_text("a\nb\nc\n")
        data = written(source, tmp_path / "data", labels=str(tmp_path / "labels"))
        assert run(data, out).empty == ("a", "c")


class TestCrops:
    def test_raw_crops_become_lossless_files(
        self, lasting: Path, tmp_path: Path, out: Path
    ) -> None:
        data = written(lasting / "images", tmp_path / "data", crop=(30, 20), shards=2)
        run(data, out)
        for name, one in stored(data).items():
            path = out / (name if name.endswith(".png") else f"{name}.png")
            pixels = np.asarray(Image.open(path))
            assert (pixels.shape, pixels.tobytes()) == ((30, 20, 3), one.image)

    @pytest.mark.parametrize(("encoding", "ending"), [("png", ".jpg.png"), ("jpeg", ".jpg")])
    def test_encoded_crops_are_written_unchanged(
        self, lasting: Path, tmp_path: Path, out: Path, encoding: str, ending: str
    ) -> None:
        data = written(lasting / "images", tmp_path / "data", crop=(30, 20), encoding=encoding)
        run(data, out)
        image = stored(data)["cats/420.jpg"].image
        assert (out / f"cats/420{ending}").read_bytes() == image


class TestSplits:
    @pytest.fixture
    def two(self, tmp_path: Path) -> Path:
        data = tmp_path / "data"
        written(fill(tmp_path / "a", {"c/1.jpg": JPEG, "d/2.png": PNG}), data)
        written(fill(tmp_path / "b", {"c/1.jpg": PNG, "d/3.png": PNG}), data, split="val")
        return data

    def test_each_split_has_a_folder(self, two: Path, out: Path) -> None:
        assert run(two, out).splits == ("train", "val")
        assert files(out) == {
            "train/c/1.jpg": JPEG,
            "train/d/2.png": PNG,
            "val/c/1.jpg": PNG,
            "val/d/3.png": PNG,
        }

    def test_a_single_split_has_no_folder(self, two: Path, out: Path) -> None:
        assert run(two, out, split="train").splits == ()
        assert files(out) == {"c/1.jpg": JPEG, "d/2.png": PNG}

    def test_an_unknown_split_is_a_usage_error(self, two: Path, out: Path) -> None:
        with pytest.raises(UsageError, match=r"found splits train, val in .*, expected 'test'$"):
            run(two, out, split="test")
        assert not out.exists()


class TestExtensions:
    @pytest.mark.parametrize(
        ("name", "image", "expected"),
        [
            ("a.jpg", JPEG, "a.jpg"),
            ("a.JPEG", JPEG, "a.JPEG"),
            ("a.jpe", JPEG, "a.jpe"),
            ("a", JPEG, "a"),
            ("a.b c", JPEG, "a.b c"),
            ("lies.jpg", PNG, "lies.jpg"),
            ("lies.png", JPEG, "lies.png"),
            ("not-converted.bmp", PNG, "not-converted.bmp"),
            ("a.tar.gif", PNG, "a.tar.gif.png"),
            ("d.png/a.webp", JPEG, "d.png/a.webp.jpg"),
            (".jpg", PNG, ".jpg"),
        ],
    )
    def test_extensions_of_our_datasets_match_the_stored_format(
        self, tmp_path: Path, out: Path, name: str, image: bytes, expected: str
    ) -> None:
        run(forged(tmp_path, name.encode(), image=image), out)
        assert files(out) == {expected: image}

    @pytest.mark.parametrize("kind", sorted(EXTENSIONS.keys() - {"heic"}))  # of pillow-heif
    def test_every_format_has_an_extension_that_pillow_knows(self, kind: str) -> None:
        Image.init()
        known = {Image.EXTENSION.get(ending) for ending in EXTENSIONS[kind]}  # type: ignore[index]
        assert known - {None} == {kind.upper()}


class TestOthers:
    """Record files without a manifest."""

    def test_names_and_labels_of_records_are_used(self, tmp_path: Path, out: Path) -> None:
        path = bare(
            tmp_path / "x.tfrecord",
            {"image/encoded": JPEG, "image/filename": b"a/1.jpg", "image/class/label": 3},
            {"image/encoded": JPEG, "image/filename": b"2.jpg", "image/class/label": 3},
            {"image/encoded": PNG, "image/source_id": b"3", "image/class/label": 4},
            {"image/encoded": PNG, "image/class/label": 4, "image/class/text": b"dog"},
            {"image/encoded": PNG, "image/class/label": 4, "image/class/text": b"../dog"},
            {"image/encoded": JPEG},
        )
        result = run(path, out)
        assert files(out) == {
            "a/1.jpg": JPEG,
            "3/2.jpg": JPEG,
            "4/3.png": PNG,
            "dog/00000003.png": PNG,
            "4/00000004.png": PNG,
            "00000005.jpg": JPEG,
        }
        assert (result.renamed, result.numbered) == (1, 3)

    @pytest.mark.parametrize("zipped", [False, True])
    def test_numbers_continue_across_files(self, tmp_path: Path, out: Path, zipped: bool) -> None:
        options = tf.io.TFRecordOptions("GZIP" if zipped else "")
        (tmp_path / "x").mkdir()
        for name, count in (("a", 2), ("b", 1), ("c", 2)):
            with tf.io.TFRecordWriter(str(tmp_path / "x" / name), options) as writer:
                for _ in range(count):
                    writer.write(example.encode({"image": PNG}))
        run(tmp_path / "x", out, jobs=2)
        assert files(out) == {f"{number:08d}.png": PNG for number in range(5)}

    def test_a_file_without_records_takes_no_number(self, tmp_path: Path, out: Path) -> None:
        bare(tmp_path / "x" / "a")
        bare(tmp_path / "x" / "b", {"image": PNG})
        bare(tmp_path / "x" / "c")
        run(tmp_path / "x", out)
        assert files(out) == {"00000000.png": PNG}

    def test_other_formats_keep_their_extension(self, tmp_path: Path, out: Path) -> None:
        gif = save(Image.fromarray(photo(6, 6)), "GIF")
        run(bare(tmp_path / "x", {"image": gif, "filename": b"x.gif"}), out)
        assert files(out) == {"x.gif": gif}

    @pytest.mark.parametrize(
        "name",
        [b"/etc/a.jpg", b"../a.jpg", b"a/../../b.jpg", b"./a.jpg", b"a//b.jpg", b"a/", b"a\0.jpg",
         b"..", b"a" * 256, b"b" * 252, b""],
    )  # fmt: skip
    def test_unsafe_names_become_numbers(self, tmp_path: Path, out: Path, name: bytes) -> None:
        run(bare(tmp_path / "x", {"image": JPEG, "filename": name}), out)
        assert files(out) == {"00000000.jpg": JPEG}

    @pytest.mark.parametrize("jobs", [1, 2])
    def test_generated_names_avoid_recorded_ones(
        self, tmp_path: Path, out: Path, jobs: int
    ) -> None:
        """Also those of other files, and names that were generated before."""
        (tmp_path / "x").mkdir()
        bare(
            tmp_path / "x" / "1",
            {"image": JPEG},
            {"image": PNG, "filename": b"a"},
            {"image": PNG, "filename": b"b"},
            {"image": PNG, "filename": b"b"},
            {"image": PNG, "filename": b"00000005"},
            {"image": PNG},
            {"image": PNG, "filename": b"d"},
            {"image": JPEG, "filename": b"n" * 251},
            {"image": JPEG, "filename": b"n" * 251},
        )
        bare(
            tmp_path / "x" / "2",
            {"image": JPEG, "filename": b"00000000.JPG"},
            {"image": JPEG, "filename": b"00000000-1.jpg"},
            {"image": PNG, "filename": b"a.png"},
            {"image": PNG, "filename": b"d.PNG/e.png"},
        )
        result = run(tmp_path / "x", out, jobs=jobs)
        assert files(out) == {
            "00000000-2.jpg": JPEG,
            "a-2.png": PNG,
            "b.png": PNG,
            "b-2.png": PNG,
            "00000005.png": PNG,
            "00000005-2.png": PNG,
            "d-2.png": PNG,
            "n" * 251 + ".jpg": JPEG,
            "00000008.jpg": JPEG,
            "00000000.JPG": JPEG,
            "00000000-1.jpg": JPEG,
            "a.png": PNG,
            "d.PNG/e.png": PNG,
        }
        assert (result.renamed, result.repeated, result.numbered) == (6, 3, 3)

    @pytest.mark.parametrize("jobs", [1, 2])
    def test_names_of_several_records_are_numbered_in_the_order_of_records(
        self, tmp_path: Path, out: Path, jobs: int
    ) -> None:
        """Also if names differ in case only, are folders, or would be too long."""
        long = b"n" * 250 + b".jpg"
        names = (
            [b"cat.jpg", b"CAT.jpg", b"cat.jpg", b"cat-2.jpg", b"d.jpg", long, long],
            [b"cat.jpg", b"d.jpg/1.jpg", b"d.jpg/1.jpg", b"caf\xc3\xa9.jpg", b"cafe\xcc\x81.jpg"],
        )
        images = [[jpeg(photo(9, 8, 7 * file + n)) for n in range(7)] for file in range(2)]
        for file, given in enumerate(names):
            pairs = zip(images[file], given, strict=False)
            bare(tmp_path / "x" / str(file), *({"image": one, "filename": n} for one, n in pairs))
        result = run(tmp_path / "x", out, jobs=jobs)
        assert files(out) == {
            "cat.jpg": images[0][0],
            "CAT-3.jpg": images[0][1],
            "cat-4.jpg": images[0][2],
            "cat-2.jpg": images[0][3],
            "d-2.jpg": images[0][4],
            long.decode(): images[0][5],
            "00000006.jpg": images[0][6],
            "cat-5.jpg": images[1][0],
            "d.jpg/1.jpg": images[1][1],
            "d.jpg/1-2.jpg": images[1][2],
            "caf\u00e9.jpg": images[1][3],
            "cafe\u0301-2.jpg": images[1][4],
        }
        assert (result.repeated, result.numbered) == (6, 1)
        assert "repeated  6 got a number, since another had their name" in report.text(result)

    def test_very_many_records_of_one_name_are_numbered_quickly(
        self, tmp_path: Path, out: Path
    ) -> None:
        count = 3000  # trying all numbers for each would hash 4.5 million names
        bare(tmp_path / "x", *[{"image": JPEG, "filename": b"a.jpg"}] * count)
        hashed = mock.Mock(side_effect=collisions._hash)
        with mock.patch.object(collisions, "_hash", hashed):
            run(tmp_path / "x", out)
        assert hashed.call_count < 4 * count
        assert files(out).keys() == {
            "a.jpg",
            *(f"a-{number}.jpg" for number in range(2, count + 1)),
        }

    def test_no_file_is_replaced_where_the_file_system_merges_paths(
        self, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = bare(tmp_path / "x", *[{"image": JPEG, "filename": b"a.jpg"}] * 2)
        monkeypatch.setattr(collisions._Free, "take", lambda _, path: path)
        with pytest.raises(DataError, match=r"record 1: found 'a\.jpg', which another record has"):
            run(path, out)
        assert not out.exists()

    @pytest.mark.parametrize(
        ("payload", "message"),
        [
            (example.encode({"text": b"hello"}), "found features text, expected one that holds"),
            (b"no example", "the payload is not a tf.train.Example"),
        ],
    )
    def test_records_without_an_image_are_refused(
        self, tmp_path: Path, out: Path, payload: bytes, message: str
    ) -> None:
        path = bare(tmp_path / "x", {"image": JPEG})
        first = path.stat().st_size
        path.write_bytes(path.read_bytes() + frame(payload))
        with pytest.raises(DataError) as error:
            run(path, out)
        assert str(error.value).startswith(f"{path}: record 1 at byte {first}: {message}")

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"hello, this is text", "not a TFRecord file: text"),
            (b"", "found an empty file, expected records"),
        ],
    )
    def test_a_file_without_records_is_refused(
        self, tmp_path: Path, out: Path, data: bytes, message: str
    ) -> None:
        (tmp_path / "x").write_bytes(data)
        with pytest.raises(DataError) as error:
            run(tmp_path / "x", out)
        assert str(error.value) == f"{tmp_path}/x: {message}"


class TestFeatures:
    """The feature that holds the image may have any name, and records may hold more."""

    def test_the_only_feature_that_holds_images_is_taken(self, tmp_path: Path, out: Path) -> None:
        result = run(bare(tmp_path / "x", {"photo": JPEG, "label": 3, "text": b"dog"}), out)
        assert files(out) == {"dog/00000000.jpg": JPEG}
        assert (result.images, result.by_label, result.other_values) == (("photo",), 1, ())

    def test_a_feature_can_be_chosen(self, tmp_path: Path, out: Path) -> None:
        features = {"image": JPEG, "mask": PNG, "label": 3, "filename": b"a.jpg", "box": [0.5]}
        result = run(bare(tmp_path / "x", features), out, image="mask")
        assert files(out) == {"3/a.jpg.png": PNG}
        assert (result.images, result.other_images, result.other_values) == (
            ("mask",),
            {"image": "JPEG"},
            ("box",),
        )

    def test_what_is_left_out_is_said(self, tmp_path: Path, out: Path) -> None:
        deep = save(Image.fromarray(np.arange(72, dtype=np.uint16).reshape(8, 9)), "PNG")
        features = {"image": JPEG, "filename": b"d/a.jpg", "label": 3, "depth": deep, "mask": PNG}
        path = bare(tmp_path / "x", {**features, "height": 9, "width": 8, "sex": 1})
        assert tfrec("extract", path, out).out == (
            f"wrote 1 file to {out}, {len(JPEG)} B\n"
            "  formats   1 jpeg\n"
            "  images    of the feature image\n"
            "  left out  depth (16-bit PNG), mask (PNG): --image depth extracts those of depth\n"
            "  left out  values of label, sex\n"
        )

    def test_records_without_an_image_can_be_left_out(self, tmp_path: Path, out: Path) -> None:
        """The numbers in names stay those of the records."""
        rows: list[dict[str, Any]] = [{"label": 1}, {"image": JPEG}, {"label": 2}, {"image": JPEG}]
        rows += [{"image": JPEG, "filename": b"a.jpg"}, {"filename": b"b.jpg"}]
        folder = tmp_path / "records"
        folder.mkdir()
        bare(folder / "1.tfrecord", *rows[:3])
        bare(folder / "2.tfrecord", *rows[3:])
        assert tfrec("extract", folder, out, "--missing", "SKIP").out == (
            f"wrote 3 files to {out}, 2.1 KiB\n"
            "  formats   3 jpeg\n"
            "  images    of the feature image\n"
            "  numbered  2 without a usable name\n"
            "  left out  3 records without an image\n"
        )
        assert files(out) == {"00000001.jpg": JPEG, "00000003.jpg": JPEG, "a.jpg": JPEG}
        document = json.loads(
            tfrec("extract", folder, tmp_path / "o", "--missing=skip", "--json").out
        )
        assert (document["files"], document["imageless"]) == (3, 3)

    def test_records_without_the_chosen_feature_are_left_out(
        self, tmp_path: Path, out: Path
    ) -> None:
        path = bare(tmp_path / "x", {"image": JPEG, "mask": PNG}, {"image": JPEG})
        result = run(path, out, image="mask", missing="skip")
        assert (result.files, result.imageless, files(out)) == (1, 1, {"00000000.png": PNG})

    def test_several_images_are_not_missing(self, tmp_path: Path, out: Path) -> None:
        path = bare(tmp_path / "x", {"a": JPEG, "b": JPEG})
        with pytest.raises(DataError, match=r"record 0 at byte 0: found images in a \(JPEG\), b"):
            run(path, out, missing="skip")

    def test_if_all_are_left_out_nothing_is_written(self, tmp_path: Path, out: Path) -> None:
        path = bare(tmp_path / "x", {"label": 3})
        with pytest.raises(DataError) as error:
            run(path, out, missing="skip")
        assert str(error.value) == f"{path}: found no record with an image, expected some"
        assert not out.exists()

    def test_a_list_of_tfrec_leaves_nothing_out(self, tmp_path: Path, out: Path) -> None:
        fill(tmp_path / "src", {"a.jpg": JPEG, "b.jpg": JPEG})
        table = tmp_path / "list.csv"
        table.write_text("path,label,score\na.jpg,cat,0.5\nb.jpg,dog,1.5\n")
        result = run(written(table, tmp_path / "data", root=tmp_path / "src"), out)
        assert result.lists[0].columns == ("path", "label", "score")
        assert (result.images, result.other_images, result.other_values) == ((), {}, ())
        assert "left out" not in report.text(result)

    def test_other_records_have_no_list(self, tmp_path: Path, out: Path) -> None:
        features = {"image": JPEG, "filename": b"d/a.jpg", "label": 3, "score": [0.5]}
        result = run(bare(tmp_path / "x", features), out)
        assert (result.lists, result.other_values) == ((), ("label", "score"))
        assert files(out) == {"d/a.jpg": JPEG}

    @pytest.mark.parametrize(
        ("features", "options", "message"),
        [
            (
                {"left": JPEG, "right": PNG, "label": 1},
                {},
                "found images in left (JPEG), right (PNG), expected the name of the one to take: "
                "--image",
            ),
            (
                {"image": JPEG, "img": PNG},
                {},
                "found images in image (JPEG), img (PNG), expected the name of the one",
            ),
            (
                {"image": [JPEG, PNG]},
                {},
                "feature 'image': found 2 images in a record, expected one image",
            ),
            (
                {"image": [JPEG, PNG], "mask": PNG},
                {"image": "image"},
                "feature 'image': found 2 images in a record, expected one image",
            ),
            (
                {"image": JPEG, "label": 1},
                {"image": "label"},
                "feature 'label': found 1 int64 value in a record, expected one image",
            ),
            (
                {"image": JPEG, "text": b"hello"},
                {"image": "text"},
                "feature 'text': found text, expected an image",
            ),
        ],
    )
    def test_what_is_not_certain_is_refused(
        self,
        tmp_path: Path,
        out: Path,
        features: dict[str, Any],
        options: dict[str, str],
        message: str,
    ) -> None:
        path = bare(tmp_path / "x", features)
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        ran = tfrec("extract", path, out, *words)
        assert (ran.code, ran.error.count("\n"), out.exists()) == (1, 1, False)
        assert f"{path}: record 0 at byte 0: {message}" in ran.error

    def test_a_feature_that_is_not_there_is_a_usage_error(self, tmp_path: Path, out: Path) -> None:
        path = bare(tmp_path / "x", {"image": JPEG, "label": 1})
        with pytest.raises(UsageError) as refused:
            run(path, out, image="imagse")
        found = f"found 'imagse', but the first record of {path} has image, label"
        assert (str(refused.value), refused.value.option) == (f"image: {found}", "image")
        bare(path, {"image": JPEG, "photo": PNG}, {"image": JPEG})
        with pytest.raises(DataError, match=r"record 1 .*found features image, expected 'photo'"):
            run(path, out, image="photo")

    def test_a_dataset_of_tfrec_has_one_feature_for_images(self, lasting: Path, out: Path) -> None:
        assert run(lasting / "one", out, image="image").files == 13
        with pytest.raises(UsageError, match="found 'x', expected 'image' in a dataset of tfrec"):
            run(lasting / "one", out, image="x")


class TestNames:
    """Names come from data: none may lead out of the folder, or to the file of another record."""

    @pytest.mark.parametrize(
        "name",
        [b"/etc/a.jpg", b"../a.jpg", b"a/../../b.jpg", b"./a.jpg", b"a//b.jpg", b"a/", b"a\0.jpg",
         b"..", b"a" * 256, b"b" * 250 + b".webp", b"", b"x" * 10**6],
    )  # fmt: skip
    def test_unsafe_names_are_refused(self, tmp_path: Path, out: Path, name: bytes) -> None:
        data = forged(tmp_path, b"good.jpg", name)
        before = tree(tmp_path)
        with pytest.raises(DataError, match=r"-00001\.tfrecord: record 1 at byte ") as error:
            run(data, out)
        assert "expected a path in a folder" in str(error.value)
        assert (len(str(error.value)) < 500, tree(tmp_path)) == (True, before)

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ("a.jpg", "a.jpg"),
            ("a", "a/b.jpg"),
            ("a/b.jpg", "a"),
            ("a.jpg", "A.jpg"),
            ("d/caf\u00e9.jpg", "d/cafe\u0301.jpg"),
            ("x/\u212a.jpg", "x/k.jpg"),
        ],
    )
    def test_a_name_of_two_records_is_refused(
        self, tmp_path: Path, out: Path, first: str, second: str
    ) -> None:
        data = forged(tmp_path, first.encode(), b"other.jpg", second.encode())
        with pytest.raises(DataError, match=r"-00001\.tfrecord: record 2"):
            run(data, out)
        assert not out.exists()

    def test_an_appended_extension_that_makes_two_names_equal_is_refused(
        self, tmp_path: Path, out: Path
    ) -> None:
        data = forged(tmp_path, b"a.webp", b"a.webp.jpg")
        with pytest.raises(DataError, match=r"record 1 .*which another record has too"):
            run(data, out)

    def test_folders_may_differ_in_case_as_in_write(self, tmp_path: Path, out: Path) -> None:
        result = run(forged(tmp_path, b"a/x.jpg", b"A/x.jpg"), out)
        assert sorted(files(out)) == ["A/x.jpg", "a/x.jpg"]
        warning = (
            "folders differ only in case or Unicode form (A and a…): other file systems would "
            "merge them"
        )
        assert result.warnings == (warning,)

    @pytest.mark.parametrize("quiet", [[], ["-q"]])
    def test_parent_folders_are_compared_too(
        self, tmp_path: Path, out: Path, quiet: list[str]
    ) -> None:
        ran = tfrec(
            "extract", forged(tmp_path, b"a/x/1.jpg", b"b/A/2.jpg", b"A/y/3.jpg"), out, *quiet
        )
        told = (
            ""
            if quiet
            else (
                "tfrec: folders differ only in case or Unicode form (A and a…): other file systems "
                "would merge them\n"
            )
        )
        assert (ran.code, ran.err) == (0, told)

    @pytest.mark.slow
    @pytest.mark.parametrize("ours", [True, False])
    def test_folders_may_be_deeper_than_the_recursion_limit(
        self, tmp_path: Path, out: Path, ours: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = b"a/" * 1500 + b"x.jpg"
        foreign = {"image": JPEG, "filename": name}
        run(forged(tmp_path, name) if ours else bare(tmp_path / "x", foreign), out)
        monkeypatch.chdir(out)
        try:
            assert Path(os.fsdecode(name)).read_bytes() == JPEG
        finally:  # pytest cannot remove folders this deep
            remove_folder(out / "a")

    @pytest.mark.slow
    @pytest.mark.skipif(sys.platform != "linux", reason="other systems have shorter paths")
    def test_a_path_of_the_greatest_length_fits_in_any_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        out = tmp_path / ("o" * 200)
        name = b"a/" * 2000 + b"x" * 90 + b".jpg"
        run(bare(tmp_path / "x", {"image": JPEG, "filename": name}), out)
        monkeypatch.chdir(out)
        try:
            assert Path(os.fsdecode(name)).read_bytes() == JPEG
        finally:
            remove_folder(out / "a")

    @pytest.mark.slow
    def test_deep_folders_leave_nothing_behind_after_an_error(
        self, tmp_path: Path, out: Path
    ) -> None:
        data = forged(tmp_path, b"a/" * 1500 + b"x.jpg", b"../x")
        before = tree(tmp_path)
        with pytest.raises(DataError, match="expected a path in a folder"):
            run(data, out)
        assert tree(tmp_path) == before

    def test_too_long_a_path_is_refused(self, tmp_path: Path, out: Path) -> None:
        data = forged(tmp_path, b"/".join([b"d" * 250] * 20))
        with pytest.raises(DataError, match="File name too long, expected a path that is possible"):
            run(data, out)
        assert not out.exists()

    def test_paths_with_equal_hashes_are_compared(
        self, lasting: Path, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(collisions, "hash", lambda _: 7, raising=False)
        assert run(lasting / "five", out).files == 13

    def test_a_record_without_a_name_is_refused(self, tmp_path: Path, out: Path) -> None:
        data = forged(tmp_path, b"a.jpg")
        bare(data / SHARD, {"image": JPEG, "key": 1})
        sealed(data)
        with pytest.raises(DataError, match=r"record 0 at byte 0: found filename '', expected"):
            run(data, out)

    def test_bytes_that_are_no_image_are_refused(self, tmp_path: Path, out: Path) -> None:
        data = forged(tmp_path, b"a.jpg", image=b"hello")
        with pytest.raises(DataError, match=r"record 0 at byte 0: found text, expected an image"):
            run(data, out)


class TestDamage:
    @pytest.fixture
    def data(self, lasting: Path, tmp_path: Path) -> Path:
        out = tmp_path / "data"
        out.mkdir()
        for path in (lasting / "five").iterdir():
            (out / path.name).write_bytes(path.read_bytes())
        return out

    def refused(self, data: Path, out: Path) -> DataError:
        """Return the reason why nothing was extracted."""
        with pytest.raises(DataError) as error:
            run(data, out)
        assert sorted(path.name for path in out.parent.iterdir()) == ["data"]
        return error.value

    def test_damage_is_named_by_file_record_and_offset(self, data: Path, out: Path) -> None:
        path = next(data.glob("*-00001-*.tfrecord"))
        offset, length = locate_records(path)[1]
        damaged = bytearray(path.read_bytes())
        damaged[offset + length // 2] ^= 1
        path.write_bytes(damaged)
        error = self.refused(data, out)
        assert str(error).startswith(f"{path}: damaged: record 1 at byte {offset}: data CRC 0x")
        assert error.hint == "salvage"

    def test_a_cut_between_records_is_refused(self, data: Path, out: Path) -> None:
        path = next(data.glob("*-00003-*.tfrecord"))
        count = len(locate_records(path))
        path.write_bytes(path.read_bytes()[: locate_records(path)[-1][0]])
        found = f"{path}: found {count - 1} records, expected {count} by the manifest"
        error = self.refused(data, out)
        assert (str(error), error.hint) == (found, "verify")

    @pytest.mark.parametrize("jobs", [1, 2])
    def test_a_shard_of_another_dataset_is_refused(
        self, data: Path, out: Path, tmp_path: Path, jobs: int
    ) -> None:
        path = next(data.glob("*-00003-*.tfrecord"))
        count = len(locate_records(path))
        bare(path, *({"image": JPEG, "filename": b"%d.jpg" % n, "key": n} for n in range(count)))
        with pytest.raises(DataError) as error:
            run(data, out, jobs=jobs)
        assert str(error.value) == f"{path}: found another SHA-256, expected that of the manifest"
        assert error.value.hint == "verify"
        assert sorted(one.name for one in tmp_path.iterdir()) == ["data"]

    def test_a_missing_shard_is_refused(self, data: Path, out: Path) -> None:
        path = next(data.glob("*-00003-*.tfrecord"))
        path.unlink()
        error = self.refused(data, out)
        assert str(error) == f"{path}: this file of the dataset is missing"

    def test_a_shard_that_cannot_be_read_is_not_called_damaged(self, data: Path, out: Path) -> None:
        path = next(data.glob("*-00003-*.tfrecord"))
        path.unlink()
        path.mkdir()
        with pytest.raises(RunError, match=r"tfrecord: cannot be read: Is a directory"):
            run(data, out)
        assert not out.exists()


# A new folder is complete, or does not exist


@pytest.mark.parametrize("there", ["nothing", "folder", "link", "deep"])
def test_a_new_folder_may_be_made_here(
    lasting: Path, tmp_path: Path, out: Path, there: str
) -> None:
    if there == "folder":
        out.mkdir()
    elif there == "link":
        (tmp_path / "target").mkdir()
        out.symlink_to("target")
    elif there == "deep":
        out = out / "a" / "b"
    run(lasting / "one", out)
    assert len(files(out)) == 13
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda out: out.write_bytes(b""), "found a file, expected an empty folder, or nothing"),
        (lambda out: fill(out, {"b": b"", ".a": b""}), r"found other files \(.a…\), expected an"),
        (lambda out: out.parent.joinpath(".out.new").symlink_to("."), "found a link, expected a"),
        (lambda out: out.parent.joinpath(".out.new").touch(), "cannot be written: File exists"),
    ],
    ids=["file", "full", "link", "hidden"],
)
def test_a_new_folder_may_not_be_made_here(
    lasting: Path, tmp_path: Path, out: Path, make: Callable[[Path], Any], message: str
) -> None:
    make(out)
    before = tree(tmp_path)
    with pytest.raises(RunError, match=message):
        run(lasting / "one", out)
    assert tree(tmp_path) == before


def test_the_current_folder_is_not_replaced(
    lasting: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out.mkdir()
    monkeypatch.chdir(out)
    with pytest.raises(RunError, match=r"^\.: found the current folder, expected a folder that"):
        run(lasting / "one", Path())


def test_a_mounted_disk_is_not_replaced(
    lasting: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out.mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda path: path == out)
    with pytest.raises(RunError, match="found a mounted disk, expected a folder that can be"):
        run(lasting / "one", out)


def test_a_folder_below_a_file_is_refused(lasting: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be written: Not a directory"):
        run(lasting / "one", tmp_path / "file" / "out")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("there", [False, True])
def test_an_interrupted_run_leaves_nothing(
    lasting: Path, tmp_path: Path, out: Path, error: BaseException, there: bool
) -> None:
    if there:
        out.mkdir()
    before = tree(tmp_path)

    def stop(what: str, done: int, total: int) -> None:
        if done > 6:
            assert len(tree(tmp_path)) > 6
            raise error

    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else RunError
    with pytest.raises(expected):
        extract.extract(lasting / "five", out, Options(jobs=1), stop)
    assert tree(tmp_path) == before


def test_leftovers_are_removed_but_not_what_they_link_to(
    lasting: Path, tmp_path: Path, out: Path
) -> None:
    there = fill(tmp_path / "there", {"a": b"a"})
    left = fill(tmp_path / ".out.new" / "out", {"0/1/2/x": b"", "1/1/x": b"", "3": b""})
    (left / "1" / "1" / "link").symlink_to(there)
    (left / "link").symlink_to(there)
    run(lasting / "one", out)
    assert (len(files(out)), files(there)) == (13, {"a": b"a"})
    (tmp_path / ".two.new").mkdir()
    (tmp_path / ".two.new" / "two").symlink_to(there)
    with pytest.raises(RunError, match="two: cannot be written: Not a directory"):
        run(lasting / "one", tmp_path / "two")
    assert files(there) == {"a": b"a"}


KILLED = """
import os, signal, sys
from pathlib import Path
from tfrec_cli.commands import extract
os.sync = lambda: os.kill(os.getpid(), signal.SIGKILL)
extract.extract(Path(sys.argv[1]), Path(sys.argv[2]), extract.Options(jobs=1))
"""


def test_a_killed_run_looks_unfinished_and_can_be_repeated(
    lasting: Path, tmp_path: Path, out: Path
) -> None:
    words = [sys.executable, "-c", KILLED, str(lasting / "five"), str(out)]
    ended = subprocess.run(words, check=False).returncode
    assert (ended, [path.name for path in tmp_path.iterdir()]) == (-signal.SIGKILL, [".out.new"])
    run(lasting / "one", out)
    assert ([path.name for path in tmp_path.iterdir()], len(files(out))) == (["out"], 13)


@pytest.fixture
def holder(out: Path) -> Iterator[subprocess.Popen[str]]:
    place = out.with_name(".out.new")
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(place)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "locked\n"
    with process:
        yield process
        process.kill()


def test_a_second_run_at_the_same_time_is_refused(
    lasting: Path, out: Path, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(RunError, match=f"process {holder.pid} on .* is writing here"):
        run(lasting / "one", out)
    assert not out.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="limits of the launcher are Linux's")
def test_a_limit_on_file_sizes_leaves_nothing(lasting: Path, tmp_path: Path, out: Path) -> None:
    from faults.runs import Launcher

    launcher = Launcher(tmp_path)
    words = ["extract", str(lasting / "five"), str(out), "-j", "2"]
    ended = launcher.run(words, limits={"FSIZE": 4096})
    launcher.close()
    assert (ended.code, ended.output) == (3, f"tfrec: {out}: cannot be written: File too large\n")
    assert [path.name for path in tmp_path.iterdir()] == ["output"]


# The command line


def test_the_text_says_what_was_written(lasting: Path, tmp_path: Path, out: Path) -> None:
    (tmp_path / "labels").write_text("cats\ncows\ndogs\nowls\n")
    labels = str(tmp_path / "labels")
    data = written(lasting / "images", tmp_path / "data", labels=labels, crop=(20, 20))
    written(lasting / "images", data, labels=labels, crop=(20, 20), split="val")
    ran = tfrec("extract", data, out)
    total = sum(map(len, files(out).values()))
    assert (ran.code, ran.err, ran.out) == (
        0,
        "",
        f"wrote 26 files to {out}, {total / 1024:.1f} KiB\n"
        "  splits    train, val\n"
        "  formats   26 png\n"
        "  renamed   18 got the right extension appended\n"
        "  no folder for 1 label without images: cows\n",
    )


def test_the_text_counts_files_without_a_usable_name(tmp_path: Path, out: Path) -> None:
    path = bare(tmp_path / "x", {"image": JPEG})
    assert tfrec("extract", path, out).out == (
        f"wrote 1 file to {out}, {len(JPEG)} B\n"
        "  formats   1 jpeg\n"
        "  images    of the feature image\n"
        "  numbered  1 without a usable name\n"
    )


def test_the_json_document_has_every_count(lasting: Path, out: Path) -> None:
    ran = tfrec("extract", lasting / "five", out, "--json")
    assert json.loads(ran.out) == {
        "format": "tfrec-extract",
        "format_version": 1,
        "ok": True,
        "out": str(out),
        "splits": [],
        "files": 13,
        "size_bytes": sum(map(len, files(out).values())),
        "formats": {"jpeg": 7, "png": 6},
        "renamed": 2,
        "repeated": 0,
        "numbered": 0,
        "by_label": 0,
        "imageless": 0,
        "images": [],
        "other_images": {},
        "other_values": [],
        "empty": [],
        "warnings": [],
        "lists": [],
    }


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("DATA OUT", 0),
        ("DATA OUT --split train -q -j 2", 0),
        ("DATA OUT --split val", 2),
        ("DATA OUT --jobs 0", 2),
        ("DATA OUT --jobs 5000", 2),
        ("DATA OUT --shards 2", 2),
        ("DATA", 2),
        ("NONE OUT", 2),
        ("BAD OUT", 1),
        ("DATA DATA", 3),
    ],
)
def test_calls_end_with_their_exit_codes(
    lasting: Path, tmp_path: Path, out: Path, words: str, code: int
) -> None:
    paths = {
        "DATA": lasting / "five",
        "OUT": out,
        "NONE": tmp_path / "none",
        "BAD": lasting / "images" / "cats" / "420.jpg",
    }
    ran = tfrec("extract", *(paths.get(word, word) for word in words.split()))
    assert (ran.code, ran.error.count("\n"), out.exists()) == (code, int(code > 0), code == 0)
