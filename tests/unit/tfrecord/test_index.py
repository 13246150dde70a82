"""Index files, and where records are."""

from __future__ import annotations

from pathlib import Path

import pytest
from record_files import BOUNDARIES, PLACES, PLAIN, flipped, sparse

from tfrec_cli.errors import FramingError
from tfrec_cli.tfrecord.index import index_line, locate_records, read_index


def test_an_index_line_has_offset_and_length() -> None:
    """As DALI's tfrecord2idx writes it: offset, blank, length with framing."""
    assert index_line(21, 16) == b"21 16\n"


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
    path = tmp_path / "file.tfindex"
    path.write_bytes(b"".join(index_line(*place) for place in PLACES))
    assert read_index(path) == PLACES


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
    path = tmp_path / "file.tfindex"
    places = [(number * 1000, 1000) for number in range(200_000)]
    path.write_bytes(b"".join(index_line(*place) for place in places))
    assert read_index(path) == places
