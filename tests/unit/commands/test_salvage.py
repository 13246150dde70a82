"""Salvage: every undamaged record and nothing else, what is lost, and a complete file."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import zlib
from pathlib import Path
from typing import Any

import pytest
from conftest import class_files, fill, jpeg, measured, photo
from faults import salvaging
from faults.salvaging import frame, whole
from hypothesis import given, settings
from hypothesis import strategies as st
from program import tfrec
from record_files import MIB, bomb, sparse

from tfrec_cli import read_numpy
from tfrec_cli.commands import salvage, verify, write
from tfrec_cli.commands.salvage import Lost, Options, Salvaged
from tfrec_cli.dataset.names import index_name
from tfrec_cli.errors import DataError, RunError, UsageError
from tfrec_cli.tfrecord.index import locate_records
from tfrec_cli.tfrecord.record import header
from tfrec_cli.tfrecord.scan import Record, read_records, scan

PAYLOADS = [b"first", b"", b"\xff" * 3000, bytes(500), b"last"]
FRAMES = [frame(payload) for payload in PAYLOADS]
DATA = b"".join(FRAMES)
STARTS = [sum(map(len, FRAMES[:number])) for number in range(len(FRAMES) + 1)]

SHARD = "train-00001-of-00003.tfrecord"


def salvaged(folder: Path, data: bytes, options: Options | None = None) -> tuple[Salvaged, bytes]:
    """Salvage a file that holds ``data``; return the result and what was written."""
    path, out = folder / "damaged", folder / "out"
    path.write_bytes(data)
    out.unlink(missing_ok=True)
    return salvage.salvage(path, out, options or Options()), out.read_bytes()


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that outlives one example of a property."""
    return tmp_path_factory.mktemp("salvage")


# Every undamaged record, and nothing else


def test_a_whole_file_is_copied(tmp_path: Path) -> None:
    result, written = salvaged(tmp_path, DATA)
    assert (written, result.lost, result.ok) == (DATA, [], True)


def test_an_empty_file_gives_no_records_and_no_losses(tmp_path: Path) -> None:
    result, written = salvaged(tmp_path, b"")
    assert (written, result.records, result.ok) == (b"", 0, True)


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("place", [0, 8, 12, -1], ids=["length", "crc", "data", "data_crc"])
def test_one_damaged_record_is_left_out(tmp_path: Path, number: int, place: int) -> None:
    """Wherever it is damaged. The empty record has no data, so its data CRC is damaged twice."""
    at = STARTS[number] + place if place >= 0 else STARTS[number + 1] + place
    result, written = salvaged(tmp_path, flipped(DATA, at))
    assert written == b"".join(FRAMES[:number] + FRAMES[number + 1 :])
    assert [(one.start, one.stop) for one in result.lost] == [(STARTS[number], STARTS[number + 1])]


def test_adjacent_losses_are_one_range(tmp_path: Path) -> None:
    data = flipped(flipped(DATA, STARTS[1]), STARTS[2] + 100)
    result, _ = salvaged(tmp_path, data)
    assert [(one.start, one.stop) for one in result.lost] == [(STARTS[1], STARTS[3])]


def test_a_lost_range_says_why(tmp_path: Path) -> None:
    result, _ = salvaged(tmp_path, DATA + b"tail")
    why = "4 bytes, then the end, expected a complete record or the end"
    assert result.lost == [Lost(start=len(DATA), stop=len(DATA) + 4, why=why)]


def test_a_file_pasted_twice_gives_its_records_twice_and_reports_copies(tmp_path: Path) -> None:
    result, written = salvaged(tmp_path, DATA + DATA)
    assert (written, result.duplicates, result.ok) == (DATA + DATA, 5, True)


def test_intact_records_in_the_middle_of_another_are_found(tmp_path: Path) -> None:
    """As when blocks of a disk are exchanged."""
    data = DATA[: STARTS[2] + 99] + FRAMES[4] + DATA[STARTS[2] + 99 + len(FRAMES[4]) : STARTS[4]]
    _, written = salvaged(tmp_path, data)
    assert written == b"".join([*FRAMES[:2], FRAMES[4], FRAMES[3]])


@pytest.mark.slow
def test_any_damage_leaves_every_undamaged_record_and_nothing_else(lasting: Path) -> None:
    other = b"".join(frame(bytes((9, size % 251)) * size) for size in (0, 3, 800))
    frames = [*FRAMES, *(frame(bytes((9, size % 251)) * size) for size in (0, 3, 800))]
    kinds = st.lists(st.sampled_from(salvaging.DAMAGES), min_size=1, max_size=5)

    @settings(deadline=None, derandomize=True, max_examples=300)
    @given(kinds, st.randoms(use_true_random=False))
    def check(damages: list[salvaging.Damage], rng: random.Random) -> None:
        data = DATA
        for damage in damages:
            data = damage(data, other, rng)
        expected = b"".join(one for _, one in whole(data, frames))
        if data and not expected:
            with pytest.raises(DataError, match="found no intact record"):
                salvaged(lasting, data)
        else:
            assert salvaged(lasting, data)[1] == expected

    check()


@pytest.mark.parametrize("shards", [int(os.environ.get("SALVAGE_SHARDS", "100"))])
def test_many_damaged_shards_lose_no_undamaged_record(shards: int) -> None:
    """SALVAGE_SHARDS sets how many."""
    tried = salvaging.run(shards, seed=0)
    assert (tried["missed"], tried["foreign"], tried["wrong"]) == (0, 0, [])
    assert tried["recovered"] == tried["undamaged"] > shards


def test_the_harness_sees_a_salvage_that_skips_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    whole_scan = scan

    def skipping(path: Path) -> Any:
        return (item for item in whole_scan(path) if item.index != 1)

    monkeypatch.setattr(salvage, "scan", skipping)
    tried = salvaging.run(10, seed=0)
    assert tried["missed"] > 0
    assert tried["wrong"] != []


def test_the_harness_sees_a_salvage_that_invents_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    whole_scan = scan

    def inventing(path: Path) -> Any:
        yield from whole_scan(path)
        yield Record(99, 0, b"invented")

    monkeypatch.setattr(salvage, "scan", inventing)
    assert salvaging.run(10, seed=0)["foreign"] == 10


# Compressed files


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
def test_a_whole_compressed_file_becomes_a_plain_one(tmp_path: Path, compress: Any) -> None:
    result, written = salvaged(tmp_path, compress(DATA))
    assert (written, result.ok) == (DATA, True)


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
def test_damage_of_the_compressed_data_is_skipped(tmp_path: Path, compress: Any) -> None:
    """Offsets are in the decompressed stream."""
    result, written = salvaged(tmp_path, compress(flipped(DATA, STARTS[2])))
    assert written == b"".join(FRAMES[:2] + FRAMES[3:])
    assert [(one.start, one.stop) for one in result.lost] == [(STARTS[2], STARTS[3])]


def test_every_cut_of_two_gzip_members_keeps_what_is_before_it(tmp_path: Path) -> None:
    first, second = gzip.compress(DATA[:777]), gzip.compress(DATA[777:])
    for cut in range(2, len(first + second)):
        stored = (first + second)[:cut]
        inflate = zlib.decompressobj(31)
        held = inflate.decompress(stored)
        held += zlib.decompressobj(31).decompress(inflate.unused_data)
        expected = b"".join(one for _, one in whole(held, FRAMES))
        if not expected:
            with pytest.raises(DataError, match="found no intact record"):
                salvaged(tmp_path, stored)
            continue
        result, written = salvaged(tmp_path, stored)
        assert written == expected
        assert result.ok == (cut == len(first) and len(held) in STARTS)


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
def test_a_wrong_trailer_of_the_compression_loses_no_record(tmp_path: Path, compress: Any) -> None:
    """But it is reported: the checksum of the compression is wrong."""
    stored = compress(DATA)
    result, written = salvaged(
        tmp_path, flipped(stored, len(stored) - 5 if compress is gzip.compress else len(stored) - 1)
    )
    assert (written, result.ok) == (DATA, False)
    assert [(one.start, one.stop) for one in result.lost] == [(len(DATA), len(DATA))]


def test_a_fault_inside_a_compressed_file_keeps_what_zlib_withholds(tmp_path: Path) -> None:
    """zlib returns nothing from the call that fails; here that is all, after a stored block."""
    data = frame(b"x" * 9_000) + frame(b"y")
    length = len(data).to_bytes(2, "little")
    block = b"\0" + length + bytes(byte ^ 255 for byte in length) + data
    reserved_block = b"\x07"
    _, written = salvaged(tmp_path, b"\x78\x01" + block + reserved_block)
    assert written == data


# With index, manifest and images


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a dataset of three shards; return the folder that contains SRC and OUT."""
    folder = tmp_path_factory.mktemp("written")
    fill(folder / "src", class_files())
    write.write(folder / "src", folder / "data", write.WriteOptions(jobs=1, shards=3))
    return folder


@pytest.fixture
def data(written: Path, tmp_path: Path) -> Path:
    """Copy the dataset."""
    return Path(shutil.copytree(written / "data", tmp_path / "data"))


def names_in(path: Path) -> list[str]:
    """Return the file names in a shard, found as plain bytes."""
    found = []
    for record in read_records(path):
        found += [name for name in class_files() if name.encode() in record.payload]
    return found


def damage(path: Path, number: int) -> None:
    """Flip a bit in one record of a shard."""
    offset, _ = locate_records(path)[number]
    path.write_bytes(flipped(path.read_bytes(), offset + 40))


def test_the_index_gives_the_numbers_of_lost_records(data: Path, tmp_path: Path) -> None:
    damage(data / SHARD, 0)
    damage(data / SHARD, 2)
    result = salvage.salvage(data / SHARD, tmp_path / "out", Options())
    assert (result.lost_records, result.lost_names) == ([0, 2], None)
    assert (result.records, result.promised, result.missing) == (2, 4, 2)


def test_moved_records_make_the_numbers_unknown(data: Path, tmp_path: Path) -> None:
    """Instead of wrong."""
    path = data / SHARD
    path.write_bytes(b"\xff" + path.read_bytes())
    result = salvage.salvage(path, tmp_path / "out", Options())
    message = "the numbers of lost records: the index file lacks 4 intact records"
    assert (result.lost_records, result.unchecked) == (None, [message])


@pytest.mark.parametrize("index", [b"0 0\n", b"garbage"])
def test_a_damaged_index_is_not_used(data: Path, tmp_path: Path, index: bytes) -> None:
    (data / index_name(SHARD)).write_bytes(index)
    result = salvage.salvage(data / SHARD, tmp_path / "out", Options())
    assert (result.lost_records, len(result.unchecked), result.ok) == (None, 1, True)


def test_without_a_manifest_the_index_says_how_many_records_there_were(
    data: Path, tmp_path: Path
) -> None:
    (data / "train.manifest.json").unlink()
    path = data / SHARD
    path.write_bytes(path.read_bytes()[: locate_records(path)[3][0]])
    result = salvage.salvage(path, tmp_path / "out", Options())
    assert (result.lost, result.lost_records, result.missing, result.ok) == ([], [3], 1, False)


def test_the_source_gives_the_names_of_lost_records(
    data: Path, written: Path, tmp_path: Path
) -> None:
    names = names_in(data / SHARD)
    damage(data / SHARD, 1)
    damage(data / SHARD, 3)
    result = salvage.salvage(data / SHARD, tmp_path / "out", Options(source=written / "src"))
    assert (result.lost_names, result.lost_records) == (
        [names[1].encode(), names[3].encode()],
        [1, 3],
    )


def test_the_source_gives_names_although_records_moved(
    data: Path, written: Path, tmp_path: Path
) -> None:
    names = names_in(data / SHARD)
    path = data / SHARD
    path.write_bytes(path.read_bytes()[locate_records(path)[1][0] :])
    result = salvage.salvage(path, tmp_path / "out", Options(source=written / "src"))
    assert (result.lost_names, result.lost_records) == ([names[0].encode()], [0])


def test_lost_records_of_gzip_shards_have_names(written: Path, tmp_path: Path) -> None:
    options = write.WriteOptions(jobs=1, compression="gzip", crop=(32, 32))
    write.write(written / "src", tmp_path / "data", options)
    path = tmp_path / "data" / "train-00000-of-00001.tfrecord.gz"
    names = names_in(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    result = salvage.salvage(path, tmp_path / "out", Options(source=written / "src"))
    assert 0 < result.records < len(names)
    assert result.lost_names == [name.encode() for name in names[result.records :]]


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        write.WriteOptions(shards=2, shuffle_seed=None, labels="none"),
        write.WriteOptions(shards=2, shuffle_seed=5, crop=(48, 48), small="skip"),
        write.WriteOptions(shards=2, crop=(48, 48), small="pad", keys="tf-models"),
        write.WriteOptions(shards=2, resize_short=50, max_pixels=4200, on_error="skip"),
        write.WriteOptions(shards=2, frames="fail", alpha="fail", on_error="skip", exif="ignore"),
    ],
    ids=["plain", "skip", "pad", "resize", "fail"],
)
def test_the_plan_of_any_options_is_rebuilt(
    written: Path, tmp_path: Path, options: write.WriteOptions
) -> None:
    """An intact shard has lost no file, and a damaged one only its own."""
    made = write.write(written / "src", tmp_path / "data", options).manifest
    assert made
    path = tmp_path / "data" / made.shards[1].name
    names = names_in(path)
    damage(path, 2)
    result = salvage.salvage(path, tmp_path / "out", Options(source=written / "src"))
    assert names[2].encode() in (result.lost_names or [])
    unwritten = len(result.lost_names or []) - 1
    assert unwritten == (0 if result.lost_records else sum(made.rejects.values()))


def test_a_shard_with_bytes_appended_becomes_the_original(data: Path, tmp_path: Path) -> None:
    path, original = data / SHARD, (data / SHARD).read_bytes()
    path.write_bytes(original + b"\0" * 999)
    result = salvage.salvage(path, tmp_path / "out", Options())
    assert (result.is_original, result.missing, result.ok) == (True, 0, False)
    assert (tmp_path / "out").read_bytes() == original


def test_missing_records_are_counted_without_any_damage(data: Path, tmp_path: Path) -> None:
    """A cut between two records is no damage of the framing."""
    (data / index_name(SHARD)).unlink()
    path = data / SHARD
    path.write_bytes(path.read_bytes()[: locate_records(path)[2][0]])
    result = salvage.salvage(path, tmp_path / "out", Options())
    assert (result.lost, result.missing, result.ok) == ([], 2, False)


def test_copies_do_not_count_as_missing_records(data: Path, tmp_path: Path) -> None:
    (data / index_name(SHARD)).unlink()
    path = data / SHARD
    places = locate_records(path)
    whole_shard = path.read_bytes()
    first = whole_shard[: places[1][0]]
    path.write_bytes(whole_shard[: places[3][0]] + first)
    result = salvage.salvage(path, tmp_path / "out", Options())
    assert (result.records, result.duplicates, result.missing) == (4, 1, 1)


def test_a_record_that_contradicts_the_manifest_is_written_and_reported(
    data: Path, tmp_path: Path
) -> None:
    path = data / SHARD
    path.write_bytes(path.read_bytes() + frame(b"no example"))
    result = salvage.salvage(path, tmp_path / "out", Options())
    assert (result.records, result.strange_records, result.missing) == (5, 1, 0)
    assert result.strange[0].startswith(f"record 4, found at byte {path.stat().st_size - 26}: ")
    assert (tmp_path / "out").read_bytes() == path.read_bytes()


def test_records_of_another_shard_are_reported_with_a_source(
    data: Path, written: Path, tmp_path: Path
) -> None:
    path = data / SHARD
    other = (data / SHARD.replace("00001-", "00002-")).read_bytes()
    path.write_bytes(path.read_bytes() + other + other)
    result = salvage.salvage(path, tmp_path / "out", Options(source=written / "src"))
    assert result.strange_records == 2 * len(names_in(data / SHARD.replace("00001-", "00002-")))
    assert (result.lost_names, result.missing, result.ok) == ([], 0, True)


def test_a_damaged_manifest_does_not_stop_salvage(data: Path, tmp_path: Path) -> None:
    (data / "train.manifest.json").write_bytes(b"{")
    result = salvage.salvage(data / SHARD, tmp_path / "out", Options())
    assert (result.records, len(result.unchecked)) == (4, 1)


def test_the_list_of_strange_records_is_limited(data: Path, tmp_path: Path) -> None:
    (data / SHARD).write_bytes(frame(b"?") * 3000)
    result = salvage.salvage(data / SHARD, tmp_path / "out", Options())
    assert (result.strange_records, len(result.strange)) == (3000, salvage.MOST_STRANGE)


# What is refused


@pytest.mark.parametrize("there", ["file", "folder", "link"])
def test_no_file_is_replaced(tmp_path: Path, there: str) -> None:
    out = tmp_path / "out"
    {"file": out.touch, "folder": out.mkdir, "link": lambda: out.symlink_to("nowhere")}[there]()
    (tmp_path / "damaged").write_bytes(DATA)
    with pytest.raises(RunError, match=r"out: exists already"):
        salvage.salvage(tmp_path / "damaged", out, Options())


def test_a_file_is_not_salvaged_into_itself(tmp_path: Path) -> None:
    path = tmp_path / "damaged"
    path.write_bytes(DATA + b"tail")
    with pytest.raises(RunError):
        salvage.salvage(path, path, Options())
    assert path.read_bytes() == DATA + b"tail"


def test_other_images_are_refused_before_anything_is_written(
    data: Path, written: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(written / "src", tmp_path / "other"))
    (other / "cats" / "420.jpg").unlink()
    for source, error in ((other, RunError), (other / "owls", RunError), (other / "x", UsageError)):
        with pytest.raises(error, match=r"^source:? "):
            salvage.salvage(data / SHARD, tmp_path / "out", Options(source=source))
    assert not (tmp_path / "out").exists()


def test_a_source_needs_a_manifest(data: Path, written: Path, tmp_path: Path) -> None:
    (data / "train.manifest.json").unlink()
    with pytest.raises(UsageError, match="no manifest next to"):
        salvage.salvage(data / SHARD, tmp_path / "out", Options(source=written / "src"))


@pytest.mark.parametrize("options", [{}, {"exif": 3}, {"max_pixels": "many"}, {"small": None}])
def test_a_manifest_with_strange_options_is_refused(
    data: Path, written: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    path = data / "train.manifest.json"
    values = json.loads(path.read_bytes())
    values["options"] = {**values["options"], **options} if options else {}
    path.write_text(json.dumps(values))
    with pytest.raises(RunError, match=r"train\.manifest\.json: options\.\w+: "):
        salvage.salvage(data / SHARD, tmp_path / "out", Options(source=written / "src"))


# A complete file or none


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("place", ["write", "sync", "rename"])
def test_a_failed_run_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, place: str
) -> None:
    (tmp_path / "damaged").write_bytes(DATA)

    def fail(*_: object) -> None:
        raise error

    target, name = {
        "write": (salvage, "frame_pieces"),
        "sync": (os, "fsync"),
        "rename": (Path, "rename"),
    }[place]
    monkeypatch.setattr(target, name, fail)
    with pytest.raises((RunError, KeyboardInterrupt)):
        salvage.salvage(tmp_path / "damaged", tmp_path / "out", Options())
    assert [path.name for path in tmp_path.iterdir()] == ["damaged"]


def test_the_file_is_synced_before_its_name_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def noting_fsync(descriptor: int) -> None:
        kind = "folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file"
        done.append(f"fsync {kind}")
        fsync(descriptor)

    def noting_rename(path: Path, target: Path) -> Path:
        done.append("rename")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(Path, "rename", noting_rename)
    salvaged(tmp_path, DATA)
    assert done == ["fsync file", "rename", "fsync folder"]


# The command


def test_the_command_lists_what_is_lost(data: Path, written: Path, tmp_path: Path) -> None:
    names = names_in(data / SHARD)
    start, length = locate_records(data / SHARD)[1]
    damage(data / SHARD, 1)
    ran = tfrec("salvage", data / SHARD, tmp_path / "out", "--source", written / "src")
    lines = ran.out.splitlines()
    assert (ran.code, ran.err, len(lines)) == (1, "", 7)
    assert lines[0].startswith(f"{tmp_path}/out: 3 intact records of 4, ")
    assert lines[1].startswith(f"  lost      bytes [{start}, {start + length}): data CRC 0x")
    assert lines[2:] == [
        "  lost      records 1",
        f"  lost      {names[1]}",
        f"  next      tfrec verify {tmp_path}/out",
        f"  use       the readers open it; tfrec reshard {tmp_path}/out OUT copies its records "
        "into shards",
        "something is lost",
    ]


def test_the_command_reports_that_nothing_is_lost(data: Path, tmp_path: Path) -> None:
    ran = tfrec("salvage", data / SHARD, tmp_path / "out")
    assert (ran.code, ran.err, ran.out.splitlines()[1:]) == (
        0,
        "",
        [
            "  identical to the shard that the manifest describes",
            f"  next      tfrec verify {tmp_path}/out",
            "nothing is lost",
        ],
    )
    assert (tmp_path / "out").read_bytes() == (data / SHARD).read_bytes()


def test_json_has_the_same_facts(data: Path, tmp_path: Path) -> None:
    start, length = locate_records(data / SHARD)[1]
    damage(data / SHARD, 1)
    ran = tfrec("salvage", data / SHARD, tmp_path / "out", "--json")
    told = json.loads(ran.out)
    assert (ran.code, told["format"], told["ok"]) == (1, "tfrec-salvage", False)
    assert [(one["start_bytes"], one["stop_bytes"]) for one in told["lost"]] == [
        (start, start + length)
    ]
    assert (told["records"], told["promised"], told["lost_records"]) == (3, 4, [1])


def test_a_long_list_is_abbreviated_in_text_only(tmp_path: Path) -> None:
    path = tmp_path / "damaged"
    path.write_bytes((FRAMES[0] + b"\xff" * 30) * 50)
    ran = tfrec("salvage", path, tmp_path / "out")
    assert ran.out.splitlines()[-4::3] == ["… and 30 more ranges", "something is lost"]
    told = json.loads(tfrec("salvage", path, tmp_path / "again", "--json").out)
    assert len(told["lost"]) == 50


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        ("TMP/none TMP/out", 2, "No such file or folder: TMP/none"),
        (
            "TMP TMP/out",
            2,
            "TMP: found a folder, expected one of its record files; `tfrec verify` names the "
            "damaged ones",
        ),
        (
            "TMP/photo.jpg TMP/out",
            1,
            "TMP/photo.jpg: found no intact record, expected at least one: not a TFRecord file: a "
            "JPEG image",
        ),
        ("TMP/whole TMP/no/out", 3, "TMP/no/out: cannot be written: No such file or directory"),
        (
            "TMP/whole TMP/whole",
            3,
            "TMP/whole: exists already, and salvage does not replace files",
        ),
        (
            "TMP/whole TMP/out --source TMP",
            2,
            "--source: no manifest next to TMP/whole names that file",
        ),
    ],
)
def test_what_cannot_be_done_is_one_line(
    tmp_path: Path, argv: str, code: int, message: str
) -> None:
    (tmp_path / "whole").write_bytes(DATA)
    (tmp_path / "photo.jpg").write_bytes(jpeg(photo(9, 9)))
    ran = tfrec("salvage", *argv.replace("TMP", str(tmp_path)).split())
    line = f"tfrec: {message}\n".replace("TMP", str(tmp_path))
    assert (ran.code, ran.out, ran.error) == (code, "", line)
    assert not (tmp_path / "out").exists()


def test_a_salvaged_file_can_be_read(data: Path, tmp_path: Path) -> None:
    damage(data / SHARD, 1)
    ran = tfrec("salvage", data / SHARD, tmp_path / "out")
    assert f"the readers open it; tfrec reshard {tmp_path / 'out'} OUT copies" in ran.out
    assert tfrec("reshard", tmp_path / "out", tmp_path / "shards").code == 0
    assert len(list(read_numpy.dataset(tmp_path / "out", crop=8, batch_size=1))) == 3
    report = verify.verify(tmp_path / "out", verify.Options(jobs=1))
    assert (report.records, report.findings) == (3, [])


# Hostile files, for every command that reads record files


def length_of_2_to_63(folder: Path) -> Path:
    return fill(folder, {"long": header(2**63) + bytes(100)}) / "long"


def bomb_of_one_record(folder: Path) -> Path:
    return bomb(folder, "GZIP", header(2**31 - 1), bytes(16 * MIB), 128)


def bomb_of_many_records(folder: Path) -> Path:
    return bomb(folder, "ZLIB", b"", frame(bytes(MIB)) * 16, 128)


def bomb_of_zeros(folder: Path) -> Path:
    return bomb(folder, "GZIP", b"", bytes(16 * MIB), 128)


def sparse_terabyte(folder: Path) -> Path:
    return sparse(folder, {0: DATA, 2**35: header(2**31 - 1)}, 2**40)


def false_lengths(folder: Path) -> Path:
    lie = header(30 * MIB) + b"\xff" * 4
    return fill(folder, {"lies": DATA + b"\1" + lie * (4 * MIB)}) / "lies"


@pytest.mark.slow
@pytest.mark.parametrize("command", ["inspect", "verify", "salvage"])
@pytest.mark.parametrize(
    "make",
    [
        length_of_2_to_63,
        bomb_of_one_record,
        bomb_of_many_records,
        bomb_of_zeros,
        sparse_terabyte,
        false_lengths,
    ],
)
def test_hostile_files_are_refused_in_bounded_time_and_memory(
    tmp_path: Path, command: str, make: Any
) -> None:
    """In 300 MB and 2 seconds of an idle processor; 5 seconds are allowed here."""
    more = {"inspect": [], "verify": ["-j", "1"], "salvage": [str(tmp_path / "out")]}[command]
    ran = measured(tmp_path, command, make(tmp_path), *more)
    assert ran.code == 1
    assert ran.err.count("\n") == (command == "salvage" and "no intact record" in ran.err)
    assert ran.mebibytes < 286
    assert ran.cpu_seconds < 5
