"""Records of other programs: which features are the image and the label is certain, or asked."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import jpeg, photo, png

from tfrec_cli.dataset import foreign
from tfrec_cli.dataset.foreign import certain_names
from tfrec_cli.dataset.records import Names
from tfrec_cli.errors import UsageError
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.example import Feature

PICTURE = photo(6, 8)
JPEG, PNG = jpeg(PICTURE), png(PICTURE)


def features(**values: Any) -> dict[str, Feature]:
    """Return the features of a record as readers see them; ``__`` in a name is a slash."""
    named = {name.replace("__", "/"): value for name, value in values.items()}
    return example.decode(example.encode(named))


def floats(*values: float) -> Feature:
    return Feature("float", values)


@pytest.mark.parametrize(
    ("record", "names"),
    [
        (features(image=JPEG, label=3), Names("image", label="label")),
        (
            features(image__encoded=JPEG, image__class__label=3, image__height=6, image__width=8),
            Names(
                "image/encoded",
                height="image/height",
                width="image/width",
                label="image/class/label",
            ),
        ),
        (features(jpg=JPEG, cls=b"", **{"class": 1}), Names("jpg", label="class")),
        (features(image=JPEG), Names("image")),
        (
            features(image=JPEG, height=6, image_name=b"a", format=b"jpeg"),
            Names("image", height="height", filename="image_name"),
        ),
        (features(image=JPEG, depth=PNG, mask=PNG, label=0), Names("image", label="label")),
    ],
    ids=["plain", "slashes", "jpg", "only image", "known others", "mask and depth"],
)
def test_names_in_common_use_are_found(record: dict[str, Feature], names: Names) -> None:
    assert certain_names(record) == names


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_raw_images_are_found_by_the_numbers_of_their_record(channels: int) -> None:
    record = features(image_raw=bytes(48 * channels), height=6, width=8, depth=channels, label=1)
    expected = Names("image_raw", "height", "width", "label", channels="depth")
    assert certain_names(record) == expected


ASKED = {
    "label called target": (
        features(image=JPEG, image_name=b"ISIC_1", target=1, sex=1),
        "which is the label? found sex (int64), target (int64), image_name (bytes): "
        "label='target', or label=None",
    ),
    "a number that is no label by its name": (
        features(image=JPEG, age=b"7", sex=1, width=8),
        "which is the label? found sex (int64), age (bytes): label='sex', or label=None",
    ),
    "text label": (
        features(image=JPEG, label=b"dog"),
        "label: 'label' holds texts such as 'dog', expected a class number: label='label' yields "
        "that, label=None leaves it out",
    ),
    "float label": (
        features(image=JPEG, label=floats(0.5)),
        "label: 'label' holds one float (0.5), expected a class number: label='label' yields that, "
        "label=None leaves it out",
    ),
    "list label": (
        features(image=JPEG, label=[1, 2]),
        "label: 'label' holds 2 int64 values, expected a class number: label='label' yields that, "
        "label=None leaves it out",
    ),
    "empty label": (
        features(image=JPEG, label=Feature("int64", [])),
        "label: 'label' holds 0 int64 values, expected a class number: label='label' yields that, "
        "label=None leaves it out",
    ),
    "two labels": (
        features(image=JPEG, label=0, class_id=4),
        "which is the label? found class_id (int64), label (int64): label='label', or label=None",
    ),
    "unknown names": (
        features(photo=JPEG, category=1),
        "which is the image? found category (int64), photo (JPEG): image='photo'",
    ),
    "nested name": (
        features(observation__image=PNG, action=floats(1, 2)),
        "which is the image? found action (list of float), observation/image (PNG): "
        "image='observation/image'",
    ),
    "two images in one feature": (
        features(image=[JPEG, PNG], label=1),
        "image: 'image' holds 2 images a record, expected one",
    ),
    "two features with an image": (
        features(image=JPEG, png=PNG, label=1),
        "which is the image? found label (int64), image (JPEG), png (PNG): image='image'",
    ),
    "no image": (
        features(label=1),
        "found label (int64), expected one that holds an image",
    ),
    "nothing": ({}, "found no feature, expected one that holds an image"),
    "raw with other numbers": (
        features(image_raw=bytes(47), height=6, width=8, depth=1, label=1),
        "found depth (int64), height (int64), label (int64), width (int64), image_raw (bytes), "
        "expected one that holds an image",
    ),
    "boxes": (
        features(image__encoded=JPEG, image__object__class__label=[1]),
        "which is the label? found image/object/class/label (int64): "
        "label='image/object/class/label', or label=None",
    ),
    "many": (
        features(image=JPEG, **{f"x{number:02d}": number for number in range(14)}),
        "which is the label? found x00 (int64), x01 (int64), x02 (int64), x03 (int64), "
        "x04 (int64), x05 (int64), x06 (int64), x07 (int64), x08 (int64), x09 (int64), "
        "x10 (int64), x11 (int64), and 2 more: label='x00', or label=None",
    ),
}


@pytest.mark.parametrize("case", ASKED)
def test_what_is_not_certain_is_asked_with_an_example(case: str) -> None:
    record, message = ASKED[case]
    with pytest.raises(UsageError) as asked:
        certain_names(record)
    assert str(asked.value).removesuffix(": missing='skip' goes on") == message


def test_the_example_is_an_answer() -> None:
    record, _ = ASKED["unknown names"]
    with pytest.raises(UsageError) as asked:
        certain_names(record, image="photo")
    question = "which is the label? found category (int64): label='category', or label=None"
    assert str(asked.value) == question
    assert certain_names(record, image="photo", label="category") == Names(
        "photo", label="category"
    )
    assert certain_names(record, image="photo", label=None) == Names("photo")


@pytest.mark.parametrize("case", ["text label", "float label", "list label", "empty label"])
def test_a_label_of_any_kind_is_taken_if_it_is_asked_for(case: str) -> None:
    record, _ = ASKED[case]
    assert certain_names(record, label="label") == Names("image", label="label")
    assert certain_names(record, label="label[]") == Names("image", label="label")
    assert certain_names(record, label=None) == Names("image")


def test_some_texts_of_a_label_are_shown_each_once() -> None:
    more = [{"label": Feature("bytes", [text])} for text in (b"dog", b"cat", b"dog", "ä".encode())]
    more += [{}, {"label": Feature("int64", [3])}, {"label": Feature("bytes", [])}]
    more += [{"label": Feature("bytes", [b"x" * 40])}]
    more += [{"label": Feature("bytes", [text])} for text in (b"\xff", b"sixth")]
    with pytest.raises(UsageError) as asked:
        certain_names(features(image=JPEG, label=b"dog"), more=more)
    texts = f"'dog', 'cat', 'ä', '{'x' * 30}', '\N{REPLACEMENT CHARACTER}'"
    assert f"holds texts such as {texts}, expected a class number" in str(asked.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"image": "picture"},
            "image: found no feature 'picture', expected one of label (int64), image (JPEG)",
        ),
        (
            {"label": "target"},
            "label: found no feature 'target', expected one of label (int64), image (JPEG)",
        ),
        ({"image": "label"}, "image: 'label' holds one int64 (1), expected one image"),
    ],
)
def test_a_name_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as refused:
        certain_names(features(image=JPEG, label=1), **options)
    assert str(refused.value) == message


def test_a_description_tells_names_if_the_record_has_them() -> None:
    record = features(observation__image=PNG, action=2, image=JPEG)
    told = ("observation/image", "action")
    assert certain_names(record, told=told) == Names("observation/image", label="action")
    assert certain_names(record, told=told, image="image", label=None) == Names("image")
    assert certain_names(features(image=JPEG, label=1), told=told) == Names("image", label="label")


def test_a_description_by_which_a_mask_is_to_be_learnt_is_asked_about() -> None:
    record = features(image=JPEG, mask=PNG, label=1, height=6)
    with pytest.raises(UsageError) as asked:
        certain_names(record, told=("image", "mask"))
    assert str(asked.value) == (
        "label: 'mask' holds PNG, expected a class number: label=NAME of height (int64), "
        "label (int64), mask (PNG), or label=None"
    )
    for label in ("label", "mask", None):
        assert certain_names(record, told=("image", "mask"), label=label).label == label


def test_sizes_beside_another_image_are_not_its_own() -> None:
    record = features(image=JPEG, thumbnail=PNG, height=6, width=8, label=1)
    assert certain_names(record, image="thumbnail") == Names("thumbnail", label="label")
    raw = features(pixels=bytes(48), height=6, width=8, depth=1, label=1)
    assert certain_names(raw, image="pixels").height == "height"


def test_a_guess_for_commands_takes_what_readers_ask_for() -> None:
    assert foreign.guess_names(features(image=JPEG, png=PNG, sex=1)) == Names("image")
    assert foreign.guess_names(features(photo=JPEG)) is None
