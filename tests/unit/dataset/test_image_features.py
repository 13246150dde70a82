"""Which feature of a record is its image: more cases are in the tests of extract and inspect."""

from __future__ import annotations

import pytest
from conftest import jpeg, photo, png

from tfrec_cli.dataset.image_features import find_names, images_of, related_names
from tfrec_cli.dataset.records import Names
from tfrec_cli.errors import DataError
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.example import Feature, Value

JPEG, PNG = jpeg(photo(4, 5)), png(photo(4, 5))


def features(**values: Value) -> dict[str, Feature]:
    return example.decode(example.encode(values))


def test_a_usual_name_without_an_image_does_not_hide_the_image() -> None:
    found = find_names(features(image=b"a.jpg", photo=JPEG, label=3))
    assert found == Names(image="photo", label="label")


def test_raw_pixels_are_an_image_if_they_are_named() -> None:
    given = features(scan=bytes(60), height=4, width=5)
    assert find_names(given, "scan") == Names(image="scan", height="height", width="width")
    with pytest.raises(DataError, match="found features height, scan, width, expected one that"):
        find_names(given)


def test_every_image_is_counted() -> None:
    given = features(frames=[JPEG, b"text", PNG], mask=PNG, label=3, text=b"cat")
    assert images_of(given) == {"frames": ["JPEG", "PNG"], "mask": ["PNG"]}


def test_names_of_sizes_are_found_without_an_image() -> None:
    found = related_names(features(rows=4, cols=5))
    assert (found.height, found.width) == ("rows", "cols")
