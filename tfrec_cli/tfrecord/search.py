"""Finds the next intact record after damage, in bounded time.

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
"""Most bytes of CRCs computed in vain in one file: the first, plus the second times its size."""

_TRIAL_BYTES = 1 << 15
"""Cost of one false length in addition to its CRC: as much time as a CRC over so many bytes."""


class Search:
    """Looks for intact records after damage; looks at each byte of the source once."""

    def __init__(self, source: Stream, limit_bytes: int) -> None:
        self._source = source
        self._limit_bytes = limit_bytes
        self._left_bytes = _ENOUGH_BYTES + _ENOUGH_TIMES * source.file_bytes
        self._headers: list[int] = []
        self._start = self._stop = 0

    @property
    def exhausted(self) -> bool:
        """Whether too many CRCs were computed in vain, so that the search ends."""
        return self._left_bytes < 0

    def spend(self, size_bytes: int) -> None:
        """Note that a CRC was computed over so many bytes in vain."""
        self._left_bytes -= size_bytes + _TRIAL_BYTES

    def find(self, offset: int, stop: int | None) -> int | None:
        """Return the first place from ``offset`` on where an intact record starts, or None.

        Args:
            stop: where to end; None searches to the source's end.
        """
        while not self.exhausted:
            place = self._header(offset, stop)
            if place is None:
                return None
            if self._is_intact(place):
                return place
            offset = place + 1
        return None

    def _is_intact(self, place: int) -> bool:
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
        """Return the first place from ``offset`` on with a length whose CRC is right."""
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
    """Return every place in ``window`` with a length whose CRC is right.

    The upper four bytes of a length under 2**31 are zero, so CRCs are computed only where these
    four bytes are zero. Places where the CRC is zero too are skipped: they are runs of zeros,
    since only one length, 233,286,277, has the masked CRC 0.
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
    """Return uint32[2, 65536]: CRCs of lengths by their low half, and changes by their high half.

    A CRC is linear: the change by several bytes is the exclusive or of the change by each.
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
