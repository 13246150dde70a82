"""inspect: what is counted, how it is said, and what a file is that is no whole record file."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import fill, jpeg, photo, png, save
from program import Ran, tfrec

from tfrec_cli.commands import inspect_, write
from tfrec_cli.commands.inspect_ import summarise
from tfrec_cli.errors import UsageError
from tfrec_cli.inspecting.features import features_of
from tfrec_cli.inspecting.samples import samples
from tfrec_cli.inspecting.spec import parse_spec
from tfrec_cli.inspecting.tally import Summary, Tally
from tfrec_cli.report import inspect_ as report
from tfrec_cli.runtime import pool
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.record import footer, header

Value = bytes | Sequence[bytes] | Sequence[int] | Sequence[float] | None


# Messages by hand, from tensorflow/core/example/{example,feature}.proto


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number: int, body: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(body)) + body


def feature(value: Value) -> bytes:
    """Serialise a Feature; None has no list at all."""
    if value is None:
        return b""
    values: Sequence[Any] = [value] if isinstance(value, bytes) else value
    if all(isinstance(one, int) for one in values):
        return field(3, field(1, b"".join(varint(one) for one in values)))
    if all(isinstance(one, bytes) for one in values):
        return field(1, b"".join(field(1, one) for one in values))
    return field(2, field(1, struct.pack(f"<{len(values)}f", *values)))


def features(values: Mapping[str, Value]) -> bytes:
    return b"".join(
        field(1, field(1, name.encode()) + field(2, feature(value)))
        for name, value in values.items()
    )


def an_example(**values: Value) -> bytes:
    return field(1, features(values))


def a_sequence(context: Mapping[str, Value], lists: Mapping[str, Sequence[Value]]) -> bytes:
    steps = b"".join(
        field(
            1,
            field(1, name.encode()) + field(2, b"".join(field(1, feature(step)) for step in steps)),
        )
        for name, steps in lists.items()
    )
    return field(1, features(context)) + field(2, steps)


def framed(payloads: Sequence[bytes]) -> bytes:
    return b"".join(header(len(payload)) + payload + footer(payload) for payload in payloads)


def record_file(path: Path, *payloads: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(framed(payloads))
    return path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Name a record file that is not there yet."""
    return tmp_path / "data" / "some.tfrecord"


def summary_of(place: Path, *payloads: bytes) -> Summary:
    return summarise([record_file(place, *payloads)])


# Numbers


@pytest.mark.parametrize(
    ("values", "spread"),
    [
        ([], None),
        ([7], (7, 7, 7)),
        ([3, 1], (1, 1, 3)),
        ([3, 1, 2], (1, 2, 3)),
        ([4, 1, 3, 2], (1, 2, 4)),
        ([5, 5, 5, 1], (1, 5, 5)),
        ([1, 1, 9, 9, 9], (1, 9, 9)),
        ([-3, 0, 2**62], (-3, 0, 2**62)),
    ],
)
def test_tally_knows_least_median_and_greatest(
    values: list[int], spread: tuple[int, int, int] | None
) -> None:
    tally = Tally()
    for value in values:
        tally.add(value)
    assert tally.spread() == spread


# Features


def test_shards_are_counted(tmp_path: Path) -> None:
    paths = [
        record_file(tmp_path / "a.tfrecord", an_example(x=[1])),
        record_file(tmp_path / "b.tfrecord", an_example(x=[1]), an_example(x=[2])),
    ]
    found = summarise(paths)
    assert [
        (one.path, one.records, one.size_bytes, one.compression, one.problem)
        for one in found.shards
    ] == [(path, n, path.stat().st_size, "none", None) for n, path in enumerate(paths, start=1)]


def test_types_are_counted(place: Path) -> None:
    found = summary_of(place, an_example(x=[1]), an_example(x=[1.0]), an_example(x=None))
    assert found.features["x"].kinds == {"int64": 1, "float": 1, "unset": 1}


def test_records_with_a_feature_are_counted(place: Path) -> None:
    found = summary_of(place, an_example(x=[1], y=[1]), an_example(y=[1]))
    assert {name: one.records for name, one in found.features.items()} == {"x": 1, "y": 2}


def test_values_of_a_record_are_counted(place: Path) -> None:
    found = summary_of(place, *(an_example(x=[5] * count) for count in (3, 1, 4, 1)))
    assert found.features["x"].counts.spread() == (1, 1, 4)


def test_lengths_are_those_of_every_value(place: Path) -> None:
    found = summary_of(place, an_example(x=[b"", b"abc"]), an_example(x=b"abcde"))
    assert found.features["x"].lengths.spread() == (0, 3, 5)


def test_numbers_are_those_of_single_integers(place: Path) -> None:
    found = summary_of(place, an_example(x=[-5]), an_example(x=[9]), an_example(x=[100, 200]))
    assert found.features["x"].numbers.spread() == (-5, -5, 9)


def test_features_of_a_sequence_are_counted_by_steps(place: Path) -> None:
    found = summary_of(
        place,
        a_sequence({"id": [1]}, {"words": [b"a", b"bb", b"ccc"]}),
        a_sequence({"id": [2]}, {"words": [[b"a", b"b"]]}),
    )
    words = found.features["sequence/words"]
    assert words.steps is not None
    assert (
        sorted(found.features),
        found.payloads,
        words.records,
        words.steps.spread(),
        words.counts.spread(),
        words.lengths.spread(),
    ) == (
        ["context/id", "sequence/words"],
        {"tf.train.SequenceExample": 2},
        2,
        (1, 1, 3),
        (1, 1, 2),
        (1, 1, 3),
    )


def test_events_are_counted(place: Path) -> None:
    version = b"\x09" + struct.pack("<d", 1.0) + field(3, b"brain.Event:2")
    scalar = b"\x09" + struct.pack("<d", 2.0) + field(5, field(1, b""))
    found = summary_of(place, version, scalar, scalar)
    assert (found.payloads, found.events) == (
        {"tensorflow.Event": 3},
        {"file_version": 1, "summary": 2},
    )


def test_unknown_records_show_their_first_bytes(place: Path) -> None:
    found = summary_of(place, bytes(range(200, 240)), b"other")
    assert (found.payloads, found.first_bytes) == ({"unknown": 2}, bytes(range(200, 224)))


PICTURE = photo(6, 5)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (jpeg(PICTURE), "JPEG"),
        (png(PICTURE), "PNG"),
        (save(PICTURE, "GIF"), "GIF"),
        (save(PICTURE, "WEBP"), "WEBP"),
        (save(PICTURE, "BMP"), "BMP"),
        (save(PICTURE, "TIFF"), "TIFF"),
        (PICTURE.tobytes(), "raw 6x5x3"),
        (PICTURE.tobytes()[:-1], "binary"),
        (b"plain text", "text"),
        ("Grüße\n".encode(), "text"),
        (b"\0\1\2", "binary"),
        (b"", "empty"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_contents_are_named(place: Path, value: bytes, kind: str) -> None:
    found = summary_of(place, an_example(image=value, height=[6], width=[5]))
    # Without an image there are no sizes to compare with.
    assert found.features["image"].contents == {kind: 1}


def test_contents_are_counted(place: Path) -> None:
    values = [png(PICTURE), jpeg(PICTURE), png(PICTURE), b"", b"text"]
    found = summary_of(place, *(an_example(image=value) for value in values))
    assert found.features["image"].contents == {"PNG": 2, "JPEG": 1, "empty": 1, "text": 1}


@pytest.mark.parametrize(
    ("height", "width"),
    [("height", "width"), ("image/height", "image/width"), ("rows", "cols")],
)
def test_heights_and_widths_are_found(place: Path, height: str, width: str) -> None:
    sizes = [(7, 5), (20, 30), (8, 6)]
    payloads = [
        an_example(**{"image": png(PICTURE), height: [one], width: [two]}) for one, two in sizes
    ]
    found = summary_of(place, *payloads)
    assert (found.heights.spread(), found.widths.spread()) == ((7, 8, 20), (5, 6, 30))


# Labels


def test_labels_are_named_by_the_manifest(tmp_path: Path) -> None:
    files = {f"{name}/1.png": png(photo(8, 8)) for name in ("ants", "bees")}
    source = fill(tmp_path / "src", {**files, "bees/2.png": png(photo(8, 8, 2))})
    write.write(source, tmp_path / "out", write.WriteOptions(jobs=1))
    (tmp_path / "out/label.labels.txt").unlink()
    found = summarise(inspect_.find([str(tmp_path / "out")]))
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
def test_many_labels_are_shown_when_asked_for(place: Path, shown: list[str]) -> None:
    record_file(place, *(an_example(image=png(PICTURE), label=[n]) for n in range(30)))
    lines = tfrec("inspect", place, *shown).out.splitlines()
    start = lines.index("label  records") + 1
    numbers = [f"{n:<5}  1" for n in range(30)]
    expected = numbers if shown else [*numbers[:20], "… and 10 more (--labels shows all)"]
    assert lines[start : lines.index("", start)] == expected


# The spec to paste


@pytest.fixture(scope="module")
def tf() -> Any:
    import tensorflow

    return tensorflow


EXAMPLES = [
    {
        "image": png(PICTURE),
        "label": [3],
        "box": [0.25, 0.5, 0.75, 1.0],
        "pair": [7, 8],
        "varying": [1, 2, 3],
        "optional": b"here",
        "sometimes": [5],
        "two words'\n": [1.5],
    },
    {
        "image": jpeg(PICTURE),
        "label": [-4],
        "box": [1.0, 2.0, 3.0, 4.0],
        "pair": [9, 10],
        "varying": [],
        "sometimes": None,
        "two words'\n": [2.5],
    },
    {
        "image": b"",
        "label": [2**40],
        "box": [0.0, 0.0, 0.0, 0.0],
        "pair": [11, 12],
        "varying": [4],
        "sometimes": None,
        "two words'\n": [3.5],
    },
]


def pasted(tf: Any, place: Path, **names: Any) -> dict[str, Any]:
    """Run what ``tfrec inspect`` prints to be pasted, as it stands in its output."""
    lines = tfrec("inspect", place).out.splitlines()
    program = "\n".join(lines[lines.index("# to parse with TensorFlow") :])
    scope: dict[str, Any] = {"tf": tf, **names}
    exec(program, scope)
    return scope


def plain(tf: Any, parsed: Mapping[str, Any]) -> dict[str, Any]:
    """Turn tensors of any kind into lists, sparse and ragged ones with a list for each row."""
    values = {}
    for name, tensor in parsed.items():
        dense = isinstance(tensor, tf.Tensor)
        ragged = tf.RaggedTensor.from_sparse if isinstance(tensor, tf.SparseTensor) else None
        values[name] = (
            tensor.numpy().tolist() if dense else (ragged(tensor) if ragged else tensor).to_list()
        )
    return values


def test_the_spec_parses_examples(tf: Any, place: Path) -> None:
    record_file(place, *(an_example(**one) for one in EXAMPLES))
    batch = list(tf.data.TFRecordDataset(str(place)))
    assert plain(tf, pasted(tf, place, batch_of_records=batch)["parsed"]) == {
        "image": [one["image"] for one in EXAMPLES],
        "label": [3, -4, 2**40],
        "box": [one["box"] for one in EXAMPLES],
        "pair": [[7, 8], [9, 10], [11, 12]],
        "varying": [[1, 2, 3], [], [4]],
        "optional": [[b"here"], [], []],
        "sometimes": [[5], [], []],
        "two words'\n": [1.5, 2.5, 3.5],
    }


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ([[[1], [2], [3]], [[4]]], [[1, 2, 3], [4]]),
        ([[[1, 2], [3, 4]], [[5, 6]]], [[[1, 2], [3, 4]], [[5, 6]]]),
        ([[[1], [2, 3]], [[]]], [[[1], [2, 3]], [[]]]),
        ([[], [[1]]], [[], [1]]),
        ([[b"a", b"bc"], [b"d"]], [[b"a", b"bc"], [b"d"]]),
        ([[[0.5, 1.5]], []], [[[0.5, 1.5]], []]),
        ([[[1], None], [None, [2]]], [[[1], []], [[], [2]]]),
        ([[None, None, [1]]], [[[], [], [1]]]),
        ([[[1, 2]], None], [[[1, 2]], []]),
    ],
    ids=[
        "one value a step",
        "two",
        "varying",
        "no steps",
        "bytes",
        "floats",
        "unset steps",
        "mostly unset steps",
        "a record without the list",
    ],
)
def test_the_spec_parses_sequence_examples(
    tf: Any, place: Path, lists: list[Any], expected: list[Any]
) -> None:
    payloads = [
        a_sequence({"id": [number]}, {} if steps is None else {"list": steps})
        for number, steps in enumerate(lists)
    ]
    record_file(place, *payloads)
    found = []
    for payload in payloads:
        scope = pasted(tf, place, record=payload)
        found.append({**plain(tf, scope["context"]), **plain(tf, scope["sequences"])})
    assert found == [{"id": n, "list": steps} for n, steps in enumerate(expected)]


@pytest.mark.parametrize("keys", ["plain", "tf-models"])
@pytest.mark.parametrize("crop", [None, (7, 8)], ids=["whole", "crops"])
def test_the_spec_of_our_records_has_no_feature_of_varying_length(
    folder: Path, tmp_path: Path, keys: Any, crop: tuple[int, int] | None
) -> None:
    options = write.WriteOptions(jobs=1, keys=keys, crop=crop)
    write.write(folder, tmp_path / "out", options)
    spec = parse_spec(summarise(inspect_.find([str(tmp_path / "out")])))
    assert {line.split(": ")[1].split("(")[0] for line in spec.splitlines()[1:-2]} == {
        "tf.io.FixedLenFeature"
    }


def test_the_spec_of_unknown_records_is_empty(place: Path) -> None:
    assert parse_spec(summary_of(place, b"\xffunknown")) == ""


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
    expected = f"the file ends inside the compressed stream, expected a whole {compression} stream"
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
    assert [path.name for path in inspect_.find(words)] == names


def test_a_name_with_brackets_is_a_file_first(tmp_path: Path) -> None:
    path = record_file(tmp_path / "x[1].tfrecord", an_example(x=[1]))
    assert inspect_.find([str(path)]) == [path]


@pytest.mark.parametrize("name", ["none", "none*", "three/none", "three/*.none"])
def test_a_path_that_names_nothing_is_refused(three: Path, name: str) -> None:
    with pytest.raises(UsageError):
        inspect_.find([str(three.parent / name)])


@pytest.mark.parametrize("name", ["x.log", "x.txt", "x.json", ".hidden", "README"])
def test_a_file_that_is_named_is_read_whatever_its_name(tmp_path: Path, name: str) -> None:
    path = record_file(tmp_path / name, an_example(x=[1]))
    assert summarise(inspect_.find([str(path)])).records == 1


def test_a_damaged_manifest_beside_a_file_does_not_hide_it(place: Path) -> None:
    record_file(place, an_example(x=[1]))
    (place.parent / "train.manifest.json").write_text("{}")
    assert tfrec("inspect", place).code == 0


def test_a_shard_that_its_manifest_names_and_is_missing_is_named(tmp_path: Path) -> None:
    """A dataset that lost a shard must not look like a smaller one."""
    source = fill(tmp_path / "src", {f"{n}.png": png(photo(8, 8, n)) for n in range(4)})
    write.write(source, tmp_path / "out", write.WriteOptions(jobs=1, shards=2))
    (tmp_path / "out/train-00000-of-00002.tfrecord").unlink()
    ran = tfrec("inspect", tmp_path / "out")
    assert (ran.code, "train-00000-of-00002.tfrecord" in ran.out + ran.err) == (1, True)


# Files that are no whole record files

GOOD = framed([an_example(x=[number]) for number in range(3)])
POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)
LENGTH = len(GOOD) // 3
NOT_WHOLE = [
    ("empty", b"", "empty"),
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
        f"truncated: record 1 at byte {LENGTH}: 5 bytes, then the end, expected a whole record or "
        "the end",
    ),
]


@pytest.mark.parametrize(
    ("data", "problem"), [row[1:] for row in NOT_WHOLE], ids=[row[0] for row in NOT_WHOLE]
)
def test_what_is_no_whole_record_file_is_named_as_what_it_is(
    place: Path, data: bytes, problem: str
) -> None:
    fill(place.parent, {place.name: data})
    ran = tfrec("inspect", place)
    first = ran.out.splitlines()[1]
    assert (ran.code, ran.err, first[first.index(problem[:5]) :]) == (1, "", problem)


@pytest.mark.parametrize("name", ["note.txt", "page.html", "x.json", "picture.png", ".x"])
def test_no_record_file_is_named_as_what_it_is_whatever_its_name(tmp_path: Path, name: str) -> None:
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
    found = summarise(inspect_.find([str(three)]))
    assert [(one.records, one.problem) for one in found.shards] == [
        (1, None),
        (0, "empty"),
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
    assert (ran.code, ran.out, ran.err) == (2, "", line)


def test_record_and_records_exclude_each_other(four: list[Path]) -> None:
    assert tfrec("inspect", *four, "--record", 1, "--records", 2).code == 2


def test_records_before_damage_are_shown(place: Path) -> None:
    fill(place.parent, {place.name: GOOD[:-1]})
    assert tfrec("inspect", place, "--records", 2).code == 0


def test_records_behind_damage_are_not_made_up(place: Path) -> None:
    fill(place.parent, {place.name: GOOD[:-1]})
    ran = tfrec("inspect", place, "--record", 2)
    assert (ran.code, ran.err.split(": length")[0]) == (
        1,
        f"tfrec: {place}: record 2 at byte {2 * LENGTH}",
    )


def test_a_step_of_another_kind_is_named_the_same_way_everywhere(place: Path) -> None:
    """Not by the order of a set of words, which differs between processes."""
    payload = a_sequence({}, {"list": [None, [1], None]})
    shown = features_of(payload)["sequence/list"]
    assert (shown.kind, list(shown.values)) == ("int64", [1])


# Pictures


def test_samples_lie_evenly_over_all_records(place: Path) -> None:
    payloads = [an_example(image=png(photo(4, 4, n)), filename=b"%d" % n) for n in range(10)]
    found = summary_of(place, *payloads)
    shown = samples([place], found, 4, None, None)
    assert [one.caption for one in shown] == ["0", "2", "5", "7"]


def test_samples_are_the_pictures(place: Path) -> None:
    pictures = [photo(4, 5, n) for n in range(3)]
    found = summary_of(place, *(an_example(image=png(one)) for one in pictures))
    shown = samples([place], found, 9, None, None)
    assert [(one.pixels.tolist(), one.caption) for one in shown] == [
        (picture.tolist(), f"record {n}") for n, picture in enumerate(pictures)
    ]


def test_samples_are_cut_in_the_middle(place: Path) -> None:
    picture = photo(9, 8)
    found = summary_of(place, an_example(image=png(picture)))
    (shown,) = samples([place], found, 1, (4, 3), None)
    assert shown.pixels.tolist() == picture[2:6, 2:5].tolist()


def test_samples_are_cut_where_the_reader_cuts(tf: Any, place: Path) -> None:
    picture = photo(30, 40)
    found = summary_of(place, an_example(image=png(picture), key=[12345]))
    (shown,) = samples([place], found, 1, (4, 3), 42)
    expected = tf.image.stateless_random_crop(picture, (4, 3, 3), seed=(42, 12345))
    assert shown.pixels.tolist() == expected.numpy().tolist()


def test_samples_without_a_key_are_cut_by_their_number(tf: Any, place: Path) -> None:
    picture = photo(30, 40)
    found = summary_of(place, *[an_example(image=png(picture))] * 3)
    shown = samples([place], found, 3, (4, 3), 42)
    expected = [tf.image.stateless_random_crop(picture, (4, 3, 3), seed=(42, n)) for n in range(3)]
    assert [one.pixels.tolist() for one in shown] == [one.numpy().tolist() for one in expected]


def asked(place: Path, *options: str) -> tuple[Ran, list[str]]:
    """Ask for sheet and page; return what happened and which of them were made."""
    files = [place.parent / "sheet.png", place.parent / "page.html"]
    ran = tfrec("inspect", place, "--contact-sheet", files[0], "--html", files[1], *options)
    return ran, [path.name for path in files if path.exists()]


def test_no_picture_to_show_is_no_bug(place: Path) -> None:
    record_file(place, an_example(x=[1]))
    ran = tfrec("inspect", place, "--contact-sheet", place.parent / "sheet.png")
    line = f"tfrec: {place}: found no images, expected some to show\n"
    assert (ran.code, ran.err) == (1, line)


def test_a_page_without_pictures_is_made(place: Path) -> None:
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
def test_one_odd_record_does_not_hide_the_pictures(place: Path, odd: bytes) -> None:
    record_file(place, an_example(image=png(PICTURE)), odd)
    ran, made = asked(place)
    assert (made, "Traceback" in ran.err) == (["sheet.png", "page.html"], False)


def test_damage_does_not_hide_the_pictures(place: Path) -> None:
    record_file(place, *[an_example(image=png(PICTURE))] * 2)
    place.write_bytes(place.read_bytes()[:-1])
    ran, made = asked(place)
    assert (ran.code, made) == (1, ["sheet.png", "page.html"])


def test_inspect_agrees_with_what_write_made(folder: Path, tmp_path: Path) -> None:
    write.write(folder, tmp_path / "out", write.WriteOptions(jobs=1, crop=(32, 24)))
    found = summarise(inspect_.find([str(tmp_path / "out")]))
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


def test_messages_by_hand_are_those_of_the_codec() -> None:
    """The helpers of this file, against the encoder that is tested with TensorFlow."""
    values: dict[str, Any] = {"a": [b"x", b""], "b": [-1, 2**62], "c": [0.5]}
    assert an_example(**values) == example.encode(values)


def test_processes_count_what_one_counts(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write.write(folder, tmp_path / "out", write.WriteOptions(shards=3, jobs=1))
    paths = inspect_.find([str(tmp_path / "out")])
    alone = report.document(summarise(paths), "")
    monkeypatch.setattr(inspect_, "_WORTH_PROCESSES_BYTES", 0)
    monkeypatch.setattr(pool, "available_jobs", lambda: 2)
    assert report.document(summarise(paths), "") == alone
