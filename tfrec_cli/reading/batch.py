"""Batches of pixels: records parsed, cropped and stacked, for every framework alike.

Knows: records, crops, decoders. Must not know: any framework; where records come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from tfrec_cli import crops
from tfrec_cli.crops import CropMode, Int64s
from tfrec_cli.dataset.records import Names
from tfrec_cli.errors import DataError, ImageError
from tfrec_cli.imaging import structure
from tfrec_cli.reading.buffers import BufferPool
from tfrec_cli.runtime import native
from tfrec_cli.tfrecord import example

if TYPE_CHECKING:
    from tfrec_cli.imaging.images import Pixels

Dtype = Literal["float32", "uint8"]
Small = Literal["fail", "skip", "pad"]
_UNIT = np.float32(1 / 255)
_FIELDS = ("image", "height", "width", "label", "key", "window")


class Decoder(Protocol):
    """What decodes images: whole ones, and exact windows of JPEGs."""

    def decode_window(self, data: bytes, width_px: int, box: tuple[int, int, int, int]) -> Pixels:
        """Decode (top, left, height, width) of a picture ``width_px`` wide."""

    def decode_whole(self, data: bytes) -> Pixels:
        """Decode a picture to uint8[height, width, 3]."""


@dataclass(slots=True)
class _Record:
    """What of one record is needed to crop it; the size is None until the image is looked at."""

    number: int
    image: memoryview
    size: tuple[int, int] | None
    label: int
    key: int
    window: bool | None


@dataclass(slots=True, kw_only=True)
class Cutter:
    """Makes batches of records.

    Attributes:
        names: what the features of the records are called.
        raw: images are height * width * 3 values.
        size: (height, width) of the crops in pixels; None keeps the size of the images.
        small: what to do with an image smaller than the crop; None where there is none.
        brightness: the largest change to values in [0, 1].
        dtype: ``float32`` in [0, 1], or ``uint8``.
        buffers: what batches are made in.
    """

    names: Names
    raw: bool
    size: tuple[int, int] | None
    mode: CropMode
    seed: int
    small: Small | None
    flip: bool
    brightness: float
    dtype: Dtype
    decoder: Decoder
    _named: dict[str, str] = field(init=False)
    _values: example.SingleValues = field(init=False)
    buffers: BufferPool = field(default_factory=BufferPool)

    def __post_init__(self) -> None:
        self._named = {called: name for called in _FIELDS if (name := getattr(self.names, called))}
        self._values = example.SingleValues({name: called for called, name in self._named.items()})

    def cut(
        self, payloads: Sequence[memoryview], numbers: Int64s, epoch: int
    ) -> tuple[npt.NDArray[Any], Int64s]:
        """Crop some records.

        Args:
            payloads: of the records.
            numbers: of the records, int64[n]; keys for those that have none.
        Returns:
            The images, uint8 or float32 [n, height, width, 3], and the labels, int64[n]; zeros
            where there are none. Fewer than n under ``small="skip"``.
        Raises:
            DataError: not images, or smaller than the crop under ``small="fail"``.
        """
        found = [
            self._record(self._values.read(payload), number)
            for payload, number in zip(payloads, numbers.tolist(), strict=True)
        ]
        if self.small == "skip":
            found = [self._sized(one) for one in found]
            found = [one for one in found if self._fits(one.size or (0, 0))]
        keys = np.array([one.key for one in found], np.int64)
        chosen: dict[str, Any] = {"seed": self.seed, "epoch": epoch, "keys": keys}
        offsets = [(0, 0)] * len(found)
        if self.mode == "random" and any(one.size != self.size for one in found):
            offsets = list(map(tuple, crops.random_offsets(**chosen).tolist()))
        flips = crops.random_flips(**chosen).tolist() if self.flip else [False] * len(found)
        images = self._stack(found, offsets, flips)
        if self.brightness:
            deltas = crops.random_brightness(self.brightness, **chosen)
            images = self._brightened(images, deltas)
        return images, np.array([one.label for one in found], np.int64)

    def _record(self, values: Mapping[str, Any], number: int) -> _Record:
        for called, name in self._named.items():
            if called not in values:
                raise DataError(f"record {number}: found no feature {name!r}, expected one value")
            if isinstance(values[called], int) == (called == "image"):
                raise DataError(f"record {number}: found feature {name!r} of another kind")
        height, width, window = map(values.get, ("height", "width", "window"))
        return _Record(
            number,
            values["image"],
            None if height is None or width is None else (height, width),
            values.get("label", 0),
            crops.seed_key(values.get("key"), number),
            None if window is None else bool(window),
        )

    def _stack(
        self,
        found: Sequence[_Record],
        offsets: Sequence[tuple[int, int]],
        flips: Sequence[bool],
    ) -> npt.NDArray[Any]:
        """Decode crops into one array; float32 where brightness or ``dtype`` want it."""
        kind = np.float32 if self.dtype == "float32" or self.brightness else np.uint8
        if self.raw and not any(flips) and found and all(map(self._is_cut, found)):
            stacked = self.buffers.array((len(found), *(self.size or ()), 3), kind)
            images = [one.image for one in found]
            if not native.stack(images, stacked, kind is np.float32):
                _convert(np.frombuffer(b"".join(images), np.uint8).reshape(stacked.shape), stacked)
            return stacked
        stacked = np.empty((0, *(self.size or (1, 1)), 3), kind)
        for place, (one, offset, flip) in enumerate(zip(found, offsets, flips, strict=True)):
            try:
                pixels = self._whole(one) if self.size is None else self._crop(one, offset)
            except DataError as error:
                raise DataError(f"record {one.number}: {error}") from error
            if not place:
                stacked = self.buffers.array((len(found), *pixels.shape), kind)
            _convert(pixels[:, ::-1] if flip else pixels, stacked[place])
        return stacked

    def _brightened(
        self, images: npt.NDArray[Any], deltas: npt.NDArray[np.float32]
    ) -> npt.NDArray[Any]:
        images += deltas[:, None, None, None]
        np.clip(images, np.float32(0), np.float32(1), out=images)
        if self.dtype == "float32":
            return images
        rounded: Pixels = np.rint(images * np.float32(255)).astype(np.uint8)
        return rounded

    def _crop(self, one: _Record, offset: tuple[int, int]) -> Pixels:
        assert self.size is not None
        one = one if self.raw else self._sized(one)
        if self.raw or (self.small == "pad" and not self._fits(one.size or (0, 0))):
            whole = self._padded(self._whole(one))
            top, left = self._place(whole.shape[:2], offset)
            return whole[top : top + self.size[0], left : left + self.size[1]]
        top, left = self._place(one.size or (0, 0), offset)
        if one.window:
            width = one.size[1] if one.size else 0
            return self.decoder.decode_window(bytes(one.image), width, (top, left, *self.size))
        whole = self._whole(one)
        if whole.shape[:2] != one.size:
            raise DataError(
                f"found an image of {whole.shape[:2]}, expected {one.size} by its record"
            )
        return whole[top : top + self.size[0], left : left + self.size[1]]

    def _sized(self, one: _Record) -> _Record:
        """Find out how large an image is, and whether it has exact windows, if no feature tells."""
        if one.size is not None and one.window is not None:
            return one
        window = False
        data = bytes(one.image)
        if data[:2] == b"\xff\xd8":
            try:
                frame = structure.read_frame(data)
                jpeg = structure.read_jpeg(data, frame)
            except ImageError:
                pass  # its decoder will say what is wrong
            else:
                size = one.size or (frame.height_px, frame.width_px)
                window = jpeg.has_exact_window and structure.is_undisturbed(data, jpeg)
                return replace(one, size=size, window=window)
        size = one.size or self._whole(one).shape[:2]
        return replace(one, size=size, window=window)

    def _whole(self, one: _Record) -> Pixels:
        if not self.raw:
            return self.decoder.decode_whole(bytes(one.image))
        height, width = one.size or (0, 0)
        if len(one.image) != height * width * 3 or min(height, width) < 1:
            found = f"found {len(one.image)} bytes"
            raise DataError(f"{found}, expected {height} x {width} x 3 raw values")
        return np.frombuffer(one.image, np.uint8).reshape(height, width, 3)

    def _is_cut(self, one: _Record) -> bool:
        """Tell whether a raw image has the size of the crops already."""
        size = one.size or (0, 0)
        return size == self.size and len(one.image) == size[0] * size[1] * 3

    def _fits(self, full: tuple[int, int]) -> bool:
        return self.size is None or (full[0] >= self.size[0] and full[1] >= self.size[1])

    def _place(self, full: tuple[int, ...], offset: tuple[int, int]) -> tuple[int, int]:
        """Return where a crop starts, (top, left), in an image of the size ``full``."""
        assert self.size is not None
        room = full[0] - self.size[0], full[1] - self.size[1]
        if min(room) < 0:
            raise DataError(
                f"found {full[0]}x{full[1]}: an image is smaller than the crop {self.size}"
            )
        if self.mode == "center":
            return room[0] // 2, room[1] // 2
        return offset[0] % (room[0] + 1), offset[1] % (room[1] + 1)

    def _padded(self, pixels: Pixels) -> Pixels:
        """Put black around a picture smaller than the crop, the picture in the middle."""
        if self.small != "pad" or self._fits((pixels.shape[0], pixels.shape[1])):
            return pixels
        height, width = self.size or (0, 0)
        down, across = max(height - pixels.shape[0], 0), max(width - pixels.shape[1], 0)
        before = down // 2, across // 2
        margins = ((before[0], down - before[0]), (before[1], across - before[1]), (0, 0))
        return np.pad(pixels, margins)


def _convert(pixels: Pixels, out: npt.NDArray[Any]) -> None:
    """Write uint8 values into ``out``, as they are or in [0, 1] where it holds float32."""
    unit = out.dtype == np.float32
    same = pixels.shape == out.shape  # else NumPy says what does not fit
    if same and native.stack([np.ascontiguousarray(pixels)], out, unit):
        return
    if unit:
        np.multiply(pixels, _UNIT, out=out)
    else:
        out[...] = pixels
