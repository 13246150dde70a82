"""Sizes, tables and safe text; the envelope of all JSON documents."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfrec_cli.runtime import values

if TYPE_CHECKING:
    from tfrec_cli.dataset.manifest import Manifest

JSON_VERSION = 1

size = values.rounded_size
plural = values.plural
rounded = values.rounded


def of_all(count: int, total: int, noun: str) -> str:
    """Format a count of things, and how many there were if not all: ``3 of 9 records``."""
    return plural(count, noun) if count == total else f"{count:,} of {plural(total, noun)}"


def counts(numbers: Mapping[str, int]) -> str:
    """Format counts of words: ``3 truncated, 1 animated``."""
    return ", ".join(f"{number:,} {word}" for word, number in numbers.items())


def beginning(words: Sequence[object], most: int = 8, columns: int = 60) -> str:
    """Join the first words that fit in so many columns, followed by ``…`` if there are more."""
    shown = list(map(str, words[:most]))
    while len(shown) > 1 and len(", ".join(shown)) > columns:
        shown.pop()
    return shortened(", ".join(shown), columns) + ("…" if len(words) > len(shown) else "")


def shortened(text: str, columns: int) -> str:
    """Return a text, or its beginning and ``…`` if it is longer."""
    return text if len(text) <= columns else text[: columns - 1] + "…"


def first(
    words: Sequence[str], noun: str, count: int | None = None, *, most: int = 20
) -> list[str]:
    """Return the first words, and a line that says how many more there are.

    Args:
        noun: what they are, in the plural.
        count: number of all, if ``words`` does not have all.
    """
    more = (count or len(words)) - len(words[:most])
    return [*words[:most], *([f"… and {more:,} more {noun}"] if more else [])]


def facts(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Return an indented line for each fact, with its title and value."""
    return [f"  {title:<9} {value}" for title, value in rows]


def command(*words: str | os.PathLike[str]) -> str:
    """Return a ``tfrec`` command to type; paths may be anything."""
    spelled = [word if isinstance(word, str) else _as_argument(word) for word in words]
    return " ".join(["tfrec", *spelled])


def _as_argument(path: os.PathLike[str]) -> str:
    name = os.fspath(path)
    return shlex.quote(f"./{name}" if name.startswith("-") else name)


def stored(manifest: Manifest) -> str:
    """Say how a split stores its images."""
    words = "whole images"
    if manifest.crop:
        words = f"centre crops of {manifest.crop[0]}x{manifest.crop[1]}, {manifest.stored}"
    return words + f", up to {manifest.depth} bits a sample" * (manifest.depth > 8)


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Align columns; leave out columns without values."""
    kept = [column for column in range(len(titles)) if any(row[column] for row in rows)]
    lines = [[titles[column] for column in kept]]
    lines += [[safe(row[column]) for column in kept] for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(kept))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def safe_text(lines: Iterable[str], *, newlines: bool = False) -> str:
    """Join lines, escaped where names in them could disturb a terminal.

    Args:
        newlines: whether to keep line ends within a line.
    """
    return "\n".join(safe(line, newlines=newlines) for line in lines)


def safe(value: str, *, newlines: bool = False) -> str:
    """Escape text that could disturb a terminal; ``newlines`` keeps line ends."""
    lines = value.split("\n") if newlines else [value]
    return "\n".join(line if line.isprintable() else ascii(line)[1:-1] for line in lines)


def json_document(name: str, values: Mapping[str, Any], *, ok: bool = True) -> str:
    """Add the envelope that all JSON documents have, see docs/json.md."""
    envelope = {"format": name, "format_version": JSON_VERSION, "ok": ok}
    return json.dumps({**envelope, **values}, indent=2, allow_nan=False)
