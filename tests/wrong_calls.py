"""Wrong calls of the program: what is prepared, the command, and the error message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from conftest import fill, photo, png
from program import tfrec


def empty(tmp: Path) -> None:
    (tmp / "src").rename(tmp / "elsewhere")
    (tmp / "src").mkdir()


def only_text(tmp: Path) -> None:
    empty(tmp)
    (tmp / "src/a.jpg").write_bytes(b"not a picture")


def out_is_a_file(tmp: Path) -> None:
    (tmp / "out").write_bytes(b"")


def header_only(tmp: Path) -> None:
    (tmp / "list.csv").write_text("path,label\n")


def out_holds_files(tmp: Path) -> None:
    fill(tmp / "out", {"mine.doc": b"", "yours.doc": b""})


def out_has_the_split(tmp: Path) -> None:
    assert tfrec("write", tmp / "src", tmp / "out").code == 0


def out_is_unfinished(tmp: Path) -> None:
    (tmp / "out/.train.partial").mkdir(parents=True)


def broken(tmp: Path) -> None:
    (tmp / "src/dogs/bad.jpg").write_bytes(b"GARBAGE")


def twins(tmp: Path) -> None:
    fill(tmp / "src", {"dogs/A.png": png(photo(9, 9)), "dogs/a.png": png(photo(9, 9))})


def next_to_classes(tmp: Path) -> None:
    (tmp / "src/x.png").write_bytes(png(photo(9, 9)))


def labels(text: str) -> Callable[[Path], None]:
    def make(tmp: Path) -> None:
        (tmp / "labels.txt").write_text(text)

    return make


def nothing(tmp: Path) -> None:
    del tmp


FORMATS = "jpeg, png, gif, webp, bmp, tiff, ppm, avif, jpeg2000, heic"
WRONG: list[tuple[str, Callable[[Path], None], str, int, str]] = [
    # id, what is prepared in the folder TMP, argv, exit code, the message after "tfrec: "
    (
        "SRC is missing",
        nothing,
        "write TMP/none TMP/out",
        2,
        "No such file or folder: TMP/none",
    ),
    (
        "SRC is a file",
        out_is_a_file,
        "write TMP/out TMP/new",
        2,
        "TMP/out: found a file, expected a folder of images or a .csv, .tsv or .jsonl file",
    ),
    ("SRC is empty", empty, "write TMP/src TMP/out", 1, "TMP/src: found no files, expected images"),
    (
        "SRC has a header only",
        header_only,
        "write TMP/list.csv TMP/out",
        1,
        "TMP/list.csv: found no row, expected one for each image",
    ),
    (
        "no file is an image",
        only_text,
        "write TMP/src TMP/out --on-error skip",
        1,
        "TMP/src: found no image that can be used, expected at least one",
    ),
    (
        "OUT is a file",
        out_is_a_file,
        "write TMP/src TMP/out",
        3,
        "TMP/out: found a file, expected a folder, or nothing",
    ),
    (
        "OUT lies in a file",
        out_is_a_file,
        "write TMP/src TMP/out/below",
        3,
        "TMP/out/below: cannot be written: Not a directory",
    ),
    (
        "OUT is not empty",
        out_holds_files,
        "write TMP/src TMP/out",
        3,
        "TMP/out: found other files (mine.doc…), expected an empty folder or a dataset "
        "(--overwrite)",
    ),
    (
        "SRC and OUT are swapped",
        out_has_the_split,
        "write TMP/out TMP/src",
        2,
        "TMP/out: found a tfrec dataset, expected images: the order is SRC, OUT",
    ),
    (
        "the split is there",
        out_has_the_split,
        "write TMP/src TMP/out",
        3,
        "TMP/out: split 'train' exists: --split sets another name, --overwrite replaces it",
    ),
    (
        "another write is unfinished",
        out_is_unfinished,
        "write TMP/src TMP/out",
        3,
        "TMP/out/.train.partial: found an unfinished write, expected none: --overwrite starts over",
    ),
    (
        "the crop is larger than every image",
        nothing,
        "write TMP/src TMP/out --crop 10x12",
        2,
        "--crop: found no image of 10x12 or more, the largest is 9 wide, 8 high, "
        "expected a smaller crop",
    ),
    (
        "an image is smaller than the crop",
        nothing,
        "write TMP/src TMP/out --crop 8x8",
        1,
        "TMP/src/cats/2.jpg: found 7 wide, 10 high, expected at least 8 wide, 8 high; "
        "--small skip, pad or resize; add --resume to reuse the complete shards",
    ),
    (
        "an image is broken",
        broken,
        "write TMP/src TMP/out",
        1,
        f"TMP/src/dogs/bad.jpg: found text, expected one of {FORMATS}; --on-error skip leaves "
        "it out; add --resume to reuse the complete shards",
    ),
    (
        "more are broken than allowed",
        broken,
        "write TMP/src TMP/out --on-error skip --max-errors 20%",
        1,
        "TMP/src: stopped after rejecting 1 of 4 images (there may be more), expected at most 20% "
        "(--max-errors); the first: "
        f"dogs/bad.jpg: found text, expected one of {FORMATS}",
    ),
    (
        "paths differ only in case",
        twins,
        "write TMP/src TMP/out",
        1,
        "TMP/src/dogs/a.png: found a path that differs from dogs/A.png only in case or Unicode "
        "form, expected paths that every file system tells apart; "
        "--on-error skip leaves it out; add --resume to reuse the complete shards",
    ),
    (
        "an image is next to class folders",
        next_to_classes,
        "write TMP/src TMP/out",
        1,
        "TMP/src/x.png: found an image next to class folders, expected every image in one (or "
        "--labels none)",
    ),
    (
        "a class is missing in the label file",
        labels("cats\nowls\n"),
        "write TMP/src TMP/out --labels TMP/labels.txt",
        1,
        "TMP/src/dogs: found a class that --labels TMP/labels.txt does not name, expected one of "
        "its 2 classes",
    ),
    (
        "the label file names a class twice",
        labels("cats\ncats\n"),
        "write TMP/src TMP/out --labels TMP/labels.txt",
        2,
        "--labels TMP/labels.txt: found 'cats' twice, expected it once",
    ),
    (
        "the label file is missing",
        nothing,
        "write TMP/src TMP/out --labels TMP/none.txt",
        2,
        "--labels: No such file or folder: TMP/none.txt",
    ),
    (
        "an encoding of whole images",
        nothing,
        "write TMP/src TMP/out --encoding png",
        2,
        "--encoding: needs --crop: whole images keep their bytes",
    ),
    (
        "small images, all whole",
        nothing,
        "write TMP/src TMP/out --small skip",
        2,
        "--small: needs --crop: whole images may have any size",
    ),
    (
        "a quality of whole images",
        nothing,
        "write TMP/src TMP/out --jpeg-quality 80",
        2,
        "--jpeg-quality: needs --crop with --encoding jpeg",
    ),
    (
        "metadata of crops",
        nothing,
        "write TMP/src TMP/out --crop 4 --strip-metadata",
        2,
        "--strip-metadata: cannot be used with --crop: crops have no metadata",
    ),
    (
        "small images, all whole, checked",
        nothing,
        "check TMP/src --small skip",
        2,
        "--small: needs --crop: whole images may have any size",
    ),
    (
        "raw crops of tf-models",
        nothing,
        "write TMP/src TMP/out --crop 4 --encoding raw --keys tf-models",
        2,
        "--encoding raw: --keys tf-models needs png or jpeg",
    ),
    (
        "an index of compressed shards",
        nothing,
        "write TMP/src TMP/out --index --compression gzip",
        2,
        "--index: GZIP shards cannot have index files",
    ),
    (
        "a limit that is no number",
        nothing,
        "write TMP/src TMP/out --on-error skip --max-errors few",
        2,
        "--max-errors: found 'few', expected a number, or a share such as 1%",
    ),
    (
        "a limit without skipping",
        nothing,
        "write TMP/src TMP/out --max-errors 3",
        2,
        "--max-errors: needs --on-error skip",
    ),
    (
        "a split that no file can be called by",
        nothing,
        "write TMP/src TMP/out --split a/b",
        2,
        "--split: found 'a/b', expected letters, digits, _ and -",
    ),
    (
        "more shards than images",
        nothing,
        "write TMP/src TMP/out --shards 4",
        2,
        "--shards 4: found 3 images, expected one for each shard",
    ),
    (
        "inspect nothing",
        nothing,
        "inspect TMP/none",
        2,
        "No such file or folder: TMP/none",
    ),
    (
        "inspect a glob of nothing",
        nothing,
        "inspect TMP/none*",
        2,
        "TMP/none*: no file matches this pattern",
    ),
    (
        "inspect an empty folder",
        empty,
        "inspect TMP/src",
        2,
        "TMP/src: no record files in this folder",
    ),
    (
        "inspect a record too many",
        out_has_the_split,
        "inspect TMP/out --record 3",
        2,
        "--record 3: found 3 records, expected a number below that",
    ),
    (
        "a page of crops larger than every image",
        out_has_the_split,
        "inspect TMP/out --html TMP/page.html --crop 9x800",
        1,
        "TMP/out/train-00000-of-00001.tfrecord: found no image that can be shown, expected one of "
        "9x800 or more",
    ),
    (
        "a page that cannot be written",
        out_has_the_split,
        "inspect TMP/out --html TMP/none/page.html",
        3,
        "TMP/none/page.html: No such file or directory",
    ),
    (
        "verify nothing",
        nothing,
        "verify TMP/none",
        2,
        "No such file or folder: TMP/none",
    ),
    (
        "crops without a seed",
        out_has_the_split,
        "verify TMP/out --crop 4",
        2,
        "--crop: needs --seed, to place the crops",
    ),
    (
        "a fingerprint without a seed",
        out_has_the_split,
        "verify TMP/out --expect seed0",
        2,
        "--expect: needs --seed, to compute the fingerprint",
    ),
    (
        "quick crops",
        out_has_the_split,
        "verify TMP/out --quick --seed 1",
        2,
        "--quick: cannot be used with --seed: crops need decoding",
    ),
]
