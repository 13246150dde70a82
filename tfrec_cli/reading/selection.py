"""Which records of which splits are read: ``train+val``, ``train[:10%]``, ``train[500:]``.

Knows: the language of TFDS for splits. Must not know: datasets, records.
Source: TFDS 4.9, core/splits.py; https://www.tensorflow.org/datasets/splits.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tfrec_cli.errors import UsageError

_END = r"-?\d+(?:_\d+)*(?:(?:\.\d+)?%)?"
_PART = re.compile(rf"(?P<name>[^\[\]+]+)(?:\[(?P<start>{_END})?:(?P<stop>{_END})?\])?", re.ASCII)


class Part(NamedTuple):
    """A range of the records of a split; the ends are as written, empty for none."""

    split: str
    start: str
    stop: str

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole split."""
        return not self.start and not self.stop

    def __str__(self) -> str:
        return self.split if self.is_whole else f"{self.split}[{self.start}:{self.stop}]"

    def numbers(self, count: int) -> range:
        """Return the numbers of the records; a percentage is rounded to the closest record.

        ``-1%`` counts from the end even if it is rounded to no record: for TFDS, ``train[-1%:]`` of
        20 records would be all of them.

        Args:
            count: number of all records of the split.
        Raises:
            UsageError: an end is beyond the records.
        """
        start = self._number(self.start, count) if self.start else 0
        stop = self._number(self.stop, count) if self.stop else count
        return range(start, max(start, stop))

    def _number(self, text: str, count: int) -> int:
        is_percent = text.endswith("%")
        value = float(text[:-1]) if is_percent else int(text)
        whole = 100 if is_percent else count
        if abs(value) > whole:
            expected = f"at most {whole}{'%' * is_percent}"
            raise UsageError(f"`split`: found {self}, expected {expected}")
        number = round(value * count / 100) if is_percent else int(value)
        return number + count if value < 0 else number


def parse(text: str) -> list[Part]:
    """Parse what ``split=`` says.

    Raises:
        UsageError: it is not in the language of TFDS.
    """
    parts = []
    for piece in text.split("+"):
        match = _PART.fullmatch(piece.strip())
        if match is None:
            expected = "names such as train, train+val, train[:10%] or train[500:]"
            raise UsageError(f"`split`: found {text!r}, expected {expected}")
        part = Part(match["name"], match["start"] or "", match["stop"] or "")
        ends = [end for end in part[1:] if end.strip("-0_")]
        if len({end.endswith("%") for end in ends}) > 1:
            raise UsageError(f"`split`: found {part}, expected both ends in percent, or neither")
        parts.append(part)
    return parts
