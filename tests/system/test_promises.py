"""docs/promises.md: each promise has a test that carries its id, and a command that checks it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pages
import pytest
from conftest import ROOT

PAGE = ROOT / "docs/promises.md"
IDS = [*(f"P{number}" for number in range(1, 9)), *(f"I{number}" for number in range(1, 5))]
SECTIONS = dict(
    re.findall(r"^### (\w+): (.*?)(?=^##|\Z)", PAGE.read_text(), re.DOTALL | re.MULTILINE)
)


def marked() -> Iterator[str]:
    """Iterate the ids that tests and their classes carry."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                assert node.name.startswith(("test_", "Test")) or not list(ids_of(node))
                yield from ids_of(node)


def ids_of(node: ast.FunctionDef | ast.ClassDef) -> Iterator[str]:
    for call in node.decorator_list:
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.promise":
            yield from map(ast.literal_eval, call.args)


def test_the_page_names_exactly_these_promises() -> None:
    assert list(SECTIONS) == IDS


def test_tests_carry_exactly_these_ids() -> None:
    assert set(marked()) == set(IDS)


@pytest.mark.parametrize("name", IDS)
def test_a_promise_has_a_command_that_checks_it(name: str) -> None:
    assert re.search(r"^```(sh|console)$", SECTIONS[name], re.MULTILINE)


def test_every_command_runs_unless_it_takes_too_long() -> None:
    assert [one.text for one in pages.blocks(PAGE) if not one.is_run] == [
        "make interop\n",
        "make torture\n",
    ]
