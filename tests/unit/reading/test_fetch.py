"""Records of compressed shards: only what is needed is read, in any process."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from conftest import class_files, fill

from tfrec_cli.commands.write import write
from tfrec_cli.dataset import discover
from tfrec_cli.errors import DataError
from tfrec_cli.reading import fetch
from tfrec_cli.reading.buffers import BufferPool
from tfrec_cli.reading.fetch import Selected, Sequential
from tfrec_cli.writing.options import WriteOptions as Options


@pytest.fixture(scope="module")
def gzipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a dataset of 13 records in three compressed shards: 4, 4 and 5."""
    root = tmp_path_factory.mktemp("gzipped")
    options = Options(shards=3, compression="gzip", jobs=1)
    write(fill(root / "images", class_files()), root / "out", options)
    return root / "out"


@pytest.fixture
def records(gzipped: Path) -> Sequential:
    return Sequential(discover.split(gzipped, "train"))


def read(records: Sequential | Selected, *numbers: int) -> list[bytes]:
    return list(map(bytes, records.fetch(np.array(numbers, np.int64), BufferPool())))


def every(path: Path) -> list[bytes]:
    return list(discover.payloads(discover.split(path, "train")))


def test_records_are_read_in_any_order(gzipped: Path, records: Sequential) -> None:
    expected = every(gzipped)
    for numbers in ([], [3, 4, 12], [0], [12], [1, 2, 7], [5, 4, 4], range(13), range(0, 13, 2)):
        assert read(records, *numbers) == [expected[number] for number in numbers]


def test_a_shard_is_opened_only_for_its_records(
    gzipped: Path, records: Sequential, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    whole = fetch.read_records
    monkeypatch.setattr(fetch, "read_records", lambda path: opened.append(path.name) or whole(path))
    read(records, 9, 10)
    read(records, 11)
    read(records, 1, 12)
    assert [name[6:11] for name in opened] == ["00002", "00000"]


def test_files_are_numbered_over_all_parts(records: Sequential) -> None:
    files = [0] * 4 + [1] * 4 + [2] * 5
    assert records.files(np.arange(13)).tolist() == files
    both = Selected([(records, range(3, 9)), (records, range(1, 6))])
    assert both.files(np.arange(11)).tolist() == [0, 2, 2, 2, 2, 4, 1, 1, 1, 3, 3]


def test_records_can_be_pickled(gzipped: Path, records: Sequential) -> None:
    read(records, 1)
    assert read(pickle.loads(pickle.dumps(records)), 2) == every(gzipped)[2:3]


def test_a_forked_process_opens_its_own_files(
    gzipped: Path, records: Sequential, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise both would move the one place in the file."""
    read(records, 0, 4)
    before = records._places
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert read(records, 1) == every(gzipped)[1:2]
    assert not {*map(id, before)} & {*map(id, records._places)}


def test_more_records_than_the_manifest_says_are_an_error(gzipped: Path, tmp_path: Path) -> None:
    first, second, _ = sorted(gzipped.glob("*.tfrecord.gz"))
    fill(tmp_path, {one.name: one.read_bytes() for one in gzipped.iterdir()})
    (tmp_path / first.name).write_bytes(first.read_bytes() + second.read_bytes())
    records = Sequential(discover.split(tmp_path, "train"))
    with pytest.raises(DataError) as raised:
        read(records, *range(13))
    assert str(raised.value) == (
        f"{tmp_path}: found more than 4 records in {first.name}, "
        "expected 13 records by the manifest"
    )
