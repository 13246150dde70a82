"""An empty record file, compressed or not, is the same to every command and reader."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import pytest
from conftest import READERS
from program import tfrec

from tfrec_cli.dataset.discover import NO_RECORDS
from tfrec_cli.errors import DataError

EMPTY = {"plain": b"", "gzip": gzip.compress(b""), "zlib": zlib.compress(b"")}


@pytest.fixture(params=EMPTY.values(), ids=EMPTY)
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Write an empty record file."""
    made = tmp_path / "a.tfrecord"
    made.write_bytes(request.param)
    return made


@pytest.mark.parametrize("command", ["inspect", "verify", "extract"])
def test_every_command_says_that_it_is_empty(path: Path, command: str) -> None:
    ran = tfrec(command, path, *([path.with_name("out")] if command == "extract" else []))
    assert ran.code == 1
    assert NO_RECORDS in ran.out + ran.err


def test_salvage_has_nothing_to_save_and_says_why(path: Path) -> None:
    ran = tfrec("salvage", path, path.with_name("new"))
    assert ran.code == 0
    assert NO_RECORDS in ran.out
    assert path.with_name("new").read_bytes() == b""


@pytest.mark.parametrize("name", READERS)
def test_every_reader_says_that_it_is_empty(path: Path, name: str) -> None:
    with pytest.raises(DataError, match=f"{path}: {NO_RECORDS}"):
        READERS[name].dataset(
            str(path), crop=8, **({} if name == "read_torch" else {"batch_size": 2})
        )
