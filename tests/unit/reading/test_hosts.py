"""Hosts take equally many steps, whatever reads and however many records there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import READERS, read_keras, read_tf, read_torch, torch_data

BATCH = 10
read_numpy = READERS["read_numpy"]


def by_tf(path: Path, **options: Any) -> int:
    return sum(1 for _ in read_tf.dataset(path, crop=8, batch_size=BATCH, **options))


def by_numpy(path: Path, **options: Any) -> int:
    return sum(1 for _ in read_numpy.dataset(path, crop=8, batch_size=BATCH, **options))


def by_source(path: Path, **options: Any) -> int:
    return -(-len(read_numpy.source(path, **options)) // BATCH)


def by_keras(path: Path, **options: Any) -> int:
    return len(read_keras.dataset(path, crop=8, batch_size=BATCH, **options))


def by_stream(path: Path, **options: Any) -> int:
    loader = torch_data.DataLoader(read_torch.stream(path, crop=8, **options), BATCH)
    return sum(1 for _ in loader)


def by_order(path: Path, **options: Any) -> int:
    records = read_torch.dataset(path, crop=8)
    order = read_torch.Order(records, **options)
    return sum(1 for _ in torch_data.DataLoader(records, BATCH, sampler=order))


@pytest.mark.parametrize("steps", [by_tf, by_numpy, by_source, by_keras, by_stream, by_order])
@pytest.mark.parametrize(
    ("hosts", "even", "expected"),
    [
        (2, None, [3, 2]),
        (2, "drop", [2, 2]),
        (2, "repeat", [3, 3]),
        (3, "drop", [2] * 3),
        (3, "repeat", [2] * 3),
        (8, "drop", [1] * 8),
        (8, "repeat", [1] * 8),
    ],
)
def test_hosts_take_equally_many_steps(
    odd: Path, steps: Any, hosts: int, even: Any, expected: list[int]
) -> None:
    found = [steps(odd, shuffle=True, shard=(host, hosts), even=even) for host in range(hosts)]
    assert found == expected
