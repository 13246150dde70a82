"""Counts of records, of their features, and of what their values contain."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from conftest import jpeg, photo, png, save
from messages import a_sequence, an_example, field, record_file

from tfrec_cli.commands.inspect_ import summarise
from tfrec_cli.inspecting.features import features_of
from tfrec_cli.inspecting.tally import Summary, Tally


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return the path of a record file that does not exist yet."""
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
def test_a_tally_gives_least_median_and_greatest(
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
def test_contents_are_recognized(place: Path, value: bytes, kind: str) -> None:
    found = summary_of(place, an_example(image=value, height=[6], width=[5]))
    # Without an image there are no sizes to compare with.
    assert found.features["image"].contents == {kind: 1}


@pytest.mark.parametrize(
    ("sizes", "kind"),
    [
        ({"height": [5], "width": [6], "depth": [4]}, "raw 5x6x4"),
        ({"image/height": [10], "image/width": [12], "image/channels": [1]}, "raw 10x12x1"),
        ({"height": [5], "width": [8], "depth": [1]}, "raw 5x8x3"),
        ({"height": [5], "width": [6], "depth": [2]}, "binary"),
        ({"height": [5], "width": [6]}, "binary"),
        ({"height": [-10], "width": [-12], "depth": [1]}, "binary"),
        ({"height": [5], "width": [6], "depth": [4, 4]}, "binary"),
    ],
)
@pytest.mark.parametrize("name", ["image_raw", "scan"])
def test_raw_pixels_are_known_by_the_numbers_of_their_record(
    place: Path, sizes: dict[str, list[int]], kind: str, name: str
) -> None:
    value = bytes(range(128, 248))
    found = summary_of(place, an_example(**{name: value}, **sizes))
    assert found.features[name].contents == {kind: 1}


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


def test_the_kind_of_mixed_steps_is_the_same_in_every_process(place: Path) -> None:
    """It does not depend on the order of a set of strings, which differs between processes."""
    payload = a_sequence({}, {"list": [None, [1], None]})
    shown = features_of(payload)["sequence/list"]
    assert (shown.kind, list(shown.values)) == ("int64", [1])
