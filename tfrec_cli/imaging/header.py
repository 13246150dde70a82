"""Headers of image files, read without decoding, and checks that a file is complete.

Knows: image files. Must not know: pixels, TFRecord.
"""

from __future__ import annotations

import io
import os
import zlib
from typing import BinaryIO, NamedTuple

from tfrec_cli.errors import ImageError
from tfrec_cli.imaging import formats, pillow, pillow_decoder, png
from tfrec_cli.imaging.jpeg import markers as jpeg_markers
from tfrec_cli.imaging.jpeg.markers import Frame, Jpeg
from tfrec_cli.imaging.jpeg.window import has_exact_window
from tfrec_cli.imaging.kinds import claims
from tfrec_cli.imaging.policy import Policy, check_pixels
from tfrec_cli.runtime import native

HEAD_BYTES = 1 << 14
"""Enough for the bytes before the scan of most JPEGs."""

_START_BITS = 16
"""Bits of a stamp for where the scan starts: within the first `HEAD_BYTES`."""

_SIDEWAYS = 5
"""From this orientation on, pictures are on their side."""


class Header(NamedTuple):
    """Facts about an image file, known before it is decoded.

    Attributes:
        height_px, width_px: size before scaling; of the upright picture if the policy turns it.
        mode: Pillow's name for the kind of pixels: ``RGB``, ``L``, ``CMYK``, ``I;16``…
        orientation: the EXIF orientation, 1 (upright) to 8.
        animated: it has several frames; additional pictures of a JPEG (previews, depth) do not
            count.
        deep: its values have more than 8 bits.
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
    """An image file whose header was read and whose structure was checked.

    Attributes:
        markers: the markers of a JPEG; None for other formats.
        changes: why a record cannot store the file's bytes, in stable words.
    """

    header: Header
    markers: Jpeg | None
    changes: tuple[str, ...]


def read_header(file: BinaryIO, policy: Policy) -> Header:
    """Read the header of an image file, and refuse images that ``policy`` does not allow.

    Args:
        file: opened for reading and seeking, at its start.
    Raises:
        ImageError: not an image of a supported format, a damaged header, too many pixels, or an
            animation with ``frames="fail"``.
    """
    head = file.read(HEAD_BYTES)
    if frame := _plain_frame(head, policy):
        return _plain_header(frame, policy)
    name = formats.image_format(head[: formats.HEAD_BYTES])
    if name is None:
        expected = f"one of {', '.join(formats.IMAGE_FORMATS)}"
        raise formats.refusal(head[: formats.HEAD_BYTES], expected)
    file.seek(0)
    frugal = pillow.FrugalFile(file, pillow.MAX_HEADER_BYTES)
    claim = claims.read(name, frugal)
    if name == "avif" and claim.deep and policy.depth > 8:
        found = "found an AVIF image of more than 8 bits, which libavif decodes to 8"
        raise ImageError("unsupported_mode", f"{found}; expected another format, or --depth 8")
    header = _claimed(name, claim, policy) if claim.mode else _opened(name, frugal, claim, policy)
    if header.animated and policy.frames == "fail":
        raise ImageError("animated", "found several frames, expected one (--frames first)")
    return header


def _claimed(name: formats.ImageFormat, claim: claims.Claim, policy: Policy) -> Header:
    """Return the header of a file that is decoded without Pillow's help."""
    height_px, width_px = claim.size or (0, 0)
    check_pixels(height_px, width_px, policy.max_pixels)
    if policy.exif == "apply" and claim.orientation >= _SIDEWAYS:
        height_px, width_px = width_px, height_px
    return Header(
        format=name,
        height_px=height_px,
        width_px=width_px,
        mode=claim.mode or "",
        orientation=claim.orientation,
        animated=claim.animated,
        deep=claim.deep,
        alpha=claim.mode in pillow.ALPHA_MODES,
        icc=bool(claim.icc),
    )


def _opened(
    name: formats.ImageFormat, file: pillow.FrugalFile, claim: claims.Claim, policy: Policy
) -> Header:
    """Return the header of a file as Pillow reads it, and as it claims."""
    file.seek(0)
    with pillow.bounded(policy.max_pixels), pillow.open_image(file, name, policy) as image:
        orientation = pillow.orientation_of(image, name, file)
        height_px, width_px = claim.size or (image.height, image.width)
        was_turned = name in pillow.UPRIGHT_FORMATS
        if (policy.exif == "apply") != was_turned and orientation >= _SIDEWAYS:
            height_px, width_px = width_px, height_px
        profile = image.info.get("icc_profile") or b""
        if name != "jpeg" and len(profile) > claims.PROFILE_BYTES:
            found = f"found a colour profile of {len(profile)} bytes"
            raise ImageError(
                "too_complex", f"{found}, expected at most {claims.PROFILE_BYTES}, as in PNG files"
            )
        return Header(
            format=name,
            height_px=height_px,
            width_px=width_px,
            mode=image.mode,
            orientation=orientation,
            animated=bool(getattr(image, "is_animated", False)) and image.format != "MPO",
            deep=claim.deep or image.mode in pillow.DEEP_MODES,
            alpha=image.mode in pillow.ALPHA_MODES or "transparency" in image.info,
            icc=bool(profile),
        )


def read_plain_header(file_descriptor: int, policy: Policy) -> tuple[Header, int] | None:
    """Read the header of a usual JPEG as `read_header` does; return None for other files.

    Returns:
        The header, and a stamp with which `has_stamp` recognises the same header in a tenth of the
        time. The stamp is 0 unless the file's bytes are stored, windows are exact, and there is no
        colour profile.
    """
    head = os.read(file_descriptor, HEAD_BYTES)
    frame = _plain_frame(head, policy)
    if frame is None:
        return None
    header = _plain_header(frame, policy)
    markers = Jpeg(frame, 1, ended=True, usual=True)
    if header.icc or not has_exact_window(markers) or _changes(header, markers, policy):
        return header, 0
    return header, zlib.crc32(head[: frame.end]) << _START_BITS | frame.end


def has_stamp(data: bytes, stamp: int) -> bool:
    """Tell whether a file begins with the stamped header, and is complete.

    If so, `examine` would return no changes, and `window.has_exact_window` would be True.
    """
    start = stamp & (1 << _START_BITS) - 1
    if not start or zlib.crc32(memoryview(data)[:start]) != stamp >> _START_BITS:
        return False
    return native.scan_end(data, start) >= 0


def examine(data: bytes, policy: Policy, *, decodes: bool = False) -> Examined:
    """Read the header of an image file and check its structure, without decoding it.

    Args:
        decodes: the caller decodes it next, by `normalize.decode`, which checks a PNG.
    Raises:
        ImageError: the file is incomplete or damaged, or the policy does not allow it.
    """
    if frame := _plain_frame(data, policy):
        header = _plain_header(frame, policy)
    else:
        header = read_header(io.BytesIO(data), policy)
    markers, unsure = None, False
    if header.format == "jpeg":
        markers = jpeg_markers.check(data, frame)
        unsure = not (markers.usual and markers.frame.sound)
    elif header.format == "png" and not decodes:
        unsure = png.check(data, policy.max_pixels)
    if unsure and not decodes:
        pillow_decoder.decoded_size(data, policy.max_pixels)
    return Examined(header, markers, _changes(header, markers, policy))


def _plain_frame(data: bytes, policy: Policy) -> Frame | None:
    """Return the markers of a plain JPEG: they tell what Pillow would, in a third of the time."""
    if data[:3] != b"\xff\xd8\xff":
        return None
    try:
        frame = jpeg_markers.read_frame(data)
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
    """Return the reasons why a record of the whole image cannot store the file's bytes."""
    reasons = {
        f"format_{header.format}": header.format not in ("jpeg", "png"),
        "rare_jpeg": markers is not None and markers.frame.sof not in (0, 1, 2),
        "orientation": policy.exif == "apply" and header.orientation != 1,
        "cmyk": header.mode in ("CMYK", "YCCK"),
        "deep": header.deep and policy.depth == 8,
        "alpha": header.alpha and policy.alpha != "drop",
        "animation": header.animated,
        "resized": bool(policy.resize_short_px)
        and min(header.height_px, header.width_px) != policy.resize_short_px,
    }
    return tuple(name for name, holds in reasons.items() if holds)
