"""The reader without a framework: batches of NumPy arrays, and a source with random access.

Knows: threads. Must not know: any framework, writing. It yields the values that `read_tf` yields.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, groupby
from typing import Any, SupportsIndex

import numpy as np

from tfrec_cli.crops import CropMode
from tfrec_cli.dataset.discover import Split
from tfrec_cli.errors import UsageError
from tfrec_cli.reading import state
from tfrec_cli.reading.again import Passes
from tfrec_cli.reading.batch import Batch
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
from tfrec_cli.reading.order import ChunkOrder, Drawn
from tfrec_cli.reading.prefetch import run_ahead

__all__ = ["Batches", "Source", "dataset", "source"]


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
    transform: Callable[..., Any] | None = None,
) -> Batches:
    """Open a dataset for training, as batches of NumPy arrays.

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
        transform: a function that is called with each image, an array [height, width, channels],
            and returns what replaces the image. If it has a parameter ``seed``, it also gets the
            pair that ``features=["seed"]`` yields. The attribute ``transform`` can be set later.

    Returns:
        An iterable of what `read_tf.dataset` yields, in the same order: see `Batches.__iter__`.
        Each loop over it starts again, and yields the same; a warning is given once if something in
        it is drawn. ``len()`` is the number of batches, or of records without ``batch_size``; it is
        not known if records may be skipped or ``epochs`` is None.

    Raises:
        MissingPathError: ``path`` does not exist.
        UsageError: there is no such split, it is not certain which feature is the image or the
            label, a value is out of range or of another type, the crop does not fit every image,
            images of several sizes are to be batched, GZIP shards are to be shuffled, or epochs
            without end have nothing to read.
        DataError: a file is missing, or is not what its manifest says; while iterating, a record is
            damaged, or an image cannot be decoded or is smaller than the crop.
        RunError: a file cannot be read.

    Examples:
        >>> from tfrec_cli import read_numpy
        >>> train = read_numpy.dataset("out", crop=(64, 96), seed=42, batch_size=5, dtype="uint8")
        >>> images, labels = next(iter(train))
        >>> images.shape, images.dtype, labels.dtype
        ((5, 64, 96, 3), dtype('uint8'), dtype('int64'))

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
    opened = open_split(path, options, with_seeds=True, changes=transform is not None)
    return Batches(opened, transform)


def source(
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
    flip: bool = False,
    brightness: float = 0.0,
    views: int = 1,
    dtype: Dtype = "float32",
    channels: Channels = 3,
    small: Small = "fail",
    missing: Missing = "fail",
    transform: Callable[..., Any] | None = None,
) -> Source:
    """Open a dataset for random access, for Grain and others.

    ``source[i]`` is the i-th sample that `read_tf.dataset` yields without a batch size. With
    ``epochs=3`` there are three times as many samples as records. Each epoch has its own crops and,
    with ``shuffle``, its own order, so no other process needs to know when an epoch ends.

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
        epochs: number of epochs, one after another; None is refused.
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
        missing: what to do with a record without the feature of the image: ``"fail"`` raises an
            error; ``"skip"`` is refused.
        transform: a function that is called with each image, an array [height, width, channels],
            and returns what replaces the image. If it has a parameter ``seed``, it also gets the
            pair that ``features=["seed"]`` yields. The attribute ``transform`` can be set later.

    Returns:
        A sequence of ``(image, label)``, or of ``image`` if there are no labels: see
        `Source.__getitem__`.

    Raises:
        MissingPathError: ``path`` does not exist.
        UsageError: there is no such split, it is not certain which feature is the image or the
            label, a value is out of range or of another type, the crop does not fit every image,
            shards are compressed, or ``epochs`` is None.
        DataError: a file is missing, or is not what its manifest says.
        RunError: a file cannot be read.

    Examples:
        >>> from tfrec_cli import read_numpy
        >>> samples = read_numpy.source("out", crop=96, seed=42, shuffle=True)
        >>> image, label = samples[7]
        >>> image.shape, image.dtype
        ((96, 96, 3), dtype('float32'))
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
        flip=flip,
        brightness=brightness,
        views=views,
        dtype=dtype,
        channels=channels,
        small=small,
        missing=missing,
    )
    if options.epochs is None:
        raise UsageError("`epochs`: found None, expected a number: a source has a length")
    changes = transform is not None
    opened = open_split(path, options, by_number=True, with_seeds=True, changes=changes)
    return Source(opened, transform)


class Batches(Stepping, Transforming):
    """Batches of a dataset, made ahead by threads, in order.

    An iterator holds few batches in memory; when it is dropped, its threads end.
    """

    def __init__(self, opened: OpenSplit, transform: Callable[..., Any] | None) -> None:
        self._opened = opened
        self._order = opened.order()
        self._passes = Passes(opened)
        self.transform = transform

    def __repr__(self) -> str:
        options = self._opened.options
        batches = f", batches of {options.batch_size}" if options.batch_size else ""
        return f"<tfrec dataset {self._opened.described(options.shown_epochs)}{batches}>"

    def __len__(self) -> int:
        return self._opened.length(self._order)

    def __iter__(self) -> Iterator[Any]:
        """Iterate ``(image, label)``, or ``image`` if there are no labels.

        The iterator keeps where it is: ``state_dict()`` returns it, a dictionary of numbers and
        texts, and ``load_state_dict(…)`` of another iterator goes on there, also with another
        number of hosts. Both raise `UsageError` if records may be skipped.

        Yields:
            image: ``dtype`` [batch, height, width, channels], label: int64 [batch]. Further
            features are the last value of the tuple, ``{name: values}``: one value a record is an
            array [batch], lists are a list of arrays. Single records have no batch dimension.
        """
        return _Iteration(self)


class _Iteration(Iterator[Any]):
    """One loop over `Batches`."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self._read_to = (0, 0)
        self._reading: Iterator[tuple[tuple[int, int], Any]] = iter(())
        self._begin(batches._opened)

    def __next__(self) -> Any:
        self._read_to, read = next(self._reading)
        return read

    def state_dict(self) -> dict[str, Any]:
        """Return up to where which epoch was read, see `state.make`.

        Raises:
            UsageError: it is not known, because records may be skipped.
        """
        self._check_position_is_known()
        opened = self._batches._opened
        return state.make(opened.drawn_from, opened.options, *self._read_to)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where another iterator was, up to the last epoch of this dataset.

        Raises:
            UsageError: it is the state of another order, or records may be skipped.
        """
        self._check_position_is_known()
        opened = self._batches._opened
        options = opened.options
        epoch, start = state.read(opened.drawn_from, options, state_dict)
        end = options.epoch + options.epoch_count
        if not options.epoch <= epoch <= end:
            raise UsageError(
                f"`state_dict`: found epoch {epoch}, but {options.shown_epochs} are read"
            )
        if epoch == end:
            self._read_to, self._reading = (epoch, 0), iter(())
            return
        epochs = None if options.epochs is None else end - epoch
        rest = replace(options, epoch=epoch, epochs=epochs, start=start)
        self._begin(replace(opened, options=rest), resumes=True)

    def _check_position_is_known(self) -> None:
        if self._batches._opened.may_skip:
            raise UsageError("`state_dict`: records may be skipped, so that no position is known")

    def _begin(self, opened: OpenSplit, *, resumes: bool = False) -> None:
        reading = _Reading(self._batches, opened, opened.order(), resumes)
        self._read_to = reading.order.first_epoch, reading.order.own_range(0).start
        self._reading = reading.run()


@dataclass(frozen=True, slots=True)
class _Reading:
    """What an iteration reads; it does not know the iteration, which ends when it is dropped."""

    batches: Batches
    opened: OpenSplit
    order: ChunkOrder
    resumes: bool  # a state was loaded

    def run(self) -> Iterator[tuple[tuple[int, int], Any]]:
        """Yield what is iterated, and up to where which epoch is read then."""
        options, order, passes = self.opened.options, self.order, self.batches._passes
        passes.begin(stacklevel=3, resumes=self.resumes)
        with closing(run_ahead(self._tasks(), options.threads)) as chunks:
            for index, epoch in groupby(chunks, operator.itemgetter(0)):
                own = order.own_range(index).start
                for views, values in self._regrouped(batch for _, batch in epoch):
                    own += len(views[0]) if options.batch_size else 1
                    read = self.opened.layout.assemble(views, values)
                    yield (order.first_epoch + index, own), read
        passes.end()

    def _tasks(self) -> Iterator[Callable[[], tuple[int, Batch]]]:
        """Yield for each chunk a function that returns the index of its epoch, and its batch.

        Records that must be read in sequence are fetched here, in the thread that iterates.
        """
        order, opened = self.order, self.opened
        first_chunks, later_chunks = order.chunk_counts()
        for index in range(order.epochs):
            for chunk in range(later_chunks if index else first_chunks):
                if opened.records.is_sequential:
                    drawn = order.chunk(index, chunk)
                    yield partial(self._build, index, drawn, opened.fetch(drawn.numbers))
                else:
                    yield partial(self._read_chunk, index, chunk)

    def _read_chunk(self, index: int, chunk: int) -> tuple[int, Batch]:
        read = self.opened.read(self.order.chunk(index, chunk))
        return index, self.batches._changed(read)

    def _build(self, index: int, drawn: Drawn, payloads: list[memoryview]) -> tuple[int, Batch]:
        return index, self.batches._changed(self.opened.build(payloads, drawn))

    def _regrouped(self, chunks: Iterable[Batch]) -> Iterator[tuple[Any, Sequence[Any]]]:
        """Turn the chunks of one epoch into batches or single records."""
        size = self.opened.options.batch_size
        if size is None:
            for chunk in chunks:
                yield from _singles(chunk)
            return
        if not self.opened.may_skip:
            yield from chunks
            return
        held: list[Batch] = []
        for chunk in chunks:
            if _count(chunk):
                held.append(chunk)
            if sum(map(_count, held)) >= size:
                joined = _joined(held)
                yield _cut(joined, slice(size))
                held = [_cut(joined, slice(size, None))]  # a chunk has no more than a batch
        rest = _joined(held) if held else None
        if rest and _count(rest) and not self.opened.options.drop_remainder:
            yield rest


class Source(Transforming):
    """Samples by index; fits Grain's ``RandomAccessDataSource``, and can be pickled.

    Source: https://google-grain.readthedocs.io/en/latest/data_sources/protocol.html.
    """

    def __init__(self, opened: OpenSplit, transform: Callable[..., Any] | None) -> None:
        self._opened = opened
        self._order = opened.order(1)
        self.transform = transform
        self._indices = range(self._order.record_count())
        self._by_epoch = self._order.chunk_counts()[1]

    def __repr__(self) -> str:
        return f"<tfrec source {self._opened.described(self._opened.options.shown_epochs)}>"

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        """Read and crop one sample, or with a slice a list of samples.

        Returns:
            ``(image, label)``, or ``image`` if there are no labels. image: ``dtype``
            [height, width, channels], label: an int64 scalar. Further features are the last value
            of the tuple, ``{name: value}``.
        Raises:
            IndexError: there are fewer samples; negative indices count from the end.
            DataError: the record is damaged, or smaller than the crop.
        """
        if isinstance(index, slice):
            return self.__getitems__(self._indices[index])
        opened, order = self._opened, self._order
        number, chunk = divmod(self._indices[index], self._by_epoch)
        batch = self._changed(opened.read(order.chunk(number, chunk)))
        return opened.layout.assemble(*next(_singles(batch)))

    def __getitems__(self, indices: Iterable[SupportsIndex]) -> list[Any]:
        """Read several samples."""
        return [self[index] for index in indices]


def _singles(batch: Batch) -> Iterator[tuple[Any, Sequence[Any]]]:
    """Iterate the records of a batch: the image of each view, and the value of each field."""
    views, values = batch
    for row, images in enumerate(zip(*views, strict=True)):
        yield images, [column[row] for column in values]


def _count(batch: Batch) -> int:
    return len(batch[0][0])


def _joined(batches: list[Batch]) -> Batch:
    views, values = zip(*batches, strict=True)
    columns = zip(*values, strict=True)
    return tuple(map(np.concatenate, zip(*views, strict=True))), [
        np.concatenate(parts) if isinstance(parts[0], np.ndarray) else list(chain(*parts))
        for parts in columns
    ]


def _cut(batch: Batch, rows: slice) -> Batch:
    views, values = batch
    return tuple(images[rows] for images in views), [column[rows] for column in values]
