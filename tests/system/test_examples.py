"""The trainings in docs/examples run on any dataset; test_determinism_docs compares weights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, fill, needs, photo, png
from program import tfrec

SCRIPTS = [
    pytest.param("train_keras.py", marks=needs("tensorflow")),
    pytest.param("train_torch.py", marks=needs("torch")),
]


def train(script: str, dataset: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, ROOT / "docs/examples" / script, dataset, "random"]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_any_number_of_classes_can_be_learnt(script: str, tmp_path: Path) -> None:
    images = {f"{name}/0.png": png(photo(64, 64, number)) for number, name in enumerate("abcd")}
    assert tfrec("write", fill(tmp_path / "src", images), tmp_path / "out").code == 0
    ran = train(script, tmp_path / "out")
    assert (ran.returncode, ran.stdout.splitlines()[-1][:8]) == (0, "weights "), ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_dataset_without_labels_is_refused_in_one_line(script: str, tmp_path: Path) -> None:
    source = fill(tmp_path / "src", {"a.png": png(photo(64, 64))})
    assert tfrec("write", source, tmp_path / "out").code == 0
    ran = train(script, tmp_path / "out")
    found = f"{tmp_path}/out: found no names of classes, expected a dataset with labels"
    assert (ran.returncode, ran.stderr.splitlines()[-1]) == (1, found)
