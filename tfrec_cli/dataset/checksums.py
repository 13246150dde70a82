"""SHA256SUMS and the other files that describe all splits of a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from tfrec_cli.dataset import manifest, tfds
from tfrec_cli.dataset.manifest import Manifest, Shard
from tfrec_cli.dataset.names import MANIFEST_SUFFIX, SUMS


def dataset_files(
    manifests: Sequence[Manifest], *, counts_framing: bool = False
) -> dict[str, bytes]:
    """Make the files that describe all splits of a folder.

    Args:
        counts_framing: make them as earlier versions did (see `tfds.describe`).
    Returns:
        File name to content: the files that ``tfds.builder_from_directory`` reads (none for GZIP
        shards: TFDS cannot read those), and SHA256SUMS of every file of the dataset.
    """
    files: dict[str, bytes] = {}
    if all(described.compression == "none" for described in manifests):
        files |= tfds.describe(manifests, counts_framing=counts_framing)
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    for described in manifests:
        data = manifest.dump(described)
        sums[described.split + MANIFEST_SUFFIX] = hashlib.sha256(data).hexdigest()
        sums[described.rejects_file] = described.rejects_sha256
        if described.targets:
            sums[described.targets.name] = described.targets.sha256
        sums |= _of_shards(described.shards)
    return {**files, SUMS: _lines(sums)}


def record_files(shards: Iterable[Shard]) -> dict[str, bytes]:
    """Make the files that describe shards without a manifest: SHA256SUMS."""
    return {SUMS: _lines(_of_shards(shards))}


def _of_shards(shards: Iterable[Shard]) -> dict[str, str]:
    """Return the digests of shards and of their index files by name."""
    sums = {}
    for shard in shards:
        sums[shard.name] = shard.sha256
        if shard.index and shard.index_sha256:
            sums[shard.index] = shard.index_sha256
    return sums


def _lines(sums: Mapping[str, str]) -> bytes:
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())).encode()
