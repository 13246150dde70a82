"""Kills and interrupts a write by two processes, and its resumption, at random moments.

Knows: moments and processes. Must not know: tfrec_cli.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import invariants
from .invariants import Tree
from .runs import END_SECONDS, Ended, Launcher, Tally, images, lingering

IMAGES = 240
SHARDS = 8
LAYOUTS = ((), ("--crop", "24"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A write, its result without interruption, and how long that takes."""

    command: tuple[str, ...]
    out: Path
    after: Tree
    seconds: float


def run(
    folder: Path, *, kills: int = 300, resumed: int = 50, interrupts: int = 45, seed: int = 0
) -> Tally:
    """Kill writes, kill more writes and their resumption, and interrupt others.

    Args:
        folder: an empty folder for temporary files.
        kills: number of writes killed once.
        resumed: number of writes killed while writing and while resuming.
        interrupts: number of writes interrupted.
    """
    tally, rng = Tally(), random.Random(seed)
    source = images(folder / "images", IMAGES, edge_px=40)
    launcher = Launcher(folder)
    jobs = [_job(launcher, source, layout) for layout in LAYOUTS]
    for number in range(kills):
        kill = (_parent, _group)[number % 2]
        wrong = _killed(launcher, rng.choice(jobs), kill, rng, again=0)
        tally.count(f"kill of the {kill.__name__[1:]}", wrong)
    for number in range(resumed):
        kill = (_parent, _group)[number % 2]
        wrong = _killed(launcher, rng.choice(jobs), kill, rng, again=rng.randint(1, 3))
        tally.count(f"kill of the {kill.__name__[1:]}, and while resuming", wrong)
    for number in range(interrupts):
        name, number_sent, whole_group = (
            ("Ctrl-C", signal.SIGINT, True),
            ("SIGINT", signal.SIGINT, False),
            ("SIGTERM", signal.SIGTERM, False),
        )[number % 3]
        tally.count(name, _interrupted(launcher, rng.choice(jobs), number_sent, whole_group, rng))
    launcher.close()
    return tally


def _job(launcher: Launcher, source: Path, layout: tuple[str, ...]) -> Job:
    out = launcher.scratch / "out"
    command = ("write", str(source), str(out), "-j", "2", "--shards", str(SHARDS), *layout)
    ended = []
    for _ in range(2):  # the first warms the caches
        shutil.rmtree(out, ignore_errors=True)
        ended.append(launcher.run(command))
    after = invariants.read(out)
    if ended[-1].code or (wrong := invariants.vouched(after)):
        raise RuntimeError(f"{command}: exit code {ended[-1].code}: {ended[-1].output} {wrong}")
    return Job(command=command, out=out, after=after, seconds=ended[-1].seconds)


def _parent(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def _group(pid: int) -> None:
    os.killpg(pid, signal.SIGKILL)


def _killed(
    launcher: Launcher, job: Job, kill: Callable[[int], None], rng: random.Random, *, again: int
) -> list[str]:
    """Kill a write, and ``again`` times its resumption; then resume, and compare.

    Nobody waits for the workers of a killed parent: they may still run during the next write.
    """
    shutil.rmtree(job.out, ignore_errors=True)
    wrong, moments, sessions = [], [], []
    for number in range(1 + again):
        command = [*job.command, *(["--resume"] if number else [])]
        moments.append(rng.uniform(0, job.seconds))
        ended, sent = _shot(launcher, command, moments[-1], kill)
        sessions.append((ended.pid, sent))
        wrong += _held(ended, job, (-signal.SIGKILL,))
    again_ended = launcher.run([*job.command, "--resume"])
    if again_ended.code:
        wrong.append(f"resumed: exit code {again_ended.code}: {again_ended.output!r}")
    for pid, sent in [*sessions, (again_ended.pid, time.monotonic())]:
        wrong += lingering(pid, sent)
    wrong += [f"resumed: {fault}" for fault in invariants.same(invariants.read(job.out), job.after)]
    return [f"{fault} ({' '.join(job.command)}, after {moments} s)" for fault in wrong]


def _interrupted(
    launcher: Launcher, job: Job, number: int, whole_group: bool, rng: random.Random
) -> list[str]:
    """Send a signal; the command must end in time and say how to resume, which must work."""
    shutil.rmtree(job.out, ignore_errors=True)
    moment = rng.uniform(0, job.seconds)
    send = os.killpg if whole_group else os.kill
    ended, sent = _shot(launcher, job.command, moment, lambda pid: send(pid, number))
    seconds = time.monotonic() - sent
    # Python ends by the signal if it comes after the last line; for a shell that is the same
    wrong = _held(ended, job, (128 + number, -number))
    if seconds > END_SECONDS:
        wrong.append(f"ended {seconds:.1f} s after the signal")
    wrong += lingering(ended.pid, sent)
    finished = (job.out / "train.manifest.json").exists()
    unfinished = not finished and any(job.out.glob(".*.partial"))
    lines = ended.output.strip().splitlines()
    if ended.code > 0 and not (lines and all(line.startswith("tfrec: ") for line in lines)):
        wrong.append(f"found {ended.output!r}, expected one line")
    if ended.code and unfinished and "--resume" not in ended.output:
        wrong.append(f"found {ended.output!r}, expected how to resume")
    again = launcher.run([*job.command, "--resume"])
    if again.code:
        wrong.append(f"resumed: exit code {again.code}: {again.output!r}")
    wrong += [f"resumed: {fault}" for fault in invariants.same(invariants.read(job.out), job.after)]
    return [f"{fault} ({' '.join(job.command)}, after {moment} s)" for fault in wrong]


def _shot(
    launcher: Launcher,
    command: list[str] | tuple[str, ...],
    moment: float,
    shoot: Callable[[int], object],
) -> tuple[Ended, float]:
    """Start a command, call ``shoot`` after ``moment`` seconds, and wait for its end."""
    started = time.monotonic()
    pid = launcher.start(command)
    time.sleep(max(0.0, started + moment - time.monotonic()))
    sent = time.monotonic()
    shoot(pid)  # an ended process keeps its id until it is reaped
    return launcher.end(pid, started), sent


def _held(ended: Ended, job: Job, codes: tuple[int, ...]) -> list[str]:
    """Check what must hold after a write has ended, with one of ``codes`` or by success."""
    tree = invariants.read(job.out) if job.out.exists() else {}
    wrong = invariants.whole(tree, [job.after]) + invariants.vouched(tree)
    if ended.code == 0:
        wrong += invariants.complete(tree, "train", IMAGES)
    elif ended.code not in codes:
        wrong.append(f"exit code {ended.code}, expected {codes[0]}: {ended.output!r}")
    return wrong
