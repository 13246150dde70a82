"""The one place where errors become a line and an exit code."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # no threads of NumPy's: workers are forked
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click

from tfrec_cli import errors
from tfrec_cli.cli import command
from tfrec_cli.cli import main as cli


def main() -> NoReturn:
    """Run the command line and exit.

    0 done and nothing wrong, 1 the data is wrong, 2 called wrongly, 3 could not run, 70 a bug,
    130 interrupted, 143 terminated. With --json an error is a document on stdout too.
    """
    gc.set_threshold(10_000)  # hardly anything here lies in cycles, and the search takes time
    atexit.register(gc.freeze)  # nor is there a use in a last search
    signal.signal(signal.SIGTERM, _terminate)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # to the end
    stdout = sys.stdout
    calls: list[click.Context] = []
    try:
        cli.main(prog_name="tfrec", standalone_mode=False, obj=calls)
        sys.stdout.flush()
    except errors.TfrecError as error:
        _end(
            command.explained(error, calls[-1] if calls else None),
            error.exit_code,
            calls,
            error.details,
        )
    except SystemExit:
        if sys.stdout is stdout:
            raise
        sys.exit(128 + signal.SIGPIPE)  # click met a closed pipe, wrapped stdout, and exits with 1
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(errors.EXIT_USAGE)
    except click.ClickException as error:
        _end(command.explained(error, calls[-1] if calls else None), errors.EXIT_USAGE, calls)
    except errors.Terminated as stop:
        _end("; ".join(["terminated", *stop.args]), errors.EXIT_TERMINATED, calls)
    except click.Abort as stop:  # what click makes of a KeyboardInterrupt
        hints = stop.__cause__.args if stop.__cause__ else ()
        _end("; ".join(["interrupted", *hints]), errors.EXIT_INTERRUPTED, calls)
    except KeyboardInterrupt:
        _end("interrupted", errors.EXIT_INTERRUPTED, calls)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except MemoryError:
        _end("out of memory: fewer --jobs need less", errors.EXIT_RUN, calls)
    except OSError as error:
        if not error.filename:
            sys.stdout = None  # should it be what cannot be written, it would fail again
        _end(f"{error.filename or 'system'}: {error.strerror or error}", errors.EXIT_RUN, calls)
    except Exception:
        traceback.print_exc()
        _end("this is a bug in tfrec: please report the lines above", errors.EXIT_BUG, calls)
    sys.exit(0)


def _terminate(_signal_number: int, _frame: FrameType | None) -> NoReturn:
    raise errors.Terminated


def _end(
    message: str, exit_code: int, calls: Sequence[click.Context], details: Sequence[str] = ()
) -> NoReturn:
    """Say what went wrong, for a person and, where --json was asked for, for a program.

    Args:
        calls: contexts of the program and of the command, as far as they were reached.
        details: what --verbose names.
    """
    params = calls[-1].params if calls else {}
    if params.get("json") or "--json" in sys.argv:
        from tfrec_cli.report.format import json_document

        name = calls[-1].info_name if len(calls) > 1 else None
        values = {"command": name, "exit_code": exit_code, "message": message, "details": details}
        click.echo(json_document("tfrec-error", values, ok=False))
    for line in [*(details if params.get("verbose") else ()), message]:
        printable = line if line.isprintable() else ascii(line)[1:-1]
        click.echo(f"tfrec: {printable}", err=True)
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
