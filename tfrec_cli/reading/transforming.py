"""A dataset whose images are changed by a function of the user.

Knows: opened splits, NumPy. Must not know: any framework.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tfrec_cli.reading.batch import Batch
from tfrec_cli.reading.fields import Transform
from tfrec_cli.reading.labelled import Labelled


class Transforming(Labelled):
    """What datasets share that have a ``transform``; their splits are opened ``with_keys``."""

    @property
    def transform(self) -> Callable[..., Any] | None:
        """The function that changes each image; None changes nothing."""
        return self._transform.function

    @transform.setter
    def transform(self, function: Callable[..., Any] | None) -> None:
        self._transform = Transform(function)

    def _changed(self, batch: Batch, epoch: int) -> Batch:
        """Take the keys off a batch, and change its images, which are arrays."""
        images, (*values, keys) = batch
        if self.transform is None:
            return images, values
        seed = self._opened.options.seed
        changed = [
            self._transform(image, seed, epoch, key)
            for image, key in zip(images, map(int, keys), strict=True)
        ]
        return np.stack(changed) if changed else images, values
