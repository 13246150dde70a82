"""Sources: the root of a folder or image list, and the listing of its images."""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from tfrec_cli.dataset.names import KeyStyle
from tfrec_cli.dataset.records import Column
from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.errors import RunError, TableError, UnreadableError, UsageError
from tfrec_cli.imaging.formats import EXTENSIONS
from tfrec_cli.runtime.files import open_to_read, raise_if_exhausted
from tfrec_cli.runtime.paths import missing, printable
from tfrec_cli.sources.cells import RowError, shown
from tfrec_cli.sources.columns import (
    TypedColumn,
    are_relative,
    check_boxes,
    convert,
    has_single_boxes,
    infer_all,
    missing_sides,
    no_column,
)
from tfrec_cli.sources.folder import list_folder
from tfrec_cli.sources.header import LABEL, Asked
from tfrec_cli.sources.labels import (
    NUMBER_EXPECTED,
    USUAL_RULE,
    ClassRule,
    doubts,
    number_classes,
    numbers_in,
    remedy,
    unfit_classes,
    whole_numbers,
)
from tfrec_cli.sources.listing import NO_LABEL, Found, Listing, Source, packed, unseen
from tfrec_cli.sources.table import BAD_LINE, SAVE_AS_CSV, SUFFIXES, Row, Table, dump_json

_USUAL = Asked()
_Wanted = tuple[Sequence[str] | str | None, str, ClassRule]
"""What `list_source` takes as ``labels``, ``labels_from`` and ``rule``."""

_MOST_TRIED = 1000
"""So many folders are tried as the root of a list whose images are not found."""

_SUFFIXES = (
    "",
    *(one for names in EXTENSIONS.values() for name in names for one in (name, name.upper())),
)
"""What the paths of such a list may lack at their end."""

_WORKBOOKS = (".xlsx", ".xls", ".ods")


def root_of(source: Path, root: Path | None = None, *, option: str | None = None) -> Path:
    """Return the folder that contains the images of a folder or image list.

    Args:
        root: folder that the paths of an image list are relative to; None is the list's own.
        option: name of the option that gave ``source``; messages begin with it.
    Raises:
        MissingPathError: ``source`` or ``root`` does not exist.
        UsageError: ``source`` is neither a folder nor an image list, ``root`` is not a folder, or
            it is given although ``source`` is a folder.
    """
    if source.is_dir():
        if root:
            raise UsageError(f"`root`: needs an image list, but {source} is a folder")
        return source
    for path, given_by in ((source, option), (root, "root")):
        if path and not path.exists():
            raise missing(path, option=given_by)
    if not source.is_file() or source.suffix.lower() not in SUFFIXES:
        expected = "a folder of images or a .csv, .tsv or .jsonl file"
        where = f"`{option}` {source}" if option else source
        if source.suffix.lower() in _WORKBOOKS:
            raise UsageError(f"{where}: found a workbook, expected {expected}: {SAVE_AS_CSV}")
        raise UsageError(f"{where}: found a file, expected {expected}")
    if root and not root.is_dir():
        raise UsageError(f"`root` {root}: found a file, expected the folder of the images")
    return root or source.parent


def root_hint(source: Path, root: Path | None) -> str:
    """Return a hint for images of an image list that are not found; "" for a folder."""
    return "" if root or source.is_dir() else " (--root sets the folder that contains its paths)"


def check_some_exist(source: Path, root: Path | None, listing: Listing, asked: Asked) -> None:
    """Refuse an image list none of whose files can be read; name options that find some of them.

    Args:
        asked: as for `list_source`.
    Raises:
        UnreadableError: that is so.
    """
    rejects = [reject for reject in listing.rejects if reject.reason != BAD_LINE]
    if listing.sources or any(reject.reason != "unreadable" for reject in rejects):
        return
    folder = root_of(source, root)
    first, several = printable(rejects[0].path), len(rejects) > 1
    found = f"none of its {len(rejects)} images, such as {first}," if several else f"no {first}"
    hint = "`root` names the folder that contains its paths"
    paths = [reject.path for reject in rejects]
    if best := folder_with(folder, paths, ("",) if asked.suffix else _SUFFIXES):
        other, suffix, count = best
        options = [f"`root` {other}"] * (other != folder) + [f"`suffix` {suffix}"] * bool(suffix)
        had = f"{count} of them" if count < len(rejects) else "them" if several else "it"
        hint = f"{' with '.join(options)} {'finds' if suffix else 'has'} {had}"
    raise UnreadableError(f"{source}: found {found} in {folder}: {hint}", [*map(str, rejects)])


def folder_with(
    folder: Path, paths: Sequence[bytes], suffixes: Sequence[str] = ("",)
) -> tuple[Path, str, int] | None:
    """Find the folder, this one or one in it or above it, that has most of some files.

    Args:
        suffixes: what may stand after each path.
    Returns:
        The folder, the suffix, and how many files it has; None if no folder has the first.
    """
    counts = {
        (other, suffix): _count_in(other, paths, suffix)
        for other in (folder, *_near(folder))
        for suffix in suffixes
    }
    other, suffix = best = max(counts, key=counts.__getitem__)
    return (other, suffix, counts[best]) if counts[best] else None


def _near(folder: Path) -> Iterator[Path]:
    """Iterate the folders in a folder and above it; of many only the first."""
    with suppress(OSError), os.scandir(folder) as entries:
        yield from (Path(entry.path) for entry in islice(entries, _MOST_TRIED))
    yield from islice(folder.absolute().parents, 3)


def _count_in(folder: Path, paths: Sequence[bytes], suffix: str) -> int:
    """Count the files, with a suffix, that are in a folder; 0 if the first is not there."""
    places = (os.path.join(os.fsencode(folder), path + suffix.encode()) for path in paths)
    if not os.path.lexists(next(places, b"")):
        return 0
    return 1 + sum(map(os.path.lexists, places))


def list_source(
    source: Path,
    *,
    root: Path | None = None,
    labels: Sequence[str] | str | None = "auto",
    labels_from: str = "`labels`",
    keys: KeyStyle = "plain",
    columns: Sequence[Column] = (),
    asked: Asked = _USUAL,
    rule: ClassRule = USUAL_RULE,
    found: Found = bool,
    skips: bool = False,
) -> Listing:
    """List the images of a folder, as `folder.list_folder` does, or of an image list.

    Labels of an image list come only from its column of labels, not from folders.

    Args:
        root: folder that the paths of an image list are relative to; None is the list's own.
        labels: as for `folder.list_folder`; ``auto`` takes the names in the column ``label``.
        keys: ``tf-models`` gives features the names of the Object Detection API.
        columns: columns of another split; columns of the same name must have the same types.
        asked: what options say about an image list.
        rule: how folders and names become labels.
        found: see `Found`.
        skips: whether bad lines of an image list become rejects.
    Raises:
        UsageError: as for `root_of` and `folder.list_folder`, a column has a reserved name,
            or options are given that a folder does not have, or an image list.
        TableError: the image list is wrong; names every bad line.
        DataError, RunError: as for `folder.list_folder`.
    """
    folder = root_of(source, root)
    if source.is_dir():
        for option, name in asdict(asked).items():
            if name is not None:
                raise UsageError(f"`{option}`: needs an image list, but {source} is a folder")
        return list_folder(source, labels=labels, labels_from=labels_from, rule=rule, found=found)
    if rule.in_splits or rule.level != "auto":
        option = "`split` folders" if rule.in_splits else f"`labels` {rule.level}"
        raise UsageError(f"{option}: needs a folder of images, but {source} is an image list")
    table = Table(
        source, folder, keys, columns, has_labels=labels is not None, asked=asked, skips=skips
    )
    _read(table, found)
    return _listing(table, folder, (labels, labels_from, rule))


def splits_in(source: Path, root: Path | None, keys: KeyStyle, asked: Asked) -> list[str]:
    """Return the values in the column of splits of an image list, sorted by their bytes.

    Bad lines are passed over: `list_source` refuses them.

    Raises:
        UsageError: it is no image list, or has no such column, or a row has no value there.
        TableError, RunError: as for `list_source`.
    """
    folder, name = root_of(source, root), str(asked.split_column)
    if source.is_dir():
        raise UsageError(f"`split_column`: needs an image list, but {source} is a folder")
    table = Table(source, folder, keys, (), has_labels=False, asked=asked, skips=True)
    _read(table, unseen)
    column = table.columns.get(name)
    if column is None:
        raise no_column([*table.columns], name, "split_column")
    if column.rows < len(table.rows):
        raise UsageError(
            f"`split_column`: found rows without a value in column {name!r}, expected one value in "
            "every row"
        )
    values = {str(row.cells()[column.number]) for row in table.rows}
    return sorted(values, key=str.encode)


def _read(table: Table, found: Found) -> None:
    """Read all rows of an image list.

    Raises:
        UsageError, TableError: as for `Table.read`, or it is no file.
        RunError: it cannot be read.
    """
    try:
        with open_to_read(os.fsencode(table.path)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UsageError(f"{table.path}: found a pipe or device, expected a file")
            table.read(file, found)
    except OSError as error:
        raise RunError(f"{table.path}: cannot be read: {error.strerror or error}") from error


def _listing(table: Table, root: Path, wanted: _Wanted) -> Listing:
    """Make the listing of an image list from the files that exist.

    Raises:
        TableError: a path is listed twice, a value does not fit its column, or a class is not
            in ``labels``; it names files that cannot be read too.
    """
    rows, errors = table.rows, table.errors
    notes = [*table.notes(), *table.take_index()]
    columns, warnings = infer_all(table.columns.values(), len(rows))
    has_rules = are_relative([column for _, column in columns])
    if has_rules and (missing := missing_sides([column for _, column in columns])):
        sides = ", ".join(missing)
        raise TableError(f"{table.path}: found boxes without {sides}, expected all four sides")
    names, numbers, read_as = _number_classes(table, *wanted)
    notes += read_as
    if names is not None:
        warnings += doubts(names, pinned=wanted[0] != "auto")
    is_boxed = has_single_boxes(table.columns)
    sources, rejects, lines = packed(), [], array("q")
    previous: Row | None = None
    for index in sorted(range(len(rows)), key=rows.path):
        row = rows[index]
        if row.line in errors.lines:
            continue
        if previous and row.path == previous.path:
            expected = f"it only in line {previous.line}"
            if is_boxed:
                expected = "one row for each image: its boxes as JSON lists, such as [0.1, 0.5]"
            found = f"found {printable(row.path)} again, expected {expected}"
            errors.add(row.line, found, can_skip=False)
            continue
        previous = row
        try:
            features = _features(row, columns, has_rules=has_rules)
        except RowError as error:
            errors.add(row.line, str(error), kind=error.kind)
            continue
        item = _source(root, row.path, numbers.get(row.class_number), features)
        if isinstance(item, Reject):
            rejects.append(item)
            lines.append(row.line)
        else:
            sources.append(item)
    if errors.are_fatal:
        for line, reject in zip(lines, rejects, strict=True):
            errors.add(line, str(reject), kind=reject.reason)
    errors.check(is_empty=not sources and not rejects)
    return Listing(
        sources=sources,
        labels=names,
        rejects=(*rejects, *errors.rejects()),
        warnings=(*notes, *warnings),
        columns=tuple(column for _, column in columns),
    )


def _number_classes(
    table: Table, labels: Sequence[str] | str | None, labels_from: str, rule: ClassRule
) -> tuple[tuple[str, ...] | None, dict[int, int], list[str]]:
    """Return the class names by label, the label of each class number of ``table``, and notes."""
    classes = table.classes
    is_pinned = labels is not None and not isinstance(labels, str)
    if not classes and is_pinned:
        expected = f"one with classes of {labels_from}"
        hint = ": `label_column` names it"
        raise TableError(f"{table.path}: found no column {LABEL!r}, expected {expected}{hint}")
    if not classes:
        return None, {}, []
    wrong = {NO_LABEL: "none, expected one in every row, or in no row"}
    are_names = labels is not None and all(name in labels for name in classes)
    whole = {} if is_pinned and are_names else whole_numbers(classes)
    read_as = {name: whole.get(name, name) for name in classes}
    notes = [f"column {table.roles.label}: {one} is read as {whole[one]}" for one in whole][:1]
    unfit: Sequence[str] = ()
    if isinstance(labels, str):
        names, numbers = number_classes(set(read_as.values()), rule)
        unfit = () if whole or not rule.asks else unfit_classes(classes)
        wrong |= {classes[name]: f"{shown(name)}, expected {NUMBER_EXPECTED}" for name in unfit}
    else:
        names = tuple(labels or ())
        numbers = numbers_in(set(read_as.values()), names)
        expected = f"one of the {len(names)} classes of {labels_from}"
        expected += remedy(labels_from, rule, "`split_column` NAME")
        unknown = [name for name in classes if read_as[name] not in numbers]
        wrong |= {classes[name]: f"{shown(name)}, expected {expected}" for name in unknown}
    certain = {classes[name] for name in unfit}
    for line, number in zip(table.rows.column(0), table.rows.column(1), strict=True):
        if number in wrong:
            found = f"label: found {wrong[number]}"
            kind = "" if number == NO_LABEL else "label"
            table.errors.add(line, found, can_skip=number not in certain, kind=kind)
    known = {name: numbers[read_as[name]] for name in classes if read_as[name] in numbers}
    return names, {classes[name]: number for name, number in known.items()}, notes


def _features(row: Row, columns: Sequence[TypedColumn], *, has_rules: bool) -> bytes:
    """Make the features of a source from its row, in the format of `records.further`.

    Args:
        has_rules: whether the columns hold boxes that must keep the rules.
    Raises:
        RowError: a value is too large, or a box is invalid.
    """
    if not columns:
        return b""
    features = convert(row.cells(), columns)
    if has_rules:
        check_boxes(features)
    return dump_json([*features.values()]).encode()


def _source(root: Path, path: bytes, label: int | None, features: bytes) -> Source | Reject:
    """Make a source or reject of the file that a row names."""
    try:
        status = os.stat(os.path.join(os.fsencode(root), path))
    except OSError as error:
        raise_if_exhausted(error)
        if isinstance(error, FileNotFoundError):
            return Reject(path, "unreadable", "found no such file, expected an image")
        return Reject(path, "unreadable", f"cannot be read: {error.strerror}")
    if not stat.S_ISREG(status.st_mode):
        found = "found a folder, pipe, socket or device, expected a file"
        return Reject(path, "not_a_regular_file", found)
    return Source(path, status.st_size, label, status.st_mtime_ns, features)
