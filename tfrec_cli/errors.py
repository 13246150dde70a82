"""Expected failures and their exit codes.

Knows: exit codes. Must not know: anything else.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Mapping, Sequence
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

Hint = Literal["verify", "damaged", "salvage", "resume", "extract"]
"""What helps after an error; the command line says it as a command to run."""


class TfrecError(Exception):
    """A failure we expect and can explain in one line: where, what was found, what was expected.

    A message has names of options in backquotes, as Python keywords. ``str`` shows ``max_errors``,
    the command line ``--max-errors``.

    Attributes:
        exit_code: the exit code of the program.
        hint: what helps, if it is known.
    """

    exit_code = EXIT_RUN

    def __init__(
        self,
        message: str,
        details: Sequence[str] = (),
        *,
        hint: Hint | None = None,
        first: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self._details = tuple(details)
        self.hint = hint
        self._first = tuple(first)

    def __str__(self) -> str:
        return self.spelled()

    @property
    def option(self) -> str | None:
        """The option that the message begins with, if any."""
        found = _OPTION.match(str(self.args[0]))
        return found and found[1]

    @property
    def details(self) -> tuple[str, ...]:
        """A line for each thing that is wrong, if the message names only the first."""
        return self.spelled_details()

    @property
    def first(self) -> tuple[str, ...]:
        """Lines about the first of several things that are wrong."""
        return self.spelled_first()

    def spelled(self, spell: Callable[[str], str] = str) -> str:
        """Return the message, with the names of options replaced by ``spell``."""
        return _respelled(str(self.args[0]), spell)

    def spelled_first(self, spell: Callable[[str], str] = str) -> tuple[str, ...]:
        """Return the lines about the first things, with the names of options replaced."""
        return tuple(_respelled(line, spell) for line in self._first)

    def spelled_details(self, spell: Callable[[str], str] = str) -> tuple[str, ...]:
        """Return the details, with the names of options replaced by ``spell``."""
        return tuple(_respelled(line, spell) for line in self._details)


class DataError(TfrecError):
    """The data is wrong: a bad image, a damaged record, sources that contradict each other."""

    exit_code = EXIT_DATA


class FramingError(DataError):
    """A file is not intact TFRecord framing."""


class ExampleError(DataError):
    """A payload is not a valid ``tf.train.Example``."""


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


class BadImagesError(DataError):
    """Images cannot be used; the details name each of them."""


class TableError(DataError):
    """An image list has wrong lines; the details name each of them."""


class UnreadableError(BadImagesError):
    """Images cannot be read just now, because of permissions or the disk."""


class ManifestError(DataError):
    """A manifest does not follow its format."""


class UsageError(TfrecError, ValueError):
    """Wrong use: options, configuration, arguments."""

    exit_code = EXIT_USAGE


class MeantSourceError(UsageError):
    """Another source is meant; its message has `source` where the call with that one is named.

    Attributes:
        source: what is meant.
        options: the options that it needs, each with its value.
    """

    def __init__(self, message: str, source: str, options: Mapping[str, str]) -> None:
        super().__init__(message)
        self.source = source
        self.options = dict(options)

    def __reduce__(self) -> tuple[type[MeantSourceError], tuple[str, str, dict[str, str]]]:
        return type(self), (str(self.args[0]), self.source, self.options)

    def __str__(self) -> str:
        words = {"source": self.source, **self.options}
        call = " with ".join(f"{name} {value}" for name, value in words.items())
        return self.spelled(lambda name: call if name == "source" else name)


class MissingPathError(UsageError, FileNotFoundError):
    """A path that the caller gave does not exist.

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
    """An optional package is not installed, or cannot be imported."""

    @classmethod
    def of(cls, name: str, extra: str) -> MissingExtraError:
        """Make the error for a package that is not installed, with the extra that installs it."""
        return cls(f"{name} is not installed: pip install 'tfrec-cli[{extra}]'")


class Terminated(BaseException):
    """SIGTERM was received; like KeyboardInterrupt, not an `Exception`."""


def _respelled(text: str, spell: Callable[[str], str]) -> str:
    return _OPTION.sub(lambda option: spell(option[1]), text)
