"""The warning that random numbers are read again: nothing counts epochs in silence.

Knows: opened splits. Must not know: any framework.
"""

from __future__ import annotations

import warnings

from tfrec_cli.reading.open import OpenSplit


class Passes:
    """Watches a dataset that is iterated, and warns once if it is read again after its end.

    Threads that read ahead may note the end before the beginning.
    """

    def __init__(self, opened: OpenSplit) -> None:
        self._opened = opened
        self._has_begun = self._has_ended = False
        self._is_silent = not opened.draws

    def begin(self, stacklevel: int = 1) -> None:
        """Note that the first record is read, for the caller that ``stacklevel`` names."""
        is_again, self._has_begun = self._has_begun and self._has_ended, True
        if is_again and not self._is_silent:
            self._is_silent = True
            warn(
                self._opened,
                self._opened.options.epoch,
                "epochs=None, or a dataset for each epoch; for validation crop_mode='center'",
                stacklevel=stacklevel + 1,
            )

    def end(self) -> None:
        """Note that the last record is read."""
        self._has_ended = True


def warn(opened: OpenSplit, epoch: int, expected: str, stacklevel: int = 1) -> None:
    """Warn that an epoch is read again, though something in it is drawn."""
    warnings.warn(
        f"{opened.place}: epoch {epoch} is read again, with the same order and crops: "
        f"expected {expected}",
        stacklevel=stacklevel + 1,
    )
