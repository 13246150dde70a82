"""The table of works: the command of each contestant, and the targets for ours.

Knows: commands and targets. Must not know: how they are run or timed.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Literal

Role = Literal["ours", "earlier", "usual", "limit", "peer"]
Unit = Literal["s", "CPU s", "MB"]

DATASETS = {
    "whole": "tfrec write {large} {whole} -q",
    "crops": "tfrec write {large} {crops} --crop 128 -q",
    "huge": "tfrec write {mosaics} {huge} -q",
}
"""How the datasets are written that commands name in braces."""

EARLIER = "earlier_"
"""Prefix of the words in braces for datasets that an earlier commit wrote."""

NOT_SLOWER = 0.95
"""Apart from noise, no work may get slower."""

MANY = 50_000
"""With this many photos, start-up time matters little."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One program that does a work.

    Attributes:
        name: unique within its work.
        command: what runs, as in a shell. Words in braces are folders, see `folders.prepare`; {out}
            is new each time, {made} is what ``before`` made.
        at_least: target: ours must be at least this many times as fast; None sets no target.
        start_up: name of the contestant of ours that does almost no work; its time is subtracted
            from ours before they are compared.
        before: a command that runs once, and is not timed.
        needs: the distribution that must be installed.
        checkout: checkout of the earlier commit that runs the command.
    """

    role: Role
    name: str
    command: str
    _: KW_ONLY
    at_least: float | None = None
    start_up: str | None = None
    before: str | None = None
    needs: str | None = None
    checkout: Path | None = None

    @property
    def has_all(self) -> bool:
        """Whether it gets as many photos as the others."""
        return not {"{one}", "{tenfold}"} & set(self.command.split())


@dataclass(frozen=True, slots=True)
class Work:
    """A task that contestants do in turn.

    A contestant that prints ``N records in S seconds`` times itself; otherwise the complete process
    is timed. All contestants that print a number of records must print the same one.

    Attributes:
        about: what is done, for people.
        contestants: the first one is ours, with which the others are compared.
        unit: what is measured: seconds, seconds of processor time, or the peak of memory of all
            processes in MB.
        at_most: target: the most that ours may need.
        per: the number of photos that ``at_most`` is for; it grows in proportion with more photos.
        same: the check that both sides made the same, a function of `same` and its arguments;
            {ours} and {usual} are what they wrote.
    """

    name: str
    about: str
    contestants: tuple[Contestant, ...]
    _: KW_ONLY
    unit: Unit = "s"
    at_most: float | None = None
    per: int | None = None
    same: str | None = None


def against(work: Work, checkout: Path) -> Work:
    """Add an earlier commit as a contestant; each commit reads its own datasets."""
    ours, *others = work.contestants
    command = ours.command
    for name in DATASETS:
        command = command.replace(f"{{{name}}}", f"{{{EARLIER}{name}}}")
    earlier = Contestant(
        "earlier",
        "tfrec, earlier",
        command,
        at_least=NOT_SLOWER,
        checkout=checkout,
    )
    return replace(work, contestants=(ours, earlier, *others))


def works(photos: int) -> tuple[Work, ...]:
    """Return every work, with the targets for this number of photos."""
    return (
        Work(
            "write-whole",
            "write photos unchanged; whole process",
            (
                Contestant("ours", "tfrec", "tfrec write {images} {out} -q"),
                Contestant(
                    "usual",
                    "usual script",
                    "python -m benchmarks.usual.write_whole {images} {out}",
                    at_least=5,
                ),
                Contestant(
                    "limit", "tar", "tar --hard-dereference -cf {out} {images}", at_least=1 / 1.3
                ),
                Contestant(
                    "peer",
                    "ArrayRecord",
                    "python -m benchmarks.peers.grain write {images} {out}",
                    needs="grain",
                ),
                Contestant(
                    "peer",
                    "WebDataset",
                    "python -m benchmarks.peers.webdataset write {images} {out}",
                    needs="webdataset",
                ),
                Contestant(
                    "peer",
                    "vahidk/tfrecord",
                    "python -m benchmarks.peers.tfrecord write {images} {out}",
                    needs="tfrecord",
                ),
            ),
            same="written {ours} {usual}",
        ),
        Work(
            "write-crops",
            "write centre crops, 128x128; whole process",
            (
                Contestant(
                    "ours", "tfrec", "tfrec write {images} {out} --crop 128 --small skip -q"
                ),
                Contestant(
                    "ours",
                    "tfrec, one photo",
                    "tfrec write {one} {out} --crop 128 --small skip -q",
                ),
                Contestant(
                    "usual",
                    "usual script",
                    "python -m benchmarks.usual.write_crops {images} {out}",
                    at_least=3.2 if photos >= MANY else 2.5,
                ),
                Contestant(
                    "limit",
                    "bare window decodes",
                    "python -m benchmarks.limits.windows files {images}",
                    at_least=0.9,
                    start_up="tfrec, one photo",
                ),
            ),
            same="written {ours} {usual}",
        ),
        Work(
            "write-crops-cpu",
            "write centre crops, 128x128; processor time",
            (
                Contestant(
                    "ours", "tfrec", "tfrec write {images} {out} --crop 128 --small skip -q"
                ),
                Contestant(
                    "usual",
                    "usual script",
                    "python -m benchmarks.usual.write_crops {images} {out}",
                    at_least=1,
                ),
            ),
            unit="CPU s",
        ),
        Work(
            "read-whole",
            "read random crops, 128x128, of whole photos; one epoch",
            (
                Contestant("ours", "tfrec", "python -m benchmarks.ours {whole}"),
                Contestant(
                    "usual",
                    "usual reader",
                    "python -m benchmarks.usual.read_whole {whole}",
                    at_least=2.7,
                ),
                Contestant(
                    "usual",
                    "usual reader, AUTOTUNE",
                    "python -m benchmarks.usual.read_whole {whole} --autotune",
                    at_least=1.5,
                ),
                Contestant(
                    "limit",
                    "bare window decodes",
                    "python -m benchmarks.limits.windows memory {large}",
                    at_least=0.9,
                ),
                Contestant(
                    "peer",
                    "DALI",
                    "python -m benchmarks.peers.dali {whole}",
                    at_least=1,
                    needs="nvidia-dali-cuda120",
                ),
                Contestant(
                    "peer",
                    "TFDS",
                    "python -m benchmarks.peers.tfds {whole}",
                    needs="tensorflow-datasets",
                ),
                Contestant(
                    "peer",
                    "PyTorch, photo files",
                    "python -m benchmarks.peers.pytorch {large}",
                    needs="torch",
                ),
                Contestant(
                    "peer",
                    "Grain, ArrayRecord",
                    "python -m benchmarks.peers.grain read {made}",
                    before="python -m benchmarks.peers.grain write {large} {made}",
                    needs="grain",
                ),
                Contestant(
                    "peer",
                    "WebDataset, PyTorch",
                    "python -m benchmarks.peers.webdataset read {made}",
                    before="python -m benchmarks.peers.webdataset write {large} {made}",
                    needs="webdataset",
                ),
                Contestant(
                    "peer",
                    "vahidk/tfrecord, PyTorch",
                    "python -m benchmarks.peers.tfrecord read {whole}",
                    needs="tfrecord",
                ),
            ),
            same="random_crops {whole}",
        ),
        Work(
            "read-whole-numpy",
            "read random crops, 128x128, of whole photos, without a framework; one epoch",
            (
                Contestant("ours", "tfrec", "python -m benchmarks.ours {whole} numpy"),
                Contestant(
                    "usual",
                    "usual reader, AUTOTUNE",
                    "python -m benchmarks.usual.read_whole {whole} --autotune",
                    at_least=1.5,
                ),
            ),
        ),
        Work(
            "read-whole-torch",
            "read random crops, 128x128, of whole photos, with PyTorch; one epoch",
            (
                Contestant("ours", "tfrec", "python -m benchmarks.ours {whole} torch"),
                Contestant(
                    "usual",
                    "PyTorch, photo files",
                    "python -m benchmarks.peers.pytorch {large}",
                    at_least=1.5,
                ),
            ),
        ),
        Work(
            "read-huge",
            "read random crops, 128x128, of pictures of 4032x3024; one epoch",
            (
                Contestant("ours", "tfrec", "python -m benchmarks.ours {huge}"),
                Contestant("ours", "tfrec, NumPy", "python -m benchmarks.ours {huge} numpy"),
                Contestant("ours", "tfrec, PyTorch", "python -m benchmarks.ours {huge} torch"),
                Contestant(
                    "usual",
                    "usual reader, AUTOTUNE",
                    "python -m benchmarks.usual.read_whole {huge} --autotune",
                    at_least=3,
                ),
            ),
            same="random_crops {huge}",
        ),
        Work(
            "read-whole-shuffled",
            "read random crops, 128x128, of whole photos, shuffled; one epoch",
            (
                Contestant("ours", "tfrec", "python -m benchmarks.ours {whole} --shuffle"),
                Contestant(
                    "limit", "tfrec, as stored", "python -m benchmarks.ours {whole}", at_least=0.9
                ),
            ),
            same="shuffled {whole}",
        ),
        Work(
            "read-crops",
            "read stored crops, 128x128; one epoch",
            (
                Contestant("ours", "tfrec", "python -m benchmarks.ours {crops}"),
                Contestant(
                    "usual",
                    "usual reader",
                    "python -m benchmarks.usual.read_crops {crops}",
                    at_least=2,
                ),
            ),
            same="stored_crops {crops}",
        ),
        Work(
            "read-crops-shuffled",
            "read stored crops, 128x128, shuffled; one epoch",
            (
                Contestant("ours", "tfrec", "python -m benchmarks.ours {crops} --shuffle"),
                Contestant(
                    "limit", "tfrec, as stored", "python -m benchmarks.ours {crops}", at_least=0.9
                ),
            ),
            same="shuffled {crops}",
        ),
        Work(
            "verify-quick",
            "check every byte, but decode no photo; whole process",
            (
                Contestant("ours", "tfrec", "tfrec verify {whole} --quick -q"),
                Contestant(
                    "usual",
                    "TensorFlow counts records",
                    "python -m benchmarks.usual.count {whole}",
                    at_least=8,
                ),
                Contestant(
                    "limit",
                    "bare CRC-32C of records",
                    "python -m benchmarks.limits.count {whole}",
                ),
                Contestant(
                    "limit",
                    "bare SHA-256, in memory",
                    "python -m benchmarks.limits.hashes sha256 {whole}",
                ),
                Contestant(
                    "limit",
                    "bare CRC-32C, in memory",
                    "python -m benchmarks.limits.hashes crc32c {whole}",
                ),
            ),
        ),
        Work(
            "verify",
            "check everything, and decode every photo; whole process",
            (
                Contestant("ours", "tfrec", "tfrec verify {whole} -q"),
                Contestant(
                    "limit",
                    "bare decodes, Pillow",
                    "python -m benchmarks.limits.decodes pillow {large}",
                    at_least=0.8,
                ),
                Contestant(
                    "limit",
                    "bare decodes, TensorFlow",
                    "python -m benchmarks.limits.decodes tensorflow {large}",
                    at_least=0.8,
                ),
            ),
        ),
        Work(
            "inspect",
            "describe a dataset of whole photos; whole process",
            (Contestant("ours", "tfrec", "tfrec inspect {whole}"),),
            at_most=0.5,
            per=5_000,
        ),
        Work(
            "help",
            "print the help; whole process",
            (
                Contestant("ours", "tfrec", "tfrec --help"),
                Contestant("limit", "import click", "python -c 'import click'", at_least=1 / 3),
            ),
            at_most=0.12,
        ),
        Work(
            "memory",
            "write photos unchanged, 10 times as many; peak memory of all processes",
            (
                Contestant("ours", "tfrec", "tfrec write {tenfold} {out} -q"),
                Contestant(
                    "limit", "tfrec, once", "tfrec write {images} {out} -q", at_least=1 / 1.1
                ),
            ),
            unit="MB",
            at_most=150,
        ),
    )
