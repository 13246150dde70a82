"""The journal of an unfinished write: the division of its images, also of earlier versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tfrec_cli.commands.write import write
from tfrec_cli.dataset.names import partial_name
from tfrec_cli.errors import RunError
from tfrec_cli.runtime.files import sealed
from tfrec_cli.writing import journal
from tfrec_cli.writing.options import WriteOptions

DIVISION = {
    "method": "shares",
    "parts": [{"split": "train", "share": "0.9"}, {"split": "val", "share": "0.1"}],
}


def begin(folder: Path, **values: Any) -> Path:
    """Write a journal of version 0.1.0, which recorded only the option, not the division."""
    known = {"command": "tfrec write", "plan_sha256": "0" * 64, "labels": None, "versions": {}}
    noted = {**known, "options": {"split": "train=0.90,val=0.1"}, "sources_sha256": "0" * 64}
    folder.mkdir(parents=True)
    (folder / "journal.json").write_bytes(sealed({**noted, **values}))
    return folder


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "train=0.9,val=0.1"),
        ({"options": {"split": "train"}}, "None"),
        ({"options": {}}, "None"),
        ({"division": None}, "None"),
        ({"division": DIVISION, "options": {}}, "train=0.9,val=0.1"),
    ],
)
def test_the_division_of_a_journal_is_read(
    tmp_path: Path, values: dict[str, Any], expected: str
) -> None:
    begun = journal.read(begin(tmp_path / "x", **values))
    assert begun is not None
    assert str(begun.division) == expected


@pytest.mark.parametrize(
    "division",
    [5, {}, {**DIVISION, "method": "x"}, {**DIVISION, "parts": DIVISION["parts"][:1] * 2}],
    ids=str,
)
def test_a_journal_with_an_invalid_division_is_ignored(tmp_path: Path, division: Any) -> None:
    assert journal.read(begin(tmp_path / "x", division=division)) is None


@pytest.mark.parametrize("values", [{}, {"division": DIVISION}], ids=["earlier", "now"])
def test_a_split_is_refused_if_an_unfinished_one_may_hold_its_images(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    (tmp_path / "src").mkdir()
    begin(tmp_path / "out" / partial_name("val"), **values)
    with pytest.raises(RunError, match=r"found split 'val' of split train=0\.9,val=0\.1: its"):
        write(tmp_path / "src", tmp_path / "out", WriteOptions(split="train", jobs=1))


def test_the_command_to_resume_has_no_removed_option(tmp_path: Path) -> None:
    command = "tfrec write src out --crop 9x9{} --shards 2 --resume"
    folder = begin(tmp_path / "begun", command=command.format(" --decoder tensorflow"))
    begun = journal.read(folder)
    assert begun
    assert begun.command == command.format("")
