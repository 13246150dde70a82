"""Checks and converts values that a caller gives; words sizes and counts for people.

Knows: what each kind may look like, from Python, a command line or a configuration file. Must not
know: which options there are, and what they do.

The first argument of each function is the name of the option, with which its error begins.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from numbers import Real
from pathlib import Path
from typing import Any

from tfrec_cli.errors import UsageError

MAX_JOBS = 4096
"""More processes than any machine has processors."""

_URL = re.compile(
    r"(?:([a-z][a-z0-9+.-]*)://|(abfss?|az|file|ftps?|gcs|gs|hdfs|https?|memory|s3a?):/)(.*)",
    re.IGNORECASE | re.DOTALL | re.ASCII,
)
"""A URL; the second half is what `Path` makes of one, for schemes that are in common use."""

_UNITS = {"": 1, "B": 1, "K": 2**10, "M": 2**20, "G": 2**30}


def whole(name: str, value: Any, least: int | None = None, most: int | None = None) -> int:
    """Read a whole number: an ``int`` or another type of integer such as NumPy's, but not a bool.

    Args:
        least: the smallest value allowed; None for no limit.
        most: the largest value allowed; None for no limit.
    Raises:
        UsageError: it is not a whole number, or out of range.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise _error(name, value, "a whole number")
    if (least is not None and number < least) or (most is not None and number > most):
        expected = f"{least} or more" if most is None else f"{least} to {most}"
        raise UsageError(f"`{name}`: found {number}, expected {expected}")
    return number


def jobs(name: str, value: Any) -> int:
    """Read a number of processes.

    Raises:
        UsageError: it is not a whole number from 1 to `MAX_JOBS`.
    """
    return whole(name, value, 1, MAX_JOBS)


def number(name: str, value: Any, least: float, most: float) -> float:
    """Read a number.

    Raises:
        UsageError: it is not a number, or out of range.
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        raise _error(name, value, "a number")
    if not least <= float(value) <= most:
        raise _error(name, value, f"{least} to {most}")
    return float(value)


def decimal(name: str, value: Any) -> str:
    """Read a number, and return it as decimal text: 0.9 as ``0.9``, 1e-05 as ``0.00001``.

    Raises:
        UsageError: it is not a number.
    """
    from decimal import Decimal

    if not isinstance(value, Real) or isinstance(value, bool):
        raise _error(name, value, "a number")
    return format(Decimal(str(float(value))), "f")


def size_bytes(name: str, value: Any) -> int:
    """Read a number of bytes: 1000, ``"64K"``, ``"128MiB"``, ``"1 GB"``; K is 1024.

    Raises:
        UsageError: it is not a size.
    """
    if not isinstance(value, str):
        return whole(name, value)
    match = re.fullmatch(r"(\d+)\s*([KMG]?)(iB|B)?", value, re.IGNORECASE | re.ASCII)
    if not match or not int(match[1]):
        raise _error(name, value, "a size such as 128MiB")
    return int(match[1]) * _UNITS[match[2].upper()]


def spell_size(size_bytes: int) -> str:
    """Write a number of bytes as a person would type it: ``128MiB``."""
    for unit in "GMK":
        if size_bytes % _UNITS[unit] == 0:
            return f"{size_bytes // _UNITS[unit]}{unit}iB"
    return str(size_bytes)


def rounded_size(size_bytes: float) -> str:
    """Write a number of bytes for a person: ``9.3 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size_bytes < (1024 if unit == "B" else 1023.95) or unit == "TiB":
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    raise AssertionError


def rounded(number: float) -> str:
    """Write a number for a person: ``12.3``, and from a hundred on ``1,234``."""
    return f"{number:,.1f}" if number < 99.95 else f"{number:,.0f}"


def plural(count: int, noun: str) -> str:
    """Write a count with its noun for a person: ``1 shard``, ``2,000 shards``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def sides(height_px: object, width_px: object) -> str:
    """Word the sides of a picture, so that they cannot be taken for each other."""
    return f"{width_px} wide, {height_px} high"


def crop(name: str, value: Any, most: int | None = None) -> tuple[int, int]:
    """Read the size of a crop: 128, (96, 128), [96, 128], ``"128"``, ``"96x128"``.

    Returns:
        (height, width) in pixels.
    Raises:
        UsageError: it is not a crop, or a side is below 1 or above ``most``.
    """
    sides = _pair(value)
    if isinstance(value, str):
        match = re.fullmatch(r"(\d{1,9})(?:x(\d{1,9}))?", value, re.ASCII)
        if not match:
            raise _error(name, value, "N or HEIGHTxWIDTH in pixels")
        sides = int(match[1]), int(match[2] or match[1])
    elif sides is None and hasattr(value, "__index__"):
        sides = value, value
    if sides is None:
        raise _error(name, value, "a number of pixels or (height, width)")
    height, width = (whole(name, side, 1, most) for side in sides)
    return height, width


def host(name: str, value: Any) -> tuple[int, int]:
    """Read (i, n): host i of n.

    Raises:
        UsageError: it is not such a pair, or i is not below n.
    """
    pair = _pair(value)
    if pair is None:
        raise _error(name, value, "(i, n)")
    index, count = (whole(name, part, 0) for part in pair)
    if index >= count:
        raise _error(name, (index, count), "(i, n) with i below n")
    return index, count


def flag(name: str, value: Any) -> bool:
    """Read True or False, also NumPy's.

    Raises:
        UsageError: it is another value.
    """
    kind = type(value)
    if kind is not bool and (kind.__module__, kind.__name__.rstrip("_")) != ("numpy", "bool"):
        raise _error(name, value, "True or False")
    return bool(value)


def word(name: str, value: Any, words: Sequence[str]) -> str:
    """Read one of ``words``.

    Raises:
        UsageError: it is none of them.
    """
    if not isinstance(value, str) or value not in words:
        raise _error(name, value, f"one of {', '.join(words)}")
    return value


def text(name: str, value: Any) -> str:
    """Read a string.

    Raises:
        UsageError: it is not a ``str``.
    """
    if not isinstance(value, str):
        raise _error(name, value, "a string")
    return value


def path(name: str, value: Any) -> Path:
    """Read a path: a ``str`` or an ``os.PathLike``.

    Raises:
        UsageError: it is not a path; or it is empty, which would be the current folder; or a URL,
            which is never the path of a local folder.
    """
    if value == "":
        raise UsageError(f"`{name}`: found an empty path, expected a file or folder")
    try:
        made = Path(value)
    except TypeError:
        raise _error(name, value, "a path") from None
    if remedy := url_remedy(str(value)):
        raise UsageError(f"`{name}`: found the URL {value}, expected a local path: {remedy}")
    return made


def url_remedy(text: str) -> str | None:
    """Return what to do with a URL; None if a text is not one."""
    match = _URL.match(text)
    if match is None:
        return None
    scheme = (match[1] or match[2]).lower()
    if scheme == "file":
        return f"give it as {'/' + match[3].lstrip('/')}"
    is_web = scheme in ("http", "https", "ftp", "ftps")
    return "download it first" if is_web else "download it first, or mount it as a folder"


def _pair(value: Any) -> tuple[Any, Any] | None:
    """Return the two parts of a tuple, list or array; None for anything else."""
    if isinstance(value, (str, bytes, dict, set)):
        return None
    try:
        first, second = value
    except (TypeError, ValueError):
        return None
    return first, second


def _error(name: str, value: Any, expected: str) -> UsageError:
    return UsageError(f"`{name}`: found {value!r}, expected {expected}")
