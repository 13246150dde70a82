"""Rejects: sources that were not written, and the file that lists them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from tfrec_cli.errors import ManifestError
from tfrec_cli.runtime.paths import printable


class Reject(NamedTuple):
    """One file that is not written.

    Attributes:
        reason: a stable word; rejects are counted by it.
        message: what was found and what was expected.
        harmless: it is clearly no image: hidden, left by an operating system, or a text file.
    """

    path: bytes
    reason: str
    message: str
    harmless: bool = False

    def document(self) -> dict[str, Any]:
        """Return the reject's JSON object; bytes that are not UTF-8 become surrogates."""
        return {
            "path": os.fsdecode(self.path),
            "reason": self.reason,
            "message": self.message,
            "ignored": self.harmless,
        }

    def __str__(self) -> str:
        """Return path and message in one line."""
        return f"{printable(self.path)}: {self.message}"


def dump(rejects: Iterable[Reject]) -> bytes:
    """Serialise rejects, one JSON object per line."""
    return "".join(json.dumps(reject.document()) + "\n" for reject in rejects).encode()


def parse(data: bytes, path: Path) -> list[Reject]:
    """Read what `dump` wrote; ``path`` is for messages.

    Raises:
        ManifestError: a line is not one reject.
    """
    lines = enumerate(data.splitlines(), 1)
    return [_parse_reject(line, f"{path}: line {number}") for number, line in lines]


def _parse_reject(line: bytes, where: str) -> Reject:
    try:
        values = json.loads(line)
        return Reject(
            path=os.fsencode(values["path"]),
            reason=str(values["reason"]),
            message=str(values["message"]),
            harmless=bool(values["ignored"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ManifestError(f"{where}: found {line[:40]!r}, expected a reject") from error
