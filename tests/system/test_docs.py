"""README and docs: every example runs and prints what is shown; lists are complete."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import pages
import pytest
from conftest import ROOT
from pages import Block
from PIL import Image

from tfrec_cli import errors
from tfrec_cli.checking.finding import Kind
from tfrec_cli.cli import main as cli
from tfrec_cli.tfrecord.scan import DamageKind

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGES = ["README.md", *sorted(str(one.relative_to(ROOT)) for one in (ROOT / "docs").rglob("*.md"))]
TEXTS = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}
README = TEXTS["README.md"]
BLOCKS = {page: pages.blocks(ROOT / page) for page in PAGES}
TROUBLE = TEXTS["docs/troubleshooting.md"]
HAVE_TESTS = {"docs/determinism.md": "test_determinism_docs.py"}
"""Pages whose examples another test runs."""

EXAMPLES = [
    page for page in PAGES if page not in HAVE_TESTS and any(one.is_run for one in BLOCKS[page])
]
CODE = [(page, block) for page in PAGES for block in BLOCKS[page]]


def ids(case: object) -> str | None:
    return str(case.line) if isinstance(case, Block) else None


@pytest.mark.slow
@pytest.mark.parametrize("page", EXAMPLES)
def test_every_example_of_a_page_runs(page: str, tmp_path: Path) -> None:
    """In order, in a folder that has docs/, sample_data/, and its images as images/ too."""
    shutil.copytree(ROOT / "sample_data", tmp_path / "sample_data")
    shutil.copytree(ROOT / "sample_data/images", tmp_path / "images")
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/pages.py"), str(ROOT / page)],
        cwd=tmp_path, env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    if page == "README.md":
        check_contact_sheet(tmp_path / "crops.png")


def check_contact_sheet(path: Path) -> None:
    """The picture in the README is what its command draws; captions may differ by Pillow's font."""
    with Image.open(path) as made, Image.open(ROOT / "docs/images/crops.png") as shown:
        assert made.size == shown.size
        levels = np.abs(np.asarray(made, np.int16) - np.asarray(shown, np.int16))
    assert levels.mean() < 1


@pytest.mark.parametrize(("page", "block"), CODE, ids=ids)
def test_every_block_is_valid_and_says_why_it_does_not_run(page: str, block: Block) -> None:
    languages = {"", "console", "csv", "json", "python", "sh", "text", "toml"}
    assert block.language in languages, f"{page}: line {block.line}"
    assert re.match(r"$|(not run|in a process of its own), because |needs [\w.]+, ", block.note)
    if block.language == "python":
        ast.parse(block.text)
    elif block.language == "json" and "…" not in block.text:
        for line in block.text.splitlines() if block.title.endswith("jsonl") else [block.text]:
            json.loads(line)
    elif block.language == "toml":
        tomllib.loads(block.text)
    elif block.language == "sh":
        subprocess.run(["bash", "-n", "-c", block.text], check=True)


def shown_commands() -> Iterator[tuple[str, str]]:
    """Iterate commands on pages: lines of blocks, and code in running text."""
    for page, block in CODE:
        if block.language in ("sh", "console"):
            for line in block.text.replace("\\\n", " ").splitlines():
                yield page, line.removeprefix("$ ").split("  #")[0]
    for page, text in TEXTS.items():
        running = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
        for code in re.findall(r"`([^`\n]+)`", running):
            yield page, code


def test_every_option_on_a_page_exists() -> None:
    known = {name: options_of(command) for name, command in cli.main.commands.items()}
    every = set[str]().union(*known.values(), options_of(cli.main))
    for page, line in shown_commands():
        for words in re.findall(r"(?:^|[ `|(])tfrec ([^|;&>]*)", f" {line}"):
            command = next((one for one in words.split() if one in known), "")
            shown = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", words))
            assert shown <= known.get(command, every) | options_of(cli.main), f"{page}: {line}"
        if line.startswith("--"):
            assert set(re.findall(r"--[a-z][a-z-]*", line)) <= every, f"{page}: {line}"


def options_of(command: object) -> set[str]:
    params = getattr(command, "params", [])
    return {"--help"}.union(*({*one.opts, *one.secondary_opts} for one in params))


def test_every_make_target_on_a_page_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = {
        target for _, line in shown_commands() for target in re.findall(r"^make ([a-z-]+)", line)
    }
    assert "demo" in shown
    assert shown <= targets


def test_every_extra_on_a_page_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    shown = {
        extra
        for _, line in shown_commands()
        for extras in re.findall(r"(?:tfrec-cli|'\.)\[([a-z,]+)\]", line)
        for extra in extras.split(",")
    }
    assert "tensorflow" in shown
    assert shown <= set(project["optional-dependencies"])


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    """`make docs-site` also checks links to headings."""
    text = re.sub(r"^```.*?^```$", "", TEXTS[page], flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)#\s]+)|src=\"([^\"]+)\"", text):
        path = "".join(link)
        assert re.match("https?://", path) or (ROOT / page).parent.joinpath(path).exists(), path


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 220
    assert len(README.encode()) <= 12_000


def test_pages_made_of_docstrings_say_how_to_read_them_in_a_clone() -> None:
    found = {page: text.split("\n::: ")[0] for page, text in TEXTS.items() if "\n::: " in text}
    assert list(found) == ["docs/api.md"]
    assert "`help(read_tf.dataset)`" in found["docs/api.md"]
    assert "`make docs-site`" in found["docs/api.md"]


def test_the_architecture_fits_on_a_page_of_150_lines() -> None:
    assert len(TEXTS["docs/architecture.md"].splitlines()) <= 150


def test_figures_of_the_readme_are_those_of_the_last_run() -> None:
    results = json.loads((ROOT / "benchmarks/results.json").read_text(encoding="utf-8"))
    works = {
        work["name"]: {one["name"]: one for one in work["contestants"]} for work in results["works"]
    }
    ours = {name: contestants["tfrec"] for name, contestants in works.items()}
    photos = f"{results['photos']:,} photos"
    usual, tuned = (works["read-whole"][f"usual reader{more}"] for more in ("", ", AUTOTUNE"))
    for shown in (
        f"{photos} take {ours['write-whole']['median']:.2f} s",
        f"{works['write-whole']['usual script']['ratio']:.1f} times as fast as the usual script",
        f"{ours['write-crops']['median']:.2f} s",
        f"{works['write-crops']['usual script']['ratio']:.1f} times as fast",
        f"{ours['read-whole']['photos_per_second']:,.0f} random crops a second",
        f"{usual['ratio']:.1f} times as fast as the usual `tf.data` reader",
        f"{tuned['ratio']:.1f} times as fast as that reader",
        f"{works['read-whole-shuffled']['tfrec, as stored']['ratio']:.2f} times as fast as",
        f"every byte of {ours['verify-quick']['photos_per_second']:,.0f} photos a second",
        f"checks {ours['verify']['photos_per_second']:,.0f} photos a second",
        f"{photos} takes {works['memory']['tfrec, once']['median']:.0f} MB",
        f"50,000 takes {works['memory']['tfrec']['median']:.0f} MB",
        f"{ours['help']['median']:.2f} s",
        f"{1 / works['write-whole']['tar']['ratio']:.1f} times as fast as `tfrec write`",
        f"`tfrec` is {works['read-whole']['DALI']['ratio']:.2f} times as fast",
        f"{results['photos_bytes'] / 2**20:.0f} MiB",
    ):
        assert shown in " ".join(README.split()), shown


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_of_finding_has_a_remedy(kind: str) -> None:
    table = TROUBLE.split("## Findings of verify")[1].split("\n### ")[0]
    assert f"`{kind}`" in table


@pytest.mark.parametrize("kind", get_args(DamageKind))
def test_every_kind_of_damage_is_explained(kind: str) -> None:
    assert f"`{kind}`" in TROUBLE.split("### Damage in record files")[1]


ERRORS = [
    name
    for name, one in vars(errors).items()
    if isinstance(one, type) and issubclass(one, errors.TfrecError)
]


@pytest.mark.parametrize("name", ERRORS)
def test_every_class_of_errors_is_explained(name: str) -> None:
    assert f"`{name}`" in TROUBLE


def reasons() -> set[str]:
    """Return every reason of a reject in the code, from its syntax tree."""
    found = set()
    for path in (ROOT / "tfrec_cli").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                position = {"ImageError": 0, "Reject": 1}.get(node.func.id)
                given = [] if position is None else node.args[position : position + 1]
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "reason":
                given = list(ast.walk(node.value))[0:3]
            else:
                continue
            found |= {one.value for one in given if isinstance(one, ast.Constant)}
    return {one for one in found if isinstance(one, str)}


def test_every_reason_of_a_reject_has_a_remedy() -> None:
    table = TROUBLE.split("## Images that are not written")[1].split("\n## ")[0]
    assert {"truncated", "hidden", "corrupt", "empty"} <= reasons()
    assert {one for one in reasons() if f"`{one}`" not in table} == set()


def test_every_command_and_option_is_in_its_place_in_the_reference() -> None:
    sections = re.split(r"^## ", TEXTS["docs/cli.md"], flags=re.M)
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
    table = TEXTS["docs/cli.md"].split("## Exit codes")[1]
    assert re.search(rf"^\| .*\b{code}\b.* \|", table.split("## ")[0], re.MULTILINE)


def test_every_schema_is_described() -> None:
    for path in (ROOT / "docs/schema").iterdir():
        assert f"(schema/{path.name})" in TEXTS["docs/json.md"]


def test_the_site_has_every_page() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n")[1]
    listed = re.findall(r"- (\S+\.md)$", navigation, re.MULTILINE)
    assert {"README.md", *(f"docs/{one}" for one in listed)} - {"docs/index.md"} == set(PAGES)
