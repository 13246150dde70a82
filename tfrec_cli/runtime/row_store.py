"""A sequence of many small rows in little memory: a path, a few integers, perhaps a note each.

Knows: bytes. Must not know: what a row means. A million images take 55 MB so, and as Python objects
half a gigabyte.
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
"""Of zlib: under a microsecond for each row."""


class Packed(Sequence[Row], Generic[Row]):
    """Rows of one kind, packed.

    Args:
        pack: makes of a row its path and its integers, the same number of them for every row; and
            its note, for every row or for none.
        unpack: makes of a path, integers and note, if any, the row again.
        typecode: what holds the integers, as in the module `array`.
    """

    __slots__ = (
        "_ends",
        "_note_ends",
        "_notes",
        "_numbers",
        "_pack",
        "_paths",
        "_unpack",
        "_width",
    )

    def __init__(
        self,
        pack: Callable[[Row], Pieces],
        unpack: Callable[..., Row],
        typecode: str,
        rows: Iterable[Row] = (),
    ) -> None:
        self._pack = pack
        self._unpack = unpack
        self._paths = bytearray()
        self._ends = array("q", [0])
        self._notes = bytearray()
        self._note_ends = array("q", [0])
        self._numbers = array(typecode)
        self._width = 1
        for row in rows:
            self.append(row)

    def append(self, row: Row) -> None:
        """Add one row at the end."""
        path, numbers, *notes = self._pack(row)
        self._paths += path
        self._ends.append(len(self._paths))
        self._numbers.extend(numbers)
        self._width = len(numbers)
        for note in notes:
            self._notes += note
            self._note_ends.append(len(self._notes))

    def extend(self, rows: Packed[Row]) -> None:
        """Add all of other rows at the end."""
        for mine, ends, more, more_ends in (
            (self._paths, self._ends, rows._paths, rows._ends),
            (self._notes, self._note_ends, rows._notes, rows._note_ends),
        ):
            start = len(mine)
            ends.extend(start + end for end in more_ends[1:])
            mine += more
        self._numbers.extend(rows._numbers)
        self._width = rows._width if rows else self._width

    def path(self, index: int) -> bytes:
        """Return one row's path."""
        return bytes(self._paths[self._ends[index] : self._ends[index + 1]])

    def paths(self) -> Iterator[bytes]:
        """Iterate the paths of all rows."""
        return (bytes(self._paths[start:stop]) for start, stop in pairwise(self._ends))

    @property
    def note_bytes(self) -> int:
        """How many bytes all notes have together."""
        return len(self._notes)

    def column(self, number: int) -> array[int]:
        """Return one of the integers of all rows."""
        return self._numbers[number :: self._width]

    def set_column(self, number: int, values: array[int]) -> None:
        """Replace one of the integers of all rows."""
        self._numbers[number :: self._width] = values

    def take(self, order: Iterable[int]) -> Packed[Row]:
        """Return the rows of these numbers, in this order."""
        taken = Packed(self._pack, self._unpack, self._numbers.typecode)
        taken._width = width = self._width
        for index in order:
            taken._paths += self._paths[self._ends[index] : self._ends[index + 1]]
            taken._ends.append(len(taken._paths))
            taken._numbers.extend(self._numbers[index * width : (index + 1) * width])
            for note in self._note(index):
                taken._notes += note
                taken._note_ends.append(len(taken._notes))
        return taken

    def pop(self, count: int) -> Packed[Row]:
        """Take that many rows, or all there are, off the end, and return them."""
        start = max(len(self) - count, 0)
        taken = self[start:]
        del self._paths[self._ends[start] :], self._ends[start + 1 :]
        del self._numbers[start * self._width :]
        if len(self._note_ends) > 1:
            del self._notes[self._note_ends[start] :], self._note_ends[start + 1 :]
        return taken

    def _note(self, index: int) -> list[bytes]:
        """Return one row's note, if there are notes."""
        if len(self._note_ends) == 1:
            return []
        return [bytes(self._notes[self._note_ends[index] : self._note_ends[index + 1]])]

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> Packed[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | Packed[Row]:
        if isinstance(index, slice):
            return self.take(range(*index.indices(len(self))))
        if not 0 <= index < len(self):
            raise IndexError(index)
        width = self._width
        numbers = self._numbers[index * width : (index + 1) * width]
        return self._unpack(self.path(index), *numbers, *self._note(index))

    def __iter__(self) -> Iterator[Row]:
        """Iterate the rows, in less time than one by one takes."""
        numbers = iter(self._numbers)
        for index, path in enumerate(self.paths()):
            yield self._unpack(path, *islice(numbers, self._width), *self._note(index))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash((len(self), bytes(self._paths)))

    def __repr__(self) -> str:
        return repr(list(self))

    def __reduce__(self) -> tuple[Any, ...]:
        state = (
            self._paths,
            self._ends,
            self._notes,
            self._note_ends,
            self._numbers,
            self._width,
        )
        return _restore, (self._pack, self._unpack, state)


def deflated(rows: Packed[Any]) -> bytes:
    """Compress rows that nobody looks at for a while, to a third of the memory."""
    return zlib.compress(pickle.dumps(rows, pickle.HIGHEST_PROTOCOL), _LEVEL)


def inflated(data: bytes) -> Packed[Any]:
    """Return rows that were `deflated` in this process."""
    rows: Packed[Any] = pickle.loads(zlib.decompress(data))  # noqa: S301  # our own
    return rows


def _restore(pack: Any, unpack: Any, state: Any) -> Packed[Any]:
    rows: Packed[Any] = Packed(pack, unpack, "q")
    rows._paths, rows._ends, rows._notes, rows._note_ends, rows._numbers, rows._width = state
    return rows


def ordered(rows: Iterable[bytes], size_bytes: int) -> Iterator[bytes]:
    """Sort rows of one size, best ones that begin with digests.

    A heap for each first byte, sorted one after the other: a million rows are never a million
    Python objects, and what has few of them need not wait for NumPy.
    """
    heaps = [bytearray() for _ in range(256)]
    for row in rows:
        heaps[row[0]] += row
    for heap in heaps:
        starts = range(0, len(heap), size_bytes)
        yield from sorted([bytes(heap[start : start + size_bytes]) for start in starts])
        heap.clear()
