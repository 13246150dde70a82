"""Batches: records parsed, cropped and stacked, without any framework."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import Pixels, class_files, fill, jpeg, photo, png, read_tf
from PIL import Image

from tfrec_cli import crops
from tfrec_cli.commands.write import write
from tfrec_cli.dataset.records import NAMES, Names
from tfrec_cli.errors import DataError
from tfrec_cli.imaging import decoder, normalize
from tfrec_cli.reading import batch
from tfrec_cli.reading.batch import BatchBuilder
from tfrec_cli.reading.fields import Field
from tfrec_cli.reading.options import ReadOptions
from tfrec_cli.tfrecord import example
from tfrec_cli.writing.options import WriteOptions as Options

Box = tuple[int, int, int, int]

SEED, EPOCH = 42, 3
CROP = (11, 13)
SIZES = [(20, 31), (11, 13), (12, 40), (33, 13), (21, 21)]
KEYS = [5, 2**56 - 1, 0, 77, 123_456_789]
LABELS = [3, 0, 2**40, -1, 1]
PICTURES = [photo(*size, seed) for seed, size in enumerate(SIZES)]
JPEGS = [
    jpeg(picture, subsampling=sampling)
    for picture, sampling in zip(
        PICTURES, ["4:4:4", "4:2:2", "4:2:0", "4:2:0", "4:4:4"], strict=True
    )
]
NUMBERS = np.arange(5)
NAMES_OF_RAW = Names(image="image", height="height", width="width", label="label", key="key")
ONLY_IMAGE = Names(image="image")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collect what the decoder is asked for: size and box of a window, or None for a whole one."""
    calls: list[Any] = []
    decode, decode_window = decoder.decode, decoder.decode_window

    def whole(data: bytes) -> Pixels:
        calls.append(None)
        return decode(data)

    def window(data: bytes, size: tuple[int, int], box: Box) -> Pixels:
        calls.append((size, box))
        return decode_window(data, size, box)

    monkeypatch.setattr(batch, "decoder", SimpleNamespace(decode=whole, decode_window=window))
    return calls


def builder(small: str | None = None, **options: Any) -> BatchBuilder:
    """Return a builder; if ``small`` is None, no image is smaller than the crop."""
    of_builder: dict[str, Any] = {
        "names": NAMES["plain"],
        "raw": 0,
        "crop": CROP,
    }
    of_builder.update({name: options.pop(name) for name in [*options] if name in of_builder})
    label = of_builder["names"].label
    field = Field(role="label", name="label", feature=label or "", kind="int64")
    asked: dict[str, Any] = {"seed": SEED, "dtype": "uint8", **options}
    return BatchBuilder(
        options=ReadOptions(small=small or "fail", **asked),
        may_be_small=small is not None,
        fields=(field,) if label else (),
        **of_builder,
    )


def raw(pictures: Sequence[Pixels] = PICTURES, **others: Any) -> list[memoryview]:
    """Make records of raw pictures, with their sizes, keys and labels."""
    return [
        memoryview(
            example.encode(
                {
                    "image": picture.tobytes(),
                    "height": picture.shape[0],
                    "width": picture.shape[1],
                    "label": LABELS[place],
                    "key": KEYS[place],
                    **others,
                }
            )
        )
        for place, picture in enumerate(pictures)
    ]


def encoded(window: int | None = None, data: Sequence[bytes] = JPEGS) -> list[memoryview]:
    """Make records of whole images as `write` does."""
    return [
        memoryview(
            example.encode(
                {
                    "image": image,
                    "height": SIZES[place][0],
                    "width": SIZES[place][1],
                    "label": LABELS[place],
                    "key": KEYS[place],
                    "filename": b"%d.jpg" % place,
                    "window": int(image[:2] == b"\xff\xd8") if window is None else window,
                }
            )
        )
        for place, image in enumerate(data)
    ]


def bare(data: Sequence[bytes] = JPEGS) -> list[memoryview]:
    return [memoryview(example.encode({"image": image})) for image in data]


def decoded() -> list[Pixels]:
    return [np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in JPEGS]


def random_crops(pictures: Sequence[Pixels], keys: Any = KEYS) -> Pixels:
    sizes = [picture.shape[:2] for picture in pictures]
    boxes = crops.random_boxes(sizes, CROP, seed=SEED, epoch=EPOCH, keys=keys)
    return sliced(pictures, boxes.tolist())


def centre_crops(pictures: Sequence[Pixels]) -> Pixels:
    return sliced(pictures, [crops.center_box(*one.shape[:2], CROP) for one in pictures])


def sliced(pictures: Sequence[Pixels], boxes: Any) -> Pixels:
    return np.stack(
        [
            picture[top : top + height, left : left + width]
            for picture, (top, left, height, width) in zip(pictures, boxes, strict=True)
        ]
    )


def cut(records: Sequence[memoryview], **options: Any) -> Any:
    """Return the images that a builder with these options makes of records."""
    (images,), _ = builder(**options).build(records, NUMBERS[: len(records)], EPOCH)
    return images


def same(left: Any, right: Any) -> bool:
    """Return whether two arrays have the same values and the same dtype."""
    return left.dtype == right.dtype and np.array_equal(left, right)


# Crops


@pytest.fixture(
    params=[
        (raw, {"raw": 3, "names": NAMES_OF_RAW}, PICTURES),
        (encoded, {}, decoded()),
        (lambda: encoded(0), {}, decoded()),
    ],
    ids=["raw", "windows", "whole"],
)
def source(request: pytest.FixtureRequest) -> tuple[list[memoryview], dict[str, Any], Any]:
    """Return records, the options to read them with, and their pictures."""
    make, options, pictures = request.param
    return make(), options, pictures


Source = tuple[list[memoryview], dict[str, Any], list[Pixels]]


def test_random_crops_are_those_of_random_boxes(source: Source) -> None:
    records, options, pictures = source
    assert same(cut(records, **options), random_crops(pictures))


def test_centre_crops_are_those_of_center_box(source: Source) -> None:
    records, options, pictures = source
    assert same(cut(records, crop_mode="center", **options), centre_crops(pictures))


def test_labels_are_in_the_order_of_images(source: Source) -> None:
    records, options, _ = source
    labels = builder(**options).build(records, NUMBERS, EPOCH)[1][0]
    assert same(labels, np.array(LABELS))


def test_flips_are_those_of_random_flips(source: Source) -> None:
    records, options, pictures = source
    expected = random_crops(pictures)
    flips = crops.random_flips(seed=SEED, epoch=EPOCH, keys=KEYS)
    expected[flips] = expected[flips][:, :, ::-1]
    assert same(cut(records, flip=True, **options), expected)


def test_float32_is_uint8_times_one_over_255(source: Source) -> None:
    records, options, pictures = source
    expected = random_crops(pictures).astype(np.float32) * np.float32(1 / 255)
    assert same(cut(records, dtype="float32", **options), expected)


def bright(pictures: Sequence[Pixels]) -> Any:
    deltas = crops.random_brightness(0.3, seed=SEED, epoch=EPOCH, keys=KEYS)
    plain = random_crops(pictures).astype(np.float32) * np.float32(1 / 255)
    return np.clip(plain + deltas[:, None, None, None], np.float32(0), np.float32(1))


def test_brightness_is_that_of_random_brightness(source: Source) -> None:
    records, options, pictures = source
    found = cut(records, brightness=0.3, dtype="float32", **options)
    assert same(found, bright(pictures))


def test_brightness_of_uint8_is_rounded(source: Source) -> None:
    records, options, pictures = source
    expected = np.rint(bright(pictures) * np.float32(255)).astype(np.uint8)
    assert same(cut(records, brightness=0.3, **options), expected)


def test_the_flips_tested_are_both_true_and_false() -> None:
    assert set(crops.random_flips(seed=SEED, epoch=EPOCH, keys=KEYS).tolist()) == {False, True}


def test_another_epoch_has_other_crops(source: Source) -> None:
    records, options, _ = source
    one, other = (builder(**options).build(records, NUMBERS, epoch)[0][0] for epoch in (0, 1))
    assert not np.array_equal(one, other)


@pytest.mark.promise("P2")
@pytest.mark.parametrize("order", [[4, 3, 2, 1, 0], [2], [1, 1, 3]])
def test_a_crop_does_not_depend_on_the_batch(source: Source, order: list[int]) -> None:
    records, options, _ = source
    found = cut([records[place] for place in order], **options)
    assert same(found, cut(records, **options)[order])


def test_one_builder_makes_many_batches(source: Source) -> None:
    """Earlier batches keep their values although memory is reused."""
    records, options, pictures = source
    one = builder(**options)
    made = [one.build(records, NUMBERS, epoch)[0][0] for epoch in [EPOCH, *range(60)]]
    assert same(made[0], random_crops(pictures))


def test_no_records_are_an_empty_batch(source: Source) -> None:
    _, options, _ = source
    assert cut([], **options).shape == (0, *CROP, 3)


@pytest.mark.parametrize("window", [0, 1])
def test_windows_are_asked_for_whatever_records_say(window: int, asked: list[Any]) -> None:
    """The decoder decides by the markers of the JPEG."""
    found = cut(encoded(window))
    boxes = crops.random_boxes(SIZES, CROP, seed=SEED, epoch=EPOCH, keys=KEYS).tolist()
    assert asked == [(size, tuple(box)) for size, box in zip(SIZES, boxes, strict=True)]
    assert same(found, random_crops(decoded()))


# Stored crops


def stored_crops() -> list[Pixels]:
    return [photo(*CROP, seed) for seed in range(5)]


@pytest.mark.parametrize("mode", ["random", "center"])
def test_stored_crops_are_returned_unchanged(mode: str) -> None:
    found = cut(raw(stored_crops()), raw=3, names=NAMES_OF_RAW, crop_mode=mode)
    assert same(found, np.stack(stored_crops()))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_stored_crops_are_aligned_for_tensorflow(dtype: Any) -> None:
    found = cut(raw(stored_crops()), raw=3, names=NAMES_OF_RAW, dtype=np.dtype(dtype).name)
    assert (found.ctypes.data % 64, found.dtype) == (0, dtype)


def test_stored_crops_are_flipped() -> None:
    expected = np.stack(stored_crops())
    flips = crops.random_flips(seed=SEED, epoch=EPOCH, keys=KEYS)
    expected[flips] = expected[flips][:, :, ::-1]
    found = cut(raw(stored_crops()), raw=3, names=NAMES_OF_RAW, flip=True)
    assert same(found, expected)


def test_a_picture_of_the_crops_size_is_read_among_larger_ones() -> None:
    pictures = [photo(*CROP), photo(20, 31)]
    found = cut(raw(pictures), raw=3, names=NAMES_OF_RAW)
    assert same(found, random_crops(pictures, KEYS[:2]))


def test_raw_pictures_are_not_cropped_without_a_size() -> None:
    found = cut(raw(PICTURES[:1]), raw=3, names=NAMES_OF_RAW, crop=None)
    assert same(found, PICTURES[0][None])


def test_encoded_pictures_are_not_cropped_without_a_size() -> None:
    assert same(cut(encoded()[2:3], crop=None), decoded()[2][None])


def test_a_picture_that_is_not_cropped_is_flipped() -> None:
    flips = crops.random_flips(seed=SEED, epoch=EPOCH, keys=KEYS).tolist()
    place = flips.index(True)
    found = cut(encoded()[place : place + 1], crop=None, flip=True)
    assert same(found, decoded()[place][None, :, ::-1])


# Images smaller than the crop

SMALL = (22, 30)


def padded(picture: Pixels) -> Pixels:
    """Put black around a picture, the same on both sides, or one pixel more at the end."""
    height, width = (max(side, least) for side, least in zip(picture.shape[:2], SMALL, strict=True))
    out = np.zeros((height, width, 3), np.uint8)
    top, left = (height - picture.shape[0]) // 2, (width - picture.shape[1]) // 2
    out[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return out


@pytest.mark.parametrize("mode", ["random", "center"])
def test_small_images_are_padded_and_then_cropped(source: Source, mode: Any) -> None:
    records, options, pictures = source
    wide = [padded(picture) for picture in pictures]
    sizes = [one.shape[:2] for one in wide]
    if mode == "random":
        boxes = crops.random_boxes(sizes, SMALL, seed=SEED, epoch=EPOCH, keys=KEYS).tolist()
    else:
        boxes = [crops.center_box(*size, SMALL) for size in sizes]
    found = cut(records, crop=SMALL, small="pad", crop_mode=mode, **options)
    assert same(found, sliced(wide, boxes))


SKIP_CROP = (12, 20)
FITTING = [0, 2, 4]


def test_small_images_are_skipped(source: Source) -> None:
    records, options, pictures = source
    boxes = crops.random_boxes(
        [SIZES[place] for place in FITTING],
        SKIP_CROP,
        seed=SEED,
        epoch=EPOCH,
        keys=[KEYS[place] for place in FITTING],
    )
    found = cut(records, crop=SKIP_CROP, small="skip", **options)
    assert same(found, sliced([pictures[place] for place in FITTING], boxes))


def test_labels_of_small_images_are_skipped(source: Source) -> None:
    records, options, _ = source
    labels = builder(crop=SKIP_CROP, small="skip", **options).build(records, NUMBERS, EPOCH)[1][0]
    assert same(labels, np.array([LABELS[place] for place in FITTING]))


def test_all_images_may_be_skipped(source: Source) -> None:
    records, options, _ = source
    found = cut(records, crop=(50, 50), small="skip", **options)
    assert found.shape == (0, 50, 50, 3)


@pytest.mark.parametrize("small", ["fail", None])
def test_a_small_image_fails(source: Source, small: Any) -> None:
    records, options, _ = source
    with pytest.raises(DataError) as raised:
        cut(records, crop=SKIP_CROP, small=small, **options)
    message = (
        "record 1: found 13 wide, 11 high: an image is smaller than the crop, 20 wide, 12 high"
    )
    assert str(raised.value) == message


@pytest.mark.parametrize("small", ["fail", None])
def test_a_small_image_without_a_size_fails(small: Any) -> None:
    with pytest.raises(DataError) as raised:
        cut(bare(), names=ONLY_IMAGE, crop=SKIP_CROP, small=small)
    message = (
        "record 1: found 13 wide, 11 high: an image is smaller than the crop, 20 wide, 12 high"
    )
    assert str(raised.value) == message


# Records of other programs


def test_records_without_keys_use_their_numbers() -> None:
    numbers = np.array([7, 1000, 3, 0, 9])
    (found,), _ = builder(names=ONLY_IMAGE).build(bare(), numbers, EPOCH)
    assert same(found, random_crops(decoded(), numbers))


@pytest.mark.parametrize("key", [-1, 2**56, -(2**63)])
def test_keys_out_of_range_are_replaced_by_numbers(key: int) -> None:
    names = Names(image="image", key="key")
    records = [memoryview(example.encode({"image": data, "key": key})) for data in JPEGS]
    assert same(cut(records, names=names), random_crops(decoded(), NUMBERS))


def test_without_labels_there_are_no_values() -> None:
    assert builder(names=ONLY_IMAGE).build(bare(), NUMBERS, EPOCH)[1] == []


def test_the_size_of_a_jpeg_is_read_from_its_markers(asked: list[Any]) -> None:
    cut(bare(), names=ONLY_IMAGE)
    assert [size for size, _ in asked] == SIZES


@pytest.mark.parametrize("small", ["fail", "skip"])
def test_pngs_without_a_size_are_cropped(small: Any) -> None:
    data = [png(picture) for picture in PICTURES]
    found = cut(bare(data), names=ONLY_IMAGE, small=small)
    assert same(found, random_crops(PICTURES, NUMBERS))


def test_jpegs_without_a_size_are_skipped() -> None:
    found = cut(bare(), names=ONLY_IMAGE, small="skip", crop=SKIP_CROP)
    boxes = crops.random_boxes(
        [SIZES[place] for place in FITTING], SKIP_CROP, seed=SEED, epoch=EPOCH, keys=FITTING
    )
    assert same(found, sliced([decoded()[place] for place in FITTING], boxes))


def test_features_with_other_names_are_read() -> None:
    names = Names(image="jpg", label="cls")
    records = [
        memoryview(example.encode({"jpg": data, "cls": label, "label": 99}))
        for data, label in zip(JPEGS, LABELS, strict=True)
    ]
    labels = builder(names=names).build(records, NUMBERS, EPOCH)[1][0]
    assert same(labels, np.array(LABELS))


# What is wrong with records


@pytest.mark.parametrize("missing", ["image", "height", "width", "label", "key"])
def test_a_missing_feature_is_an_error(missing: str) -> None:
    features = {
        name: feature.values[0]
        for name, feature in example.decode(bytes(encoded()[1])).items()
        if name != missing
    }
    records = [encoded()[0], memoryview(example.encode(features))]
    with pytest.raises(DataError) as raised:
        builder().build(records, np.array([8, 9]), EPOCH)
    found = f"record 9: found no feature {missing!r}, expected one value"
    assert str(raised.value).startswith(found)


def test_a_feature_of_two_values_is_an_error() -> None:
    records = [*encoded()[:1], *raw(PICTURES[:1], label=[1, 2], window=0)]
    with pytest.raises(DataError) as raised:
        builder().build(records, np.array([8, 9]), EPOCH)
    assert str(raised.value) == (
        "record 9: found 2 values of feature 'label', expected one: 'label[]' yields lists"
    )


@pytest.mark.parametrize("name", ["image", "height", "width", "label", "key"])
def test_a_feature_of_another_kind_is_an_error(name: str) -> None:
    features = {
        name: feature.values[0] for name, feature in example.decode(bytes(encoded()[1])).items()
    }
    features[name] = 7 if name == "image" else b"7"
    records = [encoded()[0], memoryview(example.encode(features))]
    with pytest.raises(DataError) as raised:
        builder().build(records, np.array([8, 9]), EPOCH)
    assert str(raised.value) == f"record 9: found feature {name!r} of another kind"


@pytest.mark.parametrize("sides", [(11, 12), (12, 13), (10, 13), (2**63 - 1, 13), (11, 2**31)])
def test_an_image_of_another_size_than_its_record_says_is_an_error(sides: tuple[int, int]) -> None:
    picture = memoryview(
        example.encode(
            {
                "image": png(photo(11, 13)),
                "height": sides[0],
                "width": sides[1],
                "label": 0,
                "key": 1,
                "window": 0,
            }
        )
    )
    with pytest.raises(DataError) as raised:
        cut([picture], crop=(4, 5))
    found = (
        f"found an image 13 wide, 11 high, expected {sides[1]} wide, {sides[0]} high by its record"
    )
    assert str(raised.value) == f"record 0: {found}"


@pytest.mark.parametrize(
    ("length", "height", "width"), [(428, 11, 13), (430, 11, 13), (0, 11, 13), (0, 0, 13)]
)
@pytest.mark.parametrize("place", [0, 1])
def test_a_raw_image_of_another_length_is_an_error(
    length: int, height: int, width: int, place: int
) -> None:
    wrong = {"image": bytes(length), "height": height, "width": width, "label": 0, "key": 1}
    records = raw(stored_crops()[:1])
    records.insert(place, memoryview(example.encode(wrong)))
    with pytest.raises(DataError) as raised:
        cut(records, raw=3, names=NAMES_OF_RAW)
    found = f"record {place}: found {length} bytes"
    assert str(raised.value) == f"{found}, expected {height} x {width} x 3 raw values"


@pytest.mark.parametrize("sides", [(-11, -13), (2**62, 2**62), (-(2**63), 13)])
def test_a_raw_image_of_an_impossible_size_is_an_error(sides: tuple[int, int]) -> None:
    records = raw(stored_crops()[:1], height=sides[0], width=sides[1])
    with pytest.raises(DataError) as raised:
        cut(records, raw=3, names=NAMES_OF_RAW)
    expected = f"expected {sides[0]} x {sides[1]} x 3 raw values"
    assert str(raised.value) == f"record 0: found 429 bytes, {expected}"


@pytest.mark.parametrize("names", [NAMES["plain"], ONLY_IMAGE], ids=["ours", "foreign"])
def test_an_image_that_cannot_be_decoded_is_an_error(names: Names) -> None:
    broken = [data[: len(data) // 2] for data in JPEGS]
    records = encoded(1, broken) if names is NAMES["plain"] else bare(broken)
    with pytest.raises(DataError):
        cut(records, names=names)


def test_a_record_that_is_not_an_example_is_an_error() -> None:
    with pytest.raises(DataError):
        cut([*encoded()[:1], memoryview(b"no example")])


# The reader for TensorFlow


def batches(path: Path, **options: Any) -> list[tuple[Any, Any]]:
    """Read a dataset; the batches are kept as tensors, and copied after the last one."""
    found = list(
        read_tf.dataset(path, **{"seed": SEED, "shuffle": True, "batch_size": 4, **options})
    )
    return [(image.numpy(), label.numpy()) for image, label in found]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a dataset of whole images."""
    root = tmp_path_factory.mktemp("batches")
    write(fill(root / "images", class_files()), root / "out", Options(shards=3, jobs=1))
    return root / "out"


@pytest.mark.parametrize("parallel", [1, 8])
def test_batches_that_are_kept_keep_their_values(out: Path, parallel: int) -> None:
    """Although the reader reuses memory, which tensors may share."""
    options: dict[str, Any] = {"crop": 20, "epochs": 20, "parallel": parallel}
    kept = batches(out, **options)
    one_by_one = [
        (image.numpy().copy(), label.numpy().copy())
        for image, label in read_tf.dataset(
            out, seed=SEED, shuffle=True, batch_size=4, crop=20, epochs=20, parallel=1
        )
    ]
    assert all(same(kept[place][0], one_by_one[place][0]) for place in range(len(one_by_one)))


def test_no_framework_is_needed() -> None:
    """This test module imports one; a fresh process shows that `batch` does not."""
    program = "import sys, tfrec_cli.reading.batch; print('tensorflow' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert ran.stdout == b"False\n"


def test_padding_decodes_only_windows_of_images_that_hold_the_crop(asked: list[Any]) -> None:
    """Two of five do; the others are decoded whole and padded with black."""
    crop = (20, 20)
    (found,), _ = builder(crop=crop, small="pad").build(encoded(), NUMBERS, EPOCH)
    padded = [normalize.enlarge(one, *crop, "pad") for one in decoded()]
    sizes = [one.shape[:2] for one in padded]
    boxes = crops.random_boxes(sizes, crop, seed=SEED, epoch=EPOCH, keys=KEYS)
    assert np.array_equal(found, sliced(padded, boxes.tolist()))
    windows = [(SIZES[row], tuple(boxes[row].tolist())) for row in (0, 4)]
    assert asked == [windows[0], None, None, None, windows[1]]
