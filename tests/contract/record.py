"""Run the command line and the readers, and record the results as golden values.

A case is a function that gets a `Work`: a folder to run commands in, whose results are recorded.
Only the command line and the public readers are used, so that the code may be rearranged.

The values of a case have two parts:

* ``fixed``: SHA-256 of every file, JSON documents, digests of the readers, content of manifests;
* ``open``: parts that a new version of the manifest changes (its ``options``, ``plan_sha256``,
  ``format_version``, names of ``versions``, fields that version 1 does not have, its bytes), and
  texts of JSON documents. `update_open` writes these again, and refuses if anything else differs.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import json
import os
import shutil
import signal
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "sample_data"

Values = dict[str, Any]
Cases = Mapping[str, Callable[["Work"], None]]

FRAMEWORKS = {"numpy": "numpy", "tf": "tensorflow", "torch": "torch"}
"""Readers (``tfrec_cli.read_NAME``), and the package that each needs."""

TEXTS = ("message", "problem", "details", "warnings", "checks", "unchecked", "strange")
"""Keys of JSON documents whose values are for people; how many texts there are is fixed."""

FIXED_FIELDS = [
    "changes",
    "columns",
    "compression",
    "content_sha256",
    "crop",
    "format",
    "icc_profiles",
    "ignored",
    "keys",
    "labels",
    "records",
    "rejects",
    "rejects_file",
    "rejects_sha256",
    "shards",
    "smallest",
    "split",
    "stored",
]
"""Fields of the manifest, version 1, that a new version keeps."""

RUN = ("seconds", "photos_per_second", "source_bytes_per_second")
"""Keys of JSON documents whose values differ from run to run; they are left out."""

ENCODED = ("sha256", "sha256_without_versions", "_bytes", "fingerprint")
"""Ends of keys whose values depend on the bytes that an encoder makes."""


def encoders() -> dict[str, str | None]:
    """Return versions of packages that decide the bytes of transcoded images and GZIP shards."""
    from PIL import __version__, features

    return {
        "pillow": __version__,
        "libjpeg": features.version("jpg"),
        "libjpeg_turbo": features.version("libjpeg_turbo"),
        "webp": features.version("webp"),
        "zlib": features.version("zlib"),
        "zlib_ng": features.version("zlib_ng"),
        "python_zlib": zlib.ZLIB_RUNTIME_VERSION,
    }


def missing_frameworks() -> list[str]:
    """Return the readers whose framework is not installed."""
    return [name for name, package in FRAMEWORKS.items() if not importlib.util.find_spec(package)]


def sha256(data: bytes) -> str:
    """Return the digest in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


class Work:
    """The folder in which the commands of a case run, and the recorded values.

    Attributes:
        folder: the current folder of all commands, so that documents have relative paths only.
        fixed: see the module.
        open: see the module.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fixed: Values = {"documents": {}, "files": {}, "manifests": {}, "digests": {}}
        self.open: Values = {"manifests": {}, "texts": {}}

    def copy(self, source: Path, name: str) -> Path:
        """Copy a file or folder to ``name`` below the folder."""
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)
        return target

    def tfrec(self, name: str, *argv: str, texts: bool = True) -> None:
        """Run ``tfrec ARGV --json`` and record exit code and document as ``name``.

        Args:
            texts: False if they come from the library that parses the command line.
        """
        code, out = run(self.folder, *argv, "--json")
        document: Values = json.loads(out)
        moved: Values = {}
        fixed = self._without_manifests(_without_texts(document, moved), document.get("out"))
        self.fixed["documents"][name] = {"exit_code_of_process": code, **fixed}
        if texts and moved:
            self.open["texts"][name] = moved

    def files(self, *names: str) -> None:
        """Record every file below the folders: its SHA-256, or the content of a manifest."""
        for name in names:
            for path in sorted((self.folder / name).rglob("*")):
                if path.is_file():
                    self._file(path)

    def file(self, name: str) -> None:
        """Record one file by its SHA-256."""
        self._file(self.folder / name)

    def digests(
        self, name: str, dataset: str, *, skip: tuple[str, ...] = (), **options: Any
    ) -> None:
        """Record the digest of what each reader returns, except those in ``skip``."""
        path = self.folder / dataset
        self.fixed["digests"][name] = {
            reader: digest(reader, path, **options)
            for reader in FRAMEWORKS
            if reader not in {*skip, *missing_frameworks()}
        }

    def _file(self, path: Path) -> None:
        name, data = path.relative_to(self.folder).as_posix(), path.read_bytes()
        if path.name == "SHA256SUMS":
            self._sums(name, data, path.parent)
        elif path.name.endswith(".manifest.json"):
            self._manifest(name, data)
        else:
            self.fixed["files"][name] = sha256(data)

    def _sums(self, name: str, data: bytes, folder: Path) -> None:
        """Record the names, and whether the digests are correct; one of them is of a manifest."""
        names = [line.split("  ", 1)[1] for line in data.decode().splitlines()]
        lines = [f"{sha256((folder / one).read_bytes())}  {one}\n" for one in names]
        self.fixed["files"][name] = {"names": names, "right": "".join(lines) == data.decode()}

    def _manifest(self, name: str, data: bytes) -> None:
        content = json.loads(data)
        self.fixed["manifests"][name] = _only(content, FIXED_FIELDS)
        others = {key: value for key, value in content.items() if key not in FIXED_FIELDS}
        others["versions"] = sorted(others["versions"])
        blank = {**content, "versions": dict.fromkeys(content["versions"], "")}
        self.open["manifests"][name] = {
            **others,
            "is_as_json_writes_it": _json(content) == data,
            "sha256_without_versions": sha256(_json(blank)),
        }

    def _without_manifests(self, values: Any, out: Any) -> Any:
        """Replace each manifest in a document by the name of its file."""
        if isinstance(values, list):
            return [self._without_manifests(value, out) for value in values]
        if not isinstance(values, dict):
            return values
        values = {key: self._without_manifests(value, out) for key, value in values.items()}
        if isinstance(values.get("manifest"), dict):
            manifest, name = values["manifest"], f"{out}/{values['split']}.manifest.json"
            stored = json.loads((self.folder / name).read_bytes())
            values["manifest"] = {
                "as_in": name,
                "lacks": sorted(stored.keys() - manifest.keys()),
                "differs": {
                    key: value
                    for key, value in manifest.items()
                    if key not in stored or stored[key] != value
                },
            }
        return values


def run(folder: Path, *argv: str) -> tuple[int, str]:
    """Run ``tfrec ARGV`` in ``folder`` with one job; return exit code and stdout.

    In this process, because loading TensorFlow for each command would take minutes.
    """
    from tfrec_cli.__main__ import main

    jobs = {f"TFREC_{name}_JOBS": "1" for name in ("WRITE", "VERIFY", "EXTRACT", "RESHARD")}
    clean = {key: value for key, value in os.environ.items() if not key.startswith("TFREC_")}
    clean |= {key: os.environ[key] for key in ("TFREC_NO_EXTENSIONS",) if key in os.environ}
    out, err = (
        io.TextIOWrapper(io.BytesIO(), "utf-8", newline="", write_through=True) for _ in range(2)
    )
    before, code = signal.getsignal(signal.SIGTERM), 0
    try:
        with (
            _inside(folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            mock.patch.object(sys, "argv", ["tfrec", *argv]),
            mock.patch.dict(os.environ, {**clean, **jobs}, clear=True),
        ):
            main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        signal.signal(signal.SIGTERM, before)
    return code, out.buffer.getvalue().decode()  # type: ignore[attr-defined]


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def digest(reader: str, path: Path, *, shuffle: bool = False, **options: Any) -> str:
    """Return the SHA-256 of all images and labels that a reader returns, in batches of 4.

    Covers types, sizes, pixels ([height, width, 3]) and labels in order, not where batches end.
    """
    hashed = hashlib.sha256()
    for batch in _batches(reader, path, shuffle, options):
        images, *labels = batch if isinstance(batch, tuple | list) else [batch]
        for image in images:
            hashed.update(f"{image.dtype}{image.shape}".encode() + image.tobytes())
        hashed.update(np.concatenate([np.zeros(0, np.int64), *labels]).tobytes())
    return hashed.hexdigest()


def _batches(reader: str, path: Path, shuffle: bool, options: Values) -> Iterator[Any]:
    module: Any = importlib.import_module(f"tfrec_cli.read_{reader}")
    if reader == "torch":
        from torch.utils.data import DataLoader

        records = module.dataset(path, **options)
        order = module.Order(records, shuffle=shuffle)
        for batch in DataLoader(records, 4, sampler=order):
            planes, *labels = batch if isinstance(batch, tuple | list) else [batch]
            yield [np.moveaxis(planes.numpy(), 1, -1), *(label.numpy() for label in labels)]
        return
    read = module.dataset(path, batch_size=4, shuffle=shuffle, parallel=1, **options)
    yield from read.as_numpy_iterator() if reader == "tf" else read


def record(case: Callable[[Work], None], folder: Path) -> Values:
    """Run a case in a new folder, and return its values as they are in JSON."""
    folder.mkdir(parents=True)
    work = Work(folder)
    case(work)
    recorded: Values = json.loads(json.dumps({"fixed": work.fixed, "open": work.open}))
    return recorded


def comparable(values: Values, *, encoded: bool, lossy: bool) -> Values:
    """Return the values of a case that can be compared here.

    Args:
        values: as `record` returns them.
        encoded: whether to leave out values that depend on the bytes of an encoder.
        lossy: whether pixels depend on them too; then digests of the readers are left out.
    """
    fixed, missing = dict(values["fixed"]), missing_frameworks()
    fixed["digests"] = {
        name: {reader: value for reader, value in digests.items() if reader not in missing}
        for name, digests in fixed["digests"].items()
    }
    texts = values["open"]["texts"]
    if "tf" in missing:  # verify checks less, and says so
        fixed["documents"], texts = (
            {name: value for name, value in named.items() if "--seed" not in name}
            for named in (fixed["documents"], texts)
        )
    manifests = values["open"]["manifests"]
    if not encoded:
        return {"fixed": fixed, "open": {"manifests": manifests, "texts": texts}}
    fixed["files"] = dict.fromkeys(fixed["files"])
    fixed["documents"] = {
        name: document
        for name, document in fixed["documents"].items()
        if "--source" not in name  # whether records can be rebuilt depends on the encoder
    }
    if lossy:
        fixed["digests"] = {}
    masked: Values = _without_encoded({"fixed": fixed, "open": {"manifests": manifests}})
    return masked


def _without_encoded(values: Any) -> Any:
    if isinstance(values, list):
        return [_without_encoded(value) for value in values]
    if not isinstance(values, dict):
        return values
    return {
        key: None if key.endswith(ENCODED) else _without_encoded(value)
        for key, value in values.items()
    }


def _without_texts(values: Any, texts: Values, place: str = "") -> Any:
    """Return a document with texts moved to ``texts``, by their place in it."""
    if isinstance(values, list):
        pairs = enumerate(values)
        return [_without_texts(value, texts, f"{place}[{index}]") for index, value in pairs]
    if not isinstance(values, dict):
        return values
    kept = {}
    for key, value in values.items():
        if key in RUN:
            continue
        if key in TEXTS:
            texts[f"{place}.{key}"] = value
            kept[key] = len(value) if isinstance(value, list) else value and "text"
        else:
            kept[key] = _without_texts(value, texts, f"{place}.{key}")
    return kept


def _only(values: Values, keys: list[str]) -> Values:
    return {key: value for key, value in values.items() if key in keys}


def _json(values: Values) -> bytes:
    return json.dumps(values, indent=2, sort_keys=True).encode() + b"\n"


# Files of golden values


def load(path: Path) -> Values:
    """Read a file of golden values: ``encoders`` and ``cases``."""
    golden: Values = json.loads(path.read_bytes())
    return golden


def dump(golden: Values, path: Path) -> None:
    """Write golden values, one line for each file, document and digest."""
    path.write_text("\n".join(_lines(golden, 0)) + "\n", "utf-8")


def _lines(values: Any, depth: int, most: int = 5) -> Iterator[str]:
    if not isinstance(values, dict) or depth == most or not values:
        yield json.dumps(values)
        return
    yield "{"
    for number, (key, value) in enumerate(values.items(), 1):
        first, *others = _lines(value, depth + 1)
        last = "," if number < len(values) else ""
        rows = [f"{' ' * (depth + 1)}{json.dumps(key)}: {first}", *others]
        rows[-1] += last
        yield from rows
    yield " " * depth + "}"


def record_all(cases: Cases, folder: Path, path: Path, **identity: Any) -> None:
    """Record every case and write the file; results are taken as correct."""
    values = {}
    for name, case in cases.items():
        values[name] = record(case, folder / name)
    dump({"encoders": encoders(), **identity, "cases": values}, path)


def update_open(cases: Cases, folder: Path, path: Path) -> list[str]:
    """Record every case and write its ``open`` part again, if ``fixed`` parts are unchanged.

    Returns:
        Names of the cases whose fixed part differs. If there are any, nothing is written.
    """
    golden, wrong = load(path), []
    for name, case in cases.items():
        now = record(case, folder / name)
        if now["fixed"] != golden["cases"][name]["fixed"]:
            wrong.append(name)
        golden["cases"][name]["open"] = now["open"]
    if not wrong:
        dump(golden, path)
    return wrong


def complain(wrong: list[str]) -> int:
    """Name the cases that `update_open` refused; return the exit code."""
    for name in wrong:
        sys.stderr.write(f"{name}: more differs than the open part: nothing written\n")
    return int(bool(wrong))


def differences(found: Any, expected: Any, place: str = "") -> list[str]:
    """Return a line for each value that differs, with its place."""
    if isinstance(found, dict) and isinstance(expected, dict):
        keys = [*expected, *(key for key in found if key not in expected)]
        lost = object()
        return [
            line
            for key in keys
            for line in differences(found.get(key, lost), expected.get(key, lost), f"{place}/{key}")
        ]
    if found == expected:
        return []
    texts = [repr(value) if type(value) is not object else "nothing" for value in (found, expected)]
    return [f"{place}: found {texts[0]}, expected {texts[1]}"]
