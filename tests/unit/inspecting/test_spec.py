"""The code that ``tfrec inspect`` prints for pasting parses the records with TensorFlow."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import fill, jpeg, needs, photo, png, tf
from messages import a_sequence, an_example, framed, record_file
from program import tfrec

from tfrec_cli.commands import inspect_, write
from tfrec_cli.commands.inspect_ import summarise
from tfrec_cli.inspecting.spec import parse_spec
from tfrec_cli.inspecting.tally import Summary

PICTURE = photo(6, 5)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return the path of a record file that does not exist yet."""
    return tmp_path / "data" / "some.tfrecord"


def summary_of(place: Path, *payloads: bytes) -> Summary:
    return summarise([record_file(place, *payloads)])


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


EXPECTED = {
    "image": [one["image"] for one in EXAMPLES],
    "label": [3, -4, 2**40],
    "box": [one["box"] for one in EXAMPLES],
    "pair": [[7, 8], [9, 10], [11, 12]],
    "varying": [[1, 2, 3], [], [4]],
    "optional": [[b"here"], [], []],
    "sometimes": [[5], [], []],
    "two words'\n": [1.5, 2.5, 3.5],
}


def ran(*paths: Path) -> list[Any]:
    """Run what ``tfrec inspect --code`` prints, all of it, and return what its dataset yields."""
    printed = tfrec("inspect", *paths, "--code")
    assert (printed.code, printed.err) == (0, "")
    scope: dict[str, Any] = {}
    assert tf.io  # the program imports it
    exec(printed.out, scope)
    return list(scope["dataset"])


def plain(parsed: Mapping[str, Any]) -> dict[str, Any]:
    """Turn tensors of any kind into lists; sparse and ragged ones get a list for each row."""
    values = {}
    for name, tensor in parsed.items():
        dense = isinstance(tensor, tf.Tensor)
        ragged = tf.RaggedTensor.from_sparse if isinstance(tensor, tf.SparseTensor) else None
        values[name] = (
            tensor.numpy().tolist() if dense else (ragged(tensor) if ragged else tensor).to_list()
        )
    return values


def test_the_spec_parses_examples(place: Path) -> None:
    record_file(place, *(an_example(**one) for one in EXAMPLES))
    (batch,) = ran(place)
    assert plain(batch) == EXPECTED
    scope = {"tf": tf, "batch_of_records": list(tf.data.TFRecordDataset(str(place)))}
    exec(json.loads(tfrec("inspect", place, "--json").out)["parse_spec"], scope)
    assert plain(scope["parsed"]) == EXPECTED


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
    place: Path, lists: list[Any], expected: list[Any]
) -> None:
    payloads = [
        a_sequence({"id": [number]}, {} if steps is None else {"list": steps})
        for number, steps in enumerate(lists)
    ]
    record_file(place, *payloads)
    found = [{**plain(context), **plain(sequences)} for context, sequences in ran(place)]
    assert found == [{"id": n, "list": steps} for n, steps in enumerate(expected)]


@pytest.mark.parametrize("keys", ["plain", "tf-models"])
@pytest.mark.parametrize("crop", [None, (7, 8)], ids=["whole", "crops"])
def test_the_spec_of_our_records_has_no_feature_of_varying_length(
    folder: Path, tmp_path: Path, keys: Any, crop: tuple[int, int] | None
) -> None:
    options = write.WriteOptions(jobs=1, keys=keys, crop=crop)
    write.write(folder, tmp_path / "out", options)
    spec = parse_spec(summarise(*inspect_.find([str(tmp_path / "out")])))
    assert {line.split(": ")[1].split("(")[0] for line in spec.splitlines()[1:-2]} == {
        "tf.io.FixedLenFeature"
    }


def test_columns_that_hold_lists_by_the_manifest_are_lists_in_the_code(tmp_path: Path) -> None:
    """Though each record of the files has one value of them."""
    fill(tmp_path, {f"{name}.png": png(PICTURE) for name in "abc"})
    rows = [{"path": "a.png", "box": [1.5], "id": 1, "note": "x"}]
    rows += [{"path": "b.png", "box": [2.5], "id": 2, "note": "y"}]
    rows += [{"path": "c.png", "box": [3.5, 4.5], "id": 3}]
    (tmp_path / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = write.WriteOptions(jobs=1, shards=3, shuffle_seed=None)
    write.write(tmp_path / "list.jsonl", tmp_path / "out", options)
    first = tmp_path / "out" / "train-00000-of-00003.tfrecord"
    (batch,) = ran(first)
    found = plain(batch)
    assert (found["box"], found["note"], found["id"]) == ([[1.5]], [[b"x"]], [1])


@needs("tensorflow")
def test_each_split_is_a_dataset_of_its_own(tmp_path: Path) -> None:
    for name, number in (("val", 1), ("train", 2)):
        record_file(tmp_path / f"{name}-00000-of-00001.tfrecord", an_example(x=[number]))
    printed = tfrec("inspect", tmp_path, "--code")
    scope: dict[str, Any] = {}
    exec(printed.out, scope)
    found = {name: [plain(one) for one in part] for name, part in scope["datasets"].items()}
    assert found == {"train": [{"x": [2]}], "val": [{"x": [1]}]}


def test_the_spec_of_unknown_records_is_empty(place: Path) -> None:
    assert parse_spec(summary_of(place, b"\xffunknown")) == ""


@pytest.mark.parametrize("name", ["x.tfrecord", "it's ü.tfrecord", b"\xff.tfrecord"])
def test_the_code_reads_compressed_files_of_any_name(tmp_path: Path, name: str | bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(gzip.compress(framed([an_example(x=[1, 2]), an_example(x=[3])])))
    assert [plain(one) for one in ran(path)] == [{"x": [[1, 2], [3]]}]


def test_the_code_leaves_out_a_feature_of_two_types_and_says_so(place: Path) -> None:
    record_file(place, an_example(x=[1], y=[2]), an_example(x=[0.5], y=[3]))
    assert [plain(one) for one in ran(place)] == [{"y": [2, 3]}]
    line = "    # 'x': float and int64, which TensorFlow does not parse as one"
    assert line in tfrec("inspect", place, "--code").out.splitlines()


SEQUENCE = a_sequence({"id": [1]}, {"list": [[1]]})
REFUSED: list[tuple[list[bytes], str]] = [
    ([framed([an_example(x=[1])])[:-1]], "truncated: record 0"),
    ([framed([b"\xffunknown"])], "found unknown, expected only tf.train.Example"),
    ([framed([an_example(x=[1]), SEQUENCE])], "SequenceExample, expected only tf.train.Example"),
    (
        [framed([an_example(x=[1])]), gzip.compress(framed([an_example(x=[1])]))],
        "found files with several compressions (gzip, none), expected one",
    ),
]


@pytest.mark.parametrize(("files", "line"), REFUSED, ids=["cut", "unknown", "mixed", "compressed"])
def test_files_that_tensorflow_cannot_read_together_get_no_code(
    tmp_path: Path, files: list[bytes], line: str
) -> None:
    for number, data in enumerate(files):
        (tmp_path / f"{number}.tfrecord").write_bytes(data)
    got = tfrec("inspect", tmp_path, "--code")
    assert (got.code, got.out, got.err.count("\n")) == (1, "", 1)
    assert line in got.err
