"""A sample of the fault harness, and tests that the harness itself notices faults."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults import __main__ as torture
from faults import disks, invariants, kills, order, sweep, tracing, writers
from faults.invariants import Tree
from faults.runs import Launcher, Tally, images, lingering

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="strace and /proc are of Linux")
traced = pytest.mark.skipif(tracing.missing() is not None, reason=f"{tracing.missing()}")

A, B, M = "train-00000-of-00002.tfrecord", "train-00001-of-00002.tfrecord", "train.manifest.json"
OLD = {"shards": [{"name": A, "index": None}, {"name": B, "index": None}], "rejects_file": "r"}
COMMIT = ["sync .", f"name {A}", f"name {B}", "sync . again", f"name {M}", "sync . at last"]
STAGE = [f"{verb} {name}" for name in (A, B, M) for verb in ("write", "sync")]
FRESH = ["make", "sync ..", *STAGE, "sync .train.partial", *COMMIT]
REPLACED = ["make", *STAGE, "sync .train.partial", f"remove {M}", *COMMIT]


def without(steps: list[str], step: str) -> list[str]:
    assert step in steps
    return [one for one in steps if one != step]


def moved(steps: list[str], step: str, after: str) -> list[str]:
    rest = without(steps, step)
    return [*rest[: rest.index(after) + 1], step, *rest[rest.index(after) + 1 :]]


def added(steps: list[str], step: str, after: str) -> list[str]:
    return [*steps[: steps.index(after) + 1], step, *steps[steps.index(after) + 1 :]]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    folder = tmp_path_factory.mktemp("written")
    source = images(folder / "images", 8, edge_px=16)
    launcher = Launcher(folder)
    ended = launcher.run(["write", str(source), str(folder / "out"), "--shards", "2", "-j", "1"])
    launcher.close()
    assert ended.code == 0, ended.output
    return invariants.read(folder / "out")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


# The lint of the order of calls


def linted(folder: Path, steps: list[str], before: Tree) -> list[str]:
    """Run the small writer under strace, and lint its calls."""
    out, log = folder / "out", folder / "log"
    for name, data in before.items():
        out.mkdir(exist_ok=True)
        (out / name).write_bytes(data)
    done = [" ".join(step.split()[:2]) for step in steps]  # "sync . again" is "sync ."
    program = [sys.executable, "-I", "-S", writers.__file__, str(out), *done]
    options = tracing.options(log, calls=(*tracing.OUTPUT, *tracing.FORKING))
    subprocess.run([*options, *program], check=True)
    return [fault.replace(str(out), "OUT") for fault in order.lint(tracing.parse(log), out, before)]


@traced
@pytest.mark.parametrize(
    ("steps", "fault"),
    [
        (without(FRESH, f"sync {A}"), f"OUT/{A}: renamed before it was synced"),
        (without(FRESH, f"sync {M}"), f"OUT/{M}: renamed before it was synced"),
        (added(FRESH, f"write {B}", f"sync {B}"), f"OUT/{B}: renamed before it was synced"),
        (added(FRESH, f"append {B}", f"name {B}"), f"OUT/{B}: written under its final name"),
        (added(FRESH, "append x", "make"), "OUT/x: written under its final name"),
        (without(FRESH, "sync . again"), f"OUT: not synced before OUT/{M} was renamed"),
        (moved(FRESH, "sync . again", f"name {A}"), f"OUT: not synced before OUT/{M} was renamed"),
        (without(FRESH, "sync . at last"), f"OUT: not synced after OUT/{M} was renamed"),
        (moved(FRESH, f"name {B}", f"name {M}"), f"OUT/{B}: renamed after the manifest"),
        (without(FRESH, "sync .."), "OUT: made, but its parent was not synced"),
        (without(FRESH, f"name {M}"), "OUT: no manifest was renamed into it"),
    ],
)
def test_a_broken_writer_is_caught(tmp_path: Path, steps: list[str], fault: str) -> None:
    assert linted(tmp_path, steps, {}) == [fault]


@traced
@pytest.mark.parametrize(
    "steps",
    [
        without(REPLACED, f"remove {M}"),
        moved(REPLACED, f"remove {M}", f"name {A}"),
        without(REPLACED, "sync ."),
    ],
)
def test_a_writer_that_replaces_named_files_is_caught(tmp_path: Path, steps: list[str]) -> None:
    before = {M: json.dumps(OLD).encode(), A: b"old", B: b"old"}
    assert linted(tmp_path, steps, before) == [f"OUT/{A}: replaced while {M} names it"]


@traced
@pytest.mark.parametrize(
    ("steps", "before"), [(FRESH, {}), (REPLACED, {M: json.dumps(OLD).encode(), A: b"", B: b""})]
)
def test_a_correct_writer_passes(tmp_path: Path, steps: list[str], before: Tree) -> None:
    assert linted(tmp_path, steps, before) == []


# The checks of the invariants


def test_a_complete_dataset_passes_every_check(written: Tree) -> None:
    assert invariants.whole(written) == []
    assert invariants.vouched(written) == []
    assert invariants.complete(written, "train", 8) == []


def test_a_cut_in_any_file_is_noticed(written: Tree) -> None:
    for name, data in written.items():
        assert invariants.whole({**written, name: data[:-2]}), name
        if name != "SHA256SUMS":
            assert invariants.complete({**written, name: data[:-1]}, "train", 8), name


def test_a_flipped_bit_in_any_shard_is_noticed(written: Tree) -> None:
    for name in written:
        if name.endswith(".tfrecord"):
            for byte in range(len(written[name])):
                data = bytearray(written[name])
                data[byte] ^= 1
                assert invariants.whole({name: bytes(data)}), byte


def test_missing_and_foreign_files_are_noticed(written: Tree) -> None:
    for name in written:
        if name not in (M, "features.json", "label.labels.txt"):
            rest = {one: written[one] for one in written if one != name}
            assert invariants.vouched(rest), name
    assert invariants.whole({**written, "train.tmp": b""})
    assert invariants.same({**written, "train.tmp": b""}, written)
    assert invariants.complete({**written, ".train.partial/": b""}, "train", 8)
    assert invariants.complete({}, "train", 8)
    assert invariants.complete(written, "train", 9)


def test_a_process_that_does_not_end_is_noticed(sleeper: subprocess.Popen[bytes]) -> None:
    assert lingering(sleeper.pid, time.monotonic() - 3) == ["1 processes left after 2 s"]


# The faults


def test_torture_fails_on_any_violation(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tallies = iter([Tally(tried={"x": 2}), Tally(tried={"x": 1}, violations=["I1"])])
    monkeypatch.setattr(torture, "PARTS", dict.fromkeys("ab", lambda *_: next(tallies)))
    assert torture.main([]) == 1
    assert "a: 2 tried, all survived" in capsys.readouterr().out
    monkeypatch.setattr(torture, "PARTS", {"a": lambda *_: Tally(tried={"x": 2})})
    assert torture.main(["a"]) == 0


@pytest.mark.slow
@pytest.mark.promise("I1", "I2", "I3", "I4")
@traced
def test_write_survives_broken_calls() -> None:
    assert sweep.run(sample=48).violations == []


@pytest.mark.slow
@pytest.mark.promise("I1", "I2", "I3", "I4")
def test_write_survives_random_kills(tmp_path: Path) -> None:
    assert kills.run(tmp_path, kills=10, resumed=3, interrupts=3).violations == []


@pytest.mark.slow
@pytest.mark.promise("I1", "I2", "I3", "I4")
def test_write_survives_bad_disks(tmp_path: Path) -> None:
    assert disks.run(tmp_path, thorough=False).violations == []
