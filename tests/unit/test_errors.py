"""errors: each is also the built-in exception that a Python caller expects."""

from __future__ import annotations

import errno
import pickle
from pathlib import Path

import pytest

from tfrec_cli import errors
from tfrec_cli.runtime.paths import missing


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.UsageError, ValueError),
        (errors.MissingPathError, FileNotFoundError),
        (errors.MissingPathError, ValueError),
        (errors.MissingExtraError, ImportError),
    ],
)
def test_an_error_is_also_a_built_in_exception(
    kind: type[Exception], builtin: type[Exception]
) -> None:
    assert issubclass(kind, builtin)
    assert issubclass(kind, errors.TfrecError)


@pytest.mark.parametrize(
    ("message", "option", "text"),
    [
        ("`max_errors`: bad", "max_errors", "max_errors: bad"),
        ("a.jpg: bad; `on_error` skip helps", None, "a.jpg: bad; on_error skip helps"),
        ("a.jpg: bad: run `tfrec verify`", None, "a.jpg: bad: run `tfrec verify`"),
    ],
)
def test_a_message_names_options_as_keywords(message: str, option: str | None, text: str) -> None:
    error = pickle.loads(pickle.dumps(errors.UsageError(message, [message])))
    assert (str(error), error.details, error.option) == (text, (text,), option)
    assert error.spelled(str.upper) == message.replace("`max_errors`", "MAX_ERRORS").replace(
        "`on_error`", "ON_ERROR"
    )


def test_a_missing_path_suggests_a_similar_one(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    error = missing(tmp_path / "imagse")
    expected = f"No such file or folder: {tmp_path}/imagse (did you mean {tmp_path}/images?)"
    assert str(error) == expected
    assert (error.exit_code, error.errno) == (errors.EXIT_USAGE, errno.ENOENT)
    assert error.filename == f"{tmp_path}/imagse"


def test_a_missing_path_among_others_that_differ_has_no_hint(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    error = missing(tmp_path / "imagse", option="root")
    assert str(error) == f"root: No such file or folder: {tmp_path}/imagse"
    assert str(missing(tmp_path / "no/where")).endswith("where")


def test_a_missing_path_error_comes_back_from_a_worker() -> None:
    error = pickle.loads(pickle.dumps(missing(Path("nowhere"))))
    assert isinstance(error, errors.MissingPathError)
    assert (str(error), error.filename) == ("No such file or folder: nowhere", "nowhere")


def test_the_source_that_is_meant_is_named_and_comes_back_from_a_worker() -> None:
    made = errors.MeantSourceError("a: `source` helps", "a/b", {"split": "folders"})
    error = pickle.loads(pickle.dumps(made))
    assert str(error) == "a: source a/b with split folders helps"
    assert error.spelled(str.upper) == "a: SOURCE helps"
