"""Index files, and where the records of an uncompressed file are.

Knows: the line format that DALI and vahidk/tfrecord read. Must not know: payloads.
"""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tfrec_cli.errors import FramingError
from tfrec_cli.runtime import files
from tfrec_cli.runtime.files import CHUNK_BYTES
from tfrec_cli.tfrecord.record import HEADER_BYTES, LIMIT_BYTES, OVERHEAD_BYTES
from tfrec_cli.tfrecord.scan import check_header

LINE_BYTES = 24
"""Length of a line that `index_line` makes, except far inside a shard of over a terabyte."""

_FIXED = re.compile(rb"(?:\d{12} \d{10}\n)*")
_LINE = re.compile(rb"\d{1,18} \d{1,18}\n")
_MOST_LINE_BYTES = 40
_LINES = re.compile(rb"(?:\d{1,18} \d{1,18}\n)*")

Place = tuple[int, int]
"""Offset of a record, and its length with framing, both in bytes."""


def index_line(offset_bytes: int, length_bytes: int) -> bytes:
    """Return one line of an index file in the format of DALI and vahidk/tfrecord.

    Both read numbers with leading zeros as decimal ones. Here they make all lines equally long, so
    that the line of any record is found without the others.

    Args:
        offset_bytes: where the record's length field starts.
        length_bytes: length of the record with framing.
    """
    return b"%012d %010d\n" % (offset_bytes, length_bytes)


class Places(Protocol):
    """Where the records of one shard are. Can be pickled."""

    def __len__(self) -> int:
        """Return the number of records."""

    def take(self, numbers: Sequence[int]) -> list[Place]:
        """Return the places of the records with these numbers.

        Raises:
            FramingError: a line of the index file is damaged.
            OSError: the index file cannot be read.
        """


def open_index(path: Path, records: int) -> Places:
    """Open the index file of a shard that should have so many records.

    Lines of `LINE_BYTES` are mapped, which takes no time. Those of older versions and of other
    programs are read now; there may be more or fewer of them than records.

    Raises:
        FramingError: a line is not two numbers.
        OSError: the file cannot be read.
    """
    if path.stat().st_size == records * LINE_BYTES:
        return _Mapped(path, records)
    return Listed(read_index(path))


class Listed:
    """Places that are held in memory."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._offsets = array("q", (offset for offset, _ in places))
        self._lengths = array("q", (length for _, length in places))

    def __len__(self) -> int:
        return len(self._offsets)

    def take(self, numbers: Sequence[int]) -> list[Place]:
        """Return the places of these records."""
        return [(self._offsets[number], self._lengths[number]) for number in numbers]


class _Mapped:
    """An index file of lines of `LINE_BYTES`, mapped by each process that needs it."""

    def __init__(self, path: Path, records: int) -> None:
        self._path = path
        self._records = records
        self._lines: memoryview | None = None

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_lines": None}

    def __len__(self) -> int:
        return self._records

    def take(self, numbers: Sequence[int]) -> list[Place]:
        """Return the places of these records."""
        lines = self._lines or self._map()
        starts = [number * LINE_BYTES for number in numbers]
        taken = b"".join([lines[start : start + LINE_BYTES] for start in starts])
        if not _FIXED.fullmatch(taken):
            for number, start in zip(numbers, starts, strict=True):
                line = bytes(lines[start : start + LINE_BYTES])
                if not _FIXED.fullmatch(line):
                    raise _wrong_line(self._path, number + 1, line)
        return _parsed(taken)

    def _map(self) -> memoryview:
        lines = files.map_file(self._path)
        right_bytes = self._records * LINE_BYTES
        if len(lines) != right_bytes:
            found = f"found {len(lines)} bytes, expected {right_bytes}"
            raise FramingError(f"{self._path}: {found}", hint="verify")
        self._lines = lines
        return lines


def read_index(path: Path) -> list[Place]:
    """Read a complete index file, with lines of any length.

    Raises:
        FramingError: a line is not two numbers.
    """
    places: list[Place] = []
    rest = b""
    with path.open("rb") as file:
        while data := file.read(CHUNK_BYTES):
            lines, newline, rest = (rest + data).rpartition(b"\n")
            places += _checked(lines + newline, path, len(places) + 1)
            if len(rest) > _MOST_LINE_BYTES:
                break
    return places + _checked(rest, path, len(places) + 1)


def _checked(lines: bytes, path: Path, first: int) -> list[Place]:
    """Check and parse lines of an index file; the first has the number ``first``."""
    if not _LINES.fullmatch(lines):
        for number, line in enumerate(lines.splitlines(keepends=True), start=first):
            if not _LINE.fullmatch(line):
                raise _wrong_line(path, number, line)
    return _parsed(lines)


def _parsed(lines: bytes) -> list[Place]:
    numbers = list(map(int, lines.split()))
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _wrong_line(path: Path, number: int, line: bytes) -> FramingError:
    found = f"line {number}: found {line[:_MOST_LINE_BYTES]!r}, expected 'offset length'"
    return FramingError(f"{path}: {found}", hint="verify")


def locate_records(path: Path) -> list[Place]:
    """Find the (offset, length with framing) of each record in bytes, from its header.

    Args:
        path: an uncompressed file.
    Raises:
        FramingError: a length field is damaged, or the file ends inside a record.
    """
    pairs: list[Place] = []
    offset = 0
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        while offset < size:
            head = file.read(HEADER_BYTES)
            damage, length = check_header(head, size - offset, len(pairs), offset, LIMIT_BYTES)
            if damage:
                raise FramingError(f"{path}: {damage}")
            pairs.append((offset, length + OVERHEAD_BYTES))
            offset += length + OVERHEAD_BYTES
            file.seek(offset)
    return pairs
