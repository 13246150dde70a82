"""The order of records: epochs, hosts, starts, chunks."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_cli import crops
from tfrec_cli.errors import UsageError
from tfrec_cli.reading.options import ReadOptions
from tfrec_cli.reading.order import ChunkOrder, host_count, record_numbers, worker_share


def expected(count: int, options: ReadOptions) -> list[list[int]]:
    """Return the numbers of each epoch by plain slices, without the first ``start``."""
    host, hosts = options.shard
    epochs = []
    start = options.start
    for epoch in range(options.epoch, options.epoch + options.epochs):
        numbers = list(range(count))
        if options.shuffle:
            numbers = crops.order(count, seed=options.seed, epoch=epoch).tolist()
        own = numbers[host::hosts]
        epochs.append(own[start:])
        start = max(start - len(own), 0)
    return epochs


def chunks(order: ChunkOrder) -> list[list[list[int]]]:
    """Return the numbers of each chunk in each epoch that is read."""
    first, later = order.chunk_counts()
    return [
        [order.numbers(index, chunk).tolist() for chunk in range(later if index else first)]
        for index in range(order.epochs)
    ]


@settings(deadline=None, derandomize=True)
@given(
    count=st.integers(0, 40),
    shard=st.sampled_from([(0, 1), (0, 3), (2, 3), (6, 7)]),
    epochs=st.integers(1, 4),
    chunk_size=st.integers(1, 9),
    shuffle=st.booleans(),
    full_only=st.booleans(),
    data=st.data(),
)
def test_chunks_are_slices_of_each_epoch(
    count: int,
    shard: tuple[int, int],
    epochs: int,
    chunk_size: int,
    shuffle: bool,
    full_only: bool,
    data: Any,
) -> None:
    own = len(range(shard[0], count, shard[1]))
    start = data.draw(st.integers(0, own * epochs))
    options = ReadOptions(seed=7, epoch=5, epochs=epochs, shard=shard, shuffle=shuffle, start=start)
    order = ChunkOrder(count, options, chunk_size, full_only=full_only)
    left = expected(count, options)[order.first_epoch - options.epoch :]
    least = chunk_size if full_only else 1
    cut = [
        [
            numbers[at : at + chunk_size]
            for at in range(0, len(numbers), chunk_size)
            if len(numbers[at : at + chunk_size]) >= least
        ]
        for numbers in left
    ]
    assert chunks(order) == cut
    assert order.chunk_count() == sum(map(len, cut))
    assert order.record_count() == sum(map(len, left)) == own * epochs - start
    assert order.fixed_size == (chunk_size if full_only else None)


@pytest.mark.parametrize(
    ("start", "first_epoch", "epochs"),
    [(0, 4, 3), (4, 4, 3), (5, 5, 2), (9, 5, 2), (10, 6, 1), (15, 6, 1)],
)
def test_epochs_that_start_skips_completely_are_not_read(
    start: int, first_epoch: int, epochs: int
) -> None:
    order = ChunkOrder(5, ReadOptions(epoch=4, epochs=3, start=start), 2)
    assert (order.first_epoch, order.epochs) == (first_epoch, epochs)


def test_start_cannot_skip_more_records_than_there_are() -> None:
    options = ReadOptions(shard=(1, 2), epochs=2, start=5)
    assert host_count(6, options) == 3
    assert len(ChunkOrder(6, ReadOptions(shard=(1, 2), epochs=2, start=6), 2).numbers(0, 0)) == 0
    with pytest.raises(UsageError) as raised:
        ChunkOrder(5, options, 2)
    assert str(raised.value) == "start: found 5, expected at most 4 records"


def test_hosts_share_an_epoch() -> None:
    hosts = [
        record_numbers(11, ReadOptions(seed=3, shuffle=True, shard=(host, 3)), 2)
        for host in range(3)
    ]
    assert sorted(np.concatenate(hosts).tolist()) == list(range(11))
    whole = crops.order(11, seed=3, epoch=2)
    assert all(np.array_equal(hosts[host], whole[host::3]) for host in range(3))


def test_an_order_can_be_pickled() -> None:
    order = ChunkOrder(11, ReadOptions(shuffle=True, epochs=2, start=3), 4)
    expected = chunks(order)
    assert chunks(pickle.loads(pickle.dumps(order))) == expected


@given(files=st.lists(st.integers(0, 5), max_size=30).map(sorted), workers=st.integers(1, 8))
def test_workers_read_each_record_once_and_few_files(files: list[int], workers: int) -> None:
    numbers = np.arange(len(files)) * 3
    of_files = np.array(files, np.int64)
    shares = [worker_share(numbers, of_files, worker, workers) for worker in range(workers)]
    assert sorted(np.concatenate(shares).tolist()) == numbers.tolist()
    for share in shares:
        assert np.all(np.diff(share) > 0)
        most = -(-len(set(files)) // workers)
        assert len({files[number // 3] for number in share.tolist()}) <= most


def test_workers_that_share_a_file_take_turns() -> None:
    files = np.array([4] * 5 + [7] * 3)
    shares = [worker_share(np.arange(8), files, worker, 3).tolist() for worker in range(3)]
    assert shares == [[0, 2, 4], [5, 6, 7], [1, 3]]


def test_workers_take_turns_if_files_need_not_stay_together() -> None:
    shares = [worker_share(np.array([5, 2, 9, 1]), None, worker, 3).tolist() for worker in range(3)]
    assert shares == [[5, 1], [2], [9]]
