"""Damage: a sample of what `make torture` tries, and the public corpus of bad files."""

from __future__ import annotations

from faults import damage


def test_a_sample_of_damaged_datasets_is_found() -> None:
    result = damage.run(400, seed=1)
    assert result["wrong"] == []
    assert sum(result["found"].values()) > 390
