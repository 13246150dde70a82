"""Sources that were not written: what is known of each, and the file that lists them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfrec_cli.errors import ManifestError
from tfrec_cli.runtime.paths import printable


@dataclass(frozen=True, slots=True)
class Reject:
    """One file that is not written.

    Attributes:
        reason: a stable word to count by.
        message: what was found and what was expected.
        harmless: nobody would call it an image: hidden, left by an operating system, a text file.
    """

    path: bytes
    reason: str
    message: str
    harmless: bool = False

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it; bytes that are no text survive as surrogates."""
        return {
            "path": os.fsdecode(self.path),
            "reason": self.reason,
            "message": self.message,
            "ignored": self.harmless,
        }

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{printable(self.path)}: {self.message}"


def dump(rejects: Iterable[Reject]) -> bytes:
    """Serialise rejects, one JSON object a line."""
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
        one = json.loads(line)
        path, reason, message = os.fsencode(one["path"]), str(one["reason"]), str(one["message"])
        return Reject(path, reason, message, harmless=bool(one["ignored"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ManifestError(f"{where}: found {line[:40]!r}, expected a reject") from error
