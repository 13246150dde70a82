"""Train a small Keras network with flips, brightness and dropout; print a digest of its weights.

    python train_keras.py DATASET [center|random]

On one machine the same arguments end with the same weights. DATASET has labels, and holds crops of
64x64 or whole images: with centre crops, the same weights again.
"""

import hashlib
import os
import sys

if __name__ == "__main__" and len(sys.argv) not in (2, 3):
    sys.exit(__doc__)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import keras

from tfrec_cli import determinism, read_tf

CROP, EPOCHS, SEED = 64, 10, 42


def train(path, crop_mode="center"):
    """Return the digest of the weights, and the losses and accuracies of the epochs."""
    images = read_tf.dataset(
        path,
        crop=CROP,
        crop_mode=crop_mode,
        seed=SEED,
        epochs=None,
        shuffle=True,
        batch_size=8,
        flip=True,
        brightness=0.2,
    )
    if not images.num_classes:
        sys.exit(f"{path}: found no names of classes, expected a dataset with labels")
    model = keras.Sequential(
        [
            keras.Input((CROP, CROP, 3)),
            keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
            keras.layers.Conv2D(32, 3, strides=2, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dropout(0.3, seed=SEED),
            keras.layers.Dense(images.num_classes),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    steps = images.steps_per_epoch
    trained = model.fit(images, epochs=EPOCHS, steps_per_epoch=steps, shuffle=False, verbose=0)
    weights = b"".join(weight.tobytes() for weight in model.get_weights())
    return hashlib.sha256(weights).hexdigest(), trained.history["loss"], trained.history["accuracy"]


if __name__ == "__main__":
    print(determinism.seed_everything(SEED), file=sys.stderr)
    digest, losses, accuracies = train(*sys.argv[1:])
    print("loss    ", *(f"{loss:.2f}" for loss in losses))
    print("accuracy", *(f"{accuracy:.2f}" for accuracy in accuracies))
    print("weights ", digest)
