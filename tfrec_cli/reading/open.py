"""A split opened to be read: its features' names, the crops' size, its records, their arrays.

Knows: datasets, and every other module of this package. Must not know: any framework, threads.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfrec_cli.crops import Int64s
from tfrec_cli.dataset import discover
from tfrec_cli.dataset.discover import Split
from tfrec_cli.errors import UsageError
from tfrec_cli.imaging.decoder import Decoder
from tfrec_cli.reading.batch import Batch, BatchBuilder
from tfrec_cli.reading.fetch import Records, open_records
from tfrec_cli.reading.options import ReadOptions
from tfrec_cli.reading.order import ChunkOrder
from tfrec_cli.runtime import values

_CHUNK = 64
"""Records fetched at once where no batch size says how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSplit:
    """Records of a split by their numbers, as arrays.

    Can be pickled where its decoder can and its shards are plain.

    Attributes:
        labelled: the records have labels.
    """

    options: ReadOptions
    records: Records
    builder: BatchBuilder
    labelled: bool

    @property
    def may_skip(self) -> bool:
        """Whether small images may be left out, so that chunks are no batches yet."""
        return self.options.small == "skip" and self.builder.may_be_small

    def fetch(self, numbers: Int64s) -> list[memoryview]:
        """Read the payloads of some records: see `fetch.Records`."""
        return self.records.fetch(numbers, self.builder.buffers)

    def read(self, numbers: Int64s, epoch: int) -> Batch:
        """Read some records, and build their batch: see `batch.BatchBuilder.build`."""
        return self.builder.build(self.fetch(numbers), numbers, epoch)

    def read_all(self, numbers: Sequence[int], epoch: int) -> list[Batch]:
        """Read some records as one batch, or where images have many sizes as one for each.

        Raises:
            DataError: a record is damaged, or smaller than the crop.
        """
        size = len(numbers) if self.builder.crop else 1
        return [
            self.read(np.array(numbers[start : start + size], np.int64), epoch)
            for start in range(0, len(numbers), size or 1)
        ]

    def order(self, chunk_size: int = _CHUNK) -> ChunkOrder:
        """Return the order in which the records are read, in chunks.

        Args:
            chunk_size: records fetched at once where no batch size says how many.
        Raises:
            UsageError: ``start`` leaves out more than all epochs have.
        """
        options = self.options
        batch_size = options.batch_size
        return ChunkOrder(
            self.records.count,
            options,
            1 if self.builder.crop is None else batch_size or chunk_size,
            full_only=options.drop_remainder and batch_size is not None and not self.may_skip,
        )

    def length(self, order: ChunkOrder) -> int | None:
        """Return how many batches, or single records, are read; None if some may be skipped."""
        if self.may_skip:
            return None
        return order.chunk_count() if self.options.batch_size else order.record_count()


def open_split(
    path: str | os.PathLike[str] | Split,
    options: ReadOptions,
    decoder: Decoder,
    *,
    by_number: bool = False,
) -> OpenSplit:
    """Open a dataset's split.

    Args:
        by_number: any record may be asked for by its number, so that none can be left out.
    Raises:
        MissingPathError: nothing is at ``path``.
        UsageError: no such split, a crop that no image or not every image can hold, images of many
            sizes to be batched; shuffled compressed shards; ``by_number``, compressed shards at
            all, or ``small="skip"``.
        DataError: the files are not what their manifest says.
        RunError: a file cannot be read.
    """
    if by_number:
        options.check_no_skip()
    split = path
    if not isinstance(split, Split):
        split = discover.split(values.path("path", path), options.split)
    names, first = discover.first_record(split)
    crop = options.crop_size or (split.manifest.crop if split.manifest else None)
    if crop is None and options.batch_size is not None:
        raise UsageError(
            "`crop`: found None, and images of many sizes, expected a size to batch them"
        )
    may_be_small = crop is not None and _may_be_small(split, crop, options)
    random_access_for = "random access" if by_number else "shuffle" if options.shuffle else None
    return OpenSplit(
        options=options,
        records=open_records(split, random_access_for),
        builder=BatchBuilder(
            options=options,
            names=names,
            raw=first.is_raw,
            crop=crop,
            may_be_small=may_be_small,
            decoder=decoder,
        ),
        labelled=names.label is not None,
    )


def _may_be_small(split: Split, crop: tuple[int, int], options: ReadOptions) -> bool:
    """Tell whether an image may be smaller than the crop, so that each must be looked at.

    Raises:
        UsageError: one is, and ``small`` is ``fail``.
    """
    smallest = split.manifest.smallest if split.manifest else None
    if smallest is None:
        return True
    if crop[0] <= smallest[0] and crop[1] <= smallest[1]:
        return False
    if options.small == "fail":
        raise UsageError(
            f"`crop`: found {crop[0]}x{crop[1]}, but {split.folder} holds images down to "
            f"{smallest[0]} rows and {smallest[1]} columns, "
            "expected a crop that fits them all, or small='skip' or 'pad'"
        )
    return True
