"""File names of extracted images, by record and format."""

from __future__ import annotations

import pytest

from tfrec_cli.dataset.records import ImageRecord
from tfrec_cli.extracting.names import EXTENDED, NUMBER, RECORD, FileName, file_name, is_safe
from tfrec_cli.imaging.formats import format_of_name


def record(
    filename: bytes | None, label: int | None = None, text: str | None = None
) -> ImageRecord:
    return ImageRecord(
        image=b"", height_px=1, width_px=1, filename=filename, label=label, class_name=text
    )


def of(source: int, path: bytes, *, by_label: bool = False) -> FileName:
    return FileName(path=path, source=source, by_label=by_label)


@pytest.mark.parametrize(
    ("item", "name"),
    [
        (record(b"x/a.JPEG"), of(RECORD, b"x/a.JPEG")),
        (record(b"a.jpg", 3), of(RECORD, b"3/a.jpg", by_label=True)),
        (record(b"a.jpg", 3, "dog"), of(RECORD, b"dog/a.jpg", by_label=True)),
        (record(b"x/a.jpg", 3, "dog"), of(RECORD, b"x/a.jpg")),
        (record(b"x/dog/a.jpg", 3, "dog"), of(RECORD, b"x/dog/a.jpg", by_label=True)),
        (record(b"3/a.jpg", 3, "dog"), of(RECORD, b"3/a.jpg")),
        (record(b"a.jpg", 3, "dogs/big"), of(RECORD, b"3/a.jpg", by_label=True)),
        (record(b"a.jpg", None, ".."), of(RECORD, b"a.jpg")),
        (record(b"a.png"), of(EXTENDED, b"a.png.jpg")),
        (record(b"a", 3), of(EXTENDED, b"3/a.jpg", by_label=True)),
        (record(b"../a.jpg", 3), of(NUMBER, b"3/.jpg", by_label=True)),
        (record(None), of(NUMBER, b".jpg")),
        (record(b"a" * 252), of(NUMBER, b".jpg")),
    ],
)
def test_names_of_foreign_records_are_completed(item: ImageRecord, name: FileName) -> None:
    assert file_name(item, "jpeg", None) == name


@pytest.mark.parametrize(
    ("path", "safe"),
    [
        (b"a", True),
        (b"a/b.jpg", True),
        (b"...", True),
        (b"\xff\n", True),
        (b"n" * 255, True),
        (b"n" * 256, False),
        (b"/a", False),
        (b"a//b", False),
        (b"a/", False),
        (b"a/./b", False),
        (b"a/../b", False),
        (b"a\0", False),
        (b"", False),
    ],
)
def test_a_path_is_safe_if_it_stays_in_its_folder(path: bytes, safe: bool) -> None:
    assert is_safe(path) is safe


@pytest.mark.parametrize(
    ("path", "promised"),
    [(b"a.JPG", "jpeg"), (b"a.png.tiff", "tiff"), (b"png", None), (b".png", None), (b"a.", None)],
)
def test_the_last_extension_promises_a_format(path: bytes, promised: str | None) -> None:
    assert format_of_name(path) == promised
