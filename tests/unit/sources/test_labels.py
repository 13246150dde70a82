"""Files of class names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tfrec_cli.errors import UsageError
from tfrec_cli.sources.labels import read_labels


class TestLabelsFile:
    def test_the_order_of_lines_gives_the_numbers(self, tmp_path: Path) -> None:
        path = tmp_path / "labels.txt"
        path.write_bytes("owls\n\r\n cats \r\nÄ b\n".encode())
        assert read_labels(path) == ("owls", "cats", "Ä b")

    def test_a_byte_order_mark_is_not_part_of_a_name(self, tmp_path: Path) -> None:
        """Editors on Windows write one."""
        path = tmp_path / "labels.txt"
        path.write_bytes("\ufeffcats\nowls\n".encode())
        assert read_labels(path) == ("cats", "owls")

    @pytest.mark.parametrize(
        ("data", "found"),
        [
            (b"cats\nowls\ncats\n", "found 'cats' twice, expected it once"),
            (b"\n  \n", "found no class names, expected one per line"),
            (b"a\0b\n", r"found 'a\x00b', expected the name of a folder"),
            (b"a/b\n", "found 'a/b', expected the name of a folder"),
            (b"x" * 10**6, f"found '{'x' * 60}'…, expected the name of a folder"),
            (b"x\n" * 2**23 + b"x", "found a larger file, expected at most 16777216 bytes"),
        ],
        ids=["twice", "none", "NUL", "path", "long", "large"],
    )
    def test_a_bad_file_is_an_error(self, tmp_path: Path, data: bytes, found: str) -> None:
        path = tmp_path / "labels.txt"
        path.write_bytes(data)
        with pytest.raises(UsageError) as error:
            read_labels(path)
        assert str(error.value) == f"labels {path}: {found}"

    def test_half_a_million_names_are_read(self, tmp_path: Path) -> None:
        path = tmp_path / "labels.txt"
        path.write_text("".join(f"{number}\n" for number in range(500_000)))
        assert len(read_labels(path)) == 500_000

    def test_a_pipe_is_not_waited_for(self, tmp_path: Path) -> None:
        path = tmp_path / "labels.txt"
        os.mkfifo(path)
        with pytest.raises(UsageError) as error:
            read_labels(path)
        found = "found a folder, pipe or device, expected a file"
        assert str(error.value) == f"labels {path}: {found}"

    @pytest.mark.parametrize("place", ["/", "/dev/zero"])
    def test_a_folder_or_device_is_refused(self, place: str) -> None:
        with pytest.raises(UsageError):
            read_labels(Path(place))

    def test_a_missing_file_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError) as error:
            read_labels(tmp_path / "none")
        assert str(error.value) == f"labels: No such file or folder: {tmp_path}/none"

    def test_a_file_that_is_not_utf_8_is_an_error(self, tmp_path: Path) -> None:
        path = tmp_path / "labels.txt"
        path.write_bytes(b"caf\xe9\n")
        with pytest.raises(UsageError):
            read_labels(path)
