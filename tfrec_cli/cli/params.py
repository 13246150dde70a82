"""Types of values, shared options, and options made from the fields of `WriteOptions`.

Knows: click, and the fields of `WriteOptions`, which own defaults, ranges and words. Must not know:
what options do.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import Field
from pathlib import Path
from typing import Any

import click

from tfrec_cli.cli.command import Word
from tfrec_cli.runtime import values
from tfrec_cli.seeds import SEED_LIMIT

_MOST_SHOWN = 2**32
"""Help shows no larger limits: these come from how a number is stored."""

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class OneOf(click.Choice[int]):
    """One of a few numbers."""

    name = "integer choice"


class Size(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.4
    """A number of bytes, such as 128MiB."""

    name = "size"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Accept 1000, 64K, 128MiB, 1 GB (units of 1024)."""
        del ctx
        return values.size_bytes(getattr(param, "name", self.name), value)


class Crop(click.ParamType):  # type: ignore[type-arg]  # likewise
    """A crop's size: one number for a square, or HEIGHTxWIDTH."""

    name = "crop"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        """Accept 128, "128", "128x96"."""
        del ctx
        return values.crop(getattr(param, "name", self.name), value)


class LocalPath(click.Path):
    """A file or folder; never a URL.

    Args:
        as_text: values stay as they were typed.
    """

    def __init__(self, *, as_text: bool = False) -> None:
        super().__init__(path_type=Path)
        self._as_text = as_text

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Accept any path that is not a URL."""
        del ctx
        path = values.path(getattr(param, "name", self.name), value)
        return value if self._as_text else path


class Origin(click.ParamType):  # type: ignore[type-arg]  # likewise
    """A folder or image list, after ``SPLIT=`` if it is the source of one split only."""

    name = "origin"
    envvar_list_splitter = os.pathsep

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str | None, Path]:
        """Accept images, train=images/train, ./a=b."""
        if isinstance(value, tuple):
            return value
        del ctx
        match = re.fullmatch(r"(?:([A-Za-z0-9_][A-Za-z0-9_-]*)=)?(.*)", value, re.DOTALL)
        assert match
        return match[1], values.path(getattr(param, "name", self.name), match[2])


class Condition(click.ParamType):  # type: ignore[type-arg]  # likewise
    """A condition on a feature, such as label=cat,dog, which may contain spaces."""

    name = "text"
    envvar_list_splitter = os.pathsep

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Accept any text; what it means depends on the dataset."""
        del param, ctx
        return str(value)


def field_option(name: str, *letters: str, **settings: Any) -> Decorator:
    """Make the option of a field of `WriteOptions`, with the field's default, range and words.

    Args:
        letters: short names, such as ``-j``.
        settings: arguments for click, such as ``help``; they replace those from the field.
    """
    field = _field(name)
    default, metadata = field.default, field.metadata
    made: dict[str, Any] = {"default": default, "show_default": default is not None}
    if isinstance(default, bool):
        made = {"is_flag": True}
    elif "words" in metadata:
        words = metadata["words"]
        made["type"] = Word(words) if isinstance(words[0], str) else OneOf(words)
    elif "range" in metadata:
        least, most = metadata["range"].least, metadata["range"].most
        number = click.IntRange(least, most if most < _MOST_SHOWN else None)
        made |= {"type": number, "metavar": "N"}
    return click.option(*letters, f"--{name.replace('_', '-')}", **{**made, **settings})


def _field(name: str) -> Field[Any]:
    """Return a field of `WriteOptions`, which only those load that have such options."""
    from tfrec_cli.writing.options import WriteOptions

    return WriteOptions.__dataclass_fields__[name]


def path_option(name: str, **settings: Any) -> Decorator:
    """Make an option that names a file or folder."""
    return click.option(name, type=LocalPath(), **settings)


def path_argument(name: str, **settings: Any) -> Decorator:
    """Make an argument that names a file or folder."""
    return click.argument(name, **{"type": LocalPath(), **settings})


def one_source(sources: Sequence[str]) -> str:
    """Return the message about several sources, which names the folder above all of them."""
    above = {os.path.dirname(os.path.abspath(source)) for source in sources}
    folder = os.path.dirname(sources[0].rstrip("/")) or "."
    todo = f"the folder above them ({folder})" if len(above) == 1 else "a folder that holds them"
    return f"SRC: found {len(sources)} sources, expected one: give {todo}"


quiet = click.option("-q", "--quiet", is_flag=True, help="Print no progress and no warnings.")
# eager: parsed first, so that an error in another option is a document too
json = click.option(
    "--json", is_flag=True, is_eager=True, help="Print the result as one JSON document."
)
root = path_option(
    "--root",
    metavar="DIR",
    help="Folder that the paths of an image list are relative to. [default: the list's folder]",
)
jobs = click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, values.MAX_JOBS),
    metavar="N",
    help="Number of processes. [default: all processors]",
)
where = click.option(
    "--where",
    type=Condition(),
    multiple=True,
    metavar="FEATURE=VALUE,…",
    help="Copy only records with this label, or another integer or text: label=cat,dog takes both "
    "classes. Give it again for another feature.",
)
limit = click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help="Copy only the first N records of each new split, after --where.",
)


def crop(**settings: Any) -> Decorator:
    """Make the option of a crop's size."""
    return click.option("--crop", type=Crop(), metavar="N|HxW", **settings)


def seed(**settings: Any) -> Decorator:
    """Make the option of the seed that crops are drawn from."""
    return click.option("--seed", type=click.IntRange(0, SEED_LIMIT - 1), metavar="S", **settings)


SHARD_SIZE = "Approximate size of a shard, such as 64K, 100MB or 1GiB; without a unit, in bytes."
"""The help of the option; K, M and G are units of 1024."""


def shard_size(text: str, *, when: str | None = None) -> Decorator:
    """Make the option of a shard's size; help shows its default as ``128MiB``.

    Args:
        text: the help.
        when: in which cases the default counts, in words; then the option's own default is None.
    """
    owned: Any = _field("shard_size").default
    default = values.spell_size(owned)
    settings: dict[str, Any] = {"default": default, "help": text}
    if when is not None:
        settings = {"default": None, "help": f"{text} [default: {default}, {when}]"}
    return field_option("shard_size", type=Size(), metavar=None, **settings)


def index(*, default: str) -> Decorator:
    """Make the option of index files; ``default`` says in words when they are written."""
    return click.option(
        "--index/--no-index",
        default=None,
        help=f"Whether to write index files for DALI and PyTorch. [default: {default}]",
    )
