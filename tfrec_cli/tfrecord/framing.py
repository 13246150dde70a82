"""TFRecord framing: length, CRC of the length, data, CRC of the data.

Knows: bytes of record files, compressed or not, their index files, and how to go on after damage.
Must not know: what a payload means.

Source of the format: tensorflow/core/lib/io/record_writer.h and tensorflow/tsl/lib/hash/crc32c.h.
"""

from __future__ import annotations

import errno
import functools
import os
import re
import struct
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from tfrec_cli.errors import FramingError
from tfrec_cli.runtime import native
from tfrec_cli.tfrecord import compression as compressions
from tfrec_cli.tfrecord.compression import Compression

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

HEADER_BYTES = 12
FOOTER_BYTES = 4
OVERHEAD_BYTES = HEADER_BYTES + FOOTER_BYTES
LIMIT_BYTES = 2**31 - 1
"""The largest payload accepted unless told: no protocol buffer can be larger."""

LARGE_BYTES = 50 * 2**20
"""A larger payload must be there: in a compressed file it is believed up to `PAYLOAD_RATIO` times
the file's size, in a sparse file where that share of it is no hole. A raw crop of 4096x4096 is not
so large."""

PAYLOAD_RATIO = 4

INFLATED_BYTES = 3 * 2**26
"""What is read of any compressed file; of a larger one `INFLATED_RATIO` times its own size. A shard
of the size that `tfrec write` makes unless told fits, whatever is in it."""

INFLATED_RATIO = 64

DamageKind = Literal["length_crc", "data_crc", "too_long", "truncated", "trailing", "compression"]

_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")
_HEADER = struct.Struct("<QI")
_INDEX_LINE = re.compile(rb"\d{1,18} \d{1,18}\n")
_INDEX_LINE_BYTES = 40
_INDEX = re.compile(rb"(?:\d{1,18} \d{1,18}\n)*")
_CHUNK_BYTES = 1 << 20
_INPUT_BYTES = 1 << 14
"""Compressed bytes read at once: what zlib leaves of them is copied for every piece."""

_PIECE_BYTES = _WINDOW_BYTES = 1 << 18
_ENOUGH_BYTES, _ENOUGH_TIMES = 2**28, 8
"""What may be spent on false lengths and damage in one file: bytes, and times the file's size."""

_TRIAL_BYTES = 1 << 15
"""What one false length costs beside its CRC: about as long as a CRC over so many bytes takes."""

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


def masked_crc(data: native.Bytes) -> int:
    """Return the masked CRC32C of ``data`` as TFRecord stores it, in ``[0, 2**32)``."""
    return _mask(native.crc32c(data))


def _mask(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def header(length_bytes: int) -> bytes:
    """Return the 12 bytes that go before a payload of ``length_bytes``."""
    length = _LENGTH.pack(length_bytes)
    return length + _CRC.pack(masked_crc(length))


def footer(payload: native.Bytes) -> bytes:
    """Return the 4 bytes that go behind ``payload``."""
    return _CRC.pack(masked_crc(payload))


def pieces(payload: bytes) -> tuple[bytes, bytes, bytes]:
    """Return one whole record in pieces: ``payload`` between its header and its footer."""
    return header(len(payload)), payload, footer(payload)


def frame(payload: bytes) -> bytes:
    """Return one whole record: ``payload`` between its header and its footer."""
    return b"".join(pieces(payload))


def is_header(data: bytes) -> bool:
    """Tell whether ``data`` starts with a length whose CRC is right."""
    if len(data) < HEADER_BYTES:
        return False
    _, crc = _HEADER.unpack_from(data)
    return bool(crc == masked_crc(data[:8]))


def read_at(file_descriptor: int, offset_bytes: int, length_bytes: int, name: str) -> bytes:
    """Read and check one record of an uncompressed file: see `read_places`."""
    most = min(LIMIT_BYTES + OVERHEAD_BYTES, os.fstat(file_descriptor).st_size)
    whole = os.pread(file_descriptor, min(max(length_bytes, 0), most), offset_bytes)
    _check_whole(whole, offset_bytes, length_bytes, name)
    return whole[HEADER_BYTES:-FOOTER_BYTES]


def read_places(
    file_descriptor: int, places: Sequence[Sequence[int]], name: str, memory: memoryview
) -> list[memoryview]:
    """Read and check some records of an uncompressed file.

    Args:
        places: each record's offset, and its whole length with framing, as an index file has them,
            in bytes.
        name: the file's name, for the message.
        memory: what to read them into, one behind the other.
    Returns:
        The payloads, in ``memory``.
    Raises:
        FramingError: the bytes at a place are no whole record of that length.
    """
    good = native.read_records(file_descriptor, array("q", chain(*places)), memory)
    payloads = []
    start = 0
    for number, (offset, length) in enumerate(places):
        if number >= good:
            whole = memory[start : start + max(length, 0)]
            size = os.preadv(file_descriptor, [whole], offset)
            _check_whole(whole[:size], offset, length, name)
        payloads.append(memory[start + HEADER_BYTES : start + length - FOOTER_BYTES])
        start += length
    return payloads


def _check_whole(whole: native.Bytes, offset: int, length: int, name: str) -> None:
    """Check that what was read at a place is a record of that length."""
    if (
        offset < 0  # of which -1 is, for the system, wherever the file was read last
        or length != len(whole)
        or length < OVERHEAD_BYTES
        or whole[:HEADER_BYTES] != header(length - OVERHEAD_BYTES)
        or whole[-FOOTER_BYTES:] != footer(memoryview(whole)[HEADER_BYTES:-FOOTER_BYTES])
    ):
        raise FramingError(
            f"{name}: at byte {offset}: found no whole record of {length} bytes, "
            "expected one: run `tfrec verify`"
        )


def compression_of(head: bytes) -> Compression:
    """Tell how the record file that begins with ``head`` is compressed, whatever its name says."""
    return "none" if is_header(head) else compressions.guess(head)


def recognise(file: BinaryIO, limit_bytes: int = LIMIT_BYTES) -> Compression:
    """Tell how a record file is compressed, though its beginning be damaged."""
    head = file.read(compressions.HEAD_BYTES)
    compression = compression_of(head)
    if compression != "none" and not _inflates(head, compression):
        # A damaged length can look like GZIP or zlib; whole records behind it tell the truth.
        hidden = _Search(_Plain(file), limit_bytes).whole(1, None)
        compression = compression if hidden is None else "none"
    file.seek(0)
    return compression


def scan(
    path: Path,
    *,
    limit_bytes: int = LIMIT_BYTES,
    observe: Callable[[bytes], object] | None = None,
) -> Iterator[Record | Damage]:
    """Iterate everything in one record file: its records, and whatever is wrong between them.

    After damage, reading goes on at the next place where a whole record with both CRCs right
    starts; behind damage to the compression itself there is none. Memory and time are bounded by
    the bytes that are there, whatever a length says: see `LARGE_BYTES` and `INFLATED_BYTES`. The
    search ends early in a file with false lengths by the ten thousand.

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
        compression = recognise(file, limit_bytes)
        if compression == "none":
            yield from _scan(_Plain(file), limit_bytes, observe)
        else:
            yield from _scan(_Inflated(file, compression, observe), limit_bytes, None)


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


def _inflates(head: bytes, compression: Compression) -> bool:
    """Tell whether the first bytes of a file decompress; other bytes hardly ever do so for long."""
    inflate = zlib.decompressobj(_WBITS[compression])
    try:
        inflated = inflate.decompress(head, HEADER_BYTES)
        if not is_header(inflated):
            inflated += inflate.decompress(inflate.unconsumed_tail)
    except zlib.error:
        return False
    return len(inflated) >= HEADER_BYTES


def _scan(
    source: _Plain | _Inflated, limit_bytes: int, observe: Callable[[bytes], object] | None
) -> Iterator[Record | Damage]:
    search = _Search(source, limit_bytes)
    size = source.size_bytes
    offset = index = 0
    head = source.read(0, HEADER_BYTES)
    while head:
        left = None if size is None else size - offset
        damage, length = _check_header(head, left, index, offset, limit_bytes)
        if damage is None and length > LARGE_BYTES:
            damage = _check_large(source, length, index, offset)
        if damage is None:
            payload = source.read(offset + HEADER_BYTES, length)
            rest = source.read(offset + HEADER_BYTES + length, FOOTER_BYTES + HEADER_BYTES)
            foot = rest[:FOOTER_BYTES]
            damage = _check_data(source, masked_crc(payload), foot, length, index, offset)
            if damage is None:
                if observe:
                    observe(head)
                    observe(payload)
                    observe(foot)
                source.forget(offset + length + OVERHEAD_BYTES)
                yield Record(index, offset, payload)
                offset += length + OVERHEAD_BYTES
                index += 1
                head = rest[FOOTER_BYTES:]
                continue
        observe = None
        after = _after(damage, source, search)
        kind, found, expected = damage.kind, damage.found, damage.expected
        if search.exhausted:
            found += ", and too many false lengths to search on"
        elif source.fault and after == source.end() and kind in ("truncated", "trailing"):
            kind, found, expected = "compression", *source.fault
        yield Damage(kind, index, offset, after - offset, found, expected)
        if search.exhausted or kind == "compression":
            return
        offset = after
        index += 1
        head = source.read(offset, HEADER_BYTES)
    if source.fault:
        yield Damage("compression", index, offset, 0, *source.fault)


def _after(damage: Damage, source: _Plain | _Inflated, search: _Search) -> int:
    """Return where reading goes on after damage: where a whole record starts, or at the end."""
    start = damage.offset_bytes + 1
    stop = damage.offset_bytes + damage.lost_bytes
    search.spend(damage.lost_bytes if damage.kind == "data_crc" else 0)
    if damage.kind != "data_crc" or not _starts_well(source, stop):
        found = search.whole(start, None)
    else:  # what was laid over a part of the record may hold whole ones
        found = search.whole(start, stop) or stop
    return source.end() if found is None or search.exhausted else found


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


def _check_large(source: _Plain | _Inflated, length: int, index: int, offset: int) -> Damage | None:
    """Check a large payload before memory is taken for it."""
    start = offset + HEADER_BYTES
    most = source.most(start, length)
    if length > most:
        expected = f"at most {most} bytes in {source.words}"
        return Damage("too_long", index, offset, 0, f"length {length}", expected)
    crc = _streamed_crc(source, start, length)
    foot = source.read(start + length, FOOTER_BYTES)
    return _check_data(source, crc, foot, length, index, offset)


def _check_data(
    source: _Plain | _Inflated, right: int, foot: bytes, length: int, index: int, offset: int
) -> Damage | None:
    """Compare the CRC behind a payload with ``right``, the one that it has."""
    if len(foot) < FOOTER_BYTES:
        found = f"{source.end() - offset} bytes, then the end"
        expected = f"{length + OVERHEAD_BYTES} bytes"
        return Damage("truncated", index, offset, 0, found, expected)
    (crc,) = _CRC.unpack(foot)
    if crc == right:
        return None
    lost = length + OVERHEAD_BYTES
    return Damage("data_crc", index, offset, lost, f"data CRC {crc:#010x}", f"{right:#010x}")


def _streamed_crc(source: _Plain | _Inflated, offset: int, length: int) -> int:
    """Return the masked CRC32C of ``length`` bytes, or of those that are there, holding few."""
    crc = 0
    stop = offset + length
    while offset < stop and (piece := source.read(offset, min(_CHUNK_BYTES, stop - offset))):
        crc = native.crc32c(piece, crc)
        offset += len(piece)
    return _mask(crc)


def _starts_well(source: _Plain | _Inflated, offset: int) -> bool:
    """Tell whether a header, or the end, is at ``offset``: then a length before it was right."""
    head = source.read(offset, HEADER_BYTES)
    return not head or is_header(head)


class _Search:
    """Looks for whole records behind damage, each byte of the source once."""

    def __init__(self, source: _Plain | _Inflated, limit_bytes: int) -> None:
        self._source = source
        self._limit_bytes = limit_bytes
        self._left_bytes = _ENOUGH_BYTES + _ENOUGH_TIMES * source.file_bytes
        self._headers: list[int] = []
        self._start = self._stop = 0

    @property
    def exhausted(self) -> bool:
        """Whether so much was spent in vain that the rest is given up."""
        return self._left_bytes < 0

    def spend(self, size_bytes: int) -> None:
        """Note that a CRC was computed over so many bytes in vain."""
        self._left_bytes -= size_bytes + _TRIAL_BYTES

    def whole(self, offset: int, stop: int | None) -> int | None:
        """Return the first place from ``offset`` on where a whole, checked record starts, or None.

        Args:
            stop: where to end; None goes on to the source's end.
        """
        while not self.exhausted:
            place = self._header(offset, stop)
            if place is None:
                return None
            if self._is_whole(place):
                return place
            offset = place + 1
        return None

    def _is_whole(self, place: int) -> bool:
        self._source.forget(place)
        (length,) = _LENGTH.unpack_from(self._source.read(place, HEADER_BYTES))
        start, stop = place + HEADER_BYTES, place + HEADER_BYTES + length
        size = self._source.size_bytes
        if length > self._limit_bytes or (size is not None and stop + FOOTER_BYTES > size):
            return False
        if length > LARGE_BYTES and length > self._source.most(start, length):
            return False
        crc = _streamed_crc(self._source, start, length)
        if self._source.read(stop, FOOTER_BYTES) == _CRC.pack(crc):
            return True
        self.spend(length)
        return False

    def _header(self, offset: int, stop: int | None) -> int | None:
        """Return the first place from ``offset`` on where a length with the right CRC lies."""
        while stop is None or offset < stop:
            if not self._start <= offset < self._stop:
                first, last = self._source.data_from(offset)
                offset = max(offset, first - HEADER_BYTES)
                self._source.forget(offset)
                window = self._source.read(
                    offset, min(_WINDOW_BYTES, last - offset + OVERHEAD_BYTES)
                )
                if len(window) < OVERHEAD_BYTES:
                    return None
                self._start, self._stop = offset, offset + len(window) - HEADER_BYTES + 1
                self._headers = (_headers(window) + offset).tolist()
            at = bisect_left(self._headers, offset)
            if at < len(self._headers):
                place = self._headers[at]
                return place if stop is None or place < stop else None
            offset = self._stop
        return None


def _headers(window: bytes) -> npt.NDArray[np.int64]:
    """Return every place in ``window`` where a length with the right CRC lies.

    A length under 2**31 has four zero bytes on top, so only places before four zero bytes need
    their CRC computed. Where four more follow, a run of zeros is more likely than the one length,
    233,286,277, whose masked CRC is zero.
    """
    import numpy as np

    words = np.ndarray(len(window) - 3, "<u4", window, strides=(1,))
    count = len(window) - HEADER_BYTES + 1
    places = np.flatnonzero((words[4 : 4 + count] == 0) & (words[8 : 8 + count] != 0))
    lengths = words[places]
    low, high = _length_crcs()
    crcs = low[lengths & 0xFFFF] ^ high[lengths >> 16]
    masked = (crcs >> 15 | crcs << 17) + np.uint32(0xA282EAD8)
    found: npt.NDArray[np.int64] = places[masked == words[places + 8]]
    return found


@functools.cache
def _length_crcs() -> npt.NDArray[np.uint32]:
    """Return uint32[2, 65536]: CRCs of lengths by their low half, and what the high half changes.

    A CRC is linear: changes of several bytes are those of each, combined by exclusive or.
    """
    import numpy as np

    zero = native.crc32c(bytes(8))
    changes = [
        [native.crc32c(_LENGTH.pack(value << 8 * byte)) ^ zero for value in range(256)]
        for byte in range(4)
    ]
    first, second, third, fourth = np.array(changes, np.uint32)
    return np.stack(
        [
            np.bitwise_xor.outer(second, first).ravel() ^ np.uint32(zero),
            np.bitwise_xor.outer(fourth, third).ravel(),
        ]
    )


class _Plain:
    """An uncompressed file, read anywhere."""

    fault: tuple[str, str] | None = None
    words = "a sparse file: most of it is a hole"

    def __init__(self, file: BinaryIO) -> None:
        self._descriptor = file.fileno()
        self._name = file.name
        self.size_bytes = self.file_bytes = os.fstat(self._descriptor).st_size

    def read(self, offset: int, size: int) -> bytes:
        """Read ``size`` bytes, or those that are left."""
        if offset + size > self.size_bytes:  # it may grow meanwhile
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
            raise OSError(f"{self._name}: became shorter while it was read")
        return b"".join(pieces)

    def end(self) -> int:
        """Return where the file ends."""
        return self.size_bytes

    def forget(self, offset: int) -> None:
        """Do nothing: what lies before ``offset`` takes no memory."""

    def most(self, offset: int, length: int) -> int:
        """Return how large a payload at ``offset`` may be, if it claims ``length`` bytes."""
        stop = offset + length
        data = 0
        while data * PAYLOAD_RATIO < length and offset < stop:
            first, offset = self.data_from(offset)
            data += max(min(offset, stop) - first, 0)
        return length if data * PAYLOAD_RATIO >= length else LARGE_BYTES

    def data_from(self, offset: int) -> tuple[int, int]:
        """Return where the first data from ``offset`` on start and stop, as far as they lie."""
        start = self._seek(offset, os.SEEK_DATA)
        return start, self._seek(start, os.SEEK_HOLE)

    def _seek(self, offset: int, whence: int) -> int:
        try:
            return os.lseek(self._descriptor, offset, whence)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return self.size_bytes
            raise


class _Inflated:
    """What a GZIP file (of several members) or a zlib file holds, read forwards.

    Attributes:
        fault: what ended the stream before its end, and what was expected.
        size_bytes: of what it holds: nobody knows.
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
        self.words = f"a {compression} file of {self.file_bytes}: decompress it to read it all"
        self._whole = f"a whole {compression} stream"
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
        """Read ``size`` bytes, or those before the end or a fault; none that were forgotten."""
        while self.end() < offset + size and not self._ended:
            self._grow()
        at = offset - self._start
        return bytes(memoryview(self._held)[at : at + size])

    def end(self) -> int:
        """Return where the stream ends, as far as it was read."""
        return self._start + len(self._held)

    def forget(self, offset: int) -> None:
        """Let go of what lies before ``offset``."""
        if offset - self._start >= _PIECE_BYTES:
            del self._held[: offset - self._start]
            self._start = offset

    def most(self, offset: int, length: int) -> int:  # noqa: ARG002  # the same for all
        """Return how large a payload may be."""
        return max(LARGE_BYTES, PAYLOAD_RATIO * self.file_bytes)

    def data_from(self, offset: int) -> tuple[int, int]:
        """Return ``offset`` and a place behind the end: there are no holes."""
        return offset, offset + _WINDOW_BYTES

    def _grow(self) -> None:
        """Decompress one piece more, perhaps an empty one, or meet the end or a fault."""
        if self.end() > self._most:
            found = f"more than {self._most} bytes from a file of {self.file_bytes}"
            return self._end(found, f"{self._whole} of less: decompress it to read it all")
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
            most = min(_PIECE_BYTES, self._most + 1 - self.end())
            piece = self._inflate.decompress(self._input, most)
        except zlib.error as error:
            self._held += _up_to_fault(before, self._input)
            return self._end(str(error), self._whole)
        self._held += piece
        self._input = self._inflate.unconsumed_tail
        if was_last and not piece and not self._inflate.eof:
            return self._end("the file ends inside the compressed stream", self._whole)
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
    """Decompress what lies before a fault, which zlib keeps to itself, byte by byte."""
    found = bytearray()
    with suppress(zlib.error):
        for byte in data:
            found += inflate.decompress(bytes((byte,)))
    return bytes(found)


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
    pairs: list[tuple[int, int]] = []
    rest = b""
    with path.open("rb") as file:
        while data := file.read(_CHUNK_BYTES):
            lines, newline, rest = (rest + data).rpartition(b"\n")
            pairs += _index_pairs(lines + newline, path, len(pairs) + 1)
            if len(rest) > _INDEX_LINE_BYTES:
                break
    return pairs + _index_pairs(rest, path, len(pairs) + 1)


def _index_pairs(lines: bytes, path: Path, first: int) -> list[tuple[int, int]]:
    """Read some lines of an index file, of which the first has number ``first``."""
    if not _INDEX.fullmatch(lines):
        for number, line in enumerate(lines.splitlines(keepends=True), start=first):
            if not _INDEX_LINE.fullmatch(line):
                raise FramingError(
                    f"{path}: line {number}: found {line[:40]!r}, expected 'offset length'"
                )
    numbers = list(map(int, lines.split()))
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
