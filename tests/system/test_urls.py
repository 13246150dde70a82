"""A URL or an empty text is never a folder: both are refused wherever a path may be given."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from conftest import READERS
from program import tfrec

import tfrec_cli
from tfrec_cli.cli import main as cli
from tfrec_cli.cli import params
from tfrec_cli.errors import UsageError
from tfrec_cli.runtime import values

URL = "s3://bucket/images"
REMEDY = "download it first, or mount it as a folder"


def command_lines() -> Iterator[tuple[str, ...]]:
    """Iterate calls with a URL for one path, and the word that the message begins with."""
    for name, command in cli.main.commands.items():
        arguments = [one for one in command.params if isinstance(one, click.Argument)]
        for param in command.params:
            paths = [URL if one is param else "here" for one in arguments]
            if isinstance(param, click.Argument):
                yield str(param.metavar).strip("[]."), name, *paths
            elif isinstance(param.type, (params.LocalPath, params.Origin)):
                yield param.opts[0], name, *paths, f"{param.opts[0]}={URL}"
    yield "--source", "verify", "--source", f"train={URL}"
    yield "--config", "--config", URL, "verify"


@pytest.mark.parametrize("line", list(command_lines()), ids=" ".join)
def test_every_path_on_the_command_line_may_not_be_a_url(line: tuple[str, ...]) -> None:
    where, *argv = line
    ran = tfrec(*argv)
    message = f"tfrec: {where}: found the URL {URL}, expected a local path: {REMEDY}\n"
    assert (ran.code, ran.error) == (2, message)


@pytest.mark.parametrize("line", list(command_lines()), ids=" ".join)
def test_no_path_on_the_command_line_may_be_empty(
    line: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be the current folder."""
    monkeypatch.chdir(tmp_path)
    where, *argv = line
    ran = tfrec(*(word.replace(URL, "") for word in argv))
    message = f"tfrec: {where}: found an empty path, expected a file or folder\n"
    assert (ran.code, ran.error, [*tmp_path.iterdir()]) == (2, message, [])


def test_a_file_of_labels_may_not_be_empty(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran = tfrec("write", folder, out, "--labels", "")
    message = "tfrec: --labels: found an empty path, expected a file or folder\n"
    assert (ran.code, ran.error, out.exists()) == (2, message, False)


def test_a_file_of_labels_may_not_be_a_url(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran = tfrec("write", folder, out, "--labels", URL)
    message = f"tfrec: --labels: found the URL {URL}, expected a local path: {REMEDY}\n"
    assert (ran.code, ran.error, out.exists()) == (2, message, False)


def paths_of_functions() -> Iterator[tuple[str, str]]:
    """Iterate the functions with each of their arguments that is a path."""
    for name in cli.main.commands:
        for argument in inspect.signature(getattr(tfrec_cli, name)).parameters.values():
            if "StrPath" in str(argument.annotation) and argument.name != "labels":
                yield name, argument.name


@pytest.mark.parametrize(("function", "argument"), list(paths_of_functions()))
@pytest.mark.parametrize("url", [URL, Path(URL)], ids=["text", "path"])
def test_every_path_in_python_may_not_be_a_url(function: str, argument: str, url: Any) -> None:
    call: Callable[..., Any] = getattr(tfrec_cli, function)
    parameters = inspect.signature(call).parameters
    needed = {
        one.name: ["here"] * 2 if str(one.annotation).startswith("Iterable") else "here"
        for one in parameters.values()
        if one.default is one.empty
    }
    url = [url, url] if str(parameters[argument].annotation).startswith("Iterable") else url
    with pytest.raises(
        UsageError, match=f"^{argument}: found the URL s3:/+bucket/images, expected"
    ):
        call(**{**needed, argument: url})


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_takes_a_url(reader: str) -> None:
    with pytest.raises(UsageError, match=f"^path: found the URL {URL}, expected a local path"):
        READERS[reader].dataset(URL)


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("https://host/a.zip", "download it first"),
        ("HTTP://host", "download it first"),
        ("gs://bucket", REMEDY),
        ("az://container", REMEDY),
        ("hdfs://node/x", REMEDY),
        ("memory://x", REMEDY),
        ("some+thing-1.0://x", REMEDY),
        ("file:///data/images", "give it as /data/images"),
        (Path("file:///data/images"), "give it as /data/images"),
        (Path("gs://bucket"), REMEDY),
    ],
)
def test_a_url_is_refused_with_what_to_do(url: str | Path, remedy: str) -> None:
    with pytest.raises(UsageError) as refused:
        values.path("source", url)
    assert str(refused.value).endswith(f"expected a local path: {remedy}")


@pytest.mark.parametrize("path", ["a:b", "c:/x", "train:/a", "./s3://b", "a b://c", "://x", "."])
def test_a_path_with_a_colon_is_no_url(path: str) -> None:
    assert values.path("source", path) == Path(path)
