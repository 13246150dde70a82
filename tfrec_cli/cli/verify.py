"""The options of ``tfrec verify``, what it calls and what it prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from tfrec_cli.cli import params, progress
from tfrec_cli.cli.command import Command
from tfrec_cli.cli.completion import paths
from tfrec_cli.errors import EXIT_DATA


@click.command(cls=Command, needs={"epochs": ["seed"]})
@params.path_argument("path", metavar="[PATH]", default=".")
@params.seed(
    help="Compute every record's crop, by tf.data too if it is installed; print a fingerprint."
)
@params.crop(help="Size of those crops. [default: as stored; else 128 or the smallest side]")
@click.option(
    "--epochs",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="E",
    help="Check the crops of epochs 0 to E-1.",
)
@click.option("--quick", is_flag=True, help="Stop before decoding images.")
@click.option(
    "--source",
    shell_complete=paths("csv", "tsv", "jsonl", after="="),
    type=params.Origin(),
    multiple=True,
    metavar="[SPLIT=]SRC",
    help="The folder or image list it was written from: every image must be there once, with its "
    "label, and make the same record again (with --quick only names and labels). Once for each "
    "split's folder.",
)
@params.root
@click.option("--expect", metavar="FINGERPRINT", help="The fingerprint that must come out.")
@params.jobs
@params.quiet
@params.json
def verify(path: Path, *, json: bool, quiet: bool, **options: Any) -> None:
    """Prove that a dataset is whole, and that it reads as it should. PATH: the current folder."""
    from tfrec_cli.commands import verify as work
    from tfrec_cli.report import verify as report

    with progress.shown(quiet=quiet) as show:
        result = work.verify(path, work.Options(**options), show)
    click.echo(report.document(result) if json else report.text(result))
    if not result.ok:
        sys.exit(EXIT_DATA)
