"""One record: bytes that TensorFlow wrote, and reading records at known places."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from record_files import PAYLOADS, PLACES, PLAIN, flipped, hit_by

from tfrec_cli.errors import FramingError
from tfrec_cli.tfrecord import record
from tfrec_cli.tfrecord.record import frame


def test_frames_as_tensorflow_does() -> None:
    assert b"".join(map(frame, PAYLOADS)) == PLAIN


def read_at(folder: Path, data: bytes, offset: int, length: int) -> bytes:
    path = folder / "file"
    path.write_bytes(data)
    file_descriptor = os.open(path, os.O_RDONLY)
    try:
        return record.read_at(file_descriptor, offset, length, "file")
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
        f"file: at byte {offset}: found no whole record of {length} bytes, expected one"
    )


@pytest.mark.parametrize("length", [0, 5, 15, 10**17])
def test_read_at_refuses_an_impossible_length(tmp_path: Path, length: int) -> None:
    with pytest.raises(FramingError):
        read_at(tmp_path, PLAIN, 0, length)
