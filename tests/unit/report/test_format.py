"""format: text and numbers for a person."""

from __future__ import annotations

import pytest

from tfrec_cli.report import format as words


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (2**20 - 1, "1.0 MiB"),
        (128 * 2**20, "128.0 MiB"),
        (5 * 2**30, "5.0 GiB"),
        (3000 * 2**40, "3000.0 TiB"),
    ],
)
def test_sizes_have_units(count: int, text: str) -> None:
    assert words.size(count) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0.0"),
        (0.26, "0.3"),
        (12.34, "12.3"),
        (99.94, "99.9"),
        (99.96, "100"),
        (1234.5, "1,234"),
    ],
)
def test_a_rate_has_at_most_one_decimal(number: float, text: str) -> None:
    assert words.rounded(number) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 shards"), (1, "1 shard"), (2, "2 shards"), (12345, "12,345 shards")]
)
def test_counts_have_their_noun(count: int, text: str) -> None:
    assert words.plural(count, "shard") == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31m\u2026", "a\\x1b[31m\\u2026"),
        ("caf\udce9", "caf\\udce9"),
        ("a\ud800", "a\\ud800"),  # which no name of a file holds, but JSON may
        ("Ä\u2026", "Ä\u2026"),
    ],
)
def test_text_is_escaped(text: str, shown: str) -> None:
    assert words.safe(text) == shown
    assert words.safe(f"{text}\nb", newlines=True) == f"{shown}\nb"
