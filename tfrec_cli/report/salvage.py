"""The result of ``tfrec salvage``, for a person and as JSON."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tfrec_cli.report.format import command, facts, first, json_document, plural, safe_text, size

if TYPE_CHECKING:
    from tfrec_cli.commands.salvage import Salvaged


def text(result: Salvaged) -> str:
    """Return the result as text."""
    of = "" if result.promised is None else f" of {result.promised:,}"
    lines = [
        f"{result.out}: {plural(result.records, 'intact record')}{of}, "
        f"{size(result.out_bytes)} from {size(result.read_bytes)}"
    ]
    if result.compression != "none":
        lines.append(f"  offsets   in the decompressed {result.compression} stream")
    if result.is_original:
        lines.append("  identical to the shard that the manifest describes")
    if result.duplicates:
        lines.append(f"  copies    {plural(result.duplicates, 'record')} equal to an earlier one")
    ranges = [f"  lost      bytes [{lost.start}, {lost.stop}): {lost.why}" for lost in result.lost]
    lines += first(ranges, "ranges")
    if result.lost_records:
        numbers = [f"{number:,}" for number in result.lost_records]
        lines.append(f"  lost      records {', '.join(first(numbers, 'records'))}")
    names = [f"  lost      {os.fsdecode(name)}" for name in result.lost_names or ()]
    lines += first(names, "files")
    strange = [f"  strange   {record}" for record in result.strange]
    lines += first(strange, "records", result.strange_records)
    lines += [f"  unchecked {unchecked}" for unchecked in result.unchecked]
    if result.records:
        lines += facts([("next", command("verify", result.out))])
    if result.records and not result.is_original:
        copies = f"{command('reshard', result.out, 'OUT')} copies its records into shards"
        lines += facts([("use", f"the readers open it; {copies}")])
    lines.append("nothing is lost" if result.ok else "something is lost")
    return safe_text(lines)


def document(result: Salvaged) -> str:
    """Return the result as JSON."""
    names = result.lost_names
    return json_document(
        "tfrec-salvage",
        {
            "path": os.fsdecode(result.path),
            "out": os.fsdecode(result.out),
            "compression": result.compression,
            "read_bytes": result.read_bytes,
            "out_bytes": result.out_bytes,
            "records": result.records,
            "duplicates": result.duplicates,
            "promised": result.promised,
            "missing": result.missing,
            "is_original": result.is_original,
            "lost": [
                {"start_bytes": lost.start, "stop_bytes": lost.stop, "message": lost.why}
                for lost in result.lost
            ],
            "lost_records": result.lost_records,
            "strange": result.strange,
            "strange_records": result.strange_records,
            "unchecked": result.unchecked,
            "lost_paths": None if names is None else [os.fsdecode(name) for name in names],
        },
        ok=result.ok,
    )
