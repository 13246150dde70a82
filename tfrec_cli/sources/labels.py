"""Labels: class names from a file, from folders or from an image list, and their numbers."""

from __future__ import annotations

import os
import re
import stat
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from tfrec_cli.dataset.names import LARGEST_LABEL, MOST_NAME_BYTES
from tfrec_cli.errors import DataError, MissingPathError, UsageError
from tfrec_cli.imaging import formats
from tfrec_cli.runtime.files import open_to_read
from tfrec_cli.runtime.paths import missing, printable
from tfrec_cli.runtime.row_store import Packed
from tfrec_cli.sources.listing import LABEL_COLUMN, Source

Level = Literal["auto", "top", "leaf", "path"]
"""Which folder of an image's path is its class; ``auto`` is the top one, if that is clear."""

NUMBER_EXPECTED = (
    f"a name, or a class number up to {LARGEST_LABEL}: name the column otherwise to keep it as a "
    "number"
)

_MOST_FILE_BYTES = 1 << 24
"""Enough for a million names of 16 letters."""

_SHOWN = 60
"""How many characters of a name are shown."""

_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NUMBERED = re.compile(r"([0-9]{1,9})(?:\s*:\s*|\s+)(\S.*)")
_ITEM = re.compile(r"\bitem\s*\{([^{}]*)\}")
_FIELD = re.compile(r"""\b(id|name|display_name)\s*:\s*(?:(\d{1,9})|"([^"]*)"|'([^']*)')""")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRule:
    """How folders and names become labels.

    Attributes:
        first: number of the first class; class numbers in an image list stay as they are.
        in_splits: the first folder of each path is a split, not a class.
        asks: refuse what is not clear.
    """

    level: Level = "auto"
    first: int = 0
    in_splits: bool = False
    asks: bool = True

    def class_of(self, path: bytes) -> bytes:
        """Return the class of an image; empty if it is in no class folder."""
        folders = path.rpartition(b"/")[0]
        if self.in_splits:
            folders = folders.partition(b"/")[2]
        if self.level == "path":
            return folders
        return folders.rpartition(b"/")[2] if self.level == "leaf" else folders.partition(b"/")[0]


USUAL_RULE = ClassRule()


def read_labels(path: Path, first: int = 0) -> tuple[str, ...]:
    """Read class names from a text file: one a line, with their numbers or without.

    Lines are numbered if each begins with a number: ``0 cat`` or ``0: cat``. A ``.pbtxt`` file is a
    label map of TensorFlow.

    Args:
        first: number of the first class, if the file has no numbers.
    Returns:
        The names by number; see `by_number`.
    Raises:
        MissingPathError: there is no such file.
        UsageError: the file cannot be read or is too large, has no names or an invalid one, names a
            class or number twice, or has numbers although ``first`` is given.
    """
    text = _read(path)
    numbered = path.suffix.lower() == ".pbtxt"
    pairs = list(_label_map(path, text) if numbered else _lines(text))
    numbered = numbered or (bool(pairs) and pairs[0][0] is not None)
    if not pairs:
        expected = "an item of a label map" if numbered else "one per line"
        raise UsageError(f"`labels` {path}: found no class names, expected {expected}")
    if numbered and first:
        raise UsageError(f"`first_label`: found numbers in {path}, expected names only")
    names: dict[int, str] = {}
    for line, (number, name) in enumerate(pairs):
        label = first + line if number is None else number
        _check_name(path, label, name)
        if label in names:
            raise UsageError(f"`labels` {path}: found number {label} twice, expected it once")
        names[label] = name
    (name, count), *_ = Counter(names.values()).most_common(1)
    if count > 1:
        raise UsageError(f"`labels` {path}: found {name!r} twice, expected it once")
    return by_number(names)


def _read(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageError(f"`labels` {path}: found a folder, pipe or device, expected a file")
        with path.open("rb") as file:
            data = file.read(_MOST_FILE_BYTES + 1)
        text = data.decode("utf-8-sig")
    except FileNotFoundError as error:
        lacking = missing(path, option="labels")
        if str(path) == path.name and not path.suffix:  # it may be meant as a word
            words = ", ".join(["none", *get_args(Level)])
            expected = f"expected {words}, or a file of class names"
            raise MissingPathError(f"{lacking.args[0]}; {expected}", path) from error
        raise lacking from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"`labels` {path}: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > _MOST_FILE_BYTES:
        raise UsageError(
            f"`labels` {path}: found a larger file, expected at most {_MOST_FILE_BYTES} bytes"
        )
    return text


def _lines(text: str) -> list[tuple[int | None, str]]:
    """Return the names of a text, each with its number if all lines have different numbers."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    parts = [_NUMBERED.fullmatch(line) for line in lines]
    numbered: list[tuple[int | None, str]] = [(int(part[1]), part[2]) for part in parts if part]
    if len(numbered) == len(lines) == len(dict(numbered)) == len({name for _, name in numbered}):
        return numbered
    return [(None, line) for line in lines]


def _label_map(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Iterate numbers and names of a label map.

    Source: TF Models, research/object_detection/protos/string_int_label_map.proto.
    """
    text = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
    for number, item in enumerate(_ITEM.findall(text)):
        found = {
            key: first or second or third for key, first, second, third in _FIELD.findall(item)
        }
        names = [found.get("name", ""), found.get("display_name", "")]
        name = next((name for name in names if name and not name.startswith("/")), names[0])
        if not name or not found.get("id", "").isdigit():
            raise UsageError(f"`labels` {path}: item {number}: found no id and name, expected both")
        yield int(found["id"]), name


def _check_name(path: Path, number: int, name: str) -> None:
    """Refuse what cannot be the name of a folder, or folders joined by slashes."""
    parts = name.split("/")
    if "\0" in name or {"", ".", ".."} & set(parts) or len(name.encode()) > MOST_NAME_BYTES:
        found = f"{name[:_SHOWN]!r}…" if len(name) > _SHOWN else repr(name)
        raise UsageError(f"`labels` {path}: found {found}, expected the name of a folder")
    if number > LARGEST_LABEL:
        expected = f"at most {LARGEST_LABEL}"
        raise UsageError(f"`labels` {path}: found number {number}, expected {expected}")


def by_number(names: Mapping[int, str]) -> tuple[str, ...]:
    """Return class names by number; a number that no class has is its own name."""
    taken = set(names.values())
    listed = []
    for number in range(max(names, default=-1) + 1):
        name = names.get(number)
        if name is None:
            name = str(number)
            while name in taken:
                name = f"({name})"
        listed.append(name)
    return tuple(listed)


def is_named(number: int, name: str) -> bool:
    """Tell whether a number has a class: without one it is its own name, as of `by_number`."""
    return name.strip("()") != str(number)


def number_classes(
    classes: Collection[str], rule: ClassRule
) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return the class names of an image list by number, and the number of each.

    Class numbers stay as they are; names are sorted by their bytes.

    Raises:
        UsageError: the first number is given, but classes are numbers.
    """
    numbers = _as_numbers(classes)
    if numbers is None:
        ordered = sorted(classes, key=str.encode)
        numbers = {name: rule.first + rank for rank, name in enumerate(ordered)}
    elif rule.first:
        raise UsageError("`first_label`: found labels that are numbers: they stay as they are")
    return by_number({number: name for name, number in numbers.items()}), numbers


def numbers_in(classes: Collection[str], names: Sequence[str]) -> dict[str, int]:
    """Return the number of each class of an image list that ``names`` has.

    These are classes by their names, unless all are class numbers, of which some are no names:
    those stay as they are.
    """
    known = {name: number for number, name in enumerate(names)}
    numbers = _as_numbers(classes)
    if numbers is None or all(name in known for name in classes):
        return {name: known[name] for name in classes if name in known}
    return {name: number for name, number in numbers.items() if number < len(names)}


def _as_numbers(classes: Collection[str]) -> dict[str, int] | None:
    """Return class numbers as integers; None if one of the classes is not such a number."""
    if not all(map(_NUMBER.fullmatch, classes)):
        return None
    numbers = {name: int(name) for name in classes}
    return numbers if max(numbers.values(), default=0) <= LARGEST_LABEL else None


def whole_numbers(classes: Collection[str]) -> dict[str, str]:
    """Return class numbers in digits for those with a point or exponent: ``1.0`` is ``1``.

    It is empty unless all classes are such numbers or class numbers.
    """
    points = [name for name in classes if not _NUMBER.fullmatch(name)]
    if any(_is_unfit(name) or not set(".eE") & set(name) for name in points):
        return {}
    return {name: str(int(float(name))) for name in points}


def unfit_classes(classes: Collection[str]) -> list[str]:
    """Return what is no class number among classes that are all numbers: fractions and others."""
    if not all(map(_DECIMAL.fullmatch, classes)):
        return []
    return list(filter(_is_unfit, classes)) or [name for name in classes if "." in name]


def _is_unfit(name: str) -> bool:
    """Tell whether a text cannot be a class number, however that is written."""
    if not _DECIMAL.fullmatch(name):
        return True
    return not 0 <= float(name) <= LARGEST_LABEL or not float(name).is_integer()


def remedy(labels_from: str, rule: ClassRule, at_once: str) -> str:
    """Return what to do about a class that another split does not name.

    Args:
        labels_from: where the class names come from, for messages.
        at_once: the option that writes all splits in one run.
    """
    if not rule.asks or not labels_from.startswith("split "):
        return ""
    return f": write all splits with one `labels` FILE of all classes, or in one run ({at_once})"


def doubts(names: Sequence[str], *, pinned: bool) -> list[str]:
    """Return warnings about class names in the order of their text, one line each."""
    warnings = []
    if len({name.casefold() for name in names}) < len(names):
        warnings.append("class names differ only in case: other file systems would merge them")
    are_numbers = not pinned and all(name.isdecimal() for name in names)
    if are_numbers and list(names) != sorted(names, key=int):
        warnings.append(
            "class names are numbers and sort as text "
            f"({', '.join(names[:3])}…): pin their order with --labels FILE"
        )
    return warnings


def found_level(paths: Iterable[bytes], names: Sequence[str], rule: ClassRule) -> Level:
    """Return which folder of the paths has most of these names; the top one of equals."""
    if rule.level != "auto":
        return rule.level
    known = set(map(os.fsencode, names))
    folders = {path.rpartition(b"/")[0] + b"/" for path in paths}
    best: tuple[int, Level] = (0, "top")
    levels: tuple[Level, ...] = ("top", "leaf", "path")
    for level in levels:
        at_level = ClassRule(level=level, in_splits=rule.in_splits)
        matching = sum(at_level.class_of(folder) in known for folder in folders)
        best = max(best, (matching, level), key=lambda pair: pair[0])
    return best[1]


def _outside(root: Path, path: bytes, rule: ClassRule) -> DataError:
    """Return the error for a file that is in no class folder."""
    head = b""
    with suppress(OSError), open_to_read(os.path.join(os.fsencode(root), path)) as file:
        head = file.read(formats.HEAD_BYTES)
    where = f"{root}/{printable(path)}: found"
    if head and formats.image_format(head) is None:
        found = f"{formats.describe(head)} next to class folders"
        return DataError(f"{where} {found}, expected only images in class folders: move it away")
    where = f"{where} an image next to class folders, expected every image"
    if rule.in_splits:
        return DataError(
            f"{where} of every split in one: images without labels need a dataset of their own, "
            "with `labels` none"
        )
    return DataError(f"{where} in one (or `labels` none)")


def label_by_folder(
    root: Path,
    sources: Packed[Source],
    labels: Sequence[str] | str,
    labels_from: str,
    rule: ClassRule,
) -> tuple[str, ...]:
    """Set the label of every source by its folders, and return the class names by number.

    Args:
        labels: as for `folder.list_folder`, but not None.
    Raises:
        DataError: an image is in no folder, or a folder is not a class of ``labels``.
    """
    used: dict[bytes, bytes] = {}
    for path in sources.paths():
        used.setdefault(rule.class_of(path), path)
    if b"" in used:
        raise _outside(root, used[b""], rule)
    classes = sorted(used)
    if isinstance(labels, str):
        names = by_number(
            {rule.first + i: name for i, name in enumerate(map(os.fsdecode, classes))}
        )
    else:
        names = tuple(labels)
    numbers = {os.fsencode(name): number for number, name in enumerate(names)}
    for name in classes:
        text = os.fsdecode(name)
        if name not in numbers:
            folder = used[name].rpartition(b"/")[0]
            if rule.level in ("auto", "top"):
                folder = b"/".join(folder.split(b"/")[: 1 + rule.in_splits])
            raise DataError(
                f"{root}/{printable(folder)}: found a class that {labels_from} does not "
                f"name, expected one of its {len(names)} classes"
                + remedy(labels_from, rule, "`split` folders")
            )
        if len(text.splitlines()) != 1:
            raise DataError(f"{root}/{ascii(text)[1:-1]}: found a class name of several lines")
    of_sources = (numbers[rule.class_of(path)] for path in sources.paths())
    sources.set_column(LABEL_COLUMN, array("q", of_sources))
    return names
