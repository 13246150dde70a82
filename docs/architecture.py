"""What cog writes into architecture.md: the layers as a picture, with every module in one line.

Knows: the contracts in pyproject.toml, docstrings. Must not know: any package or module by name.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "tfrec_cli"
_APART = "nothing here knows of images"
"""What the docstring of a package says whose modules are only named."""

_COMMAND = re.compile(r"(?<=``tfrec )\w+")


def picture() -> str:
    """Draw the layers of the first contract, the highest on top, and what each holds."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    lines = [
        line
        for height, layer in zip(range(len(layers), 0, -1), layers, strict=True)
        for line in _layer(height, layer)
    ]
    return "```text\n" + "\n".join(lines) + "\n```\n"


def _layer(height: int, layer: str) -> Iterator[str]:
    """Draw one layer: its siblings, and the modules in each of them.

    Modules whose lines differ only in the command that they name are drawn as one. Those of
    packages that know nothing of images are only named.
    """
    for number, name in enumerate(sorted(layer.replace("|", " ").split())):
        mark = "  " if number else f"{height:2}"
        folder = PACKAGE / name
        if folder.is_dir():
            yield f"{mark} {name + '/':<20} {_summary(folder / '__init__.py')}"
            alike: dict[str, list[Path]] = {}
            paths = sorted(folder.glob("[!_]*.py"))
            if _APART in _summary(folder / "__init__.py"):
                yield f"       {' '.join(path.stem for path in paths)}"
                continue
            for path in paths:
                alike.setdefault(_COMMAND.sub("…", _summary(path)), []).append(path)
            for summary, several in alike.items():
                names = " ".join(path.stem for path in several)
                if len(several) == 1:
                    yield f"       {names:<16} {_summary(several[0])}"
                else:
                    yield f"       {names}: {summary}"
        else:
            yield f"{mark} {name:<20} {_summary(folder.with_suffix('.py'))}"


def _summary(path: Path) -> str:
    """Return the first line of a module's docstring."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]
