"""Types of the fields of manifests with their limits, which msgspec checks.

Knows: msgspec. Must not know: any field. Loaded only when something is read: importing msgspec
takes as long as writing some images. Until then annotations that name these types are plain text.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
from msgspec import Meta

_Kind = TypeVar("_Kind")


def _as(expected: str, **limits: Any) -> Meta:
    """Limit a value; messages say what is ``expected``."""
    return Meta(**limits, extra={"expected": expected})


Count = Annotated[int, _as("a count", ge=0, le=2**63 - 1)]
Counts = Annotated[Mapping[str, Count], _as("counts by name")]
Digest = Annotated[str, _as("64 hexadecimal digits", pattern="^[0-9a-f]{64}$", max_length=64)]
FileName = Annotated[
    str,
    _as(
        "a file name without a folder",
        pattern=r"^(?!\.)[^/\\\x00-\x1f\x7f\ud800-\udfff]+$(?!\n)",
    ),
]
Side = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Size = Annotated[tuple[Side, Side] | None, _as("[height, width] or null")]
Label = Annotated[str, Meta(pattern=r"^[^\ud800-\udc7f\udd00-\udfff]+$")]
"""Text that `os.fsdecode` makes of the bytes of a file name."""

if TYPE_CHECKING:
    _Value = Any  # the code that reads a value knows its type
else:
    _Single = None | bool | float | str | Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
    _Value = _Single | list[_Single]
Values = Annotated[Mapping[str, _Value], _as("values by name")]


class Mismatch(ValueError):  # noqa: N818  # the caller makes an error of it
    """A value does not have its field's type; ``args`` are where, found value, expected text."""


def convert(values: Mapping[str, Any], kind: type[_Kind]) -> _Kind:
    """Make a dataclass from the values of a JSON object.

    Raises:
        Mismatch: a value is missing, or has a wrong type.
    """
    try:
        return msgspec.convert(values, typed(kind))
    except msgspec.ValidationError as error:
        raise Mismatch(*_explained(error, values, kind)) from error


def typed(kind: type[_Kind]) -> type[_Kind]:
    """Evaluate the annotations of a dataclass and of its inner dataclasses, and return it."""
    if any(isinstance(hint, str) for hint in kind.__annotations__.values()):
        names = {**globals(), **vars(sys.modules[kind.__module__])}
        hints = get_type_hints(kind, names, include_extras=True)
        for inner in itertools.chain.from_iterable(map(_parts, hints.values())):
            if isinstance(inner, type) and is_dataclass(inner):
                typed(inner)
        kind.__annotations__ = hints  # last, for other threads: it says that all is done
    return kind


def _explained(
    error: msgspec.ValidationError, values: Mapping[str, Any], kind: Any
) -> tuple[str, Any, str]:
    """Return the field of a wrong value, the value, and what is expected."""
    text, _, place = str(error).partition(" - at `$")
    steps = re.findall(r"\.(\w+)(?:\[(\d+)\])?", place)
    if missing := re.fullmatch(r"Object missing required field `(\w+)`", text):
        steps.append((missing[1], ""))
    where, hint = "", None
    found: Any = values
    for name, number in steps:
        found = found.get(name, "nothing")
        where += f".{name}"
        hint = kind.__annotations__[name]
        inner = next(filter(is_dataclass, _parts(hint)), None)
        if inner:
            kind = inner
        if inner and number:
            found, hint = found[int(number)], inner
            where += f"[{number}]"
    return where[1:], found, _expected(hint)


def _expected(hint: Any) -> str:
    for part in _parts(hint):
        if isinstance(part, Meta) and part.extra:
            return str(part.extra["expected"])
        if get_origin(part) is Literal:
            return "one of " + ", ".join(get_args(part))
        if is_dataclass(part):
            return "an object"
    return "true or false"


def _parts(hint: Any) -> Iterator[Any]:
    """Iterate a type and all its parts, limits first."""
    yield hint
    for part in reversed(get_args(hint)):
        yield from _parts(part)
