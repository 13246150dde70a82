"""Options of the readers: their choices, ranges and defaults, checked once.

Knows: which values are valid. Must not know: datasets, any framework, threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from types import EllipsisType
from typing import Any, Literal, cast, get_args

from tfrec_cli.crops import CropMode
from tfrec_cli.dataset.names import LARGEST_LABEL
from tfrec_cli.dataset.names import Missing as Missing
from tfrec_cli.errors import UsageError
from tfrec_cli.runtime import pool, values
from tfrec_cli.seeds import EPOCH_LIMIT, read_epoch, read_seed

Channels = Literal[1, 3]
Dtype = Literal["float32", "uint8", "uint16"]
Small = Literal["fail", "skip", "pad"]
Shuffle = bool | Literal["blocks"]
Even = Literal["drop", "repeat"]
Mix = Sequence[tuple[Any, float]]
"""Datasets, each as ``path`` gives one, and their weights."""

_LARGEST_WEIGHT = 1e18
Label = str | EllipsisType | None
Features = Sequence[str]
Hot = bool | int | Sequence[str]

_MOST_VIEWS = 100
"""Views of a record. More are a mistake, such as the size of a crop: a batch holds all views."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """The arguments that readers share; `read_tf.dataset` documents them.

    The public functions repeat names, order, defaults and types, as documentation. Values are
    converted to plain Python objects: NumPy's 8 becomes 8, a list becomes a tuple.

    Raises:
        UsageError: a value is out of range, or has the wrong type.
    """

    mix: Mix | None = None
    split: str = "train"
    image: str | None = None
    label: Label = ...
    features: Features = ()
    sample_weight: str | None = None
    as_supervised: bool = True
    one_hot: bool | int = False
    multi_hot: Hot = False
    crop: int | Sequence[int] | None = None
    crop_mode: CropMode = "random"
    seed: int = 0
    order_seed: int | None = None
    epoch: int = 0
    epochs: int | None = 1
    batch_size: int | None = None
    shuffle: Shuffle = False
    shard: Sequence[int] = (0, 1)
    even: Even | None = None
    start: int = 0
    flip: bool = False
    brightness: float = 0.0
    views: int = 1
    dtype: Dtype = "float32"
    channels: Channels = 3
    small: Small = "fail"
    missing: Missing = "fail"
    drop_remainder: bool = False
    parallel: int | None = None

    def __post_init__(self) -> None:
        for name, read in _READ.items():
            value = getattr(self, name)
            if value is not None or name not in _OPTIONAL:
                object.__setattr__(self, name, read(name, value))
        read_epoch("epoch", self.epoch + self.epoch_count - 1)
        if self.one_hot is not False and self.multi_hot is not False:
            raise UsageError("`one_hot`: found `multi_hot` too, expected one of them")
        if self.sample_weight is not None and self.features and self.as_supervised:
            raise UsageError(
                "`sample_weight`: found `features` too, expected one of them or as_supervised=False"
            )

    @property
    def crop_size(self) -> tuple[int, int] | None:
        """The (height, width) of the crops in pixels; None keeps the stored size."""
        return cast("tuple[int, int] | None", self.crop)

    @property
    def mixed(self) -> tuple[tuple[Any, Fraction], ...]:
        """The datasets that are mixed, and their weights."""
        return cast("tuple[tuple[Any, Fraction], ...]", self.mix or ())

    @property
    def drawn_order_seed(self) -> int:
        """The seed from which the order of the records is drawn."""
        return self.seed if self.order_seed is None else self.order_seed

    @property
    def host(self) -> tuple[int, int]:
        """The number of this host, and the number of all hosts."""
        return cast("tuple[int, int]", self.shard)

    @property
    def epoch_count(self) -> int:
        """Number of epochs; without end, all from ``epoch`` to the last that has a number."""
        return EPOCH_LIMIT - self.epoch if self.epochs is None else self.epochs

    @property
    def threads(self) -> int:
        """Number of batches that are made at once."""
        return self.parallel or pool.available_jobs()

    @property
    def shown_epochs(self) -> str:
        """The epochs that are read, in words."""
        if self.epochs is None:
            return f"epochs from {self.epoch} on"
        last = self.epoch + self.epochs - 1
        return f"epoch {self.epoch}" if self.epochs == 1 else f"epochs {self.epoch} to {last}"

    def check_no_skip(self) -> None:
        """Refuse to skip records if they are read by number.

        Raises:
            UsageError: ``small`` or ``missing`` is ``skip``.
        """
        for name, others in (("small", "'fail' or 'pad'"), ("missing", "'fail'")):
            if getattr(self, name) == "skip":
                raise UsageError(
                    f"`{name}`: found 'skip', expected {others}: records are read by number, "
                    "so that none can be skipped"
                )


def _crop(name: str, value: Any) -> tuple[int, int]:
    if isinstance(value, str):
        raise UsageError(
            f"`{name}`: found {value!r}, expected a number of pixels or (height, width)"
        )
    return values.crop(name, value)


def _channels(name: str, value: Any) -> int:
    number = values.whole(name, value)
    if number not in get_args(Channels):
        raise UsageError(f"`{name}`: found {number}, expected 1 (grey) or 3 (RGB)")
    return number


def _mix(name: str, value: Any) -> tuple[tuple[Any, Fraction], ...]:
    expected = f"`{name}`: found {value!r}, expected a list of (path, weight)"
    if isinstance(value, (str, bytes, Set, Mapping)) or not isinstance(value, Iterable):
        raise UsageError(expected)
    mixed = []
    for one in value:
        if not isinstance(one, (tuple, list)) or len(one) != 2:
            raise UsageError(expected)
        if not values.number(name, one[1], 0, _LARGEST_WEIGHT):
            raise UsageError(f"`{name}`: found the weight {one[1]!r}, expected more than 0")
        mixed.append((one[0], Fraction(values.decimal(name, one[1]))))
    if not mixed:
        raise UsageError(expected)
    return tuple(mixed)


def _shuffle(name: str, value: Any) -> bool | str:
    is_flag = not isinstance(value, str)
    return values.flag(name, value) if is_flag else values.word(name, value, ("blocks",))


def _label(name: str, value: Any) -> object:
    return value if value is ... else values.text(name, value)


def _features(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, (str, bytes, Set, Mapping)) or not isinstance(value, Iterable):
        raise UsageError(f"`{name}`: found {value!r}, expected a list of names")
    names = tuple(values.text(name, one) for one in value)
    if twice := next((one for one in names if names.count(one) > 1), None):
        raise UsageError(f"`{name}`: found {twice!r} twice, expected it once")
    return names


def _one_hot(name: str, value: Any) -> bool | int:
    is_flag = isinstance(value, bool)
    return value if is_flag else values.whole(name, value, 1, LARGEST_LABEL + 1)


def _multi_hot(name: str, value: Any) -> bool | int | tuple[str, ...]:
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        texts = _features(name, value)
        if not texts:
            raise UsageError(f"`{name}`: found an empty list, expected all texts")
        return texts
    return _one_hot(name, value)


_READ: dict[str, Callable[[str, Any], object]] = {
    "mix": _mix,
    "split": values.text,
    "image": values.text,
    "label": _label,
    "features": _features,
    "sample_weight": values.text,
    "as_supervised": values.flag,
    "one_hot": _one_hot,
    "multi_hot": _multi_hot,
    "crop": _crop,
    "crop_mode": partial(values.word, words=get_args(CropMode)),
    "seed": read_seed,
    "order_seed": read_seed,
    "epoch": read_epoch,
    "epochs": partial(values.whole, least=1),
    "batch_size": partial(values.whole, least=1),
    "shuffle": _shuffle,
    "shard": values.host,
    "even": partial(values.word, words=get_args(Even)),
    "start": partial(values.whole, least=0),
    "flip": values.flag,
    "brightness": partial(values.number, least=0, most=1),
    "views": partial(values.whole, least=1, most=_MOST_VIEWS),
    "dtype": partial(values.word, words=get_args(Dtype)),
    "channels": _channels,
    "small": partial(values.word, words=get_args(Small)),
    "missing": partial(values.word, words=get_args(Missing)),
    "drop_remainder": values.flag,
    "parallel": partial(values.whole, least=1),
}
"""How the value of each option is read."""

_OPTIONAL = {
    *("mix", "image", "label", "sample_weight", "crop", "order_seed", "epochs", "batch_size"),
    *("even", "parallel"),
}
"""Options that may be None."""
