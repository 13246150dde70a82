"""TensorFlow's decoders in its C library: the same pixels as TensorFlow and Pillow."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Pixels, jpeg, needs, oriented, photo, png, save, tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tfrec_cli.errors import ImageError, RunError
from tfrec_cli.imaging import jpeg as jpeg_markers
from tfrec_cli.imaging import normalize, tensorflow_decoder
from tfrec_cli.imaging.decoder import has_exact_window
from tfrec_cli.runtime.stderr import stderr_silenced

pytestmark = needs("tensorflow")

Box = tuple[int, int, int, int]

TENSORFLOW = tensorflow_decoder.TensorFlowDecoder()

fixed = settings(deadline=None, derandomize=True)

SIZES = [(1, 1), (2, 3), (7, 9), (8, 8), (16, 16), (17, 15), (33, 47), (61, 70), (64, 48)]
SAMPLINGS = ["4:4:4", "4:2:2", "4:2:0", "gray"]


@cache
def picture(sampling: str, height: int, width: int) -> tuple[bytes, Pixels]:
    """Return a JPEG, and its pixels decoded by Pillow."""
    pixels = photo(height, width, height + width)
    if sampling == "gray":
        data = jpeg(Image.fromarray(pixels).convert("L"))
    else:
        data = jpeg(pixels, subsampling=sampling)
    return data, np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def cut(pixels: Pixels, box: Box) -> Pixels:
    top, left, height, width = box
    return pixels[top : top + height, left : left + width]


def edges(height: int, width: int) -> list[Box]:
    """Return boxes of a few sizes that touch or nearly touch the edges."""
    return [
        (top, left, tall, wide)
        for tall in sorted({1, 2, height // 2, height - 1, height} - {0})
        for wide in sorted({1, 2, width // 2, width - 1, width} - {0})
        if tall <= height and wide <= width
        for top in sorted({0, 1, height - tall - 1, height - tall} & {*range(height - tall + 1)})
        for left in sorted({0, 1, width - wide - 1, width - wide} & {*range(width - wide + 1)})
    ]


# Windows


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize(("height", "width"), SIZES, ids=str)
def test_a_window_at_the_edge_has_exact_pixels(sampling: str, height: int, width: int) -> None:
    data, whole = picture(sampling, height, width)
    wrong = [
        box
        for box in edges(height, width)
        if not np.array_equal(TENSORFLOW.decode_window(data, width, box), cut(whole, box))
    ]
    assert wrong == []


@st.composite
def windows(draw: st.DrawFn) -> tuple[int, int, Box]:
    height, width = draw(st.sampled_from(SIZES))
    tall, wide = draw(st.integers(1, height)), draw(st.integers(1, width))
    top, left = draw(st.integers(0, height - tall)), draw(st.integers(0, width - wide))
    return height, width, (top, left, tall, wide)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_any_window_has_exact_pixels(sampling: str) -> None:
    @settings(fixed, max_examples=200)
    @given(windows())
    def check(window: tuple[int, int, Box]) -> None:
        height, width, box = window
        data, whole = picture(sampling, height, width)
        assert np.array_equal(TENSORFLOW.decode_window(data, width, box), cut(whole, box))

    check()


@pytest.mark.parametrize(
    "options",
    [{"restart_marker_blocks": 2}, {"optimize": True}, {"quality": 5}, {"exif": oriented(6)}],
    ids=["restarts", "optimized", "quality 5", "turned"],
)
def test_a_window_of_other_jpegs_has_exact_pixels(options: dict[str, Any]) -> None:
    """EXIF is ignored."""
    data = jpeg(photo(50, 61), subsampling="4:2:0", **options)
    whole = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    box = (11, 13, 30, 17)
    assert np.array_equal(TENSORFLOW.decode_window(data, 61, box), cut(whole, box))


def test_these_jpegs_have_exact_windows() -> None:
    """Otherwise the tests above might cover only windows that are never decoded."""
    found = {
        has_exact_window(jpeg_markers.read(picture(sampling, *size)[0]))
        for sampling in SAMPLINGS
        for size in SIZES
    }
    assert found == {True}


@pytest.mark.parametrize("box", [(0, 0, 9, 8), (-1, 0, 2, 2), (8, 0, 1, 1), (0, 0, 0, 1)], ids=str)
def test_a_window_outside_is_refused(box: Box) -> None:
    with pytest.raises(ImageError):
        TENSORFLOW.decode_window(jpeg(photo(8, 8)), 8, box)


def test_a_window_has_the_documented_shape_and_type() -> None:
    pixels = TENSORFLOW.decode_window(jpeg(photo(8, 9)), 9, (1, 2, 3, 4))
    assert (pixels.shape, pixels.dtype) == ((3, 4, 3), np.uint8)


# Whole images

FRAMES = [Image.fromarray(photo(21, 34, seed)) for seed in (1, 2)]
WHOLE: dict[str, Callable[[], bytes]] = {
    **{sampling: lambda sampling=sampling: picture(sampling, 33, 47)[0] for sampling in SAMPLINGS},
    "progressive": lambda: jpeg(photo(21, 34), progressive=True),
    "4:1:1": lambda: jpeg(photo(21, 34), subsampling="4:1:1"),
    "kept RGB": lambda: jpeg(photo(21, 34), keep_rgb=True),
    "turned": lambda: jpeg(photo(21, 34), exif=oriented(6)),
    "PNG": lambda: png(photo(21, 34)),
    "gray PNG": lambda: png(FRAMES[0].convert("L")),
    "palette PNG": lambda: png(FRAMES[0].quantize(16)),
    "PNG with alpha": lambda: png(np.dstack([photo(5, 6), photo(5, 6)[..., 0]])),
    "deep PNG": lambda: png(np.arange(30, dtype=np.uint16).reshape(5, 6) * 2184),
    "black and white PNG": lambda: png(FRAMES[0].convert("1")),
    "GIF": lambda: save(FRAMES[0], "GIF"),
    "moving GIF": lambda: save(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]),
    "BMP": lambda: save(FRAMES[0], "BMP"),
}


def by_tensorflow(data: bytes) -> Pixels:
    if data[:2] == b"\xff\xd8":
        pixels = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")
    else:
        pixels = tf.io.decode_image(data, channels=3, expand_animations=False)
    found: Pixels = pixels.numpy()
    return found


@pytest.mark.parametrize("make", WHOLE.values(), ids=WHOLE.keys())
def test_a_whole_image_has_the_pixels_of_tensorflow(make: Callable[[], bytes]) -> None:
    data = make()
    assert np.array_equal(TENSORFLOW.decode_whole(data), by_tensorflow(data))


@pytest.mark.parametrize("name", [name for name in WHOLE if name[-3:] not in ("GIF", "BMP")])
def test_a_whole_image_has_the_pixels_of_pillow(name: str) -> None:
    data = WHOLE[name]()
    assert np.array_equal(TENSORFLOW.decode_whole(data), normalize.decode_as_tensorflow(data))


def test_later_results_do_not_overwrite_a_result() -> None:
    first = TENSORFLOW.decode_whole(png(photo(9, 9, 1)))
    for seed in range(2, 9):
        TENSORFLOW.decode_whole(png(photo(9, 9, seed)))
    assert np.array_equal(first, photo(9, 9, 1))


# Broken

JPEG, PNG = jpeg(photo(21, 34)), png(photo(21, 34))
BROKEN = {
    "nothing": b"",
    "one byte": b"\xff",
    "the start of a JPEG": b"\xff\xd8",
    "a JPEG's markers": JPEG[:300],
    "half a JPEG": JPEG[: len(JPEG) // 2],
    "half a PNG": PNG[: len(PNG) // 2],
    "a changed PNG": PNG[:60] + bytes([PNG[60] ^ 1]) + PNG[61:],
    "the start of a PNG": PNG[:8],
    "the start of a GIF": b"GIF89a",
    "the start of a BMP": b"BM" + bytes(60),
    "text": b"no image, and not a short one either",
    "zeros": bytes(1000),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_image_is_refused(data: bytes) -> None:
    with stderr_silenced(), pytest.raises(ImageError) as raised:
        TENSORFLOW.decode_whole(data)
    assert raised.value.reason == "corrupt"


@pytest.mark.parametrize("name", [name for name in BROKEN if "JPEG" in name or "n" in name[:2]])
def test_a_window_of_a_broken_image_is_refused(name: str) -> None:
    with stderr_silenced(), pytest.raises(ImageError):
        TENSORFLOW.decode_window(BROKEN[name], 34, (15, 3, 6, 30))


def test_a_message_is_one_line() -> None:
    with stderr_silenced(), pytest.raises(ImageError) as raised:
        TENSORFLOW.decode_whole(BROKEN["half a JPEG"])
    assert len(str(raised.value).splitlines()) == 1


def test_a_good_image_decodes_after_a_broken_one() -> None:
    with stderr_silenced(), pytest.raises(ImageError):
        TENSORFLOW.decode_whole(BROKEN["half a PNG"])
    assert np.array_equal(TENSORFLOW.decode_whole(PNG), photo(21, 34))


def test_a_changed_jpeg_gives_the_pixels_of_tensorflow_or_is_refused() -> None:

    @fixed
    @given(st.integers(0, len(JPEG) - 1), st.integers(0, 255))
    def check(place: int, byte: int) -> None:
        data = JPEG[:place] + bytes([byte]) + JPEG[place + 1 :]
        try:
            found = TENSORFLOW.decode_whole(data)
        except ImageError:
            with pytest.raises(tf.errors.InvalidArgumentError):
                by_tensorflow(data)
        else:
            assert np.array_equal(found, by_tensorflow(data))

    with stderr_silenced():
        check()


def test_nothing_is_written_to_stderr_when_silenced(capfd: pytest.CaptureFixture[str]) -> None:
    with stderr_silenced():
        for data in BROKEN.values():
            with pytest.raises(ImageError):
                TENSORFLOW.decode_whole(data)
    assert capfd.readouterr() == ("", "")


def test_stderr_works_again_after_silence() -> None:
    """In a separate process, with a broken image inside."""
    program = (
        "import os\n"
        "from tfrec_cli import errors\n"
        "from tfrec_cli.imaging import tensorflow_decoder as kernels\n"
        "from tfrec_cli.runtime.stderr import stderr_silenced\n"
        "for _ in range(2):\n"
        "    try:\n"
        "        with stderr_silenced():\n"
        "            os.write(2, b'silenced')\n"
        f"            kernels.TensorFlowDecoder().decode_whole({BROKEN['half a JPEG']!r})\n"
        "    except errors.ImageError:\n"
        "        os.write(2, b'heard ')\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert (ran.stdout, ran.stderr) == (b"", b"heard heard ")


# Processes and threads


def test_several_threads_get_the_same_pixels() -> None:
    work = [(sampling, *size) for sampling in SAMPLINGS for size in SIZES[4:]] * 4
    start = threading.Barrier(8)

    def decode(number: int) -> bool:
        start.wait()
        return all(
            np.array_equal(TENSORFLOW.decode_whole(data), whole)
            and np.array_equal(
                TENSORFLOW.decode_window(data, whole.shape[1], (2, 3, 9, 10)),
                cut(whole, (2, 3, 9, 10)),
            )
            for data, whole in (picture(*one) for one in work[number:] + work[:number])
        )

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(decode, range(8))) == [True] * 8


def test_a_broken_image_in_another_thread_has_no_effect() -> None:
    start = threading.Barrier(2)

    def decodes(data: bytes) -> bool:
        try:
            TENSORFLOW.decode_whole(data)
        except ImageError:
            return False
        return True

    def decode(data: bytes) -> list[bool]:
        start.wait()
        return [decodes(data) for _ in range(50)]

    with stderr_silenced(), ThreadPoolExecutor(2) as threads:
        good, broken = threads.map(decode, [JPEG, BROKEN["half a PNG"]])
    assert (good, broken) == ([True] * 50, [False] * 50)


PROGRAM = """
import io, os, sys
{first}
import numpy as np
from concurrent.futures import ThreadPoolExecutor
from tfrec_cli.imaging.tensorflow_decoder import TensorFlowDecoder
kernels = TensorFlowDecoder()
data = bytes.fromhex(sys.stdin.read())
window = kernels.decode_window(data, 47, (3, 5, 20, 31))
whole = kernels.decode_whole(data)
with ThreadPoolExecutor(4) as threads:
    others = list(threads.map(kernels.decode_whole, [data] * 8))
{last}
print(np.array_equal(whole[3:23, 5:36], window), all((whole == one).all() for one in others),
      "tensorflow" in sys.modules, whole.tobytes().hex())
"""


@pytest.mark.parametrize(
    ("first", "last", "imported"),
    [("", "", False), ("import tensorflow", "", True), ("", "import tensorflow", True)],
    ids=["without", "before", "after"],
)
def test_a_process_may_import_tensorflow_before_after_or_never(
    first: str, last: str, imported: bool
) -> None:
    data, whole = picture("4:2:0", 33, 47)
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(first=first, last=last)],
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"},
        input=data.hex(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == ["True", "True", str(imported), whole.tobytes().hex()]


def test_openssl_works_after_loading_the_library() -> None:
    """TensorFlow's library contains other functions with the names of OpenSSL's."""
    program = (
        "from tfrec_cli.imaging import tensorflow_decoder as kernels\n"
        "kernels._library()\n"
        "import hashlib, ssl\n"
        "print(ssl.OPENSSL_VERSION, hashlib.sha256(b'').hexdigest(), end='')\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    expected = f"{ssl.OPENSSL_VERSION} {hashlib.sha256(b'').hexdigest()}"
    assert ran.stdout.decode() == expected


def test_the_library_is_not_loaded_before_it_is_needed() -> None:
    """Loading takes a third of a second, and most commands never need it."""
    program = (
        "from tfrec_cli.imaging import tensorflow_decoder as kernels\n"
        "kernels.find_library()\n"
        "print(kernels._library_once.cache_info().currsize)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert (ran.stdout, ran.stderr) == (b"0\n", b"")


# The library


def test_the_library_of_tensorflow_is_found() -> None:
    assert tensorflow_decoder.find_library().parent == Path(tf.sysconfig.get_lib())


NO_LIBRARY = "TensorFlow: its C library was not found"


def test_without_tensorflow_no_library_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(RunError) as raised:
        tensorflow_decoder.find_library()
    assert str(raised.value) == NO_LIBRARY


def test_a_tensorflow_without_the_library_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The library may have another name."""
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").touch()
    spec = importlib.util.spec_from_file_location(
        "tensorflow",
        tmp_path / "tensorflow" / "__init__.py",
        submodule_search_locations=[str(tmp_path / "tensorflow")],
    )
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: spec)
    with pytest.raises(RunError) as raised:
        tensorflow_decoder.find_library()
    assert str(raised.value) == NO_LIBRARY


def test_a_tensorflow_that_is_one_file_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = importlib.util.spec_from_file_location("tensorflow", tmp_path / "tensorflow.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: spec)
    with pytest.raises(RunError) as raised:
        tensorflow_decoder.find_library()
    assert str(raised.value) == NO_LIBRARY


def test_a_library_that_does_not_load_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    library = tmp_path / tensorflow_decoder._LIBRARIES[0]
    library.write_bytes(b"no library")
    monkeypatch.setattr(tensorflow_decoder, "find_library", lambda: library)
    with pytest.raises(RunError, match=r"^TensorFlow: its C library does not load: "):
        tensorflow_decoder._Library()


def test_silencing_restores_the_current_stderr(tmp_path: Path) -> None:
    """Not that of the first time, which may be closed."""
    program = """
import os, sys
from tfrec_cli.runtime.stderr import stderr_silenced
with stderr_silenced():
    os.write(2, b"lost")
os.dup2(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT), 2)
with stderr_silenced():
    os.write(2, b"lost too")
os.write(2, b"found")
"""
    log = tmp_path / "log"
    ran = subprocess.run([sys.executable, "-c", program, log], capture_output=True, check=True)
    assert (ran.stderr, log.read_bytes()) == (b"", b"found")


def test_silencing_works_without_stderr() -> None:
    program = """
import os
from tfrec_cli.runtime.stderr import stderr_silenced
os.close(2)
with stderr_silenced():
    print("inside")
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert ran.stdout == b"inside\n"
