"""The arguments of readers are the same in all of them, and checked in one place."""

from __future__ import annotations

import inspect
import pickle
import re
from dataclasses import fields, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from conftest import READERS, ROOT, read_torch

from tfrec_cli.errors import UsageError
from tfrec_cli.reading.options import ReadOptions

OF_EPOCHS = {
    *("order_seed", "epochs", "batch_size", "shuffle", "shard", "even", "start"),
    *("drop_remainder", "parallel"),
}
LACKS: dict[str, set[str]] = {
    "read_tf.dataset": set(),
    "read_numpy.dataset": set(),
    "read_numpy.source": {"batch_size", "start", "drop_remainder", "parallel"},
    "read_torch.dataset": OF_EPOCHS,  # a DataLoader has these, and `read_torch.Order`
    "read_torch.stream": {"batch_size", "drop_remainder", "parallel"},  # a DataLoader has these
    "read_keras.dataset": {"epochs", "start"},  # `fit` has epochs, and begins with whole ones
}
HAS_MORE = {name: ["transform"] for name in LACKS}
HAS_MORE["read_tf.dataset"] = []  # it has map
HAS_MORE["read_torch.dataset"] = ["transform", "shuffle"]  # where shuffle only explains

OTHER: dict[str, Any] = {
    "mix": (("a", Fraction(1, 2)), ("b", Fraction(3, 2))),
    "split": "val",
    "image": "photo",
    "label": "target",
    "features": ("key", "day"),
    "sample_weight": "weight",
    "as_supervised": False,
    "one_hot": 7,
    "multi_hot": False,
    "crop": (5, 7),
    "crop_mode": "center",
    "seed": 11,
    "order_seed": 13,
    "epoch": 2,
    "epochs": 3,
    "batch_size": 4,
    "shuffle": True,
    "shard": (1, 6),
    "even": "drop",
    "start": 8,
    "flip": True,
    "brightness": 0.25,
    "views": 3,
    "dtype": "uint8",
    "channels": 1,
    "small": "pad",
    "missing": "skip",
    "drop_remainder": True,
    "parallel": 9,
}
"""For each argument, a value other than its default."""


@pytest.fixture(params=LACKS)
def reader(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def function(reader: str) -> Any:
    module, name = reader.split(".")
    return getattr(READERS[module], name)


def test_every_signature_repeats_the_options(reader: str) -> None:
    """Names, order, defaults and annotations, except for `LACKS` and `HAS_MORE`."""
    first, *parameters = inspect.signature(function(reader)).parameters.values()
    assert (first.name, first.annotation) == ("path", "str | os.PathLike[str] | Split | None")
    assert {one.kind for one in parameters} == {inspect.Parameter.KEYWORD_ONLY}
    more = HAS_MORE[reader]
    found = [(one.name, one.default, one.annotation) for one in parameters if one.name not in more]
    expected = [
        (field.name, field.default, field.type)
        for field in fields(ReadOptions)
        if field.name not in LACKS[reader]
    ]
    assert found == expected
    assert [one.name for one in parameters][len(expected) :] == more


def test_the_docs_say_which_reader_lacks_what() -> None:
    found: dict[str, set[str]] = {}
    for line in (ROOT / "docs/reading/index.md").read_text().splitlines():
        reader, _, rest = line.removeprefix("| `").partition("` | ")
        if reader in LACKS:
            found.setdefault(reader, set()).update(re.findall("`(.+?)`", rest.split(" | ")[0]))
    lacks = {**LACKS, "read_tf.dataset": {"transform"}}
    assert found == {reader: names for reader, names in lacks.items() if names}


def test_pytorchs_order_repeats_the_options() -> None:
    """Except that it shuffles by default, as its name says."""

    _, *parameters = inspect.signature(read_torch.Order).parameters.values()
    expected = {field.name: (field.default, field.type) for field in fields(ReadOptions)}
    expected["shuffle"] = (True, "Shuffle")
    assert [one.name for one in parameters] == ["shuffle", "order_seed", "shard", "even", "start"]
    for one in parameters:
        assert (one.default, one.annotation) == expected[one.name]


def test_every_argument_is_passed_on(monkeypatch: pytest.MonkeyPatch, reader: str) -> None:
    class CheckedError(Exception):
        pass

    def stop(options: ReadOptions) -> None:
        raise CheckedError(options)

    monkeypatch.setattr(ReadOptions, "__post_init__", stop)
    given = {name: value for name, value in OTHER.items() if name not in LACKS[reader]}
    with pytest.raises(CheckedError) as raised:
        function(reader)("nowhere", **given)
    (options,) = raised.value.args
    assert {name: getattr(options, name) for name in given} == given
    for field in fields(ReadOptions):
        assert field.name in given or getattr(options, field.name) == field.default


def test_the_other_values_are_not_the_defaults() -> None:
    assert [*OTHER] == [field.name for field in fields(ReadOptions)]
    same = [field.name for field in fields(ReadOptions) if field.default == OTHER[field.name]]
    assert same == ["multi_hot"]  # which cannot be combined with one_hot
    assert ReadOptions(**OTHER)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"split": 0}, "split: found 0, expected a string"),
        ({"image": 1}, "image: found 1, expected a string"),
        ({"label": 1}, "label: found 1, expected a string"),
        ({"features": "key"}, "features: found 'key', expected a list of names"),
        ({"features": [1]}, "features: found 1, expected a string"),
        ({"features": ["a", "a"]}, "features: found 'a' twice, expected it once"),
        ({"sample_weight": 1}, "sample_weight: found 1, expected a string"),
        ({"as_supervised": "no"}, "as_supervised: found 'no', expected True or False"),
        ({"one_hot": 0}, "one_hot: found 0, expected 1 to 1000000"),
        ({"multi_hot": "cat"}, "multi_hot: found 'cat', expected a whole number"),
        ({"multi_hot": ["a", "a"]}, "multi_hot: found 'a' twice, expected it once"),
        ({"multi_hot": []}, "multi_hot: found an empty list, expected all texts"),
        ({"multi_hot": {"a"}}, "multi_hot: found {'a'}, expected a list of names"),
        ({"multi_hot": {"a": 0}}, "multi_hot: found {'a': 0}, expected a list of names"),
        ({"features": {"a"}}, "features: found {'a'}, expected a list of names"),
        (
            {"one_hot": True, "multi_hot": 3},
            "one_hot: found multi_hot too, expected one of them",
        ),
        (
            {"sample_weight": "w", "features": ["key"]},
            "sample_weight: found features too, expected one of them or as_supervised=False",
        ),
        ({"missing": "pad"}, "missing: found 'pad', expected one of fail, skip"),
        ({"crop": "4"}, "crop: found '4', expected a number of pixels or (height, width)"),
        ({"crop": 8.5}, "crop: found 8.5, expected a number of pixels or (height, width)"),
        ({"crop": (8, 0)}, "crop: found 0, expected 1 or more"),
        ({"crop": (8, 8.5)}, "crop: found 8.5, expected a whole number"),
        ({"crop_mode": "middle"}, "crop_mode: found 'middle', expected one of random, center"),
        ({"batch_size": 0}, "batch_size: found 0, expected 1 or more"),
        ({"batch_size": 2.0}, "batch_size: found 2.0, expected a whole number"),
        ({"batch_size": "4"}, "batch_size: found '4', expected a whole number"),
        ({"batch_size": True}, "batch_size: found True, expected a whole number"),
        ({"shuffle": 1000}, "shuffle: found 1000, expected True or False"),
        ({"shuffle": None}, "shuffle: found None, expected True or False"),
        ({"flip": "no"}, "flip: found 'no', expected True or False"),
        ({"parallel": 0}, "parallel: found 0, expected 1 or more"),
        ({"start": -1}, "start: found -1, expected 0 or more"),
        ({"epochs": "3"}, "epochs: found '3', expected a whole number"),
        ({"shard": 3}, "shard: found 3, expected (i, n)"),
        ({"shard": (-1, 3)}, "shard: found -1, expected 0 or more"),
        ({"shard": (0, 2.5)}, "shard: found 2.5, expected a whole number"),
        ({"shard": (0, 0)}, "shard: found (0, 0), expected (i, n) with i below n"),
        ({"seed": "1"}, "seed: found '1', expected a whole number"),
        ({"seed": 1.5}, "seed: found 1.5, expected a whole number"),
        ({"epoch": 2**31 - 1, "epochs": 2}, "epoch: found 2147483648, expected 0 to 2147483647"),
        ({"brightness": "0.1"}, "brightness: found '0.1', expected a number"),
        ({"views": 0}, "views: found 0, expected 1 to 100"),
        ({"views": 224}, "views: found 224, expected 1 to 100"),
        ({"views": "2"}, "views: found '2', expected a whole number"),
        ({"views": True}, "views: found True, expected a whole number"),
        ({"views": 1.5}, "views: found 1.5, expected a whole number"),
        ({"dtype": float}, "dtype: found <class 'float'>, expected one of float32, uint8, uint16"),
        ({"seed": 2**32}, "seed: found 4294967296, expected 0 to 4294967295"),
        ({"brightness": -0.1}, "brightness: found -0.1, expected 0 to 1"),
        ({"brightness": float("nan")}, "brightness: found nan, expected 0 to 1"),
    ],
)
def test_bad_values_are_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        ReadOptions(**asked)
    assert str(raised.value) == message


def test_changed_options_are_checked_too() -> None:
    with pytest.raises(UsageError, match="epoch: found -1"):
        replace(ReadOptions(), epoch=-1)


@pytest.mark.parametrize("number", [8, np.int64(8)])
def test_a_number_is_a_square_crop(number: Any) -> None:
    size = ReadOptions(crop=number).crop_size
    assert (size, repr(size)) == ((8, 8), "(8, 8)")


@pytest.mark.parametrize("pair", [(5, 6), [5, 6], np.array([5, 6]), tuple(np.array([5, 6]))])
def test_a_pair_may_be_any_sequence_of_two_integers(pair: Any) -> None:
    options = ReadOptions(crop=pair, shard=pair)
    assert (repr(options.crop_size), repr(options.host)) == ("(5, 6)", "(5, 6)")


def test_numbers_of_numpy_become_numbers_of_python() -> None:
    given = {"seed": 3, "epoch": 4, "epochs": 5, "batch_size": 6, "start": 7, "views": 8}
    given["parallel"] = 9
    options = ReadOptions(**{name: np.uint16(value) for name, value in given.items()})
    assert options == ReadOptions(**given)
    assert {type(getattr(options, name)) for name in given} == {int}


def test_options_can_be_pickled() -> None:
    options = ReadOptions(**OTHER)
    assert pickle.loads(pickle.dumps(options)) == options
