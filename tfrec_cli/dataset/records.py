"""The record contract: what the ``tf.train.Example`` of one image holds.

Knows: layouts and the names of features; few other modules do. Must not know: framing, disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from tfrec_cli.dataset.names import KeyStyle
from tfrec_cli.errors import DataError, ImageError
from tfrec_cli.imaging import formats
from tfrec_cli.imaging.jpeg import markers as jpeg_markers
from tfrec_cli.runtime.row_store import ordered
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.example import Feature

if TYPE_CHECKING:
    from msgspec import Meta

    from tfrec_cli.imaging.decoder import Pixels


DRAWN_FIELDS = ("height", "width", "key")
"""Fields of `Names` that readers need of each record to draw its crop."""

RAW_CHANNELS = (1, 3, 4)
"""Numbers of channels that raw pixels may have: grey, RGB, RGB with alpha."""

CHECKED_FIELDS = (
    "image",
    "height",
    "width",
    "channels",
    "label",
    "key",
    "window",
    "filename",
)
BYTES_FIELDS = frozenset({"image", "filename"})
CERTAIN_FIELDS = frozenset(CHECKED_FIELDS) - {"label", "window", "channels"}
"""Fields in every record that tfrec writes; only some datasets have labels and windows."""


class Names(NamedTuple):
    """The names of a record's features; None for a feature that it does not have."""

    image: str
    height: str | None = None
    width: str | None = None
    label: str | None = None
    key: str | None = None
    filename: str | None = None
    window: str | None = None
    format: str | None = None
    class_name: str | None = None
    source_id: str | None = None
    channels: str | None = None

    def by_feature(self, fields: Iterable[str]) -> dict[str, str]:
        """Return feature name to field, for those of ``fields`` that have a name."""
        return {name: field for field in fields if (name := getattr(self, field))}

    def present(self, features: Mapping[str, Feature]) -> Names:
        """Return the names that are among one record's features, and the image's."""
        kept = {field: name for field, name in self._asdict().items() if name in features}
        return Names(**{"image": self.image, **kept})


NAMES: dict[KeyStyle, Names] = {
    "plain": Names(
        image="image",
        height="height",
        width="width",
        label="label",
        key="key",
        filename="filename",
        window="window",
    ),
    "tf-models": Names(
        image="image/encoded",
        height="image/height",
        width="image/width",
        label="image/class/label",
        key="image/key",
        filename="image/filename",
        window="image/window",
        format="image/format",
        class_name="image/class/text",
        source_id="image/source_id",
    ),
}

SOURCE_ID = "image/source_id"
"""Name in the Object Detection API for an image's number in its collection, in decimal digits."""

CHANNELS = ("image/channels", "channels", "image/depth", "depth", "image_depth")
"""Names in common use for the number of channels of raw pixels; tfrec writes none of them."""

OURS = frozenset(name for names in NAMES.values() for name in names if name and name != SOURCE_ID)
"""Names that no column may have, in either layout; a column may give the source's number."""

ColumnKind = Literal["bytes", "float", "int64"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """An additional feature from an image list."""

    name: Annotated[str, Meta(description="Name of the feature.", extra={"expected": "a name"})]
    kind: Annotated[ColumnKind, Meta(description="Type of the values.")]
    is_list: Annotated[
        bool, Meta(description="Whether a record has a list of values, or one value.")
    ]
    is_everywhere: Annotated[bool, Meta(description="Whether every record has the feature.")]

    def __str__(self) -> str:
        """Return name and type: ``scores float[]``."""
        return f"{self.name} {self.kind}{'[]' * self.is_list}"


class ImageRecord(NamedTuple):
    """One image with its label, key and other features.

    Attributes:
        image: encoded bytes, or height * width * channels raw uint8 values.
        height_px, width_px: size of the stored image in pixels.
        label: 0-based class number.
        key: 56-bit identity of the source (see `key_of`).
        filename: POSIX path of the source relative to its folder.
        window: 1 if a window of the JPEG decodes exactly, else 0; None for crops.
        class_name: name of the label, for layouts that store it.
        further: additional features to write, by name.
        channels: of raw pixels: 1 for grey, 3 for RGB, 4 for RGB with alpha; None is 3.
    """

    image: bytes
    height_px: int | None
    width_px: int | None
    label: int | None = None
    key: int | None = None
    filename: bytes | None = None
    window: int | None = None
    class_name: str | None = None
    further: Mapping[str, Feature] | None = None
    channels: int | None = None

    @property
    def is_raw(self) -> bool:
        """Whether the image is raw rows of pixels (see `is_raw`)."""
        return is_raw(self.image, self.height_px, self.width_px, self.channels)


def key_of(filename: bytes) -> int:
    """Return a source's 56-bit key: the first 7 bytes of its path's SHA-256, big-endian."""
    return int.from_bytes(hashlib.sha256(filename).digest()[:7], "big")


def is_raw(
    image: bytes, height_px: int | None, width_px: int | None, channels: int | None = None
) -> bool:
    """Tell whether ``image`` has height * width * channels bytes and is no JPEG or PNG.

    Raw pixels may begin with the magic bytes of a format, as (255, 216, 255) does with JPEG's: a
    JPEG counts only if its markers can be read.

    Args:
        channels: 1, 3 or 4; None is 3.
    """
    if height_px is None or width_px is None or min(height_px, width_px) < 1:
        return False
    channels = 3 if channels is None else channels
    if channels not in RAW_CHANNELS or len(image) != height_px * width_px * channels:
        return False
    found = formats.image_format(image[: formats.HEAD_BYTES])
    if found != "jpeg":
        return found != "png"
    try:
        jpeg_markers.read(image)
    except ImageError:
        return True
    return False


def smallest_of(sizes: Iterable[tuple[int, int] | None]) -> tuple[int, int] | None:
    """Return the smallest height and the smallest width of some sizes; None if there are none."""
    known = [size for size in sizes if size]
    return (min(height for height, _ in known), min(width for _, width in known)) if known else None


def encode(record: ImageRecord, style: KeyStyle) -> bytes:
    """Serialise one record; the same record gives the same bytes everywhere.

    TF Models' detection decoder requires the number of the source in digits.
    Source: tensorflow/models, official/vision/dataloaders/tf_example_decoder.py and utils.py.
    """
    names = NAMES[style]
    values: dict[str | None, Any] = {
        names.image: record.image,
        names.height: record.height_px,
        names.width: record.width_px,
        names.label: record.label,
        names.key: record.key,
        names.filename: record.filename,
        names.window: record.window,
        names.format: _format(record.image) if names.format else None,
        names.class_name: None if record.class_name is None else os.fsencode(record.class_name),
        names.source_id: None if record.key is None else str(record.key).encode(),
    }
    present = {name: value for name, value in values.items() if name and value is not None}
    return example.encode({**present, **(record.further or {})})


def _format(image: bytes) -> bytes:
    found = formats.image_format(image[: formats.HEAD_BYTES])
    return found.encode() if found else b"raw"


def further(columns: Sequence[Column], values: bytes) -> dict[str, Feature]:
    """Parse the additional features of one source.

    Args:
        values: a JSON list with an entry for each column: a value, a list of values, or null.
    Returns:
        The features that are not null, by name.
    """
    found = {}
    for column, value in zip(columns, json.loads(values), strict=True):
        if value is not None:
            many = value if column.is_list else [value]
            if column.kind == "bytes":
                many = [text.encode() for text in many]
            found[column.name] = Feature(column.kind, many)
    return found


def cells(features: Mapping[str, Feature], columns: Sequence[Column]) -> dict[str, Any]:
    """Return one record's values in the columns, by name, as an image list has them.

    A feature that the record lacks is None, and a float has as few digits as give it again.

    Raises:
        DataError: a feature has not the type of its column.
    """
    found: dict[str, Any] = {}
    for column in columns:
        if column.name not in features:
            found[column.name] = None
            continue
        kind, values = features[column.name]
        if kind not in (column.kind, "unset") or not (column.is_list or len(values) == 1):
            expected = f"{column.kind}{'[]' * column.is_list}"
            raise DataError(
                f"feature {column.name!r}: found {len(values)} {kind} values, expected {expected}"
            )
        if kind == "bytes":
            values = [value.decode(errors="surrogateescape") for value in values]
        if kind == "float":
            values = [_shortest(value) for value in values]
        found[column.name] = list(values) if column.is_list else values[0]
    return found


def _shortest(value: float) -> float:
    """Return the number of the fewest digits that is the same as a float of 32 bits."""
    stored = struct.pack("f", value)
    shorter = (float(f"{value:.{digits}g}") for digits in range(6, 9))
    return next((number for number in shorter if struct.pack("f", number) == stored), value)


def decode(features: Mapping[str, Feature], names: Names) -> ImageRecord:
    """Read one record from an Example's features.

    Raises:
        DataError: the image is missing, or a feature is not one value of its kind.
    """

    def value(field: str, kind: str) -> Any:
        name: str | None = getattr(names, field)
        if name is None or name not in features:
            return None
        feature = features[name]
        if feature.kind != kind or len(feature.values) != 1:
            found = f"{len(feature.values)} {feature.kind} values"
            raise DataError(f"feature {name!r}: found {found}, expected one {kind} value")
        return feature.values[0]

    image = value("image", "bytes")
    if image is None:
        raise DataError(f"found no feature {names.image!r}, expected the image")
    return ImageRecord(
        image=image,
        height_px=value("height", "int64"),
        width_px=value("width", "int64"),
        label=value("label", "int64"),
        key=value("key", "int64"),
        filename=value("filename", "bytes"),
        window=value("window", "int64"),
        class_name=os.fsdecode(value("class_name", "bytes") or b"") or None,
        channels=value("channels", "int64"),
    )


def content_digest(records: Iterable[tuple[int, bytes]]) -> str:
    """Digest records independently of their order: SHA-256 over (key, BLAKE3 of payload), sorted.

    Args:
        records: the 56-bit key of each record and the BLAKE3 digest of its payload. BLAKE3 is as
            hard to forge as SHA-256 and takes a third of the time.
    """
    rows = (key.to_bytes(7, "big") + payload_digest for key, payload_digest in records)
    digest = hashlib.sha256()
    for row in ordered(rows, 39):
        digest.update(b"\0" + row)
    return digest.hexdigest()


def pixels(record: ImageRecord, decode: Callable[[bytes], Pixels] | None = None) -> Pixels:
    """Decode a record's image.

    Args:
        decode: decodes JPEG and PNG; if None, the decoder of the readers.
    Returns:
        uint8[height, width, 3], or uint16 of a PNG of 16 bits a sample.
    Raises:
        ImageError: it cannot be decoded.
    """
    if record.is_raw:
        size = record.height_px or 0, record.width_px or 0
        return raw_pixels(record.image, *size, record.channels)

    from tfrec_cli.imaging import decoder

    return (decode or decoder.decode)(record.image)


def raw_pixels(
    image: bytes | memoryview, height_px: int, width_px: int, channels: int | None
) -> Pixels:
    """Return raw pixels as RGB: grey three times, and alpha is dropped, as of a PNG.

    Args:
        image: height * width * channels uint8 values.
        channels: as of `ImageRecord`.
    Returns:
        uint8[height, width, 3].
    """
    import numpy as np

    values = np.frombuffer(image, np.uint8).reshape(height_px, width_px, channels or 3)
    return np.broadcast_to(values, (height_px, width_px, 3)) if channels == 1 else values[..., :3]
