"""Options of ``tfrec write``: the one owner of their defaults, ranges and words.

Knows: names and values. Must not know: the command line, how a value is used. Imports nothing
heavy, since the command line makes its options of these fields.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from tfrec_cli.dataset.names import KeyStyle
from tfrec_cli.errors import ManifestError, UsageError
from tfrec_cli.imaging.policy import JPEG_QUALITY, MAX_PIXELS, Alpha, Encoding, Exif, Frames, Policy
from tfrec_cli.runtime import values
from tfrec_cli.tfrecord.compression import WrittenCompression

if TYPE_CHECKING:
    from tfrec_cli.dataset.manifest import Manifest

GONE = frozenset({"decoder"})
"""Options of earlier versions, on which no byte of a shard depends."""

Check = Literal["structure", "decode"]
OnError = Literal["fail", "skip"]
Small = Literal["fail", "skip", "pad", "resize"]

MAX_SHARDS = 99_999
"""What five digits in a shard's name can number."""

MAX_JOBS = 4096
"""More processes than any machine has processors for."""

_MAX_SIDE = 65_535
_MAX_INTEGER = 2**63 - 1
"""The largest integer that a manifest holds."""

_RECORDED = (
    "jpeg_quality",
    "resize_short",
    "split",
    "shuffle_seed",
    "small",
    "check",
    "exif",
    "alpha",
    "frames",
    "max_pixels",
)
"""Options that only the ``options`` of a manifest record, and that records or their order need."""


class Range(NamedTuple):
    """The least and the most that the value of an option may be, both included."""

    least: int
    most: int


Reader = Callable[[str, Any], Any]
"""Given the name of an option and a value, the plain value; or it raises UsageError."""


def _numbers(
    least: int, most: int, *, optional: bool = False, read: Reader = values.whole
) -> dict[str, Any]:
    """Describe the field of a number; of several numbers, such as height and width, each is meant.

    Args:
        optional: None is a value too, though it is not the default.
        read: how a value is read.
    """
    return {"range": Range(least, most), "optional": optional, "read": read}


def _words(words: Any) -> dict[str, Any]:
    """Describe the field of a word; ``words`` is the Literal of those that may be."""
    return {"words": get_args(words), "read": partial(values.word, words=get_args(words))}


def _read_by(read: Reader) -> dict[str, Any]:
    """Describe the field of a value that `validate` does not look at."""
    return {"read": read}


def _file_or_word(name: str, value: Any) -> str:
    """Read a word or the path of a file."""
    return os.fspath(value) if isinstance(value, os.PathLike) else values.text(name, value)


def _number_or_share(name: str, value: Any) -> str:
    """Read 10, ``"10"`` or ``"1%"``."""
    return value if isinstance(value, str) else str(values.whole(name, value))


def _names_and_shares(name: str, value: Any) -> str:
    """Read the name of a split; or several with their shares, as text or as a mapping."""
    if not isinstance(value, Mapping):
        return values.text(name, value)
    return ",".join(f"{split}={values.decimal(name, share)}" for split, share in value.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """The options of one ``tfrec write``; their names are those of the command line.

    Attributes:
        crop: (height, width) of a fixed centre crop in pixels; None stores whole images.
        encoding: of crops; None is ``raw``, or ``png`` where ``keys`` is ``tf-models``.
        jpeg_quality: of JPEG crops, 1 to 100.
        resize_short: first scale the shorter side to this, in pixels.
        labels: ``auto``, ``none``, or a file of class names.
        root: what the paths of an image list are relative to, if not to its own folder.
        shards: how many; None for as many as ``shard_size`` (bytes) asks for.
        shuffle_seed: None keeps the order of the paths.
        max_errors: with ``on_error="skip"``, the most rejects allowed: a number, or a share of
            the images such as ``"1%"``.
        jobs: number of processes; None for as many as there are processors.
    """

    crop: tuple[int, int] | None = field(
        default=None, metadata=_numbers(1, _MAX_SIDE, read=values.crop)
    )
    encoding: Encoding | None = field(default=None, metadata=_words(Encoding))
    jpeg_quality: int = field(default=JPEG_QUALITY, metadata=_numbers(1, 100))
    resize_short: int | None = field(default=None, metadata=_numbers(1, _MAX_SIDE))
    split: str = field(default="train", metadata=_read_by(_names_and_shares))
    labels: str = field(default="auto", metadata=_read_by(_file_or_word))
    root: Path | None = field(default=None, metadata=_read_by(values.path))
    keys: KeyStyle = field(default="plain", metadata=_words(KeyStyle))
    shards: int | None = field(default=None, metadata=_numbers(1, MAX_SHARDS))
    shard_size: int = field(
        default=128 * 2**20, metadata=_numbers(1, _MAX_INTEGER, read=values.size_bytes)
    )
    shuffle_seed: int | None = field(default=0, metadata=_numbers(0, _MAX_INTEGER, optional=True))
    on_error: OnError = field(default="fail", metadata=_words(OnError))
    max_errors: str | None = field(default=None, metadata=_read_by(_number_or_share))
    small: Small = field(default="fail", metadata=_words(Small))
    check: Check = field(default="structure", metadata=_words(Check))
    exif: Exif = field(default="apply", metadata=_words(Exif))
    alpha: Alpha = field(default="drop", metadata=_words(Alpha))
    frames: Frames = field(default="first", metadata=_words(Frames))
    max_pixels: int = field(default=MAX_PIXELS, metadata=_numbers(1, _MAX_INTEGER))
    compression: WrittenCompression = field(default="none", metadata=_words(WrittenCompression))
    index: bool | None = field(default=None, metadata=_read_by(values.flag))
    jobs: int | None = field(default=None, metadata=_numbers(1, MAX_JOBS))
    overwrite: bool = field(default=False, metadata=_read_by(values.flag))
    resume: bool = field(default=False, metadata=_read_by(values.flag))
    dry_run: bool = field(default=False, metadata=_read_by(values.flag))

    @classmethod
    def of(cls, **given: Any) -> WriteOptions:
        """Return options with values as a Python caller may give them: see `read`.

        Raises:
            UsageError: a value is of another type.
        """
        return cls(**{name: read(name, value) for name, value in given.items()})

    @classmethod
    def from_manifest(cls, described: Manifest) -> WriteOptions:
        """Return the options that make the records of a split, in their order, again.

        Options that change no record (how errors are counted, how many processes) have defaults.

        Raises:
            ManifestError: an option is missing, or has a value that it cannot have.
        """
        recorded: dict[str, Any] = {name: described.options.get(name) for name in _RECORDED}
        for name, value in recorded.items():
            if expected := _expected(name, value):
                raise ManifestError(f"options.{name}: found {value!r}, expected {expected}")
        return cls(
            crop=described.crop,
            encoding=None if described.stored == "whole" else described.stored,
            keys=described.keys,
            shards=len(described.shards),
            compression=described.compression,
            **recorded,
        )

    @property
    def crop_encoding(self) -> Encoding:
        """How crops are stored, if any are."""
        return self.encoding or ("png" if self.keys == "tf-models" else "raw")

    @property
    def policy(self) -> Policy:
        """What pixels are made of an image file."""
        return Policy(
            exif=self.exif,
            alpha=self.alpha,
            frames=self.frames,
            max_pixels=self.max_pixels,
            resize_short_px=self.resize_short,
        )

    @property
    def stored(self) -> Literal[Encoding, "whole"]:
        """How images are stored, as a manifest says it."""
        return self.crop_encoding if self.crop else "whole"

    def validate(self) -> None:
        """Refuse values out of range, and options that contradict each other.

        Raises:
            UsageError: it is so; names the option.
        """
        for option in fields(self):
            validate(option.name, getattr(self, option.name))
        if self.encoding and not self.crop:
            raise UsageError(
                "`encoding`: found no `crop`, expected one: whole images keep their bytes"
            )
        if self.encoding == "raw" and self.keys == "tf-models":
            raise UsageError("`encoding` raw: found `keys` tf-models, expected png or jpeg with it")
        if self.index and self.compression == "gzip":
            raise UsageError("`index`: found `compression` gzip, expected none: no offsets in GZIP")
        if self.max_errors and not re.fullmatch(r"\d+|\d+(\.\d+)?%", self.max_errors):
            raise UsageError(f"`max_errors`: found {self.max_errors!r}, expected 10 or 1%")
        if self.max_errors and self.on_error == "fail":
            raise UsageError("`max_errors`: found `on_error` fail, expected `on_error` skip")


_FIELDS = {option.name: option for option in fields(WriteOptions)}


def default_of(name: str) -> Any:
    """Return the default of an option."""
    default = _FIELDS[name].default
    assert default is not MISSING
    return default


def range_of(name: str) -> Range:
    """Return the range of an option that is a number.

    Raises:
        KeyError: there is no such option, or it is no number.
    """
    limits: Range = _FIELDS[name].metadata["range"]
    return limits


def words_of(name: str) -> tuple[str, ...]:
    """Return the words that an option may be.

    Raises:
        KeyError: there is no such option, or it is no word.
    """
    words: tuple[str, ...] = _FIELDS[name].metadata["words"]
    return words


def read(name: str, value: Any) -> Any:
    """Read the value of an option: ``"96x128"`` or a list as a crop, ``"128MiB"`` as a size…

    None is read where it stands for a value, or for the default.

    Raises:
        UsageError: a value is of another type, or no such word.
    """
    option = _FIELDS[name]
    if value is None and (option.default is None or option.metadata.get("optional")):
        return None
    reader: Reader = option.metadata["read"]
    return reader(name, value)


def validate(name: str, value: Any) -> None:
    """Refuse a value that an option of this name cannot have; None where it was not given.

    Raises:
        UsageError: it is so.
    """
    if value is None:
        return
    for part in value if isinstance(value, tuple) else (value,):
        if expected := _expected(name, part):
            spelled = repr(part) if isinstance(part, str) else part
            raise UsageError(f"`{name}`: found {spelled}, expected {expected}")


def _expected(name: str, value: Any) -> str | None:
    """Say what a value should have been; None where it is one that the option can have."""
    default, metadata = default_of(name), _FIELDS[name].metadata
    if value is None and (default is None or metadata.get("optional")):
        return None
    if "words" in metadata:
        return None if value in metadata["words"] else f"one of {', '.join(metadata['words'])}"
    if "range" in metadata:
        limits = metadata["range"]
        if type(value) is int and limits.least <= value <= limits.most:
            return None
        return f"{limits.least} to {limits.most}"
    return None if default is None or isinstance(value, type(default)) else type(default).__name__
