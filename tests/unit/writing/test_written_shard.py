"""A note says that a shard is complete; it counts only if the files are unchanged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tfrec_cli.dataset.names import NOTE_SUFFIX
from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.errors import RunError
from tfrec_cli.runtime.files import sha256
from tfrec_cli.writing.written_shard import WrittenShard, make_durable, noted, noted_digests

COUNT, INPUTS = 3, "0" * 64
"""Two records and a reject."""


@pytest.fixture
def written(tmp_path: Path) -> WrittenShard:
    """Make a shard of two records with its index; without a note."""
    shard, index = tmp_path / "s.tfrecord", tmp_path / "s.tfindex"
    shard.write_bytes(b"records")
    index.write_bytes(b"0 7\n")
    made = WrittenShard(
        number=4,
        inputs=INPUTS,
        paths=[shard, index],
        records=2,
        size_bytes=7,
        sha256=sha256(shard) or "",
        index_sha256=sha256(index),
        smallest=(2, 3),
        changes=Counter(rotated=1),
        icc_profiles=1,
        rejects=[Reject(b"\xff", "corrupt", "found a hole")],
    )
    made.add_digest(7, b"one")
    made.add_digest(2**56 - 1, b"two")
    return made


def test_a_shard_is_restored_from_its_note(written: WrittenShard) -> None:
    digests = list(written.digests())
    make_durable(written)
    assert not written.contents
    assert noted(4, written.paths, COUNT, INPUTS) == replace(written, kept=True)
    assert list(noted_digests(written)) == digests
    assert [key for key, _ in digests] == [7, 2**56 - 1]


def test_a_shard_without_a_note_is_not_kept(written: WrittenShard) -> None:
    assert noted(4, written.paths, COUNT, INPUTS) is None


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def link(path: Path) -> None:
    path.rename(path.with_name("aside"))
    path.symlink_to("aside")


@pytest.mark.parametrize("change", [Path.unlink, shorten, link])
@pytest.mark.parametrize("name", ["s.tfrecord", "s.tfindex", "s.tfrecord" + NOTE_SUFFIX])
def test_a_shard_whose_files_changed_is_not_kept(
    written: WrittenShard, name: str, change: Callable[[Path], None]
) -> None:
    make_durable(written)
    change(written.paths[0].with_name(name))
    is_kept = noted(4, written.paths, COUNT, INPUTS) is not None
    assert is_kept == (change is link and name.endswith(NOTE_SUFFIX))


@pytest.mark.parametrize(
    ("number", "count", "inputs"),
    [(5, COUNT, INPUTS), (4, COUNT + 1, INPUTS), (4, COUNT - 1, INPUTS), (4, COUNT, "1" * 64)],
)
def test_the_note_of_another_shard_is_ignored(
    written: WrittenShard, number: int, count: int, inputs: str
) -> None:
    make_durable(written)
    assert noted(number, written.paths, count, inputs) is None


def test_a_note_that_changed_is_an_error(written: WrittenShard) -> None:
    make_durable(written)
    shorten(written.paths[0].with_name("s.tfrecord" + NOTE_SUFFIX))
    with pytest.raises(RunError, match="is missing or damaged"):
        list(noted_digests(written))


@pytest.mark.parametrize("reason", ["unreadable", "changed", "deadly"])
def test_a_shard_with_a_reject_that_may_be_gone_is_made_again(
    written: WrittenShard, reason: str
) -> None:
    written.rejects = [Reject(b"a.png", reason, "found a problem")]
    make_durable(written)
    assert noted(4, written.paths, COUNT, INPUTS) is None
