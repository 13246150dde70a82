"""Interrupted writes: what they leave, how they are resumed, what is refused, and the lock."""

from __future__ import annotations

import dataclasses
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from conftest import class_files, fill, jpeg, photo, png, save, tree
from written import HOLDER

from tfrec_cli.cli import main as cli
from tfrec_cli.commands.write import Written, write
from tfrec_cli.dataset import manifest
from tfrec_cli.dataset import rejects as rejects_file
from tfrec_cli.dataset.names import NOTE_SUFFIX, index_name
from tfrec_cli.errors import BadImagesError, DataError, RunError, UnreadableError, UsageError
from tfrec_cli.imaging import normalize
from tfrec_cli.report import write as report
from tfrec_cli.runtime.files import sealed, unsealed
from tfrec_cli.writing import journal, survey
from tfrec_cli.writing.options import WriteOptions as Options

PARTIAL = ".train.partial"
WAYS: list[dict[str, Any]] = [{}, {"crop": (32, 32)}, {"compression": "gzip"}, {"index": False}]


def run(source: Path, out: Path, **options: Any) -> Written:
    return write(source, out, Options(**{"jobs": 1, "shards": 4, **options}))


def interrupt(
    source: Path, out: Path, error: type[BaseException] = KeyboardInterrupt, **options: Any
) -> Path:
    """Write until a shard has a note that it is complete; return the staging folder."""
    folder = out / PARTIAL

    def stop(what: str, done: int, total: int) -> None:
        if what == "writing" and done:
            wait_for(lambda: list(folder.glob("*" + NOTE_SUFFIX)))
            raise error

    with pytest.raises(error):
        write(source, out, Options(**{"jobs": 1, "shards": 4, **options}), stop)
    return folder


def wait_for(ready: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.01)


@contextmanager
def disk_full_after(renames: int) -> Iterator[None]:
    calls = iter(range(renames))
    real = Path.replace

    def replace(path: Path, target: Path) -> Path:
        if next(calls, None) is None:
            raise OSError(28, "No space left on device", str(target))
        return real(path, target)

    with mock.patch.object(Path, "replace", replace):
        yield


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def fresh(folder: Path, tmp_path: Path) -> dict[str, bytes]:
    """Return the files that an uninterrupted write makes."""
    run(folder, tmp_path / "fresh")
    return tree(tmp_path / "fresh")


@pytest.mark.promise("P1", "I4")
class TestResumes:
    @pytest.mark.parametrize("options", WAYS, ids=str)
    def test_resuming_gives_the_same_bytes(
        self, folder: Path, out: Path, tmp_path: Path, options: dict[str, Any]
    ) -> None:
        interrupt(folder, out, **options)
        run(folder, out, **options, resume=True)
        run(folder, tmp_path / "fresh", **options)
        assert tree(out) == tree(tmp_path / "fresh")

    def test_resuming_keeps_complete_shards(self, folder: Path, out: Path) -> None:
        """A shard with a note is not written again: it is the same file."""
        partial = interrupt(folder, out)
        (note, *_) = partial.glob("*" + NOTE_SUFFIX)
        name = note.name.removesuffix(NOTE_SUFFIX)
        before = (partial / name).stat().st_ino
        run(folder, out, resume=True)
        assert (out / name).stat().st_ino == before

    @pytest.mark.parametrize("what", ["shard", "index", "note", "journal"])
    @pytest.mark.parametrize("how", ["flipped", "cut", "emptied", "gone"])
    def test_resuming_replaces_damaged_files(
        self, folder: Path, out: Path, fresh: dict[str, bytes], what: str, how: str
    ) -> None:
        partial = interrupt(folder, out)
        (note, *_) = partial.glob("*" + NOTE_SUFFIX)
        name = note.name.removesuffix(NOTE_SUFFIX)
        path = {
            "shard": partial / name,
            "index": partial / index_name(name),
            "note": note,
            "journal": partial / "journal.json",
        }[what]
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        if how == "gone":
            path.unlink()
        else:
            path.write_bytes({"flipped": data, "cut": data[:-1], "emptied": b""}[how])
        run(folder, out, resume=True)
        assert tree(out) == fresh

    @pytest.mark.parametrize(
        "values",
        [
            {"records": 10**9},
            {"contents": ""},
            {"contents": "!!!"},
            {"number": 3},
            {"number": None},
            {"rejects": "junk"},
            {"rejects": 5},
            {"changes": 5},
            {"unknown": 1},
        ],
        ids=str,
    )
    def test_resuming_replaces_a_shard_whose_note_differs(
        self, folder: Path, out: Path, fresh: dict[str, bytes], values: dict[str, Any]
    ) -> None:
        partial = interrupt(folder, out)
        for note in partial.glob("*" + NOTE_SUFFIX):
            note.write_bytes(sealed({**unsealed(note), **values}))
        run(folder, out, resume=True)
        assert tree(out) == fresh

    @pytest.mark.parametrize(
        "values",
        [[], 5, {}, {"unknown": 1}, {"labels": 7}, {"options": None}, {"command": None}],
        ids=str,
    )
    def test_resuming_with_an_unknown_journal_starts_over(
        self, folder: Path, out: Path, fresh: dict[str, bytes], values: Any
    ) -> None:
        """Such as that of another version of this program."""
        journal = interrupt(folder, out) / "journal.json"
        told = unsealed(journal)
        journal.write_bytes(sealed({**told, **values} if values and values != 5 else values))
        with pytest.raises(RunError, match="found an unfinished write, expected none: overwrite"):
            run(folder, out)
        run(folder, out, resume=True)
        assert tree(out) == fresh

    @pytest.mark.parametrize("name", ["journal.json", "sources", "train-00000-of-00004*.whole"])
    def test_resuming_replaces_a_pipe_in_place_of_a_file(
        self, folder: Path, out: Path, fresh: dict[str, bytes], name: str
    ) -> None:
        """Without waiting for it."""
        for path in interrupt(folder, out).glob(name):
            path.unlink()
            os.mkfifo(path)
        run(folder, out, resume=True)
        assert tree(out) == fresh

    def test_resuming_keeps_earlier_rejects(self, folder: Path, out: Path, tmp_path: Path) -> None:
        for number in range(8):
            fill(folder, {f"cats/cut{number}.png": png(photo(50, 50, number))[:-20]})
        interrupt(folder, out, on_error="skip")
        run(folder, out, on_error="skip", resume=True)
        run(folder, tmp_path / "fresh", on_error="skip")
        assert tree(out) == tree(tmp_path / "fresh")

    @pytest.mark.parametrize("renames", range(12))
    def test_resuming_completes_a_commit(
        self, folder: Path, out: Path, fresh: dict[str, bytes], renames: int
    ) -> None:
        with (
            disk_full_after(renames),
            pytest.raises(RunError, match=r"No space left on device; `tfrec write .* resumes"),
        ):
            run(folder, out)
        assert not list(out.glob("*.manifest.json"))
        run(folder, out, resume=True)
        assert tree(out) == fresh

    def test_resuming_keeps_shards_that_the_commit_has_renamed(
        self, folder: Path, out: Path
    ) -> None:
        with disk_full_after(8), pytest.raises(RunError):
            run(folder, out)
        before = {path: path.stat().st_ino for path in out.glob("*.tfrecord")}
        assert before
        run(folder, out, resume=True)
        assert {path: path.stat().st_ino for path in before} == before

    def test_resuming_after_a_bug_works_and_the_bug_stays_the_error(
        self, folder: Path, out: Path, fresh: dict[str, bytes]
    ) -> None:
        interrupt(folder, out, ZeroDivisionError)
        run(folder, out, resume=True)
        assert tree(out) == fresh

    def test_resuming_an_overwrite_replaces_the_old_dataset(
        self, folder: Path, out: Path, tmp_path: Path, fresh: dict[str, bytes]
    ) -> None:
        run(folder, out, shards=3)
        before = tree(out)
        interrupt(folder, out, overwrite=True)
        after = {name: data for name, data in tree(out).items() if PARTIAL not in name}
        assert after == before
        run(folder, out, overwrite=True, resume=True)
        assert tree(out) == fresh

    def test_resuming_an_overwrite_replaces_files_of_equal_names_and_sizes(
        self, folder: Path, out: Path, tmp_path: Path
    ) -> None:
        """The old files are not taken for new ones."""
        plain = folder / "owls/plain.bmp"
        plain.write_bytes(save(photo(59, 42, 12), "BMP"))
        run(folder, out)
        plain.write_bytes(save(photo(59, 42, 99), "BMP"))
        interrupt(folder, out, overwrite=True)
        run(folder, out, overwrite=True, resume=True)
        run(folder, tmp_path / "fresh")
        assert tree(out) == tree(tmp_path / "fresh")

    def test_resume_writes_everything_if_nothing_was_begun(
        self, folder: Path, out: Path, fresh: dict[str, bytes]
    ) -> None:
        run(folder, out, resume=True)
        assert tree(out) == fresh

    def test_resume_does_nothing_if_all_is_done(
        self, folder: Path, out: Path, fresh: dict[str, bytes]
    ) -> None:
        first = run(folder, out)
        fill(out / PARTIAL, {"journal.json": b"left by a kill in the last moment"})
        before = {path: path.stat().st_mtime_ns for path in out.glob("[!.]*")}
        again = run(folder, out, resume=True)
        assert report.text(first).startswith("wrote 13 records in 4 shards to ")
        assert report.text(again).startswith("already written: 13 records in 4 shards to ")
        assert (again.manifest, again.rejects) == (first.manifest, first.rejects)
        assert tree(out) == fresh
        assert {path: path.stat().st_mtime_ns for path in out.glob("[!.]*")} == before


def add(folder: Path) -> None:
    fill(folder, {"cats/new.png": png(photo(50, 50))})


def remove(folder: Path) -> None:
    (folder / "cats/gray.jpg").unlink()


def touch(folder: Path) -> None:
    os.utime(folder / "cats/gray.jpg", ns=(1, 1))


def add_text(folder: Path) -> None:
    fill(folder, {"cats/new.txt": b"x"})


@pytest.mark.promise("I4")
@pytest.mark.parametrize("change", [add, remove, touch, add_text])
def test_images_may_change_before_a_write_is_resumed(
    folder: Path, out: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    interrupt(folder, out)
    change(folder)
    run(folder, out, resume=True)
    run(folder, tmp_path / "fresh")
    assert tree(out) == tree(tmp_path / "fresh")


def shards_of(folder: Path) -> dict[str, int]:
    """Return when each shard was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.tfrecord")}


@pytest.mark.parametrize("options", [{}, {"crop": (30, 30)}], ids=str)
def test_a_bad_image_leaves_the_intact_shards_for_resume(
    folder: Path, out: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    """With ``skip`` they are kept; if the image was replaced, only its shard is made again."""
    path = folder / "dogs/broken.jpg"
    sound = jpeg(photo(60, 60))
    path.write_bytes(sound[:-40] + b"\xff\xd8" + sound[-38:-2])
    with pytest.raises(BadImagesError, match=r"add resume to reuse the complete shards$") as error:
        run(folder, out, **options)
    assert "broken.jpg: " in str(error.value)
    assert "; on_error skip leaves it out; " in str(error.value)
    kept = shards_of(out / PARTIAL)
    assert len(kept) == 4
    left = tmp_path / "left"
    shutil.copytree(out, left)  # with times
    run(folder, out, **options, resume=True, on_error="skip")
    run(folder, tmp_path / "fresh", **options, on_error="skip")
    assert tree(out) == tree(tmp_path / "fresh")
    assert len(shards_of(out).items() & kept.items()) == 3

    kept = shards_of(left / PARTIAL)
    path.write_bytes(sound)
    run(folder, left, **options, resume=True)
    run(folder, tmp_path / "sound", **options)
    assert tree(left) == tree(tmp_path / "sound")
    assert len(shards_of(left).items() & kept.items()) == 3


def test_after_bad_images_a_write_without_resume_starts_over(folder: Path, out: Path) -> None:
    path = folder / "dogs/broken.jpg"
    path.write_bytes(jpeg(photo(60, 60))[:-40])
    with pytest.raises(BadImagesError):
        run(folder, out)
    path.unlink()
    run(folder, out)
    assert not (out / PARTIAL).exists()


def test_a_write_ends_at_a_thousand_bad_images(
    folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "MOST_NAMED", 3)
    for number in range(9):
        fill(folder, {f"dogs/{number}.jpg": jpeg(photo(60, 60, number))[:-40]})
    with pytest.raises(BadImagesError, match=r"at least [3-5] of"):
        run(folder, out, shards=9)


def test_ignored_files_do_not_count_as_bad_images(
    folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "MOST_NAMED", 3)
    fill(folder, {f"dogs/{number}.txt": b"a box" for number in range(5)})
    fill(folder, {f"dogs/cut{number}.jpg": jpeg(photo(60, 60))[:-40] for number in range(2)})
    with pytest.raises(BadImagesError, match=r": 2 of 15 images cannot be used") as error:
        run(folder, out, shards=8)
    assert [line[:13] for line in error.value.details] == ["dogs/cut0.jpg", "dogs/cut1.jpg"]


class TestIsRefused:
    @pytest.mark.parametrize(
        ("options", "what"),
        [
            ({"crop": (32, 32)}, "crop was not given, now 32x32"),
            ({"shards": 3}, "shards was 4, now 3"),
            ({"shuffle_seed": None}, "shuffle_seed was 0, now not given"),
            ({"check": "decode"}, "check was structure, now decode"),
            ({"strip_metadata": True}, "strip_metadata was not given, now True"),
            ({"check": "decode", "shards": 3}, "check was structure, now decode (and 1 more)"),
        ],
        ids=str,
    )
    def test_resuming_with_another_option_is_refused(
        self, folder: Path, out: Path, options: dict[str, Any], what: str
    ) -> None:
        partial = interrupt(folder, out)
        before = tree(out)
        with pytest.raises(RunError) as refused:
            run(folder, out, **options, resume=True)
        assert str(refused.value) == (
            f"{partial}: found an unfinished write of something else: {what}; "
            f"`tfrec write {folder} {out} --shards 4 --jobs 1 --resume` resumes it, "
            "overwrite starts over"
        )
        assert tree(out) == before

    def test_resuming_with_another_pillow_is_refused(
        self, folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        interrupt(folder, out)
        versions = normalize.versions()
        monkeypatch.setattr(normalize, "versions", lambda _: {**versions, "pillow": "99"})
        with pytest.raises(RunError, match=r"of something else: pillow was .*, now 99;"):
            run(folder, out, resume=True)

    def test_resuming_onto_another_dataset_is_refused(self, folder: Path, out: Path) -> None:
        run(folder, out)
        before = tree(out)
        with pytest.raises(RunError, match="of something else: crop was not given, now 32x32;"):
            run(folder, out, crop=(32, 32), resume=True)
        assert tree(out) == before

    def test_resuming_after_an_image_was_removed_is_refused(self, folder: Path, out: Path) -> None:
        run(folder, out)
        before = tree(out)
        remove(folder)
        with pytest.raises(
            RunError, match="something else: the images or their image list changed"
        ):
            run(folder, out, resume=True)
        assert tree(out) == before

    def test_resuming_after_an_image_changed_is_refused(self, folder: Path, out: Path) -> None:
        """To one of the same size, so that only the content differs."""
        run(folder, out)
        before = tree(out)
        os.utime(folder / "cats/gray.jpg")
        with pytest.raises(RunError, match=r"something else: cats/gray\.jpg changed since;"):
            run(folder, out, resume=True)
        assert tree(out) == before

    @pytest.mark.parametrize(
        "name",
        ["train-00001-of-00004.tfrecord", "train-00002-of-00004.tfindex", "train.targets"],
    )
    @pytest.mark.parametrize("how", ["flipped", "gone"])
    def test_resuming_a_damaged_dataset_is_refused(
        self, folder: Path, out: Path, fresh: dict[str, bytes], name: str, how: str
    ) -> None:
        run(folder, out)
        data = bytearray((out / name).read_bytes())
        data[-1] ^= 1
        (out / name).unlink()
        if how == "flipped":
            (out / name).write_bytes(data)
        with pytest.raises(RunError, match=f"something else: {name} is damaged or missing;"):
            run(folder, out, resume=True)
        run(folder, out, resume=True, overwrite=True)
        assert tree(out) == fresh

    def test_an_unfinished_write_is_refused_without_resume(self, folder: Path, out: Path) -> None:
        partial = interrupt(folder, out)
        with pytest.raises(RunError) as refused:
            run(folder, out)
        assert str(refused.value) == (
            f"{partial}: found an unfinished write, expected none: "
            f"`tfrec write {folder} {out} --shards 4 --jobs 1 --resume` resumes it, "
            "overwrite starts over"
        )


def test_overwrite_starts_over_an_unfinished_write_of_something_else(
    folder: Path, out: Path, fresh: dict[str, bytes]
) -> None:
    interrupt(folder, out, crop=(32, 32))
    run(folder, out, overwrite=True)
    assert tree(out) == fresh


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(crop=(3, 4), shuffle_seed=None, index=False, overwrite=True, jobs=3),
        Options(index=True, labels="a b.txt", on_error="skip", max_errors="1%", max_pixels=7),
        Options(strip_metadata=True),
        Options(crop=(5, 5), shuffle_seed=9, shard_size=1000, resize_short=8, alpha="white"),
    ],
)
def test_the_suggested_command_resumes_the_same_write(
    folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch, options: Options
) -> None:
    words = shlex.split(journal._resume_command(folder, out, options))
    seen = mock.patch("tfrec_cli.commands.write.write", side_effect=RunError("seen"))
    with seen as called, pytest.raises(RunError):
        cli.main(words[1:], standalone_mode=False)
    assert called.call_args.args[:3] == (folder, out, dataclasses.replace(options, resume=True))


@pytest.mark.parametrize("below", [".", "a"])
def test_an_unfinished_write_is_refused_as_a_source(folder: Path, out: Path, below: str) -> None:
    """Otherwise --overwrite would remove the images that it reads."""
    partial = interrupt(folder, out)
    (partial / below).mkdir(exist_ok=True)
    before = tree(out)
    with pytest.raises(UsageError, match="found the folder of an unfinished write"):
        run(partial / below, out, overwrite=True)
    assert tree(out) == before


def test_a_pipe_in_an_images_place_is_not_waited_for(folder: Path, out: Path) -> None:
    def swap(what: str, done: int, total: int) -> None:
        if what == "writing" and not done:
            (folder / "cats/gray.jpg").unlink()
            os.mkfifo(folder / "cats/gray.jpg")

    with pytest.raises(DataError, match=r"cats/gray\.jpg: the file changed"):
        write(folder, out, Options(jobs=1), swap)


def test_wrong_data_leaves_nothing_to_resume(folder: Path, out: Path) -> None:
    fill(folder, {"cats/cut.png": png(photo(50, 50))[:-20]})
    with pytest.raises(DataError):
        run(folder, out, on_error="skip", max_errors="0")
    assert not out.exists()


def test_an_image_that_cannot_be_read_for_a_while_loses_no_work(folder: Path, out: Path) -> None:
    """As on a network file system with errors."""
    away = folder / "owls/web.webp"

    def stumble(what: str, done: int, total: int) -> None:
        if what == "writing" and done and away.exists():
            wait_for(lambda: list((out / PARTIAL).glob("*" + NOTE_SUFFIX)))
            away.rename(folder.parent / "away")

    options = Options(jobs=1, shards=4, shuffle_seed=None)
    with pytest.raises(UnreadableError, match=r"web\.webp: cannot be read: "):
        write(folder, out, options, stumble)
    (folder.parent / "away").rename(away)
    write(folder, out, dataclasses.replace(options, resume=True))
    again = folder.parent / "again"
    write(folder, again, options)
    assert tree(out) == tree(again)


def test_a_file_that_changes_during_the_write_is_refused(folder: Path, out: Path) -> None:
    def change(what: str, done: int, total: int) -> None:
        if what == "writing" and not done:
            touch(folder)

    with pytest.raises(DataError, match=r"gray\.jpg: the file changed after it was listed"):
        write(folder, out, Options(jobs=1), change)
    assert not out.exists()


class TestLock:
    @pytest.fixture
    def holder(self, out: Path) -> Any:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(out)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout
        assert process.stdout.readline() == "locked\n"
        with process:
            yield process
            process.kill()

    def test_a_second_writer_is_refused(
        self, folder: Path, out: Path, holder: subprocess.Popen[str]
    ) -> None:
        for options in ({}, {"overwrite": True}, {"resume": True}, {"split": "val"}):
            with pytest.raises(RunError, match=f"process {holder.pid} on .* is writing here"):
                run(folder, out, **options)
        assert set(tree(out)) == {".tfrec.lock"}

    @pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
    def test_a_lock_that_is_not_a_file_is_left_alone(
        self, folder: Path, out: Path, tmp_path: Path, kind: str
    ) -> None:
        fill(tmp_path, {"thesis": b"precious"})
        out.mkdir()
        lock = out / ".tfrec.lock"
        {
            "link": lambda: lock.symlink_to("../thesis"),
            "pipe": lambda: os.mkfifo(lock),
            "folder": lock.mkdir,
        }[kind]()
        with pytest.raises(RunError, match=r"\.tfrec\.lock: "):
            run(folder, out)
        assert (tmp_path / "thesis").read_bytes() == b"precious"
        assert [path.name for path in out.iterdir()] == [".tfrec.lock"]

    def test_a_lock_of_a_dead_process_does_not_block(
        self, folder: Path, out: Path, holder: subprocess.Popen[str], fresh: dict[str, bytes]
    ) -> None:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        run(folder, out)
        assert tree(out) == fresh


KILLER = """
import os, signal, sys, time
from tfrec_cli.imaging import normalize, pillow_decoder; from tfrec_cli.runtime import heartbeat
from tfrec_cli.writing import survey

import tfrec_cli.runtime.pool
heartbeat.ITEM_SECONDS = 0.2
DEADLY = {{b"kill": lambda: os.kill(os.getpid(), signal.SIGSEGV),
          b"last": lambda: sum(iter(int, 1))}}

def guarded(real):
    def stand_in(data, *arguments, **named):
        content = data if isinstance(data, bytes) else data.read()
        for mark, act in DEADLY.items():
            if content.endswith(mark):
                act()
        if data is not content:
            data.seek(0)
        return real(data, *arguments, **named)
    return stand_in

{function} = guarded({function})
"""


def run_with_killer(tmp_path: Path, function: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ``tfrec WORDS`` where the last bytes of an image can make its decoder die, or loop."""
    (tmp_path / "sitecustomize.py").write_text(KILLER.format(function=function))  # for workers too
    return subprocess.run(
        [sys.executable, "-m", "tfrec_cli", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2", "3"])
@pytest.mark.parametrize("function", ["survey.read_header", "normalize.store_whole"])
def test_only_an_image_that_kills_its_decoder_is_rejected(
    tmp_path: Path, function: str, jobs: str
) -> None:
    """By a signal or a time limit, while headers are read or shards are written."""
    files = {f"a/{number}.png": png(photo(30, 30, number)) for number in range(20)}
    fill(tmp_path / "src", files)
    marks = {"a/dies.png": b"kill", "a/dies2.png": b"kill", "a/lasts.png": b"last"}
    fill(tmp_path / "src", {name: png(photo(30, 30)) + mark for name, mark in marks.items()})
    out = tmp_path / "out"
    words = ["write", str(tmp_path / "src"), str(out), "-j", jobs, "--shards", "3"]
    ran = run_with_killer(tmp_path, function, *words, "--on-error", "skip")
    assert (ran.returncode, ran.stderr) == (0, "")
    found = rejects_file.parse((out / "train.rejects.jsonl").read_bytes(), out)
    assert [(one.path, one.reason, str(one)) for one in found] == [
        (b"a/dies.png", "deadly", DIED.format("dies")),
        (b"a/dies2.png", "deadly", DIED.format("dies2")),
        (b"a/lasts.png", "deadly", "a/lasts.png: found over 60 s of decoding, " + DECODES),
    ]
    assert manifest.load(out / "train.manifest.json").records == len(files)


DECODES = "expected an image that decodes"
DIED = "a/{}.png: found a decoder that ended with SIGSEGV, " + DECODES


def test_an_image_that_kills_its_decoder_fails_the_write(tmp_path: Path) -> None:
    fill(tmp_path / "src", {**class_files(), "cats/dies.png": png(photo(30, 30)) + b"kill"})
    words = ["write", str(tmp_path / "src"), str(tmp_path / "out")]
    ran = run_with_killer(tmp_path, "normalize.store_whole", *words)
    assert (ran.returncode, (tmp_path / "out").exists()) == (1, False)
    assert ran.stderr.startswith(f"tfrec: {tmp_path}/src/cats/dies.png: found a decoder that ended")


def test_verify_names_an_image_that_kills_its_decoder(tmp_path: Path) -> None:
    """And checks the others."""
    fill(tmp_path / "src", {f"{number}.png": png(photo(30, 30, number)) for number in range(6)})
    fill(tmp_path / "src", {"dies.png": png(photo(30, 30)) + b"kill"})
    run(tmp_path / "src", tmp_path / "out", shards=1, shuffle_seed=None)
    ran = run_with_killer(
        tmp_path, "pillow_decoder.decoded_size", "verify", str(tmp_path / "out"), "-j2"
    )
    assert (ran.returncode, ran.stderr) == (1, "")
    lines = [line for line in ran.stdout.splitlines() if "train-00000" in line]
    assert len(lines) == 1
    assert lines[0].endswith(f": found a decoder that ended with SIGSEGV, {DECODES}")
    assert " record 6 at byte " in lines[0]


def test_an_old_write_with_a_removed_option_can_be_resumed() -> None:
    before = {"crop": None, "decoder": "tensorflow", "shards": 4}
    assert list(journal.changes(before, {"crop": None, "shards": 4}, "--{}")) == []
