"""The result of ``tfrec write``, for a person and as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tfrec_cli.report.format import (
    beginning,
    counts,
    facts,
    json_document,
    plural,
    safe_text,
    size,
    stored,
)

if TYPE_CHECKING:
    from tfrec_cli.commands.write import Written


def text(result: Written) -> str:
    """Return the result as text."""
    several = bool(result.more)
    total = sum(split.records for split in result.splits)
    return "\n".join(_split_text(split, total, named=several) for split in result.splits)


def document(result: Written) -> str:
    """Return the result as JSON."""
    return json_document(
        "tfrec-write",
        {
            "out": str(result.out),
            "dry_run": result.manifest is None,
            "labels": result.labels,
            "columns": [asdict(column) for column in result.columns],
            "warnings": result.warnings,
            **_split_values(result),
            "more": [_split_values(split) for split in result.more],
        },
    )


def _split_text(result: Written, total: int, *, named: bool) -> str:
    manifest = result.manifest
    plan = result.plan
    shards = plural(len(plan.sizes), "shard") + f" of split {result.split}" * named
    source = f"{size(result.source_bytes)} of images"
    if manifest is None:
        line = (
            f"would write {plural(plan.records, 'record')} in {shards} to {result.out}, "
            f"about {size(plan.estimated_bytes)} from {source}"
        )
    else:
        size_bytes = sum(shard.size_bytes for shard in manifest.shards)
        wrote = "already written:" if result.existed else "wrote"
        line = (
            f"{wrote} {plural(manifest.records, 'record')} in {shards} to {result.out}, "
            f"{size(size_bytes)} from {source}"
        )
    return safe_text([line, *facts(_facts(result, total))])


def _facts(result: Written, total: int) -> list[tuple[str, str]]:
    manifest = result.manifest
    rows: list[tuple[str, str]] = []
    if result.groups is not None:
        share = f"{result.records / total:.1%} of all images" if total else "no image"
        rows += [("groups", f"{result.groups}, none of them parted; {share}")]
    if manifest:
        rows += [("stored", stored(manifest))]
    if result.labels is not None:
        rows += [("labels", f"{len(result.labels)}: {beginning(result.labels)}")]
    if result.columns:
        rows += [("features", f"{len(result.columns)}: {beginning(result.columns)}")]
    if manifest:
        if manifest.changes:
            rows += [("changed", counts(manifest.changes))]
        if manifest.icc_profiles:
            rows += [("ICC", f"{manifest.icc_profiles} colour profiles, not applied")]
        rows += [("digest", manifest.content_sha256)]
    bad = Counter(reject.reason for reject in result.rejects if not reject.harmless)
    harmless = Counter(reject.reason for reject in result.rejects if reject.harmless)
    if bad:
        where = f" ({result.out / manifest.rejects_file})" if manifest else ""
        rows += [("left out", counts(bad) + where)]
    if harmless:
        rows += [("ignored", counts(harmless))]
    return rows


def _split_values(result: Written) -> dict[str, Any]:
    manifest = result.manifest
    shards = manifest.shards if manifest else ()
    return {
        "split": result.split,
        "records": result.records,
        "shards": len(result.plan.sizes),
        "shard_records": [shard.records for shard in shards] if manifest else result.plan.sizes,
        "size_bytes": sum(shard.size_bytes for shard in shards) if manifest else None,
        "estimated_bytes": result.plan.estimated_bytes,
        "source_bytes": result.source_bytes,
        "rejects": [reject.document() for reject in result.rejects],
        "manifest": manifest.document() if manifest else None,
    }
