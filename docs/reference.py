"""What cog writes into cli.md and json.md: every command and option, every schema.

Knows: click's tree of commands, JSON Schema. Must not know: any command or option by name.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click

from tfrec_cli.cli import command
from tfrec_cli.cli import main as cli

SCHEMAS = Path(__file__).parent / "schema"
_ENVELOPE = ("format", "format_version", "ok")
_DEFAULT = re.compile(r" ?\[default: ([^]]+)\]")


def commands() -> str:
    """Return a section for the program and for each command, with a table of its options."""
    with cli.main.make_context("tfrec", [], resilient_parsing=True) as root:
        sections = [_section(root)]
        for name, one in sorted(cli.main.commands.items()):
            sections.append(_section(click.Context(one, parent=root, info_name=name)))
    return "\n".join(sections)


def schemas() -> str:
    """Return a section for each schema, with a table of its fields."""
    sections = []
    for path in sorted(SCHEMAS.glob("*.schema.json")):
        schema = json.loads(path.read_text())
        for name in _ENVELOPE:
            schema["properties"].pop(name, None)
        rows = "\n".join(_fields(schema, ""))
        sections.append(
            f"## tfrec-{path.name.split('.')[0]}\n\n[{path.name}](schema/{path.name}): "
            f"{schema['title']}\n\n| field | type | meaning |\n|---|---|---|\n{rows}\n"
        )
    return "\n".join(sections)


def _section(ctx: click.Context) -> str:
    usage = " ".join([ctx.command_path, *ctx.command.collect_usage_pieces(ctx)])
    text = " ".join((ctx.command.help or "").split())
    options = [one for one in ctx.command.params if isinstance(one, click.Option)]
    rows = "\n".join(_row(ctx, one) for one in options)
    return (
        f"## {ctx.command_path}\n\n`{usage}`\n\n{text}\n\n"
        "| option | variable | key in the file | default | meaning |\n|---|---|---|---|---|\n"
        f"{rows}\n"
    )


def _row(ctx: click.Context, option: click.Option) -> str:
    names = " ".join([", ".join(option.opts), *(f"/ {one}" for one in option.secondary_opts)])
    takes = "" if option.is_flag else option.make_metavar(ctx)
    if isinstance(option.type, click.Choice):
        takes = takes.strip("[]")
    extra = option.get_help_extra(ctx)
    text = option.help or ""
    told = _DEFAULT.search(text)
    default = (
        told[1]
        if told
        else extra.get("default", "off" if option.expose_value and option.is_flag else "")
    )
    meaning = _DEFAULT.sub("", text)
    if isinstance(option.type, click.IntRange):
        most = "or more" if option.type.max is None else f"to {option.type.max}"
        meaning += f" {takes}: {option.type.min} {most}."
    key = max(option.opts, key=len).removeprefix("--")
    is_set = option.allow_from_autoenv
    cells: tuple[str, ...] = (
        f"`{f'{names} {takes}'.strip()}`",
        f"`{command.variable(ctx, option.name or '')}`" if is_set else "",
        f"`{key}`" if is_set and ctx.parent else "",
        str(default),
        meaning,
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _fields(schema: dict[str, Any], before: str) -> list[str]:
    """Return a row for each field: those in lists as ``findings[].kind``, of maps as ``x.*``."""
    rows = []
    for name, one in schema.get("properties", {}).items():
        rows.append(f"| `{before}{name}` | {_type(one)} | {one['description']} |")
        rows += _fields(one, f"{before}{name}.")
        rows += _fields(one.get("items", {}), f"{before}{name}[].")
        others = one.get("additionalProperties")
        rows += _fields(others if isinstance(others, dict) else {}, f"{before}{name}.*.")
    return rows


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].split(".")[0]
        return f"[{name}](#tfrec-{name})"
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(word)}`" for word in schema["enum"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    words = {"array": f"array of {_type(schema['items'])}"} if "array" in kinds else {}
    return " or ".join(words.get(kind, kind) for kind in kinds)
