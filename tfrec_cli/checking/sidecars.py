"""Checks the files next to the shards: manifests, SHA256SUMS, dataset_info, labels, rejects.

Knows: which small files there should be, with which bytes. Must not know: what is in a shard.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from tfrec_cli.checking.finding import Finding, Note, file_finding, unreadable
from tfrec_cli.checking.splits import Subject
from tfrec_cli.dataset import discover, manifest, tfds
from tfrec_cli.dataset.checksums import dataset_files
from tfrec_cli.dataset.discover import Split
from tfrec_cli.dataset.manifest import Manifest
from tfrec_cli.dataset.names import INDEX_SUFFIX, MANIFEST_SUFFIX, REJECTS_SUFFIX, SUMS, TFDS_INFO
from tfrec_cli.errors import DataError, ManifestError, UsageError
from tfrec_cli.runtime import files

_MOST_SUMS_BYTES = 1 << 26
"""Limit on what is read of SHA256SUMS to learn which manifests there should be."""


def read_splits(path: Path) -> tuple[list[Split], list[Finding]]:
    """Return the splits at ``path``, and findings about their manifests.

    If every manifest is damaged, the shards are checked without one.

    Raises:
        UsageError: nothing is there.
    """
    if not path.is_dir():
        return discover.splits(path), []
    splits: list[Split] = []
    findings: list[Finding] = []
    for file in manifest.find(path).values():
        try:
            data = manifest.read(file)
            described = manifest.parse(data, file)
        except OSError as error:
            findings.append(unreadable(file, error))
            continue
        except ManifestError as error:
            message = str(error).removeprefix(f"{file}: ")
            findings.append(file_finding("manifest", file, message))
            continue
        if not manifest.is_as_dumped(data):
            message = "found other spacing or order, expected the bytes that were written"
            findings.append(file_finding("manifest", file, message))
        splits.append(discover.described(path, described))
    if not splits:
        try:
            splits = [discover.undescribed(path)] if findings else discover.splits(path)
        except UsageError:
            if not findings:  # else there is only a damaged manifest without its shards
                raise
        except DataError as error:  # what TFDS tells of its files is damaged
            splits = [discover.undescribed(path)]
            findings.append(file_finding("metadata", path / TFDS_INFO, str(error)))
    return splits, findings


def check(subject: Subject) -> Iterator[Finding | Note]:
    """Compare the files in a dataset's folder with its manifests."""
    folder = subject.path
    splits = sorted([*subject.splits, *subject.others], key=lambda split: split.name or "")
    manifests = [split.manifest for split in splits if split.manifest]
    yield from _check_manifests(folder)
    if not manifests:
        yield from _check_sums(folder)
        text = "which shards there should be, their counts and digests: no manifest"
        yield Note(text, is_checked=False)
        return
    yield from _check_strangers(folder, splits, manifests)
    for name, data in _expected_files(folder, manifests).items():
        yield from compare_file(folder / name, data)
    for described in manifests:
        yield from _check_rejects(folder / described.rejects_file, described.rejects_sha256)


def _expected_files(folder: Path, manifests: Sequence[Manifest]) -> dict[str, bytes]:
    """Make the files that describe all splits; those of earlier versions if one is there."""
    expected = dataset_files(manifests)
    earlier = dataset_files(manifests, counts_framing=True)
    is_earlier = any(
        _has_bytes(folder / name, data) for name, data in earlier.items() if data != expected[name]
    )
    return earlier if is_earlier else expected


def _has_bytes(path: Path, expected: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(expected) + 1) == expected
    except OSError:  # reported when its content is compared
        return False


def _check_strangers(
    folder: Path, splits: Sequence[Split], manifests: Sequence[Manifest]
) -> Iterator[Finding]:
    """Find record files and index files that no manifest names."""
    for path in discover.strangers(folder, splits):
        message = "found a file that no manifest names, expected only shards of the dataset"
        yield file_finding("extra", path, message)
    indexes = {shard.index for described in manifests for shard in described.shards}
    for path in sorted(folder.glob("*" + INDEX_SUFFIX)):
        if path.name not in indexes:
            message = "found an index file that no manifest names, expected only those of shards"
            yield file_finding("extra", path, message)


def _check_manifests(folder: Path) -> Iterator[Finding]:
    """Check that the manifests named by other files are present and unchanged."""
    summed = _summed(folder)
    splits = [path.name.removesuffix(REJECTS_SUFFIX) for path in folder.glob("*" + REJECTS_SUFFIX)]
    for name in sorted({split + MANIFEST_SUFFIX for split in splits} | summed.keys()):
        path = folder / name
        if not re.fullmatch(r"[\w-]{1,64}" + re.escape(MANIFEST_SUFFIX), name, re.ASCII):
            continue
        if not path.is_file():
            message = f"found no such file, expected it by {SUMS} or the rejects"
            yield file_finding("missing", path, message)
            continue
        try:
            digest = hashlib.sha256(manifest.read(path)).hexdigest()
        except (OSError, ManifestError):  # reported by `read_splits`
            continue
        if digest != summed.get(name, digest):
            message = f"found SHA-256 {digest}, expected {summed[name]} by {SUMS}"
            yield file_finding("manifest", path, message)


def _check_rejects(path: Path, sha256: str) -> Iterator[Finding]:
    try:
        digest = files.sha256(path)
    except OSError as error:
        yield unreadable(path, error)
        return
    if digest != sha256:
        yield file_finding("metadata", path, f"found SHA-256 {digest}, expected {sha256}")


def _check_sums(folder: Path) -> Iterator[Finding]:
    """Check that the lines of SHA256SUMS are intact, and that its files are present."""
    path = folder / SUMS
    summed = _summed(folder)
    are_lines = [re.fullmatch(r"[0-9a-f]{64}", digest) is not None for digest in summed.values()]
    is_text = "".join(name + digest for name, digest in summed.items()).isprintable()
    if not is_text or (any(are_lines) and not all(are_lines)):  # other programs have other formats
        message = "found lines without a digest and a name, expected both in each line"
        yield file_finding("metadata", path, message)
    for name in summed if all(are_lines) else ():
        is_inside = not {"..", ""} & set(name.split("/"))
        if is_inside and not name.endswith(MANIFEST_SUFFIX) and not os.path.exists(folder / name):
            message = f"found no such file, expected it by {SUMS}"
            yield file_finding("missing", folder / name, message)


def _summed(folder: Path) -> dict[str, str]:
    """Return the names that a folder's SHA256SUMS lists, with their digests."""
    path = folder / SUMS
    if not path.is_file():
        return {}
    try:
        with path.open("rb") as file:
            lines = file.read(_MOST_SUMS_BYTES).decode(errors="replace")
    except OSError:  # reported when its content is compared
        return {}
    return {line[66:]: line[:64] for line in lines.splitlines()}


def compare_file(path: Path, expected: bytes) -> Iterator[Finding]:
    """Compare a file with the bytes that it should have."""
    if not path.is_file():
        message = "found no such file, expected it next to the shards"
        yield file_finding("missing", path, message)
        return
    try:
        with path.open("rb") as file:
            data = file.read(len(expected) + files.CHUNK_BYTES)
    except OSError as error:
        yield unreadable(path, error)
        return
    if data == expected:
        return
    offset = next(
        (i for i, (a, b) in enumerate(zip(data, expected, strict=False)) if a != b),
        min(len(data), len(expected)),
    )
    message = f"found {data[offset : offset + 16]!r}, expected {expected[offset : offset + 16]!r}"
    lengths = tfds.shard_lengths(data) if path.name == TFDS_INFO else None
    if lengths is not None and lengths != tfds.shard_lengths(expected):
        message = f"found shardLengths {lengths}, expected {tfds.shard_lengths(expected)}"
    yield Finding(kind="metadata", path=path, message=message, offset_bytes=offset)
