"""The rules of the PNG format: the order and content of chunks, and the compressed pixels.

Knows: what libpng, and so TensorFlow, refuses. Must not know: pixels, Pillow.

Pillow passes over most of these rules. A file that breaks one is refused, so that every PNG file
that is accepted is one for everybody. Damage that libpng passes over too (ancillary chunks of a
wrong length or in a wrong place) is allowed, but for wrong checksums.

Sources: Portable Network Graphics (PNG) Specification, third edition; libpng 1.6.43, pngrutil.c.
"""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from tfrec_cli.errors import ImageError
from tfrec_cli.imaging.policy import MAX_PIXELS, check_pixels
from tfrec_cli.runtime.values import sides

MAX_CHUNKS = 100_000
"""Files of cameras and editors have a hundred, or thousands if a large picture is in pieces."""

MAX_EXCESS_BYTES = 2**28
"""How much more than the pixels the compressed data may hold; libpng and Pillow ignore it."""

KEYWORD_BYTES = 79
"""The longest keyword of a text chunk."""

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SIGNATURE_BYTES, HEAD_BYTES, CRC_BYTES, _IHDR_BYTES = len(SIGNATURE), 8, 4, 13

_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""Bits of a sample by colour type."""

_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PALETTE = 3
"""The colour type of pictures whose pixels are numbers of colours."""

_MOST_COLOURS = 256

_COLOUR = 2
"""The bit of a colour type that says that there may be a palette."""

_WHOLE = ((0, 0, 1, 1),)
_PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
"""First column and row, and steps between columns and rows, of each pass of an interlaced file."""

_FILTERS = bytes(range(5))
_WINDOW_BITS, _PIECE_BYTES = 15, 1 << 20
_READ_BYTES = 8192
"""How much libpng decompresses at once, if a chunk has as much."""

_KNOWN = b"""bKGD cHRM eXIf gAMA hIST iCCP iTXt oFFs pCAL pHYs sBIT sCAL sPLT sRGB tEXt tIME tRNS
    zTXt""".split()
"""Ancillary chunks that libpng knows. It refuses them, but no others, before the header."""

_PILLOW_CHECKS = b"iCCP tRNS gAMA cHRM sRGB pHYs zTXt iTXt acTL fcTL fdAT".split()
"""Ancillary chunks that Pillow may refuse, besides texts of many bytes."""

_MOST_TEXT_BYTES = 1 << 20


class File(Protocol):
    """What is needed of a file."""

    def read(self, size: int, /) -> bytes:
        """Read at most ``size`` bytes."""

    def seek(self, offset: int, /) -> int:
        """Go to a place."""


class _Chunk(NamedTuple):
    kind: bytes
    start: int
    """Where its body starts."""

    stop: int


class _Header(NamedTuple):
    width_px: int
    height_px: int
    depth: int
    colour: int
    compression: int
    filters: int
    interlace: int

    def passes(self) -> Iterator[tuple[int, int]]:
        """Iterate (number of rows, bytes of a row with its filter) of each pass that has pixels."""
        bits = self.depth * _SAMPLES[self.colour]
        for left, top, step_x, step_y in _PASSES if self.interlace else _WHOLE:
            width = -((left - self.width_px) // step_x)
            height = -((top - self.height_px) // step_y)
            if width > 0 and height > 0:
                yield height, (width * bits + 7) // 8 + 1


class _Png(NamedTuple):
    """A file whose chunks keep the rules.

    Attributes:
        pixels: the IDAT chunks with the pixels: one after the other, without others between them.
        after: the chunks after these.
    """

    header: _Header
    pixels: list[_Chunk]
    after: list[_Chunk]


def check(data: bytes, max_pixels: int = MAX_PIXELS) -> bool:
    """Check that a PNG file is complete and keeps the rules; decompresses its pixels in pieces.

    Finds every cut and every changed byte.

    Returns:
        Whether Pillow may refuse a chunk after the pixels, which only decoding shows.
    Raises:
        ImageError: the file is cut, breaks a rule, or has more than ``max_pixels``.
    """
    png = _read(data, max_pixels)
    for _ in _unpacked(data, png):
        pass
    text_bytes = sum(stop - start for kind, start, stop in png.after if kind == b"tEXt")
    return text_bytes > _MOST_TEXT_BYTES or any(one.kind in _PILLOW_CHECKS for one in png.after)


def repacked(data: bytes, max_pixels: int = MAX_PIXELS) -> io.BytesIO:
    """Check a PNG file as `check` does, and return it with its pixels not compressed.

    So a decoder need not decompress them once more.

    Raises:
        ImageError: as for `check`.
    """
    png = _read(data, max_pixels)
    left = sum(rows * row_bytes for rows, row_bytes in png.header.passes())
    file = io.BytesIO()
    first = png.pixels[0].start - HEAD_BYTES
    file.write(memoryview(data)[:first])
    file.write(b"\0\0\0\0IDAT")
    packer = zlib.compressobj(0)
    crc = zlib.crc32(b"IDAT")
    for piece in _unpacked(data, png):
        packed = packer.compress(piece[:left])
        left -= min(left, len(piece))
        crc = zlib.crc32(packed, crc)
        file.write(packed)
    packed = packer.flush()
    file.write(packed)
    length = file.tell() - first - HEAD_BYTES
    file.write(struct.pack(">I", zlib.crc32(packed, crc)))
    file.write(memoryview(data)[png.pixels[-1].stop + CRC_BYTES :])
    file.seek(first)
    file.write(struct.pack(">I", length))
    file.seek(0)
    return file


def find(file: File, kinds: Sequence[bytes]) -> Iterator[tuple[bytes, int]]:
    """Iterate (kind, length of the body) of some chunks up to IEND; the file is at each body."""
    for kind, start, length in chunks(file):
        if kind in kinds:
            file.seek(start)
            yield kind, length
        if kind == b"IEND":
            return


def samples(file: File) -> tuple[int, int]:
    """Return the bits of a sample and the type of colour, (0, 0) without them; reads the header."""
    for kind, start, _ in chunks(file):
        if kind == b"IHDR":
            file.seek(start)
            bits, colour = file.read(_IHDR_BYTES)[8:10].ljust(2, b"\0")
            return bits, colour
    return 0, 0


def is_deep(data: bytes) -> bool:
    """Tell whether bytes are a PNG file of 16 bits a sample."""
    return data[:SIGNATURE_BYTES] == SIGNATURE and samples(io.BytesIO(data))[0] == max(_DEPTHS[0])


def chunks(file: File) -> Iterator[tuple[bytes, int, int]]:
    """Iterate (kind, start of the body, length of the body) of the chunks with complete headers."""
    position = SIGNATURE_BYTES
    while True:
        file.seek(position)
        head = file.read(HEAD_BYTES)
        if len(head) < HEAD_BYTES:
            return
        length, kind = struct.unpack(">I4s", head)
        yield kind, position + HEAD_BYTES, length
        position += HEAD_BYTES + length + CRC_BYTES


def _read(data: bytes, max_pixels: int) -> _Png:
    """Read the chunks up to IEND, and check all rules but those of the compressed pixels."""
    header: _Header | None = None
    palettes = 0
    pixels: list[_Chunk] = []
    after: list[_Chunk] = []
    for chunk in _sound_chunks(data):
        if header is None:
            if chunk.kind == b"IHDR":
                header = _read_header(data, chunk)
                check_pixels(header.height_px, header.width_px, max_pixels)
            elif chunk.kind[:1].isupper() or chunk.kind in _KNOWN:
                raise ImageError("corrupt", f"found {chunk.kind!r} before the header IHDR")
        elif chunk.kind == b"IEND":
            break
        elif chunk.kind == b"IDAT" and not after:
            if header.colour == _PALETTE and not palettes:
                raise ImageError("corrupt", "found no PLTE chunk before IDAT, expected a palette")
            pixels.append(chunk)
        else:
            _check_chunk(data, chunk, header, is_first=not palettes, is_after=bool(pixels))
            palettes += chunk.kind == b"PLTE" and not pixels
            if pixels:
                after.append(chunk)
    else:
        raise ImageError("truncated", f"found the end at byte {len(data)}, expected IEND")
    if not pixels:
        raise ImageError("truncated", "found no IDAT chunk, expected pixels")
    return _Png(header, pixels, after)


def _sound_chunks(data: bytes) -> Iterator[_Chunk]:
    """Iterate the complete chunks, and check their names and checksums."""
    view = memoryview(data)
    for number, (kind, start, length) in enumerate(chunks(io.BytesIO(data))):
        if number == MAX_CHUNKS:
            found = f"found more than {MAX_CHUNKS} segments or chunks"
            raise ImageError("too_complex", f"{found}, expected fewer")
        stop = start + length
        crc = data[stop : stop + CRC_BYTES]
        if len(crc) < CRC_BYTES:
            return
        place = f"at byte {start - HEAD_BYTES}"
        if int.from_bytes(crc, "big") != zlib.crc32(view[start:stop], zlib.crc32(kind)):
            raise ImageError("corrupt", f"found a wrong checksum in the {kind!r} chunk {place}")
        if not kind.isalpha():
            raise ImageError("corrupt", f"found a chunk {kind!r} {place}, expected four letters")
        yield _Chunk(kind, start, stop)


def _read_header(data: bytes, chunk: _Chunk) -> _Header:
    _, start, stop = chunk
    if stop - start != _IHDR_BYTES:
        raise ImageError("corrupt", f"found an IHDR of {stop - start} bytes, expected 13")
    header = _Header(*struct.unpack(">IIBBBBB", data[start:stop]))
    if not header.width_px or not header.height_px:
        found = sides(header.height_px, header.width_px)
        raise ImageError("corrupt", f"found {found}, expected at least 1 pixel")
    if header.depth not in _DEPTHS.get(header.colour, ()):
        found = f"colour type {header.colour} with {header.depth} bits a sample"
        raise ImageError("corrupt", f"found {found}, expected a combination that PNG has")
    for name, value, most in (
        ("compression", header.compression, 0),
        ("filter", header.filters, 0),
        ("interlace", header.interlace, 1),
    ):
        if value > most:
            raise ImageError("corrupt", f"found {name} method {value}, expected at most {most}")
    return header


def _check_chunk(
    data: bytes, chunk: _Chunk, header: _Header, *, is_first: bool, is_after: bool
) -> None:
    """Check a chunk that is neither the header nor one of pixels.

    Args:
        is_first: there was no palette before it.
        is_after: it comes after pixels.
    """
    kind, start, stop = chunk
    if kind == b"tRNS" and header.colour == _PALETTE and stop - start > _MOST_COLOURS:
        found = f"found the transparency of {stop - start} colours"
        raise ImageError("corrupt", f"{found}, expected at most {_MOST_COLOURS}")
    if kind == b"PLTE":
        if not is_first:
            raise ImageError("corrupt", "found a second PLTE chunk, expected one palette")
        if not is_after and header.colour & _COLOUR:
            _check_palette(stop - start, header)
    elif kind == b"fcTL" and not is_after:
        if data[start + 4 : stop][:16] != struct.pack(">IIII", *header[:2], 0, 0):
            found = "found a first frame that is a part of the picture"
            raise ImageError("corrupt", f"{found}, expected all of it")
    elif kind == b"IHDR":
        raise ImageError("corrupt", "found a second IHDR chunk, expected one header")
    elif kind != b"IDAT" and kind[:1].isupper():
        place = f"at byte {start - HEAD_BYTES}"
        raise ImageError("corrupt", f"found a chunk {kind!r} {place}, which PNG does not have")


def _check_palette(length: int, header: _Header) -> None:
    """Check the length of a palette; in a picture of other colours it may only not be empty."""
    if header.colour == _PALETTE and (length % 3 or length > 3 * _MOST_COLOURS):
        expected = f"3 for each of at most {_MOST_COLOURS} colours"
        raise ImageError("corrupt", f"found a palette of {length} bytes, expected {expected}")
    if not length:
        raise ImageError("corrupt", "found an empty palette, expected at least one colour")


def _unpacked(data: bytes, png: _Png) -> Iterator[bytes]:
    """Decompress the pixels in pieces, and check filters, length, and the checksum at the end."""
    passes = []
    size = 0
    for rows, row_bytes in png.header.passes():
        passes.append((size, size + rows * row_bytes, row_bytes))
        size += rows * row_bytes
    done = 0
    try:
        for piece in _inflated(data, png, size):
            for start, stop, row_bytes in passes:
                first = start if done <= start else done + (start - done) % row_bytes
                marks = piece[first - done : max(stop - done, 0) : row_bytes]
                if wrong := marks.translate(None, _FILTERS):
                    raise ImageError("corrupt", f"found filter {wrong[0]}, expected 0 to 4")
            done += len(piece)
            if done > size + MAX_EXCESS_BYTES:
                found = f"found {MAX_EXCESS_BYTES} bytes after the pixels"
                raise ImageError("too_complex", f"{found}, expected fewer")
            yield piece
    except zlib.error as error:
        raise ImageError("corrupt", f"cannot be decompressed: {error}") from error
    if done < size:
        raise ImageError("truncated", f"found {done} bytes of pixels, expected {size}")


def _inflated(data: bytes, png: _Png, size: int) -> Iterator[bytes]:
    """Decompress the pixels in pieces of 1 MiB.

    If the compressed data claim a window smaller than the picture, they are decompressed as libpng
    does, row by row, since then the pieces decide which distances are too far back.
    """
    first = next((data[chunk.start] for chunk in png.pixels if chunk.stop > chunk.start), 0)
    window_bits = min((first >> 4) + 8, _WINDOW_BITS)
    lengths: Iterator[int] = itertools.repeat(_PIECE_BYTES)
    if window_bits < _WINDOW_BITS and size > 1 << window_bits:
        rows = (itertools.repeat(row_bytes, rows) for rows, row_bytes in png.header.passes())
        lengths = itertools.chain(*rows, lengths)
    unpacker = zlib.decompressobj(window_bits)
    left = next(lengths)
    view = memoryview(data)
    for chunk in png.pixels:
        for start in range(chunk.start, chunk.stop, _READ_BYTES):
            packed: bytes | memoryview = view[start : min(start + _READ_BYTES, chunk.stop)]
            while True:
                piece = unpacker.decompress(packed, left)
                yield piece
                if unpacker.eof:
                    return
                packed = unpacker.unconsumed_tail
                if len(piece) < left:
                    left -= len(piece)
                    break
                left = next(lengths)
    raise ImageError("truncated", "found no end of the compressed pixels, expected one")
