"""Types of values and numbers of channels: every image, in every reader, bit for bit alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import fill, jpeg, needs, photo, png, read_tf, read_torch
from PIL import Image
from written import stored

import tfrec_cli
from tfrec_cli import read_numpy
from tfrec_cli.dataset import records
from tfrec_cli.errors import UsageError
from tfrec_cli.imaging.kinds import deep
from tfrec_cli.runtime import native

CROP = (20, 30)
SHALLOW = photo(40, 50)
DEEP = (np.arange(40 * 50 * 3) * 7919 % 65536).reshape(40, 50, 3).astype(np.uint16)
COLOURED = {
    "a.jpg": jpeg(SHALLOW),
    "b.png": png(SHALLOW),
    "c.png": deep.png_file(DEEP),
    "d.png": deep.png_file(DEEP[::-1, :, :1]),
}
GREY = {
    "a.jpg": jpeg(Image.fromarray(SHALLOW).convert("L")),
    "b.png": png(SHALLOW[..., 0]),
    "c.png": deep.png_file(DEEP[..., :1]),
    "d.png": png(np.repeat(SHALLOW[..., 1:2], 3, axis=2)),
    "e.png": deep.png_file(np.repeat(DEEP[..., 1:2], 3, axis=2)),
}
WAYS: dict[str, dict[str, Any]] = {
    "whole, 16": {"depth": 16},
    "crops, 16": {"depth": 16, "crop": (26, 37)},
    "crops of that size, 16": {"depth": 16, "crop": CROP},
    "raw crops": {"crop": (26, 37)},
    "raw crops of that size": {"crop": CROP},
    "JPEG crops": {"crop": (26, 37), "encoding": "jpeg"},
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, bool], Path]:
    """Return what writes a dataset of one of `WAYS`, once."""
    root = tmp_path_factory.mktemp("dtype")
    sources = {grey: fill(root / str(grey), GREY if grey else COLOURED) for grey in (False, True)}

    def write(way: str, grey: bool) -> Path:
        out = root / f"{way}-{grey}"
        if not out.exists():
            tfrec_cli.write(sources[grey], out, labels="none", jobs=1, **WAYS[way])
        return out

    return write


def by_numpy(path: Path, **options: Any) -> list[Any]:
    return list(read_numpy.dataset(path, **options))


def by_source(path: Path, **options: Any) -> list[Any]:
    return list(read_numpy.source(path, **options))  # type: ignore[call-overload]  # a sequence


def by_tf(path: Path, **options: Any) -> list[Any]:
    return [image.numpy() for image in read_tf.dataset(path, **options)]


def by_torch(path: Path, **options: Any) -> list[Any]:
    opened = read_torch.dataset(path, **options)
    return [np.moveaxis(opened[number].numpy(), 0, -1) for number in range(len(opened))]


READERS = [
    by_numpy,
    by_source,
    pytest.param(by_tf, marks=needs("tensorflow")),
    pytest.param(by_torch, marks=needs("torch")),
]


def converted(pixels: Any, dtype: str) -> Any:
    """Convert as documented, each value by itself."""
    if dtype == "float32":
        shallow = pixels.astype(np.float32)
        shallow = shallow / np.float32(257) if pixels.dtype == np.uint16 else shallow
        return shallow * np.float32(1 / 255)
    if dtype == pixels.dtype:
        return pixels
    if dtype == "uint16":
        return pixels.astype(np.uint16) * 257
    return np.floor(pixels.astype(float) / 257 + 0.5).astype(np.uint8)


def expected(path: Path, dtype: str, channels: int) -> list[Any]:
    """Cut the centre crops of all records, in stored order."""
    cut = []
    for record in stored(path).values():
        pixels = records.pixels(record)
        top, left = (pixels.shape[0] - CROP[0]) // 2, (pixels.shape[1] - CROP[1]) // 2
        window = pixels[top : top + CROP[0], left : left + CROP[1], :channels]
        cut.append(converted(window, dtype))
    return cut


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_image_is_read_in_every_type(
    written: Callable[[str, bool], Path], read: Any, way: str, dtype: str, channels: int
) -> None:
    path = written(way, channels == 1)
    found = read(path, crop=CROP, crop_mode="center", dtype=dtype, channels=channels)
    wanted = expected(path, dtype, channels)
    assert len(found) == len(wanted) > 3
    for image, there in zip(found, wanted, strict=True):
        assert image.dtype == np.dtype(dtype)
        assert np.array_equal(image, there)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("options", [{}, {"flip": True}, {"flip": True, "brightness": 0.3}])
@needs("tensorflow", "torch")
def test_random_crops_are_the_same_in_all_readers(
    written: Callable[[str, bool], Path], dtype: str, options: Any
) -> None:
    asked = {"crop": CROP, "seed": 3, "dtype": dtype, **options}
    for way, channels in (("whole, 16", 3), ("whole, 16", 1), ("raw crops", 1)):
        path = written(way, channels == 1)
        first, *others = (
            read(path, channels=channels, **asked) for read in (by_numpy, by_tf, by_torch)
        )
        for other in others:
            assert all(map(np.array_equal, first, other))
            assert [image.dtype for image in other] == [np.dtype(dtype)] * len(first)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_values_are_the_same_without_the_extension(
    written: Callable[[str, bool], Path], monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    paths = [written(way, False) for way in WAYS]
    asked: dict[str, Any] = {"crop": CROP, "dtype": dtype, "batch_size": 3}
    before = [by_numpy(path, **asked) for path in paths]
    monkeypatch.setattr(native, "stack", lambda *_: False)
    for path, batches in zip(paths, before, strict=True):
        assert all(map(np.array_equal, by_numpy(path, **asked), batches))


def test_float32_of_16_bits_is_in_0_to_1_and_close_to_the_quotient() -> None:
    found = converted(np.arange(65536).astype(np.uint16), "float32")
    assert (found.min(), found.max()) == (0, 1)
    assert (np.diff(found) > 0).all()
    exact = np.arange(65536) / 65535
    assert np.abs(found - exact).max() < 1.2e-7


@pytest.mark.parametrize("read", READERS)
def test_colours_are_refused_if_one_channel_is_asked_for(
    written: Callable[[str, bool], Path], read: Any
) -> None:
    for way in WAYS:
        with pytest.raises(Exception, match=r"record \d: found colours, expected a grey image"):
            read(written(way, False), crop=CROP, channels=1, shuffle=False)


@pytest.mark.parametrize("read", [by_numpy, by_source])
@pytest.mark.parametrize(
    ("value", "found"),
    [(2, "2, expected 1 .grey. or 3"), ("1", "'1', expected a whole"), (True, "True, expected a")],
)
def test_other_numbers_of_channels_are_refused(
    written: Callable[[str, bool], Path], read: Any, value: Any, found: str
) -> None:
    with pytest.raises(UsageError, match=f"channels: found {found}"):
        read(written("whole, 16", True), channels=value)


def test_batches_have_one_channel(written: Callable[[str, bool], Path]) -> None:
    path = written("whole, 16", True)
    found = by_numpy(path, crop=(39, 49), batch_size=2, channels=1, dtype="uint16")
    assert [batch.shape for batch in found] == [(2, 39, 49, 1), (2, 39, 49, 1), (1, 39, 49, 1)]
