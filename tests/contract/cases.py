"""Cases for golden values: every layout, option and command, on the sample images.

Options that will be removed, such as the decoder, are not used.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from .record import SAMPLES, Work

PLAIN = [
    "clouds/clouds-01-444.jpg",
    "clouds/clouds-03-420.jpg",
    "clouds/clouds-04-progressive.jpg",
    "clouds/clouds-05-gray.jpg",
    "clouds/clouds-09-rgb.png",
    "clouds/clouds-13-upper.JPEG",
    "leaves/leaves-04-422.jpg",
    "leaves/leaves-10-palette.png",
    "leaves/leaves-13-420.jpg",
    "pebbles/pebbles-05-progressive.jpg",
    "pebbles/pebbles-11-gray8.png",
    "pebbles/pebbles-13-420.jpg",
]
"""Images that are stored as they are, of at least 128 x 128 pixels."""

SMALL = "pebbles/pebbles-06-small.jpg"
TURNED = "clouds/clouds-06-exif6.jpg"

CENTER = {"crop": 96, "crop_mode": "center", "dtype": "uint8"}
RANDOM = {"crop": (80, 96), "seed": 7, "epoch": 3, "dtype": "uint8"}
CHANGED = {"crop": 96, "seed": 9, "epoch": 1, "shuffle": True, "flip": True, "brightness": 0.1}


@dataclass(frozen=True)
class Case:
    """One case.

    Attributes:
        run: runs commands in a folder.
        encoder: what makes bytes that other versions of Pillow or zlib may make otherwise; of a
            lossy one pixels may differ too.
    """

    run: Callable[[Work], None]
    encoder: Literal["none", "lossless", "lossy"] = "none"


def images(work: Work, *names: str) -> None:
    """Copy sample images to ``images``; all of them without names."""
    if not names:
        work.copy(SAMPLES / "images", "images")
    for name in names:
        work.copy(SAMPLES / "images" / name, f"images/{name}")


def readers(work: Work, dataset: str, name: str = "", **options: Any) -> None:
    """Record what readers return: centre crops, random crops, shuffled and augmented."""
    for kind, more in (("center", CENTER), ("random", RANDOM), ("changed", CHANGED)):
        work.digests(f"{name}{kind}", dataset, **more, **options)


def write(work: Work, *options: str, name: str = "write", src: str = "images") -> None:
    """Write ``src`` to ``out`` and record all files."""
    work.tfrec(name, "write", src, "out", *options)
    work.files("out")


def whole(work: Work) -> None:
    images(work)
    work.tfrec("dry-run", "write", "images", "out", "--dry-run")
    write(work)
    work.tfrec("inspect", "inspect", "out")
    work.tfrec("inspect --record", "inspect", "out", "--record", "3")
    work.tfrec("inspect --records", "inspect", "out", "--records", "2")
    work.tfrec("inspect --labels", "inspect", "out", "--labels")
    work.tfrec("verify --quick", "verify", "out", "--quick")
    work.tfrec("verify", "verify", "out")
    work.tfrec("verify --seed", "verify", "out", "--seed", "42", "--epochs", "2")
    work.tfrec("verify --source", "verify", "out", "--source", "images")
    work.tfrec("extract", "extract", "out", "tree")
    work.files("tree")
    readers(work, "out")


def whole_as_it_is(work: Work) -> None:
    images(work, *PLAIN)
    write(work)
    work.tfrec("verify --seed", "verify", "out", "--seed", "42", "--crop", "128")
    work.tfrec("extract", "extract", "out", "tree")
    work.files("images", "tree")
    readers(work, "out")


def crops(work: Work) -> None:
    images(work, *PLAIN, SMALL)
    work.tfrec("dry-run", "write", "images", "out", "--crop", "128", "--small", "skip", "--dry-run")
    write(work, "--crop", "128", "--small", "skip")
    work.tfrec("inspect", "inspect", "out")
    work.tfrec("inspect --record", "inspect", "out", "--record", "3")
    work.tfrec("verify --seed", "verify", "out", "--seed", "42")
    work.tfrec("verify --seed --crop", "verify", "out", "--seed", "42", "--crop", "80x96")
    work.tfrec("verify --source", "verify", "out", "--source", "images")
    readers(work, "out")
    work.digests("stored", "out", dtype="uint8")
    work.digests("stored-float", "out")


def crops_of_all(work: Work) -> None:
    images(work)
    write(work, "--crop", "128", "--small", "skip")
    work.tfrec("verify --seed", "verify", "out", "--seed", "42")
    work.digests("stored", "out", dtype="uint8")


def crops_png(work: Work) -> None:
    images(work, *PLAIN)
    write(work, "--crop", "128x112", "--encoding", "png")
    work.tfrec("inspect", "inspect", "out")
    work.tfrec("verify --seed", "verify", "out", "--seed", "42")
    work.tfrec("extract", "extract", "out", "tree")
    work.files("tree")
    readers(work, "out")
    work.digests("stored", "out", dtype="uint8")


def crops_jpeg(work: Work) -> None:
    images(work, *PLAIN, TURNED)
    write(work, "--crop", "128", "--encoding", "jpeg", "--jpeg-quality", "90")
    work.tfrec("inspect", "inspect", "out")
    work.tfrec("verify --seed", "verify", "out", "--seed", "42")
    work.tfrec("extract", "extract", "out", "tree")
    work.files("tree")
    readers(work, "out")


def gzip(work: Work) -> None:
    images(work, *PLAIN)
    write(work, "--compression", "gzip", "--shards", "2")
    work.tfrec("inspect", "inspect", "out")
    work.tfrec("verify --seed", "verify", "out", "--seed", "42")
    work.tfrec("reshard", "reshard", "out", "resharded", "--shards", "3")
    work.files("resharded")
    for name, options in (("center", CENTER), ("random", RANDOM)):
        work.digests(name, "out", skip=("numpy", "torch"), **options)


def tf_models(work: Work) -> None:
    images(work, *PLAIN)
    write(work, "--keys", "tf-models")
    work.tfrec("inspect", "inspect", "out")
    work.tfrec("inspect --record", "inspect", "out", "--record", "1")
    work.tfrec("verify --seed", "verify", "out", "--seed", "42")
    work.digests("random", "out", **RANDOM)


def tf_models_png(work: Work) -> None:
    images(work, *PLAIN)
    write(work, "--keys", "tf-models", "--crop", "128")
    work.tfrec("inspect", "inspect", "out")
    work.tfrec("verify --source", "verify", "out", "--source", "images")
    work.digests("stored", "out", dtype="uint8")


def splits(work: Work) -> None:
    images(work, *PLAIN)
    work.copy(SAMPLES / "images" / PLAIN[0], "images/clouds/copy.jpg")
    divided = "--split", "train=0.75,val=0.25"
    work.tfrec("dry-run", "write", "images", "out", *divided, "--dry-run")
    write(work, *divided)
    work.tfrec("verify --seed", "verify", "out", "--seed", "42")
    work.tfrec("verify --source", "verify", "out", "--source", "images")
    work.tfrec("extract", "extract", "out", "tree")
    work.files("tree")
    for split in ("train", "val"):
        work.digests(split, "out", split=split, **RANDOM)


def splits_of_crops(work: Work) -> None:
    images(work, *PLAIN)
    write(work, "--split", "a=0.5,b=0.3,c=0.2", "--crop", "96", "--shards", "2")
    work.tfrec("verify --seed", "verify", "out", "--seed", "1")


def image_list(work: Work, kind: str, text: str) -> None:
    """Write an image list with further columns."""
    images(work, *PLAIN)
    (work.folder / f"list.{kind}").write_text(text, "utf-8")
    source = f"list.{kind}"
    work.tfrec("dry-run", "write", source, "out", "--root", "images", "--dry-run")
    write(work, "--root", "images", src=source)
    work.tfrec("inspect", "inspect", "out")
    work.tfrec("inspect --records", "inspect", "out", "--records", "2")
    work.tfrec("verify --source", "verify", "out", "--source", source, "--root", "images")
    work.digests("random", "out", **RANDOM)


def list_csv(work: Work) -> None:
    rows = ["path,label,views,score,note,tags"]
    for number, name in enumerate(PLAIN[:8]):
        note = f'"läuft, {number}"' if number % 3 else ""
        rows.append(f'{name},{"ab"[number % 2]},{number},{number / 8},{note},"[{number}, 2]"')
    image_list(work, "csv", "\n".join(rows) + "\n")


def list_tsv(work: Work) -> None:
    rows = ["path\tsplit_of\tmixed"]
    rows += [f"{name}\t{number:03}\t{number or 'x'}" for number, name in enumerate(PLAIN[:5])]
    image_list(work, "tsv", "\n".join(rows) + "\n")


def list_jsonl(work: Work) -> None:
    """Write an image list with boxes, their labels, lists, and values of some rows only."""
    rows = []
    for number, name in enumerate(PLAIN[:8]):
        boxes = number % 3
        row = {
            "path": name,
            "label": name.split("/")[0],
            "xmin": [0.125 * box for box in range(boxes)],
            "xmax": [0.125 * box + 0.5 for box in range(boxes)],
            "ymin": [0.0] * boxes,
            "ymax": [1.0 - 0.25 * box for box in range(boxes)],
            "area": [1.5] * boxes,
            "is_crowd": [0] * boxes,
            "words": ["x", "ü"][:boxes],
        }
        rows.append({**row, "only_some": number} if number % 2 else row)
    image_list(work, "jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def resize_short(work: Work) -> None:
    images(work, *PLAIN, TURNED)
    write(work, "--resize-short", "100")
    work.tfrec("verify --seed", "verify", "out", "--seed", "42")
    work.tfrec("verify --source", "verify", "out", "--source", "images")
    work.digests("random", "out", **{**RANDOM, "crop": 96})


def resize_short_crop(work: Work) -> None:
    images(work, *PLAIN, SMALL)
    write(work, "--resize-short", "140", "--crop", "128")
    work.digests("stored", "out", dtype="uint8")


def small_pad(work: Work) -> None:
    images(work, *PLAIN[:4], SMALL)
    write(work, "--crop", "128", "--small", "pad")
    work.tfrec("verify --source", "verify", "out", "--source", "images")
    work.digests("stored", "out", dtype="uint8")


def small_resize(work: Work) -> None:
    images(work, *PLAIN[:4], SMALL)
    write(work, "--crop", "128", "--small", "resize")
    work.digests("stored", "out", dtype="uint8")


def small_while_reading(work: Work) -> None:
    images(work, *PLAIN[:6], SMALL)
    write(work)
    for small in ("pad", "skip"):
        skip = ("torch",) if small == "skip" else ()
        work.digests(small, "out", skip=skip, small=small, **{**RANDOM, "crop": 130})


def no_index(work: Work) -> None:
    images(work, *PLAIN[:5])
    write(work, "--no-index", "--crop", "64")
    work.tfrec("verify --seed", "verify", "out", "--seed", "42")
    work.digests("changed", "out", **{**CHANGED, "crop": 64})


def shards(work: Work) -> None:
    images(work, *PLAIN)
    write(work, "--shards", "3", "--shuffle-seed", "5")
    work.tfrec("inspect", "inspect", "out")
    work.tfrec("verify --seed", "verify", "out", "--seed", "42")
    work.digests("changed", "out", **CHANGED)


def shard_size(work: Work) -> None:
    images(work, *PLAIN)
    write(work, "--shard-size", "100KiB", "--no-shuffle", "--labels", "none")
    work.tfrec("inspect", "inspect", "out")
    work.tfrec("verify", "verify", "out")
    work.digests("random", "out", **RANDOM)
    work.digests("changed", "out", **CHANGED)


def labels_file(work: Work) -> None:
    images(work, *PLAIN[:8], TURNED, "leaves/leaves-11-alpha.png")
    (work.folder / "labels.txt").write_text("leaves\nother\nclouds\n")
    write(work, "--labels", "labels.txt", "--crop", "64", "--exif", "ignore", "--alpha", "white")
    work.tfrec("inspect --labels", "inspect", "out", "--labels")
    work.digests("stored", "out")


def second_split(work: Work) -> None:
    images(work, *PLAIN)
    work.copy(work.folder / "images/leaves", "more/leaves")
    write(work, "--crop", "96", "--shards", "2")
    work.tfrec("write val", "write", "more", "out", "--crop", "96", "--split", "val")
    work.copy(work.folder / "images/leaves", "other/ferns")
    work.tfrec("other labels", "write", "other", "out", "--crop", "96", "--split", "test")
    work.files("out")
    work.tfrec("verify --seed", "verify", "out", "--seed", "42")
    sources = "--source", "train=images", "--source", "val=more"
    work.tfrec("verify --source", "verify", "out", *sources)
    work.tfrec("extract", "extract", "out", "tree", "--split", "val")
    work.digests("val", "out", split="val", dtype="uint8")
    work.copy(work.folder / "out", "replaced")
    work.tfrec("overwrite", "write", "images", "replaced", "--crop", "80", "--overwrite")
    work.tfrec("overwrite-alike", "write", "images", "replaced", "--crop", "96", "--overwrite")
    work.files("replaced")


def reshard(work: Work) -> None:
    images(work, *PLAIN)
    work.tfrec("write", "write", "images", "out", "--split", "train=0.75,val=0.25", "--shards", "2")
    work.tfrec("reshard", "reshard", "out", "one", "--shards", "1")
    work.tfrec("reshard-size", "reshard", "out", "many", "--shard-size", "50KiB", "--no-index")
    work.tfrec("reshard-split", "reshard", "out", "val", "--shards", "2", "--split", "val")
    work.files("one", "many", "val")
    work.tfrec("verify --seed", "verify", "one", "--seed", "42")
    work.digests("changed", "many", **CHANGED)


def salvage(work: Work) -> None:
    """Salvage a damaged shard, a cut shard, and a shard without sidecar files."""
    images(work, *PLAIN)
    work.tfrec("write", "write", "images", "out", "--shards", "2")
    shard = "train-00000-of-00002.tfrecord"
    path = work.folder / "out" / shard
    data = bytearray(path.read_bytes())
    work.tfrec("intact", "salvage", f"out/{shard}", "intact.tfrecord")
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    work.copy(path, "alone.tfrecord")
    source = "--source", "images"
    work.tfrec("verify", "verify", "out")
    work.tfrec("hole", "salvage", f"out/{shard}", "hole.tfrecord")
    work.tfrec("hole --source", "salvage", f"out/{shard}", "hole-2.tfrecord", *source)
    work.tfrec("alone", "salvage", "alone.tfrecord", "saved.tfrecord")
    path.write_bytes(data[: len(data) // 3])
    work.tfrec("cut", "salvage", f"out/{shard}", "cut.tfrecord", *source)
    work.tfrec("verify cut", "verify", "out", "--quick")
    work.tfrec("inspect cut", "inspect", "out")
    for name in ("intact", "hole", "hole-2", "saved", "cut"):
        work.file(f"{name}.tfrecord")


def extract(work: Work) -> None:
    images(work, *PLAIN)
    work.tfrec("write-crops", "write", "images", "crops", "--crop", "64")
    work.tfrec("write-models", "write", "images", "models", "--keys", "tf-models")
    work.tfrec("extract-crops", "extract", "crops", "crop-tree")
    work.tfrec("extract-models", "extract", "models", "model-tree")
    for path in (work.folder / "models").glob("*.*json*"):
        path.unlink()
    work.tfrec("extract-others", "extract", "models", "other-tree")
    work.tfrec("inspect-others", "inspect", "models")
    work.tfrec("verify-others", "verify", "models")
    work.tfrec("verify-others --seed", "verify", "models", "--seed", "3")
    work.files("crop-tree", "model-tree", "other-tree")
    work.digests("others", "models", **RANDOM)


def rejects(work: Work) -> None:
    """Write with files that are no images: left out, counted, or too many."""
    images(work, *PLAIN[:6])
    work.copy(SAMPLES / "rejects", "images/bad")
    (work.folder / "images/notes.txt").write_text("no image\n")
    (work.folder / "images/clouds/.hidden").write_text("")
    skip = "--on-error", "skip"
    work.tfrec("dry-run", "write", "images", "out", *skip, "--dry-run")
    work.tfrec("too many", "write", "images", "out", *skip, "--max-errors", "2")
    work.tfrec("fail", "write", "images", "out")
    write(work, *skip, "--check", "decode", name="skip")
    work.tfrec("crops", "write", "images", "crops", *skip, "--crop", "64", "--max-errors", "90%")
    work.files("crops")
    work.tfrec("verify", "verify", "out")


def errors(work: Work) -> None:
    """Record errors with exit codes 1, 2 and 3, and findings of verify."""
    images(work, *PLAIN[:5])
    (work.folder / "text.tfrecord").write_text("this is no record\n")
    work.tfrec("write", "write", "images", "out", "--shards", "2")
    work.tfrec("1 inspect", "inspect", "text.tfrecord")
    work.tfrec("1 too small", "write", "images", "no", "--crop", "150")
    work.tfrec("2 option", "write", "images", "no", "--corp", "3", texts=False)
    work.tfrec("2 value", "write", "images", "no", "--crop", "0")
    work.tfrec("2 range", "verify", "out", "--seed", "-1", texts=False)
    work.tfrec("2 does nothing", "verify", "out", "--epochs", "2")
    work.tfrec("2 too large", "write", "images", "no", "--crop", "5000", "--small", "skip")
    work.tfrec("2 split", "write", "images", "no", "--split", "train=0.5")
    work.tfrec("2 no source", "write", "nowhere", "no")
    work.tfrec("2 no command", "wirte", texts=False)
    work.tfrec("2 inspect", "inspect", "nowhere")
    work.tfrec("3 exists", "write", "images", "out")
    work.tfrec("3 extract", "extract", "out", "out")
    work.tfrec("3 reshard", "reshard", "out", "out", "--shards", "1")
    wrong = "seed42-128x128-e0:" + 64 * "0"
    work.tfrec("verify --seed", "verify", "out", "--seed", "42", "--expect", wrong)
    (work.folder / "out/train-00001-of-00002.tfrecord").unlink()
    (work.folder / "out/train-00000-of-00002.tfindex").write_text("0 1\n")
    (work.folder / "images" / PLAIN[0]).write_bytes(b"other")
    work.tfrec("verify", "verify", "out", "--source", "images")


CASES = {
    "whole": Case(whole, "lossy"),
    "whole-as-it-is": Case(whole_as_it_is),
    "crops": Case(crops),
    "crops-of-all": Case(crops_of_all, "lossy"),
    "crops-png": Case(crops_png, "lossless"),
    "crops-jpeg": Case(crops_jpeg, "lossy"),
    "gzip": Case(gzip, "lossless"),
    "tf-models": Case(tf_models),
    "tf-models-png": Case(tf_models_png, "lossless"),
    "splits": Case(splits),
    "splits-of-crops": Case(splits_of_crops),
    "list-csv": Case(list_csv),
    "list-tsv": Case(list_tsv),
    "list-jsonl": Case(list_jsonl),
    "resize-short": Case(resize_short, "lossy"),
    "resize-short-crop": Case(resize_short_crop, "lossy"),
    "small-pad": Case(small_pad),
    "small-resize": Case(small_resize, "lossy"),
    "small-while-reading": Case(small_while_reading),
    "no-index": Case(no_index),
    "shards": Case(shards),
    "shard-size-no-shuffle-no-labels": Case(shard_size),
    "labels-file": Case(labels_file),
    "second-split": Case(second_split),
    "reshard": Case(reshard),
    "salvage": Case(salvage),
    "extract": Case(extract, "lossless"),
    "rejects": Case(rejects),
    "errors": Case(errors),
}
