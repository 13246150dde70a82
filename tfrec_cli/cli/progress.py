"""Progress as a bar on a terminal, and warnings."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tfrec_cli.runtime.pool import Progress

_FORMAT = "{desc}{n_fmt}/{total_fmt} |{bar}| {elapsed}<{remaining}"


@contextmanager
def shown(*, quiet: bool) -> Iterator[Progress]:
    """Yield a function that shows progress as a bar on a terminal, and does nothing elsewhere."""
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield lambda *_: None
        return
    from tqdm import tqdm

    with tqdm(total=1, leave=False, file=sys.stderr, bar_format=_FORMAT, delay=0.01) as bar:

        def show(what: str, done: int, total: int) -> None:
            bar.set_description(what, refresh=False)
            bar.total = total
            bar.n = done
            bar.refresh()

        yield show


def warn(lines: Iterable[str]) -> None:
    """Print each warning on a line."""
    for line in lines:
        click.echo(f"tfrec: {line}", err=True)
