"""What datasets share: what they tell of their labels, and the function that changes images.

Knows: opened splits. Must not know: any framework.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from tfrec_cli.reading.fields import Transform

if TYPE_CHECKING:
    from tfrec_cli.reading.batch import Batch
    from tfrec_cli.reading.fields import Values
    from tfrec_cli.reading.open import OpenSplit


class Labelled:
    """Attributes of a dataset, with the names that they have in torchvision and Keras."""

    __slots__ = ()  # so that it can be added to the class of any object
    _opened: OpenSplit

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The names of the classes by number; None if nothing tells them."""
        return self._opened.layout.class_names

    @property
    def num_classes(self) -> int | None:
        """The number of classes; None if nothing tells it."""
        label = self._opened.layout.label
        if label is not None and label.classes:
            return label.classes
        return None if self.class_names is None else len(self.class_names)

    @property
    def class_to_idx(self) -> dict[str, int] | None:
        """The number of each class by its name; None if nothing tells them."""
        names = self.class_names
        return None if names is None else {name: number for number, name in enumerate(names)}

    @property
    def targets(self) -> Values:
        """The labels of all records in stored order, in no time if tfrec wrote the dataset.

        Other datasets are read once for it, without decoding an image. Records that are skipped
        have labels too.

        Returns:
            int64[n] of class numbers; float32[n] or an array of n bytes objects for other labels, a
            list of n arrays if a record has several. ``one_hot`` and ``multi_hot`` change nothing.
        Raises:
            AttributeError: there are no labels.
            DataError: a file is missing or damaged, or a record has no label.
        """
        return self._opened.targets()


class Stepping(Labelled):
    """What datasets share that yield batches, epoch after epoch."""

    __slots__ = ()

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches in an epoch, for ``fit``; of records without ``batch_size``.

        It is that of a complete epoch of this host, whatever ``start`` is.

        Raises:
            AttributeError: it is not known, because records may be skipped.
        """
        try:
            return self._opened.steps_per_epoch()
        except TypeError as error:
            raise AttributeError(f"steps_per_epoch: {error}") from None


class Transforming(Labelled):
    """What datasets share that have a ``transform``; their splits are opened ``with_seeds``."""

    @property
    def transform(self) -> Callable[..., Any] | None:
        """The function that changes each image; None changes nothing."""
        return self._transform.function

    @transform.setter
    def transform(self, function: Callable[..., Any] | None) -> None:
        self._transform = Transform(function)

    def _changed(self, batch: Batch) -> Batch:
        """Take the seed pairs off a batch, and change its images, which are arrays."""
        views, (*values, seeds) = batch
        if self.transform is None or not len(seeds):
            return views, values
        changed: Any = self._each_changed(views, seeds)
        is_batched = self._opened.options.batch_size is not None
        return tuple(map(np.stack, changed)) if is_batched else changed, values

    def _each_changed(self, views: Iterable[Any], seeds: Any) -> tuple[list[Any], ...]:
        """Change images one by one.

        Args:
            views: for each view its images.
            seeds: the pairs of all images, int64[n, views, 2].
        """
        return tuple(
            list(map(self._transform, images, pairs))
            for images, pairs in zip(views, seeds.swapaxes(0, 1).tolist(), strict=True)
        )
