"""A folder to write files into, however deep their paths are."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from tfrec_cli.errors import DataError
from tfrec_cli.extracting.names import shown

_TAKEN = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR)
_NO_NAME = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)


class FileTree:
    """A folder to write files into; it stays open, so that the length of its path is no limit."""

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self._open = partial(os.open, mode=0o666, dir_fd=self._descriptor)
        self._made = {b""}

    def __enter__(self) -> FileTree:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def write(self, path: bytes, data: bytes) -> None:
        """Write one new file.

        Raises:
            DataError: the path is taken, or cannot be the path of a file.
        """
        with self._folder_made(path), open(path, "xb", opener=self._open) as file:
            file.write(data)

    def move(self, source: Path, path: bytes) -> None:
        """Move a file into this folder, which nobody else writes into.

        Raises:
            DataError: the path is taken, or cannot be that of a file.
        """
        with self._folder_made(path):
            with suppress(FileNotFoundError):  # a file system may merge paths that we tell apart
                os.lstat(path, dir_fd=self._descriptor)
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            os.rename(source, path, dst_dir_fd=self._descriptor)

    @contextmanager
    def _folder_made(self, path: bytes) -> Iterator[None]:
        """Make the folders of a file, and turn errors about its path into DataErrors."""
        folder = os.path.dirname(path)
        try:
            if folder not in self._made:
                self._make(folder)
                self._made.add(folder)
            yield
        except OSError as error:
            if error.errno in _TAKEN:
                raise DataError(
                    f"found {shown(path)}, which another record has too, "
                    "expected a different path for each record"
                ) from error
            if error.errno in _NO_NAME:
                found = f"found {shown(path)}: {error.strerror}"
                raise DataError(f"{found}, expected a path that is possible here") from error
            raise

    def _make(self, folder: bytes) -> None:
        """Make a folder and those above it, without recursion: there may be very many."""
        missing = [folder]
        while missing:
            if self._is_made(missing[-1]):
                missing.pop()
            else:
                missing.append(os.path.dirname(missing[-1]))

    def _is_made(self, folder: bytes) -> bool:
        """Make a folder; return False if the one above it is missing."""
        try:
            os.mkdir(folder, dir_fd=self._descriptor)
        except FileExistsError:
            return True
        except FileNotFoundError:
            if b"/" in folder:
                return False
            raise
        return True
