"""A folder that gets files below it, however deep their paths are."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tfrec_cli.errors import DataError
from tfrec_cli.extracting.names import shown

_TAKEN = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR)
_NO_NAME = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)


class FileTree:
    """A folder to write files below; opened, so that the length of its own path does not count."""

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self._open = partial(os.open, mode=0o666, dir_fd=self._descriptor)
        self._made = {b""}

    def __enter__(self) -> FileTree:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the folder."""
        os.close(self._descriptor)

    def write(self, path: bytes, data: bytes) -> None:
        """Write one new file.

        Raises:
            DataError: there is a file or folder of this path, or it cannot be that of a file.
        """
        with self._folder_made(path), open(path, "xb", opener=self._open) as file:
            file.write(data)

    def move(self, source: Path, path: bytes) -> None:
        """Move a file here, where nothing has its path.

        Raises:
            DataError: it cannot be the path of a file.
        """
        with self._folder_made(path):
            os.rename(source, path, dst_dir_fd=self._descriptor)

    @contextmanager
    def _folder_made(self, path: bytes) -> Iterator[None]:
        """Make the folders of a file, and say what is wrong with its path."""
        folder = os.path.dirname(path)
        try:
            if folder not in self._made:
                self._make(folder)
                self._made.add(folder)
            yield
        except OSError as error:
            if error.errno in _TAKEN:
                raise DataError(
                    f"found {shown(path)}, where another record's file is, "
                    "expected a path of its own"
                ) from error
            if error.errno in _NO_NAME:
                found = f"found {shown(path)}: {error.strerror}"
                raise DataError(f"{found}, expected what can be the path of a file here") from error
            raise

    def _make(self, folder: bytes) -> None:
        """Make a folder and those above it, in a loop: they may be more than calls may be deep."""
        missing = [folder]
        while missing:
            if self._is_made(missing[-1]):
                missing.pop()
            else:
                missing.append(os.path.dirname(missing[-1]))

    def _is_made(self, folder: bytes) -> bool:
        """Make a folder, unless the one above it is missing."""
        try:
            os.mkdir(folder, dir_fd=self._descriptor)
        except FileExistsError:
            return True
        except FileNotFoundError:
            if b"/" in folder:
                return False
            raise
        return True
