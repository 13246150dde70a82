"""The checks of ``verify --seed``: crops by NumPy and by tf.data, and their fingerprint.

Knows: how two readers must agree. Must not know: how either makes a crop.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from tfrec_cli.checking.finding import Finding, Note, file_finding
from tfrec_cli.checking.images import Crops
from tfrec_cli.checking.shard import Checked
from tfrec_cli.checking.splits import Subject
from tfrec_cli.dataset.discover import Split
from tfrec_cli.errors import DataError

_READER_RUNS = ((8, 32, False), (3, 7, True))
"""(images decoded at once, batch size, inside tf.function) for each run of the reader."""


Digests = Callable[..., list[bytes]]
"""Returns the SHA-256 of each crop of a split, in the order of the records."""


def check(
    subject: Subject, digests: tuple[Digests, Digests], missing: str | None
) -> Iterator[Finding | Note]:
    """Compare the crops that NumPy and Pillow made with those by tf.data.

    Args:
        digests: `read_tf.crop_digests` and `read_tf.own_crop_digests`.
        missing: why TensorFlow cannot be used; None if it can.
    """
    asked = subject.crops
    assert asked is not None
    if broken := _uncropped(subject.shards):
        names = ", ".join(checked.task.path.name for checked in broken[:3])
        yield Note(f"crops: not every record of {names} could be cropped", is_checked=False)
        return
    crops = f"crops of {asked.size[0]}x{asked.size[1]}, seed {asked.seed}: "
    if missing:
        yield Note(crops + "every record cropped by NumPy and Pillow")
        yield Note(f"the same crops by tf.data: {missing}", is_checked=False)
        return
    ways = len(_READER_RUNS) + 1
    runs, done = ways * asked.epochs * len(subject.splits), 0
    for number, split in enumerate(subject.splits):
        shards = subject.shards_of(number)
        path = split.folder if split.manifest else split.shards[0]
        for epoch in range(asked.epochs):
            for how, read in _ways(split, shards, asked, epoch, digests):
                subject.progress("reading crops", done, runs)
                try:
                    yield from compare_crops(shards, read(), epoch, how)
                except DataError as error:
                    yield file_finding("crop", path, f"the reader failed ({how}): {error}")
                done += 1
                subject.progress("reading crops", done, runs)
    yield Note(f"{crops}by NumPy and Pillow, compared with {ways} runs of tf.data")


def fingerprint_of(subject: Subject) -> str | None:
    """Return the fingerprint of all crops; None if there is no seed, or some crops are missing."""
    asked = subject.crops
    if asked is None or _uncropped(subject.shards):
        return None
    records = [pair for checked in subject.shards for pair in checked.crops]
    return fingerprint(asked.size, asked.seed, records)


def fingerprint(
    crop: tuple[int, int], seed: int, records: Sequence[tuple[int, Sequence[bytes]]]
) -> str:
    """Digest the crops of all records; independent of sharding, order, machine and framework.

    Args:
        records: each record's key, and the SHA-256 of its crop's pixels in each epoch from 0.
    Returns:
        ``seed42-128x128-e0:`` and the SHA-256 over (key as 8 bytes big-endian, SHA-256 of pixels)
        sorted by key, epoch after epoch.
    """
    epochs = len(records[0][1]) if records else 1
    digest = hashlib.sha256()
    for epoch in range(epochs):
        for key, pixels_sha256 in sorted((key, digests[epoch]) for key, digests in records):
            digest.update(key.to_bytes(8, "big") + pixels_sha256)
    span = "e0" if epochs == 1 else f"e0-{epochs - 1}"
    return f"seed{seed}-{crop[0]}x{crop[1]}-{span}:{digest.hexdigest()}"


def _uncropped(shards: Sequence[Checked]) -> list[Checked]:
    """Return the shards with records that have no crop."""
    return [
        checked for checked in shards if checked.damaged or len(checked.crops) != checked.records
    ]


def _ways(
    split: Split,
    shards: Sequence[Checked],
    asked: Crops,
    epoch: int,
    digests: tuple[Digests, Digests],
) -> Iterator[tuple[str, Callable[[], list[bytes]]]]:
    """Yield the ways to read the crops of a split: in words, and as a function."""
    by_reader, by_tensorflow = digests
    keys = [key for checked in shards for key, _ in checked.crops]
    wanted: dict[str, Any] = {"crop": asked.size, "seed": asked.seed, "epoch": epoch}
    yield "by TensorFlow's own operations", partial(by_tensorflow, split, keys, **wanted)
    for parallel, batch_size, in_graph in _READER_RUNS:
        how = f"{parallel} at once, batches of {batch_size}{', in tf.function' if in_graph else ''}"
        run = {"parallel": parallel, "batch_size": batch_size, "in_graph": in_graph}
        yield how, partial(by_reader, split, **wanted, **run)


def compare_crops(
    shards: Sequence[Checked], digests: Sequence[bytes], epoch: int, how: str
) -> Iterator[Finding]:
    """Compare each record's crop with the reader's.

    Args:
        digests: SHA-256 of the pixels of the reader's crops, in the order of the records.
        how: how the reader was run, in words.
    """
    expected = [
        (checked.task.path, record, key, crops[epoch])
        for checked in shards
        for record, (key, crops) in enumerate(checked.crops)
    ]
    if len(digests) != len(expected):
        message = f"found {len(digests)} crops from the reader, expected {len(expected)} ({how})"
        yield file_finding("crop", shards[0].task.path, message)
    for (path, record, key, right), digest in zip(expected, digests, strict=False):
        if digest != right:
            message = (
                f"key {key}, epoch {epoch}: found a different crop from the reader, "
                f"expected the one by NumPy and Pillow ({how})"
            )
            yield Finding(kind="crop", path=path, message=message, record=record)
