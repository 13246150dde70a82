"""The reader for TensorFlow gives the right crops of the right records, in any environment."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Pixels, fill, jpeg, needs, photo, png, tf

from tfrec_cli import crops, read_numpy
from tfrec_cli.commands.write import write
from tfrec_cli.dataset import discover, records
from tfrec_cli.errors import DataError, UsageError
from tfrec_cli.imaging import normalize
from tfrec_cli.read_tf import dataset as read
from tfrec_cli.reading import handles
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.record import footer, header
from tfrec_cli.writing.options import WriteOptions as Options

pytestmark = needs("tensorflow")

SEED = 42
CROP = (33, 38)


def record_list(path: Path) -> list[records.ImageRecord]:
    one = discover.split(path, "train")
    names = records.NAMES["plain"]
    return [records.decode(example.decode(payload), names) for payload in discover.payloads(one)]


def expected(path: Path, epoch: int = 0, crop: tuple[int, int] = CROP) -> list[Pixels]:
    """Cut every record's crop with TensorFlow's own function, record by record."""
    cut = []
    for one in record_list(path):
        pixels = tf.constant(records.pixels(one))
        pair = (SEED + epoch * 2**32, one.key)
        cut.append(tf.image.stateless_random_crop(pixels, (*crop, 3), seed=pair).numpy())
    return cut


def got(path: Path, **options: Any) -> Pixels:
    """Read a whole dataset into one array."""
    options = {"crop": CROP, "seed": SEED, "dtype": "uint8", "batch_size": 4, **options}
    batches = [image.numpy() for image, _ in read(path, **options)]
    return np.concatenate(batches) if batches else np.empty((0, *CROP, 3), np.uint8)


@pytest.mark.promise("P2")
@pytest.mark.parametrize("parallel", [1, 8])
@pytest.mark.parametrize("batch_size", [1, 32])
def test_crops_are_those_of_stateless_random_crop(
    whole: Path, parallel: int, batch_size: int
) -> None:
    crop = got(whole, parallel=parallel, batch_size=batch_size)
    assert np.array_equal(crop, expected(whole))


@pytest.mark.promise("P2")
def test_crops_are_the_same_inside_a_tf_function(whole: Path) -> None:
    found: list[Pixels] = []

    @tf.function
    def run(batches: Any) -> None:
        for image, _ in batches:
            tf.numpy_function(found.append, [image], [])

    run(read(whole, crop=CROP, seed=SEED, dtype="uint8", batch_size=5))
    assert np.array_equal(np.concatenate(found), expected(whole))


@pytest.mark.promise("P2")
def test_shuffled_records_keep_their_crops(whole: Path) -> None:
    order = crops.shuffled(range(13), 13, seed=SEED, epoch=0)
    assert np.array_equal(got(whole, shuffle=True), np.stack(expected(whole))[order])


def test_global_seeds_change_nothing(whole: Path) -> None:
    found = []
    for seed in (1, 2):
        tf.random.set_seed(seed)
        np.random.seed(seed)  # the global state that must not matter
        found.append(got(whole, shuffle=True))
    assert np.array_equal(*found)


@pytest.mark.parametrize("shuffle", [False, True])
def test_three_hosts_share_what_one_reads(whole: Path, shuffle: bool) -> None:
    alone = got(whole, shuffle=shuffle)
    for host in range(3):
        assert np.array_equal(got(whole, shuffle=shuffle, shard=(host, 3)), alone[host::3])


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("hosts", [1, 3])
def test_reading_resumes_at_every_record(whole: Path, shuffle: bool, hosts: int) -> None:
    options: dict[str, Any] = {"shuffle": shuffle, "epochs": 2, "shard": (hosts - 1, hosts)}
    everything = got(whole, **options)
    for start in range(len(everything) + 1):
        assert np.array_equal(got(whole, start=start, **options), everything[start:]), start


def test_epochs_follow_each_other(whole: Path) -> None:
    together = got(whole, epoch=3, epochs=2, shuffle=True)
    apart = [got(whole, epoch=epoch, shuffle=True) for epoch in (3, 4)]
    assert np.array_equal(together, np.concatenate(apart))


def test_epochs_differ_in_crops_and_order(whole: Path) -> None:
    assert not np.array_equal(got(whole, epoch=0), got(whole, epoch=1))
    orders = [crops.shuffled(range(13), 13, seed=SEED, epoch=epoch).tolist() for epoch in (0, 1)]
    assert orders[0] != orders[1]


def test_a_batch_never_spans_two_epochs(whole: Path) -> None:
    sizes = [len(image) for image, _ in read(whole, crop=CROP, batch_size=8, epochs=2)]
    assert sizes == [8, 5, 8, 5]


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"batch_size": 4}, 4),
        ({"batch_size": 4, "drop_remainder": True}, 3),
        ({"batch_size": 4, "epochs": 3}, 12),
        ({"batch_size": 4, "epochs": 3, "start": 14}, 7),
        ({}, 13),
        ({"epochs": 2, "start": 14}, 12),
        ({"shard": (1, 3), "batch_size": 2}, 2),
        ({"start": 13, "batch_size": 2}, 0),
    ],
)
def test_the_length_is_the_number_of_batches(
    whole: Path, options: dict[str, Any], count: int
) -> None:
    batches = read(whole, crop=CROP, **options)
    assert (len(batches), sum(1 for _ in batches)) == (count, count)


@pytest.mark.promise("P3")
def test_stored_crops_are_the_centre_crops_of_whole_images(whole: Path, stored: Path) -> None:
    """P3: write --crop N, then read == write whole, then read with a centre crop of N."""
    by_key = {
        one.key: crop
        for one, crop in zip(
            record_list(whole), got(whole, crop=36, crop_mode="center"), strict=True
        )
    }
    for one, crop in zip(record_list(stored), got(stored, crop=None), strict=True):
        assert np.array_equal(crop, by_key[one.key]), one.filename


def test_stored_crops_are_cropped_like_whole_images(stored: Path) -> None:
    assert np.array_equal(got(stored, crop=(20, 21)), expected(stored, crop=(20, 21)))


@pytest.mark.promise("P4")
def test_windows_of_every_size_and_place_are_exact(whole: Path) -> None:
    """P4: decoding only the window gives the same pixels as decoding the whole image."""
    for epoch, crop in enumerate([(1, 1), (1, 40), (40, 1), (39, 39), (17, 3)]):
        found = got(whole, crop=crop, epoch=epoch)
        assert np.array_equal(found, expected(whole, epoch, crop)), crop


def test_float32_is_uint8_over_255(whole: Path) -> None:
    exact = got(whole).astype(np.float32) * np.float32(1 / 255)
    assert np.array_equal(got(whole, dtype="float32"), exact)
    assert np.array_equal(got(whole, dtype="float32").max(), exact.max())


def test_flips_are_those_of_stateless_random_flip(whole: Path) -> None:
    keys = [one.key for one in record_list(whole)]
    for crop, flipped, key in zip(expected(whole), got(whole, flip=True), keys, strict=True):
        pair = crops.seed_pair(SEED, 0, key or 0, crops.FLIP)
        right = tf.image.stateless_random_flip_left_right(crop, seed=pair).numpy()
        assert np.array_equal(flipped, right)


def test_brightness_is_that_of_stateless_random_brightness(whole: Path) -> None:
    keys = [one.key for one in record_list(whole)]
    found = got(whole, brightness=0.3, dtype="float32")
    for crop, bright, key in zip(got(whole, dtype="float32"), found, keys, strict=True):
        pair = crops.seed_pair(SEED, 0, key or 0, crops.BRIGHTNESS)
        right = tf.image.stateless_random_brightness(crop, 0.3, seed=pair)
        assert np.array_equal(bright, tf.clip_by_value(right, 0, 1).numpy())


def test_flip_and_brightness_equal_numpy(whole: Path) -> None:
    keys = [one.key for one in record_list(whole)]
    flips = crops.random_flips(seed=SEED, epoch=0, keys=keys)
    deltas = crops.random_brightness(0.2, seed=SEED, epoch=0, keys=keys)
    found = got(whole, flip=True, brightness=0.2, dtype="float32")
    for place, crop in enumerate(expected(whole)):
        mirrored = crop[:, ::-1] if flips[place] else crop
        bright = mirrored.astype(np.float32) * np.float32(1 / 255) + deltas[place]
        assert np.array_equal(found[place], bright.clip(0, 1))


def test_brightness_of_uint8_is_rounded(whole: Path) -> None:
    exact = np.round(got(whole, brightness=0.3, dtype="float32") * 255).astype(np.uint8)
    assert np.array_equal(got(whole, brightness=0.3), exact)


def test_labels_come_with_their_images(whole: Path) -> None:
    order = crops.shuffled(range(13), 13, seed=SEED, epoch=0)
    labels = [one.label for one in record_list(whole)]
    found = [label.numpy() for _, label in read(whole, crop=CROP, seed=SEED, shuffle=True)]
    assert found == [labels[place] for place in order]


def test_datasets_without_labels_yield_only_images(tmp_path: Path) -> None:
    write(fill(tmp_path / "src", {"a.png": png(photo(9, 9))}), tmp_path / "out", Options(jobs=1))
    assert next(iter(read(tmp_path / "out", dtype="uint8"))).shape == (9, 9, 3)


def test_whole_images_are_read_without_a_crop(whole: Path) -> None:
    found = [image.numpy() for image, _ in read(whole, dtype="uint8")]
    right = [records.pixels(one) for one in record_list(whole)]
    assert all(np.array_equal(*pair) for pair in zip(found, right, strict=True))


def test_whole_images_of_different_sizes_are_not_batched(whole: Path) -> None:
    with pytest.raises(UsageError, match=r"expected crop=.*, or batch_size=None"):
        read(whole, batch_size=2)


def test_shapes_are_known_before_reading(whole: Path) -> None:
    image, label = read(whole, crop=CROP, batch_size=2, drop_remainder=True).element_spec
    assert (image.shape.as_list(), image.dtype, label.shape.as_list()) == (
        [2, *CROP, 3],
        tf.float32,
        [2],
    )


def test_a_crop_larger_than_the_smallest_image_is_refused_at_once(whole: Path) -> None:
    with pytest.raises(UsageError, match="images down to 40 wide, 41 high"):
        read(whole, crop=42, batch_size=2)


def test_small_images_are_skipped(whole: Path) -> None:
    fitting = [one.label for one in record_list(whole) if min(one.height_px, one.width_px) >= 50]
    found = [label.numpy() for _, label in read(whole, crop=50, small="skip")]
    assert found == fitting


def test_small_images_are_padded_with_black(whole: Path) -> None:
    for one, crop in zip(
        record_list(whole), got(whole, crop=90, crop_mode="center", small="pad"), strict=True
    ):
        padded = normalize.enlarge(records.pixels(one), 90, 90, "pad")
        top, left, *_ = crops.center_box(*padded.shape[:2], (90, 90))
        assert np.array_equal(crop, padded[top : top + 90, left : left + 90]), one.filename


@pytest.mark.parametrize(
    "options",
    [
        {"crop": 0},
        {"seed": -1},
        {"seed": 2**32},
        {"epoch": 2**31},
        {"epochs": 0},
        {"batch_size": 0},
        {"start": -1},
        {"start": 14},
        {"shard": (3, 3)},
        {"shard": 3},
        {"brightness": 1.5},
        {"split": "test"},
    ],
)
def test_values_out_of_range_are_refused(whole: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        read(whole, **{"crop": CROP, **options})


def test_gzip_shards_can_be_read_in_order_but_not_shuffled(whole: Path, tmp_path: Path) -> None:
    write(whole.parent / "images", tmp_path / "gz", Options(compression="gzip", shards=3, jobs=1))
    assert np.array_equal(
        got(tmp_path / "gz", shard=(1, 2), start=2, epochs=2),
        got(whole, shard=(1, 2), start=2, epochs=2),
    )
    with pytest.raises(UsageError, match="shuffle"):
        read(tmp_path / "gz", crop=CROP, shuffle=True)


@pytest.mark.parametrize("encoding", ["png", "jpeg"])
def test_encoded_crops_are_read_like_raw_ones(whole: Path, tmp_path: Path, encoding: Any) -> None:
    out = tmp_path / "out"
    write(whole.parent / "images", out, Options(crop=(36, 36), encoding=encoding, jobs=1))
    assert np.array_equal(got(out, crop=(9, 9)), expected(out, crop=(9, 9)))


def test_tf_models_names_are_read_like_plain_ones(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(whole.parent / "images", out, Options(keys="tf-models", shards=3, jobs=1))
    assert np.array_equal(got(out), got(whole))


def frame(payloads: list[bytes]) -> bytes:
    return b"".join(header(len(one)) + one + footer(one) for one in payloads)


def test_foreign_records_are_cropped_by_their_number(tmp_path: Path) -> None:
    pictures = [photo(30, 41, seed) for seed in range(5)]
    path = tmp_path / "od.record"
    path.write_bytes(frame([example.encode({"image/encoded": png(one)}) for one in pictures]))
    boxes = crops.random_boxes([[30, 41]] * 5, (8, 9), seed=1, epoch=0, keys=range(5))
    found = next(iter(read(path, crop=(8, 9), seed=1, batch_size=5, dtype="uint8"))).numpy()
    for crop, picture, (top, left, height, width) in zip(found, pictures, boxes, strict=True):
        assert np.array_equal(crop, picture[top : top + height, left : left + width])


def test_foreign_raw_images_are_read(tmp_path: Path) -> None:
    picture = photo(6, 7)
    features = {"image_raw": picture.tobytes(), "height": 6, "width": 7, "label": 3}
    path = tmp_path / "raw.tfrecord"
    path.write_bytes(frame([example.encode(features)]))
    image, label = next(iter(read(path, dtype="uint8")))
    assert np.array_equal(image, picture)
    assert label == 3


def test_foreign_small_images_are_an_error_while_reading(tmp_path: Path) -> None:
    path = tmp_path / "od.record"
    path.write_bytes(frame([example.encode({"image": jpeg(photo(10, 10))})]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="smaller than the crop"):
        list(read(path, crop=11, batch_size=1))


def test_damage_found_while_reading_names_file_and_offset(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(whole.parent / "images", out, Options(jobs=1))
    shard = next(out.glob("*.tfrecord"))
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    with pytest.raises(tf.errors.OpError, match=r"train-00000-of-00001.tfrecord: at byte \d+"):
        got(out)


def test_an_index_that_does_not_fit_its_manifest_is_refused(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(whole.parent / "images", out, Options(jobs=1))
    index = next(out.glob("*.tfindex"))
    index.write_bytes(b"".join(index.read_bytes().splitlines(keepends=True)[1:]))
    with pytest.raises(DataError, match="found 12 records, expected 13"):
        got(out)


def test_no_file_stays_open(whole: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    got(whole, shuffle=True)
    got(whole, shuffle=True)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_dataset_can_be_iterated_again(whole: Path) -> None:
    batches = read(whole, crop=CROP, crop_mode="center", batch_size=4)
    first, second = ([image.numpy() for image, _ in batches] for _ in range(2))
    assert all(np.array_equal(*pair) for pair in zip(first, second, strict=True))


def test_plain_tensorflow_reads_whole_images(whole: Path) -> None:
    """A script that does not use tfrec reads the records with the usual functions."""
    files = sorted(str(path) for path in whole.glob("*.tfrecord"))
    spec = {"image": tf.io.FixedLenFeature([], tf.string)}
    found = [
        tf.io.decode_image(
            tf.io.parse_single_example(one, spec)["image"], channels=3, expand_animations=False
        ).shape
        for one in tf.data.TFRecordDataset(files)
    ]
    assert found == [(one.height_px, one.width_px, 3) for one in record_list(whole)]


def test_plain_tensorflow_reads_stored_crops(stored: Path) -> None:
    files = sorted(str(path) for path in stored.glob("*.tfrecord"))
    spec = {"image": tf.io.FixedLenFeature([], tf.string)}
    found = [
        tf.reshape(
            tf.io.decode_raw(tf.io.parse_single_example(one, spec)["image"], tf.uint8), [36, 36, 3]
        ).numpy()
        for one in tf.data.TFRecordDataset(files)
    ]
    assert np.array_equal(np.stack(found), got(stored, crop=None))


@pytest.mark.parametrize("epochs", [3, None])
def test_each_epoch_of_fit_has_its_own_order_and_crops(whole: Path, epochs: int | None) -> None:
    options: dict[str, Any] = {"crop": 20, "seed": 1, "batch_size": 4, "shuffle": True}
    batches = read(whole, epochs=epochs, **options)
    seen: list[Any] = []

    class Model(tf.keras.Model):  # type: ignore[misc]
        def train_step(self, data: Any) -> dict[str, float]:
            seen.append(data[0].numpy())
            return {"loss": 0.0}

    model = Model()
    model.compile(run_eagerly=True)
    steps = batches.steps_per_epoch
    model.fit(batches, epochs=3, steps_per_epoch=steps, shuffle=False, verbose=0)
    expected = [
        images.numpy() for epoch in range(3) for images, _ in read(whole, epoch=epoch, **options)
    ]
    assert len(seen) == len(expected)
    assert all(map(np.array_equal, seen, expected))


def test_keras_trains_on_several_epochs(stored: Path) -> None:
    tf.keras.utils.set_random_seed(0)
    layers = [tf.keras.layers.Flatten(), tf.keras.layers.Dense(3)]
    model = tf.keras.Sequential(layers)
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    batches = read(stored, seed=1, batch_size=4, epochs=2, shuffle=True)
    history = model.fit(batches, epochs=2, steps_per_epoch=4, shuffle=False, verbose=0)
    losses = history.history["loss"]
    assert len(losses) == 2
    assert all(np.isfinite(loss) for loss in losses)
    assert all(first != second for first, second in pairwise(losses))


@pytest.mark.parametrize(
    "options",
    [
        {"crop_mode": "centre"},
        {"dtype": "float16"},
        {"small": "Skip"},
        {"crop": (8, 8, 3)},
        {"crop": 8.0},
        {"batch_size": 4.0},
        {"shard": (1,)},
    ],
)
def test_unknown_words_and_wrong_types_are_refused(whole: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        read(whole, **{"crop": CROP, **options})


def test_numpy_integers_are_accepted(whole: Path) -> None:
    assert np.array_equal(got(whole, crop=np.int64(20)), got(whole, crop=20))


def test_skipping_small_images_keeps_every_full_batch(whole: Path) -> None:
    fitting = sum(min(one.height_px, one.width_px) >= 50 for one in record_list(whole))
    options = {"crop": 50, "small": "skip", "batch_size": 2, "drop_remainder": True}
    assert sum(len(image) for image, _ in read(whole, **options)) == fitting // 2 * 2


def test_there_may_be_more_shards_than_open_files(whole: Path, tmp_path: Path) -> None:
    import resource

    out = tmp_path / "out"
    write(whole.parent / "images", out, Options(shards=13, jobs=1))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    batches = read(out, crop=CROP, seed=SEED, batch_size=13, shuffle=True, dtype="uint8")
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 6, hard))
    try:
        count = len(next(iter(batches))[0])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert count == 13


def test_an_iterator_can_be_saved_and_restored(whole: Path, tmp_path: Path) -> None:
    """TensorFlow allows that only if no operation is stateful."""
    batches = read(whole, crop=CROP, seed=SEED, shuffle=True, batch_size=4, epochs=2)
    left = iter(batches)
    next(left)
    saved = tf.train.Checkpoint(iterator=left).write(str(tmp_path / "saved"))
    restored = iter(batches)
    tf.train.Checkpoint(iterator=restored).read(saved)
    rest = [[image.numpy() for image, _ in one] for one in (left, restored)]
    assert len(rest[0]) == 7
    assert all(np.array_equal(*pair) for pair in zip(*rest, strict=True))


def test_damaged_batches_can_be_ignored(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(whole.parent / "images", out, Options(jobs=1))
    options: dict[str, Any] = {"crop": CROP, "seed": SEED, "batch_size": 2, "epochs": 2}
    intact = [image.numpy() for image, _ in read(out, **options)]
    shard = next(out.glob("*.tfrecord"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    batches = read(out, **options)
    found = [image.numpy() for image, _ in batches.ignore_errors()]
    assert len(found) == len(batches) - 2 == 12
    assert all(any(np.array_equal(one, other) for other in intact) for one in found)


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """Count readers of datasets that this test has opened, and that are alive."""
    made: list[weakref.ref[Any]] = []
    handle = handles.handle

    def watched(kept: Any) -> Any:
        made.append(weakref.ref(kept.passes))
        return handle(kept)

    def alive() -> int:
        gc.collect()
        return sum(one() is not None for one in made)

    monkeypatch.setattr(handles, "handle", watched)
    yield alive
    assert made
    assert alive() == 0, "a reader outlives its test"


def labels(batches: Any) -> list[int]:
    return [int(one) for _, label in batches for one in np.ravel(label)]


def test_a_dataset_that_is_dropped_is_freed(stored: Path, readers: Callable[[], int]) -> None:
    ways: list[dict[str, Any]] = [{}, {"epochs": None}, {"batch_size": None, "features": ["key"]}]
    for options in ways:
        batches = read(stored, **{"batch_size": 4, **options})
        assert next(iter(batches))
        assert readers() == 1
        del batches
        assert readers() == 0


def test_derived_datasets_and_iterators_keep_what_they_read(
    stored: Path, readers: Callable[[], int]
) -> None:
    expected = labels(read(stored))
    derived = read(stored, batch_size=4).map(lambda image, label: (image, label)).prefetch(1)
    assert readers() == 1
    assert labels(derived) == expected
    iterator = iter(derived)
    del derived
    assert readers() == 1
    assert labels(iterator) == expected
    del iterator
    assert readers() == 0
    nested = tf.data.Dataset.from_tensors(read(stored, batch_size=4)).flat_map(lambda one: one)
    assert readers() == 1
    assert labels(nested) == expected


def test_a_function_keeps_the_datasets_in_it(stored: Path, readers: Callable[[], int]) -> None:
    expected = sum(labels(read(stored)))

    read_here = tf.autograph.experimental.do_not_convert(read)  # it warns of what it cannot convert

    def total(batches: Any) -> Any:
        found = tf.constant(0, tf.int64)
        for both in (batches, read_here(stored, batch_size=4)):
            for _, label in both:
                found += tf.reduce_sum(label)
        return found

    run = tf.function(partial(total, read(stored, batch_size=4))).get_concrete_function()
    assert readers() == 2
    assert run() == 2 * expected
    assert run() == 2 * expected


def test_graphs_of_tensorflow_1_are_read(stored: Path) -> None:
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        batches = read(stored, batch_size=4)
        batch = tf.compat.v1.data.make_one_shot_iterator(batches).get_next()
        assert session.run(batch)[1].tolist() == labels(read_numpy.dataset(stored))[:4]


HALF_READ = """
import sys
from tfrec_cli import read_tf
iterator = iter(read_tf.dataset(sys.argv[1], crop=400, batch_size=16, epochs=50))
next(iterator)
"""


def test_a_script_that_leaves_an_iterator_half_read_ends(tmp_path: Path) -> None:
    """Batches still being made must not wait for a Python that has exited."""
    data = jpeg(photo(800, 800), progressive=True)  # takes some time to decode
    source = fill(tmp_path / "source", {f"{number}.jpg": data for number in range(64)})
    write(source, tmp_path / "out", Options(jobs=1))
    argv = [sys.executable, "-c", HALF_READ, tmp_path / "out"]
    assert subprocess.run(argv, timeout=120, check=False).returncode == 0
