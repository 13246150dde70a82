"""How each client is given a dataset, and the values that it ends up with.

Knows: other packages' interfaces, each imported by the function that needs it. Must not know: what
the values should be.

Each function reads epoch 0, then epoch 1, and yields (image, label): image is float32 or uint8
[height, width, 3].
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Pair = tuple[npt.NDArray[Any], int]
Run = Callable[[str], Iterator[Pair]]

EPOCHS = (0, 1)
ARGS: Mapping[str, Any] = {"crop": 32, "seed": 42}
BATCH = 8


def _pairs(batches: Iterable[Any]) -> Iterator[Pair]:
    """Take batches of images and labels apart."""
    for images, labels in batches:
        yield from zip(np.array(images), np.array(labels).tolist(), strict=True)


def _planar(batches: Iterable[Any]) -> Iterator[Pair]:
    """Take batches apart whose images have their channels first."""
    for image, label in _pairs(batches):
        yield image.transpose(1, 2, 0), label


# TensorFlow


def read_tf(folder: str) -> Iterator[Pair]:
    from tfrec_cli import read_tf

    for epoch in EPOCHS:
        dataset = read_tf.dataset(folder, epoch=epoch, shuffle=True, batch_size=BATCH, **ARGS)
        yield from _pairs(dataset.as_numpy_iterator())


def _window(image: Any, key: Any, epoch: int) -> Any:
    """Cut the crop that every reader documents."""
    import tensorflow as tf

    seed = (ARGS["seed"] + epoch * 2**32, key)
    return tf.image.stateless_random_crop(image, (ARGS["crop"], ARGS["crop"], 3), seed=seed)


def tf_data(folder: str) -> Iterator[Pair]:
    import tensorflow as tf

    spec = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
        "key": tf.io.FixedLenFeature([], tf.int64),
    }
    files = sorted(map(str, Path(folder).glob("train-*.tfrecord")))
    for epoch in EPOCHS:
        for record in tf.data.TFRecordDataset(files):
            one = tf.io.parse_single_example(record, spec)
            image = tf.io.decode_jpeg(one["image"], channels=3, dct_method="INTEGER_ACCURATE")
            yield _window(image, one["key"], epoch).numpy(), int(one["label"])


def tfds(folder: str) -> Iterator[Pair]:
    import tensorflow as tf
    import tensorflow_datasets

    @tensorflow_datasets.decode.make_decoder()
    def exact(image: Any, feature: Any) -> Any:
        return tf.io.decode_jpeg(image, channels=3, dct_method="INTEGER_ACCURATE")

    builder = tensorflow_datasets.builder_from_directory(folder)
    for epoch in EPOCHS:
        dataset = builder.as_dataset(split="train", decoders={"image": exact()})
        for one in dataset:
            yield _window(one["image"], one["key"], epoch).numpy(), int(one["label"])


# PyTorch


def _loader(folder: str, *, workers: int = 0, start: str | None = None, **options: Any) -> Any:
    """Make a loader of our dataset in our order; `loader.dataset.set_epoch` sets the epoch."""
    from torch.utils.data import DataLoader

    from tfrec_cli import read_torch

    dataset = read_torch.dataset(folder, **ARGS, **options)
    return DataLoader(
        dataset,
        BATCH,
        sampler=read_torch.Order(dataset),
        num_workers=workers,
        multiprocessing_context=start,
        persistent_workers=workers > 0,
    )


def _each_epoch(loader: Any) -> Iterator[Any]:
    for epoch in EPOCHS:
        loader.dataset.set_epoch(epoch)
        yield from loader


def data_loader(folder: str, workers: int = 0, start: str | None = None) -> Iterator[Pair]:
    yield from _planar(_each_epoch(_loader(folder, workers=workers, start=start)))


def stream(folder: str, workers: int = 0, start: str | None = None) -> Iterator[Pair]:
    from torch.utils.data import DataLoader

    from tfrec_cli import read_torch

    dataset = read_torch.stream(folder, **ARGS)
    loader = DataLoader(dataset, BATCH, num_workers=workers, multiprocessing_context=start)
    yield from _planar(_each_epoch(loader))


def torchvision(folder: str) -> Iterator[Pair]:
    """Values from 0 to 255, which torchvision turns into float32."""
    import torch
    from torchvision.transforms import v2

    change = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.ToPureTensor()])
    yield from _planar(_each_epoch(_loader(folder, dtype="uint8", transform=change)))


def timm(folder: str) -> Iterator[Pair]:
    """timm's transform divides by std 0.5: values come doubled, which is exact and undone here."""
    import torch
    from timm.data import create_loader

    from tfrec_cli import read_torch

    dataset = read_torch.dataset(folder, **ARGS)
    loader = create_loader(
        dataset,
        ARGS["crop"],
        BATCH,
        is_training=True,
        no_aug=True,
        mean=(0.0, 0.0, 0.0),
        std=(0.5, 0.5, 0.5),
        device=torch.device("cpu"),
        use_prefetcher=False,
        num_workers=2,
    )
    for epoch in EPOCHS:
        dataset.set_epoch(epoch)
        for image, label in _planar(loader):
            yield image / 2, label


def timm_prefetcher(folder: str) -> Iterator[Pair]:
    """timm's prefetcher takes values from 0 to 255, and makes them float32."""
    import torch
    from timm.data import create_loader

    from tfrec_cli import read_torch

    dataset = read_torch.dataset(folder, dtype="uint8", **ARGS)
    loader = create_loader(
        dataset,
        ARGS["crop"],
        BATCH,
        is_training=True,
        no_aug=True,
        mean=(0.0, 0.0, 0.0),
        std=(1 / 255, 1 / 255, 1 / 255),
        device=torch.device("cpu"),
        num_workers=2,
    )
    for epoch in EPOCHS:
        dataset.set_epoch(epoch)
        for image, label in _planar(loader):
            yield image.astype(np.uint8), label


def accelerate(folder: str) -> Iterator[Pair]:
    from accelerate import Accelerator

    loader = Accelerator(cpu=True).prepare(_loader(folder))
    for epoch in EPOCHS:
        loader.set_epoch(epoch)
        yield from _planar(loader)


def accelerate_processes(folder: str) -> Iterator[Pair]:
    from accelerate import debug_launcher

    with tempfile.TemporaryDirectory() as out:
        debug_launcher(_accelerate_process, (folder, out), num_processes=2)
        for epoch in EPOCHS:
            with np.load(f"{out}/{epoch}.npz") as found:
                yield from _planar([(found["images"], found["labels"])])


def _accelerate_process(folder: str, out: str) -> None:
    """Read this process's share, gather all, and save them."""
    import torch
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    loader = accelerator.prepare(_loader(folder))
    for epoch in EPOCHS:
        loader.set_epoch(epoch)
        images, labels = zip(*map(accelerator.gather_for_metrics, loader), strict=True)
        if accelerator.is_main_process:
            np.savez(f"{out}/{epoch}.npz", images=torch.cat(images), labels=torch.cat(labels))


def trainer(folder: str, workers: int = 0) -> Iterator[Pair]:
    """Trainer shuffles by itself, and sets the epoch."""
    import torch
    from transformers import Trainer, TrainingArguments

    from tfrec_cli import read_torch

    seen = []

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))

        def forward(self, image: Any, labels: Any) -> Any:
            seen.append((image.clone(), labels.clone()))
            return {"loss": self.weight * image.mean()}

    dataset = read_torch.dataset(folder, as_supervised=False, **ARGS)
    with tempfile.TemporaryDirectory() as out:
        arguments = TrainingArguments(
            out,
            num_train_epochs=len(EPOCHS),
            per_device_train_batch_size=BATCH,
            dataloader_num_workers=workers,
            use_cpu=True,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        Trainer(Model(), arguments, train_dataset=dataset).train()
    yield from _planar(seen)


# Any framework


def _source(folder: str, **options: Any) -> Any:
    from tfrec_cli import read_numpy

    return read_numpy.source(folder, shuffle=True, **ARGS, **options)


def grain(folder: str) -> Iterator[Pair]:
    import grain

    source = _source(folder, epochs=len(EPOCHS))
    yield from _pairs(grain.MapDataset.source(source).batch(BATCH).to_iter_dataset())


def grain_workers(folder: str) -> Iterator[Pair]:
    """Beside JAX, Grain's workers look at flags, which `absl.app.run` parses in a program."""
    import grain
    from absl import flags

    flags.FLAGS.mark_as_parsed()
    for epoch in EPOCHS:
        source = _source(folder, epoch=epoch)
        sampler = grain.samplers.IndexSampler(len(source), shuffle=False, num_epochs=1)
        yield from grain.DataLoader(data_source=source, sampler=sampler, worker_count=2)


def keras(folder: str, feed: Callable[[str], tuple[Any, Mapping[str, Any]]]) -> Iterator[Pair]:
    """Fit a model, and note what its loss is given."""
    import keras

    seen: list[Any] = []

    def note(images: Any, labels: Any) -> None:
        seen.append((np.array(images), np.array(labels)))

    class Model(keras.Sequential):
        def compute_loss(self, x: Any, y: Any, y_pred: Any, *_: Any, **__: Any) -> Any:
            if keras.backend.backend() == "jax":
                import jax

                jax.debug.callback(note, x, y, ordered=True)
            else:
                note(*map(keras.ops.convert_to_numpy, (x, y)))
            return keras.ops.mean(y_pred)

    model = Model([keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(1)])
    model.compile("sgd", run_eagerly=keras.backend.backend() != "jax")
    data, options = feed(folder)
    model.fit(data, epochs=len(EPOCHS), verbose=0, shuffle=False, **options)
    yield from _pairs(seen)


def keras_read_tf(folder: str) -> tuple[Any, Mapping[str, Any]]:
    from tfrec_cli import read_tf

    epochs = len(EPOCHS)
    data = read_tf.dataset(folder, epochs=epochs, shuffle=True, batch_size=BATCH, **ARGS)
    return data, {"steps_per_epoch": len(data) // epochs}


def keras_read_numpy(folder: str) -> tuple[Any, Mapping[str, Any]]:
    from tfrec_cli import read_numpy

    epochs = len(EPOCHS)
    data = read_numpy.dataset(folder, epochs=epochs, shuffle=True, batch_size=BATCH, **ARGS)
    return (batch for batch in data), {"steps_per_epoch": data.steps_per_epoch}


def keras_read_keras(folder: str) -> tuple[Any, Mapping[str, Any]]:
    from tfrec_cli import read_keras

    data = read_keras.dataset(folder, shuffle=True, batch_size=BATCH, **ARGS)
    return data, {"callbacks": [read_keras.SetEpoch(data)]}


def keras_loader(folder: str) -> tuple[Any, Mapping[str, Any]]:
    """Channels come last, and Keras sets the epoch."""
    from keras.callbacks import LambdaCallback

    loader = _loader(folder, transform=lambda image: image.permute(1, 2, 0))
    each = LambdaCallback(on_epoch_begin=lambda epoch, logs: loader.dataset.set_epoch(epoch))
    return loader, {"callbacks": [each]}


def keras_grain(folder: str) -> tuple[Any, Mapping[str, Any]]:
    import grain

    data = grain.MapDataset.source(_source(folder, epochs=len(EPOCHS))).batch(BATCH)
    return data.to_iter_dataset(), {"steps_per_epoch": len(data) // len(EPOCHS)}


def hf_generator(folder: str) -> Iterator[Pair]:
    import datasets

    features = datasets.Features(
        {
            "image": datasets.Array3D((ARGS["crop"], ARGS["crop"], 3), "float32"),
            "label": datasets.Value("int64"),
        }
    )
    with tempfile.TemporaryDirectory() as cache:
        for epoch in EPOCHS:
            source = _source(folder, epoch=epoch, as_supervised=False)
            dataset = datasets.Dataset.from_generator(
                _samples, features, cache, gen_kwargs={"source": source}
            )
            for one in dataset.with_format("numpy"):
                yield one["image"], int(one["label"])


def _samples(source: Any) -> Iterator[Any]:
    for number in range(len(source)):
        yield source[number]


def hf_transform(folder: str) -> Iterator[Pair]:
    """A dataset of numbers; a sample is read when it is asked for."""
    import datasets

    for epoch in EPOCHS:
        source = _source(folder, epoch=epoch)

        def read(batch: Any, source: Any = source) -> Any:
            images, labels = zip(*source.__getitems__(batch["number"]), strict=True)
            return {"image": images, "label": labels}

        dataset = datasets.Dataset.from_dict({"number": list(range(len(source)))})
        for one in dataset.with_transform(read):
            yield one["image"], int(one["label"])
