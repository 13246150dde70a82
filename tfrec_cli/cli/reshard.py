"""The options of ``tfrec reshard``, what it calls and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tfrec_cli.cli import params, progress
from tfrec_cli.cli.command import Command
from tfrec_cli.cli.completion import paths, splits


@click.command(
    cls=Command,
    groups={
        "What is copied": ["split", "where", "limit"],
        "Shards": ["shards", "shard_size", "index"],
        "Running": ["jobs", "quiet", "json", "color"],
    },
    examples=["out smaller --shards 4", "out cats --where label=cat"],
)
@params.path_argument("dataset", metavar="DATASET", shell_complete=paths("*"))
@params.path_argument("out", metavar="OUT", shell_complete=paths())
@click.option(
    "--split",
    shell_complete=splits("dataset"),
    metavar="NAME",
    help="Copy only this split. [default: all]",
)
@params.where
@params.limit
@params.field_option("shards", help="Number of shards of each split.")
@params.shard_size(
    "Instead of --shards: " + params.SHARD_SIZE,
    when="with --split, --where or --limit, or for record files of other programs",
)
@params.index(default="yes if DATASET has index files")
@params.jobs
@params.quiet
@params.json
def reshard(dataset: Path, out: Path, *, json: bool, quiet: bool, **options: Any) -> None:
    """Copy DATASET, or some of its records, into the new folder OUT with other shards.

    The records and their order stay the same. The new files are those that `write --shards N`
    would make. DATASET may also be a file, a folder or a glob pattern of record files of any
    program: then only the records are copied.
    """
    from tfrec_cli.commands import reshard as work
    from tfrec_cli.report import reshard as report

    with progress.shown(quiet=quiet) as show:
        result = work.reshard(dataset, out, work.Options(**options), show)
    if not quiet:
        progress.warn(result.warnings)
    click.echo(report.document(result) if json else report.text(result))
