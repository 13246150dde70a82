"""Runs one work: every contestant in turn, round after round; compares within each round.

Knows: fairness. Must not know: how results are shown.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import median

from benchmarks.errors import BenchmarkError
from benchmarks.run import Ran, measures_memory, run
from benchmarks.works import Contestant, Work

Progress = Callable[[str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Results of one contestant.

    Attributes:
        values: one for each round, in the work's unit; empty if it did not run.
        ratios: for each round, its value divided by ours: above 1, ours is better.
        why_not: why it did not run.
    """

    contestant: Contestant
    values: tuple[float, ...] = ()
    ratios: tuple[float, ...] = ()
    why_not: str | None = None

    @property
    def value(self) -> float:
        """The median of the values."""
        return median(self.values)

    @property
    def ratio(self) -> float | None:
        """The median of the ratios, if there are any."""
        return median(self.ratios) if self.ratios else None

    @property
    def met(self) -> bool | None:
        """Whether the ratio reaches its target; None without a target or a ratio."""
        if self.ratio is None or self.contestant.at_least is None:
            return None
        return self.ratio >= self.contestant.at_least


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Results of one work.

    Attributes:
        records: number of records that the contestants had; None if none printed it.
    """

    work: Work
    entries: tuple[Entry, ...]
    records: int | None

    @property
    def at_most(self) -> float | None:
        """The most that ours may need for this number of records."""
        most, per = self.work.at_most, self.work.per
        return most * max(1.0, (self.records or 0) / per) if most and per else most

    @property
    def met(self) -> bool | None:
        """Whether ours needed at most `at_most`; None without a target or a value."""
        if self.at_most is None or not self.entries[0].values:
            return None
        return self.entries[0].value <= self.at_most


def contest(
    work: Work, places: Mapping[str, Path], scratch: Path, rounds: int, progress: Progress
) -> Outcome:
    """Run a work's contestants in turn.

    Raises:
        BenchmarkError: one failed, had a different number of records, or a wrong result. A peer
            that fails is only left out.
    """
    ran: dict[str, list[Ran]] = {one.name: [] for one in work.contestants}
    why_not = {one.name: why for one in work.contestants if (why := _missing(work, one))}
    here = {
        one.name: {**places, "out": scratch / f"out-{n}", "made": scratch / f"made-{n}"}
        for n, one in enumerate(work.contestants)
    }
    for number in range(rounds):
        for one in work.contestants:
            if one.name in why_not:
                continue
            progress(f"{work.name}, round {number + 1} of {rounds}: {one.name}")
            try:
                ran[one.name].append(_turn(work, one, here[one.name], first=number == 0))
            except BenchmarkError as error:
                if one.role != "peer":
                    raise
                why_not[one.name] = str(error)
        if number == 0:
            _check(work, places, here)
        for folders in here.values():
            _remove(folders["out"])
    for folders in here.values():
        _remove(folders["made"])
    return _outcome(work, ran, why_not)


def _missing(work: Work, one: Contestant) -> str | None:
    if work.unit == "MB" and not measures_memory():
        return "needs Linux"
    if one.needs:
        try:
            metadata.version(one.needs)
        except metadata.PackageNotFoundError:
            return "not installed"
    return None


def _turn(work: Work, one: Contestant, folders: Mapping[str, Path], *, first: bool) -> Ran:
    if one.before and first:
        run(one.before, folders)
    os.sync()  # so that none waits for writes of another
    result = run(one.command, folders, memory=work.unit == "MB", checkout=one.checkout)
    if not (first and work.same):
        _remove(folders["out"])
    return result


def _check(work: Work, places: Mapping[str, Path], here: Mapping[str, Mapping[str, Path]]) -> None:
    """Check the results of all of ours that wrote, or of our reader."""
    if not work.same:
        return
    ours = [one for one in work.contestants if one.role == "ours" and one.has_all]
    usual = [one for one in work.contestants if one.role == "usual"]
    for one in ours if "{ours}" in work.same else ours[:1]:
        sides = {"ours": here[one.name]["out"]}
        if usual:
            sides["usual"] = here[usual[0].name]["out"]
        try:
            run(f"python -m benchmarks.same {work.same}", {**places, **sides})
        except BenchmarkError as error:
            message = f"{work.name}: {one.name}: wrong result: {error}"
            raise BenchmarkError(message) from error


def _outcome(work: Work, ran: Mapping[str, list[Ran]], why_not: Mapping[str, str]) -> Outcome:
    values = {name: tuple(_value(work, one) for one in some) for name, some in ran.items()}
    counts = {
        one.name: ran[one.name][-1].records
        for one in work.contestants
        if ran[one.name] and one.has_all
    }
    said = {name: count for name, count in counts.items() if count is not None}
    if len(set(said.values())) > 1:
        raise BenchmarkError(f"{work.name}: found different numbers of records: {said}")
    return Outcome(
        work=work,
        entries=tuple(
            Entry(
                contestant=one,
                values=values[one.name],
                ratios=_ratios(work, one, values) if one.role != "ours" else (),
                why_not=why_not.get(one.name),
            )
            for one in work.contestants
        ),
        records=next(iter(said.values()), None),
    )


def _value(work: Work, ran: Ran) -> float:
    if work.unit == "MB":
        return ran.memory_mb or 0.0
    return ran.cpu_seconds if work.unit == "CPU s" else ran.seconds


def _ratios(
    work: Work, one: Contestant, values: Mapping[str, Sequence[float]]
) -> tuple[float, ...]:
    """Return the ratio of a contestant to ours in each round."""
    ours = values[work.contestants[0].name]
    starts = values[one.start_up] if one.start_up else [0.0] * len(ours)
    return tuple(
        theirs / (mine - start)
        for theirs, mine, start in zip(values[one.name], ours, starts, strict=False)
    )


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
