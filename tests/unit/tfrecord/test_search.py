"""The search for intact records after damage, also among false lengths."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from record_files import MIB, PAYLOADS, PLAIN, damages, flipped, holding, payloads, scanned

from tfrec_cli.tfrecord.record import frame, header
from tfrec_cli.tfrecord.scan import Damage
from tfrec_cli.tfrecord.search import header_places
from tfrec_cli.tfrecord.stream import LARGE_BYTES

fixed = settings(deadline=None, derandomize=True, max_examples=150)


def test_a_record_is_found_wherever_the_search_window_ends(tmp_path: Path) -> None:
    """The search reads pieces; a header across the border of two pieces is found."""
    sizes = range(2**20 - 32, 2**20 + 4)
    found = [
        payloads(scanned(tmp_path, flipped(frame(b"\xff" * size), 8 * 8) + frame(b"next")))
        for size in sizes
    ]
    assert found == [[b"next"]] * len(sizes)


def test_records_after_any_junk_are_found(tmp_path: Path) -> None:
    """Even if the junk is shorter than a record, a header or a length."""
    found = [payloads(scanned(tmp_path, b"\xff" * junk + PLAIN)) for junk in range(1, 40)]
    assert found == [PAYLOADS] * 39


def test_a_large_record_after_junk_is_found(tmp_path: Path) -> None:
    """Larger than `LARGE_BYTES`."""
    large = os.urandom(MIB) * (LARGE_BYTES // MIB + 1)
    assert payloads(scanned(tmp_path, b"\xff" + frame(large))) == [large]


def test_records_after_an_overwritten_range_are_found(tmp_path: Path) -> None:
    """The range contains headers."""
    data = PLAIN + bytes(1000) + b"\xff" * 1000 + PLAIN
    assert payloads(scanned(tmp_path, data)) == PAYLOADS + PAYLOADS


HOSTILE = {
    "zeros": b"\0",
    "nearly lengths": b"\0\0\0\0\xff",
    "more nearly lengths": b"\0\0\0\0\0\0\0\xff",
    "long lengths": header(30 * MIB) + b"\xff\xff\xff\xff",
    "short lengths": header(0) + b"\xff\xff\xff\xff",
    "lengths beyond the limit": header(2**40),
    "every other record damaged": frame(b"") + header(0) + b"\xff\xff\xff\xff",
    "junk after every record": frame(b"") + b"\xff" * 16,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", HOSTILE)
def test_64_mib_of_false_lengths_are_searched_within_8_seconds(tmp_path: Path, kind: str) -> None:
    """The search has to look at each of them, or to compute a CRC over much of the file."""
    path = tmp_path / "file"
    path.write_bytes(b"\1" + HOSTILE[kind] * (64 * MIB // len(HOSTILE[kind])))
    found = holding(path, seconds=8)
    covered = sum(item.lost_bytes if isinstance(item, Damage) else 16 for item in found)
    assert (covered, bool(damages(found))) == (path.stat().st_size, True)


def test_a_search_that_ends_early_says_so(tmp_path: Path) -> None:
    data = b"\1" + HOSTILE["long lengths"] * (64 * MIB // 16) + PLAIN
    (damage,) = damages(scanned(tmp_path, data))
    assert damage.found.endswith(", and too many false lengths to continue the search")
    assert damage.lost_bytes == len(data)


def test_a_thousand_false_lengths_do_not_end_a_search(tmp_path: Path) -> None:
    data = b"\1" + (header(5000) + b"\xff" * 4) * 1000 + bytes(5000) + PLAIN
    assert payloads(scanned(tmp_path, data)) == PAYLOADS


def test_every_length_below_the_limit_is_found_after_damage() -> None:
    """The search computes CRCs of lengths from tables; `header` computes them directly."""

    @fixed
    @given(st.integers(0, 2**31 - 1), st.integers(0, 30), st.integers(12, 40))
    def check(length: int, before: int, after: int) -> None:
        window = b"\xff" * before + header(length) + b"\xff" * after
        assert header_places(window).tolist() == [before]

    check()
