"""Manifests of images, .csv, .tsv or .jsonl: which images there are, their labels and more.

Knows: rows and columns, and what the Object Detection API calls them. Must not know: what is in an
image, shards.

A manifest is read once, a line at a time. What a column holds is known only behind its last row: so
rows wait, packed, as they were read.
"""

from __future__ import annotations

import csv
import json
import os
import re
import reprlib
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, NoReturn

from tfrec_cli.dataset.names import KeyStyle
from tfrec_cli.dataset.records import OURS, SOURCE_ID, Column
from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.errors import TableError, UsageError
from tfrec_cli.runtime.files import raise_if_exhausted
from tfrec_cli.runtime.paths import printable
from tfrec_cli.runtime.row_store import Packed
from tfrec_cli.sources.columns import BOXES, PER_OBJECT
from tfrec_cli.sources.labels import doubts
from tfrec_cli.sources.listing import NO_LABEL, Listing, Source, packed

SUFFIXES = (".csv", ".tsv", ".jsonl")

_BOM = b"\xef\xbb\xbf"
_PATH, _LABEL = "path", "label"
_LINE_BYTES = 1 << 20
_MOST_COLUMNS = 1000
_MOST_TOLD = 1000
"""So many bad lines are told of, and all are counted."""

_NUMBERS_TOLD = 10
_NAME_BYTES = 255

_FLOAT_LIMIT = float.fromhex("0x1.ffffffp+127")
"""From here on a number is infinite as a float32."""

_INTEGER = re.compile(r"[+-]?(?:0|[1-9][0-9]*)")
"""Without leading zeros, which a number would lose."""

_MOST_DIGITS = 100
"""More are not read: 20 are too many for 64 bits."""

_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)

_dumped = json.JSONEncoder(separators=(",", ":")).encode
"""Like `json.dumps`, which makes an encoder for each call."""

_OLD_MAC = "found a carriage return alone (line ends of old Macs), expected \\n or \\r\\n"

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 60

_KINDS = {**PER_OBJECT, SOURCE_ID: "bytes"}

_SHORT_NAMES = {
    **{feature.rpartition("/")[2]: feature for feature in _KINDS if "/class/" not in feature},
    "object_label": "image/object/class/label",
    "object_text": "image/object/class/text",
}
"""What columns of manifests are called, and the feature that each becomes."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One row as it was read.

    Attributes:
        label: number of its class in the order in which classes were met, or `NO_LABEL`.
        values: JSON list of what its cells hold, in the order in which columns were met.
    """

    path: bytes
    line: int
    label: int
    values: bytes


def _pack(row: _Row) -> tuple[bytes, Sequence[int], bytes]:
    return row.path, (row.line, row.label), row.values


_Base = Literal["int64", "float", "bytes", "not finite", "nothing"]
_Form = tuple[_Base, bool]
"""What a cell holds, and whether it is a list; an empty list holds nothing."""


@dataclass(slots=True, kw_only=True)
class _Met:
    """One column, and what was met in it so far.

    Attributes:
        feature: what it becomes.
        kind: that it must have, if any.
        is_list: whether it must hold lists, where that is known.
        forms: of its cells, and the line of the first cell of each.
        rows: how many have it.
    """

    name: str
    number: int
    feature: str
    kind: str | None
    is_list: bool | None
    forms: dict[_Form, int] = field(default_factory=dict)
    rows: int = 0


_BASES: dict[object, _Base] = {bool: "int64", int: "int64", float: "float", str: "bytes"}
_ALLOWED: dict[str, set[str]] = {
    "int64": {"int64"},
    "float": {"int64", "float", "not finite"},
    "bytes": {"bytes", "int64"},
}
"""What stands in the cells of a column that must be of a kind."""

_WORDS = {
    ("int64", False): "a whole number",
    ("float", False): "a number",
    ("not finite", False): "text",
    ("bytes", False): "text",
    ("nothing", True): "a list",
    ("int64", True): "a list of whole numbers",
    ("float", True): "a list of numbers",
    ("bytes", True): "a list of texts",
}

_Columns = list[tuple[_Met, Column]]


class Table:
    """An image list on its way to a listing."""

    def __init__(
        self, path: Path, keys: KeyStyle, columns: Sequence[Column], *, has_labels: bool
    ) -> None:
        self._path = path
        self._keys = keys
        self._told = {column.name: column for column in columns}
        self._has_labels = has_labels
        self._is_json = path.suffix.lower() == ".jsonl"
        self._names: list[str] = []
        self._columns: dict[str, _Met] = {}
        self._classes: dict[str, int] = {}
        self._rows = Packed(_pack, _Row, "q")
        self._bad: list[tuple[int, str]] = []
        self._bad_count = 0

    def read(self, file: BinaryIO) -> None:
        """Take in every row.

        Raises:
            TableError: a bad header, or bad lines.
            UsageError: a column has a name that is taken.
        """
        lines = self._lines(file)
        for line, read in self._objects(lines) if self._is_json else self._cells(lines):
            self._take(line, read)
        self._end()

    def listing(self, root: Path, labels: Sequence[str] | str | None, labels_from: str) -> Listing:
        """Make the listing, of the files that are there now.

        Raises:
            TableError: a path stands there twice, a value does not fit its column, a class is not
                among the ``labels``.
        """
        columns, warnings = self._decide()
        names, numbers = self._number_classes(labels, labels_from)
        if names is not None:
            warnings += doubts(names, pinned=labels != "auto")
        found, rejects = packed(), []
        before: _Row | None = None
        for index in sorted(range(len(self._rows)), key=self._rows.path):
            row = self._rows[index]
            if before and row.path == before.path:
                found_again = f"found {printable(row.path)} again"
                self._tell(row.line, f"{found_again}, expected it in line {before.line} alone")
                continue
            before = row
            try:
                features = self._features(row, columns)
            except ValueError as error:
                self._tell(row.line, str(error))
                continue
            one = _source(root, row.path, numbers.get(row.label), features)
            if isinstance(one, Reject):
                rejects.append(one)
            else:
                found.append(one)
        self._end()
        return Listing(
            sources=found,
            labels=names,
            rejects=tuple(rejects),
            warnings=tuple(warnings),
            columns=tuple(column for _, column in columns),
        )

    def _tell(self, line: int, message: str) -> None:
        self._bad_count += 1
        if len(self._bad) < _MOST_TOLD:
            self._bad.append((line, message))

    def _end(self) -> None:
        """Raise an error if any line was bad."""
        if self._bad:
            raise self._error()

    def _stop(self, line: int, message: str) -> NoReturn:
        """Raise an error behind which nothing can be read."""
        self._tell(line, message)
        raise self._error()

    def _error(self) -> TableError:
        bad = sorted(self._bad)
        told = [f"{self._path}: line {line}: {message}" for line, message in bad]
        numbers = ", ".join(str(line) for line, _ in bad[1 : 1 + _NUMBERS_TOLD])
        more = self._bad_count - 1
        dots = "…" * (more > _NUMBERS_TOLD)
        rest = f" (and {more} more, in line{'s' * (more > 1)} {numbers}{dots})" if more else ""
        return TableError(told[0] + rest, tuple(told))

    def _lines(self, file: BinaryIO) -> Iterator[str]:
        """Iterate the lines; a bad one is told of, and empty."""
        number = 0
        while data := file.readline(_LINE_BYTES + 1):
            number += 1
            if len(data) > _LINE_BYTES and b"\r" in data:
                self._stop(number, _OLD_MAC)
            if len(data) > _LINE_BYTES:
                self._stop(number, f"found more, expected {_LINE_BYTES} bytes at most")
            if number == 1:
                data = data.removeprefix(_BOM)
            try:
                text = data.decode()
            except UnicodeDecodeError as error:
                self._tell(number, f"found byte {data[error.start]:#04x}, expected UTF-8")
                text = ""
            if "\0" in text:
                self._tell(number, "found a zero byte, expected text")
                text = ""
            yield text

    def _cells(self, lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
        """Iterate the rows behind the header, each with the number of its first line."""
        delimiter = "\t" if self._path.suffix.lower() == ".tsv" else ","
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        line = 0
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                break
            except csv.Error as error:
                if "new-line" in str(error):
                    self._stop(line, _OLD_MAC)
                self._stop(line, f"{error}: expected quotes in pairs, cells of 128 KiB at most")
            if cells and self._names:
                yield line, cells
            elif cells:
                self._read_header(line, cells)
        if not self._names:
            self._stop(line, f"found no names of columns, expected {_PATH!r} among them")

    def _read_header(self, line: int, names: list[str]) -> None:
        if again := _twice(names):
            self._stop(line, f"found column {_shown(again)} twice, expected it once")
        if _PATH not in names:
            found = ", ".join(map(_shown, names[:_NUMBERS_TOLD]))
            self._stop(line, f"found columns {found}, expected {_PATH!r} among them")
        try:
            for name in names:
                if name not in (_PATH, _LABEL):
                    self._column(name)
        except ValueError as error:
            self._stop(line, str(error))
        self._names = names

    def _objects(self, lines: Iterator[str]) -> Iterator[tuple[int, str]]:
        return ((number, text) for number, text in enumerate(lines, 1) if text.strip())

    def _take(self, line: int, read: list[str] | str) -> None:
        """Take in one row."""
        try:
            self._rows.append(self._row(line, read))
        except ValueError as error:
            self._tell(line, str(error))

    def _row(self, line: int, read: list[str] | str) -> _Row:
        """Make a row of its cells, or of its JSON.

        Raises:
            ValueError: says what is wrong with it.
        """
        if isinstance(read, str):
            cells = _object(read)
        elif len(read) == len(self._names):
            cells = {name: cell or None for name, cell in zip(self._names, read, strict=True)}
        else:
            raise ValueError(f"found {len(read)} cells, expected {len(self._names)}")
        path = _path(cells.pop(_PATH, None))
        label = self._class(cells.pop(_LABEL, None)) if self._has_labels else NO_LABEL
        cells.pop(_LABEL, None)
        values: list[Any] = [None] * len(self._columns)
        for name, cell in cells.items():
            column = self._column(name)
            if cell is not None:
                self._meet(column, cell, line)
                values += [None] * (column.number + 1 - len(values))
                values[column.number] = cell
        return _Row(path, line, label, _dumped(values).encode())

    def _class(self, label: object) -> int:
        """Return the number of a row's class, in the order in which classes are met."""
        if label is None or label == "":
            return NO_LABEL
        name = str(label)
        if type(label) not in (int, str) or "\0" in name or name.splitlines() != [name.strip()]:
            expected = "the name of a class in one line, without spaces around it"
            raise ValueError(f"label: found {_shown(label)}, expected {expected}")
        return self._classes.setdefault(_text(name), len(self._classes))

    def _column(self, name: str) -> _Met:
        """Return what was met of a column; a new one must have a good name.

        Raises:
            ValueError: it has none.
            UsageError: the name is that of a feature of ours.
        """
        if name in self._columns:
            return self._columns[name]
        if not name.isprintable() or name.strip() != name or not name:
            raise ValueError(
                f"found column {_shown(name)}, expected a name without spaces around it"
            )
        if name.casefold() in (_PATH, _LABEL):
            raise ValueError(f"found column {name!r}, expected {name.casefold()!r}")
        if len(name.encode()) > _NAME_BYTES or len(self._columns) == _MOST_COLUMNS:
            expected = f"{_MOST_COLUMNS} columns at most, with names of {_NAME_BYTES} bytes"
            raise ValueError(f"found column {_shown(name)}, expected {expected}")
        is_detection = self._keys == "tf-models"
        feature = _SHORT_NAMES.get(name, name) if is_detection else name
        if feature in OURS:
            raise UsageError(
                f"{self._path}: column {name!r}: found a name that tfrec gives to a feature of its "
                "own, expected another: rename the column, or leave it out"
            )
        for one in self._columns.values():
            if one.feature == feature:
                raise ValueError(f"found columns {one.name!r} and {name!r}, expected one of them")
        told = self._told.get(feature)
        kind = told.kind if told else _KINDS.get(feature) if is_detection else None
        is_list = told.is_list if told else False if feature == SOURCE_ID else None
        number = len(self._columns)
        met = _Met(name=name, number=number, feature=feature, kind=kind, is_list=is_list)
        self._columns[name] = met
        return met

    def _meet(self, column: _Met, cell: Any, line: int) -> None:
        """Note what a cell holds.

        Raises:
            ValueError: no feature can hold it, or not beside what the column holds.
        """
        value, form = self._value(column, cell)
        if form is None:
            expected = "a number, text, true, false, null, or a list of numbers or of texts"
            raise ValueError(f"{column.name}: found {_shown(value)}, expected {expected}")
        column.rows += 1
        if form in column.forms:
            return
        if column.kind or self._is_json:
            _check_form(column, form, value)
        column.forms[form] = line

    def _value(self, column: _Met, cell: Any) -> tuple[Any, _Form | None]:
        """Return what a cell holds, and its form; None is one that no feature has."""
        if self._is_json:
            return cell, _form(cell)
        value = _parsed(cell)
        form = _form(value)
        is_texts = form in (("bytes", True), ("nothing", True)) and column.is_list is not False
        if column.kind == "bytes" and not is_texts:
            return cell, ("bytes", False)
        if value is cell and _NOT_FINITE.fullmatch(cell):
            return cell, ("not finite", False)
        return value, form

    def _decide(self) -> tuple[_Columns, list[str]]:
        """Decide what each column holds; returns those that hold something, and warnings."""
        decided, warnings = [], []
        for met in sorted(self._columns.values(), key=lambda met: met.feature.encode()):
            bases = {base for base, _ in met.forms} - {"nothing"}
            is_list = {is_list for _, is_list in met.forms} == {True}
            is_uniform = len({is_list for _, is_list in met.forms}) == 1
            kind: Any = met.kind
            if met.feature in self._told:
                is_list = self._told[met.feature].is_list
            elif not met.forms or not (kind or bases):
                warnings.append(f"column {met.name!r}: found no value: left out")
                continue
            elif (
                kind is None and is_uniform and bases & {"int64", "float"} and "bytes" not in bases
            ):
                kind = "int64" if bases == {"int64"} else "float"
            elif kind is None:
                kind = "bytes"
                if not is_uniform or bases & {"int64", "float"}:
                    is_list = False
                    lines = sorted(met.forms.items(), key=lambda item: item[1])
                    told = " and ".join(f"{_WORDS[form]} in line {line}" for form, line in lines)
                    warnings.append(f"column {met.name!r}: found {told}: stored as text")
            column = Column(
                name=met.feature,
                kind=kind,
                is_list=is_list,
                is_everywhere=met.rows == len(self._rows),
            )
            decided.append((met, column))
        names = {column.name for _, column in decided}
        if self._keys == "tf-models" and 0 < len(names.intersection(BOXES)) < len(BOXES):
            missing = ", ".join(name.rpartition("/")[2] for name in BOXES if name not in names)
            raise TableError(
                f"{self._path}: found boxes without {missing}, expected all four sides"
            )
        return decided, warnings

    def _number_classes(
        self, labels: Sequence[str] | str | None, labels_from: str
    ) -> tuple[tuple[str, ...] | None, dict[int, int]]:
        """Return the class names by number, and the number of each class that was met."""
        lines, met = self._rows.column(0), self._rows.column(1)
        is_pinned = labels is not None and not isinstance(labels, str)
        if not self._classes and is_pinned:
            expected = f"one with classes of {labels_from}"
            raise TableError(f"{self._path}: found no column {_LABEL!r}, expected {expected}")
        if not self._classes:
            return None, {}
        for line, label in zip(lines, met, strict=True):
            if label == NO_LABEL:
                expected = "one in every row or in none"
                self._tell(line, f"label: found none, expected {expected}")
        names = tuple(sorted(self._classes, key=str.encode)) if labels == "auto" else labels
        assert isinstance(names, Sequence)
        numbers = {name: number for number, name in enumerate(names)}
        unknown = {self._classes[name]: name for name in self._classes.keys() - numbers.keys()}
        for line, label in zip(lines, met, strict=True):
            if label in unknown:
                expected = f"one of the {len(names)} classes of {labels_from}"
                self._tell(line, f"label: found {_shown(unknown[label])}, expected {expected}")
        return tuple(names), {
            place: numbers[name] for name, place in self._classes.items() if name in numbers
        }

    def _features(self, row: _Row, columns: _Columns) -> bytes:
        """Make what a source holds of a row: see `records.further`.

        Raises:
            ValueError: a value is too large, or boxes are none.
        """
        if not columns:
            return b""
        cells = json.loads(row.values)
        values = []
        for met, column in columns:
            cell = cells[met.number] if met.number < len(cells) else None
            value = None if cell is None else self._value(met, cell)[0]
            if column.kind == "bytes" and not column.is_list and not self._is_json:
                value = cell
            try:
                values.append(_stored(value, column))
            except ValueError as error:
                raise ValueError(f"{met.name}: {error}") from error
        if self._keys == "tf-models":
            _check_boxes(
                {column.name: one for (_, column), one in zip(columns, values, strict=True)}
            )
        return _dumped(values).encode()


def _source(root: Path, path: bytes, label: int | None, features: bytes) -> Source | Reject:
    """Look at the file that a row names."""
    try:
        status = os.stat(os.path.join(os.fsencode(root), path))
    except OSError as error:
        raise_if_exhausted(error)
        return Reject(path, "unreadable", f"found {error.strerror}, expected a file")
    if not stat.S_ISREG(status.st_mode):
        found = "found a folder, pipe, socket or device, expected a file"
        return Reject(path, "not_a_regular_file", found)
    return Source(path, status.st_size, label, status.st_mtime_ns, features)


def _object(text: str) -> dict[str, Any]:
    """Read a line of JSON."""
    try:
        values = json.loads(
            text, object_pairs_hook=_once, parse_constant=_refuse, parse_int=_integer
        )
    except RecursionError as error:
        raise ValueError("found lists in lists without end, expected a JSON object") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at character {error.pos + 1}, expected JSON") from error
    if not isinstance(values, dict):
        raise ValueError(f"found {_shown(values)}, expected a JSON object")  # noqa: TRY004  # caught
    return values


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if again := _twice([name for name, _ in pairs]):
        raise ValueError(f"found {_shown(again)} twice, expected it once")
    return dict(pairs)


def _twice(names: Sequence[str]) -> str | None:
    """Return a name that stands there more than once."""
    return next((name for name, count in Counter(names).most_common(1) if count > 1), None)


def _refuse(constant: str) -> None:
    raise ValueError(f"found {constant}, expected finite numbers")


def _integer(digits: str) -> int:
    """Read an integer of JSON.

    Raises:
        ValueError: it has so many digits that Python would tell of settings of its own.
    """
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"found {_shown(_abridged(digits))}, expected a whole number of 64 bits")
    return int(digits)


def _abridged(digits: str) -> int:
    """Return an integer, or a lesser one that is too large as well and is shown alike."""
    half = _MOST_DIGITS // 2
    return int(digits if len(digits) <= _MOST_DIGITS else digits[:half] + digits[-half:])


def _path(cell: object) -> bytes:
    """Return a path as sources have it."""
    if not isinstance(cell, str) or not cell:
        found = "nothing" if cell in (None, "") else _shown(cell)
        raise ValueError(f"path: found {found}, expected the path of an image")
    parts = [part for part in cell.split("/") if part not in ("", ".")]
    if cell[0] == "/" or ".." in parts or "\\" in cell or "\0" in cell or not parts:
        expected = "a path below the folder of the images, with slashes and without '..'"
        raise ValueError(f"path: found {_shown(cell)}, expected {expected}")
    try:
        return os.fsencode("/".join(parts))
    except UnicodeEncodeError as error:
        raise ValueError(f"path: found {_shown(cell)}, expected text") from error


def _parsed(cell: str) -> Any:
    """Return what the text of a cell stands for: a number, a list of JSON, or itself."""
    if _INTEGER.fullmatch(cell):
        return _abridged(cell)
    if _DECIMAL.fullmatch(cell):
        return float(cell)
    if cell[0] == "[":
        try:
            values = json.loads(cell, parse_int=_abridged)
        except (ValueError, RecursionError):
            return cell
        if _form(values):
            return values
    return cell


def _form(value: object) -> _Form | None:
    """Return the form of a value; None where no feature can hold it."""
    if not isinstance(value, list):
        base = _BASES.get(type(value))
        return (base, False) if base else None
    bases = {_BASES.get(type(item)) for item in value}
    if not bases:
        return "nothing", True
    if bases <= {"int64", "float"}:
        return ("float" if "float" in bases else "int64"), True
    return ("bytes", True) if bases == {"bytes"} else None


def _check_form(column: _Met, form: _Form, value: object) -> None:
    """Refuse a value that is unlike those before it, or unlike what the column must hold."""
    known = [base for base, _ in column.forms if base != "nothing"]
    base: str = known[0] if known else form[0]
    allowed = {base} if base in ("bytes", "nothing") else {"int64", "float"}
    if column.kind:
        base, allowed = column.kind, _ALLOWED[column.kind]
    is_list = column.is_list
    if is_list is None:
        is_list = next((is_list for _, is_list in column.forms), form[1])
    if form[1] == is_list and form[0] in {*allowed, "nothing"}:
        return
    expected = _WORDS["float" if base == "int64" and not column.kind else base, is_list]
    lines = column.forms.values()
    like = f" as in line {min(lines)}" if lines and not column.kind else ""
    raise ValueError(f"{column.name}: found {_shown(value)}, expected {expected}{like}")


def _stored(value: Any, column: Column) -> Any:
    """Return a value, or list of them, or None, as a feature of a kind holds it."""
    if value is None:
        return None
    make = {"int64": _int64, "float": _float32, "bytes": _text}[column.kind]
    return [make(item) for item in value] if column.is_list else make(value)


def _int64(value: Any) -> int:
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"found {_shown(value)}, expected a whole number of 64 bits")
    return int(value)


def _float32(value: Any) -> float:
    if isinstance(value, str) or not abs(value) < _FLOAT_LIMIT:
        raise ValueError(f"found {_shown(value)}, expected a finite number of 32 bits")
    return float(value)


def _text(value: Any) -> str:
    try:
        str(value).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"found {_shown(value)}, expected text") from error
    return str(value)


def _check_boxes(features: dict[str, Any]) -> None:
    """Refuse boxes that are none, and as many of anything else that belongs to each."""
    lists = {
        name: value if isinstance(value, list) else [value]
        for name in PER_OBJECT
        if (value := features.get(name)) is not None
    }
    if lists.keys().isdisjoint(BOXES):
        return
    sides = [lists.get(name, []) for name in BOXES]
    for name, values in (*zip(BOXES, sides, strict=True), *lists.items()):
        if len(values) != len(sides[0]):
            found = f"found {len(values)} values in {name} and {len(sides[0])} in {BOXES[0]}"
            raise ValueError(f"{found}, expected one for each box")
    for box, (left, right, top, bottom) in enumerate(zip(*sides, strict=True)):
        if not (0 <= left <= right <= 1 and 0 <= top <= bottom <= 1):
            raise ValueError(
                f"box {box}: found x {left} to {right} and y {top} to {bottom}, expected "
                "fractions of width and height from 0 to 1, the lesser first"
            )


def _shown(value: object) -> str:
    return _SHORT.repr(value)
