"""Damaged datasets: each bit flipped, each length cut, files and records moved; also combinations.

Knows: the files of a dataset, and where records are in them. `verify` must have a finding for each
damage. It must name a damaged file and, for a flipped bit or a cut in a record, that record.
"""

from __future__ import annotations

import itertools
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from PIL import Image

from tfrec_cli.commands.verify import Options, Verified, verify
from tfrec_cli.commands.write import write
from tfrec_cli.runtime import pool
from tfrec_cli.tfrecord.index import index_line
from tfrec_cli.tfrecord.record import FOOTER_BYTES, HEADER_BYTES, OVERHEAD_BYTES, frame
from tfrec_cli.writing.options import WriteOptions

Files = Mapping[str, bytes]
_SHOWN = 20
_TAIL_BYTES = 20
_ZEROS = {bytes(count) for count in range(1, _TAIL_BYTES)}


@dataclass(frozen=True, kw_only=True)
class Damage:
    """One way to damage a dataset.

    Attributes:
        what: a description from which it can be made again.
        place: (file, record, offset) that a finding must name.
    """

    kind: str
    what: str
    make: Callable[[], dict[str, bytes]]
    place: tuple[str, int, int] | None = None


@dataclass(kw_only=True)
class _Tally:
    tried: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def run(datasets: int, seed: int) -> dict[str, Any]:
    """Damage two small datasets in ``datasets`` ways, and verify each.

    Up to three quarters are single damages, all of them if possible; the rest are combinations.

    Returns:
        ``tried`` and ``found``: number of datasets by kind of damage; ``findings``: their number by
        kind; ``wrong``: descriptions of damages that were not found or not named, or that crashed;
        ``wrong_count``.
    """
    rng = random.Random(seed)
    tally = _Tally()
    with tempfile.TemporaryDirectory(dir=_memory()) as scratch:
        goods = _datasets(Path(scratch))
        singles = [(folder, one) for folder in goods for one in _singles(_files(folder))]
        if len(singles) > datasets * 3 // 4:
            singles = rng.sample(singles, datasets * 3 // 4)
        for folder, several in itertools.groupby(singles, key=lambda pair: pair[0]):
            files = _files(folder)
            for _, one in several:
                _try(folder, files, one, tally)
        for folder in goods:
            files = _files(folder)
            for _ in range((datasets - len(singles) + 1) // len(goods)):
                _try(folder, files, _several(files, rng), tally)
    return {
        "tried": dict(tally.tried),
        "found": dict(tally.found),
        "findings": dict(tally.findings),
        "wrong": tally.wrong[:_SHOWN],
        "wrong_count": len(tally.wrong),
    }


def _memory() -> str | None:
    """Return a folder in memory if there is one, since nothing here needs a disk."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _datasets(scratch: Path) -> list[Path]:
    """Write the two datasets, uncompressed and compressed, of four records each."""
    for number, name in enumerate(("cats/0.png", "dogs/1.png", "cats/2.png", "dogs/3.png")):
        path = scratch / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.frombytes("RGB", (2, 1), bytes(range(number * 7, number * 7 + 6))).save(path)
    (scratch / "src" / "cats" / "notes.txt").write_text("left out")
    made = []
    for compression in ("none", "gzip"):
        out = scratch / compression
        options = WriteOptions(crop=(1, 2), shards=2, compression=compression, jobs=1)
        write(scratch / "src", out, options)
        made.append(out)
    return made


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _try(folder: Path, good: Files, damage: Damage, tally: _Tally) -> None:
    """Damage a dataset, verify it, and repair it."""
    bad = damage.make()
    changed = {name for name in {*good, *bad} if good.get(name) != bad.get(name)}
    if not changed:
        return
    _put(folder, {name: bad.get(name) for name in changed})
    tally.tried[damage.kind] += 1
    try:
        problem = _judge(_verified(folder), changed, damage, tally)
    except Exception as error:  # any exception is a bug that we look for
        problem = f"crashed: {type(error).__name__}: {error}"
    if problem:
        tally.wrong.append(f"{folder.name}: {damage.kind}: {damage.what}: {problem}")
    else:
        tally.found[damage.kind] += 1
    _put(folder, {name: good.get(name) for name in changed})


def _put(folder: Path, files: Mapping[str, bytes | None]) -> None:
    for name, data in files.items():
        if data is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(data)


def _verified(folder: Path) -> Verified:
    """Verify in this process: a worker for each of thousands of datasets would be slow."""
    with mock.patch.object(pool, "_can_fork", return_value=False):
        return verify(folder, Options(jobs=1))


def _judge(report: Verified, changed: set[str], damage: Damage, tally: _Tally) -> str:
    tally.findings.update(one.kind for one in report.findings)
    if not report.findings:
        return "" if _tells_nothing(report.path) and report.unchecked else "not found"
    named = [f"{one.path.name} {one.message}" for one in report.findings]
    if not any(name in text for name in changed for text in named):
        return f"found, but none of {sorted(changed)} is named"
    places = {(one.path.name, one.record, one.offset_bytes) for one in report.findings}
    if damage.place and damage.place not in places:
        return f"found, but not at {damage.place}"
    return ""


def _tells_nothing(folder: Path) -> bool:
    """Return whether no file names a manifest: then it is just a folder of record files."""
    sums = folder / "SHA256SUMS"
    names = [path.name for path in folder.iterdir()] + (
        sums.read_text("utf-8", "replace").splitlines() if sums.is_file() else []
    )
    return not [name for name in names if name.endswith((".manifest.json", ".rejects.jsonl"))]


def _singles(good: Files) -> Iterator[Damage]:
    """Iterate all single damages."""
    shards = {name: _payloads(data) for name, data in good.items() if name.endswith(".tfrecord")}
    for name, data in good.items():
        starts = _starts(shards.get(name, ()))
        for bit in range(len(data) * 8):
            yield Damage(
                kind="bit",
                what=f"{name} {bit}",
                make=lambda name=name, bit=bit: {**good, name: _flipped(good[name], bit)},
                place=_place(name, bit // 8, starts),
            )
        for length in range(len(data)):
            yield Damage(
                kind="cut",
                what=f"{name} {length}",
                make=lambda name=name, length=length: {**good, name: good[name][:length]},
                place=None if length in starts else _place(name, length, starts),
            )
        for tail in {data[:count] for count in range(1, _TAIL_BYTES)} | _ZEROS:
            yield _with(good, "tail", f"{name} {tail!r}", {name: data + tail})
        yield _with(good, "removed", name, {name: None})
    for one, other in itertools.permutations(good, 2):
        yield _with(good, "another's content", f"{one} of {other}", {one: good[other]})
    for one, other in itertools.combinations(good, 2):
        yield _with(good, "swapped", f"{one} {other}", {one: good[other], other: good[one]})
    yield from _strange_files(good)
    if shards:
        yield from _moved_records(good, shards)


def _strange_files(good: Files) -> Iterator[Damage]:
    """Add files that the manifest does not name, with names that readers may match."""
    for name in [name for name in good if ".tfrecord" in name]:
        for strange in (
            name.replace("-00000-", "-00002-").replace("-00001-", "-00003-"),
            name.replace("train", "test"),
            name.replace("-of-00002", "-of-00003"),
            "part-0",
        ):
            yield _with(good, "added", f"{strange} of {name}", {strange: good[name]})


def _moved_records(good: Files, shards: Mapping[str, Sequence[bytes]]) -> Iterator[Damage]:
    """Permute, repeat, drop and change records, with correct checksums and indexes."""
    slots = [(name, number) for name, payloads in shards.items() for number in range(len(payloads))]
    payloads = [payload for many in shards.values() for payload in many]
    sizes = [len(many) for many in shards.values()]

    def laid_out(kind: str, what: str, order: Sequence[bytes], sizes: Sequence[int]) -> Damage:
        def make() -> dict[str, bytes]:
            bad = dict(good)
            left = iter(order)
            for name, size in zip(shards, sizes, strict=True):
                some = [frame(one) for one in itertools.islice(left, size)]
                offsets = itertools.accumulate(map(len, some), initial=0)
                lines = map(index_line, offsets, map(len, some))
                bad[name] = b"".join(some)
                bad[name.replace(".tfrecord", ".tfindex")] = b"".join(lines)
            return bad

        return Damage(kind=kind, what=what, make=make)

    for order in itertools.permutations(range(len(payloads))):
        one = [payloads[number] for number in order]
        yield laid_out("records permuted", str(order), one, sizes)
    for cut in range(len(payloads) + 1):
        yield laid_out("shards cut elsewhere", str(cut), payloads, [cut, len(payloads) - cut])
    for number, (name, _) in enumerate(slots):
        fewer = [size - (shard == name) for shard, size in zip(shards, sizes, strict=True)]
        more = [size + (shard == name) for shard, size in zip(shards, sizes, strict=True)]
        rest = payloads[:number] + payloads[number + 1 :]
        yield laid_out("record dropped", str(number), rest, fewer)
        for other, payload in enumerate(payloads):
            twice = [*payloads[:number], payload, *payloads[number:]]
            yield laid_out("record repeated", f"{other} at {number}", twice, more)
            instead = [*payloads[:number], payload, *payloads[number + 1 :]]
            yield laid_out("record replaced", f"{other} at {number}", instead, sizes)
        for bit in range(len(payloads[number]) * 8):
            flipped = _flipped(payloads[number], bit)
            instead = [*payloads[:number], flipped, *payloads[number + 1 :]]
            yield laid_out("payload bit, checksums right", f"{number} {bit}", instead, sizes)


def _with(good: Files, kind: str, what: str, changes: Mapping[str, bytes | None]) -> Damage:
    """Replace the content of files, or remove them."""

    def make() -> dict[str, bytes]:
        return {name: data for name, data in {**good, **changes}.items() if data is not None}

    return Damage(kind=kind, what=what, make=make)


def _place(name: str, byte: int, starts: Sequence[int]) -> tuple[str, int, int] | None:
    """Return the (file, record, offset) of the record with a byte; None if there are no records."""
    before = [start for start in starts if start <= byte]
    return (name, len(before) - 1, before[-1]) if before else None


def _several(good: Files, rng: random.Random) -> Damage:
    """Combine two to five random changes."""
    bad = dict(good)
    what = []
    for _ in range(rng.randint(2, 5)):
        name = rng.choice(sorted(bad))
        data = bad[name]
        start, end = sorted(rng.choices(range(len(data) + 1), k=2))
        change = rng.choice(
            ["bit", "cut", "tail", "zeros", "noise", "repeat", "drop", "swap", "rm"]
        )
        what.append(f"{change} {name} {start}:{end}")
        if change == "bit" and data:
            bad[name] = _flipped(data, rng.randrange(len(data) * 8))
        elif change == "cut":
            bad[name] = data[:start]
        elif change == "tail":
            bad[name] = data + rng.randbytes(rng.randint(1, 40))
        elif change == "zeros":
            bad[name] = data[:start] + bytes(end - start) + data[end:]
        elif change == "noise":
            bad[name] = data[:start] + rng.randbytes(end - start) + data[end:]
        elif change == "repeat":
            bad[name] = data[:end] + data[start:]
        elif change == "drop":
            bad[name] = data[:start] + data[end:]
        elif change == "swap":
            other = rng.choice(sorted(bad))
            bad[name], bad[other] = bad[other], bad[name]
        elif change == "rm" and len(bad) > len(good) - 2:
            del bad[name]
    return Damage(kind="several", what="; ".join(what), make=lambda: bad)


def _payloads(shard: bytes) -> list[bytes]:
    payloads = []
    while shard:
        stop = int.from_bytes(shard[:8], "little") + OVERHEAD_BYTES
        payloads.append(shard[HEADER_BYTES : stop - FOOTER_BYTES])
        shard = shard[stop:]
    return payloads


def _starts(payloads: Sequence[bytes]) -> list[int]:
    """Return where records start."""
    sizes = [len(one) + OVERHEAD_BYTES for one in payloads[:-1]]
    return list(itertools.accumulate(sizes, initial=0)) if payloads else []


def _flipped(data: bytes, bit: int) -> bytes:
    bad = bytearray(data)
    bad[bit // 8] ^= 1 << bit % 8
    return bytes(bad)
