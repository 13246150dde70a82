"""The reader for TensorFlow: a ``tf.data.Dataset`` whose crops are a pure function.

Knows: TensorFlow, as the only module that does. Must not know: click, writing.

A crop depends on (seed, epoch, record key) alone; the order of records on (seed, epoch) alone.
Nothing here has state: no shuffle buffer, no global seed, no generator.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from tfrec_cli import crops
from tfrec_cli import dataset as datasets
from tfrec_cli.crops import CropMode, Int64s
from tfrec_cli.dataset import Split
from tfrec_cli.errors import DataError, RunError, UsageError
from tfrec_cli.records import Names
from tfrec_cli.rows import Rows

Dtype = Literal["float32", "uint8"]
Small = Literal["fail", "skip", "pad"]

_CHUNK = 64
"""Records read at once where no batch says how many."""

_JPEG = {"channels": 3, "dct_method": "INTEGER_ACCURATE"}
_MARGIN = 2
"""Columns to decode on each side of a window, for chroma samples shared with it to be exact."""


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
) -> Any:
    """Open a dataset for training.

    Stored crops and whole images go through this one door: any stored image may be the source of a
    crop that fits it. Datasets of other programs work too, where their images are found
    (``image/encoded``, ``image``…); records without a key are known by their number.

    Args:
        path: a folder that ``tfrec write`` made, a record file, a folder of record files, or a
            split that was found already.
        crop: (height, width) in pixels, or one number for both; None keeps the stored size.
        crop_mode: ``random`` places crops statelessly, ``center`` in the middle.
        seed: in [0, 2**32); decides crops, flips, brightness and order.
        epoch: number of the first epoch, in [0, 2**31).
        epochs: how many follow each other; a batch never spans two of them.
        batch_size: None yields single records.
        shuffle: over everything, by (seed, epoch), without a buffer; not for GZIP shards.
        shard: (i, n): of each epoch's positions, those congruent to i modulo n, for host i of n.
        start: how many records of this host to leave out at the start, to go on where one stopped.
        flip: mirror each record left to right or not, each with one half.
        brightness: largest change to values in [0, 1], drawn for each record; 0 changes nothing.
        dtype: ``float32`` in [0, 1], or ``uint8``.
        small: what to do with an image smaller than the crop: ``fail`` when the dataset is opened
            (while reading, where no manifest tells the smallest), ``skip`` it, ``pad`` it with
            black, the image in the middle.
        drop_remainder: leave out an epoch's last batch if it is not full.
        parallel: decode so many images at once; None lets TensorFlow decide. Never changes a value.

    Returns:
        A ``tf.data.Dataset`` of ``(image, label)``, or of ``image`` where there are no labels.
        image: [batch, height, width, 3], label: int64 [batch]; without batch for single records.

    Raises:
        UsageError: no such split, a value out of range, a crop that no image or not every image
            can hold, images of different sizes to be batched.
        DataError: the files are not what their manifest says.
        RunError: TensorFlow is not installed.
    """
    tf = load_tensorflow()
    size = _check(crop, seed, epoch, epochs, batch_size, shard, start, brightness)
    _check_words(crop_mode, dtype, small)
    opened = path if isinstance(path, Split) else datasets.split(Path(path), split)
    names, first = datasets.first_record(opened)
    stored = opened.manifest.crop if opened.manifest else None
    size = size or stored
    if size is None and batch_size is not None:
        raise UsageError("crop: found None for images of many sizes, expected a size to batch them")
    must_look = _check_small(opened, size, small)
    rows = Rows(
        opened,
        seed=seed,
        epoch=epoch,
        epochs=epochs,
        chunk=batch_size or _CHUNK,
        shuffle=shuffle,
        shard=shard,
        start=start,
        whole_chunks=drop_remainder
        and batch_size is not None
        and not (small == "skip" and must_look),
    )
    first_chunks, later_chunks = rows.chunk_counts()
    how = {} if rows.is_sequential else {"num_parallel_calls": 2, "deterministic": True}
    cut = _Cut(
        tf,
        names=names,
        raw=first.is_raw,
        size=size,
        mode=crop_mode,
        seed=seed,
        small=small if must_look else None,
        flip=flip,
        brightness=brightness,
        dtype=dtype,
    )
    at_once = first.is_raw and size == stored and batch_size is not None

    def one_epoch(number: Any) -> Any:
        """Make the dataset of one epoch, ``number`` counted from the first that is read."""
        absolute = number + rows.first_epoch
        chunks = tf.where(tf.equal(number, 0), np.int64(first_chunks), np.int64(later_chunks))
        parsed = tf.data.Dataset.range(chunks).map(
            lambda chunk: cut.draw(cut.parse(*_fetch(tf, rows, number, chunk)), absolute), **how
        )
        if at_once:
            return parsed.map(cut.decode_rows).map(cut.finish)
        single = parsed.unbatch()
        if small == "skip" and must_look:
            single = single.filter(cut.fits)
        cropped = single.map(
            cut.decode,
            num_parallel_calls=parallel or tf.data.AUTOTUNE,
            deterministic=True,
        )
        if batch_size is not None:
            cropped = cropped.batch(batch_size, drop_remainder=drop_remainder)
        return cropped.map(cut.finish)

    if rows.epochs == 1:
        result = one_epoch(tf.constant(0, tf.int64))
    else:
        result = tf.data.Dataset.range(rows.epochs).flat_map(one_epoch)
    if not (small == "skip" and must_look):
        count = rows.record_count()
        if batch_size:
            count = first_chunks + later_chunks * (rows.epochs - 1)
        result = result.apply(tf.data.experimental.assert_cardinality(count))
    return result.prefetch(tf.data.AUTOTUNE)


def crop_digests(
    opened: Split,
    *,
    crop: tuple[int, int],
    seed: int,
    epoch: int,
    batch_size: int,
    parallel: int,
    in_graph: bool,
) -> list[bytes]:
    """Read a split once, in the order it is stored, on the CPU.

    Args:
        in_graph: iterate inside a ``tf.function``.
    Returns:
        The SHA-256 of each crop's pixels (uint8, row-major RGB).
    Raises:
        DataError: the reader failed.
    """
    with _hushed():
        tf = load_tensorflow()
    with suppress(RuntimeError):  # once TensorFlow runs, its devices are fixed
        tf.config.set_visible_devices([], "GPU")
    batches = dataset(
        opened,
        crop=crop,
        seed=seed,
        epoch=epoch,
        batch_size=batch_size,
        parallel=parallel,
        dtype="uint8",
    ).map(lambda *batch: batch[0])
    digests: list[bytes] = []

    def collect(images: npt.NDArray[np.uint8]) -> None:
        digests.extend(hashlib.sha256(image.tobytes()).digest() for image in images)

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


def random_offsets(keys: Int64s, *, seed: int, epoch: int) -> npt.NDArray[np.int32]:
    """Draw what `crops.random_offsets` draws, by TensorFlow itself.

    Args:
        keys: int64[n] in [0, 2**56).
    Returns:
        int32[n, 2] in [0, 2**31 - 1).
    """
    tf = load_tensorflow()

    def draw(key: Any) -> Any:
        pair = [np.int64(seed + epoch * 2**32), key]
        drawn = tf.random.stateless_uniform([3], pair, 0, tf.int32.max, tf.int32, alg="philox")
        return drawn[:2]

    drawn = tf.data.Dataset.from_tensor_slices(keys).map(draw, tf.data.AUTOTUNE).batch(len(keys))
    offsets: npt.NDArray[np.int32] = next(iter(drawn)).numpy()
    return offsets


def _innermost(message: str) -> str:
    """Take the cause out of what TensorFlow wraps around it."""
    found = re.search(r"with iterator: \S+: (.+)", message)
    return found[1] if found else message.strip().splitlines()[0]


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep what TensorFlow's C++ writes to stderr as it is imported from a person's terminal."""
    terminal = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        os.close(nowhere)


def find_tensorflow() -> None:
    """Look whether TensorFlow is there, without importing it.

    Raises:
        RunError: it is not installed.
    """
    if importlib.util.find_spec("tensorflow") is None:
        raise RunError("TensorFlow: found none, expected it: pip install tensorflow")


def load_tensorflow() -> Any:
    """Import TensorFlow.

    Raises:
        RunError: it is not installed.
    """
    find_tensorflow()
    import tensorflow as tf

    return tf


def _check(
    crop: int | tuple[int, int] | None,
    seed: int,
    epoch: int,
    epochs: int,
    batch_size: int | None,
    shard: tuple[int, int],
    start: int,
    brightness: float,
) -> tuple[int, int] | None:
    try:
        crops.check_seed(seed, epoch)
        crops.check_seed(seed, epoch + max(epochs, 1) - 1)
    except ValueError as error:
        raise UsageError(str(error)) from error
    size = (crop, crop) if isinstance(crop, Integral) else crop
    if size is not None and (not isinstance(size, tuple) or len(size) != 2):
        raise UsageError(f"crop: found {crop!r}, expected a number or (height, width)")
    if len(shard) != 2:
        raise UsageError(f"shard: found {shard!r}, expected (i, n)")
    for name, value, least in (
        ("crop", min(size) if size else 1, 1),
        ("epochs", epochs, 1),
        ("batch_size", 1 if batch_size is None else batch_size, 1),
        ("start", start, 0),
        ("shard", shard[0], 0),
    ):
        if not isinstance(value, Integral) or int(value) < least:
            raise UsageError(f"{name}: found {value}, expected {least} or more")
    if shard[0] >= shard[1]:
        raise UsageError(f"shard: found {shard}, expected (i, n) with i below n")
    if not 0 <= brightness <= 1:
        raise UsageError(f"brightness: found {brightness}, expected 0 to 1")
    return None if size is None else (int(size[0]), int(size[1]))


def _check_words(crop_mode: str, dtype: str, small: str) -> None:
    for name, word, words in (
        ("crop_mode", crop_mode, get_args(CropMode)),
        ("dtype", dtype, get_args(Dtype)),
        ("small", small, get_args(Small)),
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


def _fetch(tf: Any, rows: Rows, number: Any, chunk: Any) -> Any:
    """Return one chunk's payloads (string[n]) and record numbers (int64[n]) as tensors."""

    def fetch(number: Any, chunk: Any) -> tuple[npt.NDArray[np.object_], Int64s]:
        payloads, numbers = rows.fetch(int(number), int(chunk))
        array = np.empty(len(payloads), object)
        array[:] = payloads
        return array, numbers

    payloads, numbers = tf.numpy_function(fetch, [number, chunk], [tf.string, tf.int64])
    return tf.ensure_shape(payloads, [None]), tf.ensure_shape(numbers, [None])


class _Cut:
    """What becomes of one record, as TensorFlow operations."""

    def __init__(
        self,
        tf: Any,
        *,
        names: Names,
        raw: bool,
        size: tuple[int, int] | None,
        mode: CropMode,
        seed: int,
        small: Small | None,
        flip: bool,
        brightness: float,
        dtype: Dtype,
    ) -> None:
        self._tf = tf
        self._names = names
        self._raw = raw
        self._size: Any = size
        self._mode = mode
        self._seed = seed
        self._small = small
        self._flip = flip
        self._brightness = brightness
        self._dtype = dtype

    def parse(self, payloads: Any, numbers: Any) -> dict[str, Any]:
        """Parse string[n] Examples at once; a record without a key has its number for one."""
        tf = self._tf
        wanted = {"image": tf.string}
        for field in ("height", "width", "label", "key", "window"):
            if getattr(self._names, field) is not None:
                wanted[field] = tf.int64
        spec = {
            getattr(self._names, field): tf.io.FixedLenFeature([], dtype)
            for field, dtype in wanted.items()
        }
        parsed = tf.io.parse_example(payloads, spec)
        record = {field: parsed[getattr(self._names, field)] for field in wanted}
        if "key" in record:
            key = record["key"]
            ours = tf.logical_and(key >= 0, key < 2**crops.KEY_BITS)
            record["key"] = tf.where(ours, key, numbers)
        return {"key": numbers, **record}

    def draw(self, record: dict[str, Any], epoch: Any) -> dict[str, Any]:
        """Add to n records what is random of them, and where their crops lie if sizes are known.

        The numbers are those of ``tf.random.stateless_uniform``, drawn by NumPy for all n at once.
        """
        tf = self._tf

        def draw(keys: Int64s, epoch: Int64s) -> tuple[npt.NDArray[Any], ...]:
            chosen: dict[str, Any] = {"seed": self._seed, "epoch": int(epoch), "keys": keys}
            return (
                crops.random_offsets(**chosen),
                crops.random_flips(**chosen),
                crops.random_brightness(self._brightness, **chosen),
            )

        keys = record.pop("key")
        drawn = {"offset": tf.int32, "flip": tf.bool, "delta": tf.float32}
        values = tf.numpy_function(draw, [keys, epoch], [*drawn.values()], stateful=False)
        record |= zip(drawn, values, strict=True)
        for name in drawn:
            record[name].set_shape([None, 2] if name == "offset" else [None])
        sized = "height" in record and "width" in record
        if self._size is not None and sized and self._small != "pad":
            full = tf.cast(tf.stack([record["height"], record["width"]], axis=1), tf.int32)
            record["offset"] = self._place(record["offset"], full)
            left, width = record["offset"][:, 1], self._size[1]
            first = tf.maximum(left - _MARGIN, 0)
            last = tf.minimum(left + width + _MARGIN, full[:, 1])
            height = tf.fill(tf.shape(left), self._size[0])
            record["wide"] = tf.stack([record["offset"][:, 0], first, height, last - first], axis=1)
        return record

    def fits(self, record: dict[str, Any]) -> Any:
        """Tell whether one image holds the crop."""
        tf = self._tf
        height, width = self._image_size(record)
        return tf.logical_and(height >= self._size[0], width >= self._size[1])

    def decode(self, record: dict[str, Any]) -> dict[str, Any]:
        """Decode one image's window, uint8[height, width, 3]."""
        image = self._whole(record) if self._size is None else self._crop(record)
        return {**self._kept(record), "image": image}

    def decode_rows(self, record: dict[str, Any]) -> dict[str, Any]:
        """Turn string[n] raw images of one size into uint8[n, height, width, 3]."""
        tf = self._tf
        values = tf.io.decode_raw(record["image"], tf.uint8)
        return {**self._kept(record), "image": tf.reshape(values, [-1, *self._size, 3])}

    def finish(self, record: dict[str, Any]) -> Any:
        """Give uint8 images, one or a batch, what was drawn and their type, and add the labels."""
        tf = self._tf
        image = record["image"]
        if self._flip:
            mirrored = tf.reverse(image, [-2])
            image = tf.where(record["flip"][..., None, None, None], mirrored, image)
        if self._dtype == "float32" or self._brightness:
            image = tf.cast(image, tf.float32) * np.float32(1 / 255)
        if self._brightness:
            image = tf.clip_by_value(image + record["delta"][..., None, None, None], 0.0, 1.0)
            if self._dtype == "uint8":
                image = tf.cast(tf.round(image * 255), tf.uint8)
        return (image, record["label"]) if "label" in record else image

    def _kept(self, record: dict[str, Any]) -> dict[str, Any]:
        """Leave out what is not needed once an image is decoded."""
        wanted = {"label": True, "flip": self._flip, "delta": bool(self._brightness)}
        return {name: record[name] for name, kept in wanted.items() if kept and name in record}

    def _crop(self, record: dict[str, Any]) -> Any:
        tf = self._tf
        height, width = self._size

        def from_whole() -> Any:
            whole = self._whole(record)
            if self._small == "pad":
                whole = self._padded(whole)
            offset = record["offset"]
            if "wide" not in record:
                offset = self._place(offset, tf.shape(whole)[:2])
            return tf.slice(whole, tf.concat([offset, [0]], 0), [height, width, 3])

        def from_window() -> Any:
            box = record["wide"]
            wide = tf.image.decode_and_crop_jpeg(record["image"], box, **_JPEG)
            return tf.slice(wide, [0, record["offset"][1] - box[1], 0], [height, width, 3])

        if "wide" in record and "window" in record and not self._raw:
            cut = tf.cond(tf.equal(record["window"], 1), from_window, from_whole)
        else:
            cut = from_whole()
        return tf.ensure_shape(cut, [height, width, 3])

    def _place(self, draws: Any, full: Any) -> Any:
        """Return where crops start, int32[..., 2], in images of the sizes ``full``.

        Args:
            draws: int32[..., 2], in [0, 2**31 - 1).
            full: int32[..., 2] of (height, width) in pixels.
        """
        tf = self._tf
        space = full - tf.constant(self._size)
        if self._small == "fail":
            message = f"an image is smaller than the crop {self._size}"
            checked = tf.debugging.assert_non_negative(space, message)
            with tf.control_dependencies([checked] if checked is not None else []):
                space = tf.identity(space)
        return space // 2 if self._mode == "center" else draws % tf.maximum(space + 1, 1)

    def _whole(self, record: dict[str, Any]) -> Any:
        tf = self._tf
        image = record["image"]
        if self._raw:
            height, width = self._image_size(record)
            return tf.reshape(tf.io.decode_raw(image, tf.uint8), [height, width, 3])
        pixels = tf.cond(
            tf.io.is_jpeg(image),
            lambda: tf.io.decode_jpeg(image, **_JPEG),
            lambda: tf.io.decode_image(image, channels=3, expand_animations=False),
        )
        return tf.ensure_shape(pixels, [None, None, 3])

    def _padded(self, pixels: Any) -> Any:
        """Put black around a picture smaller than the crop, the picture in the middle."""
        tf = self._tf
        missing = tf.maximum(tf.constant(self._size) - tf.shape(pixels)[:2], 0)
        before = missing // 2
        margins = tf.stack([before, missing - before], axis=1)
        return tf.pad(pixels, tf.concat([margins, [[0, 0]]], axis=0))

    def _image_size(self, record: dict[str, Any]) -> Any:
        tf = self._tf
        if "height" in record and "width" in record:
            return tf.cast(record["height"], tf.int32), tf.cast(record["width"], tf.int32)
        shape = tf.shape(self._whole(record))
        return shape[0], shape[1]
