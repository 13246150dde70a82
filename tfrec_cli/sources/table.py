"""Image lists (.csv, .tsv or .jsonl): their rows, and every bad line.

An image list is read once, line by line. The type of a column is known only after the last row;
until then rows are kept packed, as they were read.
"""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from tfrec_cli.dataset.names import KeyStyle
from tfrec_cli.dataset.records import OURS, Column
from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.errors import TableError, UsageError
from tfrec_cli.runtime.row_store import Packed
from tfrec_cli.runtime.values import plural
from tfrec_cli.sources import header
from tfrec_cli.sources.cells import CellType, ListError, Paths, RowError, shown, to_integer, to_text
from tfrec_cli.sources.columns import ColumnStats, new_column
from tfrec_cli.sources.header import LABEL, PATH, Asked, Roles
from tfrec_cli.sources.labels import NUMBER_EXPECTED
from tfrec_cli.sources.listing import EVERY, NO_LABEL, Found, unseen

SUFFIXES = (".csv", ".tsv", ".jsonl")

_BOM = b"\xef\xbb\xbf"
_LINE_BYTES = 1 << 20
_MOST_REPORTED = 1000
"""The first bad lines are reported, all are counted."""

_NUMBERS_SHOWN = 10

BAD_LINE = "bad_line"
"""The reason to leave out a line."""

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_WORKBOOKS = (b"PK\3\4", b"\xd0\xcf\x11\xe0")
"""The first bytes of files of Excel, new and old."""

SAVE_AS_CSV = "save it as CSV in UTF-8"
"""What to do with a table that is no text in UTF-8."""

_MEASURED = ("height", "width")
"""Columns that are left out: they are features that tfrec measures."""

INDEXES = ("", "Unnamed: 0")
"""Names of the index column that pandas writes, and that it gives to it when it reads it."""

_OLD_MAC = "found a carriage return by itself (line ends of old Macs), expected \\n or \\r\\n"

dump_json = json.JSONEncoder(separators=(",", ":")).encode
"""Like `json.dumps`, which would make an encoder for each call."""


class LineErrors:
    """The bad lines of a file: reported together, or left out.

    Args:
        skips: whether lines are left out, if nothing is lost with them that another line has.

    Attributes:
        lines: the numbers of bad lines; of many only the first, unless they are left out.
    """

    def __init__(self, path: Path, *, skips: bool) -> None:
        self.lines: set[int] = set()
        self._path = path
        self._skips = skips
        self._skipped: list[tuple[int, str]] = []
        self._first: list[tuple[int, str, str]] = []
        self._kinds: Counter[str] = Counter()
        self._count = 0
        self._can_skip = True

    def add(self, line: int, message: str, *, can_skip: bool = True, kind: str = "") -> None:
        """Record a bad line.

        Args:
            can_skip: the line may be left out.
            kind: of lines of one kind only the first is shown; "" is no kind.
        """
        if can_skip and self._skips:
            self._skipped.append((line, message))
            self.lines.add(line)
            return
        self._count += 1
        self._can_skip = self._can_skip and can_skip
        self._kinds[kind] += 1
        if len(self._first) < _MOST_REPORTED:
            self._first.append((line, message, kind))
            self.lines.add(line)

    @property
    def are_fatal(self) -> bool:
        """Whether `check` raises an error even if other lines are right."""
        return bool(self._count)

    def rejects(self) -> list[Reject]:
        """Return a reject for each line that is left out."""
        name = os.fsencode(self._path.name)
        lines = sorted(self._skipped)
        return [Reject(b"%s: line %d" % (name, line), BAD_LINE, why) for line, why in lines]

    def check(self, *, is_empty: bool = False) -> None:
        """Raise an error if any line was bad and is not left out.

        Args:
            is_empty: no line is left.
        Raises:
            TableError: names the first bad lines, and counts all.
        """
        if self._count:
            raise self._error()
        if is_empty and self._skipped:
            self._first = [(line, why, "") for line, why in self._skipped[:_MOST_REPORTED]]
            self._count = len(self._skipped)
            self._can_skip = False
            raise self._error()

    def stop(self, line: int, message: str) -> NoReturn:
        """Record a bad line after which reading cannot continue, and raise the error."""
        self.add(line, message, can_skip=False)
        raise self._error()

    def _error(self) -> TableError:
        errors = sorted(self._first)
        details = [f"{self._path}: line {line}: {message}" for line, message, _ in errors]
        it = "it" if self._count == 1 else "them"
        todo = f"; mend {it}, or `on_error` skip leaves {it} out" if self._can_skip else ""
        if self._count == 1:
            return TableError(details[0] + todo, details)
        numbers = ", ".join(str(line) for line, _, _ in errors[:_NUMBERS_SHOWN])
        dots = "…" * (self._count > _NUMBERS_SHOWN)
        found = f"found {self._count} wrong lines: {numbers}{dots}"
        return TableError(f"{self._path}: {found}{todo}", details, first=[*self._shown(errors)])

    def _shown(self, errors: Sequence[tuple[int, str, str]]) -> Iterator[str]:
        """Iterate texts of the first errors, one for each kind, and how many more there are."""
        kinds: set[str] = set()
        named = rows = 0
        for line, message, kind in errors:
            if rows == _NUMBERS_SHOWN or (kind and kind in kinds):
                continue
            kinds.add(kind)
            count = self._kinds[kind] if kind else 1
            more = f" (and {plural(count - 1, 'more line')})" if count > 1 else ""
            yield f"line {line}: {message}{more}"
            named, rows = named + count, rows + 1
        if named < self._count:
            yield f"and {self._count - named} more: -v names all"


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it was read.

    Attributes:
        class_number: number of its class in the order of appearance, or `listing.NO_LABEL`.
        values: JSON list of the cells, in the order in which columns appear.
    """

    path: bytes
    line: int
    class_number: int
    values: bytes

    def cells(self) -> list[Any]:
        """Return the cells; None for empty ones."""
        cells: list[Any] = json.loads(self.values)
        return cells


def _pack(row: Row) -> tuple[bytes, Sequence[int], bytes]:
    return row.path, (row.line, row.class_number), row.values


class Table:
    """The rows of an image list.

    Args:
        root: the folder of the images.
        keys: ``tf-models`` gives features the names of the Object Detection API.
        pinned: columns of another split; columns of the same name must have the same types.
        has_labels: whether to read the column of labels.
        asked: what options say about it.
        skips: whether bad lines are left out.

    Attributes:
        rows: the rows, packed.
        roles: the columns of paths and labels.
        columns: additional columns by name, in the order in which they appear.
        classes: class name to number, in the order in which classes appear.
        errors: bad lines so far; later checks of rows add to them.
    """

    def __init__(
        self,
        path: Path,
        root: Path,
        keys: KeyStyle,
        pinned: Sequence[Column],
        *,
        has_labels: bool,
        asked: Asked,
        skips: bool,
    ) -> None:
        self.rows = Packed(_pack, Row)
        self.columns: dict[str, ColumnStats] = {}
        self.classes: dict[str, int] = {}
        self.errors = LineErrors(path, skips=skips)
        self.path = path
        self.roles = Roles()
        self._asked = asked
        self._paths = Paths(root, asked.suffix or "")
        self._suffix = path.suffix.lower()
        self._delimiter = ","
        self._is_trimmed = False
        self._measured: set[str] = set()
        self._has_unread_labels = False
        self._keys = keys
        self._pinned = pinned
        self._has_labels = has_labels
        self._is_json = self._suffix == ".jsonl"
        self._header: list[str] = []

    def read(self, file: BinaryIO, found: Found = unseen) -> None:
        """Read every row.

        Args:
            found: see `Found`.
        Raises:
            TableError: a bad header, or every line is bad.
            UsageError: a column has a reserved name.
        """
        lines = _text_lines(file, self.errors)
        for line, content in self._json_rows(lines) if self._is_json else self._csv_rows(lines):
            self._add_row(line, content)
            if len(self.rows) % EVERY == 0:
                found(len(self.rows))
        if not self.rows:
            self.errors.check(is_empty=True)

    def _add_row(self, line: int, content: list[str] | str) -> None:
        try:
            self.rows.append(self._row(line, content))
        except RowError as error:
            can_skip = not isinstance(error, ListError)
            self.errors.add(line, str(error), can_skip=can_skip, kind=error.kind)

    def _csv_rows(self, lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
        """Iterate the rows after the header, each with the number of its first line."""
        start: list[str] = []
        while not "".join(start).strip() and (first := next(lines, None)) is not None:
            start.append(first)
        if start:
            self._delimiter = header.delimiter(start[-1], self._suffix, self._asked)
        raw: list[str] = []  # the lines of one row
        reader = csv.reader(
            _kept(chain(start, lines), raw),
            delimiter=self._delimiter,
            skipinitialspace=True,
            strict=True,
        )
        while True:
            line = reader.line_num + 1
            raw.clear()
            try:
                cells = self._trimmed(next(reader), raw)
            except StopIteration:
                break
            except csv.Error as error:
                if "new-line" in str(error):
                    self.errors.stop(line, _OLD_MAC)
                expected = "expected quotes in pairs, and cells of at most 128 KiB"
                self.errors.stop(line, f"{error}: {expected}")
            if not self.errors.lines.isdisjoint(range(line, reader.line_num + 1)):
                continue  # a cell of several lines, of which one is bad
            if cells and self._header:
                yield line, cells
            elif cells:
                self._read_header(line, cells)
        if not self._header:
            self.errors.stop(line, f"found no column names, expected {PATH!r} among them")

    def _trimmed(self, cells: list[str], lines: Sequence[str]) -> list[str]:
        """Return the cells of a row without spaces around them; ``lines`` are its lines."""
        trimmed = [cell.strip(header.SPACES) for cell in cells]
        if not self._is_trimmed and (trimmed != cells or self._skipped_space(cells, lines)):
            self._is_trimmed = bool("".join(trimmed))
        return trimmed

    def _skipped_space(self, cells: Sequence[str], lines: Sequence[str]) -> bool:
        """Tell whether the reader has skipped a space before a cell, not one within a cell."""
        before = self._delimiter + " "
        return lines[0].startswith(" ") or (
            sum(line.count(before) for line in lines) > sum(cell.count(before) for cell in cells)
        )

    def _read_header(self, line: int, names: list[str]) -> None:
        if repeated := _repeated(names):
            self.errors.stop(line, f"found column {shown(repeated)} twice, expected it once")
        self._header = names
        self._set_roles(line)
        try:
            if names[0] == INDEXES[0]:
                self.columns[""] = ColumnStats(name="", feature="", is_text=True)
            for name in names:
                if name not in (self.roles.path, self.roles.label, *_MEASURED):
                    self._column(name)
        except RowError as error:
            self.errors.stop(line, str(error))

    def _set_roles(self, line: int) -> None:
        """Find the columns of paths and labels in the header.

        Raises:
            TableError: there is none of paths, several may be meant, or an option names none.
        """
        features = {column.name for column in self._pinned}
        names = self._header
        try:
            found = header.roles(names, self._asked, features, has_labels=self._has_labels)
        except RowError as error:
            self.errors.stop(line, str(error))
        if found is None:
            self.errors.stop(line, header.no_paths(names))
        self.roles = found

    def _json_rows(self, lines: Iterator[str]) -> Iterator[tuple[int, str]]:
        return ((number, text) for number, text in enumerate(lines, 1) if text.strip())

    def _row(self, line: int, content: list[str] | str) -> Row:
        """Make a row from its cells or its JSON.

        Raises:
            RowError: the row is wrong.
        """
        if isinstance(content, str):
            cells = _json_object(content)
            if not self._header:
                self._header = [*cells]
                self._set_roles(line)
        elif len(content) == len(self._header):
            cells = {name: cell or None for name, cell in zip(self._header, content, strict=True)}
        else:
            raise RowError(f"found {len(content)} cells, expected {len(self._header)}")
        path = self._paths.read(cells.pop(self.roles.path, None))
        label = cells.pop(self.roles.label, None)
        self._measured.update(name for name in _MEASURED if cells.pop(name, None) is not None)
        class_number = self._class(label) if self._has_labels else NO_LABEL
        self._has_unread_labels |= label is not None and not self._has_labels
        values: list[Any] = [None] * len(self.columns)
        added: list[tuple[ColumnStats, Any]] = []
        try:
            for name, cell in cells.items():
                column = self._column(name)
                if cell is not None:
                    column.add(cell, line)
                    added.append((column, cell))
                    values += [None] * (column.number + 1 - len(values))
                    values[column.number] = cell
        except RowError:
            for column, cell in added:
                column.remove(cell, line)
            raise
        return Row(path, line, class_number, dump_json(values).encode())

    def _class(self, label: object) -> int:
        """Return the number of a row's class; new classes get the next number."""
        if label is None or label == "":
            return NO_LABEL
        name = str(label)
        is_whole = isinstance(label, float) and label.is_integer()
        if (
            not (type(label) in (int, str) or is_whole)
            or "\0" in name
            or name.splitlines() != [name.strip()]
        ):
            expected = "the name of a class in one line, without spaces around it"
            if isinstance(label, float):
                expected = NUMBER_EXPECTED
            kind = "label" * isinstance(label, float)
            raise RowError(f"label: found {shown(label)}, expected {expected}", kind)
        return self.classes.setdefault(to_text(name), len(self.classes))

    def _column(self, name: str) -> ColumnStats:
        """Return the statistics of a column, which may be new.

        Raises:
            RowError: its name is invalid.
            UsageError: its name is reserved for a feature that tfrec writes.
        """
        if name in self.columns:
            return self.columns[name]
        self._check_role(name)
        column = new_column(name, self.columns, self._pinned, self._keys, is_text=not self._is_json)
        if column.feature in OURS:
            raise UsageError(
                f"{self.path}: column {name!r}: tfrec uses this name for one of its features: "
                "rename or remove the column"
            )
        self.columns[name] = column
        return column

    def _check_role(self, name: str) -> None:
        """Refuse a new column of values that may be meant as paths or labels."""
        asked = (self._asked.path_column, self._asked.label_column)
        read = (PATH, LABEL) if self._has_labels else (PATH,)
        for usual, option in zip(read, asked, strict=False):
            if name.casefold() == usual and option is None:
                raise ListError(f"found column {name!r}, expected {usual!r}")
        pinned = {column.name for column in self._pinned}
        is_late = self._is_json and name not in self._header and self.roles.label == LABEL
        if is_late and self._has_labels and header.may_be_label(name) and name not in pinned:
            raise ListError(f"found {name!r}, expected it in the first line too: is it the label?")

    def notes(self) -> list[str]:
        """Return a line about what was read in another way than usual, if anything was."""
        said = [*self.roles.note(), *self._paths.notes()]
        if not self._is_json and self._delimiter != header.usual_delimiter(self._suffix):
            said.append("cells: separated by " + {"\t": "tabs"}.get(self._delimiter, "semicolons"))
        if self._is_trimmed:
            said.append("cells: spaces around them left out")
        notes = ["; ".join(said)] if said else []
        if self._measured:
            words = " and ".join(sorted(self._measured))
            notes.append(f"{words}: tfrec measures the images itself: left out")
        if self._has_unread_labels:
            notes.append(
                f"column {self.roles.label}: left out with --labels none, since tfrec uses this "
                "name for labels: rename the column to store it as a feature"
            )
        return notes

    def take_index(self) -> list[str]:
        """Leave out the index column that pandas writes, and return a line that says so.

        Raises:
            TableError: the first column has no name and is no such index.
        """
        for name in INDEXES:
            column = self.columns.get(name)
            if column is None or column.is_pinned:
                continue
            if column.rows == len(self.rows) and column.types.keys() == {CellType("int64")}:
                del self.columns[name]
                what = repr(name) if name else "1, which has no name"
                return [f"column {what}: found row numbers, as pandas writes them: left out"]
            if not name:
                self.errors.stop(1, "found a first column without a name, expected a name")
        return []


def _kept(lines: Iterable[str], kept: list[str]) -> Iterator[str]:
    """Iterate lines, and keep each of them."""
    for line in lines:
        kept.append(line)
        yield line


def _text_lines(file: BinaryIO, errors: LineErrors) -> Iterator[str]:
    """Iterate the lines of a file as text; bad lines are recorded and become empty."""
    number = 0
    while data := file.readline(_LINE_BYTES + 1):
        number += 1
        if len(data) > _LINE_BYTES and b"\r" in data:
            errors.stop(number, _OLD_MAC)
        if len(data) > _LINE_BYTES:
            errors.stop(number, f"found a longer line, expected at most {_LINE_BYTES} bytes")
        if number == 1 and data.startswith(_UTF_16):
            errors.stop(number, f"found UTF-16, expected UTF-8: {SAVE_AS_CSV}")
        if number == 1 and data.startswith(_WORKBOOKS):
            errors.stop(number, f"found an Excel workbook, expected text: {SAVE_AS_CSV}")
        if number == 1:
            data = data.removeprefix(_BOM)
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            found = f"found byte {data[error.start]:#04x}, expected UTF-8"
            errors.add(number, found, can_skip=number > 1)
            text = ""
        if "\0" in text:
            errors.add(number, "found a zero byte, expected text", can_skip=number > 1)
            text = ""
        yield text


def _json_object(text: str) -> dict[str, Any]:
    """Parse a line of JSON."""
    try:
        values = json.loads(
            text, object_pairs_hook=_pairs, parse_constant=_refuse_constant, parse_int=to_integer
        )
    except RecursionError as error:
        raise RowError("found too deeply nested lists, expected a JSON object") from error
    except json.JSONDecodeError as error:
        raise RowError(f"{error.msg} at character {error.pos + 1}, expected JSON") from error
    if not isinstance(values, dict):
        raise RowError(f"found {shown(values)}, expected a JSON object")
    return values


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if repeated := _repeated([name for name, _ in pairs]):
        raise RowError(f"found {shown(repeated)} twice, expected it once")
    return dict(pairs)


def _repeated(names: Sequence[str]) -> str | None:
    """Return a name that occurs more than once, or None."""
    return next((name for name, count in Counter(names).most_common(1) if count > 1), None)


def _refuse_constant(constant: str) -> None:
    raise RowError(f"found {constant}, expected finite numbers")
