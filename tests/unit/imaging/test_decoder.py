"""``write --decoder``: Pillow's decoder and TensorFlow's make the same shards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from conftest import ROOT, class_files, fill, jpeg, oriented, photo, png
from PIL import Image

from tfrec_cli.commands.write import Result, write
from tfrec_cli.errors import RunError, UsageError
from tfrec_cli.imaging import images, structure, tensorflow_decoder
from tfrec_cli.imaging.images import Policy
from tfrec_cli.runtime import pool
from tfrec_cli.writing import plan
from tfrec_cli.writing.options import WriteOptions as Options

DECODERS = pytest.mark.parametrize("decoder", ["pillow", "tensorflow"])
JOBS = pytest.mark.parametrize("jobs", [1, 2])

GRAY = Image.fromarray(photo(62, 45, 3)).convert("L")
FILES = {
    **class_files(),
    "more/411.jpg": jpeg(photo(70, 81, 20), subsampling="4:1:1"),
    "more/420 again.jpg": jpeg(photo(97, 113, 21), subsampling="4:2:0"),
    "more/422 with restarts.jpg": jpeg(
        photo(97, 113, 22), subsampling="4:2:2", restart_marker_blocks=3
    ),
    "more/gray progressive.jpg": jpeg(GRAY, progressive=True),
    "more/profile.jpg": jpeg(photo(60, 61, 23), icc_profile=bytes(130)),
    "more/kept RGB.jpg": jpeg(photo(55, 66, 24), keep_rgb=True),
    "more/mirrored.jpg": jpeg(photo(55, 66, 25), subsampling="4:2:0", exif=oriented(2)),
    "more/upright.jpg": jpeg(photo(55, 66, 26), subsampling="4:2:0", exif=oriented(1)),
    "more/a small gray.jpg": jpeg(Image.fromarray(photo(9, 50, 27)).convert("L")),
    "more/a small one.jpg": jpeg(photo(20, 30, 28), subsampling="4:2:0"),
    "more/a small png.png": png(photo(31, 12, 29)),
    "more/a low one.jpg": jpeg(photo(20, 300, 30), subsampling="4:2:0"),
    "more/as large as the crop.jpg": jpeg(photo(36, 33, 31), subsampling="4:2:0"),
}
CROP = (36, 33)


def made(source: Path, out: Path, **options: Any) -> Result:
    given = {"crop": CROP, "jobs": 1, "small": "skip", "on_error": "skip", **options}
    return write(source, out, Options(**given))


def shards(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("*.tf*")}


def told(result: Result) -> list[tuple[bytes, str]]:
    return [(reject.path, reject.reason) for reject in result.rejects]


def recorded(out: Path) -> object:
    return json.loads((out / "train.manifest.json").read_text())["options"]["decoder"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder of images of every kind, some of them small."""
    return fill(tmp_path_factory.mktemp("decoder") / "images", FILES)


# The same shards


@JOBS
@pytest.mark.parametrize("small", ["skip", "pad", "resize"])
def test_shards_are_the_same(source: Path, tmp_path: Path, small: str, jobs: int) -> None:
    found = []
    for decoder in ("pillow", "tensorflow"):
        made(source, tmp_path / decoder, decoder=decoder, small=small, jobs=jobs, shards=2)
        found.append(shards(tmp_path / decoder))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "options",
    [
        {"encoding": "png"},
        {"encoding": "jpeg", "jpeg_quality": 80},
        {"keys": "tf-models"},
        {"resize_short": 50},
        {"exif": "ignore"},
        {"alpha": "white"},
        {"crop": (1, 1)},
        {"crop": (8, 64)},
        {"compression": "gzip"},
    ],
    ids=str,
)
def test_shards_are_the_same_with(source: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    found = []
    for decoder in ("pillow", "tensorflow"):
        made(source, tmp_path / decoder, decoder=decoder, **options)
        found.append(shards(tmp_path / decoder))
    assert found[0] == found[1]


@DECODERS
def test_rejects_are_the_same(source: Path, tmp_path: Path, decoder: str) -> None:
    assert told(made(source, tmp_path / "out", decoder=decoder)) == [
        (f"more/a {kind}".encode(), "too_small")
        for kind in ("low one.jpg", "small gray.jpg", "small one.jpg", "small png.png")
    ]


def test_both_name_the_same_changes(source: Path, tmp_path: Path) -> None:
    changes = []
    for decoder in ("pillow", "tensorflow"):
        result = made(source, tmp_path / decoder, decoder=decoder)
        assert result.manifest
        changes.append((result.manifest.changes, result.manifest.icc_profiles))
    assert changes[0] == changes[1]


def test_windows_are_decoded_by_tensorflow(source: Path, tmp_path: Path) -> None:
    """Without this the tests above could compare Pillow with itself."""
    here = mock.patch.object(pool, "_can_fork", return_value=False)  # where calls are counted
    counted = mock.patch.object(
        tensorflow_decoder, "decode_window", wraps=tensorflow_decoder.decode_window
    )
    with here, counted as decode:
        made(source, tmp_path / "out", decoder="tensorflow")
    windows = [
        name
        for name, data in FILES.items()
        if name.endswith(".jpg") and "small" not in name and "low" not in name
        if (examined := images.examine(data, Policy())).jpeg
        if examined.jpeg.has_exact_window and not examined.changes
    ]
    assert (decode.call_count, len(windows)) == (len(windows), 11)


def test_nothing_is_decoded_by_tensorflow_for_pillow(source: Path, tmp_path: Path) -> None:
    with mock.patch.object(tensorflow_decoder, "_library", side_effect=AssertionError):
        made(source, tmp_path / "out", decoder="pillow")


# Damaged JPEGs


def with_marker(data: bytes, share: float, marker: bytes) -> bytes:
    """Put something into a JPEG's scan, at this share of it."""
    start = structure.read_jpeg(data).data_at
    at = start + int((len(data) - start - 2) * share)
    while data[at - 1] == 0xFF:
        at += 1
    return data[:at] + marker + data[at:]


def cut_short(data: bytes, share: float) -> bytes:
    """Leave out the end of a JPEG's scan, and put an end marker there."""
    start = structure.read_jpeg(data).data_at
    at = start + int((len(data) - start - 2) * share)
    while data[at - 1] == 0xFF:
        at -= 1
    return data[:at] + b"\xff\xd9"


SOUND = {
    "420": jpeg(photo(90, 80, 40), subsampling="4:2:0"),
    "422": jpeg(photo(90, 80, 41), subsampling="4:2:2"),
    "444": jpeg(photo(90, 80, 42), subsampling="4:4:4"),
    "gray": jpeg(Image.fromarray(photo(90, 80, 43)).convert("L")),
    "restarts": jpeg(photo(90, 80, 44), subsampling="4:2:0", restart_marker_blocks=3),
    "progressive": jpeg(photo(90, 80, 45), subsampling="4:2:0", progressive=True),
}
HEADER = structure.read_jpeg(SOUND["420"]).data_at
MARKERS = {
    "comment": b"\xff\xfe\x00\x04ab",
    "unknown": b"\xff\xe5\x00\x04ab",
    "tables": b"\xff\xc4\x00\x02",
    "restart": b"\xff\xd3",
    "fill": b"\xff\xff\xff",
    "reserved": b"\xff\x01",
    "reserved, with a length": b"\xff\x02\x00\x04ab",
    "start": b"\xff\xd8\x00\x04ab",
    "end": b"\xff\xd9",
    "scan": b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00",
    "zeros": bytes(40),
}
SHARES = (0.02, 0.3, 0.6, 0.97)


def damaged() -> dict[str, bytes]:
    files = {"sound/one.jpg": SOUND["420"]}
    for left in range(-6, 3):  # an end marker in, behind and instead of the last segment
        files[f"header/{left}.jpg"] = SOUND["420"][: HEADER + left] + b"\xff\xd9"
    for kind, data in SOUND.items():
        for share in SHARES:
            files[f"cut/{kind} {share}.jpg"] = cut_short(data, share)
            for name, marker in MARKERS.items():
                files[f"{name}/{kind} {share}.jpg"] = with_marker(data, share, marker)
    return files


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Write damaged JPEGs with both decoders."""
    root = tmp_path_factory.mktemp("damaged")
    fill(root / "images", damaged())
    found: dict[str, Any] = {}
    for decoder in ("pillow", "tensorflow"):
        result = made(root / "images", root / decoder, decoder=decoder)
        found[decoder] = (told(result), shards(root / decoder))
    return found


def test_damaged_jpegs_are_rejected_alike(compared: dict[str, Any]) -> None:
    (by_pillow, _), (by_tensorflow, _) = compared.values()
    assert set(by_pillow) ^ set(by_tensorflow) == set()


def test_damaged_jpegs_that_are_accepted_give_the_same_shards(compared: dict[str, Any]) -> None:
    (_, by_pillow), (_, by_tensorflow) = compared.values()
    assert by_pillow == by_tensorflow


def test_some_damage_is_rejected_and_some_is_not(compared: dict[str, Any]) -> None:
    """Without this the two tests above could be about one of the two alone."""
    rejected = {path.split(b"/")[0] for path, _ in compared["pillow"][0]}
    assert (b"scan" in rejected, b"cut" in rejected) == (True, False)


# Which one is chosen


CHOSEN = {"a.jpg": jpeg(photo(40, 50)), "b.png": png(photo(36, 33))}
PIXELS = 40 * 50 + 36 * 33


@pytest.mark.parametrize(
    ("limit", "decoder"), [(PIXELS, "tensorflow"), (PIXELS + 1, "pillow"), (1, "tensorflow")]
)
def test_auto_goes_by_the_size_of_the_job(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: int, decoder: str
) -> None:
    monkeypatch.setattr(plan, "TENSORFLOW_PIXELS", limit)
    made(fill(tmp_path / "images", CHOSEN), tmp_path / "out")
    assert recorded(tmp_path / "out") == decoder


@DECODERS
@pytest.mark.parametrize("limit", [1, 2**62])
def test_a_decoder_that_is_asked_for_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: int, decoder: str
) -> None:
    monkeypatch.setattr(plan, "TENSORFLOW_PIXELS", limit)
    made(fill(tmp_path / "images", CHOSEN), tmp_path / "out", decoder=decoder)
    assert recorded(tmp_path / "out") == decoder


def test_whole_images_have_no_decoder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(plan, "TENSORFLOW_PIXELS", 1)
    made(fill(tmp_path / "images", CHOSEN), tmp_path / "out", crop=None, small="fail")
    assert recorded(tmp_path / "out") is None


def test_images_that_are_left_out_do_not_count(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(plan, "TENSORFLOW_PIXELS", PIXELS + 1)
    files = {**CHOSEN, "small.png": png(photo(9, 99))}
    made(fill(tmp_path / "images", files), tmp_path / "out")
    assert recorded(tmp_path / "out") == "pillow"


def test_no_library_ends_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def find_library() -> Path:
        raise RunError("TensorFlow: found no C library of it")

    monkeypatch.setattr(tensorflow_decoder, "find_library", find_library)
    fill(tmp_path / "images", CHOSEN)
    with pytest.raises(RunError):
        made(tmp_path / "images", tmp_path / "out", decoder="tensorflow")
    assert not (tmp_path / "out").exists()


# Without a crop

NO_CROP = "--decoder: found no --crop, expected one: whole images keep their bytes"


@DECODERS
def test_a_decoder_without_a_crop_is_refused(tmp_path: Path, decoder: Any) -> None:
    fill(tmp_path / "images", CHOSEN)
    with pytest.raises(UsageError) as raised:
        write(tmp_path / "images", tmp_path / "out", Options(decoder=decoder))
    assert str(raised.value) == NO_CROP


@DECODERS
def test_a_decoder_without_a_crop_ends_the_program_with_2(tmp_path: Path, decoder: str) -> None:
    argv = ["write", fill(tmp_path / "images", CHOSEN), tmp_path / "out", "--decoder", decoder]
    ran = subprocess.run(
        [sys.executable, "-m", "tfrec_cli", *map(str, argv)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (2, f"tfrec: {NO_CROP}\n")


def test_auto_without_a_crop_is_not_refused(tmp_path: Path) -> None:
    fill(tmp_path / "images", CHOSEN)
    write(tmp_path / "images", tmp_path / "out", Options(decoder="auto", jobs=1))
    assert recorded(tmp_path / "out") is None


def test_auto_does_without_tensorflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both decoders make the same shards, so a machine without it makes them too."""
    fill(tmp_path / "images", {f"{number}.jpg": jpeg(photo(64, 64, number)) for number in range(4)})
    monkeypatch.setattr(plan, "TENSORFLOW_PIXELS", 1)
    monkeypatch.setattr(tensorflow_decoder, "_LIBRARIES", ())
    made = write(tmp_path / "images", tmp_path / "out", Options(crop=(32, 32), jobs=1)).manifest
    assert made
    assert made.options["decoder"] == "pillow"
    options = Options(crop=(32, 32), jobs=1, decoder="tensorflow")
    with pytest.raises(RunError, match="found no C library"):
        write(tmp_path / "images", tmp_path / "other", options)


BROKEN = {
    "raises": {"__init__.py": b"raise ImportError('no libcudart')"},
    "is cut": {
        "__init__.py": b"raise ImportError('no libcudart')",
        "libtensorflow_cc.so.2": b"\x7fELF",
        "libtensorflow_framework.so.2": b"\x7fELF",
        "libtensorflow_cc.2.dylib": b"\xcf\xfa",
        "libtensorflow_framework.2.dylib": b"\xcf\xfa",
    },
}


@pytest.mark.parametrize("kind", BROKEN)
def test_crops_are_written_where_tensorflow_is_there_but_does_not_load(
    tmp_path: Path, kind: str
) -> None:
    fill(tmp_path / "images", {f"{number}.jpg": jpeg(photo(64, 64, number)) for number in range(4)})
    fill(tmp_path / "broken", {f"tensorflow/{name}": data for name, data in BROKEN[kind].items()})
    program = (
        "import sys; from tfrec_cli import __main__; from tfrec_cli.writing import plan\n"
        "plan.TENSORFLOW_PIXELS = 1\n"
        "__main__.main()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, "write", "images", "broken-out", "--crop", "32"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "broken"), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert recorded(tmp_path / "broken-out") == "pillow"
    options = Options(crop=(32, 32), jobs=1, decoder="pillow")
    write(tmp_path / "images", tmp_path / "out", options)
    shards = [
        (tmp_path / name / "train-00000-of-00001.tfrecord").read_bytes()
        for name in ("broken-out", "out")
    ]
    assert shards[0] == shards[1]
