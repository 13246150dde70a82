"""What lies beside the shards: manifests, checksums, and the files that TFDS reads.

Knows: JSON on disk, as the only place with JSON keys. Must not know: how shards are made.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import reprlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from tfrec_cli.dataset.names import MANIFEST_SUFFIX, MOST_NAME_BYTES, KeyStyle
from tfrec_cli.dataset.records import OURS, Column, ColumnKind
from tfrec_cli.errors import ManifestError
from tfrec_cli.tfrecord.compression import WrittenCompression

FORMAT = "tfrec-manifest"
FORMAT_VERSION = 1

_MOST_BYTES = 1 << 26
"""The largest manifest read: with 99,999 shards one has 45 MB."""

_MOST_VALUES = 1 << 21
"""The most values in one, since each takes far more memory than its text."""

_SHORT = reprlib.Repr()
"""Shows what a manifest holds, of any length and depth."""
_SHORT.maxstring = _SHORT.maxlong = 60

Stored = Literal["whole", "raw", "png", "jpeg"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One shard of a split, by its file name; ``index`` is the name of its index file or None."""

    name: str
    records: int
    size_bytes: int
    sha256: str
    index: str | None
    index_sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything that is known of one written split.

    Attributes:
        stored: ``whole`` images, or crops as ``raw`` rows, ``png`` or ``jpeg``.
        crop: [height, width] of stored crops in pixels.
        labels: class names by number.
        smallest: the least height and the least width of any stored image, in pixels.
        content_sha256: digest of the records, whatever their order and shards
            (see `records.content_digest`).
        changes: how many images were normalised, by cause: rotated, converted, scaled…
        icc_profiles: how many images carry a colour profile.
        rejects: how many sources were not written though they should have been, by reason.
        ignored: how many files nobody would call an image, by reason.
        options: of the command, but those that cannot change a byte.
        columns: further features, sorted by name; on disk only where there are any.
    """

    split: str
    stored: Stored
    keys: KeyStyle
    crop: tuple[int, int] | None
    labels: tuple[str, ...] | None
    records: int
    smallest: tuple[int, int] | None
    compression: WrittenCompression
    shards: tuple[Shard, ...]
    content_sha256: str
    plan_sha256: str
    rejects_file: str
    rejects_sha256: str
    changes: Mapping[str, int]
    icc_profiles: int
    rejects: Mapping[str, int]
    ignored: Mapping[str, int]
    options: Mapping[str, Any]
    versions: Mapping[str, str]
    columns: tuple[Column, ...] = ()


def dump(manifest: Manifest) -> bytes:
    """Serialise a manifest; the same manifest gives the same bytes."""
    values = asdict(manifest)
    if not manifest.columns:  # as it was before there were any
        del values["columns"]
    return as_json({"format": FORMAT, "format_version": FORMAT_VERSION, **values})


def load(path: Path) -> Manifest:
    """Read and check one manifest.

    Raises:
        ManifestError: no JSON, a newer version, a field is missing or of the wrong type, a file
            name that is a path.
        OSError: the file cannot be read.
    """
    return parse(read(path), path)


def read(path: Path) -> bytes:
    """Read the bytes of one manifest, if there are not too many.

    Raises:
        ManifestError: more than 64 MiB.
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
        values = json.loads(data, object_pairs_hook=_fields, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{path}: {error}, expected JSON") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise ManifestError(f"{path}: found no field 'format', expected {FORMAT!r}")
    version = values.get("format_version")
    if type(version) is not int or version != FORMAT_VERSION:
        raise ManifestError(
            f"{path}: format_version: found {_SHORT.repr(version)}, expected {FORMAT_VERSION}: "
            "written by another version of tfrec"
        )
    manifest = _Checker(path, values).manifest()
    if path.name != manifest.split + MANIFEST_SUFFIX:
        raise ManifestError(f"{path}: split: found {manifest.split!r}, expected that of its name")
    return manifest


def find(folder: Path) -> dict[str, Path]:
    """Find the manifests in a folder: split name to path, sorted."""
    found = {
        path.name.removesuffix(MANIFEST_SUFFIX): path
        for path in folder.glob(f"*{MANIFEST_SUFFIX}")
        if path.name[0] != "." and path.is_file()
    }
    return dict(sorted(found.items()))


def sealed(values: Any) -> bytes:
    """Serialise notes of our own so that `unsealed` can tell whether they are whole."""
    data = json.dumps(values).encode()
    return hashlib.sha256(data).hexdigest().encode() + b"\n" + data


def unsealed(path: Path) -> Any:
    """Read what `sealed` serialised; None where there is no such file, or not all of it."""
    if not path.is_file():
        return None
    seal, _, data = path.read_bytes().partition(b"\n")
    if seal != hashlib.sha256(data).hexdigest().encode():
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def as_json(values: Any) -> bytes:
    """Serialise as every JSON file beside the shards is."""
    return (json.dumps(values, indent=2, sort_keys=True) + "\n").encode()


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a JSON object, in which readers may take either of two fields of one name."""
    values = dict(pairs)
    if len(values) < len(pairs):
        again, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"found field {_SHORT.repr(again)} twice")
    return values


def _refuse(constant: str) -> None:
    raise ValueError(f"found {constant}")


def _is_name(value: Any) -> bool:
    """Tell whether a value is text that stands for bytes of a file name."""
    try:
        return isinstance(value, str) and bool(os.fsencode(value))
    except UnicodeEncodeError:
        return False


class _Checker:
    """Takes fields out of a parsed manifest, each of the type it must have."""

    def __init__(self, path: Path, values: Mapping[str, Any], where: str = "") -> None:
        self._path = path
        self._values = values
        self._where = where

    def manifest(self) -> Manifest:
        self._only(Manifest, "format", "format_version")
        shards = self._take("shards", list)
        if not shards:
            raise self._wrong("shards", "at least one")
        made = Manifest(
            split=self._name("split"),
            stored=self._choice("stored", get_args(Stored)),
            keys=self._choice("keys", get_args(KeyStyle)),
            crop=self._pair("crop"),
            labels=self._strings("labels"),
            records=self._count("records"),
            smallest=self._pair("smallest"),
            compression=self._choice("compression", get_args(WrittenCompression)),
            shards=tuple(
                _Checker(
                    self._path, shard if isinstance(shard, dict) else {}, f"shards[{i}]."
                )._shard()
                for i, shard in enumerate(shards)
            ),
            content_sha256=self._sha256("content_sha256"),
            plan_sha256=self._sha256("plan_sha256"),
            rejects_file=self._name("rejects_file"),
            rejects_sha256=self._sha256("rejects_sha256"),
            changes=self._counts("changes"),
            icc_profiles=self._count("icc_profiles"),
            rejects=self._counts("rejects"),
            ignored=self._counts("ignored"),
            options=self._plain("options"),
            versions=self._plain("versions"),
            columns=self._columns(),
        )
        self._check_once("shards", [name for one in made.shards for name in (one.name, one.index)])
        self._check_once("labels", made.labels or ())
        return made

    def _check_once(self, key: str, names: Iterable[str | None]) -> None:
        for name, count in Counter(filter(None, names)).most_common(1):
            if count > 1:
                raise ManifestError(f"{self._path}: {key}: found {name!r} twice, expected it once")

    def _shard(self) -> Shard:
        self._only(Shard)
        if "index" not in self._values:
            raise self._wrong("index", "a file name or null")
        indexed = self._values["index"] is not None
        return Shard(
            name=self._name("name"),
            records=self._count("records"),
            size_bytes=self._count("size_bytes"),
            sha256=self._sha256("sha256"),
            index=self._name("index") if indexed else None,
            index_sha256=self._sha256("index_sha256") if indexed else None,
        )

    def _columns(self) -> tuple[Column, ...]:
        if "columns" not in self._values:
            return ()
        found: list[Any] = self._take("columns", list)
        if not found or not all(isinstance(one, dict) for one in found):
            raise self._wrong("columns", "some, or no such field")
        columns = tuple(
            _Checker(self._path, one, f"columns[{i}].")._column() for i, one in enumerate(found)
        )
        names = [column.name for column in columns]
        if names != sorted(set(names), key=str.encode):
            raise self._wrong("columns", "each name once, and sorted")
        return columns

    def _column(self) -> Column:
        self._only(Column)
        name: str = self._take("name", str)
        if not name.isprintable() or len(name.encode()) > MOST_NAME_BYTES or name in OURS:
            raise self._wrong("name", f"the name of a further feature, of {MOST_NAME_BYTES} bytes")
        return Column(
            name=name,
            kind=self._choice("kind", get_args(ColumnKind)),
            is_list=self._flag("is_list"),
            is_everywhere=self._flag("is_everywhere"),
        )

    def _wrong(self, key: str, expected: str) -> ManifestError:
        found = _SHORT.repr(self._values.get(key, "nothing"))
        name = key if re.fullmatch(r"\w{1,60}", key, re.ASCII) else _SHORT.repr(key)
        return ManifestError(
            f"{self._path}: {self._where}{name}: found {found}, expected {expected}"
        )

    def _only(self, kind: type, *more: str) -> None:
        known = {field.name for field in fields(kind)} | set(more)
        for key in self._values:
            if key not in known:
                raise self._wrong(key, "no field of this name")

    def _take(self, key: str, kind: type) -> Any:
        value = self._values.get(key)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self._wrong(key, kind.__name__)
        return value

    def _count(self, key: str) -> int:
        value: int = self._take(key, int)
        if not 0 <= value < 2**63:
            raise self._wrong(key, "a count")
        return value

    def _name(self, key: str) -> str:
        value: str = self._take(key, str)
        if not re.fullmatch(r"[^/\\\x00-\x1f\x7f\ud800-\udfff]+", value) or value.startswith("."):
            raise self._wrong(key, "a file name without a folder")
        if len(value.encode()) > MOST_NAME_BYTES:
            raise self._wrong(key, f"at most {MOST_NAME_BYTES} bytes")
        return value

    def _sha256(self, key: str) -> str:
        value: str = self._take(key, str)
        if not re.fullmatch(r"[0-9a-f]{64}", value):
            raise self._wrong(key, "64 hexadecimal digits")
        return value

    def _flag(self, key: str) -> bool:
        value = self._values.get(key)
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false")
        return value

    def _choice(self, key: str, choices: tuple[str, ...]) -> Any:
        if self._values.get(key) not in choices:
            raise self._wrong(key, "one of " + ", ".join(choices))
        return self._values[key]

    def _pair(self, key: str) -> tuple[int, int] | None:
        value = self._values.get(key)
        if value is None and key in self._values:
            return None
        if (
            not isinstance(value, list)
            or len(value) != 2
            or not all(type(side) is int and 0 < side < 2**31 for side in value)
        ):
            raise self._wrong(key, "[height, width] or null")
        return value[0], value[1]

    def _strings(self, key: str) -> tuple[str, ...] | None:
        value = self._values.get(key)
        if value is None and key in self._values:
            return None
        if not isinstance(value, list) or not all(map(_is_name, value)):
            raise self._wrong(key, "a list of names or null")
        return tuple(value)

    def _counts(self, key: str) -> dict[str, int]:
        value: dict[str, int] = self._take(key, dict)
        if not all(type(count) is int and 0 <= count < 2**63 for count in value.values()):
            raise self._wrong(key, "counts by name")
        return value

    def _plain(self, key: str) -> dict[str, Any]:
        """Take values of options: single ones, or lists of single ones."""
        values: dict[str, Any] = self._take(key, dict)
        for value in values.values():
            for one in value if isinstance(value, list) else (value,):
                is_plain = one is None or isinstance(one, (str, float, bool))
                if not is_plain and not (type(one) is int and -(2**63) <= one < 2**63):
                    raise self._wrong(key, "values by name")
        return values
