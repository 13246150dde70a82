"""Images that are written although their data are damaged: decoders take them, and agree.

Knows: their paths. Must not know: how damage is found.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tfrec_cli.runtime.paths import printable
from tfrec_cli.runtime.values import plural


class Damaged(NamedTuple):
    """One such image.

    Attributes:
        message: what is wrong with its data.
    """

    path: bytes
    message: str

    def document(self) -> dict[str, str]:
        """Return its JSON object; bytes that are not UTF-8 become surrogates."""
        return {"path": os.fsdecode(self.path), "message": self.message}

    def __str__(self) -> str:
        """Return path and message in one line."""
        return f"{printable(self.path)}: {self.message}"


def parse(values: dict[str, str]) -> Damaged:
    """Read what `Damaged.document` returned."""
    return Damaged(os.fsencode(values["path"]), values["message"])


def listed(damaged: Sequence[Damaged]) -> list[str]:
    """Return a line for each image."""
    return [f"damaged: {one}" for one in damaged]


def warnings(damaged: Mapping[str, Sequence[Damaged]]) -> list[str]:
    """Return the warnings about the damaged images of some splits, by the names of these."""
    return [warning(split, some) for split, some in damaged.items() if some]


def warning(split: str, damaged: Sequence[Damaged]) -> str:
    """Return the warning about the damaged images of a split, of which there is at least one."""
    found = plural(len(damaged), "image")
    verb = "has" if len(damaged) == 1 else "have"
    return (
        f"split {split}: {found} {verb} damaged data and may look broken, such as {damaged[0]}; "
        "--check intact refuses them"
    )
