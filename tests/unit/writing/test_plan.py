"""Which source goes to which shard: each once, in shards of equal size, the same everywhere."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfrec_cli.dataset.rejects import Reject
from tfrec_cli.errors import UsageError
from tfrec_cli.sources.listing import Listing, Source
from tfrec_cli.writing import plan, survey
from tfrec_cli.writing.options import WriteOptions
from tfrec_cli.writing.plan import Plan
from tfrec_cli.writing.survey import Item


def item(path: str, height: int = 50, width: int = 60, size: int = 1000) -> Item:
    return Item(Source(path.encode(), size, 0), height, width)


def made(items: list[Item | Reject], rejects: tuple[Reject, ...] = (), **changes: Any) -> Plan:
    sources = tuple(one.source for one in items if isinstance(one, Item))
    listing = Listing(sources=sources, labels=None, rejects=rejects, warnings=())
    return plan.make(listing, items, WriteOptions(**changes))


def paths(planned: Plan) -> list[list[bytes]]:
    return [[one.source.path for one in shard] for shard in planned.shards]


ITEMS: list[Item | Reject] = [item(f"a/{number:02}.jpg") for number in range(20)]

some_items = st.lists(
    st.builds(item, st.text("ab/", min_size=1, max_size=6), size=st.integers(0, 10**6)),
    min_size=1,
    max_size=40,
    unique_by=lambda one: one.source.path,
)
seeds = st.none() | st.integers(0, 2**32)


class TestShards:
    def test_a_plan_that_was_freed_keeps_its_sizes(self) -> None:
        planned = made(ITEMS, shards=4)
        planned.free()
        assert planned.shards == ((), (), (), ())
        assert (planned.records, planned.sizes) == (20, (5, 5, 5, 5))

    @given(some_items, st.integers(1, 40), seeds)
    def test_every_source_is_in_one_shard(
        self, items: list[Item], shards: int, seed: int | None
    ) -> None:
        planned = made([*items], shards=min(shards, len(items)), shuffle_seed=seed)
        written = [one for shard in planned.shards for one in shard]
        assert sorted(written, key=str) == sorted(items, key=str)

    @given(some_items, st.integers(1, 40), seeds)
    def test_sizes_differ_by_one_at_most(
        self, items: list[Item], shards: int, seed: int | None
    ) -> None:
        count = min(shards, len(items))
        sizes = [len(s) for s in made([*items], shards=count, shuffle_seed=seed).shards]
        assert (len(sizes), max(sizes) - min(sizes) <= 1) == (count, True)

    @given(some_items, st.integers(1, 40), seeds, st.randoms(use_true_random=False))
    def test_the_plan_does_not_depend_on_the_order_of_listing(
        self, items: list[Item], shards: int, seed: int | None, random: Any
    ) -> None:
        changes = {"shards": min(shards, len(items)), "shuffle_seed": seed}
        shuffled = random.sample(items, len(items))
        assert made([*items], **changes) == made(shuffled, **changes)

    def test_another_seed_gives_another_order(self) -> None:
        assert paths(made(ITEMS, shuffle_seed=0)) != paths(made(ITEMS, shuffle_seed=1))

    def test_the_default_order_is_not_that_of_the_paths(self) -> None:
        assert paths(made(ITEMS, shuffle_seed=0)) != paths(made(ITEMS, shuffle_seed=None))

    def test_without_a_seed_the_order_is_that_of_the_paths(self) -> None:
        found = paths(made(ITEMS[::-1], shuffle_seed=None, shards=3))
        expected = [one.source.path for one in ITEMS if isinstance(one, Item)]
        assert found == [expected[:6], expected[6:13], expected[13:]]

    def test_the_number_of_shards_follows_from_their_size(self) -> None:
        """20 records of 1,000 + 160 bytes are 23,200 bytes."""
        assert len(made(ITEMS, shard_size=10_000).shards) == 3

    def test_a_size_in_bytes_that_makes_a_shard_of_each_image_is_refused(self) -> None:
        with pytest.raises(UsageError) as error:
            plan.check_sizes([1] * 1448, None, 100)
        assert str(error.value) == (
            "shard_size: found 100 bytes, which makes 1,448 shards of 1,448 images, expected more, "
            "such as 100MB, or shards 1448"
        )
        with pytest.raises(UsageError, match=r"99,999 shards of 100,000 records, .* as 128MiB, or"):
            plan.check_sizes([1] * 99_998 + [2], None, 2000, "record")

    @pytest.mark.parametrize(
        ("sizes", "shards", "shard_bytes"),
        [([1] * 16, None, 100), ([1] * 17, 17, 100), ([1] * 17, None, 2**20), ([2] * 17, None, 9)],
    )
    def test_a_shard_of_each_image_may_be_meant(
        self, sizes: list[int], shards: int | None, shard_bytes: int
    ) -> None:
        plan.check_sizes(sizes, shards, shard_bytes)

    def test_the_size_of_scaled_images_is_estimated_from_their_pixels(self) -> None:
        items = [item("a.jpg", 100, 150), item("b.png", 100, 100)]
        planned = made(items, resize_short=100)
        assert planned.estimated_bytes == 12_000 + 20_000 + 2 * 160

    def test_the_size_of_crops_is_estimated_from_their_pixels(self) -> None:
        """20 records of 10 * 10 * 3 + 160 bytes are 9,200 bytes."""
        planned = made(ITEMS, shard_size=4_600, crop=(10, 10))
        assert (len(planned.shards), planned.estimated_bytes) == (2, 9_200)

    def test_without_images_there_is_one_empty_shard(self) -> None:
        assert made([]).shards == ((),)

    def test_there_can_be_a_shard_for_each_image(self) -> None:
        assert [len(shard) for shard in made(ITEMS, shards=20).shards] == [1] * 20

    def test_more_shards_than_images_are_an_error(self) -> None:
        with pytest.raises(UsageError) as error:
            made(ITEMS, shards=21)
        assert str(error.value) == "shards 21: found 20 images, expected one for each shard"


class TestDigest:
    def test_the_same_plan_has_the_same_digest(self) -> None:
        assert made(ITEMS).sha256 == made(ITEMS[::-1]).sha256

    @pytest.mark.parametrize("shards", [2, 7, 20])
    def test_the_digest_does_not_depend_on_the_shards(self, shards: int) -> None:
        assert made(ITEMS, shards=shards).sha256 == made(ITEMS).sha256

    @pytest.mark.parametrize(
        "other",
        [
            made(ITEMS[:-1]),
            made([*ITEMS[:-1], item("a/19.jpg", size=1001)]),
            made([*ITEMS[:-1], item("a/19.jpeg")]),
            made([*ITEMS[:-1], Item(Source(b"a/19.jpg", 1000, 1), 50, 60)]),
            made(ITEMS, shuffle_seed=1),
        ],
        ids=["fewer", "size", "name", "label", "seed"],
    )
    def test_another_plan_has_another_digest(self, other: Plan) -> None:
        assert other.sha256 != made(ITEMS).sha256


class TestSmall:
    GOOD = tuple(item(f"a/{number:02}.jpg") for number in range(20))
    SMALL = item("a/small.jpg", 50, 59)
    TOO_SMALL = Reject(
        b"a/small.jpg",
        "too_small",
        "found 59 wide, 50 high, expected at least 60 wide, 50 high",
    )

    @pytest.mark.parametrize("small", ["fail", "skip"])
    def test_a_small_image_is_rejected(self, small: str) -> None:
        planned = made([*ITEMS, self.SMALL], crop=(50, 60), small=small)
        assert (planned.records, planned.rejects) == (20, (self.TOO_SMALL,))

    @pytest.mark.parametrize("small", ["pad", "resize"])
    def test_a_small_image_that_will_be_enlarged_is_accepted(self, small: str) -> None:
        planned = made([*ITEMS, self.SMALL], crop=(50, 60), small=small)
        assert (planned.records, planned.rejects) == (21, ())

    @pytest.mark.parametrize("size", [(50, 59), (49, 60), (50, 60)])
    @pytest.mark.parametrize("small", ["skip", "pad"])
    @pytest.mark.parametrize("cut", [0, 1, 20, 21])
    def test_a_small_image_in_a_pack_is_noticed(
        self, size: tuple[int, int], small: str, cut: int
    ) -> None:
        items = [*self.GOOD, item("a/small.jpg", *size)]
        packs = [survey.packed(items[:cut]), survey.packed(), survey.packed(items[cut:])]
        listing = Listing(sources=(), labels=None, rejects=(), warnings=())
        options = {"crop": (50, 60), "small": small}
        assert plan.make(listing, packs, WriteOptions(**options)) == made(list(items), **options)

    def test_whole_images_may_be_small(self) -> None:
        assert made([item("a", 1, 1)]).records == 1

    @pytest.mark.parametrize("small", ["fail", "skip"])
    def test_a_crop_larger_than_every_image_is_an_error(self, small: str) -> None:
        with pytest.raises(UsageError) as error:
            made([*ITEMS, item("a/wide.jpg", 40, 80)], crop=(51, 60), small=small)
        assert str(error.value) == (
            "crop: found no image of 51x60 or more, the largest is 80 wide, 40 high, "
            "expected a smaller crop"
        )


class TestRejects:
    def test_rejects_of_listing_and_headers_are_sorted_by_path(self) -> None:
        hidden, bad = Reject(b"b/.x", "hidden", "", harmless=True), Reject(b"a/x", "corrupt", "")
        assert made([*ITEMS, bad], (hidden,)).rejects == (bad, hidden)

    def test_the_second_of_two_paths_with_the_same_key_is_rejected(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """This is very unlikely, since keys have 56 bits."""
        monkeypatch.setattr(plan, "key_of", lambda path: int(path[2:4]) % 19)
        planned = made(ITEMS, shuffle_seed=None)
        assert (planned.records, planned.rejects) == (
            19,
            (
                Reject(
                    b"a/19.jpg",
                    "key_collision",
                    "found the key of a/00.jpg, expected one of its own: rename one of the two",
                ),
            ),
        )

    def test_rejects_are_counted_by_reason(self) -> None:
        rejects = [Reject(b"", reason, "", harmless=reason == "b") for reason in "cabca"]
        found = [plan.count_reasons(rejects, harmless=harmless) for harmless in (False, True)]
        assert found == [{"a": 2, "c": 2}, {"b": 1}]
