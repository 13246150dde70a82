"""A stamp of the survey does not change the record that a file becomes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import fill, jpeg, oriented, photo, png
from PIL import Image

from tfrec_cli.errors import ImageError
from tfrec_cli.imaging.policy import Policy
from tfrec_cli.runtime import native
from tfrec_cli.sources.listing import Source
from tfrec_cli.writing.options import WriteOptions
from tfrec_cli.writing.recipe import MadeRecord, Recipe, make_record
from tfrec_cli.writing.survey import Item, survey

RGB = photo(40, 56)
USUAL = {
    "4:4:4": jpeg(RGB, subsampling="4:4:4"),
    "4:2:2": jpeg(RGB, subsampling="4:2:2"),
    "4:2:0": jpeg(RGB, subsampling="4:2:0"),
    "4:1:1": jpeg(RGB, subsampling="4:1:1"),
    "gray": jpeg(Image.fromarray(RGB).convert("L")),
    "upright": jpeg(RGB, exif=oriented(1)),
}
OTHERS = {
    "on its side": jpeg(RGB, exif=oriented(6)),
    "profile": jpeg(RGB, icc_profile=bytes(130)),
    "progressive": jpeg(RGB, progressive=True),
    "png": png(RGB),
}


def surveyed(root: Path, data: bytes, policy: Policy) -> Item:
    fill(root, {"a": data})
    (item,) = survey(root, [Source(b"a", len(data), 1)], policy)
    assert isinstance(item, Item)
    return item


def made(root: Path, item: Item, recipe: Recipe) -> MadeRecord | tuple[str, str]:
    try:
        return make_record(root, item, recipe)
    except ImageError as error:
        return error.reason, str(error)


def both(root: Path, item: Item, options: WriteOptions) -> list[MadeRecord | tuple[str, str]]:
    """Make the record with the stamp, and without it."""
    recipe = Recipe.of(options, None)
    return [made(root, one, recipe) for one in (item, replace(item, stamp=0))]


@pytest.mark.parametrize("exif", ["apply", "ignore"])
@pytest.mark.parametrize("kind", [*USUAL, *OTHERS])
def test_a_stamped_file_becomes_the_same_record(tmp_path: Path, kind: str, exif: str) -> None:
    options = WriteOptions(exif=exif)  # type: ignore[arg-type]  # one of its words
    item = surveyed(tmp_path, {**USUAL, **OTHERS}[kind], options.policy)
    with_stamp, without = both(tmp_path, item, options)
    assert with_stamp == without
    is_usual = kind in USUAL or (kind, exif) == ("on its side", "ignore")
    assert bool(item.stamp) == is_usual


def test_an_image_that_is_scaled_has_no_stamp(tmp_path: Path) -> None:
    assert surveyed(tmp_path, USUAL["4:2:0"], Policy(resize_short_px=20)).stamp == 0
    assert surveyed(tmp_path, USUAL["4:2:0"], Policy(resize_short_px=40)).stamp


@pytest.mark.skipif(not native.is_compiled, reason="without C no stamp is used")
def test_the_header_of_a_stamped_file_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = surveyed(tmp_path, USUAL["4:2:0"], Policy())
    monkeypatch.setattr("tfrec_cli.imaging.normalize.examine", None)
    assert make_record(tmp_path, item, Recipe.of(WriteOptions(), None)).record.window == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", USUAL)
def test_the_header_of_a_file_that_changed_after_its_stamp_is_read_again(
    tmp_path: Path, kind: str
) -> None:
    """Changed in any byte of its header, or in some bytes of its data and end."""
    data = USUAL[kind]
    item = surveyed(tmp_path, data, Policy())
    start = data.index(b"\xff\xda")
    for at in (*range(start + 20), *range(start + 20, len(data), 40), len(data) - 1):
        changed = bytearray(data)
        changed[at] ^= 0xFF
        (tmp_path / "a").write_bytes(changed)
        with_stamp, without = both(tmp_path, item, WriteOptions())
        assert with_stamp == without, at


@pytest.mark.parametrize("kind", USUAL)
def test_a_stamped_file_that_is_cut_is_refused(tmp_path: Path, kind: str) -> None:
    data = USUAL[kind]
    item = surveyed(tmp_path, data, Policy())
    for length in range(1, len(data), 7):
        (tmp_path / "a").write_bytes(data[:length])
        with_stamp, without = both(tmp_path, item, WriteOptions())
        assert isinstance(with_stamp, tuple)
        assert with_stamp == without
