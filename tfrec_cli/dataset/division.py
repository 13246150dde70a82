"""How the images of one source were divided among several splits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tfrec_cli.dataset.names import SPLIT_NAME

if TYPE_CHECKING:
    from fractions import Fraction

    from msgspec import Meta

FOLDERS = "folders"
"""What ``--split`` is if each folder is a split."""

_SHARE = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
_NAMED_SHARE = re.compile(rf"({SPLIT_NAME.pattern})=({_SHARE})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of the splits."""

    split: Annotated[
        str,
        Meta(
            description="Name of the split.",
            pattern=rf"^{SPLIT_NAME.pattern}$(?!\n)",
            extra={"expected": "letters, digits, _ and -"},
        ),
    ]
    share: Annotated[
        Annotated[str, Meta(pattern=rf"^{_SHARE}$(?!\n)")] | None,
        Meta(
            description="The split's share of all images, such as 0.9; null without shares.",
            extra={"expected": "a number"},
        ),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """How images were divided. By shares, all copies of an image are in the same split."""

    method: Annotated[
        Literal["shares", "groups", "folders", "column"],
        Meta(
            description="shares: the images of each class are divided by content. groups: images "
            "with one value in the column `options.split_by` are in one split. folders: each "
            "folder of the source is the split of this name. column: each value in the column "
            "`options.split_column` is the split of this name."
        ),
    ]
    parts: Annotated[
        tuple[Part, ...],
        Meta(
            description="All splits, in the order in which they were given.",
            min_length=1,
            extra={"expected": "several splits"},
        ),
    ]

    def __str__(self) -> str:
        """Return the text that ``--split`` takes, or ``by column``: no option has its name here."""
        if not self.has_shares:
            return FOLDERS if self.is_by_folder else "by column"
        return ",".join(f"{part.split}={part.share}" for part in self.parts)

    @property
    def is_by_folder(self) -> bool:
        """Whether each folder of the source is a split."""
        return self.method == "folders"

    @property
    def has_shares(self) -> bool:
        """Whether images were divided by shares; else the source says which split each is in."""
        return self.method in ("shares", "groups")

    @property
    def names(self) -> list[str]:
        """The names of all splits."""
        return [part.split for part in self.parts]

    def shares(self) -> dict[str, Fraction]:
        """Return the exact share of each split, if there are shares; the sum is 1."""
        return {part.split: _fraction(part.share) for part in self.parts if part.share}

    def problem(self) -> str | None:
        """Return what is expected of the parts if their shares or names are wrong, else None."""
        shares = self.shares()
        if not self.has_shares:
            is_valid = len(set(self.names)) == len(self.parts) and not shares
            return None if is_valid else "each split once, without a share"
        if len(self.parts) < 2:
            return "several splits"
        is_complete = sum(shares.values()) == 1 and all(shares.values())
        is_valid = is_complete and len(shares) == len(self.parts)
        return None if is_valid else "shares that add up to 1"


def by_shares(shares: Mapping[str, Fraction], *, grouped: bool = False) -> Division | None:
    """Return the division by shares of up to 9 decimals; None if there is only one split.

    Args:
        grouped: whether images with one value in a column stay together.
    """
    if len(shares) < 2:
        return None
    parts = tuple(Part(split=name, share=decimal(share)) for name, share in shares.items())
    return Division(method="groups" if grouped else "shares", parts=parts)


def by_names(names: Iterable[str], method: Literal["folders", "column"]) -> Division:
    """Return the division that makes each folder a split, or each value of a column."""
    return Division(method=method, parts=tuple(Part(split=name, share=None) for name in names))


def of_options(options: object) -> Division | None:
    """Return the division that the recorded option ``--split`` asked for.

    Manifests of version 1, and the journals of writes that began before version 2, record only
    the option.
    """
    text = options.get("split") if isinstance(options, dict) else None
    parts = str(text).split(",")
    named = [_NAMED_SHARE.fullmatch(part) for part in parts]
    shares = {match[1]: _fraction(match[2]) for match in named if match}
    division = by_shares(shares) if len(shares) == len(parts) else None
    return None if division is None or division.problem() else division


def of_note(value: Any) -> Division | None:
    """Return the division that a journal recorded.

    Raises:
        ValueError: the value is not a division.
    """
    if value is None:
        return None

    from tfrec_cli.dataset import schema

    division = schema.convert(value, Division)
    if problem := division.problem():
        raise ValueError(problem)
    return division


def _fraction(share: str) -> Fraction:
    from fractions import Fraction

    return Fraction(share)


def decimal(share: Fraction) -> str:
    """Return a share as text: ``0.9``."""
    from decimal import Decimal

    return format(Decimal(share.numerator) / Decimal(share.denominator), "f")
