"""Results as a table for people, and as a JSON document for programs.

Knows: how figures are shown. Must not know: how they were measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.contest import Entry, Outcome

FORMAT_VERSION = 1
VERDICTS = {True: "met", False: "MISSED", None: ""}


def table(outcome: Outcome) -> str:
    """Return the table of one work: what each needed, how ours compares, and the targets."""
    unit = outcome.work.unit
    head = ("", unit, "photos/s" if unit == "s" else "", "tfrec is", "target", "")
    rows = [head, *(_row(outcome, entry) for entry in outcome.entries)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"{outcome.work.name}: {outcome.work.about}"]
    for name, *cells in rows:
        shown = [name.ljust(widths[0])]
        shown += [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append("  " + "  ".join(shown).rstrip())
    return "\n".join(lines)


def _row(outcome: Outcome, entry: Entry) -> tuple[str, str, str, str, str, str]:
    one = entry.contestant
    if not entry.values:
        return (one.name, "", "", "", _times(one.at_least, "≥ "), entry.why_not or "")
    target, met = _times(one.at_least, "≥ "), entry.met
    if entry is outcome.entries[0] and outcome.at_most:
        target, met = f"≤ {figure(outcome.at_most)} {outcome.work.unit}", outcome.met
    speed = rate(outcome, entry)
    return (
        one.name,
        figure(entry.value),
        f"{speed:,.0f}" if speed else "",
        _times(entry.ratio),
        target,
        VERDICTS[met],
    )


def rate(outcome: Outcome, entry: Entry) -> float | None:
    """Return photos a second; None if the work does not depend on the number of photos."""
    if outcome.work.unit != "s" or not outcome.records or not entry.contestant.has_all:
        return None
    return outcome.records / entry.value


def figure(value: float) -> str:
    """Format a number with three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _times(ratio: float | None, sign: str = "") -> str:
    return "" if ratio is None else f"{sign}{figure(ratio)}x"


def summary(outcomes: Sequence[Outcome]) -> str:
    """Return a line on how many targets were met."""
    verdicts = [outcome.met for outcome in outcomes]
    verdicts += [entry.met for outcome in outcomes for entry in outcome.entries]
    judged = [met for met in verdicts if met is not None]
    return (
        f"{sum(judged)} of {len(judged)} targets met. "
        "1x: as fast as tfrec, or as much memory; above 1x: tfrec is that many times better. "
        "Medians; ratios are taken within a round."
    )


def document(outcomes: Sequence[Outcome], **facts: Any) -> dict[str, Any]:
    """Return the document to be written as JSON.

    Args:
        facts: facts about the run.
    """
    return {
        "format": "tfrec-benchmarks",
        "format_version": FORMAT_VERSION,
        **facts,
        "works": [_work(outcome) for outcome in outcomes],
    }


def _work(outcome: Outcome) -> dict[str, Any]:
    work = outcome.work
    return {
        "name": work.name,
        "about": work.about,
        "unit": work.unit,
        "records": outcome.records,
        "at_most": outcome.at_most,
        "met": outcome.met,
        "contestants": [_entry(outcome, entry) for entry in outcome.entries],
    }


def _entry(outcome: Outcome, entry: Entry) -> dict[str, Any]:
    one = entry.contestant
    return {
        "role": one.role,
        "name": one.name,
        "command": one.command,
        "why_not": entry.why_not,
        "values": entry.values,
        "median": entry.value if entry.values else None,
        "photos_per_second": rate(outcome, entry) if entry.values else None,
        "ratios": entry.ratios,
        "ratio": entry.ratio,
        "at_least": one.at_least,
        "met": entry.met,
    }
