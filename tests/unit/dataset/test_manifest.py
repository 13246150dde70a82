"""Manifests: written, read, and checked field by field."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import pytest
from conftest import fill
from manifests import MANIFEST, WHOLE

from tfrec_cli.dataset import manifest
from tfrec_cli.dataset.manifest import Manifest, Shard
from tfrec_cli.errors import ManifestError

PATH = Path("out/train.manifest.json")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


VALUES: dict[str, Any] = json.loads(manifest.dump(MANIFEST))
VERSION_1 = {**VALUES, "format_version": 1}
del VERSION_1["division"]
COLUMN = {"name": "a", "kind": "int64", "is_list": False, "is_everywhere": True}
FIELDS = [field.name for field in dataclasses.fields(Manifest) if field.name != "unknown"]
LATER = ("columns", "origins", "targets")
"""Fields that only some datasets have."""
SHARD_FIELDS = [field.name for field in dataclasses.fields(Shard)]


def message_of(values: Any) -> str:
    """Return the message of the error that reading these values as a manifest raises."""
    with pytest.raises(ManifestError) as error:
        manifest.parse(json.dumps(values).encode(), PATH)
    return str(error.value)


def in_shard(**changes: Any) -> dict[str, Any]:
    return {**VALUES, "shards": [{**VALUES["shards"][0], **changes}]}


class TestRoundTrip:
    @pytest.mark.parametrize("made", [MANIFEST, WHOLE], ids=["crops", "whole"])
    def test_load_returns_what_was_dumped(self, tmp_path: Path, made: Manifest) -> None:
        path = tmp_path / f"{made.split}.manifest.json"
        path.write_bytes(manifest.dump(made))
        assert manifest.load(path) == made

    @pytest.mark.parametrize("made", [MANIFEST, WHOLE], ids=["crops", "whole"])
    def test_dump_returns_what_was_loaded(self, made: Manifest) -> None:
        data = manifest.dump(made)
        path = Path(f"out/{made.split}.manifest.json")
        assert manifest.dump(manifest.parse(data, path)) == data


ORIGIN = {
    "split": "train",
    "records": 3,
    "records_before": 5,
    "content_sha256": "0" * 64,
    "plan_sha256": "1" * 64,
    "selected": ["label=cats"],
}


def test_origins_are_read_and_written_as_they_are() -> None:
    made = manifest.parse(json.dumps({**VALUES, "origins": [ORIGIN]}).encode(), PATH)
    assert made.origins[0].selected == ("label=cats",)
    assert made.document()["origins"][0]["records_before"] == 5
    assert "origins" not in MANIFEST.document()


TARGETS = {"name": "train.targets", "sha256": "7" * 64}


def test_the_file_of_labels_is_read_and_written_as_it_is() -> None:
    made = manifest.parse(json.dumps({**VALUES, "targets": TARGETS}).encode(), PATH)
    again = dataclasses.replace(made)
    assert json.loads(manifest.dump(again)) == {**VALUES, "targets": TARGETS}
    assert "targets" not in MANIFEST.document()


def test_the_name_of_a_column_may_have_255_bytes() -> None:
    values = {**VALUES, "columns": [{**COLUMN, "name": "a" * 255}]}
    assert manifest.parse(json.dumps(values).encode(), PATH).columns[0].name == "a" * 255


class TestRefuses:
    def test_a_split_other_than_that_in_the_file_name(self) -> None:
        message = message_of({**VALUES, "split": "val"})
        assert message == f"{PATH}: split: found 'val', expected the split in the file's name"

    @pytest.mark.parametrize("name", [name for name in FIELDS if name not in LATER])
    def test_a_missing_field(self, name: str) -> None:
        message = message_of({key: value for key, value in VALUES.items() if key != name})
        assert message.startswith(f"{PATH}: {name}: found 'nothing', expected ")

    @pytest.mark.parametrize(
        ("origins", "message"),
        [
            ([], "origins: found [], expected at least one split, or no such field"),
            ([{**ORIGIN, "records": 2}], "origins: found 2 records, expected 3"),
            (
                [{**ORIGIN, "records_before": 2}],
                "origins[0].records: found 3, expected at most 2",
            ),
            ([{**ORIGIN, "selected": "x"}], "origins[0].selected: found 'x', expected a list of"),
        ],
    )
    def test_origins_that_do_not_have_the_records(self, origins: Any, message: str) -> None:
        assert message_of({**VALUES, "origins": origins}).startswith(f"{PATH}: {message}")

    @pytest.mark.parametrize("name", SHARD_FIELDS)
    def test_a_missing_field_of_a_shard(self, name: str) -> None:
        shard = {key: value for key, value in VALUES["shards"][0].items() if key != name}
        message = message_of({**VALUES, "shards": [shard]})
        assert message.startswith(f"{PATH}: shards[0].{name}: found 'nothing', expected ")

    @pytest.mark.parametrize("name", [name for name in FIELDS if name not in ("shards", *LATER)])
    @pytest.mark.parametrize("value", [True, 1.5, [0.5, 1], [[]]], ids=repr)
    def test_a_field_of_a_wrong_type(self, name: str, value: Any) -> None:
        message = message_of({**VALUES, name: value})
        assert message.startswith(f"{PATH}: {name}: found {value!r}, expected ")

    @pytest.mark.parametrize("value", [True, 1, "x", {}], ids=repr)
    def test_shards_that_are_not_a_list(self, value: Any) -> None:
        message = message_of({**VALUES, "shards": value})
        assert message == f"{PATH}: shards: found {value!r}, expected at least one shard"

    @pytest.mark.parametrize("value", [True, 1.5, "x", []], ids=repr)
    def test_a_shard_that_is_not_an_object(self, value: Any) -> None:
        message = message_of({**VALUES, "shards": [value]})
        assert message == f"{PATH}: shards[0]: found {value!r}, expected an object"

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"targets": 1}, "targets: found 1, expected an object"),
            ({"targets": {"name": "a"}}, "targets.sha256: found 'nothing', expected 64 hex"),
            (
                {"targets": {**TARGETS, "name": "../a"}},
                "targets.name: found '../a', expected a file name",
            ),
            (
                {"targets": {**TARGETS, "name": "x" * 256}},
                f"targets.name: found '{'x' * 27}...",
            ),
            (
                {"targets": TARGETS, "labels": None},
                "targets: found 'train.targets', expected no such field without labels",
            ),
            (
                {"targets": TARGETS, "format_version": 1},
                "targets: found {'name': 'train.targets', 'sha256': '7777",
            ),
        ],
        ids=["kind", "digest", "path", "length", "labels", "version"],
    )
    def test_a_wrong_file_of_labels(self, changes: dict[str, Any], message: str) -> None:
        values = {**VALUES, **changes}
        if changes.get("format_version") == 1:
            del values["division"]
        assert message_of(values).startswith(f"{PATH}: {message}")

    @pytest.mark.parametrize("name", SHARD_FIELDS)
    @pytest.mark.parametrize("value", [True, 1.5, [], {}], ids=repr)
    def test_a_field_of_a_shard_with_a_wrong_type(self, name: str, value: Any) -> None:
        message = message_of(in_shard(**{name: value}))
        assert message.startswith(f"{PATH}: shards[0].{name}: found {value!r}, expected ")

    @pytest.mark.parametrize(
        "name", ["split", "stored", "keys", "records", "shards", "options", "rejects_file"]
    )
    def test_null_for_a_field_that_must_have_a_value(self, name: str) -> None:
        assert message_of({**VALUES, name: None}).startswith(f"{PATH}: {name}: found None, ")

    @pytest.mark.parametrize("name", ["stored", "keys", "compression"])
    def test_a_lone_surrogate_as_a_word(self, name: str) -> None:
        message = message_of({**VALUES, name: "\ud800"})
        assert message == f"{PATH}: {name}: found '\\ud800', expected text"

    @pytest.mark.parametrize("name", ["records", "icc_profiles"])
    @pytest.mark.parametrize("value", [-1, 2**63])
    def test_a_count_out_of_range(self, name: str, value: int) -> None:
        message = message_of({**VALUES, name: value})
        assert message == f"{PATH}: {name}: found {value}, expected a count"

    @pytest.mark.parametrize("value", [[32], [0, 40], [32, -1], [32, 2**31], [True, 3]])
    def test_a_crop_that_is_not_a_size(self, value: Any) -> None:
        message = message_of({**VALUES, "crop": value})
        assert message == f"{PATH}: crop: found {value}, expected [height, width] or null"

    @pytest.mark.parametrize("value", ["", "0" * 63, "0" * 63 + "G", "A" * 64])
    def test_a_digest_that_is_not_64_hexadecimal_digits(self, value: str) -> None:
        message = message_of({**VALUES, "content_sha256": value})
        assert message.endswith("expected 64 hexadecimal digits")

    @pytest.mark.parametrize(
        "name",
        ["../x", "/etc/passwd", "a/b", "..", ".x", "", "a\\b", "a\nb", "a\0b", "\ud800", "\x7f"],
    )
    @pytest.mark.parametrize("field", ["name", "index"])
    def test_a_shard_name_that_is_not_a_plain_file_name(self, field: str, name: str) -> None:
        message = message_of(in_shard(**{field: name}))
        assert message == (
            f"{PATH}: shards[0].{field}: found {name!r}, expected a file name without a folder"
        )

    @pytest.mark.parametrize("name", ["x" * 256, "é" * 128])
    def test_a_name_longer_than_a_file_name_can_be(self, name: str) -> None:
        assert message_of(in_shard(name=name)).endswith(", expected at most 255 bytes")

    @pytest.mark.parametrize(
        ("changes", "found"),
        [
            ({"shards": VALUES["shards"] * 2}, "shards: found 'train-00000-of-00002.tfrecord'"),
            ({"labels": ["a", "b", "a"]}, "labels: found 'a'"),
        ],
        ids=["shards", "labels"],
    )
    def test_a_shard_or_label_that_is_listed_twice(
        self, changes: dict[str, Any], found: str
    ) -> None:
        message = message_of({**VALUES, **changes})
        assert message == f"{PATH}: {found} twice, expected it once"

    def test_a_field_that_occurs_twice(self) -> None:
        """JSON parsers differ in which of the two they take."""
        data = manifest.dump(MANIFEST).replace(b'"records": 3', b'"records": 3, "records": 4')
        with pytest.raises(ManifestError) as error:
            manifest.parse(data, PATH)
        assert str(error.value) == f"{PATH}: found field 'records' twice, expected JSON"

    @pytest.mark.parametrize("field", ["changes", "rejects", "ignored"])
    def test_a_count_with_4001_digits(self, field: str) -> None:
        message = message_of({**VALUES, field: {"x": 10**4000}})
        assert message.startswith(f"{PATH}: {field}: found {{'x': 1000")

    @pytest.mark.parametrize("value", [{}, [[]], [{}], 10**30, [2**63]], ids=repr)
    @pytest.mark.parametrize("field", ["options", "versions"])
    def test_options_that_are_not_plain_values(self, field: str, value: Any) -> None:
        message = message_of({**VALUES, field: {"x": value}})
        assert message.endswith(", expected values by name")

    @pytest.mark.parametrize(
        "number", ["NaN", "-Infinity", "1e999", "1" * 5000, "[" * 900 + "]" * 900]
    )
    def test_numbers_and_nesting_that_json_or_python_do_not_support(self, number: str) -> None:
        data = manifest.dump(MANIFEST).replace(b'"shards": 2', b'"shards": ' + number.encode())
        with pytest.raises(ManifestError):
            manifest.parse(data, PATH)

    @pytest.mark.parametrize("name", ["\x1b[2J", "\ud800", "a\nb", "x" * 10**6])
    def test_a_field_name_that_could_disturb_a_terminal(self, name: str) -> None:
        message = message_of({**VERSION_1, name: 1})
        assert message.isprintable()
        assert len(message) < 200

    @pytest.mark.parametrize("field", ["shards", "changes", "options"])
    def test_an_inner_field_named_by_a_lone_surrogate(self, field: str) -> None:
        value = [{"\ud800": 1}] if field == "shards" else {"\ud800": [[]]}
        message = message_of({**VALUES, field: value})
        assert message.isprintable()
        assert re.match(f"{PATH}: {field}.*: found .*, expected ", message)

    @pytest.mark.parametrize("field", ["split", "rejects_file"])
    def test_a_path_that_leaves_the_folder(self, field: str) -> None:
        message = message_of({**VALUES, field: "../x"})
        expected = "expected a file name without a folder"
        assert message == f"{PATH}: {field}: found '../x', {expected}"

    @pytest.mark.parametrize("version", [0, 3, "1", None, 1.5, True, 10**30])
    def test_another_version(self, version: Any) -> None:
        assert message_of({**VALUES, "format_version": version}) == (
            f"{PATH}: format_version: found {version!r}, expected 1 to 2: "
            "written by another version of tfrec"
        )

    @pytest.mark.parametrize("values", [[], None, 3, {}, {**VALUES, "format": "other"}])
    def test_other_json(self, values: Any) -> None:
        expected = f"{PATH}: found no field 'format', expected 'tfrec-manifest'"
        assert message_of(values) == expected

    @pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe\xfd", b"[" * 100_000], ids=len)
    def test_bytes_that_are_not_json(self, data: bytes) -> None:
        with pytest.raises(ManifestError) as error:
            manifest.parse(data, PATH)
        assert str(error.value).endswith(", expected JSON")

    def test_a_manifest_cut_at_any_byte(self) -> None:
        data = manifest.dump(MANIFEST).rstrip()
        for length in range(len(data)):
            with pytest.raises(ManifestError):
                manifest.parse(data[:length], PATH)

    @pytest.mark.parametrize("value", [[], [{}], {}, 3, None], ids=repr)
    def test_columns_that_are_not_a_list_of_columns(self, value: Any) -> None:
        message = message_of({**VALUES, "columns": value})
        assert re.match(f"{PATH}: columns.*: found .*, expected ", message)

    @pytest.mark.parametrize(
        "changes", [{"index": None}, {"index_sha256": None}], ids=["index", "digest"]
    )
    def test_an_index_without_a_digest_or_a_digest_without_an_index(self, changes: Any) -> None:
        message = message_of(in_shard(**changes))
        assert message.startswith(f"{PATH}: shards[0].index_sha256: found ")


class TestVersion1:
    """It had no division, and allows no unknown fields."""

    def parse(self, **changes: Any) -> Manifest:
        return manifest.parse(json.dumps({**VERSION_1, **changes}).encode(), PATH)

    def test_it_is_read_and_written_back_unchanged(self) -> None:
        data = json.dumps(VERSION_1).encode()
        made = manifest.parse(data, PATH)
        assert made == MANIFEST
        assert manifest.dump(made) == data

    def test_a_changed_copy_of_it_has_version_2(self) -> None:
        made = dataclasses.replace(self.parse(), records=7)
        assert json.loads(manifest.dump(made)) == {**VALUES, "records": 7}

    def test_its_division_is_read_from_its_options(self) -> None:
        options = {"split": "train=0.50,val=0.25,test=0.25"}
        division = self.parse(options=options).division
        assert division is not None
        assert str(division) == "train=0.5,val=0.25,test=0.25"

    @pytest.mark.parametrize(
        "text", ["train", "train=1", "", "train=0.5,val=0.6", "a,b", "a=0.5,a=0.5", None, 5, ["a"]]
    )
    def test_other_values_of_the_option_are_no_division(self, text: Any) -> None:
        assert self.parse(options={"split": text}).division is None

    @pytest.mark.parametrize("name", ["more", "division", "unknown"])
    def test_an_unknown_field_is_refused(self, name: str) -> None:
        message = message_of({**VERSION_1, name: None})
        assert message == f"{PATH}: {name}: found None, expected no field of this name"

    @pytest.mark.parametrize("name", ["a" * 256, "é" * 128, "a\nb", "height", "image/height"])
    def test_a_column_with_a_name_that_it_cannot_have_is_refused(self, name: str) -> None:
        message = message_of({**VALUES, "columns": [{**COLUMN, "name": name}]})
        assert message.endswith("expected the name of an additional feature, at most 255 bytes")

    @pytest.mark.parametrize("name", ["shards", "columns"])
    def test_an_unknown_field_of_a_shard_or_column_is_refused(self, name: str) -> None:
        column = {"name": "q", "kind": "int64", "is_list": False, "is_everywhere": True}
        part = {"shards": VALUES["shards"][0], "columns": column}[name]
        message = message_of({**VERSION_1, name: [{**part, "more": 1}]})
        assert message == f"{PATH}: {name}[0].more: found 1, expected no field of this name"


class TestLaterFields:
    """Version 2 may get optional fields without becoming version 3."""

    LATER: ClassVar = {
        **VALUES,
        "later": [1, {"a": None}],
        "unknown": {},
        "shards": [{**VALUES["shards"][0], "later": 2}],
    }
    DATA = manifest.as_json(LATER)

    def test_they_are_ignored(self) -> None:
        assert manifest.parse(self.DATA, PATH).records == 3

    def test_the_file_is_written_back_unchanged(self) -> None:
        assert manifest.is_as_dumped(self.DATA)
        assert manifest.dump(manifest.parse(self.DATA, PATH)) == self.DATA

    def test_they_are_kept_when_another_field_changes(self) -> None:
        made = dataclasses.replace(manifest.parse(self.DATA, PATH), records=7)
        values = json.loads(manifest.dump(made))
        assert (values["later"], values["unknown"], values["records"]) == ([1, {"a": None}], {}, 7)

    def test_an_unknown_field_cannot_replace_a_known_one(self) -> None:
        made = dataclasses.replace(MANIFEST, unknown={"records": 7})
        assert json.loads(manifest.dump(made))["records"] == 3

    def test_deep_nesting_in_them_is_refused(self) -> None:
        deep: Any = []
        for _ in range(700):
            deep = [deep]
        expected = f"{PATH}: found deeper nesting, expected at most 100 levels"
        assert message_of({**VALUES, "later": deep}) == expected
        assert message_of(in_shard(later={"a": deep})) == expected

    @pytest.mark.parametrize("data", [manifest.as_json(VALUES), DATA])
    def test_other_order_or_spacing_is_noticed(self, data: bytes) -> None:
        assert manifest.is_as_dumped(data)
        assert not manifest.is_as_dumped(data + b" ")
        assert not manifest.is_as_dumped(data.replace(b'"crop": [', b'"crop":  ['))


class TestDivision:
    PARTS = (("train", "0.9"), ("val", "0.05"), ("a-test", "0.05"))

    def values(self, parts: Any = PARTS, method: Any = "shares") -> dict[str, Any]:
        named = [{"split": name, "share": share} for name, share in parts]
        return {**VALUES, "division": {"method": method, "parts": named}}

    def test_shares_are_read_exactly_and_in_order(self) -> None:
        data = manifest.as_json(self.values())
        division = manifest.parse(data, PATH).division
        assert division is not None
        shares = {"train": Fraction(9, 10), "val": Fraction(1, 20), "a-test": Fraction(1, 20)}
        assert list(division.shares().items()) == list(shares.items())
        assert (str(division), division.names) == ("train=0.9,val=0.05,a-test=0.05", [*shares])

    def test_a_division_is_written_as_it_was_read(self) -> None:
        values = self.values()
        made = dataclasses.replace(manifest.parse(manifest.as_json(values), PATH), records=3)
        assert json.loads(manifest.dump(made)) == values

    @pytest.mark.parametrize(
        ("values", "found"),
        [
            ({"method": "other"}, "method: found 'other', expected one of shares"),
            ({"parts": []}, "parts: found [], expected several splits"),
            ({"parts": [("a", 0.5), ("b", "0.5")]}, "parts[0].share: found 0.5, expected a number"),
            ({"parts": [("a", "1/2"), ("b", "0.5")]}, "parts[0].share: found '1/2', expected a "),
            (
                {"parts": [("a", "0.5"), ("b", "0.5\n")]},
                "parts[1].share: found '0.5\\n', ",
            ),
            ({"parts": [("a", "0.5"), ("../b", "0.5")]}, "parts[1].split: found '../b', expected "),
        ],
    )
    def test_wrong_values_of_a_division_are_refused(
        self, values: dict[str, Any], found: str
    ) -> None:
        message = message_of(self.values(**values))
        assert message.startswith(f"{PATH}: division.{found}")

    @pytest.mark.parametrize(
        "parts",
        [
            [("a", "0.5"), ("b", "0.6")],
            [("a", "0.5"), ("a", "0.5")],
            [("a", "1"), ("b", "0")],
            [("a", "0.5"), ("a", "0.25"), ("b", "0.5")],
        ],
    )
    def test_shares_that_do_not_add_up_to_1_are_refused(self, parts: Any) -> None:
        assert message_of(self.values(parts)).endswith(", expected shares that add up to 1")

    def test_one_split_with_a_share_is_refused(self) -> None:
        message = message_of(self.values([("train", "1")]))
        assert message.endswith("division: found 'train=1', expected several splits")

    @pytest.mark.parametrize("parts", [[("train", None)], [("b", None), ("a", None)]])
    def test_folders_are_a_division(self, parts: Any) -> None:
        values = self.values(parts, "folders")
        made = manifest.parse(manifest.as_json(values), PATH)
        assert made.division is not None
        assert (str(made.division), made.division.names) == ("folders", [name for name, _ in parts])
        assert json.loads(manifest.dump(dataclasses.replace(made, records=3))) == values

    @pytest.mark.parametrize(
        ("parts", "method"),
        [
            ([("a", None), ("a", None)], "folders"),
            ([("a", "1"), ("b", None)], "folders"),
            ([("a", None), ("a", None)], "column"),
            ([("a", None), ("b", "1")], "shares"),
            ([("a", None), ("b", None)], "groups"),
        ],
    )
    def test_folders_and_columns_have_no_shares_and_all_others_have(
        self, parts: Any, method: str
    ) -> None:
        expected = "each split once, without a share"
        if method not in ("folders", "column"):
            expected = "shares that add up to 1"
        assert message_of(self.values(parts, method)).endswith(f", expected {expected}")


class TestSize:
    """Manifests that are too large are refused before they are read or parsed."""

    def test_a_sparse_file_of_a_terabyte_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / PATH.name
        with path.open("wb") as file:
            file.truncate(2**40)
        with pytest.raises(ManifestError, match="expected at most 67108864 bytes"):
            manifest.load(path)

    @pytest.mark.parametrize("value", [b"[],", b"{},", b"1.,", b'"":0,'])
    def test_millions_of_small_values_are_refused(self, value: bytes) -> None:
        """Each value takes up to 24 times the memory of its text."""
        with pytest.raises(ManifestError, match="found more values, expected at most 2097152"):
            manifest.parse(b"[" + value * 2**21, PATH)


def test_a_manifest_without_shards_is_refused() -> None:
    assert message_of({**VALUES, "shards": []}) == (
        f"{PATH}: shards: found [], expected at least one shard"
    )


def test_a_label_that_os_fsdecode_cannot_make_is_refused() -> None:
    message = message_of({**VALUES, "labels": ["\ud800"]})
    assert message.startswith(f"{PATH}: labels: found ")


def test_manifests_are_found_by_their_names(tmp_path: Path) -> None:
    names = ["val.manifest.json", "train.manifest.json", ".x.manifest.json", "manifest.json"]
    fill(tmp_path, dict.fromkeys(names, b""))
    assert manifest.find(tmp_path) == {
        "train": tmp_path / "train.manifest.json",
        "val": tmp_path / "val.manifest.json",
    }
