"""The table of clients: their packages, and what is run of each.

Knows: names and versions of packages. Must not know: how a client reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from . import clients
from .clients import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One row of the table.

    Attributes:
        packages: those whose versions the table shows.
        runs: what is run, in words, and the function that does it, with the dataset's folder.
        environment: variables that its process needs.
        is_heavy: a package is in none of the groups that `make test` installs.
    """

    packages: tuple[str, ...]
    runs: Mapping[str, Run]
    environment: Mapping[str, str] = field(default_factory=dict)
    is_heavy: bool = False


_FEEDS = {
    "`fit` on `read_keras`": partial(clients.keras, feed=clients.keras_read_keras),
    "`fit` on `read_tf`": partial(clients.keras, feed=clients.keras_read_tf),
    "`fit` on a `DataLoader`": partial(clients.keras, feed=clients.keras_loader),
    "`fit` on Grain": partial(clients.keras, feed=clients.keras_grain),
    "`fit` on a generator of `read_numpy`": partial(clients.keras, feed=clients.keras_read_numpy),
}


def _keras(backend: str, package: str, *, is_heavy: bool = False) -> Client:
    return Client(
        packages=("keras", package),
        runs=_FEEDS,
        environment={"KERAS_BACKEND": backend},
        is_heavy=is_heavy,
    )


CLIENTS: Mapping[str, Client] = {
    "tf.data": Client(
        packages=("tensorflow",),
        runs={
            "`read_tf.dataset`": clients.read_tf,
            "`TFRecordDataset` and `tf.image.stateless_random_crop`": clients.tf_data,
        },
    ),
    "TFDS": Client(
        packages=("tensorflow-datasets", "tensorflow"),
        runs={"`builder_from_directory` and `tf.image.stateless_random_crop`": clients.tfds},
    ),
    "Keras on TensorFlow": _keras("tensorflow", "tensorflow"),
    "Keras on PyTorch": _keras("torch", "torch"),
    "Keras on JAX": _keras("jax", "jax", is_heavy=True),
    "PyTorch": Client(
        packages=("torch",),
        runs={
            "`DataLoader` without workers": clients.data_loader,
            "2 workers, `fork`": partial(clients.data_loader, workers=2, start="fork"),
            "2 workers, `spawn`": partial(clients.data_loader, workers=2, start="spawn"),
            "`read_torch.stream` without workers": clients.stream,
            "its 2 workers, `fork`": partial(clients.stream, workers=2, start="fork"),
            "its 2 workers, `spawn`": partial(clients.stream, workers=2, start="spawn"),
        },
    ),
    "torchvision": Client(
        packages=("torchvision", "torch"),
        runs={"v2 `ToImage`, `ToDtype(float32, scale=True)` as `transform`": clients.torchvision},
        is_heavy=True,
    ),
    "timm": Client(
        packages=("timm", "torchvision", "torch"),
        runs={
            "`create_loader(use_prefetcher=False)`, 2 workers": clients.timm,
            "`create_loader`, 2 workers": clients.timm_prefetcher,
        },
        is_heavy=True,
    ),
    "Accelerate": Client(
        packages=("accelerate", "torch"),
        runs={
            "`prepare` of a `DataLoader`, 1 process": clients.accelerate,
            "2 processes": clients.accelerate_processes,
        },
        is_heavy=True,
    ),
    "Transformers": Client(
        packages=("transformers", "torch"),
        runs={
            "`Trainer.train` without workers": clients.trainer,
            "2 workers": partial(clients.trainer, workers=2),
        },
        is_heavy=True,
    ),
    "HF Datasets": Client(
        packages=("datasets",),
        runs={
            "`Dataset.from_generator`": clients.hf_generator,
            "`with_transform`": clients.hf_transform,
        },
        is_heavy=True,
    ),
    "Grain": Client(
        packages=("grain",),
        runs={
            "`MapDataset.source`": clients.grain,
            "`DataLoader` with 2 workers": clients.grain_workers,
        },
    ),
}
