"""JPEGs of which scans are missing: refused by the writer and by the decoder of the readers."""

from __future__ import annotations

import re

import pytest
from conftest import jpeg, photo
from PIL import Image

from tfrec_cli.errors import ImageError
from tfrec_cli.imaging import decoder
from tfrec_cli.imaging.header import examine
from tfrec_cli.imaging.jpeg import markers as jpeg_markers
from tfrec_cli.imaging.jpeg import scans
from tfrec_cli.imaging.policy import Policy

PIXELS = photo(33, 45)


def pieces(data: bytes) -> list[bytes]:
    """Cut a JPEG before each scan, or before the tables for it, and before its end marker."""
    starts = [
        found.start()
        for found in re.finditer(rb"\xff(?:\xc4|\xda)", data)
        if found.start() > data.index(b"\xff\xda")
    ]
    first = data.index(b"\xff\xda")
    cuts = [0, first]
    for start in starts:
        if data[start + 1] == 0xDA and data[cuts[-1] + 1] == 0xC4 and cuts[-1] > first:
            continue  # its tables belong to it
        cuts.append(start)
    return [data[start:stop] for start, stop in zip(cuts, [*cuts[1:], -2], strict=True)]


def progressive(**options: object) -> bytes:
    return jpeg(PIXELS, progressive=True, **options)


FILES = {
    "colour": progressive(),
    "4:4:4": progressive(subsampling="4:4:4"),
    "gray": jpeg(Image.fromarray(PIXELS).convert("L"), progressive=True),
    "CMYK": jpeg(Image.fromarray(PIXELS).convert("CMYK"), progressive=True),
}


def check_refused(data: bytes) -> None:
    """Check that the writer refuses a JPEG, and the decoder that all readers share."""
    for read in (lambda: examine(data, Policy()), lambda: decoder.decode(data)):
        with pytest.raises(ImageError, match="scans that leave out parts of component") as caught:
            read()
        assert caught.value.reason == "truncated"


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_a_progressive_jpeg_with_all_scans_is_accepted(data: bytes) -> None:
    examine(data, Policy())
    decoder.decode(data)


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_a_progressive_jpeg_without_its_last_scans_is_refused(data: bytes) -> None:
    parts = pieces(data)
    assert len(parts) > 5
    for kept in range(2, len(parts)):
        check_refused(b"".join(parts[:kept]) + b"\xff\xd9")


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_a_progressive_jpeg_that_lacks_one_scan_is_refused(data: bytes) -> None:
    parts = pieces(data)
    for lacking in range(1, len(parts)):
        with pytest.raises(ImageError):
            jpeg_markers.check(b"".join([*parts[:lacking], *parts[lacking + 1 :], b"\xff\xd9"]))


FRAME = bytes([8, 0, 8, 0, 8, 3, 1, 0x11, 0, 2, 0x11, 1, 3, 0x11, 1])


def scan(*components: int, first: int = 0, last: int = 63, bits: int = 0) -> bytes:
    selectors = b"".join(bytes([number, 0]) for number in components)
    return bytes([len(components)]) + selectors + bytes([first, last, bits])


@pytest.mark.parametrize(
    ("sof", "found", "expected"),
    [
        (0, [scan(1, 2, 3)], None),
        (0, [scan(1), scan(2), scan(3)], None),
        (1, [scan(3), scan(1, 2)], None),
        (0, [scan(1)], 2),
        (0, [scan(1), scan(3)], 2),
        (0, [scan(1), scan(2)], 3),
        (0, [scan(2, 3), scan(9)], 1),
        (3, [scan(1, 2, 3, first=4, last=0)], None),
        (2, [scan(1, 2, 3, last=0), *(scan(n, first=1) for n in (1, 2, 3))], None),
        (10, [scan(1, 2, 3, last=0), *(scan(n, first=1) for n in (1, 2, 3))], None),
        (2, [scan(1, 2, 3, last=0)], 1),
        (2, [scan(1, 2, 3, last=0), scan(1, first=1), scan(3, first=1)], 2),
        (2, [scan(1, 2, 3, last=0), *(scan(n, first=1, last=62) for n in (1, 2, 3))], 1),
        (2, [scan(1, 2, 3, last=0, bits=1), *(scan(n, first=1) for n in (1, 2, 3))], 1),
        (
            2,
            [
                scan(1, 2, 3, last=0, bits=2),
                scan(1, 2, 3, last=0, bits=0x10),
                *(scan(n, first=1) for n in (1, 2, 3)),
            ],
            1,
        ),
        (
            2,
            [
                scan(1, 2, 3, last=0, bits=2),
                scan(1, 2, 3, last=0, bits=0x21),
                scan(1, 2, 3, last=0, bits=0x10),
                *(scan(n, first=1) for n in (1, 2, 3)),
            ],
            None,
        ),
        (2, [b"", b"\x01", b"\x03\1\0"], 1),
    ],
)
def test_each_bit_of_each_component_must_be_sent(
    sof: int, found: list[bytes], expected: int | None
) -> None:
    assert scans.incomplete(sof, FRAME, found) == expected


def test_a_sequential_jpeg_with_one_of_three_components_is_refused() -> None:
    data = jpeg(PIXELS)
    at = data.index(b"\xff\xda")
    assert data[at + 4] == 3
    only_luma = data[:at] + b"\xff\xda\0\x08\1\1\0\0\x3f\0" + data[at + 14 :]
    with pytest.raises(ImageError, match="leave out parts of component 2"):
        jpeg_markers.check(only_luma)
