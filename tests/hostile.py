"""Names with control characters and markup that could harm a terminal or a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conftest import photo, png
from record_files import record_file

from tfrec_cli.tfrecord import example

HOSTILE = "\x1b[31mred\x1b]0;owned\x07\n<script>alert(1)</script>&'\""


def raw_signs(text: str) -> list[str]:
    """Return all characters that are not printable, except line ends."""
    return [sign for sign in text if not sign.isprintable() and sign != "\n"]


def strange_file(folder: Path) -> Path:
    """Make a record file in which every name is hostile."""
    values: dict[str, Any] = {
        "image": png(photo(40, 30)),
        "height": 40,
        "width": 30,
        "label": 0,
        "class_name": HOSTILE.encode(),
        "filename": HOSTILE.encode(),
        HOSTILE: [1.0, float("nan"), float("-inf")],
    }
    return record_file(folder / f"x{HOSTILE.replace('/', '')}", example.encode(values))
