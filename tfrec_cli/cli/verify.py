"""The options of ``tfrec verify``, what it calls and what it prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from tfrec_cli.cli import params, progress
from tfrec_cli.cli.command import Command
from tfrec_cli.cli.completion import paths, splits
from tfrec_cli.errors import EXIT_DATA


@click.command(
    cls=Command,
    needs={"epochs": ["seed"]},
    groups={
        "What is checked": ["split", "seed", "crop", "epochs", "expect", "quick", "source", "root"],
        "Running": ["jobs", "verbose", "quiet", "json", "color"],
    },
    examples=["out", "out --seed 42", "out --source images"],
)
@params.path_argument("path", metavar="[PATH]", default=".")
@click.option(
    "--split",
    shell_complete=splits("path"),
    metavar="NAME",
    help="Check only this split, and the files about all splits. [default: all]",
)
@params.seed(
    help="Compute the crop of every record, compare it with the crop by tf.data if TensorFlow is "
    "installed, and print a fingerprint of all crops."
)
@params.crop(
    help="With --seed: size of the crops. [default: as stored; for whole images 128, or the "
    "smallest side if it is smaller]"
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="E",
    help="With --seed: check the crops of epochs 0 to E-1.",
)
@click.option("--quick", is_flag=True, help="Check every byte, but do not decode images.")
@click.option(
    "--source",
    shell_complete=paths("csv", "tsv", "jsonl", after="="),
    type=params.Origin(),
    multiple=True,
    metavar="[SPLIT=]SRC",
    help="The folder or image list that the dataset was written from. Every image must be in the "
    "dataset once, with its label, and give the same record again (with --quick, only names and "
    "labels are compared). If splits have folders of their own, give this option for each.",
)
@params.root
@click.option(
    "--expect",
    metavar="FINGERPRINT",
    help="With --seed: the expected fingerprint. If the computed fingerprint differs, that is a "
    "finding.",
)
@params.jobs
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="List every finding, not only the first ten of a kind, and every damaged image.",
)
@params.quiet
@params.json
def verify(path: Path, *, json: bool, quiet: bool, verbose: bool, **options: Any) -> None:
    """Check that a dataset is complete and intact. The default PATH is the current folder."""
    from tfrec_cli.commands import verify as work
    from tfrec_cli.report import verify as report

    with progress.shown(quiet=quiet) as show:
        result = work.verify(path, work.Options(**options), show)
    if json:
        click.echo(report.document(result))
    else:
        progress.verdict(report.text(result, verbose=verbose), ok=result.ok)
    if not result.ok:
        sys.exit(EXIT_DATA)
