"""The program and the list of its commands, each in a module that is loaded when it is called.

Knows: click. Must not know: options of commands. Imports next to nothing, so that ``tfrec --help``
costs what click costs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tfrec_cli import __version__
from tfrec_cli.cli.command import Group, Listed
from tfrec_cli.cli.completion import paths

if TYPE_CHECKING:
    from pathlib import Path


def _as_path(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Path | None:
    from pathlib import Path

    return None if value is None else Path(value)


@click.group(
    cls=Group,
    listed=[
        Listed(
            "write",
            help="Write the images below SRC as one split of the dataset in OUT, or as several.",
        ),
        Listed("inspect", "inspect_", short_help="Show what is in any TFRecord files."),
        Listed("verify", help="Prove that a dataset is whole, and that it reads as it should."),
        Listed(
            "salvage",
            help="Write every whole record of the damaged SHARD to the new record file OUT.",
        ),
        Listed(
            "extract",
            help="Write the images of DATASET as files below the new folder OUT, under their old "
            "names.",
        ),
        Listed("reshard", short_help="Copy a dataset into another number of shards."),
    ],
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
    type=click.Path(),
    callback=_as_path,
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
