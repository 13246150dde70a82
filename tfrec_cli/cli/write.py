"""The options of ``tfrec write``, what it calls and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tfrec_cli.cli import params, progress
from tfrec_cli.cli.command import Command
from tfrec_cli.cli.completion import paths, splits


@click.command(
    cls=Command,
    excludes={"shard_size": ["shards"], "shuffle_seed": ["no_shuffle"], "verbose": ["quiet"]},
)
@params.path_argument("source", metavar="SRC", shell_complete=paths("csv", "tsv", "jsonl"))
@params.path_argument("out", metavar="OUT", shell_complete=paths())
@params.crop(help="Store fixed centre crops; else whole images.")
@params.field_option(
    "encoding",
    help="How crops are stored. [default: raw, uint8 RGB rows; png with --keys tf-models]",
)
@params.field_option("jpeg_quality", metavar="Q", help="Of crops stored as JPEG.")
@params.field_option("resize_short", help="First scale the shorter side to N.")
@params.field_option(
    "split",
    metavar="NAME|NAME=SHARE,…",
    shell_complete=splits("out", "train", "val", "test"),
    help="Name of the split; or several with their shares, such as train=0.9,val=0.1: divided by "
    "content, class by class, copies together.",
)
@params.field_option(
    "labels",
    metavar="auto|none|FILE",
    shell_complete=paths("*", words=("auto", "none")),
    help="Sub-folders, or the column label, are classes; no labels; or one class a line, in this "
    "order.",
)
@params.root
@params.field_option(
    "keys", help="Feature names: image, label…, or image/encoded, image/class/label…"
)
@params.field_option("shards", help="Number of shards. [default: by --shard-size]")
@params.shard_size(help="Size of a shard, about.")
@params.field_option("shuffle_seed", help="Decides the order of the records.")
@click.option("--no-shuffle", is_flag=True, help="Keep the order of the paths.")
@params.field_option("on_error", help="What to do at an image that cannot be used.")
@params.field_option("max_errors", metavar="N|P%", help="With --on-error skip, the most to skip.")
@params.field_option("small", help="What to do at an image smaller than the crop.")
@params.field_option(
    "check", help="How whole images are checked; what is cropped is always decoded."
)
@params.field_option("exif", help="Turn pictures upright by their EXIF orientation.")
@params.field_option(
    "alpha", help="At transparency: drop it, lay the picture on a colour, or refuse it."
)
@params.field_option("frames", help="Of an animation: take the first frame, or refuse it.")
@params.field_option("max_pixels", help="Refuse pictures of more pixels.")
@params.field_option(
    "compression", help="Of the shards; gzip saves little, and cannot be read from the middle."
)
@params.index(default="yes")
@params.jobs
@params.field_option("resume", help="Go on with the same write, if it was interrupted.")
@params.field_option("overwrite", help="Replace the split once the new one is whole.")
@params.field_option("dry_run", help="Only say what would be written.")
@click.option(
    "-v", "--verbose", is_flag=True, help="Name every file that is left out, and all bad lines."
)
@params.quiet
@params.json
def write(
    source: Path,
    out: Path,
    *,
    shuffle_seed: int,
    no_shuffle: bool,
    json: bool,
    quiet: bool,
    verbose: bool,
    **options: Any,
) -> None:
    """Write the images below SRC as one split of the dataset in OUT, or as several.

    Sub-folders of SRC are classes. Or SRC is an image list: a .csv, .tsv or .jsonl file with a
    column path, perhaps a column label, and others, which become features. OUT holds a finished
    dataset, or nothing new.
    """
    from tfrec_cli.commands import write as work
    from tfrec_cli.report import write as report
    from tfrec_cli.writing.options import WriteOptions

    seed = None if no_shuffle else shuffle_seed
    with progress.shown(quiet=quiet) as show:
        result = work.write(source, out, WriteOptions(shuffle_seed=seed, **options), show)
    rejects = [reject for split in [result, *result.more] for reject in split.rejects]
    notes = [*result.warnings, *(f"left out: {reject}" for reject in rejects if verbose)]
    if not quiet:
        progress.warn(notes)
    click.echo(report.document(result) if json else report.text(result))
