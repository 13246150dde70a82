"""Image lists: what is read from them, and everything that can be wrong with one."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import fill, jpeg, photo
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_cli.commands.verify import Options as VerifyOptions
from tfrec_cli.commands.verify import verify
from tfrec_cli.commands.write import write
from tfrec_cli.dataset import records
from tfrec_cli.dataset.boxes import SIDES
from tfrec_cli.dataset.records import Column
from tfrec_cli.errors import RunError, TableError, UsageError
from tfrec_cli.sources import open_source
from tfrec_cli.sources.folder import list_folder
from tfrec_cli.sources.labels import ClassRule
from tfrec_cli.sources.listing import Listing
from tfrec_cli.tfrecord import example
from tfrec_cli.writing.options import WriteOptions as Options

IMAGES = {f"{name}.jpg": jpeg(photo(40, 50, seed)) for seed, name in enumerate("abcd")}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Make a folder with a.jpg, b.jpg, c.jpg and d.jpg."""
    return fill(tmp_path / "images", IMAGES)


def listed(folder: Path, text: str | bytes, kind: str = "csv", **options: Any) -> Listing:
    path = folder / f"table.{kind}"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return open_source.list_source(path, **options)


def lines(*rows: Mapping[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


LONG = "7" * 28 + "1" * 5000 + "8" * 29
SHOWN = "7" * 28 + "..." + "8" * 29


MEND_IT = "; mend it, or on_error skip leaves it out"
MEND_THEM = "; mend them, or on_error skip leaves them out"


def refused(folder: Path, text: str | bytes, kind: str = "csv", **options: Any) -> str:
    with pytest.raises(TableError) as error:
        listed(folder, text, kind, **options)
    return str(error.value).removeprefix(f"{folder}/table.{kind}: ").removesuffix(MEND_IT)


def features(listing: Listing) -> list[dict[str, Any]]:
    """Return the additional features of each source: name to values."""
    rows = [records.further(listing.columns, source.features) for source in listing.sources]
    return [{name: list(feature.values) for name, feature in row.items()} for row in rows]


def columns(listing: Listing) -> list[str]:
    return [str(column) for column in listing.columns]


def column_of(folder: Path, *cells: str) -> Listing:
    """List a CSV with one additional column."""
    out = io.StringIO()
    csv.writer(out).writerows([["path", "x"], *zip(IMAGES, cells, strict=False)])
    return listed(folder, out.getvalue())


class TestPaths:
    def test_each_path_is_a_source_with_its_size(self, images: Path) -> None:
        (one, two) = listed(images, "path\nb.jpg\na.jpg\n").sources
        assert (one.path, one.size_bytes, one.label, one.features) == (
            b"a.jpg", len(IMAGES["a.jpg"]), None, b"",
        )  # fmt: skip
        assert two.path == b"b.jpg"

    @pytest.mark.parametrize("path", ["./a.jpg", ".//a.jpg", "././a.jpg"])
    def test_a_path_is_stored_in_its_shortest_form(self, images: Path, path: str) -> None:
        (one,) = listed(images, f"path\n{path}\n").sources
        assert one.path == b"a.jpg"

    def test_paths_are_relative_to_root(self, images: Path, tmp_path: Path) -> None:
        (one,) = listed(tmp_path, "path\na.jpg\n", root=images).sources
        assert one.size_bytes == len(IMAGES["a.jpg"])

    @pytest.mark.parametrize(
        "path", ["/a.jpg", "../a.jpg", "x/../a.jpg", "..\\a.jpg", "C:\\a.jpg", ".", "./", "//"]
    )
    @pytest.mark.parametrize("kind", ["csv", "jsonl"])
    def test_a_path_that_is_not_below_root_is_refused(
        self, images: Path, path: str, kind: str
    ) -> None:
        text = f"path\na.jpg\n{path}\n" if kind == "csv" else lines({"path": path})
        assert refused(images, text, kind) == (
            f"line {3 if kind == 'csv' else 1}: path: found {path!r}, expected a path below "
            f"{images} and without '..' (root names another folder)"
        )

    def test_a_url_is_no_path(self, images: Path) -> None:
        assert refused(images, "path\na.jpg\nhttps://host/b.jpg\n") == (
            "line 3: path: found the URL 'https://host/b.jpg', expected a local path: "
            "download it first"
        )

    @pytest.mark.parametrize("path", [None, "", 3, ["a.jpg"], True, {}])
    def test_a_value_that_is_not_a_path_is_refused(self, images: Path, path: Any) -> None:
        found = "nothing" if path in (None, "") else repr(path)
        message = f"line 1: path: found {found}, expected the path of an image"
        assert refused(images, lines({"path": path}), "jsonl") == message

    def test_a_path_that_is_listed_twice_is_refused(self, images: Path) -> None:
        message = refused(images, "path\na.jpg\nb.jpg\n./a.jpg\na.jpg\n")
        assert message == ("found 2 wrong lines: 4, 5")
        expected = "line 3: found a.jpg again, expected it only in line 2"
        assert refused(images, "path\na.jpg\na.jpg\n", skips=True) == expected

    def test_paths_that_are_missing_or_not_regular_files_are_rejected(self, images: Path) -> None:
        (images / "folder").mkdir()
        os.mkfifo(images / "pipe.jpg")
        listing = listed(images, "path\nnone.jpg\nfolder\npipe.jpg\na.jpg/b\na.jpg\n")
        assert [one.path for one in listing.sources] == [b"a.jpg"]
        assert [(one.path, one.reason, one.harmless) for one in listing.rejects] == [
            (b"a.jpg/b", "unreadable", False),
            (b"folder", "not_a_regular_file", False),
            (b"none.jpg", "unreadable", False),
            (b"pipe.jpg", "not_a_regular_file", False),
        ]

    def test_json_can_list_file_names_of_any_bytes(self, images: Path) -> None:
        name = b"\xff.jpg"
        Path(os.fsdecode(os.fsencode(images) + b"/" + name)).write_bytes(IMAGES["a.jpg"])
        (one,) = listed(images, '{"path": "\\udcff.jpg"}', "jsonl").sources
        assert one.path == name

    def test_hidden_files_can_be_listed(self, images: Path) -> None:
        fill(images, {".x/a.txt": IMAGES["a.jpg"]})
        (one,) = listed(images, "path\n.x/a.txt\n").sources
        assert one.path == b".x/a.txt"


class TestLabels:
    def test_classes_are_sorted_by_their_bytes(self, images: Path) -> None:
        listing = listed(images, "path,label\na.jpg,é\nb.jpg,b\nc.jpg,B\nd.jpg,b\n")
        assert listing.labels == ("B", "b", "é")
        assert [one.label for one in listing.sources] == [2, 1, 0, 1]

    def test_folders_do_not_become_classes(self, tmp_path: Path) -> None:
        fill(tmp_path, {"cat/a.jpg": b"x"})
        listing = listed(tmp_path, "path\ncat/a.jpg\n")
        assert (listing.labels, listing.sources[0].label) == (None, None)

    def test_an_empty_column_gives_no_labels(self, images: Path) -> None:
        assert listed(images, "path,label\na.jpg,\nb.jpg,\n").labels is None

    @pytest.mark.parametrize("kind", ["csv", "jsonl"])
    def test_whole_numbers_are_class_numbers_and_stay_as_they_are(
        self, images: Path, kind: str
    ) -> None:
        text = lines({"path": "a.jpg", "label": 10}, {"path": "b.jpg", "label": 9})
        listing = listed(images, "path,label\na.jpg,10\nb.jpg,9\n" if kind == "csv" else text, kind)
        assert (listing.labels, listing.warnings) == (tuple(map(str, range(11))), ())
        assert [one.label for one in listing.sources] == [10, 9]

    @pytest.mark.parametrize("labels", ["cat,10", "007,10"])
    def test_numbers_among_names_are_names(self, images: Path, labels: str) -> None:
        one, other = labels.split(",")
        listing = listed(images, f"path,label\na.jpg,{one}\nb.jpg,{other}\n")
        assert listing.labels == tuple(sorted((one, other)))

    @pytest.mark.parametrize(
        ("names", "numbers"),
        [
            (("a", "b", "c"), [0, 2]),
            (("2", "0"), [1, 0]),
            (("2", "1", "3"), [0, 2]),
        ],
        ids=["names of numbers", "names", "not all are names"],
    )
    def test_class_numbers_get_their_names_from_a_file(
        self, images: Path, names: tuple[str, ...], numbers: list[int]
    ) -> None:
        listing = listed(images, "path,label\na.jpg,0\nb.jpg,2\n", labels=names)
        assert (listing.labels, [one.label for one in listing.sources]) == (names, numbers)

    @pytest.mark.parametrize("label", ["0.5", "-1", "1.5e0", "1000000", "3e7"])
    def test_other_numbers_are_refused(self, images: Path, label: str) -> None:
        assert refused(images, f"path,label\na.jpg,{label}\nb.jpg,1\n") == (
            f"line 2: label: found {label!r}, expected a name, or a class number up to 999999: "
            "name the column otherwise to keep it as a number"
        )

    @pytest.mark.parametrize("kind", ["csv", "jsonl"])
    def test_class_numbers_with_a_point_are_read_as_whole_numbers(
        self, images: Path, kind: str
    ) -> None:
        """As pandas writes a column in which a cell was once empty."""
        text = "path,class\na.jpg,1.0\nb.jpg,2.\nc.jpg,1\n"
        rows = [
            {"path": f"{name}.jpg", "class": label}
            for name, label in zip("abc", (1.0, 2.0, 1), strict=True)
        ]
        listing = listed(images, text if kind == "csv" else lines(*rows), kind)
        assert (listing.labels, [one.label for one in listing.sources]) == (
            ("0", "1", "2"),
            [1, 2, 1],
        )
        assert "column class: 1.0 is read as 1" in listing.warnings

    def test_a_file_may_name_class_numbers_with_a_point(self, images: Path) -> None:
        text = "path,label\na.jpg,1.0\nb.jpg,0.0\n"
        for names, expected in ((("x", "y"), [1, 0]), (("0.0", "1.0"), [1, 0])):
            listing = listed(images, text, labels=names)
            assert (listing.labels, [one.label for one in listing.sources]) == (names, expected)

    @pytest.mark.parametrize("kind", ["csv", "jsonl"])
    def test_fractions_are_one_line(self, images: Path, kind: str) -> None:
        rows = [{"path": "a.jpg", "label": 1.0}]
        rows += [
            {"path": f"{name}.jpg", "label": 0.5 + number} for number, name in enumerate("bcd")
        ]
        text = "".join(
            f"{one['path']},{one['label']}\n" for one in ({"path": "path", "label": "label"}, *rows)
        )
        with pytest.raises(TableError) as error:
            listed(images, text if kind == "csv" else lines(*rows), kind)
        line = 3 if kind == "csv" else 2
        found = "0.5" if kind == "jsonl" else "'0.5'"
        assert error.value.first == (
            f"line {line}: label: found {found}, expected a name, or a class number up to 999999: "
            "name the column otherwise to keep it as a number (and 2 more lines)",
        )
        assert len(error.value.details) == 3

    def test_names_may_have_another_first_number(self, images: Path) -> None:
        listing = listed(images, "path,label\na.jpg,x\nb.jpg,y\n", rule=ClassRule(first=1))
        assert (listing.labels, [one.label for one in listing.sources]) == (("0", "x", "y"), [1, 2])

    @pytest.mark.parametrize(
        ("rule", "found"),
        [
            (
                ClassRule(first=1),
                "first_label: found labels that are numbers: they stay as they are",
            ),
            (ClassRule(level="leaf"), "labels leaf: needs a folder of images, but "),
            (ClassRule(in_splits=True), "split folders: needs a folder of images, but "),
        ],
    )
    def test_rules_without_effect_are_refused(
        self, images: Path, rule: ClassRule, found: str
    ) -> None:
        with pytest.raises(UsageError) as error:
            listed(images, "path,label\na.jpg,0\n", rule=rule)
        assert str(error.value).startswith(found)

    def test_the_order_of_classes_can_be_pinned(self, images: Path) -> None:
        listing = listed(images, "path,label\na.jpg,9\nb.jpg,10\n", labels=("9", "10", "11"))
        assert (listing.labels, listing.warnings) == (("9", "10", "11"), ())
        assert [one.label for one in listing.sources] == [0, 1]

    def test_labels_are_not_read_if_they_are_not_wanted(self, images: Path) -> None:
        listing = listed(images, "path,label\na.jpg,x\nb.jpg, y\n", labels=None)
        assert (listing.labels, listing.columns) == (None, ())

    def test_a_class_that_is_not_pinned_is_refused(self, images: Path) -> None:
        text = "path,label\na.jpg,x\nb.jpg,y\n"
        assert refused(images, text, labels=("x", "z"), labels_from="labels l.txt") == (
            "line 3: label: found 'y', expected one of the 2 classes of labels l.txt"
        )

    def test_classes_of_another_split_are_refused_with_what_to_do(self, images: Path) -> None:
        with pytest.raises(TableError) as error:
            listed(
                images,
                "path,label\na.jpg,x\nb.jpg,y\nc.jpg,z\n",
                labels=("x",),
                labels_from="split 'train'",
            )
        assert error.value.first == (
            "line 3: label: found 'y', expected one of the 1 classes of split 'train': write all "
            "splits with one labels FILE of all classes, or in one run (split_column NAME) "
            "(and 1 more line)",
        )

    def test_a_list_without_labels_is_refused_if_classes_are_pinned(self, images: Path) -> None:
        message = refused(images, "path\na.jpg\n", labels=("x",), labels_from="labels l.txt")
        assert message == (
            "found no column 'label', expected one with classes of labels l.txt: "
            "label_column names it"
        )

    @pytest.mark.parametrize("labels", ["auto", ("x", "y")])
    def test_rows_without_a_label_among_others_are_refused(self, images: Path, labels: Any) -> None:
        text = "path,label\na.jpg,\nb.jpg,x\nc.jpg,\n"
        assert refused(images, text, labels=labels) == (f"found 2 wrong lines: 2, 4{MEND_THEM}")
        text = "path,label\na.jpg,\nb.jpg,x\n"
        assert refused(images, text, labels=labels) == (
            "line 2: label: found none, expected one in every row, or in no row"
        )

    @pytest.mark.parametrize("label", [" x", "x\t", "a\nb", "a\0b", True, ["x"], {}])
    def test_a_label_that_cannot_be_a_name_is_refused(self, images: Path, label: Any) -> None:
        assert refused(images, lines({"path": "a.jpg", "label": label}), "jsonl") == (
            f"line 1: label: found {label!r}, expected the name of a class in one line, without "
            "spaces around it"
        )


class TestCells:
    @pytest.mark.parametrize(
        ("cells", "kind", "values"),
        [
            (["1", "-2", "+3", "0"], "int64", [1, -2, 3, 0]),
            (["9223372036854775807", "-9223372036854775808"], "int64", [2**63 - 1, -(2**63)]),
            (["1", "0.5", "1e3", "-.5"], "float", [1, 0.5, 1000, -0.5]),
            (["1180591620717411303424", "0.5"], "float", [2.0**70, 0.5]),
            (["a", "ü", "x,y", 'q"'], "bytes", [b"a", "ü".encode(), b"x,y", b'q"']),
            (["007", "008"], "bytes", [b"007", b"008"]),
            (["true", "False"], "bytes", [b"true", b"False"]),
            (["nan", "inf"], "bytes", [b"nan", b"inf"]),
            (["1 ", " 2"], "int64", [1, 2]),
            (["9" * 5000, "x"], "bytes", [b"9" * 5000, b"x"]),
            (["[1, 2]", "[]"], "int64[]", [[1, 2], []]),
            (["[1, 0.5]", "[2]"], "float[]", [[1, 0.5], [2]]),
            (['["a", "ü"]', "[]"], "bytes[]", [[b"a", "ü".encode()], []]),
            (["[1, 2]", "x"], "bytes", [b"[1, 2]", b"x"]),
            (["[1, 2]", '["x"]'], "bytes", [b"[1, 2]", b'["x"]']),
            (['[1, "x"]'], "bytes", [b'[1, "x"]']),
            (["[[1]]"], "bytes", [b"[[1]]"]),
            (["[NaN]", "[1"], "bytes", [b"[NaN]", b"[1"]),
        ],
    )
    def test_all_cells_of_a_column_get_the_same_type(
        self, images: Path, cells: list[str], kind: str, values: list[Any]
    ) -> None:
        listing = column_of(images, *cells)
        assert columns(listing) == [f"x {kind}"]
        expected = [value if isinstance(value, list) else [value] for value in values]
        assert [row["x"] for row in features(listing)] == expected

    def test_an_empty_cell_gives_no_feature(self, images: Path) -> None:
        listing = column_of(images, "1", "", "3")
        assert features(listing) == [{"x": [1]}, {}, {"x": [3]}]
        assert listing.columns == (
            Column(name="x", kind="int64", is_list=False, is_everywhere=False),
        )

    def test_a_column_of_empty_cells_is_left_out(self, images: Path) -> None:
        listing = column_of(images, "", "")
        assert (listing.columns, listing.sources[0].features) == ((), b"")
        assert listing.warnings == ("column 'x': found no value: left out",)

    @pytest.mark.parametrize(
        ("cells", "found"),
        [
            (
                ["1", "N/A", "2.5"],
                "a whole number in line 2 and text in line 3 and a number in line 4",
            ),
            (["[1]", "2"], "a list of whole numbers in line 2 and a whole number in line 3"),
            (["x", "[]"], "text in line 2 and a list in line 3"),
        ],
    )
    def test_numbers_that_become_text_give_a_warning(
        self, images: Path, cells: list[str], found: str
    ) -> None:
        warning = f"column 'x': found {found}: stored as text"
        assert column_of(images, *cells).warnings == (warning,)

    @pytest.mark.parametrize(
        ("cells", "message"),
        [
            (["1", str(2**63)], f"found {2**63}, expected a whole number of 64 bits"),
            (["1", str(2**70)], f"found {2**70}, expected a whole number of 64 bits"),
            (["1", LONG], f"found {SHOWN}, expected a whole number of 64 bits"),
            (["1.5", LONG], f"found {SHOWN}, expected a finite number of 32 bits"),
            (["[1]", f"[{LONG}]"], f"found {SHOWN}, expected a whole number of 64 bits"),
            (["0.5", "nan"], "found 'nan', expected a finite number of 32 bits"),
            (["1", "-Inf"], "found '-Inf', expected a finite number of 32 bits"),
            (["1", "3.5e38"], "found 3.5e+38, expected a finite number of 32 bits"),
            (["1", "1e999"], "found inf, expected a finite number of 32 bits"),
            (["[1]", "[1e999]"], "found inf, expected a finite number of 32 bits"),
        ],
    )
    def test_numbers_that_no_feature_can_hold_are_refused(
        self, images: Path, cells: list[str], message: str
    ) -> None:
        with pytest.raises(TableError) as error:
            column_of(images, *cells)
        assert str(error.value) == f"{images}/table.csv: line 3: x: {message}{MEND_IT}"

    def test_numbers_with_a_comma_are_text_and_give_a_warning(self, images: Path) -> None:
        listing = listed(images, "path;x;y\na.jpg;1,5;1,2,3\nb.jpg;0,5;1,2,3\n")
        assert columns(listing) == ["x bytes", "y bytes"]
        assert listing.warnings[1:] == (
            "column 'x': found 1,5 in line 2: numbers need a point: stored as text",
        )

    @pytest.mark.parametrize("kind", ["csv", "jsonl"])
    def test_a_column_of_paths_of_images_is_text_and_that_is_said(
        self, images: Path, kind: str
    ) -> None:
        text = "path,mask,note\na.jpg,masks/1.PNG,x.jpg\nb.jpg,2.png,y\nc.jpg,,z.jpg\n"
        if kind == "jsonl":
            rows = csv.DictReader(io.StringIO(text))
            text = lines(*({name: cell or None for name, cell in row.items()} for row in rows))
        assert listed(images, text, kind).warnings == (
            "column 'mask': found names of image files: stored as text, the files are not read",
        )

    def test_the_first_cells_show_whether_a_column_holds_paths_of_images(
        self, tmp_path: Path
    ) -> None:
        """The 101st cell is not looked at, the 100th is."""
        rows = [f"{number}.jpg,{number}.png" for number in range(200)]
        assert len(listed(tmp_path, "\n".join(["path,x", *rows[:100], "y.jpg,z"])).warnings) == 1
        assert listed(tmp_path, "\n".join(["path,x", *rows[:99], "y.jpg,z"])).warnings == ()

    def test_the_largest_float_is_accepted(self, images: Path) -> None:
        assert columns(column_of(images, "3.4028235e38", "0.5")) == ["x float"]

    def test_tabs_separate_the_cells_of_tsv(self, images: Path) -> None:
        listing = listed(images, "path\tx\na.jpg\t1,2\n", "tsv")
        assert features(listing) == [{"x": [b"1,2"]}]

    def test_a_cell_may_have_several_lines(self, images: Path) -> None:
        text = 'path,x\na.jpg,"1\n2"\nb.jpg,3,4\n'
        assert refused(images, text) == "line 4: found 3 cells, expected 2"


class TestJson:
    @pytest.mark.parametrize(
        ("values", "kind", "expected"),
        [
            ([1, 2**63 - 1], "int64", [[1], [2**63 - 1]]),
            ([True, False], "int64", [[1], [0]]),
            ([1, 0.5], "float", [[1], [0.5]]),
            (["1", "x"], "bytes", [[b"1"], [b"x"]]),
            ([[], [1.5, 2]], "float[]", [[], [1.5, 2]]),
            ([[], ["x"], []], "bytes[]", [[], [b"x"], []]),
            (["\0", ""], "bytes", [[b"\0"], [b""]]),
        ],
    )
    def test_json_values_keep_their_types(
        self, images: Path, values: list[Any], kind: str, expected: list[Any]
    ) -> None:
        rows = [{"path": path, "x": value} for path, value in zip(IMAGES, values, strict=False)]
        listing = listed(images, lines(*rows), "jsonl")
        assert columns(listing) == [f"x {kind}"]
        assert [row["x"] for row in features(listing)] == expected

    def test_a_value_that_is_null_or_missing_gives_no_feature(self, images: Path) -> None:
        rows = [{"path": "a.jpg"}, {"path": "b.jpg", "x": 1, "y": 2}, {"path": "c.jpg", "x": None}]
        assert features(listed(images, lines(*rows), "jsonl")) == [{}, {"x": [1], "y": [2]}, {}]

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ([1, "x"], "found 'x', expected a number as in line 1"),
            (["x", 1], "found 1, expected text as in line 1"),
            ([1, [1]], "found [1], expected a number as in line 1"),
            ([[1], 1], "found 1, expected a list of numbers as in line 1"),
            ([[1], ["x"]], "found ['x'], expected a list of numbers as in line 1"),
            ([[], "x"], "found 'x', expected a list of texts as in line 1"),
            ([1, 2**63], f"found {2**63}, expected a whole number of 64 bits"),
            ([1, 1e39], "found 1e+39, expected a finite number of 32 bits"),
            (["x", "\ud800"], "found '\\ud800', expected text"),
        ],
    )
    def test_different_types_in_one_column_are_refused(
        self, images: Path, values: list[Any], message: str
    ) -> None:
        rows = [{"path": path, "x": value} for path, value in zip(IMAGES, values, strict=False)]
        assert refused(images, lines(*rows), "jsonl") == f"line 2: x: {message}"

    @pytest.mark.parametrize("value", [{}, {"a": 1}, [[1]], [None], [1, "x"], [{}]])
    def test_a_value_that_no_feature_can_hold_is_refused(self, images: Path, value: Any) -> None:
        assert refused(images, lines({"path": "a.jpg", "x": value}), "jsonl") == (
            f"line 1: x: found {value!r}, expected a number, text, true, false, null, or a list of "
            "numbers or of texts"
        )

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("x", "Expecting value at character 1, expected JSON"),
            ("[1]", "found [1], expected a JSON object"),
            ('{"path": "a.jpg", "path": "b.jpg"}', "found 'path' twice, expected it once"),
            ('{"path": "a.jpg", "x": NaN}', "found NaN, expected finite numbers"),
            (
                f'{{"path": "a.jpg", "x": {LONG}}}',
                f"found {SHOWN}, expected a whole number of 64 bits",
            ),
            ("[" * 100_000, "found too deeply nested lists, expected a JSON object"),
        ],
    )
    def test_lines_that_are_not_objects_are_refused(
        self, images: Path, text: str, message: str
    ) -> None:
        assert refused(images, f'{{"path": "c.jpg"}}\n\n{text}\n', "jsonl") == f"line 3: {message}"


class TestHeader:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "line 1: found no column names, expected 'path' among them"),
            ("\n\n", "line 3: found no column names, expected 'path' among them"),
            (
                "a,label\n",
                "line 1: found columns 'a', 'label', expected 'path' among them: path_column names",
            ),
            ("a;label\n", "line 1: found columns 'a', 'label', expected 'path' among them"),
            (
                "a.jpg,cat\n",
                "line 1: found no names of columns, expected them in this line, such as",
            ),
            (
                "filename,image\n",
                "line 1: found columns 'filename' and 'image', expected one of paths: path_column "
                "names it",
            ),
            (
                "path,class,Target\n",
                "line 1: found columns 'class' and 'Target', expected one of labels: label_column "
                "names it",
            ),
            ("path,x,x\n", "line 1: found column 'x' twice, expected it once"),
            ("path,\n", "line 1: found column '', expected a name without spaces around it"),
            ("path,x, x\n", "line 1: found column 'x' twice, expected it once"),
            ("path,x\xa0\n", "line 1: found column 'x\\xa0', expected a name without spaces"),
            ("path,label,Label\n", "line 1: found column 'Label', expected 'label'"),
            (b"\xff\xfep\0a\0t\0h\0\n\0", "line 1: found UTF-16, expected UTF-8: save it as CSV"),
            (
                b"PK\3\4\n",
                "line 1: found an Excel workbook, expected text: save it as CSV in UTF-8",
            ),
            ("path,a\x1bb\n", "line 1: found column 'a\\x1bb', expected a name without spaces"),
        ],
    )
    def test_a_bad_header_is_refused(self, images: Path, text: str | bytes, message: str) -> None:
        assert refused(images, text).startswith(message)

    @pytest.mark.parametrize("name", ["image", "key", "filename", "window"])
    @pytest.mark.parametrize("keys", ["plain", "tf-models"])
    @pytest.mark.parametrize("kind", ["csv", "jsonl"])
    def test_reserved_names_are_refused(
        self, images: Path, name: str, keys: Any, kind: str
    ) -> None:
        text = f"path,{name}\n" if kind == "csv" else lines({"path": "a.jpg", name: 1})
        with pytest.raises(UsageError, match=f"column '{name}': tfrec uses this name"):
            listed(images, text, kind, keys=keys)

    def test_more_than_a_thousand_columns_are_refused(self, images: Path) -> None:
        text = lines(*({"path": f"{number}.jpg", f"x{number}": 1} for number in range(1001)))
        with pytest.raises(TableError) as error:
            listed(images, text, "jsonl")
        expected = "line 1001: found column 'x1000', expected 1000 columns at most"
        assert error.value.first[-1].startswith(expected)

    def test_a_byte_order_mark_is_not_part_of_the_header(self, images: Path) -> None:
        assert len(listed(images, b"\xef\xbb\xbfpath\r\na.jpg\r\n").sources) == 1


class TestSpaces:
    NOTE = "cells: spaces around them left out"

    @pytest.mark.parametrize(
        ("kind", "text"),
        [
            ("csv", "path, label ,x\na.jpg, n, t u\nb.jpg,m,v\n"),
            ("csv", "path,label,x\na.jpg,n,t u\n  b.jpg,m,v\n"),
            ("csv", 'path,label,x\na.jpg, "n", "t u"\nb.jpg,m,v\n'),
            ("csv", 'path,label,x\n"a.jpg ",n," t u"\nb.jpg,m,v\n'),
            ("csv", "path ; label; x\na.jpg; n; t u\nb.jpg;m;v\n"),
            ("tsv", "path\tlabel\tx\na.jpg\t n\tt u\nb.jpg\tm\tv \n"),
        ],
        ids=["header", "line", "before quotes", "in quotes", "semicolons", "tabs"],
    )
    def test_spaces_around_cells_are_left_out_and_that_is_said(
        self, images: Path, kind: str, text: str
    ) -> None:
        listing = listed(images, text, kind)
        assert [one.path for one in listing.sources] == [b"a.jpg", b"b.jpg"]
        assert [one.label for one in listing.sources] == [1, 0]
        assert features(listing) == [{"x": [b"t u"]}, {"x": [b"v"]}]
        (note,) = listing.warnings
        assert note.endswith(self.NOTE)

    @pytest.mark.parametrize(
        "cell", ['"a dog, running"', '"x\n y"', '"a"", b"', '"a,\n b, c"', " "]
    )
    def test_spaces_in_cells_stay_and_nothing_is_said(self, images: Path, cell: str) -> None:
        listing = listed(images, f"path,x,y\na.jpg,{cell},1\n")
        (row,) = features(listing)
        assert row.get("x", [b""]) == [cell.strip().strip('"').replace('""', '"').encode()]
        assert [one for one in listing.warnings if self.NOTE in one] == [self.NOTE] * (cell == " ")

    def test_paths_that_become_the_same_are_refused(self, images: Path) -> None:
        expected = "line 3: found a.jpg again, expected it only in line 2"
        assert refused(images, "path\na.jpg\n a.jpg\n") == expected

    def test_a_cell_of_spaces_is_empty(self, images: Path) -> None:
        assert features(listed(images, "path,x\na.jpg, \nb.jpg,1\n")) == [{}, {"x": [1]}]

    def test_json_keeps_its_spaces(self, images: Path) -> None:
        listing = listed(images, lines({"path": "a.jpg", "x": " y "}), "jsonl")
        assert (features(listing), listing.warnings) == ([{"x": [b" y "]}], ())


class TestBadLines:
    def test_every_bad_line_is_reported(self, images: Path) -> None:
        text = "path,x\na.jpg\n\n/b.jpg,1\nc.jpg,1,2\nd.jpg,1\n"
        with pytest.raises(TableError) as error:
            listed(images, text)
        place = f"{images}/table.csv"
        path = f"a path below {images} and without '..' (root names another folder)"
        assert error.value.details == (
            f"{place}: line 2: found 1 cells, expected 2",
            f"{place}: line 4: path: found '/b.jpg', expected {path}",
            f"{place}: line 5: found 3 cells, expected 2",
        )
        assert error.value.first == tuple(
            line.removeprefix(f"{place}: ") for line in error.value.details
        )
        assert str(error.value) == f"{place}: found 3 wrong lines: 2, 4, 5{MEND_THEM}"

    def test_missing_files_are_named_with_bad_lines(self, images: Path) -> None:
        text = "path,label\nno.jpg,x\na.jpg,x\nb.jpg\nnone.jpg,y\n"
        with pytest.raises(TableError) as error:
            listed(images, text)
        place = f"{images}/table.csv"
        expected = "found no such file, expected an image"
        assert error.value.details == (
            f"{place}: line 2: no.jpg: {expected}",
            f"{place}: line 4: found 1 cells, expected 2",
            f"{place}: line 5: none.jpg: {expected}",
        )
        assert error.value.first == (
            f"line 2: no.jpg: {expected} (and 1 more line)",
            "line 4: found 1 cells, expected 2",
        )
        assert str(error.value) == f"{place}: found 3 wrong lines: 2, 4, 5{MEND_THEM}"

    def test_the_first_thousand_bad_lines_are_reported_and_all_counted(self, images: Path) -> None:
        with pytest.raises(TableError) as error:
            listed(images, "path,x\n" + "a.jpg\n" * 3000)
        assert len(error.value.details) == 1000
        assert error.value.first[9:] == (
            "line 11: found 1 cells, expected 2",
            "and 2990 more: -v names all",
        )
        numbers = "2, 3, 4, 5, 6, 7, 8, 9, 10, 11…"
        assert str(error.value).endswith(f": found 3000 wrong lines: {numbers}{MEND_THEM}")

    @pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
    @pytest.mark.parametrize(
        ("line", "message"),
        [
            (b"\xff.jpg", "found byte 0xff, expected UTF-8"),
            (b"a\0b", "found a zero byte, expected text"),
            (b"x" * (2**20 + 1), "found a longer line, expected at most 1048576 bytes"),
        ],
    )
    def test_a_line_that_is_not_text_is_refused(
        self, images: Path, kind: str, line: bytes, message: str
    ) -> None:
        head = b'{"path": "a.jpg"}' if kind == "jsonl" else b"path"
        assert refused(images, head + b"\n" + line + b"\n", kind) == f"line 2: {message}"

    @pytest.mark.parametrize("cell", ['"', '"x"y', '"' + "\n" * 200_000])
    def test_quotes_that_do_not_end_are_refused(self, images: Path, cell: str) -> None:
        message = refused(images, f"path,x\na.jpg,1\nb.jpg,{cell}\n")
        assert message.startswith("line 3: ")
        assert message.endswith("expected quotes in pairs, and cells of at most 128 KiB")

    @pytest.mark.parametrize("rows", [1, 200_000])
    def test_line_ends_of_old_macs_are_reported(self, images: Path, rows: int) -> None:
        message = "line 1: found a carriage return by itself (line ends of old Macs), "
        assert refused(images, "path,x\r" + "a.jpg,1\r" * rows) == message + r"expected \n or \r\n"

    def test_a_pipe_is_not_waited_for(self, images: Path) -> None:
        os.mkfifo(images / "table.csv")
        with pytest.raises(UsageError, match=r"table\.csv: found a file, expected a folder"):
            open_source.list_source(images / "table.csv")

    def test_a_list_that_cannot_be_read_is_a_run_error(self, images: Path) -> None:
        path = images / "table.csv"
        path.symlink_to("/proc/self/mem")
        with pytest.raises(RunError) as error:
            open_source.list_source(path)
        assert str(error.value) == f"{path}: cannot be read: Input/output error"


class TestSkippedLines:
    def skipped(self, listing: Listing) -> list[tuple[str, str, str]]:
        rejects = listing.rejects
        return [(os.fsdecode(one.path), one.reason, one.message) for one in rejects]

    def test_bad_lines_become_rejects(self, images: Path) -> None:
        text = b"path,x\na.jpg\n,1\n\xff,2\nb.jpg,nan\nnone.jpg,3\nc.jpg,0.5\n/d.jpg,1\n"
        listing = listed(images, text, skips=True)
        assert [one.path for one in listing.sources] == [b"c.jpg"]
        path = f"a path below {images} and without '..' (`root` names another folder)"
        assert self.skipped(listing) == [
            ("none.jpg", "unreadable", "found no such file, expected an image"),
            ("table.csv: line 2", "bad_line", "found 1 cells, expected 2"),
            ("table.csv: line 3", "bad_line", "path: found nothing, expected the path of an image"),
            ("table.csv: line 4", "bad_line", "found byte 0xff, expected UTF-8"),
            (
                "table.csv: line 5",
                "bad_line",
                "x: found 'nan', expected a finite number of 32 bits",
            ),
            ("table.csv: line 8", "bad_line", f"path: found '/d.jpg', expected {path}"),
        ]

    def test_lines_without_a_known_label_become_rejects(self, images: Path) -> None:
        text = "path,label\na.jpg,x\nb.jpg,\nc.jpg,y\n"
        listing = listed(images, text, skips=True, labels=("x",))
        assert [one.path for one in listing.sources] == [b"a.jpg"]
        assert [path for path, _, _ in self.skipped(listing)] == [
            "table.csv: line 3",
            "table.csv: line 4",
        ]

    def test_cells_of_a_bad_line_do_not_change_the_column(self, images: Path) -> None:
        text = lines(
            {"path": "a.jpg", "x": "text", "y": "b.jpg", "z": {}},
            {"path": "b.jpg", "x": 1},
            {"path": "c.jpg", "x": 2, "y": "c"},
        )
        listing = listed(images, text, "jsonl", skips=True)
        assert features(listing) == [{"x": [1]}, {"x": [2], "y": [b"c"]}]
        assert [column.is_everywhere for column in listing.columns] == [True, False]
        assert [path for path, _, _ in self.skipped(listing)] == ["table.jsonl: line 1"]

    def test_a_cell_of_which_a_line_is_bad_is_left_out_with_its_row(self, images: Path) -> None:
        text = b'path,x\na.jpg,"1\n\xff\n2"\nb.jpg,"3\n4"\n'
        listing = listed(images, text, skips=True)
        assert [one.path for one in listing.sources] == [b"b.jpg"]
        assert [path for path, _, _ in self.skipped(listing)] == ["table.csv: line 3"]

    @pytest.mark.parametrize(
        ("text", "kind", "message"),
        [
            (
                "path,label\na.jpg,1\na.jpg,2\nb.jpg\n",
                "csv",
                "line 3: found a.jpg again, expected it only in line 2",
            ),
            (
                "path,label\na.jpg,1\nb.jpg,0.5\n",
                "csv",
                "line 3: label: found '0.5', expected a name, or a class number up to 999999: name "
                "the column otherwise to keep it as a number",
            ),
            (
                '{"path": "a.jpg"}\n{"path": "b.jpg", "class": 1}\n',
                "jsonl",
                "line 2: found 'class', expected it in the first line too: is it the label?",
            ),
            ("path,x\na.jpg\n", "csv", "line 2: found 1 cells, expected 2"),
            (
                "path,x\na.jpg,1e999\n",
                "csv",
                "line 2: x: found inf, expected a finite number of 32 bits",
            ),
            (b"\xff\npath\na.jpg\n", "csv", "line 1: found byte 0xff, expected UTF-8"),
        ],
    )
    def test_what_shows_that_the_list_is_wrong_is_refused(
        self, images: Path, text: str | bytes, kind: str, message: str
    ) -> None:
        """Images listed twice, labels that are no classes, and lists of which no line is left."""
        assert refused(images, text, kind, skips=True) == message

    def test_write_and_verify_leave_them_out(self, images: Path, tmp_path: Path) -> None:
        path = images / "list.csv"
        path.write_text("path,x\na.jpg,1\nb.jpg\nc.jpg,2\n")
        with pytest.raises(TableError, match=MEND_IT):
            write(path, tmp_path / "out", Options(jobs=1))
        written = write(path, tmp_path / "out", Options(jobs=1, on_error="skip", max_errors="1"))
        assert written.records == 2
        (line,) = (tmp_path / "out/train.rejects.jsonl").read_text().splitlines()
        assert json.loads(line) == {
            "path": "list.csv: line 3",
            "reason": "bad_line",
            "message": "found 1 cells, expected 2",
            "ignored": False,
        }
        options = VerifyOptions(source=((None, path),), jobs=1)
        assert verify(tmp_path / "out", options).findings == []
        path.write_text("path,x\na.jpg,1\nb.jpg\nc.jpg,2\nd.jpg\n")
        (finding,) = verify(tmp_path / "out", options).findings
        assert (finding.kind, finding.message) == ("unwritten", "found 1 cells, expected 2")


json_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**65), 2**65),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.one_of(st.integers(-9, 9), st.floats(), st.text(max_size=3)), max_size=3),
)
# csv of 3.10 writes no NUL
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9)
cells = st.one_of(texts, json_values.map(json.dumps))
fixed = settings(deadline=None, derandomize=True, max_examples=150)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder of images that all examples of a property share."""
    return fill(tmp_path_factory.mktemp("tables"), IMAGES)


@fixed
@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=4))
def test_any_cells_give_features_or_name_a_line(lasting: Path, rows: list[Sequence[str]]) -> None:
    out = io.StringIO()
    named = ([path, *row] for path, row in zip(IMAGES, rows, strict=False))
    csv.writer(out).writerows([["path", "x", "y"], *named])
    _check_any(lasting, out.getvalue(), "csv")


@fixed
@given(st.lists(st.dictionaries(st.sampled_from("xyz"), json_values), min_size=1, max_size=4))
def test_any_json_gives_features_or_names_a_line(lasting: Path, rows: list[dict[str, Any]]) -> None:
    text = lines(*({"path": path, **row} for path, row in zip(IMAGES, rows, strict=False)))
    _check_any(lasting, text, "jsonl")


@fixed
@given(st.binary(max_size=60), st.sampled_from(["csv", "tsv", "jsonl"]))
def test_any_bytes_give_a_listing_or_name_a_line(lasting: Path, data: bytes, kind: str) -> None:
    _check_any(lasting, b"path,x\n" + data if kind == "csv" else data, kind)


def _check_any(folder: Path, text: str | bytes, kind: str) -> None:
    message, listing = ": line ", None
    try:
        listing = listed(folder, text, kind)
    except TableError as error:
        message = error.details[0]
    assert ": line " in message
    for source in listing.sources if listing and listing.columns else ():
        payload = example.encode(records.further(listing.columns, source.features))
        kinds = {name: feature.kind for name, feature in example.decode(payload).items()}
        assert kinds.items() <= {(column.name, column.kind) for column in listing.columns}


BOXES: dict[str, Any] = {
    "path": "a.jpg",
    "xmin": [0, 0.25],
    "xmax": [1, 0.5],
    "ymin": [0, 0],
    "ymax": [1, 0.5],
}


class TestDetection:
    def listing(self, folder: Path, *rows: dict[str, Any]) -> Listing:
        return listed(folder, lines(*rows), "jsonl", keys="tf-models")

    def test_columns_get_the_names_and_kinds_of_the_object_detection_api(
        self, images: Path
    ) -> None:
        row = {
            **BOXES, "object_label": [1, 2], "object_text": ["cat", "dog"], "area": [1, 2],
            "is_crowd": [False, True], "difficult": [0, 0], "source_id": 7, "other": 3,
            "image/object/weight": [1, 1],
        }  # fmt: skip
        assert columns(self.listing(images, row)) == [
            "image/object/area float[]",
            "image/object/bbox/xmax float[]",
            "image/object/bbox/xmin float[]",
            "image/object/bbox/ymax float[]",
            "image/object/bbox/ymin float[]",
            "image/object/class/label int64[]",
            "image/object/class/text bytes[]",
            "image/object/difficult int64[]",
            "image/object/is_crowd int64[]",
            "image/object/weight float[]",
            "image/source_id bytes",
            "other int64",
        ]

    def test_a_picture_may_have_no_box(self, images: Path) -> None:
        none = {"path": "b.jpg", "xmin": [], "xmax": [], "ymin": [], "ymax": []}
        listing = self.listing(images, BOXES, none, {"path": "c.jpg"})
        assert [len(row.get("image/object/bbox/xmin", "-")) for row in features(listing)] == [
            2,
            0,
            1,
        ]

    def test_cells_of_csv_are_parsed_by_the_kind_of_their_column(self, images: Path) -> None:
        text = (
            "path,xmin,xmax,ymin,ymax,object_text,source_id\n"
            'a.jpg,[0],[1],[0],[1],"[""x""]",007\nb.jpg,[],[],[],[],[],8\n'
        )
        assert features(listed(images, text, keys="tf-models")) == [
            {
                **{name: [float(name.endswith("max"))] for name in SIDES},
                "image/object/class/text": [b"x"],
                "image/source_id": [b"007"],
            },
            {
                **{name: [] for name in SIDES},
                "image/object/class/text": [],
                "image/source_id": [b"8"],
            },
        ]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"xmax": [1]}, "found 1 values in image/object/bbox/xmax and 2 in "
             "image/object/bbox/xmin, expected one for each box"),
            ({"ymin": None}, "found 0 values in image/object/bbox/ymin and 2 in "
             "image/object/bbox/xmin, expected one for each box"),
            ({"object_label": [1]}, "found 1 values in image/object/class/label and 2 in "
             "image/object/bbox/xmin, expected one for each box"),
            ({"xmax": [1, 0.125]}, "box 1: found x 0.25 to 0.125 and y 0.0 to 0.5, expected "
             "fractions of width and height from 0 to 1, the smaller first"),
            ({"ymax": [1.5, 1]}, "box 0: found x 0.0 to 1.0 and y 0.0 to 1.5, expected "
             "fractions of width and height from 0 to 1, the smaller first"),
            ({"xmin": [-0.5, 0]}, "box 0: found x -0.5 to 1.0 and y 0.0 to 1.0, expected "
             "fractions of width and height from 0 to 1, the smaller first"),
            ({"object_label": [0.5, 1]}, "object_label: found [0.5, 1], expected a list of whole "
             "numbers"),
            ({"xmin": ["x"]}, "xmin: found ['x'], expected a list of numbers"),
        ],
    )  # fmt: skip
    def test_invalid_boxes_are_refused(
        self, images: Path, change: dict[str, Any], message: str
    ) -> None:
        text = lines({**BOXES, **change}, {**BOXES, "path": "b.jpg"})
        assert refused(images, text, "jsonl", keys="tf-models") == f"line 1: {message}"

    def test_boxes_with_the_long_names_keep_the_rules_in_any_style(self, images: Path) -> None:
        """Else `verify` would find what a write accepted."""
        box = dict(zip(SIDES, ([0.5], [0.25], [0.0], [1.0]), strict=True))
        message = refused(images, lines({"path": "a.jpg", **box}), "jsonl", keys="plain")
        assert message.startswith("line 1: box 0: found x 0.5 to 0.25")
        pixels = {name: [40 - number] for number, name in enumerate(SIDES)}
        listing = listed(images, lines({"path": "a.jpg", **pixels}), "jsonl", keys="plain")
        assert columns(listing) == [f"{name} int64[]" for name in sorted(SIDES)]

    def test_boxes_in_pixels_are_one_line_with_what_to_do(self, images: Path) -> None:
        rows = [{**BOXES, "path": f"{name}.jpg", "xmax": [20, 30]} for name in "abc"]
        with pytest.raises(TableError) as error:
            listed(images, lines(*rows), "jsonl", keys="tf-models")
        assert error.value.first == (
            "line 1: box 0: found x 0.0 to 20.0 and y 0.0 to 1.0, expected fractions of width and "
            "height from 0 to 1, the smaller first (and 1 more): divide pixels by width and height "
            "(and 2 more lines)",
        )

    def test_missing_sides_of_boxes_are_reported(self, images: Path) -> None:
        row = {"path": "a.jpg", "xmin": [0.5], "ymin": [0.5]}
        message = refused(images, lines(row), "jsonl", keys="tf-models")
        assert message == "found boxes without xmax, ymax, expected all four sides"

    def test_two_columns_for_one_feature_are_refused(self, images: Path) -> None:
        row = {**BOXES, "image/object/bbox/xmin": [0, 0]}
        assert "expected one of them" in refused(images, lines(row), "jsonl", keys="tf-models")

    @pytest.mark.parametrize("keys", ["plain", "tf-models"])
    def test_a_crop_of_images_with_boxes_is_refused(
        self, images: Path, tmp_path: Path, keys: Any
    ) -> None:
        path = images / "t.jsonl"
        path.write_text(lines(BOXES))
        with pytest.raises(UsageError) as error:
            write(path, tmp_path / "out", Options(crop=(8, 8), keys=keys, jobs=1))
        assert str(error.value) == (
            "crop: found boxes, expected whole images: a crop would make them wrong"
        )


class TestSources:
    def test_a_folder_is_listed_by_list_folder(self, images: Path) -> None:
        assert open_source.list_source(images) == list_folder(images)

    def test_a_root_for_a_folder_is_refused(self, images: Path) -> None:
        with pytest.raises(UsageError, match="root: needs an image list"):
            open_source.list_source(images, root=images)

    @pytest.mark.parametrize("name", ["x.txt", "x", "x.json"])
    def test_other_files_are_refused(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_text("path\n")
        with pytest.raises(UsageError) as error:
            open_source.root_of(tmp_path / name)
        expected = "a folder of images or a .csv, .tsv or .jsonl file"
        assert str(error.value) == f"{tmp_path / name}: found a file, expected {expected}"

    def test_a_root_that_is_not_a_folder_is_refused(self, images: Path) -> None:
        (images / "t.csv").write_text("path\n")
        for root, message in (("no", "root: No such file"), ("a.jpg", "found a file, expected")):
            with pytest.raises(UsageError, match=message):
                open_source.root_of(images / "t.csv", images / root)

    def test_the_order_of_rows_and_the_format_make_no_difference(self, images: Path) -> None:
        one = listed(images, "path,x,label\na.jpg,1,u\nb.jpg,0.5,v\n")
        two = listed(images, "label\tx\tpath\nv\t.5\t./b.jpg\nu\t1.0\ta.jpg\n", "tsv")
        rows = {"path": "b.jpg", "x": 0.5, "label": "v"}, {"path": "a.jpg", "label": "u", "x": 1}
        three = listed(images, lines(*rows), "jsonl")
        assert one == two == three
