"""Every expected failure, each with the exit code it ends the program with.

Knows: exit codes. Must not know: anything else.
"""

from __future__ import annotations

EXIT_DATA = 1
EXIT_USAGE = 2
EXIT_RUN = 3
EXIT_BUG = 70
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class TfrecError(Exception):
    """A failure we expect and can explain in one line: where, what was found, what was expected."""

    exit_code = EXIT_RUN


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
    """A manifest of images is wrong.

    Attributes:
        lines: what is wrong with each bad line, one line of text each.
    """

    def __init__(self, message: str, lines: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.lines = lines


class UnreadableError(DataError):
    """An image cannot be read now; that may pass."""


class ManifestError(DataError):
    """A manifest does not say what a manifest says."""


class UsageError(TfrecError):
    """Called wrongly: options, configuration, arguments."""

    exit_code = EXIT_USAGE


class RunError(TfrecError):
    """Could not run: output exists, disk full, a package is missing, a worker died."""

    exit_code = EXIT_RUN


class Terminated(BaseException):
    """SIGTERM came; like KeyboardInterrupt, no error."""
