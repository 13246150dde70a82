"""Framing: bytes that TensorFlow wrote, every kind of damage, index files."""

from __future__ import annotations

import gzip
import os
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from record_files import MIB, bomb, sparse

from tfrec_cli.errors import FramingError
from tfrec_cli.tfrecord import framing
from tfrec_cli.tfrecord.framing import Damage, Record

# Made by TensorFlow 2.21:
#   with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions(compression_type=c)) as writer:
#       for payload in PAYLOADS: writer.write(payload)
# for c in "", "GZIP", "ZLIB", then path.read_bytes().hex().
# A one-byte record that it wrote begins 01000000 00000000 0175de41: the CRC below of length 1.
PAYLOADS = [b"first", b"", bytes(range(8)) * 2 + bytes(8)]
PLAIN = bytes.fromhex(
    "0500000000000000eab2043e666972737455ff23e5"
    "000000000000000029039807d8ea82a2"
    "1800000000000000a37f4b22000102030405060700010203040506070000000000000000"
    "2deda54b"
)
GZIP = bytes.fromhex(
    "1f8b080000000000000363658080579b58ecd2328b8a4b42ff2b3f858a316832cf60bff1aa69910494bfb8de5b"
    "898191899985958d1d4e4381eedba5de008a4f7aa24d000000"
)
ZLIB = bytes.fromhex(
    "789c63658080579b58ecd2328b8a4b42ff2b3f858a316832cf60bff1aa69910494bfb8de5b8981918999859"
    "58d1d4e4381eedba5de0070750e02"
)
FILES = {"": PLAIN, "GZIP": GZIP, "ZLIB": ZLIB}
WHOLE = [Record(0, 0, PAYLOADS[0]), Record(1, 21, PAYLOADS[1]), Record(2, 37, PAYLOADS[2])]
PLACES = [(0, 21), (21, 16), (37, 40)]

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "GZIP": gzip.compress,
    "ZLIB": zlib.compress,
}

fixed = settings(deadline=None, derandomize=True, max_examples=150)


@pytest.fixture(scope="module")
def tf() -> Any:
    import tensorflow

    return tensorflow


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that outlives one example of a property, as tmp_path does not."""
    return tmp_path_factory.mktemp("framing")


def frame(payload: bytes) -> bytes:
    return framing.header(len(payload)) + payload + framing.footer(payload)


def scan(folder: Path, data: bytes, **options: Any) -> list[Record | Damage]:
    path = folder / "file.tfrecord"
    path.write_bytes(data)
    return list(framing.scan(path, **options))


def payloads(items: Iterable[Record | Damage]) -> list[bytes]:
    return [item.payload for item in items if isinstance(item, Record)]


def damages(items: Iterable[Record | Damage]) -> list[Damage]:
    return [item for item in items if isinstance(item, Damage)]


def flipped(data: bytes, bit: int) -> bytes:
    flip = bytearray(data)
    flip[bit // 8] ^= 1 << bit % 8
    return bytes(flip)


def hit_by(bit: int) -> int:
    """Return the number of the record of PLAIN in which ``bit`` lies."""
    return sum(bit // 8 >= offset for offset, _ in PLACES) - 1


# Golden bytes, and both directions with TensorFlow


def test_frames_as_tensorflow_does() -> None:
    assert b"".join(map(frame, PAYLOADS)) == PLAIN


@pytest.mark.parametrize("compression", FILES)
def test_scans_what_tensorflow_wrote(tmp_path: Path, compression: str) -> None:
    assert scan(tmp_path, FILES[compression]) == WHOLE


@pytest.mark.parametrize("compression", FILES)
def test_reads_what_tensorflow_writes(tmp_path: Path, tf: Any, compression: str) -> None:
    """Payloads around the sizes at which buffers and length bytes change, written just now."""
    path = tmp_path / "theirs"
    sent = [bytes([size % 251]) * size for size in (0, 1, 255, 256, 65535, 65536, 2**20 + 1)]
    with tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions(compression)) as writer:
        for payload in sent:
            writer.write(payload)
    assert [record.payload for record in framing.read(path)] == sent


@pytest.mark.parametrize("compression", FILES)
def test_tensorflow_reads_what_we_frame(tmp_path: Path, tf: Any, compression: str) -> None:
    path = tmp_path / "ours"
    sent = [bytes([size % 251]) * size for size in (0, 1, 255, 256, 65535, 65536, 2**20 + 1)]
    path.write_bytes(COMPRESS[compression](b"".join(map(frame, sent))))
    dataset = tf.data.TFRecordDataset(str(path), compression_type=compression)
    assert list(dataset.as_numpy_iterator()) == sent


@pytest.mark.parametrize("compression", FILES)
def test_what_is_framed_is_read(lasting: Path, compression: str) -> None:
    """For any payloads."""

    @fixed
    @given(st.lists(st.binary(max_size=300), max_size=8))
    def check(sent: list[bytes]) -> None:
        data = COMPRESS[compression](b"".join(map(frame, sent)))
        assert payloads(scan(lasting, data)) == sent

    check()


@pytest.mark.parametrize("length", [0x8B1F, 0x0178, 0x9C78, 0xDA78, 0x88B1F])
def test_a_length_may_look_like_a_compression(tmp_path: Path, length: int) -> None:
    """The low bytes of such a length are the magic of GZIP or zlib; its CRC tells."""
    assert scan(tmp_path, frame(bytes(length))) == [Record(0, 0, bytes(length))]


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    """And nothing wrong with it that framing could know: counts are the manifest's."""
    assert scan(tmp_path, b"") == []


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_a_compressed_empty_file_has_no_records(tmp_path: Path, compression: str) -> None:
    assert scan(tmp_path, COMPRESS[compression](b"")) == []


# Every bit flipped


def test_every_bit_flip_is_one_damage_at_the_record_it_hit(tmp_path: Path) -> None:
    found = [damages(scan(tmp_path, flipped(PLAIN, bit))) for bit in range(len(PLAIN) * 8)]
    places = [[(item.index, item.offset_bytes, item.lost_bytes) for item in one] for one in found]
    assert places == [[(hit_by(bit), *PLACES[hit_by(bit)])] for bit in range(len(PLAIN) * 8)]


def test_every_bit_flip_loses_only_the_record_it_hit(tmp_path: Path) -> None:
    found = [payloads(scan(tmp_path, flipped(PLAIN, bit))) for bit in range(len(PLAIN) * 8)]
    others = [PAYLOADS[:hit] + PAYLOADS[hit + 1 :] for hit in range(3)]
    assert found == [others[hit_by(bit)] for bit in range(len(PLAIN) * 8)]


def test_every_bit_flip_stops_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for bit in range(len(PLAIN) * 8):
        path.write_bytes(flipped(PLAIN, bit))
        with pytest.raises(FramingError):
            list(framing.read(path))


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_no_bit_flip_of_a_compressed_file_changes_a_payload_unseen(
    tmp_path: Path, compression: str
) -> None:
    """Either damage, or one of the bits that mean nothing: GZIP's own time and system, padding."""
    data = FILES[compression]
    found = [scan(tmp_path, flipped(data, bit)) for bit in range(len(data) * 8)]
    assert [items for items in found if not damages(items) and items != WHOLE] == []


# Every length cut

BOUNDARIES = [offset for offset, _ in PLACES]


def test_every_cut_inside_a_record_is_one_damage_where_the_record_starts(tmp_path: Path) -> None:
    cuts = [cut for cut in range(len(PLAIN)) if cut not in BOUNDARIES]
    found = [damages(scan(tmp_path, PLAIN[:cut])) for cut in cuts]
    starts = [max(offset for offset in BOUNDARIES if offset < cut) for cut in cuts]
    places = [[(item.offset_bytes, item.lost_bytes) for item in one] for one in found]
    assert places == [[(at, cut - at)] for at, cut in zip(starts, cuts, strict=True)]


def test_every_cut_keeps_the_records_before_it(tmp_path: Path) -> None:
    found = [payloads(scan(tmp_path, PLAIN[:cut])) for cut in range(len(PLAIN))]
    ends = [offset + length for offset, length in PLACES]
    kept = [sum(end <= cut for end in ends) for cut in range(len(PLAIN))]
    assert found == [PAYLOADS[:count] for count in kept]


def test_a_cut_between_records_is_fewer_records(tmp_path: Path) -> None:
    """Framing cannot know that more was there: the manifest's counts and checksums do."""
    found = [scan(tmp_path, PLAIN[:cut]) for cut in BOUNDARIES]
    assert found == [WHOLE[:count] for count in range(3)]


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_every_cut_of_a_compressed_file_is_damage(tmp_path: Path, compression: str) -> None:
    """Down to one byte; of an empty file nobody can tell."""
    data = FILES[compression]
    cuts = range(1, len(data))
    assert [cut for cut in cuts if not damages(scan(tmp_path, data[:cut]))] == []


def test_cuts_of_two_gzip_members_are_damage_but_between_them(tmp_path: Path) -> None:
    cuts = range(1, 2 * len(GZIP))
    silent = [cut for cut in cuts if not damages(scan(tmp_path, (GZIP + GZIP)[:cut]))]
    assert silent == [len(GZIP)]


# GZIP members


def test_gzip_members_follow_each_other(tmp_path: Path) -> None:
    """As `cat a.gz b.gz` makes them."""
    assert payloads(scan(tmp_path, GZIP + GZIP)) == PAYLOADS + PAYLOADS


def test_a_record_may_straddle_gzip_members(tmp_path: Path) -> None:
    """At any byte, and with an empty member between."""
    empty = gzip.compress(b"")
    found = [
        scan(tmp_path, gzip.compress(PLAIN[:cut]) + empty + gzip.compress(PLAIN[cut:]))
        for cut in range(len(PLAIN))
    ]
    assert found == [WHOLE] * len(PLAIN)


@pytest.mark.parametrize("garbage", [b"\0", b"\x1f", b"garbage", bytes(12)])
def test_garbage_behind_a_gzip_member_is_damage(tmp_path: Path, garbage: bytes) -> None:
    assert [item.kind for item in damages(scan(tmp_path, GZIP + garbage))] == ["compression"]


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_data_damage_inside_a_compressed_file_is_passed(tmp_path: Path, compression: str) -> None:
    """The length survived, so the records behind are found."""
    data = COMPRESS[compression](flipped(PLAIN, 13 * 8))
    assert payloads(scan(tmp_path, data)) == PAYLOADS[1:]


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_trailing_bytes_inside_a_compressed_file_are_damage(
    tmp_path: Path, compression: str
) -> None:
    data = COMPRESS[compression](PLAIN + b"tail")
    assert [(item.kind, item.offset_bytes) for item in damages(scan(tmp_path, data))] == [
        ("trailing", 77)
    ]


# What a Damage says


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
            Damage("trailing", 3, 77, 4, "4 bytes, then the end", "a whole record or the end"),
        ),
        (
            b"tail",
            Damage("truncated", 0, 0, 4, "4 bytes, then the end", "a whole record or the end"),
        ),
    ],
    ids=["length_crc", "data_crc", "truncated", "trailing", "short"],
)
def test_damage_says_what_was_found_and_expected(
    tmp_path: Path, data: bytes, damage: Damage
) -> None:
    assert damages(scan(tmp_path, data)) == [damage]


def test_read_says_file_record_byte_found_and_expected(tmp_path: Path) -> None:
    path = tmp_path / "train-00000-of-00001.tfrecord"
    path.write_bytes(flipped(PLAIN, 36 * 8 + 7))
    with pytest.raises(FramingError) as raised:
        list(framing.read(path))
    assert str(raised.value) == (
        f"{path}: record 1 at byte 21: data CRC 0x2282ead8, expected 0xa282ead8"
    )


# Lengths that lie

LONG = [2**31, 2**32, 2**32 + 5, 2**36, 2**63 - 1, 2**63, 2**64 - 16, 2**64 - 1]


@pytest.mark.parametrize("length", LONG)
def test_a_length_beyond_the_file_is_truncated(tmp_path: Path, length: int) -> None:
    """Its CRC is right; TensorFlow dies of such a file."""
    data = PLAIN + framing.header(length) + bytes(100)
    assert [item.kind for item in damages(scan(tmp_path, data))] == ["truncated"]


@pytest.mark.parametrize("length", LONG)
def test_a_length_beyond_the_limit_is_too_long(tmp_path: Path, length: int) -> None:
    """In a compressed file nobody knows how much follows."""
    data = gzip.compress(PLAIN + framing.header(length) + bytes(100))
    assert [item.kind for item in damages(scan(tmp_path, data))] == ["too_long"]


@pytest.mark.parametrize("compression", COMPRESS)
def test_a_length_that_lies_takes_no_memory(tmp_path: Path, compression: str) -> None:
    """2**31 - 1 is the largest that is accepted; the peak stays at a few buffers."""
    path = tmp_path / "file"
    files = [PLAIN + framing.header(length) + bytes(100) for length in (2**31 - 1, *LONG)]
    tracemalloc.start()
    for data in files:
        path.write_bytes(COMPRESS[compression](data))
        for _ in framing.scan(path):
            pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**23


@pytest.mark.parametrize("compression", COMPRESS)
def test_a_payload_at_the_limit_is_read(tmp_path: Path, compression: str) -> None:
    data = COMPRESS[compression](frame(b"12345678"))
    assert payloads(scan(tmp_path, data, limit_bytes=8)) == [b"12345678"]


@pytest.mark.parametrize("compression", COMPRESS)
def test_a_payload_over_the_limit_is_too_long(tmp_path: Path, compression: str) -> None:
    data = COMPRESS[compression](frame(b"12345678"))
    assert [item.kind for item in damages(scan(tmp_path, data, limit_bytes=7))] == ["too_long"]


def test_records_behind_one_over_the_limit_are_read(tmp_path: Path) -> None:
    assert payloads(scan(tmp_path, PLAIN, limit_bytes=4)) == [b""]


# Going on after damage


def test_a_record_is_found_wherever_the_search_window_ends(tmp_path: Path) -> None:
    """The search reads pieces of 1 MiB; a header across the border of two is not overlooked."""
    sizes = range(2**20 - 32, 2**20 + 4)
    found = [
        payloads(scan(tmp_path, flipped(frame(b"\xff" * size), 8 * 8) + frame(b"next")))
        for size in sizes
    ]
    assert found == [[b"next"]] * len(sizes)


def test_records_behind_any_junk_are_found(tmp_path: Path) -> None:
    """However short the junk before them: shorter than a record, than a header, than a length."""
    found = [payloads(scan(tmp_path, b"\xff" * junk + PLAIN)) for junk in range(1, 40)]
    assert found == [PAYLOADS] * 39


def test_a_lost_record_between_others_is_passed(tmp_path: Path) -> None:
    """The whole middle of a file overwritten, headers and all."""
    data = PLAIN + bytes(1000) + b"\xff" * 1000 + PLAIN
    assert payloads(scan(tmp_path, data)) == PAYLOADS + PAYLOADS


def test_records_and_damage_cover_the_file(lasting: Path) -> None:
    """Without gap or overlap, whatever is cut out and put in."""
    place = st.integers(0, len(PLAIN))

    @fixed
    @given(place, place, st.binary(max_size=40) | st.just(PLAIN), place, place)
    def check(start: int, skip: int, new: bytes, again: int, length: int) -> None:
        data = PLAIN[:start] + new + PLAIN[skip:] + PLAIN[again : again + length]
        if framing.compression_of(data) != "none":
            return
        covered = 0
        for item in scan(lasting, data):
            assert item.offset_bytes == covered
            covered += len(item.payload) + 16 if isinstance(item, Record) else item.lost_bytes
        assert covered == len(data)

    check()


def test_any_bytes_can_be_scanned(lasting: Path) -> None:
    """Bytes, bytes that claim to be compressed, and compressed bytes: no exception."""
    start = st.sampled_from([b"", b"\x1f\x8b", b"\x1f\x8b\x08\0", b"\x78\x9c", PLAIN[:12], GZIP])
    compress = st.sampled_from([bytes, gzip.compress, zlib.compress])

    @fixed
    @given(start, st.binary(max_size=100), compress)
    def check(head: bytes, rest: bytes, compressed: Callable[[bytes], bytes]) -> None:
        scan(lasting, compressed(head + rest))

    check()


# observe


@pytest.mark.parametrize("compression", FILES)
def test_observe_sees_the_file_as_it_lies_on_disk(tmp_path: Path, compression: str) -> None:
    pieces: list[bytes] = []
    scan(tmp_path, FILES[compression], observe=pieces.append)
    assert b"".join(pieces) == FILES[compression]


def test_observe_sees_nothing_of_an_empty_file(tmp_path: Path) -> None:
    pieces: list[bytes] = []
    scan(tmp_path, b"", observe=pieces.append)
    assert pieces == []


def test_observe_sees_nothing_after_damage(tmp_path: Path) -> None:
    pieces: list[bytes] = []
    scan(tmp_path, flipped(PLAIN, 22 * 8), observe=pieces.append)
    assert b"".join(pieces) == PLAIN[:21]


# Index files


def test_index_line() -> None:
    """As DALI's tfrecord2idx writes: offset, blank, whole length."""
    assert framing.index_line(21, 16) == b"21 16\n"


def test_locate_finds_every_record(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(PLAIN)
    assert framing.locate(path) == PLACES


def test_locate_of_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    assert framing.locate(path) == []


def test_locate_refuses_every_cut_inside_a_record(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for cut in range(len(PLAIN)):
        path.write_bytes(PLAIN[:cut])
        if cut not in BOUNDARIES:
            with pytest.raises(FramingError):
                framing.locate(path)


def test_locate_refuses_every_bit_flip_in_a_length(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for offset in BOUNDARIES:
        for bit in range(offset * 8, (offset + 12) * 8):
            path.write_bytes(flipped(PLAIN, bit))
            with pytest.raises(FramingError):
                framing.locate(path)


def test_an_index_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "file.tfindex"
    path.write_bytes(b"".join(framing.index_line(*place) for place in PLACES))
    assert framing.read_index(path) == PLACES


def test_an_empty_index_is_of_no_records(tmp_path: Path) -> None:
    path = tmp_path / "file.tfindex"
    path.write_bytes(b"")
    assert framing.read_index(path) == []


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"21",
        b"21 ",
        b"21  16",
        b"-1 16",
        b"21 16 3",
        b"0x15 16",
        b"21 16.0",
        b"1" * 19 + b" 1",
    ],
)
def test_an_index_line_is_two_numbers(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "file.tfindex"
    path.write_bytes(b"0 21\n" + line + b"\n")
    with pytest.raises(FramingError) as raised:
        framing.read_index(path)
    found = line + b"\n"
    assert str(raised.value) == f"{path}: line 2: found {found!r}, expected 'offset length'"


def read_at(folder: Path, data: bytes, offset: int, length: int) -> bytes:
    path = folder / "file"
    path.write_bytes(data)
    file_descriptor = os.open(path, os.O_RDONLY)
    try:
        return framing.read_at(file_descriptor, offset, length, "file")
    finally:
        os.close(file_descriptor)


def test_read_at_gives_each_located_record(tmp_path: Path) -> None:
    assert [read_at(tmp_path, PLAIN, *place) for place in PLACES] == PAYLOADS


def test_read_at_refuses_every_bit_flip(tmp_path: Path) -> None:
    for bit in range(len(PLAIN) * 8):
        with pytest.raises(FramingError):
            read_at(tmp_path, flipped(PLAIN, bit), *PLACES[hit_by(bit)])


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, 20), (0, 22), (0, 37), (1, 21), (20, 16), (22, 16), (37, 41), (77, 16)],
)
def test_read_at_refuses_a_wrong_place(tmp_path: Path, offset: int, length: int) -> None:
    with pytest.raises(FramingError) as raised:
        read_at(tmp_path, PLAIN, offset, length)
    assert str(raised.value) == (
        f"file: at byte {offset}: found no whole record of {length} bytes, expected one: "
        "run `tfrec verify`"
    )


@pytest.mark.parametrize("length", [0, 5, 15, 10**17])
def test_read_at_refuses_an_impossible_length(tmp_path: Path, length: int) -> None:
    with pytest.raises(FramingError):
        read_at(tmp_path, PLAIN, 0, length)


@pytest.mark.parametrize("length", [0x8B1F, 0x0178, 0x9C78, 0x9C79, 0x2078, 0x88B1F])
def test_a_length_that_looks_like_compression_hides_nothing_once_damaged(
    tmp_path: Path, length: int
) -> None:
    path = tmp_path / "file"
    payload = b"\xff" * length
    first = framing.header(length) + payload + framing.footer(payload)
    for bit in range(96):
        data = bytearray(first + PLAIN)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        whole = [item.payload for item in framing.scan(path) if isinstance(item, Record)]
        assert whole == PAYLOADS, bit


def test_an_index_cut_in_its_last_number_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.tfindex"
    path.write_bytes(b"0 21\n21 1")
    with pytest.raises(FramingError):
        framing.read_index(path)


# Hostile files: bounded by the bytes that are there


def holding(path: Path, *, seconds: float = 4, most_bytes: int = 2**27) -> list[Record | Damage]:
    """Scan a file, and return what is found; fail where that takes much time or memory."""
    tracemalloc.start()
    started = time.process_time()
    try:
        found = [
            item if isinstance(item, Damage) else replace(item, payload=b"")
            for item in framing.scan(path)
        ]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.process_time() - started < seconds
    assert peak < most_bytes
    return found


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_a_compressed_record_is_believed_by_the_size_of_its_file(
    tmp_path: Path, compression: str
) -> None:
    """2 GiB of zeros, in 2 MB."""
    first = framing.header(2**31 - 1)
    found = holding(bomb(tmp_path, compression, first, bytes(16 * MIB), 128))
    assert [item.kind for item in damages(found)] == ["too_long", "compression"]
    assert damages(found)[0].expected.startswith(f"at most {framing.LARGE_BYTES} bytes in a ")


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_a_compressed_file_is_read_by_its_size(tmp_path: Path, compression: str) -> None:
    """2,048 whole records of 1 MiB, in 2 MB: what is read of them is right, then it ends."""
    path = bomb(tmp_path, compression, b"", frame(bytes(MIB)) * 16, 128)
    most = max(framing.INFLATED_BYTES, framing.INFLATED_RATIO * path.stat().st_size)
    found = holding(path)
    assert len(found) - 1 == most // (MIB + 16)
    assert [item.found for item in damages(found)] == [
        f"more than {most} bytes from a file of {path.stat().st_size}"
    ]


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_compressed_zeros_without_a_record_end(tmp_path: Path, compression: str) -> None:
    found = holding(bomb(tmp_path, compression, b"", bytes(16 * MIB), 128))
    assert [item.kind for item in damages(found)] == ["length_crc", "compression"]


@pytest.mark.parametrize("compression", COMPRESS)
def test_a_large_record_that_is_there_is_read(tmp_path: Path, compression: str) -> None:
    """More than is believed without looking, of bytes that do not compress."""
    sent = [os.urandom(MIB) * (framing.LARGE_BYTES // MIB + 1), b"next"]
    if compression:  # a window of 32 KiB does not see that it repeats
        sent[0] = sent[0][: framing.LARGE_BYTES + 1]
    data = COMPRESS[compression](b"".join(map(frame, sent)))
    assert payloads(scan(tmp_path, data)) == sent


@pytest.mark.parametrize("place", [0, 12, MIB, framing.LARGE_BYTES + 13])
def test_a_damaged_large_record_is_passed(tmp_path: Path, place: int) -> None:
    large = frame(os.urandom(MIB) * (framing.LARGE_BYTES // MIB + 1))
    data = flipped(large, place * 8) + PLAIN
    path = tmp_path / "file"
    path.write_bytes(data)
    found = holding(path, most_bytes=8 * MIB)
    assert [(item.offset_bytes, item.lost_bytes) for item in damages(found)] == [(0, len(large))]
    assert len(found) == 4


def test_a_large_record_is_held_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(frame(os.urandom(MIB) * 60))
    assert len(holding(path, most_bytes=64 * MIB)) == 1


@pytest.mark.parametrize("offset", [0, 5, 2**39 + 4091])
def test_holes_are_skipped(tmp_path: Path, offset: int) -> None:
    """A terabyte of nothing, but for three records."""
    path = sparse(tmp_path, {offset: PLAIN}, 2**40)
    found = holding(path)
    assert [item.offset_bytes - offset for item in found if isinstance(item, Record)] == BOUNDARIES
    assert sum(item.lost_bytes for item in damages(found)) == 2**40 - len(PLAIN)


def test_a_length_that_begins_in_a_hole_is_found(tmp_path: Path) -> None:
    """Its low byte may be zero, and the last that is not a hole begin behind it."""
    payload = bytes(8) + os.urandom(2**16 * 4 - 8)
    data = frame(payload)
    path = sparse(tmp_path, {2**30 - 2: data}, 2**31)
    assert [item.offset_bytes for item in holding(path) if isinstance(item, Record)] == [2**30 - 2]


def test_a_record_of_holes_is_too_long(tmp_path: Path) -> None:
    """Its CRC may be right: nobody stores a gigabyte of zeros in one record."""
    size = 2**30
    path = sparse(tmp_path, {0: framing.header(size), size + 12: bytes(4)}, size + 16)
    found = holding(path)
    assert [item.kind for item in damages(found)] == ["too_long"]


def test_many_records_of_holes_are_answered(tmp_path: Path) -> None:
    size = 2**31 - 1
    pieces = {number * (size + 16): framing.header(size) for number in range(500)}
    assert len(holding(sparse(tmp_path, pieces, 2**40))) == 1


HOSTILE = {
    "zeros": b"\0",
    "nearly lengths": b"\0\0\0\0\xff",
    "more nearly lengths": b"\0\0\0\0\0\0\0\xff",
    "long lengths": framing.header(30 * MIB) + b"\xff\xff\xff\xff",
    "short lengths": framing.header(0) + b"\xff\xff\xff\xff",
    "lengths beyond the limit": framing.header(2**40),
    "every other record damaged": frame(b"") + framing.header(0) + b"\xff\xff\xff\xff",
    "junk behind every record": frame(b"") + b"\xff" * 16,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_64_mib_of_lies_are_answered(tmp_path: Path, kind: str) -> None:
    """Each a place that a search has to look at, or a CRC over much of the file."""
    path = tmp_path / "file"
    path.write_bytes(b"\1" + HOSTILE[kind] * (64 * MIB // len(HOSTILE[kind])))
    found = holding(path, seconds=8)
    covered = sum(item.lost_bytes if isinstance(item, Damage) else 16 for item in found)
    assert (covered, bool(damages(found))) == (path.stat().st_size, True)


def test_a_search_given_up_says_so(tmp_path: Path) -> None:
    data = b"\1" + HOSTILE["long lengths"] * (64 * MIB // 16) + PLAIN
    (damage,) = damages(scan(tmp_path, data))
    assert damage.found.endswith(", and too many false lengths to search on")
    assert damage.lost_bytes == len(data)


def test_a_search_is_not_given_up_for_a_thousand_lies(tmp_path: Path) -> None:
    data = b"\1" + (framing.header(5000) + b"\xff" * 4) * 1000 + bytes(5000) + PLAIN
    assert payloads(scan(tmp_path, data)) == PAYLOADS


def test_every_length_below_the_limit_is_found_behind_damage() -> None:
    """The search computes CRCs of lengths in its own way; the right one is the reader's."""

    @fixed
    @given(st.integers(0, 2**31 - 1), st.integers(0, 30), st.integers(12, 40))
    def check(length: int, before: int, after: int) -> None:
        window = b"\xff" * before + framing.header(length) + b"\xff" * after
        assert framing._headers(window).tolist() == [before]

    check()


# Going on after damage inside a compressed file


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_every_bit_flip_under_the_compression_loses_only_the_record_it_hit(
    tmp_path: Path, compression: str
) -> None:
    compress = COMPRESS[compression]
    found = [scan(tmp_path, compress(flipped(PLAIN, bit))) for bit in range(len(PLAIN) * 8)]
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
        for item in scan(lasting, COMPRESS[compression](data)):
            assert item.offset_bytes == covered
            covered += len(item.payload) + 16 if isinstance(item, Record) else item.lost_bytes
        assert covered == len(data)

    check()


@pytest.mark.parametrize("wbits", [31, 15])
def test_a_compressed_file_whose_records_can_be_seen_is_decompressed(
    tmp_path: Path, wbits: int
) -> None:
    """What does not compress is stored as it is, in blocks whose borders cut records in two."""
    deflate = zlib.compressobj(0, zlib.DEFLATED, wbits)
    data = bytearray(deflate.compress(frame(b"hit") + frame(bytes(70_000)) + PLAIN * 9))
    data += deflate.flush()
    data[data.index(b"hit") - 10] ^= 1
    assert payloads(scan(tmp_path, bytes(data))) == [bytes(70_000), *PAYLOADS * 9]


def test_a_cut_behind_a_lying_length_keeps_the_records_in_between(tmp_path: Path) -> None:
    data = gzip.compress(framing.header(5000) + PLAIN)
    found = scan(tmp_path, data[:-4])
    assert payloads(found) == PAYLOADS
    assert [item.kind for item in damages(found)] == ["truncated", "compression"]


def test_every_cut_of_a_compressed_file_keeps_the_records_before_it(tmp_path: Path) -> None:
    data = gzip.compress(b"".join(map(frame, [os.urandom(50) for _ in range(9)])))
    for cut in range(20, len(data)):
        held = zlib.decompressobj(31).decompress(data[:cut])
        assert len(payloads(scan(tmp_path, data[:cut]))) == len(held) // 66


def test_a_file_that_grows_is_read_to_the_size_it_had(tmp_path: Path) -> None:
    """As a log of events does, which is written to meanwhile."""
    path = tmp_path / "file"
    path.write_bytes(PLAIN)
    items = framing.scan(path)
    found = [next(items)]
    with path.open("ab") as file:
        file.write(PLAIN[:30])
    assert [*found, *items] == WHOLE


def test_an_index_of_a_terabyte_is_refused_by_its_first_lines(tmp_path: Path) -> None:
    path = sparse(tmp_path, {0: b"0 21\n21 16\n"}, 2**40)
    with pytest.raises(FramingError, match="line 3: found b'"):
        framing.read_index(path)


def test_an_index_of_many_lines_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Across the pieces in which it is read."""
    path = tmp_path / "file.tfindex"
    places = [(number * 1000, 1000) for number in range(200_000)]
    path.write_bytes(b"".join(framing.index_line(*place) for place in places))
    assert framing.read_index(path) == places
