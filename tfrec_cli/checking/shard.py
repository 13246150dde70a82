"""One shard checked on one worker: its bytes, framing, Examples, images, index; and its crops.

Knows: one shard, and what its manifest says of it. Must not know: other shards, TensorFlow.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from blake3 import blake3

from tfrec_cli.dataset import discover, records
from tfrec_cli.dataset.foreign import guess_names
from tfrec_cli.dataset.manifest import Manifest, Shard
from tfrec_cli.dataset.records import ImageRecord, Names
from tfrec_cli.errors import DataError, FramingError, ImageError
from tfrec_cli.imaging import formats, structure
from tfrec_cli.imaging.policy import MAX_PIXELS
from tfrec_cli.runtime import files, heartbeat
from tfrec_cli.seeds import seed_key
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.compression import HEAD_BYTES
from tfrec_cli.tfrecord.index import index_line, read_index
from tfrec_cli.tfrecord.record import OVERHEAD_BYTES, read_at
from tfrec_cli.tfrecord.scan import Damage, Record, scan
from tfrec_cli.tfrecord.stream import compression_of

if TYPE_CHECKING:
    from tfrec_cli.imaging.images import Pixels

_PART_RECORDS = 64
_PAGE_BYTES = 4096
"""By how much an index may be too long and still is read."""
_UNDECODED = 4
"""Numbers in `Checked.undecoded` for each record."""

_READ = ("image", "height", "width", "label", "key", "filename", "window")
_READ_AS_BYTES = {"image", "filename"}

Kind = Literal[
    "manifest",
    "missing",
    "extra",
    "size",
    "unreadable",
    "sha256",
    "count",
    "framing",
    "example",
    "contract",
    "image",
    "index",
    "content",
    "duplicate",
    "metadata",
    "crop",
    "fingerprint",
    "unwritten",
    "unexpected",
    "label",
    "differs",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        record: number of the record in its file, from 0.
        offset_bytes: where in the file it starts.
        message: what was found and what was expected.
    """

    kind: Kind
    path: Path
    message: str
    record: int | None = None
    offset_bytes: int | None = None

    def __str__(self) -> str:
        """Say it in one line."""
        where = "" if self.record is None else f" record {self.record}"
        where += "" if self.offset_bytes is None else f" at byte {self.offset_bytes}"
        return f"{self.path}:{where}{':' if where else ''} {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One shard to check, with what is known of it.

    Attributes:
        manifest: without its shards: what holds for all of them.
    """

    split: int
    path: Path
    described: Shard | None
    manifest: Manifest | None
    index: Path | None
    first_number: int
    quick: bool
    crop: tuple[int, int] | None
    seed: int | None
    epochs: int


@dataclass(slots=True, kw_only=True)
class Checked:
    """What became of one shard.

    Attributes:
        contents: each record's key and the BLAKE3 digest of its payload; keys of our records only.
            Without digests where a quick check leaves them to the SHA-256 of the shard.
        names: what the features are called, once that is known.
        undecoded: of the records whose image is still to be decoded: number in the file, offset
            and whole length in bytes, and number among the file's whole records.
        crops: for each record its key, and the SHA-256 of its crop in each epoch.
        examples: records that are Examples; without a manifest, files of other messages are fine.
        imageless: records in which no image could be found.
        foreign_formats: images that are neither JPEG nor PNG, which only TensorFlow would decode.
        smallest: the least height and width that records tell of their images.
    """

    task: Task
    records: int = 0
    size_bytes: int = 0
    findings: list[Finding] = field(default_factory=list)
    contents: list[tuple[int, bytes]] = field(default_factory=list)
    crops: list[tuple[int, tuple[bytes, ...]]] = field(default_factory=list)
    names: Names | None = None
    undecoded: array[int] = field(default_factory=lambda: array("q"))
    examples: int = 0
    imageless: int = 0
    foreign_formats: int = 0
    smallest: tuple[int, int] | None = None
    damaged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some records of a shard whose images are to be decoded: `Checked.undecoded` cut in pieces.

    Attributes:
        deadly: numbers of those, from 0, that killed a worker, with what to say of them.
    """

    task: Task
    names: Names
    undecoded: array[int]
    deadly: Mapping[int, ImageError] = field(default_factory=dict)

    @property
    def records(self) -> int:
        """How many records these are."""
        return len(self.undecoded) // _UNDECODED


@dataclass(slots=True, kw_only=True)
class Decoded:
    """What became of the images of some records."""

    part: Part
    findings: list[Finding] = field(default_factory=list)
    crops: list[tuple[int, tuple[bytes, ...]]] = field(default_factory=list)
    foreign_formats: int = 0


def check_shard(task: Task) -> Checked:
    """Check one shard: its bytes, framing, Examples; images where they lie in compressed records.

    The other images are left to `decode`, a part at a time.
    """
    checked = Checked(task=task)
    if not task.path.is_file():
        message = "found no such file, expected a shard"
        checked.findings.append(Finding(kind="missing", path=task.path, message=message))
        checked.damaged = True
        return checked
    try:
        return _check_present(checked)
    except OSError as error:
        checked.damaged = True
        message = f"cannot be read: {error.strerror or error}"
        checked.findings.append(Finding(kind="unreadable", path=task.path, message=message))
        return checked


def _check_present(checked: Checked) -> Checked:
    task = checked.task
    checked.size_bytes = task.path.stat().st_size
    digest = files.ThreadedSha256()
    places: list[tuple[int, int]] = []
    checked.names = records.NAMES[task.manifest.keys] if task.manifest else None
    with task.path.open("rb") as file:
        compressed = compression_of(file.read(HEAD_BYTES)) != "none"
    reader = None if compressed and not task.quick else _reader(checked.names)
    for item in scan(task.path, observe=digest.write):
        if isinstance(item, Damage):
            checked.damaged = True
            message = f"{item.kind}: {item.found}, expected {item.expected}"
            if not task.described and item.offset_bytes == 0:
                message = discover.problem(task.path, item)
            checked.findings.append(_of_record(task, item, "framing", message))
            continue
        place = (item.offset_bytes, len(item.payload) + OVERHEAD_BYTES)
        places.append(place)
        number = checked.records
        checked.records += 1
        one = _check_record(checked, item, reader)
        if one is None or checked.names is None or task.quick:
            continue
        undecoded = array("q", [item.index, *place, number])
        if compressed:
            part = Part(task=task, names=checked.names, undecoded=undecoded)
            _take_over(checked, _decode_one(Decoded(part=part), one, item, number))
        else:
            checked.undecoded += undecoded
    sha256 = digest.hexdigest()
    if task.described:
        _check_described(checked, task.described, sha256)
    elif checked.size_bytes == 0:
        message = "found an empty file, expected records"
        checked.findings.append(Finding(kind="framing", path=task.path, message=message))
    if task.index:
        _check_index(checked, task.index, places)
    return checked


def smallest_side(path: Path) -> int | None:
    """Return the smallest side of all images in one record file, in pixels; None without images."""
    from tfrec_cli.imaging import images

    least: int | None = None
    names: Names | None = None
    for item in scan(path):
        if isinstance(item, Damage):
            continue
        try:
            features = example.decode(item.payload)
            names = names or guess_names(features)
            if names is None:
                continue
            one = records.decode(features, names)
            if one.is_raw:
                size = (one.height_px or 0, one.width_px or 0)
            else:
                header = images.read_header(BytesIO(one.image), images.Policy(exif="ignore"))
                size = (header.height_px, header.width_px)
        except DataError:
            continue
        least = min(size) if least is None else min(least, *size)
    return least


def parts(checked: Checked) -> Iterator[Part]:
    """Cut the images of a shard that are still to be decoded into parts for several workers."""
    if checked.names:
        step = _PART_RECORDS * _UNDECODED
        for start in range(0, len(checked.undecoded), step):
            rows = checked.undecoded[start : start + step]
            yield Part(task=checked.task, names=checked.names, undecoded=rows)


def decode(part: Part) -> Decoded:
    """Decode the images of one part, and compute their crops."""
    decoded = Decoded(part=part)
    path = part.task.path
    try:
        with path.open("rb", buffering=0) as file:
            for row in range(part.records):
                start = row * _UNDECODED
                index, offset, length, number = part.undecoded[start : start + _UNDECODED]
                payload = read_at(file.fileno(), offset, length, str(path))
                item = Record(index, offset, payload)
                heartbeat.start_item(row)
                if row in part.deadly:
                    error = part.deadly[row]
                    decoded.findings.append(_of_record(part.task, item, "image", str(error)))
                else:
                    _decode_record(decoded, item, number)
    except (OSError, DataError) as error:  # it was whole a moment ago
        message = f"cannot be read again: {error}"
        decoded.findings.append(Finding(kind="unreadable", path=path, message=message))
    return decoded


def decode_without(part: Part, row: int, cause: str) -> Part:
    """Return a part in which an image that killed a worker is left out, and reported."""
    from tfrec_cli.imaging import images

    return replace(part, deadly={**part.deadly, row: images.deadly(cause)})


def _decode_record(decoded: Decoded, item: Record, number: int) -> None:
    """Read everything in one record, of which only what is ours was read so far."""
    try:
        one = records.decode(example.decode(item.payload), decoded.part.names)
    except DataError as error:
        decoded.findings.append(_of_record(decoded.part.task, item, "example", str(error)))
    else:
        _decode_one(decoded, one, item, number)


def merge(checked: Checked, decoded: Sequence[Decoded]) -> None:
    """Add to a checked shard what was found in its parts, in the order of the records."""
    for one in sorted(decoded, key=lambda one: one.part.undecoded[0]):
        _take_over(checked, one)
    last = checked.records + len(checked.findings)
    checked.findings.sort(key=lambda one: last if one.record is None else one.record)


def _take_over(checked: Checked, decoded: Decoded) -> None:
    checked.findings += decoded.findings
    checked.crops += decoded.crops
    checked.foreign_formats += decoded.foreign_formats


def _reader(names: Names | None) -> example.SingleValues | None:
    """Make what reads records of ours without parsing all of them."""
    if names is None:
        return None
    wanted = {name: called for called in _READ if (name := getattr(names, called))}
    return example.SingleValues(wanted)


def _read_quickly(reader: example.SingleValues, item: Record) -> ImageRecord | None:
    """Read a record of ours; None where something is amiss, which takes a closer look."""
    values: dict[str, Any] = dict(reader.read(memoryview(item.payload)))
    if not {"image", "height", "width", "key", "filename"} <= values.keys():
        return None
    if {name for name, one in values.items() if not isinstance(one, int)} != _READ_AS_BYTES:
        return None
    return ImageRecord(
        image=values["image"],
        height_px=values["height"],
        width_px=values["width"],
        label=values.get("label"),
        key=values["key"],
        filename=bytes(values["filename"]),
        window=values.get("window"),
    )


def _check_record(
    checked: Checked, item: Record, reader: example.SingleValues | None
) -> ImageRecord | None:
    """Check one whole record, but for its image; None where there is none to be found."""
    task = checked.task

    def found(kind: Kind, message: str) -> None:
        checked.findings.append(_of_record(task, item, kind, message))

    one: ImageRecord | None = None
    try:
        if reader:
            one = _read_quickly(reader, item)
        features = {} if one else example.decode(item.payload)
    except DataError as error:
        if task.manifest or checked.examples:
            found("example", str(error))
        checked.imageless += 1
        return None
    checked.examples += 1
    checked.names = checked.names or guess_names(features)
    if checked.names is None:
        checked.imageless += 1
        return None
    try:
        one = one or records.decode(features, checked.names)
    except DataError as error:
        found("contract", str(error))
        return None
    if task.manifest:
        for message in broken_contract(one, task.manifest):
            found("contract", message)
        digest = b"" if task.quick else blake3(item.payload).digest()
        checked.contents.append((seed_key(one.key, 0), digest))
        size = (one.height_px or 0, one.width_px or 0)
        least = checked.smallest or size
        checked.smallest = (min(least[0], size[0]), min(least[1], size[1]))
    return one


def _decode_one(decoded: Decoded, one: ImageRecord, item: Record, number: int) -> Decoded:
    """Decode one record's image, and compute its crops.

    Args:
        number: of the record among the whole ones of its file.
    """
    task = decoded.part.task

    def found(kind: Kind, message: str) -> None:
        decoded.findings.append(_of_record(task, item, kind, message))

    if not task.manifest and not one.is_raw and _is_foreign(one.image):
        decoded.foreign_formats += 1
        return decoded
    try:
        limit = task.manifest.options.get("max_pixels") if task.manifest else None
        most = limit if isinstance(limit, int) else MAX_PIXELS
        pixels = records.pixels(one, most) if task.crop else None
        size = pixels.shape[:2] if pixels is not None else records.decoded_size(one, most)
    except ImageError as error:
        found("image", str(error))
        return decoded
    told = (one.height_px, one.width_px)
    if None not in told and size != told:
        found("image", f"found an image of {size[0]}x{size[1]}, expected {told[0]}x{told[1]}")
    if pixels is not None and task.crop and task.seed is not None:
        key = seed_key(one.key, task.first_number + number)
        cut = _crop_digests(pixels, key, task.crop, task.seed, task.epochs)
        if cut is None:
            found("crop", f"found {size[0]}x{size[1]}, expected at least the crop {task.crop}")
        else:
            decoded.crops.append((key, cut))
    return decoded


def _is_foreign(image: bytes) -> bool:
    found = formats.image_format(image[: formats.HEAD_BYTES])
    return found is not None and found not in ("jpeg", "png")


def _crop_digests(
    pixels: Pixels, key: int, crop: tuple[int, int], seed: int, epochs: int
) -> tuple[bytes, ...] | None:
    """Return the SHA-256 of one image's crop in each epoch; None where it is too small."""
    from tfrec_cli import crops

    height, width, _ = pixels.shape
    if height < crop[0] or width < crop[1]:
        return None
    digests = []
    for epoch in range(epochs):
        boxes = crops.random_boxes([[height, width]], crop, seed=seed, epoch=epoch, keys=[key])
        top, left = int(boxes[0, 0]), int(boxes[0, 1])
        window = pixels[top : top + crop[0], left : left + crop[1]]
        digests.append(hashlib.sha256(window.tobytes()).digest())
    return tuple(digests)


def broken_contract(one: ImageRecord, described: Manifest) -> Iterator[str]:
    """Say in which ways a record of ours is not what its manifest promises."""
    for name, value in (
        ("height", one.height_px),
        ("width", one.width_px),
        ("key", one.key),
        ("filename", one.filename),
    ):
        if value is None:
            yield f"found no {name}, expected one"
    if one.filename is not None and one.key != records.key_of(one.filename):
        yield f"found key {one.key}, expected {records.key_of(one.filename)} for {one.filename!r}"
    size = (one.height_px, one.width_px)
    if any(side is not None and side < 1 for side in size):
        yield f"found height {size[0]} and width {size[1]}, expected at least 1"
    if described.crop and size != described.crop:
        yield f"found height {size[0]} and width {size[1]}, expected {described.crop}"
    found = "raw" if one.is_raw else formats.image_format(one.image[: formats.HEAD_BYTES])
    allowed = ("jpeg", "png") if described.stored == "whole" else (described.stored,)
    if described.stored != "raw" and found not in allowed:
        yield f"found {found or 'no'} image, expected {' or '.join(allowed)}"
    if described.stored == "raw" and not one.is_raw:
        yield f"found {len(one.image)} bytes, expected {size[0]} x {size[1]} x 3 raw values"
    if described.labels is None:
        if one.label is not None:
            yield f"found label {one.label}, expected none"
    elif one.label is None or not 0 <= one.label < len(described.labels):
        yield f"found label {one.label}, expected 0 to {len(described.labels) - 1}"
    if described.stored == "whole":
        try:
            exact = one.image[:2] == b"\xff\xd8"
            exact = exact and structure.read_jpeg(one.image).has_exact_window
        except ImageError:
            return
        if one.window != int(exact):
            yield f"found window {one.window}, expected {int(exact)}"


def _check_described(checked: Checked, shard: Shard, sha256: str) -> None:
    """Compare a shard with its line in the manifest."""

    def found(kind: Kind, message: str) -> None:
        checked.findings.append(Finding(kind=kind, path=checked.task.path, message=message))

    if checked.size_bytes != shard.size_bytes:
        found("size", f"found {checked.size_bytes} bytes, expected {shard.size_bytes}")
    if checked.records != shard.records:
        found("count", f"found {checked.records} whole records, expected {shard.records}")
    if not checked.damaged and sha256 != shard.sha256:
        found("sha256", f"found SHA-256 {sha256}, expected {shard.sha256}")


def _check_index(checked: Checked, path: Path, places: Sequence[tuple[int, int]]) -> None:
    def found(message: str) -> None:
        checked.findings.append(Finding(kind="index", path=path, message=message))

    if not path.is_file():
        found("found no such file, expected the shard's index")
        return
    try:
        size = path.stat().st_size
        whole = sum(len(index_line(*place)) for place in places)
        most = 3 * checked.size_bytes if checked.damaged else whole  # a record has 16 bytes or more
        if size > most + _PAGE_BYTES:
            found(f"found {size} bytes, expected {most}")
            return
        pairs = read_index(path)
    except OSError as error:
        found(f"cannot be read: {error.strerror or error}")
        return
    except FramingError as error:
        found(str(error).removeprefix(f"{path}: "))
        return
    if len(pairs) != len(places) and not checked.damaged:
        found(f"found {len(pairs)} lines, expected {len(places)}")
    if checked.damaged:
        return
    wrong = [
        line for line, pair in enumerate(zip(pairs, places, strict=False)) if pair[0] != pair[1]
    ]
    if wrong:
        one, right = pairs[wrong[0]], places[wrong[0]]
        more = f" (and {len(wrong) - 1} lines more)" if len(wrong) > 1 else ""
        found(f"line {wrong[0] + 1}: found {one[0]} {one[1]}, expected {right[0]} {right[1]}{more}")
    shard = checked.task.described
    if shard and shard.index_sha256 and pairs == list(places):
        sha256 = files.sha256(path)
        if sha256 != shard.index_sha256:
            found(f"found SHA-256 {sha256}, expected {shard.index_sha256}")


def _of_record(task: Task, item: Record | Damage, kind: Kind, message: str) -> Finding:
    return Finding(
        kind=kind,
        path=task.path,
        message=message,
        record=item.index,
        offset_bytes=item.offset_bytes,
    )
