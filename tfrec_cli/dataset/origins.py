"""The splits that the records of a subset or of a merged split were copied from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from tfrec_cli.runtime import values

if TYPE_CHECKING:
    from msgspec import Meta

    from tfrec_cli.dataset.manifest import Manifest
    from tfrec_cli.dataset.schema import Count, Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One of the splits, as `tfrec write` made it."""

    split: Annotated[str, Meta(description="Name of the split.", extra={"expected": "text"})]
    records: Annotated[Count, Meta(description="Number of records that were copied.")]
    records_before: Annotated[Count, Meta(description="Number of records of the split.")]
    content_sha256: Annotated[Digest, Meta(description="Its digest of all records.")]
    plan_sha256: Annotated[Digest, Meta(description="Its digest of the images.")]
    selected: Annotated[
        tuple[str, ...],
        Meta(
            description="How records were selected, in order, such as label=cat and limit=100. A "
            "limit counts the records of all origins together.",
            extra={"expected": "a list of texts"},
        ),
    ]


def problems(found: Sequence[Origin], records: int) -> Iterator[str]:
    """Iterate what is wrong with the origins of so many records."""
    for number, origin in enumerate(found):
        if origin.records > origin.records_before:
            expected = f"at most {origin.records_before}"
            yield f"origins[{number}].records: found {origin.records}, expected {expected}"
    total = sum(origin.records for origin in found)
    if found and total != records:
        yield f"origins: found {values.plural(total, 'record')}, expected {records:,}"


def of(described: Manifest) -> tuple[Origin, ...]:
    """Return the origins of a copy of all records of a split."""
    whole = Origin(
        split=described.split,
        records=described.records,
        records_before=described.records,
        content_sha256=described.content_sha256,
        plan_sha256=described.plan_sha256,
        selected=(),
    )
    return described.origins or (whole,)


def selected(
    origins: Sequence[Origin], counts: Sequence[int], how: Sequence[str]
) -> tuple[Origin, ...]:
    """Return the origins after a selection of their records.

    Args:
        counts: how many records of each origin are left.
        how: how they were selected, as texts.
    """
    return tuple(
        replace(origin, records=count, selected=(*origin.selected, *how))
        for origin, count in zip(origins, counts, strict=True)
    )


def are_subset(origins: Sequence[Origin]) -> bool:
    """Tell whether only some records of the origins were copied."""
    return any(origin.records < origin.records_before for origin in origins)


def of_several(manifests: Iterable[Manifest]) -> str | None:
    """Return why a merged split among these has no source; None if there is no merged split."""
    for described in manifests:
        if len(described.origins) > 1:
            return (
                f"found split {described.split!r}, which was merged, expected one that was written "
                "from one source: compare the datasets that were merged"
            )
    return None


def plan_digest(origins: Sequence[Origin]) -> str:
    """Return ``plan_sha256`` of a split with these origins: it stands for their plans."""
    digest = hashlib.sha256()
    for origin in origins:
        how = json.dumps(origin.selected)
        digest.update(f"{origin.plan_sha256} {origin.records} {how}\n".encode())
    return digest.hexdigest()
