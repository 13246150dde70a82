"""Clients end up with exactly our values; `make interop` runs the heavy ones too."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, needs

from tests.contract.interop import exact, resume
from tests.contract.interop.clients import EPOCHS, Pair
from tests.contract.interop.roster import CLIENTS, Client

LIGHT = [name for name, client in CLIENTS.items() if not client.is_heavy]
PAGE = ROOT / "docs/interoperability.md"


@pytest.fixture(scope="module")
def verdicts() -> dict[str, str]:
    return {row.client: row.verdict for row in exact.rows(LIGHT)}


@pytest.mark.slow
@pytest.mark.promise("P7")
@needs("tensorflow", "tensorflow_datasets", "torch", "grain")
class TestClients:
    @pytest.mark.parametrize("client", LIGHT)
    def test_a_client_ends_up_with_exactly_our_values(
        self, verdicts: dict[str, str], client: str
    ) -> None:
        assert verdicts[client] == "yes"


# Three records of one pixel in two epochs; a record's key is ten times its label.
PAIRS = [
    (np.full((1, 1, 3), label + 100 * epoch, np.uint8), label)
    for epoch in EPOCHS
    for label in (1, 2, 3)
]
EXPECTED = [
    {exact.sample_digest(pair): 10 * pair[1] for pair in pairs} for pairs in (PAIRS[:3], PAIRS[3:])
]


class TestComparison:
    def changed(self, index: int, pair: Pair) -> str:
        pairs = list(PAIRS)
        pairs[index] = pair
        return exact.compare(pairs, EXPECTED)

    def test_the_same_values_in_any_order_of_an_epoch_are_exact(self) -> None:
        first, second, third, *later = PAIRS
        assert exact.compare([second, third, first, *later], EXPECTED) == ""

    def test_another_value_label_type_or_shape_is_seen(self) -> None:
        image, label = PAIRS[4]
        others = "epoch 1: 1 of 3 samples have other values"
        assert self.changed(4, (image + np.uint8(1), label)) == others
        assert self.changed(4, (image, label + 1)) == others
        assert self.changed(4, (image.astype(np.float32), label)) == others
        assert self.changed(4, (image.reshape(1, 3, 1), label)) == others

    def test_values_of_another_epoch_are_seen(self) -> None:
        assert exact.compare(PAIRS[:3] * 2, EXPECTED) == (
            "epoch 1: 3 of 3 samples have other values"
        )

    def test_records_that_are_missing_or_twice_are_seen(self) -> None:
        assert self.changed(0, PAIRS[1]) == "epoch 0: 1 of 3 records are missing"
        assert exact.compare(PAIRS[:5], EXPECTED) == "found 5 samples, expected 6"


def _client(run: Callable[[str], Iterator[Pair]], package: str = "numpy") -> Client:
    return Client(packages=(package,), runs={"a run": run})


def _fail(folder: str) -> Iterator[Pair]:
    raise ImportError(f"cannot read {Path(folder).name}\nmore")


class TestTable:
    @pytest.mark.slow
    def test_a_run_that_fails_is_a_difference(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(CLIENTS, "fails", _client(_fail))
        exact.write(tmp_path / "photos")
        exact.run_process("fails", str(tmp_path / "photos"), tmp_path / "result.json")
        assert (tmp_path / "result.json").read_text() == (
            '{"a run": "ImportError: cannot read photos"}'
        )

    @pytest.mark.slow
    def test_a_process_that_fails_is_a_difference(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The process does not know a client that only this test has."""
        monkeypatch.setitem(CLIENTS, "unknown", _client(_fail))
        monkeypatch.setattr(sys, "argv", ["exact", "unknown"])
        assert exact.main() == 1
        version = importlib.metadata.version("numpy")
        assert capsys.readouterr().out.splitlines()[2:] == [
            f"| unknown | numpy {version} | a run | NO: exit code 1: KeyError: 'unknown' |"
        ]

    def test_a_client_that_is_not_installed_is_named(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setitem(CLIENTS, "absent", _client(_fail, "no-such-package"))
        monkeypatch.setattr(sys, "argv", ["exact", "absent"])
        assert exact.main() == 0
        assert capsys.readouterr().out.splitlines()[2:] == [
            "| absent | not installed | a run | not run: found no no-such-package |"
        ]

    def test_the_page_has_every_client_and_what_was_run(self) -> None:
        lines = PAGE.read_text(encoding="utf-8").splitlines()
        start = lines.index("| client | versions | what was run | exact |") + 2
        rows = [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in lines[start : start + len(CLIENTS)]
        ]
        assert [(client, runs, verdict) for client, _, runs, verdict in rows] == [
            (name, "; ".join(client.runs), "yes") for name, client in CLIENTS.items()
        ]
        versions = [dict(map(str.split, cell.split(", "))) for _, cell, *_ in rows]
        assert [tuple(one) for one in versions] == [one.packages for one in CLIENTS.values()]


class TestResume:
    @pytest.mark.slow
    @needs("torch")
    def test_a_resumed_run_of_pytorch_has_the_same_weights(self, tmp_path: Path) -> None:
        exact.write(tmp_path / "photos")
        (name,) = (name for name in resume.TRAINERS if name.startswith("PyTorch"))
        resume.run_process(name, str(tmp_path / "photos"), tmp_path / "result.json")
        found = json.loads((tmp_path / "result.json").read_text())
        assert found == dict.fromkeys(resume.COLUMNS, "yes")

    def test_other_weights_are_seen(self) -> None:
        def train(folder: str, out: Path, workers: int, stop: int) -> list[float] | None:
            """Forget which step is next, if the run stops at step 7."""
            if stop:
                (out / "saved").write_text(str(stop))
                return None
            is_wrong = (out / "saved").exists() and (out / "saved").read_text() == "7"
            return [1.0, 2.0 + is_wrong]

        trainer = resume.Trainer(packages=("numpy",), run=train, stops=resume.STOPS)
        assert resume.verdicts(trainer, "photos") == {
            "mid-epoch, 0": "NO: [False]",
            "mid-epoch, 2": "NO: [False]",
            "at an end, 0": "yes",
            "at an end, 2": "yes",
        }

    def test_a_trainer_that_is_not_installed_is_named(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        absent = resume.Trainer(packages=("no-such-package",), run=resume.start, stops={})
        monkeypatch.setattr(resume, "TRAINERS", {"absent": absent})
        monkeypatch.setattr(sys, "argv", ["resume"])
        assert resume.main() == 0
        assert capsys.readouterr().out.splitlines()[2:] == [
            "| absent | no-such-package not installed |" + " not run |" * 4
        ]

    def test_the_page_has_every_trainer(self) -> None:
        lines = PAGE.read_text(encoding="utf-8").splitlines()
        heads = next(resume.table([]))
        start = lines.index(heads) + 2
        rows = [line.split(" | ") for line in lines[start : start + len(resume.TRAINERS)]]
        assert [row[0].removeprefix("| ") for row in rows] == list(resume.TRAINERS)
        assert {cell.rstrip(" |") for row in rows for cell in row[2:]} == {"yes"}
