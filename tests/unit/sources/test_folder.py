"""Folders of images: order, files that are left out, labels."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from conftest import fill

from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.errors import DataError
from tfrec_cli.runtime.paths import collision_key
from tfrec_cli.sources import listing as listings
from tfrec_cli.sources.folder import LINKS, list_folder
from tfrec_cli.sources.labels import ClassRule
from tfrec_cli.sources.listing import Listing, Source

PATHS = ["a/B.jpg", "a/a.jpg", "a/é.jpg", "a.d/1.jpg", "b/10.jpg", "b/9.jpg", "b/c/d/1.jpg"]


def touch(root: Path, *paths: str | bytes) -> Path:
    """Make files of one byte below ``root``, in this order."""
    root.mkdir(exist_ok=True)
    for path in paths:
        full = os.path.join(os.fsencode(root), os.fsencode(path))
        os.makedirs(os.path.dirname(full), exist_ok=True)
        Path(os.fsdecode(full)).write_bytes(b"x")
    return root


def paths_of(listing: Listing) -> list[bytes]:
    return [source.path for source in listing.sources]


def reasons_of(listing: Listing) -> dict[bytes, str]:
    return {reject.path: reject.reason for reject in listing.rejects}


class TestOrder:
    def test_paths_are_sorted_by_their_bytes(self, tmp_path: Path) -> None:
        """A dot comes before a slash, capitals come before small letters, é comes last."""
        listing = list_folder(touch(tmp_path / "x", *PATHS))
        assert paths_of(listing) == [
            b"a.d/1.jpg",
            b"a/B.jpg",
            b"a/a.jpg",
            "a/é.jpg".encode(),
            b"b/10.jpg",
            b"b/9.jpg",
            b"b/c/d/1.jpg",
        ]

    @pytest.mark.parametrize("seed", range(5))
    def test_the_listing_does_not_depend_on_the_order_of_creation(
        self, tmp_path: Path, seed: int
    ) -> None:
        shuffled = random.Random(seed).sample([*PATHS, "a/.x", "Thumbs.db"], len(PATHS) + 2)
        one = list_folder(touch(tmp_path / "one", *PATHS, "a/.x", "Thumbs.db"))
        two = list_folder(touch(tmp_path / "two", *shuffled))
        assert one == two

    def test_a_source_has_path_size_and_label(self, tmp_path: Path) -> None:
        fill(tmp_path, {"a/1.jpg": b"123", "b/2.jpg": b""})
        assert list_folder(tmp_path).sources == (
            Source(b"a/1.jpg", 3, 0),
            Source(b"b/2.jpg", 0, 1),
        )


class TestLeftOut:
    @pytest.mark.parametrize(
        "path", ["a/.hidden.jpg", ".git/x", "a/._1.jpg", "a/Thumbs.db", "a/.DS_Store", "__MACOSX/1"]
    )
    def test_hidden_and_junk_files_are_ignored(self, tmp_path: Path, path: str) -> None:
        listing = list_folder(touch(tmp_path / "x", "a/1.jpg", path))
        name = path.encode() if path.startswith("a/") else path.encode().split(b"/")[0]
        assert (paths_of(listing), listing.rejects) == (
            [b"a/1.jpg"],
            (Reject(name, "hidden", "hidden or junk: ignored", harmless=True),),
        )

    def test_a_link_to_a_folder_is_rejected(self, tmp_path: Path) -> None:
        root = touch(tmp_path / "x", "a/1.jpg")
        (root / "b").symlink_to(root / "a")
        listing = list_folder(root)
        (reject,) = listing.rejects
        assert (reject.path, reject.reason, reject.harmless) == (b"b", "linked_folder", False)
        assert reject.message == "found a link to a folder, expected a folder"
        assert listing.warnings == (f"found a link to a folder (b): left out; {LINKS}",)

    def test_several_links_to_folders_give_one_warning(self, tmp_path: Path) -> None:
        root = touch(tmp_path / "x", "a/1.jpg")
        for name in "dcb":
            (root / name).symlink_to(root / "a")
        (warning,) = list_folder(root).warnings
        assert warning == f"found 3 links to folders (b, c, d): left out; {LINKS}"

    def test_a_link_to_a_file_is_followed(self, tmp_path: Path) -> None:
        root = touch(tmp_path / "x", "a/1.jpg")
        (root / "a/2.jpg").symlink_to(root / "a/1.jpg")
        assert paths_of(list_folder(root)) == [b"a/1.jpg", b"a/2.jpg"]

    @pytest.mark.parametrize("target", ["nowhere", "link", "1.jpg/below", "n" * 300])
    def test_a_dangling_link_is_rejected(self, tmp_path: Path, target: str) -> None:
        """To a missing file, to itself, to a path below a file, and to a name that is too long."""
        root = touch(tmp_path / "x", "a/1.jpg")
        (root / "a/link").symlink_to(target)
        (reject,) = list_folder(root).rejects
        assert (reject.path, reject.reason, reject.harmless) == (b"a/link", "unreadable", False)
        assert reject.message.startswith("found a link that cannot be followed: ")

    def test_a_pipe_is_rejected_without_being_opened(self, tmp_path: Path) -> None:
        root = touch(tmp_path / "x", "a/1.jpg")
        os.mkfifo(root / "a/2.jpg")
        (reject,) = list_folder(root).rejects
        assert (reject.path, reject.reason, reject.harmless) == (
            b"a/2.jpg",
            "not_a_regular_file",
            False,
        )

    @pytest.mark.parametrize(
        ("kept", "twin"),
        [
            ("a/IMG.jpg", "a/img.JPG"),
            ("a/e\u0301.jpg", "a/\u00e9.jpg"),
            ("a/STRASSE.jpg", "a/straße.jpg"),
        ],
    )
    def test_only_the_first_of_two_colliding_paths_is_kept(
        self, tmp_path: Path, kept: str, twin: str
    ) -> None:
        listing = list_folder(touch(tmp_path / "x", twin, kept))
        assert (paths_of(listing), reasons_of(listing)) == (
            [kept.encode()],
            {twin.encode(): "path_collision"},
        )

    def test_a_dataset_among_the_images_is_skipped_and_said(self, tmp_path: Path) -> None:
        root = touch(tmp_path / "x", "a/1.jpg", "out/.hidden", "out/1.jpg", "out/deep/2.jpg")
        (root / "out/train.manifest.json").write_text('{"format": "tfrec-manifest"}')
        listing = list_folder(root)
        assert (paths_of(listing), listing.labels) == ([b"a/1.jpg"], ("a",))
        assert reasons_of(listing) == {b"out": "dataset"}
        assert listing.warnings == ("out: found a tfrec dataset: skipped",)

    def test_a_file_with_the_name_of_a_manifest_is_no_dataset(self, tmp_path: Path) -> None:
        root = touch(tmp_path / "x", "a/1.jpg", "a/my.manifest.json")
        assert paths_of(list_folder(root)) == [b"a/1.jpg"]

    def test_a_dataset_is_no_folder_of_images(self, tmp_path: Path) -> None:
        root = touch(tmp_path / "x", "1.jpg")
        (root / "train.manifest.json").write_text('{"format": "tfrec-manifest"}')
        with pytest.raises(DataError, match=f"^{root}: found a tfrec dataset, expected images$"):
            list_folder(root)

    @pytest.mark.parametrize("name", [b"caf\xe9.jpg", b"new\nline.jpg", b"\xff", b"\x1b[31m.jpg"])
    def test_a_file_name_of_any_bytes_is_kept(self, tmp_path: Path, name: bytes) -> None:
        root = touch(tmp_path / "x", b"a/" + name)
        assert paths_of(list_folder(root)) == [b"a/" + name]


def labelled(root: Path, labels: Sequence[str] | str | None) -> tuple[object, list[int | None]]:
    listing = list_folder(root, labels=labels)
    return listing.labels, [source.label for source in listing.sources]


class TestLabels:
    def test_auto_sorts_the_class_folders_by_bytes(self, tmp_path: Path) -> None:
        root = touch(tmp_path / "x", "b/1.jpg", "B/2.jpg", "é/3.jpg", "b/c/4.jpg", "a.b/5.jpg")
        assert labelled(root, "auto") == (("B", "a.b", "b", "é"), [0, 1, 2, 2, 3])

    def test_auto_gives_a_folder_without_subfolders_no_labels(self, tmp_path: Path) -> None:
        assert labelled(touch(tmp_path / "x", "1.jpg", "2.jpg"), "auto") == (None, [None, None])

    def test_none_gives_no_labels(self, tmp_path: Path) -> None:
        assert labelled(touch(tmp_path / "x", "a/1.jpg", "2.jpg"), None) == (None, [None, None])

    def test_pinned_names_determine_the_numbers(self, tmp_path: Path) -> None:
        root = touch(tmp_path / "x", "10/1.jpg", "9/1.jpg")
        assert labelled(root, ("8", "9", "10")) == (("8", "9", "10"), [2, 1])

    def test_a_class_name_that_is_not_utf_8_keeps_its_bytes(self, tmp_path: Path) -> None:
        root = touch(tmp_path / "x", b"caf\xe9/1.jpg")
        assert labelled(root, "auto") == (("caf\udce9",), [0])

    @pytest.mark.parametrize("labels", ["auto", ("a",)])
    def test_an_image_next_to_class_folders_is_an_error(
        self, tmp_path: Path, labels: Sequence[str] | str
    ) -> None:
        root = touch(tmp_path / "x", "a/1.jpg", "2.jpg")
        (root / "2.jpg").write_bytes(b"\xff\xd8\xff")
        with pytest.raises(DataError) as error:
            list_folder(root, labels=labels)
        assert str(error.value) == (
            f"{root}/2.jpg: found an image next to class folders, "
            "expected every image in one (or labels none)"
        )

    def test_a_class_that_is_not_pinned_is_an_error(self, tmp_path: Path) -> None:
        root = touch(tmp_path / "x", "a/1.jpg", "b/1.jpg")
        with pytest.raises(DataError) as error:
            list_folder(root, labels=("a", "c"), labels_from="labels l.txt")
        assert str(error.value) == (
            f"{root}/b: found a class that labels l.txt does not name, "
            "expected one of its 2 classes"
        )

    def test_a_class_that_another_split_lacks_says_what_to_do(self, tmp_path: Path) -> None:
        root = touch(tmp_path / "x", "a/1.jpg", "b/1.jpg")
        with pytest.raises(DataError) as error:
            list_folder(root, labels=("a",), labels_from="split 'train'")
        assert str(error.value).endswith(
            ": write all splits with one labels FILE of all classes, or in one run (split folders)"
        )

    def test_a_class_name_of_two_lines_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(DataError):
            list_folder(touch(tmp_path / "x", "a\nb/1.jpg"))

    def test_an_empty_class_folder_gives_a_warning(self, tmp_path: Path) -> None:
        root = touch(tmp_path / "x", "a/1.jpg")
        (root / "b").mkdir()
        listing = list_folder(root)
        assert (listing.labels, listing.warnings) == (("a",), ("b: class folder without images",))

    def test_an_empty_folder_gives_no_warning_without_labels(self, tmp_path: Path) -> None:
        root = touch(tmp_path / "x", "a/1.jpg")
        (root / "b").mkdir()
        assert list_folder(root, labels=None).warnings == ()

    def test_class_names_that_differ_only_in_case_give_a_warning(self, tmp_path: Path) -> None:
        listing = list_folder(touch(tmp_path / "x", "A/1.jpg", "a/1.jpg"))
        assert (paths_of(listing), listing.warnings) == (
            [b"A/1.jpg", b"a/1.jpg"],
            ("class names differ only in case: other file systems would merge them",),
        )

    def test_numbers_as_class_names_give_a_warning(self, tmp_path: Path) -> None:
        root = touch(tmp_path / "x", "10/1.jpg", "9/1.jpg")
        assert list_folder(root).warnings == (
            "class names are numbers and sort as text (10, 9…): pin their order with --labels FILE",
        )

    def test_numbers_in_the_order_of_text_give_no_warning(self, tmp_path: Path) -> None:
        assert list_folder(touch(tmp_path / "x", "0/1.jpg", "1/1.jpg", "7/1.jpg")).warnings == ()

    def test_the_first_class_may_have_another_number(self, tmp_path: Path) -> None:
        root = touch(tmp_path / "x", "a/1.jpg", "b/1.jpg")
        listing = list_folder(root, rule=ClassRule(first=2))
        assert (listing.labels, [source.label for source in listing.sources]) == (
            ("0", "1", "a", "b"),
            [2, 3],
        )

    def test_pinned_numbers_give_no_warning(self, tmp_path: Path) -> None:
        root = touch(tmp_path / "x", "10/1.jpg", "9/1.jpg")
        assert list_folder(root, labels=("9", "10")).warnings == ()


def test_folders_nested_deeper_than_the_recursion_limit_are_listed(tmp_path: Path) -> None:
    folders = [tmp_path / "x"]
    for _ in range(1_500):
        folders.append(folders[-1] / "d")
    for folder in folders:
        os.mkdir(folder)
    image = folders[-1] / "1.jpg"
    image.touch()
    found = paths_of(list_folder(tmp_path / "x", labels=None))
    image.unlink()
    for folder in reversed(folders):
        os.rmdir(folder)
    assert found == [b"d/" * 1_500 + b"1.jpg"]


def test_a_path_that_normalises_to_an_ascii_path_collides_with_it(tmp_path: Path) -> None:
    """File systems that normalise take the Kelvin sign, U+212A, for a K."""
    listing = list_folder(touch(tmp_path / "x", "K/1.jpg", "L/1.jpg", "\u212a/1.JPG"))
    assert (paths_of(listing), reasons_of(listing)) == (
        [b"K/1.jpg", b"L/1.jpg"],
        {"\u212a/1.JPG".encode(): "path_collision"},
    )


def test_paths_that_share_only_a_hash_do_not_collide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def repeated(paths: Iterable[bytes]) -> frozenset[int]:
        return frozenset(hash(collision_key(path)) for path in paths)

    monkeypatch.setattr(listings, "repeated_keys", repeated)
    listing = list_folder(touch(tmp_path / "x", "a/1.jpg", "a/2.jpg", "a/1.JPG"))
    assert (paths_of(listing), reasons_of(listing)) == (
        [b"a/1.JPG", b"a/2.jpg"],
        {b"a/1.jpg": "path_collision"},
    )
