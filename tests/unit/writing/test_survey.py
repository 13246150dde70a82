"""Headers become items or rejects; too many rejects end the write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import fill, jpeg, oriented, photo, png

from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.errors import BadImagesError, DataError, UnreadableError
from tfrec_cli.imaging.policy import Policy
from tfrec_cli.runtime import pool
from tfrec_cli.sources import open_source
from tfrec_cli.sources.folder import LINKED, LINKS
from tfrec_cli.sources.listing import Source
from tfrec_cli.writing.options import WriteOptions
from tfrec_cli.writing.survey import Item, check_rejects, read_headers, small_message, survey

BAD = Reject(b"b.jpg", "corrupt", "found a hole")
GONE = Reject(b"a.jpg", "unreadable", "cannot be read")
HIDDEN = Reject(b".x", "hidden", "hidden", harmless=True)
SMALL = Reject(b"c.jpg", "too_small", "found 1 wide, 1 high")


class TestSurvey:
    def test_an_item_has_the_size_of_the_upright_image(self, tmp_path: Path) -> None:
        fill(tmp_path, {"a.jpg": jpeg(photo(20, 30), exif=oriented(6))})
        source = Source(b"a.jpg", 7, None)
        assert survey(tmp_path, [source], Policy()) == [Item(source, 30, 20)]

    def test_an_item_has_the_size_after_scaling(self, tmp_path: Path) -> None:
        fill(tmp_path, {"a.png": png(photo(20, 31))})
        source = Source(b"a.png", 7, None)
        policy = Policy(resize_short_px=10)
        assert survey(tmp_path, [source], policy) == [Item(source, 10, 16)]

    @pytest.mark.parametrize(
        ("name", "data", "reason"),
        [
            ("a.jpg", b"text", "not_an_image"),
            ("a.jpg", b"", "empty"),
            ("a.txt", png(photo(9, 9))[:20], "truncated"),
        ],
    )
    def test_a_file_that_is_no_image_is_rejected(
        self, tmp_path: Path, name: str, data: bytes, reason: str
    ) -> None:
        fill(tmp_path, {name: data})
        (reject,) = survey(tmp_path, [Source(name.encode(), len(data), None)], Policy())
        assert isinstance(reject, Reject)
        assert (reject.path, reject.reason, reject.harmless) == (name.encode(), reason, False)

    def test_an_image_with_the_name_of_a_text_file_is_accepted(self, tmp_path: Path) -> None:
        fill(tmp_path, {"a.txt": png(photo(20, 31))})
        source = Source(b"a.txt", 7, None)
        assert survey(tmp_path, [source], Policy()) == [Item(source, 20, 31)]

    def test_a_file_that_has_vanished_is_rejected(self, tmp_path: Path) -> None:
        assert survey(tmp_path, [Source(b"gone", 1, None)], Policy()) == [
            Reject(b"gone", "unreadable", "cannot be read: No such file or directory")
        ]


@pytest.mark.parametrize("digested", [False, True])
def test_all_headers_are_read_and_the_sources_removed_from_the_listing(
    tmp_path: Path, digested: bool
) -> None:
    names = [f"{number:03}.png" for number in range(300)]
    data = png(photo(3, 4))
    fill(tmp_path, {**dict.fromkeys(names, data), "bad.png": data[:30]})
    listing = open_source.list_source(tmp_path)
    steps: list[tuple[str, int, int]] = []
    with pool.local(1) as run:
        entries = list(
            read_headers(
                tmp_path,
                listing,
                Policy(),
                run,
                lambda *step: steps.append(step),
                digested=digested,
            )
        )
    rejects = [entry for entry in entries if isinstance(entry, Reject)]
    packs = [entry for entry in entries if not isinstance(entry, Reject)]
    items = packs if digested else [item for pack in packs for item in pack]
    assert [reject.path for reject in rejects] == [b"bad.png"]
    assert sorted(item.source.path.decode() for item in items) == names
    assert {len(item.content) for item in items} == {32 if digested else 0}
    assert len(listing.sources) == 0
    assert steps == [("reading headers", 256, 301), ("reading headers", 301, 301)]


class TestCheckRejects:
    @pytest.mark.parametrize(
        ("rejects", "options"),
        [
            ([], {}),
            ([HIDDEN], {}),
            ([SMALL], {"small": "skip"}),
            ([BAD, GONE], {"on_error": "skip"}),
            ([BAD], {"on_error": "skip", "max_errors": "1"}),
            ([BAD], {"on_error": "skip", "max_errors": "10%"}),
        ],
    )
    def test_allowed_rejects_do_not_end_the_write(
        self, rejects: list[Reject], options: dict[str, Any]
    ) -> None:
        check_rejects(Path("src"), [(rejects, 9)], WriteOptions(**options))

    @pytest.mark.parametrize(
        ("rejects", "options", "message"),
        [
            ([BAD], {}, "src/b.jpg: found a hole; on_error skip leaves it out"),
            ([BAD, SMALL], {}, "src: 2 of 11 images cannot be used: 1 "),
            ([SMALL], {"small": "fail"}, "found 1 wide, 1 high; small skip, pad or resize"),
            (
                [BAD, GONE],
                {"on_error": "skip", "max_errors": "1"},
                "found 2 of 11 images rejected, expected at most 1 (max_errors)",
            ),
            ([BAD], {"on_error": "skip", "max_errors": "9%"}, "found 1 of 10 images rejected"),
        ],
    )
    def test_other_rejects_end_the_write(
        self, rejects: list[Reject], options: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(DataError) as error:
            check_rejects(Path("src"), [(rejects, 9)], WriteOptions(**options))
        assert message in str(error.value)
        assert not isinstance(error.value, UnreadableError)

    def test_what_to_do_with_links_to_folders_is_said_once(self) -> None:
        linked = [Reject(name, LINKED, "found a link to a folder") for name in (b"a", b"b")]
        with pytest.raises(BadImagesError) as error:
            check_rejects(Path("src"), [(linked[:1], 9)], WriteOptions(dry_run=True))
        skip = "on_error skip leaves"
        assert str(error.value) == f"src/a: found a link to a folder; {LINKS}; {skip} it out"
        with pytest.raises(BadImagesError) as error:
            check_rejects(Path("src"), [(linked, 9)], WriteOptions(dry_run=True))
        assert str(error.value) == (
            "src: 2 of 11 images and links cannot be used: 2 linked_folder; "
            f"{LINKS}; {skip} them out"
        )
        assert error.value.first == ("a: found a link to a folder", "b: found a link to a folder")
        with pytest.raises(DataError, match=f"expected at least one; {LINKS}$"):
            check_rejects(Path("src"), [(linked, 0)], WriteOptions(on_error="skip"))

    def test_a_file_that_cannot_be_read_is_an_unreadable_error(self) -> None:
        with pytest.raises(
            UnreadableError, match=r"src: 2 of 11 images .*: 2 unreadable HINT; on_error"
        ):
            check_rejects(Path("src"), [([GONE, GONE], 9)], WriteOptions(), " HINT")

    def test_rejects_of_a_write_that_goes_on_do_not_end_it(self) -> None:
        check_rejects(Path("src"), [([BAD], 9)], WriteOptions(), so_far=True)
        with pytest.raises(DataError, match="found a hole"):
            check_rejects(Path("src"), [([BAD], 0)], WriteOptions(), so_far=True)

    def test_a_write_that_stops_at_its_limit_says_that_there_may_be_more(self) -> None:
        options = WriteOptions(on_error="skip", max_errors="1")
        with pytest.raises(DataError) as error:
            check_rejects(Path("src"), [([BAD, GONE], 9)], options, so_far=True)
        assert str(error.value).startswith(
            "src: stopped after rejecting 2 of 11 images (there may be more), expected at most 1 "
            "(max_errors); the first: a.jpg: "
        )

    def test_ten_are_named_and_small_ones_counted(self) -> None:
        bad = [Reject(b"%02d.jpg" % n, "corrupt", "found a hole") for n in range(12)]
        small = [
            Reject(b"s%d.jpg" % n, "too_small", f"found {size}, expected more")
            for n, size in enumerate(["86 wide, 200 high", "300 wide, 108 high"])
        ]
        with pytest.raises(BadImagesError) as error:
            check_rejects(Path("src"), [([*bad, *small], 186)], WriteOptions(crop=(128, 128)))
        assert len(error.value.details) == 14
        assert error.value.first == (
            *(f"{n:02}.jpg: found a hole" for n in range(10)),
            "and 2 more: -v names all",
            "2 of 200 are smaller than 128 (least 86 wide, 108 high; -v names them): "
            "small skip, pad or resize",
        )
        assert str(error.value) == (
            "src: 14 of 200 images cannot be used: 12 corrupt, 2 too_small; "
            "on_error skip leaves them out"
        )

    def test_images_that_are_only_too_small_have_one_remedy(self) -> None:
        message = small_message((90, 100), (96, 128))
        assert message == "found 100 wide, 90 high, expected at least 128 wide, 96 high"
        small = [Reject(name, "too_small", message) for name in (b"a.jpg", b"b.jpg")]
        with pytest.raises(BadImagesError) as error:
            check_rejects(Path("src"), [(small, 8)], WriteOptions(crop=(96, 128)))
        assert str(error.value) == (
            "src: 2 of 10 images cannot be used: 2 too_small; small skip, pad or resize"
        )
        assert error.value.first == (
            "2 of 10 are smaller than 96x128 (least 100 wide, 90 high; -v names them)",
        )

    def test_a_split_needs_an_image(self) -> None:
        with pytest.raises(DataError, match="found no image that can be used"):
            check_rejects(Path("src"), [([], 3), ([], 0)], WriteOptions())
