"""params: options that are made from the fields of WriteOptions."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import click
import pytest

from tfrec_cli.cli import main as cli
from tfrec_cli.writing.options import WriteOptions

WRITE = {param.name: param for param in cli.main.commands["write"].params}
FIELDS = [field for field in fields(WriteOptions) if field.name in WRITE]


def values_of_nothing_typed(command: str) -> dict[str, Any]:
    with cli.main.make_context("tfrec", [], resilient_parsing=True) as group:
        return cli.main.commands[command].make_context(command, ["a", "b"], parent=group).params


def test_every_field_is_an_option() -> None:
    assert [field.name for field in fields(WriteOptions) if field.name not in WRITE] == []


def test_the_default_of_an_option_is_that_of_its_field() -> None:
    values = values_of_nothing_typed("write")
    assert {field.name: values[field.name] for field in FIELDS} == {
        field.name: field.default for field in FIELDS
    }


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_the_range_of_an_option_is_that_of_its_field(field: Any) -> None:
    kind = WRITE[field.name].type
    if isinstance(kind, click.IntRange):
        limits = field.metadata["range"]
        assert (kind.min, kind.max or limits.most) == (limits.least, limits.most)
        assert kind.max is not None or limits.most >= 2**32
    elif isinstance(kind, click.Choice):
        assert kind.choices == field.metadata["words"]
    else:
        assert "words" not in field.metadata
        assert field.name in {"crop", "shard_size"} or "range" not in field.metadata


@pytest.mark.parametrize("name", ["jobs", "shards", "shard_size"])
def test_a_shared_option_has_the_same_type_in_every_command(name: str) -> None:
    types = [
        param.type.to_info_dict()
        for command in cli.main.commands.values()
        for param in command.params
        if param.name == name
    ]
    assert len(types) > 1
    assert types == [types[0]] * len(types)
