"""The options of ``tfrec merge``, what it calls and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tfrec_cli.cli import params, progress
from tfrec_cli.cli.command import Command
from tfrec_cli.cli.completion import paths, splits


@click.command(
    cls=Command,
    excludes={"shard_size": ["shards"]},
    groups={
        "What is copied": ["split", "where", "limit"],
        "Shards": ["shards", "shard_size", "index"],
        "Running": ["jobs", "quiet", "json", "color"],
    },
    examples=["first second both", "first second both --shards 4"],
)
@params.path_argument(
    "datasets", metavar="DATASET...", nargs=-1, required=True, shell_complete=paths()
)
@params.path_argument("out", metavar="OUT", shell_complete=paths())
@click.option(
    "--split",
    shell_complete=splits("datasets"),
    metavar="NAME",
    help="Merge only this split. [default: all]",
)
@params.where
@params.limit
@params.field_option("shards", help="Number of shards of each split. [default: by --shard-size]")
@params.shard_size(params.SHARD_SIZE)
@params.index(default="yes if a DATASET has index files")
@params.jobs
@params.quiet
@params.json
def merge(
    datasets: tuple[Path, ...], out: Path, *, json: bool, quiet: bool, **options: Any
) -> None:
    """Copy two or more datasets into the new folder OUT as one dataset.

    Splits of the same name become one: first the records of the first DATASET, then those of the
    second. Other splits are copied too. The records stay the same, so images must be stored in the
    same way, and class numbers must mean the same: all lists of class names are equal, or begin the
    longest one.
    """
    from tfrec_cli.commands import merge as work
    from tfrec_cli.report import merge as report

    if options["shards"] is not None:
        options["shard_size"] = None
    with progress.shown(quiet=quiet) as show:
        result = work.merge(datasets, out, work.Options(**options), show)
    if not quiet:
        progress.warn(result.warnings)
    click.echo(report.document(result) if json else report.text(result))
