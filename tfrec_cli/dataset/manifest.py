"""The manifest of a split: its fields, and how it is read, checked and written.

Knows: its JSON; no other module does. Must not know: how shards are made.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import reprlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NoReturn

from tfrec_cli.dataset import division, origins
from tfrec_cli.dataset.division import Division
from tfrec_cli.dataset.names import MANIFEST_SUFFIX, MOST_NAME_BYTES, KeyStyle
from tfrec_cli.dataset.origins import Origin
from tfrec_cli.dataset.records import OURS, Column
from tfrec_cli.errors import ManifestError
from tfrec_cli.runtime.files import open_to_read
from tfrec_cli.tfrecord.compression import WrittenCompression

if TYPE_CHECKING:
    from msgspec import Meta

    from tfrec_cli.dataset.schema import Count, Counts, Digest, FileName, Label, Size, Values

FORMAT = "tfrec-manifest"
FORMAT_VERSION = 2
"""Version 1 had no ``division``, and its readers refuse unknown fields."""

_MOST_BYTES = 1 << 26
"""The largest manifest that is read: one with 99,999 shards has 45 MB."""

_MOST_VALUES = 1 << 21
"""The most values in a manifest: each takes far more memory than its text."""

_MOST_LEVELS = 100
"""The most levels of nested lists and objects: copying more exceeds Python's recursion limit."""

_SHORT = reprlib.Repr()
"""Shortens values of any length and depth for messages."""
_SHORT.maxstring = _SHORT.maxlong = 60

Stored = Literal["whole", "raw", "png", "jpeg"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One shard of a split."""

    name: Annotated[FileName, Meta(description="File name.")]
    records: Annotated[Count, Meta(description="Number of records.")]
    size_bytes: Annotated[Count, Meta(description="Size of the file.")]
    sha256: Annotated[Digest, Meta(description="SHA-256 of the file.")]
    index: Annotated[
        FileName | None, Meta(description="Name of the index file; null if there is none.")
    ]
    index_sha256: Annotated[Digest | None, Meta(description="SHA-256 of the index file.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """The file with the labels of all records of a split."""

    name: Annotated[FileName, Meta(description="File name.")]
    sha256: Annotated[Digest, Meta(description="SHA-256 of the file.")]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything that is known about one written split.

    Attributes:
        unknown: fields of the file that this version does not know; they are kept.
    """

    split: Annotated[FileName, Meta(description="Name of the split.")]
    division: Annotated[
        Division | None,
        Meta(
            description="How the images were divided among several splits; null if they were not "
            "divided."
        ),
    ]
    stored: Annotated[
        Stored, Meta(description="How images are stored: whole, or the encoding of crops.")
    ]
    keys: Annotated[KeyStyle, Meta(description="Style of the feature names.")]
    crop: Annotated[
        Size, Meta(description="[height, width] of stored crops in pixels; null for whole images.")
    ]
    labels: Annotated[
        tuple[Label, ...] | None,
        Meta(
            description="Class names, in the order of their numbers; null without labels.",
            extra={"expected": "a list of names or null"},
        ),
    ]
    records: Annotated[Count, Meta(description="Number of records.")]
    smallest: Annotated[
        Size, Meta(description="Smallest height and smallest width of the stored images in pixels.")
    ]
    compression: Annotated[WrittenCompression, Meta(description="Compression of the shards.")]
    shards: Annotated[
        tuple[Shard, ...],
        Meta(
            description="The shards in order.",
            min_length=1,
            extra={"expected": "at least one shard"},
        ),
    ]
    content_sha256: Annotated[
        Digest,
        Meta(
            description="Digest of all records; it does not depend on their order or on the shards."
        ),
    ]
    plan_sha256: Annotated[
        Digest,
        Meta(
            description="Digest of the names, sizes, labels and columns of the images, in the "
            "order of their records."
        ),
    ]
    rejects_file: Annotated[
        FileName, Meta(description="Name of the list of files that were left out.")
    ]
    rejects_sha256: Annotated[
        Digest, Meta(description="SHA-256 of the file that `rejects_file` names.")
    ]
    changes: Annotated[Counts, Meta(description="Number of images that were converted, by cause.")]
    icc_profiles: Annotated[Count, Meta(description="Number of images with a colour profile.")]
    rejects: Annotated[Counts, Meta(description="Number of files that were left out, by reason.")]
    ignored: Annotated[
        Counts, Meta(description="Number of files that are clearly not meant as images, by reason.")
    ]
    options: Annotated[Values, Meta(description="Options of the command that can change bytes.")]
    versions: Annotated[
        Values, Meta(description="Versions of tfrec and of the packages that encode images.")
    ]
    columns: Annotated[
        tuple[Column, ...],
        Meta(
            description="Additional features from an image list; the field is left out if there "
            "are none.",
            min_length=1,
            extra={"expected": "at least one column, or no such field"},
        ),
    ] = ()
    origins: Annotated[
        tuple[Origin, ...],
        Meta(
            description="The splits that the records of a subset or a merged split were copied "
            "from, in order; the field is left out for all others.",
            min_length=1,
            extra={"expected": "at least one split, or no such field"},
        ),
    ] = ()
    targets: Annotated[
        Targets | None,
        Meta(
            description="The file with the labels of all records, in order; the field is left out "
            "if there is none."
        ),
    ] = None
    unknown: Mapping[str, Any] = field(default_factory=dict)

    _file: ClassVar[bytes | None] = None
    """The bytes that it was read from; None after `dataclasses.replace`."""

    @property
    def depth(self) -> int:
        """Bits of a sample of its crops; of whole images the most."""
        return 16 if self.options.get("depth") == 16 else 8

    def document(self) -> dict[str, Any]:
        """Return all fields as in the JSON document of a command."""
        values = asdict(self)
        for later in ("origins", "targets"):  # other datasets keep their bytes and documents
            if not values[later]:
                del values[later]
        return {**values.pop("unknown"), **values}


_KNOWN = {known.name for known in fields(Manifest)} - {"unknown"}
_OF_SPLIT = frozenset(
    {"split", "division", "labels", "records", "smallest", "shards", "content_sha256"}
    | {"plan_sha256", "rejects_file", "rejects_sha256", "changes", "icc_profiles", "rejects"}
    | {"ignored", "options", "versions", "columns", "origins", "targets"}
)
"""Fields in which the splits of a dataset differ."""

_IN_VERSION_1 = _KNOWN - {"division", "origins", "targets"}


def contract(made: Manifest) -> dict[str, Any]:
    """Return the fields that are the same in all splits of a dataset, apart from class names.

    The columns are texts: whether every record has them may differ. The depth is one of the
    options.
    """
    own = {name: getattr(made, name) for name in sorted(_KNOWN - _OF_SPLIT)}
    depth = {"depth": made.depth}
    return {**own, **made.unknown, **depth, "columns": ", ".join(map(str, made.columns))}


def dump(manifest: Manifest) -> bytes:
    """Serialise a manifest.

    Returns:
        The file's own bytes for one that was read, else bytes that depend only on its fields.
    """
    if manifest._file is not None:
        return manifest._file
    values = manifest.document()
    if not manifest.columns:  # a later field: datasets without columns keep their bytes
        del values["columns"]
    return as_json({"format": FORMAT, "format_version": FORMAT_VERSION, **values})


def is_manifest(path: bytes) -> bool:
    """Tell whether a file is a manifest, perhaps a damaged one; it may be something else."""
    try:
        with open_to_read(path) as file:
            return FORMAT.encode() in file.read(_MOST_BYTES)
    except OSError:
        return False


def is_as_dumped(data: bytes) -> bool:
    """Tell whether the bytes of a manifest have the order and spacing that `dump` writes."""
    return as_json(json.loads(data)) == data


def load(path: Path) -> Manifest:
    """Read and check one manifest.

    Raises:
        ManifestError: not JSON, another version, a field that is missing or has a wrong value, a
            file name that is a path.
        OSError: the file cannot be read.
    """
    return parse(read(path), path)


def read(path: Path) -> bytes:
    """Read the bytes of one manifest.

    Raises:
        ManifestError: the file has more than 64 MiB.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ManifestError(f"{path}: found a larger file, expected at most {_MOST_BYTES} bytes")
    return data


def parse(data: bytes, path: Path) -> Manifest:
    """Check the bytes of one manifest; ``path`` is for messages.

    Raises:
        ManifestError: as for `load`.
    """
    if sum(map(data.count, (b",", b":", b"[", b"{"))) > _MOST_VALUES:
        raise ManifestError(f"{path}: found more values, expected at most {_MOST_VALUES}")
    try:
        values = json.loads(
            data, object_pairs_hook=_fields, parse_constant=_refuse, parse_float=_finite
        )
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{path}: {error}, expected JSON") from error
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise ManifestError(f"{path}: found no field 'format', expected {FORMAT!r}")
    version = values.pop("format_version", None)
    if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
        raise ManifestError(
            f"{path}: format_version: found {_SHORT.repr(version)}, expected 1 to "
            f"{FORMAT_VERSION}: written by another version of tfrec"
        )
    from tfrec_cli.dataset import schema

    known = {key: value for key, value in values.items() if key in _KNOWN}
    unknown = {key: value for key, value in values.items() if key not in _KNOWN}
    if version == 1:
        known = {**known, "division": division.of_options(values.get("options"))}
    try:
        made = schema.convert({**known, "unknown": unknown}, Manifest)
    except schema.Mismatch as error:
        raise ManifestError(f"{path}: {_problem(*error.args)}") from error
    except UnicodeEncodeError as error:  # a lone surrogate in a word or a field's name
        found = repr(error.object)
        where = next(key for key, value in values.items() if found in repr(value))
        raise ManifestError(f"{path}: {where}: found {found}, expected text") from error
    for problem in itertools.chain(
        _not_in_version_1(values) if version == 1 else (), _problems(made)
    ):
        raise ManifestError(f"{path}: {problem}")
    if _is_deep(values):
        raise ManifestError(f"{path}: found deeper nesting, expected at most {_MOST_LEVELS} levels")
    if path.name != made.split + MANIFEST_SUFFIX:
        raise ManifestError(
            f"{path}: split: found {made.split!r}, expected the split in the file's name"
        )
    object.__setattr__(made, "_file", data)
    return made


def find(folder: Path) -> dict[str, Path]:
    """Find the manifests in a folder: split name to path, sorted by name."""
    found = {
        path.name.removesuffix(MANIFEST_SUFFIX): path
        for path in folder.glob(f"*{MANIFEST_SUFFIX}")
        if path.name[0] != "." and path.is_file()
    }
    return dict(sorted(found.items()))


def as_json(values: Any) -> bytes:
    """Serialise values in the style of all JSON files of a dataset."""
    return (json.dumps(values, indent=2, sort_keys=True) + "\n").encode()


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a JSON object; refuse two fields of one name, since parsers differ in which they take.

    Raises:
        ValueError: a field stands there twice.
    """
    values = dict(pairs)
    if len(values) < len(pairs):
        repeated, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"found field {_SHORT.repr(repeated)} twice")
    return values


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"found {constant}")


def _is_deep(value: Any) -> bool:
    """Tell whether lists and objects are nested more than `_MOST_LEVELS` deep."""
    level: list[Any] = [value]
    for _ in range(_MOST_LEVELS):
        level = [
            inner
            for outer in level
            if isinstance(outer, (list, dict))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return bool(level)


def _not_in_version_1(values: Mapping[str, Any]) -> Iterator[str]:
    """Iterate problems with fields that version 1 does not have; it allows no others."""
    objects = [("", values, _IN_VERSION_1)]
    for name, kind in (("shards", Shard), ("columns", Column)):
        known = {field.name for field in fields(kind)}
        objects += [(f"{name}[{i}].", part, known) for i, part in enumerate(values.get(name, ()))]
    for where, part, known in objects:
        for key in part.keys() - known:
            name = key if re.fullmatch(r"\w{1,60}", key, re.ASCII) else _SHORT.repr(key)
            yield _problem(where + name, part[key], "no field of this name")


def _problems_of_files(made: Manifest) -> Iterator[str]:
    """Iterate the problems of the names and digests of files."""
    named = {"split": made.split, "rejects_file": made.rejects_file}
    if made.targets:
        named["targets.name"] = made.targets.name
        if made.labels is None:
            yield _problem("targets", made.targets.name, "no such field without labels")
    for number, shard in enumerate(made.shards):
        where = f"shards[{number}]."
        named |= {f"{where}name": shard.name, f"{where}index": shard.index or ""}
        if (shard.index is None) != (shard.index_sha256 is None):
            expected = "null as index is" if shard.index is None else "64 hexadecimal digits"
            yield _problem(f"{where}index_sha256", shard.index_sha256, expected)
    for where, name in named.items():
        if len(name.encode()) > MOST_NAME_BYTES:
            yield _problem(where, name, f"at most {MOST_NAME_BYTES} bytes")


def _problems(made: Manifest) -> Iterator[str]:
    """Iterate the problems of a manifest that its types do not exclude."""
    yield from _problems_of_files(made)
    files = [name for shard in made.shards for name in (shard.name, shard.index)]
    for where, listed in (("shards", files), ("labels", made.labels or ())):
        for name, count in Counter(filter(None, listed)).most_common(1):
            if count > 1:
                yield f"{where}: found {name!r} twice, expected it once"
    for number, column in enumerate(made.columns):
        feature = column.name
        if not feature.isprintable() or len(feature.encode()) > MOST_NAME_BYTES or feature in OURS:
            expected = f"the name of an additional feature, at most {MOST_NAME_BYTES} bytes"
            yield _problem(f"columns[{number}].name", feature, expected)
    features = [column.name for column in made.columns]
    if features != sorted(set(features), key=str.encode):
        yield _problem("columns", features, "each name once, sorted")
    yield from origins.problems(made.origins, made.records)
    if made.division and (problem := made.division.problem()):
        yield _problem("division", str(made.division), problem)


def _problem(where: str, found: Any, expected: str) -> str:
    return f"{where}: found {_SHORT.repr(found)}, expected {expected}"
