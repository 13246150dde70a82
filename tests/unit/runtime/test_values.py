"""Values of each kind that a caller may give, and the errors for anything else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfrec_cli.errors import UsageError
from tfrec_cli.runtime import values

SMALL: Callable[..., int] = lambda name, value: values.whole(name, value, 1, 9)  # noqa: E731


@pytest.mark.parametrize(
    ("read", "value", "plain"),
    [
        (SMALL, 9, 9),
        (SMALL, np.uint8(9), 9),
        (SMALL, np.array(9), 9),
        (values.size_bytes, 1000, 1000),
        (values.size_bytes, np.int64(7), 7),
        (values.size_bytes, "64k", 65_536),
        (values.size_bytes, "128MiB", 2**27),
        (values.size_bytes, "1 GB", 2**30),
        (values.size_bytes, "5B", 5),
        (values.jobs, 4096, 4096),
        (values.crop, 128, (128, 128)),
        (values.crop, np.int32(128), (128, 128)),
        (values.crop, (96, 128), (96, 128)),
        (values.crop, [96, np.int64(128)], (96, 128)),
        (values.crop, np.array([96, 128]), (96, 128)),
        (values.crop, "128", (128, 128)),
        (values.crop, "96x128", (96, 128)),
        (values.host, [1, 2], (1, 2)),
        (values.host, np.array([1, 2]), (1, 2)),
        (values.flag, True, True),
        (values.flag, np.False_, False),
        (values.text, "train", "train"),
        (values.path, "a/b", Path("a/b")),
        (values.path, Path("a/b"), Path("a/b")),
    ],
)
def test_a_value_becomes_a_plain_one(read: Callable[..., Any], value: Any, plain: Any) -> None:
    found = read("x", value)
    assert (found, repr(found)) == (plain, repr(plain))


def test_a_number_and_a_word_become_plain_ones() -> None:
    assert repr(values.number("x", np.float64(0.25), 0, 1)) == "0.25"
    assert repr(values.number("x", 1, 0, 1)) == "1.0"
    assert values.word("x", "skip", ("fail", "skip")) == "skip"


@pytest.mark.parametrize(
    ("read", "value", "message"),
    [
        (SMALL, "4", "found '4', expected a whole number"),
        (SMALL, 1.5, "found 1.5, expected a whole number"),
        (SMALL, True, "found True, expected a whole number"),
        (SMALL, None, "found None, expected a whole number"),
        (SMALL, np.array([1, 2]), "found array([1, 2]), expected a whole number"),
        (SMALL, 10, "found 10, expected 1 to 9"),
        (SMALL, 0, "found 0, expected 1 to 9"),
        (values.size_bytes, "big", "found 'big', expected a size such as 128MiB"),
        (values.size_bytes, "0", "found '0', expected a size such as 128MiB"),
        (values.size_bytes, 1.5, "found 1.5, expected a whole number"),
        (values.jobs, 0, "found 0, expected 1 to 4096"),
        (values.jobs, 4097, "found 4097, expected 1 to 4096"),
        (values.crop, "x", "found 'x', expected N or HEIGHTxWIDTH in pixels"),
        (values.crop, "٣", "found '٣', expected N or HEIGHTxWIDTH in pixels"),
        (values.crop, 0, "found 0, expected 1 or more"),
        (values.crop, (8, 0), "found 0, expected 1 or more"),
        (values.crop, (8, 8.5), "found 8.5, expected a whole number"),
        (values.crop, (8, 8, 3), "found (8, 8, 3), expected a number of pixels or (height, width)"),
        (values.crop, 8.5, "found 8.5, expected a number of pixels or (height, width)"),
        (values.crop, b"12", "found b'12', expected a number of pixels or (height, width)"),
        (values.host, 3, "found 3, expected (i, n)"),
        (values.host, "12", "found '12', expected (i, n)"),
        (values.host, (0, 2.5), "found 2.5, expected a whole number"),
        (values.host, (2, 2), "found (2, 2), expected (i, n) with i below n"),
        (values.flag, 1000, "found 1000, expected True or False"),
        (values.flag, "no", "found 'no', expected True or False"),
        (values.text, 3, "found 3, expected a string"),
        (values.path, None, "found None, expected a path"),
        (values.path, 3, "found 3, expected a path"),
        (values.path, "", "found an empty path, expected a file or folder"),
    ],
)
def test_an_error_shows_the_repr_of_the_value(
    read: Callable[..., Any], value: Any, message: str
) -> None:
    with pytest.raises(UsageError) as raised:
        read("x", value)
    assert str(raised.value) == f"x: {message}"


@pytest.mark.parametrize("value", ["half", True, None, [0.5]])
def test_anything_but_a_number_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match=r"^x: found .*, expected a number$"):
        values.number("x", value, 0, 1)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_number_out_of_range_is_refused(value: float) -> None:
    with pytest.raises(UsageError, match=r"^x: found .*, expected 0 to 1$"):
        values.number("x", value, 0, 1)


@pytest.mark.parametrize("value", ["skipp", 1, None, ["fail"]])
def test_another_word_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match=r"^x: found .*, expected one of fail, skip$"):
        values.word("x", value, ("fail", "skip"))


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(1, "1"), (1000, "1000"), (1024, "1KiB"), (3 * 2**19, "1536KiB"), (2**27, "128MiB"),
     (2**30, "1GiB"), (2**40, "1024GiB")],
)  # fmt: skip
def test_a_size_is_spelled_as_it_is_typed(size_bytes: int, text: str) -> None:
    assert (values.spell_size(size_bytes), values.size_bytes("x", text)) == (text, size_bytes)
