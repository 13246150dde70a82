"""docs/determinism.md: every script prints what the page shows, and nothing else is shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, needs

PAGE = (ROOT / "docs/determinism.md").read_text(encoding="utf-8")
SHOWN = dict(re.findall(r"```console\n\$ python (\S+)\n(.*?)```", PAGE, re.DOTALL))


@needs("tensorflow", "torch")
@pytest.mark.parametrize("script", sorted(SHOWN))
def test_script_prints_what_the_page_shows(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From another folder, too."""
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)
    words = [sys.executable, str(ROOT / script)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, SHOWN[script]), done.stderr


def test_every_script_is_shown() -> None:
    scripts = (ROOT / "docs/determinism").glob("*.py")
    assert set(SHOWN) == {str(path.relative_to(ROOT)) for path in scripts}


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", PAGE))
def test_links_lead_somewhere(link: str) -> None:
    assert link.startswith("https://") or (ROOT / "docs" / link).is_file()
