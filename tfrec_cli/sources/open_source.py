"""Sources: the root of a folder or image list, and the listing of its images."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from tfrec_cli.dataset.names import KeyStyle
from tfrec_cli.dataset.records import Column
from tfrec_cli.errors import RunError, UsageError
from tfrec_cli.runtime.files import open_to_read
from tfrec_cli.sources.folder import list_folder
from tfrec_cli.sources.listing import Listing
from tfrec_cli.sources.table import SUFFIXES, Table


def root_of(source: Path, root: Path | None = None, *, prefix: str = "") -> Path:
    """Return the folder that the images of a folder or image list are below.

    Args:
        root: what the paths of an image list are relative to, default its own folder.
        prefix: what messages begin with.
    Raises:
        UsageError: neither a folder nor an image list is there, or ``root`` is no folder.
    """
    if source.is_dir():
        if root:
            raise UsageError(f"--root: found the folder {source}, expected an image list with it")
        return source
    if not source.is_file() or source.suffix.lower() not in SUFFIXES:
        found = "a file" if source.exists() else "nothing"
        expected = "a folder of images or a .csv, .tsv or .jsonl file"
        raise UsageError(f"{prefix}{source}: found {found}, expected {expected}")
    if root and not root.is_dir():
        found = "a file" if root.exists() else "nothing"
        raise UsageError(f"--root {root}: found {found}, expected the folder of the images")
    return root or source.parent


def root_hint(source: Path, root: Path | None) -> str:
    """Say what may help where the images of an image list are not found; nothing of a folder."""
    return "" if root or source.is_dir() else " (--root names the folder that its paths are below)"


def list_source(
    source: Path,
    *,
    root: Path | None = None,
    labels: Sequence[str] | str | None = "auto",
    labels_from: str = "--labels",
    exclude: Path | None = None,
    keys: KeyStyle = "plain",
    columns: Sequence[Column] = (),
) -> Listing:
    """List the images of a folder, as `folder.list_folder` does, or of an image list.

    An image list alone labels its images, whatever folders they are in.

    Args:
        root: what the paths of an image list are relative to, default its own folder.
        labels: as for `folder.list_folder`; ``auto`` takes the names in the column ``label``.
        keys: ``tf-models`` gives columns their names of the Object Detection API.
        columns: those of another split, whose kinds these must have too.
    Raises:
        UsageError: as for `root_of`, or a column has a name that is taken.
        TableError: the image list is wrong: names every bad line.
        DataError, RunError: as for `folder.list_folder`.
    """
    folder = root_of(source, root)
    if source.is_dir():
        return list_folder(source, labels=labels, labels_from=labels_from, exclude=exclude)
    table = Table(source, keys, columns, has_labels=labels is not None)
    try:
        with open_to_read(os.fsencode(source)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UsageError(f"{source}: found a pipe or device, expected a file")
            table.read(file)
    except OSError as error:
        raise RunError(f"{source}: cannot be read: {error.strerror or error}") from error
    return table.listing(folder, labels, labels_from)
