"""Index files, and where records are."""

from __future__ import annotations

import ctypes
import os
import pickle
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from record_files import BOUNDARIES, PLACES, PLAIN, flipped, sparse

from tfrec_cli.errors import FramingError
from tfrec_cli.tfrecord.index import (
    LINE_BYTES,
    Place,
    index_line,
    locate_records,
    open_index,
    read_index,
)
from tfrec_cli.tfrecord.record import LIMIT_BYTES, OVERHEAD_BYTES

Line = Callable[[int, int], bytes]


def index_file(folder: Path, *places: Place, line: Line = index_line) -> Path:
    path = folder / "file.tfindex"
    path.write_bytes(b"".join(line(*place) for place in places))
    return path


def test_all_index_lines_of_a_shard_up_to_a_terabyte_are_equally_long() -> None:
    """As DALI's tfrecord2idx writes them (offset, blank, length with framing), with zeros."""
    assert index_line(21, 16) == b"000000000021 0000000016\n"
    longest = index_line(10**12 - 1, LIMIT_BYTES + OVERHEAD_BYTES)
    assert longest == b"999999999999 2147483663\n"
    assert {len(index_line(0, 16)), len(longest)} == {LINE_BYTES}


def test_other_programs_read_leading_zeros_as_decimal_numbers(tmp_path: Path) -> None:
    """DALI: ``stream >> offset >> size``, which is strtoll to the base 10. vahidk: numpy.loadtxt.

    Source: dali/operators/reader/loader/indexed_file_loader.h; C++ [facet.num.get.virtuals];
    tfrecord/reader.py.
    """
    path = index_file(tmp_path, *PLACES, (8 * 10**10, 10**9))
    expected = [*PLACES, (8 * 10**10, 10**9)]
    assert list(map(tuple, np.loadtxt(path, dtype=np.int64).tolist())) == expected
    strtoll = ctypes.CDLL(None).strtoll
    strtoll.restype = ctypes.c_longlong
    words = [strtoll(word, None, 10) for word in path.read_bytes().split()]
    assert list(zip(words[::2], words[1::2], strict=True)) == expected


def test_locate_finds_every_record(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(PLAIN)
    assert locate_records(path) == PLACES


def test_locate_finds_nothing_in_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    assert locate_records(path) == []


def test_locate_refuses_every_cut_inside_a_record(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for cut in range(len(PLAIN)):
        path.write_bytes(PLAIN[:cut])
        if cut not in BOUNDARIES:
            with pytest.raises(FramingError):
                locate_records(path)


def test_locate_refuses_every_bit_flip_in_a_length(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for offset in BOUNDARIES:
        for bit in range(offset * 8, (offset + 12) * 8):
            path.write_bytes(flipped(PLAIN, bit))
            with pytest.raises(FramingError):
                locate_records(path)


def test_an_index_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_index(index_file(tmp_path, *PLACES)) == PLACES


def test_an_empty_index_lists_no_records(tmp_path: Path) -> None:
    path = tmp_path / "file.tfindex"
    path.write_bytes(b"")
    assert read_index(path) == []


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
def test_an_index_line_that_is_not_two_numbers_is_refused(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "file.tfindex"
    path.write_bytes(b"0 21\n" + line + b"\n")
    with pytest.raises(FramingError) as raised:
        read_index(path)
    found = line + b"\n"
    assert str(raised.value) == f"{path}: line 2: found {found!r}, expected 'offset length'"


def test_an_index_cut_in_its_last_number_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.tfindex"
    path.write_bytes(b"0 21\n21 1")
    with pytest.raises(FramingError):
        read_index(path)


def test_an_index_of_a_terabyte_is_refused_after_its_first_lines(tmp_path: Path) -> None:
    path = sparse(tmp_path, {0: b"0 21\n21 16\n"}, 2**40)
    with pytest.raises(FramingError, match="line 3: found b'"):
        read_index(path)


def test_an_index_of_many_lines_is_read_as_it_was_written(tmp_path: Path) -> None:
    """The file is read in several pieces."""
    places = [(number * 1000, 1000) for number in range(200_000)]
    assert read_index(index_file(tmp_path, *places)) == places


@pytest.mark.parametrize("line", [index_line, lambda *place: b"%d %d\n" % place])
def test_places_are_taken_in_any_order(tmp_path: Path, line: Line) -> None:
    """From lines as we write them, and as version 0.1.0 and other programs do."""
    path = index_file(tmp_path, *PLACES, line=line)
    places = open_index(path, len(PLACES))
    for copy in (places, pickle.loads(pickle.dumps(places))):
        assert len(copy) == len(PLACES)
        for numbers in ([], [0, 1, 2], [2], [1, 1, 0]):
            assert copy.take(numbers) == [PLACES[number] for number in numbers]


def test_an_index_with_longer_lines_after_a_terabyte_is_read(tmp_path: Path) -> None:
    far = [(0, 10**12), (10**12, 16), (10**12 + 16, 10**9)]
    places = open_index(index_file(tmp_path, *far), len(far))
    assert places.take(range(3)) == far


def test_an_index_of_any_length_takes_no_memory_and_no_time(tmp_path: Path) -> None:
    count = 10**9
    path = sparse(tmp_path, {(count - 2) * LINE_BYTES: index_line(7, 8)}, count * LINE_BYTES)
    tracemalloc.start()
    places = open_index(path, count)
    assert places.take([count - 2]) == [(7, 8)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000
    assert len(pickle.dumps(places)) < 1_000


def test_a_mapped_index_keeps_no_descriptor_and_is_unmapped(tmp_path: Path) -> None:
    path = index_file(tmp_path, *PLACES)
    before = len(os.listdir("/proc/self/fd"))
    places = open_index(path, len(PLACES))
    places.take([0])
    assert len(os.listdir("/proc/self/fd")) == before
    maps = Path("/proc/self/maps")
    assert str(path) in maps.read_text()
    del places
    assert str(path) not in maps.read_text()


def test_a_forked_process_reads_a_mapped_index(tmp_path: Path) -> None:
    places = open_index(index_file(tmp_path, *PLACES), len(PLACES))
    places.take([0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which this process has
        child = os.fork()
    if not child:
        os._exit(places.take([2, 1]) != [PLACES[2], PLACES[1]])
    assert os.waitpid(child, 0)[1] == 0
    assert places.take([1]) == [PLACES[1]]


@pytest.mark.parametrize("position", range(LINE_BYTES))
@pytest.mark.parametrize("byte", [b"x", b"-", b"\n", b" ", b"\0", b"1"])
def test_a_damaged_line_is_named_when_it_is_needed(
    tmp_path: Path, position: int, byte: bytes
) -> None:
    path = index_file(tmp_path, *PLACES)
    data = bytearray(path.read_bytes())
    data[LINE_BYTES + position] = byte[0]
    line = bytes(data[LINE_BYTES : 2 * LINE_BYTES])
    path.write_bytes(data)
    places = open_index(path, len(PLACES))
    assert places.take([2, 0]) == [PLACES[2], PLACES[0]]
    is_number = byte == b"1" and position not in (12, 23)
    if is_number or line == index_line(*PLACES[1]):
        assert len(places.take([0, 1])) == 2
        return
    with pytest.raises(FramingError) as raised:
        places.take([0, 1])
    assert str(raised.value) == f"{path}: line 2: found {line!r}, expected 'offset length'"
    assert raised.value.hint == "verify"


@pytest.mark.parametrize("size", [0, 71, 73])
def test_an_index_that_changes_after_it_was_opened_is_refused(tmp_path: Path, size: int) -> None:
    path = index_file(tmp_path, *PLACES)
    places = open_index(path, len(PLACES))
    os.truncate(path, size)
    with pytest.raises(FramingError) as raised:
        places.take([0])
    assert str(raised.value) == f"{path}: found {size} bytes, expected 72"


def test_an_index_of_no_records_is_opened(tmp_path: Path) -> None:
    assert open_index(index_file(tmp_path), 0).take([]) == []
