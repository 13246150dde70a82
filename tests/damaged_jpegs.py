"""JPEGs that decoders take although their data are damaged, and some with harmless oddities."""

from __future__ import annotations

from conftest import jpeg, photo

from tfrec_cli.imaging.jpeg import markers

INTACT = jpeg(photo(60, 70))
_START, _STOP = markers.read_frame(INTACT).end, len(INTACT) - 2
_INTERVALS = jpeg(photo(60, 70), restart_marker_blocks=3)
_PROGRESSIVE = jpeg(photo(60, 70), progressive=True)


def _changed(data: bytes, at: int, piece: bytes) -> bytes:
    return data[:at] + piece + data[at + len(piece) :]


def cut(data: bytes) -> bytes:
    """Keep a third of the data, and end them with a marker."""
    start = markers.read_frame(data).end
    return data[: start + (len(data) - start) // 3] + b"\xff\xd9"


def zeroed(data: bytes) -> bytes:
    """Overwrite a quarter of the data, in the middle."""
    start = markers.read_frame(data).end
    quarter = (len(data) - start) // 4
    return _changed(data, start + 2 * quarter, bytes(quarter))


def padded(data: bytes, padding: bytes) -> bytes:
    """Put bytes before the end marker."""
    return data[:-2] + padding + data[-2:]


DAMAGED = {
    "cut": (cut(INTACT), "premature end of data segment"),
    "zeroed": (zeroed(INTACT), "N extraneous bytes before marker 0xd9"),
    "a flipped bit": (
        _changed(INTACT, _START + 640, bytes([INTACT[_START + 640] ^ 1 << 5])),
        "bad Huffman code",
    ),
    "a flipped bit near the end": (
        _changed(INTACT, _START + 2768, bytes([INTACT[_START + 2768] ^ 1 << 3])),
        "N extraneous bytes before marker 0xd9",
    ),
    "another restart": (
        _INTERVALS.replace(b"\xff\xd2", b"\xff\xd5", 1),
        "found marker 0xd5 instead of RST2",
    ),
    "a zeroed progressive scan": (
        _changed(_PROGRESSIVE, _PROGRESSIVE.index(b"\xff\xda") + 44, bytes(40)),
        "N extraneous bytes before marker 0xc4",
    ),
    "more than padding": (padded(INTACT, bytes(100)), "N extraneous bytes before marker 0xd9"),
}
"""Each JPEG, and what libjpeg says of it, with N for the first number."""

HARMLESS = {
    "intact": INTACT,
    "progressive": _PROGRESSIVE,
    "intervals": _INTERVALS,
    "one more byte": padded(INTACT, b"\x5a"),
    "zeros": padded(INTACT, bytes(64)),
    "ones": padded(INTACT, b"\xff" * 5),
    "zeros before a restart": _INTERVALS.replace(b"\xff\xd2", bytes(20) + b"\xff\xd2", 1),
    "a trailer": INTACT + bytes(range(99)),
    "a byte between segments": INTACT.replace(b"\xff\xdb", b"\0\xff\xdb", 1),
    "a bad profile": INTACT.replace(b"\xff\xdb", b"\xff\xe2\0\x0eICC_PROFILE\0\xff\xdb", 1),
    "another revision of JFIF": INTACT.replace(b"JFIF\0\1", b"JFIF\0\7", 1),
}
