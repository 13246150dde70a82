"""The reader without a framework gives TensorFlow's batches in the same order; Grain's source."""

from __future__ import annotations

import gc
import json
import pickle
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import fill, needs, photo, png, read_tf

from tfrec_cli import read_numpy
from tfrec_cli.commands.write import write
from tfrec_cli.errors import DataError, UsageError
from tfrec_cli.writing.options import WriteOptions as Options

CROP = (33, 38)


@pytest.fixture(scope="module")
def gzipped(whole: Path) -> Path:
    """Make a dataset of compressed shards from the same images."""
    out = whole.parent / "gz"
    write(whole.parent / "images", out, Options(compression="gzip", shards=3, jobs=1))
    return out


def damaged(path: Path, out: Path) -> Path:
    """Copy a dataset and damage its last record."""
    write(path.parent / "images", out, Options(jobs=1))
    shard = next(out.glob("*.tfrecord"))
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    return out


def assert_same(ours: Any, theirs: Any) -> None:
    """Compare all batches of a dataset with TensorFlow's, bit for bit."""
    count = 0
    for (image, label), (image_there, label_there) in zip(ours, theirs, strict=True):
        there = image_there.numpy()
        assert (image.dtype, image.shape) == (there.dtype, there.shape)
        assert np.array_equal(image, there)
        assert (label.dtype, label.shape) == (np.int64, label_there.shape)
        assert np.array_equal(label, label_there.numpy())
        count += 1
    assert count


@pytest.mark.parametrize("parallel", [1, 3, None])
@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 4},
        {"batch_size": 4, "shuffle": True, "epochs": 3, "epoch": 2},
        {"batch_size": 4, "shuffle": True, "shard": (1, 3), "epochs": 2, "start": 2},
        {"batch_size": 4, "drop_remainder": True, "epochs": 2},
        {"batch_size": 3, "flip": True, "brightness": 0.3},
        {"batch_size": 3, "brightness": 0.3, "dtype": "uint8"},
        {"batch_size": 3, "dtype": "uint8", "crop_mode": "center"},
        {"batch_size": 3, "crop": 50, "small": "skip", "epochs": 2},
        {"batch_size": 3, "crop": 50, "small": "skip", "epochs": 2, "drop_remainder": True},
        {"crop": 50, "small": "skip"},
        {"batch_size": 3, "crop": 90, "small": "pad"},
        {"shuffle": True, "epochs": 2, "start": 14},
        {"crop": None, "dtype": "uint8"},
    ],
)
def test_batches_are_those_of_tensorflow(
    whole: Path, options: dict[str, Any], parallel: int | None
) -> None:
    options = {"crop": CROP, "seed": 42, **options}
    assert_same(
        read_numpy.dataset(whole, parallel=parallel, **options), read_tf.dataset(whole, **options)
    )


@pytest.mark.parametrize("options", [{}, {"crop": (20, 21), "shuffle": True, "flip": True}])
def test_stored_crops_are_those_of_tensorflow(stored: Path, options: dict[str, Any]) -> None:
    options = {"seed": 42, "batch_size": 5, **options}
    assert_same(read_numpy.dataset(stored, **options), read_tf.dataset(stored, **options))


def test_compressed_shards_are_those_of_tensorflow(gzipped: Path) -> None:
    options: dict[str, Any] = {"crop": CROP, "batch_size": 4, "shard": (1, 2), "epochs": 2}
    assert_same(read_numpy.dataset(gzipped, **options), read_tf.dataset(gzipped, **options))


def test_datasets_without_labels_yield_only_images(tmp_path: Path) -> None:
    write(fill(tmp_path / "src", {"a.png": png(photo(9, 9))}), tmp_path / "out", Options(jobs=1))
    assert next(iter(read_numpy.dataset(tmp_path / "out"))).shape == (9, 9, 3)
    assert read_numpy.source(tmp_path / "out")[0].shape == (9, 9, 3)


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"batch_size": 4}, 4),
        ({"batch_size": 4, "drop_remainder": True}, 3),
        ({"batch_size": 4, "epochs": 3, "start": 14}, 7),
        ({"epochs": 2, "start": 14}, 12),
        ({"start": 13, "batch_size": 2}, 0),
    ],
)
def test_the_length_is_the_number_of_batches(
    whole: Path, options: dict[str, Any], count: int
) -> None:
    batches = read_numpy.dataset(whole, crop=CROP, **options)
    assert (len(batches), sum(1 for _ in batches)) == (count, count)


def test_the_length_is_unknown_if_images_are_skipped(whole: Path) -> None:
    with pytest.raises(TypeError, match="not known"):
        len(read_numpy.dataset(whole, crop=50, small="skip"))


def test_a_dataset_can_be_iterated_again(whole: Path) -> None:
    batches = read_numpy.dataset(whole, crop=CROP, crop_mode="center", batch_size=4)
    first, second = ([image for image, _ in batches] for _ in range(2))
    assert all(np.array_equal(*pair) for pair in zip(first, second, strict=True))


def test_kept_batches_are_not_overwritten(stored: Path) -> None:
    kept = [image for image, _ in read_numpy.dataset(stored, batch_size=2, epochs=9)]
    again = [image.copy() for image, _ in read_numpy.dataset(stored, batch_size=2, epochs=9)]
    assert np.array_equal(np.concatenate(kept), np.concatenate(again))


@pytest.mark.parametrize("parallel", [0, 2.0])
def test_an_impossible_number_of_threads_is_refused(whole: Path, parallel: Any) -> None:
    with pytest.raises(UsageError, match=f"parallel: found {parallel}, expected "):
        read_numpy.dataset(whole, parallel=parallel)


def test_batches_of_different_sizes_are_refused(whole: Path) -> None:
    with pytest.raises(UsageError, match=r"expected crop=.*, or batch_size=None"):
        read_numpy.dataset(whole, batch_size=2)


def threads() -> set[threading.Thread]:
    return set(threading.enumerate())


def test_an_abandoned_iterator_leaves_no_threads(whole: Path) -> None:
    before = threads()
    iterator = iter(read_numpy.dataset(whole, crop=CROP, batch_size=1, parallel=3, epochs=9))
    next(iterator)
    assert len(threads()) > len(before)
    del iterator
    gc.collect()
    assert threads() <= before


def test_a_complete_iteration_leaves_no_threads(whole: Path) -> None:
    before = threads()
    assert len(list(read_numpy.dataset(whole, crop=CROP, batch_size=2, parallel=3))) == 7
    assert threads() <= before


def test_damage_found_while_reading_is_raised(whole: Path, tmp_path: Path) -> None:
    before = threads()
    batches = read_numpy.dataset(damaged(whole, tmp_path / "out"), crop=CROP, batch_size=1)
    got = []
    with pytest.raises(DataError, match=r"train-00000-of-00001.tfrecord: at byte \d+"):
        got.extend(batches)
    assert len(got) == 12
    assert threads() <= before


def test_missing_records_in_compressed_shards_are_an_error(gzipped: Path, tmp_path: Path) -> None:
    out = shutil.copytree(gzipped, tmp_path / "out")
    opened = read_numpy.dataset(out, crop=CROP, batch_size=1, small="skip")
    max(out.glob("*.tfrecord.gz")).write_bytes(b"")
    with pytest.raises(DataError, match="found no record 8, expected 13 records"):
        list(opened)
    with pytest.raises(DataError, match=r"found 0 bytes, expected .* by the manifest"):
        list(read_numpy.dataset(out, crop=CROP, batch_size=1, small="skip"))


SOURCES: list[dict[str, Any]] = [
    {},
    {"epoch": 2, "epochs": 3, "shuffle": True, "flip": True, "brightness": 0.2},
    {"epochs": 2, "shuffle": True, "shard": (1, 3), "dtype": "uint8"},
]


@pytest.mark.parametrize("options", SOURCES)
def test_a_source_has_the_samples_of_tensorflow(whole: Path, options: dict[str, Any]) -> None:
    options = {"crop": CROP, "seed": 42, **options}
    source = read_numpy.source(whole, **options)
    assert_same([source[i] for i in range(len(source))], read_tf.dataset(whole, **options))


def test_a_source_is_indexed_like_a_list(whole: Path) -> None:
    source = read_numpy.source(whole, crop=CROP, epochs=2)
    assert len(source) == 26
    assert np.array_equal(source[-1][0], source[np.int64(25)][0])
    for index in (26, -27):
        with pytest.raises(IndexError):
            source[index]


@pytest.mark.parametrize("used", [False, True])
def test_a_source_can_be_pickled(whole: Path, used: bool) -> None:
    source = read_numpy.source(whole, crop=CROP, seed=7, shuffle=True, epochs=2)
    if used:
        assert source[20]
    copy = pickle.loads(pickle.dumps(source))
    assert all(np.array_equal(copy[i][0], source[i][0]) for i in range(len(source)))


def test_a_source_is_safe_for_threads(whole: Path) -> None:
    source = read_numpy.source(whole, crop=CROP, epochs=4, shuffle=True)
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(source.__getitem__, range(len(source))))
    assert all(np.array_equal(one[0], source[i][0]) for i, one in enumerate(together))


def test_a_source_needs_random_access(gzipped: Path) -> None:
    with pytest.raises(
        UsageError, match=r"random access: found compressed shards in .*/gz, expected"
    ):
        read_numpy.source(gzipped, crop=CROP)


def test_a_source_cannot_skip_images(whole: Path) -> None:
    with pytest.raises(UsageError, match="small: found 'skip', expected 'fail' or 'pad'"):
        read_numpy.source(whole, crop=50, small="skip")


GRAIN = '''
import hashlib, json, sys
import grain
import numpy as np
from absl import flags
from tfrec_cli import read_numpy

flags.FLAGS.mark_as_parsed()  # beside JAX, Grain's workers look at flags

def digest(batches):
    found = hashlib.sha256()
    for image, label in batches:
        found.update(image.tobytes() + label.tobytes())
    return found.hexdigest()

def fives(samples):
    samples = list(samples)
    for i in range(0, len(samples), 5):
        images, labels = zip(*samples[i : i + 5])
        yield np.stack(images), np.array(labels)

def by_loader(source, workers, batched=True):  # a worker batches only samples of its own
    sampler = grain.samplers.SequentialSampler(len(source))
    return grain.DataLoader(
        data_source=source, sampler=sampler, worker_count=workers,
        operations=[grain.transforms.Batch(5)] if batched else [],
    )

def goes_on(source, other):
    """Tell whether a checkpoint is resumed exactly, and refused by another source."""
    whole = [image.tobytes() for image, _ in by_loader(source, 0, batched=False)]
    stopped = iter(by_loader(source, 0, batched=False))
    read = [next(stopped)[0].tobytes() for _ in range(17)]
    resumed = iter(by_loader(source, 0, batched=False))
    resumed.set_state(stopped.get_state())
    read += [image.tobytes() for image, _ in resumed]
    try:
        iter(by_loader(other, 0, batched=False)).set_state(stopped.get_state())
    except ValueError as error:
        return read == whole and "does not match" in str(error)
    return False

if __name__ == "__main__":
    options = {"crop": 33, "seed": 42, "shuffle": True, "flip": True, "epochs": 3}
    source = read_numpy.source(sys.argv[1], **options)
    chained = grain.MapDataset.source(source).batch(5)
    got = {
        "numpy": digest(fives(read_numpy.dataset(sys.argv[1], **options))),
        "map": digest(chained[i] for i in range(len(chained))),
        "iter": digest(chained.to_iter_dataset()),
        "loader": digest(by_loader(source, 0)),
        "workers": digest(fives(by_loader(source, 2, batched=False))),
        "prefetch": digest(
            chained.to_iter_dataset().mp_prefetch(
                grain.multiprocessing.MultiprocessingOptions(num_workers=2)
            )
        ),
        "goes on": goes_on(source, read_numpy.source(sys.argv[1], **{**options, "flip": False})),
        "protocol": isinstance(source, grain.sources.RandomAccessDataSource),
        "tensorflow": "tensorflow" in sys.modules,
    }
    print(json.dumps(got))
'''


@needs("grain")
def test_grain_reads_the_same_as_numpy(whole: Path, tmp_path: Path) -> None:
    """With MapDataset, in threads, and with DataLoader with and without worker processes."""
    program = tmp_path / "by_grain.py"
    program.write_text(GRAIN)
    words = [sys.executable, str(program), str(whole)]
    ran = subprocess.run(words, stdout=subprocess.PIPE, check=True, timeout=120)
    got = json.loads(ran.stdout)
    assert (got.pop("protocol"), got.pop("tensorflow"), got.pop("goes on")) == (True, False, True)
    assert len(set(got.values())) == 1, got
