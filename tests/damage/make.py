"""Makes the corpus of bad files, each from a good one by one kind of damage.

`python tests/damage/make.py` writes everything below `files/`, and `expected.json`; a test makes
them again and compares. Expected values are written by hand, never taken from `verify`.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
from blake3 import blake3

from tfrec_cli.dataset import manifest
from tfrec_cli.dataset.checksums import dataset_files
from tfrec_cli.dataset.records import content_digest

HERE = Path(__file__).parent
FILES = HERE / "files"
EXPECTED = HERE / "expected.json"

Files = dict[str, bytes]
NOT_TRIED = "not tried: it asks for so much memory that the process may die"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One bad file, or one bad dataset.

    Attributes:
        name: name of the file, or of the folder.
        data: its bytes, or its files by name.
        wrong: a description of what is wrong.
        finding: the kind of `verify`'s finding; None if there is none.
        damage: the beginning of the finding's message.
        file: the file that the finding names; None for the case itself.
        record: number of the record that the finding names.
        offset: where that record starts, in bytes.
        tensorflow: how many records TensorFlow 2.21 reads, and what it raises then; written by
            hand if it must not be tried.
    """

    name: str
    data: bytes | Files
    wrong: str
    finding: str | None = None
    damage: str = ""
    file: str | None = None
    record: int | None = None
    offset: int | None = None
    tensorflow: str = ""


def varint(number: int) -> bytes:
    """Write a varint."""
    pieces = [number & 0x7F]
    while number := number >> 7:
        pieces.append(number & 0x7F)
    return bytes([piece | 0x80 for piece in pieces[:-1]] + pieces[-1:])


def field(number: int, *contents: bytes) -> bytes:
    """Write a length-delimited field."""
    content = b"".join(contents)
    return varint(number << 3 | 2) + varint(len(content)) + content


def number(value: int) -> bytes:
    """Write an int64 list of one number."""
    return field(3, field(1, varint(value % 2**64)))


def text(value: bytes) -> bytes:
    """Write a bytes list of one value."""
    return field(1, field(1, value))


def an_example(features: Mapping[bytes, bytes], *more: bytes) -> bytes:
    """Write an Example from lists by name, and further entries."""
    entries = [field(1, field(1, name), field(2, features[name])) for name in sorted(features)]
    return field(1, *entries, *more)


def key_of(filename: bytes) -> int:
    """Return the key of a source, as docs/format/record.md defines it."""
    return int.from_bytes(hashlib.sha256(filename).digest()[:7], "big")


def record(place: int) -> dict[bytes, bytes]:
    """Return the features of the good record with this number: a raw image of 1x2 pixels."""
    filename = b"%s/%d.png" % ((b"cats", b"dogs")[place % 2], place)
    return {
        b"filename": text(filename),
        b"height": number(1),
        b"image": text(bytes(range(place * 6, place * 6 + 6))),
        b"key": number(key_of(filename)),
        b"label": number(place % 2),
        b"width": number(2),
    }


def masked(data: bytes) -> int:
    """Return the masked CRC32C of TFRecord."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def header(length: int) -> bytes:
    """Write a length and its checksum."""
    data = struct.pack("<Q", length)
    return data + struct.pack("<I", masked(data))


def frame(payload: bytes) -> bytes:
    """Write one record."""
    return header(len(payload)) + payload + struct.pack("<I", masked(payload))


def gzip(data: bytes) -> bytes:
    """Wrap as GZIP without a time, as a stored block, so that every zlib gives the same bytes."""
    trailer = struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + stored(data) + trailer


def zipped(data: bytes) -> bytes:
    """Wrap as zlib, as a stored block."""
    return b"\x78\x01" + stored(data) + struct.pack(">I", zlib.adler32(data))


def stored(data: bytes) -> bytes:
    """Write one final DEFLATE block that is not compressed."""
    return b"\1" + struct.pack("<HH", len(data), len(data) ^ 0xFFFF) + data


def flipped(data: bytes, byte: int, bit: int = 0) -> bytes:
    """Flip one bit."""
    return data[:byte] + bytes([data[byte] ^ 1 << bit]) + data[byte + 1 :]


def zeros(runs: int) -> bytes:
    """Write a final DEFLATE block of 1 + 258 * ``runs`` zeros, with the fixed codes of RFC 1951."""
    bits = "110" + "00110000" + ("11000101" + "00000") * runs + "0000000"
    bits += "0" * (-len(bits) % 8)
    return int(bits[::-1], 2).to_bytes(len(bits) // 8, "little")


GOOD = [an_example(record(place)) for place in range(4)]
FRAMES = [frame(payload) for payload in GOOD]
SHARD = b"".join(FRAMES)
STARTS = list(itertools.accumulate(map(len, FRAMES), initial=0))
AT, END = STARTS[1], STARTS[2]
"""Where the damaged record, number 1, starts and ends."""


def framings() -> list[Case]:
    """Damage the framing of one file."""

    def framing(name: str, data: bytes, wrong: str, damage: str, **more: Any) -> Case:
        place = {"record": 1, "offset": AT, **more}
        return Case(
            name=f"{name}.tfrecord",
            data=data,
            wrong=wrong,
            finding="framing",
            damage=damage,
            **place,
        )

    def hostile(exponent: str, length: int) -> Case:
        data = SHARD[:AT] + header(length) + SHARD[AT + 12 :]
        return framing(
            f"length-{exponent}",
            data,
            f"a length of {length} with a right checksum",
            "truncated",
            tensorflow=NOT_TRIED,
        )

    return [
        Case(name="good.tfrecord", data=SHARD, wrong="nothing: four records"),
        framing("length-bit", flipped(SHARD, AT), "a bit of a length flipped", "length_crc"),
        framing(
            "length-high-bit", flipped(SHARD, AT + 7, 7), "the top bit of a length", "length_crc"
        ),
        framing("length-crc-bit", flipped(SHARD, AT + 8), "a bit of a length's CRC", "length_crc"),
        framing("data-bit", flipped(SHARD, AT + 12), "a bit of the data flipped", "data_crc"),
        framing("data-crc-bit", flipped(SHARD, END - 1), "a bit of the data's CRC", "data_crc"),
        framing(
            "last-data-bit",
            flipped(SHARD, len(SHARD) - 5),
            "a bit of the last record's data",
            "data_crc",
            record=3,
            offset=STARTS[3],
        ),
        framing("cut-in-length", SHARD[: AT + 5], "the file ends in a length", "trailing"),
        framing("cut-in-length-crc", SHARD[: AT + 10], "it ends in a length's CRC", "trailing"),
        framing("cut-before-data", SHARD[: AT + 12], "it ends after a header", "truncated"),
        framing("cut-in-data", SHARD[: AT + 30], "it ends in the data", "truncated"),
        framing("cut-in-data-crc", SHARD[: END - 1], "it ends in the data's CRC", "truncated"),
        Case(
            name="cut-between-records.tfrecord",
            data=SHARD[:END],
            wrong="two of four records are gone, which only a manifest shows",
        ),
        *[
            framing(
                f"trailing-{count}",
                SHARD + bytes(count),
                f"{count} zero bytes after the last record",
                "trailing" if count < 12 else "length_crc",
                record=4,
                offset=len(SHARD),
            )
            for count in (1, 11, 12, 16)
        ],
        framing(
            "zeros-between", SHARD[:AT] + bytes(32) + SHARD[AT:], "32 zero bytes", "length_crc"
        ),
        framing(
            "text-between", SHARD[:AT] + b"left by an editor" + SHARD[AT:], "text", "length_crc"
        ),
        framing(
            "header-lost",
            SHARD[:AT] + SHARD[AT + 12 :],
            "a record without its header",
            "length_crc",
        ),
        framing(
            "length-one-more",
            SHARD[:AT] + header(len(GOOD[1]) + 1) + SHARD[AT + 12 :],
            "a length of one byte too many, with a right checksum",
            "data_crc",
        ),
        hostile("2-31", 2**31),
        hostile("2-32", 2**32),
        hostile("2-36", 2**36),
        hostile("2-63", 2**63),
        hostile("2-64", 2**64 - 1),
        Case(
            name="empty.tfrecord",
            data=b"",
            wrong="no record at all",
            finding="framing",
            damage="found an empty file",
        ),
        Case(
            name="text.tfrecord",
            data=b"this is no TFRecord file\n" * 3,
            wrong="text",
            finding="framing",
            damage="not a TFRecord file: text",
            record=0,
            offset=0,
        ),
    ]


def compressed() -> list[Case]:
    """Damage compressed files; offsets are in the decompressed stream."""

    def broken(name: str, data: bytes, wrong: str, damage: str, place: int) -> Case:
        return Case(
            name=name,
            data=data,
            wrong=wrong,
            finding="framing",
            damage=damage,
            record=place,
            offset=STARTS[place],
        )

    whole = gzip(SHARD)
    two = gzip(SHARD[:END]) + gzip(SHARD[END:])
    three = gzip(SHARD[: STARTS[3]]) + gzip(SHARD[STARTS[3] :])
    middle = 10 + 5 + AT + 30
    head = FRAMES[0] + header(2**31 - 1)
    bomb = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\0" + stored(head)[1:] + zeros(4000)
    bomb += struct.pack("<II", zlib.crc32(head + bytes(1 + 258 * 4000)), len(head) + 1 + 258 * 4000)
    return [
        Case(name="good.tfrecord.gz", data=whole, wrong="nothing: four records"),
        Case(name="good-members.tfrecord.gz", data=two, wrong="nothing: two GZIP members"),
        Case(name="good.tfrecord.zlib", data=zipped(SHARD), wrong="nothing: four records"),
        broken("cut-trailer.tfrecord.gz", whole[:-8], "no GZIP trailer", "compression", 4),
        broken("cut-size.tfrecord.gz", whole[:-4], "half a GZIP trailer", "compression", 4),
        broken("cut-in-data.tfrecord.gz", whole[:middle], "it ends in a record", "compression", 1),
        broken(
            "trailer-crc.tfrecord.gz", flipped(whole, -8 % len(whole)), "CRC32", "compression", 4
        ),
        broken(
            "trailer-size.tfrecord.gz", flipped(whole, -4 % len(whole)), "size", "compression", 4
        ),
        broken("member-cut.tfrecord.gz", two[:-8], "the second member's end", "compression", 4),
        broken(
            "member-crc.tfrecord.gz",
            flipped(three, len(gzip(SHARD[: STARTS[3]])) - 8),
            "CRC32 of the first member",
            "compression",
            3,
        ),
        broken("tail.tfrecord.gz", whole + b"tail", "text after the stream", "compression", 4),
        broken(
            "data-bit.tfrecord.gz",
            gzip(flipped(SHARD, AT + 12)),
            "a bit of data, flipped before compression",
            "data_crc",
            1,
        ),
        broken("cut.tfrecord.zlib", zipped(SHARD)[:-4], "no checksum", "compression", 4),
        Case(
            name="bomb.tfrecord.gz",
            data=bomb,
            wrong="a length of 2^31-1 with a right checksum, then a megabyte of zeros",
            finding="framing",
            damage="too_long",
            record=1,
            offset=STARTS[1],
            tensorflow=NOT_TRIED,
        ),
    ]


def examples() -> list[Case]:
    """Put hostile Examples into correct framing."""

    def of(place: int, **changes: bytes) -> dict[bytes, bytes]:
        return {**record(place), **{name.encode(): value for name, value in changes.items()}}

    def hostile(name: str, payload: bytes, wrong: str, finding: str, damage: str) -> Case:
        return Case(
            name=f"example-{name}.tfrecord",
            data=FRAMES[0] + frame(payload) + FRAMES[2],
            wrong=wrong,
            finding=finding,
            damage=damage,
            record=1,
            offset=AT,
        )

    def entry(name: bytes, *lists: bytes) -> bytes:
        return field(1, field(1, name), field(2, *lists))

    none = "the payload is not a tf.train.Example"
    long = "found a tf.train.Example whose tags or lengths take more bytes than needed"
    rest = {name: value for name, value in record(1).items() if name != b"label"}
    body = GOOD[1][2:]
    return [
        hostile("text", b"this is no message", "text", "example", none),
        hostile("cut", GOOD[1][:-1], "a message cut short", "example", none),
        hostile(
            "unknown-field", GOOD[1] + field(9, b"x"), "a field of no Example", "example", none
        ),
        hostile(
            "groups", GOOD[1] + b"\x4b" * 200 + b"\x4c" * 200, "200 nested groups", "example", none
        ),
        hostile(
            "long-length",
            b"\x0a" + varint(len(body))[:-1] + bytes([varint(len(body))[-1] | 0x80, 0]) + body,
            "a length in one byte too many: both read it",
            "example",
            long,
        ),
        hostile(
            "long-tag",
            b"\x8a\x00" + GOOD[1][1:],
            "a tag in two bytes: protobuf reads it",
            "example",
            long,
        ),
        hostile(
            "two-kinds",
            an_example(rest, entry(b"label", number(1), text(b"dogs"))),
            "int64 and bytes: TensorFlow takes the first, protobuf the last",
            "example",
            "feature 'label': found bytes and int64 values",
        ),
        hostile(
            "two-lists",
            an_example(rest, entry(b"label", number(1), number(0))),
            "two int64 lists: TensorFlow takes the first, protobuf joins them",
            "example",
            "feature 'label': found int64 and int64 values",
        ),
        hostile(
            "two-pieces",
            an_example(rest, entry(b"label", field(3, field(1, b"\1"), field(1, b"\0")))),
            "a list in two pieces: TensorFlow takes the first, protobuf joins them",
            "example",
            "feature 'label': its int64 list is damaged or in several pieces",
        ),
        hostile(
            "two-contents",
            an_example(
                rest, field(1, field(1, b"label"), field(2, number(1)), field(2, number(0)))
            ),
            "two contents: TensorFlow refuses, protobuf joins them",
            "example",
            "feature 'label': found 2 contents",
        ),
        hostile(
            "twice",
            an_example(rest, entry(b"label", number(0)), entry(b"label", number(1))),
            "a name twice: the last counts",
            "example",
            "found feature 'label' twice",
        ),
        hostile(
            "no-name",
            an_example(rest, field(1, field(2, number(1)))),
            "a feature without a name: TensorFlow refuses, protobuf calls it ''",
            "example",
            "found 0 names in a feature",
        ),
        hostile(
            "name-not-utf-8",
            an_example(record(1), entry(b"\xff\xfe", number(1))),
            "TensorFlow reads it, protobuf refuses",
            "example",
            r"found feature name b'\xff\xfe'",
        ),
        hostile(
            "no-image",
            an_example({b"label": number(1)}),
            "no image",
            "contract",
            "found no feature 'image'",
        ),
        hostile(
            "two-labels",
            an_example(of(1, label=field(3, field(1, b"\1\0")))),
            "two labels",
            "contract",
            "feature 'label': found 2 int64 values",
        ),
        hostile(
            "height-negative",
            an_example(of(1, height=number(-1))),
            "a height of -1",
            "image",
            "found unknown data",
        ),
        hostile(
            "width-huge",
            an_example(of(1, width=number(2**63 - 1))),
            "a width of 2^63-1",
            "image",
            "found unknown data",
        ),
        hostile(
            "png-bomb",
            an_example(of(1, image=text(PNG_BOMB))),
            "a PNG of 2^31-1 pixels a side, 57 bytes long",
            "image",
            "found 2147483647 wide, 2147483647 high",
        ),
    ]


PNG_BOMB = b"\x89PNG\r\n\x1a\n" + b"".join(
    struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    for kind, data in (
        (b"IHDR", struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)),
        (b"IDAT", b""),
        (b"IEND", b""),
    )
)


def dataset(payloads: Sequence[Sequence[bytes]] = (GOOD[:2], GOOD[2:])) -> Files:
    """Make a good dataset of these records in these shards."""
    files: Files = {}
    shards = []
    for place, some in enumerate(payloads):
        name = f"train-{place:05d}-of-{len(payloads):05d}"
        frames = [frame(payload) for payload in some]
        starts = itertools.accumulate(map(len, frames), initial=0)
        shard = files[f"{name}.tfrecord"] = b"".join(frames)
        index = b"".join(b"%d %d\n" % pair for pair in zip(starts, map(len, frames), strict=False))
        files[f"{name}.tfindex"] = index
        shards.append(
            manifest.Shard(
                name=f"{name}.tfrecord",
                records=len(some),
                size_bytes=len(shard),
                sha256=hashlib.sha256(shard).hexdigest(),
                index=f"{name}.tfindex",
                index_sha256=hashlib.sha256(index).hexdigest(),
            )
        )
    keys = [key_of(b"%s/%d.png" % ((b"cats", b"dogs")[place % 2], place)) for place in range(4)]
    rejects = b'{"path": "cats/x", "reason": "hidden", "message": "hidden", "ignored": true}\n'
    made = manifest.Manifest(
        split="train",
        stored="raw",
        keys="plain",
        crop=(1, 2),
        labels=("cats", "dogs"),
        records=4,
        smallest=(1, 2),
        division=None,
        compression="none",
        shards=tuple(shards),
        content_sha256=content_digest(
            (key, blake3(payload).digest()) for key, payload in zip(keys, GOOD, strict=True)
        ),
        plan_sha256="0" * 64,
        rejects_file="train.rejects.jsonl",
        rejects_sha256=hashlib.sha256(rejects).hexdigest(),
        changes={},
        icc_profiles=0,
        rejects={},
        ignored={"hidden": 1},
        options={"crop": [1, 2]},
        versions={"tfrec": "1"},
    )
    files["train.rejects.jsonl"] = rejects
    files["train.manifest.json"] = manifest.dump(made)
    return {**files, **dataset_files([made])}


def datasets() -> list[Case]:
    """Damage a dataset that has a manifest."""
    good = dataset()
    first, second = "train-00000-of-00002.tfrecord", "train-00001-of-00002.tfrecord"
    index, described = "train-00000-of-00002.tfindex", "train.manifest.json"

    def bad(name: str, wrong: str, finding: str, file: str, damage: str = "", **more: Any) -> Case:
        changes: Mapping[str, bytes | None] = more.pop("changes")
        data = {key: value for key, value in {**good, **changes}.items() if value is not None}
        return Case(
            name=name, data=data, wrong=wrong, finding=finding, file=file, damage=damage, **more
        )

    def shard(*payloads: bytes) -> bytes:
        return b"".join(map(frame, payloads))

    other = an_example(record(4))
    info = good["dataset_info.json"].replace(b'"2"', b'"1"', 1)
    path_in = good[described].replace(first.encode(), b"../" + first.encode())
    twice = good[described].replace(b'"records": 4', b'"records": 5, "records": 4')
    return [
        Case(name="good", data=good, wrong="nothing: two shards of two records"),
        bad("shard-missing", "a shard is gone", "missing", second, changes={second: None}),
        bad(
            "shard-extra",
            "a shard that no manifest names",
            "extra",
            "part-0",
            changes={"part-0": good[first]},
        ),
        bad(
            "shards-swapped",
            "two shards with swapped names",
            "sha256",
            first,
            changes={first: good[second], second: good[first]},
        ),
        bad(
            "shard-twice",
            "a shard in place of another",
            "duplicate",
            second,
            changes={second: good[first]},
        ),
        bad(
            "shard-foreign",
            "another dataset's shard of the same size",
            "sha256",
            second,
            changes={second: shard(GOOD[2], other)},
        ),
        bad(
            "cut-between-records",
            "a shard ends after its first record: intact to every reader",
            "count",
            second,
            "found 1 intact record, expected 2",
            changes={second: FRAMES[2]},
        ),
        bad(
            "shard-empty",
            "a shard of no bytes",
            "size",
            second,
            "found 0 bytes",
            changes={second: b""},
        ),
        bad(
            "bit",
            "a bit of a record's data flipped",
            "framing",
            second,
            "data_crc",
            record=1,
            offset=len(FRAMES[2]),
            changes={second: flipped(good[second], len(FRAMES[2]) + 12)},
        ),
        bad(
            "trailing",
            "a byte after the last record",
            "framing",
            second,
            "trailing",
            record=2,
            offset=len(good[second]),
            changes={second: good[second] + b"\0"},
        ),
        bad(
            "records-swapped",
            "two records in another order",
            "sha256",
            first,
            changes={first: shard(GOOD[1], GOOD[0])},
        ),
        bad(
            "record-twice",
            "a record twice",
            "duplicate",
            first,
            changes={first: shard(GOOD[0], GOOD[1], GOOD[1])},
        ),
        bad(
            "record-moved",
            "a record in the other shard",
            "count",
            first,
            "found 3 intact records, expected 2",
            changes={first: shard(GOOD[0], GOOD[1], GOOD[2]), second: shard(GOOD[3])},
        ),
        bad(
            "record-changed",
            "a pixel changed, checksums right",
            "content",
            described,
            changes={
                first: shard(GOOD[0], GOOD[1].replace(bytes(range(6, 12)), bytes(range(7, 13))))
            },
        ),
        bad(
            "label-changed",
            "a label changed, checksums right",
            "sha256",
            first,
            changes={first: shard(GOOD[0], an_example({**record(1), b"label": number(0)}))},
        ),
        bad(
            "label-beyond",
            "a label of no class",
            "contract",
            first,
            "found label 2, expected 0 to 1",
            record=1,
            offset=AT,
            changes={first: shard(GOOD[0], an_example({**record(1), b"label": number(2)}))},
        ),
        bad(
            "key-changed",
            "a key that is not that of the file's name",
            "contract",
            first,
            "found key 5, expected",
            record=1,
            offset=AT,
            changes={first: shard(GOOD[0], an_example({**record(1), b"key": number(5)}))},
        ),
        bad("manifest-missing", "no manifest", "missing", described, changes={described: None}),
        bad(
            "manifest-cut",
            "half a manifest",
            "manifest",
            described,
            changes={described: good[described][:700]},
        ),
        bad(
            "manifest-changed",
            "an option changed in the manifest",
            "manifest",
            described,
            "found SHA-256",
            changes={described: good[described].replace(b'"tfrec": "1"', b'"tfrec": "2"')},
        ),
        bad(
            "manifest-path",
            "a shard's name that leads elsewhere",
            "manifest",
            described,
            "shards[0].name: found '../train",
            changes={described: path_in},
        ),
        bad(
            "manifest-field-twice",
            "a field twice: readers take one or the other",
            "manifest",
            described,
            "found field 'records' twice",
            changes={described: twice},
        ),
        bad(
            "manifest-nested",
            "10,000 nested lists",
            "manifest",
            described,
            "maximum recursion depth",
            changes={described: b"[" * 10_000},
        ),
        bad("index-missing", "no index", "index", index, changes={index: None}),
        bad(
            "index-line",
            "an index with a wrong offset",
            "index",
            index,
            "line 2: found 1 ",
            changes={index: good[index].replace(b"\n%d " % AT, b"\n1 ")},
        ),
        bad(
            "shard-lengths",
            "TFDS would read one record of two",
            "metadata",
            "dataset_info.json",
            "found shardLengths",
            offset=good["dataset_info.json"].index(b'"2"') + 1,
            changes={"dataset_info.json": info},
        ),
        bad(
            "labels-swapped",
            "class names in another order",
            "metadata",
            "label.labels.txt",
            offset=0,
            changes={"label.labels.txt": b"dogs\ncats\n"},
        ),
        bad(
            "features-missing",
            "no features.json",
            "missing",
            "features.json",
            changes={"features.json": None},
        ),
        bad(
            "rejects-changed",
            "the list of rejects changed",
            "metadata",
            "train.rejects.jsonl",
            changes={"train.rejects.jsonl": b""},
        ),
        bad("sums-missing", "no SHA256SUMS", "missing", "SHA256SUMS", changes={"SHA256SUMS": None}),
    ]


def cases() -> list[Case]:
    """Return every case."""
    return [*framings(), *compressed(), *examples(), *datasets()]


def tensorflow_reads(case: Case) -> str:
    """Return how TensorFlow reads a case; never called for hostile lengths."""
    import tensorflow as tf

    folder = FILES / case.name
    paths = sorted(folder.glob("*.tfrecord")) if folder.is_dir() else [folder]
    kinds = {".gz": "GZIP", ".zlib": "ZLIB"}
    records = tf.data.TFRecordDataset(list(map(str, paths)), kinds.get(folder.suffix, ""))
    count = 0
    try:
        for _ in records:
            count += 1
    except tf.errors.DataLossError:
        return f"{count} records, then DataLossError"
    return f"{count} records, no error"


def expected(case: Case, tensorflow: str) -> dict[str, Any]:
    """Return one line of the table."""
    return {
        "file": case.name,
        "wrong": case.wrong,
        "exit": 0 if case.finding is None else 1,
        "finding": case.finding,
        "message": case.damage,
        "in": case.file,
        "record": case.record,
        "offset": case.offset,
        "tensorflow": case.tensorflow or tensorflow,
    }


def write(folder: Path) -> None:
    """Write every file of the corpus below ``folder``."""
    for case in cases():
        files = {"": case.data} if isinstance(case.data, bytes) else case.data
        for name, data in files.items():
            path = folder / case.name / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


def main() -> None:
    """Make the corpus and its table."""
    shutil.rmtree(FILES, ignore_errors=True)
    write(FILES)
    table = [expected(one, one.tensorflow or tensorflow_reads(one)) for one in cases()]
    lines = ",\n".join(json.dumps(line) for line in table)
    EXPECTED.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
