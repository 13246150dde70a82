"""The journal of an unfinished write: its options; only a write with the same can resume it.

Knows: the journal in the folder of an unfinished split. Must not know: other files there, how
shards are made. Which shards are made again is in the note of each: see `written_shard.noted`.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from tfrec_cli import __version__
from tfrec_cli.dataset import division as divisions
from tfrec_cli.dataset.division import Division
from tfrec_cli.dataset.manifest import Manifest
from tfrec_cli.errors import RunError
from tfrec_cli.imaging import normalize
from tfrec_cli.runtime import files
from tfrec_cli.runtime.paths import printable
from tfrec_cli.writing.options import GONE, LATER, WriteOptions, default_of
from tfrec_cli.writing.plan import Plan

_JOURNAL = "journal.json"
_FAILED = "failed"

_NOT_RECORDED = ("jobs", "overwrite", "dry_run", "resume", "root")
"""Options that cannot change a byte."""

_ANY_REJECTS = ("on_error", "max_errors", "small")
"""Options that a write may be resumed with other values of: shards that depend on them differ."""

IMAGES_CHANGED = "the images or their image list changed"

_GONE_OPTION = re.compile(rf" --(?:{'|'.join(GONE)}) [a-z]+")
"""Options to remove from the command of a write that an earlier version began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """The request of a write.

    Attributes:
        command: the command that resumes it.
        division: how the images are divided among several splits.
        options: options of the command as JSON values, except those that cannot change a byte.
    """

    command: str
    plan_sha256: str
    division: Division | None
    labels: tuple[str, ...] | None
    options: Mapping[str, Any]
    versions: Mapping[str, str]

    @classmethod
    def of(
        cls,
        source: Path,
        out: Path,
        options: WriteOptions,
        planned: Plan,
        labels: tuple[str, ...] | None,
        division: Division | None,
    ) -> Journal:
        """Make the journal of a write that begins now."""
        recorded = {
            name: value
            for name, value in asdict(options).items()
            if name not in _NOT_RECORDED and not (name in LATER and value == default_of(name))
        }
        recorded["crop"] = list(options.crop) if options.crop else None  # JSON has no tuples
        return cls(
            command=_resume_command(source, out, options),
            plan_sha256=planned.sha256,
            division=division,
            labels=labels,
            options=recorded,
            versions={
                "tfrec": __version__,
                "python": platform.python_version(),
                **normalize.versions(options.depth),
            },
        )

    def differences(self, before: Journal | Manifest, but: Sequence[str] = ()) -> list[str]:
        """Return the options and versions that differ from ``before``, one line each.

        Args:
            but: options that may differ.
        """
        was, is_now = (
            {name: value for name, value in options.items() if name not in but}
            for options in (before.options, self.options)
        )
        return [
            *changes(was, is_now, "`{}`"),
            *changes(before.versions, self.versions),
        ]


def begin(folder: Path, journal: Journal) -> None:
    """Write the journal, or replace that of the write that is resumed."""
    (folder / _FAILED).unlink(missing_ok=True)
    path = folder / _JOURNAL
    path.unlink(missing_ok=True)
    path.write_bytes(files.sealed(asdict(journal)))


def mark_failed(folder: Path) -> None:
    """Note that a write ended because of bad images: a write without ``resume`` starts over."""
    (folder / _FAILED).touch()


def has_failed(folder: Path) -> bool:
    """Tell whether a write ended because of bad images, and was not resumed since."""
    return (folder / _FAILED).exists()


def read(folder: Path) -> Journal | None:
    """Return what was begun in a folder; None if the journal is missing or damaged."""
    values = files.unsealed(folder / _JOURNAL)
    if values is None:
        return None
    try:
        values.pop("sources_sha256", None)  # written by version 0.1
        values["command"] = _GONE_OPTION.sub("", values["command"])
        values["labels"] = values["labels"] and tuple(values["labels"])
        if "division" not in values:  # written by version 0.1
            values["division"] = divisions.of_options(values["options"])
        else:
            values["division"] = divisions.of_note(values["division"])
        journal = Journal(**values)
        kinds = journal.options, journal.versions, journal.command
    except (TypeError, AttributeError, LookupError, ValueError):
        return None
    return journal if all(map(isinstance, kinds, (dict, dict, str))) else None


def check_same(folder: Path, before: Journal, journal: Journal) -> None:
    """Refuse to resume a write with other options or versions.

    Raises:
        RunError: something differs; names the first difference.
    """
    different = journal.differences(before, but=_ANY_REJECTS)
    if different:
        more = f" (and {len(different) - 1} more)" if len(different) > 1 else ""
        raise RunError(
            f"{folder}: found an unfinished write of something else: {different[0]}{more}; "
            f"`{before.command}` resumes it, `overwrite` starts over"
        )


def _resume_command(source: Path, out: Path, options: WriteOptions) -> str:
    """Return the command that resumes a write."""
    paths = [os.fspath(path) for path in (source, out)]
    words = ["tfrec", "write", *(f"./{path}" if path[0] == "-" else path for path in paths)]
    for option in fields(options):
        value = getattr(options, option.name)
        name = "--" + option.name.replace("_", "-")
        if value == option.default or option.name in ("resume", "dry_run"):
            continue
        if option.name == "shuffle_seed" and value is None:
            words.append("--no-shuffle")
        elif isinstance(value, bool):
            words.append(name if value else name.replace("--", "--no-"))
        else:
            words += [name, "x".join(map(str, value)) if isinstance(value, tuple) else str(value)]
    return printable(os.fsencode(shlex.join([*words, "--resume"])))


def changes(before: Mapping[str, Any], now: Mapping[str, Any], form: str = "{}") -> Iterator[str]:
    """Iterate the differences between two sets of values, such as options, one line each."""
    for name in sorted({*before, *now} - GONE):
        was, is_now = before.get(name), now.get(name)
        if was != is_now:
            yield f"{form.format(name)} was {_word(was)}, now {_word(is_now)}"


def _word(value: Any) -> str:
    if isinstance(value, list):
        return "x".join(map(str, value))
    return "not given" if value is None else str(value)
