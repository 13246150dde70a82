"""The options of ``tfrec write``, what it calls and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tfrec_cli.cli import params, progress
from tfrec_cli.cli.command import Command, typed
from tfrec_cli.cli.completion import paths, splits


@click.command(
    cls=Command,
    excludes={
        "shard_size": ["shards"],
        "shuffle_seed": ["no_shuffle"],
        "split": ["split_column"],
        "verbose": ["quiet"],
    },
    groups={
        "What is stored": [
            "crop",
            "encoding",
            "jpeg_quality",
            "resize_short",
            "depth",
            "exif",
            "alpha",
            "frames",
            "strip_metadata",
            "keys",
        ],
        "Labels and splits": [
            "labels",
            "first_label",
            "split",
            "split_by",
            "split_column",
            "root",
            "path_column",
            "label_column",
            "suffix",
        ],
        "Bad images": ["on_error", "max_errors", "small", "check", "max_pixels"],
        "Shards": ["shards", "shard_size", "shuffle_seed", "no_shuffle", "compression", "index"],
        "Running": ["jobs", "resume", "overwrite", "dry_run", "verbose", "quiet", "json", "color"],
    },
    examples=[
        "images out",
        "images out --crop 128 --resize-short 144",
        "images out --split train=80,val=20",
        "images.csv out --root images --shards 8",
    ],
    surplus=lambda words: params.one_source(words[:-1]),
)
@params.path_argument("source", metavar="SRC", shell_complete=paths("csv", "tsv", "jsonl"))
@params.path_argument("out", metavar="OUT", shell_complete=paths())
@params.crop(help="Store centre crops of this size instead of whole images.")
@params.field_option(
    "encoding",
    help="How crops are stored; raw means uint8 RGB values, row by row. [default: raw; png with "
    "--keys tf-models and --depth 16]",
)
@params.field_option("jpeg_quality", metavar="Q", help="Quality of crops stored as JPEG.")
@params.field_option(
    "depth",
    help="Bits of a sample. 16: images of more than 8 bits are stored as PNG of 16; those of 8 "
    "stay as they are, but crops all have 16.",
)
@params.field_option(
    "resize_short", help="First scale each image so that its shorter side has N pixels."
)
@params.field_option(
    "split",
    metavar="NAME|NAME=SHARE,…|folders",
    shell_complete=splits("out", "train", "val", "test", "folders"),
    help="Name of the split. Or several names with their shares, such as train=0.9,val=0.1 or "
    "train=90,val=10: the images of each class are divided by content, and copies stay together. "
    "folders: each folder in SRC is a split of its name, and the folders in it are classes.",
)
@params.field_option(
    "split_by",
    metavar="COLUMN",
    help="With several splits: never part the images that have the same value in this column of an "
    "image list, such as those of one patient, scene or video.",
)
@params.field_option(
    "split_column",
    metavar="NAME",
    help="One split for each value in this column of an image list, such as train, val and test; "
    "the value is its name.",
)
@params.field_option(
    "labels",
    metavar="auto|none|top|leaf|path|FILE",
    shell_complete=paths("*", words=("auto", "none", "top", "leaf", "path")),
    help="auto: the classes are the sub-folders, or the column label of an image list; whole "
    "numbers there are the class numbers. none: no labels. top, leaf, path: in folders of folders, "
    "the class is the first folder, the one that holds the image, or both with all between. FILE: "
    "the names of the classes, one on each line, numbered in this order or by a number in front of "
    "each; or a label map (.pbtxt).",
)
@params.field_option(
    "first_label",
    help="Number of the first class, unless the image list or the FILE of --labels has numbers: 1 "
    "as TF Models expect it.",
)
@params.root
@params.field_option(
    "path_column",
    metavar="NAME",
    help="Column of the paths in an image list. [default: path, filename, image… if one is there]",
)
@params.field_option(
    "label_column",
    metavar="NAME",
    help="Column of the labels in an image list. [default: label, class, target… if one is there]",
)
@params.field_option(
    "suffix",
    metavar="TEXT",
    help="Text to add to each path of an image list, such as .jpg if its paths have no endings.",
)
@params.field_option(
    "keys",
    help="Names of the features. plain: image, label… tf-models: image/encoded, image/class/label…",
)
@params.field_option("shards", help="Number of shards. [default: by --shard-size]")
@params.shard_size(params.SHARD_SIZE)
@params.field_option("shuffle_seed", help="Seed of the order of the records.")
@click.option("--no-shuffle", is_flag=True, help="Store the records in the order of their paths.")
@params.field_option(
    "on_error", help="What to do if an image, or a line of an image list, cannot be used."
)
@params.field_option(
    "max_errors",
    metavar="N|P%",
    help="With --on-error skip: how many images may be skipped; more are an error.",
)
@params.field_option("small", help="What to do if an image is smaller than the crop.")
@params.field_option(
    "check",
    help="How images are checked: the structure of whole ones; or by decoding them too, as crops "
    "always are; or intact, which also refuses JPEGs with damaged data. That decodes all of each, "
    "not only the crop.",
)
@params.field_option("exif", help="Whether to turn images upright by their EXIF orientation.")
@params.field_option(
    "strip_metadata",
    help="Remove EXIF (with places), XMP, comments and previews from whole images that keep their "
    "bytes. Crops and converted images never have them.",
)
@params.field_option(
    "alpha",
    help="What to do with transparency: drop it, put the image on white or black, or refuse the "
    "image.",
)
@params.field_option(
    "frames", help="What to do with an animation: take its first frame, or refuse it."
)
@params.field_option("max_pixels", help="Refuse images of more than N pixels.")
@params.field_option(
    "compression",
    help="Compression of the shards. gzip saves little space, and prevents random access.",
)
@params.index(default="yes; no with --compression gzip")
@params.jobs
@params.field_option("resume", help="Continue the same write after an interruption.")
@params.field_option("overwrite", help="Replace the split when the new one is complete.")
@params.field_option("dry_run", help="Write nothing; print what would be written.")
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Name every file that is left out, every damaged image, every bad line of an image list, "
    "and, when they are written, copies.",
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
    """Write the images of SRC to the dataset OUT, as one split or several.

    SRC is a folder whose sub-folders are classes, or an image list: a .csv, .tsv or .jsonl file. An
    image list has a column path and, if you like, a column label; its other columns become
    features. OUT is a new or empty folder, or a dataset that gets another split.
    """
    from tfrec_cli.commands import write as work
    from tfrec_cli.report import write as report
    from tfrec_cli.writing import damaged
    from tfrec_cli.writing.options import WriteOptions

    seed = None if no_shuffle else shuffle_seed
    asked = WriteOptions(shuffle_seed=seed, **options)
    asked.check_effect(typed(click.get_current_context()))
    with progress.shown(quiet=quiet) as show:
        result = work.write(source, out, asked, show)
    notes = [*result.warnings]
    for split in result.splits if verbose else ():
        notes += [f"left out: {reject}" for reject in split.rejects]
        notes += damaged.listed(split.damaged)
    if verbose and result.copies:
        notes += result.copies.listed()
    if not quiet:
        progress.warn(notes)
    click.echo(report.document(result) if json else report.text(result))
