"""Calls the program in this process, for tests."""

from __future__ import annotations

import dataclasses
import io
import os
import re
import signal
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import NoReturn
from unittest import mock

import pytest

from tfrec_cli.__main__ import main


@dataclasses.dataclass(frozen=True)
class Ran:
    """Output of one call of the command line."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The text on stderr, without the line after a usage error that names the help."""
        return re.sub(r"(?<=\n)Try `tfrec( \w+)? --help`\n\Z", "", self.err)


def tfrec(*argv: object, **environment: str) -> Ran:
    """Run ``tfrec ARGV`` in this process, with one job by default."""
    out, err = (
        io.TextIOWrapper(io.BytesIO(), "utf-8", newline="", write_through=True) for _ in range(2)
    )
    jobs = {f"TFREC_{one}_JOBS": "1" for one in ("WRITE", "VERIFY", "EXTRACT", "RESHARD", "MERGE")}
    environment = {**jobs, **environment}
    before = signal.getsignal(signal.SIGTERM)
    try:
        with (
            redirect_stdout(out),
            redirect_stderr(err),
            mock.patch.object(sys, "argv", ["tfrec", *map(str, argv)]),
            mock.patch.dict(os.environ, environment),
            pytest.raises(SystemExit) as ended,
        ):
            main()
    finally:
        signal.signal(signal.SIGTERM, before)
    texts = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]
    return Ran(int(ended.value.code or 0), *texts)


def fail_with(error: BaseException) -> Callable[..., NoReturn]:
    def stand_in(*_: object) -> NoReturn:
        raise error

    return stand_in
