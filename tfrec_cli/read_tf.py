"""The reader for TensorFlow: a ``tf.data.Dataset`` with crops drawn from seed, epoch and key.

Knows: TensorFlow, as the only module that imports it. Must not know: click, writing.

A crop depends only on (seed, epoch, record key, view), the order of records on (seed, epoch).
Nothing here has state: no shuffle buffer, no global seed, no generator.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from tfrec_cli.errors import DataError, MissingExtraError
from tfrec_cli.runtime import pool
from tfrec_cli.runtime.stderr import stderr_silenced

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import tensorflow as tf

    from tfrec_cli.crops import CropMode, Int64s
    from tfrec_cli.dataset.discover import Split
    from tfrec_cli.reading.again import Passes
    from tfrec_cli.reading.fields import Field, Values
    from tfrec_cli.reading.open import OpenSplit
    from tfrec_cli.reading.options import (
        Channels,
        Dtype,
        Even,
        Features,
        Hot,
        Label,
        Missing,
        Mix,
        Shuffle,
        Small,
    )
    from tfrec_cli.reading.order import ChunkOrder, Drawn

__all__ = ["dataset"]


def dataset(
    path: str | os.PathLike[str] | Split | None = None,
    *,
    mix: Mix | None = None,
    split: str = "train",
    image: str | None = None,
    label: Label = ...,
    features: Features = (),
    sample_weight: str | None = None,
    as_supervised: bool = True,
    one_hot: bool | int = False,
    multi_hot: Hot = False,
    crop: int | Sequence[int] | None = None,
    crop_mode: CropMode = "random",
    seed: int = 0,
    order_seed: int | None = None,
    epoch: int = 0,
    epochs: int | None = 1,
    batch_size: int | None = None,
    shuffle: Shuffle = False,
    shard: Sequence[int] = (0, 1),
    even: Even | None = None,
    start: int = 0,
    flip: bool = False,
    brightness: float = 0.0,
    views: int = 1,
    dtype: Dtype = "float32",
    channels: Channels = 3,
    small: Small = "fail",
    missing: Missing = "fail",
    drop_remainder: bool = False,
    parallel: int | None = None,
) -> tf.data.Dataset:
    """Open a dataset for training, as a ``tf.data.Dataset``.

    Stored crops and whole images are read in the same way: a crop can be cut from any stored image
    that is large enough. Records of other programs are read too. For a record without a key, its
    number in its split is the key.

    Args:
        path: a folder that ``tfrec write`` made, a record file, a folder or glob pattern
            of record files, or a split that was opened before.
        mix: several datasets in one mixture, ``[(path, weight), …]``, instead of ``path``. Each is
            read in the order and with the crops that it has alone, in epochs of its own; which one
            comes next follows from the weights. An epoch has as many records as all together.
        split: its name, or an expression of TFDS: ``"train+val"``, ``"train[:10%]"``,
            ``"train[500:]"``. Record files of other programs are in the split that their names or
            their folders tell; if none tells one, all are in ``"train"``.
        image: name of the feature that holds the image. By default it is the one with a name in
            common use; if that is not certain, an error asks for the name.
        label: name of the feature that is the label: a number, a text, or a list. None yields no
            label. By default it is the class number with a name in common use; if that is not
            certain, an error asks for the name.
        features: names of further features to yield. Every dataset of tfrec has ``"key"`` and
            ``"filename"``. ``"seed"`` is the pair ``(seed + epoch * 2**32, key | 16 * 2**56)``, for
            random operations of your own; ``"column:seed"`` is a stored feature of this name.
            ``"tags[]"`` yields lists: needed if some records have no value or several.
        sample_weight: name of a feature with one number a record, yielded after the label, as Keras
            takes it.
        as_supervised: yield ``(image, label, …)``. False yields dictionaries with ``"image"``,
            ``"label"``, ``"sample_weight"`` and the names in ``features``.
        one_hot: yield class numbers as float32 vectors. True takes the number of classes from the
            dataset; or give it.
        multi_hot: the same for labels that are lists of class numbers. For lists of texts, give all
            texts in the order of the vector.
        crop: (height, width) in pixels, or one number for a square; None keeps the stored size.
        crop_mode: ``"random"`` draws the position of each crop, ``"center"`` takes the middle.
        seed: in [0, 2**32); crops, flips, brightness and order are drawn from it.
        order_seed: the seed of the order; None means ``seed``.
        epoch: number of the first epoch, in [0, 2**31).
        epochs: number of epochs, one after another; a batch never spans two of them. None is
            without end, for ``fit(…, steps_per_epoch=dataset.steps_per_epoch)`` of Keras.
        batch_size: records in a batch; None yields single records.
        shuffle: True shuffles all records by (seed, epoch), without a buffer, so there is no buffer
            size. ``"blocks"`` mixes the records of 64 blocks of 256 adjacent records, for disks
            that are slow at random access, and then those of the next 64; see the docs.
            GZIP shards cannot be shuffled.
        shard: (i, n) for host i of n: reads the positions of each epoch that are i modulo n.
        even: make hosts read equally many records, if ``shard`` does not divide them evenly:
            ``"drop"`` leaves out the last positions of each epoch, ``"repeat"`` adds the first ones
            at its end; None leaves some hosts one record more.
        start: number of this host's records to leave out, to resume where a run stopped.
        flip: mirror each image left to right with probability 1/2.
        brightness: the largest change of brightness, in [0, 1] on a scale from 0 to 1. The change
            is drawn for each record.
        views: number of images to draw from each record. If there are several, the image is a tuple
            of them, and ``"seed"`` is int64 [views, 2]. View 0 is the image of ``views=1``.
        dtype: ``"float32"`` with values in [0, 1], ``"uint8"`` with values in [0, 255], or
            ``"uint16"`` with values in [0, 65535]. Images of 8 and of 16 bits a sample become
            either: ``value * 257``, or ``round(value / 257)``.
        channels: 3 for RGB, or 1 for grey images, which refuses an image with a colour in what is
            read of it.
        small: what to do with an image smaller than the crop. ``"fail"`` raises an error when the
            dataset is opened (while reading, if no manifest holds the smallest size), ``"skip"``
            leaves it out, ``"pad"`` surrounds it with black.
        missing: what to do with a record without the feature of the image: ``"fail"`` raises an
            error, ``"skip"`` leaves the record out.
        drop_remainder: leave out the last batch of an epoch if it is not full.
        parallel: number of threads, each of which makes a batch; None means one for each
            processor. Values do not depend on it.

    Returns:
        A dataset of ``(image, label)``, or of ``image`` if there are no labels. image: ``dtype``
        [batch, height, width, channels]; label: int64 [batch]. Single records have no batch
        dimension. Further features are the last value of the tuple, ``{name: tensor}``: one value a
        record is [batch], lists are a ``tf.RaggedTensor`` [batch, None], ``"seed"`` is int64
        [batch, 2]. The cardinality is known, unless records may be skipped. The dataset has the
        attributes ``class_names``, ``num_classes``, ``class_to_idx``, ``targets`` and
        ``steps_per_epoch``. A warning is given once if it is read again after its end (of a few
        batches: for the third time), and something in it is drawn: it yields the same.

    Raises:
        MissingPathError: ``path`` does not exist.
        UsageError: there is no such split, it is not certain which feature is the image or the
            label, a value is out of range or of another type, the crop does not fit every image,
            images of several sizes are to be batched, GZIP shards are to be shuffled, or epochs
            without end have nothing to read.
        DataError: a file is missing, or is not what its manifest says.
        RunError: a file cannot be read.
        MissingExtraError: TensorFlow is not installed, or does not load.
        tf.errors.OpError: while iterating: a record is damaged, or an image cannot be decoded or
            is smaller than the crop; the message names the file or the record.

    Examples:
        >>> from tfrec_cli import read_tf
        >>> train = read_tf.dataset("out", crop=96, seed=42, batch_size=32, shuffle=True)
        >>> images, labels = next(iter(train))
        >>> images.shape, images.dtype
        (TensorShape([32, 96, 96, 3]), tf.float32)

    Source: a random crop is ``tf.image.stateless_random_crop(image, (height, width, 3),
    seed=(seed + epoch * 2**32, key))``, with the ``key`` of the record. For view v >= 1
    the seed is ``tf.random.experimental.stateless_fold_in(seed, tf.constant(v, tf.int64))``.
    """
    import numpy as np

    from tfrec_cli.reading.again import Passes
    from tfrec_cli.reading.open import open_split
    from tfrec_cli.reading.options import ReadOptions
    from tfrec_cli.reading.prefetch import BATCHES_AHEAD

    tf = load_tensorflow()
    options = ReadOptions(
        mix=mix,
        split=split,
        image=image,
        label=label,
        features=features,
        sample_weight=sample_weight,
        as_supervised=as_supervised,
        one_hot=one_hot,
        multi_hot=multi_hot,
        crop=crop,
        crop_mode=crop_mode,
        seed=seed,
        order_seed=order_seed,
        epoch=epoch,
        epochs=epochs,
        batch_size=batch_size,
        shuffle=shuffle,
        shard=shard,
        even=even,
        start=start,
        flip=flip,
        brightness=brightness,
        views=views,
        dtype=dtype,
        channels=channels,
        small=small,
        missing=missing,
        drop_remainder=drop_remainder,
        parallel=parallel,
    )
    opened = open_split(path, options)
    order = opened.order()
    first_chunks, later_chunks = order.chunk_counts()
    is_short = order.chunk_count() <= options.threads + BATCHES_AHEAD + 2
    reader = _handle(tf, _Reader(opened, order, Passes(opened, most=1 + is_short)))

    def one_epoch(index: Any) -> Any:
        """Make the dataset of one epoch, ``index`` counted from the first that is read."""
        count = tf.where(tf.equal(index, 0), np.int64(first_chunks), np.int64(later_chunks))
        batches = _batches(tf, tf.data.Dataset.range(count), opened, order, reader, index)
        if options.batch_size is None or opened.may_skip:
            batches = batches.unbatch()
        if options.batch_size is not None and opened.may_skip:
            regroup = batches.ragged_batch if opened.layout.is_ragged else batches.batch
            batches = regroup(options.batch_size, drop_remainder=options.drop_remainder)
        return batches.map(lambda views, *values: opened.layout.assemble(views, values))

    result = tf.data.Dataset.range(order.epochs).flat_map(one_epoch)
    if options.epochs is None:
        result = _without_end(result)
    elif not opened.may_skip:
        result = _without_end(result).take(opened.length(order))
    untuned = tf.data.Options()
    untuned.autotune.enabled = False  # nothing to tune, and the tuner delays the end of an epoch
    return _labelled(result.prefetch(BATCHES_AHEAD).with_options(untuned), opened)


def _without_end(result: tf.data.Dataset) -> tf.data.Dataset:
    """Return the same dataset with the cardinality ``tf.data.INFINITE_CARDINALITY``.

    With ``take(n)`` its cardinality is n. ``assert_cardinality`` is not used, because it fails
    again and again if records are missing, so that ``ignore_errors`` would not end.
    """
    nothing = result.take(0).filter(lambda *_: False)  # of unknown cardinality, for TensorFlow
    return result.concatenate(nothing.repeat())


def _handle(tf: Any, kept: object) -> Any:
    """Return a tensor for `handles.kept`, which keeps an object as long as it is used itself.

    TensorFlow never frees a function that it calls by ``numpy_function``. So functions get their
    reader from a tensor, which is freed with the last dataset, iterator or graph that uses it.
    """
    from tfrec_cli.reading.handles import handle

    array = handle(kept)
    with tf.init_scope():
        if tf.executing_eagerly():
            return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
    _OF_GRAPHS.append(array)
    return tf.constant(array)


_OF_GRAPHS: list[object] = []
"""Handles in graphs of TensorFlow 1, which hold copies of tensors."""


def _labelled(result: tf.data.Dataset, opened: OpenSplit) -> tf.data.Dataset:
    """Give a dataset the attributes of `labelled.Stepping`."""
    from tfrec_cli.reading.labelled import Stepping

    kind = type(result)
    labelled: Any = object.__new__(type(kind.__name__, (Stepping, kind), {}))
    labelled.__dict__.update(result.__dict__, _opened=opened)
    return labelled


def crop_digests(
    opened: Split,
    *,
    crop: tuple[int, int],
    seed: int,
    epoch: int,
    batch_size: int,
    parallel: int,
    in_graph: bool,
    progress: Callable[[int], object],
) -> list[bytes]:
    """Read a split once, in stored order, on the CPU, and digest its crops.

    Args:
        in_graph: iterate inside a ``tf.function``.
        progress: called with the number of crops after each batch.
    Returns:
        SHA-256 of the pixels of each crop (row-major RGB; uint8, or uint16 in little-endian order
        if the manifest's depth is 16).
    Raises:
        DataError: the reader failed.
    """
    from tfrec_cli.dataset import discover

    tf = _load_quietly()
    batches = dataset(
        opened,
        image=None if opened.manifest else discover.first_record(opened)[0].image,
        label=None,
        crop=crop,
        seed=seed,
        epoch=epoch,
        batch_size=batch_size,
        parallel=parallel,
        dtype="uint16" if _is_deep(opened) else "uint8",
    )
    digests: list[bytes] = []

    def collect(images: npt.NDArray[np.unsignedinteger[Any]]) -> None:
        digests.extend(map(_digest, images))
        progress(len(digests))

    def run() -> None:
        for images in batches:
            tf.numpy_function(collect, [images], [])

    try:
        if in_graph:
            tf.function(run)()
        else:
            for images in batches:
                collect(images.numpy())
    except tf.errors.OpError as error:
        raise DataError(_innermost(str(error.message))) from error
    return digests


def own_crop_digests(
    opened: Split,
    keys: Sequence[int],
    *,
    crop: tuple[int, int],
    seed: int,
    epoch: int,
    every: int,
    progress: Callable[[int], object],
) -> list[bytes]:
    """Read, decode and crop a split by TensorFlow's own operations, and digest the crops.

    This is a second opinion: it shares no code with the reader.

    Args:
        keys: those of the records, in stored order.
        every: read the first of so many records.
        progress: called with the number of crops after each.
    Returns:
        SHA-256 of the pixels of each crop, as of `crop_digests`.
    Raises:
        DataError: TensorFlow cannot read a record or decode its image.
    """
    from tfrec_cli.dataset import discover

    tf = _load_quietly()
    names, first = discover.first_record(opened)
    features = {names.image: tf.io.FixedLenFeature([], tf.string)}
    sides = (names.height, names.width) if first.is_raw else ()
    depth = first.channels or 3
    features.update({str(name): tf.io.FixedLenFeature([], tf.int64) for name in sides})

    is_deep = _is_deep(opened)

    def of_jpeg(image: Any) -> Any:
        pixels = tf.io.decode_jpeg(
            image, channels=3, dct_method="INTEGER_ACCURATE", try_recover_truncated=True
        )
        return tf.cast(pixels, tf.uint16) * 257 if is_deep else pixels

    def of_png(image: Any) -> Any:
        pixels = tf.io.decode_png(image, channels=3, dtype=tf.uint16)
        return pixels if is_deep else tf.cast((tf.cast(pixels, tf.int32) + 128) // 257, tf.uint8)

    def of_others(image: Any) -> Any:
        pixels = tf.io.decode_image(image, expand_animations=False)
        grey = tf.shape(pixels)[-1] < 3
        pixels = tf.cond(grey, lambda: tf.repeat(pixels[..., :1], 3, -1), lambda: pixels[..., :3])
        return tf.cast(pixels, tf.uint16) * 257 if is_deep else pixels

    def decode(image: Any) -> Any:
        head = tf.strings.substr(image, 0, 2)
        known = {b"\xff\xd8": of_jpeg, b"\x89P": of_png}
        cases = [(head == magic, partial(read, image)) for magic, read in known.items()]
        return tf.case(cases, default=partial(of_others, image))

    def cut(payload: Any, key: Any) -> Any:
        values = tf.io.parse_single_example(payload, features)
        image = values[names.image]
        if first.is_raw:
            size = [*(values[name] for name in sides), depth]
            pixels = tf.reshape(tf.io.decode_raw(image, tf.uint8), size)
            pixels = tf.image.grayscale_to_rgb(pixels) if depth == 1 else pixels[..., :3]
        else:
            pixels = decode(image)
        return tf.image.stateless_random_crop(pixels, (*crop, 3), (seed + epoch * 2**32, key))

    compression = {"none": "", "gzip": "GZIP", "zlib": "ZLIB"}[discover.compression(opened)]
    records = tf.data.TFRecordDataset(list(map(str, opened.shards)), compression)
    keyed = tf.data.Dataset.zip(records, tf.data.Dataset.from_tensor_slices(list(keys)))
    windows = keyed.shard(every, 0).map(cut, pool.available_jobs(), deterministic=True)
    digests = []
    try:
        with stderr_silenced():  # libjpeg writes warnings to it
            for window in windows.as_numpy_iterator():
                digests.append(_digest(window))
                progress(len(digests))
            return digests
    except tf.errors.OpError as error:
        raise DataError(_innermost(str(error.message))) from error


def _is_deep(split: Split) -> bool:
    """Tell whether the crops of a split are compared with 16 bits a sample."""
    return split.manifest is not None and split.manifest.depth > 8


def _digest(pixels: npt.NDArray[np.unsignedinteger[Any]]) -> bytes:
    little = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
    return hashlib.sha256(little.tobytes()).digest()


def _innermost(message: str) -> str:
    """Return the cause from an error message of TensorFlow, without its wrapping."""
    found = re.search(r"with iterator: \S+: (.+)", message)
    return found[1] if found else message.strip().splitlines()[0]


def find_tensorflow() -> None:
    """Check that TensorFlow is installed, without importing it.

    Raises:
        MissingExtraError: it is not installed.
    """
    if importlib.util.find_spec("tensorflow") is None:
        raise MissingExtraError.of("TensorFlow", "tensorflow")


def load_tensorflow() -> Any:
    """Import TensorFlow.

    Raises:
        MissingExtraError: it is not installed, or does not load.
    """
    find_tensorflow()
    try:
        import tensorflow as tf
    except ImportError as error:
        cause = next(iter(str(error).splitlines()), type(error).__name__)
        raise MissingExtraError(f"TensorFlow is installed, but does not load: {cause}") from error
    return tf


def _load_quietly() -> Any:
    """Import and start TensorFlow on the CPU, and suppress what its C++ code writes to stderr."""
    with stderr_silenced():
        tf = load_tensorflow()
        with suppress(RuntimeError):  # fails if TensorFlow already runs: its devices are fixed then
            tf.config.set_visible_devices([], "GPU")
        tf.config.list_logical_devices()  # starts it
    return tf


@dataclass(frozen=True, slots=True)
class _Reader:
    """What TensorFlow's threads call; it knows nothing of TensorFlow.

    ``index`` is that of an epoch, ``chunk`` that of a chunk in it.
    """

    opened: OpenSplit
    order: ChunkOrder
    passes: Passes

    def fetch(self, index: Any, chunk: Any) -> npt.NDArray[np.object_]:
        """Return the payloads of records."""
        import numpy as np

        payloads = self.opened.fetch(self._drawn(index, chunk).numbers)
        array = np.empty(len(payloads), object)
        array[:] = list(map(bytes, payloads))
        return array

    def build(self, payloads: Iterable[Any], index: Any, chunk: Any) -> list[Any]:
        """Return the images of records, and the values of their fields."""
        drawn = self.order.chunk(int(index), int(chunk))
        return self._built([memoryview(payload) for payload in payloads], drawn)

    def read(self, index: Any, chunk: Any) -> list[Any]:
        """Do both."""
        drawn = self._drawn(index, chunk)
        return self._built(self.opened.fetch(drawn.numbers), drawn)

    def _drawn(self, index: Any, chunk: Any) -> Drawn:
        place = int(index), int(chunk)
        last = self.order.epochs - 1
        if place == (0, 0):
            self.passes.begin()
        if place == (last, self.order.chunk_counts()[last > 0] - 1):
            self.passes.end()
        return self.order.chunk(*place)

    def _built(self, payloads: Sequence[memoryview], drawn: Drawn) -> list[Any]:
        try:
            views, values = self.opened.build(payloads, drawn)
        except DataError as error:
            raise ValueError(str(error)) from error  # becomes InvalidArgumentError
        return [*views, *_flat(self.opened.layout.fields, values)]


@cache
def _function(name: str) -> Callable[..., Any]:
    """Return a function that calls a method of a reader: one, because it is never freed."""
    from tfrec_cli.reading.callbacks import counted_calls
    from tfrec_cli.reading.handles import kept

    def call(reader: Int64s, *arguments: Any) -> Any:
        return getattr(kept(reader), name)(*arguments)

    return counted_calls().counted(call)


def _batches(
    tf: Any, chunks: Any, opened: OpenSplit, order: ChunkOrder, reader: Any, index: Any
) -> Any:
    """Map numbers of chunks to their batches: (images of each view, values of a field, …).

    Threads make several chunks at once; they release Python's lock while they read and decode.
    """
    import numpy as np

    options, crop, fields = opened.options, opened.builder.crop, opened.layout.fields
    types: dict[type, Any] = {np.int64: tf.int64, np.float32: tf.float32, np.object_: tf.string}
    kinds = [tf.as_dtype(options.dtype)] * options.views
    for field in fields:  # a ragged one as its values and their number in each record
        kinds += [types[field.dtype], tf.int64] if field.is_ragged else [types[field.dtype]]
    sides = [None, None] if crop is None else [*crop]
    several = {"num_parallel_calls": options.threads, "deterministic": True}

    def shaped(*outputs: Any) -> tuple[Any, ...]:
        views, remaining = outputs[: options.views], iter(outputs[options.views :])
        for images in views:
            images.set_shape([order.fixed_size, *sides, options.channels])
        made: list[Any] = [views]
        for field in fields:
            column = next(remaining)
            if field.is_ragged:
                column.set_shape([None])
                lengths = next(remaining)
                lengths.set_shape([order.fixed_size])
                column = tf.RaggedTensor.from_row_lengths(column, lengths, validate=False)
            else:
                column.set_shape([order.fixed_size, *field.width])
            made.append(column)
        return tuple(made)

    def call(name: str, inputs: list[Any], outputs: list[Any]) -> Any:
        """Call Python; marked stateless: enable_op_determinism runs stateful maps serially."""
        return tf.numpy_function(_function(name), [reader, *inputs], outputs, stateful=False)

    if not opened.records.is_sequential:
        return chunks.map(lambda chunk: shaped(*call("read", [index, chunk], kinds)), **several)
    fetched = chunks.map(lambda chunk: (call("fetch", [index, chunk], [tf.string])[0], chunk))
    return fetched.map(
        lambda payloads, chunk: shaped(*call("build", [payloads, index, chunk], kinds)), **several
    )


def _flat(fields: Sequence[Field], values: Sequence[Values]) -> Iterator[npt.NDArray[Any]]:
    """Yield the values of fields as arrays: ragged ones as values and their number a record."""
    import numpy as np

    for field, column in zip(fields, values, strict=True):
        if isinstance(column, list):
            yield np.concatenate([np.empty(0, field.dtype), *column])
            yield np.array([len(row) for row in column], np.int64)
        else:
            yield column
