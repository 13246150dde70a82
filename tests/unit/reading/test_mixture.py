"""Mixtures: each dataset is read as it is alone, and as often as its weight says."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import READERS, class_files, fill, needs
from hypothesis import given, settings
from hypothesis import strategies as st
from yielded import WAYS, digest

from tfrec_cli import read_numpy
from tfrec_cli.commands.write import write
from tfrec_cli.errors import UsageError
from tfrec_cli.reading.mixture import SHARES, Mixture, shares
from tfrec_cli.reading.options import ReadOptions, Shuffle
from tfrec_cli.reading.order import draw, host_count
from tfrec_cli.writing.options import WriteOptions


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        (["1"], (1,)),
        (["1", "1"], (1, 1)),
        (["0.7", "0.3"], (7, 3)),
        (["2", "4", "6"], (1, 2, 3)),
        (["0.5", "0.25", "0.125"], (4, 2, 1)),
        (["65535", "1"], (65535, 1)),
        (["1281167", "50000"], (63074, 2462)),
        (["1000000", "1"], (65536, 1)),
        (["1e-300", "1"], (1, 65536)),
    ],
)
def test_weights_become_whole_shares(weights: list[str], expected: tuple[int, ...]) -> None:
    assert shares([Fraction(weight) for weight in weights]) == expected


def test_weights_are_exact_where_they_can_be() -> None:
    weights = [Fraction(1, 3), Fraction(1, 5), Fraction(7, 15)]
    assert shares(weights) == (5, 3, 7)
    assert sum(shares([Fraction(str(number)) for number in (0.1, 0.2, 0.7)])) == 10
    assert sum(shares([Fraction(3, 7 * 10**6), Fraction(1)])) <= SHARES + 1


mixtures = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 9)), min_size=1, max_size=4).map(
    lambda members: Mixture(*map(tuple, zip(*members, strict=True)))  # type: ignore[arg-type]
)
shuffles = st.sampled_from([False, True, "blocks"])


def alone(mixture: Mixture, options: ReadOptions, end: int) -> list[list[tuple[int, int]]]:
    """Return what each dataset yields without the others: (number, epoch)."""
    read: list[list[tuple[int, int]]] = []
    for member, size in enumerate(mixture.sizes):
        first = sum(mixture.sizes[:member])
        read.append([])
        for epoch in range(-(-end // size)):
            one = draw(size, options, epoch, range(size))
            read[-1] += [(first + number, epoch) for number in one.numbers.tolist()]
    return read


@settings(deadline=None, derandomize=True, max_examples=60)
@given(mixtures, shuffles, st.integers(0, 3), st.integers(0, 200))
def test_each_dataset_is_read_as_it_is_alone(
    mixture: Mixture, shuffle: Shuffle, seed: int, begin: int
) -> None:
    options = ReadOptions(shuffle=shuffle, seed=seed)
    count = mixture.count
    epochs = [draw(mixture, options, epoch, range(count)) for epoch in range(4)]
    numbers = np.concatenate([one.numbers for one in epochs]).tolist()
    own_epochs = np.concatenate([one.epochs for one in epochs]).tolist()
    read: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for number, epoch in zip(numbers, own_epochs, strict=True):
        member = int(np.searchsorted(np.cumsum(mixture.sizes), number, side="right"))
        read[member].append((number, epoch))
    expected = alone(mixture, options, 4 * count)
    for member, samples in read.items():
        assert samples == expected[member][: len(samples)]
    begin %= count
    part = draw(mixture, options, 2, range(begin, count, 3))
    assert part.numbers.tolist() == numbers[2 * count + begin : 3 * count : 3]
    assert part.epochs.tolist() == own_epochs[2 * count + begin : 3 * count : 3]


@settings(deadline=None, derandomize=True, max_examples=60)
@given(mixtures, st.one_of(st.none(), st.integers(0, 9)), st.integers(0, 10**12))
def test_weights_are_met_in_every_stretch(mixture: Mixture, seed: int | None, begin: int) -> None:
    total = sum(mixture.shares)
    stretch = total * (-(-2048 // total))
    members, passed = mixture.members(begin + np.arange(stretch), seed)
    found = np.bincount(members, minlength=len(mixture.sizes)) / stretch
    wanted = np.array(mixture.shares) / total
    assert np.abs(found - wanted).max() <= (1 if seed is None else 1024) * 2 / stretch
    for member in np.unique(members).tolist():
        own = passed[members == member]
        assert np.array_equal(own, own[0] + np.arange(len(own)))


def test_turns_are_even_if_nothing_is_shuffled() -> None:
    members, _ = Mixture((9, 9), (3, 1)).members(np.arange(8), None)
    assert members.tolist() == [0, 0, 1, 0, 0, 0, 1, 0]


def test_turns_are_drawn_if_records_are_shuffled() -> None:
    mixture = Mixture((9, 9), (3, 1))
    turns = [mixture.members(np.arange(2048), seed)[0].tolist() for seed in (0, 1)]
    assert turns[0] != turns[1]
    assert turns[0][:1024] != turns[0][1024:]


def test_hosts_share_a_mixture() -> None:
    mixture = Mixture((7, 4), (2, 1))
    options = ReadOptions(shuffle=True, even="repeat")
    whole = draw(mixture, options, 3, range(11)).numbers.tolist()
    read = []
    for host in range(3):
        own = replace(options, shard=(host, 3))
        read.append(draw(mixture, own, 3, range(host_count(11, own))).numbers.tolist())
    assert [one for step in zip(*read, strict=True) for one in step] == [*whole, whole[0]]


# Readers


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return datasets of 3 and of 10 records."""
    root, files = tmp_path_factory.mktemp("mixture"), class_files()
    few = {"cats/420.jpg", "dogs/422.jpg", "owls/plain.png"}
    for name, of_both in product(("few", "more"), [files]):
        chosen = {path: data for path, data in of_both.items() if (path in few) == (name == "few")}
        write(fill(root / "images" / name, chosen), root / name, WriteOptions(shards=2))
    return [root / "few", root / "more"]


def names_read(epochs: int = 1, **options: Any) -> list[str]:
    read = read_numpy.dataset(
        epochs=epochs, crop=20, features=["filename"], as_supervised=False, **options
    )
    return [one["filename"].decode() for one in read]


def test_an_epoch_has_as_many_records_as_all_datasets(folders: list[Path]) -> None:
    few, more = folders
    mix = [(few, 1), (more, 1)]
    read = read_numpy.dataset(mix=mix, crop=20)
    assert len(read) == len(list(read)) == 13
    assert repr(read).startswith(f"<tfrec dataset {few}, split train and {more}, split train: 13 ")
    assert read.class_names == ("cats", "dogs", "owls")
    assert len(read.targets) == 13
    names = names_read(mix=mix, epochs=2)
    own = {name: names_read(path=path) for name, path in zip("fm", folders, strict=True)}
    assert [one for one in names if one in own["f"]] == (own["f"] * 5)[:13]
    assert [one for one in names if one in own["m"]] == (own["m"] * 5)[:13]


def test_crops_are_those_of_each_dataset_alone(folders: list[Path]) -> None:
    """A record that comes again has the crop of the next epoch of its dataset."""
    options: dict[str, Any] = {"crop": 20, "seed": 4, "shuffle": True, "flip": True, "views": 2}
    options["features"] = ["filename", "seed"]
    mixed = read_numpy.dataset(mix=[(folders[0], 2), (folders[1], 1)], epochs=3, **options)
    alone = [[*read_numpy.dataset(folder, epochs=20, **options)] for folder in folders]
    taken = [0, 0]
    for images, label, more in mixed:
        of_few = more["filename"] in (b"cats/420.jpg", b"dogs/422.jpg", b"owls/plain.png")
        member = 0 if of_few else 1
        own_images, own_label, own_more = alone[member][taken[member]]
        taken[member] += 1
        assert (label, more["filename"]) == (own_label, own_more["filename"])
        assert np.array_equal(more["seed"], own_more["seed"])
        assert all(map(np.array_equal, images, own_images))
    assert sum(taken) == 39
    assert taken[0] > taken[1] > 10


@needs("tensorflow", "torch")
@pytest.mark.parametrize("batched", [{}, {"shuffle": True, "seed": 3}, {"epoch": 5}])
def test_all_readers_mix_alike(folders: list[Path], batched: dict[str, Any]) -> None:
    mix = [(folders[0], 0.5), (folders[1], 1.5)]
    options = {"crop": (16, 20), "features": ["filename", "seed"], "flip": True, **batched}
    found = {way: digest(way, None, mix=mix, **options) for way in WAYS}
    assert len(set(found.values())) == 1, found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "mix: found neither `path` nor `mix`, expected one of the two"),
        ({"path": "x", "mix": [("y", 1)]}, "mix: found `path` too, expected one of the two"),
        ({"mix": []}, "mix: found [], expected a list of (path, weight)"),
        ({"mix": "out"}, "mix: found 'out', expected a list of (path, weight)"),
        ({"mix": ["out"]}, "mix: found ['out'], expected a list of (path, weight)"),
        ({"mix": {"out": 1}}, "mix: found {'out': 1}, expected a list of (path, weight)"),
        ({"mix": [("out", 0)]}, "mix: found the weight 0, expected more than 0"),
        ({"mix": [("out", -1.5)]}, "mix: found -1.5, expected 0 to 1e+18"),
        ({"mix": [("out", "1")]}, "mix: found '1', expected a number"),
        ({"mix": [("out", float("nan"))]}, "mix: found nan, expected 0 to 1e+18"),
    ],
)
@needs("tensorflow", "torch")
def test_what_cannot_be_mixed_is_refused(arguments: dict[str, Any], message: str) -> None:
    for module in READERS.values():
        with pytest.raises(UsageError) as raised:
            module.dataset(**arguments)
        assert str(raised.value) == message.replace("`", "")


def test_datasets_that_differ_are_refused(folders: list[Path], tmp_path: Path) -> None:
    other = fill(tmp_path / "images", {"dogs/x.jpg": class_files()["cats/420.jpg"]})
    write(other, tmp_path / "out", WriteOptions())
    with pytest.raises(UsageError) as raised:
        read_numpy.dataset(mix=[(folders[0], 1), (tmp_path / "out", 1)], crop=20)
    assert str(raised.value) == (
        f"mix: found other class names in {tmp_path / 'out'}, split train than in "
        f"{folders[0]}, split train, expected the same"
    )
