"""Files of class names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tfrec_cli.errors import MissingPathError, UsageError
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
            (b"a//b\n", "found 'a//b', expected the name of a folder"),
            (b"../a\n", "found '../a', expected the name of a folder"),
            (b"1000000 a\n", "found number 1000000, expected at most 999999"),
            (b"x" * 10**6, f"found '{'x' * 60}'…, expected the name of a folder"),
            (b"x\n" * 2**23 + b"x", "found a larger file, expected at most 16777216 bytes"),
        ],
        ids=["twice", "none", "NUL", "empty part", "path", "number", "long", "large"],
    )
    def test_a_bad_file_is_an_error(self, tmp_path: Path, data: bytes, found: str) -> None:
        path = tmp_path / "labels.txt"
        path.write_bytes(data)
        with pytest.raises(UsageError) as error:
            read_labels(path)
        assert str(error.value) == f"labels {path}: {found}"

    @pytest.mark.parametrize("lines", ["2 cat\n0 dog", "2: cat\n0 : dog", "2\tcat\n00 dog\n"])
    def test_lines_may_begin_with_numbers(self, tmp_path: Path, lines: str) -> None:
        path = tmp_path / "labels.txt"
        path.write_text(lines)
        assert read_labels(path) == ("dog", "1", "cat")

    @pytest.mark.parametrize("lines", ["2 doors\n4 doors", "1 a\n1 b", "1 a\nb", "10\n9"])
    def test_lines_that_are_not_numbered_are_names(self, tmp_path: Path, lines: str) -> None:
        path = tmp_path / "labels.txt"
        path.write_text(lines)
        assert read_labels(path) == tuple(lines.split("\n"))

    def test_a_label_map_of_tensorflow_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "label_map.pbtxt"
        path.write_text(
            "# classes\nitem {\n  id: 3\n  name: 'great owl'\n}\n"
            'item { name: "/m/01", id: 1 display_name: "cat" }'
        )
        assert read_labels(path) == ("0", "cat", "2", "great owl")

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("", "found no class names, expected an item of a label map"),
            ("item { id: 1 }", "item 0: found no id and name, expected both"),
            ("item { name: 'a' }", "item 0: found no id and name, expected both"),
            ("item { id: 1 name: 'a' } item { id: 1 name: 'b' }", "found number 1 twice, expected"),
        ],
    )
    def test_a_bad_label_map_is_an_error(self, tmp_path: Path, text: str, found: str) -> None:
        path = tmp_path / "labels.pbtxt"
        path.write_text(text)
        with pytest.raises(UsageError) as error:
            read_labels(path)
        assert str(error.value).startswith(f"labels {path}: {found}")

    def test_the_first_name_may_have_another_number(self, tmp_path: Path) -> None:
        path = tmp_path / "labels.txt"
        path.write_text("cat\n0\n")
        assert read_labels(path, 1) == ("(0)", "cat", "0")

    def test_numbers_in_the_file_exclude_a_first_number(self, tmp_path: Path) -> None:
        path = tmp_path / "labels.txt"
        path.write_text("3 cat\n")
        with pytest.raises(UsageError) as error:
            read_labels(path, 1)
        assert str(error.value) == f"first_label: found numbers in {path}, expected names only"

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

    def test_a_word_that_is_no_file_is_answered_with_the_choices(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(MissingPathError) as error:
            read_labels(Path("class"))
        expected = "expected none, auto, top, leaf, path, or a file of class names"
        assert str(error.value) == f"labels: No such file or folder: class; {expected}"
        with pytest.raises(MissingPathError, match=r"folder: class\.txt$"):
            read_labels(Path("class.txt"))

    def test_a_file_that_is_not_utf_8_is_an_error(self, tmp_path: Path) -> None:
        path = tmp_path / "labels.txt"
        path.write_bytes(b"caf\xe9\n")
        with pytest.raises(UsageError):
            read_labels(path)
