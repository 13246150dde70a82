"""The warning that random numbers are read again: nothing counts epochs in silence.

Knows: opened splits. Must not know: any framework.
"""

from __future__ import annotations

import warnings

from tfrec_cli.reading.open import OpenSplit


class Passes:
    """Watches a dataset that is iterated, and warns once if it is read again after its end.

    Args:
        most: how often it may begin without a warning. It is 2 if threads that read ahead may reach
            the end although only some batches are looked at.
    """

    def __init__(self, opened: OpenSplit, most: int = 1) -> None:
        self._opened = opened
        self._left = most
        self._has_ended = False
        self._is_silent = not opened.draws

    def begin(self, stacklevel: int = 1, *, resumes: bool = False) -> None:
        """Note that the first record is read, for the caller that ``stacklevel`` names.

        Args:
            resumes: a loaded state tells where to go on, so this time there is no warning.
        """
        self._left -= 1
        if self._left < 0 and self._has_ended and not (self._is_silent or resumes):
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


def warn(
    opened: OpenSplit,
    epoch: int,
    expected: str,
    *,
    same: str = "order and crops",
    stacklevel: int = 1,
) -> None:
    """Warn that an epoch is read again, though something in it is drawn."""
    warnings.warn(
        f"{opened.place}: epoch {epoch} is read again, with the same {same}: expected {expected}",
        stacklevel=stacklevel + 1,
    )
