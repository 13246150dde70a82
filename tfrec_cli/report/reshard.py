"""The result of ``tfrec reshard``, for a person and as JSON."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tfrec_cli.report.format import facts, json_document, plural, safe_text, size

if TYPE_CHECKING:
    from tfrec_cli.commands.reshard import Resharded


def text(result: Resharded) -> str:
    """Return the result as text, split by split."""
    records = sum(manifest.records for manifest in result.after)
    size_bytes = sum(shard.size_bytes for manifest in result.after for shard in manifest.shards)
    line = f"copied {plural(records, 'record')} to {result.out}, {size(size_bytes)}"
    rows = []
    for before, after in zip(result.before, result.after, strict=True):
        shards = f"{len(before.shards):,} to {plural(len(after.shards), 'shard')}"
        rows += [(after.split, f"{plural(after.records, 'record')}, from {shards}")]
        rows += [("digest", after.content_sha256)]
    return safe_text([line, *facts(rows)])


def document(result: Resharded) -> str:
    """Return the result as JSON."""
    return json_document(
        "tfrec-reshard",
        {
            "path": os.fsdecode(result.path),
            "out": os.fsdecode(result.out),
            "splits": [
                {
                    "split": after.split,
                    "records": after.records,
                    "shards_before": len(before.shards),
                    "shards": len(after.shards),
                    "manifest": after.document(),
                }
                for before, after in zip(result.before, result.after, strict=True)
            ],
        },
    )
