"""How the image of a source becomes a record: read, checked, decoded, cropped, encoded.

Knows: one source and its file. Must not know: shards, other sources, where a record goes. A record
is a pure function of the recipe and the file.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

from tfrec_cli.dataset import records
from tfrec_cli.dataset.names import KeyStyle
from tfrec_cli.dataset.records import Column, ImageRecord
from tfrec_cli.errors import ImageError
from tfrec_cli.imaging import decoder, normalize
from tfrec_cli.imaging.header import Header, examine, has_stamp
from tfrec_cli.imaging.kinds.samples import DEEP_BITS, as_bits
from tfrec_cli.imaging.normalize import Normalized, Stored
from tfrec_cli.imaging.policy import Encoding, Policy
from tfrec_cli.runtime.files import CHUNK_BYTES, descriptor_to_read, raise_if_exhausted
from tfrec_cli.sources.listing import Source
from tfrec_cli.writing.options import Check, Small, WriteOptions
from tfrec_cli.writing.survey import MAX_FILE_BYTES, TOO_SMALL, Item, small_message, too_large


class Recipe(NamedTuple):
    """How each image becomes a record.

    Attributes:
        crop: (height, width) of the centre crop in pixels; None for whole images.
        quality: quality of JPEG crops, 1 to 100.
        classes: class names by number, for layouts that store them.
        columns: names and types of the additional features.
    """

    policy: Policy
    crop: tuple[int, int] | None
    encoding: Encoding
    quality: int
    small: Small
    check: Check
    strip_metadata: bool
    keys: KeyStyle
    classes: tuple[str, ...] | None
    columns: tuple[Column, ...] = ()

    @classmethod
    def of(
        cls,
        options: WriteOptions,
        labels: tuple[str, ...] | None,
        columns: tuple[Column, ...] = (),
    ) -> Recipe:
        """Return the recipe of a write.

        Args:
            labels: class names by number.
            columns: names and types of the additional features.
        """
        return cls(
            policy=options.policy,
            crop=options.crop,
            encoding=options.crop_encoding,
            quality=options.jpeg_quality,
            small=options.small,
            check=options.check,
            strip_metadata=options.strip_metadata,
            keys=options.keys,
            classes=labels if options.keys == "tf-models" else None,
            columns=columns,
        )


class MadeRecord(NamedTuple):
    """One record, and what was done to its image.

    Attributes:
        changes: how the image was normalised, in stable words.
        has_icc: whether its file has a colour profile.
        greatest: the greatest value of an image of 16 bits before it was scaled.
        damage: what is wrong with the image's data, as far as it was decoded: see `decoder.Noted`.
        file_digest: BLAKE3 digest of its file, if that was asked for.
    """

    record: ImageRecord
    changes: tuple[str, ...]
    has_icc: bool
    greatest: int | None
    damage: str
    file_digest: bytes = b""


def make_record(root: Path, item: Item, recipe: Recipe, *, digested: bool = False) -> MadeRecord:
    """Make the record of one item.

    Args:
        root: folder that the paths of sources are relative to.
        digested: whether to digest the file.
    Raises:
        ImageError: the image cannot be used.
        OSError: the system has no more file descriptors or memory.
    """
    source = item.source
    data = _read(root, source)
    if recipe.crop is None:
        stored = _whole(data, item, recipe)
        image, window = stored.data, int(stored.window)
        height_px, width_px = stored.height_px, stored.width_px
        changes, has_icc, greatest = stored.changes, stored.has_icc, stored.greatest
        damage = stored.damage
    else:
        header, changes, (pixels, greatest, damage) = _crop(data, recipe, recipe.crop)
        if recipe.policy.depth == DEEP_BITS:
            pixels = as_bits(pixels, DEEP_BITS)
        image = normalize.encode(pixels, recipe.encoding, quality=recipe.quality)
        window, (height_px, width_px) = None, recipe.crop
        has_icc = header.icc
    if damage and recipe.check == "intact":
        raise ImageError(
            "damaged", f"found damaged data ({damage}), expected none (--check decode)"
        )
    classes = recipe.classes if source.label is not None else None
    record = ImageRecord(
        image=image,
        height_px=height_px,
        width_px=width_px,
        label=source.label,
        key=records.key_of(source.path),
        filename=source.path,
        window=window,
        class_name=classes[source.label or 0] if classes else None,
        further=records.further(recipe.columns, source.features) if recipe.columns else None,
    )
    digest = blake3(data).digest() if digested else b""
    return MadeRecord(record, changes, has_icc, greatest, damage, digest)


def _read(root: Path, source: Source) -> bytes:
    """Read the file of a source, if it has not changed since it was listed."""
    path = os.path.join(os.fsencode(root), source.path)
    try:
        with descriptor_to_read(path) as descriptor:
            size_bytes = os.fstat(descriptor).st_size
            if size_bytes > MAX_FILE_BYTES:
                raise too_large(size_bytes)
            data = os.read(descriptor, size_bytes + 1)
            while len(data) != size_bytes and (more := os.read(descriptor, CHUNK_BYTES)):
                data += more
            _check_unchanged(source, os.fstat(descriptor))
    except OSError as error:
        raise_if_exhausted(error)
        raise ImageError("unreadable", f"cannot be read: {error.strerror or error}") from error
    return data


def _check_unchanged(source: Source, status: os.stat_result) -> None:
    """Refuse a file that has changed since it was listed."""
    now = status.st_size, status.st_mtime_ns
    if source.mtime_ns and now != (source.size_bytes, source.mtime_ns):
        raise ImageError(
            "changed",
            f"the file changed after it was listed (from {source.size_bytes} to {status.st_size} "
            "bytes, or its time)",
        )


def _whole(data: bytes, item: Item, recipe: Recipe) -> Stored:
    """Make the image that a record of a whole image stores."""
    decodes = recipe.check != "structure"
    strips = recipe.strip_metadata
    if decodes or strips or not has_stamp(data, item.stamp):
        return normalize.store_whole(data, recipe.policy, decodes=decodes, strips=strips)
    return Stored(
        data=data,
        height_px=item.height_px,
        width_px=item.width_px,
        window=True,
        changes=(),
        has_icc=False,
    )


def _crop(
    data: bytes, recipe: Recipe, crop: tuple[int, int]
) -> tuple[Header, tuple[str, ...], Normalized]:
    """Decode an image's centre crop: only its window where that is exact, unless all is checked.

    Returns:
        The header, the changes made, and the crop.
    """
    from tfrec_cli import crops

    examined = examine(data, recipe.policy, decodes=True)
    header, changes = examined.header, examined.changes
    size = header.height_px, header.width_px
    is_window = examined.markers and not changes and crops.holds(size, crop)
    if is_window and recipe.check != "intact":
        box = crops.center_box(*size, crop)
        with suppress(ImageError):  # decoding the whole image gives a better message
            window = decoder.decode_window_noted(data, size, box, recipe.policy.max_pixels)
            return header, (), Normalized(window.pixels, damage=window.damage)
    found = normalize.decode_examined(data, examined, recipe.policy)
    pixels = found.pixels
    if recipe.small in ("pad", "resize") and not crops.holds(pixels.shape, crop):
        pixels = normalize.enlarge(pixels, *crop, recipe.small, recipe.policy.max_pixels)
        changes = (*changes, "padded" if recipe.small == "pad" else "enlarged")
    full_height, full_width, _ = pixels.shape
    if not crops.holds(pixels.shape, crop):
        raise ImageError(TOO_SMALL, small_message((full_height, full_width), crop))
    top, left, height, width = crops.center_box(full_height, full_width, crop)
    pixels = pixels[top : top + height, left : left + width]
    return header, changes, found._replace(pixels=pixels)
