"""The program and the list of its commands, each in a module that is loaded when it is called.

Knows: click. Must not know: options of commands. Imports little, so that ``tfrec --help`` takes
little more time than the import of click.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tfrec_cli import __version__
from tfrec_cli.cli.command import Group, Listed
from tfrec_cli.cli.completion import paths

if TYPE_CHECKING:
    from pathlib import Path

_DOES = {
    "write": "`tfrec write SRC OUT` writes images as a dataset",
    "divide": "`tfrec write SRC OUT --split train=80,val=20` divides images among splits; `tfrec "
    "reshard DATASET OUT --shards N` divides a dataset among shards",
    "inspect": "`tfrec inspect PATH` shows what record files contain",
    "verify": "`tfrec verify PATH` checks a dataset, and `tfrec check SRC` images",
    "salvage": "`tfrec salvage SHARD OUT` saves the intact records of a damaged file",
    "extract": "`tfrec extract DATASET OUT` writes the images of a dataset as files",
    "part": "`tfrec reshard DATASET OUT` copies a part of a dataset: --where label=cat the records "
    "of a class, --limit N the first ones",
    "merge": "`tfrec merge DATASET DATASET OUT` makes one dataset of several",
}
_WORDS = {
    "write": "build convert create encode import make pack",
    "divide": "split",
    "inspect": "cat count describe dump head info list ls show stats view",
    "verify": "lint test validate",
    "salvage": "fix recover repair",
    "extract": "decode export unpack",
    "part": "filter sample select subset take",
    "merge": "combine concat join",
}
_ELSEWHERE = {word: _DOES[what] for what, words in _WORDS.items() for word in words.split()}
"""Names that other programs give to what a command does, each with that command."""


def _as_path(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Path | None:
    if value is None:
        return None
    from tfrec_cli.runtime import values

    return values.path("config", value)


@click.group(
    cls=Group,
    listed=[
        Listed("write", short_help="Write the images of SRC to the dataset OUT."),
        Listed("check", help="Check the images of SRC as `write` does, and write nothing."),
        Listed("inspect", "inspect_", short_help="Show what TFRecord files contain."),
        Listed("verify", help="Check that a dataset is complete and intact."),
        Listed(
            "salvage",
            short_help="Write every intact record of the damaged SHARD to a new file.",
        ),
        Listed(
            "extract",
            help="Write the images of DATASET as files into the new folder OUT.",
        ),
        Listed("reshard", short_help="Copy a dataset, or a part of it, with other shards."),
        Listed("merge", short_help="Copy two or more datasets into one."),
    ],
    elsewhere=_ELSEWHERE,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "TFREC",
        "max_content_width": 100,
    },
)
@click.version_option(
    __version__,
    "-V",
    "--version",
    prog_name="tfrec",
    allow_from_autoenv=False,  # a user may have set TFREC_VERSION for something else
)
@click.option(
    "--config",
    type=click.Path(),
    callback=_as_path,
    shell_complete=paths("toml"),
    is_eager=True,
    help="TOML file with a table for each command; its keys are the names of options.",
)
@click.pass_context
def main(ctx: click.Context, config: Path | None) -> None:
    """Write image folders as TFRecord shards, check them, and turn them back into files.

    "tfrec help write" explains a command. Environment variables can set every option except --help
    and --version: TFREC_WRITE_CROP is --crop of write.

    For completion in bash, run: eval "$(_TFREC_COMPLETE=bash_source tfrec)". For zsh and
    fish, see the page "Command line" of the documentation.
    """
    if config:
        from tfrec_cli.cli.config import load

        ctx.default_map = load(config, main)
