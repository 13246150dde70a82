"""The result of ``tfrec reshard``, for a person and as JSON."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from tfrec_cli.report.format import facts, json_document, of_all, plural, safe_text, size

if TYPE_CHECKING:
    from tfrec_cli.commands.reshard import Records, Resharded
    from tfrec_cli.dataset.manifest import Manifest


def text(result: Resharded) -> str:
    """Return the result as text, split by split."""
    splits: list[Manifest | Records] = [*result.after, *result.foreign]
    records = sum(split.records for split in splits)
    size_bytes = sum(shard.size_bytes for split in splits for shard in split.shards)
    line = f"copied {plural(records, 'record')} to {result.out}, {size(size_bytes)}"
    rows = []
    for before, after in zip(result.before, result.after, strict=True):
        now = plural(len(after.shards), "shard")
        shards = f"from {len(before.shards):,} to {now}"
        if len(before.shards) == len(after.shards):
            shards = f"in {now} as before"
        count = of_all(after.records, before.records, "record")
        rows += [(after.split, f"{count}, {shards}")]
        rows += [("digest", after.content_sha256)]
    for made in result.foreign:
        files = f"{plural(made.files_before, 'file')} to {plural(len(made.shards), 'shard')}"
        count = of_all(made.records, made.records_before, "record")
        rows += [(made.split, f"{count}, from {files}")]
    if result.foreign:
        rows += [("manifest", "none: only records were copied")]
    return safe_text([line, *facts(rows)])


def document(result: Resharded) -> str:
    """Return the result as JSON."""
    copied: list[tuple[int, Manifest | Records, dict[str, Any] | None]] = [
        (len(before.shards), after, after.document())
        for before, after in zip(result.before, result.after, strict=True)
    ]
    copied += [(made.files_before, made, None) for made in result.foreign]
    return json_document(
        "tfrec-reshard",
        {
            "path": os.fsdecode(result.path),
            "out": os.fsdecode(result.out),
            "splits": [
                {
                    "split": after.split,
                    "records": after.records,
                    "shards_before": shards_before,
                    "shards": len(after.shards),
                    "manifest": manifest,
                }
                for shards_before, after, manifest in copied
            ],
        },
    )
