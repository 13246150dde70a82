"""Every expected failure, each with the exit code it ends the program with.

Knows: exit codes. Must not know: anything else.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Literal

EXIT_DATA = 1
EXIT_USAGE = 2
EXIT_RUN = 3
EXIT_BUG = 70
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143

NO_WINDOWS = "Windows is not supported: use WSL, the Windows Subsystem for Linux"

Hint = Literal["verify", "salvage", "resume"]
"""What helps after an error; the command line says it as a command to run."""


class TfrecError(Exception):
    """A failure we expect and can explain in one line: where, what was found, what was expected.

    Attributes:
        details: a line for each thing that is wrong, where the one line names only the first.
        hint: what helps, if it is known.
    """

    exit_code = EXIT_RUN

    def __init__(
        self, message: str, details: Sequence[str] = (), *, hint: Hint | None = None
    ) -> None:
        super().__init__(message)
        self.details = tuple(details)
        self.hint = hint


class DataError(TfrecError):
    """The data is wrong: a bad image, a damaged record, sources that contradict each other."""

    exit_code = EXIT_DATA


class FramingError(DataError):
    """A file is not whole TFRecord framing."""


class ExampleError(DataError):
    """A payload is not the protocol buffer it should be."""


class ImageError(DataError):
    """An image cannot be used.

    Attributes:
        reason: a stable word for ``rejects.jsonl`` and for counting, such as ``truncated``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, str]]:
        return type(self), (self.reason, str(self))


class TableError(DataError):
    """An image list is wrong: the details name each bad line."""


class UnreadableError(DataError):
    """An image cannot be read now; that may pass."""


class ManifestError(DataError):
    """A manifest does not say what a manifest says."""


class UsageError(TfrecError, ValueError):
    """Called wrongly: options, configuration, arguments."""

    exit_code = EXIT_USAGE


class MissingPathError(UsageError, FileNotFoundError):
    """There is nothing at a path that the caller gave.

    Attributes:
        filename: that path.
    """

    def __init__(self, message: str, path: str | os.PathLike[str]) -> None:
        super().__init__(message)
        self.errno = errno.ENOENT
        self.filename = os.fspath(path)

    def __str__(self) -> str:
        return str(self.args[0])  # where OSError would make a line of errno and filename

    def __reduce__(self) -> tuple[type[MissingPathError], tuple[str, str]]:
        return type(self), (str(self), self.filename)


class RunError(TfrecError):
    """Could not run: output exists, disk full, a package is missing, a worker died."""

    exit_code = EXIT_RUN


class MissingExtraError(RunError, ImportError):
    """A package that only some commands or readers need is missing, or does not load."""

    @classmethod
    def of(cls, name: str, extra: str) -> MissingExtraError:
        """Make the error of a package that is not installed, with the extra that installs it."""
        return cls(f"{name} is not installed: pip install 'tfrec-cli[{extra}]'")


class Terminated(BaseException):
    """SIGTERM came; like KeyboardInterrupt, no error."""
