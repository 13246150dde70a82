"""The reader for PyTorch: a dataset with the crops of `read_tf`, their order, and a stream of both.

Knows: PyTorch, as the only module that imports it. Must not know: click, writing, TensorFlow.

An image depends only on (seed, epoch, record, view): not on workers, how they start, or order.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, SupportsIndex

import numpy as np

from tfrec_cli.crops import CropMode, Int64s
from tfrec_cli.dataset.discover import Split
from tfrec_cli.errors import MissingExtraError, UsageError
from tfrec_cli.reading import again, state
from tfrec_cli.reading.fields import Field, Values
from tfrec_cli.reading.labelled import Transforming
from tfrec_cli.reading.open import CHUNK, OpenSplit, open_split
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
from tfrec_cli.reading.order import ChunkOrder, Drawn, draw, host_count, worker_share

try:
    import torch
    from torch.utils import data
except ModuleNotFoundError as error:
    raise MissingExtraError.of("PyTorch", "torch") from error

__all__ = ["Order", "Records", "Stream", "dataset", "stream"]

_BLOCK = 4096
"""Indices that `Order` computes at once."""
_NEVER = -(2**62)
"""Samples from which no count gets to the size of a dataset."""


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
    epoch: int = 0,
    flip: bool = False,
    brightness: float = 0.0,
    views: int = 1,
    dtype: Dtype = "float32",
    channels: Channels = 3,
    small: Small = "fail",
    missing: Missing = "fail",
    transform: Callable[..., Any] | None = None,
    shuffle: bool = False,
) -> Records:
    """Open a dataset for a ``DataLoader``.

    Stored crops and whole images are read in the same way, as `read_tf.dataset` reads them; images
    are JPEG, PNG or raw pixels.

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
        crop: (height, width) in pixels, or one number for a square; None keeps the stored size. If
            sizes differ, the ``DataLoader`` then needs ``batch_size=None`` or a ``collate_fn``.
        crop_mode: ``"random"`` draws the position of each crop, ``"center"`` takes the middle.
        seed: in [0, 2**32); crops, flips, brightness and order are drawn from it.
        epoch: number of the epoch, in [0, 2**31), until `Records.set_epoch` sets another number.
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
        missing: what to do with a record without the feature of the image: ``"fail"`` raises an
            error; ``"skip"`` is refused.
        transform: a function that is called with each image, a tensor [channels, height, width], in
            the worker, and returns what replaces the image. If it has a parameter ``seed``, it also
            gets the pair that ``features=["seed"]`` yields. The attribute ``transform`` can be set
            later.
        shuffle: must be False: a ``DataLoader`` shuffles by its sampler, see `Order`.

    Returns:
        A map-style dataset of ``(image, label)``, or of ``image`` if there are no labels: see
        `Records.__getitem__`.

    Raises:
        MissingPathError: ``path`` does not exist.
        UsageError: there is no such split, it is not certain which feature is the image or the
            label, a value is out of range or of another type, the crop does not fit every image, or
            shards are compressed.
        DataError: a file is missing, or is not what its manifest says.
        RunError: a file cannot be read.
        MissingExtraError: at import, PyTorch is not installed.

    Examples:
        >>> from torch.utils.data import DataLoader
        >>> from tfrec_cli import read_torch
        >>> train = read_torch.dataset("out", crop=96, seed=42)
        >>> loader = DataLoader(train, batch_size=5, sampler=read_torch.Order(train))
        >>> for epoch in range(2):
        ...     train.set_epoch(epoch)
        ...     for images, labels in loader:
        ...         pass
        >>> images.shape[1:], images.dtype
        (torch.Size([3, 96, 96]), torch.float32)

    Source: a random crop is ``tf.image.stateless_random_crop(image, (height, width, 3),
    seed=(seed + epoch * 2**32, key))``, with the ``key`` of the record. For view v >= 1
    the seed is ``tf.random.experimental.stateless_fold_in(seed, tf.constant(v, tf.int64))``.
    """
    if shuffle is not False:
        raise UsageError(
            f"`shuffle`: found {shuffle!r}, expected False: a DataLoader shuffles by its sampler, "
            "sampler=read_torch.Order(dataset)"
        )
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
        epoch=epoch,
        flip=flip,
        brightness=brightness,
        views=views,
        dtype=dtype,
        channels=channels,
        small=small,
        missing=missing,
    )
    changes = transform is not None
    opened = open_split(
        path, options, by_number=True, planar=True, with_seeds=True, changes=changes
    )
    return Records(opened, transform)


def stream(
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
    transform: Callable[..., Any] | None = None,
) -> Stream:
    """Open a dataset for a ``DataLoader``, to be read from its beginning to its end.

    It reads what `dataset` cannot: GZIP shards, and datasets of which records are skipped. It
    yields the samples of `read_tf.dataset` without a batch size. The workers of the ``DataLoader``
    share them, so that each is read once an epoch; processes of a training share them by ``shard``.

    Without workers, the order is that of `read_tf.dataset`. Of ``n`` workers, worker ``w`` reads
    positions ``w, w + n, …`` of each epoch, so a ``DataLoader`` with ``batch_size=None`` keeps the
    order, if no record is skipped. Of GZIP shards each worker reads some, in order; if there are
    fewer shards than workers, some workers read the same shard and take turns at its records.

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
        crop: (height, width) in pixels, or one number for a square; None keeps the stored size. If
            sizes differ, the ``DataLoader`` then needs ``batch_size=None`` or a ``collate_fn``.
        crop_mode: ``"random"`` draws the position of each crop, ``"center"`` takes the middle.
        seed: in [0, 2**32); crops, flips, brightness and order are drawn from it.
        order_seed: the seed of the order; None means ``seed``.
        epoch: number of the first epoch, in [0, 2**31), until `Stream.set_epoch` sets another.
        epochs: number of epochs, one after another; None is without end.
        shuffle: True shuffles all records by (seed, epoch), without a buffer, so there is no buffer
            size. ``"blocks"`` mixes the records of 64 blocks of 256 adjacent records, for disks
            that are slow at random access, and then those of the next 64; see the docs.
            GZIP shards cannot be shuffled.
        shard: (i, n) for process i of n: the positions of each epoch that are i modulo n.
        even: make hosts read equally many records, if ``shard`` does not divide them evenly:
            ``"drop"`` leaves out the last positions of each epoch, ``"repeat"`` adds the first ones
            at its end; None leaves some hosts one record more.
        start: number of this process's records to leave out from the first epoch that is iterated
            on, to resume where a run stopped.
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
        missing: what to do with a record that has no image: ``"fail"``, or ``"skip"`` it.
        transform: a function that is called in the worker with each image, a tensor
            [channels, height, width], and returns what replaces the image. If it has a parameter
            ``seed``, it gets the pair of ``"seed"``. The attribute of this name can be set later.

    Returns:
        An iterable dataset of ``(image, label)``, or of ``image`` if there are no labels: see
        `Stream.__iter__`.

    Raises:
        MissingPathError: ``path`` does not exist.
        UsageError: there is no such split, a value is out of range or of another type, the crop
            does not fit every image, or GZIP shards are to be shuffled.
        DataError: the files are not what their manifest says.
        RunError: a file cannot be read.
        MissingExtraError: at import, PyTorch is not installed.

    Examples:
        >>> from torch.utils.data import DataLoader
        >>> from tfrec_cli import read_torch
        >>> train = read_torch.stream("out", crop=96, seed=42)
        >>> loader = DataLoader(train, batch_size=5)
        >>> for epoch in range(2):
        ...     train.set_epoch(epoch)
        ...     for images, labels in loader:
        ...         pass
        >>> images.shape[1:], images.dtype
        (torch.Size([3, 96, 96]), torch.float32)

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
        epochs=epochs,
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
    )
    changes = transform is not None
    opened = open_split(path, options, planar=True, with_seeds=True, changes=changes)
    return Stream(opened, transform)


class _OfEpoch(Transforming):
    """What `Records` and `Stream` share: the epoch, and how records become samples."""

    def __init__(self, opened: OpenSplit, transform: Callable[..., Any] | None) -> None:
        self._opened = opened
        self.transform = transform
        self._epoch = torch.tensor([opened.options.epoch], dtype=torch.int64).share_memory_()

    def __setstate__(self, attributes: dict[str, Any]) -> None:
        self.__dict__.update(attributes)
        for value in attributes.values():
            if isinstance(value, torch.Tensor):
                value.share_memory_()

    @property
    def options(self) -> ReadOptions:
        """The arguments with which it was opened; ``epoch`` is that of the first epoch."""
        return self._opened.options

    @property
    def seed(self) -> int:
        """The seed of crops, flips, brightness and order."""
        return self.options.seed

    @property
    def epoch(self) -> int:
        """Number of the epoch that is read; of the first, if several are."""
        return int(self._epoch[0])

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that is read. Call it before each loop over a loader.

        Args:
            epoch: in [0, 2**31).
        Raises:
            UsageError: ``epoch`` is out of range.
        """
        self._epoch[0] = replace(self.options, epoch=epoch).epoch

    def collate(self, samples: Sequence[Any]) -> Any:
        """Make a batch of samples, for ``DataLoader(collate_fn=dataset.collate)``.

        It stacks values as PyTorch's own function does, except for features that are lists: records
        may have different numbers of values, so the batch has a list with an entry a record.
        """
        layout = self._opened.layout
        if not layout.is_ragged:
            return data.default_collate(samples)
        images, values = zip(*map(layout.taken_apart, samples), strict=True)
        columns = [
            list(column) if field.is_ragged else data.default_collate(list(column))
            for field, column in zip(layout.fields, zip(*values, strict=True), strict=True)
        ]
        stacked = data.default_collate(list(images))
        return layout.assemble(stacked if self.options.views > 1 else [stacked], columns)

    def _read(self, drawn: Drawn) -> list[Any]:
        """Read the samples of records."""
        layout, read = self._opened.layout, []
        for arrays, (*values, seeds) in self._opened.read_all(drawn):
            columns = list(map(_tensors, layout.fields, values))
            views = self._each_changed(map(torch.from_numpy, arrays), seeds)
            for row, images in enumerate(zip(*views, strict=True)):
                read.append(layout.assemble(images, [column[row] for column in columns]))
        return read


class Records(_OfEpoch, data.Dataset):  # type: ignore[misc]  # PyTorch's types are not looked at
    """The records of a split by number, in stored order.

    The epoch is in memory that is shared with the workers of a ``DataLoader``, so `set_epoch`
    reaches them, also persistent ones. Pickled copies have their own epoch. Copies passed by
    ``torch.multiprocessing`` share it, so open the dataset in each training process.

    The numbers that an `Order` yields carry their epoch, and are read in it.
    """

    def __init__(self, opened: OpenSplit, transform: Callable[..., Any] | None) -> None:
        super().__init__(opened, transform)
        self._asked: int | None = None
        """The epoch that was set after an `Order` was last iterated."""
        self._is_asked_by_trainer = False
        self._shuffled = torch.tensor([0 if opened.draws else _NEVER]).share_memory_()
        """How many samples other samplers shuffled, if `set_epoch` was never called."""

    def __repr__(self) -> str:
        return f"<tfrec dataset {self._opened.described(f'epoch {self.epoch}')}>"

    def __len__(self) -> int:
        return self._opened.records.count

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that is read. Call it before each loop over a loader.

        Args:
            epoch: in [0, 2**31).
        Raises:
            UsageError: ``epoch`` is out of range.
        """
        super().set_epoch(epoch)
        self._asked, self._is_asked_by_trainer = self.epoch, False
        self._shuffled[0] = _NEVER

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        """Read one record, or with a slice a list of records.

        Returns:
            ``(image, label)``, or ``image`` if there are no labels. image: ``dtype``
            [channels, height, width], or the result of ``transform``; label: an integer. Further
            features are the last value of the tuple, ``{name: value}``: integers and bytes as in
            Python, floats and lists of numbers as tensors, lists of bytes as lists.
        Raises:
            IndexError: there are fewer records; negative indices count from the end.
            DataError: the record is damaged, or smaller than the crop.
        """
        if isinstance(index, slice):
            return self.__getitems__(range(len(self))[index])
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[SupportsIndex]) -> list[Any]:
        """Read several records at once, in less time than one by one."""
        every, epoch = range(len(self)), self.epoch
        numbers = np.array([every[index] for index in indices], np.int64)
        epochs = np.array([getattr(index, "epoch", epoch) for index in indices], np.int64)
        if not any(isinstance(index, _Index) for index in indices):
            self._watch(numbers)
        return self._read(Drawn(numbers, epochs))

    def _watch(self, numbers: Int64s) -> None:
        """Warn once, of all workers, if a sampler shuffles again and the epoch was never set."""
        if (np.diff(numbers) < 0).any():
            self._shuffled += len(numbers)
            if self._shuffled[0] > len(self):
                self._shuffled[0] = _NEVER
                _warn_of_again(self, self.epoch, "crops")


class Stream(_OfEpoch, data.IterableDataset):  # type: ignore[misc]  # as above
    """The records of a split in the order in which they are read, divided among workers.

    The epoch is shared with workers as that of `Records` is. ``start`` leaves out records of the
    first epoch that is iterated; other epochs are complete.
    """

    def __init__(self, opened: OpenSplit, transform: Callable[..., Any] | None) -> None:
        super().__init__(opened, transform)
        self._first = torch.tensor([-1], dtype=torch.int64).share_memory_()
        self._order()  # raises if start is out of range

    def __repr__(self) -> str:
        shown = replace(self.options, epoch=self.epoch).shown_epochs
        return f"<tfrec stream {self._opened.described(shown)}>"

    def __len__(self) -> int:
        return self._opened.length(self._order())

    def __iter__(self) -> Iterator[Any]:
        """Iterate the samples; in a worker of a ``DataLoader``, those of this worker.

        Yields:
            What `Records.__getitem__` returns.
        Raises:
            DataError: a record is damaged, or smaller than the crop.
        """
        if self._first[0] < 0:
            self._first[0] = self.epoch
        return self._samples(self._order(), data.get_worker_info())

    def _order(self) -> ChunkOrder:
        """Return the order from the current epoch on."""
        is_first = int(self._first[0]) in (-1, self.epoch)
        start = self.options.start if is_first else 0
        options = replace(self.options, epoch=self.epoch, start=start)
        return ChunkOrder(self._opened.drawn_from, options, CHUNK)

    def _samples(self, order: ChunkOrder, info: Any) -> Iterator[Any]:
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        for index in range(order.epochs):
            is_empty = True
            for some in self._shared(order, index, worker, workers):
                is_empty = False
                yield from self._read(some)
            if index and is_empty:
                return  # so are later epochs, of which there may be no end

    def _shared(self, order: ChunkOrder, index: int, worker: int, workers: int) -> Iterator[Drawn]:
        """Yield the records of an epoch that a worker reads, some at a time."""
        own, records = order.own_range(index), self._opened.records
        if not records.is_sequential:
            share = own[worker::workers]
            for begin in range(0, len(share), CHUNK):
                yield order.draw(index, share[begin : begin + CHUNK])
            return
        drawn = order.draw(index, own)
        rows = worker_share(records.files(drawn.numbers), worker, workers)
        for begin in range(0, len(rows), CHUNK):
            part = rows[begin : begin + CHUNK]
            yield Drawn(drawn.numbers[part], drawn.epochs[part])


class _Index(int):
    """The number of a record, with the epoch in which it is read."""

    epoch: int

    def __new__(cls, number: int, epoch: int) -> _Index:
        index = super().__new__(cls, number)
        index.epoch = epoch
        return index

    def __reduce__(self) -> tuple[type[_Index], tuple[int, int]]:
        return _Index, (int(self), self.epoch)


class Order(data.Sampler):  # type: ignore[misc]  # PyTorch's types are not looked at
    """The order in which `read_tf.dataset` reads the same epoch, for ``DataLoader(sampler=…)``.

    The order is that of the dataset's epoch when an iteration begins. The numbers that it yields
    carry this epoch, so that they are read in it, whatever `Records.set_epoch` sets meanwhile. The
    end of an iteration leaves the epoch as it is.

    Loaders that keep their state, such as torchdata's ``StatefulDataLoader``, keep that of the
    order, and go on where they were: see `state_dict`.

    Args:
        dataset: a result of `read_torch.dataset`.
        shuffle: shuffle all records by (seed, epoch), or ``"blocks"``, as in `read_tf.dataset`.
        order_seed: the seed of the order; None means that of the dataset.
        shard: (i, n) for process i of n: the positions of each epoch that are i modulo n.
        even: make processes read equally many records, if ``shard`` does not divide them evenly:
            ``"drop"`` leaves out the last positions of each epoch, ``"repeat"`` adds the first ones
            at its end; None leaves some processes one record more.
        start: number of this process's records to leave out in the first epoch that is iterated, to
            resume where a run stopped; later epochs are complete.

    Raises:
        UsageError: ``dataset`` is something else, or a value is out of range.
    """

    def __init__(
        self,
        dataset: Records,
        *,
        shuffle: Shuffle = True,
        order_seed: int | None = None,
        shard: Sequence[int] = (0, 1),
        even: Even | None = None,
        start: int = 0,
    ) -> None:
        if not isinstance(dataset, Records):
            found = type(dataset).__name__
            raise UsageError(f"`dataset`: found {found}, expected what read_torch.dataset returns")
        self._dataset = dataset
        self._records = dataset._opened.drawn_from
        self._options = replace(
            dataset.options,
            shuffle=shuffle,
            order_seed=order_seed,
            shard=shard,
            even=even,
            start=start,
        )
        self._own = host_count(len(dataset), self._options)
        self._first_epoch: int | None = None
        self._start = self._options.start
        self._is_loaded = False
        self._over_epoch: int | None = None
        self._read_epoch: int | None = None
        self._is_silent = not (self._options.shuffle or dataset._opened.draws)
        self._has_warned_of_late_epoch = False
        self._current: _Iteration | None = None

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the dataset, see `Records.set_epoch`. Trainers call it."""
        self._dataset.set_epoch(epoch)
        self._dataset._is_asked_by_trainer = True

    def __len__(self) -> int:
        return self._own - (0 if self._is_loaded else self._start_of(self._dataset.epoch))

    def __iter__(self) -> _Iteration:
        return _Iteration(self)

    def state_dict(self) -> dict[str, Any]:
        """Return where the iteration is that began last: the epoch, and the position in it.

        The end of an epoch is the beginning of the next. Where workers read ahead, the order is
        ahead of the batches; ``StatefulDataLoader`` keeps the state of each batch.

        Returns:
            numbers, texts and None: ``epoch``; ``position``, in the epoch of all processes, so that
            another number of processes can go on; and what the order depends on.
        """
        epoch = self._dataset.epoch
        if self._current is not None and self._current.epoch == epoch:
            return self._current.state_dict()
        return state.make(self._records, self._options, epoch, self._start_of(epoch))

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where another order of the same records was, and set the epoch of the dataset.

        The next iteration in this epoch begins there; other epochs are complete. ``len`` is that
        of a complete epoch.

        Raises:
            UsageError: it is the state of another order.
        """
        loaded = state.read(self._records, self._options, state_dict)
        self._first_epoch, self._start = loaded
        self._is_loaded = True
        self._current = self._over_epoch = self._read_epoch = None
        self._dataset._epoch[0] = self._first_epoch

    def _start_of(self, epoch: int) -> int:
        """Return this process's position at which an iteration of an epoch begins."""
        if epoch == self._over_epoch:
            return self._own
        return self._start if self._first_epoch in (None, epoch) else 0

    def _load_now(self, state_dict: Mapping[str, Any]) -> None:
        """Load the state of an iteration that begins now; an epoch may have been set for it.

        Trainers set the epoch before they restore loaders. Where a state is the end of an epoch,
        some then set that epoch, but iterate the next. A loop over epochs that sets it means it:
        nothing of it is left.
        """
        dataset, asked = self._dataset, self._dataset._asked
        self.load_state_dict(state_dict)
        epoch = dataset.epoch
        if asked is None or asked == epoch or (asked < epoch and dataset._is_asked_by_trainer):
            return
        if asked < epoch:
            if asked < epoch - 1 or self._start:
                raise UsageError(
                    f"`epoch`: found set_epoch({asked}) before a state of epoch {epoch} was "
                    f"loaded, expected set_epoch({epoch})"
                )
            self._over_epoch = asked
        dataset._epoch[0] = asked

    def _note_begin(self, iteration: _Iteration) -> None:
        """Note the first number of an iteration."""
        epoch = iteration.epoch
        if self._first_epoch is None:
            self._first_epoch = epoch
        if self._read_epoch == epoch and not self._is_silent:
            self._is_silent = True
            _warn_of_again(self._dataset, epoch, "order and crops")
        self._current, self._dataset._asked = iteration, None

    def _warn_of_late_epoch(self, epoch: int) -> None:
        if not self._has_warned_of_late_epoch:
            self._has_warned_of_late_epoch = True
            warnings.warn(
                f"{self._dataset._opened.place}: epoch {self._dataset.epoch} was set while epoch "
                f"{epoch} is read, which goes on: expected set_epoch(…) before the loader is "
                "iterated",
                stacklevel=3,
            )


class _Iteration(Iterator[_Index]):
    """One iteration of an `Order`; loaders that keep a state take it from here."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._begin()

    def _begin(self) -> None:
        self.epoch = self._order._dataset.epoch
        self._position = self._order._start_of(self.epoch)
        self._is_complete = self._position == 0
        self._has_begun = False
        self._block: list[_Index] = []

    def __next__(self) -> _Index:
        order = self._order
        if not self._has_begun:
            self._has_begun = True
            order._note_begin(self)
        if order._dataset.epoch != self.epoch:
            order._warn_of_late_epoch(self.epoch)
        if self._position == order._own:
            raise StopIteration
        if not self._block:
            own = range(self._position, min(self._position + _BLOCK, order._own))
            opened = order._dataset._opened
            drawn = draw(order._records, order._options, self.epoch, own)
            for numbers in drawn.ahead:
                opened.records.read_ahead(numbers)
            self._block = [*map(_Index, drawn.numbers.tolist(), drawn.epochs.tolist())][::-1]
        self._position += 1
        if self._is_complete and self._position == order._own:
            order._read_epoch = self.epoch
        return self._block.pop()

    def state_dict(self) -> dict[str, Any]:
        order = self._order
        return state.make(order._records, order._options, self.epoch, self._position)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self._order._load_now(state_dict)
        self._begin()


def _warn_of_again(dataset: Records, epoch: int, same: str) -> None:
    expected = "dataset.set_epoch(…) before each loop; for validation crop_mode='center'"
    again.warn(dataset._opened, epoch, expected, same=same, stacklevel=2)


def _tensors(field: Field, column: Values) -> Sequence[Any]:
    """Return the value of each record: int and bytes of Python, or a tensor."""
    if field.kind == "bytes" and not field.classes:
        return [list(row) for row in column] if field.is_list else list(column)
    if isinstance(column, list):
        return [torch.from_numpy(row) for row in column]
    is_number = field.kind == "int64" and column.ndim == 1
    return column.tolist() if is_number else list(torch.from_numpy(column))
