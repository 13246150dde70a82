"""Cells of an image list: text to values, with the limits of numbers."""

from __future__ import annotations

import json
import re
import reprlib
from typing import Any, Literal, NamedTuple

_FLOAT_LIMIT = float.fromhex("0x1.ffffffp+127")
"""From here on a number is infinite as a float32."""

_INTEGER = re.compile(r"[+-]?(?:0|[1-9][0-9]*)")
"""Without leading zeros, which a number would lose."""

_MOST_DIGITS = 100
"""Longer integers are not read: 20 digits are too many for 64 bits."""

_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 60


class RowError(Exception):
    """Says what is wrong with a row."""


_Base = Literal["int64", "float", "bytes", "not finite", "nothing"]


class CellType(NamedTuple):
    """What a cell holds, and whether it is a list; an empty list holds nothing."""

    base: _Base
    is_list: bool = False


_BASES: dict[object, _Base] = {bool: "int64", int: "int64", float: "float", str: "bytes"}


def parse(cell: str) -> Any:
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
        if type_of(values):
            return values
    return cell


def is_not_finite(cell: str) -> bool:
    """Tell whether the text of a cell is a number that is not finite, as ``nan``."""
    return bool(_NOT_FINITE.fullmatch(cell))


def type_of(value: object) -> CellType | None:
    """Return the type of a value; None where no feature can hold it."""
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
    """Read an integer of JSON.

    Raises:
        RowError: it has so many digits that Python would refuse it with a message of its own.
    """
    if len(digits) > _MOST_DIGITS:
        raise RowError(f"found {shown(_abridged(digits))}, expected a whole number of 64 bits")
    return int(digits)


def _abridged(digits: str) -> int:
    """Return an integer, or a lesser one that is too large as well and is shown alike."""
    half = _MOST_DIGITS // 2
    return int(digits if len(digits) <= _MOST_DIGITS else digits[:half] + digits[-half:])


def to_int64(value: Any) -> int:
    """Return a whole number, or a truth value, as one of 64 bits.

    Raises:
        RowError: it has more bits.
    """
    if not -(2**63) <= value < 2**63:
        raise RowError(f"found {shown(value)}, expected a whole number of 64 bits")
    return int(value)


def to_float32(value: Any) -> float:
    """Return a number.

    Raises:
        RowError: it is too large for 32 bits, or not a finite one.
    """
    if isinstance(value, str) or not abs(value) < _FLOAT_LIMIT:
        raise RowError(f"found {shown(value)}, expected a finite number of 32 bits")
    return float(value)


def to_text(value: Any) -> str:
    """Return a value as text.

    Raises:
        RowError: it is a text that UTF-8 cannot encode.
    """
    try:
        str(value).encode()
    except UnicodeEncodeError as error:
        raise RowError(f"found {shown(value)}, expected text") from error
    return str(value)


def shown(value: object) -> str:
    """Return a value as short text for messages."""
    return _SHORT.repr(value)
