"""Cells of an image list: how text becomes values and paths, and the limits of numbers."""

from __future__ import annotations

import json
import os
import re
import reprlib
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tfrec_cli.runtime.values import url_remedy

_FLOAT_LIMIT = float.fromhex("0x1.ffffffp+127")
"""From this value on a number is infinite as a float32."""

_INTEGER = re.compile(r"[+-]?(?:0|[1-9][0-9]*)")
"""Integers without leading zeros: text such as 007 would lose them."""

_MOST_DIGITS = 100
"""Integers with more digits are shortened: 20 digits are already too many for 64 bits."""

_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][+-]?[0-9]+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)

_IMAGE = re.compile(r".+\.(jpe?g|png|gif|bmp|tiff?|webp)", re.IGNORECASE | re.DOTALL)

_DRIVE = re.compile(r"[A-Za-z]:/")
"""The beginning of an absolute path of Windows, with slashes."""

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 60


class RowError(Exception):
    """A row is wrong; the message says why.

    Args:
        kind: rows that are wrong in one way, so that one of them is enough for a person.
    """

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind


class ListError(RowError):
    """A row shows that the list is wrong: to leave out the row would mend nothing."""


_Base = Literal["int64", "float", "bytes", "not finite", "nothing"]


class CellType(NamedTuple):
    """The type of a cell's value or of a list's items; an empty list holds ``nothing``."""

    base: _Base
    is_list: bool = False


_BASES: dict[object, _Base] = {bool: "int64", int: "int64", float: "float", str: "bytes"}


def parse(cell: str) -> Any:
    """Return the value of a cell's text: a number, a JSON list, or the text itself."""
    if _INTEGER.fullmatch(cell):
        return _abridged(cell)
    if _DECIMAL.fullmatch(cell):
        return float(cell)
    if cell[0] == "[":
        try:
            values = json.loads(cell, parse_int=_abridged)
        except (ValueError, RecursionError):
            return cell
        if type_of(values):
            return values
    return cell


def has_decimal_comma(cell: str) -> bool:
    """Tell whether the text of a cell is a number such as ``1,5``."""
    return bool(_DECIMAL_COMMA.fullmatch(cell))


def is_not_finite(cell: str) -> bool:
    """Tell whether the text of a cell is a number that is not finite, such as ``nan``."""
    return bool(_NOT_FINITE.fullmatch(cell))


def is_image_name(cell: str) -> bool:
    """Tell whether the text of a cell ends like the name of an image file."""
    return bool(_IMAGE.fullmatch(cell))


def type_of(value: object) -> CellType | None:
    """Return the type of a value; None if no feature can hold it."""
    if not isinstance(value, list):
        base = _BASES.get(type(value))
        return CellType(base) if base else None
    bases = {_BASES.get(type(item)) for item in value}
    if not bases:
        return CellType("nothing", is_list=True)
    if bases <= {"int64", "float"}:
        return CellType("float" if "float" in bases else "int64", is_list=True)
    return CellType("bytes", is_list=True) if bases == {"bytes"} else None


def to_integer(digits: str) -> int:
    """Parse a JSON integer.

    Raises:
        RowError: it has too many digits; Python's own message would not be clear.
    """
    if len(digits) > _MOST_DIGITS:
        raise RowError(f"found {shown(_abridged(digits))}, expected a whole number of 64 bits")
    return int(digits)


def _abridged(digits: str) -> int:
    """Return an integer; for a very long one a shorter one, also too large and shown alike."""
    half = _MOST_DIGITS // 2
    return int(digits if len(digits) <= _MOST_DIGITS else digits[:half] + digits[-half:])


def to_int64(value: Any) -> int:
    """Return a whole number or a bool as an int64.

    Raises:
        RowError: it does not fit into 64 bits.
    """
    if not -(2**63) <= value < 2**63:
        raise RowError(f"found {shown(value)}, expected a whole number of 64 bits")
    return int(value)


def to_float32(value: Any) -> float:
    """Return a number as a float.

    Raises:
        RowError: it is too large for a float32, or not finite.
    """
    if isinstance(value, str) or not abs(value) < _FLOAT_LIMIT:
        raise RowError(f"found {shown(value)}, expected a finite number of 32 bits")
    return float(value)


def to_text(value: Any) -> str:
    """Return a value as text.

    Raises:
        RowError: UTF-8 cannot encode the text.
    """
    try:
        str(value).encode()
    except UnicodeEncodeError as error:
        raise RowError(f"found {shown(value)}, expected text") from error
    return str(value)


class Paths:
    """Reads paths as people write them: absolute, with the backslashes of Windows, cut short.

    Args:
        suffix: text that is added to each path.
    """

    def __init__(self, root: Path, suffix: str = "") -> None:
        self._root = root
        self._suffix = suffix
        self._tops = sorted({os.path.abspath(root), os.path.realpath(root)})
        self._absolute = self._backslashes = False

    def notes(self) -> list[str]:
        """Return what was read in another way than usual."""
        return [
            *["absolute paths: read as relative"] * self._absolute,
            *["backslashes: read as slashes"] * self._backslashes,
        ]

    def read(self, cell: object) -> bytes:
        """Return the normalised path of a source, relative to the folder of the images.

        Raises:
            RowError: it is no path below that folder.
        """
        if not isinstance(cell, str) or not cell:
            found = "nothing" if cell in (None, "") else shown(cell)
            raise RowError(f"path: found {found}, expected the path of an image")
        if remedy := url_remedy(cell):
            raise RowError(f"path: found the URL {shown(cell)}, expected a local path: {remedy}")
        path = cell + self._suffix
        if "\\" in path:
            path = path.replace("\\", "/")
            self._backslashes = True
        if path[0] == "/":
            path = self._relative(path)
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if path[0] == "/" or ".." in parts or _DRIVE.match(path) or "\0" in path or not parts:
            expected = f"a path below {self._root} and without '..' (`root` names another folder)"
            raise RowError(f"path: found {shown(cell)}, expected {expected}")
        try:
            return os.fsencode("/".join(parts))
        except UnicodeEncodeError as error:
            raise RowError(f"path: found {shown(cell)}, expected text") from error

    def _relative(self, path: str) -> str:
        """Return an absolute path relative to the folder of the images, if it is below that."""
        for top in self._tops:
            if path.startswith(f"{top.rstrip('/')}/"):
                self._absolute = True
                return path[len(top) :].lstrip("/") or "."
        return path


def shown(value: object) -> str:
    """Return a value as short text for messages."""
    return _SHORT.repr(value)
