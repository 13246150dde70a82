"""boundary: the line and the exit code of each kind of error."""

from __future__ import annotations

import pickle
import re
from typing import get_args

import click
import pytest

from tfrec_cli import errors
from tfrec_cli.cli import main as cli
from tfrec_cli.cli.boundary import Failure, failure_of


def aborted(*hints: str) -> click.Abort:
    abort = click.Abort()
    abort.__cause__ = KeyboardInterrupt(*hints)
    return abort


def context_of_write() -> click.Context:
    program = click.Context(cli.main, info_name="tfrec", **cli.main.context_settings)
    return click.Context(cli.main.commands["write"], program, "write")


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (errors.DataError("x: bad", ["1", "2"]), Failure("x: bad", 1, ("1", "2"))),
        (errors.DataError("x: bad", hint="verify"), Failure("x: bad: run `tfrec verify`", 1)),
        (errors.UsageError("--crop: bad"), Failure("--crop: bad", 2)),
        (errors.RunError("disk full"), Failure("disk full", 3)),
        (errors.MissingExtraError("no torch"), Failure("no torch", 3)),
        (click.UsageError("No such option"), Failure("No such option", 2)),
        (errors.Terminated(), Failure("terminated", 143)),
        (errors.Terminated("--resume goes on"), Failure("terminated; --resume goes on", 143)),
        (aborted(), Failure("interrupted", 130)),
        (aborted("--resume goes on"), Failure("interrupted; --resume goes on", 130)),
        (click.Abort(), Failure("interrupted", 130)),
        (KeyboardInterrupt(), Failure("interrupted", 130)),
        (MemoryError(), Failure("out of memory: try fewer --jobs", 3)),
        (OSError(28, "No space left", "a/b"), Failure("a/b: No space left", 3)),
        (OSError(28, "No space left"), Failure("system: No space left", 3)),
        (OSError("odd"), Failure("system: odd", 3)),
        (ValueError("x"), Failure("this is a bug in tfrec: please report the lines above", 70)),
    ],
)  # fmt: skip
def test_an_error_is_a_line_and_an_exit_code(error: BaseException, failure: Failure) -> None:
    assert failure_of(error, None) == failure


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (errors.UsageError("`max_errors`: bad"), "--max-errors: bad"),
        (errors.UsageError("`labels` a.txt: bad"), "--labels a.txt: bad"),
        (errors.DataError("x: bad; `on_error` skip helps"), "x: bad; --on-error skip helps"),
        (errors.DataError("a/`x` b.png: bad"), "a/`x` b.png: bad"),
        (errors.UsageError("`config` my.toml: bad"), "--config my.toml: bad"),
    ],
)
def test_options_are_named_as_they_are_typed(error: errors.TfrecError, message: str) -> None:
    """In the message and in its details; what looks like one in a file's name stays as it is."""
    ctx = context_of_write()
    assert failure_of(error, ctx).message == message
    listed = errors.DataError("x", [error.args[0]])
    assert failure_of(listed, ctx).details == (message,)


@pytest.mark.parametrize(
    ("error", "command"),
    [
        (errors.UsageError("--crop: bad"), "tfrec write --help"),
        (click.UsageError("No such option"), "tfrec write --help"),
        (errors.MissingPathError("No such file", "a"), None),
        (errors.RunError("disk full"), None),
        (errors.DataError("x: bad"), None),
        (MemoryError(), None),
    ],
)  # fmt: skip
def test_wrong_use_names_the_command_that_helps(error: BaseException, command: str | None) -> None:
    """But not after a path that is not there: the message says more than the help."""
    assert failure_of(error, context_of_write()).help == command


@pytest.mark.parametrize("hint", get_args(errors.Hint))
def test_a_hint_names_a_command_even_from_a_worker(hint: errors.Hint) -> None:
    raised = pickle.loads(pickle.dumps(errors.DataError("x: bad", hint=hint)))
    command = re.fullmatch(r"x: bad[;:] .*`tfrec (\w+).*`.*", failure_of(raised, None).message)
    assert command
    assert command[1] in cli.main.commands
