"""Options of a write: their defaults, ranges and words have one owner."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from conftest import class_files, fill, unmeasured

from tfrec_cli.commands.write import write
from tfrec_cli.dataset import manifest
from tfrec_cli.errors import ManifestError, UsageError
from tfrec_cli.writing import options
from tfrec_cli.writing.options import WriteOptions

NUMBERS = [one.name for one in fields(WriteOptions) if "range" in one.metadata]
WORDS = [one.name for one in fields(WriteOptions) if "words" in one.metadata]


def test_every_default_is_allowed() -> None:
    WriteOptions().validate()


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_out_of_its_range_is_refused(name: str) -> None:
    limits = options.range_of(name)
    for value in (limits.least, limits.most):
        options.validate(name, value)
    for value in (limits.least - 1, limits.most + 1, True, "1", 1.5):
        with pytest.raises(UsageError, match=f"expected {limits.least} to {limits.most}$"):
            options.validate(name, value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"small": "skip"}, "small: needs crop"),
        ({"jpeg_quality": 80}, "jpeg_quality: needs crop with encoding jpeg"),
        ({"jpeg_quality": 80, "crop": 8}, "jpeg_quality: needs crop with encoding jpeg"),
        ({"strip_metadata": True, "crop": 8}, "strip_metadata: cannot be used with crop"),
        ({"shard_size": "1MiB", "shards": 2}, "shard_size: cannot be used with shards"),
    ],
)
def test_python_may_not_give_an_option_without_effect(given: dict[str, Any], message: str) -> None:
    """Unless it is the default, or an unfinished write is resumed."""
    with pytest.raises(UsageError, match=message):
        WriteOptions.of(**given)
    WriteOptions.of(**given, resume=True)
    WriteOptions.of(**{name: options.default_of(name) for name in given})


@pytest.mark.parametrize("sides", [(0, 8), (8, 0), (65536, 8), (8, 65536)])
def test_a_side_of_a_crop_out_of_its_range_is_refused(sides: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="crop: found "):
        WriteOptions(crop=sides).validate()


@pytest.mark.parametrize("name", WORDS)
def test_an_unknown_word_is_refused(name: str) -> None:
    for word in options.words_of(name):
        options.validate(name, word)
    message = f"{name}: found 'other', expected one of "
    with pytest.raises(UsageError, match=message):
        WriteOptions(**{name: "other"}).validate()


def test_none_is_accepted_for_an_option_that_is_not_given() -> None:
    for name in ("crop", "encoding", "resize_short", "shards", "jobs"):
        assert options.default_of(name) is None
        options.validate(name, None)
    WriteOptions(shuffle_seed=None).validate()


@pytest.mark.parametrize(
    "asked",
    [
        WriteOptions(),
        WriteOptions(crop=(32, 31), encoding="jpeg", jpeg_quality=7, shuffle_seed=None),
        WriteOptions(crop=(32, 31), keys="tf-models", small="pad", compression="gzip"),
        WriteOptions(resize_short=30, exif="ignore", alpha="white", shards=3),
        WriteOptions(strip_metadata=True),
        WriteOptions(check="decode", max_pixels=99_999, shuffle_seed=7, split="val"),
    ],
)
def test_a_manifest_gives_the_options_of_its_write(tmp_path: Path, asked: WriteOptions) -> None:
    fill(tmp_path / "src", class_files())
    made = write(tmp_path / "src", tmp_path / "out", replace(asked, jobs=1)).manifest
    assert made
    expected = replace(
        asked,
        encoding=asked.crop_encoding if asked.crop else None,
        shards=len(made.shards),
    )
    assert WriteOptions.from_manifest(made) == expected
    assert (expected.stored, expected.keys) == (made.stored, made.keys)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("exif", "sideways"),
        ("exif", 3),
        ("max_pixels", "many"),
        ("max_pixels", True),
        ("max_pixels", 0),
        ("resize_short", -1),
        ("jpeg_quality", 101),
        ("small", None),
        ("strip_metadata", "yes"),
        ("strip_metadata", None),
        ("check", ["decode"]),
        ("split", 3),
        ("shuffle_seed", "0"),
    ],
)
def test_a_manifest_with_an_invalid_option_is_refused(
    tmp_path: Path, name: str, value: Any
) -> None:
    fill(tmp_path / "src", class_files())
    made = write(tmp_path / "src", tmp_path / "out", WriteOptions(jobs=1)).manifest
    assert made
    message = rf"options\.{name}: found .*, expected "
    with pytest.raises(ManifestError, match=message):
        WriteOptions.from_manifest(replace(made, options={**made.options, name: value}))


def test_a_manifest_without_options_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "src", class_files())
    made = write(tmp_path / "src", tmp_path / "out", WriteOptions(jobs=1)).manifest
    assert made
    with pytest.raises(ManifestError, match=r"options\.\w+: found None, expected "):
        WriteOptions.from_manifest(replace(made, options={}))


def test_the_module_imports_nothing_heavy() -> None:
    """`tfrec write --help` imports it."""
    program = (
        "import sys, tfrec_cli.writing.options; "
        "print(sorted({'numpy', 'PIL', 'google.protobuf', 'multiprocessing'} & {*sys.modules}))"
    )
    words = [sys.executable, "-c", program]
    ran = subprocess.run(words, env=unmeasured(), capture_output=True, check=True)
    assert ran.stdout == b"[]\n"


def test_manifests_of_version_1_hold_all_options_that_are_needed() -> None:
    """Manifests that `tfrec write` 0.1 wrote."""
    datasets = Path(__file__).parents[2] / "contract" / "datasets"
    paths = sorted(datasets.glob("*/*.manifest.json"))
    assert len(paths) >= 6
    for path in paths:
        made = manifest.load(path)
        assert WriteOptions.from_manifest(made).crop == made.crop
