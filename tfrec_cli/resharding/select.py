"""Which records are copied: those whose features have certain values, and the first ones of these.

Knows: the text ``label=cat,dog``, class names, kinds of features. Must not know: files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tfrec_cli.dataset import records
from tfrec_cli.dataset.manifest import Manifest
from tfrec_cli.dataset.records import BYTES_FIELDS, CERTAIN_FIELDS
from tfrec_cli.errors import UsageError
from tfrec_cli.runtime import values
from tfrec_cli.runtime.paths import printable

_INTEGER = re.compile(r"-?[0-9]{1,19}")
_SHOWN = 5
_LABEL = "label"


class Condition(NamedTuple):
    """A feature, and the values of which a record must have one.

    Attributes:
        values: for each value the word that asks for it.
        text: the condition as it was given, printable.
    """

    feature: str
    values: Mapping[int | bytes, str]
    text: str


def met_by(condition: Condition, value: int | memoryview | None) -> str | None:
    """Return the word of a condition that a record's value meets, or None.

    Args:
        value: None is a feature that the record does not have.
    """
    plain = bytes(value) if isinstance(value, memoryview) else value
    return None if plain is None else condition.values.get(plain)


def warnings(where: Sequence[str], unmet: Sequence[Iterable[str]]) -> list[str]:
    """Return a line for each condition with words that no record meets; ``unmet`` has these."""
    lines = []
    for pair in zip(where, unmet, strict=True):
        text, *words = (printable(os.fsencode(one)) for one in (pair[0], *sorted(pair[1])))
        lines += [f"--where {text}: no record has {', '.join(words)}"] if words else []
    return lines


def read(where: object) -> tuple[str, ...]:
    """Read the conditions that a caller gives: texts, or values by feature.

    Raises:
        UsageError: they are neither.
    """
    if isinstance(where, Mapping):
        return tuple(f"{name}={_joined(value)}" for name, value in where.items())
    if isinstance(where, str) or not isinstance(where, Iterable):
        where = [] if where is None else [where]
    return tuple(values.text("where", text) for text in where)


def _joined(value: object) -> str:
    several = isinstance(value, Iterable) and not isinstance(value, (str, bytes))
    parts: Iterable[object] = value if several else [value]  # type: ignore[assignment]
    return ",".join(
        part if isinstance(part, str) else str(values.whole("where", part)) for part in parts
    )


def conditions(where: Sequence[str], described: Manifest | None) -> tuple[Condition, ...]:
    """Return what conditions mean for the records of a split; of other programs without a manifest.

    Raises:
        UsageError: a condition is not ``FEATURE=VALUE,…``, names a feature twice, or one that there
            is not, or a value that it cannot have.
    """
    found: dict[str, Condition] = {}
    for text in where:
        name, _, listed = text.partition("=")
        if not name or not listed:
            raise UsageError(f"`where`: found {text!r}, expected FEATURE=VALUE, such as label=cat")
        words = listed.split(",")
        shown = printable(os.fsencode(text))
        if described is None:
            condition = Condition(name, _any_kind(words), shown)
        else:
            condition = _of_ours(name, words, described, shown)
        if condition.feature in found:
            raise UsageError(
                f"`where` {shown}: found two conditions on {name}, expected one: "
                f"{name}=A,B selects records with either"
            )
        found[condition.feature] = condition
    return tuple(found.values())


def spelled(wanted: Sequence[Condition], limit: int | None) -> tuple[str, ...]:
    """Return the texts that say what was selected."""
    return (*(condition.text for condition in wanted), *([f"limit={limit}"] if limit else ()))


def _any_kind(words: Sequence[str]) -> dict[int | bytes, str]:
    """Return values of a feature whose kind is not known yet: numbers also as text."""
    numbers: dict[int | bytes, str] = {
        int(word): word for word in words if _INTEGER.fullmatch(word)
    }
    return {**numbers, **{os.fsencode(word): word for word in words}}


def _of_ours(name: str, words: Sequence[str], described: Manifest, shown: str) -> Condition:
    names = records.NAMES[described.keys]
    if name in (_LABEL, names.label):
        numbers: dict[int | bytes, str] = {
            _class_number(word, described, shown): word for word in words
        }
        return Condition(str(names.label), numbers, shown)
    fields = sorted(CERTAIN_FIELDS - {"image"})
    kinds = {field: "bytes" if field in BYTES_FIELDS else "int64" for field in fields}
    features = {field: str(getattr(names, field)) for field in fields}
    for column in described.columns:
        kinds[column.name] = column.kind + "[]" * column.is_list
        features[column.name] = column.name
    if name not in kinds:
        known = ", ".join([*[_LABEL] * (described.labels is not None), *kinds])
        raise UsageError(f"`where` {shown}: found no feature {name}, expected one of {known}")
    if kinds[name] == "bytes":
        return Condition(features[name], {os.fsencode(word): word for word in words}, shown)
    if kinds[name] != "int64":
        raise UsageError(
            f"`where` {shown}: found a feature of type {kinds[name]}, expected one integer or text"
        )
    for word in words:
        if not _INTEGER.fullmatch(word):
            raise UsageError(f"`where` {shown}: found {word!r}, expected an integer")
    numbered: dict[int | bytes, str] = {int(word): word for word in words}
    return Condition(features[name], numbered, shown)


def _class_number(word: str, described: Manifest, shown: str) -> int:
    """Return the number of a class: by its name, or else the number itself."""
    labels = described.labels
    if labels is None:
        raise UsageError(f"`where` {shown}: found a dataset without labels")
    if word in labels:
        return labels.index(word)
    is_number = _INTEGER.fullmatch(word) is not None
    if is_number and 0 <= int(word) < len(labels):
        return int(word)
    import difflib

    if word.lstrip("=") in labels:
        raise UsageError(
            f"`where` {shown}: found no class {word!r}: did you mean `where` "
            f"{shown.replace('==', '=')}?"
        )
    close = [] if is_number else difflib.get_close_matches(word, labels, n=1)
    some = ", ".join(map(printable, map(os.fsencode, labels[:_SHOWN])))
    some += "…" if len(labels) > _SHOWN else ""
    hint = f"did you mean {close[0]!r}?" if close else f"expected 0 to {len(labels) - 1}: {some}"
    raise UsageError(f"`where` {shown}: found no class {word!r}: {hint}")
