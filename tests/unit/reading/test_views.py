"""Several views of each record: drawn apart, alike in all readers, and TensorFlow's by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import (
    READERS,
    needs,
    photo,
    png,
    read_keras,
    read_torch,
    tf,
    torch,
    torch_data,
)
from record_files import record_file
from yielded import OF_EPOCHS, WAYS, digest

from tfrec_cli import crops, read_numpy
from tfrec_cli.errors import UsageError
from tfrec_cli.reading.fields import FeatureReader
from tfrec_cli.tfrecord import example

CROP = (20, 25)


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write grey images as another program: without labels, keys and sizes."""
    images = [photo(30, 40, seed)[..., 0] for seed in range(5)]
    payloads = [example.encode({"image": png(image)}) for image in images]
    return record_file(tmp_path_factory.mktemp("grey") / "x.tfrecord", *payloads)


def flat(read: Any) -> list[Any]:
    """Return the images that are read, with labels or without, in plain order."""
    return [np.asarray(image) for image, *_ in read]


# All readers

OPTIONS: list[dict[str, Any]] = [
    {},
    {"flip": True, "brightness": 0.3},
    {"crop_mode": "center", "flip": True},
    {"crop_mode": "center", "brightness": 0.2, "dtype": "uint8"},
    {"dtype": "uint16", "epoch": 3},
    {"crop": (60, 38), "small": "pad", "dtype": "uint8"},
    {"shuffle": True, "shard": (1, 3), "start": 1},
    {"features": ["seed", "key"], "crop_mode": "center"},
]


@needs("tensorflow", "torch")
@pytest.mark.promise("P2")
@pytest.mark.parametrize("views", [1, 2, 3])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_all_readers_yield_the_same(whole: Path, options: dict[str, Any], views: int) -> None:
    options = {"crop": CROP, "seed": 42, **options, "views": views}
    ways = WAYS
    if any(name in options for name in OF_EPOCHS):
        ways = tuple(way for way in WAYS if way != "read_numpy.source")  # it has no start
    found = {way: digest(way, whole, **options) for way in ways}
    assert len(set(found.values())) == 1, found


@needs("tensorflow", "torch")
@pytest.mark.parametrize("options", [{}, {"channels": 1, "flip": True, "brightness": 0.1}])
def test_all_readers_yield_the_same_of_records_without_labels_and_keys(
    grey: Path, options: dict[str, Any]
) -> None:
    options = {"crop": CROP, "views": 2, "as_supervised": False, **options}
    found = {way: digest(way, grey, **options) for way in WAYS}
    assert len(set(found.values())) == 1, found
    first, second = read_numpy.source(grey, crop=CROP, views=2)[0]
    assert first.shape == second.shape == (*CROP, 3)


@needs("tensorflow", "torch")
def test_small_images_are_skipped_in_all_views(whole: Path) -> None:
    options: dict[str, Any] = {"crop": (50, 50), "small": "skip", "views": 2, "dtype": "uint8"}
    ways = [way for way in WAYS if way.startswith(("read_numpy.dataset", "read_tf"))]
    found = {way: digest(way, whole, **options) for way in ways}
    assert len(set(found.values())) == 1, found
    read = [views for views, _ in read_numpy.dataset(whole, **options)]
    assert 0 < len(read) < 13
    streamed = [views for views, _ in read_torch.stream(whole, **options)]
    for ours, theirs in zip(read, streamed, strict=True):
        assert all(map(np.array_equal, ours, [np.moveaxis(one.numpy(), 0, -1) for one in theirs]))


@needs("keras")
def test_keras_reads_the_same_batches(whole: Path) -> None:
    options: dict[str, Any] = {"crop": CROP, "views": 2, "batch_size": 4, "shuffle": True}
    ours = read_keras.dataset(whole, **options)
    for batch, (views, labels) in enumerate(read_numpy.dataset(whole, **options)):
        found, same_labels = ours[batch]
        assert isinstance(found, tuple)
        assert all(map(np.array_equal, found, views))
        assert np.array_equal(labels, same_labels)


@needs("torch")
@pytest.mark.parametrize("features", [(), ("seed",), ("height[]",)])
def test_a_loader_of_pytorch_makes_a_batch_of_each_view(
    whole: Path, features: tuple[str, ...]
) -> None:
    opened = read_torch.dataset(whole, crop=CROP, views=2, features=features)
    collate = opened.collate if "height[]" in features else None
    loader = torch_data.DataLoader(opened, 4, num_workers=2, collate_fn=collate)
    for number, ((first, second), labels, *_) in enumerate(loader):
        samples = opened[4 * number : 4 * number + 4]
        assert len(labels) == len(samples)
        assert torch.equal(first, torch.stack([views[0] for (views, *_) in samples]))
        assert torch.equal(second, torch.stack([views[1] for (views, *_) in samples]))


@needs("tensorflow")
def test_shapes_are_known_in_graphs(whole: Path) -> None:
    opened = READERS["read_tf"].dataset(
        whole, crop=CROP, views=2, batch_size=4, drop_remainder=True, features=["seed"]
    )
    images, _, more = opened.element_spec
    assert [one.shape.as_list() for one in images] == [[4, *CROP, 3]] * 2
    assert more["seed"].shape.as_list() == [4, 2, 2]


# Each view


def test_view_0_is_the_image_of_one_view(whole: Path, stored: Path) -> None:
    options: dict[str, Any] = {"crop": CROP, "flip": True, "brightness": 0.2, "shuffle": True}
    for path in (whole, stored):
        alone = flat(read_numpy.dataset(path, **options))
        for views in (2, 3):
            several = [images for images, _ in read_numpy.dataset(path, views=views, **options)]
            assert {len(images) for images in several} == {views}
            assert np.array_equal(alone, [images[0] for images in several])


def test_a_view_does_not_depend_on_how_many_there_are(whole: Path) -> None:
    two, three = (
        [views[1] for views, _ in read_numpy.dataset(whole, crop=CROP, views=views)]
        for views in (2, 3)
    )
    assert np.array_equal(two, three)


@needs("tensorflow")
@pytest.mark.promise("P2")
def test_each_view_can_be_made_by_hand_with_tensorflow(whole: Path) -> None:
    seed, epoch = 42, 3
    plain = read_numpy.dataset(whole, features=["key"], dtype="uint8")
    pixels = {int(more["key"]): image for image, _, more in plain}
    options: dict[str, Any] = {"crop": CROP, "seed": seed, "epoch": epoch, "flip": True}
    read = read_numpy.dataset(whole, views=3, brightness=0.2, features=["key", "seed"], **options)
    flips = set()
    for views, _, more in read:
        key = int(more["key"])
        for view, found in enumerate(views):
            pairs = [(seed + epoch * 2**32, key + op * 2**56) for op in (0, 1, 2, 16)]
            if view:
                fold_in = tf.random.experimental.stateless_fold_in
                pairs = [fold_in(pair, tf.constant(view, tf.int64)) for pair in pairs]
            of_crop, of_flip, of_brightness, of_user = pairs
            image = tf.image.stateless_random_crop(pixels[key], (*CROP, 3), seed=of_crop)
            turned = tf.image.stateless_random_flip_left_right(image, seed=of_flip)
            flips.add((view, bool(tf.reduce_all(turned == image))))
            scaled = tf.cast(turned, tf.float32) * np.float32(1 / 255)
            bright = tf.image.stateless_random_brightness(scaled, 0.2, seed=of_brightness)
            assert np.array_equal(found, tf.clip_by_value(bright, 0, 1))
            assert more["seed"][view].tolist() == np.asarray(of_user).tolist()
    assert len(flips) == 6  # each view has flips and none


def test_views_of_a_record_differ(whole: Path) -> None:
    """Of 13 records, not all views of any kind are alike by chance."""
    for options in ({}, {"crop_mode": "center", "flip": True}, {"crop": None, "brightness": 0.1}):
        given: dict[str, Any] = {"crop": CROP, **options}
        different = [
            len({image.tobytes() for image in views})
            for views, _ in read_numpy.dataset(whole, views=3, **given)
        ]
        assert max(different) > 1, options
        if given["crop"] and "crop_mode" not in given:
            assert different == [3] * 13


def test_records_are_parsed_once(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[int] = []
    read = FeatureReader.read

    def counted(self: FeatureReader, payload: memoryview, **options: Any) -> dict[str, Any]:
        parsed.append(len(payload))
        return read(self, payload, **options)

    monkeypatch.setattr(FeatureReader, "read", counted)
    assert len(list(read_numpy.dataset(whole, crop=CROP, views=3))) == len(parsed) == 13


def test_slices_and_epochs_have_views(whole: Path) -> None:
    source = read_numpy.source(whole, crop=CROP, views=2, epochs=2, shuffle=True)
    read = list(read_numpy.dataset(whole, crop=CROP, views=2, epochs=2, shuffle=True))
    for (ours, label), (theirs, same_label) in zip(source[:], read, strict=True):
        assert all(map(np.array_equal, ours, theirs))
        assert label == same_label


# Seed pairs and transforms


def test_seed_pairs_have_the_views_first(whole: Path) -> None:
    single = [more for *_, more in read_numpy.dataset(whole, features=["seed", "key"])]
    several = [
        more["seed"]
        for *_, more in read_numpy.dataset(whole, crop=CROP, features=["seed"], views=3)
    ]
    for one, seeds in zip(single, several, strict=True):
        key = int(one["key"])
        assert seeds.dtype == np.int64
        assert seeds[0].tolist() == one["seed"].tolist()
        expected = [crops.seed_pair(0, 0, key, crops.USER, view) for view in range(3)]
        assert list(map(tuple, seeds.tolist())) == expected
    *_, more = next(
        iter(read_numpy.dataset(whole, crop=CROP, features=["seed"], views=3, batch_size=4))
    )
    assert np.array_equal(more["seed"], several[:4])


def shifted(image: Any, seed: tuple[int, int]) -> Any:
    """Return the image, with a number of its seed pair added."""
    assert {type(number) for number in seed} == {int}
    return image + (seed[0] + 3 * seed[1]) % 7


@pytest.mark.parametrize("way", ["dataset", "batches", "source", "torch", "stream", "keras"])
def test_each_view_is_transformed_with_its_own_pair(whole: Path, way: str) -> None:
    """Even if all views are the same before."""
    options: dict[str, Any] = {"crop": CROP, "crop_mode": "center", "seed": 5, "epoch": 1}
    plain = read_numpy.dataset(whole, features=["seed"], views=2, **options)
    expected = [
        [
            shifted(image, tuple(pair))
            for image, pair in zip(views, more["seed"].tolist(), strict=True)
        ]
        for views, _, more in plain
    ]
    options |= {"views": 2, "transform": shifted}
    if way in ("torch", "stream"):
        opened = getattr(READERS["read_torch"], "dataset" if way == "torch" else way)(
            whole, **options
        )
        found = [[np.moveaxis(one.numpy(), 0, -1) for one in views] for views, _ in opened]
    elif way in ("batches", "keras"):
        module = READERS["read_keras" if way == "keras" else "read_numpy"]
        batches = [views for views, _ in module.dataset(whole, batch_size=4, **options)]
        found = [row for views in batches for row in zip(*views, strict=True)]
    else:
        found = [views for views, _ in getattr(read_numpy, way)(whole, **options)]
    assert len(found) == len(expected)
    assert all(map(np.array_equal, found, expected))


# What is refused

SAME = (
    "views: found 2, which would be the same, expected a random crop, flip, brightness, transform "
    "or features=['seed']"
)


@pytest.mark.parametrize("options", [{"crop": CROP, "crop_mode": "center"}, {"crop": None}])
@pytest.mark.parametrize("reader", READERS)
def test_views_that_cannot_differ_are_refused(
    whole: Path, reader: str, options: dict[str, Any]
) -> None:
    with pytest.raises(UsageError) as refused:
        READERS[reader].dataset(whole, views=2, **options)
    assert str(refused.value) == SAME


def test_views_of_stored_crops_need_a_smaller_crop(stored: Path) -> None:
    for crop in (None, 36):
        with pytest.raises(UsageError, match="views: found 2, which would be the same"):
            read_numpy.source(stored, crop=crop, views=2)
    assert len(read_numpy.source(stored, crop=35, views=2)[0][0]) == 2


def test_a_dataset_shows_its_views(whole: Path) -> None:
    shown = repr(read_numpy.dataset(whole, crop=CROP, views=2))
    assert shown.endswith("13 records, crop 20x25, seed 0, epoch 0, views 2>")
