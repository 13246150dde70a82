"""Fields: what readers yield of each record beside the image: label, weight, other features.

Knows: features of records, their kinds. Must not know: pixels, any framework.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tfrec_cli.dataset.discover import Split
from tfrec_cli.dataset.foreign import LIST
from tfrec_cli.dataset.records import Column, ColumnKind, Names
from tfrec_cli.errors import DataError, UsageError
from tfrec_cli.reading.options import ReadOptions
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.example import Feature, SingleValues

Role = Literal["label", "weight", "feature"]
Values = npt.NDArray[Any] | list[npt.NDArray[Any]]
"""The values of a field in n records: [n], [n, classes], [n, 2]…; or a list of n arrays."""

SEED = "seed"
"""Name of the field that holds a seed pair for each record, for a user's own operations."""

_LITERAL = "column:"
"""What stands before the name of a feature that would be read as something else."""

_DTYPES: dict[str, type] = {"int64": np.int64, "float": np.float32, "bytes": np.object_}


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field.

    Attributes:
        name: its key in a dictionary.
        feature: name of its feature in records; "" for the seed pair.
        classes: length of a one-hot or multi-hot vector; 0 for the value itself.
        words: the class of each text, for a multi-hot vector of texts.
        views: number of seed pairs a record.
    """

    role: Role
    name: str
    feature: str
    kind: ColumnKind
    is_list: bool = False
    classes: int = 0
    words: Mapping[str, int] | None = None
    views: int = 1

    @property
    def dtype(self) -> type:
        """NumPy's type of the values; bytes are objects."""
        return np.float32 if self.classes else _DTYPES[self.kind]

    @property
    def is_ragged(self) -> bool:
        """Whether records may have different numbers of values."""
        return self.is_list and not self.classes

    @property
    def width(self) -> tuple[int, ...]:
        """The dimensions after the first in a batch of single values."""
        if self.feature:
            return (self.classes,) if self.classes else ()
        return (2,) if self.views == 1 else (self.views, 2)

    def collect(self, values: Sequence[Any], numbers: Sequence[int]) -> Values:
        """Make the values of n records from the features of each.

        Args:
            numbers: those of the records, for an error.
        Raises:
            DataError: a label is no class.
        """
        if self.classes:
            vectors = np.zeros((len(values), self.classes), np.float32)
            for row, (value, number) in enumerate(zip(values, numbers, strict=True)):
                vectors[row, self._hot(value if self.is_list else [value], number)] = 1
            return vectors
        if self.is_list:
            return [self._array(value) for value in values]
        return self._array(values)

    def _array(self, values: Sequence[Any]) -> npt.NDArray[Any]:
        made: npt.NDArray[Any] = np.empty(len(values), self.dtype)
        made[:] = list(map(bytes, values)) if self.kind == "bytes" else values
        return made

    def _hot(self, values: Sequence[Any], number: int) -> list[int]:
        """Return the classes of the record with this number."""
        classes: list[int] = []
        for value in values:
            found: Any = value
            if self.words is not None:
                found = str(bytes(value), "utf-8", "surrogateescape")
            known = found if self.words is None else self.words.get(found, -1)
            if not 0 <= known < self.classes:
                where = f"record {number}: feature {self.feature!r}"
                raise DataError(f"{where}: found {found!r}, expected one of {self.classes} classes")
            classes.append(known)
        return classes


class FeatureReader:
    """Reads the values of some features from each record.

    Args:
        kinds: for each feature the kind of its values, and whether they are a list.
        may_be_lists: single features that could be read as lists too, for an error.
    """

    def __init__(
        self, kinds: Mapping[str, tuple[ColumnKind, bool]], may_be_lists: Collection[str] = ()
    ) -> None:
        self._kinds = dict(kinds)
        self._may_be_lists = may_be_lists
        self._needed = [name for name, (_, is_list) in kinds.items() if not is_list]
        is_plain = all(kind != "float" and not is_list for kind, is_list in kinds.values())
        self._single = SingleValues({name: name for name in kinds}) if is_plain else None

    def read(self, payload: memoryview, *, optional: str = "") -> dict[str, Any]:
        """Read the values of one record: int, float, a view of bytes, or a sequence of a list.

        Args:
            optional: a feature that may be missing; then no other is needed.
        Returns:
            The values by name; a missing list is left out.
        Raises:
            DataError: a feature is missing, or of another kind.
        """
        values = self._single.read(payload) if self._single else self._parsed(payload)
        if optional and optional not in values:
            return values
        for name in self._needed:
            if name not in values:
                raise self._not_single(name, payload)
            if isinstance(values[name], memoryview) != (self._kinds[name][0] == "bytes"):
                raise DataError(f"found feature {name!r} of another kind")
        return values

    def _not_single(self, name: str, payload: memoryview) -> DataError:
        feature = example.decode(bytes(payload)).get(name)
        if feature is None or not feature.values:
            return DataError(f"found no feature {name!r}, expected one value")
        found = f"found {len(feature.values)} values of feature {name!r}, expected one"
        return DataError(found + f": {name + LIST!r} yields lists" * (name in self._may_be_lists))

    def _parsed(self, payload: memoryview) -> dict[str, Any]:
        features = example.decode(bytes(payload))
        values: dict[str, Any] = {}
        for name, (kind, is_list) in self._kinds.items():
            feature = features.get(name)
            if feature is None or (is_list and feature.kind == "unset"):
                continue
            if feature.kind != kind:
                raise DataError(f"found feature {name!r} of another kind")
            if is_list:
                values[name] = feature.values
            elif len(feature.values) == 1:
                (value,) = feature.values
                values[name] = memoryview(value) if isinstance(value, bytes) else value
        return values


@dataclass(frozen=True, slots=True)
class Layout:
    """How the image and the fields of a record, or of a batch, are put together.

    Attributes:
        fields: label first, then weight, then others.
        as_supervised: a tuple ``(image, label, …)``; else one dictionary.
        class_names: names of the classes of the label by number; None if nothing tells them.
    """

    fields: tuple[Field, ...]
    as_supervised: bool
    class_names: tuple[str, ...] | None

    @property
    def label(self) -> Field | None:
        """The label; None if there is none."""
        return next((field for field in self.fields if field.role == "label"), None)

    @property
    def is_ragged(self) -> bool:
        """Whether a field may have different numbers of values."""
        return any(field.is_ragged for field in self.fields)

    def assemble(self, views: Sequence[Any], values: Iterable[Any]) -> Any:
        """Return what is yielded: ``(image, label)``, or ``image`` without fields, and so on.

        Args:
            views: the image of each view; several make a tuple.
        """
        image = views[0] if len(views) == 1 else tuple(views)
        named = list(zip(self.fields, values, strict=True))
        if not self.as_supervised:
            return {"image": image, **{field.name: value for field, value in named}}
        parts = [image, *(value for field, value in named if field.role != "feature")]
        further = {field.name: value for field, value in named if field.role == "feature"}
        parts += [further] * bool(further)
        return tuple(parts) if len(parts) > 1 else image

    def taken_apart(self, sample: Any) -> tuple[Any, list[Any]]:
        """Return the image and the values of fields of what `assemble` made of both."""
        if not self.as_supervised:
            return sample["image"], [sample[field.name] for field in self.fields]
        image, *parts = sample
        named = parts.pop() if self.fields[-1].role == "feature" else {}
        return image, [*parts, *named.values()]


def layout(
    options: ReadOptions, split: Split, names: Names, features: Mapping[str, Feature]
) -> Layout:
    """Decide which fields are yielded.

    Args:
        names: of the features of the records.
        features: those of the first record.
    Raises:
        UsageError: a feature is not there, or cannot be what it is asked for.
    """
    known = _columns(split, features)
    fields = []
    class_names = split.class_names(names.label)
    if names.label:
        column = _label_column(options, split, known.get(names.label))
        fields.append(_label(options, column, class_names))
        class_names = tuple(fields[0].words) if fields[0].words else class_names
    for option in ("one_hot", "multi_hot"):
        if not names.label and getattr(options, option) is not False:
            found = "found records without a label"
            raise UsageError(f"`{option}`: {found}, expected one: label=NAME")
    if options.sample_weight is not None:
        if not names.label and options.as_supervised:
            raise UsageError("`sample_weight`: found records without a label, expected one")
        weight = _find("sample_weight", options.sample_weight, known, names)
        if weight.kind == "bytes" or weight.is_list:
            expected = "a number a record"
            raise UsageError(f"`sample_weight`: found {weight}, expected {expected}")
        fields.append(
            Field(role="weight", name="sample_weight", feature=weight.name, kind=weight.kind)
        )
    for name in options.features:
        if name == SEED:
            fields.append(
                Field(role="feature", name=name, feature="", kind="int64", views=options.views)
            )
            continue
        column = _find("features", name, known, names)
        fields.append(
            Field(
                role="feature",
                name=name,
                feature=column.name,
                kind=column.kind,
                is_list=column.is_list,
            )
        )
    keys = ["image", *(field.name for field in fields)]
    if not options.as_supervised and len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise UsageError(
            f"`features`: {twice!r} is there already with as_supervised=False, expected other names"
        )
    return Layout(tuple(fields), options.as_supervised, class_names)


class Transform:
    """A function that changes images; if it has a parameter ``seed``, it gets the seed pair too.

    Attributes:
        function: called with an image, and perhaps with ``seed=(first, second)``; None changes
            nothing.
    Raises:
        UsageError: it is no function.
    """

    def __init__(self, function: Callable[..., Any] | None) -> None:
        if function is not None and not callable(function):
            raise UsageError(f"`transform`: found {function!r}, expected a function or None")
        self.function = function
        self._wants_seed = function is not None and SEED in _parameters(function)

    def __call__(self, image: Any, pair: Sequence[int]) -> Any:
        """Return what replaces an image, drawn from its seed pair."""
        if self.function is None:
            return image
        return self.function(image, seed=tuple(pair)) if self._wants_seed else self.function(image)


def _parameters(function: Callable[..., Any]) -> Iterable[str]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # a function of C without a signature
        return ()


def _columns(split: Split, features: Mapping[str, Feature]) -> dict[str, Column]:
    """Return the features of the records: by the manifest, or else as in the first record."""
    found = {
        name: Column(
            name=name,
            kind=feature.kind,
            is_list=len(feature.values) != 1,
            is_everywhere=True,
        )
        for name, feature in features.items()
        if feature.kind != "unset"
    }
    return found | {one.name: one for one in (split.manifest.columns if split.manifest else ())}


def _find(option: str, name: str, known: Mapping[str, Column], names: Names) -> Column:
    """Find a feature by its name, or by what it is in every dataset of tfrec (``key``…)."""
    literal = name.removeprefix(_LITERAL)
    as_list = literal not in known and literal.endswith(LIST)
    wanted = literal.removesuffix(LIST) if as_list else literal
    field = getattr(names, wanted, None) if literal == name else None
    stored = wanted if wanted in known else field
    if not isinstance(stored, str) or stored not in known:
        listed = ", ".join(map(str, known.values()))
        raise UsageError(f"`{option}`: found no feature {name!r}, expected one of {listed}")
    column = known[stored]
    if as_list:
        return replace(column, is_list=True)
    if not column.is_list and not column.is_everywhere:
        missing = f"`{option}`: {name!r} is missing in some records"
        if option == "sample_weight":
            raise UsageError(f"{missing}, expected a number a record")
        raise UsageError(f"{missing}: {name + LIST!r} yields lists, which may be empty")
    return column


def _label_column(options: ReadOptions, split: Split, column: Column | None) -> Column:
    """Return the column of the label: a list if that is asked for, or if it is there in part."""
    if column is None:
        raise UsageError(f"`label`: found {options.label!r} without values, expected a label")
    asks_for_list = isinstance(options.label, str) and options.label != column.name
    if asks_for_list or (split.manifest is None and options.multi_hot is not False):
        return replace(column, is_list=True)
    if not column.is_list and not column.is_everywhere:
        raise UsageError(
            f"`label`: {column.name!r} is missing in some records: {column.name + LIST!r} yields "
            "lists, which may be empty"
        )
    return column


def _label(options: ReadOptions, column: Column, names: Sequence[str] | None) -> Field:
    found = f"found {column}"
    classes, words = 0, None
    if options.one_hot is not False:
        if column.is_list or column.kind != "int64":
            raise UsageError(f"`one_hot`: {found}, expected one class number a record")
        classes = _count("one_hot", options.one_hot, names)
    if options.multi_hot is not False:
        if not column.is_list or column.kind == "float":
            ask = "" if column.kind == "float" else f": label={column.name + LIST!r} yields lists"
            raise UsageError(
                f"`multi_hot`: {found}, expected a list of class numbers or texts{ask}"
            )
        if isinstance(options.multi_hot, tuple):
            words = {text: number for number, text in enumerate(options.multi_hot)}
        if column.kind == "bytes" and words is None:
            raise UsageError("`multi_hot`: found texts, expected the list of all texts")
        if column.kind != "bytes" and words is not None:
            raise UsageError("`multi_hot`: found numbers, expected the number of classes")
        classes = len(words) if words is not None else _count("multi_hot", options.multi_hot, names)
    return Field(
        role="label",
        name="label",
        feature=column.name,
        kind=column.kind,
        is_list=column.is_list,
        classes=classes,
        words=words,
    )


def _count(option: str, value: Any, names: Sequence[str] | None) -> int:
    if value is not True:
        return int(value)
    if names is None:
        raise UsageError(f"`{option}`: found no class names, expected the number of classes")
    return len(names)
