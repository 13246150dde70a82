"""verify --source: the dataset has every source once, as it is now, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import class_files, fill, jpeg, photo, png

from tfrec_cli.checking.finding import Finding
from tfrec_cli.commands.verify import Options, Verified, verify
from tfrec_cli.commands.write import write
from tfrec_cli.dataset import manifest
from tfrec_cli.errors import UsageError
from tfrec_cli.imaging import normalize
from tfrec_cli.report import verify as verify_report
from tfrec_cli.runtime import pool
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.record import HEADER_BYTES, frame
from tfrec_cli.tfrecord.scan import read_records
from tfrec_cli.writing import shard
from tfrec_cli.writing.options import WriteOptions
from tfrec_cli.writing.recipe import Recipe
from tfrec_cli.writing.written_shard import WrittenShard

EITHER = "`--source FOLDER` or `--source LIST.csv --root FOLDER`"
OURS = ("unwritten", "unexpected", "label", "differs", "duplicate")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return the path of a folder that does not exist yet."""
    return tmp_path / "out"


def check(
    out: Path, *source: Path | tuple[str | None, Path], quick: bool = False, jobs: int = 1
) -> Verified:
    given = tuple(one if isinstance(one, tuple) else (None, one) for one in source)
    return verify(out, Options(source=given, quick=quick, jobs=jobs))


def found(out: Path, *source: Path | tuple[str | None, Path], quick: bool = False) -> list[Finding]:
    """Return the findings of the comparison with sources; others are tested elsewhere."""
    return [one for one in check(out, *source, quick=quick).findings if one.kind in OURS]


def said(out: Path, *source: Path | tuple[str | None, Path], quick: bool = False) -> list[Any]:
    return [(one.kind, one.path, one.message) for one in found(out, *source, quick=quick)]


def shard_of(out: Path) -> Path:
    (path,) = out.glob("*.tfrecord")
    return path


def change_record(out: Path, path_of: bytes, **changes: Any) -> None:
    """Change features of one record; its framing stays correct."""
    payloads = []
    for record in read_records(shard_of(out)):
        features = {name: one.values[0] for name, one in example.decode(record.payload).items()}
        if features["filename"] == path_of:
            features |= changes
        payloads.append(example.encode({name: v for name, v in features.items() if v is not None}))
    shard_of(out).write_bytes(b"".join(map(frame, payloads)))


LAYOUTS: dict[str, dict[str, Any]] = {
    "whole": {},
    "three shards": {"shards": 3},
    "gzip": {"compression": "gzip"},
    "raw crops": {"crop": (32, 31)},
    "PNG crops": {"crop": (32, 31), "encoding": "png"},
    "JPEG crops": {"crop": (32, 31), "encoding": "jpeg", "jpeg_quality": 70},
    "tf-models": {"keys": "tf-models"},
    "tf-models crops": {"keys": "tf-models", "crop": (32, 31)},
    "no labels": {"labels": "none"},
    "pinned labels": {"labels": "LABELS"},
    "scaled": {"resize_short": 33},
    "without metadata": {"strip_metadata": True},
    "padded": {"crop": (64, 64), "small": "pad"},
    "enlarged": {"crop": (64, 64), "small": "resize"},
    "without small ones": {"crop": (50, 50), "small": "skip"},
    "policies": {"exif": "ignore", "alpha": "white", "frames": "fail", "on_error": "skip"},
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_every_layout_can_be_rebuilt(folder: Path, out: Path, layout: dict[str, Any]) -> None:
    labels = out.with_name("labels.txt")
    labels.write_text("owls\nnone\ndogs\ncats\n")
    options = {name: str(labels) if value == "LABELS" else value for name, value in layout.items()}
    write(folder, out, WriteOptions(jobs=1, **options))
    assert check(out, folder).findings == []


def test_metadata_that_should_have_left_is_found(folder: Path, out: Path) -> None:
    """The pixels are the same, but the bytes are not those that the write made."""
    data = jpeg(photo(40, 50), comment=b"52 deg 31' N")
    (folder / "cats" / "place.jpg").write_bytes(data)
    write(folder, out, WriteOptions(jobs=1, strip_metadata=True))
    assert found(out, folder) == []
    change_record(out, b"cats/place.jpg", image=data)
    ((kind, _, message),) = said(out, folder)
    assert kind == "differs"
    assert message.startswith("cats/place.jpg: found an image of ")


@pytest.mark.parametrize("quick", [False, True])
def test_other_processes_find_the_same(folder: Path, out: Path, quick: bool) -> None:
    write(folder, out, WriteOptions(shards=3, jobs=1))
    (folder / "cats" / "gray.jpg").unlink()
    (folder / "cats" / "new.jpg").write_bytes(jpeg(photo(9, 9)))
    (folder / "owls" / "plain.png").write_bytes(png(photo(9, 9)))
    alone, together = (check(out, folder, quick=quick, jobs=jobs) for jobs in (1, 2))
    assert (together.findings, together.checks) == (alone.findings, alone.checks)


class TestNames:
    def test_a_new_source_is_found(self, folder: Path, out: Path) -> None:
        write(folder, out, WriteOptions(jobs=1))
        new = folder / "cats" / "new.jpg"
        new.write_bytes(jpeg(photo(9, 9)))
        message = "found neither a record nor a reject of this source, expected one of them"
        assert said(out, folder, quick=True) == [("unwritten", new, message)]

    def test_a_deleted_source_is_found_with_its_record(self, folder: Path, out: Path) -> None:
        write(folder, out, WriteOptions(jobs=1, shuffle_seed=None))
        (folder / "cats" / "444.jpg").unlink()
        (one,) = found(out, folder)
        second = list(read_records(shard_of(out)))[1]
        assert (one.kind, one.path, one.record, one.offset_bytes, one.message) == (
            "unexpected",
            shard_of(out),
            1,
            second.offset_bytes,
            "cats/444.jpg: found no such image among the sources",
        )

    def test_the_source_of_a_damaged_record_is_named(self, folder: Path, out: Path) -> None:
        write(folder, out, WriteOptions(jobs=1, shuffle_seed=None))
        data = bytearray(shard_of(out).read_bytes())
        data[HEADER_BYTES] ^= 1
        shard_of(out).write_bytes(data)
        assert [(one.kind, one.path) for one in found(out, folder)] == [
            ("unwritten", folder / "cats" / "420.jpg")
        ]

    def test_a_new_pipe_is_found_and_not_opened(self, folder: Path, out: Path) -> None:
        write(folder, out, WriteOptions(jobs=1))
        os.mkfifo(folder / "cats" / "pipe.jpg")
        message = "found a pipe, socket or device, expected a file"
        assert said(out, folder) == [("unwritten", folder / "cats" / "pipe.jpg", message)]

    def test_added_or_removed_junk_is_no_finding(self, folder: Path, out: Path) -> None:
        (folder / "cats" / ".gone").touch()
        write(folder, out, WriteOptions(jobs=1))
        (folder / "cats" / ".gone").unlink()
        fill(folder, {"cats/.came": b"x", "README.txt": b"text"})
        assert found(out, folder) == []

    def test_a_dataset_may_be_moved_into_its_source(self, folder: Path, out: Path) -> None:
        """Earlier versions wrote it there."""
        write(folder, out, WriteOptions(jobs=1))
        out.rename(folder / "out")
        assert found(folder / "out", folder) == []

    @pytest.mark.parametrize(
        "name", ["../secret.jpg", "SECRET", "cats/../../secret.jpg", "link/1.jpg"]
    )
    def test_no_file_outside_the_source_is_opened(
        self, folder: Path, out: Path, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(folder, out, WriteOptions(jobs=1))
        secret = fill(folder.parent, {"secret.jpg": b"", "aside/1.jpg": b""}) / "secret.jpg"
        (folder / "link").symlink_to(folder.parent / "aside")
        filename = os.fsencode(str(secret) if name == "SECRET" else name)
        change_record(out, b"cats/420.jpg", filename=filename)
        opened = []
        made = shard.remake
        monkeypatch.setattr(pool, "_can_fork", lambda: False)  # to see here what is opened
        monkeypatch.setattr(
            shard,
            "remake",
            lambda task, number: (
                opened.append(task.items[number].source.path) or made(task, number)
            ),
        )
        kinds = [(one.kind, one.record is not None) for one in found(out, folder)]
        assert ("unexpected", True) in kinds
        assert {*opened} == {name.encode() for name in class_files()} - {b"cats/420.jpg"}

    def test_a_folder_of_other_images_is_one_finding(self, folder: Path, out: Path) -> None:
        write(folder, out, WriteOptions(jobs=1))
        other = fill(out.parent / "other", {"cats/1.jpg": jpeg(photo(9, 9))})
        assert said(out, other) == [
            (
                "unexpected",
                out / "train.manifest.json",
                f"found none of its 13 records among the 1 image of {other}, "
                f"expected the folder or image list that it was written from: {EITHER}",
            )
        ]


class TestLabels:
    def test_a_source_that_moved_to_another_class_is_found(self, folder: Path, out: Path) -> None:
        write(folder, out, WriteOptions(jobs=1))
        (folder / "cats" / "gray.jpg").rename(folder / "dogs" / "gray.jpg")
        assert [one.kind for one in found(out, folder)] == ["unwritten", "unexpected"]

    @pytest.mark.parametrize("quick", [False, True])
    def test_a_wrong_label_is_named(self, folder: Path, out: Path, quick: bool) -> None:
        write(folder, out, WriteOptions(jobs=1))
        change_record(out, b"cats/gray.jpg", label=2)
        message = "cats/gray.jpg: found label 2 (owls), expected 0 (cats) by its folder"
        assert said(out, folder, quick=quick) == [("label", shard_of(out), message)]

    @pytest.mark.parametrize(("label", "text"), [(9, "9"), (None, "none")])
    def test_a_missing_label_and_one_out_of_range_are_named(
        self, folder: Path, out: Path, label: int | None, text: str
    ) -> None:
        write(folder, out, WriteOptions(jobs=1))
        change_record(out, b"cats/gray.jpg", label=label)
        message = f"cats/gray.jpg: found label {text}, expected 0 (cats) by its folder"
        assert said(out, folder) == [("label", shard_of(out), message)]

    def test_swapped_labels_in_the_manifest_are_found(self, folder: Path, out: Path) -> None:
        write(folder, out, WriteOptions(jobs=1))
        path = out / "train.manifest.json"
        values = json.loads(path.read_bytes())
        values["labels"] = ["dogs", "cats", "owls"]
        path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")
        assert [one.kind for one in found(out, folder)] == ["label"] * 9


class TestContent:
    @pytest.mark.parametrize("layout", [{}, {"crop": (32, 32)}, {"keys": "tf-models"}])
    def test_a_changed_source_is_found(
        self, folder: Path, out: Path, layout: dict[str, Any]
    ) -> None:
        write(folder, out, WriteOptions(jobs=1, **layout))
        (folder / "cats" / "444.jpg").write_bytes(jpeg(photo(51, 48, 99), subsampling="4:4:4"))
        assert [one.kind for one in found(out, folder)] == ["differs"]
        assert found(out, folder, quick=True) == []

    def test_one_byte_after_the_image_is_a_change(self, folder: Path, out: Path) -> None:
        """It decodes to the same pixels, but whole images are compared by bytes."""
        write(folder, out, WriteOptions(jobs=1))
        with (folder / "owls" / "plain.png").open("ab") as file:
            file.write(b"x")
        size = len(class_files()["owls/plain.png"])
        assert [one.message for one in found(out, folder)] == [
            f"owls/plain.png: found an image of {size} bytes, expected another one of {size + 1}: "
            "it or its source was changed"
        ]

    def test_a_damaged_source_is_found(self, folder: Path, out: Path) -> None:
        write(folder, out, WriteOptions(jobs=1))
        path = folder / "owls" / "plain.png"
        path.write_bytes(path.read_bytes()[:-1])
        (message,) = [one.message for one in found(out, folder)]
        assert message.startswith("owls/plain.png: found a source that can no longer be used: ")

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"width": 43}, "found width 43, expected 42"),
            (
                {"window": None},
                "found features filename, height, image, key, label, width, "
                "expected filename, height, image, key, label, width, window",
            ),
            (
                {"more": 1},
                "found features filename, height, image, key, label, more, width, window, "
                "expected filename, height, image, key, label, width, window",
            ),
            ({"height": b"59"}, "found height b'59', expected 59"),
            ({"image": 5}, "found image 5, expected IMAGE"),
            (
                {"image": class_files()["owls/palette.png"]},
                f"found an image of {len(class_files()['owls/palette.png'])} bytes, expected "
                f"another one of {len(class_files()['owls/plain.png'])}: "
                "it or its source was changed",
            ),
        ],
    )
    def test_a_changed_record_is_found(
        self, folder: Path, out: Path, changes: dict[str, Any], message: str
    ) -> None:
        write(folder, out, WriteOptions(jobs=1))
        change_record(out, b"owls/plain.png", **changes)
        message = message.replace("IMAGE", repr(class_files()["owls/plain.png"])[:40])
        assert [one.message for one in found(out, folder)] == [f"owls/plain.png: {message}"]

    @pytest.mark.parametrize("place", [0, -1])
    def test_one_wrong_value_in_a_crop_is_found(self, folder: Path, out: Path, place: int) -> None:
        write(folder, out, WriteOptions(crop=(32, 32), jobs=1))
        (right,) = (
            one["image"].values[0]
            for one in (example.decode(record.payload) for record in read_records(shard_of(out)))
            if one["filename"].values == [b"owls/plain.png"]
        )
        wrong = bytearray(right)
        wrong[place] ^= 1
        change_record(out, b"owls/plain.png", image=bytes(wrong))
        assert [one.kind for one in found(out, folder)] == ["differs"]

    @pytest.mark.parametrize(("value", "kinds"), [(0, []), (1, ["differs"])])
    def test_encoded_images_are_compared_by_pixels(
        self, tmp_path: Path, out: Path, value: int, kinds: list[str]
    ) -> None:
        """As if another version of an encoder had compressed them differently."""
        source = fill(tmp_path / "src", {"a.png": png(photo(8, 8))})
        write(source, out, WriteOptions(crop=(8, 8), encoding="png", jobs=1))
        pixels = photo(8, 8)
        pixels[3, 3, 1] ^= value
        change_record(out, b"a.png", image=png(pixels, compress_level=1))
        assert [one.kind for one in found(out, source)] == kinds

    def test_other_versions_of_encoders_are_noted(self, folder: Path, out: Path) -> None:
        write(folder, out, WriteOptions(jobs=1))
        path = out / "train.manifest.json"
        values = json.loads(path.read_bytes())
        values["versions"]["zlib"] = "0.9"
        path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")
        now = ", ".join(f"{name} {version}" for name, version in normalize.versions().items())
        then = now.replace(f"zlib {normalize.versions()['zlib']}", "zlib 0.9")
        assert check(out, folder).unchecked == [
            "bytes of encoded images in train, only their pixels: "
            f"written with {then}, checked with {now}"
        ]

    @pytest.mark.parametrize(
        ("option", "value"),
        [("exif", "sideways"), ("max_pixels", "many"), ("resize_short", -1), ("small", None)],
    )
    def test_options_that_write_does_not_have_are_a_finding(
        self, folder: Path, out: Path, option: str, value: object
    ) -> None:
        write(folder, out, WriteOptions(jobs=1))
        path = out / "train.manifest.json"
        values = json.loads(path.read_bytes())
        values["options"][option] = value
        path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")
        messages = [one.message for one in check(out, folder).findings if one.kind == "manifest"]
        wrong = f"options.{option}: found {value!r}, expected "
        assert len([message for message in messages if message.startswith(wrong)]) == 1


class TestRejects:
    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        """Make a folder of one good image and two bad ones."""
        files = {"a/1.png": png(photo(9, 8)), "a/2.png": b"no image", "a/3.jpg": b"\xff\xd8\xff"}
        return fill(tmp_path / "src", files)

    @pytest.fixture
    def skipped(self, source: Path, out: Path) -> Path:
        write(source, out, WriteOptions(on_error="skip", jobs=1))
        return out

    def test_rejects_are_no_findings(self, source: Path, skipped: Path) -> None:
        assert found(skipped, source) == []

    def test_a_reject_that_was_deleted_is_noted(self, source: Path, skipped: Path) -> None:
        (source / "a" / "2.png").unlink()
        (source / "notes.txt").write_text("harmless")
        report = check(skipped, source)
        note = "1 reject of train, no longer among the sources: a/2.png"
        assert (report.ok, report.unchecked) == (True, [note])
        (source / "a" / "3.jpg").unlink()
        several = note.replace("1 reject", "2 rejects") + "…"
        assert check(skipped, source, quick=True).unchecked[-1] == several

    def test_a_reject_that_became_an_image_is_found(self, source: Path, skipped: Path) -> None:
        path = source / "a" / "2.png"
        path.write_bytes(png(photo(9, 8)))
        message = "found a good image, expected a rejected one: not_an_image"
        assert said(skipped, source) == [("differs", path, message)]

    def test_rejects_that_only_decoding_finds_are_decoded(self, tmp_path: Path, out: Path) -> None:
        first, *others = jpeg(photo(9, 9)).split(b"\xff\xdb\0\x43")  # tables of 64 values
        bad = first + b"".join(part[65:] for part in others)
        files = {"good.jpg": jpeg(photo(9, 9)), "bad.jpg": bad}
        source = fill(tmp_path / "src", files)
        write(source, out, WriteOptions(check="decode", on_error="skip", jobs=1))
        assert len(manifest.load(out / "train.manifest.json").rejects) == 1
        assert found(out, source) == []

    def test_a_damaged_list_of_rejects_is_noted(self, source: Path, skipped: Path) -> None:
        path = skipped / "train.rejects.jsonl"
        path.write_bytes(b'{"path": 5}\n')
        note = f"sources that train rejected: {path} is damaged"
        assert note in check(skipped, source).unchecked

    @pytest.mark.parametrize("name", [b"caf\xe9.png", b"new\nline.png", b"\x1b[31m.png"])
    def test_rejects_may_have_any_name(self, tmp_path: Path, out: Path, name: bytes) -> None:
        source = fill(tmp_path / "src", {"1.png": png(photo(9, 8)), os.fsdecode(name): b"none"})
        write(source, out, WriteOptions(on_error="skip", jobs=1))
        assert found(out, source) == []


class TestSplits:
    @pytest.fixture
    def halves(self, tmp_path: Path, out: Path) -> tuple[Path, Path]:
        """Make a dataset of two splits whose files have the same names in two folders."""
        folders = tmp_path / "src" / "train", tmp_path / "src" / "val"
        for number, folder in enumerate(folders):
            fill(folder, {f"a/{n}.png": png(photo(9, 8, 10 * number + n)) for n in range(3)})
            write(folder, out, WriteOptions(split=folder.name, jobs=1))
        return folders

    def test_each_split_has_its_folder(self, halves: tuple[Path, Path], out: Path) -> None:
        report = check(out, ("train", halves[0]), ("val", halves[1]))
        assert (report.findings, report.checks[-2:]) == (
            [],
            [
                f"3 source images in {half}, compared with {half.name}: names, labels, "
                "and each record rebuilt"
                for half in halves
            ],
        )

    def test_splits_not_named_have_the_folder_without_a_name(
        self, halves: tuple[Path, Path], out: Path
    ) -> None:
        assert found(out, halves[0], ("val", halves[1])) == []

    def test_splits_without_a_folder_are_not_compared(
        self, halves: tuple[Path, Path], out: Path
    ) -> None:
        assert found(out, ("val", halves[1])) == []

    def test_swapped_folders_are_found(self, halves: tuple[Path, Path], out: Path) -> None:
        wrong = found(out, ("train", halves[1]), ("val", halves[0]))
        assert [one.kind for one in wrong] == ["differs"] * 6

    def test_splits_may_share_a_folder(self, tmp_path: Path, out: Path) -> None:
        """Each source has to be in one of the splits."""
        source = tmp_path / "src"
        for split in ("train", "val"):
            shutil.rmtree(source, ignore_errors=True)
            fill(source, {f"a/{split}{n}.png": png(photo(9, 8, n)) for n in range(3)})
            write(source, out, WriteOptions(split=split, jobs=1))
        fill(source, {f"a/train{n}.png": png(photo(9, 8, n)) for n in range(3)})
        assert found(out, source) == []

    def test_splits_that_share_sources_are_a_finding(self, folder: Path, out: Path) -> None:
        for split in ("train", "val"):
            write(folder, out, WriteOptions(split=split, jobs=1))
        message = (
            "found 13 sources in other splits too (cats/420.jpg…), expected none, or a folder for "
            "each split: `--source train=FOLDER --source val=FOLDER`"
        )
        assert said(out, folder) == [("duplicate", out, message)]


class TestOtherSource:
    """Another source than that of the dataset is one line, with the options to type."""

    @pytest.fixture
    def images(self, tmp_path: Path) -> Path:
        """Make a folder of 24 images in two classes, and a list of half of them."""
        names = [f"{'ab'[n % 2]}/{n}.png" for n in range(24)]
        rows = "".join(f"{name},x\n" for name in names[:12])
        (tmp_path / "list.csv").write_text("path,label\n" + rows)
        files = {name: png(photo(6, 5, number)) for number, name in enumerate(names)}
        return fill(tmp_path / "images", files)

    def lines(self, out: Path, source: Path | str, root: Path | None = None) -> list[str]:
        """Return what a person reads about the source, without the verdict."""
        options = Options(source=((None, Path(source)),), root=root, quick=True, jobs=1)
        text = verify_report.text(verify(out, options))
        return [line for line in text.splitlines()[1:-1] if line[:2] != "  "]

    def test_a_list_of_some_of_a_folder(self, images: Path, out: Path) -> None:
        write(images, out, WriteOptions(jobs=1, shuffle_seed=None))
        listed = images.with_name("list.csv")
        hint = f"; if a folder was written: `--source {images}`"
        assert self.lines(out, listed, images) == [
            f"{listed}: found no source of 12 of 24 records, such as a/12.png (-v names all){hint}",
            f"{listed}: found other labels in 12 of 12 records, such as a/0.png: found label 0 "
            f"(a), expected none by its row (-v names all){hint}",
        ]

    def test_a_folder_of_more_than_was_listed(self, images: Path, out: Path) -> None:
        listed = images.with_name("list.csv")
        write(listed, out, WriteOptions(jobs=1, root=images, shuffle_seed=None))
        hint = f"; if an image list was written: `--source LIST.csv --root {images}`"
        assert self.lines(out, images) == [
            f"{images}: found neither a record nor a reject of 12 of 24 images, "
            f"such as {images}/a/12.png (-v names all){hint}",
            f"{images}: found other labels in 12 of 12 records, such as a/0.png: found label 0 "
            f"(x), expected none by its folder (-v names all){hint}",
        ]
        report = check(out, images, quick=True)
        assert len(report.findings) == 24
        everything = verify_report.text(report, verbose=True).splitlines()
        assert [str(one) for one in report.findings] == everything[-25:-1]
        assert everything[-1] == "24 findings: 12 unwritten, 12 label"

    def test_a_folder_whose_manifest_shows_that_it_was_one(self, images: Path, out: Path) -> None:
        (images / "notes.txt").write_text("ignored")
        write(images, out, WriteOptions(jobs=1))
        for number in range(24, 36):
            (images / "a" / f"{number}.png").write_bytes(png(photo(6, 5, number)))
        (line,) = self.lines(out, images)
        assert line.endswith(f"of 12 of 36 images, such as {images}/a/24.png (-v names all)")
        other = fill(images.with_name("other"), {"c/1.png": png(photo(6, 5))})
        (line,) = self.lines(out, other)
        expected = "expected the folder that it was written from: `--source FOLDER`"
        assert line.endswith(f"among the 1 image of {other}, {expected}")

    def test_a_folder_above_or_below(self, images: Path, out: Path) -> None:
        write(images, out, WriteOptions(jobs=1))
        for wrong in (images.parent, images / "a"):
            (line,) = self.lines(out, wrong)
            assert line.endswith(f"that it was written from: `--source {images}`")

    def test_a_list_without_its_root(self, images: Path, out: Path) -> None:
        listed = images.with_name("list.csv")
        write(listed, out, WriteOptions(jobs=1, root=images))
        (line,) = self.lines(out, listed)
        assert line == (
            f"{out}/train.manifest.json: found none of its 12 records among the 12 images of "
            f"{listed} below {listed.parent}, expected the folder that the paths are relative to: "
            f"`--source {listed} --root {images}`"
        )

    def test_a_list_of_other_images_in_the_folder(self, images: Path, out: Path) -> None:
        write(images, out, WriteOptions(jobs=1))
        fill(images, {"c.png": png(photo(6, 5))})
        other = images.with_name("other.csv")
        other.write_text("path\nc.png\n")
        (line,) = self.lines(out, other, images)
        assert line.endswith(f"that it was written from: `--source {images}`")

    def test_a_list_that_shares_no_path(self, images: Path, out: Path) -> None:
        listed = images.with_name("list.csv")
        write(listed, out, WriteOptions(jobs=1, root=images))
        other = fill(images.parent / "far" / "away" / "now" / "here", {"z.png": png(photo(6, 5))})
        (other / "other.csv").write_text("path\nz.png\n")
        (line,) = self.lines(out, other / "other.csv")
        assert line.endswith(f"that it was written from: {EITHER}")

    def test_all_splits_of_one_source_are_one_line(self, images: Path, out: Path) -> None:
        write(images, out, WriteOptions(jobs=1, split="train=0.5,val=0.5"))
        other = fill(images.parent / "other", {"c/1.png": png(photo(6, 5))})
        (line,) = self.lines(out, other)
        assert line.startswith(
            f"{out}: found none of its 24 records among the 1 image of {other}, "
        )

    def test_splits_from_folders_of_their_own(self, tmp_path: Path, out: Path) -> None:
        for split in ("train", "val"):
            source = fill(tmp_path / "src" / split, {f"a/{split}.png": png(photo(6, 5))})
            write(source, out, WriteOptions(jobs=1, split=split))
        each = " ".join(f"--source {split}={tmp_path}/src/{split}" for split in ("train", "val"))
        for wrong in ("src", "src/train"):
            (line,) = self.lines(out, tmp_path / wrong)
            assert line.endswith(f"that it was written from: `{each}`")

    @pytest.mark.parametrize(
        ("header", "options", "shown_by"),
        [
            ("path,age", {}, "it has the column 'age'"),
            ("photo,x", {"path_column": "photo", "label_column": "x"}, "path_column photo"),
        ],
    )
    def test_a_folder_that_cannot_be_the_source_is_refused(
        self, images: Path, out: Path, header: str, options: dict[str, Any], shown_by: str
    ) -> None:
        listed = images.with_name("list.csv")
        listed.write_text(header + "\na/0.png,3\n")
        write(listed, out, WriteOptions(jobs=1, root=images, **options))
        with pytest.raises(UsageError) as error:
            check(out, images)
        assert str(error.value) == (
            f"source {images}: found a folder, expected the image list that split 'train' was "
            f"written from ({shown_by}): source LIST.csv root {images}"
        )

    def test_columns_do_not_matter_for_names_and_labels(self, images: Path, out: Path) -> None:
        listed = images.with_name("list.csv")
        listed.write_text("path,age\na/0.png,3\n")
        write(listed, out, WriteOptions(jobs=1, root=images))
        kinds = [one.kind for one in check(out, images, quick=True).findings]
        assert kinds == ["unwritten"] * 23

    @pytest.mark.parametrize("options", [{"split": "folders"}, {"labels": "leaf"}])
    def test_a_list_that_cannot_be_the_source_is_refused(
        self, tmp_path: Path, out: Path, options: dict[str, Any]
    ) -> None:
        names = [f"{split}/{name}/1.png" for split in ("train", "val") for name in "ab"]
        source = fill(tmp_path / "src", {name: png(photo(6, 5, len(name))) for name in names})
        write(source, out, WriteOptions(jobs=1, **options))
        listed = tmp_path / "list.csv"
        listed.write_text("path\n" + "\n".join(names))
        ((option, value),) = options.items()
        expected = rf"found an image list, expected the folder .* \({option} {value}\): source "
        with pytest.raises(UsageError, match=expected):
            check(out, listed, quick=True)


class TestMisuse:
    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ([("test", "SRC")], "source: found no split 'test', expected train"),
            ([(None, "SRC"), (None, "SRC")], "found several folders for every split, expected one"),
            ([("train", "SRC")] * 2, "found several folders for split 'train', expected one"),
            ([(None, "NONE")], "source: No such file or folder: NONE"),
            (
                [(None, "FILE")],
                "FILE: found a file, expected a folder of images or a .csv, .tsv or .jsonl file",
            ),
        ],
    )
    def test_wrong_sources_are_refused(
        self, folder: Path, out: Path, source: list[tuple[str | None, str]], message: str
    ) -> None:
        write(folder, out, WriteOptions(jobs=1))
        places = {"SRC": folder, "NONE": out / "none", "FILE": out / "SHA256SUMS"}
        for word, path in places.items():
            message = message.replace(word, str(path))
        with pytest.raises(UsageError) as error:
            check(out, *((name, places[word]) for name, word in source))
        assert str(error.value).endswith(message)

    def test_files_without_a_manifest_are_refused(self, folder: Path, out: Path) -> None:
        write(folder, out, WriteOptions(jobs=1))
        with pytest.raises(UsageError) as error:
            check(shard_of(out), folder)
        expected = "source: found no manifest, expected a dataset that tfrec wrote"
        assert str(error.value) == expected


def test_findings_are_in_both_reports(folder: Path, out: Path) -> None:
    write(folder, out, WriteOptions(jobs=1))
    new = folder / "cats" / "new\x1b.jpg"
    new.write_bytes(jpeg(photo(9, 9)))
    result = check(out, folder)
    assert f"{folder}/cats/new\\x1b.jpg: found neither" in verify_report.text(result)
    (one,) = json.loads(verify_report.document(result))["findings"]
    assert (one["kind"], one["path"]) == ("unwritten", str(new))


def test_progress_reaches_every_record(folder: Path, out: Path) -> None:
    write(folder, out, WriteOptions(shards=3, jobs=1))
    steps: list[tuple[str, int, int]] = []
    verify(out, Options(source=((None, folder),), jobs=1), lambda *step: steps.append(step))
    assert steps[-1] == ("comparing with sources", 13, 13)


def test_an_unreadable_shard_does_not_stop_the_check(folder: Path, out: Path) -> None:
    write(folder, out, WriteOptions(shards=13, jobs=1))
    first = sorted(out.glob("*.tfrecord"))[0]
    first.unlink()
    first.symlink_to("/proc/self/mem")
    assert [one.kind for one in found(out, folder)] == ["unwritten"]


def test_the_recipe_is_the_writers(
    folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_can_fork", lambda: False)  # to see here what is used
    used: list[Recipe] = []
    right: Callable[[shard.Task], WrittenShard] = shard.write
    monkeypatch.setattr(shard, "write", lambda task: used.append(task.recipe) or right(task))
    layout = WriteOptions(crop=(32, 31), jpeg_quality=7, encoding="jpeg", max_pixels=9999, jobs=1)
    write(folder, out, layout)
    described = manifest.load(out / "train.manifest.json")
    made = Recipe.of(WriteOptions.from_manifest(described), described.labels)
    assert made == used[0]
