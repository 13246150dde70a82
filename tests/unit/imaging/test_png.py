"""PNG files that break the rules of the format: refused by the writer, the readers and `verify`.

Pillow decodes most of them. TensorFlow, that is libpng, is the second decoder: what is written it
must read, to the same pixels.
"""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Pixels, fill, needs, photo, png_of, tf
from hypothesis import given, settings
from hypothesis import strategies as st
from record_files import record_file

from tfrec_cli.commands import verify
from tfrec_cli.commands.write import write
from tfrec_cli.dataset import manifest
from tfrec_cli.errors import ImageError
from tfrec_cli.imaging import decoder, normalize, pillow_decoder, png
from tfrec_cli.imaging.policy import MAX_SIDE, Policy
from tfrec_cli.tfrecord import example
from tfrec_cli.writing.options import WriteOptions

Chunk = tuple[bytes, bytes]

SIDE = 16
GRAY, RGB, PALETTE = 0, 2, 3
END: Chunk = (b"IEND", b"")
COLOURS: Chunk = (b"PLTE", photo(1, 256).tobytes())
TEXT: Chunk = (b"tEXt", b"a\0b")


def header(
    colour: int = RGB,
    depth: int = 8,
    *,
    width: int = SIDE,
    height: int = SIDE,
    methods: tuple[int, int, int] = (0, 0, 0),
) -> Chunk:
    """Make an IHDR chunk; methods are those of compression, filters and interlacing."""
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, *methods)


def rows(row_bytes: int = 3 * SIDE, count: int = SIDE, kind: int = 0) -> bytes:
    values = photo(count, row_bytes)[..., 0]
    return b"".join(bytes([kind]) + row.tobytes() for row in values)


def idat(raw: bytes, *, level: int = 6) -> Chunk:
    return b"IDAT", zlib.compress(raw, level)


def claiming(bits: int, raw: bytes) -> bytes:
    """Compress with distances of up to 32 KiB, and claim a window of ``2 ** bits`` bytes."""
    first = (bits - 8) << 4 | 8
    return bytes([first, -(first << 8) % 31]) + zlib.compress(raw, 9)[2:]


PIXELS = idat(rows())
INDEXES = idat(rows(SIDE))
PACKED = PIXELS[1]
SOUND = png_of(header(), PIXELS, END)
WIDE = rows(3 * 400, 1) * 20  # rows that repeat, 1201 bytes back

REFUSED: dict[str, tuple[str, bytes]] = {
    "no header": ("found b'IDAT' before the header", png_of(PIXELS, END)),
    "a text before the header": ("found b'tEXt' before", png_of(TEXT, header(), PIXELS, END)),
    "two headers": ("found a second IHDR", png_of(header(), header(), PIXELS, END)),
    "a header after the pixels": ("found a second IHDR", png_of(header(), PIXELS, header(), END)),
    "a long header": (
        "an IHDR of 14 bytes, expected 13",
        png_of((b"IHDR", header()[1] + b"\0"), PIXELS, END),
    ),
    "no columns": ("found 0 wide, 16 high", png_of(header(width=0), PIXELS, END)),
    "no rows": ("found 16 wide, 0 high", png_of(header(height=0), PIXELS, END)),
    "a side over libpng's limit": (
        f"at most {MAX_SIDE} on a side",
        png_of(header(GRAY, 1, width=1, height=MAX_SIDE + 1), idat(bytes(2 * MAX_SIDE + 2)), END),
    ),
    "three bits": ("colour type 0 with 3 bits", png_of(header(GRAY, 3), PIXELS, END)),
    "colours of four bits": ("colour type 2 with 4 bits", png_of(header(RGB, 4), PIXELS, END)),
    "a palette of 16 bits": (
        "colour type 3 with 16 bits",
        png_of(header(PALETTE, 16), COLOURS, PIXELS, END),
    ),
    "an unknown colour type": ("colour type 5 with 8 bits", png_of(header(5), PIXELS, END)),
    "compression 1": ("compression method 1", png_of(header(methods=(1, 0, 0)), PIXELS, END)),
    "filters 64": ("filter method 64", png_of(header(methods=(0, 64, 0)), PIXELS, END)),
    "interlace 2": ("interlace method 2", png_of(header(methods=(0, 0, 2)), PIXELS, END)),
    "no palette": ("found no PLTE", png_of(header(PALETTE), INDEXES, END)),
    "a palette after the pixels": (
        "found no PLTE chunk before IDAT",
        png_of(header(PALETTE), INDEXES, COLOURS, END),
    ),
    "two palettes": ("a second PLTE", png_of(header(PALETTE), COLOURS, COLOURS, INDEXES, END)),
    "two palettes of a gray picture": (
        "a second PLTE",
        png_of(header(GRAY), COLOURS, COLOURS, INDEXES, END),
    ),
    "a second palette after the pixels": (
        "a second PLTE",
        png_of(header(), COLOURS, PIXELS, COLOURS, END),
    ),
    "an empty palette": ("empty palette", png_of(header(PALETTE), (b"PLTE", b""), INDEXES, END)),
    "an empty palette of colours": ("empty palette", png_of(header(), (b"PLTE", b""), PIXELS, END)),
    "a palette of 767 bytes": (
        "palette of 767 bytes, expected 3 for each",
        png_of(header(PALETTE), (b"PLTE", COLOURS[1][:767]), INDEXES, END),
    ),
    "a palette of 257 colours": (
        "palette of 771 bytes",
        png_of(header(PALETTE), (b"PLTE", bytes(771)), INDEXES, END),
    ),
    "transparency of 257 colours": (
        "transparency of 257 colours, expected at most 256",
        png_of(header(PALETTE), COLOURS, (b"tRNS", b"\xff" * 256 + b"\0"), INDEXES, END),
    ),
    "transparency of 257 colours after the pixels": (
        "transparency of 257 colours",
        png_of(header(PALETTE), COLOURS, INDEXES, (b"tRNS", bytes(257)), END),
    ),
    "an unknown critical chunk": ("b'ABCD'", png_of(header(), (b"ABCD", b"x"), PIXELS, END)),
    "one after the pixels": ("b'ABCD'", png_of(header(), PIXELS, (b"ABCD", b"x"), END)),
    "pixels that only Pillow reads": (
        "found no end",
        png_of(header(), (b"IDAT", PACKED[:50]), (b"fdAT", bytes(4) + PACKED[50:]), END),
    ),
    "a digit in a chunk's name": (
        "b'a1cd' at byte 33, expected four letters",
        png_of(header(), (b"a1cd", b""), PIXELS, END),
    ),
    "a text between the pixels": (
        "found no end",
        png_of(header(), (b"IDAT", PACKED[:50]), TEXT, (b"IDAT", PACKED[50:]), END),
    ),
    "no checksum of the pixels": (
        "found no end",
        png_of(header(), (b"IDAT", PACKED[:-4]), END),
    ),
    "a wrong checksum of the pixels": (
        "cannot be decompressed",
        png_of(header(), (b"IDAT", PACKED[:-4] + bytes(4)), END),
    ),
    "nothing compressed": ("found no end", png_of(header(), (b"IDAT", b""), END)),
    "a window of 64 KiB": (
        "cannot be decompressed",
        png_of(header(), (b"IDAT", claiming(16, rows())), END),
    ),
    "a window smaller than distances": (
        "cannot be decompressed",
        png_of(header(width=400, height=20), (b"IDAT", claiming(8, WIDE)), END),
    ),
    "a row too few": (
        "found 735 bytes of pixels, expected 784",
        png_of(header(), idat(rows()[49:]), END),
    ),
    "an interlaced file of uninterlaced rows": (
        "found filter",
        png_of(header(methods=(0, 0, 1)), PIXELS, END),
    ),
    "filter 5": ("found filter 5, expected 0 to 4", png_of(header(), idat(rows(kind=5)), END)),
    "a first frame that is a part": (
        "a part of the picture",
        png_of(
            header(),
            (b"acTL", struct.pack(">II", 1, 0)),
            (b"fcTL", struct.pack(">IIIIIHHBB", 0, 8, 8, 0, 0, 1, 1, 0, 0)),
            PIXELS,
            END,
        ),
    ),
    "no end": ("expected IEND", png_of(header(), PIXELS)),
}

ONLY_US = (
    "a first frame that is a part",
    "transparency of 257 colours",
    "transparency of 257 colours after the pixels",
)
"""TensorFlow passes over them, but Pillow decodes the wrong pixels of the first, and refuses the
others."""

READ_BY_ALL: dict[str, bytes] = {
    "a usual one": SOUND,
    "an unknown ancillary chunk before the header": png_of((b"abCd", b""), header(), PIXELS, END),
    "pixels in pieces, some empty": png_of(
        header(), *[(b"IDAT", PACKED[i : i + 9]) for i in range(0, len(PACKED) + 20, 9)], END
    ),
    "more rows than its height": png_of(header(height=9), PIXELS, END),
    "bytes after the compressed pixels": png_of(header(), (b"IDAT", PACKED + b"more"), END),
    "pixels once more after a text": png_of(header(), PIXELS, TEXT, PIXELS, END),
    "bytes after the end": SOUND + b"more",
    "an end with content": png_of(header(), PIXELS, (b"IEND", b"x")),
    "colours with a palette of 767 bytes": png_of(
        header(), (b"PLTE", COLOURS[1][:767]), PIXELS, END
    ),
    "a palette after the pixels of colours": png_of(header(), PIXELS, COLOURS, END),
    "transparency of colours with too many bytes": png_of(
        header(), (b"tRNS", bytes(257)), PIXELS, END
    ),
    "numbers over the end of the palette": png_of(
        header(PALETTE), (b"PLTE", COLOURS[1][:30]), INDEXES, END
    ),
    "more colours than the depth can say": png_of(
        header(PALETTE, 4), COLOURS, idat(rows(SIDE // 2)), END
    ),
    "a small window for a small picture": png_of(header(), (b"IDAT", claiming(10, rows())), END),
    "a small window that is kept": png_of(
        header(width=400, height=20), (b"IDAT", claiming(11, WIDE)), END
    ),
    "interlaced": png_of(
        header(GRAY, width=2, height=2, methods=(0, 0, 1)), idat(b"\0\7\1\x09\0\1\2"), END
    ),
    **{
        f"filter {kind}": png_of(header(), idat(rows(kind=kind), level=0), END) for kind in range(5)
    },
}


def by_tensorflow(data: bytes) -> Pixels | None:
    """Decode by libpng; None if it refuses."""
    try:
        pixels: Pixels = tf.io.decode_png(data, channels=3).numpy()
    except tf.errors.InvalidArgumentError:
        return None
    return pixels


def stored(data: bytes, *, decodes: bool = False) -> bytes:
    return normalize.store_whole(data, Policy(), decodes=decodes).data


USES: dict[str, Callable[[bytes], Any]] = {
    "write": stored,
    "write --check decode": lambda data: stored(data, decodes=True),
    "readers": decoder.decode,
    "verify": pillow_decoder.decoded_size,
}


@pytest.mark.parametrize("use", [name for name in USES if not name.startswith("write")])
@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_breaks_a_rule_is_refused(name: str, use: str) -> None:
    words, data = REFUSED[name]
    with pytest.raises(ImageError) as refused:
        USES[use](data)
    assert words in str(refused.value)


@pytest.mark.parametrize("use", [name for name in USES if name.startswith("write")])
@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_breaks_a_rule_is_not_written(name: str, use: str) -> None:
    """Pillow reads its header first, so the message may be Pillow's."""
    with pytest.raises(ImageError):
        USES[use](REFUSED[name][1])


@pytest.mark.parametrize("options", [{}, {"crop": (8, 8)}, {"check": "decode"}], ids=str)
def test_commands_refuse_all_these_files(tmp_path: Path, options: dict[str, Any]) -> None:
    files = {f"{number:02}.png": data for number, (_, data) in enumerate(REFUSED.values())}
    source = fill(tmp_path / "src", {**files, "sound.png": SOUND})
    write(source, tmp_path / "out", WriteOptions(**options, on_error="skip", jobs=1))
    rejects = manifest.load(tmp_path / "out" / "train.manifest.json").rejects
    assert sum(rejects.values()) == len(REFUSED)


def test_verify_has_a_finding_for_each_of_these_files(tmp_path: Path) -> None:
    payloads = [example.encode({"image": data}) for _, data in REFUSED.values()]
    path = record_file(tmp_path / "x.tfrecord", *payloads)
    findings = verify.verify(path, verify.Options(jobs=1)).findings
    assert [finding.kind for finding in findings] == ["image"] * len(REFUSED)


@needs("tensorflow")
@pytest.mark.parametrize("name", [name for name in REFUSED if name not in ONLY_US])
def test_tensorflow_refuses_these_files_too(name: str) -> None:
    assert by_tensorflow(REFUSED[name][1]) is None


@pytest.mark.parametrize("name", READ_BY_ALL)
def test_what_libpng_and_pillow_pass_over_is_written_as_it_is(name: str) -> None:
    assert stored(READ_BY_ALL[name]) == READ_BY_ALL[name]


@needs("tensorflow")
@pytest.mark.parametrize("name", READ_BY_ALL)
def test_it_has_the_pixels_of_tensorflow(name: str) -> None:
    expected = by_tensorflow(READ_BY_ALL[name])
    assert expected is not None
    assert np.array_equal(decoder.decode(READ_BY_ALL[name]), expected)


def test_16_bits_are_seen_after_a_chunk_before_the_header() -> None:
    data = png_of((b"abCd", b""), header(RGB, 16), idat(rows(6 * SIDE)), END)
    assert normalize.store_whole(data, Policy(), decodes=False).changes == ("deep",)


@pytest.mark.parametrize("kind", [b"zTXt", b"gAMA", b"tRNS", b"fcTL"])
def test_what_only_pillow_refuses_after_the_pixels_is_not_written(kind: bytes) -> None:
    """No reader could read it."""
    data = png_of(header(), PIXELS, (kind, b"a\0\1"), END)
    with pytest.raises(ImageError):
        decoder.decode(data)
    with pytest.raises(ImageError):
        stored(data)


def test_too_many_bytes_after_the_pixels_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "MAX_EXCESS_BYTES", 99)
    assert png.check(png_of(header(), idat(rows() + bytes(99)), END)) is False
    with pytest.raises(ImageError) as refused:
        png.check(png_of(header(), idat(rows() + bytes(100)), END))
    assert refused.value.reason == "too_complex"


def test_a_check_takes_little_memory() -> None:
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(64)) + packer.flush()
    data = png_of(header(GRAY, width=2**13 - 1, height=2**13), (b"IDAT", packed), END)
    tracemalloc.start()
    png.check(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 2**20


# Any damage

KINDS = [b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"tEXt", b"zTXt", b"eXIf", b"fcTL"]
KINDS += [b"fdAT", b"acTL", b"ABCD", b"abcd", b"DDAT", b"sCAL", b"iCCP", b"sBIT", b"hIST"]


def interlaced(height: int, width: int, row_bytes: Callable[[int], int]) -> bytes:
    starts = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)]
    starts += [(0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    sizes = [(len(range(y, height, h)), len(range(x, width, w))) for x, y, w, h in starts]
    return b"".join(rows(row_bytes(columns), count) for count, columns in sizes if count * columns)


GOOD: list[list[Chunk]] = [
    [header(), PIXELS, END],
    [header(PALETTE), COLOURS, (b"tRNS", b"\0\7"), INDEXES, TEXT, END],
    [header(GRAY, 1), TEXT, idat(rows(2)), END],
    [header(RGB, 16), idat(rows(6 * SIDE)), END],
    [
        header(6),
        (b"IDAT", idat(rows(4 * SIDE))[1][:99]),
        (b"IDAT", idat(rows(4 * SIDE))[1][99:]),
        END,
    ],
    [header(width=400, height=20), (b"IDAT", claiming(11, WIDE)), END],
    [header(methods=(0, 0, 1)), idat(interlaced(SIDE, SIDE, lambda columns: 3 * columns)), END],
    [
        header(PALETTE, 2, width=5, height=3, methods=(0, 0, 1)),
        (b"PLTE", COLOURS[1][:9]),
        idat(interlaced(3, 5, lambda columns: -(-columns // 4))),
        END,
    ],
]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Change the chunks of a good file, whose checksums stay right, and perhaps bytes of it."""
    chunks = list(draw(st.sampled_from(GOOD)))
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(chunks) - 1))
        other = draw(st.integers(0, len(chunks)))
        kind, body = chunks[place]
        change = draw(st.sampled_from(["copy", "move", "kind", "cut", "flip", "pixels", "new"]))
        if change == "copy":
            chunks.insert(other, chunks[place])
        elif change == "move":
            chunks.insert(min(other, len(chunks) - 1), chunks.pop(place))
        elif change == "kind":
            chunks[place] = (draw(st.sampled_from(KINDS)), body)
        elif change == "cut":
            chunks[place] = (kind, body[: draw(st.integers(0, len(body)))])
        elif change == "flip" and body:
            at = draw(st.integers(0, len(body) - 1))
            flipped = body[at] ^ 1 << draw(st.integers(0, 7))
            chunks[place] = (kind, body[:at] + bytes([flipped]) + body[at + 1 :])
        elif change == "pixels":
            chunks = [one if one[0] != b"IDAT" else repacked(one, draw) for one in chunks]
        elif change == "new":
            chunks.insert(other, (draw(st.sampled_from(KINDS)), draw(st.binary(max_size=9))))
    data = bytearray(png_of(*chunks))
    for place in draw(st.lists(st.integers(8, len(data) - 1), max_size=1)):
        data[place] ^= draw(st.sampled_from([0, 0, 1, 32]))
    return bytes(data)


def repacked(chunk: Chunk, draw: st.DrawFn) -> Chunk:
    """Change the rows, or how they are compressed."""
    try:
        raw = bytearray(zlib.decompress(chunk[1]))
    except zlib.error:
        return chunk
    raw[draw(st.integers(0, len(raw) - 1))] = draw(st.integers(0, 6))
    raw = raw[: draw(st.sampled_from([len(raw), len(raw) - 1]))] + draw(
        st.sampled_from([b"", b"x"])
    )
    packed = claiming(draw(st.integers(8, 16)), bytes(raw))
    end = draw(st.sampled_from([len(packed), len(packed), len(packed) - 1, len(packed) - 5]))
    return b"IDAT", packed[:end] + draw(st.sampled_from([b"", b"more"]))


def check_damaged(examples: int, check: Callable[[bytes, Pixels], Iterable[bool]]) -> None:
    """Check damaged files that are written, with their pixels by our decoder; some must be."""
    outcomes = set()

    @settings(max_examples=examples, deadline=None, derandomize=True)
    @given(damaged())
    def run(data: bytes) -> None:
        try:
            written = stored(data)
        except ImageError:
            outcomes.add("refused")
            return
        outcomes.add("written")
        assert all(check(written, decoder.decode(written)))

    run()
    assert outcomes == {"refused", "written"}


def test_what_is_written_can_be_read_and_decoding_finds_nothing_more() -> None:
    check_damaged(
        500,
        lambda data, pixels: [
            np.array_equal(pillow_decoder.decode(data), pixels),
            stored(data, decodes=True) == data,
        ],
    )


@needs("tensorflow")
def test_what_is_written_has_the_pixels_of_tensorflow() -> None:
    check_damaged(
        500,
        lambda data, pixels: [
            (expected := by_tensorflow(data)) is not None and np.array_equal(expected, pixels)
        ],
    )
