"""The record contract: round trips, keys, layouts of other programs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import jpeg, photo, png

from tfrec_cli.dataset import records
from tfrec_cli.dataset.foreign import guess_names
from tfrec_cli.dataset.records import NAMES, Column, ImageRecord, Names, content_digest
from tfrec_cli.errors import DataError, ImageError
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.example import Feature

PIXELS = photo(4, 5)
PNG = png(PIXELS)
WHOLE = ImageRecord(
    image=PNG,
    height_px=4,
    width_px=5,
    label=2,
    key=2**56 - 1,
    filename=b"owls/caf\xe9\n.png",
    window=0,
)
CROP = ImageRecord(image=PIXELS.tobytes(), height_px=4, width_px=5)


def features(**values: Any) -> dict[str, Feature]:
    return example.decode(example.encode(values))


@pytest.mark.parametrize("number", [0.1, 1 / 3, 16777217, -2.0, 3.4028235e38, 1e-45, -0.0, 0])
def test_cells_give_the_same_float_again(number: float) -> None:
    column = Column(name="f", kind="float", is_list=False, is_everywhere=True)
    (feature,) = features(f=[float(number)]).values()
    cells = records.cells({"f": feature}, [column])
    assert features(f=[cells["f"]]) == {"f": feature}
    assert len(repr(cells["f"])) <= 13


def test_cells_are_values_lists_and_text() -> None:
    columns = [
        Column(name="n", kind="int64", is_list=False, is_everywhere=True),
        Column(name="t", kind="bytes", is_list=True, is_everywhere=True),
        Column(name="no", kind="float", is_list=False, is_everywhere=False),
    ]
    cells = records.cells(features(n=3, t=["ü".encode(), b""], other=1), columns)
    assert cells == {"n": 3, "t": ["ü", ""], "no": None}
    with pytest.raises(DataError, match="feature 'n': found 2 int64 values, expected int64"):
        records.cells(features(n=[1, 2]), columns)


@pytest.mark.parametrize("style", list(NAMES))
@pytest.mark.parametrize("record", [WHOLE, CROP], ids=["whole", "crop"])
def test_a_record_survives_encoding_and_decoding(style: Any, record: ImageRecord) -> None:
    payload = records.encode(record, style)
    assert records.decode(example.decode(payload), NAMES[style]) == record


def test_a_record_in_the_plain_style_has_these_features() -> None:
    found = example.decode(records.encode(WHOLE, "plain"))
    assert {name: (feature.kind, list(feature.values)) for name, feature in found.items()} == {
        "image": ("bytes", [PNG]),
        "height": ("int64", [4]),
        "width": ("int64", [5]),
        "label": ("int64", [2]),
        "key": ("int64", [2**56 - 1]),
        "filename": ("bytes", [b"owls/caf\xe9\n.png"]),
        "window": ("int64", [0]),
    }


def test_a_record_in_the_tf_models_style_has_these_features() -> None:
    record = ImageRecord(image=PNG, height_px=4, width_px=5, label=2, class_name="öwls")
    found = example.decode(records.encode(record, "tf-models"))
    assert {name: (feature.kind, list(feature.values)) for name, feature in found.items()} == {
        "image/encoded": ("bytes", [PNG]),
        "image/height": ("int64", [4]),
        "image/width": ("int64", [5]),
        "image/class/label": ("int64", [2]),
        "image/class/text": ("bytes", ["öwls".encode()]),
        "image/format": ("bytes", [b"png"]),
    }


def test_the_source_id_of_tf_models_is_the_key_in_digits() -> None:
    """Their detection decoder parses it as a number (process_source_id in dataloaders/utils.py)."""
    found = example.decode(records.encode(WHOLE, "tf-models"))
    assert found["image/source_id"].values == [b"72057594037927935"]


def test_a_class_name_that_is_not_utf_8_keeps_its_bytes() -> None:
    record = ImageRecord(image=PNG, height_px=4, width_px=5, class_name="caf\udce9")
    found = example.decode(records.encode(record, "tf-models"))
    assert list(found["image/class/text"].values) == [b"caf\xe9"]


@pytest.mark.parametrize(
    ("path", "digest"),
    [
        # printf 'cats/420.jpg' | sha256sum
        (b"cats/420.jpg", "96c6030741c61b"),
        # printf 'caf\351\n.png' | sha256sum
        (b"caf\xe9\n.png", "8518e844b46bab"),
        # printf '' | sha256sum
        (b"", "e3b0c44298fc1c"),
    ],
)
def test_key_is_the_first_seven_bytes_of_the_paths_sha256(path: bytes, digest: str) -> None:
    assert records.key_of(path) == int(digest, 16)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            {"image": PNG, "height": 4, "width": 5, "label": 1},
            Names(image="image", height="height", width="width", label="label"),
        ),
        (
            {
                "image/encoded": jpeg(PIXELS),
                "image/height": 4,
                "image/width": 5,
                "image/class/label": 1,
                "image/class/text": b"owl",
                "image/filename": b"a.jpg",
                "image/source_id": b"7",
            },
            Names(
                image="image/encoded",
                height="image/height",
                width="image/width",
                label="image/class/label",
                class_name="image/class/text",
                filename="image/filename",
            ),
        ),
        (
            {"image_raw": PIXELS.tobytes(), "height": 4, "width": 5, "depth": 3, "label": 1},
            Names("image_raw", height="height", width="width", label="label", channels="depth"),
        ),
        ({"jpg": jpeg(PIXELS), "class": 3}, Names(image="jpg", label="class")),
        ({"image": PNG, "label": b"owl"}, Names(image="image")),
        ({"image": PNG, "label": [0, 1]}, Names(image="image")),
        (
            {"image": PNG, "image/encoded": PNG, "rows": 4, "cols": 5},
            Names(image="image/encoded", height="rows", width="cols"),
        ),
    ],
    ids=["plain", "tf-models", "raw", "webdataset", "text-label", "many-labels", "both"],
)
def test_feature_names_of_other_programs_are_guessed(
    values: dict[str, Any], expected: Names
) -> None:
    assert guess_names(features(**values)) == expected


@pytest.mark.parametrize(
    "values",
    [
        {"label": 1},
        {"image": b"no image"},
        {"image": [PNG, PNG]},
        {"image": [1, 2, 3]},
        {"image_raw": PIXELS.tobytes()},
        {"image_raw": PIXELS.tobytes()[:-1], "height": 4, "width": 5},
        {"picture": PNG},
    ],
    ids=["none", "text", "two", "numbers", "raw-without-size", "raw-cut", "other-name"],
)
def test_without_an_image_no_names_are_guessed(values: dict[str, Any]) -> None:
    assert guess_names(features(**values)) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": None}, "found no feature 'image', expected the image"),
        ({"image": 3}, "feature 'image': found 1 int64 values, expected one bytes value"),
        ({"image": [PNG, PNG]}, "feature 'image': found 2 bytes values, expected one bytes value"),
        ({"height": b"4"}, "feature 'height': found 1 bytes values, expected one int64 value"),
        ({"width": [4, 5]}, "feature 'width': found 2 int64 values, expected one int64 value"),
        ({"label": [0.5]}, "feature 'label': found 1 float values, expected one int64 value"),
        ({"key": [1, 2]}, "feature 'key': found 2 int64 values, expected one int64 value"),
        ({"filename": 1}, "feature 'filename': found 1 int64 values, expected one bytes value"),
        ({"window": b"1"}, "feature 'window': found 1 bytes values, expected one int64 value"),
    ],
)
def test_a_missing_or_repeated_value_is_an_error(change: dict[str, Any], message: str) -> None:
    values = {"image": PNG, "height": 4, "width": 5, "label": 1, **change}
    found = features(**{name: value for name, value in values.items() if value is not None})
    with pytest.raises(DataError) as error:
        records.decode(found, NAMES["plain"])
    assert str(error.value) == message


def test_a_raw_record_gives_its_pixels() -> None:
    assert np.array_equal(records.pixels(CROP), PIXELS)


def test_an_encoded_record_gives_its_pixels() -> None:
    assert np.array_equal(records.pixels(WHOLE), PIXELS)


def test_a_record_that_is_neither_raw_nor_an_image_is_an_error() -> None:
    with pytest.raises(ImageError):
        records.pixels(ImageRecord(image=b"text", height_px=4, width_px=5))


@pytest.mark.parametrize(
    "first", [b"P4 ", b"P6\n", b"\xff\xd8\xff", b"II*\0", b"\xff\x0a"], ids=ascii
)
def test_raw_rows_may_begin_with_the_magic_bytes_of_a_format(first: bytes) -> None:
    """Pixels can be any bytes: (80, 52, 32) is a brown, and a PBM file begins with "P4 "."""
    data = first + PIXELS.tobytes()[len(first) :]
    record = ImageRecord(image=data, height_px=4, width_px=5)
    assert records.pixels(record).tobytes() == data


class TestContentDigest:
    RECORDS = ((5, b"a" * 32), (2**56 - 1, b"b" * 32), (0, b"c" * 32))

    def test_the_digest_does_not_depend_on_the_order(self) -> None:
        assert content_digest(self.RECORDS) == content_digest(self.RECORDS[::-1])

    def test_the_digest_equals_that_of_coreutils(self) -> None:
        """Before each digest its key as eight big-endian bytes, sorted by key.

        (printf '\\0\\0\\0\\0\\0\\0\\0\\0'; printf 'c%.0s' $(seq 32);
        printf '\\0\\0\\0\\0\\0\\0\\0\\5'; printf 'a%.0s' $(seq 32);
        printf '\\0\\377\\377\\377\\377\\377\\377\\377'; printf 'b%.0s' $(seq 32)) | sha256sum
        """
        expected = "4fa04fdc48cdc6875eb4b6f6d927c77ace2be3de9a57a80ff63a0a8895b5a300"
        assert content_digest(self.RECORDS) == expected


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [([], None), ([None], None), ([(3, 9), None, (5, 2)], (3, 2)), ([(4, 4)], (4, 4))],
)
def test_the_smallest_size_has_the_least_height_and_the_least_width(
    sizes: Any, expected: Any
) -> None:
    assert records.smallest_of(iter(sizes)) == expected


def test_features_are_mapped_to_their_fields() -> None:
    named = NAMES["tf-models"].by_feature(("image", "label"))
    assert named == {"image/encoded": "image", "image/class/label": "label"}
    assert Names(image="x").by_feature(("image", "label")) == {"x": "image"}
