"""JPEGs whose data are damaged: decoders take them, and no command does so in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from conftest import fill, jpeg, oriented, photo, png
from damaged_jpegs import DAMAGED, HARMLESS, INTACT, cut, padded, zeroed
from program import tfrec
from written import stored

from tfrec_cli.commands.check import check
from tfrec_cli.commands.verify import Options, verify
from tfrec_cli.commands.write import Written, write
from tfrec_cli.errors import BadImagesError, DataError
from tfrec_cli.writing.options import Check, WriteOptions

END = "premature end of data segment"
WARNING = (
    "split train: 2 images have damaged data and may look broken, such as "
    f"cats/cut.jpg: {END}; --check intact refuses them"
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Make a folder with two damaged images."""
    files = {
        "cats/cut.jpg": cut(INTACT),
        "cats/fine.jpg": INTACT,
        "dogs/padded.jpg": padded(INTACT, bytes(9)),
        "dogs/plain.png": png(photo(60, 70)),
        "dogs/zeroed.jpg": zeroed(INTACT),
    }
    return fill(tmp_path / "src", files)


def run(source: Path, out: Path, **options: Any) -> Written:
    return write(source, out, WriteOptions(**{"jobs": 1, **options}))


def names(damaged: Any) -> list[bytes]:
    return [one.path for one in damaged]


def test_write_warns_of_damage_where_it_decodes(source: Path, tmp_path: Path) -> None:
    found = run(source, tmp_path / "out", check="decode")
    assert names(found.damaged) == [b"cats/cut.jpg", b"dogs/zeroed.jpg"]
    assert (found.warnings, found.records, found.rejects) == ((WARNING,), 5, ())


def test_write_by_structure_does_not_see_it(source: Path, tmp_path: Path) -> None:
    """The records are the same, as all decoders make the same pixels of such images."""
    found = run(source, tmp_path / "out")
    assert (found.damaged, found.warnings) == ((), ())
    run(source, tmp_path / "decoded", check="decode")
    assert stored(tmp_path / "out") == stored(tmp_path / "decoded")


@pytest.mark.parametrize("options", [{"crop": (60, 70)}, {"resize_short": 20}], ids=str)
def test_images_that_are_decoded_whole_are_noted(
    source: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    found = run(source, tmp_path / "out", **options)
    assert b"cats/cut.jpg" in names(found.damaged)
    assert not {b"cats/fine.jpg", b"dogs/padded.jpg"} & {*names(found.damaged)}


def test_a_turned_image_is_noted(tmp_path: Path) -> None:
    files = {"a.jpg": cut(jpeg(photo(60, 70), exif=oriented(6)))}
    found = run(fill(tmp_path / "src", files), tmp_path / "out")
    assert [str(one) for one in found.damaged] == [f"a.jpg: {END}"]


@pytest.mark.parametrize("crop", [None, (8, 8)], ids=["whole", "crop"])
def test_intact_refuses_damage(source: Path, tmp_path: Path, crop: Any) -> None:
    """Of crops too, wherever it is in the image."""
    with pytest.raises(BadImagesError, match="2 of 5 images cannot be used: 2 damaged"):
        run(source, tmp_path / "out", check="intact", crop=crop)
    found = run(source, tmp_path / "skip", check="intact", crop=crop, on_error="skip")
    assert [(one.path, one.reason) for one in found.rejects] == [
        (b"cats/cut.jpg", "damaged"),
        (b"dogs/zeroed.jpg", "damaged"),
    ]
    expected = f"found damaged data ({END}), expected none (--check decode)"
    assert (found.rejects[0].message, found.damaged) == (expected, ())
    assert verify(tmp_path / "skip", Options(jobs=1, source=((None, source),))).ok


@pytest.mark.parametrize("crop", [None, (8, 8)], ids=["whole", "crop"])
def test_all_damage_is_refused_and_nothing_else(tmp_path: Path, crop: Any) -> None:
    files = {f"bad {number}.jpg": data for number, (data, _) in enumerate(DAMAGED.values())}
    files |= {f"good {number}.jpg": data for number, data in enumerate(HARMLESS.values())}
    options = {"check": "intact", "crop": crop, "on_error": "skip", "labels": "none"}
    found = run(fill(tmp_path / "src", files), tmp_path / "out", **options)
    refused = sorted(name for name in files if name.startswith("bad"))
    assert [one.path.decode() for one in found.rejects if one.reason == "damaged"] == refused


def test_a_resumed_write_still_knows_of_it(source: Path, tmp_path: Path) -> None:
    fill(source, {"dogs/bad.png": png(photo(9, 9))[:-20]})
    options = {"check": "decode", "shards": 6, "shuffle_seed": None}
    with pytest.raises(BadImagesError):
        run(source, tmp_path / "out", **options)
    found = run(source, tmp_path / "out", **options, on_error="skip", resume=True)
    assert (found.kept_shards, found.warnings) == (5, (WARNING,))


def test_every_split_has_its_warning(source: Path, tmp_path: Path) -> None:
    options = {"split": "train=0.5,val=0.5", "check": "decode", "labels": "none"}
    for dry_run in (True, False):
        found = run(source, tmp_path / "out", **options, dry_run=dry_run)
        warned = [line.split(":")[0] for line in found.warnings if "damaged" in line]
        damaged = {one.split: len(one.damaged) for one in found.splits}
        assert sum(damaged.values()) == 2
        assert warned == [f"split {split}" for split, count in damaged.items() if count]


@pytest.mark.parametrize("kind", get_args(Check))
def test_check_says_what_write_would_say(source: Path, tmp_path: Path, kind: Check) -> None:
    options = WriteOptions(check=kind, on_error="skip", jobs=1)
    found, wrote = check(source, options), write(source, tmp_path / "out", options)
    assert found.damaged == (() if kind == "structure" else wrote.damaged)
    expected = len(names(found.damaged)), len(found.rejects), tuple(found.warnings)
    assert (
        expected
        == {
            "structure": (0, 0, ()),
            "decode": (2, 0, (WARNING,)),
            "intact": (0, 2, ()),
        }[kind]
    )


def test_the_command_line_lists_it_with_v_and_as_json(source: Path, tmp_path: Path) -> None:
    lines = [f"tfrec: {WARNING}", f"tfrec: damaged: cats/cut.jpg: {END}"]
    for words in (["check", source], ["write", source, tmp_path / "out", "--check", "decode"]):
        ran = tfrec(*words, "-v")
        assert (ran.code, ran.err.splitlines()[:2]) == (0, lines)
    ran = tfrec("check", source, "--json", "-q")
    damaged = json.loads(ran.out)["damaged"]
    assert damaged[0] == {"path": "cats/cut.jpg", "message": END}
    assert [one["path"] for one in damaged] == ["cats/cut.jpg", "dogs/zeroed.jpg"]


@pytest.mark.parametrize("bad", [["a.jpg"], ["a.jpg", "cats/b.png"]], ids=["one", "two"])
@pytest.mark.parametrize(
    "words",
    [["check"], ["write", "--check", "decode"], ["write", "--dry-run", "--check", "decode"]],
)
def test_damage_is_named_beside_images_that_cannot_be_used(
    source: Path, tmp_path: Path, words: list[str], bad: list[str]
) -> None:
    """So that one run tells all."""
    options = WriteOptions(check="decode", jobs=1)
    damaged = [f"damaged: {one}" for one in check(source, options).damaged]
    fill(source, dict.fromkeys(bad, b"GARBAGE"))
    command, *more = words
    places = [source] if command == "check" else [source, tmp_path / "out"]
    refused = [command, *places, *more, "--labels", "none"]
    brief = tfrec(*refused)
    assert (brief.code, brief.err.splitlines()[-2]) == (1, f"tfrec: {WARNING}")
    lines = tfrec(*refused, "-v").err.splitlines()
    assert [line.removeprefix("tfrec: ") for line in lines[len(bad) : -1]] == damaged
    assert json.loads(tfrec(*refused, "--json").out)["details"][len(bad) :] == damaged


def test_damage_is_named_beside_too_many_rejects(source: Path) -> None:
    fill(source, {"cats/b.png": b"GARBAGE"})
    with pytest.raises(DataError, match="found 1 of 6 images rejected") as error:
        check(source, WriteOptions(check="decode", on_error="skip", max_errors="0", jobs=1))
    assert (error.value.first, len(error.value.details)) == ((WARNING,), 3)


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_verify_notes_it_without_a_finding(source: Path, tmp_path: Path, compression: str) -> None:
    out = tmp_path / "out"
    run(source, out, shuffle_seed=None, compression=compression)
    found = verify(out, Options(jobs=1))
    shard = next(out.glob("*.tfrecord*"))
    note = f"images: 2 JPEGs have damaged data and may look broken, such as {shard}: record 0: "
    assert note + f"cats/cut.jpg: {END}" in found.checks
    assert (found.ok, found.unchecked) == (True, [])
    assert [(one.record, one.name) for one in found.damaged] == [
        (0, b"cats/cut.jpg"),
        (4, b"dogs/zeroed.jpg"),
    ]
    document = json.loads(tfrec("verify", out, "--json").out)
    assert document["damaged"][0] == {
        "path": str(shard),
        "record": 0,
        "name": "cats/cut.jpg",
        "message": END,
    }
    assert f"  damaged   {found.damaged[1]}" in tfrec("verify", out, "-v").out.splitlines()


def test_verify_with_a_seed_says_that_it_does_not_look(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "out")
    found = verify(tmp_path / "out", Options(jobs=1, seed=1))
    expected = "whether the data of 4 JPEGs are damaged: verify without --seed looks for that"
    assert expected in found.unchecked
    assert found.damaged == []
