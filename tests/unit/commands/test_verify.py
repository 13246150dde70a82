"""verify: finds everything that is wrong, never stops early, and never raises."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, fill, jpeg, needs, photo, png, save
from PIL import Image
from record_files import record_file

from tfrec_cli import read_tf
from tfrec_cli.cli import main as cli
from tfrec_cli.commands.verify import Options, Verified, verify
from tfrec_cli.commands.write import write
from tfrec_cli.dataset import manifest, records
from tfrec_cli.dataset.checksums import dataset_files
from tfrec_cli.errors import UsageError
from tfrec_cli.imaging import decoder
from tfrec_cli.report.verify import text as report_text
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.record import HEADER_BYTES, footer, header
from tfrec_cli.tfrecord.scan import read_records
from tfrec_cli.writing.options import WriteOptions

QUICK = Options(quick=True, jobs=1)
WHOLE = Options(jobs=1)
SHARD = "train-00000-of-00001.tfrecord"


@pytest.fixture
def crops(folder: Path, tmp_path: Path) -> Path:
    """Make a dataset of 13 stored crops in one shard."""
    write(folder, tmp_path / "crops", WriteOptions(crop=(32, 32), jobs=1))
    return tmp_path / "crops"


@pytest.fixture
def whole(folder: Path, tmp_path: Path) -> Path:
    """Make a dataset of 13 whole images in three shards."""
    write(folder, tmp_path / "whole", WriteOptions(shards=3, jobs=1))
    return tmp_path / "whole"


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Make a dataset of three records of a few bytes each."""
    files = {f"{name}.png": png(photo(5, 5, number)) for number, name in enumerate("abc")}
    write(fill(tmp_path / "src", files), tmp_path / "tiny", WriteOptions(crop=(2, 2), jobs=1))
    return tmp_path / "tiny"


def kinds(report: Verified) -> list[str]:
    return [finding.kind for finding in report.findings]


def rewrite(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """Change the payloads of a shard, with correct framing around the result."""
    payloads = change([record.payload for record in read_records(path)])
    path.write_bytes(b"".join(header(len(one)) + one + footer(one) for one in payloads))


def test_intact_datasets_have_no_findings(crops: Path, whole: Path) -> None:
    assert kinds(verify(crops, WHOLE)) + kinds(verify(whole, WHOLE)) == []


@pytest.mark.slow
@pytest.mark.promise("P6")
def test_every_flipped_bit_of_a_shard_is_found(tiny: Path) -> None:
    shard = tiny / SHARD
    good = shard.read_bytes()
    for place in range(len(good) * 8):
        bad = bytearray(good)
        bad[place // 8] ^= 1 << place % 8
        shard.write_bytes(bad)
        with pytest.raises(SystemExit) as ended:
            cli.main(["verify", "--quick", "-j1", str(tiny)], standalone_mode=False)
        assert ended.value.code == 1, f"bit {place}"


@pytest.mark.slow
@pytest.mark.promise("P6")
def test_every_truncation_of_a_shard_is_found(tiny: Path) -> None:
    shard = tiny / SHARD
    good = shard.read_bytes()
    for length in range(len(good)):
        shard.write_bytes(good[:length])
        with pytest.raises(SystemExit) as ended:
            cli.main(["verify", "-j1", str(tiny)], standalone_mode=False)
        assert ended.value.code == 1, f"length {length}"


@pytest.mark.slow
@pytest.mark.promise("P6")
def test_every_changed_byte_of_every_other_file_is_found(tiny: Path) -> None:
    for path in sorted(tiny.iterdir()):
        if path.name == SHARD:
            continue
        good = path.read_bytes()
        for place in range(len(good)):
            bad = bytearray(good)
            bad[place] ^= 1
            path.write_bytes(bad)
            assert verify(tiny, QUICK).findings, f"{path.name}: byte {place}"
        path.write_bytes(good)


@pytest.mark.promise("P6")
def test_every_missing_file_is_found(crops: Path) -> None:
    for path in sorted(crops.iterdir()):
        data = path.read_bytes()
        path.unlink()
        found = [finding for finding in verify(crops, QUICK).findings if finding.path == path]
        assert found, path.name
        path.write_bytes(data)


@pytest.mark.promise("P6")
def test_damage_names_file_record_and_offset(tiny: Path) -> None:
    shard = tiny / SHARD
    second = list(read_records(shard))[1]
    data = bytearray(shard.read_bytes())
    data[second.offset_bytes + HEADER_BYTES] ^= 1
    shard.write_bytes(data)
    found = verify(tiny, QUICK).findings[0]
    assert (found.kind, found.path, found.record, found.offset_bytes) == (
        "framing",
        shard,
        1,
        second.offset_bytes,
    )


def test_a_second_damage_is_found_after_the_first(whole: Path) -> None:
    shard = sorted(whole.glob("*.tfrecord"))[0]
    places = list(read_records(shard))
    data = bytearray(shard.read_bytes())
    data[places[0].offset_bytes] ^= 1
    data[places[2].offset_bytes + HEADER_BYTES] ^= 1
    shard.write_bytes(data)
    found = [one.offset_bytes for one in verify(whole, QUICK).findings if one.kind == "framing"]
    assert found == [places[0].offset_bytes, places[2].offset_bytes]


@pytest.mark.promise("P6")
def test_swapped_records_are_found(crops: Path) -> None:
    rewrite(crops / SHARD, lambda payloads: [payloads[1], payloads[0], *payloads[2:]])
    assert "sha256" in kinds(verify(crops, QUICK))


@pytest.mark.promise("P6")
def test_a_record_written_twice_is_found(crops: Path) -> None:
    rewrite(crops / SHARD, lambda payloads: [*payloads, payloads[0]])
    assert "duplicate" in kinds(verify(crops, QUICK))


@pytest.mark.promise("P6")
def test_a_lost_record_is_found(crops: Path) -> None:
    rewrite(crops / SHARD, lambda payloads: payloads[1:])
    assert "count" in kinds(verify(crops, QUICK))


def test_bytes_after_the_last_record_are_found(crops: Path) -> None:
    for count in (1, 4, 11, 12, 13, 100):
        with (crops / SHARD).open("ab") as file:
            file.write(bytes(count))
        assert "framing" in kinds(verify(crops, QUICK))


@pytest.mark.promise("P6")
def test_renamed_shards_are_found(whole: Path) -> None:
    first, second, _ = sorted(whole.glob("*.tfrecord"))
    spare = whole / "spare"
    first.rename(spare)
    second.rename(first)
    spare.rename(second)
    found = [one.path for one in verify(whole, QUICK).findings if one.kind == "sha256"]
    assert found == [first, second]


@pytest.mark.promise("P6")
def test_an_extra_shard_is_found(whole: Path) -> None:
    extra = whole / "train-00003-of-00003.tfrecord"
    shutil.copy(sorted(whole.glob("*.tfrecord"))[0], extra)
    assert [(one.kind, one.path) for one in verify(whole, QUICK).findings] == [("extra", extra)]


def test_an_unfinished_write_is_found(whole: Path) -> None:
    (whole / ".val.partial").mkdir()
    assert kinds(verify(whole, QUICK)) == ["extra"]


def test_what_a_kill_after_a_commit_leaves_is_no_finding(whole: Path) -> None:
    (whole / ".train.partial").mkdir()
    report = verify(whole, QUICK)
    assert (report.findings, ".train.partial: left by another write of train") == (
        [],
        next(line for line in report.unchecked if "partial" in line),
    )


def test_wrong_shard_lengths_are_named(whole: Path) -> None:
    path = whole / "dataset_info.json"
    info = json.loads(path.read_bytes())
    info["splits"][0]["shardLengths"][0] = "1"
    path.write_bytes((json.dumps(info, indent=2, sort_keys=True) + "\n").encode())
    messages = [one.message for one in verify(whole, QUICK).findings]
    assert messages == [
        "found shardLengths {'train': ['1', '4', '5']}, expected {'train': ['4', '4', '5']}"
    ]


def test_a_damaged_index_line_is_named(whole: Path) -> None:
    path = sorted(whole.glob("*.tfindex"))[0]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b"7 7\n", *lines[2:]]))
    found = verify(whole, QUICK).findings
    assert [(one.kind, one.path) for one in found] == [("index", path)]
    assert found[0].message.startswith("line 2: found 7 7, expected ")


def test_a_damaged_manifest_does_not_stop_other_checks(whole: Path) -> None:
    (whole / "train.manifest.json").write_text("{}")
    report = verify(whole, QUICK)
    assert (kinds(report)[0], report.shards, report.records) == ("manifest", 3, 13)


@pytest.mark.parametrize(
    ("feature", "value"),
    [
        ("height", 31),
        ("width", 0),
        ("height", -1),
        ("label", 3),
        ("label", -1),
        ("key", 5),
        ("filename", b"cats/other.jpg"),
        ("image", b"short"),
        ("height", b"32"),
        ("width", b""),
        ("key", b"5"),
        ("label", b"0"),
        ("image", 5),
        ("filename", 5),
        ("height", 2**63 - 1),
        ("width", -(2**63)),
        ("key", -1),
        ("label", 2**63 - 1),
    ],
)
def test_a_record_that_breaks_its_contract_is_found(
    crops: Path, feature: str, value: bytes | int
) -> None:
    def change(payloads: list[bytes]) -> list[bytes]:
        features = {name: one.values[0] for name, one in example.decode(payloads[0]).items()}
        return [example.encode({**features, feature: value}), *payloads[1:]]

    rewrite(crops / SHARD, change)
    assert "contract" in kinds(verify(crops, QUICK))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (jpeg(photo(60, 71, 1))[:1500], "cannot be decoded: image file is truncated"),
        (jpeg(photo(50, 71, 1)), "found an image 71 wide, 50 high, expected 71 wide, 60 high"),
        (b"no image", "found text, expected a JPEG, PNG, GIF, WebP or BMP image"),
    ],
)
def test_an_image_that_contradicts_its_record_is_found(
    tmp_path: Path, data: bytes, message: str
) -> None:
    src = fill(tmp_path / "src", {"a.jpg": jpeg(photo(60, 71, 1))})
    write(src, tmp_path / "out", WriteOptions(jobs=1))

    def change(payloads: list[bytes]) -> list[bytes]:
        features = {name: one.values[0] for name, one in example.decode(payloads[0]).items()}
        return [example.encode({**features, "image": data})]

    rewrite(tmp_path / "out" / SHARD, change)
    found = [one.message for one in verify(tmp_path / "out", WHOLE).findings if one.kind == "image"]
    assert len(found) == 1
    assert found[0].startswith(message)


def test_quick_does_not_decode(crops: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "pixels", None)
    assert kinds(verify(crops, QUICK)) == []


@pytest.mark.promise("P2")
def test_the_fingerprint_is_the_same_for_any_shards_jobs_and_order(
    folder: Path, tmp_path: Path
) -> None:
    found = set()
    for number, (shards, order, jobs) in enumerate([(1, 0, 1), (7, 5, 2), (13, None, 1)]):
        out = tmp_path / f"out{number}"
        write(folder, out, WriteOptions(shards=shards, shuffle_seed=order, jobs=jobs))
        report = verify(out, Options(seed=42, jobs=jobs))
        assert kinds(report) == []
        found.add(report.fingerprint)
    assert len(found) == 1
    assert str(found.pop()).startswith("seed42-40x40-e0:")


def test_the_fingerprint_depends_on_seed_crop_and_epochs(whole: Path) -> None:
    asked = [
        Options(seed=1, crop=(8, 8), jobs=1),
        Options(seed=2, crop=(8, 8), jobs=1),
        Options(seed=1, crop=(8, 9), jobs=1),
        Options(seed=1, crop=(8, 8), epochs=2, jobs=1),
    ]
    found = [str(verify(whole, options).fingerprint) for options in asked]
    assert [one.split(":")[0] for one in found] == [
        "seed1-8x8-e0",
        "seed2-8x8-e0",
        "seed1-8x9-e0",
        "seed1-8x8-e0-1",
    ]
    assert len({one.split(":")[1] for one in found}) == 4


def test_an_unexpected_fingerprint_is_a_finding(crops: Path) -> None:
    another = f"seed1-32x32-e0:{'0' * 64}"
    report = verify(crops, Options(seed=1, expect=another, jobs=1))
    assert kinds(report) == ["fingerprint"]
    again = verify(crops, Options(seed=1, expect=report.fingerprint, jobs=1))
    assert kinds(again) == []


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        ("abc", "found 'abc', expected a fingerprint that verify printed"),
        ("seed1-32x32-e0:12", "expected a fingerprint that verify printed"),
        (f"seed2-32x32-e0:{'0' * 64}", "found that of seed 2, expected 1"),
        (f"seed1-30x32-e0:{'0' * 64}", "found that of crop 30x32, expected 32x32"),
        (f"seed1-32x32-e0-2:{'0' * 64}", "found that of epochs 3, expected 1"),
    ],
)
def test_a_fingerprint_of_something_else_is_refused(crops: Path, expect: str, message: str) -> None:
    """Before anything is checked."""
    steps: list[str] = []
    with pytest.raises(UsageError, match=f"^expect: .*{message}"):
        verify(crops, Options(seed=1, expect=expect, jobs=1), lambda *_: steps.append("x"))
    assert steps == []


def test_one_split_is_verified(folder: Path, tmp_path: Path) -> None:
    """With the files about all splits, which are those that `write` made."""
    for split in ("train", "val"):
        write(folder, tmp_path / "out", WriteOptions(jobs=1, split=split))
    (tmp_path / "out" / "val-00000-of-00001.tfrecord").write_bytes(b"damaged")
    whole = verify(tmp_path / "out", Options(split="train", jobs=1))
    assert (whole.findings, whole.shards) == ([], 1)
    assert "the shards of other splits: val" in whole.unchecked
    assert verify(tmp_path / "out", Options(split="val", jobs=1)).findings
    (tmp_path / "out" / "dataset_info.json").unlink()
    assert kinds(verify(tmp_path / "out", Options(split="train", jobs=1))) == ["missing"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "test"}, "^split: found splits train in .*, expected 'test'$"),
        ({"split": "trian"}, "expected 'trian': did you mean 'train'[?]$"),
        ({"split": "train", "source": ((None, Path("a")),)}, "^split: cannot be used with source"),
    ],
)
def test_a_split_that_cannot_be_verified_alone_is_refused(
    crops: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        verify(crops, Options(**options))


def test_missing_shards_are_not_counted_as_if_they_were_there(folder: Path, tmp_path: Path) -> None:
    write(folder, tmp_path / "out", WriteOptions(jobs=1, shards=4))
    shard = tmp_path / "out" / "train-00001-of-00004.tfrecord"
    shard.unlink()
    report = verify(tmp_path / "out", QUICK)
    assert (report.shards, report.missing_shards) == (4, 1)
    assert f": {report.records} records in 3 of 4 shards, " in report_text(report)


@needs("tensorflow")
def test_a_reader_that_cuts_other_crops_is_found(
    crops: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = read_tf.crop_digests

    def wrong(*args: object, in_graph: bool, **options: object) -> list[bytes]:
        digests = right(*args, in_graph=in_graph, **options)  # type: ignore[arg-type]
        return [b"\0" * 32, *digests[1:]] if in_graph else digests

    monkeypatch.setattr(read_tf, "crop_digests", wrong)
    found = verify(crops, Options(seed=1, crop=(9, 9), jobs=1)).findings
    assert [(one.kind, one.record) for one in found] == [("crop", 0)]


@needs("tensorflow")
def test_crops_are_compared_with_two_decoders_that_no_reader_uses(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow's and TensorFlow's: if the readers' decoder is wrong, both show it."""
    records = verify(whole, Options(jobs=1)).records

    def wrong(data: bytes, size: tuple[int, int], box: tuple[int, int, int, int]) -> Any:
        return right(data, size, box) ^ 1

    right = decoder.decode_window
    monkeypatch.setattr(decoder, "decode_window", wrong)
    report = verify(whole, Options(seed=1, crop=(9, 9), jobs=1))
    said = [finding.message for finding in report.findings]
    assert len(said) == records
    assert not [one for one in said if "TensorFlow's own operations" in one]


@needs("tensorflow")
def test_crops_that_tensorflow_makes_otherwise_are_found(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = read_tf.own_crop_digests

    def wrong(*args: Any, **options: Any) -> list[bytes]:
        return [*right(*args, **options)[:-1], b""]

    monkeypatch.setattr(read_tf, "own_crop_digests", wrong)
    (found,) = verify(whole, Options(seed=1, crop=(9, 9), jobs=1)).findings
    assert found.kind == "crop"
    assert found.message.endswith("(by TensorFlow's own operations)")


@needs("tensorflow")
def test_tensorflow_writes_nothing_of_its_own(crops: Path) -> None:
    """Nor of devices: it looks for them even on a machine without a GPU."""
    program = f"import tfrec_cli; tfrec_cli.verify({str(crops)!r}, seed=1, crop=9, jobs=1)"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "0"}
    del env["CUDA_VISIBLE_DEVICES"]
    words = [sys.executable, "-c", program]
    ran = subprocess.run(words, env=env, capture_output=True, text=True, check=True, timeout=120)
    assert ran.stderr == ""


def test_damaged_shards_are_not_given_to_the_reader(whole: Path) -> None:
    shard = sorted(whole.glob("*.tfrecord"))[1]
    shard.write_bytes(shard.read_bytes()[:-1])
    report = verify(whole, Options(seed=1, jobs=1))
    assert (report.fingerprint, report.unchecked[-1]) == (
        None,
        f"crops: not every record of {shard.name} could be cropped",
    )


def test_gzip_shards_verify_like_plain_ones(folder: Path, tmp_path: Path) -> None:
    write(folder, tmp_path / "plain", WriteOptions(jobs=1))
    write(folder, tmp_path / "gzip", WriteOptions(compression="gzip", jobs=1))
    plain, packed = (verify(tmp_path / name, Options(seed=3)) for name in ("plain", "gzip"))
    assert (kinds(packed), packed.fingerprint) == ([], plain.fingerprint)


def test_a_second_split_is_checked_too(folder: Path, tmp_path: Path) -> None:
    for split in ("train", "val"):
        write(folder, tmp_path / "out", WriteOptions(split=split, jobs=1))
    report = verify(tmp_path / "out", WHOLE)
    assert (kinds(report), report.records) == ([], 26)


def foreign(path: Path, count: int = 3) -> Path:
    """Write a file of the Object Detection API, without any of our sidecar files."""
    payloads = [
        example.encode({"image/encoded": jpeg(photo(30 + n, 40, n)), "image/height": 30 + n})
        for n in range(count)
    ]
    data = [header(len(one)) + one + footer(one) for one in payloads]
    path.write_bytes(b"".join(data))
    return path


@needs("tensorflow")
def test_files_of_other_programs_are_checked_as_far_as_possible(tmp_path: Path) -> None:
    report = verify(foreign(tmp_path / "od.record"), Options(seed=1, jobs=1))
    assert kinds(report) == []
    assert str(report.fingerprint).startswith("seed1-30x30-e0:")
    assert report.unchecked == [
        "which shards there should be, their counts and digests: no manifest",
        "whether the data of 3 JPEGs are damaged: verify without --seed looks for that",
    ]


def test_records_are_numbered_over_all_files_of_other_programs(tmp_path: Path) -> None:
    for name in ("b.record", "a.record"):
        foreign(tmp_path / name)
    report = verify(tmp_path, Options(seed=1, jobs=2))
    assert (kinds(report), report.records) == ([], 6)


def test_records_without_images_are_reported_as_unchecked(tmp_path: Path) -> None:
    path = tmp_path / "x.tfrecord"
    payload = example.encode({"text": b"hello"})
    path.write_bytes(header(len(payload)) + payload + footer(payload))
    report = verify(path, WHOLE)
    assert kinds(report) == []
    assert report.unchecked[-1] == "images of 1 record: no image was found"
    report = verify(path, Options(seed=1, jobs=1))
    assert (kinds(report), report.fingerprint) == ([], None)
    assert report.unchecked[-1] == "crops: none was checked, since no image was found"


def test_a_text_file_is_described_as_one(tmp_path: Path) -> None:
    path = tmp_path / "x.tfrecord"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n")
    assert [one.message for one in verify(path, WHOLE).findings] == [
        "not a TFRecord file: a git-LFS pointer"
    ]


@pytest.mark.parametrize(
    "options",
    [
        Options(seed=1, quick=True),
        Options(expect="x"),
        Options(crop=(8, 8)),
        Options(seed=1, crop=(400, 400)),
    ],
)
def test_contradictory_options_are_refused(crops: Path, options: Options) -> None:
    with pytest.raises(UsageError):
        verify(crops, options)


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        verify(tmp_path / "nowhere", WHOLE)


def test_the_window_flag_is_checked(folder: Path, tmp_path: Path) -> None:
    write(folder, tmp_path / "out", WriteOptions(jobs=1))

    def change(payloads: list[bytes]) -> list[bytes]:
        one = example.decode(payloads[0])
        features = {name: feature.values[0] for name, feature in one.items()}
        return [example.encode({**features, "window": 1 - features["window"]}), *payloads[1:]]

    rewrite(tmp_path / "out" / SHARD, change)
    assert "contract" in kinds(verify(tmp_path / "out", QUICK))


def test_a_dataset_with_tf_models_names_has_no_findings(folder: Path, tmp_path: Path) -> None:
    write(folder, tmp_path / "out", WriteOptions(keys="tf-models", crop=(32, 32), jobs=1))
    assert kinds(verify(tmp_path / "out", Options(seed=1, jobs=1))) == []
    described = manifest.load(tmp_path / "out" / "train.manifest.json")
    assert records.NAMES[described.keys].image == "image/encoded"


def test_a_shard_that_cannot_be_read_does_not_stop_other_checks(whole: Path) -> None:
    """A name that is too long for any file system stands for every reason."""
    first, second, _ = sorted(whole.glob("*.tfrecord"))
    with second.open("ab") as file:
        file.write(b"x")
    first.unlink()
    first.symlink_to("/proc/self/mem")
    found = {(one.kind, one.path) for one in verify(whole, QUICK).findings}
    assert {("unreadable", first), ("framing", second)} <= found


@pytest.mark.parametrize("key", [-1, 2**56, 2**63 - 1])
@pytest.mark.parametrize("seed", [None, 1])
def test_a_key_out_of_range_is_a_finding(crops: Path, key: int, seed: int | None) -> None:
    def change(payloads: list[bytes]) -> list[bytes]:
        features = {name: one.values[0] for name, one in example.decode(payloads[0]).items()}
        return [example.encode({**features, "key": key}), *payloads[1:]]

    rewrite(crops / SHARD, change)
    assert "contract" in kinds(verify(crops, Options(seed=seed, jobs=1)))


@pytest.mark.parametrize(("side", "image"), [(-1, b"abc"), (-2, bytes(12)), (0, b"")])
def test_impossible_sizes_are_findings(crops: Path, side: int, image: bytes) -> None:
    def change(payloads: list[bytes]) -> list[bytes]:
        features = {name: one.values[0] for name, one in example.decode(payloads[0]).items()}
        bad = {**features, "height": side, "width": side, "image": image}
        return [example.encode(bad), *payloads[1:]]

    rewrite(crops / SHARD, change)
    assert {"contract", "image"} <= set(kinds(verify(crops, WHOLE)))


def test_keys_of_other_programs_may_be_any_integers(tmp_path: Path) -> None:
    keys = [-5, 2**60, 7]
    payloads = [
        example.encode({"image": png(photo(9, 9, n)), "key": key}) for n, key in enumerate(keys)
    ]
    data = [header(len(one)) + one + footer(one) for one in payloads]
    (tmp_path / "x.tfrecord").write_bytes(b"".join(data))
    report = verify(tmp_path / "x.tfrecord", Options(seed=1, crop=(4, 4), jobs=1))
    assert (kinds(report), bool(report.fingerprint)) == ([], True)


def holding(path: Path, *images: bytes) -> Path:
    """Write a file of another program."""
    payloads = [example.encode({"image": image}) for image in images]
    path.write_bytes(b"".join(header(len(one)) + one + footer(one) for one in payloads))
    return path


def test_formats_that_no_reader_decodes_are_reported_as_unchecked(tmp_path: Path) -> None:
    path = holding(tmp_path / "x.tfrecord", save(photo(9, 9), "TIFF"))
    report = verify(path, WHOLE)
    assert (kinds(report), report.unchecked[-1]) == (
        [],
        "1 image: none of JPEG, PNG, GIF, WebP and BMP, no reader decodes them",
    )
    assert "images: all decoded" not in report.checks
    holding(path, save(photo(9, 9), "TIFF"), jpeg(photo(9, 9)))
    assert verify(path, WHOLE).checks[-1] == "images: all others decoded"


@needs("tensorflow")
@pytest.mark.parametrize("kind", ["GIF", "WEBP", "BMP"])
def test_other_formats_are_decoded_and_cropped(tmp_path: Path, kind: str) -> None:
    path = holding(tmp_path / "x", *[save(photo(30, 40, seed), kind) for seed in range(3)])
    report = verify(path, Options(seed=1, jobs=1))
    assert (kinds(report), "images: all decoded" in report.checks) == ([], True)
    assert str(report.fingerprint).startswith("seed1-30x30-e0:")
    assert report.checks[-1].endswith("by tf.data, and by TensorFlow's own operations")


def test_an_animated_gif_is_a_finding(tmp_path: Path) -> None:
    frames = [Image.fromarray(photo(9, 9, seed)) for seed in (1, 2)]
    moving = save(frames[0], "GIF", save_all=True, append_images=frames[1:])
    (found,) = verify(holding(tmp_path / "x", moving), WHOLE).findings
    assert (found.kind, found.message) == ("image", "found an animated GIF, expected one picture")


def test_boxes_are_counted_as_checked_or_unchecked(tmp_path: Path) -> None:
    """One finding for each record whose boxes are wrong, also without its image decoded."""
    image = {"image": save(photo(9, 9), "PNG")}
    labelled = {"objects/label": [1], **image}
    path = record_file(
        tmp_path / "x.tfrecord",
        example.encode({"objects/bbox": [0.0, 0.0, 1.0, 0.5], **labelled}),
        example.encode({"objects/bbox": [0.0, 0.5, 1.0, 0.25], **labelled}),
        example.encode({"objects/bbox": [9.0, 9.0, 9.0, 9.0], **image}),
    )
    report = verify(path, QUICK)
    (finding,) = report.findings
    assert (finding.kind, finding.path, finding.record) == ("box", path, 1)
    assert "boxes of 2 records: inside the picture, edges, labels" in report.checks
    assert "boxes of 1 record: nothing says what their numbers are" in report.unchecked


def described_otherwise(folder: Path, **changes: object) -> None:
    """Change fields of a manifest, and everything that is derived from it."""
    path = folder / "train.manifest.json"
    values = json.loads(path.read_bytes())
    path.write_bytes((json.dumps({**values, **changes}, indent=2, sort_keys=True) + "\n").encode())
    for name, data in dataset_files([manifest.load(path)]).items():
        (folder / name).write_bytes(data)


@pytest.mark.parametrize(
    ("changes", "kind"), [({"smallest": [1, 1]}, "manifest"), ({"stored": "png"}, "contract")]
)
def test_a_manifest_that_is_wrong_but_consistent_is_found(
    crops: Path, changes: dict[str, object], kind: str
) -> None:
    described_otherwise(crops, **changes)
    assert set(kinds(verify(crops, QUICK))) == {kind}


def test_a_shifted_index_is_one_finding(whole: Path) -> None:
    path = sorted(whole.glob("*.tfindex"))[0]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[1:], lines[0]]))
    found = verify(whole, QUICK).findings
    assert len(found) == 1
    assert found[0].message.endswith(" (and 3 lines more)")


def test_a_changed_but_valid_manifest_is_found(crops: Path) -> None:
    path = crops / "train.manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"shuffle_seed": 0', b'"shuffle_seed": 1'))
    found = [(one.kind, one.path.name) for one in verify(crops, QUICK).findings]
    assert found == [("manifest", path.name), ("metadata", "SHA256SUMS")]


def test_a_missing_manifest_is_found_by_its_list_of_rejects(crops: Path) -> None:
    path = crops / "train.manifest.json"
    path.unlink()
    (crops / "SHA256SUMS").unlink()
    assert ("missing", path) in [(one.kind, one.path) for one in verify(crops, QUICK).findings]


@pytest.mark.parametrize("name", ["../x", "x" * 300, "a\0b", "\xff"])
def test_hostile_names_in_sums_are_not_followed(crops: Path, name: str) -> None:
    path = crops / "SHA256SUMS"
    line = f"{'0' * 64}  {name}.manifest.json\n".encode("latin-1")
    path.write_bytes(line + path.read_bytes())
    assert [(one.kind, one.path) for one in verify(crops, QUICK).findings] == [("metadata", path)]


@pytest.mark.parametrize(
    "name",
    [
        "SHA256SUMS",
        "dataset_info.json",
        "train.manifest.json",
        "train.targets",
        "train-00000-of-00001.tfindex",
    ],
)
def test_a_sidecar_file_of_a_terabyte_is_found_at_once(crops: Path, name: str) -> None:
    with (crops / name).open("r+b") as file:
        file.truncate(2**40)
    found = verify(crops, QUICK).findings
    assert crops / name in [one.path for one in found]


def test_a_damaged_manifest_is_found_without_its_shard(crops: Path) -> None:
    (crops / "train.manifest.json").write_text("{}")
    (crops / SHARD).unlink()
    assert "manifest" in kinds(verify(crops, QUICK))


def test_checksums_are_read_without_a_manifest(crops: Path) -> None:
    """Only their form and names: digests are compared with those of a manifest."""
    for path in crops.glob("train.[mrt]*"):
        path.unlink()
    lines = (crops / "SHA256SUMS").read_bytes().splitlines(keepends=True)
    (crops / "SHA256SUMS").write_bytes(b"".join(lines[:2]))
    assert kinds(verify(crops, QUICK)) == []
    (crops / "SHA256SUMS").write_bytes(b"".join(lines[:2]) + lines[2][:40])
    assert kinds(verify(crops, QUICK)) == ["metadata"]
    (crops / "SHA256SUMS").write_bytes(bytes(350) + lines[2])
    assert kinds(verify(crops, QUICK)) == ["metadata"]
    (crops / "SHA256SUMS").write_bytes(b"".join(lines[:-3]) + b"0" * 64 + b"  gone\n")
    assert kinds(verify(crops, QUICK)) == ["missing"]
