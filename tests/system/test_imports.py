"""What is loaded: the command line starts at once and needs no TensorFlow (promise P8)."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import pytest
from conftest import ROOT, class_files, fill, jpeg, needs, photo, unmeasured

from tfrec_cli.commands import write

# Runs one command in a process where TensorFlow and PyTorch end whoever imports them, workers
# too, and prints which packages were loaded.
PROGRAM = """
import os, sys
from tfrec_cli.__main__ import main
try:
    main()
except SystemExit as end:
    print(*sorted({name.partition(".")[0] for name in sys.modules} | set(sys.modules)),
          file=open(os.environ["LOADED"], "w"))
    raise
"""
POISON = b"import os\nos._exit(99)\n"
COMMANDS = ("write", "inspect", "verify", "salvage", "extract", "reshard")
HEAVY = {"tensorflow", "torch", "jax", "pandas", "matplotlib"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Make a folder SRC of images and a dataset OUT of them."""
    fill(tmp_path / "src", class_files())
    write.write(tmp_path / "src", tmp_path / "out", write.WriteOptions(jobs=1))
    return tmp_path


def loaded(data: Path, argv: str, poisoned: Collection[str] = HEAVY) -> set[str]:
    """Run one command and return the modules it loaded."""
    poison = fill(data / "poison", {f"{name}/__init__.py": POISON for name in poisoned})
    words = [
        str(data / word.lower()) if word.isupper() else word.replace("OUT/", f"{data}/out/")
        for word in argv.split()
    ]
    log = data / "loaded"
    environment = {**unmeasured(), "PYTHONPATH": str(poison), "LOADED": str(log)}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], env=environment, capture_output=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, b"")
    return set(log.read_text().split())


@pytest.mark.promise("P8")
@pytest.mark.parametrize(
    "argv",
    [
        "--help",
        "write SRC NEW -j 2",
        "write SRC NEW -j 2 --crop 32",
        "write SRC NEW -j 1 --keys tf-models --crop 32 --encoding jpeg",
        "inspect OUT",
        "inspect OUT --record 3",
        "inspect OUT --html PAGE --contact-sheet SHEET.PNG --crop 32 --seed 4",
        "verify OUT --quick -j 2",
        "verify OUT -j 2",
        "salvage OUT/train-00000-of-00001.tfrecord NEW --source SRC",
        "extract OUT NEW -j 2",
        "reshard OUT NEW --shards 2 -j 2",
    ],
)
def test_no_framework_is_loaded(data: Path, argv: str) -> None:
    assert loaded(data, argv) & HEAVY == set()


@pytest.mark.promise("P8")
@pytest.mark.parametrize("argv", ["--help", *(f"{one} --help" for one in COMMANDS)])
def test_help_loads_nothing_heavy(data: Path, argv: str) -> None:
    heavy = {
        "numpy",
        "msgspec",
        "PIL",
        "google.protobuf",
        "google_crc32c",
        "tqdm",
        "multiprocessing",
    }
    assert loaded(data, argv) & heavy == set()


@pytest.mark.parametrize("argv", ["--help", "--version", "tfrec s"])
def test_the_list_of_commands_loads_no_command(
    data: Path, argv: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor modules that only commands need; the last call is one of a shell for completion."""
    if argv not in ("--help", "--version"):
        monkeypatch.setenv("_TFREC_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", argv)
        monkeypatch.setenv("COMP_CWORD", "1")
    found = loaded(data, argv)
    assert {
        one for one in found if re.match(r"tfrec_cli\.(?!cli\b|errors$|__main__$)", one)
    } == set()
    others = {"boundary", "command", "completion", "main", "shells"}
    assert {one for one in found if one.startswith("tfrec_cli.cli.")} <= {
        f"tfrec_cli.cli.{name}" for name in others
    }
    assert found & {"dataclasses", "traceback"} == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_does_not_load_the_options_of_others(data: Path, command: str) -> None:
    modules = {f"tfrec_cli.cli.{name}": name for name in (*COMMANDS, "inspect_")}
    found = {modules[one].rstrip("_") for one in loaded(data, f"{command} --help") & modules.keys()}
    assert found == {command}


@pytest.mark.parametrize(
    ("argv", "unneeded"),
    [
        ("write PHOTOS NEW -j 1", {"numpy", "msgspec"}),
        ("write PHOTOS NEW -j 1 --no-shuffle --shards 2", {"numpy", "msgspec"}),
        ("inspect OUT", {"numpy", "PIL", "multiprocessing"}),
        ("verify OUT --quick -j 1", {"numpy", "PIL"}),
        ("verify CROPS -j 1", {"numpy"}),
    ],
)
def test_a_command_starts_without_what_it_does_not_need(
    data: Path, argv: str, unneeded: set[str]
) -> None:
    """Nor does its worker: the import of NumPy would be a third of the time."""
    write.write(data / "src", data / "crops", write.WriteOptions(crop=(9, 9), jobs=1))
    fill(data / "photos", {"1.jpg": jpeg(photo(40, 50)), "2.jpg": jpeg(photo(50, 40))})
    assert loaded(data, argv, unneeded) & {*unneeded, "tfrec_cli.reading.options"} == set()


@pytest.mark.parametrize(
    "module",
    [
        "dataset.discover",
        "commands.inspect_",
        "commands.verify",
        "commands.salvage",
        "commands.extract",
        "commands.reshard",
        "commands.write",
        "report.page",
        "api",
        "cli.config",
        "crops",
        "imaging.normalize",
        "read_tf",
        "reading.options",
        "read_numpy",
    ],
)
def test_every_module_can_be_imported_without_tensorflow(data: Path, module: str) -> None:
    program = (
        f"import sys, json, tfrec_cli.{module}; "
        "print(json.dumps('tensorflow' in sys.modules or 'torch' in sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert json.loads(ran.stdout) is False


@pytest.mark.parametrize("reader", ["read_numpy", pytest.param("read_torch", marks=needs("torch"))])
def test_other_readers_need_no_tensorflow(data: Path, reader: str) -> None:
    """Neither its Python package nor its C library, even to decode whole images."""
    program = (
        f"import sys; from tfrec_cli import {reader}; "
        f"read = {reader}.dataset({str(data / 'out')!r}, crop=20); "
        "assert len([one for one in read]) == 13; "
        "maps = open('/proc/self/maps').read(); "
        "print(int('tensorflow' in sys.modules or 'libtensorflow' in maps))"
    )
    poison = fill(data / "poison", {"tensorflow/__init__.py": POISON})
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(poison)])}
    ran = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, check=True
    )
    assert int(ran.stdout) == 0


def test_the_trap_for_imports_works(data: Path) -> None:
    """Otherwise the tests above could pass without a trap."""
    poison = fill(data / "poison", {"tensorflow/__init__.py": POISON})
    environment = {**os.environ, "PYTHONPATH": str(poison)}
    ran = subprocess.run([sys.executable, "-c", "import tensorflow"], env=environment, check=False)
    assert ran.returncode == 99
