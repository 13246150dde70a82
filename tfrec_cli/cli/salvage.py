"""The options of ``tfrec salvage``, what it calls and what it prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from tfrec_cli.cli import params
from tfrec_cli.cli.command import Command
from tfrec_cli.cli.completion import paths
from tfrec_cli.errors import EXIT_DATA


@click.command(
    cls=Command,
    examples=[
        "damaged.tfrecord saved.tfrecord",
        "out/train-00000-of-00004.tfrecord saved.tfrecord --source images",
    ],
)
@params.path_argument("shard", metavar="SHARD")
@params.path_argument("out", metavar="OUT")
@params.path_option(
    "--source",
    shell_complete=paths("csv", "tsv", "jsonl"),
    metavar="SRC",
    help="The folder or image list that SHARD was written from. Lost images are then listed by "
    "name.",
)
@params.root
@params.json
def salvage(shard: Path, out: Path, *, json: bool, **options: Any) -> None:
    """Write every intact record of the damaged SHARD to the new record file OUT.

    Lost parts are listed as ranges of bytes. If the index file is next to SHARD, record numbers are
    listed too. --source adds the file names; it needs the manifest next to SHARD.
    """
    from tfrec_cli.commands import salvage as work
    from tfrec_cli.report import salvage as report

    result = work.salvage(shard, out, work.Options(**options))
    click.echo(report.document(result) if json else report.text(result))
    if not result.ok:
        sys.exit(EXIT_DATA)
