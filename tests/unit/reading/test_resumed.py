"""A training with TensorFlow that stopped and resumed ends with the weights of one that did not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, class_files, fill, needs

from tfrec_cli.commands.write import write
from tfrec_cli.writing.options import WriteOptions as Options

pytestmark = [pytest.mark.slow, needs("tensorflow", "keras")]

# Prints the digest of the weights after four epochs, whole and resumed, for each way to resume.
TRAIN = """
import hashlib, json, sys
from pathlib import Path
import keras
import tensorflow as tf
from tfrec_cli import determinism, read_keras, read_tf

data, work = sys.argv[1], Path(sys.argv[2])
options = {"crop": 33, "seed": 7, "batch_size": 4, "shuffle": True, "flip": True}
EPOCHS = 4

def model(seed=1):
    determinism.seed_everything(seed)
    made = keras.Sequential([
        keras.Input((33, 33, 3)), keras.layers.Conv2D(4, 3), keras.layers.GlobalMaxPooling2D(),
        keras.layers.Dropout(0.3, seed=5), keras.layers.Dense(3),
    ])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile("adam", loss)
    return made

def digest(made):
    return hashlib.sha256(b"".join(one.tobytes() for one in made.get_weights())).hexdigest()

class SeedDropout(keras.callbacks.Callback):  # as in docs/reading/keras.md
    def on_epoch_begin(self, epoch, logs=None):
        for layer in self.model.layers:
            if hasattr(layer, "seed_generator"):
                layer.seed_generator.state.assign([42, epoch * 2**20])

def fit(made, first=0, callbacks=(), **asked):
    train = read_tf.dataset(data, epoch=first, epochs=None, **options)
    made.fit(
        train, epochs=EPOCHS, steps_per_epoch=train.steps_per_epoch, shuffle=False, verbose=0,
        callbacks=[SeedDropout(), *callbacks], **asked,
    )
    return digest(made)

def fit_batches(made, first=0, callbacks=()):
    train = read_keras.dataset(data, **options)
    callbacks = [read_keras.SetEpoch(train), SeedDropout(), *callbacks]
    made.fit(train, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=callbacks)
    return digest(made)

class Killed(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (2, 1):
            raise KeyboardInterrupt

def restarted(fit, name):
    backup = lambda: keras.callbacks.BackupAndRestore(str(work / name))
    try:
        fit(model(), callbacks=[Killed(), backup()])
    except KeyboardInterrupt:
        pass
    noted = json.loads((work / name / "training_metadata.json").read_text())
    return fit(model(seed=2), first=noted["epoch"], callbacks=[backup()])

def continued():
    half = model()
    train = read_tf.dataset(data, epochs=None, **options)
    asked = {"steps_per_epoch": train.steps_per_epoch, "callbacks": [SeedDropout()]}
    half.fit(train, epochs=2, shuffle=False, verbose=0, **asked)
    half.save(work / "half.keras")
    determinism.seed_everything(2)
    return fit(keras.models.load_model(work / "half.keras"), first=2, initial_epoch=2)

def loop(made, steps, restore=None, save=None):
    train = read_tf.dataset(data, epochs=None, **options).map(lambda image, label: (image, label))
    iterator = iter(train)
    made.optimizer.build(made.trainable_variables)
    variables = [one.value for one in made.variables + made.optimizer.variables]
    state = tf.train.Checkpoint(variables=variables, iterator=iterator)
    if restore:
        state.read(restore).assert_consumed()
    for _ in range(steps):
        made.train_on_batch(*next(iterator))
    return state.write(str(work / "state")) if save else digest(made)

print(json.dumps({
    "fit": [fit(model()), fit_batches(model()), restarted(fit, "of-tf"),
            restarted(fit_batches, "of-keras"), continued()],
    "loop": [loop(model(), 16), loop(model(2), 10, restore=loop(model(), 6, save=True))],
}))
"""


def test_a_resumed_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    write(fill(tmp_path / "images", class_files()), tmp_path / "out", Options(shards=3, jobs=1))
    (tmp_path / "train.py").write_text(TRAIN)
    ran = subprocess.run(
        [sys.executable, tmp_path / "train.py", tmp_path / "out", tmp_path],
        env={**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    assert "Warning" not in ran.stderr
    for way, digests in json.loads(ran.stdout).items():
        assert len(set(digests)) == 1, (way, digests)
