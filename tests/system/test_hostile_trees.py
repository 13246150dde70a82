"""Hostile names, links, devices and folders through the command line.

Each gives the right exit code and one clear line, in less than 2 seconds of CPU time and 300 MB,
and leaves nothing half written.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Measured, fill, jpeg, measured, photo, png, tree

from tfrec_cli.dataset import records
from tfrec_cli.tfrecord.example import decode
from tfrec_cli.tfrecord.scan import read_records

pytestmark = pytest.mark.slow

GOOD = png(photo(9, 8))
MOST_SECONDS, MOST_MEBIBYTES = 2, 286  # 300 MB


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Make a folder with SRC, which has one class of one good image."""
    place = tmp_path / "place"
    fill(place / "src", {"a/good.png": GOOD})
    return place


def write(place: Path, *argv: str | Path, before: tuple[str, ...] = ()) -> Measured:
    """Write within the limits of time and memory; without paths, ``src`` to ``out``."""
    is_told = argv[:1] == ("--",) or not str((*argv, "--")[0]).startswith("--")
    words = argv if is_told else ("src", "out", *argv)
    ran = measured(place, "write", "-j1", *words, before=before)
    assert ran.cpu_seconds < MOST_SECONDS
    assert ran.mebibytes < MOST_MEBIBYTES
    return ran


def skipping(place: Path, before: tuple[str, ...] = ()) -> Measured:
    return write(place, "--on-error", "skip", "-v", before=before)


def written(place: Path, out: str = "out") -> set[bytes]:
    """Return the names in the records of ``out``."""
    names = {}
    for path in (place / out).glob("*.tfrecord"):
        for record in read_records(path):
            one = records.decode(decode(record.payload), records.NAMES["plain"])
            names[one.filename] = one.image
    return {name for name in names if name}


def rejected(place: Path) -> dict[str, str]:
    lines = (place / "out" / "train.rejects.jsonl").read_text().splitlines()
    return {one["path"]: one["reason"] for one in map(json.loads, lines)}


def put(place: Path, name: bytes, data: bytes = GOOD) -> None:
    with open(os.path.join(os.fsencode(place / "src" / "a"), name), "wb") as file:
        file.write(data)


class TestNames:
    NAMES = (
        b"new\nline.png",
        b"\x1b]0;owned\x07.png",
        b"caf\xe9.png",
        "🦉.png".encode(),
        "\u202egnp.exe.png".encode(),
        b"x" * 251 + b".png",
        b"--overwrite",
        b"-rf",
        b"$(touch owned).png",
        b"*?[a].png",
        b"a\\b.png",
    )

    def test_names_of_any_bytes_are_stored_unchanged(self, place: Path) -> None:
        for name in self.NAMES:
            put(place, name)
        assert skipping(place).code == 0
        assert written(place) == {b"a/" + name for name in (*self.NAMES, b"good.png")}

    def test_names_are_escaped_in_all_output(self, place: Path) -> None:
        """In the lines about rejects, and in the text of every other command."""
        for name in self.NAMES:
            put(place, name[:250] + b".bad", b"no image")
            put(place, name)
        runs = [skipping(place)]
        runs += [
            measured(place, *argv.split())
            for argv in (
                "inspect out --html page.html --contact-sheet sheet.png",
                "inspect out --records 30",
                "verify out --source src",
                "verify out --source out",
            )
        ]
        text = "".join(ran.out + ran.err for ran in runs)
        text += (place / "page.html").read_text(encoding="utf-8")
        assert {sign for sign in text if not sign.isprintable()} == {"\n"}
        assert [ran.code for ran in runs] == [0, 0, 0, 0, 1]

    @pytest.mark.parametrize(
        ("kept", "twin"), [("A.png", "a.png"), ("e\u0301.png", "\u00e9.png"), ("K", "\u212a")]
    )
    def test_names_that_other_file_systems_confuse_are_written_once(
        self, place: Path, kept: str, twin: str
    ) -> None:
        put(place, kept.encode())
        put(place, twin.encode())
        assert skipping(place).code == 0
        assert rejected(place) == {f"a/{twin}": "path_collision"}

    def test_names_of_folders_may_begin_with_a_dash(self, place: Path) -> None:
        (place / "src").rename(place / "-src")
        assert write(place, "--", "-src", "-out").code == 0
        assert written(place, "-out") == {b"a/good.png"}


class TestLinks:
    @pytest.mark.parametrize("target", ["nowhere", "link", "good.png/below", "n" * 300])
    def test_links_that_lead_nowhere_are_rejected(self, place: Path, target: str) -> None:
        (place / "src" / "a" / "link").symlink_to(target)
        assert skipping(place).code == 0
        assert rejected(place) == {"a/link": "unreadable"}

    @pytest.mark.parametrize("target", ["..", ".", "/", "../../src"])
    def test_links_to_folders_are_not_followed(self, place: Path, target: str) -> None:
        (place / "src" / "a" / "link").symlink_to(target)
        assert skipping(place).code == 0
        assert rejected(place) == {"a/link": "linked_folder"}

    @pytest.mark.parametrize(
        ("target", "reason"),
        [
            ("/dev/zero", "not_a_regular_file"),
            ("/dev/stdin", "not_a_regular_file"),
            ("/proc/self/mem", "empty"),
            ("/proc/kmsg", "empty"),
            ("/etc/passwd", "not_an_image"),
        ],
    )
    def test_links_to_other_files_are_rejected(self, place: Path, target: str, reason: str) -> None:
        if not os.path.exists(target):
            pytest.skip(f"{target}: found none on this system")
        (place / "src" / "a" / "link.png").symlink_to(target)
        (place / "src" / "a" / "link.txt").symlink_to(target)
        assert skipping(place).code == 0
        assert rejected(place)["a/link.png"] == reason

    def test_links_to_source_and_out_are_followed(self, place: Path) -> None:
        (place / "images").symlink_to("src")
        (place / "real").mkdir()
        (place / "out").symlink_to("real")
        assert write(place, "images", "out").code == 0
        assert written(place, "real") == {b"a/good.png"}


class TestSpecialFiles:
    def test_pipes_sockets_and_devices_are_not_opened(self, place: Path) -> None:
        os.mkfifo(place / "src" / "a" / "pipe.jpg")
        before = os.getcwd()
        os.chdir(place / "src" / "a")  # the path of a socket may have 108 bytes
        with socket.socket(socket.AF_UNIX) as one:
            one.bind("socket.jpg")
            os.chdir(before)
        ran = skipping(place)
        expected = dict.fromkeys(["a/pipe.jpg", "a/socket.jpg"], "not_a_regular_file")
        assert (ran.code, rejected(place)) == (0, expected)

    def test_a_pipe_stops_a_job_that_stops_at_errors(self, place: Path) -> None:
        os.mkfifo(place / "src" / "a" / "pipe.jpg")
        ran = write(place)
        assert (ran.code, ran.err, list(place.glob("out/[!.]*"))) == (
            1,
            "tfrec: src/a/pipe.jpg: found a pipe, socket or device, expected a file; "
            "--on-error skip leaves it out; add --resume to reuse the complete shards\n",
            [],
        )

    @pytest.mark.parametrize(
        ("head", "size_bytes"),
        [(b"", 2**40), (GOOD, 2**40), (GOOD, 2**30 - 1), (jpeg(photo(9, 8)), 2**30 - 1)],
        ids=["nothing", "a PNG", "a PNG below the limit", "a JPEG below the limit"],
    )
    def test_sparse_files_are_not_read(self, place: Path, head: bytes, size_bytes: int) -> None:
        put(place, b"sparse.jpg", head)
        os.truncate(place / "src" / "a" / "sparse.jpg", size_bytes)
        assert skipping(place).code == 0
        assert rejected(place) == {"a/sparse.jpg": "too_large"}

    def test_a_sparse_text_file_is_ignored(self, place: Path) -> None:
        put(place, b"sparse.txt", b"")
        os.truncate(place / "src" / "a" / "sparse.txt", 2**40)
        assert (write(place).code, rejected(place)) == (0, {"a/sparse.txt": "sidecar"})


class TestPermissions:
    """As another user: root may do everything."""

    NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")

    @pytest.fixture
    def shared(self) -> Iterator[Path]:
        """Make a folder with SRC that another user may reach and write."""
        if os.geteuid() != 0 or not shutil.which("setpriv"):
            pytest.skip("found no root with setpriv: only they become another user")
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "place"
            fill(place / "src", {"a/good.png": GOOD})
            for one in (place.parent, place):
                one.chmod(0o777)
            if measured(place, "--help", before=self.NOBODY).code:
                pytest.skip("found a Python that only root may start")
            yield place

    def test_an_unreadable_file_is_named(self, shared: Path) -> None:
        (shared / "src" / "a" / "good.png").chmod(0)
        ran = write(shared, before=self.NOBODY)
        assert (ran.code, ran.err, (shared / "out").exists()) == (
            1,
            "tfrec: src/a/good.png: cannot be read: Permission denied; "
            "--on-error skip leaves it out\n",
            False,
        )

    @pytest.mark.parametrize("skips", [False, True])
    def test_an_unreadable_folder_stops_the_job(self, shared: Path, skips: bool) -> None:
        """Its files would be lost without a message."""
        (shared / "src" / "a").chmod(0)
        ran = (skipping if skips else write)(shared, before=self.NOBODY)
        assert (ran.code, ran.err, (shared / "out").exists()) == (
            3,
            "tfrec: src/a: Permission denied\n",
            False,
        )

    def test_a_folder_that_can_only_be_listed_is_an_error(self, shared: Path) -> None:
        (shared / "src" / "a").chmod(0o444)
        ran = write(shared, before=self.NOBODY)
        assert (ran.code, ran.err, (shared / "out").exists()) == (
            1,
            "tfrec: src/a/good.png: found Permission denied, expected a file; "
            "--on-error skip leaves it out\n",
            False,
        )

    def test_an_out_that_cannot_be_written_is_an_error(self, shared: Path) -> None:
        shared.chmod(0o555)
        ran = write(shared, before=self.NOBODY)
        assert (ran.code, ran.err) == (3, "tfrec: out: cannot be written: Permission denied\n")


class TestPlaces:
    @pytest.mark.parametrize(
        ("source", "out", "code", "message"),
        [
            ("src", "src", 2, "src: found the folder of the images, expected another one"),
            ("src", "link", 2, "link: found the folder of the images, expected another one"),
            (
                "src",
                "src/a",
                2,
                "src/a: found a folder inside src, the folder of the images, expected one outside "
                "of it",
            ),
            (
                "src",
                ".",
                3,
                ".: found other files (link…), expected an empty folder or a dataset (--overwrite)",
            ),
        ],
    )
    def test_places_that_are_equal_or_taken_are_refused(
        self, place: Path, source: str, out: str, code: int, message: str
    ) -> None:
        (place / "link").symlink_to("src")
        before = tree(place)
        ran = write(place, source, out)
        assert (ran.code, ran.error, tree(place)) == (code, f"tfrec: {message}\n", before)


class TestLabelFiles:
    @pytest.mark.parametrize("name", ["../secret", "/etc", "..", ".", "a//b", "a\0b"])
    def test_class_names_that_are_paths_are_refused(self, place: Path, name: str) -> None:
        (place / "labels.txt").write_text(f"a\n{name}\n")
        ran = write(place, "--labels", "labels.txt")
        message = f"--labels labels.txt: found {name!r}, expected the name of a folder"
        assert (ran.code, ran.error, (place / "out").exists()) == (2, f"tfrec: {message}\n", False)

    def test_a_label_file_that_never_ends_is_refused(self, place: Path) -> None:
        os.truncate(fill(place, {"labels.txt": b""}) / "labels.txt", 2**40)
        ran = write(place, "--labels", "labels.txt")
        message = "--labels labels.txt: found a larger file, expected at most 16777216 bytes"
        assert (ran.code, ran.error) == (2, f"tfrec: {message}\n")

    def test_a_label_file_of_many_lines_is_refused_at_once(self, place: Path) -> None:
        lines = "".join(f"{number}\n" for number in range(300_000))
        (place / "labels.txt").write_text(f"{lines}a\n0\n")
        ran = write(place, "--labels", "labels.txt")
        message = "--labels labels.txt: found '0' twice, expected it once"
        assert (ran.code, ran.error) == (2, f"tfrec: {message}\n")


class TestFolders:
    @pytest.mark.parametrize("kind", [b"%06d.png", b".%06d.png"], ids=["images", "hidden"])
    def test_a_folder_of_many_files_takes_little_memory(self, place: Path, kind: bytes) -> None:
        """A million files take 280 MiB to list; here they are fewer."""
        for number in range(3_000):
            put(place, kind % number, b"")
        ran = skipping(place)
        assert (ran.code, len(rejected(place))) == (0, 3_000)

    def test_folders_may_be_deeper_than_the_recursion_limit(self, place: Path) -> None:
        deep = place / "src" / "a"
        for _ in range(1_200):
            deep /= "d"
            deep.mkdir()
        (deep / "1.png").write_bytes(GOOD)
        try:
            assert write(place).code == 0
            assert written(place) == {b"a/good.png", b"a/" + b"d/" * 1_200 + b"1.png"}
        finally:  # pytest cannot remove folders this deep
            (deep / "1.png").unlink()
            for _ in range(1_200):
                deep.rmdir()
                deep = deep.parent

    @pytest.mark.parametrize("what", ["class", "file"])
    def test_files_and_folders_may_vanish_during_the_listing(
        self, place: Path, what: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After the parent folder was listed, or before the files are examined."""
        from tfrec_cli.errors import RunError
        from tfrec_cli.sources import folder

        right: Callable[..., object] = folder._entry

        def entry(*args: object) -> object:
            found = right(*args)
            gone = place / "src" / "a" / ("good.png" if what == "file" else "")
            if what == "class":
                shutil.rmtree(gone, ignore_errors=True)
            return found

        monkeypatch.setattr(folder, "_entry", entry)
        if what == "class":
            with pytest.raises(RunError) as error:
                folder.list_folder(place / "src")
            assert str(error.value) == f"{place}/src/a: No such file or directory"
        else:
            assert len(folder.list_folder(place / "src").sources) == 1
