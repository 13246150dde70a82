"""Runs of records: wherever they are cut, every record is there once and in order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_cli.resharding.runs import Run, between, pieces

fixed = settings(deadline=None, derandomize=True, max_examples=200)

files = st.lists(st.lists(st.integers(16, 99), max_size=6), min_size=1, max_size=4)


def run_of(number: int, lengths: Sequence[int]) -> Run:
    """Return the run of all records of file ``number``."""
    offsets = [*accumulate(lengths, initial=0)][:-1]
    return Run(
        path=Path(f"{number}"),
        numbers=np.arange(len(lengths)),
        offsets=np.array(offsets, np.int64),
        lengths=np.array(lengths, np.int64),
    )


def records(runs: Sequence[Run]) -> list[tuple[Path, int, int, int]]:
    """Return file, number, offset and length of every record of some runs."""
    return [
        (run.path, *row)
        for run in runs
        for row in zip(
            *map(np.ndarray.tolist, (run.numbers, run.offsets, run.lengths)), strict=True
        )
    ]


@fixed
@given(files, st.data())
def test_shards_cut_between_files_have_all_records_in_order(
    lengths: list[list[int]], data: st.DataObject
) -> None:
    runs = [run_of(number, of_file) for number, of_file in enumerate(lengths)]
    count = sum(map(len, lengths))
    inner = sorted(data.draw(st.lists(st.integers(0, count), max_size=5)))
    shards = [[*between(runs, start, stop)] for start, stop in pairwise([0, *inner, count])]
    assert [item for shard in shards for item in records(shard)] == records(runs)
    assert [len(records(shard)) for shard in shards] == [
        stop - start for start, stop in pairwise([0, *inner, count])
    ]


@fixed
@given(st.lists(st.integers(16, 99), max_size=9), st.integers(1, 300))
def test_pieces_fit_or_hold_a_single_record(lengths: list[int], most_bytes: int) -> None:
    run = run_of(0, [7, *lengths]).part(slice(1, None))
    parts = [*pieces(run, most_bytes)]
    assert records(parts) == records([run])
    assert all(part.lengths.sum() <= most_bytes or len(part.lengths) == 1 for part in parts)
    # and no piece could have taken the next one's first record
    assert all(
        part.lengths.sum() + after.lengths[0] > most_bytes for part, after in pairwise(parts)
    )


def test_a_part_of_a_run_has_its_records_where_they_are() -> None:
    run = run_of(0, [20, 30, 40, 50])
    assert records([run.part(slice(1, 3))]) == records([run])[1:3]
    chosen = run.part(np.array([True, False, True, True]))
    assert records([chosen]) == [records([run])[number] for number in (0, 2, 3)]
    assert records([chosen.part(slice(1, 3))]) == records([run])[2:]
