"""command: options from the command line, variables and files, and errors that name the source."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any
from unittest import mock

import click
import pytest
from conftest import fill, photo, png
from program import tfrec

from tfrec_cli.cli import config
from tfrec_cli.cli import main as cli

OPTIONS = [
    pytest.param(name, option, id=f"{name} {max(option.opts, key=len)}")
    for name, command in sorted(cli.main.commands.items())
    for option in command.params
    if isinstance(option, click.Option) and option.expose_value
]
"""Every option of every command that its function gets, by the tree that click has of them."""


def long(option: click.Option) -> str:
    return max(option.opts, key=len)


def variable(name: str, option: click.Option) -> str:
    return f"TFREC_{name}_{long(option)[2:]}".replace("-", "_").upper()


def sample(option: click.Option) -> str:
    """Return a value that is not the default."""
    if isinstance(option.type, click.Choice):
        return str(next(one for one in option.type.choices if one != option.default))
    if isinstance(option.type, click.IntRange):
        return "7"
    return {"crop": "8x6", "size": "2MiB"}.get(option.type.name, "some")


def arguments(command: click.Command) -> list[str]:
    return ["a" for one in command.params if isinstance(one, click.Argument)]


def params_of(name: str, *words: str, defaults: Any = None, **environment: str) -> dict[str, Any]:
    """Return the parameters that the body of a command gets, even if they make no sense."""
    command = cli.main.commands[name]
    with (
        mock.patch.dict(os.environ, environment),
        cli.main.make_context("tfrec", [], resilient_parsing=True) as group,
    ):
        group.default_map = defaults
        argv = [*words, *arguments(command)]
        return command.make_context(name, argv, group, resilient_parsing=True).params


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_an_option_can_be_set_by_a_variable_and_by_a_key(
    name: str, option: click.Option, tmp_path: Path
) -> None:
    """Each has the effect of the typed option, which differs from the default."""
    flags = (
        [([long(option)], "1", "true")]
        + [([long(option)], "true", "true")]
        + [([one], "0", "false") for one in option.secondary_opts]
    )
    value = sample(option)
    key = value if value.isdigit() else json.dumps(value)
    path = tmp_path / "my.toml"
    nothing = params_of(name)
    for words, text, toml in flags if option.is_flag else [([long(option), value], value, key)]:
        typed = params_of(name, *words)
        assert typed != nothing
        assert params_of(name, **{variable(name, option): text}) == typed
        path.write_text(f"[{name}]\n{long(option)[2:]} = {toml}")
        assert params_of(name, defaults=config.load(path, cli.main)) == typed


@pytest.mark.parametrize(
    ("name", "option"),
    [one for one in OPTIONS if one.values[1].is_flag],  # type: ignore[union-attr]
)
def test_a_variable_can_unset_a_flag(name: str, option: click.Option) -> None:
    denied = [
        params_of(name, **{variable(name, option): word})[option.name] for word in ("0", "no")
    ]
    assert denied == [False, False]


@pytest.mark.parametrize(
    ("name", "option"),
    [one for one in OPTIONS if one.values[1].multiple],  # type: ignore[union-attr]
)
def test_an_option_of_several_values_takes_them_from_its_variable(
    name: str, option: click.Option
) -> None:
    typed = params_of(name, long(option), "train=a", long(option), "b c")
    assert params_of(name, **{variable(name, option): f"train=a{os.pathsep}b c"}) == typed


REFUSING = [
    one
    for one in OPTIONS
    if one.values[1].type.name in ("choice", "integer range", "crop", "size", "boolean")  # type: ignore[union-attr]
]


@pytest.mark.parametrize(("name", "option"), REFUSING)
def test_an_error_names_where_a_wrong_value_came_from(
    name: str, option: click.Option, tmp_path: Path
) -> None:
    words = [name, *arguments(cli.main.commands[name])]
    ran = tfrec(*words, **{variable(name, option): "?"})
    assert (ran.code, ran.out, ran.err.startswith(f"tfrec: {variable(name, option)}: ")) == (
        2,
        "",
        True,
    )
    path = tmp_path / "my.toml"
    path.write_text(f"[{name}]\n{long(option)[2:]} = '?'")
    unset = {variable(name, option): ""}  # as the helper sets --jobs
    ran = tfrec("--config", path, *words, **unset)
    start = f"tfrec: --config {path}: [{name}] {long(option)[2:]}: "
    assert (ran.code, ran.out, ran.err.startswith(start)) == (2, "", True)
    ran = tfrec(*words, TFREC_CONFIG=str(path), **unset)
    assert ran.err.startswith(start.replace("--config", "TFREC_CONFIG"))
    if not option.is_flag:
        ran = tfrec(*words, long(option), "?")
        blamed = re.match(f"tfrec: (Invalid value for .*')?{long(option)}\\b", ran.err)
        assert (ran.code, bool(blamed), str(path) in ran.err) == (2, True, False)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return fill(tmp_path / "src", {"a/1.png": png(photo(9, 9)), "b/2.png": png(photo(8, 9, 2))})


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            ["--max-errors", "x"],
            "--max-errors: found 'x', expected a number, or a share such as 1%",
        ),
        (
            {"TFREC_WRITE_MAX_ERRORS": "x"},
            "TFREC_WRITE_MAX_ERRORS: found 'x', expected a number, or a share such as 1%",
        ),
        (
            "max-errors = 'x'",
            "--config FILE: [write] max-errors: found 'x', "
            "expected a number, or a share such as 1%",
        ),
        (
            {"TFREC_WRITE_LABELS": "none.txt"},
            "TFREC_WRITE_LABELS: No such file or folder: none.txt",
        ),
        (
            "crop = 80",
            "--config FILE: [write] crop: found no image of 80x80 or more, the largest is 9 wide, "
            "9 high, expected a smaller crop",
        ),
        (
            "encoding = 'png'",
            "--config FILE: [write] encoding: needs --crop: whole images keep their bytes",
        ),
    ],
)
def test_an_error_of_the_work_names_where_the_value_came_from(
    source: Path, tmp_path: Path, given: Any, line: str
) -> None:
    path = tmp_path / "my.toml"
    path.write_text(f"[write]\n{given if isinstance(given, str) else ''}")
    words = given if isinstance(given, list) else []
    environment = given if isinstance(given, dict) else {}
    ran = tfrec("--config", path, "write", source, tmp_path / "out", *words, **environment)
    assert (ran.code, ran.error) == (2, f"tfrec: {line}\n".replace("FILE", str(path)))


def test_a_missing_file_is_blamed_on_the_variable_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    ran = tfrec("write", "a", "b", TFREC_CONFIG=str(path))
    assert (ran.code, ran.error) == (2, f"tfrec: TFREC_CONFIG: No such file or folder: {path}\n")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("TFREC_WRITE_CORP", "write has no such option (did you mean TFREC_WRITE_CROP?)"),
        ("TFREC_WRITE_NO_INDEX", "write has no such option (did you mean TFREC_WRITE_INDEX?)"),
        ("TFREC_WRITE_XYZ", "write has no such option"),
    ],
)
def test_an_unknown_variable_of_the_command_is_refused(name: str, line: str) -> None:
    ran = tfrec("write", "a", "b", **{name: "1"})
    assert (ran.code, ran.error) == (2, f"tfrec: {name}: {line}\n")


@pytest.mark.parametrize("name", ["TFREC_VERSION", "TFREC_HOME", "TFREC_VERIFY_CORP", "TFRECORDS"])
def test_other_variables_are_ignored(source: Path, tmp_path: Path, name: str) -> None:
    """Such as ``ENV TFREC_VERSION=0.1`` in a container image."""
    ran = tfrec("write", source, tmp_path / "out", **{name: "0.1"})
    assert (ran.code, ran.err) == (0, "")


IDLE = [
    ("write a b --shards 3 --shard-size 1MiB", "--shard-size: cannot be used with --shards"),
    ("write a b --no-shuffle --shuffle-seed 3", "--shuffle-seed: cannot be used with --no-shuffle"),
    ("write a b -qv", "--verbose: cannot be used with --quiet"),
    ("verify a --epochs 3", "--epochs: needs --seed"),
    ("inspect a --crop 3", "--crop: needs --contact-sheet or --html"),
    ("inspect a --html x --seed 3", "--seed: needs --crop"),
    ("inspect a --html x --records 3", "--html: cannot be used with --records"),
    ("inspect a --labels --record 0", "--labels: cannot be used with --record"),
]


@pytest.mark.parametrize(("argv", "line"), IDLE, ids=[argv for argv, _ in IDLE])
def test_an_option_without_effect_is_refused(argv: str, line: str) -> None:
    ran = tfrec(*argv.split())
    assert (ran.code, ran.out, ran.error) == (2, "", f"tfrec: {line}\n")


@pytest.mark.parametrize(
    ("argv", "meant"),
    [
        ("write a b --config x.toml", "--config: tfrec --config x.toml write a b"),
        ("write --config=x.toml a -q b", "--config: tfrec --config=x.toml write a -q b"),
        ("verify --config x.toml", "--config: tfrec --config x.toml verify"),
        ("inspect a --config", "--config: tfrec --config PATH inspect a"),
        ("inspect a --version", "--version: tfrec --version inspect a"),
        ("--color never check a --config x b", "--config: tfrec --config x check a b"),
    ],
)
def test_an_option_of_the_program_after_the_command_is_shown_before_it(
    argv: str, meant: str
) -> None:
    ran = tfrec(*argv.split())
    option, _, line = meant.partition(": ")
    line = f"{option}: goes before the command: `{line}`"
    assert (ran.code, ran.out, ran.error) == (2, "", f"tfrec: {line}\n")


@pytest.mark.parametrize("argv", ["write a b -V", "write a b -qV"])
def test_a_letter_of_the_program_after_the_command_is_no_option(argv: str) -> None:
    ran = tfrec(*argv.split())
    assert (ran.code, ran.out, ran.error) == (2, "", "tfrec: No such option '-V'.\n")


def test_the_option_that_leaves_another_without_effect_may_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("[write]\nshards = 3")
    ran = tfrec("--config", path, "write", "a", "b", "--shard-size", "1MiB")
    line = f"--shard-size: cannot be used with --config {path}: [write] shards"
    assert (ran.code, ran.error) == (2, f"tfrec: {line}\n")


@pytest.mark.parametrize("environment", [{}, {"TFREC_WRITE_JPEG_QUALITY": "90"}])
def test_files_and_variables_may_set_options_without_effect(
    source: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    path = tmp_path / "my.toml"
    path.write_text("[write]\nsmall = 'skip'\nshard-size = '1MiB'\nquiet = true\nverbose = true")
    words = ["--config", path, "write", source, tmp_path / "out", "--shards", 2]
    ran = tfrec(*words, **environment)
    assert (ran.code, ran.err) == (0, "")


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        (["write", "OUT"], "tfrec write {} OUT --split folders"),
        (["check"], "tfrec check {} --split folders"),
    ],
)
def test_another_source_is_named_with_the_command_that_was_called(
    tmp_path: Path, command: list[str], meant: str
) -> None:
    files = {f"my data/images/{name}.png": png(photo(9, 9)) for name in ("train/1", "val/2")}
    source = fill(tmp_path, files) / "my data"
    ran = tfrec(command[0], source, *command[1:])
    assert ran.code == 2
    assert f": `{meant.format(repr(str(source / 'images')))}` takes the images; " in ran.err


@pytest.mark.parametrize("name", cli.main.commands)
def test_the_list_of_commands_shows_their_own_first_sentence(name: str) -> None:
    """Unless they have a short help; at any width, shortened as click does."""
    listed, command = cli.main.get_command(click.Context(cli.main), name), cli.main.commands[name]
    assert listed
    assert (listed.help is None) != (listed.short_help is None)
    assert command.short_help is None
    widths = range(1, 100) if listed.help else ()
    assert [listed.get_short_help_str(width) for width in widths] == [
        command.get_short_help_str(width) for width in widths
    ]


def test_every_rule_names_existing_options() -> None:
    for command in cli.main.commands.values():
        known = {one.name for one in command.params}
        rules = [*command._needs.items(), *command._excludes.items()]  # type: ignore[attr-defined]
        named = {word for name, others in rules for word in (name, *others)}
        assert named <= known
