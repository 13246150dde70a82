"""The chart: longer bars are faster, ours are blue."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.contest import Entry, Outcome
from benchmarks.results import figure, rate

COLOURS = {"ours": "#2f81f7", "usual": "#db6d28", "peer": "#8957e5", "limit": "#8b949e"}
LEGEND = {"ours": "tfrec", "usual": "the usual way", "peer": "other packages", "limit": "limits"}
INK = "#6f7b86"
"""A grey that can be read on light and dark pages, since the picture is transparent."""


def _has_usual(outcome: Outcome) -> bool:
    in_seconds = outcome.work.unit == "s"
    return in_seconds and any(entry.contestant.role == "usual" for entry in outcome.entries)


def _drawn(outcome: Outcome) -> list[Entry]:
    """Return the entries to draw, the fastest first.

    Start-up times, earlier commits and limits without a target are left out.
    """
    ran = [one for one in outcome.entries if one.values and one.contestant.has_all]
    ran = [one for one in ran if one.contestant.role != "earlier"]
    shown = [one for one in ran if one.contestant.role != "limit" or one.contestant.at_least]
    return sorted(shown, key=lambda one: one.value)


def draw(outcomes: Sequence[Outcome], caption: str, path: Path) -> None:
    """Draw the works that have a usual way; bars show speed relative to the fastest one."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    mpl.rcParams.update({"font.size": 9, "text.color": INK, "font.family": "sans-serif"})
    groups = [(outcome, _drawn(outcome)) for outcome in outcomes if _has_usual(outcome)]
    if not groups:
        return
    rows = sum(2 + len(drawn) for _, drawn in groups)
    picture = Figure(figsize=(8, 0.6 + 0.21 * rows), layout="constrained")
    axes = picture.add_subplot()
    at = 0.0
    for outcome, drawn in groups:
        axes.text(0, at, f"{outcome.work.name}: {outcome.work.about}", weight="bold", va="center")
        for entry in drawn:
            at += 1
            share = drawn[0].value / entry.value
            speed = rate(outcome, entry)
            label = f"{figure(entry.value)} s"
            label += f"   {speed:,.0f} photos/s" if speed else ""
            role = entry.contestant.role
            weight = "bold" if role == "ours" else "normal"
            axes.barh(at, share, height=0.72, color=COLOURS[role])
            axes.text(-0.01, at, entry.contestant.name, ha="right", va="center", weight=weight)
            axes.text(share + 0.01, at, label, ha="left", va="center", weight=weight)
        at += 1.6
    axes.set_xlim(0, 1.3)
    axes.set_ylim(at - 0.8, -0.8)
    axes.set_axis_off()
    axes.set_title(caption, size=9, color=INK)
    keys = [Patch(color=COLOURS[role], label=name) for role, name in LEGEND.items()]
    picture.legend(handles=keys, loc="outside upper center", ncols=len(keys), frameon=False)
    picture.savefig(path, dpi=160, transparent=True)
