"""Many small rows in little memory: each has a path, a few integers and perhaps a note.

A million images take 55 MB; as Python objects they would take half a gigabyte.
"""

from __future__ import annotations

import pickle
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import Any, Generic, TypeVar, overload

Row = TypeVar("Row")
Pieces = tuple[bytes, Sequence[int]] | tuple[bytes, Sequence[int], bytes]
"""A row's path, integers, and note if it has one."""

_LEVEL = 1
"""Level of zlib; it takes under a microsecond a row."""


class Packed(Sequence[Row], Generic[Row]):
    """Rows of one kind, packed.

    Args:
        pack: returns the path of a row, its 64-bit integers (the same number for every row) and
            its note (for every row or for none).
        unpack: makes a row from its path, integers and note.
    """

    __slots__ = ("_ends", "_numbers", "_pack", "_strings", "_texts", "_unpack", "_width")

    def __init__(
        self, pack: Callable[[Row], Pieces], unpack: Callable[..., Row], rows: Iterable[Row] = ()
    ) -> None:
        self._pack = pack
        self._unpack = unpack
        self._strings = bytearray()  # path and note of every row
        self._ends = array("q", [0])
        self._texts = 1  # how many strings a row has
        self._numbers = array("q")
        self._width = 1  # how many integers a row has
        for row in rows:
            self.append(row)

    def append(self, row: Row) -> None:
        """Add one row at the end."""
        path, numbers, *notes = self._pack(row)
        self._texts, self._width = 1 + len(notes), len(numbers)
        self._numbers.extend(numbers)
        for text in (path, *notes):
            self._strings += text
            self._ends.append(len(self._strings))

    def extend(self, rows: Packed[Row]) -> None:
        """Add other rows at the end."""
        if rows:
            start = len(self._strings)
            self._texts, self._width = rows._texts, rows._width
            self._ends.extend(start + end for end in rows._ends[1:])
            self._strings += rows._strings
            self._numbers.extend(rows._numbers)

    def path(self, index: int) -> bytes:
        """Return one row's path."""
        start = index * self._texts
        return bytes(self._strings[self._ends[start] : self._ends[start + 1]])

    def paths(self) -> Iterator[bytes]:
        """Iterate the paths of all rows."""
        starts = islice(self._ends, 0, None, self._texts)
        stops = islice(self._ends, 1, None, self._texts)
        bounds = zip(starts, stops, strict=False)
        return (bytes(self._strings[start:stop]) for start, stop in bounds)

    @property
    def note_bytes(self) -> int:
        """Bytes of all notes together."""
        of_rows = islice(self._ends, self._texts, None, self._texts)
        of_paths = islice(self._ends, 1, None, self._texts)
        return sum(of_rows) - sum(of_paths)

    def column(self, number: int) -> array[int]:
        """Return the integers of this number, one for each row."""
        return self._numbers[number :: self._width]

    def set_column(self, number: int, values: array[int]) -> None:
        """Replace the integers of this number, one for each row."""
        self._numbers[number :: self._width] = values

    def take(self, order: Iterable[int]) -> Packed[Row]:
        """Return the rows with these numbers, in this order."""
        taken = Packed(self._pack, self._unpack)
        taken._texts, taken._width = texts, width = self._texts, self._width
        for index in order:
            ends = self._ends[index * texts : (index + 1) * texts + 1]
            moved = len(taken._strings) - ends[0]
            taken._strings += self._strings[ends[0] : ends[-1]]
            taken._ends.extend(moved + end for end in ends[1:])
            taken._numbers.extend(self._numbers[index * width : (index + 1) * width])
        return taken

    def _run(self, start: int, stop: int) -> Packed[Row]:
        """Return the rows ``[start, stop)``."""
        stop = max(start, stop)
        run = Packed(self._pack, self._unpack)
        run._texts, run._width = self._texts, self._width
        ends = self._ends[start * run._texts : stop * run._texts + 1]
        run._strings = self._strings[ends[0] : ends[-1]]
        run._ends = array("q", [end - ends[0] for end in ends])
        run._numbers = self._numbers[start * run._width : stop * run._width]
        return run

    def pop(self, count: int) -> Packed[Row]:
        """Remove the last ``count`` rows, or all if there are fewer, and return them."""
        start = max(len(self) - count, 0)
        taken = self[start:]
        del self._strings[self._ends[start * self._texts] :], self._ends[start * self._texts + 1 :]
        del self._numbers[start * self._width :]
        return taken

    def _row(self, index: int, numbers: Iterable[int]) -> Row:
        ends = self._ends[index * self._texts : (index + 1) * self._texts + 1]
        path, *notes = (bytes(self._strings[start:stop]) for start, stop in pairwise(ends))
        return self._unpack(path, *numbers, *notes)

    def __len__(self) -> int:
        return (len(self._ends) - 1) // self._texts

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> Packed[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | Packed[Row]:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            return self._run(start, stop) if step == 1 else self.take(range(start, stop, step))
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._row(index, self._numbers[index * self._width : (index + 1) * self._width])

    def __iter__(self) -> Iterator[Row]:
        """Iterate the rows, faster than by index."""
        numbers = iter(self._numbers)
        for index, path in enumerate(self.paths()):
            if self._texts == 1:
                yield self._unpack(path, *islice(numbers, self._width))
            else:
                yield self._row(index, islice(numbers, self._width))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))


def deflated(rows: Packed[Any]) -> bytes:
    """Compress rows that are not needed for a while to a third of their memory."""
    return zlib.compress(pickle.dumps(rows, pickle.HIGHEST_PROTOCOL), _LEVEL)


def inflated(data: bytes) -> Packed[Any]:
    """Return rows that `deflated` compressed in this process."""
    rows: Packed[Any] = pickle.loads(zlib.decompress(data))  # noqa: S301  # our own
    return rows


def ordered(rows: Iterable[bytes], size_bytes: int) -> Iterator[bytes]:
    """Sort rows of equal size that begin with evenly distributed bytes, such as digests.

    Rows are sorted by first byte, then each group by itself: a million rows are never a million
    Python objects at once, and NumPy need not be loaded for a few rows.
    """
    heaps = [bytearray() for _ in range(256)]
    for row in rows:
        heaps[row[0]] += row
    for heap in heaps:
        starts = range(0, len(heap), size_bytes)
        yield from sorted([bytes(heap[start : start + size_bytes]) for start in starts])
        heap.clear()
