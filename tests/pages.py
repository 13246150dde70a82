"""Runs pages of documentation: their code blocks, from top to bottom in one folder.

``python tests/pages.py PAGE`` runs a page in the current folder, which must hold the files that the
page needs. Python blocks share their names. A comment above a block, ``<!-- example: … -->``, says
what is special about it:

* ``not run, because …``: only its syntax is checked;
* ``needs MODULE, …``: not run if that module is missing;
* ``in a process of its own``: a Python block that shares no names.

Blocks by language: ``sh`` and ``python`` are run; ``console`` is run and must print what is shown;
``…`` stands for any part of a line or, as a line, for any lines. A block with a title becomes a
file.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FENCE = re.compile(
    r"^(?:<!-- example: (?P<note>[^\n]*?) -->\n)?"
    r"```(?P<language>\w*)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One code block: the number of its first line, its fence, and the comment above it."""

    line: int
    language: str
    title: str
    note: str
    text: str

    @property
    def is_run(self) -> bool:
        """Whether it can be run here."""
        needed = re.match(r"needs ([\w.]+)", self.note)
        if needed:
            return _is_installed(needed[1])
        return not self.note.startswith("not run, because")


def blocks(page: Path) -> list[Block]:
    """Return the code blocks of a page."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            line=text.count("\n", 0, match.start("text")) + 1,
            language=match["language"],
            title=match["title"] or "",
            note=match["note"] or "",
            text=match["text"],
        )
        for match in _FENCE.finditer(text)
    ]


def commands(block: Block) -> Iterator[tuple[str, str]]:
    """Iterate the commands of a console block, each with the output shown."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


def pattern(shown: str) -> str:
    """Return a regular expression for the output shown, in which "…" matches anything."""
    lines = []
    for line in shown.splitlines():
        escaped = re.sub(r"(\\ )+", " +", re.escape(line)).replace("…", ".*")
        lines.append(r"(?:.*\n)*?" if line == "…" else f"{escaped}\n")
    return "".join(lines)


def run(page: Path) -> None:
    """Run a page in the current folder.

    Raises:
        Exception: whatever a block raises, with its page and line.
    """
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks(page):
        if not block.is_run:
            continue
        try:
            _run(block, names)
        except (Exception, SystemExit) as error:
            raise RuntimeError(f"{page}: line {block.line}: {error}") from error


def _run(block: Block, names: dict[str, Any]) -> None:
    if block.title:
        Path(block.title).write_text(block.text, encoding="utf-8")
    elif block.language == "sh":
        _shell(block.text)
    elif block.language == "console":
        for command, shown in commands(block):
            printed = _shell(command)
            if not re.fullmatch(pattern(shown), printed):
                raise AssertionError(f"{command}\nprinted:\n{printed}\nshown:\n{shown}")
    elif block.language == "python" and "in a process of its own" in block.note:
        subprocess.run([sys.executable, "-c", block.text], check=True)
    elif block.language == "python":
        exec(compile(block.text, f"<line {block.line}>", "exec"), names)


def _shell(text: str) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise AssertionError(f"exit code {done.returncode}:\n{text}\n{done.stdout}")
    return done.stdout


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


if __name__ == "__main__":
    run(Path(sys.argv[1]))
