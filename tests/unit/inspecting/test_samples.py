"""Samples: which pictures are shown, and how they are cropped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import photo, png, save, tf
from messages import an_example, record_file

from tfrec_cli.commands.inspect_ import summarise
from tfrec_cli.errors import DataError
from tfrec_cli.inspecting.samples import samples
from tfrec_cli.inspecting.tally import Summary


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return the path of a record file that does not exist yet."""
    return tmp_path / "data" / "some.tfrecord"


def summary_of(place: Path, *payloads: bytes) -> Summary:
    return summarise([record_file(place, *payloads)])


def test_samples_are_evenly_spread_over_all_records(place: Path) -> None:
    payloads = [an_example(image=png(photo(4, 4, n)), filename=b"%d" % n) for n in range(10)]
    found = summary_of(place, *payloads)
    shown = samples([place], found, 4, None, None).shown
    assert [one.caption for one in shown] == ["0", "2", "5", "7"]


def test_samples_are_the_decoded_pictures(place: Path) -> None:
    pictures = [photo(4, 5, n) for n in range(3)]
    found = summary_of(place, *(an_example(image=png(one)) for one in pictures))
    shown = samples([place], found, 9, None, None).shown
    assert [(one.pixels.tolist(), one.caption) for one in shown] == [
        (picture.tolist(), f"record {n}") for n, picture in enumerate(pictures)
    ]


def test_samples_are_cropped_in_the_middle_without_a_seed(place: Path) -> None:
    picture = photo(9, 8)
    found = summary_of(place, an_example(image=png(picture)))
    (shown,) = samples([place], found, 1, (4, 3), None).shown
    assert shown.pixels.tolist() == picture[2:6, 2:5].tolist()


def test_samples_are_cropped_like_the_readers_do(place: Path) -> None:
    picture = photo(30, 40)
    found = summary_of(place, an_example(image=png(picture), key=[12345]))
    (shown,) = samples([place], found, 1, (4, 3), 42).shown
    expected = tf.image.stateless_random_crop(picture, (4, 3, 3), seed=(42, 12345))
    assert shown.pixels.tolist() == expected.numpy().tolist()


def test_samples_without_a_key_are_cropped_by_their_number(place: Path) -> None:
    picture = photo(30, 40)
    found = summary_of(place, *[an_example(image=png(picture))] * 3)
    shown = samples([place], found, 3, (4, 3), 42).shown
    expected = [tf.image.stateless_random_crop(picture, (4, 3, 3), seed=(42, n)) for n in range(3)]
    assert [one.pixels.tolist() for one in shown] == [one.numpy().tolist() for one in expected]


def test_samples_have_their_class_or_folder(place: Path) -> None:
    picture = png(photo(4, 5))
    label: dict[str, Any] = {"label": [0]}
    folder: dict[str, Any] = {"filename": b"a/b/1.png"}
    found = summary_of(place, an_example(image=picture, **label, **folder))
    assert [one.group for one in samples([place], found, 9, None, None).shown] == ["label 0"]
    found.label_names = {0: "cats"}
    assert [one.group for one in samples([place], found, 9, None, None).shown] == ["cats"]
    found = summary_of(place, an_example(image=picture, **folder))
    assert [one.group for one in samples([place], found, 9, None, None).shown] == ["a/b"]


def test_samples_smaller_than_the_crop_are_counted(place: Path) -> None:
    pictures = [photo(size, size) for size in (9, 4, 9, 5)]
    found = summary_of(place, *(an_example(image=png(one)) for one in pictures))
    shown, small = samples([place], found, 9, (6, 6), None)
    assert (len(shown), small) == (2, 2)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "BMP"])
def test_pictures_in_other_formats_are_shown(place: Path, kind: str) -> None:
    found = summary_of(place, an_example(image=save(photo(4, 5), kind)))
    (shown,) = samples([place], found, 9, None, None).shown
    assert (shown.pixels.shape, shown.pixels.dtype) == ((4, 5, 3), "uint8")


def test_the_only_feature_with_images_is_shown(place: Path) -> None:
    found = summary_of(place, *[an_example(photo=png(photo(4, 5)), label=[1])] * 2)
    shown = samples([place], found, 9, None, None).shown
    assert [one.pixels.tolist() for one in shown] == [photo(4, 5).tolist()] * 2


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (
            {"left": png(photo(4, 5)), "right": png(photo(4, 5))},
            "found images in left, right, expected them in one feature to show",
        ),
        (
            {"image": [png(photo(4, 5))] * 2},
            "feature 'image': found 2 images in a record, expected one image",
        ),
    ],
)
def test_images_of_which_none_is_certain_are_not_shown(
    place: Path, features: dict[str, Any], message: str
) -> None:
    found = summary_of(place, an_example(**features))
    with pytest.raises(DataError) as refused:
        samples([place], found, 9, None, None)
    assert str(refused.value) == f"{place}: {message}"
