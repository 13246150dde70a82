"""Packed rows: a sequence that behaves like a list, in little memory."""

from __future__ import annotations

import pickle
from array import array
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_cli.runtime.row_store import Packed, deflated, inflated, ordered
from tfrec_cli.sources.listing import Source
from tfrec_cli.sources.listing import packed as packed_sources

Row = tuple[bytes, int, int]

ROWS: list[Row] = [(b"a", 1, -1), (b"", 0, 0), (b"long/path\xff", 2**62, -(2**63)), (b"a", 4, 5)]

fixed = settings(deadline=None, derandomize=True, max_examples=100)

int64s = st.integers(-(2**63), 2**63 - 1)
row_lists = st.lists(st.tuples(st.binary(max_size=9), int64s, int64s), max_size=9)


# Pickles refer to these functions by name.


def pack(row: Row) -> tuple[bytes, Sequence[int]]:
    return row[0], row[1:]


def unpack(path: bytes, first: int, second: int) -> Row:
    return path, first, second


def packed(rows: Sequence[Row] = ROWS) -> Packed[Row]:
    return Packed(pack, unpack, rows)


@fixed
@given(row_lists)
def test_packing_gives_rows_back(rows: list[Row]) -> None:
    assert list(packed(rows)) == rows


@fixed
@given(row_lists, st.slices(9))
def test_a_slice_is_the_same_as_of_a_list(rows: list[Row], part: slice) -> None:
    assert list(packed(rows)[part]) == rows[part]


@fixed
@given(row_lists.filter(bool).flatmap(lambda rows: st.tuples(
    st.just(rows), st.lists(st.integers(0, len(rows) - 1), max_size=9)
)))  # fmt: skip
def test_taken_rows_are_those_asked_for(drawn: tuple[list[Row], list[int]]) -> None:
    """In the given order, and twice if a number is given twice."""
    rows, order = drawn
    assert list(packed(rows).take(order)) == [rows[index] for index in order]


@fixed
@given(row_lists)
def test_a_pickle_gives_rows_back(rows: list[Row]) -> None:
    assert list(pickle.loads(pickle.dumps(packed(rows)))) == rows


def test_appended_rows_come_last() -> None:
    rows = packed(ROWS[:2])
    rows.append(ROWS[2])
    assert list(rows) == ROWS[:3]


@fixed
@given(row_lists, row_lists)
def test_rows_are_extended_at_the_end(first: list[Row], others: list[Row]) -> None:
    rows = packed(first)
    rows.extend(packed(others))
    rows.append(ROWS[0])
    assert list(rows) == [*first, *others, ROWS[0]]


def test_rows_are_extended_with_their_notes() -> None:
    sources = [Source(b"%d" % number, 1, 2, 3, b"n" * number) for number in range(1, 5)]
    rows = packed_sources(sources[:2])
    rows.extend(packed_sources(sources[2:]))
    assert list(rows) == sources


def test_the_length_is_the_number_of_rows() -> None:
    assert [len(packed(ROWS[:count])) for count in range(5)] == [0, 1, 2, 3, 4]


def test_rows_are_indexed_from_zero() -> None:
    rows = packed()
    assert [rows[index] for index in range(4)] == ROWS


@pytest.mark.parametrize("index", [4, 99, -1])
def test_an_index_out_of_range_is_an_error(index: int) -> None:
    with pytest.raises(IndexError):
        packed()[index]


def test_an_empty_store_has_no_row() -> None:
    with pytest.raises(IndexError):
        packed([])[0]


def test_paths_can_be_iterated_without_rows() -> None:
    assert list(packed().paths()) == [row[0] for row in ROWS]


def test_a_path_can_be_read_without_its_row() -> None:
    assert packed().path(2) == b"long/path\xff"


@pytest.mark.parametrize("number", [0, 1])
def test_a_column_is_one_integer_of_every_row(number: int) -> None:
    assert packed().column(number) == array("q", [row[1 + number] for row in ROWS])


def test_a_column_of_no_rows_is_empty() -> None:
    assert packed([]).column(0) == array("q")


def test_setting_a_column_changes_no_other() -> None:
    rows = packed()
    rows.set_column(1, array("q", [9, 8, 7, 6]))
    assert list(rows) == [
        (path, first, second) for (path, first, _), second in zip(ROWS, [9, 8, 7, 6], strict=True)
    ]


def test_a_column_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="extended slice of size 4"):
        packed().set_column(0, array("q", [1]))


def test_a_column_is_a_copy() -> None:
    rows = packed()
    rows.column(0)[0] = 99
    assert list(rows) == ROWS


def test_taken_rows_are_a_copy() -> None:
    rows = packed()
    rows.take(range(4)).set_column(0, array("q", [9, 9, 9, 9]))
    assert list(rows) == ROWS


@fixed
@given(row_lists, st.integers(0, 9))
def test_popped_rows_are_removed(rows: list[Row], count: int) -> None:
    store = packed(rows)
    popped = store.pop(count)
    kept = max(len(rows) - count, 0)
    assert (list(store), list(popped)) == (rows[:kept], rows[kept:])
    store.append(ROWS[0])
    assert list(store) == [*rows[:kept], ROWS[0]]


def test_rows_can_be_appended_to_taken_rows() -> None:
    taken = packed().take([3])
    taken.append(ROWS[0])
    assert list(taken) == [ROWS[3], ROWS[0]]


def test_rows_can_be_appended_to_an_empty_selection() -> None:
    taken = packed().take([])
    taken.append(ROWS[0])
    assert list(taken) == [ROWS[0]]


def test_rows_can_be_appended_after_a_pickle() -> None:
    rows = pickle.loads(pickle.dumps(packed(ROWS[:3])))
    rows.append(ROWS[3])
    assert list(rows) == ROWS


def test_an_integer_too_large_is_refused() -> None:
    with pytest.raises(OverflowError):
        packed([(b"a", 2**63, 0)])


@pytest.mark.parametrize(
    ("other", "equal"),
    [
        (packed(), True),
        (ROWS, True),
        (tuple(ROWS), True),
        (packed(ROWS[:3]), False),
        (packed([*ROWS[:3], (b"a", 4, 6)]), False),
        (packed([*ROWS[:3], (b"b", 4, 5)]), False),
        (set(ROWS), False),
        (None, False),
    ],
    ids=["packed", "list", "tuple", "fewer", "integer", "path", "set", "none"],
)
def test_equal_to_every_sequence_of_the_same_rows(other: object, equal: bool) -> None:
    assert (packed() == other) is equal


def test_a_row_takes_its_path_and_one_integer_more() -> None:
    """The integer of 8 bytes is where the path ends."""
    rows = [(b"%09d" % number, number, -number) for number in range(1_000)]
    half, full = (len(pickle.dumps(packed(rows[:count]))) for count in (500, 1_000))
    assert full - half == 500 * (9 + 2 * 8 + 8)


@fixed
@given(row_lists)
def test_inflating_gives_deflated_rows_back(rows: list[Row]) -> None:
    assert list(inflated(deflated(packed(rows)))) == rows


def test_rows_of_a_folder_deflate_to_a_third() -> None:
    rows = [(b"class%d/photo%05d.jpg" % (one % 10, one), one**2, one % 10) for one in range(1_000)]
    assert 3 * len(deflated(packed(rows))) < len(pickle.dumps(packed(rows)))


def test_rows_are_shown_as_a_list() -> None:
    assert repr(packed()) == repr(ROWS)


# Notes


def pack_noted(row: tuple[bytes, int, bytes]) -> tuple[bytes, Sequence[int], bytes]:
    return row[0], row[1:2], row[2]


def unpack_noted(path: bytes, number: int, note: bytes) -> tuple[bytes, int, bytes]:
    return path, number, note


noted_lists = st.lists(st.tuples(st.binary(max_size=9), int64s, st.binary(max_size=9)), max_size=9)


@fixed
@given(noted_lists, st.slices(9))
def test_notes_stay_with_their_rows(rows: list[tuple[bytes, int, bytes]], part: slice) -> None:
    store = Packed(pack_noted, unpack_noted, rows)
    assert list(store) == rows
    assert list(store[part]) == rows[part]
    assert list(pickle.loads(pickle.dumps(store))) == rows
    assert list(store.paths()) == [path for path, _, _ in rows]
    assert store.note_bytes == sum(len(note) for _, _, note in rows)


@fixed
@given(noted_lists, st.integers(0, 9))
def test_notes_are_popped_with_their_rows(rows: list[tuple[bytes, int, bytes]], count: int) -> None:
    store = Packed(pack_noted, unpack_noted, rows)
    popped = store.pop(count)
    kept = max(len(rows) - count, 0)
    assert (list(store), list(popped)) == (rows[:kept], rows[kept:])
    assert store.note_bytes == sum(len(note) for _, _, note in rows[:kept])


def test_rows_without_notes_have_none() -> None:
    assert packed().note_bytes == 0


@fixed
@given(st.lists(st.binary(min_size=3, max_size=3)))
def test_ordered_rows_are_sorted_rows(rows: list[bytes]) -> None:
    assert list(ordered(iter(rows), 3)) == sorted(rows)
