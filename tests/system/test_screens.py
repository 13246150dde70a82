"""The final screen of every command on a terminal, and what is in colour."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pyte
import pytest
from conftest import ROOT, needs

SLOW = """
import sys, time
from tfrec_cli.cli import progress
progress.DELAY_S = progress._INTERVAL_S = 0
from tfrec_cli.__main__ import main
main()
"""
"""The program; steps show their line at once."""

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": os.environ.get("HOME", "/"),
    "TERM": "xterm-256color",
    "PYTHONPATH": str(ROOT),
    "LC_ALL": "C.UTF-8",
}


def on_terminal(
    folder: Path, *argv: str, columns: int = 80, resized: int = 0, **environment: str
) -> tuple[list[str], str]:
    """Run the program in a terminal. Returns the lines of its final screen, and all it wrote."""
    master, slave = pty.openpty()

    def resize(width: int) -> None:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))

    resize(columns)
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, *argv],
        cwd=folder,
        env={**ENVIRONMENT, **environment},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    ) as process:
        screen = pyte.Screen(columns, 50)
        stream = pyte.ByteStream(screen)
        written = b""
        if resized:
            while b"|" not in written and process.poll() is None:  # the first line of progress
                written += os.read(master, 1 << 16)
            os.killpg(process.pid, signal.SIGSTOP)  # what it wrote has the old width
            while select.select([master], [], [], 0.2)[0]:
                written += os.read(master, 1 << 16)
            stream.feed(written)
            resize(resized)
            screen.resize(50, resized)
            for number in (signal.SIGWINCH, signal.SIGCONT):
                os.killpg(process.pid, number)
        os.close(slave)
        with contextlib.suppress(OSError):  # on Linux, the end
            while data := os.read(master, 1 << 16):
                stream.feed(data)
                written += data
    os.close(master)
    lines = [line.rstrip() for line in screen.display]
    return lines[
        : max((n + 1 for n, line in enumerate(lines) if line), default=0)
    ], written.decode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("screens")
    for number in range(6):
        shutil.copytree(ROOT / "sample_data/images", made / f"images/{number}")
    assert on_terminal(made, "write", "images", "out", "--labels", "top")[0]
    for part, labels in (("first", "label=0,1,2"), ("second", "label=3,4,5")):
        assert on_terminal(made, "reshard", "out", part, "--where", labels)[0]
    return made


COMMANDS = {
    "write": (["write", "images", "made", "--labels", "none", "--overwrite"], "wrote 240 records"),
    "verify": (["verify", "out"], "out: 240 records in 1 shard"),
    "inspect": (["inspect", "out"], "file"),
    "extract": (["extract", "out", "{new}"], "wrote 240 files"),
    "reshard": (["reshard", "out", "{new}", "--shards", "3"], "copied 240 records"),
    "merge": (["merge", "first", "second", "{new}"], "merged 240 records"),
    "salvage": (
        ["salvage", "out/train-00000-of-00001.tfrecord", "{new}"],
        "{new}: 240 intact records",
    ),
}


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.parametrize("command", COMMANDS)
def test_the_final_screen_is_what_a_pipe_gets(folder: Path, command: str, columns: int) -> None:
    argv, start = json.loads(json.dumps(COMMANDS[command]).replace("{new}", f"{command}-{columns}"))
    lines, written = on_terminal(folder, *argv, columns=columns)
    assert lines[0].startswith(start), lines[:3]
    if command in ("write", "verify", "extract", "reshard"):
        assert re.search(r"\r[a-z ]+: .*\|.*(/s|\?), .* left", written), written[:500]
    text = re.sub(r"\x1b\[[0-9;]*[mK]|.*\r(?!\n)", "", written.replace("\r\n", "\n"))
    wrapped = [
        line[at : at + columns].rstrip()
        for line in text.rstrip("\n").split("\n")
        for at in range(0, max(len(line), 1), columns)
    ]
    assert lines == wrapped


WIDE_SOURCE, WIDE = "写真" * 30, "猫" * 40
"""Names of a folder and a dataset, each wider than 80 columns."""


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("wide")
    shutil.copytree(ROOT / "sample_data/images", made / WIDE_SOURCE)
    assert on_terminal(made, "write", WIDE_SOURCE, WIDE)[0]
    return made


@pytest.mark.parametrize(
    ("argv", "start", "step"),
    [
        (["write", WIDE_SOURCE, "new"], "wrote 40 records", "writing"),
        (["write", WIDE_SOURCE, WIDE, "--overwrite"], "wrote 40 records", "writing"),
        (["verify", WIDE], f"{WIDE}: 40 records in 1 shard", "checking shards"),
        (["extract", WIDE, WIDE_SOURCE + "2"], "wrote 40 files", "extracting"),
    ],
)
def test_progress_leaves_nothing_beside_wide_characters_and_long_paths(
    wide: Path, argv: list[str], start: str, step: str
) -> None:
    lines, written = on_terminal(wide, *argv)
    assert f"\r{step}: " in written
    assert "".join(lines[:2]).startswith(start)
    assert not [line for line in lines if step in line]


def test_the_count_of_listed_images_is_shown_and_gone_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number in range(2_500):
        (tmp_path / f"images/{number}.jpg").touch()
    lines, written = on_terminal(tmp_path, "write", "images", "out")
    assert "\rlisting: 2000 found" in written
    assert lines[0].startswith("tfrec: ")
    assert not [line for line in lines if "listing" in line]


@needs("tensorflow")
def test_verify_seed_counts_the_crops_of_both_readers(folder: Path) -> None:
    """All 240, and every second one again."""
    lines, written = on_terminal(folder, "verify", "out", "--seed", "42", "--crop", "16")
    assert "reading crops: 360/360 " in written
    assert lines[0].startswith("out: 240 records in 1 shard")
    assert not [line for line in lines if "reading crops" in line]


def test_nothing_is_left_of_progress_after_a_terminal_got_narrower(folder: Path) -> None:
    argv = ["write", "images", "resized", "--labels", "none"]
    lines, _ = on_terminal(folder, *argv, columns=200, resized=60)
    assert lines[0].startswith("wrote 240 records")


def test_an_error_begins_on_a_clean_line(folder: Path) -> None:
    lines, _ = on_terminal(folder, "write", "images", "small", "--labels", "top", "--crop", "4000")
    assert lines[0].startswith("tfrec: "), lines


@pytest.mark.parametrize(
    ("options", "environment", "is_coloured"),
    [
        ([], {}, True),
        (["--color", "never"], {}, False),
        ([], {"NO_COLOR": "1"}, False),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
        (["--json"], {}, False),
        ([], {"TFREC_COLOR": "never"}, False),
    ],
)
def test_the_verdict_is_coloured_on_a_terminal(
    folder: Path, options: list[str], environment: dict[str, str], is_coloured: bool
) -> None:
    _, written = on_terminal(folder, "verify", "out", "--quick", *options, **environment)
    assert ("\x1b[32m" in written) is is_coloured


@pytest.mark.parametrize(
    ("argv", "environment", "is_coloured"),
    [
        ("verify nowhere", {}, False),
        ("verify nowhere --color always", {}, True),
        ("--color always verify nowhere", {}, True),
        ("--color always verify nowhere --color never", {}, False),
        ("--color always wirte", {}, True),
        ("verify nowhere", {"FORCE_COLOR": "1"}, True),
        ("--nothing", {"FORCE_COLOR": "1"}, True),
        ("verify nowhere --color auto", {"FORCE_COLOR": "1"}, True),
        ("--color never verify nowhere", {"FORCE_COLOR": "1"}, False),
        ("verify nowhere", {"TFREC_COLOR": "always"}, True),
        ("verify nowhere", {"TFREC_VERIFY_COLOR": "always"}, True),
        ("verify nowhere", {"TFREC_VERIFY_COLOR": "never", "FORCE_COLOR": "1"}, False),
    ],
)
def test_a_pipe_gets_colours_only_if_asked(
    folder: Path, argv: str, environment: dict[str, str], is_coloured: bool
) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SLOW, *argv.split()],
        cwd=folder,
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ("\x1b[31m" in ran.stderr) is is_coloured
    assert "tfrec:" in ran.stderr
