"""The promises of `tfrec write`, checked by the files on the disk.

Knows: the formats, from their descriptions. Must not know: tfrec_cli, nor the packages that it uses
to read or write them, except for CRC32C.

Every function returns a line for each thing that is wrong; an empty list means that the promise is
kept.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import google_crc32c

Tree = dict[str, bytes]
_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.(tfrecord(?:\.gz)?|tfindex)")
_SUMS = "SHA256SUMS"
_HEAD_BYTES = 128
"""Bytes before the labels in a file of labels."""
_SUM = re.compile(r"([0-9a-f]{64})  (.+)")


def read(folder: Path) -> Tree:
    """Read every file below a folder: relative path to bytes; folders end in a slash."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir():
            found[f"{name}/"] = b""
        else:
            found[name] = path.read_bytes()
    return found


def whole(tree: Tree, known: Sequence[Tree] = ()) -> list[str]:
    """I1: a file with a final name is complete.

    Args:
        known: trees of finished datasets; each file must be in one of them.
    """
    wrong = []
    for name, data in tree.items():
        if name.startswith("."):
            continue
        if known and data not in [one[name] for one in known if name in one]:
            wrong.append(f"I1: {name}: its {len(data)} bytes are in no finished dataset")
        wrong += [f"I1: {name}: {fault}" for fault in _faults(name, data, tree)]
    return wrong


def vouched(tree: Tree) -> list[str]:
    """I2: if there is a manifest, every file that it names is there and complete."""
    wrong = []
    for name, data in tree.items():
        if re.fullmatch(r"[^./][^/]*\.manifest\.json", name):
            wrong += [f"I2: {name}: {fault}" for fault in _unvouched(name, data, tree)]
    return wrong


def complete(tree: Tree, split: str, records: int) -> list[str]:
    """I3: after success, the split is there with all its records, and nothing unfinished."""
    name = f"{split}.manifest.json"
    if name not in tree:
        return [f"I3: {name}: is not there"]
    found = json.loads(tree[name])["records"]
    wrong = [] if found == records else [f"I3: {name}: found {found} records, expected {records}"]
    held = {one: hashlib.sha256(data).hexdigest() for one, data in tree.items() if one != _SUMS}
    if held != _sums(tree):
        wrong.append(f"I3: {_SUMS}: differs from what is there")
    return wrong + [f"I3: {left}: was left behind" for left in tree if left.startswith(".")]


def same(tree: Tree, expected: Tree) -> list[str]:
    """I4: two trees are equal, byte for byte."""
    missing = [f"I4: {name}: is missing" for name in expected if name not in tree]
    extra = [f"I4: {name}: was left behind" for name in tree if name not in expected]
    both = [name for name in tree if name in expected and tree[name] != expected[name]]
    return [*missing, *extra, *(f"I4: {name}: differs" for name in both)]


@functools.lru_cache(4096)
def records(shard: bytes, zipped: bool = False) -> list[tuple[int, int]] | str:
    """Parse a shard: (offset, length) of each record with its framing, or what is wrong."""
    if zipped:
        inflating = zlib.decompressobj(wbits=31)
        try:
            shard, rest = inflating.decompress(shard), inflating.unused_data
        except zlib.error as error:
            return f"no GZIP: {error}"
        if not inflating.eof or rest:
            return "not a single complete GZIP member"
    found, offset = [], 0
    while offset < len(shard):
        if len(shard) < offset + 16:
            return f"byte {offset}: ends inside a frame"
        length, length_crc = struct.unpack_from("<QI", shard, offset)
        if length_crc != _masked(shard[offset : offset + 8]):
            return f"byte {offset}: CRC of a length"
        if len(shard) < offset + 16 + length:
            return f"byte {offset}: ends inside a record"
        data = shard[offset + 12 : offset + 12 + length]
        if struct.unpack_from("<I", shard, offset + 12 + length) != (_masked(data),):
            return f"byte {offset}: CRC of a record"
        found.append((offset, length + 16))
        offset += length + 16
    return found


def _masked(data: bytes) -> int:
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _faults(name: str, data: bytes, tree: Tree) -> list[str]:
    shard = _SHARD.fullmatch(name)
    if shard and shard[4] == "tfindex":
        indexed = tree.get(name.removesuffix("tfindex") + "tfrecord")
        found = records(indexed) if indexed else []
        pairs = [
            (int(start), int(length))
            for start, length in map(str.split, data.decode().splitlines())
        ]
        starts = [sum(length for _, length in pairs[:number]) for number in range(len(pairs))]
        if not data.endswith(b"\n") or [start for start, _ in pairs] != starts:
            return ["is cut"]
        return ["differs from its shard"] if indexed and found != pairs else []
    if shard:
        found = records(data, shard[4] == "tfrecord.gz")
        return [found] if isinstance(found, str) else []
    if name.endswith(".json"):
        return _no_json([data.decode()])
    if name.endswith(".rejects.jsonl"):
        return _no_json(data.decode().splitlines())
    if name == _SUMS:
        lines = data.decode().splitlines()
        ends = data.endswith(b"\n")
        return [] if ends and all(map(_SUM.fullmatch, lines)) else ["is cut"]
    if name.endswith(".targets"):
        return _no_labels(data)
    if name.endswith(".labels.txt"):
        return [] if data.endswith(b"\n") else ["is cut"]
    return ["is not a file of a dataset"]


def _no_labels(data: bytes) -> list[str]:
    """Return what is wrong with a .npy file of int64, from the description of that format."""
    shape = re.match(
        rb"\x93NUMPY\x01\x00v\x00\{'descr': '<i8', .*'shape': \((\d+),\), \} *\n", data
    )
    return [] if shape and len(data) == _HEAD_BYTES + 8 * int(shape[1]) else ["is cut"]


def _no_json(texts: Sequence[str]) -> list[str]:
    try:
        for text in texts:
            json.loads(text)
    except ValueError as error:
        return [f"is not JSON: {error}"]
    return []


def _unvouched(name: str, data: bytes, tree: Tree) -> list[str]:
    manifest = json.loads(data)
    digests = {name: hashlib.sha256(data).hexdigest()}
    wrong = []
    digests[manifest["rejects_file"]] = manifest["rejects_sha256"]
    if targets := manifest.get("targets"):
        digests[targets["name"]] = targets["sha256"]
        if len(tree.get(targets["name"], b"")) != _HEAD_BYTES + 8 * manifest["records"]:
            wrong.append(f"{targets['name']}: does not have {manifest['records']} labels")
    for shard in manifest["shards"]:
        digests[shard["name"]] = shard["sha256"]
        if shard["index"]:
            digests[shard["index"]] = shard["index_sha256"]
        held = tree.get(shard["name"], b"")
        found = records(held, shard["name"].endswith(".gz"))
        if len(held) != shard["size_bytes"]:
            wrong.append(f"{shard['name']}: found {len(held)} bytes, not {shard['size_bytes']}")
        if isinstance(found, str) or len(found) != shard["records"]:
            wrong.append(f"{shard['name']}: found {found}, not {shard['records']} records")
    if sum(shard["records"] for shard in manifest["shards"]) != manifest["records"]:
        wrong.append("its shards do not have its records")
    for path, digest in digests.items():
        if path not in tree:
            wrong.append(f"{path}: is missing")
        elif hashlib.sha256(tree[path]).hexdigest() != digest:
            wrong.append(f"{path}: SHA-256 differs")
    sums = _sums(tree)
    wrong += [f"{_SUMS}: {path}" for path in digests if sums.get(path) != digests[path]]
    return wrong + _mistold(manifest, tree)


def _sums(tree: Tree) -> dict[str, str]:
    lines = tree.get(_SUMS, b"").decode().splitlines()
    return {found[2]: found[1] for found in map(_SUM.fullmatch, lines) if found}


def _mistold(manifest: Mapping[str, Any], tree: Tree) -> list[str]:
    """Compare dataset_info.json with a manifest: with a wrong length, TFDS silently truncates."""
    if manifest["compression"] != "none":
        return []
    splits = json.loads(tree.get("dataset_info.json", b"{}")).get("splits", [])
    recorded = {split["name"]: list(map(int, split["shardLengths"])) for split in splits}
    lengths = [shard["records"] for shard in manifest["shards"]]
    found = recorded.get(manifest["split"])
    return [] if found == lengths else [f"dataset_info.json: found {found}, expected {lengths}"]
