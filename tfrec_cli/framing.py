"""TFRecord framing: length, CRC of the length, data, CRC of the data.

Knows: bytes of record files, compressed or not, their index files, and how to go on after damage.
Must not know: what a payload means.

Source of the format: tensorflow/core/lib/io/record_writer.h and tensorflow/tsl/lib/hash/crc32c.h.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import google_crc32c

from tfrec_cli import sniff
from tfrec_cli.errors import FramingError

HEADER_BYTES = 12
FOOTER_BYTES = 4
OVERHEAD_BYTES = HEADER_BYTES + FOOTER_BYTES
LIMIT_BYTES = 2**31 - 1
"""The largest payload accepted unless told: no protocol buffer can be larger."""

DamageKind = Literal["length_crc", "data_crc", "too_long", "truncated", "trailing", "compression"]

_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")
_HEADER = struct.Struct("<QI")
_INDEX_LINE = re.compile(rb"\d{1,18} \d{1,18}\n")
_INDEX = re.compile(rb"(?:\d{1,18} \d{1,18}\n)*")
_CHUNK_BYTES = 1 << 20
_INPUT_BYTES = 1 << 14
"""Compressed bytes read at once: what zlib leaves of them is copied for every record."""

_WBITS = {"gzip": 31, "zlib": 15}


@dataclass(frozen=True, slots=True)
class Record:
    """One whole record: its number in the file, where its length field starts, its payload."""

    index: int
    offset_bytes: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing wrong with a record file.

    Attributes:
        index: number of the record at which it was seen, counting those before it in the file.
        offset_bytes: where it starts, in the (decompressed) stream.
        lost_bytes: how far it reaches; reading goes on behind it.
    """

    kind: DamageKind
    index: int
    offset_bytes: int
    lost_bytes: int
    found: str
    expected: str

    def __str__(self) -> str:
        """Say it in one line, without the file's name."""
        return (
            f"record {self.index} at byte {self.offset_bytes}: "
            f"{self.found}, expected {self.expected}"
        )


def masked_crc(data: bytes) -> int:
    """Return the masked CRC32C of ``data`` as TFRecord stores it, in ``[0, 2**32)``."""
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def header(length_bytes: int) -> bytes:
    """Return the 12 bytes that go before a payload of ``length_bytes``."""
    length = _LENGTH.pack(length_bytes)
    return length + _CRC.pack(masked_crc(length))


def footer(payload: bytes) -> bytes:
    """Return the 4 bytes that go behind ``payload``."""
    return _CRC.pack(masked_crc(payload))


def frame(payload: bytes) -> bytes:
    """Return one whole record: ``payload`` between its header and its footer."""
    return b"".join((header(len(payload)), payload, footer(payload)))


def is_header(data: bytes) -> bool:
    """Tell whether ``data`` starts with a length whose CRC is right."""
    if len(data) < HEADER_BYTES:
        return False
    _, crc = _HEADER.unpack_from(data)
    return bool(crc == masked_crc(data[:8]))


def read_at(file_descriptor: int, offset_bytes: int, length_bytes: int, name: str) -> bytes:
    """Read and check the one record at ``offset_bytes`` of an uncompressed file: see `read_run`."""
    memory = memoryview(bytearray(min(max(length_bytes, 0), os.fstat(file_descriptor).st_size)))
    return bytes(read_run(file_descriptor, offset_bytes, [length_bytes], name, memory)[0])


def read_run(
    file_descriptor: int, offset_bytes: int, lengths: Sequence[int], name: str, memory: memoryview
) -> list[memoryview]:
    """Read and check records that follow each other in an uncompressed file.

    Args:
        offset_bytes: of the first.
        lengths: each whole record's length in bytes, framing included, as an index file has it.
        name: the file's name, for the message.
        memory: what to read them into.
    Returns:
        The payloads, in ``memory``.
    Raises:
        FramingError: the bytes there are not whole records of those lengths.
    """
    whole = memory[: max(sum(lengths), 0)]
    size = os.preadv(file_descriptor, [whole], offset_bytes)
    payloads = []
    start = 0
    for length in lengths:
        stop = start + length
        payload = whole[start + HEADER_BYTES : max(stop - FOOTER_BYTES, 0)]
        if (
            length < OVERHEAD_BYTES
            or stop > size
            or whole[start : start + HEADER_BYTES] != header(length - OVERHEAD_BYTES)
            or whole[stop - FOOTER_BYTES : stop] != footer(bytes(payload))
        ):
            raise FramingError(
                f"{name}: at byte {offset_bytes + start}: found no whole record of {length} bytes, "
                "expected one: run `tfrec verify`"
            )
        payloads.append(payload)
        start = stop
    return payloads


def compression_of(head: bytes) -> sniff.Compression:
    """Tell how the record file that begins with ``head`` is compressed, whatever its name says."""
    return "none" if is_header(head) else sniff.compression(head)


def scan(
    path: Path,
    *,
    limit_bytes: int = LIMIT_BYTES,
    observe: Callable[[bytes], object] | None = None,
) -> Iterator[Record | Damage]:
    """Iterate everything in one record file: its records, and whatever is wrong between them.

    After damage, reading goes on at the next place where a whole record with both CRCs right
    starts (in a compressed file only where the length survived).

    Args:
        path: the file; GZIP and zlib are recognised by their first bytes.
        limit_bytes: largest payload accepted, in bytes; guards against a damaged length asking
            for all memory.
        observe: called with each piece of the file as it lies on disk, in order, to its end, so
            that a checksum needs no second reading. Incomplete once there is damage.
    Yields:
        Record and Damage, in file order.
    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        head = file.read(sniff.HEAD_BYTES)
        size = os.fstat(file.fileno()).st_size
        compression = compression_of(head)
        if compression != "none" and not _inflates_to_header(head, compression):
            # A damaged length can look like GZIP or zlib; whole records behind it tell the truth.
            compression = (
                "none" if _resynchronise(file, 1, size, limit_bytes) < size else compression
            )
        file.seek(0)
        if compression == "none":
            yield from _scan_plain(file, limit_bytes, observe)
        else:
            yield from _scan_compressed(file, compression, limit_bytes, observe)


def read(path: Path, *, limit_bytes: int = LIMIT_BYTES) -> Iterator[Record]:
    """Iterate the records of one file.

    Args:
        limit_bytes: largest payload accepted, in bytes.
    Yields:
        Record(index, offset_bytes, payload), in file order.
    Raises:
        FramingError: at the first thing that is not a whole record.
    """
    for item in scan(path, limit_bytes=limit_bytes):
        if isinstance(item, Damage):
            raise FramingError(f"{path}: {item}")
        yield item


def _inflates_to_header(head: bytes, compression: sniff.Compression) -> bool:
    try:
        inflate = zlib.decompressobj(_WBITS[compression])
        return is_header(inflate.decompress(head, HEADER_BYTES))
    except zlib.error:
        return False


def _scan_plain(
    file: BinaryIO, limit_bytes: int, observe: Callable[[bytes], object] | None
) -> Iterator[Record | Damage]:
    size = os.fstat(file.fileno()).st_size
    offset = index = 0
    while offset < size:
        head = _read_exactly(file, min(HEADER_BYTES, size - offset))
        damage, length = _check_header(head, size - offset, index, offset, limit_bytes)
        if damage is None:
            body = _read_exactly(file, length + FOOTER_BYTES)
            payload = body[:-FOOTER_BYTES]
            damage = _check_data(payload, body[-FOOTER_BYTES:], index, offset)
            if damage is None:
                if observe:
                    observe(head)
                    observe(body)
                yield Record(index, offset, payload)
                offset += len(head) + len(body)
                index += 1
                continue
        observe = None
        after = offset + damage.lost_bytes
        if damage.kind != "data_crc" or not _starts_well(file, after, size):
            after = _resynchronise(file, offset + 1, size, limit_bytes)
        yield Damage(damage.kind, index, offset, after - offset, damage.found, damage.expected)
        file.seek(after)
        offset = after
        index += 1


def _scan_compressed(
    file: BinaryIO,
    compression: sniff.Compression,
    limit_bytes: int,
    observe: Callable[[bytes], object] | None,
) -> Iterator[Record | Damage]:
    stream = _Inflater(file, compression, observe)
    offset = index = 0

    def damaged(kind: DamageKind, found: str, expected: str) -> Damage:
        return Damage(kind, index, offset, 0, found, expected)

    while True:
        head = stream.read(HEADER_BYTES)
        if stream.error:
            yield damaged("compression", stream.error, f"a whole {compression} stream")
            return
        if not head:
            return
        damage, length = _check_header(head, None, index, offset, limit_bytes)
        if damage:
            yield damage
            return
        body = stream.read(length + FOOTER_BYTES)
        if stream.error:
            yield damaged("compression", stream.error, f"a whole {compression} stream")
            return
        if len(body) < length + FOOTER_BYTES:
            found = f"{len(head) + len(body)} bytes, then the end"
            yield damaged("truncated", found, f"{length + OVERHEAD_BYTES} bytes")
            return
        payload = body[:-FOOTER_BYTES]
        damage = _check_data(payload, body[-FOOTER_BYTES:], index, offset)
        yield damage if damage else Record(index, offset, payload)
        offset += len(head) + len(body)
        index += 1


def _check_header(
    head: bytes, left_bytes: int | None, index: int, offset: int, limit_bytes: int
) -> tuple[Damage | None, int]:
    """Check the 12 bytes before a payload against what the file still holds."""
    if len(head) < HEADER_BYTES:
        kind: DamageKind = "trailing" if index else "truncated"
        found = f"{len(head)} bytes, then the end"
        return Damage(kind, index, offset, len(head), found, "a whole record or the end"), 0
    length, crc = _HEADER.unpack(head)
    right = masked_crc(head[:8])
    if crc != right:
        lost = left_bytes or len(head)
        found = f"length CRC {crc:#010x} for length {length}"
        return Damage("length_crc", index, offset, lost, found, f"{right:#010x}"), 0
    if left_bytes is not None and length > left_bytes - OVERHEAD_BYTES:
        found = f"length {length}, but only {left_bytes} bytes to the end"
        expected = f"{length + OVERHEAD_BYTES} bytes for the record"
        return Damage("truncated", index, offset, left_bytes, found, expected), 0
    if length > limit_bytes:
        lost = left_bytes or len(head)
        expected = f"at most {limit_bytes} bytes"
        return Damage("too_long", index, offset, lost, f"length {length}", expected), 0
    return None, length


def _check_data(payload: bytes, foot: bytes, index: int, offset: int) -> Damage | None:
    (crc,) = _CRC.unpack(foot)
    right = masked_crc(payload)
    if crc == right:
        return None
    lost = len(payload) + OVERHEAD_BYTES
    return Damage("data_crc", index, offset, lost, f"data CRC {crc:#010x}", f"{right:#010x}")


def _starts_well(file: BinaryIO, offset: int, size: int) -> bool:
    """Tell whether a header, or the end, is at ``offset``: then a length before it was right."""
    file.seek(offset)
    return offset == size or is_header(_read_exactly(file, min(HEADER_BYTES, size - offset)))


def _resynchronise(file: BinaryIO, offset: int, size: int, limit_bytes: int) -> int:
    """Return the first place from ``offset`` on where a whole, checked record starts, or ``size``.

    A length under 2**31 has four zero bytes on top, so only places before four zero bytes need
    their CRC computed. Where four more follow, a run of zeros is more likely than the one length,
    233,286,277, whose masked CRC is zero.
    """
    start = offset
    while start + OVERHEAD_BYTES <= size:
        file.seek(start)
        window = _read_exactly(file, min(_CHUNK_BYTES, size - start))
        for zeros in re.finditer(rb"(?=\0\0\0\0(?!\0\0\0\0))", window):
            at = zeros.start() - 4
            if at < 0 or not is_header(window[at : at + HEADER_BYTES]):
                continue
            (length,) = _LENGTH.unpack_from(window, at)
            if length > limit_bytes or length > size - start - at - OVERHEAD_BYTES:
                continue
            file.seek(start + at + HEADER_BYTES)
            body = _read_exactly(file, length + FOOTER_BYTES)
            if body[-FOOTER_BYTES:] == footer(body[:-FOOTER_BYTES]):
                return start + at
        start += max(len(window) - HEADER_BYTES + 1, 1)
    return size


def _read_exactly(file: BinaryIO, size: int) -> bytes:
    """Read ``size`` bytes that the file is known to have; fewer mean that it shrank meanwhile."""
    data = file.read(size)
    if len(data) == size:
        return data
    pieces = [data]
    while data and (size := size - len(data)):
        data = file.read(size)
        pieces.append(data)
    if size:
        raise OSError(f"{file.name}: became shorter while it was read")
    return b"".join(pieces)


class _Inflater:
    """A GZIP stream (of several members) or a zlib stream, read a piece at a time.

    A fault ends the stream and is kept in ``error``.
    """

    def __init__(
        self,
        file: BinaryIO,
        compression: sniff.Compression,
        observe: Callable[[bytes], object] | None,
    ) -> None:
        self.error = ""
        self._file = file
        self._observe = observe
        self._wbits = _WBITS[compression]
        self._inflate = zlib.decompressobj(self._wbits)
        self._input = b""

    def read(self, size: int) -> bytes:
        pieces: list[bytes] = []
        while size > 0 and not self.error:
            piece = self._piece(min(size, _CHUNK_BYTES))
            if piece is None:
                break
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def _piece(self, size: int) -> bytes | None:
        """Return up to ``size`` bytes, perhaps none yet, or None at the end or a fault."""
        if self._inflate.eof:
            rest = self._inflate.unused_data or self._fill()
            if not rest:
                return None
            self._inflate = zlib.decompressobj(self._wbits)
            self._input = rest
        if not self._input:
            self._input = self._fill()
        ended = not self._input
        try:
            piece = self._inflate.decompress(self._input, size)
        except zlib.error as error:
            self.error = str(error)
            return None
        self._input = self._inflate.unconsumed_tail
        if ended and not piece and not self._inflate.eof:
            self.error = "the file ends inside the compressed stream"
            return None
        return piece

    def _fill(self) -> bytes:
        data = self._file.read(_INPUT_BYTES)
        if self._observe and data:
            self._observe(data)
        return data


def index_line(offset_bytes: int, length_bytes: int) -> bytes:
    """Return one line of an index file, as DALI's and vahidk/tfrecord's readers want it.

    Args:
        offset_bytes: where the record's length field starts.
        length_bytes: the whole record's length, framing included.
    """
    return b"%d %d\n" % (offset_bytes, length_bytes)


def read_index(path: Path) -> list[tuple[int, int]]:
    """Read an index file into (offset, length of the whole record) pairs, in bytes.

    Raises:
        FramingError: a line is not two numbers.
    """
    data = path.read_bytes()
    if not _INDEX.fullmatch(data):
        for number, line in enumerate(data.splitlines(keepends=True), start=1):
            if not _INDEX_LINE.fullmatch(line):
                raise FramingError(
                    f"{path}: line {number}: found {line[:40]!r}, expected 'offset length'"
                )
    numbers = list(map(int, data.split()))
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def locate(path: Path) -> list[tuple[int, int]]:
    """Find each record's (offset, whole length) in bytes by walking an uncompressed file's headers.

    Raises:
        FramingError: a length field is damaged, or the file ends inside a record.
    """
    pairs: list[tuple[int, int]] = []
    offset = 0
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        while offset < size:
            head = file.read(HEADER_BYTES)
            damage, length = _check_header(head, size - offset, len(pairs), offset, LIMIT_BYTES)
            if damage:
                raise FramingError(f"{path}: {damage}")
            pairs.append((offset, length + OVERHEAD_BYTES))
            offset += length + OVERHEAD_BYTES
            file.seek(offset)
    return pairs
