"""Everything in a record file, in order: its records, and the damage between them.

Knows: the kinds of damage, and where to continue after each.
Must not know: what a payload means, index files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from tfrec_cli.errors import FramingError
from tfrec_cli.tfrecord import compression as compressions
from tfrec_cli.tfrecord.compression import Compression
from tfrec_cli.tfrecord.record import (
    CRC,
    FOOTER_BYTES,
    HEADER,
    HEADER_BYTES,
    LIMIT_BYTES,
    OVERHEAD_BYTES,
    is_header,
    masked_crc,
)
from tfrec_cli.tfrecord.search import Search
from tfrec_cli.tfrecord.stream import (
    LARGE_BYTES,
    Inflated,
    Plain,
    Stream,
    compression_of,
    inflates,
    streamed_crc,
)

DamageKind = Literal["length_crc", "data_crc", "too_long", "truncated", "trailing", "compression"]


class Record(NamedTuple):
    """One intact record: its number in the file, where its length field starts, its payload."""

    index: int  # type: ignore[assignment]  # tuples have a method of this name
    offset_bytes: int
    payload: bytes


class Damage(NamedTuple):
    """One damage of a record file.

    Attributes:
        index: number of the damaged record: how many records and damages are before it.
        offset_bytes: where it starts in the (decompressed) stream.
        lost_bytes: how many bytes are lost; reading continues after them.
    """

    kind: DamageKind
    index: int  # type: ignore[assignment]  # tuples have a method of this name
    offset_bytes: int
    lost_bytes: int
    found: str
    expected: str

    def __str__(self) -> str:
        """Return one line without the file's name."""
        return (
            f"record {self.index} at byte {self.offset_bytes}: "
            f"{self.found}, expected {self.expected}"
        )


def recognise(file: BinaryIO, limit_bytes: int = LIMIT_BYTES) -> Compression:
    """Return how a record file is compressed, even if its beginning is damaged."""
    head = file.read(compressions.HEAD_BYTES)
    compression = compression_of(head)
    if compression != "none" and not inflates(head, compression):
        # A damaged length can look like GZIP or zlib; an intact record after it shows that it is
        # neither.
        record = Search(Plain(file), limit_bytes).find(1, None)
        compression = compression if record is None else "none"
    file.seek(0)
    return compression


def scan(
    path: Path,
    *,
    limit_bytes: int = LIMIT_BYTES,
    observe: Callable[[bytes], object] | None = None,
) -> Iterator[Record | Damage]:
    """Iterate everything in one record file: its records, and the damage between them.

    After damage, reading continues at the next record whose CRCs are both right; after damage of
    the compression it ends. Memory and time are bounded by the size of the file, whatever a
    length says: see `LARGE_BYTES` and `INFLATED_BYTES`. The search for a record ends early after
    tens of thousands of false lengths.

    Args:
        path: the file; GZIP and zlib are recognised by their first bytes.
        limit_bytes: largest accepted payload in bytes; a damaged length cannot take more memory.
        observe: called with each piece of the file as it is on disk, in order, so that the file
            need not be read again for a checksum. After damage it is not called any more.
    Yields:
        Record and Damage, in file order.
    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        compression = recognise(file, limit_bytes)
        if compression == "none":
            yield from _scan(Plain(file), limit_bytes, observe)
        else:
            yield from _scan(Inflated(file, compression, observe), limit_bytes, None)


def read_records(path: Path, *, limit_bytes: int = LIMIT_BYTES) -> Iterator[Record]:
    """Iterate the records of one file.

    Args:
        limit_bytes: largest accepted payload in bytes.
    Yields:
        Record(index, offset_bytes, payload), in file order.
    Raises:
        FramingError: at the first damage.
    """
    for item in scan(path, limit_bytes=limit_bytes):
        if isinstance(item, Damage):
            raise FramingError(f"{path}: {item}")
        yield item


def _scan(
    source: Stream, limit_bytes: int, observe: Callable[[bytes], object] | None
) -> Iterator[Record | Damage]:
    search = Search(source, limit_bytes)
    size = source.size_bytes
    offset = index = 0
    head = source.read(0, HEADER_BYTES)
    while head:
        left = None if size is None else size - offset
        damage, length = check_header(head, left, index, offset, limit_bytes)
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
            found += ", and too many false lengths to continue the search"
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


def _after(damage: Damage, source: Stream, search: Search) -> int:
    """Return where reading continues after damage: at the next intact record, or at the end."""
    start = damage.offset_bytes + 1
    stop = damage.offset_bytes + damage.lost_bytes
    search.spend(damage.lost_bytes if damage.kind == "data_crc" else 0)
    if damage.kind != "data_crc" or not _starts_well(source, stop):
        found = search.find(start, None)
    else:  # intact records may have been written over a part of the record
        found = search.find(start, stop) or stop
    return source.end() if found is None or search.exhausted else found


def check_header(
    head: bytes, left_bytes: int | None, index: int, offset: int, limit_bytes: int
) -> tuple[Damage | None, int]:
    """Check the header of a record against the number of bytes that are left.

    Returns:
        The damage or None, and the length of the payload in bytes.
    """
    if len(head) < HEADER_BYTES:
        kind: DamageKind = "trailing" if index else "truncated"
        found = f"{len(head)} bytes, then the end"
        return Damage(kind, index, offset, len(head), found, "a complete record or the end"), 0
    length, crc = HEADER.unpack(head)
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


def _check_large(source: Stream, length: int, index: int, offset: int) -> Damage | None:
    """Check a large payload before memory is allocated for it."""
    start = offset + HEADER_BYTES
    most = source.most(start, length)
    if length > most:
        expected = f"at most {most} bytes in {source.words}"
        return Damage("too_long", index, offset, 0, f"length {length}", expected)
    crc = streamed_crc(source, start, length)
    foot = source.read(start + length, FOOTER_BYTES)
    return _check_data(source, crc, foot, length, index, offset)


def _check_data(
    source: Stream, right: int, foot: bytes, length: int, index: int, offset: int
) -> Damage | None:
    """Compare the stored CRC of a payload with ``right``, the computed one."""
    if len(foot) < FOOTER_BYTES:
        found = f"{source.end() - offset} bytes, then the end"
        expected = f"{length + OVERHEAD_BYTES} bytes"
        return Damage("truncated", index, offset, 0, found, expected)
    (crc,) = CRC.unpack(foot)
    if crc == right:
        return None
    lost = length + OVERHEAD_BYTES
    return Damage("data_crc", index, offset, lost, f"data CRC {crc:#010x}", f"{right:#010x}")


def _starts_well(source: Stream, offset: int) -> bool:
    """Tell whether a header or the end is at ``offset``: then the length before it was right."""
    head = source.read(offset, HEADER_BYTES)
    return not head or is_header(head)
