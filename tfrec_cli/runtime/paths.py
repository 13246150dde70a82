"""Paths as text for a person."""

from __future__ import annotations

import os


def printable(path: bytes) -> str:
    """Return a path as text that cannot disturb a terminal."""
    text = os.fsdecode(path)
    return text if text.isprintable() else ascii(text)[1:-1]
