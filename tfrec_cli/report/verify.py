"""The result of ``tfrec verify``, for a person and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfrec_cli.report.format import json_document, plural, safe_text, size

if TYPE_CHECKING:
    from tfrec_cli.commands.verify import Verified


def text(report: Verified) -> str:
    """Return the result as text, with the fingerprint on a line of its own."""
    records = f"{plural(report.records, 'record')} in {plural(report.shards, 'shard')}"
    lines = [f"{report.path}: {records}, {size(report.size_bytes)}"]
    lines += [f"  checked   {check}" for check in report.checks]
    lines += [f"  unchecked {unchecked}" for unchecked in report.unchecked]
    lines += [str(finding) for finding in report.findings]
    if report.fingerprint:
        lines.append(report.fingerprint)
    count = len(report.findings)
    lines.append(plural(count, "finding") if count else "no findings")
    return safe_text(lines)


def document(report: Verified) -> str:
    """Return the result as JSON."""
    return json_document(
        "tfrec-verify",
        {
            "path": str(report.path),
            "shards": report.shards,
            "records": report.records,
            "size_bytes": report.size_bytes,
            "findings": [
                {
                    "kind": finding.kind,
                    "path": str(finding.path),
                    "message": finding.message,
                    "record": finding.record,
                    "offset_bytes": finding.offset_bytes,
                }
                for finding in report.findings
            ],
            "checks": report.checks,
            "unchecked": report.unchecked,
            "fingerprint": report.fingerprint,
        },
        ok=report.ok,
    )
