"""write --depth 16: what is stored, and what every other command makes of it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Framework, fill, jpeg, needs, oriented, photo, png, save
from PIL import Image
from written import stored

import tfrec_cli
from tfrec_cli import read_numpy
from tfrec_cli.dataset import manifest, records
from tfrec_cli.errors import DataError, UsageError
from tfrec_cli.imaging import decoder, normalize, pillow_decoder
from tfrec_cli.imaging.kinds import deep
from tfrec_cli.imaging.policy import Policy
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.scan import read_records

imagecodecs = Framework("imagecodecs")

HEIGHT, WIDTH = 40, 52
CROP = (30, 31)


def values(channels: int, most: int = 65535) -> Any:
    random = np.random.default_rng(channels)
    return random.integers(0, most + 1, (HEIGHT, WIDTH, channels)).astype(np.uint16)


def ppm(pixels: Any, most: int = 65535) -> bytes:
    kind = 6 if pixels.shape[2] == 3 else 5
    head = b"P%d %d %d %d\n" % (kind, pixels.shape[1], pixels.shape[0], most)
    return head + pixels.astype(">u2").tobytes()


GREY, RGB = values(1), values(3)
SHALLOW = photo(HEIGHT, WIDTH)
DARK = values(1, 4095)
DARK[5, 5] = 4095


def sources() -> dict[str, bytes]:
    """Return images of 8 and of 16 bits, each class of one kind."""
    return {
        "deep/grey.png": deep.png_file(GREY),
        "deep/dark.png": deep.png_file(DARK),
        "deep/rgb.png": deep.png_file(RGB),
        "deep/grey.pgm": ppm(GREY),
        "deep/rgb.ppm": ppm(RGB),
        "deep/ten.ppm": ppm(values(3, 1023), 1023),
        "flat/a.jpg": jpeg(SHALLOW),
        "flat/b.png": png(SHALLOW),
        "flat/c.bmp": save(SHALLOW, "BMP"),
    }


PIXELS = {
    "deep/grey.png": GREY,
    "deep/dark.png": DARK,
    "deep/rgb.png": RGB,
    "deep/grey.pgm": GREY,
    "deep/rgb.ppm": RGB,
    "deep/ten.ppm": np.floor(values(3, 1023) * 65535.0 / 1023 + 0.5).astype(np.uint16),
    "flat/a.jpg": decoder.decode(jpeg(SHALLOW)),
    "flat/b.png": SHALLOW,
    "flat/c.bmp": SHALLOW,
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder of images."""
    return fill(tmp_path_factory.mktemp("images"), sources())


@pytest.fixture(scope="module")
def whole(images: Path) -> Path:
    """Write them whole, with 16 bits."""
    out = images.parent / f"{images.name}-whole"
    tfrec_cli.write(images, out, depth=16, jobs=1, shards=2)
    return out


@pytest.fixture(scope="module")
def cropped(images: Path) -> Path:
    """Write crops of them, with 16 bits."""
    out = images.parent / f"{images.name}-cropped"
    tfrec_cli.write(images, out, depth=16, crop=CROP, jobs=1)
    return out


def center(pixels: Any) -> Any:
    return pixels[5:35, 10:41]


def as_16(pixels: Any) -> Any:
    return pixels if pixels.dtype == np.uint16 else pixels.astype(np.uint16) * 257


def written(tmp_path: Path, files: dict[str, bytes], **options: Any) -> dict[str, Any]:
    """Write files with 16 bits, and return the pixels that are stored."""
    tfrec_cli.write(fill(tmp_path / "src", files), tmp_path / "out", depth=16, jobs=1, **options)
    return {name: decoder.decode(one.image) for name, one in stored(tmp_path / "out").items()}


class TestWhole:
    def test_deep_images_are_stored_exactly_and_others_as_without(self, whole: Path) -> None:
        files, found = sources(), stored(whole)
        assert sorted(found) == sorted(files)
        for name, pixels in PIXELS.items():
            kept = decoder.decode(found[name].image)
            assert kept.dtype == pixels.dtype
            assert (kept == pixels).all()
        for name in ("deep/grey.png", "deep/dark.png", "deep/rgb.png", "flat/a.jpg", "flat/b.png"):
            assert found[name].image == files[name]
        flat = normalize.store_whole(files["flat/c.bmp"], Policy(), decodes=False)
        assert found["flat/c.bmp"].image == flat.data

    def test_grey_is_stored_as_grey_for_every_png_reader(self, whole: Path) -> None:
        found = stored(whole)
        for name in ("deep/grey.png", "deep/grey.pgm"):
            assert np.array_equal(Image.open(io.BytesIO(found[name].image)), GREY[..., 0])
        for name in ("deep/rgb.png", "deep/rgb.ppm"):
            assert np.array_equal(imagecodecs.png_decode(found[name].image), RGB)

    def test_the_manifest_says_the_depth_only_if_it_is_16(self, images: Path, whole: Path) -> None:
        made = manifest.load(whole / "train.manifest.json")
        assert (made.options["depth"], made.depth) == (16, 16)
        assert made.versions["python_zlib"]
        assert made.changes == {"format_bmp": 1, "format_ppm": 3}
        out = whole.parent / "eight"
        eight = tfrec_cli.write(images, out, depth=8, jobs=1).manifest
        assert eight is not None
        assert "depth" not in eight.options
        assert "python_zlib" not in eight.versions
        assert eight.depth == 8
        assert eight.changes["deep"] == 6

    def test_twelve_bits_are_warned_of_also_if_the_bytes_are_kept(
        self, images: Path, tmp_path: Path
    ) -> None:
        made = tfrec_cli.write(images, tmp_path / "out", depth=16, jobs=1)
        (warning,) = made.warnings
        assert "hold fewer bits and look dark: 1; found 4095 as their" in warning

    def test_a_broken_deep_png_is_refused(self, tmp_path: Path) -> None:
        data = deep.png_file(RGB)
        files = {"a.png": data[:-30], "b.png": data[:60] + b"\xff" + data[61:], "c.png": data}
        folder = fill(tmp_path / "src", files)
        made = tfrec_cli.write(folder, tmp_path / "out", depth=16, on_error="skip", jobs=1)
        assert [reject.path for reject in made.rejects] == [b"a.png", b"b.png"]

    def test_metadata_can_be_stripped(self, tmp_path: Path) -> None:
        file = io.BytesIO()
        Image.fromarray(GREY[..., 0]).save(file, "PNG", exif=Image.Exif(), dpi=(72, 72))
        comment = b"tEXt" + b"Comment\0secret"
        chunk = len(comment[4:]).to_bytes(4, "big") + comment
        data = file.getvalue()
        import zlib

        data = data[:33] + chunk + zlib.crc32(comment).to_bytes(4, "big") + data[33:]
        found = written(tmp_path, {"a.png": data}, strip_metadata=True)
        assert (found["a.png"] == GREY).all()
        assert b"secret" not in stored(tmp_path / "out")["a.png"].image


class TestCrops:
    def test_all_crops_have_16_bits(self, cropped: Path) -> None:
        for name, record in stored(cropped).items():
            found = decoder.decode(record.image)
            assert found.dtype == np.uint16
            assert (found == center(as_16(PIXELS[name]))).all()
        made = manifest.load(cropped / "train.manifest.json")
        assert (made.stored, made.options["depth"]) == ("png", 16)

    def test_cropping_first_or_while_reading_gives_the_same(
        self, whole: Path, cropped: Path
    ) -> None:
        """Promise P3: bit for bit, in every dtype, also of images of 8 bits."""
        for dtype in ("uint8", "uint16", "float32"):
            first, later = (
                [image for image, _ in read_numpy.dataset(path, crop=CROP, dtype=dtype, **how)]
                for path, how in ((cropped, {}), (whole, {"crop_mode": "center"}))
            )
            assert all(map(np.array_equal, first, later))
            assert len(first) == len(later) == 9

    @pytest.mark.parametrize("small", ["pad", "resize"])
    def test_small_images_are_padded_or_enlarged(self, tmp_path: Path, small: str) -> None:
        files = {"a.png": deep.png_file(RGB), "b.png": png(SHALLOW)}
        found = written(tmp_path, files, crop=80, small=small)
        if small == "pad":
            expected = np.pad(RGB, ((20, 20), (14, 14), (0, 0)))
            flat = np.pad(as_16(SHALLOW), ((20, 20), (14, 14), (0, 0)))
            assert np.array_equal(found["b.png"], flat)
        else:
            expected = deep.resized(RGB, 80, 104)[:, 12:92]
        assert np.array_equal(found["a.png"], expected)
        assert found["b.png"].dtype == np.uint16

    @pytest.mark.parametrize("encoding", ["raw", "jpeg"])
    def test_other_encodings_are_refused(self, images: Path, tmp_path: Path, encoding: Any) -> None:
        with pytest.raises(UsageError, match=f"encoding {encoding}: depth 16 needs png"):
            tfrec_cli.write(images, tmp_path / "out", depth=16, crop=8, encoding=encoding)


@pytest.mark.parametrize("depth", [0, 12, 32, 8.0, "16", True])
def test_another_depth_is_refused(images: Path, tmp_path: Path, depth: Any) -> None:
    with pytest.raises(UsageError, match=r"depth: found .*(8, 16|a whole number)"):
        tfrec_cli.write(images, tmp_path / "out", depth=depth)


class TestPixels:
    @pytest.mark.parametrize("alpha", ["drop", "white", "black"])
    @pytest.mark.parametrize("channels", [2, 4])
    def test_alpha_is_mixed_with_16_bits(self, tmp_path: Path, alpha: Any, channels: int) -> None:
        pixels = values(channels)
        pixels[:3, :, -1] = 0
        pixels[3:6, :, -1] = 65535
        data = imagecodecs.png_encode(pixels)
        (found,) = written(tmp_path, {"a.png": data}, alpha=alpha).values()
        colours, share = pixels[..., :-1].astype(float), pixels[..., -1:] / 65535
        behind = {"white": 65535.0, "black": 0.0}.get(alpha, colours)
        expected = colours * share + behind * (1 - share)
        assert np.abs(found - expected).max() <= 0.5001
        kept = stored(tmp_path / "out")["a.png"].image == data
        assert kept == (alpha == "drop")

    def test_transparent_pixels_can_be_refused(self) -> None:
        pixels = values(4)
        pixels[..., 3] = 65535
        fail = Policy(depth=16, alpha="fail")
        assert np.array_equal(
            normalize.decode(imagecodecs.png_encode(pixels), fail), RGB_OF(pixels)
        )
        pixels[7, 7, 3] = 65534
        with pytest.raises(Exception, match="found transparent pixels"):
            normalize.decode(imagecodecs.png_encode(pixels), fail)

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_pictures_are_turned_upright_as_those_of_8_bits(self, orientation: int) -> None:
        data = save(Image.fromarray(GREY[..., 0]), "PNG", exif=oriented(orientation))
        found = normalize.store_whole(data, Policy(depth=16), decodes=False)
        flat = normalize.decode(data, Policy())
        pixels = decoder.decode(found.data)
        assert ((pixels + np.uint32(128)) // 257 == flat).all()
        assert found.changes == (("orientation",) if orientation > 1 else ())
        ignored = normalize.store_whole(data, Policy(depth=16, exif="ignore"), decodes=False)
        assert ignored.data == data

    @pytest.mark.parametrize("size", [(20, 26), (57, 74)])
    def test_scaling_is_within_a_level_of_one_in_floating_point(
        self, size: tuple[int, int]
    ) -> None:
        policy = Policy(depth=16, resize_short_px=size[0])
        found = normalize.decode(deep.png_file(RGB), policy)
        assert found.dtype == np.uint16
        expected = bicubic(bicubic(RGB.astype(float), size[1], 1), size[0], 0)
        assert found.shape[:2] == size
        assert np.abs(found - expected.clip(0, 65535)).max() < 1

    def test_a_profile_is_kept(self, tmp_path: Path) -> None:
        profile = b"\0\0\2\x0cprofile" * 9
        data = save(Image.fromarray(GREY[..., 0]), "PNG", icc_profile=profile, exif=oriented(3))
        made = normalize.store_whole(data, Policy(depth=16), decodes=False)
        assert made.has_icc
        assert Image.open(io.BytesIO(made.data)).info["icc_profile"] == profile


def RGB_OF(pixels: Any) -> Any:  # noqa: N802
    return pixels[..., :3]


def bicubic(pixels: Any, size: int, axis: int) -> Any:
    """Scale along one axis by Keys' cubic with a = -0.5, widened when pictures become smaller."""
    moved = np.moveaxis(pixels, axis, 0)
    scale = len(moved) / size
    wide = max(scale, 1.0)
    centers = (np.arange(size) + 0.5) * scale
    places = np.abs((np.arange(len(moved)) + 0.5)[None] - centers[:, None]) / wide
    near = 1.5 * places**3 - 2.5 * places**2 + 1
    far = -0.5 * places**3 + 2.5 * places**2 - 4 * places + 2
    weights = np.where(places < 1, near, np.where(places < 2, far, 0))
    weights /= weights.sum(axis=1, keepdims=True)
    return np.moveaxis(np.tensordot(weights, moved, 1), 0, axis)


class TestOtherCommands:
    @pytest.mark.parametrize("kind", ["whole", "cropped"])
    def test_verify_finds_nothing(
        self, request: pytest.FixtureRequest, images: Path, kind: str
    ) -> None:
        out = request.getfixturevalue(kind)
        seeded = tfrec_cli.verify(out, source=images, seed=7, crop=20, jobs=1)
        assert not seeded.findings
        assert not tfrec_cli.verify(out, quick=True, jobs=1).findings
        resharded = out.parent / f"{out.name}-again"
        tfrec_cli.reshard(out, resharded, shards=3, jobs=1)
        again = tfrec_cli.verify(resharded, seed=7, crop=20, jobs=1, expect=seeded.fingerprint)
        assert not again.findings

    def test_the_fingerprint_is_of_little_endian_pixels(self, cropped: Path) -> None:
        from tfrec_cli.checking.crops import fingerprint

        found = tfrec_cli.verify(cropped, seed=7, jobs=1).fingerprint
        digests = []
        import hashlib

        for name, record in stored(cropped).items():
            pixels = np.broadcast_to(center(as_16(PIXELS[name])), (*CROP, 3))
            assert record.key is not None
            digests.append((record.key, (hashlib.sha256(pixels.astype("<u2").tobytes()).digest(),)))
        assert found == fingerprint(CROP, 7, digests)

    def test_verify_finds_a_crop_of_8_bits_and_another_pixel(
        self, images: Path, cropped: Path, tmp_path: Path
    ) -> None:
        from tfrec_cli.checking.record import broken_contract

        described = manifest.load(cropped / "train.manifest.json")
        record = stored(cropped)["deep/rgb.png"]
        assert not list(broken_contract(record, described))
        flat = record._replace(image=png(photo(*CROP)))
        assert list(broken_contract(flat, described)) == [
            "found a PNG of 8 bits or fewer, expected 16"
        ]
        changed = fill(tmp_path / "src", sources())
        pixels = RGB.copy()
        pixels[20, 20, 1] ^= 1
        (changed / "deep/rgb.png").write_bytes(deep.png_file(pixels))
        findings = tfrec_cli.verify(cropped, source=changed, jobs=1).findings
        assert [finding.kind for finding in findings] == ["differs"]

    def test_extract_gives_the_stored_bytes(
        self, whole: Path, cropped: Path, tmp_path: Path
    ) -> None:
        for out in (whole, cropped):
            tfrec_cli.extract(out, tmp_path / out.name, jobs=1)
            files = {
                path.stem + path.parent.name: path for path in tmp_path.glob(f"{out.name}/**/*.png")
            }
            images = {
                record.image for record in stored(out).values() if record.image[:4] == b"\x89PNG"
            }
            assert {path.read_bytes() for path in (tmp_path / out.name).rglob("*.png")} == images
            assert files

    def test_inspect_says_16_bits_and_shows_them_scaled(self, cropped: Path, whole: Path) -> None:
        from tfrec_cli.inspecting.samples import samples

        summary = tfrec_cli.inspect(whole)
        assert summary.features["image"].contents == {"16-bit PNG": 6, "PNG": 2, "JPEG": 1}
        crops = tfrec_cli.inspect(cropped)
        shown = samples(sorted(cropped.glob("*.tfrecord")), crops, 9, None, None).shown
        assert {sample.pixels.dtype for sample in shown} == {np.dtype(np.uint8)}
        by_name = {sample.caption: sample.pixels for sample in shown}
        assert (by_name["flat/b.png"] == center(SHALLOW)).all()
        assert (by_name["deep/rgb.png"] == np.floor(center(RGB) / 257 + 0.5)).all()

    def test_another_depth_is_no_part_of_the_same_dataset(
        self, images: Path, cropped: Path, whole: Path, tmp_path: Path
    ) -> None:
        made = {"crop": CROP, "encoding": "png", "jobs": 1}
        tfrec_cli.write(images, tmp_path / "a", split="val", **made)
        with pytest.raises(UsageError, match="depth: found 16, expected 8 as in split 'val'"):
            tfrec_cli.write(images, tmp_path / "a", depth=16, **made)
        for split in ("train", "val"):
            tfrec_cli.write(images, tmp_path / split, split=split, **made)
            with pytest.raises(DataError, match="found depth 8, expected 16"):
                tfrec_cli.merge([cropped, tmp_path / split], tmp_path / "out")

    def test_two_datasets_of_16_bits_are_merged(self, cropped: Path, tmp_path: Path) -> None:
        other = fill(tmp_path / "src", {f"flat/{number}.png": png(SHALLOW) for number in range(2)})
        fill(tmp_path / "src", {"deep/z.png": deep.png_file(RGB)})
        tfrec_cli.write(other, tmp_path / "more", depth=16, crop=CROP, jobs=1)
        tfrec_cli.merge([cropped, tmp_path / "more"], tmp_path / "out", jobs=1)
        merged = manifest.load(tmp_path / "out/train.manifest.json")
        assert (merged.depth, merged.records) == (16, 12)
        assert not tfrec_cli.verify(tmp_path / "out", seed=1, jobs=1).findings

    def test_salvage_recovers_a_damaged_shard(self, cropped: Path, tmp_path: Path) -> None:
        (shard,) = cropped.glob("*.tfrecord")
        data = bytearray(shard.read_bytes())
        payloads = [record.payload for record in read_records(shard)]
        data[data.index(payloads[3]) + 50] ^= 1
        (tmp_path / shard.name).write_bytes(data)
        tfrec_cli.salvage(tmp_path / shard.name, tmp_path / "out.tfrecord")
        kept = [record.payload for record in read_records(tmp_path / "out.tfrecord")]
        assert kept == payloads[:3] + payloads[4:]
        names = records.NAMES["plain"]
        image = records.decode(example.decode(kept[0]), names).image
        assert decoder.decode(image).dtype == np.uint16


@needs("tensorflow")
def test_tfds_is_told_the_depth(cropped: Path, whole: Path) -> None:
    import tensorflow_datasets as tfds

    for out, shape in ((cropped, (*CROP, 3)), (whole, (None, None, 3))):
        builder = tfds.builder_from_directory(str(out))
        assert builder.info.features["image"].dtype == np.uint16
        assert builder.info.features["image"].shape == shape
    keys = {record.key: name for name, record in stored(cropped).items()}
    for one in tfds.as_numpy(tfds.builder_from_directory(str(cropped)).as_dataset()["train"]):
        assert (one["image"] == center(as_16(PIXELS[keys[one["key"]]]))).all()


def test_rows_of_any_size_are_encoded_without_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if they are encoded in several blocks."""
    for block in (1, 300, 1 << 20):
        monkeypatch.setattr(deep, "_BLOCK_BYTES", block)
        for shape in ((1, 1, 1), (1, 1, 3), (17, 5, 3), (9, 31, 1)):
            pixels = np.arange(np.prod(shape)).reshape(shape).astype(np.uint16) * 777
            assert (pillow_decoder.decode(deep.png_file(pixels)) == pixels).all()
