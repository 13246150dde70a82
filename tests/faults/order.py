"""The order in which a writer may change the disk, to survive a power failure at any moment.

Knows: system calls and final names. Must not know: tfrec_cli.

A final name is one directly in OUT that is not hidden. A file system may lose or reorder all
changes before an fsync: that of a file makes its content durable, that of a folder its names.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from .invariants import Tree
from .tracing import MAKING, REMOVING, RENAMING, SYNCING, Call

SUFFIX = ".manifest.json"


def lint(calls: Sequence[Call], out: Path, before: Tree) -> list[str]:
    """Return what a writer did in the wrong order.

    Args:
        calls: the calls of one writer that succeeded.
        before: the files in OUT before.
    """
    done = [call for call in calls if call.result is not None and call.result >= 0]
    done.sort(key=lambda call: call.start)
    manifests = [call for call in done if call.name in RENAMING and call.paths[1].endswith(SUFFIX)]
    return [
        *_unsynced(done, out),
        *_overwritten(done, out),
        *_loose_names(done, out, manifests),
        *_late(done, out, manifests),
        *_disowned(done, out, before),
        *_loose_folders(done, out),
    ]


def _unsynced(done: Sequence[Call], out: Path) -> list[str]:
    """A file is synced between its last write and its rename to a final name."""
    wrong = []
    for rename in _renames(done, out):
        earlier = [
            call for call in done if rename.paths[0] in call.paths and call.end < rename.start
        ]
        written = [call.end for call in earlier if call.writes]
        if not _synced(
            earlier, rename.paths[0], after=max(written, default=-1), until=rename.start
        ):
            wrong.append(f"{rename.paths[1]}: renamed before it was synced")
    return wrong


def _overwritten(done: Sequence[Call], out: Path) -> list[str]:
    """Nothing is written to a file with a final name."""
    names = {path for call in done if call.writes for path in call.paths if _final(path, out)}
    return [f"{name}: written under its final name" for name in sorted(names)]


def _loose_names(done: Sequence[Call], out: Path, manifests: Sequence[Call]) -> list[str]:
    """OUT is synced between the last other rename and that of the manifest, and after it."""
    wrong = []
    for manifest in manifests:
        before = [call.end for call in _renames(done, out) if call.end < manifest.start]
        if not _synced(done, str(out), after=max(before, default=-1), until=manifest.start):
            wrong.append(f"{out}: not synced before {manifest.paths[1]} was renamed")
        if not _synced(done, str(out), after=manifest.end):
            wrong.append(f"{out}: not synced after {manifest.paths[1]} was renamed")
    return wrong or ([] if manifests else [f"{out}: no manifest was renamed into it"])


def _late(done: Sequence[Call], out: Path, manifests: Sequence[Call]) -> list[str]:
    """Nothing gets a final name after the manifest."""
    return [
        f"{call.paths[1]}: renamed after the manifest"
        for call in _renames(done, out)
        if any(call.start > manifest.start for manifest in manifests) and call not in manifests
    ]


def _disowned(done: Sequence[Call], out: Path, before: Tree) -> list[str]:
    """A manifest is removed, durably, before any file that it names is replaced or removed."""
    wrong = []
    for manifest, data in before.items():
        if not manifest.endswith(SUFFIX) or "/" in manifest:
            continue
        fields = json.loads(data)
        named = {shard[key] for shard in fields["shards"] for key in ("name", "index")}
        named |= {fields["rejects_file"], fields.get("targets", {}).get("name")}
        paths = {str(out / name) for name in named if name}
        touched = [
            call
            for call in done
            if call.name in (*RENAMING, *REMOVING) and call.paths and call.paths[-1] in paths
        ]
        if not touched:
            continue
        gone = [
            call.end for call in done if call.name in REMOVING and str(out / manifest) in call.paths
        ]
        if not gone or not _synced(done, str(out), after=min(gone), until=touched[0].start):
            wrong.append(f"{touched[0].paths[-1]}: replaced while {manifest} names it")
    return wrong


def _loose_folders(done: Sequence[Call], out: Path) -> list[str]:
    """After a folder was made for OUT, its parent is synced."""
    return [
        f"{call.paths[0]}: made, but its parent was not synced"
        for call in done
        if call.name in MAKING
        and (out == Path(call.paths[0]) or Path(call.paths[0]) in out.parents)
        and not _synced(done, str(PurePosixPath(call.paths[0]).parent), after=call.end)
    ]


def _renames(done: Sequence[Call], out: Path) -> list[Call]:
    return [call for call in done if call.name in RENAMING and _final(call.paths[1], out)]


def _final(path: str, out: Path) -> bool:
    parent, _, name = path.rpartition("/")
    return parent == str(out) and not name.startswith(".")


def _synced(calls: Sequence[Call], path: str, *, after: int, until: int | None = None) -> bool:
    """Return whether a path was synced by a call that began and ended in between."""
    return any(
        call.name in SYNCING
        and path in call.paths
        and call.start > after
        and (until is None or call.end < until)
        for call in calls
    )
