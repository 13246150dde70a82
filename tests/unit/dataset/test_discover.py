"""discover: which files are shards, and where each record is in them."""

from __future__ import annotations

import gzip
from itertools import chain
from pathlib import Path

import pytest
from conftest import fill, photo, png

from tfrec_cli.commands import write
from tfrec_cli.dataset import discover
from tfrec_cli.errors import DataError, FramingError, MissingPathError, RunError, UsageError
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.index import index_line, locate_records
from tfrec_cli.tfrecord.record import footer, header

PAYLOADS = [b"first", b"", b"the third one"]


def framed(*payloads: bytes) -> bytes:
    return b"".join(header(len(one)) + one + footer(one) for one in payloads)


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Make a folder of two bare record files with three records."""
    files = {"b": framed(PAYLOADS[2]), "a": framed(*PAYLOADS[:2]), "notes.txt": b"hello"}
    return fill(tmp_path / "two", files)


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """Write a dataset with the splits train and val, of two shards each."""
    source = fill(tmp_path / "src", {f"{n}.png": png(photo(6, 6, n)) for n in range(4)})
    for split in ("train", "val"):
        write.write(source, tmp_path / "ours", write.WriteOptions(jobs=1, shards=2, split=split))
    return tmp_path / "ours"


@pytest.mark.parametrize(
    ("name", "may_be"),
    [
        ("x.tfrecord", True),
        ("x.tfrecords", True),
        ("x.tfrecord.gz", True),
        ("train-00000-of-00004", True),
        ("events.out.tfevents.123", True),
        ("x.record", True),
        ("data", True),
        ("x.tfindex", False),
        ("x.TXT", False),
        ("dataset_info.json", False),
        ("train.rejects.jsonl", False),
        ("train.targets", False),
        ("SHA256SUMS", False),
        (".hidden.tfrecord", False),
        (".\n", False),
        ("a\n.json", False),
        ("a.json\n", True),
    ],
)
def test_record_files_are_recognised_by_their_names(name: str, may_be: bool) -> None:
    assert discover.is_record_file_name(name) is may_be


def test_a_file_is_a_split_without_a_name(two: Path) -> None:
    (split,) = discover.splits(two / "b")
    assert (split.folder, split.name, split.manifest, split.shards) == (
        two,
        None,
        None,
        (two / "b",),
    )


def test_a_folder_of_record_files_is_one_split_sorted_by_name(two: Path) -> None:
    (split,) = discover.splits(two)
    assert (split.name, split.shards) == (None, (two / "a", two / "b"))


def test_a_dataset_has_its_splits_with_their_shards(ours: Path) -> None:
    found = {split.name: [path.name for path in split.shards] for split in discover.splits(ours)}
    assert found == {
        name: [f"{name}-{n:05d}-of-00002.tfrecord" for n in range(2)] for name in ("train", "val")
    }


def test_a_missing_shard_of_the_manifest_is_listed(ours: Path) -> None:
    (ours / "val-00001-of-00002.tfrecord").unlink()
    assert len(discover.split(ours, "val").shards) == 2


def test_a_split_is_found_by_its_name(ours: Path) -> None:
    assert discover.split(ours, "val").name == "val"


def test_files_whose_names_tell_no_split_are_the_default_one(two: Path) -> None:
    assert discover.split(two, "train").shards == (two / "a", two / "b")
    with pytest.raises(UsageError, match=r"found splits train in .*, expected 'test'$"):
        discover.split(two, "test")


TOLD = {
    "train": ["my-train.tfrecord-00000-of-00002", "my-train.tfrecord-00001-of-00002"],
    "validation": ["my-validation.tfrecord-00000-of-00001"],
}


@pytest.mark.parametrize(
    "files",
    [
        TOLD,
        {"train": ["train-00000-of-00001"], "val": ["val-00000-of-00001.gz"]},
        {"train": ["train.tfrecord"], "test": ["test.tfrecord"]},
        {"train": ["train/a", "train/b"], "dev": ["dev/a"], "extra": ["extra/a"]},
    ],
    ids=["tfds", "imagenet", "one", "folders"],
)
def test_names_of_files_and_folders_tell_splits(
    tmp_path: Path, files: dict[str, list[str]]
) -> None:
    for name in chain(*files.values()):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    for split, names in files.items():
        assert discover.split(tmp_path, split).shards == tuple(tmp_path / one for one in names)
    with pytest.raises(UsageError, match=f"found splits {', '.join(sorted(files))} in "):
        discover.split(tmp_path, "x")
    assert [str(split) for split in discover.splits(tmp_path)] == sorted(files)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train-00000-of-00002"], "found 1 files like train-00000-of-00002, expected 2"),
        (["train.tfrecord", "more.tfrecord"], "more.tfrecord: found no split in this name"),
        (["a-0-of-1", "b-0-of-1"], "found splits a, b in .*, expected 'train'$"),
    ],
)
def test_it_must_be_certain_which_files_a_split_has(
    tmp_path: Path, names: list[str], message: str
) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises((DataError, UsageError), match=message):
        discover.split(tmp_path, "train")


def test_a_file_that_is_named_is_the_default_split_and_its_own(tmp_path: Path) -> None:
    file = tmp_path / "val-00000-of-00002"
    file.touch()
    assert discover.split(file, "train").shards == discover.split(file, "val").shards == (file,)
    with pytest.raises(UsageError, match=r"found splits val in .*, expected 'test'$"):
        discover.split(file, "test")


def test_an_unknown_split_is_refused(ours: Path) -> None:
    with pytest.raises(UsageError) as caught:
        discover.split(ours, "test")
    assert str(caught.value) == (f"split: found splits train, val in {ours}, expected 'test'")


def test_a_pattern_that_matches_nothing_is_refused(two: Path) -> None:
    with pytest.raises(MissingPathError) as caught:
        discover.split(two / "*.tfrecord", "train")
    assert str(caught.value) == f"{two}/*.tfrecord: no record file matches this pattern"


def test_a_pattern_chooses_files_of_a_folder_that_is_not_certain(tmp_path: Path) -> None:
    for name in ("10.tfrec", "9.tfrec", "train-00001-of-00002", "val.tfrec", "9.index"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match="a pattern in quotes chooses files"):
        discover.split(tmp_path, "train")
    chosen = discover.split(tmp_path / "[0-9]*", "train")
    assert chosen.shards == (tmp_path / "9.tfrec", tmp_path / "10.tfrec")
    assert discover.split(tmp_path / "train-*", "train").shards[0].name == "train-00001-of-00002"
    assert [one.name for one in discover.splits(tmp_path / "*[nl][-.]*")] == ["train", "val"]
    with pytest.raises(DataError, match="found no split in this name"):
        discover.split(tmp_path / "*.tfrec", "train")


def test_a_path_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError) as caught:
        discover.splits(tmp_path / "none")
    assert str(caught.value) == f"No such file or folder: {tmp_path}/none"


def test_a_folder_without_record_files_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, {"readme.md": b"", "sub/x.tfrecord": b""})
    with pytest.raises(UsageError) as caught:
        discover.splits(tmp_path)
    assert str(caught.value) == f"{tmp_path}: no record files in this folder"


def test_a_folder_with_only_an_unfinished_write_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, {".train.partial/journal.json": b""})
    with pytest.raises(UsageError) as caught:
        discover.splits(tmp_path)
    expected = f"{tmp_path}: found only an unfinished write, expected record files"
    assert str(caught.value) == expected


def test_record_files_that_no_manifest_names_are_strangers(ours: Path) -> None:
    fill(ours, {"x.tfrecord": b"", "train-00002-of-00003.tfrecord": b"", "x.json": b""})
    names = [path.name for path in discover.strangers(ours, discover.splits(ours))]
    assert names == ["train-00002-of-00003.tfrecord", "x.tfrecord"]


def found(split: discover.Split) -> list[list[tuple[int, int]]]:
    """Return all places of each shard."""
    return [shard.take(range(len(shard))) for shard in discover.places(split)]


def test_records_of_bare_files_are_found(two: Path) -> None:
    assert found(discover.splits(two)[0]) == [[(0, 21), (21, 16)], [(0, 29)]]


def test_index_files_and_shards_give_the_same_places(ours: Path) -> None:
    split = discover.split(ours, "train")
    walked = [locate_records(path) for path in split.shards]
    assert found(split) == walked
    for path, places in zip(split.shards, walked, strict=True):
        lines = [b"%d %d\n" % place for place in places]  # of version 0.1.0 and other programs
        path.with_suffix(".tfindex").write_bytes(b"".join(lines))
    assert found(split) == walked


def test_a_missing_shard_has_no_places(ours: Path) -> None:
    split = discover.split(ours, "train")
    split.shards[0].with_suffix(".tfindex").unlink()
    with pytest.raises(RunError):
        discover.places(split)


@pytest.mark.parametrize("line", [b"0 10\n", index_line(0, 10)])
def test_an_index_file_with_fewer_records_than_the_manifest_is_refused(
    ours: Path, line: bytes
) -> None:
    split = discover.split(ours, "train")
    split.shards[0].with_suffix(".tfindex").write_bytes(line)
    with pytest.raises(DataError) as caught:
        discover.places(split)
    assert str(caught.value) == (f"{split.shards[0]}: found 1 record, expected 2 by the manifest")


def test_an_index_file_cut_inside_a_line_is_refused(ours: Path) -> None:
    split = discover.split(ours, "train")
    index = split.shards[0].with_suffix(".tfindex")
    whole = index.read_bytes()
    index.write_bytes(whole[:-1])
    with pytest.raises(FramingError) as caught:
        discover.places(split)
    assert str(caught.value) == (
        f"{index}: line 2: found {whole[24:-1]!r}, expected 'offset length'"
    )
    assert caught.value.hint == "verify"


def test_a_damaged_file_has_no_places(two: Path) -> None:
    (two / "a").write_bytes(b"damaged, and more than twelve bytes of it")
    with pytest.raises(FramingError):
        discover.places(discover.splits(two)[0])


@pytest.mark.parametrize(
    ("files", "compression"),
    [
        ({"a": framed(b"x")}, "none"),
        ({"a": gzip.compress(framed(b"x"))}, "gzip"),
        ({"a": b"", "b": gzip.compress(framed(b"x"))}, "gzip"),
        ({"a": b""}, "none"),
    ],
)
def test_the_first_file_that_is_not_empty_tells_the_compression(
    tmp_path: Path, files: dict[str, bytes], compression: str
) -> None:
    assert discover.compression(discover.splits(fill(tmp_path / "x", files))[0]) == compression


def test_payloads_come_in_stored_order(two: Path) -> None:
    assert list(discover.payloads(discover.splits(two)[0])) == PAYLOADS


def test_the_first_record_tells_the_names_of_the_features(tmp_path: Path) -> None:
    payload = example.encode({"jpg": png(photo(4, 4)), "class_id": 3, "other": 1})
    names, record = discover.first_record(
        discover.splits(fill(tmp_path / "x", {"a": framed(payload)}))[0]
    )
    assert (names.image, names.label, names.height, record.label) == ("jpg", "class_id", None, 3)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a": b""}, "a: found an empty file, expected records"),
        (
            {"a": framed(example.encode({"x": 1, "y": 2}))},
            "a: found features x, y, expected one that holds an image",
        ),
    ],
    ids=["no record", "no image"],
)
def test_files_without_an_image_are_refused(
    tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    folder = fill(tmp_path / "x", files)
    with pytest.raises(DataError) as caught:
        discover.first_record(discover.splits(folder)[0])
    assert str(caught.value) == f"{folder}/{message}"


def test_a_first_record_that_is_no_example_is_refused_with_its_file_name(tmp_path: Path) -> None:
    folder = fill(tmp_path / "x", {"a": framed(b"\xffunknown")})
    with pytest.raises(DataError) as caught:
        discover.first_record(discover.splits(folder)[0])
    assert str(caught.value).startswith(f"{folder}/a: ")
