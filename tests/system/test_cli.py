"""The command line: options, output on stdout and stderr, and exit codes."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from conftest import ROOT, fill, jpeg, needs, photo, png, tree, unmeasured
from program import Ran, fail_with, tfrec
from wrong_calls import FORMATS, WRONG

from tfrec_cli import __version__
from tfrec_cli.cli import main as cli
from tfrec_cli.cli import progress
from tfrec_cli.commands import verify, write
from tfrec_cli.dataset import manifest
from tfrec_cli.report import format as words
from tfrec_cli.writing import shard

SAMPLES = ROOT / "sample_data"
COMMANDS = ["write", "check", "inspect", "verify", "salvage", "extract", "reshard", "merge"]
ESCAPE = "\x1b]0;owned\x07"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Make a folder of three small pictures in two classes."""
    files = {
        "cats/1.png": png(photo(8, 9, 1)),
        "cats/2.jpg": jpeg(photo(10, 7, 2)),
        "dogs/3.png": png(photo(9, 8, 3)),
    }
    return fill(tmp_path / "src", files)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Name a folder that is not there yet."""
    return tmp_path / "out"


@pytest.fixture
def dataset(source: Path, out: Path) -> Path:
    """Write the three pictures."""
    assert tfrec("write", source, out).code == 0
    return out


# Bad input: its line and exit code


def test_nothing_is_printed_on_stdout_after_an_error(source: Path, out: Path) -> None:
    assert tfrec("write", source, out, "--crop", "500").out == ""


@pytest.mark.parametrize(
    ("prepare", "argv", "code", "line"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG]
)
def test_bad_input_gets_its_line_and_its_code(
    source: Path,
    tmp_path: Path,
    prepare: Callable[[Path], None],
    argv: str,
    code: int,
    line: str,
) -> None:
    prepare(tmp_path)
    ran = tfrec(*(word.replace("TMP", str(tmp_path)) for word in argv.split()))
    assert (ran.code, ran.error) == (code, f"tfrec: {line}\n".replace("TMP", str(tmp_path)))


@pytest.mark.parametrize(
    ("prepare", "argv"),
    [row[1:3] for row in WRONG if row[2].startswith("write")],
    ids=[row[0] for row in WRONG if row[2].startswith("write")],
)
def test_bad_input_leaves_every_file_as_it_was(
    source: Path, tmp_path: Path, prepare: Callable[[Path], None], argv: str
) -> None:
    prepare(tmp_path)
    before = tree(tmp_path)
    tfrec(*(word.replace("TMP", str(tmp_path)) for word in argv.split()))
    left = {name for name in tree(tmp_path).keys() - before if ".train.partial" not in name}
    assert left <= {"out"}
    assert before.items() <= tree(tmp_path).items()


MISUSED = [
    ("wirte", "No such command 'wirte'. Did you mean 'write'?"),
    ("--none", "No such option '--none'."),
    ("--config", "Option '--config' requires an argument."),
    ("write", "Missing argument 'SRC'."),
    ("write a", "Missing argument 'OUT'."),
    ("write p/a p/b/ x", "SRC: found 2 sources, expected one: give the folder above them (p)"),
    ("write a b c d", "SRC: found 3 sources, expected one: give the folder above them (.)"),
    ("write p/a q/b c", "SRC: found 2 sources, expected one: give a folder that holds them"),
    ("check p/a p/b", "SRC: found 2 sources, expected one: give the folder above them (p)"),
    (
        "write a b --stripmetadata",
        "No such option '--stripmetadata'. Did you mean '--strip-metadata'?",
    ),
    ("write a b -crop 128", "No such option '-crop'. Did you mean '--crop'?"),
    ("write a b -jobs=2", "No such option '-jobs'. Did you mean '--jobs'?"),
    (
        "extract a b --where label=cat",
        "No such option '--where': `tfrec reshard DATASET PART --where label=cat` copies a part, "
        "whose images can be extracted",
    ),
    ("write a b --crop 0", "found 0, expected 1 or more"),
    ("write a b --crop 8x", "found '8x', expected N or HEIGHTxWIDTH in pixels"),
    ("write a b --shard-size lots", "found 'lots', expected a size such as 128MiB"),
    ("write a b --small grow", "'grow' is not one of 'fail', 'skip', 'pad', 'resize'."),
    ("write a b --jpeg-quality 101", "101 is not in the range 1<=x<=100."),
    ("write a b -j 0", "0 is not in the range 1<=x<=4096."),
    ("inspect", "Missing argument 'PATH...'."),
    ("inspect a --record -1", "-1 is not in the range x>=0."),
    ("verify --seed 4294967296", "4294967296 is not in the range 0<=x<=4294967295."),
    ("verify a b", "Got unexpected extra argument (b)"),
]


ELSEWHERE = {
    "write": "convert create",
    "write --split": "split",
    "inspect": "info show cat stats",
    "verify": "validate",
    "extract": "unpack export",
    "salvage": "repair",
    "merge": "concat join",
    "reshard": "split",
    "reshard --where --limit": "subset sample",
}
"""What the answer to a command of another program names."""


@pytest.mark.parametrize(
    ("word", "named"),
    [(word, named) for named, words in ELSEWHERE.items() for word in words.split()],
)
@pytest.mark.parametrize("argv", ["{} a b --json", "help {}"])
def test_a_command_of_another_program_names_ours(word: str, named: str, argv: str) -> None:
    ran = tfrec(*argv.format(word).split())
    command, *options = named.split()
    assert ran.code == 2
    assert ran.error.startswith(f"tfrec: No such command {word!r}: `tfrec ")
    assert f"`tfrec {command} " in ran.error
    assert all(f"{option} " in ran.error for option in options)
    assert ran.error.count("\n") == 1


def test_no_command_is_called_as_in_another_program() -> None:
    assert not cli.main.commands.keys() & cli._ELSEWHERE.keys()


def _calls() -> list[list[str]]:
    """Return each command in those answers, as it would be typed."""
    texts = dict.fromkeys(cli._ELSEWHERE.values())
    return [call.split() for text in texts for call in re.findall("`tfrec ([^`]+)`", text)]


@pytest.mark.parametrize("call", _calls(), ids=" ".join)
def test_those_answers_are_commands_that_can_be_parsed(call: list[str]) -> None:
    name, *words = [word.replace("N", "3") for word in call]
    with cli.main.make_context("tfrec", [], resilient_parsing=True) as group:
        assert cli.main.commands[name].make_context(name, words, group)


@pytest.mark.parametrize(("argv", "message"), MISUSED, ids=[argv for argv, _ in MISUSED])
def test_wrong_use_says_what_was_expected_and_which_command_helps(argv: str, message: str) -> None:
    ran = tfrec(*argv.split())
    line, hint = ran.err.splitlines()
    line = re.sub(r"^tfrec: ((Invalid value for '[^']+'( / '[^']+')?|--[a-z-]+): )?", "", line)
    command = next((f"tfrec {word}" for word in argv.split()[:1] if word in COMMANDS), "tfrec")
    assert (ran.code, ran.out, line) == (2, "", message)
    assert hint == f"Try `{command} --help`"


def test_a_mistyped_path_suggests_the_right_one_and_no_command(source: Path) -> None:
    ran = tfrec("write", source.with_name("scr"), "out")
    meant = f"No such file or folder: {source.with_name('scr')} (did you mean {source}?)"
    assert (ran.code, ran.err) == (2, f"tfrec: {meant}\n")


def test_no_command_shows_the_help_and_is_wrong_use() -> None:
    ran = tfrec()
    assert (ran.code, ran.out, ran.err) == (2, "", tfrec("--help").out)


# A broken image that is skipped


@pytest.fixture
def skipped(source: Path, out: Path) -> Ran:
    fill(source, {"dogs/bad.jpg": b"GARBAGE", "dogs/cut.png": png(photo(9, 9))[:-20]})
    return tfrec("write", source, out, "--on-error", "skip")


def test_skipping_ends_with_exit_code_0(skipped: Ran) -> None:
    assert (skipped.code, skipped.err) == (0, "")


def test_skipping_is_counted_in_the_summary(skipped: Ran, out: Path) -> None:
    line = skipped.out.splitlines()[-3]
    assert line == f"  left out  1 not_an_image, 1 truncated ({out}/train.rejects.jsonl)"


@pytest.mark.promise("P5")
def test_skipped_files_are_listed_with_their_reason(skipped: Ran, out: Path) -> None:
    lines = (out / "train.rejects.jsonl").read_text().splitlines()
    assert [(one["path"], one["reason"]) for one in map(json.loads, lines)] == [
        ("dogs/bad.jpg", "not_an_image"),
        ("dogs/cut.png", "truncated"),
    ]


def test_verbose_names_every_file_left_out(source: Path, out: Path) -> None:
    (source / "dogs/bad.jpg").write_bytes(b"GARBAGE")
    ran = tfrec("write", source, out, "--on-error", "skip", "-v")
    assert ran.err == f"tfrec: left out: dogs/bad.jpg: found text, expected one of {FORMATS}\n"


def test_verbose_names_every_copy(tmp_path: Path, out: Path) -> None:
    copies = fill(tmp_path / "src", dict.fromkeys(["a/1.png", "a/2.png"], png(photo(9, 9))))
    ran = tfrec("write", copies, out, "-v", "--no-shuffle")
    assert ran.err == "tfrec: a/2.png is a copy of a/1.png\n"


def test_a_write_in_which_every_image_fails_is_an_error(tmp_path: Path, out: Path) -> None:
    """Even if every header is valid: a dataset without records is not a success."""
    cut = fill(tmp_path / "src", {"a.png": png(photo(9, 9))[:-20]})
    ran = tfrec("write", cut, out, "--on-error", "skip")
    line = f"tfrec: {cut}: found no image that can be used, expected at least one\n"
    assert (ran.code, ran.err, out.exists()) == (1, line, False)


# What is printed


def test_write_prints_what_it_did(source: Path, out: Path) -> None:
    ran = tfrec("write", source, out, "--crop", "7")
    took = ran.out.splitlines()[-2]
    assert re.fullmatch(
        r"  took      \d+\.\d\d? s: ([\d,]{3,}|\d\d?\.\d) photos/s, \d+\.\d KiB/s", took
    )
    made = manifest.load(out / "train.manifest.json")
    sizes = sum(path.stat().st_size for path in source.rglob("*.*"))
    assert (ran.code, ran.err, ran.out.splitlines()) == (
        0,
        "",
        [
            f"wrote 3 records in 1 shard to {out}, {words.size(made.shards[0].size_bytes)} from "
            f"{words.size(sizes)} of images",
            "  stored    centre crops of 7x7, raw",
            "  labels    2: cats, dogs",
            "  per class 1 (dogs) to 2 (cats)",
            f"  digest    {made.content_sha256}",
            "  crop      keeps 68% of the median photo",
            took,
            f"  next      tfrec verify {out}",
        ],
    )


def test_a_dry_run_prints_what_it_would_do(source: Path, out: Path) -> None:
    ran = tfrec("write", source, out, "--dry-run")
    assert (ran.code, ran.out.split(",")[0], out.exists()) == (
        0,
        f"would write 3 records in 1 shard to {out}",
        False,
    )
    unread = "  unchecked images after their headers: --check decode reads all to the end"
    assert unread in ran.out
    ran = tfrec("write", source, out, "--dry-run", "--check", "decode", "--resize-short", 5)
    assert "unchecked" not in ran.out
    assert "  scaled    the shorter side of each image to 5 pixels\n" in ran.out


def test_intact_datasets_have_no_findings(dataset: Path) -> None:
    ran = tfrec("verify", dataset)
    assert (ran.code, ran.out.splitlines()[-1], ran.err) == (0, "no findings", "")


def test_verify_names_all_findings_if_asked(tmp_path: Path) -> None:
    source = fill(tmp_path / "src", {f"{number}.png": png(photo(9, 7)) for number in range(12)})
    tfrec("write", source, tmp_path / "out", "-q")
    for path in source.iterdir():
        path.write_bytes(png(photo(9, 7, 1)))
    words = "verify", tmp_path / "out", "--source", source
    lines = {options: tfrec(*words, *options).out.splitlines() for options in ((), ("-v",))}
    assert [sum(": found an image" in line for line in all_) for all_ in lines.values()] == [10, 12]
    assert {all_[-1] for all_ in lines.values()} == {"12 findings: 12 differs"}


def test_verify_checks_the_current_folder_by_default(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(dataset)
    assert tfrec("verify", "--quick").out.splitlines()[0].startswith(".: 3 records in 1 shard")


def test_a_finding_is_printed_and_ends_with_exit_code_1(dataset: Path) -> None:
    (dataset / "train.rejects.jsonl").unlink()
    ran = tfrec("verify", dataset, "--quick")
    assert (ran.code, ran.out.splitlines()[-1], ran.err) == (1, "1 finding", "")


def test_an_unexpected_fingerprint_ends_with_exit_code_1(dataset: Path) -> None:
    ran = tfrec("verify", dataset, "--seed", 1, "--expect", f"seed1-7x7-e0:{'0' * 64}", "-q")
    assert (ran.code, ran.out.splitlines()[-1]) == (1, "1 finding")


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        ("write SRC NEW --json", "tfrec-write"),
        ("write SRC NEW --json --dry-run", "tfrec-write"),
        ("inspect OUT --json", "tfrec-inspect"),
        ("inspect OUT --json --labels", "tfrec-inspect"),
        ("inspect OUT --json --record 1", "tfrec-records"),
        ("inspect OUT --json --records 2", "tfrec-records"),
        ("inspect OUT --json --records 0", "tfrec-records"),
        ("verify OUT --json", "tfrec-verify"),
        ("verify OUT --json --quick", "tfrec-verify"),
        ("verify OUT --json --seed 7", "tfrec-verify"),
        ("salvage OUT/train-00000-of-00001.tfrecord NEW --json --source SRC", "tfrec-salvage"),
        ("extract OUT NEW --json", "tfrec-extract"),
        ("reshard OUT NEW --json --shards 2", "tfrec-reshard"),
        ("merge OUT OTHER NEW --json", "tfrec-merge"),
    ],
)
def test_json_is_one_document_and_nothing_else(
    source: Path, dataset: Path, tmp_path: Path, argv: str, name: str
) -> None:
    paths = {"SRC": source, "NEW": tmp_path / "new", "OUT": dataset, "OTHER": tmp_path / "o"}
    if "OTHER" in argv:
        fill(tmp_path / "more", {"cats/9.png": png(photo(9, 9)), "dogs/8.png": png(photo(8, 9))})
        assert tfrec("write", tmp_path / "more", paths["OTHER"]).code == 0
    words = (word.replace("OUT/", f"{dataset}/") for word in argv.split())
    ran = tfrec(*(paths.get(word, word) for word in words))
    document = json.loads(ran.out)
    assert (ran.code, ran.err, document["format"], document["format_version"]) == (0, "", name, 1)


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_json_of_damaged_data_is_one_document(dataset: Path, command: str) -> None:
    (dataset / "train-00000-of-00001.tfrecord").write_bytes(b"damage")
    ran = tfrec(command, dataset, "--json")
    assert (ran.code, ran.err, json.loads(ran.out)["format"]) == (1, "", f"tfrec-{command}")


def numbered(tmp_path: Path) -> Path:
    return fill(tmp_path / "numbered", {"2/a.png": png(photo(9, 9)), "10/a.png": png(photo(8, 8))})


def test_warnings_go_to_stderr(tmp_path: Path, out: Path) -> None:
    assert tfrec("write", numbered(tmp_path), out).err == (
        "tfrec: class names are numbers and sort as text (10, 2…): pin their order with "
        "--labels FILE\n"
    )


def test_quiet_silences_warnings(tmp_path: Path, out: Path) -> None:
    assert tfrec("write", numbered(tmp_path), out, "-q").err == ""


def test_quiet_does_not_silence_errors(source: Path, out: Path) -> None:
    assert tfrec("write", source / "none", out, "-q").err.startswith("tfrec: ")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "DELAY_S", 0)
    with redirect_stderr(Terminal()) as err, progress.shown(quiet=False) as show:
        show("writing", 2, 3)
    assert "writing: 2/3 " in err.getvalue()
    assert err.getvalue().endswith("\r\x1b[K")


def test_what_takes_no_time_shows_no_progress() -> None:
    with redirect_stderr(Terminal()) as err, progress.shown(quiet=False) as show:
        show("writing", 2, 3)
    assert err.getvalue() == ""


def test_a_step_without_a_total_shows_a_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "DELAY_S", 0)
    with redirect_stderr(Terminal()) as err, progress.shown(quiet=False) as show:
        show("listing", 2000, 0)
    assert "listing: 2000 found, " in err.getvalue()


@pytest.mark.parametrize(
    ("step", "done", "rate"),
    [
        ("writing", 37, "12.3 photos/s"),
        ("writing", 1, "0.3 photos/s"),
        ("copying", 5000, "1,667 records/s"),
        ("checking shards", 5000, "1.6 KiB/s"),
    ],
)
@pytest.mark.parametrize("total", [0, 9999])
def test_the_rate_of_a_step_has_at_most_one_decimal(
    monkeypatch: pytest.MonkeyPatch, step: str, done: int, rate: str, total: int
) -> None:
    now = iter([100.0, 103.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    with redirect_stderr(Terminal()) as err, progress.shown(quiet=False) as show:
        show(step, 0, total)
        show(step, done, total)
    assert f" {rate}{', ' if total else chr(27)}" in err.getvalue()


def test_quiet_silences_progress() -> None:
    with redirect_stderr(Terminal()) as err, progress.shown(quiet=True) as show:
        show("writing", 2, 3)
    assert err.getvalue() == ""


def test_no_progress_is_left_on_a_terminal() -> None:
    with redirect_stderr(Terminal()) as err, progress.shown(quiet=False) as show:
        show("writing", 2, 3)
    assert err.getvalue().rsplit("\r", 2)[-2:][0].strip() == ""


@pytest.mark.parametrize("argv", ["--help", "write --help", "inspect OUT", "verify OUT", "none"])
def test_a_pipe_gets_no_colours(dataset: Path, argv: str) -> None:
    ran = tfrec(*(dataset if word == "OUT" else word for word in argv.split()))
    assert "\x1b" not in ran.out + ran.err


# Names with control characters


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    files = {
        f"{ESCAPE}/1{ESCAPE}.png": png(photo(8, 9)),
        f"{ESCAPE}/2\n3.png": png(photo(8, 9)),
        "b<script>/4\x9b5.png": png(photo(8, 9)),
    }
    return fill(tmp_path / "src", files)


def raw_signs(ran: Ran) -> list[str]:
    """Return the characters that must not be printed: all control characters but line ends."""
    return [sign for sign in ran.out + ran.err if not sign.isprintable() and sign != "\n"]


@pytest.mark.parametrize(
    "argv",
    [
        "write SRC NEW",
        "write SRC NEW --json",
        "write SRC NEW -v --small skip --crop 9",
        "write SRC NEW --crop 7 --json",
        "write SRC NEW --dry-run",
        "write SRC",
        "write NEW OUT",
        "write SRC OUT",
        "write SRC NEW NEW",
        "write SRC NEW --labels NEW",
        "write SRC NEW --split NEW",
        "inspect OUT",
        "inspect OUT --labels",
        "inspect OUT --records 3",
        "inspect OUT --json",
        "inspect OUT --records 3 --json",
        "inspect NEW",
        "verify OUT",
        "verify OUT --json",
        "verify NEW",
        "salvage NEW OUT",
        "salvage OUT NEW",
        "salvage SHARD NEW",
        "salvage SHARD NEW --json",
        "salvage SHARD NEW --source SRC",
        "salvage SHARD NEW --source OUT",
        "extract OUT NEW",
        "extract OUT NEW --json",
        "extract SHARD NEW",
        "extract OUT SRC",
        "extract NEW OUT",
        "extract WHOLE NEW",
        "extract WHOLE NEW --json",
        "reshard OUT NEW --shards 2",
        "reshard OUT SRC --shards 2",
        "reshard SHARD NEW --shards 2",
        "reshard NEW OUT --shards 2",
        "reshard WHOLE NEW --shards 2",
        "reshard WHOLE NEW --shards 2 --json",
        "merge OUT WHOLE NEW",
        "merge WHOLE OTHER NEW",
        "merge WHOLE OTHER NEW --json",
        "NEW",
        "--config NEW write SRC NEW",
        "inspect OUT --NEW",
    ],
)
def test_hostile_names_never_reach_the_terminal(hostile: Path, tmp_path: Path, argv: str) -> None:
    out = tmp_path / f"out{ESCAPE}\n"
    write.write(hostile, out, write.WriteOptions(jobs=1))
    whole = tmp_path / f"whole{ESCAPE}"
    shutil.copytree(out, whole)
    other = tmp_path / f"other{ESCAPE}"
    write.write(hostile, other, write.WriteOptions(jobs=1, split="val"))
    damaged = out / "train-00000-of-00001.tfrecord"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    new = tmp_path / f"new{ESCAPE}\n"
    paths = {"SRC": hostile, "OUT": out, "NEW": new, "SHARD": damaged, "WHOLE": whole}
    paths["OTHER"] = other
    words = [f"--{ESCAPE}" if word == "--NEW" else paths.get(word, word) for word in argv.split()]
    assert raw_signs(tfrec(*words)) == []


@pytest.mark.parametrize("command", ["write SRC OUT", "inspect OUT", "verify OUT --quick"])
def test_names_that_are_not_utf8_can_be_printed(source: Path, tmp_path: Path, command: str) -> None:
    """A strict UTF-8 terminal must not turn success into a traceback."""
    out = tmp_path / os.fsdecode(b"out\xff")
    if "SRC" not in command:
        write.write(source, out, write.WriteOptions(jobs=1))
    words = [{"SRC": source, "OUT": out}.get(word, word) for word in command.split()]
    ran = tfrec(*words)
    assert (ran.code, ran.err) == (0, "")


def test_an_error_of_many_lines_is_printed_on_one(tmp_path: Path) -> None:
    assert tfrec("inspect", tmp_path / "a\nb").err == (
        f"tfrec: No such file or folder: {tmp_path}/a\\nb\n"
    )


# What ends a run early


def test_an_interrupt_ends_with_130(
    source: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard, "write", fail_with(KeyboardInterrupt()))
    ran = tfrec("write", source, out)
    assert (ran.code, ran.out, ran.err.strip(), out.exists()) == (
        130,
        "",
        "tfrec: interrupted",
        False,
    )


def test_a_termination_ends_with_143_and_leaves_nothing(
    source: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard, "write", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    ran = tfrec("write", source, out)
    assert (ran.code, ran.out, ran.err, out.exists()) == (143, "", "tfrec: terminated\n", False)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("surprise"), AssertionError("surprise"), UnicodeEncodeError("a", "b", 0, 1, "c")],
    ids=lambda error: type(error).__name__,
)
def test_a_bug_ends_with_70(
    source: Path, out: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(shard, "write", fail_with(error))
    ran = tfrec("write", source, out)
    lines = ran.err.splitlines()
    assert (ran.code, ran.out, lines[0], lines[-1]) == (
        70,
        "",
        "Traceback (most recent call last):",
        "tfrec: this is a bug in tfrec: please report the lines above",
    )


def test_a_bug_leaves_nothing(source: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard, "write", fail_with(RuntimeError("surprise")))
    tfrec("write", source, out)
    assert not out.exists()


# Without TensorFlow


MISSING = (
    "the same crops by tf.data: TensorFlow is not installed: pip install 'tfrec-cli[tensorflow]'"
)


@pytest.fixture
def no_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)


@needs("tensorflow")
@pytest.mark.parametrize("argv", [(), ("--crop", 5, "--epochs", 2)], ids=["stored", "smaller"])
def test_the_fingerprint_is_the_same_without_tensorflow(
    dataset: Path, monkeypatch: pytest.MonkeyPatch, argv: tuple[object, ...]
) -> None:
    verify = ("verify", dataset, "--seed", 1, *argv, "--json")
    complete = json.loads(tfrec(*verify).out)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    ran = tfrec(*verify)
    bare = json.loads(ran.out)
    assert (ran.code, ran.err, bare["ok"], bare["fingerprint"]) == (
        0,
        "",
        True,
        complete["fingerprint"],
    )
    assert bare["unchecked"] == [*complete["unchecked"], MISSING]
    assert len(bare["checks"]) == len(complete["checks"])


@pytest.mark.usefixtures("no_tensorflow")
def test_without_tensorflow_verify_lists_the_missing_comparison(dataset: Path) -> None:
    ran = tfrec("verify", dataset, "--seed", 1)
    *_, checked, _, unchecked, fingerprint, last = ran.out.splitlines()
    assert (ran.code, ran.err, unchecked, last) == (0, "", f"  unchecked {MISSING}", "no findings")
    assert checked.endswith("seed 1: every record cropped by NumPy and Pillow")
    assert fingerprint.startswith("seed1-")


@pytest.mark.usefixtures("no_tensorflow")
def test_without_tensorflow_another_fingerprint_than_expected_is_a_finding(dataset: Path) -> None:
    ran = tfrec("verify", dataset, "--seed", 1, "--expect", f"seed1-7x7-e0:{'0' * 64}")
    assert (ran.code, ran.out.splitlines()[-1]) == (1, "1 finding")


def test_with_a_tensorflow_that_does_not_load_crops_are_refused(
    dataset: Path, tmp_path: Path
) -> None:
    fill(tmp_path / "broken", {"tensorflow/__init__.py": b"raise ImportError('no libcudart')"})
    ran = subprocess.run(
        [sys.executable, "-m", "tfrec_cli", "verify", str(dataset), "--seed", "1"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "broken"), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )
    line = "tfrec: TensorFlow is installed, but does not load: no libcudart\n"
    assert (ran.returncode, ran.stdout, ran.stderr) == (3, "", line)


@pytest.mark.parametrize("option", ["--html", "--contact-sheet"])
def test_on_a_full_disk_the_old_page_or_sheet_stays(
    dataset: Path, tmp_path: Path, option: str
) -> None:
    shown = tmp_path / "shown.png"
    assert tfrec("inspect", dataset, option, shown).code == 0
    old = shown.read_bytes()
    limit_bytes = len(old) // 2
    ran = subprocess.run(
        [sys.executable, "-m", "tfrec_cli", "inspect", str(dataset), option, str(shown)],
        env=unmeasured(),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes)),
    )
    assert (ran.returncode, ran.stderr) == (3, f"tfrec: {shown}: File too large\n")
    assert {path: path.read_bytes() for path in tmp_path.glob("shown*")} == {shown: old}


@pytest.mark.parametrize("argv", ["--help", "inspect OUT", "inspect OUT --json"])
def test_a_broken_pipe_ends_silently_with_its_own_code(dataset: Path, argv: str) -> None:
    """``tfrec … | head -1`` ends as ``cat`` does: with 141, the code for SIGPIPE in a shell."""
    reader, writer = os.pipe()
    os.close(reader)
    words = [str(dataset) if word == "OUT" else word for word in argv.split()]
    ran = subprocess.run(
        [sys.executable, "-m", "tfrec_cli", *words],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (ran.returncode, ran.stderr) == (141, b"")


# Help, version, completion


def test_the_module_runs_as_a_program() -> None:
    command = [sys.executable, "-m", "tfrec_cli", "--version"]
    ran = subprocess.run(command, capture_output=True, check=True)
    assert ran.stdout.decode() == f"tfrec, version {__version__}\n"


def test_every_command_is_tested_here() -> None:
    assert sorted(cli.main.commands) == sorted(COMMANDS)


@pytest.mark.parametrize("command", [[], *([command] for command in COMMANDS)])
def test_short_help_is_the_help(command: list[str]) -> None:
    ran = tfrec(*command, "-h")
    assert (ran.code, ran.out, ran.err) == (0, tfrec(*command, "--help").out, "")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_in_a_group_of_the_help(command: str) -> None:
    groups = cli.main.commands[command].groups
    named = [name for names in groups.values() for name in names]
    options = sorted(one.name for one in options_of(command))
    assert sorted(named) == (options if groups else [])
    assert groups or len(options) <= 6


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder in which the examples of the help run."""
    made = tmp_path_factory.mktemp("examples")
    shutil.copytree(ROOT / "sample_data/images", made / "images")
    names = sorted(path.relative_to(made / "images") for path in made.glob("images/*/*"))
    rows = [f"{name},{name.parent}" for name in names]
    (made / "images.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    for name, labels in (("first", "clouds"), ("second", "leaves,pebbles")):
        assert tfrec("write", made / "images", made / "whole", "--overwrite").code == 0
        selected = ("--where", f"label={labels}")
        assert tfrec("reshard", made / "whole", made / name, *selected).code == 0
    return made


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_of_the_help_run(
    examples: Path, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = cli.main.commands[command].examples
    assert made
    for number, example in enumerate(made):
        folder = tmp_path / str(number)
        shutil.copytree(examples, folder)
        monkeypatch.chdir(folder)
        if command != "write":
            split = ["--split", "val", "--shards", "4"] if "val" in example else ["--shards", "4"]
            assert tfrec("write", "images", "out", *split).code == 0
        if command == "salvage":
            shutil.copy("out/train-00000-of-00004.tfrecord", "damaged.tfrecord")
        if command == "extract":
            shutil.rmtree("images")
        line = example.replace("label=cat", "label=clouds").replace("--crop 128", "--crop 64")
        ran = tfrec(command, *line.split())
        assert (ran.code, ran.err) == (0, ""), example


def test_help_and_version_are_commands_too() -> None:
    assert tfrec("help").out == tfrec("--help").out
    assert tfrec("help", "write").out == tfrec("write", "--help").out
    assert tfrec("help", "--json").out == tfrec("version", "-h").out == tfrec("--help").out
    assert tfrec("version").out == tfrec("-V").out == tfrec("--version").out
    assert tfrec("--color", "never", "version").out == tfrec("version").out
    assert tfrec("--color", "never", "help", "write").out == tfrec("write", "--help").out
    wrong = "tfrec: version: found '--json', expected no option and no argument\n"
    assert tfrec("version", "--json").err.startswith(wrong)
    assert tfrec("help", "wirte").err.startswith("tfrec: No such command 'wirte'")


def test_the_list_of_commands_is_whole_in_80_columns() -> None:
    assert "..." not in tfrec("--help", COLUMNS="80").out.partition("Commands:\n")[2]


def test_commands_are_listed_in_the_order_of_use() -> None:
    lines = tfrec("--help").out.partition("Commands:\n")[2].splitlines()
    names = [line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "]
    assert names[:3] == ["write", "check", "inspect"]
    assert sorted(names) == sorted(COMMANDS)


def test_choices_are_taken_in_capitals_and_jpg_is_jpeg(source: Path, out: Path) -> None:
    ran = tfrec(
        *("write", source, out, "--crop", "8", "--encoding", "JPG", "--small", "Skip", "--json")
    )
    options = json.loads(ran.out)["manifest"]
    assert (options["stored"], options["options"]["small"]) == ("jpeg", "skip")


def options_of(command: str) -> list[Any]:
    return [one for one in cli.main.commands[command].params if one.param_type_name == "option"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_a_help_text(command: str) -> None:
    assert [one.name for one in options_of(command) if not one.help] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_help_mentions_every_option(command: str) -> None:
    shown = set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", tfrec(command, "--help").out))
    names = {name for one in options_of(command) for name in one.opts + one.secondary_opts}
    assert names - shown == set()


@pytest.mark.parametrize("width", ["60", "80", "200"])
def test_help_fits_the_terminal(width: str) -> None:
    lines = tfrec("write", "--help", COLUMNS=width).out.splitlines()
    assert [line for line in lines if len(line) > min(int(width), 100)] == []


def defaults_of(command: str, *argv: str) -> dict[str, Any]:
    """Return the parameters that a command gets without any options."""
    with cli.main.make_context("tfrec", [], resilient_parsing=True) as group:
        return cli.main.commands[command].make_context(command, [*argv], parent=group).params


def test_defaults_of_write_are_those_of_its_options() -> None:
    expected = dataclasses.asdict(write.WriteOptions())
    params = defaults_of("write", "src", "out")
    assert {name: params[name] for name in params if name in expected} == expected


def test_defaults_of_verify_are_those_of_its_options() -> None:
    expected = verify.Options()._asdict()
    params = defaults_of("verify")
    assert {name: params[name] for name in params if name in expected} == expected


@pytest.mark.parametrize(
    ("argv", "options"),
    [
        ("", {}),
        ("--crop 8", {"crop": (8, 8)}),
        ("--crop 8x6 --encoding jpeg", {"crop": (8, 6), "encoding": "jpeg"}),
        (
            "--crop 8 --encoding jpeg --jpeg-quality 80",
            {"crop": (8, 8), "encoding": "jpeg", "jpeg_quality": 80},
        ),
        ("--resize-short 9", {"resize_short": 9}),
        ("--split val-2", {"split": "val-2"}),
        ("--labels none", {"labels": "none"}),
        ("--keys tf-models", {"keys": "tf-models"}),
        ("--shards 3", {"shards": 3}),
        ("--shard-size 1000", {"shard_size": 1000}),
        ("--shard-size 2k", {"shard_size": 2048}),
        ("--shard-size 3MiB", {"shard_size": 3 * 2**20}),
        ("--shard-size 1GB", {"shard_size": 2**30}),
        ("--shuffle-seed 5", {"shuffle_seed": 5}),
        ("--no-shuffle", {"shuffle_seed": None}),
        ("--on-error skip --max-errors 1%", {"on_error": "skip", "max_errors": "1%"}),
        ("--crop 8 --small pad", {"crop": (8, 8), "small": "pad"}),
        ("--check decode", {"check": "decode"}),
        ("--exif ignore", {"exif": "ignore"}),
        ("--strip-metadata", {"strip_metadata": True}),
        ("--alpha white", {"alpha": "white"}),
        ("--frames fail", {"frames": "fail"}),
        ("--max-pixels 99", {"max_pixels": 99}),
        ("--compression gzip", {"compression": "gzip"}),
        ("--index", {"index": True}),
        ("--no-index", {"index": False}),
        ("-j 3", {"jobs": 3}),
        ("--overwrite", {"overwrite": True}),
        ("--dry-run", {"dry_run": True}),
    ],
)
def test_words_of_write_become_its_options(
    monkeypatch: pytest.MonkeyPatch, argv: str, options: dict[str, Any]
) -> None:
    called = mock.Mock(side_effect=KeyboardInterrupt)
    monkeypatch.setattr(write, "write", called)
    tfrec("write", "src", "out", *argv.split())
    expected = write.WriteOptions(**{"jobs": 1, **options})
    assert called.call_args.args[:3] == (Path("src"), Path("out"), expected)


@pytest.mark.parametrize(
    ("argv", "options"),
    [
        ("", {}),
        ("--seed 4294967295 --crop 9x8", {"seed": 2**32 - 1, "crop": (9, 8)}),
        ("--seed 1 --epochs 3 --expect x", {"seed": 1, "epochs": 3, "expect": "x"}),
        ("--quick -j 4", {"quick": True, "jobs": 4}),
        ("--source a", {"source": ((None, Path("a")),)}),
        (
            "--source train=a/b=c --source ./d=e",
            {"source": (("train", Path("a/b=c")), (None, Path("d=e")))},
        ),
    ],
)
def test_words_of_verify_become_its_options(
    monkeypatch: pytest.MonkeyPatch, argv: str, options: dict[str, Any]
) -> None:
    called = mock.Mock(side_effect=KeyboardInterrupt)
    monkeypatch.setattr(verify, "verify", called)
    tfrec("verify", "here", *argv.split())
    expected = verify.Options(**{"jobs": 1, **options})
    assert called.call_args.args[:2] == (Path("here"), expected)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shell: str) -> None:
    ran = tfrec(_TFREC_COMPLETE=f"{shell}_source")
    assert (ran.code, f"_TFREC_COMPLETE={shell}_complete" in ran.out) == (0, True)


@pytest.mark.parametrize(
    ("shell", "words", "answer"),
    [
        ("bash", {"COMP_WORDS": "tfrec ins", "COMP_CWORD": "1"}, "plain,inspect\n"),
        ("bash", {"COMP_WORDS": "tfrec write --cr", "COMP_CWORD": "2"}, "plain,--crop\n"),
        ("zsh", {"COMP_WORDS": "tfrec write --encoding p", "COMP_CWORD": "3"}, "plain\npng\n_\n"),
    ],
)
def test_completion_completes(shell: str, words: dict[str, str], answer: str) -> None:
    ran = tfrec(_TFREC_COMPLETE=f"{shell}_complete", **words)
    assert (ran.code, ran.out) == (0, answer)


# The sample data, as a person would first use the program


def test_sample_data_can_be_written_inspected_and_verified(out: Path) -> None:
    images = SAMPLES / "images"
    steps = [
        tfrec("write", images, out, "--crop", 96),
        tfrec("inspect", out),
        tfrec("verify", out),
    ]
    assert [(step.code, step.err) for step in steps] == [(0, "")] * 3


@pytest.mark.promise("P5")
def test_every_sample_reject_is_rejected(tmp_path: Path, out: Path) -> None:
    source = tmp_path / "src"
    shutil.copytree(SAMPLES / "rejects", source)
    (source / "good.png").write_bytes(png(photo(9, 9)))
    ran = tfrec("write", source, out, "--on-error", "skip", "--json")
    assert {one["path"]: one["reason"] for one in json.loads(ran.out)["rejects"]} == {
        "bomb.png": "too_many_pixels",
        "empty.jpg": "empty",
        "gitlfs.jpg": "not_an_image",
        "text.jpg": "not_an_image",
        "truncated.jpg": "truncated",
        "truncated.png": "truncated",
    }


@pytest.mark.parametrize(("option", "kind"), [("--contact-sheet", "PNG file"), ("--html", "page")])
def test_a_file_of_another_kind_is_not_replaced_by_a_sheet_or_page(
    dataset: Path, tmp_path: Path, option: str, kind: str
) -> None:
    thesis = fill(tmp_path, {"thesis.png": b"precious"}) / "thesis.png"
    ran = tfrec("inspect", dataset, option, thesis)
    line = f"tfrec: {thesis}: exists and is not a {kind}, so it is not replaced\n"
    assert (ran.code, ran.out, ran.err, thesis.read_bytes()) == (3, "", line, b"precious")
    assert [tfrec("inspect", dataset, option, tmp_path / "made.png").code for _ in range(2)] == [
        0,
        0,
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_output_is_an_error_of_one_line(dataset: Path) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "tfrec_cli", "inspect", str(dataset)],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (3, "tfrec: system: No space left on device\n")
