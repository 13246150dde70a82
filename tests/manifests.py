"""Manifests for tests."""

from __future__ import annotations

import dataclasses
import hashlib

from tfrec_cli.dataset.manifest import Manifest, Shard


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


MANIFEST = Manifest(
    split="train",
    division=None,
    stored="raw",
    keys="plain",
    crop=(32, 40),
    labels=("cats", "caf\udce9", "Ä"),
    records=3,
    smallest=(32, 40),
    compression="none",
    shards=(
        Shard(
            name="train-00000-of-00002.tfrecord",
            records=2,
            size_bytes=6,
            sha256=sha256(b"shard0"),
            index="train-00000-of-00002.tfindex",
            index_sha256=sha256(b"index0"),
        ),
        Shard(
            name="train-00001-of-00002.tfrecord",
            records=1,
            size_bytes=6,
            sha256=sha256(b"shard1"),
            index=None,
            index_sha256=None,
        ),
    ),
    content_sha256="0" * 64,
    plan_sha256="1" * 64,
    rejects_file="train.rejects.jsonl",
    rejects_sha256=sha256(b""),
    changes={"cmyk": 1},
    icc_profiles=0,
    rejects={"corrupt": 2},
    ignored={},
    options={"crop": [32, 40], "shards": 2},
    versions={"tfrec": "1"},
)
WHOLE = dataclasses.replace(
    MANIFEST, split="val", stored="whole", crop=None, labels=None, smallest=None
)
