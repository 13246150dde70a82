"""Every expected failure, each with the exit code it ends the program with.

Knows: exit codes. Must not know: anything else.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Sequence
from typing import Literal

__all__ = [
    "DataError",
    "ExampleError",
    "FramingError",
    "ImageError",
    "ManifestError",
    "MissingExtraError",
    "MissingPathError",
    "RunError",
    "TableError",
    "TfrecError",
    "UnreadableError",
    "UsageError",
]

EXIT_DATA = 1
EXIT_USAGE = 2
EXIT_RUN = 3
EXIT_BUG = 70
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143

NO_WINDOWS = "Windows is not supported: use WSL, the Windows Subsystem for Linux"
_OPTION = re.compile("`([a-z][a-z_]*)`")

Hint = Literal["verify", "salvage", "resume"]
"""What helps after an error; the command line says it as a command to run."""


class TfrecError(Exception):
    """A failure we expect and can explain in one line: where, what was found, what was expected.

    Options are named as Python's keywords: ``max_errors``. In the message that is given to the
    class they stand in backquotes, so that the command line can name them as its user does.

    Attributes:
        exit_code: what the program ends with.
        hint: what helps, if it is known.
    """

    exit_code = EXIT_RUN

    def __init__(
        self, message: str, details: Sequence[str] = (), *, hint: Hint | None = None
    ) -> None:
        super().__init__(message)
        self._details = tuple(details)
        self.hint = hint

    def __str__(self) -> str:
        return self.spelled()

    @property
    def option(self) -> str | None:
        """The keyword that is wrong, if the message begins with one."""
        found = _OPTION.match(str(self.args[0]))
        return found and found[1]

    @property
    def details(self) -> tuple[str, ...]:
        """A line for each thing that is wrong, where the one line names only the first."""
        return self.spelled_details()

    def spelled(self, spell: Callable[[str], str] = str) -> str:
        """Return the message, each option named by ``spell``."""
        return _respelled(str(self.args[0]), spell)

    def spelled_details(self, spell: Callable[[str], str] = str) -> tuple[str, ...]:
        """Return the details, each option named by ``spell``."""
        return tuple(_respelled(line, spell) for line in self._details)


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
        return type(self), (self.reason, str(self.args[0]))


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

    def __reduce__(self) -> tuple[type[MissingPathError], tuple[str, str]]:
        return type(self), (str(self.args[0]), self.filename)


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


def _respelled(text: str, spell: Callable[[str], str]) -> str:
    return _OPTION.sub(lambda option: spell(option[1]), text)
