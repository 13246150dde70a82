"""The result of ``tfrec inspect``, for a person and as JSON."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tfrec_cli.dataset.records import NAMES
from tfrec_cli.report.format import (
    counts,
    facts,
    json_document,
    plural,
    safe,
    safe_text,
    size,
    stored,
    table,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tfrec_cli.inspecting.tally import FeatureSummary, SplitSummary, Summary, Tally

_SPREAD = " / "
_SPREAD_TITLE = _SPREAD.join(("least", "median", "greatest"))
_MOST_LABELS = 10
_MOST_FILES = 20
_MEANINGS = {"key": "seed of its crops", "window": "1 if a crop decodes alone"}
"""What the features of a dataset hold, if their names do not tell."""

FEATURE_TITLES = ("feature", "type", "in", "values", "bytes or numbers", "holds")


def text(summary: Summary, *, all_labels: bool) -> str:
    """Return the result as text."""
    lines = _file_lines(summary)
    lines += ["", _total_line(summary)]
    names = _split_names(summary.splits)
    for name, split in zip(names, summary.splits, strict=True):
        lines += ["", *_split_lines(name, split)]
    if summary.features:
        rows = feature_rows(summary)
        lines += ["", *table(FEATURE_TITLES, rows)]
        if not summary.heights.spread() and any(_SPREAD in cell for row in rows for cell in row):
            lines += ["", f"three numbers are {_SPREAD_TITLE}"]
        lines += _image_lines(summary)
    if summary.events:
        lines += ["", f"events: {counts(dict(summary.events.most_common()))}"]
    if summary.first_bytes is not None:
        start = summary.first_bytes.hex(" ") or "none, it is empty"
        lines += ["", f"first bytes of an unknown record: {start}"]
    if summary.heights.spread():
        lines += ["", f"image height  {spread(summary.heights)} px ({_SPREAD_TITLE})"]
        lines += [f"image width   {spread(summary.widths)} px"]
    if summary.labels:
        lines += ["", *_label_lines(summary, all_labels=all_labels)]
    return safe_text(lines)


def notes(skipped: Sequence[Path]) -> list[str]:
    """Return what is to be said of the files of a dataset that were named but hold no records."""
    if not skipped:
        return []
    files = plural(len(skipped), "file")
    return [safe(f"skipped {files} of datasets that hold no records, such as {skipped[0]}")]


def document(summary: Summary, spec: str) -> str:
    """Return the result as JSON."""
    return json_document(
        "tfrec-inspect",
        {
            "records": summary.records,
            "size_bytes": sum(shard.size_bytes for shard in summary.shards),
            "files": [
                {
                    "path": os.fsdecode(shard.path),
                    "records": shard.records,
                    "size_bytes": shard.size_bytes,
                    "compression": shard.compression,
                    "problem": shard.problem,
                }
                for shard in summary.shards
            ],
            "payloads": dict(summary.payloads),
            "features": {
                name: {
                    "records": feature.records,
                    "types": dict(feature.kinds),
                    "values": feature.counts.spread(),
                    "value_bytes": feature.lengths.spread(),
                    "numbers": feature.numbers.spread(),
                    "holds": dict(feature.contents),
                    "steps": feature.steps.spread() if feature.steps else None,
                }
                for name, feature in sorted(summary.features.items())
            },
            "height_px": summary.heights.spread(),
            "width_px": summary.widths.spread(),
            "labels": [
                {"label": label, "name": summary.label_names.get(label), "records": count}
                for label, count in sorted(summary.labels.items())
            ],
            "events": dict(summary.events),
            "first_bytes_hex": summary.first_bytes.hex() if summary.first_bytes else None,
            "parse_spec": spec,
        },
        ok=summary.ok,
    )


def feature_rows(summary: Summary) -> list[tuple[str, ...]]:
    """Return a row under `FEATURE_TITLES` for each feature."""
    meanings = {
        getattr(NAMES[split.manifest.keys], field): meaning
        for split in summary.splits
        for field, meaning in _MEANINGS.items()
    }
    return [
        (
            name,
            ", ".join(feature.kinds) or "unset",
            "all" if feature.records == summary.records else f"{feature.records:,}",
            spread(feature.counts)
            + (f" in {spread(feature.steps)} steps" if feature.steps else ""),
            "" if summary.names and name == summary.names.key else _sizes(feature),
            _contents(feature) or meanings.get(name, ""),
        )
        for name, feature in sorted(summary.features.items())
    ]


def _image_lines(summary: Summary) -> list[str]:
    """Say which features hold images if that is not only the one that readers take."""
    found = summary.images
    most = {name: (feature.images.spread() or (0,))[-1] for name, feature in found.items()}
    single = [name for name, count in most.items() if count == 1]
    usual = summary.usual_image
    if not found or single == list(found) == [usual]:
        return []
    listed = [
        f"{name} ({_contents(feature)}{f', up to {most[name]} in a record' * (most[name] > 1)})"
        for name, feature in found.items()
    ]
    if usual:
        how = f"readers take {usual}, or another one by image=NAME"
    elif not single:
        how = "readers take one image in a record"
    else:
        how = f"readers need image={single[0]!r}" if len(found) == 1 else "readers need image=NAME"
    return ["", f"images are in {', '.join(listed)}: {how}"]


def spread(tally: Tally) -> str:
    """Format the least, median and greatest number: ``1 / 3 / 9``, or ``5`` if all are equal."""
    numbers = tally.spread()
    if numbers is None:
        return ""
    least, median, greatest = numbers
    return f"{least}" if least == greatest else _SPREAD.join(map(str, (least, median, greatest)))


def _file_lines(summary: Summary) -> list[str]:
    shown = [
        shard
        for number, shard in enumerate(summary.shards)
        if number < _MOST_FILES or shard.problem
    ]
    rows = [
        (
            str(shard.path),
            f"{shard.records:,}",
            size(shard.size_bytes),
            "" if shard.compression == "none" else shard.compression,
            shard.problem or "",
        )
        for shard in shown
    ]
    lines = table(("file", "records", "bytes", "", ""), rows)
    if len(summary.shards) > len(shown):
        lines.append(f"… and {len(summary.shards) - len(shown)} more")
    return lines


def _total_line(summary: Summary) -> str:
    payloads = ", ".join(
        kind if len(summary.payloads) == 1 else f"{count} {kind}"
        for kind, count in summary.payloads.most_common()
    )
    files = plural(len(summary.shards), "file")
    size_bytes = sum(shard.size_bytes for shard in summary.shards)
    line = f"{plural(summary.records, 'record')} in {files}, {size(size_bytes)}"
    return f"{line}: {payloads}" if payloads else line


def _split_names(splits: Sequence[SplitSummary]) -> list[str]:
    """Return the names of splits, with their folders if there are several."""
    if len({split.folder for split in splits}) > 1:
        return [str(split.folder / split.manifest.split) for split in splits]
    return [split.manifest.split for split in splits]


def _split_lines(name: str, split: SplitSummary) -> list[str]:
    manifest = split.manifest
    rows = [("stored", stored(manifest)), ("digest", manifest.content_sha256)]
    if manifest.rejects:
        where = split.folder / manifest.rejects_file
        rows += [("left out", f"{counts(manifest.rejects)} ({where})")]
    if manifest.ignored:
        rows += [("ignored", counts(manifest.ignored))]
    found = f"{plural(split.records, 'record')} in {plural(len(manifest.shards), 'shard')}"
    return [f"split {name}: {found}", *facts(rows)]


def _label_lines(summary: Summary, *, all_labels: bool) -> list[str]:
    labels = sorted(summary.labels.items())
    shown = labels if all_labels else labels[:_MOST_LABELS]
    splits = summary.splits if len(summary.splits) > 1 else []
    rows = [
        (
            str(label),
            _class_name(summary, label),
            f"{count:,}",
            *(f"{split.labels[label]:,}" for split in splits),
        )
        for label, count in shown
    ]
    lines = table(("label", "name", "records", *_split_names(splits)), rows)
    if len(shown) < len(labels):
        lines.append(f"… and {len(labels) - len(shown):,} more: --labels")
    return lines


def _class_name(summary: Summary, label: int) -> str:
    """Return the name of a class; all its names if datasets differ, and "" without one."""
    known = [split.manifest.labels or () for split in summary.splits]
    names = dict.fromkeys(labels[label] for labels in known if 0 <= label < len(labels))
    return " / ".join(names) if len(names) > 1 else summary.label_names.get(label, "")


def _sizes(feature: FeatureSummary) -> str:
    floats = feature.floats
    if floats.least <= floats.greatest:
        least, greatest = f"{floats.least:.6g}", f"{floats.greatest:.6g}"
        words = least if least == greatest else f"{least} to {greatest}"
        return words + (f", {floats.nan:,} NaN" if floats.nan else "")
    if floats.nan:
        return f"{floats.nan:,} NaN"
    return spread(feature.lengths if feature.lengths.spread() else feature.numbers)


def _contents(feature: FeatureSummary) -> str:
    kinds = feature.contents.most_common(4)
    if len(feature.contents) == 1:
        return kinds[0][0]
    more = len(feature.contents) - len(kinds)
    words = [f"{count:,} {kind}" for kind, count in kinds]
    return ", ".join(words + ([f"{more} other kinds"] if more else []))
