"""The commands and their options; those of ``write`` are made from `writing.options`.

Knows: click. Must not know: everything below those calls; imports it only when called, so that
``tfrec --help`` costs what click costs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfrec_cli import __version__
from tfrec_cli.cli import params, progress
from tfrec_cli.cli.command import Group
from tfrec_cli.cli.completion import paths, splits
from tfrec_cli.errors import EXIT_DATA, UsageError

if TYPE_CHECKING:
    from tfrec_cli.inspecting.tally import Summary

_SAMPLES = 40


@click.group(
    cls=Group,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "TFREC",
        "max_content_width": 100,
    },
)
@click.version_option(
    __version__,
    prog_name="tfrec",
    allow_from_autoenv=False,  # TFREC_VERSION may say which one is installed
)
@params.path_option(
    "--config",
    shell_complete=paths("toml"),
    is_eager=True,
    help="TOML file with a table per command, whose keys are option names.",
)
@click.pass_context
def main(ctx: click.Context, config: Path | None) -> None:
    """Image folders to TFRecord shards and back: inspected, verified, with reproducible crops.

    Every option can also be set in the environment: --crop of write as TFREC_WRITE_CROP.

    In bash, eval "$(_TFREC_COMPLETE=bash_source tfrec)" completes words; zsh and fish likewise.
    """
    if config:
        from tfrec_cli.cli.config import load

        ctx.default_map = load(config, main)


@main.command(
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
        _warn(notes)
    click.echo(report.document(result) if json else report.text(result))


@main.command(
    short_help="Show what is in any TFRecord files.",
    needs={"crop": ["contact_sheet", "html"], "seed": ["crop"]},
    excludes={name: ["record", "records"] for name in ("contact_sheet", "html", "labels")},
)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, shell_complete=paths("*"))
@click.option("--records", type=click.IntRange(0), metavar="N", help="Show the first N records.")
@click.option(
    "--record", type=click.IntRange(0), metavar="K", help="Show record K, counted from 0."
)
@click.option("--labels", is_flag=True, help="List every label.")
@params.path_option(
    "--contact-sheet",
    shell_complete=paths("png"),
    help=f"Draw up to {_SAMPLES} pictures, from all over, into this PNG file.",
)
@params.path_option(
    "--html",
    shell_complete=paths("html"),
    help="Write one page to this file.",
)
@params.crop(help="Cut the pictures of sheet and page.")
@params.seed(help="With --crop: place crops as the reader does in epoch 0; else in the middle.")
@params.json
def inspect(
    paths: tuple[str, ...],
    *,
    records: int | None,
    record: int | None,
    labels: bool,
    json: bool,
    **pictures: Any,
) -> None:
    """Show what is in record files, folders of them, or glob patterns; anyone's, not only ours."""
    from tfrec_cli.commands import inspect_
    from tfrec_cli.inspecting.spec import parse_spec
    from tfrec_cli.report import inspect_ as report

    if pictures["contact_sheet"] or pictures["html"]:
        from tfrec_cli.report import page

        page.check_replaceable(pictures["contact_sheet"], pictures["html"])
    files = inspect_.find(paths)
    if record is not None and records is not None:
        raise UsageError("--record: found --records too, expected one of the two")
    if record is not None or records is not None:
        from tfrec_cli.report import records as records_report

        shown = inspect_.pick(files, first=records, number=record)
        click.echo(records_report.document(shown) if json else records_report.text(shown))
        return
    result = inspect_.summarise(files)
    spec = parse_spec(result)
    if not json:
        click.echo(report.text(result, spec, all_labels=labels))
    _draw(files, result, spec, **pictures)
    if json:
        click.echo(report.document(result, spec))
    if result.problems:
        sys.exit(EXIT_DATA)


@main.command(needs={"epochs": ["seed"]})
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
    if result.findings:
        sys.exit(EXIT_DATA)


@main.command()
@params.path_argument("shard", metavar="SHARD")
@params.path_argument("out", metavar="OUT")
@params.path_option(
    "--source",
    shell_complete=paths("csv", "tsv", "jsonl"),
    metavar="SRC",
    help="The images that were written, or their image list: names what is lost.",
)
@params.root
@params.json
def salvage(shard: Path, out: Path, *, json: bool, **options: Any) -> None:
    """Write every whole record of the damaged SHARD to the new record file OUT.

    What is lost is listed: as ranges of bytes, by the index file beside SHARD as numbers of
    records, by the manifest and --source as names of files.
    """
    from tfrec_cli.commands import salvage as work
    from tfrec_cli.report import salvage as report

    result = work.salvage(shard, out, work.Options(**options))
    click.echo(report.document(result) if json else report.text(result))
    if result.is_less:
        sys.exit(EXIT_DATA)


@main.command()
@params.path_argument("dataset", metavar="DATASET", shell_complete=paths("*"))
@params.path_argument("out", metavar="OUT", shell_complete=paths())
@click.option(
    "--split",
    shell_complete=splits("dataset"),
    metavar="NAME",
    help="Only this one. [default: a folder for each]",
)
@params.jobs
@params.quiet
@params.json
def extract(dataset: Path, out: Path, *, json: bool, quiet: bool, **options: Any) -> None:
    """Write the images of DATASET as files below the new folder OUT, under their old names.

    What write left as it was comes back byte for byte; other images as they are stored, raw crops
    as PNG. DATASET may be anyone's record files.
    """
    from tfrec_cli.commands import extract as work
    from tfrec_cli.report import extract as report

    with progress.shown(quiet=quiet) as show:
        result = work.extract(dataset, out, work.Options(**options), show)
    if not quiet:
        _warn(result.warnings)
    click.echo(report.document(result) if json else report.text(result))


@main.command(short_help="Copy a dataset into another number of shards.")
@params.path_argument("dataset", metavar="DATASET", shell_complete=paths())
@params.path_argument("out", metavar="OUT", shell_complete=paths())
@click.option(
    "--split",
    shell_complete=splits("dataset"),
    metavar="NAME",
    help="Only this one. [default: all]",
)
@params.field_option("shards", help="Number of shards of each split.")
@params.shard_size(default=None, help="Or their size, about, such as 128MiB.")
@params.index(default="as DATASET has them")
@params.jobs
@params.quiet
@params.json
def reshard(dataset: Path, out: Path, *, json: bool, quiet: bool, **options: Any) -> None:
    """Copy DATASET into the new folder OUT, in another number of shards.

    The same records in the same order, byte for byte, and the files that `write --shards N` makes.
    """
    from tfrec_cli.commands import reshard as work
    from tfrec_cli.report import reshard as report

    with progress.shown(quiet=quiet) as show:
        result = work.reshard(dataset, out, work.Options(**options), show)
    click.echo(report.document(result) if json else report.text(result))


def _warn(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(f"tfrec: {line}", err=True)


def _draw(
    paths: list[Path],
    result: Summary,
    spec: str,
    *,
    contact_sheet: Path | None,
    html: Path | None,
    crop: tuple[int, int] | None,
    seed: int | None,
) -> None:
    """Write the pictures that were asked for."""
    if not contact_sheet and not html:
        return
    from tfrec_cli.inspecting.samples import samples
    from tfrec_cli.report import page

    needed = contact_sheet or result.names
    pictures = samples(paths, result, _SAMPLES, crop, seed) if needed else []
    if contact_sheet:
        page.write_contact_sheet(contact_sheet, pictures)
    if html:
        page.write_html(html, result, spec, pictures)
