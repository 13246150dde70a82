"""Layouts of folders: what is refused because names leave it unclear, and what is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import fill

from tfrec_cli.errors import DataError, UsageError
from tfrec_cli.sources.folder import LINKS, list_folder, splits_in
from tfrec_cli.sources.labels import ClassRule
from tfrec_cli.sources.listing import Listing

SPLITS = (
    "found folders of splits ({}), expected folders of classes: split folders makes them splits"
)
HELD = "found a folder named after what it holds, expected folders of classes: "


JPEG = b"\xff\xd8\xff"
"""The first bytes of an image."""


def listed(root: Path, *paths: str, **rule: Any) -> Listing:
    fill(root, {path: b"<>" if path.endswith(("xml", "txt")) else JPEG for path in paths})
    return list_folder(root, rule=ClassRule(**rule))


def refused(root: Path, *paths: str, **rule: Any) -> str:
    with pytest.raises(UsageError) as error:
        listed(root, *paths, **rule)
    return str(error.value).replace(str(root), "data")


class TestSplits:
    @pytest.mark.parametrize(
        ("paths", "found", "more"),
        [
            (["train/a/1.jpg", "val/a/1.jpg"], "train, val", ""),
            (["Train/1.jpg", "VAL/1.jpg"], "Train, VAL", ""),
            (["train/a/1.jpg"], "train", ""),
            (["train2017/1.jpg", "val2017/1.jpg"], "train2017, val2017", ""),
            (
                ["dev/a/1.jpg", "test/a/1.jpg", "train/a/1.jpg", "valid/a/1.jpg"],
                "dev, test, train…",
                "",
            ),
            (
                ["test/a/1.jpg", "validation/a/1.jpg", "more/a/1.jpg"],
                "test, validation",
                " (and more, which becomes a split too)",
            ),
        ],
    )
    def test_folders_of_splits_are_refused_as_classes(
        self, tmp_path: Path, paths: list[str], found: str, more: str
    ) -> None:
        message = f"data: {SPLITS.format(found)}{more}; labels top makes them classes"
        assert refused(tmp_path, *paths) == message

    def test_a_class_may_be_named_like_one_split(self, tmp_path: Path) -> None:
        """Cars, planes and trains."""
        assert listed(tmp_path, "bus/1.jpg", "train/1.jpg").labels == ("bus", "train")

    def test_labels_top_makes_them_classes(self, tmp_path: Path) -> None:
        listing = listed(tmp_path, "train/1.jpg", "val/1.jpg", level="top")
        assert (listing.labels, listing.warnings) == (("train", "val"), ())

    def test_other_levels_mix_them_with_a_warning(self, tmp_path: Path) -> None:
        listing = listed(tmp_path, "train/a/1.jpg", "val/b/1.jpg", level="leaf")
        warning = (
            "found folders of splits (train, val): their images are mixed "
            "(--split folders keeps them apart)"
        )
        assert (listing.labels, listing.warnings) == (("a", "b"), (warning,))
        assert list_folder(tmp_path, labels=None).warnings == (warning,)

    def test_the_folders_that_hold_images_are_splits(self, tmp_path: Path) -> None:
        paths = ["b/x/1.jpg", "a/1.jpg", "notes/1.txt", ".c/1.jpg"]
        fill(tmp_path, dict.fromkeys(paths, b"x"))
        (tmp_path / "empty").mkdir()
        assert splits_in(tmp_path) == ("a", "b")

    @pytest.mark.parametrize(
        ("path", "found"),
        [
            ("1.jpg", "found 1.jpg next to folders in "),
            ("a/1.txt", "found no folders of images in "),
        ],
    )
    def test_folders_that_cannot_be_splits_are_refused(
        self, tmp_path: Path, path: str, found: str
    ) -> None:
        fill(tmp_path, {path: b"x"})
        with pytest.raises(UsageError) as error:
            splits_in(tmp_path)
        assert str(error.value).startswith(f"split folders: {found}{tmp_path}")

    def test_links_to_folders_are_no_splits(self, tmp_path: Path) -> None:
        fill(tmp_path, {"elsewhere/1.jpg": b"x"})
        (tmp_path / "data").mkdir()
        (tmp_path / "data/train").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(UsageError) as error:
            splits_in(tmp_path / "data")
        assert str(error.value).endswith(f"/data: {LINKS}")

    def test_classes_are_the_folders_in_splits(self, tmp_path: Path) -> None:
        paths = "train/cat/1.jpg", "train/owl/1.jpg", "val/cat/2.jpg", "val/dog/1.jpg"
        (tmp_path / "val/ant").mkdir(parents=True)
        listing = listed(tmp_path, *paths, in_splits=True)
        assert listing.labels == ("cat", "dog", "owl")
        assert [source.label for source in listing.sources] == [0, 2, 0, 1]
        assert listing.warnings == ("val/ant: class folder without images",)

    def test_splits_without_class_folders_have_no_labels(self, tmp_path: Path) -> None:
        listing = listed(tmp_path, "train/1.jpg", "val/1.jpg", in_splits=True)
        assert (listing.labels, listing.warnings) == (None, ())

    @pytest.mark.parametrize("name", ["README", "Licence", "copying", "NOTICE", "a.MD", "Makefile"])
    def test_notes_next_to_class_folders_are_no_images(self, tmp_path: Path, name: str) -> None:
        fill(tmp_path, {"cat/1.jpg": b"x", "dog/1.jpg": b"y", name: b"about these images"})
        found = list_folder(tmp_path)
        assert [(reject.path, reject.reason) for reject in found.rejects] == [
            (name.encode(), "sidecar")
        ]

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (b"%PDF-1.7", "a PDF document"),
            (b"PK\3\4" + bytes(30), "a ZIP"),
            (b"\x80\x04\x95", "unknown"),
        ],
    )
    def test_another_file_next_to_class_folders_is_not_called_an_image(
        self, tmp_path: Path, data: bytes, words: str
    ) -> None:
        fill(tmp_path, {"cat/1.jpg": b"x", "dog/1.jpg": b"y", "labels.bin": data})
        with pytest.raises(DataError) as error:
            list_folder(tmp_path)
        start = f"{tmp_path}/labels.bin: found {words}"
        assert str(error.value).startswith(start)
        end = " next to class folders, expected only images in class folders: move it away"
        assert str(error.value).endswith(end)

    def test_a_split_without_class_folders_among_others_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError) as error:
            listed(tmp_path, "train/a/1.jpg", "test/1.jpg", in_splits=True)
        assert str(error.value) == (
            f"{tmp_path}/test/1.jpg: found an image next to class folders, expected every image of "
            "every split in one: images without labels need a dataset of their own, with labels "
            "none"
        )


class TestRoles:
    @pytest.mark.parametrize(
        ("paths", "folder", "meant"),
        [
            (
                ["JPEGImages/1.jpg", "SegmentationClass/1.png"],
                "JPEGImages", "source data/JPEGImages takes the images",
            ),
            (["images/1.jpg"], "images", "source data/images takes the images"),
            (
                ["images/train/1.jpg", "images/val/2.jpg", "labels/train/1.txt"],
                "images", "source data/images with split folders takes the images",
            ),
            (
                ["photos/1.jpg", "Masks/1.png"],
                "Masks", "source data/photos takes the images",
            ),
            (["cat/1.jpg", "dog/1.jpg", "annotations/1.png"], "annotations", "move it out of data"),
            (["rgb/1.png", "depth/1.png"], "depth", "move it out of data"),
        ],
    )  # fmt: skip
    def test_folders_named_after_what_they_hold_are_refused(
        self, tmp_path: Path, paths: list[str], folder: str, meant: str
    ) -> None:
        message = f"data/{folder}: {HELD}{meant}; labels top makes it a class"
        assert refused(tmp_path, *paths) == message

    def test_folders_of_masks_in_class_folders_are_refused(self, tmp_path: Path) -> None:
        assert refused(tmp_path, "cat/1.jpg", "cat/masks/1.png") == (
            f"data/cat/masks: {HELD}move it out of data; labels top keeps its images"
        )

    @pytest.mark.parametrize(
        ("paths", "meant"),
        [
            (["train/images/1.jpg", "train/labels/1.txt"], "labels none takes its images without"),
            (["train/images/1.jpg", "train/cat/1.jpg"], "move it out of data; labels top makes it"),
        ],
    )
    def test_folders_of_images_in_splits_are_refused(
        self, tmp_path: Path, paths: list[str], meant: str
    ) -> None:
        message = refused(tmp_path, *paths, in_splits=True)
        assert message.startswith(f"data/train/images: {HELD}{meant}")

    def test_the_only_folder_is_no_class_if_its_images_have_text_files(
        self, tmp_path: Path
    ) -> None:
        assert refused(tmp_path, "photos/1.jpg", "xml/1.xml") == (
            "data/photos: found a folder whose images have text files of the same names, expected "
            "folders of classes: source data/photos takes the images; labels top makes it a class"
        )

    @pytest.mark.parametrize(
        "paths",
        [
            ["cat/0001.jpg", "dog/0001.jpg"],
            ["cat/1.jpg", "cat/1.txt"],
            ["cat/1.jpg", "xml/2.xml"],
            ["cat/1.jpg", "dog/2.jpg", "xml/1.xml", "xml/2.xml"],
            ["depth/1.jpg", "height/2.jpg"],
            ["cat/images/1.jpg", "dog/images/1.jpg"],
            ["cat/1.jpg", "cat/more/2.jpg", "dog/1.jpg"],
        ],
    )
    def test_other_folders_are_classes(self, tmp_path: Path, paths: list[str]) -> None:
        listing = listed(tmp_path, *paths)
        images = {path.split("/")[0] for path in paths if path.endswith("jpg")}
        assert listing.labels == tuple(sorted(images))

    def test_labels_top_makes_any_folder_a_class(self, tmp_path: Path) -> None:
        assert listed(tmp_path, "images/1.jpg", "masks/1.png", level="top").labels == (
            "images",
            "masks",
        )


class TestNesting:
    PATHS = ("animals/cat/1.jpg", "animals/dog/1.jpg", "plants/oak/1.jpg")

    def test_images_in_folders_of_folders_are_refused(self, tmp_path: Path) -> None:
        assert refused(tmp_path, *self.PATHS) == (
            "data/animals/cat: found images in a folder of a folder: labels top makes animals "
            "their class, labels leaf cat, labels path animals/cat"
        )

    @pytest.mark.parametrize(
        ("level", "labels"),
        [
            ("top", ("animals", "plants")),
            ("leaf", ("cat", "dog", "oak")),
            ("path", ("animals/cat", "animals/dog", "plants/oak")),
        ],
    )
    @pytest.mark.parametrize("split", ["", "train/"])
    def test_the_level_says_which_folder_is_the_class(
        self, tmp_path: Path, level: str, labels: tuple[str, ...], split: str
    ) -> None:
        paths = [split + path for path in self.PATHS]
        listing = listed(tmp_path, *paths, level=level, in_splits=bool(split))
        assert listing.labels == labels

    @pytest.mark.parametrize(
        "labels", [("plants", "animals"), ("oak", "dog", "cat"), ("plants/oak", "animals/cat")]
    )
    def test_given_names_say_it_too(self, tmp_path: Path, labels: tuple[str, ...]) -> None:
        listed(tmp_path, self.PATHS[0], self.PATHS[2], level="top")
        given = labels if "dog" in labels else (*labels, "x")
        listing = list_folder(tmp_path, labels=given)
        numbers = [source.label for source in listing.sources]
        assert numbers == ([2, 0] if "dog" in labels else [1, 0])
