"""Decodes the images of a shard, in parts that are shared among workers, and computes crops.

Knows: what a decoded image is compared with. Must not know: shards, manifests, TensorFlow.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tfrec_cli.checking.finding import DamagedImage, Finding, file_finding, record_finding
from tfrec_cli.dataset import records
from tfrec_cli.dataset.foreign import guess_names
from tfrec_cli.dataset.records import ImageRecord, Names
from tfrec_cli.errors import DataError, ImageError
from tfrec_cli.imaging import formats
from tfrec_cli.runtime import heartbeat
from tfrec_cli.runtime.values import sides
from tfrec_cli.seeds import KEY_BITS, seed_key
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.record import read_at
from tfrec_cli.tfrecord.scan import Damage, Record, scan

if TYPE_CHECKING:
    from tfrec_cli.imaging.decoder import Pixels

_PART_IMAGES = 64
_NUMBERS = 4
"""Numbers in `Part.places` for each image."""


class Crops(NamedTuple):
    """The crops to compute of every image.

    Attributes:
        size: (height, width) in pixels.
        epochs: number of epochs, from 0.
    """

    size: tuple[int, int]
    seed: int
    epochs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some images of a shard that are to be decoded.

    Attributes:
        names: names of the features.
        first_number: number of the file's first record among those of all files; numbers are the
            keys of records that have none.
        max_pixels: the most pixels allowed in an image.
        bits: bits of a sample of crops; images of fewer or more are converted as by the readers.
        is_ours: an image in a format that is not decoded is wrong; otherwise, these are counted.
        places: for each image its record's number in the file, offset and length with framing in
            bytes, and number among the file's intact records.
        crashed: for each image that killed a worker, its number in this part from 0, and the error
            to report.
    """

    path: Path
    names: Names
    first_number: int
    max_pixels: int
    is_ours: bool
    crops: Crops | None
    bits: int = 8
    places: array[int] = field(default_factory=lambda: array("q"))
    crashed: Mapping[int, ImageError] = field(default_factory=dict)

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self.places) // _NUMBERS

    def pieces(self) -> Iterator[Part]:
        """Cut it into parts small enough to be shared among workers."""
        step = _PART_IMAGES * _NUMBERS
        for start in range(0, len(self.places), step):
            yield replace(self, places=self.places[start : start + step])

    def without(self, number: int, cause: str) -> Part:
        """Return a part that does not decode an image that killed a worker, but reports it."""
        from tfrec_cli.imaging import decoder

        return replace(self, crashed={**self.crashed, number: decoder.crashed(cause)})


@dataclass(slots=True, kw_only=True)
class Decoded:
    """Result of decoding some images of a shard.

    Attributes:
        first: number of the first image's record in the file.
        images: number of images.
        crops: for each image its key, and the SHA-256 of its crop in each epoch.
        unread_formats: number of images in formats that no reader decodes.
        damaged_images: the JPEGs that are decoded although their data are damaged.
        unnoted: number of JPEGs of which that is unknown, because crops are computed.
    """

    path: Path
    first: int = 0
    images: int = 0
    findings: list[Finding] = field(default_factory=list)
    crops: list[tuple[int, tuple[bytes, ...]]] = field(default_factory=list)
    unread_formats: int = 0
    damaged_images: list[DamagedImage] = field(default_factory=list)
    unnoted: int = 0


def decode(part: Part) -> Decoded:
    """Decode the images of one part, and compute their crops."""
    decoded = Decoded(path=part.path, first=part.places[0], images=part.images)
    try:
        decoded.findings.extend(_read_again(part, decoded))
    except (OSError, DataError) as error:  # it was intact a moment ago
        message = f"cannot be read again: {error}"
        decoded.findings.append(file_finding("unreadable", part.path, message))
    return decoded


def _read_again(part: Part, decoded: Decoded) -> Iterator[Finding]:
    """Read each record of a part again, and check its image."""
    with part.path.open("rb", buffering=0) as file:
        for row in range(part.images):
            start = row * _NUMBERS
            index, offset, length, number = part.places[start : start + _NUMBERS]
            payload = read_at(file.fileno(), offset, length, str(part.path))
            item = Record(index, offset, payload)
            heartbeat.start_item(row)
            if row in part.crashed:
                yield record_finding("image", part.path, item, str(part.crashed[row]))
                continue
            try:
                record = records.decode(example.decode(payload), part.names)
            except DataError as error:
                yield record_finding("example", part.path, item, str(error))
            else:
                yield from check(part, record, item, number, decoded)


def check(
    part: Part, record: ImageRecord, item: Record, number: int, decoded: Decoded
) -> Iterator[Finding]:
    """Decode the image of one record, and add its crops to ``decoded``.

    Args:
        number: the record's number among the intact records of its file.
    """
    from tfrec_cli.imaging import pillow_decoder

    found = None if record.is_raw else formats.image_format(record.image[: formats.HEAD_BYTES])
    if found and found not in pillow_decoder.DECODED and not part.is_ours:
        decoded.unread_formats += 1
        return
    try:
        pixels, size, damage = _decode(record, part)
    except ImageError as error:
        yield record_finding("image", part.path, item, str(error))
        return
    decoded.unnoted += found == "jpeg" and pixels is not None
    if damage:
        name = record.filename or b""
        decoded.damaged_images.append(DamagedImage(part.path, item.index, name, damage))
    recorded = (record.height_px, record.width_px)
    if None not in recorded and size != recorded:
        message = f"found an image {sides(*size)}, expected {sides(*recorded)}"
        yield record_finding("image", part.path, item, message)
    if pixels is None or part.crops is None:
        return
    if size[0] < part.crops.size[0] or size[1] < part.crops.size[1]:
        message = f"found {sides(*size)}, expected at least the crop: {sides(*part.crops.size)}"
        yield record_finding("crop", part.path, item, message)
        return
    number = (part.first_number + number) % 2**KEY_BITS  # a manifest may claim any counts
    key = seed_key(record.key, number)
    decoded.crops.append((key, _crop_digests(pixels, key, part.crops, part.bits)))


def _decode(record: ImageRecord, part: Part) -> tuple[Pixels | None, tuple[int, ...], str]:
    """Decode an image; for crops by Pillow, not by the decoder of the readers, to check that.

    Returns:
        Its pixels, or None if no crops are to be computed; (height, width); and what is wrong with
        its data: see `decoder.Noted`.
    Raises:
        ImageError: it cannot be decoded.
    """
    from tfrec_cli.imaging import pillow, pillow_decoder

    with pillow.bounded():
        if part.crops:
            decode = partial(pillow_decoder.decode, max_pixels=part.max_pixels)
            pixels = records.pixels(record, decode)
            return pixels, pixels.shape[:2], ""
        if record.is_raw:
            return None, (record.height_px or 0, record.width_px or 0), ""
        if formats.image_format(record.image[: formats.HEAD_BYTES]) == "jpeg":
            from tfrec_cli.imaging import decoder

            noted = decoder.decode_noted(record.image, part.max_pixels)
            return None, noted.pixels.shape[:2], noted.damage
        return None, pillow_decoder.decoded_size(record.image, part.max_pixels), ""


def _crop_digests(pixels: Pixels, key: int, asked: Crops, bits: int) -> tuple[bytes, ...]:
    """Return the SHA-256 of one image's crop in each epoch; 16-bit values are little-endian."""
    from tfrec_cli import crops
    from tfrec_cli.imaging.kinds.samples import as_bits

    height, width = asked.size
    digests = []
    for epoch in range(asked.epochs):
        boxes = crops.random_boxes(
            [pixels.shape[:2]], asked.size, seed=asked.seed, epoch=epoch, keys=[key]
        )
        top, left = int(boxes[0, 0]), int(boxes[0, 1])
        window = as_bits(pixels[top : top + height, left : left + width], bits)
        window = window.astype(window.dtype.newbyteorder("<"), copy=False)
        digests.append(hashlib.sha256(window.tobytes()).digest())
    return tuple(digests)


def smallest_side(path: Path) -> int | None:
    """Return the smallest side of all images in a record file, in pixels; None without images."""
    from tfrec_cli.imaging.header import read_header
    from tfrec_cli.imaging.policy import Policy

    least: int | None = None
    names: Names | None = None
    for item in scan(path):
        if isinstance(item, Damage):
            continue
        try:
            features = example.decode(item.payload)
            names = names or guess_names(features)
            if names is None:
                continue
            record = records.decode(features, names)
            if record.is_raw:
                size = (record.height_px or 0, record.width_px or 0)
            else:
                header = read_header(BytesIO(record.image), Policy(exif="ignore"))
                size = (header.height_px, header.width_px)
        except DataError:
            continue
        least = min(size) if least is None else min(least, *size)
    return least
