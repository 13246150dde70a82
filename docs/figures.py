"""What cog writes into benchmarks.md: every work and contestant of the last recorded run.

Knows: benchmarks/results.json. Must not know: any work or contestant by name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "benchmarks/results.json"


def machine() -> str:
    """Say in one sentence what was measured on what."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    there, packages = results["machine"], results["machine"]["packages"]
    size = f"{results['photos_bytes'] / 2**20:.0f} MiB"
    return (
        f"{results['photos']:,} photos ({size}), {there['cores']} cores ({there['cpu']}), "
        f"{there['system']}, Python {there['python']}, TensorFlow {packages['tensorflow']}, "
        f"Pillow {packages['pillow']}; medians of {results['runs']} rounds.\n"
    )


def table() -> str:
    """Draw a row for each contestant of each work."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    head = "| contestant | median | photos/s | ratio |\n|---|---|---|---|"
    sections = []
    for work in results["works"]:
        rows = "\n".join(_rows(work))
        sections.append(f"\n### {work['name']}: {work['about']}\n\n{head}\n{rows}\n")
    return "".join(sections)


def _rows(work: dict[str, Any]) -> Iterator[str]:
    for one in work["contestants"]:
        if one["median"] is None:
            yield f"| {one['name']} | {one['why_not']} | | |"
            continue
        rate = one["photos_per_second"]
        cells = (
            f"**{one['name']}**" if one["role"] == "ours" else one["name"],
            f"{one['median']:.3g} {work['unit']}",
            f"{rate:,.0f}" if rate else "",
            f"{one['ratio']:.2f}" if one["ratio"] else "",
        )
        yield f"| {' | '.join(cells)} |"
