"""write: what is stored, what is refused, and what is left after an error."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import class_files, fill, jpeg, oriented, photo, png, save, tf, tree
from PIL import Image
from written import KEPT, stored

from tfrec_cli.commands.write import Written, write
from tfrec_cli.dataset import manifest, records
from tfrec_cli.dataset.names import NOTE_SUFFIX
from tfrec_cli.dataset.records import ImageRecord
from tfrec_cli.errors import DataError, RunError, TfrecError, UsageError
from tfrec_cli.imaging import policy
from tfrec_cli.runtime import pool
from tfrec_cli.tfrecord.index import locate_records, read_index
from tfrec_cli.writing import plan, shard
from tfrec_cli.writing.options import WriteOptions as Options
from tfrec_cli.writing.written_shard import WrittenShard, make_durable

CLASSES = ("cats", "dogs", "owls")
CUT_PNG = png(photo(50, 50))[:-20]


def run(source: Path, out: Path, **options: Any) -> Written:
    """Write with one job."""
    return write(source, out, Options(**{"jobs": 1, **options}))


def shards_of(out: Path) -> dict[str, bytes]:
    names = [path for path in out.iterdir() if path.suffix in (".tfrecord", ".gz", ".tfindex")]
    return {path.name: path.read_bytes() for path in sorted(names)}


def pillow_rgb(data: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Name a folder that is not there yet."""
    return tmp_path / "out"


class TestWhole:
    def test_every_source_is_stored_once(self, folder: Path, out: Path) -> None:
        run(folder, out, shards=3)
        assert sorted(stored(out)) == sorted(class_files())

    def test_upright_jpeg_and_png_keep_their_bytes(self, folder: Path, out: Path) -> None:
        run(folder, out)
        found = {path: record.image for path, record in stored(out).items() if path in KEPT}
        assert found == {path: class_files()[path] for path in KEPT}

    def test_a_record_is_what_its_source_is(self, folder: Path, out: Path) -> None:
        run(folder, out)
        assert stored(out)["dogs/422.jpg"] == ImageRecord(
            image=class_files()["dogs/422.jpg"],
            height_px=41,
            width_px=63,
            label=1,
            key=records.key_of(b"dogs/422.jpg"),
            filename=b"dogs/422.jpg",
            window=1,
        )

    def test_sizes_are_those_of_the_stored_pixels(self, folder: Path, out: Path) -> None:
        run(folder, out)
        found = {path: (one.height_px, one.width_px) for path, one in stored(out).items()}
        pixels = {path: records.pixels(one).shape[:2] for path, one in stored(out).items()}
        assert found == pixels

    def test_changes_are_counted(self, folder: Path, out: Path) -> None:
        made = run(folder, out).manifest
        assert made is not None
        assert made.changes == {
            "animation": 1,
            "cmyk": 1,
            "deep": 1,
            "format_gif": 1,
            "format_webp": 1,
            "orientation": 1,
        }

    def test_the_manifest_summarises_the_split(self, folder: Path, out: Path) -> None:
        made = run(folder, out, shards=3).manifest
        assert made is not None
        assert (made.records, made.smallest, made.labels, made.stored, made.crop) == (
            13,
            (41, 40),
            CLASSES,
            "whole",
            None,
        )

    def test_tensorflow_decodes_every_image(self, folder: Path, out: Path) -> None:
        """To the pixels of `records.pixels`."""
        run(folder, out)
        wrong = []
        for path, record in stored(out).items():
            if record.image.startswith(b"\xff\xd8"):
                pixels = tf.io.decode_jpeg(record.image, 3, dct_method="INTEGER_ACCURATE")
            else:
                pixels = tf.io.decode_png(record.image, 3)
            if not np.array_equal(pixels.numpy(), records.pixels(record)):
                wrong.append(path)
        assert wrong == []

    def test_the_check_by_decoding_finds_what_the_check_of_structure_misses(
        self, folder: Path, out: Path
    ) -> None:
        fill(folder, {"cats/hollow.png": hollow_png()})
        with pytest.raises(DataError):
            run(folder, out, check="decode")


def hollow_png() -> bytes:
    """Make a PNG with correct checksums and too few pixels for its header."""
    small, large = png(photo(5, 5)), png(photo(50, 50))
    return large[:33] + small[33:]


class TestCrops:
    CROP = (33, 40)
    EXACT = ("cats/420.jpg", "cats/444.jpg", "cats/gray.jpg", "dogs/422.jpg", "owls/plain.png")

    def test_crops_are_slices_of_pillows_pixels(self, folder: Path, out: Path) -> None:
        run(folder, out, crop=self.CROP)
        expected = {}
        for path in self.EXACT:
            pixels = pillow_rgb(class_files()[path])
            top, left = (pixels.shape[0] - 33) // 2, (pixels.shape[1] - 40) // 2
            expected[path] = pixels[top : top + 33, left : left + 40].tobytes()
        found = {path: one.image for path, one in stored(out).items() if path in self.EXACT}
        assert found == expected

    def test_crops_are_cut_from_the_upright_image(self, folder: Path, out: Path) -> None:
        """It is stored as a JPEG of quality 95; its crop is that of the whole image."""
        run(folder, out, crop=self.CROP)
        upright = np.rot90(pillow_rgb(class_files()["cats/side.jpg"]), -1)
        pixels = pillow_rgb(jpeg(upright, quality=95, subsampling="4:2:0"))
        assert stored(out)["cats/side.jpg"].image == pixels[14:47, 2:42].tobytes()

    @pytest.mark.promise("P3")
    def test_crops_equal_those_of_the_whole_images(
        self, folder: Path, out: Path, tmp_path: Path
    ) -> None:
        for options in ({}, {"resize_short": 50}, {"alpha": "white"}):
            name = "".join(options)
            run(folder, tmp_path / f"crops{name}", crop=self.CROP, **options)
            run(folder, tmp_path / f"whole{name}", **options)
            for path, one in stored(tmp_path / f"whole{name}").items():
                pixels = records.pixels(one)
                top, left = (pixels.shape[0] - 33) // 2, (pixels.shape[1] - 40) // 2
                cut = pixels[top : top + 33, left : left + 40].tobytes()
                assert stored(tmp_path / f"crops{name}")[path].image == cut, path

    def test_crops_record_their_size_and_no_window(self, folder: Path, out: Path) -> None:
        run(folder, out, crop=self.CROP)
        found = {(one.height_px, one.width_px, one.window) for one in stored(out).values()}
        assert found == {(33, 40, None)}

    def test_crops_as_png_have_the_raw_pixels(
        self, folder: Path, out: Path, tmp_path: Path
    ) -> None:
        run(folder, out, crop=self.CROP, encoding="png")
        run(folder, tmp_path / "raw", crop=self.CROP)
        found = {path: pillow_rgb(one.image).tobytes() for path, one in stored(out).items()}
        assert found == {path: one.image for path, one in stored(tmp_path / "raw").items()}

    def test_crops_as_jpeg_are_pillows_of_that_quality(
        self, folder: Path, out: Path, tmp_path: Path
    ) -> None:
        run(folder, out, crop=self.CROP, encoding="jpeg", jpeg_quality=80)
        run(folder, tmp_path / "raw", crop=self.CROP)
        expected = {
            path: jpeg(records.pixels(one), quality=80, subsampling="4:4:4")
            for path, one in stored(tmp_path / "raw").items()
        }
        assert {path: one.image for path, one in stored(out).items()} == expected

    def test_crops_after_scaling_are_slices_of_the_scaled_image(
        self, folder: Path, out: Path
    ) -> None:
        run(folder, out, crop=(20, 20), resize_short=30)
        image = Image.fromarray(photo(59, 42, 12)).resize((30, 42), Image.Resampling.BICUBIC)
        expected = np.asarray(image)[11:31, 5:25].tobytes()
        assert stored(out)["owls/plain.png"].image == expected

    def test_crops_of_a_small_image_are_padded_on_all_sides(
        self, tmp_path: Path, out: Path
    ) -> None:
        pixels = photo(20, 40)
        run(fill(tmp_path / "src", {"a.png": png(pixels)}), out, crop=(30, 30), small="pad")
        expected = np.zeros((30, 30, 3), np.uint8)
        expected[5:25] = pixels[:, 5:35]
        assert stored(out)["a.png"].image == expected.tobytes()

    def test_crops_of_a_small_image_are_cut_from_the_enlarged_one(
        self, tmp_path: Path, out: Path
    ) -> None:
        pixels = photo(20, 40)
        run(fill(tmp_path / "src", {"a.png": png(pixels)}), out, crop=(30, 30), small="resize")
        scaled = Image.fromarray(pixels).resize((60, 30), Image.Resampling.BICUBIC)
        assert stored(out)["a.png"].image == np.asarray(scaled)[:, 15:45].tobytes()

    @pytest.mark.parametrize("on_error", ["fail", "skip"])
    def test_small_images_can_be_skipped(self, folder: Path, out: Path, on_error: Any) -> None:
        made = run(folder, out, crop=(44, 40), small="skip", on_error=on_error).manifest
        assert made is not None
        assert (made.records, made.rejects) == (11, {"too_small": 2})

    def test_crops_of_an_image_that_shrank_after_planning_are_refused(
        self, tmp_path: Path, out: Path
    ) -> None:
        source = fill(tmp_path / "src", {"a.png": png(photo(50, 50)), "b.png": png(photo(50, 50))})

        def shrink(what: str, *_: int) -> None:
            if what == "writing":
                fill(source, {"a.png": png(photo(20, 20))})

        with pytest.raises(DataError):
            write(source, out, Options(crop=(40, 40), jobs=1), shrink)


@pytest.mark.promise("P1")
class TestSameBytes:
    """Shards depend only on the sources and the options."""

    OPTIONS: tuple[dict[str, Any], ...] = (
        {"shards": 4},
        {"shards": 4, "crop": (32, 32)},
        {"shards": 3, "compression": "gzip", "on_error": "skip"},
    )

    @pytest.mark.parametrize("options", OPTIONS, ids=["whole", "crops", "gzip"])
    def test_other_jobs_give_the_same_bytes(
        self, folder: Path, tmp_path: Path, options: dict[str, Any]
    ) -> None:
        run(folder, tmp_path / "one", jobs=1, **options)
        run(folder, tmp_path / "two", jobs=2, **options)
        assert tree(tmp_path / "one") == tree(tmp_path / "two")

    def test_another_process_with_other_hashes_gives_the_same_bytes(
        self, folder: Path, tmp_path: Path
    ) -> None:
        script = (
            "import sys; from pathlib import Path\n"
            "from tfrec_cli.commands.write import WriteOptions as Options, write\n"
            "write(Path(sys.argv[1]), Path(sys.argv[2]), Options(keys='tf-models', jobs=1))"
        )
        for seed in ("1", "2"):
            subprocess.run(
                [sys.executable, "-c", script, str(folder), str(tmp_path / seed)],
                env={**os.environ, "PYTHONHASHSEED": seed},
                check=True,
            )
        assert tree(tmp_path / "1") == tree(tmp_path / "2")

    def test_a_copy_made_in_another_order_gives_the_same_bytes(
        self, folder: Path, tmp_path: Path
    ) -> None:
        shuffled = random.Random(1).sample([*class_files().items()], len(class_files()))
        copy = fill(tmp_path / "elsewhere" / "copy", dict(shuffled))
        run(folder, tmp_path / "one", shards=3)
        run(copy, tmp_path / "two", shards=3)
        assert tree(tmp_path / "one") == tree(tmp_path / "two")

    def test_a_second_write_gives_the_same_bytes(self, folder: Path, out: Path) -> None:
        run(folder, out, compression="gzip")
        before = tree(out)
        run(folder, out, compression="gzip", overwrite=True)
        assert tree(out) == before

    def test_the_content_digest_does_not_depend_on_shards_and_order(
        self, folder: Path, tmp_path: Path
    ) -> None:
        digests = set()
        for number, options in enumerate([{}, {"shards": 5}, {"shuffle_seed": 7}]):
            made = run(folder, tmp_path / str(number), **options).manifest
            assert made is not None
            digests.add(made.content_sha256)
        assert len(digests) == 1


Change = Callable[[Path, Path], object]
"""Takes the source folder and OUT, and makes them into something odd."""


def no_change(source: Path, out: Path) -> None:
    pass


def empty_source(source: Path, out: Path) -> None:
    for path in sorted(source.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def only_hidden(source: Path, out: Path) -> None:
    empty_source(source, out)
    fill(source, {".hidden.png": png(photo(50, 50))})


def only_text(source: Path, out: Path) -> None:
    empty_source(source, out)
    fill(source, {"a/notes.txt": b"text"})


def all_cut(source: Path, out: Path) -> None:
    empty_source(source, out)
    fill(source, {"a/1.png": CUT_PNG, "a/2.png": CUT_PNG})


def some_cut(source: Path, out: Path) -> None:
    """Cut one of ten images after its header."""
    empty_source(source, out)
    fill(source, {f"a/{number}.png": png(photo(50, 50, number)) for number in range(9)})
    fill(source, {"a/9.png": CUT_PNG})


def half_cut(source: Path, out: Path) -> None:
    """Cut five of ten images after their headers."""
    some_cut(source, out)
    fill(source, {f"a/{number}.png": CUT_PNG for number in range(5, 10)})


def existing_split(source: Path, out: Path) -> None:
    run(source, out)


def files_in_out(source: Path, out: Path) -> None:
    fill(out, {"thesis.txt": b"precious"})


def out_is_a_file(source: Path, out: Path) -> None:
    out.write_bytes(b"precious")


def out_is_a_dangling_link(source: Path, out: Path) -> None:
    out.symlink_to("nowhere")


def unfinished(source: Path, out: Path) -> None:
    fill(out / ".train.partial", {"x.tmp": b""})


def other_split(source: Path, out: Path) -> None:
    run(source, out, split="val")


def other_split_without_labels(source: Path, out: Path) -> None:
    run(source, out, split="val", labels="none")


def lost_manifest(source: Path, out: Path) -> None:
    """Make a split without its manifest next to a complete split."""
    run(source, out)
    run(source, out, split="val")
    (out / "val.manifest.json").unlink()


def other_split_of_crops(source: Path, out: Path) -> None:
    run(source, out, split="val", crop=(32, 32))


def damaged_manifest(source: Path, out: Path) -> None:
    fill(out, {"val.manifest.json": b"{"})


def new_class(source: Path, out: Path) -> None:
    run(source, out, split="val")
    fill(source, {"zebras/1.png": png(photo(50, 50))})


def lone_image(source: Path, out: Path) -> None:
    fill(source, {"lone.png": png(photo(50, 50))})


def pinned(source: Path, out: Path) -> None:
    (source.parent / "labels.txt").write_text("cats\ndogs\n")


def a_pipe(source: Path, out: Path) -> None:
    os.mkfifo(source / "cats" / "pipe.jpg")


def not_a_jpeg(source: Path, out: Path) -> None:
    fill(source, {"cats/page.jpg": b"<!doctype html>"})


REFUSALS: list[tuple[Change, dict[str, Any], type[TfrecError]]] = [
    (empty_source, {}, DataError),
    (only_hidden, {}, DataError),
    (only_text, {}, DataError),
    (all_cut, {}, DataError),
    (all_cut, {"on_error": "skip"}, DataError),
    (some_cut, {}, DataError),
    (some_cut, {"jobs": 2, "shards": 10}, DataError),
    (some_cut, {"crop": (32, 32)}, DataError),
    (some_cut, {"on_error": "skip", "max_errors": "0"}, DataError),
    (some_cut, {"on_error": "skip", "max_errors": "9%"}, DataError),
    (half_cut, {"on_error": "skip", "max_errors": "4"}, DataError),
    (half_cut, {"on_error": "skip", "max_errors": "49%"}, DataError),
    (a_pipe, {}, DataError),
    (not_a_jpeg, {}, DataError),
    (lone_image, {}, DataError),
    (pinned, {"labels": "labels.txt"}, DataError),
    (existing_split, {}, RunError),
    (files_in_out, {}, RunError),
    (lost_manifest, {"split": "val"}, RunError),
    (out_is_a_file, {}, RunError),
    (out_is_a_file, {"overwrite": True}, RunError),
    (out_is_a_dangling_link, {}, RunError),
    (unfinished, {}, RunError),
    (other_split, {"labels": "none"}, DataError),
    (other_split, {"crop": (32, 32)}, UsageError),
    (other_split, {"keys": "tf-models"}, UsageError),
    (other_split, {"compression": "gzip"}, UsageError),
    (other_split_without_labels, {}, DataError),
    (other_split_of_crops, {}, UsageError),
    (other_split_of_crops, {"crop": (32, 33)}, UsageError),
    (other_split_of_crops, {"crop": (32, 32), "encoding": "png"}, UsageError),
    (new_class, {}, DataError),
    (damaged_manifest, {}, DataError),
    (no_change, {"encoding": "png"}, UsageError),
    (no_change, {"encoding": "raw", "keys": "tf-models", "crop": (32, 32)}, UsageError),
    (no_change, {"index": True, "compression": "gzip"}, UsageError),
    (no_change, {"max_errors": "3"}, UsageError),
    (no_change, {"on_error": "skip", "max_errors": "-1"}, UsageError),
    (no_change, {"on_error": "skip", "max_errors": "many"}, UsageError),
    (no_change, {"labels": "no-such-file.txt"}, UsageError),
    (no_change, {"shards": 14}, UsageError),
    (no_change, {"crop": (500, 500)}, UsageError),
    (no_change, {"crop": (45, 40)}, DataError),
    (no_change, {"split": "../x"}, UsageError),
    (no_change, {"split": "a/b"}, UsageError),
    (no_change, {"split": ""}, UsageError),
    (no_change, {"split": ".x"}, UsageError),
    (no_change, {"split": "a\nb"}, UsageError),
]


def claim(value: object) -> str:
    return getattr(value, "__name__", None) or (
        " ".join(f"{key}={one}" for key, one in value.items()) if isinstance(value, dict) else ""
    )


class TestRefusals:
    @pytest.mark.parametrize(("change", "options", "error"), REFUSALS, ids=claim)
    def test_a_refusal_leaves_everything_as_it_was(
        self,
        folder: Path,
        out: Path,
        monkeypatch: pytest.MonkeyPatch,
        change: Change,
        options: dict[str, Any],
        error: type[TfrecError],
    ) -> None:
        monkeypatch.chdir(folder.parent)
        change(folder, out)
        before = visible(folder.parent)
        with pytest.raises(TfrecError) as raised:
            run(folder, out, **options)
        assert isinstance(raised.value, error)
        assert visible(folder.parent) == before

    @pytest.mark.parametrize("place", ["a file/out", "/proc/none/out", "n" * 300])
    def test_an_out_that_cannot_be_made_is_refused(
        self, folder: Path, tmp_path: Path, place: str
    ) -> None:
        fill(tmp_path, {"a file": b""})
        with pytest.raises(RunError):
            run(folder, tmp_path / place)

    @pytest.mark.parametrize("source", ["none", "a file"])
    def test_a_source_that_is_no_folder_is_refused(
        self, tmp_path: Path, out: Path, source: str
    ) -> None:
        fill(tmp_path, {"a file": b""})
        with pytest.raises(UsageError):
            run(tmp_path / source, out)

    def test_folders_made_for_out_are_removed_after_a_refusal(
        self, folder: Path, tmp_path: Path
    ) -> None:
        fill(folder, {"cats/cut.png": CUT_PNG})
        before = tree(tmp_path)
        with pytest.raises(DataError):
            run(folder, tmp_path / "deep" / "er" / "out")
        assert tree(tmp_path) == before

    def test_the_message_names_file_and_reason(self, tmp_path: Path, out: Path) -> None:
        source = fill(tmp_path / "src", {"a/1.png": png(photo(50, 50)), "a/2.png": CUT_PNG})
        with pytest.raises(DataError) as error:
            run(source, out)
        assert str(error.value) == (
            f"{source}/a/2.png: found the end at byte {len(CUT_PNG)}, expected IEND; "
            "on_error skip leaves it out"
        )

    def test_a_failure_with_many_shards_and_workers_keeps_its_reason(
        self, tmp_path: Path, out: Path
    ) -> None:
        """Workers that still write do not disturb the cleanup."""
        files = {f"{number:03}.png": png(photo(40, 40, number)) for number in range(200)}
        source = fill(tmp_path / "src", {**files, "100.png": CUT_PNG})
        with pytest.raises(DataError):
            run(source, out, jobs=2, shards=200)
        assert not list(out.glob("[!.]*"))


def visible(root: Path) -> dict[str, bytes | None]:
    """Return every name below ``root``, and the bytes of regular files; a pipe would block.

    What waits for ``resume`` is left out.
    """
    paths = [path for path in root.rglob("*") if ".train.partial" not in path.parts]
    return {
        str(path): path.read_bytes() if path.is_file() else None
        for path in paths
        if path.name != "out" or list(path.glob("[!.]*"))
    }


class TestFailures:
    def test_a_disk_that_cannot_sync_leaves_nothing(
        self, folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "fsync", no_space)
        with pytest.raises(RunError) as error:
            run(folder, out)
        assert (str(error.value), out.exists()) == (
            f"{out}: cannot be written: No space left on device",
            False,
        )

    @pytest.mark.parametrize("after", [1, 2, 5, 9])
    def test_a_disk_that_fills_up_leaves_the_old_dataset(
        self, folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch, after: int
    ) -> None:
        """At any file in the staging folder: shards, indexes, sidecar files."""
        run(folder, out)
        before = tree(out)
        calls = iter(range(after))
        real = os.fsync
        monkeypatch.setattr(
            os, "fsync", lambda fd: no_space() if next(calls, 1e9) == 1e9 else real(fd)
        )
        with pytest.raises(RunError):
            run(folder, out, crop=(32, 32), shards=3, overwrite=True)
        after_all = {name: data for name, data in tree(out).items() if ".partial" not in name}
        assert after_all == before

    @pytest.mark.parametrize("jobs", ["1", "2"])
    def test_a_file_size_limit_leaves_nothing(self, folder: Path, out: Path, jobs: str) -> None:
        script = (
            "import resource, sys; from pathlib import Path\n"
            "from tfrec_cli.errors import RunError\n"
            "from tfrec_cli.commands.write import WriteOptions as Options, write\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
            "try: write(Path(sys.argv[1]), Path(sys.argv[2]), Options(jobs=int(sys.argv[3])))\n"
            "except RunError as error: print(error)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, str(folder), str(out), jobs],
            capture_output=True,
            text=True,
            check=True,
        )
        assert (done.stdout, out.exists()) == (f"{out}: cannot be written: File too large\n", False)

    def test_an_interrupt_leaves_nothing_but_what_waits_for_resume(
        self, folder: Path, out: Path
    ) -> None:
        def interrupt(what: str, done: int, total: int) -> None:
            if what == "writing" and done == total:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt, match="--resume` resumes"):
            write(folder, out, Options(jobs=1, shards=3), interrupt)
        assert [path.name for path in out.iterdir()] == [".train.partial"]

    def test_a_worker_that_dies_leaves_nothing(
        self, folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shard, "write", os._exit)
        monkeypatch.setattr("tfrec_cli.commands.write.shard_name", lambda *_: "x")
        monkeypatch.setattr(shard, "Task", lambda **_: 1)
        with pytest.raises(RunError) as error:
            run(folder, out, jobs=2, shards=2)
        assert (str(error.value).split(":")[0], out.exists()) == ("a worker process died", False)


def no_space(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_note_that_somebody_changes_is_reported(
    folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def note(written: WrittenShard) -> None:
        make_durable(written)
        (shard, *_) = written.paths
        note = shard.with_name(shard.name + NOTE_SUFFIX)
        note.write_bytes(note.read_bytes().replace(b"records", b"RECORDS"))

    monkeypatch.setattr("tfrec_cli.commands.write.make_durable", note)
    with pytest.raises(
        RunError, match=r"\.whole: the note of a finished shard is missing or damaged"
    ):
        run(folder, out)


class TestOut:
    FILES = (
        "SHA256SUMS",
        "dataset_info.json",
        "features.json",
        "label.labels.txt",
        "train-00000-of-00002.tfindex",
        "train-00000-of-00002.tfrecord",
        "train-00001-of-00002.tfindex",
        "train-00001-of-00002.tfrecord",
        "train.manifest.json",
        "train.rejects.jsonl",
        "train.targets",
    )

    def test_out_has_these_files(self, folder: Path, out: Path) -> None:
        run(folder, out, shards=2)
        assert tuple(tree(out)) == self.FILES

    def test_out_may_be_an_empty_folder(self, folder: Path, out: Path) -> None:
        out.mkdir()
        run(folder, out, shards=2)
        assert tuple(tree(out)) == self.FILES

    @pytest.mark.parametrize("compression", ["none", "gzip"])
    def test_sums_are_accepted_by_sha256sum(
        self, folder: Path, out: Path, compression: Any
    ) -> None:
        run(folder, out, shards=2, compression=compression)
        run(folder, out, split="val", compression=compression)
        command = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
        assert subprocess.run(command, cwd=out).returncode == 0

    def test_sums_name_every_other_file(self, folder: Path, out: Path) -> None:
        run(folder, out, shards=2)
        run(folder, out, split="val")
        lines = (out / "SHA256SUMS").read_text().splitlines()
        named = [line.split("  ")[1] for line in lines]
        assert named == [name for name in tree(out) if name != "SHA256SUMS"]

    def test_the_manifest_is_the_one_returned(self, folder: Path, out: Path) -> None:
        made = run(folder, out, shards=2).manifest
        assert made is not None
        read = manifest.load(out / "train.manifest.json")
        assert manifest.dump(read) == manifest.dump(made)

    def test_indexes_point_to_every_record(self, folder: Path, out: Path) -> None:
        run(folder, out, shards=2)
        for path in out.glob("*.tfrecord"):
            index = read_index(path.with_suffix(".tfindex"))
            assert index == locate_records(path)

    def test_no_index_is_written_without_the_option(self, folder: Path, out: Path) -> None:
        run(folder, out, index=False)
        assert [name for name in tree(out) if "tfindex" in name] == []

    def test_a_dry_run_writes_nothing(self, folder: Path, out: Path) -> None:
        before = tree(folder.parent)
        result = run(folder, out, dry_run=True)
        assert (tree(folder.parent), result.manifest) == (before, None)

    def test_a_dry_run_plans_what_is_written(self, folder: Path, out: Path) -> None:
        planned = run(folder, out, dry_run=True, shards=3).plan
        assert planned == run(folder, out, shards=3).plan

    def test_labels_can_be_left_out(self, folder: Path, out: Path) -> None:
        run(folder, out, labels="none")
        assert {record.label for record in stored(out).values()} == {None}

    def test_labels_can_be_given_by_a_file(self, folder: Path, out: Path, tmp_path: Path) -> None:
        pinned = tmp_path / "labels.txt"
        pinned.write_text("zebras\nowls\ndogs\ncats\n")
        run(folder, out, labels=str(pinned))
        found = {path.split("/")[0]: one.label for path, one in stored(out).items()}
        assert found == {"cats": 3, "dogs": 2, "owls": 1}


class TestOverwrite:
    def test_overwrite_replaces_everything_of_the_old_split(
        self, folder: Path, out: Path, tmp_path: Path
    ) -> None:
        run(folder, out, shards=5)
        run(folder, out, crop=(32, 32), shards=2, overwrite=True)
        run(folder, tmp_path / "fresh", crop=(32, 32), shards=2)
        assert tree(out) == tree(tmp_path / "fresh")

    @pytest.mark.parametrize(
        "options", [{"labels": "none"}, {"compression": "gzip"}, {"keys": "tf-models"}], ids=claim
    )
    def test_overwrite_leaves_no_file_that_describes_the_old_split(
        self, folder: Path, out: Path, tmp_path: Path, options: dict[str, Any]
    ) -> None:
        run(folder, out)
        run(folder, out, overwrite=True, **options)
        run(folder, tmp_path / "fresh", **options)
        assert tree(out) == tree(tmp_path / "fresh")

    def test_overwrite_leaves_files_of_others(self, folder: Path, out: Path) -> None:
        fill(out, {"thesis.txt": b"precious", "train-notes/x": b""})
        run(folder, out, overwrite=True)
        assert (out / "thesis.txt").read_bytes() == b"precious"

    def test_overwrite_starts_over_an_unfinished_write(self, folder: Path, out: Path) -> None:
        fill(out, {".train.partial/train-00000-of-00001.tfrecord.tmp": b"half"})
        run(folder, out, overwrite=True)
        assert not (out / ".train.partial").exists()

    def test_overwrite_leaves_the_other_split(self, folder: Path, out: Path) -> None:
        run(folder, out)
        run(folder, out, split="val")
        before = (out / "val-00000-of-00001.tfrecord").read_bytes()
        run(folder, out, overwrite=True, shuffle_seed=3)
        assert (out / "val-00000-of-00001.tfrecord").read_bytes() == before


class TestSecondSplit:
    def test_a_second_split_leaves_the_first_as_it_was(self, folder: Path, out: Path) -> None:
        run(folder, out)
        before = {name: data for name, data in tree(out).items() if name.startswith("train")}
        run(folder, out, split="val")
        after = {name: data for name, data in tree(out).items() if name.startswith("train")}
        assert after == before

    def test_a_second_split_is_described_with_the_first(self, folder: Path, out: Path) -> None:
        run(folder, out)
        run(folder, out, split="val", shards=2)
        info = json.loads((out / "dataset_info.json").read_text())
        lengths = {split["name"]: split["shardLengths"] for split in info["splits"]}
        assert lengths == {"train": ["13"], "val": ["6", "7"]}

    def test_a_second_split_has_the_labels_of_the_first(
        self, folder: Path, out: Path, tmp_path: Path
    ) -> None:
        """Owls have number 2, even if there are only owls."""
        run(folder, out)
        files = {"owls/plain.png": class_files()["owls/plain.png"]}
        made = run(fill(tmp_path / "val", files), out, split="val").manifest
        assert made is not None
        assert (made.labels, stored(out)["owls/plain.png"].label) == (CLASSES, 2)


class TestRejects:
    FILES: Mapping[str, bytes] = {
        "a/1.png": png(photo(50, 50, 1)),
        "a/2.png": png(photo(50, 50, 2)),
        "a/cut.png": CUT_PNG,
        "a/empty.jpg": b"",
        "a/lfs.jpg": b"version https://git-lfs.github.com/spec/v1\n",
        "a/notes.txt": b"notes",
        "a/.DS_Store": b"",
    }

    @pytest.mark.promise("P5")
    def test_rejects_are_written_with_their_reasons(self, tmp_path: Path, out: Path) -> None:
        run(fill(tmp_path / "src", self.FILES), out, on_error="skip")
        lines = (out / "train.rejects.jsonl").read_text().splitlines()
        found = [json.loads(line) for line in lines]
        assert [(one["path"], one["reason"], one["ignored"]) for one in found] == [
            ("a/.DS_Store", "hidden", True),
            ("a/cut.png", "truncated", False),
            ("a/empty.jpg", "empty", False),
            ("a/lfs.jpg", "not_an_image", False),
            ("a/notes.txt", "sidecar", True),
        ]

    @pytest.mark.promise("P5")
    def test_rejects_and_records_are_all_sources(self, tmp_path: Path, out: Path) -> None:
        result = run(fill(tmp_path / "src", self.FILES), out, on_error="skip")
        rejected = [os.fsdecode(reject.path) for reject in result.rejects]
        assert sorted([*stored(out), *rejected]) == sorted(self.FILES)

    def test_rejects_are_counted(self, tmp_path: Path, out: Path) -> None:
        made = run(fill(tmp_path / "src", self.FILES), out, on_error="skip").manifest
        assert made is not None
        assert (made.records, made.rejects, made.ignored) == (
            2,
            {"empty": 1, "not_an_image": 1, "truncated": 1},
            {"hidden": 1, "sidecar": 1},
        )

    def test_rejects_up_to_the_limit_are_allowed(self, folder: Path, out: Path) -> None:
        half_cut(folder, out)
        made = run(folder, out, on_error="skip", max_errors="50%").manifest
        assert made is not None
        assert (made.records, made.rejects) == (5, {"truncated": 5})

    def test_text_files_next_to_images_are_ignored(self, folder: Path, out: Path) -> None:
        fill(folder, {"cats/notes.txt": b"cats", "cats/LICENSE.md": b"mine"})
        made = run(folder, out).manifest
        assert made is not None
        assert (made.records, made.ignored) == (13, {"sidecar": 2})

    def test_text_files_next_to_class_folders_are_ignored(self, folder: Path, out: Path) -> None:
        fill(folder, {"README.md": b"# Pets", "labels.csv": b"path,label\n"})
        made = run(folder, out).manifest
        assert made is not None
        assert (made.labels, made.ignored) == (CLASSES, {"sidecar": 2})

    def test_a_folder_of_text_files_is_no_class(self, folder: Path, out: Path) -> None:
        fill(folder, {"about/notes.txt": b"notes"})
        made = run(folder, out).manifest
        assert made is not None
        assert made.labels == CLASSES

    def test_text_files_that_differ_only_in_case_are_ignored(self, folder: Path, out: Path) -> None:
        fill(folder, {"cats/readme.md": b"1", "cats/README.md": b"2"})
        made = run(folder, out).manifest
        assert made is not None
        assert made.records == 13


class TestOddNames:
    @pytest.mark.parametrize(
        "name", [b"caf\xe9.png", b"new\nline.png", b"\xff\xfe", b" ", b"-rf", b"%s{}.png"]
    )
    @pytest.mark.parametrize("keys", ["plain", "tf-models"])
    def test_odd_names_are_stored(self, tmp_path: Path, out: Path, name: bytes, keys: Any) -> None:
        source = fill(tmp_path / "src", {"a/" + os.fsdecode(name): png(photo(50, 50))})
        run(source, out, keys=keys)
        assert [record.filename for record in stored(out, keys).values()] == [b"a/" + name]

    @pytest.mark.parametrize("name", [b"caf\xe9", b" ", b"-rf", b"%s{}", "Ä".encode()])
    @pytest.mark.parametrize("keys", ["plain", "tf-models"])
    def test_odd_names_of_classes_are_stored(
        self, tmp_path: Path, out: Path, name: bytes, keys: Any
    ) -> None:
        source = fill(tmp_path / "src", {os.fsdecode(name) + "/1.png": png(photo(50, 50))})
        run(source, out, keys=keys)
        (labels,) = out.glob("*label.labels.txt")
        assert labels.read_bytes() == name + b"\n"

    def test_a_name_of_the_greatest_length_is_written(self, tmp_path: Path, out: Path) -> None:
        source = fill(tmp_path / "src", {"a" * 255: png(photo(50, 50))})
        run(source, out)
        assert list(stored(out)) == ["a" * 255]


class TestReadByTensorFlow:
    def test_tensorflow_reads_gzip_shards(self, folder: Path, out: Path) -> None:
        run(folder, out, shards=2, compression="gzip")
        run(folder, out.with_name("plain"), shards=2)
        paths = [sorted(map(str, one.glob("*.tfrecord*"))) for one in (out, out.with_name("plain"))]
        packed = [*tf.data.TFRecordDataset(paths[0], "GZIP").as_numpy_iterator()]
        assert packed == [*tf.data.TFRecordDataset(paths[1]).as_numpy_iterator()]

    def test_tensorflow_reads_plain_keys(self, folder: Path, out: Path) -> None:
        run(folder, out, crop=(32, 32))
        spec = {
            "image": tf.io.FixedLenFeature([], tf.string),
            "height": tf.io.FixedLenFeature([], tf.int64),
            "width": tf.io.FixedLenFeature([], tf.int64),
            "label": tf.io.FixedLenFeature([], tf.int64),
            "key": tf.io.FixedLenFeature([], tf.int64),
            "filename": tf.io.FixedLenFeature([], tf.string),
        }
        (path,) = out.glob("*.tfrecord")
        rows = [
            {name: value.numpy() for name, value in tf.io.parse_single_example(one, spec).items()}
            for one in tf.data.TFRecordDataset(str(path))
        ]
        found = {row["filename"].decode(): tuple(row[name] for name in sorted(row)) for row in rows}
        assert found == {
            name: (one.filename, one.height_px, one.image, one.key, one.label, one.width_px)
            for name, one in stored(out).items()
        }

    def test_tensorflow_reads_tf_models_keys(self, folder: Path, out: Path) -> None:
        run(folder, out, keys="tf-models", crop=(32, 32))
        spec = {
            "image/encoded": tf.io.FixedLenFeature([], tf.string),
            "image/format": tf.io.FixedLenFeature([], tf.string),
            "image/height": tf.io.FixedLenFeature([], tf.int64),
            "image/width": tf.io.FixedLenFeature([], tf.int64),
            "image/class/label": tf.io.FixedLenFeature([], tf.int64),
            "image/class/text": tf.io.FixedLenFeature([], tf.string),
            "image/filename": tf.io.FixedLenFeature([], tf.string),
        }
        (path,) = out.glob("*.tfrecord")
        rows = [
            {name: value.numpy() for name, value in tf.io.parse_single_example(one, spec).items()}
            for one in tf.data.TFRecordDataset(str(path))
        ]
        found = {
            row["image/filename"].decode(): (
                row["image/class/label"],
                row["image/class/text"].decode(),
                row["image/format"],
                tf.io.decode_png(row["image/encoded"]).shape.as_list(),
            )
            for row in rows
        }
        assert found == {
            name: (CLASSES.index(name.split("/")[0]), name.split("/")[0], b"png", [32, 32, 3])
            for name in class_files()
        }


class TestPolicies:
    """Each option reaches the pixels."""

    @pytest.mark.parametrize(
        ("data", "options", "reason"),
        [
            (class_files()["dogs/alpha.png"], {"alpha": "fail"}, "alpha"),
            (class_files()["dogs/moving.gif"], {"frames": "fail"}, "animated"),
            (class_files()["owls/plain.png"], {"max_pixels": 59 * 42 - 1}, "too_many_pixels"),
        ],
        ids=["alpha", "frames", "max-pixels"],
    )
    @pytest.mark.parametrize("crop", [None, (32, 32)], ids=["whole", "crop"])
    def test_a_policy_can_refuse_an_image(
        self, tmp_path: Path, out: Path, data: bytes, options: Any, reason: str, crop: Any
    ) -> None:
        source = fill(tmp_path / "src", {"bad": data, "good.png": png(photo(40, 40))})
        made = run(source, out, crop=crop, on_error="skip", **options).manifest
        assert made is not None
        assert (made.records, made.rejects) == (1, {reason: 1})

    def test_exif_can_be_ignored(self, tmp_path: Path, out: Path) -> None:
        data = jpeg(photo(40, 50), exif=oriented(6))
        run(fill(tmp_path / "src", {"a.jpg": data}), out, exif="ignore")
        record = stored(out)["a.jpg"]
        assert (record.image, record.height_px, record.width_px) == (data, 40, 50)

    def test_metadata_can_be_stripped(self, tmp_path: Path, out: Path) -> None:
        """Of images that keep their bytes; a rotated one is turned, and has none anyway."""
        place, plain = b"52 deg 31' N", photo(40, 50)
        note = Image.Exif()
        note[0x010E] = place.decode()
        turned = oriented(6)
        turned[0x010E] = place.decode()
        files = {
            "a.jpg": jpeg(plain, exif=note, comment=place),
            "b.jpg": jpeg(plain),
            "c.png": png(plain, exif=note),
            "d.jpg": jpeg(plain, exif=turned),
            "e.webp": save(plain, "WEBP", lossless=True, exif=note),
        }
        made = run(fill(tmp_path / "src", files), out, strip_metadata=True).manifest
        assert made is not None
        assert made.changes == {"format_webp": 1, "metadata": 2, "orientation": 1}
        assert made.options["strip_metadata"] is True
        images = {name: record.image for name, record in stored(out).items()}
        assert not any(place in image for image in images.values())
        assert images["a.jpg"] == images["b.jpg"] == files["b.jpg"]
        assert images["c.png"] == png(plain)
        assert pillow_rgb(images["d.jpg"]).shape == (50, 40, 3)

    def test_a_manifest_names_metadata_only_if_it_was_stripped(
        self, folder: Path, out: Path
    ) -> None:
        """Else it keeps the bytes that it had before there was the option."""
        made = run(folder, out).manifest
        assert made is not None
        assert "strip_metadata" not in made.options

    def test_alpha_can_be_put_on_white(self, tmp_path: Path, out: Path) -> None:
        pixels = np.dstack([photo(40, 50), np.zeros((40, 50), np.uint8)])
        run(fill(tmp_path / "src", {"a.png": png(pixels)}), out, alpha="white", crop=(32, 32))
        assert stored(out)["a.png"].image == b"\xff" * (32 * 32 * 3)

    def test_a_rotated_tiff_is_cropped_upright(self, tmp_path: Path, out: Path) -> None:
        data = save(photo(40, 50), "TIFF", exif=oriented(6))
        run(fill(tmp_path / "src", {"a.tif": data}), out, crop=(50, 40))
        assert stored(out)["a.tif"].image == np.rot90(photo(40, 50), -1).tobytes()


def test_jobs_default_to_the_allowed_processors(
    folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "available_jobs", lambda: 1)
    write(folder, out, Options())
    assert sorted(stored(out)) == sorted(class_files())


@pytest.mark.parametrize("name", ["images/out", "images/cats/new/out", "link/out", "other/out"])
def test_an_output_inside_the_images_is_refused(folder: Path, name: str) -> None:
    """Also through links: ``link`` leads to the folder of the images, ``other`` into it."""
    (folder.parent / "link").symlink_to(folder)
    (folder.parent / "other").symlink_to(folder / "cats")
    before = tree(folder)
    with pytest.raises(UsageError, match=f"^{folder.parent / name}: found a folder inside"):
        run(folder, folder.parent / name)
    assert tree(folder) == before


def test_an_output_next_to_an_image_list_is_no_output_inside_the_images(folder: Path) -> None:
    (folder / "list.csv").write_text("path\ncats/420.jpg\n")
    assert run(folder / "list.csv", folder / "out").records == 1


def test_a_dataset_among_the_images_is_not_written_again(folder: Path, out: Path) -> None:
    run(folder, out)
    out.rename(folder / "cats/old")
    written = run(folder, folder.parent / "other")
    assert (written.records, written.warnings) == (
        13,
        ("cats/old: found a tfrec dataset: skipped",),
    )
    assert written.manifest
    assert written.manifest.ignored == {"dataset": 1}


def test_progress_ends_at_the_number_of_images(folder: Path, out: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    write(folder, out, Options(jobs=1, shards=2), lambda *step: seen.append(step))
    assert seen == [
        ("reading headers", 13, 13),
        ("writing", 0, 13),
        ("writing", 6, 13),
        ("writing", 13, 13),
    ]


def test_pillows_limits_are_not_left_changed(folder: Path, out: Path) -> None:
    before = Image.MAX_IMAGE_PIXELS
    run(folder, out, max_pixels=policy.MAX_PIXELS * 2)
    assert before == Image.MAX_IMAGE_PIXELS


class TestBounds:
    def test_memory_does_not_grow_with_what_was_written(self, folder: Path, out: Path) -> None:
        """Only the plan grows with the number of images, and it is freed."""
        plan = run(folder, out, shards=3).plan
        assert (plan.shards, len(plan.sizes)) == (((), (), ()), 3)

    def test_scaling_is_bounded_by_max_pixels(self, tmp_path: Path, out: Path) -> None:
        """An image of one row has a few bytes; scaled to 256 rows it would have gigabytes."""
        source = fill(tmp_path / "src", {"thin.png": png(photo(1, 3000))})
        for options in ({"resize_short": 256}, {"crop": (256, 256), "small": "resize"}):
            with pytest.raises(DataError, match="768000 wide, 256 high, expected at most 10000000"):
                run(source, out, max_pixels=10**7, **options)

    def test_an_image_too_long_for_jpeg_is_a_reject(self, tmp_path: Path, out: Path) -> None:
        files = {"long.jpg": jpeg(photo(1, 400)), "good.jpg": jpeg(photo(50, 50))}
        made = run(fill(tmp_path / "src", files), out, resize_short=256, on_error="skip").manifest
        assert made is not None
        assert (made.records, made.rejects) == (1, {"cannot_be_encoded": 1})

    def test_a_file_of_gigabytes_is_not_read(self, tmp_path: Path, out: Path) -> None:
        source = fill(tmp_path / "src", {"good.png": png(photo(5, 5)), "huge.jpg": b"\xff\xd8\xff"})
        os.truncate(source / "huge.jpg", 2**40)
        made = run(source, out, on_error="skip").manifest
        assert made is not None
        assert made.rejects == {"too_large": 1}

    def test_no_shard_is_empty_however_small_it_may_be(self, folder: Path, out: Path) -> None:
        made = run(folder, out, shard_size=1).manifest
        assert made is not None
        assert [one.records for one in made.shards] == [1] * 13

    @pytest.mark.parametrize("split", ["train", "train=0.9,val=0.1"])
    def test_a_shard_of_each_of_many_images_is_refused(
        self, folder: Path, out: Path, split: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(plan, "_MOST_SINGLE", 8)
        with pytest.raises(UsageError, match=r"shard_size: found 100 bytes, .* such as 100MB, or"):
            run(folder, out, shard_size=100, split=split)
        assert not out.exists()

    def test_a_staging_folder_that_appears_during_the_write_is_left_alone(
        self, folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        right = plan.make

        def make(*args: Any) -> Any:
            fill(out / ".train.partial", {"other": b"1"})
            return right(*args)

        monkeypatch.setattr(plan, "make", make)
        with pytest.raises(RunError, match="found an unfinished write"):
            run(folder, out)
        assert tree(out) == {".train.partial": b"", ".train.partial/other": b"1"}


class TestDarkImages:
    """Images of 12 bits in samples of 16."""

    @staticmethod
    def image(most: int) -> bytes:
        values = np.linspace(0, most, 40 * 50).astype(np.uint16).reshape(40, 50)
        file = io.BytesIO()
        Image.fromarray(values).save(file, "PNG")
        return file.getvalue()

    @pytest.mark.parametrize("crop", [None, 40])
    def test_the_warning_has_their_number_and_greatest_value(
        self, tmp_path: Path, out: Path, crop: int | None
    ) -> None:
        files = {"a.png": self.image(4032), "b.png": self.image(900), "c.png": self.image(65_535)}
        result = run(fill(tmp_path / "images", files), out, crop=crop and (crop, crop))
        (warning,) = result.warnings
        assert "look dark: 2; found 4032 as their greatest value" in warning
        assert result.manifest is not None
        assert result.manifest.changes["deep"] == 3

    def test_a_bright_image_is_no_cause_for_a_warning(self, tmp_path: Path, out: Path) -> None:
        source = fill(tmp_path / "images", {"a.png": self.image(65_535)})
        assert not run(source, out).warnings
