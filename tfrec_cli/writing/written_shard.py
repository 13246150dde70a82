"""A written shard, and the note about it that a resumed write reads.

Knows: the files of one shard, and its note. Must not know: how a shard is made.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from blake3 import blake3

from tfrec_cli.dataset import manifest
from tfrec_cli.dataset import rejects as rejects_file
from tfrec_cli.dataset.names import NOTE_SUFFIX, index_name
from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.errors import ManifestError, RunError
from tfrec_cli.runtime import files
from tfrec_cli.writing import damaged
from tfrec_cli.writing.damaged import Damaged

_OF_THE_MOMENT = ("unreadable", "changed", "deadly")
"""Reasons of rejects that may be gone when a write is resumed, though the files stay the same."""

_KEY_BYTES, _DIGEST_BYTES = 8, 32


@dataclass(slots=True, kw_only=True)
class WrittenShard:
    """A written shard.

    Attributes:
        paths: the written files: the shard, and its index file if it has one.
        contents: the packed digests of `digests`, 40 MB for a million records. `make_durable`
            moves them into the note.
        digested: number in the plan and BLAKE3 digest of the files that may be copies, packed.
        smallest: the smallest height and the smallest width of a stored image, in pixels.
        dim: how many images of 16 bits have no value of more than 14 bits, as those of cameras and
            scanners that have fewer bits.
        dim_greatest: the greatest value in them.
        damaged: written images whose data are damaged, as far as they were decoded.
        inputs: see `noted`.
        kept: whether an interrupted write had made it.
    """

    number: int
    paths: list[Path]
    records: int = 0
    size_bytes: int = 0
    sha256: str = ""
    index_sha256: str | None = None
    contents: bytearray = field(default_factory=bytearray)
    digested: bytearray = field(default_factory=bytearray)
    smallest: tuple[int, int] | None = None
    changes: Counter[str] = field(default_factory=Counter)
    icc_profiles: int = 0
    dim: int = 0
    dim_greatest: int = 0
    rejects: list[Reject] = field(default_factory=list)
    damaged: list[Damaged] = field(default_factory=list)
    inputs: str = ""
    kept: bool = False

    def add_digest(self, key: int, payload: bytes | memoryview) -> None:
        """Add a record's key and the BLAKE3 digest of its payload."""
        self.contents += key.to_bytes(_KEY_BYTES, "big") + blake3(payload).digest()

    def digests(self) -> Iterator[tuple[int, bytes]]:
        """Iterate (key, BLAKE3 digest of the payload) of each record."""
        yield from _unpacked(self.contents)

    def add_file(self, number: int, digest: bytes) -> None:
        """Add the digest of the file of one item that may be a copy."""
        self.digested += number.to_bytes(_KEY_BYTES, "big") + digest

    def files(self) -> Iterator[tuple[int, bytes]]:
        """Iterate (number of the item in the shard's plan, BLAKE3 digest of its file)."""
        yield from _unpacked(self.digested)

    def described(self) -> manifest.Shard:
        """Return the shard's entry in the manifest."""
        path = self.paths[0]
        return manifest.Shard(
            name=path.name,
            records=self.records,
            size_bytes=self.size_bytes,
            sha256=self.sha256,
            index=index_name(path.name) if self.index_sha256 else None,
            index_sha256=self.index_sha256,
        )


_NOTED = [
    noted.name
    for noted in fields(WrittenShard)
    if noted.name not in ("paths", "contents", "digested", "rejects", "damaged", "kept")
]
"""Fields that the note holds unchanged; digests and paths are converted for JSON."""


def make_durable(written: WrittenShard) -> None:
    """Make a shard durable, and write a note that it is complete, for a resumed write.

    Its digests are then only in the note, see `noted_digests`.
    """
    for path in written.paths:
        files.sync(path)
    values = {name: getattr(written, name) for name in _NOTED}
    values["contents"] = base64.b64encode(written.contents).decode()
    values["digested"] = base64.b64encode(written.digested).decode()
    values["rejects"] = rejects_file.dump(written.rejects).decode()
    values["damaged"] = [one.document() for one in written.damaged]
    note = _note(written.paths[0])
    note.unlink(missing_ok=True)  # it may be a file that cannot be written
    note.write_bytes(files.sealed(values))
    written.contents.clear()


def noted_digests(written: WrittenShard) -> Iterator[tuple[int, bytes]]:
    """Iterate what `WrittenShard.digests` iterated before `make_durable`.

    Raises:
        RunError: the note is missing, or another process changed it.
    """
    note = _note(written.paths[0])
    values = files.unsealed(note)
    if values is None:
        raise RunError(f"{note}: the note of a finished shard is missing or damaged")
    contents = bytearray(base64.b64decode(values["contents"]))
    yield from replace(written, contents=contents).digests()


def noted(number: int, paths: Sequence[Path], count: int, inputs: str) -> WrittenShard | None:
    """Return the shard that a note describes, if its files are unchanged.

    Args:
        paths: path of the shard, and of its index file if it should have one.
        count: how many records and rejects it must have together.
        inputs: digest of everything that it must have been made from: its images, with sizes and
            times, their labels and features, and the recipe.
    Returns:
        The shard without its digests; None if it must be written.
    """
    note = _note(paths[0])
    values = files.unsealed(note)
    if values is None:
        return None
    try:
        values["contents"] = bytearray(base64.b64decode(values["contents"]))
        values["digested"] = bytearray(base64.b64decode(values["digested"]))
        values["rejects"] = rejects_file.parse(values["rejects"].encode(), note)
        values["damaged"] = [damaged.parse(one) for one in values["damaged"]]
        values["smallest"] = values["smallest"] and tuple(values["smallest"])
        values["changes"] = Counter(values["changes"])
        written = WrittenShard(paths=[*paths], kept=True, **values)
    except (ManifestError, ValueError, TypeError, LookupError, AttributeError):
        return None  # not a note of ours: the shard is written again
    if any(reject.reason in _OF_THE_MOMENT for reject in written.rejects):
        return None
    records = count - len(written.rejects)
    recorded = (written.number, written.records, len(written.contents), written.inputs)
    if recorded != (number, records, records * (_KEY_BYTES + _DIGEST_BYTES), inputs):
        return None
    digests = [None if path.is_symlink() else files.sha256(path) for path in paths]
    if digests != [written.sha256, written.index_sha256][: len(digests)]:
        return None
    written.contents.clear()
    return written


def _unpacked(packed: bytearray) -> Iterator[tuple[int, bytes]]:
    for start in range(0, len(packed), _KEY_BYTES + _DIGEST_BYTES):
        stop = start + _KEY_BYTES
        yield int.from_bytes(packed[start:stop], "big"), bytes(packed[stop : stop + _DIGEST_BYTES])


def _note(path: Path) -> Path:
    return path.with_name(path.name + NOTE_SUFFIX)
