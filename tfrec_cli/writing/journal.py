"""The journal of an unfinished write: options and sources; only the same write can resume it.

Knows: the journal and the list of sources in the folder of an unfinished split. Must not know:
other files there, how shards are made.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
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
_SOURCES = "sources"

_NOT_RECORDED = ("jobs", "overwrite", "dry_run", "resume", "root")
"""Options that cannot change a byte."""

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

    def differences(self, before: Journal | Manifest) -> list[str]:
        """Return the options and versions that differ from ``before``, one line each."""
        return [
            *changes(before.options, self.options, "`{}`"),
            *changes(before.versions, self.versions),
        ]


@dataclass(frozen=True, slots=True)
class Begun:
    """The journal of an unfinished write, and the SHA-256 of its list of sources."""

    journal: Journal
    sources_sha256: str


def begin(folder: Path, planned: Plan, journal: Journal) -> None:
    """Write the list of sources, then the journal with its digest: the journal makes it valid."""
    digest = hashlib.sha256()
    with (folder / _SOURCES).open("wb") as file:
        for line in _sources(planned):
            file.write(line)
            digest.update(line)
    values = {**asdict(journal), "sources_sha256": digest.hexdigest()}
    (folder / _JOURNAL).write_bytes(files.sealed(values))


def read(folder: Path) -> Begun | None:
    """Return what was begun in a folder; None if the journal is missing or damaged."""
    values = files.unsealed(folder / _JOURNAL)
    if values is None:
        return None
    try:
        sources_sha256 = values.pop("sources_sha256")
        values["command"] = _GONE_OPTION.sub("", values["command"])
        values["labels"] = values["labels"] and tuple(values["labels"])
        if "division" not in values:  # written by version 0.1
            values["division"] = divisions.of_options(values["options"])
        else:
            values["division"] = divisions.of_note(values["division"])
        journal = Journal(**values)
        kinds = journal.options, journal.versions, journal.command, sources_sha256
    except (TypeError, AttributeError, LookupError, ValueError):
        return None
    is_intact = all(map(isinstance, kinds, (dict, dict, str, str)))
    return Begun(journal, sources_sha256) if is_intact else None


def check_same(folder: Path, begun: Begun, planned: Plan, journal: Journal) -> None:
    """Refuse to resume a write with other options, versions or sources.

    Raises:
        RunError: something differs; names the first difference.
    """
    before = begun.journal
    different = journal.differences(before)
    digest = hashlib.sha256()
    for line in _sources(planned):
        digest.update(line)
    if not different and digest.hexdigest() != begun.sources_sha256:
        different.append(_changed_source(folder / _SOURCES, planned))
    if before.labels != journal.labels:
        different.append("the class names changed")
    if not different and before.plan_sha256 != journal.plan_sha256:
        different.append(IMAGES_CHANGED)
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


def _sources(planned: Plan) -> Iterator[bytes]:
    """Iterate an entry for each source, ended by a zero byte: size, time and path, or reject."""
    for size_bytes, mtime_ns, path in planned.sources():
        yield b"%d %d %s\0" % (size_bytes, mtime_ns, path)
    for reject in planned.rejects:
        yield b"%s - %s\0" % (reject.reason.encode(), reject.path)


def _changed_source(path: Path, planned: Plan) -> str:
    def by_path(entries: Iterable[bytes]) -> dict[bytes, bytes]:
        parts = (entry.rstrip(b"\0").split(b" ", 2) for entry in entries if entry)
        return {path: size + mtime for size, mtime, path in parts}

    if not path.is_file():
        return "the images changed"
    before = by_path(path.read_bytes().split(b"\0"))
    now = by_path(_sources(planned))
    for word, paths in (
        ("added", now.keys() - before.keys()),
        ("removed", before.keys() - now.keys()),
        ("changed", {path for path in now if before.get(path, now[path]) != now[path]}),
    ):
        if paths:
            more = f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
            return f"{printable(min(paths))} was {word}{more}"
    return "the order of the images changed"
