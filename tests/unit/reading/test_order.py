"""The order of records: epochs, hosts, starts, chunks."""

from __future__ import annotations

import pickle
import tracemalloc
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tfrec_cli import crops
from tfrec_cli.crops import Int64s
from tfrec_cli.errors import UsageError
from tfrec_cli.reading.options import Even, ReadOptions, Shuffle
from tfrec_cli.reading.order import (
    BLOCK,
    WINDOW,
    ChunkOrder,
    draw,
    host_count,
    own_start,
    worker_share,
)


def numbers_at(count: int, options: ReadOptions, epoch: int, own: range) -> Int64s:
    drawn = draw(count, options, epoch, own)
    assert drawn.epochs.tolist() == [epoch] * len(own)
    return drawn.numbers


def whole(count: int, options: ReadOptions, epoch: int) -> list[int]:
    """Return the records of an epoch in the order of all hosts."""
    if not options.shuffle:
        return list(range(count))
    if options.shuffle == "blocks":
        return by_blocks(count, options.seed, epoch)
    return crops.shuffled(np.arange(count), count, seed=options.seed, epoch=epoch).tolist()


def by_blocks(count: int, seed: int, epoch: int) -> list[int]:
    """Shuffle blocks, and the records of each window of them, as the documentation says."""
    blocks = [range(begin, min(begin + BLOCK, count)) for begin in range(0, count, BLOCK)]
    drawn = crops.shuffled(np.arange(len(blocks)), len(blocks), seed=seed, epoch=epoch)
    placed = [blocks[block] for block in drawn]
    records = []
    for part, begin in enumerate(range(0, len(placed), WINDOW), start=1):
        mixed = list(chain(*placed[begin : begin + WINDOW]))
        size = len(mixed)
        places = crops.shuffled(np.arange(size), size, seed=seed, epoch=epoch, part=part)
        records += [mixed[place] for place in places]
    return records


def expected(count: int, options: ReadOptions) -> list[list[int]]:
    """Return the numbers of each epoch by plain slices, without the first ``start``."""
    host, hosts = options.shard
    epochs = []
    start = options.start
    for epoch in range(options.epoch, options.epoch + options.epochs):
        numbers = whole(count, options, epoch)
        uneven = count % hosts
        if options.even == "drop":
            numbers = numbers[: count - uneven]
        elif options.even == "repeat" and uneven:
            numbers += [numbers[at % count] for at in range(hosts - uneven)]
        own = numbers[host::hosts]
        epochs.append(own[start:])
        start = max(start - len(own), 0)
    return epochs


def chunks(order: ChunkOrder) -> list[list[list[int]]]:
    """Return the numbers of each chunk in each epoch that is read."""
    first, later = order.chunk_counts()
    return [
        [order.chunk(index, chunk).numbers.tolist() for chunk in range(later if index else first)]
        for index in range(order.epochs)
    ]


@settings(deadline=None, derandomize=True)
@given(
    count=st.integers(0, 40),
    shard=st.sampled_from([(0, 1), (0, 3), (2, 3), (6, 7)]),
    even=st.sampled_from([None, "drop", "repeat"]),
    epochs=st.integers(1, 4),
    chunk_size=st.integers(1, 9),
    shuffle=st.sampled_from([False, True, "blocks"]),
    full_only=st.booleans(),
    data=st.data(),
)
def test_chunks_are_slices_of_each_epoch(
    count: int,
    shard: tuple[int, int],
    even: Even | None,
    epochs: int,
    chunk_size: int,
    shuffle: Shuffle,
    full_only: bool,
    data: Any,
) -> None:
    asked: dict[str, Any] = {"seed": 7, "epoch": 5, "epochs": epochs, "shard": shard, "even": even}
    options = ReadOptions(shuffle=shuffle, **asked)
    assume(not count or even != "drop" or count >= shard[1])
    own = host_count(count, options)
    start = data.draw(st.integers(0, own * epochs))
    options = replace(options, start=start)
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


def test_epochs_without_end_go_on_to_the_last_number() -> None:
    order = ChunkOrder(5, ReadOptions(epoch=4, epochs=None, start=12), 2)
    assert (order.first_epoch, order.epochs) == (6, 2**31 - 6)


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
    assert (
        len(ChunkOrder(6, ReadOptions(shard=(1, 2), epochs=2, start=6), 2).chunk(0, 0).numbers) == 0
    )
    with pytest.raises(UsageError) as raised:
        ChunkOrder(5, options, 2)
    assert str(raised.value) == "start: found 5, expected at most 4 records"


def test_the_order_is_drawn_from_its_own_seed() -> None:
    own = range(11)
    plain = numbers_at(11, ReadOptions(seed=3, shuffle=True), 2, own)
    other = numbers_at(11, ReadOptions(seed=5, order_seed=3, shuffle=True), 2, own)
    assert np.array_equal(plain, other)
    assert not np.array_equal(numbers_at(11, ReadOptions(seed=5, shuffle=True), 2, own), plain)


def test_few_records_cannot_be_dropped_evenly() -> None:
    with pytest.raises(UsageError) as raised:
        ChunkOrder(5, ReadOptions(shard=(1, 8), even="drop"), 2)
    assert str(raised.value) == (
        "even: found 'drop' with 5 records for 8 hosts, expected at least one for each, or "
        "even='repeat'"
    )
    assert host_count(5, ReadOptions(shard=(7, 8), even="repeat")) == 1
    assert host_count(0, ReadOptions(shard=(7, 8), even="drop")) == 0


sizes = st.one_of(
    st.integers(1, 3 * BLOCK),
    st.integers(BLOCK * WINDOW - BLOCK, 2 * BLOCK * WINDOW + BLOCK),
    st.integers(1, 10**9),
)


@settings(deadline=None, derandomize=True)
@given(
    count=sizes,
    shuffle=st.sampled_from([False, True, "blocks"]),
    even=st.sampled_from([None, "drop", "repeat"]),
    hosts=st.sampled_from([1, 3, 8]),
    others=st.sampled_from([1, 2, 5, 8]),
    data=st.data(),
)
def test_other_hosts_go_on_where_a_run_stopped(
    count: int, shuffle: Shuffle, even: Even | None, hosts: int, others: int, data: Any
) -> None:
    """After any step the hosts have read a beginning of the same order, whatever their number."""
    options = ReadOptions(seed=9, shuffle=shuffle, even=even)
    assume(even != "drop" or count >= max(hosts, others))
    alone = range(min(count, 50))
    order = numbers_at(count, options, 4, alone).tolist()
    steps = data.draw(st.integers(0, min(len(alone) // hosts, len(alone) // others)))
    read = [
        numbers_at(count, replace(options, shard=(host, hosts)), 4, range(steps))
        for host in range(hosts)
    ]
    interleaved = np.stack(read, axis=1).reshape(-1).tolist()
    assert interleaved == order[: steps * hosts]
    position = steps * hosts
    for host in range(others):
        asked = replace(options, shard=(host, others))
        start = own_start(position, asked)
        end = start + (len(alone) - position) // others
        after = numbers_at(count, asked, 4, range(start, end)).tolist()
        first = position + (host - position) % others
        assert after == order[first::others][: len(after)]


@pytest.mark.parametrize("count", [1, BLOCK, BLOCK + 1, BLOCK * WINDOW + 5, 70_001])
@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_a_shuffle_by_blocks_is_a_permutation(count: int, epoch: int) -> None:
    options = ReadOptions(seed=3, shuffle="blocks")
    numbers = numbers_at(count, options, epoch, range(count))
    assert numbers.tolist() == by_blocks(count, 3, epoch)
    assert sorted(numbers.tolist()) == list(range(count))


def test_a_window_of_blocks_has_few_blocks() -> None:
    count = 10**9
    options = ReadOptions(seed=3, shuffle="blocks")
    window = BLOCK * WINDOW
    numbers = numbers_at(count, options, 0, range(7 * window, 8 * window))
    blocks, found = np.unique(numbers // BLOCK, return_counts=True)
    assert len(blocks) == WINDOW
    assert set(found.tolist()) == {BLOCK}
    assert np.ptp(blocks) > count / BLOCK / 2


@pytest.mark.parametrize("hosts", [1, 3])
@pytest.mark.parametrize("count", [1, BLOCK - 1, 7 * BLOCK + 3, (2 * WINDOW + 5) * BLOCK + 9])
def test_blocks_are_read_ahead_once_and_a_window_before_their_turn(count: int, hosts: int) -> None:
    order = ChunkOrder(count, ReadOptions(shuffle="blocks", shard=(0, hosts)), 100)
    ahead: list[range] = []
    for chunk in range(order.chunk_count()):
        drawn = order.chunk(0, chunk)
        ahead += drawn.ahead
        blocks = {block.start // BLOCK for block in ahead}
        assert {number // BLOCK for number in drawn.numbers.tolist()} <= blocks
        position = hosts * 100 * (chunk + 1)
        assert len(ahead) <= position // BLOCK + 1 + WINDOW
    assert sorted(number for block in ahead for number in block) == list(range(count))


def test_nothing_is_read_ahead_without_blocks() -> None:
    assert draw(10**6, ReadOptions(shuffle=True), 0, range(10**4)).ahead == ()


@pytest.mark.parametrize("shuffle", [False, True, "blocks"])
def test_an_order_of_a_billion_needs_no_memory(shuffle: Shuffle) -> None:
    options = ReadOptions(seed=3, shuffle=shuffle, epochs=3, shard=(2, 3), start=500_000_000)
    tracemalloc.start()
    order = ChunkOrder(10**9, options, 32)
    first, later = order.chunk_counts()
    chunks = [(0, 0), (0, first // 2), (0, first - 1), (1, 0), (1, later // 3)]
    read = np.concatenate([order.chunk(*chunk).numbers for chunk in chunks])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert order.first_epoch == 1
    assert read.max() < 10**9
    assert len(np.unique(read)) == len(read) > 100
    assert peak < 2e6


def test_an_order_can_be_pickled() -> None:
    order = ChunkOrder(11, ReadOptions(shuffle=True, epochs=2, start=3), 4)
    expected = chunks(order)
    assert chunks(pickle.loads(pickle.dumps(order))) == expected


@given(files=st.lists(st.integers(0, 5), max_size=30).map(sorted), workers=st.integers(1, 8))
def test_workers_read_each_record_once_and_few_files(files: list[int], workers: int) -> None:
    of_files = np.array(files, np.int64)
    shares = [worker_share(of_files, worker, workers) for worker in range(workers)]
    assert sorted(np.concatenate(shares).tolist()) == list(range(len(files)))
    for share in shares:
        assert np.all(np.diff(share) > 0)
        most = -(-len(set(files)) // workers)
        assert len({files[number] for number in share.tolist()}) <= most


def test_workers_that_share_a_file_take_turns() -> None:
    files = np.array([4] * 5 + [7] * 3)
    shares = [worker_share(files, worker, 3).tolist() for worker in range(3)]
    assert shares == [[0, 2, 4], [5, 6, 7], [1, 3]]
