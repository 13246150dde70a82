"""Files that appear complete or not at all, and what makes files last and tells them apart.

Knows: files and folders. Must not know: what is in them, or why.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_CHUNK_BYTES = 1 << 20

_TO_READ = os.O_RDONLY | os.O_NONBLOCK

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Errors of a system that ran out of descriptors or memory: the file is not to blame."""


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that gets the name ``path`` when it is complete and on the disk, or never.

    Until then, and after any failure, what is at ``path`` stays as it is. A link stays a link: the
    file that it points to is replaced. A replaced file hands on its permissions; its other hard
    links keep the old content. A pipe or device is written to directly.

    Raises:
        OSError: the file cannot be written; names ``path``.
    """
    target = Path(os.path.realpath(path))
    partial = target.with_name(f".tfrec-{os.urandom(8).hex()}.tmp")
    try:
        mode = _replaced_mode(path)
        if mode is not None and not stat.S_ISREG(mode):
            with path.open("wb") as file:
                yield file
            return
        try:
            with partial.open("xb") as file:
                if mode is not None:
                    os.fchmod(file.fileno(), stat.S_IMODE(mode))
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.rename(target)
        finally:
            partial.unlink(missing_ok=True)
        sync(target.parent)
    except OSError as error:
        if error.filename in (None, str(partial), str(target.parent)):
            error.filename, error.filename2 = str(path), None
        raise


def _replaced_mode(path: Path) -> int | None:
    """Return the mode of what is at ``path``, None where nothing is.

    Raises:
        PermissionError: it may not be written to.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISREG(mode):
        os.close(os.open(path, os.O_WRONLY))
    return mode


def open_to_read(path: bytes) -> BinaryIO:
    """Open a file to read without waiting: it may have become a pipe."""
    return os.fdopen(os.open(path, _TO_READ), "rb")


@contextmanager
def descriptor_to_read(path: bytes) -> Iterator[int]:
    """Open a file as `open_to_read` does, but as a bare descriptor, which costs less."""
    descriptor = os.open(path, _TO_READ)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def raise_if_exhausted(error: OSError) -> None:
    """Raise an error again if the system ran out of descriptors or memory."""
    if error.errno in _EXHAUSTED:
        raise error


def sync(path: Path) -> None:
    """Make what a file holds durable, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str | None:
    """Return a file's SHA-256; None where there is no file."""
    if not path.is_file():
        return None
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
