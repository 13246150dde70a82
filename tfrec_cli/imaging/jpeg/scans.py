"""Whether the scans of a JPEG send everything: each coefficient of each component, to its last bit.

Knows: headers of frames and scans. Must not know: files, pixels.

Decoders take what is missing for zero, or guess it, each in its own way.

Source: ITU-T T.81, annexes B.2.3 and G.1.1.
"""

from __future__ import annotations

from collections.abc import Iterable

PROGRESSIVE = frozenset({2, 6, 10, 14})
"""Numbers of the frame types whose scans send some coefficients each, some bits each."""

_COEFFICIENTS = 64


def incomplete(sof: int, frame: bytes, scans: Iterable[bytes]) -> int | None:
    """Return the number, from 1, of a component that is not sent completely; None if all are.

    Args:
        sof: number of the frame type.
        frame: the segment of the frame, without marker and length.
        scans: the header of each scan, without marker and length.
    """
    missing = {code: [-1] * _COEFFICIENTS for code in frame[6::3]}
    for scan in scans:
        count = scan[0] if scan else 0
        parameters = scan[1 + 2 * count :]
        first, last, before, after = 0, _COEFFICIENTS - 1, 0, 0
        if sof in PROGRESSIVE:
            if len(parameters) < 3:
                continue
            first, last = parameters[0], min(parameters[1], last)
            before, after = parameters[2] >> 4, parameters[2] & 15
        for code in scan[1 : 1 + 2 * count : 2]:
            bits = missing.get(code, [])
            for number in range(first, last + 1) if bits else ():
                if before in (0, bits[number]):  # else bits in between were left out
                    bits[number] = after
    for number, bits in enumerate(missing.values()):
        if any(bits):
            return number + 1
    return None
