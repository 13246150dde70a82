"""The keyed permutation: exact, the same in C and NumPy, and random also for small counts."""

from __future__ import annotations

from collections.abc import Iterator
from math import factorial, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_cli.runtime import native, permutation
from tfrec_cli.runtime.permutation import permute
from tfrec_cli.runtime.philox import Words, philox

counts = st.one_of(st.integers(1, 3000), st.integers(1, 2**62))
keys = st.lists(st.integers(0, 2**32 - 1), min_size=4, max_size=4).map(
    lambda words: np.array(words, np.uint32)
)
KEY = np.array([1, 2, 3, 4], np.uint32)
SOME_KEYS = np.random.default_rng(0).integers(0, 2**32, (20_000, 4), np.uint32)


@pytest.fixture(params=["c", "numpy"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "numpy":
        monkeypatch.setattr(native, "permute", lambda *_: False)
    elif not native.is_compiled:
        pytest.skip("there is no C")
    permutation._block.cache_clear()
    yield request.param
    permutation._block.cache_clear()


def by_hand(number: int, count: int, key: list[int]) -> int:
    """Permute one number as the documentation says."""
    bits = max(8, (count - 1).bit_length())
    low_bits = bits // 2
    while True:
        low, high = number % 2**low_bits, number // 2**low_bits
        for number_of_round in range(8):
            half = high if number_of_round % 2 else low
            counter = np.array([[half, number_of_round, key[2], key[3]]], np.uint32)
            word = int(philox(counter, key[:2])[0, 0])
            if number_of_round % 2:
                low ^= word % 2**low_bits
            else:
                high ^= word % 2 ** (bits - low_bits)
        number = high * 2**low_bits + low
        if number < count:
            return number


def test_philox_equals_the_published_values() -> None:
    """They are those of the reference implementation, Random123's kat_vectors."""
    ones = 2**32 - 1
    for counter, key, expected in (
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([ones] * 4, [ones] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ):
        words = philox(np.array([counter], np.uint32), key)
        assert words.tolist() == [expected]


@settings(deadline=None, derandomize=True, max_examples=60)
@given(counts, keys, st.data())
def test_a_number_is_permuted_as_the_documentation_says(
    count: int, key: Words, data: st.DataObject
) -> None:
    numbers = data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=3))
    expected = [by_hand(number, count, key.tolist()) for number in numbers]
    assert permute(np.array(numbers), count, key).tolist() == expected


@pytest.mark.parametrize("count", [1, 2, 3, 100, 255, 256, 257, 4095, 4097, 30_000])
def test_it_is_a_permutation(way: str, count: int) -> None:
    numbers = np.arange(count)
    permuted = permute(numbers, count, KEY)
    assert permuted.dtype == np.int64
    assert sorted(permuted.tolist()) == numbers.tolist()
    assert np.array_equal(permute(permuted, count, KEY, inverse=True), numbers)


@pytest.mark.parametrize("count", [10**6, 10**9, 2**62])
def test_it_permutes_any_count(way: str, count: int) -> None:
    numbers = np.unique(np.random.default_rng(1).integers(0, count, 500))
    permuted = permute(numbers, count, KEY)
    assert len(np.unique(permuted)) == len(numbers)
    assert 0 <= permuted.min() <= permuted.max() < count
    assert np.array_equal(permute(permuted, count, KEY, inverse=True), numbers)


@pytest.mark.parametrize("count", [1, 7, 300, 5000, 10**6])
def test_numbers_are_permuted_alike_alone_and_together(way: str, count: int) -> None:
    numbers = np.random.default_rng(2).integers(0, count, 40)
    together = permute(numbers, count, KEY)
    alone = [int(permute(np.array([number]), count, KEY)[0]) for number in numbers]
    assert together.tolist() == alone
    near = np.sort(numbers)[:5]
    assert permute(near, count, KEY).tolist() == [together[numbers == n][0] for n in near]


def test_the_numbers_given_stay_as_they_are(way: str) -> None:
    numbers = np.arange(10)
    permute(numbers, 10, KEY)
    assert numbers.tolist() == list(range(10))


def test_no_numbers_are_permuted(way: str) -> None:
    assert permute(np.empty(0, np.int64), 10, KEY).tolist() == []


@pytest.mark.skipif(not native.is_compiled, reason="there is no C")
def test_c_leaves_what_it_cannot_permute() -> None:
    for numbers, count, bits, key in (
        (np.array([10]), 10, 8, bytes(16)),  # not below the count
        (np.array([-1]), 10, 8, bytes(16)),
        (np.array([1]), 300, 8, bytes(16)),  # more than eight bits
        (np.array([1]), 0, 8, bytes(16)),
        (np.array([1]), 10, 63, bytes(16)),
        (np.array([1]), 10, 8, bytes(12)),
        (np.array([1], np.int32), 10, 8, bytes(16)),
        (b"12345678", 10, 8, bytes(16)),  # cannot be written
    ):
        assert native.permute(numbers, count, bits, key, False) is False


# Randomness: each figure is that of fixed keys, so it never varies; a permutation that is drawn
# fairly has a chance of one in several thousand to be beyond these limits.


def deviation(observed: np.ndarray, expected: float, freedom: int) -> float:
    """Return how many standard deviations chi-squared is from its mean."""
    return float((((observed - expected) ** 2 / expected).sum() - freedom) / sqrt(2 * freedom))


def drawn(count: int, number_of_keys: int) -> np.ndarray:
    """Return int64[keys, count]: permutations with different keys."""
    return np.stack([permute(np.arange(count), count, key) for key in SOME_KEYS[:number_of_keys]])


@pytest.mark.skipif(not native.is_compiled, reason="takes minutes without C")
@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_each_permutation_of_few_numbers_is_as_likely(count: int) -> None:
    permutations = drawn(count, 20_000) @ (count ** np.arange(count))
    _, observed = np.unique(permutations, return_counts=True)
    assert len(observed) == factorial(count)
    expected = len(permutations) / factorial(count)
    assert abs(deviation(observed, expected, factorial(count) - 1)) < 3.5


@pytest.mark.skipif(not native.is_compiled, reason="takes minutes without C")
@pytest.mark.parametrize("count", [6, 8, 10, 16, 17, 31, 32, 41, 64, 100, 128, 200])
def test_each_pair_of_places_has_each_pair_of_numbers_as_often(count: int) -> None:
    permutations = drawn(count, 20_000)
    for first, second in ((0, 1), (0, count // 2), (count - 2, count - 1), (1, count - 1)):
        pairs = permutations[:, first] * count + permutations[:, second]
        observed = np.bincount(pairs, minlength=count**2).reshape(count, count)
        assert not observed.diagonal().any()
        others = observed[~np.eye(count, dtype=bool)]
        expected = len(permutations) / len(others)
        assert abs(deviation(others, expected, len(others) - 1)) < 4


@pytest.mark.skipif(not native.is_compiled, reason="takes minutes without C")
@pytest.mark.parametrize("count", [10, 100, 256, 300])
def test_as_many_numbers_stay_in_place_as_in_fair_permutations(count: int) -> None:
    """One on average, with a variance of one."""
    staying = (drawn(count, 5000) == np.arange(count)).sum(1)
    assert abs(staying.mean() - 1) < 0.05
    assert abs(staying.var() - 1) < 0.08


@pytest.mark.skipif(not native.is_compiled, reason="takes minutes without C")
def test_neighbours_do_not_stay_near() -> None:
    steps = np.diff(permute(np.arange(100_000), 100_000, KEY)) % 100_000
    observed, _ = np.histogram(steps, bins=100, range=(0, 100_000))
    assert abs(deviation(observed, 999.99, 99)) < 3.5
