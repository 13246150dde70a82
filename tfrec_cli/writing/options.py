"""Options of ``tfrec write``: the one owner of their defaults, ranges and choices.

Knows: names and values. Must not know: the command line, how a value is used. Imports nothing
heavy: the command line makes its options from these fields.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from tfrec_cli.dataset.division import FOLDERS
from tfrec_cli.dataset.names import LARGEST_LABEL, KeyStyle
from tfrec_cli.errors import ManifestError, UsageError
from tfrec_cli.imaging.policy import (
    JPEG_QUALITY,
    MAX_PIXELS,
    Alpha,
    Depth,
    Encoding,
    Exif,
    Frames,
    Policy,
)
from tfrec_cli.runtime import values
from tfrec_cli.sources.header import Asked
from tfrec_cli.tfrecord.compression import WrittenCompression

if TYPE_CHECKING:
    from tfrec_cli.dataset.manifest import Manifest
    from tfrec_cli.sources.labels import ClassRule

GONE = frozenset({"decoder"})
"""Options of earlier versions, on which no byte of a shard depends."""

LATER = frozenset(
    {"strip_metadata", "path_column", "label_column", "suffix", "split_by", "split_column"}
    | {"first_label", "depth"}
)
"""Options that version 0.1 does not have: a manifest has them only if they are not the default, so
that all others keep their bytes."""

Check = Literal["structure", "decode", "intact"]
OnError = Literal["fail", "skip"]
Small = Literal["fail", "skip", "pad", "resize"]

MAX_SHARDS = 99_999
"""The most shards that five digits in a name can number."""

_MAX_SIDE = 65_535
_MAX_INTEGER = 2**63 - 1
"""The largest integer that a manifest holds."""

_RECORDED = (
    "jpeg_quality",
    "depth",
    "resize_short",
    "split",
    "shuffle_seed",
    "small",
    "check",
    "exif",
    "strip_metadata",
    "alpha",
    "frames",
    "max_pixels",
    "path_column",
    "label_column",
    "suffix",
    "split_by",
    "split_column",
)
"""Options that records or their order depend on, and that only ``options`` of a manifest has."""


class Range(NamedTuple):
    """The smallest and the largest value of an option, both included."""

    least: int
    most: int


Reader = Callable[[str, Any], Any]
"""Takes the name of an option and a value; returns the plain value or raises UsageError."""


def _numbers(
    least: int, most: int, *, optional: bool = False, read: Reader = values.whole
) -> dict[str, Any]:
    """Describe the field of a number, or of several: then the range holds for each.

    Args:
        optional: None is a valid value, though it is not the default.
        read: function that reads a value.
    """
    return {"range": Range(least, most), "optional": optional, "read": read}


def _words(words: Any, read: Reader | None = None) -> dict[str, Any]:
    """Describe the field of a word, or of a number; ``words`` is the Literal of all valid ones."""
    valid = get_args(words)
    return {"words": valid, "read": read or partial(values.word, words=valid)}


def _read_by(read: Reader) -> dict[str, Any]:
    """Describe the field of a value that `validate` does not check."""
    return {"read": read}


def _text() -> dict[str, Any]:
    """Describe the field of any text; None is a valid value."""
    return {"kind": str, "read": values.text}


def _file_or_word(name: str, value: Any) -> str:
    """Read a word or the path of a file."""
    return os.fspath(value) if isinstance(value, os.PathLike) else values.text(name, value)


def _number_or_share(name: str, value: Any) -> str:
    """Read 10, ``"10"`` or ``"1%"``."""
    return value if isinstance(value, str) else str(values.whole(name, value))


def _names_and_shares(name: str, value: Any) -> str:
    """Read the name of a split, or several names with shares, as text or as a mapping."""
    if not isinstance(value, Mapping):
        return values.text(name, value)
    return ",".join(f"{split}={values.decimal(name, share)}" for split, share in value.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """The options of one ``tfrec write``; their names are those of the command line.

    Attributes:
        crop: (height, width) of a fixed centre crop in pixels; None stores whole images.
        encoding: encoding of crops; None is ``raw``, or ``png`` if ``keys`` is ``tf-models`` or
            ``depth`` is 16.
        jpeg_quality: quality of JPEG crops, 1 to 100.
        depth: bits of a sample: 16 keeps those of images that have more than 8.
        resize_short: first scale the shorter side to this number of pixels.
        split_by: column of an image list; images with one value in it are in one split.
        split_column: column of an image list; each value in it is a split.
        labels: ``auto``, ``none``, ``top``, ``leaf``, ``path``, or a file of class names.
        first_label: number of the first class.
        root: folder that the paths of an image list are relative to; None is the list's own.
        path_column: column of the paths in an image list; None takes the one with a usual name.
        label_column: column of the labels; likewise.
        suffix: text that is added to each path of an image list.
        shards: number of shards; None computes it from ``shard_size`` (bytes).
        shuffle_seed: None keeps the order of the paths.
        max_errors: with ``on_error="skip"``, the most rejects allowed: a number, or a share of
            the images such as ``"1%"``.
        jobs: number of processes; None is the number of processors.
    """

    crop: tuple[int, int] | None = field(
        default=None, metadata=_numbers(1, _MAX_SIDE, read=values.crop)
    )
    encoding: Encoding | None = field(default=None, metadata=_words(Encoding))
    jpeg_quality: int = field(default=JPEG_QUALITY, metadata=_numbers(1, 100))
    depth: Depth = field(default=8, metadata=_words(Depth, read=values.whole))
    resize_short: int | None = field(default=None, metadata=_numbers(1, _MAX_SIDE))
    split: str = field(default="train", metadata=_read_by(_names_and_shares))
    split_by: str | None = field(default=None, metadata=_text())
    split_column: str | None = field(default=None, metadata=_text())
    labels: str = field(default="auto", metadata=_read_by(_file_or_word))
    first_label: int = field(default=0, metadata=_numbers(0, LARGEST_LABEL))
    root: Path | None = field(default=None, metadata=_read_by(values.path))
    path_column: str | None = field(default=None, metadata=_text())
    label_column: str | None = field(default=None, metadata=_text())
    suffix: str | None = field(default=None, metadata=_text())
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
    strip_metadata: bool = field(default=False, metadata=_read_by(values.flag))
    alpha: Alpha = field(default="drop", metadata=_words(Alpha))
    frames: Frames = field(default="first", metadata=_words(Frames))
    max_pixels: int = field(default=MAX_PIXELS, metadata=_numbers(1, _MAX_INTEGER))
    compression: WrittenCompression = field(default="none", metadata=_words(WrittenCompression))
    index: bool | None = field(default=None, metadata=_read_by(values.flag))
    jobs: int | None = field(default=None, metadata=_numbers(1, values.MAX_JOBS))
    overwrite: bool = field(default=False, metadata=_read_by(values.flag))
    resume: bool = field(default=False, metadata=_read_by(values.flag))
    dry_run: bool = field(default=False, metadata=_read_by(values.flag))

    @classmethod
    def of(cls, **given: Any) -> WriteOptions:
        """Return options from the values that a Python caller may give: see `read`.

        Raises:
            UsageError: a value has a wrong type, or is not the default and has no effect.
        """
        made = cls(**{name: read(name, value) for name, value in given.items()})
        made.check_effect([name for name in given if getattr(made, name) != default_of(name)])
        return made

    @classmethod
    def from_manifest(cls, described: Manifest) -> WriteOptions:
        """Return the options that make the records of a split again, in the same order.

        Options that change no record, such as ``jobs`` and ``on_error``, have their defaults.

        Raises:
            ManifestError: an option is missing or has an invalid value.
        """
        defaults = {name: default_of(name) for name in LATER}
        stored = {**defaults, **described.options}
        recorded: dict[str, Any] = {name: stored.get(name) for name in _RECORDED}
        for name, value in recorded.items():
            if expected := _expected(name, value):
                raise ManifestError(f"options.{name}: found {value!r}, expected {expected}")
        return cls(
            crop=described.crop,
            encoding=None if described.stored == "whole" else described.stored,
            keys=described.keys,
            shards=len(described.shards),
            compression=described.compression,
            labels=str(described.options.get("labels", default_of("labels"))),
            **recorded,
        )

    @property
    def asked(self) -> Asked:
        """What is said about an image list."""
        return Asked(
            path_column=self.path_column,
            label_column=self.label_column,
            split_column=self.split_column,
            suffix=self.suffix,
        )

    @property
    def is_by_folder(self) -> bool:
        """Whether each folder of the source becomes a split."""
        return self.split == FOLDERS

    @property
    def is_named_in_source(self) -> bool:
        """Whether the source says which split each image is in: by a folder or a column."""
        return self.is_by_folder or self.split_column is not None

    @property
    def class_rule(self) -> ClassRule:
        """How folders and names become labels."""
        from tfrec_cli.sources.labels import ClassRule, Level

        level: Any = self.labels if self.labels in get_args(Level) else "auto"
        return ClassRule(level=level, first=self.first_label, in_splits=self.is_by_folder)

    @property
    def crop_encoding(self) -> Encoding:
        """The encoding of crops, if crops are stored."""
        return self.encoding or ("png" if self.keys == "tf-models" or self.depth > 8 else "raw")

    @property
    def policy(self) -> Policy:
        """How pixels are made from an image file."""
        return Policy(
            exif=self.exif,
            alpha=self.alpha,
            frames=self.frames,
            max_pixels=self.max_pixels,
            resize_short_px=self.resize_short,
            depth=self.depth,
        )

    @property
    def stored(self) -> Literal[Encoding, "whole"]:
        """How images are stored: the manifest's field ``stored``."""
        return self.crop_encoding if self.crop else "whole"

    @property
    def idle(self) -> dict[str, str]:
        """The options that have no effect together with the others, each with the reason."""
        found: dict[str, str] = {}
        if self.crop is None:
            found["small"] = "needs `crop`: whole images may have any size"
        else:
            found["strip_metadata"] = "cannot be used with `crop`: crops have no metadata"
        if self.stored != "jpeg":
            found["jpeg_quality"] = "needs `crop` with `encoding` jpeg"
        if self.shards is not None:
            found["shard_size"] = "cannot be used with `shards`"
        return found

    def check_effect(self, given: Collection[str]) -> None:
        """Refuse options without effect, unless a write is resumed, whose options are repeated.

        Args:
            given: the options that are meant for this write; others serve many.
        Raises:
            UsageError: one of them has no effect.
        """
        for name, reason in self.idle.items():
            if name in given and not self.resume:
                raise UsageError(f"`{name}`: {reason}")

    def validate(self) -> None:
        """Refuse values out of range, and options that contradict each other.

        Raises:
            UsageError: names the option.
        """
        for option in fields(self):
            validate(option.name, getattr(self, option.name))
        if self.encoding and not self.crop:
            raise UsageError("`encoding`: needs `crop`: whole images keep their bytes")
        if self.encoding == "raw" and self.keys == "tf-models":
            raise UsageError("`encoding` raw: `keys` tf-models needs png or jpeg")
        if self.encoding not in (None, "png") and self.depth > 8:
            raise UsageError(f"`encoding` {self.encoding}: `depth` 16 needs png")
        if self.index and self.compression == "gzip":
            raise UsageError("`index`: GZIP shards cannot have index files")
        if self.max_errors and not re.fullmatch(r"\d+|\d+(\.\d+)?%", self.max_errors):
            expected = "expected a number, or a share such as 1%"
            raise UsageError(f"`max_errors`: found {self.max_errors!r}, {expected}")
        if self.label_column is not None and self.labels == "none":
            raise UsageError("`label_column`: cannot be used with `labels` none")
        if self.first_label and self.labels == "none":
            raise UsageError("`first_label`: cannot be used with `labels` none")
        if self.split_column is not None and self.split != default_of("split"):
            raise UsageError("`split_column`: cannot be used with `split`: the column names splits")
        self._check_columns()
        if self.split_by is not None and "," not in self.split:
            raise UsageError("`split_by`: needs several splits, such as `split` train=0.8,val=0.2")
        if self.max_errors and self.on_error == "fail":
            raise UsageError("`max_errors`: needs `on_error` skip")

    def _check_columns(self) -> None:
        """Refuse two meanings of one column."""
        given: dict[str, str] = {}
        for name in ("path_column", "label_column", "split_column"):
            column = getattr(self, name)
            if column in given:
                raise UsageError(
                    f"`{name}`: found the column of `{given[column]}`, expected another"
                )
            given |= {column: name} if column is not None else {}


_FIELDS = {option.name: option for option in fields(WriteOptions)}


def default_of(name: str) -> Any:
    """Return the default of an option."""
    default = _FIELDS[name].default
    assert default is not MISSING
    return default


def range_of(name: str) -> Range:
    """Return the range of an option that is a number.

    Raises:
        KeyError: there is no such option, or it is not a number.
    """
    limits: Range = _FIELDS[name].metadata["range"]
    return limits


def words_of(name: str) -> tuple[Any, ...]:
    """Return the valid words or numbers of an option.

    Raises:
        KeyError: there is no such option, or it is not a word.
    """
    words: tuple[Any, ...] = _FIELDS[name].metadata["words"]
    return words


def read(name: str, value: Any) -> Any:
    """Read the value of an option: ``"96x128"`` or a list as a crop, ``"128MiB"`` as a size…

    None is accepted if it is a value or the default.

    Raises:
        UsageError: the value has a wrong type, or is an unknown word.
    """
    option = _FIELDS[name]
    if value is None and (option.default is None or option.metadata.get("optional")):
        return None
    reader: Reader = option.metadata["read"]
    return reader(name, value)


def validate(name: str, value: Any) -> None:
    """Refuse an invalid value of the option of this name; None is an option that is not given.

    Raises:
        UsageError: the value is invalid.
    """
    if value is None:
        return
    for part in value if isinstance(value, tuple) else (value,):
        if expected := _expected(name, part):
            spelled = repr(part) if isinstance(part, str) else part
            raise UsageError(f"`{name}`: found {spelled}, expected {expected}")


def _expected(name: str, value: Any) -> str | None:
    """Return what is expected if a value is invalid, else None."""
    default, metadata = default_of(name), _FIELDS[name].metadata
    if value is None and (default is None or metadata.get("optional")):
        return None
    if "words" in metadata:
        is_valid = type(value) is type(metadata["words"][0]) and value in metadata["words"]
        return None if is_valid else f"one of {', '.join(map(str, metadata['words']))}"
    if "range" in metadata:
        limits = metadata["range"]
        if type(value) is int and limits.least <= value <= limits.most:
            return None
        return f"{limits.least} to {limits.most}"
    kind = metadata.get("kind", object if default is None else type(default))
    return None if isinstance(value, kind) else kind.__name__
