"""The JPEGs of which a window can be decoded exactly without the rest.

Knows: windows, markers of JPEGs. Must not know: any decoder.
"""

from __future__ import annotations

from tfrec_cli.imaging.jpeg.markers import Jpeg

Box = tuple[int, int, int, int]
"""(top, left, height, width) in pixels."""


def has_exact_window(markers: Jpeg) -> bool:
    """Tell whether a window of a JPEG can be decoded exactly without the rest.

    TensorFlow's ``decode_and_crop_jpeg`` needs two more columns on each side, which are cut off.

    Source: measured on 934,000 windows of 4,576 JPEGs, see docs/guides/bad-images.md.
    """
    frame = markers.frame
    if frame.sof not in (0, 1) or len(frame.sampling) not in (1, 3):
        return False
    if markers.scans != 1 or not frame.interleaved:
        return False
    luma, chroma = frame.sampling[0], set(frame.sampling[1:])
    if not chroma:
        return True
    across, down = chroma.pop()
    return not chroma and luma[0] in (across, 2 * across) and luma[1] in (down, 2 * down)
