"""Boxes in records of any program: which are certain, and what is wrong with them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pytest

from tfrec_cli.dataset.boxes import LABEL, SIDES, TEXT, Verdict, judge
from tfrec_cli.tfrecord.example import Feature, decode, encode

EXPECTED = "expected fractions of width and height from 0 to 1, the smaller first"
PASSED = [(None, True)]
UNCLEAR = [(None, False)]


def verdicts(
    features: Mapping[str, Sequence[Any] | Feature], described: Collection[str] | None = None
) -> list[Verdict]:
    return [*judge(decode(encode(features)), described)]


def said(
    features: Mapping[str, Sequence[Any] | Feature], described: Collection[str] | None = None
) -> str | None:
    (verdict,) = verdicts(features, described)
    assert verdict.is_certain
    return verdict.message


def sides(*boxes: Sequence[float]) -> dict[str, Sequence[float]]:
    """Make the features of boxes: xmin, xmax, ymin, ymax."""
    return dict(zip(SIDES, zip(*boxes, strict=True), strict=True))


GOOD = (0.25, 0.5, 0.0, 1.0)


class TestObjectDetectionApi:
    @pytest.mark.parametrize("label", [LABEL, TEXT])
    def test_good_boxes_pass(self, label: str) -> None:
        names = [b"cat", b"dog"] if label == TEXT else [1, 2]
        assert verdicts({**sides(GOOD, (0.5, 0.5, 0.5, 0.5)), label: names}) == PASSED

    @pytest.mark.parametrize(
        ("box", "found"),
        [
            ((0.1, 1.25, 0, 1), "x 0.1 to 1.25 and y 0.0 to 1.0"),
            ((0.5, 0.1, 0, 1), "x 0.5 to 0.1 and y 0.0 to 1.0"),
            ((0, 1, 0.75, 0.5), "x 0.0 to 1.0 and y 0.75 to 0.5"),
            ((-0.1, 1, 0, 1), "x -0.1 to 1.0 and y 0.0 to 1.0"),
            ((0, math.nan, 0, 1), "x 0.0 to nan and y 0.0 to 1.0"),
            ((0, 1, -math.inf, 1), "x 0.0 to 1.0 and y -inf to 1.0"),
            ((0, 1.0000001, 0, 1), "x 0.0 to 1.0000001 and y 0.0 to 1.0"),
        ],
    )
    def test_a_box_outside_the_picture_is_named(self, box: Sequence[float], found: str) -> None:
        assert said(sides(GOOD, box)) == f"box 1: found {found}, {EXPECTED}"

    def test_a_record_has_one_message_however_many_boxes_are_wrong(self) -> None:
        message = said(sides((2, 3, 2, 3), GOOD, (20, 10, 2, 3), (0, math.nan, 0, 1)))
        assert message == f"box 0: found x 2.0 to 3.0 and y 2.0 to 3.0, {EXPECTED} (and 2 more)"

    @pytest.mark.parametrize(
        ("change", "found"),
        [
            ({LABEL: [1]}, f"1 values in {LABEL} and 2"),
            ({TEXT: [b"a", b"b", b"c"]}, f"3 values in {TEXT} and 2"),
            ({LABEL: Feature("int64", [])}, f"0 values in {LABEL} and 2"),
            ({"image/object/area": [1.0]}, "1 values in image/object/area and 2"),
            ({SIDES[1]: [1.0]}, f"1 values in {SIDES[1]} and 2"),
            ({SIDES[3]: Feature("unset", ())}, f"0 values in {SIDES[3]} and 2"),
        ],
    )
    def test_each_box_needs_its_values(self, change: Mapping[str, Any], found: str) -> None:
        message = said({**sides(GOOD, GOOD), **change})
        assert message == f"found {found} in {SIDES[0]}, expected one for each box"

    def test_a_missing_side_is_named(self) -> None:
        boxes = sides(GOOD)
        del boxes[SIDES[2]]
        assert said(boxes) == f"found 0 values in {SIDES[2]} and 1 in {SIDES[0]}, " + (
            "expected one for each box"
        )

    def test_labels_without_boxes_are_wrong_only_where_boxes_could_be(self) -> None:
        assert verdicts({LABEL: [1]}) == []
        none = dict.fromkeys(SIDES, Feature("float", []))
        assert verdicts(none) == PASSED
        assert said({**none, LABEL: [1]}) == (
            f"found 1 values in {LABEL} and 0 in {SIDES[0]}, expected one for each box"
        )

    @pytest.mark.parametrize("empty", [TEXT, "image/object/difficult"])
    def test_an_empty_feature_is_as_good_as_none(self, empty: str) -> None:
        """Writers of other programs leave lists empty that their decoders fill."""
        features = {**sides(GOOD), LABEL: [1], empty: Feature("int64", [])}
        assert verdicts(features) == PASSED

    def test_numbers_of_another_type_have_no_rules(self) -> None:
        assert verdicts({**sides(GOOD), SIDES[1]: [200]}) == UNCLEAR


class TestTfds:
    def test_boxes_are_ymin_xmin_ymax_xmax(self) -> None:
        boxes = [0.0, 0.25, 1.0, 0.5, 0.5, 0.75, 0.5, 0.5]
        features = {"objects/bbox": boxes, "objects/label": [1, 2]}
        message = f"box 1: found x 0.75 to 0.5 and y 0.5 to 0.5, {EXPECTED}"
        assert said(features) == message
        assert said(features, {"objects/bbox"}) == message

    def test_numbers_of_values_and_labels_are_compared(self) -> None:
        boxes = [0.0, 0.25, 1.0, 0.5]
        assert said({"objects/bbox": [*boxes, 0.5], "objects/label": [1]}) == (
            "found 5 values in objects/bbox, expected four for each box"
        )
        assert said({"objects/bbox": boxes, "objects/label": [1, 2]}) == (
            "found 2 values in objects/label and 1 boxes in objects/bbox, expected one for each box"
        )
        none = {"objects/bbox": Feature("unset", ()), "objects/label": Feature("unset", ())}
        assert verdicts(none) == PASSED

    def test_boxes_of_any_name_are_checked_if_they_are_described(self) -> None:
        features = {"faces/bbox": [0.0, 0.5, 1.0, 0.25]}
        assert verdicts(features) == []
        assert said(features, {"faces/bbox"}) == (
            f"box 0: found x 0.5 to 0.25 and y 0.0 to 1.0, {EXPECTED}"
        )

    def test_what_the_numbers_are_is_not_guessed(self) -> None:
        pixels = {"objects/bbox": [10.0, 20.0, 30.0, 5.0]}
        labelled = {**pixels, "objects/label": [1]}
        assert verdicts(pixels) == UNCLEAR
        assert verdicts(labelled, set()) == UNCLEAR
        assert verdicts({**labelled, "objects/bbox": [1, 2, 3, 4]}) == UNCLEAR
        assert verdicts({"bbox": [10.0, 20.0, 30.0, 5.0], "xmin": [3.0]}) == []
