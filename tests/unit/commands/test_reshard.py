"""reshard: the same records in other shards, as write makes them, or nothing is written."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import class_files, fill, jpeg, measured, photo, tree
from hypothesis import given, settings
from hypothesis import strategies as st
from program import tfrec
from record_files import FILES, GZIP, PAYLOADS, PLAIN, record_file

from tfrec_cli.commands import reshard, salvage, verify, write
from tfrec_cli.commands.reshard import Options, Resharded
from tfrec_cli.dataset import discover, manifest
from tfrec_cli.errors import DataError, ImageError, RunError, UsageError
from tfrec_cli.resharding import new_split, runs
from tfrec_cli.runtime import values
from tfrec_cli.tfrecord import example
from tfrec_cli.tfrecord.index import index_line, locate_records
from tfrec_cli.tfrecord.scan import read_records
from tfrec_cli.writing import options, plan, recipe

FIXED = settings(deadline=None, derandomize=True, max_examples=30)


def run(path: Path, out: Path, **options: Any) -> Resharded:
    """Reshard with one job."""
    return reshard.reshard(path, out, Options(**{"jobs": 1, **options}))


def written(source: Path, out: Path, **options: Any) -> Path:
    write.write(source, out, write.WriteOptions(**{"jobs": 1, **options}))
    return out


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def payloads(path: Path, split: str = "train") -> list[bytes]:
    return list(discover.payloads(discover.split(path, split)))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Name a folder that is not there yet."""
    return tmp_path / "out"


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with the test images, and a dataset of them in ``four`` shards."""
    folder = tmp_path_factory.mktemp("reshard")
    fill(folder / "images", class_files())
    written(folder / "images", folder / "four", shards=4)
    return folder


@pytest.fixture
def data(lasting: Path, tmp_path: Path) -> Path:
    """Copy the dataset of four shards, to be damaged."""
    return Path(shutil.copytree(lasting / "four", tmp_path / "data"))


class TestSameAsWrite:
    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"crop": (20, 30)},
            {"crop": (20, 30), "encoding": "jpeg", "keys": "tf-models"},
            {"compression": "gzip"},
            {"index": False, "labels": "none", "shuffle_seed": None},
            {"crop": (43, 43), "small": "skip", "shuffle_seed": 9},
            {"shard_size": 2**30},
        ],
        ids=["whole", "crops", "tf-models", "gzip", "plain", "rejects", "size"],
    )
    def test_resharding_there_and_back_gives_the_same_bytes(
        self, lasting: Path, tmp_path: Path, options: dict[str, Any]
    ) -> None:
        """From 4 shards to 5, as write makes them, and back; the manifests too."""
        source = lasting / "images"
        four = written(source, tmp_path / "four", **{"shards": 4, **options})
        run(four, tmp_path / "five", shards=5)
        run(tmp_path / "five", tmp_path / "back", shards=4)
        alone = {name: value for name, value in options.items() if name != "shard_size"}
        assert tree(tmp_path / "five") == tree(written(source, tmp_path / "5", **alone, shards=5))
        assert tree(tmp_path / "back") == tree(written(source, tmp_path / "4", **alone, shards=4))

    @pytest.mark.parametrize("jobs", [1, 2])
    @pytest.mark.parametrize("shards", [1, 4, 13])
    def test_any_number_of_jobs_gives_the_same_bytes(
        self, lasting: Path, tmp_path: Path, out: Path, jobs: int, shards: int
    ) -> None:
        run(lasting / "four", out, shards=shards, jobs=jobs)
        assert tree(out) == tree(written(lasting / "images", tmp_path / "x", shards=shards))

    @pytest.mark.slow
    @given(shards=st.integers(1, 13), run_bytes=st.integers(1, 30_000))
    @FIXED
    def test_runs_of_any_size_give_the_same_bytes(
        self, lasting: Path, shards: int, run_bytes: int
    ) -> None:
        out = lasting / "any"
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(runs, "PIECE_BYTES", run_bytes)
            run(lasting / "four", out, shards=shards)
        found = payloads(out)
        assert (found, len(list(out.glob("*.tfrecord")))) == (payloads(lasting / "four"), shards)
        assert verify.verify(out, verify.Options(jobs=1, quick=True)).findings == []
        shutil.rmtree(out)

    def test_every_split_is_resharded(self, lasting: Path, tmp_path: Path) -> None:
        for name, counts in (("a", (4, 2)), ("b", (3, 3))):
            for split, shards in zip(("train", "val"), counts, strict=True):
                written(lasting / "images", tmp_path / name, split=split, shards=shards)
        run(tmp_path / "a", tmp_path / "c", shards=3)
        assert tree(tmp_path / "c") == tree(tmp_path / "b")

    @pytest.mark.parametrize("shards", [{"shards": 3}, {}], ids=["three shards", "by size"])
    def test_one_split_can_be_resharded(
        self, lasting: Path, tmp_path: Path, out: Path, shards: dict[str, int]
    ) -> None:
        for split in ("train", "val"):
            written(lasting / "images", tmp_path / "a", split=split, shards=2)
        run(tmp_path / "a", out, split="val", **shards)
        expected = written(lasting / "images", tmp_path / "b", split="val", **shards)
        assert tree(out) == tree(expected)

    @pytest.mark.parametrize("index", [True, False])
    def test_index_files_are_written_as_requested(
        self, lasting: Path, tmp_path: Path, out: Path, index: bool
    ) -> None:
        source = written(lasting / "images", tmp_path / "a", index=not index)
        run(source, out, shards=2, index=index)
        expected = written(lasting / "images", tmp_path / "b", index=index, shards=2)
        assert tree(out) == tree(expected)

    def test_the_result_has_both_manifests(self, lasting: Path, out: Path) -> None:
        result = run(lasting / "four", out, shards=2)
        paths = [folder / "train.manifest.json" for folder in (lasting / "four", out)]
        assert (result.before, result.after) == tuple((manifest.load(path),) for path in paths)


class TestSize:
    @pytest.mark.parametrize(("share", "shards"), [(1.0, 1), (0.99, 2), (0.51, 2), (0.001, 13)])
    def test_the_size_of_shards_counts_stored_bytes(
        self, lasting: Path, out: Path, share: float, shards: int
    ) -> None:
        made = manifest.load(lasting / "four" / "train.manifest.json")
        size = int(sum(one.size_bytes for one in made.shards) * share)
        (after,) = run(lasting / "four", out, shard_size=size).after
        told = (len(after.shards), after.options["shards"], after.options["shard_size"])
        assert told == (shards, None, size)

    def test_a_shard_of_each_of_many_records_is_refused(
        self, lasting: Path, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(plan, "_MOST_SINGLE", 12)
        with pytest.raises(UsageError, match="found 100 bytes, which makes 13 shards of 13 rec"):
            run(lasting / "four", out, shard_size=100)
        assert not out.exists()


class TestAfterResharding:
    """A resharded dataset works like one that was written."""

    def test_verify_compares_it_with_its_sources(self, lasting: Path, out: Path) -> None:
        run(lasting / "four", out, shards=3)
        options = verify.Options(jobs=1, source=((None, lasting / "images"),))
        assert verify.verify(out, options).findings == []

    def test_the_same_write_has_nothing_left_to_do(self, lasting: Path, out: Path) -> None:
        run(lasting / "four", out, shards=3)
        before = tree(out)
        written(lasting / "images", out, shards=3, resume=True)
        assert tree(out) == before

    def test_a_write_with_other_shards_is_refused(self, lasting: Path, out: Path) -> None:
        run(lasting / "four", out, shards=3)
        with pytest.raises(RunError, match=r"something else: shards was 3, now 4; overwrite"):
            written(lasting / "images", out, shards=4, resume=True)

    @pytest.mark.parametrize("shards", [2, 5])
    @pytest.mark.parametrize("rejected", [0, 3])
    def test_salvage_names_what_is_lost(
        self,
        lasting: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        shards: int,
        rejected: int,
    ) -> None:
        """Also if images were rejected during the write, which shifts all later records."""
        store, count = recipe._whole, iter(range(100))

        def sometimes(*args: Any, **more: Any) -> Any:
            if next(count) in range(rejected):
                raise ImageError("corrupt", "found rust")
            return store(*args, **more)

        monkeypatch.setattr(recipe, "_whole", sometimes)
        made = written(lasting / "images", tmp_path / "a", shards=4, on_error="skip")
        run(made, tmp_path / "b", shards=shards)
        names = []
        for path in sorted((tmp_path / "b").glob("*.tfrecord")):
            features = [example.decode(one.payload) for one in read_records(path)]
            names.append([one["filename"].values[0] for one in features])
        assert sum(map(len, names)) == 13 - rejected
        for number, path in enumerate(sorted((tmp_path / "b").glob("*.tfrecord"))):
            path.write_bytes(path.read_bytes()[:-1])
            told = salvage.Options(source=lasting / "images")
            result = salvage.salvage(path, tmp_path / f"{number}", told)
            assert (result.lost_names, result.lost_records, result.strange) == (
                names[number][-1:],
                [len(names[number]) - 1],
                [],
            )


def verified(path: Path, source: Path | None = None) -> verify.Verified:
    return verify.verify(path, verify.Options(jobs=1, source=((None, source),) if source else ()))


def names(path: Path) -> list[bytes]:
    return [example.decode(one)["filename"].values[0] for one in payloads(path)]


class TestSubset:
    """Some records, with the same guarantees; the manifest says of what they are a part."""

    def test_records_of_a_class_keep_order_and_labels(self, lasting: Path, out: Path) -> None:
        (after,) = run(lasting / "four", out, where=("label=cats",), shards=2).after
        before = manifest.load(lasting / "four" / "train.manifest.json")
        assert names(out) == [name for name in names(lasting / "four") if name[:5] == b"cats/"]
        assert (after.labels, after.records) == (before.labels, len(names(out)))
        assert verified(out).findings == []

    def test_the_manifest_names_the_complete_split(self, lasting: Path, out: Path) -> None:
        result = run(lasting / "four", out, where=("label=cats,dogs",), limit=3)
        (before,), (after,) = result.before, result.after
        (origin,) = after.origins
        assert (origin.split, origin.records, origin.records_before) == ("train", 3, 13)
        assert origin.selected == ("label=cats,dogs", "limit=3")
        assert (origin.content_sha256, origin.plan_sha256) == (
            before.content_sha256,
            before.plan_sha256,
        )
        assert after.content_sha256 != before.content_sha256
        assert after.plan_sha256 != before.plan_sha256
        assert (after.changes, after.rejects) == (before.changes, before.rejects)

    @pytest.mark.parametrize("jobs", [1, 2])
    def test_any_number_of_jobs_and_old_shards_gives_the_same_bytes(
        self, lasting: Path, tmp_path: Path, jobs: int
    ) -> None:
        run(lasting / "four", tmp_path / "nine", shards=9)
        wanted: dict[str, Any] = {"where": ("label=cats",), "limit": 4, "shards": 2}
        run(lasting / "four", tmp_path / "a", **wanted)
        run(tmp_path / "nine", tmp_path / "b", jobs=jobs, **wanted)
        assert tree(tmp_path / "a") == tree(tmp_path / "b")

    def test_a_subset_of_a_subset_remembers_both_selections(
        self, lasting: Path, tmp_path: Path, out: Path
    ) -> None:
        run(lasting / "four", tmp_path / "a", where=("label=cats",))
        (after,) = run(tmp_path / "a", out, limit=2).after
        assert after.origins[0].selected == ("label=cats", "limit=2")
        assert after.origins[0].records_before == 13
        assert names(out) == names(tmp_path / "a")[:2]

    def test_a_limit_that_leaves_out_nothing_makes_no_subset(
        self, lasting: Path, tmp_path: Path, out: Path
    ) -> None:
        run(lasting / "four", out, limit=13, shards=3)
        assert tree(out) == tree(written(lasting / "images", tmp_path / "x", shards=3))

    def test_gzip_shards_and_other_names_of_features(
        self, lasting: Path, tmp_path: Path, out: Path
    ) -> None:
        options: dict[str, Any] = {"compression": "gzip", "keys": "tf-models", "shards": 2}
        made = written(lasting / "images", tmp_path / "a", **options)
        (after,) = run(made, out, where=("label=dogs",)).after
        assert [*after.origins[0].selected, after.compression] == ["label=dogs", "gzip"]
        assert verified(out).findings == []

    def test_the_smallest_sides_are_those_of_the_subset(self, lasting: Path, out: Path) -> None:
        before = manifest.load(lasting / "four" / "train.manifest.json")
        sizes = {
            (one["height"].values[0], one["width"].values[0])
            for one in map(example.decode, payloads(lasting / "four"))
        }
        largest = max(sizes)
        (after,) = run(lasting / "four", out, where=(f"height={largest[0]}",)).after
        assert (after.smallest or (0,))[0] == largest[0] > (before.smallest or (0,))[0]

    def test_verify_does_not_miss_the_images_of_the_rest(self, lasting: Path, out: Path) -> None:
        run(lasting / "four", out, where=("label=cats",))
        found = verified(out, lasting / "images")
        assert found.findings == []
        text = f"whether every image in {lasting / 'images'} is in a record: this is a subset"
        assert text in found.unchecked

    def test_salvage_names_no_images_of_a_subset(
        self, lasting: Path, tmp_path: Path, out: Path
    ) -> None:
        run(lasting / "four", out, limit=3)
        asked = salvage.Options(source=lasting / "images")
        with pytest.raises(RunError, match="found split 'train', which is a subset or merged"):
            salvage.salvage(next(out.glob("*.tfrecord")), tmp_path / "new", asked)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"where": ("label=cats", "height=7")}, "where label=cats and height=7: found no such"),
            (
                {"where": ("label=owl",)},
                "where label=owl: found no class 'owl': did you mean 'owls",
            ),
            ({"limit": 0}, "limit: found 0, expected 1 or more"),
            ({"limit": 3, "shards": 4}, "shards 4: found 3 records, expected one for each shard"),
        ],
    )
    def test_a_selection_of_nothing_is_refused(
        self, lasting: Path, out: Path, options: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(UsageError) as error:
            run(lasting / "four", out, **options)
        assert str(error.value).startswith(message)
        assert list(out.parent.iterdir()) == []

    def test_the_command_line_selects(self, lasting: Path, out: Path) -> None:
        words = ("--where", "label=cats,dogs", "--where", "height=41,51,60", "--limit", "2")
        ran = tfrec("reshard", lasting / "four", out, *words)
        assert (ran.code, ran.err) == (0, "")
        assert "train     2 of 13 records, from 4 to 1 shard" in ran.out
        ran = tfrec("reshard", lasting / "four", out, "--where", "cats")
        assert "--where: found 'cats', expected FEATURE=VALUE, such as label=cat" in ran.err


class TestForeign:
    """Records of other programs: copied bit for bit, in order, without a manifest."""

    @pytest.mark.parametrize("compression", ["", "GZIP", "ZLIB"])
    def test_records_and_their_order_stay(
        self, tmp_path: Path, out: Path, compression: str
    ) -> None:
        data = tmp_path / "data"
        data.mkdir()
        (data / "part-2").write_bytes(FILES[compression])
        record_file(data / "part-10", b"last", b"\xff")
        result = run(data, out, shards=2)
        assert payloads(out) == [*PAYLOADS, b"last", b"\xff"]
        assert [(one.split, one.records, one.files_before) for one in result.foreign] == [
            ("train", 5, 2)
        ]
        shards = [f"train-0000{number}-of-00002.tfrecord" for number in range(2)]
        assert sorted(path.name for path in out.iterdir()) == ["SHA256SUMS", *shards]
        sums = (out / "SHA256SUMS").read_text().splitlines()
        assert sums == [f"{sha256((out / name).read_bytes())}  {name}" for name in shards]
        assert verified(out).findings == []

    def test_each_split_of_the_names_is_one(self, tmp_path: Path, out: Path) -> None:
        data = tmp_path / "data"
        data.mkdir()
        record_file(data / "val-00000-of-00001", b"v")
        for number in range(2):
            record_file(data / f"train-0000{number}-of-00002", b"%d" % number, b"x")
        result = run(data, out, shards=1, index=True)
        assert [(one.split, one.records) for one in result.foreign] == [("train", 4), ("val", 1)]
        assert locate_records(out / "train-00000-of-00001.tfrecord")[0] == (0, 17)
        assert (out / "train-00000-of-00001.tfindex").read_bytes().startswith(index_line(0, 17))

    def test_shards_have_the_size_that_write_gives_them(self, tmp_path: Path, out: Path) -> None:
        file = record_file(tmp_path / "x", *PAYLOADS)
        (made,) = run(file, out).foreign
        assert (made.records, len(made.shards)) == (len(PAYLOADS), 1)
        size = values.spell_size(options.default_of("shard_size"))
        shown = " ".join(tfrec("reshard", "--help").out.split())
        assert f"[default: {size}, with --split, --where or --limit, or for record files" in shown

    def test_records_are_selected_by_any_feature(self, tmp_path: Path, out: Path) -> None:
        made = [example.encode({"n": number, "s": b"t%d" % number}) for number in range(4)]
        record_file(tmp_path / "x", *made, example.encode({"n": 1}))
        result = run(tmp_path / "x", out, where=("n=1,3", "s=t1,t2,no,t3"), limit=1, split="val")
        assert result.warnings == ("--where s=t1,t2,no,t3: no record has no",)
        assert payloads(out, "val") == [made[1]]
        with pytest.raises(UsageError, match=r"n2=1: found no feature 'n2' with one integer or"):
            run(tmp_path / "x", tmp_path / "new", where=("n2=1",))

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (PLAIN[:-1], "truncated: record 2 at byte 37"),
            (flip(PLAIN, 13), "damaged: record 0 at byte 0"),
            (GZIP[:-9], "damaged: "),
            (b"", "found an empty file, expected records"),
            (b"some text", "not a TFRecord file: text"),
        ],
    )
    def test_damage_is_refused_with_its_place(
        self, tmp_path: Path, out: Path, data: bytes, message: str
    ) -> None:
        (tmp_path / "x").write_bytes(data)
        with pytest.raises(DataError) as error:
            run(tmp_path / "x", out, shards=1)
        assert str(error.value).startswith(f"{tmp_path / 'x'}: {message}")
        assert not out.exists()

    def test_the_command_line_says_that_there_is_no_manifest(
        self, tmp_path: Path, out: Path
    ) -> None:
        record_file(tmp_path / "a.tfrecord", *PAYLOADS)
        record_file(tmp_path / "b.tfrecord", *PAYLOADS)
        ran = tfrec("reshard", tmp_path / "*.tfrecord", out, "--shards", "1")
        assert ran.out.splitlines()[1:] == [
            "  train     6 records, from 2 files to 1 shard",
            "  manifest  none: only records were copied",
        ]
        ran = tfrec("reshard", tmp_path / "*.tfrecord", tmp_path / "c", "--shards", "1", "--json")
        assert json.loads(ran.out)["splits"][0]["manifest"] is None


class TestRefused:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({}, "shards or shard_size is needed, or split, where or limit"),
            ({"shards": 2, "shard_size": 2}, "shards: cannot be used with shard_size"),
            ({"shards": 0}, "shards: found 0, expected 1 to 99999"),
            ({"shards": 100_000}, "shards: found 100000, expected 1 to 99999"),
            ({"shard_size": 0}, "shard_size: found 0, expected 1 to 9223372036854775807"),
            ({"shards": 14}, "shards 14: found 13 records, expected one for each shard"),
            ({"shards": 2, "jobs": 0}, "jobs: found 0, expected 1 to 4096"),
            ({"shards": 2, "split": "val"}, "found splits train in "),
        ],
    )
    def test_wrong_options_are_refused(
        self, lasting: Path, out: Path, options: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(UsageError) as error:
            run(lasting / "four", out, **options)
        assert message in str(error.value)
        assert not out.exists()

    def test_an_index_of_gzip_shards_is_refused(
        self, lasting: Path, tmp_path: Path, out: Path
    ) -> None:
        made = written(lasting / "images", tmp_path / "a", compression="gzip")
        with pytest.raises(UsageError, match="index: GZIP shards cannot have index files"):
            run(made, out, shards=2, index=True)
        assert not out.exists()

    def test_a_dataset_that_lost_its_manifest_is_refused(self, data: Path, out: Path) -> None:
        (data / "train.manifest.json").unlink()
        with pytest.raises(UsageError) as error:
            run(data, out, shards=2)
        found = "found train.rejects.jsonl without train.manifest.json, expected both, or records"
        assert str(error.value).startswith(f"{data}: {found}")

    def test_a_folder_with_a_dataset_is_refused(self, lasting: Path, data: Path) -> None:
        before = tree(data)
        with pytest.raises(RunError, match=r"found other files \(SHA256SUMS…\), expected an empty"):
            run(lasting / "four", data, shards=2)
        assert tree(data) == before


class TestDamage:
    def refused(self, data: Path, out: Path) -> str:
        """Return why nothing was written."""
        with pytest.raises(DataError) as error:
            run(data, out, shards=3)
        assert sorted(path.name for path in out.parent.iterdir()) == ["data"]
        return str(error.value)

    @pytest.mark.parametrize("place", [0, 8, 12, 60, -1])
    @pytest.mark.parametrize("number", [0, 2])
    def test_damage_is_named_by_file_record_and_offset(
        self, data: Path, out: Path, place: int, number: int
    ) -> None:
        path = data / "train-00002-of-00004.tfrecord"
        offset, length = locate_records(path)[number]
        path.write_bytes(flip(path.read_bytes(), offset + place % length))
        message = self.refused(data, out)
        assert message.startswith(f"{path}: ")
        if number or place > 8:
            assert f"record {number} at byte {offset}: " in message

    def test_damage_of_a_compressed_record_is_named_too(
        self, lasting: Path, tmp_path: Path, out: Path
    ) -> None:
        data = written(lasting / "images", tmp_path / "data", compression="gzip", shards=2)
        path = data / "train-00001-of-00002.tfrecord.gz"
        path.write_bytes(flip(path.read_bytes(), path.stat().st_size // 2))
        assert self.refused(data, out).startswith(f"{path}: damaged: record ")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda a, b: a.unlink(), "this file of the dataset is missing"),
            (lambda a, b: a.write_bytes(b.read_bytes()), "found another SHA-256, expected that of"),
            (lambda a, b: a.write_bytes(a.read_bytes() + b"x"), "truncated: record "),
            (lambda a, b: a.write_bytes(a.read_bytes() * 2), "found another SHA-256, expected"),
            (lambda a, b: a.write_bytes(b""), "found another SHA-256, expected that of the"),
            (lambda a, b: a.write_bytes(b"text"), "not a TFRecord file: text"),
        ],
        ids=["missing", "other", "trailing", "twice", "empty", "text"],
    )
    def test_a_damaged_shard_is_refused(
        self, data: Path, out: Path, change: Callable[[Path, Path], Any], message: str
    ) -> None:
        first, second = (data / f"train-0000{number}-of-00004.tfrecord" for number in (1, 3))
        change(first, second)
        assert self.refused(data, out).startswith(f"{first}: {message}")

    def test_two_exchanged_shards_are_refused(self, data: Path, out: Path) -> None:
        """They have the same records, but in another order."""
        first, second = (data / f"train-0000{number}-of-00004.tfrecord" for number in (1, 3))
        first.rename(data / "x")
        second.rename(first)
        (data / "x").rename(second)
        assert "found another SHA-256" in self.refused(data, out)

    def test_a_damaged_list_of_rejects_is_refused(self, data: Path, out: Path) -> None:
        path = data / "train.rejects.jsonl"
        path.write_bytes(b"{}\n")
        assert self.refused(data, out).startswith(f"{path}: found another SHA-256, expected that")
        path.unlink()
        assert self.refused(data, out) == f"{path}: this file of the dataset is missing"

    @pytest.mark.parametrize(
        ("field", "message"),
        [
            ("content_sha256", "split 'train': found content digest "),
            ("records", "split 'train': found 13 records, expected 14 by the manifest"),
        ],
    )
    def test_a_manifest_that_differs_from_the_records_is_refused(
        self, data: Path, out: Path, field: str, message: str
    ) -> None:
        path = data / "train.manifest.json"
        values = json.loads(path.read_text())
        values[field] = "0" * 64 if field == "content_sha256" else 14
        path.write_text(json.dumps(values))
        assert message in self.refused(data, out)

    def test_damage_during_the_run_is_found(
        self, data: Path, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The CRCs of each record are compared while it is copied."""
        path, locate = data / "train-00002-of-00004.tfrecord", locate_records

        def late(one: Path) -> list[tuple[int, int]]:
            found = locate(one)
            if one == path:
                path.write_bytes(flip(path.read_bytes(), found[1][0] + 40))
            return found

        monkeypatch.setattr(runs, "locate_records", late)
        assert "no intact record of" in self.refused(data, out)

    def test_a_shard_that_cannot_be_read_is_not_called_damaged(self, data: Path, out: Path) -> None:
        path = data / "train-00002-of-00004.tfrecord"
        path.unlink()
        path.mkdir()
        with pytest.raises(RunError, match="tfrecord: cannot be read: Is a directory"):
            run(data, out, shards=2)
        assert not out.exists()


# Complete, or not there


@pytest.mark.parametrize("what", ["describe", "sync", "folder"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interrupted_run_leaves_nothing(
    lasting: Path,
    tmp_path: Path,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    error: BaseException,
) -> None:
    from tfrec_cli.runtime import files
    from tfrec_cli.writing import staging

    def stop(*_: Any) -> None:
        assert list(tmp_path.glob(".out.new/out/*"))
        raise error

    module, name = {
        "describe": (staging, "describe"),
        "sync": (files, "sync"),
        "folder": (new_split, "content_digest"),
    }[what]
    sync = files.sync

    def late(path: Path) -> None:
        return stop() if path.suffix == ".tfrecord" else sync(path)

    monkeypatch.setattr(module, name, late if what == "sync" else stop)
    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else RunError
    with pytest.raises(expected):
        run(lasting / "four", out, shards=2)
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from tfrec_cli.commands import reshard; from tfrec_cli.writing import staging
staging.describe = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
options = reshard.Options(shards=3, jobs=1)
reshard.reshard(Path(sys.argv[1]), Path(sys.argv[2]), options)
"""


def test_a_killed_run_looks_unfinished_and_can_be_repeated(
    lasting: Path, tmp_path: Path, out: Path
) -> None:
    words = [sys.executable, "-c", KILLED, str(lasting / "four"), str(out)]
    ended = subprocess.run(words, check=False).returncode
    assert (ended, os.listdir(tmp_path)) == (-signal.SIGKILL, [".out.new"])
    run(lasting / "four", out, shards=2)
    assert os.listdir(tmp_path) == ["out"]
    assert tree(out) == tree(written(lasting / "images", tmp_path / "2", shards=2))


@pytest.mark.skipif(sys.platform != "linux", reason="limits of the launcher are Linux's")
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_limit_on_file_sizes_leaves_nothing(
    lasting: Path, tmp_path: Path, out: Path, compression: str
) -> None:
    from faults.runs import Launcher

    data = written(lasting / "images", tmp_path / "data", compression=compression)
    launcher = Launcher(tmp_path)
    words = ["reshard", str(data), str(out), "-j", "2", "--shards", "2"]
    ended = launcher.run(words, limits={"FSIZE": 4096})
    launcher.close()
    assert (ended.code, ended.output) == (3, f"tfrec: {out}: cannot be written: File too large\n")
    assert sorted(os.listdir(tmp_path)) == ["data", "output"]


@pytest.mark.slow
def test_memory_does_not_grow_with_shards(tmp_path: Path) -> None:
    source = fill(tmp_path / "src", {f"{n}.jpg": jpeg(photo(40, 40, n)) for n in range(80)})
    taken = []
    for crop in (8, 640):  # 98 MB in one shard
        data = written(source, tmp_path / f"{crop}", crop=(crop, crop), small="resize")
        place = tmp_path / "place"
        place.mkdir(exist_ok=True)
        ran = measured(place, "reshard", data, tmp_path / f"out{crop}", "--shards", "1", "-j1")
        assert ran.code == 0
        taken.append(ran.mebibytes)
    assert taken[1] - taken[0] < 40


# The command line


def test_the_text_says_what_was_copied(lasting: Path, out: Path) -> None:
    ran = tfrec("reshard", lasting / "four", out, "--shards", "1")
    made = manifest.load(out / "train.manifest.json")
    size = sum(one.size_bytes for one in made.shards) / 1024
    assert (ran.code, ran.err, ran.out) == (
        0,
        "",
        f"copied 13 records to {out}, {size:.1f} KiB\n"
        "  train     13 records, from 4 to 1 shard\n"
        f"  digest    {made.content_sha256}\n",
    )


def test_an_equal_number_of_shards_is_said_once(lasting: Path, out: Path) -> None:
    ran = tfrec("reshard", lasting / "four", out, "--shards", "4")
    assert "  train     13 records, in 4 shards as before\n" in ran.out


def test_the_json_document_has_every_split(lasting: Path, out: Path) -> None:
    ran = tfrec("reshard", lasting / "four", out, "--shards", "3", "--json")
    document = json.loads(ran.out)
    made = document["splits"][0].pop("manifest")
    told = json.loads((out / "train.manifest.json").read_text())
    assert made == {"columns": [], **{name: told[name] for name in told if name in made}}
    assert document == {
        "format": "tfrec-reshard",
        "format_version": 1,
        "ok": True,
        "path": str(lasting / "four"),
        "out": str(out),
        "splits": [{"split": "train", "records": 13, "shards_before": 4, "shards": 3}],
    }


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("DATA OUT --shards 2", 0),
        ("DATA OUT --shard-size 20KiB --split train --no-index -q -j 2", 0),
        ("DATA OUT", 2),
        ("DATA OUT --shards 2 --shard-size 2K", 2),
        ("DATA OUT --shards 0", 2),
        ("DATA OUT --shards 14", 2),
        ("DATA OUT --shard-size many", 2),
        ("DATA OUT --shards 2 --split val", 2),
        ("DATA OUT --shards 2 --jobs 5000", 2),
        ("DATA --shards 2", 2),
        ("NONE OUT --shards 2", 2),
        ("DATA DATA --shards 2", 3),
    ],
)
def test_calls_end_with_their_exit_codes(
    lasting: Path, tmp_path: Path, out: Path, words: str, code: int
) -> None:
    paths = {"DATA": lasting / "four", "OUT": out, "NONE": tmp_path / "none"}
    ran = tfrec("reshard", *(paths.get(word, word) for word in words.split()))
    assert (ran.code, ran.error.count("\n"), out.exists()) == (code, int(code > 0), code == 0)


def test_damage_ends_with_exit_code_1(data: Path, out: Path) -> None:
    path = data / "train-00002-of-00004.tfrecord"
    path.write_bytes(path.read_bytes()[:-1])
    ran = tfrec("reshard", data, out, "--shards", "2")
    assert (ran.code, ran.out, ran.err.startswith(f"tfrec: {path}: truncated: record ")) == (
        1,
        "",
        True,
    )
