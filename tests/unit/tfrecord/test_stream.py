"""Streams: GZIP members, zlib, holes; time and memory are bounded by the size of the file."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from record_files import (
    BOUNDARIES,
    COMPRESS,
    FILES,
    GZIP,
    MIB,
    PAYLOADS,
    PLAIN,
    WHOLE,
    bomb,
    damages,
    flipped,
    hit_by,
    holding,
    payloads,
    scanned,
    sparse,
)

from tfrec_cli.tfrecord.record import footer, frame, header
from tfrec_cli.tfrecord.scan import Record, scan
from tfrec_cli.tfrecord.stream import INFLATED_BYTES, INFLATED_RATIO, LARGE_BYTES

fixed = settings(deadline=None, derandomize=True, max_examples=150)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder that all examples of a property share; tmp_path cannot be shared."""
    return tmp_path_factory.mktemp("stream")


@pytest.mark.parametrize("length", [0x8B1F, 0x0178, 0x9C78, 0xDA78, 0x88B1F])
def test_a_length_may_look_like_a_compression(tmp_path: Path, length: int) -> None:
    """The low bytes of such a length are the magic of GZIP or zlib; its CRC shows what it is."""
    assert scanned(tmp_path, frame(bytes(length))) == [Record(0, 0, bytes(length))]


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_a_compressed_empty_file_has_no_records(tmp_path: Path, compression: str) -> None:
    assert scanned(tmp_path, COMPRESS[compression](b"")) == []


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_no_bit_flip_of_a_compressed_file_changes_a_payload_unnoticed(
    tmp_path: Path, compression: str
) -> None:
    """It is damage, unless the bit has no effect: time and system in GZIP's header, padding."""
    data = FILES[compression]
    found = [scanned(tmp_path, flipped(data, bit)) for bit in range(len(data) * 8)]
    assert [items for items in found if not damages(items) and items != WHOLE] == []


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_every_cut_of_a_compressed_file_is_damage(tmp_path: Path, compression: str) -> None:
    """Down to one byte; an empty file is valid."""
    data = FILES[compression]
    cuts = range(1, len(data))
    assert [cut for cut in cuts if not damages(scanned(tmp_path, data[:cut]))] == []


def test_cuts_of_two_gzip_members_are_damage_except_between_them(tmp_path: Path) -> None:
    cuts = range(1, 2 * len(GZIP))
    silent = [cut for cut in cuts if not damages(scanned(tmp_path, (GZIP + GZIP)[:cut]))]
    assert silent == [len(GZIP)]


# GZIP members


def test_gzip_members_follow_each_other(tmp_path: Path) -> None:
    """As in the output of `cat a.gz b.gz`."""
    assert payloads(scanned(tmp_path, GZIP + GZIP)) == PAYLOADS + PAYLOADS


def test_a_record_may_straddle_gzip_members(tmp_path: Path) -> None:
    """Divided at any byte, with an empty member in between."""
    empty = gzip.compress(b"")
    found = [
        scanned(tmp_path, gzip.compress(PLAIN[:cut]) + empty + gzip.compress(PLAIN[cut:]))
        for cut in range(len(PLAIN))
    ]
    assert found == [WHOLE] * len(PLAIN)


@pytest.mark.parametrize("garbage", [b"\0", b"\x1f", b"garbage", bytes(12)])
def test_garbage_after_a_gzip_member_is_damage(tmp_path: Path, garbage: bytes) -> None:
    assert [item.kind for item in damages(scanned(tmp_path, GZIP + garbage))] == ["compression"]


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_records_after_data_damage_inside_a_compressed_file_are_read(
    tmp_path: Path, compression: str
) -> None:
    data = COMPRESS[compression](flipped(PLAIN, 13 * 8))
    assert payloads(scanned(tmp_path, data)) == PAYLOADS[1:]


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_trailing_bytes_inside_a_compressed_file_are_damage(
    tmp_path: Path, compression: str
) -> None:
    data = COMPRESS[compression](PLAIN + b"tail")
    assert [(item.kind, item.offset_bytes) for item in damages(scanned(tmp_path, data))] == [
        ("trailing", 77)
    ]


# observe


@pytest.mark.parametrize("compression", FILES)
def test_observe_gets_the_bytes_of_the_file_on_disk(tmp_path: Path, compression: str) -> None:
    pieces: list[bytes] = []
    scanned(tmp_path, FILES[compression], observe=pieces.append)
    assert b"".join(pieces) == FILES[compression]


def test_observe_gets_nothing_of_an_empty_file(tmp_path: Path) -> None:
    pieces: list[bytes] = []
    scanned(tmp_path, b"", observe=pieces.append)
    assert pieces == []


def test_observe_gets_nothing_after_damage(tmp_path: Path) -> None:
    pieces: list[bytes] = []
    scanned(tmp_path, flipped(PLAIN, 22 * 8), observe=pieces.append)
    assert b"".join(pieces) == PLAIN[:21]


@pytest.mark.parametrize("length", [0x8B1F, 0x0178, 0x9C78, 0x9C79, 0x2078, 0x88B1F])
def test_a_damaged_length_that_looks_like_compression_hides_no_records(
    tmp_path: Path, length: int
) -> None:
    path = tmp_path / "file"
    payload = b"\xff" * length
    first = header(length) + payload + footer(payload)
    for bit in range(96):
        data = bytearray(first + PLAIN)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        found = [item.payload for item in scan(path) if isinstance(item, Record)]
        assert found == PAYLOADS, bit


@pytest.mark.slow
@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_a_compressed_record_may_be_only_so_large_as_its_file_allows(
    tmp_path: Path, compression: str
) -> None:
    """2 GiB of zeros in 2 MB."""
    first = header(2**31 - 1)
    found = holding(bomb(tmp_path, compression, first, bytes(16 * MIB), 128))
    assert [item.kind for item in damages(found)] == ["too_long", "compression"]
    assert damages(found)[0].expected.startswith(f"at most {LARGE_BYTES} bytes in a ")


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_a_compressed_file_is_read_up_to_a_multiple_of_its_size(
    tmp_path: Path, compression: str
) -> None:
    """2,048 records of 1 MiB in 2 MB: the first ones are read, then reading ends."""
    path = bomb(tmp_path, compression, b"", frame(bytes(MIB)) * 16, 128)
    most = max(INFLATED_BYTES, INFLATED_RATIO * path.stat().st_size)
    found = holding(path)
    assert len(found) - 1 == most // (MIB + 16)
    assert [item.found for item in damages(found)] == [
        f"more than {most} bytes from a file of {path.stat().st_size} bytes"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_compressed_zeros_without_a_record_are_damage(tmp_path: Path, compression: str) -> None:
    found = holding(bomb(tmp_path, compression, b"", bytes(16 * MIB), 128))
    assert [item.kind for item in damages(found)] == ["length_crc", "compression"]


@pytest.mark.parametrize("offset", [0, 5, 2**39 + 4091])
def test_holes_are_skipped(tmp_path: Path, offset: int) -> None:
    """The file has a terabyte, but only three records."""
    path = sparse(tmp_path, {offset: PLAIN}, 2**40)
    found = holding(path)
    assert [item.offset_bytes - offset for item in found if isinstance(item, Record)] == BOUNDARIES
    assert sum(item.lost_bytes for item in damages(found)) == 2**40 - len(PLAIN)


def test_a_length_that_begins_in_a_hole_is_found(tmp_path: Path) -> None:
    """The low byte of a length may be zero, and so be in a hole that ends after it."""
    payload = bytes(8) + os.urandom(2**16 * 4 - 8)
    data = frame(payload)
    path = sparse(tmp_path, {2**30 - 2: data}, 2**31)
    assert [item.offset_bytes for item in holding(path) if isinstance(item, Record)] == [2**30 - 2]


def test_a_record_of_holes_is_too_long(tmp_path: Path) -> None:
    """Even if its CRC is right: nobody stores a gigabyte of zeros in one record."""
    size = 2**30
    path = sparse(tmp_path, {0: header(size), size + 12: bytes(4)}, size + 16)
    found = holding(path)
    assert [item.kind for item in damages(found)] == ["too_long"]


def test_many_records_of_holes_are_one_damage(tmp_path: Path) -> None:
    size = 2**31 - 1
    pieces = {number * (size + 16): header(size) for number in range(500)}
    assert len(holding(sparse(tmp_path, pieces, 2**40))) == 1


# After damage inside a compressed file


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_every_bit_flip_inside_a_compressed_file_loses_only_the_record_it_hit(
    tmp_path: Path, compression: str
) -> None:
    compress = COMPRESS[compression]
    found = [scanned(tmp_path, compress(flipped(PLAIN, bit))) for bit in range(len(PLAIN) * 8)]
    others = [PAYLOADS[:hit] + PAYLOADS[hit + 1 :] for hit in range(3)]
    assert [payloads(one) for one in found] == [others[hit_by(bit)] for bit in range(len(found))]


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_records_and_damage_cover_the_decompressed_stream(lasting: Path, compression: str) -> None:
    place = st.integers(0, len(PLAIN))

    @fixed
    @given(place, place, st.binary(max_size=40) | st.just(PLAIN), place, place)
    def check(start: int, skip: int, new: bytes, again: int, length: int) -> None:
        data = PLAIN[:start] + new + PLAIN[skip:] + PLAIN[again : again + length]
        covered = 0
        for item in scanned(lasting, COMPRESS[compression](data)):
            assert item.offset_bytes == covered
            covered += len(item.payload) + 16 if isinstance(item, Record) else item.lost_bytes
        assert covered == len(data)

    check()


@pytest.mark.parametrize("wbits", [31, 15])
def test_a_compressed_file_with_uncompressed_blocks_is_decompressed(
    tmp_path: Path, wbits: int
) -> None:
    """Data that does not compress is stored as it is, in blocks; a border divides a record."""
    deflate = zlib.compressobj(0, zlib.DEFLATED, wbits)
    data = bytearray(deflate.compress(frame(b"hit") + frame(bytes(70_000)) + PLAIN * 9))
    data += deflate.flush()
    data[data.index(b"hit") - 10] ^= 1
    assert payloads(scanned(tmp_path, bytes(data))) == [bytes(70_000), *PAYLOADS * 9]


def test_records_between_a_false_length_and_a_cut_are_read(tmp_path: Path) -> None:
    data = gzip.compress(header(5000) + PLAIN)
    found = scanned(tmp_path, data[:-4])
    assert payloads(found) == PAYLOADS
    assert [item.kind for item in damages(found)] == ["truncated", "compression"]


def test_every_cut_of_a_compressed_file_keeps_the_records_before_it(tmp_path: Path) -> None:
    data = gzip.compress(b"".join(map(frame, [os.urandom(50) for _ in range(9)])))
    for cut in range(20, len(data)):
        held = zlib.decompressobj(31).decompress(data[:cut])
        assert len(payloads(scanned(tmp_path, data[:cut]))) == len(held) // 66


def test_a_file_that_grows_is_read_to_the_size_it_had(tmp_path: Path) -> None:
    """As the event log of a running training does."""
    path = tmp_path / "file"
    path.write_bytes(PLAIN)
    items = scan(path)
    found = [next(items)]
    with path.open("ab") as file:
        file.write(PLAIN[:30])
    assert [*found, *items] == WHOLE
