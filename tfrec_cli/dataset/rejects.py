"""Sources that were not written: what is known of each, and the file that lists them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

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

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{printable(self.path)}: {self.message}"


def dump(rejects: Iterable[Reject]) -> bytes:
    """Serialise rejects, one JSON object a line; bytes that are no text survive as surrogates."""
    lines = [
        json.dumps(
            {
                "path": os.fsdecode(reject.path),
                "reason": reject.reason,
                "message": reject.message,
                "ignored": reject.harmless,
            }
        )
        for reject in rejects
    ]
    return "".join(f"{line}\n" for line in lines).encode()


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
