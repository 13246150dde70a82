"""The tables that scans of a JPEG are decoded with: whether a decoder takes them.

Knows: segments of tables, headers of frames and scans. Must not know: files, pixels.

Decoders refuse a scan whose tables are missing or impossible. `Tables` finds that without decoding.

Source: ITU-T T.81, annexes B.2 and C.2.
"""

from __future__ import annotations

from tfrec_cli.imaging.jpeg.scans import PROGRESSIVE

DHT, DQT, DRI = 0xC4, 0xDB, 0xDD

_NUMBERS = range(4)
"""Numbers of tables."""

_STEPS = 64
_LENGTHS = 16
_MOST_CODES = 256
_MOST_DC_BITS = 15
_MOST_BLOCKS = 10
"""In an MCU of several components."""

_USUAL = bytes((0, 63, 0))
"""End of the header of a scan that sends all coefficients with all their bits."""

_LAST = 63
_MOST_SHIFT = 13


class Tables:
    """The tables that segments of a JPEG have defined so far."""

    def __init__(self) -> None:
        self._steps: set[int] = set()
        self._codes: set[tuple[int, int]] = set()  # (0 for DC or 1 for AC, number)

    def define(self, code: int, segment: bytes) -> bool:
        """Take the tables of a DHT or DQT segment, and check a DRI segment.

        Returns:
            Whether it is usual: quantization steps of 8 bits, codes that fit their lengths.
        """
        if code == DRI:
            return len(segment) == 2
        if code == DQT:
            numbers = segment[:: 1 + _STEPS]
            self._steps.update(numbers)
            return len(segment) % (1 + _STEPS) == 0 and max(numbers, default=4) in _NUMBERS
        while segment:
            kind, number = segment[0] >> 4, segment[0] & 15
            counts = segment[1 : 1 + _LENGTHS]
            symbols = segment[1 + _LENGTHS :][: sum(counts)]
            if kind > 1 or number not in _NUMBERS or len(symbols) < sum(counts):
                return False
            if not _fit(counts) or (kind == 0 and max(symbols, default=0) > _MOST_DC_BITS):
                return False
            self._codes.add((kind, number))
            segment = segment[1 + _LENGTHS + len(symbols) :]
        return True

    def allow(self, sof: int, frame: bytes, scan: bytes) -> bool:
        """Tell whether a decoder takes a scan of the usual shape.

        Args:
            sof: number of the frame type.
            frame: the segment of the frame, without marker and length.
            scan: the header of the scan, without marker and length.
        """
        count = scan[0] if scan else 0
        if not 0 < count <= len(frame[6::3]) or len(scan) != 4 + 2 * count:
            return False
        numbers = [frame[6::3].find(code) for code in scan[1:-3:2]]
        if min(numbers) < 0 or sorted(set(numbers)) != numbers:
            return False
        steps = [frame[8 + 3 * number] for number in numbers]
        blocks = sum(_blocks(frame[7 + 3 * number]) for number in numbers)
        return (
            self._steps.issuperset(steps)
            and _are_sampled(frame[7::3])
            and (count == 1 or blocks <= _MOST_BLOCKS)
            and self._codes.issuperset(_needed(sof, scan))
        )


def _fit(counts: bytes) -> bool:
    """Tell whether there are as many codes of each length; none is all ones."""
    used = 0
    for length, count in enumerate(counts, 1):
        used += count
        if used >= 1 << length:
            return False
        used <<= 1
    return len(counts) == _LENGTHS and sum(counts) <= _MOST_CODES


def _are_sampled(factors: bytes) -> bool:
    """Tell whether components are sampled so that a decoder can enlarge each to the largest."""
    for sides in ([one >> 4 for one in factors], [one & 15 for one in factors]):
        if not 0 < min(sides) <= max(sides) <= 4 or any(max(sides) % side for side in sides):
            return False
    return True


def _blocks(factors: int) -> int:
    """Return the number of blocks of a component in an MCU."""
    return (factors >> 4) * (factors & 15)


def _needed(sof: int, scan: bytes) -> set[tuple[int, int]]:
    """Return which code tables a scan needs; one that is never defined if its header is unusual."""
    tables, (first, last, bits) = scan[2:-3:2], scan[-3:]
    dc, ac = {(0, table >> 4) for table in tables}, {(1, table & 15) for table in tables}
    if sof not in PROGRESSIVE:
        return dc | ac if scan[-3:] == _USUAL else {(-1, 0)}
    before, after = bits >> 4, bits & 15
    one = (first == last == 0) or (0 < first <= last <= _LAST and len(tables) == 1)
    if not one or after > _MOST_SHIFT or (before and after != before - 1):
        return {(-1, 0)}
    if first:
        return ac
    return set() if before else dc
