"""System calls recorded by strace, and their kinds.

Knows: strace's options and lines. Must not know: what the calls are for.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

OPENING = ("open", "openat", "openat2", "creat")
WRITING = ("write", "pwrite64", "writev", "pwritev", "pwritev2", "copy_file_range", "sendfile")
SIZING = ("truncate", "ftruncate", "fallocate")
SYNCING = ("fsync", "fdatasync")
RENAMING = ("rename", "renameat", "renameat2")
LINKING = ("link", "linkat", "symlink", "symlinkat")
REMOVING = ("unlink", "unlinkat", "rmdir")
MAKING = ("mkdir", "mkdirat")
FORKING = ("clone", "clone3", "fork", "vfork")
OUTPUT = (
    *OPENING,
    *WRITING,
    *SIZING,
    *SYNCING,
    *RENAMING,
    *LINKING,
    *REMOVING,
    *MAKING,
    "close",
)
"""Calls that change a file or a folder, or make it durable; some machines lack some of them."""

_BY_NAME = {*OPENING, *RENAMING, *LINKING, *REMOVING, *MAKING, "truncate"}
_LINE = re.compile(r"(\d+) +(.*)")
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+|\?)(.*)", re.DOTALL)
_PATH = re.compile(r'"((?:[^"\\]|\\.)*)"')
_DESCRIPTOR = re.compile(r"(?<![\w.])(\d+|AT_FDCWD)<(/[^>]*)>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One finished system call.

    Attributes:
        thread: number of the thread that made it.
        process: number of the process of that thread.
        paths: absolute paths that it names, directly or by descriptors.
        matches: the same as strace compares them with ``-P``.
        start: line number in the log where it began.
        end: line number in the log where it ended.
        result: -1 for an error, None if the thread ended during the call.
    """

    thread: int
    process: int
    name: str
    text: str
    paths: tuple[str, ...]
    matches: tuple[str, ...]
    start: int
    end: int
    result: int | None
    injected: bool

    @property
    def writes(self) -> bool:
        """Whether it changes the content of a file; opening may create or empty one."""
        opened = self.name in OPENING and ("O_CREAT" in self.text or "O_TRUNC" in self.text)
        return opened or self.name in WRITING or self.name in SIZING


@functools.cache
def missing() -> str | None:
    """Return why nothing can be traced here; None if it can."""
    if not shutil.which("strace"):
        return "strace is not installed"
    tried = subprocess.run(
        ["strace", "-f", "-e", "inject=getppid:error=EIO", "-o", os.devnull, "true"],
        capture_output=True,
        check=False,
    )
    said = tried.stderr.decode().strip()
    return f"strace cannot trace: {said}" if tried.returncode else None


def options(
    log: Path, *, calls: Sequence[str], paths: Sequence[str] = (), inject: str | None = None
) -> list[str]:
    """Return strace's command line, without the command to trace.

    Args:
        calls: names of the calls to trace.
        paths: count and trace only calls that name one of these, directly or by a descriptor.
        inject: what to do to them, such as ``fsync:error=EIO:when=2``; strace counts the calls
            by name, among those that pass ``paths``, separately in each thread.
    """
    # "?": some machines lack the call
    traced = ["-e", "trace=" + ",".join("?" + call for call in calls)]
    chosen = [word for path in paths for word in ("-P", path)]
    injected = ["-e", f"inject={inject}"] if inject else []
    return ["strace", "-f", "-y", "-s", "0", "-o", str(log), *traced, *chosen, *injected]


def parse(log: Path) -> list[Call]:
    """Read the finished calls of a log, in the order in which they ended."""
    calls = []
    processes: dict[int, int] = {}
    for thread, start, end, text in _joined(log.read_text(errors="surrogateescape")):
        found = _CALL.fullmatch(text)
        if not found:
            continue
        name, arguments, result, rest = found.groups()
        if name in FORKING and result.isdigit():
            child = int(result)
            processes[child] = processes.get(thread, thread) if "CLONE_THREAD" in text else child
        descriptors = _DESCRIPTOR.findall(arguments)
        given = _PATH.findall(arguments) if name in _BY_NAME else []
        folders = [path for _, path in descriptors] or [""]
        # renameat has two folders for two names; the others have one for one
        paths = [os.path.join(*pair) for pair in zip(folders * len(given), given)]  # noqa: B905
        if len(folders) == len(given) == 2:
            paths = [os.path.join(*pair) for pair in zip(folders, given, strict=True)]
        open_ones = [path for number, path in descriptors if number != "AT_FDCWD"]
        calls.append(
            Call(
                thread=thread,
                process=thread,
                name=name,
                text=text,
                paths=tuple(paths or open_ones),
                matches=(*given, *open_ones),
                start=start,
                end=end,
                result=int(result) if result != "?" else None,
                injected="(INJECTED)" in rest,
            )
        )
    # a thread may make calls before its clone has returned
    return [replace(call, process=processes.get(call.thread, call.thread)) for call in calls]


def _joined(log: str) -> Iterator[tuple[int, int, int, str]]:
    """Join calls that were logged in two parts: (thread, first line, last line, text)."""
    begun: dict[int, tuple[int, str]] = {}
    for number, line in enumerate(log.splitlines()):
        found = _LINE.fullmatch(line)
        if not found or found[2].startswith(("---", "+++")):
            continue
        thread, text = int(found[1]), found[2]
        if text.endswith("<unfinished ...>"):
            begun[thread] = number, text.removesuffix("<unfinished ...>").rstrip()
            continue
        start = number
        if resumed := re.match(r"<\.\.\. \w+ resumed>", text):
            start, first = begun.pop(thread)
            text = first + text[resumed.end() :]
        yield thread, start, number, text
    for thread, (number, text) in begun.items():
        yield thread, number, number, f"{text}) = ?"
