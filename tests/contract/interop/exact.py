"""`python -m tests.contract.interop.exact`: a table of clients, and whether their values are exact.

Each client reads the sample images in a process of its own. Its images and labels must be those
of `read_numpy.dataset`, bit for bit, each record once an epoch. Exit code 1 if any differ.

Knows: the dataset, what is expected, the table. Must not know: how a client reads.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from tfrec_cli import read_numpy

from .clients import ARGS, EPOCHS, Pair, Run
from .proof import digest
from .roster import CLIENTS

SAMPLES = Path(__file__).parents[3] / "sample_data/images"

Keys = Mapping[str, int]
"""The key of each record, by the digest of its label and values, float32 and uint8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One client.

    Attributes:
        versions: of its packages; None where one is not installed.
        wrong: what differs, by what was run; "" where nothing does.
    """

    client: str
    versions: Mapping[str, str | None]
    wrong: Mapping[str, str] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """Its packages that are not installed."""
        return [package for package, version in self.versions.items() if version is None]

    @property
    def verdict(self) -> str:
        """Whether the values are exact, in words."""
        if self.missing:
            return f"not run: found no {', '.join(self.missing)}"
        wrong = [f"{run}: {what}" for run, what in self.wrong.items() if what]
        return f"NO: {'; '.join(wrong)}" if wrong else "yes"


def write(folder: Path) -> None:
    """Write the sample images, whole, into three shards."""
    argv = [sys.executable, "-m", "tfrec_cli", "write", str(SAMPLES), str(folder), "-q"]
    subprocess.run([*argv, "--shards", "3"], check=True, stdout=subprocess.DEVNULL)


def expect(folder: str) -> list[Keys]:
    """Return what each epoch holds."""
    return [_keys(folder, "float32", epoch) | _keys(folder, "uint8", epoch) for epoch in EPOCHS]


def _keys(folder: str, dtype: read_numpy.Dtype, epoch: int) -> dict[str, int]:
    read = read_numpy.dataset(folder, epoch=epoch, dtype=dtype, features=["key"], **ARGS)
    keys = {sample_digest((image, label)): int(one["key"]) for image, label, one in read}
    assert len(keys) == len(read), "two records are the same"
    return keys


def sample_digest(pair: Pair) -> str:
    """Return a label, and the digest of the image's values."""
    image, label = pair
    return f"{label} {digest(image)}"


def compare(pairs: Iterable[Pair], expected: Sequence[Keys]) -> str:
    """Return what differs in a client's samples of all epochs; "" if nothing does."""
    found = list(map(sample_digest, pairs))
    count = len(set(expected[0].values()))
    if len(found) != count * len(expected):
        return f"found {len(found)} samples, expected {count * len(expected)}"
    for number, keys in enumerate(expected):
        samples = found[number * count : (number + 1) * count]
        records = Counter(keys.get(sample) for sample in samples)
        if None in records:
            return f"epoch {EPOCHS[number]}: {records[None]} of {count} samples have other values"
        if len(records) < count:
            return f"epoch {EPOCHS[number]}: {count - len(records)} of {count} records are missing"
    return ""


def run_process(client: str, folder: str, result: Path) -> None:
    """Run everything of one client, and write what differs."""
    expected = expect(folder)
    wrong = {name: _try(run, folder, expected) for name, run in CLIENTS[client].runs.items()}
    result.write_text(json.dumps(wrong))


def _try(run: Run, folder: str, expected: Sequence[Keys]) -> str:
    try:
        return compare(run(folder), expected)
    except Exception as error:  # a client's own, which stops no other
        return f"{type(error).__name__}: {error}".splitlines()[0]


def rows(clients: Iterable[str]) -> list[Row]:
    """Write the dataset, and run each client in a process of its own."""
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(2) as pool:
        folder = Path(temporary, "photos")
        write(folder)
        return list(pool.map(lambda client: _row(client, folder), clients))


def _row(client: str, folder: Path) -> Row:
    versions = {package: version(package) for package in CLIENTS[client].packages}
    row = Row(client=client, versions=versions)
    if row.missing:
        return row
    result = folder.with_name(f"{client}.json")
    done = subprocess.run(
        [sys.executable, "-m", __spec__.name, "--process", client, str(folder), str(result)],
        env=environment(CLIENTS[client].environment),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        last = "".join(done.stderr.strip().splitlines()[-1:])
        return replace(row, wrong={f"exit code {done.returncode}": last})
    return replace(row, wrong=json.loads(result.read_text()))


def environment(more: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """Return the environment of a client's process: quiet, on the CPU, without the network."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
    return {**os.environ, **quiet, **more}


def version(package: str) -> str | None:
    """Return the version of a package without its build; None if it is not installed."""
    try:
        return importlib.metadata.version(package).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return None


def table(found: Iterable[Row]) -> Iterator[str]:
    """Yield the lines of a table in Markdown."""
    yield "| client | versions | what was run | exact |"
    yield "|---|---|---|---|"
    for row in found:
        installed = [f"{name} {version}" for name, version in row.versions.items() if version]
        versions = ", ".join(installed) or "not installed"
        runs = "; ".join(CLIENTS[row.client].runs)
        yield f"| {row.client} | {versions} | {runs} | {row.verdict} |"


def main() -> int:
    """Print the table, or run one of its processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clients", nargs="*", help="those to run; without any, all")
    parser.add_argument("--process", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.process:
        client, folder, result = args.process
        run_process(client, folder, Path(result))
        return 0
    if unknown := set(args.clients) - set(CLIENTS):
        parser.error(f"found {', '.join(sorted(unknown))}, expected some of {', '.join(CLIENTS)}")
    found = rows(args.clients or CLIENTS)
    sys.stdout.writelines(f"{line}\n" for line in table(found))
    return int(any(row.verdict.startswith("NO") for row in found))


if __name__ == "__main__":
    sys.exit(main())
