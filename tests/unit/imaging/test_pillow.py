"""Pillow as a reader's decoder: the same pixels as TensorFlow, for whole images and windows."""

from __future__ import annotations

import io
import threading
import warnings
from typing import Any

import numpy as np
import pytest
from conftest import Framework, Pixels, class_files, jpeg, oriented, photo, png
from PIL import Image

from tfrec_cli.errors import ImageError
from tfrec_cli.imaging import jpeg as jpeg_markers
from tfrec_cli.imaging.pillow_decoder import PillowDecoder

DECODER = PillowDecoder()
SAMPLINGS = ["4:4:4", "4:2:2", "4:2:0"]


def by_tensorflow(data: bytes) -> Pixels:
    decoder = Framework("tfrec_cli.imaging.tensorflow_decoder", "tensorflow").TensorFlowDecoder()
    pixels: Pixels = decoder.decode_whole(data)
    return pixels


def with_sampling(picture: Pixels, sampling: str) -> bytes:
    return jpeg(picture, subsampling=sampling)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("size", [(40, 50), (37, 41), (16, 16), (33, 15)])
def test_every_window_of_rows_is_exact(sampling: str, size: tuple[int, int]) -> None:
    """TensorFlow decodes the whole image; Pillow only the rows down to the end of the window."""
    height, width = size
    data = with_sampling(photo(height, width, 3), sampling)
    whole = by_tensorflow(data)
    for top in range(height):
        for rows in {1, 2, 7, height - top} & set(range(1, height - top + 1)):
            window = DECODER.decode_window(data, width, (top, 3, rows, width - 5))
            assert np.array_equal(window, whole[top : top + rows, 3 : width - 2]), (top, rows)


@pytest.mark.parametrize("options", [{"restart_marker_rows": 1}, {"optimize": True}])
def test_windows_of_other_baseline_jpegs_are_exact(options: dict[str, Any]) -> None:
    data = jpeg(photo(60, 70, 1), subsampling="4:2:0", **options)
    window = DECODER.decode_window(data, 70, (5, 9, 20, 30))
    assert np.array_equal(window, by_tensorflow(data)[5:25, 9:39])


@pytest.mark.parametrize("marked", [True, False])
def test_cmyk_jpegs_are_exact_with_and_without_an_adobe_marker(marked: bool) -> None:
    """With the marker, values are inverted."""
    inks = np.random.default_rng(4).integers(0, 256, (30, 40, 4), dtype=np.uint8)
    data = jpeg(Image.frombytes("CMYK", (40, 30), inks.tobytes()))
    start = data.index(b"\xff\xee")
    if not marked:
        data = data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4], "big") :]
    assert np.array_equal(DECODER.decode_whole(data), by_tensorflow(data))


def test_windows_of_gray_jpegs_are_exact() -> None:
    data = jpeg(Image.fromarray(photo(44, 33)).convert("L"))
    window = DECODER.decode_window(data, 33, (10, 1, 9, 20))
    assert np.array_equal(window, by_tensorflow(data)[10:19, 1:21])


def test_nothing_is_decoded_below_a_window() -> None:
    """The last third of the data may be missing."""
    picture = photo(64, 64)
    data = jpeg(picture, subsampling="4:4:4")
    cut = data[: jpeg_markers.read_frame(data).end + 2 * len(data) // 3] + b"\xff\xd9"
    window = DECODER.decode_window(cut, 64, (0, 0, 16, 64))
    assert np.array_equal(window, DECODER.decode_whole(data)[:16])


def test_whole_images_have_the_pixels_of_tensorflow() -> None:
    for name in ("cats/420.jpg", "cats/gray.jpg", "dogs/progressive.jpg", "owls/plain.png"):
        data = class_files()[name]
        assert np.array_equal(DECODER.decode_whole(data), by_tensorflow(data)), name


def test_palettes_alpha_and_deep_values_give_the_pixels_of_tensorflow() -> None:
    for name in ("owls/palette.png", "dogs/alpha.png", "owls/deep.png"):
        data = class_files()[name]
        assert np.array_equal(DECODER.decode_whole(data), by_tensorflow(data)), name


def test_the_orientation_is_not_applied() -> None:
    data = jpeg(photo(20, 30), exif=oriented(6))
    assert DECODER.decode_whole(data).shape == (20, 30, 3)


def test_adobe_rgb_stays_rgb() -> None:
    data = jpeg(photo(20, 30), keep_rgb=True)
    assert np.array_equal(DECODER.decode_whole(data), by_tensorflow(data))


def test_a_broken_exif_block_raises_no_warning() -> None:
    """Pillow warns when it opens these; warning filters belong to all threads."""
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x02\x01\x1a\0\x05\0\0\0\x01\0\0\xff\xff"
    data = jpeg(photo(20, 30), exif=exif)
    with pytest.warns(UserWarning, match="Truncated File Read"):
        Image.open(io.BytesIO(data))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert DECODER.decode_whole(data).shape == (20, 30, 3)


@pytest.mark.parametrize(
    ("data", "reason", "message"),
    [
        (b"GIF89a" + bytes(20), "unsupported_format", "GIF"),
        (jpeg(photo(20, 30))[:300], "truncated", "expected"),
        (png(photo(20, 30))[:200], "truncated", "cannot be decoded"),
        (jpeg(photo(20, 30))[:-200], "truncated", "truncated"),
    ],
)
def test_an_image_that_cannot_be_decoded_is_an_image_error(
    data: bytes, reason: str, message: str
) -> None:
    with pytest.raises(ImageError, match=message) as refused:
        DECODER.decode_whole(data)
    assert refused.value.reason == reason


@pytest.mark.parametrize("box", [(0, 0, 21, 5), (15, 0, 6, 5), (0, 0, 5, 31)])
def test_a_window_outside_its_image_is_refused(box: tuple[int, int, int, int]) -> None:
    width = max(30, box[3])
    with pytest.raises(ImageError, match="by its record"):
        DECODER.decode_window(jpeg(photo(20, 30)), width, box)


def test_threads_do_not_change_filters_and_limits() -> None:
    data = [jpeg(photo(40, 50)), png(photo(40, 50))]
    before = list(warnings.filters), Image.MAX_IMAGE_PIXELS
    threads = [
        threading.Thread(target=lambda: [DECODER.decode_whole(one) for one in data * 20])
        for _ in range(4)
    ]
    seen = set()
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        seen.add((len(warnings.filters), Image.MAX_IMAGE_PIXELS))
    assert seen <= {(len(before[0]), before[1])}
    assert (list(warnings.filters), Image.MAX_IMAGE_PIXELS) == before


@pytest.mark.parametrize("data", [jpeg(photo(20, 30)), png(photo(20, 30))])
def test_more_pixels_than_the_limit_are_refused(data: bytes) -> None:
    assert PillowDecoder(20 * 30).decode_whole(data).shape == (20, 30, 3)
    with pytest.raises(ImageError) as refused:
        PillowDecoder(20 * 30 - 1).decode_whole(data)
    assert refused.value.reason == "too_many_pixels"


def test_a_byte_between_segments_is_skipped_as_in_tensorflow() -> None:
    data = jpeg(photo(20, 30))
    at = data.index(b"\xff\xdb")
    data = data[:at] + b"\0" + data[at:]
    assert np.array_equal(DECODER.decode_whole(data), by_tensorflow(data))
    window = DECODER.decode_window(data, 30, (2, 3, 9, 20))
    assert np.array_equal(window, DECODER.decode_whole(data)[2:11, 3:23])
