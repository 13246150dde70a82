"""Batches of pixels: records parsed, cropped and stacked, the same for every framework.

Knows: records and crops. Must not know: any framework; where records come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tfrec_cli import crops
from tfrec_cli.crops import Int64s
from tfrec_cli.dataset.records import DRAWN_FIELDS, ColumnKind, Names, raw_pixels
from tfrec_cli.errors import DataError, ImageError
from tfrec_cli.imaging import decoder
from tfrec_cli.imaging.jpeg import markers as jpeg_markers
from tfrec_cli.imaging.kinds.samples import as_bits
from tfrec_cli.reading.buffers import BufferPool
from tfrec_cli.reading.fields import FeatureReader, Field, Values
from tfrec_cli.reading.options import ReadOptions, Small
from tfrec_cli.runtime import native
from tfrec_cli.runtime.values import sides

if TYPE_CHECKING:
    from tfrec_cli.imaging.decoder import Pixels

Images = npt.NDArray[Any]
Batch = tuple[tuple[Images, ...], list[Values]]
"""For each view its images, uint8, uint16 or float32 [n, height, width, channels]; and the values
of each field."""

_UNIT = np.float32(1 / 255)
_PER_8_BITS = np.float32(257)


@dataclass(slots=True)
class _Record:
    """What is needed of a record to crop it; the size is None until it is read from the image."""

    number: int
    epoch: int
    image: memoryview
    size: tuple[int, int] | None
    key: int
    values: list[Any]


@dataclass(slots=True, kw_only=True)
class BatchBuilder:
    """Makes batches from the payloads of records.

    Attributes:
        names: what the features of the records are called.
        fields: what is yielded beside the images.
        raw: number of channels if images are height * width * channels values; 0 if they are not.
        crop: (height, width) of the crops in pixels; None keeps the size of the images.
        may_be_small: whether an image may be smaller than the crop.
        planar: make batches of [n, channels, height, width].
        with_seeds: add the seed pairs, int64[n, views, 2], after the values of all fields.
        buffers: memory for the batches.
    """

    options: ReadOptions
    names: Names
    fields: tuple[Field, ...]
    raw: int
    crop: tuple[int, int] | None
    may_be_small: bool
    planar: bool = False
    with_seeds: bool = False
    buffers: BufferPool = field(default_factory=BufferPool)
    _small: Small | None = field(init=False)
    _reader: FeatureReader = field(init=False)
    _wrapped: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self._small = self.options.small if self.may_be_small else None
        lists = [one for one in self.fields if one.is_list]
        singles = [one for one in self.fields if one.feature and not one.is_list]
        kinds: dict[str, tuple[ColumnKind, bool]] = {one.feature: (one.kind, True) for one in lists}
        kinds |= dict.fromkeys(self.names.by_feature(DRAWN_FIELDS), ("int64", False))
        kinds[self.names.image] = ("bytes", False)
        kinds |= {one.feature: (one.kind, False) for one in singles}
        may_be_lists = {one.feature for one in singles if one.role != "weight"}
        self._reader = FeatureReader(kinds, may_be_lists)
        self._wrapped = {one.feature for one in lists if not kinds[one.feature][1]}

    def build(self, payloads: Sequence[memoryview], numbers: Int64s, epochs: Int64s) -> Batch:
        """Make a batch of n records.

        Args:
            payloads: those of the records.
            numbers: those of the records, int64[n]; used as keys of records that have none.
            epochs: that of all records, or int64[n] with that of each.
        Returns:
            Their images and the values of their fields. ``small="skip"`` and ``missing="skip"`` may
            return fewer than n.
        Raises:
            DataError: a record has no image, or one smaller than the crop with ``small="fail"``.
        """
        options = self.options
        of_each = np.broadcast_to(epochs, numbers.shape).tolist()
        records = [
            record
            for payload, number, epoch in zip(payloads, numbers.tolist(), of_each, strict=True)
            if (record := self._record(payload, number, epoch))
        ]
        if self._small == "skip":
            records = [self._sized(record) for record in records]
            records = [record for record in records if self._fits(record.size or (0, 0))]
        keys = np.array([record.key for record in records], np.int64)
        kept = np.array([record.epoch for record in records], np.int64)
        drawn_from: list[dict[str, Any]] = [
            {"seed": options.seed, "epoch": kept, "keys": keys, "view": view}
            for view in range(options.views)
        ]
        views = tuple(self._view(records, of_view) for of_view in drawn_from)
        return views, self._collect(records, drawn_from)

    def _view(self, records: Sequence[_Record], drawn_from: Mapping[str, Any]) -> Images:
        """Make one view of records."""
        options = self.options
        offsets = [(0, 0)] * len(records)
        if options.crop_mode == "random" and any(record.size != self.crop for record in records):
            offsets = list(map(tuple, crops.random_offsets(**drawn_from).tolist()))
        flips = [False] * len(records)
        if options.flip:
            flips = crops.random_flips(**drawn_from).tolist()
        images = self._stack(records, offsets, flips)
        if options.brightness:
            deltas = crops.random_brightness(options.brightness, **drawn_from)
            images = self._brightened(images, deltas)
        return images

    def _record(self, payload: memoryview, number: int, epoch: int) -> _Record | None:
        """Read a record; return None if it has no image and is to be skipped."""
        names = self.names
        skips = self.options.missing == "skip"
        try:
            values = self._reader.read(payload, optional=names.image if skips else "")
        except DataError as error:
            raise DataError(f"record {number}: {error}") from error
        if names.image not in values:
            return None
        size = [values[name] for name in (names.height, names.width) if name]
        return _Record(
            number,
            epoch,
            values[names.image],
            (size[0], size[1]) if len(size) == 2 else None,
            crops.seed_key(values[names.key] if names.key else None, number),
            [
                [values[one.feature]]
                if one.is_list and one.feature in self._wrapped
                else values.get(one.feature, ())
                for one in self.fields
            ],
        )

    def _collect(
        self, records: Sequence[_Record], drawn_from: Sequence[Mapping[str, Any]]
    ) -> list[Values]:
        """Return the values of each field, and the seed pairs if they are to be added."""
        numbers = [record.number for record in records]
        seeds = np.empty((len(records), 0, 2), np.int64)
        if self.with_seeds or not all(one.feature for one in self.fields):
            seeds = np.stack([crops.user_seeds(**of_view) for of_view in drawn_from], axis=1)
        collected: list[Values] = [
            one.collect([record.values[column] for record in records], numbers)
            if one.feature
            else seeds.reshape(-1, *one.width)
            for column, one in enumerate(self.fields)
        ]
        return [*collected, seeds] if self.with_seeds else collected

    def _stack(
        self,
        records: Sequence[_Record],
        offsets: Sequence[tuple[int, int]],
        flips: Sequence[bool],
    ) -> Images:
        """Decode crops into one array; float32 if brightness or ``dtype`` needs it."""
        options = self.options
        kind = np.dtype(np.float32 if options.brightness else options.dtype)
        is_whole = self.raw == 3 and options.channels == 3 and not any(flips)
        if is_whole and records and all(map(self._is_cropped, records)):
            shape = len(records), *(self.crop or ()), 3
            stacked = self.buffers.array(self._shape(shape), kind)
            images = [record.image for record in records]
            if not _by_native(images, stacked, self.planar):
                pixels = np.frombuffer(b"".join(images), np.uint8).reshape(shape)
                _convert(pixels, stacked, planar=self.planar)
            return stacked
        stacked = np.empty(self._shape((0, *(self.crop or (1, 1)), options.channels)), kind)
        for row, (record, offset, flip) in enumerate(zip(records, offsets, flips, strict=True)):
            try:
                pixels = self._whole(record) if self.crop is None else self._crop(record, offset)
                pixels = pixels if options.channels == 3 else _grey(pixels)
            except DataError as error:
                raise DataError(f"record {record.number}: {error}") from error
            if not row:
                stacked = self.buffers.array(self._shape((len(records), *pixels.shape)), kind)
            _convert(pixels[:, ::-1] if flip else pixels, stacked[row], planar=self.planar)
        return stacked

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of a batch of [n, height, width, channels]."""
        return (shape[0], shape[3], *shape[1:3]) if self.planar else shape

    def _brightened(self, images: Images, deltas: npt.NDArray[np.float32]) -> Images:
        images += deltas[:, None, None, None]
        np.clip(images, np.float32(0), np.float32(1), out=images)
        options = self.options
        if options.dtype == "float32":
            return images
        kind = np.dtype(options.dtype)
        rounded: Pixels = np.rint(images * np.float32(np.iinfo(kind).max)).astype(kind)
        return rounded

    def _crop(self, record: _Record, offset: tuple[int, int]) -> Pixels:
        assert self.crop is not None
        record = record if self.raw else self._sized(record)
        if self.raw or (self._small == "pad" and not self._fits(record.size or (0, 0))):
            whole = self._whole(record)
            if self._small == "pad" and not self._fits(whole.shape):
                whole = np.pad(whole, crops.margins(whole.shape, self.crop))
            top, left = self._place(whole.shape, offset)
            return whole[top : top + self.crop[0], left : left + self.crop[1]]
        top, left = self._place(record.size or (0, 0), offset)
        box = top, left, *self.crop
        return decoder.decode_window(record.image, record.size or (0, 0), box)

    def _sized(self, record: _Record) -> _Record:
        """Read an image's size if the record does not say."""
        if record.size is not None:
            return record
        if bytes(record.image[:2]) == b"\xff\xd8":
            with suppress(ImageError):  # the decoder will report it
                frame = jpeg_markers.read_frame(record.image)
                return replace(record, size=(frame.height_px, frame.width_px))
        return replace(record, size=self._whole(record).shape[:2])

    def _whole(self, record: _Record) -> Pixels:
        if not self.raw:
            return decoder.decode(record.image)
        height, width = record.size or (0, 0)
        if len(record.image) != height * width * self.raw or min(height, width) < 1:
            found = f"found {len(record.image)} bytes"
            raise DataError(f"{found}, expected {height} x {width} x {self.raw} raw values")
        return raw_pixels(record.image, height, width, self.raw)

    def _is_cropped(self, record: _Record) -> bool:
        """Return whether a raw image already has the size of the crops."""
        size = record.size or (0, 0)
        return size == self.crop and len(record.image) == size[0] * size[1] * 3

    def _fits(self, full: tuple[int, ...]) -> bool:
        return self.crop is None or crops.holds(full, self.crop)

    def _place(self, full: tuple[int, ...], offset: tuple[int, int]) -> tuple[int, int]:
        """Return where a crop starts, (top, left), in an image of size ``full``."""
        assert self.crop is not None
        if not crops.holds(full, self.crop):
            raise DataError(
                f"found {sides(*full[:2])}: an image is smaller than the crop, {sides(*self.crop)}"
            )
        return crops.place(full, self.crop, self.options.crop_mode, offset)


def _grey(pixels: Pixels) -> Pixels:
    """Return the only channel of grey pixels.

    Raises:
        DataError: red, green and blue differ somewhere.
    """
    grey = pixels[..., :1]
    if (pixels != grey).any():
        raise DataError("found colours, expected a grey image; channels=3 reads both")
    return grey


def _convert(pixels: Pixels, out: npt.NDArray[Any], *, planar: bool = False) -> None:
    """Write uint8 or uint16 values into ``out``, converted to its type: float32 is in [0, 1].

    Values of 16 bits are divided by 257 and then scaled as those of 8 bits: so an image of 8 bits
    gives the same float32 values if it is stored with 16.

    Args:
        pixels: [..., height, width, channels].
        planar: ``out`` is [..., channels, height, width].
    """
    wanted = np.moveaxis(pixels, -1, -3) if planar else pixels
    same = wanted.shape == out.shape  # otherwise NumPy raises the error
    is_rgb = pixels.shape[-1] == 3
    if same and is_rgb and pixels.dtype == np.uint8 and _by_native([pixels], out, planar):
        return
    if out.dtype != np.float32:
        out[...] = as_bits(wanted, 8 * out.itemsize)
    elif pixels.dtype == np.uint8:
        np.multiply(wanted, _UNIT, out=out)
    else:
        np.divide(wanted, _PER_8_BITS, out=out)
        np.multiply(out, _UNIT, out=out)


def _by_native(pixels: Any, out: npt.NDArray[Any], planar: bool) -> bool:
    """Convert uint8 values by `native.stack`; return whether it can."""
    return out.dtype != np.uint16 and native.stack(pixels, out, out.dtype == np.float32, planar)
