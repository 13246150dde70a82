"""The result of ``tfrec extract``, for a person and as JSON."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tfrec_cli.report.format import beginning, counts, facts, json_document, plural, safe_text, size

if TYPE_CHECKING:
    from tfrec_cli.commands.extract import Extracted


def text(result: Extracted) -> str:
    """Return the result as text."""
    files = plural(result.files, "file")
    rows = [("splits", ", ".join(result.splits))] if result.splits else []
    rows += [("formats", counts(result.formats))]
    if result.renamed:
        rows += [("renamed", f"{result.renamed:,} got the right extension appended")]
    if result.numbered:
        rows += [("numbered", f"{result.numbered:,} without a usable name")]
    if result.empty:
        labels = plural(len(result.empty), "label")
        rows += [("no folder", f"for {labels} without images: {beginning(result.empty)}")]
    line = f"wrote {files} to {result.out}, {size(result.size_bytes)}"
    return safe_text([line, *facts(rows)])


def document(result: Extracted) -> str:
    """Return the result as JSON."""
    return json_document(
        "tfrec-extract",
        {
            "out": os.fsdecode(result.out),
            "splits": result.splits,
            "files": result.files,
            "size_bytes": result.size_bytes,
            "formats": result.formats,
            "renamed": result.renamed,
            "numbered": result.numbered,
            "empty": result.empty,
            "warnings": result.warnings,
        },
    )
