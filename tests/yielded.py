"""What the readers yield, in one form, so that it can be compared bit for bit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from conftest import READERS, torch_data

WAYS = (
    "read_numpy.dataset",
    "read_numpy.dataset, batches",
    "read_numpy.source",
    "read_tf.dataset",
    "read_tf.dataset, batches",
    "read_torch.dataset",
    "read_torch.dataset, batches",
    "read_torch.stream",
    "read_keras.dataset, batches",
)
"""Each reader, with and without batches if it has both."""

OF_EPOCHS = ("shuffle", "order_seed", "shard", "even", "start")


def records(way: str, path: Path, **options: Any) -> list[Any]:
    """Read a dataset in one way: a tuple or dictionary for each record.

    Images are [height, width, channels]; each value is (type, shape, bytes), bytes, or a list of
    bytes.
    """
    name, _, batches = way.partition(", ")
    module, function = name.split(".")
    if name == "read_torch.dataset":
        return [*_by_torch(path, bool(batches), options)]
    if batches:
        options["batch_size"] = 2
    by_number = function == "source" or module == "read_keras"
    first = options.pop("start", 0) if by_number else 0
    opened = getattr(READERS[module], function)(path, **options)
    read = (opened[index] for index in range(len(opened))) if by_number else opened
    return [_plain(one) for some in read for one in (_rows(some) if batches else [some])][first:]


def digest(way: str, path: Path, **options: Any) -> str:
    """Digest what is read in one way."""
    return hashlib.sha256(repr(records(way, path, **options)).encode()).hexdigest()


def _by_torch(path: Path, batches: bool, options: dict[str, Any]) -> Iterator[Any]:
    module = READERS["read_torch"]
    of_order = {name: options.pop(name) for name in OF_EPOCHS if name in options}
    opened = module.dataset(path, **options)
    order = module.Order(opened, **{"shuffle": False, **of_order})
    if not batches:
        yield from (_plain(opened[number]) for number in order)
        return
    loader = torch_data.DataLoader(opened, 2, sampler=order, collate_fn=opened.collate)
    for some in loader:
        yield from map(_plain, _rows(_with_tuples(some)))


def _with_tuples(batch: Any) -> Any:
    """Make tuples of the lists that PyTorch makes of tuples: of a sample, of several views."""
    if isinstance(batch, dict):
        image = batch["image"]
        return {**batch, "image": tuple(image) if isinstance(image, list) else image}
    if not isinstance(batch, list):
        return batch
    image, *rest = (list(one) if isinstance(one, tuple) else one for one in batch)
    return (tuple(image) if isinstance(image, list) else image, *rest)


def _rows(batch: Any) -> list[Any]:
    """Take a batch apart."""
    if isinstance(batch, dict):
        columns = zip(*map(_rows, batch.values()), strict=True)
        return [dict(zip(batch, row, strict=True)) for row in columns]
    if isinstance(batch, tuple):
        return [*zip(*map(_rows, batch), strict=True)]
    count = len(batch) if hasattr(batch, "__len__") else batch.shape[0]
    return [batch[row] for row in range(count)]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if isinstance(value, list):
        return list(map(_plain, value))
    is_torch = type(value).__module__ == "torch"
    value = value.numpy() if hasattr(value, "numpy") else value
    if isinstance(value, bytes):
        return value
    array = np.asarray(value)
    if array.dtype == object:
        return array.tolist()
    if is_torch and array.ndim == 3:
        array = np.moveaxis(array, 0, -1)
    return array.dtype.name, array.shape, array.tobytes()
