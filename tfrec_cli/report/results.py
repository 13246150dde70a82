"""Results as text, as JSON, as pictures and pages.

Knows: how a person and a program want to read results. Must not know: streams, exit codes.
"""

from __future__ import annotations

import base64
import io
import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfrec_cli.runtime.paths import printable

if TYPE_CHECKING:
    from PIL import Image

    from tfrec_cli.commands.extract import Extracted
    from tfrec_cli.commands.inspect_ import FeatureSummary, Sample, Summary, Tally
    from tfrec_cli.commands.reshard import Resharded
    from tfrec_cli.commands.salvage import Salvaged
    from tfrec_cli.commands.verify import Report
    from tfrec_cli.commands.write import Result
    from tfrec_cli.tfrecord.framing import Record

JSON_VERSION = 1
_LABELS_SHOWN = 20
_SHARDS_SHOWN = 20
_LOST_SHOWN = 20
_VALUES_SHOWN = 8
_THUMBNAIL_PX = 128
_CAPTION_PX = 14
_COLUMNS = 8


def size(count: float) -> str:
    """Write a number of bytes for a person: ``9.3 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < (1024 if unit == "B" else 1023.95) or unit == "TiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError


def plural(count: int, noun: str) -> str:
    """Write a count with its noun: ``1 shard``, ``2 shards``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def write_text(result: Result) -> str:
    """Say what ``tfrec write`` did, or would do."""
    several = bool(result.more)
    return "\n".join(_write_text(one, named=several) for one in [result, *result.more])


def _write_text(result: Result, *, named: bool) -> str:
    made = result.manifest
    plan = result.plan
    shards = plural(len(plan.sizes), "shard") + f" of split {result.split}" * named
    if made is None:
        lines = [
            f"would write {plural(plan.records, 'record')} in {shards} to {result.out}, "
            f"about {size(plan.estimated_bytes)} from {size(result.source_bytes)} of images"
        ]
    else:
        written = sum(shard.size_bytes for shard in made.shards)
        lines = [
            f"wrote {plural(made.records, 'record')} in {shards} to {result.out}, "
            f"{size(written)} from {size(result.source_bytes)} of images"
        ]
    rows: list[tuple[str, str]] = []
    if made:
        what = "whole images"
        if made.crop:
            what = f"centre crops of {made.crop[0]}x{made.crop[1]}, {made.stored}"
        rows += [("stored", what)]
    if result.labels is not None:
        names = ", ".join(result.labels[:8]) + ("…" if len(result.labels) > 8 else "")
        rows += [("labels", f"{len(result.labels)}: {names}")]
    if result.columns:
        told = ", ".join(map(str, result.columns[:8])) + ("…" if len(result.columns) > 8 else "")
        rows += [("features", f"{len(result.columns)}: {told}")]
    if made:
        rows += [("changed", _counts(made.changes))] if made.changes else []
        rows += [("ICC", f"{made.icc_profiles} colour profiles, not applied")] * bool(
            made.icc_profiles
        )
        rows += [("digest", made.content_sha256)]
    bad = [reject for reject in result.rejects if not reject.harmless]
    harmless = [reject for reject in result.rejects if reject.harmless]
    for title, group in (("left out", bad), ("ignored", harmless)):
        if group:
            reasons: dict[str, int] = {}
            for reject in group:
                reasons[reject.reason] = reasons.get(reject.reason, 0) + 1
            where = f" ({result.out / made.rejects_file})" if made and group is bad else ""
            rows += [(title, _counts(reasons) + where)]
    return "\n".join(_safe(line) for line in lines + [f"  {t:<9} {value}" for t, value in rows])


def write_json(result: Result) -> str:
    """Say the same for a program."""
    return _json(
        "tfrec-write",
        {
            "out": str(result.out),
            "dry_run": result.manifest is None,
            "labels": result.labels,
            "columns": [asdict(column) for column in result.columns],
            "warnings": result.warnings,
            **_split_values(result),
            "more": [_split_values(one) for one in result.more],
        },
    )


def _split_values(result: Result) -> dict[str, Any]:
    made = result.manifest
    return {
        "split": result.split,
        "records": made.records if made else result.plan.records,
        "shards": len(result.plan.sizes),
        "shard_records": [one.records for one in made.shards] if made else result.plan.sizes,
        "size_bytes": sum(one.size_bytes for one in made.shards) if made else None,
        "estimated_bytes": result.plan.estimated_bytes,
        "source_bytes": result.source_bytes,
        "rejects": [
            {
                "path": os.fsdecode(reject.path),
                "reason": reject.reason,
                "message": reject.message,
                "ignored": reject.harmless,
            }
            for reject in result.rejects
        ],
        "manifest": asdict(made) if made else None,
    }


def verify_text(report: Report) -> str:
    """Say what ``tfrec verify`` found: the fingerprint on a line of its own."""
    total = f"{plural(report.records, 'record')} in {plural(report.shards, 'shard')}"
    lines = [f"{report.path}: {total}, {size(report.size_bytes)}"]
    lines += [f"  checked   {check}" for check in report.checks]
    lines += [f"  unchecked {unchecked}" for unchecked in report.unchecked]
    lines += [str(finding) for finding in report.findings]
    if report.fingerprint:
        lines.append(report.fingerprint)
    lines.append(plural(len(report.findings), "finding") if report.findings else "no findings")
    return "\n".join(_safe(line) for line in lines)


def verify_json(report: Report) -> str:
    """Say the same for a program."""
    values = asdict(report)
    values["findings"] = [
        {**finding, "path": str(finding["path"])} for finding in values["findings"]
    ]
    return _json("tfrec-verify", {**values, "path": str(report.path)}, ok=not report.findings)


def salvage_text(result: Salvaged) -> str:
    """Say what ``tfrec salvage`` saved, and what is lost."""
    of = "" if result.promised is None else f" of {result.promised:,}"
    lines = [
        f"{result.out}: {plural(result.records, 'whole record')}{of}, {size(result.out_bytes)} "
        f"from {size(result.read_bytes)}"
    ]
    if result.compression != "none":
        lines.append(f"  places    in the decompressed stream of {result.compression}")
    if result.is_original:
        lines.append("  the same  bytes as the shard that the manifest promises")
    if result.duplicates:
        lines.append(f"  copies    {plural(result.duplicates, 'record')} like one before")
    rows = [f"  lost      bytes [{one.start}, {one.stop}): {one.why}" for one in result.lost]
    lines += _first(rows, "ranges")
    if result.lost_records:
        numbers = [f"{number:,}" for number in result.lost_records]
        lines.append(f"  lost      records {', '.join(_first(numbers, 'records'))}")
    names = [f"  lost      {os.fsdecode(name)}" for name in result.lost_names or ()]
    lines += _first(names, "files")
    strange = [f"  strange   {one}" for one in result.strange]
    lines += _first(strange, "records", result.strange_records)
    lines += [f"  unchecked {unchecked}" for unchecked in result.unchecked]
    lines.append("something is lost" if result.is_less else "nothing is lost")
    return "\n".join(_safe(line) for line in lines)


def salvage_json(result: Salvaged) -> str:
    """Say the same for a program."""
    values = asdict(result)
    names = values.pop("lost_names")
    return _json(
        "tfrec-salvage",
        {
            **values,
            "path": os.fsdecode(result.path),
            "out": os.fsdecode(result.out),
            "lost": [
                {"start_bytes": one.start, "stop_bytes": one.stop, "message": one.why}
                for one in result.lost
            ],
            "lost_paths": None if names is None else [os.fsdecode(name) for name in names],
        },
        ok=not result.is_less,
    )


def extract_text(result: Extracted) -> str:
    """Say what ``tfrec extract`` wrote."""
    lines = [f"wrote {plural(result.files, 'file')} to {result.out}, {size(result.size_bytes)}"]
    rows = [("splits", ", ".join(result.splits))] if result.splits else []
    rows += [("formats", _counts(result.formats))]
    if result.renamed:
        rows += [("renamed", f"{result.renamed:,} got their format's extension behind their name")]
    if result.numbered:
        rows += [("numbered", f"{result.numbered:,} without a usable name")]
    if result.empty:
        names = ", ".join(result.empty[:8]) + ("…" if len(result.empty) > 8 else "")
        rows += [("no folder", f"for {plural(len(result.empty), 'label')} without images: {names}")]
    return "\n".join(_safe(line) for line in lines + [f"  {t:<9} {value}" for t, value in rows])


def extract_json(result: Extracted) -> str:
    """Say the same for a program."""
    return _json("tfrec-extract", {**asdict(result), "out": os.fsdecode(result.out)})


def reshard_text(result: Resharded) -> str:
    """Say what ``tfrec reshard`` made."""
    records = sum(made.records for made in result.after)
    written = sum(shard.size_bytes for made in result.after for shard in made.shards)
    lines = [f"copied {plural(records, 'record')} to {result.out}, {size(written)}"]
    for was, made in zip(result.before, result.after, strict=True):
        shards = f"{len(was.shards):,} to {plural(len(made.shards), 'shard')}"
        lines += [f"  {made.split:<9} {plural(made.records, 'record')}, from {shards}"]
        lines += [f"  digest    {made.content_sha256}"]
    return "\n".join(_safe(line) for line in lines)


def reshard_json(result: Resharded) -> str:
    """Say the same for a program."""
    return _json(
        "tfrec-reshard",
        {
            "path": os.fsdecode(result.path),
            "out": os.fsdecode(result.out),
            "splits": [
                {
                    "split": made.split,
                    "records": made.records,
                    "shards_before": len(was.shards),
                    "shards": len(made.shards),
                    "manifest": asdict(made),
                }
                for was, made in zip(result.before, result.after, strict=True)
            ],
        },
    )


def _first(words: Sequence[str], what: str, count: int | None = None) -> list[str]:
    """Return the first words, and how many more there are."""
    more = (count or len(words)) - len(words[:_LOST_SHOWN])
    return [*words[:_LOST_SHOWN], *([f"… and {more:,} more {what}"] if more else [])]


def inspect_text(summary: Summary, spec: str, *, all_labels: bool) -> str:
    """Say what some record files hold."""
    lines = []
    shown = [
        shard
        for place, shard in enumerate(summary.shards)
        if place < _SHARDS_SHOWN or shard.problem
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
    lines += _table(("file", "records", "bytes", "", ""), rows)
    if len(summary.shards) > len(shown):
        lines.append(f"… and {len(summary.shards) - len(shown)} more")
    payloads = ", ".join(
        kind if len(summary.payloads) == 1 else f"{count} {kind}"
        for kind, count in summary.payloads.most_common()
    )
    total = sum(shard.size_bytes for shard in summary.shards)
    what = f"{plural(summary.records, 'record')} in {plural(len(summary.shards), 'file')}"
    lines += ["", f"{what}, {size(total)}" + (f": {payloads}" if payloads else "")]
    if summary.features:
        lines += ["", *_table(_FEATURE_TITLES, _feature_rows(summary))]
    if summary.events:
        lines += ["", f"events: {_counts(dict(summary.events.most_common()))}"]
    if summary.first_bytes is not None:
        start = summary.first_bytes.hex(" ") or "none, it is empty"
        lines += ["", f"first bytes of an unknown record: {start}"]
    if summary.heights.spread():
        lines += ["", f"image height  {_spread(summary.heights)} px (least / median / greatest)"]
        lines += [f"image width   {_spread(summary.widths)} px"]
    if summary.labels:
        lines += ["", *_label_lines(summary, all_labels=all_labels)]
    if spec:
        lines += ["", "# to parse with TensorFlow", spec]
    return "\n".join(_safe(line, newlines=True) for line in lines)


def inspect_json(summary: Summary, spec: str) -> str:
    """Say the same for a program."""
    return _json(
        "tfrec-inspect",
        {
            "records": summary.records,
            "size_bytes": sum(shard.size_bytes for shard in summary.shards),
            "files": [
                {**asdict(shard), "path": os.fsdecode(shard.path)} for shard in summary.shards
            ],
            "payloads": dict(summary.payloads),
            "features": {
                name: {
                    "records": one.records,
                    "types": dict(one.kinds),
                    "values": one.counts.spread(),
                    "value_bytes": one.lengths.spread(),
                    "numbers": one.numbers.spread(),
                    "holds": dict(one.contents),
                    "steps": one.steps.spread() if one.steps else None,
                }
                for name, one in sorted(summary.features.items())
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
        ok=not summary.problems,
    )


def records_text(found: Iterable[tuple[Path, int, Record, dict[str, Any]]]) -> str:
    """Show single records: their place, and each feature's first values."""
    from tfrec_cli.commands.inspect_ import size_of

    lines: list[str] = []
    for path, number, record, features in found:
        lines.append(f"record {number}: {path} at byte {record.offset_bytes}")
        size = size_of(features)
        for name, feature in sorted(features.items()):
            lines.append(f"  {name}  {feature.kind}  {_values(feature, size)}")
        if not features:
            lines.append(f"  {len(record.payload)} bytes: {record.payload[:32].hex(' ')}")
    return "\n".join(_safe(line) for line in lines)


def records_json(found: Iterable[tuple[Path, int, Record, dict[str, Any]]]) -> str:
    """Show the same for a program; bytes as text where they are, else their length alone."""
    from tfrec_cli.commands.inspect_ import size_of

    return _json(
        "tfrec-records",
        {
            "shown": [
                {
                    "number": number,
                    "path": os.fsdecode(path),
                    "record": record.index,
                    "offset_bytes": record.offset_bytes,
                    "payload_bytes": len(record.payload),
                    "features": {
                        name: {
                            "type": feature.kind,
                            "values": [_json_value(value, size) for value in feature.values],
                        }
                        for name, feature in sorted(features.items())
                    },
                }
                for path, number, record, features in found
                for size in [size_of(features)]
            ]
        },
    )


def error_json(command: str | None, exit_code: int, message: str, details: Sequence[str]) -> str:
    """Say for a program what ended another one before it had a result."""
    values = {"command": command, "exit_code": exit_code, "message": message, "details": details}
    return _json("tfrec-error", values, ok=False)


def contact_sheet(samples: Sequence[Sample]) -> Image.Image:
    """Lay pictures out in rows, each with its caption."""
    from PIL import Image, ImageDraw

    columns = min(_COLUMNS, len(samples))
    rows = -(-len(samples) // columns)
    cell, gap = _THUMBNAIL_PX, 6
    width = columns * (cell + gap) + gap
    height = rows * (cell + _CAPTION_PX + gap) + gap
    sheet = Image.new("RGB", (width, height), "#f4f4f4")
    draw = ImageDraw.Draw(sheet)
    for number, sample in enumerate(samples):
        picture = _thumbnail(sample)
        left = gap + number % columns * (cell + gap)
        top = gap + number // columns * (cell + _CAPTION_PX + gap)
        sheet.paste(picture, (left + (cell - picture.width) // 2, top + cell - picture.height))
        caption = _printable(sample.caption.rsplit("/", 1)[-1])
        while caption and draw.textlength(caption) > cell:
            caption = caption[:-2].rstrip("…") + "…"
        draw.text((left + cell // 2, top + cell + 1), caption, fill="#333333", anchor="ma")
    return sheet


def html_page(summary: Summary, spec: str, samples: Sequence[Sample]) -> str:
    """Make one page without outside files: tables, labels, pictures."""
    shards = _html_table(
        ("file", "records", "bytes", "compression", "problem"),
        [
            (
                str(shard.path),
                f"{shard.records:,}",
                size(shard.size_bytes),
                shard.compression,
                shard.problem or "",
            )
            for shard in summary.shards
        ],
    )
    most = max(summary.labels.values(), default=1)
    bars = "".join(
        f"<tr><td>{label}</td><td>{_text(summary.label_names.get(label, ''))}</td>"
        f'<td><meter max="{most}" value="{count}"></meter> {count:,}</td></tr>'
        for label, count in sorted(summary.labels.items())
    )
    figures = "".join(
        f'<figure><img alt="" src="data:image/png;base64,{_png(sample)}">'
        f"<figcaption>{_text(sample.caption)}</figcaption></figure>"
        for sample in samples
    )
    features = _html_table(_FEATURE_TITLES, _feature_rows(summary))
    sections = [
        f"<h1>{plural(summary.records, 'record')}</h1>",
        f"<section class='pictures'>{figures}</section>" if figures else "",
        f"<h2>Files</h2>{shards}",
        f"<h2>Features</h2>{features}" if summary.features else "",
        f"<h2>Labels</h2><table>{bars}</table>" if bars else "",
        f"<h2>To parse with TensorFlow</h2><pre>{_text(spec)}</pre>" if spec else "",
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>tfrec inspect</title><style>{_STYLE}</style>{''.join(sections)}</html>\n"
    )


_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;"
    "color:#222}table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;text-align:left;"
    "border-bottom:1px solid #ddd;vertical-align:top}pre{background:#f4f4f4;padding:1rem;"
    "overflow:auto}.pictures{display:flex;flex-wrap:wrap;gap:.6rem}figure{margin:0;width:128px}"
    "figcaption{font-size:.7rem;overflow-wrap:anywhere}img{display:block}"
)
_FEATURE_TITLES = ("feature", "type", "in", "values", "bytes or numbers", "holds")


def _feature_rows(summary: Summary) -> list[tuple[str, ...]]:
    return [
        (
            name,
            ", ".join(one.kinds) or "unset",
            "all" if one.records == summary.records else f"{one.records:,}",
            _spread(one.counts) + (f" in {_spread(one.steps)} steps" if one.steps else ""),
            "" if summary.names and name == summary.names.key else _sizes(one),
            _contents(one),
        )
        for name, one in sorted(summary.features.items())
    ]


def _sizes(one: FeatureSummary) -> str:
    return _spread(one.lengths if one.lengths.spread() else one.numbers)


def _contents(one: FeatureSummary) -> str:
    kinds = one.contents.most_common(4)
    if len(one.contents) == 1:
        return kinds[0][0]
    more = len(one.contents) - len(kinds)
    words = [f"{count:,} {kind}" for kind, count in kinds]
    return ", ".join(words + ([f"{more} other kinds"] if more else []))


def _spread(tally: Tally) -> str:
    spread = tally.spread()
    if spread is None:
        return ""
    least, median, greatest = spread
    return f"{least}" if least == greatest else f"{least} / {median} / {greatest}"


def _label_lines(summary: Summary, *, all_labels: bool) -> list[str]:
    labels = sorted(summary.labels.items())
    shown = labels if all_labels else labels[:_LABELS_SHOWN]
    rows = [
        (str(label), summary.label_names.get(label, ""), f"{count:,}") for label, count in shown
    ]
    lines = _table(("label", "name", "records"), rows)
    if len(shown) < len(labels):
        lines.append(f"… and {len(labels) - len(shown)} more (--labels shows all)")
    return lines


def _values(feature: Any, size: tuple[int | None, int | None]) -> str:
    shown = [
        _bytes(value, size)
        if isinstance(value, bytes)
        else f"{value:.6g}"
        if isinstance(value, float)
        else str(value)
        for value in feature.values[:_VALUES_SHOWN]
    ]
    more = len(feature.values) - len(shown)
    return ", ".join(shown) + (f", … {more} more" if more > 0 else "")


def _bytes(value: bytes, size: tuple[int | None, int | None]) -> str:
    from tfrec_cli.commands.inspect_ import content

    kind = content(value, size)
    if kind == "empty":
        return kind
    if kind == "text" and len(value) <= 200:
        return repr(value.decode())
    start = f", {value[:8].hex(' ')}…" if kind == "binary" else ""
    return f"{kind} of {len(value):,} bytes{start}"


def _json_value(value: Any, size: tuple[int | None, int | None]) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if not isinstance(value, bytes):
        return value
    from tfrec_cli.commands.inspect_ import content

    kind = content(value, size)
    if kind == "text":
        try:
            return value.decode()
        except UnicodeDecodeError:  # behind its first bytes
            kind = "binary"
    return {"size_bytes": len(value), "holds": kind}


def _counts(counts: Any) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Align columns; a column without a single value is left out."""
    kept = [column for column in range(len(titles)) if any(row[column] for row in rows)]
    lines = [[titles[column] for column in kept]]
    lines += [[_printable(row[column]) for column in kept] for row in rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(kept))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def _thumbnail(sample: Sample) -> Image.Image:
    from PIL import Image

    picture = Image.fromarray(sample.pixels)
    picture.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX))
    return picture


def _png(sample: Sample) -> str:
    out = io.BytesIO()
    _thumbnail(sample).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def _html_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{_text(title)}</th>" for title in titles)
    body = "".join(
        "<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _text(value: str) -> str:
    import html

    return html.escape(_printable(value, newlines=True))


def _printable(value: str, *, newlines: bool = False) -> str:
    lines = value.split("\n") if newlines else [value]
    return "\n".join(printable(os.fsencode(line)) for line in lines)


def _safe(line: str, *, newlines: bool = False) -> str:
    """Return a line that cannot disturb a terminal, whatever names are in it."""
    return _printable(line, newlines=newlines)


def _json(name: str, values: dict[str, Any], *, ok: bool = True) -> str:
    """Put a document into the envelope that all have; see docs/json.md."""
    envelope = {"format": name, "format_version": JSON_VERSION, "ok": ok}
    return json.dumps({**envelope, **values}, indent=2, allow_nan=False)
