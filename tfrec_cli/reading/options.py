"""What a reader can be asked for: its words, ranges and defaults, checked once.

Knows: which values make sense. Must not know: datasets, any framework, threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Literal, get_args

from tfrec_cli.crops import CropMode
from tfrec_cli.errors import UsageError
from tfrec_cli.runtime import pool
from tfrec_cli.seeds import check_seed

Dtype = Literal["float32", "uint8"]
Small = Literal["fail", "skip", "pad"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """The arguments that readers share: `read_tf.dataset` says what they mean.

    The public functions repeat names, order, defaults and types, for whoever reads them.

    Raises:
        UsageError: a value is out of range, or of another type.
    """

    split: str = "train"
    crop: int | tuple[int, int] | None = None
    crop_mode: CropMode = "random"
    seed: int = 0
    epoch: int = 0
    epochs: int = 1
    batch_size: int | None = None
    shuffle: bool = False
    shard: tuple[int, int] = (0, 1)
    start: int = 0
    flip: bool = False
    brightness: float = 0.0
    dtype: Dtype = "float32"
    small: Small = "fail"
    drop_remainder: bool = False
    parallel: int | None = None

    def __post_init__(self) -> None:
        crop: object = self.crop
        if isinstance(crop, tuple) and len(crop) == 2:
            _check_least("crop", crop, 1)
        elif isinstance(crop, Integral):
            _check_least("crop", [crop], 1)
        elif crop is not None:
            raise UsageError(f"crop: found {crop!r}, expected a number or (height, width)")
        shard: object = self.shard
        if not isinstance(shard, Sequence) or len(shard) != 2:
            raise UsageError(f"shard: found {shard!r}, expected (i, n)")
        _check_least("shard", shard, 0)
        _check_least("start", [self.start], 0)
        _check_least("epochs", [self.epochs], 1)
        for name, value in (("batch_size", self.batch_size), ("parallel", self.parallel)):
            _check_least(name, [] if value is None else [value], 1)
        self._check_seed()
        if shard[0] >= shard[1]:
            raise UsageError(f"shard: found {shard}, expected (i, n) with i below n")
        if not 0 <= self.brightness <= 1:
            raise UsageError(f"brightness: found {self.brightness}, expected 0 to 1")
        self._check_words()

    def _check_seed(self) -> None:
        for name, value in (("seed", self.seed), ("epoch", self.epoch)):
            if not isinstance(value, Integral):
                raise UsageError(f"{name}: found {value!r}, expected a whole number")
        try:
            check_seed(self.seed, self.epoch)
            check_seed(self.seed, self.epoch + max(self.epochs, 1) - 1)
        except ValueError as error:
            raise UsageError(str(error)) from error

    def _check_words(self) -> None:
        for name, word, words in (
            ("crop_mode", self.crop_mode, get_args(CropMode)),
            ("dtype", self.dtype, get_args(Dtype)),
            ("small", self.small, get_args(Small)),
        ):
            if word not in words:
                raise UsageError(f"{name}: found {word!r}, expected one of {', '.join(words)}")

    @property
    def crop_size(self) -> tuple[int, int] | None:
        """The (height, width) of the crops in pixels; None keeps the stored size."""
        if self.crop is None:
            return None
        height, width = self.crop if isinstance(self.crop, tuple) else (self.crop, self.crop)
        return int(height), int(width)

    @property
    def threads(self) -> int:
        """How many batches are made at once."""
        return self.parallel or pool.available_jobs()

    def check_no_skip(self) -> None:
        """Refuse ``small="skip"`` where each record is asked for by its number.

        Raises:
            UsageError: small images would be left out.
        """
        if self.small == "skip":
            raise UsageError(
                "small: found 'skip', expected 'fail' or 'pad': records are asked for by number, "
                "so that none can be left out"
            )


def _check_least(name: str, values: Sequence[object], least: int) -> None:
    """Refuse what is no whole number, or is below ``least``."""
    for value in values:
        if not isinstance(value, Integral) or int(value) < least:
            raise UsageError(f"{name}: found {value}, expected {least} or more")
