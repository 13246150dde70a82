"""Files that we write appear complete or not at all."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import fill, tree

from tfrec_cli.runtime import files


def no_space(*_: object) -> None:
    raise OSError(28, "No space left on device")


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("old", [{}, {"page.html": b"old"}], ids=["nothing", "a file"])
@pytest.mark.parametrize("fail", [no_space, interrupt])
@pytest.mark.parametrize("place", ["write", "fsync", "rename"])
def test_a_failure_leaves_what_was_there(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    fail: Callable[..., None],
    old: dict[str, bytes],
) -> None:
    path = fill(tmp_path, old) / "page.html"
    if place != "write":
        monkeypatch.setattr(*{"fsync": (os, "fsync"), "rename": (Path, "rename")}[place], fail)

    def write() -> None:
        with files.atomic_file(path) as file:
            file.write(b"new")
            if place == "write":
                fail()

    with pytest.raises((OSError, KeyboardInterrupt)) as raised:
        write()
    assert getattr(raised.value, "filename", str(path)) == str(path)
    assert tree(tmp_path) == old


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(b"old")
    with files.atomic_file(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert tree(tmp_path) == {"page.html": b"new"}


def test_an_error_about_another_file_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised, files.atomic_file(tmp_path / "page.html"):
        (tmp_path / "other").read_bytes()
    assert raised.value.filename == str(tmp_path / "other")


def test_a_folder_that_is_not_there_is_an_error_about_the_file(tmp_path: Path) -> None:
    path = tmp_path / "none" / "page.html"
    with pytest.raises(FileNotFoundError) as raised, files.atomic_file(path):
        pass
    assert raised.value.filename == str(path)


@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_stays_a_link(tmp_path: Path, dangling: bool) -> None:
    path, target = tmp_path / "link", tmp_path / "folder" / "page.html"
    target.parent.mkdir()
    if not dangling:
        target.write_bytes(b"old")
    path.symlink_to("folder/page.html")
    with files.atomic_file(path) as file:
        file.write(b"new")
    assert (path.is_symlink(), target.read_bytes()) == (True, b"new")


def test_permissions_stay_and_new_files_get_the_usual_ones(tmp_path: Path) -> None:
    old, new, usual = tmp_path / "old", tmp_path / "new", tmp_path / "usual"
    old.touch()
    old.chmod(0o640)
    usual.touch()
    for path in (old, new):
        with files.atomic_file(path) as file:
            file.write(b"new")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (old, new)]
    assert modes == [0o640, stat.S_IMODE(usual.stat().st_mode)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to any file")
def test_a_file_that_may_not_be_written_to_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(b"old")
    path.chmod(0o444)
    with pytest.raises(PermissionError, match="page"), files.atomic_file(path):
        pass
    assert path.read_bytes() == b"old"


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(path.read_bytes()))
    reader.start()
    with files.atomic_file(path) as file:
        file.write(b"new")
    reader.join()
    assert (received, os.listdir(tmp_path)) == ([b"new"], ["pipe"])
