"""Headers, delimiters and paths of image lists, as people write them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from conftest import fill, jpeg, photo, tree
from program import tfrec

from tfrec_cli.commands.verify import Options as VerifyOptions
from tfrec_cli.commands.verify import verify
from tfrec_cli.commands.write import write
from tfrec_cli.dataset.records import Column
from tfrec_cli.errors import TableError, UnreadableError, UsageError
from tfrec_cli.sources import open_source
from tfrec_cli.sources.header import Asked
from tfrec_cli.sources.listing import Listing
from tfrec_cli.writing.options import WriteOptions

IMAGES = {f"{name}.jpg": jpeg(photo(40, 50, seed)) for seed, name in enumerate("ab")}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Make a folder with a.jpg and b.jpg."""
    return fill(tmp_path / "images", IMAGES)


def listed(folder: Path, text: str | bytes, kind: str = "csv", **options: Any) -> Listing:
    path = folder / f"table.{kind}"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return open_source.list_source(path, **options)


def refused(folder: Path, text: str | bytes, kind: str = "csv", **options: Any) -> str:
    with pytest.raises(TableError) as error:
        listed(folder, text, kind, **options)
    mend = "; mend it, or on_error skip leaves it out"
    return str(error.value).removeprefix(f"{folder}/table.{kind}: ").removesuffix(mend)


def what(listing: Listing) -> tuple[Any, ...]:
    """Return paths, class names, columns and warnings."""
    paths = [source.path.decode() for source in listing.sources]
    return paths, listing.labels, [str(one) for one in listing.columns], list(listing.warnings)


class TestNames:
    @pytest.mark.parametrize(
        "path", ["filename", "file_name", "Image", "image_path", "img", "file"]
    )
    @pytest.mark.parametrize("label", ["class", "target", "Label", "label_name"])
    def test_usual_names_of_paths_and_labels_are_taken_and_said(
        self, images: Path, path: str, label: str
    ) -> None:
        listing = listed(images, f"{path},{label},q\na.jpg,x,1\nb.jpg,y,2\n")
        note = f"path: column {path}; label: column {label}"
        assert what(listing) == (["a.jpg", "b.jpg"], ("x", "y"), ["q int64"], [note])

    def test_nothing_is_said_of_the_columns_path_and_label(self, images: Path) -> None:
        assert listed(images, "path,label\na.jpg,x\n").warnings == ()

    def test_the_usual_name_wins(self, images: Path) -> None:
        """Other columns stay columns of values, as before these names were known."""
        listing = listed(images, "path,label,class,img\na.jpg,x,1,2\nb.jpg,y,2,3\n")
        assert what(listing) == (
            ["a.jpg", "b.jpg"], ("x", "y"), ["class int64", "img int64"], [],
        )  # fmt: skip

    def test_options_name_the_columns(self, images: Path) -> None:
        asked = Asked(path_column="p", label_column="q")
        listing = listed(images, "path,class,p,q\n1,2,a.jpg,x\n3,4,b.jpg,y\n", asked=asked)
        assert what(listing) == (
            ["a.jpg", "b.jpg"], ("x", "y"), ["class int64", "path int64"],
            ["path: column p; label: column q"],
        )  # fmt: skip

    @pytest.mark.parametrize("kind", ["csv", "jsonl"])
    @pytest.mark.parametrize("option", ["path_column", "label_column"])
    def test_a_named_column_must_be_there(self, images: Path, kind: str, option: str) -> None:
        text = "path,q\na.jpg,1\n" if kind == "csv" else '{"path": "a.jpg", "q": 1}\n'
        message = refused(images, text, kind, asked=Asked(**{option: "no"}))
        found = "'path', 'q'" if option == "path_column" else "'q'"
        assert message == f"line 1: found columns {found}, expected 'no' of {option} among them"

    def test_json_lists_have_these_names_too(self, images: Path) -> None:
        rows = [{"file_name": "a.jpg", "class": "x"}, {"file_name": "b.jpg", "class": "y"}]
        listing = listed(images, "\n".join(map(json.dumps, rows)), "jsonl")
        assert what(listing)[:2] == (["a.jpg", "b.jpg"], ("x", "y"))

    def test_json_without_paths_is_refused(self, images: Path) -> None:
        assert refused(images, '{"a": 1}\n', "jsonl") == (
            "line 1: found columns 'a', expected 'path' among them: path_column names another one"
        )

    def test_a_column_that_may_be_the_label_is_not_taken_as_values_by_chance(
        self, images: Path
    ) -> None:
        text = '{"path": "a.jpg"}\n{"path": "b.jpg", "class": "x"}\n'
        assert refused(images, text, "jsonl") == (
            "line 2: found 'class', expected it in the first line too: is it the label?"
        )
        assert what(listed(images, text, "jsonl", labels=None))[1:3] == (None, ["class bytes"])

    @pytest.mark.parametrize("kind", ["csv", "jsonl"])
    def test_a_column_of_values_of_another_split_stays_one(self, images: Path, kind: str) -> None:
        """Earlier versions wrote the column ``class`` as a feature, and verify must find that."""
        text = "path,class\na.jpg,1\n" if kind == "csv" else '{"path": "a.jpg", "class": 1}\n'
        pinned = (Column(name="class", kind="int64", is_list=False, is_everywhere=True),)
        assert what(listed(images, text, kind, columns=pinned))[1:3] == (None, ["class int64"])


class TestDelimiters:
    @pytest.mark.parametrize(
        ("kind", "text", "note"),
        [
            ("csv", "path;q\na.jpg;1, 5\n", "cells: separated by semicolons"),
            ("csv", "path\tq\na.jpg\t1, 5\n", "cells: separated by tabs"),
            ("csv", '\n\npath;q\r\na.jpg;"1, 5"\r\n', "cells: separated by semicolons"),
            (
                "csv",
                '"img";"q"\n"a.jpg";"1, 5"\n',
                "path: column img; cells: separated by semicolons",
            ),
        ],
    )
    def test_semicolons_and_tabs_are_recognised(
        self, images: Path, kind: str, text: str, note: str
    ) -> None:
        assert what(listed(images, text, kind)) == (["a.jpg"], None, ["q bytes"], [note])

    def test_the_named_column_of_paths_shows_the_delimiter(self, images: Path) -> None:
        listing = listed(images, "p,x;q\na.jpg;1\n", asked=Asked(path_column="p,x"))
        assert what(listing)[0] == ["a.jpg"]

    def test_commas_stay_commas(self, images: Path) -> None:
        assert what(listed(images, "path,a;b\na.jpg,1\n"))[2:] == (["a;b int64"], [])


class TestIndexOfPandas:
    @pytest.mark.parametrize("name", ["", "Unnamed: 0"])
    @pytest.mark.parametrize("numbers", [(0, 1), (17, 3)], ids=["all rows", "some rows"])
    def test_it_is_left_out_and_said(
        self, images: Path, name: str, numbers: tuple[int, int]
    ) -> None:
        text = f"{name},path,q\n{numbers[0]},a.jpg,1\n{numbers[1]},b.jpg,2\n"
        which = repr(name) if name else "1, which has no name"
        note = f"column {which}: found row numbers, as pandas writes them: left out"
        assert what(listed(images, text)) == (["a.jpg", "b.jpg"], None, ["q int64"], [note])

    def test_another_column_without_a_name_is_refused(self, images: Path) -> None:
        message = refused(images, ",path\nx,a.jpg\n")
        assert message == "line 1: found a first column without a name, expected a name"

    def test_a_column_that_pandas_named_is_kept_if_it_holds_text(self, images: Path) -> None:
        listing = listed(images, "Unnamed: 0,path\nx,a.jpg\n")
        assert what(listing)[2] == ["Unnamed: 0 bytes"]

    def test_a_column_of_another_split_is_kept(self, images: Path) -> None:
        pinned = (Column(name="Unnamed: 0", kind="int64", is_list=False, is_everywhere=True),)
        listing = listed(images, "Unnamed: 0,path\n0,a.jpg\n", columns=pinned)
        assert what(listing)[2:] == (["Unnamed: 0 int64"], [])


class TestPaths:
    def test_backslashes_are_read_as_slashes(self, images: Path) -> None:
        fill(images, {"x/y/c.jpg": b"x"})
        listing = listed(images, "path\nx\\y/c.jpg\n.\\a.jpg\n")
        assert (what(listing)[0], listing.warnings) == (
            ["a.jpg", "x/y/c.jpg"], ("backslashes: read as slashes",),
        )  # fmt: skip

    @pytest.mark.parametrize("through_link", [False, True])
    def test_absolute_paths_below_the_folder_are_read(
        self, images: Path, through_link: bool
    ) -> None:
        link = images.parent / "link"
        link.symlink_to(images)
        root = link if through_link else images
        text = f"path\n{link if through_link else images}/a.jpg\n{images}//b.jpg\n"
        listing = listed(images.parent, text, root=root)
        assert (what(listing)[0], listing.warnings) == (
            ["a.jpg", "b.jpg"], ("absolute paths: read as relative",),
        )  # fmt: skip

    def test_absolute_paths_elsewhere_are_refused(self, images: Path) -> None:
        assert refused(images, f"path\n{images}2/a.jpg\n").endswith(
            f", expected a path below {images} and without '..' (root names another folder)"
        )

    @pytest.mark.parametrize(
        ("place", "rows", "found"),
        [
            ("", ["a.jpg"], "no a.jpg in {}: root {}/images has it"),
            ("", ["a"], "no a in {}: root {}/images with suffix .jpg finds it"),
            (
                "",
                ["a", "b.jpg"],
                "none of its 2 images, such as a, in {}: root {}/images with suffix .jpg finds 1 "
                "of them",
            ),
            (
                "images",
                ["a", "b"],
                "none of its 2 images, such as a, in {}/images: suffix .jpg finds them",
            ),
            (
                "",
                ["a.jpg", "b.jpg"],
                "none of its 2 images, such as a.jpg, in {}: root {}/images has them",
            ),
            (
                "",
                ["a.jpg", "c"],
                "none of its 2 images, such as a.jpg, in {}: root {}/images has 1 of them",
            ),
            ("x/y", ["images/a.jpg"], "no images/a.jpg in {}/x/y: root {} has it"),
            ("", ["c.jpg"], "no c.jpg in {}: root names the folder that contains its paths"),
        ],
    )
    def test_the_folder_that_has_the_images_is_named(
        self, images: Path, tmp_path: Path, place: str, rows: list[str], found: str
    ) -> None:
        text = "\n".join(["path", *rows])
        source = (
            fill(tmp_path, {f"{place}/list.csv".strip("/"): text.encode()}) / place / "list.csv"
        )
        with pytest.raises(UnreadableError) as refused:
            write(source, tmp_path / "out", WriteOptions(jobs=1))
        assert str(refused.value) == f"{source}: found {found.format(tmp_path, tmp_path)}"


class TestBoxes:
    @pytest.mark.parametrize("kind", ["csv", "jsonl"])
    def test_sizes_of_images_are_left_out_and_said(self, images: Path, kind: str) -> None:
        text = "filename,width,height,q\na.jpg,50,40,1\n"
        if kind == "jsonl":
            text = '{"filename": "a.jpg", "q": 1}\n{"filename": "b.jpg", "width": 1, "height": 2}'
        assert what(listed(images, text, kind))[2:] == (
            ["q int64"],
            [
                "path: column filename",
                "height and width: tfrec measures the images itself: left out",
            ],
        )

    @pytest.mark.parametrize("names", ["xmin,ymin,xmax,ymax", "x1,y1,x2,y2", "x,y,width,height"])
    def test_one_box_a_row_is_refused_with_a_hint(self, images: Path, names: str) -> None:
        text = f"filename,{names}\na.jpg,0,0,1,1\na.jpg,0,0,1,1\n"
        assert refused(images, text) == (
            "line 3: found a.jpg again, expected one row for each image: its boxes as JSON lists, "
            "such as [0.1, 0.5]"
        )


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize(
    ("name", "column", "notes"),
    [
        (
            "label",
            [],
            [
                "column label: left out with --labels none, since tfrec uses this name for labels: "
                "rename the column to store it as a feature"
            ],
        ),
        ("Label", ["Label float"], []),
        ("class", ["class float"], []),
    ],
)
def test_without_labels_no_column_of_labels_is_lost_in_silence(
    images: Path, kind: str, name: str, column: list[str], notes: list[str]
) -> None:
    text = f"path,{name}\na.jpg,76.0\nb.jpg,3.6\n"
    if kind == "jsonl":
        text = f'{{"path": "a.jpg", "{name}": 76.0}}\n{{"path": "b.jpg", "{name}": 3.6}}\n'
    listing = listed(images, text, kind, labels=None)
    assert what(listing) == (["a.jpg", "b.jpg"], None, column, notes)


@pytest.mark.parametrize("ending", ["xlsx", "xls", "ods"])
def test_a_workbook_is_named_with_what_to_do(tmp_path: Path, ending: str) -> None:
    fill(tmp_path, {f"a.{ending}": b"PK"})
    with pytest.raises(UsageError, match=r"found a workbook, .*: save it as CSV in UTF-8$"):
        open_source.root_of(tmp_path / f"a.{ending}")


class TestProgram:
    LIST = ";p;kind;class\n0;a.jpg;x;1\n1;b.jpg;y;2\n"
    ASKED = ("--path-column", "p", "--label-column", "kind")

    def test_verify_and_salvage_need_no_options_again(self, images: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        (images / "list.csv").write_text(self.LIST)
        ran = tfrec("write", images / "list.csv", out, *self.ASKED)
        assert (ran.code, ran.err) == (
            0,
            "tfrec: path: column p; label: column kind; cells: separated by semicolons\n"
            "tfrec: column 1, which has no name: found row numbers, as pandas writes them: left "
            "out\n",
        )
        options = VerifyOptions(source=((None, images / "list.csv"),), jobs=1)
        assert verify(out, options).findings == []
        shard = next(out.glob("*.tfrecord"))
        ran = tfrec("salvage", shard, tmp_path / "new", "--source", images / "list.csv")
        assert ran.code == 0

    def test_a_suffix_is_added_to_each_path_and_recorded(
        self, images: Path, tmp_path: Path
    ) -> None:
        path = images / "list.csv"
        path.write_text(f"path,label\na,x\n{images}/b,y\n")
        ran = tfrec("write", path, tmp_path / "out", "--suffix", ".jpg")
        assert (ran.code, ran.err) == (0, "tfrec: absolute paths: read as relative\n")
        options = VerifyOptions(source=((None, path),), jobs=1)
        assert verify(tmp_path / "out", options).findings == []
        ran = tfrec("write", path, tmp_path / "new", "--suffix", "jpg")
        assert ran.error == (
            f"tfrec: {path}: found none of its 2 images, such as ajpg, in {images}: --root names "
            "the folder that contains its paths\n"
        )

    def test_manifests_without_these_options_do_not_have_them(
        self, images: Path, tmp_path: Path
    ) -> None:
        (images / "list.csv").write_text("filename,class\na.jpg,x\n")
        written = write(images / "list.csv", tmp_path / "out", WriteOptions(jobs=1))
        assert written.manifest
        assert not {"path_column", "label_column", "suffix"} & written.manifest.options.keys()
        options = VerifyOptions(source=((None, images / "list.csv"),), jobs=1)
        assert verify(tmp_path / "out", options).findings == []

    def test_a_write_that_ended_can_be_resumed(self, images: Path, tmp_path: Path) -> None:
        (images / "list.csv").write_text(self.LIST)
        argv = ("write", images / "list.csv", tmp_path / "out", *self.ASKED)
        assert tfrec(*argv).code == 0
        assert tfrec(*argv, "--resume").out.startswith("already written")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--path-column", "x"], "--path-column: needs an image list, but {} is a folder"),
            (["--suffix", ".x"], "--suffix: needs an image list, but {} is a folder"),
            (["--label-column", "x"], "--label-column: needs an image list, but {} is a folder"),
            (
                ["--label-column", "x", "--labels", "none"],
                "--label-column: cannot be used with --labels none",
            ),
            (
                ["--label-column", "x", "--path-column", "x"],
                "--label-column: found the column of --path-column, expected another",
            ),
        ],
    )
    def test_options_without_effect_are_refused(
        self, images: Path, tmp_path: Path, options: list[str], message: str
    ) -> None:
        ran = tfrec("write", images, tmp_path / "out", *options)
        assert (ran.code, ran.error) == (2, f"tfrec: {message.format(images)}\n")
        assert tree(tmp_path).keys() == {"images", "images/a.jpg", "images/b.jpg"}

    def test_a_note_is_in_the_json_document(self, images: Path, tmp_path: Path) -> None:
        (images / "list.csv").write_text("img\na.jpg\n")
        ran = tfrec("write", images / "list.csv", tmp_path / "out", "--dry-run", "--json")
        assert json.loads(ran.out)["warnings"] == ["path: column img"]
        assert os.listdir(tmp_path) == ["images"]
