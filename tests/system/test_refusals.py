"""The writer and all readers decode the same images, and refuse the same."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Framework, Pixels, fill, jpeg, missing, photo, png

from tfrec_cli import read_numpy
from tfrec_cli.commands.verify import Options, verify
from tfrec_cli.commands.write import write
from tfrec_cli.dataset import records
from tfrec_cli.dataset.records import ImageRecord
from tfrec_cli.errors import DataError
from tfrec_cli.tfrecord.record import frame
from tfrec_cli.writing.options import WriteOptions

SIZE = (48, 56)
CROP = 20
SOUND = {
    "420": jpeg(photo(*SIZE, 1), subsampling="4:2:0"),
    "gray": jpeg(photo(*SIZE, 2)[..., 0]),
    "progressive": jpeg(photo(*SIZE, 3), subsampling="4:2:0", progressive=True),
    "restarts": jpeg(photo(*SIZE, 4), subsampling="4:2:2", restart_marker_blocks=2),
    "png": png(photo(*SIZE, 5)),
}


def damaged(data: bytes) -> dict[str, bytes]:
    """Damage the second half of an image in several ways."""
    at = len(data) * 2 // 3
    return {
        "flipped": data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :],
        "cut": data[:at],
        "ended early": data[:at] + b"\xff\xd9",
        "zeros": data[:at] + bytes(20) + data[at + 20 :],
        "stray marker": data[:at] + b"\xff\xe5\0\4ab" + data[at:],
        "second scan": data[:at] + b"\xff\xda\0\x08\1\1\0\0\x3f\0" + data[at:],
        "no end": data[:-2],
    }


FILES = {
    f"{kind} {how}": image
    for kind, data in SOUND.items()
    for how, image in {"sound": data, **damaged(data)}.items()
}


def by_writer(folder: Path, crop: int | None) -> set[str]:
    """Write each image; return the names of those that are refused."""
    suffixes = {name: ".png" if name.startswith("png") else ".jpg" for name in FILES}
    fill(folder / "src", {name + suffixes[name]: data for name, data in FILES.items()})
    size = (crop, crop) if crop else None
    options = WriteOptions(crop=size, check="decode", on_error="skip", labels="none", jobs=1)
    rejects = write(folder / "src", folder / "out", options).rejects
    return {os.fsdecode(one.path).rsplit(".", 1)[0] for one in rejects}


def with_numpy(path: Path, **options: Any) -> list[Pixels]:
    return list(read_numpy.dataset(path, **options))  # type: ignore[arg-type]


def with_torch(path: Path, **options: Any) -> list[Pixels]:
    reader = Framework("tfrec_cli.read_torch", "torch")
    return [image.numpy().transpose(1, 2, 0) for image in reader.dataset(path, **options)]


def with_tensorflow(path: Path, **options: Any) -> list[Pixels]:
    reader = Framework("tfrec_cli.read_tf", "tensorflow")
    return [image.numpy() for image in reader.dataset(path, **options)]


Reader = Callable[..., list[Pixels]]
READERS: dict[str, Reader] = {"read_torch": with_torch, "read_tf": with_tensorflow}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Store each image as it is in a record file of its own."""
    root = tmp_path_factory.mktemp("stored")
    for number, (name, data) in enumerate(FILES.items()):
        record = ImageRecord(
            image=data, height_px=SIZE[0], width_px=SIZE[1], key=number, filename=name.encode()
        )
        fill(root, {f"{name}.tfrecord": frame(records.encode(record, "plain"))})
    return {name: root / f"{name}.tfrecord" for name in FILES}


def read_one(reader: Reader, path: Path, crop: int | None) -> Any:
    """Read an image: its pixels, or None if it is refused."""
    try:
        (pixels,) = reader(path, crop=crop, crop_mode="center", dtype="uint8")
    except Exception as error:  # of the framework
        if isinstance(error, DataError) or "record 0: " in str(error):
            return None
        raise
    return pixels.tolist()


def read(reader: Reader, stored: dict[str, Path], crop: int | None = None) -> dict[str, Any]:
    return {name: read_one(reader, path, crop) for name, path in stored.items()}


def refused(found: dict[str, Any]) -> set[str]:
    return {name for name, pixels in found.items() if pixels is None}


@pytest.mark.parametrize("crop", [None, CROP], ids=["whole", "crop"])
@pytest.mark.parametrize("reader", ["read_torch", "read_tf"])
def test_all_readers_give_the_same_pixels_and_refuse_the_same(
    stored: dict[str, Path], reader: str, crop: int | None
) -> None:
    package = {"read_torch": "torch", "read_tf": "tensorflow"}[reader]
    if reason := missing(package):
        pytest.skip(reason)
    assert read(READERS[reader], stored, crop) == read(with_numpy, stored, crop)


@pytest.mark.parametrize("crop", [None, CROP], ids=["whole", "crop"])
def test_the_writer_refuses_what_the_readers_refuse(
    stored: dict[str, Path], tmp_path: Path, crop: int | None
) -> None:
    """And one more, whose pixels are complete, but not its structure."""
    found = refused(read(with_numpy, stored, crop))
    assert found == refused(read(with_numpy, stored))
    assert by_writer(tmp_path, crop) == {*found, "png no end"}


def test_verify_refuses_what_the_readers_refuse(stored: dict[str, Path]) -> None:
    """By Pillow's decode, which is not that of the readers."""
    findings = {name: verify(path, Options(jobs=1)).findings for name, path in stored.items()}
    found = {name for name, some in findings.items() if [one.kind for one in some] == ["image"]}
    assert found == refused(read(with_numpy, stored)) == {name for name in FILES if findings[name]}


def test_some_images_are_refused_and_some_are_not(stored: dict[str, Path]) -> None:
    """Otherwise the tests above might cover only one of the two."""
    found = len(refused(read(with_numpy, stored)))
    assert 8 < found < len(FILES) - 8
