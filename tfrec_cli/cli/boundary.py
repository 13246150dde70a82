"""The one place where an exception becomes a line, a JSON document and an exit code."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NamedTuple, NoReturn

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # no NumPy threads: workers are forked
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click

from tfrec_cli import errors
from tfrec_cli.cli import command
from tfrec_cli.cli import main as cli

_EXIT_PIPE = 128 + signal.SIGPIPE
_HINTS: dict[errors.Hint | None, str] = {
    None: "",
    "verify": ": run `tfrec verify`",
    "damaged": "; `tfrec verify` names the damaged ones",
    "salvage": "; `tfrec salvage` saves the intact records",
    "resume": ": `tfrec write … --resume` resumes it",
    "extract": "; `tfrec extract` writes its images as files",
}


class Failure(NamedTuple):
    """How an error is reported.

    Attributes:
        details: more lines; on stderr only with --verbose.
        help: the command that prints the help, after a usage error; on stderr only.
        first: what is printed of the details without --verbose.
    """

    message: str
    exit_code: int
    details: Sequence[str] = ()
    help: str | None = None
    first: Sequence[str] = ()


def main() -> NoReturn:
    """Run the command line and exit.

    0 done and nothing wrong, 1 the data is wrong, 2 called wrongly, 3 could not run, 70 a bug,
    130 interrupted, 143 terminated. With --json an error is a document on stdout too.
    """
    gc.set_threshold(10_000)  # there are few reference cycles, and looking for them takes time
    atexit.register(gc.freeze)  # no search at exit either
    signal.signal(signal.SIGTERM, _terminate)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the parent process
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # until exit
    stdout = sys.stdout
    calls: list[click.Context] = []
    if "_TFREC_COMPLETE" in os.environ:
        from tfrec_cli.cli import shells

        shells.register()
    try:
        cli.main(prog_name="tfrec", standalone_mode=False, obj=calls)
        sys.stdout.flush()
    except SystemExit:
        if sys.stdout is stdout:
            raise
        sys.exit(_EXIT_PIPE)  # click met a closed pipe, wrapped stdout, and exits with 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_EXIT_PIPE)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(errors.EXIT_USAGE)
    except BaseException as error:
        if isinstance(error, OSError) and not error.filename:
            sys.stdout = None  # it may be what cannot be written: do not flush it again
        failure = failure_of(error, calls[-1] if calls else None)
        if failure.exit_code == errors.EXIT_BUG:
            import traceback

            traceback.print_exc()
        _end(failure, calls)
    sys.exit(0)


def failure_of(error: BaseException, ctx: click.Context | None) -> Failure:
    """Return the line and exit code of an error.

    Args:
        ctx: context of the command that was called; of the program, or None, before that.
    """
    match error:
        case errors.TfrecError():
            message = command.explained(error, ctx) + _HINTS[error.hint]
            details, first = (
                lines(lambda name: command.spelled(ctx, name))
                for lines in (error.spelled_details, error.spelled_first)
            )
            return Failure(message, error.exit_code, details, _help(error, ctx), first)
        case click.ClickException():
            return Failure(command.explained(error, ctx), errors.EXIT_USAGE, (), _help(error, ctx))
        case errors.Terminated():
            return Failure("; ".join(["terminated", *error.args]), errors.EXIT_TERMINATED)
        case click.Abort():  # what click makes of a KeyboardInterrupt
            hints = error.__cause__.args if error.__cause__ else ()
            return Failure("; ".join(["interrupted", *hints]), errors.EXIT_INTERRUPTED)
        case KeyboardInterrupt():
            return Failure("interrupted", errors.EXIT_INTERRUPTED)
        case MemoryError():
            return Failure("out of memory: try fewer --jobs", errors.EXIT_RUN)
        case OSError():
            reason = error.strerror or error
            return Failure(f"{error.filename or 'system'}: {reason}", errors.EXIT_RUN)
    return Failure("this is a bug in tfrec: please report the lines above", errors.EXIT_BUG)


def _help(error: Exception, ctx: click.Context | None) -> str | None:
    """Return ``tfrec write --help`` where it helps: not after a path that is not there."""
    is_usage = isinstance(error, (errors.UsageError, click.UsageError))
    if ctx and is_usage and not isinstance(error, errors.MissingPathError):
        return f"{ctx.command_path} --help"
    return None


def _terminate(_signal_number: int, _frame: FrameType | None) -> NoReturn:
    raise errors.Terminated


def _end(failure: Failure, calls: Sequence[click.Context]) -> NoReturn:
    """Print an error, with --json as a document too, and exit.

    Args:
        calls: contexts of the program and of the command, if they were reached.
    """
    params = calls[-1].params if calls else {}
    if params.get("json") or "--json" in sys.argv:
        click.echo(_document(failure, calls[-1].info_name if len(calls) > 1 else None))
    color = calls[-1].color if calls else command.usual_color()
    prefix = click.style("tfrec:", fg="red")
    details = failure.details if params.get("verbose") else failure.first
    for line in [*details, failure.message]:
        printable = line if line.isprintable() else ascii(line)[1:-1]
        click.echo(f"{prefix} {printable}", err=True, color=color)
    if failure.help:
        click.echo(f"Try `{failure.help}`", err=True)
    sys.exit(failure.exit_code)


def _document(failure: Failure, command_name: str | None) -> str:
    from tfrec_cli.report.format import json_document

    return json_document(
        "tfrec-error",
        {
            "command": command_name,
            "exit_code": failure.exit_code,
            "message": failure.message,
            "details": failure.details,
        },
        ok=False,
    )
