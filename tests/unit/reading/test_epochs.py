"""Epochs without end, steps in an epoch, and the warning that an epoch is read again."""

from __future__ import annotations

import warnings
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import READERS, missing, read_keras, read_tf, read_torch, tf

from tfrec_cli import read_numpy
from tfrec_cli.commands.write import write
from tfrec_cli.errors import UsageError
from tfrec_cli.writing.options import WriteOptions as Options


@pytest.fixture(params=["read_tf.dataset", "read_numpy.dataset"])
def dataset(request: pytest.FixtureRequest) -> Any:
    module, name = request.param.split(".")
    if module == "read_tf" and missing("tensorflow"):
        pytest.skip(missing("tensorflow"))
    return getattr(READERS[module], name)


def images(batches: Any, count: int | None = None) -> list[Any]:
    return [np.asarray(batch[0]) for batch in islice(iter(batches), count)]


@pytest.mark.parametrize("options", [{"batch_size": 4}, {}, {"batch_size": 5, "start": 7}])
def test_epochs_without_end_follow_each_other(
    whole: Path, dataset: Any, options: dict[str, Any]
) -> None:
    options = {"crop": 20, "seed": 3, "shuffle": True, "epoch": 2, **options}
    three = images(read_numpy.dataset(whole, epochs=3, **options))
    endless = images(dataset(whole, epochs=None, **options), len(three))
    assert all(map(np.array_equal, endless, three))


def test_a_stream_of_pytorch_may_be_without_end(whole: Path) -> None:
    options: dict[str, Any] = {"crop": 20, "seed": 3, "shuffle": True}
    three = images(read_torch.stream(whole, epochs=3, **options))
    endless = read_torch.stream(whole, epochs=None, **options)
    assert all(map(np.array_equal, images(endless, 39), three))
    with pytest.raises(TypeError, match="no length: epochs=None has no end"):
        len(endless)


def test_without_end_there_is_no_length(whole: Path, dataset: Any) -> None:
    endless = dataset(whole, crop=20, batch_size=4, epochs=None)
    with pytest.raises(TypeError):
        len(endless)
    if dataset is not read_numpy.dataset:
        assert endless.cardinality() == tf.data.INFINITE_CARDINALITY
        assert endless.map(lambda image, _: image).cardinality() == tf.data.INFINITE_CARDINALITY


def test_the_last_epochs_are_read(whole: Path, dataset: Any) -> None:
    """The numbers of epochs end at 2**31 - 1."""
    last = dataset(whole, crop=20, batch_size=13, epoch=2**31 - 2, epochs=None)
    assert len(images(last)) == 2


@pytest.mark.parametrize(
    "options", [{"shard": (13, 14)}, {"batch_size": 14, "drop_remainder": True}]
)
def test_empty_epochs_without_end_are_refused(
    whole: Path, dataset: Any, options: dict[str, Any]
) -> None:
    with pytest.raises(UsageError) as refused:
        dataset(whole, crop=20, epochs=None, **options)
    expected = "epochs: found None, but an epoch has nothing for this host to read"
    assert str(refused.value) == expected


def test_a_source_has_an_end(whole: Path) -> None:
    with pytest.raises(UsageError) as refused:
        read_numpy.source(whole, crop=20, epochs=None)
    assert str(refused.value) == "epochs: found None, expected a number: a source has a length"


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"batch_size": 4}, 4),
        ({"batch_size": 4, "epochs": None, "start": 9}, 4),
        ({"batch_size": 4, "epochs": 3, "drop_remainder": True}, 3),
        ({"batch_size": 2, "shard": (1, 3)}, 2),
        ({"epochs": 2}, 13),
    ],
)
def test_steps_are_the_batches_of_an_epoch(
    whole: Path, dataset: Any, options: dict[str, Any], steps: int
) -> None:
    assert dataset(whole, crop=20, **options).steps_per_epoch == steps


def test_steps_of_keras_are_the_batches_of_an_epoch(whole: Path) -> None:
    assert read_keras.dataset(whole, crop=20, batch_size=4, shard=(0, 2)).steps_per_epoch == 2


def test_steps_are_not_known_if_records_may_be_skipped(whole: Path, dataset: Any) -> None:
    skipping = dataset(whole, crop=50, small="skip", batch_size=4, epochs=None)
    with pytest.raises(AttributeError, match="not known if records may be skipped"):
        _ = skipping.steps_per_epoch


def texts_of(reading: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        reading()
    return [str(one.message) for one in caught]


DRAWN: list[dict[str, Any]] = [
    {},  # crops
    {"crop": None, "batch_size": None, "shuffle": True},
    {"crop_mode": "center", "flip": True},
    {"crop_mode": "center", "brightness": 0.1},
    {"crop_mode": "center", "features": ["seed"]},
    {"epochs": 2},
]


@pytest.mark.parametrize("options", DRAWN)
def test_what_is_drawn_and_read_again_gives_one_warning(
    whole: Path, dataset: Any, options: dict[str, Any]
) -> None:
    options = {"crop": 20, "batch_size": 1, "epoch": 1, "parallel": 2, **options}
    batches = dataset(whole, **options)
    assert texts_of(lambda: images(batches)) == []
    assert texts_of(lambda: [images(batches) for _ in range(3)]) == [
        f"{whole}, split train: epoch 1 is read again, with the same order and crops: expected "
        "epochs=None, or a dataset for each epoch; for validation crop_mode='center'"
    ]


@pytest.mark.parametrize("options", [{"crop": 20, "crop_mode": "center"}, {"batch_size": None}])
def test_what_is_not_drawn_can_be_read_again(
    whole: Path, dataset: Any, options: dict[str, Any]
) -> None:
    batches = dataset(whole, **{"batch_size": 4, **options})
    assert texts_of(lambda: [images(batches) for _ in range(3)]) == []


def test_stored_crops_are_not_drawn(whole: Path, tmp_path: Path, dataset: Any) -> None:
    write(whole.parent / "images", tmp_path / "out", Options(crop=(36, 36), jobs=1))
    stored, cut = (dataset(tmp_path / "out", crop=crop) for crop in (None, 36))
    assert texts_of(lambda: [images(stored), images(stored), images(cut), images(cut)]) == []


def test_a_look_at_the_first_batch_is_no_epoch(whole: Path, dataset: Any) -> None:
    for options in ({"batch_size": 1, "epochs": None}, {"batch_size": 4}):
        batches = dataset(whole, crop=20, shuffle=True, parallel=2, **options)
        assert texts_of(partial(images, batches, 1)) == []
        assert texts_of(partial(images, batches, 40)) == []


def test_a_loaded_state_gives_no_warning(whole: Path) -> None:
    batches = read_numpy.dataset(whole, crop=20, shuffle=True, batch_size=4)
    first = iter(batches)
    next(first)
    state = first.state_dict()

    def resume() -> None:
        resumed = iter(batches)
        resumed.load_state_dict(state)
        list(resumed)

    assert texts_of(lambda: [*first, resume(), resume(), iter(batches)]) == []
    assert len(texts_of(lambda: list(batches))) == 1


@pytest.mark.skipif(bool(missing("tensorflow")), reason="needs TensorFlow")
def test_derived_datasets_of_tensorflow_give_the_warning_too(whole: Path) -> None:
    batches = read_tf.dataset(whole, crop=20, shuffle=True).map(lambda *both: both).batch(4)
    assert len(texts_of(lambda: [images(batches) for _ in range(3)])) == 1
