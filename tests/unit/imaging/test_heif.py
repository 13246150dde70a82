"""HEIC images by pillow-heif: known pixels, another decoder, and the container's rotation."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Framework, fill, oriented, photo
from PIL import Image
from written import stored

from tfrec_cli.commands.verify import Options, verify
from tfrec_cli.commands.write import write
from tfrec_cli.errors import ImageError
from tfrec_cli.imaging import heif, normalize
from tfrec_cli.imaging.header import examine
from tfrec_cli.imaging.policy import Policy
from tfrec_cli.writing.options import WriteOptions

pillow_heif = Framework("pillow_heif")
av = Framework("av")

PIXELS = photo(70, 90)
LOSSLESS = {"quality": -1, "chroma": 444, "matrix_coefficients": 0}
IGNORE = Policy(exif="ignore")


def heic(pixels: Any = PIXELS, **options: Any) -> bytes:
    """Encode as HEIC, by default without loss."""
    file = io.BytesIO()
    image = pillow_heif.from_pillow(Image.fromarray(pixels))
    image.save(file, **{**LOSSLESS, **options})
    return file.getvalue()


def upright(orientation: int) -> Any:
    """Return the pixels as they are shown, turned by NumPy."""
    turned = np.transpose(PIXELS, (1, 0, 2)) if orientation >= 5 else PIXELS
    down, across = [(1, 1), (1, -1), (-1, -1), (-1, 1), (1, 1), (1, -1), (-1, -1), (-1, 1)][
        orientation - 1
    ]
    return turned[::down, ::across]


@pytest.mark.parametrize("tile_size", [0, 64], ids=["one picture", "tiles"])
def test_pixels_are_those_that_were_encoded(tile_size: int) -> None:
    data = heic(tile_size=tile_size)
    assert np.array_equal(normalize.decode(data, Policy()), PIXELS)


def test_gray_and_alpha_are_decoded() -> None:
    alpha = np.dstack([PIXELS, np.full((70, 90), 255, np.uint8)])
    alpha[:9, :9, 3] = 0
    data = heic(alpha)
    assert np.array_equal(normalize.decode(data, Policy())[9:], PIXELS[9:])
    assert (normalize.decode(data, Policy(alpha="white"))[:9, :9] == 255).all()
    with pytest.raises(ImageError, match="found transparent pixels"):
        normalize.decode(data, Policy(alpha="fail"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_container_turns_the_picture(orientation: int) -> None:
    data = heic(exif=oriented(orientation).tobytes())
    examined = examine(data, Policy())
    shown = upright(orientation)
    assert examined.header.orientation == orientation
    assert ("orientation" in examined.changes) == (orientation != 1)
    assert (examined.header.height_px, examined.header.width_px) == shown.shape[:2]
    assert np.array_equal(normalize.decode(data, Policy()), shown)
    ignored = examine(data, IGNORE)
    assert "orientation" not in ignored.changes
    assert (ignored.header.height_px, ignored.header.width_px) == (70, 90)
    assert np.array_equal(normalize.decode(data, IGNORE), PIXELS)


def test_the_container_counts_and_not_exif() -> None:
    data = heic(exif=oriented(6).tobytes())
    at = data.index(b"irot") + 4
    assert data[at] == 3
    other = data[:at] + b"\1" + data[at + 1 :]
    assert heif.orientation_of(io.BytesIO(other)) == 8
    assert np.array_equal(normalize.decode(other, Policy()), upright(8))


@pytest.mark.parametrize("chroma", [420, 422, 444])
@pytest.mark.parametrize("matrix", [1, 6])
@pytest.mark.parametrize("size", [(70, 90), (71, 91)], ids=["even", "odd"])
def test_another_decoder_gives_the_same_pixels(
    chroma: int, matrix: int, size: tuple[int, int]
) -> None:
    """FFmpeg's planes, with our arithmetic; at most one level of rounding."""
    data = heic(photo(*size), quality=60, chroma=chroma, matrix_coefficients=matrix)
    frame = next(av.open(io.BytesIO(data)).decode(video=0))
    expected = by_arithmetic(frame, matrix)[: size[0], : size[1]]
    found = normalize.decode(data, Policy())
    assert np.abs(found.astype(int) - expected).max() <= 1


def by_arithmetic(frame: Any, matrix: int) -> Any:
    """Convert planes of full range to RGB by ITU-T H.273."""
    luma, *chroma = (
        np.frombuffer(bytes(plane), np.uint8)
        .reshape(plane.height, plane.line_size)[:, : plane.width]
        .astype(float)
        for plane in frame.planes
    )
    factors = luma.shape[0] // chroma[0].shape[0], luma.shape[1] // chroma[0].shape[1]
    blue, red = (np.kron(plane, np.ones(factors)) - 128 for plane in chroma)
    of_red, of_blue = {1: (0.2126, 0.0722), 6: (0.299, 0.114)}[matrix]
    to_red, to_blue = 2 * (1 - of_red) * red, 2 * (1 - of_blue) * blue
    to_green = -(of_red * to_red + of_blue * to_blue) / (1 - of_red - of_blue)
    values = [luma + to_red, luma + to_green, luma + to_blue]
    return np.clip(np.round(np.dstack(values)), 0, 255).astype(int)


def test_more_than_8_bits_are_refused() -> None:
    deep = photo(40, 50).astype(np.uint16) * 257
    file = io.BytesIO()
    pillow_heif.from_bytes("RGB;16", (50, 40), deep.tobytes()).save(file, quality=90)
    with pytest.raises(ImageError, match="found 10 bits a value in a HEIC image") as caught:
        examine(file.getvalue(), Policy())
    assert caught.value.reason == "unsupported_mode"


@pytest.mark.parametrize("crop", [None, (32, 32)], ids=["whole", "crop"])
def test_a_write_of_heic_is_verified(tmp_path: Path, crop: Any) -> None:
    files = {f"{n}.heic": heic(exif=oriented(n).tobytes()) for n in (1, 6)}
    source, out = fill(tmp_path / "src", files), tmp_path / "out"
    made = write(source, out, WriteOptions(crop=crop, jobs=1)).manifest
    assert made is not None
    assert made.changes == {"format_heic": 2, "orientation": 1}
    found = verify(out, Options(source=((None, source),), jobs=1))
    assert found.findings == []
    if not crop:
        assert stored(out)["6.heic"].height_px == 90


def test_without_pillow_heif_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    data = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)
    with pytest.raises(ImageError, match=r"pip install 'tfrec-cli\[heif\]'") as caught:
        examine(data, Policy())
    assert caught.value.reason == "unsupported_format"


def test_no_box_is_too_damaged() -> None:
    """Each byte of the metadata changed, and each cut."""
    data = heic(photo(16, 16), exif=oriented(6).tobytes())
    end = data.index(b"mdat")
    for at in range(end):
        for value in (0, 0x7F, 0xFF):
            changed = data[:at] + bytes([value]) + data[at + 1 : end]
            assert heif.orientation_of(io.BytesIO(changed)) in range(1, 9)
        assert heif.orientation_of(io.BytesIO(data[:at])) in range(1, 9)
