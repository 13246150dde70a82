"""The result of ``tfrec extract``, for a person and as JSON."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfrec_cli.report.format import beginning, counts, facts, json_document, plural, safe_text, size
from tfrec_cli.writing.options import default_of

if TYPE_CHECKING:
    from tfrec_cli.commands.extract import Extracted
    from tfrec_cli.extracting.image_list import WrittenList


def text(result: Extracted) -> str:
    """Return the result as text."""
    files = plural(result.files, "file")
    rows = [("splits", ", ".join(result.splits))] if result.splits else []
    rows += [("formats", counts(result.formats))]
    if result.images:
        rows += [("images", f"of the feature {', '.join(result.images)}")]
    if result.by_label:
        rows += [("labels", f"{result.by_label:,} in the folder of their label")]
    if result.renamed:
        rows += [("renamed", f"{result.renamed:,} got the right extension appended")]
    if result.repeated:
        rows += [("repeated", f"{result.repeated:,} got a number, since another had their name")]
    if result.numbered:
        rows += [("numbered", f"{result.numbered:,} without a usable name")]
    if result.imageless:
        rows += [("left out", f"{plural(result.imageless, 'record')} without an image")]
    if result.other_images:
        listed = [f"{name} ({word})" for name, word in result.other_images.items()]
        first = next(iter(result.other_images))
        rows += [("left out", f"{beginning(listed)}: --image {first} extracts those of {first}")]
    if result.other_values:
        rows += [("left out", f"values of {beginning(result.other_values)}")]
    rows += _list_facts(result)
    if result.empty and not result.lists:
        labels = plural(len(result.empty), "label")
        rows += [("no folder", f"for {labels} without images: {beginning(result.empty)}")]
    line = f"wrote {files} to {result.out}, {size(result.size_bytes)}"
    return safe_text([line, *facts(rows)])


def _list_facts(result: Extracted) -> list[tuple[str, str]]:
    """Name the image lists, and the commands that make the same labels and columns of them."""
    if not result.lists:
        return []
    first = result.lists[0]
    paths = ", ".join(os.fsdecode(made.path) for made in result.lists)
    return [
        ("lists", f"{paths}: {beginning(first.columns)}, which folders do not give"),
        *(("again", _again(result.out, made)) for made in result.lists),
    ]


def _again(out: Path, made: WrittenList) -> str:
    """Return the command that writes the split of an image list again."""
    words = ["tfrec", "write", os.fsdecode(out / made.path), "OUT"]
    words += [] if made.split == default_of("split") else ["--split", made.split]
    words += ["--labels", os.fsdecode(out / made.labels)] if made.labels else []
    return shlex.join([*words, *made.options])


def _lists(result: Extracted) -> list[dict[str, Any]]:
    return [
        {
            "path": os.fsdecode(made.path),
            "split": made.split,
            "columns": made.columns,
            "labels": made.labels and os.fsdecode(made.labels),
        }
        for made in result.lists
    ]


def document(result: Extracted) -> str:
    """Return the result as JSON."""
    return json_document(
        "tfrec-extract",
        {
            "out": os.fsdecode(result.out),
            "splits": result.splits,
            "files": result.files,
            "size_bytes": result.size_bytes,
            "formats": result.formats,
            "renamed": result.renamed,
            "repeated": result.repeated,
            "numbered": result.numbered,
            "by_label": result.by_label,
            "imageless": result.imageless,
            "images": result.images,
            "other_images": result.other_images,
            "other_values": result.other_values,
            "empty": result.empty,
            "warnings": result.warnings,
            "lists": _lists(result),
        },
    )
