"""Whether a warning of libjpeg means that the data of a scan are damaged, or is harmless.

Knows: the words of libjpeg. Must not know: any decoder.

libjpeg goes on after damage: the rest of the picture is grey, shifted or noise. Its warnings about
a marker, a profile or a revision say nothing about the pixels.

Source: jerror.h of libjpeg-turbo 3.
"""

from __future__ import annotations

import re

_DAMAGE = re.compile(
    r"(?:Corrupt JPEG data: )?"
    r"((?i:premature end) of .*|bad Huffman code|found marker .* instead of RST.*"
    r"|(\d+) extraneous bytes before marker 0x([0-9a-f]{2}))"
)
_MOST_PADDING = 64


def damage(warning: str, scans: bytes) -> str:
    """Return what a warning says of damage in the data of a scan; "" if it is harmless.

    Bytes that are left over after the last row are data that were lost on the way, except for the
    same byte again and again, with which cameras fill a scan.

    Args:
        scans: the JPEG without what comes before the data of its first scan.
    """
    found = _DAMAGE.fullmatch(warning)
    if not found:
        return ""
    words, count, code = found.groups()
    if count and _is_padding(scans, int(count), bytes.fromhex(code)):
        return ""
    return str(words)


def _is_padding(scans: bytes, count: int, code: bytes) -> bool:
    """Tell whether the bytes before a marker are few, and all the same."""
    repeated = b"(?s:(.)\\1{%d})\xff%s" % (count - 1, re.escape(code))
    return 0 < count <= _MOST_PADDING and re.search(repeated, scans) is not None
