"""The targets of fuzzing: every parser of foreign bytes, as a function of bytes.

A target returns or raises `TfrecError`; anything else, such as an `AssertionError`, is a bug.
hypothesis (test_fuzz.py) and atheris (fuzz.py) use the same table.
"""

from __future__ import annotations

import atexit
import dataclasses
import functools
import io
import itertools
import json
import shutil
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image

from tfrec_cli.cli import config
from tfrec_cli.cli import main as cli
from tfrec_cli.commands import inspect_, verify
from tfrec_cli.dataset import manifest, records
from tfrec_cli.dataset.checksums import dataset_files
from tfrec_cli.dataset.foreign import guess_names
from tfrec_cli.errors import TfrecError
from tfrec_cli.imaging import decoder, formats, normalize, pillow_decoder
from tfrec_cli.imaging.jpeg import markers as jpeg_markers
from tfrec_cli.imaging.jpeg import seek
from tfrec_cli.imaging.kinds import claims, deep
from tfrec_cli.imaging.policy import Depth, Policy
from tfrec_cli.runtime import native, pool
from tfrec_cli.sources import labels
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.index import index_line, locate_records, open_index, read_index
from tfrec_cli.tfrecord.record import frame
from tfrec_cli.tfrecord.scan import Damage, scan
from tfrec_cli.tfrecord.stream import compression_of

IMAGE = bytes.fromhex(  # a PNG of one pixel
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cf"
    "c000000301010018dd8db00000000049454e44ae426082"
)
JPEG = b"".join(  # one gray pixel: its markers, and a scan of a few bytes
    (
        b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0\xff\xdb\0\x43\0",
        b"\1" * 64,
        bytes.fromhex("ffc0000b080001000101011100ffda0008010100003f0012ff0034ffd9"),
    )
)
CODED_JPEG = JPEG.replace(  # with codes, of which the scan has some
    b"\xff\xda",
    b"\xff\xc4\0\x16\0" + b"\0\3" + bytes(14) + b"\0\x02\x0b"  # of two bits each
    b"\xff\xc4\0\x16\x10" + b"\0\3" + bytes(14) + b"\0\x01\xf1"
    b"\xff\xda",
).replace(b"\x12\xff", b"\x10\xff")
EXAMPLE = example.encode(
    {"image": IMAGE, "height": 1, "width": 1, "label": [3, -1], "x": [0.5], "filename": b"a/b.png"}
)
SEQUENCE = bytes.fromhex(
    "0a0d0a0b0a02696412051a030a0109121d0a1b0a047374657012130a050a030a01610a0812060a040000c03f0a00"
)
SHARD = b"".join(map(frame, (EXAMPLE, b"", SEQUENCE)))
TOML = b'[write]\ncrop = "8x9"\nquiet = true\njobs = 2\n\n[verify]\nseed = 42\n'
MANIFEST = (
    b'{"changes": {"cmyk": 1}, "compression": "none", "content_sha256": "%b", "crop": [1, 1], '
    b'"format": "tfrec-manifest", "format_version": 1, "icc_profiles": 0, "ignored": {}, '
    b'"keys": "plain", "labels": ["cats", "\\u00e9"], "options": {"crop": [1, 1]}, '
    b'"plan_sha256": "%b", "records": 1, "rejects": {}, "rejects_file": "x.rejects.jsonl", '
    b'"rejects_sha256": "%b", "shards": [{"index": null, "index_sha256": null, '
    b'"name": "x-00000-of-00001.tfrecord", "records": 1, "sha256": "%b", "size_bytes": 9}], '
    b'"smallest": null, "split": "x", "stored": "raw", "versions": {"tfrec": "1"}}'
) % ((b"0" * 64,) * 4)
MANIFEST_2 = MANIFEST.replace(
    b'"format_version": 1',
    b'"division": {"method": "shares", "parts": [{"share": "0.5", "split": "x"}, '
    b'{"share": "0.5", "split": "y"}]}, "targets": {"name": "x.targets", "sha256": "%b"}, '
    b'"format_version": 2' % (b"0" * 64),
)


_LONGEST_MESSAGE = 2_000
_MOST_PIXELS = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Target:
    """One parser, and good bytes to start from."""

    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]


@functools.cache
def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="tfrec-fuzz-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _file(data: bytes) -> Path:
    path = _folder() / "x.tfrecord"
    path.write_bytes(data)
    return path


def _places(data: bytes) -> None:
    """An index of two records is mapped or parsed, as its length tells."""
    places = open_index(_file(data), 2)
    found = places.take(range(len(places)))
    assert found == read_index(_file(data))


def _scan(data: bytes) -> None:
    """Records are as in the file; with damage they cover an uncompressed file without a gap."""
    path = _file(data)
    end = 0
    for number, item in enumerate(scan(path, limit_bytes=1 << 20)):
        assert item.index == number
        if compression_of(data) != "none":
            continue
        assert item.offset_bytes == end
        if isinstance(item, Damage):
            assert item.lost_bytes > 0
            end += item.lost_bytes
        else:
            whole = frame(item.payload)
            assert data[end : end + len(whole)] == whole
            end += len(whole)
    assert end in (0, len(data))


def _verify(data: bytes) -> None:
    with mock.patch.object(pool, "_can_fork", return_value=False):  # in this process
        verify.verify(_file(data), verify.Options(jobs=1))


def _summarise(data: bytes) -> None:
    inspect_.summarise([_file(data)])


def _single_values(data: bytes) -> None:
    """The fast reader agrees with `decode` if neither refuses the bytes."""
    names = {"image", "height", "label", "x", "filename"}
    try:
        found: dict[str, Any] | None = dict(
            example.SingleValues({name: name for name in names}).read(memoryview(data))
        )
    except TfrecError:
        found = None
    features = example.decode(data)
    assert found == {
        name: one.values[0]
        for name, one in features.items()
        if name in names and len(one.values) == 1 and one.kind in ("bytes", "int64")
    }


def _jpeg(data: bytes) -> jpeg_markers.Jpeg | str:
    try:
        return jpeg_markers.read(data)
    except TfrecError as error:
        return str(error)


def _read_jpeg(data: bytes) -> None:
    """C, if it was compiled, and Python agree."""
    found = _jpeg(data)
    with mock.patch.multiple(native, scan_end=lambda *_: -1, jpeg_frame=lambda _: None):
        assert _jpeg(data) == found


def _pixels(data: bytes) -> Any:
    """Decode by Pillow; None if it refuses, or the picture is not as small as its bytes."""
    try:
        image = Image.open(io.BytesIO(data))
        small = image.width * image.height < _MOST_PIXELS
        return np.asarray(image.convert("RGB")) if small else None
    except (OSError, SyntaxError, ValueError, IndexError, struct.error):
        return None


def _cut(data: bytes) -> None:
    """A window has the pixels of the whole, damaged or not."""
    for top, left, height, width in ((0, 0, 1, 1), (0, 0, 9, 17), (7, 9, 3, 5)):
        window = seek.cut(data, (top, left, height, width))
        if window is None or (whole := _pixels(data)) is None:
            continue
        expected = whole[top : top + height, left : left + width]
        found = _pixels(window.data)[window.top :, window.left :][:height, :width]
        assert np.array_equal(found, expected)


def _record(data: bytes) -> None:
    features = example.decode(data)
    names = guess_names(features)
    if names is not None:
        record = records.decode(features, names)
        if not record.is_raw:
            decoder.decode(record.image, _MOST_PIXELS)


def _decode(data: bytes) -> None:
    """The decoder has Pillow's pixels, and refuses what Pillow refuses."""
    try:
        expected = pillow_decoder.decode(data, _MOST_PIXELS)
    except TfrecError:
        expected = None
    try:
        found = decoder.decode(data, _MOST_PIXELS)
    except TfrecError:
        assert expected is None
        raise
    assert np.array_equal(found, expected)


def _png(data: bytes) -> None:
    """A PNG that is written can be read; the decoder has the pixels of Pillow, which checks less.

    With the checksums as they are and with right ones, with 8 and with 16 bits a sample.
    """
    kept = 0
    depths: tuple[Depth, ...] = (8, 16)
    for candidate, depth in itertools.product((data, _with_checksums(data)), depths):
        try:
            policy = Policy(max_pixels=_MOST_PIXELS, depth=depth)
            written = normalize.store_whole(candidate, policy, decodes=False).data
        except TfrecError as error:
            refusal = error
            continue
        kept += 1
        pixels = pillow_decoder.decode(written, _MOST_PIXELS)
        if written[24:25] != b"\x10":  # of 16 bits Pillow makes others
            assert np.array_equal(pixels, _pixels(written))
    if not kept:
        raise refusal


def _with_checksums(data: bytes) -> bytes:
    """Put the right checksum after each chunk of a PNG."""
    changed = bytearray(data)
    start = 8
    while start + 12 <= len(data):
        stop = start + 8 + int.from_bytes(data[start : start + 4], "big")
        if stop + 4 > len(data):
            break
        changed[stop : stop + 4] = zlib.crc32(data[start + 4 : stop]).to_bytes(4, "big")
        start = stop + 4
    return bytes(changed)


def _classify(data: bytes) -> None:
    kind, message = example.parse(data)
    example.event_kind(data)
    if kind == "tf.train.Example":
        example.features(message)
    elif kind == "tf.train.SequenceExample":
        example.decode_sequence(data)


def _manifest(data: bytes) -> None:
    """An accepted manifest can be written again, also in the newest version."""
    path = Path("x.manifest.json")
    made = manifest.parse(data, path)
    assert manifest.dump(made) == data
    again = dataclasses.replace(made)  # of the newest version
    assert manifest.parse(manifest.dump(again), path) == made
    assert json.loads(dataset_files([made]).get("features.json", b"0")) is not None


def _config(data: bytes) -> None:
    config.load(_file(data), cli.main)


def _labels(data: bytes) -> None:
    names = labels.read_labels(_file(data))
    assert len(set(names)) == len(names)


def _framed(run: Callable[[bytes], object]) -> Callable[[bytes], object]:
    """Frame a payload with correct checksums, which random changes would not find."""
    return lambda data: run(frame(data))


def _photo() -> bytes:
    """Make a JPEG of several rows of blocks, with smoothed chroma and restart markers."""
    out = io.BytesIO()
    pixels = np.arange(24 * 40 * 3, dtype=np.uint32) ** 2 % 251
    image = Image.fromarray(pixels.astype(np.uint8).reshape(24, 40, 3))
    image.save(out, "JPEG", subsampling="4:2:0", restart_marker_blocks=2)
    return out.getvalue()


def _palette_png() -> bytes:
    """Make a PNG with numbers of colours, of which one is transparent."""
    out = io.BytesIO()
    image = Image.fromarray(np.arange(40, dtype=np.uint8).reshape(5, 8)).convert("P")
    image.save(out, "PNG", transparency=3)
    return out.getvalue()


def _claim(data: bytes) -> None:
    """Headers are read by our parsers, and small pictures are decoded."""
    name = formats.image_format(data[: formats.HEAD_BYTES])
    if name in (None, "jpeg"):
        return
    claims.read(name, io.BytesIO(data))
    normalize.store_whole(data, Policy(max_pixels=_MOST_PIXELS), decodes=False)


def _deep_pngs() -> Iterator[bytes]:
    """Make pictures of 16 bits: grey and RGB."""
    values = np.arange(90, dtype=np.uint16).reshape(5, 6, 3) * 700
    yield deep.png_file(values[..., :1])
    yield deep.png_file(values)


def _images() -> tuple[bytes, ...]:
    """Return small images of the formats that `claims` reads, by Pillow, and of 12 and 16 bits."""
    made = [b"P5 2 1 4095\n\0\1\2\3", b"P3 1 1 9 # x\n1 2 9"]
    gray = Image.new("L", (3, 2), 7)
    for kind, options in (
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "jpeg"}),
        ("JPEG2000", {}),
        ("AVIF", {}),
    ):
        file = io.BytesIO()
        gray.save(file, kind, **options)
        made.append(file.getvalue())
    for picture, kind, compression in (
        (Image.new("1", (9, 2)), "TIFF", "group3"),
        (Image.new("1", (9, 2)), "TIFF", "group4"),
        (Image.new("I;16", (3, 2), 77), "TIFF", "tiff_adobe_deflate"),
    ):
        file = io.BytesIO()
        picture.save(file, kind, compression=compression)
        made.append(file.getvalue())
    head = struct.pack("<2sIHHI", b"BM", 0, 0, 0, 58)
    head += struct.pack("<IiiHHIIiiII", 40, 3, 1, 1, 4, 2, 0, 0, 0, 1, 0)
    return (*made, head + bytes(4) + b"\3\0\0\0\0\1")


PAYLOADS = (EXAMPLE, IMAGE, SEQUENCE)
SHARDS = (SHARD, zlib.compress(SHARD), frame(b""))
TARGETS: dict[str, Target] = {
    "scan": Target(run=_scan, seeds=SHARDS),
    "locate_records": Target(run=lambda data: locate_records(_file(data)), seeds=SHARDS),
    "read_index": Target(
        run=lambda data: read_index(_file(data)), seeds=(b"0 62\n62 16\n78 59\n",)
    ),
    "open_index": Target(run=_places, seeds=(index_line(0, 62) + index_line(62, 16),)),
    "example.decode": Target(run=example.decode, seeds=PAYLOADS),
    "example.decode_sequence": Target(run=example.decode_sequence, seeds=PAYLOADS[::-1]),
    "example.parse": Target(run=_classify, seeds=PAYLOADS),
    "example.SingleValues": Target(run=_single_values, seeds=PAYLOADS),
    "jpeg.read": Target(run=_read_jpeg, seeds=(JPEG,)),
    "seek.cut": Target(run=_cut, seeds=(CODED_JPEG, _photo())),
    "decoder.decode": Target(run=_decode, seeds=(_photo(), CODED_JPEG, IMAGE)),
    "png.check": Target(run=_png, seeds=(IMAGE, _palette_png(), *_deep_pngs())),
    "claims.read": Target(run=_claim, seeds=_images()),
    "records.decode": Target(run=_record, seeds=PAYLOADS),
    "verify": Target(run=_verify, seeds=SHARDS),
    "verify, framed": Target(run=_framed(_verify), seeds=PAYLOADS),
    "inspect": Target(run=_summarise, seeds=SHARDS),
    "inspect, framed": Target(run=_framed(_summarise), seeds=PAYLOADS),
    "manifest.parse": Target(run=_manifest, seeds=(MANIFEST, MANIFEST_2)),
    "config.load": Target(run=_config, seeds=(TOML,)),
    "sources.read_labels": Target(run=_labels, seeds=("owls\n\n cats \né\n".encode(),)),
}


def holds(name: str, data: bytes) -> bool:
    """Run a target; return True if it accepted the bytes, False if it refused them."""
    try:
        TARGETS[name].run(data)
    except TfrecError as error:
        message = str(error)
    else:
        return True
    assert len(message) < _LONGEST_MESSAGE
    return False
