"""The reader for Keras gives TensorFlow's batches; each epoch of `fit` has those of its number."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, needs, read_keras

from tfrec_cli import read_numpy
from tfrec_cli.commands.write import write
from tfrec_cli.errors import DataError, UsageError
from tfrec_cli.writing.options import WriteOptions as Options

pytestmark = needs("keras")

CROP = (33, 38)


def train(whole: Path, **options: Any) -> Any:
    given = {"crop": CROP, "seed": 42, "batch_size": 4, "shuffle": True, **options}
    return read_keras.dataset(whole, **given)


def expected(whole: Path, **options: Any) -> list[Any]:
    given = {"crop": CROP, "seed": 42, "batch_size": 4, "shuffle": True, **options}
    return list(read_numpy.dataset(whole, **given))


def same(ours: Any, theirs: Any) -> bool:
    return len(ours) == len(theirs) and all(map(np.array_equal, ours, theirs))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"epoch": 2, "flip": True, "brightness": 0.3, "parallel": 1},
        {
            "shuffle": False,
            "shard": (1, 3),
            "batch_size": 1,
            "dtype": "uint8",
            "crop_mode": "center",
        },
        {"drop_remainder": True, "one_hot": True, "sample_weight": "height"},
        {"crop": 90, "small": "pad"},
        {"transform": lambda image: image[:5]},
    ],
)
def test_batches_are_those_of_the_other_readers(whole: Path, options: dict[str, Any]) -> None:
    ours, theirs = train(whole, **options), expected(whole, **options)
    assert len(ours) == len(theirs)
    assert all(same(one, right) for one, right in zip(ours, theirs, strict=True))
    for index in (2, 0, -1, 0, 1):
        assert same(ours[index], theirs[index])
    for index in (len(ours), -len(ours) - 1):
        with pytest.raises(IndexError):
            ours[index]


def test_threads_get_the_batches_that_they_ask_for(whole: Path) -> None:
    ours, theirs = train(whole, batch_size=1), expected(whole, batch_size=1)
    order = [*range(13), *range(0, 13, 2), *range(13)]
    with ThreadPoolExecutor(5) as pool:
        got = list(pool.map(ours.__getitem__, order))
    assert all(same(one, theirs[index]) for one, index in zip(got, order, strict=True))


def test_set_epoch_gives_the_batches_of_that_epoch(whole: Path) -> None:
    ours = train(whole)
    assert ours[0]
    for epoch in (3, 0):
        ours.set_epoch(epoch)
        assert ours.epoch == epoch
        theirs = expected(whole, epoch=epoch)
        assert same(ours[1], theirs[1])  # not what was read ahead
        assert all(same(one, right) for one, right in zip(ours, theirs, strict=True))
    with pytest.raises(UsageError, match="epoch: found -1"):
        ours.set_epoch(-1)


def test_damage_is_raised_again_and_again(whole: Path, tmp_path: Path) -> None:
    write(whole.parent / "images", tmp_path / "out", Options(jobs=1))
    shard = next((tmp_path / "out").glob("*.tfrecord"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    ours = train(tmp_path / "out", shuffle=False)
    for _ in range(2):
        with pytest.raises(DataError, match=r"train-00000-of-00001.tfrecord: at byte \d+"):
            list(ours)
    assert ours[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": None}, "batch_size: found None, expected a number: Keras reads batches"),
        ({"small": "skip"}, "small: found 'skip', expected 'fail' or 'pad'"),
        ({"crop": None}, r"expected crop=\(height, width\)$"),
    ],
)
def test_what_keras_cannot_read_is_refused(
    whole: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        train(whole, **options)


def test_a_dataset_is_shown_on_one_line(whole: Path) -> None:
    facts = "13 records, crop 33x38, seed 42, epoch 0, shuffle True, batches of 4"
    assert repr(train(whole)) == f"<tfrec dataset {whole}, split train: {facts}>"


def test_set_epoch_wants_a_dataset() -> None:
    with pytest.raises(UsageError, match=r"found list, expected what read_keras\.dataset returns"):
        read_keras.SetEpoch([1])


def test_many_epochs_without_their_number_give_a_warning(whole: Path) -> None:
    ours, val = train(whole), train(whole, shuffle=False, crop_mode="center")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(4):
            ours.on_epoch_begin()
            val.on_epoch_begin()
    (one,) = said
    assert str(one.message) == (
        f"{whole}, split train: epoch 0 is read again, with the same order and crops: "
        "expected fit(…, callbacks=[read_keras.SetEpoch(dataset)])"
    )
    ours.set_epoch(1)
    for _ in range(4):
        ours.on_epoch_begin()


def test_epochs_after_those_of_set_epoch_give_a_warning_too(whole: Path) -> None:
    """As in a notebook, where one cell forgets the callback."""
    ours = train(whole)
    tell = read_keras.SetEpoch(ours)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for epoch in range(4):
            tell.on_epoch_begin(epoch)
            ours.on_epoch_begin()
            ours.on_epoch_begin()  # for validation
    with pytest.warns(UserWarning, match="epoch 3 is read again, with the same order and crops"):
        ours.on_epoch_begin()


# Trains one layer, which keeps the first image of its batch, and prints of which epoch of
# read_numpy, and which batch there, each of these images is.
FIT = """
import json, sys
import numpy as np
import keras
from tfrec_cli import read_keras, read_numpy

path, backend = sys.argv[1:]
assert keras.backend.backend() == backend
options = {"crop": 33, "seed": 7, "batch_size": 4, "shuffle": True}

class Mean(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.seen = self.add_weight(shape=(33, 33, 3), trainable=False)
        self.scale = self.add_weight(shape=(3,))

    def call(self, images, training=None):
        if training:
            self.seen.assign(images[0])
        return keras.ops.mean(images, (1, 2)) * self.scale

class Collect(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(keras.ops.convert_to_numpy(self.model.layers[-1].seen).tobytes())

def model():
    made = keras.Sequential([Mean()])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile("sgd", loss, run_eagerly=True)
    return made

known = {
    images[0].tobytes(): (epoch, number)
    for epoch in range(5)
    for number, (images, _) in enumerate(read_numpy.dataset(path, epoch=epoch, **options))
}

def fit(made, **asked):
    train = asked.pop("train", None) or read_keras.dataset(path, **options)
    val = read_keras.dataset(path, crop=33, batch_size=8)
    collected = Collect()
    collected.seen = []
    more = asked.pop("callbacks", [])
    asked = {"shuffle": False, "verbose": 0, **asked}
    callbacks = [read_keras.SetEpoch(train), collected, *more]
    made.fit(train, validation_data=val, callbacks=callbacks, **asked)
    assert val.epoch == 0
    return [known[one] for one in collected.seen]

def refused(**asked):
    try:
        fit(model(), **asked)
    except Exception as error:
        return str(error)

class Killed(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt

class Stop(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = batch == 1

said = {}
one = model()
said["unbuilt"] = fit(one, epochs=2)
train = read_keras.dataset(path, **options)
said["stopped"] = fit(one, train=train, epochs=3, callbacks=[Stop()])
one.evaluate(train, verbose=0)
said["resumed"] = fit(one, train=train, epochs=5, initial_epoch=3)
backup = lambda: keras.callbacks.BackupAndRestore(path + "-backup")
try:
    fit(one, epochs=4, callbacks=[Killed(), backup()])
except KeyboardInterrupt:
    pass
said["restarted"] = fit(one, epochs=4, callbacks=[backup()])
said["predicted"] = one.predict(read_keras.dataset(path, label=None, **options), verbose=0).shape
said["errors"] = [
    refused(epochs=3, shuffle=True), refused(epochs=1, steps_per_epoch=2),
    refused(epochs=1, train=read_keras.dataset(path, epoch=2, **options)),
]
said["modules"] = [name for name in ("tensorflow", "torch", "jax") if name in sys.modules]
print(json.dumps(said))
"""


def run(program: str, folder: Path, *words: str, backend: str = "torch") -> Any:
    """Run a program in its own process, and return what it prints."""
    (folder / "program.py").write_text(program)
    ran = subprocess.run(
        [sys.executable, str(folder / "program.py"), *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": backend},
        stdout=subprocess.PIPE,
        check=True,
        timeout=120,
    )
    return json.loads(ran.stdout)


@pytest.mark.parametrize(
    "backend",
    [
        pytest.param("torch", marks=needs("torch")),
        pytest.param("tensorflow", marks=needs("tensorflow")),
        pytest.param("jax", marks=needs("jax")),
    ],
)
def test_each_epoch_of_fit_has_the_batches_of_its_number(
    whole: Path, tmp_path: Path, backend: str
) -> None:
    said = run(FIT, tmp_path, str(whole), backend, backend=backend)
    every = range(4)
    assert said["unbuilt"] == [[epoch, batch] for epoch in (0, 1) for batch in every]
    assert said["stopped"] == [[0, 0], [0, 1]]
    assert said["resumed"] == [[epoch, batch] for epoch in (3, 4) for batch in every]
    assert said["restarted"] == [[epoch, batch] for epoch in (2, 3) for batch in every]
    assert said["predicted"] == [13, 3]
    shuffled, steps, first = said["errors"]
    assert "shuffle: fit changes the order of batches, expected fit(…, shuffle=False)" in shuffled
    assert steps == "steps_per_epoch: found 2, expected None: an epoch has 4 batches"
    assert first == (
        "epoch: found 2, but fit begins with epoch 0, expected fit(…, initial_epoch=2)"
    )
    assert backend in said["modules"]
    assert backend == "tensorflow" or "tensorflow" not in said["modules"]


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("keras", "Keras is not installed: pip install 'tfrec-cli[keras]'"),
        ("torch", "Keras 3 does not load: No module named 'torch.utils'; 'torch' is not a package"),
    ],
)
def test_without_keras_the_extra_is_named(tmp_path: Path, missing: str, message: str) -> None:
    program = f"""
import json, sys
sys.modules[{missing!r}] = None
from tfrec_cli.errors import MissingExtraError
try:
    import tfrec_cli.read_keras
except MissingExtraError as error:
    print(json.dumps(str(error)))
"""
    assert run(program, tmp_path) == message
