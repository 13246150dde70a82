"""``write --crop`` decodes only windows of JPEGs, and writes the same bytes as without windows."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from conftest import ROOT, class_files, fill, jpeg, oriented, photo, png
from PIL import Image

from tfrec_cli.commands.write import Written, write
from tfrec_cli.errors import ImageError
from tfrec_cli.imaging import decoder, header
from tfrec_cli.imaging.jpeg import markers as jpeg_markers
from tfrec_cli.imaging.jpeg import seek
from tfrec_cli.imaging.jpeg.window import Box, has_exact_window
from tfrec_cli.imaging.policy import Policy
from tfrec_cli.runtime import native, pool
from tfrec_cli.writing.options import WriteOptions as Options

compiled = pytest.mark.skipif(not native.is_compiled, reason="C was not compiled")
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


def made(source: Path, out: Path, **options: Any) -> Written:
    given = {"crop": CROP, "jobs": 1, "small": "skip", "on_error": "skip", **options}
    return write(source, out, Options(**given))


def shards(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("*.tf*")}


def rejects_of(result: Written) -> list[tuple[bytes, str]]:
    return [(reject.path, reject.reason) for reject in result.rejects]


def no_windows() -> Any:
    """Decode every image completely."""
    error = ImageError("corrupt", "found a window, expected none")
    return mock.patch.object(decoder, "decode_window_noted", side_effect=error)


@contextmanager
def windows_asked() -> Iterator[list[bool]]:
    """Collect for each JPEG whether a window of it is decoded, all in this process."""
    asked: list[bool] = []
    cut = seek.cut

    def noted(data: bytes, box: Box) -> seek.Window | None:
        found = cut(data, box)
        asked.append(found is not None)
        return found

    here = mock.patch.object(pool, "_can_fork", return_value=False)
    with here, mock.patch.object(seek, "cut", noted):
        yield asked


def both(source: Path, folder: Path, **options: Any) -> tuple[Written, Written]:
    """Write with windows into ``folder / "windows"``, and without into ``folder / "whole"``."""
    by_windows = made(source, folder / "windows", **options)
    with no_windows():
        return by_windows, made(source, folder / "whole", **options)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder of images of every kind, some of them small."""
    return fill(tmp_path_factory.mktemp("decoder") / "images", FILES)


# The same shards


@pytest.mark.slow
@JOBS
@pytest.mark.parametrize("small", ["skip", "pad", "resize"])
def test_windows_do_not_change_the_shards(
    source: Path, tmp_path: Path, small: str, jobs: int
) -> None:
    both(source, tmp_path, small=small, jobs=jobs, shards=2)
    assert shards(tmp_path / "windows") == shards(tmp_path / "whole")


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
def test_windows_do_not_change_the_shards_with_other_options(
    source: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    both(source, tmp_path, **options)
    assert shards(tmp_path / "windows") == shards(tmp_path / "whole")


def test_windows_do_not_change_rejects_and_changes(source: Path, tmp_path: Path) -> None:
    results = both(source, tmp_path)
    rejects, others = map(rejects_of, results)
    assert rejects == others
    assert rejects == [
        (f"more/a {kind}".encode(), "too_small")
        for kind in ("low one.jpg", "small gray.jpg", "small one.jpg", "small png.png")
    ]
    first, second = (result.manifest for result in results)
    assert first
    assert second
    assert (first.changes, first.icc_profiles) == (second.changes, second.icc_profiles)


@compiled
def test_windows_are_decoded_if_they_are_exact(source: Path, tmp_path: Path) -> None:
    """Otherwise the tests above might never decode a window."""
    with windows_asked() as asked:
        made(source, tmp_path / "out")
    windows = [
        name
        for name, data in FILES.items()
        if name.endswith(".jpg") and "small" not in name and "low" not in name
        if (examined := header.examine(data, Policy())).markers
        if has_exact_window(examined.markers) and not examined.changes
    ]
    assert (sum(asked), len(windows)) == (len(windows), 11)


def test_max_pixels_is_the_limit_for_windows_too(tmp_path: Path) -> None:
    fill(tmp_path / "images", {"a.jpg": jpeg(photo(50, 60, 1))})
    here = mock.patch.object(pool, "_can_fork", return_value=False)
    asked = mock.patch.object(decoder, "decode_window_noted", wraps=decoder.decode_window_noted)
    with here, asked as decode:
        made(tmp_path / "images", tmp_path / "out", max_pixels=2**40)
    assert decode.call_args.args[1:] == ((50, 60), (7, 13, *CROP), 2**40)


# Damaged JPEGs


def with_marker(data: bytes, share: float, marker: bytes) -> bytes:
    """Insert bytes into a JPEG's scan, at this fraction of it."""
    start = jpeg_markers.read_frame(data).end
    at = start + int((len(data) - start - 2) * share)
    while data[at - 1] == 0xFF:
        at += 1
    return data[:at] + marker + data[at:]


def cut_short(data: bytes, share: float) -> bytes:
    """Replace the end of a JPEG's scan by an end marker."""
    start = jpeg_markers.read_frame(data).end
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
HEADER = jpeg_markers.read_frame(SOUND["420"]).end
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
    for left in range(-6, 3):  # an end marker in, after and instead of the last segment
        files[f"header/{left}.jpg"] = SOUND["420"][: HEADER + left] + b"\xff\xd9"
    for kind, data in SOUND.items():
        for share in SHARES:
            files[f"cut/{kind} {share}.jpg"] = cut_short(data, share)
            for name, marker in MARKERS.items():
                files[f"{name}/{kind} {share}.jpg"] = with_marker(data, share, marker)
    return files


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Write damaged JPEGs with windows and without."""
    root = tmp_path_factory.mktemp("damaged")
    results = both(fill(root / "images", damaged()), root)
    return {
        kind: (list(map(str, result.rejects)), shards(root / kind))
        for kind, result in zip(("windows", "whole"), results, strict=True)
    }


def test_windows_do_not_change_which_damaged_jpegs_are_rejected(compared: dict[str, Any]) -> None:
    assert compared["windows"][0] == compared["whole"][0]


def test_windows_do_not_change_the_shards_of_damaged_jpegs(compared: dict[str, Any]) -> None:
    assert compared["windows"][1] == compared["whole"][1]


def test_some_damage_is_rejected_and_some_is_not(compared: dict[str, Any]) -> None:
    """Otherwise the two tests above might cover only one of the two."""
    rejected = [line.split()[0] for line in compared["whole"][0]]
    assert any(name.startswith("scan/") for name in rejected)
    assert {name for name in rejected if name.startswith("cut/")} == {"cut/progressive"}


def test_no_window_is_cut_out_of_a_jpeg_with_an_invalid_table_of_codes(tmp_path: Path) -> None:
    start = SOUND["444"].index(b"\xff\xc4") + 5
    data = SOUND["444"][:start] + b"\xff" * 16 + SOUND["444"][start + 16 :]
    fill(tmp_path / "images", {"broken.jpg": data, "sound.jpg": SOUND["420"]})
    with windows_asked() as asked:
        by_windows = made(tmp_path / "images", tmp_path / "windows")
    with no_windows():
        whole = made(tmp_path / "images", tmp_path / "whole")
    assert len(asked) == 1
    assert len(by_windows.rejects) == 1
    assert by_windows.rejects == whole.rejects


# Without TensorFlow


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
def test_crops_are_written_if_tensorflow_is_installed_but_does_not_load(
    tmp_path: Path, kind: str
) -> None:
    fill(tmp_path / "images", {f"{number}.jpg": jpeg(photo(64, 64, number)) for number in range(4)})
    fill(tmp_path / "broken", {f"tensorflow/{name}": data for name, data in BROKEN[kind].items()})
    ran = subprocess.run(
        [sys.executable, "-m", "tfrec_cli", "write", "images", "broken-out", "--crop", "32"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "broken"), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    write(tmp_path / "images", tmp_path / "out", Options(crop=(32, 32), jobs=1))
    assert shards(tmp_path / "broken-out") == shards(tmp_path / "out")
