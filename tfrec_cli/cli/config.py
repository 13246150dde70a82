"""Configuration files: one table per command, keys are option names.

Knows: TOML and the names of options. Must not know: what options do.
"""

from __future__ import annotations

import reprlib
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    try:
        import tomli as tomllib
    except ImportError:
        tomllib = None

from tfrec_cli.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    import click


_TYPES: dict[str, tuple[type, ...]] = {
    "boolean": (bool,),
    "integer range": (int,),
    "integer choice": (int,),
    "crop": (int, str),
    "size": (int, str),
    "text": (int, str),
}
_EXPECTED = {
    "boolean": "true or false",
    "integer range": "a whole number",
    "integer choice": "a whole number",
    "crop": "N or 'HEIGHTxWIDTH'",
    "size": "a number or a size such as '128MiB'",
}


_MOST_BYTES = 1 << 16
"""Size of the largest file that is read; one with every option of every command has 3 KB."""

_MOST_DOTS = 1000
"""In one line: the time to parse a key grows with the square of its dots."""

_LONG = 60
"""Names of as many characters are abbreviated in messages."""


def load(path: Path, group: click.Group) -> dict[str, dict[str, Any]]:
    """Read a configuration file into defaults for the commands of ``group``.

    Returns:
        For each command the values by parameter name, as click's ``default_map`` takes them.
    Raises:
        MissingPathError: there is no such file.
        UsageError: the file is not TOML, or a table or key is unknown.
    """
    try:
        tables = _parse(_read(path))
    except FileNotFoundError:
        from tfrec_cli.runtime.paths import missing

        raise missing(path, option="config") from None
    except OSError as error:
        raise UsageError(f"`config` {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"`config` {path}: {error}, expected TOML") from error
    defaults = {}
    for table, values in tables.items():
        if table not in group.commands and not isinstance(values, dict):
            raise UsageError(
                f"`config` {path}: found {_shown(table)} outside of a table, expected it in one: "
                + ", ".join(f"[{name}]" for name in sorted(group.commands))
            )
        if table not in group.commands:
            raise _unknown(path, f"[{_shown(table)}]", table, list(group.commands), "a command")
        if not isinstance(values, dict):
            raise UsageError(f"`config` {path}: {table}: found a value, expected a table")
        defaults[table] = _values(path, table, values, group.commands[table])
    return defaults


def _read(path: Path) -> str:
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # opening a folder fails by itself
        raise ValueError("found a pipe or device")
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ValueError(f"found more than {_MOST_BYTES} bytes")
    return data.decode()


def _parse(text: str) -> dict[str, Any]:
    if tomllib is None:
        raise MissingExtraError("tomli is not installed: pip install tomli")
    if max(line.count(".") for line in text.split("\n")) > _MOST_DOTS:
        raise ValueError(f"found a line of more than {_MOST_DOTS} dots")
    tables: dict[str, Any] = tomllib.loads(text)
    return tables


def _shown(name: str) -> str:
    """Return a name as it is, or escaped and abbreviated if it is long or cannot be printed."""
    return name if name.isprintable() and len(name) < _LONG else reprlib.repr(name)


def _values(
    path: Path, table: str, values: dict[str, Any], command: click.Command
) -> dict[str, Any]:
    names: dict[str, tuple[click.Parameter, bool]] = {}
    for param in command.params:
        if param.param_type_name != "option":
            continue
        for option in param.opts:
            names[option.removeprefix("--")] = (param, False)
        for option in param.secondary_opts:
            names[option.removeprefix("--")] = (param, True)
    known = [name for name in names if not name.startswith("-") and name != "help"]
    defaults = {}
    for key, value in values.items():
        if key not in known:
            raise _unknown(path, f"[{table}] {_shown(key)}", key, known, "an option")
        param, negated = names[key]
        if type(value) not in _TYPES.get(param.type.name, (str,)):
            expected = _EXPECTED.get(param.type.name, "text")
            shown = reprlib.repr(value)
            raise UsageError(
                f"`config` {path}: [{table}] {key}: found {shown}, expected {expected}"
            )
        several = getattr(param, "multiple", False)
        defaults[param.name or ""] = [value] if several else not value if negated else value
    return defaults


def _unknown(path: Path, found: str, word: str, known: list[str], what: str) -> UsageError:
    import difflib

    close = difflib.get_close_matches(word, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(sorted(known))}"
    return UsageError(f"`config` {path}: found {found}, which is not {what}: {hint}")
