"""Paths as text, and paths that some file systems take for the same one."""

from __future__ import annotations

import pytest

from tfrec_cli.runtime.paths import printable, repeated_keys


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (b"a/caf\xe9.jpg", r"a/caf\udce9.jpg"),
        (b"a/new\nline.jpg", r"a/new\nline.jpg"),
        (b"\x1b[31m", r"\x1b[31m"),
        ("a/é.jpg".encode(), "a/é.jpg"),
    ],
)
def test_no_name_disturbs_a_terminal(path: bytes, text: str) -> None:
    assert printable(path) == text


def test_keys_of_several_paths() -> None:
    paths = [b"a/1.jpg", b"b/1.jpg", b"a/1.JPG", b"a/2.jpg"]
    assert repeated_keys(paths) == {hash(("a", "1.jpg"))}
