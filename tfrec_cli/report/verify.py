"""The result of ``tfrec verify``, for a person and as JSON."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfrec_cli.checking.finding import MOST_LISTED
from tfrec_cli.dataset.discover import can_be_salvaged
from tfrec_cli.report.format import command, counts, facts, json_document, plural, safe_text, size

if TYPE_CHECKING:
    from tfrec_cli.checking.finding import Finding, Kind
    from tfrec_cli.commands.verify import Verified


_DAMAGE: frozenset[Kind] = frozenset(
    {"missing", "size", "sha256", "count", "framing", "example", "contract", "image", "content"}
)
"""Kinds of findings after which a dataset has to be written again."""


def text(report: Verified, *, verbose: bool = False) -> str:
    """Return the result as text, with the fingerprint on a line of its own.

    Args:
        verbose: list every finding, not only the first of each kind, and every damaged image.
    """
    there = f"{report.shards - report.missing_shards:,} of " if report.missing_shards else ""
    records = f"{plural(report.records, 'record')} in {there}{plural(report.shards, 'shard')}"
    lines = [f"{report.path}: {records}, {size(report.size_bytes)}"]
    lines += [f"  checked   {check}" for check in report.checks]
    lines += [f"  unchecked {unchecked}" for unchecked in report.unchecked]
    lines += [f"  damaged   {image}" for image in report.damaged if verbose]
    lines += map(str, report.findings) if verbose else _first(report)
    if report.fingerprint:
        lines.append(report.fingerprint)
    lines += facts(_next(report))
    lines.append(_verdict(report.findings))
    return safe_text(lines)


def _first(report: Verified) -> list[str]:
    """Return a line for each of the first findings of a kind, and one that counts the others.

    A group of findings is one line.
    """
    lines = [group.text for group in report.groups]
    grouped = {finding for group in report.groups for finding in group.findings}
    kinds, others = Counter[str](), Counter[str]()
    for finding in report.findings:
        if finding in grouped:
            continue
        kinds[finding.kind] += 1
        if kinds[finding.kind] <= MOST_LISTED:
            lines.append(str(finding))
        else:
            others[finding.kind] += 1
    if others:
        lines.append(f"and {others.total():,} more ({counts(others)}): -v names all")
    return lines


def _next(report: Verified) -> Iterator[tuple[str, str]]:
    """Say which commands save intact records, and make the dataset whole again."""
    findings = (one for one in report.findings if one.kind == "framing")
    torn = list(dict.fromkeys(one.path for one in findings if can_be_salvaged(one.message)))
    if torn and report.records:
        more = f"; {plural(len(torn) - 1, 'more file')} too" if len(torn) > 1 else ""
        words = command("salvage", torn[0], Path(f"saved-{torn[0].name}"))
        yield "next", f"`{words}` saves the intact records{more}"
    if report.is_described and any(one.kind in _DAMAGE for one in report.findings):
        yield "next", "`tfrec write … --overwrite`, otherwise as before, writes the dataset again"


def _verdict(findings: Sequence[Finding]) -> str:
    """Count the findings, by kind if they are many."""
    if not findings:
        return "no findings"
    kinds = Counter[str](finding.kind for finding in findings)
    verdict = plural(len(findings), "finding")
    return verdict + f": {counts(kinds)}" * (len(findings) > MOST_LISTED)


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
            "damaged": [
                {
                    "path": str(image.path),
                    "record": image.record,
                    "name": os.fsdecode(image.name) if image.name else None,
                    "message": image.message,
                }
                for image in report.damaged
            ],
            "checks": report.checks,
            "unchecked": report.unchecked,
            "fingerprint": report.fingerprint,
        },
        ok=report.ok,
    )
