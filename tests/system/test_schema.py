"""docs/schema: with --json, every command prints the documented keys and no others."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from conftest import ROOT, fill, jpeg, photo, png
from program import Ran, fail_with, tfrec
from record_files import record_file
from referencing import Registry, Resource
from wrong_calls import WRONG

from tfrec_cli.checking.finding import Kind
from tfrec_cli.cli import main as cli
from tfrec_cli.runtime import pool
from tfrec_cli.tfrecord import example
from tfrec_cli.writing import shard

SCHEMAS = {
    path.name: json.loads(path.read_text()) for path in (ROOT / "docs/schema").glob("*.schema.json")
}
REGISTRY: Registry[Any] = Registry().with_resources(
    (name, Resource.from_contents(schema)) for name, schema in SCHEMAS.items()
)


def valid(ran: Ran) -> dict[str, Any]:
    """Return the document that a command printed, after checking it against its schema."""
    document: dict[str, Any] = json.loads(ran.out)
    schema = SCHEMAS[document["format"].removeprefix("tfrec-") + ".schema.json"]
    jsonschema.Draft202012Validator(schema, registry=REGISTRY).validate(document)
    assert document["ok"] is (ran.code == 0)
    return document


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Iterate every schema of an object within a schema."""
    if isinstance(schema, dict):
        if "properties" in schema:
            yield schema
        for one in schema.values():
            yield from objects(one)
    elif isinstance(schema, list):
        for one in schema:
            yield from objects(one)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_valid_and_allows_nothing_more(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])
    for one in objects(SCHEMAS[name]):
        assert one["additionalProperties"] is False
        if name != "manifest.schema.json" or one is not SCHEMAS[name]:
            assert one["required"] == list(one["properties"])


def test_the_schema_of_the_manifest_is_generated_from_its_types() -> None:
    words = [sys.executable, ROOT / "docs/reference.py", "--check"]
    assert subprocess.run(words, check=False).returncode == 0


def test_every_command_has_a_schema_and_the_option() -> None:
    assert {f"{name}.schema.json" for name in cli.main.commands} <= SCHEMAS.keys()
    for command in cli.main.commands.values():
        assert "json" in [one.name for one in command.params]


def test_every_kind_of_finding_is_in_the_schema() -> None:
    finding = SCHEMAS["verify.schema.json"]["properties"]["findings"]["items"]["properties"]
    assert finding["kind"]["enum"] == list(get_args(Kind))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder of images, with intact, damaged and other datasets."""
    images = {
        "cats/1.png": png(photo(8, 9, 1)),
        "cats/2.jpg": jpeg(photo(10, 7, 2)),
        "dogs/3.png": png(photo(9, 8, 3)),
    }
    fill(tmp_path / "src", images)
    fill(tmp_path / "bad", {**images, "dogs/4.jpg": b"GARBAGE", "dogs/notes.txt": b"x"})
    (tmp_path / "table.csv").write_text("path,label,quality\nsrc/cats/1.png,cats,0.5\n")
    (tmp_path / "bad.csv").write_text("path\n../1.png\n")
    fill(tmp_path / "flat", {"1.png": png(photo(9, 9)), "2.png": png(photo(9, 9, 2))})
    for argv in ("src whole", "src crops --crop 7", "src many --compression gzip --shards 2"):
        source, out, *words = argv.split()
        assert tfrec("write", tmp_path / source, tmp_path / out, *words).code == 0
    for argv in ("whole part --where label=cats", "whole other --where label=dogs"):
        source, out, *words = argv.split()
        assert tfrec("reshard", tmp_path / source, tmp_path / out, *words).code == 0
    damaged = tmp_path / "damaged"
    assert tfrec("write", tmp_path / "src", damaged).code == 0
    path = damaged / "train-00000-of-00001.tfrecord"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    values = {"a": [b"text", b"\xff"], "b": [1, 2], "c": [float("nan"), 0.5]}
    record_file(tmp_path / "strange", example.encode(values), b"no message \xff", b"")
    return tmp_path


SHARD = "train-00000-of-00001.tfrecord"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("argv", "code"),
    [
        ("write src new", 0),
        ("write src new --crop 7 --encoding jpeg", 0),
        ("write src new --crop 7 --dry-run", 0),
        ("write src new --compression gzip --keys tf-models --labels none", 0),
        ("write flat new", 0),
        ("write table.csv new", 0),
        ("write bad.csv new", 1),
        ("write src new --split train=0.7,val=0.3", 0),
        ("write src new --split train=0.7,val=0.3 --dry-run", 0),
        ("write bad new --on-error skip -v", 0),
        ("write bad new --on-error skip --dry-run", 0),
        ("write bad new", 1),
        ("write bad new -v", 1),
        ("write src whole", 3),
        ("write none new", 2),
        ("inspect whole", 0),
        ("inspect crops many --labels", 0),
        ("inspect strange", 0),
        ("inspect strange --records 3", 0),
        ("inspect damaged", 1),
        ("inspect src/cats/1.png", 1),
        ("inspect whole --records 2", 0),
        ("inspect crops --record 1", 0),
        ("inspect whole --record 9", 2),
        ("inspect whole --html new.html", 0),
        ("inspect whole --html none/new.html", 3),
        ("verify whole", 0),
        ("verify whole --quick --source src", 0),
        ("verify crops --seed 3", 0),
        (f"verify crops --seed 3 --crop 7 --expect seed3-7x7-e0:{'0' * 64}", 1),
        ("verify damaged", 1),
        ("verify damaged --source bad", 1),
        ("verify none", 2),
        ("verify --none", 2),
        (f"salvage whole/{SHARD} new", 0),
        (f"salvage damaged/{SHARD} new --source src", 1),
        (f"salvage damaged/{SHARD} new", 1),
        ("salvage src/cats/1.png new", 1),
        ("salvage none new", 2),
        ("salvage one two three", 2),
        ("extract whole new", 0),
        ("extract damaged new", 1),
        ("extract none new", 2),
        ("reshard whole new --shards 2", 0),
        ("reshard damaged new --shards 2", 1),
        ("reshard none new", 2),
        ("reshard strange new --shards 2", 0),
        ("reshard whole new --limit 2", 0),
        ("merge part other new", 0),
        ("merge part other new --where label=cats", 0),
        ("merge whole crops new", 1),
        ("merge whole new", 2),
        ("check src", 0),
        ("check src --crop 4000 --on-error skip --small skip", 2),
        ("check none", 2),
        ("nonsense", 2),
        ("--none", 2),
    ],
)
def test_every_document_is_as_documented(
    folder: Path, monkeypatch: pytest.MonkeyPatch, argv: str, code: int
) -> None:
    monkeypatch.chdir(folder)
    ran = tfrec(*argv.split(), "--json")
    document = valid(ran)
    named = document["format"] if ran.code == 0 else None
    assert ran.code == code, ran.err
    assert named in (None, f"tfrec-{argv.split()[0]}", "tfrec-records")


@pytest.mark.parametrize(
    ("prepare", "argv", "code", "line"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG]
)
def test_an_error_is_a_document_with_the_same_message(
    tmp_path: Path, prepare: Callable[[Path], None], argv: str, code: int, line: str
) -> None:
    files = {"cats/1.png": png(photo(8, 9, 1)), "cats/2.jpg": jpeg(photo(10, 7, 2))}
    fill(tmp_path / "src", {**files, "dogs/3.png": png(photo(9, 8, 3))})
    prepare(tmp_path)
    ran = tfrec(*(word.replace("TMP", str(tmp_path)) for word in argv.split()), "--json")
    told = valid(ran)
    line = line.replace("TMP", str(tmp_path))
    assert ran.error == f"tfrec: {line}\n"
    assert (told["format"], told["command"], told["exit_code"], told["message"]) == (
        "tfrec-error",
        argv.split()[0],
        code,
        line,
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyboardInterrupt(), 130), (RuntimeError("surprise"), 70), (MemoryError(), 3)],
    ids=["interrupt", "bug", "memory"],
)
def test_every_failure_is_a_document(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    monkeypatch.setattr(pool, "_can_fork", lambda: False)  # so that the error is raised here
    monkeypatch.setattr(shard, "write", fail_with(error))
    told = valid(tfrec("write", folder / "src", folder / "new", "--json"))
    assert (told["format"], told["exit_code"]) == ("tfrec-error", code)


@pytest.mark.parametrize("words", [[], ["-v"]])
def test_details_name_every_image_that_cannot_be_used(folder: Path, words: list[str]) -> None:
    """On stderr too; with --verbose all of them."""
    fill(folder / "bad", {"cats/0.png": b"GARBAGE"})
    ran = tfrec("write", folder / "bad", folder / "new", "--json", *words)
    names = [line.split(":")[0] for line in valid(ran)["details"]]
    assert names == ["cats/0.png", "dogs/4.jpg"]
    told = [line.split(":")[1] for line in ran.err.splitlines()[:-1]]
    assert told == [" cats/0.png", " dogs/4.jpg"]


@pytest.mark.parametrize(
    ("environment", "text"), [({"TFREC_WRITE_JSON": "1"}, ""), ({}, "[write]\njson = true")]
)
def test_a_variable_or_file_can_ask_for_errors_as_json(
    tmp_path: Path, environment: dict[str, str], text: str
) -> None:
    (tmp_path / "my.toml").write_text(text)
    words = ["--config", tmp_path / "my.toml", "write", "a", "b", "--crop", "0"]
    assert valid(tfrec(*words, **environment))["exit_code"] == 2


def test_without_json_an_error_prints_nothing_on_stdout(tmp_path: Path) -> None:
    assert tfrec("write", tmp_path / "none", tmp_path / "new").out == ""


def test_the_manifest_is_as_documented(folder: Path) -> None:
    validator = jsonschema.Draft202012Validator(SCHEMAS["manifest.schema.json"])
    for name in ("whole", "crops", "many"):
        validator.validate(json.loads((folder / name / "train.manifest.json").read_text()))
