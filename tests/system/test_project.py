"""The project's own files agree: pyproject.toml, the workflows, the Makefile, the changelog."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
import yaml
from conftest import ROOT

import tfrec_cli

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CLASSIFIERS = PYPROJECT["project"]["classifiers"]
PYTHONS = re.findall(r"Python :: (3\.\d+)", "\n".join(CLASSIFIERS))
OLDEST = PYTHONS[0]
WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in (ROOT / ".github/workflows").iterdir()
}
JOBS = [
    pytest.param(workflow, job, id=f"{name}-{key}")
    for name, workflow in WORKFLOWS.items()
    for key, job in workflow["jobs"].items()
]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
CALLERS = [".ci/run", "CONTRIBUTING.md", "SECURITY.md", ".pre-commit-config.yaml", "README.md"]
CALLERS += [f".github/workflows/{name}.yml" for name in WORKFLOWS]


def matrix(job: str) -> dict[str, Any]:
    found: dict[str, Any] = WORKFLOWS["tests"]["jobs"][job]["strategy"]["matrix"]
    return found


def test_the_oldest_python_is_the_same_everywhere() -> None:
    assert PYPROJECT["project"]["requires-python"] == f">={OLDEST}"
    assert PYPROJECT["tool"]["mypy"]["python_version"] == OLDEST
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py{OLDEST.replace('.', '')}"
    (step,) = [
        step
        for step in WORKFLOWS["tests"]["jobs"]["lowest-versions"]["steps"]
        if "setup-python" in step.get("uses", "")
    ]
    assert step["with"]["python-version"] == OLDEST


def test_workflows_try_every_python_that_is_claimed() -> None:
    """TensorFlow may not be there for the newest one yet."""
    assert matrix("without-tensorflow")["python"] == PYTHONS
    with_tensorflow = matrix("with-tensorflow")["python"]
    assert with_tensorflow == PYTHONS[: len(with_tensorflow)]
    assert len(with_tensorflow) >= len(PYTHONS) - 1


@pytest.mark.parametrize("job", ["without-tensorflow", "with-tensorflow"])
def test_workflows_try_every_system_that_is_claimed(job: str) -> None:
    systems = {"Operating System :: POSIX :: Linux": "ubuntu", "Operating System :: MacOS": "macos"}
    claimed = [one for one in CLASSIFIERS if one.startswith("Operating System ::")]
    assert {systems[one] for one in claimed} == {one.split("-")[0] for one in matrix(job)["os"]}


def test_workflows_try_with_c_and_without() -> None:
    assert matrix("without-tensorflow")["native"] == ["with C", "without C"]
    included = [one["native"] for one in matrix("with-tensorflow")["include"]]
    assert [*matrix("with-tensorflow")["native"], *included] == ["with C", "without C"]


@pytest.mark.parametrize(("workflow", "job"), JOBS)
def test_a_job_ends_and_may_only_read(workflow: dict[str, Any], job: dict[str, Any]) -> None:
    """But for those that publish, which run no code of a build."""
    assert job["timeout-minutes"] <= 90
    assert workflow["permissions"] == {"contents": "read"}
    if "permissions" in job:
        assert job["environment"]
        assert not any("checkout" in step.get("uses", "") for step in job["steps"])


@pytest.mark.parametrize("caller", CALLERS)
def test_every_target_of_make_is_there(caller: str) -> None:
    text = (ROOT / caller).read_text(encoding="utf-8")
    lines = re.findall(r"(?:^|`|run: |entry: )make ([a-z][a-z -]*)", text, re.MULTILINE)
    called = {word for line in lines for word in line.split()}
    assert called or "make " not in text
    assert called <= TARGETS


def test_make_help_lists_every_target() -> None:
    """The list of phony targets names them too."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert set(re.findall(r"^([a-z-]+):.*##", text, re.MULTILINE)) == TARGETS == set(phony.split())


def notes(tag: str) -> subprocess.CompletedProcess[str]:
    words = ["make", "--silent", "release-notes", f"TAG={tag}"]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_version_has_its_part_of_the_changelog() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## (.*)$", changelog, re.MULTILINE)
    assert releases[0] == "Unreleased"
    assert re.fullmatch(rf"{re.escape(tfrec_cli.__version__)} - \d{{4}}-\d\d-\d\d", releases[1])
    done = notes(f"v{tfrec_cli.__version__}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("### Added\n")
    assert f"## {releases[1]}\n\n{done.stdout}" in changelog


def test_no_release_has_the_tag_of_another() -> None:
    done = notes("v9.9.9")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"TAG: found v9.9.9, expected v{tfrec_cli.__version__}" in done.stderr


def test_a_dependency_has_a_lower_bound_and_a_reason() -> None:
    """Those of users; a comment says what each is for."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = PYPROJECT["project"]
    for lines in (project["dependencies"], *project["optional-dependencies"].values()):
        for line in lines:
            assert re.match(r"[a-z0-9-]+>=\d", line)
            assert re.search(rf'^  "{re.escape(line)}", +# \w', text, re.MULTILINE), line
