"""The records that ``tfrec inspect`` shows, for a person and as JSON."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tfrec_cli.inspecting.features import ImageSize, content, size_of
from tfrec_cli.report.format import json_document, safe_text

if TYPE_CHECKING:
    from tfrec_cli.inspecting.features import Shown
    from tfrec_cli.tfrecord.example import Feature

_MOST_VALUES = 8
_MOST_TEXT_BYTES = 200


def text(shown: Iterable[Shown]) -> str:
    """Return where each record is, with the first values of each feature."""
    lines: list[str] = []
    for path, number, record, features, class_names in shown:
        lines.append(f"record {number}: {path} at byte {record.offset_bytes}")
        size = size_of(features)
        for name, feature in sorted(features.items()):
            known = f" ({class_names[name]})" if name in class_names else ""
            lines.append(f"  {name}  {feature.kind}  {_values(feature, size)}{known}")
        if not features:
            lines.append(f"  {len(record.payload)} bytes: {record.payload[:32].hex(' ')}")
    return safe_text(lines)


def document(shown: Iterable[Shown]) -> str:
    """Return the result as JSON; of bytes that are not text, only their length."""
    return json_document(
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
                for path, number, record, features, _ in shown
                for size in [size_of(features)]
            ]
        },
    )


def _values(feature: Feature, size: ImageSize) -> str:
    words = [
        _bytes(value, size)
        if isinstance(value, bytes)
        else f"{value:.6g}"
        if isinstance(value, float)
        else str(value)
        for value in feature.values[:_MOST_VALUES]
    ]
    more = len(feature.values) - len(words)
    return ", ".join(words) + (f", … {more} more" if more > 0 else "")


def _bytes(value: bytes, size: ImageSize) -> str:
    kind = content(value, size)
    if kind == "empty":
        return kind
    if kind == "text" and len(value) <= _MOST_TEXT_BYTES:
        return repr(value.decode())
    start = f", {value[:8].hex(' ')}…" if kind == "binary" else ""
    return f"{kind} of {len(value):,} bytes{start}"


def _json_value(value: Any, size: ImageSize) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if not isinstance(value, bytes):
        return value
    kind = content(value, size)
    if kind == "text":
        try:
            return value.decode()
        except UnicodeDecodeError:  # not in its first bytes, but later
            kind = "binary"
    return {"size_bytes": len(value), "holds": kind}
