"""The reader for Keras 3 on any backend: a ``keras.utils.PyDataset`` of NumPy arrays.

Knows: Keras, as the only reader that imports it. Must not know: click, writing, any backend.

Keras calls ``on_epoch_end`` once before the first epoch and more often for validation, but not if a
callback stops an epoch. So epochs are not counted here: `fit` tells callbacks their numbers.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, SupportsIndex

from tfrec_cli.crops import CropMode
from tfrec_cli.dataset.discover import Split
from tfrec_cli.errors import MissingExtraError, UsageError
from tfrec_cli.reading import again
from tfrec_cli.reading.labelled import Stepping, Transforming
from tfrec_cli.reading.open import OpenSplit, open_split
from tfrec_cli.reading.options import (
    Channels,
    Dtype,
    Even,
    Features,
    Hot,
    Label,
    Missing,
    Mix,
    ReadOptions,
    Shuffle,
    Small,
)
from tfrec_cli.reading.prefetch import run_ahead

try:
    from keras.callbacks import Callback
    from keras.utils import PyDataset
except ImportError as error:
    if isinstance(error, ModuleNotFoundError) and str(error.name).startswith("keras"):
        raise MissingExtraError.of("Keras", "keras") from error
    raise MissingExtraError(f"Keras 3 does not load: {error}") from error

__all__ = ["Batches", "SetEpoch", "dataset"]

_TOO_OFTEN = 3
"""A dataset for training gives a warning if an epoch begins so often: Keras begins one more than it
reads, if it has to build the model."""


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
    batch_size: int | None = None,
    shuffle: Shuffle = False,
    shard: Sequence[int] = (0, 1),
    even: Even | None = None,
    flip: bool = False,
    brightness: float = 0.0,
    views: int = 1,
    dtype: Dtype = "float32",
    channels: Channels = 3,
    small: Small = "fail",
    missing: Missing = "fail",
    drop_remainder: bool = False,
    parallel: int | None = None,
    transform: Callable[..., Any] | None = None,
) -> Batches:
    """Open a dataset for ``fit``, ``evaluate`` and ``predict`` of Keras 3, on any backend.

    Call ``fit(train, shuffle=False, callbacks=[SetEpoch(train)])``: then each epoch of ``fit`` has
    the order and the crops of its number, also with ``initial_epoch`` and after a restart. Without
    the callback every epoch is the same, as is right for validation: see `Batches.set_epoch`.

    Stored crops and whole images are read in the same way, as `read_tf.dataset` reads them; images
    are JPEG, PNG or raw pixels.

    Args:
        path: a folder that ``tfrec write`` made, a record file, a folder or glob pattern
            of record files, or a split that was opened before.
        mix: several datasets in one mixture, ``[(path, weight), …]``, instead of ``path``. Each is
            read in the order and with the crops that it has alone, in epochs of its own; which one
            comes next follows from the weights. An epoch has as many records as all together.
        split: its name; or, as in TFDS, ``"train+val"``, ``"train[:10%]"``, ``"train[500:]"``.
            Files of other programs belong to the split that their names tell, else to ``train``.
        image: name of the feature that holds the image; None finds it by the names in common use.
        label: name of the feature that is the label: a class number, a number, a text or a list of
            them. None is no label. By default it is found by the names in common use; if it is not
            certain which it is, an error lists the features.
        features: names of further features to yield. ``"key"`` and ``"filename"`` are in every
            dataset of tfrec, ``"seed"`` is a seed pair for each record, see `Returns`. ``"tags[]"``
            yields lists even if most records have one value, ``"column:seed"`` is a stored feature.
        sample_weight: name of a feature with a number a record, yielded as third: Keras takes it.
        as_supervised: yield tuples; False yields one dictionary with ``"image"``, ``"label"`` and
            the features.
        one_hot: yield float32 vectors instead of class numbers: True, or the number of classes.
        multi_hot: the same for labels that are lists: True, the number of classes, or all texts.
        crop: (height, width) in pixels, or one number for a square; None keeps the stored size.
        crop_mode: ``"random"`` draws the position of each crop, ``"center"`` takes the middle.
        seed: in [0, 2**32); crops, flips, brightness and order are drawn from it.
        order_seed: the seed of the order; None means ``seed``.
        epoch: number of the epoch, in [0, 2**31), until `SetEpoch` sets that of ``fit``.
        batch_size: records in a batch; needed.
        shuffle: True shuffles all records by (seed, epoch), without a buffer, so there is no buffer
            size. ``"blocks"`` mixes the records of 64 blocks of 256 adjacent records, for disks
            that are slow at random access, and then those of the next 64; see the docs.
        shard: (i, n) for host i of n: reads the positions of each epoch that are i modulo n.
        even: make hosts read equally many records, if ``shard`` does not divide them evenly:
            ``"drop"`` leaves out the last positions of each epoch, ``"repeat"`` adds the first ones
            at its end; None leaves some hosts one record more.
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
            dataset is opened (while reading, if no manifest holds the smallest size), ``"pad"``
            surrounds it with black. ``"skip"`` is refused.
        missing: what to do with a record that has no image: ``"fail"``; ``"skip"`` is refused.
        drop_remainder: leave out the last batch of an epoch if it is not full.
        parallel: number of threads, each of which makes a batch; None means one for each
            processor. Values do not depend on it.
        transform: a function that is called with each image, [height, width, channels], and returns
            what replaces the image. If it has a parameter ``seed``, it gets the pair of ``"seed"``.
            The attribute of this name can be set later.

    Returns:
        A ``keras.utils.PyDataset`` of the batches that `read_tf.dataset` yields, as NumPy arrays:
        see `Batches.__getitem__`. ``len()`` is the number of batches in an epoch.

    Raises:
        MissingPathError: ``path`` does not exist.
        UsageError: there is no such split, a value is out of range or of another type, the crop
            does not fit every image, there is no batch size, images of several sizes are to be
            batched, or shards are compressed.
        DataError: the files are not what their manifest says.
        RunError: a file cannot be read.
        MissingExtraError: at import, Keras 3 or its backend is not installed.

    Examples:
        >>> from tfrec_cli import read_keras
        >>> train = read_keras.dataset("out", crop=96, seed=42, batch_size=5, shuffle=True)
        >>> images, labels = train[0]
        >>> images.shape, images.dtype, labels.dtype
        ((5, 96, 96, 3), dtype('float32'), dtype('int64'))

    Source: a random crop is ``tf.image.stateless_random_crop(image, (height, width, 3),
    seed=(seed + epoch * 2**32, key))``, with the ``key`` of the record. For view v >= 1
    the seed is ``tf.random.experimental.stateless_fold_in(seed, tf.constant(v, tf.int64))``.
    """
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
        batch_size=batch_size,
        shuffle=shuffle,
        shard=shard,
        even=even,
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
    changes = transform is not None
    opened = open_split(path, options, by_number=True, with_seeds=True, changes=changes)
    if options.batch_size is None:
        raise UsageError("`batch_size`: found None, expected a number: Keras reads batches")
    return Batches(opened, transform)


class Batches(Stepping, Transforming, PyDataset):  # type: ignore[misc]  # Keras has no types
    """The batches of an epoch by number, made ahead by threads if they are asked for in order.

    Safe for threads. It has threads of its own, so leave Keras' ``workers`` as they are.
    """

    def __init__(self, opened: OpenSplit, transform: Callable[..., Any] | None) -> None:
        super().__init__()
        self._opened = opened
        self._order = opened.order()
        self.transform = transform
        self._epoch = opened.options.epoch
        self._reading = threading.Lock()
        self._ahead: Generator[Any, None, None] | None = None
        self._coming = (0, 0)  # the epoch and number of the next batch of _ahead
        self._begun: int | None = 0  # how often the epoch began; None if a caller set its number
        self._is_told = False  # whether fit told the number of the epoch that begins
        self._is_first = False  # whether fit must ask for the first batch next

    def __repr__(self) -> str:
        described = self._opened.described(f"epoch {self._epoch}")
        return f"<tfrec dataset {described}, batches of {self.options.batch_size}>"

    @property
    def options(self) -> ReadOptions:
        """The arguments of `dataset`; ``epoch`` is that of the first epoch."""
        return self._opened.options

    @property
    def epoch(self) -> int:
        """Number of the epoch whose batches are read."""
        return self._epoch

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch whose batches are read; `SetEpoch` does it in ``fit``.

        Args:
            epoch: in [0, 2**31).
        Raises:
            UsageError: ``epoch`` is out of range.
        """
        self._epoch = replace(self.options, epoch=epoch).epoch
        self._begun = None

    def __len__(self) -> int:
        return self._order.chunk_counts()[0]

    def __getitem__(self, index: SupportsIndex) -> Any:
        """Read one batch of the epoch.

        Returns:
            ``(image, label)``, or ``image`` if there are no labels; with ``sample_weight`` that is
            the third. image: ``dtype`` [batch, height, width, channels], label: int64 [batch].
        Raises:
            IndexError: there are fewer batches; negative indices count from the end.
            DataError: a record is damaged, or smaller than the crop.
            UsageError: ``fit`` shuffles batches.
        """
        number = range(len(self))[index]
        must_be_first, self._is_first = self._is_first, False
        if must_be_first and number and self.workers == 1:
            raise UsageError(
                "`shuffle`: fit changes the order of batches, expected fit(…, shuffle=False): "
                "read_keras.dataset(…, shuffle=True) shuffles all records"
            )
        with self._reading:
            epoch = self._epoch
            if not number:
                self._read_ahead(epoch)
            if self._ahead is not None and self._coming == (epoch, number):
                self._coming = epoch, number + 1
                batch = next(self._ahead)
                if number + 1 == len(self):
                    self._close()
                return batch
        return self._read(epoch, number)

    def on_epoch_begin(self) -> None:
        """Keras calls it; it warns if one epoch is read again and again, without `SetEpoch`."""
        self._is_first, self._is_told = self._is_told, False
        if self._is_first:
            self._begun = 0
        if self._begun is None:
            return
        self._begun += 1
        if self._begun == _TOO_OFTEN and self._opened.draws:
            expected = "fit(…, callbacks=[read_keras.SetEpoch(dataset)])"
            again.warn(self._opened, self._epoch, expected, stacklevel=2)

    def on_epoch_end(self) -> None:
        """Keras calls it; it stops reading ahead."""
        with self._reading:
            self._close()

    def _read(self, epoch: int, number: int) -> Any:
        opened, order = self._opened, self._order
        drawn = order.chunk(epoch - order.first_epoch, number)
        return opened.layout.assemble(*self._changed(opened.read(drawn)))

    def _read_ahead(self, epoch: int) -> None:
        """Begin to read an epoch in order."""
        self._close()
        tasks = (partial(self._read, epoch, number) for number in range(len(self)))
        self._ahead = run_ahead(tasks, self.options.threads)
        self._coming = epoch, 0

    def _close(self) -> None:
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None


class SetEpoch(Callback):  # type: ignore[misc]  # Keras has no types
    """A callback of ``fit`` that sets the epoch of a dataset to the number that ``fit`` gives it.

    So epoch 3 of ``fit`` has the crops and the order of epoch 3, whether it is the fourth in a row,
    the first with ``initial_epoch=3``, or the first after a restart by ``BackupAndRestore``.

    Args:
        dataset: a result of `read_keras.dataset`, that ``fit`` reads.

    Raises:
        UsageError: ``dataset`` is something else. In ``fit``: ``steps_per_epoch`` is not the number
            of batches, or the first epoch is before that of ``dataset(epoch=…)``.

    Examples:
        >>> import keras
        >>> from tfrec_cli import read_keras
        >>> train = read_keras.dataset("out", crop=96, seed=42, batch_size=8, shuffle=True)
        >>> model = keras.Sequential(
        ...     [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, "softmax")]
        ... )
        >>> model.compile("sgd", "sparse_categorical_crossentropy")
        >>> tell = read_keras.SetEpoch(train)
        >>> history = model.fit(train, epochs=2, shuffle=False, callbacks=[tell], verbose=0)
        >>> train.epoch
        1
    """

    def __init__(self, dataset: Batches) -> None:
        super().__init__()
        if not isinstance(dataset, Batches):
            found = type(dataset).__name__
            raise UsageError(f"`dataset`: found {found}, expected what read_keras.dataset returns")
        self._dataset = dataset

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        """Keras calls it; it checks that each epoch of ``fit`` is one of the dataset."""
        batches = len(self._dataset)
        steps = (self.params or {}).get("steps") or batches
        if steps != batches:
            raise UsageError(
                f"`steps_per_epoch`: found {steps}, expected None: an epoch has {batches} batches"
            )

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        """Keras calls it; it sets the epoch of the dataset."""
        first = self._dataset.options.epoch
        if epoch < first:
            raise UsageError(
                f"`epoch`: found {first}, but fit begins with epoch {epoch}, expected "
                f"fit(…, initial_epoch={first})"
            )
        self._dataset.set_epoch(epoch)
        self._dataset._is_told = True
