"""Tasks run ahead in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from tfrec_cli.reading.prefetch import run_ahead


def test_only_a_few_batches_are_made_ahead() -> None:
    drawn: list[int] = []

    def tasks() -> Iterator[Callable[[], int]]:
        for number in range(100):
            drawn.append(number)
            yield partial(int, number)

    results = run_ahead(tasks(), threads=2)
    assert next(results) == 0
    assert len(drawn) == 5
    assert list(results) == list(range(1, 100))
