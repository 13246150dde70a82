"""What the first directory of a TIFF file says of its samples, and which of that can be decoded.

Knows: tags. Must not know: pixels, Pillow.

Pillow gives an 8-bit mode for many files whose samples it reads wrongly. So the tags decide: what
Pillow is proven to decode is left to it, what `tiff_samples` is proven to decode goes there, and
everything else is refused with its name. `docs/guides/image-formats.md` has the table, and tests
compare each row with tifffile.

Source: TIFF Revision 6.0; Adobe Photoshop TIFF Technical Notes; BigTIFF as libtiff writes it.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from tfrec_cli.errors import ImageError
from tfrec_cli.imaging import orientation
from tfrec_cli.imaging.boxes import File

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, CIELAB = 0, 1, 2, 3, 5, 6, 8
NONE, CCITT_RLE, CCITT_3, CCITT_4, LZW, JPEG = 1, 2, 3, 4, 5, 7
_DEFLATE, _OLD_DEFLATE, _PACKBITS, _LZMA, _ZSTD = 8, 32946, 32773, 34925, 50000

BYTEWISE = (NONE, LZW, _DEFLATE, _OLD_DEFLATE, _PACKBITS, _LZMA, _ZSTD)
"""Compressions of bytes, whatever the samples in them are."""

CCITT = (CCITT_RLE, CCITT_3, CCITT_4)
_PREDICTED = (LZW, _DEFLATE, _OLD_DEFLATE, _LZMA, _ZSTD)

_COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3, CIELAB: 3}
"""Samples of a pixel without extra samples."""

_NAMES = {  # for messages
    WHITE_IS_ZERO: "grey (white is zero)",
    BLACK_IS_ZERO: "grey",
    RGB: "RGB",
    PALETTE: "palette",
    CMYK: "CMYK",
    YCBCR: "YCbCr",
    CIELAB: "CIELAB",
    4: "mask",
    9: "ICCLAB",
    10: "ITULAB",
    32803: "colour filter array",
    32844: "LogL",
    32845: "LogLuv",
    34892: "linear raw",
}
_COMPRESSIONS = {
    6: "old JPEG",
    9: "JBIG",
    32809: "ThunderScan",
    32909: "PixarLog",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34676: "SGILog",
    34712: "JPEG 2000",
    34887: "LERC",
    50001: "WebP",
    50002: "JPEG XL",
}
_SHALLOW_BITS = {
    WHITE_IS_ZERO: (1, 2, 4, 8),
    BLACK_IS_ZERO: (1, 2, 4, 8),
    RGB: (8,),
    PALETTE: (1, 2, 4, 8),
    CMYK: (8,),
    YCBCR: (8,),
}
"""Bits of a sample that Pillow decodes."""

_DEEP = (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, CMYK)
_DEEP_BITS = range(9, 17)

ASSOCIATED_ALPHA, UNASSOCIATED_ALPHA = 1, 2

_MOST_ENTRIES, _MOST_VALUES = 1 << 16, 1 << 21
_TYPES = {1: "B", 7: "B", 3: "H", 4: "I", 5: "II", 13: "I", 16: "Q", 18: "Q"}
_TAGS = {
    256: "width",
    257: "height",
    258: "bits",
    259: "compression",
    262: "photometric",
    266: "fill_order",
    273: "offsets",
    274: "orientation",
    277: "samples",
    278: "rows",
    279: "counts",
    284: "planar",
    317: "predictor",
    320: "palette",
    322: "tile_width",
    323: "tile_height",
    324: "offsets",
    325: "counts",
    332: "ink_set",
    338: "extra",
    339: "formats",
    347: "tables",
    529: "coefficients",
    530: "subsampling",
    532: "reference",
    700: "xmp",
    34675: "icc",
}
_SCALARS = {
    "compression": 1,
    "fill_order": 1,
    "samples": 1,
    "rows": 0,
    "planar": 1,
    "predictor": 1,
    "tile_width": 0,
    "tile_height": 0,
    "ink_set": 1,
}
"""Tags with one value, and what it is if the tag is missing."""

_REQUIRED = {"width", "height", "photometric", "offsets"}


class Tiff(NamedTuple):
    """The first picture of a TIFF file, as its tags describe it.

    Attributes:
        bits: bits of each sample; the same for all.
        samples: samples of a pixel, with extra samples.
        extra: the meaning of each extra sample.
        offsets, counts: where the compressed bytes of each strip or tile are, and how many.
        segment: (rows, columns) of a strip or tile, in pixels.
        tiled: the pieces are tiles.
        little: numbers have their lowest byte first.
        reversed_bits: the lowest bit of a byte is the first.
        tables: tables of all JPEG strips or tiles, as a JPEG of their own.
        icc: the colour profile.
        followed: another directory follows.
    """

    height_px: int
    width_px: int
    bits: int
    samples: int
    photometric: int
    compression: int
    planar: bool
    predictor: int
    extra: tuple[int, ...]
    orientation: int
    offsets: tuple[int, ...]
    counts: tuple[int, ...]
    segment: tuple[int, int]
    tiled: bool
    little: bool
    reversed_bits: bool
    tables: bytes
    icc: bytes
    followed: bool

    @property
    def deep(self) -> bool:
        """Whether samples have more than 8 bits."""
        return self.bits > 8

    @property
    def is_ours(self) -> bool:
        """Whether `tiff_samples` decodes it; else Pillow does."""
        alone = self.extra == (ASSOCIATED_ALPHA,) or (self.planar and self.extra)
        return self.compression in BYTEWISE and bool(self.deep or alone)

    @property
    def colours(self) -> int:
        """Samples of a pixel without extra samples."""
        return self.samples - len(self.extra)


def read(file: File) -> Tiff:
    """Read the tags of a TIFF file's first picture, and refuse what is not proven to be decoded.

    Args:
        file: opened for reading and seeking; it stays wherever it is then.
    Raises:
        ImageError: its tags are damaged, strips or tiles are missing or end after the file does,
            or no decoder is proven for it.
    """
    try:
        tags, little = _tags(file)
        tiff = _tiff(tags, little)
    except (struct.error, ValueError, OverflowError) as error:
        raise ImageError("corrupt", f"cannot be decoded: its tags are damaged ({error})") from error
    _check_extents(tiff, file.seek(0, 2))
    return tiff


def _tags(file: File) -> tuple[dict[str, tuple[int, ...]], bool]:
    """Return the values of the tags in `_TAGS`, and whether numbers are little-endian."""
    file.seek(0)
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", head, 2)[0] == 43
    word, entry = ("Q", "HHQ") if big else ("I", "HHI")
    word_bytes = struct.calcsize(order + word)
    start = struct.unpack_from(order + word, head, 8 if big else 4)[0]
    file.seek(start)
    counter = order + ("Q" if big else "H")
    count = struct.unpack(counter, file.read(struct.calcsize(counter)))[0]
    if not 0 < count <= _MOST_ENTRIES:
        raise ValueError(f"{count} tags")
    entry_bytes = struct.calcsize(order + entry) + word_bytes
    table = file.read(count * entry_bytes)
    following = file.read(word_bytes)
    tags: dict[str, tuple[int, ...]] = {"following": (int(any(following)),)}
    for place in range(0, count * entry_bytes, entry_bytes):
        tag, kind, values = struct.unpack_from(order + entry, table, place)
        name = _TAGS.get(tag)
        if name is None:
            continue
        if name in tags:
            raise ValueError(f"tag {tag} twice")
        letters = _TYPES.get(kind)
        if name == "xmp" and (letters != "B" or values > _MOST_VALUES):
            continue  # it says nothing about pixels
        if letters is None or not 0 < values <= _MOST_VALUES:
            raise ValueError(f"tag {tag} with {values} values of type {kind}")
        form = f"{order}{values * len(letters)}{letters[0]}"
        data = table[place + entry_bytes - word_bytes : place + entry_bytes]
        if struct.calcsize(form) > word_bytes:
            file.seek(struct.unpack(order + word, data)[0])
            data = file.read(struct.calcsize(form))
        tags[name] = struct.unpack_from(form, data)
    return tags, order == "<"


def _orientation(tags: dict[str, tuple[int, ...]]) -> int:
    """Return the orientation by the tag; without it, by XMP."""
    if "orientation" in tags:
        return orientation.of_value(tags["orientation"][0])
    return orientation.of_blocks(None, bytes(tags.get("xmp", ())))


def _tiff(tags: dict[str, tuple[int, ...]], little: bool) -> Tiff:
    """Make a `Tiff` from the tags, and refuse what is not proven to be decoded.

    Raises:
        ImageError: no decoder is proven for it.
        ValueError: a tag is missing, or makes no sense.
    """
    one = {name: tags[name][0] if name in tags else default for name, default in _SCALARS.items()}
    if missing := _REQUIRED - tags.keys():
        raise ValueError(f"no {', '.join(sorted(missing))}")
    photometric, samples = tags["photometric"][0], one["samples"]
    bits = set(tags.get("bits", (1,)))
    base = _COLOURS.get(photometric, samples)
    extra = tags.get("extra", ())
    _check_kind(tags, one, bits, samples - base)
    height, width = tags["height"][0], tags["width"][0]
    tiled = "tile_width" in tags
    rows = min(one["rows"] or height, height)
    segment = (one["tile_height"], one["tile_width"]) if tiled else (rows, width)
    offsets = tags["offsets"]
    if "counts" not in tags and one["compression"] != NONE:
        raise ValueError("no sizes of strips")
    if not (height and width and segment[0] and segment[1]):
        raise ValueError("a side of 0")
    return Tiff(
        height_px=height,
        width_px=width,
        bits=min(bits),
        samples=samples,
        photometric=photometric,
        compression=one["compression"],
        planar=one["planar"] == 2 and samples > 1,
        predictor=one["predictor"],
        extra=extra,
        orientation=_orientation(tags),
        offsets=offsets,
        counts=tags.get("counts", (0,) * len(offsets)),
        segment=segment,
        tiled=tiled,
        little=little,
        reversed_bits=one["fill_order"] == 2,
        tables=bytes(tags.get("tables", ())),
        icc=bytes(tags.get("icc", ())),
        followed=bool(tags["following"][0]),
    )


def _check_kind(
    tags: dict[str, tuple[int, ...]], one: dict[str, int], bits: set[int], extras: int
) -> None:
    """Refuse a kind of samples that is not proven to be decoded."""
    photometric = tags["photometric"][0]
    name = _NAMES.get(photometric, f"photometric {photometric}")
    found = f"{'/'.join(map(str, sorted(bits)))}-bit {name}"
    extra = tags.get("extra", ())
    if photometric not in _COLOURS:
        raise _refused(found, "grey, RGB, palette, CMYK or YCbCr")
    if extras < 0 or len(extra) != max(extras, 0):
        if extras > 0 and not extra:
            raise _refused(f"{extras} samples of unknown meaning besides {name}", "none, or alpha")
        raise _refused(f"{one['samples']} samples, {len(extra)} of them extra", f"those of {name}")
    if extra and (len(extra) > 1 or extra[0] not in (ASSOCIATED_ALPHA, UNASSOCIATED_ALPHA)):
        kinds = ", ".join(map(str, extra))
        raise _refused(f"extra samples that are not one alpha (kinds: {kinds})", "none, or alpha")
    if set(tags.get("formats", (1,))) - {1, 4}:
        raise _refused(f"signed or floating-point samples in {found}", "unsigned whole numbers")
    width = min(bits)
    deep = photometric in _DEEP and width in _DEEP_BITS
    if extra and (photometric not in (BLACK_IS_ZERO, RGB) or min(bits) < 8):
        raise _refused(f"{found} with alpha", "no alpha, or grey or RGB of 8 to 16 bits")
    if len(bits) > 1 or not (deep or width in _SHALLOW_BITS.get(photometric, ())):
        raise _refused(found, "8 to 16 bits in RGB and CMYK; 1, 2, 4 or 8 to 16 in grey")
    _check_compression(one, found, photometric, width, extra)
    _check_colours(tags, one, found)


def _check_compression(
    one: dict[str, int], found: str, photometric: int, bits: int, extra: tuple[int, ...]
) -> None:
    compression, predictor = one["compression"], one["predictor"]
    proven = [*BYTEWISE]
    if bits == 1 and photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO):
        proven += () if one["tile_width"] else CCITT
    if (
        bits == 8
        and photometric != PALETTE
        and one["samples"] != 2
        and ASSOCIATED_ALPHA not in extra
    ):
        proven += [JPEG]
    if photometric == YCBCR:
        proven = [NONE, JPEG]
    if compression not in proven:
        named = _COMPRESSIONS.get(compression, f"compression {compression}")
        raise _refused(f"{found} in {named}", "a usual compression of TIFF")
    predicted = predictor == 2 and compression in _PREDICTED and bits in (8, 16)
    ignored = compression in (NONE, _PACKBITS) and bits not in (8, 16)  # there is none for 12 bits
    if predictor != 1 and not predicted and not ignored:
        raise _refused(f"predictor {predictor} for {found}", "none, or 2 for 8 or 16 bits")
    if one["fill_order"] != 1 and compression not in CCITT:
        raise _refused(f"reversed bits (fill order {one['fill_order']}) in {found}", "fill order 1")
    if one["planar"] not in (1, 2):
        raise _refused(f"planar configuration {one['planar']}", "1 or 2")


def _check_colours(tags: dict[str, tuple[int, ...]], one: dict[str, int], found: str) -> None:
    photometric = tags["photometric"][0]
    if photometric == PALETTE and max(tags.get("palette", (0,))) < 1 << 8:
        raise _refused("no palette of 16-bit values", "one")
    if photometric == CMYK and one["ink_set"] != 1:
        raise _refused(f"ink set {one['ink_set']}", "1, which is CMYK")
    if photometric != YCBCR or one["compression"] == JPEG:
        return
    usual = (0, 255, 128, 255, 128, 255)
    reference = tags.get("reference", tuple(n for value in usual for n in (value, 1)))
    levels = [reference[n] / (reference[n + 1] or 1) for n in range(0, len(reference) - 1, 2)]
    if tags.get("subsampling", (2, 2)) != (1, 1) or tuple(levels) != usual or one["planar"] == 2:
        raise _refused(f"{found} of other subsampling, levels or planes", "1x1, 0 to 255")


def _check_extents(tiff: Tiff, size_bytes: int) -> None:
    """Refuse a file that ends before its pixels do."""
    rows, columns = tiff.segment
    across, down = -(-tiff.width_px // columns), -(-tiff.height_px // rows)
    needed = across * down * (tiff.samples if tiff.planar else 1)
    found = min(len(tiff.offsets), len(tiff.counts))
    if found < needed:
        raise ImageError("truncated", f"found {found} strips or tiles, expected {needed}")
    if (found := max(len(tiff.offsets), len(tiff.counts))) > needed:  # Pillow draws them on top
        raise ImageError("corrupt", f"found {found} strips or tiles, expected {needed}")
    row_bytes = -(-columns * tiff.bits * (1 if tiff.planar else tiff.samples) // 8)
    for number, (offset, count) in enumerate(zip(tiff.offsets, tiff.counts, strict=False)):
        if number >= needed:
            break
        if tiff.compression == NONE:
            left = rows if tiff.tiled else min(rows, tiff.height_px - number % down * rows)
            count = left * row_bytes
        if not count or offset + count > size_bytes:
            message = f"found {size_bytes} bytes, expected {offset + count}"
            raise ImageError("truncated", f"{message} for strip or tile {number}")


def _refused(found: str, expected: str) -> ImageError:
    return ImageError("unsupported_mode", f"found a TIFF with {found}; expected {expected}")
