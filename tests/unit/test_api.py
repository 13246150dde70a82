"""The Python API: what a caller may give, what comes back, and that nothing is loaded too early."""

from __future__ import annotations

import doctest
import importlib
import inspect
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, class_files, fill, needs

import tfrec_cli
from tfrec_cli import api, errors
from tfrec_cli.cli import main as cli
from tfrec_cli.report import page
from tfrec_cli.writing.options import WriteOptions

FUNCTIONS = ("check", "extract", "inspect", "merge", "reshard", "salvage", "verify", "write")
SHARD = "train-00000-of-00001.tfrecord"
ONLY_SHOWN = {
    "code",
    "color",
    "config",
    "help",
    "json",
    "labels",
    "quiet",
    "record",
    "records",
    "verbose",
}
"""Options that decide what the command line prints."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder ``src`` of 13 images, a dataset ``out`` of them, and two parts of that."""
    root = tmp_path_factory.mktemp("data")
    fill(root / "src", class_files())
    tfrec_cli.write(root / "src", root / "out", jobs=1)
    for name, classes in (("cats", "cats"), ("rest", "dogs,owls")):
        tfrec_cli.reshard(root / "out", root / name, where=f"label={classes}", jobs=1)
    return root


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def parameters(name: str) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(getattr(api, name)).parameters)


# Signatures


def test_write_has_the_options_and_defaults_of_their_owner() -> None:
    found = {name: one.default for name, one in parameters("write").items()}
    given = {name: found.pop(name) for name in ("source", "out", "progress")}
    assert given["progress"] is None
    assert found.keys() == {field.name for field in fields(WriteOptions)}
    assert WriteOptions.of(**found) == WriteOptions()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_keywords_are_the_options_of_the_command(name: str) -> None:
    """All but those that decide what is printed; ``--no-shuffle`` is a ``shuffle_seed`` of None."""
    command = cli.main.commands[name]
    known = {param.name: param.param_type_name for param in command.params}
    expected = known.keys() - (
        ONLY_SHOWN if name not in ("check", "write") else ONLY_SHOWN - {"labels"}
    )
    expected -= {"no_shuffle"}
    found = parameters(name)
    assert found.keys() - {"progress"} == expected
    for one in found.values():
        is_option = one.name == "progress" or known[one.name] == "option"
        assert one.kind is (one.KEYWORD_ONLY if is_option else one.POSITIONAL_OR_KEYWORD)


def test_the_help_says_how_many_images_a_sheet_has() -> None:
    """As many as the documentation of `inspect` and the code say."""
    sheet = next(one for one in cli.main.commands["inspect"].params if one.name == "contact_sheet")
    for text in (getattr(sheet, "help", ""), str(api.inspect.__doc__)):
        assert f"up to {page.MOST_PICTURES} images" in " ".join(text.split())


# Paths


CALLS: list[tuple[str, Callable[[Callable[[str], Any]], Any]]] = [
    ("check", lambda at: tfrec_cli.check(at("src"), jobs=1).images),
    ("write", lambda at: tfrec_cli.write(at("src"), at("new"), jobs=1).records),
    ("inspect", lambda at: tfrec_cli.inspect(at("out")).records),
    ("verify", lambda at: tfrec_cli.verify(at("out"), source=at("src"), jobs=1).records),
    (
        "salvage",
        lambda at: tfrec_cli.salvage(at(f"out/{SHARD}"), at("new"), source=at("src")).records,
    ),
    ("extract", lambda at: tfrec_cli.extract(at("out"), at("new"), jobs=1).files),
    (
        "merge",
        lambda at: tfrec_cli.merge([at("cats"), at("rest")], at("new")).splits[0].manifest.records,
    ),
    ("reshard", lambda at: tfrec_cli.reshard(at("out"), at("new"), shards=2).after[0].records),
]


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize(("name", "call"), CALLS, ids=[name for name, _ in CALLS])
def test_paths_may_be_strings_or_paths(
    data: Path, tmp_path: Path, name: str, call: Any, kind: Callable[[str], Any]
) -> None:
    assert name in api.__all__
    assert call(lambda word: kind(str((tmp_path if word == "new" else data) / word))) == 13


def test_several_paths_and_patterns_are_inspected(data: Path, tmp_path: Path) -> None:
    tfrec_cli.reshard(data / "out", tmp_path / "two", shards=2)
    paths = [str(tmp_path / "two" / "*.tfrecord"), data / "out"]
    assert tfrec_cli.inspect(paths).records == 26


def test_other_files_are_given_as_paths_too(data: Path, tmp_path: Path) -> None:
    labels = tmp_path / "classes.txt"
    labels.write_text("owls\ndogs\ncats\n")
    written = tfrec_cli.write(data / "src", tmp_path / "new", labels=labels, jobs=1)
    assert written.labels == ("owls", "dogs", "cats")
    (tmp_path / "list.csv").write_text("path\ncats/420.jpg\n")
    listed = tfrec_cli.write(tmp_path / "list.csv", tmp_path / "one", root=data / "src", jobs=1)
    assert listed.records == 1
    sheet, html = tmp_path / "sheet.png", str(tmp_path / "page.html")
    assert tfrec_cli.inspect(data / "out", contact_sheet=sheet, html=html, crop=20, seed=3).ok
    assert sheet.read_bytes()[:4] == b"\x89PNG"
    assert Path(html).read_bytes()[:2] == b"<!"


# Values


@pytest.mark.parametrize("crop", [30, "30", "30x30", (30, 30), [30, 30], np.int64(30)])
def test_a_crop_may_be_given_in_many_ways(data: Path, tmp_path: Path, crop: Any) -> None:
    """The files are the same: a manifest has the value, not the form in which it was given."""
    found = tfrec_cli.write(data / "src", tmp_path / "a", crop=crop, jobs=np.int8(1))
    assert found.manifest
    assert found.manifest.crop == (30, 30)
    tfrec_cli.write(data / "src", tmp_path / "b", crop=30, jobs=1)
    assert files(tmp_path / "a") == files(tmp_path / "b")


@pytest.mark.parametrize("size", [2**14, "16KiB", "16k", np.uint32(2**14)])
def test_a_shard_size_may_be_a_number_or_a_string(data: Path, tmp_path: Path, size: Any) -> None:
    found = tfrec_cli.write(data / "src", tmp_path / "a", shard_size=size, dry_run=True)
    copied = tfrec_cli.reshard(data / "out", tmp_path / "b", shard_size=size)
    assert copied.after[0].options["shard_size"] == 2**14
    assert len(found.plan.sizes) > 1


@pytest.mark.parametrize(
    "split",
    [
        "train=0.75,val=0.25",
        {"train": 0.75, "val": 0.25},
        {"train": Fraction(3, 4), "val": np.float32(0.25)},
    ],
)
def test_splits_may_be_a_string_or_a_mapping(data: Path, tmp_path: Path, split: Any) -> None:
    written = tfrec_cli.write(data / "src", tmp_path / "a", split=split, jobs=1)
    assert [(one.split, one.records) for one in written.splits] == [("train", 10), ("val", 3)]
    assert {one.manifest.options["split"] for one in written.splits if one.manifest} == {
        "train=0.75,val=0.25"
    }


def test_sources_of_several_splits_are_a_mapping(data: Path, tmp_path: Path) -> None:
    for split in ("train", "val"):
        tfrec_cli.write(data / "src", tmp_path / "a", split=split, jobs=1)
    sources = {"train": str(data / "src"), "val": data / "src"}
    verified = tfrec_cli.verify(tmp_path / "a", source=sources, quick=True, jobs=1)
    assert (verified.ok, verified.shards, verified.records) == (True, 2, 26)


@pytest.mark.parametrize(("limit", "kept"), [(3, 12), ("25%", 12)])
def test_the_most_errors_are_a_number_or_a_share(
    data: Path, tmp_path: Path, limit: Any, kept: int
) -> None:
    source = Path(shutil.copytree(data / "src", tmp_path / "src"))
    (source / "dogs/plain.jpg").write_bytes(b"no picture")
    given: dict[str, Any] = {"on_error": "skip", "max_errors": limit, "jobs": 1}
    (source / "cats/bad.jpg").write_bytes(b"no picture either")
    written = tfrec_cli.write(source, tmp_path / "a", **given)
    assert (written.records, len(written.rejects)) == (14 - 1 if kept else 0, 2)


def test_progress_is_called_where_it_is_given(data: Path, tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    tfrec_cli.write(data / "src", tmp_path / "a", jobs=1, progress=lambda *call: calls.append(call))
    assert calls[-1] == ("writing", 13, 13)


def test_a_script_calls_one_function_after_the_other(data: Path, tmp_path: Path) -> None:
    """At its top, without a guard: NumPy has threads, so that nothing can be forked."""
    script = tmp_path / "script.py"
    script.write_text(
        "import numpy, sys, tfrec_cli\n"
        "source, out, new = sys.argv[1:]\n"
        "print(tfrec_cli.write(source, out, crop=20, jobs=2).records)\n"
        "print(tfrec_cli.verify(out, source=source, jobs=2).ok)\n"
        "print(tfrec_cli.reshard(out, new, shards=3, jobs=2).after[0].records)\n"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    ran = subprocess.run(
        [sys.executable, script, data / "src", tmp_path / "out", tmp_path / "new"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ran.stdout, ran.stderr) == ("13\nTrue\n13\n", "")


# Results


def test_what_was_written_is_shown_on_one_line(data: Path, tmp_path: Path) -> None:
    shares = {"train": 0.7, "val": 0.3}
    out = tmp_path / "new"
    assert repr(tfrec_cli.write(data / "src", out, dry_run=True, jobs=1)) == (
        f"<tfrec dry run of {out}, split train: 13 records in 1 shard>"
    )
    written = tfrec_cli.write(data / "src", out, crop=50, on_error="skip", split=shares, jobs=1)
    left_out = len(written.rejects)
    assert left_out > 0
    assert repr(written) == (
        f"<tfrec dataset {out}, split train: {written.records} records in 1 shard, crop 50x50, "
        f"{left_out} left out, and split val>"
    )
    whole = tfrec_cli.write(data / "src", tmp_path / "whole", jobs=1)
    assert repr(whole).endswith("split train: 13 records in 1 shard, whole images>")


def test_findings_are_returned_and_not_raised(data: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(data / "out", tmp_path / "out"))
    shard = out / SHARD
    shard.write_bytes(shard.read_bytes()[:-1])
    verified = tfrec_cli.verify(out, jobs=1)
    assert not verified.ok
    assert {finding.kind for finding in verified.findings} >= {"size", "framing"}
    summary = tfrec_cli.inspect(out)
    assert (summary.ok, summary.records, len(summary.problems)) == (False, 12, 1)
    saved = tfrec_cli.salvage(shard, tmp_path / "saved")
    assert (saved.ok, saved.records, saved.missing) == (False, 12, 1)


@pytest.mark.parametrize("name", sorted(api._RESULTS.keys() - {"Finding"}))
def test_the_types_of_results_have_public_names(name: str) -> None:
    assert inspect.isclass(getattr(api, name))
    assert any(name in str(inspect.signature(getattr(api, one))) for one in FUNCTIONS)


def test_the_type_of_findings_has_a_public_name(data: Path) -> None:
    verified = tfrec_cli.verify(
        data / "out", expect=f"seed1-8x8-e0:{'0' * 64}", crop=8, seed=1, jobs=1
    )
    assert [type(finding) for finding in verified.findings] == [api.Finding]


# Errors


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("write", {"crop": 0}, "crop: found 0, expected 1 or more"),
        ("write", {"crop": 70_000}, "crop: found 70000, expected 1 to 65535"),
        ("write", {"crop": (1, 2, 3)}, "crop: found (1, 2, 3), expected a number of pixels or"),
        ("write", {"jobs": "4"}, "jobs: found '4', expected a whole number"),
        ("write", {"jobs": 0}, "jobs: found 0, expected 1 to 4096"),
        ("write", {"jpeg_quality": None}, "jpeg_quality: found None, expected a whole number"),
        ("write", {"shard_size": "big"}, "shard_size: found 'big', expected a size such as 128MiB"),
        (
            "write",
            {"small": "crop"},
            "small: found 'crop', expected one of fail, ",
        ),
        ("write", {"index": 1}, "index: found 1, expected True or False"),
        ("write", {"resume": "yes"}, "resume: found 'yes', expected True or False"),
        ("write", {"split": {"a": "b"}}, "split: found 'b', expected a number"),
        (
            "write",
            {"split": {"a": 0.5}},
            "split: found shares that add up to 0.5, expected 1, or 100 for percent",
        ),
        ("write", {"labels": ["a"]}, "labels: found ['a'], expected a string"),
        ("write", {"max_errors": 1.5}, "max_errors: found 1.5, expected a whole number"),
        ("write", {"max_errors": 3}, "max_errors: needs on_error skip"),
        ("write", {"encoding": "png"}, "encoding: needs crop"),
        ("write", {"out": None}, "out: found None, expected a path"),
        ("write", {"shards": 14}, "shards 14: found 13 images, expected one for each shard"),
        ("verify", {"seed": 1.5}, "seed: found 1.5, expected a whole number"),
        ("verify", {"seed": 1, "epochs": 0}, "epochs: found 0, expected 1 or more"),
        ("verify", {"seed": 1, "epochs": 2**31 + 1}, "epochs: found 2147483649, expected 1 to 21"),
        ("verify", {"crop": 9}, "crop: needs seed"),
        ("verify", {"quick": 1}, "quick: found 1, expected True or False"),
        ("verify", {"source": {"val": "x"}}, "source: found no split 'val', expected train"),
        ("inspect", {"crop": 9}, "crop: needs contact_sheet or html"),
        ("inspect", {"seed": 9}, "seed: needs crop"),
        ("inspect", {"paths": [3]}, "paths: found 3, expected a path"),
        ("inspect", {"paths": []}, "paths: found none, expected at least one"),
        ("salvage", {"root": "x"}, "root: needs source"),
        ("extract", {"split": 3}, "split: found 3, expected a string"),
        ("reshard", {}, "shards or shard_size is needed, or split, where or limit"),
        ("reshard", {"shards": 2, "shard_size": "1M"}, "shards: cannot be used with shard_size"),
        ("reshard", {"shards": "2"}, "shards: found '2', expected a whole number"),
    ],
)
def test_a_wrong_value_is_a_value_error_that_names_the_keyword(
    data: Path, tmp_path: Path, name: str, given: dict[str, Any], message: str
) -> None:
    at = {"source": data / "src", "paths": data / "out", "path": data / "out"}
    at |= {"dataset": data / "out", "shard": data / "out" / SHARD, "out": tmp_path / "new"}
    needed = [one.name for one in parameters(name).values() if one.kind is not one.KEYWORD_ONLY]
    with pytest.raises(ValueError, match=r"found|need|cannot") as raised:
        getattr(tfrec_cli, name)(**{**{word: at[word] for word in needed}, **given})
    assert isinstance(raised.value, ValueError)
    assert str(raised.value).startswith(message)
    assert raised.value.option == message.replace(" ", ":").partition(":")[0]
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_missing_path_is_a_file_not_found_error(tmp_path: Path, name: str) -> None:
    first, *rest = (one for one in parameters(name).values() if one.kind is not one.KEYWORD_ONLY)
    (tmp_path / "images").mkdir()
    given: dict[str, Any] = {first.name: tmp_path / "imagse"}
    given |= {one.name: tmp_path / "new" for one in rest}
    with pytest.raises(FileNotFoundError) as raised:
        getattr(tfrec_cli, name)(**given, **({"shards": 2} if name == "reshard" else {}))
    expected = f"No such file or folder: {tmp_path}/imagse (did you mean {tmp_path}/images?)"
    assert (str(raised.value), raised.value.filename) == (expected, f"{tmp_path}/imagse")


def test_wrong_data_is_not_a_value_error(data: Path, tmp_path: Path) -> None:
    fill(tmp_path / "src", {"a/bad.jpg": b"no picture"})
    with pytest.raises(errors.DataError) as raised:
        tfrec_cli.write(tmp_path / "src", tmp_path / "new", jobs=1)
    assert not isinstance(raised.value, ValueError)
    with pytest.raises(errors.RunError):
        tfrec_cli.extract(data / "out", data / "src", jobs=1)


# Loading


def loaded_by(program: str) -> list[str]:
    """Run a program, and return the packages and modules that it has loaded."""
    program += "; import sys; print(*sys.modules)"
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()


HEAVY = {"numpy", "PIL", "click", "msgspec", "tqdm", "tensorflow", "torch", "google"}


def test_importing_the_package_loads_nothing() -> None:
    """Not even modules of Python's own library, but for those that start with it."""
    assert set(loaded_by("import tfrec_cli")) - set(loaded_by("pass")) <= {"tfrec_cli"}


def test_a_command_that_needs_no_numpy_loads_none(data: Path) -> None:
    program = f"import tfrec_cli; assert tfrec_cli.inspect({str(data / 'out')!r}).ok"
    assert set(loaded_by(program)) & {"numpy", "PIL", "click", "tqdm", "tensorflow"} == set()


def test_public_modules_come_with_the_package() -> None:
    program = "import tfrec_cli; tfrec_cli.errors.UsageError; tfrec_cli.crops.random_boxes"
    loaded = set(loaded_by(program))
    assert loaded >= {"tfrec_cli.errors", "tfrec_cli.crops"}
    assert not loaded & {"tfrec_cli.api", "tfrec_cli.read_tf"}


def test_the_names_are_listed() -> None:
    assert {*FUNCTIONS, "read_tf", "errors", "__version__"} <= {*dir(tfrec_cli)}
    assert {*tfrec_cli.__all__} == {*FUNCTIONS, "__version__"}


@pytest.mark.parametrize("module", [tfrec_cli, api])
def test_another_name_is_an_attribute_error(module: Any) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'wrte'"):
        _ = module.wrte


NEEDS = {"read_tf": ["tensorflow"], "read_torch": ["torch"], "read_keras": ["keras"]}
PUBLIC = [
    pytest.param(path.stem, marks=needs(*NEEDS.get(path.stem, [])))
    for path in sorted((ROOT / "tfrec_cli").glob("[!_]*.py"))
]


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_module_says_what_is_public(name: str) -> None:
    """Each name is there and documented, and star imports give nothing else."""
    module = importlib.import_module(f"tfrec_cli.{name}")
    assert module.__all__
    for one in module.__all__:
        value = getattr(module, one)
        assert inspect.getdoc(value) or not isinstance(value, (type, FunctionType)), one


# Examples


@pytest.mark.parametrize(
    "name",
    [
        "api",
        "read_numpy",
        *(pytest.param(name, marks=needs(*packages)) for name, packages in NEEDS.items()),
    ],
)
def test_the_examples_in_docstrings_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """In a folder with the sample images as ``images``, and a dataset ``out`` of them."""
    shutil.copytree(ROOT / "sample_data/images", tmp_path / "images")
    monkeypatch.chdir(tmp_path)
    tfrec_cli.write("images", "out", jobs=1)
    module = importlib.import_module(f"tfrec_cli.{name}")
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert result.attempted > 2
    assert result.failed == 0
    assert os.getcwd() == str(tmp_path)
