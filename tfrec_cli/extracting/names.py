"""The file name of an extracted image: the name in its record, if that can be used."""

from __future__ import annotations

import os
from dataclasses import dataclass

from tfrec_cli.dataset.manifest import Manifest
from tfrec_cli.dataset.names import MOST_NAME_BYTES
from tfrec_cli.dataset.records import ImageRecord
from tfrec_cli.errors import DataError
from tfrec_cli.imaging.formats import EXTENSIONS, ImageFormat, format_of_name
from tfrec_cli.runtime.paths import printable

_SHOWN_BYTES = 60


RECORD, EXTENDED, NUMBER, NO_IMAGE = range(4)
"""Names from records, names with an extension appended, numbers: the first have precedence. The
last is that of a record without an image, which becomes no file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileName:
    """The path of a file below the folder of its split.

    Attributes:
        source: where the name comes from. Of `NUMBER`, the path has only the folder and the
            extension (``folder/.jpg``): the name is the record's number.
        by_label: a folder of a foreign record is that of its label.
    """

    path: bytes
    source: int
    by_label: bool = False


def file_name(
    record: ImageRecord, image_format: ImageFormat, described: Manifest | None
) -> FileName:
    """Name the file of an image.

    A record of ours keeps the path that it was written from; the right extension is appended if
    write changed the image's format. A foreign record gets an extension if its name has none, the
    folder of its label if its path has no folder, and its number if its path is not safe.

    Args:
        image_format: format of the file.
        described: the manifest of the split; None for foreign records.
    Raises:
        DataError: a record of ours has no path, or one that is not safe.
    """
    extension = EXTENSIONS[image_format][0].encode()
    own = record.filename or b""
    promised = format_of_name(own)
    keeps = promised == image_format
    if described is not None:
        keeps = keeps or not _may_have_changed(described, promised)
    path = own if keeps else own + extension
    is_good = is_safe(own) and is_safe(path)
    source = RECORD if keeps else EXTENDED
    if described is None:
        folder = _class_folder(record)
        if not is_good:
            return FileName(path=folder + extension, source=NUMBER, by_label=bool(folder))
        if b"/" in path:
            is_shown = bool(folder) and folder[:-1] in path.split(b"/")[:-1]
            return FileName(path=path, source=source, by_label=is_shown)
        return FileName(path=folder + path, source=source, by_label=bool(folder))
    if not is_good:
        raise DataError(
            f"found filename {shown(own)}, expected a path in a folder: relative, "
            f"without '..' and zero bytes, each name of up to {MOST_NAME_BYTES} bytes"
        )
    return FileName(path=path, source=source)


def _may_have_changed(described: Manifest, promised: ImageFormat | None) -> bool:
    """Return whether write may have changed the format of images with names of this format.

    Whole images in JPEG and PNG keep their format: a wrong extension was wrong in the source.
    """
    if described.stored != "whole":
        return promised is not None
    return f"format_{promised}" in described.changes


def _class_folder(record: ImageRecord) -> bytes:
    """Return the folder of a label: its class name if that is safe, else its number, else none."""
    name = os.fsencode(record.class_name or "")
    if is_safe(name) and b"/" not in name:
        return name + b"/"
    return b"" if record.label is None else b"%d/" % record.label


def is_safe(path: bytes) -> bool:
    """Return whether a path stays in its folder, and each part of it is a valid name."""
    names = path.split(b"/")
    are_names = all(
        0 < len(name) <= MOST_NAME_BYTES and name not in (b".", b"..") for name in names
    )
    return are_names and b"\0" not in path


def shown(name: bytes) -> str:
    """Return a name for messages, quoted and shortened."""
    cut = printable(name[:_SHOWN_BYTES])
    return f"'{cut}'" + ("…" if len(name) > _SHOWN_BYTES else "")
