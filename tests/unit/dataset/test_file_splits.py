from __future__ import annotations

import pytest

from tfrec_cli.dataset import file_splits


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("validation", "val"),
        ("dev", "val"),
        ("Val", "val"),
        ("vall", "val"),
        ("training", "train"),
        ("trian", "train"),
        ("tets", "test"),
        ("all", None),
        ("holdout", None),
        ("x", None),
    ],
)
def test_an_unknown_split_is_answered_with_the_one_that_is_meant_or_with_none(
    name: str, meant: str | None
) -> None:
    hint = f": did you mean {meant!r}?" if meant else ""
    error = file_splits.unknown(name, ["test", "train", "val"], "out")
    assert str(error) == f"split: found splits test, train, val in out, expected {name!r}{hint}"


def test_files_that_tell_no_split_are_not_suggested() -> None:
    error = file_splits.unknown("val", [""])
    assert str(error) == "split: found splits none, expected 'val'"
