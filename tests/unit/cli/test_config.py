"""config: configuration files, what is refused in them, and what overrides them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from conftest import ROOT, fill, photo, png
from program import Ran, tfrec

from tfrec_cli.cli import config
from tfrec_cli.cli import main as cli
from tfrec_cli.commands import verify, write
from tfrec_cli.dataset import manifest
from tfrec_cli.errors import UsageError

CONFIGS = sorted((ROOT / "configs").iterdir(), key=lambda path: path.name)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return fill(tmp_path / "src", {"a/1.png": png(photo(9, 9)), "b/2.png": png(photo(9, 9, 2))})


def configured(tmp_path: Path, text: str, *argv: object, **environment: str) -> Ran:
    """Run a command with a configuration file of this text."""
    path = tmp_path / "my.toml"
    path.write_text(text)
    return tfrec("--config", path, *argv, **environment)


@pytest.fixture
def options_of_write(monkeypatch: pytest.MonkeyPatch) -> mock.Mock:
    """Keep ``tfrec write`` from doing anything; calls are recorded."""
    called = mock.Mock(side_effect=KeyboardInterrupt)
    monkeypatch.setattr(write, "write", called)
    return called


def written(called: mock.Mock) -> write.WriteOptions:
    options = called.call_args.args[2]
    assert isinstance(options, write.WriteOptions)
    return options


# The files of this repository


def test_there_are_two_files() -> None:
    assert [path.name for path in CONFIGS] == ["crops-128.toml", "whole-imagenet.toml"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_files_of_the_repository_load(path: Path) -> None:
    assert sorted(config.load(path, cli.main)) == ["verify", "write"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_files_of_the_repository_write_and_verify(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = tfrec("--config", path, "write", ROOT / "sample_data/images", out)
    proved = tfrec("--config", path, "verify", out, "--json")
    size = {"crops-128.toml": "128x128", "whole-imagenet.toml": "224x224"}[path.name]
    fingerprint = json.loads(proved.out)["fingerprint"].split(":")[0]
    assert (made.code, made.err, proved.code, proved.err, fingerprint) == (
        0,
        "",
        0,
        "",
        f"seed42-{size}-e0",
    )


@pytest.mark.parametrize(
    ("name", "stored", "crop", "smallest"),
    [
        ("crops-128.toml", "raw", (128, 128), (128, 128)),
        ("whole-imagenet.toml", "whole", None, (256, 256)),
    ],
)
def test_files_of_the_repository_store_what_their_names_say(
    tmp_path: Path, name: str, stored: str, crop: Any, smallest: Any
) -> None:
    out = tmp_path / "out"
    tfrec("--config", ROOT / "configs" / name, "write", ROOT / "sample_data/images", out)
    made = manifest.load(out / "train.manifest.json")
    assert (made.stored, made.crop, made.smallest, made.records) == (stored, crop, smallest, 40)


# Values


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", {}),
        ("[write]", {}),
        ("[verify]\nseed = 1", {}),
        ("[write]\ncrop = 8", {"crop": (8, 8)}),
        ("[write]\ncrop = '8x6'", {"crop": (8, 6)}),
        ("[write]\nencoding = 'png'", {"encoding": "png"}),
        ("[write]\ndepth = 16", {"depth": 16}),
        ("[write]\nresize-short = 9", {"resize_short": 9}),
        ("[write]\nshard-size = '1KiB'", {"shard_size": 1024}),
        ("[write]\nshard-size = 1000", {"shard_size": 1000}),
        ("[write]\nmax-errors = '1%'", {"max_errors": "1%"}),
        ("[write]\nmax-errors = 3", {"max_errors": "3"}),
        ("[write]\njobs = 3", {"jobs": 3}),
        ("[write]\nshuffle-seed = 7", {"shuffle_seed": 7}),
        ("[write]\nno-shuffle = true", {"shuffle_seed": None}),
        ("[write]\nno-shuffle = false", {}),
        ("[write]\noverwrite = true", {"overwrite": True}),
        ("[write]\noverwrite = false", {}),
        ("[write]\nindex = true", {"index": True}),
        ("[write]\nindex = false", {"index": False}),
        ("[write]\nno-index = true", {"index": False}),
        ("[write]\nno-index = false", {"index": True}),
    ],
)
def test_keys_are_options(
    tmp_path: Path, options_of_write: mock.Mock, text: str, options: dict[str, Any]
) -> None:
    configured(tmp_path, text, "write", "src", "out", TFREC_WRITE_JOBS="")
    assert written(options_of_write) == write.WriteOptions(**options)


def test_each_command_reads_its_own_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called = mock.Mock(side_effect=KeyboardInterrupt)
    monkeypatch.setattr(verify, "verify", called)
    configured(tmp_path, "[write]\ncrop = 8\n[verify]\nseed = 4\ncrop = 6", "verify")
    assert called.call_args.args[1] == verify.Options(seed=4, crop=(6, 6), jobs=1)


def test_commands_on_datasets_read_their_tables(tmp_path: Path, source: Path) -> None:
    text = "[reshard]\nshards = 2\nno-index = true\n[extract]\nsplit = 'train'"
    write.write(source, tmp_path / "out", write.WriteOptions(jobs=1))
    ran = [
        configured(tmp_path, text, command, tmp_path / "out", tmp_path / command)
        for command in ("reshard", "extract")
    ]
    found = [[path.name for path in (tmp_path / one).iterdir()] for one in ("reshard", "extract")]
    shards = [name for name in found[0] if name.startswith("train-")]
    assert [one.code for one in ran] == [0, 0]
    assert sorted(shards) == [f"train-0000{number}-of-00002.tfrecord" for number in range(2)]
    assert sorted(found[1]) == ["a", "b"]


def test_a_flag_of_every_command_can_be_set(tmp_path: Path, source: Path) -> None:
    ran = configured(tmp_path, "[write]\njson = true", "write", source, tmp_path / "out")
    assert json.loads(ran.out)["format"] == "tfrec-write"


def test_every_option_of_every_command_is_a_key(tmp_path: Path) -> None:
    values = {"integer range": 1, "crop": 8, "size": 8, "boolean": True, "choice": "CHOICE"}
    values["integer choice"] = 8
    for name, command in cli.main.commands.items():
        path = tmp_path / f"{name}.toml"
        lines = [f"[{name}]"]
        for option in command.params:
            if option.param_type_name == "option":
                word = max(option.opts, key=len).removeprefix("--")
                lines.append(f"{word} = {json.dumps(values.get(option.type.name, 'x'))}")
        path.write_text("\n".join(lines))
        options = {one.name for one in command.params if one.param_type_name == "option"}
        assert set(config.load(path, cli.main)[name]) == options


# Precedence


@pytest.mark.parametrize(
    ("argv", "environment", "text", "size"),
    [
        (["--crop", "1"], {"TFREC_WRITE_CROP": "2"}, "[write]\ncrop = 3", 1),
        (["--crop", "1"], {}, "[write]\ncrop = 3", 1),
        (["--crop", "1"], {"TFREC_WRITE_CROP": "2"}, "", 1),
        ([], {"TFREC_WRITE_CROP": "2"}, "[write]\ncrop = 3", 2),
        ([], {"TFREC_WRITE_CROP": "2"}, "", 2),
        ([], {}, "[write]\ncrop = 3", 3),
        ([], {}, "", None),
    ],
)
def test_the_command_line_overrides_variables_which_override_files(
    tmp_path: Path,
    options_of_write: mock.Mock,
    argv: list[str],
    environment: dict[str, str],
    text: str,
    size: int | None,
) -> None:
    configured(tmp_path, text, "write", "src", "out", *argv, **environment)
    assert written(options_of_write).crop == (size and (size, size))


@pytest.mark.parametrize(
    ("argv", "environment", "text", "index"),
    [
        (["--index"], {"TFREC_WRITE_INDEX": "0"}, "[write]\nindex = false", True),
        (["--no-index"], {"TFREC_WRITE_INDEX": "1"}, "[write]\nindex = true", False),
        (["--index"], {}, "[write]\nno-index = true", True),
        ([], {"TFREC_WRITE_INDEX": "0"}, "[write]\nindex = true", False),
        ([], {"TFREC_WRITE_INDEX": "yes"}, "[write]\nno-index = true", True),
    ],
)
def test_flags_override_each_other_in_the_same_way(
    tmp_path: Path,
    options_of_write: mock.Mock,
    argv: list[str],
    environment: dict[str, str],
    text: str,
    index: bool,
) -> None:
    configured(tmp_path, text, "write", "src", "out", *argv, **environment)
    assert written(options_of_write).index is index


@pytest.mark.parametrize(
    ("variable", "value", "name", "option"),
    [
        ("SHARD_SIZE", "2MiB", "shard_size", 2 * 2**20),
        ("NO_SHUFFLE", "1", "shuffle_seed", None),
        ("KEYS", "tf-models", "keys", "tf-models"),
        ("DRY_RUN", "true", "dry_run", True),
        ("SPLIT", "val", "split", "val"),
        ("DEPTH", "16", "depth", 16),
    ],
)
def test_every_option_is_a_variable(
    options_of_write: mock.Mock, variable: str, value: str, name: str, option: Any
) -> None:
    tfrec("write", "src", "out", **{f"TFREC_WRITE_{variable}": value})
    assert getattr(written(options_of_write), name) == option


def test_a_variable_can_name_the_file(tmp_path: Path, options_of_write: mock.Mock) -> None:
    path = tmp_path / "my.toml"
    path.write_text("[write]\ncrop = 3")
    tfrec("write", "src", "out", TFREC_CONFIG=str(path))
    assert written(options_of_write).crop == (3, 3)


@pytest.mark.parametrize("command", ["write SRC OUT", "inspect SRC/a/1.png", "verify SRC/a/1.png"])
def test_a_variable_can_ask_for_json(source: Path, tmp_path: Path, command: str) -> None:
    words = command.replace("SRC", str(source)).replace("OUT", str(tmp_path / "out")).split()
    ran = tfrec(*words, **{f"TFREC_{words[0].upper()}_JSON": "1"})
    assert ran.out[:2] == "{\n"


def test_a_variable_can_ask_for_a_page(source: Path, tmp_path: Path) -> None:
    write.write(source, tmp_path / "out", write.WriteOptions(jobs=1))
    page = tmp_path / "page.html"
    tfrec("inspect", tmp_path / "out", TFREC_INSPECT_HTML=str(page))
    assert page.exists()


def test_a_wrong_value_of_a_variable_is_a_usage_error() -> None:
    ran = tfrec("write", "src", "out", TFREC_WRITE_SMALL="grow")
    assert (ran.code, ran.out) == (2, "")


# What is refused


REFUSED = [
    ("[write]\nresize_short = 3", "found [write] resize_short, which is not an option: did you "
     "mean 'resize-short'?"),
    ("[write]\ncorp = 3", "found [write] corp, which is not an option: did you mean 'crop'?"),
    ("[write]\nas_json = true", "found [write] as_json, which is not an option: did you mean "
     "'json'?"),
    ("[write]\nhtml-file = 'x'", None),
    ("[inspect]\nhtml-file = 'x'", "found [inspect] html-file, which is not an option: did you "
     "mean 'html'?"),
    ("[verify]\nepoch = 3", "found [verify] epoch, which is not an option: did you mean "
     "'epochs'?"),
    ("[verify]\nxyz = 3", "found [verify] xyz, which is not an option: expected one of color, "
     "crop, epochs, expect, jobs, json, quick, quiet, root, seed, source, split, verbose"),
    ("[wirte]\ncrop = 3", "found [wirte], which is not a command: did you mean 'write'?"),
    ("[xyz]\ncrop = 3", "found [xyz], which is not a command: expected one of check, extract, "
     "inspect, merge, reshard, salvage, verify, write"),
    ("write = 3", "write: found a value, expected a table"),
    ("[write]\n\"\\u001b[31m\" = 3", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [row for row in REFUSED if row[1]],
    ids=[text for text, message in REFUSED if message],
)
def test_unknown_words_suggest_the_right_one(tmp_path: Path, text: str, message: str) -> None:
    ran = configured(tmp_path, text, "write", "src", "out")
    assert (ran.code, ran.error) == (2, f"tfrec: --config {tmp_path}/my.toml: {message}\n")


@pytest.mark.parametrize("text", [text for text, _ in REFUSED])
def test_unknown_words_are_escaped_on_one_line(tmp_path: Path, text: str) -> None:
    ran = configured(tmp_path, text, "write", "src", "out")
    assert (ran.code, ran.error.count("\n"), ran.error[:-1].isprintable()) == (2, 1, True)


def test_an_option_outside_of_a_table_is_not_called_a_table(tmp_path: Path) -> None:
    ran = configured(tmp_path, "crop = 3", "write", "src", "out")
    assert (ran.code, "crop" in ran.err, "[crop]" in ran.err) == (2, True, False)


WRONG = [
    ("crop = true", "crop"),
    ("crop = 8.0", "crop"),
    ("crop = [8, 8]", "crop"),
    ("crop = 2026-01-01", "crop"),
    ("crop = {height = 8}", "crop"),
    ("jobs = true", "jobs"),
    ("jobs = 'many'", "jobs"),
    ("shuffle-seed = 4.7", "shuffle-seed"),
    ("shuffle-seed = -1", "shuffle-seed"),
    ("shard-size = [1]", "shard-size"),
    ("encoding = 5", "encoding"),
    ("depth = '16'", "depth"),
    ("depth = 12", "depth"),
    ("small = 'grow'", "small"),
    ("labels = ['a', 'b']", "labels"),
    ("overwrite = 2", "overwrite"),
    ("overwrite = 'maybe'", "overwrite"),
    ("index = 5", "index"),
    ("index = 'maybe'", "index"),
    ("no-index = 'no'", "no-index"),
    ("no-index = 1", "no-index"),
    ("no-shuffle = 3", "no-shuffle"),
]


@pytest.mark.parametrize(("line", "key"), WRONG, ids=[line for line, _ in WRONG])
def test_a_wrong_type_or_value_is_named(
    tmp_path: Path, options_of_write: mock.Mock, line: str, key: str
) -> None:
    ran = configured(tmp_path, f"[write]\n{line}", "write", "src", "out", TFREC_WRITE_JOBS="")
    assert (ran.code, ran.out, key in ran.error.splitlines()[-1]) == (2, "", True)


@pytest.mark.parametrize(("line", "key"), WRONG[:2], ids=[line for line, _ in WRONG[:2]])
def test_a_wrong_value_names_its_file(tmp_path: Path, line: str, key: str) -> None:
    """A user who did not type --crop has to learn where it comes from."""
    ran = configured(tmp_path, f"[write]\n{line}", "write", "src", "out")
    assert f"{tmp_path}/my.toml" in ran.err


BROKEN = [b"[write", b"crop 3", b"[write]\ncrop = 1\ncrop = 2", b"\xff\xfe", b"\x1b[31m"]


@pytest.mark.parametrize("data", BROKEN)
def test_broken_toml_is_one_line(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "my.toml"
    path.write_bytes(data)
    ran = tfrec("--config", path, "write", "src", "out")
    start = f"tfrec: --config {path}: "
    assert (
        ran.code,
        ran.out,
        ran.error.startswith(start),
        ran.error.endswith(", expected TOML\n"),
    ) == (
        2,
        "",
        True,
        True,
    )


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("ym.toml", ": No such file or folder: FOLDER/ym.toml (did you mean FOLDER/my.toml?)"),
        (".", " FOLDER: Is a directory"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str, line: str) -> None:
    (tmp_path / "my.toml").touch()
    ran = tfrec("--config", tmp_path / name, "write", "src", "out")
    line = f"tfrec: --config{line}\n".replace("FOLDER", str(tmp_path))
    assert (ran.code, ran.out, ran.error) == (2, "", line)


def test_a_wrong_table_is_refused_though_another_command_runs(tmp_path: Path) -> None:
    assert configured(tmp_path, "[verify]\nx = 1", "write", "src", "out").code == 2


def test_load_gives_values_by_parameter_name(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("[write]\nresize-short = 3\nno-index = true\n[inspect]\n")
    assert config.load(path, cli.main) == {
        "write": {"resize_short": 3, "index": False},
        "inspect": {},
    }


def test_load_raises_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        config.load(tmp_path / "none.toml", cli.main)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a = " + "[" * 30_000, "maximum recursion depth exceeded"),
        ("a = " + "1" * 5_000, "Exceeds the limit (4300"),
        ("a." * 8_000 + "a = 1", "found a line of more than 1000 dots"),
        (" " * 70_000, "found more than 65536 bytes"),
        ("[write]\ncrop = " + "1" * 4_000 + "\n[write]", "Cannot declare ('write',) twice"),
        ("[write]\ncrop = 2020-02-31", "Invalid date or datetime"),
        ("\0", "Invalid statement"),
    ],
    ids=["nesting", "digits", "dots", "spaces", "twice", "date", "NUL"],
)
def test_hostile_files_are_refused_at_once(tmp_path: Path, text: str, found: str) -> None:
    path = tmp_path / "my.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        config.load(path, cli.main)
    assert str(error.value).startswith(f"config {path}: {found}")


@pytest.mark.parametrize(
    "text",
    [
        "[write]\ncrop" + ".a" * 900 + " = 1",
        "[write]\ncrop = " + "[" * 50 + "]" * 50,
        "[write]\nquiet = " + "1" * 4_000,
        "[write]\n" + "x" * 60_000 + " = 1",
        "[" + "x" * 60_000 + "]",
        "x" * 60_000 + " = 1",
        '[write]\n"\\u001b[2J" = 1',
    ],
    ids=["deep", "lists", "digits", "key", "table", "outside", "escape"],
)
def test_an_error_is_a_short_escaped_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "my.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        config.load(path, cli.main)
    message = str(error.value)
    assert message.isprintable()
    assert len(message) < 1_000


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_refused(device: str) -> None:
    with pytest.raises(UsageError) as error:
        config.load(Path(device), cli.main)
    assert str(error.value) == f"config {device}: found a pipe or device, expected TOML"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "my.toml")
    with pytest.raises(UsageError):
        config.load(tmp_path / "my.toml", cli.main)


def test_an_option_for_several_values_gets_one_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = mock.Mock(side_effect=KeyboardInterrupt)
    monkeypatch.setattr(verify, "verify", called)
    configured(tmp_path, "[verify]\nsource = 'train=a b'", "verify")
    assert called.call_args.args[1].source == (("train", Path("a b")),)
