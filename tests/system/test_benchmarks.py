"""The benchmarks check what they measure, and report wrong results. Speed is not tested."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Framework, needs, tf

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks import clock, folders
from benchmarks.contest import Outcome, contest
from benchmarks.errors import BenchmarkError
from benchmarks.results import document, table
from benchmarks.run import run
from benchmarks.works import DATASETS, EARLIER, Contestant, Role, Work, against, works
from tfrec_cli import read_tf
from tfrec_cli.commands import write

IMAGES = ROOT / "sample_data" / "images"
same = Framework("benchmarks.same", "tensorflow")


@pytest.mark.parametrize("work", works(5000), ids=lambda work: work.name)
def test_the_table_is_well_formed(work: Work) -> None:
    names = [one.name for one in work.contestants]
    ours = [one.name for one in work.contestants if one.role == "ours"]
    assert work.contestants[0].role == "ours"
    assert len(set(names)) == len(names)
    assert work.at_most or any(one.at_least for one in work.contestants)
    known = {"images", "large", "one", "tenfold", "out", "made", *DATASETS}
    for one in work.contestants:
        assert folders.words(f"{one.command} {one.before}") <= known
        assert {one.start_up} - {None} <= set(ours)
        assert (one.needs is not None) == (one.role == "peer")
        assert one.role != "ours" or one.at_least is None
        for module in re.findall(r"-m (\S+)", f"{one.command} {one.before}"):
            assert (ROOT / f"{module.replace('.', '/')}.py").is_file()
    if work.same:
        assert callable(getattr(same, work.same.split()[0]))


def test_targets_grow_with_the_photos() -> None:
    def target(photos: int) -> float | None:
        crops = next(work for work in works(photos) if work.name == "write-crops")
        return next(one.at_least for one in crops.contestants if one.role == "usual")

    assert (target(5000), target(50_000)) == (2.5, 3.2)


@needs("tensorflow")
def test_a_run_writes_what_it_measured(tmp_path: Path) -> None:
    argv = [IMAGES, "--runs", "1", "--only", "help", "write-whole", "--out", tmp_path]
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks", *map(str, argv), "--no-chart"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    found = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert list(found) == [
        "format",
        "format_version",
        "machine",
        "load_before",
        "photos",
        "photos_bytes",
        "runs",
        "works",
    ]
    assert (found["format"], found["runs"]) == ("tfrec-benchmarks", 1)
    assert found["machine"]["packages"].keys() >= {"tensorflow", "tfrec-cli"}
    assert [work["name"] for work in found["works"]] == ["write-whole", "help"]
    whole = found["works"][0]
    assert whole["records"] == found["photos"]
    assert [one["name"] for one in whole["contestants"]] == ["tfrec", "usual script", "tar"]
    assert [len(one["values"]) for one in whole["contestants"]] == [1, 1, 1]
    assert [len(one["ratios"]) for one in whole["contestants"]] == [0, 1, 1]
    assert "usual script" in ran.stdout
    assert str(tmp_path) not in json.dumps(found)


def test_a_missing_folder_of_photos_is_an_error_of_one_line(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks", str(tmp_path), "--no-chart"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    message = f"benchmarks: {tmp_path}: found no upright JPEG in class folders, expected photos\n"
    assert (ran.returncode, ran.stderr) == (1, message)


def says(role: Role, name: str, what: str, **more: Any) -> Contestant:
    """Make a contestant that only prints something."""
    return Contestant(role, name, f'python -c "print({what!r})"', **more)


def run_contest(tmp_path: Path, *contestants: Contestant) -> Outcome:
    return contest(Work("work", "about", contestants), {}, tmp_path, 2, lambda _: None)


def test_ratios_leave_out_the_start(tmp_path: Path) -> None:
    ours, start, limit = run_contest(
        tmp_path,
        says("ours", "tfrec", "8 records in 5.0 seconds"),
        says("ours", "start", "8 records in 1.0 seconds"),
        says("limit", "bare", "8 records in 3.0 seconds", start_up="start", at_least=0.75),
    ).entries
    assert (ours.values, ours.ratio, start.ratio) == ((5.0, 5.0), None, None)
    assert (limit.ratios, limit.met) == ((0.75, 0.75), True)


def test_a_budget_grows_with_the_records(tmp_path: Path) -> None:
    work = Work(
        "work", "about", (says("ours", "tfrec", "9 records in 4 seconds"),), at_most=2, per=3
    )
    slow = contest(work, {}, tmp_path, 1, lambda _: None)
    assert (slow.at_most, slow.met) == (6, True)
    assert contest(replace(work, per=6), {}, tmp_path, 1, lambda _: None).met is False


def test_a_peer_that_is_missing_or_fails_is_named(tmp_path: Path) -> None:
    outcome = run_contest(
        tmp_path,
        says("ours", "tfrec", "8 records in 5 seconds"),
        says("peer", "absent", "8 records in 9 seconds", needs="no-such-distribution"),
        Contestant("peer", "broken", "python -c 'import sys; sys.exit(\"no disk\")'"),
    )
    assert [entry.why_not for entry in outcome.entries[:2]] == [None, "not installed"]
    assert str(outcome.entries[2].why_not).endswith("found exit code 1, expected 0: no disk")
    assert "not installed" in table(outcome)
    shown = document([outcome])["works"][0]["contestants"]
    assert [one["median"] for one in shown] == [5, None, None]


@pytest.mark.parametrize("work", works(5000), ids=lambda work: work.name)
def test_an_earlier_commit_reads_what_it_wrote_itself(work: Work) -> None:
    ours, earlier, *_ = against(work, ROOT).contestants
    assert (earlier.role, earlier.checkout, earlier.at_least) == ("earlier", ROOT, 0.95)
    read = folders.words(ours.command) & DATASETS.keys()
    assert folders.words(earlier.command) & DATASETS.keys() == set()
    assert {EARLIER + name for name in read} <= folders.words(earlier.command)


def test_programs_of_an_earlier_commit_run_these_benchmarks(tmp_path: Path) -> None:
    """Each program prints the length of its name."""
    programs = tmp_path / "checkout/.venv/bin"
    programs.mkdir(parents=True)
    for name in ("python", "tfrec"):
        program = programs / name
        check = "test -f benchmarks/ours.py && ! test -e tfrec_cli"
        program.write_text(f"#!/bin/sh\n{check} && echo {len(name)} records in 2 seconds\n")
        program.chmod(0o755)
    ran = [run(f"{name} x", {}, checkout=tmp_path / "checkout") for name in ("python", "tfrec")]
    assert [(one.records, one.seconds) for one in ran] == [(6, 2.0), (5, 2.0)]


def test_processor_time_counts_children_and_no_waiting(tmp_path: Path) -> None:
    busy = "import time; [0 for _ in iter(lambda: time.process_time() < 0.3, False)]"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])"
    script = tmp_path / "script.py"
    script.write_text(program)
    waiting = tmp_path / "waiting.py"
    waiting.write_text("import time; time.sleep(0.5)")
    spent, idle = (run(f"python {path}", {}).cpu_seconds for path in (script, waiting))
    assert spent >= 0.3 > idle


def test_a_failure_of_the_usual_way_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="found exit code 1, expected 0: no disk"):
        run_contest(
            tmp_path,
            says("ours", "tfrec", "8 records in 5 seconds"),
            Contestant("usual", "broken", "python -c 'import sys; sys.exit(\"no disk\")'"),
        )


def test_other_numbers_of_records_are_found(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="found different numbers of records"):
        run_contest(
            tmp_path,
            says("ours", "tfrec", "8 records in 5 seconds"),
            says("usual", "script", "9 records in 5 seconds"),
        )


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """Write crops of the samples."""
    write.write(IMAGES, tmp_path / "crops", write.WriteOptions(crop=(96, 96), jobs=1))
    return tmp_path / "crops"


def test_one_changed_pixel_is_found(crops: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    records = []
    for path in crops.glob("*.tfrecord"):
        records += list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    changed = tf.train.Example.FromString(records[7])
    pixels = changed.features.feature["image"].bytes_list.value
    pixels[0] = bytes([pixels[0][0] ^ 1]) + pixels[0][1:]
    with tf.io.TFRecordWriter(str(other / "any.tfrecord")) as writer:
        for number in reversed(range(len(records))):
            writer.write(records[number])
    same.written(crops, other)
    with tf.io.TFRecordWriter(str(other / "any.tfrecord")) as writer:
        for number, record in enumerate(records):
            writer.write(changed.SerializeToString() if number == 7 else record)
    total = len(records)
    message = f"crops: found {total - 1} of {total} records like those of other, expected all"
    with pytest.raises(BenchmarkError, match=message):
        same.written(crops, other)


def test_a_lost_record_is_found(crops: Path, tmp_path: Path) -> None:
    shutil.copytree(crops, tmp_path / "other")
    shard = next((tmp_path / "other").glob("*.tfrecord"))
    kept = list(tf.data.TFRecordDataset(str(shard)).as_numpy_iterator())[1:]
    with tf.io.TFRecordWriter(str(shard)) as writer:
        for record in kept:
            writer.write(record)
    with pytest.raises(BenchmarkError, match="like those of other"):
        same.written(crops, tmp_path / "other")


@needs("tensorflow")
def test_a_wrong_answer_ends_the_run(crops: Path, tmp_path: Path) -> None:
    """No matter which of our contestants gave it."""
    copy = "python -c \"import shutil; shutil.copytree('{crops}', '{out}')\""
    lose = "python -c \"import pathlib; pathlib.Path('{out}').mkdir()\""
    work = Work(
        "work",
        "about",
        (
            Contestant("ours", "right", copy),
            Contestant("ours", "wrong", lose),
            Contestant("usual", "script", copy),
        ),
        same="written {ours} {usual}",
    )
    with pytest.raises(BenchmarkError, match=r"work: wrong: wrong result: .*found 0"):
        contest(work, {"crops": crops}, tmp_path, 1, lambda _: None)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Write the samples that are plain photos as they are."""
    plain = folders.plain_photos(IMAGES)
    folders.link(folders.large(plain), tmp_path / "photos", 32)
    write.write(tmp_path / "photos", tmp_path / "whole", write.WriteOptions(jobs=1))
    return tmp_path / "whole"


def test_pixels_of_readers_are_checked(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our reader passes, and a reader with another seed does not."""
    same.random_crops(photos)
    same.shuffled(photos)
    right = read_tf.dataset
    monkeypatch.setattr(
        read_tf, "dataset", lambda *args, **more: right(*args, **{**more, "seed": 2})
    )
    with pytest.raises(BenchmarkError, match="values that differ"):
        same.random_crops(photos)


def test_pixels_of_stored_crops_are_checked(photos: Path, tmp_path: Path) -> None:
    """Our reader passes, and fails if the bytes of a record differ from what it read."""
    write.write(
        tmp_path / "photos", tmp_path / "crops", write.WriteOptions(crop=(128, 128), jobs=1)
    )
    same.stored_crops(tmp_path / "crops")


def test_short_epochs_are_timed_until_two_seconds_are_made_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first warms up; the others take 0.5, 0.75 and 1 seconds: the median is 0.75."""
    now = iter([0.0, 0.25, 0.5, 1.0, 1.5, 1.75, 2.0, 2.5, 3.0])
    begun = []

    def epoch() -> list[int]:
        begun.append(len(begun))
        return [3, 4]

    monkeypatch.setattr("time.perf_counter", lambda: next(now))
    clock.timed(epoch)
    assert capsys.readouterr().out == "7 records in 0.750000 seconds\n"
    assert len(begun) == 4


def test_an_empty_epoch_ends(capsys: pytest.CaptureFixture[str]) -> None:
    clock.timed(list)
    assert capsys.readouterr().out == "0 records in 0.000000 seconds\n"
