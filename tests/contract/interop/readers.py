"""How each reader opens a dataset, as its own documentation says.

Knows: other packages' interfaces, each imported by the function that needs it. Must not know: what
the records should hold, and tfrec, but for its own readers.
"""

from __future__ import annotations

import importlib.metadata
import io
import runpy
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """One split of one dataset, as everybody may know it.

    Attributes:
        image, label, filename: names of features.
        crop: [height, width] of crops stored as raw rows, in pixels; else None.
    """

    dataset: str
    folder: str
    name: str
    image: str
    label: str
    filename: str
    crop: tuple[int, int] | None

    def files(self, ending: str) -> list[str]:
        """Return the paths of the split's shards or indexes, in order."""
        return sorted(map(str, Path(self.folder).glob(f"{self.name}-*{ending}")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What a reader gave of one record.

    Attributes:
        pixels: uint8[height, width, 3].
        filename: None where the reader does not give it; then records come in the shards' order.
        image: the stored bytes; None where the reader does not give them.
    """

    pixels: Pixels
    label: int
    filename: bytes | None = None
    image: bytes | None = None


def tf_data(split: Split) -> Iterator[Read]:
    """TensorFlow alone."""
    import tensorflow as tf

    spec = {
        split.image: tf.io.FixedLenFeature([], tf.string),
        split.label: tf.io.FixedLenFeature([], tf.int64),
        split.filename: tf.io.FixedLenFeature([], tf.string),
    }

    def parse(record: Any) -> Any:
        one = tf.io.parse_single_example(record, spec)
        image = one[split.image]
        if split.crop:
            pixels = tf.reshape(tf.io.decode_raw(image, tf.uint8), [*split.crop, 3])
        else:
            pixels = tf.io.decode_jpeg(image, channels=3, dct_method="INTEGER_ACCURATE")
        return pixels, one[split.label], one[split.filename], image

    dataset = tf.data.TFRecordDataset(split.files(".tfrecord")).map(parse)
    for pixels, label, filename, image in dataset.as_numpy_iterator():
        yield Read(pixels=pixels, label=int(label), filename=filename, image=image)


def tfds(split: Split) -> Iterator[Read]:
    """TFDS as it comes, beside the same without decoding."""
    import tensorflow_datasets

    builder = tensorflow_datasets.builder_from_directory(split.folder)
    skip = {split.image: tensorflow_datasets.decode.SkipDecoding()}
    decoded, stored = (
        builder.as_dataset(split=split.name, decoders=decoders).as_numpy_iterator()
        for decoders in (None, skip)
    )
    for one, raw in zip(decoded, stored, strict=True):
        assert one[split.filename] == raw[split.filename]
        yield Read(
            pixels=one[split.image],
            label=int(one[split.label]),
            filename=one[split.filename],
            image=raw[split.image],
        )


def tfds_halves(split: Split) -> Iterator[Read]:
    """TFDS again: two halves, (image, label), and a decoder that is exact."""
    import tensorflow as tf
    import tensorflow_datasets

    @tensorflow_datasets.decode.make_decoder()
    def exact(image: Any, feature: Any) -> Any:
        return tf.io.decode_jpeg(image, channels=3, dct_method="INTEGER_ACCURATE")

    builder = tensorflow_datasets.builder_from_directory(split.folder)
    for half in (f"{split.name}[:50%]", f"{split.name}[50%:]"):
        dataset = builder.as_dataset(
            split=half,
            as_supervised=True,
            decoders=None if split.crop else {split.image: exact()},
            read_config=tensorflow_datasets.ReadConfig(interleave_cycle_length=1),
        )
        for pixels, label in dataset.as_numpy_iterator():
            yield Read(pixels=pixels, label=int(label))


def vahidk(split: Split) -> Iterator[Read]:
    """vahidk/tfrecord, shard by shard, from a random record on as it does."""
    from tfrecord.torch.dataset import TFRecordDataset

    for shard, index in zip(split.files(".tfrecord"), split.files(".tfindex"), strict=True):
        for one in TFRecordDataset(shard, index, _described(split)):
            yield _by_pillow(split, one)


def vahidk_multi(split: Split) -> Iterator[Read]:
    """vahidk/tfrecord, all shards together."""
    from tfrecord.torch.dataset import MultiTFRecordDataset

    shards = split.files(".tfrecord")
    parts = {Path(shard).stem.removeprefix(f"{split.name}-"): 1.0 for shard in shards}
    pattern = f"{split.folder}/{split.name}-{{}}"
    dataset = MultiTFRecordDataset(
        f"{pattern}.tfrecord", f"{pattern}.tfindex", parts, _described(split), infinite=False
    )
    for one in dataset:
        yield _by_pillow(split, one)


def vahidk_workers(split: Split) -> Iterator[Read]:
    """vahidk/tfrecord in PyTorch's DataLoader, where two workers share each shard by its index."""
    from tfrecord.torch.dataset import TFRecordDataset
    from torch.utils.data import DataLoader

    for shard, index in zip(split.files(".tfrecord"), split.files(".tfindex"), strict=True):
        dataset = TFRecordDataset(shard, index, _described(split))
        for one in DataLoader(dataset, batch_size=None, num_workers=2):
            yield _by_pillow(split, one)


def _described(split: Split) -> dict[str, str]:
    return {split.image: "byte", split.label: "int", split.filename: "byte"}


def _by_pillow(split: Split, one: Mapping[str, Any]) -> Read:
    image = bytes(one[split.image])
    return Read(
        pixels=np.frombuffer(image, np.uint8).reshape(*split.crop, 3)
        if split.crop
        else np.asarray(Image.open(io.BytesIO(image)).convert("RGB")),
        label=int(one[split.label][0]),
        filename=bytes(one[split.filename]),
        image=image,
    )


def dali(split: Split) -> Iterator[Read]:
    """DALI on the CPU."""
    from nvidia.dali import fn, pipeline_def, tfrecord, types

    batch = 8

    @pipeline_def(batch_size=batch, num_threads=2, device_id=None)
    def pipeline() -> Any:
        one = fn.readers.tfrecord(
            path=split.files(".tfrecord"),
            index_path=split.files(".tfindex"),
            features={
                split.image: tfrecord.FixedLenFeature((), tfrecord.string, ""),
                split.label: tfrecord.FixedLenFeature([1], tfrecord.int64, -1),
                split.filename: tfrecord.FixedLenFeature((), tfrecord.string, ""),
            },
            name="records",
        )
        image = one[split.image]
        if split.crop:
            pixels = fn.reshape(image, shape=[*split.crop, 3])
        else:
            pixels = fn.decoders.image(image, device="cpu", output_type=types.RGB)
        return pixels, one[split.label], one[split.filename], image

    built = pipeline()
    built.build()
    left = built.epoch_size("records")
    while left > 0:
        outputs = built.run()
        for row in range(min(batch, left)):
            pixels, label, filename, image = (np.array(output.at(row)) for output in outputs)
            yield Read(
                pixels=pixels,
                label=int(label[0]),
                filename=filename.tobytes(),
                image=image.tobytes(),
            )
        left -= batch


def vahidk_index(shard: str, index: str) -> None:
    """`python -m tfrecord.tools.tfrecord2idx SHARD INDEX`."""
    with _argv(shard, index):
        runpy.run_module("tfrecord.tools.tfrecord2idx", run_name="__main__")


def dali_index(shard: str, index: str) -> None:
    """`tfrecord2idx SHARD INDEX`, the script of DALI."""
    files = importlib.metadata.files("nvidia-dali-cuda120") or []
    (script,) = (file.locate() for file in files if file.name == "tfrecord2idx")
    with _argv(shard, index):
        runpy.run_path(str(script), run_name="__main__")


@contextmanager
def _argv(*words: str) -> Iterator[None]:
    """Give these words to a script, and no TensorFlow: DALI's script loads it for remote files."""
    before, sys.argv = sys.argv, ["tfrecord2idx", *words]
    sys.modules["tensorflow"] = None
    try:
        yield
    finally:
        sys.argv = before
        del sys.modules["tensorflow"]


def read_tf(split: Split) -> Iterator[Read]:
    """tfrec's reader for TensorFlow."""
    from tfrec_cli import read_tf

    dataset = read_tf.dataset(split.folder, split=split.name, dtype="uint8")
    for pixels, label in dataset.as_numpy_iterator():
        yield Read(pixels=pixels, label=int(label))


def read_torch(split: Split) -> Iterator[Read]:
    """tfrec's reader for PyTorch, in a DataLoader with two workers."""
    from torch.utils.data import DataLoader

    from tfrec_cli import read_torch

    dataset = read_torch.dataset(split.folder, split=split.name, dtype="uint8")
    for image, label in DataLoader(dataset, batch_size=None, num_workers=2):
        yield Read(pixels=image.numpy().transpose(1, 2, 0), label=int(label))


def read_numpy(split: Split) -> Iterator[Read]:
    """tfrec's reader without a framework."""
    from tfrec_cli import read_numpy

    for pixels, label in read_numpy.dataset(split.folder, split=split.name, dtype="uint8"):
        yield Read(pixels=pixels, label=int(label))


def grain(split: Split) -> Iterator[Read]:
    """Grain, by tfrec's source."""
    import grain

    from tfrec_cli import read_numpy

    source = read_numpy.source(split.folder, split=split.name, dtype="uint8")
    for pixels, label in grain.MapDataset.source(source).to_iter_dataset():
        yield Read(pixels=pixels, label=int(label))


READERS: Mapping[str, Mapping[str, Callable[[Split], Iterator[Read]]]] = {
    "tensorflow": {"tf.data": tf_data, "read_tf": read_tf},
    "tfds": {"TFDS": tfds, "TFDS, exact decoder": tfds_halves},
    "vahidk": {
        "vahidk/tfrecord": vahidk,
        "vahidk/tfrecord, all shards": vahidk_multi,
        "vahidk/tfrecord, 2 workers": vahidk_workers,
    },
    "torch": {"read_torch, 2 workers": read_torch},
    "grain": {"read_numpy": read_numpy, "Grain": grain},
    "dali": {"DALI": dali},
}
"""What runs in one process, and the rows that it fills: vahidk/tfrecord and TensorFlow register
the same protobuf messages, and cannot live together."""


INDEXERS: Mapping[str, Mapping[str, Callable[[str, str], None]]] = {
    "vahidk": {"index of vahidk/tfrecord": vahidk_index},
    "dali": {"index of DALI": dali_index},
}
"""Programs that write the index file of a shard, by the process they run in."""

OTHERWISE = {"TFDS": "TensorFlow's default, not INTEGER_ACCURATE"}
"""Readers that decode JPEG otherwise, and how: no others may."""
