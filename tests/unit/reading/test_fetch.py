"""Records by number: only what is needed is read, in any process, from shards of both kinds."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import class_files, fill

from tfrec_cli.commands.write import write
from tfrec_cli.dataset import discover
from tfrec_cli.errors import DataError, FramingError
from tfrec_cli.reading.buffers import BufferPool
from tfrec_cli.reading.fetch import RandomAccess, Records, Selected, Sequential
from tfrec_cli.runtime import files
from tfrec_cli.tfrecord.index import index_line, read_index
from tfrec_cli.tfrecord.scan import Record, read_records
from tfrec_cli.writing.options import WriteOptions as Options

FILES = [0] * 4 + [1] * 4 + [2] * 5
"""The number of the shard of each record."""


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


@pytest.fixture(scope="module")
def plain(gzipped: Path) -> Path:
    """Make the same dataset in uncompressed shards."""
    write(gzipped.parent / "images", gzipped.parent / "plain", Options(shards=3, jobs=1))
    return gzipped.parent / "plain"


def read(records: Records, *numbers: int) -> list[bytes]:
    return list(map(bytes, records.fetch(np.array(numbers, np.int64), BufferPool())))


def every(path: Path) -> list[bytes]:
    return list(discover.payloads(discover.split(path, "train")))


def test_records_are_read_in_any_order(gzipped: Path, records: Sequential) -> None:
    expected = every(gzipped)
    for numbers in ([], [3, 4, 12], [0], [12], [1, 2, 7], [5, 4, 4], range(13), range(0, 13, 2)):
        assert read(records, *numbers) == [expected[number] for number in numbers]


@pytest.mark.parametrize("index", ["ours", "of another program", "none"])
def test_uncompressed_records_are_read_in_any_order(
    plain: Path, tmp_path: Path, index: str
) -> None:
    out = fill(tmp_path / "out", {one.name: one.read_bytes() for one in plain.iterdir()})
    for path in out.glob("*.tfindex"):
        lines = [b"%d %d\n" % place for place in read_index(path)]
        if index == "of another program":
            path.write_bytes(b"".join(lines))
    split = discover.split(out, "train")
    records = RandomAccess(split if index != "none" else split._replace(manifest=None))
    expected = every(plain)
    assert (records.count, records.files(np.arange(13)).tolist()) == (13, FILES)
    part = Selected([(records, range(3, 9)), (records, range(1, 6))])
    for copy in (records, pickle.loads(pickle.dumps(records))):
        for numbers in ([], [3, 4, 12], [0], [12], [5, 4, 4], range(13), range(12, -1, -2)):
            assert read(copy, *numbers) == [expected[number] for number in numbers]
    assert read(part, 10, 0, 6) == [expected[5], expected[3], expected[1]]


def test_adjacent_records_are_read_ahead(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int, int]] = []
    monkeypatch.setattr(
        files, "will_need", lambda path, *span: asked.append((path.name.split("-of")[0], *span))
    )
    split = discover.split(plain, "train")
    sizes = [path.stat().st_size for path in split.shards]
    records = RandomAccess(split)
    records.read_ahead(range(13))
    whole = [(f"train-0000{shard}", 0, size) for shard, size in enumerate(sizes)]
    assert asked == whole
    places = [read_index(path.with_suffix(".tfindex")) for path in split.shards]
    of_two = [
        ("train-00000", places[0][2][0], sizes[0] - places[0][2][0]),
        ("train-00001", 0, places[1][1][0]),
    ]
    for some, numbers in (
        (records, range(2, 5)),
        (Selected([(records, range(3)), (records, range(1, 13))]), range(4, 7)),
    ):
        asked.clear()
        some.read_ahead(numbers)
        assert asked == of_two
    asked.clear()
    Selected([(records, range(3)), (records, range(4, 13))]).read_ahead(range(2, 4))
    assert [name for name, *_ in asked] == ["train-00000", "train-00001"]


def test_reading_ahead_leaves_errors_to_reading(plain: Path, tmp_path: Path) -> None:
    out = fill(tmp_path / "out", {one.name: one.read_bytes() for one in plain.iterdir()})
    records = RandomAccess(discover.split(out, "train"))
    for path in [*out.glob("*-00000-*.tfrecord"), *out.glob("*-00001-*.tfindex")]:
        path.unlink()
    records.read_ahead(range(13))


def test_a_wrong_place_in_an_index_is_found_when_the_record_is_read(
    plain: Path, tmp_path: Path
) -> None:
    out = fill(tmp_path / "out", {one.name: one.read_bytes() for one in plain.iterdir()})
    path = sorted(out.glob("*.tfindex"))[1]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], lines[2], index_line(10**11, 99), b"x" + lines[3][1:]]))
    records = RandomAccess(discover.split(out, "train"))
    shard = path.with_suffix(".tfrecord")
    offset, length = map(int, lines[2].split())
    size = shard.stat().st_size
    assert read(records, 4) == every(plain)[4:5]
    assert read(records, 5) == every(plain)[6:7]  # an intact record; only `verify` sees that
    for number, message in {
        6: f"{shard}: at byte {10**11}: found {size} bytes in all, "
        "expected a record of 99 bytes there",
        7: f"{path}: line 4: found {b'x' + lines[3][1:]!r}, expected 'offset length'",
    }.items():
        with pytest.raises(FramingError) as raised:
            read(records, number)
        assert (str(raised.value), raised.value.hint) == (message, "verify")
    path.write_bytes(b"".join([lines[0], index_line(offset + 1, length), *lines[2:]]))
    with pytest.raises(FramingError, match=f"at byte {offset + 1}: no intact record of"):
        read(RandomAccess(discover.split(out, "train")), 5)


@pytest.mark.parametrize("readers", [1, 2, 8])
def test_each_of_a_few_readers_decompresses_a_record_once(
    gzipped: Path, records: Sequential, monkeypatch: pytest.MonkeyPatch, readers: int
) -> None:
    """They take turns, each a record behind the one before."""
    expected, read_in_all = every(gzipped), list[bytes]()

    def noted(path: Path) -> Iterator[Record]:
        for record in read_records(path):
            read_in_all.append(record.payload)
            yield record

    monkeypatch.setattr(discover, "whole_records", noted)
    for turn in range(records.count + readers):
        for reader in range(min(turn + 1, readers)):
            if turn - reader < records.count:
                assert read(records, turn - reader) == expected[turn - reader :][:1]
    assert len(read_in_all) == readers * records.count


def test_a_shard_is_opened_only_for_its_records(
    gzipped: Path, records: Sequential, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    whole = discover.whole_records
    monkeypatch.setattr(
        discover, "whole_records", lambda path: opened.append(path.name) or whole(path)
    )
    read(records, 9, 10)
    read(records, 11)
    read(records, 1, 12)
    assert [name[6:11] for name in opened] == ["00002", "00000"]


def test_files_are_numbered_over_all_parts(records: Sequential) -> None:
    assert records.files(np.arange(13)).tolist() == FILES
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
