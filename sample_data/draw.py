"""Draws the sample images, so that the repository needs no photograph of anybody.

Three subjects are drawn with NumPy: skies (``clouds``), heaps of stones (``pebbles``) and foliage
(``leaves``). All are fine-grained and coloured, because a flat picture would hide the effect of a
wrong crop, of chroma subsampling or of a second JPEG compression. The pictures are saved under
``images/<subject>/`` in many kinds of files (see ``PLAN``). Files that no reader should accept go
to ``rejects/``.

Usage: ``python sample_data/draw.py [FOLDER]``; FOLDER defaults to the script's own folder.
The same versions of NumPy and Pillow write the same bytes in every run.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

Floats = npt.NDArray[np.float64]
Shape = tuple[int, int]
Profile = Callable[[Floats, Floats], Floats]

SEED = 20_240_607
BOMB_SIDE = 30_000

# Subject -> kind:WIDTHxHEIGHT of each file; the size is that of the displayed picture.
PLAN = {
    "clouds": """
        444:201x173 422:240x160 420:173x201 progressive:256x144 gray:180x220 exif6:160x233
        exif3:219x150 cmyk:175x175 rgb:151x140 gray16:163x141 webp:250x187 gif:167x143
        upper:222x166 420:260x195""",
    "pebbles": """
        444:160x199 422:211x157 420:224x168 444:145x145 progressive:150x205 small:150x96
        exif8:141x212 cmyk:190x143 palette:171x149 alpha:143x155 gray8:161x147 webp:188x230
        420:179x179""",
    "leaves": """
        444:197x148 422:149x187 420:233x175 422:203x203 progressive:177x141 gray:192x144
        exif5:144x208 exif6:215x161 rgb:140x153 palette:152x190 alpha:157x141 lossless:141x147
        420:168x224""",
}

# Suffixes of all kinds that are not JPEG files named .jpg.
SUFFIXES = {
    **dict.fromkeys(("rgb", "palette", "alpha", "gray8", "gray16"), ".png"),
    **dict.fromkeys(("webp", "lossless"), ".webp"),
    "gif": ".gif",
    "upper": ".JPEG",
}
FORMATS = {".png": "PNG", ".webp": "WEBP", ".gif": "GIF", ".jpg": "JPEG", ".JPEG": "JPEG"}
OPTIONS: dict[str, dict[str, object]] = {
    "444": {"subsampling": "4:4:4"},
    "422": {"subsampling": "4:2:2"},
    "420": {"subsampling": "4:2:0"},
    "progressive": {"progressive": True},
    "lossless": {"lossless": True},
}

# EXIF orientation -> operation that turns the upright picture into the stored one.
STORED = {
    3: Image.Transpose.ROTATE_180,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}


def palette(text: str) -> Floats:
    """Return the colours (N, 3), 0 to 1, in ``text``: six hex digits for each."""
    return np.array([list(bytes.fromhex(colour)) for colour in text.split()]) / 255


# Zenith, horizon, lit cloud, shaded cloud, hills.
SKIES = [
    palette("265cac a8cde8 fffdf8 96a5bc 2c3e28"),
    palette("343a6e f6a062 ffcea0 785470 241c22"),
    palette("4880b0 e2dcc4 fcf6e8 848ea0 464a2c"),
    palette("3c4a60 b2bec8 dee2e6 4e5868 222c2a"),
]
STONES = palette("807e7c b09678 545862 c6beb2 8e5c46 6e786c")
# Dark and light end of each season.
FOLIAGE = [
    palette("22541c 82ac3e"),
    palette("184a32 5c9654"),
    palette("8a2c16 e2a434"),
    palette("3e5a18 cebc46"),
]


def frequencies(shape: Shape) -> Floats:
    """Return the spatial frequency, in cycles a pixel, of each bin of ``rfft2``."""
    bins: Floats = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1]))
    return bins


def blur(field: Floats, sigma: float) -> Floats:
    """Return ``field`` (H, W), blurred by a Gaussian of ``sigma`` pixels that wraps at edges."""
    shape = (field.shape[0], field.shape[1])
    gain = np.exp(-2 * (np.pi * sigma * frequencies(shape)) ** 2)
    return np.fft.irfft2(np.fft.rfft2(field) * gain, s=shape)


def fractal(rng: np.random.Generator, shape: Shape, slope: float) -> Floats:
    """Return (H, W) noise whose amplitude falls as frequency ** -slope; mean 0, deviation 1."""
    freq = frequencies(shape)
    freq[0, 0] = np.inf
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) * freq**-slope, s=shape)
    scaled: Floats = field / field.std()
    return scaled


def mix(first: Floats, second: Floats, share: Floats) -> Floats:
    """Return colours from ``first`` (share 0) to ``second`` (share 1); share has no colour axis."""
    return first + (second - first) * np.clip(share, 0, 1)[..., None]


def clouds(rng: np.random.Generator, shape: Shape) -> Floats:
    """Return a sky above hills, (H, W, 3)."""
    zenith, horizon, lit, shaded, hill = SKIES[rng.integers(len(SKIES))]
    rows, columns = np.indices(shape)
    swirl = (14 * fractal(rng, shape, 1.8)).astype(np.intp)
    field = fractal(rng, shape, 1.55)[(rows + swirl) % shape[0], (columns - swirl) % shape[1]]
    depth = rows / shape[0]
    density = 0.5 + 0.6 * (field + rng.uniform(-0.2, 0.4))
    slope = blur(density, 3) - np.roll(blur(density, 3), (14, 9), (0, 1))
    cloud = mix(shaded, lit, 0.62 + 0.9 * slope + 0.1 * fractal(rng, shape, 1.2))
    sky = mix(zenith, horizon, depth**1.4)
    picture = mix(sky, cloud, density**2 * (density > 0) * (1.1 - 0.6 * depth))
    ridge = rng.uniform(0.8, 0.9) + 0.03 * fractal(rng, shape, 1.9)[0]
    grass = mix(hill * 0.5, hill * 1.5, 0.5 + 0.3 * fractal(rng, shape, 0.9))
    return mix(picture, grass, (depth - ridge) * shape[0])


def heap(
    rng: np.random.Generator, shape: Shape, sizes: Floats, aspect: float, profile: Profile
) -> tuple[Floats, npt.NDArray[np.intp], Floats, Floats]:
    """Drop a body for each of ``sizes`` (half its length in pixels), and look from above.

    Returns four (H, W) arrays: the height of the topmost body, its index, and the place on it,
    along (u) and across (v), both -1 to 1. ``profile`` gives a body's height at (u, v) for a half
    length of 1, and NaN outside the body. Bare ground has height 0 and u = v = 1.
    """
    height, top = np.zeros(shape), np.zeros(shape, np.intp)
    u, v = np.ones(shape), np.ones(shape)
    bend = 5 * fractal(rng, shape, 2.0)
    for index, size in enumerate(sizes):
        row, column = rng.uniform(-14, (shape[0] + 14, shape[1] + 14))
        lift = rng.uniform(0, sizes.max())
        angle = rng.uniform(0, 2 * np.pi)
        box = tuple(
            slice(max(0, int(centre - size - 8)), int(centre + size + 8))
            for centre in (row, column)
        )
        rows, columns = np.ogrid[: shape[0], : shape[1]]
        down = rows[box[0]] - row + bend[box]
        right = columns[:, box[1]] - column - bend[box]
        along = (right * np.cos(angle) + down * np.sin(angle)) / size
        across = (down * np.cos(angle) - right * np.sin(angle)) / (size * aspect)
        level = lift + size * profile(along, across)
        seen = level > height[box]
        for target, value in ((height, level), (u, along), (v, across)):
            target[box][seen] = value[seen]
        top[box][seen] = index
    return height, top, u, v


def light(height: Floats) -> Floats:
    """Return the light, 0 to 1.4, on a relief (H, W) that is lit from the upper left."""
    down, right = np.gradient(height)
    direct = (0.5 * down + 0.45 * right + 0.75) / np.sqrt(down**2 + right**2 + 1)
    for step in range(2, 26, 2):
        direct *= np.where(np.roll(height, (step, step), (0, 1)) > height + 1.3 * step, 0.82, 1)
    hollow = np.clip((blur(height, 12) - height) / 22, 0, 0.8)
    lit: Floats = (0.3 + np.clip(direct, 0, 1.1)) * (1 - hollow)
    return lit


def pebbles(rng: np.random.Generator, shape: Shape) -> Floats:
    """Return a heap of round stones, (H, W, 3)."""
    sizes = rng.uniform(14, 46, shape[0] * shape[1] // 550)

    def dome(u: Floats, v: Floats) -> Floats:
        inside = 1 - np.abs(u) ** 2.4 - np.abs(v) ** 2.4
        return 0.6 * np.sqrt(np.where(inside > 0, inside, np.nan))

    height, top, u, _ = heap(rng, shape, sizes, 0.74, dome)
    colours = STONES[rng.integers(len(STONES), size=len(sizes))]
    colours *= rng.uniform(0.8, 1.2, (len(sizes), 1))
    colours += rng.normal(0, 0.03, colours.shape)
    bands = 0.07 * np.sin(9 * u + 3 * fractal(rng, shape, 1.4)) * (top % 4 == 0)
    speckle = 1 + 0.11 * fractal(rng, shape, 0.6) + 0.06 * fractal(rng, shape, 1.3) + bands
    lit = speckle * light(height + 0.3 * fractal(rng, shape, 0.9))
    picture: Floats = colours[top] * lit[..., None]
    return picture


def leaves(rng: np.random.Generator, shape: Shape) -> Floats:
    """Return foliage, (H, W, 3)."""
    sizes = rng.uniform(34, 74, shape[0] * shape[1] // 750)

    def blade(u: Floats, v: Floats) -> Floats:
        edge = (1 - u**2) * (1 - 0.35 * u) + 0.03 * np.sin(40 * u)
        inside = (np.abs(v) < edge) & (np.abs(u) < 1)
        return np.where(inside, 0.2 * np.abs(v) - 0.3 * u**2 + 0.12 * u, np.nan)

    height, top, u, v = heap(rng, shape, sizes, 0.42, blade)
    dark, bright = FOLIAGE[rng.integers(len(FOLIAGE))]
    age = rng.uniform(0, 1, len(sizes))[top] + 0.16 * fractal(rng, shape, 1.1)
    ribs = np.exp(-((np.abs(v) / 0.06) ** 2)) + 0.45 * np.cos(26 * (u - 0.35 * np.abs(v))) ** 12
    colours = mix(mix(dark, bright, age), bright * 1.15, 0.55 * ribs)
    grain = 1 + 0.06 * fractal(rng, shape, 0.4)
    picture: Floats = colours * (grain * light(height))[..., None]
    return picture


DRAWERS = {"clouds": clouds, "pebbles": pebbles, "leaves": leaves}


def draw(subject: str, number: int, width: int, height: int) -> Floats:
    """Return a picture (height, width, 3), 0 to 1, drawn at twice the size to smooth its edges."""
    seed = [SEED, list(PLAN).index(subject), number]
    rng = np.random.Generator(np.random.PCG64(seed))
    large = DRAWERS[subject](rng, (2 * height, 2 * width))
    picture: Floats = large.reshape(height, 2, width, 2, 3).mean((1, 3))
    picture += rng.normal(0, 0.008, picture.shape)
    return picture.clip(0, 1)


def eight_bit(values: Floats) -> Image.Image:
    """Return an image of ``values``, 0 to 1, shaped (H, W) or (H, W, channels)."""
    return Image.fromarray(np.round(values * 255).astype(np.uint8))


def cmyk(picture: Floats) -> Image.Image:
    """Return a CMYK image; half of the common ink is black, since K = 0 would test little."""
    ink = 1 - picture
    black = ink.min(-1, keepdims=True) / 2
    values = np.concatenate([(ink - black) / (1 - black), black], -1)
    size = (picture.shape[1], picture.shape[0])
    return Image.frombytes("CMYK", size, np.round(values * 255).astype(np.uint8).tobytes())


def with_alpha(image: Image.Image) -> Image.Image:
    """Return ``image`` as an RGBA oval with a soft edge; its corners are fully transparent."""
    rows, columns = np.ogrid[-0.5 : 0.5 : image.height * 1j, -0.5 : 0.5 : image.width * 1j]
    image.putalpha(eight_bit(np.clip((0.5 - np.hypot(rows, columns)) * 8, 0, 1)))
    return image


def gray16(picture: Floats) -> Image.Image:
    """Return a 16-bit grayscale image that reaches both 0 and 65535."""
    gray = picture.mean(-1)
    full = (gray - gray.min()) / np.ptp(gray) * 65535
    return Image.fromarray(np.round(full).astype(np.uint16))


def encode(picture: Floats, kind: str, suffix: str) -> bytes:
    """Return a file of ``kind`` that shows ``picture`` (H, W, 3)."""
    image = eight_bit(picture)
    options = {"quality": 88, **OPTIONS.get(kind, {})}
    if kind in ("gray", "gray8"):
        image = image.convert("L")
    elif kind == "cmyk":
        image = cmyk(picture)
    elif kind == "gray16":
        image = gray16(picture)
    elif kind == "alpha":
        image = with_alpha(image)
    elif kind in ("palette", "gif"):
        image = image.quantize(96)
    elif kind.startswith("exif"):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation = int(kind.removeprefix("exif"))
        image = image.transpose(STORED[orientation])
        options["exif"] = exif
    buffer = io.BytesIO()
    image.save(buffer, FORMATS[suffix], **options)
    return buffer.getvalue()


def bomb() -> bytes:
    """Return a small PNG of BOMB_SIDE x BOMB_SIDE black pixels, packed row by row."""
    packer = zlib.compressobj(9)
    row = bytes(1 + BOMB_SIDE // 8)
    packed = b"".join(packer.compress(row) for _ in range(BOMB_SIDE)) + packer.flush()
    header = struct.pack(">IIBBBBB", BOMB_SIDE, BOMB_SIDE, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def rejects() -> dict[str, bytes]:
    """Return the files to reject, by name."""
    picture = draw("pebbles", 99, 180, 150)
    jpeg, png = encode(picture, "420", ".jpg"), encode(picture, "rgb", ".png")
    pointer = (
        "version https://git-lfs.github.com/spec/v1\n"
        f"oid sha256:{hashlib.sha256(jpeg).hexdigest()}\nsize {len(jpeg)}\n"
    )
    return {
        "truncated.jpg": jpeg[: len(jpeg) * 6 // 10],
        "truncated.png": png[: len(png) * 6 // 10],
        "empty.jpg": b"",
        "text.jpg": b"This is a line of text, not a picture.\n",
        "gitlfs.jpg": pointer.encode(),
        "bomb.png": bomb(),
    }


def main() -> None:
    """Write all files, and print their number and size."""
    parser = argparse.ArgumentParser(description="Draw the sample images.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).resolve().parent)
    folder: Path = parser.parse_args().folder
    files = {folder / "rejects" / name: data for name, data in rejects().items()}
    for subject, plan in PLAN.items():
        for number, entry in enumerate(plan.split(), 1):
            kind, size = entry.split(":")
            width, height = map(int, size.split("x"))
            suffix = SUFFIXES.get(kind, ".jpg")
            path = folder / "images" / subject / f"{subject}-{number:02d}-{kind}{suffix}"
            files[path] = encode(draw(subject, number, width, height), kind, suffix)
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    print(f"{len(files)} files, {sum(map(len, files.values()))} bytes")


if __name__ == "__main__":
    main()
