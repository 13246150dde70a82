"""The options of ``tfrec check``, what it calls and what it prints."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import click

from tfrec_cli.cli import params, progress
from tfrec_cli.cli.command import Command, typed
from tfrec_cli.cli.write import write

_GROUPS = {
    "How images are read": ["crop", "resize_short", "depth", "exif", "alpha", "frames"],
    "Labels and splits": [
        "labels",
        "first_label",
        "split",
        "split_column",
        "root",
        "path_column",
        "label_column",
        "suffix",
    ],
    "Bad images": ["on_error", "max_errors", "small", "check", "max_pixels"],
    "Running": ["jobs", "verbose", "quiet", "json", "color"],
}


def _options() -> list[click.Parameter]:
    """Return the argument SRC and the options of `write` that decide which images it takes."""
    names = ["source", *(name for group in _GROUPS.values() for name in group if name != "color")]
    kept = {param.name: copy.copy(param) for param in write.params if param.name in names}
    kept["check"].default = "decode"
    return [kept[name] for name in names]


@click.command(
    cls=Command,
    params=_options(),
    excludes={"split": ["split_column"], "verbose": ["quiet"]},
    groups=_GROUPS,
    examples=["images", "images --crop 128 --on-error skip -v"],
    surplus=params.one_source,
)
def check(source: Path, *, json: bool, quiet: bool, verbose: bool, **options: Any) -> None:
    """Check the images of SRC as `write` does, and write nothing.

    With the same options, `write` takes and refuses the same images. One run finds all that cannot
    be used: it lists the first ten, and all with -v and --json.
    """
    from tfrec_cli.commands import check as work
    from tfrec_cli.report import check as report
    from tfrec_cli.writing import damaged
    from tfrec_cli.writing.options import WriteOptions

    asked = WriteOptions(**options)
    asked.check_effect(typed(click.get_current_context()))
    with progress.shown(quiet=quiet) as show:
        result = work.check(source, asked, show)
    listed = [f"left out: {reject}" for reject in result.rejects if verbose]
    listed += damaged.listed(result.damaged) if verbose else []
    if not quiet:
        progress.warn([*result.warnings, *listed])
    click.echo(report.document(result) if json else report.text(result))
