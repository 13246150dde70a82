"""Conditions on records: what --where means for a dataset, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from manifests import MANIFEST

from tfrec_cli.dataset.records import Column
from tfrec_cli.errors import UsageError
from tfrec_cli.resharding import select

DESCRIBED = replace(
    MANIFEST,
    labels=("cat", "dog", "0"),
    columns=tuple(
        Column(name=name, kind=kind, is_list=is_list, is_everywhere=False)
        for name, kind, is_list in (
            ("day", "int64", False),
            ("place", "bytes", False),
            ("score", "float", False),
            ("tags", "bytes", True),
        )
    ),
)


def values(text: str, **changes: Any) -> set[int | bytes]:
    (condition,) = select.conditions([text], replace(DESCRIBED, **changes))
    return set(condition.values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("label=cat", {0}),
        ("label=dog,cat", {0, 1}),
        ("label=1", {1}),
        ("label=0", {2}),  # a name is more than a number
        ("day=-3,7", {-3, 7}),
        ("place=a=b", {b"a=b"}),
        ("height=32", {32}),
        ("filename=cat/1.jpg", {b"cat/1.jpg"}),
    ],
)
def test_values_are_class_names_numbers_or_texts(text: str, expected: set[int | bytes]) -> None:
    assert values(text) == expected


def test_a_condition_names_the_feature_in_the_records() -> None:
    texts = ["image/class/label=cat", "height=3"]
    found = select.conditions(texts, replace(DESCRIBED, keys="tf-models"))
    assert [condition.feature for condition in found] == ["image/class/label", "image/height"]


def test_values_of_other_programs_may_be_numbers_or_texts() -> None:
    (condition,) = select.conditions(["x=3,a"], None)
    assert condition == select.Condition("x", {3: "3", b"3": "3", b"a": "a"}, "x=3,a")
    assert select.met_by(condition, memoryview(b"a")) == "a"
    assert select.met_by(condition, None) is None


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (["cat"], "found 'cat', expected FEATURE=VALUE, such as label=cat"),
        (["label="], "found 'label=', expected FEATURE=VALUE, such as label=cat"),
        (["label=ca"], "label=ca: found no class 'ca': did you mean 'cat'?"),
        (["label==cat"], "label==cat: found no class '=cat': did you mean where label=cat?"),
        (["label=3"], "label=3: found no class '3': expected 0 to 2: cat, dog, 0"),
        (["label=-1"], "label=-1: found no class '-1': expected 0 to 2: cat, dog, 0"),
        (["label=bird"], "label=bird: found no class 'bird': expected 0 to 2: cat, dog, 0"),
        (["labl=1"], "labl=1: found no feature labl, expected one of label, filename, height, key"),
        (["day=x"], "day=x: found 'x', expected an integer"),
        (["score=1"], "score=1: found a feature of type float, expected one integer or text"),
        (["tags=1"], "tags=1: found a feature of type bytes[], expected one integer or text"),
        (["label=cat", "label=dog"], "label=dog: found two conditions on label, expected one"),
    ],
)
def test_conditions_without_a_meaning_are_refused(where: list[str], message: str) -> None:
    with pytest.raises(UsageError) as error:
        select.conditions(where, DESCRIBED)
    assert str(error.value).removeprefix("where").lstrip(": ").startswith(message)


def test_a_dataset_without_labels_has_no_class() -> None:
    with pytest.raises(UsageError, match="where label=1: found a dataset without labels"):
        values("label=1", labels=None)


@pytest.mark.parametrize(
    "where", [{"label": ["a", "b"], "n": 3}, ["label=a,b", "n=3"], ("label=a,b", "n=3")]
)
def test_python_gives_conditions_as_a_mapping_or_as_texts(where: object) -> None:
    assert select.read(where) == ("label=a,b", "n=3")


@pytest.mark.parametrize("where", [3, [3], {"label": 0.5}, {"label": [None]}])
def test_other_values_are_no_conditions(where: object) -> None:
    with pytest.raises(UsageError, match=r"^where: found"):
        select.read(where)
