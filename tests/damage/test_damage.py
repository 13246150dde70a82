"""Damage: a sample of what `make torture` tries, and the corpus of bad files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import needs, tf, tree
from faults import damage
from program import tfrec

from damage import make
from tfrec_cli.tfrecord.scan import read_records

TABLE: list[dict[str, Any]] = json.loads(make.EXPECTED.read_bytes())
by_name = pytest.mark.parametrize("case", TABLE, ids=lambda case: str(case["file"]))


@pytest.mark.slow
def test_a_sample_of_damaged_datasets_is_found() -> None:
    result = damage.run(400, seed=1)
    assert result["wrong"] == []
    assert sum(result["found"].values()) > 390


# The corpus


def test_the_corpus_equals_what_the_code_makes(tmp_path: Path) -> None:
    """Byte for byte, so that the files can be used without running the code."""
    make.write(tmp_path)
    assert tree(tmp_path) == tree(make.FILES)


def test_the_table_equals_what_the_code_says() -> None:
    assert [
        make.expected(case, line["tensorflow"])
        for case, line in zip(make.cases(), TABLE, strict=True)
    ] == TABLE


def test_the_corpus_is_small() -> None:
    assert sum(map(len, tree(make.FILES).values())) < 200_000


@by_name
def test_verify_finds_what_the_table_says(case: dict[str, Any]) -> None:
    path = make.FILES / case["file"]
    ran = tfrec("verify", "--json", path)
    found = json.loads(ran.out)["findings"]
    assert ran.code == case["exit"]
    if case["finding"] is None:
        assert found == []
        return
    place = (case["finding"], str(path / (case["in"] or "")), case["record"], case["offset"])
    messages = [
        one["message"]
        for one in found
        if (one["kind"], one["path"], one["record"], one["offset_bytes"]) == place
    ]
    assert [one for one in messages if one.startswith(case["message"])], found


@by_name
def test_inspect_ends_on_every_file(case: dict[str, Any]) -> None:
    assert tfrec("inspect", make.FILES / case["file"]).code in (0, 1)


@needs("tensorflow")
def test_tensorflow_reads_what_the_table_says() -> None:
    """Except for hostile lengths, which kill the process."""
    tried = [one for one in make.cases() if one.tensorflow != make.NOT_TRIED]
    lines = {line["file"]: line["tensorflow"] for line in TABLE}
    found = {one.name: make.tensorflow_reads(one) for one in tried}
    assert found == {name: lines[name] for name in found}
    assert len(lines) - len(found) == 6


HOSTILE = [line["file"] for line in TABLE if line["tensorflow"] == make.NOT_TRIED]


MEASURED = """
import atexit, os, pathlib, sys
from tfrec_cli.__main__ import main

def tell():
    status = pathlib.Path("/proc/self/status").read_text()
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024, sum(os.times()[:2]), file=sys.stderr)

atexit.register(tell)
main()
"""
"""Runs ``tfrec``, and prints at the end its peak memory in MB and its seconds of CPU."""


def cost_of(*argv: str) -> tuple[int, float, float]:
    """Run ``tfrec`` in its own process: exit code, peak memory in MB, seconds of CPU."""
    done = subprocess.run([sys.executable, "-c", MEASURED, *argv], capture_output=True, text=True)
    memory_mb, seconds = map(float, done.stderr.splitlines()[-1].split())
    return done.returncode, memory_mb, seconds


@pytest.mark.slow
@pytest.mark.parametrize("command", ["verify", "inspect"])
@pytest.mark.parametrize("name", [*HOSTILE, "example-png-bomb.tfrecord"])
def test_hostile_lengths_and_bombs_cost_little(name: str, command: str) -> None:
    code, memory_mb, seconds = cost_of(
        command, *(["-j1"] if command == "verify" else []), str(make.FILES / name)
    )
    assert code == (0 if command == "inspect" and "png" in name else 1)
    assert seconds < 2
    assert memory_mb < 300


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["train.manifest.json", "SHA256SUMS", "dataset_info.json", "train-00000-of-00002.tfindex"],
)
@pytest.mark.parametrize("filled", [False, True], ids=["sparse", "spaces"])
def test_a_side_file_of_a_gigabyte_costs_little(tmp_path: Path, name: str, filled: bool) -> None:
    folder = tmp_path / "x"
    shutil.copytree(make.FILES / "good", folder)
    with (folder / name).open("wb") as file:
        if filled:
            file.write(b" " * (1 << 26))  # no more than this is read of any file
        file.truncate(1 << 30)
    code, memory_mb, seconds = cost_of("verify", "-j1", str(folder))
    assert code == 1
    assert seconds < 2
    assert memory_mb < 300


@pytest.mark.parametrize(
    ("name", "theirs", "protobufs"),
    [
        ("two-kinds", [1], [b"dogs"]),
        ("two-lists", [1], [1, 0]),
        ("two-pieces", [1], [1, 0]),
        ("two-contents", None, [1, 0]),
        ("twice", [1], [1]),
        ("no-name", None, []),
        ("long-length", [1], [1]),
        ("long-tag", [], [1]),
        ("name-not-utf-8", [1], None),
    ],
)
def test_tensorflow_and_protobuf_read_different_labels(
    name: str, theirs: list[int] | None, protobufs: list[Any] | None
) -> None:
    """As the corpus says; None is an error."""
    from google.protobuf.message import DecodeError

    records = read_records(make.FILES / f"example-{name}.tfrecord")
    payload = [record.payload for record in records][1]
    try:
        spec = {"label": tf.io.VarLenFeature(tf.int64)}
        label = tf.io.parse_single_example(payload, spec)["label"].values.numpy().tolist()
    except (tf.errors.InvalidArgumentError, UnicodeDecodeError):  # it quotes the payload
        label = None
    try:
        feature = tf.train.Example.FromString(payload).features.feature["label"]
        kind = feature.WhichOneof("kind")
        other = list(getattr(feature, kind).value) if kind else []
    except DecodeError:
        other = None
    assert (label, other) == (theirs, protobufs)
