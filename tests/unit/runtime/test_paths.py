"""Paths as printable text, and paths that some file systems treat as one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfrec_cli.runtime.paths import missing, printable, repeated_keys


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (b"a/caf\xe9.jpg", r"a/caf\udce9.jpg"),
        (b"a/new\nline.jpg", r"a/new\nline.jpg"),
        (b"\x1b[31m", r"\x1b[31m"),
        ("a/é.jpg".encode(), "a/é.jpg"),
    ],
)
def test_control_characters_and_bad_bytes_are_escaped(path: bytes, text: str) -> None:
    assert printable(path) == text


def test_a_link_that_leads_nowhere_says_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "images").symlink_to("gone")
    error = missing(tmp_path / "images", option="root")
    found = f"No such file or folder: {tmp_path}/images is a link to gone"
    assert str(error) == f"root: {found}"


def test_only_keys_of_several_paths_are_returned() -> None:
    paths = [b"a/1.jpg", b"b/1.jpg", b"a/1.JPG", b"a/2.jpg"]
    assert repeated_keys(paths) == {hash(("a", "1.jpg"))}
