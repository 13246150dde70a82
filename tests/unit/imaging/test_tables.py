"""JPEGs whose tables, or markers after the data, no decoder takes."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
from conftest import tf
from jpeg_bytes import segment
from PIL import Image

from tfrec_cli.errors import ImageError
from tfrec_cli.imaging import header, pillow_decoder
from tfrec_cli.imaging.jpeg import markers as jpeg_markers
from tfrec_cli.imaging.policy import Policy

GRADIENT = np.asarray(Image.linear_gradient("L").resize((40, 24)))
PIXELS = np.dstack([GRADIENT, GRADIENT[::-1], 255 - GRADIENT])


def jpeg(pixels: np.ndarray = PIXELS, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **options)
    return buffer.getvalue()


PLAIN, PROGRESSIVE = jpeg(), jpeg(progressive=True)
SOUND = {
    "baseline": PLAIN,
    "progressive": PROGRESSIVE,
    "restarts": jpeg(subsampling="4:4:4", restart_marker_blocks=2),
    "grey": jpeg(GRADIENT, optimize=True),
    "grey progressive": jpeg(GRADIENT, progressive=True),
}
FRAME = PLAIN.index(b"\xff\xc0")
SCAN = PLAIN.index(b"\xff\xda")
DATA = SCAN + 14
CODES = PLAIN.index(b"\xff\xc4")
LATER_SCAN = PROGRESSIVE.index(b"\xff\xda", PROGRESSIVE.index(b"\xff\xda") + 2)
LATER_CODES = PROGRESSIVE.index(b"\xff\xc4", PROGRESSIVE.index(b"\xff\xda"))


def put(data: bytes, at: int, *values: int) -> bytes:
    return data[:at] + bytes(values) + data[at + len(values) :]


def without(data: bytes, code: int, number: int | None = None) -> bytes:
    """Leave out the segments of a code before the first scan, or those of one table."""
    kept = [data[:2]]
    for found, start, stop in jpeg_markers.segments(data):
        if found != code or number not in (None, data[start + 4]):
            kept.append(data[start:stop])
    return b"".join([*kept, data[stop:]])


REFUSED: dict[str, bytes] = {
    "a component of another name in the scan": put(PLAIN, SCAN + 5, 9),
    "a component twice in the scan": put(PLAIN, SCAN + 7, 1),
    "more components in the scan than in the frame": put(PLAIN, SCAN + 4, 4),
    "a code table that is not there": put(PLAIN, SCAN + 6, 0x08),
    "no quantization table": without(PLAIN, 0xDB),
    "a quantization table of another number": without(PLAIN, 0xDB, 1),
    "sampling factors of zero": put(PLAIN, FRAME + 11, 0x02),
    "sampling factors of two and three": put(PLAIN, FRAME + 11, 0x22, 0, 2, 0x11, 1, 3, 0x13),
    "too many blocks": put(PLAIN, FRAME + 11, 0x44, 0, 2, 0x44, 1, 3, 0x44),
    "more codes than fit their length": put(PLAIN, CODES + 5, 3),
    "codes of all ones": put(PLAIN, CODES + 5, 2),
    "more codes than bytes": put(PLAIN, CODES + 20, 255),
    "a code table of another kind": put(PLAIN, CODES + 4, 0x20),
    "a DC code for 16 bits": put(PLAIN, CODES + 21, 16),
    "a restart interval of four bytes": PLAIN[:SCAN] + segment(0xDD, bytes(4)) + PLAIN[SCAN:],
    "a restart interval among the data": put(PLAIN, DATA + 9, 0xFF, 0xDD, 0x40, 0),
    "quantization tables among the data": PLAIN[: DATA + 9]
    + segment(0xDB, bytes(65))
    + PLAIN[DATA + 9 :],
    "a second scan of everything": PLAIN[:-2] + PLAIN[SCAN:],
    "a later scan of an unknown component": put(PROGRESSIVE, LATER_SCAN + 5, 9),
    "a later scan from high to low": put(PROGRESSIVE, LATER_SCAN + 7, 5, 1),
    "a later scan of more bits than there are": put(PROGRESSIVE, LATER_SCAN + 9, 0x0E),
    "a later invalid table of codes": put(PROGRESSIVE, LATER_CODES + 5, 3),
}
ACCEPTED: dict[str, bytes] = {
    "no code tables, as in Motion JPEG": without(PLAIN, 0xC4),
    "one of four code tables is missing": without(PLAIN, 0xC4, 0x11),
    "an invalid table that is not used": PLAIN[:CODES]
    + segment(0xC4, bytes([0x03, 3, *bytes(15), *bytes(3)]))
    + PLAIN[CODES:],
    "a comment after the data": PLAIN[:-2] + segment(0xFE, b"end") + PLAIN[-2:],
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_jpeg_that_a_decoder_refuses_is_not_accepted_by_its_structure(name: str) -> None:
    with pytest.raises(ImageError):
        header.examine(REFUSED[name], Policy())


@pytest.mark.parametrize("name", [*SOUND, *ACCEPTED])
def test_a_jpeg_that_is_accepted_by_its_structure_is_decoded(name: str) -> None:
    data = {**SOUND, **ACCEPTED}[name]
    header.examine(data, Policy())
    height_px, width_px = pillow_decoder.decoded_size(data)
    assert tf.io.decode_jpeg(data).shape[:2] == (height_px, width_px) == (24, 40)


@pytest.mark.parametrize("name", SOUND)
def test_a_usual_jpeg_is_not_decoded_to_check_its_structure(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(pillow_decoder, "decoded_size")
    header.examine(SOUND[name], Policy())


@pytest.mark.parametrize("name", SOUND)
def test_whatever_byte_is_changed_what_is_accepted_is_decoded(name: str) -> None:
    random_numbers = random.Random(name)
    stored = []
    for at in range(2, len(SOUND[name])):
        value = random_numbers.choice([0, 0xFF, 0xC4, 0xDA, 0xDB, *range(256)])
        data = put(SOUND[name], at, value)
        try:
            found = header.examine(data, Policy(max_pixels=10**6))
        except ImageError:
            continue
        pillow_decoder.decoded_size(data)
        stored += [] if found.changes else [data]
    assert len(stored) > 50
    for data in stored:
        tf.io.decode_jpeg(data)
