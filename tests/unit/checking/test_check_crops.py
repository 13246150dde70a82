"""Crops of two readers compared, and the fingerprint, without TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tfrec_cli.checking import crops
from tfrec_cli.checking.finding import Note
from tfrec_cli.checking.images import Crops
from tfrec_cli.checking.shard import Checked, Task
from tfrec_cli.dataset.discover import Split


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


@pytest.mark.parametrize(
    ("records", "opinions"), [(1, 1), (200, 200), (201, 101), (1_000, 200), (1_001, 167)]
)
def test_the_second_opinion_is_of_200_records_of_a_split_at_most(
    records: int, opinions: int
) -> None:
    """Progress counts the crops of both."""
    made: dict[str, int] = {"reader": 0, "opinion": 0}
    shown: list[tuple[int, int]] = []

    def digests(
        who: str, every: int, epoch: int, progress: Callable[[int], object]
    ) -> Sequence[bytes]:
        found = [pixels[epoch] for _, pixels in shard.crops[::every]]
        made[who] += len(found)
        progress(len(found))
        return found

    def by_reader(_: Any, *, epoch: int, progress: Any, **_settings: Any) -> Any:
        return digests("reader", 1, epoch, progress)

    def by_tensorflow(
        _: Any, _keys: Any, *, every: int, epoch: int, progress: Any, **_w: Any
    ) -> Any:
        return digests("opinion", every, epoch, progress)

    shard = shard_of("a", *([7] * records))
    subject: Any = SimpleNamespace(
        splits=[Split(folder=Path(), shards=(Path("a"),), name=None, manifest=None)],
        crops=Crops(size=(8, 8), seed=1, epochs=2),
        shards=[shard],
        shards_of=lambda _number: [shard],
        progress=lambda _step, done, total: shown.append((done, total)),
    )
    notes = list(crops.check(subject, (by_reader, by_tensorflow), None))
    assert made == {"reader": 2 * records, "opinion": 2 * opinions}
    total = 2 * (records + opinions)
    assert shown[-1] == (total, total)
    assert shown == sorted(shown)
    (note,) = notes
    assert isinstance(note, Note)
    assert note.text.endswith("(of 200 records of a split at most)") is (records > 200)
