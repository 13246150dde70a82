"""What cog writes into architecture.md: the layers as a picture, and every module in one line.

Knows: the contracts in pyproject.toml, docstrings. Must not know: any package or module by name.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "tfrec_cli"
_WIDTH = 78


def picture() -> str:
    """Draw the layers of the first contract as boxes, the highest on top."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    rule = "+" + "-" * (_WIDTH - 2) + "+"
    lines = [rule]
    for layer in layers:
        names = [name.strip() for name in layer.replace(":", "|").split("|")]
        label = "   ".join(name + ("/" if (PACKAGE / name).is_dir() else "") for name in names)
        lines += [f"| {label:<{_WIDTH - 4}} |", rule]
    return "```text\n" + "\n".join(lines) + "\n```\n"


def modules() -> str:
    """List every module with the first line of its docstring, a table for each package."""
    folders = sorted(path.parent for path in PACKAGE.glob("*/__init__.py"))
    rows = ["| module | holds |", "|---|---|"]
    for folder in [PACKAGE, *folders]:
        name = "" if folder == PACKAGE else f"{folder.name}/"
        title = "public" if folder == PACKAGE else _summary(folder / "__init__.py")
        rows.append(f"| **{name or 'top level'}** | **{title}** |")
        paths = [path for path in sorted(folder.glob("*.py")) if path.name != "__init__.py"]
        rows += [f"| {name}{path.stem} | {_summary(path)} |" for path in paths]
    return "\n".join(rows) + "\n"


def _summary(path: Path) -> str:
    """Return the first line of a module's docstring."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0].replace("|", "\\|")
