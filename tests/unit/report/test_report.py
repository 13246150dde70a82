"""report: results as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import fill, jpeg, photo, png
from hostile import HOSTILE, raw_signs, strange_file
from record_files import record_file

from tfrec_cli.checking.finding import Kind
from tfrec_cli.commands import inspect_, verify, write
from tfrec_cli.commands.verify import Finding
from tfrec_cli.inspecting.spec import parse_spec
from tfrec_cli.report import format as words
from tfrec_cli.report import inspect_ as inspect_report
from tfrec_cli.report import page
from tfrec_cli.report import records as records_report
from tfrec_cli.report import verify as verify_report
from tfrec_cli.report import write as write_report
from tfrec_cli.tfrecord import example

# write


@pytest.fixture
def hostile_result(tmp_path: Path) -> write.Written:
    """Write a folder in which every name has control characters."""
    name = HOSTILE.replace("/", "")
    files = {f"{name[:-1]}/1{name}.png": png(photo(8, 8)), f"b/2{name}.png": png(photo(8, 8, 2))}
    source = fill(tmp_path / f"s{name}", {**files, f"b/{name}.jpg": b"no picture"})
    (source / f"{name[:-1]}").rename(source / f"\x1b[31m{name.splitlines()[1]}")
    options = write.WriteOptions(jobs=1, on_error="skip")
    return write.write(source, tmp_path / f"o{name}", options)


def test_write_text_is_escaped(hostile_result: write.Written) -> None:
    assert raw_signs(write_report.text(hostile_result)) == []


def test_write_text_has_a_line_for_each_fact(hostile_result: write.Written) -> None:
    """A line end in a name must not look like another fact."""
    titles = [line[:11].strip() for line in write_report.text(hostile_result).splitlines()[1:]]
    assert titles == ["stored", "labels", "per class", "digest", "left out", "took", "next"]


def test_write_json_has_every_fact(hostile_result: write.Written) -> None:
    document = json.loads(write_report.document(hostile_result))
    assert {
        "out": document["out"],
        "dry_run": document["dry_run"],
        "records": document["records"],
        "ok": document["ok"],
        "shards": document["shard_records"],
        "rejects": [one["reason"] for one in document["rejects"]],
        "digest": document["manifest"]["content_sha256"],
    } == {
        "out": str(hostile_result.out),
        "dry_run": False,
        "records": 2,
        "ok": True,
        "shards": [2],
        "rejects": ["not_an_image"],
        "digest": hostile_result.manifest.content_sha256 if hostile_result.manifest else "",
    }


# verify


def finding(**values: Any) -> Finding:
    message = f"found {HOSTILE}, expected nothing"
    return Finding(kind="framing", path=Path(f"x{HOSTILE}"), message=message, **values)


SALVAGE = "`tfrec salvage 'my shard' 'saved-my shard'` saves the intact records"
AGAIN = "`tfrec write … --overwrite`, otherwise as before, writes the dataset again"


def test_verify_text_lists_checks_findings_and_fingerprint() -> None:
    found = verify.Verified(
        path=Path("out"),
        shards=2,
        records=1234,
        size_bytes=2048,
        checks=["framing: both CRCs of every record"],
        unchecked=["crops: no seed"],
        findings=[
            Finding(
                kind="framing",
                path=Path("a"),
                message="bad, expected good",
                record=3,
                offset_bytes=9,
            ),
            Finding(kind="missing", path=Path("b"), message="found no such file"),
        ],
        fingerprint="seed1-2x2-e0:abc",
    )
    assert verify_report.text(found).splitlines() == [
        "out: 1,234 records in 2 shards, 2.0 KiB",
        "  checked   framing: both CRCs of every record",
        "  unchecked crops: no seed",
        "a: record 3 at byte 9: bad, expected good",
        "b: found no such file",
        "seed1-2x2-e0:abc",
        "  next      `tfrec salvage a saved-a` saves the intact records",
        "2 findings",
    ]


@pytest.mark.parametrize(
    "message", ["not a TFRecord file: found text", "found an empty file, expected records"]
)
def test_verify_does_not_advise_salvage_of_other_files(message: str) -> None:
    findings = [Finding(kind="framing", path=Path(one), message=message) for one in "ab"]
    found = verify.Verified(path=Path("out"), records=5, findings=findings)
    assert "salvage" not in verify_report.text(found)
    torn = Finding(kind="framing", path=Path("c"), message="truncated: bad")
    found = verify.Verified(path=Path("out"), records=5, findings=[*findings, torn])
    assert "`tfrec salvage c saved-c` saves the intact records\n" in verify_report.text(found)


def test_verify_text_has_the_first_ten_findings_of_a_kind() -> None:
    kinds: list[Kind] = ["label"] * 12 + ["image"] * 3 + ["differs"] * 11 + ["image"]
    findings = [
        Finding(kind=kind, path=Path(kind), message=f"found {number}, expected none")
        for number, kind in enumerate(kinds)
    ]
    found = verify.Verified(path=Path("out"), findings=findings)
    lines = verify_report.text(found).splitlines()[1:]
    numbers = [*range(10), *range(12, 25), 26]
    assert lines[:-2] == [str(findings[number]) for number in numbers]
    assert lines[-2:] == [
        "and 3 more (2 label, 1 differs): -v names all",
        "27 findings: 12 label, 4 image, 11 differs",
    ]
    everything = verify_report.text(found, verbose=True).splitlines()[1:]
    assert everything == [*map(str, findings), lines[-1]]
    assert len(json.loads(verify_report.document(found))["findings"]) == 27


@pytest.mark.parametrize(
    ("kinds", "records", "is_described", "expected"),
    [
        ("framing count", 3, True, [SALVAGE, AGAIN]),
        ("framing framing/b framing/c", 3, False, [f"{SALVAGE}; 2 more files too"]),
        ("framing", 0, False, []),
        ("missing", 3, True, [AGAIN]),
        ("unwritten extra metadata", 3, True, []),
    ],
)
def test_verify_text_says_what_to_do_about_damage(
    kinds: str, records: int, is_described: bool, expected: list[str]
) -> None:
    found = verify.Verified(path=Path("out"), records=records, is_described=is_described)
    for word in kinds.split():
        kind, _, name = word.partition("/")
        path = Path(name or "my shard")
        found.findings.append(Finding(kind, path, "bad"))  # type: ignore[arg-type]
    lines = verify_report.text(found).splitlines()[1 + len(found.findings) : -1]
    assert lines == [f"  next      {line}" for line in expected]


def test_verify_text_is_escaped() -> None:
    found = verify.Verified(path=Path(HOSTILE), findings=[finding()], unchecked=[HOSTILE])
    text = verify_report.text(found)
    assert (raw_signs(text), len(text.splitlines())) == ([], 4)


def test_verify_json_has_every_fact() -> None:
    found = verify.Verified(path=Path("out"), records=3, findings=[finding(record=1)])
    document = json.loads(verify_report.document(found))
    assert document == {
        "format": "tfrec-verify",
        "format_version": 1,
        "ok": False,
        "path": "out",
        "shards": 0,
        "records": 3,
        "size_bytes": 0,
        "findings": [
            {
                "kind": "framing",
                "path": f"x{HOSTILE}",
                "message": f"found {HOSTILE}, expected nothing",
                "record": 1,
                "offset_bytes": None,
            }
        ],
        "damaged": [],
        "checks": [],
        "unchecked": [],
        "fingerprint": None,
    }


# inspect


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    return strange_file(tmp_path)


def texts(path: Path) -> dict[str, str]:
    """Return everything that inspect can print of a file."""
    found = inspect_.summarise([path])
    spec = parse_spec(found)
    shown = inspect_.pick([path], first=9)
    return {
        "text": inspect_report.text(found, all_labels=True),
        "json": inspect_report.document(found, spec),
        "records": records_report.text(shown),
        "records json": records_report.document(shown),
    }


@pytest.mark.parametrize("kind", ["text", "json", "records", "records json"])
def test_inspect_output_is_escaped(strange: Path, kind: str) -> None:
    assert raw_signs(texts(strange)[kind]) == []


def refuse_constant(name: str) -> None:
    raise AssertionError(name)


@pytest.mark.parametrize("kind", ["json", "records json"])
def test_inspect_json_is_standard_json(strange: Path, kind: str) -> None:
    """NaN and Infinity are Python's; other programs refuse the whole document."""
    json.loads(texts(strange)[kind], parse_constant=refuse_constant)


@pytest.fixture
def three(tmp_path: Path) -> Path:
    payloads = [
        example.encode({"image": png(photo(6, 5, n)), "label": n % 2, "width": 5, "height": 6})
        for n in range(3)
    ]
    return record_file(tmp_path / "three.tfrecord", *payloads)


def test_inspect_text_has_files_features_sizes_and_labels(three: Path) -> None:
    found = inspect_.summarise([three])
    found.label_names = {0: "even", 1: "odd"}
    size = words.size(three.stat().st_size)
    lengths = " / ".join(str(len(png(photo(6, 5, n)))) for n in range(3))
    width = max(len(lengths), len("bytes or numbers"))
    path = str(three)
    spread = inspect_report.spread(found.features["image"].lengths)
    assert inspect_report.text(found, all_labels=False).splitlines() == [
        f"{'file':<{len(path)}}  records  bytes",
        f"{path}  3        {size}",
        "",
        f"3 records in 1 file, {size}: tf.train.Example",
        "",
        f"feature  type   in   values  {'bytes or numbers':<{width}}  holds",
        "height   int64  all  1       6",
        f"image    bytes  all  1       {spread:<{width}}  PNG",
        "label    int64  all  1       0 / 0 / 1",
        "width    int64  all  1       5",
        "",
        "image height  6 px (least / median / greatest)",
        "image width   5 px",
        "",
        "label  name  records",
        "0      even  2",
        "1      odd   1",
    ]


def test_inspect_json_has_every_fact(three: Path) -> None:
    found = inspect_.summarise([three])
    lengths = sorted(len(png(photo(6, 5, n))) for n in range(3))

    def feature(kind: str, **more: Any) -> dict[str, Any]:
        nothing = {"value_bytes": None, "numbers": None, "holds": {}, "steps": None}
        return {"records": 3, "types": {kind: 3}, "values": [1, 1, 1], **nothing, **more}

    assert json.loads(inspect_report.document(found, "SPEC")) == {
        "format": "tfrec-inspect",
        "format_version": 1,
        "ok": True,
        "records": 3,
        "size_bytes": three.stat().st_size,
        "files": [
            {
                "path": str(three),
                "records": 3,
                "size_bytes": three.stat().st_size,
                "compression": "none",
                "problem": None,
            }
        ],
        "payloads": {"tf.train.Example": 3},
        "features": {
            "height": feature("int64", numbers=[6, 6, 6]),
            "image": feature("bytes", value_bytes=lengths, holds={"PNG": 3}),
            "label": feature("int64", numbers=[0, 0, 1]),
            "width": feature("int64", numbers=[5, 5, 5]),
        },
        "height_px": [6, 6, 6],
        "width_px": [5, 5, 5],
        "labels": [
            {"label": 0, "name": None, "records": 2},
            {"label": 1, "name": None, "records": 1},
        ],
        "events": {},
        "first_bytes_hex": None,
        "parse_spec": "SPEC",
    }


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([[0.25], [3.5, -1.0]], "-1 to 3.5"),
        ([[2.0], [2.0]], "2"),
        ([[0.5, float("nan")], [float("nan")]], "0.5, 2 NaN"),
        ([[float("nan")]], "1 NaN"),
        ([[float("-inf"), 1e-9]], "-inf to 1e-09"),
        ([[]], ""),
    ],
)
def test_floats_have_least_and_greatest_and_nan_apart(
    tmp_path: Path, values: list[list[float]], shown: str
) -> None:
    floats = [example.Feature("float", one) for one in values]
    paths = [
        record_file(tmp_path / str(n), example.encode({"x": one})) for n, one in enumerate(floats)
    ]
    ((_, _, _, _, sizes, _),) = inspect_report.feature_rows(inspect_.summarise(paths))
    assert sizes == shown


def test_of_many_files_the_first_are_shown(tmp_path: Path) -> None:
    paths = [record_file(tmp_path / f"{n:02d}", b"") for n in range(25)]
    lines = inspect_report.text(inspect_.summarise(paths), all_labels=False).splitlines()
    assert (len(lines[1 : lines.index("")]), lines[lines.index("") - 1]) == (21, "… and 5 more")


def test_bad_files_are_shown_among_many(tmp_path: Path) -> None:
    """The file that fails the command is named, however many files come before it."""
    paths = [record_file(tmp_path / f"{n:02d}", b"") for n in range(25)]
    paths[24].write_bytes(b"")
    text = inspect_report.text(inspect_.summarise(paths), all_labels=False)
    assert str(paths[24]) in text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (5, "int64  5"),
        ([1.5, float("nan")], "float  1.5, nan"),
        (list(range(10)), "int64  0, 1, 2, 3, 4, 5, 6, 7, … 2 more"),
        (b"hello", "bytes  'hello'"),
        (b"\x1b[31m", "bytes  '\\x1b[31m'"),
        (b"x" * 300, "bytes  text of 300 bytes"),
        (png(photo(4, 4)), f"bytes  PNG of {len(png(photo(4, 4)))} bytes"),
        (bytes(range(128, 140)), "bytes  binary of 12 bytes, 80 81 82 83 84 85 86 87…"),
        (b"", "bytes  empty"),
    ],
    ids=["int", "floats", "many", "text", "escape", "long text", "image", "binary", "empty"],
)
def test_long_values_are_abbreviated(tmp_path: Path, value: Any, shown: str) -> None:
    path = record_file(tmp_path / "x", example.encode({"x": value}))
    lines = records_report.text(inspect_.pick([path], number=0)).splitlines()
    assert lines == [f"record 0: {path} at byte 0", f"  x  {shown}"]


def test_raw_images_are_recognised(tmp_path: Path) -> None:
    payload = example.encode({"image": photo(6, 5).tobytes(), "height": 6, "width": 5})
    path = record_file(tmp_path / "x", payload)
    lines = records_report.text(inspect_.pick([path], number=0)).splitlines()
    assert lines[2] == "  image  bytes  raw 6x5x3 of 90 bytes"


def test_raw_images_of_other_channels_are_recognised(tmp_path: Path) -> None:
    sizes = {"height": 6, "width": 5, "depth": 1}
    payload = example.encode({"scan": bytes(range(128, 158)), **sizes})
    path = record_file(tmp_path / "x", payload)
    lines = records_report.text(inspect_.pick([path], number=0)).splitlines()
    assert lines[3] == "  scan  bytes  raw 6x5x1 of 30 bytes"


JPEG, PNG = jpeg(photo(4, 4)), png(photo(4, 4))


@pytest.mark.parametrize(
    ("features", "line"),
    [
        ({"image": JPEG, "label": 3}, None),
        ({"label": 3}, None),
        ({"photo": JPEG}, "images are in photo (JPEG): readers need image='photo'"),
        (
            {"image": JPEG, "mask": PNG},
            "images are in image (JPEG), mask (PNG): "
            "readers take image, or another one by image=NAME",
        ),
        (
            {"image": JPEG, "img": PNG},
            "images are in image (JPEG), img (PNG): readers need image=NAME",
        ),
        (
            {"left": JPEG, "right": JPEG},
            "images are in left (JPEG), right (JPEG): readers need image=NAME",
        ),
        (
            {"image": [JPEG, PNG]},
            "images are in image (1 JPEG, 1 PNG, up to 2 in a record): "
            "readers take one image in a record",
        ),
    ],
)
def test_images_in_other_features_are_named(
    tmp_path: Path, features: dict[str, Any], line: str | None
) -> None:
    path = record_file(tmp_path / "x", example.encode(features))
    lines = inspect_report.text(inspect_.summarise([path]), all_labels=False).splitlines()
    assert [one for one in lines if "images are in" in one] == ([line] if line else [])


def test_unknown_records_are_shown_by_their_bytes(tmp_path: Path) -> None:
    path = record_file(tmp_path / "x", b"\xff\x01")
    lines = records_report.text(inspect_.pick([path], number=0)).splitlines()
    assert lines[1] == "  2 bytes: ff 01"


def test_record_json_has_every_value(tmp_path: Path) -> None:
    payload = example.encode({"a": [b"text", b"\xff\x00"], "b": [1, 2], "c": [0.5]})
    path = record_file(tmp_path / "x", b"", payload)
    document = json.loads(records_report.document(inspect_.pick([path], number=1)))
    assert document == {
        "format": "tfrec-records",
        "format_version": 1,
        "ok": True,
        "shown": [
            {
                "number": 1,
                "path": str(path),
                "record": 1,
                "offset_bytes": 16,
                "payload_bytes": len(payload),
                "features": {
                    "a": {
                        "type": "bytes",
                        "values": ["text", {"size_bytes": 2, "holds": "binary"}],
                    },
                    "b": {"type": "int64", "values": [1, 2]},
                    "c": {"type": "float", "values": [0.5]},
                },
            }
        ],
    }


@pytest.mark.parametrize(
    ("image", "shown"),
    [
        (b"a" * 90, {"size_bytes": 90, "holds": "raw 6x5x3"}),
        (b"a" * 300 + b"\xff", {"size_bytes": 301, "holds": "binary"}),
        (b"a\xc3", {"size_bytes": 2, "holds": "binary"}),
        (b"a" * 300, "a" * 300),
    ],
)
def test_bytes_are_text_in_json_only_if_all_of_them_are(
    tmp_path: Path, image: bytes, shown: object
) -> None:
    """Raw pixels may look like text, or begin like it."""
    path = record_file(tmp_path / "x", example.encode({"image": image, "height": 6, "width": 5}))
    document = json.loads(records_report.document(inspect_.pick([path], number=0)))
    assert document["shown"][0]["features"]["image"]["values"] == [shown]
    assert records_report.text(inspect_.pick([path], number=0))


@pytest.mark.parametrize(
    "say",
    [
        lambda path: inspect_report.text(inspect_.summarise([path]), all_labels=True),
        lambda path: page.html_page(inspect_.summarise([path]), "", []),
        lambda path: inspect_report.document(inspect_.summarise([path]), ""),
    ],
    ids=["text", "html", "json"],
)
def test_an_empty_file_is_reported(tmp_path: Path, say: Callable[[Path], str]) -> None:
    assert "empty" in say(record_file(tmp_path / "x"))
