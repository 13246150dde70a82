"""What every reader tells of its labels: names of classes, and all labels without their images.

Knows: opened splits. Must not know: any framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfrec_cli.reading.fields import Values
    from tfrec_cli.reading.open import OpenSplit


class Labelled:
    """Attributes of a dataset, with the names that they have in torchvision and Keras."""

    __slots__ = ()  # so that it can be added to the class of any object
    _opened: OpenSplit

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The names of the classes by number; None if nothing tells them."""
        return self._opened.class_names

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

        Other datasets are read once for it, without decoding an image.

        Returns:
            int64[n] of class numbers; float32[n] or an array of n bytes objects for other labels, a
            list of n arrays if a record has several. ``one_hot`` and ``multi_hot`` change nothing.
        Raises:
            AttributeError: there are no labels.
            DataError: a file is missing or damaged, or a record has no label.
        """
        return self._opened.targets()
