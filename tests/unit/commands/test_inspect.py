"""inspect: what is counted and shown, and how other and damaged files are described."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from pathlib import Path
from typing import Any

import pytest
from conftest import fill, jpeg, photo, png
from messages import an_example, feature, field, framed, record_file
from PIL import Image
from program import Ran, tfrec

import tfrec_cli
from tfrec_cli.commands import inspect_, write
from tfrec_cli.commands.inspect_ import summarise
from tfrec_cli.errors import UsageError
from tfrec_cli.inspecting.tally import Summary
from tfrec_cli.report import inspect_ as report
from tfrec_cli.runtime import pool

PICTURE = photo(6, 5)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Name a record file that is not there yet."""
    return tmp_path / "data" / "some.tfrecord"


def summary_of(place: Path, *payloads: bytes) -> Summary:
    return summarise([record_file(place, *payloads)])


# Labels


def test_labels_are_named_by_the_manifest(tmp_path: Path) -> None:
    files = {f"{name}/1.png": png(photo(8, 8)) for name in ("ants", "bees")}
    source = fill(tmp_path / "src", {**files, "bees/2.png": png(photo(8, 8, 2))})
    write.write(source, tmp_path / "out", write.WriteOptions(jobs=1))
    (tmp_path / "out/label.labels.txt").unlink()
    found = summarise(*inspect_.find([str(tmp_path / "out")]))
    assert (found.labels, found.label_names) == ({0: 1, 1: 2}, {0: "ants", 1: "bees"})


@pytest.mark.parametrize(
    "name",
    ["label.labels.txt", "image-class-label.labels.txt", "image.class.label.labels.txt"],
)
def test_labels_are_named_by_a_file_of_tfds(place: Path, name: str) -> None:
    label = name.removesuffix(".labels.txt").replace("-", "/").replace(".", "/")
    payload = an_example(**{"image": png(PICTURE), label: [1]})
    record_file(place, payload)
    (place.parent / name).write_text("ants\nbees\n")
    assert summarise([place]).label_names == {0: "ants", 1: "bees"}


def test_labels_are_named_by_the_file_of_their_own_feature(place: Path) -> None:
    """As in CIFAR-100, which has two labels."""
    record_file(place, an_example(image=png(PICTURE), label=[1], coarse_label=[0]))
    fill(
        place.parent,
        {"coarse_label.labels.txt": b"fish\nflowers\n", "label.labels.txt": b"bass\ncarp\n"},
    )
    assert summarise([place]).label_names[1] == "carp"


def test_labels_are_named_by_the_records(place: Path) -> None:
    payloads = [
        an_example(
            **{
                "image/encoded": png(PICTURE),
                "image/class/label": [number],
                "image/class/text": name,
            }
        )
        for number, name in ((3, b"n01"), (5, "Füchse".encode()), (3, b"n01"))
    ]
    found = summary_of(place, *payloads)
    assert (found.labels, found.label_names) == ({3: 2, 5: 1}, {3: "n01", 5: "Füchse"})


@pytest.mark.parametrize("shown", [[], ["--labels"]], ids=["some", "all"])
def test_all_labels_are_shown_with_the_option(place: Path, shown: list[str]) -> None:
    record_file(place, *(an_example(image=png(PICTURE), label=[n]) for n in range(30)))
    lines = tfrec("inspect", place, *shown).out.splitlines()
    start = lines.index("label  records") + 1
    numbers = [f"{n:<5}  1" for n in range(30)]
    expected = numbers if shown else [*numbers[:10], "… and 20 more: --labels"]
    assert lines[start:] == expected


@pytest.mark.parametrize("keys", ["plain", "tf-models"])
def test_features_of_a_dataset_whose_names_do_not_tell_are_explained(
    tmp_path: Path, keys: Any
) -> None:
    source = fill(tmp_path / "src", {f"{n}.png": png(photo(8, 8, n)) for n in range(2)})
    tfrec_cli.write(source, tmp_path / "out", jobs=1, keys=keys)
    shown = tfrec("inspect", tmp_path / "out").out
    prefix = "image/" if keys == "tf-models" else ""
    assert re.search(rf"^{prefix}key +int64 .* seed of its crops$", shown, re.M)
    assert re.search(rf"^{prefix}window +int64 .* 1 if a crop decodes alone$", shown, re.M)


def test_features_of_other_programs_are_not_explained(place: Path) -> None:
    record_file(place, an_example(image=png(PICTURE), key=[1], window=[1]))
    assert not re.search("seed|exactly", tfrec("inspect", place).out)


@pytest.mark.parametrize("name", ["x", "image"])
def test_three_numbers_are_explained_once(place: Path, name: str) -> None:
    record_file(place, *(an_example(**{name: png(PICTURE), "y": [n]}) for n in range(3)))
    assert tfrec("inspect", place).out.count("least / median / greatest") == 1


def test_each_split_has_counts_what_is_stored_digest_rejects_and_classes(tmp_path: Path) -> None:
    files = {f"{name}/{n}.png": png(photo(8, 8, n)) for name in ("ants", "bees") for n in range(9)}
    source = fill(tmp_path / "src", {**files, "ants/x.png": png(photo(3, 3)), "bees/a.txt": b"a"})
    out = tmp_path / "out"
    written = tfrec_cli.write(
        source, out, jobs=1, crop=(4, 6), encoding="png", small="skip", split="train=60,val=40",
        shards=2,
    ).splits  # fmt: skip
    lines = tfrec("inspect", out).out.splitlines()
    shown = []
    for split in written:
        made = split.manifest
        assert made
        shown += [
            f"split {made.split}: {made.records} records in 2 shards",
            "  stored    centre crops of 4x6, png",
            f"  digest    {made.content_sha256}",
        ]
        where = f"({out / made.rejects_file})"
        shown += [f"  left out  1 too_small {where}"] if made.rejects else []
        shown += ["  ignored   1 sidecar"] if made.ignored else []
        shown += [""]
    start = next(n for n, line in enumerate(lines) if line.startswith("split train"))
    assert lines[start : start + len(shown)] == shown
    assert sum(map(int, lines[-1].split()[3:])) == 9
    assert lines[-3].split() == ["label", "name", "records", "train", "val"]


@pytest.mark.parametrize("named", ["one shard", "a damaged manifest"])
def test_a_split_is_not_shown_without_all_of_it(tmp_path: Path, named: str) -> None:
    source = fill(tmp_path / "src", {f"{n}.png": png(photo(8, 8, n)) for n in range(4)})
    out = tmp_path / "out"
    write.write(source, out, write.WriteOptions(jobs=1, shards=2))
    if named == "a damaged manifest":
        (out / "train.manifest.json").write_text("{}")
    shards = sorted(out.glob("*.tfrecord"))[: 1 if named == "one shard" else 2]
    assert summarise(shards).splits == []


def test_several_datasets_are_shown_with_their_folders_and_all_names_of_a_class(
    tmp_path: Path,
) -> None:
    for name in ("one", "two"):
        source = fill(tmp_path / f"src{name}", {f"{name} class/1.png": png(PICTURE)})
        write.write(source, tmp_path / name, write.WriteOptions(jobs=1))
    lines = tfrec("inspect", tmp_path / "one", tmp_path / "two").out.splitlines()
    assert [line.split(": ")[0] for line in lines if line.startswith("split ")] == [
        f"split {tmp_path / name / 'train'}" for name in ("one", "two")
    ]
    assert lines[-1].startswith("0      one class / two class  2 ")


@pytest.mark.parametrize("keys", ["plain", "tf-models"])
def test_the_label_of_a_record_is_shown_with_its_class_name(tmp_path: Path, keys: Any) -> None:
    source = fill(tmp_path / "src", {f"{name}/1.png": png(PICTURE) for name in ("ants", "bees")})
    write.write(source, tmp_path / "out", write.WriteOptions(jobs=1, keys=keys))
    for file in (tmp_path / "out").glob("*.labels.txt"):
        file.unlink()
    out = tfrec("inspect", tmp_path / "out", "--records", 2).out
    assert sorted(re.findall(r"label  int64  (.*)", out)) == ["0 (ants)", "1 (bees)"]


@pytest.mark.parametrize(("label", "shown"), [(1, "1 (bees)"), (2, "2"), (-1, "-1")])
def test_a_label_is_named_by_the_file_of_tfds_if_that_has_it(
    place: Path, label: int, shown: str
) -> None:
    record_file(place, an_example(image=png(PICTURE), label=[label]))
    (place.parent / "label.labels.txt").write_text("ants\nbees\n")
    out = tfrec("inspect", place, "--record", 0).out
    assert re.findall(r"label  int64  (.*)", out) == [shown]


# Compression


@pytest.mark.parametrize(
    ("compression", "compress"), [("gzip", gzip.compress), ("zlib", zlib.compress)]
)
@pytest.mark.parametrize("name", ["x.tfrecord", "x.tfrecord.gz", "x"])
def test_compressed_files_are_read_whatever_their_name(
    tmp_path: Path, compression: str, compress: Any, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(compress(framed([an_example(x=[1]), an_example(x=[2])])))
    (shard,) = summarise([path]).shards
    assert (shard.records, shard.compression, shard.problem) == (2, compression, None)


@pytest.mark.parametrize(
    ("compression", "compress"), [("gzip", gzip.compress), ("zlib", zlib.compress)]
)
def test_compressed_files_that_are_cut_are_named(
    tmp_path: Path, compression: str, compress: Any
) -> None:
    path = tmp_path / "x.tfrecord"
    path.write_bytes(compress(framed([png(photo(30, 30, n)) for n in range(9)]))[:-20])
    (shard,) = summarise([path]).shards
    expected = (
        f"the file ends inside the compressed stream, expected a complete {compression} stream"
    )
    assert str(shard.problem).endswith(expected)


# What paths name


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """Make a folder with three record files and some companions."""
    for name in ("b.tfrecord", "a.tfrecord", "c-00000-of-00001"):
        record_file(tmp_path / "three" / name, an_example(x=[1]))
    fill(tmp_path / "three", {"a.tfindex": b"0 1\n", "README.md": b"hello", ".hidden": b"x"})
    return tmp_path / "three"


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["THREE"], ["a.tfrecord", "b.tfrecord", "c-00000-of-00001"]),
        (["THREE/b.tfrecord"], ["b.tfrecord"]),
        (["THREE/*.tfrecord"], ["a.tfrecord", "b.tfrecord"]),
        (["THREE/[bc]*"], ["b.tfrecord", "c-00000-of-00001"]),
        (["THREE/b.tfrecord", "THREE/a.tfrecord"], ["b.tfrecord", "a.tfrecord"]),
        (["THREE/b.tfrecord", "THREE"], ["b.tfrecord", "a.tfrecord", "c-00000-of-00001"]),
        (["THR*"], ["a.tfrecord", "b.tfrecord", "c-00000-of-00001"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_paths_name_record_files(three: Path, patterns: list[str], names: list[str]) -> None:
    words = [one.replace("THREE", str(three)).replace("THR", str(three)[:-2]) for one in patterns]
    assert [path.name for path in inspect_.find(words).files] == names


def test_a_name_with_brackets_is_a_file_if_it_exists(tmp_path: Path) -> None:
    path = record_file(tmp_path / "x[1].tfrecord", an_example(x=[1]))
    assert inspect_.find([str(path)]) == ([path], [])


@pytest.mark.parametrize("name", ["none", "none*", "three/none", "three/*.none"])
def test_a_path_or_pattern_without_files_is_refused(three: Path, name: str) -> None:
    with pytest.raises(UsageError):
        inspect_.find([str(three.parent / name)])


@pytest.mark.parametrize("name", ["x.log", "x.txt", "x.json", ".hidden", "README"])
def test_a_file_that_is_named_is_read_whatever_its_name(tmp_path: Path, name: str) -> None:
    path = record_file(tmp_path / name, an_example(x=[1]))
    assert summarise(*inspect_.find([str(path)])).records == 1


@pytest.mark.parametrize("options", [[], ["--record", "1"], ["--code"], ["--json"]])
@pytest.mark.parametrize("quoted", [True, False])
def test_the_other_files_of_a_dataset_are_skipped(
    tmp_path: Path, options: list[str], quoted: bool
) -> None:
    source = fill(tmp_path / "src", {f"a/{n}.png": png(photo(8, 8, n)) for n in range(4)})
    out = tmp_path / "out"
    write.write(source, out, write.WriteOptions(jobs=1, shards=2))
    others = sorted(path for path in out.iterdir() if path.suffix != ".tfrecord")
    assert len(others) == 9
    paths = [out / "*"] if quoted else sorted(out.iterdir())
    ran = tfrec("inspect", *paths, *options)
    assert (ran.code, ran.out) == (0, tfrec("inspect", out, *options).out)
    assert ran.err.splitlines() == [
        f"tfrec: skipped 9 files of datasets that hold no records, such as {others[0]}"
    ]
    assert tfrec_cli.inspect(paths).skipped == others


def test_only_files_without_records_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, {"train.manifest.json": b"{}", "SHA256SUMS": b""})
    ran = tfrec("inspect", tmp_path / "*")
    assert ran.code == 2
    assert f"{tmp_path}/SHA256SUMS: found a file of a dataset without records" in ran.err


def test_a_damaged_manifest_next_to_a_file_does_not_hide_it(place: Path) -> None:
    record_file(place, an_example(x=[1]))
    (place.parent / "train.manifest.json").write_text("{}")
    assert tfrec("inspect", place).code == 0


def test_a_missing_shard_of_a_manifest_is_named(tmp_path: Path) -> None:
    """A dataset that lost a shard must not look like a smaller one."""
    source = fill(tmp_path / "src", {f"{n}.png": png(photo(8, 8, n)) for n in range(4)})
    write.write(source, tmp_path / "out", write.WriteOptions(jobs=1, shards=2))
    (tmp_path / "out/train-00000-of-00002.tfrecord").unlink()
    ran = tfrec("inspect", tmp_path / "out")
    assert (ran.code, "train-00000-of-00002.tfrecord" in ran.out + ran.err) == (1, True)


# Other and damaged files

GOOD = framed([an_example(x=[number]) for number in range(3)])
POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)
LENGTH = len(GOOD) // 3
NOT_WHOLE = [
    ("empty", b"", "found an empty file, expected records"),
    ("text", b"hello, this is just some text\n", "not a TFRecord file: text"),
    ("short text", b"hi", "not a TFRecord file: text"),
    ("html", b"<!DOCTYPE html>\n<html>404</html>", "not a TFRecord file: an HTML page"),
    ("git-LFS", POINTER, "not a TFRecord file: a git-LFS pointer"),
    ("jpeg", jpeg(PICTURE), "not a TFRecord file: a JPEG image"),
    ("png", png(PICTURE), "not a TFRecord file: a PNG image"),
    ("zip", b"PK\x03\x04" + bytes(40), "not a TFRecord file: a ZIP archive"),
    ("zeros", bytes(64), "not a TFRecord file: zero bytes only"),
    (
        "random",
        bytes.fromhex("c3a15e8f90d2aa07b4c9e1f3882d5566") * 3,
        "not a TFRecord file: unknown data (first bytes c3 a1 5e 8f 90 d2 aa 07)",
    ),
    (
        "cut in a record",
        GOOD[:-1],
        f"truncated: record 2 at byte {2 * LENGTH}: length {LENGTH - 16}, but only {LENGTH - 1} "
        f"bytes to the end, expected {LENGTH} bytes for the record",
    ),
    (
        "cut in the first record",
        GOOD[: LENGTH - 1],
        f"truncated: record 0 at byte 0: length {LENGTH - 16}, but only {LENGTH - 1} bytes to the "
        f"end, expected {LENGTH} bytes for the record",
    ),
    (
        "cut in a header",
        GOOD[: LENGTH + 5],
        f"truncated: record 1 at byte {LENGTH}: 5 bytes, then the end, expected a complete "
        "record or the end",
    ),
]


@pytest.mark.parametrize(
    ("data", "problem"), [row[1:] for row in NOT_WHOLE], ids=[row[0] for row in NOT_WHOLE]
)
def test_files_that_are_no_intact_record_files_are_described(
    place: Path, data: bytes, problem: str
) -> None:
    fill(place.parent, {place.name: data})
    ran = tfrec("inspect", place)
    first = ran.out.splitlines()[1]
    assert (ran.code, ran.err, first[first.index(problem[:5]) :]) == (1, "", problem)


@pytest.mark.parametrize("name", ["note.txt", "page.html", "x.json", "picture.png", ".x"])
def test_other_files_are_described_by_their_content(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"hello, this is just some text\n")
    ran = tfrec("inspect", path, "--json")
    problems = [shard["problem"] for shard in json.loads(ran.out)["files"]]
    assert (ran.code, problems) == (1, ["not a TFRecord file: text"])


def test_the_records_around_damage_are_counted(place: Path) -> None:
    data = bytearray(GOOD)
    data[LENGTH + 14] ^= 1
    fill(place.parent, {place.name: bytes(data)})
    (shard,) = summarise([place]).shards
    assert (shard.records, str(shard.problem).split(" CRC")[0]) == (
        2,
        f"damaged: record 1 at byte {LENGTH}: data",
    )


def test_one_bad_file_does_not_hide_the_others(three: Path) -> None:
    (three / "b.tfrecord").write_bytes(b"")
    found = summarise(*inspect_.find([str(three)]))
    assert [(one.records, one.problem) for one in found.shards] == [
        (1, None),
        (0, "found an empty file, expected records"),
        (1, None),
    ]


BAD_NAME = field(1, field(1, field(1, b"\xff") + field(2, feature([1]))))
TWO_LISTS = field(
    1, field(1, field(1, b"x") + field(2, feature([1]) + feature(b"both")))
)  # one feature with two lists
STEPS = field(1, feature([1]))
LISTS_OF_ONE_NAME = field(2, 2 * field(1, field(1, b"x") + field(2, STEPS)))
LIST_WITHOUT_TEXT = field(2, field(1, field(1, b"\xff") + field(2, STEPS)))


@pytest.mark.parametrize(
    "payload",
    [BAD_NAME, TWO_LISTS, LISTS_OF_ONE_NAME, LIST_WITHOUT_TEXT],
    ids=["name that is no text", "two lists in a feature", "a list twice", "list name no text"],
)
@pytest.mark.parametrize("options", [[], ["--records", "3"]], ids=["all", "records"])
def test_one_odd_record_does_not_hide_the_others(
    place: Path, payload: bytes, options: list[str]
) -> None:
    record_file(place, an_example(x=[1]), payload, an_example(x=[1]))
    ran = tfrec("inspect", place, "--json", *options)
    document = json.loads(ran.out)
    found = len(document["shown"]) if options else document["records"]
    assert (ran.err, found) == ("", 3)


ODD_KINDS: list[dict[str, Any]] = [
    {"height": b"x"},
    {"width": [1.5]},
    {"label": b"cat"},
    {"label": [1.5]},
]


@pytest.mark.parametrize("odd", ODD_KINDS, ids=lambda odd: "{}".format(*odd))
def test_a_record_with_a_feature_of_another_kind_is_counted_without_it(
    place: Path, odd: dict[str, Any]
) -> None:
    usual: dict[str, Any] = {"image": png(photo(6, 8)), "height": [6], "width": [8], "label": [1]}
    summary = summary_of(place, an_example(**usual), an_example(**{**usual, **odd}))
    assert (summary.heights.spread(), summary.widths.spread()) == ((6, 6, 6), (8, 8, 8))
    assert (summary.records, dict(summary.labels)) == (2, {1: 1 if "label" in odd else 2})
    for options in ([], ["--json"]):
        ran = tfrec("inspect", place, *options)
        assert (ran.err, ran.code) == ("", 0)


# Single records


@pytest.fixture
def four(place: Path, tmp_path: Path) -> list[Path]:
    """Make two files with two records each, of which record n has x = n."""
    return [
        record_file(tmp_path / "1.tfrecord", an_example(x=[0]), an_example(x=[1])),
        record_file(tmp_path / "2.tfrecord", an_example(x=[2]), an_example(x=[3])),
    ]


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        (["--record", "0"], [0]),
        (["--record", "2"], [2]),
        (["--record", "3"], [3]),
        (["--records", "0"], []),
        (["--records", "1"], [0]),
        (["--records", "3"], [0, 1, 2]),
        (["--records", "9"], [0, 1, 2, 3]),
    ],
    ids=lambda value: "-".join(map(str, value)),
)
def test_records_are_counted_over_all_files(
    four: list[Path], options: list[str], numbers: list[int]
) -> None:
    found = json.loads(tfrec("inspect", *four, "--json", *options).out)["shown"]
    assert [(one["number"], one["features"]["x"]["values"]) for one in found] == [
        (number, [number]) for number in numbers
    ]


def test_a_record_is_shown_with_its_place_and_values(four: list[Path]) -> None:
    assert tfrec("inspect", *four, "--record", 3).out.splitlines() == [
        f"record 3: {four[1]} at byte {len(framed([an_example(x=[2])]))}",
        "  x  int64  3",
    ]


def test_a_record_number_out_of_range_is_refused(four: list[Path]) -> None:
    ran = tfrec("inspect", *four, "--record", 4)
    line = "tfrec: --record 4: found 4 records, expected a number below that\n"
    assert (ran.code, ran.out, ran.error) == (2, "", line)


def test_record_and_records_cannot_be_used_together(four: list[Path]) -> None:
    assert tfrec("inspect", *four, "--record", 1, "--records", 2).code == 2


def test_records_before_damage_are_shown(place: Path) -> None:
    fill(place.parent, {place.name: GOOD[:-1]})
    assert tfrec("inspect", place, "--records", 2).code == 0


def test_records_after_damage_are_not_shown(place: Path) -> None:
    fill(place.parent, {place.name: GOOD[:-1]})
    ran = tfrec("inspect", place, "--record", 2)
    assert (ran.code, ran.err.split(": length")[0]) == (
        1,
        f"tfrec: {place}: truncated: record 2 at byte {2 * LENGTH}",
    )


# Pictures


def asked(place: Path, *options: str) -> tuple[Ran, list[str]]:
    """Request a sheet and a page; return the result and which of them were made."""
    files = [place.parent / "sheet.png", place.parent / "page.html"]
    ran = tfrec("inspect", place, "--contact-sheet", files[0], "--html", files[1], *options)
    return ran, [path.name for path in files if path.exists()]


SHEETS = [("png", "PNG"), ("jpg", "JPEG"), ("JPEG", "JPEG"), ("webp", "WEBP")]


@pytest.mark.parametrize(("ending", "kind"), SHEETS)
def test_a_sheet_has_the_format_of_its_ending_and_is_said(
    place: Path, ending: str, kind: str
) -> None:
    record_file(place, *[an_example(image=png(PICTURE))] * 3)
    sheet, page = place.parent / f"sheet.{ending}", place.parent / "page.html"
    for _ in range(2):  # the second one replaces the first
        ran = tfrec("inspect", place, "--contact-sheet", sheet, "--html", page)
        said = [f"wrote {sheet}: 3 images", f"wrote {page}: 3 images"]
        assert (ran.err, ran.out.splitlines()[-2:]) == ("", said)
    with Image.open(sheet) as made:
        assert made.format == kind


@pytest.mark.parametrize("name", ["sheet.gif", "sheet.html", "sheet", "png"])
def test_a_sheet_with_another_ending_is_refused(place: Path, name: str) -> None:
    record_file(place, an_example(image=png(PICTURE)))
    ran = tfrec("inspect", place, "--contact-sheet", place.parent / name)
    assert (ran.code, ran.out, (place.parent / name).exists()) == (2, "", False)
    assert "expected a name that ends in .png, .jpg or .webp\n" in ran.err


def test_a_picture_of_another_format_is_not_replaced(place: Path) -> None:
    record_file(place, an_example(image=png(PICTURE)))
    sheet = place.parent / "photo.jpg"
    sheet.write_bytes(png(PICTURE))
    ran = tfrec("inspect", place, "--contact-sheet", sheet)
    line = f"tfrec: {sheet}: exists and is not a JPEG file, so it is not replaced\n"
    assert (ran.code, ran.err, sheet.read_bytes()) == (3, line, png(PICTURE))


def test_images_too_small_for_the_crop_are_counted_before_the_report(place: Path) -> None:
    record_file(place, *[an_example(image=png(photo(size, size))) for size in (9, 4, 5)])
    sheet = place.parent / "sheet.png"
    ran = tfrec("inspect", place, "--contact-sheet", sheet, "--crop", 6)
    said = f"wrote {sheet}: 1 image; 2 of 3 tried were smaller than the crop"
    assert (ran.code, ran.out.splitlines()[-1]) == (0, said)
    ran = tfrec("inspect", place, "--contact-sheet", sheet, "--crop", 10)
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)


def test_without_images_to_show_pictures_are_refused(place: Path) -> None:
    record_file(place, an_example(x=[1]))
    ran = tfrec("inspect", place, "--contact-sheet", place.parent / "sheet.png")
    line = f"tfrec: {place}: found no images, expected some to show\n"
    assert (ran.code, ran.err) == (1, line)


@pytest.mark.parametrize(
    ("features", "pictures"),
    [
        ({"photo": png(PICTURE)}, 1),
        ({"left": png(PICTURE), "right": png(PICTURE)}, 0),
        ({"image": [png(PICTURE)] * 2}, 0),
    ],
)
def test_a_page_shows_images_if_one_feature_has_them(
    place: Path, features: dict[str, Any], pictures: int
) -> None:
    record_file(place, an_example(**features))
    page = place.parent / "page.html"
    ran = tfrec("inspect", place, "--html", page)
    assert (ran.code, page.read_text().count("<figure>")) == (0, pictures)


def test_a_page_without_images_is_made(place: Path) -> None:
    record_file(place, an_example(x=[1]))
    page = place.parent / "page.html"
    assert (tfrec("inspect", place, "--html", page).code, page.exists()) == (0, True)


@pytest.mark.parametrize(
    "odd",
    [
        an_example(x=[1]),
        an_example(image=png(photo(30, 30))[:-900]),
        an_example(image=[png(PICTURE), png(PICTURE)]),
        b"\xffunknown",
    ],
    ids=["no image", "a broken image", "two images", "no message"],
)
def test_one_odd_record_does_not_hide_the_images(place: Path, odd: bytes) -> None:
    record_file(place, an_example(image=png(PICTURE)), odd)
    ran, made = asked(place)
    assert (made, "Traceback" in ran.err) == (["sheet.png", "page.html"], False)


def test_damage_does_not_hide_the_images(place: Path) -> None:
    record_file(place, *[an_example(image=png(PICTURE))] * 2)
    place.write_bytes(place.read_bytes()[:-1])
    ran, made = asked(place)
    assert (ran.code, made) == (1, ["sheet.png", "page.html"])


@pytest.mark.parametrize("keys", ["plain", "tf-models"])
def test_only_the_window_of_our_datasets_is_explained(
    folder: Path, tmp_path: Path, keys: str
) -> None:
    """Another program may call anything a window."""
    assert tfrec("write", folder, tmp_path / "out", "--keys", keys).code == 0
    meaning = re.compile(r"window +int64 .*1 if a crop decodes alone$", re.MULTILINE)
    assert meaning.search(tfrec("inspect", tmp_path / "out").out)
    (tmp_path / "out/train.manifest.json").unlink()
    assert "decodes alone" not in tfrec("inspect", tmp_path / "out").out


def test_inspect_agrees_with_what_write_made(folder: Path, tmp_path: Path) -> None:
    write.write(folder, tmp_path / "out", write.WriteOptions(jobs=1, crop=(32, 24)))
    found = summarise(*inspect_.find([str(tmp_path / "out")]))
    assert (
        found.records,
        found.features["image"].contents,
        found.heights.spread(),
        found.widths.spread(),
        found.labels,
        found.label_names,
    ) == (
        13,
        {"raw 32x24x3": 13},
        (32, 32, 32),
        (24, 24, 24),
        {0: 4, 1: 5, 2: 4},
        {0: "cats", 1: "dogs", 2: "owls"},
    )


def test_several_processes_count_the_same_as_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write.write(folder, tmp_path / "out", write.WriteOptions(shards=3, jobs=1))
    paths = inspect_.find([str(tmp_path / "out")]).files
    alone = report.document(summarise(paths), "")
    monkeypatch.setattr(inspect_, "_WORTH_PROCESSES_BYTES", 0)
    monkeypatch.setattr(pool, "available_jobs", lambda: 2)
    assert report.document(summarise(paths), "") == alone


def test_the_files_of_one_split_are_inspected(folder: Path, tmp_path: Path) -> None:
    """By manifests, or by the names of the files of other programs."""
    write.write(folder, tmp_path / "ours", write.WriteOptions(jobs=1, split="train=0.7,val=0.3"))
    found = inspect_.find([str(tmp_path / "ours")], "val")
    assert [path.name for path in found.files] == ["val-00000-of-00001.tfrecord"]
    for name in ("train_1.tfrecord", "test.tfrecord"):
        record_file(tmp_path / "theirs" / name, an_example(x=[1]))
    found = inspect_.find([str(tmp_path / "theirs")], "train")
    assert [path.name for path in found.files] == ["train_1.tfrecord"]
    with pytest.raises(UsageError, match=r"^split: found splits test, train, expected 'val'$"):
        inspect_.find([str(tmp_path / "theirs")], "val")
