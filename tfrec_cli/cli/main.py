"""The command line: a command's body builds one dataclass, calls one function, prints one report.

Knows: click, tqdm. Must not know: everything below those calls; imports it only when called, so
that ``tfrec --help`` costs what click costs.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from tfrec_cli import __version__
from tfrec_cli.cli.command import Group
from tfrec_cli.cli.completion import paths, splits
from tfrec_cli.dataset import names
from tfrec_cli.errors import EXIT_DATA, RunError, UsageError
from tfrec_cli.imaging import policy
from tfrec_cli.tfrecord import compression
from tfrec_cli.writing import options

if TYPE_CHECKING:
    from tfrec_cli.inspecting.tally import Summary

_UNITS = {"": 1, "B": 1, "K": 2**10, "M": 2**20, "G": 2**30}
_SAMPLES = 40


class Size(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.4
    """A number of bytes, such as 128MiB."""

    name = "size"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Accept 1000, 64K, 128MiB, 1 GB (units of 1024)."""
        match = re.fullmatch(r"(\d+)\s*([KMG]?)(iB|B)?", str(value), re.IGNORECASE)
        if not match or not int(match[1]):
            self.fail(f"found {value!r}, expected a size such as 128MiB", param, ctx)
        return int(match[1]) * _UNITS[match[2].upper()]


class Crop(click.ParamType):  # type: ignore[type-arg]  # likewise
    """A crop's size: one number for a square, or HEIGHTxWIDTH."""

    name = "crop"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        """Accept 128, "128", "128x96"."""
        match = re.fullmatch(r"(\d{1,9})(?:x(\d{1,9}))?", str(value))
        size = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if min(size) < 1:
            self.fail(f"found {value!r}, expected N or HEIGHTxWIDTH in pixels", param, ctx)
        return size


class Origin(click.ParamType):  # type: ignore[type-arg]  # likewise
    """A folder or manifest of sources, after ``SPLIT=`` where it is that of one split alone."""

    name = "origin"
    envvar_list_splitter = os.pathsep

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str | None, Path]:
        """Accept images, train=images/train, ./a=b."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(?:([A-Za-z0-9_][A-Za-z0-9_-]*)=)?(.+)", value, re.DOTALL)
        if not match:
            self.fail(f"found {value!r}, expected a folder or SPLIT=FOLDER", param, ctx)
        return match[1], Path(match[2])


def _choice(words: Any) -> click.Choice[str]:
    return click.Choice(get_args(words))


_quiet = click.option("-q", "--quiet", is_flag=True, help="No progress and no warnings.")
# eager: known before another option can be wrong
_json = click.option("--json", is_flag=True, is_eager=True, help="Print one JSON document.")
_root = click.option(
    "--root",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder that the paths of a manifest are relative to. [default: the manifest's folder]",
)
_jobs = click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1),
    metavar="N",
    help="Number of processes. [default: all processors]",
)


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
@click.option(
    "--config",
    type=click.Path(path_type=Path),
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
@click.argument(
    "source",
    metavar="SRC",
    type=click.Path(path_type=Path),
    shell_complete=paths("csv", "tsv", "jsonl"),
)
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path), shell_complete=paths())
@click.option(
    "--crop", type=Crop(), metavar="N|HxW", help="Store fixed centre crops; else whole images."
)
@click.option(
    "--encoding",
    type=_choice(policy.Encoding),
    help="How crops are stored. [default: raw, uint8 RGB rows; png with --keys tf-models]",
)
@click.option(
    "--jpeg-quality",
    type=click.IntRange(1, 100),
    default=95,
    show_default=True,
    metavar="Q",
    help="Of crops stored as JPEG, 1 to 100.",
)
@click.option(
    "--resize-short", type=click.IntRange(1), metavar="N", help="First scale the shorter side to N."
)
@click.option(
    "--split",
    metavar="NAME|NAME=SHARE,…",
    default="train",
    show_default=True,
    shell_complete=splits("out", "train", "val", "test"),
    help="Name of the split; or several with their shares, such as train=0.9,val=0.1: divided by "
    "content, class by class, copies together.",
)
@click.option(
    "--labels",
    shell_complete=paths("*", words=("auto", "none")),
    default="auto",
    show_default=True,
    metavar="auto|none|FILE",
    help="Sub-folders, or the column label, are classes; no labels; or one class a line, in this "
    "order.",
)
@_root
@click.option(
    "--keys",
    type=_choice(names.KeyStyle),
    default="plain",
    show_default=True,
    help="Feature names: image, label…, or image/encoded, image/class/label…",
)
@click.option(
    "--shards",
    type=click.IntRange(1, 99999),
    metavar="N",
    help="Number of shards. [default: by --shard-size]",
)
@click.option(
    "--shard-size", type=Size(), default="128MiB", show_default=True, help="Size of a shard, about."
)
@click.option(
    "--shuffle-seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="N",
    help="Decides the order of the records.",
)
@click.option("--no-shuffle", is_flag=True, help="Keep the order of the paths.")
@click.option(
    "--on-error",
    type=_choice(options.OnError),
    default="fail",
    show_default=True,
    help="What to do at an image that cannot be used.",
)
@click.option("--max-errors", metavar="N|P%", help="With --on-error skip, the most to skip.")
@click.option(
    "--small",
    type=_choice(options.Small),
    default="fail",
    show_default=True,
    help="What to do at an image smaller than the crop.",
)
@click.option(
    "--check",
    type=_choice(options.Check),
    default="structure",
    show_default=True,
    help="How whole images are checked; what is cropped is always decoded.",
)
@click.option(
    "--exif",
    type=_choice(policy.Exif),
    default="apply",
    show_default=True,
    help="Turn pictures upright by their EXIF orientation.",
)
@click.option(
    "--alpha",
    type=_choice(policy.Alpha),
    default="drop",
    show_default=True,
    help="At transparency: drop it, lay the picture on a colour, or refuse it.",
)
@click.option(
    "--frames",
    type=_choice(policy.Frames),
    default="first",
    show_default=True,
    help="Of an animation: take the first frame, or refuse it.",
)
@click.option(
    "--max-pixels",
    type=click.IntRange(1),
    default=178_956_970,
    show_default=True,
    metavar="N",
    help="Refuse pictures of more pixels.",
)
@click.option(
    "--compression",
    type=_choice(compression.WrittenCompression),
    default="none",
    show_default=True,
    help="Of the shards; gzip saves little, and cannot be read from the middle.",
)
@click.option(
    "--index/--no-index", default=None, help="Index files for DALI and PyTorch. [default: yes]"
)
@_jobs
@click.option("--resume", is_flag=True, help="Go on with the same write, if it was interrupted.")
@click.option("--overwrite", is_flag=True, help="Replace the split once the new one is whole.")
@click.option("--dry-run", is_flag=True, help="Only say what would be written.")
@click.option(
    "-v", "--verbose", is_flag=True, help="Name every file that is left out, and all bad lines."
)
@_quiet
@_json
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

    Sub-folders of SRC are classes. Or SRC is a manifest, a .csv, .tsv or .jsonl file with a column
    path, perhaps a column label, and others, which become features. OUT holds a finished dataset,
    or nothing new.
    """
    from tfrec_cli.commands import write as work
    from tfrec_cli.report import write as report
    from tfrec_cli.writing.options import WriteOptions

    seed = None if no_shuffle else shuffle_seed
    with _progress(quiet) as progress:
        result = work.write(source, out, WriteOptions(shuffle_seed=seed, **options), progress)
    rejects = [reject for one in [result, *result.more] for reject in one.rejects]
    notes = [*result.warnings, *(f"left out: {reject}" for reject in rejects if verbose)]
    for line in [] if quiet else notes:
        click.echo(f"tfrec: {line}", err=True)
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
@click.option(
    "--contact-sheet",
    type=click.Path(path_type=Path),
    shell_complete=paths("png"),
    help=f"Draw up to {_SAMPLES} pictures, from all over, into this PNG file.",
)
@click.option(
    "--html",
    type=click.Path(path_type=Path),
    shell_complete=paths("html"),
    help="Write one page to this file.",
)
@click.option("--crop", type=Crop(), metavar="N|HxW", help="Cut the pictures of sheet and page.")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    metavar="S",
    help="With --crop: place crops as the reader does in epoch 0; else in the middle.",
)
@_json
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

    _check_replaced(pictures["contact_sheet"], b"\x89PNG", "picture")
    _check_replaced(pictures["html"], b"<!", "page")
    found = inspect_.find(paths)
    if record is not None and records is not None:
        raise UsageError("--record: found --records too, expected one of the two")
    if record is not None or records is not None:
        from tfrec_cli.report import records as records_report

        shown = inspect_.pick(found, first=records, number=record)
        click.echo(records_report.document(shown) if json else records_report.text(shown))
        return
    result = inspect_.summarise(found)
    spec = parse_spec(result)
    text = report.text(result, spec, all_labels=labels)
    if not json:
        click.echo(text)
    _draw(found, result, spec, **pictures)
    if json:
        click.echo(report.document(result, spec))
    if result.problems:
        sys.exit(EXIT_DATA)


@main.command(needs={"epochs": ["seed"]})
@click.argument("path", metavar="[PATH]", type=click.Path(path_type=Path), default=".")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    metavar="S",
    help="Compute every record's crop in two independent ways, and print a fingerprint.",
)
@click.option(
    "--crop",
    type=Crop(),
    metavar="N|HxW",
    help="Size of those crops. [default: as stored; else 128 or the smallest side]",
)
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
    type=Origin(),
    multiple=True,
    metavar="[SPLIT=]SRC",
    help="The folder or manifest it was written from: every image must be there once, with its "
    "label, and make the same record again (with --quick only names and labels). Once for each "
    "split's folder.",
)
@_root
@click.option("--expect", metavar="FINGERPRINT", help="The fingerprint that must come out.")
@_jobs
@_quiet
@_json
def verify(path: Path, *, json: bool, quiet: bool, **options: Any) -> None:
    """Prove that a dataset is whole, and that it reads as it should. PATH: the current folder."""
    from tfrec_cli.commands import verify as work
    from tfrec_cli.report import verify as report

    with _progress(quiet) as progress:
        result = work.verify(path, work.Options(**options), progress)
    click.echo(report.document(result) if json else report.text(result))
    if result.findings:
        sys.exit(EXIT_DATA)


@main.command()
@click.argument("shard", metavar="SHARD", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--source",
    shell_complete=paths("csv", "tsv", "jsonl"),
    type=click.Path(path_type=Path),
    metavar="SRC",
    help="The images that were written, or their manifest: names what is lost.",
)
@_root
@_json
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
@click.argument(
    "dataset", metavar="DATASET", type=click.Path(path_type=Path), shell_complete=paths("*")
)
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path), shell_complete=paths())
@click.option(
    "--split",
    shell_complete=splits("dataset"),
    metavar="NAME",
    help="Only this one. [default: a folder for each]",
)
@_jobs
@_quiet
@_json
def extract(dataset: Path, out: Path, *, json: bool, quiet: bool, **options: Any) -> None:
    """Write the images of DATASET as files below the new folder OUT, under their old names.

    What write left as it was comes back byte for byte; other images as they are stored, raw crops
    as PNG. DATASET may be anyone's record files.
    """
    from tfrec_cli.commands import extract as work
    from tfrec_cli.report import extract as report

    with _progress(quiet) as progress:
        result = work.extract(dataset, out, work.Options(**options), progress)
    for line in [] if quiet else result.warnings:
        click.echo(f"tfrec: {line}", err=True)
    click.echo(report.document(result) if json else report.text(result))


@main.command(short_help="Copy a dataset into another number of shards.")
@click.argument(
    "dataset", metavar="DATASET", type=click.Path(path_type=Path), shell_complete=paths()
)
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path), shell_complete=paths())
@click.option(
    "--split",
    shell_complete=splits("dataset"),
    metavar="NAME",
    help="Only this one. [default: all]",
)
@click.option(
    "--shards", type=click.IntRange(1, 99999), metavar="N", help="Number of shards of each split."
)
@click.option("--shard-size", type=Size(), help="Or their size, about, such as 128MiB.")
@click.option(
    "--index/--no-index",
    default=None,
    help="Index files for DALI and PyTorch. [default: as DATASET has them]",
)
@_jobs
@_quiet
@_json
def reshard(dataset: Path, out: Path, *, json: bool, quiet: bool, **options: Any) -> None:
    """Copy DATASET into the new folder OUT, in another number of shards.

    The same records in the same order, byte for byte, and the files that `write --shards N` makes.
    """
    from tfrec_cli.commands import reshard as work
    from tfrec_cli.report import reshard as report

    with _progress(quiet) as progress:
        result = work.reshard(dataset, out, work.Options(**options), progress)
    click.echo(report.document(result) if json else report.text(result))


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
    from tfrec_cli.runtime.files import atomic_file

    needed = contact_sheet or result.names
    pictures = samples(paths, result, _SAMPLES, crop, seed) if needed else []
    if contact_sheet:
        with atomic_file(contact_sheet) as file:
            page.contact_sheet(pictures).save(file, "PNG")
    if html:
        content = page.html_page(result, spec, pictures).encode()
        with atomic_file(html) as file:
            file.write(content)


def _check_replaced(path: Path | None, first: bytes, kind: str) -> None:
    """Refuse to write over a file that is not of the kind that is written."""
    if path and path.is_file() and path.stat().st_size:
        with path.open("rb") as file:
            if file.read(len(first)) != first:
                raise RunError(f"{path}: found a file that is no {kind}, expected none, or one")


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Show progress as a bar on a terminal, and nowhere else."""
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield lambda *_: None
        return
    from tqdm import tqdm

    form = "{desc}{n_fmt}/{total_fmt} |{bar}| {elapsed}<{remaining}"
    with tqdm(total=1, leave=False, file=sys.stderr, bar_format=form, delay=0.01) as bar:

        def show(what: str, done: int, total: int) -> None:
            bar.set_description(what, refresh=False)
            bar.total = total
            bar.n = done
            bar.refresh()

        yield show
