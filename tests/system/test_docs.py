"""The README: what it shows is what happens, what it lists is all there is."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from tfrec_cli.cli import main as cli
from tfrec_cli.commands.write import write
from tfrec_cli.dataset.manifest import Manifest, Shard
from tfrec_cli.writing.options import WriteOptions as Options

README = (ROOT / "README.md").read_text(encoding="utf-8")


def examples() -> list[tuple[str, str]]:
    """Return each command shown with a dollar sign, and what it is shown to print."""
    blocks = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    blocks = [block for block in blocks if "^C" not in block]  # that takes two hands
    return [tuple(block.removeprefix("$ ").split("\n", 1)) for block in blocks]  # type: ignore[misc]


def test_every_example_prints_what_is_shown(tmp_path: Path) -> None:
    """An ellipsis stands for anything on a line, spaces for any number of them."""
    (tmp_path / "sample_data").symlink_to(ROOT / "sample_data")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    assert len(examples()) == 5
    for command, shown in examples():
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env={**os.environ, "PATH": path},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        pattern = re.sub(r"(\\ )+", " +", re.escape(shown)).replace("…", ".*")
        assert re.fullmatch(pattern, done.stdout), done.stdout


@pytest.mark.parametrize("reader", ["read_tf", "read_torch", "read_numpy", "grain"])
def test_the_examples_of_readers_run(tmp_path: Path, reader: str) -> None:
    """As the first program of somebody who has stored crops of 128 pixels in out/."""
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    programs = [
        block
        for block in blocks
        if re.search(rf"^(import|from .* import) {reader}$", block, re.MULTILINE)
    ]
    write(
        ROOT / "sample_data/images",
        tmp_path / "out",
        Options(crop=(128, 128), small="skip", jobs=1),
    )
    assert programs
    for program in programs:
        words = [sys.executable, "-c", program]
        assert (
            subprocess.run(
                words, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
            ).returncode
            == 0
        )


@pytest.mark.parametrize(
    "name",
    [
        field.name
        for kind in (Manifest, Shard)
        for field in dataclasses.fields(kind)
        if field.name != "unknown"
    ],
)
def test_every_manifest_field_is_explained(name: str) -> None:
    assert f"`{name}`" in README.split("### Manifest fields")[1].split("## Exit codes")[0]


def test_every_option_has_its_help() -> None:
    for command in [cli.main, *cli.main.commands.values()]:
        for param in command.params:
            for option in [*param.opts, *param.secondary_opts]:
                if param.param_type_name == "option":
                    assert option in README, f"{command.name} {option}"


def test_every_command_and_option_is_in_its_place_in_the_reference() -> None:
    sections = re.split(r"^## ", (ROOT / "docs/cli.md").read_text(encoding="utf-8"), flags=re.M)
    by_title = {section.split("\n")[0]: section for section in sections}
    for name, command in [("", cli.main), *cli.main.commands.items()]:
        section = by_title[f"tfrec {name}".rstrip()]
        for param in command.params:
            assert param.name
            variable = f"`{'_'.join(filter(None, ('TFREC', name, param.name))).upper()}`"
            row = [line for line in section.splitlines() if variable in line]
            if param.param_type_name == "argument":
                assert str(param.metavar).strip("[].") in section
            elif param.name != "version":
                assert all(option in row[0] for option in param.opts + param.secondary_opts)
                assert len(row) == 1


@pytest.mark.parametrize("code", [0, 1, 2, 3, 70, 130, 143, 141])
def test_every_exit_code_is_in_the_reference(code: int) -> None:
    table = (ROOT / "docs/cli.md").read_text(encoding="utf-8").split("## Exit codes")[1]
    assert re.search(rf"^\| .*\b{code}\b.* \|", table.split("## ")[0], re.MULTILINE)


def test_every_schema_is_described() -> None:
    text = (ROOT / "docs/json.md").read_text(encoding="utf-8")
    for path in (ROOT / "docs/schema").iterdir():
        assert f"(schema/{path.name})" in text
