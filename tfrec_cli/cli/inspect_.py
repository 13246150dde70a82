"""The options of ``tfrec inspect``, what it calls and what it prints."""

from __future__ import annotations

import sys
from typing import Any

import click

from tfrec_cli.cli import params, progress
from tfrec_cli.cli.command import Command
from tfrec_cli.cli.completion import paths, splits
from tfrec_cli.errors import EXIT_DATA, UsageError


@click.command(
    cls=Command,
    needs={"crop": ["contact_sheet", "html"], "seed": ["crop"]},
    excludes={
        **{name: ["record", "records"] for name in ("contact_sheet", "html", "labels")},
        "code": ["record", "records", "labels", "json", "contact_sheet", "html"],
    },
    groups={
        "What is shown": ["split", "records", "record", "labels", "code", "json", "color"],
        "Pictures": ["contact_sheet", "html", "crop", "seed"],
    },
    examples=["out", "out --record 0", "out --contact-sheet sheet.png"],
)
@params.path_argument(
    "paths",
    type=params.LocalPath(as_text=True),
    metavar="PATH...",
    nargs=-1,
    required=True,
    shell_complete=paths("*"),
)
@click.option(
    "--split",
    shell_complete=splits("paths"),
    metavar="NAME",
    help="Show only the files of this split. [default: all]",
)
@click.option("--records", type=click.IntRange(0), metavar="N", help="Show the first N records.")
@click.option(
    "--record", type=click.IntRange(0), metavar="K", help="Show record K, counted from 0."
)
@click.option("--labels", is_flag=True, help="List every label.")
@click.option(
    "--code", is_flag=True, help="Print only Python code that parses the records with TensorFlow."
)
@params.path_option(
    "--contact-sheet",
    shell_complete=paths("png", "jpg", "jpeg", "webp"),
    help="Draw up to 40 images, taken from all parts of the files, into this .png, .jpg or .webp "
    "file.",
)
@params.path_option(
    "--html",
    shell_complete=paths("html"),
    help="Write the result, with images, to this file as an HTML page.",
)
@params.crop(help="Crop the images of --contact-sheet and --html to this size.")
@params.seed(
    help="With --crop: show the crops that a reader with this seed cuts in epoch 0, instead of "
    "centre crops."
)
@params.json
def inspect(
    paths: tuple[str, ...],
    *,
    split: str | None,
    records: int | None,
    record: int | None,
    labels: bool,
    code: bool,
    json: bool,
    **pictures: Any,
) -> None:
    """Show what TFRecord files contain. Files of other programs work too.

    PATH is a record file, a folder of record files, or a glob pattern. Manifests, index files and
    other files of a dataset that hold no records are skipped.
    """
    from tfrec_cli.commands import inspect_
    from tfrec_cli.inspecting.spec import parse_spec, program
    from tfrec_cli.report import inspect_ as report

    if pictures["contact_sheet"] or pictures["html"]:
        from tfrec_cli.report import page

        page.check_replaceable(pictures["contact_sheet"], pictures["html"])
    files, skipped = inspect_.find(paths, split)
    progress.warn(report.notes(skipped))
    if record is not None and records is not None:
        raise UsageError("`record`: cannot be used with `records`")
    if record is not None or records is not None:
        from tfrec_cli.report import records as records_report

        shown = inspect_.pick(files, first=records, number=record)
        click.echo(records_report.document(shown) if json else records_report.text(shown))
        return
    result = inspect_.summarise(files, skipped)
    if code:
        click.echo(program(result))
        return
    drawn = []
    if pictures["contact_sheet"] or pictures["html"]:
        drawn = page.draw(files, result, **pictures)
    if json:
        click.echo(report.document(result, parse_spec(result)))
    else:
        click.echo("\n".join([report.text(result, all_labels=labels), *drawn]))
    if not result.ok:
        sys.exit(EXIT_DATA)
