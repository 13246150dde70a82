"""The bytes of a record file, uncompressed or inflated, read by offset in bounded memory.

Knows: sparse files, GZIP with several members, zlib, and the limits for each.
Must not know: records, except for the header that tells a plain file from a compressed one.
"""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

import google_crc32c

from tfrec_cli.runtime.files import CHUNK_BYTES
from tfrec_cli.tfrecord import compression as compressions
from tfrec_cli.tfrecord.compression import Compression
from tfrec_cli.tfrecord.record import HEADER_BYTES, is_header, mask

LARGE_BYTES = 50 * 2**20
"""A larger payload is read only if the file is large enough: in a compressed file it may have
`PAYLOAD_RATIO` times the file's size, in a sparse file `PAYLOAD_RATIO` times its bytes that are not
in holes. A raw crop of 4096x4096 is smaller."""

PAYLOAD_RATIO = 4

INFLATED_BYTES = 3 * 2**26
"""The most bytes decompressed from a file, or `INFLATED_RATIO` times its size if that is more. A
shard of the default size of `tfrec write` has fewer, whatever is in it."""

INFLATED_RATIO = 64

WINDOW_BYTES = 1 << 18
"""Bytes that a search looks at together; inflated data comes in pieces of this size."""

_INPUT_BYTES = 1 << 14
"""Compressed bytes read at once: zlib copies those that it has not used for every piece."""

_WBITS = {"gzip": 31, "zlib": 15}


def compression_of(head: bytes) -> Compression:
    """Return how the record file that begins with ``head`` is compressed, whatever its name is."""
    return "none" if is_header(head) else compressions.guess(head)


class Plain:
    """An uncompressed file, read at any offset."""

    fault: tuple[str, str] | None = None
    words = "a sparse file, since most of it is a hole"

    def __init__(self, file: BinaryIO) -> None:
        self._descriptor = file.fileno()
        self._name = file.name
        self.size_bytes = self.file_bytes = os.fstat(self._descriptor).st_size

    def read(self, offset: int, size: int) -> bytes:
        """Read ``size`` bytes, or those that are left."""
        if offset + size > self.size_bytes:  # the file may have grown
            size = max(self.size_bytes - offset, 0)
        data = os.pread(self._descriptor, size, offset)
        if len(data) == size:
            return data
        pieces = [data]
        while data and (size := size - len(data)):
            offset += len(data)
            data = os.pread(self._descriptor, size, offset)
            pieces.append(data)
        if size:
            raise OSError(f"{self._name}: the file became shorter while it was read")
        return b"".join(pieces)

    def end(self) -> int:
        """Return where the file ends."""
        return self.size_bytes

    def forget(self, offset: int) -> None:
        """Do nothing: the bytes before ``offset`` are not in memory."""

    def most(self, offset: int, length: int) -> int:
        """Return how large a payload at ``offset`` may be, if it claims ``length`` bytes."""
        stop = offset + length
        data = 0
        while data * PAYLOAD_RATIO < length and offset < stop:
            first, offset = self.data_from(offset)
            data += max(min(offset, stop) - first, 0)
        return length if data * PAYLOAD_RATIO >= length else LARGE_BYTES

    def data_from(self, offset: int) -> tuple[int, int]:
        """Return start and stop of the first data from ``offset`` on that are not in a hole."""
        start = self._seek(offset, os.SEEK_DATA)
        return start, self._seek(start, os.SEEK_HOLE)

    def _seek(self, offset: int, whence: int) -> int:
        try:
            return os.lseek(self._descriptor, offset, whence)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return self.size_bytes
            raise


class Inflated:
    """The decompressed bytes of a GZIP file (of several members) or a zlib file, read forwards.

    Attributes:
        fault: why the stream ended early: what was found, and what was expected.
        size_bytes: None, since the decompressed size is unknown.
    """

    def __init__(
        self,
        file: BinaryIO,
        compression: Compression,
        observe: Callable[[bytes], object] | None,
    ) -> None:
        self.fault: tuple[str, str] | None = None
        self.size_bytes: int | None = None
        self.file_bytes = os.fstat(file.fileno()).st_size
        self.words = f"a {compression} file of {self.file_bytes} bytes: decompress it to read all"
        self._complete = f"a complete {compression} stream"
        self._most = max(INFLATED_BYTES, INFLATED_RATIO * self.file_bytes)
        self._file = file
        self._observe = observe
        self._wbits = _WBITS[compression]
        self._inflate = zlib.decompressobj(self._wbits)
        self._input = b""
        self._held = bytearray()
        self._start = 0
        self._ended = False

    def read(self, offset: int, size: int) -> bytes:
        """Read ``size`` bytes, or those up to the end or a fault; ``offset`` is not forgotten."""
        while self.end() < offset + size and not self._ended:
            self._grow()
        at = offset - self._start
        return bytes(memoryview(self._held)[at : at + size])

    def end(self) -> int:
        """Return the end of what was decompressed so far."""
        return self._start + len(self._held)

    def forget(self, offset: int) -> None:
        """Free the memory of the bytes before ``offset``; they are not read again."""
        if offset - self._start >= WINDOW_BYTES:
            del self._held[: offset - self._start]
            self._start = offset

    def most(self, offset: int, length: int) -> int:  # noqa: ARG002  # the same for all
        """Return how large a payload may be."""
        return max(LARGE_BYTES, PAYLOAD_RATIO * self.file_bytes)

    def data_from(self, offset: int) -> tuple[int, int]:
        """Return ``offset`` and a place after it: there are no holes."""
        return offset, offset + WINDOW_BYTES

    def _grow(self) -> None:
        """Decompress the next piece, which may be empty, or note the end or a fault."""
        if self.end() > self._most:
            found = f"more than {self._most} bytes from a file of {self.file_bytes} bytes"
            return self._end(found, "fewer: decompress the file to read all")
        if self._inflate.eof:
            rest = self._inflate.unused_data or self._fill()
            if not rest:
                return self._end()
            self._inflate = zlib.decompressobj(self._wbits)
            self._input = rest
        if not self._input:
            self._input = self._fill()
        was_last = not self._input
        before = self._inflate.copy()
        try:
            most = min(WINDOW_BYTES, self._most + 1 - self.end())
            piece = self._inflate.decompress(self._input, most)
        except zlib.error as error:
            self._held += _up_to_fault(before, self._input)
            return self._end(str(error), self._complete)
        self._held += piece
        self._input = self._inflate.unconsumed_tail
        if was_last and not piece and not self._inflate.eof:
            return self._end("the file ends inside the compressed stream", self._complete)
        return None

    def _end(self, found: str = "", expected: str = "") -> None:
        self._ended = True
        self.fault = (found, expected) if found else None

    def _fill(self) -> bytes:
        data = self._file.read(_INPUT_BYTES)
        if self._observe and data:
            self._observe(data)
        return data


def _up_to_fault(inflate: zlib._Decompress, data: bytes) -> bytes:
    """Decompress the bytes before a fault one by one: zlib returns nothing of a faulty piece."""
    found = bytearray()
    with suppress(zlib.error):
        for byte in data:
            found += inflate.decompress(bytes((byte,)))
    return bytes(found)


Stream = Plain | Inflated


def inflates(head: bytes, compression: Compression) -> bool:
    """Tell whether the first bytes of a file decompress to at least a header."""
    inflate = zlib.decompressobj(_WBITS[compression])
    try:
        inflated = inflate.decompress(head, HEADER_BYTES)
        if not is_header(inflated):
            inflated += inflate.decompress(inflate.unconsumed_tail)
    except zlib.error:
        return False
    return len(inflated) >= HEADER_BYTES


def streamed_crc(source: Stream, offset: int, length: int) -> int:
    """Return the masked CRC32C of ``length`` bytes, or of those up to the end, in little memory."""
    crc = 0
    stop = offset + length
    while offset < stop and (piece := source.read(offset, min(CHUNK_BYTES, stop - offset))):
        crc = google_crc32c.extend(crc, piece)
        offset += len(piece)
    return mask(crc)
