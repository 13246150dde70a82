"""The header of an image list: what separates its cells, which columns hold paths and labels.

Knows: names that people give to such columns. Must not know: rows, files.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tfrec_cli.sources.cells import RowError, is_image_name, shown

PATH, LABEL = "path", "label"
"""The usual names of the columns with a special meaning."""

NO_LABELS = "no column of labels"
"""Why the images of a list have no labels, in few words."""

_PATHS = (
    *(PATH, "filename", "file_name", "filepath", "file_path", "file", "fname"),
    *("image", "image_path", "image_name", "image_file", "imagepath", "imagename"),
    *("img", "img_path", "img_name"),
)
_LABELS = (LABEL, "class", "target", "label_name", "class_name", "category")

_SPLITS = ("split", "datasplit", "set", "dataset", "subset", "partition", "fold", "phase", "usage")

_DELIMITERS = {".csv": ",;\t", ".tsv": "\t,;"}
"""What may separate cells, by the ending of the file; the usual one first."""

SPACES = " \t"
"""What is left out around a cell."""

_NUMBERS_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What options say about an image list.

    Attributes:
        path_column: name of the column of paths; None takes the one with a usual name.
        label_column: name of the column of labels; likewise.
        split_column: name of the column of splits; None takes none.
        suffix: text that is added to each path.
    """

    path_column: str | None = None
    label_column: str | None = None
    split_column: str | None = None
    suffix: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """The names of the columns with a special meaning; there may be no column of labels."""

    path: str = PATH
    label: str = LABEL

    def note(self) -> list[str]:
        """Return what is worth saying: columns with other names than the usual ones."""
        named = ((PATH, self.path), (LABEL, self.label))
        return [f"{usual}: column {name}" for usual, name in named if name != usual]


def roles(
    names: Sequence[str], asked: Asked, features: Collection[str], *, has_labels: bool
) -> Roles | None:
    """Find the columns of paths and labels among the names of all columns.

    Args:
        features: names that are columns of values in another split.
        has_labels: whether labels are read; else a column such as ``class`` is one of values.
    Returns:
        The roles; None if there is no column of paths.
    Raises:
        RowError: several columns may be meant, one column is both, or an option names none.
    """
    path = _find(names, asked.path_column, _PATHS, "paths", "path_column")
    others = [name for name in names if name not in features and name != path]
    label = None
    if has_labels:
        label = _find(others, asked.label_column, _LABELS, "labels", "label_column")
    return None if path is None else Roles(path=path, label=label or LABEL)


def may_be_label(name: str) -> bool:
    """Tell whether people give a column of labels this name."""
    return name.casefold() in _LABELS


def may_be_split(name: str) -> bool:
    """Tell whether people give a column of splits this name."""
    return re.sub(r"[ _-]", "", name.casefold()) in _SPLITS


def delimiter(line: str, suffix: str, asked: Asked) -> str:
    """Return what separates the cells of a file, by its first line.

    It is the first delimiter with which there is a column of paths; if there is none, the one that
    gives the most columns.
    """
    wanted = (asked.path_column,) if asked.path_column else _PATHS
    split = {one: cells_of(line, one) for one in _DELIMITERS[suffix]}
    for one, names in split.items():
        if any(name in wanted or name.casefold() in wanted for name in names):
            return one
    return max(split, key=lambda one: len(split[one]))


def usual_delimiter(suffix: str) -> str:
    """Return what separates cells in most files of an ending."""
    return _DELIMITERS[suffix][0]


def cells_of(line: str, separator: str) -> list[str]:
    """Return the cells of one line; a cell that goes on in the next line is cut."""
    lines = line.splitlines()[:1]
    cells = next(csv.reader(lines, delimiter=separator, skipinitialspace=True), [])
    return [cell.strip(SPACES) for cell in cells]


def no_paths(names: Sequence[str]) -> str:
    """Return the message for a header without a column of paths."""
    if any(map(is_image_name, names)):
        return f"found no names of columns, expected them in this line, such as {PATH},{LABEL}"
    found = ", ".join(map(shown, names[:_NUMBERS_SHOWN]))
    return f"found columns {found}, expected {PATH!r} among them: `path_column` names another one"


def _find(
    names: Sequence[str], wanted: str | None, usual: Sequence[str], what: str, option: str
) -> str | None:
    """Find the column that an option or its name makes one of paths or labels."""
    if wanted is not None:
        if wanted not in names:
            found = ", ".join(map(shown, names[:_NUMBERS_SHOWN])) or "none"
            raise RowError(f"found columns {found}, expected {wanted!r} of `{option}` among them")
        return wanted
    alike = [name for name in names if name.casefold() in usual]
    first = [name for name in alike if name.casefold() == usual[0]]
    if usual[0] in names or len(first or alike) == 1:
        return usual[0] if usual[0] in names else (first or alike)[0]
    if alike:
        found = " and ".join(map(shown, first or alike))
        raise RowError(f"found columns {found}, expected one of {what}: `{option}` names it")
    return None
