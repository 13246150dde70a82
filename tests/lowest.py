"""Runs the tests that need no framework with the lowest versions that pyproject.toml allows.

``python tests/lowest.py [EXTRA…]`` makes an environment in ``build/lowest`` with the oldest
supported Python found, and exactly the lowest version of each dependency of the package and of the
named extras (``tensorflow``, ``torch``). With an extra, the tests of its reader are run too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from smoke import ROOT, pythons

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = ROOT / "build/lowest"
READERS = ["tests/unit/reading", "tests/unit/test_crops.py"]


def pinned(requirement: str) -> str:
    """Turn a lower bound into that version: ``numpy>=1.26`` becomes ``numpy==1.26``."""
    return requirement.replace(">=", "==", 1)


def main() -> int:
    """Install, print what is installed, run the tests; return pytest's exit code."""
    extras = sys.argv[1:]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bounds = [*project["dependencies"]]
    for extra in extras:
        bounds += project["optional-dependencies"][extra]
    oldest, python = next(iter(pythons().items()))
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    constraints = FOLDER / "constraints.txt"
    constraints.write_text("\n".join(map(pinned, bounds)) + "\n", encoding="utf-8")
    subprocess.run([python, "-m", "venv", FOLDER / "venv"], check=True)
    installed = FOLDER / "venv/bin/python"
    pip = [installed, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--upgrade", "pip>=25.1"], check=True)
    package = f"{ROOT}[{','.join(extras)}]" if extras else ROOT
    words = ["--constraint", constraints, package, "--group", f"{ROOT}/pyproject.toml:test"]
    subprocess.run([*pip, "install", *words], check=True)
    print(f"Python {oldest} with {', '.join(map(pinned, bounds))}", flush=True)
    tests = [*READERS] if extras else ["-m", "not slow"]
    words = ["-m", "pytest", "-q", "--numprocesses", "auto", *tests]
    environment = {name: value for name, value in os.environ.items() if name != "ALL_TESTS"}
    return subprocess.run([installed, *words], cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
