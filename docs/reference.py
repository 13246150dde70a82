"""What cog writes into cli.md and json.md: every command and option, every schema.

Knows: click's tree of commands, JSON Schema. Must not know: any command or option by name.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from tfrec_cli.cli import command
from tfrec_cli.cli import main as cli
from tfrec_cli.dataset import manifest
from tfrec_cli.dataset import schema as types
from tfrec_cli.dataset.manifest import Manifest

SCHEMAS = Path(__file__).parent / "schema"
_ENVELOPE = ("format", "format_version", "ok")
_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_MANIFEST_TITLE = (
    "The manifest of a split (SPLIT.manifest.json). Inside other documents it has no format and no "
    "format_version."
)
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


def manifest_schema() -> dict[str, Any]:
    """Make the schema of the manifest of the types that it is read by."""
    made = msgspec.json.schema(types.typed(Manifest))

    def inlined(value: Any) -> Any:
        if isinstance(value, list):
            return [inlined(one) for one in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            name = value.pop("$ref").removeprefix("#/$defs/")
            value = {**made["$defs"][name], **value}
            del value["title"]
        value.pop("default", None)
        value = {key: inlined(one) for key, one in value.items()}
        return {**value, "additionalProperties": False} if "properties" in value else value

    schema = inlined({"$ref": made["$ref"]})
    del schema["description"], schema["properties"]["unknown"]
    del schema["properties"]["columns"]["minItems"]  # documents have columns in any case
    schema["properties"] = {
        "format": {"const": manifest.FORMAT},
        "format_version": {"const": manifest.FORMAT_VERSION},
        **schema["properties"],
    }
    return {"$schema": _DRAFT, "title": _MANIFEST_TITLE, **schema}


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
        for kind in (one, *one.get("anyOf", ())):
            rows += _fields(kind, f"{before}{name}.")
            rows += _fields(kind.get("items") or {}, f"{before}{name}[].")
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
    if "prefixItems" in schema:
        return f"array of {_type(schema['prefixItems'][0])}"
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    words = {"array": f"array of {_type(schema['items'])}"} if "array" in kinds else {}
    return " or ".join(words.get(kind, kind) for kind in kinds)


def main() -> int:
    """Write the schema of the manifest, or with ``--check`` tell whether it is as written."""
    path, data = SCHEMAS / "manifest.schema.json", json.dumps(manifest_schema(), indent=2) + "\n"
    if sys.argv[1:] != ["--check"]:
        path.write_text(data)
    elif path.read_text() != data:
        print(f"{path}: found another schema, expected that of the types: make docs writes it")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
