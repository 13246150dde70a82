"""Index files, and where the records of an uncompressed file are.

Knows: the line format that DALI and vahidk/tfrecord read. Must not know: payloads.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from tfrec_cli.errors import FramingError
from tfrec_cli.runtime.files import CHUNK_BYTES
from tfrec_cli.tfrecord.record import HEADER_BYTES, LIMIT_BYTES, OVERHEAD_BYTES
from tfrec_cli.tfrecord.scan import check_header

_LINE = re.compile(rb"\d{1,18} \d{1,18}\n")
_LINE_BYTES = 40
_LINES = re.compile(rb"(?:\d{1,18} \d{1,18}\n)*")


def index_line(offset_bytes: int, length_bytes: int) -> bytes:
    """Return one line of an index file in the format of DALI and vahidk/tfrecord.

    Args:
        offset_bytes: where the record's length field starts.
        length_bytes: length of the record with framing.
    """
    return b"%d %d\n" % (offset_bytes, length_bytes)


def read_index(path: Path) -> list[tuple[int, int]]:
    """Read an index file into pairs (offset, length of the record with framing), in bytes.

    Raises:
        FramingError: a line is not two numbers.
    """
    pairs: list[tuple[int, int]] = []
    rest = b""
    with path.open("rb") as file:
        while data := file.read(CHUNK_BYTES):
            lines, newline, rest = (rest + data).rpartition(b"\n")
            pairs += _index_pairs(lines + newline, path, len(pairs) + 1)
            if len(rest) > _LINE_BYTES:
                break
    return pairs + _index_pairs(rest, path, len(pairs) + 1)


def _index_pairs(lines: bytes, path: Path, first: int) -> list[tuple[int, int]]:
    """Parse lines of an index file; the first has the number ``first``."""
    if not _LINES.fullmatch(lines):
        for number, line in enumerate(lines.splitlines(keepends=True), start=first):
            if not _LINE.fullmatch(line):
                raise FramingError(
                    f"{path}: line {number}: found {line[:40]!r}, expected 'offset length'"
                )
    numbers = list(map(int, lines.split()))
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def locate_records(path: Path) -> list[tuple[int, int]]:
    """Find the (offset, length with framing) of each record in bytes, from its header.

    Args:
        path: an uncompressed file.
    Raises:
        FramingError: a length field is damaged, or the file ends inside a record.
    """
    pairs: list[tuple[int, int]] = []
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
