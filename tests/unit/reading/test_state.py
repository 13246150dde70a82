"""The state of a run: another run goes on exactly where it stopped."""

from __future__ import annotations

import json
import warnings
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import class_files, fill

from tfrec_cli import read_numpy
from tfrec_cli.commands.write import write
from tfrec_cli.errors import UsageError
from tfrec_cli.writing.options import WriteOptions


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a dataset of 13 records."""
    root = tmp_path_factory.mktemp("state")
    write(fill(root / "images", class_files()), root / "out", WriteOptions(shards=3))
    return root / "out"


def opened(out: Path, **options: Any) -> read_numpy.Batches:
    drawn = {"crop": 16, "seed": 5, "shuffle": True, "flip": True, "features": ["filename"]}
    return read_numpy.dataset(**{"path": out, **drawn, **options})


def plain(sample: Any) -> Any:
    image, label, more = sample
    return image.tobytes(), np.asarray(label).tolist(), np.asarray(more["filename"]).tolist()


def resumed(train: read_numpy.Batches, saved: dict[str, Any]) -> list[Any]:
    iterator = iter(train)
    iterator.load_state_dict(json.loads(json.dumps(saved)))
    return [plain(sample) for sample in iterator]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_size": 4},
        {"batch_size": 4, "drop_remainder": True},
        {"batch_size": 4, "epoch": 7, "epochs": 3, "start": 5},
        {"batch_size": 2, "shard": (1, 3), "even": "repeat", "epochs": 2},
        {"batch_size": 3, "shuffle": "blocks", "order_seed": 9, "epochs": 2},
        {"shuffle": False, "epochs": 2},
    ],
    ids=str,
)
def test_a_run_goes_on_after_any_step(out: Path, options: dict[str, Any]) -> None:
    train = opened(out, **options)
    whole = [plain(sample) for sample in train]
    assert len(whole) == len(train)
    iterator = iter(opened(out, **options))
    for step in range(len(whole) + 1):
        saved = iterator.state_dict()
        assert resumed(opened(out, **options), saved) == whole[step:], step
        if step < len(whole):
            assert plain(next(iterator)) == whole[step]
    assert list(iterator) == []


def test_the_end_of_an_epoch_is_the_beginning_of_the_next(out: Path) -> None:
    iterator = iter(opened(out, batch_size=4, epochs=2))
    states = [iterator.state_dict(), *(iterator.state_dict() for _ in iterator)]
    places = [(state["epoch"], state["position"]) for state in states]
    assert places[:6] == [(0, 0), (0, 4), (0, 8), (0, 12), (1, 0), (1, 4)]
    assert places[-1] == (2, 0)


def test_a_run_without_end_goes_on(out: Path) -> None:
    train = opened(out, batch_size=4, epochs=None)
    whole = [plain(sample) for sample in islice(train, 12)]
    iterator = iter(train)
    assert [plain(sample) for sample in islice(iterator, 7)] == whole[:7]
    again = iter(opened(out, batch_size=4, epochs=None))
    again.load_state_dict(iterator.state_dict())
    assert [plain(sample) for sample in islice(again, 5)] == whole[7:]


def test_other_hosts_go_on(out: Path) -> None:
    """Three hosts stop after a step of two records; two hosts read the rest."""
    whole = [plain(sample) for sample in opened(out, even="drop")]
    hosts = [iter(opened(out, even="drop", shard=(host, 3), batch_size=2)) for host in range(3)]
    for host in hosts:
        next(host)
    (saved,) = {json.dumps(host.state_dict()) for host in hosts}
    rest = [
        resumed(opened(out, even="drop", shard=(host, 2)), json.loads(saved)) for host in range(2)
    ]
    assert [one for step in zip(*rest, strict=True) for one in step] == whole[6:12]


def test_a_mixture_goes_on(out: Path) -> None:
    mix: dict[str, Any] = {"path": None, "mix": [(out, 2), (out, 1)], "epochs": 2}
    whole = [plain(sample) for sample in opened(out, **mix)]
    iterator = iter(opened(out, **mix))
    assert [plain(sample) for sample in islice(iterator, 17)] == whole[:17]
    saved = iterator.state_dict()
    assert resumed(opened(out, **mix), saved) == whole[17:]
    other = {**saved, "records": [12, 14]}  # as many in all
    with pytest.raises(UsageError, match=r"found records \[12, 14\], expected \[13, 13\]"):
        resumed(opened(out, **mix), other)
    with pytest.raises(UsageError, match="found mix None, expected"):
        resumed(opened(out, **mix), {**saved, "mix": None})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 6}, "found seed 6, expected 5: it is the state of another order"),
        ({"shuffle": False}, "found shuffle False, expected True: it is the state of another"),
        ({"records": 14}, "found records 14, expected 13: it is the state of another order"),
        ({"epoch": 4}, "found epoch 4, but epochs 1 to 2 are read"),
        ({"epoch": 0}, "found epoch 0, but epochs 1 to 2 are read"),
        ({"epoch": -1}, "epoch: found -1, expected 0 to"),
        ({"position": -4}, "position: found -4, expected 0 or more"),
        ({"position": "4"}, "position: found '4', expected a whole number"),
    ],
)
def test_the_state_of_another_run_is_refused(
    out: Path, change: dict[str, Any], message: str
) -> None:
    train = opened(out, epoch=1, epochs=2)
    saved = iter(train).state_dict()
    iterator = iter(train)
    with pytest.raises(UsageError) as raised:
        iterator.load_state_dict({**saved, **change})
    assert message in str(raised.value)
    assert len([*iterator]) == 26


def test_what_is_no_state_is_refused(out: Path) -> None:
    for state in ({}, {"epoch": 0}, None, 3):
        with pytest.raises(UsageError, match="expected what state_dict"):
            iter(opened(out)).load_state_dict(state)


def test_no_position_is_known_if_records_may_be_skipped(out: Path) -> None:
    iterator = iter(opened(out, crop=50, small="skip"))
    with pytest.raises(UsageError, match="records may be skipped, so that no position is known"):
        iterator.state_dict()
    with pytest.raises(UsageError, match="records may be skipped, so that no position is known"):
        iterator.load_state_dict({})


def test_going_on_is_no_second_reading(out: Path) -> None:
    train = opened(out, batch_size=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        iterator = iter(train)
        next(iterator)
        saved = iterator.state_dict()
        assert len(resumed(train, saved)) == 3


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, []),
        ({"shuffle": True, "flip": True}, ["shuffle True", "flip True"]),
        ({"order_seed": 3, "shuffle": "blocks"}, ["order_seed 3", "shuffle blocks"]),
        ({"shard": (1, 2), "even": "drop"}, ["shard (1, 2)", "even drop"]),
        ({"crop_mode": "center", "dtype": "uint8"}, ["crop_mode center", "dtype uint8"]),
        ({"brightness": 0.5, "label": None}, ["label None", "brightness 0.5"]),
    ],
)
def test_a_source_tells_every_option(out: Path, options: dict[str, Any], told: list[str]) -> None:
    """Grain compares it, and so refuses the checkpoint of another source."""
    facts = ["13 records", "crop 16x16", "seed 5", "epochs 0 to 1", *told]
    source = read_numpy.source(out, crop=16, seed=5, epochs=2, **options)
    assert repr(source) == f"<tfrec source {out}, split train: {', '.join(facts)}>"
