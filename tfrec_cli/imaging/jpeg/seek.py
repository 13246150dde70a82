"""Cuts a window out of a JPEG, as a small JPEG of its own, without decoding the rest.

Knows: that C may do it. Must not know: any decoder.
"""

from __future__ import annotations

from typing import NamedTuple

from tfrec_cli.imaging.jpeg.window import Box
from tfrec_cli.runtime import native


class Window(NamedTuple):
    """A small JPEG that contains a window of another.

    Attributes:
        data: the small JPEG.
        top: first row of the window, in pixels of the small JPEG.
        left: first column of it.
    """

    data: bytes
    top: int
    left: int


def cut(data: native.Bytes, box: Box) -> Window | None:
    """Cut a window out of a JPEG of one sequential scan.

    Bits are copied from the scan: the small JPEG decodes to the same pixels as the whole one,
    damaged or not. Bytes that would have to be repaired first are not copied.

    Args:
        box: (top, left, height, width) in pixels.
    Returns:
        The window; None if it would not be exact (`window.has_exact_window`), the JPEG is not
        complete, its data are damaged down to the last row of the window, the window is not inside
        the picture, or C was not compiled. Then decode the whole JPEG.
    """
    found = native.cut(data, *box)
    return None if found is None else Window(*found)
