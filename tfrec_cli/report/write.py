"""The result of ``tfrec write``, for a person and as JSON."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tfrec_cli.report.format import (
    beginning,
    command,
    counts,
    facts,
    json_document,
    plural,
    rounded,
    safe_text,
    shortened,
    size,
    stored,
)
from tfrec_cli.runtime.paths import printable
from tfrec_cli.sources.labels import is_named

if TYPE_CHECKING:
    from tfrec_cli.commands.write import Written

_NAME_COLUMNS = 16
"""Longest name of a class in the line about images per class."""

_PATH_COLUMNS = 27
"""Longest path of a copy."""


def text(result: Written) -> str:
    """Return the result as text."""
    several = bool(result.more)
    total = _all_images(result)
    used = {number for split in result.splits for number in split.class_records}
    blocks = [_split_text(split, total, used, named=several) for split in result.splits]
    return "\n".join([*blocks, *filter(None, [safe_text(facts(_facts_of_all(result)))])])


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
            **_figures(result),
            **_split_values(result),
            "more": [_split_values(split) for split in result.more],
        },
    )


def _split_text(result: Written, total: int, used: Collection[int], *, named: bool) -> str:
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
    return safe_text([line, *facts(_facts(result, total, used))])


def _facts(result: Written, total: int, used: Collection[int]) -> list[tuple[str, str]]:
    manifest = result.manifest
    rows: list[tuple[str, str]] = []
    if result.groups is not None:
        share = f"{result.records / total:.1%} of all images" if total else "no image"
        kept = "none of them parted" if result.groups > 1 else "not parted"
        rows += [("groups", f"{result.groups:,}, {kept}; {share}")]
    if manifest:
        rows += [("stored", stored(manifest))]
    elif result.resize_short:
        rows += [("scaled", f"the shorter side of each image to {result.resize_short} pixels")]
    rows += _label_facts(result, used)
    if result.columns:
        rows += [("features", f"{len(result.columns)}: {beginning(result.columns)}")]
    if manifest:
        if manifest.changes:
            rows += [("changed", counts(manifest.changes))]
        if manifest.icc_profiles:
            rows += [("ICC", f"{plural(manifest.icc_profiles, 'colour profile')}, not applied")]
        rows += [("digest", manifest.content_sha256)]
    bad = Counter(reject.reason for reject in result.rejects if not reject.harmless)
    harmless = Counter(reject.reason for reject in result.rejects if reject.harmless)
    if bad:
        where = f" ({result.out / manifest.rejects_file})" if manifest else ""
        rows += [("left out", counts(bad) + where)]
    if harmless:
        rows += [("ignored", counts(harmless))]
    return rows


def _label_facts(result: Written, used: Collection[int]) -> list[tuple[str, str]]:
    if result.labels is None:
        return [("labels", f"none: {_unlabelled(result)}")]
    rows = [("labels", f"{len(result.labels):,}: {beginning(result.labels)}")]
    if result.class_records:
        rows += [("per class", _per_class(result, result.labels, used))]
    return rows


def _unlabelled(result: Written) -> str:
    """Say why there are no labels, and which columns may be meant."""
    if not result.label_columns:
        return result.unlabelled
    names = beginning(result.label_columns)
    return f"no column has a name known for labels: {names} (--label-column NAME)"


def _per_class(result: Written, names: Sequence[str], used: Collection[int]) -> str:
    """Describe how many images the classes have.

    Args:
        used: the classes of all splits; other numbers without a class are passed over.
    """
    numbers = [n for n, name in enumerate(names) if n in used or is_named(n, name)]
    counts = {number: result.class_records.get(number, 0) for number in numbers}
    ordered = sorted(counts.items(), key=lambda pair: pair[1])
    (least_class, least), (most_class, most) = ordered[0], ordered[-1]
    if least == most:
        return plural(least, "image") + " each" * (len(ordered) > 1)
    median = ordered[(len(ordered) - 1) // 2][1]
    first, last = (shortened(names[number], _NAME_COLUMNS) for number in (least_class, most_class))
    empty = [*counts.values()].count(0)
    first = f"{empty:,} classes" if empty > 1 else first
    words = f"{least:,} ({first}) to {most:,} ({last})"
    return words + f", median {median:,}" * (len(ordered) > 2)


def _facts_of_all(result: Written) -> list[tuple[str, str]]:
    """Return what is said once, after all splits."""
    rows: list[tuple[str, str]] = []
    if result.crop_share is not None:
        kept = f"keeps {max(result.crop_share, 0.01):.0%} of the median photo"
        hint = f"; {result.resize_hint} would keep more" if result.resize_hint else ""
        rows += [("crop", kept + hint)]
    if result.copies and result.copies.records:
        copies = result.copies
        copy, first = (shortened(printable(path), _PATH_COLUMNS) for path in copies.pairs[0])
        words = [
            f"{copies.records:,} of {plural(_all_images(result), 'image')}",
            f"{copies.other_label:,} with another label" if copies.other_label else "",
            f"{copies.other_split:,} in another split" if copies.other_split else "",
        ]
        rows += [("copies", ", ".join(filter(None, words))), ("", f"such as {first} and {copy}")]
    if result.seconds is not None:
        took = f"{result.seconds:.{1 if result.seconds >= 1 else 2}f} s"
        if rates := _rates(result):
            took += f": {rounded(rates[0])} photos/s, {size(rates[1])}/s"
        else:
            took += f"; {plural(result.kept_shards, 'shard')} kept of the interrupted write"
        rows += [("took", took)]
    if result.manifest:
        rows += [("next", command("verify", result.out))]
    elif not result.is_decoded:
        todo = "--check decode reads all to the end, as `tfrec check` does"
        rows += [("unchecked", f"images after their headers: {todo}")]
    return rows


def _figures(result: Written) -> dict[str, Any]:
    photos, size_bytes = _rates(result) or (None, None)
    copies = result.copies
    return {
        "unlabelled": result.unlabelled or None,
        "crop_share": result.crop_share,
        "copies": copies
        and {
            "records": copies.records,
            "other_label": copies.other_label,
            "other_split": copies.other_split,
            "pairs": [
                {"path": os.fsdecode(copy), "first": os.fsdecode(first)}
                for copy, first in copies.pairs
            ],
        },
        "seconds": result.seconds,
        "photos_per_second": photos,
        "source_bytes_per_second": size_bytes,
    }


def _rates(result: Written) -> tuple[float, float] | None:
    """Return records and source bytes a second; None if not all shards were written."""
    if not result.seconds or result.kept_shards:
        return None
    made = [split for split in result.splits if not split.existed]
    records = sum(split.records for split in made)
    source_bytes = sum(split.source_bytes for split in made)
    return records / result.seconds, source_bytes / result.seconds


def _all_images(result: Written) -> int:
    return sum(split.records for split in result.splits)


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
        "class_records": None if result.labels is None else _class_records(result),
        "rejects": [reject.document() for reject in result.rejects],
        "damaged": [damaged.document() for damaged in result.damaged],
        "manifest": manifest.document() if manifest else None,
    }


def _class_records(result: Written) -> list[int]:
    return [result.class_records.get(number, 0) for number in range(len(result.labels or ()))]
