"""Columns of an image list: their types, their features, which of them hold boxes.

A column's type is known only after the last row, so cells are read twice: `ColumnStats.add`
records the type of each, `infer` derives the column's type, and `convert` makes the values.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from tfrec_cli.dataset.boxes import LABEL, PER_OBJECT, SIDES, TEXT, problem
from tfrec_cli.dataset.names import MOST_NAME_BYTES, KeyStyle
from tfrec_cli.dataset.records import SOURCE_ID, Column, ColumnKind
from tfrec_cli.errors import UsageError
from tfrec_cli.sources.cells import (
    CellType,
    ListError,
    RowError,
    has_decimal_comma,
    is_image_name,
    is_not_finite,
    parse,
    shown,
    to_float32,
    to_int64,
    to_text,
    type_of,
)

_KINDS: dict[str, ColumnKind] = {**PER_OBJECT, SOURCE_ID: "bytes"}

_SHORT_NAMES = {
    **{feature.rpartition("/")[2]: feature for feature in _KINDS if feature not in (LABEL, TEXT)},
    "object_label": LABEL,
    "object_text": TEXT,
}
"""Short name of a column to the name of its feature."""

_CORNERS = ({"xmin", "ymin"}, {"x_min", "y_min"}, {"x1", "y1"}, {"x", "y"}, {"bbox"})
"""Names that people give to columns of boxes."""

_MOST_COLUMNS = 1000

_MOST_STRAY = 2
"""A side of a box that is greater is meant in pixels."""

_ROWS_LOOKED_AT = 100
"""So many cells of a column show whether it holds names of image files."""

_ALLOWED: dict[ColumnKind, set[str]] = {
    "int64": {"int64"},
    "float": {"int64", "float", "not finite"},
    "bytes": {"bytes", "int64"},
}
"""Types of cells that a column of each required kind accepts."""

_WORDS: dict[tuple[str, bool], str] = {
    ("int64", False): "a whole number",
    ("float", False): "a number",
    ("not finite", False): "text",
    ("bytes", False): "text",
    ("nothing", True): "a list",
    ("int64", True): "a list of whole numbers",
    ("float", True): "a list of numbers",
    ("bytes", True): "a list of texts",
}


@dataclass(slots=True, kw_only=True)
class ColumnStats:
    """One column, and the types of its cells so far.

    Attributes:
        number: its number in the order in which columns appear.
        feature: name of the feature that it becomes.
        is_text: whether cells are CSV text; else they are JSON values.
        kind: the kind that it must have, or None.
        is_list: whether it must hold lists; None if both are possible.
        is_pinned: whether another split determines ``kind`` and ``is_list``.
        types: type of cells to the line of the first cell of this type.
        rows: number of rows with a value.
        with_comma: the first text of a CSV column, if it is a number with a comma, and its line.
        names: how many of the first cells end like the name of an image file.
    """

    name: str
    number: int = 0
    feature: str
    is_text: bool
    kind: ColumnKind | None = None
    is_list: bool | None = None
    is_pinned: bool = False
    types: dict[CellType, int] = field(default_factory=dict)
    rows: int = 0
    with_comma: tuple[str, int] | None = None
    names: int = 0

    def add(self, cell: Any, line: int) -> None:
        """Record the type of a cell's value.

        Raises:
            RowError: no feature can hold the value, or it does not fit the column.
        """
        value, cell_type = self.read(cell)
        if cell_type is None:
            expected = "a number, text, true, false, null, or a list of numbers or of texts"
            raise RowError(f"{self.name}: found {shown(value)}, expected {expected}")
        if cell_type not in self.types and (self.kind or not self.is_text):
            self._check(cell_type, value)
        self.rows += 1
        if self.rows <= _ROWS_LOOKED_AT and isinstance(value, str):
            self.names += is_image_name(value)
        if cell_type in self.types:
            return
        self.types[cell_type] = line
        if value is cell and self.is_text and has_decimal_comma(cell):
            self.with_comma = cell, line

    def remove(self, cell: Any, line: int) -> None:
        """Forget the last cell that was added, since another cell of its line is wrong."""
        if self.rows <= _ROWS_LOOKED_AT and isinstance(cell, str):
            self.names -= is_image_name(cell)
        self.rows -= 1
        self.types = {one: first for one, first in self.types.items() if first != line}
        if self.with_comma and self.with_comma[1] == line:
            self.with_comma = None

    def read(self, cell: Any) -> tuple[Any, CellType | None]:
        """Return a cell's value, and its type or None if no feature can hold it."""
        if not self.is_text:
            return cell, type_of(cell)
        value = parse(cell)
        cell_type = type_of(value)
        is_texts = cell_type in (("bytes", True), ("nothing", True)) and self.is_list is not False
        if self.kind == "bytes" and not is_texts:
            return cell, CellType("bytes")
        if value is cell and is_not_finite(cell):
            return cell, CellType("not finite")
        return value, cell_type

    def _check(self, cell_type: CellType, value: object) -> None:
        """Refuse a value whose type does not fit the values before it or the required kind."""
        known = [base for base, _ in self.types if base != "nothing"]
        base: str = known[0] if known else cell_type.base
        allowed = {base} if base in ("bytes", "nothing") else {"int64", "float"}
        if self.kind:
            base, allowed = self.kind, _ALLOWED[self.kind]
        is_list = self.is_list
        if is_list is None:
            is_list = next((is_list for _, is_list in self.types), cell_type.is_list)
        if cell_type.is_list == is_list and cell_type.base in {*allowed, "nothing"}:
            return
        expected = _WORDS["float" if base == "int64" and not self.kind else base, is_list]
        lines = self.types.values()
        like = f" as in line {min(lines)}" if lines and not self.kind else ""
        raise RowError(f"{self.name}: found {shown(value)}, expected {expected}{like}")


TypedColumn = tuple[ColumnStats, Column]


def new_column(
    name: str,
    earlier: Mapping[str, ColumnStats],
    pinned: Sequence[Column],
    keys: KeyStyle,
    *,
    is_text: bool,
) -> ColumnStats:
    """Make the statistics of a new column.

    Args:
        earlier: the columns before it, by name.
        pinned: columns of another split.
        keys: ``tf-models`` gives features the names of the Object Detection API.
    Raises:
        ListError: the name is invalid, or another column becomes the same feature.
    """
    if not name.isprintable() or name.strip() != name or not name:
        raise ListError(f"found column {shown(name)}, expected a name without spaces around it")
    if len(name.encode()) > MOST_NAME_BYTES or len(earlier) == _MOST_COLUMNS:
        expected = f"{_MOST_COLUMNS} columns at most, with names of {MOST_NAME_BYTES} bytes"
        raise ListError(f"found column {shown(name)}, expected {expected}")
    is_detection = keys == "tf-models"
    feature = feature_of(name, keys)
    for other in earlier.values():
        if other.feature == feature:
            raise ListError(f"found columns {other.name!r} and {name!r}, expected one of them")
    pin = next((column for column in pinned if column.name == feature), None)
    kind = _KINDS.get(feature) if is_detection else None
    is_list = False if feature == SOURCE_ID else None
    return ColumnStats(
        name=name,
        number=len(earlier),
        feature=feature,
        is_text=is_text,
        kind=pin.kind if pin else kind,
        is_list=pin.is_list if pin else is_list,
        is_pinned=pin is not None,
    )


def feature_of(name: str, keys: KeyStyle) -> str:
    """Return the name of the feature that a column becomes."""
    return _SHORT_NAMES.get(name, name) if keys == "tf-models" else name


def reader_of(
    columns: Sequence[Column], name: str, keys: KeyStyle, option: str
) -> Callable[[bytes], str]:
    """Return a function that gives a source's value in a column, by its features, as text.

    Args:
        columns: the columns of values of an image list.
        option: the option that names the column.
    Raises:
        UsageError: there is no such column, or it does not have one value in every row.
    """
    names = [column.name for column in columns]
    feature = feature_of(name, keys)
    if feature not in names:
        raise no_column(names, name, option)
    index = names.index(feature)
    column = columns[index]
    if column.is_list or not column.is_everywhere:
        found = "lists" if column.is_list else "rows without a value"
        raise UsageError(
            f"`{option}`: found {found} in column {name!r}, expected one value in every row"
        )
    return lambda features: str(json.loads(features)[index])


def no_column(names: Sequence[str], wanted: str, option: str) -> UsageError:
    """Make the error for an option that names no column of values."""
    found = f"columns of values {', '.join(names)}" if names else "no columns of values"
    return UsageError(f"`{option}`: found {found}, expected {wanted!r} of an image list")


def infer(stats: ColumnStats, row_count: int) -> tuple[Column | None, str | None]:
    """Infer a column's type from the types of its cells.

    Returns:
        The column, or None if no cell has a value; and a warning or None.
    """
    bases = {base for base, _ in stats.types} - {"nothing"}
    shapes = {is_list for _, is_list in stats.types}
    is_numeric = bool(bases & {"int64", "float"})
    kind, is_list, warning = stats.kind, shapes == {True}, None
    if stats.is_pinned:
        is_list = bool(stats.is_list)
    elif not shapes or not (kind or bases):
        return None, f"column {stats.name!r}: found no value: left out"
    elif kind is None and len(shapes) == 1 and is_numeric and "bytes" not in bases:
        kind = "int64" if bases == {"int64"} else "float"
    elif kind is None and (len(shapes) > 1 or is_numeric):
        is_list = False
        lines = sorted(stats.types.items(), key=lambda item: item[1])
        held = " and ".join(f"{_WORDS[cell_type]} in line {line}" for cell_type, line in lines)
        warning = f"column {stats.name!r}: found {held}: stored as text"
    elif kind is None and stats.with_comma:
        text, line = stats.with_comma
        found = f"column {stats.name!r}: found {text} in line {line}"
        warning = f"{found}: numbers need a point: stored as text"
    elif stats.names and stats.names == min(stats.rows, _ROWS_LOOKED_AT):
        found = f"column {stats.name!r}: found names of image files"
        warning = f"{found}: stored as text, the files are not read"
    is_everywhere = stats.rows == row_count
    column = Column(
        name=stats.feature, kind=kind or "bytes", is_list=is_list, is_everywhere=is_everywhere
    )
    return column, warning


def infer_all(
    columns: Iterable[ColumnStats], row_count: int
) -> tuple[list[TypedColumn], list[str]]:
    """Return the typed columns that have values, sorted by feature name, and the warnings."""
    typed, warnings = [], []
    for stats in sorted(columns, key=lambda stats: stats.feature.encode()):
        column, warning = infer(stats, row_count)
        if column:
            typed.append((stats, column))
        if warning:
            warnings.append(warning)
    return typed, warnings


def convert(cells: Sequence[Any], columns: Sequence[TypedColumn]) -> dict[str, Any]:
    """Convert the cells of a row to feature name and value; None if a cell is empty.

    Args:
        cells: the cells in the order in which columns appear; the last ones may be missing.
    Raises:
        RowError: a value is too large for its feature.
    """
    values = {}
    for stats, column in columns:
        cell = cells[stats.number] if stats.number < len(cells) else None
        try:
            values[column.name] = None if cell is None else _convert(cell, stats, column)
        except RowError as error:
            raise RowError(f"{stats.name}: {error}") from error
    return values


def _convert(cell: Any, stats: ColumnStats, column: Column) -> Any:
    keeps_text = stats.is_text and column.kind == "bytes" and not column.is_list
    value = cell if keeps_text else stats.read(cell)[0]
    make = {"int64": to_int64, "float": to_float32, "bytes": to_text}[column.kind]
    return [make(item) for item in value] if column.is_list else make(value)


def has_boxes(columns: Sequence[Column]) -> bool:
    """Tell by their names whether columns hold boxes, in any layout."""
    sides = {*SIDES, *(feature.rpartition("/")[2] for feature in SIDES)}
    return any(column.name in sides for column in columns)


def may_be_labels(columns: Sequence[Column]) -> list[str]:
    """Return the names of the columns that may hold labels: not lists, fractions or boxes."""
    of_boxes = {*_SHORT_NAMES, *_SHORT_NAMES.values(), LABEL, TEXT}
    return [
        column.name
        for column in columns
        if not column.is_list and column.kind != "float" and column.name not in of_boxes
    ]


def has_single_boxes(names: Iterable[str]) -> bool:
    """Tell by the names of columns whether each row may hold one box."""
    given = {name.casefold() for name in names}
    return any(corner <= given for corner in _CORNERS)


def are_relative(columns: Sequence[Column]) -> bool:
    """Tell whether columns hold boxes with the names and the type of the Object Detection API."""
    kinds = {column.kind for column in columns if column.name in SIDES}
    return kinds == {"float"}


def missing_sides(columns: Sequence[Column]) -> list[str]:
    """Return the short names of the sides that boxes lack; empty if there are no boxes."""
    names = {column.name for column in columns}
    if names.isdisjoint(SIDES):
        return []
    return [name.rpartition("/")[2] for name in SIDES if name not in names]


def check_boxes(features: Mapping[str, Any]) -> None:
    """Check boxes, and that features with a value for each box have as many values.

    Args:
        features: name to value, from `convert`.
    Raises:
        RowError: a box is invalid, or the numbers of values differ.
    """
    lists = {
        name: value if isinstance(value, list) else [value]
        for name, value in features.items()
        if value is not None
    }
    if message := problem(lists):
        if max(chain.from_iterable(lists.get(side, ()) for side in SIDES), default=0) > _MOST_STRAY:
            raise RowError(f"{message}: divide pixels by width and height", "pixels")
        raise RowError(message)
