"""The result of ``tfrec merge``, for a person and as JSON."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tfrec_cli.report.format import facts, json_document, of_all, plural, safe_text, size

if TYPE_CHECKING:
    from tfrec_cli.commands.merge import Merged


def text(result: Merged) -> str:
    """Return the result as text, split by split."""
    manifests = [split.manifest for split in result.splits]
    records = sum(manifest.records for manifest in manifests)
    size_bytes = sum(shard.size_bytes for manifest in manifests for shard in manifest.shards)
    count = f"{plural(records, 'record')} of {plural(len(result.paths), 'dataset')}"
    line = f"merged {count} into {result.out}, {size(size_bytes)}"
    rows = []
    for split in result.splits:
        made = split.manifest
        shards = plural(len(made.shards), "shard")
        rows += [(made.split, f"{plural(made.records, 'record')} in {shards}")]
        rows += [
            ("", f"{of_all(part.records, part.before.records, 'record')} from {part.path}")
            for part in split.parts
        ]
        rows += [("digest", made.content_sha256)]
    return safe_text([line, *facts(rows)])


def document(result: Merged) -> str:
    """Return the result as JSON."""
    return json_document(
        "tfrec-merge",
        {
            "paths": list(map(os.fsdecode, result.paths)),
            "out": os.fsdecode(result.out),
            "warnings": list(result.warnings),
            "splits": [
                {
                    "split": split.manifest.split,
                    "records": split.manifest.records,
                    "shards": len(split.manifest.shards),
                    "parts": [
                        {
                            "path": os.fsdecode(part.path),
                            "records": part.records,
                            "records_before": part.before.records,
                            "shards_before": len(part.before.shards),
                        }
                        for part in split.parts
                    ],
                    "manifest": split.manifest.document(),
                }
                for split in result.splits
            ],
        },
    )
