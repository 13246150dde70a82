"""The one place where errors become a line and an exit code."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from types import FrameType
from typing import NoReturn

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # no threads of NumPy's: workers are forked
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click

from tfrec_cli import cli, errors


def main() -> NoReturn:
    """Run the command line and exit.

    0 done and nothing wrong, 1 the data is wrong, 2 called wrongly, 3 could not run, 70 a bug,
    130 interrupted, 143 terminated.
    """
    signal.signal(signal.SIGTERM, _terminate)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # to the end
    stdout = sys.stdout
    try:
        cli.main(prog_name="tfrec", standalone_mode=False)
        sys.stdout.flush()
    except errors.TfrecError as error:
        _end(str(error), error.exit_code)
    except SystemExit:
        if sys.stdout is stdout:
            raise
        sys.exit(128 + signal.SIGPIPE)  # click met a closed pipe, wrapped stdout, and exits with 1
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(errors.EXIT_USAGE)
    except click.ClickException as error:
        _end(error.format_message(), errors.EXIT_USAGE)
    except errors.Terminated as stop:
        _end("; ".join(["terminated", *stop.args]), errors.EXIT_TERMINATED)
    except click.Abort as stop:  # what click makes of a KeyboardInterrupt
        hints = stop.__cause__.args if stop.__cause__ else ()
        _end("; ".join(["interrupted", *hints]), errors.EXIT_INTERRUPTED)
    except KeyboardInterrupt:
        _end("interrupted", errors.EXIT_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except MemoryError:
        _end("out of memory: fewer --jobs need less", errors.EXIT_RUN)
    except OSError as error:
        sys.stdout = None  # should it be what cannot be written, it would fail again
        _end(f"{error.filename or 'system'}: {error.strerror or error}", errors.EXIT_RUN)
    except Exception:
        traceback.print_exc()
        _end("this is a bug in tfrec: please report the lines above", errors.EXIT_BUG)
    sys.exit(0)


def _terminate(_signal_number: int, _frame: FrameType | None) -> NoReturn:
    raise errors.Terminated


def _end(message: str, exit_code: int) -> NoReturn:
    line = message if message.isprintable() else ascii(message)[1:-1]
    click.echo(f"tfrec: {line}", err=True)
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
