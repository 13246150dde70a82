"""One record: the bytes that TensorFlow wrote, and reading records at known places."""

from __future__ import annotations

import os
from array import array
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

import pytest
from conftest import needs_c
from record_files import PAYLOADS, PLACES, PLAIN, flipped, hit_by

from tfrec_cli.errors import FramingError
from tfrec_cli.runtime import native
from tfrec_cli.tfrecord import record
from tfrec_cli.tfrecord.record import footer, frame, header


def test_framed_payloads_are_the_bytes_that_tensorflow_wrote() -> None:
    assert b"".join(map(frame, PAYLOADS)) == PLAIN


def read_at(folder: Path, data: bytes, offset: int, length: int) -> bytes:
    path = folder / "file"
    path.write_bytes(data)
    file_descriptor = os.open(path, os.O_RDONLY)
    try:
        return record.read_at(file_descriptor, offset, length, "file")
    finally:
        os.close(file_descriptor)


def test_read_at_returns_each_located_record(tmp_path: Path) -> None:
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
    assert str(raised.value) == (f"file: at byte {offset}: no intact record of {length} bytes here")


@pytest.mark.parametrize("length", [0, 5, 15, 10**17])
def test_read_at_refuses_an_impossible_length(tmp_path: Path, length: int) -> None:
    with pytest.raises(FramingError):
        read_at(tmp_path, PLAIN, 0, length)


# Several records at once


@pytest.fixture(params=["C", "Python"])
def _by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the records with C, if it was compiled, or without."""
    if request.param == "Python":
        monkeypatch.setattr(native, "read_records", lambda *_: 0)


def read_all(shard: bytes, places: list[tuple[int, int]], path: Path, memory_bytes: int) -> Any:
    """Return the payloads of `read_places`, or its error; ``memory`` holds old data."""
    path.write_bytes(shard)
    memory = memoryview(bytearray((SHARD * 3)[:memory_bytes]))
    with path.open("rb") as file:
        try:
            return list(map(bytes, record.read_places(file.fileno(), places, "file", memory)))
        except (FramingError, OSError, OverflowError) as error:
            return type(error).__name__, str(error)


def one_by_one(shard: bytes, places: list[tuple[int, int]], path: Path) -> Any:
    """Return what `read_at` returns for each record, or its first error."""
    try:
        return [read_at(path.parent, shard, *place) for place in places]
    except (FramingError, OSError, OverflowError) as error:
        return type(error).__name__, str(error)


MANY = [b"", b"abc", bytes(40)]
SHARD = b"".join(map(frame, MANY))
MANY_PLACES = [(0, 16), (16, 19), (35, 56)]
ORDERS = [MANY_PLACES, MANY_PLACES[::-1], MANY_PLACES[1:] * 2, MANY_PLACES[:1] * 3, []]


@pytest.mark.usefixtures("_by")
@pytest.mark.parametrize("places", ORDERS, ids=str)
def test_records_read_together_equal_records_read_one_by_one(
    tmp_path: Path, places: list[tuple[int, int]]
) -> None:
    """In any order, adjacent or not; also if the file is cut or a bit is changed."""
    path = tmp_path / "file"
    shards = [SHARD, *(SHARD[:stop] for stop in range(len(SHARD)))]
    shards += [flipped(SHARD, bit) for bit in range(0, len(SHARD) * 8, 13)]
    shards.append(SHARD[:16] + header(4) + b"abc" + footer(b"abc") + SHARD[35:])
    found = [read_all(shard, places, path, 200) for shard in shards]
    assert found == [one_by_one(shard, places, path) for shard in shards]
    assert found[0] == [MANY[MANY_PLACES.index(place)] for place in places]


@pytest.mark.usefixtures("_by")
def test_impossible_places_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    numbers = [-(2**63), -1, 0, 1, 12, 15, 16, 17, 19, 35, 56, 90, 91, 92, 2**31, 2**62, 2**63 - 1]
    for place in [(offset, length) for offset in numbers[:-1] for length in numbers]:
        found = read_all(SHARD, [*MANY_PLACES[:2], place, *MANY_PLACES[:1]], path, 200)
        if place in MANY_PLACES:
            assert found == [*MANY[:2], MANY[MANY_PLACES.index(place)], MANY[0]]
        else:
            message = f"file: at byte {place[0]}: no intact record of {place[1]} bytes"
            assert found[0] == "FramingError"
            assert found[1].startswith(message)


@pytest.mark.usefixtures("_by")
def test_records_larger_than_the_memory_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    found = [read_all(SHARD, MANY_PLACES, path, size) for size in range(93)]
    assert [size for size in range(93) if found[size] == MANY] == [91, 92]
    assert {one[0] for one in found[:91]} == {"FramingError"}


def test_if_the_system_returns_fewer_bytes_the_rest_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    preadv = os.preadv

    def noting(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        reads.append(offset)
        return preadv(descriptor, [buffers[0][:30]], offset)

    monkeypatch.setattr(native, "read_records", lambda *_: 0)
    monkeypatch.setattr(os, "preadv", noting)
    assert read_all(SHARD, MANY_PLACES, tmp_path / "file", 91) == MANY
    assert reads == [0, 16, 35, 65]


@pytest.mark.usefixtures("_by")
def test_payloads_are_parts_of_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(SHARD)
    memory = memoryview(bytearray(91))
    with path.open("rb") as file:
        payloads = record.read_places(file.fileno(), MANY_PLACES, "file", memory)
    memory[16 + 12] = ord("x")
    assert bytes(payloads[1]) == b"xbc"


@pytest.mark.usefixtures("_by")
def test_reading_records_from_a_pipe_or_folder_is_an_error(tmp_path: Path) -> None:
    opened = *os.pipe(), os.open(tmp_path, os.O_RDONLY)
    for descriptor in (*opened, -1):
        with pytest.raises(OSError, match=r"seek|directory|descriptor"):
            record.read_places(descriptor, MANY_PLACES, "file", memoryview(bytearray(91)))
    for descriptor in opened:
        os.close(descriptor)


def test_records_are_checked_without_the_c_code_of_google_crc32c(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from google_crc32c import python

    monkeypatch.setattr(native, "read_records", lambda *_: 0)
    monkeypatch.setattr(record.google_crc32c, "value", python.value)
    assert read_all(SHARD, MANY_PLACES, tmp_path / "file", 91) == MANY
    assert read_all(flipped(SHARD, 500), MANY_PLACES, tmp_path / "file", 91)[0] == "FramingError"


@needs_c
def test_c_checks_the_crcs_of_payloads_of_any_length(tmp_path: Path) -> None:
    """It computes them in lanes of 1,024 bytes."""
    sizes = [*range(20), *range(3060, 3090), 6143, 6144, 6145, 9216 * 3 + 7, 49_152]
    payloads = [bytes(i * 7 + size & 255 for i in range(size)) for size in sizes]
    path = tmp_path / "file"
    path.write_bytes(b"".join(map(frame, payloads)))
    lengths = [size + 16 for size in sizes]
    starts = [0, *accumulate(lengths)][:-1]
    places = array("q", chain.from_iterable(zip(starts, lengths, strict=True)))
    with path.open("rb") as file:
        memory = memoryview(bytearray(sum(lengths)))
        assert native.read_records(file.fileno(), places, memory) == len(sizes)
    assert memory == path.read_bytes()
