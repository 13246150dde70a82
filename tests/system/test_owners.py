"""Each fact has one owner: these tests fail if a fact is written a second time."""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from functools import cache

import click
import pytest
from conftest import ROOT

from tfrec_cli.cli import main as cli
from tfrec_cli.dataset import names
from tfrec_cli.dataset.manifest import Manifest, Shard
from tfrec_cli.dataset.records import Names
from tfrec_cli.writing import options
from tfrec_cli.writing.options import WriteOptions

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PACKAGE = ROOT / "tfrec_cli"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MODULES = sorted(str(path.relative_to(PACKAGE).with_suffix("")) for path in PACKAGE.rglob("*.py"))
LOWER = [
    module
    for module in MODULES
    if not module.startswith(("cli/", "report/", "commands/")) and module != "__main__"
]
"""Modules that do not know the command line."""

RECORD_OWNERS = {"dataset/records", "dataset/foreign", "dataset/boxes"}
COMMANDS = "|".join(sorted(cli.main.commands))


@cache
def nodes(module: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))))


def texts(module: str) -> Iterator[str]:
    """Iterate the strings of a module that are not docstrings, also those in f-strings."""
    alone = {id(node.value) for node in nodes(module) if isinstance(node, ast.Expr)}
    for node in nodes(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.value


def number(node: ast.AST) -> int | None:
    """Compute a whole number: 99_999, 2**31 - 1, 128 << 20."""
    if isinstance(node, ast.Constant):
        return node.value if type(node.value) is int else None
    if not isinstance(node, ast.BinOp):
        return None
    left, right = number(node.left), number(node.right)
    if left is None or right is None or right > 2**31:
        return None
    match node.op:
        case ast.Pow() if right < 128:
            return int(left**right)
        case ast.LShift() if right < 128:
            return left << right
        case ast.Mult():
            return left * right
        case ast.Sub():
            return left - right
    return None


@pytest.mark.parametrize("module", MODULES)
def test_only_records_and_boxes_have_names_of_features(module: str) -> None:
    found = [text for text in texts(module) if text.startswith("image/")]
    assert module in RECORD_OWNERS or not found


@pytest.mark.parametrize("module", MODULES)
def test_the_features_of_a_record_are_listed_once(module: str) -> None:
    """Three of their names in one list, set or dictionary would be a second list."""
    options = {"image", "label", "channels"} if module == "reading/options" else set()
    ours = set(Names._fields) - options  # of the readers, with the same names
    for node in nodes(module):
        parts = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", [])
        listed = {part.value for part in parts if isinstance(part, ast.Constant)}
        assert module in RECORD_OWNERS or len(listed & ours) < 3, listed


@pytest.mark.parametrize("module", MODULES)
def test_only_dataset_has_keys_of_a_manifest(module: str) -> None:
    """Except words that other JSON has too, and keys of results, which `report` owns."""
    common = {"name", "split", "keys", "records", "columns", "options", "versions", "labels"}
    common |= {"crop", "shards", "index", "compression", "rejects", "changes", "ignored"}
    common |= {"stored", "sha256", "size_bytes", "unknown", "division", "smallest"}
    keys = {field.name for kind in (Manifest, Shard) for field in fields(kind)} - common
    found = keys.intersection(texts(module))
    assert module.startswith(("dataset/", "report/")) or not found


@pytest.mark.parametrize("module", MODULES)
def test_only_names_has_names_of_files(module: str) -> None:
    """Except examples of commands, which have a space."""
    suffixes = (names.MANIFEST_SUFFIX, names.REJECTS_SUFFIX, names.INDEX_SUFFIX, names.SUMS)
    suffixes += (names.NOTE_SUFFIX, ".partial", ".tfrecord", names.TFDS_INFO, names.LOCK)
    suffixes += (names.TARGETS_SUFFIX,)
    found = [text for text in texts(module) for suffix in suffixes if text.endswith(suffix)]
    found = [text for text in found if " " not in text]
    assert module == "dataset/names" or not found


def test_limits_of_options_are_written_once() -> None:
    """Large numbers are distinct, so they are searched for; defaults are compared below."""
    limits = {
        options.range_of(field.name).most
        for field in fields(WriteOptions)
        if "range" in field.metadata
    }
    limits |= {default for field in fields(WriteOptions) if type(default := field.default) is int}
    limits = {limit for limit in limits if 2**16 <= limit < 2**62}
    found: Counter[int] = Counter()
    for module in MODULES:
        inner = {
            id(part)
            for node in nodes(module)
            if isinstance(node, ast.BinOp) and number(node) is not None
            for part in ast.walk(node)
            if part is not node
        }
        found.update(
            number(node)
            for node in nodes(module)
            if id(node) not in inner and number(node) in limits
        )
    assert found == Counter(dict.fromkeys(limits, 1))


def test_the_command_line_has_the_defaults_and_ranges_of_the_fields() -> None:
    params = {param.name: param for param in cli.main.commands["write"].params}
    compared = set()
    for field in fields(WriteOptions):
        param = params[field.name]
        if "words" in field.metadata:
            assert isinstance(param.type, click.Choice)
            assert tuple(param.type.choices) == options.words_of(field.name)
        if isinstance(param.type, click.IntRange):
            limits = options.range_of(field.name)
            assert param.type.min == limits.least
            assert param.type.max == limits.most or (param.type.max is None and limits.most > 2**62)
        default = param.get_default(click.Context(cli.main.commands["write"]))
        if isinstance(default, (str, int)):
            assert param.type.convert(default, param, None) == field.default
            compared.add(field.name)
    assert {"split", "labels", "shard_size", "max_pixels", "jpeg_quality"} <= compared


@pytest.mark.parametrize("module", MODULES)
def test_only_division_reads_how_a_split_was_divided(module: str) -> None:
    """The typed division of the manifest has it; only its owner parses the text of --split."""
    for node in nodes(module):
        reads = (
            isinstance(node, ast.Subscript)
            and isinstance(node.slice, ast.Constant)
            and node.slice.value == "split"
        ) or (
            isinstance(node, ast.Call)
            and getattr(node.func, "attr", "") in ("get", "pop")
            and any(getattr(one, "value", None) == "split" for one in node.args)
        )
        assert module in {"dataset/division", "cli/completion"} or not reads, ast.unparse(node)


@pytest.mark.parametrize("module", MODULES)
def test_only_crops_halves_the_space_around_a_crop(module: str) -> None:
    """A centre, and the margins on two sides, need a division by two."""
    medians = {"inspecting/tally", "writing/figures", "report/write"}
    others = {
        *medians,
        "report/page",
        "sources/cells",
        "runtime/permutation",
    }  # captions, digits, bits
    halves = [
        ast.unparse(node)
        for node in nodes(module)
        if isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.FloorDiv)
        and number(node.right) == 2
    ]
    assert module in {"crops", *others} or not halves


@pytest.mark.parametrize("module", LOWER)
def test_lower_layers_do_not_name_commands(module: str) -> None:
    found = [text for text in texts(module) if re.search(rf"tfrec ({COMMANDS})\b", text)]
    assert not found


def test_only_errors_says_how_to_install_an_extra() -> None:
    assert [one for one in MODULES if any("tfrec-cli[" in text for text in texts(one))] == [
        "errors"
    ]


def test_every_extra_that_an_error_names_exists() -> None:
    named = {
        ast.literal_eval(node.args[1])
        for module in MODULES
        for node in nodes(module)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "MissingExtraError.of"
    }
    assert named == {"heif", "keras", "tensorflow", "torch"}
    assert named <= set(PROJECT["optional-dependencies"])


def test_the_owners_have_the_facts_that_these_tests_look_for() -> None:
    """Otherwise the tests above could pass without looking at anything."""
    assert any(text.startswith("image/") for text in texts("dataset/records"))
    assert any(
        "rejects_sha256" in str(ast.unparse(node))
        for node in nodes("dataset/manifest")
        if isinstance(node, ast.AnnAssign)
    )
    assert names.MANIFEST_SUFFIX in texts("dataset/names")
    assert any(
        isinstance(node, ast.BinOp) and isinstance(node.op, ast.FloorDiv) for node in nodes("crops")
    )
    assert any(re.search(rf"tfrec ({COMMANDS})\b", text) for text in texts("cli/boundary"))


@pytest.mark.parametrize("module", MODULES)
def test_ctypes_loads_no_library(module: str) -> None:
    """TensorFlow's C library was once called like this; functions of libc are there already."""
    loaders = {"CDLL", "PyDLL", "cdll", "pydll", "LoadLibrary", "find_library"}
    calls = {id(one.func): one for one in nodes(module) if isinstance(one, ast.Call)}
    for node in nodes(module):
        name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
        if name in loaders:
            assert [ast.unparse(one) for one in calls[id(node)].args] == ["None"]
