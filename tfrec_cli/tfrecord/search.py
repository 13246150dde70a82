"""The next whole record after damage, found in bounded time.

Knows: what a header looks like among other bytes. Must not know: what was damaged.
"""

from __future__ import annotations

import functools
from bisect import bisect_left
from typing import TYPE_CHECKING

import google_crc32c

from tfrec_cli.tfrecord.record import (
    CRC,
    FOOTER_BYTES,
    HEADER_BYTES,
    LENGTH,
    OVERHEAD_BYTES,
)
from tfrec_cli.tfrecord.stream import LARGE_BYTES, WINDOW_BYTES, Stream, streamed_crc

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_ENOUGH_BYTES, _ENOUGH_TIMES = 2**28, 8
"""What may be spent on false lengths and damage in one file: bytes, and times the file's size."""

_TRIAL_BYTES = 1 << 15
"""What one false length costs beside its CRC: about as long as a CRC over so many bytes takes."""


class Search:
    """Looks for whole records behind damage, each byte of the source once."""

    def __init__(self, source: Stream, limit_bytes: int) -> None:
        self._source = source
        self._limit_bytes = limit_bytes
        self._left_bytes = _ENOUGH_BYTES + _ENOUGH_TIMES * source.file_bytes
        self._headers: list[int] = []
        self._start = self._stop = 0

    @property
    def exhausted(self) -> bool:
        """Whether so much was spent in vain that the rest is given up."""
        return self._left_bytes < 0

    def spend(self, size_bytes: int) -> None:
        """Note that a CRC was computed over so many bytes in vain."""
        self._left_bytes -= size_bytes + _TRIAL_BYTES

    def whole(self, offset: int, stop: int | None) -> int | None:
        """Return the first place from ``offset`` on where a whole, checked record starts, or None.

        Args:
            stop: where to end; None goes on to the source's end.
        """
        while not self.exhausted:
            place = self._header(offset, stop)
            if place is None:
                return None
            if self._is_whole(place):
                return place
            offset = place + 1
        return None

    def _is_whole(self, place: int) -> bool:
        self._source.forget(place)
        (length,) = LENGTH.unpack_from(self._source.read(place, HEADER_BYTES))
        start, stop = place + HEADER_BYTES, place + HEADER_BYTES + length
        size = self._source.size_bytes
        if length > self._limit_bytes or (size is not None and stop + FOOTER_BYTES > size):
            return False
        if length > LARGE_BYTES and length > self._source.most(start, length):
            return False
        crc = streamed_crc(self._source, start, length)
        if self._source.read(stop, FOOTER_BYTES) == CRC.pack(crc):
            return True
        self.spend(length)
        return False

    def _header(self, offset: int, stop: int | None) -> int | None:
        """Return the first place from ``offset`` on where a length with the right CRC lies."""
        while stop is None or offset < stop:
            if not self._start <= offset < self._stop:
                first, last = self._source.data_from(offset)
                offset = max(offset, first - HEADER_BYTES)
                self._source.forget(offset)
                window = self._source.read(
                    offset, min(WINDOW_BYTES, last - offset + OVERHEAD_BYTES)
                )
                if len(window) < OVERHEAD_BYTES:
                    return None
                self._start, self._stop = offset, offset + len(window) - HEADER_BYTES + 1
                self._headers = (header_places(window) + offset).tolist()
            at = bisect_left(self._headers, offset)
            if at < len(self._headers):
                place = self._headers[at]
                return place if stop is None or place < stop else None
            offset = self._stop
        return None


def header_places(window: bytes) -> npt.NDArray[np.int64]:
    """Return every place in ``window`` where a length with the right CRC lies.

    A length under 2**31 has four zero bytes on top, so only places before four zero bytes need
    their CRC computed. Where four more follow, a run of zeros is more likely than the one length,
    233,286,277, whose masked CRC is zero.
    """
    import numpy as np

    words = np.ndarray(len(window) - 3, "<u4", window, strides=(1,))
    count = len(window) - HEADER_BYTES + 1
    places = np.flatnonzero((words[4 : 4 + count] == 0) & (words[8 : 8 + count] != 0))
    lengths = words[places]
    low, high = _length_crcs()
    crcs = low[lengths & 0xFFFF] ^ high[lengths >> 16]
    masked = (crcs >> 15 | crcs << 17) + np.uint32(0xA282EAD8)
    found: npt.NDArray[np.int64] = places[masked == words[places + 8]]
    return found


@functools.cache
def _length_crcs() -> npt.NDArray[np.uint32]:
    """Return uint32[2, 65536]: CRCs of lengths by their low half, and what the high half changes.

    A CRC is linear: changes of several bytes are those of each, combined by exclusive or.
    """
    import numpy as np

    zero = google_crc32c.value(bytes(8))
    changes = [
        [google_crc32c.value(LENGTH.pack(value << 8 * byte)) ^ zero for value in range(256)]
        for byte in range(4)
    ]
    first, second, third, fourth = np.array(changes, np.uint32)
    return np.stack(
        [
            np.bitwise_xor.outer(second, first).ravel() ^ np.uint32(zero),
            np.bitwise_xor.outer(fourth, third).ravel(),
        ]
    )
