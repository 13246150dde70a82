"""Philox 4x32-10, a generator of random numbers without state, in NumPy.

Knows: 32-bit words. Must not know: what is drawn with them.

Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint32]


def philox(counters: Words, key: Sequence[int | Words]) -> Words:
    """Return four random words for each counter.

    Args:
        counters: uint32[n, 4].
        key: two words, each one for all counters or uint32[n].
    Returns:
        uint32[n, 4].
    """
    c0, c1, c2, c3 = (counters[:, word].astype(np.uint64) for word in range(4))
    k0, k1 = (np.asarray(word, np.uint64) for word in key)
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    for _ in range(10):
        left, right = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (
            (right >> shift) ^ c1 ^ k0,
            right & low,
            (left >> shift) ^ c3 ^ k1,
            left & low,
        )
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & low, (k1 + np.uint64(0xBB67AE85)) & low
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)
