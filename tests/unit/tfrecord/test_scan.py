"""Scanning: the bytes that TensorFlow wrote, and every kind of damage."""

from __future__ import annotations

import gzip
import os
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import tf
from hypothesis import given, settings
from hypothesis import strategies as st
from record_files import (
    BOUNDARIES,
    COMPRESS,
    FILES,
    GZIP,
    MIB,
    PAYLOADS,
    PLACES,
    PLAIN,
    WHOLE,
    damages,
    flipped,
    hit_by,
    holding,
    payloads,
    scanned,
)

from tfrec_cli.errors import FramingError
from tfrec_cli.tfrecord.record import frame, header
from tfrec_cli.tfrecord.scan import Damage, Record, read_records, scan
from tfrec_cli.tfrecord.stream import LARGE_BYTES, compression_of

fixed = settings(deadline=None, derandomize=True, max_examples=150)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder that all examples of a property share; tmp_path cannot be shared."""
    return tmp_path_factory.mktemp("scan")


@pytest.mark.parametrize("compression", FILES)
def test_the_records_that_tensorflow_wrote_are_found(tmp_path: Path, compression: str) -> None:
    assert scanned(tmp_path, FILES[compression]) == WHOLE


@pytest.mark.parametrize("compression", FILES)
def test_payloads_that_tensorflow_writes_are_read(tmp_path: Path, compression: str) -> None:
    """With sizes near those at which buffers and length bytes change."""
    path = tmp_path / "theirs"
    sent = [bytes([size % 251]) * size for size in (0, 1, 255, 256, 65535, 65536, 2**20 + 1)]
    with tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions(compression)) as writer:
        for payload in sent:
            writer.write(payload)
    assert [record.payload for record in read_records(path)] == sent


@pytest.mark.parametrize("compression", FILES)
def test_tensorflow_reads_what_we_frame(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "ours"
    sent = [bytes([size % 251]) * size for size in (0, 1, 255, 256, 65535, 65536, 2**20 + 1)]
    path.write_bytes(COMPRESS[compression](b"".join(map(frame, sent))))
    dataset = tf.data.TFRecordDataset(str(path), compression_type=compression)
    assert list(dataset.as_numpy_iterator()) == sent


@pytest.mark.parametrize("compression", FILES)
def test_any_payloads_are_read_as_they_were_framed(lasting: Path, compression: str) -> None:
    @fixed
    @given(st.lists(st.binary(max_size=300), max_size=8))
    def check(sent: list[bytes]) -> None:
        data = COMPRESS[compression](b"".join(map(frame, sent)))
        assert payloads(scanned(lasting, data)) == sent

    check()


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    """And no damage: only the manifest knows how many records there should be."""
    assert scanned(tmp_path, b"") == []


# Every bit flipped


def test_every_bit_flip_is_one_damage_at_the_record_it_hit(tmp_path: Path) -> None:
    found = [damages(scanned(tmp_path, flipped(PLAIN, bit))) for bit in range(len(PLAIN) * 8)]
    places = [[(item.index, item.offset_bytes, item.lost_bytes) for item in one] for one in found]
    assert places == [[(hit_by(bit), *PLACES[hit_by(bit)])] for bit in range(len(PLAIN) * 8)]


def test_every_bit_flip_loses_only_the_record_it_hit(tmp_path: Path) -> None:
    found = [payloads(scanned(tmp_path, flipped(PLAIN, bit))) for bit in range(len(PLAIN) * 8)]
    others = [PAYLOADS[:hit] + PAYLOADS[hit + 1 :] for hit in range(3)]
    assert found == [others[hit_by(bit)] for bit in range(len(PLAIN) * 8)]


def test_two_damaged_payloads_in_a_row_are_two_damages(tmp_path: Path) -> None:
    data = flipped(flipped(PLAIN, 12 * 8), 33 * 8)
    found = damages(scanned(tmp_path, data))
    assert [(item.index, item.offset_bytes, item.lost_bytes) for item in found] == [
        (index, *place) for index, place in enumerate(PLACES[:2])
    ]


def test_read_records_refuses_every_bit_flip(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for bit in range(len(PLAIN) * 8):
        path.write_bytes(flipped(PLAIN, bit))
        with pytest.raises(FramingError):
            list(read_records(path))


def test_every_cut_inside_a_record_is_one_damage_where_the_record_starts(tmp_path: Path) -> None:
    cuts = [cut for cut in range(len(PLAIN)) if cut not in BOUNDARIES]
    found = [damages(scanned(tmp_path, PLAIN[:cut])) for cut in cuts]
    starts = [max(offset for offset in BOUNDARIES if offset < cut) for cut in cuts]
    places = [[(item.offset_bytes, item.lost_bytes) for item in one] for one in found]
    assert places == [[(at, cut - at)] for at, cut in zip(starts, cuts, strict=True)]


def test_every_cut_keeps_the_records_before_it(tmp_path: Path) -> None:
    found = [payloads(scanned(tmp_path, PLAIN[:cut])) for cut in range(len(PLAIN))]
    ends = [offset + length for offset, length in PLACES]
    kept = [sum(end <= cut for end in ends) for cut in range(len(PLAIN))]
    assert found == [PAYLOADS[:count] for count in kept]


def test_after_a_cut_between_records_there_are_fewer_records(tmp_path: Path) -> None:
    """Framing does not show that some are missing: the manifest's counts and checksums do."""
    found = [scanned(tmp_path, PLAIN[:cut]) for cut in BOUNDARIES]
    assert found == [WHOLE[:count] for count in range(3)]


# Messages


@pytest.mark.parametrize(
    ("data", "damage"),
    [
        (
            flipped(PLAIN, 21 * 8),
            Damage("length_crc", 1, 21, 16, "length CRC 0x07980329 for length 1", "0x41de7501"),
        ),
        (
            flipped(PLAIN, 36 * 8 + 7),
            Damage("data_crc", 1, 21, 16, "data CRC 0x2282ead8", "0xa282ead8"),
        ),
        (
            PLAIN[:60],
            Damage(
                "truncated",
                2,
                37,
                23,
                "length 24, but only 23 bytes to the end",
                "40 bytes for the record",
            ),
        ),
        (
            PLAIN + b"tail",
            Damage("trailing", 3, 77, 4, "4 bytes, then the end", "a complete record or the end"),
        ),
        (
            b"tail",
            Damage("truncated", 0, 0, 4, "4 bytes, then the end", "a complete record or the end"),
        ),
    ],
    ids=["length_crc", "data_crc", "truncated", "trailing", "short"],
)
def test_damage_names_what_was_found_and_expected(
    tmp_path: Path, data: bytes, damage: Damage
) -> None:
    assert damages(scanned(tmp_path, data)) == [damage]


def test_an_error_names_file_record_byte_found_and_expected(tmp_path: Path) -> None:
    path = tmp_path / "train-00000-of-00001.tfrecord"
    path.write_bytes(flipped(PLAIN, 36 * 8 + 7))
    with pytest.raises(FramingError) as raised:
        list(read_records(path))
    assert str(raised.value) == (
        f"{path}: record 1 at byte 21: data CRC 0x2282ead8, expected 0xa282ead8"
    )


# False lengths

LONG = [2**31, 2**32, 2**32 + 5, 2**36, 2**63 - 1, 2**63, 2**64 - 16, 2**64 - 1]


@pytest.mark.parametrize("length", LONG)
def test_a_length_beyond_the_file_is_truncated(tmp_path: Path, length: int) -> None:
    """Its CRC is right; TensorFlow crashes on such a file."""
    data = PLAIN + header(length) + bytes(100)
    assert [item.kind for item in damages(scanned(tmp_path, data))] == ["truncated"]


@pytest.mark.parametrize("length", LONG)
def test_a_length_beyond_the_limit_is_too_long(tmp_path: Path, length: int) -> None:
    """In a compressed file it is unknown how many bytes follow."""
    data = gzip.compress(PLAIN + header(length) + bytes(100))
    assert [item.kind for item in damages(scanned(tmp_path, data))] == ["too_long"]


@pytest.mark.parametrize("compression", COMPRESS)
def test_a_false_length_takes_no_memory(tmp_path: Path, compression: str) -> None:
    """2**31 - 1 is the largest accepted length; the peak is a few buffers."""
    path = tmp_path / "file"
    files = [PLAIN + header(length) + bytes(100) for length in (2**31 - 1, *LONG)]
    tracemalloc.start()
    for data in files:
        path.write_bytes(COMPRESS[compression](data))
        for _ in scan(path):
            pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**23


@pytest.mark.parametrize("compression", COMPRESS)
def test_a_payload_at_the_limit_is_read(tmp_path: Path, compression: str) -> None:
    data = COMPRESS[compression](frame(b"12345678"))
    assert payloads(scanned(tmp_path, data, limit_bytes=8)) == [b"12345678"]


@pytest.mark.parametrize("compression", COMPRESS)
def test_a_payload_over_the_limit_is_too_long(tmp_path: Path, compression: str) -> None:
    data = COMPRESS[compression](frame(b"12345678"))
    assert [item.kind for item in damages(scanned(tmp_path, data, limit_bytes=7))] == ["too_long"]


def test_records_after_one_over_the_limit_are_read(tmp_path: Path) -> None:
    assert payloads(scanned(tmp_path, PLAIN, limit_bytes=4)) == [b""]


def test_records_and_damage_cover_the_file(lasting: Path) -> None:
    """Without gap or overlap, whatever is removed and inserted."""
    place = st.integers(0, len(PLAIN))

    @fixed
    @given(place, place, st.binary(max_size=40) | st.just(PLAIN), place, place)
    def check(start: int, skip: int, new: bytes, again: int, length: int) -> None:
        data = PLAIN[:start] + new + PLAIN[skip:] + PLAIN[again : again + length]
        if compression_of(data) != "none":
            return
        covered = 0
        for item in scanned(lasting, data):
            assert item.offset_bytes == covered
            covered += len(item.payload) + 16 if isinstance(item, Record) else item.lost_bytes
        assert covered == len(data)

    check()


def test_any_bytes_can_be_scanned(lasting: Path) -> None:
    """Bytes, bytes that look compressed, and compressed bytes: no exception."""
    start = st.sampled_from([b"", b"\x1f\x8b", b"\x1f\x8b\x08\0", b"\x78\x9c", PLAIN[:12], GZIP])
    compress = st.sampled_from([bytes, gzip.compress, zlib.compress])

    @fixed
    @given(start, st.binary(max_size=100), compress)
    def check(head: bytes, rest: bytes, compressed: Callable[[bytes], bytes]) -> None:
        scanned(lasting, compressed(head + rest))

    check()


@pytest.mark.slow
@pytest.mark.parametrize("compression", COMPRESS)
def test_a_large_complete_record_is_read(tmp_path: Path, compression: str) -> None:
    """Larger than `LARGE_BYTES`, of bytes that do not compress."""
    sent = [os.urandom(MIB) * (LARGE_BYTES // MIB + 1), b"next"]
    if compression:  # the repetition is outside the window of 32 KiB
        sent[0] = sent[0][: LARGE_BYTES + 1]
    data = COMPRESS[compression](b"".join(map(frame, sent)))
    assert payloads(scanned(tmp_path, data)) == sent


@pytest.mark.slow
@pytest.mark.parametrize("place", [0, 12, MIB, LARGE_BYTES + 13])
def test_records_after_a_damaged_large_one_are_read(tmp_path: Path, place: int) -> None:
    large = frame(os.urandom(MIB) * (LARGE_BYTES // MIB + 1))
    data = flipped(large, place * 8) + PLAIN
    path = tmp_path / "file"
    path.write_bytes(data)
    found = holding(path, most_bytes=8 * MIB)
    assert [(item.offset_bytes, item.lost_bytes) for item in damages(found)] == [(0, len(large))]
    assert len(found) == 4


def test_a_large_record_is_in_memory_only_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(frame(os.urandom(MIB) * 60))
    assert len(holding(path, most_bytes=64 * MIB)) == 1
