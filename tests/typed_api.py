"""Calls of the Python API that mypy checks, as a user's would be: `make types` reads this file."""

from __future__ import annotations

from pathlib import Path

import tfrec_cli
from tfrec_cli import api


def show(what: str, done: int, total: int) -> None:
    """Show progress."""


def calls(path: Path) -> list[str]:
    """Call everything, with what may be given in different ways; what may not is marked."""
    written = tfrec_cli.write(
        "images", path, crop=[96, 128], shard_size="128MiB", split={"train": 1}, progress=show
    )
    more: tuple[api.Written, ...] = written.splits
    summary: api.Summary = tfrec_cli.inspect([path, "out/*.tfrecord"])
    verified: api.Verified = tfrec_cli.verify(source={"train": path}, seed=42)
    saved: api.Salvaged = tfrec_cli.salvage("shard", path)
    extracted: api.Extracted = tfrec_cli.extract(path, "files", split="train")
    resharded: api.Resharded = tfrec_cli.reshard(path, "new", shards=2, where={"label": [1]})
    merged: api.Merged = tfrec_cli.merge([path, "out"], "new", where="label=cat", limit=9)
    tfrec_cli.read_numpy.dataset("out", crop=[96, 128], shard=[0, 2])
    tfrec_cli.read_torch.dataset("out", crop=(96, 128))
    tfrec_cli.read_torch.stream("out", crop=(96, 128), small="skip")
    tfrec_cli.read_keras.dataset("out", crop=(96, 128), batch_size=8)
    tfrec_cli.write("images", "out", crop=1.5)  # type: ignore[arg-type]
    tfrec_cli.write("images", "out", small="crop")  # type: ignore[arg-type]
    tfrec_cli.write("images", "out", crops=9)  # type: ignore[call-arg]
    tfrec_cli.wrte("images", "out")  # type: ignore[attr-defined]
    names = [one.split for one in more] + [one.split for one in resharded.after]
    names += [one.manifest.split for one in merged.splits]
    names += [str(finding.path) for finding in verified.findings]
    return [*names, *summary.label_names.values(), *map(str, saved.lost), *extracted.splits]
