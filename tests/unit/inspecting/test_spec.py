"""The code that ``tfrec inspect`` prints for pasting parses the records with TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import jpeg, photo, png, tf
from messages import a_sequence, an_example, record_file
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


def pasted(place: Path, **names: Any) -> dict[str, Any]:
    """Run the code that ``tfrec inspect`` prints, exactly as printed."""
    lines = tfrec("inspect", place).out.splitlines()
    program = "\n".join(lines[lines.index("# to parse with TensorFlow") :])
    scope: dict[str, Any] = {"tf": tf, **names}
    exec(program, scope)
    return scope


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
    batch = list(tf.data.TFRecordDataset(str(place)))
    assert plain(pasted(place, batch_of_records=batch)["parsed"]) == {
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
    place: Path, lists: list[Any], expected: list[Any]
) -> None:
    payloads = [
        a_sequence({"id": [number]}, {} if steps is None else {"list": steps})
        for number, steps in enumerate(lists)
    ]
    record_file(place, *payloads)
    found = []
    for payload in payloads:
        scope = pasted(place, record=payload)
        found.append({**plain(scope["context"]), **plain(scope["sequences"])})
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
