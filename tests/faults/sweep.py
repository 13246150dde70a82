"""Breaks every output system call of a small write: killed there, or failed once or from there on.

Knows: which calls there are, and what must hold after each. Must not know: tfrec_cli.
"""

from __future__ import annotations

import os
import queue
import random
import shlex
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from . import invariants, order, tracing
from .invariants import Tree
from .runs import END_SECONDS, Ended, Hold, Launcher, Tally, images, lingering
from .tracing import Call

SIGNALS = ("KILL", "TERM")
ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EMFILE")
IMAGES = 6
RESUME = "--resume"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A write to be broken.

    Attributes:
        before: options of another write that was done in OUT before; None for none.
        split: the last split that it writes, which has ``records``.
    """

    name: str
    options: tuple[str, ...]
    before: tuple[str, ...] | None = None
    split: str = "train"
    records: int = IMAGES


SCENARIOS = (
    Scenario(name="whole", options=("--shards", "2")),
    Scenario(name="crops", options=("--shards", "2", "--crop", "16")),
    Scenario(name="gzip", options=("--shards", "2", "--crop", "16", "--compression", "gzip")),
    Scenario(name="second split", options=("--split", "val"), before=(), split="val"),
    Scenario(name="overwrite", options=("--shards", "2", "--overwrite"), before=("--shards", "1")),
    Scenario(name="divided", options=("--split", "train=0.5,val=0.5"), split="val", records=3),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One call to be broken: the ``turn``-th with its name in one thread.

    Attributes:
        path: count only calls on this path below OUT; None counts those on any path in OUT.
        onward: break all later ones too.
        hold: ``workers`` if a worker process makes the same call earlier.
        needed: whether its failure must be reported.
    """

    call: str
    path: str | None
    turn: int
    onward: bool = False
    hold: Hold = "start"
    needed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A scenario that was recorded.

    Attributes:
        before: the files before an uninterrupted run.
        after: the files after it.
        names: every path below OUT that its calls name.
        hidden: number of calls that no point reaches, since another thread makes the same earlier.
    """

    scenario: Scenario
    source: Path
    before: Tree
    after: Tree
    names: tuple[str, ...]
    points: tuple[Point, ...]
    hidden: int
    disorder: tuple[str, ...]


def run(*, sample: int | None = None, seed: int = 0, lanes: int = 2) -> Tally:
    """Break each scenario at every point, or at ``sample`` points in all.

    Args:
        lanes: number of runs at the same time.
    """
    tally = Tally()
    if reason := tracing.missing():
        tally.notes.append(f"left out: {reason}")
        return tally
    with ExitStack() as cleaning:
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # fsync costs nothing there
        folder = Path(cleaning.enter_context(TemporaryDirectory(dir=memory)))
        source = images(folder / "images", IMAGES, edge_px=20)
        idle: queue.SimpleQueue[Launcher] = queue.SimpleQueue()
        for lane in range(lanes):
            (folder / f"{lane}").mkdir()
            launcher = Launcher(folder / f"{lane}")
            cleaning.callback(launcher.close)
            idle.put(launcher)
        prepared = [prepare(launcher, source, scenario) for scenario in SCENARIOS]
        for one in prepared:
            tally.count("order", [f"{one.scenario.name}: {fault}" for fault in one.disorder])
            if one.hidden:
                tally.notes.append(
                    f"left out: {one.hidden} calls of {one.scenario.name}, see _points"
                )
        tries = [(one, point, fault) for one in prepared for point, fault in _faults(one)]
        if sample is not None:
            tries = random.Random(seed).sample(tries, sample)

        def broken(task: tuple[Prepared, Point, str]) -> list[str]:
            launcher = idle.get()
            try:
                return shatter(launcher, *task)
            finally:
                idle.put(launcher)

        with ThreadPoolExecutor(lanes) as threads:
            for (_, point, fault), wrong in zip(tries, threads.map(broken, tries), strict=True):
                tally.count(f"{fault} from there on" if point.onward else fault, wrong)
    return tally


def prepare(launcher: Launcher, source: Path, scenario: Scenario) -> Prepared:
    """Record an uninterrupted run of a scenario."""
    out, log = _fresh(launcher, source, scenario), launcher.scratch / "log"
    before = invariants.read(out) if out.exists() else {}
    calls = (*tracing.OUTPUT, *tracing.FORKING)
    ended, finish = launcher.traced(
        _command(source, out, scenario), tracing.options(log, calls=calls)
    )
    finish()
    after = invariants.read(out)
    wrong = invariants.whole(after) + invariants.vouched(after)
    wrong += invariants.complete(after, scenario.split, scenario.records)
    if ended.code or wrong:
        raise RuntimeError(f"{scenario.name}: exit code {ended.code}: {ended.output} {wrong}")
    found = tracing.parse(log)
    ours = [call for call in found if any(_below(path, out) for path in call.matches)]
    points, hidden = _points(ours, out)
    names = {name for call in ours for path in call.paths if (name := _below(path, out))}
    return Prepared(
        scenario=scenario,
        source=source,
        before=before,
        after=after,
        names=tuple(sorted(names)),
        points=tuple(points),
        hidden=hidden,
        disorder=tuple(order.lint(found, out, before)),
    )


def _points(calls: Sequence[Call], out: Path) -> tuple[list[Point], int]:
    """Number the calls like strace counts them: by name, thread and path."""
    turns: Counter[tuple[int, str, str]] = Counter()
    first: dict[tuple[str, str, int], Call] = {}
    points, hidden = _onward(calls, out), 0
    for call in sorted(calls, key=lambda call: call.start):
        for path in set(call.matches):
            turns[call.thread, call.name, path] += 1
        path = next(path for path in call.matches if _below(path, out))
        turn = turns[call.thread, call.name, path]
        earlier = first.setdefault((call.name, path, turn), call)
        if earlier is not call and earlier.process == call.process:
            hidden += 1
            continue
        points.append(
            Point(
                call=call.name,
                path=_below(path, out),
                turn=turn,
                hold="start" if earlier is call else "workers",
                needed=_needed(call, calls, out),
            )
        )
    return sorted(points, key=repr), hidden


def _onward(calls: Sequence[Call], out: Path) -> list[Point]:
    """Break a thread's n-th call of a name, on any path in OUT, and all later ones."""
    threads: dict[tuple[str, int], list[bool]] = {}
    for call in sorted(calls, key=lambda call: call.start):
        threads.setdefault((call.name, call.thread), []).append(_needed(call, calls, out))
    names = {name for name, _ in threads}
    longest = {name: max(len(threads[key]) for key in threads if key[0] == name) for name in names}
    return [
        Point(
            call=name,
            path=None,
            turn=turn,
            onward=True,
            needed=any(any(threads[key][turn - 1 :]) for key in threads if key[0] == name),
        )
        for name in names
        for turn in range(1, longest[name] + 1)
    ]


def _needed(call: Call, calls: Sequence[Call], out: Path) -> bool:
    """Return whether a call's failure can lose data; other failures need not be reported."""
    if call.result == -1:
        return False
    related = [
        other
        for other in calls
        if other.process == call.process and set(other.paths) & set(call.paths)
    ]
    if call.name in tracing.OPENING and not call.writes:
        later = [other for other in related if other.start > call.end]
        return any(other.name in tracing.SYNCING for other in later[:1])
    if call.name == "close":
        earlier = [other for other in related if other.end < call.start]
        opened = max((other.end for other in earlier if other.name in tracing.OPENING), default=0)
        name = _below(call.paths[0], out) or ""
        locks = name.startswith(".") and "/" not in name
        return not locks and any(other.writes and other.end >= opened for other in earlier)
    return call.name not in tracing.REMOVING


def _faults(one: Prepared) -> list[tuple[Point, str]]:
    """Pair each point with every fault; after the first scenario, only with one error in turn."""
    everything = one.scenario is SCENARIOS[0]
    found = []
    for turn, point in enumerate(one.points):
        signals = () if point.onward else SIGNALS if everything else SIGNALS[:1]
        errors = ERRORS if everything else [ERRORS[turn % len(ERRORS)]]
        found += [(point, fault) for fault in (*signals, *errors)]
    return found


def shatter(launcher: Launcher, one: Prepared, point: Point, fault: str) -> list[str]:
    """Break one call, check the invariants, resume, and check that nothing was lost."""
    out = _fresh(launcher, one.source, one.scenario)
    log = launcher.scratch / "log"
    paths = [f"{out / name}" for name in ([point.path] if point.path else one.names)]
    what = f"signal={fault}" if fault in SIGNALS else f"error={fault}"
    strace = tracing.options(
        log,
        calls=[point.call],
        paths=paths,
        inject=f"{point.call}:{what}:when={point.turn}{'+' * point.onward}",
    )
    command = _command(one.source, out, one.scenario)
    ended, finish = launcher.traced(command, strace, hold=point.hold)
    stopped = time.monotonic()
    tree = invariants.read(out) if out.exists() else {}
    wrong = invariants.whole(tree, [one.before, one.after]) + invariants.vouched(tree)
    if ended.code == 0:
        wrong += invariants.complete(tree, one.scenario.split, one.scenario.records)
        wrong += invariants.same(tree, one.after)
    again = launcher.run([*command, RESUME])
    wrong += [f"resumed: exit code {again.code}: {again.output!r}"] if again.code else []
    wrong += [f"resumed: {fault}" for fault in invariants.same(invariants.read(out), one.after)]
    wrong += lingering(ended.pid, stopped)
    finish()
    if (f"SIG{fault}" if fault in SIGNALS else "INJECTED") not in log.read_text():
        wrong.append("was not reached")
    elif fault == "TERM":
        wrong += _interrupted(ended, tree, f"{one.scenario.split}.manifest.json")
    elif fault == "KILL":
        wrong += [] if ended.code in (-9, 0, 1, 3) else [f"exit code {ended.code}"]
    elif ended.code or point.needed:
        wrong += ended.misreported(3, str(out))
    where = f"{one.scenario.name}: {shlex.join(strace)} tfrec {shlex.join(command)}"
    return [f"{fault} ({where}, {point.hold})" for fault in wrong]


def _interrupted(ended: Ended, tree: Tree, manifest: str) -> list[str]:
    seconds, output = ended.seconds, ended.output
    wrong = [] if seconds < END_SECONDS else [f"ended after {seconds:.1f} s"]
    if ended.code not in (0, 1, 3, 143):  # 1 and 3: a worker got the signal
        wrong.append(f"exit code {ended.code}, expected 143: {output!r}")
    if "Traceback" in output:
        wrong.append(f"found {output!r}, expected one line")
    unfinished = manifest not in tree and any(name.endswith(".partial/") for name in tree)
    if ended.code == 143 and unfinished and "--resume" not in output:
        wrong.append(f"found {output!r}, expected how to resume")
    return wrong


def _fresh(launcher: Launcher, source: Path, scenario: Scenario) -> Path:
    """Prepare OUT for a scenario, and return it."""
    out = launcher.scratch / "out"
    shutil.rmtree(out, ignore_errors=True)
    if scenario.before is not None:
        kept = launcher.scratch / scenario.name
        if not kept.exists():
            options = Scenario(name="", options=scenario.before)
            made = launcher.run(_command(source, kept, options))
            if made.code:
                raise RuntimeError(f"{scenario.name}: {made.output}")
        shutil.copytree(kept, out)
    return out


def _command(source: Path, out: Path, scenario: Scenario) -> list[str]:
    return ["write", str(source), str(out), "-j", "1", *scenario.options]


def _below(path: str, out: Path) -> str | None:
    """Return a path relative to OUT, "." for OUT itself; None for other paths."""
    if path == str(out):
        return "."
    return path.removeprefix(f"{out}/") if path.startswith(f"{out}/") else None
