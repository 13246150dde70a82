"""The reader without a framework: batches of NumPy arrays, and a source with random access.

Knows: threads. Must not know: any framework, writing. What comes out is what `read_tf` gives.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
from itertools import groupby
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from tfrec_cli.crops import CropMode, Int64s
from tfrec_cli.dataset.discover import Split
from tfrec_cli.errors import UsageError
from tfrec_cli.imaging import pillow_decoder
from tfrec_cli.reading import options
from tfrec_cli.reading.batch import Dtype, Small
from tfrec_cli.reading.options import Look
from tfrec_cli.reading.prefetch import run_ahead
from tfrec_cli.runtime import pool as engines

Array = npt.NDArray[Any]
Batch = tuple[Array, Int64s]


def dataset(
    path: str | os.PathLike[str] | Split,
    *,
    split: str = "train",
    crop: int | tuple[int, int] | None = None,
    crop_mode: CropMode = "random",
    seed: int = 0,
    epoch: int = 0,
    epochs: int = 1,
    batch_size: int | None = None,
    shuffle: bool = False,
    shard: tuple[int, int] = (0, 1),
    start: int = 0,
    flip: bool = False,
    brightness: float = 0.0,
    dtype: Dtype = "float32",
    small: Small = "fail",
    drop_remainder: bool = False,
    parallel: int | None = None,
) -> Batches:
    """Open a dataset for training: the arguments are those of `read_tf.dataset`.

    Images are JPEG, PNG or raw, as `tfrec write` stores them.

    Returns:
        Something to iterate, again and again: what it yields, `read_tf.dataset` yields in the same
        order. ``len()`` tells how many, but under ``small="skip"`` where images may be left out.

    Raises:
        UsageError: no such split, a value out of range, a crop that no image or not every image
            can hold, images of different sizes to be batched.
        DataError: the files are not what their manifest says; while reading, a damaged record.
    """
    if parallel is not None:
        options.check_least("parallel", parallel, 1)
    read = options.batches(
        path,
        split,
        Look(
            crop=crop,
            crop_mode=crop_mode,
            seed=seed,
            flip=flip,
            brightness=brightness,
            dtype=dtype,
            small=small,
        ),
        epoch=epoch,
        epochs=epochs,
        batch_size=batch_size,
        shuffle=shuffle,
        shard=shard,
        start=start,
        drop_remainder=drop_remainder,
        decoder=pillow_decoder.Decoder,
    )
    return Batches(read, batch_size, drop_remainder, parallel or engines.available_jobs())


def source(
    path: str | os.PathLike[str] | Split,
    *,
    split: str = "train",
    crop: int | tuple[int, int] | None = None,
    crop_mode: CropMode = "random",
    seed: int = 0,
    epoch: int = 0,
    epochs: int = 1,
    shuffle: bool = False,
    shard: tuple[int, int] = (0, 1),
    flip: bool = False,
    brightness: float = 0.0,
    dtype: Dtype = "float32",
    small: Small = "fail",
) -> Source:
    """Open a dataset for random access, such as Grain's: arguments as in `read_tf.dataset`.

    ``source[i]`` is the i-th sample that `read_tf.dataset` yields, so that with ``epochs=3`` there
    are three times as many as records, each epoch with its own crops, and with ``shuffle`` with
    its own order: nothing has to be told to another process when an epoch ends.

    Raises:
        UsageError: as for `dataset`, compressed shards, or ``small="skip"``.
        DataError: the files are not what their manifest says.
    """
    look = Look(
        crop=crop,
        crop_mode=crop_mode,
        seed=seed,
        flip=flip,
        brightness=brightness,
        dtype=dtype,
        small=small,
    )
    options.check_no_skip(look)
    read = options.batches(
        path,
        split,
        look,
        epoch=epoch,
        epochs=epochs,
        batch_size=None,
        shuffle=shuffle,
        shard=shard,
        start=0,
        drop_remainder=False,
        decoder=pillow_decoder.Decoder,
        chunk=1,
    )
    if read.rows.is_sequential:
        where = path.folder if isinstance(path, Split) else path
        raise UsageError(f"random access: found compressed shards in {where}, expected plain ones")
    return Source(read)


class Batches:
    """Batches of a dataset, made ahead by threads, in order.

    An iterator that is given up ends its threads, and one holds only some batches in memory.
    """

    def __init__(
        self, read: options.Batches, batch_size: int | None, drop_remainder: bool, parallel: int
    ) -> None:
        self._read = read
        self._batch_size = batch_size
        self._drop_remainder = drop_remainder
        self._parallel = parallel

    def __len__(self) -> int:
        if self._read.length is None:
            raise TypeError("the length is not known where small images are skipped")
        return self._read.length

    def __iter__(self) -> Iterator[Any]:
        """Iterate ``(image, label)``, or ``image`` where there are no labels.

        Yields:
            image: uint8 or float32 [batch, height, width, 3], label: int64 [batch]; without batch
            for single records.
        """
        with closing(run_ahead(self._tasks(), self._parallel)) as chunks:
            for _, epoch in groupby(chunks, operator.itemgetter(0)):
                for images, labels in self._regrouped(batch for _, batch in epoch):
                    yield (images, labels) if self._read.labelled else images

    def _tasks(self) -> Iterator[Callable[[], tuple[int, Batch]]]:
        """Yield for each chunk what cuts it, and says to which epoch it belongs.

        What has to be read in sequence is read here, in the thread that iterates.
        """
        rows, buffers = self._read.rows, self._read.cutter.buffers
        first_chunks, later_chunks = rows.chunk_counts()
        for number in range(rows.epochs):
            for chunk in range(later_chunks if number else first_chunks):
                fetched = rows.fetch(number, chunk, buffers) if rows.is_sequential else None
                yield partial(self._cut, number, chunk, fetched)

    def _cut(
        self, number: int, chunk: int, fetched: tuple[list[memoryview], Int64s] | None
    ) -> tuple[int, Batch]:
        rows, cutter = self._read.rows, self._read.cutter
        payloads, numbers = fetched or rows.fetch(number, chunk, cutter.buffers)
        return number, cutter.cut(payloads, numbers, rows.first_epoch + number)

    def _regrouped(self, chunks: Iterable[Batch]) -> Iterator[tuple[Any, Any]]:
        """Make one epoch's batches, or single records, of its chunks."""
        size = self._batch_size
        if size is None:
            for images, labels in chunks:
                yield from zip(images, labels, strict=True)
            return
        if not self._read.regroups:
            yield from chunks
            return
        held: list[Batch] = []
        for chunk in chunks:
            held.append(chunk)
            if sum(len(labels) for _, labels in held) >= size:
                images, labels = _joined(held)
                yield images[:size], labels[:size]
                held = [(images[size:], labels[size:])]  # a chunk has no more than a batch
        images, labels = _joined(held) if held else (np.empty(0), np.empty(0, np.int64))
        if len(labels) and not self._drop_remainder:
            yield images, labels


class Source:
    """Samples by their place; fits Grain's ``RandomAccessDataSource``, and can be pickled.

    Source: https://google-grain.readthedocs.io/en/latest/data_sources/protocol.html.
    """

    def __init__(self, read: options.Batches) -> None:
        self._read = read

    def __repr__(self) -> str:
        return f"<tfrec source of {len(self)} samples>"

    def __len__(self) -> int:
        return self._read.rows.record_count()

    def __getitem__(self, index: SupportsIndex) -> Any:
        """Read and cut one sample.

        Returns:
            ``(image, label)``, or ``image`` where there are no labels. image: uint8 or float32
            [height, width, 3], label: int64 without dimensions.
        Raises:
            IndexError: there are not so many; negative ones count from the end.
            DataError: the record is damaged, or smaller than the crop.
        """
        rows, cutter = self._read.rows, self._read.cutter
        number, place = divmod(range(len(self))[index], rows.chunk_counts()[1])
        payloads, numbers = rows.fetch(number, place, cutter.buffers)
        images, labels = cutter.cut(payloads, numbers, rows.first_epoch + number)
        return (images[0], labels[0]) if self._read.labelled else images[0]


def _joined(batches: list[Batch]) -> Batch:
    images, labels = zip(*batches, strict=True)
    return np.concatenate(images), np.concatenate(labels)
