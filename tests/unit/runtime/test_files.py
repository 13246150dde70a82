"""Files that we write appear complete or not at all."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import fill, tree

from tfrec_cli.runtime import files


def test_a_mapped_file_has_its_bytes_and_keeps_no_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(200)) * 50)
    before = len(os.listdir("/proc/self/fd"))
    mapped = files.map_file(path)
    assert len(os.listdir("/proc/self/fd")) == before
    assert (len(mapped), bytes(mapped[9_998:]), mapped.readonly) == (10_000, b"\xc6\xc7", True)
    part, mapped = mapped[5:7], memoryview(b"")
    assert bytes(part) == b"\5\6"  # a slice keeps it mapped


def test_an_empty_file_is_mapped(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert bytes(files.map_file(tmp_path / "file")) == b""


def test_a_file_that_cannot_be_mapped_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(OSError, match=str(path)):
            files.map_file(path)


def no_space(*_: object) -> None:
    raise OSError(28, "No space left on device")


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("old", [{}, {"page.html": b"old"}], ids=["nothing", "a file"])
@pytest.mark.parametrize("fail", [no_space, interrupt])
@pytest.mark.parametrize("place", ["write", "fsync", "rename"])
def test_a_failure_leaves_the_old_content(
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


def test_the_error_of_a_missing_folder_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "none" / "page.html"
    with pytest.raises(FileNotFoundError) as raised, files.atomic_file(path):
        pass
    assert raised.value.filename == str(path)
    assert str(raised.value) == f"[Errno 2] No such file or directory: '{path}'"


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


def test_a_replaced_file_keeps_its_permissions_and_a_new_one_gets_the_usual(tmp_path: Path) -> None:
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
def test_a_read_only_file_is_not_replaced(tmp_path: Path) -> None:
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


class TestHashing:
    """Bytes hashed in a thread, with and without a file."""

    PIECES = (
        [],
        [b""],
        [b"one"],
        [b"%d" % number for number in range(2500)],
        [bytes([number]) * 2**20 for number in range(5)],
    )

    @pytest.mark.parametrize("pieces", PIECES, ids=len)
    def test_digest_and_size_are_those_of_all_pieces(self, pieces: list[bytes]) -> None:
        data = b"".join(pieces)
        digest = files.ThreadedSha256()
        for piece in pieces:
            assert digest.write(piece) == len(piece)
        assert digest.hexdigest() == hashlib.sha256(data).hexdigest()
        assert digest.size_bytes == len(data)

    @pytest.mark.parametrize("pieces", PIECES, ids=len)
    def test_a_file_holds_all_pieces(self, tmp_path: Path, pieces: list[bytes]) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"what a killed process left")
        with files.HashingWriter(path) as file:
            file.writelines(pieces)
        data = b"".join(pieces)
        assert path.read_bytes() == data
        assert (file.hexdigest(), file.size_bytes) == (hashlib.sha256(data).hexdigest(), len(data))
        assert files.sha256(path) == file.hexdigest()

    def test_a_short_write_is_continued(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        right = os.writev
        monkeypatch.setattr(os, "writev", lambda file, pieces: right(file, [b"".join(pieces)[:3]]))
        with files.HashingWriter(tmp_path / "file") as file:
            file.writelines([b"12", b"345", b"6"])
        assert (tmp_path / "file").read_bytes() == b"123456"

    def test_a_full_disk_is_an_error(self, tmp_path: Path) -> None:
        with (
            pytest.raises(OSError, match="File too large"),
            limited(1000),
            files.HashingWriter(tmp_path / "file") as file,
        ):
            file.write(bytes(2000))


@contextmanager
def limited(size_bytes: int) -> Iterator[None]:
    """Let files grow to this size only, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_writeback_starts_while_more_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[int, int]] = []

    def begin(_descriptor: int, start: int, size_bytes: int, _flags: int) -> int:
        begun.append((start, size_bytes))
        return -1  # ignored

    monkeypatch.setattr(files, "_sync_file_range", lambda: begin)
    with files.HashingWriter(tmp_path / "file") as file:
        for number in range(9):
            file.write(bytes([number]) * 2**20)
    assert begun == [(0, 2**22), (2**22, 2**22)]
    data = b"".join(bytes([number]) * 2**20 for number in range(9))
    assert (tmp_path / "file").read_bytes() == data


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has it")
def test_linux_starts_writeback(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.write(bytes(5000))
        file.flush()
        assert files._sync_file_range()(file.fileno(), 0, 5000, 2) == 0
        assert files._sync_file_range()(file.fileno(), -1, 5000, 2) == -1


def test_other_systems_start_no_writeback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    assert files._sync_file_range.__wrapped__()(0, 0, 2**22, 2) == 0
