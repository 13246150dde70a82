"""Progress as a line on a terminal, warnings, and the verdict of a command in colour."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from tfrec_cli.runtime import values

if TYPE_CHECKING:
    from tfrec_cli.runtime.pool import Progress

DELAY_S = 0.3
"""A step that takes less shows no line."""

_INTERVAL_S = 0.1
_WIDEST = 79
"""A line as wide as a large terminal would break when its window gets smaller."""

_UNITS = {
    "checking shards": "B",
    "copying": "records",
    "reading": "files",
    "reading crops": "crops",
}
"""What a step counts, if not photos."""

_FORMAT = "{desc}: {n_fmt}/{total_fmt} |{bar}| RATE, {remaining} left"
_COUNT = "{desc}: {n_fmt} found, RATE"
_CLEARED = "\r\x1b[K"


@contextmanager
def shown(*, quiet: bool) -> Iterator[Progress]:
    """Yield a function that shows progress as a line on a terminal, and does nothing elsewhere.

    The line is gone when the block ends, however it ends.
    """
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield lambda *_: None
        return
    line = _Line()
    try:
        yield line.show
    finally:
        line.clear()


class _Line:
    """The line of the step that runs."""

    def __init__(self) -> None:
        self._step = ""
        self._began = self._drawn = 0.0

    def show(self, step: str, done: int, total: int) -> None:
        """Draw how much of a step is done; without a total, how much was found."""
        now = time.monotonic()
        if step != self._step:
            self.clear()
            self._step, self._began = step, now
        if now - self._began < DELAY_S or now - self._drawn < _INTERVAL_S:
            return
        from tqdm import tqdm

        unit = _UNITS.get(step, "photos")
        in_bytes = unit == "B"
        elapsed_s = now - self._began
        line = tqdm.format_meter(
            done,
            total or None,  # type: ignore[arg-type]  # None is an unknown total
            elapsed_s,
            ncols=min(shutil.get_terminal_size().columns - 1, _WIDEST),
            prefix=step,
            unit_scale=in_bytes,
            unit_divisor=1024,
            bar_format=(_FORMAT if total else _COUNT).replace("RATE", _rate(done, elapsed_s, unit)),
        )
        self._write(f"\r{line}\x1b[K")
        self._drawn = now

    def clear(self) -> None:
        """Remove the line, if there is one."""
        if self._drawn:
            self._write(_CLEARED)
            self._drawn = 0.0

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def _rate(done: int, elapsed_s: float, unit: str) -> str:
    """Return how fast a step is, in words: ``12.3 photos/s``."""
    if not elapsed_s:
        return f"? {unit}/s"
    rate = done / elapsed_s
    return f"{values.rounded_size(rate)}/s" if unit == "B" else f"{values.rounded(rate)} {unit}/s"


def warn(lines: Iterable[str]) -> None:
    """Print each warning on a line."""
    for line in lines:
        click.echo(f"{click.style('tfrec:', fg='yellow')} {line}", err=True)


def verdict(text: str, *, ok: bool) -> None:
    """Print a text whose last line says whether everything is right."""
    above, newline, last = text.rpartition("\n")
    click.echo(above + newline + click.style(last, fg="green" if ok else "red", bold=True))
