"""Hostile bytes: every parser soon returns a value or raises a TfrecError, nothing else."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from faults import fuzz, targets


@pytest.mark.parametrize("name", targets.TARGETS)
def test_the_first_seed_of_each_target_is_accepted(name: str) -> None:
    """Otherwise nothing after its first byte would be tested."""
    assert targets.holds(name, targets.TARGETS[name].seeds[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", targets.TARGETS)
def test_hostile_bytes_give_a_value_or_an_error(name: str) -> None:
    @settings(
        max_examples=150,
        deadline=fuzz.SECONDS * 1000,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(fuzz.inputs(targets.TARGETS[name].seeds))
    def check(data: bytes) -> None:
        targets.holds(name, data)

    check()
