"""What an image file says of itself before it is decoded, and whether it is there to its end.

Knows: image files. Must not know: pixels, TFRecord.
"""

from __future__ import annotations

import io
import os
import zlib
from typing import BinaryIO, NamedTuple

from tfrec_cli.errors import ImageError
from tfrec_cli.imaging import formats, jpeg, pillow, png
from tfrec_cli.imaging.decoder import has_exact_window
from tfrec_cli.imaging.jpeg import Frame, Jpeg
from tfrec_cli.imaging.policy import Policy
from tfrec_cli.runtime import native

HEAD_BYTES = 1 << 14
"""Enough for what stands before most JPEGs' scans."""

_START_BITS = 16
"""Of a stamp, for where a scan starts: within the first `HEAD_BYTES`."""

_SIDEWAYS = 5
"""The first orientation of pictures that lie on their side."""


class Header(NamedTuple):
    """What an image file says of itself before it is decoded.

    Attributes:
        height_px, width_px: upright, if the policy turns pictures upright, and before any scaling.
        mode: Pillow's name for the kind of pixels: ``RGB``, ``L``, ``CMYK``, ``I;16``…
        orientation: the EXIF orientation, 1 (upright) to 8; of a TIFF, which decoders always turn
            upright, 1.
        animated: several frames; a JPEG's further pictures (previews, depth) are none.
        deep: more than 8 bits a value.
    """

    format: formats.ImageFormat
    height_px: int
    width_px: int
    mode: str
    orientation: int
    animated: bool
    deep: bool
    alpha: bool
    icc: bool


class Examined(NamedTuple):
    """What an image file says of itself.

    Attributes:
        markers: of a JPEG; None of others.
        changes: what keeps it from being stored as its file's bytes, in stable words.
    """

    header: Header
    markers: Jpeg | None
    changes: tuple[str, ...]


def read_header(file: BinaryIO, policy: Policy) -> Header:
    """Read what an image file says of itself, and refuse what ``policy`` refuses unseen.

    Args:
        file: opened for reading and seeking, at its start.
    Raises:
        ImageError: no image, not a format that is read, its header is damaged, too many pixels,
            an animation under ``frames="fail"``.
    """
    head = file.read(HEAD_BYTES)
    if frame := _plain_frame(head, policy):
        return _plain_header(frame, policy)
    name = formats.image_format(head[: formats.HEAD_BYTES])
    if name is None:
        reason = "empty" if not head else "not_an_image"
        found = formats.describe(head[: formats.HEAD_BYTES]) if head else "an empty file"
        raise ImageError(
            reason, f"found {found}, expected one of {', '.join(formats.IMAGE_FORMATS)}"
        )
    file.seek(0)
    frugal = pillow.FrugalFile(file, pillow.MAX_HEADER_BYTES)
    with pillow.bounded(policy.max_pixels), pillow.open_image(frugal, name, policy) as image:
        orientation = pillow.orientation_of(image, name, frugal)
        height_px, width_px = image.height, image.width
        if policy.exif == "apply" and orientation >= _SIDEWAYS:
            height_px, width_px = width_px, height_px
        header = Header(
            format=name,
            height_px=height_px,
            width_px=width_px,
            mode=image.mode,
            orientation=orientation,
            animated=bool(getattr(image, "is_animated", False)) and image.format != "MPO",
            deep=image.mode in pillow.DEEP_MODES or (name == "png" and head[24:25] == b"\x10"),
            alpha=image.mode in pillow.ALPHA_MODES or "transparency" in image.info,
            icc=bool(image.info.get("icc_profile")),
        )
    if header.animated and policy.frames == "fail":
        raise ImageError("animated", "found several frames, expected one (--frames first)")
    return header


def read_plain_header(file_descriptor: int, policy: Policy) -> tuple[Header, int] | None:
    """Read what a usual JPEG says of itself, as `read_header` does; None for all other files.

    Returns:
        The header, and a stamp: by it `has_stamp` knows the same header again at a tenth of the
        time. 0 unless the file's bytes are stored, windows are exact, and there is no profile.
    """
    head = os.read(file_descriptor, HEAD_BYTES)
    frame = _plain_frame(head, policy)
    if frame is None:
        return None
    header = _plain_header(frame, policy)
    markers = Jpeg(frame, 1, ended=True)
    if header.icc or not has_exact_window(markers) or _changes(header, markers, policy):
        return header, 0
    return header, zlib.crc32(head[: frame.end]) << _START_BITS | frame.end


def has_stamp(data: bytes, stamp: int) -> bool:
    """Tell whether a file begins with the header that was stamped, and is whole to its end.

    If so, `examine` would find nothing to change, and `decoder.has_window` a window.
    """
    start = stamp & (1 << _START_BITS) - 1
    if not start or zlib.crc32(memoryview(data)[:start]) != stamp >> _START_BITS:
        return False
    return native.scan_end(data, start) >= 0


def examine(data: bytes, policy: Policy) -> Examined:
    """Read what an image file says of itself, and check its structure, without decoding it.

    Raises:
        ImageError: not whole, or the policy refuses it.
    """
    if frame := _plain_frame(data, policy):
        header = _plain_header(frame, policy)
    else:
        header = read_header(io.BytesIO(data), policy)
    markers = None
    if header.format == "jpeg":
        markers = jpeg.check(data, frame)
    elif header.format == "png":
        png.check(data)
    return Examined(header, markers, _changes(header, markers, policy))


def _plain_frame(data: bytes, policy: Policy) -> Frame | None:
    """Return the markers of a JPEG on which Pillow would say the same, at a third of the time."""
    if data[:3] != b"\xff\xd8\xff":
        return None
    try:
        frame = jpeg.read_frame(data)
    except ImageError:
        return None
    fits = frame.height_px * frame.width_px <= policy.max_pixels
    return frame if frame.plain and fits else None


def _plain_header(frame: Frame, policy: Policy) -> Header:
    turned = policy.exif == "apply" and frame.orientation >= _SIDEWAYS
    return Header(
        format="jpeg",
        height_px=frame.width_px if turned else frame.height_px,
        width_px=frame.height_px if turned else frame.width_px,
        mode="L" if len(frame.sampling) == 1 else "RGB",
        orientation=frame.orientation,
        animated=False,
        deep=False,
        alpha=False,
        icc=frame.icc,
    )


def _changes(header: Header, markers: Jpeg | None, policy: Policy) -> tuple[str, ...]:
    """Name what keeps a whole image from being stored as its file's bytes."""
    reasons = {
        f"format_{header.format}": header.format not in ("jpeg", "png"),
        "rare_jpeg": markers is not None and markers.frame.sof not in (0, 1, 2),
        "orientation": policy.exif == "apply" and header.orientation != 1,
        "cmyk": header.mode in ("CMYK", "YCCK"),
        "deep": header.deep,
        "alpha": header.alpha and policy.alpha != "drop",
        "animation": header.animated,
        "resized": bool(policy.resize_short_px)
        and min(header.height_px, header.width_px) != policy.resize_short_px,
    }
    return tuple(name for name, holds in reasons.items() if holds)
