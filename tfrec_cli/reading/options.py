"""What the readers' arguments mean, for every framework the same.

Knows: datasets, and which values make sense. Must not know: any framework, threads, processes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from tfrec_cli import crops
from tfrec_cli.crops import CropMode, Int64s
from tfrec_cli.dataset import discover as datasets
from tfrec_cli.dataset.discover import Split
from tfrec_cli.dataset.records import Names
from tfrec_cli.errors import UsageError
from tfrec_cli.reading.batch import Cutter, Decoder, Dtype, Small
from tfrec_cli.reading.fetch import RandomAccess, Rows, random_access

_CHUNK = 64
"""Records read at once where no batch says how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What records are made to look like: see `read_tf.dataset`."""

    crop: int | tuple[int, int] | None
    crop_mode: CropMode
    seed: int
    flip: bool
    brightness: float
    dtype: Dtype
    small: Small


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """What a reader of batches has to do: fetch the chunks of ``rows``, and cut them.

    Attributes:
        labelled: the records have labels.
        regroups: a cut chunk may have fewer records, so that chunks are no batches yet.
        length: how many batches there are, or single records; None where ``regroups``.
    """

    rows: Rows
    cutter: Cutter
    labelled: bool
    regroups: bool
    length: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Records by their numbers, cut for any epoch. Can be pickled where its decoder can.

    Attributes:
        labelled: the records have labels.
    """

    records: RandomAccess
    cutter: Cutter
    labelled: bool

    def read(self, numbers: Sequence[int], epoch: int) -> list[tuple[npt.NDArray[Any], Int64s]]:
        """Read and cut some records.

        Returns:
            Batches of (images, labels): one, or where images have many sizes one for each record.
        Raises:
            DataError: a record is damaged, or smaller than the crop.
        """
        size = len(numbers) if self.cutter.size else 1
        batches = []
        for place in range(0, len(numbers), size or 1):
            some = np.array(numbers[place : place + size], np.int64)
            payloads = self.records.fetch(some, self.cutter.buffers)
            batches.append(self.cutter.cut(payloads, some, epoch))
        return batches


def batches(
    path: str | os.PathLike[str] | Split,
    split: str,
    look: Look,
    *,
    epoch: int,
    epochs: int,
    batch_size: int | None,
    shuffle: bool,
    shard: tuple[int, int],
    start: int,
    drop_remainder: bool,
    decoder: Callable[[], Decoder],
    chunk: int = _CHUNK,
) -> Batches:
    """Open a dataset to read it in batches: arguments and errors are those of `read_tf.dataset`.

    Args:
        decoder: makes what decodes images, once all else is right.
        chunk: records read at once where ``batch_size`` is None.
    """
    size = check(
        crop=look.crop,
        seed=look.seed,
        epoch=epoch,
        epochs=epochs,
        batch_size=batch_size,
        shard=shard,
        start=start,
        brightness=look.brightness,
    )
    source = _Source.open(path, split, size, look)
    if source.size is None and batch_size is not None:
        raise UsageError("crop: found None for images of many sizes, expected a size to batch them")
    must_look = _check_small(source.opened, source.size, look.small)
    regroups = look.small == "skip" and must_look
    rows = Rows(
        source.opened,
        seed=look.seed,
        epoch=epoch,
        epochs=epochs,
        chunk=1 if source.size is None else batch_size or chunk,
        shuffle=shuffle,
        shard=shard,
        start=start,
        whole_chunks=drop_remainder and batch_size is not None and not regroups,
    )
    first_chunks, later_chunks = rows.chunk_counts()
    length = first_chunks + later_chunks * (rows.epochs - 1) if batch_size else rows.record_count()
    return Batches(
        rows=rows,
        cutter=source.cutter(look, must_look, decoder()),
        labelled=source.labelled,
        regroups=regroups,
        length=None if regroups else length,
    )


def samples(
    path: str | os.PathLike[str] | Split,
    split: str,
    look: Look,
    *,
    epoch: int,
    decoder: Callable[[], Decoder],
) -> Samples:
    """Open a dataset to read records by their numbers.

    Raises:
        UsageError: as for `batches`, compressed shards, or ``small="skip"``.
    """
    size = check(crop=look.crop, seed=look.seed, epoch=epoch, brightness=look.brightness)
    check_no_skip(look)
    source = _Source.open(path, split, size, look)
    must_look = _check_small(source.opened, source.size, look.small)
    return Samples(
        records=random_access(source.opened, "random access"),
        cutter=source.cutter(look, must_look, decoder()),
        labelled=source.labelled,
    )


def check(
    *,
    crop: int | tuple[int, int] | None = None,
    seed: int = 0,
    epoch: int = 0,
    epochs: int = 1,
    batch_size: int | None = None,
    shard: tuple[int, int] = (0, 1),
    start: int = 0,
    brightness: float = 0.0,
) -> tuple[int, int] | None:
    """Check the numbers among a reader's arguments.

    Returns:
        The crop as (height, width) in pixels, if there is one.
    Raises:
        UsageError: one is out of range, or of another type.
    """
    for name, value in (("seed", seed), ("epoch", epoch)):
        if not isinstance(value, Integral):
            raise UsageError(f"{name}: found {value!r}, expected a whole number")
    try:
        crops.check_seed(seed, epoch)
        crops.check_seed(seed, epoch + max(epochs, 1) - 1)
    except ValueError as error:
        raise UsageError(str(error)) from error
    size = (crop, crop) if isinstance(crop, Integral) else crop
    if size is not None and (not isinstance(size, tuple) or len(size) != 2):
        raise UsageError(f"crop: found {crop!r}, expected a number or (height, width)")
    if not isinstance(shard, Sequence) or len(shard) != 2:
        raise UsageError(f"shard: found {shard!r}, expected (i, n)")
    for name, value, least in (
        ("crop", min(size) if size else 1, 1),
        ("epochs", epochs, 1),
        ("batch_size", 1 if batch_size is None else batch_size, 1),
        ("start", start, 0),
        ("shard", shard[0], 0),
    ):
        check_least(name, value, least)
    if shard[0] >= shard[1]:
        raise UsageError(f"shard: found {shard}, expected (i, n) with i below n")
    if not 0 <= brightness <= 1:
        raise UsageError(f"brightness: found {brightness}, expected 0 to 1")
    return None if size is None else (int(size[0]), int(size[1]))


def check_least(name: str, value: object, least: int) -> None:
    """Refuse an argument that is no whole number, or below ``least``.

    Raises:
        UsageError: it is.
    """
    if not isinstance(value, Integral) or int(value) < least:
        raise UsageError(f"{name}: found {value}, expected {least} or more")


def check_no_skip(look: Look) -> None:
    """Refuse to leave out small images where each record is asked for by its number.

    Raises:
        UsageError: they would be left out.
    """
    if look.small == "skip":
        raise UsageError(
            "small: found 'skip', expected 'fail' or 'pad': records are asked for by number, "
            "so that none can be left out"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """A split, and what its first record tells."""

    opened: Split
    names: Names
    raw: bool
    size: tuple[int, int] | None

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] | Split,
        split: str,
        size: tuple[int, int] | None,
        look: Look,
    ) -> _Source:
        _check_words(look)
        opened = path if isinstance(path, Split) else datasets.split(Path(path), split)
        names, first = datasets.first_record(opened)
        stored = opened.manifest.crop if opened.manifest else None
        return cls(opened=opened, names=names, raw=first.is_raw, size=size or stored)

    @property
    def labelled(self) -> bool:
        return self.names.label is not None

    def cutter(self, look: Look, must_look: bool, decoder: Decoder) -> Cutter:
        return Cutter(
            names=self.names,
            raw=self.raw,
            size=self.size,
            mode=look.crop_mode,
            seed=look.seed,
            small=look.small if must_look else None,
            flip=look.flip,
            brightness=look.brightness,
            dtype=look.dtype,
            decoder=decoder,
        )


def _check_words(look: Look) -> None:
    for name, word, words in (
        ("crop_mode", look.crop_mode, get_args(CropMode)),
        ("dtype", look.dtype, get_args(Dtype)),
        ("small", look.small, get_args(Small)),
    ):
        if word not in words:
            raise UsageError(f"{name}: found {word!r}, expected one of {', '.join(words)}")


def _check_small(opened: Split, size: tuple[int, int] | None, small: Small) -> bool:
    """Refuse a crop that not every image holds; tell whether single images must be looked at."""
    if size is None:
        return False
    smallest = opened.manifest.smallest if opened.manifest else None
    if smallest is None:
        return True
    if size[0] <= smallest[0] and size[1] <= smallest[1]:
        return False
    if small == "fail":
        raise UsageError(
            f"crop: found {size[0]}x{size[1]}, but {opened.folder} holds images down to "
            f"{smallest[0]} rows and {smallest[1]} columns, "
            "expected a crop that fits them all, or small='skip' or 'pad'"
        )
    return True
