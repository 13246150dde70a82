"""The result of ``tfrec check``, for a person and as JSON."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tfrec_cli.report.format import beginning, counts, facts, json_document, plural, safe_text, size

if TYPE_CHECKING:
    from tfrec_cli.commands.check import CheckedSource


def text(result: CheckedSource) -> str:
    """Return the result as text."""
    bad = Counter(reject.reason for reject in result.rejects if not reject.harmless)
    harmless = Counter(reject.reason for reject in result.rejects if reject.harmless)
    rows = []
    if result.labels is not None:
        rows += [("labels", f"{len(result.labels)}: {beginning(result.labels)}")]
    if bad:
        rows += [("left out", counts(bad))]
    if harmless:
        rows += [("ignored", counts(harmless))]
    usable = f"{plural(result.images, 'image')} can be used, {size(result.size_bytes)}"
    return safe_text([f"{result.source}: {usable}", *facts(rows)])


def document(result: CheckedSource) -> str:
    """Return the result as JSON."""
    return json_document(
        "tfrec-check",
        {
            "source": str(result.source),
            "images": result.images,
            "size_bytes": result.size_bytes,
            "labels": result.labels,
            "rejects": [reject.document() for reject in result.rejects],
            "damaged": [damaged.document() for damaged in result.damaged],
            "warnings": result.warnings,
        },
    )
