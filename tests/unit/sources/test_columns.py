"""Columns of image lists: types inferred from cells, and cells converted to values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_cli.dataset.boxes import SIDES
from tfrec_cli.dataset.records import Column
from tfrec_cli.sources.cells import CellType, RowError, parse, type_of
from tfrec_cli.sources.columns import (
    ColumnStats,
    are_relative,
    check_boxes,
    convert,
    has_boxes,
    infer,
    infer_all,
    missing_sides,
    new_column,
)

fixed = settings(deadline=None, derandomize=True, max_examples=150)


def stats_of(*cells: Any, is_text: bool = True, **fields: Any) -> ColumnStats:
    """Return the statistics of a column x that has these cells in lines 1, 2, …"""
    stats = ColumnStats(**{"name": "x", "feature": "x", "is_text": is_text, **fields})
    for line, cell in enumerate(cells, 1):
        stats.add(cell, line)
    return stats


def column(kind: Any, *, is_list: bool = False, name: str = "x") -> Column:
    return Column(name=name, kind=kind, is_list=is_list, is_everywhere=True)


def converted(stats: ColumnStats, cells: Sequence[Any]) -> list[Any]:
    """Return the values of a column's cells, by its inferred type."""
    inferred, _ = infer(stats, len(cells))
    assert inferred
    return [convert([cell], [(stats, inferred)])["x"] for cell in cells]


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("0", 0),
        ("-12", -12),
        ("007", "007"),
        ("1.", 1.0),
        (".5e-1", 0.05),
        ("1e3", 1000.0),
        ("e3", "e3"),
        ("[1, 2.5]", [1, 2.5]),
        ("[1, true]", [1, True]),
        ("[]", []),
        ("[1,", "[1,"),
        ('[{"a": 1}]', '[{"a": 1}]'),
        ("[" * 100_000, "[" * 100_000),
        ("true", "true"),
        ("nan", "nan"),
    ],
)
def test_a_text_cell_is_parsed_as_a_number_a_list_or_text(cell: str, value: object) -> None:
    parsed = parse(cell)
    assert (parsed, type(parsed)) == (value, type(value))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, ("int64", False)),
        (1.5, ("float", False)),
        ("", ("bytes", False)),
        ([], ("nothing", True)),
        ([1, 2.5], ("float", True)),
        ([1, True], ("int64", True)),
        (["a"], ("bytes", True)),
        (["a", 1], None),
        ([[1]], None),
        ({}, None),
        (None, None),
    ],
)
def test_only_a_value_that_a_feature_can_hold_has_a_type(value: object, expected: object) -> None:
    assert type_of(value) == expected


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "2"], column("int64")),
        (["1", "2.5"], column("float")),
        (["1", "nan"], column("float")),
        (["nan"], column("bytes")),
        (["a", "nan"], column("bytes")),
        (["[1]", "[]"], column("int64", is_list=True)),
        (["[1]", "[0.5]"], column("float", is_list=True)),
        (['["a"]', "[]"], column("bytes", is_list=True)),
    ],
)
def test_cells_of_compatible_types_give_a_type_without_a_warning(
    cells: list[str], expected: Column
) -> None:
    assert infer(stats_of(*cells), len(cells)) == (expected, None)


@pytest.mark.parametrize(
    ("cells", "held"),
    [
        (["1", "a"], "a whole number in line 1 and text in line 2"),
        (["a", "[]"], "text in line 1 and a list in line 2"),
        (["1", "[1]", "x"], "a whole number in line 1 and a list of whole numbers in line 2 and "
         "text in line 3"),
        (["[1]", '["a"]'], "a list of whole numbers in line 1 and a list of texts in line 2"),
    ],
)  # fmt: skip
def test_cells_of_different_types_become_text_with_a_warning(cells: list[str], held: str) -> None:
    stats = stats_of(*cells)
    warning = f"column 'x': found {held}: stored as text"
    assert infer(stats, len(cells)) == (column("bytes"), warning)
    assert converted(stats, cells) == cells


def test_a_column_without_values_is_left_out() -> None:
    left_out = (None, "column 'x': found no value: left out")
    assert infer(stats_of(), 3) == left_out
    assert infer(stats_of("[]"), 3) == left_out


def test_a_column_of_a_required_kind_may_have_only_empty_lists() -> None:
    empty_list = stats_of([], is_text=False, kind="float")
    assert infer(empty_list, 1) == (column("float", is_list=True), None)
    assert infer(stats_of(kind="float"), 0)[0] is None


def test_a_pinned_type_does_not_depend_on_the_cells() -> None:
    pinned = {"kind": "float", "is_pinned": True}
    assert infer(stats_of("1", is_list=False, **pinned), 1) == (column("float"), None)
    assert infer(stats_of(is_list=True, **pinned), 0) == (column("float", is_list=True), None)


def test_a_column_is_everywhere_if_each_row_has_it() -> None:
    stats = stats_of("1", "2")
    columns = [infer(stats, rows)[0] for rows in (2, 3)]
    assert [found and found.is_everywhere for found in columns] == [True, False]


def test_columns_are_sorted_by_the_bytes_of_their_features() -> None:
    stats = [stats_of("1", name=name, feature=name) for name in ("b", "é", "B", "a")]
    stats.insert(1, stats_of(name="c", feature="c"))
    typed, warnings = infer_all(stats, 1)
    assert [column.name for _, column in typed] == ["B", "a", "b", "é"]
    assert warnings == ["column 'c': found no value: left out"]


def test_cells_are_found_by_the_number_of_their_column() -> None:
    typed, _ = infer_all(
        [stats_of("1", name=name, feature=name, number=i) for i, name in enumerate("ba")], 1
    )
    assert convert(["1", "2"], typed) == {"a": 2, "b": 1}
    assert convert(["1"], typed) == {"a": None, "b": 1}
    assert convert([None, "2"], typed) == {"a": 2, "b": None}


@pytest.mark.parametrize(
    ("cell", "kind", "message"),
    [
        (str(2**63), "int64", f"x: found {2**63}, expected a whole number of 64 bits"),
        (str(-(2**63) - 1), "int64", f"x: found {-(2**63) - 1}, expected a whole number of 64 bit"),
        ("3.5e38", "float", "x: found 3.5e+38, expected a finite number of 32 bits"),
        ("nan", "float", "x: found 'nan', expected a finite number of 32 bits"),
    ],
)
def test_values_that_are_too_large_are_refused(cell: str, kind: Any, message: str) -> None:
    with pytest.raises(RowError) as error:
        convert([cell], [(stats_of(cell), column(kind))])
    assert str(error.value).startswith(message)


@fixed
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_whole_numbers_are_read_exactly(numbers: list[int]) -> None:
    cells = [str(number) for number in numbers]
    assert converted(stats_of(*cells), cells) == numbers


@fixed
@given(st.lists(st.text(min_size=1, alphabet=st.characters(codec="utf-8")), min_size=1))
def test_cells_in_a_column_of_text_keep_their_text(cells: list[str]) -> None:
    cells = ["text", *cells]
    assert converted(stats_of(*cells), cells) == cells


@fixed
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_floats_of_json_are_read_exactly(numbers: list[float]) -> None:
    assert converted(stats_of(*numbers, is_text=False), numbers) == numbers


json_values = st.one_of(
    st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.lists(st.integers()),
    st.lists(st.text(max_size=3)),
)  # fmt: skip


@fixed
@given(st.lists(json_values, min_size=1, max_size=4))
def test_json_values_convert_to_their_kind_or_are_refused(values: list[Any]) -> None:
    makes: dict[str, type] = {"int64": int, "float": float, "bytes": str}
    try:
        stats = stats_of(*values, is_text=False)
        inferred, _ = infer(stats, len(values))
        results = converted(stats, values) if inferred else []
    except RowError:
        return
    for result in results:
        assert inferred
        assert isinstance(result, list) == inferred.is_list
        items = result if inferred.is_list else [result]
        assert {type(item) for item in items} <= {makes[inferred.kind]}
        assert all(math.isfinite(item) for item in items if isinstance(item, float))


@pytest.mark.parametrize(
    ("before", "cell", "message"),
    [
        ([1], "a", "x: found 'a', expected a number as in line 1"),
        ([["a"]], [1], "x: found [1], expected a list of texts as in line 1"),
        ([[]], 1, "x: found 1, expected a list of numbers as in line 1"),
        ([], {}, "x: found {}, expected a number, text, true, false, null, or a list of numbers"),
    ],
)
def test_different_json_types_in_one_column_are_refused(
    before: list[Any], cell: Any, message: str
) -> None:
    stats = stats_of(*before, is_text=False)
    with pytest.raises(RowError) as error:
        stats.add(cell, 9)
    assert str(error.value).startswith(message)


def test_only_tf_models_gives_short_names_their_long_features() -> None:
    plain = new_column("xmin", {}, (), "plain", is_text=False)
    detection = new_column("xmin", {}, (), "tf-models", is_text=False)
    assert (plain.feature, plain.kind) == ("xmin", None)
    assert (detection.feature, detection.kind) == ("image/object/bbox/xmin", "float")


def test_a_column_of_another_split_has_its_type() -> None:
    stats = new_column("x", {}, [column("float", is_list=True)], "plain", is_text=False)
    assert (stats.kind, stats.is_list, stats.is_pinned) == ("float", True, True)
    assert not new_column("y", {}, [column("float")], "plain", is_text=False).is_pinned


def test_two_columns_for_one_feature_are_refused() -> None:
    earlier = {"xmin": new_column("xmin", {}, (), "tf-models", is_text=True)}
    with pytest.raises(RowError, match="found columns 'xmin' and 'image/object/bbox/xmin'"):
        new_column("image/object/bbox/xmin", earlier, (), "tf-models", is_text=True)


def test_types_are_recorded_with_their_first_lines() -> None:
    stats = stats_of("1", "2", "x", "3")
    assert stats.types == {CellType("int64"): 1, CellType("bytes"): 3}
    assert stats.rows == 4


class TestBoxes:
    @pytest.mark.parametrize("name", ["xmin", "image/object/bbox/ymax"])
    def test_boxes_are_recognised_by_short_and_long_names(self, name: str) -> None:
        assert has_boxes([column("float", name="a"), column("float", name=name)])
        assert not has_boxes([column("float", name="a")])

    def test_boxes_are_relative_by_their_names_and_type(self) -> None:
        assert are_relative([column("int64"), column("float", name=SIDES[0])])
        assert not are_relative([column("int64", name=SIDES[0])])
        assert not are_relative([column("float", name="xmin")])

    def test_missing_sides_are_named(self) -> None:
        sides = [column("float", is_list=True, name=name) for name in SIDES]
        assert (missing_sides([]), missing_sides(sides)) == ([], [])
        assert missing_sides(sides[1:3]) == ["xmin", "ymax"]

    def test_a_single_box_need_not_be_a_list(self) -> None:
        check_boxes(dict(zip(SIDES, (0.0, 1.0, 0.0, 1.0), strict=True)))

    def test_features_without_boxes_are_not_checked(self) -> None:
        check_boxes({"image/object/area": [1.0], "image/object/weight": [1.0, 2.0], "x": None})

    @pytest.mark.parametrize(
        "box", [(0.5, 0.25, 0, 1), (0, 1, 1, 0.5), (-0.1, 1, 0, 1), (0, 1.1, 0, 1), (0, 1, 0, 1.1)]
    )
    def test_a_box_outside_the_picture_is_refused(self, box: tuple[float, ...]) -> None:
        with pytest.raises(RowError, match="box 0: found x"):
            check_boxes({name: [side] for name, side in zip(SIDES, box, strict=True)})
