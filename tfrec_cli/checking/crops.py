"""The checks of ``verify --seed``: crops by NumPy and by tf.data, and their fingerprint.

Knows: how two readers must agree. Must not know: how either makes a crop.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tfrec_cli.checking.finding import Finding, Note, file_finding
from tfrec_cli.checking.images import Crops
from tfrec_cli.checking.shard import Checked
from tfrec_cli.checking.splits import Subject
from tfrec_cli.errors import DataError, UsageError
from tfrec_cli.runtime import values

_READER_RUNS = ((3, 7, True), (8, 32, False))
"""(images decoded at once, batch size, inside tf.function) for splits and epochs in turn."""

_SECOND_OPINIONS = 200
"""Records of a split of which TensorFlow's own operations make the crop too, at most. They decode
whole images, which takes several times as long as the reader."""


_FINGERPRINT = re.compile(
    r"seed(?P<seed>\d+)-(?P<height>\d+)x(?P<width>\d+)-e0(-(?P<last>\d+))?:[0-9a-f]{64}"
)
"""What `fingerprint` returns."""

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
    if asked is None:
        yield Note("crops: none was checked, since no image was found", is_checked=False)
        return
    if broken := _uncropped(subject.shards):
        names = ", ".join(checked.task.path.name for checked in broken[:3])
        yield Note(f"crops: not every record of {names} could be cropped", is_checked=False)
        return
    crops = f"crops of {asked.size[0]}x{asked.size[1]}, seed {asked.seed}: "
    if missing:
        yield Note(crops + "every record cropped by NumPy and Pillow")
        yield Note(f"the same crops by tf.data: {missing}", is_checked=False)
        return
    ways = [
        way
        for number in range(len(subject.splits))
        for way in _ways(subject, number, asked, digests)
    ]
    done, total = 0, sum(way.crops for way in ways)
    for way in ways:

        def show(count: int, before: int = done) -> None:
            subject.progress("reading crops", before + count, total)

        try:
            found = way.read(progress=show)
            yield from compare_crops(way.shards, found, way.epoch, way.how, way.every)
        except DataError as error:
            message = f"the reader failed ({way.how}): {error}"
            yield file_finding("crop", way.path, message)
        done += way.crops
    is_partial = any(way.every > 1 for way in ways)
    some = f" (of {_SECOND_OPINIONS} records of a split at most)" if is_partial else ""
    own = f"TensorFlow's own operations{some}"
    yield Note(f"{crops}by NumPy and Pillow, by tf.data, and by {own}")


def check_expected(subject: Subject) -> None:
    """Refuse an expected fingerprint that no crops, or not those that are asked for, can have.

    Raises:
        UsageError: that is so.
    """
    text, asked = subject.options.expect, subject.crops
    if not text:
        return
    found = _FINGERPRINT.fullmatch(text)
    if not found:
        expected = "a fingerprint that verify printed: seedS-HEIGHTxWIDTH-e0:DIGEST"
        raise UsageError(f"`expect`: found {text!r}, expected {expected}")
    for option, value in (("seed", subject.options.seed), ("epochs", subject.options.epochs)):
        given = int(found["last"] or 0) + 1 if option == "epochs" else int(found["seed"])
        if given != value:
            raise UsageError(f"`expect`: found that of `{option}` {given}, expected {value}")
    size = int(found["height"]), int(found["width"])
    if asked and asked.size != size:
        spelled, expected = ("x".join(map(str, sides)) for sides in (size, asked.size))
        raise UsageError(f"`expect`: found that of `crop` {spelled}, expected {expected}")


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


class _Way(NamedTuple):
    """One way to read the crops of a split in one epoch.

    Attributes:
        path: of the split.
        how: the way, in words.
        read: returns the digests of the crops; has one argument, ``progress``.
        every: of how many records it reads one.
    """

    shards: Sequence[Checked]
    path: Path
    epoch: int
    how: str
    read: Digests
    every: int

    @property
    def crops(self) -> int:
        """Number of crops that it reads."""
        return len(range(0, sum(checked.records for checked in self.shards), self.every))


def _ways(
    subject: Subject, number: int, asked: Crops, digests: tuple[Digests, Digests]
) -> Iterator[_Way]:
    """Yield the ways to read the crops of the split with this number."""
    by_reader, by_tensorflow = digests
    split, shards = subject.splits[number], subject.shards_of(number)
    path = split.folder if split.manifest else split.shards[0]
    keys = [key for checked in shards for key, _ in checked.crops]
    every = max(1, -(-len(keys) // _SECOND_OPINIONS))
    for epoch in range(asked.epochs):
        wanted: dict[str, Any] = {"crop": asked.size, "seed": asked.seed, "epoch": epoch}
        how = "by TensorFlow's own operations"
        read = partial(by_tensorflow, split, keys, every=every, **wanted)
        yield _Way(shards, path, epoch, how, read, every)
        parallel, batch_size, in_graph = _READER_RUNS[(number + epoch) % len(_READER_RUNS)]
        how = f"{parallel} at once, batches of {batch_size}{', in tf.function' if in_graph else ''}"
        settings = {"parallel": parallel, "batch_size": batch_size, "in_graph": in_graph}
        yield _Way(shards, path, epoch, how, partial(by_reader, split, **wanted, **settings), 1)


def compare_crops(
    shards: Sequence[Checked], digests: Sequence[bytes], epoch: int, how: str, every: int = 1
) -> Iterator[Finding]:
    """Compare each record's crop with the reader's.

    Args:
        digests: SHA-256 of the pixels of the reader's crops, in the order of the records.
        how: how the reader was run, in words.
        every: of how many records the reader read one.
    """
    expected = [
        (checked.task.path, record, key, crops[epoch])
        for checked in shards
        for record, (key, crops) in enumerate(checked.crops)
    ][::every]
    if len(digests) != len(expected):
        found = values.plural(len(digests), "crop")
        message = f"found {found} from the reader, expected {len(expected):,} ({how})"
        yield file_finding("crop", shards[0].task.path, message)
    for (path, record, key, right), digest in zip(expected, digests, strict=False):
        if digest != right:
            message = (
                f"key {key}, epoch {epoch}: found a different crop from the reader, "
                f"expected the one by NumPy and Pillow ({how})"
            )
            yield Finding(kind="crop", path=path, message=message, record=record)
