"""A write that the disk has no space for ends before it begins."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import fill, jpeg, photo, png, save, tree
from program import fail_with, tfrec

from tfrec_cli.commands.write import Written, write
from tfrec_cli.errors import RunError
from tfrec_cli.runtime import files
from tfrec_cli.writing import staging
from tfrec_cli.writing.options import WriteOptions

SMALL = {f"{number}.jpg": jpeg(photo(40, 50, number)) for number in range(4)}
FILES = {**SMALL, "8.png": png(photo(60, 50)), "9.bmp": save(photo(200, 200), "BMP")}
JPEGS = sum(map(len, SMALL.values()))
LEAST = JPEGS + len(FILES["8.png"]) // 2
CROPS = {"crop": (32, 40)}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Make a folder of four JPEGs, a PNG and a large BMP."""
    return fill(tmp_path / "source", FILES)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that fakes the free space of every disk."""

    def fake(free: int, total: int = 2**40) -> None:
        usage = SimpleNamespace(total=total, free=free)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

    return fake


def run(source: Path, out: Path, **options: Any) -> Written:
    return write(source, out, WriteOptions(**{"jobs": 1, "shards": 2, **options}))


@pytest.mark.parametrize(
    ("options", "needed"),
    [
        ({}, LEAST),
        ({"split": "a=0.5,b=0.5"}, LEAST),
        (CROPS, 6 * 32 * 40 * 3),
        ({**CROPS, "keys": "tf-models"}, 0),
        ({**CROPS, "encoding": "jpeg"}, 0),
        ({"compression": "gzip"}, 0),
        ({"resize_short": 8}, 0),
        ({"strip_metadata": True}, 0),
    ],
    ids=str,
)
def test_what_is_certainly_needed_is_compared_with_the_free_space(
    source: Path, tmp_path: Path, disk: Callable[[int], None], options: Any, needed: int
) -> None:
    out = tmp_path / "new/out"
    if needed:
        disk(needed - 1)
        with pytest.raises(RunError, match="of free space, expected at least"):
            run(source, out, **options)
        assert not out.parent.exists()
    disk(needed)
    assert run(source, out, **options).records


def test_the_message_says_how_much_is_free_and_needed(
    source: Path, tmp_path: Path, disk: Callable[[int], None]
) -> None:
    disk(10)
    ran = tfrec("write", source, tmp_path / "out", "--crop", "32x40")
    assert (ran.code, ran.error) == (
        3,
        f"tfrec: {tmp_path}/out: found 10 B of free space, expected at least 22.5 KiB: free some "
        "space, or write to another disk\n",
    )


def test_an_interrupted_write_needs_only_the_rest(
    source: Path, tmp_path: Path, disk: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(staging, "commit", fail_with(RunError("stop")))
        with pytest.raises(RunError, match="stop"):
            run(source, tmp_path / "out")
    disk(0)
    assert run(source, tmp_path / "out", resume=True).records == 6
    assert run(source, tmp_path / "out", resume=True).existed


def test_the_old_split_stays_until_the_new_one_is_complete(
    source: Path, tmp_path: Path, disk: Callable[[int], None]
) -> None:
    run(source, tmp_path / "out")
    before = tree(tmp_path)
    disk(LEAST - 1)
    with pytest.raises(RunError, match="of free space"):
        run(source, tmp_path / "out", overwrite=True)
    assert tree(tmp_path) == before


def test_a_disk_that_does_not_tell_its_size_is_not_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=0, free=0))
    files.check_free(tmp_path / "a/b", 2**50)


def test_the_disk_of_the_nearest_existing_folder_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    usage = SimpleNamespace(total=1, free=1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: asked.append(path) or usage)
    files.check_free(tmp_path / "a/b", 1)
    monkeypatch.chdir(tmp_path)
    files.check_free(Path("c"), 1)
    assert asked == [tmp_path, tmp_path]
