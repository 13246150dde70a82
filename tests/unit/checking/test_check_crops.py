"""Crops of two readers compared, and the fingerprint, without TensorFlow."""

from __future__ import annotations

from pathlib import Path

from tfrec_cli.checking import crops
from tfrec_cli.checking.shard import Checked, Task


def shard_of(name: str, *keys: int) -> Checked:
    """Return a checked shard whose records have digests of one byte: key, then key + 1."""
    task = Task(
        split=0,
        path=Path(name),
        described=None,
        manifest=None,
        index=None,
        first_number=0,
        quick=False,
        crops=None,
    )
    made = [(key, (bytes([key]), bytes([key + 1]))) for key in keys]
    return Checked(task=task, records=len(keys), crops=made)


SHARDS = [shard_of("a", 1, 2), shard_of("b", 3)]


def test_the_fingerprint_is_the_digest_of_keys_and_digests() -> None:
    """Computed with printf of key and digest bytes, sorted by key, piped into sha256sum."""
    pairs = [(7, (b"\x02" * 32,)), (3, (b"\x01" * 32,))]
    assert crops.fingerprint((8, 9), 5, pairs) == (
        "seed5-8x9-e0:5b58c1a4c70fc21008600316a4d8edf4b7b54a55705360a69fd710c83bcd15eb"
    )


def test_equal_crops_have_no_finding() -> None:
    assert list(crops.compare_crops(SHARDS, [b"\1", b"\2", b"\3"], 0, "how")) == []
    assert list(crops.compare_crops(SHARDS, [b"\2", b"\3", b"\4"], 1, "how")) == []


def test_a_different_crop_is_found_with_its_record() -> None:
    (finding,) = crops.compare_crops(SHARDS, [b"\1", b"X", b"\3"], 0, "one by one")
    assert (finding.kind, finding.path, finding.record) == ("crop", Path("a"), 1)
    assert finding.message == (
        "key 2, epoch 0: found a different crop from the reader, "
        "expected the one by NumPy and Pillow (one by one)"
    )


def test_too_few_or_too_many_crops_are_found() -> None:
    for digests in ([b"\1", b"\2"], [b"\1", b"\2", b"\3", b"\4"]):
        (finding,) = crops.compare_crops(SHARDS, digests, 0, "how")
        assert finding.message == (f"found {len(digests)} crops from the reader, expected 3 (how)")
