"""The options of ``tfrec extract``, what it calls and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click

from tfrec_cli.cli import params, progress
from tfrec_cli.cli.command import Command
from tfrec_cli.cli.completion import paths, splits
from tfrec_cli.dataset.names import Missing


@click.command(
    cls=Command,
    groups={
        "What is written": ["split", "image", "missing"],
        "Running": ["jobs", "quiet", "json", "color"],
    },
    examples=["out images", "out images --split val"],
    elsewhere={
        "--where": "`tfrec reshard DATASET PART --where label=cat` copies a part, whose images "
        "can be extracted",
        "--limit": "`tfrec reshard DATASET PART --limit N` copies a part, whose images can be "
        "extracted",
    },
)
@params.path_argument("dataset", metavar="DATASET", shell_complete=paths("*"))
@params.path_argument("out", metavar="OUT", shell_complete=paths())
@click.option(
    "--split",
    shell_complete=splits("dataset"),
    metavar="NAME",
    help="Extract only this split. [default: all, each in its own folder if there are several]",
)
@click.option(
    "--image",
    metavar="NAME",
    help="Feature that holds the images of another program's records. [default: that of a common "
    "name, or the only one]",
)
@click.option(
    "--missing",
    type=click.Choice(get_args(Missing), case_sensitive=False),
    default="fail",
    show_default=True,
    help="What to do with records of another program that have no image. fail: stop. skip: leave "
    "them out, and count them.",
)
@params.jobs
@params.quiet
@params.json
def extract(dataset: Path, out: Path, *, json: bool, quiet: bool, **options: Any) -> None:
    """Write the images of DATASET as files into the new folder OUT.

    Files get the names that are in the records. Images that `write` stored unchanged come back byte
    for byte. Other images are written as they are stored, raw crops as PNG. Labels and columns
    that folders do not give are in an image list. DATASET may also be record files of another
    program: names that several of its records have are numbered, and the output names the features
    that are left out.
    """
    from tfrec_cli.commands import extract as work
    from tfrec_cli.report import extract as report

    with progress.shown(quiet=quiet) as show:
        result = work.extract(dataset, out, work.Options(**options), show)
    if not quiet:
        progress.warn(result.warnings)
    click.echo(report.document(result) if json else report.text(result))
